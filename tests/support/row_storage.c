#include "tests/support/row_storage.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/histogram.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/value.h"

struct row_series {
    uint64_t hash;
    struct labels labels;
    char *metric; /* as printed */
    double last;
    enum err_code refuse;
};

struct storage_group {
    struct row_storage *rs;
    struct labels target;
    bool open;
    int64_t newest_ms;
    struct row_series *series;
    uint32_t count, capacity;
    uint32_t *table; /* slot + 1 by hash */
    uint32_t table_size;
    struct storage_group *next;
};

struct row_storage {
    struct storage storage; /* first: the ops get it */
    struct arena arena;
    struct storage_group *groups;
    struct buf log, taken;
    bool record;
    size_t series_max, series_count, row_count;
};

static struct row_storage *of(struct storage *st) {
    return (struct row_storage *)(void *)st;
}

static uint32_t one_shard(struct storage *st) {
    (void)st;
    return 1;
}

static enum err_code open_group(struct storage *st, uint32_t shard, struct labels target,
                                struct storage_group **out, struct err *err) {
    struct row_storage *const rs = of(st);
    ASSERT(shard == 0);
    struct storage_group *g = rs->groups;
    while (g != NULL && !labels_eq(g->target, target)) {
        g = g->next;
    }
    if (g != NULL && g->open) {
        return err_set(err, ERR_EXISTS, "group is open");
    }
    if (g == NULL) {
        g = mem_zalloc(sizeof(*g));
        g->rs = rs;
        g->target = labels_copy(&rs->arena, target);
        g->newest_ms = INT64_MIN;
        g->next = rs->groups;
        rs->groups = g;
    }
    g->open = true;
    *out = g;
    return ERR_OK;
}

static uint32_t *find_slot(struct storage_group *g, uint64_t hash, struct labels labels) {
    uint32_t at = (uint32_t)hash & (g->table_size - 1);
    while (g->table[at] != 0 && !labels_eq(g->series[g->table[at] - 1].labels, labels)) {
        at = (at + 1) & (g->table_size - 1);
    }
    return &g->table[at];
}

static void grow_table(struct storage_group *g) {
    mem_free(g->table);
    g->table_size = g->table_size == 0 ? 64 : g->table_size * 4;
    g->table = mem_zalloc(g->table_size * sizeof(g->table[0]));
    for (uint32_t i = 0; i < g->count; i++) {
        *find_slot(g, g->series[i].hash, g->series[i].labels) = i + 1;
    }
}

static enum err_code add_series(struct storage_group *g, struct labels labels, uint32_t *out_slot,
                                struct err *err) {
    struct row_storage *const rs = g->rs;
    ASSERT(g->open);
    if ((g->count + 1) * 2 > g->table_size) {
        grow_table(g);
    }
    const uint64_t hash = labels_hash(labels);
    uint32_t *const place = find_slot(g, hash, labels);
    if (*place != 0) {
        *out_slot = *place - 1;
        return ERR_OK;
    }
    if (rs->series_count >= rs->series_max) {
        return err_set(err, ERR_LIMIT, "too many series");
    }
    if (g->count == g->capacity) {
        g->capacity = (uint32_t)mem_grow(g->capacity, g->count + 1);
        g->series = mem_resize(g->series, g->capacity, sizeof(g->series[0]));
    }
    struct buf text;
    buf_init(&text, 1 << 24);
    labels_format_metric(&text, labels);
    g->series[g->count] = (struct row_series){.hash = hash,
                                              .labels = labels_copy(&rs->arena, labels),
                                              .metric = mem_strndup(text.ptr, text.len),
                                              .last = NAN};
    buf_release(&text);
    *place = g->count + 1;
    *out_slot = g->count++;
    rs->series_count++;
    return ERR_OK;
}

static uint32_t slot_count(const struct storage_group *g) {
    return g->count;
}

static void log_numbers(struct buf *log, const double *numbers, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        buf_append_char(log, i == 0 ? '[' : ' ');
        buf_append_number_g(log, numbers[i]);
    }
    buf_append_cstr(log, count > 0 ? "]" : "[]");
}

/* Every span by its first index: " +2:[1 0 3]". */
static void log_side(struct buf *log, const struct histogram_side *side, char sign) {
    const double *counts = side->counts;
    int32_t index = 0;
    for (uint32_t i = 0; i < side->span_count; i++) {
        const struct histogram_span span = side->spans[i];
        index += span.offset;
        buf_append_char(log, ' ');
        buf_append_char(log, sign);
        buf_append_i64(log, index);
        buf_append_char(log, ':');
        log_numbers(log, counts, span.length);
        index += (int32_t)span.length;
        counts += span.length;
    }
}

