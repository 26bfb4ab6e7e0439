/* Manifests on disk.
 *
 * INVARIANTS
 *   N1  A file has its name only when all of it is durable (temporary name, sync, rename).
 *   N2  Both files of a number are durable before a file of a number before goes. A loss of power
 *       between their renames leaves one: the number counts, and opening writes the other.
 *   N3  The manifest before the newest one stays, for the case that both files of that are damaged. */
#include "tsdb/manifest_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/number.h"
#include "tsdb/record_file.h"

#define MANIFEST_MAGIC "BRASAMAN"
#define MANIFEST_PREFIX "MANIFEST-"
#define COPY_SUFFIX ".copy"
#define TEMPORARY_SUFFIX ".tmp"

enum { RECORD_MANIFEST = 1, NAME_DIGITS = 8, NAME_BYTES = 48 };

/* ---- names ---- */

struct file_name {
    uint32_t number;
    int copy; /* 0 or 1 */
    bool temporary;
};

static void format_name(char *to, struct file_name name) {
    (void)snprintf(to, NAME_BYTES, MANIFEST_PREFIX "%0*" PRIu32 "%s%s", NAME_DIGITS, name.number,
                   name.copy != 0 ? COPY_SUFFIX : "", name.temporary ? TEMPORARY_SUFFIX : "");
}

static char *file_path(const char *dir, struct file_name name) {
    char text[NAME_BYTES];
    const size_t size = strlen(dir) + NAME_BYTES + 1;
    char *path = mem_alloc(size);
    format_name(text, name);
    (void)snprintf(path, size, "%s/%s", dir, text);
    return path;
}

/* False: not a name of a manifest. The last number is not one: none could follow. */
static bool parse_name(const char *text, struct file_name *out) {
    const size_t prefix = strlen(MANIFEST_PREFIX);
    char again[NAME_BYTES];
    uint64_t number = 0;
    if (strncmp(text, MANIFEST_PREFIX, prefix) != 0) {
        return false;
    }
    const size_t digits = strspn(text + prefix, "0123456789");
    const char *rest = text + prefix + digits;
    if (number_parse_u64((struct str){text + prefix, digits}, &number) != NUMBER_OK ||
        number == 0 || number >= UINT32_MAX) {
        return false;
    }
    out->number = (uint32_t)number;
    out->copy = strncmp(rest, COPY_SUFFIX, strlen(COPY_SUFFIX)) == 0;
    rest += out->copy != 0 ? strlen(COPY_SUFFIX) : 0;
    out->temporary = *rest != '\0';
    format_name(again, *out);
    return strcmp(text, again) == 0;
}

struct newest_two {
    uint32_t newest;
    uint32_t before;
};

static bool note_newest(void *ctx, const char *text) {
    struct newest_two *found = ctx;
    struct file_name name;
    if (!parse_name(text, &name) || name.temporary) {
        return true;
    }
    if (name.number > found->newest) {
        found->before = found->newest;
        found->newest = name.number;
    } else if (name.number > found->before && name.number != found->newest) {
        found->before = name.number;
    }
    return true;
}

/* ---- reading ---- */

static struct record_file_id id_of(struct file_name name) {
    return (struct record_file_id){MANIFEST_MAGIC, (uint32_t)name.copy, name.number};
}

static enum err_code check_file(const uint8_t *bytes, size_t n, struct file_name name,
                                struct manifest *out, struct err *err) {
    const struct record_file_id id = id_of(name);
    struct record_view record;
    enum err_code code = record_file_header_check(bytes, n, &id, err);
    if (code == ERR_OK) {
        code = record_check(bytes + RECORD_FILE_HEADER_BYTES, n - RECORD_FILE_HEADER_BYTES,
                            record_file_seed(&id), &record, err);
    }
    if (code == ERR_OK &&
        (record.type != RECORD_MANIFEST || record.number != 0 ||
         RECORD_FILE_HEADER_BYTES + RECORD_HEADER_BYTES + (size_t)record.size != n)) {
        code = err_set(err, ERR_CORRUPT, "not one record of a manifest");
    }
    return code == ERR_OK ? manifest_decode(record.payload, record.size, out, err) : code;
}

