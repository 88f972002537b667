/* SPDX-License-Identifier: Apache-2.0 */
/* remote/cache.c - the cache folder as stock libraries lay it out; README.md has the picture.
 *
 * For:     download.c and local.c.
 * Owns:    files below <cache>/<type>s--<ns>--<name> and <cache>/.locks, shared with every other
 *          client on the machine, hence the flock and the renames.
 * Threads: any.
 * Truth:   blobs/<etag> appears whole and verified or not at all; a link in snapshots/ is made
 *          after the blob it points to. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "remote/remote_int.h"

enum { REF_MAX = 256, TREE_FILE_MAX = 512 * 1024 * 1024, LOCK_POLL_MS = 50 };

static char *vjoin(const char *fmt, ...) SNUG_PRINTF(1, 2);
static char *vjoin(const char *fmt, ...)
{
    char   *out = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&out, fmt, ap);
    va_end(ap);
    SNUG_ASSERT(n >= 0);
    return out;
}

char *remote_cache_folder(const remote *r, const remote_repo *id)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(64 * 1024);
    snug_buf_printf(&b, "%s/%ss--", r->cache_dir, id->type);
    for (size_t i = 0; i < id->id.len; i++) {
        if (id->id.ptr[i] == '/')
            snug_buf_puts(&b, "--");
        else
            snug_buf_putc(&b, id->id.ptr[i]);
    }
    return snug_strdup(snug_buf_slice(&b));
}

/* ---- refs/<revision>: the commit it meant last time ---- */

char *remote_cache_ref(const char *folder, snug_slice revision)
{
    if (remote_is_commit(revision)) return snug_strdup(revision);
    if (remote_check_path(revision, NULL) != SNUG_OK) return NULL;
    char       *path = vjoin("%s/refs/%.*s", folder, SNUG_SLICE(revision)), *out = NULL;
    snug_arena *a = snug_arena_new();
    snug_slice  text;
    if (snug_read_file(a, path, REF_MAX, &text, NULL) == SNUG_OK &&
        remote_is_commit(snug_trim(text))) {
        out = snug_strdup(snug_trim(text));
    }
    snug_arena_free(a);
    free(path);
    return out;
}

snug_status remote_cache_set_ref(const char *folder, snug_slice revision, const char *commit,
                                 snug_err *err)
{
    snug_status st = SNUG_OK;
    if (remote_is_commit(revision)) return SNUG_OK;
    char *now = remote_cache_ref(folder, revision);
    bool  same = now != NULL && strcmp(now, commit) == 0;
    free(now);
    if (same) return SNUG_OK; /* a read-only cache is fine as long as nothing changed */
    char *base = vjoin("%s/refs", folder), *path = vjoin("%s/%.*s", base, SNUG_SLICE(revision));
    char  leaf[REMOTE_NAME_MAX + 1];
    int   fd = -1;
    SNUG_TRY(remote_open_parent(base, revision, true, &fd, leaf, err));
    SNUG_TRY(snug_write_file_atomic(path, snug_str(commit), 0644, err));
done:
    if (fd >= 0) (void)close(fd);
    free(base);
    free(path);
    return st;
}

/* ---- snapshots ---- */

bool remote_cache_has(const char *folder, const char *commit, snug_slice path)
{
    struct stat sb;
    char       *p = vjoin("%s/snapshots/%s/%.*s", folder, commit, SNUG_SLICE(path));
    bool        there = stat(p, &sb) == 0 && S_ISREG(sb.st_mode);
    free(p);
    return there;
}

snug_status remote_cache_link(const char *folder, const char *commit, snug_slice path,
                              snug_slice etag, snug_err *err)
{
    snug_status st = SNUG_OK;
    char       *base = vjoin("%s/snapshots/%s", folder, commit);
    char        leaf[REMOTE_NAME_MAX + 1], have[512], tmp[64];
    int         dir = -1;
    SNUG_AUTO(snug_buf) target = snug_buf_init(64 * 1024);
    SNUG_TRY(remote_open_parent(base, path, true, &dir, leaf, err));
    snug_buf_puts(&target, "../../");
    for (size_t i = 0; i < path.len; i++) {
        if (path.ptr[i] == '/') snug_buf_puts(&target, "../");
    }
    snug_buf_printf(&target, "blobs/%.*s", SNUG_SLICE(etag));
    ssize_t n = readlinkat(dir, leaf, have, sizeof have);
    if (n > 0 && snug_eq(snug_slice_of(have, (size_t)n), snug_buf_slice(&target))) goto done;
    (void)snprintf(tmp, sizeof tmp, ".link.%016" PRIx64, snug_random_u64());
    if (symlinkat(snug_buf_cstr(&target), dir, tmp) != 0 || renameat(dir, tmp, dir, leaf) != 0) {
        int why = errno;
        (void)unlinkat(dir, tmp, 0);
        st = remote_fail_file(err, why, "link", leaf);
    }
done:
    if (dir >= 0) (void)close(dir);
    free(base);
    return st;
}

