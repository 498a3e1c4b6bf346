// SPDX-License-Identifier: MIT
/* One value as it stands in the file: a text with its ${ENV} put in, a number, a boolean, or a list of texts,
 * whose words are then parted by commas. */
#include "adapters/conffile_inner.h"

#include <stdio.h>

#include "adapters/conftext.h"
#include "domain/options.h"

/* The words of a list, parted by commas; so no word may have one. */
static int join_words(const config_setting_t *s, struct buf *value, char *err, size_t errlen)
{
    struct buf word;
    int rc = 0;
    buf_init(&word);
    for (int i = 0; rc == 0 && i < config_setting_length(s); i++) {
        const char *text = config_setting_get_string_elem(s, i);
        if (!text) {
            snprintf(err, errlen, "a list of texts in quotes is wanted");
            rc = -1;
        } else if ((rc = conftext_expand(text, &word, err, errlen)) == 0) {
            buf_str(value, i ? "," : "");
            buf_str(value, (const char *)word.data);
        }
    }
    buf_free(&word);
    buf_u8(value, 0);
    return rc;
}

int conffile_value(const config_setting_t *s, struct buf *value, char *err, size_t errlen)
{
    char number[64];
    buf_reset(value);
    switch (config_setting_type(s)) {
    case CONFIG_TYPE_STRING:
        return conftext_expand(config_setting_get_string(s), value, err, errlen) ? -1 : (int)FORM_TEXT;
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64: snprintf(number, sizeof number, "%lld", config_setting_get_int64(s)); break;
    case CONFIG_TYPE_FLOAT: snprintf(number, sizeof number, "%g", config_setting_get_float(s)); break;
    case CONFIG_TYPE_BOOL:
        buf_str(value, config_setting_get_bool(s) ? "true" : "false");
        buf_u8(value, 0);
        return FORM_BOOL;
    case CONFIG_TYPE_LIST:
    case CONFIG_TYPE_ARRAY: return join_words(s, value, err, errlen) ? -1 : (int)FORM_LIST;
    default: snprintf(err, errlen, "a value is wanted, not a group"); return -1;
    }
    buf_str(value, number);
    buf_u8(value, 0);
    return FORM_NUMBER;
}
