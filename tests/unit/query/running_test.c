/* What runs: the list of queries, killing one, memory that queries share, one cancel flag for many
 * queries, queries.active after a crash, the query log. On a fake storage and files in memory. */
#include "tests/support/check_err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/budget.h"
#include "base/mem.h"
#include "base/mutex.h"
#include "query/active_file.h"
#include "query/query.h"
#include "query/script/fake_storage.h"
#include "tests/support/fake_clock.h"
#include "tests/support/mem_vfs.h"

struct fixture {
    struct fake_storage *fs;
    struct mem_vfs *files;
    struct vfs *vfs;
    struct query_engine *engine;
    struct arena arena;
    struct query_result result;
    struct err err;
};

static void make_engine(struct fixture *f, void (*change)(struct query_options *options)) {
    struct query_options options;
    query_options_default(&options);
    options.vfs = f->vfs;
    options.experimental_functions = true;
    if (change != NULL) {
        change(&options);
    }
    query_engine_free(f->engine);
    f->engine = query_engine_new(&options);
}

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof(*f));
    f->fs = fake_storage_new();
    f->files = mem_vfs_new();
    f->vfs = mem_vfs_base(f->files);
    arena_init(&f->arena, 0);
    make_engine(f, NULL);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    arena_release(&f->arena);
    query_engine_free(f->engine);
    fake_storage_free(f->fs);
    mem_vfs_free(f->files);
    free(f);
    return 0;
}

static enum err_code run(struct fixture *f, const struct query *query, struct arena *arena) {
    return query_run(f->engine, fake_storage_as_storage(f->fs), query, arena, &f->result, &f->err);
}

static enum err_code range(struct fixture *f, const char *text, int64_t end_ms, int64_t step_ms) {
    const struct query query = {.text = str_of(text), .end_ms = end_ms, .step_ms = step_ms};
    return run(f, &query, &f->arena);
}

/* ---- the list ---- */

static const char LONG[] = "mad_over_time(mad_over_time(vector(time())[1h:1s])[6h:1s])";

struct client {
    struct fixture *f;
    struct thread thread;
    struct cancel *cancel;
    enum err_code code;
    struct err err;
};

static void ask_long(void *ctx) {
    struct client *c = ctx;
    const struct query_origin origin = {.client = STR("192.0.2.7"), .path = STR("/api/v1/query")};
    const struct query query = {
        .text = str_of(LONG), .start_ms = 1000, .cancel = c->cancel, .origin = &origin};
    struct arena arena;
    struct query_result result;
    arena_init(&arena, 0);
    c->code = query_run(c->f->engine, fake_storage_as_storage(c->f->fs), &query, &arena, &result,
                        &c->err);
    arena_release(&arena);
}

static void wait_1_ms(void) {
    const struct timespec ms = {.tv_nsec = 1000 * 1000};
    (void)nanosleep(&ms, NULL);
}

/* The only query, once it is evaluated. */
static struct query_running wait_for_progress(struct fixture *f) {
    for (int tries = 0; tries < 20000; tries++) {
        struct query_running *list = NULL;
        size_t count = 0;
        query_list_running(f->engine, &f->arena, &list, &count);
        assert_true(count <= 1);
        if (count == 1 && list[0].evaluating && list[0].bytes > 0) {
            return list[0];
        }
        wait_1_ms();
    }
    fail_msg("the query did not show");
    return (struct query_running){.id = 0};
}

static void the_list_tells_who_asks_what_and_how_far_it_is(void **state) {
    struct fixture *f = *state;
    struct client client = {.f = f};
    thread_start(&client.thread, "client", ask_long, &client);
    const struct query_running q = wait_for_progress(f);
    assert_str(q.text, LONG);
    assert_str(q.client, "192.0.2.7");
    assert_int_equal(q.start_ms, 1000);
    assert_true(q.id == 1 && q.age_ns > 0 && q.since_unix_ms > 0 && !q.killed);
    assert_false(query_kill(f->engine, q.id + 1));
    assert_true(query_kill(f->engine, q.id));
    thread_join(&client.thread);
    assert_err(client.code, ERR_CANCELED, "query was killed", &client.err);
    struct query_running *list = NULL;
    size_t count = 1;
    query_list_running(f->engine, &f->arena, &list, &count);
    assert_int_equal(count, 0);
    assert_false(query_kill(f->engine, q.id));
}

