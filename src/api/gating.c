/* SPDX-License-Identifier: Apache-2.0 */
/* api/gating.c - asking for access to gated repositories, and answering.
 *
 * For:     routes_community.c. */
#include "api/api_int.h"

enum { ACCESS_PAGE = 500, ACCESS_PAGE_MAX = 1000 };

static const char *const states[] = {"pending", "accepted", "rejected"};

static bool parse_state(snug_slice text, hub_access *out)
{
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        if (!snug_eq_str(text, states[i])) continue;
        *out = (hub_access)i;
        return true;
    }
    return false;
}

static void put_request(api_call *c, snug_json_out *o, const hub_access_request *q)
{
    snug_jo_begin_object(o);
    snug_jo_key(o, "user");
    snug_jo_begin_object(o);
    snug_jo_kcstr(o, "type", "user");
    snug_jo_kstr(o, "user", q->user);
    snug_jo_kstr(o, "fullname", q->fullname);
    api_put_avatar(c, o, q->user);
    snug_jo_kbool(o, "isPro", false);
    snug_jo_key(o, "email"); /* clients of 2024 insist on the key */
    if (!q->granted && q->email.len > 0)
        snug_jo_str(o, q->email);
    else
        snug_jo_null(o);
    snug_jo_end_object(o);
    snug_jo_key(o, "requestId");
    snug_jo_strf(o, "%lld", (long long)q->key);
    snug_jo_kcstr(o, "status", states[q->status]);
    api_jo_time(o, "timestamp", q->created_ms);
    if (q->fields.len > 0) {
        snug_jo_key(o, "fields");
        snug_jo_raw(o, q->fields);
    }
    if (q->reason.len > 0) snug_jo_kstr(o, "rejectionReason", q->reason);
    snug_jo_end_object(o);
}

snug_status api_list_access(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status         st = SNUG_OK;
    api_call            c;
    bool                here;
    hub_access          state;
    uint64_t            after, limit;
    hub_access_request *list;
    size_t              count;
    snug_buf            b = snug_buf_init(API_JSON_MAX);
    snug_json_out       o = snug_json_out_init(&b);

    SNUG_TRY(api_open(&c, rq, rs, HUB_ROLE_READ, &here, err));
    if (!here) goto done;
    if (!parse_state(http_req_param(rq, "status"), &state))
        SNUG_FAIL(err, SNUG_EINVAL, "the list is one of pending, accepted and rejected");
    SNUG_TRY(api_query_u64(&c, "limit", ACCESS_PAGE, 1, ACCESS_PAGE_MAX, &limit, err));
    SNUG_TRY(api_query_u64(&c, "cursor", 0, 0, INT32_MAX, &after, err));
    SNUG_TRY(hub_list_access(c.hub, &c.who, c.info, state, (int64_t)after, (size_t)limit, c.a,
                             &list, &count, err));
    snug_jo_begin_array(&o);
    for (size_t i = 0; i < count; i++) put_request(&c, &o, &list[i]);
    snug_jo_end_array(&o);
    if (count == limit)
        api_set_next(&c, "cursor", snug_arena_printf(c.a, "%lld", (long long)list[count - 1].key));
    SNUG_TRY(api_reply_json(&c, &b, err));
done:
    api_done(&c);
    snug_buf_deinit(&b);
    return st;
}

static void reply_done(http_res *rs)
{
    http_reply_static(rs, SNUG_LIT("application/json; charset=utf-8"),
                      SNUG_LIT("{\"success\":true}"));
}

snug_status api_handle_access(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status st = SNUG_OK;
    api_call    c;
    bool        here;
    snug_json   body;
    snug_slice  user, text;
    hub_access  state;
    uint64_t    key = 0;

    SNUG_TRY(api_open(&c, rq, rs, HUB_ROLE_READ, &here, err));
    if (!here) goto done;
    SNUG_TRY(api_read_json(&c, &body, err));
    user = snug_json_str_or(body, "user", SNUG_EMPTY);
    if (user.len == 0) { /* some lists hide names and show numbers */
        SNUG_TRY(snug_json_need_str(body, "requestId", &text, err));
        if (!snug_parse_u64(text, &key) || key == 0 || key > INT32_MAX)
            SNUG_FAIL(err, SNUG_ENOTFOUND, "There is no such request");
    }
    SNUG_TRY(snug_json_need_str(body, "status", &text, err));
    if (!parse_state(text, &state))
        SNUG_FAIL(err, SNUG_EINVAL, "\"status\" must be one of pending, accepted and rejected");
    SNUG_TRY(hub_handle_access(c.hub, &c.who, c.info, user, (int64_t)key, state,
                               snug_json_str_or(body, "rejectionReason", SNUG_EMPTY), err));
    reply_done(rs);
done:
    api_done(&c);
    return st;
}

snug_status api_grant_access(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status st = SNUG_OK;
    api_call    c;
    bool        here;
    snug_json   body;
    snug_slice  user;

    SNUG_TRY(api_open(&c, rq, rs, HUB_ROLE_READ, &here, err));
    if (!here) goto done;
    SNUG_TRY(api_read_json(&c, &body, err));
    SNUG_TRY(snug_json_need_str(body, "user", &user, err));
    SNUG_TRY(hub_grant_access(c.hub, &c.who, c.info, user, err));
    reply_done(rs);
done:
    api_done(&c);
    return st;
}

/* The body, when there is one, is an object of the form's fields. */
snug_status api_ask_access(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status   st = SNUG_OK;
    api_call      c;
    bool          here;
    hub_access    state;
    snug_buf      b = snug_buf_init(API_JSON_MAX), fields = snug_buf_init(1 << 20);
    snug_json_out o = snug_json_out_init(&b), f = snug_json_out_init(&fields);
    snug_json     body;

    SNUG_TRY(api_open(&c, rq, rs, HUB_ROLE_READ, &here, err));
    if (!here) goto done;
    if (http_req_body(rq).len > 0) {
        SNUG_TRY(api_read_json(&c, &body, err));
        if (snug_json_count(body) > 0) snug_jo_value(&f, body);
    }
    SNUG_TRY(snug_buf_check(&fields, "the request", err));
    SNUG_TRY(hub_ask_access(c.hub, &c.who, c.info, snug_buf_slice(&fields), &state, err));
    snug_jo_begin_object(&o);
    snug_jo_kcstr(&o, "status", states[state]);
    snug_jo_end_object(&o);
    SNUG_TRY(api_reply_json(&c, &b, err));
done:
    api_done(&c);
    snug_buf_deinit(&fields);
    snug_buf_deinit(&b);
    return st;
}
