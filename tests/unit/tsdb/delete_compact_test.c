/* Deletions and compaction: what is deleted leaves the disk, tombstones that hide nothing are
 * forgotten, and nothing of that shows in an answer, whatever happens in between. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "compact_world.h"
#include "tests/support/check_err.h"
#include "tests/support/fault_vfs.h"
#include "tests/support/mem_vfs.h"
#include "tests/support/thread_check.h"
#include "tsdb/head.h"
#include "tsdb/verify.h"

enum { S = COMPACT_BASE_MS, W = COMPACT_WINDOW_MS };

static void append(struct world *w, const char *labels, int64_t ts_ms, double value) {
    struct storage_appender *a;
    struct err err;
    assert_ok(storage_appender_begin(w->st, &a, &err), &err);
    assert_int_equal(world_append(w, a, labels, ts_ms, value), ERR_OK);
    assert_ok(storage_appender_commit(w->st, a, &err), &err);
}

static enum err_code try_delete(struct world *w, const char *matchers, int64_t mint, int64_t maxt,
                                struct err *err) {
    struct matcher m[4];
    const size_t n = world_matchers(w, matchers, m, 4);
    return storage_delete_series(w->st, m, n, mint, maxt, err);
}

static void delete_in(struct world *w, const char *matchers, int64_t mint, int64_t maxt) {
    struct err err;
    assert_ok(try_delete(w, matchers, mint, maxt, &err), &err);
}

static void compact(struct world *w, bool all) {
    struct err err;
    assert_ok(tsdb_compact(w->db, all, &err), &err);
}

/* Intervals that the database has; -1 is impossible. */
static int interval_count(struct world *w) {
    struct tombstones *t = tsdb_tombstones(w->db);
    int n = 0;
    for (size_t i = 0; i < tombstones_count(t); i++) {
        n += (int)tombstones_at(t, i)->count;
    }
    tombstones_unref(t);
    return n;
}

static const char *in_partitions(struct world *w) {
    size_t n;
    return compact_dump_partitions(w, &n);
}

static void fill(struct world *w, int windows) {
    for (int i = 0; i < windows * 8; i++) {
        append(w, "a job=j", S + i * (W / 8), i);
        append(w, "b job=j", S + i * (W / 8), 100 + i);
    }
}

#define ALL "__name__=~.+"

static void a_cut_leaves_out_what_is_deleted(void **state) {
    (void)state;
    struct world w;
    compact_world_init(&w);
    world_open(&w);
    fill(&w, 3);
    delete_in(&w, "__name__=a", S + 1, S + W);
    const char *want = compact_dump(&w);
    assert_int_equal(interval_count(&w), 1);
    compact(&w, true);
    assert_string_equal(in_partitions(&w), want);
    assert_string_equal(compact_dump(&w), want);
    assert_int_equal(interval_count(&w), 0); /* it hides nothing any more */
    world_close(&w);
    world_open(&w);
    assert_int_equal(interval_count(&w), 0);
    assert_string_equal(compact_dump(&w), want);
    world_close(&w);
    world_release(&w);
}

static void a_series_that_is_deleted_as_a_whole_is_in_no_partition(void **state) {
    (void)state;
    struct world w;
    compact_world_init(&w);
    world_open(&w);
    fill(&w, 3);
    delete_in(&w, "__name__=~a|b", INT64_MIN, INT64_MAX);
    compact(&w, true);
    assert_string_equal(in_partitions(&w), "");
    assert_string_equal(compact_dump(&w), "");
    assert_int_equal(interval_count(&w), 0);
    append(&w, "a job=j", S + 4 * W, 1); /* and comes again */
    assert_string_equal(compact_dump(&w), "a{job=\"j\"} 1000080000:1");
    world_close(&w);
    world_release(&w);
}

