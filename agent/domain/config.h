// SPDX-License-Identifier: MIT
/* The configuration as the agent uses it: plain values, filled from the option tables (domain/options).
 *
 *   config ─┬─ log, spop, replay, http, notices, redis, breaker, ..   one struct for each section
 *           ├─ haproxy[]    runtime sockets
 *           └─ policies[] ─┬─ idempotency
 *                          ├─ cache
 *                          └─ limits[] ── tiers[]
 *
 * One configuration lives as long as somebody holds it: a transaction that began under the old one ends under
 * it. */
#ifndef CONFIG_H
#define CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "domain/token.h"
#include "domain/vary.h"

enum {
    CONFIG_NAME_MAX = 63,
    CONFIG_TEXT_MAX = 255,
    CONFIG_LISTEN_MAX = 8, /* addresses of one list */
    CONFIG_HAPROXY_MAX = 8,
    CONFIG_SOCKET_PATH_MAX = 107, /* bytes of sun_path without its NUL (unix(7)) */
    CONFIG_POLICIES_MAX = 64,
    CONFIG_LIMITS_MAX = 8,
    CONFIG_TERMS_MAX = 4,
    CONFIG_TIERS_MAX = 8, /* of one limit */
    CONFIG_DROP_MAX = 64,
    CONFIG_RECORD_DEFAULT_S = 86400, /* record TTL where the policy of a token is not known here */
    CONFIG_SLOTS_RECORD_S = 600,     /* of a record that only holds slots: outlives a pause of all agents */
};

typedef char config_name[CONFIG_NAME_MAX + 1];
typedef char config_text[CONFIG_TEXT_MAX + 1];

struct text_list {
    unsigned n;
    config_text item[CONFIG_DROP_MAX];
};

struct address_list {
    unsigned n;
    config_text item[CONFIG_LISTEN_MAX]; /* "unix@/path", "127.0.0.1:9000"; or paths of files */
};

struct status_set {
    uint64_t bits[8]; /* bit s - 100 for status s, 100..599 */
};

enum fingerprint { FINGERPRINT_RAW, FINGERPRINT_HEADERS, FINGERPRINT_NONE, FINGERPRINT_JSON };
enum key_scope { KEY_SCOPE_POLICY, KEY_SCOPE_HOST, KEY_SCOPE_PATH };
enum on_unknown { ON_UNKNOWN_RELEASE, ON_UNKNOWN_HOLD };
enum redis_mode { REDIS_MODE_AUTO, REDIS_MODE_SINGLE, REDIS_MODE_SENTINEL, REDIS_MODE_CLUSTER };
enum on_data_loss { ON_DATA_LOSS_CONTINUE, ON_DATA_LOSS_REFUSE };
enum inflight_mode { INFLIGHT_POLL, INFLIGHT_LEASE };
enum algorithm { ALGORITHM_BUCKET, ALGORITHM_WINDOW };
enum limit_charge { CHARGE_FORWARDED, CHARGE_ALL };
/* How a limit is decided (config_check(); docs/wire.md, Keys). */
enum decided {
    DECIDED_GATE,         /* in the call of the gate */
    DECIDED_LEASED,       /* from what the agent has on loan, else in that call */
    DECIDED_LEASED_APART, /* the same, else by a call of its own in front of that */
    DECIDED_APART,        /* by a call of its own in front of it */
};
enum limit_fields { FIELDS_IETF, FIELDS_X, FIELDS_BOTH, FIELDS_NONE };
enum cache_query { CACHE_QUERY_SORTED, CACHE_QUERY_ONLY, CACHE_QUERY_IGNORE };
enum cache_per { CACHE_PER_PUBLIC, CACHE_PER_PRINCIPAL };
enum log_format { LOG_TEXT, LOG_JSON };
enum log_level { LOG_ERROR, LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG };

struct idempotency {
    bool enabled;          /* the section is there */
    config_name principal; /* "none", "ip", or the name of a message argument */
    bool required;         /* a missing key is refused (400) */
    config_text methods;   /* "any", or a list: "POST, PATCH" */
    uint32_t lock_s;       /* lock TTL */
    uint32_t record_s;     /* record TTL */
    enum key_scope scope;  /* what belongs to the record's name besides policy, principal and key */
    enum fingerprint fingerprint;
    struct text_list ignore;  /* FINGERPRINT_JSON: fields that do not count, "meta.sent_at" */
    config_text store;        /* "default", "stripe", or a list: "2xx, 3xx, 404" */
    config_text definite;     /* under hold: which 5xx are known outcomes; may be empty */
    struct status_set stored; /* compiled from store */
    struct status_set known;  /* compiled from definite */
    enum on_unknown on_unknown;
    enum inflight_mode inflight;
    uint32_t max_stored; /* bytes of body; larger ones become tombstones */
    bool fail_open;      /* forwarded unprotected when Redis cannot confirm the claim */
    uint32_t wait_ms;    /* how long a duplicate waits for the original's outcome; 0: 409 at once */
};

