/* SPDX-License-Identifier: Apache-2.0 */
/* vcs/log.c - commits: one, a page of history, how many there are.
 *
 * The order is that of `git rev-list`: newest committer time first among the commits whose child
 * was already given; of equal times the one met first. */
#include "vcs/vcs_int.h"

#include <stdlib.h>

/* ---- one commit ---- */

static bool is_blank(char c) { return c == '\n' || c == '\r' || c == ' ' || c == '\t'; }

static void split_message(snug_slice text, snug_slice *title, snug_slice *message)
{
    while (text.len > 0 && is_blank(text.ptr[0])) text = snug_sub(text, 1, text.len);
    while (text.len > 0 && is_blank(text.ptr[text.len - 1])) text.len--;
    size_t end = snug_index(text, '\n');
    *title = end == SIZE_MAX ? text : snug_sub(text, 0, end);
    while (title->len > 0 && is_blank(title->ptr[title->len - 1])) title->len--;
    *message = end == SIZE_MAX ? SNUG_EMPTY : snug_sub(text, end + 1, text.len);
    while (message->len > 0 && (message->ptr[0] == '\n' || message->ptr[0] == '\r')) {
        *message = snug_sub(*message, 1, message->len);
    }
}

static void describe(const git_commit *c, snug_arena *a, vcs_commit *out)
{
    const git_signature *author = git_commit_author(c);
    snug_slice           text = snug_arena_dup(a, snug_str(git_commit_message_raw(c)));
    *out = (vcs_commit){.id = vcs_oid_of(git_commit_id(c)),
                        .tree = vcs_oid_of(git_commit_tree_id(c)),
                        .author = snug_arena_dup(a, snug_str(author->name)),
                        .author_email = snug_arena_dup(a, snug_str(author->email)),
                        .when_ms = (int64_t)git_commit_time(c) * 1000,
                        .parent_count = git_commit_parentcount(c)};
    if (out->parent_count > 0) out->parent = vcs_oid_of(git_commit_parent_id(c, 0));
    split_message(text, &out->title, &out->message);
}

static snug_status open_commit(vcs_repo *r, const git_oid *id, git_commit **out, snug_err *err)
{
    int rc = git_commit_lookup(out, r->git, id);
    if (rc == GIT_ENOTFOUND) {
        return snug_fail_code(err, SNUG_ENOTFOUND, "RevisionNotFound", "Invalid rev id: %s",
                              git_oid_tostr_s(id));
    }
    return rc == 0 ? SNUG_OK : vcs_fail_git(err, "reading a commit");
}

snug_status vcs_read_commit(vcs_repo *r, const vcs_oid *id, snug_arena *a, vcs_commit *out,
                            snug_err *err)
{
    git_commit *c = NULL;
    snug_status st = open_commit(r, vcs_git_oid(id), &c, err);
    if (st != SNUG_OK) return st;
    describe(c, a, out);
    git_commit_free(c);
    return SNUG_OK;
}

/* ---- the walk: a heap of commits whose child was given ---- */

typedef struct queued {
    git_commit *c;
    int64_t     when;
    uint64_t    seq;
} queued;

typedef struct history {
    vcs_repo  *r;
    queued    *heap;
    size_t     count, cap;
    uint64_t   seq;
    vcs_oidset seen;
} history;

static bool comes_first(const queued *a, const queued *b)
{
    return a->when != b->when ? a->when > b->when : a->seq < b->seq;
}

static void swap(queued *a, queued *b)
{
    queued t = *a;
    *a = *b;
    *b = t;
}

static snug_status push_commit(history *h, const git_oid *id, snug_err *err)
{
    if (!vcs_oidset_add(&h->seen, id)) return SNUG_OK;
    if (h->count == h->cap) {
        h->cap = h->cap == 0 ? 64 : h->cap * 2;
        h->heap = snug_realloc(h->heap, h->cap * sizeof *h->heap);
    }
    queued      q = {.seq = h->seq++};
    snug_status st = open_commit(h->r, id, &q.c, err);
    if (st != SNUG_OK) return st;
    q.when = git_commit_time(q.c);
    size_t i = h->count++;
    h->heap[i] = q;
    for (; i > 0 && comes_first(&h->heap[i], &h->heap[(i - 1) / 2]); i = (i - 1) / 2) {
        swap(&h->heap[i], &h->heap[(i - 1) / 2]);
    }
    return SNUG_OK;
}

