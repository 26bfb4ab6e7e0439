/* A series for windows of time: blocks that no window's edge touches come as one element each.
 *
 * METHOD. Which blocks of a timeline edges touch is found once for its series, by arithmetic. A
 * block is left out when, beside that, its summary has what is wanted, and it and both neighbours
 * have a value in each row: so the samples before and behind it are known to stand where the times
 * of the blocks say, and the first and last block of a series are always read. Neither values nor times of
 * what is left out are decoded, pieces that hold nothing else are not read. Series that leave out
 * the same blocks share their times.
 *
 * A block that is there in some rows only, or anything else that does not fit, and the series is
 * read as a whole; so is all of a timeline that edges touch most blocks of. */
#include "tsdb/partition_condense.h"

#include <math.h>
#include <string.h>

#include "base/check.h"
#include "tsdb/chunk/ts_column.h"
#include "tsdb/partition_summary.h"
#include "tsdb/time_bound.h"

enum { SCRATCH_KEEP_BYTES = 64 << 10, PATTERNS_LOOKED_AT = 64 };
/* Times beyond are left to the plain way: no sum here overflows. */
static const int64_t TIME_MOST = INT64_MAX / 8;

enum edges { EDGES_NONE = 0, EDGES_BESIDE = 1, EDGES_WITHIN = 2 };
enum part_state { PART_ABSENT = 0, PART_READ = 1, PART_CONDENSED = 2 };

struct condensed_pattern { /* series of which the same blocks are left out */
    const uint8_t *states;
    const int64_t *ts;
    const uint32_t *rank;
    uint32_t from; /* elements in the range: [from, to) */
    uint32_t to;
    struct condensed_pattern *next;
};

struct condensed_rows {
    uint8_t *edges;           /* enum edges, by part */
    const int64_t **block_ts; /* by part; NULL: not decoded */
    struct condensed_pattern *patterns;
    bool worth_it; /* edges leave most blocks whole */
};

struct work_of { /* one series */
    struct condenser *c;
    struct sample_rows *rows;
    struct partition_page *page;
    const struct page_series *series;
    struct series_summary summary;
    uint8_t *states; /* enum part_state, by part */
    uint32_t elements_max;
    double *values;
    uint32_t count;
    double last; /* that was decoded */
    bool has_stale;
    bool given_up;
    struct err *err;
};

static enum err_code over_budget(struct err *err) {
    return err_set(err, ERR_LIMIT, "query needs more memory than its budget to read samples");
}

static bool time_fits(int64_t t) {
    return t > -TIME_MOST && t < TIME_MOST;
}

/* Every edge of a window can be reckoned with. */
static bool windows_fit(const struct storage_windows *w) {
    return w->want != STORAGE_WANT_ALL && w->count >= 1 && w->step_ms >= 1 && w->range_ms >= 0 &&
           time_fits(w->first_end_ms) && w->range_ms < TIME_MOST &&
           w->count - 1 <= (uint64_t)TIME_MOST / (uint64_t)w->step_ms;
}

void condenser_init(struct condenser *c, const struct storage_windows *windows, int64_t min_ts_ms,
                    int64_t max_ts_ms, struct arena *arena) {
    *c = (struct condenser){.windows = windows != NULL && windows_fit(windows) ? windows : NULL,
                            .min_ts_ms = min_ts_ms,
                            .max_ts_ms = max_ts_ms,
                            .arena = arena};
    arena_init(&c->scratch, arena->budget_bytes);
}

void condenser_release(struct condenser *c) {
    arena_release(&c->scratch);
}

/* ---- edges ---- */

/* Is any of first, first + step .. in [low, high)? */
static bool any_in(int64_t first, const struct storage_windows *w, int64_t low, int64_t high) {
    uint64_t k = 0;
    if (low > first) {
        k = ((uint64_t)(low - first) + (uint64_t)w->step_ms - 1) / (uint64_t)w->step_ms;
    }
    return k < w->count && first + (int64_t)(k * (uint64_t)w->step_ms) < high;
}

/* An edge at t parts samples up to t from those behind. */
static bool edge_in(const struct storage_windows *w, int64_t low, int64_t high) {
    return any_in(w->first_end_ms, w, low, high) ||
           any_in(w->first_end_ms - w->range_ms, w, low, high);
}

