/* Matchers to series.
 *
 * METHOD. Each matcher becomes a bitmap over the target sets and one over the metric sets (see
 * index.h for why two sets can be judged apart):
 *   positive  does not accept "": the series needs the bit of either set
 *   negative  accepts "": the bits are those of sets with another value; the series must have none.
 *             All negatives share one pair of bitmaps.
 * How a bitmap is filled depends on what the matcher is, cheapest first: equality and sets of
 * literals look values up, ".+" and "" take the name's own postings, everything else tests each
 * distinct value of the name.
 *
 * Then one positive matcher is chosen whose sets have the fewest series; its series are listed,
 * from groups for target sets and from user lists for metric sets, and the other bitmaps filter
 * them. So the work is proportional to the best matcher's series, not to the index.
 *
 * CONCURRENCY. mu is held for one dictionary step of STEP values, one list or STEP slots at a
 * time, and never while a regular expression runs. What is added meanwhile may be seen or not. */
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "tsdb/index.h"

enum { STEP = 512 };

/* How much text a matcher reads between two looks at the deadline: a regexp may take 0.1 us for each
 * state and byte. */
enum { TEXT_BETWEEN_CHECKS = 4096, VALUE_COST_BYTES = 32 };

struct set_bits {
    uint64_t *words;
    uint32_t count; /* sets that existed when the query began */
};

struct matched { /* bitmaps of one matcher */
    struct set_bits targets;
    struct set_bits metrics;
};

struct select {
    struct index *index;
    const struct index_tables *t;
    struct arena *arena;
    const struct cancel *cancel;
    uint32_t target_count;
    uint32_t metric_count;
    uint32_t group_count;
    struct matched *positives;
    size_t positive_count;
    struct matched negative;
    bool has_negative;
    size_t chosen; /* of the positives */
    struct index_hit *hits;
    size_t hit_count;
    size_t hit_capacity;
    struct err *err;
};

static inline bool bit_get(const struct set_bits *b, uint32_t i) {
    return i < b->count && (b->words[i / 64] >> i % 64 & 1) != 0;
}

static void bits_set_run(struct set_bits *b, uint32_t start, uint32_t end) {
    end = end < b->count ? end : b->count;
    for (uint32_t i = start; i < end; i++) {
        if (i % 64 == 0 && end - i >= 64) {
            b->words[i / 64] = UINT64_MAX;
            i += 63;
        } else {
            b->words[i / 64] |= UINT64_C(1) << i % 64;
        }
    }
}

static void bits_add(struct set_bits *b, const struct postings *p) {
    struct postings_iter it = postings_begin(p);
    uint32_t start;
    uint32_t end;
    while (postings_next_run(&it, &start, &end)) {
        bits_set_run(b, start, end);
    }
}

static enum err_code over_budget(struct select *s) {
    return err_set(s->err, ERR_LIMIT, "query needs more memory than its budget to find series");
}

static enum err_code stopped(struct select *s) {
    const enum err_code code = cancel_check(s->cancel);
    return code == ERR_OK ? ERR_OK
                          : err_set(s->err, code, "query stopped while it looked for series");
}

static enum err_code bits_new(struct select *s, struct set_bits *b, uint32_t count) {
    const size_t words = ((size_t)count + 63) / 64;
    b->count = count;
    b->words = arena_try_alloc(s->arena, words, sizeof(*b->words));
    if (b->words == NULL) {
        return over_budget(s);
    }
    memset(b->words, 0, words * sizeof(*b->words));
    return ERR_OK;
}

static enum err_code matched_new(struct select *s, struct matched *m) {
    const enum err_code code = bits_new(s, &m->targets, s->target_count);
    return code != ERR_OK ? code : bits_new(s, &m->metrics, s->metric_count);
}

/* ---- one matcher to bitmaps ---- */

static void add_value(struct select *s, const struct index_space *space, struct str name,
                      struct str value, struct set_bits *bits) {
    mutex_lock(&s->index->mu);
    const uint32_t name_id = index_space_find_name(space, name);
    if (name_id != INDEX_NONE) {
        const uint32_t id = index_space_find_value(space, name_id, value);
        if (id != INDEX_NONE) {
            bits_add(bits, &space->values[id].sets);
        }
    }
    mutex_unlock(&s->index->mu);
}

