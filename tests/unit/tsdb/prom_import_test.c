/* import: blocks that overlap, deletions, the log and what it drops end up in the storage as one history;
 * running it again changes nothing; a storage that has newer data refuses. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tests/support/check_err.h"
#include "tests/support/mem_vfs.h"
#include "tests/support/prom_files.h"
#include "tests/unit/tsdb/storage_world.h"
#include "tsdb/export.h"
#include "tsdb/import.h"
#include "tsdb/prom_db.h"
#include "tsdb/prom_dump.h"
#include "tsdb/prom_storage.h"

static const char *const first_ulid = "01M81SMZS3NYHPT3380FEDZKNZ";
static const char *const second_ulid = "01M81SMZTBJT0DH1YXQ2C55HTT";

static void put(struct vfs *vfs, const char *path, struct str bytes) {
    struct vfs_file *f = NULL;
    struct err err;
    assert_ok(vfs_open(vfs, path, VFS_WRITE | VFS_CREATE | VFS_TRUNCATE, &f, &err), &err);
    assert_ok(vfs_file_pwrite(f, bytes.ptr, bytes.len, 0, &err), &err);
    vfs_file_close(f);
}

static void put_in(struct vfs *vfs, const char *ulid, const char *name, struct str bytes) {
    char path[128];
    (void)snprintf(path, sizeof(path), "/p/%s/%s", ulid, name);
    put(vfs, path, bytes);
}

struct block_series {
    const char *labels[9];
    struct prom_sample samples[4];
    size_t count;
};

/* Histograms with the samples' values as counts of the one bucket. */
static void put_histograms(struct buf *to, uint8_t encoding, const struct prom_sample *samples,
                           size_t n) {
    struct histogram_span span = {.offset = 1, .length = 1};
    double counts[8];
    struct histogram h[8];
    struct prom_sample out[8];
    for (size_t i = 0; i < n; i++) {
        counts[i] = samples[i].value;
        h[i] = (struct histogram){
            .count = counts[i],
            .sum = 2,
            .positive = {.spans = &span, .span_count = 1, .counts = &counts[i], .count = 1}};
        out[i] = (struct prom_sample){
            .ts_ms = samples[i].ts_ms, .histogram = &h[i], .start_ms = samples[i].start_ms};
    }
    prom_write_histograms(to, encoding, out, n);
}

/* Of series of this name: hist are histograms, and those with an _st have start times. */
static uint8_t encoding_of(const char *name) {
    const bool starts = strstr(name, "_st") != NULL;
    if (strncmp(name, "hist", 4) == 0) {
        return starts ? PROM_CHUNK_HISTOGRAM_ST : PROM_CHUNK_HISTOGRAM;
    }
    return starts ? PROM_CHUNK_XOR2 : PROM_CHUNK_XOR;
}

/* A block of series with one chunk each. */
static void put_block(struct vfs *vfs, const char *ulid, const struct block_series *in, size_t n,
                      bool late, const char *parents) {
    struct prom_chunk_meta metas[8];
    struct prom_write_series out[8];
    struct buf chunks;
    struct buf file;
    struct err err;
    char path[128];
    buf_init(&chunks, 1 << 20);
    buf_init(&file, 1 << 20);
    (void)snprintf(path, sizeof(path), "/p/%s", ulid);
    assert_ok(vfs_mkdir(vfs, path, &err), &err);
    (void)snprintf(path, sizeof(path), "/p/%s/chunks", ulid);
    assert_ok(vfs_mkdir(vfs, path, &err), &err);
    int64_t mint = INT64_MAX;
    int64_t maxt = INT64_MIN;
    for (size_t i = 0; i < n; i++) {
        const struct prom_sample *s = in[i].samples;
        buf_clear(&file);
        const uint8_t encoding = encoding_of(in[i].labels[1]);
        if (prom_chunk_is_histogram(encoding)) {
            put_histograms(&file, encoding, s, in[i].count);
        } else if (encoding == PROM_CHUNK_XOR2) {
            prom_write_xor2(&file, s, in[i].count, 1, true);
        } else {
            prom_write_xor(&file, s, in[i].count);
        }
        metas[i] = (struct prom_chunk_meta){s[0].ts_ms, s[in[i].count - 1].ts_ms,
                                            prom_write_chunk(&chunks, encoding, buf_str(&file))};
        mint = metas[i].mint < mint ? metas[i].mint : mint;
        maxt = metas[i].maxt > maxt ? metas[i].maxt : maxt;
        memcpy(out[i].labels, in[i].labels, sizeof(out[i].labels));
        out[i].chunks = &metas[i];
        out[i].chunk_count = 1;
    }
    put_in(vfs, ulid, "chunks/000001", buf_str(&chunks));
    buf_clear(&file);
    prom_write_index(&file, 2, out, n, NULL);
    put_in(vfs, ulid, "index", buf_str(&file));
    buf_clear(&file);
    buf_printf(&file,
               "{\"ulid\":\"%s\",\"minTime\":%lld,\"maxTime\":%lld,\"stats\":{\"numSamples\":4},"
               "\"compaction\":{\"level\":1,\"hints\":[%s],\"parents\":[%s]},\"version\":1}",
               ulid, (long long)mint, (long long)maxt + 1, late ? "\"from-out-of-order\"" : "",
               parents);
    put_in(vfs, ulid, "meta.json", buf_str(&file));
    buf_release(&chunks);
    buf_release(&file);
}