static void a_killed_query_leaves_others_of_its_caller_alone(void **state) {
    struct fixture *f = *state;
    struct cancel shared;
    cancel_init(&shared, clock_system(), 0);
    struct client client = {.f = f, .cancel = &shared};
    thread_start(&client.thread, "client", ask_long, &client);
    assert_true(query_kill(f->engine, wait_for_progress(f).id));
    thread_join(&client.thread);
    const struct query next = {.text = STR("1"), .cancel = &shared};
    assert_ok(run(f, &next, &f->arena), &f->err);
    cancel_raise(&shared);
    assert_err(run(f, &next, &f->arena), ERR_CANCELED, "query was canceled", &f->err);
}

/* ---- memory ---- */

enum { TOGETHER = 4 * 1024 * 1024 };

static void share_memory(struct query_options *options) {
    options->max_total_memory_bytes = TOGETHER;
}

static void queries_that_together_need_too_much_fail_and_give_it_back(void **state) {
    struct fixture *f = *state;
    make_engine(f, share_memory);
    struct budget *memory = query_engine_memory(f->engine);
    struct arena kept;
    arena_init(&kept, 0);
    kept.pool = memory;
    const struct query query = {
        .text = STR("vector(1)"), .end_ms = INT64_C(100000) * 10, .step_ms = 10};
    assert_ok(run(f, &query, &kept), &f->err); /* 1.6 MB of result stay */
    assert_true(budget_used(memory) == kept.used_bytes && kept.used_bytes > 1500 * 1000);
    struct arena second;
    arena_init(&second, 0);
    second.pool = memory;
    assert_err(run(f, &query, &second), ERR_LIMIT,
               "not enough memory for this query: all running queries together may use 4194304 "
               "bytes",
               &f->err);
    arena_release(&second);
    assert_true(budget_used(memory) == kept.used_bytes);
    arena_release(&kept);
    assert_true(budget_used(memory) == 0);
    arena_init(&second, 0);
    second.pool = memory;
    assert_ok(run(f, &query, &second), &f->err);
    arena_release(&second);
}

/* ---- statistics ---- */

static void allow_steps(struct query_options *options) {
    options->per_step_stats = true;
}

static void assert_steps(const uint64_t *counts, size_t n, const uint64_t *want) {
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(counts[i], want[i]);
    }
}

static void samples_are_counted_by_step_and_shared_ones_once(void **state) {
    struct fixture *f = *state;
    make_engine(f, allow_steps);
    fake_storage_load(f->fs, 10000, "m", "0 1 2 3 4 5 6 7 8 9 10 11");
    struct query query = {
        .start_ms = 30000, .end_ms = 60000, .step_ms = 10000, .per_step_stats = true};
    const struct query_stats *stats = &f->result.stats;
    static const struct {
        const char *text;
        uint64_t samples[4], fetched[4];
    } CASES[] = {
        {"m", {1, 1, 1, 1}, {1, 1, 1, 1}},
        {"sum_over_time(m[30s])", {3, 3, 3, 3}, {3, 1, 1, 1}},
        {"sum_over_time(m[5s])", {1, 1, 1, 1}, {1, 1, 1, 1}},
        {"m @ 10", {1, 1, 1, 1}, {1, 0, 0, 0}},
        {"sum_over_time(m[30s] @ 60)", {3, 3, 3, 3}, {3, 0, 0, 0}},
        {"1", {0, 0, 0, 0}, {0, 0, 0, 0}},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        query.text = str_of(CASES[i].text);
        assert_ok(run(f, &query, &f->arena), &f->err);
        assert_int_equal(stats->step_count, 4);
        assert_steps(stats->step_samples, 4, CASES[i].samples);
        assert_steps(stats->step_fetched, 4, CASES[i].fetched);
        uint64_t samples = 0;
        uint64_t fetched = 0;
        for (size_t k = 0; k < 4; k++) {
            samples += stats->step_samples[k];
            fetched += stats->step_fetched[k];
        }
        assert_int_equal(stats->samples_read, samples);
        assert_int_equal(stats->samples_fetched, fetched);
        query.per_step_stats = false; /* the short way to the same sums */
        assert_ok(run(f, &query, &f->arena), &f->err);
        assert_null(stats->step_samples);
        assert_int_equal(stats->samples_read, samples);
        assert_int_equal(stats->samples_fetched, fetched);
        query.per_step_stats = true;
    }
}

