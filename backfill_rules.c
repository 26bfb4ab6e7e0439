#include "backfill_rules.h"

#include "base/arena.h"
#include "series_gather.h"

struct history {
    const struct backfill_rules_options *options;
    const struct rule_history *rules;
    size_t rule_count;
    uint64_t asked;
    uint64_t to_ask;
};

static int64_t floor_to(int64_t value, int64_t unit) {
    return value - (value % unit + unit) % unit;
}

/* First evaluation at or behind a time. */
static int64_t first_slot_ms(const struct rule_history *rule, int64_t from_ms) {
    const int64_t from_ns = from_ms * NS_PER_MS;
    const int64_t slot_ns =
        floor_to(from_ns - rule->offset_ns, rule->interval_ns) + rule->offset_ns;
    const int64_t up_ns = slot_ns < from_ns ? slot_ns + rule->interval_ns : slot_ns;
    return floor_to(up_ns, NS_PER_MS) / NS_PER_MS;
}

static enum err_code add_series(struct series_gather *g, struct arena *scratch,
                                const struct rule_history *rule, const struct answer_series *from,
                                struct err *err) {
    struct labels_builder builder;
    struct labels labels;
    struct labels_iter it = labels_begin(rule->labels);
    struct label label;
    labels_builder_init(&builder, scratch);
    labels_builder_reset(&builder, from->metric);
    while (labels_next(&it, &label)) {
        labels_builder_set(&builder, label.name, label.value);
    }
    labels_builder_set(&builder, LABEL_NAME, rule->name);
    enum err_code code = labels_builder_finish(&builder, &labels, err);
    if (code != ERR_OK) {
        return code;
    }
    struct prom_samples *samples = series_gather_samples(g, labels);
    for (size_t i = 0; i < from->count; i++) {
        const struct answer_point *p = &from->points[i];
        if (p->histogram == NULL && prom_samples_add(samples, p->ts_ms, p->value) != ERR_OK) {
            return err_set(err, ERR_LIMIT, "more than %zu samples of one series in a block",
                           samples->max_count);
        }
    }
    return ERR_OK;
}

static enum err_code ask_rule(struct history *h, const struct rule_history *rule, int64_t from_ms,
                              int64_t to_ms, struct series_gather *g, struct arena *scratch,
                              struct err *err) {
    const int64_t start_ms = first_slot_ms(rule, from_ms);
    struct answer answer;
    h->asked++;
    if (start_ms > to_ms) {
        return ERR_OK;
    }
    enum err_code code = h->options->ask(h->options->ask_ctx, rule->expr, start_ms, to_ms,
                                         rule->interval_ns, &answer, err);
    if (code == ERR_OK && answer.type != ANSWER_MATRIX) {
        code = err_set(err, ERR_INVALID, "rule result is wrong type: not a matrix");
    }
    for (size_t i = 0; code == ERR_OK && i < answer.series_count; i++) {
        code = add_series(g, scratch, rule, &answer.series[i], err);
        arena_reset(scratch);
    }
    return code == ERR_OK ? ERR_OK : err_wrap(err, "%.*s", STR_ARG(rule->name));
}

static enum err_code write_window(struct history *h, struct series_gather *g, uint64_t *io_blocks,
                                  struct err *err) {
    const struct prom_block_writer_options options = {.vfs = h->options->vfs,
                                                      .clock = h->options->clock,
                                                      .rng = h->options->rng,
                                                      .path = h->options->path};
    bool written = false;
    for (uint32_t i = 0; i < g->count; i++) {
        prom_samples_order(&g->series[i].samples);
    }
    const enum err_code code = series_gather_write(g, &options, &written, err);
    *io_blocks += written;
    return code;
}

static enum err_code make_window(struct history *h, int64_t from_ms, int64_t to_ms,
                                 uint64_t *io_blocks, struct err *err) {
    struct series_gather g;
    struct arena scratch;
    enum err_code code = ERR_OK;
    series_gather_init(&g);
    arena_init(&scratch, 0);
    for (size_t i = 0; i < h->rule_count && code == ERR_OK; i++) {
        code = ask_rule(h, &h->rules[i], from_ms, to_ms, &g, &scratch, err);
        if (h->options->progress != NULL) {
            progress_update(h->options->progress, h->asked, h->to_ask);
        }
    }
    code = code == ERR_OK ? write_window(h, &g, io_blocks, err) : code;
    arena_release(&scratch);
    series_gather_release(&g);
    return code;
}

enum err_code backfill_rules(const struct rule_history *rules, size_t rule_count,
                             const struct backfill_rules_options *options, uint64_t *out_blocks,
                             struct err *err) {
    const int64_t length = options->block_ms;
    const int64_t first = floor_to(options->start_ms, length);
    struct history h = {.options = options, .rules = rules, .rule_count = rule_count};
    enum err_code code = ERR_OK;
    h.to_ask = rule_count * (uint64_t)((options->end_ms - first) / length + 1);
    *out_blocks = 0;
    for (int64_t at = first; at <= options->end_ms && code == ERR_OK; at += length) {
        const int64_t last = at + length - 1000; /* questions are in whole seconds */
        code = make_window(&h, at > options->start_ms ? at : options->start_ms,
                           last < options->end_ms ? last : options->end_ms, out_blocks, err);
    }
    return code;
}
