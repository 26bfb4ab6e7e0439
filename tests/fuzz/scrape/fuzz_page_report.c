/* Whatever a page holds: the report's numbers fit together, and a text or OpenMetrics page without
 * errors is one that the parser reads to its end. The first byte chooses the format. */
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "scrape/expo.h"
#include "scrape/page_report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool parser_accepts(enum expo_format format, struct str body) {
    struct expo_parser *p = mem_alloc(sizeof(*p));
    struct expo_entry entry = {.kind = EXPO_COMMENT};
    struct err err;
    enum err_code code = ERR_OK;
    expo_init(p, format, body);
    while (code == ERR_OK && entry.kind != EXPO_END) {
        code = expo_next(p, &entry, &err);
    }
    mem_free(p);
    return code == ERR_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct str types[] = {STR_INIT("text/plain"),
                                       STR_INIT("application/openmetrics-text"),
                                       STR_INIT("application/vnd.google.protobuf")};
    if (size < 2) {
        return 0;
    }
    const size_t kind = data[0] % 3;
    const struct str body = {(const char *)data + 1, size - 1};
    const struct scrape_config config = {.job_name = STR("j"), .label_limit = 4};
    struct page_report *report = mem_zalloc(sizeof(*report));
    struct arena arena;
    struct err err;
    arena_init(&arena, 0);
    if (page_report_make(&config, (struct labels){NULL, 0}, types[kind], body, &arena, report,
                         &err) != ERR_OK ||
        report->kept + report->dropped + report->refused != report->samples ||
        report->series_count > PAGE_SERIES_MAX || report->error_count > PAGE_ERRORS_MAX) {
        abort();
    }
    if (kind < 2 &&
        (report->error_count == 0) !=
            parser_accepts(kind == 0 ? EXPO_FORMAT_TEXT : EXPO_FORMAT_OPENMETRICS, body)) {
        abort();
    }
    mem_free(report);
    arena_release(&arena);
    return 0;
}
