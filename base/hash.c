#include "base/hash.h"

#include <nettle/md5.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/attr.h"
#include "base/bytes.h"

uint64_t hash_xxh64(const void *bytes, size_t n) {
    return XXH64(n != 0 ? bytes : "", n, 0);
}

uint64_t hash_keyed(const void *bytes, size_t n, uint64_t seed) {
    return XXH3_64bits_withSeed(n != 0 ? bytes : "", n, seed);
}

uint64_t hash_fnv1a64(uint64_t state, const void *bytes, size_t n) {
    const uint8_t *p = bytes;
    for (size_t i = 0; i < n; i++) {
        state = (state ^ p[i]) * 0x100000001b3ULL;
    }
    return state;
}

/* CRC32C, reflected polynomial 0x82F63B78. The table is the remainder of each nibble, so that it
 * fits a cache line: the portable way is for old CPUs only and two look-ups a byte are enough. */
static uint32_t crc32c_portable(uint32_t crc, const uint8_t *p, size_t n) {
    static const uint32_t nibbles[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
        0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
        0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        crc = crc >> 4 ^ nibbles[crc & 15];
        crc = crc >> 4 ^ nibbles[crc & 15];
    }
    return crc;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc, const uint8_t *p,
                                                               size_t n) {
    uint64_t wide = crc;
    for (; n >= 8; n -= 8, p += 8) {
        wide = __builtin_ia32_crc32di(wide, load_u64(p));
    }
    crc = (uint32_t)wide;
    for (; n > 0; n--, p++) {
        crc = __builtin_ia32_crc32qi(crc, *p);
    }
    return crc;
}
#endif

uint32_t hash_crc32c(uint32_t crc, const void *bytes, size_t n) {
#ifdef __x86_64__
    if (LIKELY(__builtin_cpu_supports("sse4.2"))) {
        return ~crc32c_sse42(~crc, bytes, n);
    }
#endif
    return ~crc32c_portable(~crc, bytes, n);
}

void hash_md5(const void *bytes, size_t n, uint8_t out[16]) {
    struct md5_ctx ctx;
    md5_init(&ctx);
    md5_update(&ctx, n, bytes);
    md5_digest(&ctx, MD5_DIGEST_SIZE, out);
}
