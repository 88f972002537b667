/* SPDX-License-Identifier: Apache-2.0 */
/* api/collections.c - collections in the shapes the stock clients read: in a list without
 * `position`, alone with it; a note is an object or null.
 *
 * For:     routes_community.c. */
#include "api/api_int.h"

enum { LIST_PAGE = 100, PICKS_MAX = 16 };

/* ---- rendering ---- */

static void put_repo(snug_json_out *o, const hub_repo_info *r)
{
    snug_jo_key(o, "id");
    snug_jo_strf(o, "%s/%s", r->id.ns, r->id.name);
    snug_jo_kcstr(o, "type", hub_type_name(r->id.type));
    snug_jo_kcstr(o, "repoType", hub_type_name(r->id.type));
    snug_jo_kcstr(o, "author", r->id.ns);
    snug_jo_kbool(o, "private", r->visibility != HUB_PUBLIC);
    if (r->gated == HUB_GATE_NONE)
        snug_jo_kbool(o, "gated", false);
    else
        snug_jo_kcstr(o, "gated", r->gated == HUB_GATE_AUTO ? "auto" : "manual");
    snug_jo_ku64(o, "likes", r->likes);
    snug_jo_ku64(o, "downloads", r->downloads);
    api_jo_time(o, "lastModified", r->modified_ms);
}

static void put_item(snug_json_out *o, const hub_item *i)
{
    snug_jo_begin_object(o);
    snug_jo_kstr(o, "_id", i->key);
    snug_jo_ki64(o, "position", i->position);
    if (i->kind == HUB_ITEM_REPO) {
        put_repo(o, i->repo);
    } else {
        snug_jo_kstr(o, "id", i->target);
        snug_jo_kcstr(o, "type", i->kind == HUB_ITEM_PAPER ? "paper" : "collection");
        if (i->kind == HUB_ITEM_COLLECTION) snug_jo_kstr(o, "slug", i->target);
    }
    if (i->note.len > 0) {
        snug_jo_key(o, "note");
        snug_jo_begin_object(o);
        snug_jo_kstr(o, "text", i->note);
        snug_jo_end_object(o);
    }
    snug_jo_end_object(o);
}

static void put_collection(api_call *c, snug_json_out *o, const hub_collection *l, bool alone)
{
    snug_jo_begin_object(o);
    snug_jo_kstr(o, "slug", l->slug);
    snug_jo_kstr(o, "title", l->title);
    if (l->description.len > 0) snug_jo_kstr(o, "description", l->description);
    snug_jo_kbool(o, "gating", false);
    api_jo_time(o, "lastUpdated", l->updated_ms);
    snug_jo_key(o, "owner");
    snug_jo_begin_object(o);
    snug_jo_kstr(o, "name", l->ns);
    snug_jo_kstr(o, "fullname", l->ns);
    api_put_avatar(c, o, l->ns);
    snug_jo_kcstr(o, "type", "user");
    snug_jo_end_object(o);
    snug_jo_key(o, "items");
    snug_jo_begin_array(o);
    for (size_t i = 0; i < l->item_count; i++) put_item(o, &l->items[i]);
    snug_jo_end_array(o);
    if (alone) snug_jo_ki64(o, "position", l->position);
    snug_jo_kbool(o, "private", l->is_private);
    snug_jo_kstr(o, "theme", l->theme);
    snug_jo_ki64(o, "upvotes", 0);
    snug_jo_end_object(o);
}

static snug_status reply(api_call *c, const hub_collection *l, const char *key, snug_err *err)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(API_JSON_MAX);
    snug_json_out o = snug_json_out_init(&b);
    if (key != NULL) {
        snug_jo_begin_object(&o);
        snug_jo_key(&o, key);
    }
    put_collection(c, &o, l, true);
    if (key != NULL) snug_jo_end_object(&o);
    return api_reply_json(c, &b, err);
}

static snug_slice slug_of(api_call *c)
{
    return snug_arena_printf(c->a, "%.*s/%.*s", SNUG_SLICE(http_req_param(c->rq, "ns")),
                             SNUG_SLICE(http_req_param(c->rq, "slug")));
}

static snug_status reply_done(http_res *rs)
{
    http_reply_static(rs, SNUG_LIT("application/json; charset=utf-8"),
                      SNUG_LIT("{\"success\":true}"));
    return SNUG_OK;
}

/* ---- reading ---- */

