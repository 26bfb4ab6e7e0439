#include "base/http_config.h"

static bool header_equal(const struct http_header *a, const struct http_header *b) {
    if (!str_eq(a->name, b->name) ||
        !str_list_eq(a->values, a->value_count, b->values, b->value_count) ||
        !str_list_eq(a->files, a->file_count, b->files, b->file_count) ||
        a->secret_count != b->secret_count) {
        return false;
    }
    for (size_t i = 0; i < a->secret_count; i++) {
        if (!str_eq(a->secrets[i].reveal, b->secrets[i].reveal)) {
            return false;
        }
    }
    return true;
}

static bool headers_equal(const struct http_header *a, size_t a_count, const struct http_header *b,
                          size_t b_count) {
    if (a_count != b_count) {
        return false;
    }
    for (size_t i = 0; i < a_count; i++) {
        if (!header_equal(&a[i], &b[i])) {
            return false;
        }
    }
    return true;
}

static bool tls_equal(const struct tls_config *a, const struct tls_config *b) {
    return str_eq(a->ca, b->ca) && str_eq(a->ca_file, b->ca_file) && str_eq(a->cert, b->cert) &&
           str_eq(a->cert_file, b->cert_file) && str_eq(a->key_file, b->key_file) &&
           str_eq(a->server_name, b->server_name) && str_eq(a->key.reveal, b->key.reveal) &&
           a->insecure_skip_verify == b->insecure_skip_verify && a->min_version == b->min_version &&
           a->max_version == b->max_version;
}

static bool oauth2_equal(const struct oauth2_config *a, const struct oauth2_config *b) {
    return a->set == b->set && str_eq(a->client_id, b->client_id) &&
           str_eq(a->client_secret_file, b->client_secret_file) &&
           str_eq(a->token_url, b->token_url) &&
           str_eq(a->client_secret.reveal, b->client_secret.reveal) &&
           str_list_eq(a->scopes, a->scope_count, b->scopes, b->scope_count) &&
           str_list_eq(a->endpoint_params, a->endpoint_param_count, b->endpoint_params,
                       b->endpoint_param_count) &&
           tls_equal(&a->tls, &b->tls) && str_eq(a->proxy_url, b->proxy_url) &&
           str_eq(a->no_proxy, b->no_proxy) &&
           a->proxy_from_environment == b->proxy_from_environment &&
           headers_equal(a->proxy_connect_headers, a->proxy_connect_header_count,
                         b->proxy_connect_headers, b->proxy_connect_header_count);
}

static bool credentials_equal(const struct http_config *a, const struct http_config *b) {
    return a->has_basic_auth == b->has_basic_auth && str_eq(a->username, b->username) &&
           str_eq(a->username_file, b->username_file) &&
           str_eq(a->password_file, b->password_file) &&
           str_eq(a->password.reveal, b->password.reveal) &&
           a->has_authorization == b->has_authorization &&
           str_eq(a->authorization_type, b->authorization_type) &&
           str_eq(a->credentials.reveal, b->credentials.reveal) &&
           str_eq(a->credentials_file, b->credentials_file) && oauth2_equal(&a->oauth2, &b->oauth2);
}

bool http_config_equal(const struct http_config *a, const struct http_config *b) {
    return credentials_equal(a, b) && a->has_tls == b->has_tls && tls_equal(&a->tls, &b->tls) &&
           a->follow_redirects == b->follow_redirects && a->enable_http2 == b->enable_http2 &&
           str_eq(a->proxy_url, b->proxy_url) && str_eq(a->no_proxy, b->no_proxy) &&
           a->proxy_from_environment == b->proxy_from_environment &&
           headers_equal(a->proxy_connect_headers, a->proxy_connect_header_count,
                         b->proxy_connect_headers, b->proxy_connect_header_count) &&
           headers_equal(a->headers, a->header_count, b->headers, b->header_count);
}
