/* SPDX-License-Identifier: Apache-2.0 */
/* work/gc.c - the collection that runs by itself.
 *
 * For:     work.c.
 * Threads: jobs/'. */
#include "work/work_int.h"

static bool is_stopping(void *arg) { return jobs_stopping(arg); }

snug_status work_gc(jobs_ctx *c, snug_json args, snug_err *err)
{
    work_app     *app = jobs_app(c);
    hub_gc_report r;
    hub_gc_opts   o = {.grace_ms = app->gc_grace_ms, .stop = is_stopping, .arg = c};
    uint64_t      things = 0, bytes = 0, waiting = 0;
    (void)args;

    if (!app->gc) return SNUG_OK;
    snug_status st = hub_collect(app->hub, &o, &r, err);
    if (st != SNUG_OK) return st;
    for (hub_gc_kind k = 0; k < HUB_GC_KINDS; k++) {
        things += r.of[k].due;
        waiting += r.of[k].waiting;
        if (k == HUB_GC_BLOB || k == HUB_GC_UPLOAD) bytes += r.of[k].due_bytes;
    }
    snug_log(SNUG_INFO, "gc.done", "removed=%llu bytes=%llu waiting=%llu unreadable=%llu",
             (unsigned long long)things, (unsigned long long)bytes, (unsigned long long)waiting,
             (unsigned long long)r.skipped);
    return SNUG_OK;
}
