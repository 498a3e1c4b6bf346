// SPDX-License-Identifier: MIT
/* Builds the rooms in the order of agent.c from a configuration file that it writes, and takes them down in
 * the order of agent_free(); at the end nothing may be left (no live request, no socket). */
#include "tests/support/room_fixture.h"

#include <setjmp.h>
#include <signal.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "adapters/conffile.h"
#include "adapters/listener.h"
#include "adapters/log.h"
#include "rooms/txn.h"

static const double patience = 5;

static const char base[] =
    "log = { level = \"error\"; };\n"
    "redis = { address = \"unix@%s\"; deadline = \"200ms\"; reconnect = \"100ms\"; };\n"
    "policies = (\n"
    "  { name = \"payments\"; idempotency = { principal = \"none\"; fingerprint = \"headers\";\n"
    "      inflight = \"lease\"; lock = \"30s\"; record = \"2h\"; required = true; }; },\n"
    "  { name = \"held\"; idempotency = { principal = \"none\"; fingerprint = \"none\"; methods = \"any\";\n"
    "      inflight = \"lease\"; lock = \"30s\"; record = \"2h\"; on_unknown = \"hold\"; }; },\n"
    "  { name = \"both\"; idempotency = { principal = \"none\"; fingerprint = \"none\"; inflight = "
    "\"lease\";\n"
    "      lock = \"30s\"; record = \"2h\"; };\n"
    "    limits = ( { name = \"all\"; rate = \"3/hour\"; key = \"global\"; } ); },\n"
    "  { name = \"quotes\"; limits = ( { name = \"each\"; rate = \"3/hour\"; key = \"ip\"; } ); },\n"
    "  { name = \"each\"; idempotency = { principal = \"none\"; fingerprint = \"none\"; inflight = "
    "\"lease\";\n"
    "      lock = \"30s\"; record = \"2h\"; required = true; };\n"
    "    limits = ( { name = \"address\"; rate = \"3/hour\"; key = \"ip\"; charge = \"all\"; fail_open = "
    "true; },\n"
    "      { name = \"forwarded\"; rate = \"9/hour\"; key = \"ip\"; fail_open = true; },\n"
    "      { name = \"shadow\"; rate = \"1/hour\"; key = \"ip\"; shadow = true; } ); },\n"
    "  { name = \"waits\"; idempotency = { principal = \"none\"; fingerprint = \"headers\"; wait = \"1s\";\n"
    "      inflight = \"lease\"; lock = \"30s\"; record = \"2h\"; required = true; fail_open = true; };\n"
    "    limits = ( { name = \"few\"; rate = \"2/hour\"; key = \"global\"; fail_open = true; },\n"
    "      { name = \"every\"; rate = \"4/hour\"; key = \"global\"; charge = \"all\"; fail_open = true; } ); "
    "},\n"
    "  { name = \"patient\"; idempotency = { principal = \"none\"; fingerprint = \"headers\"; wait = "
    "\"1s\";\n"
    "      inflight = \"lease\"; lock = \"30s\"; record = \"2h\"; required = true; }; },\n"
    "  { name = \"costly\"; idempotency = { principal = \"none\"; fingerprint = \"none\"; inflight = "
    "\"lease\";\n"
    "      lock = \"30s\"; record = \"2h\"; required = true; };\n"
    "    limits = ( { name = \"units\"; rate = \"3/hour\"; key = \"global\"; cost = \"cost\"; } ); },\n"
    "  { name = \"seats\"; idempotency = { principal = \"none\"; fingerprint = \"headers\"; inflight = "
    "\"lease\"; lock = \"30s\"; };\n"
    "    limits = ( { name = \"seat\"; concurrent = 1; key = \"seat\"; } ); },\n"
    "  { name = \"pages\"; cache = { ttl = \"30s\"; stale_if_error = \"1h\"; stale_while_revalidate = "
    "\"1h\"; vary = [ "
    "\"accept\",\n"
    "      \"accept-encoding\" ]; tags = \"Surrogate-Key\"; fill = \"1s\"; not_storable = \"1s\"; }; },\n"
    "  { name = \"mine\"; cache = { per = \"principal\"; principal = \"user\"; query = [ \"page\" ]; }; },\n"
    "  { name = \"metered\"; cache = { ttl = \"30s\"; };\n"
    "    limits = ( { name = \"few\"; rate = \"3/hour\"; key = \"ip\"; } ); },\n"
    "  { name = \"lenient\"; cache = { ttl = \"30s\"; };\n"
    "    limits = ( { name = \"free\"; rate = \"3/hour\"; key = \"global\"; fail_open = true; } ); },\n"
    "  { name = \"lent-pages\"; cache = { ttl = \"1h\"; };\n"
    "    limits = ( { name = \"pool\"; rate = \"100/hour\"; key = \"policy\"; lease = 20; } ); },\n"
    "  { name = \"lent\"; limits = ( { name = \"pool\"; rate = \"100/hour\"; key = \"policy\"; lease = 20; } "
    "); },\n"
    "  { name = \"lent-open\"; limits = ( { name = \"pool\"; rate = \"100/hour\"; key = \"policy\"; lease = "
    "20; fail_open = true; } ); },\n"
    "  { name = \"lent-key\"; idempotency = { principal = \"none\"; fingerprint = \"headers\"; inflight = "
    "\"lease\"; lock = \"30s\"; required = true; };\n"
    "    limits = ( { name = \"few\"; rate = \"9/hour\"; key = \"ip\"; }, { name = \"pool\"; rate = "
    "\"100/hour\"; key = \"ip\"; lease = 20; },\n"
    "      { name = \"every\"; rate = \"90/hour\"; key = \"ip\"; lease = 20; charge = \"all\"; } ); },\n"
    "  { name = \"lent-sole\"; idempotency = { principal = \"none\"; fingerprint = \"headers\"; inflight = "
    "\"lease\"; lock = \"30s\"; required = true; };\n"
    "    limits = ( { name = \"pool\"; rate = \"100/hour\"; key = \"policy\"; lease = 20; } ); },\n"
    "  { name = \"two\"; limits = ( { name = \"client\"; rate = \"5/hour\"; key = \"ip\"; }, { name = "
    "\"all\"; rate = "
    "\"3/hour\"; key = \"global\"; } ); },\n"
    "  { name = \"slots\"; idempotency = { principal = \"none\"; methods = \"PUT\"; inflight = \"lease\";\n"
    "      lock = \"30s\"; record = \"2h\"; };\n"
    "    limits = ( { name = \"in-flight\"; concurrent = 1; key = \"global\"; } ); } );\n"
    "%s";

