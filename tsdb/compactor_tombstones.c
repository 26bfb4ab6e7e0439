/* Tombstones against what is stored.
 *
 * A SURVEY counts, for each partition, the intervals that hide a sample in it, which the planner
 * wants to know, and notes which intervals hide anything at all. Those that do not are forgotten.
 * An interval is needed while
 *   - it ends behind the beginning of what the head has,
 *   - it hides a sample in a partition, or may hide one in a partition that cannot be read.
 * Cuts and merges leave out what is deleted, so that what they write needs no look (clean_of).
 *
 * Nothing is forgotten that a restart could need: both manifests that are kept name what is live
 * (the older one counts when the newer one is damaged), no folder of a replaced partition is left, and
 * files of the head that were removed, for which no mark is kept, cannot come back by a crash.
 *
 * COST. Nothing without tombstones, nor while neither they nor partitions change. Few series are looked up
 * in a partition's index, for many all of its series are walked through. */
#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/matcher.h"
#include "base/mem.h"
#include "tsdb/compactor_impl.h"
#include "tsdb/partition.h"

enum {
    LOOKUP_PARTS = 64, /* more of a partition's series than one in so many: walk */
    LABELS_MAX = 64,   /* of a series that is looked up: a few matchers find it */
    READ_BYTES_MAX = 1 << 30,
    PATH_BYTES = 4096,
};

struct survey {
    struct compactor *c;
    const struct tombstones *set;
    size_t *first; /* of each series: number of its first interval */
    bool *used;    /* by interval */
    int64_t since_ns;
    struct arena arena; /* of one look */
};

/* ---- one partition ---- */

/* Notes intervals of a series with a time among ts, which ascend. */
static void note_times(struct survey *s, size_t series, const int64_t *ts, size_t n,
                       uint64_t *io_count) {
    const struct tombstone *t = tombstones_at(s->set, series);
    size_t at = 0;
    for (uint32_t k = 0; k < t->count && at < n; k++) {
        while (at < n && ts[at] < t->intervals[k].min_ts_ms) {
            at++;
        }
        if (at < n && ts[at] <= t->intervals[k].max_ts_ms) {
            s->used[s->first[series] + k] = true;
            ++*io_count;
        }
    }
}

/* Series of the partition with all these labels; others are dropped. */
static enum err_code find_places(struct survey *s, struct partition *p, struct labels labels,
                                 struct partition_hit **out, size_t *out_count, struct err *err) {
    const struct partition_info *info = partition_info(p);
    struct matcher matchers[LABELS_MAX];
    struct labels_iter it = labels_begin(labels);
    struct label label;
    size_t n = 0;
    while (n < LABELS_MAX && labels_next(&it, &label)) {
        matchers[n++] =
            (struct matcher){.type = MATCH_EQUAL, .name = label.name, .value = label.value};
    }
    struct partition_hit *hits = NULL;
    size_t count = 0;
    size_t kept = 0;
    enum err_code code = partition_select(p, matchers, n, info->min_ts_ms, info->max_ts_ms,
                                          &s->arena, &s->c->cancel, &hits, &count, err);
    for (size_t i = 0; i < count && code == ERR_OK; i++) {
        struct labels target;
        struct labels metric;
        code =
            partition_set_labels(p, PARTITION_TARGETS, hits[i].target_set, &s->arena, &target, err);
        code = code != ERR_OK ? code
                              : partition_set_labels(p, PARTITION_METRICS, hits[i].metric_set,
                                                     &s->arena, &metric, err);
        if (code == ERR_OK && labels_eq(labels_merge(&s->arena, target, metric), labels)) {
            hits[kept++] = hits[i];
        }
    }
    *out = hits;
    *out_count = kept;
    return code;
}

static enum err_code look_up(struct survey *s, struct partition *p, size_t series,
                             uint64_t *io_count, struct err *err) {
    const struct partition_info *info = partition_info(p);
    const struct tombstone *t = tombstones_at(s->set, series);
    struct partition_hit *hits = NULL;
    size_t n = 0;
    arena_reset(&s->arena);
    enum err_code code = find_places(s, p, t->labels, &hits, &n, err);
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        struct storage_samples samples;
        code = partition_read(p, &hits[i].series, 1, info->min_ts_ms, info->max_ts_ms, &s->arena,
                              &s->c->cancel, &samples, err);
        if (code == ERR_OK) {
            note_times(s, series, samples.ts, samples.count, io_count);
        }
    }
    return code;
}

