/* SPDX-License-Identifier: Apache-2.0 */
/* work/work.h - the kinds of background work. A kind is a file here and a row in work.c. */
#ifndef SNUG_WORK_WORK_H
#define SNUG_WORK_WORK_H

#include "hub/hub.h"
#include "jobs/jobs.h"

/* What every kind works on: jobs_app() gives it. */
typedef struct work_app {
    hub *hub;
} work_app;

/* The table, for jobs_open(). */
const jobs_kind *work_kinds(size_t *count);

#endif
