/* Matchers to series of a partition.
 *
 * METHOD. As in the head (index_match.c), each matcher becomes a bitmap over the target sets and one
 * over the metric sets: of sets that have an accepted value, for a matcher that does not accept
 * "" (a series needs the bit of either set); of sets that have a refused one, for all others
 * together (a series has neither). But a positive matcher of the metric name becomes ranges of
 * series, for that is how they are numbered.
 *
 * The list to walk is the cheapest of: the ranges, the series of one positive matcher's sets, all.
 * The rest filters. So {__name__="x", instance="y"} decodes the lists of one instance and looks at
 * those of its series that lie in the range of x. */
#include <string.h>

#include "base/check.h"
#include "tsdb/id_list.h"
#include "tsdb/partition_index.h"

enum { STEP = 512 };

/* How much text a matcher reads between two looks at the deadline: a regexp may take 0.1 us for each
 * state and byte. */
enum { TEXT_BETWEEN_CHECKS = 4096, VALUE_COST_BYTES = 32 };

struct range {
    uint32_t begin;
    uint32_t end;
};

struct set_bits {
    uint64_t *words;
    uint32_t count;
};

struct matched {
    struct set_bits spaces[2]; /* enum partition_space */
};

struct select {
    struct partition *p;
    struct arena *arena;
    const struct cancel *cancel;
    struct err *err;
    struct matched *positives;
    size_t positive_count;
    struct matched negative;
    bool has_negative;
    bool has_ranges;
    struct range *ranges; /* ascending, apart */
    size_t range_count;
    struct matched *walked; /* its sets' series are walked: need not be tested */
    int64_t min_ts_ms;
    int64_t max_ts_ms;
    uint8_t *in_time; /* by timeline: 0 unknown, 1 in the range, 2 out; NULL: all are in */
    struct partition_series_block block;
    struct partition_hit *hits;
    size_t hit_count;
    size_t hit_capacity;
};

static enum err_code over_budget(struct select *s) {
    return err_set(s->err, ERR_LIMIT, "query needs more memory than its budget to find series");
}

static enum err_code stopped(struct select *s) {
    const enum err_code code = cancel_check(s->cancel);
    return code == ERR_OK ? ERR_OK
                          : err_set(s->err, code, "query stopped while it looked for series");
}

/* ---- bits ---- */

static bool bit_get(const struct set_bits *b, uint32_t i) {
    return (b->words[i / 64] >> i % 64 & 1) != 0;
}

static void bits_set_run(uint64_t *words, uint32_t start, uint32_t end) {
    for (uint32_t i = start; i < end; i++) {
        if (i % 64 == 0 && end - i >= 64) {
            words[i / 64] = UINT64_MAX;
            i += 63;
        } else {
            words[i / 64] |= UINT64_C(1) << i % 64;
        }
    }
}

static enum err_code bits_new(struct select *s, struct set_bits *b, uint32_t count) {
    const size_t words = (size_t)count / 64 + 1;
    b->count = count;
    b->words = arena_try_alloc(s->arena, words, sizeof(*b->words));
    if (b->words == NULL) {
        return over_budget(s);
    }
    memset(b->words, 0, words * sizeof(*b->words));
    return ERR_OK;
}

static enum err_code matched_new(struct select *s, struct matched *m) {
    const enum err_code code = bits_new(s, &m->spaces[PARTITION_TARGETS], s->p->info.target_count);
    return code != ERR_OK ? code
                          : bits_new(s, &m->spaces[PARTITION_METRICS], s->p->info.metric_count);
}

/* ---- what values become ---- */

/* Postings of ascending values. */
struct posting_reader {
    const struct partition_list *list;
    struct cursor at;
    uint32_t next; /* item that at stands before */
    bool open;
};

static enum err_code bad_posting(struct select *s, const struct posting_reader *r) {
    return partition_bad_index(s->p, r->list->section, r->list->offset, s->err);
}

