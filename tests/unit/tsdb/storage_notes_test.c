/* Exemplars and metadata: what the rules take, what comes back, also after a crash and when the
 * bound is reached. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "storage_world.h"
#include "tests/support/check_err.h"
#include "tests/support/fault_vfs.h"
#include "tests/support/mem_vfs.h"
#include "tsdb/exemplars.h"
#include "tsdb/family_map.h"
#include "tsdb/notes.h"
#include "tsdb/verify.h"

enum { S = 1000000000 };

static int setup(void **state) {
    static struct world w;
    world_init(&w);
    w.options.max_exemplars = 4;
    world_open(&w);
    *state = &w;
    return 0;
}

static int teardown(void **state) {
    world_release(*state);
    return 0;
}

static void restart(struct world *w) {
    world_crash(w);
    world_open(w);
}

static const char *dump_range(struct world *w, const char *matchers, int64_t mint, int64_t maxt) {
    struct matcher m[4];
    const size_t n = world_matchers(w, matchers, m, COUNT_OF(m));
    struct arena arena;
    struct err err;
    struct buf text;
    struct storage_querier *q;
    struct storage_exemplar_series *series;
    size_t count;
    arena_init(&arena, 1 << 20);
    buf_init(&text, 1 << 20);
    assert_ok(storage_querier_open(w->st, mint, maxt, &arena, NULL, &q, &err), &err);
    assert_ok(storage_exemplars(w->st, q, m, n, &series, &count, &err), &err);
    for (size_t i = 0; i < count; i++) {
        labels_format_metric(&text, series[i].labels);
        for (size_t k = 0; k < series[i].count; k++) {
            const struct storage_exemplar *e = &series[i].exemplars[k];
            buf_printf(&text, " %lld:", (long long)(e->ts_ms - S));
            buf_append_number_g(&text, e->value);
            labels_format_metric(&text, e->labels);
        }
        buf_append_char(&text, '\n');
    }
    const char *out = arena_cstr(&w->arena, buf_str(&text));
    buf_release(&text);
    arena_release(&arena);
    return out;
}

static const char *dump(struct world *w, const char *matchers) {
    return dump_range(w, matchers, INT64_MIN, INT64_MAX);
}

static enum err_code push(struct world *w, const char *series, const char *labels, int64_t ts_ms,
                          double value) {
    struct storage_appender *a;
    struct err err;
    assert_ok(storage_appender_begin(w->st, &a, &err), &err);
    const struct storage_exemplar e = {
        .labels = world_labels(w, labels), .value = value, .ts_ms = ts_ms};
    const enum err_code code = storage_append_exemplar(w->st, a, world_labels(w, series), &e);
    assert_ok(storage_appender_commit(w->st, a, &err), &err);
    return code;
}

static void push_sample(struct world *w, const char *series) {
    struct storage_appender *a;
    struct err err;
    assert_ok(storage_appender_begin(w->st, &a, &err), &err);
    assert_int_equal(world_append(w, a, series, S, 1), ERR_OK);
    assert_ok(storage_appender_commit(w->st, a, &err), &err);
}

static void exemplars_follow_the_order_of_their_series(void **state) {
    struct world *w = *state;
    push_sample(w, "c job=j");
    push_sample(w, "b job=j");
    assert_int_equal(push(w, "a job=j", "trace=1", S, 1), ERR_NOT_FOUND);
    assert_int_equal(push(w, "c job=j", "trace=1", S, 2), ERR_OK);
    assert_int_equal(push(w, "c job=j", "trace=1", S, 2), ERR_DUPLICATE);
    assert_int_equal(push(w, "c job=j", "trace=1", S - 1, 3), ERR_OUT_OF_ORDER);
    assert_int_equal(push(w, "c job=j", "trace=1", S, 1), ERR_OUT_OF_ORDER);
    assert_int_equal(push(w, "c job=j", "trace=1", S, 3), ERR_OK);
    assert_int_equal(push(w, "b job=j", "trace=2", S + 5, 1), ERR_OK);
    const char *want = "b{job=\"j\"} 5:1{trace=\"2\"}\n"
                       "c{job=\"j\"} 0:2{trace=\"1\"} 0:3{trace=\"1\"}\n";
    assert_string_equal(dump(w, "job=j"), want);
    assert_string_equal(dump(w, "__name__=b"), "b{job=\"j\"} 5:1{trace=\"2\"}\n");
    assert_string_equal(dump_range(w, "job=j", S + 1, S + 5), "b{job=\"j\"} 5:1{trace=\"2\"}\n");
    assert_string_equal(dump_range(w, "job=j", S + 1, S + 4), "");
    assert_string_equal(dump(w, "job=x"), "");
    restart(w);
    assert_string_equal(dump(w, "job=j"), want);
    assert_int_equal(push(w, "c job=j", "trace=1", S, 3), ERR_DUPLICATE);
}

static void long_labels_are_refused(void **state) {
    struct world *w = *state;
    char text[200] = "trace=";
    push_sample(w, "a job=j");
    memset(text + 6, 'x', 123); /* with the name 128 */
    assert_int_equal(push(w, "a job=j", text, S, 1), ERR_OK);
    text[6 + 123] = 'x';
    assert_int_equal(push(w, "a job=j", text, S + 1, 1), ERR_INVALID);
    snprintf(text, sizeof(text), "trace=");
    for (int i = 0; i < 61; i++) {
        strcat(text, "\xc3\xbc"); /* 61 code points, 122 bytes */
    }
    assert_int_equal(push(w, "a job=j", text, S + 2, 1), ERR_OK);
}

