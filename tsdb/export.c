/* WINDOWS. Those without series are passed over in strides that double, so that a gap of years costs
 * a few look-ups. */
#include "tsdb/export.h"

#include "base/arena.h"
#include "base/mem.h"
#include "tsdb/prom_block_writer.h"

enum { LENGTHS = 10 };

struct export_run {
    struct storage *st;
    const struct export_options *options;
    struct export_result *result;
    int64_t from; /* of all that is wanted and there */
    int64_t until;
    int64_t block_ms;
    struct prom_samples samples; /* of one series */
    struct storage_querier *q;   /* of one window */
    struct arena scratch;        /* of one batch */
};

int64_t export_block_length(int64_t max_ms) {
    int64_t length = EXPORT_BLOCK_MS;
    for (int i = 1; i < LENGTHS && length * 3 <= max_ms; i++) {
        length *= 3;
    }
    return length;
}

/* ---- one block ---- */

static void take_samples(struct prom_samples *to, const struct storage_samples *from) {
    to->count = 0;
    if (from->count > to->capacity) {
        to->capacity = mem_grow(to->capacity, from->count);
        to->items = mem_resize(to->items, to->capacity, sizeof(*to->items));
    }
    for (size_t i = 0; i < from->count; i++) {
        const struct histogram *h = from->histograms != NULL ? from->histograms[i] : NULL;
        const double value = h == NULL ? from->values[i] : (h->float_counts ? 1 : 0);
        to->items[i] = (struct prom_sample){.ts_ms = from->ts[i], .value = value, .histogram = h};
    }
    to->count = from->count;
}

static enum err_code is_selected(const struct export_run *r, struct labels labels, bool *out,
                                 struct err *err) {
    const struct export_options *o = r->options;
    enum err_code code = ERR_OK;
    *out = o->selector_count <= 1;
    for (size_t i = 0; code == ERR_OK && !*out && i < o->selector_count; i++) {
        code = matchers_match(o->selectors[i].matchers, o->selectors[i].count, labels, out, err);
    }
    return code;
}

static void show_progress(struct export_run *r, int64_t mint, int64_t length, size_t done,
                          size_t count) {
    enum { MS_PER_S = 1000 };
    if (r->options->progress != NULL) {
        const double part = (double)length * (double)done / (double)count;
        const double before = (double)mint - (double)r->from;
        const double total = (double)r->until - (double)r->from + 1;
        progress_update(r->options->progress, (uint64_t)((before + part) / MS_PER_S),
                        (uint64_t)(total / MS_PER_S) + 1);
    }
}

static enum err_code write_batch(struct export_run *r, struct prom_block_writer *w,
                                 const struct storage_selection *sel, size_t first, size_t n,
                                 int64_t mint, int64_t maxt, struct err *err) {
    struct storage_samples samples[EXPORT_BATCH];
    size_t count;
    const struct storage_series *series = storage_selection_series(r->st, sel, &count) + first;
    enum err_code code =
        storage_read(r->st, r->q, sel, first, n, mint, maxt, &r->scratch, samples, err);
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        const struct labels labels =
            labels_merge(&r->scratch, storage_set_labels(r->st, r->q, series[i].target_set),
                         storage_set_labels(r->st, r->q, series[i].metric_set));
        bool selected = false;
        code = is_selected(r, labels, &selected, err);
        if (code == ERR_OK && selected) {
            take_samples(&r->samples, &samples[i]);
            code = prom_block_writer_add(w, labels, r->samples.items, r->samples.count, err);
        }
    }
    arena_reset(&r->scratch);
    return code == ERR_OK ? cancel_check(r->options->cancel) : code;
}

static enum err_code select_window(struct export_run *r, int64_t mint, int64_t maxt,
                                   const struct storage_select_hints *hints, struct arena *arena,
                                   struct storage_selection **out, struct err *err) {
    const struct export_options *o = r->options;
    const struct prom_selector *one = o->selector_count == 1 ? &o->selectors[0] : NULL;
    const enum err_code code =
        storage_querier_open(r->st, mint, maxt, arena, o->cancel, &r->q, err);
    return code == ERR_OK ? storage_select(r->st, r->q, one != NULL ? one->matchers : NULL,
                                           one != NULL ? one->count : 0, hints, out, err)
                          : code;
}

static enum err_code write_series(struct export_run *r, struct prom_block_writer *w, int64_t mint,
                                  int64_t maxt, struct err *err) {
    const struct storage_select_hints hints = {.sorted = true};
    struct storage_selection *sel = NULL;
    struct arena arena;
    size_t count = 0;
    arena_init(&arena, 0);
    enum err_code code = select_window(r, mint, maxt, &hints, &arena, &sel, err);
    if (code == ERR_OK) {
        (void)storage_selection_series(r->st, sel, &count);
    }
    for (size_t at = 0; at < count && code == ERR_OK; at += EXPORT_BATCH) {
        const size_t n = count - at < EXPORT_BATCH ? count - at : EXPORT_BATCH;
        code = write_batch(r, w, sel, at, n, mint, maxt, err);
        show_progress(r, mint, maxt - mint, at + n, count);
    }
    arena_release(&arena);
    return code;
}

