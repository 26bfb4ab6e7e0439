/* Write-ahead log: writing, syncing, reading back; wal_open.c opens.
 *
 * FORMAT. Record files (record_file.c) with magic "BRASAWAL". Space is taken ahead in steps, so a
 * segment that is being written ends in zeros; one that is finished does not.
 *
 * INVARIANTS
 *   W1  Bytes before a segment's end are whole records; bytes behind it are garbage or zeros.
 *   W2  Numbers of segments only grow while the log is open; a number is used once.
 *   W3  After WAL_FAILED no byte is written to, and no sync done on, a file that existed then.
 *   W4  An old segment is unlinked only when all that is needed of it is durable elsewhere.
 *   W5  What an earlier process unlinked cannot come back: opening syncs the folder before anything
 *       is written. A failed rotation that came back would hold rows whose numbers were given again.
 *
 * STATES
 *   WAL_OK --failed write, sync, allocate: fail()--> WAL_FAILED
 *   WAL_FAILED --wal_rotate_after_failure--> WAL_OK
 *
 * CONCURRENCY. The writer owns struct tail without a lock. mu guards the list of segments, their
 * sizes and references, state and counters; it is never held over a write or a sync. A sync works
 * on references to the segments that it found, so the writer may cut and drop them meanwhile; when
 * a rotation came between, the epoch tells that the old file's failure is no news.
 *
 * RECOVERY. The newest segment may end in a torn write: it is cut off. Appending never goes on in
 * an old file; a restart costs one segment. What is unreadable elsewhere is damage.
 *
 * WHY NOT reuse old segments: their old records would have to be told from new ones, and a fresh
 * inode is what a failed sync asks for anyway. */
#include "tsdb/wal.h"

#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/mem.h"
#include "tsdb/wal_impl.h"

enum {
    BUFFER_KEEP_BYTES = 4 << 20,
    FIRST_READ_BYTES = 1024, /* wal_read: most records fit */
};

/* ---- segments ---- */

struct wal_segment *wal_segment_new(const struct wal *wal, uint32_t number) {
    const struct record_file_id id = {WAL_MAGIC, wal->shard, number};
    struct wal_segment *s = mem_zalloc(sizeof(*s));
    s->number = number;
    s->seed = record_file_seed(&id);
    s->path = record_file_path(wal->dir, number);
    s->refs = 1;
    return s;
}

void wal_segment_free(struct wal_segment *s) {
    vfs_file_close(s->f);
    mem_free(s->path);
    mem_free(s);
}

static void segment_unref_locked(struct wal *wal, struct wal_segment *s) REQUIRES(&wal->mu) {
    (void)wal;
    if (--s->refs == 0) {
        wal_segment_free(s);
    }
}

void wal_enlist_locked(struct wal *wal, struct wal_segment *s) {
    if (wal->segment_count == wal->segment_capacity) {
        wal->segment_capacity = mem_grow(wal->segment_capacity, wal->segment_count + 1);
        wal->segments = mem_resize(wal->segments, wal->segment_capacity, sizeof(*wal->segments));
    }
    wal->segments[wal->segment_count++] = s;
}

static struct wal_segment *list_find_locked(const struct wal *wal, uint32_t number)
    REQUIRES(&wal->mu) {
    for (size_t i = wal->segment_count; i-- > 0;) {
        if (wal->segments[i]->number == number) {
            return wal->segments[i];
        }
    }
    return NULL;
}

/* ---- writing to a tail ---- */

