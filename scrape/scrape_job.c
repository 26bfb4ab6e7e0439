#include "scrape/scrape_job.h"

#include "base/check.h"
#include "base/mem.h"
#include "scrape/content_type.h"

/* An inflated page beyond this gives its memory back after the scrape. */
enum { PLAIN_KEEP_BYTES = 8 * 1024 * 1024 };

/* Of a header field; the transport takes no larger head. */
enum { FIELD_BYTES_MAX = 128 * 1024 };

void job_scratch_init(struct job_scratch *s) {
    s->ingest = ingest_scratch_new();
    s->inflater = inflater_new();
    buf_init(&s->plain, 0);
}

void job_scratch_release(struct job_scratch *s) {
    ingest_scratch_free(s->ingest);
    inflater_free(s->inflater);
    buf_release(&s->plain);
}

/* Any other coding is none: what cannot be read fails as a page. */
static enum body_coding coding_of(struct str name) {
    if (str_eq(name, STR("gzip"))) {
        return CODING_GZIP;
    }
    return str_eq(name, STR("zstd")) ? CODING_ZSTD : CODING_NONE;
}

static void exchange(struct scrape_job *job, struct http_response *response) {
    const struct buf spare = job->body;
    job->body = *response->body;
    *response->body = spare;
    response->body->max_bytes = job->body.max_bytes;
    buf_clear(response->body);
}

static enum scrape_failure failure_of(enum http_failure failure) {
    switch (failure) {
    case HTTP_FAILURE_NONE:
        return FAILURE_NONE;
    case HTTP_FAILURE_TIMEOUT:
        return FAILURE_TIMEOUT;
    case HTTP_FAILURE_LOOKUP:
        return FAILURE_LOOKUP;
    case HTTP_FAILURE_CONNECT:
        return FAILURE_CONNECT;
    case HTTP_FAILURE_TLS:
        return FAILURE_TLS;
    case HTTP_FAILURE_EXCHANGE:
        return FAILURE_HTTP;
    case HTTP_FAILURE_TOKEN:
        return FAILURE_TOKEN;
    case HTTP_FAILURE_REDIRECT:
        return FAILURE_REDIRECT;
    case HTTP_FAILURE_TOO_LARGE:
        return FAILURE_BODY_SIZE;
    }
    UNREACHABLE("a failure of no kind");
}

void scrape_job_answer(struct scrape_job *job, struct http_response *response) {
    job->code = response->code;
    job->err = response->err;
    job->failure = failure_of(response->failure);
    job->status = response->status;
    buf_append_str(&job->reason, response->reason);
    buf_append_str(&job->content_type, response->content_type);
    job->coding = coding_of(response->content_encoding);
    job->body_too_large = response->body_too_large;
    if (response->body != NULL && response->code == ERR_OK) {
        exchange(job, response);
    }
}

void scrape_job_return_body(struct scrape_job *job, struct http_response *response) {
    if (response->body != NULL && response->code == ERR_OK) {
        exchange(job, response);
    }
}

struct scrape_job *scrape_job_new(void) {
    struct scrape_job *const job = mem_zalloc(sizeof(*job));
    buf_init(&job->reason, FIELD_BYTES_MAX);
    buf_init(&job->content_type, FIELD_BYTES_MAX);
    return job;
}

void scrape_job_clear(struct scrape_job *job) {
    generation_unref(job->generation);
    target_unref(job->target);
    buf_clear(&job->reason);
    buf_clear(&job->content_type);
    buf_clear(&job->body);
    *job = (struct scrape_job){
        .reason = job->reason, .content_type = job->content_type, .body = job->body};
}

void scrape_job_free(struct scrape_job *job) {
    if (job != NULL) {
        scrape_job_clear(job);
        buf_release(&job->reason);
        buf_release(&job->content_type);
        buf_release(&job->body);
        mem_free(job);
    }
}

/* ---- the page ---- */

static enum err_code fail_size(struct scrape_job *job, struct ingest_report *report,
                               struct err *err) {
    metric_inc(job->metrics->exceeded_body_size_limit_total);
    report->body_bytes = -1;
    job->failure = FAILURE_BODY_SIZE;
    return err_set(err, ERR_LIMIT, "body size limit exceeded");
}

