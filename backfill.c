#include "backfill.h"

#include "base/arena.h"
#include "base/mem.h"
#include "base/value.h"
#include "scrape/expo.h"
#include "series_gather.h"

enum {
    WINDOWS_MAX = 1 << 22, /* about 950 years of two hours */
    PROGRESS_EVERY = 4096,
};

struct backfill {
    struct str page;
    const struct backfill_options *options;
    struct backfill_result *result;
    struct expo_parser *parser;
    struct arena scratch; /* of one sample */
    int64_t first_window;
    size_t window_count;
    bool *windows; /* those that have samples */
    uint64_t done;
};

/* ---- the page ---- */

/* The next sample; *out_more is false at the end. */
static enum err_code next_sample(struct backfill *b, struct expo_entry *out, bool *out_more,
                                 struct err *err) {
    do {
        const enum err_code code = expo_next(b->parser, out, err);
        if (code != ERR_OK) {
            return code;
        }
    } while (out->kind != EXPO_SAMPLE && out->kind != EXPO_END);
    *out_more = out->kind == EXPO_SAMPLE;
    return ERR_OK;
}

static int64_t window_of(const struct backfill *b, int64_t ts_ms) {
    const int64_t length = b->options->block_ms;
    return ts_ms / length - (ts_ms % length < 0);
}

static enum err_code find_times(struct backfill *b, int64_t *out_min, int64_t *out_max,
                                struct err *err) {
    struct expo_entry entry;
    bool more = true;
    *out_min = INT64_MAX;
    *out_max = INT64_MIN;
    expo_init(b->parser, EXPO_FORMAT_OPENMETRICS, b->page);
    for (;;) {
        const enum err_code code = next_sample(b, &entry, &more, err);
        if (code != ERR_OK) {
            return err_wrap(err, "getting min and max timestamp: next");
        }
        if (!more) {
            return ERR_OK;
        }
        if (!entry.has_timestamp) {
            return err_set(err, ERR_INVALID,
                           "getting min and max timestamp: expected timestamp for series got none: "
                           "%.*s",
                           STR_ARG(entry.series));
        }
        b->result->samples++;
        *out_min = entry.timestamp_ms < *out_min ? entry.timestamp_ms : *out_min;
        *out_max = entry.timestamp_ms > *out_max ? entry.timestamp_ms : *out_max;
    }
}

/* Which windows have samples: the page was good once, so that it is now. */
static enum err_code mark_windows(struct backfill *b, int64_t min, int64_t max, struct err *err) {
    struct expo_entry entry;
    bool more = true;
    b->first_window = window_of(b, min);
    const uint64_t count = (uint64_t)window_of(b, max) - (uint64_t)b->first_window + 1;
    if (count > WINDOWS_MAX) {
        return err_set(err, ERR_LIMIT, "samples from %lld to %lld ms are too far apart",
                       (long long)min, (long long)max);
    }
    b->window_count = (size_t)count;
    b->windows = mem_zalloc(b->window_count);
    expo_init(b->parser, EXPO_FORMAT_OPENMETRICS, b->page);
    enum err_code code = next_sample(b, &entry, &more, err);
    for (; code == ERR_OK && more; code = next_sample(b, &entry, &more, err)) {
        b->windows[window_of(b, entry.timestamp_ms) - b->first_window] = true;
    }
    return code;
}

/* ---- gathering a window ---- */

static enum err_code labels_of_sample(struct backfill *b, struct labels *out, struct err *err) {
    struct labels_builder builder;
    size_t n = 0;
    labels_builder_init(&builder, &b->scratch);
    const struct label *labels = expo_labels(b->parser, &b->scratch, &n);
    for (size_t i = 0; i < n; i++) {
        labels_builder_set(&builder, labels[i].name, labels[i].value);
    }
    for (size_t i = 0; i < b->options->label_count; i++) {
        labels_builder_set(&builder, b->options->labels[i].name, b->options->labels[i].value);
    }
    return labels_builder_finish(&builder, out, err);
}

static enum err_code add_sample(struct backfill *b, struct series_gather *g,
                                const struct expo_entry *entry, struct err *err) {
    struct labels labels;
    enum err_code code = labels_of_sample(b, &labels, err);
    if (code != ERR_OK) {
        return code;
    }
    struct prom_samples *samples = series_gather_samples(g, labels);
    const struct prom_sample *last =
        samples->count != 0 ? &samples->items[samples->count - 1] : NULL;
    const double value = num_double(entry->value);
    if (last != NULL && entry->timestamp_ms <= last->ts_ms) {
        const bool again = entry->timestamp_ms == last->ts_ms;
        if (again && f64_same_bits(last->value, value)) {
            return ERR_OK;
        }
        return err_set(err, ERR_INVALID,
                       "block creation: process blocks: add sample: %s: %.*s at %lld ms",
                       again ? "duplicate sample for timestamp" : "out of order sample",
                       STR_ARG(entry->series), (long long)entry->timestamp_ms);
    }
    return prom_samples_add(samples, entry->timestamp_ms, value) == ERR_OK
               ? ERR_OK
               : err_set(err, ERR_LIMIT, "more than %zu samples of one series in a block",
                         samples->max_count);
}

static enum err_code gather(struct backfill *b, int64_t window, struct series_gather *g,
                            struct err *err) {
    struct expo_entry entry;
    bool more = true;
    expo_init(b->parser, EXPO_FORMAT_OPENMETRICS, b->page);
    enum err_code code = next_sample(b, &entry, &more, err);
    for (; code == ERR_OK && more; code = next_sample(b, &entry, &more, err)) {
        if (window_of(b, entry.timestamp_ms) != window) {
            continue;
        }
        code = add_sample(b, g, &entry, err);
        arena_reset(&b->scratch);
        if (code != ERR_OK) {
            return code;
        }
        if (++b->done % PROGRESS_EVERY == 0 && b->options->progress != NULL) {
            progress_update(b->options->progress, b->done, b->result->samples);
        }
    }
    return code;
}

/* ---- writing it ---- */

static enum err_code write_window(struct backfill *b, struct series_gather *g, struct err *err) {
    const struct prom_block_writer_options options = {.vfs = b->options->vfs,
                                                      .clock = b->options->clock,
                                                      .rng = b->options->rng,
                                                      .path = b->options->path};
    bool written = false;
    const enum err_code code = series_gather_write(g, &options, &written, err);
    b->result->blocks += written;
    return code;
}

static enum err_code write_blocks(struct backfill *b, struct err *err) {
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < b->window_count && code == ERR_OK; i++) {
        if (!b->windows[i]) {
            continue;
        }
        struct series_gather g;
        series_gather_init(&g);
        code = gather(b, b->first_window + (int64_t)i, &g, err);
        code = code == ERR_OK ? write_window(b, &g, err) : code;
        series_gather_release(&g);
    }
    return code;
}

enum err_code backfill_openmetrics(struct str page, const struct backfill_options *options,
                                   struct backfill_result *out, struct err *err) {
    int64_t min = 0;
    int64_t max = 0;
    struct backfill b = {.page = page, .options = options, .result = out};
    *out = (struct backfill_result){0};
    b.parser = mem_alloc(sizeof(*b.parser));
    arena_init(&b.scratch, 0);
    enum err_code code = find_times(&b, &min, &max, err);
    if (code == ERR_OK && out->samples != 0) {
        code = mark_windows(&b, min, max, err);
        code = code == ERR_OK ? write_blocks(&b, err) : code;
    }
    mem_free(b.windows);
    mem_free(b.parser);
    arena_release(&b.scratch);
    return code;
}
