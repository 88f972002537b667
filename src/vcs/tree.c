/* SPDX-License-Identifier: Apache-2.0 */
/* vcs/tree.c - reading the files of a commit: one path, or a folder page by page.
 *
 * git's order puts a folder where its name with a '/' behind would stand; a recursive listing gives
 * each folder and then what is in it. The cursor is simply the last path given: the walk goes down
 * along its parts and continues behind it, so a page costs the trees on that way and its own
 * entries, and no server state.
 *
 * Trees may come from a push: names and order are not trusted. A cursor is found by equality and
 * not by order, so that paging moves forward in any tree. */
#include "vcs/vcs_int.h"

#include <stdlib.h>

static snug_status entry_not_found(snug_slice path, snug_err *err)
{
    return snug_fail_code(err, SNUG_ENOTFOUND, "EntryNotFound", "Entry not found: \"%.*s\"",
                          path.len > 300 ? 300 : (int)path.len, path.ptr);
}

static snug_status open_tree(vcs_repo *r, const git_oid *id, git_tree **out, snug_err *err)
{
    return git_tree_lookup(out, r->git, id) == 0 ? SNUG_OK : vcs_fail_git(err, "reading a tree");
}

snug_status vcs_open_root(vcs_repo *r, const vcs_oid *commit, git_tree **out, snug_err *err)
{
    git_commit *c = NULL;
    int         rc = git_commit_lookup(&c, r->git, vcs_git_oid(commit));
    if (rc == 0) rc = git_commit_tree(out, c);
    git_commit_free(c);
    if (rc == GIT_ENOTFOUND && c == NULL) {
        char hex[41];
        vcs_oid_hex(commit, hex);
        return snug_fail_code(err, SNUG_ENOTFOUND, "RevisionNotFound", "Invalid rev id: %s", hex);
    }
    return rc == 0 ? SNUG_OK : vcs_fail_git(err, "reading a commit");
}

/* What one path of a tree is. mode 040000 and the root's id for the empty path. */
snug_status vcs_find_path(vcs_repo *r, const git_tree *root, snug_slice path, git_oid *id,
                          unsigned *mode, snug_err *err)
{
    snug_status     st = SNUG_OK;
    git_tree       *tree = NULL, *next = NULL;
    const git_tree *at = root;
    char           *text = NULL;

    *id = *git_tree_id(root);
    *mode = GIT_FILEMODE_TREE;
    if (path.len == 0) return SNUG_OK;
    if (path.len > (1u << 16) || memchr(path.ptr, 0, path.len) != NULL) {
        return entry_not_found(path, err);
    }
    text = snug_strdup(path);
    for (char *name = text, *end; name != NULL; name = end) {
        end = strchr(name, '/');
        if (end != NULL) *end++ = '\0';
        if (*mode != GIT_FILEMODE_TREE) {
            st = entry_not_found(path, err);
            goto done;
        }
        if (name != text) { /* one level down */
            SNUG_TRY(open_tree(r, id, &next, err));
            git_tree_free(tree);
            at = tree = next;
            next = NULL;
        }
        const git_tree_entry *e = git_tree_entry_byname(at, name);
        if (e == NULL) {
            st = entry_not_found(path, err);
            goto done;
        }
        *id = *git_tree_entry_id(e);
        *mode = (unsigned)git_tree_entry_filemode_raw(e);
    }
done:
    git_tree_free(tree);
    free(text);
    return st;
}

snug_status vcs_find_entry(vcs_repo *r, const vcs_oid *commit, snug_slice path, snug_arena *a,
                           vcs_entry *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    git_tree   *root = NULL;
    git_oid     id;
    unsigned    mode;

    SNUG_TRY(vcs_open_root(r, commit, &root, err));
    SNUG_TRY(vcs_find_path(r, root, path, &id, &mode, err));
    SNUG_TRY(vcs_fill_entry(r, &id, mode, out, err));
    out->path = snug_arena_dup(a, path);
done:
    git_tree_free(root);
    return st;
}

/* ---- the walk ---- */

typedef struct level {
    git_tree *tree;
    size_t    i, n;     /* next entry, number of entries */
    size_t    path_len; /* of the folder, in walk.path */
} level;

typedef struct walk {
    vcs_repo *r;
    bool      recursive;
    level    *v;
    size_t    depth, cap;
    snug_buf  path; /* of the current folder */
} walk;

static void walk_deinit(walk *w)
{
    while (w->depth > 0) git_tree_free(w->v[--w->depth].tree);
    free(w->v);
    snug_buf_deinit(&w->path);
}

