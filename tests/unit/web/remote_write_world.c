#include "tests/unit/web/remote_write_world.h"

#include "tests/support/check_err.h"
#include "tests/support/snappy_pack.h"

#include "base/mem.h"

int world_setup(void **state) {
    struct write_world *f = mem_zalloc(sizeof(*f));
    fake_clock_init(&f->clock, NOW_MS * NS_PER_MS);
    f->storage = push_storage_new();
    f->registry = metric_registry_new();
    f->web.options = (struct web_options){
        .enable_remote_write = true,
        .clock = &f->clock.clock,
        .registry = f->registry,
        .storage = push_storage_as_storage(f->storage),
    };
    f->web.remote_write = remote_write_new(f->registry);
    buf_init(&f->message, 64 << 20);
    buf_init(&f->series, 64 << 20);
    buf_init(&f->part, 64 << 20);
    buf_init(&f->in.body, HTTP_DATA_MAX);
    buf_init(&f->out.body, 4 << 20);
    arena_init(&f->in.arena, 0);
    *state = f;
    return 0;
}

int world_teardown(void **state) {
    struct write_world *f = *state;
    assert_int_equal(push_storage_open_transactions(f->storage), 0);
    remote_write_free(f->web.remote_write);
    push_storage_free(f->storage);
    metric_registry_free(f->registry);
    buf_release(&f->message);
    buf_release(&f->series);
    buf_release(&f->part);
    buf_release(&f->in.body);
    buf_release(&f->out.body);
    arena_release(&f->in.arena);
    mem_free(f);
    return 0;
}

void world_label(struct write_world *f, struct str name, struct str value) {
    pb_bytes(&f->part, 1, name);
    pb_bytes(&f->part, 2, value);
    pb_message(&f->series, 1, &f->part);
}

void world_labels(struct write_world *f, const char *text) {
    for (struct str rest = str_of(text); rest.len != 0;) {
        const ptrdiff_t space = str_find_char(rest, ' ');
        const struct str pair = space < 0 ? rest : str_sub(rest, 0, (size_t)space);
        rest = space < 0 ? STR("") : str_from(rest, (size_t)space + 1);
        const size_t equals = (size_t)str_find_char(pair, '=');
        world_label(f, str_sub(pair, 0, equals), str_from(pair, equals + 1));
    }
}

void world_sample(struct write_world *f, int64_t ts_ms, double value) {
    pb_double(&f->part, 1, value);
    pb_uint(&f->part, 2, (uint64_t)ts_ms);
    pb_message(&f->series, 2, &f->part);
}

void world_end_series(struct write_world *f) {
    pb_message(&f->message, 1, &f->series);
}

void world_v1(struct write_world *f, const char *text, int64_t ts_ms, double value) {
    world_labels(f, text);
    world_sample(f, ts_ms, value);
    world_end_series(f);
}

void world_symbols(struct write_world *f, const char *text) { /* separated by blanks, "" first */
    pb_bytes(&f->message, 4, STR(""));
    for (struct str rest = str_of(text); rest.len != 0;) {
        const ptrdiff_t space = str_find_char(rest, ' ');
        pb_bytes(&f->message, 4, space < 0 ? rest : str_sub(rest, 0, (size_t)space));
        rest = space < 0 ? STR("") : str_from(rest, (size_t)space + 1);
    }
}

void world_refs(struct write_world *f, const uint32_t *list, size_t n) {
    for (size_t i = 0; i < n; i++) {
        pb_varint(&f->part, list[i]);
    }
    pb_message(&f->series, 1, &f->part);
}

void world_end_series_v2(struct write_world *f) {
    pb_message(&f->message, 5, &f->series);
}

void world_send_as(struct write_world *f, const char *content_type, const char *encoding) {
    buf_clear(&f->in.body);
    snappy_pack(buf_str(&f->message), &f->in.body);
    f->in.content_type = str_of(content_type);
    f->in.content_encoding = str_of(encoding);
    f->out.header_count = 0;
    remote_write(&f->web, &f->in, &f->out);
    buf_clear(&f->message);
}

void world_send_v1(struct write_world *f) {
    world_send_as(f, "application/x-protobuf", "snappy");
}

void world_send_v2(struct write_world *f) {
    world_send_as(f, "application/x-protobuf;proto=io.prometheus.write.v2.Request", "snappy");
}

void world_send_body(struct write_world *f, struct str body) {
    buf_clear(&f->in.body);
    buf_append_str(&f->in.body, body);
    f->in.content_type = STR("application/x-protobuf");
    f->in.content_encoding = STR("snappy");
    f->out.header_count = 0;
    remote_write(&f->web, &f->in, &f->out);
}

void expect_answer(struct write_world *f, int status, const char *text) {
    assert_str(buf_str(&f->out.body), text);
    assert_int_equal(f->out.status, status);
}

void expect_stored(struct write_world *f, const char *want) {
    assert_string_equal(push_storage_take(f->storage), want);
}

void expect_counts(struct write_world *f, const char *samples) {
    assert_int_equal(f->out.header_count, 3);
    assert_string_equal(f->out.headers[0].name, "X-Prometheus-Remote-Write-Samples-Written");
    assert_str(f->out.headers[0].value, samples);
    assert_string_equal(f->out.headers[1].name, "X-Prometheus-Remote-Write-Histograms-Written");
    assert_str(f->out.headers[1].value, "0");
    assert_string_equal(f->out.headers[2].name, "X-Prometheus-Remote-Write-Exemplars-Written");
    assert_str(f->out.headers[2].value, "0");
}

double invalid_count(struct write_world *f) {
    return metric_get(metric_counter(
        f->registry, "prometheus_api_remote_write_invalid_labels_samples_total", "", NULL, 0));
}
