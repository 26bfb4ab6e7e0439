#include "config_http.h"

/* ---- TLS ---- */

static const char *const tls_version_names[] = {
    [TLS10] = "TLS10",
    [TLS11] = "TLS11",
    [TLS12] = "TLS12",
    [TLS13] = "TLS13",
};

static enum err_code tls_version_bind(struct binder *b, const struct yaml_node *node, void *field,
                                      struct err *err) {
    struct str text;
    bool ok = false;
    const enum err_code code = bind_string(b, node, "string", &text, &ok, err);
    *(enum tls_version *)field = TLS_DEFAULT;
    if (code != ERR_OK || !ok || yaml_is_null(node)) {
        return code;
    }
    for (size_t i = TLS10; i < COUNT_OF(tls_version_names); i++) {
        if (str_eq(text, str_of(tls_version_names[i]))) {
            *(enum tls_version *)field = (enum tls_version)i;
            return ERR_OK;
        }
    }
    return err_set(err, ERR_INVALID, "unknown TLS version: %.*s", STR_ARG(text));
}

static struct yaml_node *tls_version_print(struct arena *arena, const void *field) {
    const enum tls_version version = *(const enum tls_version *)field;
    return version == TLS_DEFAULT ? NULL : print_str(arena, str_of(tls_version_names[version]));
}

static const struct bind_custom tls_version_custom = {.bind = tls_version_bind,
                                                      .print = tls_version_print};

static int set_count(struct str a, struct str b, struct str c) {
    return (a.len != 0) + (b.len != 0) + (c.len != 0);
}

/* Prometheus loads references to a secret manager and then fails every request: there is none. */
static enum err_code refuse_ref(struct str ref, struct err *err) {
    return ref.len == 0 ? ERR_OK
                        : err_set(err, ERR_UNSUPPORTED, "cannot use secret ref without manager");
}

static enum err_code tls_check(struct binder *b, void *self, struct err *err) {
    const struct tls_options *tls = self;
    (void)b;
    if (set_count(tls->ca, tls->ca_file, tls->ca_ref) > 1) {
        return err_set(err, ERR_INVALID, "at most one of ca, ca_file & ca_ref must be configured");
    }
    if (set_count(tls->cert, tls->cert_file, tls->cert_ref) > 1) {
        return err_set(err, ERR_INVALID,
                       "at most one of cert, cert_file & cert_ref must be configured");
    }
    if (set_count(tls->key.reveal, tls->key_file, tls->key_ref) > 1) {
        return err_set(err, ERR_INVALID, "at most one of key and key_file must be configured");
    }
    const bool has_cert = set_count(tls->cert, tls->cert_file, tls->cert_ref) != 0;
    const bool has_key = set_count(tls->key.reveal, tls->key_file, tls->key_ref) != 0;
    if (has_cert && !has_key) {
        return err_set(err, ERR_INVALID,
                       "exactly one of key or key_file must be configured when a client "
                       "certificate is configured");
    }
    if (has_key && !has_cert) {
        return err_set(err, ERR_INVALID,
                       "exactly one of cert or cert_file must be configured when a client key is "
                       "configured");
    }
    enum err_code code = refuse_ref(tls->ca_ref, err);
    if (code == ERR_OK) {
        code = refuse_ref(tls->cert_ref, err);
    }
    return code == ERR_OK ? refuse_ref(tls->key_ref, err) : code;
}

static const struct bind_field tls_fields[] = {
    BIND_AT(BIND_STR, "ca", tls_options, ca),
    BIND_AT(BIND_STR, "cert", tls_options, cert),
    BIND_AT(BIND_SECRET, "key", tls_options, key),
    BIND_AT(BIND_PATH, "ca_file", tls_options, ca_file),
    BIND_AT(BIND_PATH, "cert_file", tls_options, cert_file),
    BIND_AT(BIND_PATH, "key_file", tls_options, key_file),
    BIND_AT(BIND_STR, "ca_ref", tls_options, ca_ref),
    BIND_AT(BIND_STR, "cert_ref", tls_options, cert_ref),
    BIND_AT(BIND_STR, "key_ref", tls_options, key_ref),
    BIND_AT(BIND_STR, "server_name", tls_options, server_name),
    BIND_ALWAYS(BIND_BOOL, "insecure_skip_verify", tls_options, insecure_skip_verify),
    BIND_OWN("min_version", tls_options, min_version, &tls_version_custom),
    BIND_OWN("max_version", tls_options, max_version, &tls_version_custom),
};

