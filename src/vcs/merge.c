/* SPDX-License-Identifier: Apache-2.0 */
/* vcs/merge.c - two histories become one: merge bases, three-way merges, squashing.
 *
 *   base ---> ours      what only theirs changed is taken over, file by file
 *      \---> theirs     what both changed the same way stays; what both changed differently is
 *                       mixed by lines if it is small text, and else a conflict
 *
 * The paths are compared here and not by libgit2's index: its merge writes mixed files straight
 * into the object store, past our way of making objects durable (pending.c).
 *
 * For:     hub/pulls.c, hub/refs.c.
 * Threads: the one that holds the handle.
 * Truth:   no ref moves here; what a merge names is durable when it returns. */
#include "vcs/vcs_int.h"

#include <stdlib.h>

enum { MIX_BYTES_MAX = 1 << 20, CONFLICTS_MAX = 1000 };

typedef struct merge {
    vcs_repo              *r;
    snug_arena            *a;
    vcs_draft             *d; /* NULL: only looking */
    git_diff              *mine, *theirs;
    const git_diff_delta **sorted; /* of mine, by path */
    size_t                 sorted_count;
    vcs_merge             *out;
} merge;

snug_status vcs_merge_base(vcs_repo *r, const vcs_oid *a, const vcs_oid *b, vcs_oid *out,
                           bool *found, snug_err *err)
{
    git_oid base;
    int     rc = git_merge_base(&base, r->git, vcs_git_oid(a), vcs_git_oid(b));
    *found = rc == 0;
    if (rc == GIT_ENOTFOUND) {
        git_error_clear();
        return SNUG_OK;
    }
    if (rc != 0) return vcs_fail_git(err, "looking for a merge base");
    *out = vcs_oid_of(&base);
    return SNUG_OK;
}

snug_status vcs_squash(vcs_repo *r, const vcs_oid *commit, snug_slice message, const vcs_who *who,
                       vcs_oid *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    vcs_commit  c;

    SNUG_TRY(vcs_read_commit(r, commit, a, &c, err));
    SNUG_TRY(vcs_write_commit(r, vcs_git_oid(&c.tree), NULL, 0, message, who, out, err));
done:
    snug_arena_free(a);
    return st;
}

/* ---- what each side changed ---- */

static snug_status diff_commits(vcs_repo *r, const vcs_oid *from, const vcs_oid *to, git_diff **out,
                                snug_err *err)
{
    snug_status      st = SNUG_OK;
    git_tree        *x = NULL, *y = NULL;
    git_diff_options o;

    (void)git_diff_options_init(&o, GIT_DIFF_OPTIONS_VERSION);
    o.flags = GIT_DIFF_INCLUDE_TYPECHANGE;
    if (from != NULL) SNUG_TRY(vcs_open_root(r, from, &x, err));
    SNUG_TRY(vcs_open_root(r, to, &y, err));
    if (git_diff_tree_to_tree(out, r->git, x, y, &o) != 0)
        st = vcs_fail_git(err, "comparing two trees");
done:
    git_tree_free(x);
    git_tree_free(y);
    return st;
}

static const char *path_of(const git_diff_delta *d)
{
    return d->status == GIT_DELTA_DELETED ? d->old_file.path : d->new_file.path;
}

static int by_path(const void *a, const void *b)
{
    const git_diff_delta *const *x = a, *const *y = b;
    return strcmp(path_of(*x), path_of(*y));
}

static int find_path(const void *key, const void *item)
{
    const git_diff_delta *const *y = item;
    return strcmp(key, path_of(*y));
}

static const git_diff_delta *my_change(const merge *m, const char *path)
{
    const git_diff_delta **hit =
        m->sorted_count == 0
            ? NULL
            : bsearch(path, m->sorted, m->sorted_count, sizeof(const git_diff_delta *), find_path);
    return hit == NULL ? NULL : *hit;
}

/* ---- one path ---- */

static void note_conflict(merge *m, const char *path)
{
    m->out->kind = VCS_MERGE_CONFLICT;
    if (m->out->conflict_count == CONFLICTS_MAX) return;
    if (m->out->conflicts == NULL)
        m->out->conflicts = snug_arena_alloc(m->a, CONFLICTS_MAX * sizeof *m->out->conflicts);
    m->out->conflicts[m->out->conflict_count++] = snug_arena_dup(m->a, snug_str(path));
}

