/* Prometheus keeps metadata by series, a storage by family: the name of the series, without the ending
 * that parts of a histogram or summary have. */
#include "tsdb/import_notes.h"

#include "base/utf8.h"

enum { COMMIT_EXEMPLARS = 4096 };

struct notes_import {
    struct storage *st;
    struct storage_appender *appender;
    const struct cancel *cancel;
    struct import_notes_result *result;
    size_t pending;
};

static enum err_code commit(struct notes_import *n, struct err *err) {
    struct storage_appender *appender = n->appender;
    if (appender == NULL) {
        return ERR_OK;
    }
    n->appender = NULL;
    n->result->exemplars += n->pending;
    n->pending = 0;
    const enum err_code code = storage_appender_commit(n->st, appender, err);
    return code == ERR_OK ? cancel_check(n->cancel) : code;
}

static enum err_code take_exemplar(void *ctx, struct labels series,
                                   const struct storage_exemplar *e, struct err *err) {
    struct notes_import *n = ctx;
    enum err_code code = ERR_OK;
    if (n->appender == NULL) {
        code = storage_appender_begin(n->st, &n->appender, err);
    }
    if (code == ERR_OK && storage_append_exemplar(n->st, n->appender, series, e) == ERR_OK) {
        n->pending++;
    }
    return code == ERR_OK && n->pending >= COMMIT_EXEMPLARS ? commit(n, err) : code;
}

static struct str family_of(struct str name, struct str type) {
    static const struct str endings[] = {STR_INIT("_bucket"), STR_INIT("_count"), STR_INIT("_sum")};
    const bool has_parts = str_eq(type, STR("histogram")) || str_eq(type, STR("gaugehistogram")) ||
                           str_eq(type, STR("summary"));
    for (size_t i = 0; has_parts && i < COUNT_OF(endings); i++) {
        if (str_ends(name, endings[i])) {
            return str_sub(name, 0, name.len - endings[i].len);
        }
    }
    return name;
}

static enum err_code take_metadata(void *ctx, struct labels series,
                                   const struct storage_metadata *m, struct err *err) {
    struct notes_import *n = ctx;
    const struct str name = labels_get(series, LABEL_NAME);
    (void)err;
    if (name.len != 0 && utf8_valid(m->help) && utf8_valid(m->unit)) {
        storage_metadata_put(n->st, family_of(name, m->type), m);
        n->result->families++;
    }
    return ERR_OK;
}

enum err_code import_notes(struct storage *st, struct prom_head *head, const struct cancel *cancel,
                           struct import_notes_result *out, struct err *err) {
    static const struct prom_head_notes notes = {take_exemplar, take_metadata};
    struct notes_import n = {.st = st, .cancel = cancel, .result = out};
    *out = (struct import_notes_result){0};
    enum err_code code = prom_head_read_notes(head, &notes, &n, err);
    if (code == ERR_OK) {
        code = commit(&n, err);
    }
    if (n.appender != NULL) {
        storage_appender_rollback(st, n.appender);
    }
    return code;
}
