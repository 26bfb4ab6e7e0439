/* From the text of a page to the row.
 *
 * A page is read by two loops that hand over to each other. known_lines runs while the page is
 * what the template says: one comparison for comment and key, one number, one store. At the
 * first line it does not recognise at once, other_line reads one sample with the parser, finds
 * its entry (a few places ahead, then by the index) or resolves a new series, and lets
 * known_lines go on behind that entry. Whatever known_lines cannot do in its few steps (odd
 * blanks, values it cannot read, the last bytes of the body) it leaves to other_line, which alone
 * reports errors: both must agree on every page, and tests compare them.
 *
 * From the first deviation on, lines are noted in scratch->order; a successful scrape that met new
 * or moved lines rebuilds the template from them, so that the next page is known again. */
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/bytes.h"
#include "base/check.h"
#include "base/histogram.h"
#include "base/mem.h"
#include "scrape/expo_openmetrics.h"
#include "scrape/ingest.h"
#include "scrape/ingest_row.h"
#include "scrape/page_reader.h"
#include "scrape/sample_labels.h"

/* Entries that are tried before the index when a line is not the expected one. */
enum { LOOK_AHEAD = 4 };

/* Bytes that known_lines may read behind a key: the blank and two vectors. */
enum { READ_AHEAD = 40 };

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

/* A sample of a line that is resolved already. */
static enum err_code known_sample(struct page_reader *r, uint32_t line,
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
        return ERR_OK;
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

/* ---- lines as expected ---- */

/* Bytes up to the blank or line break that ends a value; 0 when it is not within reach. */
static ALWAYS_INLINE size_t value_length(const char *p) {
#ifdef __SSE2__
    const __m128i newline = _mm_set1_epi8('\n');
    const __m128i blank = _mm_set1_epi8(' ');
    for (size_t i = 0; i < 32; i += 16) {
        const __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
        const __m128i hit = _mm_or_si128(_mm_cmpeq_epi8(x, newline), _mm_cmpeq_epi8(x, blank));
        const unsigned mask = (unsigned)_mm_movemask_epi8(hit);
        if (mask != 0) {
            return i + (size_t)__builtin_ctz(mask);
        }
    }
    return 0;
#else
    for (size_t i = 0; i < 32; i++) {
        if (p[i] == '\n' || p[i] == ' ') {
            return i;
        }
    }
    return 0;
#endif
}

/* The number of the first n digits of a word, 1 to 8; -1 when they are not digits. All at once, after
 * Lemire, "Quickly parsing eight digits" (2018). */
static ALWAYS_INLINE int64_t digits_word(uint64_t word, unsigned n) {
    const unsigned unused = 64 - 8 * n;
    const uint64_t digits = (word ^ UINT64_C(0x3030303030303030)) << unused;
    if ((((digits + UINT64_C(0x7676767676767676)) | digits) & UINT64_C(0x8080808080808080)) != 0) {
        return -1;
    }
    const uint64_t pairs = digits * 10 + (digits >> 8);
    const uint64_t low = UINT64_C(0x000000FF000000FF);
    return (int64_t)(((pairs & low) * (100 + (UINT64_C(1000000) << 32)) +
                      (pairs >> 16 & low) * (1 + (UINT64_C(10000) << 32))) >>
                     32);
}

/* The number of n digits at p, where READ_AHEAD bytes may be read; -1 for anything else. */
static ALWAYS_INLINE int64_t integer_of(const char *p, size_t n) {
    if (n - 1 < 8) {
        return digits_word(load_u64(p), (unsigned)n);
    }
    if (n - 9 >= 7) { /* 16 digits may pass the limit of a mantissa */
        return -1;
    }
    const int64_t high = digits_word(load_u64(p), (unsigned)n - 8);
    const int64_t low = digits_word(load_u64(p + n - 8), 8);
    return high < 0 || low < 0 ? -1 : high * 100000000 + low;
}

/* Most values are integers of a few digits. */
static ALWAYS_INLINE bool read_value(const char *p, size_t n, struct num *out) {
    const int64_t integer = integer_of(p, n);
    if (LIKELY(integer >= 0)) {
        *out = num_of_i64(integer);
        return true;
    }
    return num_parse((struct str){p, n}, out) == NUMBER_OK;
}

/* " 1234\n": the timestamp, and the offset of the line break; 0 when it is anything else. */
static size_t timestamp_length(const char *p, const char *end, int64_t *out_ms) {
    int64_t ms = 0;
    size_t i = 1;
    while (i <= 18 && p + i < end && p[i] >= '0' && p[i] <= '9') {
        ms = ms * 10 + (p[i] - '0');
        i++;
    }
    if (i == 1 || p + i >= end || p[i] != '\n') {
        return 0;
    }
    *out_ms = ms;
    return i;
}

/* What follows a known line's value that ends in a blank: the offset of the line break, or 0 when
 * it is nothing that known_lines takes. */
static size_t rest_length(struct page_reader *r, const char *line, const char *p,
                          struct expo_entry *sample) {
    struct expo_parser *const parser = &r->s->parser;
    if (parser->format == EXPO_FORMAT_TEXT) {
        sample->has_timestamp = true;
        return timestamp_length(p, r->body.ptr + r->body.len, &sample->timestamp_ms);
    }
    const size_t at = (size_t)(p - r->body.ptr);
    return expo_openmetrics_rest(parser, (size_t)(line - r->body.ptr), at, sample)
               ? parser->at - 1 - at
               : 0;
}

static void note_line(struct ingest_scratch *s, struct line_seen line) {
    if ((s->seen[line.entry] & NOTED) != 0) {
        return;
    }
    s->seen[line.entry] |= NOTED;
    if (s->order_count == s->order_capacity) {
        s->order_capacity = mem_grow(s->order_capacity, s->order_count + 1);
        s->order = mem_resize(s->order, s->order_capacity, sizeof(s->order[0]));
    }
    s->order[s->order_count++] = line;
}

void page_start_noting(struct page_reader *r) {
    if (!r->s->deviates) {
        r->s->deviates = true;
        for (uint32_t i = 0; i < r->next; i++) {
            note_line(r->s, (struct line_seen){.entry = i, .comment_at = LINE_NONE});
        }
    }
}

/* What known_lines does not do in place: own timestamps, duplicates, limits, noting lines. False
 * leaves the line to other_line, untouched. */
static bool known_line_rest(struct page_reader *r, uint32_t line, struct expo_entry *sample) {
    if (r->ig->slots[line] == LINE_UNRESOLVED || r->s->own_count >= OWN_TIMES_MAX) {
        return false;
    }
    if (r->s->deviates) {
        note_line(r->s, (struct line_seen){.entry = line, .comment_at = LINE_NONE});
    }
    page_take_exemplar(r, sample);
    struct err err;
    const enum err_code code = known_sample(r, line, sample, &err);
    ASSERT(code == ERR_OK); /* its one error was excluded above */
    return true;
}

/* memcmp in place: a call of it costs as much as what it does for a line. */
static ALWAYS_INLINE bool same_bytes(const char *a, const char *b, size_t n) {
#ifdef __SSE2__
    if (LIKELY(n >= 16)) {
        __m128i differ = _mm_setzero_si128();
        for (size_t i = 0; i < n; i += 16) {
            const size_t from = i < n - 16 ? i : n - 16; /* the last 16 bytes overlap */
            const __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(a + from));
            const __m128i y = _mm_loadu_si128((const __m128i *)(const void *)(b + from));
            differ = _mm_or_si128(differ, _mm_xor_si128(x, y));
        }
        const __m128i same = _mm_cmpeq_epi8(differ, _mm_setzero_si128());
        return _mm_movemask_epi8(same) == 0xFFFF;
    }
#endif
    return memcmp(a, b, n) == 0;
}

