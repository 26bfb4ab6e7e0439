/* WAL: what was appended comes back; a crash loses only what was not synced, a bad byte only the record
 * it is in. */
#include "tests/support/check_err.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/mem.h"
#include "tests/unit/tsdb/wal_world.h"

static void what_was_appended_comes_back_in_order_and_by_its_position(void **state) {
    (void)state;
    struct mem_vfs *disk = mem_vfs_new();
    struct world_seen *seen = mem_zalloc(sizeof(*seen));
    struct wal_position at[200];
    struct wal *wal = world_open(disk, seen, NULL);
    for (uint32_t i = 0; i < 100; i++) {
        at[i] = world_append(wal, i);
    }
    for (uint32_t i = 100; i < 200; i += 4) {
        struct err err;
        uint8_t bytes[4][PAYLOAD_MAX];
        struct wal_payload batch[4];
        for (uint32_t k = 0; k < 4; k++) {
            batch[k] = world_payload(i + k, bytes[k]);
        }
        assert_ok(wal_append_batch(wal, batch, 4, &at[i], &err), &err);
    }
    wal_close(wal);

    struct wal_replay_stats stats;
    wal = world_open(disk, seen, &stats);
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
        assert_int_equal(world_check(&record), i);
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
    struct world_seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = mem_vfs_new();
    struct wal *wal = world_open(disk, seen, NULL);
    uint8_t *large = mem_zalloc(WAL_RECORD_MAX + 1);
    const struct wal_payload payload = {.type = 1, .bytes = large, .size = WAL_RECORD_MAX + 1};
    assert_err(wal_append(wal, payload, NULL, &err), ERR_LIMIT, "too large", &err);
    assert_int_equal(wal_state_get(wal), WAL_OK);
    (void)world_append(wal, 1);
    mem_free(large);
    wal_close(wal);
    mem_free(seen);
    mem_vfs_free(disk);
}

