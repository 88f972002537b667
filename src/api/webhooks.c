/* SPDX-License-Identifier: Apache-2.0 */
/* api/webhooks.c - webhooks as clients keep them, and the log of what was sent.
 *
 * For:     routes_more.c. */
#include "api/api_int.h"

enum { LOG_PAGE = 50, LOG_PAGE_MAX = 500 };

static void put_hook(snug_json_out *o, const hub_hook *w)
{
    snug_jo_begin_object(o);
    snug_jo_kstr(o, "id", w->key);
    snug_jo_key(o, "watched");
    snug_jo_begin_array(o);
    for (size_t i = 0; i < w->watched_count; i++) {
        snug_jo_begin_object(o);
        snug_jo_kstr(o, "type", w->watched[i].kind);
        snug_jo_kstr(o, "name", w->watched[i].name);
        snug_jo_end_object(o);
    }
    snug_jo_end_array(o);
    snug_jo_kstr(o, "url", w->url);
    snug_jo_key(o, "domains");
    snug_jo_begin_array(o);
    if (w->domains & HUB_HOOK_REPO) snug_jo_cstr(o, "repo");
    if (w->domains & HUB_HOOK_DISCUSSION) snug_jo_cstr(o, "discussion");
    snug_jo_end_array(o);
    if (w->secret.len > 0) snug_jo_kstr(o, "secret", w->secret);
    if (w->state == HUB_HOOK_SUSPENDED)
        snug_jo_kcstr(o, "disabled", "suspended-after-failure");
    else
        snug_jo_kbool(o, "disabled", w->state == HUB_HOOK_OFF);
    snug_jo_end_object(o);
}

static snug_status reply_hook(api_call *c, const hub_hook *w, snug_err *err)
{
    snug_status   st;
    snug_buf      b = snug_buf_init(API_JSON_MAX);
    snug_json_out o = snug_json_out_init(&b);
    snug_jo_begin_object(&o);
    snug_jo_key(&o, "webhook");
    put_hook(&o, w);
    snug_jo_end_object(&o);
    st = api_reply_json(c, &b, err);
    snug_buf_deinit(&b);
    return st;
}

/* ---- what a body says ---- */

static bool is_given(snug_json v)
{
    return !snug_json_is(v, SNUG_JSON_ABSENT) && !snug_json_is(v, SNUG_JSON_NULL);
}

static snug_status read_watched(api_call *c, snug_json v, hub_hook_edit *e, snug_err *err)
{
    snug_status st = SNUG_OK;
    size_t      n = snug_json_count(v);
    hub_watch  *list;

    if (!is_given(v)) goto done;
    if (!snug_json_is(v, SNUG_JSON_ARRAY))
        SNUG_FAIL(err, SNUG_EINVAL, "\"watched\" must be a list");
    if (n > 1000) SNUG_FAIL(err, SNUG_EINVAL, "\"watched\" is too long");
    list = snug_arena_alloc(c->a, (n + 1) * sizeof *list);
    for (size_t i = 0; i < n; i++) {
        snug_json one = snug_json_at(v, i);
        if (!snug_json_is(one, SNUG_JSON_OBJECT))
            SNUG_FAIL(err, SNUG_EINVAL, "\"watched\" must hold objects with type and name");
        SNUG_TRY(snug_json_need_str(one, "type", &list[i].kind, err));
        SNUG_TRY(snug_json_need_str(one, "name", &list[i].name, err));
    }
    e->watched = list;
    e->watched_count = n;
done:
    return st;
}

