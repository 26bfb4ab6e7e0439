#include "tests/support/push_storage.h"

#include <inttypes.h>

#include "base/check.h"
#include "base/mem.h"

struct newest {
    struct labels labels;
    int64_t ts_ms;
    double value;
};

struct push_storage {
    struct storage storage; /* first: the ops get it */
    struct arena arena;
    struct newest *newest;
    size_t series_count;
    struct buf lines;
    struct buf taken;
    enum err_code begin_code, append_code, commit_code;
    int append_in; /* < 0: never */
    size_t open;
};

struct storage_appender {
    struct push_storage *ps;
    struct newest *newest; /* as it will be after the commit */
    size_t series_count;
    struct buf lines;
};

enum { LINES_MAX = 1 << 30 };

void push_storage_line(struct buf *to, struct labels labels, int64_t ts_ms, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    labels_format(to, labels);
    buf_printf(to, " %" PRId64 " %016" PRIx64 "\n", ts_ms, bits);
}

static enum err_code begin(struct storage *st, struct storage_appender **out, struct err *err) {
    struct push_storage *ps = (struct push_storage *)st;
    if (ps->begin_code != ERR_OK) {
        return err_set(err, ps->begin_code, "no transaction today");
    }
    struct storage_appender *a = mem_zalloc(sizeof(*a));
    a->ps = ps;
    a->series_count = ps->series_count;
    a->newest = mem_array(ps->series_count + 1, sizeof(*a->newest));
    if (ps->series_count != 0) {
        memcpy(a->newest, ps->newest, ps->series_count * sizeof(*a->newest));
    }
    buf_init(&a->lines, LINES_MAX);
    ps->open++;
    *out = a;
    return ERR_OK;
}

static enum err_code append(struct storage_appender *a, struct labels labels, int64_t ts_ms,
                            double value) {
    if (a->ps->append_in >= 0 && a->ps->append_in-- == 0) {
        return a->ps->append_code;
    }
    struct err err;
    ASSERT(labels_check(labels.data, labels.size, &err) == ERR_OK);
    struct newest *n = NULL;
    for (size_t i = 0; i < a->series_count && n == NULL; i++) {
        n = labels_eq(a->newest[i].labels, labels) ? &a->newest[i] : NULL;
    }
    if (n != NULL && ts_ms <= n->ts_ms) {
        return ts_ms < n->ts_ms                                ? ERR_OUT_OF_ORDER
               : memcmp(&n->value, &value, sizeof(value)) == 0 ? ERR_OK
                                                               : ERR_DUPLICATE;
    }
    if (n == NULL) {
        a->newest = mem_resize(a->newest, a->series_count + 1, sizeof(*a->newest));
        n = &a->newest[a->series_count++];
        n->labels = labels_copy(&a->ps->arena, labels);
    }
    n->ts_ms = ts_ms;
    n->value = value;
    push_storage_line(&a->lines, labels, ts_ms, value);
    return ERR_OK;
}

static void rollback(struct storage_appender *a) {
    a->ps->open--;
    mem_free(a->newest);
    buf_release(&a->lines);
    mem_free(a);
}

static enum err_code commit(struct storage_appender *a, struct err *err) {
    struct push_storage *ps = a->ps;
    const enum err_code code = ps->commit_code;
    if (code == ERR_OK) {
        struct newest *old = ps->newest;
        ps->newest = a->newest;
        ps->series_count = a->series_count;
        a->newest = old;
        buf_append_str(&ps->lines, buf_str(&a->lines));
    }
    rollback(a);
    return code == ERR_OK ? ERR_OK : err_set(err, code, "no commit today");
}

static const struct storage_ops OPS = {
    .appender_begin = begin,
    .append = append,
    .appender_commit = commit,
    .appender_rollback = rollback,
};

struct push_storage *push_storage_new(void) {
    struct push_storage *ps = mem_zalloc(sizeof(*ps));
    ps->storage.ops = &OPS;
    ps->append_in = -1;
    arena_init(&ps->arena, 0);
    buf_init(&ps->lines, LINES_MAX);
    buf_init(&ps->taken, LINES_MAX);
    return ps;
}

void push_storage_free(struct push_storage *ps) {
    ASSERT(ps->open == 0);
    mem_free(ps->newest);
    arena_release(&ps->arena);
    buf_release(&ps->lines);
    buf_release(&ps->taken);
    mem_free(ps);
}

struct storage *push_storage_as_storage(struct push_storage *ps) {
    return &ps->storage;
}

const char *push_storage_take(struct push_storage *ps) {
    buf_clear(&ps->taken);
    buf_append_str(&ps->taken, buf_str(&ps->lines));
    buf_clear(&ps->lines);
    return buf_str(&ps->taken).ptr;
}

void push_storage_fail_begin(struct push_storage *ps, enum err_code code) {
    ps->begin_code = code;
}

void push_storage_fail_append(struct push_storage *ps, int n, enum err_code code) {
    ps->append_in = n;
    ps->append_code = code;
}

void push_storage_fail_commit(struct push_storage *ps, enum err_code code) {
    ps->commit_code = code;
}

size_t push_storage_open_transactions(const struct push_storage *ps) {
    return ps->open;
}
