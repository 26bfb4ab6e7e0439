/* WAL: what was appended comes back; a crash loses only what was not synced, a bad byte only the
 * record it is in, a failed write or sync nothing that is still in memory.
 *
 * Runs on the in-memory disk, which yields every crash state of a workload. Payloads are their own
 * number and a pattern made from it, so that a record can be told right from wrong alone. */
#include "tests/support/check_err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/mutex.h"
#include "tests/support/fault_vfs.h"
#include "tests/support/mem_vfs.h"
#include "tsdb/wal.h"

enum { RECORDS_MAX = 4096, PAYLOAD_MAX = 3000 };

static const char dir[] = "/wal";
static const char quarantine[] = "/quarantine";

/* ---- payloads ---- */

static size_t payload_of(uint32_t id, uint8_t *to) {
    const size_t size = 4 + id * 37 % 120 + (id % 11 == 7 ? 1500 : 0);
    put_u32(to, id);
    for (size_t i = 4; i < size; i++) {
        to[i] = (uint8_t)(id * 31 + i * 7);
    }
    return size;
}

static struct wal_payload make_payload(uint32_t id, uint8_t *bytes) {
    return (struct wal_payload){
        .type = (uint8_t)(1 + id % 3), .bytes = bytes, .size = payload_of(id, bytes)};
}

/* The id, after checking that type and bytes are what belongs to it. */
static uint32_t check_record(const struct wal_record *record) {
    uint8_t want[PAYLOAD_MAX];
    assert_in_range(record->size, 4, PAYLOAD_MAX);
    const uint32_t id = load_u32(record->payload);
    assert_int_equal(record->size, payload_of(id, want));
    assert_memory_equal(record->payload, want, record->size);
    assert_int_equal(record->type, 1 + id % 3);
    return id;
}

/* ---- what a replay saw ---- */

struct seen {
    uint32_t ids[RECORDS_MAX];
    struct wal_position at[RECORDS_MAX];
    size_t count;
    uint64_t last_sequence;
    size_t damages;
    size_t torn;
    struct record_damage damage; /* the last; path is not kept */
};

static enum err_code remember(void *ctx, const struct wal_record *record, struct err *err) {
    struct seen *seen = ctx;
    (void)err;
    assert_true(seen->count < RECORDS_MAX);
    assert_true(seen->count == 0 || record->sequence > seen->last_sequence);
    seen->last_sequence = record->sequence;
    seen->at[seen->count] = record->at;
    seen->ids[seen->count++] = check_record(record);
    return ERR_OK;
}

static void note_damage(void *ctx, const struct record_damage *damage) {
    struct seen *seen = ctx;
    assert_non_null(damage->path);
    seen->damages += !damage->torn;
    seen->torn += damage->torn;
    seen->damage = *damage;
}

static struct wal_options options_for(struct mem_vfs *disk, struct seen *seen) {
    return (struct wal_options){.vfs = mem_vfs_base(disk),
                                .dir = dir,
                                .shard = 3,
                                .segment_bytes = 4096,
                                .allocate_bytes = 1024,
                                .quarantine_dir = quarantine,
                                .damage = note_damage,
                                .damage_ctx = seen};
}

static struct wal *open_wal(struct mem_vfs *disk, struct seen *seen,
                            struct wal_replay_stats *stats) {
    struct err err;
    struct wal *wal = NULL;
    *seen = (struct seen){0};
    const struct wal_options options = options_for(disk, seen);
    assert_ok(wal_open(&options, remember, seen, &wal, stats, &err), &err);
    return wal;
}

static struct wal_position append(struct wal *wal, uint32_t id) {
    struct err err;
    uint8_t bytes[PAYLOAD_MAX];
    struct wal_position at = {0};
    assert_ok(wal_append(wal, make_payload(id, bytes), &at, &err), &err);
    return at;
}

static void sync_now(struct wal *wal) {
    struct err err;
    assert_ok(wal_sync(wal, &err), &err);
}

/* A disk with records 0 .. count - 1, closed. */
static struct mem_vfs *disk_with(uint32_t count) {
    struct mem_vfs *disk = mem_vfs_new();
    struct seen *seen = mem_zalloc(sizeof(*seen));
    struct wal *wal = open_wal(disk, seen, NULL);
    for (uint32_t i = 0; i < count; i++) {
        (void)append(wal, i);
    }
    sync_now(wal);
    wal_close(wal);
    mem_free(seen);
    return disk;
}

