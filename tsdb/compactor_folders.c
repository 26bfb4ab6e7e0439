/* The folders of partitions: names, and removing one with all that is in it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/number.h"
#include "tsdb/compactor_impl.h"

enum { NAME_DIGITS = 8 };

char *compactor_path(const char *dir, const char *name) {
    const size_t size = strlen(dir) + strlen(name) + 2;
    char *path = mem_alloc(size);
    (void)snprintf(path, size, "%s/%s", dir, name);
    return path;
}

char *compactor_folder(const struct compactor *c, uint32_t number, bool temporary) {
    char name[PARTITION_NAME_MAX];
    partition_name(name, number, temporary);
    return compactor_path(c->dir, name);
}

/* ---- folders ---- */

enum { FOLDER_FILES_MAX = 64 };

struct names {
    char *items[FOLDER_FILES_MAX];
    size_t count;
};

static bool note_name(void *ctx, const char *name) {
    struct names *names = ctx;
    if (names->count < FOLDER_FILES_MAX) {
        names->items[names->count++] = mem_strdup(name);
    }
    return names->count < FOLDER_FILES_MAX;
}

/* Removes a partition's folder with all its files. */
static enum err_code remove_folder(struct compactor *c, const char *path, struct err *err) {
    struct names names = {.count = 0};
    enum err_code code = vfs_list(c->vfs, path, note_name, &names, err);
    if (code == ERR_NOT_FOUND) {
        return ERR_OK;
    }
    for (size_t i = 0; i < names.count; i++) {
        if (code == ERR_OK) {
            char *file = compactor_path(path, names.items[i]);
            code = vfs_unlink(c->vfs, file, err);
            mem_free(file);
        }
        mem_free(names.items[i]);
    }
    return code == ERR_OK ? vfs_rmdir(c->vfs, path, err) : code;
}

/* What cannot be removed now is removed at the next opening. */
void compactor_remove_folder(struct compactor *c, uint32_t number, bool temporary) {
    struct err err;
    char *path = compactor_folder(c, number, temporary);
    if (remove_folder(c, path, &err) != ERR_OK) {
        log_warn(c->db->options.log, "tsdb", "a partition could not be removed",
                 log_text("folder", path), log_err(&err));
        c->has_garbage |= !temporary;
    }
    mem_free(path);
}

/* The number of a folder's name; 0 for other names. */
static uint32_t folder_number(const char *name, bool *out_temporary) {
    const size_t digits = strspn(name, "0123456789");
    uint64_t number = 0;
    *out_temporary = strcmp(name + digits, ".tmp") == 0;
    if (digits < NAME_DIGITS || (name[digits] != '\0' && !*out_temporary) ||
        number_parse_u64((struct str){name, digits}, &number) != NUMBER_OK ||
        number >= UINT32_MAX) {
        return 0;
    }
    return (uint32_t)number;
}

bool compactor_note_folder(void *ctx, const char *name) {
    struct compactor_folders *f = ctx;
    bool temporary;
    const uint32_t number = folder_number(name, &temporary);
    if (number != 0) {
        if (f->count == f->capacity) {
            f->capacity = mem_grow(f->capacity, f->count + 1);
            f->numbers = mem_resize(f->numbers, f->capacity, sizeof(*f->numbers));
            f->temporary = mem_resize(f->temporary, f->capacity, sizeof(*f->temporary));
        }
        f->numbers[f->count] = number;
        f->temporary[f->count++] = temporary;
    }
    return true;
}