static void tombstones_stay_while_the_head_or_a_partition_needs_them(void **state) {
    (void)state;
    struct world w;
    struct err err;
    compact_world_init(&w);
    world_open(&w);
    fill(&w, 4);
    compact(&w, true);
    append(&w, "a job=j", S + 5 * W, 7); /* in the head */
    append(&w, "b job=j", S + 5 * W, 7);
    delete_in(&w, "__name__=a", S, S + W);             /* in a partition */
    delete_in(&w, "__name__=a", S + 5 * W, S + 6 * W); /* in the head */
    const char *want = compact_dump(&w);
    tsdb_maintain(w.db);
    assert_int_equal(interval_count(&w), 2);
    world_close(&w);
    world_open(&w);
    assert_int_equal(interval_count(&w), 2);
    assert_string_equal(compact_dump(&w), want);
    assert_ok(storage_clean_tombstones(w.st, &err), &err);
    assert_int_equal(interval_count(&w), 1); /* those of the head stay, as in Prometheus */
    assert_string_equal(compact_dump(&w), want);
    compact(&w, true);
    assert_int_equal(interval_count(&w), 0);
    assert_string_equal(compact_dump(&w), want);
    assert_string_equal(in_partitions(&w), want);
    world_close(&w);
    world_release(&w);
}

static void a_partition_with_much_deleted_is_written_anew_by_itself(void **state) {
    (void)state;
    struct world w;
    compact_world_init(&w);
    w.options.partition_max_ms = W; /* nothing is merged */
    world_open(&w);
    fill(&w, 4);
    compact(&w, true);
    delete_in(&w, ALL, INT64_MIN, S + 2 * W - 1);
    const char *want = compact_dump(&w);
    assert_string_not_equal(in_partitions(&w), want);
    for (int i = 0; i < 6; i++) {
        tsdb_maintain(w.db);
    }
    assert_string_equal(in_partitions(&w), want);
    assert_string_equal(compact_dump(&w), want);
    assert_int_equal(interval_count(&w), 0);
    world_close(&w);
    world_release(&w);
}

/* Many series deleted: they are found by walking through the partition. */
static void many_deleted_series_are_cleaned_and_forgotten(void **state) {
    (void)state;
    struct world w;
    struct err err;
    compact_world_init(&w);
    world_open(&w);
    for (int i = 0; i < 300; i++) {
        char text[64];
        (void)snprintf(text, sizeof(text), "m%d job=j", i);
        append(&w, text, S + i, i);
        append(&w, text, S + W / 2 + i, i);
    }
    compact(&w, true);
    delete_in(&w, "__name__=~m.*[02468]", S, S + 299);
    const char *want = compact_dump(&w);
    assert_int_equal(interval_count(&w), 150);
    assert_ok(storage_clean_tombstones(w.st, &err), &err);
    assert_int_equal(interval_count(&w), 0);
    assert_string_equal(in_partitions(&w), want);
    assert_string_equal(compact_dump(&w), want);
    world_close(&w);
    world_release(&w);
}

/* ---- histograms ---- */

static void put_histogram(struct world *w, int64_t ts_ms, double count) {
    struct storage_appender *a;
    struct err err;
    struct histogram *h = arena_zalloc(&w->arena, sizeof(*h));
    h->positive.spans = arena_zalloc(&w->arena, sizeof(*h->positive.spans));
    h->positive.counts = arena_zalloc(&w->arena, sizeof(double));
    h->positive.spans[0] = (struct histogram_span){.offset = 1, .length = 1};
    h->positive.span_count = 1;
    h->positive.count = 1;
    h->positive.counts[0] = count;
    h->count = count;
    h->sum = count * 2;
    assert_ok(storage_appender_begin(w->st, &a, &err), &err);
    const struct storage_sample sample = {.ts_ms = ts_ms, .histogram = h};
    assert_int_equal(storage_append_sample(w->st, a, world_labels(w, "h job=p"), &sample), ERR_OK);
    assert_ok(storage_appender_commit(w->st, a, &err), &err);
}

static void histograms_are_deleted_with_all_their_columns(void **state) {
    (void)state;
    for (int merged = 0; merged < 2; merged++) {
        struct world w;
        struct err err;
        compact_world_init(&w);
        world_open(&w);
        for (int i = 0; i < 8; i++) {
            put_histogram(&w, S + i * (W / 8), i * 10);
        }
        if (merged != 0) {
            compact(&w, true);
        }
        delete_in(&w, "__name__=h", S + 2 * (W / 8), S + 3 * (W / 8));
        const char *want = world_dump(&w, ALL, INT64_MIN, INT64_MAX);
        compact(&w, true);
        assert_ok(storage_clean_tombstones(w.st, &err), &err);
        assert_int_equal(interval_count(&w), 0);
        assert_string_equal(world_dump(&w, ALL, INT64_MIN, INT64_MAX), want);
        /* The one behind the gap was not compared with the one before it. */
        assert_non_null(strstr(want, "same"));
        world_close(&w);
        world_release(&w);
    }
}

