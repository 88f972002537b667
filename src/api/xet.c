/* SPDX-License-Identifier: Apache-2.0 */
/* api/xet.c - the deduplicating store as stock clients speak to it: tickets, xorbs, shards, chunks.
 *
 *     hub:    GET  /api/models/<id>/xet-<read|write>-token/<rev>  -> casUrl =
 * <server>/api/xet/<realm> store:  POST <casUrl>/v1/xorbs/default/<hash>     one container of
 * chunks POST <casUrl>/v2/shards                   which files are made of which chunks GET
 * <casUrl>/v1/chunks/default/<hash>    is this chunk here? GET  <casUrl>/v2/reconstructions/<hash>
 * xet_files.c
 *
 * Older clients leave the version out, or write nouns in the singular: routes.c has both.
 *
 * For:     routes.c.
 * Truth:   the realm is for the clients' caches only; who may do what, the ticket says. */
#include "api/api_int.h"

#include <inttypes.h>
#include <stdlib.h>

enum { READ_BYTES = 256 << 10, ANSWER_MAX = 8 << 20 };

static const char json_media[] = "application/json; charset=utf-8";

/* ---- tickets ---- */

snug_slice api_cas_url(api_call *c)
{
    char realm[HUB_XET_REALM + 1];
    hub_xet_realm(c->hub, &c->who, realm);
    return snug_arena_printf(c->a, "%.*s/api/xet/%s", SNUG_SLICE(http_req_base_url(c->rq)), realm);
}

static snug_slice token_route(api_call *c, const char *scope, snug_slice rev)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(API_CURSOR_MAX);
    const hub_repo_id *id = &c->info->id;
    snug_buf_printf(&b, "%.*s/api/%s/%s/%s/xet-%s-token/", SNUG_SLICE(http_req_base_url(c->rq)),
                    hub_type_plural(id->type), id->ns, id->name, scope);
    if (rev.len > 0)
        snug_percent_put(&b, rev, false);
    else
        snug_buf_puts(&b, "None?create_pr=1");
    return snug_arena_dup(c->a, snug_buf_slice(&b));
}

snug_status api_new_ticket(api_call *c, hub_role scope, snug_slice rev, api_ticket *out,
                           snug_err *err)
{
    int64_t     expires_ms;
    snug_status st = hub_ticket_new(c->hub, &c->who, c->info->row, scope, rev, c->a, &out->token,
                                    &expires_ms, err);
    if (st != SNUG_OK) return st;
    out->cas_url = api_cas_url(c);
    out->expires = snug_arena_printf(c->a, "%" PRId64, expires_ms / 1000);
    out->refresh = token_route(c, scope >= HUB_ROLE_WRITE ? "write" : "read", rev);
    return SNUG_OK;
}

void api_name_xet(api_call *c, snug_slice commit, const xet_hash *file, api_xet_names *out)
{
    xet_hash_text(file, out->hash);
    out->refresh = token_route(c, "read", commit);
    out->reconstruction = snug_arena_printf(c->a, "%.*s/v1/reconstructions/%s",
                                            SNUG_SLICE(api_cas_url(c)), out->hash);
}

void api_set_xet_links(api_call *c, snug_slice commit, const xet_hash *file)
{
    api_xet_names n;
    api_name_xet(c, commit, file, &n);
    http_set_header(c->rs, "X-Xet-Hash", snug_str(n.hash));
    http_set_headerf(c->rs, "Link",
                     "<%.*s>; rel=\"xet-auth\", <%.*s>; rel=\"xet-reconstruction-info\"",
                     SNUG_SLICE(n.refresh), SNUG_SLICE(n.reconstruction));
}

/* Once in the body and once in headers: clients differ in where they look. */
static void reply_ticket(api_call *c, const api_ticket *t)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(ANSWER_MAX);
    snug_json_out o = snug_json_out_init(&b);
    snug_jo_begin_object(&o);
    snug_jo_kstr(&o, "casUrl", t->cas_url);
    snug_jo_key(&o, "exp");
    snug_jo_raw(&o, t->expires);
    snug_jo_kstr(&o, "accessToken", t->token);
    snug_jo_end_object(&o);
    http_set_header(c->rs, "X-Xet-Cas-Url", t->cas_url);
    http_set_header(c->rs, "X-Xet-Access-Token", t->token);
    http_set_header(c->rs, "X-Xet-Token-Expiration", t->expires);
    http_set_header(c->rs, "Cache-Control", SNUG_LIT("no-store"));
    http_reply_json(c->rs, &b);
}