static struct vfs_file *open_file(struct mem_vfs *disk, const char *path) {
    struct err err;
    struct vfs_file *f = NULL;
    assert_ok(vfs_open(mem_vfs_base(disk), path, VFS_WRITE, &f, &err), &err);
    return f;
}

static uint64_t file_size(struct vfs_file *f) {
    uint64_t size = 0;
    assert_int_equal(vfs_file_size(f, &size, NULL), ERR_OK);
    return size;
}

static void xor_byte(struct vfs_file *f, uint64_t offset, uint8_t with) {
    uint8_t byte = 0;
    assert_int_equal(vfs_file_pread(f, &byte, 1, offset, NULL, NULL), ERR_OK);
    byte ^= with;
    assert_int_equal(vfs_file_pwrite(f, &byte, 1, offset, NULL), ERR_OK);
}

/* ---- tests ---- */

static void what_was_appended_comes_back_in_order_and_by_its_position(void **state) {
    (void)state;
    struct mem_vfs *disk = mem_vfs_new();
    struct seen *seen = mem_zalloc(sizeof(*seen));
    struct wal_position at[200];
    struct wal *wal = open_wal(disk, seen, NULL);
    for (uint32_t i = 0; i < 100; i++) {
        at[i] = append(wal, i);
    }
    for (uint32_t i = 100; i < 200; i += 4) {
        struct err err;
        uint8_t bytes[4][PAYLOAD_MAX];
        struct wal_payload batch[4];
        for (uint32_t k = 0; k < 4; k++) {
            batch[k] = make_payload(i + k, bytes[k]);
        }
        assert_ok(wal_append_batch(wal, batch, 4, &at[i], &err), &err);
    }
    wal_close(wal);

    struct wal_replay_stats stats;
    wal = open_wal(disk, seen, &stats);
    assert_int_equal(seen->count, 200);
    assert_int_equal(stats.scan.records, 200);
    assert_int_equal(stats.scan.damaged_records + stats.scan.torn_bytes, 0);
    assert_true(stats.segments > 2);
    uint8_t *bytes = NULL;
    size_t capacity = 0;
    for (uint32_t i = 0; i < 200; i++) {
        struct err err;
        struct wal_record record;
        assert_int_equal(seen->ids[i], i);
        assert_memory_equal(&seen->at[i], &at[i], sizeof(at[i]));
        assert_ok(wal_read(wal, at[i], &bytes, &capacity, &record, &err), &err);
        assert_int_equal(check_record(&record), i);
        assert_true(i == 0 || wal_position_before(at[i - 1], at[i]));
    }
    mem_free(bytes);
    wal_close(wal);
    mem_free(seen);
    mem_vfs_free(disk);
}

static void a_record_too_large_is_refused_and_nothing_else_happens(void **state) {
    (void)state;
    struct err err;
    struct seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = mem_vfs_new();
    struct wal *wal = open_wal(disk, seen, NULL);
    uint8_t *large = mem_zalloc(WAL_RECORD_MAX + 1);
    const struct wal_payload payload = {.type = 1, .bytes = large, .size = WAL_RECORD_MAX + 1};
    assert_err(wal_append(wal, payload, NULL, &err), ERR_LIMIT, "too large", &err);
    assert_int_equal(wal_state_get(wal), WAL_OK);
    (void)append(wal, 1);
    mem_free(large);
    wal_close(wal);
    mem_free(seen);
    mem_vfs_free(disk);
}

static void a_record_larger_than_a_segment_gets_one_of_its_own(void **state) {
    (void)state;
    struct err err;
    struct seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = mem_vfs_new();
    struct wal *wal = open_wal(disk, seen, NULL);
    (void)append(wal, 1);
    uint8_t *bytes = mem_alloc(20 * PAYLOAD_MAX);
    struct wal_payload batch[20];
    struct wal_position at[20];
    for (uint32_t i = 0; i < 20; i++) {
        batch[i] = make_payload(7 + 11 * i, bytes + (size_t)i * PAYLOAD_MAX);
    }
    assert_ok(wal_append_batch(wal, batch, 20, at, &err), &err);
    const struct wal_position after = append(wal, 2);
    assert_int_equal(at[0].offset, RECORD_FILE_HEADER_BYTES);
    assert_int_equal(at[0].segment, at[19].segment);
    assert_true(after.segment > at[19].segment);
    wal_close(wal);
    wal = open_wal(disk, seen, NULL);
    assert_int_equal(seen->count, 22);
    wal_close(wal);
    mem_free(bytes);
    mem_free(seen);
    mem_vfs_free(disk);
}

