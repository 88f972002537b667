/* SPDX-License-Identifier: Apache-2.0 */
/* remote/pace.c - how many requests run at once: found out, not configured.
 *
 *     one -> double while that helps -> one more now and then, back when it did not help
 *     loss, 429, 503, time-out       -> half of it, and no growing for a while
 *
 * For:     xet_upload.c and xet_download.c, all of whose files share one.
 * Owns:    nothing.
 * Threads: any; the rules themselves take the time as an argument, so tests need no clock.
 * Truth:   never more than `limit` requests are between enter and leave; limit is at least one. */
#include "remote/remote_int.h"

enum { WINDOW_MS = 400, HOLD_MS = 4000, HURT_HOLD_MS = 2000, HURT_EVERY_MS = 1000, WAIT_MS = 100 };

void remote_pace_init(remote_pace *p, unsigned most)
{
    *p = (remote_pace){.limit = 1, .most = most > 0 ? most : 1, .doubling = true};
    snug_mutex_init(&p->lock, "remote.pace", 880);
    snug_cond_init(&p->room);
}

void remote_pace_deinit(remote_pace *p)
{
    snug_cond_deinit(&p->room);
    snug_mutex_deinit(&p->lock);
}

static void open_window(remote_pace *p, uint64_t now_ms)
{
    p->mark_ms = now_ms;
    p->moved = 0;
    p->full = p->busy >= p->limit;
}

static void grow(remote_pace *p, double rate)
{
    p->best = rate;
    p->before = p->limit;
    p->limit = p->doubling ? 2 * p->limit : p->limit + 1;
    if (p->limit > p->most) p->limit = p->most;
    snug_cond_broadcast(&p->room);
}

/* A window is over: its rate says whether the last step helped. Windows in which the limit was not
 * used up say nothing about it. */
static void judge_window(remote_pace *p, uint64_t now_ms)
{
    double rate = (double)p->moved / (double)(now_ms - p->mark_ms);
    if (!p->full || now_ms < p->hold_ms) return;
    if (p->best <= 0 || rate > 1.05 * p->best) {
        grow(p, rate);
        return;
    }
    p->doubling = false;
    if (p->before > 0 && p->limit > p->before) p->limit = p->before;
    p->before = 0;
    p->best = 0; /* links change: measured anew after the pause */
    p->hold_ms = now_ms + HOLD_MS;
}

void remote_pace_moved_at(remote_pace *p, uint64_t now_ms, uint64_t bytes)
{
    snug_lock(&p->lock);
    if (p->mark_ms == 0) open_window(p, now_ms);
    p->moved += bytes;
    if (now_ms - p->mark_ms >= WINDOW_MS) {
        judge_window(p, now_ms);
        open_window(p, now_ms);
    }
    snug_unlock(&p->lock);
}

void remote_pace_hurt_at(remote_pace *p, uint64_t now_ms)
{
    snug_lock(&p->lock);
    /* What breaks several requests at once is one event. */
    if (p->hurt_ms == 0 || now_ms - p->hurt_ms >= HURT_EVERY_MS) {
        p->hurt_ms = now_ms;
        p->limit = p->limit > 1 ? p->limit / 2 : 1;
        p->doubling = false;
        p->best = 0;
        p->before = 0;
        p->hold_ms = now_ms + HURT_HOLD_MS;
        open_window(p, now_ms);
    }
    snug_unlock(&p->lock);
}

void remote_pace_moved(remote_pace *p, uint64_t bytes)
{
    remote_pace_moved_at(p, snug_mono_ms(), bytes);
}

void remote_pace_hurt(remote_pace *p) { remote_pace_hurt_at(p, snug_mono_ms()); }

bool remote_pace_enter(remote_pace *p, const atomic_bool *stop)
{
    snug_lock(&p->lock);
    while (p->busy >= p->limit && !atomic_load(stop))
        (void)snug_cond_wait_ms(&p->room, &p->lock, WAIT_MS);
    bool in = !atomic_load(stop);
    if (in) p->busy++;
    if (p->busy >= p->limit) p->full = true;
    snug_unlock(&p->lock);
    return in;
}

void remote_pace_leave(remote_pace *p)
{
    snug_lock(&p->lock);
    SNUG_ASSERT(p->busy > 0);
    p->busy--;
    snug_cond_signal(&p->room);
    snug_unlock(&p->lock);
}

unsigned remote_pace_limit(remote_pace *p)
{
    snug_lock(&p->lock);
    unsigned limit = p->limit;
    snug_unlock(&p->lock);
    return limit;
}

/* ---- patience: one request after another until something moves, or nothing did for too long ----
 */

void remote_patience_reset(remote_patience *w)
{
    w->failures = 0;
    w->since_ms = 0;
}

bool remote_patience_again(remote_patience *w, snug_status st, const http_answer *ans,
                           snug_err *err)
{
    int      status = ans->status >= 400 ? ans->status : 0;
    uint64_t now = snug_mono_ms();
    if (!remote_is_passing(st, status) || atomic_load(&w->crew->stop)) return false;
    if (w->pace != NULL) remote_pace_hurt(w->pace);
    if (w->since_ms == 0) w->since_ms = now;
    if (now - w->since_ms >= REMOTE_PATIENCE_MS) {
        snug_note(err, "nothing got through for %d s", REMOTE_PATIENCE_MS / 1000);
        return false;
    }
    if (status != 0)
        remote_crew_why(w->crew, "the server answers %d", status);
    else
        remote_crew_why(w->crew, "%s", err->msg);
    if (w->failures < 5) w->failures++;
    snug_slice after = status != 0 ? http_answer_header(ans, "Retry-After") : SNUG_EMPTY;
    return remote_wait(remote_backoff_ms(w->failures, after), &w->crew->stop, err) == SNUG_OK;
}
