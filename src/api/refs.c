/* SPDX-License-Identifier: Apache-2.0 */
/* api/refs.c - branches, tags and history.
 *
 * For:     routes.c. */
#include "api/api_int.h"

enum { COMMITS_PAGE = 50, COMMITS_PAGE_MAX = 1000 };

static void put_refs(snug_json_out *o, const char *key, const vcs_ref *list, size_t n)
{
    snug_jo_key(o, key);
    snug_jo_begin_array(o);
    for (size_t i = 0; i < n; i++) {
        snug_jo_begin_object(o);
        snug_jo_kstr(o, "name", list[i].name);
        snug_jo_kstr(o, "ref", list[i].ref);
        api_jo_oid(o, "targetCommit", &list[i].target);
        snug_jo_end_object(o);
    }
    snug_jo_end_array(o);
}

snug_status api_refs(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status   st = SNUG_OK;
    api_call      c;
    bool          here;
    vcs_refs      refs;
    snug_buf      b = snug_buf_init(API_JSON_MAX);
    snug_json_out o = snug_json_out_init(&b);

    SNUG_TRY(api_open(&c, rq, rs, HUB_ROLE_READ, &here, err));
    if (!here) goto done;
    SNUG_TRY(vcs_list_refs(c.git, c.a, &refs, err));
    snug_jo_begin_object(&o);
    put_refs(&o, "tags", refs.tags, refs.tag_count);
    put_refs(&o, "branches", refs.branches, refs.branch_count);
    put_refs(&o, "converts", refs.converts, refs.convert_count);
    if (http_req_query_bool(rq, "include_prs", false) ||
        http_req_query_bool(rq, "include_pull_requests", false))
        put_refs(&o, "pullRequests", refs.prs, refs.pr_count);
    snug_jo_end_object(&o);
    SNUG_TRY(api_reply_json(&c, &b, err));
done:
    api_done(&c);
    snug_buf_deinit(&b);
    return st;
}

/* ---- commits ---- */

void api_html_escape(snug_buf *b, snug_slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        switch (s.ptr[i]) {
        case '&':
            snug_buf_puts(b, "&amp;");
            break;
        case '<':
            snug_buf_puts(b, "&lt;");
            break;
        case '>':
            snug_buf_puts(b, "&gt;");
            break;
        case '"':
            snug_buf_puts(b, "&quot;");
            break;
        case '\'':
            snug_buf_puts(b, "&#39;");
            break;
        default:
            snug_buf_putc(b, s.ptr[i]);
        }
    }
}

static void put_html(snug_json_out *o, const char *key, snug_slice text)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(1 << 20);
    api_html_escape(&b, text);
    snug_jo_kstr(o, key, snug_buf_slice(&b));
}

static void put_commit(snug_json_out *o, const vcs_commit *m, bool formatted)
{
    snug_jo_begin_object(o);
    api_jo_oid(o, "id", &m->id);
    snug_jo_kstr(o, "title", m->title);
    snug_jo_kstr(o, "message", m->message);
    snug_jo_key(o, "authors");
    snug_jo_begin_array(o);
    snug_jo_begin_object(o);
    snug_jo_kstr(o, "user", m->author);
    snug_jo_end_object(o);
    snug_jo_end_array(o);
    api_jo_time(o, "date", m->when_ms);
    if (formatted) {
        snug_jo_key(o, "formatted");
        snug_jo_begin_object(o);
        put_html(o, "title", m->title);
        put_html(o, "message", m->message);
        snug_jo_end_object(o);
    }
    snug_jo_end_object(o);
}

static bool wants_formatted(http_req *rq)
{
    snug_slice v;
    for (size_t i = 0; (v = http_req_query(rq, "expand", i)).ptr != NULL; i++) {
        if (snug_eq_str(v, "formatted")) return true;
    }
    return false;
}

