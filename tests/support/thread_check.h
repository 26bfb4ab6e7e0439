/* Is this build made to find races? Then tests of one thread that repeat themselves by the hundred
 * take a few of their steps: the other builds take all. */
#ifndef TESTS_SUPPORT_THREAD_CHECK_H
#define TESTS_SUPPORT_THREAD_CHECK_H

#if defined(__SANITIZE_THREAD__)
#define THREAD_CHECK 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define THREAD_CHECK 1
#endif
#endif
#ifndef THREAD_CHECK
#define THREAD_CHECK 0
#endif

#endif
