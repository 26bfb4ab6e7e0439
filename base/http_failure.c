/* The texts of failed requests: Go's words where it has some, else libcurl's. */
#include "base/http_curl.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/utf8.h"

/* "Get" of "GET", as Go begins its error texts. */
enum err_code http_failure_wrap(const struct transport_request *r, struct err *err) {
    char op[16];
    size_t n = 0;
    for (; r->method[n] != '\0' && n + 1 < sizeof(op); n++) {
        const char c = r->method[n];
        op[n] = n > 0 && c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
    }
    op[n] = '\0';
    struct buf url;
    buf_init(&url, 2 * r->url.len + 16);
    url_redact(&url, str_sub(r->url, 0, ERR_TEXT_MAX / 2));
    const enum err_code code = err_wrap(err, "%s \"%.*s\"", op, STR_ARG(buf_str(&url)));
    buf_release(&url);
    return code;
}

/* "connection refused": strerror's text with Go's small letter. */
static const char *errno_text(int sys_errno, char *to, size_t size) {
    char reason[128];
    (void)snprintf(to, size, "%s", strerror_r(sys_errno, reason, sizeof(reason)));
    if (to[0] >= 'A' && to[0] <= 'Z' && to[1] >= 'a' && to[1] <= 'z') {
        to[0] = (char)(to[0] + ('a' - 'A'));
    }
    return to;
}

void http_note_peer(struct transport_request *r, const struct sockaddr *address) {
    char text[INET6_ADDRSTRLEN];
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof(in));
        (void)inet_ntop(AF_INET, &in.sin_addr, text, sizeof(text));
        (void)snprintf(r->peer, sizeof(r->peer), "tcp %s:%u", text, ntohs(in.sin_port));
    } else if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, address, sizeof(in6));
        (void)inet_ntop(AF_INET6, &in6.sin6_addr, text, sizeof(text));
        (void)snprintf(r->peer, sizeof(r->peer), "tcp [%s]:%u", text, ntohs(in6.sin6_port));
    } else if (address->sa_family == AF_UNIX) {
        (void)snprintf(r->peer, sizeof(r->peer), "unix %.*s", STR_ARG(r->unix_socket));
    }
}

static enum err_code connect_error(const struct transport_request *r, struct err *err) {
    long sys_errno = r->dial_errno;
    if (sys_errno == 0) {
        must(curl_easy_getinfo(r->easy, CURLINFO_OS_ERRNO, &sys_errno));
    }
    char reason[128];
    if (sys_errno == 0 || r->peer[0] == '\0') {
        return err_set(err, ERR_NETWORK, "dial %s: %s", r->peer[0] != '\0' ? r->peer : "tcp",
                       r->detail);
    }
    return err_set(err, ERR_NETWORK, "dial %s: connect: %s", r->peer,
                   errno_text((int)sys_errno, reason, sizeof(reason)));
}

static enum err_code stream_error(const struct transport_request *r, const char *op,
                                  struct err *err) {
    const char *local_ip = NULL;
    const char *peer_ip = NULL;
    long local_port = 0;
    long peer_port = 0;
    long sys_errno = 0;
    must(curl_easy_getinfo(r->easy, CURLINFO_LOCAL_IP, &local_ip));
    must(curl_easy_getinfo(r->easy, CURLINFO_LOCAL_PORT, &local_port));
    must(curl_easy_getinfo(r->easy, CURLINFO_PRIMARY_IP, &peer_ip));
    must(curl_easy_getinfo(r->easy, CURLINFO_PRIMARY_PORT, &peer_port));
    must(curl_easy_getinfo(r->easy, CURLINFO_OS_ERRNO, &sys_errno));
    if (sys_errno == 0) {
        return err_set(err, ERR_NETWORK, "%s", r->detail[0] != '\0' ? r->detail : "EOF");
    }
    char reason[128];
    return err_set(err, ERR_NETWORK, "%s tcp %s:%ld->%s:%ld: %s: %s", op,
                   local_ip != NULL ? local_ip : "", local_port, peer_ip != NULL ? peer_ip : "",
                   peer_port, op, errno_text((int)sys_errno, reason, sizeof(reason)));
}

static enum err_code lookup_error(const struct transport_request *r, struct err *err) {
    struct arena scratch;
    arena_init(&scratch, 0);
    struct url url;
    if (url_parse(&scratch, r->url, &url, NULL) != ERR_OK) {
        url.host = STR("");
    }
    const enum err_code code =
        err_set(err, ERR_NETWORK, "dial tcp: lookup %.*s: no such host", STR_ARG(url.host));
    arena_release(&scratch);
    return code;
}

