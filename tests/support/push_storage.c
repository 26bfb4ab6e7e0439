#include "tests/support/push_storage.h"

#include <inttypes.h>

#include "base/attr.h"
#include "base/check.h"
#include "base/histogram_text.h"
#include "base/mem.h"

struct newest {
    struct labels labels; /* one of the storage's sets */
    uint32_t set;
    int64_t ts_ms;
    double value;
};

struct push_storage {
    struct storage storage; /* first: the ops get it */
    struct storage_ops ops;
    struct arena arena;
    struct labels *sets; /* of all transactions, also those that were rolled back */
    uint32_t set_count;
    struct newest *newest;
    size_t series_count;
    size_t in_rows;
    struct buf lines;
    struct buf taken;
    enum err_code begin_code, append_code, commit_code;
    int append_in; /* < 0: never */
    size_t open;
};

enum { EXPECTED_MAX = 3 };

struct storage_appender {
    struct push_storage *ps;
    struct newest *newest; /* as it will be after the commit */
    size_t series_count;
    struct buf lines;
    size_t next; /* behind the newest one; what is expected begins there */
    size_t given;
    struct labels expected[EXPECTED_MAX];
    uint32_t expected_sets[EXPECTED_MAX];
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

/* Labels with bytes behind them that can be read. */
static struct labels keep_labels(struct arena *arena, struct labels labels) {
    enum { SLACK = 16 };
    uint8_t *bytes = arena_alloc(arena, labels.size + SLACK);
    memcpy(bytes, labels.data, labels.size);
    memset(bytes + labels.size, 0, SLACK);
    return (struct labels){bytes, labels.size};
}

static uint32_t set_of(struct push_storage *ps, struct labels labels) {
    for (uint32_t i = 0; i < ps->set_count; i++) {
        if (labels_eq(ps->sets[i], labels)) {
            return i;
        }
    }
    ps->sets = mem_resize(ps->sets, ps->set_count + 1, sizeof(*ps->sets));
    ps->sets[ps->set_count] = keep_labels(&ps->arena, labels);
    return ps->set_count++;
}

static enum err_code append(struct storage_appender *a, struct labels labels, int64_t ts_ms,
                            double value) {
    a->given = SIZE_MAX;
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
        n->set = set_of(a->ps, labels);
        n->labels = a->ps->sets[n->set];
    }
    a->next = (size_t)(n - a->newest) + 1;
    n->ts_ms = ts_ms;
    n->value = value;
    push_storage_line(&a->lines, labels, ts_ms, value);
    return ERR_OK;
}

/* The next few in the order in which they first came. */
static bool expect(struct storage_appender *a, struct storage_expected *out) {
    size_t n = 0;
    while (n < COUNT_OF(a->expected) && a->next + n < a->series_count) {
        a->expected[n] = a->newest[a->next + n].labels;
        a->expected_sets[n] = a->newest[a->next + n].set;
        n++;
    }
    a->given = a->next;
    *out = (struct storage_expected){.metrics = a->expected, .sets = a->expected_sets, .count = n};
    return n != 0;
}

static bool expect_sets(struct storage_appender *a, struct storage_expected *out) {
    const bool known = expect(a, out);
    out->metrics = NULL;
    return known;
}

static enum err_code append_expected(struct storage_appender *a, size_t i, int64_t ts_ms,
                                     double value) {
    const size_t given = a->given;
    ASSERT(given < a->series_count && i < COUNT_OF(a->expected));
    const enum err_code code = append(a, a->expected[i], ts_ms, value);
    a->given = given;
    return code;
}

static size_t append_expected_row(struct storage_appender *a, size_t i, int64_t ts_ms,
                                  const double *values, size_t n) {
    size_t taken = 0;
    ASSERT(i + n <= COUNT_OF(a->expected) && a->given + i + n <= a->series_count);
    while (taken < n && a->ps->append_in < 0 && ts_ms > a->newest[a->given + i + taken].ts_ms) {
        const enum err_code code = append_expected(a, i + taken, ts_ms, values[taken]);
        ASSERT(code == ERR_OK);
        taken++;
    }
    a->ps->in_rows += taken;
    return taken;
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

static enum err_code append_sample(struct storage_appender *a, struct labels labels,
                                   const struct storage_sample *sample) {
    if (sample->histogram == NULL) {
        return append(a, labels, sample->ts_ms, sample->value);
    }
    struct err err;
    ASSERT(histogram_check(sample->histogram, &err) == ERR_OK);
    a->given = SIZE_MAX;
    labels_format(&a->lines, labels);
    buf_printf(&a->lines, " %" PRId64 " ", sample->ts_ms);
    histogram_format(&a->lines, sample->histogram);
    buf_append_char(&a->lines, '\n');
    return ERR_OK;
}

static const struct storage_ops OPS = {
    .appender_begin = begin,
    .append = append,
    .expect = expect,
    .append_expected = append_expected,
    .expect_sets = expect_sets,
    .append_expected_row = append_expected_row,
    .appender_commit = commit,
    .appender_rollback = rollback,
};

struct push_storage *push_storage_new(void) {
    struct push_storage *ps = mem_zalloc(sizeof(*ps));
    ps->ops = OPS;
    ps->storage.ops = &ps->ops;
    ps->append_in = -1;
    arena_init(&ps->arena, 0);
    buf_init(&ps->lines, LINES_MAX);
    buf_init(&ps->taken, LINES_MAX);
    return ps;
}

void push_storage_free(struct push_storage *ps) {
    ASSERT(ps->open == 0);
    mem_free(ps->newest);
    mem_free(ps->sets);
    arena_release(&ps->arena);
    buf_release(&ps->lines);
    buf_release(&ps->taken);
    mem_free(ps);
}

struct storage *push_storage_as_storage(struct push_storage *ps) {
    return &ps->storage;
}

void push_storage_take_histograms(struct push_storage *ps) {
    ps->ops.append_sample = append_sample;
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

size_t push_storage_in_rows(const struct push_storage *ps) {
    return ps->in_rows;
}

size_t push_storage_open_transactions(const struct push_storage *ps) {
    return ps->open;
}
