/* Any target below /api/v1/ over a small storage: an answer that says it is JSON is JSON, with a status
 * that fits its envelope. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_in.h"
#include "tests/unit/web/web_world.h"

static struct web_world *make_world(void) {
    static struct web_world world;
    web_world_init(&world);
    /* small bounds, so that no input takes long; the clock is real, for the timeout */
    struct query_options options;
    query_options_default(&options);
    options.clock = clock_system();
    options.timeout_ms = 100;
    options.max_samples = 20000;
    options.max_memory_bytes = 8 * 1024 * 1024;
    query_engine_free(world.engine);
    world.engine = query_engine_new(&options);
    world.web.options.engine = world.engine;
    fake_storage_load(world.fs, 10000, "m{a=\"1\"}", "1 2 3 _ NaN Inf");
    fake_storage_load(world.fs, 10000, "m{a=\"2\",job=\"<&>\"}", "0 -1 stale 1e300");
    fake_storage_load(world.fs, 10000, "h_bucket{le=\"1\"}", "1 2 3");
    fake_storage_load(world.fs, 10000, "h_bucket{le=\"+Inf\"}", "2 4 6");
    return &world;
}

static void check_answer(const struct web_world *w) {
    const struct http_outgoing *out = &w->out;
    if (out->content_type == NULL || strcmp(out->content_type, "application/json") != 0) {
        return;
    }
    struct json_doc *doc = NULL;
    struct err err;
    if (json_parse(buf_str(&out->body), &doc, &err) != ERR_OK) {
        /* the reader refuses what is good JSON: deep trees of parse_query, and \u0000 in keys */
        if (strstr(err.text, "deep") != NULL || strstr(err.text, "NUL") != NULL) {
            return;
        }
        (void)fprintf(stderr, "%s: %s\n", err.text, out->body.ptr);
        abort();
    }
    const struct str status = json_string(json_get(json_root(doc), "status"));
    const bool failed = json_get(json_root(doc), "error") != NULL;
    if (!str_eq(status, failed ? STR("error") : STR("success")) || failed != (out->status >= 400)) {
        abort();
    }
    json_doc_free(doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct web_world *world;
    if (world == NULL) {
        world = make_world();
    }
    char target[2048];
    const int n = snprintf(target, sizeof(target), "/api/v1/%.*s", (int)(size > 1500 ? 1500 : size),
                           (const char *)data);
    if (n < 0) {
        return 0;
    }
    web_world_request(world, HTTP_GET, target, STR(""));
    (void)web_world_run(world);
    check_answer(world);
    return 0;
}
