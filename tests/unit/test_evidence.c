// SPDX-License-Identifier: MIT
/* domain/evidence: each row of PROTOCOL's "Evidence and what follows", with the bodies at the bounds. */
#include "tests/unit/heart.h"
#include "domain/evidence.h"

enum { LIMIT = 15360, MAX_STORED = 15000 };

static char bytes[20000];

static const char chunks[100] = "\x11"
                                "transfer-encoding\x07"
                                "Chunked";

/* Headers of 100 bytes, body of n bytes, all of it in the message; without a length it came in chunks. */
static struct response_facts answer(int64_t status, size_t n, int64_t content_length, bool waited)
{
    return (struct response_facts){
        .method = S("POST"),
        .headers = {content_length < 0 ? chunks : bytes, 100},
        .body = {bytes,                               n  },
        .status = status,
        .body_len = (int64_t)n,
        .content_length = content_length,
        .waited = waited
    };
}

static void assert_word(const struct policy *p, struct response_facts f, enum response_word word, bool keep)
{
    bool kept = !keep;
    assert_int_equal(evidence_of_response(p, &(struct token){0}, &f, LIMIT, &kept), word);
    assert_int_equal(kept, keep);
}

static void test_whole(void **state)
{
    struct policy p = policy_payments();
    struct response_facts f = answer(200, 1000, 1000, true);
    assert_word(&p, f, RESPONSE_COMPLETE, false);
    assert_word(&p, answer(200, 1000, 1000, false), RESPONSE_COMPLETE, false); /* the length is proof */
    assert_word(&p, answer(404, 0, 0, true), RESPONSE_COMPLETE, false);
    assert_word(&p, answer(200, 999, 1000, true), RESPONSE_ANSWERED, false);
    assert_word(&p, answer(200, 1001, 1000, true), RESPONSE_ANSWERED, false);
    f.body.len = 999; /* body_len says 1000, the message has less */
    assert_word(&p, f, RESPONSE_ANSWERED, false);
    f = answer(200, 1000, 1000, true);
    f.body_len = 999;
    assert_word(&p, f, RESPONSE_ANSWERED, false);
    f = answer(200, 1000, 1000, true);
    f.headers.len = 0; /* without them nothing can be replayed */
    assert_word(&p, f, RESPONSE_ANSWERED, false);
    (void)state;
}

static void test_max_stored(void **state)
{
    struct policy p = policy_payments();
    for (size_t n = MAX_STORED - 1; n <= MAX_STORED + 1; n++)
        assert_word(&p, answer(200, n, (int64_t)n, true),
                    n <= MAX_STORED ? RESPONSE_COMPLETE : RESPONSE_ANSWERED, false);
    p.idempotency.max_stored = 100;
    for (size_t n = 99; n <= 101; n++)
        assert_word(&p, answer(200, n, -1, true), RESPONSE_ANSWERED, n <= 100);
    (void)state;
}

static void test_bodiless(void **state)
{
    struct policy p = policy_payments();
    struct response_facts f = answer(200, 0, 5000, false);
    f.method = S("HEAD");
    assert_word(&p, f, RESPONSE_COMPLETE, false);
    f.method = S("HEAP");
    assert_word(&p, f, RESPONSE_ANSWERED, false);
    assert_word(&p, answer(204, 0, -1, false), RESPONSE_COMPLETE, false);
    assert_word(&p, answer(304, 0, 700, false), RESPONSE_COMPLETE, false);
    assert_word(&p, answer(205, 0, -1, false), RESPONSE_ANSWERED, false);
    (void)state;
}

/* body + 2 * 100 + 512 <= 15360 */
static void test_not_proved(void **state)
{
    struct policy p = policy_payments();
    assert_word(&p, answer(200, 1000, -1, true), RESPONSE_ANSWERED, true);
    assert_word(&p, answer(200, 1000, -1, false), RESPONSE_ANSWERED, false);
    assert_word(&p, answer(200, 14647, -1, true), RESPONSE_ANSWERED, true);
    assert_word(&p, answer(200, 14648, -1, true), RESPONSE_ANSWERED, true);
    assert_word(&p, answer(200, 14649, -1, true), RESPONSE_ANSWERED, false);
    struct response_facts f = answer(200, 1000, -1, true);
    f.body_len = -1;
    assert_word(&p, f, RESPONSE_ANSWERED, false);
    (void)state;
}

