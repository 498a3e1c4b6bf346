// SPDX-License-Identifier: MIT
/* Dates of HTTP (RFC 9110, section 5.6.7).
 *
 *   Sun, 06 Nov 1994 08:49:37 GMT     IMF-fixdate
 *   Sunday, 06-Nov-94 08:49:37 GMT    RFC 850: two digits of the year
 *   Sun Nov  6 08:49:37 1994          asctime()
 *
 * Read in any case of letters, and only with GMT (RFC 9111, section 4.2). The name of the day must be one, not the right one. A leap
 * second (:60) is the second before it: never later than what was said. */
#ifndef HTTPDATE_H
#define HTTPDATE_H

#include "spop/slice.h"

#include <stdint.h>

enum { HTTPDATE_TEXT = 30 }; /* bytes with the NUL */

/* now_s: only to find the century of RFC 850's year (more than 50 years ahead is in the past). Epoch seconds, may be negative.
 * False: no date; *epoch_s is left alone. */
bool httpdate_read(struct spop_slice text, int64_t now_s, int64_t *epoch_s);

/* IMF-fixdate. epoch_s is held within the years 0 to 9999. */
void httpdate_write(int64_t epoch_s, char out[HTTPDATE_TEXT]);

#endif
