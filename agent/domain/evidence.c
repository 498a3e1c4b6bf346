// SPDX-License-Identifier: MIT
/* Two questions: is the answer that a response message carries whole, and what follows from an end?
 *
 *   Content-Length met, or no body by rule ──► whole        waited, below the buffer's limit ──► ended
 *   anything else: the backend may still be at work ──► only ANSWERED, until the table or a notice says more
 */
#include "domain/evidence.h"

#include "domain/fingerprint.h"
#include "domain/record.h"
#include "domain/text.h"

#include <string.h>

enum { FINAL_MIN = 200, FINAL_MAX = 599, NO_CONTENT = 204, NOT_MODIFIED = 304 };

/* No body whatever the headers say (RFC 9112, section 6.3). */
static bool has_no_body(const struct response_facts *f)
{
    return (f->method.len == 4 && memcmp(f->method.ptr, "HEAD", 4) == 0) || f->status == NO_CONTENT ||
           f->status == NOT_MODIFIED;
}

/* The length is proof, waited or not; but only of a body that is in the message. */
bool evidence_is_whole(const struct response_facts *f)
{
    if (has_no_body(f))
        return f->body.len == 0;
    return f->content_length >= 0 && f->body_len == f->content_length &&
           f->body.len == (size_t)f->content_length;
}

/* Only chunks have an end of their own. Where the connection's end is the body's, a backend that dies looks
 * as one that is done (RFC 9112, section 6.3, number 8), to HAProxy as well. */
static bool is_chunked(const struct response_facts *f)
{
    static const char chunked[] = "chunked";
    struct spop_slice coding = headers_find(f->headers, "transfer-encoding");
    if (coding.len != sizeof chunked - 1)
        return false;
    for (size_t i = 0; i < coding.len; i++)
        if (text_lower(coding.ptr[i]) != chunked[i])
            return false;
    return true;
}

bool evidence_chunks_are_whole(const struct response_facts *f)
{
    return f->whole && f->content_length < 0 && f->body_len >= 0 && f->body.len == (size_t)f->body_len &&
           is_chunked(f);
}

/* HAProxy waited, and did not stop because its buffer was full: the backend has said its last word, be it
 * cut. */
static bool has_ended(const struct response_facts *f, size_t buffer_limit)
{
    return f->waited && f->content_length < 0 && f->body.len == (size_t)f->body_len &&
           body_fits(f->body_len, (int64_t)f->headers.len, buffer_limit);
}

enum response_word evidence_of_response(const struct policy *p, const struct token *t,
                                        const struct response_facts *f, size_t buffer_limit, bool *keep)
{
    *keep = false;
    /* Its slot is free when the answer has ended; nothing of it is stored. */
    if (t->flags & TOKEN_BARE)
        return f->status >= FINAL_MIN && (evidence_is_whole(f) || has_ended(f, buffer_limit))
                   ? RESPONSE_UNSTORABLE
                   : RESPONSE_ANSWERED;
    /* 101: a tunnel runs on for as long as it likes, its key is not free before its end. */
    if (!p || f->status < FINAL_MIN || f->status > FINAL_MAX)
        return RESPONSE_ANSWERED;
    /* While the body still comes the backend still works: a key that is freed now would run beside it. */
    bool ended = has_ended(f, buffer_limit);
    if (policy_class(&p->idempotency, (unsigned)f->status) != STATUS_STORABLE)
        return evidence_is_whole(f) || ended ? RESPONSE_UNSTORABLE : RESPONSE_ANSWERED;
    /* Even an answer without headers has the two bytes that end the list. */
    if (f->headers.len == 0 || f->body.len > p->idempotency.max_stored)
        return RESPONSE_ANSWERED;
    if (evidence_is_whole(f))
        return RESPONSE_COMPLETE;
    *keep = ended && is_chunked(f); /* to be committed once a notice says that the end was clean */
    return RESPONSE_ANSWERED;
}

char evidence_letter(const struct policy *p, bool hold, unsigned status)
{
    static const char letters[] = {[STATUS_STORABLE] = 'T', [STATUS_RETRYABLE] = 'F', [STATUS_UNKNOWN] = 'H'};
    if (status == 0)
        return hold ? 'H' : 'F';
    /* What a tunnel or a foreign policy did is not known to be undone: never again is safe. */
    if (!p || status < FINAL_MIN || status > FINAL_MAX)
        return 'T';
    struct idempotency claimed = p->idempotency;
    claimed.on_unknown = hold ? ON_UNKNOWN_HOLD : ON_UNKNOWN_RELEASE;
    return letters[policy_class(&claimed, status)];
}

void evidence_of_end(const struct policy *p, const struct token *t, unsigned gpt0, enum ending e,
                     struct word *w)
{
    bool hold = t->flags & TOKEN_HOLD;
    char letter = evidence_letter(p, hold, gpt0);
    *w = (struct word){.script = SCRIPT_RESOLVE, .token = *t, .status = gpt0, .letter = letter};
    w->ttl_s = policy_record_s(p, t->flags & TOKEN_BARE);
    if (e == ENDING_NEVER_SENT) {
        w->script = SCRIPT_RELEASE;
        w->letter = 'n';
    } else if (e == ENDING_CUT && !hold) {
        w->script = SCRIPT_RELEASE;
        w->letter = 'c';
    } else if (e == ENDING_CLEAN && letter == 'T' && !(t->flags & TOKEN_BARE)) {
        w->script = SCRIPT_COMPLETE; /* of what `answered` kept; nothing kept: a tombstone, as by resolve */
        w->letter = '\0';
    }
}
