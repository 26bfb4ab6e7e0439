/* prom_wal: records of all kinds come back from plain and packed segments, across pages, in the order
 * checkpoint, log, late log; a torn end is no error, damage is one and costs no more than the rest of
 * its segment. */
#include <string.h>

#include "base/histogram_text.h"
#include "base/value.h"
#include "tests/support/check_err.h"
#include "tests/support/mem_vfs.h"
#include "tests/support/prom_files.h"
#include "tsdb/prom_wal.h"

struct seen {
    struct buf text;
    uint64_t histograms;
};

static enum err_code see_series(void *ctx, uint64_t ref, struct labels labels, struct err *err) {
    struct seen *seen = ctx;
    (void)err;
    buf_printf(&seen->text, "%llu=", (unsigned long long)ref);
    labels_format(&seen->text, labels);
    buf_append_char(&seen->text, ' ');
    return ERR_OK;
}

static void add_start(struct seen *seen, int64_t start_ms) {
    if (start_ms != 0) {
        buf_printf(&seen->text, "(%lld)", (long long)start_ms);
    }
}

static enum err_code see_sample(void *ctx, uint64_t ref, int64_t ts_ms, int64_t start_ms,
                                double value, struct err *err) {
    struct seen *seen = ctx;
    (void)err;
    buf_printf(&seen->text, "%llu@%lld:", (unsigned long long)ref, (long long)ts_ms);
    buf_append_number_g(&seen->text, value);
    add_start(seen, start_ms);
    buf_append_char(&seen->text, ' ');
    return ERR_OK;
}

static enum err_code see_deletion(void *ctx, uint64_t ref, int64_t mint, int64_t maxt,
                                  struct err *err) {
    struct seen *seen = ctx;
    (void)err;
    buf_printf(&seen->text, "%llu-[%lld,%lld] ", (unsigned long long)ref, (long long)mint,
               (long long)maxt);
    return ERR_OK;
}

static enum err_code see_histogram(void *ctx, uint64_t ref, int64_t ts_ms, int64_t start_ms,
                                   const struct histogram *h, bool floats, struct err *err) {
    struct seen *seen = ctx;
    (void)err;
    seen->histograms++;
    buf_printf(&seen->text, "%llu@%lld%s", (unsigned long long)ref, (long long)ts_ms,
               floats ? "f" : "i");
    histogram_format(&seen->text, h);
    add_start(seen, start_ms);
    buf_append_char(&seen->text, ' ');
    return ERR_OK;
}

static enum err_code see_exemplar(void *ctx, uint64_t ref, const struct storage_exemplar *e,
                                  struct err *err) {
    struct seen *seen = ctx;
    (void)err;
    buf_printf(&seen->text, "%llu#%lld:", (unsigned long long)ref, (long long)e->ts_ms);
    buf_append_number_g(&seen->text, e->value);
    labels_format(&seen->text, e->labels);
    buf_append_char(&seen->text, ' ');
    return ERR_OK;
}

static enum err_code see_metadata(void *ctx, uint64_t ref, const struct storage_metadata *m,
                                  struct err *err) {
    struct seen *seen = ctx;
    (void)err;
    buf_printf(&seen->text, "%llu?%.*s,%.*s,%.*s ", (unsigned long long)ref, STR_ARG(m->type),
               STR_ARG(m->unit), STR_ARG(m->help));
    return ERR_OK;
}

static const struct prom_wal_handler handler = {.series = see_series,
                                                .sample = see_sample,
                                                .deleted = see_deletion,
                                                .histogram = see_histogram,
                                                .exemplar = see_exemplar,
                                                .metadata = see_metadata};

static void put(struct vfs *vfs, const char *path, struct str bytes) {
    struct vfs_file *f = NULL;
    struct err err;
    assert_ok(vfs_open(vfs, path, VFS_WRITE | VFS_CREATE | VFS_TRUNCATE, &f, &err), &err);
    assert_ok(vfs_file_pwrite(f, bytes.ptr, bytes.len, 0, &err), &err);
    vfs_file_close(f);
}

static void make_folders(struct vfs *vfs) {
    static const char *const folders[] = {"/d", "/d/wal", "/d/wal/checkpoint.00000003",
                                          "/d/wal/checkpoint.00000001", "/d/wbl"};
    for (size_t i = 0; i < COUNT_OF(folders); i++) {
        struct err err;
        assert_ok(vfs_mkdir(vfs, folders[i], &err), &err);
    }
}