/* Appends with syncs and a cut; says how many records were synced when the log had n operations. */
struct workload {
    struct mem_vfs *disk;
    size_t ops[64]; /* operations when sync i returned */
    uint32_t synced[64];
    size_t syncs;
    uint32_t appended;
};

static void run_workload(struct workload *w) {
    struct seen *seen = mem_zalloc(sizeof(*seen));
    w->disk = mem_vfs_new();
    assert_int_equal(vfs_mkdir(mem_vfs_base(w->disk), dir, NULL), ERR_OK);
    assert_int_equal(vfs_sync_dir(mem_vfs_base(w->disk), "/", NULL), ERR_OK);
    struct wal *wal = open_wal(w->disk, seen, NULL);
    for (uint32_t i = 0; i < 36; i++) {
        (void)append(wal, w->appended++);
        if (i % 4 == 1 || i % 7 == 0) {
            sync_now(wal);
            w->ops[w->syncs] = mem_vfs_op_count(w->disk);
            w->synced[w->syncs++] = w->appended;
        }
        if (i == 17) {
            wal_cut(wal);
        }
    }
    wal_close(wal);
    mem_free(seen);
}

static uint32_t synced_at(const struct workload *w, size_t ops) {
    uint32_t n = 0;
    for (size_t i = 0; i < w->syncs && w->ops[i] <= ops; i++) {
        n = w->synced[i];
    }
    return n;
}

static void a_crash_at_any_operation_keeps_all_that_was_synced(void **state) {
    (void)state;
    struct workload w = {0};
    struct seen *seen = mem_zalloc(sizeof(*seen));
    run_workload(&w);
    for (size_t ops = 0; ops <= mem_vfs_op_count(w.disk); ops++) {
        for (int crash = 0; crash < MEM_CRASH_COUNT + 3; crash++) {
            const enum mem_crash kind =
                crash < MEM_CRASH_COUNT ? (enum mem_crash)crash : MEM_CRASH_RANDOM;
            struct mem_vfs *disk =
                mem_vfs_after_crash(w.disk, ops, kind, ops * 16 + (uint64_t)crash);
            struct wal *wal = open_wal(disk, seen, NULL);
            const uint32_t must = synced_at(&w, ops);
            assert_true(seen->count >= must);
            for (size_t i = 0; i < seen->count; i++) {
                assert_true(i < must ? seen->ids[i] == i
                                     : i == 0 || seen->ids[i] > seen->ids[i - 1]);
            }
            const size_t before = seen->count;
            (void)append(wal, 5000); /* and it goes on */
            sync_now(wal);
            wal_close(wal);
            wal = open_wal(disk, seen, NULL);
            assert_int_equal(seen->count, before + 1);
            assert_int_equal(seen->ids[before], 5000);
            assert_int_equal(seen->torn, 0);
            wal_close(wal);
            mem_vfs_free(disk);
        }
    }
    mem_free(seen);
    mem_vfs_free(w.disk);
}

static void a_kill_loses_nothing_that_was_appended(void **state) {
    (void)state;
    struct workload w = {0};
    struct seen *seen = mem_zalloc(sizeof(*seen));
    run_workload(&w);
    struct mem_vfs *disk = mem_vfs_after_crash(w.disk, mem_vfs_op_count(w.disk), MEM_CRASH_KEEP, 0);
    wal_close(open_wal(disk, seen, NULL));
    assert_int_equal(seen->count, w.appended);
    mem_free(seen);
    mem_vfs_free(disk);
    mem_vfs_free(w.disk);
}

