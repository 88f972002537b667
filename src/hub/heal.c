/* SPDX-License-Identifier: Apache-2.0 */
/* hub/heal.c - after a crash: rows and git folders agree again before anyone asks.
 *
 *   row        git folder                 what is done
 *   MAKING     any                        creation was never acknowledged: both go
 *   DELETING   any                        deletion was: both go
 *   LIVE       there, main elsewhere      the row follows the ref (hub_reconcile_repo)
 *   LIVE       missing                    marked disabled and logged: somebody lost a disk
 *   none       there                      moved to <data>/lost, never destroyed
 *
 * Pull requests half made or half merged are ended by hub_heal_pulls (pulls.c).
 *
 * For:     hub_open.
 * Owns:    <data>/lost.
 * Threads: hub_heal runs before there are others.
 * Truth:   it may be interrupted at any point and run again. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

#include "hub/hub_int.h"

static snug_status is_indexed(hub *h, int64_t row, bool *yes, snug_err *err)
{
    db_txn     *tx = NULL;
    snug_status st = db_begin(h->db, DB_READ, &tx, err);
    if (st == SNUG_OK) st = store_is_indexed(tx, row, yes, err);
    db_rollback(tx);
    return st;
}

snug_status hub_reconcile_repo(hub *h, int64_t row, snug_err *err)
{
    snug_status   st = SNUG_OK;
    snug_arena   *a = snug_arena_new();
    vcs_repo     *git = NULL;
    hub_repo_info info;
    vcs_oid       head;
    bool          found, indexed, locked = false;

    SNUG_TRY(hub_lock_repo(h, row, err));
    locked = true;
    SNUG_TRY(hub_load_row(h, row, a, &info, &found, err));
    if (!found) goto done;
    SNUG_TRY(vcs_acquire(h->vcs, snug_str(info.key), &git, err));
    st = vcs_resolve_rev(git, SNUG_LIT("refs/heads/main"), &head, err);
    if (st != SNUG_OK && st != SNUG_ENOTFOUND) goto done;
    bool same = st == SNUG_OK && vcs_oid_eq(&head, &info.head);
    SNUG_TRY(is_indexed(h, row, &indexed, err));
    if (same && indexed) goto done;
    SNUG_TRY(hub_refresh_row_locked(h, row, git, snug_now_ms(), err));
    snug_metric_add(SNUG_M_RECONCILED, 1);
    snug_log(SNUG_INFO, "hub.reconciled", "repo=%s/%s", info.id.ns, info.id.name);
done:
    vcs_release(git);
    if (locked) hub_unlock_repo(h, row);
    snug_arena_free(a);
    return st;
}

static snug_status set_disabled(hub *h, int64_t row, bool disabled, snug_err *err)
{
    db_txn     *tx = NULL;
    snug_status st = db_begin(h->db, DB_WRITE, &tx, err);
    if (st == SNUG_OK) st = store_set_disabled(tx, row, disabled, err);
    if (st == SNUG_OK) {
        st = db_end(tx, true, err);
        tx = NULL;
    }
    db_rollback(tx);
    return st;
}

static snug_status heal_row(hub *h, const store_repo *r, snug_err *err)
{
    snug_status st = SNUG_OK;
    bool        there = vcs_repo_exists(h->vcs, r->git_key);

    if (r->state != STORE_LIVE) {
        snug_log(SNUG_INFO, "hub.cleared", "repo=%.*s/%.*s", SNUG_SLICE(r->ns),
                 SNUG_SLICE(r->name));
        return hub_finish_delete(h, r->id, r->git_key, err);
    }
    if (!there && !r->disabled) {
        snug_log(SNUG_ERROR, "hub.git_missing", "repo=%.*s/%.*s key=%.*s", SNUG_SLICE(r->ns),
                 SNUG_SLICE(r->name), SNUG_SLICE(r->git_key));
        return set_disabled(h, r->id, true, err);
    }
    if (there && r->disabled) SNUG_TRY(set_disabled(h, r->id, false, err));
    if (there) st = hub_reconcile_repo(h, r->id, err);
    if (st != SNUG_OK) { /* one broken repository does not keep the others from starting */
        snug_log_err(SNUG_ERROR, "hub.reconcile", err);
        snug_err_clear(err);
        st = SNUG_OK;
    }