static const struct bind_table tls_table = {
    .type_name = "config.plain",
    .size = sizeof(struct tls_options),
    .fields = tls_fields,
    .field_count = COUNT_OF(tls_fields),
    .check = tls_check,
};

static void tls_convert(const struct tls_options *tls, struct tls_config *out) {
    *out = (struct tls_config){
        .ca = tls->ca,
        .ca_file = tls->ca_file,
        .cert = tls->cert,
        .cert_file = tls->cert_file,
        .key = tls->key,
        .key_file = tls->key_file,
        .server_name = tls->server_name,
        .insecure_skip_verify = tls->insecure_skip_verify,
        .min_version = tls->min_version,
        .max_version = tls->max_version,
    };
}

/* ---- authentication ---- */

static const struct bind_field basic_auth_fields[] = {
    BIND_AT(BIND_STR, "username", basic_auth_options, username),
    BIND_AT(BIND_PATH, "username_file", basic_auth_options, username_file),
    BIND_AT(BIND_STR, "username_ref", basic_auth_options, username_ref),
    BIND_AT(BIND_SECRET, "password", basic_auth_options, password),
    BIND_AT(BIND_PATH, "password_file", basic_auth_options, password_file),
    BIND_AT(BIND_STR, "password_ref", basic_auth_options, password_ref),
};

static const struct bind_table basic_auth_table = {
    .type_name = "config.plain",
    .size = sizeof(struct basic_auth_options),
    .fields = basic_auth_fields,
    .field_count = COUNT_OF(basic_auth_fields),
};

static const struct bind_field authorization_fields[] = {
    BIND_AT(BIND_STR, "type", authorization_options, type),
    BIND_AT(BIND_SECRET, "credentials", authorization_options, credentials),
    BIND_AT(BIND_PATH, "credentials_file", authorization_options, credentials_file),
    BIND_AT(BIND_STR, "credentials_ref", authorization_options, credentials_ref),
};

static const struct bind_table authorization_table = {
    .type_name = "config.Authorization",
    .size = sizeof(struct authorization_options),
    .fields = authorization_fields,
    .field_count = COUNT_OF(authorization_fields),
};

static enum err_code param_pair(struct binder *b, void *ctx, struct str name,
                                const struct yaml_node *value, struct err *err) {
    struct param_options *params = ctx;
    struct str text;
    bool ok = false;
    const enum err_code code = bind_string(b, value, "string", &text, &ok, err);
    if (code != ERR_OK || !ok) {
        return code;
    }
    if (params->count == 0 || (params->count >= 2 && (params->count & (params->count - 1)) == 0)) {
        struct str *pairs =
            bind_alloc(b, params->count != 0 ? 2 * params->count : 2, sizeof(*pairs), err);
        if (pairs == NULL) {
            return ERR_LIMIT;
        }
        if (params->count != 0) {
            memcpy(pairs, params->pairs, params->count * sizeof(*pairs));
        }
        params->pairs = pairs;
    }
    params->pairs[params->count++] = name;
    params->pairs[params->count++] = text;
    return ERR_OK;
}

static enum err_code params_bind(struct binder *b, const struct yaml_node *node, void *field,
                                 struct err *err) {
    struct param_options *params = field;
    *params = (struct param_options){0};
    return bind_pairs(b, node, "map[string]string", param_pair, params, err);
}

static struct yaml_node *params_print(struct arena *arena, const void *field) {
    const struct param_options *params = field;
    if (params->count == 0) {
        return NULL;
    }
    struct yaml_node *mapping = print_mapping(arena, params->count / 2);
    for (size_t i = 0; i < params->count; i += 2) {
        print_pair(mapping, print_str(arena, params->pairs[i]),
                   print_str(arena, params->pairs[i + 1]));
    }
    print_sort(mapping);
    return mapping;
}

