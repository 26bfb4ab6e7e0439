/* The shape of a target's page: what stands between its numbers, in the order of the page
 * (ARCHITECTURE.md, "Line-order templates").
 *
 * An entry is one sample line: the comment bytes before it and the key, which is the raw series
 * text. Comment and key of an entry lie side by side in one text, so that a line that is where it
 * was last time is recognised by a single comparison. What an entry means to a target (its slot)
 * is kept elsewhere, in an array of the same order: targets of equal shape share text and entries
 * (line_template_share). A shared template that is changed becomes the target's own again.
 *
 * Owner: struct ingest. One writer; readers of the text from other threads need the owner's lock.
 * An index over keys exists only while a page that deviates is read (struct line_index): pages
 * that do not deviate never pay for it. */
#ifndef SCRAPE_LINE_TEMPLATE_H
#define SCRAPE_LINE_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/str.h"
#include "scrape/blob_store.h"

#define LINE_NONE UINT32_MAX

/* type of an entry whose comment has no TYPE line */
enum { LINE_TYPE_NONE = 0xFF };

struct line_entry {
    uint32_t text_at; /* of the comment; the key follows it */
    uint32_t comment_bytes;
    uint32_t key_bytes : 24; /* EXPO_LINE_MAX fits */
    uint32_t type : 8;       /* enum expo_type of the last TYPE line in the comment */
};

struct line_template {
    struct blob_store *store; /* has text and entries, which are read-only; NULL = they are own */
    char *text;
    size_t text_bytes;
    size_t text_capacity; /* 0 while shared */
    struct line_entry *entries;
    uint32_t count;
    uint32_t capacity; /* 0 while shared */
    uint32_t tail_at;  /* comment bytes behind the last sample */
    uint32_t tail_bytes;
};

/* One line of a page that deviates, for line_template_rebuild. */
struct line_seen {
    uint32_t entry;
    uint32_t comment_at; /* in the body; LINE_NONE: as in the template */
    uint32_t comment_bytes;
    uint32_t type;
};

void line_template_init(struct line_template *t);
void line_template_release(struct line_template *t);

static inline struct str line_template_key(const struct line_template *t, uint32_t entry) {
    const struct line_entry *const e = &t->entries[entry];
    return (struct str){t->text + e->text_at + e->comment_bytes, e->key_bytes};
}

static inline struct str line_template_comment(const struct line_template *t, uint32_t entry) {
    const struct line_entry *const e = &t->entries[entry];
    return (struct str){t->text + e->text_at, e->comment_bytes};
}

static inline struct str line_template_tail(const struct line_template *t) {
    return t->tail_bytes != 0 ? (struct str){t->text + t->tail_at, t->tail_bytes} : STR("");
}

/* Appends an entry. ERR_LIMIT when the template would pass 4 GiB or 4 G entries. */
MUST_CHECK enum err_code line_template_add(struct line_template *t, struct str comment,
                                           struct str key, uint32_t type, uint32_t *out_entry,
                                           struct err *err);

/* Makes the template that of the page just read: lines in its order, nothing else, memory cut to
 * size. No entry may occur twice in lines. The entry at lines[i] becomes entry i. */
MUST_CHECK enum err_code line_template_rebuild(struct line_template *t,
                                               const struct line_seen *lines, size_t n,
                                               struct str body, struct str tail, struct err *err);

/* Text and entries become blobs of the store, which must live on; fine when they are already. */
void line_template_share(struct line_template *t, struct blob_store *store);

/* Of shared memory the part that falls to this one of its users. */
size_t line_template_memory_bytes(const struct line_template *t);

/* ---- index ---- */

/* Keys to entries; scratch of one worker, built when a page first needs it. Keys are chosen by
 * strangers, so the hash is keyed. */
struct line_index {
    uint32_t *table; /* entry + 1; 0 is free */
    size_t size;     /* power of two, or 0 */
    size_t used;
    uint64_t seed;
};

void line_index_init(struct line_index *index, uint64_t seed);
void line_index_release(struct line_index *index);
/* Indexes all entries of t; of equal keys the first. */
void line_index_build(struct line_index *index, const struct line_template *t);
/* Adds the last entry of t. */
void line_index_add(struct line_index *index, const struct line_template *t);
uint32_t line_index_find(const struct line_index *index, const struct line_template *t,
                         struct str key);

#endif
