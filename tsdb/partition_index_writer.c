/* Writing the index of a partition. FORMAT.md sections 10.1 to 10.3.
 *
 * Sections are made one after the other in memory and go to disk in pieces, whose checksums end up
 * in the frame. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/compress.h"
#include "base/mem.h"
#include "tsdb/id_list.h"
#include "tsdb/partition_writer_impl.h"

static const size_t SECTION_MAX = UINT32_MAX;
enum { PACK_LEVEL = 9 }; /* 3 takes a twentieth more, and less than half the time */

enum { SET_IS_METRIC = 1 }; /* lowest bit of a number of a set of either space */

struct list_writer {
    struct number_array ends;
    struct buf payload;
    struct buf before; /* the string before, for front coding */
    uint32_t group;
    uint32_t in_block;
};

struct index_writer {
    struct partition_writer *w;
    char *path;
    struct vfs_file *f;
    uint64_t written;      /* to the file */
    uint64_t plain;        /* what that was before it was packed */
    struct buf out;        /* less than a piece */
    struct packer *packer; /* NULL: pieces are stored as they are */
    uint8_t *packed;
    struct number_array piece_sizes; /* as stored */
    struct number_array piece_crcs;
    uint64_t offsets[SECTION_COUNT];
    uint64_t sizes[SECTION_COUNT];
    struct err *err;
};

/* ---- bytes to disk ---- */

static enum err_code write_piece(struct index_writer *ix) {
    const void *bytes = ix->out.ptr;
    size_t n = ix->out.len;
    if (n == 0) {
        return ERR_OK;
    }
    const size_t packed =
        ix->packer != NULL ? pack_zstd(ix->packer, bytes, n, ix->packed, n - 1) : 0;
    ix->plain += n;
    if (packed != 0 && packed >= n / PARTITION_PIECE_RATIO_MAX) {
        bytes = ix->packed;
        n = packed;
    }
    const uint32_t seed = partition_crc_seed(ix->w->info.number, (uint32_t)ix->piece_crcs.count);
    number_array_add(&ix->piece_sizes, (uint32_t)n);
    number_array_add(&ix->piece_crcs, hash_crc32c(seed, bytes, n));
    const enum err_code code = vfs_file_pwrite(ix->f, bytes, n, ix->written, ix->err);
    ix->written += n;
    buf_clear(&ix->out);
    return code;
}

static enum err_code write_bytes(struct index_writer *ix, const void *bytes, size_t n) {
    const uint8_t *at = bytes;
    while (n != 0) {
        const size_t room = PARTITION_PIECE_BYTES - ix->out.len;
        const size_t now = n < room ? n : room;
        buf_append(&ix->out, at, now);
        at += now;
        n -= now;
        if (ix->out.len == PARTITION_PIECE_BYTES) {
            const enum err_code code = write_piece(ix);
            if (code != ERR_OK) {
                return code;
            }
        }
    }
    return ERR_OK;
}

static enum err_code write_section(struct index_writer *ix, enum partition_section section,
                                   const struct buf *bytes) {
    if (!buf_ok(bytes)) {
        return err_set(ix->err, ERR_LIMIT, "the index is too large");
    }
    ix->offsets[section] = ix->plain + ix->out.len;
    ix->sizes[section] = bytes->len;
    return write_bytes(ix, bytes->ptr, bytes->len);
}

/* ---- lists ---- */

static void list_init(struct list_writer *list, uint32_t group) {
    *list = (struct list_writer){.group = group};
    buf_init(&list->payload, SECTION_MAX);
    buf_init(&list->before, SECTION_MAX);
}

static void end_block(struct list_writer *list) {
    if (list->in_block != 0) {
        number_array_add(&list->ends, (uint32_t)list->payload.len);
        list->in_block = 0;
        buf_clear(&list->before);
    }
}

/* The next item begins: its bytes are to be appended to the payload. */
static struct buf *list_item(struct list_writer *list) {
    if (list->in_block == list->group) {
        end_block(list);
    }
    list->in_block++;
    return &list->payload;
}

