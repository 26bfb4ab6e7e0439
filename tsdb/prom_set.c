#include "tsdb/prom_set.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/hash.h"
#include "base/mem.h"
#include "tsdb/prom_block.h"

#define LABELS_MEMORY_MAX ((size_t)16 << 30)

/* A series as one source knows it. */
struct set_item {
    uint64_t target;
    const uint8_t *labels;
    uint32_t label_bytes;
    uint32_t source; /* block, or block_count for the log */
    uint64_t at;     /* offset in the block's index, or number of the log's series */
    int64_t mint;
    int64_t maxt;
};

struct prom_set {
    struct prom_head *head; /* NULL: none */
    struct prom_block **blocks;
    size_t block_count;
    struct arena arena; /* labels */
    struct set_item *items;
    size_t item_count;
    size_t item_capacity;
    uint32_t *starts; /* first item of each series; one more at the end */
    uint32_t series_count;
    uint32_t *places; /* series of each of the log's series */
    int64_t min_time;
    struct prom_series series; /* scratch */
    int64_t mint;
    int64_t maxt;
};

static uint64_t target_of(struct labels labels) {
    const struct str job = labels_get(labels, STR("job"));
    const struct str instance = labels_get(labels, STR("instance"));
    return hash_keyed(instance.ptr, instance.len, hash_xxh64(job.ptr, job.len));
}

static enum err_code add_item(struct prom_set *set, struct labels labels, struct set_item item,
                              bool copy, struct err *err) {
    if (set->item_count == UINT32_MAX - 1) {
        return err_set(err, ERR_LIMIT, "too many series");
    }
    if (set->item_count == set->item_capacity) {
        set->item_capacity = mem_grow(set->item_capacity, set->item_count + 1);
        set->items = mem_resize(set->items, set->item_capacity, sizeof(*set->items));
    }
    item.labels = labels.data;
    item.label_bytes = (uint32_t)labels.size;
    if (copy) {
        uint8_t *bytes = arena_try_alloc(&set->arena, labels.size, 1);
        if (bytes == NULL) {
            return err_set(err, ERR_LIMIT, "too many series: %zu", set->item_count);
        }
        memcpy(bytes, labels.data, labels.size);
        item.labels = bytes;
    }
    item.target = target_of(labels);
    set->min_time = item.mint < set->min_time ? item.mint : set->min_time;
    set->items[set->item_count++] = item;
    return ERR_OK;
}

static enum err_code add_block(struct prom_set *set, struct vfs *vfs, const char *dir,
                               struct err *err) {
    const uint32_t source = (uint32_t)set->block_count;
    enum err_code code = prom_block_open(vfs, dir, &set->blocks[source], err);
    if (code != ERR_OK) {
        return code;
    }
    set->block_count++;
    struct prom_index *index = prom_block_index(set->blocks[source]);
    uint64_t offset = prom_index_first(index);
    for (;;) {
        code = prom_index_next(index, &offset, &set->series, err);
        if (code != ERR_OK) {
            return code == ERR_NOT_FOUND ? ERR_OK : code;
        }
        if (set->series.chunk_count == 0) {
            continue;
        }
        const struct set_item item = {
            .source = source,
            .at = set->series.offset,
            .mint = set->series.chunks[0].mint,
            .maxt = set->series.chunks[set->series.chunk_count - 1].maxt,
        };
        code = add_item(set, prom_series_labels(&set->series), item, true, err);
        if (code != ERR_OK) {
            return code;
        }
    }
}

static enum err_code add_head(struct prom_set *set, struct err *err) {
    const struct prom_head_stats *stats = prom_head_stats(set->head);
    const uint32_t count = prom_head_series_count(set->head);
    enum err_code code = ERR_OK;
    for (uint32_t i = 0; code == ERR_OK && i < count; i++) {
        const struct set_item item = {.source = (uint32_t)set->block_count,
                                      .at = i,
                                      .mint = stats->min_ms,
                                      .maxt = stats->max_ms};
        code = add_item(set, prom_head_labels(set->head, i), item, false, err);
    }
    return code;
}

static int by_labels(const void *a, const void *b) {
    const struct set_item *x = a;
    const struct set_item *y = b;
    const int c = labels_cmp((struct labels){x->labels, x->label_bytes},
                             (struct labels){y->labels, y->label_bytes});
    return c != 0 ? c : (x->source > y->source) - (x->source < y->source);
}

static int by_target(const void *a, const void *b) {
    const struct set_item *x = a;
    const struct set_item *y = b;
    return x->target != y->target ? (x->target < y->target ? -1 : 1) : by_labels(a, b);
}

static struct labels item_labels(const struct set_item *item) {
    return (struct labels){item->labels, item->label_bytes};
}

