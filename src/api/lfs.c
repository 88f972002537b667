/* SPDX-License-Identifier: Apache-2.0 */
/* api/lfs.c - Git LFS: batch, and the signed addresses the bytes travel by.
 *
 *      batch (who may?) -> href  PUT  /api/lfs/put/<row>/<oid>                one request
 *                          href  PUT  /api/lfs/part/<row>/<oid>/<n>           parts, any order
 *                          href  POST /api/lfs/complete/<row>/<oid>           all parts are there
 *                          href  GET  /api/lfs/get/<row>/<oid>
 *
 * The clients send these without credentials, so each carries its own right: object, repository,
 * size and action under a signature that expires. Whoever holds the address may do that one thing.
 *
 * An object that is stored but not linked to this repository is asked for again: "already there"
 * would tell strangers what others keep here.
 *
 * For:     routes.c.
 * Truth:   a link to a repository is made only after its bytes were received and verified. */
#include "api/api_int.h"

#include <inttypes.h>
#include <stdlib.h>

enum { READ_BYTES = 256 << 10, PARTS_PER_OBJECT_MAX = 10000, TOKEN_CHARS = 40 };
enum { PUT_HOURS = 12, PART_HOURS = 72, GET_HOURS = 1 };

static snug_slice lfs_media(void) { return SNUG_LIT("application/vnd.git-lfs+json"); }

/* ---- what a signed address says ---- */

typedef struct grant {
    const char *action; /* "put", "part", "complete", "get" */
    int64_t     row;
    blob_id     oid;
    uint64_t    size, part_size; /* part_size 0: not in parts */
    unsigned    part;            /* 0: not a part */
    int64_t     expires_ms;
} grant;

/* The signed text; everything that matters is in it. */
static snug_slice grant_text(snug_arena *a, const grant *g)
{
    char hex[65];
    blob_id_hex(&g->oid, hex);
    return snug_arena_printf(a, "lfs %s %" PRId64 " %s %" PRIu64 " %" PRIu64 " %u", g->action,
                             g->row, hex, g->size, g->part_size, g->part);
}

static snug_status put_href(api_call *c, const grant *g, snug_json_out *o, const char *key,
                            snug_err *err)
{
    char        hex[65], sig[65];
    snug_status st = hub_sign(c->hub, grant_text(c->a, g), g->expires_ms, sig, err);
    if (st != SNUG_OK) return st;
    blob_id_hex(&g->oid, hex);
    snug_slice url =
        snug_arena_printf(c->a, "%.*s/api/lfs/%s/%" PRId64 "/%s",
                          SNUG_SLICE(http_req_base_url(c->rq)), g->action, g->row, hex);
    if (g->part > 0) url = snug_arena_printf(c->a, "%.*s/%u", SNUG_SLICE(url), g->part);
    url = snug_arena_printf(c->a, "%.*s?size=%" PRIu64, SNUG_SLICE(url), g->size);
    if (g->part_size > 0)
        url = snug_arena_printf(c->a, "%.*s&part_size=%" PRIu64, SNUG_SLICE(url), g->part_size);
    snug_jo_key(o, key);
    snug_jo_strf(o, "%.*s&expires=%" PRId64 "&sig=%s", SNUG_SLICE(url), g->expires_ms, sig);
    return SNUG_OK;
}

static bool query_u64(http_req *rq, const char *name, uint64_t *out)
{
    snug_slice text = http_req_query(rq, name, 0);
    return text.len > 0 && snug_parse_u64(text, out);
}

/* Reads the address back and checks its signature: SNUG_EFORBIDDEN, upon which clients ask for a
 * new batch. */
