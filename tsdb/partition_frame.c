/* Opening partitions: the frame of the index. FORMAT.md section 10.1. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/compress.h"
#include "base/mem.h"
#include "tsdb/page_cache.h"
#include "tsdb/partition_index.h"

static char *path_of(const char *dir, const char *name) {
    const size_t n = strlen(dir) + strlen(name) + 2;
    char *path = mem_alloc(n);
    (void)snprintf(path, n, "%s/%s", dir, name);
    return path;
}

struct frame_counts {
    uint64_t parents;
    uint64_t pages;
    bool index_packed;
};

static void take_info(struct cursor *c, uint8_t version, struct partition_info *info,
                      struct frame_counts *counts) {
    info->level = cursor_u8(c);
    const uint8_t flags = cursor_u8(c);
    info->out_of_order = (flags & PARTITION_OUT_OF_ORDER) != 0;
    counts->index_packed = (flags & PARTITION_INDEX_PACKED) != 0;
    c->failed |= cursor_u8(c) != partition_section_count(version);
    info->number = cursor_u32(c);
    info->start_ms = (int64_t)cursor_u64(c);
    info->end_ms = (int64_t)cursor_u64(c);
    info->min_ts_ms = (int64_t)cursor_u64(c);
    info->max_ts_ms = (int64_t)cursor_u64(c);
    info->sample_count = cursor_u64(c);
    info->pair_count = cursor_u64(c);
    info->data_bytes = cursor_u64(c);
    info->series_count = cursor_u32(c);
    info->timeline_count = cursor_u32(c);
    info->target_count = cursor_u32(c);
    info->metric_count = cursor_u32(c);
    info->name_count = cursor_u32(c);
    info->layout_count = cursor_u32(c);
    counts->pages = cursor_u32(c);
    counts->parents = cursor_u32(c);
}

static bool take_sections(struct partition *p, struct cursor *c) {
    for (size_t i = 0; i < partition_section_count(p->version); i++) {
        p->sections[i].offset = cursor_u64(c);
        p->sections[i].size = cursor_u64(c);
        if (p->sections[i].offset > p->index_bytes ||
            p->sections[i].size > p->index_bytes - p->sections[i].offset) {
            return false;
        }
    }
    return !c->failed;
}

/* Counts that the sections cannot hold would make later allocations too large. */
static bool counts_fit(const struct partition *p) {
    const struct partition_info *info = &p->info;
    const uint64_t blocks =
        ((uint64_t)info->series_count + PARTITION_SERIES_GROUP - 1) / PARTITION_SERIES_GROUP;
    return info->target_count != 0 && info->metric_count != 0 && info->series_count != UINT32_MAX &&
           info->start_ms < info->end_ms &&
           info->target_count - (uint64_t)1 <= p->sections[SECTION_TARGETS].size &&
           info->metric_count - (uint64_t)1 <= p->sections[SECTION_METRICS].size &&
           blocks * 4 <= p->sections[SECTION_SERIES].size &&
           (uint64_t)info->timeline_count * 4 <= p->sections[SECTION_TIMELINES].size &&
           info->name_count <= p->sections[SECTION_NAMES].size &&
           info->layout_count <= p->sections[SECTION_LAYOUTS].size &&
           (uint64_t)p->page_count * PARTITION_PAGE_ENTRY_BYTES ==
               p->sections[SECTION_PAGES].size &&
           p->page_count <= info->series_count;
}

static enum err_code parse_frame(struct partition *p, const uint8_t *frame, size_t size,
                                 struct err *err) {
    struct cursor c = cursor_of(frame, size);
    struct frame_counts counts;
    const uint8_t version = cursor_u8(&c);
    if (version < PARTITION_VERSION_MIN || version > PARTITION_VERSION_SUMMARIES) {
        return err_set(err, ERR_UNSUPPORTED, "partition file %s has format %u, not %d to %d",
                       p->index_path, version, PARTITION_VERSION_MIN, PARTITION_VERSION_SUMMARIES);
    }
    p->version = version;
    take_info(&c, version, &p->info, &counts);
    if (c.failed || counts.parents > PARTITION_PARENTS_MAX) {
        return partition_bad_frame(p, "bad frame", p->frame_offset, err);
    }
    p->page_count = (uint32_t)counts.pages;
    p->info.parent_count = (uint32_t)counts.parents;
    p->parents = mem_array(p->info.parent_count + (size_t)1, sizeof(*p->parents));
    for (uint32_t i = 0; i < p->info.parent_count; i++) {
        p->parents[i] = cursor_u32(&c);
    }
    p->info.parents = p->parents;
    p->index_packed = counts.index_packed && version >= PARTITION_VERSION;
    if (p->index_packed) {
        p->index_bytes = cursor_u64(&c);
    }
    if (p->index_bytes / PARTITION_PIECE_RATIO_MAX > p->frame_offset || !take_sections(p, &c) ||
        !counts_fit(p) || !partition_take_pieces(p, &c)) {
        return partition_bad_frame(p, "bad frame", p->frame_offset, err);
    }
    p->damaged_pages = mem_zalloc((p->page_count / 64 + (size_t)1) * sizeof(*p->damaged_pages));
    return ERR_OK;
}

