/* INVARIANTS
 *   I1  slots has an entry for every line of the template.
 *   I2  A slot in slots, report_slots or tracked is below the group's slot count, and so is usable
 *       in the scratch row after ingest_begin.
 *   I3  The template changes only under mu, and only by the worker of the shard. */
#include "scrape/ingest.h"

#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/rng.h"
#include "scrape/ingest_extras.h"
#include "scrape/ingest_row.h"
#include "scrape/known_lines.h"
#include "scrape/sample_labels.h"

/* Scratch rows and orders beyond this are given back after a scrape. */
enum { SCRATCH_KEEP_COUNT = 1 << 18 };

/* The histograms of one page: what a hostile page can make a worker hold. */
#define ROW_ARENA_BYTES (512UL * 1024 * 1024)

/* Targets with equal labels that may be open at once. */
enum { TWINS_MAX = 1000 };

/* Lines beyond which a failing target's template is flushed although the scrape failed. */
enum { FORCED_FLUSH_BASE = 1000 };

/* Pages that may lack lines before the template forgets those: a line that comes and goes should
 * find its place again, one that is gone should not cost for ever. */
enum { DEVIATIONS_MAX = 4 };

static const char *const report_names[REPORT_COUNT] = {
    [REPORT_UP] = "up",
    [REPORT_DURATION] = "scrape_duration_seconds",
    [REPORT_SCRAPED] = "scrape_samples_scraped",
    [REPORT_ADDED] = "scrape_samples_post_metric_relabeling",
    [REPORT_SERIES_ADDED] = "scrape_series_added",
    [REPORT_TIMEOUT] = "scrape_timeout_seconds",
    [REPORT_SAMPLE_LIMIT] = "scrape_sample_limit",
    [REPORT_BODY_BYTES] = "scrape_body_size_bytes",
};

/* ---- scratch ---- */

struct ingest_scratch *ingest_scratch_new(void) {
    struct ingest_scratch *const s = mem_zalloc(sizeof(*s));
    struct rng rng = rng_system();
    s->known_lines = known_lines_best();
    line_index_init(&s->index, rng_u64(&rng));
    arena_init(&s->arena, 0);
    arena_init(&s->row_arena, ROW_ARENA_BYTES);
    buf_init(&s->comments, UINT32_MAX);
    return s;
}

bool ingest_scratch_use(struct ingest_scratch *s, enum line_kernel kernel) {
    known_lines_fn *const lines = known_lines_of(kernel);
    s->known_lines = lines != NULL ? lines : s->known_lines;
    return lines != NULL;
}

void ingest_scratch_free(struct ingest_scratch *s) {
    if (s == NULL) {
        return;
    }
    line_index_release(&s->index);
    arena_release(&s->arena);
    arena_release(&s->row_arena);
    buf_release(&s->comments);
    mem_free(s->histograms);
    mem_free(s->starts);
    mem_free(s->zeros);
    mem_free(s->exemplars);
    mem_free(s->rejects);
    mem_free(s->values);
    mem_free(s->states);
    mem_free(s->own);
    mem_free(s->own_tracked);
    mem_free(s->seen);
    mem_free(s->order);
    mem_free(s);
}

static void reserve_slots(struct ingest_scratch *s, uint32_t count) {
    if (count > s->slot_capacity) {
        s->slot_capacity = (uint32_t)mem_grow(s->slot_capacity, count);
        s->values = mem_resize(s->values, s->slot_capacity, sizeof(s->values[0]));
        s->states = mem_resize(s->states, s->slot_capacity, sizeof(s->states[0]));
    }
}

void ingest_scratch_reach(struct ingest_scratch *s, uint32_t slot) {
    if (slot >= s->slot_count) {
        reserve_slots(s, slot + 1);
        memset(s->states + s->slot_count, SLOT_ABSENT, slot + 1 - s->slot_count);
        s->slot_count = slot + 1;
    }
}

void ingest_scratch_reach_line(struct ingest_scratch *s, uint32_t line) {
    if (line >= s->seen_capacity) {
        const uint32_t capacity = (uint32_t)mem_grow(s->seen_capacity, line + 1);
        s->seen = mem_resize(s->seen, capacity, 1);
        memset(s->seen + s->seen_capacity, 0, capacity - s->seen_capacity);
        s->seen_capacity = capacity;
    }
}

