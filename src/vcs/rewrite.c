/* SPDX-License-Identifier: Apache-2.0 */
/* vcs/rewrite.c - history without certain large files: every commit of every ref made anew.
 *
 *   refs -> commits, parents first -> trees without the pointers -> commits that name those trees
 *           and the new parents -> annotated tags that name the new commits -> what the refs
 *           should name
 *
 * A commit that neither held such a file nor stands on one that did keeps its id. One that changes
 * keeps author, committer, times and message; its signature goes, since it signed something else.
 * A folder left empty goes with its last file; a commit left without a change stays, so that the
 * count and the order of commits do not move. The same input gives the same ids: a rewrite that
 * was cut off is simply made again.
 *
 * For:     vcs.h; hub/rewrite.c moves the refs.
 * Owns:    nothing: the new objects are pending in the handle.
 * Threads: the one that holds the handle.
 * Truth:   no ref moves here. */
#include <stdlib.h>

#include "vcs/vcs_int.h"

enum { COMMIT_MAX = 16 << 20, TREE_MAX = 256 << 20, TAG_DEPTH_MAX = 8, OID = 20 };

/* ---- old id -> new id: open addressing, a zero key is a free slot ---- */

typedef struct pair {
    git_oid from, to; /* to zero: nothing is left of it */
} pair;
typedef struct pairs {
    pair  *slot;
    size_t count, mask;
} pairs;

struct vcs_rewrite {
    vcs_repo     *r;
    vcs_drop_lfs *drop;
    void         *arg;
    pairs         commits, trees;
    snug_arena   *a;
    vcs_moved    *refs;
    size_t        ref_count, ref_cap;
};

static pair *slot_of(const pairs *m, const git_oid *from)
{
    uint64_t h;
    memcpy(&h, from->id, sizeof h);
    size_t i = (size_t)h & m->mask;
    while (!git_oid_is_zero(&m->slot[i].from) && !git_oid_equal(&m->slot[i].from, from))
        i = (i + 1) & m->mask;
    return &m->slot[i];
}

static const git_oid *find_pair(const pairs *m, const git_oid *from)
{
    if (m->slot == NULL) return NULL;
    const pair *p = slot_of(m, from);
    return git_oid_is_zero(&p->from) ? NULL : &p->to;
}

static void put_pair(pairs *m, const git_oid *from, const git_oid *to)
{
    if (m->slot == NULL || (m->count + 1) * 2 > m->mask) {
        pairs bigger = {.mask = m->slot == NULL ? 255 : (m->mask + 1) * 2 - 1, .count = m->count};
        bigger.slot = snug_zalloc((bigger.mask + 1) * sizeof *bigger.slot);
        for (size_t i = 0; m->slot != NULL && i <= m->mask; i++)
            if (!git_oid_is_zero(&m->slot[i].from))
                *slot_of(&bigger, &m->slot[i].from) = m->slot[i];
        free(m->slot);
        *m = bigger;
    }
    pair *p = slot_of(m, from);
    if (git_oid_is_zero(&p->from)) m->count++;
    *p = (pair){*from, *to};
}

/* ---- trees: entries are "mode name\0id", one after the other ---- */

typedef struct item {
    snug_slice head; /* mode, space, name and the NUL */
    unsigned   mode;
    git_oid    id;
} item;

static bool read_mode(snug_slice text, unsigned *out)
{
    *out = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '7' || i >= 6) return false;
        *out = *out * 8 + (unsigned)(text.ptr[i] - '0');
    }
    return text.len > 0;
}

static bool take_item(snug_slice *left, item *out)
{
    size_t space = snug_index(*left, ' '), nul = snug_index(*left, '\0');
    if (space == SIZE_MAX || nul == SIZE_MAX || space > nul || left->len - nul - 1 < OID)
        return false;
    out->head = snug_sub(*left, 0, nul + 1);
    memcpy(out->id.id, left->ptr + nul + 1, OID);
    *left = snug_sub(*left, nul + 1 + OID, left->len);
    return read_mode(snug_sub(out->head, 0, space), &out->mode);
}

static snug_status rewrite_tree(vcs_rewrite *w, const git_oid *id, unsigned depth, git_oid *to,
                                snug_err *err);

