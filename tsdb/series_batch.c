/* FORMAT of a payload: entries, each a byte that tells the kind and then
 *
 *     1 target sets, 2 metric sets   uvarint first, count; per set: uvarint shared, uvarint rest,
 *                                    rest bytes: the packed labels are the first shared bytes of
 *                                    the set before (in this entry; empty at first) and the rest
 *     3 groups                       uvarint first, count; per group: uvarint target set
 *     4 series                       uvarint first, count of runs; per run: uvarint group, first
 *                                    slot, target set, first metric set, count of series
 *     5 layouts                      uvarint first, count; per layout: hist_layout_encode
 *     6 columns                      uvarint 1, count; per column: uvarint group, slot, owner, u8
 *                                    kind; uvarint layout, if it has one; varint bucket, if it is one
 *     7 groups anew                  as 3
 *
 * Numbers are explicit per entry, so that a lost record does not renumber those behind it. */
#include "tsdb/series_batch.h"

#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/cursor.h"

enum {
    TARGET_SETS = 1,
    METRIC_SETS = 2,
    GROUPS = 3,
    SERIES = 4,
    LAYOUTS = 5,
    COLUMNS = 6,
    GROUPS_AGAIN = 7
};

/* ---- encoding ---- */

/* A record under way in out. Entries carry their count in front, so each is built apart. */
struct writer {
    struct buf *out;
    size_t record_at; /* of its size field; SIZE_MAX: none is open */
    struct buf entry; /* what follows the count */
    uint8_t kind;
    uint32_t first;
    uint32_t count;
    struct labels before; /* for shared bytes */
};

static void add_uvarint(struct buf *to, uint64_t v) {
    uint8_t bytes[UVARINT_MAX];
    buf_append(to, bytes, (size_t)(put_uvarint(bytes, v) - bytes));
}

static void finish_record(struct writer *w) {
    if (w->record_at != SIZE_MAX && buf_ok(w->out)) {
        put_u32((uint8_t *)w->out->ptr + w->record_at,
                (uint32_t)(w->out->len - w->record_at - sizeof(uint32_t)));
    }
    w->record_at = SIZE_MAX;
}

static void finish_entry(struct writer *w) {
    if (w->count == 0) {
        return;
    }
    if (w->record_at == SIZE_MAX) {
        const uint32_t size_later = 0;
        w->record_at = w->out->len;
        buf_append(w->out, &size_later, sizeof(size_later));
    }
    buf_append_char(w->out, (char)w->kind);
    add_uvarint(w->out, w->first);
    add_uvarint(w->out, w->count);
    buf_append(w->out, w->entry.ptr, w->entry.len);
    if (buf_ok(w->out) && w->out->len - w->record_at >= SERIES_BATCH_RECORD_BYTES) {
        finish_record(w);
    }
    buf_clear(&w->entry);
    w->count = 0;
    w->before = (struct labels){0};
}

static void begin_entry(struct writer *w, uint8_t kind, uint32_t first) {
    finish_entry(w);
    w->kind = kind;
    w->first = first;
}

/* After each item: an entry that has become large is closed and goes on as the next. */
static void split_entry(struct writer *w, uint32_t next) {
    if (w->entry.len >= SERIES_BATCH_RECORD_BYTES) {
        begin_entry(w, w->kind, next);
    }
}

static size_t shared_bytes(struct labels a, struct labels b) {
    const size_t max = a.size < b.size ? a.size : b.size;
    size_t n = 0;
    while (n < max && a.data[n] == b.data[n]) {
        n++;
    }
    return n;
}

static enum err_code add_sets(struct writer *w, uint8_t kind, uint32_t first,
                              const struct labels *sets, size_t count, struct err *err) {
    begin_entry(w, kind, first);
    for (size_t i = 0; i < count; i++) {
        const struct labels set = sets[i];
        if (set.size > SERIES_LOG_LABELS_MAX) {
            return err_set(err, ERR_LIMIT, "label set of %zu bytes is too large", set.size);
        }
        const size_t shared = shared_bytes(w->before, set);
        add_uvarint(&w->entry, shared);
        add_uvarint(&w->entry, set.size - shared);
        if (set.size > shared) {
            buf_append(&w->entry, set.data + shared, set.size - shared);
        }
        w->before = set;
        w->count++;
        split_entry(w, first + (uint32_t)i + 1);
    }
    return ERR_OK;
}

