// SPDX-License-Identifier: MIT
/* domain/subject: the digests are the same in every agent and version (the literals were computed by another
 * implementation of BLAKE2b), what shares a bucket and what must not. */
#include "tests/unit/heart.h"
#include "domain/subject.h"

static const struct spop_value v4 = {
    .type = SPOP_IPV4, .bytes = {"\xc0\x00\x02\x07", 4}
};

static struct request_facts facts_alice(void)
{
    struct request_facts f = {.src = v4, .nextra = 2};
    f.extra[0] = (struct spop_arg){
        S("user"), {.type = SPOP_STR, .bytes = S("alice")}
    };
    f.extra[1] = (struct spop_arg){
        S("tenant"), {.type = SPOP_INT64, .integer = 42}
    };
    return f;
}

static struct spop_value v6(const char *bytes)
{
    return (struct spop_value){
        .type = SPOP_IPV6, .bytes = {bytes, 16}
    };
}

static bool same(const struct record_id *a, const struct record_id *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static void test_record_literals(void **state)
{
    static const struct {
        const char *principal, *digest, *tag;
    } cases[] = {
        {"user", "212bf047db51429f3cf09c7330b33933", "2105"},
        {"none", "98092ed4079003c8d009c79f5c43271d", "dfbf"},
        {"ip",   "c85087886530eb661f6eeece723c628e", "ff96"},
    };
    struct request_facts f = facts_alice();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct policy p = policy_payments();
        struct record_id id;
        strcpy(p.idempotency.principal, cases[i].principal);
        assert_true(subject_record(&p, &f, S("k1"), &id));
        assert_hex(id.digest, sizeof id.digest, cases[i].digest);
        assert_hex(id.tag, sizeof id.tag, cases[i].tag);
    }
    (void)state;
}

/* Independent: another key, policy, principal, and texts that meet at a field's edge. */
static void test_records_differ(void **state)
{
    struct request_facts alice = facts_alice(), bob = facts_alice();
    struct policy p = policy_payments(), other = policy_payments(), tenant = policy_payments();
    struct record_id a, b;
    bob.extra[0].value.bytes = S("alic");
    strcpy(other.name, "refunds");
    strcpy(tenant.idempotency.principal, "tenant");
    assert_true(subject_record(&p, &alice, S("k1"), &a));
    assert_true(subject_record(&p, &alice, S("k1"), &b));
    assert_true(same(&a, &b));
    assert_true(subject_record(&p, &alice, S("k2"), &b));
    assert_false(same(&a, &b));
    assert_memory_equal(a.tag, b.tag, sizeof a.tag);
    assert_true(subject_record(&p, &bob, S("ek1"), &b));
    assert_memory_not_equal(a.digest, b.digest, sizeof a.digest);
    assert_true(subject_record(&other, &alice, S("k1"), &b));
    assert_memory_not_equal(a.digest, b.digest, sizeof a.digest);
    assert_true(subject_record(&tenant, &alice, S("k1"), &a));
    alice.extra[1].value.integer = 43;
    assert_true(subject_record(&tenant, &alice, S("k1"), &b));
    assert_memory_not_equal(a.digest, b.digest, sizeof a.digest);
    (void)state;
}