static void list_string(struct list_writer *list, const void *bytes, size_t n) {
    struct buf *to = list_item(list);
    const uint8_t *text = bytes;
    size_t shared = 0;
    while (shared < n && shared < list->before.len &&
           (uint8_t)list->before.ptr[shared] == text[shared]) {
        shared++;
    }
    append_uvarint(to, shared);
    append_uvarint(to, n - shared);
    buf_append(to, text + shared, n - shared);
    list->before.len = shared;
    buf_append(&list->before, text + shared, n - shared);
}

/* Appends the finished list to to; returns its size. */
static size_t list_finish(struct list_writer *list, struct buf *to) {
    end_block(list);
    const size_t size = list->ends.count * sizeof(uint32_t) + list->payload.len;
    if (list->ends.count != 0) {
        buf_append(to, list->ends.items, list->ends.count * sizeof(uint32_t));
        buf_append_str(to, buf_str(&list->payload));
    }
    to->failed |= list->payload.failed;
    mem_free(list->ends.items);
    buf_release(&list->payload);
    buf_release(&list->before);
    return size;
}

static enum err_code write_list(struct index_writer *ix, enum partition_section section,
                                struct list_writer *list) {
    struct buf bytes;
    buf_init(&bytes, SECTION_MAX);
    (void)list_finish(list, &bytes);
    const enum err_code code = write_section(ix, section, &bytes);
    buf_release(&bytes);
    return code;
}

/* ---- sets and their series ---- */

static enum err_code write_sets(struct index_writer *ix, enum partition_section section,
                                const struct label_sets *sets) {
    struct list_writer list;
    list_init(&list, PARTITION_LIST_GROUP);
    for (uint32_t set = 1; set < sets->count; set++) {
        const struct labels labels = label_sets_get(sets, set);
        list_string(&list, labels.data, labels.size);
    }
    return write_list(ix, section, &list);
}

static enum err_code write_series_of_sets(struct index_writer *ix, enum partition_section section,
                                          enum series_column column, uint32_t set_count) {
    const struct series_table *table = &ix->w->series;
    uint32_t set_of[PARTITION_SERIES_GROUP];
    uint32_t *ends = mem_zalloc((size_t)set_count * sizeof(*ends));
    uint32_t *series = mem_array((size_t)ix->w->info.series_count + 1, sizeof(*series));
    for (size_t block = 0; block < table->block_count; block++) {
        const size_t n = series_table_sets(table, block, column, set_of);
        for (size_t i = 0; i < n; i++) {
            ends[set_of[i]]++;
        }
    }
    for (uint32_t set = 0, at = 0; set < set_count; set++) {
        const uint32_t count = ends[set];
        ends[set] = at;
        at += count;
    }
    for (size_t block = 0, number = 0; block < table->block_count; block++) {
        const size_t n = series_table_sets(table, block, column, set_of);
        for (size_t i = 0; i < n; i++) {
            series[ends[set_of[i]]++] = (uint32_t)number++;
        }
    }
    struct list_writer list;
    list_init(&list, PARTITION_LIST_GROUP);
    for (uint32_t set = 0, begin = 0; set < set_count; begin = ends[set++]) {
        id_list_encode(list_item(&list), series + begin, ends[set] - begin);
    }
    mem_free(ends);
    mem_free(series);
    return write_list(ix, section, &list);
}

/* ---- label names, values, postings ---- */

struct name_sets { /* the sets that have a label name */
    struct str name;
    struct number_array sets; /* set * 2 + SET_IS_METRIC */
};

struct names {
    struct name_sets *items; /* in the order of first use, later sorted */
    size_t count;
    size_t capacity;
    uint32_t *table; /* open addressing: item + 1 */
    size_t mask;
};

