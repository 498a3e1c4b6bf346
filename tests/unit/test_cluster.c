// SPDX-License-Identifier: MIT
/* The router before six real nodes (tests/e2e/lib/cluster): whose key it is, slots that move, a primary that dies. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "adapters/log.h"
#include "adapters/redis.h"
#include "domain/resp.h"
#include "domain/slotmap.h"
#include "tests/support/loop.h"

enum { NODES = 6, KEYS = 200 };

static char dir[64] = "/tmp/once-cluster.XXXXXX";
static pid_t nodes_pid;
static int port[NODES];
static struct ev_loop *loop;
static struct config *config;
static struct metrics metrics;
static struct redis *redis;
static unsigned told, wrong;
static struct redis_reply last;
static char text[256], seen[16]; /* the reply's bytes as text, and its first ones */

static void on_ready(void *arg, struct redis *link)
{
    (void)arg;
    assert_true(redis_ready(link) && redis_number(link) > 0);
}

static void run(const char *format, ...)
{
    char words[256], command[512];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    snprintf(command, sizeof command, "tests/e2e/lib/cluster %s %s >>%s/words.log 2>&1", dir, words, dir);
    if (system(command) != 0)
        fail_msg("%s: %s/words.log", words, dir);
}

static pid_t pid_of(unsigned node)
{
    char path[96];
    int pid = 0;
    snprintf(path, sizeof path, "%s/node%u.pid", dir, node);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%d", &pid), 1);
    fclose(f);
    return pid;
}

static int start_nodes(void **state)
{
    char path[96];
    (void)state;
    assert_non_null(mkdtemp(dir));
    if ((nodes_pid = fork()) == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        execl("tests/e2e/lib/cluster", "cluster", dir, (char *)NULL);
        _exit(127);
    }
    snprintf(path, sizeof path, "%s/cluster-ready", dir);
    for (unsigned i = 0; i < 600 && access(path, F_OK) != 0; i++)
        usleep(50000);
    assert_int_equal(access(path, F_OK), 0);
    snprintf(path, sizeof path, "%s/nodes", dir);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    for (unsigned i = 0; i < NODES; i++)
        assert_int_equal(fscanf(f, "%d", &port[i]), 1);
    fclose(f);
    return 0;
}

static int stop_nodes(void **state)
{
    char command[128];
    (void)state;
    kill(nodes_pid, SIGTERM);
    for (unsigned i = 0; i < NODES; i++)
        kill(pid_of(i), SIGKILL);
    waitpid(nodes_pid, NULL, 0);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static int open_router(void **state)
{
    static const struct redis_events events = {.ready = on_ready};
    (void)state;
    loop = ev_default_loop(0);
    memset(&metrics, 0, sizeof metrics);
    config = config_new();
    config->redis.mode = REDIS_MODE_CLUSTER;
    config->redis.seeds.n = 2; /* the first one is a replica */
    snprintf(config->redis.seeds.item[0], sizeof config->redis.seeds.item[0], "127.0.0.1:%d", port[5]);
    snprintf(config->redis.seeds.item[1], sizeof config->redis.seeds.item[1], "127.0.0.1:%d", port[0]);
    config->redis.reconnect_ms = 100;
    config->redis.max_pending = 1000;
    config->redis.holds = REDIS_HOLDS_RECORDS;
    log_setup(LOG_TEXT, getenv("ONCE_TEST_LOG") ? LOG_DEBUG : LOG_ERROR);
    ev_now_update(loop);
    redis = redis_new(loop, &config->redis, &events, NULL, &metrics);
    assert_non_null(redis);
    loop_until(loop, redis_whole(redis), 10);
    told = wrong = 0;
    return 0;
}

static int close_router(void **state)
{
    (void)state;
    redis_free(redis);
    config_drop(config);
    return 0;
}

static void see(void *arg, const struct redis_reply *reply)
{
    (void)arg;
    told++;
    last = *reply;
    if (reply->bytes.len >= sizeof seen)
        memcpy(seen, reply->bytes.ptr, sizeof seen);
    snprintf(text, sizeof text, "%.*s", (int)reply->bytes.len, reply->bytes.ptr ? reply->bytes.ptr : "");
}

static struct redis_call *ask(double within, unsigned n, const char *const *words)
{
    struct buf out;
    buf_init(&out);
    resp_command(&out, words, n);
    struct redis_call *call = redis_submit(redis, out.data, out.len, within, see, NULL);
    buf_free(&out);
    return call;
}

#define ASK(within, ...)                                                                                     \
    ask(within, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), (const char *const[]){__VA_ARGS__})

