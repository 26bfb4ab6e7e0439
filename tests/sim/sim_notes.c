/* Exemplars and metadata: what is read was noted, in the order of noting, and what was promised is
 * there. Exemplars carry growing numbers as value and label; so do the helps of families. */
#include "sim_notes.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/number.h"
#include "sim_life.h"

enum { NOTE_TEXT_MAX = 24, READ_BYTES_MAX = 64 << 20 };

/* ---- writing ---- */

static struct labels exemplar_labels(struct arena *arena, uint64_t number) {
    char text[NOTE_TEXT_MAX];
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
    const struct label pair = {STR("trace"), arena_str(arena, str_of(text))};
    return labels_of(arena, &pair, 1);
}

struct storage_exemplar sim_next_exemplar(struct sim *p, const struct sim_series *s,
                                          int64_t ts_ms) {
    struct sim_notes *n = &p->notes;
    if (n->count == n->capacity) {
        n->capacity = mem_grow(n->capacity, n->count + 1);
        n->items = mem_resize(n->items, n->capacity, sizeof(*n->items));
    }
    n->items[n->count++] = (struct sim_exemplar){.series = (size_t)(s - p->model.series),
                                                 .ts_ms = ts_ms,
                                                 .number = ++n->next,
                                                 .promise = SIM_MAYBE};
    n->drafts++;
    return (struct storage_exemplar){.labels = exemplar_labels(&p->model.arena, n->next),
                                     .value = (double)n->next,
                                     .ts_ms = ts_ms};
}

void sim_push_exemplar(struct sim *p, struct storage_appender *a, const struct sim_series *s,
                       int64_t ts_ms) {
    const struct storage_exemplar e = sim_next_exemplar(p, s, ts_ms);
    const enum err_code code = storage_append_exemplar(p->st, a, s->labels, &e);
    if (code != ERR_OK && !sim_may_be_unread(p, code)) {
        sim_fail(p, "an exemplar of %s is refused: code %d", s->name, code);
    }
}

/* No sample fails for its exemplars, so only a good disk promises anything. */
static enum sim_promise note_promise(const struct sim *p) {
    if (p->dirty || p->dying || p->fails || p->disk_full) {
        return SIM_MAYBE;
    }
    return p->options.wal_sync_interval_ns == 0 ? SIM_DURABLE : SIM_ACKED;
}

void sim_keep_exemplars(struct sim *p, bool kept) {
    struct sim_notes *n = &p->notes;
    for (; n->drafts != 0; n->drafts--) {
        n->items[n->count - n->drafts].promise = (uint8_t)(kept ? note_promise(p) : SIM_MAYBE);
        p->totals->exemplars++;
    }
}

void sim_step_metadata(struct sim *p) {
    const size_t i = rng_below(&p->rng, COUNT_OF(p->notes.families));
    struct sim_family *f = &p->notes.families[i];
    char family[NOTE_TEXT_MAX];
    char help[NOTE_TEXT_MAX];
    f->newest = ++p->notes.next;
    (void)snprintf(family, sizeof(family), "f%zu", i);
    (void)snprintf(help, sizeof(help), "%llu", (unsigned long long)f->newest);
    const struct storage_metadata m = {STR("gauge"), str_of(help), STR("s")};
    storage_metadata_put(p->st, str_of(family), &m);
    sim_note_failures(p);
    const enum sim_promise promise = note_promise(p) == SIM_MAYBE ? SIM_IN_MEMORY : SIM_ACKED;
    for (size_t k = SIM_IN_MEMORY; k <= promise && !p->dying; k++) { /* the next round syncs it */
        f->promised[k] = f->newest;
    }
    sim_say(p, "metadata of %s: %s, promise %d", family, help, promise);
}

void sim_promise_notes(struct sim *p, enum sim_promise promise) {
    struct sim_notes *n = &p->notes;
    for (size_t i = 0; i < n->count; i++) {
        struct sim_exemplar *e = &n->items[i];
        e->promise = e->promise > SIM_MAYBE && e->promise < promise ? (uint8_t)promise : e->promise;
    }
    for (size_t i = 0; i < COUNT_OF(n->families); i++) {
        struct sim_family *f = &n->families[i];
        for (size_t k = SIM_IN_MEMORY; k <= promise; k++) {
            f->promised[k] = f->newest;
        }
    }
}

/* ---- reading ---- */

static struct sim_exemplar *find_exemplar(struct sim *p, const struct storage_exemplar *e) {
    for (size_t i = 0; i < p->notes.count; i++) {
        if ((double)p->notes.items[i].number == e->value) {
            return &p->notes.items[i];
        }
    }
    return NULL;
}