static enum err_code seek_posting(struct select *s, struct posting_reader *r, uint32_t value) {
    const uint32_t block = value / r->list->group;
    if (!r->open || r->next > value || r->next / r->list->group != block ||
        r->next % r->list->group == 0) {
        const enum err_code code = partition_list_block(s->p, r->list, block, &r->at, s->err);
        if (code != ERR_OK) {
            return code;
        }
        r->next = block * r->list->group;
        r->open = true;
    }
    for (; r->next < value; r->next++) {
        id_list_skip(&r->at);
        id_list_skip(&r->at);
    }
    return ERR_OK;
}

static enum err_code add_posting(struct select *s, struct posting_reader *r, uint32_t value,
                                 struct matched *to) {
    const enum err_code code = seek_posting(s, r, value);
    if (code != ERR_OK) {
        return code;
    }
    for (size_t space = 0; space < 2; space++) {
        struct id_list_iter it;
        uint32_t start;
        uint32_t end;
        id_list_begin(&r->at, to->spaces[space].count, &it);
        while (id_list_next(&it, &start, &end)) {
            bits_set_run(to->spaces[space].words, start, end);
        }
        if (it.from.failed || r->at.failed) {
            return bad_posting(s, r);
        }
    }
    r->next++;
    return ERR_OK;
}

/* Where accepted values go: to bitmaps, or for metric names to ranges. */
struct taker {
    struct matched *to; /* NULL: ranges */
    const struct partition_name_entry *name;
    struct posting_reader postings;
    struct range *ranges;
    size_t count;
    size_t capacity;
};

static enum err_code add_range(struct select *s, struct taker *t, uint32_t begin, uint32_t end) {
    if (t->count != 0 && t->ranges[t->count - 1].end == begin) {
        t->ranges[t->count - 1].end = end;
        return ERR_OK;
    }
    if (t->count == t->capacity) {
        const size_t capacity = t->capacity == 0 ? 4 : t->capacity * 2;
        struct range *ranges = arena_try_alloc(s->arena, capacity, sizeof(*ranges));
        if (ranges == NULL) {
            return over_budget(s);
        }
        if (t->count != 0) {
            memcpy(ranges, t->ranges, t->count * sizeof(*ranges));
        }
        t->ranges = ranges;
        t->capacity = capacity;
    }
    t->ranges[t->count++] = (struct range){begin, end};
    return ERR_OK;
}

/* values.count stands for all values. */
static enum err_code take_value(struct select *s, struct taker *t, uint32_t value) {
    if (t->to != NULL) {
        return add_posting(s, &t->postings, value, t->to);
    }
    const uint32_t count = t->name->values.count;
    uint32_t begin;
    uint32_t end;
    const enum err_code code =
        partition_name_range(s->p, value < count ? value : 0, count, &begin, &end, s->err);
    if (code != ERR_OK) {
        return code;
    }
    if (t->count != 0 && value < count && begin < t->ranges[t->count - 1].end) {
        return partition_bad_index(s->p, SECTION_METRIC_NAMES, 0, s->err);
    }
    return add_range(s, t, begin, value < count ? end : s->p->info.series_count);
}

static enum err_code take_literal(struct select *s, struct taker *t, struct str text) {
    uint32_t value;
    bool equal;
    const enum err_code code =
        partition_lower_value(s->p, &t->name->values, text, &value, &equal, s->err);
    return code == ERR_OK && equal ? take_value(s, t, value) : code;
}

