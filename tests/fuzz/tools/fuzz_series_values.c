/* Any sequence is refused with a text or gives at most the maximum of values; a second reading
 * gives the same, and reading it twice in a row appends the same values again. */
#include "base/check.h"
#include "base/value.h"
#include "series_values.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct str text = {(const char *)data, size};
    struct arena arena;
    struct err err;
    struct series_values values = {.count = 0};
    arena_init(&arena, 64 * 1024 * 1024);
    err.text[0] = '\0';
    const enum err_code code = series_values_parse(&arena, text, &values, &err);
    const size_t count = values.count;
    ASSERT(count <= SERIES_VALUES_MAX);
    ASSERT(code == ERR_OK || err.text[0] != '\0');
    if (code == ERR_OK && series_values_parse(&arena, text, &values, &err) == ERR_OK) {
        ASSERT(values.count == 2 * count);
        for (size_t i = 0; i < count; i++) {
            ASSERT(values.items[i].present == values.items[count + i].present);
            ASSERT(f64_same_bits(values.items[i].value, values.items[count + i].value));
        }
    }
    arena_release(&arena);
    return 0;
}
