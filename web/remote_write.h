/* Receiver of remote write, POST /api/v1/write (spec/http-api.md section 7), private to web/.
 *
 * A request is one storage transaction. Its body is unpacked to a scratch buffer and decoded from
 * there series by series: the labels are collected as slices of the buffer, checked, packed to the
 * storage's form and handed over with each sample. Nothing is allocated per series; scratch memory
 * is kept from one request to the next, one for each that runs at a time.
 *
 * A storage that keeps floats only has those stored of a request with histograms, and the answer is
 * 400; messages that it cannot store are not looked into.
 *
 *   remote_write.c         HTTP: checks, answers, scratch memory
 *   remote_write_series.c  one series: labels, samples, what is refused
 *   remote_write_more.c    histograms, exemplars, metadata
 *   remote_write_v1.c      prometheus.WriteRequest
 *   remote_write_usual.c   its series as nearly all are
 *   remote_write_forms.c   those that came in the request before too, a row at a time
 *   remote_write_v2.c      io.prometheus.write.v2.Request */
#ifndef WEB_REMOTE_WRITE_H
#define WEB_REMOTE_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/metric.h"
#include "base/proto.h"
#include "tsdb/storage.h"
#include "web/http.h"

enum {
    WRITE_BODY_MAX = HTTP_DATA_MAX, /* packed and unpacked */
    WRITE_SYMBOLS_MAX = 1 << 20,
    WRITE_LABELS_MAX = 1 << 14,       /* of one series */
    WRITE_LABEL_BYTES_MAX = 1 << 20,  /* of one series, packed */
    WRITE_ERRORS_BYTES_MAX = 1 << 20, /* of an answer */
    WRITE_ARENA_MAX = 128 << 20,      /* of one histogram */
    /* Labels of all series of a request together: references let a few bytes stand for many. */
    WRITE_ALL_LABEL_BYTES_MAX = 256 << 20,
};

#define WRITE_FUTURE_MAX_MS (INT64_C(10) * 60 * 1000)
#define WRITE_NO_HISTOGRAMS "native histograms are not supported by this storage"

struct write_symbol {
    const char *ptr;
    uint32_t len;
};

/* Labels of a set as they came, but for those of the target. */
struct write_form {
    uint32_t set;
    uint32_t at; /* in the bytes */
    uint16_t before;
    uint16_t behind;
};

/* Numbers are those of one storage. */
struct write_forms {
    struct write_form *table; /* by set & mask; NULL: nothing is remembered */
    uint32_t mask;
    uint32_t count;
    uint32_t vain; /* forms that found no room */
    uint8_t *bytes;
    size_t used;
    size_t capacity;
};

/* Memory of one request at a time. */
struct write_scratch {
    struct buf plain; /* the unpacked body; all slices point into it */
    struct write_forms forms;
    struct label *labels;
    size_t label_count;
    size_t label_capacity;
    size_t label_bytes;     /* of the present series */
    size_t all_label_bytes; /* of the request so far */
    uint8_t *packed;        /* labels of the present series */
    size_t packed_capacity;
    struct write_symbol *symbols;
    size_t symbol_count;
    size_t symbol_capacity;
    struct arena arena;         /* of one histogram or exemplar */
    struct write_scratch *next; /* in the list of free ones */
};

/* One request on its way to the storage. */
struct write_batch {
    struct write_scratch *scratch;
    struct storage *storage;
    struct storage_appender *appender;
    int64_t max_ts_ms; /* later samples are refused */
    bool partial;      /* v2: a refused sample does not end the request */
    bool keep_start;   /* start timestamps are stored */
    bool meta_labels;  /* v2: type and unit become labels */

    struct storage_expected expected; /* v1: series that the storage expects */
    size_t expected_at;               /* the next one */
    struct str target_run;            /* bytes of their target's labels, in the plain body */

    uint64_t samples;          /* taken; floats */
    uint64_t histograms;       /* taken */
    uint64_t exemplars;        /* taken */
    uint64_t without_metadata; /* of the first two */
    uint64_t unsupported;      /* histograms that the storage cannot keep */
    uint64_t invalid;          /* v1: series, v2: samples, with labels that none may have */

    enum err_code failure; /* of the storage, or v1's first refusal: nothing is stored */
    struct buf errors;     /* v2: what was refused, joined by newlines; else failure's text */
    uint64_t more_errors;  /* that did not fit */
};

void write_scratch_release(struct write_scratch *scratch);

/* ---- remote_write_series.c ---- */

enum write_labels {
    WRITE_LABELS_OK,
    WRITE_LABELS_INVALID,
    WRITE_LABELS_DUPLICATE,
};

/* The present series' labels. False: the request's labels are too many bytes altogether. Labels
 * beyond WRITE_LABELS_MAX are forgotten, the series is then invalid. */
