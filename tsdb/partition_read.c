/* Samples of a partition, for queries.
 *
 * METHOD. Series come in ascending order, so each page is read once and neighbouring pages with one
 * read. The times of a timeline's blocks in the range are decoded once for all series that come.
 * A plain float whose blocks have all rows is decoded straight into the array that is handed out,
 * and shares the timeline's times; others share times with series that have the same rows. Whole
 * blocks are decoded, the range is a slice of the result.
 *
 * DAMAGE. A page or timeline that cannot be read leaves its series without samples. */
#include <string.h>

#include "base/check.h"
#include "tsdb/chunk/ts_column.h"
#include "tsdb/partition_condense.h"
#include "tsdb/partition_page.h"
#include "tsdb/partition_samples.h"
#include "tsdb/time_bound.h"

enum { READ_AHEAD_BYTES = 256 << 10, TABLE_MIN = 16, SCRATCH_KEEP_BYTES = 64 << 10 };

struct partition_reader {
    struct partition *p;
    int64_t min_ts_ms;
    int64_t max_ts_ms;
    struct arena *arena;
    const uint32_t *series; /* ascending */
    size_t count;
    struct err *err;
    struct partition_series_block block;
    struct sample_rows *timelines; /* open addressing by timeline */
    size_t mask;
    size_t timeline_count;
    struct sample_scratch samples;
    struct condenser condenser;

    struct arena scratch; /* of the open page, or the pages that were read together */
    bool page_open;
    bool page_bad;
    struct partition_page page;
    uint32_t ahead_first; /* pages in memory: [ahead_first, ahead_end) */
    uint32_t ahead_end;
    uint64_t ahead_offset;
    const uint8_t *ahead;
};

static enum err_code over_budget(struct partition_reader *r) {
    return err_set(r->err, ERR_LIMIT, "query needs more memory than its budget to read samples");
}

/* ---- timelines ---- */

static struct sample_rows *timeline_slot(const struct partition_reader *r, uint32_t timeline) {
    size_t at = (timeline * UINT32_C(2654435761)) & r->mask;
    while (r->timelines[at].known && r->timelines[at].timeline != timeline) {
        at = (at + 1) & r->mask;
    }
    return &r->timelines[at];
}

static enum err_code grow_table(struct partition_reader *r) {
    const size_t old_size = r->timelines == NULL ? 0 : r->mask + 1;
    const struct sample_rows *old = r->timelines;
    const size_t size = old_size == 0 ? TABLE_MIN : old_size * 2;
    r->timelines = arena_try_alloc(r->arena, size, sizeof(*r->timelines));
    if (r->timelines == NULL) {
        return over_budget(r);
    }
    memset(r->timelines, 0, size * sizeof(*r->timelines));
    r->mask = size - 1;
    for (size_t i = 0; i < old_size; i++) {
        if (old[i].known) {
            *timeline_slot(r, old[i].timeline) = old[i];
        }
    }
    return ERR_OK;
}

/* Times of the blocks [first, end). */
static enum err_code decode_times(struct partition_reader *r, struct sample_rows *t,
                                  const struct partition_ts_block *blocks) {
    int64_t *ts = arena_try_alloc(r->arena, t->rows + (size_t)8, sizeof(*ts));
    if (ts == NULL) {
        return over_budget(r);
    }
    uint32_t at = 0;
    for (uint32_t i = 0; i < t->part_count; i++) {
        const struct partition_ts_block *b = &blocks[t->first_block + i];
        if (ts_column_decode(b->bytes, b->size, b->rows, ts + at) != ERR_OK ||
            ts[at] != b->min_ts_ms || ts[at + b->rows - 1] != b->max_ts_ms) {
            return partition_bad_timeline(r->p, t->timeline, r->err);
        }
        at += b->rows;
    }
    t->ts = ts;
    t->from = time_lower_bound(ts, t->rows, r->min_ts_ms);
    t->to = r->max_ts_ms == INT64_MAX ? t->rows : time_lower_bound(ts, t->rows, r->max_ts_ms + 1);
    return ERR_OK;
}

