/* HTTP client options as they are written in the file (spec/config.md section 5): inline in scrape
 * configs, Alertmanagers and HTTP-based discovery. Lives in the binder's arena. */
#ifndef CONFIG_HTTP_H
#define CONFIG_HTTP_H

#include "base/http_config.h"
#include "config_bind.h"
#include "config_headers.h"
#include "config_url.h"

struct basic_auth_options {
    struct str username, username_file, username_ref;
    struct secret password;
    struct str password_file, password_ref;
};

struct authorization_options {
    struct str type;
    struct secret credentials;
    struct str credentials_file, credentials_ref;
};

struct tls_options {
    struct str ca, cert, ca_file, cert_file, key_file, ca_ref, cert_ref, key_ref, server_name;
    struct secret key;
    bool insecure_skip_verify;
    enum tls_version min_version, max_version;
};

struct proxy_options {
    struct url_option url;
    struct str no_proxy;
    bool from_environment;
    struct header_options connect_headers; /* secrets only */
};

struct param_options {
    struct str *pairs; /* name, value, ... */
    size_t count;      /* strings */
};

struct oauth2_options {
    struct str client_id, client_secret_file, client_secret_ref, grant_type, token_url;
    struct secret client_secret;
    const struct str *scopes;
    size_t scope_count;
    struct param_options endpoint_params;
    struct tls_options tls;
    struct proxy_options proxy;
};

struct http_options {
    bool has_basic_auth, has_authorization, has_oauth2;
    struct basic_auth_options basic_auth;
    struct authorization_options authorization;
    struct oauth2_options oauth2;
    struct secret bearer_token;
    struct str bearer_token_file;
    struct tls_options tls;
    bool follow_redirects, enable_http2;
    struct proxy_options proxy;
    struct header_options headers;
};

/* For BIND_INLINE: owners call http_options_defaults and http_options_check themselves. */
extern const struct bind_table http_options_table;
void http_options_defaults(struct http_options *http);
/* The rules between the options; bearer tokens become an authorization. */
MUST_CHECK enum err_code http_options_check(struct binder *b, struct http_options *http,
                                            struct err *err);
/* Fills out; strings and lists are shared, not copied. */
void http_options_convert(const struct http_options *http, struct http_config *out);

#endif