static void windows_over_a_subquery_count_and_what_it_read_is_fetched(void **state) {
    struct fixture *f = *state;
    make_engine(f, allow_steps);
    fake_storage_load(f->fs, 10000, "m", "0 1 2 3 4 5 6 7 8 9 10 11");
    const struct query query = {.text = STR("sum_over_time(m[20s:10s])"),
                                .start_ms = 30000,
                                .end_ms = 60000,
                                .step_ms = 10000,
                                .per_step_stats = true};
    assert_ok(run(f, &query, &f->arena), &f->err);
    static const uint64_t SAMPLES[] = {2, 2, 2, 2};
    static const uint64_t FETCHED[] = {2, 1, 1, 1};
    assert_steps(f->result.stats.step_samples, 4, SAMPLES);
    assert_steps(f->result.stats.step_fetched, 4, FETCHED);
    assert_int_equal(f->result.stats.samples_read, 8);
    assert_int_equal(f->result.stats.samples_fetched, 5);
}

static void what_a_subquery_reads_between_the_windows_is_not_counted(void **state) {
    struct fixture *f = *state;
    make_engine(f, allow_steps);
    fake_storage_load(f->fs, 10000, "m", "0 1 2 3 4 5 6 7 8 9 10 11");
    struct query query = {.text = STR("sum_over_time(m[20s:10s])"),
                          .start_ms = 20000,
                          .end_ms = 100000,
                          .step_ms = 40000,
                          .per_step_stats = true};
    assert_ok(run(f, &query, &f->arena), &f->err);
    static const uint64_t TWO[] = {2, 2, 2};
    assert_steps(f->result.stats.step_samples, 3, TWO);
    assert_steps(f->result.stats.step_fetched, 3, TWO);
    query.per_step_stats = false;
    assert_ok(run(f, &query, &f->arena), &f->err);
    assert_int_equal(f->result.stats.samples_read, 6);
    assert_int_equal(f->result.stats.samples_fetched, 6);
}

static void a_subquery_that_is_the_result_counts_what_it_read(void **state) {
    struct fixture *f = *state;
    make_engine(f, allow_steps);
    fake_storage_load(f->fs, 10000, "m", "0 1 2 3 4 5 6 7 8 9 10 11");
    const struct query query = {.text = STR("sum_over_time(m[40s])[20s:10s]"),
                                .start_ms = 60000,
                                .end_ms = 60000,
                                .per_step_stats = true};
    assert_ok(run(f, &query, &f->arena), &f->err);
    assert_int_equal(f->result.stats.samples_read, 8);
    assert_int_equal(f->result.stats.samples_fetched, 5);
}

/* ---- queries.active ---- */

static struct str content(struct fixture *f, const char *path) {
    char *text = NULL;
    size_t len = 0;
    assert_ok(vfs_read_file(f->vfs, path, 1 << 24, &text, &len, &f->err), &f->err);
    const struct str copy = arena_str(&f->arena, (struct str){text, len});
    mem_free(text);
    return copy;
}

