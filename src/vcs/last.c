/* SPDX-License-Identifier: Apache-2.0 */
/* vcs/last.c - for each of many paths the last commit that changed it: `git log -1 -- path`, for
 * all of them in one walk.
 *
 * git's rule, per path: at a commit that has the path as one of its parents has it, go on with the
 * first such parent and forget the others; at a commit that differs from all parents, stop: that
 * is the answer. So each path follows one line through the history, and along that line its entry
 * never changes: what it is at the tip is what it is compared with.
 *
 * Paths at the same commit form a group; groups wait in order of time, newest first, so that lines
 * that parted at a merge meet again. A group compares trees only where its paths lead, and not
 * below folders that are equal. */
#include "vcs/vcs_int.h"

#include <stdlib.h>

/* A path still open when the walk gives up gets the commit it had reached: the true one is older.
 * The second bound counts entries of the trees read: a folder of 100,000 files costs 20 ms a
 * commit. */
enum { COMMITS_MAX = 10000, ENTRIES_MAX = 10000000 };

typedef struct want {
    char    *text; /* the path, its '/' replaced by NUL: each part is a C string */
    size_t   len;
    size_t   index; /* in the caller's arrays */
    git_oid  id;    /* at the tip; zero: not there */
    unsigned mode;
} want;

typedef struct group {
    git_commit   *c;
    int64_t       when;
    size_t       *v; /* positions in wants[], rising: the wants are sorted */
    size_t        n;
    struct group *next;
} group;

typedef struct search {
    vcs_repo   *r;
    snug_arena *a;
    want       *wants;
    group      *groups; /* newest first */
    vcs_commit *out;
    size_t      entries; /* read so far */
} search;

static int by_text(const void *a, const void *b)
{
    const want *x = a, *y = b;
    return snug_cmp(snug_slice_of(x->text, x->len), snug_slice_of(y->text, y->len));
}

/* ---- comparing a folder of a commit with the same folder of a parent ---- */

/* Entry of `name` in a folder, which may be absent. */
static void entry_of(const git_tree *tree, const char *name, git_oid *id, unsigned *mode)
{
    const git_tree_entry *e = tree != NULL ? git_tree_entry_byname(tree, name) : NULL;
    *id = e != NULL ? *git_tree_entry_id(e) : (git_oid){{0}};
    *mode = e != NULL ? (unsigned)git_tree_entry_filemode_raw(e) : 0;
}

static snug_status open_if_tree(search *s, const git_oid *id, unsigned mode, git_tree **out,
                                snug_err *err)
{
    *out = NULL;
    if (mode != GIT_FILEMODE_TREE) return SNUG_OK;
    if (git_tree_lookup(out, s->r->git, id) != 0) return vcs_fail_git(err, "reading a tree");
    s->entries += git_tree_entrycount(*out);
    return SNUG_OK;
}

/* same[i]: path v[i] is in the parent's folder what it was at the tip. All paths share their first
 * `off` bytes. Depth: the number of parts of a path, checked when the search began. */
static snug_status compare_folder(search *s, const git_tree *mine, const git_tree *theirs,
                                  const size_t *v, size_t n, size_t off, bool *same, snug_err *err)
{
    snug_status st = SNUG_OK;
    git_tree   *a = NULL, *b = NULL;

    for (size_t i = 0, end; i < n; i = end) {
        const want *w = &s->wants[v[i]];
        const char *name = w->text + off;
        size_t      next = off + strlen(name) + 1;
        git_oid     id;
        unsigned    mode;

        entry_of(theirs, name, &id, &mode);
        end = i + 1;
        if (next > w->len) { /* the path ends here */
            same[i] = mode == w->mode && git_oid_equal(&id, &w->id);
            continue;
        }
        while (end < n && s->wants[v[end]].len > next &&
               memcmp(s->wants[v[end]].text + off, name, next - off) == 0) {
            end++;
        }
        git_oid  my_id;
        unsigned my_mode;
        entry_of(mine, name, &my_id, &my_mode);
        if (my_mode == mode && git_oid_equal(&my_id, &id)) {
            for (size_t k = i; k < end; k++) same[k] = true;
            continue;
        }
        SNUG_TRY(open_if_tree(s, &my_id, my_mode, &a, err));
        SNUG_TRY(open_if_tree(s, &id, mode, &b, err));
        SNUG_TRY(compare_folder(s, a, b, v + i, end - i, next, same + i, err));
        git_tree_free(a);
        git_tree_free(b);
        a = b = NULL;
    }
done:
    git_tree_free(a);
    git_tree_free(b);
    return st;
}

/* ---- groups ---- */

static void free_group(group *g)
{
    if (g == NULL) return;
    git_commit_free(g->c);
    free(g->v);
    free(g);
}

static void merge_into(group *g, const size_t *v, size_t n)
{
    size_t *all = snug_alloc((g->n + n) * sizeof *all);
    size_t  i = 0, k = 0, at = 0;
    while (i < g->n || k < n) {
        bool mine = k == n || (i < g->n && g->v[i] < v[k]);
        all[at++] = mine ? g->v[i++] : v[k++];
    }
    free(g->v);
    g->v = all;
    g->n = at;
}

/* Lets the paths wait at this commit. Takes a reference of its own on c. */
static void wait_at(search *s, git_commit *c, const size_t *v, size_t n)
{
    int64_t when = git_commit_time(c);
    group **at = &s->groups;
    if (n == 0) return;
    for (; *at != NULL && (*at)->when >= when; at = &(*at)->next) {
        if (git_oid_equal(git_commit_id((*at)->c), git_commit_id(c))) {
            merge_into(*at, v, n);
            return;
        }
    }
    group *g = snug_zalloc(sizeof *g);
    (void)git_commit_dup(&g->c, c);
    g->when = when;
    merge_into(g, v, n);
    g->next = *at;
    *at = g;
}

