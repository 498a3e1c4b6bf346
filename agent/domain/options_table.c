// SPDX-License-Identifier: MIT
/* The options. Whoever adds one adds its field to domain/config.h and its row here,
 * and prints the reference anew.
 *
 *   file                                            table       base
 *   redis = { deadline = "300ms"; };                config      struct config
 *   haproxy = ( { socket = "/run/..."; } );         haproxy     one element of config.haproxy
 *   policies = ( { name = "payments";               policies    struct policy
 *       idempotency = { lock = "30s"; };            idempotency struct idempotency
 *       cache = { ttl = "30s"; };                   cache       struct cache_policy
 *       limits = ( { rate = "6/min";                limits      struct limit
 *           tiers = ( { rate = "9/min"; } ); } ); } );   tiers  struct tier
 */
#include "domain/options.h"

enum {
    START = 0,
    REQUIRED = OPTION_REQUIRED,
    OPTIONAL = OPTION_OPTIONAL,
    SECRET = OPTION_SECRET,
    RELOAD = OPTION_RELOAD,
};

/* A row: a value of a range, one word of some, or anything of its type. */
#define ROW(path, type, field, deflt, min, max, words, flags, help)                                          \
    {                                                                                                        \
        path, OPT_##type, offsetof(BASE, field), deflt, min, max, words, flags, help                         \
    }
#define RANGE(path, type, field, deflt, min, max, flags, help)                                               \
    ROW(path, type, field, deflt, min, max, NULL, flags, help)
#define CHOICE(path, field, deflt, words, flags, help)                                                       \
    ROW(path, ENUM, field, deflt, NULL, NULL, words, flags, help)
#define PLAIN(path, type, field, deflt, flags, help)                                                         \
    ROW(path, type, field, deflt, NULL, NULL, NULL, flags, help)
static const char *const log_formats[] = {"text", "json", NULL};
static const char *const log_levels[] = {"error", "warning", "notice", "info", "debug", NULL};
static const char *const fingerprints[] = {"raw", "headers", "none", "json", NULL};
static const char *const key_scopes[] = {"policy", "host", "path", NULL};
static const char *const on_unknowns[] = {"release", "hold", NULL};
static const char *const redis_modes[] = {"auto", "single", "sentinel", "cluster", NULL};
static const char *const on_data_losses[] = {"continue", "refuse", NULL};
static const char *const algorithms[] = {"token-bucket", "sliding-window", NULL};
static const char *const charges[] = {"forwarded", "all", NULL};
static const char *const limit_fields[] = {"ietf", "x-ratelimit", "both", "none", NULL};
static const char *const cache_pers[] = {"public", "principal", NULL};
static const char *const inflight_modes[] = {"poll", "lease", NULL};

/* ACCEPTANCE I5: what belongs to one connection, one moment or one try, and what would hand one client's
 * session to another. Retry-After stays: with a 202 it belongs to the answer. */
static const char never_replayed[] =
    "set-cookie, set-cookie2, date, age, via, www-authenticate, proxy-authenticate, authentication-info, "
    "ratelimit*, x-ratelimit*, x-rate-limit*, request-id, x-request-id, x-correlation-id, traceparent, "
    "tracestate, x-trace-id, x-b3-*, b3, server-timing";