static enum err_code check_answer(struct scrape_job *job, struct ingest_report *report,
                                  struct err *err) {
    if (job->body_too_large) {
        return fail_size(job, report, err);
    }
    if (job->code != ERR_OK) {
        *err = job->err;
        return job->code;
    }
    if (job->status != 200) {
        job->failure = FAILURE_STATUS;
        return err_set(err, ERR_NETWORK, "server returned HTTP status %d%s%s", job->status,
                       job->reason.len > 0 ? " " : "", buf_str(&job->reason).ptr);
    }
    return ERR_OK;
}

static uint64_t size_limit(const struct scrape_job *job) {
    const uint64_t limit = job->config->body_size_limit;
    return limit != 0 && limit < job->max_body_bytes ? limit : job->max_body_bytes;
}

/* The uncompressed body: the job's own, or in the worker's buffer. */
static enum err_code uncompress(struct scrape_job *job, struct job_scratch *s,
                                const struct buf **out, struct ingest_report *report,
                                struct err *err) {
    const uint64_t limit = size_limit(job);
    *out = &job->body;
    if (job->coding != CODING_NONE && job->body.len > 0) {
        buf_clear(&s->plain);
        s->plain.max_bytes = limit;
        const enum err_code code =
            job->coding == CODING_GZIP
                ? inflate_gzip(s->inflater, buf_str(&job->body), &s->plain, err)
                : inflate_zstd(s->inflater, buf_str(&job->body), &s->plain, err);
        if (code != ERR_OK) {
            job->failure = FAILURE_ENCODING;
            return code == ERR_LIMIT ? fail_size(job, report, err) : code;
        }
        *out = &s->plain;
    }
    if ((*out)->len >= limit) {
        return fail_size(job, report, err);
    }
    report->body_bytes = (int64_t)(*out)->len;
    return ERR_OK;
}

static enum scrape_failure page_failure(const struct ingest_scrape *scrape, enum err_code code) {
    if (scrape->sample_limit_hit) {
        return FAILURE_SAMPLE_LIMIT;
    }
    if (scrape->bucket_limit_hit) {
        return FAILURE_BUCKET_LIMIT;
    }
    if (scrape->label_limit_hit) {
        return FAILURE_LABEL_LIMIT;
    }
    if (code == ERR_TIMEOUT) {
        return FAILURE_OVERLOAD;
    }
    return code == ERR_IO || code == ERR_NO_SPACE || code == ERR_UNAVAILABLE ? FAILURE_STORAGE
                                                                             : FAILURE_PARSE;
}

static enum err_code read_answer(struct scrape_job *job, struct job_scratch *s,
                                 struct ingest_scrape *scrape, struct ingest_report *report,
                                 struct err *err) {
    const struct buf *body = NULL;
    enum err_code code = check_answer(job, report, err);
    code = code == ERR_OK ? uncompress(job, s, &body, report, err) : code;
    if (code != ERR_OK || body->len == 0) { /* an empty page is a good one, whatever its type */
        return code;
    }
    code = content_type_select(buf_str(&job->content_type), job->config->fallback_protocol,
                               &scrape->format, err);
    if (code != ERR_OK) {
        report->body_bytes = 0;
        job->failure = FAILURE_CONTENT_TYPE;
        return code;
    }
    code =
        ingest_page(job->ingest, s->ingest, scrape, buf_str(body), body->capacity - body->len, err);
    job->failure = code != ERR_OK ? page_failure(scrape, code) : FAILURE_NONE;
    return code;
}

/* ---- accounts ---- */

static void warn_dropped(struct scrape_job *job, const char *what, uint64_t count) {
    if (count > 0) {
        log_warn(job->log, "scrape manager", what, log_str("scrape_pool", job->config->job_name),
                 log_str("target", job->target->url), log_u64("num_dropped", count));
    }
}