/* ---- disks ---- */

static void open_on(struct world *w, struct vfs *vfs) {
    compact_world_init(w);
    w->options.vfs = vfs;
    w->options.path = "db";
    world_open(w);
}

static void note_finding(void *ctx, const struct verify_finding *finding) {
    (void)ctx;
    print_message("%s at %u: %s\n", finding->path, (unsigned)finding->offset, finding->text);
}

static void assert_sound(struct vfs *vfs, const char *path) {
    struct verify_result result;
    struct err err;
    assert_ok(verify_database(vfs, path, note_finding, NULL, &result, &err), &err);
    assert_int_equal(result.findings, 0);
}

/* Deletes, cleans and compacts; each step leaves one of these texts. */
struct steps {
    const char *texts[4];
    size_t ops[4]; /* how many were done when the text was true for sure */
    size_t count;
};

static void note_step(struct steps *s, struct world *w, struct mem_vfs *disk) {
    s->texts[s->count] = compact_dump(w);
    s->ops[s->count++] = mem_vfs_op_count(disk);
}

static void play_steps(struct world *w, struct mem_vfs *disk, struct steps *s) {
    struct err err;
    fill(w, 3);
    compact(w, true);
    append(w, "c job=j", S + 4 * W, 1);
    tsdb_maintain(w->db);
    note_step(s, w, disk);
    delete_in(w, "__name__=a", S, S + W);
    note_step(s, w, disk);
    delete_in(w, "__name__=~b|c", S + W, S + 5 * W);
    note_step(s, w, disk);
    assert_ok(storage_clean_tombstones(w->st, &err), &err);
    compact(w, true);
    assert_int_equal(interval_count(w), 0);
    note_step(s, w, disk);
    assert_string_equal(s->texts[3], s->texts[2]);
}

/* The state of the step before, or of the one that was under way. */
static bool is_a_state(const struct steps *s, size_t op, const char *got) {
    size_t done = 0;
    while (done + 1 < s->count && s->ops[done + 1] <= op) {
        done++;
    }
    const size_t next = done + 1 < s->count ? done + 1 : done;
    return strcmp(got, s->texts[done]) == 0 || strcmp(got, s->texts[next]) == 0;
}

static void a_crash_at_any_operation_brings_nothing_back(void **state) {
    (void)state;
    struct world w;
    struct steps steps = {.count = 0};
    struct mem_vfs *disk = mem_vfs_new();
    open_on(&w, mem_vfs_base(disk));
    play_steps(&w, disk, &steps);
    const size_t last = mem_vfs_op_count(disk);
    for (size_t op = steps.ops[0]; op <= last; op += THREAD_CHECK ? 30 : 1) {
        const enum mem_crash kinds[2] = {op % 2 == 0 ? MEM_CRASH_KEEP : MEM_CRASH_LOSE,
                                         (enum mem_crash)(op % MEM_CRASH_COUNT)};
        for (size_t k = 0; k < COUNT_OF(kinds); k++) {
            struct world after;
            struct mem_vfs *copy = mem_vfs_after_crash(disk, op, kinds[k], op);
            open_on(&after, mem_vfs_base(copy));
            const char *got = compact_dump(&after);
            if (!is_a_state(&steps, op, got)) {
                print_message("op %zu, crash %d\n%s\n", op, (int)kinds[k], got);
            }
            assert_true(is_a_state(&steps, op, got));
            struct err err;
            compact(&after, true);
            assert_string_equal(compact_dump(&after), got);
            assert_ok(storage_clean_tombstones(after.st, &err), &err);
            assert_string_equal(compact_dump(&after), got);
            assert_string_equal(in_partitions(&after), got);
            assert_int_equal(interval_count(&after), 0);
            world_close(&after);
            assert_sound(mem_vfs_base(copy), "db");
            world_release(&after);
            mem_vfs_free(copy);
        }
    }
    world_close(&w);
    world_release(&w);
    mem_vfs_free(disk);
}

