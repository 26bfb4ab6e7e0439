/* Rule files: YAML to checked rules (spec/rules-alerts.md section 1). Private to alert/.
 *
 * Everything lives in the arena given. Errors are collected: all of a file, in Prometheus' texts
 * and order, one call of on_error each. */
#ifndef ALERT_RULE_FILE_H
#define ALERT_RULE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "alert/template.h"
#include "base/arena.h"
#include "base/labels.h"
#include "base/str.h"
#include "base/vfs.h"

struct query_engine;

enum { RULE_FILE_MAX_BYTES = 16 * 1024 * 1024 };

/* A label or annotation of an alerting rule: its text is a template. */
struct rule_template {
    struct str name;
    struct str text;
    struct template *parsed; /* NULL when the text holds no "{{": it expands to itself */
    struct str parse_error;  /* of a group's label, which no check refuses: it expands to that */
};

struct rule {
    bool alerting;
    struct str name; /* record or alert */
    struct str expr; /* canonical text */
    int64_t for_ms, keep_firing_for_ms;
    struct labels labels; /* group labels overlaid by rule labels, as written */
    struct labels annotations;
    struct rule_template *label_templates; /* alerting rules */
    size_t label_count;
    struct rule_template *annotation_templates;
    size_t annotation_count;
};

struct rule_group_spec {
    struct str name;
    struct str file;
    int64_t interval_ms;     /* 0 = the global one */
    int64_t query_offset_ms; /* -1 = the global one */
    int64_t limit;
    struct rule *rules;
    size_t rule_count;
};

typedef void rule_error_fn(void *ctx, struct str text);

/* How a file is read. */
struct rule_parsing {
    struct query_engine *engine; /* whose language; NULL: without experimental features */
    bool any_fields;             /* fields that are not known are passed over */
};

/* False when there was an error (*out is then unusable). name is shown in errors, unless it is empty,
 * and kept as the groups' file. *out_more (may be NULL): documents after the first were left out. */
bool rule_file_parse_with(const struct rule_parsing *parsing, struct arena *arena, struct str name,
                          struct str text, rule_error_fn *on_error, void *ctx,
                          struct rule_group_spec **out, size_t *out_count, bool *out_more);
bool rule_file_load_with(const struct rule_parsing *parsing, struct arena *arena, struct vfs *vfs,
                         const char *path, rule_error_fn *on_error, void *ctx,
                         struct rule_group_spec **out, size_t *out_count, bool *out_more);
/* The same with nothing but an engine. */
bool rule_file_parse(struct arena *arena, struct query_engine *engine, struct str name,
                     struct str text, rule_error_fn *on_error, void *ctx,
                     struct rule_group_spec **out, size_t *out_count, bool *out_more);
bool rule_file_load(struct arena *arena, struct query_engine *engine, struct vfs *vfs,
                    const char *path, rule_error_fn *on_error, void *ctx,
                    struct rule_group_spec **out, size_t *out_count, bool *out_more);

#endif
