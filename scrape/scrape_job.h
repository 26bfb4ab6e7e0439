/* One scrape, from the answer to the committed row; or the end of a target.
 *
 * The io thread makes a job and runs it, or hands it to the worker of the target's shard: then the
 * job and the target's ingest are the worker's, until it hands the job back. Jobs are recycled, so
 * that a scrape in steady state allocates nothing. */
#ifndef SCRAPE_SCRAPE_JOB_H
#define SCRAPE_SCRAPE_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/compress.h"
#include "base/err.h"
#include "base/generation.h"
#include "base/log.h"
#include "base/transport.h"
#include "scrape/ingest.h"
#include "scrape/scrape_metrics.h"
#include "scrape/target.h"

enum job_kind {
    JOB_SCRAPE,
    JOB_END, /* the target is gone: markers if wanted, then its ingest is freed */
};

/* How the body is compressed. */
enum body_coding { CODING_NONE, CODING_GZIP, CODING_ZSTD };

struct scrape_job {
    struct scrape_job *next; /* in a worker's or the manager's list */
    enum job_kind kind;
    void *loop; /* whom it is for */
    struct ingest *ingest;
    struct target *target;         /* a reference */
    struct generation *generation; /* a reference; config lives in it */
    const struct scrape_config *config;
    struct scrape_metrics *metrics;
    struct clock *clock;
    struct log *log;
    int64_t start_unix_ns, start_mono_ns;
    int64_t ts_ms;
    uint64_t max_body_bytes;
    unsigned features;      /* SCRAPE_* bits */
    bool forget_lines;      /* the configuration changed what series look like */
    bool write_markers;     /* JOB_END */
    uint64_t waiting_bytes; /* of its body, while it counts as waiting */
    bool was_run_here;      /* on the io thread, inside of submit */

    /* the answer; code and err also carry what failed before there was one */
    enum err_code code;
    struct err err;
    enum scrape_failure failure;
    int status;
    struct buf reason, content_type;
    enum body_coding coding;
    bool body_too_large;
    struct buf body;

    /* the result: code and err say what is wrong with the target */
    int64_t duration_ns;
    int64_t work_ns; /* of these, reading the page */
    struct scrape_counts counts;
    struct ingest_metadata metadata;
};

/* Scratch memory of a worker. */
struct job_scratch {
    struct ingest_scratch *ingest;
    struct inflater *inflater;
    struct buf plain;
};

void job_scratch_init(struct job_scratch *s);
void job_scratch_release(struct job_scratch *s);

struct scrape_job *scrape_job_new(void);
/* Gives up its references and forgets everything but the memory of its buffers. io thread. */
void scrape_job_clear(struct scrape_job *job);
void scrape_job_free(struct scrape_job *job); /* NULL is fine */

/* Takes over what the answer holds; the body's memory is exchanged for that of job->body, so that
 * bodies are not copied and their buffers go round. */
void scrape_job_answer(struct scrape_job *job, struct http_response *response);
/* Exchanges the memory back once the job was run. */
void scrape_job_return_body(struct scrape_job *job, struct http_response *response);
/* On whoever has the shard. */
void scrape_job_run(struct scrape_job *job, struct job_scratch *s);

#endif
