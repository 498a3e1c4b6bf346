// SPDX-License-Identifier: MIT
/* What the files of `oncectl doctor` share: the one list of findings, and how one is said.
 *
 *   doctor.c    the agent and what it counts     doctor_haproxy.c   each runtime socket
 *   doctor_redis.c    INFO of each Redis         doctor_files.c     spoa-once -c --haproxy
 *
 * X(symbol, id, level, why it matters, the way out). It drives what is said, --rules and docs/troubleshooting.md. */
#ifndef CTL_DOCTOR_H
#define CTL_DOCTOR_H

#include <jansson.h>

#include "ctl/words.h"

/* clang-format off */
#define FINDING_TABLE(X) \
    X(REDIS_AWAY, "redis-away", ERROR, "protected requests get 503", \
      "Mend what Redis says; the agent tries again by itself.") \
    X(BREAKER, "breaker-open", ERROR, "Redis does not answer within redis.deadline, so requests are refused at once", \
      "Find out what Redis does: redis-cli --latency, slowlog get, info persistence.") \
    X(DATA_LOST, "data-lost", ERROR, "Redis has forgotten records, and requests wait for an operator", \
      "Find out what happened to Redis; then oncectl go.") \
    X(SENTINELS, "sentinels-missing", WARNING, "a failover may not be seen, or a minority may be believed", \
      "Start them, or take them off redis.sentinels.") \
    X(SOCKET_GONE, "socket-gone", ERROR, "HAProxy cannot reach the agent there, whoever has taken it away", \
      "Restart the agent; do not let another unit's RuntimeDirectory clean that directory.") \
    X(NOTICES_OFF, "notices-off", WARNING, "under on_unknown = \"hold\" a request that was never sent is held like one that may have run", \
      "Set notices.listen, and paste notices-global.cfg and notices-frontend.cfg.") \
    X(LOST_LOCKS, "lost-locks", ERROR, "outcomes came whose key another execution owned: requests may have run twice; the count stays until a restart", \
      "Compare those keys with the backend's books: docs/troubleshooting.md, OnceLostLock.") \
    X(UNPOLLED, "unpolled", ERROR, "requests were refused because no agent reads the tables of their HAProxy", \
      "Name each HAProxy's stats socket in `haproxy` of the agent beside it.") \
    X(HELD, "outcomes-held", WARNING, "nobody saw their outcome; those that were resolved since then are counted too", \
      "oncectl list --state held says which still wait; look into the backend's books; oncectl resolve.") \
    X(NOT_STORED, "outcomes-dropped", ERROR, "answers were not stored: their retries get 409", \
      "Give Redis memory, or the agent a larger completion.max_entries and completion.max_bytes.") \
    X(CONNECTIONS, "connections-refused", WARNING, "HAProxy's messages had to wait for another connection, or failed", \
      "Raise spop.max_connections.") \
    X(MESSAGES_BAD, "messages-bad", WARNING, "messages lack an argument or bring a wrong one: such requests are refused", \
      "Take once.spoe.cfg as this version ships it: oncectl attach --spoe.") \
    X(NOTICES_BAD, "notices-bad", WARNING, "lines came that are no notices: other logs go to that socket, or the log-format is another one", \
      "Paste notices-frontend.cfg as it is.") \
    X(FAILED_OPEN, "failed-open", WARNING, "requests passed unprotected because Redis could not decide", \
      "As the policy says (fail_open); see that Redis stays.") \
    X(SEALS, "seals-failed", ERROR, "stored answers could not be opened, and were refused", \
      "List the old key again in replay.seal_keys; docs/troubleshooting.md, OnceSealBroken.") \
    X(CRASHED, "crashed", WARNING, "the agent has crashed; the log has a backtrace", \
      "Look for `crashed` in the log, and report it.") \
    X(RELOAD_BAD, "reload-refused", WARNING, "a changed configuration was refused whole, the old one is in force", \
      "spoa-once -c -f FILE says every mistake; then reload.") \
    X(HAPROXY_AWAY, "haproxy-away", ERROR, "its executions are not kept alive, and its requests are refused", \
      "Is HAProxy up, and is that its `stats socket`? Mode 660, group haproxy.") \
    X(NOT_CONNECTED, "haproxy-unread", ERROR, "the agent itself reads no HAProxy: its requests are refused", \
      "Let the agent's user into the socket's group; its log says haproxy-unreachable with the reason.") \
    X(LEVEL, "socket-level", ERROR, "the agent can read the tables there, but not clear them", \
      "Write in global: stats socket PATH mode 660 level operator.") \
    X(WORKERS, "old-workers", WARNING, "workers that a reload replaced still run, and must not lose their agent", \
      "Wait with restarts of agents; hard-stop-after in global bounds them.") \
    X(TABLE_MISSING, "table-missing", ERROR, "nothing that runs can be tracked, or nothing that was not recorded can be caught up", \
      "Paste tables.cfg as it is.") \
    X(TABLE_FULL, "table-full", ERROR, "when it is full, protected requests get 503", \
      "A larger size in tables.cfg, and inflight.max_entries with it.") \
    X(TABLE_SMALL, "table-small", WARNING, "it is full before HAProxy's maxconn is reached", \
      "The size that oncectl attach computes.") \
    X(TABLE_LISTING, "table-listing", ERROR, "a listing of the full table is not taken: nothing would be kept alive", \
      "Raise inflight.max_entries to the table's size.") \
    X(AGENTS_DOWN, "agents-down", ERROR, "HAProxy does not ask that agent", \
      "Is it up, and is that its socket? The group of the directory, HAProxy's chroot.") \
    X(NO_CHECK, "no-check", WARNING, "while that agent is down each request waits for the whole processing timeout", \
      "Paste tables.cfg as it is: option spop-check, default-server check.") \
    X(INFO, "redis-blind", WARNING, "the agent's user may not ask INFO, so Redis' settings cannot be looked at", \
      "ACL SETUSER spoa-once +info.") \
    X(EVICTION, "redis-eviction", ERROR, "locks and records can be evicted: a key may run twice", \
      "CONFIG SET maxmemory-policy noeviction, and in redis.conf.") \
    X(EVICTED, "redis-evicted", ERROR, "keys have been evicted: records may be gone", \
      "maxmemory-policy noeviction, and a Redis of its own for the records.") \
    X(AOF, "redis-aof", WARNING, "a restart of Redis forgets records: a key may run twice", \
      "CONFIG SET appendonly yes, and in redis.conf.") \
    X(WRITE_FAILED, "redis-write-failed", ERROR, "Redis cannot write its files: it may refuse writes, and a restart forgets", \
      "Disk space and rights of Redis' directory; its log says more.") \
    X(MEMORY, "redis-memory", WARNING, "when it is full, protected requests get 503", \
      "Raise maxmemory; or a shorter record, a smaller max_stored.") \
    X(ALONE, "redis-alone", WARNING, "when this Redis dies, its records are gone until it is back, or for ever", \
      "A replica, and Sentinels or a cluster that fail over to it: docs/redis.md.") \
    X(REPLICAS, "redis-acks", ERROR, "redis.ack_replicas asks for more replicas than there are: protected requests get 503", \
      "Start the replicas, or lower redis.ack_replicas.") \
    X(LAG, "redis-lag", WARNING, "a failover to that replica would lose what it lacks", \
      "Its network, its load; redis-cli info replication.") \
    X(MIN_REPLICAS, "redis-min-replicas", WARNING, "a primary that was cut off goes on accepting writes that are lost afterwards", \
      "CONFIG SET min-replicas-to-write 1, and in redis.conf.") \
    X(VERSIONS, "redis-versions", WARNING, "a replica of an older version cannot follow a newer primary: after a failover there may be none", \
      "Let all nodes of the cluster have one version.") \
    X(FILES, "configuration", ERROR, "spoa-once -c --haproxy says so", \
      "Each line says its own: docs/haproxy-check.md.")
/* clang-format on */

enum finding {
#define X(symbol, id, level, why, way_out) FINDING_##symbol,
    FINDING_TABLE(X)
#undef X
        FINDINGS
};

enum { DOCTOR_HAPROXY_MAX = 8 };

struct doctor {
    const struct command *c;
    json_t *site, *said;
    unsigned errors, warnings;
    unsigned npids;
    long pids[DOCTOR_HAPROXY_MAX]; /* of the HAProxys that answered */
};

/* format: what was found. */
__attribute__((format(printf, 3, 4))) void doctor_say(struct doctor *d, enum finding f, const char *format,
                                                      ...);
/* Something whose level only its text says. */
void doctor_pass_on(struct doctor *d, enum finding f, bool warning, const char *text);
/* Sum of the agent's counters whose names begin so. */
json_int_t doctor_counter(const struct doctor *d, const char *prefix);

void doctor_haproxy(struct doctor *d);
void doctor_redis(struct doctor *d);
void doctor_files(struct doctor *d);

#endif
