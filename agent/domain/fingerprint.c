// SPDX-License-Identifier: MIT
/* First whether the body was whole, where its hash counts; then the fields, in the order of the header's
 * table, into one digest. What is left behind the first line of HAProxy's buffer is a lower bound:
 *
 *   | method, host, path, query | head | body ........ | spare |      buffer_limit
 */
#include "domain/fingerprint.h"

#include "domain/digest.h"
#include "domain/text.h"

#include <string.h>

enum {
    BUFFER_SPARE = 512, /* what HAProxy's buffer holds beside head and body, generously */
    HOST_MAX = 255,     /* a longer one is no host name: compared as it is */
};

bool body_fits(int64_t body_len, int64_t head_len, size_t buffer_limit)
{
    if (body_len < 0 || head_len < 0 || buffer_limit < BUFFER_SPARE)
        return false;
    uint64_t room = buffer_limit - BUFFER_SPARE;
    return (uint64_t)body_len <= room && (uint64_t)head_len <= (room - (uint64_t)body_len) / 2;
}

/* The request line lies in the same buffer, and no argument counts it: a long URL and a chunked body would be
 * taken for whole although HAProxy held a part of it. */
static size_t limit_behind_line(const struct request_facts *f, size_t buffer_limit)
{
    size_t line = f->host.len + f->path.len + f->query.len;
    return line < buffer_limit ? buffer_limit - line : 0;
}

static enum problem body_problem(const struct request_facts *f, size_t buffer_limit, const char **detail)
{
    *detail = NULL;
    if (f->body_len < 0 || f->sha.len == 0) {
        *detail = "HAProxy did not send the arguments sha and body_len, which the fingerprint raw needs.";
        return PROBLEM_UNAVAILABLE;
    }
    if (f->content_length >= 0)
        return f->body_len == f->content_length ? PROBLEM_NONE : PROBLEM_BODY_TOO_LARGE;
    if (f->head_len < 0) {
        *detail = "HAProxy did not send the argument head_len, which a body without length needs.";
        return PROBLEM_UNAVAILABLE;
    }
    buffer_limit = limit_behind_line(f, buffer_limit);
    return body_fits(f->body_len, f->head_len, buffer_limit) ? PROBLEM_NONE : PROBLEM_BODY_TOO_LARGE;
}

static void host_field(struct digest *d, struct spop_slice host)
{
    char lower[HOST_MAX];
    if (host.len > sizeof lower) {
        digest_field(d, host.ptr, host.len);
        return;
    }
    for (size_t i = 0; i < host.len; i++)
        lower[i] = text_lower(host.ptr[i]);
    digest_field(d, lower, host.len);
}

/* An answer of one path or host is never another's, however little a policy compares (I13). */
static void place_only(const struct request_facts *f, uint8_t out[16])
{
    struct digest d;
    digest_begin(&d, 16, "place");
    host_field(&d, f->host);
    digest_field(&d, f->path.ptr, f->path.len);
    digest_end(&d, out);
}

enum problem fingerprint_make(enum fingerprint kind, const struct request_facts *f, size_t buffer_limit,
                              uint8_t out[16], const char **detail)
{
    char scratch[24];
    struct spop_slice body = f->sha;
    struct digest d;
    enum problem problem;
    memset(out, 0, 16);
    if (kind == FINGERPRINT_NONE) {
        place_only(f, out);
        return PROBLEM_NONE;
    }
    if (kind == FINGERPRINT_HEADERS)
        body = facts_text(f, "content_length", scratch);
    else if ((problem = body_problem(f, buffer_limit, detail)) != PROBLEM_NONE)
        return problem;
    digest_begin(&d, 16, "fingerprint");
    digest_field(&d, f->method.ptr, f->method.len);
    host_field(&d, f->host);
    digest_field(&d, f->path.ptr, f->path.len);
    digest_field(&d, f->query.ptr, f->query.len);
    digest_field(&d, f->type.ptr, f->type.len);
    digest_field(&d, body.ptr, body.len);
    digest_end(&d, out);
    return PROBLEM_NONE;
}
