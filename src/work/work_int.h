/* SPDX-License-Identifier: Apache-2.0 */
/* work/work_int.h - shared inside work/ only. */
#ifndef SNUG_WORK_INT_H
#define SNUG_WORK_INT_H

#include "work/work.h"

/* The run() of each kind: snug_status work_<kind>(jobs_ctx *c, snug_json args, snug_err *err); */

#endif
