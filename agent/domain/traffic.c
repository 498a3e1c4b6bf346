// SPDX-License-Identifier: MIT
/* Rows are found by a hash of their labels, with open addressing; pairs are few and found one after another. */
#include "domain/traffic.h"

#include <stdlib.h>
#include <string.h>

#include "domain/notice.h"

enum { PLACES = 2 * TRAFFIC_ROWS, CLASSES = 6, DIGITS_MAX = 15 };

/* X(field, name, help): the three histograms of a row. */
#define HISTOGRAM_TABLE(X)                                                                                   \
    X(time, "spoa_once_traffic_duration_seconds", "Time from the request to the end of its answer.")         \
    X(in, "spoa_once_traffic_request_bytes", "Bytes of requests, heads included.")                           \
    X(out, "spoa_once_traffic_response_bytes", "Bytes of answers, heads included.")

#define REQUESTS_NAME    "spoa_once_traffic_requests_total"
#define ERRORS_NAME      "spoa_once_traffic_errors_total"
#define CREDENTIALS_NAME "spoa_once_traffic_credentials_total"
#define CACHE_NAME       "spoa_once_traffic_cache_total"

struct bound {
    uint64_t most;
    const char *text;
};

static const struct bound times[TRAFFIC_TIMES] = {
    {1,          "0.001"},
    {2,          "0.002"},
    {5,          "0.005"},
    {10,         "0.01" },
    {25,         "0.025"},
    {50,         "0.05" },
    {100,        "0.1"  },
    {250,        "0.25" },
    {1000,       "1"    },
    {5000,       "5"    },
    {30000,      "30"   },
    {UINT64_MAX, "+Inf" },
};
static const struct bound sizes[TRAFFIC_SIZES] = {
    {256,        "256"    },
    {1024,       "1024"   },
    {4096,       "4096"   },
    {16384,      "16384"  },
    {131072,     "131072" },
    {1048576,    "1048576"},
    {UINT64_MAX, "+Inf"   },
};
static const char *const classes[CLASSES] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
static const char *const cache_words[] = {
#define X(symbol, word) word,
    TRAFFIC_CACHE_TABLE(X)
#undef X
};
static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};

struct histogram {
    uint64_t bucket[TRAFFIC_TIMES]; /* not cumulated */
    uint64_t sum;
};

struct code {
    unsigned status; /* 0: none */
    uint64_t n;
};

struct traffic_row {
    const char *method; /* of methods, "other"; NULL: no labels */
    unsigned status;    /* class */
    char route[TRAFFIC_ROUTE], service[TRAFFIC_WORD];
    struct histogram time, in, out;
    struct code code[TRAFFIC_CODES + 1]; /* the last: all others */
    uint64_t cache[TRAFFIC_CACHE_NOTHING];
};

struct traffic_pair {
    char first[TRAFFIC_WORD], second[TRAFFIC_WORD];
    uint64_t n;
};

struct traffic_pairs {
    unsigned n;
    struct traffic_pair pair[TRAFFIC_PAIRS + 1];
};

struct traffic {
    unsigned n;             /* rows in use, without the last */
    uint16_t place[PLACES]; /* number of the row, from 1; 0: free */
    struct traffic_row row[TRAFFIC_ROWS + 1];
    struct traffic_pairs errors, credentials;
};

/* Letters that need no escape in a label. */
static bool is_label(struct spop_slice s, size_t most)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c < '!' || c > '~' || c == '"' || c == '\\')
            return false;
    }
    return s.len > 0 && s.len < most;
}

static int digits(struct spop_slice s, uint64_t *out)
{
    *out = 0;
    if (slice_is(s, "-1")) /* HAProxy has none */
        return 0;
    if (s.len == 0 || s.len > DIGITS_MAX)
        return -1;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return -1;
        *out = *out * 10 + (uint64_t)(s.ptr[i] - '0');
    }
    return 0;
}

