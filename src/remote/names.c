/* SPDX-License-Identifier: Apache-2.0 */
/* remote/names.c - file names from a server, before they touch the disk.
 *
 * For:     everything in remote/ that opens a path.
 * Owns:    nothing.
 * Threads: any.
 * Truth:   what passed remote_check_path stays below the folder it is joined to, and
 *          remote_open_parent keeps it there even when links lie in the way. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "remote/remote_int.h"

static bool is_drive(snug_slice part)
{
    char c = part.len >= 2 && part.ptr[1] == ':' ? part.ptr[0] : '\0';
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* A backslash is an ordinary byte here and a separator elsewhere; ".." may hide behind either. */
static bool has_dots(snug_slice part)
{
    snug_slice piece;
    while (snug_split(&part, '\\', &piece)) {
        if (snug_eq_str(piece, "..")) return true;
    }
    return false;
}

static const char *part_fault(snug_slice part)
{
    if (part.len == 0) return "an empty part";
    if (part.len > REMOTE_NAME_MAX) return "a part longer than 255 bytes";
    if (snug_eq_str(part, ".") || has_dots(part)) return "a \".\" or \"..\" part";
    if (snug_eq_nocase(part, SNUG_LIT(".git"))) return "a \".git\" part"; /* hooks would run */
    if (is_drive(part)) return "a drive letter";
    if (part.ptr[0] == '\\') return "a leading backslash";
    return NULL;
}

snug_status remote_check_path(snug_slice path, snug_err *err)
{
    const char *fault = NULL;
    if (path.len == 0)
        fault = "nothing at all";
    else if (path.len > REMOTE_PATH_MAX)
        fault = "more than 4000 bytes";
    else if (memchr(path.ptr, '\0', path.len) != NULL)
        fault = "a NUL byte";
    else if (path.ptr[0] == '/')
        fault = "an absolute path";
    else if (!snug_utf8_valid(path))
        fault = "bytes that are not UTF-8";
    snug_slice rest = path, part;
    while (fault == NULL && snug_split(&rest, '/', &part)) fault = part_fault(part);
    if (fault == NULL) return SNUG_OK;
    return snug_fail(err, SNUG_EPAYLOAD, "the file name \"%.*s\" is refused: it holds %s",
                     (int)(path.len > 200 ? 200 : path.len), path.ptr == NULL ? "" : path.ptr,
                     fault);
}

snug_status remote_check_etag(snug_slice etag, snug_err *err)
{
    bool ok = etag.len > 0 && etag.len <= REMOTE_ETAG_MAX && etag.ptr[0] != '.';
    for (size_t i = 0; ok && i < etag.len; i++) {
        char c = etag.ptr[i];
        ok = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
             c == '-' || c == '_' || c == '.';
    }
    return ok ? SNUG_OK
              : snug_fail(err, SNUG_EREMOTE,
                          "the server sent a content id that cannot name a file");
}

bool remote_is_commit(snug_slice s)
{
    if (s.len != 40) return false;
    for (size_t i = 0; i < s.len; i++) {
        bool hex = (s.ptr[i] >= '0' && s.ptr[i] <= '9') || (s.ptr[i] >= 'a' && s.ptr[i] <= 'f');
        if (!hex) return false;
    }
    return true;
}

snug_status remote_fail_file(snug_err *err, int errnum, const char *doing, const char *path)
{
    if (errnum == ENOSPC || errnum == EDQUOT) {
        return snug_fail(err, SNUG_EIO,
                         "the disk is full (%s %s): make room and run the command again, it goes "
                         "on where it stopped",
                         doing, path);
    }
    char        text[96];
    const char *why = strerror_r(errnum, text, sizeof text);
    snug_status st = errnum == ENOENT                      ? SNUG_ENOTFOUND
                     : errnum == EACCES || errnum == EPERM ? SNUG_EFORBIDDEN
                                                           : SNUG_EIO;
    return snug_fail(err, st, "cannot %s %s: %s", doing, path, why);
}

/* Makes `name` below fd and opens it. O_NOFOLLOW: a link there is somebody's trick or an old
 * arrangement we know nothing about; either way we do not write through it. */
static int step_into(int fd, const char *name, bool make)
{
    if (make && mkdirat(fd, name, 0777) != 0 && errno != EEXIST) return -1;
    return openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

snug_status remote_open_parent(const char *base, snug_slice rel, bool make, int *fd,
                               char leaf[REMOTE_NAME_MAX + 1], snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_slice  rest = rel, part;
    int         dir = -1;
    SNUG_TRY(remote_check_path(rel, err));
    if (make) SNUG_TRY(snug_mkdirs(base, 0777, err));
    dir = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) {
        st = remote_fail_file(err, errno, "open", base);
        goto done;
    }
    while (snug_split(&rest, '/', &part)) {
        memcpy(leaf, part.ptr, part.len);
        leaf[part.len] = '\0';
        if (rest.ptr == NULL) break;
        int next = step_into(dir, leaf, make);
        int why = errno;
        if (next < 0 && (why == ELOOP || why == ENOTDIR)) {
            SNUG_FAIL(err, SNUG_ECONFLICT,
                      "%s/%.*s: \"%s\" is a link or a file where a folder must be", base,
                      SNUG_SLICE(rel), leaf);
        }
        if (next < 0) {
            st =
                remote_fail_file(err, why, make ? "make a folder for" : "open the folder of", leaf);
            goto done;
        }
        (void)close(dir);
        dir = next;
    }
    *fd = dir;
    dir = -1; /* moved to the caller */
done:
    if (dir >= 0) (void)close(dir);
    return st;
}