/* A giant page must not hold its scratch memory for ever. */
static void trim(struct ingest_scratch *s) {
    if (s->slot_capacity > SCRATCH_KEEP_COUNT) {
        mem_free(s->values);
        mem_free(s->states);
        s->values = NULL;
        s->states = NULL;
        s->slot_capacity = 0;
    }
    if (s->order_capacity > SCRATCH_KEEP_COUNT) {
        mem_free(s->order);
        s->order = NULL;
        s->order_capacity = 0;
    }
    if (s->own_capacity > SCRATCH_KEEP_COUNT) {
        mem_free(s->own);
        s->own = NULL;
        s->own_capacity = 0;
    }
    ingest_extras_trim(s);
    s->slot_count = 0;
    arena_reset(&s->arena);
}

/* ---- a target ---- */

struct ingest *ingest_new(struct storage *storage, uint32_t shard) {
    struct ingest *const ig = mem_zalloc(sizeof(*ig));
    ig->storage = storage;
    ig->shard = shard;
    mutex_init(&ig->mu);
    line_template_init(&ig->lines);
    return ig;
}

void ingest_use_blobs(struct ingest *ig, struct blob_store *blobs) {
    ASSERT(ig->group == NULL && ig->lines.count == 0);
    ig->blobs = blobs;
}

static void release_slots(struct ingest *ig) {
    if (ig->slots_shared) {
        blob_unref(ig->blobs, ig->slots);
    } else {
        mem_free(ig->slots);
    }
    ig->slots = NULL;
    ig->slots_capacity = 0;
    ig->slots_shared = false;
}

static void share_slots(struct ingest *ig) {
    if (!ig->slots_shared) {
        const size_t bytes = ig->lines.count * sizeof(ig->slots[0]);
        const void *const blob = blob_intern(ig->blobs, ig->slots, bytes);
        release_slots(ig);
        ig->slots = (void *)(uintptr_t)blob;
        ig->slots_shared = true;
    }
}

/* Room for count lines in memory of its own. */
static void reserve_lines(struct ingest *ig, uint32_t count) {
    if (ig->slots_shared) {
        const uint32_t *const shared = ig->slots;
        ig->slots_capacity = count;
        ig->slots = mem_array(count, sizeof(ig->slots[0]));
        memcpy(ig->slots, shared, ig->lines.count * sizeof(ig->slots[0]));
        ig->slots_shared = false;
        blob_unref(ig->blobs, shared);
    } else if (count > ig->slots_capacity) {
        ig->slots_capacity = (uint32_t)mem_grow(ig->slots_capacity, count);
        ig->slots = mem_resize(ig->slots, ig->slots_capacity, sizeof(ig->slots[0]));
    }
}

void ingest_set_slot(struct ingest *ig, uint32_t line, uint32_t slot) {
    if (ig->slots[line] != slot) {
        reserve_lines(ig, ig->lines.count);
        ig->slots[line] = slot;
    }
}

void ingest_free(struct ingest *ig) {
    if (ig == NULL) {
        return;
    }
    if (ig->group != NULL) {
        storage_group_close(ig->storage, ig->group);
    }
    line_template_release(&ig->lines);
    mutex_release(&ig->mu);
    release_slots(ig);
    mem_free(ig->tracked);
    mem_free(ig->zero_starts);
    start_synthesis_release(&ig->synthesis);
    mem_free(ig);
}

void ingest_forget_lines(struct ingest *ig) {
    mutex_lock(&ig->mu);
    line_template_release(&ig->lines);
    mutex_unlock(&ig->mu);
    release_slots(ig);
    ig->unresolved = 0;
    ig->count_at_success = 0;
    ig->counted_lines = 0;
    ig->metadata = (struct ingest_metadata){0};
}

enum err_code ingest_open_group(struct ingest *ig, struct labels target, struct err *err) {
    if (ig->group != NULL) {
        return ERR_OK;
    }
    enum err_code code = storage_group_open(ig->storage, ig->shard, target, &ig->group, err);
    struct arena arena;
    arena_init(&arena, 0);
    for (int twin = 1; code == ERR_EXISTS && twin <= TWINS_MAX; twin++) {
        const struct label mark = {STR("__twin__"), arena_printf(&arena, "%d", twin)};
        const struct labels told_apart = labels_merge(&arena, target, labels_of(&arena, &mark, 1));
        code = storage_group_open(ig->storage, ig->shard, told_apart, &ig->group, err);
    }
    arena_release(&arena);
    return code;
}

