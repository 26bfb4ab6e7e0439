/* Rows of the WAL from any bytes: what decodes is written again and decodes to the same changes, with
 * slots that ascend and stay below the limit. */
#include "base/check.h"
#include "base/mem.h"
#include "tsdb/head.h"
#include "tsdb/head_row.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SLOT_LIMIT = 5000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct cursor from = cursor_of(data, size);
    struct head_row_header header;
    struct head_row_header again;
    struct head_change *changes[2] = {NULL, NULL};
    size_t capacity[2] = {0, 0};
    size_t count[2] = {0, 0};
    struct buf bytes;
    buf_init(&bytes, 1 << 20);
    if (head_row_decode_header(&from, &header) == ERR_OK &&
        head_row_decode_changes(&from, SLOT_LIMIT, &changes[0], &capacity[0], &count[0]) ==
            ERR_OK) {
        head_row_encode(&bytes, &header, changes[0], count[0]);
        ASSERT(buf_ok(&bytes));
        struct cursor second = cursor_of(bytes.ptr, bytes.len);
        ASSERT(head_row_decode_header(&second, &again) == ERR_OK);
        ASSERT(head_row_decode_changes(&second, SLOT_LIMIT, &changes[1], &capacity[1], &count[1]) ==
               ERR_OK);
        ASSERT(again.group == header.group && again.row == header.row &&
               again.flags == header.flags && again.ts_ms == header.ts_ms);
        ASSERT(count[0] == count[1]);
        for (size_t i = 0; i < count[0]; i++) {
            ASSERT(changes[0][i].slot < SLOT_LIMIT);
            ASSERT(i == 0 || changes[0][i].slot > changes[0][i - 1].slot);
            ASSERT(changes[0][i].slot == changes[1][i].slot);
            ASSERT(changes[0][i].op.code == changes[1][i].op.code);
            ASSERT(changes[0][i].op.bits == changes[1][i].op.bits);
        }
    }
    mem_free(changes[0]);
    mem_free(changes[1]);
    buf_release(&bytes);
    return 0;
}
