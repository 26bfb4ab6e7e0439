/* Reading the index of a partition. FORMAT.md section 10. */
#include "tsdb/partition_index.h"

#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "tsdb/partition_numbers.h"

/* ---- lists ---- */

struct partition_list partition_section_list(const struct partition *p,
                                             enum partition_section section, uint32_t count,
                                             uint32_t group) {
    return (struct partition_list){
        .section = section, .size = p->sections[section].size, .count = count, .group = group};
}

enum err_code partition_list_block(struct partition *p, const struct partition_list *list,
                                   uint32_t block, struct cursor *out, struct err *err) {
    const uint64_t blocks = ((uint64_t)list->count + list->group - 1) / list->group;
    ASSERT(block < blocks);
    const uint64_t table = blocks * sizeof(uint32_t);
    const uint8_t *ends;
    const uint64_t first = block == 0 ? 0 : (uint64_t)block - 1;
    if (list->size < table) {
        return partition_bad_index(p, list->section, list->offset, err);
    }
    enum err_code code = partition_bytes(p, list->section, list->offset + first * sizeof(uint32_t),
                                         (block - first + 1) * sizeof(uint32_t), &ends, err);
    if (code != ERR_OK) {
        return code;
    }
    const uint32_t begin = block == 0 ? 0 : load_u32(ends);
    const uint32_t end = load_u32(ends + (block - first) * sizeof(uint32_t));
    const uint8_t *bytes;
    if (begin > end || end > list->size - table) {
        return partition_bad_index(p, list->section, list->offset + first * sizeof(uint32_t), err);
    }
    code =
        partition_bytes(p, list->section, list->offset + table + begin, end - begin, &bytes, err);
    if (code == ERR_OK) {
        *out = cursor_of(bytes, end - begin);
    }
    return code;
}

static enum err_code bad_list(const struct partition *p, const struct partition_list *list,
                              struct err *err) {
    return partition_bad_index(p, list->section, list->offset, err);
}

bool partition_take_string(struct cursor *from, struct buf *text) {
    const uint64_t shared = cursor_uvarint(from);
    const uint64_t rest = cursor_uvarint(from);
    if (from->failed || shared > text->len || rest > cursor_left(from)) {
        return false;
    }
    text->len = (size_t)shared;
    buf_append(text, cursor_bytes(from, (size_t)rest), (size_t)rest);
    return buf_ok(text);
}

/* ---- sets ---- */

enum err_code partition_set_labels(struct partition *p, enum partition_space space, uint32_t set,
                                   struct arena *arena, struct labels *out, struct err *err) {
    const bool target = space == PARTITION_TARGETS;
    const struct partition_list list = partition_section_list(
        p, target ? SECTION_TARGETS : SECTION_METRICS,
        (target ? p->info.target_count : p->info.metric_count) - 1, PARTITION_LIST_GROUP);
    ASSERT(set <= list.count);
    if (set == 0) {
        *out = (struct labels){0};
        return ERR_OK;
    }
    struct cursor block;
    struct buf text;
    struct err ignored;
    enum err_code code =
        partition_list_block(p, &list, (set - 1) / PARTITION_LIST_GROUP, &block, err);
    if (code != ERR_OK) {
        return code;
    }
    buf_init(&text, PARTITION_STRING_MAX);
    for (uint32_t i = 0; i <= (set - 1) % PARTITION_LIST_GROUP && code == ERR_OK; i++) {
        code = partition_take_string(&block, &text) ? ERR_OK : bad_list(p, &list, err);
    }
    if (code == ERR_OK &&
        (text.len == 0 || labels_check((const uint8_t *)text.ptr, text.len, &ignored) != ERR_OK)) {
        code = bad_list(p, &list, err);
    }
    if (code == ERR_OK) {
        uint8_t *copy = arena_try_alloc(arena, text.len, 1);
        if (copy != NULL) {
            memcpy(copy, text.ptr, text.len);
            *out = (struct labels){copy, text.len};
        } else {
            code = err_set(err, ERR_LIMIT, "query needs more memory than its budget for labels");
        }
    }
    buf_release(&text);
    return code;
}

_Atomic uint64_t *partition_known_set(struct partition *p, enum partition_space space,
                                      uint32_t set) {
    const uint32_t count = space == PARTITION_TARGETS ? p->info.target_count : p->info.metric_count;
    ASSERT(set < count);
    _Atomic uint64_t *known = atomic_load_explicit(&p->known_sets[space], memory_order_acquire);
    if (UNLIKELY(known == NULL)) {
        _Atomic uint64_t *mine = mem_zalloc(count * sizeof(*mine));
        if (atomic_compare_exchange_strong(&p->known_sets[space], &known, mine)) {
            known = mine;
        } else {
            mem_free((void *)mine);
        }
    }
    return &known[set];
}