static snug_status read_domains(snug_json v, hub_hook_edit *e, snug_err *err)
{
    snug_slice s;
    if (!is_given(v)) return SNUG_OK;
    for (size_t i = 0; i < snug_json_count(v); i++) {
        if (!snug_json_to_str(snug_json_at(v, i), &s)) s = SNUG_EMPTY;
        if (snug_eq_str(s, "repo") || snug_eq_str(s, "repos"))
            e->domains |= HUB_HOOK_REPO;
        else if (snug_eq_str(s, "discussion") || snug_eq_str(s, "discussions"))
            e->domains |= HUB_HOOK_DISCUSSION;
        else
            return snug_fail(err, SNUG_EINVAL, "\"domains\" must be some of [repo, discussion]");
    }
    if (!snug_json_is(v, SNUG_JSON_ARRAY))
        return snug_fail(err, SNUG_EINVAL, "\"domains\" must be a list");
    return SNUG_OK;
}

static snug_status read_edit(api_call *c, hub_hook_edit *e, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_json   body, v;

    SNUG_TRY(api_read_json(c, &body, err));
    if (is_given(snug_json_get(body, "jobSourceId"))) {
        st = snug_fail_code(err, SNUG_EUNSUPPORTED, "NotImplemented",
                            "not implemented here: webhooks that start jobs");
        goto done;
    }
    v = snug_json_get(body, "url");
    if (is_given(v)) {
        SNUG_TRY(snug_json_need_str(body, "url", &e->url, err));
        SNUG_TRY(http_guard_check_url(c->app->guard, e->url, err));
    }
    if (is_given(snug_json_get(body, "secret")))
        SNUG_TRY(snug_json_need_str(body, "secret", &e->secret, err));
    SNUG_TRY(read_watched(c, snug_json_get(body, "watched"), e, err));
    SNUG_TRY(read_domains(snug_json_get(body, "domains"), e, err));
done:
    return st;
}

/* ---- the calls ---- */

snug_status api_list_hooks(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status   st = SNUG_OK;
    api_call      c;
    hub_hook     *list;
    size_t        n;
    snug_buf      b = snug_buf_init(API_JSON_MAX);
    snug_json_out o = snug_json_out_init(&b);

    SNUG_TRY(api_begin(&c, rq, rs, err));
    SNUG_TRY(hub_list_hooks(c.hub, &c.who, c.a, &list, &n, err));
    snug_jo_begin_array(&o);
    for (size_t i = 0; i < n; i++) put_hook(&o, &list[i]);
    snug_jo_end_array(&o);
    SNUG_TRY(api_reply_json(&c, &b, err));
done:
    snug_buf_deinit(&b);
    return st;
}

snug_status api_create_hook(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status   st = SNUG_OK;
    api_call      c;
    hub_hook      w;
    hub_hook_edit e = {.url = SNUG_EMPTY};

    SNUG_TRY(api_begin(&c, rq, rs, err));
    SNUG_TRY(read_edit(&c, &e, err));
    SNUG_TRY(hub_create_hook(c.hub, &c.who, &e, c.a, &w, err));
    SNUG_TRY(reply_hook(&c, &w, err));
done:
    return st;
}

snug_status api_get_hook(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status st = SNUG_OK;
    api_call    c;
    hub_hook    w;
    SNUG_TRY(api_begin(&c, rq, rs, err));
    SNUG_TRY(hub_find_hook(c.hub, &c.who, http_req_param(rq, "id"), c.a, &w, err));
    SNUG_TRY(reply_hook(&c, &w, err));
done:
    return st;
}

snug_status api_edit_hook(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status   st = SNUG_OK;
    api_call      c;
    hub_hook      w;
    hub_hook_edit e = {.url = SNUG_EMPTY};
    SNUG_TRY(api_begin(&c, rq, rs, err));
    SNUG_TRY(read_edit(&c, &e, err));
    SNUG_TRY(hub_edit_hook(c.hub, &c.who, http_req_param(rq, "id"), &e, c.a, &w, err));
    SNUG_TRY(reply_hook(&c, &w, err));
done:
    return st;
}

