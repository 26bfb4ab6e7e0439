/* Snapshots: a data directory with everything that was committed, which lives a life of its own. */
#include <stdio.h>
#include <string.h>

#include "base/duration.h"
#include "tests/support/check_err.h"
#include "tests/unit/tsdb/storage_world.h"
#include "tsdb/snapshot.h"

static void push(struct world *w, int64_t from_ms, int64_t to_ms, const char *pushed) {
    struct storage_group *g = world_group(w, "instance=i job=scraped");
    (void)world_slot(w, g, "m instance=i job=scraped");
    (void)world_slot(w, g, "n instance=i job=scraped");
    for (int64_t ts = from_ms; ts < to_ms; ts += 1000) {
        (void)world_row(w, g, ts, (double[]){(double)ts / 7, 42}, 2);
        struct storage_appender *a = NULL;
        struct err err;
        assert_ok(storage_appender_begin(w->st, &a, &err), &err);
        assert_int_equal(world_append(w, a, pushed, ts, (double)ts), ERR_OK);
        assert_ok(storage_appender_commit(w->st, a, &err), &err);
    }
    storage_group_close(w->st, g);
}

/* Opens a snapshot of w as a database of its own. */
static void open_snapshot(struct world *w, const char *name, struct world *out, char path[256]) {
    world_init(out);
    (void)snprintf(path, 256, "%s/snapshots/%s", w->dir, name);
    out->options.path = path;
    world_open(out);
}

static void a_snapshot_opens_as_a_data_directory(void **state) {
    (void)state;
    struct world w;
    struct world s;
    struct err err;
    char name[TSDB_SNAPSHOT_NAME_MAX];
    char path[256];
    world_init(&w);
    world_open(&w);
    push(&w, 0, 300 * 1000, "p job=j");
    const char *want = world_dump(&w, "__name__=~.+", 0, INT64_MAX);
    assert_ok(tsdb_snapshot(w.db, false, name, &err), &err);
    assert_string_equal(world_dump(&w, "__name__=~.+", 0, INT64_MAX), want);

    push(&w, 300 * 1000, 400 * 1000, "later job=j"); /* is not in it */
    const char *after = world_dump(&w, "__name__=~.+", 0, INT64_MAX);
    open_snapshot(&w, name, &s, path);
    assert_int_equal(s.replayed.torn_bytes + s.replayed.damaged_records, 0);
    assert_string_equal(world_dump(&s, "__name__=~.+", 0, INT64_MAX), want);

    push(&s, 500 * 1000, 700 * 1000, "own job=j"); /* and goes its own way */
    const char *own = world_dump(&s, "__name__=~.+", 0, INT64_MAX);
    assert_string_equal(world_dump(&w, "__name__=~.+", 0, INT64_MAX), after);
    world_close(&s);
    world_open(&s);
    assert_string_equal(world_dump(&s, "__name__=~.+", 0, INT64_MAX), own);
    world_close(&s);
    world_close(&w);
    world_open(&w);
    assert_string_equal(world_dump(&w, "__name__=~.+", 0, INT64_MAX), after);
    world_close(&w);
    world_release(&s);
    world_release(&w);
}

static void a_snapshot_without_the_head_has_sealed_rows_only(void **state) {
    (void)state;
    struct world w;
    struct world s;
    struct err err;
    char name[TSDB_SNAPSHOT_NAME_MAX];
    char path[256];
    world_init(&w);
    world_open(&w);
    push(&w, 0, 10 * 1000, "p job=j"); /* too few to be sealed */
    assert_ok(tsdb_snapshot(w.db, true, name, &err), &err);
    open_snapshot(&w, name, &s, path);
    assert_string_equal(world_dump(&s, "__name__=~.+", 0, INT64_MAX), "");
    world_close(&s);
    world_release(&s);
    world_close(&w);
    world_release(&w);
}

static void an_empty_database_has_an_empty_snapshot(void **state) {
    (void)state;
    struct world w;
    struct world s;
    struct err err;
    char name[TSDB_SNAPSHOT_NAME_MAX];
    char other[TSDB_SNAPSHOT_NAME_MAX];
    char path[256];
    world_init(&w);
    world_open(&w);
    assert_ok(tsdb_snapshot(w.db, false, name, &err), &err);
    assert_ok(tsdb_snapshot(w.db, false, other, &err), &err);
    assert_string_not_equal(name, other);
    open_snapshot(&w, name, &s, path);
    assert_string_equal(world_dump(&s, "__name__=~.+", 0, INT64_MAX), "");
    world_close(&s);
    world_release(&s);
    world_close(&w);
    world_release(&w);
}

static void names_are_the_time_and_random_digits(void **state) {
    (void)state;
    char name[TSDB_SNAPSHOT_NAME_MAX];
    snapshot_name(1136214245, UINT64_C(0xABC), name, sizeof(name));
    assert_string_equal(name, "20060102T150405Z-0000000000000abc");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_opens_as_a_data_directory),
        cmocka_unit_test(a_snapshot_without_the_head_has_sealed_rows_only),
        cmocka_unit_test(an_empty_database_has_an_empty_snapshot),
        cmocka_unit_test(names_are_the_time_and_random_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