/* Items of equal labels become one series. */
static void merge(struct prom_set *set, enum prom_set_order order) {
    if (set->item_count != 0) {
        qsort(set->items, set->item_count, sizeof(*set->items),
              order == PROM_BY_TARGET ? by_target : by_labels);
    }
    set->starts = mem_array(set->item_count + 1, sizeof(*set->starts));
    set->places = mem_array((set->head != NULL ? (size_t)prom_head_series_count(set->head) : 0) + 1,
                            sizeof(uint32_t));
    for (size_t i = 0; i < set->item_count; i++) {
        const struct set_item *item = &set->items[i];
        if (i == 0 || !labels_eq(item_labels(item), item_labels(item - 1))) {
            set->starts[set->series_count++] = (uint32_t)i;
        }
        if (item->source == set->block_count) {
            set->places[item->at] = set->series_count - 1;
        }
    }
    set->starts[set->series_count] = (uint32_t)set->item_count;
}

enum err_code prom_set_open(const struct prom_db *db, size_t first, size_t last, bool with_head,
                            enum prom_set_order order, struct prom_set **out, struct err *err) {
    struct prom_set *set = mem_zalloc(sizeof(*set));
    arena_init(&set->arena, LABELS_MEMORY_MAX);
    prom_series_init(&set->series);
    set->min_time = INT64_MAX;
    set->blocks = mem_zalloc((last - first + 1) * sizeof(struct prom_block *));
    enum err_code code = ERR_OK;
    for (size_t i = first; code == ERR_OK && i < last; i++) {
        code = add_block(set, db->vfs, db->blocks[i].dir, err);
    }
    if (code == ERR_OK && with_head) {
        set->head = db->head;
        code = add_head(set, err);
    }
    if (code != ERR_OK) {
        prom_set_close(set);
        return code;
    }
    merge(set, order);
    *out = set;
    return ERR_OK;
}

void prom_set_close(struct prom_set *set) {
    if (set == NULL) {
        return;
    }
    for (size_t i = 0; i < set->block_count; i++) {
        prom_block_close(set->blocks[i]);
    }
    mem_free(set->blocks);
    mem_free(set->items);
    mem_free(set->starts);
    mem_free(set->places);
    prom_series_release(&set->series);
    arena_release(&set->arena);
    mem_free(set);
}

uint32_t prom_set_count(const struct prom_set *set) {
    return set->series_count;
}

struct labels prom_set_labels(const struct prom_set *set, uint32_t series) {
    return item_labels(&set->items[set->starts[series]]);
}

uint64_t prom_set_target(const struct prom_set *set, uint32_t series) {
    return set->items[set->starts[series]].target;
}

int64_t prom_set_min_time(const struct prom_set *set) {
    return set->min_time;
}

enum err_code prom_set_load(struct prom_set *set, uint32_t first, uint32_t last, int64_t mint,
                            int64_t maxt, int64_t *out_next_ms, struct err *err) {
    set->mint = mint;
    set->maxt = maxt;
    *out_next_ms = INT64_MAX;
    return set->head != NULL
               ? prom_head_load(set->head, set->places, first, last, mint, maxt, out_next_ms, err)
               : ERR_OK;
}

const struct prom_sample *prom_set_loaded(const struct prom_set *set, uint32_t series,
                                          size_t *out_count) {
    *out_count = 0;
    return set->head != NULL ? prom_head_loaded(set->head, series, out_count) : NULL;
}

void prom_set_unload(struct prom_set *set) {
    if (set->head != NULL) {
        prom_head_unload(set->head);
    }
}

void prom_set_range(struct prom_set *set, int64_t mint, int64_t maxt) {
    set->mint = mint;
    set->maxt = maxt;
}

bool prom_set_overlaps(const struct prom_set *set, uint32_t series, int64_t mint, int64_t maxt) {
    for (uint32_t i = set->starts[series]; i < set->starts[series + 1]; i++) {
        const struct set_item *item = &set->items[i];
        if (item->source != set->block_count && item->mint <= maxt && item->maxt >= mint) {
            return true;
        }
    }
    return false;
}

static enum err_code read_loaded(struct prom_set *set, uint32_t series, struct prom_samples *to,
                                 struct err *err) {
    size_t count;
    const struct prom_sample *loaded = prom_head_loaded(set->head, series, &count);
    for (size_t i = 0; i < count; i++) {
        if (prom_samples_add_sample(to, &loaded[i]) != ERR_OK) {
            return err_set(err, ERR_LIMIT, "more than %zu samples of one series", to->max_count);
        }
    }
    return ERR_OK;
}

enum err_code prom_set_read(struct prom_set *set, uint32_t series, struct prom_samples *to,
                            struct prom_read_result *result, struct err *err) {
    enum err_code code = ERR_OK;
    to->count = 0;
    if (to->arena != NULL) {
        arena_reset(to->arena);
    }
    for (uint32_t i = set->starts[series]; code == ERR_OK && i < set->starts[series + 1]; i++) {
        const struct set_item *item = &set->items[i];
        if (item->source == set->block_count) {
            code = read_loaded(set, series, to, err);
        } else if (item->mint > set->maxt) {
            result->next_ms = item->mint < result->next_ms ? item->mint : result->next_ms;
        } else if (item->maxt >= set->mint) {
            struct prom_block *block = set->blocks[item->source];
            code = prom_index_read(prom_block_index(block), item->at, &set->series, err);
            if (code == ERR_OK) {
                code = prom_block_read(block, &set->series, set->mint, set->maxt, to, result, err);
            }
        }
    }
    if (code == ERR_OK) {
        prom_samples_order(to);
    }
    return code;
}