static void put_sample(struct vfs *vfs, const char *path, uint64_t ref) {
    const struct prom_write_sample s = {ref, {1, 1, NULL, 0}};
    struct buf record;
    struct buf segment;
    buf_init(&record, 4096);
    buf_init(&segment, 1 << 20);
    prom_write_samples_record(&record, &s, 1);
    prom_write_record(&segment, buf_str(&record), PROM_PLAIN);
    put(vfs, path, buf_str(&segment));
    buf_release(&record);
    buf_release(&segment);
}

/* Reads all segments; the last result. */
static enum err_code read_all(struct vfs *vfs, struct seen *seen, uint64_t *torn, struct err *err) {
    struct prom_wal *wal = NULL;
    *torn = 0;
    seen->histograms = 0;
    buf_clear(&seen->text);
    enum err_code code = prom_wal_open(vfs, "/d", &wal, err);
    for (size_t i = 0; code == ERR_OK && i < prom_wal_segment_count(wal); i++) {
        code = prom_wal_read(wal, i, &handler, seen, torn, err);
    }
    prom_wal_close(wal);
    return code;
}

static void write_records(struct buf *segment, enum prom_packing packing) {
    static const char *const labels[] = {"__name__", "up", "job", "x", NULL};
    static const char *const trace[] = {"trace", "ab", NULL};
    static const struct prom_write_sample samples[] = {
        {7, {1000, 1.5, NULL, 0}}, {5, {1000, -2, NULL, 0}}, {9, {990, 3, NULL, 0}}};
    struct buf record;
    buf_init(&record, 4096);
    prom_write_series_record(&record, 7, labels);
    prom_write_record(segment, buf_str(&record), packing);
    buf_clear(&record);
    prom_write_samples_record(&record, samples, 3);
    prom_write_record(segment, buf_str(&record), packing);
    buf_clear(&record);
    prom_write_samples_v2_record(&record, samples, 3);
    prom_write_record(segment, buf_str(&record), packing);
    buf_clear(&record);
    prom_write_deletion_record(&record, 7, -5, 100);
    prom_write_record(segment, buf_str(&record), packing);
    buf_clear(&record);
    prom_write_exemplar_record(&record, samples, 2, trace);
    prom_write_record(segment, buf_str(&record), packing);
    buf_clear(&record);
    prom_write_metadata_record(&record, 7, 2, "bytes", "What is up.");
    prom_write_record(segment, buf_str(&record), packing);
    buf_clear(&record);
    prom_write_metadata_record(&record, 9, 200, "", "");
    prom_write_record(segment, buf_str(&record), packing);
    buf_release(&record);
}

static const char *const records_text =
    "7={__name__=\"up\", job=\"x\"} 7@1000:1.5 5@1000:-2 "
    "9@990:3 7@1000:1.5(17) 5@1000:-2(17) 9@990:3(12) 7-[-5,100] "
    "7#1000:1.5{trace=\"ab\"} 5#1000:-2{trace=\"ab\"} "
    "7?gauge,bytes,What is up. 9?unknown,, ";

static void records_come_back_however_they_are_packed(void **state) {
    (void)state;
    static const enum prom_packing packings[] = {PROM_PLAIN, PROM_SNAPPY, PROM_ZSTD};
    for (size_t i = 0; i < COUNT_OF(packings); i++) {
        struct mem_vfs *disk = mem_vfs_new();
        struct vfs *vfs = mem_vfs_base(disk);
        struct buf segment;
        struct seen seen;
        struct err err;
        uint64_t torn;
        buf_init(&segment, 1 << 20);
        buf_init(&seen.text, 1 << 20);
        assert_ok(vfs_mkdir(vfs, "/d", &err), &err);
        assert_ok(vfs_mkdir(vfs, "/d/wal", &err), &err);
        write_records(&segment, packings[i]);
        put(vfs, "/d/wal/00000000", buf_str(&segment));
        assert_ok(read_all(vfs, &seen, &torn, &err), &err);
        assert_str(buf_str(&seen.text), records_text);
        assert_int_equal(torn, 0);
        buf_release(&segment);
        buf_release(&seen.text);
        mem_vfs_free(disk);
    }
}

