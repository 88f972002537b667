/* SPDX-License-Identifier: Apache-2.0 */
/* blob/fs.c - content-addressed bytes in a directory tree.
 *
 *      <dir>/blobs/aa/bb/<64 hex>   complete, verified, durable; never changed
 *      <dir>/tmp/put-<hex>          a write in progress; its writer holds a flock on it
 *      <dir>/tmp/mp-<token>/        a multipart session (part.c)
 *
 * A name is given in this order: write, hash, compare, fsync the file, rename, fsync the folder.
 * A crash between any two steps leaves a temporary file at most. The flock tells live temporary
 * files from dead ones, also between processes: the kernel lets go of it with the process.
 *
 * For:     blob.c, through the driver table.
 * Owns:    <dir>/blobs and <dir>/tmp. Nobody else writes there.
 * Threads: any; rename(2) is the only step two of them can race on, and either may win.
 * Truth:   a name under blobs/ holds bytes whose SHA-256 is that name. */
#include "blob/blob_int.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct fs_writer {
    struct blob_writer base;
    fs_store          *s;
    sink              *k;
    int                fd;
    bool               sealed;
    blob_id            id; /* once sealed */
    char               path[BLOB_PATH_MAX];
} fs_writer;

static const blob_driver fs_driver;

/* ---- paths ---- */

snug_status fs_path(const fs_store *s, char out[BLOB_PATH_MAX], snug_err *err, const char *fmt, ...)
{
    va_list ap;
    int     n = snprintf(out, BLOB_PATH_MAX, "%s/", s->dir);
    va_start(ap, fmt);
    int m = vsnprintf(out + n, (size_t)(BLOB_PATH_MAX - n), fmt, ap);
    va_end(ap);
    if (m < 0 || n + m >= BLOB_PATH_MAX)
        return snug_fail(err, SNUG_EINVAL, "the data folder's path is too long");
    return SNUG_OK;
}

static snug_status blob_path(const fs_store *s, const blob_id *id, char out[BLOB_PATH_MAX],
                             snug_err *err)
{
    char hex[65];
    blob_id_hex(id, hex);
    return fs_path(s, out, err, "blobs/%.2s/%.2s/%s", hex, hex + 2, hex);
}

static snug_status fail_absent(const blob_id *id, snug_err *err)
{
    char hex[65];
    blob_id_hex(id, hex);
    return snug_fail(err, SNUG_ENOTFOUND, "no object %s", hex);
}

static snug_status open_blob(const fs_store *s, const blob_id *id, int *fd, snug_err *err)
{
    char        path[BLOB_PATH_MAX];
    snug_status st = blob_path(s, id, path, err);
    if (st != SNUG_OK) return st;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (*fd >= 0) return SNUG_OK;
    return errno == ENOENT ? fail_absent(id, err) : snug_fail_sys(err, errno, "open %s", path);
}

/* ---- durable folders ---- */

static snug_status sync_dir(const char *path, snug_err *err)
{
    if (SNUG_FAULT("blob.dirsync")) return snug_fail_sys(err, errno, "blob.dirsync");
    return snug_fsync_dir(path, err);
}

static snug_status make_dir(const char *path, snug_err *err)
{
    if (mkdir(path, 0755) == 0 || errno == EEXIST) return SNUG_OK;
    return snug_fail_sys(err, errno, "mkdir %s", path);
}

/* blobs/aa and blobs/aa/bb exist and survive a power cut. Another thread's mkdir does not prove
 * that its parent was synced, so each process syncs both parents once per folder. */
static snug_status ensure_folder(fs_store *s, const blob_id *id, snug_err *err)
{
    snug_status st = SNUG_OK;
    unsigned    a = id->sha256.b[0], b = id->sha256.b[1], index = a << 8 | b;
    uint64_t    bit = UINT64_C(1) << (index % 64);
    char        path[BLOB_PATH_MAX];

    if (atomic_load(&s->known[index / 64]) & bit) return SNUG_OK;
    SNUG_TRY(fs_path(s, path, err, "blobs/%02x", a));
    SNUG_TRY(make_dir(path, err));
    SNUG_TRY(fs_path(s, path, err, "blobs/%02x/%02x", a, b));
    SNUG_TRY(make_dir(path, err));
    SNUG_TRY(fs_path(s, path, err, "blobs/%02x", a));
    SNUG_TRY(sync_dir(path, err));
    SNUG_TRY(fs_path(s, path, err, "blobs"));
    SNUG_TRY(sync_dir(path, err));
    (void)atomic_fetch_or(&s->known[index / 64], bit);
done:
    return st;
}

