/* Any text as a template: parsing and expanding end, within their bounds, and a second expansion gives
 * the same text or the same error. */
#include <stdlib.h>
#include <string.h>

#include "alert/template.h"
#include "base/labels.h"

static enum err_code fake_query(void *ctx, struct str expr, int64_t ts_ms, struct arena *arena,
                                struct template_sample **out, size_t *out_count, struct err *err) {
    (void)ctx;
    if (expr.len == 0) {
        return err_set(err, ERR_EXECUTION, "no expression");
    }
    const struct label label = {STR("a"), STR("b")};
    struct template_sample *s = arena_zalloc(arena, 2 * sizeof(*s));
    s[0] = (struct template_sample){labels_of(arena, &label, 1), (double)ts_ms};
    s[1] = (struct template_sample){.value = -0.5};
    *out = s;
    *out_count = expr.len % 3;
    return ERR_OK;
}

static struct str expand(struct arena *arena, const struct template *t) {
    const struct label labels[] = {{STR("__name__"), STR("m")}, {STR("job"), STR("x:9")}};
    const struct template_data data = {.labels = labels_of(arena, labels, 2),
                                       .external_url = STR("http://h/p"),
                                       .value = 1234.5,
                                       .ts_ms = 1500000000123,
                                       .query = fake_query};
    struct str out = STR("");
    struct err err;
    if (template_expand(t, &data, arena, &out, &err) != ERR_OK) {
        return arena_str(arena, str_of(err.text));
    }
    if (out.len > TEMPLATE_OUTPUT_MAX) {
        abort();
    }
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena;
    arena_init(&arena, 0);
    struct template *t = NULL;
    struct err err;
    const struct str text = {(const char *)data, size};
    if (template_parse(&arena, STR("__alert_X"), text, &t, &err) == ERR_OK) {
        const struct str first = expand(&arena, t);
        const struct str second = expand(&arena, t);
        if (!str_eq(first, second)) {
            abort();
        }
    } else if (strstr(err.text, "error parsing template __alert_X: template: __alert_X:") == NULL) {
        abort();
    }
    arena_release(&arena);
    return 0;
}
