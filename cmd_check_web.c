/* WHY NOT whether key and certificate belong together: that takes the X.509 parser of a TLS
 * library, and the server that reads these files, Prometheus, says so when it starts. */
#include "cmd_check_web.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/yaml_node.h"
#include "config_bind.h"

enum {
    MEMORY_MAX = 256 * 1024 * 1024, /* of one file's tree */
    PEM_BYTES_MAX = 1024 * 1024,
    HASH_BYTES_MIN = 59, /* a bcrypt hash */
    COST_MIN = 4,
    COST_MAX = 31,
};

struct server_tls {
    struct str cert, key, client_ca, cert_file, key_file, client_ca_file, client_auth;
    bool has_allowed_sans;
    bool prefer_server_ciphers;
    bool unused; /* fields that are checked as they are read */
};

struct server_http {
    bool http2;
    bool unused; /* headers are checked as they are read */
};

struct rate_limit {
    int64_t interval_ns, burst;
};

struct web_users {
    enum err_code code; /* of the first hash that is none, told after what YAML finds */
    struct err err;
};

struct web_file {
    struct server_tls tls;
    struct server_http http;
    struct rate_limit rate;
    struct web_users users;
};

/* ---- values that are names ---- */

static bool is_one_of(struct str text, const char *const *names, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (str_eq(text, str_of(names[i]))) {
            return true;
        }
    }
    return false;
}

static enum err_code version_bind(struct binder *b, const struct yaml_node *node, void *field,
                                  struct err *err) {
    static const char *const names[] = {"TLS10", "TLS11", "TLS12", "TLS13"};
    struct str text;
    bool ok = false;
    (void)field;
    const enum err_code code = bind_string(b, node, "string", &text, &ok, err);
    if (code != ERR_OK || !ok || yaml_is_null(node) || is_one_of(text, names, COUNT_OF(names))) {
        return code;
    }
    return err_set(err, ERR_INVALID, "unknown TLS version: %.*s", STR_ARG(text));
}

static enum err_code names_bind(struct binder *b, const struct yaml_node *node, const char *into,
                                const char *what, const char *const *names, size_t count,
                                struct err *err) {
    const struct str *items = NULL;
    size_t item_count = 0;
    const enum err_code code = bind_strings(b, node, into, "string", &items, &item_count, err);
    for (size_t i = 0; code == ERR_OK && i < item_count; i++) {
        /* what is no string was collected already */
        if (node->items[i]->kind == YAML_SCALAR && !is_one_of(items[i], names, count)) {
            return err_set(err, ERR_INVALID, "unknown %s: %.*s", what, STR_ARG(items[i]));
        }
    }
    return code;
}

