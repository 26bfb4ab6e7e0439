#include "tests/fuzz/tsdb/edited_file.h"

#include "base/bytes.h"
#include "base/check.h"

enum { EDIT_BYTES = 4, SECTOR_BYTES = 512 };

static uint64_t size_of(struct vfs_file *f) {
    uint64_t size = 0;
    ASSERT(vfs_file_size(f, &size, NULL) == ERR_OK);
    return size;
}

static void edit_once(struct vfs_file *f, uint64_t offset, uint8_t kind, uint8_t value) {
    static const uint8_t zeros[SECTOR_BYTES];
    const uint64_t size = size_of(f);
    uint8_t byte = 0;
    if (size == 0) {
        return;
    }
    offset %= size;
    switch (kind % 4) {
    case 0:
        ASSERT(vfs_file_pread(f, &byte, 1, offset, NULL, NULL) == ERR_OK);
        byte ^= value;
        ASSERT(vfs_file_pwrite(f, &byte, 1, offset, NULL) == ERR_OK);
        break;
    case 1:
        ASSERT(vfs_file_pwrite(f, &value, 1, offset, NULL) == ERR_OK);
        break;
    case 2:
        ASSERT(vfs_file_pwrite(f, zeros, 1 + (size_t)value * 2, offset, NULL) == ERR_OK);
        break;
    default:
        ASSERT(vfs_file_truncate(f, offset, NULL) == ERR_OK);
        break;
    }
}

void edit_file(struct vfs *vfs, const char *path, const uint8_t *edits, size_t n) {
    struct vfs_file *f = NULL;
    ASSERT(vfs_open(vfs, path, VFS_WRITE, &f, NULL) == ERR_OK);
    for (; n >= EDIT_BYTES; edits += EDIT_BYTES, n -= EDIT_BYTES) {
        if (edits[2] == 0xff) {
            ASSERT(vfs_file_pwrite(f, edits + EDIT_BYTES, n - EDIT_BYTES, size_of(f), NULL) ==
                   ERR_OK);
            break;
        }
        edit_once(f, load_u16(edits), edits[2], edits[3]);
    }
    vfs_file_close(f);
}

void put_file(struct vfs *vfs, const char *path, const uint8_t *bytes, size_t n) {
    struct vfs_file *f = NULL;
    ASSERT(vfs_open(vfs, path, VFS_WRITE | VFS_CREATE | VFS_TRUNCATE, &f, NULL) == ERR_OK);
    ASSERT(vfs_file_pwrite(f, bytes, n, 0, NULL) == ERR_OK);
    vfs_file_close(f);
}
