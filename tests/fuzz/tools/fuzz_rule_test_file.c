/* Any file is refused with a text or read with every interval set and no group named twice in the
 * order. */
#include "base/check.h"
#include "rule_test_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena;
    struct err err;
    struct rule_test_file file;
    arena_init(&arena, 256 * 1024 * 1024);
    err.text[0] = '\0';
    if (rule_test_file_parse(&arena, (struct str){(const char *)data, size}, &file, &err) ==
        ERR_OK) {
        ASSERT(file.evaluation_interval_ms > 0);
        for (size_t i = 0; i < file.group_count; i++) {
            ASSERT(file.groups[i].interval_ms > 0);
        }
        for (size_t i = 1; i < file.group_order_count; i++) {
            ASSERT(!str_eq(file.group_order[i - 1], file.group_order[i]));
        }
    } else {
        ASSERT(err.text[0] != '\0');
    }
    arena_release(&arena);
    return 0;
}