/* Exemplars of a series with samples, of one without, of none; metadata of parts of a histogram, and of a
 * series that is not known. */
static void put_notes(struct buf *segment) {
    static const char *const bucket[] = {"__name__", "h_bucket", "le", "1", NULL};
    static const char *const trace[] = {"trace", "ab", NULL};
    static const char *const twice[] = {"trace", "ab", "trace", "cd", NULL};
    static const struct prom_write_sample exemplars[] = {{1, {9000000, 4, NULL, 0}},
                                                         {1, {9000500, 5, NULL, 0}},
                                                         {3, {9000000, 6, NULL, 0}},
                                                         {9, {9000000, 7, NULL, 0}}};
    struct buf record;
    buf_init(&record, 4096);
    prom_write_series_record(&record, 3, bucket);
    prom_write_record(segment, buf_str(&record), PROM_PLAIN);
    buf_clear(&record);
    prom_write_exemplar_record(&record, exemplars, COUNT_OF(exemplars), trace);
    prom_write_record(segment, buf_str(&record), PROM_SNAPPY);
    buf_clear(&record);
    prom_write_exemplar_record(&record, exemplars, 1, twice); /* labels that none may have */
    prom_write_record(segment, buf_str(&record), PROM_SNAPPY);
    buf_clear(&record);
    prom_write_metadata_record(&record, 1, 1, "", "old");
    prom_write_record(segment, buf_str(&record), PROM_PLAIN);
    buf_clear(&record);
    prom_write_metadata_record(&record, 1, 2, "bytes", "How many.");
    prom_write_record(segment, buf_str(&record), PROM_PLAIN);
    buf_clear(&record);
    prom_write_metadata_record(&record, 3, 3, "", "How long.");
    prom_write_record(segment, buf_str(&record), PROM_PLAIN);
    buf_clear(&record);
    prom_write_metadata_record(&record, 9, 3, "", "Of what?");
    prom_write_record(segment, buf_str(&record), PROM_PLAIN);
    buf_clear(&record);
    prom_write_metadata_record(&record, 2, 3, "", "no \xff text");
    prom_write_record(segment, buf_str(&record), PROM_PLAIN);
    buf_release(&record);
}