static snug_status push_level(walk *w, const git_oid *id, snug_err *err)
{
    if (w->depth == VCS_DEPTH_MAX) {
        return snug_fail(err, SNUG_ELIMIT, "folders are nested more than %d deep",
                         (int)VCS_DEPTH_MAX);
    }
    if (w->depth == w->cap) {
        w->cap = w->cap == 0 ? 16 : w->cap * 2;
        w->v = snug_realloc(w->v, w->cap * sizeof *w->v);
    }
    level       l = {.path_len = w->path.len};
    snug_status st = open_tree(w->r, id, &l.tree, err);
    if (st != SNUG_OK) return st;
    l.n = git_tree_entrycount(l.tree);
    w->v[w->depth++] = l;
    return SNUG_OK;
}

/* Enters a folder of the top level, whose walk continues behind it. */
static snug_status enter(walk *w, const git_tree_entry *e, snug_err *err)
{
    if (w->path.len > 0) snug_buf_putc(&w->path, '/');
    snug_buf_puts(&w->path, git_tree_entry_name(e));
    snug_status st = snug_buf_check(&w->path, "path", err);
    return st != SNUG_OK ? st : push_level(w, git_tree_entry_id(e), err);
}

static bool is_tree(const git_tree_entry *e)
{
    return git_tree_entry_filemode(e) == GIT_FILEMODE_TREE;
}

/* The next entry in order, NULL at the end. Its folder is w->path up to the level's path_len. */
static const git_tree_entry *next_entry(walk *w)
{
    while (w->depth > 0) {
        level *top = &w->v[w->depth - 1];
        while (top->i < top->n) {
            const git_tree_entry *e = git_tree_entry_byindex(top->tree, top->i++);
            /* No git makes a name with a slash, and no cursor could stand on it. */
            if (strchr(git_tree_entry_name(e), '/') == NULL) return e;
        }
        git_tree_free(top->tree);
        w->depth--;
        if (w->depth > 0) w->path.len = w->v[w->depth - 1].path_len;
    }
    return NULL;
}

/* git's order of names: a folder counts with a '/' at its end. */
static int compare_names(snug_slice a, bool a_dir, snug_slice b, bool b_dir)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int    c = n > 0 ? memcmp(a.ptr, b.ptr, n) : 0;
    if (c != 0) return c;
    unsigned char x = a.len > n ? (unsigned char)a.ptr[n] : a_dir ? '/' : 0;
    unsigned char y = b.len > n ? (unsigned char)b.ptr[n] : b_dir ? '/' : 0;
    return x < y ? -1 : x > y;
}

/* Position of `name` in the tree; when it is not there, *found stays false and the answer is where
 * it would stand. */
static size_t position(const level *l, snug_slice name, bool want_dir, bool *found)
{
    size_t after = 0;
    *found = false;
    for (size_t i = l->n; i-- > 0;) {
        const git_tree_entry *e = git_tree_entry_byindex(l->tree, i);
        if (snug_eq_str(name, git_tree_entry_name(e)) && is_tree(e) == want_dir) {
            *found = true;
            return i;
        }
        if (after == 0 &&
            compare_names(snug_str(git_tree_entry_name(e)), is_tree(e), name, want_dir) < 0) {
            after = i + 1;
        }
    }
    return after;
}

/* Puts the walk behind `rest`, the cursor relative to the folder at the top. */
static snug_status seek(walk *w, snug_slice rest, snug_err *err)
{
    snug_slice part;
    while (snug_split(&rest, '/', &part)) {
        level *top = &w->v[w->depth - 1];
        bool   last = rest.ptr == NULL, found = false;
        size_t at = position(top, part, true, &found);
        if (!found && last) {
            at = position(top, part, false, &found);
            top->i = found ? at + 1 : at;
            return SNUG_OK;
        }
        if (!found) {
            top->i = at;
            return SNUG_OK;
        }
        top->i = at + 1;
        if (last && !w->recursive) return SNUG_OK;
        snug_status st = enter(w, git_tree_entry_byindex(top->tree, at), err);
        if (st != SNUG_OK) return st;
    }
    return SNUG_OK;
}

