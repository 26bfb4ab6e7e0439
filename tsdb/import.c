/* WINDOWS. A window is at most an hour less a millisecond long, for the storage accepts nothing that
 * is more than an hour older than its newest sample. It is halved as long as the log has more samples
 * in it than may be in memory.
 *
 * TRANSACTIONS end where a target ends, or before they get too large. The same series come together
 * in every window, so that they stay in the groups that the first one made for them. */
#include "tsdb/import.h"

#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "base/value.h"
#include "tsdb/import_notes.h"
#include "tsdb/prom_db.h"
#include "tsdb/prom_set.h"

enum {
    WINDOW_MS = 3600 * 1000 - 1,
    SERIES_SAMPLES_MAX = 16 << 20, /* of one series in one window */
    COMMIT_SERIES = 512,           /* a transaction ends with the target ... */
    COMMIT_SAMPLES = 128 << 10,
    COMMIT_SERIES_MAX = 4096, /* ... or at once */
    COMMIT_SAMPLES_MAX = 1 << 20,
    MATCHERS_MAX = 256,
    HISTOGRAM_BYTES_MAX = 1 << 30, /* of one series in one window */
};

#define STORED_MEMORY_MAX ((size_t)1 << 30)

struct import {
    struct storage *st;
    const struct import_options *options;
    struct import_result *result;
    struct prom_db db;
    struct prom_set *set;
    struct prom_samples samples; /* of one series in the window */
    struct arena histograms;     /* of the samples */
    struct storage_appender *appender;
    size_t pending_series;
    size_t pending_samples;
    int64_t stored_max_ms; /* newest sample of the storage at the start; INT64_MIN if empty */
    int64_t mint;          /* the window */
    int64_t maxt;
    uint64_t total;
    struct arena arena; /* what is stored of one series */
};

/* ---- what the storage has already ---- */

