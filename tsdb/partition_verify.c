/* All of a partition, read and held against itself: checksums, times, samples, and what summaries
 * say of them. */
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "tsdb/partition_index.h"
#include "tsdb/partition_summary.h"
#include "tsdb/storage.h"
#include "tsdb/summary_check.h"

struct verifier {
    struct partition *p;
    struct num *values;
    uint8_t *states;
    struct arena arena; /* of the current series' summary */
    uint64_t damaged;
    const struct cancel *cancel;
};

static void note(struct verifier *v, const struct err *err) {
    v->damaged++;
    partition_report(v->p, err);
}

static void verify_header(struct verifier *v) {
    uint8_t got[PARTITION_DATA_HEADER_BYTES];
    uint8_t want[PARTITION_DATA_HEADER_BYTES] = PARTITION_DATA_MAGIC;
    struct err err;
    want[PARTITION_MAGIC_BYTES] = v->p->version;
    put_u32(want + 12, v->p->info.number);
    uint64_t size = 0;
    enum err_code code = vfs_file_pread(v->p->data, got, sizeof(got), 0, NULL, &err);
    code = code == ERR_OK ? vfs_file_size(v->p->data, &size, &err) : code;
    if (code == ERR_OK && (memcmp(got, want, sizeof(got)) != 0 || size != v->p->info.data_bytes)) {
        code = err_set(&err, ERR_CORRUPT, "partition file %s: bad header at offset 0",
                       v->p->data_path);
    }
    if (code != ERR_OK) {
        note(v, &err);
    }
}

static void verify_index(struct verifier *v) {
    for (size_t i = 0; i < SECTION_COUNT; i++) {
        const uint8_t *bytes;
        struct err err;
        for (uint64_t at = 0; at < v->p->sections[i].size; at += PARTITION_PIECE_BYTES) {
            const uint64_t left = v->p->sections[i].size - at;
            const uint64_t n = left < PARTITION_PIECE_BYTES ? left : PARTITION_PIECE_BYTES;
            if (partition_bytes(v->p, (enum partition_section)i, at, n, &bytes, &err) != ERR_OK) {
                v->damaged++; /* reported already */
            }
        }
    }
}

static void verify_timelines(struct verifier *v) {
    for (uint32_t i = 0; i < v->p->info.timeline_count; i++) {
        struct partition_timeline t;
        struct arena arena;
        struct err err;
        arena_init(&arena, 0);
        if (partition_timeline(v->p, i, &arena, &t, &err) != ERR_OK) {
            note(v, &err);
        }
        arena_release(&arena);
    }
}

/* The summary of the series; without one when it cannot be read. */
static enum err_code load_summary(struct verifier *v, const struct partition_series *s,
                                  struct series_summary *out, struct err *err) {
    arena_reset(&v->arena);
    const enum err_code code =
        partition_summary(v->p, s->series, s->block_count, &v->arena, out, err);
    if (code == ERR_CORRUPT) {
        note(v, err);
        *out = (struct series_summary){0};
        return ERR_OK;
    }
    return code;
}

static void note_summary(struct verifier *v, const struct partition_series *s, uint32_t block,
                         const char *what) {
    struct err err;
    (void)err_set(&err, ERR_CORRUPT,
                  "partition file %s: the summary of series %" PRIu32 " says that block %" PRIu32
                  " has %s, which it has not; summaries at %soffset %" PRIu64,
                  v->p->index_path, s->series, block, what, v->p->index_packed ? "unpacked " : "",
                  v->p->sections[SECTION_SUMMARIES].offset);
    note(v, &err);
}

/* Decodes all of the series, and holds its summary against it. */
static enum err_code verify_blocks(struct verifier *v, struct partition_cursor *c,
                                   const struct partition_series *s, struct err *err) {
    struct series_summary summary;
    struct summary_check check;
    bool wrong = false;
    enum err_code code = load_summary(v, s, &summary, err);
    for (uint32_t i = 0; code == ERR_OK && i < s->column_count; i++) {
        summary_check_begin(&check, &summary);
        for (uint32_t b = 0; b < s->block_count && code == ERR_OK; b++) {
            code = partition_cursor_decode(c, i, b, v->values, v->states, err);
            const char *what =
                code == ERR_OK && !wrong
                    ? summary_check_block(&check, v->values, v->states, partition_cursor_rows(c, b))
                    : NULL;
            if (what != NULL) {
                note_summary(v, s, b, what);
                wrong = true; /* once per series */
            }
        }
    }
    return code;
}

static enum err_code verify_series(struct verifier *v, struct err *err) {
    struct partition_cursor *c = partition_cursor_new(v->p);
    struct partition_series series;
    struct partition_skipped skipped;
    enum err_code code = ERR_OK;
    bool more = true;
    while (more && (code == ERR_OK || code == ERR_CORRUPT)) {
        if (cancel_check(v->cancel) != ERR_OK) {
            code = err_set(err, ERR_CANCELED, "verification was stopped");
            break;
        }
        code = partition_cursor_next(c, &series, &more, &skipped, err);
        if (code == ERR_CORRUPT) {
            v->damaged += skipped.count;
            partition_report(v->p, err);
            continue;
        }
        if (more && code == ERR_OK) {
            code = verify_blocks(v, c, &series, err);
        }
        v->damaged += code == ERR_CORRUPT;
    }
    partition_cursor_free(c);
    return code == ERR_CORRUPT ? ERR_OK : code;
}

enum err_code partition_verify(struct partition *p, const struct cancel *cancel,
                               uint64_t *out_damaged, struct err *err) {
    struct verifier v = {.p = p, .cancel = cancel};
    v.values = mem_array(BLOCK_ROWS_MAX, sizeof(*v.values));
    v.states = mem_array(BLOCK_ROWS_MAX, sizeof(*v.states));
    arena_init(&v.arena, 0);
    verify_header(&v);
    verify_index(&v);
    verify_timelines(&v);
    const enum err_code code = verify_series(&v, err);
    mem_free(v.values);
    mem_free(v.states);
    arena_release(&v.arena);
    *out_damaged = v.damaged;
    return code;
}
