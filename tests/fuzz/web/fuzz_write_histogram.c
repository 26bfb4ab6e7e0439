/* Any bytes are a histogram of a remote write or are refused. The storage of the test aborts at one that
 * breaks the rules of base/histogram.h; what it got is what was counted, and the same bytes without the
 * series around them say the same in both versions of the message. */
#include "base/check.h"
#include "base/mem.h"
#include "tests/support/proto_writer.h"
#include "tests/support/push_storage.h"
#include "web/remote_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* {__name__="h"} with one histogram. */
static void put_request(struct buf *to, struct str histogram, bool v2) {
    struct buf series;
    struct buf labels;
    buf_init(&series, WRITE_BODY_MAX);
    buf_init(&labels, 64);
    if (v2) {
        pb_bytes(to, 4, STR(""));
        pb_bytes(to, 4, STR("__name__"));
        pb_bytes(to, 4, STR("h"));
        pb_varint(&labels, 1);
        pb_varint(&labels, 2);
    } else {
        pb_bytes(&labels, 1, STR("__name__"));
        pb_bytes(&labels, 2, STR("h"));
    }
    pb_message(&series, 1, &labels);
    pb_bytes(&series, v2 ? 3 : 4, histogram);
    pb_message(to, v2 ? 5 : 1, &series);
    buf_release(&series);
    buf_release(&labels);
}

/* True: it was stored. */
static bool receive(struct push_storage *ps, struct str histogram, bool v2) {
    struct write_scratch scratch = {0};
    buf_init(&scratch.plain, WRITE_BODY_MAX);
    arena_init(&scratch.arena, WRITE_ARENA_MAX);
    put_request(&scratch.plain, histogram, v2);
    struct write_batch b = {
        .scratch = &scratch,
        .storage = push_storage_as_storage(ps),
        .max_ts_ms = INT64_MAX,
        .partial = v2,
    };
    buf_init(&b.errors, WRITE_ERRORS_BYTES_MAX);
    struct err err;
    ASSERT(storage_appender_begin(b.storage, &b.appender, &err) == ERR_OK);
    const enum err_code code = v2 ? write_decode_v2(&b, &err) : write_decode_v1(&b, &err);
    ASSERT(code == ERR_OK || code == ERR_INVALID);
    ASSERT(b.samples == 0 && b.histograms <= 1);
    const bool stored = code == ERR_OK && b.failure == ERR_OK && b.histograms == 1;
    ASSERT(stored || code != ERR_OK || b.errors.len != 0); /* or it says why not */
    if (stored) {
        ASSERT(storage_appender_commit(b.storage, b.appender, &err) == ERR_OK);
    } else {
        storage_appender_rollback(b.storage, b.appender);
    }
    buf_release(&b.errors);
    write_scratch_release(&scratch);
    arena_release(&scratch.arena);
    return stored;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > 4096) {
        return 0;
    }
    const struct str histogram = {(const char *)data, size};
    struct push_storage *v1 = push_storage_new();
    struct push_storage *v2 = push_storage_new();
    push_storage_take_histograms(v1);
    push_storage_take_histograms(v2);
    const bool stored = receive(v1, histogram, false);
    ASSERT(receive(v2, histogram, true) == stored);
    const char *text = push_storage_take(v1);
    ASSERT((text[0] != '\0') == stored);
    ASSERT(strcmp(text, push_storage_take(v2)) == 0);
    push_storage_free(v1);
    push_storage_free(v2);
    return 0;
}