snug_status fs_name_blob(fs_store *s, const char *path, const blob_id *id, snug_err *err)
{
    snug_status st = SNUG_OK;
    char        final[BLOB_PATH_MAX], folder[BLOB_PATH_MAX];

    SNUG_TRY(ensure_folder(s, id, err));
    SNUG_TRY(blob_path(s, id, final, err));
    SNUG_TRY(fs_path(s, folder, err, "blobs/%02x/%02x", id->sha256.b[0], id->sha256.b[1]));
    if (SNUG_FAULT("blob.rename")) SNUG_TRY(snug_fail_sys(err, errno, "blob.rename"));
    /* Replaces an older copy on purpose: ours was verified a moment ago. */
    if (rename(path, final) != 0) SNUG_TRY(snug_fail_sys(err, errno, "rename %s", path));
    SNUG_TRY(sync_dir(folder, err));
done:
    return st;
}

/* ---- writing ---- */

/* A new temporary file that is ours: locked, and still there after the lock was got (a sweep may
 * have run between open and flock). */
static snug_status open_temp(fs_store *s, char path[BLOB_PATH_MAX], int *out, snug_err *err)
{
    for (int tries = 0; tries < 16; tries++) {
        struct stat sb;
        snug_status st =
            fs_path(s, path, err, "tmp/put-%016llx", (unsigned long long)snug_random_u64());
        if (st != SNUG_OK) return st;
        int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (fd < 0 && errno == EEXIST) continue;
        if (fd < 0) return snug_fail_sys(err, errno, "open %s", path);
        if (flock(fd, LOCK_EX) == 0 && fstat(fd, &sb) == 0 && sb.st_nlink == 1) {
            *out = fd;
            return SNUG_OK;
        }
        (void)close(fd);
    }
    return snug_fail_sys(err, EAGAIN, "temporary file in %s/tmp", s->dir);
}

static snug_status put_begin(blob_store *handle, blob_writer **out, snug_err *err)
{
    fs_store   *s = (fs_store *)handle;
    fs_writer  *w = snug_zalloc(sizeof *w);
    snug_status st = open_temp(s, w->path, &w->fd, err);
    if (st != SNUG_OK) {
        free(w);
        return st;
    }
    w->base.driver = &fs_driver;
    w->s = s;
    w->k = sink_new(s->pool, w->fd, 0);
    *out = &w->base;
    return SNUG_OK;
}

static snug_status put_write(blob_writer *handle, const void *p, size_t n, snug_err *err)
{
    return sink_write(((fs_writer *)handle)->k, p, n, err);
}

static uint64_t put_size(const blob_writer *handle)
{
    return sink_size(((const fs_writer *)handle)->k);
}

static snug_status put_seal(blob_writer *handle, blob_id *out, snug_err *err)
{
    fs_writer  *w = (fs_writer *)handle;
    snug_status st = SNUG_OK;
    if (!w->sealed) st = sink_finish(w->k, &w->id.sha256, err);
    w->sealed = st == SNUG_OK;
    *out = w->id;
    return st;
}

static void free_writer(fs_writer *w, bool unlink_too)
{
    sink_free(w->k);
    if (unlink_too) (void)unlink(w->path);
    (void)close(w->fd);
    free(w);
}

static void put_abort(blob_writer *handle) { free_writer((fs_writer *)handle, true); }

static snug_status check_promise(const blob_id *got, uint64_t size, const blob_id *expect,
                                 uint64_t expect_size, snug_err *err)
{
    char a[65], b[65];
    if (expect_size != UINT64_MAX && size != expect_size)
        return snug_fail(err, SNUG_ECORRUPT, "%llu bytes arrived instead of %llu",
                         (unsigned long long)size, (unsigned long long)expect_size);
    if (expect == NULL || blob_id_eq(got, expect)) return SNUG_OK;
    blob_id_hex(got, a);
    blob_id_hex(expect, b);
    return snug_fail(err, SNUG_ECORRUPT, "the SHA-256 of the bytes is %s, not %s", a, b);
}

static snug_status put_commit(blob_writer *handle, const blob_id *expect, uint64_t size,
                              blob_id *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    fs_writer  *w = (fs_writer *)handle;
    bool        named = false;

    SNUG_TRY(put_seal(handle, out, err));
    SNUG_TRY(check_promise(out, sink_size(w->k), expect, size, err));
    if (fchmod(w->fd, 0444) != 0) SNUG_TRY(snug_fail_sys(err, errno, "chmod %s", w->path));
    if (SNUG_FAULT("blob.fsync")) SNUG_TRY(snug_fail_sys(err, errno, "blob.fsync"));
    if (fsync(w->fd) != 0) SNUG_TRY(snug_fail_sys(err, errno, "fsync %s", w->path));
    SNUG_TRY(fs_name_blob(w->s, w->path, out, err));
    named = true;
done:
    free_writer(w,
                !named); /* after a rename whose folder sync failed, there is nothing to unlink */
    return st;
}