static snug_status give_ticket(http_req *rq, http_res *rs, hub_role scope, snug_err *err)
{
    snug_status st = SNUG_OK;
    api_call    c;
    bool        here;
    snug_slice  rev;
    vcs_oid     commit;
    api_ticket  t;

    SNUG_TRY(api_open(&c, rq, rs, HUB_ROLE_READ, &here, err));
    if (!here) goto done;
    SNUG_TRY(api_need_open_gate(&c, err));
    SNUG_TRY(api_path_rev(&c, &rev, err));
    /* A pull request that does not exist yet has no revision; clients then write anything. */
    bool proposes = http_req_query_bool(rq, "create_pr", false);
    if (scope >= HUB_ROLE_WRITE)
        SNUG_TRY(hub_check_upload(c.hub, &c.who, c.info, rev, proposes, err));
    if (proposes)
        rev = SNUG_EMPTY;
    else
        SNUG_TRY(vcs_resolve_rev(c.git, rev, &commit, err));
    SNUG_TRY(api_new_ticket(&c, scope, rev, &t, err));
    reply_ticket(&c, &t);
done:
    api_done(&c);
    return st;
}

snug_status api_xet_read_token(http_req *rq, http_res *rs, snug_err *err)
{
    return give_ticket(rq, rs, HUB_ROLE_READ, err);
}

snug_status api_xet_write_token(http_req *rq, http_res *rs, snug_err *err)
{
    return give_ticket(rq, rs, HUB_ROLE_WRITE, err);
}

/* ---- the store: who asks, about what ---- */

snug_status api_read_ticket(http_req *rq, hub_role need, snug_arena *a, hub_ticket *out,
                            snug_err *err)
{
    snug_slice rest = snug_trim(http_req_header(rq, "Authorization")), scheme = SNUG_EMPTY;
    if (!snug_split(&rest, ' ', &scheme) || !snug_eq_nocase(scheme, SNUG_LIT("Bearer")))
        rest = SNUG_EMPTY;
    return hub_ticket_read(((api_app *)http_req_app(rq))->hub, snug_trim(rest), need, a, out, err);
}

snug_status api_xet_begin(http_req *rq, hub_role need, hub_ticket *t, xet_hash *hash, snug_err *err)
{
    snug_status st = api_read_ticket(rq, need, http_req_arena(rq), t, err);
    if (st != SNUG_OK) return st;
    if (hash != NULL && !xet_hash_parse(http_req_param(rq, "hash"), hash))
        return snug_fail(err, SNUG_EINVAL, "a hash has 64 hexadecimal digits");
    return SNUG_OK;
}

/* ---- xorbs ---- */

snug_status api_xorb_post(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status  st = SNUG_OK;
    hub         *h = ((api_app *)http_req_app(rq))->hub;
    hub_ticket   t;
    xet_hash     name;
    hub_xorb_in *in = NULL;
    bool         have;
    size_t       got;
    char        *piece = snug_alloc(READ_BYTES);

    SNUG_TRY(api_xet_begin(rq, HUB_ROLE_WRITE, &t, &name, err));
    SNUG_TRY(hub_xorb_begin(h, &t, &name, &in, &have, err));
    do {
        SNUG_TRY(http_req_read(rq, piece, READ_BYTES, &got, err));
        SNUG_TRY(hub_xorb_write(in, snug_slice_of(piece, got), err));
    } while (got > 0);
    hub_xorb_in *whole = in;
    in = NULL;
    SNUG_TRY(hub_xorb_commit(whole, err));
    http_reply_static(rs, snug_str(json_media),
                      have ? SNUG_LIT("{\"was_inserted\":false}")
                           : SNUG_LIT("{\"was_inserted\":true}"));
done:
    hub_xorb_abort(in);
    free(piece);
    return st;
}

/* Only the length is anybody's business: bytes travel by signed addresses. */
static snug_status reply_length(http_req *rq, http_res *rs, uint64_t size, snug_err *err)
{
    uint64_t first, len;
    if (!http_req_is_head(rq))
        return snug_fail(err, SNUG_EUNSUPPORTED, "only HEAD is answered here");
    (void)http_reply_content_stream(rq, rs, SNUG_LIT("application/octet-stream"), SNUG_EMPTY, size,
                                    1, &first, &len);
    return SNUG_OK;
}

snug_status api_xorb_head(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status st = SNUG_OK;
    hub        *h = ((api_app *)http_req_app(rq))->hub;
    hub_ticket  t;
    xet_hash    name;
    uint64_t    size;

    SNUG_TRY(api_xet_begin(rq, HUB_ROLE_READ, &t, &name, err));
    SNUG_TRY(hub_xorb_size(h, &t, &name, &size, err));
    st = reply_length(rq, rs, size, err);
done:
    return st;
}

snug_status api_xet_file_head(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status st = SNUG_OK;
    hub        *h = ((api_app *)http_req_app(rq))->hub;
    hub_ticket  t;
    xet_hash    name;
    xet_plan    plan;
    uint64_t    size;

    SNUG_TRY(api_xet_begin(rq, HUB_ROLE_READ, &t, &name, err));
    SNUG_TRY(hub_plan_file(h, &t, &name, 0, 0, http_req_arena(rq), &plan, &size, err));
    st = reply_length(rq, rs, size, err);
done:
    return st;
}

/* ---- chunks ---- */

