/* SPDX-License-Identifier: Apache-2.0 */
/* vcs/lfs.c - Git LFS pointer files: text that stands in git for bytes kept elsewhere.
 *
 *   version https://git-lfs.github.com/spec/v1
 *   ext-0-name sha256:<64 hex>                   (optional, sorted, priorities 0-9 used once)
 *   oid sha256:<64 lowercase hex>
 *   size <decimal>
 *
 * Below 1,024 bytes, UTF-8, one space, a line feed after each line and nothing else. A blob that
 * reads like this is a pointer, whatever .gitattributes say. */
#include "vcs/vcs_int.h"

#include <stdlib.h>

static bool take_line(snug_slice *text, snug_slice *line)
{
    size_t end = snug_index(*text, '\n');
    if (end == SIZE_MAX) return false; /* the last line has a line feed too */
    *line = snug_sub(*text, 0, end);
    *text = snug_sub(*text, end + 1, text->len);
    return true;
}

static bool is_version(snug_slice line)
{
    static const char *const known[] = {"version https://git-lfs.github.com/spec/v1",
                                        "version https://hawser.github.com/spec/v1",
                                        "version http://git-media.io/v/2"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (snug_eq_str(line, known[i])) return true;
    }
    return false;
}

static bool parse_hash(snug_slice s, snug_sha256 *out)
{
    if (!snug_starts_with(s, "sha256:")) return false;
    s = snug_sub(s, 7, s.len);
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] >= 'A' && s.ptr[i] <= 'F') return false;
    }
    return snug_unhex(s, out->b, sizeof out->b);
}

/* "ext-<digit>-<name> sha256:<hex>"; *priority rises from line to line. */
static bool is_extension(snug_slice line, int *priority)
{
    snug_sha256 unused;
    size_t      space = snug_index(line, ' ');
    if (space == SIZE_MAX || space < 7 || line.ptr[5] != '-') return false;
    int digit = line.ptr[4] - '0';
    if (digit < 0 || digit > 9 || digit <= *priority) return false;
    *priority = digit;
    for (size_t i = 6; i < space; i++) {
        char c = line.ptr[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '_' || c == '-' || c == '.';
        if (!word) return false;
    }
    return parse_hash(snug_sub(line, space + 1, line.len), &unused);
}

static bool parse_size(snug_slice s, uint64_t *out)
{
    if (s.len == 0 || (s.len > 1 && s.ptr[0] == '0')) return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9') return false;
    }
    return snug_parse_u64(s, out) && *out <= INT64_MAX;
}

bool vcs_lfs_parse(snug_slice blob, snug_sha256 *oid, uint64_t *size)
{
    snug_slice  line;
    snug_sha256 hash;
    uint64_t    n;
    int         priority = -1;

    if (blob.len >= VCS_LFS_POINTER_MAX) return false;
    if (!take_line(&blob, &line) || !is_version(line)) return false;
    if (!take_line(&blob, &line)) return false;
    while (snug_starts_with(line, "ext-")) {
        if (!is_extension(line, &priority) || !take_line(&blob, &line)) return false;
    }
    if (!snug_starts_with(line, "oid ") || !parse_hash(snug_sub(line, 4, line.len), &hash)) {
        return false;
    }
    if (!take_line(&blob, &line) || !snug_starts_with(line, "size ")) return false;
    if (!parse_size(snug_sub(line, 5, line.len), &n) || blob.len != 0) return false;
    *oid = hash;
    *size = n;
    return true;
}

void vcs_lfs_format(const snug_sha256 *oid, uint64_t size, snug_buf *out)
{
    char hex[65];
    snug_hex(oid->b, sizeof oid->b, hex);
    snug_buf_printf(out, "version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %llu\n",
                    hex, (unsigned long long)size);
}

/* ---- every pointer of a repository ---- */

