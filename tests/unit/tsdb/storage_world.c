#include "storage_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/value.h"
#include "tests/support/check_err.h"

void world_init(struct world *w) {
    *w = (struct world){0};
    snprintf(w->dir, sizeof(w->dir), "/tmp/brasa-tsdb-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    fake_clock_init(&w->clock, 1000000 * NS_PER_S);
    arena_init(&w->arena, 0);
    tsdb_options_default(&w->options);
    w->options.path = w->dir;
    w->options.clock = &w->clock.clock;
    w->options.rng = rng_seeded(7);
    w->options.shard_count = 1;
    w->options.no_background = true;
}

void world_open(struct world *w) {
    struct err err;
    assert_ok(tsdb_open(&w->options, &w->db, &w->replayed, &err), &err);
    w->st = tsdb_storage(w->db);
}

void world_close(struct world *w) {
    tsdb_close(w->db);
    w->db = NULL;
}

static void copy_dir(const char *from, const char *to) {
    char command[512];
    snprintf(command, sizeof(command), "cp -r %s/. %s/", from, to);
    assert_int_equal(system(command), 0);
}

static void remove_dir(const char *dir) {
    char command[512];
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
}

void world_crash(struct world *w) {
    char copy[64];
    snprintf(copy, sizeof(copy), "/tmp/brasa-tsdb-XXXXXX");
    assert_non_null(mkdtemp(copy));
    copy_dir(w->dir, copy);
    world_close(w);
    remove_dir(w->dir);
    memcpy(w->dir, copy, sizeof(copy));
}

void world_copy(struct world *to, const struct world *from) {
    snprintf(to->dir, sizeof(to->dir), "/tmp/brasa-tsdb-XXXXXX");
    assert_non_null(mkdtemp(to->dir));
    copy_dir(from->dir, to->dir);
    fake_clock_init(&to->clock, 1000000 * NS_PER_S);
    to->options.path = to->dir;
    to->options.clock = &to->clock.clock;
}

void world_release(struct world *w) {
    if (w->db != NULL) {
        world_close(w);
    }
    arena_release(&w->arena);
    remove_dir(w->dir);
}

struct labels world_labels(struct world *w, const char *text) {
    struct labels_builder b;
    labels_builder_init(&b, &w->arena);
    char *copy = arena_cstr(&w->arena, str_of(text));
    char *save = NULL;
    for (char *word = strtok_r(copy, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
        char *eq = strchr(word, '=');
        if (eq == NULL) {
            labels_builder_set(&b, LABEL_NAME, str_of(word));
        } else {
            *eq = '\0';
            labels_builder_set(&b, str_of(word), str_of(eq + 1));
        }
    }
    struct labels out;
    struct err err;
    assert_ok(labels_builder_finish(&b, &out, &err), &err);
    return out;
}

struct storage_group *world_group(struct world *w, const char *target) {
    struct storage_group *g;
    struct err err;
    assert_ok(storage_group_open(w->st, 0, world_labels(w, target), &g, &err), &err);
    return g;
}

uint32_t world_slot(struct world *w, struct storage_group *g, const char *labels) {
    uint32_t slot;
    struct err err;
    assert_ok(storage_group_series(w->st, g, world_labels(w, labels), &slot, &err), &err);
    return slot;
}

struct storage_row_result world_row(struct world *w, struct storage_group *g, int64_t ts_ms,
                                    const double *values, uint32_t n) {
    struct num *nums = mem_array(n + (size_t)1, sizeof(*nums));
    uint8_t *states = mem_zalloc(n + (size_t)1);
    for (uint32_t i = 0; i < n; i++) {
        nums[i] = (struct num){0};
        if (f64_is_stale(values[i])) {
            states[i] = SLOT_STALE;
        } else if (!f64_same_bits(values[i], ABSENT)) {
            states[i] = SLOT_VALUE;
            nums[i] = num_of_double(values[i]);
        }
    }
    const struct storage_row row = {
        .ts_ms = ts_ms, .slot_count = n, .values = nums, .states = states};
    struct storage_row_result result;
    struct err err;
    assert_ok(storage_group_commit(w->st, g, &row, &result, &err), &err);
    mem_free(nums);
    mem_free(states);
    return result;
}

enum err_code world_append(struct world *w, struct storage_appender *a, const char *labels,
                           int64_t ts_ms, double value) {
    return storage_append(w->st, a, world_labels(w, labels), ts_ms, value);
}

size_t world_matchers(struct world *w, const char *text, struct matcher *out, size_t max) {
    static const struct {
        const char *op;
        enum matcher_type type;
    } ops[] = {
        {"=~", MATCH_REGEX}, {"!~", MATCH_NOT_REGEX}, {"!=", MATCH_NOT_EQUAL}, {"=", MATCH_EQUAL}};
    size_t n = 0;
    char *copy = arena_cstr(&w->arena, str_of(text));
    char *save = NULL;
    for (char *word = strtok_r(copy, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
        const size_t at = strcspn(word, "=!");
        size_t i = 0;
        while (strncmp(word + at, ops[i].op, strlen(ops[i].op)) != 0) {
            i++;
            assert_true(i < COUNT_OF(ops));
        }
        assert_true(n < max);
        struct err err;
        assert_ok(matcher_init(&w->arena, ops[i].type, (struct str){word, at},
                               str_of(word + at + strlen(ops[i].op)), &out[n++], &err),
                  &err);
    }
    return n;
}

static void dump_side(struct buf *to, const char *name, const struct histogram_side *side) {
    struct histogram_cursor c = histogram_cursor_of(side);
    int32_t index;
    double count;
    while (histogram_cursor_next(&c, &index, &count)) {
        buf_printf(to, ",%s%d=", name, index);
        buf_append_number_g(to, count);
    }
}

void world_dump_histogram(struct buf *to, const struct histogram *h) {
    static const char *const hints[] = {"", "reset", "same", "gauge"};
    if (f64_is_stale(h->sum)) {
        buf_append_cstr(to, "{stale}");
        return;
    }
    buf_printf(to, "{s%d,%s,n", h->schema, hints[h->hint]);
    buf_append_number_g(to, h->count);
    buf_append_cstr(to, ",sum");
    buf_append_number_g(to, h->sum);
    buf_append_cstr(to, ",zt");
    buf_append_number_g(to, h->zero_threshold);
    buf_append_cstr(to, ",z");
    buf_append_number_g(to, h->zero_count);
    dump_side(to, "+", &h->positive);
    dump_side(to, "-", &h->negative);
    for (uint32_t i = 0; i < h->bound_count; i++) {
        buf_append_cstr(to, ",b");
        buf_append_number_g(to, h->bounds[i]);
    }
    buf_append_char(to, '}');
}

static void dump_samples(struct buf *to, const struct storage_samples *s) {
    bool stale = false;
    for (size_t i = 0; i < s->count; i++) {
        if (i != 0) {
            assert_true(s->ts[i] > s->ts[i - 1]);
        }
        buf_append_char(to, ' ');
        buf_append_i64(to, s->ts[i]);
        buf_append_char(to, ':');
        if (s->histograms != NULL && s->histograms[i] != NULL) {
            world_dump_histogram(to, s->histograms[i]);
            const bool ends = f64_is_stale(s->histograms[i]->sum);
            assert_int_equal(f64_is_stale(s->values[i]), ends); /* readers look at values alone */
            stale |= ends;
        } else if (f64_is_stale(s->values[i])) {
            buf_append_cstr(to, "stale");
            stale = true;
        } else {
            buf_append_number_g(to, s->values[i]);
        }
        if (s->start_ts != NULL && s->start_ts[i] != 0) {
            buf_append_char(to, '@');
            buf_append_i64(to, s->start_ts[i]);
        }
    }
    assert_true(s->has_stale || !stale);
}

const char *world_dump(struct world *w, const char *matchers, int64_t mint, int64_t maxt) {
    struct matcher m[16];
    const size_t n = world_matchers(w, matchers, m, COUNT_OF(m));
    struct arena arena;
    struct err err;
    struct storage_querier *q;
    struct storage_selection *sel;
    arena_init(&arena, 256 << 20);
    assert_ok(storage_querier_open(w->st, mint, maxt, &arena, NULL, &q, &err), &err);
    const struct storage_select_hints hints = {.sorted = true};
    assert_ok(storage_select(w->st, q, m, n, &hints, &sel, &err), &err);
    size_t count;
    const struct storage_series *series = storage_selection_series(w->st, sel, &count);
    struct storage_samples *samples = arena_try_alloc(&arena, count + 1, sizeof(*samples));
    assert_ok(storage_read(w->st, q, sel, 0, count, mint, maxt, &arena, samples, &err), &err);
    struct buf text;
    buf_init(&text, 1 << 28);
    for (size_t i = 0; i < count; i++) {
        if (samples[i].count == 0) {
            continue; /* may be selected or not */
        }
        labels_format_metric(
            &text, labels_merge(&arena, storage_set_labels(w->st, q, series[i].target_set),
                                storage_set_labels(w->st, q, series[i].metric_set)));
        dump_samples(&text, &samples[i]);
        buf_append_char(&text, '\n');
    }
    const char *out = arena_cstr(&w->arena, buf_str(&text));
    buf_release(&text);
    arena_release(&arena);
    return out;
}