static enum err_code ciphers_bind(struct binder *b, const struct yaml_node *node, void *field,
                                  struct err *err) {
    /* those that Go's crypto/tls holds for secure */
    static const char *const names[] = {
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
        "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
        "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
        "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    };
    (void)field;
    return names_bind(b, node, "[]web.Cipher", "cipher", names, COUNT_OF(names), err);
}

static enum err_code curves_bind(struct binder *b, const struct yaml_node *node, void *field,
                                 struct err *err) {
    static const char *const names[] = {"CurveP256", "CurveP384", "CurveP521", "X25519"};
    (void)field;
    return names_bind(b, node, "[]web.Curve", "curve", names, COUNT_OF(names), err);
}

static enum err_code sans_bind(struct binder *b, const struct yaml_node *node, void *field,
                               struct err *err) {
    const struct str *items = NULL;
    size_t count = 0;
    *(bool *)field = !yaml_is_null(node);
    return bind_strings(b, node, "[]string", "string", &items, &count, err);
}

/* ---- headers ---- */

struct header_rule {
    const char *name;
    const char *values[2]; /* NULL first: any */
};

static enum err_code header_pair(struct binder *b, void *ctx, struct str name,
                                 const struct yaml_node *node, struct err *err) {
    static const struct header_rule rules[] = {
        {"Strict-Transport-Security", {NULL, NULL}}, {"X-Content-Type-Options", {"nosniff", NULL}},
        {"X-Frame-Options", {"deny", "sameorigin"}}, {"X-XSS-Protection", {NULL, NULL}},
        {"Content-Security-Policy", {NULL, NULL}},
    };
    struct str value;
    bool ok = false;
    (void)ctx;
    const enum err_code code = bind_string(b, node, "string", &value, &ok, err);
    if (code != ERR_OK || !ok) {
        return code;
    }
    for (size_t i = 0; i < COUNT_OF(rules); i++) {
        const struct header_rule *rule = &rules[i];
        if (!str_eq(name, str_of(rule->name))) {
            continue;
        }
        const size_t count = (size_t)(rule->values[0] != NULL) + (rule->values[1] != NULL);
        if (count == 0 || is_one_of(value, rule->values, count)) {
            return ERR_OK;
        }
        return err_set(
            err, ERR_INVALID, "invalid value for %s. Expected one of: [\"%s\"%s%s%s], but got: %s",
            rule->name, rule->values[0], count > 1 ? " \"" : "", count > 1 ? rule->values[1] : "",
            count > 1 ? "\"" : "", bind_quote(b->arena, value));
    }
    return err_set(err, ERR_INVALID, "HTTP header %s can not be configured",
                   bind_quote(b->arena, name));
}

static enum err_code headers_bind(struct binder *b, const struct yaml_node *node, void *field,
                                  struct err *err) {
    return bind_pairs(b, node, "map[string]string", header_pair, field, err);
}

/* ---- users ---- */

/* Version and cost, which is all of a hash that can be told without its password. */
static enum err_code hash_check(struct str hash, struct err *err) {
    if (hash.len < HASH_BYTES_MIN) {
        return err_set(err, ERR_INVALID,
                       "crypto/bcrypt: hashedSecret too short to be a bcrypted password");
    }
    if (hash.ptr[0] != '$') {
        return err_set(err, ERR_INVALID,
                       "crypto/bcrypt: bcrypt hashes must start with '$', but hashedSecret "
                       "started with '%c'",
                       hash.ptr[0]);
    }
    if (hash.ptr[1] > '2') {
        return err_set(err, ERR_INVALID,
                       "crypto/bcrypt: bcrypt algorithm version '%c' requested is newer than "
                       "current version '2'",
                       hash.ptr[1]);
    }
    const struct str cost = str_sub(hash, hash.ptr[2] == '$' ? 3 : 4, 2);
    int64_t value = 0;
    if (number_parse_i64(cost, &value) != NUMBER_OK) {
        return err_set(err, ERR_INVALID, "strconv.Atoi: parsing \"%.*s\": invalid syntax",
                       STR_ARG(cost));
    }
    return value >= COST_MIN && value <= COST_MAX
               ? ERR_OK
               : err_set(err, ERR_INVALID,
                         "crypto/bcrypt: cost %d is outside allowed range (%d,%d)", (int)value,
                         (int)COST_MIN, (int)COST_MAX);
}

static enum err_code user_pair(struct binder *b, void *ctx, struct str name,
                               const struct yaml_node *node, struct err *err) {
    struct web_users *users = ctx;
    struct str hash;
    bool ok = false;
    (void)name;
    const enum err_code code = bind_string(b, node, "config.plain", &hash, &ok, err);
    if (code == ERR_OK && ok && users->code == ERR_OK) {
        users->code = hash_check(hash, &users->err);
    }
    return code;
}

static enum err_code users_bind(struct binder *b, const struct yaml_node *node, void *field,
                                struct err *err) {
    return bind_pairs(b, node, "map[string]config.Secret", user_pair, field, err);
}

/* ---- the rate limit ---- */

static enum err_code interval_bind(struct binder *b, const struct yaml_node *node, void *field,
                                   struct err *err) {
    struct str text;
    bool ok = false;
    struct err why;
    const enum err_code code = bind_string(b, node, "time.Duration", &text, &ok, err);
    if (code != ERR_OK || !ok || yaml_is_null(node)) {
        return code;
    }
    /* a number is of nanoseconds */
    if ((!node->plain || number_parse_i64(text, field) != NUMBER_OK) &&
        tool_parse_go_duration(text, field, &why) != ERR_OK) {
        bind_mismatch(b, node, "time.Duration");
    }
    return ERR_OK;
}

/* ---- tables ---- */

static void tls_defaults(void *self) {
    *(struct server_tls *)self = (struct server_tls){.prefer_server_ciphers = true};
}

static void http_defaults(void *self) {
    *(struct server_http *)self = (struct server_http){.http2 = true};
}

static const struct bind_custom VERSION = {.bind = version_bind};
static const struct bind_custom CIPHERS = {.bind = ciphers_bind};
static const struct bind_custom CURVES = {.bind = curves_bind};
static const struct bind_custom SANS = {.bind = sans_bind};
static const struct bind_custom HEADERS = {.bind = headers_bind};
static const struct bind_custom INTERVAL = {.bind = interval_bind};
static const struct bind_custom USERS = {.bind = users_bind};

static const struct bind_field TLS_FIELDS[] = {
    BIND_AT(BIND_STR, "cert", server_tls, cert),
    BIND_AT(BIND_STR, "key", server_tls, key),
    BIND_AT(BIND_STR, "client_ca", server_tls, client_ca),
    BIND_AT(BIND_PATH, "cert_file", server_tls, cert_file),
    BIND_AT(BIND_PATH, "key_file", server_tls, key_file),
    BIND_AT(BIND_STR, "client_auth_type", server_tls, client_auth),
    BIND_AT(BIND_PATH, "client_ca_file", server_tls, client_ca_file),
    BIND_OWN("cipher_suites", server_tls, unused, &CIPHERS),
    BIND_OWN("curve_preferences", server_tls, unused, &CURVES),
    BIND_OWN("min_version", server_tls, unused, &VERSION),
    BIND_OWN("max_version", server_tls, unused, &VERSION),
    BIND_AT(BIND_BOOL, "prefer_server_cipher_suites", server_tls, prefer_server_ciphers),
    BIND_OWN("client_allowed_sans", server_tls, has_allowed_sans, &SANS),
};
static const struct bind_table TLS_TABLE = {.type_name = "web.TLSConfig",
                                            .size = sizeof(struct server_tls),
                                            .fields = TLS_FIELDS,
                                            .field_count = COUNT_OF(TLS_FIELDS),
                                            .defaults = tls_defaults};
static const struct bind_field HTTP_FIELDS[] = {
    BIND_AT(BIND_BOOL, "http2", server_http, http2),
    BIND_OWN("headers", server_http, unused, &HEADERS),
};
static const struct bind_table HTTP_TABLE = {.type_name = "web.HTTPConfig",
                                             .size = sizeof(struct server_http),
                                             .fields = HTTP_FIELDS,
                                             .field_count = COUNT_OF(HTTP_FIELDS),
                                             .defaults = http_defaults};
static const struct bind_field RATE_FIELDS[] = {
    BIND_AT(BIND_INT, "burst", rate_limit, burst),
    BIND_OWN("interval", rate_limit, interval_ns, &INTERVAL),
};
static const struct bind_table RATE_TABLE = {.type_name = "web.RateLimiterConfig",
                                             .size = sizeof(struct rate_limit),
                                             .fields = RATE_FIELDS,
                                             .field_count = COUNT_OF(RATE_FIELDS)};
static const struct bind_field FILE_FIELDS[] = {
    {.key = "tls_server_config",
     .type = BIND_SECTION,
     .offset = offsetof(struct web_file, tls),
     .table = &TLS_TABLE},
    {.key = "http_server_config",
     .type = BIND_SECTION,
     .offset = offsetof(struct web_file, http),
     .table = &HTTP_TABLE},
    {.key = "rate_limit",
     .type = BIND_SECTION,
     .offset = offsetof(struct web_file, rate),
     .table = &RATE_TABLE},
    BIND_OWN("basic_auth_users", web_file, users, &USERS),
};
static const struct bind_table FILE_TABLE = {.type_name = "web.Config",
                                             .size = sizeof(struct web_file),
                                             .fields = FILE_FIELDS,
                                             .field_count = COUNT_OF(FILE_FIELDS)};

/* ---- certificates ---- */

/* The type of the next block that is whole, "" at the end; *at moves behind it. */
static struct str pem_next(struct str text, size_t *at) {
    for (;;) {
        const struct str rest = str_from(text, *at);
        const ptrdiff_t begin = str_find(rest, STR("-----BEGIN "));
        if (begin < 0) {
            return STR("");
        }
        const struct str open = str_from(rest, (size_t)begin + 11);
        const ptrdiff_t dashes = str_find(open, STR("-----"));
        if (dashes < 0) {
            return STR("");
        }
        const struct str type = str_sub(open, 0, (size_t)dashes);
        const struct str body = str_from(open, (size_t)dashes + 5);
        *at = text.len - body.len;
        const ptrdiff_t end = str_find(body, STR("-----END "));
        if (end >= 0 && str_starts(str_from(body, (size_t)end + 9), type)) {
            *at += (size_t)end;
            return type;
        }
    }
}

static bool is_key_type(struct str type) {
    return str_ends(type, STR("PRIVATE KEY"));
}

static bool is_certificate_type(struct str type) {
    return str_eq(type, STR("CERTIFICATE"));
}

/* Looks for a block; what was passed over meanwhile is told as Go's crypto/tls does. */
static enum err_code pem_check(struct str text, bool key, struct err *err) {
    struct buf types;
    buf_init(&types, ERR_TEXT_MAX);
    size_t count = 0;
    struct str first = STR("");
    size_t at = 0;
    bool found = false;
    for (struct str type = pem_next(text, &at); type.len > 0 && !found;
         type = pem_next(text, &at)) {
        found = key ? is_key_type(type) : is_certificate_type(type);
        first = count == 0 ? type : first;
        if (count++ > 0) {
            buf_append_char(&types, ' ');
        }
        buf_append_str(&types, type);
    }
    enum err_code code = ERR_OK;
    if (found) {
        /* enough */
    } else if (count == 0) {
        code = err_set(err, ERR_INVALID, "tls: failed to find any PEM data in %s input",
                       key ? "key" : "certificate");
    } else if (count == 1 && !key && is_key_type(first)) {
        code = err_set(err, ERR_INVALID,
                       "tls: failed to find certificate PEM data in certificate input, but did "
                       "find a private key; PEM inputs may have been switched");
    } else if (count == 1 && key && is_certificate_type(first)) {
        code = err_set(err, ERR_INVALID,
                       "tls: found a certificate rather than a key in the PEM for the private key");
    } else {
        code = err_set(err, ERR_INVALID,
                       "tls: failed to find %s after skipping PEM blocks of the following types: "
                       "[%.*s]",
                       key ? "PEM block with type ending in \"PRIVATE KEY\" in key input"
                           : "\"CERTIFICATE\" PEM block in certificate input",
                       STR_ARG(buf_str(&types)));
    }
    buf_release(&types);
    return code;
}

static enum err_code read_pem(struct vfs *vfs, struct arena *arena, struct str path,
                              struct str *out, struct err *err) {
    char *bytes = NULL;
    size_t len = 0;
    const enum err_code code =
        vfs_read_file(vfs, arena_cstr(arena, path), PEM_BYTES_MAX, &bytes, &len, err);
    if (code == ERR_OK) {
        *out = arena_str(arena, (struct str){bytes, len});
        mem_free(bytes);
    }
    return code;
}

static enum err_code pair_check(struct vfs *vfs, struct arena *arena, const struct server_tls *tls,
                                struct err *err) {
    struct str cert = tls->cert;
    struct str key = tls->key;
    enum err_code code = ERR_OK;
    if (tls->cert_file.len > 0) {
        code = read_pem(vfs, arena, tls->cert_file, &cert, err);
        if (code != ERR_OK) {
            return err_wrap(err, "failed to read cert_file (%.*s)", STR_ARG(tls->cert_file));
        }
    }
    if (tls->key_file.len > 0) {
        code = read_pem(vfs, arena, tls->key_file, &key, err);
        if (code != ERR_OK) {
            return err_wrap(err, "failed to read key_file (%.*s)", STR_ARG(tls->key_file));
        }
    }
    code = pem_check(cert, false, err);
    if (code == ERR_OK) {
        code = pem_check(key, true, err);
    }
    return code == ERR_OK ? code : err_wrap(err, "failed to load X509KeyPair");
}

static enum err_code client_check(struct vfs *vfs, struct arena *arena,
                                  const struct server_tls *tls, struct err *err) {
    static const char *const policies[] = {"RequestClientCert", "VerifyClientCertIfGiven",
                                           "RequireAnyClientCert", "RequireClientCert",
                                           "RequireAndVerifyClientCert"};
    enum { REQUIRING = 2 }; /* from here on a client must have a certificate */
    struct str ca = tls->client_ca;
    if (tls->client_ca_file.len > 0) {
        const enum err_code code = read_pem(vfs, arena, tls->client_ca_file, &ca, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    const bool none = tls->client_auth.len == 0 || str_eq(tls->client_auth, STR("NoClientCert"));
    if (!none && !is_one_of(tls->client_auth, policies, COUNT_OF(policies))) {
        return err_set(err, ERR_INVALID, "invalid ClientAuth: %.*s", STR_ARG(tls->client_auth));
    }
    if (none && (tls->client_ca.len > 0 || tls->client_ca_file.len > 0)) {
        return err_set(err, ERR_INVALID,
                       "client CA's have been configured without a Client Auth Policy");
    }
    if (tls->has_allowed_sans &&
        !is_one_of(tls->client_auth, policies + REQUIRING, COUNT_OF(policies) - REQUIRING)) {
        return err_set(err, ERR_INVALID,
                       "client_allowed_sans requires client_auth_type to be one of "
                       "RequireAnyClientCert or RequireAndVerifyClientCert");
    }
    return ERR_OK;
}

static enum err_code tls_check(struct vfs *vfs, struct arena *arena, const struct server_tls *tls,
                               struct err *err) {
    const bool has_cert = tls->cert.len > 0 || tls->cert_file.len > 0;
    const bool has_key = tls->key.len > 0 || tls->key_file.len > 0;
    if (!has_cert && !has_key && tls->client_ca.len == 0 && tls->client_ca_file.len == 0 &&
        tls->client_auth.len == 0) {
        return ERR_OK; /* no TLS */
    }
    if (!has_cert) {
        return err_set(err, ERR_INVALID, "missing one of cert or cert_file");
    }
    if (!has_key) {
        return err_set(err, ERR_INVALID, "missing one of key or key_file");
    }
    const enum err_code code = pair_check(vfs, arena, tls, err);
    return code == ERR_OK ? client_check(vfs, arena, tls, err) : code;
}

/* ---- a file ---- */

enum err_code check_web_text(struct vfs *vfs, struct str folder, struct str text, struct err *err) {
    struct arena arena;
    struct binder binder;
    struct yaml_node *root = NULL;
    struct web_file file = {.http.http2 = true};
    arena_init(&arena, MEMORY_MAX);
    binder_init(&binder, &arena);
    enum err_code code = yaml_parse(&arena, text, &root, NULL, err);
    if (code == ERR_OK) {
        code = bind_document(&binder, root, &FILE_TABLE, &file, err);
    }
    if (code == ERR_OK && file.users.code != ERR_OK) {
        *err = file.users.err;
        code = file.users.code;
    }
    if (code == ERR_OK) {
        bind_join(&arena, folder, &FILE_TABLE, &file);
        code = tls_check(vfs, &arena, &file.tls, err);
    }
    arena_release(&arena);
    return code;
}

static enum err_code check_web_file(struct vfs *vfs, const char *path, struct err *err) {
    char *text = NULL;
    size_t len = 0;
    enum err_code code = vfs_read_file(vfs, path, YAML_TEXT_MAX, &text, &len, err);
    if (code == ERR_OK) {
        const ptrdiff_t slash = str_rfind_char(str_of(path), '/');
        const struct str folder =
            slash < 0 ? STR("") : str_sub(str_of(path), 0, slash == 0 ? 1 : (size_t)slash);
        code = check_web_text(vfs, folder, (struct str){text, len}, err);
    }
    mem_free(text);
    return code;
}

int cmd_check_web_config(struct tool_call *call) {
    int exit_code = TOOL_OK;
    for (size_t i = 0; i < call->args[0].count; i++) {
        const char *path = call->args[0].items[i];
        struct err err;
        if (check_web_file(call->io.vfs, path, &err) == ERR_OK) {
            (void)fprintf(call->io.err, "%s SUCCESS\n", path);
        } else {
            (void)fprintf(call->io.err, "%s FAILED: %s\n", path, err.text);
            exit_code = TOOL_FAILED;
        }
    }
    return exit_code;
}
