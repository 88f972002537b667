/* SPDX-License-Identifier: Apache-2.0 */
/* api/repos.c - repositories as wholes: info, create, delete, move, settings.
 *
 * For:     routes.c. */
#include "api/api_int.h"

enum { CACHED_BODY_MAX = 128 << 10 };

/* ---- info ---- */

/* The whole target is the key: two spellings of one question are two entries, and both right. */
static bool is_cacheable(http_req *rq)
{
    return http_req_header(rq, "Authorization").ptr == NULL &&
           http_req_header(rq, "Cookie").ptr == NULL;
}

static snug_status reply_info(api_call *c, const vcs_oid *commit, uint64_t epoch, bool cache,
                              snug_err *err)
{
    snug_status   st = SNUG_OK;
    snug_buf      b = snug_buf_init(API_JSON_MAX);
    snug_json_out o = snug_json_out_init(&b);
    api_render    r = {.hub = c->hub,
                       .a = c->a,
                       .info = c->info,
                       .git = c->git,
                       .commit = *commit,
                       .shape = API_SHAPE_INFO};

    SNUG_TRY(api_parse_expand(c->rq, c->id.type, &r.expand, err));
    r.blobs = http_req_query_bool(c->rq, "blobs", false);
    r.security = http_req_query_bool(c->rq, "securityStatus", false);
    SNUG_TRY(api_put_repo(&r, &o, err));
    SNUG_TRY(snug_buf_check(&b, "the answer", err));
    if (cache && c->info->visibility == HUB_PUBLIC)
        api_cache_put(c->app->cache, http_req_target(c->rq), epoch, snug_buf_slice(&b));
    http_reply_json(c->rs, &b);
done:
    snug_buf_deinit(&b);
    return st;
}

/* On the I/O thread: from memory or not at all. */
snug_status api_info_fast(http_req *rq, http_res *rs, snug_err *err)
{
    (void)err;
    api_app *app = http_req_app(rq);
    if (!is_cacheable(rq)) return SNUG_EAGAIN;
    snug_buf b = snug_buf_init(CACHED_BODY_MAX);
    if (!api_cache_get(app->cache, http_req_target(rq), hub_epoch(app->hub), &b)) {
        snug_buf_deinit(&b);
        return SNUG_EAGAIN;
    }
    snug_metric_add(SNUG_M_REPO_CACHE_HITS, 1);
    http_reply_json(rs, &b);
    return SNUG_OK;
}

/* HEAD of main, as the refs say it: the row may lag behind by a moment. */
snug_status api_info(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status st = SNUG_OK;
    api_call    c;
    bool        here;
    vcs_oid     commit;
    uint64_t    epoch = hub_epoch(((api_app *)http_req_app(rq))->hub); /* before anything is read */

    SNUG_TRY(api_open(&c, rq, rs, HUB_ROLE_READ, &here, err));
    if (!here) goto done;
    SNUG_TRY(vcs_resolve_rev(c.git, SNUG_LIT("main"), &commit, err));
    SNUG_TRY(reply_info(&c, &commit, epoch, is_cacheable(rq), err));
done:
    api_done(&c);
    return st;
}

snug_status api_info_rev(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status st = SNUG_OK;
    api_call    c;
    bool        here;
    vcs_oid     commit;
    snug_slice  rev;
    uint64_t    epoch = hub_epoch(((api_app *)http_req_app(rq))->hub);

    SNUG_TRY(api_open(&c, rq, rs, HUB_ROLE_READ, &here, err));
    if (!here) goto done;
    SNUG_TRY(api_path_rev(&c, &rev, err));
    SNUG_TRY(vcs_resolve_rev(c.git, rev, &commit, err));
    SNUG_TRY(reply_info(&c, &commit, epoch, is_cacheable(rq), err));
done:
    api_done(&c);
    return st;
}

/* ---- create ---- */

static snug_status read_type(snug_json body, hub_type *out, snug_err *err)
{
    snug_slice text = snug_json_str_or(body, "type", SNUG_LIT("model"));
    if (hub_type_parse(text, out)) return SNUG_OK;
    if (snug_eq_str(text, "kernel") || snug_eq_str(text, "bucket"))
        return snug_fail_code(err, SNUG_EUNSUPPORTED, "NotImplemented",
                              "not implemented here: %.*s repositories", SNUG_SLICE(text));
    return snug_fail(err, SNUG_EINVAL, "\"type\" must be \"model\", \"dataset\" or \"space\"");
}

