// SPDX-License-Identifier: MIT
/* Addresses and sockets: every spelling, what is refused, and what becomes of a path that is already there.
 */
#include "adapters/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static char dir[] = "/tmp/once-listener-XXXXXX";
static char address[300], err[400];

static const char *path_of(const char *a)
{
    return strchr(a, '@') + 1;
}

static void name(const char *prefix, const char *file)
{
    snprintf(address, sizeof address, "%s%s/%s", prefix, dir, file);
}

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    return rmdir(dir); /* fails if a test left something */
}

static void assert_flags(int fd)
{
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

static void unix_stream(void **state)
{
    (void)state;
    struct stat st;
    name("unix@", "s");
    int fd = listener_stream(address, 0640, err, sizeof err);
    assert_true(fd >= 0);
    assert_flags(fd);
    assert_int_equal(stat(path_of(address), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    int client = listener_connect(address, err, sizeof err);
    assert_true(client >= 0);
    assert_flags(client);
    int served = accept(fd, NULL, NULL);
    assert_true(served >= 0);
    char peer[LISTENER_PEER_TEXT], wanted[LISTENER_PEER_TEXT];
    snprintf(wanted, sizeof wanted, "pid %d", (int)getpid());
    listener_peer(served, peer);
    assert_string_equal(peer, wanted);
    close(served);
    listener_peer(served, peer);
    assert_string_equal(peer, "-");
    close(client);
    close(fd);
    listener_remove(address);
    assert_int_equal(stat(path_of(address), &st), -1);
}

/* The mode does not depend on the umask, and the umask is as before. */
static void unix_mode(void **state)
{
    (void)state;
    struct stat st;
    mode_t before = umask(077);
    name("unix@", "m");
    int fd = listener_stream(address, 0666, err, sizeof err);
    assert_int_equal(umask(before), 077);
    assert_true(fd >= 0);
    assert_int_equal(stat(path_of(address), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0666);
    close(fd);
    listener_remove(address);
}

static void leftover_is_replaced(void **state)
{
    (void)state;
    name("unix@", "dead");
    int fd = listener_stream(address, 0600, err, sizeof err);
    assert_true(fd >= 0);
    close(fd); /* the path stays */
    fd = listener_stream(address, 0600, err, sizeof err);
    assert_true(fd >= 0);
    int client = listener_connect(address, err, sizeof err);
    assert_true(client >= 0);
    close(client);
    close(fd);
    listener_remove(address);
}

static void living_is_respected(void **state)
{
    (void)state;
    char wanted[400];
    name("unix@", "alive");
    int fd = listener_stream(address, 0600, err, sizeof err);
    assert_int_equal(listener_stream(address, 0600, err, sizeof err), -1);
    snprintf(wanted, sizeof wanted, "%s: %s", address, strerror(EADDRINUSE));
    assert_string_equal(err, wanted);
    int client = listener_connect(address, err, sizeof err);
    assert_true(client >= 0);
    close(client);
    close(fd);
    listener_remove(address);
}

/* A file that is no socket is never touched: neither by listening nor by removing. */
static void file_is_respected(void **state)
{
    (void)state;
    name("unix@", "file");
    int file = open(path_of(address), O_CREAT | O_WRONLY, 0600);
    assert_true(file >= 0);
    close(file);
    assert_int_equal(listener_stream(address, 0600, err, sizeof err), -1);
    listener_remove(address);
    assert_int_equal(access(path_of(address), F_OK), 0);
    unlink(path_of(address));
}

static void tcp(void **state)
{
    (void)state;
    static const char *const hosts[] = {"127.0.0.1:0", "[::1]:0"};
    for (unsigned i = 0; i < 2; i++) {
        struct sockaddr_in6 at; /* the port is at the same place in both families */
        socklen_t len = sizeof at;
        char to[64];
        int fd = listener_stream(hosts[i], 0, err, sizeof err);
        if (fd < 0 && i == 1)
            continue; /* a machine without IPv6 */
        assert_true(fd >= 0);
        assert_flags(fd);
        assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
        snprintf(to, sizeof to, "%.*s%u", (int)(strlen(hosts[i]) - 1), hosts[i], ntohs(at.sin6_port));
        int client = listener_connect(to, err, sizeof err);
        assert_true(client >= 0);
        struct pollfd p = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&p, 1, 1000), 1);
        char peer[LISTENER_PEER_TEXT];
        listener_peer(client, peer);
        assert_string_equal(peer, to);
        assert_int_equal(listener_stream(to, 0, err, sizeof err), -1);
        assert_non_null(strstr(err, to));
        close(client);
        close(fd);
    }
}

static void datagrams(void **state)
{
    (void)state;
    static const char *const prefixes[] = {"unix@", "unixdgram@"};
    for (unsigned i = 0; i < 2; i++) {
        char text[8] = "";
        name(prefixes[i], "d");
        int fd = listener_datagram(address, 0600, err, sizeof err);
        assert_true(fd >= 0);
        assert_flags(fd);
        assert_int_equal(listener_datagram(address, 0600, err, sizeof err), -1); /* it lives */
        int client = socket(AF_UNIX, SOCK_DGRAM, 0);
        struct sockaddr_storage at;
        socklen_t len = sizeof at;
        assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
        assert_int_equal(sendto(client, "abc", 3, 0, (struct sockaddr *)&at, len), 3);
        assert_int_equal(read(fd, text, sizeof text), 3);
        assert_string_equal(text, "abc");
        close(client);
        close(fd);
        fd = listener_datagram(address, 0600, err, sizeof err); /* it is dead */
        assert_true(fd >= 0);
        close(fd);
        listener_remove(address);
    }
    int fd = listener_datagram("udp@127.0.0.1:0", 0, err, sizeof err);
    assert_true(fd >= 0);
    close(fd);
}

static void wrong_texts(void **state)
{
    (void)state;
    static const char *const streams[] = {
        "",
        "x",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:1x",
        "::1:80",
        "[::1]80",
        "[::1:80",
        "[]:80",
        ":80",
        "127.0.0.1: 1",
        "localhost:80",
        "unix@",
        "udp@127.0.0.1:1",
        "unixdgram@/x",
        "127.0.0.1:-1",
    };
    static const char *const dgrams[] = {"127.0.0.1:1", "udp@", "udp@127.0.0.1", "unixdgram@",
                                         "udp@localhost:1"};
    for (unsigned i = 0; i < sizeof streams / sizeof *streams; i++) {
        assert_int_equal(listener_stream(streams[i], 0600, err, sizeof err), -1);
        assert_non_null(strstr(err, "not unix@/path"));
        assert_int_equal(listener_connect(streams[i], err, sizeof err), -1);
    }
    for (unsigned i = 0; i < sizeof dgrams / sizeof *dgrams; i++)
        assert_int_equal(listener_datagram(dgrams[i], 0600, err, sizeof err), -1);
}

/* sun_path holds 107 characters and a NUL. */
static void path_length(void **state)
{
    (void)state;
    size_t room = 107 - strlen(dir) - 1;
    char file[128];
    memset(file, 'a', sizeof file);
    file[room] = '\0';
    name("unix@", file);
    int fd = listener_stream(address, 0600, err, sizeof err);
    assert_true(fd >= 0);
    close(fd);
    listener_remove(address);
    file[room] = 'a';
    file[room + 1] = '\0';
    name("unix@", file);
    assert_int_equal(listener_stream(address, 0600, err, sizeof err), -1);
}

static void connect_errors(void **state)
{
    (void)state;
    char wanted[400];
    name("unix@", "nobody");
    assert_int_equal(listener_connect(address, err, sizeof err), -1);
    snprintf(wanted, sizeof wanted, "%s: %s", address, strerror(ENOENT));
    assert_string_equal(err, wanted);
    assert_int_equal(listener_stream("unix@/nowhere/s", 0600, err, sizeof err), -1);
    snprintf(wanted, sizeof wanted, "unix@/nowhere/s: %s", strerror(ENOENT));
    assert_string_equal(err, wanted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unix_stream),
        cmocka_unit_test(unix_mode),
        cmocka_unit_test(leftover_is_replaced),
        cmocka_unit_test(living_is_respected),
        cmocka_unit_test(file_is_respected),
        cmocka_unit_test(tcp),
        cmocka_unit_test(datagrams),
        cmocka_unit_test(wrong_texts),
        cmocka_unit_test(path_length),
        cmocka_unit_test(connect_errors),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
