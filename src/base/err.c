/* SPDX-License-Identifier: Apache-2.0 */
/* base/err.c - status tables and error text. */
#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#undef snug_fail /* err.h has stand-ins for the analyzer */
#undef snug_fail_code
#undef snug_fail_sys

static const struct {
    const char *name;
    int         http, exit;
} status_table[SNUG_STATUS_COUNT] = {
#define X(id, name, http, code) [id] = {name, http, code},
    SNUG_STATUS_LIST(X)
#undef X
};

const char *snug_status_name(snug_status st)
{
    return (unsigned)st < SNUG_STATUS_COUNT ? status_table[st].name : "?";
}

int snug_status_http(snug_status st)
{
    return (unsigned)st < SNUG_STATUS_COUNT ? status_table[st].http : 500;
}

int snug_status_exit(snug_status st)
{
    return (unsigned)st < SNUG_STATUS_COUNT ? status_table[st].exit : 70;
}

void snug_err_clear(snug_err *err)
{
    if (err == NULL) return;
    err->status = SNUG_OK;
    err->code = NULL;
    err->msg[0] = '\0';
    err->cause[0] = '\0';
}

/* The sentence goes to users and HTTP headers: one line, no control bytes. */
static void clean_line(char *s)
{
    for (; *s != '\0'; s++) {
        if ((unsigned char)*s < 0x20 || *s == 0x7f) *s = ' ';
    }
}

static void SNUG_PRINTF(4, 0)
    set_msg(snug_err *err, snug_status st, const char *code, const char *fmt, va_list ap)
{
    if (err == NULL) return;
    char text[SNUG_ERR_MSG_MAX]; /* the arguments may point into err itself */
    (void)vsnprintf(text, sizeof text, fmt, ap);
    clean_line(text);
    snug_err_clear(err);
    err->status = st;
    err->code = code;
    memcpy(err->msg, text, sizeof text);
}

snug_status snug_fail(snug_err *err, snug_status st, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    set_msg(err, st, NULL, fmt, ap);
    va_end(ap);
    return st;
}

snug_status snug_fail_code(snug_err *err, snug_status st, const char *code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    set_msg(err, st, code, fmt, ap);
    va_end(ap);
    return st;
}

static const char *sys_sentence(int errnum)
{
    if (errnum == ENOSPC || errnum == EDQUOT) return "the server's disk is full";
    if (errnum == ENOMEM) return "out of memory";
    if (errnum == EMFILE || errnum == ENFILE) return "too many open files; try again";
    return "internal error";
}

snug_status snug_fail_sys(snug_err *err, int errnum, const char *fmt, ...)
{
    if (err != NULL) {
        char    what[SNUG_ERR_CAUSE_MAX];
        va_list ap;
        va_start(ap, fmt);
        (void)vsnprintf(what, sizeof what, fmt, ap);
        va_end(ap);
        char  errbuf[96];
        char *reason = strerror_r(errnum, errbuf, sizeof errbuf);
        snug_err_clear(err);
        err->status = SNUG_EIO;
        (void)snprintf(err->msg, sizeof err->msg, "%s", sys_sentence(errnum));
        (void)snprintf(err->cause, sizeof err->cause, "%.160s: %.80s", what, reason);
        clean_line(err->cause);
    }
    return SNUG_EIO;
}

void snug_note(snug_err *err, const char *fmt, ...)
{
    if (err == NULL || err->msg[0] == '\0') return;
    char    head[SNUG_ERR_MSG_MAX];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(head, sizeof head, fmt, ap);
    va_end(ap);
    char joined[2 * SNUG_ERR_MSG_MAX + 4];
    (void)snprintf(joined, sizeof joined, "%s: %s", head, err->msg);
    joined[SNUG_ERR_MSG_MAX - 1] = '\0';
    clean_line(joined);
    memcpy(err->msg, joined, SNUG_ERR_MSG_MAX);
}

_Noreturn void snug_panic(const char *file, int line, const char *what)
{
    (void)fprintf(stderr, "snug: bug at %s:%d: %s\n", file, line, what);
    abort();
}