static void each_failing_call_leaves_a_state_and_is_tried_again(void **state) {
    (void)state;
    for (size_t n = 0;; n += 1 + n / 30) {
        struct world w;
        struct err err;
        struct mem_vfs *disk = mem_vfs_new();
        struct fault_vfs *faulty = fault_vfs_new(mem_vfs_base(disk));
        open_on(&w, fault_vfs_base(faulty));
        fill(&w, 3);
        compact(&w, true);
        const char *before = compact_dump(&w);
        fault_vfs_plan(faulty, (struct fault_plan){.ops = FAULT_CHANGES | FAULT_OPEN | FAULT_READ,
                                                   .after = n,
                                                   .sys_errno = n % 2 == 0 ? EIO : ENOSPC});
        const enum err_code deleted = try_delete(&w, "__name__=a", S, S + W, &err);
        if (deleted != ERR_OK) {
            assert_true(strlen(err.text) > 0);
        }
        const char *after = compact_dump(&w);
        const enum err_code cleaned = storage_clean_tombstones(w.st, &err);
        const size_t failures = fault_vfs_failures(faulty);
        fault_vfs_plan(faulty, (struct fault_plan){0});
        assert_true(deleted == ERR_OK || cleaned == ERR_OK || failures > 1);
        assert_int_equal(strcmp(after, before) == 0, deleted != ERR_OK);
        assert_string_equal(compact_dump(&w), after);
        world_close(&w);
        world_open(&w); /* a deletion that failed may have reached the disk */
        const char *reopened = compact_dump(&w);
        assert_true(strcmp(reopened, after) == 0 || deleted != ERR_OK);
        delete_in(&w, "__name__=a", S, S + W);
        assert_ok(storage_clean_tombstones(w.st, &err), &err);
        assert_string_equal(in_partitions(&w), compact_dump(&w));
        assert_int_equal(interval_count(&w), 0);
        world_close(&w);
        assert_sound(mem_vfs_base(disk), "db");
        world_release(&w);
        fault_vfs_free(faulty);
        mem_vfs_free(disk);
        if (failures == 0) {
            assert_true(n > 30);
            break;
        }
    }
}

static void flip(struct vfs *vfs, const char *path, uint64_t offset) {
    struct vfs_file *f = NULL;
    uint8_t byte;
    assert_int_equal(vfs_open(vfs, path, VFS_WRITE, &f, NULL), ERR_OK);
    assert_int_equal(vfs_file_pread(f, &byte, 1, offset, NULL, NULL), ERR_OK);
    byte ^= 4;
    assert_int_equal(vfs_file_pwrite(f, &byte, 1, offset, NULL), ERR_OK);
    vfs_file_close(f);
}

struct findings {
    size_t count;
    char text[512];
};

static void keep_finding(void *ctx, const struct verify_finding *finding) {
    struct findings *f = ctx;
    f->count++;
    (void)snprintf(f->text, sizeof(f->text), "%s@%u", finding->path, (unsigned)finding->offset);
}

static void damaged_tombstones_are_named_by_verify_and_repaired_by_opening(void **state) {
    (void)state;
    struct world w;
    struct findings findings = {.count = 0};
    struct verify_result result;
    struct err err;
    struct mem_vfs *disk = mem_vfs_new();
    open_on(&w, mem_vfs_base(disk));
    fill(&w, 2);
    delete_in(&w, "__name__=a", S, S + W);
    const char *want = compact_dump(&w);
    world_close(&w);
    flip(mem_vfs_base(disk), "db/tombstones", 50);
    assert_ok(verify_database(mem_vfs_base(disk), "db", keep_finding, &findings, &result, &err),
              &err);
    assert_int_equal(result.findings, 1);
    assert_int_equal(result.tombstones, 1);
    assert_string_equal(findings.text, "db/tombstones@32");
    w.options.registry = metric_registry_new();
    world_open(&w);
    assert_string_equal(compact_dump(&w), want);
    assert_true(atomic_load(&w.db->damage_count) == 1);
    world_close(&w);
    assert_sound(mem_vfs_base(disk), "db");
    metric_registry_free(w.options.registry);
    w.options.registry = NULL;
    world_release(&w);
    mem_vfs_free(disk);
}

/* ---- threads ---- */