void write_labels_clear(struct write_scratch *scratch);
MUST_CHECK bool write_labels_add(struct write_scratch *scratch, struct label label);
/* Labels of the series' type and unit in the place of any that came with it; nothing when both are
 * unknown. False as above. */
MUST_CHECK bool write_labels_add_metadata(struct write_scratch *scratch, uint64_t type,
                                          struct str unit);
/* Checks and packs what was added; sorts it if it has to. *out is valid until the next call. With
 * WRITE_LABELS_DUPLICATE *out_duplicate is the name. */
enum write_labels write_labels_pack(struct write_scratch *scratch, struct labels *out,
                                    struct str *out_duplicate);
/* Stores a sample, or notes why not. Does nothing after a failure. True: stored. */
bool write_sample(struct write_batch *b, struct labels labels, int64_t ts_ms, double value);
/* The same for the series expected_at of expected, behind which it goes on. */
bool write_expected_sample(struct write_batch *b, int64_t ts_ms, double value);
/* The same for n series from there on. */
void write_expected_row(struct write_batch *b, int64_t ts_ms, const double *values, size_t n);
/* The same with all that a sample may have. */
bool write_whole_sample(struct write_batch *b, struct labels labels,
                        const struct storage_sample *sample);
/* A sample is not stored: noted in v2, else the failure of the request. */
void write_refuse(struct write_batch *b, enum err_code code, const char *text);
static inline bool write_takes_histograms(const struct write_batch *b) {
    return b->storage->ops->append_sample != NULL;
}
/* Adds an error to those of v2: before, the series' labels as they came if with_labels, behind. */
void write_error(struct write_batch *b, const char *before, bool with_labels, struct str behind);
/* No more errors fit: they are only counted from here on. */
bool write_errors_full(const struct write_batch *b);
/* Sample{1 double value, 2 int64 timestamp, in v2 3 int64 start timestamp}. False: outer->error is
 * set. */
MUST_CHECK bool write_read_sample(struct proto *outer, struct str bytes, double *out_value,
                                  int64_t *out_ts_ms, int64_t *out_start_ms);

/* ---- remote_write_more.c ---- */

/* Reads a histogram and stores it, or notes why not. False: outer->error is set. */
MUST_CHECK bool write_histogram(struct write_batch *b, struct labels labels, struct proto *outer,
                                struct str bytes);
void write_exemplar(struct write_batch *b, struct labels series,
                    const struct storage_exemplar *exemplar);
/* name: of the family or of one of its series; type: the number of both versions. */
void write_metadata(struct write_batch *b, struct str name, uint64_t type, struct str help,
                    struct str unit);

/* ---- remote_write_usual.c ---- */

/* Reads a series of v1 (bytes of the scratch's plain body) if it is expected[*io_at] or one of the next few
 * with one sample: *io_at is then which. False: it is not, nothing is known of it. *io_run is empty at
 * first, and again when the target of expected is another one. */
MUST_CHECK bool write_read_expected(const struct write_scratch *scratch, struct str series,
                                    const struct storage_expected *expected, size_t *io_at,
                                    struct str *io_run, double *out_value, int64_t *out_ts_ms);
/* Reads a series of v1 (bytes of the scratch's plain body) if it looks as most do: a second and
 * faster decoder. False: it does not, nothing is known of it. *out_labels as above. */
MUST_CHECK bool write_read_usual(struct write_scratch *scratch, struct str series,
                                 struct labels *out_labels, double *out_value, int64_t *out_ts_ms);

/* ---- remote_write_forms.c ---- */

void write_forms_release(struct write_forms *forms);
size_t write_forms_bytes(const struct write_forms *forms);
/* Remembers what a set's labels look like: series is one that write_read_expected took for it, run what
 * that left. */
void write_forms_learn(struct write_forms *forms, uint32_t set, struct str series, struct str run);
/* Takes series of v1 from the request (all of it up to its end in the scratch's plain body), the first with
 * the labels of sets[0] and run, the next with those of sets[1] and so on, as long as their labels are
 * known and all have one time. Returns how many. */
MUST_CHECK size_t write_forms_take(const struct write_forms *forms, struct proto *from,
                                   const uint32_t *sets, size_t n, struct str run,
                                   int64_t *out_ts_ms, double *values);

/* ---- remote_write_v1.c, remote_write_v2.c ---- */

/* Decodes the scratch's plain body into the transaction. ERR_INVALID: not such a message, nothing
 * may be stored. What the storage refused is in b. */
MUST_CHECK enum err_code write_decode_v1(struct write_batch *b, struct err *err);
MUST_CHECK enum err_code write_decode_v2(struct write_batch *b, struct err *err);

/* ---- remote_write.c ---- */

struct remote_write; /* the receiver: its metrics and spare scratch memory; thread-safe */

struct remote_write *remote_write_new(struct metric_registry *registry);
void remote_write_free(struct remote_write *receiver);

#endif
