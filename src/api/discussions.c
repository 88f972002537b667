/* SPDX-License-Identifier: Apache-2.0 */
/* api/discussions.c - discussions and pull requests, in the shapes the stock clients read.
 *
 * A client raises when a bold field of the protocol is missing, so authors are left out rather than
 * null, and `changes` comes with pull requests alone.
 *
 * For:     routes_community.c. */
#include "api/api_int.h"

enum { TALK_PAGE = 50, DIFF_MAX = 8 << 20 };

static const char hidden_text[] = "This comment has been hidden";

/* ---- rendering ---- */

static void put_author(snug_json_out *o, snug_slice name)
{
    if (name.len == 0) return;
    snug_jo_key(o, "author");
    snug_jo_begin_object(o);
    snug_jo_kstr(o, "name", name);
    snug_jo_kcstr(o, "type", "user");
    snug_jo_end_object(o);
}

static void put_head(api_call *c, const hub_talk *t, snug_json_out *o)
{
    snug_jo_ki64(o, "num", t->num);
    snug_jo_kstr(o, "title", t->title);
    snug_jo_kcstr(o, "status", hub_talk_status_name(t->status));
    snug_jo_kbool(o, "isPullRequest", t->is_pull);
    api_jo_time(o, "createdAt", t->created_ms);
    put_author(o, t->author);
    snug_jo_kbool(o, "pinned", false);
    snug_jo_kbool(o, "locked", false);
    snug_jo_key(o, "repo");
    snug_jo_begin_object(o);
    snug_jo_key(o, "name");
    snug_jo_strf(o, "%s/%s", c->info->id.ns, c->info->id.name);
    snug_jo_kcstr(o, "type", hub_type_name(c->info->id.type));
    snug_jo_end_object(o);
}

static void put_text(snug_json_out *o, const hub_talk_text *t)
{
    SNUG_AUTO(snug_buf) html = snug_buf_init(1 << 20);
    snug_jo_begin_object(o);
    snug_jo_kstr(o, "raw", t->text);
    snug_buf_puts(&html, "<p>");
    api_html_escape(&html, t->text);
    snug_buf_puts(&html, "</p>");
    snug_jo_kstr(o, "html", snug_buf_slice(&html));
    api_jo_time(o, "updatedAt", t->written_ms);
    put_author(o, t->author);
    snug_jo_end_object(o);
}

static void put_comment(snug_json_out *o, const hub_event *e)
{
    const hub_talk_text gone = {snug_str(hidden_text), e->author, e->created_ms};
    bool                shown = !e->hidden && e->text_count > 0;
    snug_jo_kbool(o, "edited", shown && e->text_count > 1);
    snug_jo_kbool(o, "hidden", e->hidden);
    snug_jo_key(o, "latest");
    put_text(o, shown ? &e->texts[e->text_count - 1] : &gone);
    snug_jo_ki64(o, "numEdits", shown ? (int64_t)e->text_count - 1 : 0);
    snug_jo_key(o, "history"); /* what it said before, latest first: its length is the count */
    snug_jo_begin_array(o);
    for (size_t i = shown ? e->text_count - 1 : 0; i-- > 0;) put_text(o, &e->texts[i]);
    snug_jo_end_array(o);
}

static void put_event(snug_json_out *o, const hub_event *e)
{
    static const char *const types[] = {"comment", "status-change", "commit", "title-change"};
    snug_jo_begin_object(o);
    snug_jo_kstr(o, "id", e->key);
    snug_jo_kcstr(o, "type", types[e->kind]);
    api_jo_time(o, "createdAt", e->created_ms);
    put_author(o, e->author);
    snug_jo_key(o, "data");
    snug_jo_begin_object(o);
    switch (e->kind) {
    case HUB_EVENT_COMMENT: put_comment(o, e); break;
    case HUB_EVENT_STATUS: snug_jo_kstr(o, "status", e->first); break;
    case HUB_EVENT_COMMIT:
        snug_jo_kstr(o, "subject", e->first);
        snug_jo_kstr(o, "oid", e->second);
        break;
    case HUB_EVENT_TITLE:
        snug_jo_kstr(o, "from", e->first);
        snug_jo_kstr(o, "to", e->second);
        break;
    }
    snug_jo_end_object(o);
    snug_jo_end_object(o);
}