static void a_running_query_stands_in_the_file(void **state) {
    struct fixture *f = *state;
    struct active_file *file = NULL;
    assert_ok(active_file_open(f->vfs, "/q", 2, NULL, &file, &f->err), &f->err);
    const int a = active_file_begin(file, STR("up"), 17);
    const int b = active_file_begin(file, STR("\"<\n"), 18);
    assert_true(a == 0 && b == 1);
    assert_int_equal(active_file_begin(file, STR("down"), 19), -1);
    struct str text = content(f, "/q");
    assert_int_equal(text.len, 1 + 2 * ACTIVE_SLOT_BYTES);
    assert_string_equal(text.ptr, "[{\"query\":\"up\",\"timestamp_sec\":17}");
    assert_int_equal(text.ptr[ACTIVE_SLOT_BYTES], ',');
    assert_string_equal(text.ptr + 1 + ACTIVE_SLOT_BYTES,
                        "{\"query\":\"\\\"\\u003c\\n\",\"timestamp_sec\":18}");
    active_file_end(file, a);
    active_file_end(file, -1);
    assert_int_equal(content(f, "/q").ptr[1], '\0');
    assert_int_equal(active_file_begin(file, STR("down"), 19), 0);
    active_file_close(file);
    assert_int_equal(content(f, "/q").len, 1);
}

static void a_long_query_is_cut_between_characters(void **state) {
    struct fixture *f = *state;
    struct active_file *file = NULL;
    assert_ok(active_file_open(f->vfs, "/q", 1, NULL, &file, &f->err), &f->err);
    char text[3 * ACTIVE_SLOT_BYTES];
    for (size_t lead = 0; lead < 8; lead++) {
        memset(text, 'x', lead);
        for (size_t i = lead; i + 3 <= sizeof(text); i += 3) {
            memcpy(text + i, "\xe2\x82\xac", 3);
        }
        const int slot = active_file_begin(file, (struct str){text, sizeof(text) - 8}, 1);
        const struct str all = content(f, "/q");
        const char *entry = all.ptr + 1;
        assert_true(strlen(entry) > ACTIVE_SLOT_BYTES - 8);
        assert_int_equal(entry[ACTIVE_SLOT_BYTES - 1], ',');
        assert_non_null(strstr(entry, "\xe2\x82\xac\",\"timestamp_sec\":1}"));
        active_file_end(file, slot);
    }
    active_file_close(file);
}

static void what_a_crash_left_is_logged_once(void **state) {
    struct fixture *f = *state;
    /* the process dies: the file is never closed, which here is a copy of what it was */
    struct active_file *file = NULL;
    assert_ok(active_file_open(f->vfs, "/q", 3, NULL, &file, &f->err), &f->err);
    (void)active_file_begin(file, STR("up"), 17);
    (void)active_file_begin(file, STR("rate(x[5m])"), 18);
    const struct str left = content(f, "/q");
    active_file_close(file);
    struct vfs_file *copy = NULL;
    assert_ok(vfs_open(f->vfs, "/q", VFS_WRITE | VFS_CREATE | VFS_TRUNCATE, &copy, &f->err),
              &f->err);
    assert_ok(vfs_file_pwrite(copy, left.ptr, left.len, 0, &f->err), &f->err);
    vfs_file_close(copy);

    FILE *logged = tmpfile();
    struct log *log = log_new(clock_system(), fileno(logged), LOG_INFO, LOG_LOGFMT);
    for (int start = 0; start < 2; start++) {
        assert_ok(active_file_open(f->vfs, "/q", 3, log, &file, &f->err), &f->err);
        active_file_close(file);
    }
    log_free(log);
    char text[1000] = "";
    rewind(logged);
    assert_non_null(fgets(text, sizeof(text), logged));
    assert_non_null(strstr(text,
                           "[{\\\"query\\\":\\\"up\\\",\\\"timestamp_sec\\\":17},{\\\"query\\\":"
                           "\\\"rate(x[5m])\\\",\\\"timestamp_sec\\\":18}]"));
    assert_null(fgets(text, sizeof(text), logged));
    (void)fclose(logged);
}

static void any_content_of_the_file_does_no_harm(void **state) {
    struct fixture *f = *state;
    static const char *const CONTENTS[] = {"", "[", "]", ",", "[,", "garbage", "[{\"query\":"};
    for (size_t i = 0; i < COUNT_OF(CONTENTS); i++) {
        struct vfs_file *file = NULL;
        assert_ok(vfs_open(f->vfs, "/q", VFS_WRITE | VFS_CREATE | VFS_TRUNCATE, &file, &f->err),
                  &f->err);
        assert_ok(vfs_file_pwrite(file, CONTENTS[i], strlen(CONTENTS[i]), 0, &f->err), &f->err);
        vfs_file_close(file);
        struct active_file *active = NULL;
        assert_ok(active_file_open(f->vfs, "/q", 1, NULL, &active, &f->err), &f->err);
        active_file_close(active);
    }
}

