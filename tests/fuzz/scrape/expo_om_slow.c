#include "expo_om_slow.h"

#include <math.h>
#include <string.h>

#include "base/utf8.h"
#include "slow_scan.h"

void om_slow_init(struct om_slow *r, const char *text) {
    r->at = text;
}

static bool has_newline(struct str s) {
    return memchr(s.ptr, '\n', s.len) != NULL;
}

/* "# HELP name text\n" and its like, from the name on. */
static enum om_slow_result read_meta(struct om_slow *r, const char *p, enum om_slow_result kind) {
    static const char *const types[] = {"counter",        "gauge", "histogram", "summary",
                                        "gaugehistogram", "info",  "stateset",  "unknown"};
    const char *const end = *p == '"' ? slow_after_quoted(p) : slow_after_name(p, SLOW_LETTERS ":");
    if (end == NULL || *end != ' ') {
        return OM_SLOW_BAD;
    }
    const char *const line_end = strchr(end, '\n');
    if (line_end == NULL) {
        return OM_SLOW_BAD;
    }
    r->family = *p == '"' ? slow_between(p + 1, end - 1) : slow_between(p, end);
    r->text = slow_between(end + 1, line_end);
    r->at = line_end + 1;
    bool good = kind == OM_SLOW_HELP && utf8_valid(r->text);
    if (kind == OM_SLOW_UNIT) {
        const size_t rest = r->family.len - r->text.len;
        good = r->text.len == 0 || (r->family.len > r->text.len && str_ends(r->family, r->text) &&
                                    r->family.ptr[rest - 1] == '_');
    }
    for (size_t i = 0; kind == OM_SLOW_TYPE && i < sizeof(types) / sizeof(types[0]); i++) {
        good = good || str_eq(r->text, str_of(types[i]));
    }
    return good ? kind : OM_SLOW_BAD;
}

/* name="value", from the value on: behind it, or NULL. */
static const char *after_value(const char *p, struct om_slow_label *out) {
    const char *const end = slow_after_quoted(p);
    if (end == NULL) {
        return NULL;
    }
    out->value = slow_between(p + 1, end - 1);
    return has_newline(out->value) || !utf8_valid(out->value) ? NULL : end;
}

/* Behind the closing brace, or NULL. name is NULL where none may stand. */
static const char *after_braces(const char *p, struct str *name, struct om_slow_label *labels,
                                size_t *count) {
    for (p++; *p != '}';) {
        const bool quoted = *p == '"';
        const char *const end = quoted ? slow_after_quoted(p) : slow_after_name(p, SLOW_LETTERS);
        if (end == NULL || *count == OM_SLOW_LABELS_MAX) {
            return NULL;
        }
        const struct str word = quoted ? slow_between(p + 1, end - 1) : slow_between(p, end);
        if (*end == '=') {
            labels[*count].name = word;
            p = after_value(end + 1, &labels[*count]);
            *count += 1;
            if (p == NULL || (name == NULL && has_newline(word))) {
                return NULL;
            }
        } else if (quoted && name != NULL && name->ptr == NULL) {
            *name = word;
            p = end;
        } else {
            return NULL;
        }
        if (*p == ',') {
            p++;
        } else if (*p != '}') {
            return NULL;
        }
    }
    return p + 1;
}

/* " word": behind it, or NULL. */
static const char *after_word(const char *p, struct str *out) {
    const size_t n = *p == ' ' ? strcspn(p + 1, " \n") : 0;
    *out = slow_between(p + 1, p + 1 + n);
    return n > 0 ? p + 1 + n : NULL;
}

/* Milliseconds, cut towards zero; what does not fit is the least. */
static bool read_seconds(struct str word, int64_t *out_ms) {
    double seconds = 0;
    if (!slow_number(word, &seconds) || isnan(seconds) || isinf(seconds)) {
        return false;
    }
    const double ms = trunc(seconds * 1000);
    *out_ms = ms >= -0x1p63 && ms < 0x1p63 ? (int64_t)ms : INT64_MIN;
    return true;
}

/* " # {labels} value [time]", from the brace on. */
static const char *after_exemplar(struct om_slow *r, const char *p) {
    struct str word;
    r->has_exemplar = true;
    p = after_braces(p, NULL, r->exemplar_labels, &r->exemplar_label_count);
    p = p != NULL ? after_word(p, &word) : NULL;
    if (p == NULL || !slow_number(word, &r->exemplar_value) || *p == '\n') {
        return p != NULL && *p == '\n' && slow_number(word, &r->exemplar_value) ? p : NULL;
    }
    r->exemplar_has_timestamp = true;
    p = after_word(p, &word);
    return p != NULL && read_seconds(word, &r->exemplar_ms) ? p : NULL;
}

static enum om_slow_result read_sample(struct om_slow *r) {
    const char *const line = r->at;
    const char *p = line;
    struct str word;
    if (*p != '{') {
        p = slow_after_name(p, SLOW_LETTERS ":");
        if (p == NULL) {
            return OM_SLOW_BAD;
        }
        r->name = slow_between(line, p);
    }
    if (*p == '{') {
        p = after_braces(p, &r->name, r->labels, &r->label_count);
        if (p == NULL) {
            return OM_SLOW_BAD;
        }
    }
    r->series = slow_between(line, p);
    p = after_word(p, &word);
    if (p == NULL || r->name.ptr == NULL || !slow_number(word, &r->value)) {
        return OM_SLOW_BAD;
    }
    if (*p == ' ' && strncmp(p, " # ", 3) != 0) {
        r->has_timestamp = true;
        p = after_word(p, &word);
        if (p == NULL || !read_seconds(word, &r->timestamp_ms)) {
            return OM_SLOW_BAD;
        }
    }
    if (strncmp(p, " # {", 4) == 0) {
        p = after_exemplar(r, p + 3);
    }
    if (p == NULL || *p != '\n') {
        return OM_SLOW_BAD;
    }
    r->at = p + 1;
    return OM_SLOW_SAMPLE;
}

enum om_slow_result om_slow_next(struct om_slow *r) {
    const char *const p = r->at;
    r->family = r->text = r->series = r->name = (struct str){NULL, 0};
    r->label_count = r->exemplar_label_count = 0;
    r->has_timestamp = r->has_exemplar = r->exemplar_has_timestamp = false;
    if (strcmp(p, "# EOF") == 0 || strcmp(p, "# EOF\n") == 0) {
        return OM_SLOW_END;
    }
    if (strncmp(p, "# HELP ", 7) == 0) {
        return read_meta(r, p + 7, OM_SLOW_HELP);
    }
    if (strncmp(p, "# TYPE ", 7) == 0) {
        return read_meta(r, p + 7, OM_SLOW_TYPE);
    }
    if (strncmp(p, "# UNIT ", 7) == 0) {
        return read_meta(r, p + 7, OM_SLOW_UNIT);
    }
    return *p == '#' ? OM_SLOW_BAD : read_sample(r);
}