#define BASE struct config
static const struct option config_options[] = {
    CHOICE("log.format", log.format, "text", log_formats, RELOAD, "How a log line is written."),
    CHOICE("log.level", log.level, "info", log_levels, RELOAD, "The least important event that is logged."),

    PLAIN("spop.listen", LISTEN, spop.listen, "unix@/run/spoa-once/spop.sock", START,
          "Where HAProxy's SPOE filters connect to."),
    RANGE("spop.mode", MODE, spop.mode, "0660", "0600", "0777", START, "Permissions of those unix sockets."),
    RANGE("spop.max_connections", COUNT, spop.max_connections, "16384", "1", "65536", RELOAD,
          "SPOP connections at one time; more are refused. Above all that may wait (wait.max_parked)."),
    RANGE("spop.max_frame", SIZE, spop.max_frame, "64k", "4k", "1m", RELOAD,
          "Largest frame; HAProxy's own offer (tune.bufsize less 4) counts if it is smaller."),
    RANGE("spop.max_pending", COUNT, spop.max_pending, "1024", "1", "65536", RELOAD,
          "Messages of one connection that wait for their answer."),
    RANGE("spop.idle", MSEC, spop.idle_ms, "10m", "0s", "1d", RELOAD,
          "A connection without a frame for so long is closed; 0s: never. Longer than HAProxy's timeout "
          "idle."),
    RANGE("spop.maxrewrite", SIZE, spop.maxrewrite, "0", "0", "64k", RELOAD,
          "HAProxy's tune.maxrewrite (attach/global.cfg: 1024): what its buffers keep free. 0: not known; "
          "half of the "
          "buffer is assumed, and a body without length counts as whole only in the other half."),

    PLAIN("replay.listen", STREAM, replay.listen, "unix@/run/spoa-once/replay.sock", OPTIONAL | START,
          "Where HAProxy's backend once_replay fetches stored answers; needed with idempotency."),
    RANGE("replay.mode", MODE, replay.mode, "0660", "0600", "0777", START,
          "Permissions of that unix socket."),
    RANGE("replay.max_connections", COUNT, replay.max_connections, "1024", "1", "65536", START,
          "HAProxy's connections to it at one time, idle ones too; more wait until one ends."),
    RANGE("replay.max_head", SIZE, replay.max_head, "16k", "4k", "256k", START,
          "Largest head of a request to it, and of a stored answer; not below HAProxy's tune.bufsize. A "
          "connection has thrice that."),
    RANGE("replay.memory", SIZE, replay.memory, "64m", "0", "2g", RELOAD,
          "Answers kept in memory until they are fetched; others come from Redis."),
    RANGE("replay.keep", MSEC, replay.keep_ms, "5s", "10ms", "1m", RELOAD,
          "How long such an answer is kept."),
    PLAIN("replay.drop", HEADERS, replay.drop, never_replayed, OPTIONAL | RELOAD,
          "Headers that are never stored, beside those of one connection. Replaces the whole list."),
    PLAIN("replay.seal_keys", PATHS, replay.seal_keys, "", OPTIONAL | RELOAD,
          "Files with a key each, not readable by everybody: the first one seals what is stored of answers, "
          "all "
          "open it. Empty: answers are stored as they are."),

    PLAIN("http.listen", STREAM, http.listen, "127.0.0.1:9180", OPTIONAL | START,
          "Metrics, health and version; empty: none."),

    PLAIN("admin.listen", STREAM, admin.listen, "unix@/run/spoa-once/admin.sock", OPTIONAL | START,
          "Where oncectl asks; a unix socket: who may connect may read every stored answer and free every "
          "key. Empty: none."),
    RANGE("admin.mode", MODE, admin.mode, "0600", "0600", "0660", START, "Permissions of that unix socket."),

    PLAIN("notices.listen", DATAGRAM, notices.listen, "", OPTIONAL | START,
          "Where HAProxy's log lines arrive as hints; empty: none. Wanted with on_unknown = \"hold\"."),
    RANGE("notices.mode", MODE, notices.mode, "0660", "0600", "0777", START,
          "Permissions of that unix socket."),

    PLAIN("traffic.listen", DATAGRAM, traffic.listen, "", OPTIONAL | START,
          "Where a gateway's access log arrives to be counted by route; empty: none."),
    RANGE("traffic.mode", MODE, traffic.mode, "0660", "0600", "0777", START,
          "Permissions of that unix socket."),

    CHOICE(
        "redis.mode", redis.mode, "auto", redis_modes, START,
        "One Redis, the one that Sentinels name, or a Redis Cluster (with redis.seeds); auto: the Sentinels' "
        "if there are any, else one."),
    PLAIN("redis.address", SERVER, redis.address, "127.0.0.1:6379", RELOAD,
          "The Redis that holds the records. Not together with redis.sentinels; not looked at in a cluster."),
    PLAIN("redis.seeds", SERVERS, redis.seeds, "", OPTIONAL | START,
          "Some nodes of the cluster, primaries or replicas: they name the others."),
    PLAIN("redis.username", TEXT, redis.username, "", OPTIONAL | RELOAD,
          "User of Redis' ACL; empty: the default user."),
    PLAIN("redis.password", TEXT, redis.password, "", OPTIONAL | SECRET | RELOAD,
          "Better from ${ENV} or a file."),
    PLAIN("redis.password_file", PATH, redis.password_file, "", OPTIONAL | RELOAD,
          "File with the password, not readable by everybody; a newline at its end does not count."),
    PLAIN("redis.sentinels", SERVERS, redis.sentinels, "", OPTIONAL | RELOAD,
          "Sentinels that are asked which Redis is the primary; all that there are."),
    PLAIN("redis.sentinel_name", TEXT, redis.sentinel_name, "", OPTIONAL | RELOAD,
          "What the Sentinels call this Redis (sentinel monitor NAME ..)."),
    PLAIN("redis.sentinel_username", TEXT, redis.sentinel_username, "", OPTIONAL | RELOAD,
          "User of the Sentinels' ACL; empty: their default user."),
    PLAIN("redis.sentinel_password", TEXT, redis.sentinel_password, "", OPTIONAL | SECRET | RELOAD,
          "The Sentinels' own, not that of Redis; better from ${ENV} or a file."),
    PLAIN("redis.sentinel_password_file", PATH, redis.sentinel_password_file, "", OPTIONAL | RELOAD,
          "File with it, not readable by everybody."),
    RANGE("redis.db", COUNT, redis.db, "0", "0", "65535", RELOAD, "Number of the database."),
    RANGE("redis.deadline", MSEC, redis.deadline_ms, "300ms", "10ms", "10s", RELOAD,
          "For one decision; less than the processing timeout of HAProxy's engine."),
    RANGE("redis.reconnect", MSEC, redis.reconnect_ms, "500ms", "10ms", "1m", RELOAD,
          "Longest pause between two attempts to connect; less than a third of every lock."),
    RANGE("redis.max_pending", COUNT, redis.max_pending, "10000", "1", "1000000", RELOAD,
          "Commands on their way; more are refused at once."),
    RANGE("redis.ack_replicas", COUNT, redis.ack_replicas, "0", "0", "16", RELOAD,
          "Replicas that must have a grant before it is answered, and an outcome before it counts."),
    RANGE("redis.ack_timeout", MSEC, redis.ack_timeout_ms, "100ms", "5ms", "500ms", RELOAD,
          "How long their acknowledgement is waited for; twice this must be below redis.deadline."),
    CHOICE("redis.on_data_loss", redis.on_data_loss, "continue", on_data_losses, RELOAD,
           "When Redis has forgotten records: only said and counted, or protected requests are refused until "
           "an operator says go."),

    RANGE("cache.deadline", MSEC, cache.deadline_ms, "50ms", "1ms", "10s", RELOAD,
          "For one question about a cached answer; later is a miss, never a refusal."),
    RANGE("cache.max_resources", COUNT, cache.max_resources, "10000", "16", "10000000", RELOAD,
          "URLs of which an agent remembers what their answers vary on; of others it asks Redis twice."),
    PLAIN("cache.redis.address", SERVER, cache.redis.address, "", OPTIONAL | RELOAD,
          "A Redis for cached answers alone, which may evict them; empty, and no sentinels: the one of the "
          "records."),
    PLAIN("cache.redis.username", TEXT, cache.redis.username, "", OPTIONAL | RELOAD,
          "User of its ACL; empty: the default user."),
    PLAIN("cache.redis.password", TEXT, cache.redis.password, "", OPTIONAL | SECRET | RELOAD,
          "Better from ${ENV} or a file."),
    PLAIN("cache.redis.password_file", PATH, cache.redis.password_file, "", OPTIONAL | RELOAD,
          "File with the password, as redis.password_file."),
    PLAIN("cache.redis.sentinels", SERVERS, cache.redis.sentinels, "", OPTIONAL | RELOAD,
          "Its Sentinels, as redis.sentinels."),
    PLAIN("cache.redis.sentinel_name", TEXT, cache.redis.sentinel_name, "", OPTIONAL | RELOAD,
          "What they call it."),
    PLAIN("cache.redis.sentinel_username", TEXT, cache.redis.sentinel_username, "", OPTIONAL | RELOAD,
          "User of the Sentinels' ACL; empty: their default user."),
    PLAIN("cache.redis.sentinel_password", TEXT, cache.redis.sentinel_password, "",
          OPTIONAL | SECRET | RELOAD, "The Sentinels' own; better from ${ENV} or a file."),
    PLAIN("cache.redis.sentinel_password_file", PATH, cache.redis.sentinel_password_file, "",
          OPTIONAL | RELOAD, "File with it, not readable by everybody."),
    RANGE("cache.redis.db", COUNT, cache.redis.db, "0", "0", "65535", RELOAD, "Number of its database."),
    RANGE("cache.redis.reconnect", MSEC, cache.redis.reconnect_ms, "500ms", "10ms", "1m", RELOAD,
          "Longest pause between two attempts to connect to it."),
    RANGE("cache.redis.max_pending", COUNT, cache.redis.max_pending, "10000", "1", "1000000", RELOAD,
          "Commands on their way to it; beyond that requests are misses."),

    RANGE("breaker.failures", COUNT, breaker.failures, "5", "1", "1000", RELOAD,
          "Decisions in a row without an answer within redis.deadline, after which requests are refused at "
          "once."),
    RANGE("breaker.probe", MSEC, breaker.probe_ms, "100ms", "10ms", "10s", RELOAD,
          "How often Redis is then asked whether it answers in time again."),

    PLAIN("problems.base", URI, problems.base, "/docs/problems#", RELOAD,
          "Problem types are this and a word (RFC 9457)."),

    RANGE("inflight.poll", MSEC, inflight.poll_ms, "250ms", "50ms", "333ms", RELOAD,
          "How often HAProxy's tables are read; three polls must fit into their expire of 1s."),
    RANGE("inflight.max_entries", COUNT, inflight.max_entries, "102400", "100", "1000000", RELOAD,
          "Entries of one listing; at least the size of HAProxy's tables."),
    RANGE("inflight.lookups", COUNT, inflight.lookups, "200", "0", "2000", RELOAD,
          "Busy keys that are looked up in HAProxy's table before 409 is said, a second; beyond that 409 at "
          "once."),

    RANGE("completion.max_entries", COUNT, completion.max_entries, "10000", "10", "1000000", RELOAD,
          "Outcomes that wait for Redis' confirmation; more are dropped and counted."),
    RANGE("completion.max_bytes", SIZE, completion.max_bytes, "64m", "1m", "2g", RELOAD,
          "Memory of those outcomes."),
    RANGE("completion.response", MSEC, completion.response_ms, "400ms", "10ms", "10s", RELOAD,
          "How long a client's answer waits for its record; less than the response engine's timeout."),

    RANGE("wait.max_parked", COUNT, wait.max_parked, "8000", "0", "1000000", RELOAD,
          "Duplicates that wait at one time (a policy's wait); beyond that 409 at once."),

    RANGE("shield.max_entries", COUNT, shield.max_entries, "65536", "0", "10000000", RELOAD,
          "States of limits that are remembered, so that who is over one is refused without Redis; 0: Redis "
          "is always asked."),
    RANGE("shield.max_shared", COUNT, shield.max_shared, "10000", "0", "1000000", RELOAD,
          "Requests that wait at one time for what Redis says to another one of the same key; more ask "
          "themselves. 0: each does."),

    RANGE("loans.time", MSEC, loans.time_ms, "2s", "500ms", "30s", RELOAD,
          "How long what an agent has taken of a limit (its lease) is kept for it: so long it may spend "
          "without Redis, and so long what an "
          "agent had that died counts as used."),
    RANGE("loans.max_entries", COUNT, loans.max_entries, "4096", "8", "1000000", START,
          "Buckets of which an agent may have something at one time; of others each request asks Redis."),

    RANGE("stop.drain", MSEC, stop.drain_ms, "30s", "0s", "1h", RELOAD,
          "How long the agent goes on serving after SIGTERM."),

    PLAIN("crash.file", PATH, crash.file, "", OPTIONAL | START,
          "Where a crash is counted for the next start; empty: it is logged only. One file for each agent."),
    {.path = NULL},
};

