/* Pages of a partition on their way to the file: cut into pieces, packed where that pays. FORMAT.md
 * section 10.4. */
#include "base/compress.h"
#include "base/mem.h"
#include "tsdb/partition_writer_impl.h"

enum {
    OUT_BYTES = 128 << 10,
    PIECES_FROM_BYTES = 16 << 10, /* a page with more gets pieces */
    BUFFER_KEEP_BYTES = 4 << 20,
    PACK_FROM_BYTES = 64,
    PACK_SAVES = 10, /* at least one part in so many */
    PACK_FRAMING_BYTES = 4,
};
static const size_t BUFFER_MAX = UINT32_MAX;

enum err_code partition_flush_pages(struct partition_writer *w, size_t at_least, struct err *err) {
    if (!buf_ok(&w->out)) {
        return err_set(err, ERR_LIMIT, "partition %s: a page is too large", w->dir);
    }
    if (w->out.len < at_least || w->out.len == 0) {
        return ERR_OK;
    }
    const enum err_code code =
        vfs_file_pwrite(w->data, w->out.ptr, w->out.len, w->data_bytes - w->out.len, err);
    buf_clear(&w->out);
    return code;
}

static void clear(struct buf *buf) {
    if (buf->capacity > BUFFER_KEEP_BYTES) {
        buf_release(buf);
        buf_init(buf, BUFFER_MAX);
    } else {
        buf_clear(buf);
    }
}

/* Appends the bytes to what is packed, if that makes them small enough; else returns 0. */
static size_t pack(struct partition_writer *w, const char *bytes, size_t n) {
    if (w->packer == NULL || n < PACK_FROM_BYTES || n > PACKED_BYTES_MAX) {
        return 0;
    }
    char *to = buf_reserve(&w->packed, n);
    size_t made = to != NULL ? pack_zstd(w->packer, bytes, n, to, n) : 0;
    made = made <= n - n / PACK_SAVES - PACK_FRAMING_BYTES ? made : 0;
    w->packed.len += made;
    return made;
}

/* Fills stored, and packed when any piece is packed. */
static bool pack_pieces(struct partition_writer *w) {
    bool any = false;
    uint32_t begin = 0;
    w->stored.count = 0;
    for (uint32_t i = 0; i < w->pieces.count; i++) {
        const size_t n = w->pieces.items[i] - begin;
        const size_t made = pack(w, w->blocks.ptr + begin, n);
        if (made == 0) {
            buf_append(&w->packed, w->blocks.ptr + begin, n);
        }
        any |= made != 0;
        number_array_add(&w->stored, (uint32_t)made);
        begin = w->pieces.items[i];
    }
    return any;
}

static void write_piece_table(struct partition_writer *w, bool packed) {
    const uint8_t *at = (const uint8_t *)(packed ? w->packed.ptr : w->blocks.ptr);
    append_uvarint(&w->out, w->pieces.count);
    uint32_t begin = 0;
    for (uint32_t i = 0; i < w->pieces.count; i++) {
        const uint32_t size = w->pieces.items[i] - begin;
        const uint32_t n = packed && w->stored.items[i] != 0 ? w->stored.items[i] : size;
        uint8_t crc[4];
        append_uvarint(&w->out, n);
        put_u32(crc, partition_piece_crc(w->info.number, w->page_first, i, at, n));
        buf_append(&w->out, crc, sizeof(crc));
        if (packed) {
            append_uvarint(&w->out, n != size ? size : 0);
        }
        at += n;
        begin = w->pieces.items[i];
    }
}

/* Appends the page in pieces; returns the bytes of its head. */
static size_t write_pieces(struct partition_writer *w) {
    const size_t begin = w->out.len;
    if (w->pieces.count == 0 || w->pieces.items[w->pieces.count - 1] != w->blocks.len) {
        number_array_add(&w->pieces, (uint32_t)w->blocks.len);
    }
    const bool packed = pack_pieces(w) && buf_ok(&w->packed);
    buf_append_char(&w->out, PAGE_PIECES | (packed ? PAGE_PACKED : 0));
    buf_append_str(&w->out, buf_str(&w->heads));
    write_piece_table(w, packed);
    const size_t head = w->out.len - begin;
    buf_append_str(&w->out, buf_str(packed ? &w->packed : &w->blocks));
    return head;
}

/* Appends the page as a whole; returns its bytes. */
static size_t write_whole(struct partition_writer *w) {
    const size_t begin = w->out.len;
    buf_append_char(&w->out, 0);
    buf_append_str(&w->out, buf_str(&w->heads));
    buf_append_str(&w->out, buf_str(&w->blocks));
    const size_t size = w->out.len - begin - 1;
    if (buf_ok(&w->out) && pack(w, w->out.ptr + begin + 1, size) != 0) {
        w->out.len = begin;
        buf_append_char(&w->out, PAGE_PACKED);
        append_uvarint(&w->out, size);
        buf_append_str(&w->out, buf_str(&w->packed));
    }
    return w->out.len - begin;
}

enum err_code partition_finish_page(struct partition_writer *w, struct err *err) {
    if (!w->page_open) {
        return ERR_OK;
    }
    const size_t begin = w->out.len;
    if (!buf_ok(&w->heads) || !buf_ok(&w->blocks) ||
        w->heads.len + w->blocks.len > PARTITION_PAGE_MAX - PARTITION_PAGE_MAX / 4) {
        return err_set(err, ERR_LIMIT, "partition %s: a page is too large", w->dir);
    }
    const size_t head = w->blocks.len >= PIECES_FROM_BYTES ? write_pieces(w) : write_whole(w);
    if (!buf_ok(&w->out)) {
        return err_set(err, ERR_LIMIT, "partition %s: a page is too large", w->dir);
    }
    if (w->page_count == w->page_capacity) {
        w->page_capacity = mem_grow(w->page_capacity, w->page_count + 1);
        w->pages = mem_resize(w->pages, w->page_capacity, sizeof(*w->pages));
    }
    w->pages[w->page_count++] = (struct writer_page){
        .offset = w->data_bytes,
        .first_series = w->page_first,
        .head_bytes = (uint32_t)head,
        .crc = hash_crc32c(partition_crc_seed(w->info.number, w->page_first), w->out.ptr + begin,
                           head),
    };
    w->data_bytes += w->out.len - begin;
    w->page_open = false;
    w->pieces.count = 0;
    clear(&w->heads);
    clear(&w->blocks);
    clear(&w->packed);
    return partition_flush_pages(w, OUT_BYTES, err);
}
