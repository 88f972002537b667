/* SPDX-License-Identifier: Apache-2.0 */
/* remote/plan.c - what a revision holds: commit, files, sizes, content ids.
 *
 * For:     download.c.
 * Owns:    nothing.
 * Threads: any; the HEAD requests of a file list run on a crew.
 * Truth:   every name and id in a plan went through names.c, so later steps may use them as paths.
 */
#include <stdlib.h>

#include "remote/remote_int.h"

enum { LISTED_MAX = 32, PAGES_MAX = 20000, PAGE_BYTES_MAX = 64 * 1024 * 1024 };

/* ---- parsers of what a server sends ---- */

snug_slice remote_next_link(snug_slice header)
{
    snug_slice item;
    while (snug_split(&header, ',', &item)) {
        item = snug_trim(item);
        size_t end = snug_index(item, '>');
        if (item.len < 2 || item.ptr[0] != '<' || end == SIZE_MAX) continue;
        snug_slice params = snug_sub(item, end, SIZE_MAX);
        if (snug_find(params, SNUG_LIT("rel=\"next\"")) != SIZE_MAX)
            return snug_sub(item, 1, end - 1);
    }
    return SNUG_EMPTY;
}

/* A hash we cannot read is a file we fetch by plain HTTP. */
static void read_xet(snug_slice text, xet_hash *out)
{
    if (!xet_hash_parse(text, out)) *out = (xet_hash){{0}};
}

static snug_status read_entry(snug_json e, snug_arena *a, remote_file *f, snug_err *err)
{
    snug_slice  path, oid;
    uint64_t    size;
    snug_json   lfs = snug_json_get(e, "lfs");
    snug_status st = snug_json_need_str(e, "path", &path, err);
    if (st == SNUG_OK) st = snug_json_need_str(e, "oid", &oid, err);
    if (st == SNUG_OK) st = snug_json_need_u64(e, "size", &size, err);
    if (st == SNUG_OK) st = remote_check_path(path, err);
    if (st == SNUG_OK) st = remote_check_etag(oid, err);
    if (st != SNUG_OK) return st;
    *f = (remote_file){
        .path = snug_arena_dup(a, path), .blob_id = snug_arena_dup(a, oid), .size = size};
    f->etag = f->blob_id;
    if (!snug_json_is(lfs, SNUG_JSON_OBJECT)) return SNUG_OK;
    st = snug_json_need_str(lfs, "oid", &oid, err);
    if (st == SNUG_OK) st = snug_json_need_u64(lfs, "size", &size, err);
    if (st == SNUG_OK) st = remote_check_etag(oid, err);
    if (st != SNUG_OK) return st;
    f->lfs = true;
    f->etag = snug_arena_dup(a, oid);
    f->size = size;
    read_xet(snug_json_str_or(e, "xetHash", SNUG_EMPTY), &f->xet);
    return SNUG_OK;
}

static remote_file *grow(remote_files *v)
{
    if (v->count == v->cap) {
        v->cap = v->cap == 0 ? 256 : 2 * v->cap;
        v->v = snug_realloc(v->v, v->cap * sizeof *v->v);
    }
    return &v->v[v->count++];
}

snug_status remote_add_tree(snug_json page, snug_arena *a, remote_files *out, snug_err *err)
{
    if (!snug_json_is(page, SNUG_JSON_ARRAY))
        return snug_fail(err, SNUG_EREMOTE, "the file list is not a list");
    for (snug_json_iter it = snug_json_iter_of(page); snug_json_next(&it);) {
        remote_file f;
        if (!snug_eq_str(snug_json_str_or(it.value, "type", SNUG_LIT("file")), "file")) continue;
        snug_status st = read_entry(it.value, a, &f, err);
        if (st != SNUG_OK) return st;
        if (out->count >= REMOTE_FILES_MAX)
            return snug_fail(err, SNUG_ELIMIT, "more than %d files in one repository",
                             REMOTE_FILES_MAX);
        *grow(out) = f;
    }
    return SNUG_OK;
}

/* ---- asking ---- */

