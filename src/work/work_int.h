/* SPDX-License-Identifier: Apache-2.0 */
/* work/work_int.h - shared inside work/ only. */
#ifndef SNUG_WORK_INT_H
#define SNUG_WORK_INT_H

#include "work/work.h"

/* The run() of each kind. */
snug_status work_xet_chunk(jobs_ctx *c, snug_json args, snug_err *err);
snug_status work_xet_search(jobs_ctx *c, snug_json args, snug_err *err);
snug_status work_gc(jobs_ctx *c, snug_json args, snug_err *err);
snug_status work_git_tidy(jobs_ctx *c, snug_json args, snug_err *err);
snug_status work_index_merge(jobs_ctx *c, snug_json args, snug_err *err);

snug_status work_webhook(jobs_ctx *c, snug_json args, snug_err *err);
snug_status work_webhook_prune(jobs_ctx *c, snug_json args, snug_err *err);

#endif
