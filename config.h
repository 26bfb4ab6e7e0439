/* prometheus.yml to checked structs (spec/config.md), and back to text for /status/config.
 *
 * A loaded configuration is immutable and lives in its generation: whoever keeps pointers into
 * it holds a reference. Errors are Prometheus' texts with file, line and field. */
#ifndef CONFIG_H
#define CONFIG_H

#include "alert/alert.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/generation.h"
#include "base/log.h"
#include "base/vfs.h"
#include "scrape/scrape.h"

/* How long samples are kept; 0 = no limit of this kind. */
struct config_retention {
    int64_t time_ms;
    int64_t size_bytes;
    double percent; /* of the disk */
};

/* What a configuration is completed with. NULL where one is wanted: all zero. */
struct config_defaults {
    struct config_retention retention; /* from the flags; used when the file has no retention */
    bool syntax_only;                  /* do not read scrape_config_files */
};

struct config {
    struct generation *generation;
    int64_t scrape_interval_ms, scrape_timeout_ms, evaluation_interval_ms;
    struct labels external_labels;
    const struct scrape_config *scrapes;
    size_t scrape_count;
    struct rules_config rules; /* external_url is empty: the flags decide it */
    struct alerting_config alerting;
    struct str query_log_file;
    int64_t out_of_order_window_ms; /* storage.tsdb */
    struct config_retention retention;
    int64_t max_exemplars; /* storage.exemplars; 100000 when it does not say */
    struct str text; /* the whole configuration as /status/config prints it, secrets as <secret> */
};

/* Reads path, checks everything, resolves relative paths against its folder. The caller owns one
 * reference: config_unref. log (may be NULL) gets warnings such as an empty environment variable. */
MUST_CHECK enum err_code config_load(struct vfs *vfs, const char *path, struct log *log,
                                     struct config **out, struct err *err);
/* As config_load from text; dir resolves relative paths. For tests and fuzzing. */
MUST_CHECK enum err_code config_parse(struct str text, const char *name, const char *dir,
                                      struct log *log, struct config **out, struct err *err);
/* As config_load with defaults (may be NULL). */
MUST_CHECK enum err_code config_load_with(struct vfs *vfs, const char *path,
                                          const struct config_defaults *defaults, struct log *log,
                                          struct config **out, struct err *err);
void config_unref(struct config *config);

#endif
