/* The options of an easy handle, and what libcurl calls while it works on one. The handle is made
 * when a request first needs it, and keeps what does not change between requests of its client. */
#include "base/http_curl.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/ip_address.h"
#include "base/mem.h"

enum {
    BODY_FIRST_MAX = 4 * 1024 * 1024, /* most that is reserved on a peer's word */
    RECEIVE_BUFFER_BYTES = 64 * 1024,
    IDLE_CONNECTION_S = 300,
    DNS_CACHE_S = 5
};

static size_t on_header(char *bytes, size_t size, size_t count, void *ctx) {
    struct transport_request *r = ctx;
    const struct str line = {bytes, size * count};
    if (r->trace != NULL) {
        buf_append_str(&r->trace->head, line);
    }
    if (r->head_done) { /* a trailer: nobody asked for it, but libcurl keeps it */
        r->trailer_bytes += line.len;
        return r->trailer_bytes <= HTTP_TRAILER_BYTES_MAX ? line.len : 0;
    }
    if (!http_reply_line(&r->reply, line)) {
        r->head_too_large = true;
        return 0;
    }
    r->head_done = r->reply.status >= 200 && str_trim(line).len == 0;
    if (r->head_done && r->reply.framing.fault != HTTP_FRAMING_SOUND) {
        r->head_done = false; /* to others no answer has come */
        return 0;
    }
    if (r->head_done && r->reply.framing.repeated) { /* where the next answer begins is a guess */
        r->reply.closes = true;
        must(curl_easy_setopt(r->easy, CURLOPT_FORBID_REUSE, 1L));
    }
    return line.len;
}

/* Room for the whole body at once when its length is known or was seen before. */
static void reserve_body(struct transport_request *r) {
    curl_off_t announced = -1;
    must(curl_easy_getinfo(r->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &announced));
    size_t want = announced > 0 ? (size_t)announced : r->client->expected_body_bytes;
    if (want > BODY_FIRST_MAX) {
        want = BODY_FIRST_MAX;
    }
    if (want > r->max_body_bytes) {
        want = r->max_body_bytes;
    }
    if (want > 0) {
        char *room = buf_reserve(&r->body, want);
        ASSERT(room != NULL);
    }
}

static size_t on_body(char *bytes, size_t size, size_t count, void *ctx) {
    struct transport_request *r = ctx;
    const size_t n = size * count;
    if (!r->body_started) {
        r->body_started = true;
        http_body_begin(r);
        reserve_body(r);
    }
    if (n > r->max_body_bytes - r->body.len) {
        r->body_too_large = true;
        return 0; /* libcurl gives up and closes the connection */
    }
    buf_append(&r->body, bytes, n);
    return n;
}

static curl_socket_t on_open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *to) {
    (void)purpose;
    struct transport_request *r = ctx;
    http_note_peer(r, &to->addr);
    if (r->deny_link_local && ip_is_link_local(&to->addr)) { /* what was resolved, not the name */
        r->address_denied = true;
        return CURL_SOCKET_BAD;
    }
    const int fd = socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
    if (fd < 0) {
        return CURL_SOCKET_BAD;
    }
    r->client->connection_count++;
    r->opened[r->opened_count++ % OPENED_MAX] = fd;
    return fd;
}

static int on_close_socket(void *ctx, curl_socket_t fd) {
    struct transport_client *client = ctx;
    client->connection_count--;
    return close(fd);
}

/* As above, but the connection may go on without libcurl: see keep_connection. */
static int on_part_socket(void *ctx, curl_socket_t fd) {
    struct transport_client *client = ctx;
    struct curl_transport *t = client->t;
    client->connection_count--;
    t->parted = mem_resize(t->parted, t->parted_count + 1, sizeof(int));
    t->parted[t->parted_count++] = fd;
    return 0;
}

static long tls_versions(const struct tls_config *tls) {
    static const long lowest[] = {
        [TLS_DEFAULT] = CURL_SSLVERSION_TLSv1_2, [TLS10] = CURL_SSLVERSION_TLSv1_0,
        [TLS11] = CURL_SSLVERSION_TLSv1_1,       [TLS12] = CURL_SSLVERSION_TLSv1_2,
        [TLS13] = CURL_SSLVERSION_TLSv1_3,
    };
    static const long highest[] = {
        [TLS_DEFAULT] = CURL_SSLVERSION_MAX_DEFAULT, [TLS10] = CURL_SSLVERSION_MAX_TLSv1_0,
        [TLS11] = CURL_SSLVERSION_MAX_TLSv1_1,       [TLS12] = CURL_SSLVERSION_MAX_TLSv1_2,
        [TLS13] = CURL_SSLVERSION_MAX_TLSv1_3,
    };
    return lowest[tls->min_version] | highest[tls->max_version];
}