snug_status api_commits(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status   st = SNUG_OK;
    api_call      c;
    bool          here, more = false;
    vcs_oid       tip;
    snug_slice    rev;
    vcs_commit   *list = NULL;
    size_t        count = 0;
    uint64_t      limit, page, total;
    snug_buf      b = snug_buf_init(API_JSON_MAX);
    snug_json_out o = snug_json_out_init(&b);

    SNUG_TRY(api_open(&c, rq, rs, HUB_ROLE_READ, &here, err));
    if (!here) goto done;
    SNUG_TRY(api_query_u64(&c, "limit", COMMITS_PAGE, 1, COMMITS_PAGE_MAX, &limit, err));
    SNUG_TRY(api_query_u64(&c, "p", 0, 0, UINT32_MAX, &page, err));
    SNUG_TRY(api_path_rev(&c, &rev, err));
    SNUG_TRY(vcs_resolve_rev(c.git, rev, &tip, err));
    SNUG_TRY(vcs_count_commits(c.git, &tip, &total, err));
    SNUG_TRY(vcs_log(c.git, &tip, (size_t)(page * limit), (size_t)limit, c.a, &list, &count, &more,
                     err));
    bool formatted = wants_formatted(rq);
    snug_jo_begin_array(&o);
    for (size_t i = 0; i < count; i++) put_commit(&o, &list[i], formatted);
    snug_jo_end_array(&o);
    http_set_headerf(rs, "X-Total-Count", "%llu", (unsigned long long)total);
    if (more) api_set_next(&c, "p", snug_arena_printf(c.a, "%llu", (unsigned long long)page + 1));
    SNUG_TRY(api_reply_json(&c, &b, err));
done:
    api_done(&c);
    snug_buf_deinit(&b);
    return st;
}

/* ---- changes ---- */

typedef snug_status change_fn(api_call *c, snug_slice rest, snug_json body, snug_err *err);

/* The four calls differ in one line each: open for writing, read the rest of the path, act. */
static snug_status change_ref(http_req *rq, http_res *rs, bool has_body, change_fn *act,
                              snug_err *err)
{
    snug_status st = SNUG_OK;
    api_call    c;
    bool        here;
    snug_slice  rest;
    snug_json   body = {NULL};

    SNUG_TRY(api_open(&c, rq, rs, HUB_ROLE_WRITE, &here, err));
    if (!here) goto done;
    if (has_body && http_req_body(rq).len > 0) SNUG_TRY(api_read_json(&c, &body, err));
    SNUG_TRY(api_path_rev(&c, &rest, err));
    SNUG_TRY(act(&c, rest, body, err));
    http_reply_static(rs, SNUG_LIT("application/json; charset=utf-8"),
                      SNUG_LIT("{\"success\":true}"));
done:
    api_done(&c);
    return st;
}

static snug_status make_branch(api_call *c, snug_slice rest, snug_json body, snug_err *err)
{
    if (snug_json_bool_or(body, "emptyBranch", false))
        return snug_fail(err, SNUG_EUNSUPPORTED,
                         "branches without a commit are not implemented here");
    return hub_create_branch(c->hub, c->repo, rest,
                             snug_json_str_or(body, "startingPoint", SNUG_EMPTY),
                             snug_json_bool_or(body, "overwrite", false), err);
}

static snug_status drop_branch(api_call *c, snug_slice rest, snug_json body, snug_err *err)
{
    (void)body;
    return hub_delete_branch(c->hub, c->repo, rest, err);
}

/* The path names what is tagged; the body names the tag. */
static snug_status make_tag(api_call *c, snug_slice rest, snug_json body, snug_err *err)
{
    snug_slice  name;
    snug_status st = snug_json_need_str(body, "tag", &name, err);
    if (st != SNUG_OK) return st;
    return hub_create_tag(c->hub, &c->who, c->repo, rest, name,
                          snug_json_str_or(body, "message", SNUG_EMPTY), err);
}

static snug_status drop_tag(api_call *c, snug_slice rest, snug_json body, snug_err *err)
{
    (void)body;
    return hub_delete_tag(c->hub, c->repo, rest, err);
}

snug_status api_create_branch(http_req *rq, http_res *rs, snug_err *err)
{
    return change_ref(rq, rs, true, make_branch, err);
}

snug_status api_delete_branch(http_req *rq, http_res *rs, snug_err *err)
{
    return change_ref(rq, rs, false, drop_branch, err);
}

snug_status api_create_tag(http_req *rq, http_res *rs, snug_err *err)
{
    return change_ref(rq, rs, true, make_tag, err);
}

snug_status api_delete_tag(http_req *rq, http_res *rs, snug_err *err)
{
    return change_ref(rq, rs, false, drop_tag, err);
}
