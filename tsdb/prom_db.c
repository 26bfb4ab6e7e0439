#include "tsdb/prom_db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tsdb/block_table.h"

enum { BLOCKS_MAX = 1 << 20 };

/* ---- finding blocks ---- */

struct finding {
    struct prom_db *db;
    size_t capacity;
    enum err_code code;
    struct err *err;
};

static bool take_entry(void *ctx, const char *name) {
    struct finding *f = ctx;
    struct prom_db *db = f->db;
    if (!prom_is_ulid(str_of(name))) {
        return true;
    }
    if (db->block_count == f->capacity) {
        f->capacity = mem_grow(f->capacity, f->capacity + 1);
        db->blocks = mem_resize(db->blocks, f->capacity, sizeof(*db->blocks));
    }
    struct prom_db_block *block = &db->blocks[db->block_count];
    const size_t size = strlen(db->path) + 1 + PROM_ULID_LENGTH + 1;
    *block = (struct prom_db_block){.dir = mem_alloc(size)};
    (void)snprintf(block->dir, size, "%s/%s", db->path, name);
    db->block_count++;
    f->code = prom_block_meta_read(db->vfs, block->dir, &block->meta, f->err);
    if (f->code != ERR_OK) {
        (void)err_wrap(f->err, "corrupted block %s", name);
    }
    return f->code == ERR_OK && db->block_count < BLOCKS_MAX;
}

static int by_time(const void *a, const void *b) {
    const struct prom_db_block *x = a;
    const struct prom_db_block *y = b;
    if (x->meta.mint != y->meta.mint) {
        return x->meta.mint < y->meta.mint ? -1 : 1;
    }
    return strcmp(x->meta.ulid, y->meta.ulid);
}

static bool is_parent(const struct prom_db *db, const char *ulid) {
    for (size_t i = 0; i < db->block_count; i++) {
        const struct prom_block_meta *meta = &db->blocks[i].meta;
        for (size_t k = 0; k < meta->parent_count; k++) {
            if (strcmp(meta->parents[k], ulid) == 0) {
                return true;
            }
        }
    }
    return false;
}

static void release_block(struct prom_db_block *block) {
    prom_block_meta_release(&block->meta);
    mem_free(block->dir);
}

/* A block that was merged into another is only waiting to be deleted. */
static void drop_parents(struct prom_db *db) {
    bool *replaced = mem_zalloc(db->block_count + 1);
    for (size_t i = 0; i < db->block_count; i++) {
        replaced[i] = is_parent(db, db->blocks[i].meta.ulid);
    }
    size_t kept = 0;
    for (size_t i = 0; i < db->block_count; i++) {
        if (replaced[i]) {
            release_block(&db->blocks[i]);
        } else {
            db->blocks[kept++] = db->blocks[i];
        }
    }
    db->block_count = kept;
    mem_free(replaced);
}

static int64_t min_valid_time(const struct prom_db *db) {
    int64_t newest = INT64_MIN;
    for (size_t i = 0; i < db->block_count; i++) {
        const struct prom_block_meta *meta = &db->blocks[i].meta;
        newest = !meta->out_of_order && meta->maxt > newest ? meta->maxt : newest;
    }
    return newest;
}

enum err_code prom_db_init(struct prom_db *db, struct vfs *vfs, const char *path, bool with_head,
                           struct log *log, struct err *err) {
    *db = (struct prom_db){.vfs = vfs, .path = mem_strdup(path)};
    struct finding f = {.db = db, .code = ERR_OK, .err = err};
    enum err_code code = vfs_list(vfs, path, take_entry, &f, err);
    if (code != ERR_OK) {
        return err_wrap(err, "opening the db dir");
    }
    if (f.code != ERR_OK) {
        return f.code;
    }
    drop_parents(db);
    if (db->block_count != 0) {
        qsort(db->blocks, db->block_count, sizeof(*db->blocks), by_time);
    }
    return with_head ? prom_head_open(vfs, path, min_valid_time(db), log, &db->head, err) : ERR_OK;
}

void prom_db_release(struct prom_db *db) {
    for (size_t i = 0; i < db->block_count; i++) {
        release_block(&db->blocks[i]);
    }
    mem_free(db->blocks);
    mem_free(db->path);
    prom_head_close(db->head);
    *db = (struct prom_db){0};
}

/* ---- list ---- */

static enum err_code fill_row(const struct prom_db *db, const struct prom_db_block *block,
                              struct block_table_row *row, struct err *err) {
    const struct prom_block_meta *meta = &block->meta;
    *row = (struct block_table_row){
        .start_ms = meta->mint,
        .end_ms = meta->maxt,
        .counts = {meta->sample_count, meta->chunk_count, meta->series_count},
    };
    (void)snprintf(row->name, sizeof(row->name), "%s", meta->ulid);
    return prom_block_size(db->vfs, block->dir, &row->size_bytes, err);
}

enum err_code prom_db_list(const struct prom_db *db, bool human, struct buf *to, struct err *err) {
    static const char *const titles[BLOCK_TABLE_COLUMNS] = {
        "BLOCK ULID",  "MIN TIME",   "MAX TIME",   "DURATION",
        "NUM SAMPLES", "NUM CHUNKS", "NUM SERIES", "SIZE"};
    struct block_table_row *rows = mem_array(db->block_count + 1, sizeof(*rows));
    enum err_code code = ERR_OK;
    for (size_t i = 0; code == ERR_OK && i < db->block_count; i++) {
        code = fill_row(db, &db->blocks[i], &rows[i], err);
    }
    if (code == ERR_OK) {
        block_table_print(titles, rows, db->block_count, human, to);
    }
    mem_free(rows);
    return code;
}
