#include "rule_test_file.h"

#include "base/duration.h"
#include "base/mem.h"
#include "base/yaml_node.h"
#include "config_bind.h"

enum { EVALUATION_INTERVAL_MS = 60 * 1000 };

static enum err_code start_bind(struct binder *b, const struct yaml_node *node, void *field,
                                struct err *err) {
    struct str text;
    bool ok = false;
    const enum err_code code = bind_string(b, node, "string", &text, &ok, err);
    if (code != ERR_OK || !ok || text.len == 0) {
        return code;
    }
    return time_parse_api_ms(text, field, err);
}

static const struct bind_custom START_CUSTOM = {.bind = start_bind};

static const struct bind_field SERIES_FIELDS[] = {
    BIND_AT(BIND_STR, "series", rule_test_series, series),
    BIND_AT(BIND_STR, "values", rule_test_series, values),
};
static const struct bind_table SERIES = {
    .type_name = "main.series",
    .list_name = "[]main.series",
    .size = sizeof(struct rule_test_series),
    .fields = SERIES_FIELDS,
    .field_count = COUNT_OF(SERIES_FIELDS),
    .null_offset = offsetof(struct rule_test_series, is_null),
};

static const struct bind_field EXPECTED_FIELDS[] = {
    BIND_OWN("exp_labels", rule_test_expected_alert, labels, &labels_custom),
    BIND_OWN("exp_annotations", rule_test_expected_alert, annotations, &labels_custom),
};
static const struct bind_table EXPECTED = {
    .type_name = "main.alert",
    .list_name = "[]main.alert",
    .size = sizeof(struct rule_test_expected_alert),
    .fields = EXPECTED_FIELDS,
    .field_count = COUNT_OF(EXPECTED_FIELDS),
    .null_offset = offsetof(struct rule_test_expected_alert, is_null),
};

static const struct bind_field ALERT_FIELDS[] = {
    BIND_AT(BIND_DURATION, "eval_time", rule_test_alert, eval_ms),
    BIND_AT(BIND_STR, "alertname", rule_test_alert, alertname),
    BIND_TABLE(BIND_LIST, "exp_alerts", rule_test_alert, expected, expected_count, &EXPECTED),
};
static const struct bind_table ALERT = {
    .type_name = "main.alertTestCase",
    .list_name = "[]main.alertTestCase",
    .size = sizeof(struct rule_test_alert),
    .fields = ALERT_FIELDS,
    .field_count = COUNT_OF(ALERT_FIELDS),
    .null_offset = offsetof(struct rule_test_alert, is_null),
};

static const struct bind_field SAMPLE_FIELDS[] = {
    BIND_AT(BIND_STR, "labels", rule_test_sample, labels),
    BIND_AT(BIND_FLOAT, "value", rule_test_sample, value),
    BIND_AT(BIND_STR, "histogram", rule_test_sample, histogram),
};
static const struct bind_table SAMPLE = {
    .type_name = "main.sample",
    .list_name = "[]main.sample",
    .size = sizeof(struct rule_test_sample),
    .fields = SAMPLE_FIELDS,
    .field_count = COUNT_OF(SAMPLE_FIELDS),
    .null_offset = offsetof(struct rule_test_sample, is_null),
};

static const struct bind_field EXPR_FIELDS[] = {
    BIND_AT(BIND_STR, "expr", rule_test_expr, expr),
    BIND_AT(BIND_DURATION, "eval_time", rule_test_expr, eval_ms),
    BIND_TABLE(BIND_LIST, "exp_samples", rule_test_expr, samples, sample_count, &SAMPLE),
};
static const struct bind_table EXPR = {
    .type_name = "main.promqlTestCase",
    .list_name = "[]main.promqlTestCase",
    .size = sizeof(struct rule_test_expr),
    .fields = EXPR_FIELDS,
    .field_count = COUNT_OF(EXPR_FIELDS),
    .null_offset = offsetof(struct rule_test_expr, is_null),
};

