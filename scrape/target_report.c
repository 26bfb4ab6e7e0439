#include "scrape/target_report.h"

#include <string.h>

#include "base/mem.h"

/* Equal errors in a row are one entry. */
struct error_entry {
    enum scrape_failure failure;
    int64_t first_unix_ns, last_unix_ns;
    uint64_t count;
    char *text; /* owned */
};

struct target_errors {
    struct error_entry entries[REPORT_ERROR_COUNT]; /* a ring */
    size_t count;                                   /* those in use */
    size_t next;                                    /* where the next one goes */
    bool ended;                                     /* a good scrape followed the newest one */
};

static void errors_free(struct target_errors *errors) {
    if (errors != NULL) {
        for (size_t i = 0; i < errors->count; i++) {
            mem_free(errors->entries[i].text);
        }
        mem_free(errors);
    }
}

void target_report_release(struct target_report *report) {
    mem_free(report->last_error);
    errors_free(report->errors);
    *report = (struct target_report){0};
}

void target_report_clear(struct target_report *report) {
    target_report_release(report);
}

static void add_error(struct target_report *report, const struct scrape_job *job) {
    if (report->errors == NULL) {
        report->errors = mem_zalloc(sizeof(*report->errors));
    }
    struct target_errors *const errors = report->errors;
    const struct str text = str_sub(str_of(job->err.text), 0, REPORT_ERROR_BYTES);
    if (errors->count > 0 && !errors->ended) {
        struct error_entry *const newest =
            &errors->entries[(errors->next + REPORT_ERROR_COUNT - 1) % REPORT_ERROR_COUNT];
        if (newest->failure == job->failure && str_eq(str_of(newest->text), text)) {
            newest->last_unix_ns = job->start_unix_ns;
            newest->count++;
            return;
        }
    }
    struct error_entry *const entry = &errors->entries[errors->next];
    mem_free(entry->text);
    *entry = (struct error_entry){.failure = job->failure,
                                  .first_unix_ns = job->start_unix_ns,
                                  .last_unix_ns = job->start_unix_ns,
                                  .count = 1,
                                  .text = mem_strndup(text.ptr, text.len)};
    errors->next = (errors->next + 1) % REPORT_ERROR_COUNT;
    errors->count += errors->count < REPORT_ERROR_COUNT;
    errors->ended = false;
}

static void keep_last_error(struct target_report *report, const char *text) {
    if (text != NULL && report->last_error != NULL && strcmp(report->last_error, text) == 0) {
        return;
    }
    mem_free(report->last_error);
    report->last_error = text != NULL ? mem_strdup(text) : NULL;
}

bool target_report_add(struct target_report *report, const struct scrape_job *job) {
    const bool up = job->code == ERR_OK;
    const enum target_health health = up ? TARGET_UP : TARGET_DOWN;
    const bool first = report->health == TARGET_UNKNOWN;
    const bool changed = health != report->health || job->failure != report->failure;
    report->health = health;
    report->failure = job->failure;
    report->last_scrape_unix_ns = job->start_unix_ns;
    report->last_duration_ns = job->duration_ns;
    report->counts = job->counts;
    if (changed) {
        report->since_unix_ns = job->start_unix_ns;
    }
    keep_last_error(report, up ? NULL : job->err.text);
    if (!up) {
        add_error(report, job);
    } else if (report->errors != NULL) {
        report->errors->ended = true;
    }
    return changed && !(first && up);
}

const struct target_error *target_report_errors(const struct target_report *report,
                                                struct arena *arena, size_t *out_count) {
    const struct target_errors *const errors = report->errors;
    *out_count = errors != NULL ? errors->count : 0;
    struct target_error *const out = arena_alloc(arena, (*out_count + 1) * sizeof(*out));
    for (size_t i = 0; i < *out_count; i++) {
        const size_t at = (errors->next + REPORT_ERROR_COUNT - 1 - i) % REPORT_ERROR_COUNT;
        const struct error_entry *const e = &errors->entries[at];
        out[i] = (struct target_error){.reason = scrape_failure_name(e->failure),
                                       .text = arena_str(arena, str_of(e->text)),
                                       .first_unix_ns = e->first_unix_ns,
                                       .last_unix_ns = e->last_unix_ns,
                                       .count = e->count};
    }
    return out;
}

struct str scrape_failure_name(enum scrape_failure failure) {
    static const struct str names[] = {
        [FAILURE_NONE] = STR_INIT(""),
        [FAILURE_TIMEOUT] = STR_INIT("timeout"),
        [FAILURE_LOOKUP] = STR_INIT("lookup"),
        [FAILURE_CONNECT] = STR_INIT("connect"),
        [FAILURE_TLS] = STR_INIT("tls"),
        [FAILURE_HTTP] = STR_INIT("http"),
        [FAILURE_TOKEN] = STR_INIT("token"),
        [FAILURE_REDIRECT] = STR_INIT("redirect"),
        [FAILURE_REQUEST] = STR_INIT("request"),
        [FAILURE_STATUS] = STR_INIT("status"),
        [FAILURE_BODY_SIZE] = STR_INIT("body_size"),
        [FAILURE_ENCODING] = STR_INIT("encoding"),
        [FAILURE_CONTENT_TYPE] = STR_INIT("content_type"),
        [FAILURE_PARSE] = STR_INIT("parse"),
        [FAILURE_SAMPLE_LIMIT] = STR_INIT("sample_limit"),
        [FAILURE_LABEL_LIMIT] = STR_INIT("label_limit"),
        [FAILURE_BUCKET_LIMIT] = STR_INIT("bucket_limit"),
        [FAILURE_TARGET_LIMIT] = STR_INIT("target_limit"),
        [FAILURE_OVERLOAD] = STR_INIT("overload"),
        [FAILURE_STORAGE] = STR_INIT("storage"),
    };
    return names[failure];
}
