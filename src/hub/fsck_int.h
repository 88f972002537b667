/* SPDX-License-Identifier: Apache-2.0 */
/* hub/fsck_int.h - what fsck.c and fsck_rows.c share. */
#ifndef SNUG_HUB_FSCK_INT_H
#define SNUG_HUB_FSCK_INT_H

#include "hub/hub_int.h"

typedef struct fsck {
    hub                 *h;
    const hub_fsck_opts *o;
    hub_fsck_report     *r;
} fsck;

/* One finding. */
void        fsck_tell(fsck *f, const char *kind, snug_slice name, bool derived, bool repaired,
                      const char *fmt, ...) SNUG_PRINTF(6, 7);
void        fsck_progress(fsck *f, const char *what, uint64_t done);
snug_status fsck_go_on(const fsck *f, snug_err *err) SNUG_MUST_USE;
/* Links, the chunk index, repositories. */
snug_status fsck_rows(fsck *f, snug_err *err) SNUG_MUST_USE;

#endif
