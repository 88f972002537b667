/* SPDX-License-Identifier: Apache-2.0 */
/* remote/xet_span.h - one block of a file by Xet: xet_block.c, driven by xet_download.c. */
#ifndef SNUG_REMOTE_XET_SPAN_H
#define SNUG_REMOTE_XET_SPAN_H

#include "remote/remote_int.h"

/* A file under way by Xet. */
typedef struct remote_xjob {
    remote_crew        *c;
    const remote_fetch *f;
    remote_xget        *x;
    remote_blocks       b;
    snug_mutex          lock; /* rank 860: guards b.done, next, st, err */
    uint32_t            next; /* block to look at */
    int                 fd, journal_fd;
    bool                again; /* second time: counted already, and not from the chunk cache */
    atomic_bool         failed;
    snug_status         st;
    snug_err            err;
} remote_xjob;

/* Brings one block into the partial file, going on after losses. */
snug_status remote_block_fetch(remote_xjob *jb, uint32_t block, snug_err *err) SNUG_MUST_USE;

#endif
