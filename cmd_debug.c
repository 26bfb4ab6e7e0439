#include "cmd_debug.h"

#include <string.h>

#include "base/mem.h"
#include "base/number.h"
#include "base/transport.h"
#include "base/url.h"
#include "config.h"
#include "scrape/page_report.h"

enum {
    BODY_BYTES_MAX = 256 * 1024 * 1024,
    NAME_COLUMN = 24, /* of the table of labels: 80 columns together */
    VALUE_COLUMN = 25,
    TIMEOUT_MS = 10 * 1000,
    TEXT_BYTES_MAX = 1024 * 1024
};

struct debug {
    struct tool_call *call;
    FILE *out;
    struct config *config; /* NULL: none was given */
    const struct scrape_config *job;
    struct scrape_config own; /* without a configuration */
    struct str url;
    struct page_target target;
    bool has_target;
    int64_t timeout_ms;
    size_t series_max;

    /* the answer */
    bool done;
    enum err_code code;
    struct err err;
    int status;
    struct http_trace trace;
    struct str content_type, encoding, body;
};

static void print_title(struct debug *d, const char *title) {
    (void)fprintf(d->out, "\n%s\n", title);
    for (size_t i = 0; title[i] != '\0'; i++) {
        (void)fputc('-', d->out);
    }
    (void)fputc('\n', d->out);
}

/* What a terminal would obey is not shown as it is. */
static void print_safe(FILE *out, struct str text) {
    for (size_t i = 0; i < text.len; i++) {
        const unsigned char c = (unsigned char)text.ptr[i];
        if (c < 0x20 || c == 0x7f) {
            (void)fprintf(out, "\\x%02x", c);
        } else {
            (void)fputc(c, out);
        }
    }
}

/* ---- which job ---- */

static enum err_code load_job(struct debug *d, struct err *err) {
    const char *file = tool_text(d->call, "config.file");
    const char *job = tool_text(d->call, "job");
    if (file == NULL && job != NULL) {
        return err_set(err, ERR_INVALID, "--job needs --config.file");
    }
    if (file == NULL) {
        static const enum scrape_protocol protocols[] = {PROTOCOL_OPENMETRICS_1_0_0,
                                                         PROTOCOL_OPENMETRICS_0_0_1,
                                                         PROTOCOL_TEXT_1_0_0, PROTOCOL_TEXT_0_0_4};
        d->own = (struct scrape_config){.job_name = STR("debug"),
                                        .interval_ms = TIMEOUT_MS,
                                        .timeout_ms = TIMEOUT_MS,
                                        .honor_timestamps = true,
                                        .enable_compression = true,
                                        .metrics_path = STR("/metrics"),
                                        .scheme = STR("http"),
                                        .protocols = protocols,
                                        .protocol_count = COUNT_OF(protocols),
                                        .escaping_scheme = STR("allow-utf-8"),
                                        .http = {.follow_redirects = true, .enable_http2 = true}};
        d->job = &d->own;
        return ERR_OK;
    }
    enum err_code code = config_load(d->call->io.vfs, file, NULL, &d->config, err);
    if (code != ERR_OK) {
        return code;
    }
    for (size_t i = 0; i < d->config->scrape_count && d->job == NULL; i++) {
        if (job == NULL || str_eq(d->config->scrapes[i].job_name, str_of(job))) {
            d->job = &d->config->scrapes[i];
        }
    }
    return d->job != NULL ? ERR_OK
                          : err_set(err, ERR_NOT_FOUND, "%s has no job%s%s", file,
                                    job != NULL ? " " : "", job != NULL ? job : "");
}

/* ---- the target ---- */

static void set(struct labels_builder *b, struct debug *d, const char *name, struct str value) {
    labels_builder_set(b, str_of(name), arena_str(d->call->arena, value));
}

/* a=1&b=2 as __param_a and __param_b. */
static void set_params(struct labels_builder *b, struct debug *d, struct str query) {
    while (query.len > 0) {
        const ptrdiff_t end = str_find_char(query, '&');
        const struct str pair = end >= 0 ? str_sub(query, 0, (size_t)end) : query;
        query = end >= 0 ? str_from(query, (size_t)end + 1) : STR("");
        const ptrdiff_t equals = str_find_char(pair, '=');
        const size_t n = equals >= 0 ? (size_t)equals : pair.len;
        const struct str name = arena_printf(d->call->arena, "__param_%.*s", (int)n, pair.ptr);
        struct buf value;
        buf_init(&value, TEXT_BYTES_MAX);
        if (equals >= 0 &&
            url_query_unescape(&value, str_from(pair, (size_t)equals + 1), NULL) == ERR_OK) {
            set(b, d, name.ptr, buf_str(&value));
        }
        buf_release(&value);
    }
}