static size_t read_picks(api_call *c, const char *name, snug_slice *out)
{
    size_t n = 0;
    for (snug_slice v; n < PICKS_MAX && (v = http_req_query(c->rq, name, n)).ptr != NULL;)
        out[n++] = v;
    return n;
}

snug_status api_list_collections(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status          st = SNUG_OK;
    api_call             c;
    snug_slice           owners[PICKS_MAX], items[PICKS_MAX], next = SNUG_EMPTY;
    snug_slice           sort = http_req_query(rq, "sort", 0);
    hub_collection_query q = {.owners = owners, .items = items};
    hub_collection      *list;
    size_t               count;
    uint64_t             limit;
    snug_buf             b = snug_buf_init(API_JSON_MAX);
    snug_json_out        o = snug_json_out_init(&b);

    SNUG_TRY(api_begin(&c, rq, rs, err));
    if (sort.len > 0 && !snug_eq_str(sort, "lastModified") && !snug_eq_str(sort, "trending") &&
        !snug_eq_str(sort, "upvotes"))
        SNUG_FAIL(err, SNUG_EINVAL, "\"sort\" must be one of lastModified, trending and upvotes");
    SNUG_TRY(api_query_u64(&c, "limit", LIST_PAGE, 1, LIST_PAGE, &limit, err));
    q.owner_count = read_picks(&c, "owner", owners);
    q.item_count = read_picks(&c, "item", items);
    q.text = http_req_query(rq, "q", 0);
    q.cursor = http_req_query(rq, "cursor", 0);
    q.limit = (size_t)limit;
    SNUG_TRY(hub_list_collections(c.hub, &c.who, &q, c.a, &list, &count, &next, err));
    snug_jo_begin_array(&o);
    for (size_t i = 0; i < count; i++) put_collection(&c, &o, &list[i], false);
    snug_jo_end_array(&o);
    if (next.len > 0) api_set_next(&c, "cursor", next);
    SNUG_TRY(api_reply_json(&c, &b, err));
done:
    snug_buf_deinit(&b);
    return st;
}

snug_status api_get_collection(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status    st = SNUG_OK;
    api_call       c;
    hub_collection l;
    SNUG_TRY(api_begin(&c, rq, rs, err));
    SNUG_TRY(hub_find_collection(c.hub, &c.who, slug_of(&c), c.a, &l, err));
    SNUG_TRY(reply(&c, &l, NULL, err));
done:
    return st;
}

/* ---- changing ---- */

snug_status api_create_collection(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status    st = SNUG_OK;
    api_call       c;
    snug_json      body;
    snug_slice     title;
    hub_collection l;
    snug_buf       b = snug_buf_init(API_JSON_MAX);
    snug_json_out  o = snug_json_out_init(&b);

    SNUG_TRY(api_begin(&c, rq, rs, err));
    SNUG_TRY(api_read_json(&c, &body, err));
    SNUG_TRY(snug_json_need_str(body, "title", &title, err));
    st = hub_create_collection(c.hub, &c.who, snug_json_str_or(body, "namespace", SNUG_EMPTY),
                               title, snug_json_str_or(body, "description", SNUG_EMPTY),
                               snug_json_bool_or(body, "private", false), c.a, &l, err);
    if (st == SNUG_ECONFLICT) { /* `exists_ok` goes on with the slug */
        st = SNUG_OK;
        snug_jo_begin_object(&o);
        snug_jo_kcstr(&o, "error", err->msg);
        snug_jo_kstr(&o, "slug", l.slug);
        snug_jo_end_object(&o);
        http_set_status(rs, 409);
        http_set_header(rs, "X-Error-Message", snug_str(err->msg));
        SNUG_TRY(api_reply_json(&c, &b, err));
        goto done;
    }
    if (st != SNUG_OK) goto done;
    SNUG_TRY(reply(&c, &l, NULL, err));
done:
    snug_buf_deinit(&b);
    return st;
}

/* A member that is there must be of its type; absent and null leave things as they are. */
static snug_status read_text(snug_json body, const char *key, snug_slice *text,
                             const snug_slice **out, snug_err *err)
{
    snug_json v = snug_json_get(body, key);
    if (snug_json_is(v, SNUG_JSON_ABSENT) || snug_json_is(v, SNUG_JSON_NULL)) return SNUG_OK;
    if (!snug_json_to_str(v, text))
        return snug_fail(err, SNUG_EINVAL, "\"%s\" must be a string", key);
    *out = text;
    return SNUG_OK;
}

