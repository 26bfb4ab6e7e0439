/* Pushed series whose labels are remembered from request to request: what is stored is what a receiver
 * without memory stores, whatever a sender changes in between. */
#include "tests/support/check_err.h"
#include "tests/support/proto_writer.h"
#include "tests/support/push_storage.h"
#include "web/remote_write.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/value.h"

/* A receiver's memory and where it stores. */
struct receiver {
    struct push_storage *storage;
    struct write_scratch scratch;
};

struct fixture {
    struct receiver remembers; /* one scratch for all requests */
    struct receiver forgets;   /* a new one for each */
    struct buf message;
    struct buf series, part;
    uint64_t random;
};

static void receiver_init(struct receiver *r) {
    r->storage = push_storage_new();
    buf_init(&r->scratch.plain, WRITE_BODY_MAX);
}

static void receiver_release(struct receiver *r) {
    write_scratch_release(&r->scratch);
    push_storage_free(r->storage);
}

static int setup(void **state) {
    struct fixture *f = mem_zalloc(sizeof(*f));
    receiver_init(&f->remembers);
    receiver_init(&f->forgets);
    buf_init(&f->message, WRITE_BODY_MAX);
    buf_init(&f->series, WRITE_BODY_MAX);
    buf_init(&f->part, WRITE_BODY_MAX);
    f->random = 1;
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    receiver_release(&f->remembers);
    receiver_release(&f->forgets);
    buf_release(&f->message);
    buf_release(&f->series);
    buf_release(&f->part);
    mem_free(f);
    return 0;
}

/* ---- requests ---- */

static void label(struct fixture *f, const char *name, const char *value) {
    pb_bytes(&f->part, 1, str_of(name));
    pb_bytes(&f->part, 2, str_of(value));
    pb_message(&f->series, 1, &f->part);
}

static void sample(struct fixture *f, int64_t ts_ms, double value) {
    pb_double(&f->part, 1, value);
    pb_uint(&f->part, 2, (uint64_t)ts_ms);
    pb_message(&f->series, 2, &f->part);
}

static void end_series(struct fixture *f) {
    pb_message(&f->message, 1, &f->series);
}

/* Another label behind those of the target for every other series. */
static void series(struct fixture *f, int target, int i, int64_t ts_ms, double value) {
    char text[64];
    (void)snprintf(text, sizeof(text), "metric_%d_with_a_name_of_some_length", i % 7);
    label(f, "__name__", text);
    (void)snprintf(text, sizeof(text), "%03d", i);
    label(f, "a", text);
    (void)snprintf(text, sizeof(text), "node-%d:9100", target);
    label(f, "instance", text);
    label(f, "job", "j");
    if (i % 2 != 0) {
        label(f, "zone", "z");
    }
    sample(f, ts_ms, value);
    end_series(f);
}

static const char *store(struct receiver *r, const struct fixture *f) {
    struct err err;
    struct write_batch b = {
        .scratch = &r->scratch,
        .storage = push_storage_as_storage(r->storage),
        .max_ts_ms = INT64_MAX,
    };
    buf_init(&b.errors, WRITE_ERRORS_BYTES_MAX);
    buf_clear(&r->scratch.plain);
    buf_append_str(&r->scratch.plain, buf_str(&f->message));
    assert_ok(storage_appender_begin(b.storage, &b.appender, &err), &err);
    assert_ok(write_decode_v1(&b, &err), &err);
    if (b.failure == ERR_OK) {
        assert_ok(storage_appender_commit(b.storage, b.appender, &err), &err);
    } else {
        storage_appender_rollback(b.storage, b.appender);
    }
    buf_release(&b.errors);
    return push_storage_take(r->storage);
}

/* Sends the request to both. Returns how many samples the one with a memory stored in rows. */
static size_t send_both(struct fixture *f) {
    const size_t before = push_storage_in_rows(f->remembers.storage);
    write_forms_release(&f->forgets.scratch.forms);
    const char *want = store(&f->forgets, f);
    assert_string_equal(store(&f->remembers, f), want);
    buf_clear(&f->message);
    return push_storage_in_rows(f->remembers.storage) - before;
}

static uint32_t below(struct fixture *f, uint32_t n) {
    f->random = f->random * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (uint32_t)((f->random >> 33) % n);
}

/* ---- tests ---- */

enum { TARGETS = 3, SERIES = 100 };

static void series_that_came_before_are_stored_in_rows(void **state) {
    struct fixture *f = *state;
    for (int64_t step = 0; step < 5; step++) {
        for (int target = 0; target < TARGETS; target++) {
            for (int i = 0; i < SERIES; i++) {
                const double value = i % 10 == 9 ? f64_stale() : (double)(step * i) / 3;
                series(f, target, i, 1000 * (step + 1) + target, value);
            }
            const size_t in_rows = send_both(f);
            if (step == 0) {
                assert_int_equal(in_rows, 0);
            } else if (step > 1) { /* the first and the last are read in the other way */
                assert_true(in_rows >= SERIES - 2);
            }
        }
    }
}

/* In each request something else: series left out, exchanged, doubled or new, other times, older ones, labels
 * in another order or a little different. */
