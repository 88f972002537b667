/* SPDX-License-Identifier: Apache-2.0 */
/* tests/remote/toyhub.h - a hub of one model repository on a real HTTP server, with switches for
 * everything that can go wrong on a wire. */
#ifndef SNUG_TESTS_REMOTE_TOYHUB_H
#define SNUG_TESTS_REMOTE_TOYHUB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "remote/remote_int.h"

#define TOY_COMMIT "0123456789abcdef0123456789abcdef01234567"
#define TOY_TOKEN "hf_toy"
enum { TOY_FILES = 16, TOY_OBJECTS = 64 };

typedef struct toy_file {
    char       path[128];
    snug_slice bytes;
    bool       lfs;
    char       etag[65];
} toy_file;
typedef struct toy_object {
    char     oid[65];
    snug_buf bytes;
    uint64_t size;
    bool     whole;
} toy_object;

typedef struct toyhub {
    http_server     *server;
    char             url[64], dir[64];
    toy_file         files[TOY_FILES];
    size_t           file_count;
    snug_mutex       lock; /* guards all below that is not atomic; rank 10 */
    toy_object       objects[TOY_OBJECTS];
    size_t           object_count;
    char            *commit_body; /* the last one */
    atomic_int       gets, ranges, heads, commits, puts, batches, preuploads, refused;
    _Atomic uint64_t served;
    /* switches */
    atomic_int       pumps;     /* streams under way */
    atomic_int       busy;      /* so many answers are 503 first */
    _Atomic uint64_t cut_after; /* bytes, then the connection breaks; 0: never */
    atomic_int       cuts;      /* how often */
    atomic_bool      ignore_ranges, corrupt, elsewhere, hostile, fail_commit, down;
    _Atomic uint64_t part_size; /* 0: basic */
    _Atomic uint64_t sleep_ms;  /* per piece of 64 KiB */
} toyhub;

static toyhub *toy_of(http_req *rq) { return http_req_app(rq); }

static toy_file *toy_find(toyhub *t, snug_slice path)
{
    for (size_t i = 0; i < t->file_count; i++) {
        if (snug_eq_str(path, t->files[i].path)) return &t->files[i];
    }
    return NULL;
}

static void toy_add(toyhub *t, const char *path, snug_slice bytes_static, bool lfs)
{
    toy_file *f = &t->files[t->file_count++];
    (void)snprintf(f->path, sizeof f->path, "%s", path);
    f->bytes = bytes_static;
    f->lfs = lfs;
    if (lfs) {
        snug_sha256 h = snug_sha256_of(bytes_static);
        snug_hex(h.b, 32, f->etag);
    } else {
        snug_sha1 h = snug_git_blob_id(bytes_static);
        snug_hex(h.b, 20, f->etag);
    }
}

static snug_status toy_json(http_res *rs, const char *text)
{
    snug_buf b = snug_buf_init(1 << 20);
    snug_buf_puts(&b, text);
    http_reply_json(rs, &b);
    return SNUG_OK;
}

static bool toy_is_busy(toyhub *t, http_res *rs)
{
    int left = atomic_load(&t->busy);
    while (left > 0 && !atomic_compare_exchange_weak(&t->busy, &left, left - 1)) continue;
    if (left <= 0 && !atomic_load(&t->down)) return false;
    http_set_header(rs, "Retry-After", SNUG_LIT("0"));
    http_reply_text(rs, 503, "busy");
    return true;
}

static snug_status toy_revision(http_req *rq, http_res *rs, snug_err *err)
{
    toyhub *t = toy_of(rq);
    if (toy_is_busy(t, rs)) return SNUG_OK;
    if (!snug_eq_str(http_req_header(rq, "Authorization"), "Bearer " TOY_TOKEN)) {
        return snug_fail_code(err, SNUG_EUNAUTH, "RepoNotFound", "Invalid username or password.");
    }
    if (!snug_eq_str(http_req_param(rq, "name"), "x"))
        return snug_fail_code(err, SNUG_ENOTFOUND, "RepoNotFound", "Repository not found");
    if (!snug_eq_str(http_req_param(rq, "rev"), "main"))
        return snug_fail_code(err, SNUG_ENOTFOUND, "RevisionNotFound", "Invalid rev id");
    return toy_json(rs, "{\"id\":\"ada/x\",\"sha\":\"" TOY_COMMIT "\"}");
}

