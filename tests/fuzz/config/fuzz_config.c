/* No text crashes the loader; a configuration that loads prints a text that loads again and prints
 * the same, unless its labels name variables that the second reading would expand. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct err err;
    struct config *first = NULL;
    struct config *second = NULL;
    const struct str text = {(const char *)data, size};
    if (config_parse(text, "fuzz.yml", "", NULL, &first, &err) != ERR_OK) {
        return 0;
    }
    if (config_parse(first->text, "again.yml", "", NULL, &second, &err) != ERR_OK) {
        abort();
    }
    if (!str_eq(first->text, second->text) && str_find_char(first->text, '$') < 0) {
        abort();
    }
    config_unref(first);
    config_unref(second);
    return 0;
}