static void check_exemplar(struct sim *p, struct labels labels, const struct storage_exemplar *e,
                           bool *seen, struct arena *arena) {
    const struct sim_exemplar *want = find_exemplar(p, e);
    if (want == NULL || want->ts_ms != e->ts_ms ||
        labels_cmp(labels, p->model.series[want->series].labels) != 0 ||
        labels_cmp(e->labels, exemplar_labels(arena, want->number)) != 0) {
        sim_fail(p, "an exemplar %g at %lld was never written", e->value, (long long)e->ts_ms);
    } else if (seen[want - p->notes.items]) {
        sim_fail(p, "exemplar %g came twice", e->value);
    } else {
        seen[want - p->notes.items] = true;
    }
}

static void settle_exemplars(struct sim *p, const bool *seen, const struct sim_reading *r) {
    struct sim_notes *n = &p->notes;
    const bool all_fit = n->count <= p->options.max_exemplars;
    size_t kept = 0;
    for (size_t i = 0; i < n->count && !p->failed; i++) {
        struct sim_exemplar e = n->items[i];
        if (!seen[i] && all_fit && e.promise >= r->promise) {
            sim_fail(p, "exemplar %llu at %lld is missing", (unsigned long long)e.number,
                     (long long)e.ts_ms);
        }
        if (r->settle && seen[i] && e.promise < r->kept) {
            e.promise = (uint8_t)r->kept;
        }
        if (seen[i] || !r->settle || !all_fit) {
            n->items[kept++] = e;
        }
    }
    n->count = p->failed ? n->count : kept;
}

static void read_exemplars(struct sim *p, const struct sim_reading *r, struct arena *arena) {
    struct storage_querier *q = NULL;
    struct storage_exemplar_series *series = NULL;
    struct matcher m;
    struct err err;
    size_t count = 0;
    size_t total = 0;
    enum err_code code = matcher_init(arena, MATCH_EQUAL, STR("zone"), STR("z"), &m, &err);
    if (code == ERR_OK) {
        code = storage_querier_open(p->st, INT64_MIN, INT64_MAX, arena, NULL, &q, &err);
    }
    if (code == ERR_OK) {
        code = storage_exemplars(p->st, q, &m, 1, &series, &count, &err);
    }
    if (code != ERR_OK) {
        sim_fail(p, "reading exemplars: %s", err.text);
        return;
    }
    bool *seen = arena_zalloc(arena, p->notes.count + 1);
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < series[i].count && !p->failed; k++, total++) {
            check_exemplar(p, series[i].labels, &series[i].exemplars[k], seen, arena);
        }
    }
    if (total > p->options.max_exemplars) {
        sim_fail(p, "%zu exemplars, of at most %zu", total, p->options.max_exemplars);
    }
    settle_exemplars(p, seen, r);
}

static void read_metadata(struct sim *p, const struct sim_reading *r, struct arena *arena) {
    struct storage_family *families = NULL;
    uint64_t got[COUNT_OF(p->notes.families)] = {0};
    size_t count = 0;
    if (storage_metadata_list(p->st, arena, &families, &count) != ERR_OK) {
        sim_fail(p, "reading metadata");
        return;
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t family = 0;
        uint64_t help = 0;
        if (families[i].name.len != 2 ||
            number_parse_u64(str_from(families[i].name, 1), &family) != NUMBER_OK ||
            family >= COUNT_OF(got) ||
            number_parse_u64(families[i].metadata.help, &help) != NUMBER_OK ||
            !str_eq(families[i].metadata.unit, STR("s"))) {
            sim_fail(p, "metadata that was never written");
            return;
        }
        got[family] = help;
    }
    for (size_t i = 0; i < COUNT_OF(got); i++) {
        struct sim_family *f = &p->notes.families[i];
        const uint64_t least = r->promise < COUNT_OF(f->promised) ? f->promised[r->promise] : 0;
        if (got[i] > f->newest || got[i] < least) {
            sim_fail(p, "metadata of f%zu: %llu, but %llu was promised and %llu the last", i,
                     (unsigned long long)got[i], (unsigned long long)least,
                     (unsigned long long)f->newest);
        }
        for (size_t k = SIM_IN_MEMORY; r->settle && k < COUNT_OF(f->promised); k++) {
            f->newest = got[i];
            f->promised[k] = k <= (size_t)r->kept      ? got[i]
                             : f->promised[k] > got[i] ? got[i]
                                                       : f->promised[k];
        }
    }
}

void sim_read_notes(struct sim *p, const struct sim_reading *r) {
    struct arena arena;
    arena_init(&arena, READ_BYTES_MAX);
    if (!p->failed) {
        read_exemplars(p, r, &arena);
    }
    if (!p->failed) {
        read_metadata(p, r, &arena);
    }
    arena_release(&arena);
}