/* Small text that may be mixed by lines. */
static snug_status read_text(merge *m, const git_oid *id, snug_arena *a, snug_slice *out, bool *ok,
                             snug_err *err)
{
    snug_status  st = SNUG_OK;
    git_object_t type;
    uint64_t     size;
    snug_sha256  oid;

    *ok = false;
    SNUG_TRY(vcs_object_header(m->r, id, &type, &size, err));
    if (type != GIT_OBJECT_BLOB || size > MIX_BYTES_MAX) goto done;
    SNUG_TRY(vcs_object_read(m->r, id, MIX_BYTES_MAX, a, out, err));
    *ok = !vcs_lfs_parse(*out, &oid, &size) &&
          (out->len == 0 || memchr(out->ptr, '\0', out->len) == NULL);
done:
    return st;
}

static git_merge_file_input mix_input(snug_slice s)
{
    git_merge_file_input in;
    (void)git_merge_file_input_init(&in, GIT_MERGE_FILE_INPUT_VERSION);
    in.ptr = s.ptr == NULL ? "" : s.ptr;
    in.size = s.len;
    return in;
}

static snug_status mix_files(merge *m, const git_diff_delta *mine, const git_diff_delta *their,
                             snug_arena *a, bool *mixed, snug_err *err)
{
    snug_status           st = SNUG_OK;
    git_merge_file_result res = {0};
    snug_slice            base, x, y;
    bool                  ok_base, ok_x, ok_y;
    vcs_oid               blob;

    *mixed = false;
    SNUG_TRY(read_text(m, &their->old_file.id, a, &base, &ok_base, err));
    SNUG_TRY(read_text(m, &mine->new_file.id, a, &x, &ok_x, err));
    SNUG_TRY(read_text(m, &their->new_file.id, a, &y, &ok_y, err));
    if (!ok_base || !ok_x || !ok_y) goto done;
    git_merge_file_input in_base = mix_input(base), in_x = mix_input(x), in_y = mix_input(y);
    if (git_merge_file(&res, &in_base, &in_x, &in_y, NULL) != 0) {
        st = vcs_fail_git(err, "mixing two versions of a file");
        goto done;
    }
    *mixed = res.automergeable != 0;
    if (!*mixed || m->d == NULL) goto done;
    SNUG_TRY(vcs_put_blob(m->r, snug_slice_of(res.ptr, res.len), &blob, err));
    SNUG_TRY(vcs_draft_put(m->d, snug_str(path_of(their)), &blob, err));
done:
    git_merge_file_result_free(&res);
    return st;
}

static bool same_change(const git_diff_delta *x, const git_diff_delta *y)
{
    if (x->status == GIT_DELTA_DELETED || y->status == GIT_DELTA_DELETED)
        return x->status == y->status;
    return x->new_file.mode == y->new_file.mode && git_oid_equal(&x->new_file.id, &y->new_file.id);
}

/* A folder on our side where theirs wants a file, or the other way round, is a conflict as well. */
static snug_status take_theirs(merge *m, const git_diff_delta *their, snug_err *err)
{
    snug_slice  path = snug_str(path_of(their));
    snug_status st;

    if (m->d == NULL) return SNUG_OK;
    if (their->status == GIT_DELTA_DELETED)
        st = vcs_draft_remove(m->d, path, err);
    else
        st = vcs_draft_put_as(m->d, path, &their->new_file.id, their->new_file.mode, err);
    if (st != SNUG_EPAYLOAD && st != SNUG_ENOTFOUND) return st;
    snug_err_clear(err);
    note_conflict(m, path.ptr);
    return SNUG_OK;
}

static snug_status merge_path(merge *m, const git_diff_delta *their, snug_err *err)
{
    snug_status           st = SNUG_OK;
    const git_diff_delta *mine = my_change(m, path_of(their));
    bool                  mixed = false;

    if (mine == NULL) return take_theirs(m, their, err);
    if (same_change(mine, their)) return SNUG_OK;
    if (mine->status == GIT_DELTA_MODIFIED && their->status == GIT_DELTA_MODIFIED &&
        mine->new_file.mode == their->new_file.mode) {
        snug_arena *a = snug_arena_new();
        st = mix_files(m, mine, their, a, &mixed, err);
        snug_arena_free(a);
    }
    if (st == SNUG_OK && !mixed) note_conflict(m, path_of(their));
    return st;
}

/* A file of ours where theirs made a folder of that name: removal and addition meet. Deletions go
 * first, so that "x" leaves before "x/y" comes. */
static snug_status merge_paths(merge *m, snug_err *err)
{
    snug_status st = SNUG_OK;
    size_t      n = git_diff_num_deltas(m->theirs);

    for (int additions = 0; additions < 2; additions++) {
        for (size_t i = 0; i < n; i++) {
            const git_diff_delta *d = git_diff_get_delta(m->theirs, i);
            if ((d->status != GIT_DELTA_DELETED) != (additions == 1)) continue;
            SNUG_TRY(merge_path(m, d, err));
        }
    }
done:
    return st;
}