static void names_grow_table(struct names *names, uint64_t seed) {
    mem_free(names->table);
    names->mask = names->mask == 0 ? 63 : names->mask * 2 + 1;
    names->table = mem_zalloc((names->mask + 1) * sizeof(*names->table));
    for (size_t i = 0; i < names->count; i++) {
        const struct str name = names->items[i].name;
        size_t at = hash_keyed(name.ptr, name.len, seed) & names->mask;
        while (names->table[at] != 0) {
            at = (at + 1) & names->mask;
        }
        names->table[at] = (uint32_t)i + 1;
    }
}

static struct name_sets *names_get(struct names *names, struct str name, uint64_t seed) {
    if (names->count * 2 >= names->mask) {
        names_grow_table(names, seed);
    }
    size_t at = hash_keyed(name.ptr, name.len, seed) & names->mask;
    while (names->table[at] != 0) {
        struct name_sets *item = &names->items[names->table[at] - 1];
        if (str_eq(item->name, name)) {
            return item;
        }
        at = (at + 1) & names->mask;
    }
    if (names->count == names->capacity) {
        names->capacity = mem_grow(names->capacity, names->count + 1);
        names->items = mem_resize(names->items, names->capacity, sizeof(*names->items));
    }
    names->items[names->count] = (struct name_sets){.name = name};
    names->table[at] = (uint32_t)++names->count;
    return &names->items[names->count - 1];
}

static int by_name(const void *a, const void *b) {
    return str_cmp(((const struct name_sets *)a)->name, ((const struct name_sets *)b)->name);
}

static void collect_names(struct names *names, const struct label_sets *sets, uint32_t metric_bit) {
    for (uint32_t set = 1; set < sets->count; set++) {
        struct labels_iter it = labels_begin(label_sets_get(sets, set));
        struct label pair;
        while (labels_next(&it, &pair)) {
            number_array_add(&names_get(names, pair.name, sets->seed)->sets, set << 1 | metric_bit);
        }
    }
}

static void names_release(struct names *names) {
    for (size_t i = 0; i < names->count; i++) {
        mem_free(names->items[i].sets.items);
    }
    mem_free(names->items);
    mem_free(names->table);
}

struct value_set {
    struct str value;
    uint32_t set; /* as in name_sets */
};

/* By value, then target sets, then metric sets. */
static int by_value(const void *a, const void *b) {
    const struct value_set *x = a;
    const struct value_set *y = b;
    const int order = str_cmp(x->value, y->value);
    if (order != 0) {
        return order;
    }
    const uint32_t p = (x->set & 1) << 31 | x->set >> 1;
    const uint32_t q = (y->set & 1) << 31 | y->set >> 1;
    return (p > q) - (p < q);
}

/* Two id lists: the target sets, then the metric sets of items, which are sorted so. */
static void write_posting(struct buf *to, const struct value_set *items, size_t n,
                          uint32_t *scratch) {
    size_t split = 0;
    while (split < n && (items[split].set & SET_IS_METRIC) == 0) {
        split++;
    }
    for (size_t i = 0; i < n; i++) {
        scratch[i] = items[i].set >> 1;
    }
    id_list_encode(to, scratch, split);
    id_list_encode(to, scratch + split, n - split);
}

/* Values and postings of one label name; appended to the sections, described in the list. */
static void write_name(struct index_writer *ix, const struct name_sets *name,
                       struct list_writer *list, struct buf *values, struct buf *postings) {
    const size_t n = name->sets.count;
    struct value_set *items = mem_array(n, sizeof(*items));
    uint32_t *scratch = mem_array(n, sizeof(*scratch));
    for (size_t i = 0; i < n; i++) {
        const uint32_t set = name->sets.items[i];
        const struct label_sets *sets =
            (set & SET_IS_METRIC) != 0 ? &ix->w->metrics : &ix->w->targets;
        items[i] = (struct value_set){labels_get(label_sets_get(sets, set >> 1), name->name), set};
    }
    qsort(items, n, sizeof(*items), by_value);
    struct list_writer texts;
    struct list_writer sets;
    list_init(&texts, PARTITION_LIST_GROUP);
    list_init(&sets, PARTITION_LIST_GROUP);
    uint32_t count = 0;
    for (size_t at = 0; at < n; count++) {
        size_t end = at + 1;
        while (end < n && str_eq(items[end].value, items[at].value)) {
            end++;
        }
        list_string(&texts, items[at].value.ptr, items[at].value.len);
        write_posting(list_item(&sets), items + at, end - at, scratch);
        at = end;
    }
    for (size_t i = 0; i < n; i++) { /* by number, targets first */
        items[i] = (struct value_set){{"", 0}, name->sets.items[i]};
    }
    write_posting(list_item(&sets), items, n, scratch);
    ix->w->info.pair_count += count;
    list_string(list, name->name.ptr, name->name.len);
    struct buf *to = &list->payload;
    append_uvarint(to, count);
    append_uvarint(to, values->len);
    append_uvarint(to, postings->len);
    append_uvarint(to, list_finish(&texts, values));
    append_uvarint(to, list_finish(&sets, postings));
    mem_free(items);
    mem_free(scratch);
}

