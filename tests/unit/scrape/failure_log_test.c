/* failure_log: lines reach the file in order, from whoever waits for the disk; the io thread never
 * does. The disk is one that stands still until the test lets it go. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/mutex.h"
#include "scrape/failure_log.h"
#include "tests/support/check_err.h"

/* A disk of one file, whose writes wait while it is stopped. */
struct slow_disk {
    struct vfs vfs;
    struct vfs_file file;
    struct mutex mu;
    struct cond changed;
    bool stopped, broken;
    unsigned writes, opens;
    struct buf written;
};

static struct slow_disk *disk_of_file(struct vfs_file *f) {
    return (struct slow_disk *)(void *)((char *)f - offsetof(struct slow_disk, file));
}

static enum err_code open_it(struct vfs *vfs, const char *path, unsigned flags,
                             struct vfs_file **out, struct err *err) {
    struct slow_disk *const d = (struct slow_disk *)(void *)vfs;
    (void)path;
    (void)flags;
    (void)err;
    mutex_lock(&d->mu);
    d->opens++;
    mutex_unlock(&d->mu);
    *out = &d->file;
    return ERR_OK;
}

static enum err_code size_of_it(struct vfs_file *f, uint64_t *out, struct err *err) {
    (void)err;
    *out = disk_of_file(f)->written.len;
    return ERR_OK;
}

static enum err_code write_it(struct vfs_file *f, const void *from, size_t n, uint64_t offset,
                              struct err *err) {
    struct slow_disk *const d = disk_of_file(f);
    mutex_lock(&d->mu);
    d->writes++;
    cond_broadcast(&d->changed);
    while (d->stopped) {
        cond_wait(&d->changed, &d->mu);
    }
    const bool broken = d->broken;
    if (!broken) {
        assert_int_equal(offset, d->written.len);
        buf_append_str(&d->written, (struct str){from, n});
    }
    mutex_unlock(&d->mu);
    return broken ? err_set(err, ERR_IO, "broken") : ERR_OK;
}

static void close_it(struct vfs_file *f) {
    (void)f;
}

static const struct vfs_ops disk_ops = {.open = open_it};
static const struct vfs_file_ops file_ops = {
    .size = size_of_it, .pwrite = write_it, .close = close_it};

static int setup(void **state) {
    struct slow_disk *const d = mem_zalloc(sizeof(*d));
    d->vfs.ops = &disk_ops;
    d->file.ops = &file_ops;
    mutex_init(&d->mu);
    cond_init(&d->changed);
    buf_init(&d->written, 64 << 20);
    *state = d;
    return 0;
}

static int teardown(void **state) {
    struct slow_disk *const d = *state;
    buf_release(&d->written);
    cond_release(&d->changed);
    mutex_release(&d->mu);
    mem_free(d);
    return 0;
}

static void stop(struct slow_disk *d, bool stopped) {
    mutex_lock(&d->mu);
    d->stopped = stopped;
    cond_broadcast(&d->changed);
    mutex_unlock(&d->mu);
}

static void write_number(struct failure_log *fl, int i) {
    char error[32];
    (void)snprintf(error, sizeof(error), "error %d.", i);
    failure_log_write(fl, STR("f.log"), 0, STR("j"), STR("http://t/"), str_of(error));
}

static void lines_come_in_order_and_all_before_the_end(void **state) {
    struct slow_disk *const d = *state;
    struct failure_log *const fl = failure_log_new(&d->vfs, NULL, NULL, true);
    for (int i = 0; i < 100; i++) {
        write_number(fl, i);
    }
    failure_log_free(fl);
    buf_append_char(&d->written, '\0');
    const char *at = d->written.ptr;
    for (int i = 0; i < 100; i++) {
        char error[32];
        (void)snprintf(error, sizeof(error), "error %d.", i);
        at = strstr(at, error);
        assert_non_null(at);
    }
}

static void a_disk_that_stands_still_stops_nobody_else(void **state) {
    struct slow_disk *const d = *state;
    struct metric_registry *const registry = metric_registry_new();
    struct failure_log *const fl = failure_log_new(&d->vfs, NULL, registry, true);
    stop(d, true);
    enum { SENT = FAILURE_LOG_LINES_MAX + 100 };
    for (int i = 0; i < SENT; i++) {
        write_number(fl, i);
    }
    const double dropped = metric_get(
        metric_counter(registry, "brasa_scrape_failure_log_dropped_lines_total", "", NULL, 0));
    assert_true(dropped >= 99 && dropped <= 100); /* the writer may have one in hand */
    stop(d, false);
    failure_log_free(fl);
    assert_int_equal(d->writes, SENT - (unsigned)dropped);
    metric_registry_free(registry);
}

static void waiting_bytes_are_bounded(void **state) {
    struct slow_disk *const d = *state;
    struct metric_registry *const registry = metric_registry_new();
    struct failure_log *const fl = failure_log_new(&d->vfs, NULL, registry, true);
    enum { BYTES = 512 * 1024 };
    char *const error = mem_alloc(BYTES);
    memset(error, 'e', BYTES);
    stop(d, true);
    for (int i = 0; i < 20; i++) {
        failure_log_write(fl, STR("f.log"), 0, STR("j"), STR("u"), (struct str){error, BYTES});
    }
    const double dropped = metric_get(
        metric_counter(registry, "brasa_scrape_failure_log_dropped_lines_total", "", NULL, 0));
    assert_true(dropped == 20 - (FAILURE_LOG_BYTES_MAX / BYTES - 1));
    stop(d, false);
    failure_log_free(fl);
    mem_free(error);
    metric_registry_free(registry);
}

static void a_reload_opens_the_file_again(void **state) {
    struct slow_disk *const d = *state;
    struct failure_log *const fl = failure_log_new(&d->vfs, NULL, NULL, false);
    write_number(fl, 1);
    write_number(fl, 2);
    assert_int_equal(d->opens, 1);
    d->broken = true;
    write_number(fl, 3);
    write_number(fl, 4);
    assert_int_equal(d->writes, 3); /* given up */
    d->broken = false;
    failure_log_reopen(fl);
    write_number(fl, 5);
    assert_int_equal(d->opens, 2);
    assert_int_equal(d->writes, 4);
    failure_log_free(fl);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(lines_come_in_order_and_all_before_the_end),
        CASE(a_disk_that_stands_still_stops_nobody_else),
        CASE(waiting_bytes_are_bounded),
        CASE(a_reload_opens_the_file_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
