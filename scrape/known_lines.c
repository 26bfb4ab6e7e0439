#include "scrape/known_lines.h"

#include "base/check.h"
#include "scrape/expo_openmetrics.h"
#include "scrape/ingest_row.h"

known_lines_fn *known_lines_of(enum line_kernel kernel) {
    switch (kernel) {
    case LINE_KERNEL_PLAIN:
        return known_lines_plain;
    case LINE_KERNEL_BASE:
        return known_lines_base;
#ifdef __x86_64__
    case LINE_KERNEL_AVX2:
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") ? known_lines_avx2
                                                                                : NULL;
    case LINE_KERNEL_AVX512: /* processors that have VBMI2 do not slow down for wide vectors */
        return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vbmi2") &&
                       __builtin_cpu_supports("bmi2")
                   ? known_lines_avx512
                   : NULL;
#else
    case LINE_KERNEL_AVX2:
    case LINE_KERNEL_AVX512:
        return NULL;
#endif
    case LINE_KERNEL_COUNT:
        break;
    }
    UNREACHABLE("a kernel of no kind");
}

/* In order of preference. Vectors of 64 bytes lose a little to those of 32 on the machines measured
 * (tests/bench/README.md): keys begin anywhere, so that nearly each of them lies in two cache lines. */
known_lines_fn *known_lines_best(void) {
    static const enum line_kernel order[] = {LINE_KERNEL_AVX2, LINE_KERNEL_AVX512};
    for (size_t i = 0; i < COUNT_OF(order); i++) {
        known_lines_fn *const lines = known_lines_of(order[i]);
        if (lines != NULL) {
            return lines;
        }
    }
    return known_lines_base;
}

/* " 1234\n": the timestamp, and the offset of the line break; 0 when it is anything else. */
static size_t timestamp_length(const char *p, const char *end, int64_t *out_ms) {
    int64_t ms = 0;
    size_t i = 1;
    while (i <= 18 && p + i < end && p[i] >= '0' && p[i] <= '9') {
        ms = ms * 10 + (p[i] - '0');
        i++;
    }
    if (i == 1 || p + i >= end || p[i] != '\n') {
        return 0;
    }
    *out_ms = ms;
    return i;
}

size_t known_line_end(struct page_reader *r, const char *line, const char *p,
                      struct expo_entry *sample) {
    struct expo_parser *const parser = &r->s->parser;
    if (parser->format == EXPO_FORMAT_TEXT) {
        sample->has_timestamp = true;
        return timestamp_length(p, r->body.ptr + r->body.len, &sample->timestamp_ms);
    }
    const size_t at = (size_t)(p - r->body.ptr);
    return expo_openmetrics_rest(parser, (size_t)(line - r->body.ptr), at, sample)
               ? parser->at - 1 - at
               : 0;
}
bool known_line_take(struct page_reader *r, uint32_t line, struct expo_entry *sample) {
    if (r->ig->slots[line] == LINE_UNRESOLVED || r->s->own_count >= OWN_TIMES_MAX) {
        return false;
    }
    if (r->s->deviates) {
        page_note_line(r->s, (struct line_seen){.entry = line, .comment_at = LINE_NONE});
    }
    page_take_exemplar(r, sample);
    struct err err;
    const enum err_code code = page_known_sample(r, line, sample, &err);
    ASSERT(code == ERR_OK); /* its one error was excluded above */
    return true;
}