static enum traffic_cache cache_of(struct spop_slice word)
{
    unsigned i = 0;
    while (i < TRAFFIC_CACHE_NOTHING && !slice_is(word, cache_words[i]))
        i++;
    return (enum traffic_cache)i;
}

int traffic_read(const char *line, size_t len, struct traffic_line *t)
{
    struct spop_slice rest = notice_words(line, len);
    uint64_t status;
    *t = (struct traffic_line){0};
    if (!slice_is(notice_word(&rest), "once/1"))
        return -1;
    (void)notice_word(&rest); /* TOKEN */
    t->ts = notice_word(&rest);
    (void)notice_word(&rest); /* TC */
    if (digits(notice_word(&rest), &status) < 0 || status > 999)
        return -1;
    t->status = (unsigned)status;
    (void)notice_word(&rest); /* PROCESS */
    t->method = notice_word(&rest);
    t->route = notice_word(&rest);
    t->service = notice_word(&rest);
    if (digits(notice_word(&rest), &t->ms) < 0 || digits(notice_word(&rest), &t->in) < 0 ||
        digits(notice_word(&rest), &t->out) < 0)
        return -1;
    t->kind = notice_word(&rest);
    t->proof = notice_word(&rest);
    t->error = notice_word(&rest);
    t->cache = cache_of(notice_word(&rest));
    bool labels = is_label(t->ts, TRAFFIC_WORD) && is_label(t->route, TRAFFIC_ROUTE) &&
                  is_label(t->service, TRAFFIC_WORD) && is_label(t->kind, TRAFFIC_WORD) &&
                  is_label(t->proof, TRAFFIC_WORD) && is_label(t->error, TRAFFIC_WORD);
    return labels && t->method.len > 0 ? 0 : -1;
}

struct traffic *traffic_new(void)
{
    return calloc(1, sizeof(struct traffic));
}

void traffic_free(struct traffic *t)
{
    free(t);
}

static const char *method_of(struct spop_slice s)
{
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (slice_is(s, methods[i]))
            return methods[i];
    return "other";
}

static void copy(char *to, struct spop_slice s)
{
    memcpy(to, s.ptr, s.len);
    to[s.len] = '\0';
}

/* FNV-1a (Fowler, Noll, Vo), 32 bits. */
static uint32_t hash(struct spop_slice s, uint32_t h)
{
    for (size_t i = 0; i < s.len; i++)
        h = (h ^ (uint8_t)s.ptr[i]) * 16777619u;
    return h;
}

static struct traffic_row *row_of(struct traffic *t, const struct traffic_line *l)
{
    const char *method = method_of(l->method);
    unsigned status = l->status / 100 < CLASSES ? l->status / 100 : 0;
    uint32_t at = hash((struct spop_slice){method, strlen(method)}, hash(l->route, 2166136261u + status));
    for (;; at++) {
        uint16_t place = t->place[at % PLACES];
        if (place == 0)
            break;
        struct traffic_row *r = &t->row[place - 1];
        if (r->method == method && r->status == status && slice_is(l->route, r->route) &&
            slice_is(l->service, r->service))
            return r;
    }
    if (t->n == TRAFFIC_ROWS)
        return &t->row[TRAFFIC_ROWS];
    struct traffic_row *r = &t->row[t->n++];
    t->place[at % PLACES] = (uint16_t)t->n;
    r->method = method;
    r->status = status;
    copy(r->route, l->route);
    copy(r->service, l->service);
    return r;
}

static bool count_pair(struct traffic_pairs *p, struct spop_slice first, struct spop_slice second)
{
    unsigned i = 0;
    while (i < p->n && !(slice_is(first, p->pair[i].first) && slice_is(second, p->pair[i].second)))
        i++;
    p->pair[i].n++;
    if (i < p->n || i == TRAFFIC_PAIRS)
        return i < p->n;
    copy(p->pair[i].first, first);
    copy(p->pair[i].second, second);
    p->n++;
    return true;
}

