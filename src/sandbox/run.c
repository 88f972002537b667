/* SPDX-License-Identifier: Apache-2.0 */
/* sandbox/run.c - feeding a child and reading it, until it ends or is not wanted any more.
 *
 *   pull -> [piece] -> stdin   child   stdout -> push
 *                                      stderr -> errors
 *
 * One piece each way is all that is held: a child that does not read stops the pulling, a push
 * that waits stops the child.
 *
 * For:     whoever has foreign bytes and a program for them.
 * Threads: any number run children; each child belongs to the thread that runs it.
 * Truth:   when sandbox_run returns, the child and all it started are gone. */
#include "sandbox/sandbox_int.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PIECE = 64 << 10, TICK_MS = 200, WALL_MS = 600000 };

/* ---- what the machine allows ---- */

static bool try_walls(sandbox *s, snug_buf *said)
{
    static const char *const argv[] = {"/usr/bin/true", NULL}, *const env[] = {NULL};
    sandbox_job job = {.argv = argv, .env = env, .errors = said};
    sandbox_end end = {0};
    snug_err    err = {0};
    s->confined = true; /* for this one run */
    bool ok = sandbox_run(s, &job, &end, &err) == SNUG_OK && end.code == 0;
    s->confined = ok;
    return ok;
}

snug_status sandbox_open(sandbox **out, snug_err *err)
{
    snug_status st = SNUG_OK;
    sandbox    *s = snug_zalloc(sizeof *s);
    SNUG_AUTO(snug_buf) said = snug_buf_init(200);

    *out = NULL;
    SNUG_TRY(sandbox_make_filter(s, err));
    if (!try_walls(s, &said)) {
        snug_slice why = snug_trim(snug_buf_slice(&said));
        snug_log(
            SNUG_WARN, "sandbox.open",
            "confined=no why=%.*s effect=programs run with limits and a system call filter only",
            SNUG_SLICE(why.len > 0 ? why : SNUG_LIT("bubblewrap is not installed")));
    }
    *out = s;
    s = NULL;
done:
    sandbox_close(s);
    return st;
}

void sandbox_close(sandbox *s) { free(s); }

bool sandbox_is_confined(const sandbox *s) { return s->confined; }

/* ---- one run ---- */

typedef struct run {
    const sandbox_job *job;
    sandbox_child      child;
    char              *piece; /* input on its way: [at, len) */
    size_t             at, len;
    char              *got;
    uint64_t           until_ms;
} run;

static void close_fd(int *fd)
{
    if (*fd >= 0) (void)close(*fd);
    *fd = -1;
}

/* The child can take bytes. It may also have stopped reading: what is left is then not its
 * business, and its exit code says whether that was right. */
static snug_status feed(run *r, snug_err *err)
{
    if (r->at == r->len) {
        size_t got = 0;
        if (r->job->pull != NULL) {
            snug_status st = r->job->pull(r->job->arg, r->piece, PIECE, &got, err);
            if (st != SNUG_OK) return st;
        }
        r->at = 0;
        r->len = got;
        if (got == 0) close_fd(&r->child.in);
        if (got == 0) return SNUG_OK;
    }
    ssize_t n = send(r->child.in, r->piece + r->at, r->len - r->at, MSG_NOSIGNAL);
    if (n > 0) r->at += (size_t)n;
    if (n < 0 && errno != EAGAIN && errno != EINTR) close_fd(&r->child.in);
    return SNUG_OK;
}

/* Bytes of a pipe into r->got; 0 at its end, which closes it. False: none now. */
static bool take(run *r, int *fd, size_t *n)
{
    ssize_t got = read(*fd, r->got, PIECE);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    *n = got > 0 ? (size_t)got : 0;
    if (got <= 0) close_fd(fd);
    return true;
}

static snug_status drain_out(run *r, snug_err *err)
{
    size_t n;
    if (!take(r, &r->child.out, &n) || n == 0 || r->job->push == NULL) return SNUG_OK;
    return r->job->push(r->job->arg, snug_slice_of(r->got, n), err);
}

/* As much as the buffer takes; the rest is read and dropped, or the child would hang. */
static void drain_err(run *r)
{
    snug_buf *b = r->job->errors;
    size_t    n;
    if (!take(r, &r->child.err, &n) || b == NULL || b->full) return;
    size_t room = b->max > b->len ? b->max - b->len : 0;
    snug_buf_put(b, r->got, n < room ? n : room);
}

static snug_status still_wanted(const run *r, snug_err *err)
{
    if (snug_mono_ms() >= r->until_ms)
        return snug_fail(err, SNUG_ETIMEOUT, "it took longer than its time limit");
    if (r->job->gone != NULL && r->job->gone(r->job->arg))
        return snug_fail(err, SNUG_ECANCELED, "the client went away");
    return SNUG_OK;
}

static snug_status pump(run *r, snug_err *err)
{
    snug_status st = SNUG_OK;
    while (r->child.out >= 0 || r->child.err >= 0) {
        struct pollfd p[3] = {{r->child.out, POLLIN, 0},
                              {r->child.err, POLLIN, 0},
                              {r->child.in, POLLOUT, 0}}; /* poll skips negative ones */
        int           n = poll(p, 3, TICK_MS);
        if (n < 0 && errno != EINTR) return snug_fail_sys(err, errno, "poll");
        SNUG_TRY(still_wanted(r, err));
        if (n <= 0) continue;
        if (p[0].revents != 0) SNUG_TRY(drain_out(r, err));
        if (p[1].revents != 0) drain_err(r);
        if (p[2].revents != 0) SNUG_TRY(feed(r, err));
    }
done:
    return st;
}

snug_status sandbox_run(sandbox *s, const sandbox_job *job, sandbox_end *end, snug_err *err)
{
    run r = {.job = job};
    *end = (sandbox_end){-1, 0};
    r.until_ms = snug_mono_ms() + (job->limits.wall_ms > 0 ? job->limits.wall_ms : WALL_MS);
    snug_status st = sandbox_spawn(s, job, s->confined, &r.child, err);
    if (st != SNUG_OK) return st;
    r.piece = snug_alloc(PIECE);
    r.got = snug_alloc(PIECE);
    st = pump(&r, err);
    sandbox_reap(&r.child, st != SNUG_OK, end);
    free(r.piece);
    free(r.got);
    return st;
}
