/* SPDX-License-Identifier: Apache-2.0 */
/* base/file.c - whole-file reads, atomic writes, folders, mappings; declared in sys.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/sys.h"

void snug_fd_deinit(snug_fd *f)
{
    if (f->fd >= 0) (void)close(f->fd);
    f->fd = -1;
}

snug_status snug_write_all(int fd, const void *p, size_t n, snug_err *err)
{
    const char *at = p;
    while (n > 0) {
        ssize_t put = write(fd, at, n);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return snug_fail_sys(err, errno, "write of %zu bytes", n);
        at += put;
        n -= (size_t)put;
    }
    return SNUG_OK;
}

snug_status snug_pread_all(int fd, void *p, size_t n, uint64_t off, snug_err *err)
{
    char *at = p;
    while (n > 0) {
        ssize_t got = pread(fd, at, n, (off_t)off);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return snug_fail_sys(err, errno, "read at %" PRIu64, off);
        if (got == 0) return snug_fail(err, SNUG_ECORRUPT, "the file ends at byte %" PRIu64, off);
        at += got;
        off += (uint64_t)got;
        n -= (size_t)got;
    }
    return SNUG_OK;
}

snug_status snug_read_file(snug_arena *a, const char *path, size_t max, snug_slice *out,
                           snug_err *err)
{
    SNUG_AUTO(snug_fd) f = {open(path, O_RDONLY | O_CLOEXEC)};
    struct stat st;
    if (f.fd < 0 && errno == ENOENT) return snug_fail(err, SNUG_ENOTFOUND, "no file %s", path);
    if (f.fd < 0 || fstat(f.fd, &st) != 0) return snug_fail_sys(err, errno, "open %s", path);
    if (!S_ISREG(st.st_mode)) return snug_fail(err, SNUG_EINVAL, "%s is not a file", path);
    if ((uint64_t)st.st_size > max)
        return snug_fail(err, SNUG_ELIMIT, "%s is larger than the limit of %zu bytes", path, max);
    size_t n = (size_t)st.st_size;
    char  *p = snug_arena_alloc_try(a, n + 1);
    if (p == NULL) return snug_fail(err, SNUG_ENOMEM, "out of memory reading %s", path);
    snug_status rc = snug_pread_all(f.fd, p, n, 0, err);
    if (rc != SNUG_OK) return rc;
    p[n] = '\0';
    *out = (snug_slice){p, n};
    return SNUG_OK;
}

snug_status snug_fsync_dir(const char *path, snug_err *err)
{
    SNUG_AUTO(snug_fd) f = {open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (f.fd < 0 || fsync(f.fd) != 0) return snug_fail_sys(err, errno, "fsync folder %s", path);
    return SNUG_OK;
}

/* The folder part of a path: "a/b" -> "a", "b" -> ".". */
static void parent_of(const char *path, char out[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    size_t      n = slash == NULL ? 0 : (size_t)(slash - path);
    if (slash == path) n = 1;
    SNUG_ASSERT(n < PATH_MAX);
    memcpy(out, n == 0 ? "." : path, n == 0 ? 1 : n);
    out[n == 0 ? 1 : n] = '\0';
}

snug_status snug_write_file_atomic(const char *path, snug_slice bytes, unsigned mode, snug_err *err)
{
    snug_status st = SNUG_OK;
    char        tmp[PATH_MAX], folder[PATH_MAX];
    int n = snprintf(tmp, sizeof tmp, "%s.tmp.%016" PRIx64, path, snug_random_u64());
    if (n < 0 || (size_t)n >= sizeof tmp)
        return snug_fail(err, SNUG_EINVAL, "the path is too long: %.100s...", path);
    SNUG_AUTO(snug_fd) f = {open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, (mode_t)mode)};
    if (f.fd < 0) return snug_fail_sys(err, errno, "create %s", tmp);
    SNUG_TRY(snug_write_all(f.fd, bytes.ptr, bytes.len, err));
    if (fsync(f.fd) != 0) SNUG_TRY(snug_fail_sys(err, errno, "fsync %s", tmp));
    if (rename(tmp, path) != 0) SNUG_TRY(snug_fail_sys(err, errno, "rename %s", tmp));
    parent_of(path, folder);
    return snug_fsync_dir(folder, err);
done:
    (void)unlink(tmp);
    return st;
}

snug_status snug_mkdirs(const char *path, unsigned mode, snug_err *err)
{
    char   part[PATH_MAX];
    size_t n = strlen(path);
    if (n >= sizeof part) return snug_fail(err, SNUG_EINVAL, "the path is too long");
    for (size_t i = 1; i <= n; i++) {
        if (path[i] != '/' && path[i] != '\0') continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, (mode_t)mode) != 0 && errno != EEXIST)
            return snug_fail_sys(err, errno, "mkdir %s", part);
    }
    struct stat st;
    if (stat(path, &st) != 0) return snug_fail_sys(err, errno, "stat %s", path);
    if (!S_ISDIR(st.st_mode)) return snug_fail(err, SNUG_EINVAL, "%s is not a folder", path);
    return SNUG_OK;
}

enum { TREE_DEPTH_MAX = 64 };

/* Never follows symbolic links: everything goes through the folder's own descriptor. */
static snug_status remove_below(int dirfd, const char *name, unsigned depth, snug_err *err)
{
    snug_status st = SNUG_OK;
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT) return SNUG_OK;
        return snug_fail_sys(err, errno, "remove %s", name);
    }
    DIR *d = fdopendir(fd);
    if (d == NULL || depth > TREE_DEPTH_MAX) {
        if (d == NULL) (void)close(fd);
        else (void)closedir(d);
        return snug_fail(err, SNUG_ELIMIT, "folders nest deeper than %d", TREE_DEPTH_MAX);
    }
    const struct dirent *e;
    while (st == SNUG_OK && (e = readdir(d)) != NULL) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        st = remove_below(fd, e->d_name, depth + 1, err);
    }
    (void)closedir(d);
    if (st == SNUG_OK && unlinkat(dirfd, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
        st = snug_fail_sys(err, errno, "rmdir %s", name);
    return st;
}

snug_status snug_remove_tree(const char *path, snug_err *err)
{
    return remove_below(AT_FDCWD, path, 0, err);
}

snug_status snug_map_open(const char *path, snug_map *out, snug_err *err)
{
    SNUG_AUTO(snug_fd) f = {open(path, O_RDONLY | O_CLOEXEC)};
    struct stat st;
    *out = (snug_map){NULL, 0};
    if (f.fd < 0 && errno == ENOENT) return snug_fail(err, SNUG_ENOTFOUND, "no file %s", path);
    if (f.fd < 0 || fstat(f.fd, &st) != 0) return snug_fail_sys(err, errno, "open %s", path);
    if (!S_ISREG(st.st_mode)) return snug_fail(err, SNUG_EINVAL, "%s is not a file", path);
    if (st.st_size == 0) return SNUG_OK; /* mmap refuses empty files */
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, f.fd, 0);
    if (p == MAP_FAILED) return snug_fail_sys(err, errno, "map %s", path);
    *out = (snug_map){p, (size_t)st.st_size};
    return SNUG_OK;
}

void snug_map_deinit(snug_map *m)
{
    union { const char *in; void *out; } p = {m->ptr}; /* munmap wants it without const */
    if (m->ptr != NULL) (void)munmap(p.out, m->len);
    *m = (snug_map){NULL, 0};
}
