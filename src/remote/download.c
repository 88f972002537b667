/* SPDX-License-Identifier: Apache-2.0 */
/* remote/download.c - a snapshot, or some files of it, into the cache or a folder.
 *
 * For:     cli/ (download, run), and anything that needs a model on this disk.
 * Owns:    nothing itself; cache.c and local.c own their files.
 * Threads: files in parallel on a crew; the caller's thread reports progress.
 * Truth:   refs/<revision> is written after the plan is known and before files come, like stock
 *          clients do; readers find each file only once it is whole. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "remote/remote_int.h"

typedef struct task {
    remote                *r;
    const remote_download *d;
    remote_plan            plan;
    char                  *folder; /* of the repository in the cache */
    int                    blobs, locks;
    remote_xget           *store; /* NULL: plain HTTP */
} task;

/* ---- one file into the cache ---- */

static bool blob_there(const task *t, const remote_file *f)
{
    struct stat sb;
    char        name[REMOTE_ETAG_MAX + 1];
    (void)snprintf(name, sizeof name, "%.*s", SNUG_SLICE(f->etag));
    return fstatat(t->blobs, name, &sb, 0) == 0 && S_ISREG(sb.st_mode) &&
           (uint64_t)sb.st_size == f->size;
}

static snug_status fetch_blob(task *t, remote_crew *c, const remote_file *f, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    const char *etag = snug_arena_cstr(a, f->etag);
    const char *part = snug_arena_printf(a, "%s.snug.incomplete", etag).ptr;
    int         lock = -1;
    SNUG_TRY(remote_lock_file(t->locks, snug_arena_printf(a, "%s.lock", etag).ptr, &c->stop, &lock,
                              err));
    if (blob_there(t, f)) { /* another process brought it while we waited */
        atomic_fetch_add(&c->done, f->size);
        goto done;
    }
    const char *rest =
        snug_arena_printf(a, "/resolve/%s/%s", t->plan.commit, remote_encode(a, f->path, true)).ptr;
    remote_fetch get = {.r = t->r,
                        .url = remote_web_url(t->r, a, &t->d->repo, rest),
                        .label = snug_arena_cstr(a, f->path),
                        .etag = f->etag,
                        .size = f->size,
                        .dir = t->blobs,
                        .name = part,
                        .segments = t->d->segments,
                        .xet = f->xet,
                        .store = t->store};
    SNUG_TRY(remote_fetch_file(c, &get, err));
    if (SNUG_FAULT("remote.rename") || renameat(t->blobs, part, t->blobs, etag) != 0) {
        st = remote_fail_file(err, errno, "put in place", get.label);
    }
done:
    if (lock >= 0) (void)close(lock);
    snug_arena_free(a);
    return st;
}

static snug_status cache_one(remote_crew *c, void *arg, size_t i, snug_err *err)
{
    task              *t = arg;
    const remote_file *f = &t->plan.files[i];
    snug_status        st = SNUG_OK;
    remote_crew_what(c, "%.*s", SNUG_SLICE(f->path));
    if (blob_there(t, f))
        atomic_fetch_add(&c->done, f->size);
    else
        st = fetch_blob(t, c, f, err);
    if (st == SNUG_OK) st = remote_cache_link(t->folder, t->plan.commit, f->path, f->etag, err);
    if (st == SNUG_OK) atomic_fetch_add(&c->files_done, 1);
    return st;
}

static snug_status local_one(remote_crew *c, void *arg, size_t i, snug_err *err)
{
    task              *t = arg;
    const remote_file *f = &t->plan.files[i];
    remote_crew_what(c, "%.*s", SNUG_SLICE(f->path));
    snug_status st = remote_local_place(t->r, c, t->d, &t->plan, f, t->folder, t->store, err);
    if (st == SNUG_OK) atomic_fetch_add(&c->files_done, 1);
    return st;
}

/* ---- around it ---- */

static void mark_no_exist(void *arg, const char *commit, snug_slice path)
{
    task *t = arg;
    if (t->d->local_dir == NULL) remote_cache_no_exist(t->folder, commit, path);
}

static snug_status choose(task *t, snug_err *err)
{
    size_t n = t->plan.count, kept = 0;
    if (t->d->choose == NULL || n == 0) return SNUG_OK;
    snug_slice *paths = snug_zalloc(n * sizeof *paths); /* <= REMOTE_FILES_MAX */
    bool       *keep = snug_zalloc(n * sizeof *keep);
    for (size_t i = 0; i < n; i++) paths[i] = t->plan.files[i].path;
    snug_status st = t->d->choose(t->d->choose_arg, paths, n, keep, err);
    t->plan.bytes = 0;
    for (size_t i = 0; i < n && st == SNUG_OK; i++) {
        if (!keep[i]) continue;
        t->plan.files[kept++] = t->plan.files[i];
        t->plan.bytes += t->plan.files[i].size;
    }
    t->plan.count = kept;
    free(keep);
    free(paths);
    return st;
}

