/* SPDX-License-Identifier: Apache-2.0 */
/* api/misc.c - the small endpoints: health, metrics, the API's own description, what clients poke.
 *
 * For:     routes.c. */
#include "api/api_int.h"

enum { OPENAPI_MAX = 8 << 20, METRICS_MAX = 1 << 20 };

static const char json_media[] = "application/json; charset=utf-8";

/* ---- the app ---- */

void api_app_init(api_app *app, hub *h)
{
    *app = (api_app){.hub = h,
                     .cache = api_cache_new(),
                     .jobs = api_jobs_new(),
                     .lfs_multipart_min = UINT64_C(2) << 30,
                     .lfs_part_size = 64 << 20,
                     .commit_line_max = API_COMMIT_LINE_MAX,
                     .xet_link_s = API_XET_LINK_S,
                     .fetches = snug_pool_new("git", API_FETCHES_MAX, API_FETCHES_WAIT_MAX)};
    api_tables(&app->tables, &app->table_sizes);
    SNUG_ASSERT(http_guard_new(SNUG_LIT(""), &app->guard, &(snug_err){0}) == SNUG_OK);
}

void api_app_deinit(api_app *app)
{
    api_jobs_free(app->jobs);
    app->jobs = NULL;
    snug_pool_free(app->fetches); /* the server has stopped: nobody reads what they write */
    app->fetches = NULL;
    api_cache_free(app->cache);
    app->cache = NULL;
    http_guard_free(app->guard);
    app->guard = NULL;
}

/* ---- handlers ---- */

snug_status api_health(http_req *rq, http_res *rs, snug_err *err)
{
    (void)rq, (void)err;
    http_set_header(rs, "Cache-Control", SNUG_LIT("no-store"));
    http_reply_static(rs, snug_str(json_media), SNUG_LIT("{\"status\":\"ok\"}"));
    return SNUG_OK;
}

snug_status api_metrics(http_req *rq, http_res *rs, snug_err *err)
{
    (void)rq, (void)err;
    snug_buf b = snug_buf_init(METRICS_MAX);
    snug_metrics_put(&b);
    http_reply_bytes(rs, SNUG_LIT("text/plain; version=0.0.4; charset=utf-8"), &b);
    return SNUG_OK;
}

snug_status api_openapi(http_req *rq, http_res *rs, snug_err *err)
{
    (void)err;
    const api_app *app = http_req_app(rq);
    snug_buf       b = snug_buf_init(OPENAPI_MAX);
    http_openapi_put(app->tables, app->table_sizes, &b);
    http_reply_json(rs, &b);
    return SNUG_OK;
}

/* Clients report which feature was used; nothing is kept. */
snug_status api_telemetry(http_req *rq, http_res *rs, snug_err *err)
{
    (void)rq, (void)err;
    http_reply_empty(rs, 200);
    return SNUG_OK;
}

/* Stock clients ask for this before anything else and cannot bear an array. */
snug_status api_agent_harnesses(http_req *rq, http_res *rs, snug_err *err)
{
    (void)rq, (void)err;
    http_reply_static(rs, snug_str(json_media),
                      SNUG_LIT("{\"standardEnvVars\":[],\"harnesses\":{}}"));
    return SNUG_OK;
}

snug_status api_tasks(http_req *rq, http_res *rs, snug_err *err)
{
    (void)rq, (void)err;
    http_reply_static(rs, snug_str(json_media), SNUG_LIT("{}"));
    return SNUG_OK;
}