static enum edges edges_of(const struct condenser *c, const struct sample_rows *r, uint32_t i) {
    const struct partition_ts_block *b = &r->blocks[i];
    if (i == 0 || i + 1 == r->part_count || b->min_ts_ms < c->min_ts_ms ||
        b->max_ts_ms > c->max_ts_ms || !time_fits(b[-1].max_ts_ms) || !time_fits(b[1].min_ts_ms) ||
        edge_in(c->windows, b->min_ts_ms, b->max_ts_ms)) {
        return EDGES_WITHIN;
    }
    return edge_in(c->windows, b[-1].max_ts_ms, b[1].min_ts_ms) ? EDGES_BESIDE : EDGES_NONE;
}

/* Can a block be left out? */
static bool leaves_whole(const struct condenser *c, uint8_t edges) {
    const enum storage_want want = c->windows->want;
    const bool to_both_sides = want == STORAGE_WANT_ENDS || want == STORAGE_WANT_RISES;
    return edges == EDGES_NONE || (edges == EDGES_BESIDE && !to_both_sides);
}

static enum err_code prepare_rows(struct condenser *c, struct sample_rows *r, struct err *err) {
    struct condensed_rows *out = arena_try_alloc(c->arena, 1, sizeof(*out));
    uint8_t *edges = arena_try_alloc(c->arena, r->part_count, sizeof(*edges));
    const int64_t **block_ts = arena_try_alloc(c->arena, r->part_count, sizeof(int64_t *));
    if (out == NULL || edges == NULL || block_ts == NULL) {
        return over_budget(err);
    }
    uint32_t whole = 0;
    for (uint32_t i = 0; i < r->part_count; i++) {
        edges[i] = (uint8_t)edges_of(c, r, i);
        block_ts[i] = NULL;
        whole += leaves_whole(c, edges[i]) ? 1 : 0;
    }
    /* decoding a block takes about as long as reading around one */
    *out = (struct condensed_rows){
        .edges = edges, .block_ts = block_ts, .worth_it = whole >= (r->part_count + 1) / 2};
    r->condensed = out;
    return ERR_OK;
}

/* ---- which blocks ---- */

static bool summary_gives(const struct work_of *w, const struct block_summary *b, uint8_t edges) {
    switch (w->c->windows->want) {
    case STORAGE_WANT_ENDS:
        return edges == EDGES_NONE;
    case STORAGE_WANT_RISES:
        return edges == EDGES_NONE && b->rises && b[1].rises;
    case STORAGE_WANT_MIN:
    case STORAGE_WANT_MAX:
        return b->has_range || w->summary.steady;
    case STORAGE_WANT_SUM: /* of one sign: then the sum is that of the magnitudes, too */
        return w->summary.steady || (b->has_sum && (b->min >= 0 || b->max <= 0));
    case STORAGE_WANT_ALL:
        break;
    }
    return false;
}

/* Fills states as if all others were there; false: none can be left out. */
static bool choose_blocks(struct work_of *w) {
    const struct sample_rows *r = w->rows;
    bool any = false;
    w->elements_max = 0;
    for (uint32_t i = 0; i < r->part_count; i++) {
        const uint8_t edges = r->condensed->edges[i];
        bool out = false;
        if (edges != EDGES_WITHIN) { /* so it has neighbours */
            const struct block_summary *b = &w->summary.blocks[r->first_block + i];
            out = b[-1].plain && b->plain && b[1].plain && summary_gives(w, b, edges);
        }
        w->states[i] = out ? PART_CONDENSED : PART_READ;
        w->elements_max += out ? 1 : r->part_rows[i];
        any |= out;
    }
    return any;
}

/* ---- values ---- */

static enum err_code read_part(struct work_of *w, uint32_t i) {
    const uint32_t rows = w->rows->part_rows[i];
    uint16_t row_numbers[BLOCK_ROWS_MAX + 8];
    struct block_column c = {.values = w->values + w->count, .rows = row_numbers};
    const enum err_code code =
        partition_page_column(w->page, w->series, 0, w->rows->first_block + i, rows, &c, w->err);
    if (code != ERR_OK) {
        return code;
    }
    w->states[i] = c.count == 0 ? PART_ABSENT : PART_READ;
    w->given_up = c.count != 0 && (c.count != rows || !c.dense);
    w->has_stale |= c.has_stale;
    w->count += c.count;
    w->last = c.count != 0 ? w->values[w->count - 1] : w->last;
    return ERR_OK;
}