/* By `scope` another host, or another path of one, has keys of its own (I13). */
static void test_scope(void **state)
{
    static const struct {
        enum key_scope scope;
        bool host, path; /* are they one record? */
    } cases[] = {
        {KEY_SCOPE_POLICY, true,  true },
        {KEY_SCOPE_HOST,   false, true },
        {KEY_SCOPE_PATH,   false, false},
    };
    struct record_id all[3];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct policy p = policy_payments();
        struct request_facts f = facts_alice();
        struct record_id other;
        p.idempotency.scope = cases[i].scope;
        f.host = S("shop.example");
        f.path = S("/a");
        assert_true(subject_record(&p, &f, S("k1"), &all[i]));
        f.host = S("SHOP.Example");
        assert_true(subject_record(&p, &f, S("k1"), &other));
        assert_true(same(&all[i], &other));
        f.host = S("shop.example:80");
        assert_true(subject_record(&p, &f, S("k1"), &other));
        assert_int_equal(same(&all[i], &other), cases[i].host);
        assert_memory_equal(all[i].tag, other.tag, sizeof other.tag);
        f.host = S("shop.example");
        f.path = S("/b");
        assert_true(subject_record(&p, &f, S("k1"), &other));
        assert_int_equal(same(&all[i], &other), cases[i].path);
        f.host = S("shop.example/");
        f.path = S("a");
        assert_true(subject_record(&p, &f, S("k1"), &other));
        assert_int_equal(same(&all[i], &other), cases[i].host && cases[i].path);
    }
    assert_false(same(&all[0], &all[1]) || same(&all[1], &all[2]) || same(&all[0], &all[2]));
    (void)state;
}

/* The same principal in every policy that has it; never another's, and none for `none`. */
static void test_who(void **state)
{
    static const uint8_t nobody[SUBJECT_WHO];
    struct request_facts alice = facts_alice(), bob = facts_alice();
    struct policy p = policy_payments(), other = policy_payments();
    uint8_t a[SUBJECT_WHO], b[SUBJECT_WHO];
    strcpy(other.name, "refunds");
    subject_who(&p, &alice, a);
    subject_who(&other, &alice, b);
    assert_memory_equal(a, b, sizeof a);
    assert_memory_not_equal(a, nobody, sizeof a);
    bob.extra[0].value.bytes = S("bob");
    subject_who(&p, &bob, b);
    assert_memory_not_equal(a, b, sizeof a);
    strcpy(other.idempotency.principal, "tenant");
    alice.extra[1].value = alice.extra[0].value;
    subject_who(&other, &alice, b);
    assert_memory_not_equal(a, b, sizeof a);
    strcpy(p.idempotency.principal, "ip");
    subject_who(&p, &alice, a);
    assert_memory_not_equal(a, nobody, sizeof a);
    strcpy(p.idempotency.principal, "none");
    subject_who(&p, &alice, a);
    assert_memory_equal(a, nobody, sizeof a);
    (void)state;
}

static void test_principal_missing(void **state)
{
    struct request_facts f = facts_alice();
    struct policy p = policy_payments();
    struct record_id id;
    f.extra[0].value.bytes.len = 0;
    assert_false(subject_record(&p, &f, S("k1"), &id));
    f.nextra = 0;
    assert_false(subject_record(&p, &f, S("k1"), &id));
    strcpy(p.idempotency.principal, "");
    assert_false(subject_record(&p, &f, S("k1"), &id));
    strcpy(p.idempotency.principal, "ip");
    assert_true(subject_record(&p, &f, S("k1"), &id));
    f.src = (struct spop_value){0};
    assert_false(subject_record(&p, &f, S("k1"), &id));
    strcpy(p.idempotency.principal, "none");
    assert_true(subject_record(&p, &f, S("k1"), &id));
    (void)state;
}

/* By the usual prefixes; overwritten by the next call. */
static struct spop_slice address(const struct spop_value *v)
{
    static char scratch[SUBJECT_SCRATCH];
    return subject_address(v, SUBJECT_IPV4_PREFIX, SUBJECT_IPV6_PREFIX, scratch);
}

static void test_addresses(void **state)
{
    struct spop_value six = v6("\x20\x01\x0d\xb8\x00\x01\x00\x02\xaa\xbb\xcc\xdd\xee\xff\x00\x01");
    struct spop_value mapped = v6("\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x07");
    struct spop_value nearly = v6("\0\0\0\0\0\0\0\0\0\0\xff\xfe\xc0\x00\x02\x07");
    struct spop_value text = {.type = SPOP_STR, .bytes = S("10.0.0.1")};
    assert_int_equal(address(&v4).len, 4);
    assert_memory_equal(address(&v4).ptr, "\xc0\x00\x02\x07", 4);
    assert_int_equal(address(&six).len, 8);
    assert_memory_equal(address(&six).ptr, "\x20\x01\x0d\xb8\x00\x01\x00\x02", 8);
    assert_int_equal(address(&mapped).len, 4);
    assert_memory_equal(address(&mapped).ptr, "\xc0\x00\x02\x07", 4);
    assert_int_equal(address(&nearly).len, 8);
    assert_int_equal(address(&text).len, 0);
    (void)state;
}