/* ---- reading ---- */

static snug_status stat_blob(blob_store *handle, const blob_id *id, uint64_t *size, snug_err *err)
{
    char        path[BLOB_PATH_MAX];
    struct stat sb;
    snug_status st = blob_path((const fs_store *)handle, id, path, err);
    if (st != SNUG_OK) return st;
    if (stat(path, &sb) != 0)
        return errno == ENOENT ? fail_absent(id, err) : snug_fail_sys(err, errno, "stat %s", path);
    *size = (uint64_t)sb.st_size;
    return SNUG_OK;
}

static snug_status read_at(blob_store *handle, const blob_id *id, uint64_t off, void *buf, size_t n,
                           snug_err *err)
{
    SNUG_AUTO(snug_fd) f = {-1};
    snug_status st = open_blob((const fs_store *)handle, id, &f.fd, err);
    return st != SNUG_OK ? st : snug_pread_all(f.fd, buf, n, off, err);
}

static int open_fd(blob_store *handle, const blob_id *id)
{
    int fd = -1;
    return open_blob((const fs_store *)handle, id, &fd, NULL) == SNUG_OK ? fd : -1;
}

static snug_status remove_blob(blob_store *handle, const blob_id *id, snug_err *err)
{
    char        path[BLOB_PATH_MAX];
    snug_status st = blob_path((const fs_store *)handle, id, path, err);
    if (st != SNUG_OK) return st;
    if (unlink(path) != 0 && errno != ENOENT) return snug_fail_sys(err, errno, "unlink %s", path);
    return SNUG_OK;
}

snug_status fs_hash_fd(int fd, snug_sha256 *out, uint64_t *size, snug_err *err)
{
    snug_status    st = SNUG_OK;
    snug_hasher   *h = snug_hasher_new(SNUG_HASH_SHA256);
    unsigned char *buf = snug_alloc(SINK_BUFFER);
    uint64_t       total = 0;

    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    for (;;) {
        ssize_t n = pread(fd, buf, SINK_BUFFER, (off_t)total);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) SNUG_TRY(snug_fail_sys(err, errno, "read of a blob"));
        if (n == 0) break;
        snug_hasher_update(h, buf, (size_t)n);
        total += (uint64_t)n;
    }
    snug_hasher_finish(h, out->b);
    *size = total;
done:
    free(buf);
    snug_hasher_free(h);
    return st;
}

/* ---- walking ---- */

/* Calls fn for each name in a folder that is no dot file; a folder that is gone has none. */
static bool each_name(const char *path, bool (*fn)(void *arg, const char *name), void *arg)
{
    bool go_on = true;
    DIR *d = opendir(path);
    if (d == NULL) return true;
    for (struct dirent *e; go_on && (e = readdir(d)) != NULL;) {
        if (e->d_name[0] != '.') go_on = fn(arg, e->d_name);
    }
    (void)closedir(d);
    return go_on;
}

typedef struct walk {
    fs_store   *s;
    blob_visit *fn;
    void       *arg;
    char        a[3], b[3];
} walk;

static bool visit_blob(void *arg, const char *name)
{
    walk       *w = arg;
    blob_id     id;
    struct stat sb;
    char        path[BLOB_PATH_MAX];
    if (!blob_id_parse(snug_str(name), &id)) return true; /* not ours; left alone */
    if (blob_path(w->s, &id, path, NULL) != SNUG_OK || stat(path, &sb) != 0) return true;
    int64_t mtime = (int64_t)sb.st_mtim.tv_sec * 1000 + sb.st_mtim.tv_nsec / 1000000;
    return w->fn(w->arg, &id, (uint64_t)sb.st_size, mtime);
}

static bool is_pair(const char *name) { return strlen(name) == 2; }

static bool visit_second(void *arg, const char *name)
{
    walk *w = arg;
    char  path[BLOB_PATH_MAX];
    if (!is_pair(name)) return true;
    memcpy(w->b, name, 3);
    if (fs_path(w->s, path, NULL, "blobs/%s/%s", w->a, w->b) != SNUG_OK) return true;
    return each_name(path, visit_blob, w);
}