static void drop_unwanted(task *t)
{
    size_t n = 0;
    t->plan.bytes = 0;
    for (size_t i = 0; i < t->plan.count; i++) {
        if (t->d->file_count == 0 && !remote_wanted(t->d, t->plan.files[i].path)) continue;
        t->plan.files[n++] = t->plan.files[i];
        t->plan.bytes += t->plan.files[i].size;
    }
    t->plan.count = n;
}

/* The big ones first: they decide how long the whole takes. */
static int by_size_down(const void *a, const void *b)
{
    const remote_file *x = a, *y = b;
    return x->size < y->size ? 1 : x->size > y->size ? -1 : snug_cmp(x->path, y->path);
}

static snug_status open_cache_dirs(task *t, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    snug_slice  name = snug_sub(snug_str(t->folder), strlen(t->r->cache_dir) + 1, SIZE_MAX);
    const char *blobs = snug_arena_printf(a, "%s/blobs", t->folder).ptr;
    const char *locks =
        snug_arena_printf(a, "%s/.locks/%.*s", t->r->cache_dir, SNUG_SLICE(name)).ptr;
    SNUG_TRY(snug_mkdirs(blobs, 0777, err));
    SNUG_TRY(snug_mkdirs(locks, 0777, err));
    SNUG_TRY(snug_mkdirs(snug_arena_printf(a, "%s/snapshots/%s", t->folder, t->plan.commit).ptr,
                         0777, err));
    remote_cache_tag(t->r->cache_dir);
    t->blobs = open(blobs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    t->locks = open(locks, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (t->blobs < 0 || t->locks < 0)
        st = remote_fail_file(err, errno, "open", t->blobs < 0 ? blobs : locks);
done:
    snug_arena_free(a);
    return st;
}

static snug_status transfer(task *t, remote_crew *c, snug_err *err)
{
    snug_status st = SNUG_OK;
    bool        local = t->d->local_dir != NULL;
    qsort(t->plan.files, t->plan.count, sizeof *t->plan.files, by_size_down);
    atomic_store(&c->total, t->plan.bytes);
    atomic_store(&c->files_total, t->plan.count);
    if (local)
        SNUG_TRY(remote_local_prepare(t->d->local_dir, err));
    else
        SNUG_TRY(open_cache_dirs(t, err));
    t->store = remote_xget_open(t->r, &t->d->repo, t->plan.commit, t->d->segments);
    SNUG_TRY(
        remote_crew_run(c, REMOTE_WORKERS, t->plan.count, local ? local_one : cache_one, t, err));
done:
    remote_xget_close(t->store);
    return st;
}

static snug_slice result_path(const task *t, snug_arena *a)
{
    snug_slice base = t->d->local_dir != NULL
                          ? snug_arena_dup(a, snug_str(t->d->local_dir))
                          : snug_arena_printf(a, "%s/snapshots/%s", t->folder, t->plan.commit);
    if (t->d->file_count != 1) return base;
    return snug_arena_printf(a, "%.*s/%.*s", SNUG_SLICE(base), SNUG_SLICE(t->d->files[0]));
}

/* ---- without a server: what the cache holds, if it is all there ---- */

static snug_status check_named(const task *t, const char *commit, snug_err *err)
{
    for (size_t i = 0; i < t->d->file_count; i++) {
        snug_slice  path = t->d->files[i];
        snug_status st = remote_check_path(path, err);
        if (st != SNUG_OK) return st;
        if (!remote_cache_has(t->folder, commit, path)) {
            return snug_fail(err, SNUG_ENOTFOUND, "%.*s is not in the cache", SNUG_SLICE(path));
        }
    }
    return SNUG_OK;
}

static snug_status check_listed(task *t, const char *commit, snug_arena *a, snug_err *err)
{
    size_t      missing = 0;
    snug_slice  example = SNUG_EMPTY;
    snug_status st = remote_tree_read(t->folder, commit, a, &t->plan, NULL);
    if (st != SNUG_OK) { /* fetched file by file by somebody: what is there is all we know */
        t->plan.count = 0;
        return SNUG_OK;
    }
    drop_unwanted(t);
    st = choose(t, err);
    if (st != SNUG_OK) return st;
    for (size_t i = 0; i < t->plan.count; i++) {
        if (remote_cache_has(t->folder, commit, t->plan.files[i].path)) continue;
        if (missing++ == 0) example = t->plan.files[i].path;
    }
    if (missing == 0) return SNUG_OK;
    return snug_fail(err, SNUG_ENOTFOUND,
                     "the cache lacks %zu of the files of this snapshot, %.*s for one", missing,
                     SNUG_SLICE(example));
}

static snug_status from_cache(task *t, snug_arena *a, remote_downloaded *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_slice  rev = t->d->revision == NULL ? SNUG_LIT("main") : snug_str(t->d->revision);
    char       *commit = remote_cache_ref(t->folder, rev), *snapshot = NULL;
    if (commit == NULL || asprintf(&snapshot, "%s/snapshots/%s", t->folder, commit) < 0 ||
        access(snapshot, F_OK) != 0) {
        SNUG_FAIL(err, SNUG_ENOTFOUND, "%.*s at %.*s is not in the cache",
                  SNUG_SLICE(t->d->repo.id), SNUG_SLICE(rev));
    }
    memcpy(t->plan.commit, commit, 41);
    if (t->d->file_count > 0)
        SNUG_TRY(check_named(t, commit, err));
    else
        SNUG_TRY(check_listed(t, commit, a, err));
    *out = (remote_downloaded){.path = result_path(t, a),
                               .commit = snug_arena_dup(a, snug_str(commit)),
                               .files = t->d->file_count > 0 ? t->d->file_count : t->plan.count};
done:
    free(snapshot);
    free(commit);
    return st;
}

static bool unreachable(snug_status st)
{
    return st == SNUG_EREMOTE || st == SNUG_ETIMEOUT || st == SNUG_EBUSY;
}

static snug_status go_offline(task *t, snug_arena *a, remote_downloaded *out, snug_err *err)
{
    if (t->d->local_dir != NULL)
        return snug_fail(err, SNUG_EREMOTE,
                         "offline mode is on: only the cache can be read, not %s", t->d->local_dir);
    snug_status st = from_cache(t, a, out, err);
    if (st != SNUG_OK) snug_note(err, "offline mode is on");
    return st;
}

/* The reference and the listing are written early, but a cache we may only read is no failure:
 * the files themselves will tell. */
static void note_plan(const task *t)
{
    snug_err    why = {0};
    snug_slice  rev = t->d->revision == NULL ? SNUG_LIT("main") : snug_str(t->d->revision);
    snug_status st = remote_cache_set_ref(t->folder, rev, t->plan.commit, &why);
    if (st == SNUG_OK && t->plan.whole) st = remote_tree_write(t->folder, &t->plan, &why);
    if (st != SNUG_OK) snug_log_err(SNUG_DEBUG, "remote.note", &why);
}

snug_status remote_do_download(remote *r, const remote_download *d, snug_arena *a,
                               remote_downloaded *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    task t = {.r = r, .d = d, .blobs = -1, .locks = -1, .folder = remote_cache_folder(r, &d->repo)};
    remote_crew c;
    snug_err    mine = {0};
    *out = (remote_downloaded){.files = 0};
    remote_crew_init(&c, d->cancel, d->progress, d->progress_arg);
    if (r->offline) {
        st = go_offline(&t, a, out, err);
        goto done;
    }
    st = remote_make_plan(r, d, a, &t.plan, mark_no_exist, &t, &mine);
    if (unreachable(st) && d->local_dir == NULL && from_cache(&t, a, out, NULL) == SNUG_OK) {
        out->from_cache = true;
        st = SNUG_OK;
        goto done;
    }
    if (st != SNUG_OK) {
        if (err != NULL) *err = mine;
        goto done;
    }
    if (d->local_dir == NULL) note_plan(&t);
    drop_unwanted(&t);
    SNUG_TRY(choose(&t, err));
    SNUG_TRY(transfer(&t, &c, err));
    *out = (remote_downloaded){.path = result_path(&t, a),
                               .commit = snug_arena_dup(a, snug_str(t.plan.commit)),
                               .files = t.plan.count,
                               .bytes_fetched = atomic_load(&c.network)};
    remote_crew_finish(&c);
done:
    remote_crew_deinit(&c);
    if (t.blobs >= 0) (void)close(t.blobs);
    if (t.locks >= 0) (void)close(t.locks);
    free(t.folder);
    return st;
}
