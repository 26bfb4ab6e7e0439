/* Series log: hostile payloads, and damaged files. Labels that come out are well formed, numbers are
 * below the next ones, and a log that opened once opens again the same and goes on. */
#include <string.h>

#include "base/check.h"
#include "tests/fuzz/tsdb/edited_file.h"
#include "tests/support/mem_vfs.h"
#include "tsdb/series_batch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    uint64_t count;
    uint32_t greatest_group;
    uint32_t greatest_series;
    uint32_t greatest_layout;
};

static enum err_code see_set(void *ctx, uint32_t set, struct labels labels, struct err *err) {
    struct seen *seen = ctx;
    ASSERT(set > 0 && labels_check(labels.data, labels.size, err) == ERR_OK);
    seen->count++;
    return ERR_OK;
}

static enum err_code see_group(void *ctx, uint32_t group, uint32_t target_set, struct err *err) {
    struct seen *seen = ctx;
    (void)target_set;
    (void)err;
    ASSERT(group > 0);
    seen->greatest_group = group > seen->greatest_group ? group : seen->greatest_group;
    seen->count++;
    return ERR_OK;
}

static enum err_code see_series(void *ctx, const struct series_run *run, struct err *err) {
    struct seen *seen = ctx;
    (void)err;
    ASSERT(run->first_series > 0 && run->count > 0);
    const uint32_t last = run->first_series + run->count - 1;
    ASSERT(last >= run->first_series);
    seen->greatest_series = last > seen->greatest_series ? last : seen->greatest_series;
    seen->count++;
    return ERR_OK;
}

static enum err_code see_layout(void *ctx, uint32_t number, const struct hist_layout *layout,
                                struct err *err) {
    struct seen *seen = ctx;
    (void)err;
    ASSERT(number > 0 && layout->bound_count <= HIST_BOUNDS_MAX);
    for (uint32_t i = 1; i < layout->bound_count; i++) {
        ASSERT(layout->bounds[i - 1] < layout->bounds[i]);
    }
    seen->greatest_layout = number > seen->greatest_layout ? number : seen->greatest_layout;
    seen->count++;
    return ERR_OK;
}

static enum err_code see_column(void *ctx, const struct series_column *column, struct err *err) {
    struct seen *seen = ctx;
    (void)err;
    ASSERT(column->slot != column->owner && column_key_valid(column->key) &&
           column->key.kind != COLUMN_FLOAT);
    seen->count++;
    return ERR_OK;
}

static const struct series_log_handler handler = {
    .target_set = see_set,
    .metric_set = see_set,
    .group = see_group,
    .series = see_series,
    .layout = see_layout,
    .column = see_column,
};

static void try_payload(const uint8_t *bytes, size_t n) {
    struct seen seen = {0};
    struct series_log_next next = {1, 1, 1, 1, 1};
    const enum err_code code = series_batch_decode(bytes, n, &handler, &seen, &next, NULL);
    ASSERT(code == ERR_OK || code == ERR_CORRUPT);
    ASSERT(seen.greatest_group < next.group && seen.greatest_series < next.series &&
           seen.greatest_layout < next.layout);
}

static struct series_log *open_log(struct vfs *vfs, struct seen *seen) {
    struct series_log *log = NULL;
    const struct series_log_options options = {.vfs = vfs, .dir = "/series"};
    *seen = (struct seen){0};
    const enum err_code code = series_log_open(&options, &handler, seen, &log, NULL, NULL);
    ASSERT(code == ERR_OK || code == ERR_UNSUPPORTED);
    return log;
}

static void define(struct series_log *log, uint32_t count) {
    static const uint8_t blob[] = {1, 'a', 1, 'x'};
    const struct labels labels[] = {{blob, sizeof(blob)}, {blob, sizeof(blob)}};
    for (uint32_t i = 0; i < count; i++) {
        const struct series_log_next next = series_log_next(log);
        const struct series_run run = {next.series,     next.group,      0,
                                       next.target_set, next.metric_set, 2};
        const struct series_log_batch batch = {.first_target_set = next.target_set,
                                               .target_sets = labels,
                                               .target_set_count = 1,
                                               .first_metric_set = next.metric_set,
                                               .metric_sets = labels,
                                               .metric_set_count = 2,
                                               .first_group = next.group,
                                               .group_target_sets = &next.target_set,
                                               .group_count = 1,
                                               .series = &run,
                                               .series_run_count = 1};
        ASSERT(series_log_append(log, &batch, NULL) == ERR_OK);
    }
}

static void try_file(const uint8_t *edits, size_t n) {
    struct mem_vfs *disk = mem_vfs_new();
    struct vfs *vfs = mem_vfs_base(disk);
    struct seen first;
    struct seen second;
    struct series_log *log = open_log(vfs, &first);
    define(log, 6);
    for (size_t i = 0; i < 2 && n % 2 == 0; i++) { /* the second one makes copies */
        ASSERT(series_log_sync(log, NULL) == ERR_OK);
    }
    series_log_close(log);
    edit_file(vfs, "/series/00000001", edits, n);
    log = open_log(vfs, &first);
    series_log_close(log);
    log = open_log(vfs, &second);
    ASSERT(memcmp(&first, &second, sizeof(first)) == 0);
    if (log != NULL) {
        ASSERT(first.greatest_group < series_log_next(log).group);
        define(log, 1);
        series_log_close(log);
        series_log_close(open_log(vfs, &second));
        ASSERT(second.count == first.count + 5); /* 1 + 2 sets, a group, a run */
    }
    mem_vfs_free(disk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) {
        return 0;
    }
    if (data[0] % 2 == 0) {
        try_payload(data + 1, size - 1);
    } else {
        try_file(data + 1, size - 1);
    }
    return 0;
}