/* ---- the number and the id in the address ---- */

static snug_status read_num(api_call *c, int64_t *num, snug_err *err)
{
    uint64_t n;
    if (snug_parse_u64(http_req_param(c->rq, "num"), &n) && n > 0 && n <= INT32_MAX) {
        *num = (int64_t)n;
        return SNUG_OK;
    }
    return snug_fail(err, SNUG_ENOTFOUND, "\"%.*s\" is not the number of a discussion",
                     SNUG_SLICE(snug_sub(http_req_param(c->rq, "num"), 0, 40)));
}

/* ---- list ---- */

static snug_status read_choice(api_call *c, const char *name, const char *const *known, size_t n,
                               size_t *out, snug_err *err)
{
    snug_slice text = http_req_query(c->rq, name, 0);
    *out = 0;
    if (text.len == 0) return SNUG_OK;
    for (size_t i = 0; i < n; i++) {
        if (!snug_eq_str(text, known[i])) continue;
        *out = i;
        return SNUG_OK;
    }
    return snug_fail(err, SNUG_EINVAL, "\"%s\" must be one of %s, %s and %s", name, known[0],
                     known[1], known[2]);
}

static snug_status read_query(api_call *c, hub_talk_query *q, snug_err *err)
{
    static const char *const kinds[] = {"all", "discussion", "pull_request"};
    static const char *const states[] = {"all", "open", "closed"};
    snug_status              st = SNUG_OK;
    size_t                   kind, status;
    uint64_t                 page;

    SNUG_TRY(read_choice(c, "type", kinds, 3, &kind, err));
    SNUG_TRY(read_choice(c, "status", states, 3, &status, err));
    SNUG_TRY(api_query_u64(c, "p", 0, 0, 1 << 20, &page, err));
    SNUG_TRY(api_query_u64(c, "limit", TALK_PAGE, 1, 100, &q->limit, err));
    q->kind = (int)kind - 1;
    q->status = (int)status;
    q->author = http_req_query(c->rq, "author", 0);
    q->skip = page * q->limit;
done:
    return st;
}

snug_status api_list_discussions(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status    st = SNUG_OK;
    api_call       c;
    bool           here;
    hub_talk_query q = {.kind = -1};
    hub_talk      *list = NULL;
    size_t         count = 0;
    uint64_t       total = 0;
    snug_buf       b = snug_buf_init(API_JSON_MAX);
    snug_json_out  o = snug_json_out_init(&b);

    SNUG_TRY(api_open(&c, rq, rs, HUB_ROLE_READ, &here, err));
    if (!here) goto done;
    SNUG_TRY(read_query(&c, &q, err));
    SNUG_TRY(hub_list_talks(c.hub, c.repo, &q, c.a, &list, &count, &total, err));
    snug_jo_begin_object(&o);
    snug_jo_key(&o, "discussions");
    snug_jo_begin_array(&o);
    for (size_t i = 0; i < count; i++) {
        snug_jo_begin_object(&o);
        put_head(&c, &list[i], &o);
        snug_jo_end_object(&o);
    }
    snug_jo_end_array(&o);
    snug_jo_ku64(&o, "count", total);
    snug_jo_ku64(&o, "start", q.skip);
    snug_jo_end_object(&o);
    SNUG_TRY(api_reply_json(&c, &b, err));
done:
    api_done(&c);
    snug_buf_deinit(&b);
    return st;
}

/* ---- details ---- */

static snug_status put_changes(api_call *c, const hub_talk *t, snug_json_out *o, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_slice *paths = NULL;
    size_t      count;
    bool        cut;
    SNUG_AUTO(snug_buf) diff = snug_buf_init(DIFF_MAX);

    snug_jo_key(o, "changes");
    snug_jo_begin_object(o);
    snug_jo_kstr(o, "base", t->base);
    if (t->status == HUB_TALK_MERGED) snug_jo_kstr(o, "mergeCommitId", t->merge);
    snug_jo_end_object(o);
    SNUG_TRY(hub_pull_conflicts(c->repo, t, c->a, &paths, &count, err));
    snug_jo_key(o, "filesWithConflicts");
    snug_jo_begin_array(o);
    for (size_t i = 0; i < count; i++) snug_jo_str(o, paths[i]);
    snug_jo_end_array(o);
    if (!http_req_query_bool(c->rq, "diff", false)) goto done;
    if (api_need_open_gate(c, NULL) != SNUG_OK) goto done; /* a diff shows what is in files */
    SNUG_TRY(hub_pull_diff(c->repo, t, &diff, &cut, err));
    snug_jo_kstr(o, "diff", snug_buf_slice(&diff));
    if (cut) snug_jo_kbool(o, "diffTruncated", true);
done:
    return st;
}

