/* Hashes: XXH64 for what Prometheus can see (labels, scrape offsets, rule groups), XXH3 keyed
 * with a random secret for tables that strangers fill, CRC32C for bytes on disk, MD5 only for
 * the hashmod relabel action, FNV-1a 64 for scrape offsets. Pure. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t hash_xxh64(const void *bytes, size_t n);
uint64_t hash_keyed(const void *bytes, size_t n, uint64_t seed);
uint64_t hash_fnv1a64(uint64_t state, const void *bytes, size_t n); /* start with FNV1A64_INIT */
#define FNV1A64_INIT 0xcbf29ce484222325ULL
/* Castagnoli; crc of the bytes before, 0 at the start. SSE4.2 where the CPU has it. */
uint32_t hash_crc32c(uint32_t crc, const void *bytes, size_t n);
void hash_md5(const void *bytes, size_t n, uint8_t out[16]);

#endif