static void test_limit_literals(void **state)
{
    static const struct {
        const char *name, *term1, *term2, *digest, *tag;
    } cases[] = {
        {"all", "ip",     NULL,     "babbd93266c663c2381d6f022fe10ca5", "ff96"},
        {"all", "global", NULL,     "ef031437ab8cbdd5972c6cf69540bd93", "5fe0"},
        {"all", "policy", NULL,     "3afc04b2b27d1ab232180dc58d4129a7", "5f68"},
        {"all", "ip",     "user",   "0524f45286d383d930d22e17b9f2d7ef", "2105"}, /* user is the principal */
        {"all", "ip",     "tenant", "701b664568736e16572c9453b5838be4",
         "ff96"                                                               }, /* it is none of them: the first */
    };
    struct policy p = policy_payments();
    struct request_facts f = facts_alice();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct limit l = limit_of(cases[i].name, 6, 60, cases[i].term1, cases[i].term2);
        struct record_id id;
        subject_limit(&p, &l, &f, &id);
        assert_hex(id.digest, sizeof id.digest, cases[i].digest);
        assert_hex(id.tag, sizeof id.tag, cases[i].tag);
        subject_compile(&p, &l); /* worked out before where no request matters: the same */
        assert_int_equal(l.has_subject, i == 1 || i == 2);
        memset(&id, 0, sizeof id);
        subject_limit(&p, &l, &f, &id);
        assert_hex(id.digest, sizeof id.digest, cases[i].digest);
        assert_hex(id.tag, sizeof id.tag, cases[i].tag);
    }
    (void)state;
}

static void test_limits_share(void **state)
{
    struct policy p = policy_payments(), other = policy_payments();
    struct request_facts f = facts_alice();
    struct limit a = limit_of("a", 6, 60, "ip", NULL), b = limit_of("b", 9, 60, "ip", NULL);
    struct limit ga = limit_of("ga", 6, 60, "global", "user"), gb = limit_of("gb", 6, 60, "global", "user");
    struct limit both = limit_of("c", 6, 60, "global", "policy");
    struct record_id x, y;
    strcpy(ga.terms[ga.nterms++], "ip");
    strcpy(other.name, "refunds");
    strcpy(other.idempotency.principal, "ip");
    subject_limit(&p, &a, &f, &x);
    subject_limit(&p, &b, &f, &y);
    assert_true(same(&x, &y)); /* one policy, the same terms: one group */
    subject_limit(&other, &a, &f, &y);
    assert_false(same(&x, &y)); /* isolated by policy */
    subject_limit(&p, &ga, &f, &x);
    subject_limit(&other, &ga, &f, &y);
    assert_true(same(&x, &y)); /* global: shared, whatever the policies' principals */
    subject_limit(&p, &gb, &f, &y);
    assert_false(same(&x, &y)); /* by name */
    subject_limit(&p, &both, &f, &x);
    subject_limit(&other, &both, &f, &y);
    assert_false(same(&x, &y));
    (void)state;
}

