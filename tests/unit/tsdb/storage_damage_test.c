/* A flipped bit anywhere in the directory never gives a wrong value.
 *
 * A history with open rows, sealed runs and pushed series is written once. Then, file by file and
 * with a stride, one bit is flipped in a copy, which is opened and read: each sample that comes
 * back must be one that was written, a read may fail with ERR_CORRUPT, and nothing may crash. How
 * much is lost is bounded for the log: rows up to the next complete one. Runs whose rows the log
 * still has lose nothing. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "storage_world.h"
#include "tests/support/check_err.h"

enum { BASE = 1000000000, ROWS = 170, SLOTS = 6, PUSHED = 3, FILES_MAX = 32, FLIPS_PER_FILE = 60 };

static double value_of(int series, int64_t row) {
    return series % 3 == 0 ? 3 : series % 3 == 1 ? (double)(row * (series + 1)) : (double)row / 4;
}

static void write_history(struct world *w) {
    struct storage_group *g = world_group(w, "job=j");
    for (int i = 0; i < SLOTS; i++) {
        char text[32];
        snprintf(text, sizeof(text), "m%d job=j", i);
        world_slot(w, g, text);
    }
    for (int64_t row = 0; row < ROWS; row++) {
        double values[SLOTS];
        for (int i = 0; i < SLOTS; i++) {
            values[i] = value_of(i, row);
        }
        world_row(w, g, BASE + row, values, SLOTS);
        struct storage_appender *a;
        struct err err;
        assert_ok(storage_appender_begin(w->st, &a, &err), &err);
        for (int i = 0; i < PUSHED; i++) {
            char text[32];
            snprintf(text, sizeof(text), "m%d job=p", i);
            assert_int_equal(world_append(w, a, text, BASE + row, value_of(i, row)), ERR_OK);
        }
        assert_ok(storage_appender_commit(w->st, a, &err), &err);
    }
    storage_group_close(w->st, g);
}

/* Reads series by series; returns how many samples came back, all of them true. */
static size_t read_all(struct world *w) {
    struct arena arena;
    struct err err;
    struct storage_querier *q;
    struct storage_selection *sel;
    size_t n;
    size_t samples = 0;
    arena_init(&arena, 0);
    assert_ok(storage_querier_open(w->st, 0, INT64_MAX, &arena, NULL, &q, &err), &err);
    assert_ok(storage_select(w->st, q, NULL, 0, NULL, &sel, &err), &err);
    const struct storage_series *series = storage_selection_series(w->st, sel, &n);
    for (size_t i = 0; i < n; i++) {
        struct storage_samples got;
        const enum err_code code =
            storage_read(w->st, q, sel, i, 1, 0, INT64_MAX, &arena, &got, &err);
        if (code != ERR_OK) {
            assert_int_equal(code, ERR_CORRUPT);
            continue;
        }
        const struct str name =
            labels_get(storage_set_labels(w->st, q, series[i].metric_set), LABEL_NAME);
        const int number = name.len > 1 ? atoi(arena_cstr(&arena, str_from(name, 1))) : 0;
        for (size_t k = 0; k < got.count; k++) {
            const int64_t row = got.ts[k] - BASE;
            assert_in_range(row, 0, ROWS - 1);
            if (!f64_same_bits(got.values[k], value_of(number, row))) {
                print_message("%.*s row %lld: %g\n", STR_ARG(name), (long long)row, got.values[k]);
            }
            assert_true(f64_same_bits(got.values[k], value_of(number, row)));
        }
        samples += got.count;
    }
    arena_release(&arena);
    return samples;
}

struct files {
    char paths[FILES_MAX][160]; /* below the folder */
    size_t count;
};

static void list_files(struct files *files, const char *root, const char *below) {
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", root, below);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        char child[160];
        char full[768];
        struct stat st;
        if (e->d_name[0] == '.') {
            continue;
        }
        snprintf(child, sizeof(child), "%s%s%.100s", below, below[0] != '\0' ? "/" : "", e->d_name);
        snprintf(full, sizeof(full), "%s/%s", root, child);
        assert_int_equal(stat(full, &st), 0);
        if (S_ISDIR(st.st_mode)) {
            list_files(files, root, child);
        } else if (st.st_size > 0) {
            assert_true(files->count < FILES_MAX);
            memcpy(files->paths[files->count++], child, sizeof(child));
        }
    }
    closedir(dir);
}

static long used_bytes(FILE *f) {
    long used = 0;
    int c;
    for (long at = 0; (c = fgetc(f)) != EOF; at++) {
        used = c != 0 ? at + 1 : used;
    }
    return used; /* the rest is preallocated zeros */
}

static void flip(const char *root, const char *below, long at, int bit) {
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", root, below);
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, at, SEEK_SET), 0);
    const int c = fgetc(f);
    assert_int_equal(fseek(f, at, SEEK_SET), 0);
    assert_int_not_equal(fputc(c ^ 1 << bit, f), EOF);
    assert_int_equal(fclose(f), 0);
}

static void flipped_bits_never_give_wrong_values(void **state) {
    (void)state;
    struct world w;
    struct files files = {.count = 0};
    const size_t all = (size_t)ROWS * (SLOTS + PUSHED);
    world_init(&w);
    world_open(&w);
    write_history(&w);
    assert_int_equal(read_all(&w), all);
    world_close(&w);
    list_files(&files, w.dir, "");
    assert_true(files.count >= 3);
    for (size_t i = 0; i < files.count; i++) {
        char path[512];
        snprintf(path, sizeof(path), "%s/%s", w.dir, files.paths[i]);
        FILE *f = fopen(path, "rb");
        assert_non_null(f);
        const long size = used_bytes(f);
        fclose(f);
        size_t least = all;
        for (long n = 0; n < FLIPS_PER_FILE; n++) {
            struct world copy = w;
            arena_init(&copy.arena, 0);
            world_copy(&copy, &w);
            flip(copy.dir, files.paths[i], size * n / FLIPS_PER_FILE, (int)(n % 8));
            world_open(&copy);
            const size_t got = read_all(&copy);
            least = got < least ? got : least;
            tsdb_maintain(copy.db);
            assert_int_equal(read_all(&copy), got);
            world_release(&copy);
        }
        print_message("%s: at least %zu of %zu samples left\n", files.paths[i], least, all);
        if (str_starts(str_of(files.paths[i]), STR("l0/"))) {
            assert_int_equal(least, all); /* the log still has these rows */
        }
        if (str_starts(str_of(files.paths[i]), STR("wal/"))) {
            assert_true(least >= all - (size_t)64 * SLOTS);
        }
    }
    world_release(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(flipped_bits_never_give_wrong_values)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