static void a_record_larger_than_a_segment_gets_one_of_its_own(void **state) {
    (void)state;
    struct err err;
    struct world_seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = mem_vfs_new();
    struct wal *wal = world_open(disk, seen, NULL);
    (void)world_append(wal, 1);
    uint8_t *bytes = mem_alloc(20 * PAYLOAD_MAX);
    struct wal_payload batch[20];
    struct wal_position at[20];
    for (uint32_t i = 0; i < 20; i++) {
        batch[i] = world_payload(7 + 11 * i, bytes + (size_t)i * PAYLOAD_MAX);
    }
    assert_ok(wal_append_batch(wal, batch, 20, at, &err), &err);
    const struct wal_position after = world_append(wal, 2);
    assert_int_equal(at[0].offset, RECORD_FILE_HEADER_BYTES);
    assert_int_equal(at[0].segment, at[19].segment);
    assert_true(after.segment > at[19].segment);
    wal_close(wal);
    wal = world_open(disk, seen, NULL);
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
    struct world_seen *seen = mem_zalloc(sizeof(*seen));
    w->disk = mem_vfs_new();
    assert_int_equal(vfs_mkdir(mem_vfs_base(w->disk), world_dir, NULL), ERR_OK);
    assert_int_equal(vfs_sync_dir(mem_vfs_base(w->disk), "/", NULL), ERR_OK);
    struct wal *wal = world_open(w->disk, seen, NULL);
    for (uint32_t i = 0; i < 36; i++) {
        (void)world_append(wal, w->appended++);
        if (i % 4 == 1 || i % 7 == 0) {
            world_sync(wal);
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
    struct world_seen *seen = mem_zalloc(sizeof(*seen));
    run_workload(&w);
    for (size_t ops = 0; ops <= mem_vfs_op_count(w.disk); ops++) {
        for (int crash = 0; crash < MEM_CRASH_COUNT + 3; crash++) {
            const enum mem_crash kind =
                crash < MEM_CRASH_COUNT ? (enum mem_crash)crash : MEM_CRASH_RANDOM;
            struct mem_vfs *disk =
                mem_vfs_after_crash(w.disk, ops, kind, ops * 16 + (uint64_t)crash);
            struct wal *wal = world_open(disk, seen, NULL);
            const uint32_t must = synced_at(&w, ops);
            assert_true(seen->count >= must);
            for (size_t i = 0; i < seen->count; i++) {
                assert_true(i < must ? seen->ids[i] == i
                                     : i == 0 || seen->ids[i] > seen->ids[i - 1]);
            }
            const size_t before = seen->count;
            (void)world_append(wal, 5000); /* and it goes on */
            world_sync(wal);
            wal_close(wal);
            wal = world_open(disk, seen, NULL);
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
    struct world_seen *seen = mem_zalloc(sizeof(*seen));
    run_workload(&w);
    struct mem_vfs *disk = mem_vfs_after_crash(w.disk, mem_vfs_op_count(w.disk), MEM_CRASH_KEEP, 0);
    wal_close(world_open(disk, seen, NULL));
    assert_int_equal(seen->count, w.appended);
    mem_free(seen);
    mem_vfs_free(disk);
    mem_vfs_free(w.disk);
}

static void a_tail_torn_at_any_length_costs_only_the_last_record(void **state) {
    (void)state;
    struct world_seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = world_disk(6);
    wal_close(world_open(disk, seen, NULL));
    struct wal_position at[6];
    memcpy(at, seen->at, sizeof(at));
    mem_vfs_free(disk);
    disk = world_disk(6);
    struct vfs_file *f = world_file(disk, "/wal/00000001");
    const uint64_t size = world_file_size(f);
    vfs_file_close(f);
    mem_vfs_free(disk);
    for (uint64_t cut = 0; cut < size; cut++) {
        disk = world_disk(6);
        f = world_file(disk, "/wal/00000001");
        assert_int_equal(vfs_file_truncate(f, cut, NULL), ERR_OK);
        vfs_file_close(f);
        size_t whole = 0;
        while (whole < 6 && (whole == 5 ? size : at[whole + 1].offset) <= cut) {
            whole++;
        }
        wal_close(world_open(disk, seen, NULL));
        assert_int_equal(seen->count, whole);
        assert_int_equal(seen->damages, 0);
        wal_close(world_open(disk, seen, NULL)); /* the tail was cut: nothing is torn any more */
        assert_int_equal(seen->count, whole);
        assert_int_equal(seen->torn, 0);
        mem_vfs_free(disk);
    }
    mem_free(seen);
}

static void a_bad_byte_costs_the_record_it_is_in(void **state) {
    (void)state;
    enum { COUNT = 12 };
    struct world_seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = world_disk(COUNT);
    struct vfs_file *f = world_file(disk, "/wal/00000001");
    const uint64_t size = world_file_size(f);
    struct wal_position at[COUNT + 1];
    wal_close(world_open(disk, seen, NULL));
    assert_int_equal(seen->count, COUNT);
    memcpy(at, seen->at, COUNT * sizeof(at[0]));
    at[COUNT] = (struct wal_position){1, (uint32_t)size};
    for (uint64_t offset = 0; offset < at[COUNT - 1].offset; offset++) {
        struct wal_replay_stats stats;
        const uint8_t with = (uint8_t)(1U << offset % 8);
        world_xor_byte(f, offset, with);
        wal_close(world_open(disk, seen, &stats));
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
        world_xor_byte(f, offset, with);
    }
    vfs_file_close(f);
    mem_vfs_free(disk);
    mem_free(seen);
}

static void the_bytes_of_a_damaged_record_are_kept_in_quarantine(void **state) {
    (void)state;
    struct world_seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = world_disk(5);
    wal_close(world_open(disk, seen, NULL));
    const uint32_t begin = seen->at[2].offset;
    const uint32_t end = seen->at[3].offset;
    struct vfs_file *f = world_file(disk, "/wal/00000001");
    world_xor_byte(f, begin + 20, 0xff);
    uint8_t want[PAYLOAD_MAX];
    assert_int_equal(vfs_file_pread(f, want, end - begin, begin, NULL, NULL), ERR_OK);
    vfs_file_close(f);
    wal_close(world_open(disk, seen, NULL));
    char path[100];
    (void)snprintf(path, sizeof(path), "%s/BRASAWAL-3-00000001-%u", world_quarantine, begin);
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
    struct world_seen *seen = mem_zalloc(sizeof(*seen));
    for (uint64_t sector = 1; sector < 6; sector++) {
        struct mem_vfs *disk = world_disk(COUNT);
        struct vfs_file *f = world_file(disk, "/wal/00000001");
        const uint8_t zeros[512] = {0};
        assert_int_equal(vfs_file_pwrite(f, zeros, sizeof(zeros), sector * 512, NULL), ERR_OK);
        vfs_file_close(f);
        wal_close(world_open(disk, seen, NULL));
        assert_int_equal(seen->damages, 1);
        assert_in_range(seen->count, COUNT - 10, COUNT - 1);
        assert_int_equal(seen->ids[seen->count - 1], COUNT - 1);
        mem_vfs_free(disk);
    }
    mem_free(seen);
}

static void records_of_another_segment_or_shard_are_not_believed(void **state) {
    (void)state;
    struct world_seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = world_disk(40);
    assert_int_equal(vfs_rename(mem_vfs_base(disk), "/wal/00000001", "/wal/00000002", NULL),
                     ERR_OK);
    wal_close(world_open(disk, seen, NULL));
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
    struct world_seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = mem_vfs_new();
    struct vfs_file *f = NULL;
    const struct record_file_id id = {"BRASAWAL", 3, 1};
    uint8_t header[RECORD_FILE_HEADER_BYTES];
    record_file_header(header, &id);
    header[8] = 99;
    put_u32(header + 28, hash_crc32c(0, header, 28));
    assert_int_equal(vfs_mkdir(mem_vfs_base(disk), world_dir, NULL), ERR_OK);
    assert_ok(vfs_open(mem_vfs_base(disk), "/wal/00000001", VFS_WRITE | VFS_CREATE, &f, &err),
              &err);
    assert_ok(vfs_file_pwrite(f, header, sizeof(header), 0, &err), &err);
    vfs_file_close(f);
    const struct wal_options options = world_options(disk, seen);
    assert_err(wal_open(&options, world_remember, seen, &wal, NULL, &err), ERR_UNSUPPORTED,
               "format version 99", &err);
    mem_vfs_free(disk);
    mem_free(seen);
}

static void dropped_segments_are_gone_and_the_others_stay(void **state) {
    (void)state;
    struct err err;
    struct world_seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = mem_vfs_new();
    struct wal *wal = world_open(disk, seen, NULL);
    struct wal_position at[60];
    for (uint32_t i = 0; i < 60; i++) {
        at[i] = world_append(wal, i);
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
    (void)world_append(wal, 60);
    wal_close(wal);
    wal_close(world_open(disk, seen, NULL));
    assert_int_equal(seen->ids[0] > 40, 1);
    assert_int_equal(seen->ids[seen->count - 1], 60);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