/* Makes the file of a new segment; it is not on the list yet. */
static enum err_code tail_begin(struct wal *wal, struct tail *tail, struct err *err) {
    uint32_t number = 0;
    mutex_lock(&wal->mu);
    enum err_code code = record_file_take_number(&wal->next_segment, wal->dir, &number, err);
    mutex_unlock(&wal->mu);
    if (code != ERR_OK) {
        return code;
    }
    struct wal_segment *s = wal_segment_new(wal, number);
    const struct record_file_id id = {WAL_MAGIC, wal->shard, s->number};
    uint8_t header[RECORD_FILE_HEADER_BYTES];
    code = vfs_open(wal->vfs, s->path, VFS_WRITE | VFS_CREATE | VFS_EXCLUSIVE, &s->f, err);
    if (code == ERR_OK) {
        record_file_header(header, &id);
        code = vfs_file_pwrite(s->f, header, sizeof(header), 0, err);
        if (code != ERR_OK) {
            (void)!vfs_unlink(wal->vfs, s->path, NULL);
        }
    }
    if (code != ERR_OK) {
        (void)err_wrap(err, "beginning WAL segment %s", s->path);
        wal_segment_free(s);
        return code;
    }
    s->size = sizeof(header);
    *tail = (struct tail){.segment = s, .end = sizeof(header), .allocated = sizeof(header)};
    return ERR_OK;
}

/* Space for bytes more. A full disk shows here, before anything is half-written. */
static enum err_code tail_allocate(struct wal *wal, struct tail *tail, size_t bytes,
                                   struct err *err) {
    const uint64_t need = tail->end + bytes;
    if (need <= tail->allocated || wal->cannot_allocate) {
        return ERR_OK;
    }
    const uint64_t step = wal->allocate_bytes;
    uint64_t want = (need + step - 1) / step * step;
    if (want > wal->segment_bytes && need <= wal->segment_bytes) {
        want = wal->segment_bytes;
    }
    const enum err_code code = vfs_file_allocate(tail->segment->f, want, err);
    if (code == ERR_OK) {
        tail->allocated = want;
    } else if (code != ERR_NO_SPACE) {
        wal->cannot_allocate = true; /* writes then take space themselves */
        return ERR_OK;
    }
    return code;
}

static bool tail_fits(const struct wal *wal, const struct tail *tail, size_t bytes) {
    return tail->segment != NULL &&
           (tail->end + bytes <= wal->segment_bytes || tail->end == RECORD_FILE_HEADER_BYTES);
}

/* Gives space taken ahead back. Not needed for correctness. */
static void tail_trim(const struct tail *tail) {
    if (tail->segment != NULL && tail->allocated > tail->end) {
        (void)!vfs_file_truncate(tail->segment->f, tail->end, NULL);
    }
}

/* The records in wal->buffer, and their places. */
static size_t frame_records(struct wal *wal, const struct tail *tail,
                            const struct wal_payload *payloads, size_t count,
                            struct wal_position *out_at) {
    uint8_t *to = wal->buffer;
    for (size_t i = 0; i < count; i++) {
        if (out_at != NULL) {
            out_at[i].segment = tail->segment->number;
            out_at[i].offset = (uint32_t)(tail->end + (uint64_t)(to - wal->buffer));
        }
        to = record_write(to, tail->segment->seed, payloads[i].type, tail->next + (uint32_t)i,
                          payloads[i].bytes, (uint32_t)payloads[i].size);
    }
    return (size_t)(to - wal->buffer);
}

static enum err_code batch_bytes(const struct wal_payload *payloads, size_t count, size_t *out,
                                 struct err *err) {
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        ASSERT(payloads[i].type != 0);
        if (payloads[i].size > WAL_RECORD_MAX ||
            bytes > WAL_SEGMENT_BYTES_MAX - RECORD_HEADER_BYTES - payloads[i].size) {
            return err_set(err, ERR_LIMIT, "WAL record of %zu bytes is too large",
                           payloads[i].size);
        }
        bytes += RECORD_HEADER_BYTES + payloads[i].size;
    }
    *out = bytes;
    return ERR_OK;
}

