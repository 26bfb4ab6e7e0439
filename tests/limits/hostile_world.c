#include "tests/limits/hostile_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/err.h"
#include "base/histogram.h"
#include "base/labels.h"
#include "base/mem.h"
#include "base/value.h"

enum { GROUPS = 10, LONG_LABEL_BYTES = 900 };

static void must(enum err_code code, const struct err *err) {
    if (code != ERR_OK) {
        (void)fprintf(stderr, "hostile_world: %s\n", err->text);
        abort();
    }
}

/* ---- data ---- */

struct filling {
    struct storage *st;
    struct storage_group *groups[GROUPS + 1]; /* the last is long_gauge's */
    uint32_t slots[GROUPS + 1];
    uint32_t wide;
    const struct histogram *histogram;
};

static void add_series(struct filling *f, size_t group, const char *name, struct label instance,
                       uint32_t i) {
    struct arena scratch;
    struct err err;
    arena_init(&scratch, 0);
    char *filler = arena_alloc(&scratch, LONG_LABEL_BYTES);
    memset(filler, 'a', LONG_LABEL_BYTES);
    const bool is_long = name[0] == 'b';
    const struct label all[] = {
        {STR("__name__"), str_of(name)},
        instance,
        {STR("i"), arena_printf(&scratch, "%u", i)},
        {STR("le"), arena_printf(&scratch, "%u", i % 13)},
        {STR("text"), arena_printf(&scratch, "%.*s%u", is_long ? (int)LONG_LABEL_BYTES : 30, filler,
                                   is_long ? i : i % 7)},
    };
    uint32_t slot = 0;
    must(storage_group_series(f->st, f->groups[group], labels_of(&scratch, all, COUNT_OF(all)),
                              &slot, &err),
         &err);
    f->slots[group] = slot + 1;
    arena_release(&scratch);
}

static void define_group(struct filling *f, size_t group, uint32_t series) {
    struct arena scratch;
    struct err err;
    arena_init(&scratch, 0);
    const struct label instance = {STR("instance"), arena_printf(&scratch, "host-%zu", group)};
    must(storage_group_open(f->st, 0, labels_of(&scratch, &instance, 1), &f->groups[group], &err),
         &err);
    if (group == GROUPS) {
        add_series(f, group, "long_gauge", instance, 0);
        arena_release(&scratch);
        return;
    }
    const uint32_t per_group = series / GROUPS;
    const uint32_t first = (uint32_t)group * per_group;
    for (uint32_t i = 0; i < per_group; i++) {
        add_series(f, group, "wide_total", instance, first + i);
        add_series(f, group, "wide_bucket", instance, first + i);
    }
    f->wide = f->slots[group];
    for (uint32_t i = 0; i < per_group / 5; i++) {
        add_series(f, group, "big_label", instance, first + i);
    }
    for (uint32_t i = 0; i < per_group / 5; i++) {
        add_series(f, group, "native", instance, first + i);
    }
    arena_release(&scratch);
}

static void write_row(struct filling *f, size_t group, int64_t at_s) {
    const uint32_t n = f->slots[group];
    struct num *values = mem_array(n, sizeof(*values));
    uint8_t *states = mem_array(n, 1);
    const struct histogram **histograms = mem_array(n, sizeof(struct histogram *));
    const uint32_t natives_from = group == GROUPS ? n : f->wide + (n - f->wide) / 2;
    for (uint32_t i = 0; i < n; i++) {
        const bool native = i >= natives_from;
        values[i] = (struct num){.m = at_s * (i % 5) + i};
        states[i] = native ? SLOT_HISTOGRAM : SLOT_VALUE;
        histograms[i] = native ? f->histogram : NULL;
    }
    const struct storage_row row = {.ts_ms = at_s * 1000 + (int64_t)group,
                                    .slot_count = n,
                                    .values = values,
                                    .states = states,
                                    .histograms = histograms};
    struct storage_row_result result;
    struct err err;
    must(storage_group_commit(f->st, f->groups[group], &row, &result, &err), &err);
    ASSERT(result.accepted == n);
    mem_free(values);
    mem_free(states);
    mem_free(histograms);
}