/* Answers to GET that all agents share (RFC 9111). */
struct cache_policy {
    bool enabled;                      /* the section is there */
    uint32_t ttl_s;                    /* of answers that do not say how long they are fresh; 0: not stored */
    uint32_t stale_if_error_s;         /* RFC 5861, of answers that do not say it themselves */
    uint32_t stale_while_revalidate_s; /* the same */
    struct text_list vary;             /* headers in lower case */
    struct vary_names varies;          /* compiled from vary */
    struct text_list query;            /* "sorted", "ignore", or the names of the parameters that count */
    enum cache_query query_mode;       /* compiled from query; ONLY: the names in query count */
    enum cache_per per;
    config_name principal; /* with CACHE_PER_PRINCIPAL: name of the message argument that says whose it is */
    config_name tags;      /* header with an answer's tags, compiled to lower case; empty: none */
    uint32_t max_size;     /* bytes of body */
    config_text store;     /* statuses */
    struct status_set stored; /* compiled from store */
    uint32_t fill_ms;         /* how long one request may be waited for that fetches the answer */
    uint32_t not_storable_ms; /* how long it is remembered that an answer could not be stored */
    uint32_t local_ttl_ms;    /* in HAProxy's own cache; for the check of its configuration only */
    unsigned counter;         /* its row (domain/cache_counts) */
};
/* Of a limit's `lease`. */
#define LEASE_OFF  UINT32_C(0)
#define LEASE_AUTO UINT32_MAX

/* How many requests in which time. Units of increment and capacity: a token bucket's are ticks of 100 ns,
 * whole, rounded up (docs/wire.md); a sliding window's are requests, 1 and the quota. */
struct pace {
    config_text rate;  /* "100/min" */
    uint32_t burst;    /* requests; 0 in the file means: as many as the rate's number */
    uint32_t quota;    /* the rate's number */
    uint32_t window_s; /* the rate's time */
    double increment;  /* of one request of cost 1 */
    double capacity;   /* burst * increment */
    uint32_t lent;     /* tokens of one loan at most; 0: none is made */
};

struct tier {
    config_name name;
    struct pace pace;
};

struct limit {
    config_name name;
    uint32_t hash;   /* limit_hash(name): names its cell in a group */
    config_text key; /* "global", "policy", "ip", or names of arguments; several are joined: "ip, user" */
    enum algorithm algorithm;
    uint32_t concurrent; /* requests in flight; 0: it is a rate */
    struct pace pace;    /* of requests of no tier that is listed */
    config_name tier;    /* name of the argument that chooses a tier; empty: there are none */
    config_name cost;    /* name of the argument that says what a request costs; empty: 1 */
    bool fail_open;      /* passes when Redis cannot decide */
    bool shadow;         /* counts, and never refuses */
    enum limit_charge charge;
    uint32_t lease; /* tokens of one loan at most, LEASE_OFF, LEASE_AUTO */
    enum limit_fields fields;
    uint32_t ipv4_prefix, ipv6_prefix; /* bits of an address that count */
    unsigned ntiers;
    struct tier tiers[CONFIG_TIERS_MAX];
    double most; /* largest capacity of all tiers */
    unsigned nterms;
    config_name terms[CONFIG_TERMS_MAX]; /* compiled from key */
    enum decided decided;                /* of a request with a record, if its policy has idempotency */
    unsigned anchor;          /* how much it wants to be decided in the gate's call (plan_home()) */
    bool has_subject;         /* its subject is the same for all requests, and this: */
    struct record_id subject; /* subject_limit() */
    unsigned counter;         /* its row (domain/limit_counts) */
};

struct policy {
    config_name name;
    uint32_t hash;    /* policy_hash(name) */
    uint32_t lease_s; /* of slots where there is no idempotency */
    struct idempotency idempotency;
    struct cache_policy cache;
    bool counts_all; /* one of its limits says charge = "all" */
    unsigned nlimits;
    struct limit limits[CONFIG_LIMITS_MAX];
};

/* What this connection's user needs: locks and records, cached answers, or both; and whether answers lie in the same server. */
enum { REDIS_HOLDS_RECORDS = 1, REDIS_HOLDS_ANSWERS = 2, REDIS_HOLDS = 3, REDIS_BESIDE_ANSWERS = 4 };

/* One Redis, and how it is asked. */
struct redis_settings {
    enum redis_mode mode;
    struct address_list seeds; /* of a cluster; none: it is no cluster */
    config_text
        address; /* "127.0.0.1:6379", "unix@/path"; not looked at where there are sentinels, or seeds */
    config_text username, password, password_file;
    struct address_list sentinels;
    config_text sentinel_name; /* what the Sentinels call this Redis */
    config_text sentinel_username, sentinel_password, sentinel_password_file;
    uint32_t db;
    uint32_t deadline_ms;  /* of a decision */
    uint32_t reconnect_ms; /* longest pause between two attempts */
    uint32_t max_pending;  /* commands on their way */
    uint32_t ack_replicas; /* that must have a grant or an outcome before it counts; 0: none */
    uint32_t ack_timeout_ms;
    enum on_data_loss on_data_loss;
    unsigned holds; /* REDIS_..; by config_check() */
};