/* Writes the batch behind the tail, which has a segment. The tail moves only on success. */
static enum err_code tail_write(struct wal *wal, struct tail *tail,
                                const struct wal_payload *payloads, size_t count, size_t bytes,
                                struct wal_position *out_at, struct err *err) {
    enum err_code code = tail_allocate(wal, tail, bytes, err);
    if (code == ERR_OK) {
        if (bytes > wal->buffer_capacity) {
            wal->buffer_capacity = mem_grow(wal->buffer_capacity, bytes);
            wal->buffer = mem_resize(wal->buffer, wal->buffer_capacity, 1);
        }
        const size_t framed = frame_records(wal, tail, payloads, count, out_at);
        ASSERT(framed == bytes);
        code = vfs_file_pwrite(tail->segment->f, wal->buffer, bytes, tail->end, err);
        if (wal->buffer_capacity > BUFFER_KEEP_BYTES) {
            mem_free(wal->buffer);
            wal->buffer = NULL;
            wal->buffer_capacity = 0;
        }
    }
    if (code != ERR_OK) {
        return err_wrap(err, "writing WAL segment %s at offset %" PRIu64, tail->segment->path,
                        tail->end);
    }
    tail->end += bytes;
    tail->next += (uint32_t)count;
    return ERR_OK;
}

/* ---- appending ---- */

static void fail_locked(struct wal *wal) REQUIRES(&wal->mu) {
    wal->state = WAL_FAILED;
    for (size_t i = 0; i < wal->segment_count; i++) {
        wal->segments[i]->dead = true;
    }
}

static void fail_write(struct wal *wal) {
    mutex_lock(&wal->mu);
    fail_locked(wal);
    wal->stats.writes_failed++;
    mutex_unlock(&wal->mu);
}

static enum err_code unavailable(const struct wal *wal, struct err *err) {
    return err_set(err, ERR_UNAVAILABLE, "WAL %s is out of use after a failed write or sync",
                   wal->dir);
}

/* A segment with room for bytes is behind wal->tail. */
static enum err_code prepare_tail(struct wal *wal, size_t bytes, struct err *err) {
    if (tail_fits(wal, &wal->tail, bytes)) {
        return ERR_OK;
    }
    wal_cut(wal);
    const enum err_code code = tail_begin(wal, &wal->tail, err);
    if (code != ERR_OK) {
        return code;
    }
    mutex_lock(&wal->mu);
    wal_enlist_locked(wal, wal->tail.segment);
    mutex_unlock(&wal->mu);
    return ERR_OK;
}

enum err_code wal_append_batch(struct wal *wal, const struct wal_payload *payloads, size_t count,
                               struct wal_position *out_at, struct err *err) {
    size_t bytes = 0;
    if (count == 0) {
        return ERR_OK;
    }
    if (wal_state_get(wal) != WAL_OK) {
        return unavailable(wal, err);
    }
    enum err_code code = batch_bytes(payloads, count, &bytes, err);
    if (code != ERR_OK) {
        return code;
    }
    code = prepare_tail(wal, bytes, err);
    if (code == ERR_OK) {
        code = tail_write(wal, &wal->tail, payloads, count, bytes, out_at, err);
    }
    if (code != ERR_OK) {
        fail_write(wal);
        return code;
    }

    mutex_lock(&wal->mu);
    const bool failed = wal->state != WAL_OK; /* a sync failed meanwhile */
    wal->tail.segment->size = wal->tail.end;
    wal->appended_sequence = (uint64_t)wal->tail.segment->number << 32 | (wal->tail.next - 1);
    wal->stats.appended_records += count;
    wal->stats.appended_bytes += bytes;
    mutex_unlock(&wal->mu);
    return failed ? unavailable(wal, err) : ERR_OK;
}

enum err_code wal_append(struct wal *wal, struct wal_payload payload, struct wal_position *out_at,
                         struct err *err) {
    return wal_append_batch(wal, &payload, 1, out_at, err);
}

void wal_cut(struct wal *wal) {
    if (wal_state_get(wal) == WAL_OK) { /* W3 */
        tail_trim(&wal->tail);
    }
    wal->tail = (struct tail){0};
}

uint32_t wal_current_segment(const struct wal *wal) {
    return wal->tail.segment != NULL ? wal->tail.segment->number : wal->next_segment;
}