static enum err_code write_block(struct export_run *r, int64_t mint, int64_t maxt,
                                 struct err *err) {
    const struct prom_block_writer_options options = {.vfs = r->options->vfs,
                                                      .clock = r->options->clock,
                                                      .rng = r->options->rng,
                                                      .path = r->options->path};
    struct prom_block_writer *w = NULL;
    struct prom_block_meta meta;
    enum err_code code = prom_block_writer_new(&options, &w, err);
    if (code == ERR_OK) {
        code = write_series(r, w, mint, maxt, err);
    }
    if (code == ERR_OK) {
        code = prom_block_writer_finish(w, &meta, err);
    }
    if (code == ERR_OK && meta.series_count != 0) {
        r->result->blocks++;
        r->result->samples += meta.sample_count;
        r->result->series += meta.series_count;
        if (r->options->on_block != NULL) {
            r->options->on_block(r->options->ctx, &meta);
        }
    }
    prom_block_writer_free(w);
    return code;
}

/* ---- all of them ---- */

static enum err_code has_series(struct export_run *r, int64_t mint, int64_t maxt, bool *out,
                                struct err *err) {
    const struct storage_select_hints hints = {.series_only = true, .limit = 1};
    struct storage_selection *sel = NULL;
    struct arena arena;
    size_t count = 0;
    arena_init(&arena, 0);
    const enum err_code code = select_window(r, mint, maxt, &hints, &arena, &sel, err);
    if (code == ERR_OK) {
        (void)storage_selection_series(r->st, sel, &count);
    }
    arena_release(&arena);
    *out = count != 0;
    return code;
}

/* The last millisecond of the window of ts, or of count windows from there on. */
static int64_t window_end(const struct export_run *r, int64_t ts, int64_t count) {
    int64_t into = ts % r->block_ms;
    into = into < 0 ? into + r->block_ms : into;
    int64_t length;
    int64_t end;
    if (__builtin_mul_overflow(r->block_ms, count, &length) ||
        __builtin_add_overflow(ts, length - into - 1, &end) || end > r->until) {
        return r->until;
    }
    return end;
}

/* Moves *at to a window that may have samples; behind the last one to until, with *out_found false. */
static enum err_code find_window(struct export_run *r, int64_t *at, bool *out_found,
                                 struct err *err) {
    int64_t stride = 1;
    for (;;) {
        const int64_t end = window_end(r, *at, stride);
        const enum err_code code = has_series(r, *at, end, out_found, err);
        if (code != ERR_OK || (*out_found && stride == 1)) {
            return code;
        }
        if (*out_found) {
            stride /= 2;
        } else if (end == r->until) {
            return ERR_OK;
        } else {
            *at = end + 1;
            stride = stride <= INT64_MAX / 4 ? stride * 2 : stride;
        }
    }
}

/* Lowers until to the end of the last window that may have samples; from has some. */
static enum err_code find_until(struct export_run *r, struct err *err) {
    int64_t last = r->from;
    while ((uint64_t)r->until - (uint64_t)last > (uint64_t)r->block_ms) {
        const int64_t middle = last + (int64_t)(((uint64_t)r->until - (uint64_t)last) / 2);
        bool found = false;
        const enum err_code code = has_series(r, middle, r->until, &found, err);
        if (code != ERR_OK) {
            return code;
        }
        if (found) {
            last = middle;
        } else {
            r->until = middle - 1;
        }
    }
    return ERR_OK;
}

static enum err_code export_windows(struct export_run *r, struct err *err) {
    bool found = false;
    enum err_code code = find_window(r, &r->from, &found, err);
    if (code == ERR_OK && found) {
        code = find_until(r, err);
    }
    for (int64_t at = r->from; code == ERR_OK && found;) {
        const int64_t end = window_end(r, at, 1);
        code = write_block(r, at, end, err);
        if (code != ERR_OK || end == r->until) {
            return code;
        }
        at = end + 1;
        code = find_window(r, &at, &found, err);
    }
    return code;
}

enum err_code export_storage(struct storage *st, const struct export_options *options,
                             struct export_result *out, struct err *err) {
    struct export_run r = {.st = st,
                           .options = options,
                           .result = out,
                           .from = options->mint,
                           .until = options->maxt,
                           .block_ms =
                               options->block_ms != 0 ? options->block_ms : EXPORT_BLOCK_MS};
    *out = (struct export_result){0};
    if (r.from > r.until) {
        return ERR_OK;
    }
    prom_samples_init(&r.samples, SIZE_MAX);
    arena_init(&r.scratch, 0);
    const enum err_code code = export_windows(&r, err);
    prom_samples_release(&r.samples);
    arena_release(&r.scratch);
    return code;
}