/* Asks and waits for the reply. */
#define DO(...)                                                                                              \
    do {                                                                                                     \
        unsigned before_ = told;                                                                             \
        assert_non_null(ASK(5, __VA_ARGS__));                                                                \
        loop_until(loop, told > before_, 10);                                                                \
    } while (0)

static void key_of(unsigned i, char key[32])
{
    snprintf(key, 32, "once:{%04x}:r:%u", i * 311 & 0xffff, i);
}

static void each_key_is_its_primarys(void **state)
{
    char key[32];
    struct redis *links[REDIS_LINKS];
    bool used[REDIS_LINKS] = {false};
    unsigned all = 0;
    (void)state;
    assert_int_equal(redis_links(redis, links), 3);
    for (unsigned i = 0; i < KEYS; i++) {
        key_of(i, key);
        DO("SET", key, key, "PX", "60000");
        assert_int_equal(last.status, REDIS_BYTES);
        uint8_t tag[2] = {(uint8_t)((i * 311 & 0xffff) >> 8), (uint8_t)(i * 311)};
        assert_ptr_equal(last.from, redis_home(redis, tag));
        all += !used[redis_number(last.from)];
        used[redis_number(last.from)] = true;
    }
    assert_int_equal(all, 3);
    assert_int_equal(metrics.value[METRIC_CLUSTER_MOVED], 0);
    assert_int_equal(metrics.value[METRIC_REDIS_UP], 1);
    assert_int_equal(metrics.value[METRIC_CLUSTER_PRIMARIES_UP], 3);
    for (unsigned i = 0; i < 3; i++) {
        uint8_t tag[2];
        assert_true(redis_own_tag(links[i], tag));
        assert_ptr_equal(redis_home(redis, tag), links[i]);
    }
    assert_true((redis_marks(links[0]) ^ redis_marks(links[1]) ^ redis_marks(links[2])) == UINT64_MAX);
}

static void keys_of_different_slots_are_not_sent(void **state)
{
    (void)state;
    assert_null(ASK(1, "EVALSHA", "x", "2", "once:{0000}:a", "once:{0001}:b"));
    assert_null(ASK(1, "TIME"));
    assert_int_equal(metrics.value[METRIC_CLUSTER_CROSSED], 2);
}

/* A key, and where its slot is and goes to. */
static struct {
    char key[32], number[8];
    unsigned slot, from, to;
} moved;

static void choose_key(unsigned to)
{
    moved.slot = slot_of_key(slice_of(moved.key));
    moved.from = moved.slot <= 5460 ? 0 : moved.slot <= 10922 ? 1 : 2;
    moved.to = to == moved.from ? (to + 1) % 3 : to;
}

static void choose(unsigned i, unsigned to)
{
    key_of(i, moved.key);
    choose_key(to);
}

static void own_tags_are_own(void)
{
    struct redis *links[REDIS_LINKS];
    uint8_t tag[2];
    for (unsigned n = redis_links(redis, links); n > 0; n--) {
        assert_true(redis_own_tag(links[n - 1], tag));
        assert_ptr_equal(redis_home(redis, tag), links[n - 1]);
    }
}

static void a_primary_has_another_tag_when_its_slot_leaves(void **state)
{
    struct redis *links[REDIS_LINKS];
    uint8_t tag[2];
    (void)state;
    own_tags_are_own();
    redis_links(redis, links);
    redis_own_tag(links[0], tag);
    snprintf(moved.key, sizeof moved.key, "once:{%02x%02x}:r:0", tag[0], tag[1]);
    choose_key(0);
    run("move %u %u %u", moved.slot, moved.from, moved.to);
    DO("GET", moved.key);
    assert_ptr_not_equal(redis_home(redis, tag), links[0]);
    own_tags_are_own();
    run("move %u %u %u", moved.slot, moved.to, moved.from);
    DO("GET", moved.key);
    own_tags_are_own();
}

