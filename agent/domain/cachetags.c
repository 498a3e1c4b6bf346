// SPDX-License-Identifier: MIT
/* lines ──blanks and commas──► tags ──digest with the policy──► the list, each once */
#include "domain/cachetags.h"

#include "domain/digest.h"
#include "domain/le.h"

static bool parts(char c)
{
    return c == ' ' || c == '\t' || c == ',';
}

static bool take_tag(struct spop_slice *at, struct spop_slice *tag)
{
    size_t n = 0;
    while (at->len > 0 && parts(at->ptr[0]))
        slice_skip(at, 1);
    while (n < at->len && !parts(at->ptr[n]))
        n++;
    *tag = (struct spop_slice){at->ptr, n};
    slice_skip(at, n);
    return n > 0;
}

void cachetags_digest(uint32_t policy, struct spop_slice tag, uint8_t out[CACHETAGS_DIGEST])
{
    uint8_t number[4];
    struct digest d;
    le_put(number, policy, sizeof number);
    digest_begin(&d, CACHETAGS_DIGEST, "cache-tag");
    digest_field(&d, number, sizeof number);
    digest_field(&d, tag.ptr, tag.len);
    digest_end(&d, out);
}

static bool add(struct cachetags *t, const uint8_t digest[CACHETAGS_DIGEST])
{
    for (unsigned i = 0; i < t->n; i++)
        if (memcmp(t->digest[i], digest, CACHETAGS_DIGEST) == 0)
            return true;
    if (t->n == CACHETAGS_MAX)
        return false;
    memcpy(t->digest[t->n++], digest, CACHETAGS_DIGEST);
    return true;
}

bool cachetags_read(struct spop_slice hdrs_bin, const char *name, uint32_t policy, struct cachetags *out)
{
    struct spop_cursor c = headers_walk(hdrs_bin);
    struct spop_slice value, tag;
    uint8_t digest[CACHETAGS_DIGEST];
    out->n = 0;
    while (headers_each(&c, name, &value))
        while (take_tag(&value, &tag)) {
            cachetags_digest(policy, tag, digest);
            if (!add(out, digest))
                return false;
        }
    return headers_whole(hdrs_bin);
}