static void put_log(struct vfs *vfs, const char *path) {
    static const char *const a[] = {"__name__", "a", "job", "x", NULL};
    static const char *const gone[] = {"__name__", "gone", NULL};
    static const struct prom_write_sample samples[] = {{1, {3000, 30, NULL, 0}},
                                                       {1, {9000000, 40, NULL, 0}},
                                                       {2, {9000000, 1, NULL, 0}},
                                                       {9, {9000000, 5, NULL, 0}}};
    static const struct prom_write_sample more[] = {{1, {9000500, 41, NULL, 0}},
                                                    {2, {9000500, 2, NULL, 0}}};
    struct buf record;
    struct buf segment;
    buf_init(&record, 4096);
    buf_init(&segment, 1 << 20);
    prom_write_series_record(&record, 1, a);
    prom_write_record(&segment, buf_str(&record), PROM_SNAPPY);
    buf_clear(&record);
    prom_write_series_record(&record, 2, gone);
    prom_write_record(&segment, buf_str(&record), PROM_PLAIN);
    buf_clear(&record);
    prom_write_samples_record(&record, samples, 4);
    prom_write_record(&segment, buf_str(&record), PROM_SNAPPY);
    buf_clear(&record);
    prom_write_deletion_record(&record, 2, INT64_MIN, INT64_MAX); /* what came before */
    prom_write_record(&segment, buf_str(&record), PROM_PLAIN);
    buf_clear(&record);
    prom_write_samples_record(&record, more, 2);
    prom_write_record(&segment, buf_str(&record), PROM_PLAIN);
    put_notes(&segment);
    put(vfs, path, buf_str(&segment));
    buf_release(&record);
    buf_release(&segment);
}

static struct mem_vfs *prometheus(void) {
    static const struct block_series first[] = {
        {{"__name__", "a", "job", "x", NULL},
         {{1000, 1, NULL, 0}, {2000, 2, NULL, 0}, {5000, 5, NULL, 0}},
         3},
        {{"__name__", "b", NULL},
         {{1500, -0.0, NULL, 0}, {4000000, 8, NULL, 0}, {8000000, 9, NULL, 0}},
         3},
        {{"__name__", "hist", NULL}, {{1500, 1, NULL, 0}, {1600, 2, NULL, 0}}, 2},
    };
    static const struct block_series late[] = {
        {{"__name__", "a", "job", "x", NULL},
         {{1500, 1.5, NULL, 0}, {2000, 99, NULL, 0}, {6000, 6, NULL, 0}},
         3},
    };
    struct mem_vfs *disk = mem_vfs_new();
    struct vfs *vfs = mem_vfs_base(disk);
    struct err err;
    assert_ok(vfs_mkdir(vfs, "/p", &err), &err);
    assert_ok(vfs_mkdir(vfs, "/p/wal", &err), &err);
    put_block(vfs, first_ulid, first, 3, false, "");
    put_block(vfs, second_ulid, late, 1, true, "");
    put_log(vfs, "/p/wal/00000000");
    return disk;
}

/* Prometheus' folder and a database that is open, for a test. */
struct import_case {
    struct mem_vfs *disk;
    struct world w;
};

static int setup(void **state) {
    struct import_case *c = mem_zalloc(sizeof(*c));
    c->disk = prometheus();
    world_init(&c->w);
    c->w.options.max_exemplars = 10;
    world_open(&c->w);
    *state = c;
    return 0;
}

static int teardown(void **state) {
    struct import_case *c = *state;
    world_close(&c->w);
    world_release(&c->w);
    mem_vfs_free(c->disk);
    mem_free(c);
    return 0;
}

static const char *const history =
    "a{job=\"x\"} 1000:1 1500:1.5 2000:2 5000:5 6000:6 9000000:40 9000500:41\n"
    "b 1500:-0 4000000:8 8000000:9\n"
    "gone 9000500:2\n"
    "hist 1500:{s0,,n1,sum2,zt0,z0,+1=1} 1600:{s0,same,n2,sum2,zt0,z0,+1=2}\n";

static enum err_code import_into(struct world *w, struct mem_vfs *disk, struct import_result *out,
                                 struct err *err) {
    const struct import_options options = {.vfs = mem_vfs_base(disk), .path = "/p"};
    return import_prometheus(w->st, &options, out, err);
}

static void blocks_and_log_become_one_history(void **state) {
    struct import_case *c = *state;
    struct world *w = &c->w;
    struct mem_vfs *disk = c->disk;
    struct import_result r;
    struct err err;
    assert_ok(import_into(w, disk, &r, &err), &err);
    assert_string_equal(world_dump(w, "__name__=~.+", INT64_MIN, INT64_MAX), history);
    assert_int_equal(r.samples, 13);
    assert_int_equal(r.histograms, 2);
    assert_int_equal(r.unknown_series, 1);
    assert_int_equal(r.blocks, 2);
    assert_ok(import_into(w, disk, &r, &err), &err);
    assert_int_equal(r.samples, 0);
    assert_int_equal(r.present, 13);
    world_close(w);
    world_open(w);
    assert_ok(import_into(w, disk, &r, &err), &err);
    assert_int_equal(r.present, 13);
    assert_string_equal(world_dump(w, "__name__=~.+", INT64_MIN, INT64_MAX), history);
}