enum err_code ingest_add_line(struct ingest *ig, struct ingest_scratch *s, struct str comment,
                              struct str key, uint32_t type, uint32_t slot, uint32_t *out_line,
                              struct err *err) {
    reserve_lines(ig, ig->lines.count + 1);
    mutex_lock(&ig->mu);
    const enum err_code code = line_template_add(&ig->lines, comment, key, type, out_line, err);
    mutex_unlock(&ig->mu);
    if (code != ERR_OK) {
        return code;
    }
    ig->slots[*out_line] = slot;
    ingest_scratch_reach_line(s, *out_line);
    s->seen[*out_line] = 0;
    if (s->indexed) {
        line_index_add(&s->index, &ig->lines);
    }
    return ERR_OK;
}

enum expo_format ingest_copy_comments(struct ingest *ig, struct buf *to) {
    mutex_lock(&ig->mu);
    for (uint32_t i = 0; i < ig->lines.count; i++) {
        buf_append_str(to, line_template_comment(&ig->lines, i));
    }
    buf_append_str(to, line_template_tail(&ig->lines));
    const enum expo_format format = ig->format;
    mutex_unlock(&ig->mu);
    return format;
}

struct ingest_metadata ingest_metadata(const struct ingest *ig) {
    return ig->metadata;
}

/* A family is known by its TYPE line; those that only have a HELP text are few. */
static void count_metadata(struct ingest *ig) {
    const struct line_template *const lines = &ig->lines;
    struct ingest_metadata metadata = {.bytes = lines->tail_bytes};
    for (uint32_t i = 0; i < lines->count; i++) {
        metadata.families += lines->entries[i].type != LINE_TYPE_NONE;
        metadata.bytes += lines->entries[i].comment_bytes;
    }
    ig->metadata = metadata;
    ig->counted_lines = lines->count;
}

size_t ingest_line_count(const struct ingest *ig) {
    return ig->lines.count;
}

size_t ingest_memory_bytes(const struct ingest *ig) {
    return sizeof(*ig) + line_template_memory_bytes(&ig->lines) +
           ig->slots_capacity * sizeof(ig->slots[0]) + ig->tracked_words * sizeof(ig->tracked[0]) +
           ig->zero_starts_count * sizeof(ig->zero_starts[0]) +
           start_synthesis_memory_bytes(&ig->synthesis);
}

/* ---- a scrape ---- */

void ingest_begin(struct ingest *ig, struct ingest_scratch *s) {
    const uint32_t slots = ig->group != NULL ? storage_group_slot_count(ig->storage, ig->group) : 0;
    s->slot_count = 0;
    if (slots > 0) {
        ingest_scratch_reach(s, slots - 1);
    }
    ingest_scratch_reach_line(s, ig->lines.count);
    memset(s->seen, 0, ig->lines.count + 1);
    if (s->own_tracked_words > 0) {
        memset(s->own_tracked, 0, s->own_tracked_words * sizeof(s->own_tracked[0]));
    }
    s->seen_count = 0;
    s->own_count = 0;
    ingest_extras_begin(s);
    s->order_count = 0;
    s->deviates = false;
    s->changed = false;
    s->indexed = false;
    s->tail = STR("");
    s->page_ok = false;
    s->page_failed = false;
}

/* Slots that no line of the page, and no report series, has. A series that is ended by a marker keeps
 * its place in the storage as long as that row is there. */
static void release_unseen(struct ingest *ig, const struct ingest_scratch *s) {
    const uint32_t count = ig->group != NULL ? storage_group_slot_count(ig->storage, ig->group) : 0;
    uint8_t *used = mem_zalloc(count + (size_t)1);
    for (uint32_t i = 0; i < ig->lines.count; i++) {
        if ((s->seen[i] & SEEN) != 0 && ig->slots[i] < count) {
            used[ig->slots[i]] = 1;
        }
    }
    for (size_t i = 0; i < COUNT_OF(ig->report_slots); i++) {
        if (ig->report_slots[i] < count) {
            used[ig->report_slots[i]] = 1;
        }
    }
    if (ig->reason != FAILURE_NONE && ig->reason_slot < count) {
        used[ig->reason_slot] = 1;
    }
    for (uint32_t i = 0; i < ig->lines.count; i++) {
        if ((s->seen[i] & SEEN) == 0 && ig->slots[i] < count && !used[ig->slots[i]]) {
            start_synthesis_forget(&ig->synthesis, ig->slots[i]);
            storage_group_release(ig->storage, ig->group, ig->slots[i]);
        }
    }
    mem_free(used);
}