static void a_tail_torn_at_any_length_costs_only_the_last_record(void **state) {
    (void)state;
    struct seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = disk_with(6);
    wal_close(open_wal(disk, seen, NULL));
    struct wal_position at[6];
    memcpy(at, seen->at, sizeof(at));
    mem_vfs_free(disk);
    disk = disk_with(6);
    struct vfs_file *f = open_file(disk, "/wal/00000001");
    const uint64_t size = file_size(f);
    vfs_file_close(f);
    mem_vfs_free(disk);
    for (uint64_t cut = 0; cut < size; cut++) {
        disk = disk_with(6);
        f = open_file(disk, "/wal/00000001");
        assert_int_equal(vfs_file_truncate(f, cut, NULL), ERR_OK);
        vfs_file_close(f);
        size_t whole = 0;
        while (whole < 6 && (whole == 5 ? size : at[whole + 1].offset) <= cut) {
            whole++;
        }
        wal_close(open_wal(disk, seen, NULL));
        assert_int_equal(seen->count, whole);
        assert_int_equal(seen->damages, 0);
        wal_close(open_wal(disk, seen, NULL)); /* the tail was cut: nothing is torn any more */
        assert_int_equal(seen->count, whole);
        assert_int_equal(seen->torn, 0);
        mem_vfs_free(disk);
    }
    mem_free(seen);
}

static void a_bad_byte_costs_the_record_it_is_in(void **state) {
    (void)state;
    enum { COUNT = 12 };
    struct seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = disk_with(COUNT);
    struct vfs_file *f = open_file(disk, "/wal/00000001");
    const uint64_t size = file_size(f);
    struct wal_position at[COUNT + 1];
    wal_close(open_wal(disk, seen, NULL));
    assert_int_equal(seen->count, COUNT);
    memcpy(at, seen->at, COUNT * sizeof(at[0]));
    at[COUNT] = (struct wal_position){1, (uint32_t)size};
    for (uint64_t offset = 0; offset < at[COUNT - 1].offset; offset++) {
        struct wal_replay_stats stats;
        const uint8_t with = (uint8_t)(1U << offset % 8);
        xor_byte(f, offset, with);
        wal_close(open_wal(disk, seen, &stats));
        size_t hit = COUNT;
        while (hit > 0 && at[hit - 1].offset > offset) {
            hit--;
        }
        assert_int_equal(stats.scan.damaged_records, 1);
        assert_int_equal(seen->damages, 1);
        if (hit == 0) { /* the file's header: no record suffers */
            assert_int_equal(seen->count, COUNT);
            assert_int_equal(seen->damage.offset, 0);
        } else {
            assert_int_equal(seen->count, COUNT - 1);
            assert_int_equal(seen->damage.offset, at[hit - 1].offset);
            assert_int_equal(seen->damage.size, at[hit].offset - at[hit - 1].offset);
            for (size_t i = 0; i < seen->count; i++) {
                assert_int_equal(seen->ids[i], i < hit - 1 ? i : i + 1);
            }
        }
        xor_byte(f, offset, with);
    }
    vfs_file_close(f);
    mem_vfs_free(disk);
    mem_free(seen);
}

static void the_bytes_of_a_damaged_record_are_kept_in_quarantine(void **state) {
    (void)state;
    struct seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = disk_with(5);
    wal_close(open_wal(disk, seen, NULL));
    const uint32_t begin = seen->at[2].offset;
    const uint32_t end = seen->at[3].offset;
    struct vfs_file *f = open_file(disk, "/wal/00000001");
    xor_byte(f, begin + 20, 0xff);
    uint8_t want[PAYLOAD_MAX];
    assert_int_equal(vfs_file_pread(f, want, end - begin, begin, NULL, NULL), ERR_OK);
    vfs_file_close(f);
    wal_close(open_wal(disk, seen, NULL));
    char path[100];
    (void)snprintf(path, sizeof(path), "%s/BRASAWAL-3-00000001-%u", quarantine, begin);
    char *kept = NULL;
    size_t n = 0;
    struct err err;
    assert_ok(vfs_read_file(mem_vfs_base(disk), path, PAYLOAD_MAX, &kept, &n, &err), &err);
    assert_int_equal(n, end - begin);
    assert_memory_equal(kept, want, n);
    mem_free(kept);
    mem_free(seen);
    mem_vfs_free(disk);
}

