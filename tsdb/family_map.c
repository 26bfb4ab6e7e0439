#include "tsdb/family_map.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/mutex.h"

struct family { /* name, type, help, unit, one behind the other */
    char *texts;
    uint32_t ends[4];
    uint32_t tag;
    uint64_t hash;
};

struct metadata_map {
    struct mutex mu;
    struct family *families;
    uint32_t count;
    uint32_t capacity;
    uint32_t *slots; /* open addressing: number + 1, 0 = free */
    uint32_t slot_mask;
    size_t bytes;
};

struct metadata_map *metadata_map_new(void) {
    struct metadata_map *map = mem_zalloc(sizeof(*map));
    mutex_init(&map->mu);
    map->slot_mask = 63;
    map->slots = mem_zalloc((map->slot_mask + (size_t)1) * sizeof(*map->slots));
    return map;
}

void metadata_map_free(struct metadata_map *map) {
    if (map == NULL) {
        return;
    }
    for (uint32_t i = 0; i < map->count; i++) {
        mem_free(map->families[i].texts);
    }
    mem_free(map->families);
    mem_free(map->slots);
    mutex_release(&map->mu);
    mem_free(map);
}

static struct str text_of(const struct family *f, int which) {
    const uint32_t begin = which == 0 ? 0 : f->ends[which - 1];
    return (struct str){f->texts + begin, f->ends[which] - begin};
}

static struct storage_family view(const struct family *f) {
    return (struct storage_family){
        .name = text_of(f, 0),
        .metadata = {.type = text_of(f, 1), .help = text_of(f, 2), .unit = text_of(f, 3)},
    };
}

static bool same(const struct family *f, const struct storage_metadata *m) {
    return str_eq(text_of(f, 1), m->type) && str_eq(text_of(f, 2), m->help) &&
           str_eq(text_of(f, 3), m->unit);
}

static uint32_t *slot_of(const struct metadata_map *map, struct str name, uint64_t hash)
    REQUIRES(map->mu) {
    uint32_t at = (uint32_t)hash & map->slot_mask;
    while (map->slots[at] != 0) {
        const struct family *f = &map->families[map->slots[at] - 1];
        if (f->hash == hash && str_eq(text_of(f, 0), name)) {
            break;
        }
        at = (at + 1) & map->slot_mask;
    }
    return &map->slots[at];
}

static void grow_slots(struct metadata_map *map) REQUIRES(map->mu) {
    map->slot_mask = map->slot_mask * 2 + 1;
    mem_free(map->slots);
    map->slots = mem_zalloc((map->slot_mask + (size_t)1) * sizeof(*map->slots));
    for (uint32_t i = 0; i < map->count; i++) {
        *slot_of(map, text_of(&map->families[i], 0), map->families[i].hash) = i + 1;
    }
}

static size_t text_bytes(struct str name, const struct storage_metadata *m) {
    return name.len + m->type.len + m->help.len + m->unit.len;
}

static void set_texts(struct metadata_map *map, struct family *f, struct str name,
                      const struct storage_metadata *m) REQUIRES(map->mu) {
    const struct str texts[4] = {name, m->type, m->help, m->unit};
    char *bytes = mem_alloc(text_bytes(name, m) + 1);
    uint32_t at = 0;
    for (int i = 0; i < 4; i++) {
        if (texts[i].len != 0) {
            memcpy(bytes + at, texts[i].ptr, texts[i].len);
        }
        at += (uint32_t)texts[i].len;
        f->ends[i] = at;
    }
    mem_free(f->texts); /* name may point there */
    f->texts = bytes;
    map->bytes += at;
}

static bool put_locked(struct metadata_map *map, struct str name, uint64_t hash,
                       const struct storage_metadata *m, bool take, uint32_t tag)
    REQUIRES(map->mu) {
    uint32_t *slot = slot_of(map, name, hash);
    struct family *f = *slot != 0 ? &map->families[*slot - 1] : NULL;
    const size_t old = f != NULL ? f->ends[3] : 0;
    if ((f != NULL && same(f, m)) || map->bytes - old > METADATA_BYTES_MAX - text_bytes(name, m) ||
        (f == NULL && map->count == METADATA_FAMILIES_MAX)) {
        return false;
    }
    if (!take) {
        return true;
    }
    if (f == NULL) {
        if (map->count == map->capacity) {
            map->capacity = (uint32_t)mem_grow(map->capacity, map->count + (size_t)1);
            map->families = mem_resize(map->families, map->capacity, sizeof(*map->families));
        }
        f = &map->families[map->count++];
        *f = (struct family){.hash = hash};
        *slot = map->count;
    }
    map->bytes -= old;
    set_texts(map, f, name, m);
    f->tag = tag;
    if (map->count > map->slot_mask / 2) {
        grow_slots(map);
    }
    return true;
}

static bool put(struct metadata_map *map, struct str family, const struct storage_metadata *m,
                bool take, uint32_t tag) {
    if (family.len == 0 || text_bytes(family, m) > METADATA_TEXT_MAX) {
        return false;
    }
    const uint64_t hash = hash_keyed(family.ptr, family.len, 0);
    mutex_lock(&map->mu);
    const bool news = put_locked(map, family, hash, m, take, tag);
    mutex_unlock(&map->mu);
    return news;
}

bool metadata_map_put(struct metadata_map *map, struct str family, const struct storage_metadata *m,
                      uint32_t tag) {
    return put(map, family, m, true, tag);
}

bool metadata_map_is_news(struct metadata_map *map, struct str family,
                          const struct storage_metadata *m) {
    return put(map, family, m, false, 0);
}

static int by_name(const void *a, const void *b) {
    return str_cmp(((const struct storage_family *)a)->name,
                   ((const struct storage_family *)b)->name);
}

enum err_code metadata_map_list(struct metadata_map *map, struct arena *arena,
                                struct storage_family **out, size_t *out_count) {
    enum err_code code = ERR_OK;
    mutex_lock(&map->mu);
    *out_count = map->count;
    *out = arena_try_alloc(arena, map->count + (size_t)1, sizeof(**out));
    code = *out != NULL ? ERR_OK : ERR_LIMIT;
    for (uint32_t i = 0; i < map->count && code == ERR_OK; i++) {
        struct family copy = map->families[i];
        copy.texts = arena_try_alloc(arena, copy.ends[3] + (size_t)1, 1);
        if (copy.texts == NULL) {
            code = ERR_LIMIT;
            break;
        }
        memcpy(copy.texts, map->families[i].texts, copy.ends[3]);
        (*out)[i] = view(&copy);
    }
    mutex_unlock(&map->mu);
    if (code == ERR_OK) {
        qsort(*out, *out_count, sizeof(**out), by_name);
    }
    return code;
}

enum err_code metadata_map_visit(struct metadata_map *map, metadata_visit_fn *visit, void *ctx,
                                 struct err *err) {
    enum err_code code = ERR_OK;
    mutex_lock(&map->mu);
    for (uint32_t i = 0; i < map->count && code == ERR_OK; i++) {
        const struct storage_family family = view(&map->families[i]);
        code = visit(ctx, &family, &map->families[i].tag, err);
    }
    mutex_unlock(&map->mu);
    return code;
}