#undef BASE
#define BASE struct haproxy_socket
static const struct option haproxy_options[] = {
    PLAIN("socket", PATH, socket, NULL, REQUIRED | RELOAD,
          "Path of the runtime socket (stats socket, level operator)."),
    {.path = NULL},
};

#undef BASE
#define BASE struct policy
static const struct option policy_options[] = {
    PLAIN("name", NAME, name, NULL, REQUIRED | RELOAD,
          "What HAProxy names in the argument policy. Part of every record's key: a renamed policy begins "
          "anew."),
    RANGE(
        "lease", SEC, lease_s, "30s", "2s", "3968s", RELOAD,
        "How long a slot of a concurrency limit lives without a heartbeat; with idempotency its lock counts "
        "instead."),
    {.path = NULL},
};

#undef BASE
#define BASE struct idempotency
static const struct option idempotency_options[] = {
    PLAIN("principal", NAME, principal, NULL, REQUIRED | RELOAD,
          "Whose key it is: \"none\" (one space for all), \"ip\", or the name of a message argument."),
    PLAIN("required", BOOL, required, "false", RELOAD,
          "A request without a key is refused (400); else it passes unprotected."),
    PLAIN("methods", METHODS, methods, "POST, PATCH", RELOAD, "What is protected: methods, or \"any\"."),
    RANGE("lock", SEC, lock_s, "30s", "2s", "3968s", RELOAD,
          "How long a claim lives without a heartbeat; over 31s it is rounded up by at most a sixteenth."),
    RANGE("record", SEC, record_s, "24h", "3s", "365d", RELOAD, "How long an outcome is kept."),
    CHOICE("fingerprint", fingerprint, "raw", fingerprints, RELOAD,
           "What a retry must repeat: everything with the body's bytes, everything but the body, only host "
           "and path, or everything with what the body says as JSON."),
    PLAIN("ignore", FIELDS, ignore, "", OPTIONAL | RELOAD,
          "Under \"json\": fields of the body that a retry may change, such as [\"timestamp\", "
          "\"meta.sent_at\"]."),
    CHOICE("scope", scope, "policy", key_scopes, RELOAD,
           "The same key for another host or path: refused (422), or (\"host\": for another host; "
           "\"path\": for another host or path) a key of its own."),
    PLAIN("store", STATUSES, store, "default", RELOAD,
          "Which answers are stored: \"default\", \"stripe\" (500 too), statuses such as \"2xx, 404\"."),
    PLAIN("definite", STATUSES, definite, "", OPTIONAL | RELOAD,
          "Under \"hold\": which 5xx say that nothing was done; 501 and 505 always do."),
    CHOICE("on_unknown", on_unknown, "release", on_unknowns, RELOAD,
           "An outcome that nobody saw: the next try runs, or nobody runs it until an operator decides."),
    CHOICE("inflight", inflight, "poll", inflight_modes, RELOAD,
           "\"poll\": HAProxy's table keeps a claim alive. \"lease\": only the lock, which must outlast "
           "any request."),
    RANGE("max_stored", SIZE, max_stored, "64k", "0", "1m", RELOAD,
          "Largest body that is stored; a larger one leaves a tombstone."),
    PLAIN("fail_open", BOOL, fail_open, "false", RELOAD,
          "When Redis cannot confirm a claim: the request is forwarded unprotected, and may run twice."),
    RANGE("wait", MSEC, wait_ms, "0s", "0s", "10m", RELOAD,
          "How long a duplicate waits for the original's outcome before 409 is said; 0s: not at all. Needs "
          "HAProxy's engine once-wait."),
    {.path = NULL},
};