/* What stands for this entry; *gone: nothing does. */
static snug_status rewrite_item(vcs_rewrite *w, const item *it, unsigned depth, git_oid *to,
                                bool *gone, snug_err *err)
{
    snug_status st = SNUG_OK;
    vcs_entry   e;
    *gone = false;
    *to = it->id;
    if ((it->mode & 0170000u) == 0040000u) {
        SNUG_TRY(rewrite_tree(w, &it->id, depth + 1, to, err));
        *gone = git_oid_is_zero(to);
    } else if ((it->mode & 0170000u) == 0100000u) {
        SNUG_TRY(vcs_fill_entry(w->r, &it->id, it->mode, &e, err));
        *gone = e.lfs.is_lfs && w->drop(w->arg, &e.lfs);
    }
done:
    return st;
}

static snug_status rewrite_tree(vcs_rewrite *w, const git_oid *id, unsigned depth, git_oid *to,
                                snug_err *err)
{
    snug_status    st = SNUG_OK;
    snug_arena    *a = NULL;
    snug_slice     bytes;
    bool           changed = false;
    snug_buf       b = snug_buf_init(TREE_MAX);
    const git_oid *known = find_pair(&w->trees, id);

    if (known != NULL) {
        *to = *known;
        return SNUG_OK;
    }
    if (depth > VCS_DEPTH_MAX)
        return snug_fail(err, SNUG_ELIMIT, "a folder lies more than %d folders deep",
                         (int)VCS_DEPTH_MAX);
    a = snug_arena_new();
    SNUG_TRY(vcs_object_read(w->r, id, TREE_MAX, a, &bytes, err));
    while (bytes.len > 0) {
        item    it;
        git_oid now;
        bool    gone;
        if (!take_item(&bytes, &it)) SNUG_FAIL(err, SNUG_ECORRUPT, "a git tree is damaged");
        SNUG_TRY(rewrite_item(w, &it, depth, &now, &gone, err));
        changed = changed || gone || !git_oid_equal(&now, &it.id);
        if (gone) continue;
        snug_buf_put_slice(&b, it.head);
        snug_buf_put_slice(&b, snug_slice_of(now.id, sizeof now.id));
    }
    SNUG_TRY(snug_buf_check(&b, "a folder", err));
    if (!changed)
        *to = *id;
    else if (b.len == 0 && depth > 0)
        memset(to, 0, sizeof *to);
    else
        SNUG_TRY(vcs_write_object(w->r, GIT_OBJECT_TREE, snug_buf_slice(&b), to, err));
    put_pair(&w->trees, id, to);
done:
    snug_buf_deinit(&b);
    snug_arena_free(a);
    return st;
}

/* ---- commits and tags: lines of "name value", continued by lines with a space in front ---- */

static bool take_header(snug_slice *left, snug_slice *name, snug_slice *value, snug_slice *all)
{
    size_t end = 0;
    do {
        size_t n = snug_index(snug_sub(*left, end, left->len), '\n');
        if (n == SIZE_MAX) return false;
        end += n + 1;
    } while (end < left->len && left->ptr[end] == ' ');
    *all = snug_sub(*left, 0, end);
    size_t space = snug_index(*all, ' ');
    *name = snug_sub(*all, 0, space == SIZE_MAX ? end - 1 : space);
    *value = space == SIZE_MAX ? SNUG_EMPTY : snug_sub(*all, space + 1, end - space - 2);
    *left = snug_sub(*left, end, left->len);
    return true;
}

static bool is_signature(snug_slice name)
{
    return snug_eq_str(name, "gpgsig") || snug_eq_str(name, "gpgsig-sha256") ||
           snug_eq_str(name, "mergetag");
}

static void put_line(snug_buf *b, const char *name, const git_oid *id)
{
    char    hex[41];
    vcs_oid o = vcs_oid_of(id);
    vcs_oid_hex(&o, hex);
    snug_buf_printf(b, "%s %s\n", name, hex);
}

static const git_oid *now_of(const vcs_rewrite *w, const git_oid *commit)
{
    const git_oid *to = find_pair(&w->commits, commit);
    return to != NULL ? to : commit;
}

