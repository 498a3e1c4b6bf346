// SPDX-License-Identifier: MIT
/* Who and what a key or a bucket belongs to, as a digest and a short TAG (docs/wire.md, Keys):
 *
 *   record   policy, principal's name, its text, key          TAG: of the principal's text, else of the key
 *            (and by the policy's scope host, or host and path)
 *   bucket   scope, name, then name and text of each term     TAG: of the principal if it is a term, else of
 *            (an address: and how many of its bits)                 the first term with a text, else of the name
 *   window   as bucket, and its name: alone in its group
 *   limit    as bucket: the slots of a concurrency limit
 *
 * One client's keys share a TAG, so that its claim and its limits are in one slot of a Redis cluster. */
#include "domain/subject.h"

#include "domain/digest.h"

#include <string.h>

/* 4 or 16 bytes; empty: no address. */
static struct spop_slice whole_address(const struct spop_value *src)
{
    static const char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, (char)0xff, (char)0xff};
    struct spop_slice a = src->bytes;
    if (src->type != SPOP_IPV4 && src->type != SPOP_IPV6)
        return (struct spop_slice){0};
    if (a.len == 16 && memcmp(a.ptr, mapped, sizeof mapped) == 0)
        return (struct spop_slice){a.ptr + 12, 4};
    return a;
}

struct spop_slice subject_address(const struct spop_value *src, unsigned ipv4_prefix, unsigned ipv6_prefix,
                                  char scratch[SUBJECT_SCRATCH])
{
    struct spop_slice a = whole_address(src);
    unsigned bits = a.len == 4 ? ipv4_prefix : ipv6_prefix;
    size_t len = (bits + 7) / 8;
    if (a.len == 0)
        return a;
    memcpy(scratch, a.ptr, len);
    if (bits % 8 > 0)
        scratch[len - 1] = (char)((unsigned char)scratch[len - 1] & 0xff00u >> bits % 8);
    return (struct spop_slice){scratch, len};
}