snug_status api_chunk_get(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status st = SNUG_OK;
    hub        *h = ((api_app *)http_req_app(rq))->hub;
    hub_ticket  t;
    xet_hash    chunk;
    snug_buf    b = snug_buf_init(ANSWER_MAX);

    SNUG_TRY(api_xet_begin(rq, HUB_ROLE_READ, &t, &chunk, err));
    SNUG_TRY(hub_find_chunk(h, &t, &chunk, &b, err));
    http_set_header(rs, "Cache-Control", SNUG_LIT("no-store"));
    http_reply_bytes(rs, SNUG_LIT("application/octet-stream"), &b);
done:
    snug_buf_deinit(&b);
    return st;
}

/* ---- shards ---- */

static snug_status read_shard(http_req *rq, snug_buf *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    char       *piece = snug_alloc(READ_BYTES);
    size_t      got;
    do {
        SNUG_TRY(http_req_read(rq, piece, READ_BYTES, &got, err));
        snug_buf_put(out, piece, got);
        SNUG_TRY(snug_buf_check(out, "the shard", err));
    } while (got > 0);
done:
    free(piece);
    return st;
}

snug_status api_shard_post(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status st = SNUG_OK;
    hub        *h = ((api_app *)http_req_app(rq))->hub;
    hub_ticket  t;
    bool        fresh;
    snug_buf    shard = snug_buf_init(XET_SHARD_MAX);

    SNUG_TRY(api_xet_begin(rq, HUB_ROLE_WRITE, &t, NULL, err));
    SNUG_TRY(read_shard(rq, &shard, err));
    SNUG_TRY(hub_register_shard(h, &t, snug_buf_slice(&shard), NULL, NULL, &fresh, err));
    http_reply_static(rs, snug_str(json_media),
                      fresh ? SNUG_LIT("{\"result\":1}") : SNUG_LIT("{\"result\":0}"));
done:
    snug_buf_deinit(&shard);
    return st;
}

/* A shard whose sender hears how far it is. */
typedef struct registering {
    hub         *h;
    snug_arena  *a; /* of the ticket */
    hub_ticket   t;
    snug_buf     shard;
    http_stream *stream;
} registering;

static bool tell_progress(void *arg, uint64_t done, uint64_t total)
{
    registering *g = arg;
    char         line[128];
    snug_err     err;
    int          n = snprintf(line, sizeof line,
                              "{\"type\":\"validating\",\"verified\":%" PRIu64 ",\"total\":%" PRIu64 "}\n",
                              done, total);
    return http_stream_push(g->stream, snug_slice_of(line, (size_t)n), &err) == SNUG_OK;
}

static void put_outcome(registering *g, snug_status st, bool fresh, const snug_err *err)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(ANSWER_MAX);
    snug_json_out o = snug_json_out_init(&b);
    snug_err      gone;
    snug_jo_begin_object(&o);
    snug_jo_kcstr(&o, "type", st == SNUG_OK ? "result" : "error");
    if (st == SNUG_OK) {
        snug_jo_ki64(&o, "result", fresh ? 1 : 0);
    } else {
        snug_jo_kcstr(&o, "message", err->msg);
        snug_jo_kbool(&o, "retryable", st == SNUG_EBUSY || st == SNUG_EIO);
    }
    snug_jo_end_object(&o);
    snug_buf_putc(&b, '\n');
    bool sent = http_stream_push(g->stream, snug_buf_slice(&b), &gone) == SNUG_OK;
    http_stream_close(g->stream, sent);
}

static void free_registering(registering *g)
{
    http_stream_unref(g->stream);
    snug_buf_deinit(&g->shard);
    snug_arena_free(g->a);
    free(g);
}

static void register_shard(void *arg)
{
    registering *g = arg;
    snug_err     err = {0};
    bool         fresh;
    snug_status  st =
        hub_register_shard(g->h, &g->t, snug_buf_slice(&g->shard), tell_progress, g, &fresh, &err);
    if (st == SNUG_EIO || st == SNUG_EINTERNAL) snug_log_err(SNUG_ERROR, "api.shard", &err);
    put_outcome(g, st, fresh, &err);
    free_registering(g);
}

snug_status api_shard_post_v2(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status  st = SNUG_OK;
    api_app     *app = http_req_app(rq);
    registering *g = snug_zalloc(sizeof *g);

    g->h = app->hub;
    g->a = snug_arena_new();
    g->shard = snug_buf_init(XET_SHARD_MAX);
    SNUG_TRY(api_read_ticket(rq, HUB_ROLE_WRITE, g->a, &g->t, err));
    SNUG_TRY(read_shard(rq, &g->shard, err));
    g->stream = http_stream_new(0);
    http_set_header(rs, "Cache-Control", SNUG_LIT("no-cache"));
    http_reply_stream(rs, SNUG_LIT("application/x-ndjson"), g->stream);
    if (!api_jobs_start(app->jobs, register_shard, g))
        SNUG_FAIL(err, SNUG_EBUSY, "too many uploads at once; try again");
    g = NULL;
done:
    if (g != NULL) free_registering(g);
    return st;
}
