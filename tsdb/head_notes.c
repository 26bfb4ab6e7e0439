/* Exemplars and metadata of families on their way to the notes. */
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "tsdb/head.h"

static void add_and_sync(struct tsdb *db, const struct series_exemplar *items, size_t n) {
    notes_add_exemplars(db->notes, items, n);
    if (db->options.wal_sync_interval_ns == 0) {
        (void)!notes_sync(db->notes, NULL); /* exemplars fail no sample; the log of notes says it */
    }
}

/* The series' labels; false when the slot has none. */
static bool slot_labels(const struct head_group *g, uint32_t slot, struct arena *arena,
                        struct labels *out) {
    struct index *index = &g->shard->db->index;
    struct labels metric = {0};
    bool whole = false;
    mutex_lock(&index->mu);
    const struct index_group *slots = &index->live->groups[g->id];
    const bool known = slot < slots->slot_count && slots->slots[slot] != INDEX_SLOT_LOST;
    if (known) {
        whole = (slots->slots[slot] & INDEX_SLOT_WHOLE) != 0;
        metric = label_sets_get(&index->live->metrics.sets, slots->slots[slot] & ~INDEX_SLOT_WHOLE);
    }
    mutex_unlock(&index->mu);
    if (known) {
        *out = whole ? metric : labels_merge(arena, g->target, metric);
    }
    return known;
}

void head_commit_exemplars(struct head_group *g, const struct storage_row *row) {
    struct tsdb *db = g->shard->db;
    struct exemplars *ring = notes_exemplars(db->notes);
    struct series_exemplar *items = mem_array(row->exemplar_count + 1, sizeof(*items));
    struct arena arena;
    size_t n = 0;
    arena_init(&arena, 0);
    for (size_t i = 0; i < row->exemplar_count; i++) {
        const struct storage_row_exemplar *e = &row->exemplars[i];
        const bool refused =
            row->rejects != NULL && e->slot < row->slot_count && row->rejects[e->slot] != ERR_OK;
        items[n].exemplar = e->exemplar;
        if (!refused && slot_labels(g, e->slot, &arena, &items[n].series) &&
            exemplars_check(ring, items[n].series, &e->exemplar) == ERR_OK) {
            n++;
        }
    }
    if (n != 0) {
        add_and_sync(db, items, n);
    }
    arena_release(&arena);
    mem_free(items);
}

void head_push_exemplars(struct tsdb *db, const struct series_exemplar *items, size_t n) {
    if (n != 0) {
        add_and_sync(db, items, n);
    }
}

void tsdb_metadata_put(struct storage *st, struct str family, const struct storage_metadata *m) {
    notes_put_metadata(((struct tsdb *)st)->notes, family, m);
}

enum err_code tsdb_metadata_list(struct storage *st, struct arena *arena,
                                 struct storage_family **out, size_t *out_count) {
    return metadata_map_list(notes_metadata(((struct tsdb *)st)->notes), arena, out, out_count);
}

void tsdb_set_max_exemplars(struct tsdb *db, size_t max) {
    exemplars_resize(notes_exemplars(db->notes), max);
}