done:
    return st;
}

static snug_status heal_rows(hub *h, snug_err *err)
{
    enum { PAGE = 200 };
    snug_status st = SNUG_OK;
    int64_t     after = 0;
    size_t      count = PAGE;

    while (count == PAGE) {
        snug_arena *a = snug_arena_new();
        db_txn     *tx = NULL;
        store_repo *rows = NULL;
        st = db_begin(h->db, DB_READ, &tx, err);
        if (st == SNUG_OK) st = store_walk_repos(tx, a, after, PAGE, &rows, &count, err);
        db_rollback(tx);
        for (size_t i = 0; st == SNUG_OK && i < count; i++) {
            st = heal_row(h, &rows[i], err);
            after = rows[i].id;
        }
        snug_arena_free(a);
        if (st != SNUG_OK) break;
    }
    return st;
}

/* ---- folders without a row ---- */

static snug_status known_key(hub *h, snug_slice key, bool *known, snug_err *err)
{
    db_txn     *tx = NULL;
    snug_status st = db_begin(h->db, DB_READ, &tx, err);
    if (st == SNUG_OK) st = store_git_key_used(tx, key, known, err);
    db_rollback(tx);
    return st;
}

static snug_status set_aside(hub *h, const char *folder, const char *name, snug_err *err)
{
    snug_status st = SNUG_OK;
    SNUG_AUTO(snug_buf) from = snug_buf_init(8192);
    SNUG_AUTO(snug_buf) to = snug_buf_init(8192);
    SNUG_AUTO(snug_buf) lost = snug_buf_init(8192);

    snug_buf_printf(&lost, "%s/lost", h->data_dir);
    snug_buf_printf(&from, "%s/%s", folder, name);
    snug_buf_printf(&to, "%s/lost/%s", h->data_dir, name);
    if (from.full || to.full || lost.full)
        SNUG_FAIL(err, SNUG_EINVAL, "the data directory's path is too long");
    SNUG_TRY(snug_mkdirs(snug_buf_cstr(&lost), 0700, err));
    if (rename(snug_buf_cstr(&from), snug_buf_cstr(&to)) != 0) {
        st = snug_fail_sys(err, errno, "rename %s", snug_buf_cstr(&from));
        goto done;
    }
    snug_log(SNUG_WARN, "hub.git_without_row", "moved_to=%s", snug_buf_cstr(&to));
done:
    return st;
}

/* One folder <git>/<xx>; its entries are <key>.git. */
static snug_status heal_folder(hub *h, const char *folder, snug_err *err)
{
    snug_status    st = SNUG_OK;
    DIR           *dir = opendir(folder);
    struct dirent *e;

    if (dir == NULL) return SNUG_OK; /* a file, or gone: not ours */
    while (st == SNUG_OK && (e = readdir(dir)) != NULL) {
        snug_slice name = snug_str(e->d_name);
        bool       known = true;
        if (name.len < 5 || !snug_ends_with(name, ".git") || name.ptr[0] == '.') continue;
        st = known_key(h, snug_sub(name, 0, name.len - 4), &known, err);
        if (st == SNUG_OK && !known) st = set_aside(h, folder, e->d_name, err);
    }
    (void)closedir(dir);
    return st;
}

static snug_status heal_folders(hub *h, snug_err *err)
{
    snug_status    st = SNUG_OK;
    DIR           *dir = opendir(h->git_dir);
    struct dirent *e;

    if (dir == NULL) return snug_fail_sys(err, errno, "opendir %s", h->git_dir);
    while (st == SNUG_OK && (e = readdir(dir)) != NULL) {
        SNUG_AUTO(snug_buf) path = snug_buf_init(8192);
        if (strlen(e->d_name) != 2 || e->d_name[0] == '.') continue;
        snug_buf_printf(&path, "%s/%s", h->git_dir, e->d_name);
        if (!path.full) st = heal_folder(h, snug_buf_cstr(&path), err);
    }
    (void)closedir(dir);
    return st;
}

snug_status hub_heal(hub *h, snug_err *err)
{
    snug_status st = heal_rows(h, err);
    if (st == SNUG_OK) st = hub_heal_pulls(h, err);
    if (st == SNUG_OK) st = hub_heal_news(h, err);
    return st == SNUG_OK ? heal_folders(h, err) : st;
}
