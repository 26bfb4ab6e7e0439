#include "config_size.h"

#include <stdbool.h>

#include "base/number.h"

static const char unit_letters[] = "KMGTPE";

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* Factor of a unit: "B", then "KB" or with binary names "KiB". */
static bool unit_factor(struct str unit, bool binary_names, double *out) {
    if (str_eq(unit, STR("B"))) {
        *out = 1;
        return true;
    }
    const struct str suffix = binary_names ? STR("iB") : STR("B");
    if (unit.len != suffix.len + 1 || !str_ends(unit, suffix)) {
        return false;
    }
    double factor = 1024;
    for (size_t i = 0; unit_letters[i] != '\0'; i++, factor *= 1024) {
        if (unit.ptr[0] == unit_letters[i]) {
            *out = factor;
            return true;
        }
    }
    return false;
}

/* Digits from *rest; false when they do not fit. *out_scale is ten to their number. */
static bool take_digits(struct str *rest, double *out, double *out_scale) {
    uint64_t value = 0;
    *out_scale = 1;
    while (rest->len > 0 && is_digit(rest->ptr[0])) {
        if (__builtin_mul_overflow(value, 10U, &value) ||
            __builtin_add_overflow(value, (uint64_t)(rest->ptr[0] - '0'), &value) ||
            value > INT64_MAX) {
            return false;
        }
        *out_scale *= 10;
        *rest = str_from(*rest, 1);
    }
    *out = (double)value;
    return true;
}

/* One "<number>" of the sum. */
static bool take_number(struct str *rest, double *out) {
    double whole = 0;
    double fraction = 0;
    double scale = 1;
    const size_t before = rest->len;
    if (!take_digits(rest, &whole, &scale)) {
        return false;
    }
    bool any = rest->len != before;
    if (rest->len > 0 && rest->ptr[0] == '.') {
        *rest = str_from(*rest, 1);
        const size_t point = rest->len;
        if (!take_digits(rest, &fraction, &scale)) {
            return false;
        }
        any = any || rest->len != point;
        whole += fraction / scale;
    }
    *out = whole;
    return any;
}

static enum err_code parse_sum(struct str text, bool binary_names, int64_t *out, struct err *err) {
    struct str rest = text;
    double sum = 0;
    const bool negative = rest.len > 0 && rest.ptr[0] == '-';
    if (negative || (rest.len > 0 && rest.ptr[0] == '+')) {
        rest = str_from(rest, 1);
    }
    if (str_eq(rest, STR("0"))) {
        *out = 0;
        return ERR_OK;
    }
    if (rest.len == 0) {
        return err_set(err, ERR_INVALID, "units: invalid %.*s", STR_ARG(text));
    }
    while (rest.len > 0) {
        double number = 0;
        double factor = 0;
        if (!take_number(&rest, &number)) {
            return err_set(err, ERR_INVALID, "units: invalid %.*s", STR_ARG(text));
        }
        size_t n = 0;
        while (n < rest.len && rest.ptr[n] != '.' && !is_digit(rest.ptr[n])) {
            n++;
        }
        const struct str unit = str_sub(rest, 0, n);
        rest = str_from(rest, n);
        if (!unit_factor(unit, binary_names, &factor)) {
            return err_set(err, ERR_INVALID, "units: unknown unit %.*s in %.*s", STR_ARG(unit),
                           STR_ARG(text));
        }
        sum += number * factor;
    }
    if (sum >= 0x1p63) {
        return err_set(err, ERR_INVALID, "units: overflow parsing unit");
    }
    *out = negative ? -(int64_t)sum : (int64_t)sum;
    return ERR_OK;
}

enum err_code size_parse(struct str text, int64_t *out_bytes, struct err *err) {
    if (parse_sum(text, true, out_bytes, NULL) == ERR_OK) {
        return ERR_OK;
    }
    return parse_sum(text, false, out_bytes, err);
}

void size_format(struct buf *to, int64_t bytes) {
    if (bytes == 0) {
        buf_append_cstr(to, "0B");
        return;
    }
    uint64_t rest = bytes < 0 ? 0 - (uint64_t)bytes : (uint64_t)bytes;
    const char *sign = bytes < 0 ? "-" : "";
    for (int power = 6; power >= 0; power--) {
        const uint64_t part = rest >> (10 * power) & 1023;
        if (part == 0) {
            continue;
        }
        buf_append_cstr(to, sign);
        buf_append_u64(to, part);
        if (power > 0) {
            buf_append_char(to, unit_letters[power - 1]);
            buf_append_char(to, 'i');
        }
        buf_append_char(to, 'B');
    }
}