/* Tests distinct values that begin with prefix; takes those for which the matcher says want. */
static enum err_code scan_values(struct select *s, struct taker *t, const struct matcher *m,
                                 bool want, struct str prefix) {
    uint32_t first = 0;
    bool equal;
    struct partition_value_iter it;
    bool more = true;
    size_t text_bytes = 0;
    enum err_code code = ERR_OK;
    if (prefix.len != 0) {
        code = partition_lower_value(s->p, &t->name->values, prefix, &first, &equal, s->err);
        if (code != ERR_OK || first == t->name->values.count) {
            return code;
        }
    }
    code = partition_value_iter_init(s->p, &t->name->values, first, &it, s->err);
    while (code == ERR_OK && more) {
        struct str value;
        bool match = false;
        code = partition_next_value(s->p, &it, &value, &more, s->err);
        if (code != ERR_OK || !more || !str_starts(value, prefix)) {
            break;
        }
        code = matcher_match_until(m, value, s->cancel, &match, s->err);
        if (code == ERR_OK && match == want) {
            code = take_value(s, t, it.next - 1);
        }
        text_bytes += VALUE_COST_BYTES + value.len;
        if (code == ERR_OK && text_bytes >= TEXT_BETWEEN_CHECKS) {
            text_bytes = 0;
            code = stopped(s);
        }
    }
    partition_value_iter_release(&it);
    return code;
}

/* The finite set of values that the matcher names, if it is that simple. */
static bool literal_values(const struct matcher *m, const struct str **out, size_t *out_count) {
    if (m->type == MATCH_EQUAL || m->type == MATCH_NOT_EQUAL) {
        *out = &m->value;
        *out_count = 1;
        return true;
    }
    const struct regex_analysis *a = regex_analyze(m->regex);
    *out = a->set;
    *out_count = a->set_count;
    return a->shape == REGEX_SHAPE_SET;
}

/* Takes the values that decide: for a positive matcher those it accepts, for a negative one those it
 * refuses. */
static enum err_code take_values(struct select *s, struct taker *t, const struct matcher *m,
                                 bool negative) {
    const bool refuses = m->type == MATCH_NOT_EQUAL || m->type == MATCH_NOT_REGEX;
    const struct str *values;
    size_t count;
    enum err_code code = ERR_OK;
    if (refuses == negative && literal_values(m, &values, &count)) {
        for (size_t i = 0; i < count && code == ERR_OK; i++) {
            code = values[i].len != 0 ? take_literal(s, t, values[i]) : ERR_OK;
        }
        return code;
    }
    const struct regex_analysis *a = m->regex != NULL ? regex_analyze(m->regex) : NULL;
    const bool names_only_empty = a == NULL && m->value.len == 0;
    const bool any_value = a != NULL && a->shape == REGEX_SHAPE_NONEMPTY;
    if ((names_only_empty && refuses != negative) || (any_value && refuses == negative)) {
        return take_value(s, t, t->name->values.count); /* l="", l!="", l=~".+", l!~".+" */
    }
    struct str prefix = {"", 0};
    if (a != NULL && refuses == negative &&
        (a->shape == REGEX_SHAPE_PREFIX || a->shape == REGEX_SHAPE_ENGINE)) {
        prefix = a->literal;
    }
    return scan_values(s, t, m, !negative, prefix);
}

/* ---- matchers ---- */

/* Both ascending. */
static enum err_code keep_common_ranges(struct select *s, const struct range *b, size_t b_count) {
    struct taker t = {0};
    enum err_code code = ERR_OK;
    for (size_t i = 0, k = 0; i < s->range_count && k < b_count && code == ERR_OK;) {
        const uint32_t begin = s->ranges[i].begin > b[k].begin ? s->ranges[i].begin : b[k].begin;
        const uint32_t end = s->ranges[i].end < b[k].end ? s->ranges[i].end : b[k].end;
        if (begin < end) {
            code = add_range(s, &t, begin, end);
        }
        if (s->ranges[i].end < b[k].end) {
            i++;
        } else {
            k++;
        }
    }
    s->ranges = t.ranges;
    s->range_count = t.count;
    return code;
}

