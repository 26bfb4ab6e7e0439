/* Samples of a selection: the places of a batch are read source by source, those of a series one behind
 * the other in memory, then joined. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/value.h"
#include "tsdb/head_reader.h"
#include "tsdb/querier_impl.h"
#include "tsdb/tsdb_ops.h"

struct wanted { /* one place of the batch */
    struct place place;
    uint32_t order;  /* its number in the batch */
    uint32_t series; /* that it is of */
};

static bool same_source(const struct place *a, const struct place *b) {
    return a->kind == b->kind && a->source == b->source;
}

static int by_wanted(const void *a, const void *b) {
    const struct place *x = &((const struct wanted *)a)->place;
    const struct place *y = &((const struct wanted *)b)->place;
    if (x->kind != y->kind) {
        return x->kind < y->kind ? -1 : 1;
    }
    if (x->source != y->source) {
        return x->source < y->source ? -1 : 1;
    }
    return (x->slot > y->slot) - (x->slot < y->slot);
}

static bool in_order(const struct wanted *wanted, size_t n) {
    for (size_t i = 1; i < n; i++) {
        if (by_wanted(&wanted[i - 1], &wanted[i]) > 0) {
            return false;
        }
    }
    return true;
}

enum { SOURCES_MAX = 64 }; /* more of them are sorted */

/* The sources of a batch. Series have their places in the same ones, in the same order: which came
 * behind a source is a good guess for the next time. */
struct source_list {
    size_t count;
    size_t last;
    struct place sources[SOURCES_MAX];
    size_t next[SOURCES_MAX + 1]; /* behind a source, by its number + 1 */
    size_t places[SOURCES_MAX];   /* how many are in it */
};

/* The number of a place's source; SOURCES_MAX: there is no room for it. */
static size_t source_number(struct source_list *list, const struct place *place) {
    size_t *next = &list->next[list->last];
    size_t at = *next;
    if (at >= list->count || !same_source(&list->sources[at], place)) {
        at = 0;
        while (at < list->count && !same_source(&list->sources[at], place)) {
            at++;
        }
        if (at == SOURCES_MAX) {
            return at;
        }
        if (at == list->count) {
            list->sources[list->count++] = *place;
        }
        *next = at;
    }
    list->last = at + 1;
    return at;
}

static bool source_before(const struct place *a, const struct place *b) {
    return a->kind != b->kind ? a->kind < b->kind : a->source < b->source;
}

/* Where in the sorted places those of each source begin. */
static void source_begins(const struct source_list *list, size_t begins[SOURCES_MAX]) {
    for (size_t i = 0; i < list->count; i++) {
        begins[i] = 0;
        for (size_t k = 0; k < list->count; k++) {
            begins[i] += source_before(&list->sources[k], &list->sources[i]) ? list->places[k] : 0;
        }
    }
}

/* Puts them into to by source; those of one keep their order. False: there are too many sources. */
static bool distribute(const struct wanted *wanted, size_t n, struct wanted *to) {
    struct source_list list = {.count = 0};
    size_t begins[SOURCES_MAX];
    for (size_t i = 0; i < n; i++) {
        const size_t source = source_number(&list, &wanted[i].place);
        if (source == SOURCES_MAX) {
            return false;
        }
        list.places[source]++;
    }
    source_begins(&list, begins);
    list.last = 0;
    for (size_t i = 0; i < n; i++) {
        to[begins[source_number(&list, &wanted[i].place)]++] = wanted[i];
    }
    return true;
}

/* By source and slot. Series mostly come in the order of slots, so that it takes no comparisons. */
static struct wanted *sort_wanted(struct arena *arena, struct wanted *wanted, size_t n) {
    if (in_order(wanted, n)) {
        return wanted;
    }
    struct wanted *sorted = arena_try_alloc(arena, n, sizeof(*sorted));
    if (sorted == NULL || !distribute(wanted, n, sorted)) {
        sorted = wanted;
    }
    if (!in_order(sorted, n)) {
        qsort(sorted, n, sizeof(*sorted), by_wanted);
    }
    return sorted;
}

/* The wanted places [from, to) are in one source. */
struct source {
    struct head_reader *group;          /* or */
    struct partition_reader *partition; /* until it is closed */
    size_t from;
    size_t to;
};

struct batch {
    struct storage_querier *q;
    const struct head_read *read;
    const struct storage_windows *windows; /* NULL: all samples */
    struct wanted *wanted;                 /* by source */
    size_t wanted_count;
    uint32_t *slots; /* of the wanted */
    struct source *sources;
    size_t source_count;
    struct sample_room *rooms;       /* of each series; NULL: they have one place each */
    struct storage_samples *results; /* by order */
    struct err *err;
};