/* Two pages, so that paging is walked. */
static snug_status toy_tree(http_req *rq, http_res *rs, snug_err *err)
{
    toyhub *t = toy_of(rq);
    (void)err;
    bool          second = http_req_query(rq, "cursor", 0).len > 0;
    size_t        half = t->file_count / 2;
    snug_buf      b = snug_buf_init(1 << 20);
    snug_json_out o = snug_json_out_init(&b);
    snug_jo_begin_array(&o);
    for (size_t i = second ? half : 0; i < (second ? t->file_count : half); i++) {
        const toy_file *f = &t->files[i];
        snug_jo_begin_object(&o);
        snug_jo_kcstr(&o, "type", "file");
        snug_jo_kcstr(&o, "path", atomic_load(&t->hostile) && i == 0 ? "../../escaped" : f->path);
        snug_jo_kcstr(&o, "oid", f->lfs ? "0123456789012345678901234567890123456789" : f->etag);
        snug_jo_ku64(&o, "size", f->bytes.len);
        if (f->lfs) {
            snug_jo_key(&o, "lfs");
            snug_jo_begin_object(&o);
            snug_jo_kcstr(&o, "oid", f->etag);
            snug_jo_ku64(&o, "size", f->bytes.len);
            snug_jo_ku64(&o, "pointerSize", 130);
            snug_jo_end_object(&o);
        }
        snug_jo_end_object(&o);
    }
    snug_jo_end_array(&o);
    if (!second) { /* under a name of its own, as behind a proxy: the client stays on its endpoint
                    */
        http_set_header(rs, "Link",
                        SNUG_LIT("<http://hub.example/api/models/ada/x/tree/" TOY_COMMIT
                                 "?recursive=true&expand=false&cursor=1>; rel=\"next\""));
    }
    http_reply_json(rs, &b);
    return SNUG_OK;
}

typedef struct toy_pump {
    toyhub      *t;
    http_stream *s;
    snug_slice   bytes;
    uint64_t     from, to;
} toy_pump;

/* Runs beside the handler: a stream is filled while it is being sent. */
static void *toy_run_pump(void *arg)
{
    toy_pump *p = arg;
    toyhub   *t = p->t;
    uint64_t  cut = atomic_load(&t->cut_after), sent = 0;
    bool      ok = true, whole = true;
    for (uint64_t at = p->from; ok && whole && at <= p->to;) {
        size_t n = p->to - at + 1 < 65536 ? (size_t)(p->to - at + 1) : 65536;
        if (cut > 0 && sent >= cut && atomic_fetch_sub(&t->cuts, 1) > 0) {
            whole = false;
            break;
        }
        char *piece = snug_alloc(n);
        memcpy(piece, p->bytes.ptr + at, n);
        if (atomic_load(&t->corrupt) && at == 0) piece[0] ^= 1;
        snug_err err = {0};
        ok = http_stream_push(p->s, snug_slice_of(piece, n), &err) == SNUG_OK;
        free(piece);
        at += n;
        sent += n;
        atomic_fetch_add(&t->served, n);
        if (atomic_load(&t->sleep_ms) > 0) usleep((useconds_t)(1000 * atomic_load(&t->sleep_ms)));
    }
    http_stream_close(p->s, whole);
    http_stream_unref(p->s);
    free(p);
    atomic_fetch_sub(&t->pumps, 1);
    return NULL;
}

static snug_status toy_send(toyhub *t, http_res *rs, snug_slice bytes, uint64_t from, uint64_t to,
                            bool partial, uint64_t size)
{
    toy_pump *p = snug_zalloc(sizeof *p);
    pthread_t thread;
    *p = (toy_pump){t, http_stream_new(256 * 1024), bytes, from, to};
    if (partial) {
        http_set_status(rs, 206);
        http_set_headerf(rs, "Content-Range", "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, from, to,
                         size);
    }
    http_reply_stream(rs, SNUG_LIT("application/octet-stream"), p->s);
    atomic_fetch_add(&t->pumps, 1);
    assert_int_equal(pthread_create(&thread, NULL, toy_run_pump, p), 0);
    assert_int_equal(pthread_detach(thread), 0);
    return SNUG_OK;
}