static const struct bind_field GROUP_FIELDS[] = {
    BIND_AT(BIND_DURATION, "interval", rule_test_group, interval_ms),
    BIND_TABLE(BIND_LIST, "input_series", rule_test_group, series, series_count, &SERIES),
    BIND_TABLE(BIND_LIST, "alert_rule_test", rule_test_group, alerts, alert_count, &ALERT),
    BIND_TABLE(BIND_LIST, "promql_expr_test", rule_test_group, exprs, expr_count, &EXPR),
    BIND_OWN("external_labels", rule_test_group, external_labels, &labels_custom),
    BIND_AT(BIND_STR, "external_url", rule_test_group, external_url),
    BIND_AT(BIND_STR, "name", rule_test_group, name),
    BIND_OWN("start_timestamp", rule_test_group, start_ms, &START_CUSTOM),
};
static const struct bind_table GROUP = {
    .type_name = "main.testGroup",
    .list_name = "[]main.testGroup",
    .size = sizeof(struct rule_test_group),
    .fields = GROUP_FIELDS,
    .field_count = COUNT_OF(GROUP_FIELDS),
    .null_offset = offsetof(struct rule_test_group, is_null),
};

static const struct bind_field FILE_FIELDS[] = {
    BIND_COUNTED(BIND_PATH_LIST, "rule_files", rule_test_file, rule_files, rule_file_count),
    BIND_AT(BIND_DURATION, "evaluation_interval", rule_test_file, evaluation_interval_ms),
    BIND_COUNTED(BIND_STR_LIST, "group_eval_order", rule_test_file, group_order, group_order_count),
    BIND_TABLE(BIND_LIST, "tests", rule_test_file, groups, group_count, &GROUP),
    BIND_AT(BIND_BOOL, "fuzzy_compare", rule_test_file, fuzzy_compare),
};
static const struct bind_table FILE_TABLE = {
    .type_name = "main.unitTestFile",
    .size = sizeof(struct rule_test_file),
    .fields = FILE_FIELDS,
    .field_count = COUNT_OF(FILE_FIELDS),
};

static enum err_code complete(struct rule_test_file *file, struct err *err) {
    if (file->evaluation_interval_ms == 0) {
        file->evaluation_interval_ms = EVALUATION_INTERVAL_MS;
    }
    for (size_t i = 0; i < file->group_count; i++) {
        if (file->groups[i].interval_ms == 0) {
            file->groups[i].interval_ms = file->evaluation_interval_ms;
        }
    }
    for (size_t i = 0; i < file->group_order_count; i++) {
        for (size_t k = 0; k < i; k++) {
            if (str_eq(file->group_order[i], file->group_order[k])) {
                return err_set(err, ERR_INVALID, "group name repeated in evaluation order: %.*s",
                               STR_ARG(file->group_order[i]));
            }
        }
    }
    return ERR_OK;
}

enum err_code rule_test_file_parse(struct arena *arena, struct str text, struct rule_test_file *out,
                                   struct err *err) {
    struct yaml_node *root = NULL;
    struct binder binder;
    *out = (struct rule_test_file){.rule_files = NULL};
    binder_init(&binder, arena);
    enum err_code code = yaml_parse(arena, text, &root, NULL, err);
    if (code == ERR_OK) {
        code = bind_document(&binder, root, &FILE_TABLE, out, err);
    }
    return code == ERR_OK ? complete(out, err) : code;
}

enum err_code rule_test_file_load(struct arena *arena, struct vfs *vfs, const char *path,
                                  struct rule_test_file *out, struct err *err) {
    char *text = NULL;
    size_t len = 0;
    enum err_code code = vfs_read_file(vfs, path, RULE_TEST_BYTES_MAX, &text, &len, err);
    if (code != ERR_OK) {
        return code;
    }
    const struct str copy = arena_str(arena, (struct str){text, len});
    mem_free(text);
    code = rule_test_file_parse(arena, copy, out, err);
    const ptrdiff_t slash = str_rfind_char(str_of(path), '/');
    if (code == ERR_OK && slash >= 0) {
        bind_join(arena, str_sub(str_of(path), 0, slash > 0 ? (size_t)slash : 1), &FILE_TABLE, out);
    }
    return code;
}
