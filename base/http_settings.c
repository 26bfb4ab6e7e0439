#include "base/http_curl.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/vfs.h"

static enum err_code readable(struct str path, const char *what, struct err *err) {
    char *name = mem_strndup(path.ptr, path.len);
    struct vfs_file *file = NULL;
    const enum err_code code = vfs_open(vfs_system(), name, VFS_READ, &file, err);
    mem_free(name);
    if (code != ERR_OK) {
        (void)err_wrap(err, "unable to read %s: unable to read file %.*s", what, STR_ARG(path));
        return http_recode(err, ERR_INVALID);
    }
    vfs_file_close(file);
    return ERR_OK;
}

/* The GnuTLS backend takes files only: inline PEM gets a name without touching the disk. */
static enum err_code pem_file(struct str pem, int *out_fd, struct err *err) {
    const int fd = memfd_create("brasa-pem", MFD_CLOEXEC);
    if (fd < 0) {
        return err_set_errno(err, errno, "memfd_create");
    }
    size_t done = 0;
    while (done < pem.len) {
        const ssize_t put = write(fd, pem.ptr + done, pem.len - done);
        if (put < 0 && errno != EINTR) {
            (void)close(fd);
            return err_set_errno(err, errno, "write of an anonymous file");
        }
        done += put > 0 ? (size_t)put : 0;
    }
    *out_fd = fd;
    return ERR_OK;
}

/* Inline text into an anonymous file, or a look whether the file can be read. */
static enum err_code check_pem(struct str pem, struct str path, const char *what, int *out_fd,
                               struct err *err) {
    if (pem.len > 0) {
        return pem_file(pem, out_fd, err);
    }
    return path.len > 0 ? readable(path, what, err) : ERR_OK;
}

static enum err_code check_tls(struct transport_client *client, const struct tls_config *tls,
                               struct err *err) {
    if (tls->min_version != TLS_DEFAULT && tls->max_version != TLS_DEFAULT &&
        tls->max_version < tls->min_version) {
        return err_set(err, ERR_INVALID,
                       "tls_config.max_version must be greater than or equal to "
                       "tls_config.min_version if both are specified");
    }
    enum err_code code = check_pem(tls->ca, tls->ca_file, "CA cert", &client->ca_fd, err);
    if (code == ERR_OK) {
        code = check_pem(tls->cert, tls->cert_file, "client cert", &client->cert_fd, err);
    }
    if (code == ERR_OK) {
        code = check_pem(tls->key.reveal, tls->key_file, "client key", &client->key_fd, err);
    }
    return code;
}

static void look_at(struct transport_client *client, struct tls_files *out) {
    const struct tls_config *tls = &client->config->tls;
    const struct str paths[] = {tls->ca_file, tls->cert_file, tls->key_file};
    *out = (struct tls_files){0};
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        struct stat st;
        char name[PATH_MAX];
        if (paths[i].len == 0 || paths[i].len >= sizeof(name)) {
            continue;
        }
        memcpy(name, paths[i].ptr, paths[i].len);
        name[paths[i].len] = '\0';
        if (stat(name, &st) == 0) {
            out->of[i].mtime_ns = (int64_t)st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec;
            out->of[i].size_bytes = st.st_size;
            out->of[i].inode = st.st_ino;
        }
    }
}

/* libcurl reads the files for each connection; those that stand were made with the old ones. */
bool http_settings_files_changed(struct transport_client *client) {
    const struct http_config *config = client->config;
    if (config == NULL || !config->has_tls ||
        (config->tls.ca_file.len == 0 && config->tls.cert_file.len == 0 &&
         config->tls.key_file.len == 0)) {
        return false;
    }
    struct tls_files now;
    look_at(client, &now);
    const bool changed = memcmp(&now, &client->tls_files, sizeof(now)) != 0;
    client->tls_files = now;
    return changed;
}

enum err_code http_settings_check(struct transport_client *client, struct err *err) {
    const struct http_config *config = client->config;
    if (config == NULL) {
        return ERR_OK;
    }
    enum err_code code = config->has_tls ? check_tls(client, &config->tls, err) : ERR_OK;
    if (code == ERR_OK && config->proxy_connect_header_count > 0) {
        const struct http_config only = {.headers = config->proxy_connect_headers,
                                         .header_count = config->proxy_connect_header_count};
        code = http_auth_lines(&only, vfs_system(), &client->arena, &client->proxy_lines, err);
    }
    client->reads_files = http_auth_uses_files(config);
    if (code == ERR_OK && !client->reads_files) {
        code = http_auth_lines(config, vfs_system(), &client->arena, &client->fixed_lines, err);
    }
    /* As Go: whoever lists exceptions also excepts this machine. "" keeps the environment out. */
    if (config->no_proxy.len > 0) {
        client->no_proxy = arena_cstr(&client->arena,
                                      arena_printf(&client->arena, "%.*s,localhost,127.0.0.0/8,::1",
                                                   STR_ARG(config->no_proxy)));
    } else if (!config->proxy_from_environment) {
        client->no_proxy = arena_cstr(&client->arena, STR(""));
    }
    return code;
}
