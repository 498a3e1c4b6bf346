// SPDX-License-Identifier: MIT
/* Words and texts of the status codes, from the one table in status.h. */
#include "spop/status.h"

const char *spop_status_word(unsigned status)
{
    switch (status) {
#define X(symbol, number, word, text)                                                                        \
    case number: return word;
        SPOP_STATUS_TABLE(X)
#undef X
    default: return spop_status_word(SPOP_UNKNOWN);
    }
}

const char *spop_status_text(unsigned status)
{
    switch (status) {
#define X(symbol, number, word, text)                                                                        \
    case number: return text;
        SPOP_STATUS_TABLE(X)
#undef X
    default: return spop_status_text(SPOP_UNKNOWN);
    }
}
