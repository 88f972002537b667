/* SPDX-License-Identifier: Apache-2.0 */
/* work/tidy.c - git repositories with many packs, and the index of searches with many segments,
 * are put together again.
 *
 * For:     work.c.
 * Threads: jobs/'. */
#include "work/work_int.h"

enum { PACKS_MIN = 20, LOOSE_MIN = 1000, MERGE_PAGES = 500 };

static bool is_stopping(void *arg) { return jobs_stopping(arg); }

/* {"repo": row}: one that left commits behind. Without: all that have many files. */
snug_status work_git_tidy(jobs_ctx *c, snug_json args, snug_err *err)
{
    work_app       *app = jobs_app(c);
    uint64_t        row = 0;
    hub_tidy_report r;
    snug_json       one = snug_json_get(args, "repo");
    snug_status     st = SNUG_OK;

    if (!app->gc) return SNUG_OK;
    if (snug_json_is(one, SNUG_JSON_INT)) SNUG_TRY(snug_json_need_u64(args, "repo", &row, err));
    hub_tidy_opts o = {.grace_ms = app->gc_grace_ms,
                       .row = (int64_t)row,
                       .packs_min = row == 0 ? PACKS_MIN : 0,
                       .loose_min = row == 0 ? LOOSE_MIN : 0,
                       .stop = is_stopping,
                       .arg = c};
    SNUG_TRY(hub_tidy(app->hub, &o, &r, err));
    snug_log(SNUG_INFO, "git.tidy", "repos=%llu dropped=%llu young=%llu skipped=%llu",
             (unsigned long long)r.repos, (unsigned long long)r.dropped,
             (unsigned long long)r.young, (unsigned long long)r.skipped);
    if (row != 0 && r.young + r.skipped > 0)
        SNUG_TRY(hub_queue_tidy(app->hub, (int64_t)row, app->gc_grace_ms + 3600000, err));
done:
    return st;
}

snug_status work_index_merge(jobs_ctx *c, snug_json args, snug_err *err)
{
    work_app   *app = jobs_app(c);
    bool        more = true;
    snug_status st = SNUG_OK;
    (void)args;
    while (st == SNUG_OK && more && !jobs_stopping(c))
        st = hub_merge_index(app->hub, MERGE_PAGES, &more, err);
    return st;
}
