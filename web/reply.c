/* Answers on their way to the library: headers, compression, and those made in pieces. */
#include "base/check.h"
#include "base/compress.h"
#include "base/mem.h"
#include "base/number.h"
#include "web/exchange.h"

enum { COMPRESS_MIN_BYTES = 1024, STREAM_BLOCK_BYTES = 32 * 1024 };

static void count_request(const struct request *r) {
    const struct web_options *o = &r->server->web->options;
    char code[20];
    const size_t code_len = number_format_i64(r->out.status, code);
    const struct label labels[] = {{STR("handler"), str_of(route_label(r->route))},
                                   {STR("code"), {code, code_len}}};
    metric_inc(metric_counter(o->registry, "prometheus_http_requests_total",
                              "Counter of HTTP requests.", labels, 2));
    static const double bounds[] = {.1, .2, .4, 1, 3, 8, 20, 60, 120};
    struct metric_histogram *seconds = metric_histogram(
        o->registry, "prometheus_http_request_duration_seconds",
        "Histogram of latencies for HTTP requests.", labels, 1, bounds, COUNT_OF(bounds));
    metric_observe(seconds, (double)(clock_mono_ns(o->clock) - r->start_mono_ns) / 1e9);
}

/* ---- headers ---- */

static void add(struct MHD_Response *response, const char *name, const char *value) {
    if (value != NULL && value[0] != '\0') {
        (void)MHD_add_response_header(response, name, value);
    }
}

static void add_cors(struct request *r, struct MHD_Response *response) {
    add(response, "Vary", r->out.vary_origin ? "Origin" : NULL);
    if (!r->out.cors) {
        return;
    }
    add(response, "Access-Control-Allow-Headers", "Accept, Authorization, Content-Type, Origin");
    add(response, "Access-Control-Allow-Methods", "GET, POST, OPTIONS");
    add(response, "Access-Control-Expose-Headers", "Date");
    if (r->out.allow_origin.len != 0) {
        add(response, "Access-Control-Allow-Origin", arena_cstr(&r->in.arena, r->out.allow_origin));
    }
}

static void add_headers(struct request *r, struct MHD_Response *response) {
    struct http_outgoing *out = &r->out;
    add(response, "Content-Type", out->status != 204 ? out->content_type : NULL);
    add(response, "X-Content-Type-Options", "nosniff");
    add(response, "Allow", out->allow);
    add(response, "ETag", out->etag);
    add(response, "Cache-Control", out->cache_control);
    if (out->location.len != 0) {
        add(response, "Location", arena_cstr(&r->in.arena, out->location));
    }
    if (out->stopping_header) {
        add(response, "X-Prometheus-Stopping", out->stopping ? "true" : "false");
    }
    for (size_t i = 0; i < out->header_count; i++) {
        add(response, out->headers[i].name, arena_cstr(&r->in.arena, out->headers[i].value));
    }
    if (out->compress || out->body_is_gzip) {
        add(response, "Vary", "Accept-Encoding");
    }
    if (out->page) {
        add(response, "Content-Security-Policy",
            "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src "
            "'self'; img-src 'self' data:; "
            "base-uri 'none'; form-action 'self'; frame-ancestors 'self'; "
            "require-trusted-types-for 'script'");
        add(response, "Referrer-Policy", "no-referrer");
    }
    add_cors(r, response);
}

/* Compresses a body worth it; leaves it alone if that fails. */
static bool compress_body(struct request *r) {
    if (!r->out.compress || r->out.body.len < COMPRESS_MIN_BYTES ||
        !http_accepts_gzip(r->in.accept_encoding)) {
        return false;
    }
    struct buf packed;
    buf_init(&packed, HTTP_RESPONSE_MAX);
    if (deflate_gzip(buf_str(&r->out.body), 1, &packed, NULL) != ERR_OK) {
        buf_release(&packed);
        return false;
    }
    buf_release(&r->out.body);
    r->out.body = packed;
    return true;
}

/* Assets are stored compressed; the rare client without gzip gets them inflated. */
static bool inflate_asset(struct request *r) {
    if (!r->out.body_is_gzip || http_accepts_gzip(r->in.accept_encoding)) {
        return false;
    }
    struct inflater *inflater = inflater_new();
    buf_clear(&r->out.body);
    const bool ok = inflate_gzip(inflater, r->out.static_body, &r->out.body, NULL) == ERR_OK;
    inflater_free(inflater);
    r->out.static_body = STR("");
    return ok;
}

