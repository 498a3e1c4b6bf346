// SPDX-License-Identifier: MIT
/* The payload of a NOTIFY to facts: every message of it as each kind. Text that is given out lies in the
 * input or in the scratch; a wrong argument leaves the payload behind the message. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "domain/facts.h"
#include "domain/idemkey.h"
#include "domain/subject.h"

struct input {
    const uint8_t *data;
    size_t size;
};

static void check_slices(const struct input *in, const struct spop_slice *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        assert_inside(s[i], in->data, in->size);
}

static void check_text(const struct input *in, const struct request_facts *f, const char *name)
{
    char scratch[24];
    struct spop_slice s = facts_text(f, name, scratch);
    if (s.len > 0 && s.ptr == scratch)
        assert(s.len <= sizeof scratch);
    else
        assert_inside(s, in->data, in->size);
}

static void check_key(const struct request_facts *f)
{
    char key[IDEMKEY_MAX + 1];
    size_t len = 0;
    if (idemkey_read(f, key, &len) == PROBLEM_NONE)
        assert(len > 0 && len <= IDEMKEY_MAX && strlen(key) == len);
}

static void check_request(const struct input *in, const struct request_facts *f)
{
    const struct spop_slice texts[] = {f->policy, f->rid,  f->process, f->method, f->host, f->path,
                                       f->query,  f->type, f->key,     f->key2,   f->sha};
    check_slices(in, texts, sizeof texts / sizeof *texts);
    assert(f->nextra <= FACTS_EXTRA_MAX);
    assert(f->sha.len == 0 || f->sha.len == 32);
    check_text(in, f, "policy");
    check_text(in, f, "body_len");
    check_text(in, f, "src");
    check_text(in, f, "user");
    for (unsigned six = 33; six <= 128; six++) {
        char scratch[SUBJECT_SCRATCH];
        struct spop_slice a = subject_address(&f->src, six / 4, six, scratch);
        assert(a.len <= 16 && (a.len == 0 || a.ptr == scratch));
    }
    check_key(f);
}

/* What a reader said of a message whose end is where skipping it ends. */
static void check_verdict(int rc, int skipped, const struct facts_error *bad, const uint8_t *at,
                          const uint8_t *end)
{
    assert(rc == 0 || rc == -1 || rc == -2);
    assert((rc == -1) == (skipped < 0));
    if (rc != -1)
        assert(at == end);
    if (rc == -2)
        assert(bad->text[0] != '\0' && memchr(bad->text, '\0', sizeof bad->text));
}

static void read_message(const struct input *in, struct spop_cursor payload, struct spop_message m)
{
    struct spop_cursor skipped = payload, asked = payload, told = payload;
    struct spop_message a = m, b = m, c = m;
    struct request_facts request;
    struct response_facts response;
    struct facts_error bad;
    int skip = facts_skip(&skipped, &a);
    int rc = facts_read_request(&asked, &b, &request, &bad);
    check_verdict(rc, skip, &bad, asked.at, skipped.at);
    if (rc == 0)
        check_request(in, &request);
    rc = facts_read_response(&told, &c, &response, &bad);
    check_verdict(rc, skip, &bad, told.at, skipped.at);
    if (rc == 0) {
        const struct spop_slice texts[] = {response.token, response.method, response.headers, response.body};
        check_slices(in, texts, sizeof texts / sizeof *texts);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct input in = {data, size};
    struct spop_cursor payload = {.at = data, .end = data + size};
    struct spop_message m;
    while (spop_next_message(&payload, &m) > 0) {
        (void)message_kind(m.name);
        read_message(&in, payload, m);
        if (facts_skip(&payload, &m) < 0)
            break;
    }
    return 0;
}