/* All series of the partition, by the times of their rows: nothing is decoded. */
static enum err_code walk(struct survey *s, struct partition *p, uint64_t *io_count,
                          struct err *err) {
    struct partition_cursor *cursor = partition_cursor_new(p);
    struct partition_skipped skipped = {0};
    bool has = true;
    enum err_code code = ERR_OK;
    while (has && code == ERR_OK) {
        struct partition_series series;
        arena_reset(&s->arena);
        code = partition_cursor_next(cursor, &series, &has, &skipped, err);
        if (code == ERR_CORRUPT) { /* these series cannot be read by anybody */
            code = ERR_OK;
            continue;
        }
        const struct tombstone *t =
            code == ERR_OK && has
                ? tombstones_find_pair(s->set, series.target, series.metric, &s->arena)
                : NULL;
        if (t != NULL) {
            struct partition_timeline times;
            code = partition_timeline(p, series.timeline, &s->arena, &times, err);
            if (code == ERR_OK) {
                note_times(s, tombstones_index(s->set, t), times.ts, times.rows, io_count);
            }
        }
        code = code != ERR_OK ? code : compactor_breathe(s->c, &s->since_ns, err);
    }
    partition_cursor_free(cursor);
    return code;
}

static enum err_code survey_partition(struct survey *s, struct view_partition *p, struct err *err) {
    const struct partition_info *info = partition_info(p->reader);
    const uint64_t number = tombstones_number(s->set);
    enum err_code code = ERR_OK;
    p->tombstones = 0;
    if (p->clean_of >= number) {
        return ERR_OK;
    }
    size_t overlapping = 0;
    bool long_labels = false;
    for (size_t i = 0; i < tombstones_count(s->set); i++) {
        const struct tombstone *t = tombstones_at(s->set, i);
        overlapping += tombstone_overlaps(t, info->min_ts_ms, info->max_ts_ms);
        long_labels |= labels_count(t->labels) > LABELS_MAX;
    }
    if (long_labels || overlapping > info->series_count / LOOKUP_PARTS + 1) {
        code = walk(s, p->reader, &p->tombstones, err);
    } else {
        for (size_t i = 0; i < tombstones_count(s->set) && code == ERR_OK; i++) {
            if (tombstone_overlaps(tombstones_at(s->set, i), info->min_ts_ms, info->max_ts_ms)) {
                code = look_up(s, p->reader, i, &p->tombstones, err);
                code = code != ERR_OK ? code : compactor_breathe(s->c, &s->since_ns, err);
            }
        }
    }
    if (code == ERR_OK && p->tombstones == 0) {
        p->clean_of = number;
    }
    return code;
}

/* ---- all ---- */

static void use_overlapping(struct survey *s, int64_t min_ts_ms, int64_t max_ts_ms) {
    for (size_t i = 0; i < tombstones_count(s->set); i++) {
        const struct tombstone *t = tombstones_at(s->set, i);
        for (uint32_t k = 0; k < t->count; k++) {
            const struct tombstone_interval *v = &t->intervals[k];
            s->used[s->first[i] + k] |= v->min_ts_ms <= max_ts_ms && v->max_ts_ms >= min_ts_ms;
        }
    }
}

/* The oldest row or run that the head has or may have; INT64_MAX: it is empty. */
static int64_t head_oldest(struct compactor *c) {
    const uint32_t count = compactor_count_groups(c->db);
    int64_t oldest_ms = INT64_MAX;
    for (uint32_t id = 1; id < count; id++) {
        struct head_group *g = head_group_get(c->db, id);
        if (g != NULL) {
            const int64_t ts_ms = atomic_load(&g->min_ts_ms);
            oldest_ms = !atomic_load(&g->replayed) ? INT64_MIN
                        : ts_ms < oldest_ms        ? ts_ms
                                                   : oldest_ms;
        }
    }
    return oldest_ms;
}

static bool is_live(const struct compactor *c, uint32_t number) {
    for (size_t i = 0; i < c->live_count; i++) {
        if (c->live[i]->info.number == number) {
            return true;
        }
    }
    return false;
}