/* Lines that the page no longer has leave the cache; they stay in the template until it is
 * rebuilt, as the next page may have them again in the same place. */
static void flush_unseen(struct ingest *ig, const struct ingest_scratch *s) {
    if (s->seen_count + ig->unresolved != ig->lines.count) {
        release_unseen(ig, s);
        ig->unresolved = 0;
        for (uint32_t i = 0; i < ig->lines.count; i++) {
            if ((s->seen[i] & SEEN) == 0) {
                ingest_set_slot(ig, i, LINE_UNRESOLVED);
            }
            ig->unresolved += ig->slots[i] == LINE_UNRESOLVED;
        }
    }
    ig->count_at_success = ig->lines.count - ig->unresolved;
}

static void rebuild(struct ingest *ig, struct ingest_scratch *s, struct str body) {
    uint32_t *const slots = mem_array(s->order_count, sizeof(slots[0]));
    for (size_t i = 0; i < s->order_count; i++) {
        slots[i] = ig->slots[s->order[i].entry];
    }
    struct err err;
    mutex_lock(&ig->mu);
    const enum err_code code =
        line_template_rebuild(&ig->lines, s->order, s->order_count, body, s->tail, &err);
    ig->format = code == ERR_OK ? s->parser.format : ig->format;
    ig->mixed = ig->mixed && code != ERR_OK;
    mutex_unlock(&ig->mu);
    if (code != ERR_OK) { /* too large: the old one goes on */
        mem_free(slots);
        return;
    }
    release_slots(ig);
    ig->slots = slots;
    ig->slots_capacity = (uint32_t)s->order_count;
    ig->unresolved = 0;
    for (uint32_t i = 0; i < ig->lines.count; i++) {
        ig->unresolved += slots[i] == LINE_UNRESOLVED;
    }
}

/* A template that changes with every page would be shared in vain. */
static void share(struct ingest *ig, bool changed) {
    if (ig->blobs != NULL && !(changed && ig->restless)) {
        mutex_lock(&ig->mu);
        line_template_share(&ig->lines, ig->blobs);
        mutex_unlock(&ig->mu);
        share_slots(ig);
    }
    ig->restless = changed;
}

void ingest_flush(struct ingest *ig, struct ingest_scratch *s, struct str body) {
    flush_unseen(ig, s);
    ig->deviations += s->deviates;
    if (s->deviates && (s->changed || ig->deviations >= DEVIATIONS_MAX)) {
        rebuild(ig, s, body);
        ig->deviations = 0;
    }
    if (s->changed || ig->counted_lines != ig->lines.count) {
        count_metadata(ig);
    }
    share(ig, s->changed);
}

bool ingest_must_flush(const struct ingest *ig) {
    return ig->lines.count > 2 * (size_t)ig->count_at_success + FORCED_FLUSH_BASE;
}

/* ---- staleness ---- */

/* A bit for each of eight states that is not SLOT_ABSENT. */
static uint64_t present_of_eight(const uint8_t *states) {
    const uint64_t low = UINT64_C(0x7F7F7F7F7F7F7F7F);
    const uint64_t x = load_u64(states) ^ SLOT_ABSENT * UINT64_C(0x0101010101010101);
    const uint64_t high_bits = (((x & low) + low) | x) & ~low;
    return (high_bits >> 7) * UINT64_C(0x0102040810204080) >> 56; /* each to its place on top */
}

static uint64_t tracked_now(const struct ingest_scratch *s, uint32_t word) {
    uint64_t bits = word < s->own_tracked_words ? s->own_tracked[word] : 0;
    const uint32_t first = word * 64;
    uint32_t i = 0;
    for (; i < 64 && first + i + 8 <= s->slot_count; i += 8) {
        bits |= present_of_eight(s->states + first + i) << i;
    }
    for (; i < 64 && first + i < s->slot_count; i++) {
        bits |= (uint64_t)(s->states[first + i] != SLOT_ABSENT) << i;
    }
    return bits;
}

static void reserve_tracked(struct ingest *ig, uint32_t words) {
    if (words > ig->tracked_words) {
        ig->tracked = mem_resize(ig->tracked, words, sizeof(ig->tracked[0]));
        memset(ig->tracked + ig->tracked_words, 0,
               (words - ig->tracked_words) * sizeof(ig->tracked[0]));
        ig->tracked_words = words;
    }
}