struct config {
    unsigned refs;
    config_text file;
    struct {
        enum log_format format;
        enum log_level level;
    } log;
    struct {
        struct address_list listen;
        uint32_t mode; /* of the unix socket, octal */
        uint32_t max_connections;
        uint32_t max_frame;   /* bytes offered at most */
        uint32_t max_pending; /* messages of one connection that wait for their ACK */
        uint32_t idle_ms;     /* a connection without a frame for so long is closed; 0: never */
        uint32_t maxrewrite;  /* HAProxy's tune.maxrewrite; 0: not known */
    } spop;
    struct {
        config_text listen;
        uint32_t mode;
        uint32_t max_connections;
        uint32_t max_head;             /* bytes of a request's head, and of an answer's */
        uint32_t memory;               /* bytes of answers kept for the listener */
        uint32_t keep_ms;              /* how long */
        struct text_list drop;         /* headers that are never stored */
        struct address_list seal_keys; /* paths of key files; the first one's key seals, all open */
    } replay;
    struct {
        config_text listen; /* metrics, health, version */
    } http;
    struct {
        config_text listen; /* the operator's; a unix socket, or empty: none */
        uint32_t mode;
    } admin;
    struct {
        config_text listen; /* datagram socket for HAProxy's log; empty: none */
        uint32_t mode;
    } notices;
    struct {
        config_text listen; /* datagram socket for a gateway's access log; empty: none */
        uint32_t mode;
    } traffic;
    struct redis_settings redis;
    struct {
        uint32_t deadline_ms;   /* of one question; later is a miss */
        uint32_t max_resources; /* URLs whose Vary and tags are remembered */
        uint64_t life_ms;       /* longest life of an entry; compiled */
        uint64_t keep_ms;       /* how long purges are remembered; compiled */
        uint64_t
            frame; /* bytes that the largest answer of them wants of HAProxy (its tune.bufsize); compiled */
        bool used; /* some policy has a cache; compiled */
        bool
            apart; /* its answers lie in a Redis of their own, and who waits for them waits apart; compiled */
        struct redis_settings redis; /* neither address nor sentinels: that of the records */
    } cache;
    struct {
        uint32_t failures; /* in a row, that open it */
        uint32_t probe_ms; /* while it is open */
    } breaker;
    struct {
        config_text base; /* problem types are base + word */
    } problems;
    struct {
        uint32_t poll_ms;
        uint32_t max_entries; /* of one listing */
        uint32_t lookups;     /* of busy keys, a second */
    } inflight;
    struct {
        uint32_t max_entries, max_bytes; /* words that wait for Redis' confirmation */
        uint32_t
            response_ms; /* how long a response message waits for it; below the response engine's timeout */
    } completion;
    struct {
        uint32_t max_parked; /* duplicates that wait */
    } wait;
    struct {
        uint32_t max_entries; /* states of limits that are remembered; 0: every request asks Redis */
        uint32_t max_shared;  /* requests that wait for another one's question; 0: each asks itself */
    } shield;
    struct {
        uint32_t time_ms;     /* how long a loan lasts */
        uint32_t max_entries; /* buckets of which something is on loan */
    } loans;
    struct {
        uint32_t drain_ms; /* at SIGTERM */
    } stop;
    struct {
        config_text file; /* where a crash is counted; empty: nowhere */
    } crash;
    unsigned nseals;
    struct seal_key *seals; /* nseals of them, from replay.seal_keys; locked memory, wiped at the end */
    unsigned nhaproxy;
    struct haproxy_socket {
        config_text socket; /* path of the runtime socket */
    } haproxy[CONFIG_HAPROXY_MAX];
    unsigned npolicies;
    struct policy *policies; /* npolicies of them */
};

/* Do keys of different subjects lie apart? */
static inline bool config_is_cluster(const struct config *c)
{
    return c->redis.mode == REDIS_MODE_CLUSTER;
}

struct config *config_new(void); /* defaults from the tables; one reference */
struct config *config_hold(struct config *c);
void config_drop(struct config *c);

/* Where a mistake is: -1, or NULL, where that does not apply. */
struct config_place {
    int policy, limit, tier;
    const char *option; /* path as it stands in the file: "redis.deadline", "idempotency.lock", "rate" */
};
typedef void config_mistake_fn(void *arg, const struct config_place *at, const char *text);

/* Compiles what is derived (hashes, status sets, rates, terms; lock rounded up to what a token can say) and
 * checks the rules between values (PROTOCOL, Timing rules). Returns the number of mistakes. */
unsigned config_check(struct config *c, config_mistake_fn *fn, void *arg);

/* What is no mistake, but does not hold under every HAProxy. Behind config_check(); returns how many were told. */
unsigned config_warn(struct config *c, config_mistake_fn *fn, void *arg);

#endif
