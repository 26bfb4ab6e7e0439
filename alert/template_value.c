#include "alert/template_value.h"

#include "base/duration.h"
#include "base/number.h"

const char *template_type_name(const struct template_value *v) {
    static const char *const names[] = {
        [TEMPLATE_NIL] = "nil",
        [TEMPLATE_BOOL] = "bool",
        [TEMPLATE_INT] = "int",
        [TEMPLATE_FLOAT] = "float64",
        [TEMPLATE_STRING] = "string",
        [TEMPLATE_LABELS] = "map[string]string",
        [TEMPLATE_SAMPLE] = "*template.sample",
        [TEMPLATE_SAMPLES] = "template.queryResult",
        [TEMPLATE_ARGS] = "map[string]interface {}",
        [TEMPLATE_TIME] = "*time.Time",
        [TEMPLATE_DURATION] = "*time.Duration",
        [TEMPLATE_ROOT] = ("struct { Labels map[string]string; ExternalLabels map[string]string; "
                           "ExternalURL string; Value interface {} }"),
        [TEMPLATE_TOO_LARGE] = "int",
    };
    return names[v->type];
}

bool template_truth(const struct template_value *v) {
    switch (v->type) {
    case TEMPLATE_NIL:
        return false;
    case TEMPLATE_BOOL:
        return v->b;
    case TEMPLATE_INT:
    case TEMPLATE_DURATION:
        return v->i != 0;
    case TEMPLATE_FLOAT:
        return v->f != 0;
    case TEMPLATE_STRING:
        return v->s.len != 0;
    case TEMPLATE_LABELS:
        return v->labels.size != 0;
    case TEMPLATE_SAMPLES:
        return v->samples.count != 0;
    case TEMPLATE_ARGS:
        return v->args.count != 0;
    case TEMPLATE_SAMPLE:
    case TEMPLATE_TIME:
    case TEMPLATE_ROOT:
    case TEMPLATE_TOO_LARGE:
        return true;
    }
    return false;
}

static void print_labels(struct buf *to, struct labels labels) {
    buf_append_cstr(to, "map[");
    struct labels_iter it = labels_begin(labels);
    struct label l;
    for (bool first = true; labels_next(&it, &l); first = false) {
        if (!first) {
            buf_append_char(to, ' ');
        }
        buf_append_str(to, l.name);
        buf_append_char(to, ':');
        buf_append_str(to, l.value);
    }
    buf_append_char(to, ']');
}

static void print_time(struct buf *to, int64_t unix_ns) {
    const int64_t seconds =
        unix_ns >= 0 ? unix_ns / 1000000000 : -((-unix_ns + 999999999) / 1000000000);
    const struct civil c = civil_of_unix(seconds);
    buf_printf(to, "%04lld-%02d-%02d %02d:%02d:%02d", (long long)c.year, c.month, c.day, c.hour,
               c.minute, c.second);
    long long fraction = (long long)(unix_ns - seconds * 1000000000);
    if (fraction != 0) {
        int digits = 9;
        while (fraction % 10 == 0) {
            fraction /= 10;
            digits--;
        }
        buf_printf(to, ".%0*lld", digits, fraction);
    }
    buf_append_cstr(to, " +0000 UTC");
}

static void print_sample(struct buf *to, const struct template_sample *s) {
    buf_append_char(to, '{');
    print_labels(to, s->labels);
    buf_append_char(to, ' ');
    buf_append_number_g(to, s->value);
    buf_append_char(to, '}');
}

static void print_root(struct buf *to, const struct template_data *data) {
    buf_append_char(to, '{');
    print_labels(to, data->labels);
    buf_append_char(to, ' ');
    print_labels(to, data->external_labels);
    buf_append_char(to, ' ');
    buf_append_str(to, data->external_url);
    buf_append_char(to, ' ');
    buf_append_number_g(to, data->value);
    buf_append_char(to, '}');
}