static enum err_code read_file(struct vfs *vfs, const char *dir, struct file_name name,
                               struct manifest *out, struct err *err) {
    char *path = file_path(dir, name);
    char *bytes = NULL;
    size_t n = 0;
    enum err_code code = vfs_read_file(vfs, path, MANIFEST_BYTES_MAX, &bytes, &n, err);
    if (code == ERR_LIMIT) {
        code = err_set(err, ERR_CORRUPT, "larger than a manifest can be");
    }
    if (code == ERR_OK) {
        code = check_file((const uint8_t *)bytes, n, name, out, err);
    }
    if (code != ERR_OK) {
        (void)err_wrap(err, "manifest %s", path);
    }
    mem_free(bytes);
    mem_free(path);
    return code;
}

static bool is_same(const struct manifest *a, const struct manifest *b) {
    struct buf x;
    struct buf y;
    buf_init(&x, MANIFEST_BYTES_MAX);
    buf_init(&y, MANIFEST_BYTES_MAX);
    manifest_encode(a, &x);
    manifest_encode(b, &y);
    const bool same = str_eq(buf_str(&x), buf_str(&y));
    buf_release(&x);
    buf_release(&y);
    return same;
}

/* Both files of a number. */
struct pair {
    struct manifest said[MANIFEST_FILES]; /* of those that are whole */
    struct err failure[MANIFEST_FILES];   /* ERR_OK: whole; ERR_NOT_FOUND: missing */
};

static void read_pair(struct vfs *vfs, const char *dir, uint32_t number, struct pair *out) {
    *out = (struct pair){0};
    for (int copy = 0; copy < MANIFEST_FILES; copy++) {
        const struct file_name name = {.number = number, .copy = copy};
        manifest_init(&out->said[copy]);
        if (read_file(vfs, dir, name, &out->said[copy], &out->failure[copy]) == ERR_OK) {
            out->failure[copy].code = ERR_OK;
        }
    }
    if (out->failure[0].code == ERR_OK && out->failure[1].code == ERR_OK &&
        !is_same(&out->said[0], &out->said[1])) {
        (void)err_set(&out->failure[1], ERR_CORRUPT,
                      "manifest %s/" MANIFEST_PREFIX "%0*" PRIu32 COPY_SUFFIX
                      ": it says something else than " MANIFEST_PREFIX "%0*" PRIu32,
                      dir, NAME_DIGITS, number, NAME_DIGITS, number);
    }
}

static void release_pair(struct pair *p) {
    for (int copy = 0; copy < MANIFEST_FILES; copy++) {
        manifest_release(&p->said[copy]);
    }
}

/* What the number says, from a file that is whole. ERR_CORRUPT: neither is. Any other error says that
 * nothing may be concluded. */
static enum err_code take(struct pair *p, struct manifest *out, struct err *err) {
    const struct err *worst = NULL;
    for (int copy = 0; copy < MANIFEST_FILES; copy++) {
        const struct err *failure = &p->failure[copy];
        if (failure->code == ERR_UNSUPPORTED) {
            *err = *failure;
            return ERR_UNSUPPORTED;
        }
        if (failure->code != ERR_OK && failure->code != ERR_NOT_FOUND &&
            (worst == NULL || worst->code == ERR_CORRUPT)) {
            worst = failure;
        }
    }
    for (int copy = 0; copy < MANIFEST_FILES; copy++) {
        if (p->failure[copy].code == ERR_OK) {
            *out = p->said[copy];
            manifest_init(&p->said[copy]);
            return ERR_OK;
        }
    }
    *err = worst != NULL ? *worst : p->failure[0];
    return err->code;
}

static enum err_code load_newest(struct vfs *vfs, const char *dir, struct manifest *out,
                                 struct manifest_found *found, struct err *err) {
    struct pair *pair = mem_zalloc(sizeof(*pair));
    read_pair(vfs, dir, found->number, pair);
    for (int copy = 0; copy < MANIFEST_FILES; copy++) {
        const struct err *failure = &pair->failure[copy];
        found->lacks[copy] = failure->code != ERR_OK;
        if (failure->code != ERR_OK && failure->code != ERR_NOT_FOUND &&
            found->damage.code == ERR_OK) {
            found->damage = *failure;
        }
    }
    const enum err_code code = take(pair, out, err);
    release_pair(pair);
    mem_free(pair);
    found->is_damaged = code == ERR_CORRUPT;
    return code;
}