static snug_status read_grant(http_req *rq, const char *action, grant *g, snug_err *err)
{
    api_app   *app = http_req_app(rq);
    uint64_t   part = 0, expires = 0;
    snug_slice part_text = http_req_param(rq, "part");

    *g = (grant){.action = action};
    bool ok = snug_parse_i64(http_req_param(rq, "row"), &g->row) &&
              blob_id_parse(http_req_param(rq, "oid"), &g->oid) &&
              query_u64(rq, "size", &g->size) && query_u64(rq, "expires", &expires) &&
              expires <= INT64_MAX;
    if (http_req_query(rq, "part_size", 0).len > 0)
        ok = ok && query_u64(rq, "part_size", &g->part_size);
    if (part_text.len > 0)
        ok = ok && snug_parse_u64(part_text, &part) && part > 0 && part <= UINT32_MAX;
    g->part = (unsigned)part;
    g->expires_ms = (int64_t)expires;
    snug_slice sig = http_req_query(rq, "sig", 0);
    if (ok && snug_now_ms() < g->expires_ms &&
        hub_sign_ok(app->hub, grant_text(http_req_arena(rq), g), g->expires_ms, sig))
        return SNUG_OK;
    return snug_fail(err, SNUG_EFORBIDDEN,
                     "This address is not valid or has expired; ask for a new one");
}

/* ---- batch ---- */

typedef struct batch {
    bool       upload, multipart, xet; /* multipart, xet: the client can */
    bool       all_in_parts;           /* git's agent cannot mix */
    bool       used_parts;
    size_t     count;
    snug_json  objects;
    snug_slice ref; /* what is written to; empty when the client does not say */
} batch;

static snug_status read_batch(api_call *c, batch *b, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_json   doc, transfers;
    snug_slice  operation, one, algo;

    *b = (batch){0};
    SNUG_TRY(api_read_json(c, &doc, err));
    SNUG_TRY(snug_json_need_str(doc, "operation", &operation, err));
    b->upload = snug_eq_str(operation, "upload");
    if (!b->upload && !snug_eq_str(operation, "download"))
        SNUG_FAIL(err, SNUG_EPAYLOAD, "\"operation\" must be \"upload\" or \"download\"");
    algo = snug_json_str_or(doc, "hash_algo", SNUG_LIT("sha256"));
    if (!snug_eq_str(algo, "sha256") && !snug_eq_str(algo, "sha_256"))
        SNUG_FAIL(err, SNUG_ECONFLICT, "\"hash_algo\" must be \"sha256\"");
    transfers = snug_json_get(doc, "transfers");
    for (snug_json_iter it = snug_json_iter_of(transfers); snug_json_next(&it);) {
        if (!snug_json_to_str(it.value, &one)) continue;
        if (snug_eq_str(one, "multipart")) b->multipart = true;
        if (snug_eq_str(one, "xet")) b->xet = b->upload;
    }
    b->ref = snug_json_str_or(snug_json_get(doc, "ref"), "name", SNUG_EMPTY);
    b->objects = snug_json_get(doc, "objects");
    b->count = snug_json_count(b->objects);
    if (!snug_json_is(b->objects, SNUG_JSON_ARRAY))
        SNUG_FAIL(err, SNUG_EPAYLOAD, "\"objects\" must be an array");
    if (b->count > API_LFS_BATCH_MAX)
        SNUG_FAIL(err, SNUG_ELIMIT, "at most %d objects at once", (int)API_LFS_BATCH_MAX);
done:
    return st;
}

static void put_object_error(snug_json_out *o, int code, const char *message)
{
    snug_jo_key(o, "error");
    snug_jo_begin_object(o);
    snug_jo_ki64(o, "code", code);
    snug_jo_kcstr(o, "message", message);
    snug_jo_end_object(o);
}

static int64_t hours_from_now(int hours) { return snug_now_ms() + (int64_t)hours * 3600 * 1000; }

/* Few enough parts for one answer, and each a whole number of the app's part size. */
static uint64_t pick_part_size(const api_app *app, uint64_t size)
{
    uint64_t part = app->lfs_part_size;
    while (size / part >= PARTS_PER_OBJECT_MAX) part *= 2;
    return part;
}

