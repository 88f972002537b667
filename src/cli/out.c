/* SPDX-License-Identifier: Apache-2.0 */
/* cli/out.c - what goes to standard output and standard error, and what comes from standard input.
 *
 * For:     every command.
 * Owns:    nothing.
 * Threads: the main thread.
 * Truth:   standard output carries results only, so that it can be piped; everything said to a
 *          person in passing goes to standard error. */
#include <errno.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "cli/cli_int.h"

enum { LINE_MAX_BYTES = 64 * 1024 };

void cli_print(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vfprintf(stdout, fmt, ap);
    va_end(ap);
}

void cli_say(const cli *c, const char *fmt, ...)
{
    if (c->json || c->quiet) return;
    va_list ap;
    va_start(ap, fmt);
    (void)vfprintf(stdout, fmt, ap);
    va_end(ap);
}

void cli_note(const cli *c, const char *fmt, ...)
{
    if (c->quiet) return;
    va_list ap;
    va_start(ap, fmt);
    (void)vfprintf(stderr, fmt, ap);
    va_end(ap);
}

void cli_print_json(snug_buf *b)
{
    SNUG_ASSERT(!b->full);
    (void)fwrite(b->ptr == NULL ? "" : b->ptr, 1, b->len, stdout);
    (void)fputc('\n', stdout);
}

void cli_print_error(const cli *c, snug_status st, const snug_err *err)
{
    const char *msg = err->msg[0] != '\0' ? err->msg : snug_status_name(st);
    if (c->json) {
        SNUG_AUTO(snug_buf) b = snug_buf_init(16 * 1024);
        snug_json_out o = snug_json_out_init(&b);
        snug_jo_begin_object(&o);
        snug_jo_kcstr(&o, "error", msg);
        snug_jo_kcstr(&o, "status", snug_status_name(st));
        if (err->code != NULL) snug_jo_kcstr(&o, "code", err->code);
        snug_jo_end_object(&o);
        (void)fprintf(stderr, "%s\n", snug_buf_cstr(&b));
        return;
    }
    (void)fprintf(stderr, "%ssnug:%s %s\n", c->err_color ? "\033[31m" : "",
                  c->err_color ? "\033[0m" : "", msg);
    /* The command line is its own operator: "internal error" alone would help nobody. */
    if (err->cause[0] != '\0') (void)fprintf(stderr, "  cause: %s\n", err->cause);
}

snug_status cli_flush(snug_err *err)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) return SNUG_OK;
    if (errno == EPIPE) return snug_fail(err, SNUG_EIO, "the reader of standard output went away");
    return snug_fail(err, SNUG_EIO, "standard output cannot be written: %s", strerror(errno));
}

snug_status cli_read_stdin(snug_arena *a, size_t max, snug_slice *out, snug_err *err)
{
    snug_buf b = snug_buf_init(max);
    char     part[16 * 1024];
    ssize_t  n;
    while ((n = read(STDIN_FILENO, part, sizeof part)) != 0) {
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) break;
        snug_buf_put(&b, part, (size_t)n);
        if (b.full) break;
    }
    snug_status st =
        n < 0 ? snug_fail(err, SNUG_EIO, "standard input cannot be read: %s", strerror(errno))
              : snug_buf_check(&b, "standard input", err);
    if (st == SNUG_OK) *out = snug_arena_dup(a, snug_buf_slice(&b));
    if (b.ptr != NULL) snug_secret_wipe(b.ptr, b.cap); /* passwords come this way */
    snug_buf_deinit(&b);
    return st;
}

snug_status cli_ask(const char *prompt, bool secret, snug_arena *a, snug_slice *out, snug_err *err)
{
    struct termios was, silent;
    char           line[4096];
    bool           hide = secret && tcgetattr(STDIN_FILENO, &was) == 0;
    (void)fprintf(stderr, "%s", prompt);
    if (hide) {
        silent = was;
        silent.c_lflag &= ~(tcflag_t)ECHO;
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    }
    bool got = fgets(line, sizeof line, stdin) != NULL;
    if (hide) {
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &was);
        (void)fputc('\n', stderr);
    }
    if (!got) return snug_fail(err, SNUG_EINVAL, "nothing was typed");
    *out = snug_arena_dup(a, snug_trim(snug_str(line)));
    snug_secret_wipe(line, sizeof line);
    return SNUG_OK;
}