static void expect_notes(struct world *w) {
    struct matcher all = {MATCH_NOT_EQUAL, STR("__name__"), STR(""), NULL};
    struct storage_exemplar_series *series = NULL;
    struct storage_family *families = NULL;
    struct storage_querier *q = NULL;
    struct arena arena;
    struct err err;
    size_t n = 0;
    arena_init(&arena, 0);
    assert_ok(storage_querier_open(w->st, INT64_MIN, INT64_MAX, &arena, NULL, &q, &err), &err);
    assert_ok(storage_exemplars(w->st, q, &all, 1, &series, &n, &err), &err);
    assert_int_equal(n, 1);
    assert_str(labels_get(series[0].labels, LABEL_NAME), "a");
    assert_int_equal(series[0].count, 2);
    assert_int_equal(series[0].exemplars[1].ts_ms, 9000500);
    assert_true(series[0].exemplars[1].value == 5);
    assert_str(labels_get(series[0].exemplars[1].labels, STR("trace")), "ab");
    assert_ok(storage_metadata_list(w->st, &arena, &families, &n), &err);
    assert_int_equal(n, 2);
    assert_str(families[0].name, "a");
    assert_str(families[0].metadata.type, "gauge");
    assert_str(families[0].metadata.unit, "bytes");
    assert_str(families[0].metadata.help, "How many.");
    assert_str(families[1].name, "h");
    assert_str(families[1].metadata.type, "histogram");
    arena_release(&arena);
}

static void exemplars_and_metadata_of_the_log_are_taken_over(void **state) {
    struct import_case *c = *state;
    struct world *w = &c->w;
    struct mem_vfs *disk = c->disk;
    struct import_result r;
    struct err err;
    assert_ok(import_into(w, disk, &r, &err), &err);
    assert_int_equal(r.exemplars, 2);
    assert_int_equal(r.metadata, 3);
    expect_notes(w);
    assert_ok(import_into(w, disk, &r, &err), &err); /* again: nothing new */
    assert_int_equal(r.exemplars, 0);
    world_close(w);
    world_open(w);
    expect_notes(w);
}

static void start_times_of_the_log_are_taken_over(void **state) {
    (void)state;
    static const char *const labels[] = {"__name__", "s", NULL};
    static const struct prom_write_sample samples[] = {{1, {1000, 1, NULL, 0}},
                                                       {1, {2000, 2, NULL, 0}},
                                                       {1, {3000, 3, NULL, 0}},
                                                       {1, {4000, 4, NULL, 0}}};
    struct mem_vfs *disk = mem_vfs_new();
    struct vfs *vfs = mem_vfs_base(disk);
    struct buf record;
    struct buf segment;
    struct world w;
    struct import_result r;
    struct err err;
    buf_init(&record, 4096);
    buf_init(&segment, 1 << 20);
    assert_ok(vfs_mkdir(vfs, "/p", &err), &err);
    assert_ok(vfs_mkdir(vfs, "/p/wal", &err), &err);
    prom_write_series_record(&record, 1, labels);
    prom_write_record(&segment, buf_str(&record), PROM_PLAIN);
    buf_clear(&record);
    prom_write_samples_v2_record(&record, samples, COUNT_OF(samples));
    prom_write_record(&segment, buf_str(&record), PROM_PLAIN);
    put(vfs, "/p/wal/00000000", buf_str(&segment));
    buf_release(&record);
    buf_release(&segment);
    world_init(&w);
    world_open(&w);
    assert_ok(import_into(&w, disk, &r, &err), &err);
    assert_int_equal(r.samples, 4);
    assert_int_equal(r.start_times, 3);
    assert_string_equal(world_dump(&w, "__name__=~.+", INT64_MIN, INT64_MAX),
                        "s 1000:1@17 2000:2@17 3000:3@12 4000:4\n");
    world_close(&w);
    world_release(&w);
    mem_vfs_free(disk);
}

/* Each look at it takes two seconds. */
struct slow_clock {
    struct clock clock;
    int64_t mono_ns;
};

