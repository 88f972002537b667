/* SPDX-License-Identifier: Apache-2.0 */
/* remote/upload.c - a file or a folder into one commit.
 *
 *   walk -> preupload (large or small? what is there already?) -> hash -> drop what is unchanged
 *        -> by Xet, else by LFS, what the hub lacks -> one commit
 *
 * For:     cli/.
 * Owns:    nothing on disk.
 * Threads: hashing and sending on a crew; the caller's thread reports progress.
 * Truth:   running it again with nothing changed sends no bytes and makes no commit. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "remote/remote_int.h"

enum {
    SAMPLE_SIZE = 512,
    ANSWER_MAX = 32 * 1024 * 1024,
    HASH_CHUNK = 256 * 1024,
    IGNORE_MAX = 1024 * 1024,
    INLINE_MAX = 256 * 1024 * 1024,
    MESSAGE_MAX = 64 * 1024
};

typedef struct item {
    remote_entry e;
    bool         lfs, drop;
    char         theirs[65], ours[65]; /* content ids in hex; "": unknown */
} item;

typedef struct upload {
    remote              *r;
    const remote_upload *u;
    snug_slice           revision, git_ignore;
    item                *items;
    size_t               count;
    snug_arena          *a;
} upload;

/* ---- preupload ---- */

static snug_status put_sample(snug_json_out *j, const item *it, snug_err *err)
{
    char    head[SAMPLE_SIZE];
    int     fd = open(it->e.file, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : pread(fd, head, sizeof head, 0);
    int     why = errno;
    if (fd >= 0) (void)close(fd);
    if (n < 0) return remote_fail_file(err, why, "read", it->e.file);
    SNUG_AUTO(snug_buf) b64 = snug_buf_init(2 * SAMPLE_SIZE);
    snug_base64_put(&b64, snug_slice_of(head, (size_t)n));
    snug_jo_begin_object(j);
    snug_jo_kstr(j, "path", it->e.path);
    snug_jo_kstr(j, "sample", snug_buf_slice(&b64));
    snug_jo_ku64(j, "size", it->e.size);
    snug_jo_end_object(j);
    return SNUG_OK;
}

static snug_status read_modes(item *items, size_t n, snug_json answer, snug_err *err)
{
    size_t seen = 0;
    for (snug_json_iter it = snug_json_iter_of(snug_json_get(answer, "files"));
         snug_json_next(&it) && seen < n; seen++) {
        snug_slice  path, mode, oid;
        snug_status st = snug_json_need_str(it.value, "path", &path, err);
        if (st == SNUG_OK) st = snug_json_need_str(it.value, "uploadMode", &mode, err);
        if (st != SNUG_OK) return st;
        item *f = &items[seen]; /* hubs keep the order; a search is for those that do not */
        for (size_t i = 0; i < n && !snug_eq(f->e.path, path); i++) f = &items[i];
        if (!snug_eq(f->e.path, path))
            return snug_fail(err, SNUG_EREMOTE,
                             "the server answered about %.*s, which we did not name",
                             SNUG_SLICE(path));
        f->lfs = snug_eq_str(mode, "lfs") && f->e.size > 0;
        f->drop = snug_json_bool_or(it.value, "shouldIgnore", false);
        oid = snug_json_str_or(it.value, "oid", SNUG_EMPTY);
        if (oid.len < sizeof f->theirs)
            (void)snprintf(f->theirs, sizeof f->theirs, "%.*s", SNUG_SLICE(oid));
    }
    if (seen != n)
        return snug_fail(err, SNUG_EREMOTE, "the server answered about %zu of %zu files", seen, n);
    return SNUG_OK;
}

static snug_status preupload(remote_crew *c, void *arg, size_t index, snug_err *err)
{
    upload       *up = arg;
    snug_status   st = SNUG_OK;
    item         *items = up->items + index * REMOTE_PREUPLOAD_MAX;
    size_t        left = up->count - index * REMOTE_PREUPLOAD_MAX;
    size_t        n = left < REMOTE_PREUPLOAD_MAX ? left : REMOTE_PREUPLOAD_MAX;
    snug_arena   *a = snug_arena_new();
    snug_buf      ask = snug_buf_init(ANSWER_MAX), body = snug_buf_init(ANSWER_MAX);
    http_answer   ans;
    snug_json     v;
    snug_json_out j = snug_json_out_init(&ask);
    snug_jo_begin_object(&j);
    snug_jo_key(&j, "files");
    snug_jo_begin_array(&j);
    for (size_t i = 0; i < n; i++) SNUG_TRY(put_sample(&j, &items[i], err));
    snug_jo_end_array(&j);
    if (up->git_ignore.len > 0) snug_jo_kstr(&j, "gitIgnore", up->git_ignore);
    snug_jo_end_object(&j);
    const char *rest =
        snug_arena_printf(a, "/preupload/%s", remote_encode(a, up->revision, false)).ptr;
    remote_ask q = {.method = "POST",
                    .url = remote_api_url(up->r, a, &up->u->repo, rest),
                    .accept = "application/json",
                    .media = "application/json",
                    .body = snug_buf_slice(&ask),
                    .into = &body,
                    .cancel = &c->stop,
                    .crew = c};
    SNUG_TRY(remote_exchange(up->r, &q, a, &ans, err));
    SNUG_TRY(snug_json_parse(a, snug_buf_slice(&body), NULL, &v, err));
    SNUG_TRY(read_modes(items, n, v, err));
done:
    snug_buf_deinit(&ask);
    snug_buf_deinit(&body);
    snug_arena_free(a);
    return st;
}

/* ---- hashing ---- */

static snug_status hash_file(remote_crew *c, item *it, snug_hasher *h, snug_err *err)
{
    snug_status st = SNUG_OK;
    int         fd = open(it->e.file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return remote_fail_file(err, errno, "read", it->e.file);
    char    *buf = snug_alloc(HASH_CHUNK);
    uint64_t at = 0;
    while (at < it->e.size) {
        ssize_t n = read(fd, buf, HASH_CHUNK);
        if (atomic_load(&c->stop)) SNUG_FAIL(err, SNUG_ECANCELED, "canceled");
        if (n < 0) {
            st = remote_fail_file(err, errno, "read", it->e.file);
            goto done;
        }
        if (n == 0 || (uint64_t)n > it->e.size - at) break;
        snug_hasher_update(h, buf, (size_t)n);
        at += (uint64_t)n;
        atomic_fetch_add(&c->done, (uint64_t)n);
    }
    if (at != it->e.size)
        SNUG_FAIL(err, SNUG_ESTALE, "%s changed while it was being read", it->e.file);
done:
    free(buf);
    (void)close(fd);
    return st;
}

static snug_status hash_item(remote_crew *c, void *arg, size_t i, snug_err *err)
{
    upload       *up = arg;
    item         *it = &up->items[i];
    unsigned char sum[32];
    if (it->drop) {
        atomic_fetch_add(&c->done, 2 * it->e.size);
        return SNUG_OK;
    }
    if (!it->lfs && it->theirs[0] == '\0') { /* nothing to compare with */
        atomic_fetch_add(&c->done, it->e.size);
        return SNUG_OK;
    }
    remote_crew_what(c, "hashing %.*s", SNUG_SLICE(it->e.path));
    snug_hasher *h = snug_hasher_new(it->lfs ? SNUG_HASH_SHA256 : SNUG_HASH_SHA1);
    if (!it->lfs) {
        char head[40];
        int  n = snprintf(head, sizeof head, "blob %" PRIu64, it->e.size);
        snug_hasher_update(h, head, (size_t)n + 1);
    }
    snug_status st = hash_file(c, it, h, err);
    snug_hasher_finish(h, sum);
    snug_hasher_free(h);
    if (st != SNUG_OK) return st;
    snug_hex(sum, it->lfs ? 32 : 20, it->ours);
    if (strcmp(it->ours, it->theirs) == 0) {
        it->drop = true;
        atomic_fetch_add(&c->done, it->e.size);
    }
    return SNUG_OK;
}

/* ---- large objects ---- */

static int by_oid(const void *a, const void *b)
{
    const remote_object *x = a, *y = b;
    return strcmp(x->oid, y->oid);
}

static snug_status store_objects(upload *up, remote_crew *c, snug_err *err)
{
    remote_object *o = snug_arena_zalloc(up->a, (up->count + 1) * sizeof *o);
    size_t         n = 0, distinct = 0;
    for (size_t i = 0; i < up->count; i++) {
        const item *it = &up->items[i];
        if (it->drop || !it->lfs) continue;
        o[n] = (remote_object){
            .size = it->e.size, .file = it->e.file, .label = snug_arena_cstr(up->a, it->e.path)};
        memcpy(o[n++].oid, it->ours, sizeof it->ours);
    }
    if (n > 0) qsort(o, n, sizeof *o, by_oid);
    for (size_t i = 0; i < n; i++) {
        if (distinct > 0 && strcmp(o[distinct - 1].oid, o[i].oid) == 0)
            atomic_fetch_add(&c->done, o[i].size);
        else
            o[distinct++] = o[i];
    }
    if (distinct > 0 && !up->r->no_xet) {
        snug_status st = remote_xet_upload(up->r, c, &up->u->repo, up->revision, o, distinct, err);
        if (st != SNUG_EUNSUPPORTED) return st;
        snug_err_clear(err);
    }
    return remote_lfs_upload(up->r, c, &up->u->repo, up->revision, o, distinct, err);
}

/* ---- the commit: one JSON object a line, written as the connection takes it ---- */

typedef struct lines {
    upload      *up;
    remote_crew *c;
    snug_buf     line;
    size_t       at;   /* in line */
    size_t       next; /* item */
    bool         started;
    uint64_t     counted, regular; /* progress of regular bytes */
} lines;

static void put_header(const upload *up, snug_buf *b)
{
    const char   *m = up->u->message;
    snug_slice    all = snug_str(m != NULL && m[0] != '\0' ? m : "Upload with snug"), head = all;
    size_t        cut = snug_index(all, '\n');
    snug_json_out j = snug_json_out_init(b);
    if (cut != SIZE_MAX) head = snug_sub(all, 0, cut);
    snug_jo_begin_object(&j);
    snug_jo_kcstr(&j, "key", "header");
    snug_jo_key(&j, "value");
    snug_jo_begin_object(&j);
    snug_jo_kstr(&j, "summary", head);
    snug_jo_kstr(&j, "description",
                 cut == SIZE_MAX ? SNUG_EMPTY : snug_trim(snug_sub(all, cut, SIZE_MAX)));
    snug_jo_end_object(&j);
    snug_jo_end_object(&j);
    snug_buf_putc(b, '\n');
}

/* Everything of a line before its content; the content and tail follow for regular files. */
static void put_head(const item *it, snug_buf *b)
{
    snug_json_out j = snug_json_out_init(b);
    snug_jo_begin_object(&j);
    snug_jo_kcstr(&j, "key", it->lfs ? "lfsFile" : "file");
    snug_jo_key(&j, "value");
    snug_jo_begin_object(&j);
    snug_jo_kstr(&j, "path", it->e.path);
    if (it->lfs) {
        snug_jo_kcstr(&j, "algo", "sha256");
        snug_jo_kcstr(&j, "oid", it->ours);
        snug_jo_ku64(&j, "size", it->e.size);
        snug_jo_end_object(&j);
        snug_jo_end_object(&j);
        snug_buf_putc(b, '\n');
    } else {
        snug_jo_kcstr(&j, "encoding", "base64");
        snug_buf_puts(b, ",\"content\":\"");
    }
}

static const char regular_tail[] = "\"}}\n";

static uint64_t line_size(const item *it)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(16 * REMOTE_PATH_MAX);
    put_head(it, &b);
    return b.len + (it->lfs ? 0 : 4 * ((it->e.size + 2) / 3) + sizeof regular_tail - 1);
}

static snug_status put_content(const item *it, snug_buf *b, snug_err *err)
{
    snug_arena *a = snug_arena_new();
    snug_slice  bytes;
    snug_status st = snug_read_file(a, it->e.file, INLINE_MAX, &bytes, err);
    if (st == SNUG_OK && bytes.len != it->e.size)
        st = snug_fail(err, SNUG_ESTALE, "%s changed while it was being sent", it->e.file);
    if (st == SNUG_OK) {
        snug_base64_put(b, bytes);
        snug_buf_puts(b, regular_tail);
    }
    snug_arena_free(a);
    return st;
}

static void rewind_lines(void *arg)
{
    lines *l = arg;
    l->started = false;
    l->next = l->at = 0;
    l->regular = 0;
    snug_buf_clear(&l->line);
}

static snug_status next_line(lines *l, snug_err *err)
{
    snug_buf_clear(&l->line);
    l->at = 0;
    if (!l->started) {
        l->started = true;
        put_header(l->up, &l->line);
        return SNUG_OK;
    }
    while (l->next < l->up->count && l->up->items[l->next].drop) l->next++;
    if (l->next == l->up->count) return SNUG_OK;
    const item *it = &l->up->items[l->next++];
    put_head(it, &l->line);
    snug_status st = it->lfs ? SNUG_OK : put_content(it, &l->line, err);
    if (st == SNUG_OK) st = snug_buf_check(&l->line, "a line of the commit", err);
    if (it->lfs || st != SNUG_OK) return st;
    l->regular += it->e.size;
    if (l->regular > l->counted) {
        atomic_fetch_add(&l->c->done, l->regular - l->counted);
        l->counted = l->regular;
    }
    return st;
}

static snug_status pull_lines(void *arg, void *p, size_t n, size_t *got, snug_err *err)
{
    lines *l = arg;
    *got = 0;
    if (l->at == l->line.len) {
        snug_status st = next_line(l, err);
        if (st != SNUG_OK) return st;
    }
    snug_slice left = snug_sub(snug_buf_slice(&l->line), l->at, n);
    if (left.len > 0) memcpy(p, left.ptr, left.len);
    l->at += left.len;
    atomic_fetch_add(&l->c->network, left.len);
    *got = left.len;
    return SNUG_OK;
}

/* The crew runs it so that progress and cancelling go on during a long commit. */
typedef struct commit_job {
    upload  *up;
    snug_buf body;
} commit_job;

static snug_status send_commit(remote_crew *c, void *arg, size_t index, snug_err *err)
{
    commit_job *cj = arg;
    upload     *up = cj->up;
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    http_answer ans;
    lines       l = {.up = up, .c = c, .line = snug_buf_init(2 * (size_t)INLINE_MAX)};
    uint64_t    total;
    (void)index;
    put_header(up, &l.line);
    total = l.line.len;
    for (size_t i = 0; i < up->count; i++)
        total += up->items[i].drop ? 0 : line_size(&up->items[i]);
    remote_crew_what(c, "committing");
    const char *rest =
        snug_arena_printf(a, "/commit/%s", remote_encode(a, up->revision, false)).ptr;
    remote_ask q = {.method = "POST",
                    .url = remote_api_url(up->r, a, &up->u->repo, rest),
                    .accept = "application/json",
                    .media = "application/x-ndjson",
                    .pull = pull_lines,
                    .pull_arg = &l,
                    .pull_length = total,
                    .rewind = rewind_lines,
                    .into = &cj->body,
                    .cancel = &c->stop,
                    .crew = c};
    st = remote_exchange(up->r, &q, a, &ans, err);
    snug_buf_deinit(&l.line);
    snug_arena_free(a);
    return st;
}

static snug_status commit(upload *up, remote_crew *c, remote_uploaded *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    commit_job  cj = {up, snug_buf_init(ANSWER_MAX)};
    snug_json   v;
    if (SNUG_FAULT("remote.commit")) {
        st = snug_fail_sys(err, errno, "commit");
        goto done;
    }
    SNUG_TRY(remote_crew_run(c, 1, 1, send_commit, &cj, err));
    SNUG_TRY(snug_json_parse(up->a, snug_buf_slice(&cj.body), NULL, &v, err));
    SNUG_TRY(snug_json_need_str(v, "commitOid", &out->commit_oid, err));
    out->commit_url = snug_json_str_or(v, "commitUrl", SNUG_EMPTY);
done:
    snug_buf_deinit(&cj.body);
    return st;
}

/* Nothing changed: the answer is where the branch stands now. */
static snug_status current_head(upload *up, remote_uploaded *out, snug_err *err)
{
    snug_json   v;
    const char *rest =
        snug_arena_printf(up->a, "/revision/%s", remote_encode(up->a, up->revision, false)).ptr;
    const char *url = remote_api_url(up->r, up->a, &up->u->repo, rest);
    snug_status st =
        remote_call(up->r, "GET", url + strlen(up->r->endpoint), SNUG_EMPTY, up->a, &v, err);
    if (st == SNUG_OK) out->commit_oid = snug_json_str_or(v, "sha", SNUG_EMPTY);
    return st;
}

/* ---- the whole ---- */

static snug_status gather(upload *up, remote_crew *c, snug_err *err)
{
    snug_status   st = SNUG_OK;
    remote_entry *e;
    SNUG_TRY(remote_walk(up->u->path, up->u->in_repo, up->a, &e, &up->count, err));
    if (up->count == 0) SNUG_FAIL(err, SNUG_EINVAL, "%s holds no files to upload", up->u->path);
    up->items = snug_arena_zalloc(up->a, up->count * sizeof *up->items);
    uint64_t bytes = 0;
    for (size_t i = 0; i < up->count; i++) {
        up->items[i].e = e[i];
        bytes += e[i].size;
        if (snug_eq_str(e[i].path, ".gitignore") && e[i].size < IGNORE_MAX) {
            SNUG_TRY(snug_read_file(up->a, e[i].file, IGNORE_MAX, &up->git_ignore, err));
        }
    }
    c->passes = 2; /* to hash it and to send it */
    atomic_store(&c->total, 2 * bytes);
    atomic_store(&c->files_total, up->count);
done:
    return st;
}

snug_status remote_do_upload(remote *r, const remote_upload *u, snug_arena *a, remote_uploaded *out,
                             snug_err *err)
{
    snug_status st = SNUG_OK;
    const char *rev = u->revision == NULL ? "main" : u->revision;
    upload      up = {.r = r, .u = u, .a = a, .revision = snug_str(rev)};
    remote_crew c;
    *out = (remote_uploaded){.files = 0};
    remote_crew_init(&c, u->cancel, u->progress, u->progress_arg);
    if (r->offline)
        SNUG_FAIL(err, SNUG_EREMOTE,
                  "offline mode is on (HF_HUB_OFFLINE): nothing can be uploaded");
    if (u->message != NULL && strlen(u->message) > MESSAGE_MAX)
        SNUG_FAIL(err, SNUG_ELIMIT, "the commit message is longer than %d bytes", MESSAGE_MAX);
    SNUG_TRY(gather(&up, &c, err));
    remote_crew_what(&c, "asking what is there");
    size_t batches = (up.count + REMOTE_PREUPLOAD_MAX - 1) / REMOTE_PREUPLOAD_MAX;
    SNUG_TRY(remote_crew_run(&c, 4, batches, preupload, &up, err));
    unsigned cpus = snug_cpu_count();
    SNUG_TRY(remote_crew_run(&c, cpus > REMOTE_WORKERS ? REMOTE_WORKERS : cpus, up.count, hash_item,
                             &up, err));
    SNUG_TRY(store_objects(&up, &c, err));
    for (size_t i = 0; i < up.count; i++) {
        if (up.items[i].drop)
            out->skipped++;
        else
            out->files++;
    }
    if (out->files > 0)
        SNUG_TRY(commit(&up, &c, out, err));
    else
        SNUG_TRY(current_head(&up, out, err));
    out->bytes_sent = atomic_load(&c.network);
    atomic_store(&c.files_done, up.count);
    remote_crew_finish(&c);
done:
    remote_crew_deinit(&c);
    return st;
}