static void the_oldest_exemplar_goes_first(void **state) {
    struct world *w = *state;
    push_sample(w, "a job=j");
    push_sample(w, "b job=j");
    assert_int_equal(push(w, "a job=j", "t=0", S, 0), ERR_OK);
    for (int i = 1; i < 6; i++) {
        assert_int_equal(push(w, "b job=j", "t=1", S + i, i), ERR_OK);
    }
    const char *want = "b{job=\"j\"} 2:2{t=\"1\"} 3:3{t=\"1\"} 4:4{t=\"1\"} 5:5{t=\"1\"}\n";
    assert_string_equal(dump(w, "job=j"), want);
    restart(w);
    assert_string_equal(dump(w, "job=j"), want);
    tsdb_set_max_exemplars(w->db, 2);
    assert_string_equal(dump(w, "job=j"), "b{job=\"j\"} 4:4{t=\"1\"} 5:5{t=\"1\"}\n");
    tsdb_set_max_exemplars(w->db, 3);
    assert_int_equal(push(w, "a job=j", "t=0", S, 0), ERR_OK);
    assert_int_equal(push(w, "a job=j", "t=0", S + 1, 0), ERR_OK);
    assert_string_equal(dump(w, "job=j"),
                        "a{job=\"j\"} 0:0{t=\"0\"} 1:0{t=\"0\"}\nb{job=\"j\"} 5:5{t=\"1\"}\n");
    tsdb_set_max_exemplars(w->db, 0);
    assert_int_equal(push(w, "a job=j", "t=0", S + 2, 0), ERR_UNSUPPORTED);
    assert_string_equal(dump(w, "job=j"), "");
}