/* `visibility` wins over the older `private`; neither given: the default. */
static bool is_unset(snug_json v)
{
    return snug_json_is(v, SNUG_JSON_ABSENT) || snug_json_is(v, SNUG_JSON_NULL);
}

/* A value of another kind is told, not ignored: `"private": "yes"` must not become public. */
static snug_status take_str(snug_json body, const char *key, snug_slice *out, snug_err *err)
{
    snug_json v = snug_json_get(body, key);
    *out = SNUG_EMPTY;
    if (is_unset(v) || snug_json_to_str(v, out)) return SNUG_OK;
    return snug_fail(err, SNUG_EINVAL, "\"%s\" must be a string", key);
}

snug_status api_read_visibility(snug_json body, hub_visibility dflt, hub_visibility *out,
                                snug_err *err)
{
    bool        is_private;
    snug_slice  text;
    snug_json   given = snug_json_get(body, "private");
    snug_status st = take_str(body, "visibility", &text, err);
    if (st != SNUG_OK) return st;
    *out = dflt;
    if (snug_json_to_bool(given, &is_private))
        *out = is_private ? HUB_PRIVATE : HUB_PUBLIC;
    else if (!is_unset(given))
        return snug_fail(err, SNUG_EINVAL, "\"private\" must be true or false");
    if (text.len == 0) return SNUG_OK;
    if (snug_eq_str(text, "public"))
        *out = HUB_PUBLIC;
    else if (snug_eq_str(text, "private"))
        *out = HUB_PRIVATE;
    else if (snug_eq_str(text, "internal"))
        *out = HUB_INTERNAL;
    else if (snug_eq_str(text, "protected"))
        return snug_fail_code(err, SNUG_EUNSUPPORTED, "NotImplemented",
                              "not implemented here: protected visibility");
    else
        return snug_fail(err, SNUG_EINVAL,
                         "\"visibility\" must be \"public\", \"private\" or \"internal\"");
    return SNUG_OK;
}

/* {name: "x" or "ns/x", organization: "ns" or null} */
static snug_status read_name(api_call *c, snug_json body, hub_type type, hub_repo_id *out,
                             snug_err *err)
{
    snug_slice  name, ns;
    snug_status st = snug_json_need_str(body, "name", &name, err);
    if (st == SNUG_OK) st = take_str(body, "organization", &ns, err);
    if (st != SNUG_OK) return st;
    size_t slash = snug_index(name, '/');
    if (slash != SIZE_MAX) {
        if (ns.len == 0) ns = snug_sub(name, 0, slash);
        name = snug_sub(name, slash + 1, name.len);
    }
    if (ns.len == 0) ns = c->who.name;
    return hub_parse_id(type, ns, name, out, err);
}

static snug_status check_sdk(snug_slice sdk, snug_err *err)
{
    static const char *const known[] = {"gradio", "streamlit", "docker", "static"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (snug_eq_str(sdk, known[i])) return SNUG_OK;
    }
    return snug_fail(err, SNUG_EINVAL,
                     "\"sdk\" must be \"gradio\", \"streamlit\", \"docker\" or \"static\"");
}

static void put_created(api_call *c, const hub_repo_id *id, const char *oid24, const char *error,
                        snug_buf *b)
{
    snug_json_out o = snug_json_out_init(b);
    snug_jo_begin_object(&o);
    if (error != NULL) snug_jo_kcstr(&o, "error", error);
    snug_jo_kstr(&o, "url", api_repo_url(c, id));
    snug_jo_key(&o, "name");
    snug_jo_strf(&o, "%s/%s", id->ns, id->name);
    if (oid24 != NULL) snug_jo_kcstr(&o, "id", oid24);
    snug_jo_end_object(&o);
}

/* The conflict carries the url too: `exist_ok` reads it from there. Spelled as it exists, if the
 * caller may know. */
