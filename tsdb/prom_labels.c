#include "tsdb/prom_labels.h"

#include "base/labels.h"

static void add_string(struct buf *to, struct str s) {
    if (s.len < 0xFF) {
        buf_append_char(to, (char)s.len);
    } else {
        const char head[] = {(char)0xFF, (char)s.len, (char)(s.len >> 8), (char)(s.len >> 16)};
        buf_append(to, head, sizeof(head));
    }
    buf_append_str(to, s);
}

enum err_code prom_labels_add(struct buf *to, struct str *before, struct str name, struct str value,
                              struct err *err) {
    if (name.len == 0 || str_cmp(*before, name) >= 0) {
        return err_set(err, ERR_CORRUPT, "label names out of order");
    }
    if (name.len > LABEL_STRING_MAX || value.len > LABEL_STRING_MAX) {
        return err_set(err, ERR_LIMIT, "label of more than %d bytes", LABEL_STRING_MAX);
    }
    *before = name;
    if (value.len != 0) {
        add_string(to, name);
        add_string(to, value);
    }
    return buf_ok(to) ? ERR_OK : err_set(err, ERR_LIMIT, "labels too long");
}