/* "header" of the action: chunk_size, then one address per part. */
static snug_status put_parts(api_call *c, grant g, snug_json_out *o, snug_err *err)
{
    snug_status st = SNUG_OK;
    char        key[16];
    uint64_t    count = (g.size + g.part_size - 1) / g.part_size;

    g.action = "complete";
    SNUG_TRY(put_href(c, &g, o, "href", err));
    snug_jo_key(o, "header");
    snug_jo_begin_object(o);
    snug_jo_key(o, "chunk_size");
    snug_jo_strf(o, "%" PRIu64, g.part_size);
    g.action = "part";
    for (g.part = 1; g.part <= count; g.part++) {
        (void)snprintf(key, sizeof key, "%05u", g.part);
        SNUG_TRY(put_href(c, &g, o, key, err));
    }
    snug_jo_end_object(o);
done:
    return st;
}

/* The client cuts the object into chunks itself and brings those to the deduplicating store. */
static snug_status put_xet_upload(api_call *c, const batch *b, snug_json_out *o, snug_err *err)
{
    snug_status   st = SNUG_OK;
    api_ticket    t;
    unsigned char random[16];
    char          session[33];

    SNUG_TRY(api_new_ticket(c, HUB_ROLE_WRITE, b->ref, &t, err));
    snug_random(random, sizeof random);
    snug_hex(random, sizeof random, session);
    snug_jo_key(o, "actions");
    snug_jo_begin_object(o);
    snug_jo_key(o, "upload");
    snug_jo_begin_object(o);
    snug_jo_kstr(o, "href", t.refresh);
    snug_jo_key(o, "header");
    snug_jo_begin_object(o);
    snug_jo_kstr(o, "X-Xet-Cas-Url", t.cas_url);
    snug_jo_kstr(o, "X-Xet-Access-Token", t.token);
    snug_jo_kstr(o, "X-Xet-Token-Expiration", t.expires);
    snug_jo_kcstr(o, "X-Xet-Session-Id", session);
    snug_jo_end_object(o);
    snug_jo_end_object(o);
    snug_jo_end_object(o);
done:
    return st;
}

static snug_status put_upload(api_call *c, batch *b, const blob_id *oid, uint64_t size,
                              snug_json_out *o, snug_err *err)
{
    snug_status st = SNUG_OK;
    hub_object  have;
    grant       g = {.action = "put", .row = c->info->row, .oid = *oid, .size = size};
    bool        large = size > c->app->lfs_multipart_min || (b->all_in_parts && size > 0);

    if (hub_find_object(c->hub, g.row, oid, c->a, &have, NULL) == SNUG_OK) {
        if (have.size != size) put_object_error(o, 422, "the object is stored with another size");
        SNUG_TRY(hub_keep_lfs(c->hub, g.row, oid, err));
        goto done; /* no actions at all: it is here */
    }
    if (b->xet) return put_xet_upload(c, b, o, err);
    snug_jo_kbool(o, "authenticated", true);
    snug_jo_key(o, "actions");
    snug_jo_begin_object(o);
    snug_jo_key(o, "upload");
    snug_jo_begin_object(o);
    if (b->multipart && large) {
        g.part_size = pick_part_size(c->app, size);
        g.expires_ms = hours_from_now(PART_HOURS);
        b->used_parts = true;
        SNUG_TRY(put_parts(c, g, o, err));
    } else {
        g.expires_ms = hours_from_now(PUT_HOURS);
        SNUG_TRY(put_href(c, &g, o, "href", err));
    }
    snug_jo_ki64(o, "expires_in", (g.expires_ms - snug_now_ms()) / 1000);
    snug_jo_end_object(o);
    snug_jo_key(o, "verify");
    snug_jo_begin_object(o);
    snug_jo_key(o, "href");
    snug_jo_strf(o, "%.*s.git/info/lfs/objects/verify", SNUG_SLICE(api_repo_url(c, &c->info->id)));
    if (c->only_row != 0) { /* who came by SSH has no password of his own to send along */
        snug_jo_key(o, "header");
        snug_jo_begin_object(o);
        snug_jo_kstr(o, "Authorization", http_req_header(c->rq, "Authorization"));
        snug_jo_end_object(o);
    }
    snug_jo_end_object(o);
    snug_jo_end_object(o);
done:
    return st;
}