/* What was removed from the folders of the head is gone for good. */
static enum err_code sync_head_folders(struct tsdb *db, struct err *err) {
    static const char *const folders[] = {"wal", "l0"};
    enum err_code code = ERR_OK;
    for (uint32_t i = 0; i < db->shard_count * COUNT_OF(folders) && code == ERR_OK; i++) {
        char path[PATH_BYTES];
        const int n = snprintf(path, sizeof(path), "%s/%s/%02" PRIu32, db->options.path,
                               folders[i % COUNT_OF(folders)], i / (uint32_t)COUNT_OF(folders));
        code = n > 0 && (size_t)n < sizeof(path) ? vfs_sync_dir(db->options.vfs, path, err)
                                                 : err_set(err, ERR_INVALID, "path is too long");
    }
    return code;
}

/* Forgets what is not used, when that is safe. */
static enum err_code retire(struct compactor *c, struct survey *s, struct err *err)
    REQUIRES(c->mu) {
    size_t retired = 0;
    enum err_code code = compactor_commit(c, &(struct compactor_change){0}, err);
    code = code != ERR_OK ? code : sync_head_folders(c->db, err);
    code = code != ERR_OK ? code : tsdb_tombstones_retire(c->db, s->set, s->used, &retired, err);
    if (retired != 0) {
        log_info(c->db->options.log, "tsdb", "tombstones hide nothing any more",
                 log_u64("intervals", retired));
    }
    return code;
}

static enum err_code survey_all(struct compactor *c, struct survey *s, int64_t head_oldest_ms,
                                struct err *err) REQUIRES(c->mu) {
    size_t count = 0;
    s->first = mem_array(tombstones_count(s->set) + 1, sizeof(*s->first));
    for (size_t i = 0; i < tombstones_count(s->set); i++) {
        s->first[i] = count;
        count += tombstones_at(s->set, i)->count;
    }
    s->used = mem_zalloc(count + 1);
    use_overlapping(s, head_oldest_ms, INT64_MAX);
    for (size_t i = 0; i < c->manifest.partition_count; i++) {
        const struct manifest_partition *p = &c->manifest.partitions[i];
        if (!is_live(c, p->number)) {
            use_overlapping(s, p->start_ms, p->end_ms);
        }
    }
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < c->live_count && code == ERR_OK; i++) {
        code = survey_partition(s, c->live[i], err);
    }
    bool any_idle = false;
    for (size_t i = 0; i < count; i++) {
        any_idle |= !s->used[i];
    }
    return code == ERR_OK && any_idle && !c->has_garbage ? retire(c, s, err) : code;
}

enum err_code compactor_survey(struct compactor *c, struct err *err) {
    struct tombstones *set = tsdb_tombstones(c->db);
    enum err_code code = ERR_OK;
    const struct compactor_survey now = {.number = tombstones_number(set),
                                         .view = c->cleanup_view,
                                         .head_oldest_ms = set != NULL ? head_oldest(c) : 0};
    if (set != NULL && (now.number != c->surveyed.number || now.view != c->surveyed.view ||
                        now.head_oldest_ms != c->surveyed.head_oldest_ms)) {
        struct survey s = {.c = c, .set = set, .since_ns = clock_mono_ns(c->db->options.clock)};
        arena_init(&s.arena, READ_BYTES_MAX);
        code = survey_all(c, &s, now.head_oldest_ms, err);
        arena_release(&s.arena);
        mem_free(s.first);
        mem_free(s.used);
        if (code == ERR_OK) {
            c->surveyed = now;
            c->surveyed.view = c->cleanup_view;
        }
    }
    tombstones_unref(set);
    return code != ERR_OK ? err_wrap(err, "comparing tombstones with partitions") : ERR_OK;
}

enum err_code compactor_clean_partitions(struct compactor *c, struct err *err) {
    enum err_code code = compactor_survey(c, err);
    uint32_t *numbers = mem_array(c->live_count + 1, sizeof(*numbers));
    size_t n = 0;
    for (size_t i = 0; i < c->live_count && code == ERR_OK; i++) {
        if (c->live[i]->tombstones != 0) {
            numbers[n++] = c->live[i]->info.number;
        }
    }
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        code = compactor_merge_numbers(c, &numbers[i], 1, true, err);
    }
    mem_free(numbers);
    return code == ERR_OK ? compactor_survey(c, err) : code;
}
