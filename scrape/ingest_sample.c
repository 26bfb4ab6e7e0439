/* Samples into the row: those of known lines, and those of series that must be resolved first. */
#include <string.h>

#include "base/check.h"
#include "base/histogram.h"
#include "base/mem.h"
#include "scrape/ingest_row.h"
#include "scrape/page_reader.h"
#include "scrape/sample_labels.h"

/* How far in the future a sample's own timestamp may lie. */
enum { MAX_AHEAD_MS = 10 * 60 * 1000 };

/* New series between two looks at the clock, and scratch memory kept between new series. */
enum { SERIES_PER_CHECK = 1024, ARENA_KEEP_BYTES = 256 * 1024 };

/* ---- samples ---- */

static void add_own_time(struct ingest_scratch *s, uint32_t slot, const struct expo_entry *sample) {
    if (s->own_count == s->own_capacity) {
        s->own_capacity = mem_grow(s->own_capacity, s->own_count + 1);
        s->own = mem_resize(s->own, s->own_capacity, sizeof(s->own[0]));
    }
    s->own[s->own_count++] = (struct storage_own_time){.slot = slot,
                                                       .state = page_sample_state(sample),
                                                       .ts_ms = sample->timestamp_ms,
                                                       .value = sample->value,
                                                       .histogram = sample->histogram};
}

static void track_own_time(struct ingest_scratch *s, uint32_t slot) {
    const uint32_t word = slot / 64;
    if (word >= s->own_tracked_words) {
        const uint32_t words = (uint32_t)mem_grow(s->own_tracked_words, word + 1);
        s->own_tracked = mem_resize(s->own_tracked, words, sizeof(s->own_tracked[0]));
        memset(s->own_tracked + s->own_tracked_words, 0,
               (words - s->own_tracked_words) * sizeof(s->own_tracked[0]));
        s->own_tracked_words = words;
    }
    s->own_tracked[word] |= UINT64_C(1) << slot % 64;
}

static bool same_in_row(const struct ingest_scratch *s, uint32_t slot,
                        const struct expo_entry *sample) {
    if (s->states[slot] != page_sample_state(sample)) {
        return false;
    }
    return sample->histogram != NULL
               ? histogram_equal(s->histograms[slot], sample->histogram)
               : f64_same_bits(num_double(s->values[slot]), num_double(sample->value));
}

/* Puts an accepted sample into the row. Two texts may name one series: the first value stays. */
static void put_sample(struct page_reader *r, uint32_t slot, const struct expo_entry *sample,
                       bool own_time) {
    struct ingest_scratch *const s = r->s;
    if (own_time) {
        add_own_time(s, slot, sample);
        if (r->scrape->config->track_timestamps_staleness) {
            track_own_time(s, slot);
        }
    } else if (s->states[slot] == SLOT_ABSENT) {
        s->states[slot] = page_sample_state(sample);
        s->values[slot] = sample->value;
        if (UNLIKELY(sample->histogram != NULL)) {
            page_put_histogram(s, slot, sample->histogram);
        }
    } else if (!same_in_row(s, slot, sample)) {
        r->scrape->duplicates++;
        return;
    }
    if (UNLIKELY(sample->start_ts_ms != 0)) {
        page_put_start(r, slot, sample, own_time);
    }
    if (UNLIKELY(sample->exemplar_count != 0)) {
        page_put_exemplars(r, slot, sample, own_time);
    }
}

/* The limits that every sample passes on its way to the storage; false: it ends here. */
static bool pass_limits(struct page_reader *r, const struct expo_entry *sample, bool own_time) {
    if (UNLIKELY(sample->over_bucket_limit)) {
        r->scrape->bucket_limit_hit = true;
        return false;
    }
    if (++r->reached > r->sample_limit) {
        r->scrape->sample_limit_hit = true;
        return false;
    }
    if (own_time && sample->timestamp_ms > r->scrape->now_ms + MAX_AHEAD_MS) {
        r->scrape->out_of_bounds++;
        return false;
    }
    return true;
}

static enum err_code check_own_times(const struct page_reader *r, bool own_time, struct err *err) {
    if (own_time && r->s->own_count >= OWN_TIMES_MAX) {
        return err_set(err, ERR_LIMIT, "more than %d samples with timestamps", OWN_TIMES_MAX);
    }
    return ERR_OK;
}

/* The storage's refusal of a histogram fails the scrape. */
static COLD enum err_code fail_histogram(const struct expo_entry *sample, struct err *err) {
    *err = *sample->invalid;
    return err->code;
}

