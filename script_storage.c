/* TIME. Scripts begin at 0; the database's clock shows the time of what is appended, so that nothing is
 * too old or in the future. */
#include "script_storage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "tsdb/tsdb.h"

enum { PATH_BYTES_MAX = 4096, FOLDER_DEPTH_MAX = 16 };

struct script_clock {
    struct clock clock; /* the first member */
    int64_t now_ms;
};

struct script_storage {
    struct promqltest_store store; /* the first member */
    struct vfs *vfs;
    FILE *errors;
    char root[PATH_BYTES_MAX];
    char path[PATH_BYTES_MAX]; /* of the database, under root */
    struct script_clock clock;
    struct tsdb *db;
};

static int64_t clock_unix(struct clock *clock) {
    return ((struct script_clock *)clock)->now_ms * NS_PER_MS;
}

static int64_t clock_mono(struct clock *clock) {
    (void)clock;
    return clock_mono_ns(clock_system());
}

static const struct clock_ops CLOCK_OPS = {clock_unix, clock_mono};

/* ---- folders ---- */

struct names {
    char **items;
    size_t count;
    size_t capacity;
};

static bool note_name(void *ctx, const char *name) {
    struct names *names = ctx;
    if (names->count == names->capacity) {
        names->capacity = mem_grow(names->capacity, names->count + 1);
        names->items = mem_resize(names->items, names->capacity, sizeof(char *));
    }
    names->items[names->count++] = mem_strdup(name);
    return true;
}

/* With all that is in it, as far as that goes. */
static void remove_folder(struct vfs *vfs, const char *path, int depth) {
    struct names names = {0};
    (void)!vfs_list(vfs, path, note_name, &names, NULL);
    for (size_t i = 0; i < names.count; i++) {
        const size_t size = strlen(path) + strlen(names.items[i]) + 2;
        char *inner = mem_alloc(size);
        struct vfs_stat st;
        (void)snprintf(inner, size, "%s/%s", path, names.items[i]);
        if (depth > 0 && vfs_stat(vfs, inner, &st, NULL) == ERR_OK && st.is_dir) {
            remove_folder(vfs, inner, depth - 1);
        } else {
            (void)!vfs_unlink(vfs, inner, NULL);
        }
        mem_free(inner);
        mem_free(names.items[i]);
    }
    mem_free(names.items);
    (void)!vfs_rmdir(vfs, path, NULL);
}

/* ---- the database ---- */

static void close_db(struct script_storage *s) {
    if (s->db != NULL) {
        tsdb_close(s->db);
        s->db = NULL;
    }
}

static enum err_code open_db(struct script_storage *s, struct err *err) {
    struct tsdb_options options;
    struct tsdb_replay_stats stats;
    close_db(s);
    tsdb_options_default(&options);
    options.path = s->path;
    options.vfs = s->vfs;
    options.clock = &s->clock.clock;
    options.rng = rng_system();
    options.no_background = true;
    return tsdb_open(&options, &s->db, &stats, err);
}

/* ---- copying ---- */

struct loaded_series {
    struct labels labels;
    struct storage_samples samples;
    size_t next; /* sample that is not copied yet */
};

struct loaded {
    struct arena arena;
    struct loaded_series *series;
    size_t count;
};