static void fail_config(void *arg, const char *file, unsigned line, const char *text)
{
    (void)arg;
    fail_msg("%s:%u: %s", file, line, text);
}

struct config *room_config(struct room *r, const char *more)
{
    char path[128];
    snprintf(path, sizeof path, "%s/agent.conf", r->redis.server.dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, base, r->redis.server.socket, more);
    if (!strstr(more, "cache = "))
        fprintf(f, "cache = { deadline = \"400ms\"; };\n"); /* sanitizers, and several tests at a time */
    fclose(f);
    struct config *c = conffile_read(path, fail_config, NULL);
    unlink(path);
    assert_non_null(c);
    limit_counts_attach(&r->limits, c);
    cache_counts_attach(&r->caches, c);
    return c;
}

/* What a cluster cannot decide at all is no mistake here: tests leave those policies alone. */
static void pass_over(void *arg, const struct config_place *at, const char *text)
{
    (void)arg;
    (void)at;
    (void)text;
}

void room_split(struct room *r)
{
    r->redis.config->redis.mode = REDIS_MODE_CLUSTER;
    config_check(r->redis.config, pass_over, NULL);
}

static void on_ready(struct redis_fixture *f)
{
    struct room *r = (struct room *)((char *)f - offsetof(struct room, redis));
    guard_ready(r->gate.guard, f->redis);
    acks_ready(r->gate.acks, f->redis);
    completion_flush(r->gate.completion);
    parking_redis_ready(r->gate.parking);
}

static int listen_on(char address[128], const char *dir, const char *name)
{
    char err[256];
    snprintf(address, 128, "unix@%s/%s", dir, name);
    int fd = listener_stream(address, 0600, err, sizeof err);
    assert_true(fd >= 0);
    return fd;
}

static bool is_well(void *arg)
{
    (void)arg;
    return true;
}

void room_start(struct room *r, const char *more)
{
    *r = (struct room){0};
    assert_true(sodium_init() >= 0);
    redis_fixture_start(&r->redis);
    config_drop(r->redis.config);
    r->redis.config = room_config(r, more);
    r->redis.metrics.limits = &r->limits;
    r->redis.metrics.caches = &r->caches;
    log_setup(LOG_TEXT, LOG_ERROR);
    r->redis.on_ready = on_ready;
    redis_fixture_connect(&r->redis);
    struct gate *g = &r->gate;
    struct config *c = r->redis.config;
    *g = (struct gate){
        .loop = r->redis.loop, .config = c, .redis = r->redis.redis, .metrics = &r->redis.metrics};
    g->guard = guard_new(g->loop, g->redis, c, g->metrics);
    g->acks = acks_new(g->loop, c, g->metrics);
    g->completion = completion_new(g->loop, g->redis, c, g->metrics);
    g->inflight = inflight_new(g->loop, g->redis, g->completion, c, g->metrics);
    static const struct replay_health health = {is_well, NULL};
    g->parking = parking_new(g->loop, g->redis, c, g->metrics);
    g->cache = cache_new(g->loop, g->redis, g->parking, c, g->metrics);
    g->loans = loans_new(g->loop, g->redis, g->guard, c, g->metrics);
    g->shield = shield_new(c, g->metrics);
    g->sharing = sharing_new(c, g->metrics);
    g->sealer = sealer_new(g->loop, c, g->metrics);
    g->replay = replay_new(g->loop, listen_on(r->replay_address, r->redis.server.dir, "replay"), g->redis,
                           g->sealer, c, g->metrics, &health);
    replay_set_cache(g->replay, g->cache);
    int fd = listen_on(r->address, r->redis.server.dir, "spop");
    r->sessions = sessions_new(g, &fd, 1);
    assert_true(g->guard && g->acks && g->completion && g->inflight && g->parking && g->cache && g->loans &&
                g->shield && g->sharing && g->sealer && g->replay && r->sessions);
    completion_set_acks(g->completion, g->acks);
    inflight_set_acks(g->inflight, g->acks);
    redis_fixture_until_ready(&r->redis, 1);
}