static void add_groups(struct writer *w, const struct series_log_batch *batch) {
    begin_entry(w, GROUPS, batch->first_group);
    for (size_t i = 0; i < batch->group_count; i++) {
        add_uvarint(&w->entry, batch->group_target_sets[i]);
        w->count++;
        split_entry(w, batch->first_group + (uint32_t)i + 1);
    }
}

static void add_groups_again(struct writer *w, const struct series_log_batch *batch) {
    for (size_t i = 0; i < batch->again_count; i++) {
        if (i == 0 || batch->again[i].group != batch->again[i - 1].group + 1) {
            begin_entry(w, GROUPS_AGAIN, batch->again[i].group);
        }
        add_uvarint(&w->entry, batch->again[i].target_set);
        w->count++;
        split_entry(w, batch->again[i].group + 1);
    }
}

static void add_series(struct writer *w, const struct series_log_batch *batch) {
    if (batch->series_run_count == 0) {
        return;
    }
    begin_entry(w, SERIES, batch->series[0].first_series);
    for (size_t i = 0; i < batch->series_run_count; i++) {
        const struct series_run *run = &batch->series[i];
        add_uvarint(&w->entry, run->group);
        add_uvarint(&w->entry, run->first_slot);
        add_uvarint(&w->entry, run->target_set);
        add_uvarint(&w->entry, run->first_metric_set);
        add_uvarint(&w->entry, run->count);
        w->count++;
        split_entry(w, run->first_series + run->count);
    }
}

static void add_layouts(struct writer *w, const struct series_log_batch *batch) {
    begin_entry(w, LAYOUTS, batch->first_layout);
    for (size_t i = 0; i < batch->layout_count; i++) {
        if (batch->layouts[i] == NULL) { /* a number that nobody has */
            begin_entry(w, LAYOUTS, batch->first_layout + (uint32_t)i + 1);
            continue;
        }
        hist_layout_encode(&w->entry, batch->layouts[i]);
        w->count++;
        split_entry(w, batch->first_layout + (uint32_t)i + 1);
    }
}

static void add_columns(struct writer *w, const struct series_log_batch *batch) {
    begin_entry(w, COLUMNS, 1);
    for (size_t i = 0; i < batch->column_count; i++) {
        const struct series_column *column = &batch->columns[i];
        add_uvarint(&w->entry, column->group);
        add_uvarint(&w->entry, column->slot);
        add_uvarint(&w->entry, column->owner);
        buf_append_char(&w->entry, (char)column->key.kind);
        if (column->key.layout != 0) {
            add_uvarint(&w->entry, column->key.layout);
        }
        if (column_is_bucket(column->key.kind)) {
            add_uvarint(&w->entry, zigzag_encode(column->key.bucket));
        }
        w->count++;
        split_entry(w, 1);
    }
}

enum err_code series_batch_encode(const struct series_log_batch *batch, struct buf *out,
                                  struct err *err) {
    struct writer w = {.out = out, .record_at = SIZE_MAX};
    buf_init(&w.entry, SERIES_BATCH_RECORD_BYTES + SERIES_LOG_LABELS_MAX + 64);
    enum err_code code = add_sets(&w, TARGET_SETS, batch->first_target_set, batch->target_sets,
                                  batch->target_set_count, err);
    if (code == ERR_OK) {
        code = add_sets(&w, METRIC_SETS, batch->first_metric_set, batch->metric_sets,
                        batch->metric_set_count, err);
    }
    if (code == ERR_OK) {
        add_groups(&w, batch);
        add_groups_again(&w, batch);
        add_series(&w, batch);
        add_layouts(&w, batch);
        add_columns(&w, batch);
        finish_entry(&w);
        finish_record(&w);
        ASSERT(buf_ok(&w.entry));
        if (!buf_ok(out)) {
            code = err_set(err, ERR_LIMIT, "too many new series at once");
        }
    }
    buf_release(&w.entry);
    return code;
}