static void fill(struct hostile_world *w, const struct hostile_size *size) {
    struct histogram_span span = {.offset = 0, .length = 4};
    double counts[4] = {1, 2, 1, 5};
    const struct histogram histogram = {
        .count = 9,
        .sum = 5,
        .positive = {.spans = &span, .counts = counts, .span_count = 1, .count = 4}};
    struct filling f = {.st = tsdb_storage(w->db), .histogram = &histogram};
    struct err err;
    for (size_t g = 0; g <= GROUPS; g++) {
        define_group(&f, g, size->series);
    }
    const uint32_t rows = size->long_rows > size->rows ? size->long_rows : size->rows;
    for (uint32_t back = rows; back-- > 0;) {
        const int64_t at_s = HOSTILE_END_S - (int64_t)back;
        fake_clock_set_unix_ns(&w->storage_clock, at_s * NS_PER_S);
        if (back < size->long_rows) {
            write_row(&f, GROUPS, at_s);
        }
        for (size_t g = 0; g < GROUPS && back < size->rows; g++) {
            write_row(&f, g, at_s);
        }
        if (back == size->rows / 2) { /* half of it in partitions */
            must(tsdb_compact(w->db, true, &err), &err);
        }
    }
    for (size_t g = 0; g <= GROUPS; g++) {
        storage_group_close(f.st, f.groups[g]);
    }
}

/* ---- life ---- */

void hostile_world_begin(struct hostile_world *w, const struct hostile_size *size,
                         struct clock *clock) {
    struct tsdb_options db;
    struct tsdb_replay_stats stats;
    struct err err;
    w->vfs = mem_vfs_new();
    fake_clock_init(&w->storage_clock, HOSTILE_END_S * NS_PER_S);
    tsdb_options_default(&db);
    db.path = "data";
    db.vfs = mem_vfs_base(w->vfs);
    db.clock = &w->storage_clock.clock;
    db.rng = rng_seeded(1);
    db.shard_count = 1;
    db.no_background = true;
    must(tsdb_open(&db, &w->db, &stats, &err), &err);
    fill(w, size);
    struct query_options options;
    query_options_default(&options);
    options.clock = clock;
    options.workers = 0; /* who looks at the clock is then always the same */
    options.timeout_ms = 1000;
    options.experimental_functions = true;
    options.extended_range_selectors = true;
    options.max_memory_bytes = UINT64_C(1) << 28;
    options.max_total_memory_bytes = UINT64_C(1) << 30;
    w->engine = query_engine_new(&options);
}

void hostile_world_end(struct hostile_world *w) {
    query_engine_free(w->engine);
    tsdb_close(w->db);
    mem_vfs_free(w->vfs);
}

/* ---- queries ---- */