static snug_status read_int(snug_json body, int64_t *number, const int64_t **out, snug_err *err)
{
    snug_json v = snug_json_get(body, "position");
    if (snug_json_is(v, SNUG_JSON_ABSENT) || snug_json_is(v, SNUG_JSON_NULL)) return SNUG_OK;
    if (!snug_json_to_i64(v, number))
        return snug_fail(err, SNUG_EINVAL, "\"position\" must be a whole number");
    *out = number;
    return SNUG_OK;
}

snug_status api_edit_collection(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status         st = SNUG_OK;
    api_call            c;
    snug_json           body;
    hub_collection      l;
    hub_collection_edit e = {NULL};
    snug_slice          title, description, theme;
    bool                is_private;
    int64_t             position;

    SNUG_TRY(api_begin(&c, rq, rs, err));
    SNUG_TRY(api_read_json(&c, &body, err));
    SNUG_TRY(read_text(body, "title", &title, &e.title, err));
    SNUG_TRY(read_text(body, "description", &description, &e.description, err));
    SNUG_TRY(read_text(body, "theme", &theme, &e.theme, err));
    SNUG_TRY(read_int(body, &position, &e.position, err));
    if (snug_json_to_bool(snug_json_get(body, "private"), &is_private)) e.is_private = &is_private;
    SNUG_TRY(hub_edit_collection(c.hub, &c.who, slug_of(&c), &e, c.a, &l, err));
    SNUG_TRY(reply(&c, &l, "data", err));
done:
    return st;
}

snug_status api_drop_collection(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status st = SNUG_OK;
    api_call    c;
    SNUG_TRY(api_begin(&c, rq, rs, err));
    SNUG_TRY(hub_drop_collection(c.hub, &c.who, slug_of(&c), err));
    SNUG_TRY(reply_done(rs));
done:
    return st;
}

snug_status api_collection_group(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status         st = SNUG_OK;
    api_call            c;
    snug_json           body;
    hub_collection      l;
    hub_collection_edit nothing = {NULL};

    SNUG_TRY(api_begin(&c, rq, rs, err));
    SNUG_TRY(api_read_json(&c, &body, err));
    if (!snug_json_is(snug_json_get(body, "resourceGroupId"), SNUG_JSON_NULL)) {
        st = snug_fail_code(err, SNUG_EUNSUPPORTED, "NotImplemented",
                            "not implemented here: resource groups");
        goto done;
    }
    SNUG_TRY(hub_edit_collection(c.hub, &c.who, slug_of(&c), &nothing, c.a, &l, err));
    SNUG_TRY(reply(&c, &l, NULL, err));
done:
    return st;
}

snug_status api_add_item(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status    st = SNUG_OK;
    api_call       c;
    snug_json      body;
    snug_slice     id, type;
    hub_collection l;

    SNUG_TRY(api_begin(&c, rq, rs, err));
    SNUG_TRY(api_read_json(&c, &body, err));
    snug_json item = snug_json_get(body, "item");
    SNUG_TRY(snug_json_need_str(item, "id", &id, err));
    SNUG_TRY(snug_json_need_str(item, "type", &type, err));
    SNUG_TRY(hub_add_item(c.hub, &c.who, slug_of(&c), type, id,
                          snug_json_str_or(body, "note", SNUG_EMPTY), c.a, &l, err));
    SNUG_TRY(reply(&c, &l, NULL, err));
done:
    return st;
}

snug_status api_edit_item(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status       st = SNUG_OK;
    api_call          c;
    snug_json         body;
    snug_slice        text;
    const snug_slice *note = NULL;
    int64_t           number;
    const int64_t    *position = NULL;

    SNUG_TRY(api_begin(&c, rq, rs, err));
    SNUG_TRY(api_read_json(&c, &body, err));
    SNUG_TRY(read_text(body, "note", &text, &note, err));
    SNUG_TRY(read_int(body, &number, &position, err));
    SNUG_TRY(
        hub_edit_item(c.hub, &c.who, slug_of(&c), http_req_param(rq, "item"), note, position, err));
    SNUG_TRY(reply_done(rs));
done:
    return st;
}

snug_status api_drop_item(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status st = SNUG_OK;
    api_call    c;
    SNUG_TRY(api_begin(&c, rq, rs, err));
    SNUG_TRY(hub_drop_item(c.hub, &c.who, slug_of(&c), http_req_param(rq, "item"), err));
    SNUG_TRY(reply_done(rs));
done:
    return st;
}