/* ---- decoding ---- */

static enum err_code damaged(struct err *err) {
    return err_set(err, ERR_CORRUPT, "bad series definitions");
}

static void raise_to(uint32_t *next, uint64_t to) {
    *next = to > *next ? (uint32_t)to : *next;
}

/* A number that is referred to has its meaning, also when what defined it was damaged: another one
 * would get what refers to it. Numbers far from the known ones are not believed. */
static void refer_to(uint32_t *next, uint64_t number) {
    enum { FAR = 1 << 20 };
    if (number >= *next && number - *next < FAR && number < UINT32_MAX) {
        *next = (uint32_t)number + 1;
    }
}

static enum err_code decode_sets(struct cursor *c, bool target, uint64_t first, uint64_t count,
                                 const struct series_log_handler *handler, void *ctx,
                                 struct err *err) {
    struct buf set;
    enum err_code code = ERR_OK;
    buf_init(&set, SERIES_LOG_LABELS_MAX);
    for (uint64_t i = 0; i < count && code == ERR_OK; i++) {
        const uint64_t shared = cursor_uvarint(c);
        const uint64_t rest = cursor_uvarint(c);
        const uint8_t *bytes = cursor_bytes(c, rest);
        if (c->failed || shared > set.len || rest > SERIES_LOG_LABELS_MAX - shared) {
            code = damaged(err);
            break;
        }
        set.len = (size_t)shared;
        if (rest > 0) {
            buf_append(&set, bytes, (size_t)rest);
        }
        const struct labels labels = {(const uint8_t *)buf_str(&set).ptr, set.len};
        code = labels_check(labels.data, labels.size, err);
        if (code == ERR_OK) {
            code = target ? handler->target_set(ctx, (uint32_t)(first + i), labels, err)
                          : handler->metric_set(ctx, (uint32_t)(first + i), labels, err);
        } else {
            code = damaged(err);
        }
    }
    buf_release(&set);
    return code;
}

static enum err_code decode_groups(struct cursor *c, bool again, uint64_t first, uint64_t count,
                                   const struct series_log_handler *handler, void *ctx,
                                   struct series_log_next *next, struct err *err) {
    enum err_code code = ERR_OK;
    for (uint64_t i = 0; i < count && code == ERR_OK; i++) {
        const uint64_t target_set = cursor_uvarint(c);
        if (c->failed || target_set > UINT32_MAX) {
            return damaged(err);
        }
        refer_to(&next->target_set, target_set);
        code = (again && handler->group_again != NULL ? handler->group_again : handler->group)(
            ctx, (uint32_t)(first + i), (uint32_t)target_set, err);
    }
    return code;
}

static enum err_code decode_series(struct cursor *c, uint64_t first, uint64_t count,
                                   const struct series_log_handler *handler, void *ctx,
                                   struct series_log_next *next, struct err *err) {
    enum err_code code = ERR_OK;
    for (uint64_t i = 0; i < count && code == ERR_OK; i++) {
        const uint64_t group = cursor_uvarint(c);
        const uint64_t slot = cursor_uvarint(c);
        const uint64_t target_set = cursor_uvarint(c);
        const uint64_t metric_set = cursor_uvarint(c);
        const uint64_t series = cursor_uvarint(c);
        if (c->failed || group > UINT32_MAX || target_set > UINT32_MAX || series == 0 ||
            series > UINT32_MAX - first || slot > UINT32_MAX - series ||
            metric_set > UINT32_MAX - series) {
            return damaged(err);
        }
        const struct series_run run = {(uint32_t)first,      (uint32_t)group,
                                       (uint32_t)slot,       (uint32_t)target_set,
                                       (uint32_t)metric_set, (uint32_t)series};
        code = handler->series(ctx, &run, err);
        first += series;
        refer_to(&next->group, group);
        refer_to(&next->target_set, target_set);
        refer_to(&next->metric_set, metric_set + series - 1);
        raise_to(&next->series, first);
    }
    return code;
}