static enum err_code open_rows(struct partition_reader *r, struct sample_rows *t) {
    struct partition_ts_block *blocks;
    uint32_t count;
    struct arena scratch;
    arena_init(&scratch, 0);
    const bool windows = r->condenser.windows != NULL;
    enum err_code code = partition_ts_blocks(r->p, t->timeline, windows ? r->arena : &scratch,
                                             &blocks, &count, r->err);
    if (code != ERR_OK) {
        goto out;
    }
    t->block_count = count;
    while (t->first_block < count && blocks[t->first_block].max_ts_ms < r->min_ts_ms) {
        t->first_block++;
    }
    uint32_t end = t->first_block;
    while (end < count && blocks[end].min_ts_ms <= r->max_ts_ms) {
        t->rows += blocks[end++].rows;
    }
    t->part_count = end - t->first_block;
    t->part_rows = arena_try_alloc(r->arena, t->part_count + (size_t)1, sizeof(*t->part_rows));
    if (t->part_rows == NULL) {
        code = over_budget(r);
        goto out;
    }
    for (uint32_t i = 0; i < t->part_count; i++) {
        t->part_rows[i] = blocks[t->first_block + i].rows;
    }
    t->blocks = windows ? blocks + t->first_block : NULL;
    t->to = t->rows;
    code = windows ? ERR_OK : decode_times(r, t, blocks);
out:
    arena_release(&scratch);
    return code;
}

/* Damage costs the series of the timeline. */
static enum err_code lost_timeline(struct partition_reader *r, struct sample_rows *t,
                                   enum err_code code) {
    if (code != ERR_CORRUPT) {
        return code;
    }
    partition_report(r->p, r->err);
    t->from = t->to = 0;
    t->rows = t->part_count = 0;
    return ERR_OK;
}

static enum err_code timeline_of(struct partition_reader *r, uint32_t timeline,
                                 struct sample_rows **out) {
    if (r->timelines == NULL || r->timeline_count * 2 > r->mask) {
        const enum err_code code = grow_table(r);
        if (code != ERR_OK) {
            return code;
        }
    }
    struct sample_rows *t = timeline_slot(r, timeline);
    *out = t;
    if (t->known) {
        return ERR_OK;
    }
    *t = (struct sample_rows){.known = true, .timeline = timeline};
    r->timeline_count++;
    return lost_timeline(r, t, open_rows(r, t));
}

/* Decodes the times that a read of windows left out so far. */
static enum err_code all_times(struct partition_reader *r, struct sample_rows *t) {
    return t->ts != NULL || t->part_count == 0
               ? ERR_OK
               : lost_timeline(r, t, decode_times(r, t, t->blocks - t->first_block));
}

/* ---- pages ---- */

static void drop_pages(struct partition_reader *r) {
    partition_page_close(&r->page);
    arena_rewind(&r->scratch, SCRATCH_KEEP_BYTES);
    r->page_open = false;
    r->ahead_first = r->ahead_end = 0;
}

/* Pages from number on without gaps of wanted series; only pages without pieces. */
static enum err_code last_wanted_page(struct partition_reader *r, uint32_t number,
                                      const uint32_t *series, size_t n, uint32_t *out_last,
                                      uint64_t *out_end) {
    struct page_place place;
    enum err_code code = partition_page_place(r->p, number, &place, r->err);
    *out_last = number;
    *out_end = place.offset + place.size;
    size_t i = 0;
    while (code == ERR_OK && place.head_bytes == place.size) {
        *out_last = place.number;
        *out_end = place.offset + place.size;
        while (i < n && series[i] < place.first_series + place.series_count) {
            i++;
        }
        if (i == n || place.number + 1 == r->p->page_count ||
            place.number - number >= READ_AHEAD_BYTES / PARTITION_PAGE_BYTES) {
            break;
        }
        const uint32_t end_series = place.first_series + place.series_count;
        code = partition_page_place(r->p, place.number + 1, &place, r->err);
        if (code != ERR_OK || place.first_series != end_series || place.offset != *out_end ||
            series[i] >= place.first_series + place.series_count) {
            break;
        }
    }
    return code;
}