static snug_status resolve_commit(remote *r, const remote_download *d, snug_slice rev,
                                  snug_arena *a, remote_plan *p, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_buf    body = snug_buf_init(PAGE_BYTES_MAX);
    snug_json   v;
    snug_slice  sha = rev;
    http_answer ans;
    if (!remote_is_commit(rev)) {
        const char *rest = snug_arena_printf(a, "/revision/%s", remote_encode(a, rev, false)).ptr;
        remote_ask  q = {.method = "GET",
                         .url = remote_api_url(r, a, &d->repo, rest),
                         .accept = "application/json",
                         .into = &body,
                         .cancel = d->cancel};
        SNUG_TRY(remote_exchange(r, &q, a, &ans, err));
        SNUG_TRY(snug_json_parse(a, snug_buf_slice(&body), NULL, &v, err));
        SNUG_TRY(snug_json_need_str(v, "sha", &sha, err));
        if (!remote_is_commit(sha))
            SNUG_FAIL(err, SNUG_EREMOTE, "the server sent no commit id for %.*s", SNUG_SLICE(rev));
    }
    memcpy(p->commit, sha.ptr, 40);
    p->commit[40] = '\0';
done:
    snug_buf_deinit(&body);
    return st;
}

static snug_status list_tree(remote *r, const remote_download *d, snug_arena *a, const char *commit,
                             remote_files *files, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_buf    body = snug_buf_init(PAGE_BYTES_MAX);
    const char *rest = snug_arena_printf(a, "/tree/%s?recursive=true&expand=false", commit).ptr;
    const char *url = remote_api_url(r, a, &d->repo, rest);
    for (unsigned page = 0; url != NULL; page++) {
        http_answer ans;
        snug_json   v;
        remote_ask  q = {.method = "GET",
                         .url = url,
                         .accept = "application/json",
                         .into = &body,
                         .cancel = d->cancel};
        if (page >= PAGES_MAX) SNUG_FAIL(err, SNUG_EREMOTE, "the file list never ends");
        SNUG_TRY(remote_exchange(r, &q, a, &ans, err));
        SNUG_TRY(snug_json_parse(a, snug_buf_slice(&body), NULL, &v, err));
        SNUG_TRY(remote_add_tree(v, a, files, err));
        snug_slice next = remote_next_link(http_answer_header(&ans, "Link"));
        url = next.len == 0 ? NULL : remote_home_url(r, a, next);
    }
done:
    snug_buf_deinit(&body);
    return st;
}

/* ---- a short list of named files: HEAD each, as stock clients do ---- */

typedef struct heads {
    remote                *r;
    const remote_download *d;
    remote_plan           *p;
    snug_arena            *a; /* of the plan; used under the lock of the crew */
    void (*no_exist)(void *arg, const char *commit, snug_slice path);
    void *no_exist_arg;
} heads;

static snug_slice bare_etag(const http_answer *ans)
{
    snug_slice e = http_answer_header(ans, "X-Linked-Etag");
    if (e.len == 0) e = http_answer_header(ans, "ETag");
    if (snug_starts_with(e, "W/")) e = snug_sub(e, 2, SIZE_MAX);
    if (e.len >= 2 && e.ptr[0] == '"' && e.ptr[e.len - 1] == '"') e = snug_sub(e, 1, e.len - 2);
    return e;
}

/* A relative Location moves the question (a renamed repository); an absolute one is where the
 * bytes are, and the answer in hand describes them. */
static snug_status ask_head(remote *r, const char *url, const atomic_bool *cancel, snug_arena *a,
                            http_answer *ans, snug_err *err)
{
    for (unsigned hop = 0; hop < 5; hop++) {
        remote_ask q = {
            .method = "HEAD", .url = url, .identity = true, .stay = true, .cancel = cancel};
        snug_status st = remote_exchange(r, &q, a, ans, err);
        snug_slice  to = http_answer_header(ans, "Location");
        if (st != SNUG_OK || ans->status < 300 || to.len == 0 || to.ptr[0] != '/') return st;
        url = remote_home_url(r, a, to);
    }
    return snug_fail(err, SNUG_EREMOTE, "%s redirects too often", url);
}

