// SPDX-License-Identifier: MIT
/* getaddrinfo_a() of glibc, asked by a timer: no signal, no thread of ours. What cannot be cancelled is still
 * written to by glibc: then the timer goes on until it is done, and only then is the memory given back.
 *
 *   asked ──done──► fn            asked ──resolve_free()──► forgotten ──done──► freed
 */
#include "adapters/resolve.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "domain/config.h"

#define LOOK 0.005

struct resolve {
    struct ev_loop *loop;
    ev_timer timer;
    resolve_fn *fn; /* NULL: forgotten */
    void *arg;
    config_text host;
    const char *port; /* inside host, behind the colon */
    struct addrinfo hints;
    struct gaicb request;
};

bool resolve_wanted(const char *address)
{
    char host[INET_ADDRSTRLEN];
    struct in_addr number;
    const char *colon = strrchr(address, ':');
    if (strchr(address, '@') || *address == '[' || !colon)
        return false;
    size_t len = (size_t)(colon - address);
    if (len >= sizeof host)
        return true;
    memcpy(host, address, len);
    host[len] = '\0';
    return inet_pton(AF_INET, host, &number) != 1;
}

static void destroy(struct resolve *r)
{
    ev_timer_stop(r->loop, &r->timer);
    if (r->request.ar_result)
        freeaddrinfo(r->request.ar_result);
    free(r);
}

/* IPv4 first, as hiredis does: "localhost" is where servers listen. */
static const struct addrinfo *best_of(const struct addrinfo *all)
{
    for (const struct addrinfo *a = all; a; a = a->ai_next)
        if (a->ai_family == AF_INET)
            return a;
    return all;
}

static bool write_address(const struct resolve *r, char *out, size_t size)
{
    char number[INET6_ADDRSTRLEN];
    const struct addrinfo *a = best_of(r->request.ar_result);
    if (!a || getnameinfo(a->ai_addr, a->ai_addrlen, number, sizeof number, NULL, 0, NI_NUMERICHOST) != 0)
        return false;
    snprintf(out, size, a->ai_family == AF_INET6 ? "[%s]:%s" : "%s:%s", number, r->port);
    return true;
}

static void on_timer(struct ev_loop *loop, ev_timer *t, int revents)
{
    struct resolve *r = t->data;
    char address[INET6_ADDRSTRLEN + 16];
    (void)loop;
    (void)revents;
    int rc = gai_error(&r->request);
    if (rc == EAI_INPROGRESS)
        return;
    resolve_fn *fn = r->fn;
    void *arg = r->arg;
    bool found = rc == 0 && write_address(r, address, sizeof address);
    destroy(r);
    if (fn)
        fn(arg, found ? address : NULL, found ? "" : gai_strerror(rc ? rc : EAI_NONAME));
}

struct resolve *resolve_new(struct ev_loop *loop, const char *address, resolve_fn *fn, void *arg)
{
    struct resolve *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    *r = (struct resolve){.loop = loop, .fn = fn, .arg = arg, .hints = {.ai_socktype = SOCK_STREAM}};
    snprintf(r->host, sizeof r->host, "%s", address);
    char *colon = strrchr(r->host, ':');
    *colon = '\0';
    r->port = colon + 1;
    r->request = (struct gaicb){.ar_name = r->host, .ar_request = &r->hints};
    struct gaicb *list[] = {&r->request};
    if (getaddrinfo_a(GAI_NOWAIT, list, 1, NULL) != 0) {
        free(r);
        return NULL;
    }
    ev_timer_init(&r->timer, on_timer, LOOK, LOOK);
    r->timer.data = r;
    ev_timer_start(loop, &r->timer);
    return r;
}

void resolve_free(struct resolve *r)
{
    if (!r)
        return;
    int rc = gai_cancel(&r->request);
    if (rc == EAI_NOTCANCELED && gai_error(&r->request) == EAI_INPROGRESS)
        r->fn = NULL;
    else
        destroy(r);
}