static const struct bind_custom params_custom = {.bind = params_bind, .print = params_print};

/* The JWT bearer grant is for a later version. */
static const struct bind_field oauth2_fields[] = {
    BIND_AT(BIND_STR, "client_id", oauth2_options, client_id),
    BIND_AT(BIND_SECRET, "client_secret", oauth2_options, client_secret),
    BIND_AT(BIND_PATH, "client_secret_file", oauth2_options, client_secret_file),
    BIND_AT(BIND_STR, "client_secret_ref", oauth2_options, client_secret_ref),
    BIND_REFUSE("client_certificate_key_id"),
    BIND_REFUSE("client_certificate_key"),
    BIND_REFUSE("client_certificate_key_file"),
    BIND_REFUSE("client_certificate_key_ref"),
    BIND_AT(BIND_STR, "grant_type", oauth2_options, grant_type),
    BIND_REFUSE("signature_algorithm"),
    BIND_REFUSE("iss"),
    BIND_REFUSE("audience"),
    BIND_REFUSE("claims"),
    BIND_COUNTED(BIND_STR_LIST, "scopes", oauth2_options, scopes, scope_count),
    BIND_AT(BIND_STR, "token_url", oauth2_options, token_url),
    BIND_OWN("endpoint_params", oauth2_options, endpoint_params, &params_custom),
    BIND_TABLE(BIND_SECTION, "tls_config", oauth2_options, tls, tls, &tls_table),
    BIND_OWN("proxy_url", oauth2_options, proxy.url, &url_option_custom),
    BIND_AT(BIND_STR, "no_proxy", oauth2_options, proxy.no_proxy),
    BIND_AT(BIND_BOOL, "proxy_from_environment", oauth2_options, proxy.from_environment),
    BIND_OWN("proxy_connect_header", oauth2_options, proxy.connect_headers,
             &connect_headers_custom),
};

static enum err_code oauth2_check(struct binder *b, void *self, struct err *err) {
    const struct oauth2_options *oauth2 = self;
    (void)b;
    if (str_eq(oauth2->grant_type, STR("urn:ietf:params:oauth:grant-type:jwt-bearer"))) {
        return err_set(err, ERR_UNSUPPORTED,
                       "oauth2 grant_type %.*s is not supported by this version of Brasa",
                       STR_ARG(oauth2->grant_type));
    }
    return refuse_ref(oauth2->client_secret_ref, err);
}

static const struct bind_table oauth2_table = {
    .type_name = "config.plain",
    .size = sizeof(struct oauth2_options),
    .fields = oauth2_fields,
    .field_count = COUNT_OF(oauth2_fields),
    .check = oauth2_check,
};

static enum err_code basic_auth_check(const struct basic_auth_options *auth, struct err *err) {
    if (set_count(auth->username, auth->username_file, auth->username_ref) > 1) {
        return err_set(err, ERR_INVALID,
                       "at most one of basic_auth username, username_file & username_ref must be "
                       "configured");
    }
    if (set_count(auth->password.reveal, auth->password_file, auth->password_ref) > 1) {
        return err_set(err, ERR_INVALID,
                       "at most one of basic_auth password, password_file & password_ref must be "
                       "configured");
    }
    const enum err_code code = refuse_ref(auth->username_ref, err);
    return code == ERR_OK ? refuse_ref(auth->password_ref, err) : code;
}

static enum err_code authorization_check(struct http_options *http, bool has_bearer,
                                         struct err *err) {
    struct authorization_options *auth = &http->authorization;
    if (has_bearer) {
        return err_set(err, ERR_INVALID,
                       "authorization is not compatible with bearer_token & bearer_token_file");
    }
    if (set_count(auth->credentials.reveal, auth->credentials_file, auth->credentials_ref) > 1) {
        return err_set(err, ERR_INVALID,
                       "at most one of authorization credentials & credentials_file must be "
                       "configured");
    }
    auth->type = str_trim(auth->type);
    if (auth->type.len == 0) {
        auth->type = STR("Bearer");
    }
    if (str_eq_nocase(auth->type, STR("basic"))) {
        return err_set(err, ERR_INVALID,
                       "authorization type cannot be set to \"basic\", use \"basic_auth\" instead");
    }
    if (http->has_basic_auth || http->has_oauth2) {
        return err_set(err, ERR_INVALID,
                       "at most one of basic_auth, oauth2 & authorization must be configured");
    }
    return refuse_ref(auth->credentials_ref, err);
}

