#include "tests/unit/web/raw_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/check_err.h"

int raw_dial(uint16_t port) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

void raw_send(int fd, const char *text) {
    size_t at = 0;
    const size_t n = strlen(text);
    while (at < n) {
        const ssize_t sent = send(fd, text + at, n - at, MSG_NOSIGNAL);
        if (sent <= 0) {
            return; /* the server hung up early, as it may */
        }
        at += (size_t)sent;
    }
}

bool raw_receive(int fd, struct buf *to) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (poll(&p, 1, RAW_TIMEOUT_MS) != 1) {
        fail_msg("the server does not answer");
    }
    char bytes[16 * 1024];
    const ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
    if (n <= 0) {
        return false;
    }
    buf_append(to, bytes, (size_t)n);
    return true;
}

struct str raw_header(const struct raw_answer *a, const char *name) {
    const ptrdiff_t at = str_find(a->head, str_of(name));
    if (at < 0) {
        return STR("");
    }
    const struct str rest = str_from(a->head, (size_t)at + strlen(name));
    const ptrdiff_t end = str_find(rest, STR("\r\n"));
    return str_trim(str_sub(rest, 0, end < 0 ? rest.len : (size_t)end));
}

bool raw_read(int fd, struct buf *rest, bool no_body, struct raw_answer *out) {
    ptrdiff_t end = -1;
    while ((end = str_find(buf_str(rest), STR("\r\n\r\n"))) < 0) {
        if (!raw_receive(fd, rest)) {
            return false;
        }
    }
    struct raw_answer a = {.status = 0};
    a.head = str_sub(buf_str(rest), 0, (size_t)end + 2);
    const struct str length = raw_header(&a, "Content-Length:");
    size_t body = 0;
    for (size_t i = 0; i < length.len && !no_body; i++) {
        body = body * 10 + (size_t)(length.ptr[i] - '0');
    }
    const size_t whole = (size_t)end + 4 + body;
    while (rest->len < whole && raw_receive(fd, rest)) {
    }
    assert_true(rest->len >= whole);
    buf_init(&out->raw, 64 * 1024 * 1024);
    buf_append(&out->raw, rest->ptr, whole);
    out->head = str_sub(buf_str(&out->raw), 0, (size_t)end + 2);
    out->body = str_from(buf_str(&out->raw), (size_t)end + 4);
    assert_true(str_starts(out->head, STR("HTTP/1.1 ")));
    out->status =
        (out->head.ptr[9] - '0') * 100 + (out->head.ptr[10] - '0') * 10 + (out->head.ptr[11] - '0');
    struct buf left;
    buf_init(&left, 64 * 1024 * 1024);
    buf_append(&left, rest->ptr + whole, rest->len - whole);
    buf_release(rest);
    *rest = left;
    return true;
}

struct raw_answer raw_ask(uint16_t port, const char *request) {
    const int fd = raw_dial(port);
    raw_send(fd, request);
    struct buf rest;
    buf_init(&rest, 64 * 1024 * 1024);
    struct raw_answer a = {.status = 0};
    if (!raw_read(fd, &rest, strncmp(request, "HEAD", 4) == 0, &a)) {
        buf_init(&a.raw, 1);
    }
    buf_release(&rest);
    (void)close(fd);
    return a;
}

void raw_check_status(uint16_t port, const char *request, int status) {
    struct raw_answer a = raw_ask(port, request);
    if (a.status != status) {
        fail_msg("%.80s: %d, want %d", request, a.status, status);
    }
    buf_release(&a.raw);
}
