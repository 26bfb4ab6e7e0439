/* Columns for the tests of sealed blocks: made by recipe from a seeded generator, so that every form and
 * flag comes up; encoded, and held against what was decoded. Blocks and outputs are exactly sized heap
 * blocks, so that the address sanitizer sees one byte too far. */
#ifndef TESTS_UNIT_TSDB_BLOCK_WORLD_H
#define TESTS_UNIT_TSDB_BLOCK_WORLD_H

#include "tsdb/chunk/block.h"

uint64_t world_random(uint64_t *state);
uint32_t world_below(uint64_t *state, uint32_t n);

struct world_column {
    uint32_t rows;
    struct num values[BLOCK_ROWS_MAX];
    uint8_t states[BLOCK_ROWS_MAX];
};

struct num world_decimal(int64_t m, unsigned scale);

/* From set up to tear down of a program's tests. */
extern struct block_encoder *world_encoder;
int world_set_up(void **state);
int world_tear_down(void **state);

/* Encodes into an exactly sized heap block. */
uint8_t *world_encode(const struct world_column *c, size_t *out_n);

struct world_decoded {
    struct block_column doubles;
    struct block_ints ints;
};

void world_decoded_init(struct world_decoded *d, uint32_t rows);
void world_decoded_release(struct world_decoded *d);
void assert_is_column(const struct world_column *c, const struct world_decoded *d);
void assert_decodes_to(const struct world_column *c, const uint8_t *bytes, size_t n);
struct block_info world_round_trip(const struct world_column *c);
void world_all_values(struct world_column *c, uint32_t rows);
void world_make_states(struct world_column *c, uint64_t *seed);
void world_make_column(struct world_column *c, uint64_t *seed);

#endif