static void whatever_changes_between_requests_the_same_is_stored(void **state) {
    struct fixture *f = *state;
    size_t in_rows = 0;
    for (int round = 0; round < 300; round++) {
        const int target = (int)below(f, TARGETS);
        const uint32_t change = below(f, 9);
        const int at = (int)below(f, SERIES);
        const int64_t ts_ms = 1000 * (round + 1);
        for (int i = 0; i < SERIES; i++) {
            const double value = (double)below(f, 1000) / 8;
            if (i != at) {
                series(f, target, i, change == 0 && i > at ? ts_ms + 1 : ts_ms, value);
            } else if (change == 1) {
                series(f, target, SERIES - 1 - i, ts_ms, value);
            } else if (change == 2) {
                series(f, target, i, ts_ms, value);
                series(f, target, i, ts_ms + 1, value);
            } else if (change == 3) {
                series(f, target, SERIES + (int)below(f, SERIES), ts_ms, value);
            } else if (change == 4) {
                series(f, target, i, ts_ms - 2000, value);
            } else if (change == 5) {
                label(f, "job", "j");
                label(f, "__name__", "metric_0_with_a_name_of_some_length");
                sample(f, ts_ms, value);
                end_series(f);
            } else if (change == 6) {
                series(f, TARGETS, i, ts_ms, value);
            } else if (change == 7) {
                sample(f, ts_ms, value);
                sample(f, ts_ms + 1, value + 1);
                series(f, target, i, ts_ms + 2, value);
            }
        }
        in_rows += send_both(f);
    }
    assert_true(in_rows > 300 * SERIES / 2);
}

/* What a series of the bytes as message is taken for. */
static size_t take_one(struct fixture *f, struct write_forms *forms, uint32_t set, struct str run,
                       int64_t *out_ts_ms, double *out_value) {
    buf_append(&f->message, "0123456789abcdef", 16);
    struct proto from = proto_of(buf_str(&f->message));
    const size_t n = write_forms_take(forms, &from, &set, 1, run, out_ts_ms, out_value);
    buf_clear(&f->message);
    return n;
}

static void a_form_is_taken_with_the_labels_of_any_target(void **state) {
    struct fixture *f = *state;
    struct write_forms forms = {0};
    int64_t ts_ms = 0;
    double value = 0;
    label(f, "instance", "b");
    char run[64];
    const struct str other = {run, f->series.len};
    memcpy(run, f->series.ptr, f->series.len);
    buf_clear(&f->series);
    label(f, "instance", "an");
    char learned_run[64];
    const struct str own = {learned_run, f->series.len};
    memcpy(learned_run, f->series.ptr, f->series.len);
    buf_clear(&f->series);
    label(f, "__name__", "m");
    label(f, "instance", "an");
    label(f, "k", "v");
    sample(f, 1000, 1);
    write_forms_learn(&forms, 5, buf_str(&f->series), own);
    buf_clear(&f->series);
    for (int i = 0; i < 4; i++) {
        label(f, "__name__", "m");
        label(f, "instance", i < 2 ? "b" : "an");
        label(f, "k", i % 2 == 0 ? "v" : "w");
        sample(f, 2000 + i, i);
        end_series(f);
        const size_t want = i % 2 == 0 ? 1 : 0;
        assert_int_equal(take_one(f, &forms, 5, i < 2 ? other : own, &ts_ms, &value), want);
        assert_true(want == 0 || (ts_ms == 2000 + i && f64_same_bits(value, i)));
    }
    series(f, 0, 0, 1, 1);
    assert_int_equal(take_one(f, &forms, 6, own, &ts_ms, &value), 0); /* nothing is known of 6 */
    series(f, 0, 0, 1, 1);
    assert_int_equal(take_one(f, &forms, STORAGE_SET_NONE, own, &ts_ms, &value), 0);
    write_forms_release(&forms);
}

static void a_target_in_two_pieces_is_not_remembered(void **state) {
    struct fixture *f = *state;
    struct write_forms forms = {0};
    label(f, "instance", "i");
    label(f, "job", "j");
    char run[64];
    const struct str together = {run, f->series.len};
    memcpy(run, f->series.ptr, f->series.len);
    buf_clear(&f->series);
    label(f, "instance", "i");
    label(f, "interface", "x");
    label(f, "job", "j");
    sample(f, 1, 1);
    write_forms_learn(&forms, 1, buf_str(&f->series), together);
    assert_int_equal(forms.used, 0);
    write_forms_release(&forms);
}

static void so_many_series_that_they_are_forgotten_take_bounded_memory(void **state) {
    enum { SETS = 200 * 1000, BYTES_MAX = 3 << 20 };
    struct fixture *f = *state;
    struct write_forms forms = {0};
    size_t forgotten = 0;
    size_t known = 0;
    for (uint32_t set = 0; set < SETS; set++) {
        char text[64];
        (void)snprintf(text, sizeof(text), "metric_with_number_%06u", set);
        label(f, "__name__", text);
        sample(f, 1, 1);
        const size_t before = forms.used;
        write_forms_learn(&forms, set, buf_str(&f->series), STR(""));
        forgotten += forms.used < before;
        assert_true(write_forms_bytes(&forms) <= BYTES_MAX);
        end_series(f);
        int64_t ts_ms = 0;
        double value = 0;
        known += take_one(f, &forms, set, STR(""), &ts_ms, &value);
    }
    assert_int_equal(forgotten, 1);
    assert_true(known > 40 * 1000 && known < SETS);
    write_forms_release(&forms);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(series_that_came_before_are_stored_in_rows),
        TEST(whatever_changes_between_requests_the_same_is_stored),
        TEST(a_form_is_taken_with_the_labels_of_any_target),
        TEST(a_target_in_two_pieces_is_not_remembered),
        TEST(so_many_series_that_they_are_forgotten_take_bounded_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