static enum err_code decode_layouts(struct cursor *c, uint64_t first, uint64_t count,
                                    const struct series_log_handler *handler, void *ctx,
                                    struct err *err) {
    struct arena arena;
    enum err_code code = ERR_OK;
    arena_init(&arena, 0);
    for (uint64_t i = 0; i < count && code == ERR_OK; i++) {
        struct hist_layout layout;
        arena_reset(&arena);
        if (hist_layout_decode(c, &arena, &layout) != ERR_OK) {
            code = damaged(err);
        } else if (handler->layout != NULL) {
            code = handler->layout(ctx, (uint32_t)(first + i), &layout, err);
        }
    }
    arena_release(&arena);
    return code;
}

static enum err_code decode_columns(struct cursor *c, uint64_t count,
                                    const struct series_log_handler *handler, void *ctx,
                                    struct series_log_next *next, struct err *err) {
    enum err_code code = ERR_OK;
    for (uint64_t i = 0; i < count && code == ERR_OK; i++) {
        const uint64_t group = cursor_uvarint(c);
        const uint64_t slot = cursor_uvarint(c);
        const uint64_t owner = cursor_uvarint(c);
        const uint8_t kind = cursor_u8(c);
        const uint64_t layout = kind >= COLUMN_COUNT ? cursor_uvarint(c) : 0;
        const int64_t bucket = column_is_bucket(kind) ? cursor_varint(c) : 0;
        const struct series_column column = {
            .group = (uint32_t)group,
            .slot = (uint32_t)slot,
            .owner = (uint32_t)owner,
            .key = {.layout = (uint32_t)layout, .bucket = (int32_t)bucket, .kind = kind},
        };
        if (c->failed || group > UINT32_MAX || slot > UINT32_MAX || owner > UINT32_MAX ||
            slot == owner || layout > UINT32_MAX || bucket != column.key.bucket ||
            kind == COLUMN_FLOAT || !column_key_valid(column.key)) {
            return damaged(err);
        }
        refer_to(&next->group, group);
        if (layout <= HIST_LAYOUTS_MAX) {
            refer_to(&next->layout, layout);
        }
        if (handler->column != NULL) {
            code = handler->column(ctx, &column, err);
        }
    }
    return code;
}

enum err_code series_batch_decode(const uint8_t *payload, size_t size,
                                  const struct series_log_handler *handler, void *ctx,
                                  struct series_log_next *next, struct err *err) {
    struct cursor c = cursor_of(payload, size);
    enum err_code code = ERR_OK;
    while (code == ERR_OK && cursor_left(&c) > 0) {
        const uint8_t kind = cursor_u8(&c);
        const uint64_t first = cursor_uvarint(&c);
        const uint64_t count = cursor_uvarint(&c);
        /* Every item has at least one byte, which bounds count before it is believed. */
        if (c.failed || first == 0 || first > UINT32_MAX || count == 0 || count > cursor_left(&c) ||
            count > UINT32_MAX - first) {
            return damaged(err);
        }
        switch (kind) {
        case TARGET_SETS:
            code = decode_sets(&c, true, first, count, handler, ctx, err);
            raise_to(&next->target_set, first + count);
            break;
        case METRIC_SETS:
            code = decode_sets(&c, false, first, count, handler, ctx, err);
            raise_to(&next->metric_set, first + count);
            break;
        case GROUPS:
        case GROUPS_AGAIN:
            code = decode_groups(&c, kind == GROUPS_AGAIN, first, count, handler, ctx, next, err);
            raise_to(&next->group, first + count);
            break;
        case SERIES:
            code = decode_series(&c, first, count, handler, ctx, next, err);
            break;
        case LAYOUTS:
            if (first + count > (uint64_t)HIST_LAYOUTS_MAX + 1) {
                return damaged(err);
            }
            code = decode_layouts(&c, first, count, handler, ctx, err);
            raise_to(&next->layout, first + count);
            break;
        case COLUMNS:
            code = decode_columns(&c, count, handler, ctx, next, err);
            break;
        default:
            return damaged(err);
        }
    }
    return code;
}
