/* SPDX-License-Identifier: Apache-2.0 */
/* hub/fsck_rows.c - links against objects, the chunk index against xorbs, repositories against git:
 * every object sound, every pointer in the history with its object, the row at the head of main.
 *
 * For:     fsck.c.
 * Threads: as fsck.c. */
#include <inttypes.h>

#include "hub/fsck_int.h"

enum { PAGE = 500 };

/* ---- links ---- */

typedef struct known {
    bool     here;
    uint64_t size;
} known;

static snug_status find_bytes(fsck *f, db_txn *tx, snug_arena *a, snug_slice oid, known *out,
                              snug_err *err)
{
    store_xet_file file;
    blob_id        id;
    *out = (known){.here = false};
    out->here = blob_id_parse(oid, &id) && blob_exists(f->h->blobs, &id, &out->size);
    if (out->here) return SNUG_OK;
    snug_status st = store_find_content(tx, a, oid, &file, &out->here, err);
    if (st == SNUG_OK && out->here) out->size = file.size;
    return st;
}

static snug_status look_up(fsck *f, snug_slice oid, known *out, snug_err *err)
{
    snug_arena *a = snug_arena_new();
    db_txn     *tx = NULL;
    snug_status st = db_begin(f->h->db, DB_READ, &tx, err);
    if (st == SNUG_OK) st = find_bytes(f, tx, a, oid, out, err);
    db_rollback(tx);
    snug_arena_free(a);
    return st;
}

static snug_status name_of(fsck *f, int64_t row, snug_arena *a, snug_slice *out, bool *live,
                           snug_err *err)
{
    hub_repo_info info;
    char          text[2 * HUB_NAME_MAX + 2];
    snug_status   st = hub_load_row(f->h, row, a, &info, live, err);
    if (st == SNUG_OK && *live)
        *out = snug_arena_printf(a, "%s/%s", hub_type_plural(info.id.type),
                                 hub_id_text(&info.id, text));
    return st;
}

static snug_status set_size(fsck *f, const store_link *l, uint64_t size, snug_err *err)
{
    db_txn     *tx = NULL;
    snug_status st = db_begin(f->h->db, DB_WRITE, &tx, err);
    if (st == SNUG_OK) st = store_set_link_size(tx, l->repo, l->oid, size, err);
    if (st == SNUG_OK) {
        st = db_end(tx, true, err);
        tx = NULL;
    }
    db_rollback(tx);
    return st;
}

static snug_status check_link(fsck *f, const store_link *l, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    known       k;
    snug_slice  repo;
    bool        live;
    blob_id     id;

    f->r->links++;
    SNUG_TRY(look_up(f, l->oid, &k, err));
    if (k.here && k.size == l->size) goto done;
    SNUG_TRY(look_up(f, l->oid, &k, err)); /* between two forms it may have been missed */
    SNUG_TRY(name_of(f, l->repo, a, &repo, &live, err));
    if (!live || !blob_id_parse(l->oid, &id) || !hub_has_lfs(f->h, l->repo, &id, NULL)) goto done;
    if (!k.here) {
        fsck_tell(f, "link", l->oid, false, false, "%.*s has it, but its bytes are missing",
                  SNUG_SLICE(repo));
    } else if (k.size != l->size) {
        if (f->o->repair) SNUG_TRY(set_size(f, l, k.size, err));
        fsck_tell(f, "link", l->oid, true, f->o->repair,
                  "%.*s says it has %" PRIu64 " bytes; it has %" PRIu64, SNUG_SLICE(repo), l->size,
                  k.size);
    }
done:
    snug_arena_free(a);
    return st;
}

static snug_status check_links(fsck *f, snug_err *err)
{
    snug_status st = SNUG_OK;
    size_t      n = PAGE;
    int64_t     repo = 0;
    char        oid[65] = "";

    while (st == SNUG_OK && n == PAGE) {
        snug_arena *a = snug_arena_new();
        db_txn     *tx = NULL;
        store_link *rows = NULL;
        n = 0;
        st = fsck_go_on(f, err);
        if (st == SNUG_OK) st = db_begin(f->h->db, DB_READ, &tx, err);
        if (st == SNUG_OK) st = store_walk_links(tx, a, snug_str(oid), repo, PAGE, &rows, &n, err);
        db_rollback(tx);
        for (size_t i = 0; st == SNUG_OK && i < n; i++) {
            st = check_link(f, &rows[i], err);
            repo = rows[i].repo;
            (void)snprintf(oid, sizeof oid, "%.*s", SNUG_SLICE(rows[i].oid));
        }
        snug_arena_free(a);
    }
    return st;
}