/* The order of agent_free(). */
void room_stop(struct room *r)
{
    room_thaw(r);
    assert_int_equal(redis_server_immortals(&r->redis.server), 0);
    sessions_free(r->sessions);
    acks_free(r->gate.acks);
    loans_close(r->gate.loans);
    inflight_free(r->gate.inflight);
    redis_free(r->gate.redis);
    r->redis.redis = NULL;
    loans_free(r->gate.loans);
    cache_free(r->gate.cache);
    parking_free(r->gate.parking);
    guard_free(r->gate.guard);
    completion_free(r->gate.completion);
    replay_free(r->gate.replay);
    sealer_free(r->gate.sealer);
    shield_free(r->gate.shield);
    sharing_free(r->gate.sharing);
    txn_free_spare(&r->gate);
    assert_int_equal(r->gate.live, 0);
    listener_remove(r->address);
    listener_remove(r->replay_address);
    buf_free(&r->raw);
    redis_fixture_stop(&r->redis);
}

void room_dial(struct room *r, struct peer *p)
{
    peer_open(p, r->redis.loop, r->address);
    assert_int_equal(peer_hello(p, 16380, false), 16380);
}

static void request(struct peer *p, uint64_t stream, const char *message, const char *policy, const char *key,
                    const char *rid, const char *lost, int64_t content_length)
{
    peer_notify(p, stream, message);
    peer_str(p, "policy", policy);
    peer_str(p, "rid", rid);
    if (lost)
        peer_str(p, "lost", lost);
    peer_str(p, "process", "4711.1700000000000000.host");
    peer_str(p, "method", "POST");
    peer_str(p, "path", "/payments");
    peer_str(p, "key", key);
    peer_int(p, "keys", 1);
    peer_int(p, "content_length", content_length);
}

void room_begin(struct peer *p, uint64_t stream, const char *message, const char *policy, const char *key,
                const char *rid, int64_t content_length)
{
    request(p, stream, message, policy, key, rid, NULL, content_length);
}

void room_request_of(struct peer *p, uint64_t stream, const char *message, const char *policy,
                     const char *key, const char *rid, int64_t content_length)
{
    room_begin(p, stream, message, policy, key, rid, content_length);
    peer_end(p);
}

void room_again(struct peer *p, uint64_t stream, const char *message, const char *key, const char *rid,
                const char *lost)
{
    request(p, stream, message, "payments", key, rid, lost, 10);
    peer_end(p);
    peer_send(p);
}

void room_request(struct peer *p, uint64_t stream, const char *policy, const char *key, const char *rid)
{
    room_request_of(p, stream, "once-request", policy, key, rid, 10);
    peer_send(p);
}

bool room_record(struct room *r, struct record *out)
{
    redisReply *keys = redisCommand(r->redis.server.c, "KEYS once:*:r:*");
    assert_non_null(keys);
    assert_true(keys->elements <= 1);
    bool found = keys->elements == 1;
    if (found) {
        redisReply *value = redisCommand(r->redis.server.c, "GET %s", keys->element[0]->str);
        buf_reset(&r->raw);
        buf_put(&r->raw, value->str, value->len);
        freeReplyObject(value);
        assert_int_equal(record_open(r->raw.data, r->raw.len, out), 0);
    }
    freeReplyObject(keys);
    return found;
}

char room_state(struct room *r)
{
    struct record record;
    return room_record(r, &record) ? (char)record.state : '-';
}

void room_turn(struct room *r, double seconds)
{
    redis_fixture_run(&r->redis, seconds);
}

void room_until_state(struct room *r, char state)
{
    for (ev_tstamp until = ev_time() + patience; room_state(r) != state && ev_time() < until;)
        room_turn(r, 0.005);
    assert_int_equal(room_state(r), state);
}

void room_until(struct room *r, enum metric m, uint64_t value)
{
    for (ev_tstamp until = ev_time() + patience; room_counted(r, m) != value && ev_time() < until;)
        room_turn(r, 0.002);
    assert_int_equal(room_counted(r, m), value);
}

uint64_t room_counted(const struct room *r, enum metric m)
{
    return r->redis.metrics.value[m];
}

uint64_t room_decided(const struct room *r, const char *policy, const char *limit, enum limit_decision d)
{
    for (unsigned i = 0; i < r->limits.n; i++)
        if (strcmp(r->limits.row[i].policy, policy) == 0 && strcmp(r->limits.row[i].limit, limit) == 0)
            return r->limits.row[i].value[d];
    fail_msg("no limit %s", limit);
    return 0;
}

void room_freeze(struct room *r)
{
    kill(r->redis.server.pid, SIGSTOP);
}

void room_thaw(struct room *r)
{
    kill(r->redis.server.pid, SIGCONT);
}