static enum err_code open_source(struct batch *b, struct source *s) {
    struct storage_querier *q = b->q;
    const struct place *place = &b->wanted[s->from].place;
    if (place->kind == PLACE_HEAD || place->kind == PLACE_HEAD_LATE) {
        return head_reader_open(b->read, head_group_get(q->db, place->source), b->slots + s->from,
                                s->to - s->from, &s->group, b->err);
    }
    const struct partition_read read = {
        .partition = querier_partition(q, place->source),
        .series = b->slots + s->from,
        .count = s->to - s->from,
        .min_ts_ms = b->read->min_ts_ms,
        .max_ts_ms = b->read->max_ts_ms,
        .windows = b->windows,
        .arena = b->read->arena,
    };
    return partition_reader_open(&read, &s->partition, b->err);
}

static enum err_code open_sources(struct batch *b) {
    size_t count = 0;
    for (size_t i = 0; i < b->wanted_count; i++) {
        b->slots[i] = b->wanted[i].place.slot;
        count += i == 0 || !same_source(&b->wanted[i - 1].place, &b->wanted[i].place) ? 1 : 0;
    }
    b->sources = arena_try_alloc(b->read->arena, count, sizeof(*b->sources));
    if (b->sources == NULL) {
        return querier_over_budget(b->err);
    }
    enum err_code code = ERR_OK;
    for (size_t at = 0; at < b->wanted_count && code == ERR_OK;) {
        struct source *s = &b->sources[b->source_count++];
        *s = (struct source){.from = at, .to = at + 1};
        while (s->to < b->wanted_count &&
               same_source(&b->wanted[s->to].place, &b->wanted[at].place)) {
            s->to++;
        }
        at = s->to;
        code = open_source(b, s);
    }
    return code;
}

static void close_source(struct source *s) {
    if (s->partition != NULL) {
        partition_reader_close(s->partition);
        s->partition = NULL;
    }
}

/* What places behind a series' first may need; those are in the order of precedence, as sources are. */
static enum err_code plan_rooms(struct batch *b, size_t series_count) {
    b->rooms = arena_try_alloc(b->read->arena, series_count, sizeof(*b->rooms));
    bool *begun = arena_try_alloc(b->read->arena, series_count, sizeof(*begun));
    if (b->rooms == NULL || begun == NULL) {
        return querier_over_budget(b->err);
    }
    memset(b->rooms, 0, series_count * sizeof(*b->rooms));
    memset(begun, 0, series_count * sizeof(*begun));
    for (size_t k = 0; k < b->source_count; k++) {
        const struct source *s = &b->sources[k];
        for (size_t i = s->from; i < s->to; i++) {
            const uint32_t series = b->wanted[i].series;
            if (begun[series]) {
                b->rooms[series].behind += s->group != NULL
                                               ? head_reader_room(s->group)
                                               : partition_reader_room(s->partition, i - s->from);
            }
            begun[series] = true;
        }
    }
    return ERR_OK;
}

enum { READ_BETWEEN_CHECKS = 256 };

