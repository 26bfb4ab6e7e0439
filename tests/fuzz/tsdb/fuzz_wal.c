/* WAL replay of a damaged log: what comes back was appended, in order, and a second opening sees
 * the same; the log goes on. Byte 0 picks edits of a good file or raw bytes as a file. */
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "tests/fuzz/tsdb/edited_file.h"
#include "tests/support/mem_vfs.h"
#include "tsdb/wal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RECORDS = 20, FIRST_ID = 1000 };

struct seen {
    uint64_t sum;
    uint64_t count;
    uint32_t last_id;
    uint64_t last_sequence;
    bool known_only;
};

static size_t payload_of(uint32_t id, uint8_t *to) {
    const size_t n = 4 + id % 61;
    put_u32(to, id);
    for (size_t i = 4; i < n; i++) {
        to[i] = (uint8_t)(id + i);
    }
    return n;
}

static enum err_code see(void *ctx, const struct wal_record *record, struct err *err) {
    struct seen *seen = ctx;
    uint8_t want[128];
    (void)err;
    ASSERT(record->type != 0);
    ASSERT(seen->count == 0 || record->sequence > seen->last_sequence);
    if (seen->known_only) {
        ASSERT(record->size >= 4);
        const uint32_t id = load_u32(record->payload);
        ASSERT(id >= FIRST_ID && (seen->count == 0 || id > seen->last_id));
        ASSERT(payload_of(id, want) == record->size &&
               memcmp(want, record->payload, record->size) == 0);
        seen->last_id = id;
    }
    seen->last_sequence = record->sequence;
    seen->sum = seen->sum * 31 + record->sequence + record->size;
    seen->count++;
    return ERR_OK;
}

static struct wal *open_wal(struct vfs *vfs, struct seen *seen, bool known_only) {
    struct wal *wal = NULL;
    const struct wal_options options = {.vfs = vfs, .dir = "/wal", .quarantine_dir = "/quarantine"};
    *seen = (struct seen){.known_only = known_only};
    const enum err_code code = wal_open(&options, see, seen, &wal, NULL, NULL);
    ASSERT(code == ERR_OK || code == ERR_UNSUPPORTED);
    return wal;
}

static void append_some(struct wal *wal, uint32_t first, uint32_t count) {
    for (uint32_t id = first; id < first + count; id++) {
        uint8_t bytes[128];
        const struct wal_payload payload = {1, bytes, payload_of(id, bytes)};
        ASSERT(wal_append(wal, payload, NULL, NULL) == ERR_OK);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) {
        return 0;
    }
    struct mem_vfs *disk = mem_vfs_new();
    struct vfs *vfs = mem_vfs_base(disk);
    struct seen first;
    struct seen second;
    const bool edited = data[0] % 2 == 0;
    struct wal *wal = open_wal(vfs, &first, true);
    if (edited) {
        append_some(wal, FIRST_ID, RECORDS);
    }
    wal_close(wal);
    if (edited) {
        edit_file(vfs, "/wal/00000001", data + 1, size - 1);
    } else {
        put_file(vfs, "/wal/00000001", data + 1, size - 1);
    }
    wal = open_wal(vfs, &first, edited);
    wal_close(wal);
    wal = open_wal(vfs, &second, edited);
    ASSERT(first.sum == second.sum && first.count == second.count);
    if (wal != NULL) {
        append_some(wal, FIRST_ID + RECORDS, 2);
        wal_close(wal);
        wal_close(open_wal(vfs, &second, edited));
        ASSERT(second.count == first.count + 2);
    }
    mem_vfs_free(disk);
    return 0;
}
