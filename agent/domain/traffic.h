// SPDX-License-Identifier: MIT
/* What a gateway's access log says, counted: by route, and bounded (docs/wire.md, Traffic).
 *
 *   once/1 TOKEN TS TC STATUS PROCESS METHOD ROUTE SERVICE MS IN OUT KIND PROOF ERROR [CACHE] [anything]
 *
 * The first six words are those of a notice; in a log of JSON they all are its first field. Labels are words of the
 * gateway's configuration; a client's own word, the method, counts as `other` unless it is a usual one. Rows outlive
 * a reload; what there is no row left for shares the last one, whose labels are empty. */
#ifndef TRAFFIC_H
#define TRAFFIC_H

#include "domain/buf.h"
#include "spop/cursor.h"

enum {
    TRAFFIC_WORD = 32,   /* longest label, its end included */
    TRAFFIC_ROUTE = 96,  /* longest route, the same */
    TRAFFIC_ROWS = 1024, /* method, route, class of status */
    TRAFFIC_CODES = 15,  /* statuses of one class in a row; the others share `other` */
    TRAFFIC_PAIRS = 256, /* service and kind of error; kind of credential and what became of it */
    TRAFFIC_TIMES = 12,  /* buckets; the last is +Inf */
    TRAFFIC_SIZES = 7,
};

/* X(symbol, word): what the cache did. Any other word, and none: nothing. */
#define TRAFFIC_CACHE_TABLE(X)                                                                               \
    X(HIT, "hit")                                                                                            \
    X(STALE, "stale")                                                                                        \
    X(COLLAPSED, "collapsed")                                                                                \
    X(MISS, "miss")                                                                                          \
    X(BYPASS, "bypass")

enum traffic_cache {
#define X(symbol, word) TRAFFIC_CACHE_##symbol,
    TRAFFIC_CACHE_TABLE(X)
#undef X
        TRAFFIC_CACHE_NOTHING,
};

struct traffic_line {
    unsigned status;      /* 0: none, the client has gone */
    uint64_t ms, in, out; /* total time; bytes from and to the client */
    struct spop_slice ts, method, route, service, kind, proof, error; /* `-`: none */
    enum traffic_cache cache;
};

/* 0; -1: not such a line. Slices point into it. */
int traffic_read(const char *line, size_t len, struct traffic_line *t);

struct traffic;

/* NULL: out of memory. */
struct traffic *traffic_new(void);
void traffic_free(struct traffic *t);
/* false: counted in a row without labels, there is no room for its own. */
bool traffic_count(struct traffic *t, const struct traffic_line *l);
/* Appends the Prometheus text, as metrics_write(). */
void traffic_write(const struct traffic *t, struct buf *out);

#endif