static snug_status put_download(api_call *c, const blob_id *oid, snug_json_out *o, snug_err *err)
{
    snug_status st = SNUG_OK;
    hub_object  have;
    grant       g = {
              .action = "get", .row = c->info->row, .oid = *oid, .expires_ms = hours_from_now(GET_HOURS)};

    if (hub_find_object(c->hub, g.row, oid, c->a, &have, NULL) != SNUG_OK) {
        put_object_error(o, 404, "Object does not exist on this server");
        goto done;
    }
    g.size = have.size;
    snug_jo_kbool(o, "authenticated", true);
    snug_jo_key(o, "actions");
    snug_jo_begin_object(o);
    snug_jo_key(o, "download");
    snug_jo_begin_object(o);
    SNUG_TRY(put_href(c, &g, o, "href", err));
    snug_jo_ki64(o, "expires_in", GET_HOURS * 3600);
    snug_jo_end_object(o);
    snug_jo_end_object(o);
done:
    return st;
}

static snug_status put_object(api_call *c, batch *b, snug_json v, snug_json_out *o, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_slice  text = snug_json_str_or(v, "oid", SNUG_EMPTY);
    uint64_t    size = 0;
    blob_id     oid;
    bool        has_size = snug_json_to_u64(snug_json_get(v, "size"), &size);

    snug_jo_begin_object(o);
    snug_jo_kstr(o, "oid", text);
    snug_jo_ku64(o, "size", size);
    if (!blob_id_parse(text, &oid))
        put_object_error(o, 422, "oid must be 64 lowercase hexadecimal digits");
    else if (!has_size)
        put_object_error(o, 422, "size must be a whole number");
    else if (size > API_LFS_OBJECT_MAX)
        put_object_error(o, 422, "the object is larger than 1 TiB");
    else if (b->upload)
        SNUG_TRY(put_upload(c, b, &oid, size, o, err));
    else
        SNUG_TRY(put_download(c, &oid, o, err));
    snug_jo_end_object(o);
done:
    return st;
}

/* Basic or multipart holds for the whole answer; git's agent wants every object in parts then. */
static void choose_transfer(api_call *c, batch *b)
{
    bool git = snug_starts_with(http_req_header(c->rq, "User-Agent"), "git-lfs/");
    for (snug_json_iter it = snug_json_iter_of(b->objects);
         git && b->multipart && snug_json_next(&it);) {
        uint64_t size = 0;
        if (snug_json_to_u64(snug_json_get(it.value, "size"), &size) &&
            size > c->app->lfs_multipart_min)
            b->all_in_parts = true;
    }
}

static snug_status put_batch(api_call *c, batch *b, snug_buf *out, snug_err *err)
{
    snug_status   st = SNUG_OK;
    snug_buf      objects = snug_buf_init(API_JSON_MAX);
    snug_json_out list = snug_json_out_init(&objects), o = snug_json_out_init(out);

    snug_jo_begin_array(&list);
    for (snug_json_iter it = snug_json_iter_of(b->objects); snug_json_next(&it);)
        SNUG_TRY(put_object(c, b, it.value, &list, err));
    snug_jo_end_array(&list);
    SNUG_TRY(snug_buf_check(&objects, "the batch", err));
    snug_jo_begin_object(&o);
    snug_jo_kcstr(&o, "transfer", b->xet ? "xet" : b->used_parts ? "multipart" : "basic");
    snug_jo_kcstr(&o, "hash_algo", "sha256");
    snug_jo_key(&o, "objects");
    snug_jo_raw(&o, snug_buf_slice(&objects));
    snug_jo_end_object(&o);
done:
    snug_buf_deinit(&objects);
    return st;
}

