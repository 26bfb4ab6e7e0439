#include "scrape/line_template.h"

#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"

_Static_assert(sizeof(struct line_entry) == 12, "an entry costs 12 bytes and its text");

/* A table above this many slots is given back after use. */
enum { INDEX_KEEP_MAX = 1 << 16 };

void line_template_init(struct line_template *t) {
    *t = (struct line_template){0};
}

static void release_memory(const struct line_template *t) {
    if (t->store != NULL) {
        blob_unref(t->store, t->entries);
        blob_unref(t->store, t->text);
    } else {
        mem_free(t->entries);
        mem_free(t->text);
    }
}

void line_template_release(struct line_template *t) {
    release_memory(t);
    line_template_init(t);
}

void line_template_share(struct line_template *t, struct blob_store *store) {
    if (t->store != NULL) {
        return;
    }
    const struct line_template own = *t;
    const size_t entries_bytes = own.count * sizeof(own.entries[0]);
    t->text = (char *)(uintptr_t)blob_intern(store, own.text, own.text_bytes);
    t->entries = (void *)(uintptr_t)blob_intern(store, own.entries, entries_bytes);
    t->text_capacity = 0;
    t->capacity = 0;
    t->store = store;
    release_memory(&own);
}

/* A copy that is the template's own. */
static void unshare(struct line_template *t) {
    const struct line_template shared = *t;
    t->store = NULL;
    t->capacity = shared.count;
    t->text_capacity = shared.text_bytes;
    t->entries = mem_array(shared.count, sizeof(t->entries[0]));
    t->text = mem_alloc(shared.text_bytes);
    if (shared.count > 0) {
        memcpy(t->entries, shared.entries, shared.count * sizeof(t->entries[0]));
    }
    if (shared.text_bytes > 0) {
        memcpy(t->text, shared.text, shared.text_bytes);
    }
    release_memory(&shared);
}

static enum err_code fail_size(struct err *err) {
    return err_set(err, ERR_LIMIT, "page has too many distinct series texts");
}

static void append_text(struct line_template *t, struct str s) {
    if (s.len > 0) {
        memcpy(t->text + t->text_bytes, s.ptr, s.len);
        t->text_bytes += s.len;
    }
}

enum err_code line_template_add(struct line_template *t, struct str comment, struct str key,
                                uint32_t type, uint32_t *out_entry, struct err *err) {
    const size_t text_bytes = t->text_bytes + comment.len + key.len;
    if (text_bytes >= UINT32_MAX || t->count == UINT32_MAX - 1 || key.len >= 1U << 24) {
        return fail_size(err);
    }
    if (t->store != NULL) {
        unshare(t);
    }
    if (t->count == t->capacity) {
        t->capacity = (uint32_t)mem_grow(t->capacity, t->count + 1);
        t->entries = mem_resize(t->entries, t->capacity, sizeof(t->entries[0]));
    }
    if (text_bytes > t->text_capacity) {
        t->text_capacity = mem_grow(t->text_capacity, text_bytes);
        t->text = mem_resize(t->text, t->text_capacity, 1);
    }
    t->entries[t->count] = (struct line_entry){
        .text_at = (uint32_t)t->text_bytes,
        .comment_bytes = (uint32_t)comment.len,
        .key_bytes = (uint32_t)key.len & 0xFFFFFF,
        .type = type & 0xFF,
    };
    append_text(t, comment);
    append_text(t, key);
    *out_entry = t->count++;
    return ERR_OK;
}

static struct str seen_comment(const struct line_template *t, const struct line_seen *line,
                               struct str body) {
    return line->comment_at == LINE_NONE ? line_template_comment(t, line->entry)
                                         : str_sub(body, line->comment_at, line->comment_bytes);
}

enum err_code line_template_rebuild(struct line_template *t, const struct line_seen *lines,
                                    size_t n, struct str body, struct str tail, struct err *err) {
    size_t text_bytes = tail.len;
    for (size_t i = 0; i < n; i++) {
        text_bytes += seen_comment(t, &lines[i], body).len + t->entries[lines[i].entry].key_bytes;
    }
    if (text_bytes >= UINT32_MAX || n >= UINT32_MAX) {
        return fail_size(err);
    }
    struct line_template fresh = {
        .text = mem_alloc(text_bytes),
        .text_capacity = text_bytes,
        .entries = mem_array(n, sizeof(t->entries[0])),
        .capacity = (uint32_t)n,
    };
    for (size_t i = 0; i < n; i++) {
        const bool as_before = lines[i].comment_at == LINE_NONE;
        const uint32_t type = as_before ? t->entries[lines[i].entry].type : lines[i].type;
        uint32_t entry = 0;
        const enum err_code code =
            line_template_add(&fresh, seen_comment(t, &lines[i], body),
                              line_template_key(t, lines[i].entry), type, &entry, err);
        ASSERT(code == ERR_OK); /* the sums above are the limits of add */
    }
    fresh.tail_at = (uint32_t)fresh.text_bytes;
    fresh.tail_bytes = (uint32_t)tail.len;
    append_text(&fresh, tail);
    line_template_release(t);
    *t = fresh;
    return ERR_OK;
}

size_t line_template_memory_bytes(const struct line_template *t) {
    if (t->store != NULL) {
        return blob_share_bytes(t->store, t->text) + blob_share_bytes(t->store, t->entries);
    }
    return t->text_capacity + t->capacity * sizeof(t->entries[0]);
}

/* ---- index ---- */

void line_index_init(struct line_index *index, uint64_t seed) {
    *index = (struct line_index){.seed = seed};
}

void line_index_release(struct line_index *index) {
    mem_free(index->table);
    line_index_init(index, index->seed);
}

/* The slot of the key, or the free one where it belongs. */
static size_t probe(const struct line_index *index, const struct line_template *t, struct str key) {
    const size_t mask = index->size - 1;
    size_t at = hash_keyed(key.ptr, key.len, index->seed) & mask;
    while (index->table[at] != 0 && !str_eq(line_template_key(t, index->table[at] - 1), key)) {
        at = (at + 1) & mask;
    }
    return at;
}

static void insert(struct line_index *index, const struct line_template *t, uint32_t entry) {
    const size_t at = probe(index, t, line_template_key(t, entry));
    if (index->table[at] == 0) {
        index->table[at] = entry + 1;
        index->used++;
    }
}

/* Room for twice as many entries as there are, so that the table is at most half full. */
static void resize(struct line_index *index, size_t count) {
    size_t size = 64;
    while (size < count * 4) {
        size *= 2;
    }
    if (size > index->size || index->size > INDEX_KEEP_MAX) {
        mem_free(index->table);
        index->table = mem_array(size, sizeof(index->table[0]));
        index->size = size;
    }
    memset(index->table, 0, index->size * sizeof(index->table[0]));
    index->used = 0;
}

void line_index_build(struct line_index *index, const struct line_template *t) {
    resize(index, t->count);
    for (uint32_t i = 0; i < t->count; i++) {
        insert(index, t, i);
    }
}

void line_index_add(struct line_index *index, const struct line_template *t) {
    ASSERT(t->count > 0);
    if ((index->used + 1) * 2 > index->size) {
        line_index_build(index, t);
    } else {
        insert(index, t, t->count - 1);
    }
}

uint32_t line_index_find(const struct line_index *index, const struct line_template *t,
                         struct str key) {
    return index->table[probe(index, t, key)] - 1; /* 0 - 1 is LINE_NONE */
}
