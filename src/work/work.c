/* SPDX-License-Identifier: Apache-2.0 */
/* work/work.c - the table of background work.
 *
 * A new kind needs: work/<kind>.c, its line in work_int.h and a row here, in the order they are
 * looked for; a test that runs it twice; a line in README.md. */
#include "work/work_int.h"

static const jobs_kind kinds[] = {
    {.name = "webhook", .parallel_max = 4, .timeout_s = 60, .pause_s = 10, .run = work_webhook},
    {.name = "webhook-prune", .every_s = 3600, .run = work_webhook_prune},
    {.name = "xet-chunk", .attempts_max = 8, .parallel_max = 1, .run = work_xet_chunk},
    {.name = "xet-search", .parallel_max = 1, .every_s = 3600, .run = work_xet_search},
    {.name = "gc", .parallel_max = 1, .every_s = 6 * 3600, .run = work_gc},
    {.name = "git-tidy", .parallel_max = 1, .every_s = 24 * 3600, .run = work_git_tidy},
    {.name = "index-merge", .parallel_max = 1, .every_s = 3600, .run = work_index_merge},
    {.name = NULL}, /* the end */
};

const jobs_kind *work_kinds(size_t *count)
{
    *count = sizeof kinds / sizeof kinds[0] - 1;
    return kinds;
}
