#include "config_storage.h"

#include "base/buf.h"
#include "base/number.h"
#include "config_size.h"

static const struct bind_field retention_fields[] = {
    BIND_AT(BIND_DURATION, "time", retention_options, time_ms),
    BIND_AT(BIND_SIZE, "size", retention_options, size_bytes),
    BIND_AT(BIND_FLOAT, "percentage", retention_options, percent),
};

static enum err_code retention_check(struct binder *b, void *self, struct err *err) {
    const struct retention_options *retention = self;
    const bool size_ok = retention->size_bytes >= 0;
    struct buf value;
    (void)b;
    if (size_ok && retention->percent >= 0 && retention->percent <= 100) {
        return ERR_OK;
    }
    buf_init(&value, 512);
    if (size_ok) {
        buf_append_number_g(&value, retention->percent);
    } else {
        size_format(&value, retention->size_bytes);
    }
    (void)err_set(err, ERR_INVALID, "'storage.tsdb.retention.%s, got %.*s",
                  size_ok ? "percentage' must be in the range [0, 100]"
                          : "size' must be greater than or equal to 0",
                  STR_ARG(buf_str(&value)));
    buf_release(&value);
    return ERR_INVALID;
}

static const struct bind_table retention_table = {
    .type_name = "config.plain",
    .size = sizeof(struct retention_options),
    .fields = retention_fields,
    .field_count = COUNT_OF(retention_fields),
    .check = retention_check,
};

static const struct bind_field chunk_encoding_fields[] = {
    BIND_AT(BIND_STR, "floats", chunk_encoding_options, floats),
};

static const struct bind_table chunk_encoding_table = {
    .type_name = "config.ChunkEncodingConfig",
    .size = sizeof(struct chunk_encoding_options),
    .fields = chunk_encoding_fields,
    .field_count = COUNT_OF(chunk_encoding_fields),
};

static const struct bind_field tsdb_fields[] = {
    BIND_ALWAYS(BIND_INT, "outofordertimewindow", tsdb_options, out_of_order_window_untagged_ms),
    BIND_AT(BIND_DURATION, "out_of_order_time_window", tsdb_options, out_of_order_window_ms),
    BIND_AT(BIND_FLOAT, "stale_series_compaction_threshold", tsdb_options,
            stale_series_compaction_threshold),
    BIND_TABLE(BIND_SECTION, "chunk_encoding", tsdb_options, chunk_encoding, chunk_encoding,
               &chunk_encoding_table),
    BIND_TABLE(BIND_OPTIONAL, "retention", tsdb_options, retention, has_retention,
               &retention_table),
};

static enum err_code tsdb_check(struct binder *b, void *self, struct err *err) {
    struct tsdb_options *tsdb = self;
    const struct str floats = tsdb->chunk_encoding.floats;
    tsdb->out_of_order_window_untagged_ms = tsdb->out_of_order_window_ms;
    if (floats.len != 0 && !str_eq(floats, STR("xor")) && !str_eq(floats, STR("xor2"))) {
        return err_set(err, ERR_INVALID,
                       "'storage.tsdb.chunk_encoding.floats' must be 'xor' or 'xor2', or the "
                       "field must be omitted entirely, got %s",
                       bind_quote(b->arena, floats));
    }
    return ERR_OK;
}

static const struct bind_table tsdb_table = {
    .type_name = "config.plain",
    .size = sizeof(struct tsdb_options),
    .fields = tsdb_fields,
    .field_count = COUNT_OF(tsdb_fields),
    .check = tsdb_check,
};

static const struct bind_field exemplar_fields[] = {
    BIND_AT(BIND_INT, "max_exemplars", exemplar_options, max_exemplars),
};

static const struct bind_table exemplar_table = {
    .type_name = "config.ExemplarsConfig",
    .size = sizeof(struct exemplar_options),
    .fields = exemplar_fields,
    .field_count = COUNT_OF(exemplar_fields),
};

static const struct bind_field storage_fields[] = {
    BIND_TABLE(BIND_OPTIONAL, "tsdb", storage_options, tsdb, has_tsdb, &tsdb_table),
    BIND_TABLE(BIND_OPTIONAL, "exemplars", storage_options, exemplars, has_exemplars,
               &exemplar_table),
};

const struct bind_table storage_options_table = {
    .type_name = "config.StorageConfig",
    .size = sizeof(struct storage_options),
    .fields = storage_fields,
    .field_count = COUNT_OF(storage_fields),
};

static const struct bind_field runtime_fields[] = {
    BIND_AT(BIND_INT, "gogc", runtime_options, gogc),
};

const struct bind_table runtime_options_table = {
    .type_name = "config.RuntimeConfig",
    .size = sizeof(struct runtime_options),
    .fields = runtime_fields,
    .field_count = COUNT_OF(runtime_fields),
};