static int64_t slow_ns(struct clock *clock) {
    struct slow_clock *c = (struct slow_clock *)clock;
    c->mono_ns += 2 * NS_PER_S;
    return c->mono_ns;
}

/* Of floats and histograms; a block that has them and one that does not make one series. Served
 * without an import, they are the same. */
static void start_times_of_blocks_are_taken_over(void **state) {
    (void)state;
    static const struct block_series first[] = {
        {{"__name__", "a", NULL}, {{1000, 1, NULL, 0}, {2000, 2, NULL, 0}}, 2},
        {{"__name__", "c_st", NULL},
         {{1000, 1, NULL, 900}, {2000, 2, NULL, 900}, {3000, 1, NULL, 2500}},
         3},
        {{"__name__", "hist_st", NULL}, {{1000, 1, NULL, 999}, {2000, 2, NULL, 1999}}, 2},
    };
    static const struct block_series second[] = {
        {{"__name__", "c_st", NULL}, {{1500, 1, NULL, 900}, {4000, 5, NULL, 2500}}, 2},
    };
    static const char want[] =
        "a 1000:1 2000:2\n"
        "c_st 1000:1@900 1500:1@900 2000:2@900 3000:1@2500 4000:5@2500\n"
        "hist_st 1000:{s0,,n1,sum2,zt0,z0,+1=1}@999 2000:{s0,same,n2,sum2,zt0,z0,+1=2}@1999\n";
    struct mem_vfs *disk = mem_vfs_new();
    struct import_result r;
    struct world w;
    struct err err;
    assert_ok(vfs_mkdir(mem_vfs_base(disk), "/p", &err), &err);
    assert_ok(vfs_mkdir(mem_vfs_base(disk), "/p/wal", &err), &err);
    put_block(mem_vfs_base(disk), first_ulid, first, COUNT_OF(first), false, "");
    put_block(mem_vfs_base(disk), second_ulid, second, COUNT_OF(second), true, "");
    world_init(&w);
    world_open(&w);
    assert_ok(import_into(&w, disk, &r, &err), &err);
    assert_int_equal(r.samples, 9);
    assert_int_equal(r.start_times, 7);
    assert_string_equal(world_dump(&w, "__name__=~.+", INT64_MIN, INT64_MAX), want);
    world_close(&w);
    world_open(&w);
    assert_string_equal(world_dump(&w, "__name__=~.+", INT64_MIN, INT64_MAX), want);
    struct storage *own = w.st;
    struct prom_storage *ps = NULL;
    const struct prom_storage_options options = {.vfs = mem_vfs_base(disk), .path = "/p"};
    assert_ok(prom_storage_open(&options, &ps, &err), &err);
    w.st = prom_storage_as_storage(ps);
    assert_string_equal(world_dump(&w, "__name__=~.+", INT64_MIN, INT64_MAX), want);
    w.st = own;
    prom_storage_close(ps);
    world_release(&w);
    mem_vfs_free(disk);
}

static void import_and_export_say_how_far_they_are(void **state) {
    (void)state;
    static const struct clock_ops ops = {slow_ns, slow_ns};
    struct slow_clock clock = {.clock.ops = &ops};
    struct mem_vfs *disk = prometheus();
    struct progress progress;
    struct rng rng = rng_system();
    struct import_result r;
    struct export_result exported;
    struct world w;
    struct err err;
    char *text = NULL;
    size_t len = 0;
    FILE *terminal = open_memstream(&text, &len);
    assert_non_null(terminal);
    world_init(&w);
    world_open(&w);
    progress_begin(&progress, &clock.clock, terminal, true, "importing", "samples");
    const struct import_options import = {
        .vfs = mem_vfs_base(disk), .path = "/p", .progress = &progress};
    assert_ok(import_prometheus(w.st, &import, &r, &err), &err);
    progress_end(&progress);
    assert_int_equal(fflush(terminal), 0);
    assert_non_null(strstr(text, "\r\033[Kimporting  100 % [####################]  "));
    assert_non_null(strstr(text, "/s  ETA 0 s\n"));
    assert_ok(vfs_mkdir(mem_vfs_base(disk), "/e", &err), &err);
    progress_begin(&progress, &clock.clock, terminal, true, "exporting", "s of data");
    const struct export_options export = {.vfs = mem_vfs_base(disk),
                                          .clock = &w.clock.clock,
                                          .rng = &rng,
                                          .progress = &progress,
                                          .path = "/e",
                                          .mint = INT64_MIN,
                                          .maxt = INT64_MAX};
    assert_ok(export_storage(w.st, &export, &exported, &err), &err);
    progress_end(&progress);
    assert_int_equal(fclose(terminal), 0);
    assert_int_equal(exported.samples, r.samples);
    assert_non_null(strstr(text, "\r\033[Kexporting  "));
    assert_non_null(strstr(text, " s of data  "));
    free(text);
    world_close(&w);
    world_release(&w);
    mem_vfs_free(disk);
}