static enum err_code read_ahead(struct partition_reader *r, uint32_t number, const uint32_t *series,
                                size_t n) {
    struct page_place place;
    uint32_t last;
    uint64_t end;
    enum err_code code = last_wanted_page(r, number, series, n, &last, &end);
    if (code != ERR_OK || last == number) {
        return ERR_OK; /* loading the page tells */
    }
    code = partition_page_place(r->p, number, &place, r->err);
    if (code != ERR_OK) {
        return code;
    }
    const size_t size = (size_t)(end - place.offset);
    size_t got = 0;
    uint8_t *bytes = arena_try_alloc(&r->scratch, size, 1);
    if (bytes == NULL) {
        return over_budget(r);
    }
    code = vfs_file_pread(r->p->data, bytes, size, place.offset, &got, r->err);
    if (code == ERR_OK && got == size) {
        r->ahead = bytes;
        r->ahead_offset = place.offset;
        r->ahead_first = number;
        r->ahead_end = last + 1;
    }
    return code;
}

/* The page that has series[0]; the others are what comes next. */
static enum err_code open_page(struct partition_reader *r, const uint32_t *series, size_t n) {
    const struct page_place *place = &r->page.place;
    if (r->page_open && series[0] - place->first_series < place->series_count) {
        return ERR_OK;
    }
    uint32_t number;
    const bool next = r->page_open && r->page.number + 1 < r->ahead_end &&
                      series[0] == place->first_series + place->series_count;
    enum err_code code = ERR_OK;
    if (next) {
        number = r->page.number + 1;
    } else {
        code = partition_page_of(r->p, series[0], &number, r->err);
    }
    partition_page_close(&r->page);
    if (code == ERR_OK && (number < r->ahead_first || number >= r->ahead_end)) {
        bool found = false;
        drop_pages(r);
        code = partition_page_find(r->p, number, r->p->options.cache, &r->scratch, &r->page, &found,
                                   r->err);
        if (code == ERR_OK && found) {
            r->page_bad = false;
            r->page_open = true;
            return ERR_OK;
        }
        code = code == ERR_OK ? read_ahead(r, number, series, n) : code;
    }
    if (code != ERR_OK) {
        return code;
    }
    const uint8_t *bytes = NULL;
    if (number >= r->ahead_first && number < r->ahead_end) {
        struct page_place at;
        code = partition_page_place(r->p, number, &at, r->err);
        if (code != ERR_OK) {
            return code;
        }
        bytes = r->ahead + (at.offset - r->ahead_offset);
    }
    memset(&r->page.place, 0, sizeof(r->page.place));
    code = partition_page_load(r->p, number, bytes, r->p->options.cache, &r->scratch, &r->page,
                               r->err);
    r->page_bad = code == ERR_CORRUPT;
    r->page_open = code == ERR_OK || (r->page_bad && r->page.place.series_count != 0);
    return code;
}

/* ---- series ---- */

static enum err_code rows_of(struct partition_reader *r, uint32_t series,
                             struct sample_rows **out) {
    const enum err_code code = partition_series_block_load(r->p, series, &r->block, r->err);
    return code != ERR_OK ? code : timeline_of(r, r->block.timelines[series - r->block.first], out);
}

