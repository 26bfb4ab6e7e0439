#include "tsdb/prom_head_chunks.h"

#include <string.h>

#include "base/mem.h"
#include "tsdb/prom_encode.h"
#include "tsdb/prom_histogram.h"

enum { CHUNK_BYTES_MAX = 16 << 20 };

/* The samples from a time on have this start time; before the first one it is unknown. */
struct start_change {
    int64_t ts_ms;
    int64_t start_ms;
};

struct prom_head_chunk {
    struct prom_head_chunk *next;
    const char *data;
    const struct start_change *starts;
    uint32_t start_count;
    uint32_t size;
    uint8_t encoding;
    int64_t mint;
    int64_t maxt;
};

void prom_head_chunks_init(struct prom_head_chunks *c, uint32_t series_count, size_t max_bytes) {
    *c = (struct prom_head_chunks){.series_count = series_count, .max_bytes = max_bytes};
    c->series = mem_zalloc(((size_t)series_count + 1) * sizeof(struct prom_head_chunk *));
    arena_init(&c->arena, max_bytes);
    buf_init(&c->data, CHUNK_BYTES_MAX);
}

void prom_head_chunks_release(struct prom_head_chunks *c) {
    if (c->series != NULL) {
        arena_release(&c->arena);
        buf_release(&c->data);
        mem_free(c->series);
    }
}

/* ---- filling ---- */

static size_t count_changes(const struct prom_sample *samples, size_t n) {
    int64_t last_ms = 0;
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        count += samples[i].start_ms != last_ms ? 1 : 0;
        last_ms = samples[i].start_ms;
    }
    return count;
}

static bool keep_starts(struct prom_head_chunks *c, const struct prom_sample *samples, size_t n,
                        struct prom_head_chunk *chunk) {
    const size_t count = count_changes(samples, n);
    if (count == 0) {
        return true;
    }
    struct start_change *starts = arena_try_alloc(&c->arena, count, sizeof(*starts));
    if (starts == NULL) {
        return false;
    }
    int64_t last_ms = 0;
    for (size_t i = 0, at = 0; i < n; i++) {
        if (samples[i].start_ms != last_ms) {
            last_ms = samples[i].start_ms;
            starts[at++] = (struct start_change){samples[i].ts_ms, last_ms};
        }
    }
    chunk->starts = starts;
    chunk->start_count = (uint32_t)count;
    return true;
}

/* A chunk of the first samples; NULL: no room. */
static struct prom_head_chunk *make_chunk(struct prom_head_chunks *c,
                                          const struct prom_sample *samples, size_t n,
                                          size_t *out_taken) {
    struct prom_encoder encoder = {0};
    buf_clear(&c->data);
    const enum prom_encoding encoding =
        prom_chunk_encode(&encoder, samples, n, &c->data, out_taken);
    struct prom_head_chunk *chunk = arena_try_alloc(&c->arena, 1, sizeof(*chunk));
    char *bytes = arena_try_alloc(&c->arena, c->data.len + 1, 1);
    if (!buf_ok(&c->data) || chunk == NULL || bytes == NULL) {
        return NULL;
    }
    memcpy(bytes, c->data.ptr, c->data.len);
    *chunk = (struct prom_head_chunk){.data = bytes,
                                      .size = (uint32_t)c->data.len,
                                      .encoding = (uint8_t)encoding,
                                      .mint = samples[0].ts_ms,
                                      .maxt = samples[*out_taken - 1].ts_ms};
    return keep_starts(c, samples, *out_taken, chunk) ? chunk : NULL;
}

enum err_code prom_head_chunks_add(struct prom_head_chunks *c, uint32_t series,
                                   const struct prom_samples *samples, struct err *err) {
    struct prom_head_chunk **at = &c->series[series];
    while (*at != NULL) {
        at = &(*at)->next;
    }
    for (size_t i = 0; i < samples->count;) {
        size_t taken = 0;
        *at = make_chunk(c, &samples->items[i], samples->count - i, &taken);
        if (*at == NULL) {
            return err_set(err, ERR_LIMIT,
                           "the samples of the write-ahead log need more than %zu bytes of memory",
                           c->max_bytes);
        }
        at = &(*at)->next;
        i += taken;
        c->chunk_count++;
    }
    return ERR_OK;
}

/* ---- reading ---- */

bool prom_head_chunks_overlap(const struct prom_head_chunks *c, uint32_t series, int64_t mint,
                              int64_t maxt) {
    for (const struct prom_head_chunk *k = c->series[series]; k != NULL; k = k->next) {
        if (k->mint <= maxt && k->maxt >= mint) {
            return true;
        }
    }
    return false;
}

static void put_starts(const struct prom_head_chunk *k, struct prom_sample *samples, size_t n) {
    uint32_t next = 0;
    int64_t start_ms = 0;
    for (size_t i = 0; i < n; i++) {
        while (next < k->start_count && k->starts[next].ts_ms <= samples[i].ts_ms) {
            start_ms = k->starts[next++].start_ms;
        }
        samples[i].start_ms = start_ms;
    }
}

enum err_code prom_head_chunks_read(const struct prom_head_chunks *c, uint32_t series, int64_t mint,
                                    int64_t maxt, struct prom_samples *to, struct err *err) {
    enum err_code code = ERR_OK;
    for (const struct prom_head_chunk *k = c->series[series]; k != NULL && code == ERR_OK;
         k = k->next) {
        const struct str data = {k->data, k->size};
        const size_t before = to->count;
        if (k->mint > maxt || k->maxt < mint) {
            continue;
        }
        code = prom_chunk_is_histogram(k->encoding)
                   ? prom_histogram_chunk_read(k->encoding, data, mint, maxt, to, err)
                   : prom_chunk_read(k->encoding, data, mint, maxt, to, err);
        put_starts(k, to->items + before, to->count - before);
    }
    return code;
}