static enum err_code find_frame(struct partition *p, struct err *err) {
    const uint64_t size = p->index.n;
    p->info.index_bytes = size;
    if (size < PARTITION_MAGIC_BYTES + PARTITION_TRAILER_BYTES) {
        return partition_bad_frame(p, "no trailer", 0, err);
    }
    const uint64_t end = size - PARTITION_TRAILER_BYTES;
    const uint8_t *trailer = p->index.bytes + end;
    const uint64_t offset = load_u64(trailer);
    const uint32_t frame_size = load_u32(trailer + 8);
    if (memcmp(trailer + 16, PARTITION_INDEX_MAGIC, PARTITION_MAGIC_BYTES) != 0 || offset > end ||
        frame_size != end - offset || frame_size > PARTITION_FRAME_BYTES_MAX) {
        return partition_bad_frame(p, "bad trailer", end, err);
    }
    if (hash_crc32c(0, p->index.bytes + offset, frame_size) != load_u32(trailer + 12)) {
        return partition_bad_frame(p, "wrong checksum of the frame", offset, err);
    }
    p->index_bytes = offset;
    p->frame_offset = offset;
    return parse_frame(p, p->index.bytes + offset, frame_size, err);
}

static enum err_code load_layouts(struct partition *p, struct err *err) {
    const uint64_t size = p->sections[SECTION_LAYOUTS].size;
    const uint8_t *bytes;
    struct arena arena;
    p->layouts = hist_layouts_new();
    enum err_code code = partition_bytes(p, SECTION_LAYOUTS, 0, size, &bytes, err);
    if (code != ERR_OK) {
        return code;
    }
    arena_init(&arena, HIST_LAYOUT_BYTES_MAX);
    struct cursor c = cursor_of(bytes, (size_t)size);
    for (uint32_t i = 1; i <= p->info.layout_count && code == ERR_OK; i++) {
        struct hist_layout layout;
        if (hist_layout_decode(&c, &arena, &layout) != ERR_OK ||
            hist_layouts_intern(p->layouts, &layout) != i) {
            code = partition_bad_index(p, SECTION_LAYOUTS, cursor_offset(&c), err);
        }
    }
    arena_release(&arena);
    return code;
}

static enum err_code open_index(struct partition *p, struct err *err) {
    struct vfs_file *f = NULL;
    uint64_t size = 0;
    enum err_code code = vfs_open(p->options.vfs, p->index_path, VFS_READ, &f, err);
    if (code != ERR_OK) {
        return code;
    }
    code = vfs_file_size(f, &size, err);
    code = code == ERR_OK ? vfs_view_open(f, (size_t)size, &p->index, err) : code;
    vfs_file_close(f);
    return code == ERR_OK ? find_frame(p, err) : code;
}

enum err_code partition_open(const struct partition_options *options, struct partition **out,
                             struct err *err) {
    struct partition *p = mem_zalloc(sizeof(*p));
    mutex_init(&p->unpack_mu);
    p->options = *options;
    p->options.dir = mem_strdup(options->dir);
    p->cache_owner = page_cache_owner(options->cache);
    p->index_path = path_of(options->dir, "index");
    p->data_path = path_of(options->dir, "data");
    enum err_code code = open_index(p, err);
    code = code == ERR_OK ? load_layouts(p, err) : code;
    code = code == ERR_OK ? vfs_open(p->options.vfs, p->data_path, VFS_READ, &p->data, err) : code;
    if (code != ERR_OK) {
        (void)err_wrap(err, "opening partition %s", p->options.dir);
        partition_close(p);
        return code;
    }
    *out = p;
    return ERR_OK;
}

void partition_close(struct partition *p) {
    if (p == NULL) {
        return;
    }
    page_cache_drop(p->options.cache, p->cache_owner);
    vfs_file_close(p->data);
    vfs_view_close(&p->index);
    hist_layouts_free(p->layouts);
    partition_release_pieces(p);
    mutex_release(&p->unpack_mu);
    mem_free((void *)p->damaged_pages);
    mem_free((void *)p->known_sets[PARTITION_TARGETS]);
    mem_free((void *)p->known_sets[PARTITION_METRICS]);
    mem_free(p->parents);
    mem_free(p->index_path);
    mem_free(p->data_path);
    mem_free((char *)(uintptr_t)p->options.dir);
    mem_free(p);
}

const struct partition_info *partition_info(const struct partition *p) {
    return &p->info;
}

enum err_code partition_layout(struct partition *p, uint32_t layout, const struct hist_layout **out,
                               struct err *err) {
    *out = hist_layouts_get(p->layouts, layout);
    return *out != NULL ? ERR_OK : partition_bad_index(p, SECTION_LAYOUTS, 0, err);
}