static enum err_code load_before(struct vfs *vfs, const char *dir, uint32_t number,
                                 struct manifest *out, struct err *err) {
    struct pair *pair = mem_zalloc(sizeof(*pair));
    read_pair(vfs, dir, number, pair);
    const enum err_code code = take(pair, out, err);
    release_pair(pair);
    mem_free(pair);
    return code == ERR_CORRUPT ? ERR_OK : code;
}

enum err_code manifest_load(struct vfs *vfs, const char *dir, struct manifest *out,
                            struct manifest_found *found, struct err *err) {
    struct newest_two names = {0};
    struct err unused;
    err = err != NULL ? err : &unused;
    *found = (struct manifest_found){0};
    enum err_code code = vfs_list(vfs, dir, note_newest, &names, err);
    found->number = names.newest;
    found->is_alone = names.newest != 1 && (names.before == 0 || names.before + 1 != names.newest);
    if (code != ERR_OK || names.newest == 0) {
        return code;
    }
    code = load_newest(vfs, dir, out, found, err);
    if (code != ERR_CORRUPT) {
        return code;
    }
    return names.before != 0 ? load_before(vfs, dir, names.before, out, err) : ERR_OK;
}

/* ---- checking ---- */

struct numbers {
    uint32_t *items;
    size_t count;
    size_t capacity;
};

static bool note_number(void *ctx, const char *text) {
    struct numbers *all = ctx;
    struct file_name name;
    if (parse_name(text, &name) && !name.temporary) {
        if (all->count == all->capacity) {
            all->capacity = mem_grow(all->capacity, all->count + 1);
            all->items = mem_resize(all->items, all->capacity, sizeof(*all->items));
        }
        all->items[all->count++] = name.number;
    }
    return true;
}