static void account(struct scrape_job *job, const struct ingest_scrape *scrape) {
    metric_add(job->metrics->out_of_order_total, (double)scrape->out_of_order);
    metric_add(job->metrics->duplicate_timestamp_total, (double)scrape->duplicates);
    metric_add(job->metrics->out_of_bounds_total, (double)scrape->out_of_bounds);
    metric_add(job->metrics->exceeded_sample_limit_total, scrape->sample_limit_hit);
    metric_add(job->metrics->exceeded_bucket_limit_total, scrape->bucket_limit_hit);
    metric_add(job->metrics->exemplar_out_of_order_total, (double)scrape->exemplars_out_of_order);
    metric_add(job->metrics->pool_exceeded_label_limits_total, scrape->label_limit_hit);
    metric_add(job->metrics->cache_flush_forced_total, scrape->flush_forced);
    warn_dropped(job, "Error on ingesting out-of-order samples", scrape->out_of_order);
    warn_dropped(job, "Error on ingesting samples with different value but same timestamp",
                 scrape->duplicates);
    warn_dropped(job, "Error on ingesting samples that are too old or are too far into the future",
                 scrape->out_of_bounds);
    warn_dropped(job, "Error on ingesting out-of-order exemplars", scrape->exemplars_out_of_order);
    warn_dropped(job, "Storage refuses new series", scrape->refused);
}

static enum err_code commit(struct scrape_job *job, struct job_scratch *s,
                            struct ingest_scrape *scrape, const struct ingest_report *report,
                            struct err *err) {
    const enum err_code code = ingest_commit(job->ingest, s->ingest, scrape, report, err);
    if (code == ERR_IO || code == ERR_NO_SPACE) {
        return ERR_OK; /* kept in memory; the storage reports its disk itself */
    }
    if (code != ERR_OK) {
        log_error(job->log, "scrape manager", "Scrape commit failed",
                  log_str("scrape_pool", job->config->job_name),
                  log_str("target", job->target->url), log_err(err));
    }
    return code;
}

static void run_scrape(struct scrape_job *job, struct job_scratch *s) {
    const int64_t now_ns = clock_unix_ns(job->clock);
    const int64_t begin_ns = clock_mono_ns(job->clock);
    struct ingest_scrape scrape = {
        .config = job->config,
        .target = job->target->labels,
        .clock = job->clock,
        .ts_ms = job->ts_ms,
        .now_ms = now_ns / NS_PER_MS,
        .deadline_mono_ns = begin_ns + job->target->interval_ms * NS_PER_MS,
        .timeout_ms = job->target->timeout_ms,
        .histograms = job->target->histograms,
        .features = job->features,
    };
    struct ingest_report report = {0};
    struct err err = {0};
    if (job->forget_lines) {
        ingest_forget_lines(job->ingest);
    }
    ingest_begin(job->ingest, s->ingest);
    enum err_code code = read_answer(job, s, &scrape, &report, &err);
    job->duration_ns = clock_mono_ns(job->clock) - job->start_mono_ns;
    report.duration_ns = job->duration_ns;
    report.up = code == ERR_OK;
    report.failure = report.up ? FAILURE_NONE : job->failure;
    struct err commit_err = {0};
    const enum err_code committed = commit(job, s, &scrape, &report, &commit_err);
    job->code = code != ERR_OK ? code : committed;
    job->err = code != ERR_OK ? err : commit_err;
    if (code == ERR_OK && committed != ERR_OK) {
        job->failure = FAILURE_STORAGE;
    }
    job->counts = (struct scrape_counts){.body_bytes = report.body_bytes,
                                         .samples = scrape.scraped,
                                         .samples_kept = scrape.added,
                                         .series_added = scrape.series_added};
    job->metadata = ingest_metadata(job->ingest);
    metric_observe(job->metrics->scrape_duration, (double)job->duration_ns / 1e9);
    job->work_ns = job->start_mono_ns + job->duration_ns - begin_ns;
    account(job, &scrape);
    if (s->plain.capacity > PLAIN_KEEP_BYTES) {
        buf_release(&s->plain);
    }
}

static void run_end(struct scrape_job *job, struct job_scratch *s) {
    struct err err = {0};
    enum err_code code = ERR_OK;
    if (job->write_markers) {
        code = ingest_end(job->ingest, s->ingest, job->ts_ms, &err);
    }
    if (code != ERR_OK) {
        log_warn(job->log, "scrape manager", "Stale markers of a removed target were not stored",
                 log_str("target", job->target->url), log_err(&err));
    }
    ingest_free(job->ingest);
    job->ingest = NULL;
}

void scrape_job_run(struct scrape_job *job, struct job_scratch *s) {
    switch (job->kind) {
    case JOB_SCRAPE:
        run_scrape(job, s);
        return;
    case JOB_END:
        run_end(job, s);
        return;
    }
    UNREACHABLE("a job of no kind");
}