snug_status api_lfs_batch(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status st = SNUG_OK;
    api_call    c;
    bool        here;
    batch       b;
    snug_buf    out = snug_buf_init(API_JSON_MAX);

    SNUG_TRY(api_open(&c, rq, rs, HUB_ROLE_READ, &here, err));
    if (!here) goto done;
    SNUG_TRY(read_batch(&c, &b, err));
    if (b.upload) /* without a ref the objects are for a pull request about to be opened */
        SNUG_TRY(hub_check_upload(c.hub, &c.who, c.info, b.ref, b.ref.len == 0, err));
    else
        SNUG_TRY(api_need_open_gate(&c, err));
    api_close_repo(&c);
    choose_transfer(&c, &b);
    SNUG_TRY(put_batch(&c, &b, &out, err));
    http_reply_bytes(rs, lfs_media(), &out);
done:
    api_done(&c);
    snug_buf_deinit(&out);
    return st;
}

/* ---- verify ---- */

snug_status api_lfs_verify(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status st = SNUG_OK;
    api_call    c;
    bool        here;
    snug_json   body;
    snug_slice  text;
    uint64_t    size;
    hub_object  have;
    blob_id     oid;

    SNUG_TRY(api_open(&c, rq, rs, HUB_ROLE_READ, &here, err));
    if (!here) goto done;
    SNUG_TRY(api_read_json(&c, &body, err));
    SNUG_TRY(snug_json_need_str(body, "oid", &text, err));
    SNUG_TRY(snug_json_need_u64(body, "size", &size, err));
    if (!blob_id_parse(text, &oid))
        SNUG_FAIL(err, SNUG_EPAYLOAD, "\"oid\" must be 64 lowercase hexadecimal digits");
    if (hub_find_object(c.hub, c.info->row, &oid, c.a, &have, NULL) != SNUG_OK)
        SNUG_FAIL(err, SNUG_ENOTFOUND, "Object does not exist on this server");
    SNUG_TRY(hub_keep_lfs(c.hub, c.info->row, &oid, err));
    if (have.size != size)
        SNUG_FAIL(err, SNUG_EPAYLOAD, "the object has %" PRIu64 " bytes, not %" PRIu64, have.size,
                  size);
    http_reply_static(rs, lfs_media(), SNUG_LIT("{}"));
done:
    api_done(&c);
    return st;
}

/* ---- bytes ---- */

static snug_status pull_body(void *arg, void *p, size_t n, size_t *got, snug_err *err)
{
    return http_req_read(arg, p, n, got, err);
}

static snug_status check_length(http_req *rq, uint64_t want, snug_err *err)
{
    uint64_t length = http_req_length(rq);
    if (length == UINT64_MAX || length == want) return SNUG_OK;
    return snug_fail(err, SNUG_EPAYLOAD, "%" PRIu64 " bytes were announced instead of %" PRIu64,
                     length, want);
}

static snug_status store_body(http_req *rq, hub *h, const grant *g, snug_err *err)
{
    snug_status  st = SNUG_OK;
    blob_writer *w = NULL;
    char        *piece = snug_alloc(READ_BYTES);
    size_t       got = 0;

    SNUG_TRY(blob_put_begin(hub_blobs(h), &w, err));
    do {
        SNUG_TRY(http_req_read(rq, piece, READ_BYTES, &got, err));
        SNUG_TRY(blob_put_write(w, piece, got, err));
        if (blob_put_size(w) > g->size)
            SNUG_FAIL(err, SNUG_EPAYLOAD, "more than the %" PRIu64 " bytes announced", g->size);
    } while (got > 0);
    st = hub_finish_lfs(h, g->row, w, &g->oid, g->size, err);
    w = NULL;
done:
    blob_put_abort(w);
    free(piece);
    return st;
}

snug_status api_lfs_put(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status st = SNUG_OK;
    hub        *h = ((api_app *)http_req_app(rq))->hub;
    grant       g;
    char        hex[65];

    SNUG_TRY(read_grant(rq, "put", &g, err));
    SNUG_TRY(check_length(rq, g.size, err));
    SNUG_TRY(store_body(rq, h, &g, err));
    blob_id_hex(&g.oid, hex);
    http_set_headerf(rs, "ETag", "\"%s\"", hex);
    http_reply_empty(rs, 200);
done:
    return st;
}

