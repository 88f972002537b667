/* SPDX-License-Identifier: Apache-2.0 */
/* remote/walk.c - the files of a folder to upload, with their names in the repository.
 *
 * For:     upload.c.
 * Owns:    nothing.
 * Threads: any.
 * Truth:   .git and .cache/huggingface never leave the machine; links to folders are not followed,
 *          so a walk ends. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "remote/remote_int.h"

typedef struct walk {
    snug_arena   *a;
    remote_entry *v;
    size_t        count, cap;
} walk;

static snug_status add(walk *w, const char *file, snug_slice path, uint64_t size, snug_err *err)
{
    snug_status st = remote_check_path(path, err);
    if (st != SNUG_OK) return st;
    if (w->count >= REMOTE_FILES_MAX)
        return snug_fail(err, SNUG_ELIMIT, "more than %d files in the folder", REMOTE_FILES_MAX);
    if (w->count == w->cap) {
        w->cap = w->cap == 0 ? 256 : 2 * w->cap;
        w->v = snug_realloc(w->v, w->cap * sizeof *w->v);
    }
    w->v[w->count++] =
        (remote_entry){snug_arena_dup(w->a, path), snug_arena_cstr(w->a, snug_str(file)), size};
    return SNUG_OK;
}

static bool is_private(snug_slice rel, const char *name)
{
    if (strcmp(name, ".git") == 0) return true;
    return strcmp(name, "huggingface") == 0 &&
           (snug_eq_str(rel, ".cache") || snug_ends_with(rel, "/.cache"));
}

static snug_status walk_folder(walk *w, int fd_owned, const char *dir, snug_slice rel,
                               const char *prefix, unsigned depth, snug_err *err)
{
    snug_status    st = SNUG_OK;
    DIR           *d = fdopendir(fd_owned);
    struct dirent *e;
    struct stat    sb;
    if (d == NULL) {
        (void)close(fd_owned);
        return remote_fail_file(err, errno, "read the folder", dir);
    }
    if (depth > REMOTE_WALK_DEPTH_MAX)
        SNUG_FAIL(err, SNUG_ELIMIT, "%s: folders nested deeper than %d", dir,
                  REMOTE_WALK_DEPTH_MAX);
    while ((errno = 0, e = readdir(d)) != NULL) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            is_private(rel, e->d_name))
            continue;
        const char *file = snug_arena_printf(w->a, "%s/%s", dir, e->d_name).ptr;
        snug_slice  sub =
            snug_arena_printf(w->a, "%.*s%s%s", SNUG_SLICE(rel), rel.len > 0 ? "/" : "", e->d_name);
        int fd = openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd >= 0) {
            SNUG_TRY(walk_folder(w, fd, file, sub, prefix, depth + 1, err));
        } else if (fstatat(dirfd(d), e->d_name, &sb, 0) == 0 && S_ISREG(sb.st_mode)) {
            SNUG_TRY(add(w, file, snug_arena_printf(w->a, "%s%.*s", prefix, SNUG_SLICE(sub)),
                         (uint64_t)sb.st_size, err));
        } else if (errno == EACCES) {
            st = remote_fail_file(err, EACCES, "read", file);
            goto done;
        } /* else: a socket, a pipe, a link to nowhere or to a folder */
    }
    if (errno != 0) st = remote_fail_file(err, errno, "read the folder", dir);
done:
    (void)closedir(d);
    return st;
}

static int by_path(const void *a, const void *b)
{
    const remote_entry *x = a, *y = b;
    return snug_cmp(x->path, y->path);
}

/* "a/b/", "/a/b" and "a/b" all name the same place; "" and "." the root. */
static snug_slice clean_target(const char *in_repo)
{
    snug_slice s = snug_trim(snug_str(in_repo == NULL ? "" : in_repo));
    while (snug_starts_with(s, "./")) s = snug_sub(s, 2, SIZE_MAX);
    while (s.len > 0 && s.ptr[0] == '/') s = snug_sub(s, 1, SIZE_MAX);
    while (s.len > 0 && s.ptr[s.len - 1] == '/') s.len--;
    return snug_eq_str(s, ".") ? SNUG_EMPTY : s;
}

snug_status remote_walk(const char *path, const char *in_repo, snug_arena *a, remote_entry **out,
                        size_t *count, snug_err *err)
{
    snug_status st = SNUG_OK;
    walk        w = {.a = a};
    struct stat sb;
    snug_slice  to = clean_target(in_repo);
    if (stat(path, &sb) != 0) return remote_fail_file(err, errno, "read", path);
    if (S_ISREG(sb.st_mode)) {
        snug_slice name = snug_str(path);
        size_t     slash = snug_rindex(name, '/');
        if (slash != SIZE_MAX) name = snug_sub(name, slash + 1, SIZE_MAX);
        SNUG_TRY(add(&w, path, to.len > 0 ? to : name, (uint64_t)sb.st_size, err));
    } else if (S_ISDIR(sb.st_mode)) {
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0) return remote_fail_file(err, errno, "read the folder", path);
        const char *prefix =
            snug_arena_printf(a, "%.*s%s", SNUG_SLICE(to), to.len > 0 ? "/" : "").ptr;
        SNUG_TRY(walk_folder(&w, fd, path, SNUG_EMPTY, prefix, 0, err));
    } else {
        SNUG_FAIL(err, SNUG_EINVAL, "%s is neither a file nor a folder", path);
    }
    if (w.count > 0) qsort(w.v, w.count, sizeof *w.v, by_path);
    *out = snug_arena_zalloc(a, (w.count + 1) * sizeof **out);
    if (w.count > 0) memcpy(*out, w.v, w.count * sizeof **out);
    *count = w.count;
done:
    free(w.v);
    return st;
}