static void right_to_ask(char sign)
{
    for (unsigned i = 0; i < 3; i++) {
        char command[128];
        snprintf(command, sizeof command, "redis-cli -p %d acl setuser default %casking >>%s/words.log",
                 port[i], sign, dir);
        assert_int_equal(system(command), 0);
    }
}

/* Without it a slot that moves could not be followed: said before that happens. */
static void asking_is_tried(void **state)
{
    static const struct redis_events events = {.ready = on_ready};
    (void)state;
    redis_free(redis);
    right_to_ask('-');
    redis = redis_new(loop, &config->redis, &events, NULL, &metrics);
    loop_until(loop, strstr(redis_why(redis), "+asking"), 5);
    assert_false(redis_ready(redis));
    right_to_ask('+');
    loop_until(loop, redis_whole(redis), 5);
}

static void a_moved_slot_is_followed_within_the_call(void **state)
{
    (void)state;
    choose(1, 2);
    DO("SET", moved.key, "before", "PX", "60000");
    run("move %u %u %u", moved.slot, moved.from, moved.to);
    unsigned maps = (unsigned)metrics.value[METRIC_CLUSTER_MOVED];
    DO("GET", moved.key);
    assert_int_equal(last.status, REDIS_BYTES);
    assert_string_equal(text, "before");
    unsigned hops = (unsigned)metrics.value[METRIC_CLUSTER_MOVED];
    assert_true(hops >= maps);
    DO("GET", moved.key); /* learned */
    assert_int_equal(metrics.value[METRIC_CLUSTER_MOVED], hops);
    run("move %u %u %u", moved.slot, moved.to, moved.from);
    DO("GET", moved.key);
    assert_string_equal(text, "before");
    assert_int_equal(metrics.value[METRIC_CLUSTER_LOST_WAY], 0);
}

/* Half moved: what is there is served here, what is not is asked for there, and a script that needs both waits. */
static void a_slot_on_its_way_is_asked_for_and_waited_for(void **state)
{
    static const char script[] = "return redis.call('EXISTS', KEYS[1], KEYS[2])";
    char one[40], two[40], sha[64];
    struct redis *links[REDIS_LINKS];
    (void)state;
    choose(2, 0);
    snprintf(one, sizeof one, "%.11s:one", moved.key);
    snprintf(two, sizeof two, "%.11s:two", moved.key);
    for (unsigned i = redis_links(redis, links); i > 0; i--) {
        static const char head[] = "*3\r\n$6\r\nSCRIPT\r\n$4\r\nLOAD\r\n";
        char out[256];
        int len = snprintf(out, sizeof out, "%s$%zu\r\n%s\r\n", head, sizeof script - 1, script);
        unsigned before = told;
        assert_non_null(redis_submit(links[i - 1], out, (size_t)len, 5, see, NULL));
        loop_until(loop, told > before, 5);
        assert_int_equal(last.status, REDIS_BYTES);
        snprintf(sha, sizeof sha, "%.40s", text);
    }
    DO("SET", one, "x", "PX", "60000");
    run("move %u %u %u halfway", moved.slot, moved.from, moved.to); /* its only key is there now */
    DO("GET", one);
    assert_string_equal(text, "x");
    assert_int_equal(metrics.value[METRIC_CLUSTER_ASK], 1);
    DO("SET", two, "y", "PX", "60000"); /* a new one begins its life there */
    assert_int_equal(metrics.value[METRIC_CLUSTER_ASK], 2);
    DO("UNLINK", two);
    unsigned before = told;
    struct redis_call *waits = ASK(8, "EVALSHA", sha, "2", one, two);
    assert_non_null(waits);
    /* Its deadline counts over all of it; unless that falls between command and reply, it was not carried out. */
    for (unsigned try = 0; try < 10 && (told == before || last.status == REDIS_LATE); try++) {
        before = told;
        assert_non_null(ASK(0.15, "EVALSHA", sha, "2", one, two));
        loop_until(loop, told > before, 5);
        assert_int_equal(told, before + 1);
    }
    assert_int_equal(last.status, REDIS_ERROR);
    assert_memory_equal(text, "TRYAGAIN", 8);
    assert_true(metrics.value[METRIC_CLUSTER_TRYAGAIN] > 2);
    run("finish %u %u %u", moved.slot, moved.from, moved.to);
    loop_until(loop, told > before + 1, 8);
    assert_int_equal(last.status, REDIS_INT);
    assert_int_equal(last.integer, 1);
    run("move %u %u %u", moved.slot, moved.to, moved.from);
}

