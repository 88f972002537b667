/* SPDX-License-Identifier: Apache-2.0 */
/* tests/base/check.h - what the tests of base/ share: cmocka, random numbers, exact heap copies. */
#ifndef SNUG_TESTS_BASE_CHECK_H
#define SNUG_TESTS_BASE_CHECK_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base.h"

static inline uint64_t check_random(uint64_t *state) /* splitmix64 */
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* A copy with nothing behind it, so that a sanitizer sees every read past the end. free() it. */
static inline snug_slice check_tight(snug_slice s)
{
    char *p = malloc(s.len == 0 ? 1 : s.len);
    assert_non_null(p);
    if (s.len > 0) memcpy(p, s.ptr, s.len);
    return (snug_slice){p, s.len};
}

static inline void check_untight(snug_slice s) { free((void *)s.ptr); }

#define assert_slice(s, lit) check_slice((s), (lit), sizeof(lit) - 1, __FILE__, __LINE__)
static inline void check_slice(snug_slice s, const char *want, size_t n, const char *file, int line)
{
    if (s.len == n && (n == 0 || memcmp(s.ptr, want, n) == 0)) return;
    print_error("got \"%.*s\" (%zu bytes), want \"%.*s\" (%zu)\n", SNUG_SLICE(s), s.len, (int)n,
                want, n);
    _fail(file, line);
}

/* Runs fn in a child and wants it to end by abort(). */
#define assert_aborts(fn) assert_int_equal(check_signal_of(fn), SIGABRT)
static inline int check_signal_of(void (*fn)(void))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit none = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &none);
        (void)signal(SIGABRT, SIG_DFL);
        if (freopen("/dev/null", "w", stderr) == NULL) _exit(3);
        fn();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

#endif