snug_status api_reply_exists(api_call *c, hub_repo_id id, const snug_err *err)
{
    hub_repo_id now;
    bool        moved = false;
    snug_buf    b = snug_buf_init(API_JSON_MAX);
    if (hub_find_moved(c->hub, &c->who, &id, &now, &moved, NULL) == SNUG_OK && moved) id = now;
    put_created(c, &id, NULL, err->msg, &b);
    http_set_status(c->rs, 409);
    http_set_header(c->rs, "X-Error-Message", snug_str(err->msg));
    http_reply_json(c->rs, &b);
    snug_buf_deinit(&b);
    return SNUG_OK;
}

snug_status api_reply_created(api_call *c, const hub_repo_info *made, snug_err *err)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(API_JSON_MAX);
    put_created(c, &made->id, made->oid24, NULL, &b);
    return api_reply_json(c, &b, err);
}

/* JS may send first files along: [{path, content, encoding?}]. */
static snug_status add_files(api_call *c, snug_json files, const hub_repo_id *id, snug_err *err)
{
    snug_status       st = SNUG_OK;
    hub_draft        *d = NULL;
    hub_commit_result done_commit;
    snug_slice        path, content;

    if (snug_json_count(files) == 0) return SNUG_OK;
    SNUG_TRY(hub_draft_new(c->hub, &d, err));
    SNUG_TRY(hub_draft_header(d, SNUG_LIT("Add files"), SNUG_EMPTY, SNUG_EMPTY, err));
    for (snug_json_iter it = snug_json_iter_of(files); snug_json_next(&it);) {
        SNUG_TRY(snug_json_need_str(it.value, "path", &path, err));
        SNUG_TRY(snug_json_need_str(it.value, "content", &content, err));
        if (snug_eq_str(snug_json_str_or(it.value, "encoding", SNUG_EMPTY), "base64")) {
            SNUG_AUTO(snug_buf) bytes = snug_buf_init(API_COMMIT_LINE_MAX);
            SNUG_TRY(snug_base64_decode(content, &bytes, err));
            SNUG_TRY(hub_draft_file(d, path, snug_buf_slice(&bytes), err));
        } else {
            SNUG_TRY(hub_draft_file(d, path, content, err));
        }
    }
    SNUG_TRY(hub_apply_draft(c->hub, &c->who, id, SNUG_LIT("main"), d, &done_commit, err));
done:
    hub_draft_free(d);
    return st;
}

snug_status api_create_repo(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status   st = SNUG_OK;
    api_call      c;
    snug_json     body;
    hub_new_repo  want = {.visibility = HUB_PUBLIC};
    hub_repo_info made;
    snug_buf      b = snug_buf_init(API_JSON_MAX);

    SNUG_TRY(api_begin(&c, rq, rs, err));
    if (c.who.user_id == 0) SNUG_FAIL(err, SNUG_EUNAUTH, "Invalid username or password.");
    SNUG_TRY(api_read_json(&c, &body, err));
    SNUG_TRY(read_type(body, &want.id.type, err));
    SNUG_TRY(read_name(&c, body, want.id.type, &want.id, err));
    SNUG_TRY(api_read_visibility(body, HUB_PUBLIC, &want.visibility, err));
    want.license = snug_json_str_or(body, "license", SNUG_EMPTY);
    want.sdk = snug_json_str_or(body, "sdk", SNUG_EMPTY);
    if (want.id.type == HUB_SPACE) SNUG_TRY(check_sdk(want.sdk, err));
    st = hub_create_repo(c.hub, &c.who, &want, c.a, &made, err);
    if (st == SNUG_ECONFLICT) {
        st = api_reply_exists(&c, want.id, err);
        goto done;
    }
    if (st != SNUG_OK) goto done;
    SNUG_TRY(add_files(&c, snug_json_get(body, "files"), &made.id, err));
    put_created(&c, &made.id, made.oid24, NULL, &b);
    SNUG_TRY(api_reply_json(&c, &b, err));
done:
    snug_buf_deinit(&b);
    return st;
}

/* ---- delete, move, settings ---- */

snug_status api_delete_repo(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status st = SNUG_OK;
    api_call    c;
    snug_json   body;
    hub_type    type;
    hub_repo_id id;

    SNUG_TRY(api_begin(&c, rq, rs, err));
    SNUG_TRY(api_read_json(&c, &body, err));
    SNUG_TRY(read_type(body, &type, err));
    SNUG_TRY(read_name(&c, body, type, &id, err));
    SNUG_TRY(hub_delete_repo(c.hub, &c.who, &id, err));
    http_reply_text(rs, 200, "OK");
done:
    return st;
}