static void mark_stale(struct ingest *ig, struct ingest_scratch *s, uint32_t word, uint64_t bits) {
    for (; bits != 0; bits &= bits - 1) {
        const uint32_t slot = word * 64 + (uint32_t)__builtin_ctzll(bits);
        start_synthesis_forget(&ig->synthesis, slot);
        ingest_scratch_reach(s, slot);
        s->states[slot] = SLOT_STALE;
    }
}

/* Markers for series of the previous scrape that this one does not have; what this one has is
 * remembered for the next. A failed page is rolled back, but the series it had reached count as
 * seen: they get no marker. */
static void track(struct ingest *ig, struct ingest_scratch *s) {
    reserve_tracked(ig, s->slot_count / 64 + (s->slot_count % 64 != 0));
    for (uint32_t word = 0; word < ig->tracked_words; word++) {
        const uint64_t now = tracked_now(s, word);
        const uint64_t missing = ig->tracked[word] & ~now;
        ig->tracked[word] = now;
        for (uint32_t i = word * 64; s->page_failed && i < word * 64 + 64 && i < s->slot_count;
             i++) {
            s->states[i] = SLOT_ABSENT;
        }
        mark_stale(ig, s, word, missing);
    }
    if (s->page_failed) {
        s->own_count = 0;
        s->zero_count = 0;
        s->exemplar_count = 0;
    }
}

/* A series whose sample was refused is not tracked. Its marker would be refused as well. */
static void untrack_rejected(struct ingest *ig, const struct ingest_scratch *s, uint32_t count) {
    for (uint32_t slot = 0; slot < count; slot++) {
        if (s->rejects[slot] != ERR_OK) {
            ig->tracked[slot / 64] &= ~(UINT64_C(1) << slot % 64);
            start_synthesis_forget(&ig->synthesis, slot);
        }
    }
}

/* ---- report series ---- */

static enum err_code resolve_reports(struct ingest *ig, struct ingest_scratch *s,
                                     struct labels target, int from, int to, struct err *err) {
    for (int i = from; i < to; i++) {
        const struct labels labels =
            sample_labels_report(&s->arena, str_of(report_names[i]), target);
        const enum err_code code =
            storage_group_series(ig->storage, ig->group, labels, &ig->report_slots[i], err);
        if (code != ERR_OK) {
            return err_wrap(err, "report series %s", report_names[i]);
        }
    }
    return ERR_OK;
}

static void put_report(const struct ingest *ig, struct ingest_scratch *s, enum report_series which,
                       struct num value) {
    const uint32_t slot = ig->report_slots[which];
    ingest_scratch_reach(s, slot);
    s->states[slot] = SLOT_VALUE;
    s->values[slot] = value;
}

/* scrape_failure_reason: one series while the target fails, of the reason it fails for. The one of
 * another reason, and that of a target that is up again, ends. It is no loss where the storage is
 * full. */
static void put_reason(struct ingest *ig, struct ingest_scratch *s,
                       const struct ingest_scrape *scrape, enum scrape_failure reason) {
    if (ig->reason != FAILURE_NONE && ig->reason != reason) {
        ingest_scratch_reach(s, ig->reason_slot);
        s->states[ig->reason_slot] = SLOT_STALE;
        storage_group_release(ig->storage, ig->group, ig->reason_slot);
        ig->reason = FAILURE_NONE;
    }
    if (reason == FAILURE_NONE || (scrape->features & SCRAPE_REASONS) == 0) {
        return;
    }
    if (ig->reason == FAILURE_NONE) {
        const struct labels labels =
            sample_labels_reason(&s->arena, scrape_failure_name(reason), scrape->target);
        struct err err;
        if (storage_group_series(ig->storage, ig->group, labels, &ig->reason_slot, &err) !=
            ERR_OK) {
            return;
        }
        ig->reason = reason;
    }
    ingest_scratch_reach(s, ig->reason_slot);
    s->states[ig->reason_slot] = SLOT_VALUE;
    s->values[ig->reason_slot] = num_of_i64(1);
}

static struct num fraction(int64_t m, uint8_t scale) {
    while (scale > 0 && m % 10 == 0) {
        m /= 10;
        scale--;
    }
    return (struct num){.m = m, .scale = scale, .kind = NUM_DECIMAL};
}

