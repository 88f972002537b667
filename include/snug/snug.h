/* SPDX-License-Identifier: Apache-2.0 */
/* snug/snug.h - the basic types every part of Snug speaks: status, error, slice.
 *
 * For:     every module, and programs that embed libsnug.
 * Threads: plain values; no function here touches shared state. */
#ifndef SNUG_SNUG_H
#define SNUG_SNUG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SNUG_VERSION "0.1.0"

#if defined(__GNUC__)
#define SNUG_MUST_USE __attribute__((warn_unused_result))
#define SNUG_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define SNUG_MUST_USE
#define SNUG_PRINTF(fmt, args)
#endif

/* Every outcome a caller can tell apart: X(constant, name, HTTP status, exit code).
 * A new status also needs a line in docs/errors.md. */
#define SNUG_STATUS_LIST(X)                                                                        \
    X(SNUG_OK, "ok", 200, 0)                                                                       \
    X(SNUG_EINVAL, "invalid", 400, 2)          /* the request or the flags are wrong */            \
    X(SNUG_EUNAUTH, "unauthenticated", 401, 4) /* who are you? */                                  \
    X(SNUG_EFORBIDDEN, "forbidden", 403, 4)    /* you, but not that */                             \
    X(SNUG_ENOTFOUND, "not-found", 404, 3)                                                         \
    X(SNUG_ECONFLICT, "conflict", 409, 5)      /* exists already, or another writer won */         \
    X(SNUG_ESTALE, "stale", 412, 5)            /* a precondition named an older state */           \
    X(SNUG_ELIMIT, "limit", 413, 6)            /* larger than a named limit */                     \
    X(SNUG_ERANGE, "range", 416, 2)            /* no such byte range */                            \
    X(SNUG_ECORRUPT, "corrupt", 422, 7)        /* bytes that are not what they claim */            \
    X(SNUG_ERATE, "rate", 429, 8)                                                                  \
    X(SNUG_EINTERNAL, "internal", 500, 70)                                                         \
    X(SNUG_EIO, "io", 500, 74)                                                                     \
    X(SNUG_ENOMEM, "out-of-memory", 500, 71)                                                       \
    X(SNUG_EUNSUPPORTED, "unsupported", 501, 9) /* understood, not built here */                   \
    X(SNUG_EREMOTE, "remote", 502, 10)          /* the other server failed */                      \
    X(SNUG_EBUSY, "busy", 503, 8)               /* a queue is full: try again */                   \
    X(SNUG_ETIMEOUT, "timeout", 504, 8)                                                            \
    X(SNUG_ECANCELED, "canceled", 499, 130)                                                        \
    X(SNUG_EAGAIN, "again", 503, 8)             /* not now, not here; internal hand-over */        \
    X(SNUG_EPAYLOAD, "unprocessable", 422, 2)   /* well-formed but not acceptable, e.g. a bad path */

typedef enum snug_status {
#define X(id, name, http, code) id,
    SNUG_STATUS_LIST(X)
#undef X
    SNUG_STATUS_COUNT
} snug_status;

/* Borrowed bytes: not NUL-terminated, may hold any byte. ptr may be NULL only when len is 0. */
typedef struct snug_slice {
    const char *ptr;
    size_t      len;
} snug_slice;

enum { SNUG_ERR_MSG_MAX = 512, SNUG_ERR_CAUSE_MAX = 256 };

/* What went wrong. msg is for the user; cause (errno, paths) is for the log only. */
typedef struct snug_err {
    snug_status status;
    const char *code;   /* static: "RepoNotFound", ... or NULL; becomes X-Error-Code */
    char        msg[SNUG_ERR_MSG_MAX];
    char        cause[SNUG_ERR_CAUSE_MAX];
} snug_err;

#endif
