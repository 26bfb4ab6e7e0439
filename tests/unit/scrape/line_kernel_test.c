/* line_kernel: with the vectors that this file is compiled for, comparing and finding the end of a value
 * do what they do without, and read no byte that is not there.
 *
 * A program of its own without libraries, so that scripts/check-neon can build it for another
 * processor. The texts end where a page of memory ends, and the next one cannot be read. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/number.h"
#include "base/value.h"
#include "scrape/line_kernel.h"

enum { LENGTH_MAX = 300 };

static void require(bool holds, const char *what, size_t at) {
    if (!holds) {
        (void)fprintf(stderr, "line_kernel_test: %s, at %zu\n", what, at);
        exit(1);
    }
}

/* n bytes in front of memory that cannot be read. */
static char *at_the_edge(size_t n) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *const at =
        mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    require(at != MAP_FAILED, "mmap", n);
    require(mprotect(at + page, page, PROT_NONE) == 0, "mprotect", n);
    return at + page - n;
}

static uint64_t next_random(uint64_t *state) { /* splitmix64 */
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Every length, and each of its bytes as the only one that differs. */
static void texts_are_compared_to_the_last_byte(void) {
    char *const a = at_the_edge(LENGTH_MAX);
    char *const b = at_the_edge(LENGTH_MAX);
    uint64_t seed = 1;
    for (size_t i = 0; i < LENGTH_MAX; i++) {
        a[i] = b[i] = (char)next_random(&seed);
    }
    for (size_t n = 1; n <= LENGTH_MAX; n++) {
        const char *const x = a + LENGTH_MAX - n;
        char *const y = b + LENGTH_MAX - n;
        require(kernel_same_bytes(x, y, n), "equal texts differ", n);
        for (size_t i = 0; i < n; i++) {
            const char was = y[i];
            y[i] = (char)(was ^ (char)(1 << next_random(&seed) % 8));
            require(!kernel_same_bytes(x, y, n), "different texts are equal", n);
            y[i] = was;
        }
    }
}

/* Both ends at each place, alone and with more behind, among bytes of all kinds. */
static void the_end_of_a_value_is_found(void) {
    char *const text = at_the_edge(KERNEL_VALUE_BYTES);
    uint64_t seed = 2;
    for (unsigned round = 0; round < 20000; round++) {
        for (size_t i = 0; i < KERNEL_VALUE_BYTES; i++) {
            const char c = (char)next_random(&seed);
            text[i] = c == '\n' || c == ' ' ? '0' : c;
        }
        const size_t ends = next_random(&seed) % 4;
        for (size_t i = 0; i < ends; i++) {
            text[next_random(&seed) % KERNEL_VALUE_BYTES] = i % 2 == 0 ? '\n' : ' ';
        }
        require(kernel_value_length(text) == plain_value_length(text), "wrong length", round);
    }
}

/* Characters may be signed or not. */
static void numbers_come_back(void) {
    static const char *const texts[] = {"0",
                                        "-0",
                                        "1.5",
                                        "1e+22",
                                        "5e-324",
                                        "1.7976931348623157e+308",
                                        "-12345678901234567",
                                        "0.30000000000000004"};
    uint64_t seed = 3;
    for (size_t i = 0; i < 50000; i++) {
        char text[NUMBER_TEXT_MAX];
        struct num n;
        const uint64_t bits = next_random(&seed);
        const double v = i % 2 == 0 ? f64_of_bits(bits) : (double)(int64_t)(bits >> i % 50) / 1000;
        if (v != v || v - v != 0) {
            continue;
        }
        const size_t length = number_format_g(v, text);
        require(num_parse((struct str){text, length}, &n) == NUMBER_OK, "not a number", i);
        require(f64_same_bits(num_double(n), v), "another number", i);
    }
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        char text[NUMBER_TEXT_MAX];
        struct num n;
        require(num_parse(str_of(texts[i]), &n) == NUMBER_OK, "not a number", i);
        const size_t length = number_format_g(num_double(n), text);
        struct num again;
        require(num_parse((struct str){text, length}, &again) == NUMBER_OK, "not a number", i);
        require(f64_same_bits(num_double(n), num_double(again)), "another number", i);
    }
    static const char *const bad[] = {"\xff", "1\x80", "\xb2", "1e\xb9", "1 "};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct num n;
        require(num_parse(str_of(bad[i]), &n) != NUMBER_OK, "bytes are a number", i);
    }
}

int main(void) {
    texts_are_compared_to_the_last_byte();
    the_end_of_a_value_is_found();
    numbers_come_back();
    (void)puts("line_kernel_test: ok");
    return 0;
}