static snug_status toy_bytes(http_req *rq, http_res *rs, const toy_file *f)
{
    toyhub    *t = toy_of(rq);
    uint64_t   first = 0, last = f->bytes.len - 1;
    snug_slice range = http_req_header(rq, "Range");
    if (range.len > 0 && !atomic_load(&t->ignore_ranges)) {
        assert_int_equal(http_parse_range(range, f->bytes.len, &first, &last), HTTP_RANGE_ONE);
        atomic_fetch_add(&t->ranges, 1);
        return toy_send(t, rs, f->bytes, first, last, true, f->bytes.len);
    }
    return toy_send(t, rs, f->bytes, 0, last, false, f->bytes.len);
}

static snug_status toy_resolve(http_req *rq, http_res *rs, snug_err *err)
{
    toyhub   *t = toy_of(rq);
    toy_file *f = toy_find(t, http_req_param(rq, "path"));
    if (toy_is_busy(t, rs)) return SNUG_OK;
    http_set_header(rs, "X-Repo-Commit", SNUG_LIT(TOY_COMMIT));
    if (f == NULL) return snug_fail_code(err, SNUG_ENOTFOUND, "EntryNotFound", "Entry not found");
    http_set_headerf(rs, "ETag", "\"%s\"", f->etag);
    http_set_headerf(rs, "X-Linked-Size", "%zu", f->bytes.len);
    if (http_req_is_head(rq)) {
        atomic_fetch_add(&t->heads, 1);
        http_reply_empty(rs, 200);
        return SNUG_OK;
    }
    atomic_fetch_add(&t->gets, 1);
    if (atomic_load(&t->elsewhere)) { /* another origin on the same machine */
        char to[256];
        (void)snprintf(to, sizeof to, "http://localhost:%u/signed/%s",
                       (unsigned)http_server_port(t->server), f->path);
        http_reply_redirect(rs, 302, snug_str(to));
        return SNUG_OK;
    }
    if (f->bytes.len == 0) {
        http_reply_empty(rs, 200);
        return SNUG_OK;
    }
    return toy_bytes(rq, rs, f);
}

static snug_status toy_signed(http_req *rq, http_res *rs, snug_err *err)
{
    toyhub *t = toy_of(rq);
    if (http_req_header(rq, "Authorization").ptr != NULL) {
        atomic_fetch_add(&t->refused, 1);
        return snug_fail(err, SNUG_EINVAL, "a token has no business here");
    }
    return toy_bytes(rq, rs, toy_find(t, http_req_param(rq, "path")));
}

/* ---- writing ---- */

static toy_object *toy_object_of(toyhub *t, snug_slice oid)
{
    for (size_t i = 0; i < t->object_count; i++) {
        if (snug_eq_str(oid, t->objects[i].oid)) return &t->objects[i];
    }
    return NULL;
}

/* Names that end in .bin are large; ".ignored" is ignored when the folder's .gitignore names it. */
static snug_status toy_preupload(http_req *rq, http_res *rs, snug_err *err)
{
    toyhub       *t = toy_of(rq);
    snug_json     v;
    snug_buf      b = snug_buf_init(16 << 20);
    snug_json_out o = snug_json_out_init(&b);
    snug_status   st = snug_json_parse(http_req_arena(rq), http_req_body(rq), NULL, &v, err);
    if (st != SNUG_OK) return st;
    atomic_fetch_add(&t->preuploads, 1);
    bool ignores =
        snug_find(snug_json_str_or(v, "gitIgnore", SNUG_EMPTY), SNUG_LIT(".ignored")) != SIZE_MAX;
    snug_jo_begin_object(&o);
    snug_jo_key(&o, "files");
    snug_jo_begin_array(&o);
    for (snug_json_iter it = snug_json_iter_of(snug_json_get(v, "files")); snug_json_next(&it);) {
        snug_slice path = snug_json_str_or(it.value, "path", SNUG_EMPTY);
        toy_file  *f = toy_find(t, path);
        snug_jo_begin_object(&o);
        snug_jo_kstr(&o, "path", path);
        snug_jo_kcstr(&o, "uploadMode", snug_ends_with(path, ".bin") ? "lfs" : "regular");
        snug_jo_kbool(&o, "shouldIgnore", ignores && snug_ends_with(path, ".ignored"));
        if (f != NULL) snug_jo_kcstr(&o, "oid", f->etag);
        snug_jo_end_object(&o);
    }
    snug_jo_end_array(&o);
    snug_jo_end_object(&o);
    http_reply_json(rs, &b);
    return SNUG_OK;
}

