/* Label sets.
 *
 * A struct labels is a slice over one immutable packed blob: name/value pairs sorted by name,
 * each string with a length prefix of one byte, or 0xFF and three bytes little endian for
 * lengths >= 255 (so a string is at most 16 MiB - 1). No name twice, no empty value. This is
 * the very encoding that Prometheus hashes (spec/promql.md section 6), so labels_hash is one
 * XXH64 over the blob; WAL and index store it as it is; equality is memcmp.
 *
 * Slices are borrowed; whoever made the blob says how long it lives. Pure. */
#ifndef BASE_LABELS_H
#define BASE_LABELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/cursor.h"
#include "base/err.h"
#include "base/str.h"

enum { LABEL_STRING_MAX = 0xFFFFFF };

#define LABEL_NAME STR("__name__")

struct labels {
    const uint8_t *data;
    size_t size; /* bytes */
};

struct label {
    struct str name;
    struct str value;
};

struct labels_iter {
    const uint8_t *at;
    const uint8_t *end;
};

/* NULL plus 0 is not defined in C, and the empty set may be NULL. */
static inline const uint8_t *labels_end(struct labels labels) {
    return labels.size != 0 ? labels.data + labels.size : labels.data;
}

static inline struct labels_iter labels_begin(struct labels labels) {
    return (struct labels_iter){labels.data, labels_end(labels)};
}

static inline struct str labels_take_string(const uint8_t **at) {
    const uint8_t *p = *at;
    size_t n = *p++;
    if (__builtin_expect(n == 0xFF, 0)) {
        n = (size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16;
        p += 3;
    }
    *at = p + n;
    return (struct str){(const char *)p, n};
}

static inline bool labels_next(struct labels_iter *it, struct label *out) {
    if (it->at >= it->end) {
        return false;
    }
    out->name = labels_take_string(&it->at);
    out->value = labels_take_string(&it->at);
    return true;
}

static inline bool labels_eq(struct labels a, struct labels b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* Prometheus' order: name, value, name, value ... bytewise; a prefix sorts first. */
int labels_cmp(struct labels a, struct labels b);
uint64_t labels_hash(struct labels labels);
size_t labels_count(struct labels labels);
/* The value, or an empty slice when the label is absent. */
struct str labels_get(struct labels labels, struct str name);
bool labels_has(struct labels labels, struct str name);
struct labels labels_copy(struct arena *arena, struct labels labels);
/* Union; where both have a name, b's value wins. */
struct labels labels_merge(struct arena *arena, struct labels a, struct labels b);
/* Only (keep) or all but (drop) the names; names sorted bytewise, unique. */
struct labels labels_keep(struct arena *arena, struct labels labels, const struct str *names,
                          size_t n);
struct labels labels_drop(struct arena *arena, struct labels labels, const struct str *names,
                          size_t n);
/* Checks a blob from disk or network before it is trusted: lengths, order, no empty value. */
MUST_CHECK enum err_code labels_check(const uint8_t *data, size_t size, struct err *err);
/* {__name__="foo", a="b"} as in Prometheus' error texts (values Go-quoted, names quoted when not
 * legacy-valid); labels_format_metric: foo{a="b"}. */
void labels_format(struct buf *to, struct labels labels);
void labels_format_metric(struct buf *to, struct labels labels);

/* Names: [a-zA-Z_][a-zA-Z0-9_]* / with ':' for metrics; utf8: any non-empty valid UTF-8. */
enum name_scheme { NAMES_UTF8, NAMES_LEGACY };
bool label_name_legacy(struct str name);
bool metric_name_legacy(struct str name);
bool label_name_valid(struct str name, enum name_scheme scheme);
bool metric_name_valid(struct str name, enum name_scheme scheme);

/* Builds a label set: set and del in any order, last one wins; an empty value deletes. Strings
 * are borrowed until labels_builder_finish. Memory comes from the arena given at init. */
struct labels_builder {
    struct arena *arena;
    struct label *items; /* sorted by name */
    size_t count;
    size_t capacity;
};
void labels_builder_init(struct labels_builder *b, struct arena *arena);
void labels_builder_reset(struct labels_builder *b, struct labels base);
void labels_builder_set(struct labels_builder *b, struct str name, struct str value);
void labels_builder_del(struct labels_builder *b, struct str name);
struct str labels_builder_get(const struct labels_builder *b, struct str name);
/* The packed blob, in the arena. ERR_LIMIT when a string passes LABEL_STRING_MAX. */
MUST_CHECK enum err_code labels_builder_finish(const struct labels_builder *b, struct labels *out,
                                               struct err *err);
/* Convenience: a blob of n pairs, any order. Aborts on strings that are too long: for our own
 * literals only. */
struct labels labels_of(struct arena *arena, const struct label *pairs, size_t n);

#endif