struct busy {
    struct world *w;
    atomic_bool stop;
    size_t wrong;
    size_t rounds;
    struct thread thread;
};

/* Of "a" nothing in the deleted range shows, of "b" all of it. */
static size_t count_wrong(struct storage *st) {
    struct arena arena;
    struct err err;
    struct storage_querier *q;
    struct storage_selection *sel;
    size_t count = 0;
    size_t wrong = 1;
    arena_init(&arena, 0);
    if (storage_querier_open(st, S, S + W - 1, &arena, NULL, &q, &err) == ERR_OK &&
        storage_select(st, q, NULL, 0, NULL, &sel, &err) == ERR_OK) {
        const struct storage_series *series = storage_selection_series(st, sel, &count);
        struct storage_samples *samples = arena_try_alloc(&arena, count + 1, sizeof(*samples));
        if (storage_read(st, q, sel, 0, count, S, S + W - 1, &arena, samples, &err) == ERR_OK) {
            wrong = 0;
            for (size_t i = 0; i < count; i++) {
                const struct str name =
                    labels_get(labels_merge(&arena, storage_set_labels(st, q, series[i].target_set),
                                            storage_set_labels(st, q, series[i].metric_set)),
                               STR("__name__"));
                wrong += samples[i].count != (str_eq(name, STR("b")) ? 8U : 0U);
            }
        }
    }
    arena_release(&arena);
    return wrong;
}

static void query_on(void *ctx) {
    struct busy *b = ctx;
    while (!atomic_load(&b->stop) || b->rounds == 0) {
        b->wrong += count_wrong(b->w->st);
        b->rounds++;
    }
}

static void compact_on(void *ctx) {
    struct busy *b = ctx;
    while (!atomic_load(&b->stop) || b->rounds == 0) {
        struct err err;
        b->wrong += tsdb_compact(b->w->db, b->rounds % 2 == 0, &err) != ERR_OK;
        b->wrong += storage_clean_tombstones(b->w->st, &err) != ERR_OK;
        b->rounds++;
    }
}

static void deletions_queries_appends_and_compaction_at_once(void **state) {
    (void)state;
    struct world w;
    compact_world_init(&w);
    world_open(&w);
    fill(&w, 3);
    delete_in(&w, "__name__=a", INT64_MIN, S + W - 1);
    struct busy query = {.w = &w};
    struct busy compactor = {.w = &w};
    thread_start(&query.thread, "query", query_on, &query);
    thread_start(&compactor.thread, "compact", compact_on, &compactor);
    for (int i = 0; i < (THREAD_CHECK ? 30 : 120); i++) {
        const int64_t ts_ms = S + 4 * W + i * (W / 16);
        append(&w, "a job=j", ts_ms, i);
        append(&w, "b job=j", ts_ms, i);
        delete_in(&w, "__name__=a", ts_ms - W, ts_ms);
    }
    atomic_store(&query.stop, true);
    atomic_store(&compactor.stop, true);
    thread_join(&query.thread);
    thread_join(&compactor.thread);
    assert_int_equal(query.wrong, 0);
    assert_int_equal(compactor.wrong, 0);
    compact(&w, true);
    const char *want = compact_dump(&w);
    assert_null(strstr(want, "a{job=\"j\"} 1000080000"));
    assert_string_equal(in_partitions(&w), want);
    assert_int_equal(interval_count(&w), 0);
    world_close(&w);
    world_release(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cut_leaves_out_what_is_deleted),
        cmocka_unit_test(a_series_that_is_deleted_as_a_whole_is_in_no_partition),
        cmocka_unit_test(tombstones_stay_while_the_head_or_a_partition_needs_them),
        cmocka_unit_test(a_partition_with_much_deleted_is_written_anew_by_itself),
        cmocka_unit_test(many_deleted_series_are_cleaned_and_forgotten),
        cmocka_unit_test(histograms_are_deleted_with_all_their_columns),
        cmocka_unit_test(a_crash_at_any_operation_brings_nothing_back),
        cmocka_unit_test(each_failing_call_leaves_a_state_and_is_tried_again),
        cmocka_unit_test(damaged_tombstones_are_named_by_verify_and_repaired_by_opening),
        cmocka_unit_test(deletions_queries_appends_and_compaction_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