static void mark_seen(struct ingest_scratch *s, uint32_t line) {
    s->seen_count += (s->seen[line] & SEEN) == 0;
    s->seen[line] |= SEEN;
}

/* st-synthesis; true when the sample only says where counting starts. */
static bool start_counting(struct page_reader *r, uint32_t slot, struct expo_entry *sample,
                           bool own_time) {
    if (sample->start_ts_ms != 0 ||
        !start_synthesis_apply(&r->ig->synthesis, slot,
                               own_time ? sample->timestamp_ms : r->scrape->ts_ms, &r->s->row_arena,
                               sample)) {
        return false;
    }
    track_own_time(r->s, slot); /* it was there, though not in the row */
    return true;
}

/* Puts a sample whose start timestamp may have to be made into the row. */
static COLD enum err_code counted_sample(struct page_reader *r, uint32_t slot,
                                         const struct expo_entry *given, bool own_time,
                                         struct err *err) {
    struct expo_entry sample = *given;
    if (start_counting(r, slot, &sample, own_time)) {
        return ERR_OK;
    }
    const uint64_t refused = r->scrape->out_of_bounds + r->scrape->duplicates;
    const enum err_code code = check_own_times(r, own_time, err);
    if (code != ERR_OK) {
        return code;
    }
    if (!pass_limits(r, &sample, own_time)) {
        start_synthesis_forget(&r->ig->synthesis, slot);
        return ERR_OK;
    }
    if (sample.invalid != NULL) {
        return fail_histogram(&sample, err);
    }
    put_sample(r, slot, &sample, own_time);
    if (refused != r->scrape->out_of_bounds + r->scrape->duplicates) {
        start_synthesis_forget(&r->ig->synthesis, slot);
    } else if (own_time && start_synthesis_has(&r->ig->synthesis, slot)) {
        track_own_time(r->s, slot);
    }
    return ERR_OK;
}

static bool makes_starts(const struct page_reader *r) {
    return UNLIKELY((r->scrape->features & SCRAPE_START_MAKE) != 0);
}

enum err_code page_known_sample(struct page_reader *r, uint32_t line,
                                const struct expo_entry *sample, struct err *err) {
    const uint32_t slot = r->ig->slots[line];
    const bool again = (r->s->seen[line] & SEEN) != 0;
    const bool own_time = sample->has_timestamp && r->scrape->config->honor_timestamps;
    mark_seen(r->s, line);
    r->scrape->scraped++;
    if (slot == LINE_DROPPED) {
        return ERR_OK;
    }
    r->scrape->added++;
    if (again && !own_time) {
        r->scrape->duplicates++;
        start_synthesis_forget(&r->ig->synthesis, slot);
        return ERR_OK;
    }
    if (makes_starts(r)) {
        return counted_sample(r, slot, sample, own_time, err);
    }
    const enum err_code code = check_own_times(r, own_time, err);
    if (code != ERR_OK || !pass_limits(r, sample, own_time)) {
        return code;
    }
    if (UNLIKELY(sample->invalid != NULL)) {
        return fail_histogram(sample, err);
    }
    put_sample(r, slot, sample, own_time);
    return ERR_OK;
}

/* ---- new series ---- */

static enum err_code check_deadline(const struct page_reader *r, struct err *err) {
    const struct ingest_scrape *const scrape = r->scrape;
    if (scrape->deadline_mono_ns != 0 && r->resolved % SERIES_PER_CHECK == 0 &&
        clock_mono_ns(scrape->clock) > scrape->deadline_mono_ns) {
        return err_set(err, ERR_TIMEOUT,
                       "resolving new series took longer than the scrape interval");
    }
    return ERR_OK;
}

/* The raw text of a UNIT line behind its word. */
static struct str unit_of(struct str line) {
    size_t at = 0;
    if (line.len > 0 && line.ptr[0] == '"') {
        for (at = 1; at < line.len && line.ptr[at] != '"'; at++) {
            at += line.ptr[at] == '\\';
        }
    }
    while (at < line.len && line.ptr[at] != ' ') {
        at++;
    }
    return at < line.len ? str_from(line, at + 1) : STR("");
}

/* The unit that holds at an offset of an OpenMetrics page. Lines that were known were not read by
 * the parser; this looks at each once, and only where a series is new. */