/* ---- the index of chunks ---- */

static snug_status fill_index(db_txn *tx, const store_xorb *row, uint64_t *added, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_rd     r = snug_rd_init(row->chunks);
    for (uint32_t i = 0; st == SNUG_OK; i++) {
        xet_hash   h;
        snug_slice s = snug_rd_bytes(&r, sizeof h.b);
        (void)snug_rd_u64le(&r);
        if (r.bad) break;
        memcpy(h.b, s.ptr, sizeof h.b);
        if (!hub_chunk_is_indexed(&h)) continue;
        st = store_add_lookup(tx, hub_chunk_key(&h), row->id, i, SNUG_EMPTY, err);
        ++*added;
    }
    return st;
}

static snug_status refill(fsck *f, snug_err *err)
{
    enum { XORBS = 32 };
    snug_status st = SNUG_OK;
    int64_t     after = 0;
    uint64_t    added = 0;
    size_t      n = XORBS;

    while (st == SNUG_OK && n == XORBS) {
        snug_arena *a = snug_arena_new();
        db_txn     *tx = NULL;
        store_xorb *rows = NULL;
        n = 0;
        st = db_begin(f->h->db, DB_WRITE, &tx, err);
        if (st == SNUG_OK) st = store_walk_xorbs(tx, a, after, XORBS, true, &rows, &n, err);
        for (size_t i = 0; st == SNUG_OK && i < n; i++) {
            st = fill_index(tx, &rows[i], &added, err);
            after = rows[i].id;
        }
        if (st == SNUG_OK) {
            st = db_end(tx, true, err);
            tx = NULL;
        }
        db_rollback(tx);
        snug_arena_free(a);
    }
    return st;
}

/* Entries that lead nowhere mislead; entries that are missing only cost space, and are put back
 * when repairing. */