/* Where the connection's end is the body's, nothing proves that it was meant. */
static void test_ends_by_closing(void **state)
{
    static const char gzip[] = "\x11"
                               "transfer-encoding\x0d"
                               "gzip, chunked\0";
    struct policy p = policy_payments();
    struct response_facts f = answer(200, 1000, -1, true);
    f.headers.ptr = bytes;
    assert_word(&p, f, RESPONSE_ANSWERED, false);
    f.headers = (struct spop_slice){gzip, sizeof gzip};
    assert_word(&p, f, RESPONSE_ANSWERED, false);
    f.headers = (struct spop_slice){chunks, 24}; /* cut in the value */
    assert_word(&p, f, RESPONSE_ANSWERED, false);
    (void)state;
}

static void test_tunnel(void **state)
{
    struct policy p = policy_payments();
    struct response_facts f = answer(101, 0, 0, true);
    assert_word(&p, f, RESPONSE_ANSWERED, false);
    f.content_length = -1;
    assert_word(&p, f, RESPONSE_ANSWERED, false);
    assert_word(&p, answer(199, 0, 0, true), RESPONSE_ANSWERED, false);
    assert_word(&p, answer(200, 0, 0, true), RESPONSE_COMPLETE, false);
    assert_word(&p, answer(599, 0, 0, true), RESPONSE_UNSTORABLE, false);
    assert_word(&p, answer(99, 0, 0, true), RESPONSE_ANSWERED, false);
    assert_word(&p, answer(600, 0, 0, true), RESPONSE_ANSWERED, false);
    assert_word(&p, answer(INT64_MIN, 0, 0, true), RESPONSE_ANSWERED, false);
    (void)state;
}

static void test_unstorable(void **state)
{
    struct policy p = policy_payments();
    assert_word(&p, answer(500, 1000, 1000, true), RESPONSE_UNSTORABLE, false);
    assert_word(&p, answer(503, 1000, -1, true), RESPONSE_UNSTORABLE, false);
    assert_word(&p, answer(409, 20, 20, false), RESPONSE_UNSTORABLE, false);
    /* The backend still writes: the key is not free before it has ended. */
    assert_word(&p, answer(409, 20, 1000, false), RESPONSE_ANSWERED, false);
    assert_word(&p, answer(500, 1000, -1, false), RESPONSE_ANSWERED, false);
    assert_word(&p, answer(500, LIMIT, -1, true), RESPONSE_ANSWERED, false);
    p.idempotency.on_unknown = ON_UNKNOWN_HOLD;
    assert_word(&p, answer(500, 1000, 1000, true), RESPONSE_UNSTORABLE, false);
    assert_word(NULL, answer(200, 1000, 1000, true), RESPONSE_ANSWERED, false);
    (void)state;
}

static void test_letters(void **state)
{
    static const struct {
        unsigned status;
        char release, hold;
    } cases[] = {
        {0,   'F', 'H'},
        {200, 'T', 'T'},
        {422, 'T', 'T'},
        {409, 'F', 'F'},
        {501, 'F', 'F'},
        {500, 'F', 'H'},
        {502, 'F', 'H'},
        {503, 'F', 'F'}, /* listed as definite */
        {504, 'F', 'H'},
        {101, 'T', 'T'},
        {199, 'T', 'T'},
        {599, 'F', 'H'},
        {600, 'T', 'T'},
    };
    struct policy p = policy_payments();
    struct spop_slice bad;
    assert_int_equal(status_set_parse("503", &p.idempotency.known, &bad), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned status = cases[i].status;
        /* The claim's flag decides, whatever the file says now. */
        for (int now = ON_UNKNOWN_RELEASE; now <= ON_UNKNOWN_HOLD; now++) {
            p.idempotency.on_unknown = (enum on_unknown)now;
            assert_int_equal(evidence_letter(&p, false, status), cases[i].release);
            assert_int_equal(evidence_letter(&p, true, status), cases[i].hold);
        }
        assert_int_equal(evidence_letter(NULL, false, status), status ? 'T' : 'F');
        assert_int_equal(evidence_letter(NULL, true, status), status ? 'T' : 'H');
    }
    (void)state;
}