/* ---- answers in pieces ---- */

static struct buf *piece_of(struct request *r) {
    return r->gzip != NULL ? &r->packed : &r->out.body;
}

static void pack_piece(struct request *r) {
    if (r->gzip != NULL) {
        buf_clear(&r->packed);
        gzip_stream_write(r->gzip, buf_str(&r->out.body), r->out.source == NULL, &r->packed);
    }
}

void reply_make_piece(struct request *r) {
    buf_clear(&r->out.body);
    if (!r->out.source->more(r->out.source, &r->out.body)) {
        r->out.source = NULL;
    }
    pack_piece(r);
    r->sent_bytes = 0;
}

static ssize_t read_piece(void *ctx, uint64_t offset, char *to, size_t max) {
    (void)offset;
    struct request *r = ctx;
    const struct buf *piece = piece_of(r);
    if (!buf_ok(piece) || !buf_ok(&r->out.body)) {
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    if (r->sent_bytes < piece->len) {
        const size_t left = piece->len - r->sent_bytes;
        const size_t n = left < max ? left : max;
        memcpy(to, piece->ptr + r->sent_bytes, n);
        r->sent_bytes += n;
        return (ssize_t)n;
    }
    if (r->out.source == NULL) {
        return MHD_CONTENT_READER_END_OF_STREAM;
    }
    if (!request_suspend(r)) {
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    if (!workers_push(r->server, r)) {
        reply_make_piece(r);
        request_resume(r);
    }
    return 0;
}

static struct MHD_Response *make_streamed(struct request *r) {
    r->streams = true;
    if (r->out.compress && http_accepts_gzip(r->in.accept_encoding)) {
        r->gzip = gzip_stream_new(1);
    }
    pack_piece(r);
    struct MHD_Response *response = MHD_create_response_from_callback(
        MHD_SIZE_UNKNOWN, STREAM_BLOCK_BYTES, read_piece, r, NULL);
    if (response != NULL && r->gzip != NULL) {
        add(response, "Content-Encoding", "gzip");
    }
    return response;
}

static struct MHD_Response *make_response(struct request *r) {
    if (r->out.source != NULL) {
        return make_streamed(r);
    }
    const bool inflated = inflate_asset(r);
    const bool packed = compress_body(r);
    struct MHD_Response *response = NULL;
    if (r->out.static_body.len != 0) {
        response = MHD_create_response_from_buffer(r->out.static_body.len,
                                                   (void *)(uintptr_t)r->out.static_body.ptr,
                                                   MHD_RESPMEM_PERSISTENT);
    } else {
        size_t size = 0;
        char *body = buf_take(&r->out.body, &size);
        response = MHD_create_response_from_buffer(size, body, MHD_RESPMEM_MUST_FREE);
        if (response == NULL) {
            mem_free(body);
        }
    }
    if (response != NULL && (packed || (r->out.body_is_gzip && !inflated))) {
        add(response, "Content-Encoding", "gzip");
    }
    return response;
}

enum MHD_Result reply_send(struct request *r) {
    if (!buf_ok(&r->out.body)) {
        buf_clear(&r->out.body);
        http_text(&r->out, 500, "the answer is too large\n");
    }
    if (r->out.etag != NULL && r->out.status == 200) {
        const char *known =
            MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, "If-None-Match");
        if (known != NULL && strcmp(known, r->out.etag) == 0) {
            r->out.status = 304;
            r->out.static_body = STR("");
            r->out.body_is_gzip = false;
        }
    }
    count_request(r);
    struct MHD_Response *response = make_response(r);
    if (response == NULL) {
        return MHD_NO;
    }
    add_headers(r, response);
    if (r->out.status >= 400 && r->out.status != 404) {
        /* what led to a bad request may also have garbled the framing: no second one on this connection */
        add(response, "Connection", "close");
    }
    const enum MHD_Result result =
        MHD_queue_response(r->connection, (unsigned)r->out.status, response);
    MHD_destroy_response(response);
    return result;
}
