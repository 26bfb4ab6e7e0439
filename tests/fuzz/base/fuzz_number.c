/* Any text reads as strtod reads it, as a double and as a decimal value; any double prints as text
 * that reads back to the same bits. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/number.h"
#include "base/value.h"

/* Digits with at most one point and an exponent: what strtod and Go both read. */
static bool is_decimal(const char *text, size_t len) {
    const char *p = text + strspn(text, "+-");
    if (p > text + 1) {
        return false;
    }
    const size_t whole = strspn(p, "0123456789");
    p += whole;
    const size_t fraction = *p == '.' ? strspn(p + 1, "0123456789") : 0;
    p += *p == '.' ? fraction + 1 : 0;
    if (*p == 'e' || *p == 'E') {
        p += strchr("+-", p[1]) != NULL && p[1] != '\0' ? 2 : 1;
        const size_t exponent = strspn(p, "0123456789");
        p += exponent;
        if (exponent == 0) {
            return false;
        }
    }
    return whole + fraction > 0 && p == text + len;
}

static void check_text(struct str text) {
    char copy[2048];
    if (text.len >= sizeof(copy)) {
        return;
    }
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    double v = 0;
    struct num n;
    const enum number_result result = number_parse_double(text, &v);
    ASSERT(num_parse(text, &n) == result);
    char *end = copy;
    const double want = strtod(copy, &end);
    if (result == NUMBER_OK) {
        ASSERT(end == copy + text.len);
        ASSERT(isnan(want) ? isnan(v) : f64_same_bits(v, want));
        ASSERT(f64_same_bits(num_double(n), v));
    } else if (result == NUMBER_RANGE) {
        ASSERT(end == copy + text.len && isinf(want));
    } else {
        ASSERT(!is_decimal(copy, text.len));
    }
}

static void check_double(double v) {
    size_t (*const formats[])(double, char *) = {number_format_f, number_format_e, number_format_g,
                                                 number_format_json};
    for (size_t i = 0; i < COUNT_OF(formats); i++) {
        char text[NUMBER_TEXT_MAX];
        const size_t n = formats[i](v, text);
        ASSERT(n > 0 && n <= NUMBER_TEXT_MAX);
        double back = 0;
        ASSERT(number_parse_double((struct str){text, n}, &back) == NUMBER_OK);
        ASSERT(isnan(v) ? isnan(back) : f64_same_bits(back, v));
    }
    ASSERT(f64_same_bits(num_double(num_of_double(v)), v));
    if (isfinite(v)) {
        char text[NUMBER_TEXT_MAX];
        double back = 0;
        const size_t n = number_format_g_prec(v, 17, text);
        ASSERT(number_parse_double((struct str){text, n}, &back) == NUMBER_OK);
        ASSERT(f64_same_bits(back, v));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    check_text((struct str){(const char *)data, size});
    if (size >= 8) {
        double v;
        memcpy(&v, data, 8);
        check_double(v);
    }
    return 0;
}
