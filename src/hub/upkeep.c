/* SPDX-License-Identifier: Apache-2.0 */
/* hub/upkeep.c - repositories as wholes: squashed, duplicated, their large objects, what one owns.
 *
 * For:     api/upkeep.c; hub_create_repo for duplicates.
 * Owns:    nothing.
 * Threads: the opened repository's thread.
 * Truth:   a duplicate is made like any repository: nobody sees it before its first commit holds
 *          all files. An object dropped here stays in the store for others that link it. */
#include <stdlib.h>

#include "hub/hub_int.h"

enum { PAGE = 1000, TAGS_MAX = 5000, NAMES_MAX = 200000 };

/* ---- one commit instead of many ---- */

snug_status hub_squash_branch(hub *h, const hub_actor *who, hub_repo *r, snug_slice rev,
                              snug_slice message, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    vcs_oid     tip, one;
    snug_slice  ref;
    vcs_who     author;
    bool        locked = false;
    SNUG_AUTO(hub_hold) hold = {-1};

    SNUG_TRY(hub_hold_begin(h, &hold, err));
    if (r->role < HUB_ROLE_WRITE)
        SNUG_FAIL(err, SNUG_EFORBIDDEN, "This needs the right to write to the repository");
    if (message.len > HUB_MESSAGE_MAX || !snug_utf8_valid(message))
        SNUG_FAIL(err, SNUG_EINVAL, "a message is text of at most %d bytes", HUB_MESSAGE_MAX);
    if (message.len == 0) message = SNUG_LIT("Squash history");
    SNUG_TRY(hub_lock_repo(h, r->info.row, err));
    locked = true;
    SNUG_TRY(vcs_resolve_branch(r->git, rev, a, &ref, &tip, err));
    hub_who_of(who, a, &author);
    SNUG_TRY(vcs_squash(r->git, &tip, message, &author, &one, err));
    SNUG_TRY(vcs_update_ref(r->git, ref, &tip, &one, err));
    hub_left_behind(h, r->info.row);
    if (hub_pull_number(ref) > 0)
        SNUG_TRY(hub_sync_pull_locked(h, &r->info, r->git, hub_pull_number(ref), err));
    if (snug_eq_str(ref, "refs/heads/main"))
        SNUG_TRY(hub_refresh_row_locked(h, r->info.row, r->git, snug_now_ms(), err));
    else if (hub_pull_number(ref) == 0)
        hub_tell_ref(h, &r->info, ref, &tip, &one);
    hub_touch(h, &r->info.id);
done:
    if (locked) hub_unlock_repo(h, r->info.row);
    snug_arena_free(a);
    return st;
}

/* ---- a repository with the files of another ---- */

static snug_status copy_entry(hub *h, const hub_actor *who, vcs_repo *git, vcs_draft *d,
                              hub_repo *from, const vcs_entry *e, int64_t to, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    snug_slice  bytes;
    vcs_oid     blob;

    if (e->kind != VCS_FILE) goto done; /* links and submodules lead outside */
    if (e->lfs.is_lfs) {
        blob_id  id = {e->lfs.oid};
        uint64_t size;
        bool     ok;
        SNUG_TRY(hub_borrow_lfs(h, who, to, &id, &size, &ok, err));
        if (!ok && hub_has_lfs(h, from->info.row, &id, &size)) {
            SNUG_TRY(hub_link_lfs(h, to, &id, size, err)); /* reading the source was allowed */
        } else if (!ok) {
            snug_log(SNUG_WARN, "hub.duplicate.missing", "path=%.*s", SNUG_SLICE(e->path));
        }
    }
    SNUG_TRY(vcs_read_blob(from->git, &e->oid, h->raw_file_max * 4, a, &bytes, err));
    SNUG_TRY(vcs_put_blob(git, bytes, &blob, err));
    SNUG_TRY(vcs_draft_put(d, e->path, &blob, err));
done:
    snug_arena_free(a);
    return st;
}

snug_status hub_put_copy(hub *h, const hub_actor *who, vcs_repo *git, vcs_draft *d, hub_repo *from,
                         int64_t to, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    vcs_oid     tip;
    snug_slice  after = SNUG_EMPTY;
    bool        more = true, open;

    SNUG_TRY(hub_may_pass_gate(h, who, &from->info, &open, err));
    if (!open) {
        st = snug_fail_code(err, SNUG_EFORBIDDEN, "GatedRepo",
                            "Access to %s/%s is restricted: ask for access before duplicating it",
                            from->info.id.ns, from->info.id.name);
        goto done;
    }
    SNUG_TRY(vcs_resolve_rev(from->git, SNUG_LIT("refs/heads/main"), &tip, err));
    while (more) {
        vcs_entry *e;
        size_t     n;
        SNUG_TRY(
            vcs_list_tree(from->git, &tip, SNUG_EMPTY, true, after, PAGE, a, &e, &n, &more, err));
        for (size_t i = 0; i < n; i++) SNUG_TRY(copy_entry(h, who, git, d, from, &e[i], to, err));
        if (n == 0) break;
        after = e[n - 1].path;
    }
done:
    snug_arena_free(a);
    return st;
}

/* ---- large objects ---- */