snug_status api_need_full_id(snug_json body, const char *key, hub_type type, hub_repo_id *out,
                             snug_err *err)
{
    snug_slice  name, ns;
    snug_status st = snug_json_need_str(body, key, &name, err);
    if (st != SNUG_OK) return st;
    if (!snug_split(&name, '/', &ns) || name.ptr == NULL)
        return snug_fail(err, SNUG_EINVAL, "\"%s\" must be \"namespace/name\"", key);
    return hub_parse_id(type, ns, name, out, err);
}

snug_status api_move_repo(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status st = SNUG_OK;
    api_call    c;
    snug_json   body;
    hub_type    type;
    hub_repo_id from, to;
    snug_buf    b = snug_buf_init(API_JSON_MAX);

    SNUG_TRY(api_begin(&c, rq, rs, err));
    SNUG_TRY(api_read_json(&c, &body, err));
    SNUG_TRY(read_type(body, &type, err));
    SNUG_TRY(api_need_full_id(body, "fromRepo", type, &from, err));
    SNUG_TRY(api_need_full_id(body, "toRepo", type, &to, err));
    SNUG_TRY(hub_move_repo(c.hub, &c.who, &from, &to, err));
    put_created(&c, &to, NULL, NULL, &b);
    SNUG_TRY(api_reply_json(&c, &b, err));
done:
    snug_buf_deinit(&b);
    return st;
}

static const char *visibility_name(hub_visibility v)
{
    return v == HUB_PUBLIC ? "public" : v == HUB_PRIVATE ? "private" : "internal";
}

/* "auto", "manual" or false; absent and null leave it as it is. */
static snug_status read_gate(snug_json body, hub_gate *gate, snug_err *err)
{
    bool       on;
    snug_slice text;
    snug_json  v = snug_json_get(body, "gated");
    if (snug_json_is(v, SNUG_JSON_ABSENT) || snug_json_is(v, SNUG_JSON_NULL)) return SNUG_OK;
    if (snug_json_to_bool(v, &on) && !on) {
        *gate = HUB_GATE_NONE;
        return SNUG_OK;
    }
    if (snug_json_to_str(v, &text) && snug_eq_str(text, "auto")) {
        *gate = HUB_GATE_AUTO;
        return SNUG_OK;
    }
    if (snug_json_to_str(v, &text) && snug_eq_str(text, "manual")) {
        *gate = HUB_GATE_MANUAL;
        return SNUG_OK;
    }
    return snug_fail(err, SNUG_EINVAL, "\"gated\" must be \"auto\", \"manual\" or false");
}

snug_status api_put_settings(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status    st = SNUG_OK;
    api_call       c;
    bool           here;
    snug_json      body;
    hub_visibility want;
    snug_buf       b = snug_buf_init(API_JSON_MAX);
    snug_json_out  o = snug_json_out_init(&b);

    SNUG_TRY(api_open(&c, rq, rs, HUB_ROLE_WRITE, &here, err));
    if (!here) goto done;
    SNUG_TRY(api_read_json(&c, &body, err));
    hub_gate gate = c.info->gated;
    SNUG_TRY(read_gate(body, &gate, err));
    SNUG_TRY(api_read_visibility(body, c.info->visibility, &want, err));
    if (gate != c.info->gated) SNUG_TRY(hub_set_gate(c.hub, &c.who, &c.info->id, gate, err));
    if (want != c.info->visibility)
        SNUG_TRY(hub_set_visibility(c.hub, &c.who, &c.info->id, want, err));
    snug_jo_begin_object(&o);
    snug_jo_kbool(&o, "private", want != HUB_PUBLIC);
    snug_jo_kcstr(&o, "visibility", visibility_name(want));
    if (gate == HUB_GATE_NONE)
        snug_jo_kbool(&o, "gated", false);
    else
        snug_jo_kcstr(&o, "gated", gate == HUB_GATE_AUTO ? "auto" : "manual");
    snug_jo_end_object(&o);
    SNUG_TRY(api_reply_json(&c, &b, err));
done:
    api_done(&c);
    snug_buf_deinit(&b);
    return st;
}