/* ---- label names ---- */

void partition_name_iter_init(struct partition_name_iter *it) {
    it->next = 0;
    buf_init(&it->text, PARTITION_STRING_MAX);
}

void partition_name_iter_release(struct partition_name_iter *it) {
    buf_release(&it->text);
}

enum err_code partition_next_name(struct partition *p, struct partition_name_iter *it,
                                  struct partition_name_entry *out, bool *out_more,
                                  struct err *err) {
    const struct partition_list list =
        partition_section_list(p, SECTION_NAMES, p->info.name_count, PARTITION_LIST_GROUP);
    *out_more = it->next < list.count;
    if (!*out_more) {
        return ERR_OK;
    }
    if (it->next % PARTITION_LIST_GROUP == 0) {
        const enum err_code code =
            partition_list_block(p, &list, it->next / PARTITION_LIST_GROUP, &it->block, err);
        if (code != ERR_OK) {
            return code;
        }
        buf_clear(&it->text);
    }
    if (!partition_take_string(&it->block, &it->text)) {
        return bad_list(p, &list, err);
    }
    const uint64_t count = cursor_uvarint(&it->block);
    out->name = buf_str(&it->text);
    out->values = (struct partition_list){SECTION_VALUES, cursor_uvarint(&it->block), 0,
                                          (uint32_t)count, PARTITION_LIST_GROUP};
    out->postings = (struct partition_list){SECTION_POSTINGS, cursor_uvarint(&it->block), 0,
                                            (uint32_t)count + 1, PARTITION_LIST_GROUP};
    out->values.size = cursor_uvarint(&it->block);
    out->postings.size = cursor_uvarint(&it->block);
    const uint64_t values_size = p->sections[SECTION_VALUES].size;
    const uint64_t postings_size = p->sections[SECTION_POSTINGS].size;
    /* a value has at least two bytes in either section */
    if (it->block.failed || out->values.offset > values_size ||
        out->values.size > values_size - out->values.offset ||
        out->postings.offset > postings_size ||
        out->postings.size > postings_size - out->postings.offset || count > out->values.size / 2) {
        return bad_list(p, &list, err);
    }
    it->next++;
    return ERR_OK;
}

enum err_code partition_find_name(struct partition *p, struct str name,
                                  struct partition_name_entry *out, bool *out_found,
                                  struct err *err) {
    struct partition_name_iter it;
    enum err_code code;
    bool more = true;
    *out_found = false;
    partition_name_iter_init(&it);
    do {
        code = partition_next_name(p, &it, out, &more, err);
        *out_found = code == ERR_OK && more && str_eq(out->name, name);
    } while (code == ERR_OK && more && !*out_found);
    partition_name_iter_release(&it);
    out->name = name;
    return code;
}

/* ---- values ---- */

/* The first string of a block stands there whole. */
static enum err_code first_of_block(struct partition *p, const struct partition_list *list,
                                    uint32_t block, struct str *out, struct err *err) {
    struct cursor c;
    const enum err_code code = partition_list_block(p, list, block, &c, err);
    if (code != ERR_OK) {
        return code;
    }
    if (cursor_uvarint(&c) != 0) {
        return bad_list(p, list, err);
    }
    *out = cursor_str(&c);
    return c.failed ? bad_list(p, list, err) : ERR_OK;
}

/* Last block whose first string is not above text; 0 when there is none. */
static enum err_code block_of(struct partition *p, const struct partition_list *list,
                              struct str text, uint32_t *out, struct err *err) {
    uint32_t low = 0;
    uint32_t high = (list->count + list->group - 1) / list->group;
    while (high - low > 1) {
        const uint32_t middle = low + (high - low) / 2;
        struct str first;
        const enum err_code code = first_of_block(p, list, middle, &first, err);
        if (code != ERR_OK) {
            return code;
        }
        if (str_cmp(first, text) <= 0) {
            low = middle;
        } else {
            high = middle;
        }
    }
    *out = low;
    return ERR_OK;
}

