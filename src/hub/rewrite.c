/* SPDX-License-Identifier: Apache-2.0 */
/* hub/rewrite.c - large files leave a repository: its links, and if asked for all of its history.
 *
 *   repository's lock ─▶ new commits (vcs_rewrite_open) ─▶ rows of pull requests name them
 *                     ─▶ side refs move ─▶ main moves ─▶ row of main ─▶ links go
 *
 * For:     api/upkeep.c.
 * Owns:    nothing.
 * Threads: the opened repository's thread.
 * Truth:   each step is the same when made twice, so after a crash the same call ends the work.
 *          An object dropped here stays in the store for others that link it. */
#include <stdlib.h>

#include "hub/hub_int.h"

enum { DROP_MAX = 1000, PAGE = 500, TRIES = 5 };

typedef struct dropped {
    const blob_id *v; /* sorted */
    size_t         n;
} dropped;

static int compare_ids(const void *a, const void *b) { return memcmp(a, b, sizeof(blob_id)); }

static bool is_dropped(void *arg, const vcs_lfs *lfs)
{
    const dropped *d = arg;
    return bsearch(&lfs->oid, d->v, d->n, sizeof *d->v, compare_ids) != NULL;
}

/* ---- what rows say about commits ---- */

static snug_status swap_page(db_txn *tx, int64_t repo, const vcs_rewrite *w, const snug_slice *list,
                             size_t n, snug_err *err)
{
    snug_status st = SNUG_OK;
    vcs_oid     old, now;
    char        hex[41];
    for (size_t i = 0; i < n; i++) {
        if (!vcs_oid_parse(list[i], &old) || !vcs_rewrite_find(w, &old, &now)) continue;
        vcs_oid_hex(&now, hex);
        SNUG_TRY(store_swap_talk_commit(tx, repo, list[i], snug_str(hex), err));
    }
done:
    return st;
}

static snug_status swap_rows(hub *h, int64_t repo, const vcs_rewrite *w, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    db_txn     *tx = NULL;
    snug_slice  after = SNUG_EMPTY, *list;
    size_t      n = PAGE;

    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    while (n == PAGE) {
        SNUG_TRY(store_list_talk_commits(tx, a, repo, after, PAGE, &list, &n, err));
        SNUG_TRY(swap_page(tx, repo, w, list, n, err));
        if (n > 0) after = list[n - 1];
    }
    st = db_end(tx, true, err);
    tx = NULL;
done:
    db_rollback(tx);
    snug_arena_free(a);
    return st;
}

/* ---- refs ---- */

static bool is_main(const vcs_moved *m) { return snug_eq_str(m->ref, "refs/heads/main"); }

/* Main last: while it holds the files a crash is seen, and the call made again. */
static snug_status move_refs(hub_repo *r, const vcs_moved *v, size_t n, hub_ref_move *told,
                             size_t *count, bool *main_moved, snug_err *err)
{
    snug_status st = SNUG_OK;
    *count = 0;
    *main_moved = false;
    for (int last = 0; last < 2; last++) {
        for (size_t i = 0; i < n; i++) {
            if (is_main(&v[i]) != (last == 1)) continue;
            SNUG_TRY(vcs_update_ref(r->git, v[i].ref, &v[i].old, &v[i].now, err));
            if (last == 1)
                *main_moved = true;
            else
                told[(*count)++] = (hub_ref_move){v[i].ref, &v[i].old, &v[i].now};
        }
    }
done:
    return st;
}

/* *again: somebody moved a ref meanwhile (branches and tags need no lock). */
static snug_status rewrite_once(hub *h, hub_repo *r, const dropped *d, bool *again, snug_err *err)
{
    snug_status      st = SNUG_OK;
    vcs_rewrite     *w = NULL;
    const vcs_moved *v;
    hub_ref_move    *told = NULL;
    size_t           n, count = 0;
    bool             main_moved = false;
    union {
        const dropped *in;
        void          *out;
    } arg = {d};

    *again = false;
    SNUG_TRY(vcs_rewrite_open(r->git, is_dropped, arg.out, &w, err));
    v = vcs_rewrite_refs(w, &n);
    if (n == 0) goto done;
    told = snug_alloc(n * sizeof *told);
    SNUG_TRY(swap_rows(h, r->info.row, w, err));
    HUB_FAULT("hub.rewrite.before_refs", err, st);
    st = move_refs(r, v, n, told, &count, &main_moved, err);
    *again = st == SNUG_ESTALE;
    hub_tell_refs(h, &r->info, told, count);
    hub_left_behind(h, r->info.row);
    if (main_moved) SNUG_TRY(hub_refresh_row_locked(h, r->info.row, r->git, snug_now_ms(), err));
done:
    free(told);
    vcs_rewrite_close(w);
    return st;
}

static snug_status rewrite_history(hub *h, hub_repo *r, const dropped *d, snug_err *err)
{
    snug_status st = hub_lock_repo(h, r->info.row, err);
    bool        again = true;
    if (st != SNUG_OK) return st;
    for (int i = 0; i < TRIES && again; i++) {
        snug_err_clear(err);
        st = rewrite_once(h, r, d, &again, err);
    }
    hub_unlock_repo(h, r->info.row);
    hub_touch(h, &r->info.id);
    return st;
}

/* ---- links ---- */

/* Left in history the pointers lead nowhere, and that is noted: it is no damage. */
static snug_status drop_links(hub *h, int64_t repo, const dropped *d, bool noted, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    bool        found;
    char        hex[65];

    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    for (size_t i = 0; i < d->n; i++) {
        blob_id_hex(&d->v[i], hex);
        SNUG_TRY(store_unlink_lfs(tx, repo, snug_str(hex), &found, err));
        if (found && noted) SNUG_TRY(store_note_dropped(tx, repo, snug_str(hex), err));
    }
    st = db_end(tx, true, err);
    tx = NULL;
done:
    db_rollback(tx);
    return st;
}

/* What main takes is known only now. */
static void refresh_size(hub *h, hub_repo *r)
{
    snug_err err = {0};
    if (hub_after_ref_change(h, &r->info.id, &err) != SNUG_OK)
        snug_log_err(SNUG_WARN, "hub.rewrite.row", &err);
}

snug_status hub_drop_lfs(hub *h, const hub_actor *who, hub_repo *r, const blob_id *oids, size_t n,
                         bool rewrite, snug_err *err)
{
    snug_status   st = SNUG_OK;
    snug_arena   *a = snug_arena_new();
    hub_repo_info again;
    SNUG_AUTO(hub_hold) hold = {-1};

    if (n > DROP_MAX) SNUG_FAIL(err, SNUG_EINVAL, "at most %d files at once", (int)DROP_MAX);
    SNUG_TRY(hub_hold_begin(h, &hold, err));
    SNUG_TRY(hub_find_repo(h, who, &r->info.id, HUB_ROLE_WRITE, a, &again, err));
    blob_id *sorted = snug_arena_alloc(a, (n + 1) * sizeof *sorted);
    if (n > 0) memcpy(sorted, oids, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, compare_ids);
    const dropped d = {sorted, n};
    if (rewrite && n > 0) SNUG_TRY(rewrite_history(h, r, &d, err));
    HUB_FAULT("hub.rewrite.before_links", err, st);
    SNUG_TRY(drop_links(h, r->info.row, &d, !rewrite, err));
    hub_touch(h, &r->info.id);
    refresh_size(h, r);
done:
    snug_arena_free(a);
    return st;
}
