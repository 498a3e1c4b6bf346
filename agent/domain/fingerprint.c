// SPDX-License-Identifier: MIT
/* First whether the body was whole, where its hash counts; then the fields, in the order of the header's
 * table, into one digest. What is left behind the first line of HAProxy's buffer is a lower bound:
 *
 *   | method, host, path, query | head | body ........ | spare |      buffer_limit
 */
#include "domain/fingerprint.h"

#include "domain/digest.h"
#include "domain/jsonform.h"

#include <string.h>

enum { BUFFER_SPARE = 512 }; /* what HAProxy's buffer holds beside head and body, generously */

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

/* Was the whole body seen, as far as the policy compares it? */
static enum problem body_problem(enum fingerprint kind, const struct request_facts *f, size_t buffer_limit,
                                 const char **detail)
{
    bool json = kind == FINGERPRINT_JSON;
    if (f->body_len < 0 || (json ? f->body.len != (uint64_t)f->body_len : f->sha.len == 0)) {
        *detail =
            json ? "HAProxy did not send the arguments body and body_len, which the fingerprint json "
                   "needs (txn.once_json)."
                 : "HAProxy did not send the arguments sha and body_len, which the fingerprint raw needs.";
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

/* An answer of one path or host is never another's, however little a policy compares (I13). */
static void place_only(const struct request_facts *f, uint8_t out[16])
{
    struct digest d;
    digest_begin(&d, 16, "place");
    digest_field_lower(&d, f->host.ptr, f->host.len);
    digest_field(&d, f->path.ptr, f->path.len);
    digest_end(&d, out);
}

/* What the body says; the first field keeps a text that is JSON apart from one that is none. */
static void json_fields(struct digest *d, const struct idempotency *i, struct spop_slice body)
{
    struct buf form;
    buf_init(&form);
    if (json_form(body, &i->ignore, &form)) {
        digest_field(d, "json", 4);
        digest_field(d, form.data, form.len);
    } else {
        digest_field(d, "raw", 3);
        digest_field(d, body.ptr, body.len);
    }
    buf_free(&form);
}

enum problem fingerprint_make(const struct idempotency *i, const struct request_facts *f, size_t buffer_limit,
                              uint8_t out[16], const char **detail)
{
    char scratch[24];
    struct spop_slice body = f->sha;
    struct digest d;
    memset(out, 0, 16);
    *detail = NULL;
    if (i->fingerprint == FINGERPRINT_NONE) {
        place_only(f, out);
        return PROBLEM_NONE;
    }
    if (i->fingerprint == FINGERPRINT_HEADERS) {
        body = facts_text(f, "content_length", scratch);
    } else {
        enum problem problem = body_problem(i->fingerprint, f, buffer_limit, detail);
        if (problem != PROBLEM_NONE)
            return problem;
    }
    digest_begin(&d, 16, "fingerprint");
    digest_field(&d, f->method.ptr, f->method.len);
    digest_field_lower(&d, f->host.ptr, f->host.len);
    digest_field(&d, f->path.ptr, f->path.len);
    digest_field(&d, f->query.ptr, f->query.len);
    digest_field(&d, f->type.ptr, f->type.len);
    if (i->fingerprint == FINGERPRINT_JSON)
        json_fields(&d, i, f->body);
    else
        digest_field(&d, body.ptr, body.len);
    digest_end(&d, out);
    return PROBLEM_NONE;
}
