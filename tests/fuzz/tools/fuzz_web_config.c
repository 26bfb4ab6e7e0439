/* Any file that turns on TLS and authentication is taken or refused with a text, and again so. The
 * files that it names are in memory. */
#include <string.h>

#include "base/check.h"
#include "cmd_check_web.h"
#include "tests/support/mem_vfs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct mem_vfs *files = mem_vfs_new();
    struct vfs *vfs = mem_vfs_base(files);
    const struct str text = {(const char *)data, size};
    struct err err = {.text = ""};
    struct err again = {.text = ""};
    ASSERT(vfs_replace_file(vfs, "own", data, size, &err) == ERR_OK);
    const enum err_code code = check_web_text(vfs, STR(""), text, &err);
    ASSERT(code == ERR_OK || err.text[0] != '\0');
    ASSERT(check_web_text(vfs, STR(""), text, &again) == code);
    ASSERT(code == ERR_OK || strcmp(err.text, again.text) == 0);
    mem_vfs_free(files);
    return 0;
}
