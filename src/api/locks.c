/* SPDX-License-Identifier: Apache-2.0 */
/* api/locks.c - Git LFS file locks, as git-lfs asks for them.
 *
 *   POST /ns/name.git/info/lfs/locks              {"path", "ref"?} -> 201 lock, 409 the lock there
 * is GET  /ns/name.git/info/lfs/locks              ?path ?id ?cursor ?limit -> locks POST
 * /ns/name.git/info/lfs/locks/verify       before each push -> ours and theirs POST
 * /ns/name.git/info/lfs/locks/<id>/unlock  {"force"?} -> the lock that was
 *
 * For:     routes.c. */
#include "api/api_int.h"

#include <inttypes.h>

enum { PAGE = 100, PAGE_MAX = 1000, BODY_MAX = 4 << 20 };

static void put_lock(snug_json_out *o, const hub_lfs_lock *l)
{
    snug_jo_begin_object(o);
    snug_jo_key(o, "id");
    snug_jo_strf(o, "%" PRId64, l->id);
    snug_jo_kstr(o, "path", l->path);
    api_jo_time(o, "locked_at", l->created_ms);
    if (l->ref.len > 0) {
        snug_jo_key(o, "ref");
        snug_jo_begin_object(o);
        snug_jo_kstr(o, "name", l->ref);
        snug_jo_end_object(o);
    }
    snug_jo_key(o, "owner");
    snug_jo_begin_object(o);
    snug_jo_kstr(o, "name", l->owner);
    snug_jo_end_object(o);
    snug_jo_end_object(o);
}

static snug_status reply(api_call *c, int status, snug_buf *b, snug_err *err)
{
    snug_status st = snug_buf_check(b, "the answer", err);
    if (st != SNUG_OK) return st;
    http_set_status(c->rs, status);
    http_reply_bytes(c->rs, SNUG_LIT("application/vnd.git-lfs+json"), b);
    return SNUG_OK;
}

static snug_status reply_lock(api_call *c, int status, const hub_lfs_lock *l, const char *message,
                              snug_err *err)
{
    snug_buf      b = snug_buf_init(BODY_MAX);
    snug_json_out o = snug_json_out_init(&b);
    snug_jo_begin_object(&o);
    snug_jo_key(&o, "lock");
    put_lock(&o, l);
    if (message != NULL) snug_jo_kcstr(&o, "message", message);
    snug_jo_end_object(&o);
    snug_status st = reply(c, status, &b, err);
    snug_buf_deinit(&b);
    return st;
}

/* The repository and the body of a request that writes. *here false: it was redirected. */
static snug_status open_body(api_call *c, http_req *rq, http_res *rs, snug_json *body, bool *here,
                             snug_err *err)
{
    snug_status st = api_open(c, rq, rs, HUB_ROLE_WRITE, here, err);
    if (st != SNUG_OK || !*here) return st;
    api_close_repo(c);
    return api_read_json(c, body, err);
}

snug_status api_lock_create(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status  st = SNUG_OK;
    api_call     c = {.repo = NULL};
    bool         here, made;
    snug_json    body;
    snug_slice   path, ref;
    hub_lfs_lock l;

    SNUG_TRY(open_body(&c, rq, rs, &body, &here, err));
    if (!here) goto done;
    SNUG_TRY(snug_json_need_str(body, "path", &path, err));
    ref = snug_json_str_or(snug_json_get(body, "ref"), "name", SNUG_EMPTY);
    SNUG_TRY(hub_lock_path(c.hub, &c.who, c.info->row, path, ref, c.a, &l, &made, err));
    SNUG_TRY(reply_lock(&c, made ? 201 : 409, &l, made ? NULL : "already created lock", err));
done:
    api_done(&c);
    return st;
}

static snug_status read_cursor(snug_slice text, int64_t *after, snug_err *err)
{
    *after = 0;
    if (text.len == 0 || (snug_parse_i64(text, after) && *after >= 0)) return SNUG_OK;
    return snug_fail(err, SNUG_EINVAL, "\"cursor\" is not from an answer of this server");
}

static void put_next(snug_json_out *o, const hub_lfs_lock *list, size_t count, bool more)
{
    if (!more || count == 0) return;
    snug_jo_key(o, "next_cursor");
    snug_jo_strf(o, "%" PRId64, list[count - 1].id);
}

