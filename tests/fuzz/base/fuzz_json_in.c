/* Any text parses or is refused with a place; what parses can be walked, and written by json_out
 * it parses again to the same document. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/json_in.h"
#include "base/json_out.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Numbers that are not integers go through doubles. Those without a fraction are left out when the
 * writer would print them as an integer that the parser takes for another: -0, and beyond 64 bits. */
static void copy_number(struct json_out *out, double v) {
    const bool as_integer = v == 0 || (fabs(v) >= 9e18 && fabs(v) < 1e21);
    json_f64(out, as_integer ? 0 : v);
}

static void copy(struct json_out *out, const struct json *j) {
    if (json_is_object(j)) {
        size_t it = 0;
        struct str key;
        const struct json *value = NULL;
        json_object_begin(out);
        while (json_next_member(j, &it, &key, &value)) {
            json_key_str(out, key);
            copy(out, value);
        }
        json_object_end(out);
    } else if (json_is_array(j)) {
        json_array_begin(out);
        for (size_t i = 0; i < json_length(j); i++) {
            copy(out, json_at(j, i));
        }
        json_array_end(out);
    } else if (json_is_string(j)) {
        json_str(out, json_string(j));
    } else if (json_is_null(j)) {
        json_null(out);
    } else if (json_int(j, 1) == json_int(j, 2)) {
        json_i64(out, json_int(j, 0));
    } else if (json_number(j, 1) == json_number(j, 2)) {
        copy_number(out, json_number(j, 0));
    } else {
        json_bool(out, json_true(j));
    }
}

static struct json_doc *rewrite(const struct json_doc *doc, struct buf *to) {
    struct json_out out;
    struct json_doc *again = NULL;
    struct err err;
    buf_init(to, 64 * 1024 * 1024);
    json_out_init(&out, to);
    copy(&out, json_root(doc));
    if (json_parse(buf_str(to), &again, &err) != ERR_OK) {
        abort();
    }
    return again;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct json_doc *doc = NULL;
    struct err err;
    if (json_parse((struct str){(const char *)data, size}, &doc, &err) != ERR_OK) {
        if (err.text[0] == '\0' || doc != NULL) {
            abort();
        }
        return 0;
    }
    struct buf first;
    struct buf second;
    struct json_doc *again = rewrite(doc, &first);
    struct json_doc *third = rewrite(again, &second);
    if (!str_eq(buf_str(&first), buf_str(&second))) {
        abort();
    }
    json_doc_free(third);
    json_doc_free(again);
    json_doc_free(doc);
    buf_release(&first);
    buf_release(&second);
    return 0;
}