static double decimal_of(const struct block_summary *b, int64_t m) {
    return num_double((struct num){.m = m, .scale = b->scale, .kind = NUM_DECIMAL});
}

/* The sum of rows values; false: it may be rounded. */
static bool sum_of_part(const struct work_of *w, const struct block_summary *b, uint32_t rows,
                        double *out) {
    const double most = (double)NUM_MANTISSA_LIMIT;
    if (w->summary.steady) {
        *out = w->last * rows;
        return w->last == trunc(w->last) && fabs(*out) <= most;
    }
    const double low = (double)b->min * rows;
    if (!(fabs(low) <= most) || b->excess > (uint64_t)NUM_MANTISSA_LIMIT * 2) {
        return false;
    }
    *out = (double)(b->min * (int64_t)rows + (int64_t)b->excess);
    return fabs(*out) <= most;
}

static void condense_part(struct work_of *w, uint32_t i) {
    const struct block_summary *b = &w->summary.blocks[w->rows->first_block + i];
    double v = w->last;
    switch (w->c->windows->want) {
    case STORAGE_WANT_MIN:
        v = w->summary.steady ? v : decimal_of(b, b->min);
        break;
    case STORAGE_WANT_MAX:
        v = w->summary.steady ? v : decimal_of(b, b->max);
        break;
    case STORAGE_WANT_SUM:
        w->given_up = !sum_of_part(w, b, w->rows->part_rows[i], &v);
        break;
    case STORAGE_WANT_ENDS:
    case STORAGE_WANT_RISES: /* the last that was read: nothing falls */
    case STORAGE_WANT_ALL:
        break;
    }
    w->values[w->count++] = v;
}

static enum err_code fill_values(struct work_of *w) {
    w->values = arena_try_alloc(w->c->arena, w->elements_max + (size_t)8, sizeof(*w->values));
    if (w->values == NULL) {
        return over_budget(w->err);
    }
    enum err_code code = ERR_OK;
    for (uint32_t i = 0; i < w->rows->part_count && code == ERR_OK && !w->given_up; i++) {
        if (w->states[i] == PART_CONDENSED) {
            condense_part(w, i);
        } else {
            code = read_part(w, i);
        }
    }
    return code;
}

/* ---- times ---- */

static enum err_code block_times(struct work_of *w, uint32_t i, const int64_t **out) {
    const struct partition_ts_block *b = &w->rows->blocks[i];
    const int64_t **slot = &w->rows->condensed->block_ts[i];
    if (*slot == NULL) {
        int64_t *ts = arena_try_alloc(w->c->arena, b->rows + (size_t)8, sizeof(*ts));
        if (ts == NULL) {
            return over_budget(w->err);
        }
        if (ts_column_decode(b->bytes, b->size, b->rows, ts) != ERR_OK || ts[0] != b->min_ts_ms ||
            ts[b->rows - 1] != b->max_ts_ms) {
            w->given_up = true; /* the plain way reports it */
            return ERR_OK;
        }
        *slot = ts;
    }
    *out = *slot;
    return ERR_OK;
}

