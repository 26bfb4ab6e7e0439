#include "query/active_file.h"

#include <string.h>

#include "base/buf.h"
#include "base/json_out.h"
#include "base/mem.h"
#include "base/mutex.h"

struct active_file {
    struct vfs_file *file;
    struct mutex mu;
    uint32_t slot_count;
    /* under mu */
    bool *used;
    bool failed; /* a write failed: reported once, then left alone */
    struct log *log;
};

/* ---- what the last run left ---- */

/* The file without its padding, as one JSON array; empty when no query was running. */
static struct str left_behind(char *text, size_t len) {
    size_t to = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] != '\0') {
            text[to++] = text[i];
        }
    }
    if (to > 0 && text[to - 1] == ',') {
        to--;
    }
    return to > 1 && text[0] == '[' ? str_sub((struct str){text, to}, 1, to - 1) : STR("");
}

static void report_left_behind(struct vfs *vfs, const char *path, struct log *log) {
    char *text = NULL;
    size_t len = 0;
    struct err err;
    if (vfs_read_file(vfs, path, (size_t)ACTIVE_SLOTS_MAX * ACTIVE_SLOT_BYTES + 2, &text, &len,
                      &err) != ERR_OK) {
        return; /* the first start */
    }
    const struct str queries = left_behind(text, len);
    if (queries.len > 0) {
        struct buf list;
        buf_init(&list, queries.len + 2);
        buf_append_char(&list, '[');
        buf_append_str(&list, queries);
        buf_append_char(&list, ']');
        log_warn(log, "query", "These queries didn't finish in the last run:",
                 log_str("queries", buf_str(&list)));
        buf_release(&list);
    }
    mem_free(text);
}

/* ---- life ---- */

static enum err_code start_anew(struct vfs *vfs, const char *path, uint32_t slots,
                                struct vfs_file **out, struct err *err) {
    enum err_code code = vfs_open(vfs, path, VFS_WRITE | VFS_CREATE | VFS_TRUNCATE, out, err);
    if (code != ERR_OK) {
        return code;
    }
    code = vfs_file_pwrite(*out, "[", 1, 0, err);
    if (code == ERR_OK) {
        code = vfs_file_truncate(*out, 1 + (uint64_t)slots * ACTIVE_SLOT_BYTES, err);
    }
    if (code != ERR_OK) {
        vfs_file_close(*out);
    }
    return code;
}

enum err_code active_file_open(struct vfs *vfs, const char *path, uint32_t slots, struct log *log,
                               struct active_file **out, struct err *err) {
    slots = slots == 0 || slots > ACTIVE_SLOTS_MAX ? ACTIVE_SLOTS_MAX : slots;
    report_left_behind(vfs, path, log);
    struct vfs_file *file = NULL;
    const enum err_code code = start_anew(vfs, path, slots, &file, err);
    if (code != ERR_OK) {
        return err_wrap(err, "starting the list of running queries %s", path);
    }
    struct active_file *a = mem_zalloc(sizeof(*a));
    a->file = file;
    a->slot_count = slots;
    a->used = mem_zalloc(slots * sizeof(*a->used));
    a->log = log;
    mutex_init(&a->mu);
    *out = a;
    return ERR_OK;
}

void active_file_close(struct active_file *file) {
    if (file == NULL) {
        return;
    }
    struct err err;
    if (vfs_file_truncate(file->file, 1, &err) != ERR_OK) {
        log_warn(file->log, "query", "the list of running queries stays", log_err(&err));
    }
    vfs_file_close(file->file);
    mutex_release(&file->mu);
    mem_free(file->used);
    mem_free(file);
}

/* ---- slots ---- */

/* As much of text, in whole characters, as a slot holds. */
static void make_entry(struct str text, int64_t unix_s, char entry[ACTIVE_SLOT_BYTES]) {
    struct buf to;
    buf_init(&to, 16 * ACTIVE_SLOT_BYTES);
    size_t len = text.len < ACTIVE_SLOT_BYTES ? text.len : ACTIVE_SLOT_BYTES;
    for (;;) {
        while (len > 0 && len < text.len && ((unsigned char)text.ptr[len] & 0xc0) == 0x80) {
            len--;
        }
        struct json_out j;
        buf_clear(&to);
        json_out_init(&j, &to);
        json_object_begin(&j);
        json_key(&j, "query");
        json_str(&j, str_sub(text, 0, len));
        json_key(&j, "timestamp_sec");
        json_i64(&j, unix_s);
        json_object_end(&j);
        if (to.len < ACTIVE_SLOT_BYTES) {
            break;
        }
        /* a byte of text is one to six of JSON */
        const size_t over = to.len - (ACTIVE_SLOT_BYTES - 1);
        len -= over / 6 + 1;
    }
    const size_t n = to.len;
    memcpy(entry, to.ptr, n);
    memset(entry + n, 0, ACTIVE_SLOT_BYTES - n);
    entry[ACTIVE_SLOT_BYTES - 1] = ',';
    buf_release(&to);
}

static void write_slot_locked(struct active_file *file, uint32_t slot,
                              const char entry[ACTIVE_SLOT_BYTES]) REQUIRES(file->mu) {
    struct err err;
    if (!file->failed && vfs_file_pwrite(file->file, entry, ACTIVE_SLOT_BYTES,
                                         1 + (uint64_t)slot * ACTIVE_SLOT_BYTES, &err) != ERR_OK) {
        file->failed = true;
        log_warn(file->log, "query", "the list of running queries is not written any more",
                 log_err(&err));
    }
}

int active_file_begin(struct active_file *file, struct str text, int64_t unix_s) {
    if (file == NULL) {
        return -1;
    }
    char entry[ACTIVE_SLOT_BYTES];
    make_entry(text, unix_s, entry);
    mutex_lock(&file->mu);
    uint32_t slot = 0;
    while (slot < file->slot_count && file->used[slot]) {
        slot++;
    }
    if (slot < file->slot_count) {
        file->used[slot] = true;
        write_slot_locked(file, slot, entry);
    }
    mutex_unlock(&file->mu);
    return slot < file->slot_count ? (int)slot : -1;
}

void active_file_end(struct active_file *file, int slot) {
    if (slot < 0) {
        return;
    }
    static const char NOTHING[ACTIVE_SLOT_BYTES];
    mutex_lock(&file->mu);
    write_slot_locked(file, (uint32_t)slot, NOTHING);
    file->used[slot] = false;
    mutex_unlock(&file->mu);
}