/* A marker that saves the next look-up of an optional file. Best effort. */
void remote_cache_no_exist(const char *folder, const char *commit, snug_slice path)
{
    char  leaf[REMOTE_NAME_MAX + 1];
    char *base = vjoin("%s/.no_exist/%s", folder, commit);
    int   dir = -1;
    if (remote_open_parent(base, path, true, &dir, leaf, NULL) == SNUG_OK) {
        int fd = openat(dir, leaf, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
        if (fd >= 0) (void)close(fd);
        (void)close(dir);
    }
    free(base);
}

/* Tells backup programs to pass by; the signature line is the convention's own. */
void remote_cache_tag(const char *dir)
{
    static const char text[] =
        "Signature: 8a477f597d28d172789f06886806bc55\n"
        "# Downloads that can be fetched again; see https://bford.info/cachedir/\n";
    char *path = vjoin("%s/CACHEDIR.TAG", dir);
    int   fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd >= 0) {
        snug_status ignored = snug_write_all(fd, text, sizeof text - 1, NULL);
        (void)ignored; /* a courtesy */
        (void)close(fd);
    }
    free(path);
}

/* ---- trees/<commit>.json: the listing of an immutable commit ---- */

snug_status remote_tree_write(const char *folder, const remote_plan *p, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_buf    b = snug_buf_init(TREE_FILE_MAX);
    char       *dir = vjoin("%s/trees", folder), *path = vjoin("%s/%s.json", dir, p->commit);
    if (access(path, F_OK) == 0) goto done;
    snug_json_out o = snug_json_out_init(&b);
    snug_jo_begin_object(&o);
    snug_jo_ki64(&o, "format_version", 1);
    snug_jo_key(&o, "files");
    snug_jo_begin_object(&o);
    for (size_t i = 0; i < p->count; i++) {
        const remote_file *f = &p->files[i];
        snug_jo_key_slice(&o, f->path);
        snug_jo_begin_object(&o);
        snug_jo_ku64(&o, "size", f->size);
        snug_jo_kstr(&o, "blob_id", f->blob_id);
        if (f->lfs) {
            snug_jo_kstr(&o, "lfs_sha256", f->etag);
            snug_jo_ku64(&o, "lfs_size", f->size);
        }
        snug_jo_end_object(&o);
    }
    snug_jo_end_object(&o);
    snug_jo_end_object(&o);
    SNUG_TRY(snug_buf_check(&b, "the file list", err));
    SNUG_TRY(snug_mkdirs(dir, 0777, err));
    SNUG_TRY(snug_write_file_atomic(path, snug_buf_slice(&b), 0644, err));
done:
    snug_buf_deinit(&b);
    free(path);
    free(dir);
    return st;
}

snug_status remote_tree_read(const char *folder, const char *commit, snug_arena *a,
                             remote_plan *out, snug_err *err)
{
    snug_status  st = SNUG_OK;
    char        *path = vjoin("%s/trees/%s.json", folder, commit);
    remote_files all = {0};
    snug_slice   text;
    snug_json    v;
    *out = (remote_plan){.count = 0};
    memcpy(out->commit, commit, 41);
    if (access(path, F_OK) != 0)
        SNUG_FAIL(err, SNUG_ENOTFOUND, "no file list of %s in the cache", commit);
    snug_json_opts big = {.size_max = TREE_FILE_MAX};
    SNUG_TRY(snug_read_file(a, path, TREE_FILE_MAX, &text, err));
    SNUG_TRY(snug_json_parse(a, text, &big, &v, err));
    snug_json files = snug_json_get(v, "files");
    size_t    n = snug_json_count(files);
    if (n > REMOTE_FILES_MAX) SNUG_FAIL(err, SNUG_ELIMIT, "the cached file list is too long");
    out->files = snug_arena_zalloc(a, (n + 1) * sizeof *out->files);
    for (snug_json_iter it = snug_json_iter_of(files); snug_json_next(&it);) {
        remote_file f = {.path = it.key, .size = (uint64_t)snug_json_i64_or(it.value, "size", 0)};
        f.blob_id = snug_json_str_or(it.value, "blob_id", SNUG_EMPTY);
        f.etag = snug_json_str_or(it.value, "lfs_sha256", f.blob_id);
        f.lfs = f.etag.len == 64;
        SNUG_TRY(remote_check_path(f.path, err));
        SNUG_TRY(remote_check_etag(f.etag, err));
        out->files[out->count++] = f;
    }
    out->whole = true;
done:
    free(all.v);
    free(path);
    return st;
}

/* ---- locks ---- */

/* flock on a file of its own, as the lock library of stock clients does; like it, we look again
 * whether the name still means the inode we locked, since its newer versions remove the file. */
snug_status remote_lock_file(int dir, const char *name, const atomic_bool *cancel, int *out,
                             snug_err *err)
{
    for (;;) {
        struct stat mine, named;
        int         fd = openat(dir, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0664);
        if (fd < 0) return remote_fail_file(err, errno, "open the lock", name);
        while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
            if (errno != EWOULDBLOCK && errno != EINTR)
                break; /* a file system without locks: go on */
            if (remote_wait(LOCK_POLL_MS, cancel, err) != SNUG_OK) {
                (void)close(fd);
                return SNUG_ECANCELED;
            }
        }
        if (fstat(fd, &mine) == 0 && fstatat(dir, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
            mine.st_ino == named.st_ino) {
            *out = fd;
            return SNUG_OK;
        }
        (void)close(fd);
    }
}