static enum err_code read_all(struct storage *from, struct loaded *l, struct err *err) {
    struct storage_querier *q = NULL;
    struct storage_selection *selection = NULL;
    const int64_t end_ms = INT64_MAX / 2;
    enum err_code code = storage_querier_open(from, -end_ms, end_ms, &l->arena, NULL, &q, err);
    if (code == ERR_OK) {
        code = storage_select(from, q, NULL, 0, NULL, &selection, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    const struct storage_series *series = storage_selection_series(from, selection, &l->count);
    l->series = arena_zalloc(&l->arena, (l->count + 1) * sizeof(*l->series));
    for (size_t i = 0; code == ERR_OK && i < l->count; i++) {
        l->series[i].labels =
            labels_merge(&l->arena, storage_set_labels(from, q, series[i].target_set),
                         storage_set_labels(from, q, series[i].metric_set));
        code = storage_read(from, q, selection, i, 1, -end_ms, end_ms, &l->arena,
                            &l->series[i].samples, err);
    }
    return code;
}

/* The oldest sample that is left is of this time. */
static bool next_time(const struct loaded *l, int64_t *out_ms) {
    bool any = false;
    for (size_t i = 0; i < l->count; i++) {
        const struct loaded_series *series = &l->series[i];
        if (series->next < series->samples.count &&
            (!any || series->samples.ts[series->next] < *out_ms)) {
            *out_ms = series->samples.ts[series->next];
            any = true;
        }
    }
    return any;
}

static enum err_code append_one(struct storage *st, struct storage_appender *a,
                                struct loaded_series *series, struct err *err) {
    const struct storage_samples *from = &series->samples;
    const size_t at = series->next++;
    const struct storage_sample sample = {
        .ts_ms = from->ts[at],
        .value = from->values[at],
        .histogram = from->histograms != NULL ? from->histograms[at] : NULL,
        .float_histogram = true, /* scripts have no others */
        .start_ts_ms = from->start_ts != NULL ? from->start_ts[at] : 0,
    };
    const enum err_code code = storage_append_sample(st, a, series->labels, &sample);
    return code == ERR_OK ? ERR_OK
                          : err_set(err, code, "the database refuses a sample at %lld: %s",
                                    (long long)sample.ts_ms, err_code_name(code));
}

static enum err_code append_time(struct script_storage *s, struct loaded *l, int64_t ts_ms,
                                 struct err *err) {
    struct storage *st = tsdb_storage(s->db);
    struct storage_appender *a = NULL;
    s->clock.now_ms = ts_ms;
    enum err_code code = storage_appender_begin(st, &a, err);
    if (code != ERR_OK) {
        return code;
    }
    for (size_t i = 0; code == ERR_OK && i < l->count; i++) {
        struct loaded_series *series = &l->series[i];
        if (series->next < series->samples.count && series->samples.ts[series->next] == ts_ms) {
            code = append_one(st, a, series, err);
        }
    }
    if (code != ERR_OK) {
        storage_appender_rollback(st, a);
        return code;
    }
    return storage_appender_commit(st, a, err);
}

static enum err_code fill_db(struct script_storage *s, struct storage *from, struct err *err) {
    struct loaded l = {.count = 0};
    int64_t ts_ms = 0;
    arena_init(&l.arena, 0);
    close_db(s);
    remove_folder(s->vfs, s->path, FOLDER_DEPTH_MAX);
    enum err_code code = open_db(s, err);
    code = code == ERR_OK ? read_all(from, &l, err) : code;
    while (code == ERR_OK && next_time(&l, &ts_ms)) {
        code = append_time(s, &l, ts_ms, err);
    }
    code = code == ERR_OK ? tsdb_compact(s->db, true, err) : code;
    code = code == ERR_OK ? open_db(s, err) : code;
    arena_release(&l.arena);
    return code;
}

static struct storage *fill(struct promqltest_store *store, struct storage *from) {
    struct script_storage *s = (struct script_storage *)store;
    struct err err;
    if (fill_db(s, from, &err) != ERR_OK) {
        (void)fprintf(s->errors, "%s: %s\n", s->path, err.text);
        return NULL;
    }
    return tsdb_storage(s->db);
}

/* ---- life ---- */

enum err_code script_storage_new(struct vfs *vfs, FILE *errors, struct script_storage **out,
                                 struct err *err) {
    const char *parent = getenv("TMPDIR");
    struct script_storage *s = mem_zalloc(sizeof(*s));
    s->store.fill = fill;
    s->vfs = vfs;
    s->errors = errors;
    s->clock.clock.ops = &CLOCK_OPS;
    const int n = snprintf(s->root, sizeof(s->root), "%s/brasa_test_XXXXXX",
                           parent != NULL && parent[0] != '\0' ? parent : "/tmp");
    if (n < 0 || (size_t)n + sizeof("/data") > sizeof(s->path)) {
        mem_free(s);
        return err_set(err, ERR_LIMIT, "TMPDIR is too long");
    }
    if (mkdtemp(s->root) == NULL) {
        const enum err_code code = err_set_errno(err, errno, "making a folder %s", s->root);
        mem_free(s);
        return code;
    }
    memcpy(s->path, s->root, (size_t)n);
    memcpy(s->path + n, "/data", sizeof("/data"));
    *out = s;
    return ERR_OK;
}

void script_storage_free(struct script_storage *s) {
    if (s == NULL) {
        return;
    }
    close_db(s);
    remove_folder(s->vfs, s->root, FOLDER_DEPTH_MAX);
    mem_free(s);
}

struct promqltest_store *script_storage_store(struct script_storage *s) {
    return &s->store;
}