static snug_status head_one(remote_crew *c, void *arg, size_t i, snug_err *err)
{
    heads      *h = arg;
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    remote_file f = {.path = h->d->files[i]};
    http_answer ans = {0};
    const char *rest =
        snug_arena_printf(a, "/resolve/%s/%s", h->p->commit, remote_encode(a, f.path, true)).ptr;
    st = ask_head(h->r, remote_web_url(h->r, a, &h->d->repo, rest), &c->stop, a, &ans, err);
    if (st == SNUG_ENOTFOUND && err->code != NULL && strcmp(err->code, "EntryNotFound") == 0) {
        if (h->no_exist != NULL) h->no_exist(h->no_exist_arg, h->p->commit, f.path);
        snug_note(err, "%.*s", SNUG_SLICE(f.path));
    }
    if (st != SNUG_OK) goto done;
    f.etag = bare_etag(&ans);
    SNUG_TRY(remote_check_etag(f.etag, err));
    snug_slice size = http_answer_header(&ans, "X-Linked-Size");
    if (size.len == 0 && ans.status < 300) size = http_answer_header(&ans, "Content-Length");
    if (!snug_parse_u64(size, &f.size))
        SNUG_FAIL(err, SNUG_EREMOTE, "%.*s: the server does not tell its size", SNUG_SLICE(f.path));
    f.lfs = f.etag.len == 64;
    if (f.lfs) read_xet(http_answer_header(&ans, "X-Xet-Hash"), &f.xet);
    snug_lock(&c->lock);
    f.etag = snug_arena_dup(h->a, f.etag);
    f.blob_id = f.lfs ? SNUG_EMPTY : f.etag;
    h->p->files[i] = f;
    snug_unlock(&c->lock);
done:
    snug_arena_free(a);
    return st;
}

static snug_status ask_heads(heads *h, snug_err *err)
{
    remote_crew c;
    for (size_t i = 0; i < h->d->file_count; i++) {
        snug_status st = remote_check_path(h->d->files[i], err);
        if (st != SNUG_OK) return st;
    }
    h->p->count = h->d->file_count;
    h->p->files = snug_arena_zalloc(h->a, h->p->count * sizeof *h->p->files);
    remote_crew_init(&c, h->d->cancel, NULL, NULL);
    snug_status st = remote_crew_run(&c, REMOTE_WORKERS, h->d->file_count, head_one, h, err);
    remote_crew_deinit(&c);
    return st;
}

/* ---- selecting ---- */

static int by_path(const void *a, const void *b)
{
    const remote_file *x = a, *y = b;
    return snug_cmp(x->path, y->path);
}

static snug_status pick_named(const remote_download *d, remote_files *all, remote_plan *p,
                              snug_arena *a, snug_err *err)
{
    if (all->count > 0) qsort(all->v, all->count, sizeof *all->v, by_path);
    p->files = snug_arena_zalloc(a, (d->file_count + 1) * sizeof *p->files);
    for (size_t i = 0; i < d->file_count; i++) {
        remote_file        key = {.path = d->files[i]};
        const remote_file *hit =
            all->count == 0 ? NULL : bsearch(&key, all->v, all->count, sizeof key, by_path);
        if (hit == NULL) {
            return snug_fail_code(err, SNUG_ENOTFOUND, "EntryNotFound", "no file %.*s at %s",
                                  SNUG_SLICE(d->files[i]), p->commit);
        }
        p->files[p->count++] = *hit;
    }
    return SNUG_OK;
}

static void take_all(remote_files *all, remote_plan *p, snug_arena *a)
{
    p->files = snug_arena_zalloc(a, (all->count + 1) * sizeof *p->files);
    if (all->count > 0) memcpy(p->files, all->v, all->count * sizeof *p->files);
    p->count = all->count;
    p->whole = true;
}

snug_status remote_make_plan(remote *r, const remote_download *d, snug_arena *a, remote_plan *out,
                             void (*no_exist)(void *arg, const char *commit, snug_slice path),
                             void *arg, snug_err *err)
{
    snug_status  st = SNUG_OK;
    remote_files all = {0};
    snug_slice   rev = d->revision == NULL ? SNUG_LIT("main") : snug_str(d->revision);
    *out = (remote_plan){.count = 0};
    SNUG_TRY(resolve_commit(r, d, rev, a, out, err));
    if (d->file_count > 0 && d->file_count <= LISTED_MAX) {
        heads h = {r, d, out, a, no_exist, arg};
        SNUG_TRY(ask_heads(&h, err));
    } else {
        SNUG_TRY(list_tree(r, d, a, out->commit, &all, err));
        if (d->file_count > 0)
            SNUG_TRY(pick_named(d, &all, out, a, err));
        else
            take_all(&all, out, a);
    }
done:
    free(all.v);
    return st;
}
