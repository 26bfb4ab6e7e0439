#include "cmd_check.h"

#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/duration.h"
#include "config.h"
#include "config_glob.h"
#include "config_sd.h"

/* One configuration file under check. */
struct check {
    const struct tool_io *io;
    const struct check_options *options;
    const struct config *config;
    struct arena arena;
    struct str *rule_files;
    size_t rule_file_count;
};

/* ---- rule files ---- */

static enum err_code add_rule_files(struct check *c, const struct str *paths, size_t count) {
    struct str *all = arena_alloc(&c->arena, (c->rule_file_count + count + 1) * sizeof(struct str));
    if (c->rule_file_count != 0) {
        memcpy(all, c->rule_files, c->rule_file_count * sizeof(struct str));
    }
    if (count != 0) {
        memcpy(all + c->rule_file_count, paths, count * sizeof(struct str));
    }
    c->rule_files = all;
    c->rule_file_count += count;
    return ERR_OK;
}

static enum err_code find_rule_files(struct check *c, struct err *err) {
    const struct rules_config *rules = &c->config->rules;
    enum err_code code = ERR_OK;
    for (size_t i = 0; code == ERR_OK && i < rules->file_count; i++) {
        struct str *paths = NULL;
        size_t count = 0;
        code = config_glob(c->io->vfs, &c->arena, rules->files[i], &paths, &count, err);
        if (code == ERR_OK && count == 0 && str_find_char(rules->files[i], '*') < 0) {
            return err_set(err, ERR_NOT_FOUND, "\"%.*s\" does not point to an existing file",
                           STR_ARG(rules->files[i]));
        }
        if (code == ERR_OK) {
            code = add_rule_files(c, paths, count);
        }
    }
    return code;
}

/* ---- files that a configuration names ---- */

static enum err_code must_exist(struct check *c, struct str path, const char *what,
                                struct err *err) {
    struct vfs_stat st;
    if (path.len == 0 || c->options->syntax_only ||
        vfs_stat(c->io->vfs, arena_cstr(&c->arena, path), &st, err) == ERR_OK) {
        return ERR_OK;
    }
    return err_wrap(err, "error checking %s \"%.*s\"", what, STR_ARG(path));
}

static enum err_code check_http(struct check *c, const struct http_config *http, struct err *err) {
    enum err_code code = must_exist(c, http->credentials_file,
                                    "authorization credentials or bearer token file", err);
    if (code == ERR_OK) {
        code = must_exist(c, http->tls.cert_file, "client cert file", err);
    }
    return code == ERR_OK ? must_exist(c, http->tls.key_file, "client key file", err) : code;
}

static enum err_code check_sd_file(struct check *c, struct str pattern, const char *owner,
                                   struct err *err) {
    struct str *paths = NULL;
    size_t count = 0;
    enum err_code code = config_glob(c->io->vfs, &c->arena, pattern, &paths, &count, err);
    if (code == ERR_OK && count == 0) {
        (void)fprintf(c->io->out, "  WARNING: file \"%.*s\" for file_sd in %s does not exist\n",
                      STR_ARG(pattern), owner);
    }
    for (size_t i = 0; code == ERR_OK && i < count; i++) {
        code = discovery_check_file(c->io->vfs, arena_cstr(&c->arena, paths[i]), err);
    }
    return code == ERR_OK ? code : err_wrap(err, "checking SD file \"%.*s\"", STR_ARG(pattern));
}

static enum err_code check_discovery(struct check *c, const struct sd_config_set *set,
                                     const char *owner, struct err *err) {
    if (c->options->syntax_only) {
        return ERR_OK;
    }
    for (size_t i = 0; i < set->config_count; i++) {
        for (size_t k = 0; k < set->configs[i].file_count; k++) {
            const enum err_code code = check_sd_file(c, set->configs[i].files[k], owner, err);
            if (code != ERR_OK) {
                return code;
            }
        }
    }
    return ERR_OK;
}

/* What an agent does without. */
static enum err_code check_agent(const struct check *c, struct err *err) {
    const struct alerting_config *alerting = &c->config->alerting;
    if (alerting->alertmanager_count != 0 || alerting->alert_relabel.count != 0) {
        return err_set(err, ERR_INVALID, "field alerting is not allowed in agent mode");
    }
    if (c->config->rules.file_count != 0) {
        return err_set(err, ERR_INVALID, "field rule_files is not allowed in agent mode");
    }
    return ERR_OK;
}

