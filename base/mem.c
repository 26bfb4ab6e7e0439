#include "base/mem.h"

#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static NORETURN COLD void out_of_memory(size_t bytes) {
    (void)fprintf(stderr, "brasa: out of memory allocating %zu bytes\n", bytes);
    abort();
}

static size_t product(size_t count, size_t bytes) {
    size_t total = 0;
    if (__builtin_mul_overflow(count, bytes, &total)) {
        out_of_memory(SIZE_MAX);
    }
    return total;
}

void *mem_alloc(size_t bytes) {
    void *ptr = malloc(bytes != 0 ? bytes : 1);
    if (ptr == NULL) {
        out_of_memory(bytes);
    }
    return ptr;
}

void *mem_zalloc(size_t bytes) {
    void *ptr = calloc(1, bytes != 0 ? bytes : 1);
    if (ptr == NULL) {
        out_of_memory(bytes);
    }
    return ptr;
}

void *mem_array(size_t count, size_t bytes) {
    return mem_alloc(product(count, bytes));
}

void *mem_resize(void *ptr, size_t count, size_t bytes) {
    const size_t total = product(count, bytes);
    void *grown = realloc(ptr, total != 0 ? total : 1);
    if (grown == NULL) {
        out_of_memory(total);
    }
    return grown;
}

char *mem_strndup(const char *text, size_t n) {
    char *copy = mem_alloc(n + 1);
    if (n > 0) {
        memcpy(copy, text, n);
    }
    copy[n] = '\0';
    return copy;
}

char *mem_strdup(const char *text) {
    return mem_strndup(text, strlen(text));
}

void mem_free(void *ptr) {
    free(ptr);
}

void *mem_alloc_huge(void) {
    void *ptr = aligned_alloc(MEM_HUGE_BYTES, MEM_HUGE_BYTES);
    if (ptr == NULL) {
        out_of_memory(MEM_HUGE_BYTES);
    }
    (void)madvise(ptr, MEM_HUGE_BYTES, MADV_HUGEPAGE); /* advice: without it small pages do */
    return ptr;
}

void *mem_reserve(size_t bytes) {
    void *ptr = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return ptr != MAP_FAILED ? ptr : NULL;
}

void mem_unreserve(void *ptr, size_t bytes) {
    if (ptr != NULL) {
        (void)munmap(ptr, bytes);
    }
}

void mem_give_back(void) {
    (void)malloc_trim(0);
}

size_t mem_grow(size_t capacity, size_t need) {
    size_t grown = capacity + capacity / 2;
    if (grown < need) {
        grown = need;
    }
    return grown < 8 ? 8 : grown;
}