static git_commit *pop_commit(history *h)
{
    git_commit *c = h->heap[0].c;
    h->heap[0] = h->heap[--h->count];
    for (size_t i = 0;;) {
        size_t best = i, left = 2 * i + 1;
        for (size_t k = left; k < left + 2 && k < h->count; k++) {
            if (comes_first(&h->heap[k], &h->heap[best])) best = k;
        }
        if (best == i) break;
        swap(&h->heap[i], &h->heap[best]);
        i = best;
    }
    return c;
}

static snug_status push_parents(history *h, const git_commit *c, snug_err *err)
{
    snug_status st = SNUG_OK;
    unsigned    n = git_commit_parentcount(c);
    for (unsigned i = 0; st == SNUG_OK && i < n; i++) {
        st = push_commit(h, git_commit_parent_id(c, i), err);
    }
    return st;
}

static void history_deinit(history *h)
{
    for (size_t i = 0; i < h->count; i++) git_commit_free(h->heap[i].c);
    free(h->heap);
    vcs_oidset_deinit(&h->seen);
}

snug_status vcs_log(vcs_repo *r, const vcs_oid *from, size_t skip, size_t n, snug_arena *a,
                    vcs_commit **out, size_t *count, bool *more, snug_err *err)
{
    snug_status st = SNUG_OK;
    history     h = {.r = r};
    size_t      cap = 0;

    *out = NULL;
    *count = 0;
    *more = false;
    SNUG_TRY(push_commit(&h, vcs_git_oid(from), err));
    while (h.count > 0) {
        if (skip == 0 && *count == n) {
            *more = true;
            break;
        }
        git_commit *c = pop_commit(&h);
        st = push_parents(&h, c, err);
        if (st == SNUG_OK && skip > 0) {
            skip--;
        } else if (st == SNUG_OK) {
            if (*count == cap) {
                cap = cap == 0 ? 32 : cap * 2;
                vcs_commit *bigger = snug_arena_alloc(a, cap * sizeof *bigger);
                if (*count > 0) memcpy(bigger, *out, *count * sizeof *bigger);
                *out = bigger;
            }
            describe(c, a, &(*out)[(*count)++]);
        }
        git_commit_free(c);
        if (st != SNUG_OK) goto done;
    }
done:
    history_deinit(&h);
    return st;
}

/* ---- counting ----
 * The number of commits behind an id never changes, so it is remembered: after a push only the new
 * commits are walked, as long as history is a line. */

static vcs_count *count_slot(vcs *v, const git_oid *id)
{
    uint32_t h;
    memcpy(&h, id->id, sizeof h);
    return &v->counts[h % VCS_COUNT_SLOTS];
}

static bool recall_count(vcs *v, const git_oid *id, uint64_t *n)
{
    snug_lock(&v->info_mutex);
    const vcs_count *slot = count_slot(v, id);
    bool             hit = slot->used && git_oid_equal(&slot->id, id);
    if (hit) *n = slot->n;
    snug_unlock(&v->info_mutex);
    return hit;
}

static void remember_count(vcs *v, const git_oid *id, uint64_t n)
{
    snug_lock(&v->info_mutex);
    *count_slot(v, id) = (vcs_count){.id = *id, .n = n, .used = true};
    snug_unlock(&v->info_mutex);
}

/* Every commit reachable from `from`, in any order. */
static snug_status count_all(vcs_repo *r, const git_oid *from, uint64_t *out, snug_err *err)
{
    git_revwalk *w = NULL;
    git_oid      id;
    uint64_t     n = 0;
    int          rc = git_revwalk_new(&w, r->git);
    if (rc == 0) rc = git_revwalk_push(w, from);
    while (rc == 0 && (rc = git_revwalk_next(&id, w)) == 0) n++;
    git_revwalk_free(w);
    if (rc != GIT_ITEROVER) return vcs_fail_git(err, "counting commits");
    *out = n;
    return SNUG_OK;
}

snug_status vcs_count_commits(vcs_repo *r, const vcs_oid *from, uint64_t *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    git_oid     id = *vcs_git_oid(from);
    uint64_t    line = 0, rest = 0;

    for (bool at_root = false; !at_root; line++) { /* down the line, to what is known */
        if (recall_count(r->owner, &id, &rest)) break;
        git_commit *c = NULL;
        SNUG_TRY(open_commit(r, &id, &c, err));
        unsigned parents = git_commit_parentcount(c);
        if (parents == 1) id = *git_commit_parent_id(c, 0);
        git_commit_free(c);
        at_root = parents == 0;
        if (parents > 1) {
            SNUG_TRY(count_all(r, &id, &rest, err));
            remember_count(r->owner, &id, rest);
            break;
        }
    }
    *out = line + rest;
    remember_count(r->owner, vcs_git_oid(from), *out);
done:
    return st;
}