static void the_newest_checkpoint_comes_first_and_late_samples_last(void **state) {
    (void)state;
    struct mem_vfs *disk = mem_vfs_new();
    struct vfs *vfs = mem_vfs_base(disk);
    struct seen seen;
    struct err err;
    uint64_t torn;
    buf_init(&seen.text, 1 << 20);
    make_folders(vfs);
    put_sample(vfs, "/d/wal/checkpoint.00000001/00000000", 100);
    put_sample(vfs, "/d/wal/checkpoint.00000003/00000000", 1);
    put_sample(vfs, "/d/wal/checkpoint.00000003/00000001", 2);
    put_sample(vfs, "/d/wal/00000002", 101);
    put_sample(vfs, "/d/wal/00000003", 102);
    put_sample(vfs, "/d/wal/00000004", 3);
    put_sample(vfs, "/d/wal/00000005", 4);
    put_sample(vfs, "/d/wbl/00000000", 5);
    assert_ok(read_all(vfs, &seen, &torn, &err), &err);
    assert_str(buf_str(&seen.text), "1@1:1 2@1:1 3@1:1 4@1:1 5@1:1 ");
    put_sample(vfs, "/d/wal/00000007", 6);
    assert_err(read_all(vfs, &seen, &torn, &err), ERR_CORRUPT,
               "/d/wal: segments are not sequential: 6 is missing", &err);
    buf_release(&seen.text);
    mem_vfs_free(disk);
}

static void records_cross_pages_and_any_cut_keeps_a_prefix(void **state) {
    (void)state;
    static struct prom_write_sample samples[700];
    struct mem_vfs *disk = mem_vfs_new();
    struct vfs *vfs = mem_vfs_base(disk);
    struct buf record;
    struct buf segment;
    struct seen all;
    struct seen some;
    struct err err;
    uint64_t torn;
    buf_init(&record, 1 << 20);
    buf_init(&segment, 1 << 20);
    buf_init(&all.text, 1 << 20);
    buf_init(&some.text, 1 << 20);
    make_folders(vfs);
    for (size_t k = 0; k < 10; k++) {
        for (size_t i = 0; i < COUNT_OF(samples); i++) {
            samples[i] = (struct prom_write_sample){i, {(int64_t)(k * 1000), (double)i, NULL, 0}};
        }
        buf_clear(&record);
        prom_write_samples_record(&record, samples, COUNT_OF(samples));
        prom_write_record(&segment, buf_str(&record), PROM_PLAIN);
    }
    assert_true(segment.len > 65536);
    put(vfs, "/d/wal/00000004", buf_str(&segment));
    assert_ok(read_all(vfs, &all, &torn, &err), &err);
    for (size_t cut = 0; cut < segment.len; cut += 997) {
        put(vfs, "/d/wal/00000004", (struct str){segment.ptr, cut});
        assert_ok(read_all(vfs, &some, &torn, &err), &err);
        assert_true(str_starts(buf_str(&all.text), buf_str(&some.text)));
        assert_true(torn < record.len + 64);
    }
    buf_release(&record);
    buf_release(&segment);
    buf_release(&all.text);
    buf_release(&some.text);
    mem_vfs_free(disk);
}

static void a_changed_byte_is_damage_with_its_place(void **state) {
    (void)state;
    struct mem_vfs *disk = mem_vfs_new();
    struct vfs *vfs = mem_vfs_base(disk);
    struct buf segment;
    struct seen seen;
    struct err err;
    uint64_t torn;
    buf_init(&segment, 1 << 20);
    buf_init(&seen.text, 1 << 20);
    make_folders(vfs);
    write_records(&segment, PROM_SNAPPY);
    for (size_t i = 0; i < segment.len; i++) {
        segment.ptr[i] = (char)(segment.ptr[i] ^ 0x20);
        put(vfs, "/d/wal/00000004", buf_str(&segment));
        const enum err_code code = read_all(vfs, &seen, &torn, &err);
        /* a length that grew beyond the end, or a head with an unused bit, is not to be told apart */
        assert_true(code == ERR_OK || code == ERR_CORRUPT);
        assert_true(code == ERR_OK || strstr(err.text, "/d/wal/00000004") != NULL);
        assert_true(str_starts(str_of(records_text), buf_str(&seen.text)));
        segment.ptr[i] = (char)(segment.ptr[i] ^ 0x20);
    }
    buf_release(&segment);
    buf_release(&seen.text);
    mem_vfs_free(disk);
}

