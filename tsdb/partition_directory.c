/* Where the pages of a partition are. FORMAT.md section 10.3, pages. */
#include "base/check.h"
#include "tsdb/partition_page.h"

static enum err_code directory_entry(struct partition *p, uint32_t page, const uint8_t **out,
                                     struct err *err) {
    return partition_bytes(p, SECTION_PAGES, (uint64_t)page * PARTITION_PAGE_ENTRY_BYTES,
                           PARTITION_PAGE_ENTRY_BYTES, out, err);
}

enum err_code partition_page_of(struct partition *p, uint32_t series, uint32_t *out,
                                struct err *err) {
    uint32_t low = 0;
    uint32_t high = p->page_count;
    while (high - low > 1) {
        const uint32_t middle = low + (high - low) / 2;
        const uint8_t *entry;
        const enum err_code code = directory_entry(p, middle, &entry, err);
        if (code != ERR_OK) {
            return code;
        }
        if (load_u32(entry + 8) <= series) {
            low = middle;
        } else {
            high = middle;
        }
    }
    *out = low;
    return high != 0 ? ERR_OK : partition_bad_index(p, SECTION_PAGES, 0, err);
}

enum err_code partition_page_place(struct partition *p, uint32_t page, struct page_place *out,
                                   struct err *err) {
    const bool last = page + 1 == p->page_count;
    const uint8_t *entry;
    ASSERT(page < p->page_count);
    const enum err_code code =
        partition_bytes(p, SECTION_PAGES, (uint64_t)page * PARTITION_PAGE_ENTRY_BYTES,
                        (last ? 1 : 2) * (uint64_t)PARTITION_PAGE_ENTRY_BYTES, &entry, err);
    if (code != ERR_OK) {
        return code;
    }
    const uint8_t *next = entry + PARTITION_PAGE_ENTRY_BYTES;
    const uint64_t end = last ? p->info.data_bytes : load_u64(next);
    const uint32_t end_series = last ? p->info.series_count : load_u32(next + 8);
    *out = (struct page_place){.number = page};
    out->offset = load_u64(entry);
    out->first_series = load_u32(entry + 8);
    out->head_bytes = load_u32(entry + 12);
    out->crc = load_u32(entry + 16);
    if (end > p->info.data_bytes || out->offset < PARTITION_DATA_HEADER_BYTES ||
        out->offset >= end || end - out->offset > PARTITION_PAGE_MAX || out->head_bytes < 2 ||
        out->head_bytes > end - out->offset || end_series > p->info.series_count ||
        out->first_series >= end_series || (page == 0 && out->first_series != 0)) {
        return partition_bad_index(p, SECTION_PAGES, (uint64_t)page * PARTITION_PAGE_ENTRY_BYTES,
                                   err);
    }
    out->size = (uint32_t)(end - out->offset);
    out->series_count = end_series - out->first_series;
    return ERR_OK;
}
