#include "base/http_auth.h"

#include "base/buf.h"
#include "base/mem.h"

bool http_line_safe(struct str line) {
    for (size_t i = 0; i < line.len; i++) {
        if (line.ptr[i] == '\r' || line.ptr[i] == '\n' || line.ptr[i] == '\0') {
            return false;
        }
    }
    return true;
}

bool http_auth_uses_files(const struct http_config *config) {
    bool uses = config->username_file.len > 0 || config->password_file.len > 0 ||
                config->credentials_file.len > 0;
    for (size_t i = 0; i < config->header_count; i++) {
        uses = uses || config->headers[i].file_count > 0;
    }
    return uses;
}

enum err_code http_auth_read_secret(struct vfs *vfs, struct arena *arena, struct str path,
                                    struct str *out, struct err *err) {
    char *bytes = NULL;
    size_t len = 0;
    const enum err_code code =
        vfs_read_file(vfs, arena_cstr(arena, path), SECRET_FILE_BYTES_MAX, &bytes, &len, err);
    if (code != ERR_OK) {
        (void)err_wrap(err, "unable to read file %.*s", STR_ARG(path));
        return code;
    }
    *out = arena_str(arena, str_trim((struct str){bytes, len}));
    mem_free(bytes);
    return ERR_OK;
}

/* The value itself, or that of the file. */
static enum err_code value_or_file(struct vfs *vfs, struct arena *arena, struct str value,
                                   struct str file, struct str *out, struct err *err) {
    if (file.len > 0) {
        return http_auth_read_secret(vfs, arena, file, out, err);
    }
    *out = value;
    return ERR_OK;
}

/* RFC 4648 section 4. */
static struct str base64(struct arena *arena, struct str in) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *out = arena_alloc(arena, (in.len + 2) / 3 * 4 + 1);
    size_t n = 0;
    for (size_t i = 0; i < in.len; i += 3) {
        const size_t have = in.len - i < 3 ? in.len - i : 3;
        uint32_t group = 0;
        for (size_t k = 0; k < 3; k++) {
            group = group << 8 | (k < have ? (uint8_t)in.ptr[i + k] : 0);
        }
        for (size_t k = 0; k < 4; k++) {
            out[n++] = k <= have ? digits[group >> (18 - 6 * k) & 63] : '=';
        }
    }
    out[n] = '\0';
    return (struct str){out, n};
}

static enum err_code add_line(struct arena *arena, struct http_lines *lines, struct str name,
                              struct str value, struct err *err) {
    const struct str line = arena_printf(arena, "%.*s: %.*s", STR_ARG(name), STR_ARG(value));
    /* arena_printf stops at a NUL in the value, so the value itself is looked at. */
    if (!http_line_safe(value) || !http_line_safe(name)) {
        return err_set(err, ERR_INVALID, "net/http: invalid header field value for \"%.*s\"",
                       STR_ARG(name));
    }
    lines->lines[lines->count++] = line;
    return ERR_OK;
}

static enum err_code add_basic(const struct http_config *config, struct vfs *vfs,
                               struct arena *arena, struct http_lines *lines, struct err *err) {
    struct str username = STR("");
    struct str password = STR("");
    enum err_code code =
        value_or_file(vfs, arena, config->username, config->username_file, &username, err);
    if (code != ERR_OK) {
        (void)err_wrap(err, "unable to read basic auth username");
        return code;
    }
    code =
        value_or_file(vfs, arena, config->password.reveal, config->password_file, &password, err);
    if (code != ERR_OK) {
        (void)err_wrap(err, "unable to read basic auth password");
        return code;
    }
    struct buf pair;
    buf_init(&pair, 4 * SECRET_FILE_BYTES_MAX);
    buf_append_str(&pair, username);
    buf_append_char(&pair, ':');
    buf_append_str(&pair, password);
    const struct str encoded = base64(arena, buf_str(&pair));
    const bool fits = buf_ok(&pair);
    buf_release(&pair);
    if (!fits) {
        return err_set(err, ERR_LIMIT, "basic auth username and password are too long");
    }
    const struct str value = arena_printf(arena, "Basic %.*s", STR_ARG(encoded));
    return add_line(arena, lines, STR("Authorization"), value, err);
}

static enum err_code add_authorization(const struct http_config *config, struct vfs *vfs,
                                       struct arena *arena, struct http_lines *lines,
                                       struct err *err) {
    struct str credentials = STR("");
    const enum err_code code = value_or_file(vfs, arena, config->credentials.reveal,
                                             config->credentials_file, &credentials, err);
    if (code != ERR_OK) {
        (void)err_wrap(err, "unable to read authorization credentials");
        return code;
    }
    if (!http_line_safe(credentials)) {
        return err_set(err, ERR_INVALID,
                       "net/http: invalid header field value for "
                       "\"Authorization\"");
    }
    const struct str type =
        config->authorization_type.len > 0 ? config->authorization_type : STR("Bearer");
    const struct str value = arena_printf(arena, "%.*s %.*s", STR_ARG(type), STR_ARG(credentials));
    return add_line(arena, lines, STR("Authorization"), value, err);
}

static enum err_code add_header(const struct http_header *header, struct vfs *vfs,
                                struct arena *arena, struct http_lines *lines, struct err *err) {
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < header->value_count && code == ERR_OK; i++) {
        code = add_line(arena, lines, header->name, header->values[i], err);
    }
    for (size_t i = 0; i < header->secret_count && code == ERR_OK; i++) {
        code = add_line(arena, lines, header->name, header->secrets[i].reveal, err);
    }
    for (size_t i = 0; i < header->file_count && code == ERR_OK; i++) {
        struct str value = STR("");
        code = http_auth_read_secret(vfs, arena, header->files[i], &value, err);
        if (code == ERR_OK) {
            code = add_line(arena, lines, header->name, value, err);
        } else {
            (void)err_wrap(err, "unable to read headers file");
        }
    }
    return code;
}

enum err_code http_auth_lines(const struct http_config *config, struct vfs *vfs,
                              struct arena *arena, struct http_lines *out, struct err *err) {
    size_t capacity = 1;
    for (size_t i = 0; i < config->header_count; i++) {
        const struct http_header *header = &config->headers[i];
        capacity += header->value_count + header->secret_count + header->file_count;
    }
    struct http_lines lines = {.lines = arena_alloc(arena, capacity * sizeof(struct str))};
    enum err_code code = ERR_OK;
    if (config->has_basic_auth) {
        code = add_basic(config, vfs, arena, &lines, err);
    } else if (config->has_authorization) {
        code = add_authorization(config, vfs, arena, &lines, err);
    }
    lines.has_authorization = lines.count > 0;
    for (size_t i = 0; i < config->header_count && code == ERR_OK; i++) {
        code = add_header(&config->headers[i], vfs, arena, &lines, err);
    }
    if (code == ERR_OK) {
        *out = lines;
    }
    return code;
}

bool http_line_has_name(struct str line, struct str name) {
    return line.len > name.len && line.ptr[name.len] == ':' &&
           str_eq_nocase(str_sub(line, 0, name.len), name);
}