static void exemplars_of_rows_are_kept(void **state) {
    struct world *w = *state;
    struct storage_group *g = world_group(w, "job=j");
    const uint32_t slot = world_slot(w, g, "a job=j x=y");
    const struct num one = num_of_i64(1);
    const uint8_t value = SLOT_VALUE;
    const struct storage_row_exemplar exemplars[] = {
        {slot, {world_labels(w, "t=1"), 5, S}},      {slot, {world_labels(w, "t=1"), 5, S}},
        {slot, {world_labels(w, "t=1"), 5, S - 1}},  {slot, {world_labels(w, "t=2"), 6, S}},
        {slot + 77, {world_labels(w, "t=2"), 6, S}},
    };
    const struct storage_row row = {.ts_ms = S,
                                    .slot_count = 1,
                                    .values = &one,
                                    .states = &value,
                                    .exemplars = exemplars,
                                    .exemplar_count = COUNT_OF(exemplars)};
    struct storage_row_result result;
    struct err err;
    assert_ok(storage_group_commit(w->st, g, &row, &result, &err), &err);
    storage_group_close(w->st, g);
    const char *want = "a{job=\"j\", x=\"y\"} 0:5{t=\"1\"} 0:6{t=\"2\"}\n";
    assert_string_equal(dump(w, "x=y"), want);
    restart(w);
    assert_string_equal(dump(w, "x=y"), want);
}

static void put_family(struct world *w, const char *name, const char *type, const char *help) {
    const struct storage_metadata m = {
        .type = str_of(type), .help = str_of(help), .unit = STR("seconds")};
    storage_metadata_put(w->st, str_of(name), &m);
}

static const char *families(struct world *w) {
    struct storage_family *list;
    size_t n;
    struct buf text;
    buf_init(&text, 1 << 20);
    assert_int_equal(storage_metadata_list(w->st, &w->arena, &list, &n), ERR_OK);
    for (size_t i = 0; i < n; i++) {
        buf_printf(&text, "%.*s:%.*s,%.*s,%.*s\n", STR_ARG(list[i].name),
                   STR_ARG(list[i].metadata.type), STR_ARG(list[i].metadata.help),
                   STR_ARG(list[i].metadata.unit));
    }
    const char *out = arena_cstr(&w->arena, buf_str(&text));
    buf_release(&text);
    return out;
}

static void metadata_of_families_is_remembered(void **state) {
    struct world *w = *state;
    put_family(w, "b", "counter", "old");
    put_family(w, "a", "gauge", "");
    put_family(w, "b", "counter", "new");
    put_family(w, "b", "counter", "new");
    const char *want = "a:gauge,,seconds\nb:counter,new,seconds\n";
    assert_string_equal(families(w), want);
    restart(w);
    assert_string_equal(families(w), want);
    tsdb_maintain(w->db);
    world_close(w);
    world_open(w);
    assert_string_equal(families(w), want);
    struct arena small;
    struct storage_family *list;
    size_t n;
    arena_init(&small, 1);
    assert_int_equal(storage_metadata_list(w->st, &small, &list, &n), ERR_LIMIT);
    arena_release(&small);
}

/* Enough exemplars to leave segments behind: families in the first one stay, the log stays small. */
static void the_log_of_notes_is_bounded(void **state) {
    (void)state;
    struct mem_vfs *disk = mem_vfs_new();
    struct err err;
    struct notes *notes;
    struct arena arena;
    arena_init(&arena, 0);
    assert_ok(vfs_mkdir(mem_vfs_base(disk), "/d", &err), &err);
    const struct notes_options options = {
        .vfs = mem_vfs_base(disk), .dir = "/d/notes", .max_exemplars = 50};
    assert_ok(notes_open(&options, &notes, &err), &err);
    notes_put_metadata(notes, STR("f"), &(struct storage_metadata){.type = STR("counter")});
    char *value = mem_alloc(60000);
    memset(value, 'v', 60000);
    struct labels_builder b;
    labels_builder_init(&b, &arena);
    labels_builder_set(&b, LABEL_NAME, STR("m"));
    labels_builder_set(&b, STR("long"), (struct str){value, 60000});
    struct series_exemplar item = {.exemplar.value = 1};
    assert_ok(labels_builder_finish(&b, &item.series, &err), &err);
    for (int i = 0; i < 600; i++) {
        item.exemplar.ts_ms = i;
        notes_add_exemplars(notes, &item, 1);
        if (i % 100 == 99) {
            notes_maintain(notes);
        }
    }
    notes_close(notes);
    assert_ok(notes_open(&options, &notes, &err), &err);
    struct exemplar_stats stats;
    struct storage_family *list;
    size_t n;
    exemplars_stats_get(notes_exemplars(notes), &stats);
    assert_int_equal(stats.count, 50);
    assert_int_equal(stats.oldest_ts_ms, 550);
    assert_int_equal(metadata_map_list(notes_metadata(notes), &arena, &list, &n), ERR_OK);
    assert_int_equal(n, 1);
    uint64_t bytes = 0;
    for (int i = 1; i < 20; i++) {
        char path[32];
        struct vfs_stat st;
        snprintf(path, sizeof(path), "/d/notes/%08d", i);
        bytes += vfs_stat(mem_vfs_base(disk), path, &st, NULL) == ERR_OK ? st.size_bytes : 0;
    }
    assert_in_range(bytes, 50 * 60000, 4 * (4 << 20));
    notes_close(notes);
    mem_free(value);
    arena_release(&arena);
    mem_vfs_free(disk);
}