static void add_all_values(struct select *s, const struct index_space *space, struct str name,
                           struct set_bits *bits) {
    mutex_lock(&s->index->mu);
    const uint32_t name_id = index_space_find_name(space, name);
    if (name_id != INDEX_NONE) {
        bits_add(bits, &space->names[name_id].sets);
    }
    mutex_unlock(&s->index->mu);
}

struct candidate {
    struct str text;
    uint32_t id;
};

/* Up to STEP values of the name from number *io_at on. */
static size_t copy_values(struct select *s, const struct index_space *space, struct str name,
                          uint32_t *io_at, struct candidate *out) {
    mutex_lock(&s->index->mu);
    const uint32_t name_id = index_space_find_name(space, name);
    size_t n = 0;
    if (name_id != INDEX_NONE) {
        const struct index_name *owner = &space->names[name_id];
        for (; *io_at < owner->value_count && n < STEP; (*io_at)++, n++) {
            const uint32_t id = owner->values[*io_at];
            out[n] = (struct candidate){index_space_text(space, id), id};
        }
    }
    mutex_unlock(&s->index->mu);
    return n;
}

/* Tests each distinct value; takes those for which the matcher says want. */
static enum err_code scan_values(struct select *s, const struct index_space *space,
                                 const struct matcher *m, bool want, struct set_bits *bits) {
    struct candidate *batch = arena_try_alloc(s->arena, STEP, sizeof(*batch));
    if (batch == NULL) {
        return over_budget(s);
    }
    uint32_t at = 0;
    size_t n;
    size_t text_bytes = 0;
    while ((n = copy_values(s, space, m->name, &at, batch)) != 0) {
        size_t kept = 0;
        for (size_t i = 0; i < n; i++) {
            bool match;
            const enum err_code code =
                matcher_match_until(m, batch[i].text, s->cancel, &match, s->err);
            if (code != ERR_OK) {
                return code;
            }
            if (match == want) {
                batch[kept++] = batch[i];
            }
            text_bytes += VALUE_COST_BYTES + batch[i].text.len;
            if (text_bytes >= TEXT_BETWEEN_CHECKS && stopped(s) != ERR_OK) {
                return stopped(s);
            }
            text_bytes %= TEXT_BETWEEN_CHECKS;
        }
        mutex_lock(&s->index->mu);
        for (size_t i = 0; i < kept; i++) {
            bits_add(bits, &space->values[batch[i].id].sets);
        }
        mutex_unlock(&s->index->mu);
        const enum err_code code = stopped(s);
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
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

/* Sets with a value that decides the matcher: for a positive one those it accepts, for a negative
 * one those it refuses. */
static enum err_code fill_space(struct select *s, const struct index_space *space,
                                const struct matcher *m, bool negative, struct set_bits *bits) {
    const bool refuses = m->type == MATCH_NOT_EQUAL || m->type == MATCH_NOT_REGEX;
    const struct str *values;
    size_t count;
    if (refuses == negative && literal_values(m, &values, &count)) {
        for (size_t i = 0; i < count; i++) {
            if (values[i].len != 0) {
                add_value(s, space, m->name, values[i], bits);
            }
        }
        return ERR_OK;
    }
    const bool is_regex = m->regex != NULL;
    const bool names_only_empty = !is_regex && m->value.len == 0;
    const bool any_value = is_regex && regex_analyze(m->regex)->shape == REGEX_SHAPE_NONEMPTY;
    if ((names_only_empty && refuses != negative) || (any_value && refuses == negative)) {
        add_all_values(s, space, m->name, bits); /* l="", l!="", l=~".+", l!~".+" */
        return ERR_OK;
    }
    return scan_values(s, space, m, !negative, bits);
}

static enum err_code add_matcher(struct select *s, const struct matcher *m) {
    const bool negative = matcher_accepts_empty(m);
    if (m->type == MATCH_REGEX && negative && regex_analyze(m->regex)->shape == REGEX_SHAPE_ANY) {
        return ERR_OK;
    }
    struct matched *to;
    if (negative) {
        to = &s->negative;
    } else {
        to = &s->positives[s->positive_count++];
        const enum err_code code = matched_new(s, to);
        if (code != ERR_OK) {
            return code;
        }
    }
    s->has_negative |= negative;
    enum err_code code = fill_space(s, &s->t->targets, m, negative, &to->targets);
    if (code == ERR_OK) {
        code = fill_space(s, &s->t->metrics, m, negative, &to->metrics);
    }
    return code;
}

/* ---- listing series ---- */

static enum err_code add_hit(struct select *s, struct index_hit hit) {
    if (s->hit_count == s->hit_capacity) {
        const size_t capacity = s->hit_capacity == 0 ? 64 : s->hit_capacity * 2;
        struct index_hit *hits = arena_try_alloc(s->arena, capacity, sizeof(*hits));
        if (hits == NULL) {
            return over_budget(s);
        }
        if (s->hit_count != 0) {
            memcpy(hits, s->hits, s->hit_count * sizeof(*hits));
        }
        s->hits = hits;
        s->hit_capacity = capacity;
    }
    s->hits[s->hit_count++] = hit;
    return ERR_OK;
}

static bool either(const struct matched *m, const struct index_hit *hit) {
    return bit_get(&m->targets, hit->target_set) || bit_get(&m->metrics, hit->metric_set);
}

static bool passes(const struct select *s, const struct index_hit *hit) {
    if (s->has_negative && either(&s->negative, hit)) {
        return false;
    }
    for (size_t i = 0; i < s->positive_count; i++) {
        if (i != s->chosen && !either(&s->positives[i], hit)) {
            return false;
        }
    }
    return true;
}

/* The group's slots, in steps. With positives the group is here for its target set, which whole
 * slots do not have; those come from the user lists. */
static enum err_code list_group(struct select *s, uint32_t group) {
    struct index *index = s->index;
    uint32_t slot = 0;
    bool more = true;
    enum err_code code = ERR_OK;
    while (more && code == ERR_OK) {
        mutex_lock(&index->mu);
        const struct index_group *g = &s->t->groups[group];
        const uint32_t end = g->slot_count - slot > STEP ? slot + STEP : g->slot_count;
        for (; slot < end && code == ERR_OK; slot++) {
            const uint32_t entry = g->slots[slot];
            if (entry == INDEX_SLOT_LOST) {
                continue;
            }
            const bool whole = (entry & INDEX_SLOT_WHOLE) != 0;
            const struct index_hit hit = {
                .group = group,
                .slot = slot,
                .target_set = whole ? 0 : g->target_set,
                .metric_set = entry & ~INDEX_SLOT_WHOLE,
            };
            if ((s->positive_count == 0 || !whole) && passes(s, &hit)) {
                code = add_hit(s, hit);
            }
        }
        more = slot < g->slot_count;
        mutex_unlock(&index->mu);
    }
    return code;
}

static enum err_code list_all_groups(struct select *s) {
    for (uint32_t group = 1; group < s->group_count; group++) {
        enum err_code code = list_group(s, group);
        if (code == ERR_OK) {
            code = stopped(s);
        }
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

/* Groups with a target set of the chosen matcher, by the chain of each set. */
static enum err_code list_target_sets(struct select *s) {
    const struct set_bits *bits = &s->positives[s->chosen].targets;
    for (uint32_t w = 0; w < (bits->count + 63) / 64; w++) {
        for (uint64_t word = bits->words[w]; word != 0; word &= word - 1) {
            const uint32_t set = w * 64 + (uint32_t)__builtin_ctzll(word);
            mutex_lock(&s->index->mu);
            uint32_t group = s->t->target_groups[set];
            mutex_unlock(&s->index->mu);
            while (group != 0) {
                enum err_code code = list_group(s, group);
                if (code == ERR_OK) {
                    code = stopped(s);
                }
                if (code != ERR_OK) {
                    return code;
                }
                mutex_lock(&s->index->mu);
                group = s->t->groups[group].next_same_target;
                mutex_unlock(&s->index->mu);
            }
        }
    }
    return ERR_OK;
}

static enum err_code list_users(struct select *s, uint32_t metric_set) {
    struct index *index = s->index;
    enum err_code code = ERR_OK;
    mutex_lock(&index->mu);
    struct index_use_iter it = index_iterate_uses(s->t, metric_set);
    struct index_hit hit = {.metric_set = metric_set};
    bool whole;
    while (code == ERR_OK && index_next_use(&it, &hit.group, &hit.slot, &whole)) {
        hit.target_set = whole ? 0 : s->t->groups[hit.group].target_set;
        /* Two sets of one series never share a name, so accepted by both cannot be; but a damaged
         * log may define such a pair, and then the groups' listing has it already. */
        if (!bit_get(&s->positives[s->chosen].targets, hit.target_set) && passes(s, &hit)) {
            code = add_hit(s, hit);
        }
    }
    mutex_unlock(&index->mu);
    return code;
}

static enum err_code list_metric_sets(struct select *s) {
    const struct set_bits *bits = &s->positives[s->chosen].metrics;
    for (uint32_t w = 0; w < (bits->count + 63) / 64; w++) {
        for (uint64_t word = bits->words[w]; word != 0; word &= word - 1) {
            enum err_code code = list_users(s, w * 64 + (uint32_t)__builtin_ctzll(word));
            if (code == ERR_OK) {
                code = stopped(s);
            }
            if (code != ERR_OK) {
                return code;
            }
        }
    }
    return ERR_OK;
}

/* How many series the matcher's sets have; stops counting at limit. */
static uint64_t series_of(struct select *s, const struct matched *m, uint64_t limit) {
    struct index *index = s->index;
    uint64_t n = 0;
    for (uint32_t w = 0; w < (m->targets.count + 63) / 64 && n < limit; w++) {
        for (uint64_t word = m->targets.words[w]; word != 0; word &= word - 1) {
            mutex_lock(&index->mu);
            uint32_t group = s->t->target_groups[w * 64 + (uint32_t)__builtin_ctzll(word)];
            for (; group != 0; group = s->t->groups[group].next_same_target) {
                n += s->t->groups[group].slot_count;
            }
            mutex_unlock(&index->mu);
        }
    }
    for (uint32_t w = 0; w < (m->metrics.count + 63) / 64 && n < limit; w++) {
        if (m->metrics.words[w] == 0) {
            continue;
        }
        mutex_lock(&index->mu);
        for (uint64_t word = m->metrics.words[w]; word != 0; word &= word - 1) {
            n += index_count_uses(s->t, w * 64 + (uint32_t)__builtin_ctzll(word));
        }
        mutex_unlock(&index->mu);
    }
    return n;
}

static void choose(struct select *s) {
    uint64_t best = UINT64_MAX;
    for (size_t i = 0; i < s->positive_count; i++) {
        const uint64_t n = series_of(s, &s->positives[i], best);
        if (n < best) {
            best = n;
            s->chosen = i;
        }
    }
}

enum err_code index_select(struct index *index, const struct index_tables *t,
                           const struct matcher *matchers, size_t n, struct arena *arena,
                           const struct cancel *cancel, struct index_hit **out, size_t *out_count,
                           struct err *err) {
    struct select s = {.index = index, .t = t, .arena = arena, .cancel = cancel, .err = err};
    enum err_code code = index_cover(index, t, cancel, err);
    if (code != ERR_OK) {
        return code;
    }
    mutex_lock(&index->mu);
    s.target_count = t->targets.sets.count;
    s.metric_count = t->metrics.sets.count;
    s.group_count = t->group_count;
    mutex_unlock(&index->mu);
    s.positives = arena_try_alloc(arena, n == 0 ? 1 : n, sizeof(*s.positives));
    if (s.positives == NULL) {
        return over_budget(&s);
    }
    code = matched_new(&s, &s.negative);
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        code = add_matcher(&s, &matchers[i]);
    }
    if (code != ERR_OK) {
        return code;
    }
    if (s.positive_count == 0) {
        code = list_all_groups(&s);
    } else {
        choose(&s);
        code = list_target_sets(&s);
        if (code == ERR_OK) {
            code = list_metric_sets(&s);
        }
    }
    if (code == ERR_OK) {
        *out = s.hits;
        *out_count = s.hit_count;
    }
    return code;
}