static bool same(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/* Text of a principal, or of a limit's term: `ip`, or an argument's name. l NULL: the usual prefixes. */
static struct spop_slice text_of(const struct request_facts *f, const struct limit *l, const char *name,
                                 char scratch[SUBJECT_SCRATCH])
{
    if (!same(name, "ip"))
        return facts_text(f, name, scratch);
    return subject_address(&f->src, l ? l->ipv4_prefix : SUBJECT_IPV4_PREFIX,
                           l ? l->ipv6_prefix : SUBJECT_IPV6_PREFIX, scratch);
}

static void field(struct digest *d, struct spop_slice s)
{
    digest_field(d, s.ptr, s.len);
}

static void tag(struct record_id *id, struct spop_slice s)
{
    digest_short("tag", s.ptr, s.len, id->tag, sizeof id->tag);
}

bool subject_record(const struct policy *p, const struct request_facts *f, struct spop_slice key,
                    struct record_id *id)
{
    const char *principal = p->idempotency.principal;
    bool none = same(principal, "none");
    char scratch[SUBJECT_SCRATCH];
    struct spop_slice who = none ? (struct spop_slice){0} : text_of(f, NULL, principal, scratch);
    struct digest d;
    if (!none && who.len == 0)
        return false;
    digest_begin(&d, sizeof id->digest, "record");
    field(&d, slice_of(p->name));
    field(&d, slice_of(principal));
    field(&d, who);
    field(&d, key);
    if (p->idempotency.scope != KEY_SCOPE_POLICY)
        digest_field_lower(&d, f->host.ptr, f->host.len);
    if (p->idempotency.scope == KEY_SCOPE_PATH)
        field(&d, f->path);
    digest_end(&d, id->digest);
    tag(id, none ? key : who);
    return true;
}

void subject_who(const struct policy *p, const struct request_facts *f, uint8_t out[SUBJECT_WHO])
{
    const char *principal = p->idempotency.principal;
    char scratch[SUBJECT_SCRATCH];
    uint8_t whole[16] = {0};
    struct digest d;
    if (!same(principal, "none")) {
        digest_begin(&d, sizeof whole, "who");
        field(&d, slice_of(principal));
        field(&d, text_of(f, NULL, principal, scratch));
        digest_end(&d, whole);
    }
    memcpy(out, whole, SUBJECT_WHO);
}

static bool is_global(const struct limit *l)
{
    for (unsigned i = 0; i < l->nterms; i++)
        if (same(l->terms[i], "global"))
            return true;
    return false;
}

/* The term whose text gives the TAG. What is shared by policies must not depend on one of them. */
static const char *tag_term(const struct policy *p, const struct limit *l, bool global)
{
    const char *first = NULL;
    for (unsigned i = 0; i < l->nterms; i++) {
        const char *term = l->terms[i];
        if (same(term, "global") || same(term, "policy"))
            continue;
        if (!global && same(term, p->idempotency.principal))
            return term;
        if (!first)
            first = term;
    }
    return first;
}

static struct spop_slice term_text(const struct policy *p, const struct limit *l,
                                   const struct request_facts *f, const char *term,
                                   char scratch[SUBJECT_SCRATCH])
{
    if (same(term, "global"))
        return (struct spop_slice){0};
    if (same(term, "policy"))
        return slice_of(p->name);
    return text_of(f, l, term, scratch);
}

const char *subject_lacks(const struct limit *l, const struct request_facts *f)
{
    for (unsigned i = 0; i < l->nterms; i++) {
        const char *term = l->terms[i];
        bool ours = same(term, "global") || same(term, "policy") || same(term, "ip");
        if (!ours && !facts_carried(f, term))
            return term;
    }
    return NULL;
}

/* How many bits of an address count; the number says of which family it is (domain/options_table). */
static void prefix_field(struct digest *d, const struct limit *l, const struct request_facts *f)
{
    struct spop_slice a = whole_address(&f->src);
    uint8_t bits = (uint8_t)(a.len == 4 ? l->ipv4_prefix : l->ipv6_prefix);
    digest_field(d, &bits, a.len > 0);
}

/* Each kind's values have a shape of their own. */
static const char *label_of(const struct limit *l)
{
    if (l->concurrent > 0)
        return "limit";
    return l->algorithm == ALGORITHM_WINDOW ? "window" : "bucket";
}

static void digest_limit(const struct policy *p, const struct limit *l, const struct request_facts *f,
                         struct record_id *id)
{
    bool global = is_global(l);
    const char *name = global ? l->name : p->name;
    const char *tagged = tag_term(p, l, global);
    char scratch[SUBJECT_SCRATCH];
    struct digest d;
    digest_begin(&d, sizeof id->digest, label_of(l));
    field(&d, slice_of(global ? "global" : "policy"));
    field(&d, slice_of(name));
    for (unsigned i = 0; i < l->nterms; i++) {
        field(&d, slice_of(l->terms[i]));
        field(&d, term_text(p, l, f, l->terms[i], scratch));
        if (same(l->terms[i], "ip"))
            prefix_field(&d, l, f);
    }
    if (l->algorithm == ALGORITHM_WINDOW)
        field(&d, slice_of(l->name));
    digest_end(&d, id->digest);
    tag(id, tagged ? text_of(f, l, tagged, scratch) : slice_of(name));
}

void subject_limit(const struct policy *p, const struct limit *l, const struct request_facts *f,
                   struct record_id *id)
{
    if (l->has_subject)
        *id = l->subject;
    else
        digest_limit(p, l, f, id);
}

void subject_compile(const struct policy *p, struct limit *l)
{
    static const struct request_facts nothing;
    l->has_subject = true;
    for (unsigned i = 0; i < l->nterms; i++)
        l->has_subject = l->has_subject && (same(l->terms[i], "global") || same(l->terms[i], "policy"));
    if (l->has_subject)
        digest_limit(p, l, &nothing, &l->subject);
}

bool subject_of_client(const struct policy *p, const struct limit *l)
{
    return tag_term(p, l, is_global(l)) != NULL;
}

bool subject_together(const struct policy *p, const struct limit *a, const struct limit *b)
{
    const char *of_a = tag_term(p, a, is_global(a)), *of_b = tag_term(p, b, is_global(b));
    if (!of_a || !of_b)
        return of_a == of_b && same(is_global(a) ? a->name : p->name, is_global(b) ? b->name : p->name);
    return same(of_a, of_b) &&
           (!same(of_a, "ip") || (a->ipv4_prefix == b->ipv4_prefix && a->ipv6_prefix == b->ipv6_prefix));
}

bool subject_with_record(const struct policy *p, const struct limit *l)
{
    const char *term = tag_term(p, l, is_global(l));
    return term && same(term, p->idempotency.principal) &&
           (!same(term, "ip") ||
            (l->ipv4_prefix == SUBJECT_IPV4_PREFIX && l->ipv6_prefix == SUBJECT_IPV6_PREFIX));
}

void subject_execution(const struct record_id *slot, const uint8_t rid[8], struct record_id *id)
{
    memcpy(id->tag, slot->tag, sizeof id->tag);
    digest_short("slots", rid, 8, id->digest, sizeof id->digest);
}