static enum err_code put_reports(struct ingest *ig, struct ingest_scratch *s,
                                 const struct ingest_scrape *scrape,
                                 const struct ingest_report *report, struct err *err) {
    const bool extra =
        scrape->config->extra_metrics ||
        (scrape->config->default_extra_metrics && (scrape->features & SCRAPE_EXTRA_METRICS) != 0);
    enum err_code code = ERR_OK;
    if (!ig->has_reports) {
        code = resolve_reports(ig, s, scrape->target, 0, REPORT_TIMEOUT, err);
        ig->has_reports = code == ERR_OK;
    }
    if (code == ERR_OK && extra && !ig->has_extra_reports) {
        code = resolve_reports(ig, s, scrape->target, REPORT_TIMEOUT, REPORT_COUNT, err);
        ig->has_extra_reports = code == ERR_OK;
    }
    if (code != ERR_OK) {
        return code;
    }
    put_reason(ig, s, scrape, report->failure);
    const int64_t duration_ns = report->duration_ns > 0 ? report->duration_ns : 0;
    put_report(ig, s, REPORT_UP, num_of_i64(report->up));
    put_report(ig, s, REPORT_DURATION, fraction(duration_ns % NUM_MANTISSA_LIMIT, 9));
    put_report(ig, s, REPORT_SCRAPED, num_of_i64((int64_t)scrape->scraped));
    put_report(ig, s, REPORT_ADDED, num_of_i64((int64_t)scrape->added));
    put_report(ig, s, REPORT_SERIES_ADDED, num_of_i64((int64_t)scrape->series_added));
    if (extra) {
        put_report(ig, s, REPORT_TIMEOUT, fraction(scrape->timeout_ms, 3));
        put_report(ig, s, REPORT_SAMPLE_LIMIT, num_of_double((double)scrape->config->sample_limit));
        put_report(ig, s, REPORT_BODY_BYTES, num_of_i64(report->body_bytes));
    }
    return ERR_OK;
}

/* ---- rows ---- */

static enum err_code commit(struct ingest *ig, struct ingest_scratch *s, int64_t ts_ms,
                            struct storage_row_result *out, struct err *err) {
    const struct storage_row row = {
        .ts_ms = ts_ms,
        .slot_count = s->slot_count,
        .values = s->values,
        .states = s->states,
        .own_times = s->own,
        .own_time_count = s->own_count,
        .histograms = s->histograms,
        .start_ts_ms = ingest_row_starts(s),
        .exemplars = s->exemplars,
        .exemplar_count = s->exemplar_count,
        .rejects = ingest_row_rejects(s),
    };
    const uint32_t tracked = ig->tracked_words * 64;
    ingest_commit_zeros(ig, s);
    const enum err_code code = storage_group_commit(ig->storage, ig->group, &row, out, err);
    if ((out->out_of_order | out->duplicate | out->too_old | out->out_of_bounds) != 0) {
        untrack_rejected(ig, s, s->slot_count < tracked ? s->slot_count : tracked);
    }
    trim(s);
    return code;
}

enum err_code ingest_commit(struct ingest *ig, struct ingest_scratch *s,
                            struct ingest_scrape *scrape, const struct ingest_report *report,
                            struct err *err) {
    enum err_code code = ingest_open_group(ig, scrape->target, err);
    if (code != ERR_OK) {
        return code;
    }
    track(ig, s);
    code = put_reports(ig, s, scrape, report, err);
    if (code != ERR_OK) {
        return code;
    }
    struct storage_row_result result = {0};
    code = commit(ig, s, scrape->ts_ms, &result, err);
    scrape->out_of_order += result.out_of_order;
    scrape->duplicates += result.duplicate;
    scrape->out_of_bounds += (uint64_t)result.too_old + result.out_of_bounds;
    scrape->exemplars_out_of_order += result.exemplars_out_of_order;
    return code;
}

enum err_code ingest_end(struct ingest *ig, struct ingest_scratch *s, int64_t ts_ms,
                         struct err *err) {
    if (ig->group == NULL) {
        return ERR_OK;
    }
    ingest_begin(ig, s);
    track(ig, s); /* nothing was seen: everything ends */
    const int reports = ig->has_extra_reports ? REPORT_COUNT : REPORT_TIMEOUT;
    for (int i = 0; ig->has_reports && i < reports; i++) {
        ingest_scratch_reach(s, ig->report_slots[i]);
        s->states[ig->report_slots[i]] = SLOT_STALE;
    }
    if (ig->reason != FAILURE_NONE) {
        ingest_scratch_reach(s, ig->reason_slot);
        s->states[ig->reason_slot] = SLOT_STALE;
    }
    struct storage_row_result result = {0};
    return commit(ig, s, ts_ms, &result, err);
}