uint32_t wal_oldest_segment(struct wal *wal) {
    mutex_lock(&wal->mu);
    uint32_t oldest = wal->next_segment;
    for (size_t i = 0; i < wal->segment_count; i++) {
        oldest = wal->segments[i]->number < oldest ? wal->segments[i]->number : oldest;
    }
    mutex_unlock(&wal->mu);
    return oldest;
}

/* ---- syncing ---- */

static bool needs_sync(const struct wal_segment *s) {
    return !s->dead && (s->synced_size < s->size || !s->name_synced);
}

/* The next segment to sync, referenced; NULL when all are. A segment that the writer went on with
 * is not taken twice: below is the number it must be above. */
static struct wal_segment *take_unsynced(struct wal *wal, uint32_t above, uint64_t *out_size,
                                         bool *out_name_synced) {
    struct wal_segment *found = NULL;
    mutex_lock(&wal->mu);
    for (size_t i = 0; i < wal->segment_count && found == NULL; i++) {
        struct wal_segment *s = wal->segments[i];
        if (s->number > above && needs_sync(s)) {
            s->refs++;
            *out_size = s->size;
            *out_name_synced = s->name_synced;
            found = s;
        }
    }
    mutex_unlock(&wal->mu);
    return found;
}

static enum err_code sync_segment(struct wal *wal, struct wal_segment *s, bool name_synced,
                                  struct err *err) {
    enum err_code code = ERR_OK;
    if (!name_synced) {
        code = vfs_sync_dir(wal->vfs, wal->dir, err);
    }
    if (code == ERR_OK) {
        code = vfs_file_sync(s->f, err);
    }
    return code == ERR_OK ? code : err_wrap(err, "syncing WAL segment %s", s->path);
}

enum err_code wal_sync(struct wal *wal, struct err *err) {
    mutex_lock(&wal->mu);
    const uint64_t epoch = wal->epoch;
    const uint64_t sequence = wal->appended_sequence;
    const bool failed = wal->state != WAL_OK;
    mutex_unlock(&wal->mu);
    if (failed) {
        return unavailable(wal, err);
    }

    enum err_code code = ERR_OK;
    uint32_t above = 0;
    uint64_t size = 0;
    bool name_synced = false;
    struct wal_segment *s = NULL;
    while (code == ERR_OK && (s = take_unsynced(wal, above, &size, &name_synced)) != NULL) {
        above = s->number;
        code = sync_segment(wal, s, name_synced, err);
        mutex_lock(&wal->mu);
        wal->stats.syncs++;
        if (code == ERR_OK) {
            s->synced_size = size;
            s->name_synced = true;
        } else if (wal->epoch == epoch) {
            wal->stats.syncs_failed++;
            fail_locked(wal);
        } else {
            code = ERR_OK; /* all of it was rewritten and synced by the rotation */
        }
        segment_unref_locked(wal, s);
        mutex_unlock(&wal->mu);
    }
    if (code != ERR_OK) {
        return code;
    }
    mutex_lock(&wal->mu);
    const bool failed_meanwhile = wal->state != WAL_OK && wal->epoch == epoch;
    if (!failed_meanwhile && wal->stats.synced_sequence < sequence) {
        wal->stats.synced_sequence = sequence;
    }
    mutex_unlock(&wal->mu);
    return failed_meanwhile ? unavailable(wal, err) : ERR_OK;
}

/* ---- dropping ---- */

static enum err_code drop_segment(struct wal *wal, size_t index, struct err *err) {
    mutex_lock(&wal->mu);
    struct wal_segment *s = wal->segments[index];
    mutex_unlock(&wal->mu);
    enum err_code code = vfs_unlink(wal->vfs, s->path, err);
    if (code != ERR_OK && code != ERR_NOT_FOUND) {
        return err_wrap(err, "removing WAL segment %s", s->path);
    }
    mutex_lock(&wal->mu);
    wal->segment_count--;
    memmove(&wal->segments[index], &wal->segments[index + 1],
            (wal->segment_count - index) * sizeof(*wal->segments));
    s->dead = true;
    segment_unref_locked(wal, s);
    mutex_unlock(&wal->mu);
    return ERR_OK;
}

