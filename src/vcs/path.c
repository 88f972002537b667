/* SPDX-License-Identifier: Apache-2.0 */
/* vcs/path.c - which paths may be written into a repository.
 *
 * A path is checked for every machine that may clone it, not for ours: file systems that ignore
 * case (Windows, macOS), trailing dots and spaces (Windows), some code points (HFS+), that know
 * short names (git~1) and streams (.git::$INDEX_ALLOCATION), and that take a backslash for a
 * slash. A checkout must never write outside its folder or into its own .git. */
#include "vcs/vcs_int.h"

static snug_status refuse(snug_slice path, const char *why, snug_err *err)
{
    return snug_fail(err, SNUG_EPAYLOAD, "Invalid path \"%.*s\": %s",
                     path.len > 200 ? 200 : (int)path.len, path.ptr, why);
}

/* Code points that HFS+ drops when it compares names. */
static bool is_hfs_ignored(uint32_t cp)
{
    return (cp >= 0x200c && cp <= 0x200f) || (cp >= 0x202a && cp <= 0x202e) ||
           (cp >= 0x206a && cp <= 0x206f) || cp == 0xfeff;
}

static bool is_hfs_dotgit(snug_slice name)
{
    static const char want[] = ".git";
    size_t            matched = 0;
    while (name.len > 0) {
        uint32_t cp = snug_utf8_next(&name);
        if (is_hfs_ignored(cp)) continue;
        if (cp >= 'A' && cp <= 'Z') cp += 'a' - 'A';
        if (matched == sizeof want - 1 || cp != (uint32_t)want[matched]) return false;
        matched++;
    }
    return matched == sizeof want - 1;
}

/* ".git" or "git~1" in any case, then dots and spaces, then the end or a stream's colon. */
static bool is_ntfs_dotgit(snug_slice name)
{
    size_t n = snug_eq_nocase(snug_sub(name, 0, 4), SNUG_LIT(".git"))    ? 4
               : snug_eq_nocase(snug_sub(name, 0, 5), SNUG_LIT("git~1")) ? 5
                                                                         : 0;
    if (n == 0) return false;
    while (n < name.len && (name.ptr[n] == '.' || name.ptr[n] == ' ')) n++;
    return n == name.len || name.ptr[n] == ':';
}

/* A part between two separators of any system. */
static const char *check_piece(snug_slice piece)
{
    if (snug_eq_str(piece, "..") || snug_eq_str(piece, "."))
        return "\".\" and \"..\" lead elsewhere";
    if (is_hfs_dotgit(piece) || is_ntfs_dotgit(piece)) return "it would write into .git";
    return NULL;
}

/* A backslash inside a name is an ordinary byte for git, and a separator on Windows: both readings
 * must be harmless. */
static const char *check_part(snug_slice part)
{
    if (part.len == 0) return "it has an empty part";
    if (part.len > VCS_PART_MAX) return "a part of it is longer than 255 bytes";
    const char *why = check_piece(part);
    snug_slice  rest = part, piece;
    while (why == NULL && snug_split(&rest, '\\', &piece)) why = check_piece(piece);
    return why;
}

static bool is_drive(snug_slice path)
{
    if (path.len < 3 || path.ptr[1] != ':' || (path.ptr[2] != '/' && path.ptr[2] != '\\')) {
        return false;
    }
    char c = (char)(path.ptr[0] | 0x20);
    return c >= 'a' && c <= 'z';
}

snug_status vcs_check_path(snug_slice path, snug_err *err)
{
    if (path.len == 0) return refuse(path, "it is empty", err);
    if (path.len > VCS_PATH_MAX) return refuse(path, "it is longer than 4096 bytes", err);
    if (memchr(path.ptr, 0, path.len) != NULL) return refuse(path, "it holds a NUL byte", err);
    if (!snug_utf8_valid(path)) return refuse(path, "it is not UTF-8", err);
    if (path.ptr[0] == '/' || path.ptr[0] == '\\' || is_drive(path)) {
        return refuse(path, "it must be relative to the repository", err);
    }
    size_t     parts = 0;
    snug_slice rest = path, part;
    while (snug_split(&rest, '/', &part)) {
        const char *why =
            ++parts > VCS_PART_COUNT_MAX ? "it has more than 256 parts" : check_part(part);
        if (why != NULL) return refuse(path, why, err);
    }
    return SNUG_OK;
}
