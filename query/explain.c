/* The plan of a query as a tree in JSON, with what it is expected to cost and, if asked, what it did
 * (web/README.md has the shape). */
#include "query/profile.h"
#include "query/query.h"

/* Of an expression's text, at each node: a chain as deep as may be would repeat it 250 times. */
enum { NODE_TEXT_MAX = 400 };

static const char *type_name(enum plan_type type) {
    switch (type) {
    case PLAN_NUMBER:
        return "numberLiteral";
    case PLAN_STRING:
        return "stringLiteral";
    case PLAN_SELECTOR:
        return "vectorSelector";
    case PLAN_RANGE:
        return "matrixSelector";
    case PLAN_SUBQUERY:
        return "subquery";
    case PLAN_CALL:
        return "call";
    case PLAN_AGGREGATE:
        return "aggregation";
    case PLAN_BINARY:
        return "binaryExpr";
    case PLAN_UNARY:
        break;
    }
    return "unaryExpr";
}

static void write_count(struct json_out *j, const char *key, uint64_t n) {
    json_key(j, key);
    json_u64(j, n);
}

static void write_text(struct json_out *j, struct str query, struct pos_range pos) {
    const size_t end = pos.end < query.len ? pos.end : query.len;
    const size_t start = pos.start < end ? pos.start : end;
    struct str text = str_sub(query, start, end - start);
    json_key(j, "text");
    json_str(j, text.len > NODE_TEXT_MAX ? str_sub(text, 0, NODE_TEXT_MAX) : text);
    json_key(j, "position");
    json_array_begin(j);
    json_u64(j, start);
    json_u64(j, end);
    json_array_end(j);
}

static void write_expected(struct json_out *j, const struct profile_node *node) {
    json_key(j, "expected");
    json_object_begin(j);
    write_count(j, "maxSeries", node->max_series);
    if (node->type == PLAN_SELECTOR || node->type == PLAN_RANGE) {
        write_count(j, "samples", node->expected_samples);
    }
    json_object_end(j);
}

static int64_t children_ns(const struct profile_node *node) {
    int64_t ns = 0;
    for (size_t i = 0; i < node->child_count; i++) {
        ns += node->children[i]->ns;
    }
    return ns;
}

static void write_actual(struct json_out *j, const struct profile_node *node) {
    const int64_t own_ns = node->ns - children_ns(node);
    json_key(j, "actual");
    json_object_begin(j);
    write_count(j, "calls", node->calls);
    write_count(j, "series", node->series);
    write_count(j, "samples", node->samples);
    json_key(j, "seconds");
    json_f64(j, (double)node->ns / 1e9);
    json_key(j, "ownSeconds");
    json_f64(j, own_ns > 0 ? (double)own_ns / 1e9 : 0);
    write_count(j, "peakBytes", node->peak_bytes);
    json_object_end(j);
}

static void write_node(struct json_out *j, const struct query_profile *p,
                       const struct profile_node *node, struct str query) {
    json_object_begin(j);
    json_key(j, "type");
    json_str(j, str_of(type_name(node->type)));
    if (node->what.len != 0) {
        json_key(j, "op");
        json_str(j, node->what);
    }
    write_text(j, query, node->pos);
    if (node->invariant) {
        json_key(j, "stepInvariant");
        json_bool(j, true);
    }
    if (node->share != 0) {
        write_count(j, "share", node->share);
    }
    write_expected(j, node);
    if (p->analyze) {
        write_actual(j, node);
    }
    json_key(j, "children");
    json_array_begin(j);
    for (size_t i = 0; i < node->child_count; i++) {
        write_node(j, p, node->children[i], query);
    }
    json_array_end(j);
    json_object_end(j);
}

enum err_code query_explain(struct query_engine *engine, struct storage *storage,
                            const struct query *query, bool analyze, struct arena *arena,
                            struct json_out *j, struct err *err) {
    struct query_profile profile = {.arena = arena, .analyze = analyze};
    struct query explained = *query;
    explained.profile = &profile;
    struct query_result result;
    const enum err_code code = query_run(engine, storage, &explained, arena, &result, err);
    if (code != ERR_OK) {
        return code;
    }
    json_object_begin(j);
    json_key(j, "query");
    json_str(j, query->text);
    write_count(j, "steps", profile.step_count);
    json_key(j, "plan");
    write_node(j, &profile, profile.root, query->text);
    if (analyze) {
        write_count(j, "peakBytes", result.stats.peak_bytes);
        json_key(j, "stats");
        query_stats_json(j, &result.stats);
    }
    json_object_end(j);
    return ERR_OK;
}