static void bearer_to_authorization(struct http_options *http) {
    http->has_authorization = true;
    http->authorization = (struct authorization_options){
        .type = STR("Bearer"),
        .credentials = http->bearer_token,
        .credentials_file = http->bearer_token_file,
    };
    http->bearer_token.reveal = STR("");
    http->bearer_token_file = STR("");
}

static enum err_code oauth2_options_check(const struct http_options *http, struct err *err) {
    const struct oauth2_options *oauth2 = &http->oauth2;
    if (http->has_basic_auth) {
        return err_set(err, ERR_INVALID,
                       "at most one of basic_auth, oauth2 & authorization must be configured");
    }
    if (oauth2->client_id.len == 0) {
        return err_set(err, ERR_INVALID, "oauth2 client_id must be configured");
    }
    if (oauth2->token_url.len == 0) {
        return err_set(err, ERR_INVALID, "oauth2 token_url must be configured");
    }
    if (oauth2->client_secret.reveal.len != 0 && oauth2->client_secret_file.len != 0) {
        return err_set(err, ERR_INVALID,
                       "at most one of oauth2 client_secret, client_secret_file & "
                       "client_secret_ref must be configured using grant-type=client_credentials");
    }
    return ERR_OK;
}

static enum err_code auth_check(struct http_options *http, struct err *err) {
    const bool has_token = http->bearer_token.reveal.len != 0;
    const bool has_file = http->bearer_token_file.len != 0;
    if (has_token && has_file) {
        return err_set(err, ERR_INVALID,
                       "at most one of bearer_token & bearer_token_file must be configured");
    }
    if ((http->has_basic_auth || http->has_oauth2) && (has_token || has_file)) {
        return err_set(err, ERR_INVALID,
                       "at most one of basic_auth, oauth2, bearer_token & bearer_token_file must "
                       "be configured");
    }
    enum err_code code = http->has_basic_auth ? basic_auth_check(&http->basic_auth, err) : ERR_OK;
    if (code == ERR_OK && http->has_authorization) {
        code = authorization_check(http, has_token || has_file, err);
    } else if (code == ERR_OK && (has_token || has_file)) {
        bearer_to_authorization(http);
    }
    if (code == ERR_OK && http->has_oauth2) {
        code = oauth2_options_check(http, err);
    }
    return code;
}

static enum err_code proxy_check(const struct proxy_options *proxy, struct err *err) {
    if (proxy->connect_headers.count != 0 && !proxy->from_environment && proxy->url.text.len == 0) {
        return err_set(err, ERR_INVALID,
                       "if proxy_connect_header is configured, proxy_url or "
                       "proxy_from_environment must also be configured");
    }
    if (proxy->from_environment && proxy->url.text.len != 0) {
        return err_set(err, ERR_INVALID,
                       "if proxy_from_environment is configured, proxy_url must not be configured");
    }
    if (proxy->from_environment && proxy->no_proxy.len != 0) {
        return err_set(err, ERR_INVALID,
                       "if proxy_from_environment is configured, no_proxy must not be configured");
    }
    if (!proxy->url.set && proxy->no_proxy.len != 0) {
        return err_set(err, ERR_INVALID,
                       "if no_proxy is configured, proxy_url must also be configured");
    }
    return ERR_OK;
}

/* ---- all of them ---- */