/* Of AddressSanitizer; elsewhere it is not there. */
extern size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

/* A slot may be open for days, and each new key that comes meanwhile is sent on. */
static void what_is_sent_on_leaves_nothing_behind(void **state)
{
    enum { SENT_ON = 300, SLACK = 20000 };
    size_t before = 0;
    (void)state;
    if (!__sanitizer_get_current_allocated_bytes)
        skip();
    choose(4, 0);
    run("open %u %u %u", moved.slot, moved.from, moved.to);
    for (unsigned i = 0; i < 2 * SENT_ON; i++) {
        char key[40];
        snprintf(key, sizeof key, "%.11s:%u", moved.key, i);
        DO("SET", key, "x", "PX", "60000");
        if (i == SENT_ON)
            before = __sanitizer_get_current_allocated_bytes();
    }
    assert_int_equal(metrics.value[METRIC_CLUSTER_ASK], 2 * SENT_ON);
    assert_true(__sanitizer_get_current_allocated_bytes() < before + SLACK);
    run("finish %u %u %u", moved.slot, moved.from, moved.to);
    run("move %u %u %u", moved.slot, moved.to, moved.from);
}

/* The script at all primaries; sha[41]. */
static void load(const char *script, char sha[41])
{
    struct redis *links[REDIS_LINKS];
    for (unsigned i = redis_links(redis, links); i > 0; i--) {
        struct buf out;
        unsigned before = told;
        buf_init(&out);
        resp_command(&out, (const char *const[]){"SCRIPT", "LOAD", script}, 3);
        assert_non_null(redis_submit(links[i - 1], (const char *)out.data, out.len, 5, see, NULL));
        buf_free(&out);
        loop_until(loop, told > before, 5);
        assert_int_equal(last.status, REDIS_BYTES);
        snprintf(sha, 41, "%.40s", text);
    }
}

/* A claim that is asked for elsewhere asks by the clock of that primary, and by the contact with it. */
static void a_claim_takes_the_times_of_where_it_goes(void **state)
{
    static const char placed[] = "................";
    char sha[41], one[40], two[40];
    double times[2];
    struct buf out;
    (void)state;
    load("return ARGV[1]", sha);
    choose(3, 1);
    snprintf(one, sizeof one, "%.11s:one", moved.key);
    snprintf(two, sizeof two, "%.11s:two", moved.key);
    DO("SET", one, "x", "PX", "60000");
    run("move %u %u %u halfway", moved.slot, moved.from, moved.to);
    buf_init(&out);
    resp_command(&out, (const char *const[]){"EVALSHA", sha, "1", two, placed}, 5);
    const uint8_t *at = memmem(out.data, out.len, placed, sizeof placed - 1);
    unsigned before = told;
    struct redis_call *call = redis_submit(redis, out.data, out.len, 2, see, NULL);
    assert_non_null(call);
    redis_call_times(call, (size_t)(at - out.data));
    buf_free(&out);
    loop_until(loop, told > before, 5);
    assert_int_equal(metrics.value[METRIC_CLUSTER_ASK], 1);
    assert_int_equal(last.status, REDIS_BYTES);
    memcpy(times, seen, sizeof times);
    double now = (double)redis_clock_us(last.from);
    assert_true(times[0] > now && times[0] < now + 2.1e6);
    assert_true((uint64_t)times[1] == redis_contact_us(last.from));
    run("finish %u %u %u", moved.slot, moved.from, moved.to);
    run("move %u %u %u", moved.slot, moved.to, moved.from);
}

static unsigned good, bad;

static void count(void *arg, const struct redis_reply *reply)
{
    (void)arg;
    good += reply->status == REDIS_BYTES;
    bad += reply->status != REDIS_BYTES;
}

static bool set_of(unsigned i)
{
    char key[32];
    struct buf out;
    key_of(i, key);
    buf_init(&out);
    resp_command(&out, (const char *const[]){"SET", key, "v", "PX", "60000"}, 5);
    bool sent = redis_submit(redis, out.data, out.len, 1, count, NULL) != NULL;
    buf_free(&out);
    return sent;
}

