/* Which window of the head is to be cut. */
#include "base/clock.h"
#include "base/mem.h"
#include "tsdb/compactor_impl.h"
#include "tsdb/span.h"

enum {
    QUIET_S = 15 * 60,
    LATENESS_SHARE = 8, /* of a window, 15 min of two hours: what comes later costs a second cut */
};

/* ---- which window ---- */

struct finding {
    struct compactor *c;
    int64_t before_ms; /* windows that begin before are done with */
    int64_t late_ms;   /* windows that begin before are not looked at */
    int64_t found_ms;
    int64_t newest_commit_ns;
};

static void note_window(struct finding *f, int64_t ts_ms) {
    const int64_t start_ms = span_start(f->c->db->options.partition_ms, ts_ms);
    if (start_ms < f->before_ms && start_ms >= f->late_ms && start_ms < f->found_ms) {
        f->found_ms = start_ms;
    }
}

static void look_at_group(struct finding *f, struct head_group *g) {
    const struct manifest *m = &f->c->manifest;
    mutex_lock(&g->mu);
    for (uint32_t i = 0; i < g->run_count; i++) {
        const struct head_run *run = &g->runs[i];
        const struct manifest_mark *mark =
            manifest_mark_at(m->marks, m->mark_count, g->shard->number, run->min_ts_ms);
        if (mark == NULL || run->at.file >= mark->l0_file) {
            note_window(f, run->min_ts_ms);
        }
    }
    if (g->rows != 0) {
        note_window(f, head_oldest_row_ms(g));
    }
    mutex_unlock(&g->mu);
}

static int64_t newest_commit(struct tsdb *db, uint32_t count) {
    int64_t newest = 0;
    for (uint32_t id = 1; id < count; id++) {
        struct head_group *g = head_group_get(db, id);
        if (g == NULL || g->shard == NULL) {
            continue;
        }
        mutex_lock(&g->shard->mu);
        newest = g->last_commit_ns > newest ? g->last_commit_ns : newest;
        mutex_unlock(&g->shard->mu);
    }
    return newest;
}

uint32_t compactor_count_groups(struct tsdb *db) {
    mutex_lock(&db->index.mu);
    const uint32_t n = db->group_count;
    mutex_unlock(&db->index.mu);
    return n;
}

/* Windows that begin before this are complete. */
static int64_t complete_before(struct compactor *c, enum compactor_extent extent,
                               uint32_t group_count) {
    struct tsdb *db = c->db;
    const int64_t length_ms = db->options.partition_ms;
    const int64_t needed_ms = length_ms + length_ms / LATENESS_SHARE;
    int64_t newest_ms = atomic_load(&db->max_ts_ms);
    if (extent == COMPACT_ALL) {
        return INT64_MAX;
    }
    const int64_t wall_ms = clock_unix_ms(db->options.clock);
    const bool quiet =
        clock_mono_ns(db->options.clock) - newest_commit(db, group_count) > QUIET_S * NS_PER_S &&
        wall_ms - c->first_round_unix_ms > QUIET_S * INT64_C(1000);
    if (wall_ms > newest_ms && (quiet || extent == COMPACT_OLD)) {
        newest_ms = wall_ms;
    }
    return newest_ms < INT64_MIN + needed_ms ? INT64_MIN : newest_ms - needed_ms;
}

bool compactor_find_window(struct compactor *c, enum compactor_extent extent, bool late,
                           int64_t *out_start_ms) {
    const uint32_t count = compactor_count_groups(c->db);
    struct finding f = {.c = c,
                        .before_ms = complete_before(c, extent, count),
                        .late_ms = INT64_MIN,
                        .found_ms = INT64_MAX};
    for (size_t i = 0; i < c->manifest.partition_count && !late; i++) {
        const int64_t end_ms = c->manifest.partitions[i].end_ms;
        f.late_ms = end_ms > f.late_ms ? end_ms : f.late_ms;
    }
    for (uint32_t id = 1; id < count; id++) {
        struct head_group *g = head_group_get(c->db, id);
        if (g != NULL && g->shard != NULL) {
            look_at_group(&f, g);
        }
    }
    *out_start_ms = f.found_ms;
    return f.found_ms != INT64_MAX;
}