static struct str unit_at(struct page_reader *r, size_t at) {
    static const char word[] = "# UNIT ";
    const size_t word_bytes = sizeof(word) - 1;
    while (r->unit_at < at) {
        const char *const from = r->body.ptr + r->unit_at;
        const char *const end = memchr(from, '\n', r->body.len - r->unit_at);
        const size_t line_bytes = end != NULL ? (size_t)(end - from) : r->body.len - r->unit_at;
        if (line_bytes >= word_bytes && memcmp(from, word, word_bytes) == 0) {
            r->unit = unit_of((struct str){from + word_bytes, line_bytes - word_bytes});
        }
        r->unit_at += line_bytes + 1;
    }
    return r->unit;
}

/* The slot of a series that is not in the cache: *out_slot is one, LINE_DROPPED, or
 * LINE_UNRESOLVED when the sample ended at a limit. */
static enum err_code resolve_series(struct page_reader *r, const struct expo_entry *sample,
                                    bool own_time, uint32_t *out_slot, struct err *err) {
    struct ingest_scratch *const s = r->s;
    const struct scrape_config *const config = r->scrape->config;
    if (s->arena.used_bytes > ARENA_KEEP_BYTES) {
        arena_reset(&s->arena);
    }
    size_t n = 0;
    const struct label *exposed = NULL;
    struct labels labels;
    bool keep = false;
    enum err_code code = ERR_OK;
    if (r->labels != NULL) {
        code = r->labels(r->labels_ctx, &s->arena, &exposed, &n, err);
    } else {
        if (s->parser.meta_labels && s->parser.format == EXPO_FORMAT_OPENMETRICS) {
            s->parser.unit = unit_at(r, sample->begin);
        }
        exposed = expo_labels(&s->parser, &s->arena, &n);
    }
    if (code != ERR_OK) {
        r->scrape->scraped--; /* the page's error, not the sample's: it was never read */
        return code;
    }
    code =
        sample_labels_make(config, r->scrape->target, exposed, n, &s->arena, &labels, &keep, err);
    if (code != ERR_OK) {
        r->scrape->label_limit_hit = code == ERR_LIMIT;
        return code;
    }
    if (!keep) {
        *out_slot = LINE_DROPPED;
        return ERR_OK;
    }
    r->scrape->added++;
    *out_slot = LINE_UNRESOLVED;
    code = check_own_times(r, own_time, err);
    const bool kept_back = makes_starts(r) && sample->cumulative && sample->start_ts_ms == 0;
    if (code != ERR_OK || (!kept_back && !pass_limits(r, sample, own_time))) {
        return code;
    }
    if (sample->invalid != NULL && !kept_back) {
        return fail_histogram(sample, err);
    }
    code = storage_group_series(r->ig->storage, r->ig->group, labels, out_slot, err);
    if (code == ERR_LIMIT) {
        /* The storage is full: known series go on, new ones wait. */
        *out_slot = LINE_UNRESOLVED;
        r->scrape->refused++;
        return ERR_OK;
    }
    return code;
}

enum err_code page_new_sample(struct page_reader *r, struct str comment, uint32_t type,
                              const struct expo_entry *sample, uint32_t *line, struct err *err) {
    const bool own_time = sample->has_timestamp && r->scrape->config->honor_timestamps;
    uint32_t slot = LINE_UNRESOLVED;
    r->scrape->scraped++;
    enum err_code code = check_deadline(r, err);
    code = code == ERR_OK ? resolve_series(r, sample, own_time, &slot, err) : code;
    r->resolved++;
    if (code != ERR_OK || slot == LINE_UNRESOLVED) {
        return code;
    }
    if (*line == LINE_NONE) {
        code = ingest_add_line(r->ig, r->s, comment, sample->series, type, slot, line, err);
        if (code != ERR_OK) {
            return code;
        }
        r->s->changed = true;
    } else {
        ingest_set_slot(r->ig, *line, slot);
        r->ig->unresolved--;
    }
    mark_seen(r->s, *line);
    if (slot == LINE_DROPPED) {
        return ERR_OK;
    }
    r->scrape->series_added += !r->scrape->sample_limit_hit && !r->scrape->bucket_limit_hit;
    ingest_scratch_reach(r->s, slot);
    if (makes_starts(r)) {
        struct expo_entry counted = *sample;
        if (start_counting(r, slot, &counted, own_time)) {
            return ERR_OK;
        }
        put_sample(r, slot, &counted, own_time);
        return ERR_OK;
    }
    put_sample(r, slot, sample, own_time);
    return ERR_OK;
}