static snug_status need_keeper(hub *h, const hub_actor *who, const hub_repo *r, snug_err *err)
{
    snug_arena   *a = snug_arena_new();
    hub_repo_info again;
    snug_status   st = hub_find_repo(h, who, &r->info.id, HUB_ROLE_WRITE, a, &again, err);
    snug_arena_free(a);
    return st;
}

static hub_lfs_file *find_file(hub_lfs_file *list, size_t n, const char *hex)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int    c = snug_cmp(list[mid].oid, snug_str(hex));
        if (c == 0) return &list[mid];
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

/* What main calls them; a page of the list against a walk over the tree. */
static snug_status name_files(hub_repo *r, hub_lfs_file *list, size_t n, snug_arena *keep,
                              snug_err *err)
{
    snug_status st = SNUG_OK;
    vcs_oid     tip;
    snug_slice  after = SNUG_EMPTY;
    bool        more = true;
    size_t      seen = 0;

    if (vcs_resolve_rev(r->git, SNUG_LIT("refs/heads/main"), &tip, NULL) != SNUG_OK) return SNUG_OK;
    while (more && st == SNUG_OK && seen < NAMES_MAX) {
        snug_arena *a = snug_arena_new();
        vcs_entry  *e;
        size_t      count = 0;
        st = vcs_list_tree(r->git, &tip, SNUG_EMPTY, true, after, PAGE, a, &e, &count, &more, err);
        for (size_t i = 0; st == SNUG_OK && i < count; i++) {
            char hex[65];
            if (!e[i].lfs.is_lfs) continue;
            snug_hex(e[i].lfs.oid.b, sizeof e[i].lfs.oid.b, hex);
            hub_lfs_file *f = find_file(list, n, hex);
            if (f != NULL && f->path.len == 0) f->path = snug_arena_dup(keep, e[i].path);
        }
        if (st == SNUG_OK && count > 0) after = snug_arena_dup(keep, e[count - 1].path);
        more = more && count > 0;
        seen += count;
        snug_arena_free(a);
    }
    return st;
}

snug_status hub_list_lfs(hub *h, const hub_actor *who, hub_repo *r, snug_slice after, size_t limit,
                         snug_arena *a, hub_lfs_file **out, size_t *count, snug_err *err)
{
    snug_status    st = SNUG_OK;
    db_txn        *tx = NULL;
    store_lfs_row *rows;

    SNUG_ASSERT(limit <= PAGE);
    *count = 0;
    SNUG_TRY(need_keeper(h, who, r, err));
    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    SNUG_TRY(store_list_lfs(tx, a, r->info.row, after, limit, &rows, count, err));
    db_rollback(tx);
    tx = NULL;
    *out = snug_arena_zalloc(a, (*count + 1) * sizeof **out);
    for (size_t i = 0; i < *count; i++)
        (*out)[i] = (hub_lfs_file){
            .oid = rows[i].oid, .size = rows[i].size, .created_ms = rows[i].created_ms};
    SNUG_TRY(name_files(r, *out, *count, a, err));
done:
    db_rollback(tx);
    return st;
}

snug_status hub_share_lfs(hub *h, const hub_actor *who, const hub_repo_id *to, const blob_id *oid,
                          bool *ok, snug_err *err)
{
    snug_status   st = SNUG_OK;
    snug_arena   *a = snug_arena_new();
    hub_repo_info info;
    uint64_t      size;
    SNUG_AUTO(hub_hold) hold = {-1};
    SNUG_TRY(hub_hold_begin(h, &hold, err));
    SNUG_TRY(hub_find_repo(h, who, to, HUB_ROLE_WRITE, a, &info, err));
    SNUG_TRY(hub_borrow_lfs(h, who, info.row, oid, &size, ok, err));
done:
    snug_arena_free(a);
    return st;
}

/* ---- lists ---- */

snug_status hub_list_owned(hub *h, const hub_actor *who, snug_slice ns, int64_t after, size_t limit,
                           snug_arena *a, hub_repo_info **out, size_t *count, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    store_repo *rows;

    *count = 0;
    if (hub_is_anonymous(who)) SNUG_FAIL(err, SNUG_EUNAUTH, "Invalid username or password.");
    if (hub_role_in(who, ns) < HUB_ROLE_READ)
        SNUG_FAIL(err, SNUG_EFORBIDDEN, "Only members see the settings of \"%.*s\"",
                  SNUG_SLICE(snug_sub(ns, 0, HUB_NAME_MAX)));
    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    SNUG_TRY(store_list_owned(tx, a, ns, after, limit, &rows, count, err));
    *out = snug_arena_alloc(a, (*count + 1) * sizeof **out);
    for (size_t i = 0; i < *count; i++) hub_info_of_row(&rows[i], &(*out)[i]);
done:
    db_rollback(tx);
    return st;
}

snug_status hub_list_tags(hub *h, hub_type type, snug_arena *a, hub_tag **out, size_t *count,
                          snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    store_tag  *rows;

    *count = 0;
    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    SNUG_TRY(store_list_tags(tx, a, (int)type, TAGS_MAX, &rows, count, err));
    *out = snug_arena_alloc(a, (*count + 1) * sizeof **out);
    for (size_t i = 0; i < *count; i++) (*out)[i] = (hub_tag){rows[i].tag, rows[i].count};
done:
    db_rollback(tx);
    return st;
}