static snug_status copy_commit(vcs_rewrite *w, snug_slice text, snug_buf *b, bool *changed,
                               snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_slice  name, value, all;

    while (text.len > 0 && text.ptr[0] != '\n') {
        vcs_oid id;
        git_oid tree;
        if (!take_header(&text, &name, &value, &all))
            SNUG_FAIL(err, SNUG_ECORRUPT, "a git commit is damaged");
        bool is_tree = snug_eq_str(name, "tree"), is_parent = snug_eq_str(name, "parent");
        if ((is_tree || is_parent) && !vcs_oid_parse(value, &id))
            SNUG_FAIL(err, SNUG_ECORRUPT, "a git commit is damaged");
        if (is_tree) {
            SNUG_TRY(rewrite_tree(w, vcs_git_oid(&id), 0, &tree, err));
            *changed = *changed || !git_oid_equal(&tree, vcs_git_oid(&id));
            put_line(b, "tree", &tree);
        } else if (is_parent) {
            const git_oid *now = now_of(w, vcs_git_oid(&id));
            *changed = *changed || !git_oid_equal(now, vcs_git_oid(&id));
            put_line(b, "parent", now);
        } else if (!is_signature(name)) {
            snug_buf_put_slice(b, all);
        }
    }
    snug_buf_put_slice(b, text);
    SNUG_TRY(snug_buf_check(b, "a commit", err));
done:
    return st;
}

static snug_status rewrite_commit(vcs_rewrite *w, const git_oid *id, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    snug_buf    b = snug_buf_init(COMMIT_MAX);
    snug_slice  text;
    git_oid     to;
    bool        changed = false;

    SNUG_TRY(vcs_object_read(w->r, id, COMMIT_MAX, a, &text, err));
    SNUG_TRY(copy_commit(w, text, &b, &changed, err));
    if (!changed) goto done;
    SNUG_TRY(vcs_write_object(w->r, GIT_OBJECT_COMMIT, snug_buf_slice(&b), &to, err));
    put_pair(&w->commits, id, &to);
done:
    snug_buf_deinit(&b);
    snug_arena_free(a);
    return st;
}

/* What a ref's object becomes: itself when nothing behind it changed. */
static snug_status rewrite_target(vcs_rewrite *w, const git_oid *id, unsigned depth, git_oid *to,
                                  snug_err *err)
{
    snug_status  st = SNUG_OK;
    snug_arena  *a = snug_arena_new();
    snug_buf     b = snug_buf_init(COMMIT_MAX);
    snug_slice   text, name, value, all;
    git_object_t type;
    uint64_t     size;
    vcs_oid      target;
    git_oid      now;

    *to = *now_of(w, id);
    SNUG_TRY(vcs_object_header(w->r, id, &type, &size, err));
    if (type != GIT_OBJECT_TAG || depth > TAG_DEPTH_MAX) goto done;
    SNUG_TRY(vcs_object_read(w->r, id, COMMIT_MAX, a, &text, err));
    if (!take_header(&text, &name, &value, &all) || !snug_eq_str(name, "object") ||
        !vcs_oid_parse(value, &target))
        SNUG_FAIL(err, SNUG_ECORRUPT, "a git tag is damaged");
    SNUG_TRY(rewrite_target(w, vcs_git_oid(&target), depth + 1, &now, err));
    if (git_oid_equal(&now, vcs_git_oid(&target))) goto done;
    put_line(&b, "object", &now);
    static const char signature[] = "\n-----BEGIN ";
    const char       *sig = memmem(text.ptr, text.len, signature, sizeof signature - 1);
    snug_buf_put_slice(&b, sig == NULL ? text : snug_sub(text, 0, (size_t)(sig - text.ptr) + 1));
    SNUG_TRY(snug_buf_check(&b, "a tag", err));
    SNUG_TRY(vcs_write_object(w->r, GIT_OBJECT_TAG, snug_buf_slice(&b), to, err));
done:
    snug_buf_deinit(&b);
    snug_arena_free(a);
    return st;
}

/* ---- the walk ---- */

