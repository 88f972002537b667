/* SPDX-License-Identifier: Apache-2.0 */
/* api/api.h - the hub's HTTP endpoints, as stock clients call them.
 *
 * A handler parses, makes one hub_ call, and renders; rules live in hub/. routes.c lists every
 * endpoint on one page. */
#ifndef SNUG_API_API_H
#define SNUG_API_API_H

#include "http/http.h"
#include "hub/hub.h"

typedef struct api_cache api_cache; /* rendered answers, see cache.c */
typedef struct api_jobs  api_jobs;  /* answers made while they are sent, see send.c */

/* What the handlers get as their table's app. */
typedef struct api_app {
    hub                     *hub;
    const http_route *const *tables; /* NULL-ended, all of the server: for the OpenAPI document */
    const size_t            *table_sizes;
    api_cache               *cache;
    api_jobs                *jobs;
    uint64_t                 lfs_multipart_min; /* larger objects go in parts when the client can */
    uint64_t                 lfs_part_size;     /* a multiple of 4096 writes fastest */
    size_t                   commit_line_max;   /* bytes of one line of a commit */
    unsigned                 xet_link_s;        /* life of a signed address of stored chunks */
    http_guard              *guard;             /* what webhooks may reach */
    snug_pool               *fetches; /* threads that run git for those who clone and fetch */
} api_app;

/* Fills an app with defaults. `tables` may be set later, before the server starts. */
void api_app_init(api_app *app, hub *h);
void api_app_deinit(api_app *app);

/* All families, ready for http_server_opts: a NULL-ended list and the lengths beside it. */
void api_tables(const http_route *const **tables, const size_t **sizes);

/* Every endpoint with its state as a Markdown page: docs/api-status.md. */
void api_status_put(snug_buf *b);

/* For http_server_opts.on_error: {"error": ...} with X-Error-Code and X-Error-Message. */
void api_on_error(http_req *rq, http_res *rs, const snug_err *err);
/* For http_server_opts.on_reply: what browsers may read from other origins. */
void api_on_reply(http_req *rq, http_res *rs);

#endif