/* ---- the query log ---- */

static void each_query_is_a_line_of_the_log(void **state) {
    struct fixture *f = *state;
    assert_ok(query_engine_set_log(f->engine, "/log", &f->err), &f->err);
    const struct query_origin http = {
        .client = STR("192.0.2.7"), .method = STR("GET"), .path = STR("/api/v1/query_range")};
    struct query query = {.text = STR("vector(1) < 2"),
                          .start_ms = 1234,
                          .end_ms = 61234,
                          .step_ms = 15500,
                          .origin = &http};
    assert_ok(run(f, &query, &f->arena), &f->err);
    const struct query_origin rule = {.rule_group = STR("g"), .rule_file = STR("/r.yml")};
    query = (struct query){.text = STR("sum("), .origin = &rule};
    assert_err(run(f, &query, &f->arena), ERR_INVALID, NULL, &f->err);
    const struct str text = content(f, "/log");
    assert_non_null(strstr(
        text.ptr, "\"level\":\"INFO\",\"source\":\"query_log.c\",\"msg\":\"promql query logged\","
                  "\"params\":{\"end\":\"1970-01-01T00:01:01.234Z\",\"query\":\"vector(1) < 2\","
                  "\"start\":\"1970-01-01T00:00:01.234Z\",\"step\":15},\"stats\":{\"timings\":{"));
    assert_non_null(
        strstr(text.ptr, "\"samples\":{\"totalQueryableSamples\":0,\"samplesRead\":0,"
                         "\"peakSamples\":4}},\"spanID\":\"0000000000000000\",\"traceID\":"
                         "\"00000000000000000000000000000000\",\"httpRequest\":{\"clientIP\":"
                         "\"192.0.2.7\",\"method\":\"GET\",\"path\":\"/api/v1/query_range\"}}\n{"));
    assert_non_null(strstr(text.ptr, "\"error\":\"1:5: parse error: unclosed left parenthesis\""));
    assert_non_null(strstr(text.ptr, "\"ruleGroup\":{\"file\":\"/r.yml\",\"name\":\"g\"}}\n"));

    assert_ok(query_engine_set_log(f->engine, "", &f->err), &f->err);
    assert_ok(range(f, "1", 1000, 1000), &f->err);
    assert_int_equal(content(f, "/log").len, text.len);
    assert_ok(query_engine_set_log(f->engine, "/log", &f->err), &f->err); /* goes on at its end */
    assert_ok(range(f, "1", 1000, 1000), &f->err);
    assert_true(content(f, "/log").len > text.len);
    assert_memory_equal(content(f, "/log").ptr, text.ptr, text.len);
}

static void a_log_that_cannot_be_opened_is_an_error_that_names_it(void **state) {
    struct fixture *f = *state;
    assert_true(query_engine_set_log(f->engine, "/no/such/folder/log", &f->err) != ERR_OK);
    assert_non_null(strstr(f->err.text, "/no/such/folder/log"));
    assert_ok(range(f, "1", 1000, 1000), &f->err);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(the_list_tells_who_asks_what_and_how_far_it_is),
        TEST(a_killed_query_leaves_others_of_its_caller_alone),
        TEST(queries_that_together_need_too_much_fail_and_give_it_back),
        TEST(samples_are_counted_by_step_and_shared_ones_once),
        TEST(windows_over_a_subquery_count_and_what_it_read_is_fetched),
        TEST(what_a_subquery_reads_between_the_windows_is_not_counted),
        TEST(a_subquery_that_is_the_result_counts_what_it_read),
        TEST(a_running_query_stands_in_the_file),
        TEST(a_long_query_is_cut_between_characters),
        TEST(what_a_crash_left_is_logged_once),
        TEST(any_content_of_the_file_does_no_harm),
        TEST(each_query_is_a_line_of_the_log),
        TEST(a_log_that_cannot_be_opened_is_an_error_that_names_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