static void log_histogram(struct buf *log, uint8_t state, const struct histogram *h) {
    static const char *const hints[] = {[HINT_UNKNOWN] = "",
                                        [HINT_RESET] = "reset ",
                                        [HINT_NOT_RESET] = "",
                                        [HINT_GAUGE] = "gauge "};
    ASSERT(histogram_check(h, NULL) == ERR_OK);
    buf_append_cstr(log, state == SLOT_FLOAT_HISTOGRAM ? "float " : "");
    buf_append_cstr(log, hints[h->hint]);
    buf_append_cstr(log, "{schema:");
    buf_append_i64(log, h->schema);
    buf_append_cstr(log, " count:");
    buf_append_number_g(log, h->count);
    buf_append_cstr(log, " sum:");
    buf_append_number_g(log, h->sum);
    if (histogram_is_custom(h)) {
        buf_append_cstr(log, " bounds:");
        log_numbers(log, h->bounds, h->bound_count);
    } else {
        buf_append_cstr(log, " zero:");
        buf_append_number_g(log, h->zero_count);
        buf_append_char(log, '@');
        buf_append_number_g(log, h->zero_threshold);
    }
    log_side(log, &h->positive, '+');
    log_side(log, &h->negative, '-');
    buf_append_char(log, '}');
}

static void log_sample(struct row_storage *rs, int64_t ts_ms, struct row_series *s, uint8_t state,
                       struct num value, const struct histogram *h, int64_t start_ts_ms) {
    const bool is_histogram = state == SLOT_HISTOGRAM || state == SLOT_FLOAT_HISTOGRAM;
    s->last = state == SLOT_STALE || is_histogram ? NAN : num_double(value);
    buf_append_i64(&rs->log, ts_ms);
    buf_append_char(&rs->log, ' ');
    buf_append_cstr(&rs->log, s->metric);
    buf_append_char(&rs->log, ' ');
    if (state == SLOT_STALE) {
        buf_append_cstr(&rs->log, "stale");
    } else if (is_histogram) {
        log_histogram(&rs->log, state, h);
    } else {
        buf_append_number_g(&rs->log, num_double(value));
    }
    if (start_ts_ms != 0) {
        buf_append_cstr(&rs->log, " @");
        buf_append_i64(&rs->log, start_ts_ms);
    }
    buf_append_char(&rs->log, '\n');
}

static void log_exemplar(struct row_storage *rs, const struct row_series *s,
                         const struct storage_exemplar *exemplar) {
    buf_append_i64(&rs->log, exemplar->ts_ms);
    buf_append_char(&rs->log, ' ');
    buf_append_cstr(&rs->log, s->metric);
    buf_append_cstr(&rs->log, " # ");
    labels_format(&rs->log, exemplar->labels);
    buf_append_char(&rs->log, ' ');
    buf_append_number_g(&rs->log, exemplar->value);
    buf_append_char(&rs->log, '\n');
}

static void count_refusal(struct storage_row_result *out, enum err_code code) {
    out->out_of_order += code == ERR_OUT_OF_ORDER;
    out->duplicate += code == ERR_DUPLICATE;
    out->too_old += code == ERR_TOO_OLD;
    out->out_of_bounds += code == ERR_OUT_OF_BOUNDS;
}

static enum err_code commit(struct storage_group *g, const struct storage_row *row,
                            struct storage_row_result *out, struct err *err) {
    struct row_storage *const rs = g->rs;
    (void)err;
    ASSERT(g->open && row->slot_count <= g->count);
    *out = (struct storage_row_result){0};
    const bool newer = row->ts_ms > g->newest_ms;
    rs->row_count++;
    for (uint32_t i = 0; i < row->slot_count && rs->record; i++) {
        if (row->states[i] == SLOT_ABSENT) {
            continue;
        }
        const bool is_histogram =
            row->states[i] == SLOT_HISTOGRAM || row->states[i] == SLOT_FLOAT_HISTOGRAM;
        const enum err_code code = newer ? g->series[i].refuse : ERR_OUT_OF_ORDER;
        if (row->rejects != NULL) {
            row->rejects[i] = (uint8_t)code;
        }
        if (code != ERR_OK) {
            count_refusal(out, code);
            continue;
        }
        out->accepted++;
        log_sample(rs, row->ts_ms, &g->series[i], row->states[i], row->values[i],
                   is_histogram ? row->histograms[i] : NULL,
                   row->start_ts_ms != NULL ? row->start_ts_ms[i] : 0);
    }
    for (size_t i = 0; i < row->own_time_count && rs->record; i++) {
        const struct storage_own_time *const own = &row->own_times[i];
        ASSERT(own->slot < g->count);
        out->accepted++;
        log_sample(rs, own->ts_ms, &g->series[own->slot], own->state, own->value, own->histogram,
                   own->start_ts_ms);
    }
    for (size_t i = 0; i < row->exemplar_count && rs->record; i++) {
        ASSERT(row->exemplars[i].slot < g->count);
        log_exemplar(rs, &g->series[row->exemplars[i].slot], &row->exemplars[i].exemplar);
    }
    g->newest_ms = newer ? row->ts_ms : g->newest_ms;
    return ERR_OK;
}