static void add_ref(vcs_rewrite *w, const char *name, const git_oid *id)
{
    if (w->ref_count == w->ref_cap) {
        w->ref_cap = w->ref_cap == 0 ? 32 : 2 * w->ref_cap;
        w->refs = snug_realloc(w->refs, w->ref_cap * sizeof *w->refs);
    }
    w->refs[w->ref_count++] =
        (vcs_moved){.ref = snug_arena_dup(w->a, snug_str(name)), .old = vcs_oid_of(id)};
}

static snug_status list_refs(vcs_rewrite *w, git_revwalk *walk, snug_err *err)
{
    git_reference_iterator *it = NULL;
    git_reference          *ref = NULL;
    int                     rc = git_reference_iterator_new(&it, w->r->git);
    while (rc == 0 && (rc = git_reference_next(&ref, it)) == 0) {
        /* One that leads to no commit (a tag on a file) holds no history. */
        if (git_reference_type(ref) == GIT_REFERENCE_DIRECT &&
            git_revwalk_push_ref(walk, git_reference_name(ref)) == 0)
            add_ref(w, git_reference_name(ref), git_reference_target(ref));
        git_reference_free(ref);
    }
    git_reference_iterator_free(it);
    return rc == GIT_ITEROVER ? SNUG_OK : vcs_fail_git(err, "listing refs");
}

static snug_status rewrite_all(vcs_rewrite *w, snug_err *err)
{
    snug_status  st = SNUG_OK;
    git_revwalk *walk = NULL;
    git_oid      id;
    int          rc = git_revwalk_new(&walk, w->r->git);

    if (rc == 0) rc = git_revwalk_sorting(walk, GIT_SORT_TOPOLOGICAL | GIT_SORT_REVERSE);
    if (rc != 0) {
        st = vcs_fail_git(err, "walking commits");
        goto done;
    }
    SNUG_TRY(list_refs(w, walk, err));
    while ((rc = git_revwalk_next(&id, walk)) == 0) SNUG_TRY(rewrite_commit(w, &id, err));
    if (rc != GIT_ITEROVER) st = vcs_fail_git(err, "walking commits");
done:
    git_revwalk_free(walk);
    return st;
}

static snug_status keep_moved(vcs_rewrite *w, snug_err *err)
{
    snug_status st = SNUG_OK;
    size_t      n = 0;
    for (size_t i = 0; i < w->ref_count; i++) {
        git_oid to;
        SNUG_TRY(rewrite_target(w, vcs_git_oid(&w->refs[i].old), 0, &to, err));
        if (git_oid_equal(&to, vcs_git_oid(&w->refs[i].old))) continue;
        w->refs[i].now = vcs_oid_of(&to);
        w->refs[n++] = w->refs[i];
    }
    w->ref_count = n;
done:
    return st;
}

snug_status vcs_rewrite_open(vcs_repo *r, vcs_drop_lfs *drop, void *arg, vcs_rewrite **out,
                             snug_err *err)
{
    snug_status  st = SNUG_OK;
    vcs_rewrite *w = snug_zalloc(sizeof *w);

    *out = NULL;
    *w = (vcs_rewrite){.r = r, .drop = drop, .arg = arg, .a = snug_arena_new()};
    SNUG_TRY(rewrite_all(w, err));
    SNUG_TRY(keep_moved(w, err));
    SNUG_TRY(vcs_flush_objects(r, err));
    *out = w;
    w = NULL;
done:
    vcs_rewrite_close(w);
    return st;
}

const vcs_moved *vcs_rewrite_refs(const vcs_rewrite *w, size_t *count)
{
    *count = w->ref_count;
    return w->refs;
}

bool vcs_rewrite_find(const vcs_rewrite *w, const vcs_oid *old, vcs_oid *now)
{
    const git_oid *to = find_pair(&w->commits, vcs_git_oid(old));
    if (to != NULL) *now = vcs_oid_of(to);
    return to != NULL;
}

void vcs_rewrite_close(vcs_rewrite *w)
{
    if (w == NULL) return;
    snug_arena_free(w->a);
    free(w->commits.slot);
    free(w->trees.slot);
    free(w->refs);
    free(w);
}
