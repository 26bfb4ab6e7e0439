/* A remote write receiver against a storage that writes down what it commits, and the requests for it,
 * built field by field. */
#ifndef TESTS_UNIT_WEB_REMOTE_WRITE_WORLD_H
#define TESTS_UNIT_WEB_REMOTE_WRITE_WORLD_H

#include "tests/support/fake_clock.h"
#include "tests/support/proto_writer.h"
#include "tests/support/push_storage.h"
#include "web/handlers.h"
#include "web/remote_write.h"

#define NOW_MS INT64_C(1700000000000)

struct write_world {
    struct web web;
    struct fake_clock clock;
    struct push_storage *storage;
    struct metric_registry *registry;
    struct http_incoming in;
    struct http_outgoing out;
    struct buf message; /* the request, not packed */
    struct buf series, part;
};

int world_setup(void **state);
int world_teardown(void **state);
void world_label(struct write_world *f, struct str name, struct str value);

/* "a=b c=d" */
void world_labels(struct write_world *f, const char *text);
void world_sample(struct write_world *f, int64_t ts_ms, double value);
void world_end_series(struct write_world *f);
void world_v1(struct write_world *f, const char *text, int64_t ts_ms, double value);
void world_symbols(struct write_world *f, const char *text);
void world_refs(struct write_world *f, const uint32_t *list, size_t n);

#define REFS(f, ...)                                                                               \
    world_refs(f, (const uint32_t[]){__VA_ARGS__},                                                 \
               sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

void world_end_series_v2(struct write_world *f);
void world_send_as(struct write_world *f, const char *content_type, const char *encoding);
void world_send_v1(struct write_world *f);
void world_send_v2(struct write_world *f);

/* Without packing. */
void world_send_body(struct write_world *f, struct str body);
void expect_answer(struct write_world *f, int status, const char *text);

/* Lines "<labels> <ts> <value>" */
void expect_stored(struct write_world *f, const char *want);
void expect_counts(struct write_world *f, const char *samples);
double invalid_count(struct write_world *f);

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

#endif