static void count_code(struct traffic_row *r, unsigned status)
{
    unsigned i = 0;
    if (!r->method || r->status == 0)
        status = 0;
    while (i < TRAFFIC_CODES && r->code[i].n > 0 && r->code[i].status != status)
        i++;
    r->code[i].status = status;
    r->code[i].n++;
}

static void fill(struct histogram *h, const struct bound *bounds, uint64_t value)
{
    unsigned i = 0;
    while (value > bounds[i].most)
        i++;
    h->bucket[i]++;
    h->sum += value;
}

bool traffic_count(struct traffic *t, const struct traffic_line *l)
{
    struct traffic_row *r = row_of(t, l);
    bool room = r->method != NULL;
    count_code(r, l->status);
    fill(&r->time, times, l->ms);
    fill(&r->in, sizes, l->in);
    fill(&r->out, sizes, l->out);
    if (l->cache != TRAFFIC_CACHE_NOTHING)
        r->cache[l->cache]++;
    /* What the gateway has a word for, else how HAProxy says that it ended. */
    bool said = !slice_is(l->error, "-");
    if (said || l->status >= 500 || l->status == 0)
        room &= count_pair(&t->errors, l->service, said ? l->error : l->ts);
    if (!slice_is(l->proof, "-"))
        room &= count_pair(&t->credentials, l->kind, l->proof);
    return room;
}

/* {a="x",b="y" without the end, so that `le` may follow. */
static void put_labels(struct buf *out, const char *const *names, const char *const *values, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        buf_str(out, i == 0 ? "{" : ",");
        buf_str(out, names[i]);
        buf_str(out, "=\"");
        buf_str(out, values[i]);
        buf_str(out, "\"");
    }
}

static void put_row_labels(struct buf *out, const struct traffic_row *r)
{
    static const char *const names[] = {"method", "route", "service", "status"};
    const char *const values[] = {r->method ? r->method : "", r->route, r->service,
                                  r->method ? classes[r->status] : ""};
    put_labels(out, names, values, 4);
}

static void put_header(struct buf *out, const char *name, const char *kind, const char *help)
{
    const char *const parts[] = {"# HELP ", name, " ", help, "\n# TYPE ", name, " ", kind, "\n"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        buf_str(out, parts[i]);
}

static void put_value(struct buf *out, uint64_t value)
{
    buf_str(out, "} ");
    buf_dec(out, value);
    buf_str(out, "\n");
}

/* Milliseconds as seconds, three decimals. */
static void put_thousandths(struct buf *out, uint64_t ms)
{
    char fraction[] = {'.', (char)('0' + ms / 100 % 10), (char)('0' + ms / 10 % 10), (char)('0' + ms % 10),
                       '\0'};
    buf_dec(out, ms / 1000);
    buf_str(out, fraction);
}

static uint64_t put_buckets(struct buf *out, const char *name, const struct traffic_row *r,
                            const struct histogram *h, const struct bound *bounds, unsigned n)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < n; i++) {
        total += h->bucket[i];
        buf_str(out, name);
        buf_str(out, "_bucket");
        put_row_labels(out, r);
        buf_str(out, ",le=\"");
        buf_str(out, bounds[i].text);
        buf_str(out, "\"");
        put_value(out, total);
    }
    return total;
}

static void put_histogram(struct buf *out, const char *name, const struct traffic_row *r,
                          const struct histogram *h, bool time)
{
    uint64_t total = time ? put_buckets(out, name, r, h, times, TRAFFIC_TIMES)
                          : put_buckets(out, name, r, h, sizes, TRAFFIC_SIZES);
    buf_str(out, name);
    buf_str(out, "_sum");
    put_row_labels(out, r);
    buf_str(out, "} ");
    if (time)
        put_thousandths(out, h->sum);
    else
        buf_dec(out, h->sum);
    buf_str(out, "\n");
    buf_str(out, name);
    buf_str(out, "_count");
    put_row_labels(out, r);
    put_value(out, total);
}

