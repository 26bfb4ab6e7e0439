#include "series_values.h"

#include <string.h>

#include "base/number.h"
#include "base/value.h"

static enum err_code add(struct arena *arena, struct series_values *s, struct series_value value,
                         struct err *err) {
    if (s->count >= SERIES_VALUES_MAX) {
        return err_set(err, ERR_LIMIT, "more than %d values in a series", SERIES_VALUES_MAX);
    }
    if (s->count == s->capacity) {
        const size_t capacity = s->capacity * 2 + 64;
        struct series_value *items = arena_try_alloc(arena, capacity, sizeof(*items));
        if (items == NULL) {
            return err_set(err, ERR_LIMIT, "too many values in the series of the test");
        }
        if (s->count > 0) {
            memcpy(items, s->items, s->count * sizeof(*items));
        }
        s->items = items;
        s->capacity = capacity;
    }
    s->items[s->count++] = value;
    return ERR_OK;
}

static bool take_char(struct str *s, char c) {
    if (s->len == 0 || s->ptr[0] != c) {
        return false;
    }
    *s = str_from(*s, 1);
    return true;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* Digits, dot and exponent at the front of s. */
static size_t decimal_at(struct str s) {
    size_t n = 0;
    while (n < s.len && (is_digit(s.ptr[n]) || s.ptr[n] == '.')) {
        n++;
    }
    if (n == 0 || n == s.len || (s.ptr[n] != 'e' && s.ptr[n] != 'E')) {
        return n;
    }
    size_t end = n + 1;
    end += end < s.len && (s.ptr[end] == '+' || s.ptr[end] == '-');
    const size_t digits = end;
    while (end < s.len && is_digit(s.ptr[end])) {
        end++;
    }
    return end > digits ? end : n;
}

/* An unsigned number, Inf or NaN. */
static bool take_magnitude(struct str *s, double *out) {
    const struct str three = str_sub(*s, 0, 3);
    const bool word = str_eq_nocase(three, STR("inf")) || str_eq_nocase(three, STR("nan"));
    const size_t n = word ? 3 : decimal_at(*s);
    if (n == 0 || number_parse_double(str_sub(*s, 0, n), out) != NUMBER_OK) {
        return false;
    }
    *s = str_from(*s, n);
    return true;
}

static bool take_sign(struct str *s, double *out) {
    *out = 1;
    if (take_char(s, '-')) {
        *out = -1;
        return true;
    }
    return take_char(s, '+');
}

/* "x12" at the front of s; s stays when there is none. */
static bool take_times(struct str *s, uint64_t *out) {
    size_t n = 1;
    while (s->len > 0 && s->ptr[0] == 'x' && n < s->len && is_digit(s->ptr[n])) {
        n++;
    }
    if (n == 1 || number_parse_u64(str_sub(*s, 1, n - 1), out) != NUMBER_OK) {
        return false;
    }
    *s = str_from(*s, n);
    return true;
}

static enum err_code repeat(struct arena *arena, struct series_values *out,
                            struct series_value value, double step, uint64_t times,
                            struct err *err) {
    for (uint64_t i = 0; i < times; i++) {
        const enum err_code code = add(arena, out, value, err);
        if (code != ERR_OK) {
            return code;
        }
        value.value += step;
    }
    return ERR_OK;
}

static enum err_code bad_item(struct str item, struct err *err) {
    return err_set(err, ERR_INVALID, "bad series value \"%.*s\"", STR_ARG(item));
}

static enum err_code parse_item(struct arena *arena, struct str item, struct series_values *out,
                                struct err *err) {
    struct str rest = item;
    uint64_t times = 0;
    if (str_eq(item, STR("stale"))) {
        return add(arena, out, (struct series_value){true, f64_stale()}, err);
    }
    if (take_char(&rest, '_')) {
        if ((rest.len > 0 && (!take_times(&rest, &times) || times == 0)) || rest.len > 0) {
            return bad_item(item, err);
        }
        return repeat(arena, out, (struct series_value){.present = false}, 0,
                      times == 0 ? 1 : times, err);
    }
    double sign = 1;
    double value = 0;
    double step = 0;
    (void)take_sign(&rest, &sign);
    if (!take_magnitude(&rest, &value)) {
        return bad_item(item, err);
    }
    value *= sign;
    const bool stepped = rest.len > 0 && take_sign(&rest, &sign);
    if (stepped && !take_magnitude(&rest, &step)) {
        return bad_item(item, err);
    }
    const bool repeated = take_times(&rest, &times);
    if (rest.len > 0 || (stepped && !repeated)) {
        return bad_item(item, err);
    }
    times = times > SERIES_VALUES_MAX ? SERIES_VALUES_MAX : times; /* too many in any case */
    return repeat(arena, out, (struct series_value){true, value}, stepped ? sign * step : 0,
                  times + 1, err);
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

enum err_code series_values_parse(struct arena *arena, struct str text, struct series_values *out,
                                  struct err *err) {
    enum err_code code = ERR_OK;
    for (text = str_trim(text); code == ERR_OK && text.len > 0; text = str_trim(text)) {
        size_t n = 0;
        while (n < text.len && !is_blank(text.ptr[n])) {
            n++;
        }
        if (str_starts(text, STR("{{"))) {
            return err_set(err, ERR_UNSUPPORTED,
                           "histograms in series values are not supported by this version");
        }
        code = parse_item(arena, str_sub(text, 0, n), out, err);
        text = str_from(text, n);
    }
    return code;
}