static enum err_code write_names(struct index_writer *ix) {
    struct names names = {0};
    struct buf values;
    struct buf postings;
    struct list_writer list;
    buf_init(&values, SECTION_MAX);
    buf_init(&postings, SECTION_MAX);
    list_init(&list, PARTITION_LIST_GROUP);
    collect_names(&names, &ix->w->targets, 0);
    collect_names(&names, &ix->w->metrics, SET_IS_METRIC);
    if (names.count > 1) {
        qsort(names.items, names.count, sizeof(*names.items), by_name);
    }
    for (size_t i = 0; i < names.count; i++) {
        write_name(ix, &names.items[i], &list, &values, &postings);
    }
    ix->w->info.name_count = (uint32_t)names.count;
    names_release(&names);
    enum err_code code = write_list(ix, SECTION_NAMES, &list);
    code = code == ERR_OK ? write_section(ix, SECTION_VALUES, &values) : code;
    code = code == ERR_OK ? write_section(ix, SECTION_POSTINGS, &postings) : code;
    buf_release(&values);
    buf_release(&postings);
    return code;
}

/* ---- tables ---- */

static enum err_code write_series_table(struct index_writer *ix) {
    const struct series_table *table = &ix->w->series;
    struct buf bytes;
    buf_init(&bytes, SECTION_MAX);
    if (table->block_count != 0) {
        buf_append(&bytes, table->ends, table->block_count * sizeof(*table->ends));
        buf_append_str(&bytes, buf_str(&table->bytes));
    }
    bytes.failed |= table->bytes.failed;
    const enum err_code code = write_section(ix, SECTION_SERIES, &bytes);
    buf_release(&bytes);
    return code;
}

static enum err_code write_timelines(struct index_writer *ix) {
    const struct partition_writer *w = ix->w;
    struct buf bytes;
    buf_init(&bytes, SECTION_MAX);
    if (w->timeline_ends.count != 0) {
        buf_append(&bytes, w->timeline_ends.items, w->timeline_ends.count * sizeof(uint32_t));
        buf_append_str(&bytes, buf_str(&w->timeline_bytes));
    }
    const enum err_code code = write_section(ix, SECTION_TIMELINES, &bytes);
    buf_release(&bytes);
    return code;
}

static enum err_code write_pages(struct index_writer *ix) {
    const struct partition_writer *w = ix->w;
    struct buf bytes;
    buf_init(&bytes, SECTION_MAX);
    for (size_t i = 0; i < w->page_count; i++) {
        uint8_t entry[PARTITION_PAGE_ENTRY_BYTES];
        uint8_t *at = put_u64(entry, w->pages[i].offset);
        at = put_u32(at, w->pages[i].first_series);
        at = put_u32(at, w->pages[i].head_bytes);
        put_u32(at, w->pages[i].crc);
        buf_append(&bytes, entry, sizeof(entry));
    }
    const enum err_code code = write_section(ix, SECTION_PAGES, &bytes);
    buf_release(&bytes);
    return code;
}