static int number_order(const void *a, const void *b) {
    const uint32_t x = *(const uint32_t *)a;
    const uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

enum err_code manifest_verify(struct vfs *vfs, const char *dir, manifest_damage_fn *fn, void *ctx,
                              struct err *err) {
    struct numbers all = {.count = 0};
    struct pair *pair = mem_zalloc(sizeof(*pair));
    const enum err_code code = vfs_list(vfs, dir, note_number, &all, err);
    if (all.count != 0) {
        qsort(all.items, all.count, sizeof(*all.items), number_order);
    }
    for (size_t i = 0; i < all.count && code == ERR_OK; i++) {
        if (i != 0 && all.items[i] == all.items[i - 1]) {
            continue;
        }
        read_pair(vfs, dir, all.items[i], pair);
        for (int copy = 0; copy < MANIFEST_FILES; copy++) {
            const struct err *failure = &pair->failure[copy];
            if (failure->code != ERR_OK && failure->code != ERR_NOT_FOUND) {
                fn(ctx, failure);
            }
        }
        release_pair(pair);
    }
    mem_free(pair);
    mem_free(all.items);
    return code;
}

/* ---- writing ---- */

enum { OLD_FILES_MAX = 16 };

struct old_files {
    uint32_t before;
    struct file_name names[OLD_FILES_MAX]; /* more are left for the next time */
    size_t count;
};

static bool note_old(void *ctx, const char *text) {
    struct old_files *old = ctx;
    struct file_name name;
    if (parse_name(text, &name) && name.number < old->before) {
        old->names[old->count++] = name;
    }
    return old->count < OLD_FILES_MAX;
}

static void remove_file(struct vfs *vfs, const char *dir, struct file_name name) {
    char *path = file_path(dir, name);
    (void)!vfs_unlink(vfs, path, NULL); /* the next store tries again */
    mem_free(path);
}

static void remove_old(struct vfs *vfs, const char *dir, uint32_t before) {
    struct old_files old = {.before = before};
    if (vfs_list(vfs, dir, note_old, &old, NULL) != ERR_OK) {
        return;
    }
    for (size_t i = 0; i < old.count; i++) {
        remove_file(vfs, dir, old.names[i]);
    }
}

static enum err_code frame(const struct manifest *m, struct file_name name, struct buf *to,
                           struct err *err) {
    const struct record_file_id id = id_of(name);
    enum { FRAME_BYTES = RECORD_FILE_HEADER_BYTES + RECORD_HEADER_BYTES };
    char *front = buf_reserve(to, FRAME_BYTES);
    ASSERT(front != NULL);
    memset(front, 0, FRAME_BYTES);
    to->len += FRAME_BYTES;
    manifest_encode(m, to);
    if (!buf_ok(to)) {
        return err_set(err, ERR_LIMIT, "a manifest of %zu partitions is too large",
                       m->partition_count);
    }
    uint8_t *bytes = (uint8_t *)to->ptr;
    record_file_header(bytes, &id);
    record_write(bytes + RECORD_FILE_HEADER_BYTES, record_file_seed(&id), RECORD_MANIFEST, 0,
                 bytes + FRAME_BYTES, (uint32_t)(to->len - FRAME_BYTES));
    return ERR_OK;
}

/* All of the file, durable, under its temporary name. */
static enum err_code write_temporary(struct vfs *vfs, const char *dir, const struct manifest *m,
                                     struct file_name name, struct err *err) {
    struct vfs_file *f = NULL;
    struct buf bytes;
    buf_init(&bytes, MANIFEST_BYTES_MAX);
    char *path = file_path(dir, (struct file_name){name.number, name.copy, true});
    enum err_code code = frame(m, name, &bytes, err);
    code =
        code != ERR_OK ? code : vfs_open(vfs, path, VFS_WRITE | VFS_CREATE | VFS_TRUNCATE, &f, err);
    code = code != ERR_OK ? code : vfs_file_pwrite(f, bytes.ptr, bytes.len, 0, err);
    code = code != ERR_OK ? code : vfs_file_sync(f, err);
    vfs_file_close(f);
    mem_free(path);
    buf_release(&bytes);
    return code;
}

static enum err_code give_name(struct vfs *vfs, const char *dir, struct file_name name,
                               struct err *err) {
    char *from = file_path(dir, (struct file_name){name.number, name.copy, true});
    char *to = file_path(dir, name);
    const enum err_code code = vfs_rename(vfs, from, to, err);
    mem_free(from);
    mem_free(to);
    return code;
}

enum err_code manifest_store(struct vfs *vfs, const char *dir, const struct manifest *m,
                             uint32_t number, bool *out_in_doubt, struct err *err) {
    enum err_code code = ERR_OK;
    *out_in_doubt = false;
    if (number == UINT32_MAX) {
        return err_set(err, ERR_NO_SPACE, "no number is left for a manifest in %s", dir);
    }
    for (int copy = 0; copy < MANIFEST_FILES && code == ERR_OK; copy++) { /* N1 */
        code = write_temporary(vfs, dir, m, (struct file_name){number, copy, false}, err);
    }
    for (int copy = 0; copy < MANIFEST_FILES && code == ERR_OK; copy++) {
        *out_in_doubt = true;
        code = give_name(vfs, dir, (struct file_name){number, copy, false}, err);
    }
    code = code != ERR_OK ? code : vfs_sync_dir(vfs, dir, err);
    if (code == ERR_OK) {
        *out_in_doubt = false;
        remove_old(vfs, dir, number - 1); /* N2, N3 */
        return ERR_OK;
    }
    for (int copy = 0; copy < MANIFEST_FILES; copy++) {
        remove_file(vfs, dir, (struct file_name){number, copy, true});
    }
    return err_wrap(err, "writing manifest %s/" MANIFEST_PREFIX "%0*" PRIu32, dir, NAME_DIGITS,
                    number);
}

enum err_code manifest_repair(struct vfs *vfs, const char *dir, const struct manifest *m,
                              const struct manifest_found *found, struct err *err) {
    enum err_code code = ERR_OK;
    for (int copy = 0; copy < MANIFEST_FILES && code == ERR_OK; copy++) {
        const struct file_name name = {.number = found->number, .copy = copy};
        if (found->lacks[copy]) {
            code = write_temporary(vfs, dir, m, name, err);
            code = code != ERR_OK ? code : give_name(vfs, dir, name, err);
            code = code != ERR_OK ? code : vfs_sync_dir(vfs, dir, err);
        }
    }
    return code;
}