/* Does the page go on with this entry at at? */
static ALWAYS_INLINE bool line_is(const struct page_reader *r, struct line_entry entry,
                                  const char *at) {
    const size_t n = (size_t)entry.comment_bytes + entry.key_bytes;
    return (size_t)(r->readable_end - at) >= n + READ_AHEAD &&
           same_bytes(r->ig->lines.text + entry.text_at, at, n) && at[n] == ' ';
}

/* Lines that vanished with what was before them unchanged: the entry with which the page goes on
 * at at, or LINE_NONE. */
static uint32_t skip_vanished(struct page_reader *r, uint32_t next, const char *at) {
    const struct line_template *const lines = &r->ig->lines;
    for (uint32_t i = next + 1; i < lines->count && i < next + LOOK_AHEAD; i++) {
        if (line_is(r, lines->entries[i], at)) {
            r->next = next;
            page_start_noting(r);
            return i;
        }
    }
    return LINE_NONE;
}

HOT static void known_lines(struct page_reader *r) {
    struct ingest_scratch *const s = r->s;
    const struct line_template *const lines = &r->ig->lines;
    const char *at = r->body.ptr + r->at;
    const char *const end = r->body.ptr + r->body.len;
    uint32_t next = r->next;
    uint64_t stored = 0;
    if (r->at >= r->body.len || r->ig->mixed) {
        return;
    }
    while (next < lines->count) {
        if (UNLIKELY(!line_is(r, lines->entries[next], at))) {
            const uint32_t found = skip_vanished(r, next, at);
            if (found == LINE_NONE) {
                break;
            }
            next = found;
        }
        const struct line_entry entry = lines->entries[next];
        const char *line_end = at + entry.comment_bytes + entry.key_bytes + 1;
        const size_t length = value_length(line_end);
        struct expo_entry sample;
        if (line_end + length >= end || !read_value(line_end, length, &sample.value)) {
            break;
        }
        line_end += length;
        const uint32_t slot = r->ig->slots[next];
        if (LIKELY(*line_end == '\n' && slot <= LINE_SLOT_MAX && !s->deviates &&
                   s->seen[next] == 0 && s->states[slot] == SLOT_ABSENT &&
                   r->reached + stored < r->sample_limit)) {
            s->values[slot] = sample.value;
            s->states[slot] = SLOT_VALUE;
            s->seen[next] = SEEN;
            stored++;
        } else {
            const bool more_follows = *line_end == ' ';
            const char *const line = at + entry.comment_bytes;
            sample.has_timestamp = false;
            sample.histogram = NULL;
            sample.over_bucket_limit = false;
            sample.invalid = NULL;
            sample.start_ts_ms = 0;
            sample.exemplar_count = 0;
            s->parser.exemplar.present = false;
            const size_t more = more_follows ? rest_length(r, line, line_end, &sample) : 0;
            r->reached += stored;
            r->scrape->scraped += stored;
            r->scrape->added += stored;
            s->seen_count += (uint32_t)stored;
            stored = 0;
            if ((more_follows && more == 0) || !known_line_rest(r, next, &sample)) {
                break;
            }
            line_end += more;
        }
        if (entry.type != LINE_TYPE_NONE) {
            r->type = (enum expo_type)entry.type;
        }
        at = line_end + 1;
        next++;
    }
    r->reached += stored;
    r->scrape->scraped += stored;
    r->scrape->added += stored;
    s->seen_count += (uint32_t)stored;
    r->at = (size_t)(at - r->body.ptr);
    r->next = next;
}