static enum err_code write_layouts(struct index_writer *ix) {
    struct buf bytes;
    buf_init(&bytes, SECTION_MAX);
    ix->w->info.layout_count = hist_layouts_count(ix->w->layouts);
    for (uint32_t i = 1; i <= ix->w->info.layout_count; i++) {
        hist_layout_encode(&bytes, hist_layouts_get(ix->w->layouts, i));
    }
    const enum err_code code = write_section(ix, SECTION_LAYOUTS, &bytes);
    buf_release(&bytes);
    return code;
}

static enum err_code write_array(struct index_writer *ix, enum partition_section section,
                                 const struct number_array *numbers, bool as_ids) {
    struct buf bytes;
    buf_init(&bytes, SECTION_MAX);
    if (as_ids) {
        id_list_encode(&bytes, numbers->items, numbers->count);
    } else if (numbers->count != 0) {
        buf_append(&bytes, numbers->items, numbers->count * sizeof(uint32_t));
    }
    const enum err_code code = write_section(ix, section, &bytes);
    buf_release(&bytes);
    return code;
}

/* ---- the frame ---- */

static void append_u32(struct buf *to, uint32_t v) {
    uint8_t bytes[4];
    put_u32(bytes, v);
    buf_append(to, bytes, sizeof(bytes));
}

static void append_u64(struct buf *to, uint64_t v) {
    uint8_t bytes[8];
    put_u64(bytes, v);
    buf_append(to, bytes, sizeof(bytes));
}

static enum err_code write_summaries(struct index_writer *ix) {
    struct partition_writer *w = ix->w;
    struct buf bytes;
    if (w->summaries == NULL) {
        return ERR_OK;
    }
    buf_init(&bytes, SECTION_MAX);
    if (w->info.series_count % PARTITION_LIST_GROUP != 0) {
        number_array_add(&w->summary_ends, (uint32_t)w->summary_bytes.len);
    }
    for (size_t i = 0; i < w->summary_ends.count; i++) {
        append_u32(&bytes, w->summary_ends.items[i]);
    }
    buf_append_str(&bytes, buf_str(&w->summary_bytes));
    bytes.failed |= w->summary_bytes.failed;
    const enum err_code code = write_section(ix, SECTION_SUMMARIES, &bytes);
    buf_release(&bytes);
    return code;
}

static void make_frame(const struct index_writer *ix, struct buf *to) {
    const struct partition_writer *w = ix->w;
    const struct partition_info *info = &w->info;
    buf_append_char(to, (char)w->version);
    buf_append_char(to, (char)info->level);
    buf_append_char(to, (char)((info->out_of_order ? PARTITION_OUT_OF_ORDER : 0) |
                               (ix->packer != NULL ? PARTITION_INDEX_PACKED : 0)));
    buf_append_char(to, (char)partition_section_count(w->version));
    append_u32(to, info->number);
    append_u64(to, (uint64_t)info->start_ms);
    append_u64(to, (uint64_t)info->end_ms);
    append_u64(to, (uint64_t)info->min_ts_ms);
    append_u64(to, (uint64_t)info->max_ts_ms);
    append_u64(to, info->sample_count);
    append_u64(to, info->pair_count);
    append_u64(to, w->data_bytes);
    append_u32(to, info->series_count);
    append_u32(to, info->timeline_count);
    append_u32(to, w->targets.count);
    append_u32(to, w->metrics.count);
    append_u32(to, info->name_count);
    append_u32(to, info->layout_count);
    append_u32(to, (uint32_t)w->page_count);
    append_u32(to, info->parent_count);
    for (uint32_t i = 0; i < info->parent_count; i++) {
        append_u32(to, w->parents[i]);
    }
    if (ix->packer != NULL) {
        append_u64(to, ix->plain);
    }
    for (size_t i = 0; i < partition_section_count(w->version); i++) {
        append_u64(to, ix->offsets[i]);
        append_u64(to, ix->sizes[i]);
    }
    for (size_t i = 0; i < ix->piece_crcs.count; i++) {
        if (ix->packer != NULL) {
            append_u32(to, ix->piece_sizes.items[i]);
        }
        append_u32(to, ix->piece_crcs.items[i]);
    }
}

