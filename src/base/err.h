/* SPDX-License-Identifier: Apache-2.0 */
/* base/err.h - making, adding to and reading errors. Every function accepts err == NULL. */
#ifndef SNUG_BASE_ERR_H
#define SNUG_BASE_ERR_H

#include <snug/snug.h>

/* Runs a fallible call inside a function that has `snug_status st` and a `done:` label. */
#define SNUG_TRY(call)                                                                             \
    do {                                                                                           \
        st = (call);                                                                               \
        if (st != SNUG_OK) goto done;                                                              \
    } while (0)

/* Fails a function of the same shape with a sentence. */
#define SNUG_FAIL(...)                                                                             \
    do {                                                                                           \
        st = snug_fail(__VA_ARGS__);                                                               \
        goto done;                                                                                 \
    } while (0)

/* Sets the sentence the user reads (clears an earlier one) and returns `st`. */
snug_status snug_fail(snug_err *err, snug_status st, const char *fmt, ...) SNUG_PRINTF(3, 4);

/* As snug_fail with a machine-readable code: a static string such as "RepoNotFound". */
snug_status snug_fail_code(snug_err *err, snug_status st, const char *code, const char *fmt, ...)
    SNUG_PRINTF(4, 5);

/* For failures of the system: the user sees "internal error"; errno and `fmt` go to err->cause.
 * errno ENOSPC and ENOMEM are named to the user, since they can act on them. Returns SNUG_EIO. */
snug_status snug_fail_sys(snug_err *err, int errnum, const char *fmt, ...) SNUG_PRINTF(3, 4);

/* Puts "context: " in front of the sentence; never replaces the first cause. */
void snug_note(snug_err *err, const char *fmt, ...) SNUG_PRINTF(2, 3);

#ifdef __clang_analyzer__
/* clang's analyzer sees one file at a time and would try what happens when a failure is SNUG_OK. */
#define SNUG_NOT_OK(st) ((st) == SNUG_OK ? SNUG_EINTERNAL : (st))
#define snug_fail(err, st, ...) ((void)(snug_fail)((err), (st), __VA_ARGS__), SNUG_NOT_OK(st))
#define snug_fail_code(err, st, ...)                                                               \
    ((void)(snug_fail_code)((err), (st), __VA_ARGS__), SNUG_NOT_OK(st))
#define snug_fail_sys(...) ((void)(snug_fail_sys)(__VA_ARGS__), SNUG_EIO)
#endif

void        snug_err_clear(snug_err *err);
const char *snug_status_name(snug_status st);
int         snug_status_http(snug_status st);
int         snug_status_exit(snug_status st);

/* Our own mistakes stop the process with file and line; stays on in release builds. */
#define SNUG_ASSERT(cond) ((cond) ? (void)0 : snug_panic(__FILE__, __LINE__, #cond))
_Noreturn void snug_panic(const char *file, int line, const char *what);

#endif
