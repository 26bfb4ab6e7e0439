/* Go text/template as far as alert labels and annotations use it (spec/rules-alerts.md section 5):
 * the language, Prometheus' functions and the four predefined variables.
 *
 * A parsed template is immutable and may be expanded from several threads. Expansion is bounded:
 * output TEMPLATE_OUTPUT_MAX, steps TEMPLATE_STEPS_MAX, depth TEMPLATE_DEPTH_MAX, what the steps leave
 * in the arena TEMPLATE_MEMORY_MAX. */
#ifndef ALERT_TEMPLATE_H
#define ALERT_TEMPLATE_H

#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/labels.h"
#include "base/str.h"

enum {
    TEMPLATE_OUTPUT_MAX = 1024 * 1024,
    TEMPLATE_STEPS_MAX = 1000 * 1000,
    TEMPLATE_MEMORY_MAX = 64 * 1024 * 1024,
    TEMPLATE_DEPTH_MAX = 64,
};

struct template;

/* One sample of a {{ query }}; labels include __name__. */
struct template_sample {
    struct labels labels;
    double value;
};

/* Runs an expression at the template's time; results live in arena. */
typedef enum err_code template_query_fn(void *ctx, struct str expr, int64_t ts_ms,
                                        struct arena *arena, struct template_sample **out,
                                        size_t *out_count, struct err *err);

struct template_data {
    struct labels labels; /* $labels: of the result, __name__ included */
    struct labels external_labels;
    struct str external_url;
    double value;
    int64_t ts_ms;
    template_query_fn *query; /* NULL: query is an error */
    void *query_ctx;
};

/* name is "__alert_<alert>"; the four variables are defined before text. Everything lives in
 * arena. ERR_INVALID: "error parsing template __alert_X: template: __alert_X:1: ...". */
MUST_CHECK enum err_code template_parse(struct arena *arena, struct str name, struct str text,
                                        struct template **out, struct err *err);
/* The text, in arena. ERR_INVALID: "error executing template __alert_X: ...". */
MUST_CHECK enum err_code template_expand(const struct template *t, const struct template_data *data,
                                         struct arena *arena, struct str *out, struct err *err);

#endif
