#include "slow_scan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct str slow_between(const char *from, const char *to) {
    return (struct str){from, (size_t)(to - from)};
}

const char *slow_after_blanks(const char *p) {
    return p + strspn(p, " \t");
}

const char *slow_after_name(const char *p, const char *first) {
    const size_t n = *p != '\0' && strchr(first, *p) != NULL ? 1 : 0;
    return n == 0 ? NULL
                  : p + n +
                        strspn(p + n, strchr(first, ':') ? SLOW_LETTERS SLOW_DIGITS ":"
                                                         : SLOW_LETTERS SLOW_DIGITS);
}

const char *slow_after_quoted(const char *p) {
    if (*p++ != '"') {
        return NULL;
    }
    for (; *p != '"'; p++) {
        if (*p == '\0' || (*p == '\\' && (*++p == '\n' || *p == '\0'))) {
            return NULL;
        }
    }
    return p + 1;
}

bool slow_number(struct str text, double *out) {
    char copy[4200];
    if (text.len == 0 || text.len >= sizeof(copy)) {
        return false;
    }
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    const char *p = copy + (copy[0] == '+' || copy[0] == '-');
    if (strcasecmp(p, "inf") != 0 && strcasecmp(p, "infinity") != 0 &&
        strcasecmp(copy, "nan") != 0) {
        const size_t whole = strspn(p, SLOW_DIGITS);
        p += whole;
        size_t fraction = 0;
        if (*p == '.') {
            fraction = strspn(++p, SLOW_DIGITS);
            p += fraction;
        }
        if (whole + fraction == 0) {
            return false;
        }
        if (*p == 'e' || *p == 'E') {
            p += p[1] == '+' || p[1] == '-' ? 2 : 1;
            const size_t exponent = strspn(p, SLOW_DIGITS);
            p += exponent;
            if (exponent == 0) {
                return false;
            }
        }
        if (*p != '\0') {
            return false;
        }
        *out = strtod(copy, NULL);
        return !isinf(*out);
    }
    *out = strtod(copy, NULL);
    return true;
}
