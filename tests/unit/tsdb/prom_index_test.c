/* prom_index: all versions give the same series; every single damaged byte of the parts that are read
 * is noticed. */
#include <string.h>

#include "tests/support/check_err.h"
#include "tests/support/mem_vfs.h"
#include "tests/support/prom_files.h"
#include "tsdb/prom_index.h"

static const struct prom_chunk_meta chunks[] = {
    {-500, 1000, 8}, {1001, 2000, 700}, {5000, 5000, (UINT64_C(1) << 32) | 8}};
static const struct prom_write_series series[] = {
    {{"__name__", "a", "x", "1", NULL}, chunks, 3},
    {{"__name__", "b", "job", "j", "x", "2", NULL}, chunks + 1, 1},
    {{"__name__", "c", NULL}, chunks, 0},
};
static const char *const texts[] = {"{__name__=\"a\", x=\"1\"}",
                                    "{__name__=\"b\", job=\"j\", x=\"2\"}", "{__name__=\"c\"}"};

static void put(struct vfs *vfs, const char *path, struct str bytes) {
    struct vfs_file *f = NULL;
    struct err err;
    assert_ok(vfs_open(vfs, path, VFS_WRITE | VFS_CREATE | VFS_TRUNCATE, &f, &err), &err);
    assert_ok(vfs_file_pwrite(f, bytes.ptr, bytes.len, 0, &err), &err);
    vfs_file_close(f);
}

/* Walks the file; the series that came out, and the result. */
static enum err_code walk(struct vfs *vfs, size_t *out_count, struct err *err) {
    struct prom_index *index = NULL;
    struct prom_series s;
    *out_count = 0;
    enum err_code code = prom_index_open(vfs, "/index", &index, err);
    if (code != ERR_OK) {
        return code;
    }
    prom_series_init(&s);
    uint64_t offset = prom_index_first(index);
    while ((code = prom_index_next(index, &offset, &s, err)) == ERR_OK) {
        struct buf text;
        buf_init(&text, 4096);
        labels_format(&text, prom_series_labels(&s));
        assert_true(*out_count < COUNT_OF(series));
        assert_str(buf_str(&text), texts[*out_count]);
        const struct prom_write_series *want = &series[*out_count];
        assert_int_equal(s.chunk_count, want->chunk_count);
        if (want->chunk_count != 0) {
            assert_memory_equal(s.chunks, want->chunks, want->chunk_count * sizeof(*s.chunks));
        }
        struct prom_series again;
        prom_series_init(&again);
        assert_ok(prom_index_read(index, s.offset, &again, err), err);
        assert_true(labels_eq(prom_series_labels(&again), prom_series_labels(&s)));
        assert_int_equal(again.ref, s.ref);
        prom_series_release(&again);
        buf_release(&text);
        *out_count += 1;
    }
    prom_series_release(&s);
    prom_index_close(index);
    return code;
}

static void all_versions_give_the_same_series(void **state) {
    (void)state;
    for (unsigned version = 1; version <= 3; version++) {
        struct mem_vfs *disk = mem_vfs_new();
        struct buf file;
        struct err err;
        size_t count;
        buf_init(&file, 1 << 20);
        prom_write_index(&file, version, series, COUNT_OF(series), NULL);
        put(mem_vfs_base(disk), "/index", buf_str(&file));
        assert_int_equal(walk(mem_vfs_base(disk), &count, &err), ERR_NOT_FOUND);
        assert_int_equal(count, COUNT_OF(series));
        buf_release(&file);
        mem_vfs_free(disk);
    }
}

static void every_changed_byte_is_noticed(void **state) {
    (void)state;
    struct buf file;
    buf_init(&file, 1 << 20);
    prom_write_index(&file, 2, series, COUNT_OF(series), NULL);
    for (size_t i = 0; i < file.len; i++) {
        struct mem_vfs *disk = mem_vfs_new();
        struct err err;
        size_t count;
        file.ptr[i] = (char)(file.ptr[i] ^ 0x41);
        put(mem_vfs_base(disk), "/index", buf_str(&file));
        const enum err_code code = walk(mem_vfs_base(disk), &count, &err);
        /* padding between entries is not read */
        assert_true(code == ERR_NOT_FOUND ? count == COUNT_OF(series)
                                          : code == ERR_CORRUPT || code == ERR_UNSUPPORTED);
        assert_true(code == ERR_NOT_FOUND || strstr(err.text, "/index") != NULL);
        file.ptr[i] = (char)(file.ptr[i] ^ 0x41);
        mem_vfs_free(disk);
    }
    buf_release(&file);
}

static void a_file_that_was_cut_is_corrupt(void **state) {
    (void)state;
    struct buf file;
    buf_init(&file, 1 << 20);
    prom_write_index(&file, 2, series, COUNT_OF(series), NULL);
    for (size_t cut = 0; cut < file.len; cut += 3) {
        struct mem_vfs *disk = mem_vfs_new();
        struct err err;
        size_t count;
        put(mem_vfs_base(disk), "/index", (struct str){file.ptr, cut});
        assert_err(walk(mem_vfs_base(disk), &count, &err), ERR_CORRUPT, "/index", &err);
        mem_vfs_free(disk);
    }
    buf_release(&file);
}

static void an_unknown_version_is_named(void **state) {
    (void)state;
    struct mem_vfs *disk = mem_vfs_new();
    struct buf file;
    struct err err;
    size_t count;
    buf_init(&file, 1 << 20);
    prom_write_index(&file, 4, series, COUNT_OF(series), NULL);
    put(mem_vfs_base(disk), "/index", buf_str(&file));
    assert_err(walk(mem_vfs_base(disk), &count, &err), ERR_UNSUPPORTED,
               "/index: unknown index file version 4", &err);
    assert_int_equal(walk(mem_vfs_base(disk), &count, &err), ERR_UNSUPPORTED);
    buf_release(&file);
    mem_vfs_free(disk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_versions_give_the_same_series),
        cmocka_unit_test(every_changed_byte_is_noticed),
        cmocka_unit_test(a_file_that_was_cut_is_corrupt),
        cmocka_unit_test(an_unknown_version_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