static size_t count_of(struct notes *notes) {
    struct exemplar_stats stats;
    exemplars_stats_get(notes_exemplars(notes), &stats);
    return stats.count;
}

/* After a failure all was written again, the old segments were removed, and a loss of power brings the
 * second of them back, with the newer exemplars of the series, but not the first. */
static void a_removed_segment_that_comes_back_takes_no_exemplars_away(void **state) {
    struct world *w = *state;
    struct mem_vfs *disk = mem_vfs_new();
    struct fault_vfs *faults = fault_vfs_new(mem_vfs_base(disk));
    struct err err;
    struct notes *notes;
    assert_ok(vfs_mkdir(mem_vfs_base(disk), "d", &err), &err);
    const struct notes_options options = {
        .vfs = fault_vfs_base(faults), .dir = "d/notes", .max_exemplars = 100};
    struct series_exemplar item = {.series = world_labels(w, "a job=j")};
    for (int i = 0; i < 6; i++) { /* each opening begins a segment */
        assert_ok(notes_open(&options, &notes, &err), &err);
        item.exemplar.ts_ms = i;
        notes_add_exemplars(notes, &item, 1);
        if (i < 5) {
            notes_maintain(notes);
            notes_close(notes);
        }
    }
    char *bytes = NULL;
    size_t size = 0;
    assert_ok(vfs_read_file(mem_vfs_base(disk), "d/notes/00000004", 1 << 20, &bytes, &size, &err),
              &err);
    fault_vfs_plan(faults, (struct fault_plan){.ops = FAULT_WRITE, .sys_errno = EIO});
    item.exemplar.ts_ms = 6;
    notes_add_exemplars(notes, &item, 1);
    assert_int_equal(fault_vfs_failures(faults), 1);
    notes_maintain(notes);
    notes_close(notes);
    struct vfs_file *f;
    assert_int_equal(vfs_open(mem_vfs_base(disk), "d/notes/00000004", VFS_READ, &f, &err),
                     ERR_NOT_FOUND);
    assert_ok(vfs_open(mem_vfs_base(disk), "d/notes/00000004", VFS_WRITE | VFS_CREATE, &f, &err),
              &err);
    assert_ok(vfs_file_pwrite(f, bytes, size, 0, &err), &err);
    vfs_file_close(f);
    mem_free(bytes);
    for (int i = 0; i < 3; i++) { /* also when segments are dropped again */
        assert_ok(notes_open(&options, &notes, &err), &err);
        assert_int_equal(count_of(notes), 7);
        notes_maintain(notes);
        notes_close(notes);
    }
    fault_vfs_free(faults);
    mem_vfs_free(disk);
}