static void test_ends(void **state)
{
    static const struct {
        bool known, hold;
        unsigned gpt0;
        enum ending ending;
        enum script_id script;
        char letter;
    } cases[] = {
        {true,  false, 0,   ENDING_UNSAID,     SCRIPT_RESOLVE,  'F' },
        {true,  true,  0,   ENDING_UNSAID,     SCRIPT_RESOLVE,  'H' },
        {true,  false, 201, ENDING_UNSAID,     SCRIPT_RESOLVE,  'T' },
        {true,  true,  201, ENDING_UNSAID,     SCRIPT_RESOLVE,  'T' },
        {true,  false, 500, ENDING_UNSAID,     SCRIPT_RESOLVE,  'F' },
        {true,  true,  500, ENDING_UNSAID,     SCRIPT_RESOLVE,  'H' },
        {false, false, 500, ENDING_UNSAID,     SCRIPT_RESOLVE,  'T' },
        {false, true,  500, ENDING_UNSAID,     SCRIPT_RESOLVE,  'T' },
        {true,  false, 201, ENDING_CLEAN,      SCRIPT_COMPLETE, '\0'},
        {true,  true,  201, ENDING_CLEAN,      SCRIPT_COMPLETE, '\0'},
        {false, true,  201, ENDING_CLEAN,      SCRIPT_COMPLETE, '\0'},
        {true,  false, 500, ENDING_CLEAN,      SCRIPT_RESOLVE,  'F' }, /* not to be stored */
        {true,  true,  500, ENDING_CLEAN,      SCRIPT_RESOLVE,  'H' },
        {true,  false, 0,   ENDING_CLEAN,      SCRIPT_RESOLVE,  'F' },
        {true,  false, 0,   ENDING_CUT,        SCRIPT_RELEASE,  'c' },
        {true,  false, 201, ENDING_CUT,        SCRIPT_RELEASE,  'c' },
        {true,  true,  0,   ENDING_CUT,        SCRIPT_RESOLVE,  'H' },
        {true,  true,  201, ENDING_CUT,        SCRIPT_RESOLVE,  'T' },
        {true,  false, 0,   ENDING_NEVER_SENT, SCRIPT_RELEASE,  'n' },
        {true,  true,  0,   ENDING_NEVER_SENT, SCRIPT_RELEASE,  'n' },
        {true,  false, 0,   ENDING_OTHER,      SCRIPT_RESOLVE,  'F' },
        {true,  true,  0,   ENDING_OTHER,      SCRIPT_RESOLVE,  'H' },
        {true,  false, 200, ENDING_OTHER,      SCRIPT_RESOLVE,  'T' },
    };
    struct policy p = policy_payments();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct token t = {.flags = cases[i].hold ? TOKEN_HOLD : 0, .fence = 77 + i};
        struct word w;
        memset(&w, 0xee, sizeof w);
        evidence_of_end(cases[i].known ? &p : NULL, &t, cases[i].gpt0, cases[i].ending, &w);
        assert_int_equal(w.script, cases[i].script);
        assert_int_equal(w.letter, cases[i].letter);
        assert_int_equal(w.status, cases[i].gpt0);
        assert_int_equal(w.token.fence, 77 + i);
        assert_int_equal(w.token.flags, t.flags);
        assert_int_equal(w.ttl_s, 86400);
        assert_int_equal(w.pending.len, 0);
        assert_int_equal(w.location.len, 0);
    }
    p.idempotency.record_s = 3600;
    struct token t = {0};
    struct word w;
    evidence_of_end(&p, &t, 0, ENDING_UNSAID, &w);
    assert_int_equal(w.ttl_s, 3600);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_max_stored),
        cmocka_unit_test(test_bodiless),
        cmocka_unit_test(test_not_proved),
        cmocka_unit_test(test_ends_by_closing),
        cmocka_unit_test(test_tunnel),
        cmocka_unit_test(test_unstorable),
        cmocka_unit_test(test_letters),
        cmocka_unit_test(test_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
