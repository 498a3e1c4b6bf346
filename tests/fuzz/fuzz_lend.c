// SPDX-License-Identifier: MIT
/* A string of Redis read as the reply to a question for a loan, and what an agent then does with it. */
#include "tests/fuzz/fuzz.h"

#include "domain/loan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct loan_terms t = {.most = 64, .worth = 1, .lasts_s = 2};
    struct lend_said said;
    struct lend_ask ask;
    struct loan l;
    uint32_t number;
    if (lend_read((struct spop_slice){(const char *)data, size}, &said) < 0)
        return 0;
    assert(said.kind == LEND_SAID || (said.tokens == 0 && said.closed == 0));
    assert(said.level >= 0 && said.on_loan >= 0);
    loan_init(&l, &t, 0);
    loan_missed(&l, &t, 1, 0);
    loan_ask(&l, &t, 0, 1, 0, false, &ask);
    loan_said(&l, &t, 0, &said);
    assert(loan_left(&l, &t, (struct loan_clock){0, 0}) <= ask.wanted);
    loan_take(&l, &t, 1, (struct loan_clock){0, said.now_us}, &number);
    return 0;
}