static const struct bind_field http_fields[] = {
    BIND_TABLE(BIND_OPTIONAL, "basic_auth", http_options, basic_auth, has_basic_auth,
               &basic_auth_table),
    BIND_TABLE(BIND_OPTIONAL, "authorization", http_options, authorization, has_authorization,
               &authorization_table),
    BIND_TABLE(BIND_OPTIONAL, "oauth2", http_options, oauth2, has_oauth2, &oauth2_table),
    BIND_AT(BIND_SECRET, "bearer_token", http_options, bearer_token),
    BIND_AT(BIND_PATH, "bearer_token_file", http_options, bearer_token_file),
    BIND_TABLE(BIND_SECTION, "tls_config", http_options, tls, tls, &tls_table),
    BIND_ALWAYS(BIND_BOOL, "follow_redirects", http_options, follow_redirects),
    BIND_ALWAYS(BIND_BOOL, "enable_http2", http_options, enable_http2),
    BIND_OWN("proxy_url", http_options, proxy.url, &url_option_custom),
    BIND_AT(BIND_STR, "no_proxy", http_options, proxy.no_proxy),
    BIND_AT(BIND_BOOL, "proxy_from_environment", http_options, proxy.from_environment),
    BIND_OWN("proxy_connect_header", http_options, proxy.connect_headers, &connect_headers_custom),
    BIND_OWN("http_headers", http_options, headers, &headers_custom),
};

const struct bind_table http_options_table = {
    .type_name = "config.HTTPClientConfig",
    .size = sizeof(struct http_options),
    .fields = http_fields,
    .field_count = COUNT_OF(http_fields),
};

void http_options_defaults(struct http_options *http) {
    *http = (struct http_options){.follow_redirects = true, .enable_http2 = true};
}

enum err_code http_options_check(struct binder *b, struct http_options *http, struct err *err) {
    enum err_code code = auth_check(http, err);
    if (code == ERR_OK) {
        code = proxy_check(&http->proxy, err);
    }
    if (code == ERR_OK && http->has_oauth2) {
        code = proxy_check(&http->oauth2.proxy, err);
    }
    return code == ERR_OK ? headers_check(b, &http->headers, err) : code;
}

static void oauth2_convert(const struct http_options *http, struct oauth2_config *out) {
    *out = (struct oauth2_config){
        .set = http->has_oauth2,
        .client_id = http->oauth2.client_id,
        .client_secret = http->oauth2.client_secret,
        .client_secret_file = http->oauth2.client_secret_file,
        .token_url = http->oauth2.token_url,
        .scopes = http->oauth2.scopes,
        .scope_count = http->oauth2.scope_count,
        .endpoint_params = http->oauth2.endpoint_params.pairs,
        .endpoint_param_count = http->oauth2.endpoint_params.count,
        .proxy_url = http->oauth2.proxy.url.text,
        .no_proxy = http->oauth2.proxy.no_proxy,
        .proxy_from_environment = http->oauth2.proxy.from_environment,
        .proxy_connect_headers = http->oauth2.proxy.connect_headers.items,
        .proxy_connect_header_count = http->oauth2.proxy.connect_headers.count,
    };
    tls_convert(&http->oauth2.tls, &out->tls);
}

static bool tls_is_set(const struct tls_options *tls) {
    return tls->ca.len != 0 || tls->ca_file.len != 0 || tls->cert.len != 0 ||
           tls->cert_file.len != 0 || tls->server_name.len != 0 || tls->insecure_skip_verify ||
           tls->min_version != TLS_DEFAULT || tls->max_version != TLS_DEFAULT;
}

void http_options_convert(const struct http_options *http, struct http_config *out) {
    *out = (struct http_config){
        .has_basic_auth = http->has_basic_auth,
        .username = http->basic_auth.username,
        .username_file = http->basic_auth.username_file,
        .password = http->basic_auth.password,
        .password_file = http->basic_auth.password_file,
        .has_authorization = http->has_authorization,
        .authorization_type = http->authorization.type,
        .credentials = http->authorization.credentials,
        .credentials_file = http->authorization.credentials_file,
        .has_tls = tls_is_set(&http->tls),
        .follow_redirects = http->follow_redirects,
        .enable_http2 = http->enable_http2,
        .proxy_url = http->proxy.url.text,
        .no_proxy = http->proxy.no_proxy,
        .proxy_from_environment = http->proxy.from_environment,
        .proxy_connect_headers = http->proxy.connect_headers.items,
        .proxy_connect_header_count = http->proxy.connect_headers.count,
        .headers = http->headers.items,
        .header_count = http->headers.count,
    };
    oauth2_convert(http, &out->oauth2);
    tls_convert(&http->tls, &out->tls);
}