enum err_code wal_sync_removals(struct wal *wal, struct err *err) {
    const enum err_code code = vfs_sync_dir(wal->vfs, wal->dir, err);
    return code == ERR_OK ? code : err_wrap(err, "syncing the folder of the WAL %s", wal->dir);
}

enum err_code wal_drop_before(struct wal *wal, uint32_t first_needed, struct err *err) {
    enum err_code result = ERR_OK;
    /* Only the writer changes the list: it may look at it without the lock. */
    for (size_t i = 0; i < wal->segment_count;) {
        const struct wal_segment *s = wal->segments[i];
        if (s->number >= first_needed || s == wal->tail.segment) {
            break;
        }
        const enum err_code code = drop_segment(wal, i, result == ERR_OK ? err : NULL);
        if (code != ERR_OK) {
            result = code;
            i++;
        }
    }
    return result;
}

/* ---- reading back ---- */

enum err_code wal_read(struct wal *wal, struct wal_position at, uint8_t **io_bytes,
                       size_t *io_capacity, struct wal_record *record, struct err *err) {
    mutex_lock(&wal->mu);
    struct wal_segment *s = list_find_locked(wal, at.segment);
    if (s != NULL) {
        s->refs++;
    }
    mutex_unlock(&wal->mu);
    if (s == NULL) {
        return err_set(err, ERR_NOT_FOUND, "WAL segment %" PRIu32 " of %s is gone", at.segment,
                       wal->dir);
    }

    struct record_view view = {0};
    enum err_code code = ERR_OK;
    size_t want = FIRST_READ_BYTES;
    for (int attempt = 0; attempt < 2; attempt++) {
        size_t got = 0;
        if (*io_capacity < want) {
            *io_bytes = mem_resize(*io_bytes, want, 1);
            *io_capacity = want;
        }
        code = vfs_file_pread(s->f, *io_bytes, want, at.offset, &got, err);
        if (code != ERR_OK) {
            break;
        }
        const size_t whole =
            got < RECORD_HEADER_BYTES ? 0 : RECORD_HEADER_BYTES + (load_u32(*io_bytes) >> 8);
        if (attempt == 0 && got == want && whole > want) {
            want = whole;
            continue;
        }
        code = record_check(*io_bytes, got, s->seed, &view, err);
        break;
    }
    if (code != ERR_OK) {
        (void)err_wrap(err, "reading WAL segment %s at offset %" PRIu32, s->path, at.offset);
    } else {
        *record = (struct wal_record){.type = view.type,
                                      .size = view.size,
                                      .payload = view.payload,
                                      .sequence = (uint64_t)at.segment << 32 | view.number,
                                      .at = at};
    }
    mutex_lock(&wal->mu);
    segment_unref_locked(wal, s);
    mutex_unlock(&wal->mu);
    return code;
}

/* ---- rotating after a failure ---- */

struct wal_rewriter {
    struct wal *wal;
    struct tail tail;
    struct wal_segment **fresh;
    size_t fresh_count;
    size_t fresh_capacity;
    uint64_t records;
    uint64_t bytes;
};

static enum err_code rewriter_begin(struct wal_rewriter *to, struct err *err) {
    tail_trim(&to->tail);
    to->tail = (struct tail){0};
    const enum err_code code = tail_begin(to->wal, &to->tail, err);
    if (code != ERR_OK) {
        return code;
    }
    if (to->fresh_count == to->fresh_capacity) {
        to->fresh_capacity = mem_grow(to->fresh_capacity, to->fresh_count + 1);
        to->fresh = mem_resize(to->fresh, to->fresh_capacity, sizeof(struct wal_segment *));
    }
    to->fresh[to->fresh_count++] = to->tail.segment;
    return ERR_OK;
}