snug_status api_lock_list(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status    st = SNUG_OK;
    api_call       c = {.repo = NULL};
    bool           here, more;
    hub_lock_query q = {.path = http_req_query(rq, "path", 0)};
    hub_lfs_lock  *list;
    size_t         n;
    uint64_t       limit;
    snug_slice     id = http_req_query(rq, "id", 0);
    snug_buf       b = snug_buf_init(BODY_MAX);
    snug_json_out  o = snug_json_out_init(&b);

    SNUG_TRY(api_open(&c, rq, rs, HUB_ROLE_READ, &here, err));
    if (!here) goto done;
    api_close_repo(&c);
    SNUG_TRY(api_query_u64(&c, "limit", PAGE, 1, PAGE_MAX, &limit, err));
    q.limit = (size_t)limit;
    SNUG_TRY(read_cursor(http_req_query(rq, "cursor", 0), &q.after, err));
    if (id.len > 0 && (!snug_parse_i64(id, &q.id) || q.id <= 0)) q.id = INT64_MAX; /* none has it */
    SNUG_TRY(hub_list_locks(c.hub, &c.who, c.info->row, &q, c.a, &list, &n, &more, err));
    snug_jo_begin_object(&o);
    snug_jo_key(&o, "locks");
    snug_jo_begin_array(&o);
    for (size_t i = 0; i < n; i++) put_lock(&o, &list[i]);
    snug_jo_end_array(&o);
    put_next(&o, list, n, more);
    snug_jo_end_object(&o);
    SNUG_TRY(reply(&c, 200, &b, err));
done:
    api_done(&c);
    snug_buf_deinit(&b);
    return st;
}

static void put_side(snug_json_out *o, const char *key, const hub_lfs_lock *list, size_t n,
                     bool ours)
{
    snug_jo_key(o, key);
    snug_jo_begin_array(o);
    for (size_t i = 0; i < n; i++) {
        if (list[i].ours == ours) put_lock(o, &list[i]);
    }
    snug_jo_end_array(o);
}

snug_status api_lock_verify(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status    st = SNUG_OK;
    api_call       c = {.repo = NULL};
    bool           here, more;
    snug_json      body;
    hub_lock_query q = {.limit = PAGE};
    hub_lfs_lock  *list;
    size_t         n;
    int64_t        limit;
    snug_buf       b = snug_buf_init(BODY_MAX);
    snug_json_out  o = snug_json_out_init(&b);

    /* Readers may ask too: the author of a pull request pushes without being a writer. */
    SNUG_TRY(api_open(&c, rq, rs, HUB_ROLE_READ, &here, err));
    if (!here) goto done;
    api_close_repo(&c);
    if (c.who.user_id == 0) SNUG_FAIL(err, SNUG_EUNAUTH, "Invalid username or password.");
    SNUG_TRY(api_read_json(&c, &body, err));
    limit = snug_json_i64_or(body, "limit", 0);
    if (limit > 0) q.limit = limit < PAGE_MAX ? (size_t)limit : PAGE_MAX;
    SNUG_TRY(read_cursor(snug_json_str_or(body, "cursor", SNUG_EMPTY), &q.after, err));
    SNUG_TRY(hub_list_locks(c.hub, &c.who, c.info->row, &q, c.a, &list, &n, &more, err));
    snug_jo_begin_object(&o);
    put_side(&o, "ours", list, n, true);
    put_side(&o, "theirs", list, n, false);
    put_next(&o, list, n, more);
    snug_jo_end_object(&o);
    SNUG_TRY(reply(&c, 200, &b, err));
done:
    api_done(&c);
    snug_buf_deinit(&b);
    return st;
}

snug_status api_lock_remove(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status  st = SNUG_OK;
    api_call     c = {.repo = NULL};
    bool         here;
    snug_json    body;
    int64_t      id;
    hub_lfs_lock l;

    SNUG_TRY(open_body(&c, rq, rs, &body, &here, err));
    if (!here) goto done;
    if (!snug_parse_i64(http_req_param(rq, "id"), &id))
        SNUG_FAIL(err, SNUG_ENOTFOUND, "There is no such lock");
    SNUG_TRY(hub_unlock_path(c.hub, &c.who, c.info->row, id,
                             snug_json_bool_or(body, "force", false), c.a, &l, err));
    SNUG_TRY(reply_lock(&c, 200, &l, NULL, err));
done:
    api_done(&c);
    return st;
}