static void append_one(struct world *w, const char *labels, int64_t ts_ms, double value) {
    struct storage_appender *a = NULL;
    struct err err;
    assert_ok(storage_appender_begin(w->st, &a, &err), &err);
    assert_int_equal(world_append(w, a, labels, ts_ms, value), ERR_OK);
    assert_ok(storage_appender_commit(w->st, a, &err), &err);
}

static void a_storage_with_newer_data_refuses(void **state) {
    struct import_case *c = *state;
    struct world *w = &c->w;
    struct mem_vfs *disk = c->disk;
    struct import_result r;
    struct err err;
    append_one(w, "new", 9000501, 1);
    assert_err(import_into(w, disk, &r, &err), ERR_EXISTS,
               "the database has newer samples, up to 9000501, than /p, up to 9000500", &err);
    assert_int_equal(r.samples, 0);
}

static void a_storage_that_lacks_older_samples_refuses_them(void **state) {
    struct import_case *c = *state;
    struct world *w = &c->w;
    struct mem_vfs *disk = c->disk;
    struct import_result r;
    struct err err;
    append_one(w, "new", 9000000, 1);
    assert_err(import_into(w, disk, &r, &err), ERR_EXISTS,
               "the database has samples up to 9000000 and takes none from 1", &err);
}

static void another_stored_value_stays_and_is_counted(void **state) {
    struct import_case *c = *state;
    struct world *w = &c->w;
    struct mem_vfs *disk = c->disk;
    struct import_result r;
    struct err err;
    append_one(w, "a job=x", 1000, 77);
    assert_ok(import_into(w, disk, &r, &err), &err);
    assert_int_equal(r.conflicts, 1);
    assert_int_equal(r.samples, 12);
    assert_string_equal(world_dump(w, "__name__=a", 0, 1500), "a{job=\"x\"} 1000:77 1500:1.5\n");
}

static void a_damaged_block_stops_the_import_and_is_named(void **state) {
    struct import_case *c = *state;
    struct world *w = &c->w;
    struct mem_vfs *disk = c->disk;
    struct import_result r;
    struct err err;
    put_in(mem_vfs_base(disk), second_ulid, "tombstones", STR("\x01\x30\xBA\x30\x01garbage"));
    assert_err(import_into(w, disk, &r, &err), ERR_CORRUPT,
               "/p/01M81SMZTBJT0DH1YXQ2C55HTT/tombstones: checksum does not match", &err);
    put_in(mem_vfs_base(disk), second_ulid, "meta.json", STR("{\"version\":2}"));
    assert_err(import_into(w, disk, &r, &err), ERR_CORRUPT, "unexpected meta file version 2", &err);
}

static void a_block_that_was_merged_into_another_is_left_out(void **state) {
    (void)state;
    static const struct block_series merged[] = {
        {{"__name__", "m", NULL}, {{1000, 1, NULL, 0}, {9000000, 2, NULL, 0}}, 2},
    };
    struct mem_vfs *disk = prometheus();
    struct prom_db db;
    struct err err;
    struct buf parents;
    buf_init(&parents, 4096);
    buf_printf(&parents, "{\"ulid\":\"%s\"},{\"ulid\":\"%s\"}", first_ulid, second_ulid);
    put_block(mem_vfs_base(disk), "01M81SN034E1C7D0AGT788RTC4", merged, 1, false,
              buf_str(&parents).ptr);
    assert_ok(prom_db_init(&db, mem_vfs_base(disk), "/p", false, NULL, &err), &err);
    assert_int_equal(db.block_count, 1);
    assert_string_equal(db.blocks[0].meta.ulid, "01M81SN034E1C7D0AGT788RTC4");
    prom_db_release(&db);
    buf_release(&parents);
    mem_vfs_free(disk);
}

