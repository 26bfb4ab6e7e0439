/* progress: silent in the first second, then a line every five seconds, or five times a second on a
 * terminal; totals, rates and what is left are in it. */
#include <stdio.h>
#include <string.h>

#include "base/progress.h"
#include "tests/support/check_err.h"
#include "tests/support/fake_clock.h"

static void expect(FILE *to, const char *want) {
    char text[1024] = {0};
    rewind(to);
    text[fread(text, 1, sizeof(text) - 1, to)] = '\0';
    assert_string_equal(text, want);
}

static void a_log_gets_a_line_every_five_seconds(void **state) {
    (void)state;
    struct fake_clock clock;
    struct progress p;
    FILE *to = tmpfile();
    assert_non_null(to);
    fake_clock_init(&clock, 0);
    progress_begin(&p, &clock.clock, to, false, "importing", "samples");
    progress_update(&p, 10, 4000);
    for (int i = 0; i < 8; i++) {
        fake_clock_advance_ns(&clock, NS_PER_S);
        progress_update(&p, (uint64_t)(i + 1) * 500, 4000);
    }
    progress_end(&p);
    expect(to, "importing  12 % [###.................]  500/4.0 k samples  500/s  ETA 7 s\n"
               "importing  75 % [###############.....]  3.0 k/4.0 k samples  500/s  ETA 2 s\n");
    (void)fclose(to);
}

static void a_terminal_line_is_redrawn_and_ended(void **state) {
    (void)state;
    struct fake_clock clock;
    struct progress p;
    FILE *to = tmpfile();
    assert_non_null(to);
    fake_clock_init(&clock, 0);
    progress_begin(&p, &clock.clock, to, true, "reading", "bytes");
    fake_clock_advance_ns(&clock, NS_PER_S);
    progress_update(&p, 100, 0);
    progress_update(&p, 150, 0);
    fake_clock_advance_ns(&clock, NS_PER_S / 5);
    progress_update(&p, 240, 240);
    progress_end(&p);
    expect(to, "\r\033[Kreading  100 bytes  100/s"
               "\r\033[Kreading  100 % [####################]  240/240 bytes  200/s  ETA 0 s\n");
    (void)fclose(to);
}

static void without_a_stream_nothing_happens(void **state) {
    (void)state;
    struct fake_clock clock;
    struct progress p;
    fake_clock_init(&clock, 0);
    progress_begin(&p, &clock.clock, NULL, false, "x", "y");
    fake_clock_advance_ns(&clock, 10 * NS_PER_S);
    progress_update(&p, 1, 2);
    progress_end(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_gets_a_line_every_five_seconds),
        cmocka_unit_test(a_terminal_line_is_redrawn_and_ended),
        cmocka_unit_test(without_a_stream_nothing_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
