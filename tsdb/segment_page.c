/* Pages of L0 runs. The format stands at the top of segment.c. */
#include "tsdb/segment_page.h"

#include "base/hash.h"
#include "tsdb/segment_file.h"

enum err_code segment_page_check(const uint8_t *bytes, uint32_t size, uint32_t crc, uint32_t slots,
                                 struct segment_page_mark *marks, struct segment_page *out,
                                 const char **out_what) {
    if (hash_crc32c(0, bytes, size) != crc) {
        *out_what = "page with a wrong checksum";
        return ERR_CORRUPT;
    }
    struct cursor c = cursor_of(bytes, size);
    uint64_t end = 0;
    *out_what = "bad page directory";
    for (uint32_t i = 0; i < slots; i++) {
        if (i % SEGMENT_PAGE_MARK_SLOTS == 0) {
            marks[i / SEGMENT_PAGE_MARK_SLOTS] =
                (struct segment_page_mark){(uint32_t)cursor_offset(&c), (uint32_t)end};
        }
        const bool one_byte = c.at < c.end && *c.at < 0x80; /* as most are */
        const uint64_t entry = one_byte ? *c.at++ : cursor_uvarint(&c);
        end += entry > SEGMENT_ENTRY_BLOCKS ? entry - SEGMENT_ENTRY_BLOCKS : 0;
        if (c.failed || entry > (uint64_t)size + SEGMENT_ENTRY_BLOCKS || end > size) {
            return ERR_CORRUPT;
        }
    }
    if (cursor_left(&c) != end) {
        return ERR_CORRUPT;
    }
    *out = (struct segment_page){bytes, marks, (uint32_t)cursor_offset(&c)};
    return ERR_OK;
}

/* The page is checked: its directory ends where it should. */
static uint32_t take_entry(const uint8_t *bytes, uint32_t *io_at) {
    uint64_t v = bytes[(*io_at)++];
    if (v >= 0x80) {
        uint64_t byte = v;
        v &= 0x7f;
        for (unsigned shift = 7; byte >= 0x80; shift += 7) {
            byte = bytes[(*io_at)++];
            v |= (byte & 0x7f) << shift;
        }
    }
    return (uint32_t)v;
}

void segment_page_block(const struct segment_page *page, uint32_t slot, struct segment_page_at *at,
                        const uint8_t **out_bytes, size_t *out_n) {
    const uint32_t from = slot - slot % SEGMENT_PAGE_MARK_SLOTS;
    uint32_t next = from;
    struct segment_page_mark mark;
    if (at->page == page && at->slot >= from && at->slot <= slot) {
        next = at->slot;
        mark = at->mark;
    } else {
        mark = page->marks[slot / SEGMENT_PAGE_MARK_SLOTS];
    }
    uint32_t entry = take_entry(page->bytes, &mark.entry);
    for (; next < slot; next++) {
        mark.block += entry > SEGMENT_ENTRY_BLOCKS ? entry - SEGMENT_ENTRY_BLOCKS : 0;
        entry = take_entry(page->bytes, &mark.entry);
    }
    const uint32_t size = entry > SEGMENT_ENTRY_BLOCKS ? entry - SEGMENT_ENTRY_BLOCKS : 0;
    if (size != 0) {
        *out_bytes = page->bytes + page->blocks_at + mark.block;
        *out_n = size;
    } else if (entry != SEGMENT_ENTRY_ABSENT) {
        *out_bytes = block_one_byte(entry - SEGMENT_ENTRY_CONSTANTS);
        *out_n = 1;
    } else {
        *out_bytes = NULL;
        *out_n = 0;
    }
    mark.block += size;
    *at = (struct segment_page_at){page, slot + 1, mark};
}
