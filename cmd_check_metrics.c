#include "cmd_check_metrics.h"

#include <string.h>

#include "base/buf.h"
#include "scrape/metric_lint.h"

enum { PAGE_BYTES_MAX = 256 * 1024 * 1024, READ_BYTES = 64 * 1024, COLUMN_GAP = 4 };

static bool read_page(const struct tool_call *call, struct buf *page) {
    for (;;) {
        char *to = buf_reserve(page, READ_BYTES);
        if (to == NULL) {
            (void)fprintf(call->io.err, "error while linting: the page is larger than %d bytes\n",
                          PAGE_BYTES_MAX);
            return false;
        }
        const size_t n = fread(to, 1, READ_BYTES, call->io.in);
        page->len += n;
        if (n == 0) {
            break;
        }
    }
    if (ferror(call->io.in) != 0) {
        (void)fprintf(call->io.err, "error while linting: standard input cannot be read\n");
        return false;
    }
    return true;
}

/* Columns as wide as their longest cell and a gap. */
static void print_table(const struct tool_call *call, const struct metric_lint *lint) {
    size_t widths[2] = {strlen("Cardinality"), strlen("Percentage")};
    size_t name_width = strlen("Metric");
    for (size_t i = 0; i < lint->family_count; i++) {
        const size_t n = lint->families[i].metric.len;
        name_width = n > name_width ? n : name_width;
    }
    FILE *out = call->io.out;
    (void)fprintf(out, "%-*s%-*s%-*s\n", (int)name_width + COLUMN_GAP, "Metric",
                  (int)widths[0] + COLUMN_GAP, "Cardinality", (int)widths[1] + COLUMN_GAP,
                  "Percentage");
    for (size_t i = 0; i <= lint->family_count; i++) {
        const bool total = i == lint->family_count;
        const struct str name = total ? STR("Total") : lint->families[i].metric;
        const uint64_t series = total ? lint->series_count : lint->families[i].series;
        char percent[32];
        if (total) {
            (void)snprintf(percent, sizeof(percent), "100%%");
        } else {
            (void)snprintf(percent, sizeof(percent), "%.2f%%",
                           100 * (double)series / (double)lint->series_count);
        }
        (void)fprintf(out, "%.*s%*s%-*llu%-*s\n", STR_ARG(name),
                      (int)(name_width + COLUMN_GAP - name.len), "", (int)widths[0] + COLUMN_GAP,
                      (unsigned long long)series, (int)widths[1] + COLUMN_GAP, percent);
    }
}

int cmd_check_metrics(struct tool_call *call) {
    const bool extended = tool_is_on(call, "extended");
    const bool style = strcmp(tool_text(call, "lint"), "none") != 0;
    if (!extended && !style) {
        (void)fprintf(call->io.err,
                      "error: at least one of --extended or linting must be enabled\n"
                      "use --lint=none to disable linting, but then --extended is required\n");
        return TOOL_FAILED;
    }
    struct buf page;
    buf_init(&page, PAGE_BYTES_MAX);
    struct metric_lint lint = {0};
    struct err err;
    int result = TOOL_OK;
    if (!read_page(call, &page)) {
        result = TOOL_FAILED;
    } else if (metric_lint(buf_str(&page), call->arena, &lint, &err) != ERR_OK) {
        (void)fprintf(call->io.err, "error while linting: %s\n", err.text);
        result = TOOL_FAILED;
    } else {
        for (size_t i = 0; style && i < lint.problem_count; i++) {
            (void)fprintf(call->io.err, "%.*s %.*s\n", STR_ARG(lint.problems[i].metric),
                          STR_ARG(lint.problems[i].text));
            result = TOOL_LINT;
        }
        if (extended) {
            print_table(call, &lint);
        }
    }
    buf_release(&page);
    return result;
}
