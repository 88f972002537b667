/* SPDX-License-Identifier: Apache-2.0 */
/* xet/runs.c - how broken up a file becomes by taking chunks from here and there.
 *
 *     chunks of the file:   A A A A A B A A B B B B B ...      A, B: xorbs
 *     runs:                 [   5   ][1][2 ][  5   ...
 *
 * A file whose every second chunk lies in another xorb is read back chunk by chunk. Then it is
 * better to store some chunks once more than to jump: below a mean of XET_RUN_LOW chunks a run no
 * further jump is taken, until storing them in a row has brought the mean to XET_RUN_HIGH again.
 *
 * For:     whoever builds files from known chunks: remote/xet_pack.c, hub/chunk.c.
 * Threads: a xet_runs belongs to one thread.
 * Truth:   only where chunks are taken from depends on it, never what the file is. */
#include "xet/xet.h"

void xet_runs_add(xet_runs *r, bool same_xorb)
{
    if (!same_xorb && r->now > 0) {
        uint32_t *slot = &r->size[r->next];
        r->sum += r->now - *slot; /* free slots hold 0 */
        *slot = r->now;
        r->next = (r->next + 1) % XET_RUNS;
        if (r->count < XET_RUNS) r->count++;
        r->now = 0;
    }
    if (r->now < XET_RUN_COUNTED_MAX) r->now++;
}

bool xet_runs_may_jump(xet_runs *r)
{
    uint64_t chunks = r->sum + r->now, runs = (uint64_t)r->count + 1;
    if (r->count < XET_RUNS) return true; /* a short file may be as broken up as it likes */
    if (chunks < XET_RUN_LOW * runs) r->stays = true;
    if (chunks >= XET_RUN_HIGH * runs) r->stays = false;
    return !r->stays;
}
