/* SPDX-License-Identifier: Apache-2.0 */
/* api/storage.c - what large files take: of one repository, and of the whole server.
 *
 * For:     routes_community.c. */
#include "api/api_int.h"

/* A saving as people say it: 0.75 of what they would take one by one is not taken. */
static void put_saving(snug_json_out *o, uint64_t logical, uint64_t stored)
{
    double saved = logical > stored ? 1.0 - (double)stored / (double)logical : 0.0;
    snug_jo_ku64(o, "logicalBytes", logical);
    snug_jo_ku64(o, "storedBytes", stored);
    snug_jo_ku64(o, "savedBytes", logical > stored ? logical - stored : 0);
    snug_jo_key(o, "saving");
    snug_jo_f64(o, saved);
}

static void put_sharers(snug_json_out *o, const hub_storage *s)
{
    snug_jo_key(o, "sharedWith");
    snug_jo_begin_array(o);
    for (size_t i = 0; i < s->sharer_count; i++) {
        snug_jo_begin_object(o);
        snug_jo_kcstr(o, "type", hub_type_name(s->sharers[i].id.type));
        snug_jo_key(o, "id");
        snug_jo_strf(o, "%s/%s", s->sharers[i].id.ns, s->sharers[i].id.name);
        snug_jo_ku64(o, "bytes", s->sharers[i].bytes);
        snug_jo_end_object(o);
    }
    snug_jo_end_array(o);
}

snug_status api_repo_storage(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status   st = SNUG_OK;
    api_call      c;
    bool          here;
    hub_storage   s;
    snug_buf      b = snug_buf_init(API_JSON_MAX);
    snug_json_out o = snug_json_out_init(&b);

    SNUG_TRY(api_open(&c, rq, rs, HUB_ROLE_READ, &here, err));
    if (!here) goto done;
    SNUG_TRY(hub_repo_storage(c.hub, &c.who, c.repo, c.a, &s, err));
    snug_jo_begin_object(&o);
    snug_jo_ku64(&o, "objects", s.objects);
    snug_jo_ku64(&o, "wholeObjects", s.whole);
    snug_jo_ku64(&o, "chunkedObjects", s.packed);
    put_saving(&o, s.logical, s.stored);
    put_sharers(&o, &s);
    snug_jo_end_object(&o);
    SNUG_TRY(api_reply_json(&c, &b, err));
done:
    api_done(&c);
    snug_buf_deinit(&b);
    return st;
}

snug_status api_server_storage(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status    st = SNUG_OK;
    api_call       c;
    hub_store_sums s;
    snug_buf       b = snug_buf_init(API_JSON_MAX);
    snug_json_out  o = snug_json_out_init(&b);

    SNUG_TRY(api_begin(&c, rq, rs, err));
    if (c.who.user_id == 0) SNUG_FAIL(err, SNUG_EUNAUTH, "Invalid username or password.");
    if (!c.who.is_admin) SNUG_FAIL(err, SNUG_EFORBIDDEN, "Only administrators see this");
    SNUG_TRY(hub_server_storage(c.hub, &s, err));
    snug_jo_begin_object(&o);
    snug_jo_ku64(&o, "objects", s.objects);
    put_saving(&o, s.logical, s.stored);
    snug_jo_ku64(&o, "wholeObjects", s.blobs);
    snug_jo_ku64(&o, "wholeBytes", s.blob_bytes);
    snug_jo_ku64(&o, "chunkedObjects", s.files);
    snug_jo_ku64(&o, "xorbs", s.xorbs);
    snug_jo_ku64(&o, "xorbBytes", s.xorb_bytes);
    snug_jo_ku64(&o, "xorbRawBytes", s.xorb_raw);
    snug_jo_end_object(&o);
    SNUG_TRY(api_reply_json(&c, &b, err));
done:
    snug_buf_deinit(&b);
    return st;
}
