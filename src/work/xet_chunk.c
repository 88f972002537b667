/* SPDX-License-Identifier: Apache-2.0 */
/* work/xet_chunk.c - objects that arrived whole are cut into chunks, once; the search for those
 * that nobody queued.
 *
 * For:     work.c.
 * Threads: jobs/'. */
#include "work/work_int.h"

static bool is_stopping(void *arg) { return jobs_stopping(arg); }

snug_status work_xet_chunk(jobs_ctx *c, snug_json args, snug_err *err)
{
    work_app   *app = jobs_app(c);
    hub_chunked r;
    snug_slice  oid;
    blob_id     id;
    snug_status st = snug_json_need_str(args, "oid", &oid, err);

    if (st != SNUG_OK) return st;
    if (!blob_id_parse(oid, &id)) return snug_fail(err, SNUG_EINVAL, "\"oid\" is no object's name");
    st = hub_chunk_object(app->hub, &id, is_stopping, c, &r, err);
    if (st != SNUG_OK) return st;
    if (r.packed)
        snug_log(SNUG_INFO, "xet.chunked", "oid=%.*s bytes=%llu stored=%llu chunks=%llu known=%llu",
                 SNUG_SLICE(oid), (unsigned long long)r.size, (unsigned long long)r.stored,
                 (unsigned long long)r.chunks, (unsigned long long)r.known);
    return SNUG_OK;
}

snug_status work_xet_search(jobs_ctx *c, snug_json args, snug_err *err)
{
    work_app *app = jobs_app(c);
    uint64_t  count;
    (void)args;
    if (hub_chunk_min(app->hub) == 0) return SNUG_OK;
    return hub_queue_whole(app->hub, hub_chunk_min(app->hub), is_stopping, c, &count, err);
}