#undef BASE
#define BASE struct cache_policy
static const struct option cache_options[] = {
    RANGE("ttl", SEC, ttl_s, "30s", "0s", "365d", RELOAD,
          "How long an answer is fresh that does not say it itself (Cache-Control, Expires); 0s: such an "
          "answer is not stored."),
    RANGE("stale_if_error", SEC, stale_if_error_s, "0s", "0s", "30d", RELOAD,
          "How long beyond that it may be served while the backend fails (RFC 5861)."),
    RANGE("stale_while_revalidate", SEC, stale_while_revalidate_s, "0s", "0s", "30d", RELOAD,
          "How long beyond that it may be served while one request fetches a new one (RFC 5861)."),
    PLAIN("vary", HEADERS, vary, "accept, accept-encoding", OPTIONAL | RELOAD,
          "Request headers that answers may vary on, at most eight; one that varies on another is not "
          "stored."),
    PLAIN("query", QUERY, query, "sorted", RELOAD,
          "Parameters of the URL that count: \"sorted\" (all, in any order), \"ignore\" (none), or a list "
          "of their names."),
    CHOICE("per", per, "public", cache_pers, RELOAD,
           "Whose an answer is: everybody's who may ask, or that principal's alone."),
    PLAIN("principal", NAME, principal, "", OPTIONAL | RELOAD,
          "Under \"principal\": the message argument that says who it is; a request without it is not "
          "cached."),
    PLAIN("tags", NAME, tags, "", OPTIONAL | RELOAD,
          "Header of answers with tags to purge them by, such as \"Surrogate-Key\"; empty: none."),
    RANGE("max_size", SIZE, max_size, "12k", "0", "1m", RELOAD,
          "Largest body that is stored; it must fit into a frame (spop.max_frame, HAProxy's tune.bufsize)."),
    PLAIN("store", STATUSES, store, "200, 203, 301, 308", RELOAD,
          "Statuses that are stored, never 206, 304 or 5xx."),
    RANGE("fill", MSEC, fill_ms, "5s", "100ms", "10m", RELOAD,
          "How long one request fetches an answer for the others; then one of them does. They wait twice as "
          "long at most."),
    RANGE("not_storable", MSEC, not_storable_ms, "2s", "0s", "1h", RELOAD,
          "How long it is remembered that an answer could not be stored: nobody waits for the next one."),
    RANGE("local_ttl", MSEC, local_ttl_ms, "0s", "0s", "1m", RELOAD,
          "How long HAProxy's own cache may serve it: a purge takes as long. Only said here; HAProxy's "
          "configuration does it."),
    {.path = NULL},
};

