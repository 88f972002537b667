/* SPDX-License-Identifier: Apache-2.0 */
/* api/git.c - git's smart HTTP: clone, fetch and push by URL.
 *
 *   GET  /ns/name[.git]/info/refs?service=git-upload-pack      refs, or capabilities (version 2)
 *   POST /ns/name[.git]/git-upload-pack                        wants and haves -> a pack
 *   GET  /ns/name[.git]/info/refs?service=git-receive-pack     refs; here git learns to log in
 *   POST /ns/name[.git]/git-receive-pack                       commands and a pack -> a report
 *
 * A fetch's question is short and complete before its handler runs; the answer is a stream that
 * a thread of the `fetches` pool fills from the git program, so that a slow reader holds no worker.
 * A push is the other way round: its body is pulled as it comes, its answer is short.
 *
 * Every POST is authorised again: git asks info/refs first, but nobody has to.
 *
 * For:     routes.c.
 * Threads: handlers on workers; fetches on their pool, which ends before the hub does. */
#include "api/api_int.h"

#include <stdlib.h>

enum { FETCH_RING = 256 << 10, REPORT_MAX = 16 << 20, PROTOCOL_MAX = 256 };

bool api_is_git(http_req *rq)
{
    snug_slice path = http_req_path(rq);
    while (snug_ends_with(path, "/")) path.len--;
    return snug_ends_with(path, "/info/refs") || snug_ends_with(path, "/git-upload-pack") ||
           snug_ends_with(path, "/git-receive-pack");
}

static void set_no_cache(http_res *rs)
{
    http_set_header(rs, "Cache-Control", SNUG_LIT("no-cache, max-age=0, must-revalidate"));
    http_set_header(rs, "Pragma", SNUG_LIT("no-cache"));
    http_set_header(rs, "Expires", SNUG_LIT("Fri, 01 Jan 1980 00:00:00 GMT"));
}

/* Bodies of another type are not from git: a browser's form cannot be made to ask. */
static snug_status need_type(http_req *rq, const char *want, snug_err *err)
{
    snug_slice type = http_req_header(rq, "Content-Type"), rest = type, head;
    if (snug_split(&rest, ';', &head) && snug_eq_nocase(snug_trim(head), snug_str(want)))
        return SNUG_OK;
    return snug_fail(err, SNUG_EINVAL, "the Content-Type must be %s", want);
}

/* ---- refs ---- */

static bool is_version_2(snug_slice protocol)
{
    snug_slice one;
    while (protocol.len > 0 && snug_split(&protocol, ':', &one)) {
        if (snug_eq_str(one, "version=2")) return true;
    }
    return false;
}

static snug_status push_buf(void *arg, snug_slice bytes, snug_err *err)
{
    snug_buf *b = arg;
    snug_buf_put_slice(b, bytes);
    return snug_buf_check(b, "the list of refs", err);
}

static snug_status put_refs(api_call *c, bool push, snug_buf *out, snug_err *err)
{
    snug_slice protocol = http_req_header(c->rq, "Git-Protocol");
    if (push) {
        snug_buf_puts(out, "001f# service=git-receive-pack\n0000");
        return vcs_advertise_push(c->git, out, err);
    }
    api_close_repo(c); /* git reads for itself */
    if (!is_version_2(protocol)) snug_buf_puts(out, "001e# service=git-upload-pack\n0000");
    vcs_pipe io = {.push = push_buf, .arg = out};
    return vcs_serve_fetch(hub_vcs(c->hub), snug_str(c->info->key), protocol, true, &io, err);
}

snug_status api_git_refs(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status st = SNUG_OK;
    api_call    c = {.repo = NULL};
    bool        here;
    snug_slice  service = http_req_query(rq, "service", 0);
    bool        push = snug_eq_str(service, "git-receive-pack");
    snug_buf    out = snug_buf_init(API_REFS_MAX);

    if (service.len == 0)
        SNUG_FAIL(err, SNUG_EFORBIDDEN,
                  "Git's dumb HTTP protocol is not served here: use a git of this decade");
    if (!push && !snug_eq_str(service, "git-upload-pack"))
        SNUG_FAIL(err, SNUG_EFORBIDDEN, "\"service\" is git-upload-pack or git-receive-pack");
    SNUG_TRY(api_open(&c, rq, rs, HUB_ROLE_READ, &here, err));
    if (!here) goto done;
    SNUG_TRY(api_need_open_gate(&c, err));
    if (push) SNUG_TRY(hub_check_push(c.hub, &c.who, c.repo, err));
    SNUG_TRY(put_refs(&c, push, &out, err));
    set_no_cache(rs);
    http_reply_bytes(rs,
                     push ? SNUG_LIT("application/x-git-receive-pack-advertisement")
                          : SNUG_LIT("application/x-git-upload-pack-advertisement"),
                     &out);
done:
    api_done(&c);
    snug_buf_deinit(&out);
    return st;
}

/* ---- fetch ---- */

typedef struct fetch {
    vcs         *v;
    char         key[33], protocol[PROTOCOL_MAX + 1], request[64];
    char        *body; /* the question, as it came */
    size_t       size, at;
    api_gunzip   gz;
    http_stream *stream;
} fetch;

static void fetch_free(fetch *f)
{
    if (f == NULL) return;
    api_gunzip_deinit(&f->gz);
    http_stream_unref(f->stream);
    free(f->body);
    free(f);
}

static snug_status pull_memory(void *arg, void *p, size_t n, size_t *got, snug_err *err)
{
    fetch *f = arg;
    (void)err;
    *got = f->size - f->at < n ? f->size - f->at : n;
    memcpy(p, f->body + f->at, *got);
    f->at += *got;
    return SNUG_OK;
}

