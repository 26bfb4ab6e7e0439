/* Files of rule unit tests: YAML to structs, strictly (spec/rules-alerts.md section 6). Everything
 * lives in the arena given. */
#ifndef RULE_TEST_FILE_H
#define RULE_TEST_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/str.h"
#include "base/vfs.h"
#include "config_sd.h"

enum { RULE_TEST_BYTES_MAX = 16 * 1024 * 1024 };

struct rule_test_series {
    bool is_null;
    struct str series, values;
};

struct rule_test_expected_alert {
    bool is_null;
    struct label_options labels, annotations;
};

struct rule_test_alert {
    bool is_null;
    int64_t eval_ms;
    struct str alertname;
    struct rule_test_expected_alert *expected;
    size_t expected_count;
};

struct rule_test_sample {
    bool is_null;
    struct str labels;
    double value;
    struct str histogram;
};

struct rule_test_expr {
    bool is_null;
    struct str expr;
    int64_t eval_ms;
    struct rule_test_sample *samples;
    size_t sample_count;
};

struct rule_test_group {
    bool is_null;
    int64_t interval_ms;
    struct str name;
    struct rule_test_series *series;
    size_t series_count;
    struct rule_test_alert *alerts;
    size_t alert_count;
    struct rule_test_expr *exprs;
    size_t expr_count;
    struct label_options external_labels;
    struct str external_url;
    int64_t start_ms;
};

struct rule_test_file {
    const struct str *rule_files; /* globs; as bound: joined with the file's folder */
    size_t rule_file_count;
    int64_t evaluation_interval_ms;
    const struct str *group_order;
    size_t group_order_count;
    struct rule_test_group *groups;
    size_t group_count;
    bool fuzzy_compare;
};

/* ERR_INVALID with go-yaml's texts, or for a group that is named twice in the order. */
MUST_CHECK enum err_code rule_test_file_load(struct arena *arena, struct vfs *vfs, const char *path,
                                             struct rule_test_file *out, struct err *err);
MUST_CHECK enum err_code rule_test_file_parse(struct arena *arena, struct str text,
                                              struct rule_test_file *out, struct err *err);

#endif
