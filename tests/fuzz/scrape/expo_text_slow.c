#include "expo_text_slow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "slow_scan.h"

void slow_init(struct slow_reader *r, const char *text) {
    r->text = text;
    r->at = text;
}

/* Behind the line of a comment or of metadata; NULL: it is bad. */
static const char *after_hash(const char *p) {
    const char *const end = strchr(p, '\n');
    const char *word = slow_after_blanks(p + 1);
    const bool is_help = strncmp(word, "HELP", 4) == 0;
    if (word == p + 1 || (!is_help && strncmp(word, "TYPE", 4) != 0) ||
        (word[4] != ' ' && word[4] != '\t')) {
        return end + 1;
    }
    p = slow_after_blanks(word + 4);
    const char *const behind =
        *p == '"' ? slow_after_quoted(p) : slow_after_name(p, SLOW_LETTERS ":");
    if (behind == NULL) {
        return NULL;
    }
    const char *const line_end = strchr(behind, '\n');
    const char *text = slow_after_blanks(behind) == line_end ? line_end : behind + 1;
    const struct str rest = slow_between(text, line_end);
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
    const char *const value = slow_after_blanks(*io_p);
    const char *const end = slow_after_quoted(value);
    if (end == NULL || r->label_count == SLOW_LABELS_MAX) {
        return false;
    }
    r->label_names[r->label_count] = name;
    r->label_values[r->label_count] = slow_between(value + 1, end - 1);
    *io_p = end;
    return utf8_valid(r->label_values[r->label_count++]);
}

/* Behind the closing brace, or NULL. */
static const char *after_braces(struct slow_reader *r, const char *p) {
    for (p = slow_after_blanks(p + 1); *p != '}'; p = slow_after_blanks(p)) {
        const bool quoted = *p == '"';
        const char *end = quoted ? slow_after_quoted(p) : slow_after_name(p, SLOW_LETTERS);
        if (end == NULL) {
            return NULL;
        }
        const struct str name = quoted ? slow_between(p + 1, end - 1) : slow_between(p, end);
        p = slow_after_blanks(end);
        if (quoted && (*p == ',' || *p == '}')) {
            if (r->name.ptr != NULL) {
                return NULL;
            }
            r->name = name;
        } else {
            if (*p++ != '=' || !take_label(r, name, &p)) {
                return NULL;
            }
            p = slow_after_blanks(p);
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
    const char *p = slow_after_blanks(line);
    r->name = (struct str){NULL, 0};
    r->label_count = 0;
    if (*p != '{') {
        p = slow_after_name(p, SLOW_LETTERS ":");
        if (p == NULL) {
            return SLOW_BAD;
        }
        r->name = slow_between(line, p);
    }
    r->series = slow_between(line, p);
    if (*slow_after_blanks(p) == '{') {
        p = after_braces(r, slow_after_blanks(p));
        if (p == NULL) {
            return SLOW_BAD;
        }
        r->series = slow_between(line, p);
    }
    p = slow_after_blanks(p);
    const size_t n = strcspn(p, " \t\n{");
    if (r->name.ptr == NULL || !slow_number(slow_between(p, p + n), &r->value)) {
        return SLOW_BAD;
    }
    p = slow_after_blanks(p + n);
    const size_t digits = strspn(p, SLOW_DIGITS);
    if (!read_timestamp(r, p, digits)) {
        return SLOW_BAD;
    }
    p = slow_after_blanks(p + digits);
    r->at = p + 1;
    return *p == '\n' ? SLOW_SAMPLE : SLOW_BAD;
}

enum slow_result slow_next(struct slow_reader *r) {
    for (;;) {
        const char *const p = slow_after_blanks(r->at);
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