#define MANY 2, 40 /* steps: 50 of them */
static const struct hostile_query QUERIES[] = {
    /* selectors and dictionaries */
    {"wide_total", 0, 0},
    {"wide_total", MANY},
    {"{__name__=~\".+\"}", 0, 0},
    {"{__name__=~\".+\"}[5s]", 0, 0},
    {"count({i=~\"(1|2|12|21)+(3|33)?(4|5)*\"})", 0, 0},
    {"count({i!~\"(1|2|12|21)*(3|33)?(4|5)*\"})", 0, 0},
    {"count({text=~\"(a|aa|aaa)*.(a|aa)*[0-9]+\"})", 0, 0},
    {"count(big_label{text=~\".*aaa.*7\"})", 0, 0},
    {"count({i=~\"1.*\", text!=\"x\"})", 0, 0},
    {"count({__name__=~\".*((o|on|[a-z]g){1,500}.{0,9}){1,2}\"})", 0, 0},
    {"absent(wide_total{i=~\".*x(y|z)\"})", 0, 0},
    /* ranges */
    {"rate(wide_total[5s])", 0, 0},
    {"rate(wide_total[5s])", MANY},
    {"increase(wide_total[5s] smoothed)", 0, 0},
    {"increase(wide_total[5s] anchored)", 0, 0},
    {"wide_total smoothed", 0, 0},
    {"changes(wide_total[5s]) + resets(wide_total[5s])", 0, 0},
    {"quantile_over_time(0.5, wide_total[5s])", 0, 0},
    {"mad_over_time(wide_total[5s])", 0, 0},
    {"predict_linear(wide_total[5s], 10)", 0, 0},
    {"double_exponential_smoothing(wide_total[5s], 0.5, 0.5)", 0, 0},
    {"ts_of_max_over_time(wide_total[5s])", 0, 0},
    {"absent_over_time(wide_total[5s])", MANY},
    {"sum_over_time(native[5s])", 0, 0},
    {"rate(native[5s])", MANY},
    /* one long series */
    {"sum_over_time(long_gauge[1d])", 0, 0},
    {"long_gauge[1d]", 0, 0},
    {"quantile_over_time(0.9, long_gauge[1h])", 2000, 100},
    {"mad_over_time(long_gauge[1d])", 0, 0},
    {"stddev_over_time(long_gauge[1h])", 2000, 100},
    {"deriv(long_gauge[1d])", 0, 0},
    {"double_exponential_smoothing(long_gauge[1d], 0.5, 0.5)", 0, 0},
    {"rate(long_gauge[1d] smoothed)", 0, 0},
    {"long_gauge", 80000, 8000},
    /* labels */
    {"label_replace(wide_total, \"x\", \"$1\", \"text\", \"(a|aa)+(.*)\")", 0, 0},
    {"label_replace(big_label, \"x\", \"$1\", \"text\", \"(a|aa)+(.*)\")", 0, 0},
    {"label_replace(long_gauge, \"x\", \"$1\", \"__name__\", "
     "\".*((o|on|[a-z]g){1,500}.{0,9}){1,2}\")",
     0, 0},
    {"label_replace(topk(2, big_label), \"x\", \"$1\", \"text\", "
     "\"(.*)((a|aa){1,400}.{0,9}){1,2}b\")",
     0, 0},
    {"label_replace(wide_total, \"i\", \"same\", \"i\", \".*\")", 0, 0},
    {"label_join(wide_total, \"x\", \",\", \"i\", \"text\", \"instance\")", 0, 0},
    {"label_join(big_label, \"x\", \",\", \"text\", \"text\", \"text\")", 0, 0},
    {"sort(wide_total)", 0, 0},
    {"sort_desc(wide_total)", 0, 0},
    {"sort_by_label(wide_total, \"text\", \"i\")", 0, 0},
    {"sort_by_label_desc(big_label, \"text\")", 0, 0},
    /* aggregations */
    {"sum(wide_total)", 0, 0},
    {"sum by (i) (wide_total)", 0, 0},
    {"sum by (i) (rate(wide_total[5s]))", MANY},
    {"sum without (i) (big_label)", 0, 0},
    {"avg by (text, le) ({__name__=~\"wide_.*\"})", 0, 0},
    {"stddev by (i) (wide_total)", 0, 0},
    {"topk(100, wide_total)", 0, 0},
    {"topk(100000, wide_total)", 0, 0},
    {"bottomk by (i) (1, wide_total)", MANY},
    {"limitk(10000, wide_total)", 0, 0},
    {"limit_ratio(0.5, wide_total)", 0, 0},
    {"quantile(0.5, wide_total)", 0, 0},
    {"quantile by (text) (0.5, wide_total)", MANY},
    {"count_values(\"v\", wide_total)", 0, 0},
    {"count_values by (i) (\"v\", wide_total)", MANY},
    {"count_values(\"v\", long_gauge)", 80000, 8000},
    {"topk(10, count by (__name__) ({__name__=~\".+\"}))", 0, 0},
    {"sum(native)", 0, 0},
    {"group(wide_total)", 0, 0},
    /* operators */
    {"-wide_total", 0, 0},
    {"wide_total + 1 > 5", 0, 0},
    {"wide_total * on (i) wide_bucket", 0, 0},
    {"wide_total * on (i) wide_bucket", MANY},
    {"wide_total * ignoring (__name__) wide_bucket", 0, 0},
    {"wide_total * on (i) group_left (text) wide_bucket", 0, 0},
    {"wide_total * on (le) group_left () sum by (le) (wide_bucket)", 0, 0},
    {"wide_total * on (text) wide_bucket", 0, 0},
    {"wide_total and wide_bucket", 0, 0},
    {"wide_total and on (i) wide_bucket", MANY},
    {"wide_total or wide_bucket", 0, 0},
    {"wide_total unless on (text) wide_bucket", 0, 0},
    {"big_label or big_label", 0, 0},
    {"native + on (i) native", 0, 0},
    {"wide_total == wide_total or wide_total != wide_total", 0, 0},
    /* functions */
    {"abs(ln(wide_total))", 0, 0},
    {"round(clamp(wide_total, 1, 5), 2)", MANY},
    {"histogram_quantile(0.9, wide_bucket)", 0, 0},
    {"histogram_quantile(0.9, wide_bucket)", MANY},
    {"histogram_quantile(0.9, sum by (le) (wide_bucket))", 0, 0},
    {"histogram_fraction(0, 5, wide_bucket)", 0, 0},
    {"histogram_quantile(0.9, native)", 0, 0},
    {"histogram_stddev(native)", 0, 0},
    {"histogram_count(native)", MANY},
    {"timestamp(wide_total)", 0, 0},
    {"day_of_month(wide_total)", 0, 0},
    {"scalar(wide_total)", 0, 0},
    {"info(wide_total, {__name__=~\"wide_bucket\"})", 0, 0},
    /* subqueries */
    {"max_over_time(vector(time())[1d:1s])", 0, 0},
    {"count_over_time(vector(time())[1d:10ms])", 0, 0},
    {"count_over_time((vector(1) > 2)[1d:10ms])", 0, 0},
    {"mad_over_time(mad_over_time(vector(time())[1m:1s])[1h:1m])", 0, 0},
    {"vector(1)[1d:1s]", 0, 0},
    {"max_over_time(wide_total[3s:1s])", 0, 0},
    {"sum_over_time((wide_total * on (i) wide_bucket)[2s:1s])", 0, 0},
    {"rate(sum by (le) (wide_bucket)[3s:100ms])", 0, 0},
    {"absent_over_time(vector(time() > bool 5)[1d:1s])", 0, 0},
    {"time()", 80000, 8000},
    {"absent(long_gauge)", 80000, 8000},
    {"vector(time()) + on () vector(1)", 80000, 8000},
};

size_t hostile_query_count(void) {
    return COUNT_OF(QUERIES);
}

const struct hostile_query *hostile_query_at(size_t i) {
    return &QUERIES[i];
}

enum err_code hostile_query_run(struct hostile_world *w, const struct hostile_query *q,
                                const struct cancel *cancel, struct arena *arena,
                                struct query_result *out, struct err *err) {
    const struct query query = {.text = str_of(q->text),
                                .start_ms = (HOSTILE_END_S - q->span_s) * INT64_C(1000),
                                .end_ms = HOSTILE_END_S * INT64_C(1000),
                                .step_ms = q->step_ms,
                                .cancel = cancel};
    return query_run(w->engine, tsdb_storage(w->db), &query, arena, out, err);
}