static void sort_mine(merge *m)
{
    m->sorted_count = git_diff_num_deltas(m->mine);
    m->sorted = snug_alloc((m->sorted_count + 1) * sizeof(const git_diff_delta *));
    for (size_t i = 0; i < m->sorted_count; i++) m->sorted[i] = git_diff_get_delta(m->mine, i);
    if (m->sorted_count > 0)
        qsort(m->sorted, m->sorted_count, sizeof(const git_diff_delta *), by_path);
}

static snug_status merge_trees(merge *m, const vcs_oid *base_or_null, const vcs_oid *ours,
                               const vcs_oid *theirs, snug_slice message, const vcs_who *who,
                               snug_err *err)
{
    snug_status st = SNUG_OK;
    bool        unchanged;

    m->out->kind = VCS_MERGE_COMMIT;
    SNUG_TRY(diff_commits(m->r, base_or_null, ours, &m->mine, err));
    SNUG_TRY(diff_commits(m->r, base_or_null, theirs, &m->theirs, err));
    sort_mine(m);
    if (who != NULL) SNUG_TRY(vcs_draft_new(m->r, ours, &m->d, err));
    SNUG_TRY(merge_paths(m, err));
    if (who == NULL || m->out->kind == VCS_MERGE_CONFLICT) goto done;
    vcs_draft_add_parent(m->d, theirs);
    SNUG_TRY(vcs_draft_commit(m->d, message, who, &m->out->commit, &unchanged, err));
done:
    return st;
}

snug_status vcs_merge_commits(vcs_repo *r, const vcs_oid *ours, const vcs_oid *theirs,
                              snug_slice message, const vcs_who *who, snug_arena *a, vcs_merge *out,
                              snug_err *err)
{
    snug_status st = SNUG_OK;
    merge       m = {.r = r, .a = a, .out = out};
    vcs_oid     base;
    bool        related;

    *out = (vcs_merge){.kind = VCS_MERGE_NOTHING};
    SNUG_TRY(vcs_merge_base(r, ours, theirs, &base, &related, err));
    if (related && vcs_oid_eq(&base, theirs)) goto done;
    if (related && vcs_oid_eq(&base, ours)) {
        out->kind = VCS_MERGE_FORWARD;
        out->commit = *theirs;
        goto done;
    }
    SNUG_TRY(merge_trees(&m, related ? &base : NULL, ours, theirs, message, who, err));
done:
    vcs_draft_free(m.d);
    free(m.sorted);
    git_diff_free(m.mine);
    git_diff_free(m.theirs);
    return st;
}

/* ---- text ---- */

enum { DIFF_BLOB_MAX = 512 << 10 };

typedef struct diff_text {
    snug_buf *b;
    size_t    whole; /* bytes up to the last complete line */
} diff_text;

static int put_line(const git_diff_delta *d, const git_diff_hunk *h, const git_diff_line *l,
                    void *arg)
{
    diff_text *t = arg;
    (void)d;
    (void)h;
    if (l->origin == GIT_DIFF_LINE_CONTEXT || l->origin == GIT_DIFF_LINE_ADDITION ||
        l->origin == GIT_DIFF_LINE_DELETION)
        snug_buf_putc(t->b, l->origin);
    snug_buf_put(t->b, l->content, l->content_len);
    if (t->b->full) return GIT_EUSER;
    t->whole = t->b->len;
    return 0;
}

snug_status vcs_diff(vcs_repo *r, const vcs_oid *from_or_null, const vcs_oid *to, snug_buf *out,
                     bool *cut, snug_err *err)
{
    snug_status      st = SNUG_OK;
    git_tree        *x = NULL, *y = NULL;
    git_diff        *diff = NULL;
    git_diff_options o;
    diff_text        t = {.b = out, .whole = out->len};

    *cut = false;
    (void)git_diff_options_init(&o, GIT_DIFF_OPTIONS_VERSION);
    o.max_size = DIFF_BLOB_MAX;
    if (from_or_null != NULL) SNUG_TRY(vcs_open_root(r, from_or_null, &x, err));
    SNUG_TRY(vcs_open_root(r, to, &y, err));
    if (git_diff_tree_to_tree(&diff, r->git, x, y, &o) != 0) {
        st = vcs_fail_git(err, "comparing two trees");
        goto done;
    }
    int rc = git_diff_print(diff, GIT_DIFF_FORMAT_PATCH, put_line, &t);
    *cut = out->full;
    if (*cut) {
        out->len = t.whole;
        out->full = false;
        git_error_clear();
    } else if (rc != 0) {
        st = vcs_fail_git(err, "writing a diff");
    }
done:
    git_diff_free(diff);
    git_tree_free(x);
    git_tree_free(y);
    return st;
}