static void lost_sectors_in_the_middle_cost_what_they_held(void **state) {
    (void)state;
    enum { COUNT = 30 };
    struct seen *seen = mem_zalloc(sizeof(*seen));
    for (uint64_t sector = 1; sector < 6; sector++) {
        struct mem_vfs *disk = disk_with(COUNT);
        struct vfs_file *f = open_file(disk, "/wal/00000001");
        const uint8_t zeros[512] = {0};
        assert_int_equal(vfs_file_pwrite(f, zeros, sizeof(zeros), sector * 512, NULL), ERR_OK);
        vfs_file_close(f);
        wal_close(open_wal(disk, seen, NULL));
        assert_int_equal(seen->damages, 1);
        assert_in_range(seen->count, COUNT - 10, COUNT - 1);
        assert_int_equal(seen->ids[seen->count - 1], COUNT - 1);
        mem_vfs_free(disk);
    }
    mem_free(seen);
}

static void records_of_another_segment_or_shard_are_not_believed(void **state) {
    (void)state;
    struct seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = disk_with(40);
    assert_int_equal(vfs_rename(mem_vfs_base(disk), "/wal/00000001", "/wal/00000002", NULL),
                     ERR_OK);
    wal_close(open_wal(disk, seen, NULL));
    assert_true(seen->damages > 0);
    for (size_t i = 0; i < seen->count; i++) {
        assert_int_not_equal(seen->at[i].segment, 2);
    }
    mem_vfs_free(disk);
    mem_free(seen);
}

static void a_newer_version_is_refused_not_destroyed(void **state) {
    (void)state;
    struct err err;
    struct wal *wal = NULL;
    struct seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = mem_vfs_new();
    struct vfs_file *f = NULL;
    const struct record_file_id id = {"BRASAWAL", 3, 1};
    uint8_t header[RECORD_FILE_HEADER_BYTES];
    record_file_header(header, &id);
    header[8] = 99;
    put_u32(header + 28, hash_crc32c(0, header, 28));
    assert_int_equal(vfs_mkdir(mem_vfs_base(disk), dir, NULL), ERR_OK);
    assert_ok(vfs_open(mem_vfs_base(disk), "/wal/00000001", VFS_WRITE | VFS_CREATE, &f, &err),
              &err);
    assert_ok(vfs_file_pwrite(f, header, sizeof(header), 0, &err), &err);
    vfs_file_close(f);
    const struct wal_options options = options_for(disk, seen);
    assert_err(wal_open(&options, remember, seen, &wal, NULL, &err), ERR_UNSUPPORTED,
               "format version 99", &err);
    mem_vfs_free(disk);
    mem_free(seen);
}

static void dropped_segments_are_gone_and_the_others_stay(void **state) {
    (void)state;
    struct err err;
    struct seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = mem_vfs_new();
    struct wal *wal = open_wal(disk, seen, NULL);
    struct wal_position at[60];
    for (uint32_t i = 0; i < 60; i++) {
        at[i] = append(wal, i);
    }
    const uint32_t keep = at[40].segment;
    assert_true(keep > 1 && at[59].segment > keep);
    assert_ok(wal_drop_before(wal, keep, &err), &err);
    uint8_t *bytes = NULL;
    size_t capacity = 0;
    struct wal_record record;
    assert_err(wal_read(wal, at[0], &bytes, &capacity, &record, &err), ERR_NOT_FOUND, "gone", &err);
    assert_ok(wal_read(wal, at[40], &bytes, &capacity, &record, &err), &err);
    mem_free(bytes);
    assert_ok(wal_drop_before(wal, UINT32_MAX, &err), &err); /* not the one being written */
    (void)append(wal, 60);
    wal_close(wal);
    wal_close(open_wal(disk, seen, NULL));
    assert_int_equal(seen->ids[0] > 40, 1);
    assert_int_equal(seen->ids[seen->count - 1], 60);
    mem_vfs_free(disk);
    mem_free(seen);
}

/* ---- failures ---- */

struct needed {
    uint32_t first;
    uint32_t end;
    struct wal_position first_at;
};

