/* Slices: the only string in interfaces. Borrowed unless a contract says otherwise; NUL exists
 * at the system-call edge only. Pure functions. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct str {
    const char *ptr;
    size_t len;
};

/* STR("literal"); STR_FMT/STR_ARG print a slice: printf("%.*s", STR_ARG(s)). */
#define STR(literal) ((struct str){("" literal ""), sizeof(literal) - 1})
#define STR_INIT(literal)                                                                          \
    { ("" literal ""), sizeof(literal) - 1 }
#define STR_ARG(s) (int)(s).len, ((s).ptr != NULL ? (s).ptr : "")

static inline struct str str_of(const char *text) {
    return (struct str){text, text != NULL ? strlen(text) : 0};
}

static inline bool str_eq(struct str a, struct str b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* Bytewise; a prefix sorts first. */
static inline int str_cmp(struct str a, struct str b) {
    const size_t n = a.len < b.len ? a.len : b.len;
    const int c = n != 0 ? memcmp(a.ptr, b.ptr, n) : 0;
    return c != 0 ? c : (a.len > b.len) - (a.len < b.len);
}

static inline bool str_starts(struct str s, struct str prefix) {
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

static inline bool str_ends(struct str s, struct str suffix) {
    return s.len >= suffix.len &&
           (suffix.len == 0 || memcmp(s.ptr + s.len - suffix.len, suffix.ptr, suffix.len) == 0);
}

/* From byte at to the end / n bytes from byte at; both are cut to what is there. */
static inline struct str str_from(struct str s, size_t at) {
    return at >= s.len ? (struct str){s.ptr + s.len, 0} : (struct str){s.ptr + at, s.len - at};
}

static inline struct str str_sub(struct str s, size_t at, size_t n) {
    struct str rest = str_from(s, at);
    return n < rest.len ? (struct str){rest.ptr, n} : rest;
}

bool str_eq_nocase(struct str a, struct str b); /* ASCII */
bool str_list_eq(const struct str *a, size_t a_count, const struct str *b, size_t b_count);
/* Position of the first needle, or -1. */
ptrdiff_t str_find(struct str s, struct str needle);
ptrdiff_t str_find_char(struct str s, char c);
ptrdiff_t str_rfind_char(struct str s, char c);
struct str str_trim(struct str s); /* ASCII white space at both ends */

#endif
