#include "base/duration.h"

#include <stdbool.h>

#include "base/cursor.h"
#include "base/number.h"
#include "base/utf8.h"

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)
#define MS_PER_DAY INT64_C(86400000)

enum { QUOTED_MAX = 256 };

/* before "text" after, as Go's %q shows the text. */
static enum err_code quoted_error(struct err *err, const char *before, struct str text,
                                  const char *after) {
    struct buf quoted;
    buf_init(&quoted, 8 * QUOTED_MAX);
    utf8_quote(&quoted, str_sub(text, 0, QUOTED_MAX));
    const enum err_code code =
        err_set(err, ERR_INVALID, "%s%.*s%s", before, STR_ARG(buf_str(&quoted)), after);
    buf_release(&quoted);
    return code;
}

struct unit {
    struct str name;
    int64_t ms;
};

/* largest first, the order in which they must be written */
static const struct unit units[] = {
    {STR_INIT("y"), 365 * MS_PER_DAY},
    {STR_INIT("w"), 7 * MS_PER_DAY},
    {STR_INIT("d"), MS_PER_DAY},
    {STR_INIT("h"), 3600000},
    {STR_INIT("m"), 60000},
    {STR_INIT("s"), 1000},
    {STR_INIT("ms"), 1},
};

static bool is_digit(int c) {
    return c >= '0' && c <= '9';
}

static struct str take_run(struct cursor *c, bool digits) {
    const uint8_t *from = c->at;
    while (cursor_peek(c) >= 0 && is_digit(cursor_peek(c)) == digits) {
        c->at++;
    }
    return (struct str){(const char *)from, (size_t)(c->at - from)};
}

static enum err_code unknown_unit(struct err *err, struct str unit, struct str text) {
    struct buf quoted;
    buf_init(&quoted, 16 * QUOTED_MAX);
    buf_append_cstr(&quoted, "unknown unit ");
    utf8_quote(&quoted, str_sub(unit, 0, QUOTED_MAX));
    buf_append_cstr(&quoted, " in duration ");
    utf8_quote(&quoted, str_sub(text, 0, QUOTED_MAX));
    const enum err_code code = err_set(err, ERR_INVALID, "%.*s", STR_ARG(buf_str(&quoted)));
    buf_release(&quoted);
    return code;
}

enum err_code duration_parse_ns(struct str text, int64_t *out_ns, struct err *err) {
    static const char invalid[] = "not a valid duration string: ";
    if (text.len == 0) {
        return err_set(err, ERR_INVALID, "empty duration string");
    }
    if (str_eq(text, STR("0"))) {
        *out_ns = 0;
        return ERR_OK;
    }
    struct cursor c = cursor_of(text.ptr, text.len);
    uint64_t total_ns = 0;
    size_t next_unit = 0;
    while (cursor_left(&c) > 0) {
        uint64_t count = 0;
        if (number_parse_u64(take_run(&c, true), &count) != NUMBER_OK) {
            return quoted_error(err, invalid, text, "");
        }
        const struct str name = take_run(&c, false);
        size_t i = 0;
        while (i < COUNT_OF(units) && !str_eq(units[i].name, name)) {
            i++;
        }
        if (name.len > 0 && i == COUNT_OF(units)) {
            return unknown_unit(err, name, text);
        }
        if (name.len == 0 || i < next_unit) {
            return quoted_error(err, invalid, text, "");
        }
        next_unit = i + 1;
        const uint64_t unit_ns = (uint64_t)(units[i].ms * NS_PER_MS);
        if (count > (UINT64_C(1) << 63) / unit_ns) {
            return err_set(err, ERR_INVALID, "duration out of range");
        }
        total_ns += count * unit_ns;
        if (total_ns > INT64_MAX) {
            return err_set(err, ERR_INVALID, "duration out of range");
        }
    }
    *out_ns = (int64_t)total_ns;
    return ERR_OK;
}

enum err_code duration_parse_ms(struct str text, int64_t *out_ms, struct err *err) {
    int64_t ns = 0;
    const enum err_code code = duration_parse_ns(text, &ns, err);
    if (code == ERR_OK) {
        *out_ms = ns / NS_PER_MS;
    }
    return code;
}

void duration_format_ms(struct buf *to, int64_t ms) {
    if (ms == 0) {
        buf_append_cstr(to, "0s");
        return;
    }
    if (ms < 0) {
        buf_append_char(to, '-');
    }
    uint64_t left = ms < 0 ? 0 - (uint64_t)ms : (uint64_t)ms;
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        const uint64_t unit = (uint64_t)units[i].ms;
        const bool only_exact = units[i].ms > MS_PER_DAY; /* 90d reads better than 12w6d */
        if (left >= unit && !(only_exact && left % unit != 0)) {
            buf_append_u64(to, left / unit);
            buf_append_str(to, units[i].name);
            left %= unit;
        }
    }
}

/* v / 10^digits without trailing zeros. */
static void append_fraction(struct buf *to, uint64_t v, uint64_t scale) {
    buf_append_u64(to, v / scale);
    v %= scale;
    if (v != 0) {
        buf_append_char(to, '.');
        while (v != 0) {
            scale /= 10;
            buf_append_char(to, (char)('0' + v / scale));
            v %= scale;
        }
    }
}

void duration_format_go_ns(struct buf *to, int64_t ns) {
    if (ns == 0) {
        buf_append_cstr(to, "0s");
        return;
    }
    if (ns < 0) {
        buf_append_char(to, '-');
    }
    const uint64_t left = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
    const uint64_t second = (uint64_t)NS_PER_S;
    if (left < 1000) {
        buf_append_u64(to, left);
        buf_append_cstr(to, "ns");
    } else if (left < (uint64_t)NS_PER_MS) {
        append_fraction(to, left, 1000);
        buf_append_cstr(to, "\xC2\xB5s");
    } else if (left < second) {
        append_fraction(to, left, (uint64_t)NS_PER_MS);
        buf_append_cstr(to, "ms");
    } else {
        if (left >= 3600 * second) {
            buf_append_u64(to, left / (3600 * second));
            buf_append_char(to, 'h');
        }
        if (left >= 60 * second) {
            buf_append_u64(to, left / (60 * second) % 60);
            buf_append_char(to, 'm');
        }
        append_fraction(to, left % (60 * second), second);
        buf_append_char(to, 's');
    }
}