static snug_status check_index(fsck *f, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    uint64_t    stale = 0, shows = 0;

    SNUG_TRY(fsck_go_on(f, err));
    if (f->h->read_only) goto done;
    SNUG_TRY(db_begin(f->h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_drop_stale_lookups(tx, &stale, err));
    SNUG_TRY(store_drop_stale_shows(tx, &shows, err));
    st = db_end(tx, f->o->repair, err); /* else it only counted */
    tx = NULL;
    if (st != SNUG_OK) goto done;
    if (stale > 0)
        fsck_tell(f, "index", SNUG_LIT("xorb_lookup"), true, f->o->repair,
                  "%" PRIu64 " entries name xorbs that are not there", stale);
    if (f->o->repair) SNUG_TRY(refill(f, err));
done:
    db_rollback(tx);
    return st;
}

/* ---- repositories ---- */

typedef struct pointers {
    fsck       *f;
    int64_t     row;
    snug_slice  repo;
    snug_err   *err;
    snug_status st;
} pointers;

/* A keeper may delete an object and leave the commits that name it. */
static snug_status was_dropped(pointers *p, snug_slice oid, bool *yes)
{
    db_txn     *tx = NULL;
    snug_status st = db_begin(p->f->h->db, DB_READ, &tx, p->err);
    if (st == SNUG_OK) st = store_was_dropped(tx, p->row, oid, yes, p->err);
    db_rollback(tx);
    return st;
}

static bool see_pointer(void *arg, const vcs_lfs *lfs)
{
    pointers *p = arg;
    blob_id   id = {lfs->oid};
    char      hex[65];
    known     k;
    uint64_t  linked;
    bool      dropped = false;

    blob_id_hex(&id, hex);
    p->st = look_up(p->f, snug_str(hex), &k, p->err);
    if (p->st == SNUG_OK && !k.here) p->st = look_up(p->f, snug_str(hex), &k, p->err);
    if (p->st == SNUG_OK) p->st = was_dropped(p, snug_str(hex), &dropped);
    if (p->st != SNUG_OK) return false;
    bool has_link = hub_has_lfs(p->f->h, p->row, &id, &linked);
    if (dropped && !has_link) return true;
    if (!k.here) {
        fsck_tell(p->f, "repo", p->repo, false, false, "a pointer names %s, which is not stored",
                  hex);
    } else if (!has_link) {
        /* Pointers were held against the pusher's rights when they came, so the link follows. */
        if (p->f->o->repair) p->st = hub_link_lfs(p->f->h, p->row, &id, k.size, p->err);
        fsck_tell(p->f, "repo", p->repo, true, p->f->o->repair,
                  "a pointer names %s, to which it has no link", hex);
    } else if (k.size != lfs->size) {
        fsck_tell(p->f, "repo", p->repo, false, false,
                  "a pointer says that %s has %" PRIu64 " bytes; it has %" PRIu64, hex, lfs->size,
                  k.size);
    }
    return p->st == SNUG_OK;
}

static snug_status check_pointers(fsck *f, vcs_repo *git, int64_t row, snug_slice name,
                                  snug_err *err)
{
    pointers    p = {.f = f, .row = row, .repo = name, .err = err};
    snug_err    why = {0};
    snug_status st = vcs_each_lfs(git, see_pointer, &p, &why);
    if (p.st != SNUG_OK) return p.st;
    if (st != SNUG_OK)
        fsck_tell(f, "repo", name, false, false, "its history cannot be walked: %s",
                  why.cause[0] != '\0' ? why.cause : why.msg);
    return SNUG_OK;
}

static snug_status check_head(fsck *f, vcs_repo *git, const store_repo *r, snug_slice name,
                              snug_err *err)
{
    snug_status st = SNUG_OK;
    vcs_oid     tip;
    char        hex[41] = "";
    snug_err    none = {0};

    if (vcs_resolve_rev(git, SNUG_LIT("refs/heads/main"), &tip, &none) == SNUG_OK)
        vcs_oid_hex(&tip, hex);
    if (snug_eq_str(r->head, hex) || hex[0] == '\0') goto done;
    if (f->o->repair) SNUG_TRY(hub_reconcile_repo(f->h, r->id, err));
    fsck_tell(f, "repo", name, true, f->o->repair, "its row is behind: main is at %s", hex);
done:
    return st;
}

static snug_status is_still(fsck *f, const store_repo *r, bool *yes, snug_err *err)
{
    snug_arena   *a = snug_arena_new();
    hub_repo_info info;
    snug_status   st = hub_load_row(f->h, r->id, a, &info, yes, err);
    snug_arena_free(a);
    return st;
}

static snug_status check_repo(fsck *f, const store_repo *r, snug_arena *a, snug_err *err)
{
    snug_status st = SNUG_OK;
    vcs_repo   *git = NULL;
    snug_slice  damage,
        name = snug_arena_printf(a, "%s/%.*s/%.*s", hub_type_plural((hub_type)r->type),
                                 SNUG_SLICE(r->ns), SNUG_SLICE(r->name));
    snug_err why = {0};
    bool     there;

    SNUG_TRY(fsck_go_on(f, err));
    if (r->state != STORE_LIVE) goto done;
    f->r->repos++;
    fsck_progress(f, "repositories", f->r->repos);
    if (vcs_acquire(f->h->vcs, r->git_key, &git, &why) != SNUG_OK) {
        SNUG_TRY(is_still(f, r, &there, err));
        if (there) fsck_tell(f, "repo", name, false, false, "its git folder cannot be opened");
        goto done;
    }
    if (!f->o->quick) {
        SNUG_TRY(vcs_verify_repo(f->h->vcs, r->git_key, a, &damage, err));
        if (damage.len > 0)
            fsck_tell(f, "repo", name, false, false, "git: %.*s",
                      SNUG_SLICE(snug_sub(damage, 0, 300)));
    }
    SNUG_TRY(check_pointers(f, git, r->id, name, err));
    SNUG_TRY(check_head(f, git, r, name, err));
done:
    vcs_release(git);
    return st;
}

static snug_status check_repos(fsck *f, snug_err *err)
{
    snug_status st = SNUG_OK;
    int64_t     after = 0;
    size_t      n = PAGE;

    while (st == SNUG_OK && n == PAGE) {
        snug_arena *a = snug_arena_new();
        db_txn     *tx = NULL;
        store_repo *rows = NULL;
        n = 0;
        st = db_begin(f->h->db, DB_READ, &tx, err);
        if (st == SNUG_OK) st = store_walk_repos(tx, a, after, PAGE, &rows, &n, err);
        db_rollback(tx);
        for (size_t i = 0; st == SNUG_OK && i < n; i++) {
            st = check_repo(f, &rows[i], a, err);
            after = rows[i].id;
        }
        snug_arena_free(a);
    }
    return st;
}

snug_status fsck_rows(fsck *f, snug_err *err)
{
    snug_status st = SNUG_OK;
    SNUG_TRY(check_links(f, err));
    SNUG_TRY(check_index(f, err));
    SNUG_TRY(check_repos(f, err));
done:
    return st;
}