static void toy_put_action(toyhub *t, snug_json_out *o, const char *oid, uint64_t size)
{
    uint64_t part = atomic_load(&t->part_size);
    snug_jo_key(o, "actions");
    snug_jo_begin_object(o);
    snug_jo_key(o, "upload");
    snug_jo_begin_object(o);
    snug_jo_key(o, "href");
    snug_jo_strf(o, "%s/store/%s%s", t->url, oid, part > 0 ? "/complete" : "");
    if (part > 0) {
        snug_jo_key(o, "header");
        snug_jo_begin_object(o);
        snug_jo_key(o, "chunk_size");
        snug_jo_strf(o, "%" PRIu64, part);
        for (uint64_t n = 1; (n - 1) * part < size; n++) {
            char key[16];
            (void)snprintf(key, sizeof key, "%05u", (unsigned)n);
            snug_jo_key(o, key);
            snug_jo_strf(o, "%s/part/%s/%" PRIu64, t->url, oid, (n - 1) * part);
        }
        snug_jo_end_object(o);
    }
    snug_jo_end_object(o);
    snug_jo_key(o, "verify");
    snug_jo_begin_object(o);
    snug_jo_key(o, "href");
    snug_jo_strf(o, "%s/verify", t->url);
    snug_jo_end_object(o);
    snug_jo_end_object(o);
}

static snug_status toy_batch(http_req *rq, http_res *rs, snug_err *err)
{
    toyhub       *t = toy_of(rq);
    snug_json     v;
    snug_buf      b = snug_buf_init(16 << 20);
    snug_json_out o = snug_json_out_init(&b);
    snug_status   st = snug_json_parse(http_req_arena(rq), http_req_body(rq), NULL, &v, err);
    if (st != SNUG_OK) return st;
    if (!snug_eq_str(http_req_param(rq, "repo"), "x.git"))
        return snug_fail(err, SNUG_ENOTFOUND, "no repository");
    atomic_fetch_add(&t->batches, 1);
    snug_jo_begin_object(&o);
    snug_jo_kcstr(&o, "transfer", atomic_load(&t->part_size) > 0 ? "multipart" : "basic");
    snug_jo_key(&o, "objects");
    snug_jo_begin_array(&o);
    snug_lock(&t->lock);
    for (snug_json_iter it = snug_json_iter_of(snug_json_get(v, "objects")); snug_json_next(&it);) {
        snug_slice  oid = snug_json_str_or(it.value, "oid", SNUG_EMPTY);
        uint64_t    size = 0;
        toy_object *have = toy_object_of(t, oid);
        (void)snug_json_to_u64(snug_json_get(it.value, "size"), &size);
        snug_jo_begin_object(&o);
        snug_jo_kstr(&o, "oid", oid);
        snug_jo_ku64(&o, "size", size);
        if (have == NULL) {
            have = &t->objects[t->object_count++];
            (void)snprintf(have->oid, sizeof have->oid, "%.*s", SNUG_SLICE(oid));
            have->bytes = snug_buf_init(256 << 20);
            have->size = size;
        }
        if (!have->whole) toy_put_action(t, &o, have->oid, size);
        snug_jo_end_object(&o);
    }
    snug_unlock(&t->lock);
    snug_jo_end_array(&o);
    snug_jo_end_object(&o);
    http_reply_json(rs, &b);
    return SNUG_OK;
}

static snug_status toy_put(http_req *rq, http_res *rs, snug_err *err)
{
    toyhub *t = toy_of(rq);
    char    part[65536];
    size_t  got;
    if (http_req_header(rq, "Authorization").ptr != NULL) {
        atomic_fetch_add(&t->refused, 1);
        return snug_fail(err, SNUG_EINVAL, "a token has no business here");
    }
    uint64_t at = 0;
    (void)snug_parse_u64(http_req_param(rq, "at"), &at);
    snug_lock(&t->lock);
    toy_object *o = toy_object_of(t, http_req_param(rq, "oid"));
    if (o != NULL && o->bytes.len < o->size) {
        bool room = snug_buf_reserve(&o->bytes, o->size);
        assert_true(room);
        o->bytes.len = o->size;
    }
    snug_unlock(&t->lock);
    if (o == NULL) return snug_fail(err, SNUG_ENOTFOUND, "no object");
    atomic_fetch_add(&t->puts, 1);
    for (;;) {
        snug_status st = http_req_read(rq, part, sizeof part, &got, err);
        if (st != SNUG_OK) return st;
        if (got == 0) break;
        if (at + got > o->size) return snug_fail(err, SNUG_EINVAL, "too long");
        memcpy(o->bytes.ptr + at, part, got);
        at += got;
    }
    if (toy_is_busy(t, rs)) return SNUG_OK;
    http_set_header(rs, "ETag", SNUG_LIT("\"part\""));
    http_reply_empty(rs, 200);
    return SNUG_OK;
}