/* The labels that discovery would have found for the URL, and those given by --label. */
static enum err_code make_target(struct debug *d, struct err *err) {
    struct url url;
    struct labels_builder b;
    struct labels discovered = {NULL, 0};
    enum err_code code = url_parse(d->call->arena, d->url, &url, err);
    if (code != ERR_OK) {
        return code;
    }
    labels_builder_init(&b, d->call->arena);
    const bool v6 = str_find_char(url.host, ':') >= 0 && url.host.ptr[0] != '[';
    set(&b, d, "__address__",
        arena_printf(d->call->arena, "%s%.*s%s%s%.*s", v6 ? "[" : "", STR_ARG(url.host),
                     v6 ? "]" : "", url.port.len > 0 ? ":" : "", STR_ARG(url.port)));
    set(&b, d, "__scheme__", url.scheme);
    set(&b, d, "__metrics_path__", url.path.len > 0 ? url.path : STR("/"));
    set_params(&b, d, url.query);
    const struct tool_values more = tool_list(d->call, "label");
    for (size_t i = 0; i < more.count; i++) {
        const struct str pair = str_of(more.items[i]);
        const size_t equals = (size_t)str_find_char(pair, '=');
        set(&b, d, arena_cstr(d->call->arena, str_sub(pair, 0, equals)),
            str_from(pair, equals + 1));
    }
    code = labels_builder_finish(&b, &discovered, err);
    code = code == ERR_OK ? page_target_make(d->job, discovered, d->call->arena, &d->target, err)
                          : code;
    d->has_target = code == ERR_OK;
    return code;
}

/* ---- the request ---- */

static void on_done(void *ctx, struct http_response *response) {
    struct debug *d = ctx;
    struct arena *arena = d->call->arena;
    d->done = true;
    d->code = response->code;
    d->err = response->err;
    d->status = response->status;
    d->trace = *response->trace;
    d->trace.head = arena_str(arena, response->trace->head);
    d->trace.peer = arena_str(arena, response->trace->peer);
    d->content_type = arena_str(arena, response->content_type);
    d->encoding = arena_str(arena, response->content_encoding);
    d->body = arena_str(arena, buf_str(response->body));
}

static enum err_code fetch(struct debug *d, struct err *err) {
    struct str headers[2];
    struct transport *transport = transport_curl_new(STR("Prometheus/3.14.0"));
    struct transport_client *client = NULL;
    struct transport_request *handle = NULL;
    const uint64_t limit = d->job->body_size_limit;
    page_request_lines(d->job, d->call->arena, headers);
    const struct http_request request = {
        .method = "GET",
        .url = d->target.url.len > 0 ? d->target.url : d->url,
        .headers = headers,
        .header_count = COUNT_OF(headers),
        .timeout_ms = d->timeout_ms,
        .trace = true,
        .max_body_bytes = limit > 0 && limit < BODY_BYTES_MAX ? limit : BODY_BYTES_MAX};
    enum err_code code = transport_client_new(transport, &d->job->http, NULL, &client, err);
    if (code == ERR_OK) {
        code = transport_start(transport, client, &request, on_done, d, &handle, err);
    }
    while (code == ERR_OK && !d->done) {
        transport_poll(transport, -1);
    }
    transport_client_free(transport, client);
    transport_free(transport);
    return code;
}

/* ---- output ---- */

/* In a column of its own; cut with a mark if it is too long for it. */
static void print_cell(FILE *out, struct str text, size_t width, bool last) {
    if (text.len <= width) {
        print_safe(out, text);
        (void)fprintf(out, "%*s", last ? 0 : (int)(width + 2 - text.len), "");
        return;
    }
    print_safe(out, str_sub(text, 0, width - 3));
    (void)fprintf(out, "...%s", last ? "" : "  ");
}