/* By /64, IPv4 apart from each other behind a listener on ::, and nobody is one client. */
static void test_limit_texts(void **state)
{
    static const struct {
        const char *a, *b; /* IPv6 addresses; NULL: none */
        bool same;
    } cases[] = {
        {"\x20\x01\x0d\xb8\0\0\0\1\0\0\0\0\0\0\0\1", "\x20\x01\x0d\xb8\0\0\0\1\xff\0\0\0\0\0\0\2", true },
        {"\x20\x01\x0d\xb8\0\0\0\1\0\0\0\0\0\0\0\1", "\x20\x01\x0d\xb8\0\0\0\2\0\0\0\0\0\0\0\1",   false},
        {"\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\7",   "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\x08",   false},
        {NULL,                                       NULL,                                         true },
        {NULL,                                       "\x20\x01\x0d\xb8\0\0\0\1\0\0\0\0\0\0\0\1",   false},
    };
    struct policy p = policy_payments();
    struct limit l = limit_of("a", 6, 60, "ip", NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct request_facts f = {0}, g = {0};
        struct record_id x, y;
        if (cases[i].a)
            f.src = v6(cases[i].a);
        if (cases[i].b)
            g.src = v6(cases[i].b);
        subject_limit(&p, &l, &f, &x);
        subject_limit(&p, &l, &g, &y);
        assert_int_equal(same(&x, &y), cases[i].same);
    }
    (void)state;
}

/* R4: a limit's own prefixes; the bits behind them do not count. */
static void test_prefixes(void **state)
{
    static const char four[] = "\xc0\xa8\xff\x81",
                      sixteen[] = "\x20\x01\x0d\xb8\xab\xcd\xef\x77\x11\0\0\0\0\0\0\xff";
    static const struct {
        bool six;
        unsigned bits;
        const char *hex;
    } cases[] = {
        {false, 32,  "c0a8ff81"        },
        {false, 31,  "c0a8ff80"        },
        {false, 25,  "c0a8ff80"        },
        {false, 24,  "c0a8ff"          },
        {false, 17,  "c0a880"          },
        {false, 1,   "80"              },
        {true,  128,
         "20010db8abcdef77110000000000"
         "00ff"                        },
        {true,  64,  "20010db8abcdef77"},
        {true,  63,  "20010db8abcdef76"},
        {true,  56,  "20010db8abcdef"  },
        {true,  48,  "20010db8abcd"    },
        {true,  33,  "20010db880"      },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char scratch[SUBJECT_SCRATCH];
        struct spop_value v = {
            .type = SPOP_IPV4, .bytes = {four, 4}
        };
        if (cases[i].six)
            v = (struct spop_value){
                .type = SPOP_IPV6, .bytes = {sixteen, 16}
            };
        struct spop_slice a = subject_address(&v, cases[i].six ? 32 : cases[i].bits,
                                              cases[i].six ? cases[i].bits : 64, scratch);
        assert_hex((const uint8_t *)a.ptr, a.len, cases[i].hex);
    }
    struct policy p = policy_payments();
    struct limit l = limit_of("a", 6, 60, "ip", NULL);
    struct request_facts f = {.src = v6("\x20\x01\x0d\xb8\0\0\0\1\0\0\0\0\0\0\0\1")},
                         g = {.src = v6("\x20\x01\x0d\xb8\0\0\0\2\0\0\0\0\0\0\0\1")};
    struct record_id x, y;
    l.ipv6_prefix = 56;
    subject_limit(&p, &l, &f, &x);
    subject_limit(&p, &l, &g, &y);
    assert_true(same(&x, &y));
    (void)state;
}

/* R4: a net is not its first address, whose bytes are the same; the other family's bits do not matter. */
static void test_net_is_no_host(void **state)
{
    struct policy p = policy_payments();
    struct limit host = limit_of("a", 6, 60, "ip", NULL), net = host, wide = host;
    struct request_facts four = {.src = v4}, six = {.src = v6("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1")},
                         nobody = {0};
    struct record_id x, y;
    four.src.bytes = S("\xc0\x00\x02\x00");
    net.ipv4_prefix = 28;
    wide.ipv6_prefix = 63;
    for (unsigned kind = 0; kind < 3; kind++) {
        host.algorithm = net.algorithm = wide.algorithm = kind == 1 ? ALGORITHM_WINDOW : ALGORITHM_BUCKET;
        host.concurrent = net.concurrent = wide.concurrent = kind == 2;
        subject_limit(&p, &host, &four, &x);
        subject_limit(&p, &net, &four, &y);
        assert_false(same(&x, &y));
        subject_limit(&p, &wide, &four, &y);
        assert_true(same(&x, &y));
        subject_limit(&p, &host, &six, &x);
        subject_limit(&p, &wide, &six, &y);
        assert_false(same(&x, &y));
        subject_limit(&p, &net, &six, &y);
        assert_true(same(&x, &y));
        subject_limit(&p, &host, &nobody, &x);
        subject_limit(&p, &net, &nobody, &y);
        assert_true(same(&x, &y));
    }
    (void)state;
}