static void set_pem(CURL *easy, CURLoption option, int fd, struct str path) {
    char name[64];
    if (fd >= 0) {
        (void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
        must(curl_easy_setopt(easy, option, name));
    } else if (path.len > 0) {
        char *text = mem_strndup(path.ptr, path.len);
        must(curl_easy_setopt(easy, option, text));
        mem_free(text);
    }
}

static void set_tls(CURL *easy, const struct transport_client *client) {
    const struct tls_config *tls = &client->config->tls;
    if (client->ca_fd >= 0 || tls->ca_file.len > 0 || tls->insecure_skip_verify) {
        /* Instead of the system's authorities, not beside them: reading those 140 files for each
         * connection takes longer than the handshake, too. */
        must(curl_easy_setopt(easy, CURLOPT_CAINFO, NULL));
        must(curl_easy_setopt(easy, CURLOPT_CAPATH, NULL));
    }
    set_pem(easy, CURLOPT_CAINFO, client->ca_fd, tls->ca_file);
    set_pem(easy, CURLOPT_SSLCERT, client->cert_fd, tls->cert_file);
    set_pem(easy, CURLOPT_SSLKEY, client->key_fd, tls->key_file);
    must(curl_easy_setopt(easy, CURLOPT_SSLVERSION, tls_versions(tls)));
    if (tls->insecure_skip_verify) {
        must(curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L));
        must(curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L));
    }
}

static void set_proxy(CURL *easy, const struct transport_client *client) {
    const struct http_config *config = client->config;
    const bool from_environment = config != NULL && config->proxy_from_environment;
    if (!from_environment) {
        char *url = config != NULL ? mem_strndup(config->proxy_url.ptr, config->proxy_url.len)
                                   : mem_strdup("");
        must(curl_easy_setopt(easy, CURLOPT_PROXY, url)); /* "" also keeps the environment out */
        mem_free(url);
    }
    if (client->no_proxy != NULL) {
        must(curl_easy_setopt(easy, CURLOPT_NOPROXY, client->no_proxy));
    }
}

/* What stays for all requests of the client. */
static void set_client_options(struct transport_request *r) {
    CURL *easy = r->easy;
    const struct transport_client *client = r->client;
    const bool http2 = client->config == NULL || client->config->enable_http2;
    must(curl_easy_setopt(easy, CURLOPT_PRIVATE, r));
    must(curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, r->detail));
    must(curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L));
    must(curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https"));
    must(curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L));
    must(curl_easy_setopt(easy, CURLOPT_UNRESTRICTED_AUTH, 0L));
    must(curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED));
    must(curl_easy_setopt(easy, CURLOPT_HTTP_CONTENT_DECODING, 0L));
    must(curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L));
    must(curl_easy_setopt(easy, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE));
    must(curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
                          (long)(http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1)));
    must(curl_easy_setopt(easy, CURLOPT_USERAGENT, client->t->user_agent.ptr));
    must(curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)RECEIVE_BUFFER_BYTES));
    must(curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L));
    must(curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L));
    must(curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, (long)IDLE_CONNECTION_S));
    must(curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, (long)DNS_CACHE_S));
    must(curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header));
    must(curl_easy_setopt(easy, CURLOPT_HEADERDATA, r));
    must(curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body));
    must(curl_easy_setopt(easy, CURLOPT_WRITEDATA, r));
    must(curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket));
    must(curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, r));
    must(curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, client));
    set_proxy(easy, client);
    if (client->config != NULL && client->config->has_tls) {
        set_tls(easy, client);
    } else {
        must(curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2));
    }
}

static void set_method(struct transport_request *r) {
    CURL *easy = r->easy;
    must(curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, NULL));
    if (strcmp(r->method, "HEAD") == 0) {
        must(curl_easy_setopt(easy, CURLOPT_NOBODY, 1L));
        return;
    }
    must(curl_easy_setopt(easy, CURLOPT_NOBODY, 0L));
    if (strcmp(r->method, "POST") == 0 || r->body_out.len > 0) {
        must(curl_easy_setopt(easy, CURLOPT_POST, 1L));
        must(curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_out.len));
        must(curl_easy_setopt(easy, CURLOPT_POSTFIELDS, r->body_out.ptr));
    } else {
        must(curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L));
    }
    if (strcmp(r->method, "GET") != 0 && strcmp(r->method, "POST") != 0) {
        must(curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, r->method));
    }
}

