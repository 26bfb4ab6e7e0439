/* Any sequence is refused or read; a second reading gives the same values. */
#include "base/check.h"
#include "base/mem.h"
#include "base/value.h"
#include "query/script/promqltest_sequence.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct str text = {(const char *)data, size};
    struct arena arena;
    struct sequence first = {.count = 0};
    struct sequence second = {.count = 0};
    arena_init(&arena, 0);
    const bool ok = sequence_parse(&arena, text, &first);
    ASSERT(sequence_parse(&arena, text, &second) == ok);
    ASSERT(first.count == second.count);
    for (size_t i = 0; ok && i < first.count; i++) {
        ASSERT(first.points[i].kind == second.points[i].kind);
        ASSERT(f64_same_bits(first.points[i].value, second.points[i].value));
        ASSERT((first.points[i].kind == POINT_HISTOGRAM) == (first.points[i].histogram != NULL));
    }
    mem_free(first.points);
    mem_free(second.points);
    arena_release(&arena);
    return 0;
}
