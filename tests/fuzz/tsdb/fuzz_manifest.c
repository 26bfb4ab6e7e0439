/* Manifests from any bytes: what decodes is ordered and within its bounds, and its own bytes decode
 * to the same. */
#include "base/check.h"
#include "tsdb/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_lists(const struct manifest *m) {
    for (size_t i = 0; i < m->partition_count; i++) {
        const struct manifest_partition *p = &m->partitions[i];
        ASSERT(p->number != 0 && p->number < m->next_partition);
        ASSERT(i == 0 || p->number > m->partitions[i - 1].number);
        ASSERT(p->start_ms < p->end_ms && p->min_ts_ms <= p->max_ts_ms);
        for (uint32_t k = 0; k < p->parent_count; k++) {
            ASSERT(p->parents[k] != 0 && p->parents[k] < p->number);
        }
        ASSERT(manifest_find(m, p->number) == p);
    }
    for (size_t i = 0; i < m->mark_count; i++) {
        const struct manifest_mark *mark = &m->marks[i];
        ASSERT(mark->shard < MANIFEST_SHARDS_MAX && mark->start_ms < mark->end_ms);
        ASSERT(mark->l0_file <= m->floors[mark->shard].l0_file);
        const struct manifest_mark *found =
            manifest_mark_at(m->marks, m->mark_count, mark->shard, mark->start_ms);
        ASSERT(found != NULL && found->start_ms <= mark->start_ms &&
               found->end_ms > mark->start_ms);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct manifest m;
    struct manifest again;
    struct buf bytes;
    struct buf second;
    if (manifest_decode(data, size, &m, NULL) != ERR_OK) {
        return 0;
    }
    check_lists(&m);
    buf_init(&bytes, 1 << 24);
    buf_init(&second, 1 << 24);
    manifest_encode(&m, &bytes);
    ASSERT(buf_ok(&bytes));
    ASSERT(manifest_decode((const uint8_t *)bytes.ptr, bytes.len, &again, NULL) == ERR_OK);
    manifest_encode(&again, &second);
    ASSERT(bytes.len == second.len && str_eq(buf_str(&bytes), buf_str(&second)));
    manifest_release(&m);
    manifest_release(&again);
    buf_release(&bytes);
    buf_release(&second);
    return 0;
}