static enum err_code add_matcher(struct select *s, const struct matcher *m) {
    const bool negative = matcher_accepts_empty(m);
    if (m->type == MATCH_REGEX && negative && regex_analyze(m->regex)->shape == REGEX_SHAPE_ANY) {
        return ERR_OK;
    }
    struct partition_name_entry name;
    bool found;
    struct taker t = {.name = &name};
    enum err_code code = partition_find_name(s->p, m->name, &name, &found, s->err);
    t.postings.list = &name.postings;
    if (code == ERR_OK && negative) {
        t.to = &s->negative;
        s->has_negative |= found;
    } else if (code == ERR_OK && !str_eq(m->name, LABEL_NAME)) {
        t.to = &s->positives[s->positive_count++];
        code = matched_new(s, t.to);
    }
    if (code == ERR_OK && found) {
        code = take_values(s, &t, m, negative);
    }
    if (code == ERR_OK && t.to == NULL) {
        code = keep_common_ranges(s, t.ranges, t.count);
        s->has_ranges = true;
    }
    return code;
}

/* ---- hits ---- */

static enum err_code add_hit(struct select *s, uint32_t series, uint32_t target, uint32_t metric) {
    if (s->hit_count == s->hit_capacity) {
        const size_t capacity = s->hit_capacity == 0 ? 64 : s->hit_capacity * 2;
        struct partition_hit *hits = arena_try_alloc(s->arena, capacity, sizeof(*hits));
        if (hits == NULL) {
            return over_budget(s);
        }
        if (s->hit_count != 0) {
            memcpy(hits, s->hits, s->hit_count * sizeof(*hits));
        }
        s->hits = hits;
        s->hit_capacity = capacity;
    }
    s->hits[s->hit_count++] =
        (struct partition_hit){.series = series, .target_set = target, .metric_set = metric};
    return ERR_OK;
}

static bool either(const struct matched *m, uint32_t target, uint32_t metric) {
    return bit_get(&m->spaces[PARTITION_TARGETS], target) ||
           bit_get(&m->spaces[PARTITION_METRICS], metric);
}

static bool passes(const struct select *s, uint32_t target, uint32_t metric) {
    if (s->has_negative && either(&s->negative, target, metric)) {
        return false;
    }
    for (size_t i = 0; i < s->positive_count; i++) {
        if (&s->positives[i] != s->walked && !either(&s->positives[i], target, metric)) {
            return false;
        }
    }
    return true;
}

static enum err_code check_time(struct select *s, uint32_t timeline, bool *out) {
    uint8_t *state = &s->in_time[timeline];
    if (*state == 0) {
        int64_t min;
        int64_t max;
        const enum err_code code = partition_timeline_range(s->p, timeline, &min, &max, s->err);
        if (code != ERR_OK) {
            return code;
        }
        *state = max >= s->min_ts_ms && min <= s->max_ts_ms ? 1 : 2;
    }
    *out = *state == 1;
    return ERR_OK;
}

static enum err_code test_series(struct select *s, uint32_t series) {
    enum err_code code = partition_series_block_load(s->p, series, &s->block, s->err);
    if (code != ERR_OK) {
        return code;
    }
    const uint32_t i = series - s->block.first;
    bool in_time = true;
    if (!passes(s, s->block.targets[i], s->block.metrics[i])) {
        return ERR_OK;
    }
    if (s->in_time != NULL) {
        code = check_time(s, s->block.timelines[i], &in_time);
    }
    return code == ERR_OK && in_time ? add_hit(s, series, s->block.targets[i], s->block.metrics[i])
                                     : code;
}

/* ---- walking ---- */

static enum err_code walk_ranges(struct select *s) {
    enum err_code code = ERR_OK;
    for (size_t r = 0; r < s->range_count && code == ERR_OK; r++) {
        for (uint32_t i = s->ranges[r].begin; i < s->ranges[r].end && code == ERR_OK; i++) {
            code = i % STEP == 0 ? stopped(s) : ERR_OK;
            code = code == ERR_OK ? test_series(s, i) : code;
        }
    }
    return code;
}

