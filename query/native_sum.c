#include "query/native_sum.h"

#include "query/histogram_note.h"

static void see_hint(struct native_sum *s, const struct histogram *h) {
    s->reset = s->reset || h->hint == HINT_RESET;
    s->not_reset = s->not_reset || h->hint == HINT_NOT_RESET;
}

enum err_code native_sum_init(struct native_sum *s, struct work *work,
                              const struct histogram *first, bool mean, struct err *err) {
    *s = (struct native_sum){.work = work, .n = 1, .mean = mean};
    see_hint(s, first);
    work_grant(work);
    return histogram_sum_init(&s->sum, &work->arena, first, true) ? ERR_OK : work_over(work, err);
}

bool native_sum_fits(const struct native_sum *s, const struct histogram *h) {
    return (s->sum.schema == HISTOGRAM_SCHEMA_CUSTOM) == histogram_is_custom(h);
}

/* False: no memory. */
static bool add_incremental(struct native_sum *s, const struct histogram *h) {
    const double q = (s->n - 1) / s->n;
    const struct histogram *part = histogram_divide(&s->work->arena, h, s->n);
    histogram_sum_multiply(&s->sum, q);
    return part != NULL && histogram_sum_add(&s->sum, part);
}

/* The sum may overflow: try on a copy. */
static bool add_carefully(struct native_sum *s, const struct histogram *h) {
    struct histogram_sum trial;
    if (!histogram_sum_clone(&s->sum, &trial) || !histogram_sum_add(&trial, h)) {
        return false;
    }
    if (!histogram_sum_overflowed(&trial)) {
        s->sum = trial;
        return true;
    }
    s->incremental = true;
    histogram_sum_divide(&s->sum, s->n - 1);
    return add_incremental(s, h);
}

enum err_code native_sum_add(struct native_sum *s, const struct histogram *h, struct err *err) {
    s->n += 1;
    see_hint(s, h);
    work_grant(s->work);
    bool ok = false;
    if (s->incremental) {
        ok = add_incremental(s, h);
    } else if (!s->mean || histogram_sum_has_room(&s->sum, h)) {
        ok = histogram_sum_add(&s->sum, h);
    } else {
        ok = add_carefully(s, h);
    }
    return ok ? ERR_OK : work_over(s->work, err);
}

void native_sum_note(const struct native_sum *s, struct eval *ev, struct pos_range pos) {
    if (s->reset && s->not_reset) {
        note_hint_conflict(ev, pos, "aggregation");
    }
    if (s->sum.reconciled) {
        note_reconciled(ev, pos, "aggregation");
    }
}

struct histogram *native_sum_finish(struct native_sum *s, struct arena *arena) {
    if (s->mean && !s->incremental) {
        histogram_sum_divide(&s->sum, s->n);
    }
    return histogram_sum_finish(&s->sum, arena);
}