static snug_status answer(search *s, const git_oid *commit, const size_t *v, size_t n,
                          snug_err *err)
{
    vcs_commit c;
    vcs_oid    id = vcs_oid_of(commit);
    if (n == 0) return SNUG_OK;
    snug_status st = vcs_read_commit(s->r, &id, s->a, &c, err);
    for (size_t i = 0; st == SNUG_OK && i < n; i++) s->out[s->wants[v[i]].index] = c;
    return st;
}

/* Moves the paths that this parent has unchanged over to it; what is left stays in g. */
static snug_status try_parent(search *s, group *g, const git_tree *mine, unsigned nth,
                              snug_err *err)
{
    snug_status st = SNUG_OK;
    git_commit *parent = NULL;
    git_tree   *theirs = NULL;
    bool       *same = snug_zalloc(g->n + 1);
    size_t     *moved = snug_alloc((g->n + 1) * sizeof *moved);
    size_t      left = 0, moved_count = 0;

    if (git_commit_parent(&parent, g->c, nth) != 0 || git_commit_tree(&theirs, parent) != 0) {
        st = vcs_fail_git(err, "reading a parent commit");
        goto done;
    }
    s->entries += git_tree_entrycount(theirs);
    if (git_oid_equal(git_tree_id(mine), git_tree_id(theirs))) {
        memset(same, true, g->n);
    } else {
        SNUG_TRY(compare_folder(s, mine, theirs, g->v, g->n, 0, same, err));
    }
    for (size_t i = 0; i < g->n; i++) {
        if (same[i])
            moved[moved_count++] = g->v[i];
        else
            g->v[left++] = g->v[i];
    }
    g->n = left;
    wait_at(s, parent, moved, moved_count);
done:
    git_tree_free(theirs);
    git_commit_free(parent);
    free(moved);
    free(same);
    return st;
}

static snug_status visit(search *s, group *g, snug_err *err)
{
    git_tree   *mine = NULL;
    snug_status st = SNUG_OK;
    unsigned    parents = git_commit_parentcount(g->c);
    if (git_commit_tree(&mine, g->c) != 0) return vcs_fail_git(err, "reading a tree");
    for (unsigned i = 0; st == SNUG_OK && g->n > 0 && i < parents; i++) {
        st = try_parent(s, g, mine, i, err);
    }
    git_tree_free(mine);
    return st != SNUG_OK ? st : answer(s, git_commit_id(g->c), g->v, g->n, err);
}

/* ---- the search ---- */

static snug_status prepare(search *s, const git_tree *root, const snug_slice *paths, size_t n,
                           snug_err *err)
{
    for (size_t i = 0; i < n; i++) {
        want    *w = &s->wants[i];
        size_t   parts = 0;
        git_oid  id = {{0}};
        unsigned mode = 0;
        if (paths[i].len == 0 || memchr(paths[i].ptr, 0, paths[i].len) != NULL) {
            return snug_fail_code(err, SNUG_ENOTFOUND, "EntryNotFound", "Entry not found: \"\"");
        }
        snug_status st = vcs_find_path(s->r, root, paths[i], &id, &mode, err);
        if (st != SNUG_OK) return st;
        *w = (want){
            .text = snug_strdup(paths[i]), .len = paths[i].len, .index = i, .id = id, .mode = mode};
        for (char *p = w->text; (p = strchr(p, '/')) != NULL; parts++) *p++ = '\0';
        if (parts > VCS_DEPTH_MAX) {
            return snug_fail(err, SNUG_ELIMIT, "a path with more than %d parts",
                             (int)VCS_DEPTH_MAX);
        }
    }
    qsort(s->wants, n, sizeof *s->wants, by_text);
    return SNUG_OK;
}

snug_status vcs_last_commits(vcs_repo *r, const vcs_oid *commit, const snug_slice *paths, size_t n,
                             snug_arena *a, vcs_commit *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    search      s = {.r = r, .a = a, .out = out};
    git_commit *tip = NULL;
    git_tree   *root = NULL;
    size_t     *all = snug_alloc((n + 1) * sizeof *all);

    s.wants = snug_zalloc((n + 1) * sizeof *s.wants);
    for (size_t i = 0; i < n; i++) all[i] = i;
    SNUG_TRY(vcs_open_root(r, commit, &root, err));
    SNUG_TRY(prepare(&s, root, paths, n, err));
    if (git_commit_lookup(&tip, r->git, vcs_git_oid(commit)) != 0) {
        st = vcs_fail_git(err, "reading a commit");
        goto done;
    }
    wait_at(&s, tip, all, n);
    for (size_t steps = 0; s.groups != NULL; steps++) {
        group *g = s.groups;
        s.groups = g->next;
        st = steps < COMMITS_MAX && s.entries < ENTRIES_MAX
                 ? visit(&s, g, err)
                 : answer(&s, git_commit_id(g->c), g->v, g->n, err);
        free_group(g);
        if (st != SNUG_OK) goto done;
    }
done:
    while (s.groups != NULL) {
        group *g = s.groups;
        s.groups = g->next;
        free_group(g);
    }
    for (size_t i = 0; i < n; i++) free(s.wants[i].text);
    free(s.wants);
    free(all);
    git_commit_free(tip);
    git_tree_free(root);
    return st;
}