/* Called with runs of series of a set; false in *more ends the walk. */
typedef void run_fn(void *ctx, uint32_t start, uint32_t end, bool *more);

static enum err_code walk_lists(struct select *s, enum partition_space space,
                                const struct set_bits *bits, run_fn *fn, void *ctx, bool *io_more) {
    const enum partition_section section =
        space == PARTITION_TARGETS ? SECTION_TARGET_SERIES : SECTION_METRIC_SERIES;
    const struct partition_list list =
        partition_section_list(s->p, section, bits->count, PARTITION_LIST_GROUP);
    struct cursor at = {0};
    uint32_t next = 0;
    for (uint32_t w = 0; w <= bits->count / 64 && *io_more; w++) {
        for (uint64_t word = bits->words[w]; word != 0 && *io_more; word &= word - 1) {
            const uint32_t set = w * 64 + (uint32_t)__builtin_ctzll(word);
            const uint32_t block = set / list.group;
            if (next == 0 || next > set || (next - 1) / list.group != block ||
                next % list.group == 0) {
                enum err_code code = partition_list_block(s->p, &list, block, &at, s->err);
                code = code == ERR_OK ? stopped(s) : code;
                if (code != ERR_OK) {
                    return code;
                }
                next = block * list.group;
            }
            for (; next < set; next++) {
                id_list_skip(&at);
            }
            if (set % STEP == 0 && stopped(s) != ERR_OK) {
                return stopped(s);
            }
            struct id_list_iter it;
            uint32_t start;
            uint32_t end;
            id_list_begin(&at, s->p->info.series_count, &it);
            while (*io_more && id_list_next(&it, &start, &end)) {
                fn(ctx, start, end, io_more);
            }
            next++;
            if (it.from.failed || at.failed) {
                return partition_bad_index(s->p, section, 0, s->err);
            }
        }
    }
    return ERR_OK;
}

static enum err_code walk_matched(struct select *s, const struct matched *m, run_fn *fn,
                                  void *ctx) {
    bool more = true;
    const enum err_code code =
        walk_lists(s, PARTITION_TARGETS, &m->spaces[PARTITION_TARGETS], fn, ctx, &more);
    return code != ERR_OK
               ? code
               : walk_lists(s, PARTITION_METRICS, &m->spaces[PARTITION_METRICS], fn, ctx, &more);
}

struct counter {
    uint64_t count;
    uint64_t limit;
};

static void count_run(void *ctx, uint32_t start, uint32_t end, bool *more) {
    struct counter *c = ctx;
    c->count += end - start;
    *more = c->count < c->limit;
}

/* Series of the hull of the ranges, as bits. */
struct marks {
    uint64_t *words;
    uint32_t begin;
    uint32_t end;
};

static void mark_run(void *ctx, uint32_t start, uint32_t end, bool *more) {
    struct marks *m = ctx;
    (void)more;
    start = start < m->begin ? m->begin : start;
    end = end > m->end ? m->end : end;
    if (start < end) {
        bits_set_run(m->words, start - m->begin, end - m->begin);
    }
}

static enum err_code walk_sets(struct select *s) {
    if (s->range_count == 0) {
        return ERR_OK;
    }
    struct marks m = {.begin = s->ranges[0].begin, .end = s->ranges[s->range_count - 1].end};
    const size_t words = (size_t)(m.end - m.begin) / 64 + 1;
    m.words = arena_try_alloc(s->arena, words, sizeof(*m.words));
    if (m.words == NULL) {
        return over_budget(s);
    }
    memset(m.words, 0, words * sizeof(*m.words));
    enum err_code code = walk_matched(s, s->walked, mark_run, &m);
    size_t r = 0;
    for (size_t w = 0; w < words && code == ERR_OK; w++) {
        if (w % (STEP / 64) == 0) {
            code = stopped(s);
        }
        for (uint64_t word = m.words[w]; word != 0 && code == ERR_OK; word &= word - 1) {
            const uint32_t series = m.begin + (uint32_t)w * 64 + (uint32_t)__builtin_ctzll(word);
            while (r < s->range_count && s->ranges[r].end <= series) {
                r++;
            }
            if (r < s->range_count && series >= s->ranges[r].begin) {
                code = test_series(s, series);
            }
        }
    }
    return code;
}

