#include "base/labels.h"

#include "base/hash.h"
#include "base/utf8.h"

int labels_cmp(struct labels a, struct labels b) {
    struct labels_iter ia = labels_begin(a);
    struct labels_iter ib = labels_begin(b);
    struct label la;
    struct label lb;
    for (;;) {
        const bool more_a = labels_next(&ia, &la);
        const bool more_b = labels_next(&ib, &lb);
        if (!more_a || !more_b) {
            return (int)more_a - (int)more_b;
        }
        int c = str_cmp(la.name, lb.name);
        if (c == 0) {
            c = str_cmp(la.value, lb.value);
        }
        if (c != 0) {
            return c;
        }
    }
}

uint64_t labels_hash(struct labels labels) {
    return hash_xxh64(labels.data, labels.size);
}

size_t labels_count(struct labels labels) {
    size_t count = 0;
    struct label label;
    for (struct labels_iter it = labels_begin(labels); labels_next(&it, &label);) {
        count++;
    }
    return count;
}

static bool find(struct labels labels, struct str name, struct str *out_value) {
    struct label label;
    for (struct labels_iter it = labels_begin(labels); labels_next(&it, &label);) {
        const int c = str_cmp(label.name, name);
        if (c >= 0) {
            *out_value = label.value;
            return c == 0;
        }
    }
    return false;
}

struct str labels_get(struct labels labels, struct str name) {
    struct str value = STR("");
    return find(labels, name, &value) ? value : STR("");
}

bool labels_has(struct labels labels, struct str name) {
    struct str value;
    return find(labels, name, &value);
}

struct labels labels_copy(struct arena *arena, struct labels labels) {
    uint8_t *data = arena_alloc(arena, labels.size);
    if (labels.size > 0) {
        memcpy(data, labels.data, labels.size);
    }
    return (struct labels){data, labels.size};
}

/* One packed pair from at on; *at moves behind it. */
static struct str take_pair(const uint8_t **at) {
    const uint8_t *from = *at;
    (void)labels_take_string(at);
    (void)labels_take_string(at);
    return (struct str){(const char *)from, (size_t)(*at - from)};
}

static struct str pair_name(struct str pair) {
    const uint8_t *at = (const uint8_t *)pair.ptr;
    return labels_take_string(&at);
}

static uint8_t *put_pair(uint8_t *to, struct str pair) {
    memcpy(to, pair.ptr, pair.len);
    return to + pair.len;
}

static uint8_t *put_rest(uint8_t *to, const uint8_t *at, const uint8_t *end) {
    const size_t n = (size_t)(end - at);
    if (n > 0) {
        memcpy(to, at, n);
    }
    return to + n;
}

struct labels labels_merge(struct arena *arena, struct labels a, struct labels b) {
    uint8_t *data = arena_alloc(arena, a.size + b.size);
    uint8_t *to = data;
    const uint8_t *pa = a.data;
    const uint8_t *pb = b.data;
    const uint8_t *a_end = labels_end(a);
    const uint8_t *b_end = labels_end(b);
    while (pa < a_end && pb < b_end) {
        const uint8_t *next_a = pa;
        const uint8_t *next_b = pb;
        const struct str pair_a = take_pair(&next_a);
        const struct str pair_b = take_pair(&next_b);
        const int c = str_cmp(pair_name(pair_a), pair_name(pair_b));
        to = put_pair(to, c < 0 ? pair_a : pair_b);
        if (c <= 0) {
            pa = next_a;
        }
        if (c >= 0) {
            pb = next_b;
        }
    }
    to = put_rest(to, pa, a_end);
    to = put_rest(to, pb, b_end);
    return (struct labels){data, (size_t)(to - data)};
}

/* Copies the pairs whose being in names equals wanted. Both lists are sorted: one walk. */
static struct labels select_names(struct arena *arena, struct labels labels,
                                  const struct str *names, size_t n, bool wanted) {
    uint8_t *data = arena_alloc(arena, labels.size);
    uint8_t *to = data;
    const uint8_t *at = labels.data;
    const uint8_t *end = labels_end(labels);
    size_t i = 0;
    while (at < end) {
        const struct str pair = take_pair(&at);
        const struct str name = pair_name(pair);
        while (i < n && str_cmp(names[i], name) < 0) {
            i++;
        }
        if ((i < n && str_eq(names[i], name)) == wanted) {
            to = put_pair(to, pair);
        }
    }
    return (struct labels){data, (size_t)(to - data)};
}