static snug_status reply_talk(api_call *c, int64_t num, snug_err *err)
{
    snug_status   st = SNUG_OK;
    hub_talk      t;
    hub_event    *events;
    size_t        count;
    snug_buf      b = snug_buf_init(API_JSON_MAX);
    snug_json_out o = snug_json_out_init(&b);

    SNUG_TRY(hub_find_talk(c->hub, c->repo, num, c->a, &t, err));
    SNUG_TRY(hub_list_talk_events(c->hub, &t, c->a, &events, &count, err));
    snug_jo_begin_object(&o);
    put_head(c, &t, &o);
    snug_jo_key(&o, "events");
    snug_jo_begin_array(&o);
    for (size_t i = 0; i < count; i++) put_event(&o, &events[i]);
    snug_jo_end_array(&o);
    if (t.is_pull) SNUG_TRY(put_changes(c, &t, &o, err));
    snug_jo_key(&o, "url");
    snug_jo_strf(&o, "%.*s/discussions/%lld", SNUG_SLICE(api_repo_url(c, &c->info->id)),
                 (long long)num);
    snug_jo_end_object(&o);
    SNUG_TRY(api_reply_json(c, &b, err));
done:
    snug_buf_deinit(&b);
    return st;
}

snug_status api_get_discussion(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status st = SNUG_OK;
    api_call    c;
    bool        here;
    int64_t     num;

    SNUG_TRY(api_open(&c, rq, rs, HUB_ROLE_READ, &here, err));
    if (!here) goto done;
    SNUG_TRY(read_num(&c, &num, err));
    SNUG_TRY(reply_talk(&c, num, err));
done:
    api_done(&c);
    return st;
}

snug_status api_open_discussion(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status st = SNUG_OK;
    api_call    c;
    bool        here;
    int64_t     num;
    snug_json   body;
    snug_slice  title;

    SNUG_TRY(api_open(&c, rq, rs, HUB_ROLE_READ, &here, err));
    if (!here) goto done;
    SNUG_TRY(api_read_json(&c, &body, err));
    SNUG_TRY(snug_json_need_str(body, "title", &title, err));
    SNUG_TRY(hub_open_talk(c.hub, &c.who, c.repo, title,
                           snug_json_str_or(body, "description", SNUG_EMPTY),
                           snug_json_bool_or(body, "pullRequest", false), &num, err));
    SNUG_TRY(reply_talk(&c, num, err));
done:
    api_done(&c);
    return st;
}

/* ---- changes: each answers with the event it made ---- */

typedef snug_status talk_change(api_call *c, int64_t num, snug_json body, hub_event *out,
                                snug_err *err);

static snug_status change_talk(http_req *rq, http_res *rs, const char *key, talk_change *act,
                               snug_err *err)
{
    snug_status   st = SNUG_OK;
    api_call      c;
    bool          here;
    int64_t       num;
    snug_json     body = {NULL};
    hub_event     e;
    snug_buf      b = snug_buf_init(API_JSON_MAX);
    snug_json_out o = snug_json_out_init(&b);

    SNUG_TRY(api_open(&c, rq, rs, HUB_ROLE_READ, &here, err));
    if (!here) goto done;
    SNUG_TRY(read_num(&c, &num, err));
    if (http_req_body(rq).len > 0) SNUG_TRY(api_read_json(&c, &body, err));
    SNUG_TRY(act(&c, num, body, &e, err));
    snug_jo_begin_object(&o);
    snug_jo_key(&o, key);
    put_event(&o, &e);
    snug_jo_end_object(&o);
    SNUG_TRY(api_reply_json(&c, &b, err));
done:
    api_done(&c);
    snug_buf_deinit(&b);
    return st;
}