/* Every name that one of the two sets has, in order. */
static void print_side_by_side(FILE *out, struct labels left, struct labels right) {
    struct labels_iter a = labels_begin(left);
    struct labels_iter b = labels_begin(right);
    struct label x;
    struct label y;
    bool has_x = labels_next(&a, &x);
    bool has_y = labels_next(&b, &y);
    while (has_x || has_y) {
        const int c = !has_x ? 1 : !has_y ? -1 : str_cmp(x.name, y.name);
        print_cell(out, c <= 0 ? x.name : y.name, NAME_COLUMN, false);
        print_cell(out, c <= 0 ? x.value : STR("-"), VALUE_COLUMN, false);
        const bool same = c == 0 && str_eq(x.value, y.value);
        print_cell(out, same ? STR("=") : c >= 0 ? y.value : STR("-"), VALUE_COLUMN, true);
        (void)fputc('\n', out);
        has_x = c <= 0 ? labels_next(&a, &x) : has_x;
        has_y = c >= 0 ? labels_next(&b, &y) : has_y;
    }
}

static void print_target(struct debug *d) {
    print_title(d, "Target");
    (void)fprintf(d->out, "job     %.*s\nurl     ", STR_ARG(d->job->job_name));
    print_safe(d->out, d->target.url.len > 0 ? d->target.url : d->url);
    (void)fprintf(d->out, "\n\n%-*s%-*s%s\n", NAME_COLUMN + 2, "label", VALUE_COLUMN + 2,
                  "discovered", d->target.dropped ? "dropped by relabel_configs" : "relabelled");
    print_side_by_side(d->out, d->target.discovered,
                       d->target.dropped ? (struct labels){NULL, 0} : d->target.all);
}

static void print_ms(FILE *out, const char *name, int64_t us) {
    if (us > 0) {
        (void)fprintf(out, "  %s %lld.%03lld ms\n", name, (long long)(us / 1000),
                      (long long)(us % 1000));
    }
}

static void print_received(struct debug *d) {
    print_title(d, "Received");
    struct str head = d->trace.head;
    while (head.len > 0) {
        const ptrdiff_t end = str_find_char(head, '\n');
        const struct str line = end >= 0 ? str_sub(head, 0, (size_t)end) : head;
        head = end >= 0 ? str_from(head, (size_t)end + 1) : STR("");
        print_safe(d->out, str_trim(line));
        (void)fputc('\n', d->out);
    }
    (void)fprintf(d->out, "peer    %.*s", STR_ARG(d->trace.peer));
    if (d->trace.hop_count > 1) {
        (void)fprintf(d->out, ", after %u redirect%s", d->trace.hop_count - 1,
                      d->trace.hop_count > 2 ? "s" : "");
    }
    (void)fprintf(d->out, "\nbytes   %zu\ntimes   from the beginning of the request\n",
                  d->body.len);
    print_ms(d->out, "name known ", d->trace.lookup_us);
    print_ms(d->out, "connected  ", d->trace.connect_us);
    print_ms(d->out, "TLS agreed ", d->trace.tls_us);
    print_ms(d->out, "first byte ", d->trace.first_byte_us);
    print_ms(d->out, "done       ", d->trace.total_us);
}

static void print_counts(struct debug *d, const struct page_report *report, size_t body_bytes) {
    print_title(d, "Parsed");
    (void)fprintf(d->out, "format  %.*s, %zu bytes uncompressed\n",
                  STR_ARG(report->format.len > 0 ? report->format : STR("none")), body_bytes);
    (void)fprintf(d->out, "lines   %llu samples, %llu HELP, %llu TYPE, %llu UNIT, %llu comments\n",
                  (unsigned long long)report->samples, (unsigned long long)report->helps,
                  (unsigned long long)report->types, (unsigned long long)report->units,
                  (unsigned long long)report->comments);
    (void)fprintf(d->out,
                  "of these %llu with a timestamp, %llu with exemplars, %llu native histograms\n",
                  (unsigned long long)report->timestamps, (unsigned long long)report->exemplars,
                  (unsigned long long)report->histograms);
    (void)fprintf(d->out, "types  ");
    for (size_t i = 0; i < PAGE_TYPES; i++) {
        if (report->by_type[i] > 0) {
            (void)fprintf(d->out, " %llu %s", (unsigned long long)report->by_type[i],
                          page_type_name(i));
        }
    }
    (void)fputc('\n', d->out);
    for (size_t i = 0; i < report->error_count; i++) {
        const struct page_error *e = &report->errors[i];
        if (e->line > 0) {
            (void)fprintf(d->out, "error   line %zu, column %zu: ", e->line, e->column);
        } else {
            (void)fprintf(d->out, "error   ");
        }
        print_safe(d->out, e->text);
        (void)fputc('\n', d->out);
    }
}