static enum err_code check_sections(struct check *c, struct err *err) {
    const struct config *config = c->config;
    enum err_code code = c->options->agent ? check_agent(c, err) : ERR_OK;
    if (code == ERR_OK && !c->options->syntax_only) {
        code = find_rule_files(c, err);
    }
    for (size_t i = 0; code == ERR_OK && i < config->scrape_count; i++) {
        const struct scrape_config *scrape = &config->scrapes[i];
        const struct str owner =
            arena_printf(&c->arena, "scrape job \"%.*s\"", STR_ARG(scrape->job_name));
        code = check_http(c, &scrape->http, err);
        if (code == ERR_OK) {
            code = check_discovery(c, &scrape->sd, owner.ptr, err);
        }
    }
    for (size_t i = 0; code == ERR_OK && i < config->alerting.alertmanager_count; i++) {
        code =
            check_discovery(c, &config->alerting.alertmanagers[i].sd, "alertmanager config", err);
    }
    return code;
}

/* ---- one file ---- */

static enum check_result worse(enum check_result a, enum check_result b) {
    return a > b ? a : b;
}

/* A scrape that comes less often than queries look back leaves gaps; the first one is told. */
static enum check_result lint_intervals(const struct check *c) {
    const struct config *config = c->config;
    for (size_t i = 0; i < config->scrape_count; i++) {
        const struct scrape_config *scrape = &config->scrapes[i];
        if (scrape->interval_ms < c->options->lookback_ms) {
            continue;
        }
        struct buf interval;
        buf_init(&interval, ERR_TEXT_MAX);
        duration_format_ms(&interval, scrape->interval_ms);
        (void)fprintf(c->io->err,
                      "  FAILED: too long scrape interval found, data point will be marked as "
                      "stale - job: %.*s, interval: %.*s\n",
                      STR_ARG(scrape->job_name), STR_ARG(buf_str(&interval)));
        buf_release(&interval);
        return CHECK_LINT;
    }
    return CHECK_OK;
}

static enum check_result check_more(struct check *c, check_rule_file_fn *rules) {
    enum check_result result = CHECK_OK;
    if (c->options->syntax_only) {
        return CHECK_OK;
    }
    if (c->options->lint_intervals) {
        result = lint_intervals(c);
    }
    for (size_t i = 0; rules != NULL && i < c->rule_file_count; i++) {
        const char *path = arena_cstr(&c->arena, c->rule_files[i]);
        result = worse(result, rules(c->io, c->options, path));
        (void)fflush(c->io->out);
    }
    return result;
}

static enum check_result check_file(const struct tool_io *io, const struct check_options *options,
                                    const char *path, check_rule_file_fn *rules) {
    const struct config_defaults defaults = {.syntax_only = options->syntax_only};
    struct check c = {.io = io, .options = options};
    struct config *config = NULL;
    struct err err;
    arena_init(&c.arena, 0);
    (void)fprintf(io->out, "Checking %s\n", path);
    enum err_code code = config_load_with(io->vfs, path, &defaults, NULL, &config, &err);
    if (code == ERR_OK) {
        c.config = config;
        code = check_sections(&c, &err);
    }
    if (code != ERR_OK) {
        (void)fflush(io->out);
        (void)fprintf(io->err, "  FAILED: %s\n", err.text);
    } else {
        if (c.rule_file_count > 0) {
            (void)fprintf(io->out, "  SUCCESS: %zu rule files found\n", c.rule_file_count);
        }
        (void)fprintf(io->out, " SUCCESS: %s is valid prometheus config file syntax\n", path);
    }
    (void)fprintf(io->out, "\n");
    (void)fflush(io->out);
    const enum check_result result = code == ERR_OK ? check_more(&c, rules) : CHECK_FAILED;
    config_unref(config);
    arena_release(&c.arena);
    return result;
}

int check_exit_code(const struct check_options *options, enum check_result result) {
    switch (result) {
    case CHECK_OK:
        break;
    case CHECK_LINT:
        return options->lint_fatal ? TOOL_LINT : TOOL_OK;
    case CHECK_FAILED:
        return TOOL_FAILED;
    }
    return TOOL_OK;
}

int check_config(const struct tool_io *io, const struct check_options *options,
                 const char *const *files, size_t count, check_rule_file_fn *rules) {
    enum check_result result = CHECK_OK;
    for (size_t i = 0; i < count; i++) {
        result = worse(result, check_file(io, options, files[i], rules));
    }
    return check_exit_code(options, result);
}