static bool line_is_credential(struct str line) {
    static const struct str names[] = {STR_INIT("Authorization"), STR_INIT("Cookie"),
                                       STR_INIT("Cookie2"), STR_INIT("Proxy-Authorization"),
                                       STR_INIT("Www-Authenticate")};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (http_line_has_name(line, names[i])) {
            return true;
        }
    }
    return false;
}

/* libcurl reads "Name:" as "send none" and wants "Name;" for an empty value. */
static void append_header(struct transport_request *r, struct str line) {
    const ptrdiff_t colon = str_find_char(line, ':');
    if (colon > 0 && str_trim(str_from(line, (size_t)colon + 1)).len == 0) {
        line = arena_printf(&r->arena, "%.*s;", (int)colon, line.ptr);
    }
    append_line(&r->header_list, line.ptr);
}

static void set_headers(struct transport_request *r) {
    curl_slist_free_all(r->header_list);
    r->header_list = NULL;
    bool own_authorization = false;
    bool content_type = false;
    for (size_t i = 0; i < r->header_count; i++) {
        own_authorization =
            own_authorization || http_line_has_name(r->headers[i], STR("Authorization"));
        content_type = content_type || http_line_has_name(r->headers[i], STR("Content-Type"));
        if (!r->credentials_dropped || !line_is_credential(r->headers[i])) {
            append_header(r, r->headers[i]);
        }
    }
    const size_t skip = r->config_lines.has_authorization && own_authorization ? 1 : 0;
    for (size_t i = skip; i < r->config_lines.count && !r->credentials_dropped; i++) {
        append_header(r, r->config_lines.lines[i]);
    }
    if (r->body_out.len > 0) {
        append_line(&r->header_list, "Expect:"); /* no round trip to ask whether to send it */
        if (!content_type) {
            append_line(&r->header_list, "Content-Type:");
        }
    }
}

static void set_proxy_headers(struct transport_client *client) {
    const struct http_lines *const lines = &client->proxy_lines;
    for (size_t i = 0; client->proxy_headers == NULL && i < lines->count; i++) {
        append_line(&client->proxy_headers, lines->lines[i].ptr);
    }
}

/* server_name is the name to ask for and to verify: it becomes the URL's host, the connection goes
 * to the real one, and the Host header names the real one too. */
static enum err_code set_server_name(struct transport_request *r, const struct url *url,
                                     struct str server_name, struct str *out_url, struct err *err) {
    const enum err_code code = url_with_host(&r->arena, r->url, server_name, out_url, err);
    if (code != ERR_OK) {
        return code;
    }
    const struct str port = url->port;
    append_line(&r->connect_to,
                arena_printf(&r->arena, "::%.*s:%.*s", STR_ARG(url->host), STR_ARG(port)).ptr);
    append_line(&r->header_list, arena_printf(&r->arena, "Host: %.*s%s%.*s", STR_ARG(url->host),
                                              port.len > 0 ? ":" : "", STR_ARG(port))
                                     .ptr);
    return ERR_OK;
}

enum err_code http_easy_set_up(struct transport_request *r, const struct url *url, bool https,
                               struct err *err) {
    curl_slist_free_all(r->connect_to);
    r->connect_to = NULL;
    set_headers(r);
    set_proxy_headers(r->client);
    const struct http_config *config = r->client->config;
    struct str target = r->url;
    if (https && config != NULL && config->has_tls && config->tls.server_name.len > 0) {
        const enum err_code code = set_server_name(r, url, config->tls.server_name, &target, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    long timeout_ms = 0;
    if (r->deadline_mono_ns != INT64_MAX) {
        const int64_t left_ms = (r->deadline_mono_ns - http_now_ns()) / NS_PER_MS;
        timeout_ms = left_ms > 0 ? (long)left_ms : 1;
    }
    if (r->easy == NULL) {
        r->easy = curl_easy_init();
        ASSERT(r->easy != NULL);
        set_client_options(r);
    }
    CURL *easy = r->easy;
    const bool parts = r->authority.len > 0;
    must(curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, parts ? 1L : 0L));
    must(curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION,
                          parts ? on_part_socket : on_close_socket));
    must(curl_easy_setopt(easy, CURLOPT_URL, target.ptr));
    must(curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH,
                          r->unix_socket.len > 0 ? r->unix_socket.ptr : NULL));
    must(curl_easy_setopt(easy, CURLOPT_CONNECT_TO, r->connect_to));
    must(curl_easy_setopt(easy, CURLOPT_PROXYHEADER, https ? r->client->proxy_headers : NULL));
    must(curl_easy_setopt(easy, CURLOPT_HTTPHEADER, r->header_list));
    must(curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout_ms));
    must(curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, timeout_ms));
    set_method(r);
    return ERR_OK;
}