enum http_failure http_failure_kind(const struct transport_request *r) {
    switch ((int)r->result) { /* libcurl's codes are many, and grow */
    case CURLE_OK:
        return HTTP_FAILURE_NONE;
    case CURLE_OPERATION_TIMEDOUT:
        return HTTP_FAILURE_TIMEOUT;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return HTTP_FAILURE_LOOKUP;
    case CURLE_COULDNT_CONNECT:
    case CURLE_PROXY:
        return HTTP_FAILURE_CONNECT;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_ENGINE_NOTFOUND:
    case CURLE_PEER_FAILED_VERIFICATION:
        return HTTP_FAILURE_TLS;
    default:
        return HTTP_FAILURE_EXCHANGE;
    }
}

/* What of the head cannot be believed. */
static enum err_code framing_error(const struct transport_request *r, struct err *err) {
    static const struct {
        const char *text;
        bool named;
    } faults[] = {
        [HTTP_FRAMING_SOUND] = {"", false},
        [HTTP_FRAMING_BAD_LENGTH] = {"bad Content-Length", true},
        [HTTP_FRAMING_LENGTHS_DIFFER] =
            {"http: message cannot contain multiple Content-Length headers; got", true},
        [HTTP_FRAMING_UNKNOWN_ENCODING] = {"unsupported transfer encoding:", true},
        [HTTP_FRAMING_MANY_ENCODINGS] = {"too many transfer encodings", false},
    };
    static const char broken[] = "net/http: HTTP/1.x transport connection broken: ";
    const enum http_framing_fault fault = r->reply.framing.fault;
    if (!faults[fault].named) {
        return err_set(err, ERR_NETWORK, "%s%s", broken, faults[fault].text);
    }
    struct buf value;
    buf_init(&value, (size_t)4 * ERR_TEXT_MAX);
    utf8_quote(&value, str_sub(http_reply_get(&r->reply, REPLY_BAD_FRAMING), 0, 48));
    const enum err_code code = err_set(err, ERR_NETWORK, "%s%s %.*s", broken, faults[fault].text,
                                       STR_ARG(buf_str(&value)));
    buf_release(&value);
    return code;
}

/* The text without the operation and URL: Go's words where it has some, else libcurl's. */
static enum err_code result_error(const struct transport_request *r, struct err *err) {
    static const struct {
        CURLcode result;
        const char *text;
    } fixed[] = {
        {CURLE_GOT_NOTHING, "EOF"},
        {CURLE_PARTIAL_FILE, "unexpected EOF"},
        {CURLE_WEIRD_SERVER_REPLY,
         "net/http: HTTP/1.x transport connection broken: malformed HTTP response"},
        {CURLE_UNSUPPORTED_PROTOCOL, /* HTTP/0.9, that is: no status line */
         "net/http: HTTP/1.x transport connection broken: malformed HTTP response"},
    };
    if (r->head_too_large) {
        return err_set(err, ERR_LIMIT, "response headers are larger than %d bytes",
                       HTTP_HEAD_BYTES_MAX);
    }
    if (r->reply.framing.fault != HTTP_FRAMING_SOUND) {
        return framing_error(r, err);
    }
    if (r->trailer_bytes > HTTP_TRAILER_BYTES_MAX) {
        return err_set(err, ERR_LIMIT, "http: suspiciously long trailer after chunked body");
    }
    if (r->result == CURLE_OPERATION_TIMEDOUT) {
        return err_set(err, ERR_TIMEOUT, "context deadline exceeded");
    }
    if (r->address_denied) {
        return err_set(err, ERR_NETWORK,
                       "dial %s: link-local addresses are refused (--scrape.deny-link-local)",
                       r->peer);
    }
    if (r->result == CURLE_COULDNT_CONNECT) {
        return connect_error(r, err);
    }
    if (r->result == CURLE_COULDNT_RESOLVE_HOST) {
        return lookup_error(r, err);
    }
    if (r->result == CURLE_RECV_ERROR || r->result == CURLE_SEND_ERROR) {
        return stream_error(r, r->result == CURLE_RECV_ERROR ? "read" : "write", err);
    }
    for (size_t i = 0; i < COUNT_OF(fixed); i++) {
        if (fixed[i].result == r->result) {
            return err_set(err, ERR_NETWORK, "%s", fixed[i].text);
        }
    }
    const bool verify = r->result == CURLE_PEER_FAILED_VERIFICATION;
    return err_set(err, ERR_NETWORK, "%s%s", verify ? "tls: failed to verify certificate: " : "",
                   r->detail[0] != '\0' ? r->detail : curl_easy_strerror(r->result));
}

/* Once the head is there, Go's client has answered and an error of the body stands alone. */
enum err_code http_failure_of(const struct transport_request *r, struct err *err) {
    const enum err_code code = result_error(r, err);
    if (!r->head_done) {
        (void)http_failure_wrap(r, err);
    }
    return code;
}
