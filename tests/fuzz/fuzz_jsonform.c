// SPDX-License-Identifier: MIT
/* A request body as JSON: it has a form only if jansson takes it too (but for numbers that are too large for it, and for a NUL
 * behind a number, which jansson overlooks), and the form of what jansson writes of it is the same, where no number has been rounded. */
#include "tests/fuzz/fuzz.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "domain/jsonform.h"

static void same_again(const json_t *tree, const struct buf *form)
{
    static const struct text_list nothing;
    struct buf again;
    char *text = json_dumps(tree, JSON_ENCODE_ANY | JSON_INDENT(1) | JSON_ENSURE_ASCII);
    if (!text)
        return;
    buf_init(&again);
    assert(json_form((struct spop_slice){text, strlen(text)}, &nothing, &again));
    assert(again.len == form->len && memcmp(again.data, form->data, form->len) == 0);
    buf_free(&again);
    free(text);
}

static bool has_real(const uint8_t *data, size_t size)
{
    return memchr(data, '.', size) || memchr(data, 'e', size) || memchr(data, 'E', size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct text_list nothing, some = {
                                               .n = 2, .item = {"a", "b.c"}
    };
    struct buf form, less;
    buf_init(&form);
    buf_init(&less);
    struct spop_slice text = {(const char *)data, size};
    json_error_t error;
    json_t *tree = size ? json_loadb(text.ptr, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error) : NULL;
    bool is = json_form(text, &nothing, &form);
    bool overflow = !tree && size > 0 && json_error_code(&error) == json_error_numeric_overflow;
    bool overlooked = tree && !is && memchr(data, '\0', size);
    assert(overflow || overlooked || is == (tree != NULL));
    assert(json_form(text, &some, &less) == is);
    if (is && tree && !has_real(data, size) && !memmem(data, size, "-0", 2))
        same_again(tree, &form);
    json_decref(tree);
    buf_free(&form);
    buf_free(&less);
    return 0;
}