/* ---- other lines ---- */

static uint32_t find_line(struct page_reader *r, struct str key) {
    const struct line_template *const lines = &r->ig->lines;
    struct ingest_scratch *const s = r->s;
    for (uint32_t i = r->next; i < lines->count && i < r->next + LOOK_AHEAD; i++) {
        if (str_eq(line_template_key(lines, i), key)) {
            return i;
        }
    }
    if (lines->count == 0) {
        return LINE_NONE;
    }
    if (!s->indexed) {
        line_index_build(&s->index, lines);
        s->indexed = true;
    }
    return line_index_find(&s->index, lines, key);
}

static enum err_code check_deadline(const struct page_reader *r, struct err *err) {
    const struct ingest_scrape *const scrape = r->scrape;
    if (scrape->deadline_mono_ns != 0 && r->resolved % SERIES_PER_CHECK == 0 &&
        clock_mono_ns(scrape->clock) > scrape->deadline_mono_ns) {
        return err_set(err, ERR_TIMEOUT,
                       "resolving new series took longer than the scrape interval");
    }
    return ERR_OK;
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
        exposed = expo_labels(&s->parser, &s->arena, &n);
    }
    if (code != ERR_OK) {
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
    if (code != ERR_OK || !pass_limits(r, sample, own_time)) {
        return code;
    }
    if (sample->invalid != NULL) {
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

/* A sample whose series is not in the cache. line: its entry, or LINE_NONE. */
static enum err_code new_sample(struct page_reader *r, struct str comment, uint32_t type,
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
    put_sample(r, slot, sample, own_time);
    return ERR_OK;
}

/* Parses up to the next sample or the end. *out_type: of the last TYPE line passed. */
static enum err_code next_sample(struct page_reader *r, struct expo_entry *out, uint32_t *out_type,
                                 struct err *err) {
    struct expo_parser *const parser = &r->s->parser;
    *out_type = LINE_TYPE_NONE;
    expo_seek(parser, r->at, r->type);
    for (;;) {
        const enum err_code code = expo_next(parser, out, err);
        if (code != ERR_OK || out->kind == EXPO_SAMPLE || out->kind == EXPO_END) {
            return code;
        }
        if (out->kind == EXPO_TYPE) {
            *out_type = parser->type;
        }
    }
}

static enum err_code other_line(struct page_reader *r, bool *out_end, struct err *err) {
    struct ingest_scratch *const s = r->s;
    struct expo_entry sample;
    uint32_t type = LINE_TYPE_NONE;
    enum err_code code = next_sample(r, &sample, &type, err);
    if (code != ERR_OK) {
        return code;
    }
    const struct str comment = str_sub(r->body, r->at, sample.begin - r->at);
    if (sample.kind == EXPO_END) {
        s->tail = comment;
        *out_end = true;
        return ERR_OK;
    }
    page_take_exemplar(r, &sample);
    code = page_take_sample(r, comment, type, &sample, err);
    r->type = s->parser.type;
    r->at = s->parser.at;
    return code;
}

enum err_code page_take_sample(struct page_reader *r, struct str comment, uint32_t type,
                               struct expo_entry *sample, struct err *err) {
    struct ingest_scratch *const s = r->s;
    uint32_t line = find_line(r, sample->series);
    enum err_code code = ERR_OK;
    const bool again = line != LINE_NONE && s->seen[line] != 0;
    const uint32_t count_before = r->ig->lines.count;
    const bool as_expected = line == r->next && line != LINE_NONE &&
                             str_eq(comment, line_template_comment(&r->ig->lines, line));
    if (!as_expected) {
        page_start_noting(r);
    }
    if (line != LINE_NONE && r->ig->slots[line] != LINE_UNRESOLVED) {
        code = known_sample(r, line, sample, err);
    } else {
        code = new_sample(r, comment, type, sample, &line, err);
    }
    if (code != ERR_OK || line == LINE_NONE) {
        return code;
    }
    if (!again) {
        const bool is_new = line == count_before;
        const bool moved = line < r->next || line >= r->next + LOOK_AHEAD;
        s->changed |= moved || !str_eq(comment, line_template_comment(&r->ig->lines, line));
        if (s->deviates) {
            note_line(s, (struct line_seen){.entry = line,
                                            .comment_at = (uint32_t)(comment.ptr - r->body.ptr),
                                            .comment_bytes = (uint32_t)comment.len,
                                            .type = type});
        }
        /* A new line among known ones does not say where the page goes on. */
        r->next = is_new && r->next != line ? r->next : line + 1;
    }
    return ERR_OK;
}

/* The comments of a template are those of one format: a page of the other is read by other_line
 * alone, and the template is made anew from it. */
static void take_format(struct page_reader *r) {
    struct ingest *const ig = r->ig;
    const enum expo_format format = r->scrape->format;
    if (ig->format == format && !ig->mixed) {
        return;
    }
    mutex_lock(&ig->mu);
    ig->mixed = ig->lines.count > 0;
    ig->format = ig->mixed ? ig->format : format;
    mutex_unlock(&ig->mu);
    if (ig->mixed) {
        page_start_noting(r);
        r->s->changed = true;
    }
}

static enum err_code read_page(struct page_reader *r, struct err *err) {
    take_format(r);
    if (page_by_entries(r->scrape)) {
        const enum err_code code = page_read_entries(r, err);
        if (code != ERR_OK) {
            return code;
        }
    } else {
        for (bool end = false; !end;) {
            known_lines(r);
            const enum err_code code = other_line(r, &end, err);
            if (code != ERR_OK) {
                return code;
            }
        }
    }
    if (r->next != r->ig->lines.count) {
        page_start_noting(r);
    }
    if (!str_eq(r->s->tail, line_template_tail(&r->ig->lines))) {
        page_start_noting(r);
        r->s->changed = true;
    }
    if (r->scrape->sample_limit_hit) {
        return err_set(err, ERR_LIMIT, "sample limit exceeded");
    }
    if (r->scrape->bucket_limit_hit) {
        return err_set(err, ERR_LIMIT, "histogram bucket limit exceeded");
    }
    return ERR_OK;
}

enum err_code ingest_page(struct ingest *ig, struct ingest_scratch *s, struct ingest_scrape *scrape,
                          struct str body, size_t readable_bytes, struct err *err) {
    ASSERT(!s->page_ok && !s->page_failed);
    enum err_code code = ingest_open_group(ig, scrape->target, err);
    if (code == ERR_OK && body.len >= UINT32_MAX) {
        code = err_set(err, ERR_LIMIT, "body size limit exceeded");
    }
    struct str text = body;
    if (code == ERR_OK) {
        const uint64_t limit = scrape->config->sample_limit;
        struct page_reader r = {
            .ig = ig,
            .s = s,
            .scrape = scrape,
            .body = body,
            .readable_end = body.ptr + body.len + readable_bytes,
            .sample_limit = limit != 0 ? limit : UINT64_MAX,
            .type = EXPO_UNKNOWN,
        };
        expo_init(&s->parser, scrape->format, body);
        ingest_scratch_reach_line(s, ig->lines.count);
        code = read_page(&r, err);
        text = r.body;
    }
    s->page_ok = code == ERR_OK;
    s->page_failed = !s->page_ok;
    if (s->page_ok) {
        ingest_flush(ig, s, text);
    } else if (ingest_must_flush(ig)) {
        scrape->flush_forced = true;
        ingest_flush(ig, s, text);
    }
    return code;
}