/* One session per object, repository and cut: a batch asked for again goes on where it was. */
static snug_slice session_token(snug_arena *a, const grant *g)
{
    grant       named = {.action = "session",
                         .row = g->row,
                         .oid = g->oid,
                         .size = g->size,
                         .part_size = g->part_size};
    snug_sha256 hash = snug_sha256_of(grant_text(a, &named));
    char       *hex = snug_arena_alloc(a, 2 * sizeof hash.b + 1);
    snug_hex(hash.b, sizeof hash.b, hex);
    return (snug_slice){hex, TOKEN_CHARS};
}

snug_status api_lfs_put_part(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status st = SNUG_OK;
    hub        *h = ((api_app *)http_req_app(rq))->hub;
    grant       g;
    snug_sha256 etag;
    char        hex[65];

    SNUG_TRY(read_grant(rq, "part", &g, err));
    if (g.part == 0 || g.part_size == 0 || (g.part - 1) > g.size / g.part_size)
        SNUG_FAIL(err, SNUG_EFORBIDDEN,
                  "This address is not valid or has expired; ask for a new one");
    uint64_t off = (uint64_t)(g.part - 1) * g.part_size;
    uint64_t size = g.size - off < g.part_size ? g.size - off : g.part_size;
    SNUG_TRY(check_length(rq, size, err));
    SNUG_TRY(blob_part_put(hub_blobs(h), session_token(http_req_arena(rq), &g), g.part, off,
                           pull_body, rq, size, &etag, err));
    snug_hex(etag.b, sizeof etag.b, hex);
    http_set_headerf(rs, "ETag", "\"%s\"", hex);
    http_reply_empty(rs, 200);
done:
    return st;
}

snug_status api_lfs_complete(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status st = SNUG_OK;
    api_call    c = {.rq = rq, .rs = rs, .app = http_req_app(rq), .a = http_req_arena(rq)};
    hub        *h = c.app->hub;
    grant       g;
    snug_json   body;
    uint64_t    parts;

    SNUG_TRY(read_grant(rq, "complete", &g, err));
    if (g.part_size == 0)
        SNUG_FAIL(err, SNUG_EFORBIDDEN,
                  "This address is not valid or has expired; ask for a new one");
    SNUG_TRY(api_read_json(&c, &body, err));
    parts = (g.size + g.part_size - 1) / g.part_size;
    if (snug_json_count(snug_json_get(body, "parts")) != parts)
        SNUG_FAIL(err, SNUG_EINVAL, "\"parts\" must list all %" PRIu64 " parts", parts);
    SNUG_TRY(hub_finish_lfs_parts(h, g.row, session_token(c.a, &g), &g.oid, g.size, err));
    http_reply_static(rs, SNUG_LIT("application/json; charset=utf-8"),
                      SNUG_LIT("{\"success\":true}"));
done:
    return st;
}

snug_status api_lfs_get(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status st = SNUG_OK;
    api_app    *app = http_req_app(rq);
    grant       g;
    hub_object  o;

    SNUG_TRY(read_grant(rq, "get", &g, err));
    /* The repository may have gone, or let go of the object, since this was signed. */
    st = hub_find_object(app->hub, g.row, &g.oid, http_req_arena(rq), &o, err);
    if (st == SNUG_ENOTFOUND) SNUG_FAIL(err, st, "Object does not exist on this server");
    if (st != SNUG_OK) goto done;
    http_set_header(rs, "X-Content-Type-Options", SNUG_LIT("nosniff"));
    http_set_header(rs, "Content-Security-Policy", SNUG_LIT("default-src 'none'; sandbox"));
    SNUG_TRY(api_send_object(app, rq, rs, &o, SNUG_LIT("application/octet-stream"), err));
    hub_count_object(app->hub, g.row, http_req_remote(rq), snug_now_ms());
done:
    return st;
}
