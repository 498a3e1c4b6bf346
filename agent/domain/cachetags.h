// SPDX-License-Identifier: MIT
/* Tags of an answer, by which it can be purged with others: digests of policy and tag.
 *
 *   Surrogate-Key: item-5 list        Cache-Tag: item-5,list        blanks and commas part, in both; bytes count as they are
 */
#ifndef CACHETAGS_H
#define CACHETAGS_H

#include "domain/headers.h"

enum { CACHETAGS_MAX = 32, CACHETAGS_DIGEST = 16 };

struct cachetags {
    unsigned n;
    uint8_t digest[CACHETAGS_MAX][CACHETAGS_DIGEST];
};

/* All lines of the header `name` (lower case); a tag that comes twice counts once. False: more than CACHETAGS_MAX, or headers
 * malformed: an answer that a purge would miss must not be stored. */
bool cachetags_read(struct spop_slice hdrs_bin, const char *name, uint32_t policy, struct cachetags *out);
void cachetags_digest(uint32_t policy, struct spop_slice tag, uint8_t out[CACHETAGS_DIGEST]);

#endif