/* Which positive matcher's sets have fewer series than the ranges; NULL: none. */
static enum err_code choose(struct select *s) {
    uint64_t best = 0;
    for (size_t r = 0; r < s->range_count; r++) {
        best += s->ranges[r].end - s->ranges[r].begin;
    }
    for (size_t i = 0; i < s->positive_count; i++) {
        struct counter c = {.limit = best};
        const enum err_code code = walk_matched(s, &s->positives[i], count_run, &c);
        if (code != ERR_OK) {
            return code;
        }
        if (c.count < best) {
            best = c.count;
            s->walked = &s->positives[i];
        }
    }
    return ERR_OK;
}

static enum err_code mark_repeats(struct select *s) {
    struct cursor from;
    const enum err_code code = partition_repeats(s->p, &from, s->err);
    if (code != ERR_OK) {
        return code;
    }
    struct id_list_iter it;
    uint32_t start = 0;
    uint32_t end = 0;
    size_t i = 0;
    id_list_begin(&from, s->p->info.series_count, &it);
    while (i < s->hit_count && id_list_next(&it, &start, &end)) {
        while (i < s->hit_count && s->hits[i].series < start) {
            i++;
        }
        for (; i < s->hit_count && s->hits[i].series < end; i++) {
            s->hits[i].repeat = true;
        }
    }
    return it.from.failed ? partition_bad_index(s->p, SECTION_REPEATS, 0, s->err) : ERR_OK;
}

static enum err_code prepare(struct select *s, size_t n, int64_t mint, int64_t maxt) {
    const struct partition_info *info = &s->p->info;
    s->positives = arena_try_alloc(s->arena, n + 1, sizeof(*s->positives));
    s->ranges = arena_try_alloc(s->arena, 1, sizeof(*s->ranges));
    if (s->positives == NULL || s->ranges == NULL) {
        return over_budget(s);
    }
    s->ranges[0] = (struct range){0, info->series_count};
    s->range_count = 1;
    s->min_ts_ms = mint;
    s->max_ts_ms = maxt;
    if (mint > info->min_ts_ms || maxt < info->max_ts_ms) {
        s->in_time = arena_try_alloc(s->arena, info->timeline_count + (size_t)1, 1);
        if (s->in_time == NULL) {
            return over_budget(s);
        }
        memset(s->in_time, 0, info->timeline_count);
    }
    partition_series_block_init(&s->block);
    return matched_new(s, &s->negative);
}

enum err_code partition_select(struct partition *p, const struct matcher *matchers, size_t n,
                               int64_t mint, int64_t maxt, struct arena *arena,
                               const struct cancel *cancel, struct partition_hit **out,
                               size_t *out_count, struct err *err) {
    struct select s = {.p = p, .arena = arena, .cancel = cancel, .err = err};
    *out = NULL;
    *out_count = 0;
    if (p->info.series_count == 0 || mint > p->info.max_ts_ms || maxt < p->info.min_ts_ms) {
        return ERR_OK;
    }
    enum err_code code = prepare(&s, n, mint, maxt);
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        code = add_matcher(&s, &matchers[i]);
    }
    code = code == ERR_OK ? choose(&s) : code;
    if (code == ERR_OK) {
        code = s.walked != NULL ? walk_sets(&s) : walk_ranges(&s);
    }
    code = code == ERR_OK ? mark_repeats(&s) : code;
    if (code == ERR_OK) {
        *out = s.hits;
        *out_count = s.hit_count;
    }
    return code;
}
