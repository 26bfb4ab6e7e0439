#include "tests/unit/tsdb/wal_world.h"

#include "tests/support/check_err.h"

#include "base/bytes.h"
#include "base/mem.h"

const char world_dir[] = "/wal";

const char world_quarantine[] = "/quarantine";

static size_t world_payload_bytes(uint32_t id, uint8_t *to) {
    const size_t size = 4 + id * 37 % 120 + (id % 11 == 7 ? 1500 : 0);
    put_u32(to, id);
    for (size_t i = 4; i < size; i++) {
        to[i] = (uint8_t)(id * 31 + i * 7);
    }
    return size;
}

struct wal_payload world_payload(uint32_t id, uint8_t *bytes) {
    return (struct wal_payload){
        .type = (uint8_t)(1 + id % 3), .bytes = bytes, .size = world_payload_bytes(id, bytes)};
}

uint32_t world_check(const struct wal_record *record) {
    uint8_t want[PAYLOAD_MAX];
    assert_in_range(record->size, 4, PAYLOAD_MAX);
    const uint32_t id = load_u32(record->payload);
    assert_int_equal(record->size, world_payload_bytes(id, want));
    assert_memory_equal(record->payload, want, record->size);
    assert_int_equal(record->type, 1 + id % 3);
    return id;
}

enum err_code world_remember(void *ctx, const struct wal_record *record, struct err *err) {
    struct world_seen *seen = ctx;
    (void)err;
    assert_true(seen->count < RECORDS_MAX);
    assert_true(seen->count == 0 || record->sequence > seen->last_sequence);
    seen->last_sequence = record->sequence;
    seen->at[seen->count] = record->at;
    seen->ids[seen->count++] = world_check(record);
    return ERR_OK;
}

static void note_damage(void *ctx, const struct record_damage *damage) {
    struct world_seen *seen = ctx;
    assert_non_null(damage->path);
    seen->damages += !damage->torn;
    seen->torn += damage->torn;
    seen->damage = *damage;
}

struct wal_options world_options(struct mem_vfs *disk, struct world_seen *seen) {
    return (struct wal_options){.vfs = mem_vfs_base(disk),
                                .dir = world_dir,
                                .shard = 3,
                                .segment_bytes = 4096,
                                .allocate_bytes = 1024,
                                .quarantine_dir = world_quarantine,
                                .damage = note_damage,
                                .damage_ctx = seen};
}

struct wal *world_open(struct mem_vfs *disk, struct world_seen *seen,
                       struct wal_replay_stats *stats) {
    struct err err;
    struct wal *wal = NULL;
    *seen = (struct world_seen){0};
    const struct wal_options options = world_options(disk, seen);
    assert_ok(wal_open(&options, world_remember, seen, &wal, stats, &err), &err);
    return wal;
}

struct wal_position world_append(struct wal *wal, uint32_t id) {
    struct err err;
    uint8_t bytes[PAYLOAD_MAX];
    struct wal_position at = {0};
    assert_ok(wal_append(wal, world_payload(id, bytes), &at, &err), &err);
    return at;
}

void world_sync(struct wal *wal) {
    struct err err;
    assert_ok(wal_sync(wal, &err), &err);
}

struct mem_vfs *world_disk(uint32_t count) {
    struct mem_vfs *disk = mem_vfs_new();
    struct world_seen *seen = mem_zalloc(sizeof(*seen));
    struct wal *wal = world_open(disk, seen, NULL);
    for (uint32_t i = 0; i < count; i++) {
        (void)world_append(wal, i);
    }
    world_sync(wal);
    wal_close(wal);
    mem_free(seen);
    return disk;
}

struct vfs_file *world_file(struct mem_vfs *disk, const char *path) {
    struct err err;
    struct vfs_file *f = NULL;
    assert_ok(vfs_open(mem_vfs_base(disk), path, VFS_WRITE, &f, &err), &err);
    return f;
}

uint64_t world_file_size(struct vfs_file *f) {
    uint64_t size = 0;
    assert_int_equal(vfs_file_size(f, &size, NULL), ERR_OK);
    return size;
}

void world_xor_byte(struct vfs_file *f, uint64_t offset, uint8_t with) {
    uint8_t byte = 0;
    assert_int_equal(vfs_file_pread(f, &byte, 1, offset, NULL, NULL), ERR_OK);
    byte ^= with;
    assert_int_equal(vfs_file_pwrite(f, &byte, 1, offset, NULL), ERR_OK);
}
