#include "tsdb/partition_summary.h"

enum err_code partition_summary(struct partition *p, uint32_t series, uint32_t block_count,
                                struct arena *arena, struct series_summary *out, struct err *err) {
    *out = (struct series_summary){0};
    if (p->version < PARTITION_VERSION_SUMMARIES) {
        return ERR_OK;
    }
    const struct partition_list list =
        partition_section_list(p, SECTION_SUMMARIES, p->info.series_count, PARTITION_LIST_GROUP);
    struct cursor block;
    enum err_code code = partition_list_block(p, &list, series / PARTITION_LIST_GROUP, &block, err);
    if (code != ERR_OK) {
        return code;
    }
    bool good = true;
    for (uint32_t i = 0; i < series % PARTITION_LIST_GROUP && good; i++) {
        good = series_summary_skip(&block);
    }
    code = good ? series_summary_read(&block, block_count, arena, out) : ERR_CORRUPT;
    if (code == ERR_CORRUPT) {
        return partition_bad_index(p, SECTION_SUMMARIES, 0, err);
    }
    return code == ERR_OK ? ERR_OK
                          : err_set(err, code, "not enough memory for a summary of a partition");
}