static bool visit_first(void *arg, const char *name)
{
    walk *w = arg;
    char  path[BLOB_PATH_MAX];
    if (!is_pair(name)) return true;
    memcpy(w->a, name, 3);
    if (fs_path(w->s, path, NULL, "blobs/%s", w->a) != SNUG_OK) return true;
    return each_name(path, visit_second, w);
}

static snug_status each_blob(blob_store *handle, blob_visit *fn, void *arg, snug_err *err)
{
    walk        w = {.s = (fs_store *)handle, .fn = fn, .arg = arg};
    char        path[BLOB_PATH_MAX];
    snug_status st = fs_path(w.s, path, err, "blobs");
    if (st == SNUG_OK) (void)each_name(path, visit_first, &w);
    return st;
}

/* ---- temporary files ---- */

typedef struct sweep {
    fs_store *s;
    uint64_t  age_ms;
    bool      sessions, dry;
    size_t    removed;
    uint64_t  bytes;
} sweep;

static bool sweep_one(void *arg, const char *name)
{
    sweep      *w = arg;
    char        path[BLOB_PATH_MAX];
    struct stat sb;

    if (strncmp(name, "mp-", 3) == 0) {
        if (w->sessions && fs_part_sweep(w->s, name, w->age_ms, w->dry, &w->bytes)) w->removed++;
        return true;
    }
    if (strncmp(name, "put-", 4) != 0 || fs_path(w->s, path, NULL, "tmp/%s", name) != SNUG_OK)
        return true;
    SNUG_AUTO(snug_fd) f = {open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW)};
    if (f.fd < 0 || flock(f.fd, LOCK_EX | LOCK_NB) != 0 || fstat(f.fd, &sb) != 0) return true;
    int64_t age = snug_now_ms() - (int64_t)sb.st_mtim.tv_sec * 1000;
    if (age >= 0 && (uint64_t)age < w->age_ms) return true;
    w->bytes += (uint64_t)sb.st_size;
    if (w->dry || unlink(path) == 0) w->removed++;
    return true;
}

static size_t sweep_all(sweep *w)
{
    char path[BLOB_PATH_MAX];
    if (fs_path(w->s, path, NULL, "tmp") == SNUG_OK) (void)each_name(path, sweep_one, w);
    return w->removed;
}

static size_t sweep_tmp(blob_store *handle, uint64_t age_ms, bool dry, uint64_t *bytes)
{
    sweep  w = {.s = (fs_store *)handle, .age_ms = age_ms, .sessions = true, .dry = dry};
    size_t n = sweep_all(&w);
    if (bytes != NULL) *bytes = w.bytes;
    return n;
}

/* ---- opening ---- */

static void close_store(blob_store *handle)
{
    fs_store *s = (fs_store *)handle;
    snug_pool_free(s->pool);
    free(s->dir);
    free(s);
}

snug_status blob_open_fs(const char *dir, blob_store **out, snug_err *err)
{
    snug_status st = SNUG_OK;
    fs_store   *s = snug_zalloc(sizeof *s);
    char        path[BLOB_PATH_MAX];

    *out = NULL;
    s->base.driver = &fs_driver;
    s->dir = snug_strdup(snug_str(dir));
    for (size_t n = strlen(s->dir); n > 1 && s->dir[n - 1] == '/'; n--) s->dir[n - 1] = '\0';
    if (strlen(s->dir) > BLOB_PATH_MAX - 256)
        SNUG_FAIL(err, SNUG_EINVAL, "the data folder's path is too long");
    SNUG_TRY(fs_path(s, path, err, "blobs"));
    SNUG_TRY(snug_mkdirs(path, 0755, err));
    SNUG_TRY(fs_path(s, path, err, "tmp"));
    SNUG_TRY(snug_mkdirs(path, 0755, err));
    SNUG_TRY(snug_fsync_dir(s->dir, err));
    s->pool = snug_pool_new("blob", 4, 64);
    (void)sweep_all(&(sweep){.s = s});
    *out = &s->base;
    s = NULL;
done:
    if (s != NULL) close_store(&s->base);
    return st;
}

static const blob_driver fs_driver = {
    .put_begin = put_begin,
    .put_write = put_write,
    .put_size = put_size,
    .put_seal = put_seal,
    .put_commit = put_commit,
    .put_abort = put_abort,
    .stat = stat_blob,
    .read_at = read_at,
    .remove = remove_blob,
    .open_fd = open_fd,
    .each = each_blob,
    .part_put = fs_part_put,
    .part_finish = fs_part_finish,
    .part_drop = fs_part_drop,
    .sweep_tmp = sweep_tmp,
    .close = close_store,
};
