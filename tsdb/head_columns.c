/* Histograms and start timestamps as cells of hidden slots.
 *
 * A sample that is more than a float becomes cells, each the value of one slot in the row. Slots
 * that the series does not have yet are made on the way: a walk over the histogram's cells and the
 * bundle's columns, which have the same order, finds what is missing and compares each count with
 * the one before, so that the hint for readers costs nothing more (spec: histogram chunks, append
 * rules). The first histogram of a window has no hint, as the first of a chunk has none. */
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "tsdb/head.h"

enum { NO_SLOT = UINT32_MAX };

struct head_cell *head_cells_room(struct head_cells *cells, size_t more) {
    if (cells->count + more > cells->capacity) {
        cells->capacity = mem_grow(cells->capacity, cells->count + more);
        cells->items = mem_resize(cells->items, cells->capacity, sizeof(*cells->items));
    }
    return cells->items + cells->count;
}

static void put_cell(struct head_cells *cells, uint32_t slot, uint8_t state, struct num value) {
    *head_cells_room(cells, 1) = (struct head_cell){.slot = slot, .state = state, .value = value};
    cells->count++;
}

/* ---- what was before ---- */

static bool is_pushed(const struct head_group *g) {
    return g->kind == GROUP_PUSHED;
}

static bool is_present(const struct head_group *g, uint32_t slot) {
    return (g->forms[slot] & FORM_PRESENT) != 0;
}

static double last_value(const struct head_group *g, uint32_t slot) {
    return num_double(value_state_num(head_slot_state(g, slot)));
}

uint32_t head_newest_count(const struct head_group *g, uint32_t owner) {
    const struct column_bundle *b = group_columns_of(g->columns, owner);
    uint32_t found = NO_SLOT;
    for (uint32_t i = 0; b != NULL && i < b->count; i++) {
        const struct group_column *c = &b->columns[i];
        if (c->key.kind != COLUMN_COUNT) {
            continue;
        }
        const bool newest = is_pushed(g) ? g->last_ts_ms[c->slot] != INT64_MIN &&
                                               g->last_ts_ms[c->slot] == g->last_ts_ms[owner]
                                         : is_present(g, c->slot);
        if (newest) {
            return c->slot;
        }
        /* Between windows no slot of a scraped group is present: the newest sample's layout is in
         * the bundle, and after a restart the last one is taken for a series without any float. */
        const bool likely =
            b->newest_layout == 0 ? g->forms[owner] == 0 : b->newest_layout == c->key.layout;
        if (!is_pushed(g) && !is_present(g, owner) && likely) {
            found = c->slot;
        }
    }
    return found;
}

/* Is the newest sample of the series in the column's layout, and known? */
static bool follows(const struct head_group *g, const struct column_bundle *b,
                    uint32_t count_slot) {
    return is_present(g, count_slot) &&
           (!is_pushed(g) || g->last_ts_ms[count_slot] == g->last_ts_ms[b->owner]);
}

/* ---- slots of a histogram's cells ---- */

struct walk {
    const struct head_group *g;
    const struct column_bundle *bundle; /* may be NULL */
    const struct hist_cell *cells;
    size_t count;
    uint32_t *slots; /* of each cell; NO_SLOT: the series does not have the column yet */
    uint32_t missing;
    bool compare; /* with the sample before */
    bool fell;    /* a count is smaller than before */
};

static double count_before(const struct walk *w, uint32_t slot) {
    const struct head_group *g = w->g;
    const bool there = is_present(g, slot) &&
                       (!is_pushed(g) || g->last_ts_ms[slot] == g->last_ts_ms[w->bundle->owner]);
    return there ? last_value(g, slot) : 0;
}

static void compare(struct walk *w, struct column_key key, uint32_t slot, double now) {
    if (w->compare && key.kind != COLUMN_SUM && key.kind != COLUMN_HINT) {
        w->fell |= now < count_before(w, slot);
    }
}