static void a_log_larger_than_memory_is_taken_in_parts(void **state) {
    (void)state;
    for (size_t max = 1; max <= 3; max++) {
        struct mem_vfs *disk = prometheus();
        struct world w;
        struct import_result r;
        struct err err;
        const struct import_options options = {
            .vfs = mem_vfs_base(disk), .path = "/p", .log_samples_max = max};
        world_init(&w);
        world_open(&w);
        if (max == 1) { /* two have the same time */
            assert_err(import_prometheus(w.st, &options, &r, &err), ERR_LIMIT,
                       "more than 1 samples of the log at once", &err);
        } else {
            assert_ok(import_prometheus(w.st, &options, &r, &err), &err);
            assert_string_equal(world_dump(&w, "__name__=~.+", INT64_MIN, INT64_MAX), history);
        }
        world_close(&w);
        world_release(&w);
        mem_vfs_free(disk);
    }
}

static void expect_dump(struct mem_vfs *disk, const struct prom_dump_options *options,
                        const char *want) {
    char text[1024] = {0};
    struct prom_dump_result r;
    struct err err;
    FILE *to = tmpfile();
    assert_non_null(to);
    assert_ok(prom_dump(mem_vfs_base(disk), "/p", options, to, &r, &err), &err);
    rewind(to);
    text[fread(text, 1, sizeof(text) - 1, to)] = '\0';
    (void)fclose(to);
    assert_string_equal(text, want);
}

static void a_dump_is_sorted_and_cut_to_times_and_selectors(void **state) {
    (void)state;
    const struct matcher is_b = {MATCH_EQUAL, STR("__name__"), STR("b"), NULL};
    const struct prom_selector selector = {&is_b, 1};
    struct mem_vfs *disk = prometheus();
    struct prom_dump_options options = {
        .mint = INT64_MIN, .maxt = INT64_MAX, .selectors = &selector, .selector_count = 1};
    expect_dump(disk, &options,
                "{__name__=\"b\"} -0 1500\n{__name__=\"b\"} 8 4000000\n{__name__=\"b\"} 9 "
                "8000000\n");
    options = (struct prom_dump_options){.mint = 6000, .maxt = 9000499, .log_samples_max = 1};
    expect_dump(disk, &options,
                "{__name__=\"a\", job=\"x\"} 6 6000\n{__name__=\"a\", job=\"x\"} 40 "
                "9000000\n{__name__=\"b\"} 8 4000000\n{__name__=\"b\"} 9 8000000\n");
    const struct matcher is_hist = {MATCH_EQUAL, STR("__name__"), STR("hist"), NULL};
    const struct prom_selector histograms = {&is_hist, 1};
    options = (struct prom_dump_options){
        .mint = 1501, .maxt = INT64_MAX, .selectors = &histograms, .selector_count = 1};
    expect_dump(disk, &options, "{__name__=\"hist\"} {count:2, sum:2, (1,2]:2} 1600\n");
    mem_vfs_free(disk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(blocks_and_log_become_one_history, setup, teardown),
        cmocka_unit_test_setup_teardown(exemplars_and_metadata_of_the_log_are_taken_over, setup,
                                        teardown),
        cmocka_unit_test(start_times_of_the_log_are_taken_over),
        cmocka_unit_test(start_times_of_blocks_are_taken_over),
        cmocka_unit_test(import_and_export_say_how_far_they_are),
        cmocka_unit_test_setup_teardown(a_storage_with_newer_data_refuses, setup, teardown),
        cmocka_unit_test_setup_teardown(a_storage_that_lacks_older_samples_refuses_them, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(another_stored_value_stays_and_is_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(a_damaged_block_stops_the_import_and_is_named, setup,
                                        teardown),
        cmocka_unit_test(a_log_larger_than_memory_is_taken_in_parts),
        cmocka_unit_test(a_dump_is_sorted_and_cut_to_times_and_selectors),
        cmocka_unit_test(a_block_that_was_merged_into_another_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
