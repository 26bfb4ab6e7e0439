/* Any bytes as a discovery file (the first byte says JSON or YAML) or as Docker's answers: no
 * crash, and every target that comes out is a sound label set with an address. */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "scrape/sd/sd_docker.h"
#include "scrape/sd/sd_provider.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_boxes(const struct sd_boxes *boxes) {
    for (size_t i = 0; i < boxes->count; i++) {
        const struct sd_group *const group = &boxes->items[i]->group;
        enum err_code code = labels_check(group->labels.data, group->labels.size, NULL);
        ASSERT(code == ERR_OK);
        for (size_t t = 0; t < group->target_count; t++) {
            code = labels_check(group->targets[t].data, group->targets[t].size, NULL);
            ASSERT(code == ERR_OK);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct sd_config docker = {
        .kind = SD_DOCKER, .port = 80, .host_networking_host = STR_INIT("localhost")};
    if (size == 0) {
        return 0;
    }
    const struct str text = {(const char *)data + 1, size - 1};
    struct sd_boxes boxes = {0};
    struct err err;
    enum err_code code = ERR_OK;
    if (data[0] == 'd') {
        const ptrdiff_t cut = str_find_char(text, '\n');
        const struct str containers = cut < 0 ? text : str_sub(text, 0, (size_t)cut);
        const struct str networks = cut < 0 ? STR("[]") : str_from(text, (size_t)cut + 1);
        code = docker_targets(&docker, containers, networks, &boxes, &err);
    } else {
        code = sd_list_parse(text, data[0] == 'j', STR("p"), STR("__meta_filepath"), &boxes, &err);
    }
    ASSERT(code == ERR_OK || boxes.count == 0);
    check_boxes(&boxes);
    sd_boxes_release(&boxes);
    return 0;
}
