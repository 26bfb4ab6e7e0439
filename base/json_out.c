#include "base/json_out.h"

#include <math.h>
#include <string.h>

#include "base/check.h"
#include "base/number.h"
#include "base/utf8.h"
#include "base/value.h"

void json_out_init(struct json_out *j, struct buf *to) {
    j->to = to;
    j->depth = 0;
    j->need_comma[0] = false;
}

/* A key leaves need_comma false for its value; each value sets it for what follows. */
static void separate(struct json_out *j) {
    if (j->need_comma[j->depth]) {
        buf_append_char(j->to, ',');
    }
    j->need_comma[j->depth] = true;
}

static void nest(struct json_out *j, char bracket) {
    separate(j);
    buf_append_char(j->to, bracket);
    j->depth++;
    ASSERT(j->depth < JSON_OUT_DEPTH_MAX);
    j->need_comma[j->depth] = false;
}

static void leave(struct json_out *j, char bracket) {
    ASSERT(j->depth > 0);
    j->depth--;
    buf_append_char(j->to, bracket);
}

void json_object_begin(struct json_out *j) {
    nest(j, '{');
}

void json_object_end(struct json_out *j) {
    leave(j, '}');
}

void json_array_begin(struct json_out *j) {
    nest(j, '[');
}

void json_array_end(struct json_out *j) {
    leave(j, ']');
}

/* What a byte needs: nothing, a look by either writer, or a look by json_str alone. */
enum byte_class { PLAIN = 0, ESCAPE = 1, ESCAPE_HTML = 2 };

static const uint8_t byte_classes[256] = {
    [0x00 ... 0x1F] = ESCAPE,      ['"'] = ESCAPE,      ['\\'] = ESCAPE,
    ['<'] = ESCAPE_HTML,           ['>'] = ESCAPE_HTML, ['&'] = ESCAPE_HTML,
    [0x80 ... 0xFF] = ESCAPE_HTML,
};