static void close_group(struct storage_group *g) {
    ASSERT(g->open);
    g->open = false;
}

struct row_storage *row_storage_new(bool record) {
    static const struct storage_ops ops = {
        .shard_count = one_shard,
        .group_open = open_group,
        .group_series = add_series,
        .group_slot_count = slot_count,
        .group_commit = commit,
        .group_close = close_group,
    };
    struct row_storage *const rs = mem_zalloc(sizeof(*rs));
    rs->storage.ops = &ops;
    rs->record = record;
    rs->series_max = SIZE_MAX;
    arena_init(&rs->arena, 0);
    buf_init(&rs->log, 1 << 28);
    buf_init(&rs->taken, 1 << 28);
    return rs;
}

void row_storage_free(struct row_storage *rs) {
    while (rs->groups != NULL) {
        struct storage_group *const g = rs->groups;
        rs->groups = g->next;
        for (uint32_t i = 0; i < g->count; i++) {
            mem_free(g->series[i].metric);
        }
        mem_free(g->series);
        mem_free(g->table);
        mem_free(g);
    }
    buf_release(&rs->log);
    buf_release(&rs->taken);
    arena_release(&rs->arena);
    mem_free(rs);
}

struct storage *row_storage_as_storage(struct row_storage *rs) {
    return &rs->storage;
}

static bool is_report(struct str line) {
    const struct str metric = str_from(line, (size_t)(str_find_char(line, ' ') + 1));
    return str_starts(metric, STR("scrape_")) || str_starts(metric, STR("up{")) ||
           str_starts(metric, STR("up "));
}

const char *row_storage_take(struct row_storage *rs, bool reports) {
    struct str rest = buf_str(&rs->log);
    buf_clear(&rs->taken);
    while (rest.len > 0) {
        const struct str line = str_sub(rest, 0, (size_t)(str_find_char(rest, '\n') + 1));
        if (reports || !is_report(line)) {
            buf_append_str(&rs->taken, line);
        }
        rest = str_from(rest, line.len);
    }
    buf_clear(&rs->log);
    return rs->taken.ptr != NULL ? rs->taken.ptr : "";
}

double row_storage_last(struct row_storage *rs, const char *metric) {
    for (const struct storage_group *g = rs->groups; g != NULL; g = g->next) {
        for (uint32_t i = 0; i < g->count; i++) {
            if (strcmp(g->series[i].metric, metric) == 0) {
                return g->series[i].last;
            }
        }
    }
    return NAN;
}

void row_storage_rewind(struct row_storage *rs) {
    for (struct storage_group *g = rs->groups; g != NULL; g = g->next) {
        g->newest_ms = INT64_MIN;
    }
}

void row_storage_refuse(struct row_storage *rs, const char *metric, enum err_code code) {
    for (struct storage_group *g = rs->groups; g != NULL; g = g->next) {
        for (uint32_t i = 0; i < g->count; i++) {
            if (strcmp(g->series[i].metric, metric) == 0) {
                g->series[i].refuse = code;
            }
        }
    }
}

void row_storage_set_series_max(struct row_storage *rs, size_t max) {
    rs->series_max = max;
}

size_t row_storage_series_count(const struct row_storage *rs) {
    return rs->series_count;
}

size_t row_storage_open_groups(const struct row_storage *rs) {
    size_t n = 0;
    for (const struct storage_group *g = rs->groups; g != NULL; g = g->next) {
        n += g->open;
    }
    return n;
}

size_t row_storage_row_count(const struct row_storage *rs) {
    return rs->row_count;
}