static void walk_cells(struct walk *w) {
    const struct column_bundle *b = w->bundle;
    const uint32_t layout = w->cells[0].key.layout;
    uint32_t at = b != NULL ? column_bundle_find(b, w->cells[0].key) : 0;
    w->missing = 0;
    for (size_t i = 0; i < w->count; i++) {
        const struct column_key key = w->cells[i].key;
        int order = -1;
        while (b != NULL && at < b->count &&
               (order = column_key_cmp(key, b->columns[at].key)) > 0) {
            compare(w, b->columns[at].key, b->columns[at].slot, 0);
            at++;
        }
        w->slots[i] = NO_SLOT;
        if (b != NULL && at < b->count && order == 0) {
            w->slots[i] = b->columns[at].slot;
            compare(w, key, w->slots[i], num_double(w->cells[i].value));
            at++;
        } else {
            w->missing++;
        }
    }
    for (; b != NULL && at < b->count && b->columns[at].key.layout == layout; at++) {
        compare(w, b->columns[at].key, b->columns[at].slot, 0);
    }
}

/* Makes the columns of the cells that have no slot yet. */
static enum err_code add_columns(struct head_group *g, uint32_t owner,
                                 const struct hist_cell *cells, uint32_t *slots, size_t n,
                                 uint32_t missing, struct err *err) REQUIRES(g->shard->mu) {
    struct tsdb *db = g->shard->db;
    const struct column_bundle *b = group_columns_of(g->columns, owner);
    if ((b != NULL ? b->count : 0) + missing > GROUP_COLUMNS_MAX) {
        return err_set(err, ERR_LIMIT,
                       "the histograms of a series had more than %d different buckets",
                       GROUP_COLUMNS_MAX);
    }
    mutex_lock(&db->index.mu);
    const uint32_t first = db->index.live->groups[g->id].slot_count;
    mutex_unlock(&db->index.mu);
    if (first >= INDEX_SLOT_MAX - missing) {
        return err_set(err, ERR_LIMIT, "a target has %u series and buckets, which is the limit",
                       first);
    }
    uint32_t next = first;
    for (size_t i = 0; i < n; i++) {
        if (slots[i] != NO_SLOT) {
            continue;
        }
        const uint32_t again = head_take_free_slot(g);
        slots[i] = again != UINT32_MAX ? again : next++;
        mutex_lock(&db->index.mu);
        if (again == UINT32_MAX) {
            index_add_lost_slot_locked(&db->index, g->id);
        }
        head_note_column_locked(
            db, &(struct series_column){
                    .group = g->id, .slot = slots[i], .owner = owner, .key = cells[i].key});
        mutex_unlock(&db->index.mu);
        mutex_lock(&g->mu);
        head_group_reserve(g, next);
        const bool added = group_columns_add(&g->columns, owner, cells[i].key, slots[i]);
        ASSERT(added);
        mutex_unlock(&g->mu);
    }
    return ERR_OK;
}

/* Room for the cells of a histogram and their slots. */
static void reserve_split(struct head_shard *shard, size_t n) REQUIRES(shard->mu) {
    if (n > shard->split_capacity) {
        shard->split_capacity = mem_grow(shard->split_capacity, n);
        shard->split = mem_resize(shard->split, shard->split_capacity, sizeof(*shard->split));
        shard->split_slots =
            mem_resize(shard->split_slots, shard->split_capacity, sizeof(*shard->split_slots));
    }
}

bool head_columns_room(struct head_group *g, uint32_t owner, const struct histogram *h,
                       bool float_counts, bool has_start) {
    struct head_shard *shard = g->shard;
    head_shard_held(shard);
    const struct hist_layout layout = hist_layout_of(h, float_counts);
    const uint32_t number = hist_layouts_intern(shard->db->layouts, &layout);
    const struct column_bundle *b = group_columns_of(g->columns, owner);
    reserve_split(shard, hist_cell_count_max(h));
    const size_t n = hist_split(h, number, HINT_UNKNOWN, shard->split);
    const struct column_key start = {.kind = COLUMN_START};
    size_t missing = has_start && (b == NULL || column_bundle_slot(b, start) == NO_SLOT);
    for (size_t i = 0; i < n; i++) {
        missing += b == NULL || column_bundle_slot(b, shard->split[i].key) == NO_SLOT;
    }
    return number != 0 && (b != NULL ? b->count : 0) + missing <= GROUP_COLUMNS_MAX;
}

static enum err_code intern_layout(struct head_group *g, const struct histogram *h,
                                   bool float_counts, uint32_t *out, struct err *err)
    REQUIRES(g->shard->mu) {
    const struct hist_layout layout = hist_layout_of(h, float_counts);
    *out = hist_layouts_intern(g->shard->db->layouts, &layout);
    return *out != 0
               ? ERR_OK
               : err_set(err, ERR_LIMIT, "the storage has no room for more layouts of histograms");
}