static enum err_code find_stored(struct import *im, struct labels labels,
                                 struct storage_samples *out, struct err *err) {
    struct matcher matchers[MATCHERS_MAX];
    struct labels_iter it = labels_begin(labels);
    struct label pair;
    size_t n = 0;
    struct storage_querier *q = NULL;
    struct storage_selection *selection = NULL;
    *out = (struct storage_samples){0};
    arena_reset(&im->arena);
    while (n < MATCHERS_MAX && labels_next(&it, &pair)) {
        matchers[n++] = (struct matcher){MATCH_EQUAL, pair.name, pair.value, NULL};
    }
    const int64_t maxt = im->maxt < im->stored_max_ms ? im->maxt : im->stored_max_ms;
    enum err_code code =
        storage_querier_open(im->st, im->mint, maxt, &im->arena, im->options->cancel, &q, err);
    if (code == ERR_OK) {
        code = storage_select(im->st, q, matchers, n, NULL, &selection, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    size_t count;
    const struct storage_series *series = storage_selection_series(im->st, selection, &count);
    for (size_t i = 0; i < count; i++) {
        const struct labels found =
            labels_merge(&im->arena, storage_set_labels(im->st, q, series[i].target_set),
                         storage_set_labels(im->st, q, series[i].metric_set));
        if (labels_eq(found, labels)) {
            return storage_read(im->st, q, selection, i, 1, im->mint, maxt, &im->arena, out, err);
        }
    }
    return ERR_OK;
}

static bool is_stored(const struct storage_samples *stored, size_t k, const struct prom_sample *s) {
    const struct histogram *h = stored->histograms != NULL ? stored->histograms[k] : NULL;
    if (h != NULL && s->histogram != NULL) {
        return histogram_equal(h, s->histogram);
    }
    return h == NULL && s->histogram == NULL && f64_same_bits(stored->values[k], s->value);
}

/* Removes the window's samples that are stored from the list. */
static enum err_code drop_stored(struct import *im, struct labels labels, struct err *err) {
    struct prom_samples *list = &im->samples;
    struct storage_samples stored;
    const enum err_code code = find_stored(im, labels, &stored, err);
    if (code != ERR_OK) {
        return err_wrap(err, "reading what is stored already");
    }
    size_t kept = 0;
    size_t k = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct prom_sample s = list->items[i];
        while (k < stored.count && stored.ts[k] < s.ts_ms) {
            k++;
        }
        if (k == stored.count || stored.ts[k] != s.ts_ms) {
            list->items[kept++] = s;
        } else if (is_stored(&stored, k, &s)) {
            im->result->present++;
        } else {
            im->result->conflicts++;
        }
    }
    list->count = kept;
    return ERR_OK;
}

/* ---- writing ---- */

static enum err_code commit(struct import *im, struct err *err) {
    struct storage_appender *appender = im->appender;
    if (appender == NULL) {
        return ERR_OK;
    }
    im->appender = NULL;
    im->result->samples += im->pending_samples;
    im->pending_samples = 0;
    im->pending_series = 0;
    const enum err_code code = storage_appender_commit(im->st, appender, err);
    if (im->options->progress != NULL) {
        const struct import_result *r = im->result;
        progress_update(im->options->progress, r->samples + r->present + r->conflicts + r->future,
                        im->total);
    }
    return code == ERR_OK ? cancel_check(im->options->cancel) : code;
}

static enum err_code refused(struct import *im, enum err_code code, int64_t ts_ms,
                             struct err *err) {
    switch ((int)code) {
    case ERR_DUPLICATE:
        im->result->conflicts++;
        return ERR_OK;
    case ERR_OUT_OF_BOUNDS:
    case ERR_OUT_OF_ORDER:
    case ERR_TOO_OLD:
        if (code == ERR_OUT_OF_BOUNDS && ts_ms > im->stored_max_ms) {
            im->result->future++;
            return ERR_OK;
        }
        return err_set(err, ERR_EXISTS,
                       "the database has samples up to %lld and takes none from %lld any more; "
                       "import into an empty directory",
                       (long long)im->stored_max_ms, (long long)ts_ms);
    case ERR_LIMIT:
        return err_set(err, code, "the database refuses more series");
    default:
        return err_set(err, code, "the database refuses a sample at %lld: %s", (long long)ts_ms,
                       err_code_name(code));
    }
}

static enum err_code append_list(struct import *im, struct labels labels, struct err *err) {
    enum err_code code = ERR_OK;
    if (im->appender == NULL) {
        code = storage_appender_begin(im->st, &im->appender, err);
    }
    for (size_t i = 0; code == ERR_OK && i < im->samples.count; i++) {
        const struct prom_sample *s = &im->samples.items[i];
        if (s->histogram == NULL && s->start_ms == 0) {
            code = storage_append(im->st, im->appender, labels, s->ts_ms, s->value);
        } else {
            const struct storage_sample sample = {.ts_ms = s->ts_ms,
                                                  .value = s->value,
                                                  .histogram = s->histogram,
                                                  .float_histogram =
                                                      s->histogram != NULL && s->value != 0,
                                                  .start_ts_ms = s->start_ms};
            code = storage_append_sample(im->st, im->appender, labels, &sample);
        }
        if (code == ERR_OK) {
            im->pending_samples++;
            im->result->histograms += s->histogram != NULL ? 1 : 0;
            im->result->start_times += s->start_ms != 0 ? 1 : 0;
        } else {
            code = refused(im, code, s->ts_ms, err);
        }
    }
    im->pending_series++;
    return code;
}

static enum err_code import_series(struct import *im, uint32_t series, int64_t *next_ms,
                                   struct err *err) {
    struct prom_read_result read = {.next_ms = *next_ms};
    const struct labels labels = prom_set_labels(im->set, series);
    enum err_code code = prom_set_read(im->set, series, &im->samples, &read, err);
    *next_ms = read.next_ms;
    if (code == ERR_OK && im->samples.count != 0 &&
        im->samples.items[0].ts_ms <= im->stored_max_ms) {
        code = drop_stored(im, labels, err);
    }
    return code == ERR_OK && im->samples.count != 0 ? append_list(im, labels, err) : code;
}

static bool transaction_ends(const struct import *im, uint32_t series) {
    if (im->pending_series >= COMMIT_SERIES_MAX || im->pending_samples >= COMMIT_SAMPLES_MAX) {
        return true;
    }
    return (im->pending_series >= COMMIT_SERIES || im->pending_samples >= COMMIT_SAMPLES) &&
           (series + 1 == prom_set_count(im->set) ||
            prom_set_target(im->set, series) != prom_set_target(im->set, series + 1));
}

static enum err_code import_window(struct import *im, int64_t *next_ms, struct err *err) {
    const uint32_t count = prom_set_count(im->set);
    enum err_code code = ERR_OK;
    for (uint32_t i = 0; code == ERR_OK && i < count; i++) {
        code = import_series(im, i, next_ms, err);
        if (code == ERR_OK && transaction_ends(im, i)) {
            code = commit(im, err);
        }
    }
    return code == ERR_OK ? commit(im, err) : code;
}

/* ---- windows and blocks ---- */

static enum err_code load_window(struct import *im, int64_t from, int64_t *length_ms,
                                 int64_t *out_next_ms, struct err *err) {
    enum err_code code;
    do {
        im->mint = from;
        im->maxt = from > INT64_MAX - *length_ms ? INT64_MAX : from + *length_ms;
        code = prom_set_load(im->set, 0, prom_set_count(im->set), im->mint, im->maxt, out_next_ms,
                             err);
        if (code != ERR_LIMIT || *length_ms == 0) {
            return code;
        }
        *length_ms /= 2;
    } while (true);
}

static enum err_code import_set(struct import *im, struct err *err) {
    int64_t from = prom_set_min_time(im->set);
    int64_t length_ms = WINDOW_MS;
    while (from != INT64_MAX) {
        int64_t next_ms;
        enum err_code code = load_window(im, from, &length_ms, &next_ms, err);
        if (code == ERR_OK) {
            code = import_window(im, &next_ms, err);
        }
        if (code != ERR_OK) {
            return code;
        }
        from = next_ms;
        length_ms = length_ms * 2 + 1 < WINDOW_MS ? length_ms * 2 + 1 : WINDOW_MS;
    }
    return ERR_OK;
}

/* Blocks from first on that overlap each other: one past the last. */
static size_t overlapping(const struct prom_db *db, size_t first, int64_t *out_maxt) {
    size_t last = first + 1;
    *out_maxt = db->blocks[first].meta.maxt;
    while (last < db->block_count && db->blocks[last].meta.mint < *out_maxt) {
        const int64_t maxt = db->blocks[last].meta.maxt;
        *out_maxt = maxt > *out_maxt ? maxt : *out_maxt;
        last++;
    }
    return last;
}

static enum err_code import_blocks(struct import *im, size_t first, size_t last, bool with_head,
                                   struct err *err) {
    enum err_code code =
        prom_set_open(&im->db, first, last, with_head, PROM_BY_TARGET, &im->set, err);
    if (code == ERR_OK) {
        code = import_set(im, err);
    }
    storage_appender_rollback(im->st, im->appender); /* after a failure */
    im->appender = NULL;
    prom_set_close(im->set);
    im->set = NULL;
    return code;
}

static enum err_code import_all(struct import *im, struct err *err) {
    const struct prom_head_stats *head = prom_head_stats(im->db.head);
    bool head_done = head->samples == 0;
    enum err_code code = ERR_OK;
    for (size_t first = 0; code == ERR_OK && first < im->db.block_count;) {
        int64_t maxt;
        size_t last = overlapping(&im->db, first, &maxt);
        const bool with_head = !head_done && head->min_ms < maxt;
        if (with_head) { /* late samples among the blocks: all that follows is one set */
            last = im->db.block_count;
            head_done = true;
        }
        code = import_blocks(im, first, last, with_head, err);
        first = last;
    }
    return code == ERR_OK && !head_done
               ? import_blocks(im, im->db.block_count, im->db.block_count, true, err)
               : code;
}

static enum err_code check_times(struct import *im, struct err *err) {
    const struct prom_head_stats *head = prom_head_stats(im->db.head);
    struct storage_stats stats;
    int64_t newest = head->max_ms;
    im->total = head->samples;
    for (size_t i = 0; i < im->db.block_count; i++) {
        const struct prom_block_meta *meta = &im->db.blocks[i].meta;
        newest = meta->maxt > newest ? meta->maxt : newest;
        im->total += meta->sample_count;
    }
    storage_stats(im->st, &stats);
    im->stored_max_ms = stats.max_time_ms;
    if (im->total != 0 && stats.max_time_ms > newest) {
        return err_set(err, ERR_EXISTS,
                       "the database has newer samples, up to %lld, than %s, up to %lld; import "
                       "into an empty directory",
                       (long long)stats.max_time_ms, im->options->path, (long long)newest);
    }
    return ERR_OK;
}

enum err_code import_prometheus(struct storage *st, const struct import_options *options,
                                struct import_result *out, struct err *err) {
    struct import im = {.st = st, .options = options, .result = out};
    *out = (struct import_result){0};
    arena_init(&im.arena, STORED_MEMORY_MAX);
    prom_samples_init(&im.samples, SERIES_SAMPLES_MAX);
    arena_init(&im.histograms, HISTOGRAM_BYTES_MAX);
    im.samples.arena = &im.histograms;
    enum err_code code = prom_db_init(&im.db, options->vfs, options->path, true, options->log, err);
    if (code == ERR_OK) {
        const struct prom_head_stats *head = prom_head_stats(im.db.head);
        prom_head_limit(im.db.head, options->log_samples_max);
        out->blocks = im.db.block_count;
        out->damaged_segments = head->damaged_segments;
        out->torn_bytes = head->torn_bytes;
        out->unknown_series = head->unknown_series;
        code = check_times(&im, err);
    }
    if (code == ERR_OK) {
        code = import_all(&im, err);
    }
    if (code == ERR_OK) {
        struct import_notes_result notes;
        code = import_notes(st, im.db.head, options->cancel, &notes, err);
        out->exemplars = notes.exemplars;
        out->metadata = notes.families;
    }
    prom_db_release(&im.db);
    prom_samples_release(&im.samples);
    arena_release(&im.arena);
    arena_release(&im.histograms);
    return code;
}
