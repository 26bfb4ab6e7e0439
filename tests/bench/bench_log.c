/* What the write-ahead log costs: nanoseconds per record appended, in ones and in batches, and read
 * back when it is opened.
 *
 *     bench_log DATA [RECORDS] [BYTES]
 *
 * DATA is an empty folder; RECORDS (100000) of BYTES (600, a row of a node_exporter) each. Times are
 * CPU of this thread with the system calls, without waiting for the disk. The measured_ functions
 * are not inlined: scripts/bench -i counts the instructions in them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/attr.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "tsdb/wal.h"

enum { BATCH = 16 };

struct bench {
    struct wal *wal;
    uint8_t *bytes; /* of all records, one behind the other */
    size_t count;
    size_t size; /* of each */
    uint64_t seen;
    uint64_t sum; /* so that what is read is used */
};

static void must(enum err_code code, const struct err *err) {
    if (code != ERR_OK) {
        (void)fprintf(stderr, "bench_log: %s\n", err->text);
        exit(1);
    }
}

static int64_t cpu_ns(void) {
    struct timespec ts;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static enum err_code on_record(void *ctx, const struct wal_record *record, struct err *err) {
    struct bench *b = ctx;
    (void)err;
    b->seen++;
    b->sum += record->payload[record->size - 1];
    return ERR_OK;
}

static struct wal_payload payload_of(const struct bench *b, size_t i) {
    return (struct wal_payload){.type = 1, .bytes = b->bytes + i * b->size, .size = b->size};
}

NOINLINE static void measured_append(struct bench *b) {
    struct err err;
    for (size_t i = 0; i < b->count; i++) {
        must(wal_append(b->wal, payload_of(b, i), NULL, &err), &err);
    }
}

NOINLINE static void measured_batch(struct bench *b) {
    struct err err;
    struct wal_payload batch[BATCH];
    for (size_t i = 0; i < b->count; i += BATCH) {
        const size_t n = b->count - i < BATCH ? b->count - i : BATCH;
        for (size_t k = 0; k < n; k++) {
            batch[k] = payload_of(b, i + k);
        }
        must(wal_append_batch(b->wal, batch, n, NULL, &err), &err);
    }
}

NOINLINE static void measured_replay(struct bench *b, const struct wal_options *options) {
    struct err err;
    struct wal_replay_stats stats;
    must(wal_open(options, on_record, b, &b->wal, &stats, &err), &err);
}

static void print(const struct bench *b, const char *what, int64_t since_ns, uint64_t records) {
    const double ns = (double)(cpu_ns() - since_ns);
    (void)printf("%-8s %" PRIu64 " records of %zu bytes, %.0f ns each, %.2f GB/s\n", what, records,
                 b->size, ns / (double)records, (double)(records * b->size) / ns);
}

int main(int argc, char **argv) {
    if (argc < 2) {
        (void)fprintf(stderr, "usage: bench_log DATA [RECORDS] [BYTES]\n");
        return 2;
    }
    struct bench b = {.count = argc > 2 ? (size_t)atol(argv[2]) : 100000,
                      .size = argc > 3 ? (size_t)atol(argv[3]) : 600};
    struct rng rng = rng_seeded(7);
    struct err err;
    char dir[4096];
    ASSERT(b.count >= 1 && b.size >= 1 && b.size <= WAL_RECORD_MAX);
    b.bytes = mem_array(b.count, b.size);
    for (size_t i = 0; i < b.count * b.size; i++) {
        b.bytes[i] = (uint8_t)rng_below(&rng, 256);
    }
    (void)snprintf(dir, sizeof(dir), "%s/log", argv[1]);
    const struct wal_options options = {.vfs = vfs_system(), .dir = dir};
    struct wal_replay_stats stats;
    must(wal_open(&options, on_record, &b, &b.wal, &stats, &err), &err);
    int64_t start = cpu_ns();
    measured_append(&b);
    print(&b, "append", start, b.count);
    start = cpu_ns();
    measured_batch(&b);
    print(&b, "batch", start, b.count);
    must(wal_sync(b.wal, &err), &err);
    wal_close(b.wal);
    start = cpu_ns();
    measured_replay(&b, &options);
    print(&b, "replay", start, b.seen);
    ASSERT(b.seen == 2 * (uint64_t)b.count);
    (void)printf("in measured_append: %zu\nin measured_batch: %zu\nin measured_replay: %" PRIu64
                 "\n",
                 b.count, b.count, b.seen);
    wal_close(b.wal);
    mem_free(b.bytes);
    return b.sum == 1; /* it is not */
}