/* A sliding window is alone in its group, by its name; its slot is that of the client's others. */
static void test_windows_stand_alone(void **state)
{
    struct policy p = policy_payments();
    struct request_facts f = facts_alice();
    struct limit bucket = limit_of("a", 6, 60, "ip", NULL), a = bucket, b = limit_of("b", 6, 60, "ip", NULL);
    struct record_id x, y;
    a.algorithm = b.algorithm = ALGORITHM_WINDOW;
    subject_limit(&p, &bucket, &f, &x);
    subject_limit(&p, &a, &f, &y);
    assert_false(same(&x, &y));
    assert_memory_equal(x.tag, y.tag, sizeof x.tag);
    subject_limit(&p, &b, &f, &x);
    assert_false(same(&x, &y));
    (void)state;
}

/* What is said of all requests holds for each: the same TAG, or not. */
static void test_together(void **state)
{
    static const char *const principals[] = {"user", "ip", "tenant", "none"};
    struct request_facts f[] = {
        facts_alice(), facts_alice(), {.src = v6("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"), .nextra = 2}
    };
    struct limit limits[] = {
        limit_of("a", 6, 60, "ip", NULL),     limit_of("b", 6, 60, "user", NULL),
        limit_of("c", 6, 60, "ip", "user"),   limit_of("d", 6, 60, "global", NULL),
        limit_of("e", 6, 60, "policy", NULL), limit_of("f", 6, 60, "global", "user"),
        limit_of("g", 6, 60, "ip", NULL),     limit_of("h", 6, 60, "policy", NULL),
    };
    enum { LIMITS = sizeof limits / sizeof *limits, FACTS = sizeof f / sizeof *f };
    limits[6].ipv4_prefix = 24;
    limits[6].ipv6_prefix = 48;
    f[1].extra[0].value.bytes = S("bob");
    f[2].extra[0] = f[0].extra[0];
    f[2].extra[1] = f[0].extra[1];
    for (unsigned i = 0; i < 4; i++) {
        struct policy p = policy_payments();
        strcpy(p.idempotency.principal, principals[i]);
        for (unsigned a = 0; a < LIMITS; a++) {
            unsigned with_record = 0;
            struct record_id of_a, of_b;
            for (unsigned n = 0; n < FACTS; n++) {
                assert_true(subject_record(&p, &f[n], S("k1"), &of_b));
                subject_limit(&p, &limits[a], &f[n], &of_a);
                with_record += memcmp(of_a.tag, of_b.tag, sizeof of_a.tag) == 0;
            }
            assert_int_equal(with_record, subject_with_record(&p, &limits[a]) ? FACTS : 0);
            for (unsigned b = 0; b < LIMITS; b++) {
                unsigned together = 0;
                for (unsigned n = 0; n < FACTS; n++) {
                    subject_limit(&p, &limits[a], &f[n], &of_a);
                    subject_limit(&p, &limits[b], &f[n], &of_b);
                    together += memcmp(of_a.tag, of_b.tag, sizeof of_a.tag) == 0;
                }
                assert_int_equal(together == FACTS, subject_together(&p, &limits[a], &limits[b]));
            }
        }
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scope),
        cmocka_unit_test(test_who),
        cmocka_unit_test(test_record_literals),
        cmocka_unit_test(test_records_differ),
        cmocka_unit_test(test_principal_missing),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_limit_literals),
        cmocka_unit_test(test_limits_share),
        cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_net_is_no_host),
        cmocka_unit_test(test_windows_stand_alone),
        cmocka_unit_test(test_limit_texts),
        cmocka_unit_test(test_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