static enum err_code read_series(struct partition_reader *r, const uint32_t *series, size_t left,
                                 struct sample_room *room, struct storage_samples *out) {
    struct sample_rows *rows = NULL;
    enum err_code code = rows_of(r, series[0], &rows);
    if (code != ERR_OK || rows->from >= rows->to) {
        return code;
    }
    code = open_page(r, series, left);
    if (code != ERR_OK || r->page_bad) {
        return code;
    }
    const struct page_series *s;
    code = partition_page_series(&r->page, series[0] - r->page.place.first_series, &s, r->err);
    if (code != ERR_OK) {
        return code;
    }
    bool done = false;
    if (r->condenser.windows != NULL) {
        code = condenser_read(&r->condenser, rows, &r->page, s, series[0], out, &done, r->err);
        code = code == ERR_OK && !done ? all_times(r, rows) : code;
    }
    return code != ERR_OK || done || rows->from >= rows->to
               ? code
               : sample_rows_read(rows, &r->page, s, &r->samples, r->arena, room, out, r->err);
}

/* ---- all of them ---- */

static void begin(struct partition_reader *r, const struct storage_windows *windows) {
    const bool has_summaries = r->p->version >= PARTITION_VERSION_SUMMARIES;
    condenser_init(&r->condenser, has_summaries ? windows : NULL, r->min_ts_ms, r->max_ts_ms,
                   r->arena);
    partition_series_block_init(&r->block);
    arena_init(&r->scratch, 0);
}

void partition_reader_close(struct partition_reader *r) {
    condenser_release(&r->condenser);
    partition_page_close(&r->page);
    arena_release(&r->scratch);
}

enum err_code partition_reader_open(const struct partition_read *read,
                                    struct partition_reader **out, struct err *err) {
    struct partition_reader *r = arena_try_alloc(read->arena, 1, sizeof(*r));
    if (r == NULL) {
        return err_set(err, ERR_LIMIT, "query needs more memory than its budget to read samples");
    }
    memset(r, 0, sizeof(*r));
    r->p = read->partition;
    r->min_ts_ms = read->min_ts_ms;
    r->max_ts_ms = read->max_ts_ms;
    r->arena = read->arena;
    r->series = read->series;
    r->count = read->count;
    r->err = err;
    begin(r, read->windows);
    *out = r;
    return ERR_OK;
}

size_t partition_reader_room(struct partition_reader *r, size_t i) {
    struct sample_rows *rows = NULL;
    return r->condenser.windows == NULL && rows_of(r, r->series[i], &rows) == ERR_OK
               ? sample_rows_room(rows)
               : 0;
}

enum err_code partition_reader_read(struct partition_reader *r, size_t i, struct sample_room *room,
                                    struct storage_samples *out) {
    *out = (struct storage_samples){0};
    const enum err_code code = read_series(r, r->series + i, r->count - i,
                                           r->condenser.windows == NULL ? room : NULL, out);
    if (code == ERR_CORRUPT) {
        *out = (struct storage_samples){0};
        return ERR_OK;
    }
    return code;
}

enum err_code partition_read_windows(struct partition *p, const uint32_t *series, size_t n,
                                     int64_t mint, int64_t maxt,
                                     const struct storage_windows *windows, struct arena *arena,
                                     const struct cancel *cancel, struct storage_samples *out,
                                     struct err *err) {
    struct err own;
    struct partition_reader r = {.p = p,
                                 .min_ts_ms = mint,
                                 .max_ts_ms = maxt,
                                 .arena = arena,
                                 .series = series,
                                 .count = n,
                                 .err = err != NULL ? err : &own};
    enum err_code code = ERR_OK;
    memset(out, 0, n * sizeof(*out));
    begin(&r, windows);
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        code = i % 256 == 0 ? cancel_check(cancel) : ERR_OK;
        if (code != ERR_OK) {
            code = err_set(r.err, code, "query stopped while it read samples");
            break;
        }
        code = partition_reader_read(&r, i, NULL, &out[i]);
    }
    partition_reader_close(&r);
    return code;
}

enum err_code partition_read(struct partition *p, const uint32_t *series, size_t n, int64_t mint,
                             int64_t maxt, struct arena *arena, const struct cancel *cancel,
                             struct storage_samples *out, struct err *err) {
    return partition_read_windows(p, series, n, mint, maxt, NULL, arena, cancel, out, err);
}