static enum err_code read_source(struct batch *b, const struct source *s) {
    for (size_t i = s->from; i < s->to; i++) {
        const struct wanted *w = &b->wanted[i];
        struct sample_room *room = b->rooms != NULL ? &b->rooms[w->series] : NULL;
        struct storage_samples *out = &b->results[w->order];
        enum err_code code = ERR_OK;
        if ((i - s->from) % READ_BETWEEN_CHECKS == 0 &&
            (code = cancel_check(b->q->cancel)) != ERR_OK) {
            return err_set(b->err, code, "query stopped while it read samples");
        }
        code = s->group != NULL ? head_reader_read(s->group, i - s->from, room, out)
                                : partition_reader_read(s->partition, i - s->from, room, out);
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

/* What is promised of samples whose sums are wanted (storage.h, CONDENSED). */
static bool sums_are_exact(const struct storage_samples *samples) {
    const double most = (double)NUM_MANTISSA_LIMIT;
    double magnitude = 0;
    for (size_t i = 0; i < samples->count; i++) {
        const double v = samples->values[i];
        if (samples->has_stale && f64_is_stale(v)) {
            continue;
        }
        if (!(fabs(v) <= most) || trunc(v) != v) {
            return false;
        }
        magnitude += fabs(v);
    }
    return magnitude <= most;
}

/* Can they be handed out as they are? */
static bool condensed_fit(const struct storage_samples *samples, enum storage_want want) {
    return samples->rank == NULL || (samples->histograms == NULL && samples->start_ts == NULL &&
                                     (want != STORAGE_WANT_SUM || sums_are_exact(samples)));
}

/* Deleted samples are in summaries, too. */
static bool any_deleted(const struct storage_selection *sel, size_t first, size_t count) {
    for (size_t i = 0; sel->deleted != NULL && i < count; i++) {
        if (sel->deleted[first + i] != NULL) {
            return true;
        }
    }
    return false;
}

/* Reads all places, source by source; series_count is 0 when each series has one place. */
static enum err_code read_places(struct batch *b, size_t series_count) {
    b->slots = arena_try_alloc(b->read->arena, b->wanted_count, sizeof(*b->slots));
    if (b->slots == NULL) {
        return querier_over_budget(b->err);
    }
    b->wanted = sort_wanted(b->read->arena, b->wanted, b->wanted_count);
    enum err_code code = open_sources(b);
    if (code == ERR_OK && series_count != 0) {
        code = plan_rooms(b, series_count);
    }
    for (size_t i = 0; i < b->source_count && code == ERR_OK; i++) {
        code = read_source(b, &b->sources[i]);
        close_source(&b->sources[i]);
    }
    for (size_t i = 0; i < b->source_count; i++) {
        close_source(&b->sources[i]);
    }
    return code;
}

enum err_code tsdb_read(struct storage_querier *q, const struct storage_selection *sel,
                        size_t first, size_t count, int64_t mint, int64_t maxt,
                        struct arena *scratch, struct storage_samples *out, struct err *err) {
    return tsdb_read_windows(q, sel, first, count, mint, maxt, NULL, scratch, out, err);
}

enum err_code tsdb_read_windows(struct storage_querier *q, const struct storage_selection *sel,
                                size_t first, size_t count, int64_t mint, int64_t maxt,
                                const struct storage_windows *windows, struct arena *scratch,
                                struct storage_samples *out, struct err *err) {
    ASSERT(first <= sel->count && count <= sel->count - first);
    if (count == 0) {
        return ERR_OK;
    }
    const bool merged = sel->first_place != NULL;
    const size_t from = merged ? sel->first_place[first] : first;
    const size_t to = merged ? sel->first_place[first + count] : first + count;
    struct wanted *wanted = arena_try_alloc(scratch, to - from, sizeof(*wanted));
    struct storage_samples *results =
        merged ? arena_try_alloc(scratch, to - from, sizeof(*results)) : out;
    if (wanted == NULL || results == NULL) {
        return querier_over_budget(err);
    }
    for (size_t i = from, series = 0; i < to; i++) {
        series += merged && i == sel->first_place[first + series + 1] ? 1 : 0;
        wanted[i - from] = (struct wanted){sel->places[i], (uint32_t)(i - from), (uint32_t)series};
    }
    const struct head_read read = {
        .db = q->db,
        .min_ts_ms = mint,
        .max_ts_ms = maxt,
        .arena = scratch,
        .cancel = q->cancel,
        .view = q->view,
    };
    struct querier_joins joins = {.cancel = q->cancel};
    windows = windows != NULL && any_deleted(sel, first, count) ? NULL : windows;
    struct batch batch = {.q = q,
                          .read = &read,
                          .windows = windows,
                          .wanted = wanted,
                          .wanted_count = to - from,
                          .results = results,
                          .err = err};
    enum err_code code = read_places(&batch, merged ? count : 0);
    for (size_t i = 0; merged && i < count && code == ERR_OK; i++) {
        const size_t begin = sel->first_place[first + i] - from;
        const size_t end = sel->first_place[first + i + 1] - from;
        joins.unfit = false;
        code = querier_join(&joins, scratch, results + begin, end - begin, &out[i], err);
        if (code == ERR_OK && joins.unfit) {
            code = tsdb_read(q, sel, first + i, 1, mint, maxt, scratch, &out[i], err);
        }
    }
    for (size_t i = 0; windows != NULL && i < count && code == ERR_OK; i++) {
        if (!condensed_fit(&out[i], windows->want)) {
            code = tsdb_read(q, sel, first + i, 1, mint, maxt, scratch, &out[i], err);
        }
    }
    for (size_t i = 0; sel->deleted != NULL && i < count && code == ERR_OK; i++) {
        const struct tombstone *t = sel->deleted[first + i];
        code = t != NULL ? tombstone_filter(t, scratch, &out[i], err) : ERR_OK;
    }
    return code;
}
