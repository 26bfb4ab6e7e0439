#include "tsdb/prom_dump.h"

#include <errno.h>

#include "tsdb/dump_line.h"
#include "tsdb/prom_db.h"
#include "tsdb/prom_set.h"

enum {
    SAMPLES_MAX = 64 << 20,
    FLUSH_BYTES = 256 << 10,
    TEXT_BYTES_MAX = 256 << 20,
    HISTOGRAM_BYTES_MAX = 1 << 30
};

struct dump {
    struct prom_db db;
    struct prom_set *set;
    struct prom_samples samples;
    struct arena histograms;
    struct buf labels;
    struct buf text;
    FILE *to;
    const struct prom_dump_options *options;
    struct prom_dump_result *result;
};

static enum err_code flush(struct dump *d, struct err *err) {
    const struct str text = buf_str(&d->text);
    if (!buf_ok(&d->text)) {
        return err_set(err, ERR_LIMIT, "labels too long");
    }
    if (fwrite(text.ptr, 1, text.len, d->to) != text.len) {
        return err_set_errno(err, errno, "writing the dump");
    }
    buf_clear(&d->text);
    return ERR_OK;
}

static enum err_code is_selected(const struct dump *d, struct labels labels, bool *out,
                                 struct err *err) {
    enum err_code code = ERR_OK;
    *out = d->options->selector_count == 0;
    for (size_t i = 0; code == ERR_OK && !*out && i < d->options->selector_count; i++) {
        const struct prom_selector *s = &d->options->selectors[i];
        code = matchers_match(s->matchers, s->count, labels, out, err);
    }
    return code;
}

static enum err_code dump_series(struct dump *d, uint32_t series, struct err *err) {
    struct prom_read_result read = {.next_ms = INT64_MAX};
    const struct labels labels = prom_set_labels(d->set, series);
    bool selected;
    enum err_code code = is_selected(d, labels, &selected, err);
    if (code != ERR_OK || !selected) {
        return code;
    }
    code = prom_set_read(d->set, series, &d->samples, &read, err);
    if (code != ERR_OK || d->samples.count == 0) {
        return code;
    }
    if (d->options->format == PROM_DUMP_SERIES_JSON) {
        dump_line_labels(&d->text, labels, d->options->format);
        return d->text.len >= FLUSH_BYTES ? flush(d, err) : ERR_OK;
    }
    buf_clear(&d->labels);
    dump_line_labels(&d->labels, labels, d->options->format);
    for (size_t i = 0; code == ERR_OK && i < d->samples.count; i++) {
        const struct prom_sample *s = &d->samples.items[i];
        if (s->histogram != NULL && d->options->format == PROM_DUMP_OPENMETRICS) {
            break;
        }
        d->result->samples++;
        d->result->histograms += s->histogram != NULL;
        dump_line_append(&d->text, buf_str(&d->labels), s->histogram, s->value, s->ts_ms,
                         d->options->format);
        if (d->text.len >= FLUSH_BYTES) {
            code = flush(d, err);
        }
    }
    return code;
}

/* As many series at once as the log's samples in memory allow. */
static enum err_code dump_set(struct dump *d, struct err *err) {
    const uint32_t count = prom_set_count(d->set);
    uint32_t step = count;
    for (uint32_t first = 0; first < count;) {
        int64_t next_ms;
        const uint32_t last = count - first > step ? first + step : count;
        enum err_code code =
            prom_set_load(d->set, first, last, d->options->mint, d->options->maxt, &next_ms, err);
        if (code == ERR_LIMIT && step > 1) {
            step /= 2;
            continue;
        }
        for (; code == ERR_OK && first < last; first++) {
            code = dump_series(d, first, err);
        }
        if (code != ERR_OK) {
            return code;
        }
    }
    if (d->options->format == PROM_DUMP_OPENMETRICS) {
        buf_append_cstr(&d->text, "# EOF\n");
    }
    return flush(d, err);
}

enum err_code prom_dump(struct vfs *vfs, const char *path, const struct prom_dump_options *options,
                        FILE *to, struct prom_dump_result *out, struct err *err) {
    struct dump d = {.to = to, .options = options, .result = out};
    *out = (struct prom_dump_result){0};
    prom_samples_init(&d.samples, SAMPLES_MAX);
    arena_init(&d.histograms, HISTOGRAM_BYTES_MAX);
    d.samples.arena = &d.histograms;
    buf_init(&d.labels, TEXT_BYTES_MAX);
    buf_init(&d.text, TEXT_BYTES_MAX);
    enum err_code code = prom_db_init(&d.db, vfs, path, true, options->log, err);
    if (code == ERR_OK) {
        prom_head_limit(d.db.head, options->log_samples_max);
        code = prom_set_open(&d.db, 0, d.db.block_count, true, PROM_BY_LABELS, &d.set, err);
    }
    if (code == ERR_OK) {
        code = dump_set(&d, err);
    }
    prom_set_close(d.set);
    prom_db_release(&d.db);
    prom_samples_release(&d.samples);
    arena_release(&d.histograms);
    buf_release(&d.labels);
    buf_release(&d.text);
    return code;
}
