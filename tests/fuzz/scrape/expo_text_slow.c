#include "expo_text_slow.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/utf8.h"

void slow_init(struct slow_reader *r, const char *text) {
    r->text = text;
    r->at = text;
}

static struct str between(const char *from, const char *to) {
    return (struct str){from, (size_t)(to - from)};
}

static const char *after_blanks(const char *p) {
    return p + strspn(p, " \t");
}

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
#define DIGITS "0123456789"

/* Behind a name, or NULL. */
static const char *after_name(const char *p, const char *first) {
    const size_t n = *p != '\0' && strchr(first, *p) != NULL ? 1 : 0;
    return n == 0 ? NULL
                  : p + n + strspn(p + n, strchr(first, ':') ? LETTERS DIGITS ":" : LETTERS DIGITS);
}

/* Behind a quoted string, or NULL. */
static const char *after_quoted(const char *p) {
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

/* What Go takes for a decimal number, as the text format allows it; strtod alone takes more. */
static bool read_number(struct str text, double *out) {
    char copy[4200];
    if (text.len == 0 || text.len >= sizeof(copy)) {
        return false;
    }
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    const char *p = copy + (copy[0] == '+' || copy[0] == '-');
    if (strcasecmp(p, "inf") != 0 && strcasecmp(p, "infinity") != 0 &&
        strcasecmp(copy, "nan") != 0) {
        const size_t whole = strspn(p, DIGITS);
        p += whole;
        size_t fraction = 0;
        if (*p == '.') {
            fraction = strspn(++p, DIGITS);
            p += fraction;
        }
        if (whole + fraction == 0) {
            return false;
        }
        if (*p == 'e' || *p == 'E') {
            p += p[1] == '+' || p[1] == '-' ? 2 : 1;
            const size_t exponent = strspn(p, DIGITS);
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

/* Behind the line of a comment or of metadata; NULL: it is bad. */
static const char *after_hash(const char *p) {
    const char *const end = strchr(p, '\n');
    const char *word = after_blanks(p + 1);
    const bool is_help = strncmp(word, "HELP", 4) == 0;
    if (word == p + 1 || (!is_help && strncmp(word, "TYPE", 4) != 0) ||
        (word[4] != ' ' && word[4] != '\t')) {
        return end + 1;
    }
    p = after_blanks(word + 4);
    const char *const behind = *p == '"' ? after_quoted(p) : after_name(p, LETTERS ":");
    if (behind == NULL) {
        return NULL;
    }
    const char *const line_end = strchr(behind, '\n');
    const char *text = after_blanks(behind) == line_end ? line_end : behind + 1;
    const struct str rest = between(text, line_end);
    if (is_help) {
        return utf8_valid(rest) ? line_end + 1 : NULL;
    }
    static const char *const types[] = {"counter", "gauge", "histogram", "summary", "untyped"};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (str_eq(rest, str_of(types[i]))) {
            return line_end + 1;
        }
    }
    return NULL;
}

static bool take_label(struct slow_reader *r, struct str name, const char **io_p) {
    const char *const value = after_blanks(*io_p);
    const char *const end = after_quoted(value);
    if (end == NULL || r->label_count == SLOW_LABELS_MAX) {
        return false;
    }
    r->label_names[r->label_count] = name;
    r->label_values[r->label_count] = between(value + 1, end - 1);
    *io_p = end;
    return utf8_valid(r->label_values[r->label_count++]);
}

/* Behind the closing brace, or NULL. */
static const char *after_braces(struct slow_reader *r, const char *p) {
    for (p = after_blanks(p + 1); *p != '}'; p = after_blanks(p)) {
        const bool quoted = *p == '"';
        const char *end = quoted ? after_quoted(p) : after_name(p, LETTERS);
        if (end == NULL) {
            return NULL;
        }
        const struct str name = quoted ? between(p + 1, end - 1) : between(p, end);
        p = after_blanks(end);
        if (quoted && (*p == ',' || *p == '}')) {
            if (r->name.ptr != NULL) {
                return NULL;
            }
            r->name = name;
        } else {
            if (*p++ != '=' || !take_label(r, name, &p)) {
                return NULL;
            }
            p = after_blanks(p);
        }
        p += *p == ',';
    }
    return p + 1;
}

static bool read_timestamp(struct slow_reader *r, const char *p, size_t digits) {
    r->has_timestamp = digits > 0;
    errno = 0;
    r->timestamp_ms = digits > 0 ? strtoll(p, NULL, 10) : 0;
    return errno == 0;
}

static enum slow_result read_sample(struct slow_reader *r) {
    const char *const line = r->at;
    const char *p = after_blanks(line);
    r->name = (struct str){NULL, 0};
    r->label_count = 0;
    if (*p != '{') {
        p = after_name(p, LETTERS ":");
        if (p == NULL) {
            return SLOW_BAD;
        }
        r->name = between(line, p);
    }
    r->series = between(line, p);
    if (*after_blanks(p) == '{') {
        p = after_braces(r, after_blanks(p));
        if (p == NULL) {
            return SLOW_BAD;
        }
        r->series = between(line, p);
    }
    p = after_blanks(p);
    const size_t n = strcspn(p, " \t\n{");
    if (r->name.ptr == NULL || !read_number(between(p, p + n), &r->value)) {
        return SLOW_BAD;
    }
    p = after_blanks(p + n);
    const size_t digits = strspn(p, DIGITS);
    if (!read_timestamp(r, p, digits)) {
        return SLOW_BAD;
    }
    p = after_blanks(p + digits);
    r->at = p + 1;
    return *p == '\n' ? SLOW_SAMPLE : SLOW_BAD;
}

enum slow_result slow_next(struct slow_reader *r) {
    for (;;) {
        const char *const p = after_blanks(r->at);
        if (*p == '\0') {
            return SLOW_END;
        }
        if (*p == '\n') {
            r->at = p + 1;
        } else if (*p == '#') {
            r->at = after_hash(p);
            if (r->at == NULL) {
                return SLOW_BAD;
            }
        } else {
            return read_sample(r);
        }
    }
}