static enum err_code write_frame(struct index_writer *ix) {
    enum err_code code = write_piece(ix);
    if (code != ERR_OK) {
        return code;
    }
    struct buf frame;
    buf_init(&frame, PARTITION_FRAME_BYTES_MAX);
    make_frame(ix, &frame);
    const size_t size = frame.len;
    const uint32_t crc = hash_crc32c(0, buf_str(&frame).ptr, size);
    append_u64(&frame, ix->written);
    append_u32(&frame, (uint32_t)size);
    append_u32(&frame, crc);
    buf_append_cstr(&frame, PARTITION_INDEX_MAGIC);
    if (buf_ok(&frame)) {
        code = vfs_file_pwrite(ix->f, frame.ptr, frame.len, ix->written, ix->err);
        ix->w->info.index_bytes = ix->written + frame.len;
        ix->w->info.data_bytes = ix->w->data_bytes;
    } else {
        code = err_set(ix->err, ERR_LIMIT, "the index is too large");
    }
    buf_release(&frame);
    return code;
}

static enum err_code write_sections(struct index_writer *ix) {
    struct partition_writer *w = ix->w;
    if (!buf_ok(&w->series.bytes)) {
        return err_set(ix->err, ERR_LIMIT, "the index is too large");
    }
    w->info.target_count = w->targets.count;
    w->info.metric_count = w->metrics.count;
    w->info.pair_count = 0;
    enum err_code code = write_bytes(ix, PARTITION_INDEX_MAGIC, PARTITION_MAGIC_BYTES);
    code = code == ERR_OK ? write_sets(ix, SECTION_TARGETS, &w->targets) : code;
    code = code == ERR_OK ? write_sets(ix, SECTION_METRICS, &w->metrics) : code;
    code = code == ERR_OK ? write_names(ix) : code;
    code = code == ERR_OK
               ? write_series_of_sets(ix, SECTION_TARGET_SERIES, SERIES_TARGET, w->targets.count)
               : code;
    code = code == ERR_OK
               ? write_series_of_sets(ix, SECTION_METRIC_SERIES, SERIES_METRIC, w->metrics.count)
               : code;
    code = code == ERR_OK ? write_array(ix, SECTION_METRIC_NAMES, &w->first_of_name, false) : code;
    code = code == ERR_OK ? write_timelines(ix) : code;
    code = code == ERR_OK ? write_series_table(ix) : code;
    code = code == ERR_OK ? write_array(ix, SECTION_REPEATS, &w->repeats, true) : code;
    code = code == ERR_OK ? write_pages(ix) : code;
    code = code == ERR_OK ? write_layouts(ix) : code;
    code = code == ERR_OK ? write_summaries(ix) : code;
    return code == ERR_OK ? write_frame(ix) : code;
}

enum err_code partition_write_index(struct partition_writer *w, struct err *err) {
    struct index_writer ix = {.w = w, .err = err};
    const size_t n = strlen(w->dir) + sizeof("/index");
    ix.path = mem_alloc(n);
    (void)snprintf(ix.path, n, "%s/index", w->dir);
    buf_init(&ix.out, PARTITION_PIECE_BYTES);
    if (w->data_bytes / w->pack_index_below < w->info.series_count) {
        ix.packer = packer_new(PACK_LEVEL);
        ix.packed = mem_alloc(PARTITION_PIECE_BYTES);
    }
    enum err_code code =
        vfs_open(w->vfs, ix.path, VFS_WRITE | VFS_CREATE | VFS_TRUNCATE, &ix.f, err);
    if (code == ERR_OK) {
        code = write_sections(&ix);
        code = code == ERR_OK ? vfs_file_sync(ix.f, err) : code;
        vfs_file_close(ix.f);
    }
    buf_release(&ix.out);
    packer_free(ix.packer);
    mem_free(ix.packed);
    mem_free(ix.piece_sizes.items);
    mem_free(ix.piece_crcs.items);
    mem_free(ix.path);
    return code;
}