static snug_status begin_walk(walk *w, const vcs_oid *commit, snug_slice path, snug_slice after,
                              snug_err *err)
{
    snug_status st = SNUG_OK;
    git_tree   *root = NULL;
    git_oid     id;
    unsigned    mode;

    if (path.len > 0 && path.ptr[path.len - 1] == '/') path.len--;
    SNUG_TRY(vcs_open_root(w->r, commit, &root, err));
    SNUG_TRY(vcs_find_path(w->r, root, path, &id, &mode, err));
    if (mode != GIT_FILEMODE_TREE) {
        st = entry_not_found(path, err);
        goto done;
    }
    snug_buf_put_slice(&w->path, path);
    SNUG_TRY(push_level(w, &id, err));
    if (after.len == 0) goto done;
    if (path.len > 0) {
        bool below = after.len > path.len + 1 && after.ptr[path.len] == '/' &&
                     memcmp(after.ptr, path.ptr, path.len) == 0;
        if (!below) SNUG_FAIL(err, SNUG_EINVAL, "the cursor is not inside this folder");
        after = snug_sub(after, path.len + 1, after.len);
    }
    SNUG_TRY(seek(w, after, err));
done:
    git_tree_free(root);
    return st;
}

static snug_slice full_path(snug_arena *a, const walk *w, const char *name)
{
    snug_slice folder = snug_buf_slice(&w->path);
    return folder.len == 0 ? snug_arena_dup(a, snug_str(name))
                           : snug_arena_printf(a, "%.*s/%s", SNUG_SLICE(folder), name);
}

snug_status vcs_list_tree(vcs_repo *r, const vcs_oid *commit, snug_slice path, bool recursive,
                          snug_slice after, size_t n, snug_arena *a, vcs_entry **out, size_t *count,
                          bool *more, snug_err *err)
{
    snug_status           st = SNUG_OK;
    walk                  w = {.r = r, .recursive = recursive, .path = snug_buf_init(1u << 16)};
    size_t                cap = 0;
    const git_tree_entry *e;

    *out = NULL;
    *count = 0;
    *more = false;
    SNUG_TRY(begin_walk(&w, commit, path, after, err));
    while ((e = next_entry(&w)) != NULL) {
        if (*count == n) {
            *more = true;
            break;
        }
        if (*count == cap) {
            cap = cap == 0 ? 64 : cap * 2;
            if (cap > n) cap = n;
            vcs_entry *bigger = snug_arena_array_try(a, cap, sizeof *bigger);
            if (bigger == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "out of memory");
            if (*count > 0) memcpy(bigger, *out, *count * sizeof *bigger);
            *out = bigger;
        }
        vcs_entry *to = &(*out)[*count];
        SNUG_TRY(
            vcs_fill_entry(r, git_tree_entry_id(e), (unsigned)git_tree_entry_filemode(e), to, err));
        to->path = full_path(a, &w, git_tree_entry_name(e));
        (*count)++;
        if (recursive && is_tree(e)) SNUG_TRY(enter(&w, e, err));
    }
done:
    walk_deinit(&w);
    return st;
}

/* ---- rule files ---- */

enum { RULE_FILES_MAX = 1000, RULE_FILE_BYTES_MAX = 1 << 20, RULE_TREES_MAX = 200000 };

snug_status vcs_load_rules(vcs_repo *r, const vcs_oid *commit, const char *file, vcs_rules *into,
                           snug_err *err)
{
    snug_status           st = SNUG_OK;
    walk                  w = {.r = r, .recursive = true, .path = snug_buf_init(1u << 16)};
    bool                  attributes = strcmp(file, ".gitattributes") == 0;
    size_t                files = 0, trees = 0;
    const git_tree_entry *e;
    snug_arena           *a = snug_arena_new();

    SNUG_TRY(begin_walk(&w, commit, SNUG_EMPTY, SNUG_EMPTY, err));
    while (files < RULE_FILES_MAX && trees < RULE_TREES_MAX && (e = next_entry(&w)) != NULL) {
        git_filemode_t mode = git_tree_entry_filemode(e);
        if (mode == GIT_FILEMODE_TREE) {
            trees++;
            SNUG_TRY(enter(&w, e, err));
        } else if ((mode == GIT_FILEMODE_BLOB || mode == GIT_FILEMODE_BLOB_EXECUTABLE) &&
                   strcmp(git_tree_entry_name(e), file) == 0) {
            snug_slice text;
            vcs_oid    id = vcs_oid_of(git_tree_entry_id(e));
            files++;
            st = vcs_read_blob(r, &id, RULE_FILE_BYTES_MAX, a, &text, err);
            if (st == SNUG_ELIMIT) { /* far from any rule file a person wrote */
                snug_err_clear(err);
                st = SNUG_OK;
                continue;
            }
            if (st != SNUG_OK) goto done;
            vcs_rules_add(into, snug_buf_slice(&w.path), text, attributes);
        }
    }
done:
    snug_arena_free(a);
    walk_deinit(&w);
    return st;
}