static void native_histograms_are_read_and_other_types_passed_over(void **state) {
    (void)state;
    /* type 7: base ref, base time, then one with a span and a bucket, one without */
    static const uint8_t record[] = {
        7, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 3, 232,                /* base */
        0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0,   0, 0, 0, 0, 0, /* head */
        1, 2, 1, 0, 1, 4, 0,                                                /* buckets */
        2, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0,   0, 0, 0, 0, 0, 0, 0, 0, 0};
    struct seen seen = {0};
    struct buf labels;
    struct err err;
    buf_init(&labels, 4096);
    buf_init(&seen.text, 4096);
    const struct str text = {(const char *)record, sizeof(record)};
    assert_ok(prom_wal_decode(text, &labels, &handler, &seen, &err), &err);
    assert_int_equal(seen.histograms, 2);
    assert_str(buf_str(&seen.text), "5@1000i{count:2, sum:0, [-0,0]:1, (1,1.0905077326652577]:2} "
                                    "6@1000i{count:2, sum:0, [-0,0]:1} ");
    seen.histograms = 0;
    for (size_t cut = 18; cut < sizeof(record); cut++) {
        const enum err_code code = prom_wal_decode((struct str){(const char *)record, cut}, &labels,
                                                   &handler, &seen, &err);
        assert_int_equal(code, cut == 46 ? ERR_OK : ERR_CORRUPT);
    }
    buf_clear(&seen.text);
    assert_ok(prom_wal_decode((struct str){"\x05\x01\x02", 3}, &labels, &handler, &seen, &err),
              &err);
    assert_ok(prom_wal_decode((struct str){"\xEE", 1}, &labels, &handler, &seen, &err), &err);
    assert_err(prom_wal_decode((struct str){"\x01\x00\x00", 3}, &labels, &handler, &seen, &err),
               ERR_CORRUPT, "record cut off", &err);
    assert_int_equal(seen.text.len, 0);
    buf_release(&labels);
    buf_release(&seen.text);
}

static void start_times_are_none_the_same_or_a_difference(void **state) {
    (void)state;
#define HISTOGRAM_BYTES                                                                            \
    0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 /* without buckets */
    /* first: ref 5, time 1000, start 900; then ref +1, time +1, marker */
    static const uint8_t floats[] = {11, 10, 0xD0, 0x0F, 0x88, 0x0E, 0, 0, 0, 0, 0, 0, 0, 0, /**/
                                     2,  2,  1,    0,    0,    0,    0, 0, 0, 0, 0,          /**/
                                     2,  4,  2,    9,    0,    0,    0, 0, 0, 0, 0, 0,       /**/
                                     2,  6,  1,    0,    0,    0,    0, 0, 0, 0, 0,          /**/
                                     2,  8,  0,    0,    0,    0,    0, 0, 0, 0, 0};
    static const uint8_t histograms[] = {12,
                                         10,
                                         0xD0,
                                         0x0F,
                                         0x88,
                                         0x0E,
                                         HISTOGRAM_BYTES, /**/
                                         2,
                                         2,
                                         0,
                                         HISTOGRAM_BYTES, /**/
                                         2,
                                         4,
                                         2,
                                         9,
                                         HISTOGRAM_BYTES};
#undef HISTOGRAM_BYTES
    struct seen seen = {0};
    struct buf labels;
    struct err err;
    buf_init(&labels, 4096);
    buf_init(&seen.text, 4096);
    const struct str first = {(const char *)floats, sizeof(floats)};
    assert_ok(prom_wal_decode(first, &labels, &handler, &seen, &err), &err);
    assert_str(buf_str(&seen.text), "5@1000:0(900) 6@1001:0(900) 7@1002:0(895) 8@1003:0(895) "
                                    "9@1004:0 ");
    buf_clear(&seen.text);
    const struct str second = {(const char *)histograms, sizeof(histograms)};
    assert_ok(prom_wal_decode(second, &labels, &handler, &seen, &err), &err);
    assert_str(buf_str(&seen.text), "5@1000i{count:2, sum:0, [-0,0]:1}(900) "
                                    "6@1001i{count:2, sum:0, [-0,0]:1} "
                                    "7@1002i{count:2, sum:0, [-0,0]:1}(895) ");
    buf_release(&labels);
    buf_release(&seen.text);
}

static void a_directory_without_logs_has_no_segments(void **state) {
    (void)state;
    struct mem_vfs *disk = mem_vfs_new();
    struct prom_wal *wal = NULL;
    struct err err;
    assert_ok(vfs_mkdir(mem_vfs_base(disk), "/d", &err), &err);
    assert_ok(prom_wal_open(mem_vfs_base(disk), "/d", &wal, &err), &err);
    assert_int_equal(prom_wal_segment_count(wal), 0);
    prom_wal_close(wal);
    mem_vfs_free(disk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_come_back_however_they_are_packed),
        cmocka_unit_test(the_newest_checkpoint_comes_first_and_late_samples_last),
        cmocka_unit_test(records_cross_pages_and_any_cut_keeps_a_prefix),
        cmocka_unit_test(a_changed_byte_is_damage_with_its_place),
        cmocka_unit_test(native_histograms_are_read_and_other_types_passed_over),
        cmocka_unit_test(start_times_are_none_the_same_or_a_difference),
        cmocka_unit_test(a_directory_without_logs_has_no_segments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