/* The others are not asked to wait for it. */
static void a_primary_dies_and_its_replica_takes_over(void **state)
{
    char key[32];
    unsigned dead = 0, alive = 0;
    (void)state;
    for (unsigned i = 0; i < KEYS && (!dead || !alive); i++) {
        key_of(i, key);
        bool first = slot_of_key(slice_of(key)) <= 5460;
        dead = first && !dead ? i : dead;
        alive = !first && !alive ? i : alive;
    }
    good = bad = 0;
    assert_true(set_of(dead) && set_of(alive));
    loop_until(loop, good == 2, 5);
    kill(pid_of(0), SIGKILL);
    loop_until(loop, !redis_whole(redis), 5);
    assert_true(redis_ready(redis));
    assert_false(set_of(dead));
    for (unsigned i = 0; i < 50; i++) {
        assert_true(set_of(alive));
        loop_until(loop, good == 3 + i, 1);
    }
    assert_int_equal(bad, 0);
    loop_until(loop, redis_whole(redis), 20);
    assert_true(set_of(dead));
    loop_until(loop, good == 53, 5);
    assert_int_equal(metrics.value[METRIC_CLUSTER_PRIMARIES], 3);
}

static void cli(unsigned node, const char *words)
{
    char command[256];
    snprintf(command, sizeof command, "redis-cli -p %d %s >>%s/words.log", port[node], words, dir);
    assert_int_equal(system(command), 0);
}

/* Who is asked for the map is cut off from the others: it takes itself for the primary still, and writes for nobody. */
static void who_is_cut_off_is_not_believed_for_ever(void **state)
{
    static const struct redis_events events = {.ready = on_ready};
    char words[64], key[32];
    unsigned its = 0;
    (void)state;
    redis_free(redis);
    config->redis.seeds.n = 2;
    snprintf(config->redis.seeds.item[0], sizeof config->redis.seeds.item[0], "127.0.0.1:%d", port[1]);
    snprintf(config->redis.seeds.item[1], sizeof config->redis.seeds.item[1], "127.0.0.1:%d", port[5]);
    redis = redis_new(loop, &config->redis, &events, NULL, &metrics);
    loop_until(loop, redis_whole(redis), 10);
    do
        key_of(++its, key);
    while (slot_of_key(slice_of(key)) <= 5460 || slot_of_key(slice_of(key)) > 10922);
    cli(1, "config set cluster-require-full-coverage yes");
    for (unsigned i = 0; i < NODES; i++) {
        snprintf(words, sizeof words, "cluster forget %040u", i + 1);
        if (i != 1)
            cli(1, words); /* it listens to nobody any more */
    }
    do
        DO("SET", key, "v", "PX", "60000");
    while (last.status == REDIS_BYTES);
    assert_memory_equal(text, "CLUSTERDOWN", 11);
    cli(4, "cluster failover takeover");
    good = 0;
    loop_until(loop, set_of(its) && good > 0, 10);
    assert_int_equal(metrics.value[METRIC_CLUSTER_PRIMARIES], 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_key_is_its_primarys, open_router, close_router),
        cmocka_unit_test_setup_teardown(keys_of_different_slots_are_not_sent, open_router, close_router),
        cmocka_unit_test_setup_teardown(a_moved_slot_is_followed_within_the_call, open_router, close_router),
        cmocka_unit_test_setup_teardown(a_primary_has_another_tag_when_its_slot_leaves, open_router,
                                        close_router),
        cmocka_unit_test_setup_teardown(asking_is_tried, open_router, close_router),
        cmocka_unit_test_setup_teardown(a_slot_on_its_way_is_asked_for_and_waited_for, open_router,
                                        close_router),
        cmocka_unit_test_setup_teardown(what_is_sent_on_leaves_nothing_behind, open_router, close_router),
        cmocka_unit_test_setup_teardown(a_claim_takes_the_times_of_where_it_goes, open_router, close_router),
        cmocka_unit_test_setup_teardown(a_primary_dies_and_its_replica_takes_over, open_router, close_router),
        cmocka_unit_test_setup_teardown(who_is_cut_off_is_not_believed_for_ever, open_router, close_router),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, start_nodes, stop_nodes);
}
