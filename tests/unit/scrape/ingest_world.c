#include "tests/unit/scrape/ingest_world.h"

#include <stdio.h>
#include <string.h>

#include "base/labels.h"
#include "tests/support/check_err.h"

void ingest_world_init(struct ingest_world *w) {
    const struct label job = {STR("job"), STR("j")};
    *w = (struct ingest_world){
        .config = {.job_name = STR("j"), .honor_timestamps = true},
        .now_ms = INGEST_START_MS,
    };
    arena_init(&w->arena, 0);
    fake_clock_init(&w->clock, INGEST_START_MS * NS_PER_MS);
    w->rows = row_storage_new(true);
    w->ingest = ingest_new(row_storage_as_storage(w->rows), 0);
    w->scratch = ingest_scratch_new();
    w->target = labels_of(&w->arena, &job, 1);
}

void ingest_world_release(struct ingest_world *w) {
    ingest_free(w->ingest);
    ingest_scratch_free(w->scratch);
    row_storage_free(w->rows);
    arena_release(&w->arena);
}

void ingest_world_begin(struct ingest_world *w, enum expo_format format) {
    w->scrape = (struct ingest_scrape){.config = &w->config,
                                       .target = w->target,
                                       .clock = &w->clock.clock,
                                       .format = format,
                                       .histograms = w->histograms,
                                       .features = w->features,
                                       .ts_ms = w->now_ms,
                                       .now_ms = w->now_ms};
}

void ingest_world_commit(struct ingest_world *w, struct ingest *ingest,
                         const struct ingest_report *report) {
    struct err err;
    assert_ok(ingest_commit(ingest, w->scratch, &w->scrape, report, &err), &err);
    w->now_ms += 1000;
}

void ingest_world_rows(struct ingest_world *w, bool reports, struct buf *to) {
    char prefix[32];
    (void)snprintf(prefix, sizeof(prefix), "%lld ", (long long)w->now_ms - 1000);
    for (struct str rest = str_of(row_storage_take(w->rows, reports)); rest.len > 0;) {
        const struct str one = str_sub(rest, 0, (size_t)str_find_char(rest, '\n') + 1);
        const bool now = str_starts(one, str_of(prefix));
        buf_append_str(to, now ? str_from(one, strlen(prefix)) : one);
        rest = str_from(rest, one.len);
    }
}

void ingest_world_expect(struct ingest_world *w, const char *want, const char *file, int line) {
    struct buf text;
    buf_init(&text, 1 << 20);
    ingest_world_rows(w, false, &text);
    check_str(buf_str(&text), want, file, line);
    buf_release(&text);
}