void template_print(struct buf *to, const struct template_value *v) {
    switch (v->type) {
    case TEMPLATE_NIL:
        buf_append_cstr(to, "<nil>");
        return;
    case TEMPLATE_BOOL:
        buf_append_cstr(to, v->b ? "true" : "false");
        return;
    case TEMPLATE_INT:
        buf_append_i64(to, v->i);
        return;
    case TEMPLATE_FLOAT:
        buf_append_number_g(to, v->f);
        return;
    case TEMPLATE_STRING:
        buf_append_str(to, v->s);
        return;
    case TEMPLATE_LABELS:
        print_labels(to, v->labels);
        return;
    case TEMPLATE_SAMPLE:
        buf_append_char(to, '&');
        print_sample(to, v->sample);
        return;
    case TEMPLATE_SAMPLES:
        buf_append_char(to, '[');
        for (size_t i = 0; i < v->samples.count; i++) {
            buf_append_cstr(to, i > 0 ? " &" : "&");
            print_sample(to, &v->samples.items[i]);
        }
        buf_append_char(to, ']');
        return;
    case TEMPLATE_ARGS:
        buf_append_cstr(to, "map[");
        for (size_t i = 0; i < v->args.count; i++) {
            buf_printf(to, "%sarg%zu:", i > 0 ? " " : "", i);
            if (v->args.items[i].type != TEMPLATE_ARGS) {
                template_print(to, &v->args.items[i]);
            }
        }
        buf_append_char(to, ']');
        return;
    case TEMPLATE_TIME:
        print_time(to, v->i);
        return;
    case TEMPLATE_DURATION:
        duration_format_go_ns(to, v->i);
        return;
    case TEMPLATE_ROOT:
        print_root(to, v->root);
        return;
    case TEMPLATE_TOO_LARGE:
        buf_append_str(to, v->s);
        return;
    }
}

void template_print_action(struct buf *to, const struct template_value *v) {
    if (v->type == TEMPLATE_NIL) {
        buf_append_cstr(to, "<no value>");
    } else if (v->type == TEMPLATE_SAMPLE) {
        print_sample(to, v->sample);
    } else {
        template_print(to, v);
    }
}

enum err_code template_to_float(const struct template_value *v, double *out, struct err *err) {
    if (v->type == TEMPLATE_FLOAT) {
        *out = v->f;
        return ERR_OK;
    }
    if (v->type == TEMPLATE_INT) {
        *out = (double)v->i;
        return ERR_OK;
    }
    if (v->type == TEMPLATE_STRING) {
        if (number_parse_double(v->s, out) == NUMBER_OK) {
            return ERR_OK;
        }
        return err_set(err, ERR_INVALID, "strconv.ParseFloat: parsing \"%.*s\": invalid syntax",
                       STR_ARG(v->s));
    }
    return err_set(err, ERR_INVALID, "can't convert %s to float", template_type_name(v));
}

static enum err_code root_field(const struct template_data *data, struct str name,
                                struct template_value *out) {
    if (str_eq(name, STR("Labels"))) {
        *out = (struct template_value){.type = TEMPLATE_LABELS, .labels = data->labels};
    } else if (str_eq(name, STR("ExternalLabels"))) {
        *out = (struct template_value){.type = TEMPLATE_LABELS, .labels = data->external_labels};
    } else if (str_eq(name, STR("ExternalURL"))) {
        *out = template_string(data->external_url);
    } else if (str_eq(name, STR("Value"))) {
        *out = template_float(data->value);
    } else {
        return ERR_INVALID;
    }
    return ERR_OK;
}

static enum err_code sample_field(const struct template_sample *s, struct str name,
                                  struct template_value *out) {
    if (str_eq(name, STR("Labels"))) {
        *out = (struct template_value){.type = TEMPLATE_LABELS, .labels = s->labels};
    } else if (str_eq(name, STR("Value"))) {
        *out = template_float(s->value);
    } else {
        return ERR_INVALID;
    }
    return ERR_OK;
}

static enum err_code args_field(struct template_list args, struct str name,
                                struct template_value *out) {
    uint64_t index = 0;
    const bool known = str_starts(name, STR("arg")) &&
                       number_parse_u64(str_from(name, 3), &index) == NUMBER_OK &&
                       index < args.count;
    *out = known ? args.items[index] : (struct template_value){.type = TEMPLATE_NIL};
    return ERR_OK;
}

enum err_code template_field(const struct template_value *v, struct str name,
                             struct template_value *out, struct err *err) {
    enum err_code code = ERR_INVALID;
    if (v->type == TEMPLATE_LABELS) {
        *out = template_string(labels_get(v->labels, name));
        code = ERR_OK;
    } else if (v->type == TEMPLATE_ROOT) {
        code = root_field(v->root, name, out);
    } else if (v->type == TEMPLATE_SAMPLE) {
        code = sample_field(v->sample, name, out);
    } else if (v->type == TEMPLATE_ARGS) {
        code = args_field(v->args, name, out);
    } else if (v->type == TEMPLATE_NIL) {
        return err_set(err, ERR_INVALID, "nil data; no entry for key \"%.*s\"", STR_ARG(name));
    }
    if (code != ERR_OK) {
        return err_set(err, ERR_INVALID, "can't evaluate field %.*s in type %s", STR_ARG(name),
                       template_type_name(v));
    }
    return ERR_OK;
}