struct labels labels_keep(struct arena *arena, struct labels labels, const struct str *names,
                          size_t n) {
    return select_names(arena, labels, names, n, true);
}

struct labels labels_drop(struct arena *arena, struct labels labels, const struct str *names,
                          size_t n) {
    return select_names(arena, labels, names, n, false);
}

static bool check_string(struct cursor *c, struct str *out) {
    size_t n = cursor_u8(c);
    if (n == 0xFF) {
        const uint8_t *p = cursor_bytes(c, 3);
        if (p == NULL) {
            return false;
        }
        n = (size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16;
        if (n < 0xFF) {
            return false; /* a short string has one encoding only, or memcmp would lie */
        }
    }
    const uint8_t *bytes = cursor_bytes(c, n);
    *out = (struct str){(const char *)bytes, n};
    return bytes != NULL;
}

enum err_code labels_check(const uint8_t *data, size_t size, struct err *err) {
    struct cursor c = cursor_of(data, size);
    struct str previous = STR("");
    for (bool first = true; cursor_left(&c) > 0; first = false) {
        const size_t offset = cursor_offset(&c);
        struct str name;
        struct str value;
        if (!check_string(&c, &name) || !check_string(&c, &value)) {
            return err_set(err, ERR_CORRUPT, "label set damaged at byte %zu of %zu: bad length",
                           offset, size);
        }
        if (name.len == 0 || value.len == 0) {
            return err_set(err, ERR_CORRUPT, "label set damaged at byte %zu of %zu: empty %s",
                           offset, size, name.len == 0 ? "name" : "value");
        }
        if (!first && str_cmp(previous, name) >= 0) {
            return err_set(err, ERR_CORRUPT,
                           "label set damaged at byte %zu of %zu: names out of order", offset,
                           size);
        }
        previous = name;
    }
    return ERR_OK;
}

static void format_pair(struct buf *to, struct label label) {
    if (label_name_legacy(label.name)) {
        buf_append_str(to, label.name);
    } else {
        utf8_quote(to, label.name);
    }
    buf_append_char(to, '=');
    utf8_quote(to, label.value);
}

void labels_format(struct buf *to, struct labels labels) {
    buf_append_char(to, '{');
    struct label label;
    const char *separator = "";
    for (struct labels_iter it = labels_begin(labels); labels_next(&it, &label);) {
        buf_append_cstr(to, separator);
        format_pair(to, label);
        separator = ", ";
    }
    buf_append_char(to, '}');
}

void labels_format_metric(struct buf *to, struct labels labels) {
    struct str metric = labels_get(labels, LABEL_NAME);
    const bool bare = metric_name_legacy(metric);
    if (bare) {
        buf_append_str(to, metric);
    }
    struct label label;
    const char *separator = "{";
    if (metric.len > 0 && !bare) {
        buf_append_char(to, '{');
        utf8_quote(to, metric);
        separator = ", ";
    }
    for (struct labels_iter it = labels_begin(labels); labels_next(&it, &label);) {
        if (str_eq(label.name, LABEL_NAME)) {
            continue;
        }
        buf_append_cstr(to, separator);
        format_pair(to, label);
        separator = ", ";
    }
    if (separator[0] == ',') {
        buf_append_char(to, '}');
    } else if (metric.len == 0) {
        buf_append_cstr(to, "{}");
    }
}

static bool name_char(char c, bool first, bool colon) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (!first && c >= '0' && c <= '9') || (colon && c == ':');
}

static bool legacy(struct str name, bool colon) {
    for (size_t i = 0; i < name.len; i++) {
        if (!name_char(name.ptr[i], i == 0, colon)) {
            return false;
        }
    }
    return name.len > 0;
}

bool label_name_legacy(struct str name) {
    return legacy(name, false);
}

bool metric_name_legacy(struct str name) {
    return legacy(name, true);
}

bool label_name_valid(struct str name, enum name_scheme scheme) {
    return scheme == NAMES_LEGACY ? label_name_legacy(name) : name.len > 0 && utf8_valid(name);
}

bool metric_name_valid(struct str name, enum name_scheme scheme) {
    return scheme == NAMES_LEGACY ? metric_name_legacy(name) : name.len > 0 && utf8_valid(name);
}