static snug_status toy_complete(http_req *rq, http_res *rs, snug_err *err)
{
    toyhub   *t = toy_of(rq);
    snug_json v;
    uint64_t  part = atomic_load(&t->part_size);
    if (snug_json_parse(http_req_arena(rq), http_req_body(rq), NULL, &v, err) != SNUG_OK)
        return SNUG_EINVAL;
    snug_lock(&t->lock);
    toy_object *o = toy_object_of(t, http_req_param(rq, "oid"));
    uint64_t    want = o == NULL ? 0 : (o->size + part - 1) / part;
    snug_unlock(&t->lock);
    if (o == NULL || snug_json_count(snug_json_get(v, "parts")) != want)
        return snug_fail(err, SNUG_EINVAL, "parts are missing");
    http_reply_empty(rs, 200);
    return SNUG_OK;
}

static snug_status toy_verify(http_req *rq, http_res *rs, snug_err *err)
{
    toyhub   *t = toy_of(rq);
    snug_json v;
    char      hex[65];
    if (!snug_eq_str(http_req_header(rq, "Authorization"), "Bearer " TOY_TOKEN))
        return snug_fail(err, SNUG_EUNAUTH, "who?");
    if (snug_json_parse(http_req_arena(rq), http_req_body(rq), NULL, &v, err) != SNUG_OK)
        return SNUG_EINVAL;
    snug_lock(&t->lock);
    toy_object *o = toy_object_of(t, snug_json_str_or(v, "oid", SNUG_EMPTY));
    if (o != NULL) {
        snug_sha256 h = snug_sha256_of(snug_buf_slice(&o->bytes));
        snug_hex(h.b, 32, hex);
        o->whole = strcmp(hex, o->oid) == 0;
    }
    bool whole = o != NULL && o->whole;
    snug_unlock(&t->lock);
    if (!whole) return snug_fail(err, SNUG_EPAYLOAD, "that is not the object");
    http_reply_empty(rs, 200);
    return SNUG_OK;
}

static snug_status toy_commit(http_req *rq, http_res *rs, snug_err *err)
{
    toyhub *t = toy_of(rq);
    if (atomic_load(&t->fail_commit)) return snug_fail(err, SNUG_EFORBIDDEN, "not today");
    snug_lock(&t->lock);
    free(t->commit_body);
    t->commit_body = snug_strdup(http_req_body(rq));
    snug_unlock(&t->lock);
    atomic_fetch_add(&t->commits, 1);
    return toy_json(rs, "{\"success\":true,\"commitOid\":\"" TOY_COMMIT
                        "\",\"commitUrl\":\"http://h/ada/x/commit/1\"}");
}

static const http_doc toy_small = {.id = "small", .body_max = 64 << 20},
                      toy_big = {.id = "big", .body_max = 512 << 20};