typedef struct lfs_walk {
    vcs_repo  *r;
    vcs_oidset seen; /* trees and blobs */
    git_oid   *todo; /* trees to open */
    size_t     count, cap;
    bool (*fn)(void *arg, const vcs_lfs *lfs);
    void *arg;
    bool  stopped;
} lfs_walk;

static void push_tree(lfs_walk *w, const git_oid *id)
{
    if (!vcs_oidset_add(&w->seen, id)) return;
    if (w->count == w->cap) {
        w->cap = w->cap == 0 ? 64 : w->cap * 2;
        w->todo = snug_realloc(w->todo, w->cap * sizeof *w->todo);
    }
    w->todo[w->count++] = *id;
}

static snug_status visit_tree(lfs_walk *w, const git_oid *id, snug_err *err)
{
    snug_status st = SNUG_OK;
    git_tree   *tree = NULL;
    if (git_tree_lookup(&tree, w->r->git, id) != 0) return vcs_fail_git(err, "reading a tree");
    size_t n = git_tree_entrycount(tree);
    for (size_t i = 0; i < n && !w->stopped; i++) {
        const git_tree_entry *e = git_tree_entry_byindex(tree, i);
        git_filemode_t        mode = git_tree_entry_filemode(e);
        if (mode == GIT_FILEMODE_TREE) {
            push_tree(w, git_tree_entry_id(e));
        } else if (mode != GIT_FILEMODE_COMMIT && mode != GIT_FILEMODE_LINK &&
                   vcs_oidset_add(&w->seen, git_tree_entry_id(e))) {
            vcs_entry entry;
            SNUG_TRY(vcs_fill_entry(w->r, git_tree_entry_id(e), (unsigned)mode, &entry, err));
            if (entry.lfs.is_lfs) w->stopped = !w->fn(w->arg, &entry.lfs);
        }
    }
done:
    git_tree_free(tree);
    return st;
}

static snug_status visit_commit(lfs_walk *w, const git_oid *id, snug_err *err)
{
    git_commit *c = NULL;
    if (git_commit_lookup(&c, w->r->git, id) != 0) return vcs_fail_git(err, "reading a commit");
    push_tree(w, git_commit_tree_id(c));
    git_commit_free(c);
    snug_status st = SNUG_OK;
    while (st == SNUG_OK && w->count > 0 && !w->stopped) {
        git_oid tree = w->todo[--w->count];
        st = visit_tree(w, &tree, err);
    }
    return st;
}

/* Commits of all refs; what leads to no commit (a tag on a blob) has no files. */
static snug_status push_refs(vcs_repo *r, git_revwalk *w, snug_err *err)
{
    git_reference_iterator *it = NULL;
    const char             *name;
    int                     rc = git_reference_iterator_new(&it, r->git);
    while (rc == 0 && (rc = git_reference_next_name(&name, it)) == 0) {
        (void)git_revwalk_push_ref(w, name);
    }
    git_reference_iterator_free(it);
    return rc == GIT_ITEROVER ? SNUG_OK : vcs_fail_git(err, "listing refs");
}

snug_status vcs_each_lfs(vcs_repo *r, bool (*fn)(void *arg, const vcs_lfs *lfs), void *arg,
                         snug_err *err)
{
    snug_status  st = SNUG_OK;
    git_revwalk *revs = NULL;
    lfs_walk     w = {.r = r, .fn = fn, .arg = arg};
    git_oid      id;
    int          rc = 0;

    if (git_revwalk_new(&revs, r->git) != 0) {
        st = vcs_fail_git(err, "walking commits");
        goto done;
    }
    SNUG_TRY(push_refs(r, revs, err));
    while (!w.stopped && (rc = git_revwalk_next(&id, revs)) == 0) {
        SNUG_TRY(visit_commit(&w, &id, err));
    }
    if (rc != 0 && rc != GIT_ITEROVER) st = vcs_fail_git(err, "walking commits");
done:
    git_revwalk_free(revs);
    vcs_oidset_deinit(&w.seen);
    free(w.todo);
    return st;
}