static enum err_code rewrite_needed(void *ctx, struct wal_rewriter *to, struct err *err) {
    struct needed *needed = ctx;
    for (uint32_t i = needed->first; i < needed->end; i++) {
        uint8_t bytes[PAYLOAD_MAX];
        struct wal_position at;
        const enum err_code code = wal_rewrite(to, make_payload(i, bytes), &at, err);
        needed->first_at = i == needed->first ? at : needed->first_at;
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

static void a_full_disk_fails_the_log_until_memory_is_rewritten(void **state) {
    (void)state;
    struct err err;
    struct seen *seen = mem_zalloc(sizeof(*seen));
    for (uint64_t capacity = 0; capacity < 9000; capacity += 333) {
        struct mem_vfs *disk = mem_vfs_new();
        struct wal *wal = open_wal(disk, seen, NULL);
        uint8_t bytes[PAYLOAD_MAX];
        uint32_t next = 0;
        mem_vfs_set_capacity(disk, capacity);
        enum err_code code = ERR_OK;
        while ((code = wal_append(wal, make_payload(next, bytes), NULL, &err)) == ERR_OK) {
            next++;
        }
        assert_int_equal(code, ERR_NO_SPACE);
        assert_int_equal(wal_state_get(wal), WAL_FAILED);
        assert_err(wal_append(wal, make_payload(next, bytes), NULL, &err), ERR_UNAVAILABLE, NULL,
                   &err);
        assert_err(wal_sync(wal, &err), ERR_UNAVAILABLE, NULL, &err);
        struct needed needed = {.first = next / 2, .end = next + 3};
        assert_err(wal_rotate_after_failure(wal, rewrite_needed, &needed, &err), ERR_NO_SPACE, NULL,
                   &err);
        assert_int_equal(wal_state_get(wal), WAL_FAILED);

        mem_vfs_set_capacity(disk, UINT64_MAX);
        assert_ok(wal_rotate_after_failure(wal, rewrite_needed, &needed, &err), &err);
        assert_int_equal(wal_state_get(wal), WAL_OK);
        assert_ok(wal_drop_before(wal, needed.first_at.segment, &err), &err);
        (void)append(wal, next + 3);
        wal_close(wal);
        wal_close(open_wal(disk, seen, NULL));
        assert_int_equal(seen->count, next + 4 - needed.first);
        assert_int_equal(seen->ids[0], needed.first);
        mem_vfs_free(disk);
    }
    mem_free(seen);
}

static void opening_works_on_a_full_disk(void **state) {
    (void)state;
    struct seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = disk_with(20);
    mem_vfs_set_capacity(disk, 0);
    wal_close(open_wal(disk, seen, NULL));
    assert_int_equal(seen->count, 20);
    mem_vfs_free(disk);
    mem_free(seen);
}

static void after_a_failure_old_records_can_still_be_read(void **state) {
    (void)state;
    struct err err;
    struct seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = disk_with(10);
    struct wal *wal = open_wal(disk, seen, NULL);
    uint8_t bytes[PAYLOAD_MAX];
    mem_vfs_set_capacity(disk, 1);
    assert_err(wal_append(wal, make_payload(10, bytes), NULL, &err), ERR_NO_SPACE, NULL, &err);
    uint8_t *read = NULL;
    size_t capacity = 0;
    struct wal_record record;
    assert_ok(wal_read(wal, seen->at[4], &read, &capacity, &record, &err), &err);
    assert_int_equal(check_record(&record), 4);
    mem_free(read);
    wal_close(wal);
    mem_vfs_free(disk);
    mem_free(seen);
}

/* Appends and syncs with one planned failure, repairing as the head does. */
static void append_and_repair(struct wal *wal, uint32_t count) {
    struct err err;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t bytes[PAYLOAD_MAX];
        const enum err_code code = wal_append(wal, make_payload(i, bytes), NULL, &err);
        const bool synced = code == ERR_OK && (i % 3 != 0 || wal_sync(wal, &err) == ERR_OK);
        if (code != ERR_OK || !synced) {
            assert_int_equal(wal_state_get(wal), WAL_FAILED);
            struct needed needed = {.first = 0, .end = i + 1};
            for (int attempt = 0; wal_state_get(wal) != WAL_OK; attempt++) {
                assert_true(attempt < 3);
                (void)!wal_rotate_after_failure(wal, rewrite_needed, &needed, &err);
            }
        }
    }
}

static void any_call_may_fail_once_and_nothing_that_memory_holds_is_lost(void **state) {
    (void)state;
    struct seen *seen = mem_zalloc(sizeof(*seen));
    bool all_failed_once = false;
    for (size_t n = 0; !all_failed_once; n++) {
        struct err err;
        struct mem_vfs *disk = mem_vfs_new();
        struct fault_vfs *faults = fault_vfs_new(mem_vfs_base(disk));
        struct wal_options options = options_for(disk, seen);
        options.vfs = fault_vfs_base(faults);
        struct wal *wal = NULL;
        *seen = (struct seen){0};
        assert_ok(wal_open(&options, remember, seen, &wal, NULL, &err), &err);
        fault_vfs_plan(faults, (struct fault_plan){.ops = FAULT_OPEN | FAULT_CHANGES,
                                                   .after = n,
                                                   .sys_errno = n % 2 == 0 ? EIO : ENOSPC,
                                                   .short_write = n % 3 == 0});
        append_and_repair(wal, 40);
        all_failed_once = fault_vfs_failures(faults) == 0;
        assert_int_equal(fault_vfs_repeated_syncs(faults), 0);
        wal_close(wal);
        wal_close(open_wal(disk, seen, NULL));
        bool found[40] = {false};
        for (size_t i = 0; i < seen->count; i++) { /* twice is allowed: old segments may stay */
            found[seen->ids[i]] = true;
        }
        for (uint32_t i = 0; i < 40; i++) {
            assert_true(found[i]);
        }
        fault_vfs_free(faults);
        mem_vfs_free(disk);
    }
    mem_free(seen);
}

struct syncer {
    struct wal *wal;
    struct mutex mu;
    bool stop;
    uint32_t rounds;
};

static void sync_until_told(void *ctx) {
    struct syncer *s = ctx;
    bool stop = false;
    while (!stop) {
        struct err err;
        assert_ok(wal_sync(s->wal, &err), &err);
        mutex_lock(&s->mu);
        stop = s->stop;
        s->rounds++;
        mutex_unlock(&s->mu);
    }
}

static void another_thread_may_sync_while_the_writer_works(void **state) {
    (void)state;
    struct err err;
    struct seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = mem_vfs_new();
    struct syncer syncer = {.wal = open_wal(disk, seen, NULL)};
    struct thread thread;
    mutex_init(&syncer.mu);
    thread_start(&thread, "syncer", sync_until_told, &syncer);
    for (uint32_t i = 0; i < 500; i++) {
        const struct wal_position at = append(syncer.wal, i);
        if (i % 50 == 49) {
            assert_ok(wal_drop_before(syncer.wal, at.segment, &err), &err);
        }
    }
    mutex_lock(&syncer.mu);
    syncer.stop = true;
    mutex_unlock(&syncer.mu);
    thread_join(&thread);
    mutex_release(&syncer.mu);
    wal_close(syncer.wal);
    wal_close(open_wal(disk, seen, NULL));
    assert_int_equal(seen->ids[seen->count - 1], 499);
    mem_vfs_free(disk);
    mem_free(seen);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_appended_comes_back_in_order_and_by_its_position),
        cmocka_unit_test(a_record_too_large_is_refused_and_nothing_else_happens),
        cmocka_unit_test(a_record_larger_than_a_segment_gets_one_of_its_own),
        cmocka_unit_test(a_crash_at_any_operation_keeps_all_that_was_synced),
        cmocka_unit_test(a_kill_loses_nothing_that_was_appended),
        cmocka_unit_test(a_tail_torn_at_any_length_costs_only_the_last_record),
        cmocka_unit_test(a_bad_byte_costs_the_record_it_is_in),
        cmocka_unit_test(the_bytes_of_a_damaged_record_are_kept_in_quarantine),
        cmocka_unit_test(lost_sectors_in_the_middle_cost_what_they_held),
        cmocka_unit_test(records_of_another_segment_or_shard_are_not_believed),
        cmocka_unit_test(a_newer_version_is_refused_not_destroyed),
        cmocka_unit_test(dropped_segments_are_gone_and_the_others_stay),
        cmocka_unit_test(a_full_disk_fails_the_log_until_memory_is_rewritten),
        cmocka_unit_test(opening_works_on_a_full_disk),
        cmocka_unit_test(after_a_failure_old_records_can_still_be_read),
        cmocka_unit_test(any_call_may_fail_once_and_nothing_that_memory_holds_is_lost),
        cmocka_unit_test(another_thread_may_sync_while_the_writer_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