enum err_code wal_rewrite(struct wal_rewriter *to, struct wal_payload payload,
                          struct wal_position *out_at, struct err *err) {
    size_t bytes = 0;
    enum err_code code = batch_bytes(&payload, 1, &bytes, err);
    if (code == ERR_OK && !tail_fits(to->wal, &to->tail, bytes)) {
        code = rewriter_begin(to, err);
    }
    if (code == ERR_OK) {
        code = tail_write(to->wal, &to->tail, &payload, 1, bytes, out_at, err);
    }
    if (code == ERR_OK) {
        to->tail.segment->size = to->tail.end;
        to->records++;
        to->bytes += bytes;
    }
    return code;
}

/* All files exist by now: one sync of the folder makes all their names durable. */
static enum err_code rewriter_sync(struct wal_rewriter *to, struct err *err) {
    for (size_t i = 0; i < to->fresh_count; i++) {
        const enum err_code code = sync_segment(to->wal, to->fresh[i], i > 0, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

static void rewriter_give_up(struct wal_rewriter *to) {
    for (size_t i = 0; i < to->fresh_count; i++) {
        (void)!vfs_unlink(to->wal->vfs, to->fresh[i]->path, NULL);
        wal_segment_free(to->fresh[i]);
    }
}

static void rewriter_publish(struct wal_rewriter *to) {
    struct wal *wal = to->wal;
    wal->tail = to->tail;
    mutex_lock(&wal->mu);
    for (size_t i = 0; i < to->fresh_count; i++) {
        to->fresh[i]->synced_size = to->fresh[i]->size;
        to->fresh[i]->name_synced = true;
        wal_enlist_locked(wal, to->fresh[i]);
    }
    if (to->tail.segment != NULL) {
        wal->appended_sequence = (uint64_t)to->tail.segment->number << 32 | (to->tail.next - 1);
        wal->stats.synced_sequence = wal->appended_sequence;
    }
    wal->stats.appended_records += to->records;
    wal->stats.appended_bytes += to->bytes;
    wal->state = WAL_OK;
    wal->epoch++;
    mutex_unlock(&wal->mu);
}

enum err_code wal_rotate_after_failure(struct wal *wal, wal_rewrite_fn *rewrite, void *ctx,
                                       struct err *err) {
    if (wal_state_get(wal) == WAL_OK) {
        return ERR_OK;
    }
    struct wal_rewriter to = {.wal = wal};
    wal->tail = (struct tail){0};
    enum err_code code = rewrite(ctx, &to, err);
    if (code == ERR_OK) {
        code = rewriter_sync(&to, err);
    }
    if (code != ERR_OK) {
        rewriter_give_up(&to);
        mutex_lock(&wal->mu);
        wal->stats.writes_failed++;
        mutex_unlock(&wal->mu);
    } else {
        rewriter_publish(&to);
    }
    mem_free(to.fresh);
    return code;
}

/* ---- state, closing ---- */

enum wal_state wal_state_get(struct wal *wal) {
    mutex_lock(&wal->mu);
    const enum wal_state state = wal->state;
    mutex_unlock(&wal->mu);
    return state;
}

void wal_stats_get(struct wal *wal, struct wal_stats *out) {
    mutex_lock(&wal->mu);
    *out = wal->stats;
    out->segments = wal->segment_count;
    out->disk_bytes = 0;
    for (size_t i = 0; i < wal->segment_count; i++) {
        out->disk_bytes += wal->segments[i]->size;
    }
    mutex_unlock(&wal->mu);
}

void wal_close(struct wal *wal) {
    if (wal == NULL) {
        return;
    }
    if (wal->state == WAL_OK) {
        tail_trim(&wal->tail);
    }
    for (size_t i = 0; i < wal->segment_count; i++) {
        ASSERT(wal->segments[i]->refs == 1);
        wal_segment_free(wal->segments[i]);
    }
    mem_free(wal->segments);
    mem_free(wal->buffer);
    mem_free(wal->dir);
    mutex_release(&wal->mu);
    mem_free(wal);
}
