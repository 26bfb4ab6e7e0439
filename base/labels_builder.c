#include "base/check.h"
#include "base/labels.h"

enum { ITEMS_MIN = 16 };

static size_t string_size(struct str s) {
    return (s.len < 0xFF ? 1 : 4) + s.len;
}

static uint8_t *put_string(uint8_t *to, struct str s) {
    if (s.len < 0xFF) {
        *to++ = (uint8_t)s.len;
    } else {
        *to++ = 0xFF;
        *to++ = (uint8_t)s.len;
        *to++ = (uint8_t)(s.len >> 8);
        *to++ = (uint8_t)(s.len >> 16);
    }
    if (s.len > 0) {
        memcpy(to, s.ptr, s.len);
    }
    return to + s.len;
}

void labels_builder_init(struct labels_builder *b, struct arena *arena) {
    *b = (struct labels_builder){.arena = arena};
}

static void grow(struct labels_builder *b, size_t need) {
    if (need <= b->capacity) {
        return;
    }
    size_t capacity = b->capacity * 2;
    capacity = capacity < need ? need : capacity;
    capacity = capacity < ITEMS_MIN ? ITEMS_MIN : capacity;
    struct label *items = arena_alloc(b->arena, capacity * sizeof(*items));
    if (b->count > 0) {
        memcpy(items, b->items, b->count * sizeof(*items));
    }
    b->items = items;
    b->capacity = capacity;
}

void labels_builder_reset(struct labels_builder *b, struct labels base) {
    b->count = 0;
    struct label label;
    for (struct labels_iter it = labels_begin(base); labels_next(&it, &label);) {
        grow(b, b->count + 1);
        b->items[b->count++] = label;
    }
}

/* Where name is, or where it belongs. Appending in order, the usual case, is one compare. */
static size_t position(const struct labels_builder *b, struct str name, bool *out_found) {
    *out_found = false;
    size_t low = 0;
    size_t high = b->count;
    if (high > 0 && str_cmp(b->items[high - 1].name, name) < 0) {
        return high;
    }
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        const int c = str_cmp(b->items[mid].name, name);
        if (c == 0) {
            *out_found = true;
            return mid;
        }
        if (c < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

void labels_builder_set(struct labels_builder *b, struct str name, struct str value) {
    if (value.len == 0) {
        labels_builder_del(b, name);
        return;
    }
    bool found = false;
    const size_t at = position(b, name, &found);
    if (!found) {
        grow(b, b->count + 1);
        memmove(b->items + at + 1, b->items + at, (b->count - at) * sizeof(*b->items));
        b->count++;
        b->items[at].name = name;
    }
    b->items[at].value = value;
}

void labels_builder_del(struct labels_builder *b, struct str name) {
    bool found = false;
    const size_t at = position(b, name, &found);
    if (found) {
        memmove(b->items + at, b->items + at + 1, (b->count - at - 1) * sizeof(*b->items));
        b->count--;
    }
}

struct str labels_builder_get(const struct labels_builder *b, struct str name) {
    bool found = false;
    const size_t at = position(b, name, &found);
    return found ? b->items[at].value : STR("");
}

enum err_code labels_builder_finish(const struct labels_builder *b, struct labels *out,
                                    struct err *err) {
    size_t size = 0;
    for (size_t i = 0; i < b->count; i++) {
        const struct label *item = &b->items[i];
        if (item->name.len > LABEL_STRING_MAX || item->value.len > LABEL_STRING_MAX) {
            return err_set(err, ERR_LIMIT, "label %.*s is longer than %d bytes",
                           STR_ARG(str_sub(item->name, 0, 64)), LABEL_STRING_MAX);
        }
        size += string_size(item->name) + string_size(item->value);
    }
    uint8_t *data = arena_try_alloc(b->arena, size, 1);
    if (data == NULL) {
        return err_set(err, ERR_LIMIT, "no memory left for a label set of %zu bytes", size);
    }
    uint8_t *to = data;
    for (size_t i = 0; i < b->count; i++) {
        to = put_string(to, b->items[i].name);
        to = put_string(to, b->items[i].value);
    }
    ASSERT((size_t)(to - data) == size);
    *out = (struct labels){data, size};
    return ERR_OK;
}

struct labels labels_of(struct arena *arena, const struct label *pairs, size_t n) {
    struct labels_builder b;
    labels_builder_init(&b, arena);
    for (size_t i = 0; i < n; i++) {
        labels_builder_set(&b, pairs[i].name, pairs[i].value);
    }
    struct labels labels = {NULL, 0};
    struct err err;
    const enum err_code code = labels_builder_finish(&b, &labels, &err);
    ASSERT(code == ERR_OK);
    return labels;
}
