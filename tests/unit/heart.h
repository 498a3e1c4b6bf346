// SPDX-License-Identifier: MIT
/* What the tests of the domain share: slices of literals, bytes as hex, one policy to begin with. */
#ifndef HEART_H
#define HEART_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "domain/config.h"
#include "domain/facts.h"
#include "domain/policy.h"
#include "domain/text.h"

#define S(text) ((struct spop_slice){(text), sizeof(text) - 1})

static inline void assert_text(struct spop_slice s, const char *text)
{
    assert_int_equal(s.len, strlen(text));
    if (s.len > 0)
        assert_memory_equal(s.ptr, text, s.len);
}

static inline void assert_hex(const uint8_t *bytes, size_t len, const char *hex)
{
    char is[129];
    struct text t;
    text_init(&t, is, sizeof is);
    text_hex(&t, bytes, len);
    assert_string_equal(is, hex);
}

/* Ready made, as the reader of the configuration would. */
static inline struct policy policy_payments(void)
{
    struct policy p = {
        .name = "payments",
        .idempotency = {.enabled = true,
                        .principal = "user",
                        .required = true,
                        .methods = "POST, PATCH",
                        .lock_s = 30,
                        .record_s = 86400,
                        .fingerprint = FINGERPRINT_RAW,
                        .store = "default",
                        .max_stored = 15000},
    };
    struct spop_slice bad;
    p.hash = policy_hash(p.name);
    assert_int_equal(status_set_parse(p.idempotency.store, &p.idempotency.stored, &bad), 0);
    return p;
}

/* quota a window, as many at once; key: terms. */
static inline struct limit limit_of(const char *name, uint32_t quota, uint32_t window_s, const char *term1,
                                    const char *term2)
{
    struct limit l = {
        .pace = {.quota = quota, .window_s = window_s, .burst = quota},
          .ipv4_prefix = 32, .ipv6_prefix = 64
    };
    strcpy(l.name, name);
    l.hash = limit_hash(name);
    strcpy(l.terms[l.nterms++], term1);
    if (term2)
        strcpy(l.terms[l.nterms++], term2);
    l.pace.increment = (double)(((uint64_t)window_s * 10000000 + quota - 1) / quota);
    l.pace.capacity = l.most = l.pace.increment * l.pace.burst;
    return l;
}

#endif