#undef BASE
#define BASE struct limit
static const struct option limit_options[] = {
    PLAIN("name", NAME, name, NULL, REQUIRED | RELOAD, "Shown in RateLimit-Policy and in problems."),
    CHOICE("algorithm", algorithm, "token-bucket", algorithms, RELOAD,
           "\"token-bucket\": a burst, then evenly. \"sliding-window\": never more than the rate's number in "
           "any "
           "stretch of its time. A change begins anew."),
    PLAIN("rate", RATE, pace.rate, "", OPTIONAL | RELOAD,
          "Requests per time: s, min, hour, day, or a number of them. Either this or concurrent."),
    RANGE("concurrent", COUNT, concurrent, "0", "0", "100000", RELOAD,
          "Requests in flight at one time, instead of a rate; 0: it is a rate."),
    RANGE("burst", COUNT, pace.burst, "0", "0", "1000000", RELOAD,
          "Requests at once; 0: as many as the rate's number. Not with a sliding window."),
    PLAIN("key", TERMS, key, NULL, REQUIRED | RELOAD,
          "What is counted apart: \"global\", \"policy\", \"ip\", names of message arguments; several: \"ip, "
          "user\". Global limits of one name and key are one, in all policies."),
    RANGE("ipv4_prefix", COUNT, ipv4_prefix, "32", "1", "32", RELOAD,
          "Bits of an IPv4 address that count for \"ip\", which the key must have."),
    RANGE("ipv6_prefix", COUNT, ipv6_prefix, "64", "33", "128", RELOAD,
          "The same of an IPv6 address; beyond 64 a client can choose them itself."),
    PLAIN("tier", NAME, tier, "", OPTIONAL | RELOAD,
          "Message argument whose value chooses one of `tiers`; any other value: this rate and burst."),
    PLAIN("cost", NAME, cost, "", OPTIONAL | RELOAD,
          "Message argument with what the request costs, a whole number; missing: 1, 0: it only looks."),
    CHOICE("charge", charge, "forwarded", charges, RELOAD,
           "\"forwarded\": what goes to the backend counts. \"all\": each request, replays and refusals too, "
           "and "
           "over the limit none of them is answered; only a 429 and a 503 count nothing."),
    PLAIN("shadow", BOOL, shadow, "false", RELOAD,
          "Counts and reports (metrics), never refuses, shows no field."),
    PLAIN("lease", LEASE, lease, "off", RELOAD,
          "Tokens that an agent takes at once and spends without asking Redis; the bound stays exact. A "
          "number: so many at most, and half of the "
          "burst. \"auto\": a sixteenth of the burst, where it is 64 or more and there is use for them. "
          "Token buckets only; a shadow lends nothing. In a cluster \"off\" is \"auto\" where the limit is "
          "about another subject than "
          "the record."),
    CHOICE("fields", fields, "ietf", limit_fields, RELOAD,
           "What answers show: RateLimit and RateLimit-Policy, X-RateLimit-*, both, or none of them."),
    PLAIN("fail_open", BOOL, fail_open, "false", RELOAD,
          "When Redis cannot decide: the request passes uncounted, if all limits of its policy say so."),
    {.path = NULL},
};