static void print_metric(FILE *out, const char *before, struct labels labels) {
    struct buf text;
    buf_init(&text, TEXT_BYTES_MAX);
    labels_format_metric(&text, labels);
    (void)fputs(before, out);
    print_safe(out, buf_str(&text));
    (void)fputc('\n', out);
    buf_release(&text);
}

static void print_series(struct debug *d, const struct page_report *report) {
    print_title(d, "Series");
    (void)fprintf(
        d->out, "%llu would be stored, %llu are dropped by metric_relabel_configs, %llu refused\n",
        (unsigned long long)report->kept, (unsigned long long)report->dropped,
        (unsigned long long)report->refused);
    const size_t n = report->series_count < d->series_max ? report->series_count : d->series_max;
    for (size_t i = 0; i < n; i++) {
        const struct page_series *s = &report->series[i];
        print_metric(d->out, "\n  ", s->exposed);
        if (s->error.len > 0) {
            (void)fprintf(d->out, "  ! ");
            print_safe(d->out, s->error);
            (void)fputc('\n', d->out);
        } else if (!s->kept) {
            (void)fprintf(d->out, "  > dropped\n");
        } else {
            print_metric(d->out, "  > ", s->stored);
        }
    }
}

/* ---- all of it ---- */

/* True when a scrape would be good. */
static bool show_page(struct debug *d) {
    struct page_report *report = arena_zalloc(d->call->arena, sizeof(*report));
    struct str body = STR("");
    struct err err;
    enum err_code code =
        page_uncompress(d->encoding, d->body, BODY_BYTES_MAX, d->call->arena, &body, &err);
    if (code == ERR_OK) {
        code = page_report_make(d->job, d->target.labels, d->content_type, body, d->call->arena,
                                report, &err);
    }
    if (code != ERR_OK) {
        (void)fprintf(d->out, "\nThe page cannot be read: %s\n", err.text);
        return false;
    }
    print_counts(d, report, body.len);
    print_series(d, report);
    if (tool_is_on(d->call, "body")) {
        print_title(d, "Page");
        (void)fwrite(body.ptr, 1, body.len, d->out);
    }
    const uint64_t limit = d->job->sample_limit;
    if (limit > 0 && report->kept > limit) {
        (void)fprintf(d->out, "\nsample_limit of %llu is exceeded\n", (unsigned long long)limit);
    }
    return report->error_count == 0 && report->refused == 0 &&
           (limit == 0 || report->kept <= limit);
}

static enum err_code read_arguments(struct debug *d, struct err *err) {
    const char *timeout = tool_text(d->call, "timeout");
    uint64_t series = 0;
    d->url = str_of(tool_arg(d->call, 0));
    if (str_find(d->url, STR("://")) < 0) {
        d->url = arena_printf(d->call->arena, "http://%.*s", STR_ARG(d->url));
    }
    if (number_parse_u64(str_of(tool_text(d->call, "series")), &series) != NUMBER_OK) {
        return err_set(err, ERR_INVALID, "--series must be a number");
    }
    d->series_max = series < PAGE_SERIES_MAX ? (size_t)series : PAGE_SERIES_MAX;
    enum err_code code = load_job(d, err);
    d->timeout_ms = code == ERR_OK ? d->job->timeout_ms : 0;
    if (code == ERR_OK && timeout != NULL) {
        int64_t ns = 0;
        code = tool_parse_go_duration(str_of(timeout), &ns, err);
        d->timeout_ms = ns / NS_PER_MS > 0 ? ns / NS_PER_MS : 1;
    }
    return code;
}

static bool show(struct debug *d) {
    struct err err;
    enum err_code code = read_arguments(d, &err);
    if (code == ERR_OK) {
        code = make_target(d, &err);
    }
    if (code == ERR_OK) {
        print_target(d);
        code = fetch(d, &err);
    }
    if (code != ERR_OK) {
        (void)fprintf(d->call->io.err, "error: %s\n", err.text);
        return false;
    }
    print_received(d);
    if (d->code != ERR_OK) {
        (void)fprintf(d->out, "\nThe scrape fails: %s\n", d->err.text);
        return false;
    }
    if (d->status != 200) {
        (void)fprintf(d->out, "\nThe scrape fails: server returned HTTP status %d\n", d->status);
        return false;
    }
    return show_page(d);
}

int cmd_debug_scrape(struct tool_call *call) {
    struct debug d = {.call = call, .out = call->io.out};
    const bool good = show(&d);
    config_unref(d.config);
    return good ? TOOL_OK : TOOL_FAILED;
}