static enum err_code end_histogram(struct head_group *g, uint32_t owner, const struct histogram *h,
                                   bool float_counts, struct head_cells *out, struct err *err)
    REQUIRES(g->shard->mu) {
    uint32_t slot = head_newest_count(g, owner);
    if (slot == NO_SLOT) {
        struct hist_cell cell = {.key.kind = COLUMN_COUNT};
        enum err_code code = intern_layout(g, h, float_counts, &cell.key.layout, err);
        const struct column_bundle *b = group_columns_of(g->columns, owner);
        slot = b != NULL ? column_bundle_slot(b, cell.key) : NO_SLOT;
        if (code == ERR_OK && slot == NO_SLOT) {
            code = add_columns(g, owner, &cell, &slot, 1, 1, err);
        }
        if (code != ERR_OK) {
            return code;
        }
    }
    put_cell(out, slot, SLOT_STALE, (struct num){0});
    return ERR_OK;
}

static enum err_code histogram_cells(struct head_group *g, uint32_t owner,
                                     const struct histogram *h, bool float_counts,
                                     struct head_cells *out, struct err *err)
    REQUIRES(g->shard->mu) {
    struct head_shard *shard = g->shard;
    head_shard_held(shard);
    if (hist_is_stale(h)) {
        return end_histogram(g, owner, h, float_counts, out, err);
    }
    uint32_t layout = 0;
    enum err_code code = intern_layout(g, h, float_counts, &layout, err);
    if (code != ERR_OK) {
        return code;
    }
    reserve_split(shard, hist_cell_count_max(h));
    struct walk w = {.g = g,
                     .bundle = group_columns_of(g->columns, owner),
                     .cells = shard->split,
                     .slots = shard->split_slots};
    w.count = hist_split(h, layout, HINT_UNKNOWN, shard->split);
    const struct column_key count_key = shard->split[0].key;
    const uint32_t count_slot =
        w.bundle != NULL ? column_bundle_slot(w.bundle, count_key) : NO_SLOT;
    w.compare = !g->late && h->hint != HINT_GAUGE && count_slot != NO_SLOT &&
                follows(g, w.bundle, count_slot);
    walk_cells(&w);
    if (w.missing != 0) {
        code = add_columns(g, owner, shard->split, shard->split_slots, w.count, w.missing, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    if (h->hint != HINT_GAUGE) { /* the hint's cell is the last one */
        const enum histogram_hint hint = h->hint == HINT_RESET  ? HINT_RESET
                                         : w.compare && !w.fell ? HINT_NOT_RESET
                                                                : HINT_UNKNOWN;
        shard->split[w.count - 1].value = num_of_i64((int64_t)hint);
    }
    head_cells_room(out, w.count);
    for (size_t i = 0; i < w.count; i++) {
        put_cell(out, w.slots[i], SLOT_VALUE, shard->split[i].value);
    }
    group_columns_of(g->columns, owner)->newest_layout = layout;
    return ERR_OK;
}

static enum err_code start_cell(struct head_group *g, uint32_t owner, int64_t start_ts_ms,
                                struct head_cells *out, struct err *err) REQUIRES(g->shard->mu) {
    const struct hist_cell cell = {.key.kind = COLUMN_START};
    const struct column_bundle *b = group_columns_of(g->columns, owner);
    uint32_t slot = b != NULL ? column_bundle_slot(b, cell.key) : NO_SLOT;
    if (slot == NO_SLOT) {
        const enum err_code code = add_columns(g, owner, &cell, &slot, 1, 1, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    const bool decimal = start_ts_ms < NUM_MANTISSA_LIMIT && start_ts_ms > -NUM_MANTISSA_LIMIT;
    put_cell(out, slot, SLOT_VALUE,
             decimal ? num_of_i64(start_ts_ms) : num_raw((double)start_ts_ms));
    return ERR_OK;
}

enum err_code head_sample_cells(struct head_group *g, const struct head_sample *s,
                                struct head_cells *out, struct err *err) {
    const size_t before = out->count;
    enum err_code code = ERR_OK;
    bool ends = s->state == SLOT_STALE;
    if (s->histogram != NULL) {
        ends = hist_is_stale(s->histogram);
        code =
            histogram_cells(g, s->slot, s->histogram, s->state == SLOT_FLOAT_HISTOGRAM, out, err);
    } else {
        const uint32_t count_slot = ends ? head_newest_count(g, s->slot) : NO_SLOT;
        put_cell(out, count_slot != NO_SLOT ? count_slot : s->slot, s->state, s->value);
        struct column_bundle *b = group_columns_of(g->columns, s->slot);
        if (b != NULL && !ends) {
            b->newest_layout = COLUMN_BUNDLE_FLOAT;
        }
    }
    if (code == ERR_OK && s->start_ts_ms != 0 && !ends) {
        code = start_cell(g, s->slot, s->start_ts_ms, out, err);
    }
    if (code != ERR_OK) {
        out->count = before;
    }
    return code;
}

/* ---- comparing with the newest sample ---- */

bool head_same_histogram(struct head_group *g, uint32_t owner, uint32_t count_slot,
                         const struct histogram *h, bool float_counts) {
    struct head_shard *shard = g->shard;
    head_shard_held(shard);
    const struct hist_layout layout = hist_layout_of(h, float_counts);
    const struct column_bundle *b = group_columns_of(g->columns, owner);
    const struct column_key key = {.layout = hist_layouts_intern(shard->db->layouts, &layout),
                                   .kind = COLUMN_COUNT};
    if (b == NULL || column_bundle_slot(b, key) != count_slot) {
        return false;
    }
    reserve_split(shard, hist_cell_count_max(h));
    const size_t n = hist_split(h, key.layout, HINT_UNKNOWN, shard->split);
    size_t same = 0;
    size_t there = 0;
    size_t at = 0;
    for (uint32_t i = column_bundle_find(b, key); i < b->count; i++) {
        const struct group_column *c = &b->columns[i];
        if (c->key.layout != key.layout || c->key.kind == COLUMN_HINT) {
            break;
        }
        while (at < n && column_key_cmp(shard->split[at].key, c->key) < 0) {
            at++;
        }
        const bool in = at < n && column_key_cmp(shard->split[at].key, c->key) == 0;
        /* Which buckets the newest sample of a scraped group had is forgotten when it is sealed. */
        there += is_pushed(g) ? g->last_ts_ms[c->slot] == g->last_ts_ms[count_slot] : in;
        same += in && f64_same_bits(num_double(shard->split[at].value), last_value(g, c->slot));
    }
    return same == there && same == n - (h->hint != HINT_GAUGE ? 1 : 0);
}

void head_columns_restore_newest(struct head_group *g, uint32_t owner, const struct histogram *h,
                                 int64_t ts_ms) {
    struct head_shard *shard = g->shard;
    head_shard_held(shard);
    const struct hist_layout layout = hist_layout_of(h, h->float_counts);
    const struct column_bundle *b = group_columns_of(g->columns, owner);
    const uint32_t number = hist_layouts_intern(shard->db->layouts, &layout);
    reserve_split(shard, hist_cell_count_max(h));
    const size_t n =
        b != NULL && number != 0 ? hist_split(h, number, HINT_UNKNOWN, shard->split) : 0;
    for (size_t i = 0; i < n; i++) {
        const uint32_t slot = column_bundle_slot(b, shard->split[i].key);
        if (slot < g->slot_count && shard->split[i].key.kind != COLUMN_HINT) {
            g->last_ts_ms[slot] = ts_ms;
            g->m[slot] = shard->split[i].value.m;
            g->forms[slot] = value_form(shard->split[i].value);
        }
    }
}

void head_columns_restore_times(struct head_group *g) {
    for (uint32_t i = 0; g->columns != NULL && i < g->columns->count; i++) {
        const struct column_bundle *b = &g->columns->bundles[i];
        if (b->owner >= g->slot_count) {
            continue;
        }
        for (uint32_t k = 0; k < b->count; k++) {
            const int64_t ts_ms = g->last_ts_ms[b->columns[k].slot];
            if (b->columns[k].key.kind == COLUMN_COUNT && ts_ms > g->last_ts_ms[b->owner]) {
                g->last_ts_ms[b->owner] = ts_ms;
            }
        }
    }
}
