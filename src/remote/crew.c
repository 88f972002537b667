/* SPDX-License-Identifier: Apache-2.0 */
/* remote/crew.c - many items over a few threads, one progress report, one first error.
 *
 * For:     download.c, upload.c, lfs.c, plan.c.
 * Owns:    its threads while remote_crew_run is on the stack.
 * Threads: the caller's thread waits, reports progress and watches the caller's cancel flag; the
 *          others take the next index until none is left or one failed. */
#include <stdio.h>

#include "remote/remote_int.h"

enum { CREW_MAX = 32, TICK_MS = 50, STILL_MS = 3000 };

void remote_crew_init(remote_crew *c, const atomic_bool *cancel, remote_progress_fn *fn, void *arg)
{
    *c = (remote_crew){.cancel = cancel, .progress = fn, .progress_arg = arg};
    snug_mutex_init(&c->lock, "remote.crew", 900);
    snug_cond_init(&c->idle);
}

void remote_crew_deinit(remote_crew *c)
{
    snug_cond_deinit(&c->idle);
    snug_mutex_deinit(&c->lock);
}

void remote_crew_why(remote_crew *c, const char *fmt, ...)
{
    char    text[sizeof c->why];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    snug_lock(&c->lock);
    memcpy(c->why, text, sizeof text);
    snug_unlock(&c->lock);
}

void remote_crew_what(remote_crew *c, const char *fmt, ...)
{
    char    text[sizeof c->what];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    snug_lock(&c->lock);
    memcpy(c->what, text, sizeof text);
    snug_unlock(&c->lock);
}

/* The reason why nothing moved for a while, into `why`; false: it moves. */
static bool is_still(remote_crew *c, uint64_t now, char why[sizeof c->why])
{
    uint64_t moved = atomic_load(&c->done) + atomic_load(&c->network);
    if (moved != c->moved || c->moved_ms == 0) {
        c->moved = moved;
        c->moved_ms = now;
        snug_lock(&c->lock);
        c->why[0] = '\0';
        snug_unlock(&c->lock);
    }
    if (now - c->moved_ms < STILL_MS) return false;
    snug_lock(&c->lock);
    memcpy(why, c->why, sizeof c->why);
    snug_unlock(&c->lock);
    unsigned s = (unsigned)((now - c->moved_ms) / 1000);
    size_t   n = strlen(why);
    if (n == 0)
        (void)snprintf(why, sizeof c->why, "no answer for %u s", s);
    else
        (void)snprintf(why + n, sizeof c->why - n, " (for %u s)", s);
    return true;
}

static void report(remote_crew *c, bool finished)
{
    if (c->progress == NULL) return;
    uint64_t now = snug_mono_ms();
    if (!finished && now - c->shown_ms < TICK_MS) return;
    char what[sizeof c->what], why[sizeof c->why];
    bool still = is_still(c, now, why);
    snug_lock(&c->lock);
    memcpy(what, c->what, sizeof what);
    snug_unlock(&c->lock);
    uint64_t        passes = c->passes > 1 ? c->passes : 1;
    remote_progress p = {.what = what,
                         .stall = still && !finished ? why : NULL,
                         .done = atomic_load(&c->done) / passes,
                         .total = atomic_load(&c->total) / passes,
                         .files_done = atomic_load(&c->files_done),
                         .files_total = atomic_load(&c->files_total),
                         .finished = finished};
    if (p.total < p.done) p.total = p.done;
    c->shown_ms = now;
    c->progress(c->progress_arg, &p);
}

void remote_crew_finish(remote_crew *c) { report(c, true); }

static void worker(void *arg)
{
    remote_crew *c = arg;
    for (;;) {
        size_t i = atomic_fetch_add(&c->next, 1);
        if (i >= c->count || atomic_load(&c->stop)) break;
        snug_err    mine = {0};
        snug_status st = c->work(c, c->work_arg, i, &mine);
        if (st == SNUG_OK) continue;
        snug_lock(&c->lock);
        if (!c->failed) {
            c->failed = true;
            c->first = mine;
            c->first.status = st;
        }
        snug_unlock(&c->lock);
        atomic_store(&c->stop, true);
    }
    snug_lock(&c->lock);
    c->running--;
    snug_cond_signal(&c->idle);
    snug_unlock(&c->lock);
}

static void wait_for_all(remote_crew *c)
{
    snug_lock(&c->lock);
    while (c->running > 0) {
        (void)snug_cond_wait_ms(&c->idle, &c->lock, TICK_MS);
        snug_unlock(&c->lock);
        if (c->cancel != NULL && atomic_load(c->cancel)) atomic_store(&c->stop, true);
        report(c, false);
        snug_lock(&c->lock);
    }
    snug_unlock(&c->lock);
}

snug_status remote_crew_run(remote_crew *c, unsigned threads, size_t count,
                            snug_status (*work)(remote_crew *c, void *arg, size_t index,
                                                snug_err *err),
                            void *arg, snug_err *err)
{
    snug_thread *t[CREW_MAX];
    if (threads > CREW_MAX) threads = CREW_MAX;
    if (threads > count) threads = (unsigned)count;
    c->work = work;
    c->work_arg = arg;
    c->count = count;
    c->running = threads;
    c->failed = false;
    atomic_store(&c->next, 0);
    atomic_store(&c->stop, c->cancel != NULL && atomic_load(c->cancel));
    for (unsigned i = 0; i < threads; i++) t[i] = snug_thread_start("remote", 0, worker, c);
    wait_for_all(c);
    for (unsigned i = 0; i < threads; i++) snug_thread_join(t[i]);
    if (c->cancel != NULL && atomic_load(c->cancel))
        return snug_fail(err, SNUG_ECANCELED, "canceled");
    if (!c->failed) return SNUG_OK;
    if (err != NULL) *err = c->first;
    return c->first.status;
}