static snug_status switch_hook(http_req *rq, http_res *rs, bool on, snug_err *err)
{
    snug_status st = SNUG_OK;
    api_call    c;
    hub_hook    w;
    SNUG_TRY(api_begin(&c, rq, rs, err));
    SNUG_TRY(hub_switch_hook(c.hub, &c.who, http_req_param(rq, "id"), on, c.a, &w, err));
    SNUG_TRY(reply_hook(&c, &w, err));
done:
    return st;
}

snug_status api_enable_hook(http_req *rq, http_res *rs, snug_err *err)
{
    return switch_hook(rq, rs, true, err);
}

snug_status api_disable_hook(http_req *rq, http_res *rs, snug_err *err)
{
    return switch_hook(rq, rs, false, err);
}

snug_status api_drop_hook(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status st = SNUG_OK;
    api_call    c;
    snug_buf    b = snug_buf_init(64);
    SNUG_TRY(api_begin(&c, rq, rs, err));
    SNUG_TRY(hub_drop_hook(c.hub, &c.who, http_req_param(rq, "id"), err));
    snug_buf_put_slice(&b, SNUG_LIT("{}"));
    SNUG_TRY(api_reply_json(&c, &b, err));
done:
    snug_buf_deinit(&b);
    return st;
}

/* ---- the log ---- */

static void put_delivery(snug_json_out *o, const hub_delivery *d)
{
    snug_jo_begin_object(o);
    snug_jo_ki64(o, "id", d->id);
    snug_jo_kstr(o, "event", d->event);
    snug_jo_kcstr(o, "state", d->state);
    snug_jo_ki64(o, "attempts", d->attempts);
    if (d->http_status > 0) snug_jo_ki64(o, "status", d->http_status);
    if (d->error.len > 0) snug_jo_kstr(o, "error", d->error);
    api_jo_time(o, "createdAt", d->created_ms);
    if (d->done_ms > 0)
        api_jo_time(o, "endedAt", d->done_ms);
    else
        api_jo_time(o, "dueAt", d->due_ms);
    snug_jo_kstr(o, "body", d->body);
    snug_jo_end_object(o);
}

snug_status api_list_deliveries(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status   st = SNUG_OK;
    api_call      c;
    hub_delivery *list;
    size_t        n;
    uint64_t      limit, before;
    snug_buf      b = snug_buf_init(API_JSON_MAX);
    snug_json_out o = snug_json_out_init(&b);

    SNUG_TRY(api_begin(&c, rq, rs, err));
    SNUG_TRY(api_query_u64(&c, "limit", LOG_PAGE, 1, LOG_PAGE_MAX, &limit, err));
    SNUG_TRY(api_query_u64(&c, "cursor", 0, 0, INT64_MAX, &before, err));
    SNUG_TRY(hub_list_deliveries(c.hub, &c.who, http_req_param(rq, "id"), (int64_t)before,
                                 limit + 1, c.a, &list, &n, err));
    snug_jo_begin_array(&o);
    for (size_t i = 0; i < n && i < limit; i++) put_delivery(&o, &list[i]);
    snug_jo_end_array(&o);
    if (n > limit)
        api_set_next(&c, "cursor", snug_arena_printf(c.a, "%lld", (long long)list[limit - 1].id));
    SNUG_TRY(api_reply_json(&c, &b, err));
done:
    snug_buf_deinit(&b);
    return st;
}

snug_status api_replay_delivery(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status   st = SNUG_OK;
    api_call      c;
    hub_delivery  d;
    int64_t       id;
    snug_buf      b = snug_buf_init(API_JSON_MAX);
    snug_json_out o = snug_json_out_init(&b);

    SNUG_TRY(api_begin(&c, rq, rs, err));
    if (!snug_parse_i64(http_req_param(rq, "delivery"), &id)) id = 0;
    SNUG_TRY(hub_replay_delivery(c.hub, &c.who, http_req_param(rq, "id"), id, c.a, &d, err));
    put_delivery(&o, &d);
    SNUG_TRY(api_reply_json(&c, &b, err));
done:
    snug_buf_deinit(&b);
    return st;
}
