/* A duration or time that is read prints as a text that reads back to the same value. */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "base/duration.h"

static void check_text(struct str text) {
    struct buf b;
    int64_t ms = 0;
    int64_t again = 0;
    buf_init(&b, 4096);
    if (duration_parse_ms(text, &ms, NULL) == ERR_OK) {
        ASSERT(ms >= 0);
        duration_format_ms(&b, ms);
        ASSERT(duration_parse_ms(buf_str(&b), &again, NULL) == ERR_OK && again == ms);
    }
    buf_clear(&b);
    if (duration_parse_api_ms(text, &ms, NULL) != ERR_OK) {
        ASSERT(duration_parse_ms(text, &ms, NULL) != ERR_OK || str_eq(text, STR("0")));
    }
    /* four-digit years are what a text can say */
    if (time_parse_api_ms(text, &ms, NULL) == ERR_OK && ms >= -62135596800000 &&
        ms < 253402300800000) {
        time_format_rfc3339_ms(&b, ms);
        ASSERT(time_parse_api_ms(buf_str(&b), &again, NULL) == ERR_OK && again == ms);
    }
    buf_release(&b);
}

static void check_number(int64_t v) {
    struct buf b;
    buf_init(&b, 4096);
    duration_format_go_ns(&b, v);
    time_format_rfc3339_ns(&b, v);
    duration_format_ms(&b, v);
    time_format_rfc3339_ms(&b, v);
    ASSERT(buf_ok(&b));
    buf_release(&b);
    const struct civil civil = civil_of_unix(v / 1000);
    ASSERT(unix_of_civil(&civil) == v / 1000);
    ASSERT(civil.day >= 1 && civil.day <= days_in_month(civil.year, civil.month));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    check_text((struct str){(const char *)data, size});
    if (size >= 8) {
        int64_t v;
        memcpy(&v, data, 8);
        check_number(v);
    }
    return 0;
}