/* The elements of all parts, those out of the range too. */
static enum err_code make_pattern(struct work_of *w, struct condensed_pattern **out) {
    const struct sample_rows *r = w->rows;
    struct arena *arena = w->c->arena;
    struct condensed_pattern *p = arena_try_alloc(arena, 1, sizeof(*p));
    uint8_t *states = arena_try_alloc(arena, r->part_count, sizeof(*states));
    int64_t *ts = arena_try_alloc(arena, w->count + (size_t)1, sizeof(*ts));
    uint32_t *rank = arena_try_alloc(arena, w->count + (size_t)1, sizeof(*rank));
    if (p == NULL || states == NULL || ts == NULL || rank == NULL) {
        return over_budget(w->err);
    }
    memcpy(states, w->states, r->part_count);
    uint32_t n = 0;
    uint32_t samples = 0;
    for (uint32_t i = 0; i < r->part_count; i++) {
        const int64_t *block = &r->blocks[i].max_ts_ms;
        const bool condensed = states[i] == PART_CONDENSED;
        const uint32_t elements = states[i] == PART_ABSENT ? 0 : condensed ? 1 : r->part_rows[i];
        const enum err_code code = states[i] == PART_READ ? block_times(w, i, &block) : ERR_OK;
        if (code != ERR_OK || w->given_up) {
            return code;
        }
        for (uint32_t k = 0; k < elements; k++) {
            ts[n] = block[k];
            rank[n++] = samples + k;
        }
        samples += states[i] == PART_ABSENT ? 0 : r->part_rows[i];
    }
    ASSERT(n == w->count);
    rank[n] = samples;
    const struct condenser *c = w->c; /* what is cut away are samples: condensed ones are inside */
    const uint32_t from = time_lower_bound(ts, n, c->min_ts_ms);
    const uint32_t to = c->max_ts_ms == INT64_MAX ? n : time_lower_bound(ts, n, c->max_ts_ms + 1);
    for (uint32_t i = n + 1; i-- > from;) {
        rank[i] -= rank[from];
    }
    *p = (struct condensed_pattern){states, ts, rank, from, to, r->condensed->patterns};
    r->condensed->patterns = p;
    *out = p;
    return ERR_OK;
}

static enum err_code pattern_of(struct work_of *w, struct condensed_pattern **out) {
    uint32_t looked_at = 0;
    for (struct condensed_pattern *p = w->rows->condensed->patterns;
         p != NULL && looked_at < PATTERNS_LOOKED_AT; p = p->next, looked_at++) {
        if (memcmp(p->states, w->states, w->rows->part_count) == 0) {
            *out = p;
            return ERR_OK;
        }
    }
    return make_pattern(w, out);
}

/* ---- a series ---- */

static void hand_out(const struct work_of *w, const struct condensed_pattern *p,
                     struct storage_samples *out) {
    if (p->from < p->to) {
        *out = (struct storage_samples){.ts = p->ts + p->from,
                                        .values = w->values + p->from,
                                        .count = p->to - p->from,
                                        .has_stale = w->has_stale,
                                        .rank = p->rank + p->from};
    }
}

static enum err_code read_condensed(struct work_of *w, uint32_t number, struct storage_samples *out,
                                    bool *out_done) {
    enum err_code code = partition_summary(w->page->p, number, w->rows->block_count, &w->c->scratch,
                                           &w->summary, w->err);
    if (code == ERR_CORRUPT) { /* the samples are there all the same */
        partition_report(w->page->p, w->err);
        return ERR_OK;
    }
    if (code != ERR_OK || w->summary.blocks == NULL) {
        return code == ERR_LIMIT ? over_budget(w->err) : code;
    }
    w->states = arena_try_alloc(&w->c->scratch, w->rows->part_count, sizeof(*w->states));
    if (w->states == NULL) {
        return over_budget(w->err);
    }
    if (!choose_blocks(w)) {
        return ERR_OK;
    }
    struct condensed_pattern *pattern = NULL;
    code = fill_values(w);
    code = code == ERR_OK && !w->given_up ? pattern_of(w, &pattern) : code;
    if (code == ERR_OK && !w->given_up) {
        hand_out(w, pattern, out);
        *out_done = true;
    }
    return code;
}

enum err_code condenser_read(struct condenser *c, struct sample_rows *rows,
                             struct partition_page *page, const struct page_series *series,
                             uint32_t number, struct storage_samples *out, bool *out_done,
                             struct err *err) {
    *out_done = false;
    if (page->p->version < PARTITION_VERSION_SUMMARIES || series->keys != NULL ||
        rows->part_count < 3) {
        return ERR_OK;
    }
    if (rows->condensed == NULL) {
        const enum err_code code = prepare_rows(c, rows, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    if (!rows->condensed->worth_it) {
        return ERR_OK;
    }
    struct work_of w = {.c = c, .rows = rows, .page = page, .series = series, .err = err};
    const enum err_code code = read_condensed(&w, number, out, out_done);
    arena_rewind(&c->scratch, SCRATCH_KEEP_BYTES);
    return code;
}