enum err_code partition_lower_value(struct partition *p, const struct partition_list *values,
                                    struct str text, uint32_t *out_value, bool *out_equal,
                                    struct err *err) {
    *out_value = values->count;
    *out_equal = false;
    if (values->count == 0) {
        return ERR_OK;
    }
    uint32_t block;
    struct partition_value_iter it;
    enum err_code code = block_of(p, values, text, &block, err);
    if (code != ERR_OK) {
        return code;
    }
    code = partition_value_iter_init(p, values, block * values->group, &it, err);
    bool more = true;
    while (code == ERR_OK && more) {
        struct str value;
        code = partition_next_value(p, &it, &value, &more, err);
        if (code != ERR_OK || !more) {
            break;
        }
        const int order = str_cmp(value, text);
        if (order >= 0) {
            *out_value = it.next - 1;
            *out_equal = order == 0;
            break;
        }
    }
    partition_value_iter_release(&it);
    return code;
}

enum err_code partition_value_iter_init(struct partition *p, const struct partition_list *values,
                                        uint32_t first, struct partition_value_iter *it,
                                        struct err *err) {
    *it = (struct partition_value_iter){.values = values, .next = first - first % values->group};
    buf_init(&it->text, PARTITION_STRING_MAX);
    while (it->next < first) {
        struct str value;
        bool more;
        const enum err_code code = partition_next_value(p, it, &value, &more, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

void partition_value_iter_release(struct partition_value_iter *it) {
    buf_release(&it->text);
}

enum err_code partition_next_value(struct partition *p, struct partition_value_iter *it,
                                   struct str *out, bool *out_more, struct err *err) {
    const struct partition_list *list = it->values;
    *out_more = it->next < list->count;
    if (!*out_more) {
        return ERR_OK;
    }
    if (it->next % list->group == 0) {
        const enum err_code code =
            partition_list_block(p, list, it->next / list->group, &it->block, err);
        if (code != ERR_OK) {
            return code;
        }
        buf_clear(&it->text);
    }
    if (!partition_take_string(&it->block, &it->text)) {
        return bad_list(p, list, err);
    }
    it->next++;
    *out = buf_str(&it->text);
    return ERR_OK;
}

/* ---- series ---- */

static bool put_below(const int64_t *from, size_t n, uint32_t limit, uint32_t *out) {
    uint64_t above = 0;
    for (size_t i = 0; i < n; i++) {
        above |= (uint64_t)from[i] >= limit ? 1 : 0;
        out[i] = (uint32_t)from[i];
    }
    return above == 0;
}

enum err_code partition_series_block_load(struct partition *p, uint32_t series,
                                          struct partition_series_block *block, struct err *err) {
    const uint32_t number = series / PARTITION_SERIES_GROUP;
    if (LIKELY(block->number == number)) {
        return ERR_OK;
    }
    const struct partition_info *info = &p->info;
    ASSERT(series < info->series_count);
    const uint32_t blocks = (info->series_count - 1) / PARTITION_SERIES_GROUP + 1;
    const struct partition_list list = partition_section_list(p, SECTION_SERIES, blocks, 1);
    struct cursor c;
    block->number = UINT32_MAX;
    const enum err_code code = partition_list_block(p, &list, number, &c, err);
    if (code != ERR_OK) {
        return code;
    }
    block->first = number * PARTITION_SERIES_GROUP;
    const uint32_t left = info->series_count - block->first;
    block->count = left < PARTITION_SERIES_GROUP ? left : PARTITION_SERIES_GROUP;
    int64_t v[PARTITION_SERIES_GROUP];
    const size_t n = block->count;
    bool ok =
        partition_numbers_take(&c, n, v) && put_below(v, n, info->target_count, block->targets);
    ok = ok && partition_numbers_take(&c, n, v) &&
         put_below(v, n, info->metric_count, block->metrics);
    ok = ok && partition_numbers_take(&c, n, v);
    for (size_t i = 0; i < n && ok; i++) {
        v[i] = (int64_t)((uint64_t)v[i] + block->targets[i]);
    }
    if (!ok || !put_below(v, n, info->timeline_count, block->timelines)) {
        return bad_list(p, &list, err);
    }
    block->number = number;
    return ERR_OK;
}

enum err_code partition_name_range(struct partition *p, uint32_t value, uint32_t value_count,
                                   uint32_t *out_begin, uint32_t *out_end, struct err *err) {
    const bool last = value + 1 >= value_count;
    const uint8_t *bytes;
    const enum err_code code =
        partition_bytes(p, SECTION_METRIC_NAMES, (uint64_t)value * sizeof(uint32_t),
                        (last ? 1 : 2) * sizeof(uint32_t), &bytes, err);
    if (code != ERR_OK) {
        return code;
    }
    *out_begin = load_u32(bytes);
    *out_end = last ? p->info.series_count : load_u32(bytes + sizeof(uint32_t));
    return *out_begin <= *out_end && *out_end <= p->info.series_count
               ? ERR_OK
               : partition_bad_index(p, SECTION_METRIC_NAMES, (uint64_t)value * sizeof(uint32_t),
                                     err);
}

enum err_code partition_repeats(struct partition *p, struct cursor *out, struct err *err) {
    const uint8_t *bytes;
    const uint64_t size = p->sections[SECTION_REPEATS].size;
    const enum err_code code = partition_bytes(p, SECTION_REPEATS, 0, size, &bytes, err);
    if (code == ERR_OK) {
        *out = cursor_of(bytes, (size_t)size);
    }
    return code;
}

/* ---- timelines ---- */

enum err_code partition_bad_timeline(const struct partition *p, uint32_t timeline,
                                     struct err *err) {
    return err_set(err, ERR_CORRUPT,
                   "partition file %s: bad timeline %" PRIu32 " at offset %" PRIu64, p->index_path,
                   timeline, p->sections[SECTION_TIMELINES].offset);
}

static enum err_code timeline_bytes(struct partition *p, uint32_t timeline, struct cursor *out,
                                    uint64_t *out_blocks, struct err *err) {
    const struct partition_list list =
        partition_section_list(p, SECTION_TIMELINES, p->info.timeline_count, 1);
    const enum err_code code = partition_list_block(p, &list, timeline, out, err);
    if (code != ERR_OK) {
        return code;
    }
    *out_blocks = cursor_uvarint(out);
    return out->failed || *out_blocks == 0 || *out_blocks > cursor_left(out) / 4
               ? partition_bad_timeline(p, timeline, err)
               : ERR_OK;
}

static bool take_ts_block(struct cursor *c, bool first, int64_t before,
                          struct partition_ts_block *out) {
    const uint64_t rows = cursor_uvarint(c);
    const int64_t step = cursor_varint(c);
    const uint64_t span = cursor_uvarint(c);
    const uint64_t size = cursor_uvarint(c);
    out->rows = (uint32_t)rows;
    out->min_ts_ms = (int64_t)((uint64_t)before + (uint64_t)step);
    out->max_ts_ms = (int64_t)((uint64_t)out->min_ts_ms + span);
    out->size = (size_t)size;
    return !c->failed && rows != 0 && rows <= BLOCK_ROWS_MAX &&
           (first || out->min_ts_ms > before) &&
           span <= (uint64_t)INT64_MAX - (uint64_t)out->min_ts_ms && size <= UINT32_MAX;
}

enum err_code partition_ts_blocks(struct partition *p, uint32_t timeline, struct arena *arena,
                                  struct partition_ts_block **out, uint32_t *out_count,
                                  struct err *err) {
    struct cursor c;
    uint64_t count;
    const enum err_code code = timeline_bytes(p, timeline, &c, &count, err);
    if (code != ERR_OK) {
        return code;
    }
    struct partition_ts_block *blocks = arena_try_alloc(arena, (size_t)count, sizeof(*blocks));
    if (blocks == NULL) {
        return err_set(err, ERR_LIMIT, "query needs more memory than its budget to read times");
    }
    int64_t before = 0;
    uint64_t rows = 0;
    for (uint64_t i = 0; i < count; i++) {
        if (!take_ts_block(&c, i == 0, before, &blocks[i])) {
            return partition_bad_timeline(p, timeline, err);
        }
        before = blocks[i].max_ts_ms;
        rows += blocks[i].rows;
    }
    for (uint64_t i = 0; i < count; i++) {
        blocks[i].bytes = cursor_bytes(&c, blocks[i].size);
    }
    if (c.failed || cursor_left(&c) != 0 || rows > UINT32_MAX) {
        return partition_bad_timeline(p, timeline, err);
    }
    *out = blocks;
    *out_count = (uint32_t)count;
    return ERR_OK;
}

enum err_code partition_timeline_range(struct partition *p, uint32_t timeline, int64_t *out_min,
                                       int64_t *out_max, struct err *err) {
    struct cursor c;
    uint64_t count;
    const enum err_code code = timeline_bytes(p, timeline, &c, &count, err);
    if (code != ERR_OK) {
        return code;
    }
    int64_t before = 0;
    for (uint64_t i = 0; i < count; i++) {
        struct partition_ts_block block;
        if (!take_ts_block(&c, i == 0, before, &block)) {
            return partition_bad_timeline(p, timeline, err);
        }
        *out_min = i == 0 ? block.min_ts_ms : *out_min;
        before = block.max_ts_ms;
    }
    *out_max = before;
    return ERR_OK;
}