static const http_route toy_routes[] = {
    {HTTP_GET, "/api/models/{ns}/{name}/revision/{rev}", toy_revision, 0, &toy_small, NULL},
    {HTTP_GET, "/api/models/{ns}/{name}/tree/{rev}", toy_tree, 0, &toy_small, NULL},
    {HTTP_GET, "/{ns}/{name}/resolve/{rev}/{path...}", toy_resolve, 0, &toy_small, NULL},
    {HTTP_GET, "/signed/{path...}", toy_signed, 0, &toy_small, NULL},
    {HTTP_POST, "/api/models/{ns}/{name}/preupload/{rev}", toy_preupload, 0, &toy_small, NULL},
    {HTTP_POST, "/api/models/{ns}/{name}/commit/{rev}", toy_commit, 0, &toy_small, NULL},
    {HTTP_POST, "/{ns}/{repo}/info/lfs/objects/batch", toy_batch, 0, &toy_small, NULL},
    {HTTP_PUT, "/store/{oid}", toy_put, ROUTE_STREAM_BODY, &toy_big, NULL},
    {HTTP_PUT, "/part/{oid}/{at}", toy_put, ROUTE_STREAM_BODY, &toy_big, NULL},
    {HTTP_POST, "/store/{oid}/complete", toy_complete, 0, &toy_small, NULL},
    {HTTP_POST, "/verify", toy_verify, 0, &toy_small, NULL},
};
static const http_route *const toy_tables[] = {toy_routes, NULL};
static const size_t            toy_sizes[] = {sizeof toy_routes / sizeof *toy_routes};

static void toy_start(toyhub *t)
{
    snug_err         err = {0};
    http_server_opts o = {.listen = "127.0.0.1:0",
                          .tables = toy_tables,
                          .table_sizes = toy_sizes,
                          .app = t,
                          .workers = 16,
                          .memory_body_max = 64 << 20};
    snug_mutex_init(&t->lock, "toyhub", 10);
    assert_int_equal(http_server_start(&o, &t->server, &err), SNUG_OK);
    (void)snprintf(t->url, sizeof t->url, "http://127.0.0.1:%u",
                   (unsigned)http_server_port(t->server));
    (void)snprintf(t->dir, sizeof t->dir, "/tmp/snug-remote-XXXXXX");
    assert_non_null(mkdtemp(t->dir));
}

static void toy_stop(toyhub *t)
{
    if (t->server != NULL) http_server_stop(t->server, 0);
    while (atomic_load(&t->pumps) > 0) usleep(1000);
    for (size_t i = 0; i < t->object_count; i++) snug_buf_deinit(&t->objects[i].bytes);
    free(t->commit_body);
    snug_mutex_deinit(&t->lock);
    assert_int_equal(snug_remove_tree(t->dir, NULL), SNUG_OK);
    free(t);
}

static remote *toy_client(toyhub *t)
{
    char     cache[128];
    remote  *r;
    snug_err err = {0};
    (void)snprintf(cache, sizeof cache, "%s/hub", t->dir);
    remote_opts o = {.endpoint = t->url, .token = TOY_TOKEN, .cache_dir = cache};
    assert_int_equal(remote_open(&o, &r, &err), SNUG_OK);
    return r;
}

/* Bytes that differ everywhere, so that misplaced ranges show. */
static snug_slice toy_random_bytes(size_t n)
{
    char    *p = snug_alloc(n);
    uint64_t x = 88172645463325252u + n;
    for (size_t i = 0; i < n; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        p[i] = (char)(x >> 32);
    }
    return snug_slice_of(p, n);
}

static char *toy_path(toyhub *t, const char *fmt, ...) SNUG_PRINTF(2, 3);
static char *toy_path(toyhub *t, const char *fmt, ...)
{
    static char path[8][1024];
    static int  turn;
    char       *p = path[turn = (turn + 1) % 8];
    int         n = snprintf(p, 1024, "%s/", t->dir);
    va_list     ap;
    va_start(ap, fmt);
    (void)vsnprintf(p + n, 1024 - (size_t)n, fmt, ap);
    va_end(ap);
    return p;
}

static inline void toy_expect_file(const char *path, snug_slice want)
{
    snug_arena *a = snug_arena_new();
    snug_slice  got;
    snug_err    err = {0};
    if (snug_read_file(a, path, 1u << 30, &got, &err) != SNUG_OK)
        fail_msg("%s: %s %s", path, err.msg, err.cause);
    assert_int_equal(got.len, want.len);
    if (want.len > 0) assert_memory_equal(got.ptr, want.ptr, want.len);
    snug_arena_free(a);
}

static void toy_write(const char *path, snug_slice bytes)
{
    snug_err err = {0};
    char    *dir = snug_strdup(snug_sub(snug_str(path), 0, snug_rindex(snug_str(path), '/')));
    assert_int_equal(snug_mkdirs(dir, 0755, &err), SNUG_OK);
    assert_int_equal(snug_write_file_atomic(path, bytes, 0644, &err), SNUG_OK);
    free(dir);
}

#endif
