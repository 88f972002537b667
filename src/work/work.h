/* SPDX-License-Identifier: Apache-2.0 */
/* work/work.h - the kinds of background work. A kind is a file here and a row in work.c. */
#ifndef SNUG_WORK_WORK_H
#define SNUG_WORK_WORK_H

#include "http/http.h"
#include "hub/hub.h"
#include "jobs/jobs.h"

/* What every kind works on: jobs_app() gives it. */
typedef struct work_app {
    hub              *hub;
    bool              gc; /* collect by itself, what was unused for so long: */
    uint64_t          gc_grace_ms;
    http_client      *client;           /* NULL: nothing is sent from here */
    const http_guard *guard;            /* what webhooks may reach */
    unsigned          webhook_pause_s;  /* after a first failure, doubled each time; 0: 10 */
    unsigned          webhook_attempts; /* before a letter is given up; 0: 6 */
} work_app;

/* The table, for jobs_open(). */
const jobs_kind *work_kinds(size_t *count);

#endif