static void escape_byte(struct buf *to, uint8_t byte) {
    static const char hex[] = "0123456789abcdef";
    char text[6] = {'\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15]};
    size_t n = 2;
    switch (byte) {
    case '"':
    case '\\':
        text[1] = (char)byte;
        break;
    case '\n':
        text[1] = 'n';
        break;
    case '\r':
        text[1] = 'r';
        break;
    case '\t':
        text[1] = 't';
        break;
    default:
        n = sizeof(text);
        break;
    }
    buf_append(to, text, n);
}

/* Writes the rune at the start of s and returns its length in bytes. */
static size_t escape_rune(struct buf *to, struct str s) {
    enum { REPLACEMENT = 0xFFFD, LINE_SEPARATOR = 0x2028, PARAGRAPH_SEPARATOR = 0x2029 };
    size_t bytes = 0;
    const uint32_t rune = utf8_rune(s, &bytes);
    if (rune == REPLACEMENT && bytes == 1) {
        buf_append_cstr(to, "\\ufffd");
    } else if (rune == LINE_SEPARATOR) {
        buf_append_cstr(to, "\\u2028");
    } else if (rune == PARAGRAPH_SEPARATOR) {
        buf_append_cstr(to, "\\u2029");
    } else {
        buf_append(to, s.ptr, bytes);
    }
    return bytes;
}

/* Runs of bytes that stay as they are, copied whole. */
static void write_quoted(struct buf *to, struct str s, unsigned escape_from_class) {
    buf_append_char(to, '"');
    size_t run = 0;
    size_t i = 0;
    while (i < s.len) {
        const uint8_t byte = (uint8_t)s.ptr[i];
        const uint8_t class = byte_classes[byte];
        if (class == PLAIN || class > escape_from_class) {
            i++;
            continue;
        }
        buf_append(to, s.ptr + run, i - run);
        if (byte < 0x80) {
            escape_byte(to, byte);
            i++;
        } else {
            i += escape_rune(to, str_from(s, i));
        }
        run = i;
    }
    if (i > run) {
        buf_append(to, s.ptr + run, i - run);
    }
    buf_append_char(to, '"');
}

void json_key_str(struct json_out *j, struct str key) {
    separate(j);
    write_quoted(j->to, key, ESCAPE_HTML);
    buf_append_char(j->to, ':');
    j->need_comma[j->depth] = false;
}

void json_key(struct json_out *j, const char *key) {
    json_key_str(j, str_of(key));
}

void json_str(struct json_out *j, struct str s) {
    separate(j);
    write_quoted(j->to, s, ESCAPE_HTML);
}

void json_label_str(struct json_out *j, struct str s) {
    separate(j);
    write_quoted(j->to, s, ESCAPE);
}

void json_i64(struct json_out *j, int64_t v) {
    separate(j);
    buf_append_i64(j->to, v);
}

void json_u64(struct json_out *j, uint64_t v) {
    separate(j);
    buf_append_u64(j->to, v);
}

/* As Go's encoder: the API's form, but "e-7" where strconv writes "e-07". */
void json_f64(struct json_out *j, double v) {
    if (!isfinite(v)) { /* JSON has no word for it */
        json_null(j);
        return;
    }
    separate(j);
    char text[NUMBER_TEXT_MAX];
    size_t n = number_format_json(v, text);
    if (n >= 4 && memcmp(text + n - 4, "e-0", 3) == 0) {
        text[n - 2] = text[n - 1];
        n--;
    }
    buf_append(j->to, text, n);
}

void json_bool(struct json_out *j, bool v) {
    separate(j);
    buf_append_cstr(j->to, v ? "true" : "false");
}

void json_raw(struct json_out *j, struct str json) {
    separate(j);
    buf_append_str(j->to, json);
}

enum { TIMESTAMP_MAX = 25 };

static size_t format_timestamp(int64_t ms, char text[TIMESTAMP_MAX]) {
    size_t n = 0;
    if (ms < 0) {
        text[n++] = '-';
    }
    const uint64_t magnitude = ms < 0 ? -(uint64_t)ms : (uint64_t)ms;
    n += number_format_u64(magnitude / 1000, text + n);
    const unsigned fraction = (unsigned)(magnitude % 1000);
    if (fraction != 0) {
        text[n++] = '.';
        text[n++] = (char)('0' + fraction / 100);
        text[n++] = (char)('0' + fraction / 10 % 10);
        text[n++] = (char)('0' + fraction % 10);
    }
    return n;
}

void json_timestamp_ms(struct json_out *j, int64_t ms) {
    separate(j);
    char text[TIMESTAMP_MAX];
    buf_append(j->to, text, format_timestamp(ms, text));
}

void json_sample_value(struct json_out *j, double v) {
    separate(j);
    char text[NUMBER_TEXT_MAX + 2];
    text[0] = '"';
    size_t n = 1 + number_format_json(v, text + 1);
    text[n++] = '"';
    buf_append(j->to, text, n);
}

void json_labels(struct json_out *j, struct labels labels) {
    json_object_begin(j);
    struct labels_iter it = labels_begin(labels);
    struct label label;
    while (labels_next(&it, &label)) {
        separate(j);
        write_quoted(j->to, label.name, ESCAPE);
        buf_append_char(j->to, ':');
        write_quoted(j->to, label.value, ESCAPE);
    }
    json_object_end(j);
}

/* ---- samples ---- */

/* Its longest text of a value: 21 digits and a sign, or "-0.0000012345678901234567". */
enum { VALUE_MAX = 32, PAIR_MAX = TIMESTAMP_MAX + VALUE_MAX + 7 };

/* `[<time>,"`, what stands before a value. */
static char *put_time(char *to, int64_t ms, struct json_time *slot) {
    if (slot->len == 0 || slot->ms != ms) {
        char text[TIMESTAMP_MAX + 3] = "[";
        size_t n = 1;
        n += format_timestamp(ms, text + n);
        text[n++] = ',';
        text[n++] = '"';
        if (n > sizeof(slot->text)) {
            memcpy(to, text, n);
            return to + n;
        }
        memcpy(slot->text, text, sizeof(slot->text));
        slot->len = (uint8_t)n;
        slot->ms = ms;
    }
    memcpy(to, slot->text, sizeof(slot->text)); /* of a fixed size: what is too much goes under */
    return to + slot->len;
}

void json_samples(struct json_out *j, const int64_t *ts, const double *values, size_t n,
                  struct json_times *times, size_t first) {
    char *const from = n > 0 ? buf_reserve(j->to, n * PAIR_MAX + NUMBER_TEXT_MAX) : NULL;
    if (from == NULL) {
        return;
    }
    char *to = from;
    char last[VALUE_MAX] = {0}; /* the text before: equal values mostly come in a row */
    size_t last_len = 0;
    bool comma = j->need_comma[j->depth];
    for (size_t i = 0; i < n; i++) {
        *to = ',';
        to += comma ? 1 : 0;
        comma = true;
        to = put_time(to, ts[i], &times->slots[(first + i) % JSON_TIMES_MAX]);
        if (i > 0 && f64_same_bits(values[i], values[i - 1])) {
            memcpy(to, last, VALUE_MAX);
        } else {
            last_len = number_format_json(values[i], to);
            memcpy(last, to, VALUE_MAX);
        }
        to += last_len;
        *to++ = '"';
        *to++ = ']';
    }
    j->to->len += (size_t)(to - from);
    j->to->ptr[j->to->len] = '\0';
    j->need_comma[j->depth] = true;
}