static snug_status fetch_pull(void *arg, void *p, size_t n, size_t *got, snug_err *err)
{
    return api_gunzip_read(&((fetch *)arg)->gz, p, n, got, err);
}

static snug_status fetch_push(void *arg, snug_slice bytes, snug_err *err)
{
    return http_stream_push(((fetch *)arg)->stream, bytes, err);
}

static bool fetch_gone(void *arg) { return http_stream_gone(((fetch *)arg)->stream); }

static void fetch_run(void *arg)
{
    fetch      *f = arg;
    vcs_pipe    io = {.pull = fetch_pull, .push = fetch_push, .gone = fetch_gone, .arg = f};
    snug_err    err = {0};
    snug_status st = SNUG_ECANCELED;

    snug_log_request(f->request);
    if (!fetch_gone(f)) /* it may have waited long for its turn */
        st = vcs_serve_fetch(f->v, snug_str(f->key), snug_str(f->protocol), false, &io, &err);
    if (st != SNUG_OK && st != SNUG_ECANCELED) snug_log_err(SNUG_WARN, "git.fetch", &err);
    http_stream_close(f->stream, st == SNUG_OK);
    snug_log_request(NULL);
    fetch_free(f);
}

static snug_status fetch_new(api_call *c, fetch **out, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_slice  body = http_req_body(c->rq), protocol = http_req_header(c->rq, "Git-Protocol");
    fetch      *f = snug_zalloc(sizeof *f);

    f->v = hub_vcs(c->hub);
    (void)snprintf(f->key, sizeof f->key, "%s", c->info->key);
    (void)snprintf(f->request, sizeof f->request, "%s", http_req_id(c->rq));
    if (protocol.len <= PROTOCOL_MAX)
        (void)snprintf(f->protocol, sizeof f->protocol, "%.*s", SNUG_SLICE(protocol));
    f->body = snug_alloc_try(body.len + 1);
    if (f->body == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "there is no memory for this request");
    if (body.len > 0) memcpy(f->body, body.ptr, body.len);
    f->size = body.len;
    SNUG_TRY(api_gunzip_init(&f->gz, http_req_header(c->rq, "Content-Encoding"), API_FETCH_ASK_MAX,
                             pull_memory, f, err));
    f->stream = http_stream_new(FETCH_RING);
    *out = f;
    f = NULL;
done:
    fetch_free(f);
    return st;
}

snug_status api_git_fetch(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status  st = SNUG_OK;
    api_call     c = {.repo = NULL};
    bool         here;
    fetch       *f = NULL;
    http_stream *stream;

    SNUG_TRY(api_open(&c, rq, rs, HUB_ROLE_READ, &here, err));
    if (!here) goto done;
    SNUG_TRY(api_need_open_gate(&c, err));
    SNUG_TRY(need_type(rq, "application/x-git-upload-pack-request", err));
    api_close_repo(&c);
    SNUG_TRY(fetch_new(&c, &f, err));
    stream = f->stream;
    set_no_cache(rs);
    http_reply_stream(rs, SNUG_LIT("application/x-git-upload-pack-result"), stream);
    if (!snug_pool_submit(c.app->fetches, fetch_run, f))
        SNUG_FAIL(err, SNUG_EBUSY, "too many clones are running: try again in a moment");
    f = NULL; /* the pool's */
done:
    fetch_free(f);
    api_done(&c);
    return st;
}

/* ---- push ---- */

static snug_status pull_request(void *arg, void *p, size_t n, size_t *got, snug_err *err)
{
    return http_req_read(arg, p, n, got, err);
}

static snug_status serve_push(api_call *c, vcs_push *p, snug_buf *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    api_gunzip *gz = snug_alloc(sizeof *gz);
    vcs_pipe    io = {.pull = api_gunzip_read, .arg = gz};
    size_t      count;

    st = api_gunzip_init(gz, http_req_header(c->rq, "Content-Encoding"), API_PACK_MAX, pull_request,
                         c->rq, err);
    if (st != SNUG_OK) {
        free(gz);
        return st;
    }
    SNUG_TRY(vcs_push_read(p, &io, err));
    (void)vcs_push_refs(p, &count);
    if (count == 0) goto done; /* git asks whether it may, before it sends much */
    hub_check_push_refs(c->hub, &c->who, c->info, p);
    SNUG_TRY(vcs_push_receive(p, &io, API_PACK_MAX, err));
    if (vcs_push_settle(p)) SNUG_TRY(hub_apply_push(c->hub, &c->who, &c->info->id, p, err));
    vcs_push_report(p, out);
    SNUG_TRY(snug_buf_check(out, "the report", err));
done:
    api_gunzip_deinit(gz);
    free(gz);
    return st;
}

snug_status api_git_push(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status st = SNUG_OK;
    api_call    c = {.repo = NULL};
    bool        here;
    vcs_push   *p = NULL;
    snug_buf    out = snug_buf_init(REPORT_MAX);

    SNUG_TRY(api_open(&c, rq, rs, HUB_ROLE_READ, &here, err));
    if (!here) goto done;
    SNUG_TRY(hub_check_push(c.hub, &c.who, c.repo, err));
    SNUG_TRY(need_type(rq, "application/x-git-receive-pack-request", err));
    api_close_repo(&c); /* a push may take hours to arrive */
    SNUG_TRY(vcs_push_open(hub_vcs(c.hub), snug_str(c.info->key), &p, err));
    SNUG_TRY(serve_push(&c, p, &out, err));
    set_no_cache(rs);
    http_reply_bytes(rs, SNUG_LIT("application/x-git-receive-pack-result"), &out);
done:
    vcs_push_close(p);
    api_done(&c);
    snug_buf_deinit(&out);
    return st;
}
