/* Compiler attributes used across the tree, under names that say what they ask for. */
#ifndef BASE_ATTR_H
#define BASE_ATTR_H

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))
#define NORETURN __attribute__((noreturn))
#define UNUSED __attribute__((unused))
#define NOINLINE __attribute__((noinline))
#define HOT __attribute__((hot))
#define COLD __attribute__((cold))
#define ALWAYS_INLINE inline __attribute__((always_inline))
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
/* The symbol of a function whose name in C would clash with one of a library. */
#define LINK_NAME(symbol) __asm__(symbol)
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Lock contracts that clang checks with -Wthread-safety; gcc sees nothing. */
#ifdef __clang__
#define CAPABILITY(name) __attribute__((capability(name)))
#define REQUIRES(...) __attribute__((requires_capability(__VA_ARGS__)))
#define ACQUIRES(...) __attribute__((acquire_capability(__VA_ARGS__)))
#define RELEASES(...) __attribute__((release_capability(__VA_ARGS__)))
#define TRY_ACQUIRES(...) __attribute__((try_acquire_capability(__VA_ARGS__)))
#define NO_THREAD_SAFETY __attribute__((no_thread_safety_analysis))
#else
#define CAPABILITY(name)
#define REQUIRES(...)
#define ACQUIRES(...)
#define RELEASES(...)
#define TRY_ACQUIRES(...)
#define NO_THREAD_SAFETY
#endif

#endif