#undef BASE
#define BASE struct tier
static const struct option tier_options[] = {
    PLAIN("name", NAME, name, NULL, REQUIRED | RELOAD, "Value of the argument that chooses this tier."),
    PLAIN("rate", RATE, pace.rate, NULL, REQUIRED | RELOAD,
          "Instead of the limit's; of a sliding window with the same time."),
    RANGE("burst", COUNT, pace.burst, "0", "0", "1000000", RELOAD,
          "Instead of the limit's; 0: as many as the rate's number."),
    {.path = NULL},
};

const struct option_table option_tables[] = {
    {.scope = "",                     .about = "`section = { option = value; };`", .options = config_options},
    {.scope = "haproxy",
     .about =
         "A list, one group for each HAProxy: `haproxy = ( { socket = \"/run/spoa-once/haproxy.sock\"; } );`", .options = haproxy_options},
    {.scope = "policies",
     .about = "A list, one group for each policy: `policies = ( { name = \"payments\"; } );`",
     .options = policy_options},
    {.scope = "policies.idempotency",
     .about = "A group in a policy: `idempotency = { principal = \"none\"; };`",
     .options = idempotency_options},
    {.scope = "policies.cache",
     .about = "A group in a policy: `cache = { ttl = \"30s\"; };`",
     .options = cache_options},
    {.scope = "policies.limits",
     .about = "A list in a policy: `limits = ( { name = \"client\"; rate = \"6/min\"; key = \"ip\"; } );`",
     .options = limit_options},
    {.scope = "policies.limits.tiers",
     .about = "A list in a limit: `tier = \"plan\"; tiers = ( { name = \"gold\"; rate = \"1000/min\"; } );`",
     .options = tier_options},
    {.scope = NULL },
};