/* Texts have a budget each and all together; what is known goes on to change. */
static void texts_that_do_not_fit_are_forgotten(void **state) {
    (void)state;
    enum { WHOLE = METADATA_TEXT_MAX - 5, FITTING = METADATA_BYTES_MAX / METADATA_TEXT_MAX };
    struct metadata_map *map = metadata_map_new();
    char *text = mem_alloc(METADATA_TEXT_MAX + 1);
    memset(text, 'h', METADATA_TEXT_MAX + 1);
    struct storage_metadata m = {.help = {text, WHOLE + 1}};
    assert_false(metadata_map_put(map, STR("00000"), &m, 1));
    m.help.len = WHOLE;
    for (int i = 0; i <= FITTING; i++) {
        char name[8];
        (void)snprintf(name, sizeof(name), "%05d", i);
        assert_int_equal(metadata_map_put(map, str_of(name), &m, 1), i < FITTING);
    }
    text[0] = 'x';
    assert_true(metadata_map_put(map, STR("00000"), &m, 1));
    m.help.len = 10;
    assert_false(metadata_map_put(map, STR("new"), &m, 1));
    assert_true(metadata_map_put(map, STR("00001"), &m, 1)); /* makes room */
    assert_true(metadata_map_put(map, STR("new"), &m, 1));
    mem_free(text);
    metadata_map_free(map);
}

static void note_finding(void *ctx, const struct verify_finding *finding) {
    (void)ctx;
    print_message("%s at %u: %s\n", finding->path, (unsigned)finding->offset, finding->text);
}

static void a_snapshot_has_them_and_is_sound(void **state) {
    struct world *w = *state;
    struct world copy;
    struct verify_result result;
    struct err err;
    char name[TSDB_SNAPSHOT_NAME_MAX];
    char path[256];
    const struct storage_metadata m = {
        .type = STR("counter"), .help = STR("What a is."), .unit = STR("")};
    struct storage_family *list;
    size_t n;
    push_sample(w, "a job=j");
    assert_int_equal(push(w, "a job=j", "trace=1", S, 2), ERR_OK);
    assert_int_equal(push(w, "a job=j", "trace=2", S + 1, 3), ERR_OK);
    storage_metadata_put(w->st, STR("a"), &m);
    const char *want = dump(w, "job=j");
    assert_ok(tsdb_snapshot(w->db, false, name, &err), &err);
    assert_int_equal(push(w, "a job=j", "trace=3", S + 2, 4), ERR_OK);
    snprintf(path, sizeof(path), "%s/snapshots/%s", w->dir, name);
    assert_ok(verify_database(vfs_system(), path, note_finding, NULL, &result, &err), &err);
    assert_int_equal(result.findings, 0);
    assert_int_equal(result.unfinished_bytes, 0);
    assert_int_equal(result.notes, 3);
    world_init(&copy);
    copy.options.path = path;
    copy.options.max_exemplars = 4;
    world_open(&copy);
    assert_string_equal(dump(&copy, "job=j"), want);
    assert_int_equal(storage_metadata_list(copy.st, &copy.arena, &list, &n), ERR_OK);
    assert_int_equal(n, 1);
    assert_str(list[0].metadata.help, "What a is.");
    world_close(&copy);
    world_release(&copy);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(exemplars_follow_the_order_of_their_series, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(long_labels_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(the_oldest_exemplar_goes_first, setup, teardown),
        cmocka_unit_test_setup_teardown(exemplars_of_rows_are_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(metadata_of_families_is_remembered, setup, teardown),
        cmocka_unit_test_setup_teardown(a_snapshot_has_them_and_is_sound, setup, teardown),
        cmocka_unit_test(texts_that_do_not_fit_are_forgotten),
        cmocka_unit_test(the_log_of_notes_is_bounded),
        cmocka_unit_test_setup_teardown(a_removed_segment_that_comes_back_takes_no_exemplars_away,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
