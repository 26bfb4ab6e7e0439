/* HTTP client options (spec/config.md section 5), as parsed: inline in scrape configs,
 * Alertmanagers and HTTP-based discovery. Lives in a config generation. Secrets are marked by
 * their type and print as <secret>. */
#ifndef BASE_HTTP_CONFIG_H
#define BASE_HTTP_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

/* A value that only the code that sends it may read; printing code writes "<secret>". */
struct secret {
    struct str reveal;
};

struct http_header {
    struct str name;
    const struct str *values;
    size_t value_count;
    const struct secret *secrets;
    size_t secret_count;
    const struct str *files;
    size_t file_count;
};

enum tls_version { TLS_DEFAULT, TLS10, TLS11, TLS12, TLS13 };

struct tls_config {
    struct str ca, ca_file, cert, cert_file, key_file, server_name;
    struct secret key;
    bool insecure_skip_verify;
    enum tls_version min_version, max_version;
};

struct oauth2_config {
    bool set;
    struct str client_id, client_secret_file, token_url;
    struct secret client_secret;
    const struct str *scopes;
    size_t scope_count;
    const struct str *endpoint_params; /* name, value pairs */
    size_t endpoint_param_count;       /* strings: even */
    struct tls_config tls;
    struct str proxy_url, no_proxy;
    bool proxy_from_environment;
    const struct http_header *proxy_connect_headers;
    size_t proxy_connect_header_count;
};

struct http_config {
    bool has_basic_auth;
    struct str username, username_file, password_file;
    struct secret password;
    bool has_authorization;        /* bearer_token(_file) arrive here too, as type Bearer */
    struct str authorization_type; /* default Bearer */
    struct secret credentials;
    struct str credentials_file;
    struct oauth2_config oauth2;
    bool has_tls;
    struct tls_config tls;
    bool follow_redirects; /* default true */
    bool enable_http2;     /* default true */
    struct str proxy_url, no_proxy;
    bool proxy_from_environment;
    const struct http_header *proxy_connect_headers;
    size_t proxy_connect_header_count;
    const struct http_header *headers;
    size_t header_count;
};

/* Values are compared, secrets included. */
bool http_config_equal(const struct http_config *a, const struct http_config *b);

#endif