static void put_requests(struct buf *out, const struct traffic_row *r)
{
    for (unsigned i = 0; i <= TRAFFIC_CODES; i++) {
        if (r->code[i].n == 0)
            continue;
        buf_str(out, REQUESTS_NAME);
        put_row_labels(out, r);
        buf_str(out, ",code=\"");
        if (i == TRAFFIC_CODES)
            buf_str(out, "other");
        else if (r->code[i].status > 0)
            buf_dec(out, r->code[i].status);
        else if (r->method)
            buf_str(out, "none");
        buf_str(out, "\"");
        put_value(out, r->code[i].n);
    }
}

static void put_cache(struct buf *out, const struct traffic_row *r)
{
    for (unsigned i = 0; i < TRAFFIC_CACHE_NOTHING; i++) {
        if (r->cache[i] == 0)
            continue;
        buf_str(out, CACHE_NAME);
        put_row_labels(out, r);
        buf_str(out, ",result=\"");
        buf_str(out, cache_words[i]);
        buf_str(out, "\"");
        put_value(out, r->cache[i]);
    }
}

static bool has_cached(const struct traffic_row *r)
{
    for (unsigned i = 0; i < TRAFFIC_CACHE_NOTHING; i++)
        if (r->cache[i] > 0)
            return true;
    return false;
}

/* A name without samples is none. */
static void put_all_cached(struct buf *out, const struct traffic *t, unsigned last)
{
    unsigned first = 0;
    while (first < last && !has_cached(&t->row[first]))
        first++;
    if (first == last)
        return;
    put_header(out, CACHE_NAME, "counter",
               "Requests that asked for a cached answer, and what the cache did.");
    for (unsigned i = first; i < last; i++)
        put_cache(out, &t->row[i]);
}

static uint64_t requests_of(const struct traffic_row *r)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < TRAFFIC_TIMES; i++)
        total += r->time.bucket[i];
    return total;
}

static void put_pairs(struct buf *out, const char *name, const char *help, const char *const *names,
                      const struct traffic_pairs *p)
{
    if (p->n > 0)
        put_header(out, name, "counter", help);
    for (unsigned i = 0; i <= TRAFFIC_PAIRS; i++) {
        const char *const values[] = {p->pair[i].first, p->pair[i].second};
        if (p->pair[i].n == 0)
            continue;
        buf_str(out, name);
        put_labels(out, names, values, 2);
        put_value(out, p->pair[i].n);
    }
}

void traffic_write(const struct traffic *t, struct buf *out)
{
    static const char *const of_errors[] = {"service", "kind"}, *const of_credentials[] = {"kind", "result"};
    unsigned last = requests_of(&t->row[TRAFFIC_ROWS]) > 0 ? TRAFFIC_ROWS + 1 : t->n;
    if (last == 0) /* a name without samples is none */
        return;
    put_header(out, REQUESTS_NAME, "counter", "Requests by method, route, service and status.");
    for (unsigned i = 0; i < last; i++)
        put_requests(out, &t->row[i]);
#define X(field, name, help)                                                                                 \
    put_header(out, name, "histogram", help);                                                                \
    for (unsigned i = 0; i < last; i++)                                                                      \
        put_histogram(out, name, &t->row[i], &t->row[i].field, &t->row[i].field == &t->row[i].time);
    HISTOGRAM_TABLE(X)
#undef X
    put_pairs(out, ERRORS_NAME, "Requests that failed or were refused, by service and kind.", of_errors,
              &t->errors);
    put_pairs(out, CREDENTIALS_NAME, "Credentials that were looked at, by kind and what became of them.",
              of_credentials, &t->credentials);
    put_all_cached(out, t, last);
}