static snug_status add_comment(api_call *c, int64_t num, snug_json body, hub_event *out,
                               snug_err *err)
{
    snug_slice  text;
    snug_status st = snug_json_need_str(body, "comment", &text, err);
    if (st != SNUG_OK) return st;
    return hub_add_comment(c->hub, &c->who, c->repo, num, text, c->a, out, err);
}

static snug_status edit_comment(api_call *c, int64_t num, snug_json body, hub_event *out,
                                snug_err *err)
{
    snug_slice  text;
    snug_status st = snug_json_need_str(body, "content", &text, err);
    if (st != SNUG_OK) return st;
    return hub_edit_comment(c->hub, &c->who, c->repo, num, http_req_param(c->rq, "comment"), text,
                            c->a, out, err);
}

static snug_status hide_comment(api_call *c, int64_t num, snug_json body, hub_event *out,
                                snug_err *err)
{
    (void)body;
    return hub_hide_comment(c->hub, &c->who, c->repo, num, http_req_param(c->rq, "comment"), c->a,
                            out, err);
}

static snug_status rename_talk(api_call *c, int64_t num, snug_json body, hub_event *out,
                               snug_err *err)
{
    snug_slice  title;
    snug_status st = snug_json_need_str(body, "title", &title, err);
    if (st != SNUG_OK) return st;
    return hub_rename_talk(c->hub, &c->who, c->repo, num, title, c->a, out, err);
}

static snug_status set_status(api_call *c, int64_t num, snug_json body, hub_event *out,
                              snug_err *err)
{
    snug_slice      text;
    hub_talk_status status = HUB_TALK_NONE; /* refused below, in words */
    snug_status     st = snug_json_need_str(body, "status", &text, err);
    if (st != SNUG_OK) return st;
    if (snug_eq_str(text, "open")) status = HUB_TALK_OPEN;
    if (snug_eq_str(text, "closed")) status = HUB_TALK_CLOSED;
    return hub_set_talk_status(c->hub, &c->who, c->repo, num, status,
                               snug_json_str_or(body, "comment", SNUG_EMPTY), c->a, out, err);
}

snug_status api_comment(http_req *rq, http_res *rs, snug_err *err)
{
    return change_talk(rq, rs, "newMessage", add_comment, err);
}

snug_status api_edit_comment(http_req *rq, http_res *rs, snug_err *err)
{
    return change_talk(rq, rs, "updatedComment", edit_comment, err);
}

snug_status api_hide_comment(http_req *rq, http_res *rs, snug_err *err)
{
    return change_talk(rq, rs, "updatedComment", hide_comment, err);
}

snug_status api_rename_discussion(http_req *rq, http_res *rs, snug_err *err)
{
    return change_talk(rq, rs, "newTitle", rename_talk, err);
}

snug_status api_discussion_status(http_req *rq, http_res *rs, snug_err *err)
{
    return change_talk(rq, rs, "newStatus", set_status, err);
}

/* The body may be the word null. */
static snug_slice merge_comment(api_call *c)
{
    snug_json v;
    if (snug_json_parse(c->a, http_req_body(c->rq), NULL, &v, NULL) != SNUG_OK) return SNUG_EMPTY;
    return snug_json_str_or(v, "comment", SNUG_EMPTY);
}

snug_status api_merge_pull(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status   st = SNUG_OK;
    api_call      c;
    bool          here;
    int64_t       num;
    vcs_oid       merged;
    snug_buf      b = snug_buf_init(API_JSON_MAX);
    snug_json_out o = snug_json_out_init(&b);

    SNUG_TRY(api_open(&c, rq, rs, HUB_ROLE_READ, &here, err));
    if (!here) goto done;
    SNUG_TRY(read_num(&c, &num, err));
    SNUG_TRY(hub_merge_pull(c.hub, &c.who, c.repo, num, merge_comment(&c), &merged, err));
    snug_jo_begin_object(&o);
    snug_jo_kbool(&o, "success", true);
    api_jo_oid(&o, "mergeCommitId", &merged);
    snug_jo_end_object(&o);
    SNUG_TRY(api_reply_json(&c, &b, err));
done:
    api_done(&c);
    snug_buf_deinit(&b);
    return st;
}
