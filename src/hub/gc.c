/* SPDX-License-Identifier: Apache-2.0 */
/* hub/gc.c - collecting what nobody uses.
 *
 *   links ──▶ layouts ──▶ xorbs ──▶ blobs        (each may leave the next one without a user)
 *
 *   a phase:  find what is unused ─▶ mark it ─▶ marked for the grace period? ─▶ turn, wait for the
 *             holds that began before ─▶ one by one, in a transaction: still marked, still unused?
 *             ─▶ remove
 *
 * A link is unused when no commit reachable from any ref of its repository (branches, tags, pull
 * requests, all of their history) has a pointer to the object. All else is unused when no row names
 * it. What a removal leaves unused inherits its time of marking, so the grace period is waited for
 * once.
 *
 * For:     work/gc.c, `snug gc`.
 * Owns:    the rows of gc_marks while it holds the collector's lock.
 * Threads: one collection at a time in all processes; everybody else goes on.
 * Truth:   doubt keeps: a repository that cannot be read loses nothing. */
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "hub/hub_int.h"

enum { PAGE = 500, BATCH = 64, WAIT_MS = 60000, UPLOAD_AGE_MS = 3600000, LINKS_OF_ONE = 10000 };

typedef struct unused {
    snug_slice name, repo; /* name: of the mark */
    blob_id    blob;       /* of a xorb */
    int64_t    row, since_ms;
    uint64_t   bytes;
    bool       inherits; /* dry run: its user would be gone already */
} unused;

typedef struct gc {
    hub               *h;
    const hub_gc_opts *o;
    hub_gc_report     *r;
    int                fd;
    int64_t            now_ms;
    snug_arena        *a; /* of a phase */
    unused            *list;
    size_t             count, cap;
    hub_set           *used_again; /* links phase: marks of what a second look found in use */
    /* What a dry run would have removed: by the SHA-256 of marks; blobs of xorbs by id. */
    hub_set *gone_links, *gone_layouts, *gone_blobs;
    hub_set *used_xorbs, *freed_xorbs; /* freed: of layouts that would be gone */
    int64_t  last_layout;              /* counted in used_xorbs */
} gc;

typedef struct phase {
    hub_gc_kind kind;
    store_mark  mark;
    snug_status (*find)(gc *g, snug_err *err);
    snug_status (*again)(gc *g, snug_err *err); /* after the turn; may be NULL */
    snug_status (*remove)(gc *g, db_txn *tx, const unused *u, bool *gone, snug_err *err);
    void (*would)(gc *g, const unused *u); /* dry run */
} phase;

const char *hub_gc_name(hub_gc_kind k)
{
    static const char *const names[] = {"link", "layout", "xorb", "blob", "upload"};
    SNUG_ASSERT((size_t)k < sizeof names / sizeof names[0]);
    return names[k];
}

static snug_status may_go_on(const gc *g, snug_err *err)
{
    if (g->o->stop == NULL || !g->o->stop(g->o->arg)) return SNUG_OK;
    return snug_fail(err, SNUG_EBUSY, "the collection was stopped");
}

static void add_unused(gc *g, unused u)
{
    if (g->count == g->cap) {
        g->cap = g->cap == 0 ? 256 : 2 * g->cap;
        g->list = snug_realloc(g->list, g->cap * sizeof *g->list);
    }
    g->list[g->count++] = u;
}

static bool is_gone(const hub_set *s, snug_slice name)
{
    snug_sha256 key = snug_sha256_of(name);
    return hub_set_has(s, key.b, NULL);
}

static void add_name(hub_set *s, snug_slice name)
{
    snug_sha256 key = snug_sha256_of(name);
    bool        fresh;
    (void)hub_set_add(s, key.b, &fresh);
}

static snug_status mark_in(db_txn *tx, store_mark kind, snug_slice name, int64_t since,
                           snug_err *err)
{
    return store_put_mark(tx, kind, name, since, err);
}

/* ---- links ---- */

static bool take_oid(void *arg, const vcs_lfs *lfs)
{
    bool fresh;
    (void)hub_set_add(arg, lfs->oid.b, &fresh);
    return true;
}

/* All objects its history points to. *ok false: it cannot be read. */
static snug_status read_pointers(gc *g, snug_slice key, hub_set *out, bool *ok, snug_err *err)
{
    vcs_repo   *git = NULL;
    snug_status st = vcs_acquire(g->h->vcs, key, &git, err);
    if (st == SNUG_OK) st = vcs_each_lfs(git, take_oid, out, err);
    vcs_release(git);
    *ok = st == SNUG_OK;
    if (st == SNUG_OK) return st;
    snug_log_err(SNUG_ERROR, "gc.unreadable", err);
    snug_err_clear(err);
    return SNUG_OK;
}

static snug_slice name_of_repo(gc *g, const store_repo *r)
{
    return snug_arena_printf(g->a, "%s/%.*s/%.*s", hub_type_plural((hub_type)r->type),
                             SNUG_SLICE(r->ns), SNUG_SLICE(r->name));
}

static snug_status compare_links(gc *g, const store_repo *r, const hub_set *used, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_slice  after = SNUG_EMPTY, repo = name_of_repo(g, r);
    size_t      n = PAGE;

    while (st == SNUG_OK && n == PAGE) {
        snug_arena    *a = snug_arena_new();
        db_txn        *tx = NULL;
        store_lfs_row *rows = NULL;
        n = 0;
        st = db_begin(g->h->db, DB_READ, &tx, err);
        if (st == SNUG_OK) st = store_list_lfs(tx, a, r->id, after, PAGE, &rows, &n, err);
        db_rollback(tx);
        for (size_t i = 0; st == SNUG_OK && i < n; i++) {
            blob_id id;
            char    name[STORE_MARK_NAME];
            after = snug_arena_dup(g->a, rows[i].oid);
            if (!blob_id_parse(rows[i].oid, &id) || hub_set_has(used, &id, NULL)) continue;
            store_mark_of_link(r->id, rows[i].oid, name);
            add_unused(g, (unused){.name = snug_arena_dup(g->a, snug_str(name)),
                                   .repo = repo,
                                   .row = r->id,
                                   .bytes = rows[i].size});
        }
        snug_arena_free(a);
    }
    return st;
}

static snug_status find_links_of(gc *g, const store_repo *r, snug_err *err)
{
    snug_status st = SNUG_OK;
    hub_set    *used = hub_set_new();
    bool        ok = false;

    SNUG_TRY(may_go_on(g, err));
    if (r->state != STORE_LIVE) goto done; /* being made, or its links are on their way out */
    if (!r->disabled) SNUG_TRY(read_pointers(g, r->git_key, used, &ok, err));
    if (ok)
        SNUG_TRY(compare_links(g, r, used, err));
    else
        g->r->skipped++;
done:
    hub_set_free(used);
    return st;
}

static snug_status find_links(gc *g, snug_err *err)
{
    snug_status st = SNUG_OK;
    int64_t     after = 0;
    size_t      n = PAGE;

    while (st == SNUG_OK && n == PAGE) {
        snug_arena *a = snug_arena_new();
        db_txn     *tx = NULL;
        store_repo *rows = NULL;
        n = 0;
        st = db_begin(g->h->db, DB_READ, &tx, err);
        if (st == SNUG_OK) st = store_walk_repos(tx, a, after, PAGE, &rows, &n, err);
        db_rollback(tx);
        for (size_t i = 0; st == SNUG_OK && i < n; i++) {
            st = find_links_of(g, &rows[i], err);
            after = rows[i].id;
        }
        snug_arena_free(a);
    }
    return st;
}

/* Refs may have moved between the first look and the turn. */
static snug_status look_again(gc *g, int64_t row, snug_err *err)
{
    snug_status   st = SNUG_OK;
    hub_repo_info info;
    hub_set      *used = hub_set_new();
    bool          found, ok = false;

    SNUG_TRY(hub_load_row(g->h, row, g->a, &info, &found, err));
    if (found) SNUG_TRY(read_pointers(g, snug_str(info.key), used, &ok, err));
    for (size_t i = 0; i < g->count; i++) {
        blob_id id;
        size_t  slash = snug_index(g->list[i].name, '/');
        if (g->list[i].row != row) continue;
        bool sure = blob_id_parse(snug_sub(g->list[i].name, slash + 1, 64), &id);
        if (!ok || !sure || hub_set_has(used, &id, NULL)) add_name(g->used_again, g->list[i].name);
    }
done:
    hub_set_free(used);
    return st;
}

static snug_status look_again_all(gc *g, snug_err *err)
{
    snug_status st = SNUG_OK;
    int64_t     last = 0;
    for (size_t i = 0; st == SNUG_OK && i < g->count; i++) { /* they lie repository by repository */
        if (g->list[i].row == last) continue;
        last = g->list[i].row;
        st = look_again(g, last, err);
    }
    return st;
}

static snug_status inherit_layouts(gc *g, db_txn *tx, snug_slice oid, int64_t since, snug_err *err)
{
    snug_status    st = SNUG_OK;
    store_xet_file f;
    bool           found;
    char           id[24];
    SNUG_TRY(store_find_content(tx, g->a, oid, &f, &found, err));
    if (found) {
        (void)snprintf(id, sizeof id, "%" PRId64, f.id);
        SNUG_TRY(mark_in(tx, STORE_MARK_LAYOUT, snug_str(id), since, err));
    }
    SNUG_TRY(mark_in(tx, STORE_MARK_BLOB, oid, since, err));
done:
    return st;
}

static snug_status remove_link(gc *g, db_txn *tx, const unused *u, bool *gone, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_slice  oid = snug_sub(u->name, snug_index(u->name, '/') + 1, 64);
    *gone = !is_gone(g->used_again, u->name);
    if (!*gone) goto done;
    SNUG_TRY(store_unlink_lfs(tx, u->row, oid, gone, err));
    SNUG_TRY(inherit_layouts(g, tx, oid, u->since_ms, err));
done:
    return st;
}

static void would_unlink(gc *g, const unused *u) { add_name(g->gone_links, u->name); }

/* Are all links of an object among those that a dry run would remove? */
static snug_status links_gone(gc *g, db_txn *tx, snug_slice oid, bool *all, snug_err *err)
{
    int64_t    *rows;
    size_t      n;
    snug_arena *a = snug_arena_new();
    *all = g->o->dry_run && hub_set_count(g->gone_links) > 0;
    snug_status st = *all ? store_repos_of_lfs(tx, a, oid, LINKS_OF_ONE, &rows, &n, err) : SNUG_OK;
    for (size_t i = 0; st == SNUG_OK && *all && i < n; i++) {
        char name[STORE_MARK_NAME];
        store_mark_of_link(rows[i], oid, name);
        *all = is_gone(g->gone_links, snug_str(name));
    }
    snug_arena_free(a);
    return st;
}

/* ---- layouts ---- */

typedef snug_status layout_fn(gc *g, db_txn *tx, const store_layout *l, snug_err *err);

static snug_status each_layout(gc *g, int64_t after, layout_fn *fn, snug_err *err)
{
    enum { LAYOUTS = 64 }; /* terms of large files are large */
    snug_status st = SNUG_OK;
    size_t      n = LAYOUTS;

    while (st == SNUG_OK && n == LAYOUTS) {
        snug_arena   *a = snug_arena_new();
        db_txn       *tx = NULL;
        store_layout *rows = NULL;
        n = 0;
        st = may_go_on(g, err);
        if (st == SNUG_OK) st = db_begin(g->h->db, DB_READ, &tx, err);
        if (st == SNUG_OK) st = store_walk_layouts(tx, a, after, LAYOUTS, &rows, &n, err);
        for (size_t i = 0; st == SNUG_OK && i < n; i++) {
            st = fn(g, tx, &rows[i], err);
            after = rows[i].file.id;
        }
        db_rollback(tx);
        snug_arena_free(a);
    }
    return st;
}

static snug_status see_layout(gc *g, db_txn *tx, const store_layout *l, snug_err *err)
{
    snug_status st = SNUG_OK;
    bool        inherits = false;
    if (l->linked && !l->replaceable) SNUG_TRY(links_gone(g, tx, l->file.sha256, &inherits, err));
    if (l->linked && !l->replaceable && !inherits) goto done;
    add_unused(g, (unused){.name = snug_arena_printf(g->a, "%" PRId64, l->file.id),
                           .row = l->file.id,
                           .bytes = l->file.size,
                           .inherits = inherits});
done:
    return st;
}

static snug_status find_layouts(gc *g, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    uint64_t    dropped;
    if (!g->o->dry_run) {
        SNUG_TRY(db_begin(g->h->db, DB_WRITE, &tx, err));
        SNUG_TRY(store_drop_stale_shows(tx, &dropped, err));
        st = db_end(tx, true, err);
        tx = NULL;
        if (st != SNUG_OK) goto done;
    }
    SNUG_TRY(each_layout(g, 0, see_layout, err));
done:
    db_rollback(tx);
    return st;
}

static snug_status inherit_xorbs(gc *g, db_txn *tx, const store_xet_file *f, int64_t since,
                                 snug_err *err)
{
    snug_status st = SNUG_OK;
    xet_term   *terms;
    size_t      n;
    char        text[65];
    SNUG_TRY(hub_unpack_terms(g->a, f->terms, &terms, &n, err));
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && xet_hash_eq(&terms[i].xorb, &terms[i - 1].xorb)) continue;
        xet_hash_text(&terms[i].xorb, text);
        SNUG_TRY(mark_in(tx, STORE_MARK_XORB, snug_str(text), since, err));
    }
done:
    return st;
}

static snug_status remove_layout(gc *g, db_txn *tx, const unused *u, bool *gone, snug_err *err)
{
    snug_status  st = SNUG_OK;
    store_layout l;
    SNUG_TRY(store_find_layout(tx, g->a, u->row, &l, gone, err));
    *gone = *gone && (!l.linked || l.replaceable);
    if (!*gone) goto done;
    SNUG_TRY(inherit_xorbs(g, tx, &l.file, u->since_ms, err));
    SNUG_TRY(store_delete_layout(tx, u->row, err));
done:
    return st;
}

static void would_drop_layout(gc *g, const unused *u) { add_name(g->gone_layouts, u->name); }

/* ---- xorbs ---- */

static snug_status count_terms(gc *g, const store_xet_file *f, hub_set *into, snug_err *err)
{
    snug_arena *a = snug_arena_new();
    xet_term   *terms;
    size_t      n;
    bool        fresh;
    snug_status st = hub_unpack_terms(a, f->terms, &terms, &n, err);
    for (size_t i = 0; st == SNUG_OK && i < n; i++) (void)hub_set_add(into, &terms[i].xorb, &fresh);
    snug_arena_free(a);
    if (f->id > g->last_layout) g->last_layout = f->id;
    return st;
}

static snug_status count_layout(gc *g, db_txn *tx, const store_layout *l, snug_err *err)
{
    char name[24];
    (void)tx;
    (void)snprintf(name, sizeof name, "%" PRId64, l->file.id);
    bool gone = is_gone(g->gone_layouts, snug_str(name));
    return count_terms(g, &l->file, gone ? g->freed_xorbs : g->used_xorbs, err);
}

static snug_status see_xorb(gc *g, const store_xorb *x, snug_err *err)
{
    xet_hash name;
    unused   u = {.row = x->id, .bytes = x->stored_size};
    if (!xet_hash_parse(x->hash, &name) || !blob_id_parse(x->blob, &u.blob))
        return snug_fail(err, SNUG_ECORRUPT, "the row of a xorb is damaged: run snug fsck");
    if (hub_set_has(g->used_xorbs, &name, NULL)) return SNUG_OK;
    u.name = snug_arena_dup(g->a, x->hash);
    u.inherits = hub_set_has(g->freed_xorbs, &name, NULL);
    add_unused(g, u);
    return SNUG_OK;
}

static void would_drop_xorb(gc *g, const unused *u)
{
    bool fresh;
    (void)hub_set_add(g->gone_blobs, &u->blob, &fresh);
}

static snug_status find_xorbs(gc *g, snug_err *err)
{
    snug_status st = each_layout(g, 0, count_layout, err);
    int64_t     after = 0;
    size_t      n = PAGE;

    while (st == SNUG_OK && n == PAGE) {
        snug_arena *a = snug_arena_new();
        db_txn     *tx = NULL;
        store_xorb *rows = NULL;
        n = 0;
        st = db_begin(g->h->db, DB_READ, &tx, err);
        if (st == SNUG_OK) st = store_walk_xorbs(tx, a, after, PAGE, false, &rows, &n, err);
        db_rollback(tx);
        for (size_t i = 0; st == SNUG_OK && i < n; i++) {
            st = see_xorb(g, &rows[i], err);
            after = rows[i].id;
        }
        snug_arena_free(a);
    }
    return st;
}

/* Layouts that came since; in the transaction, so that none comes after. */
static snug_status count_new_layouts(gc *g, db_txn *tx, snug_err *err)
{
    snug_status   st = SNUG_OK;
    store_layout *rows;
    size_t        n = PAGE;
    while (st == SNUG_OK && n == PAGE) {
        SNUG_TRY(store_walk_layouts(tx, g->a, g->last_layout, PAGE, &rows, &n, err));
        for (size_t i = 0; i < n; i++) SNUG_TRY(count_terms(g, &rows[i].file, g->used_xorbs, err));
    }
done:
    return st;
}

static snug_status remove_xorb(gc *g, db_txn *tx, const unused *u, bool *gone, snug_err *err)
{
    snug_status st = SNUG_OK;
    store_xorb  row;
    xet_hash    name;

    *gone = false;
    SNUG_TRY(count_new_layouts(g, tx, err));
    if (!xet_hash_parse(u->name, &name) || hub_set_has(g->used_xorbs, &name, NULL)) goto done;
    SNUG_TRY(store_find_xorb(tx, g->a, u->name, &row, gone, err));
    if (!*gone) goto done;
    SNUG_TRY(mark_in(tx, STORE_MARK_BLOB, row.blob, u->since_ms, err));
    SNUG_TRY(store_delete_xorb(tx, row.id, err));
    hub_xorb_forget(g->h, &name);
done:
    return st;
}

/* ---- blobs ---- */

typedef struct found_blob {
    blob_id  id;
    uint64_t size;
} found_blob;

typedef struct blob_list {
    found_blob *items;
    size_t      count, cap;
} blob_list;

static bool take_blob(void *arg, const blob_id *id, uint64_t size, int64_t mtime_ms)
{
    blob_list *l = arg;
    (void)mtime_ms;
    if (l->count == l->cap) {
        l->cap = l->cap == 0 ? 1024 : 2 * l->cap;
        l->items = snug_realloc(l->items, l->cap * sizeof *l->items);
    }
    l->items[l->count++] = (found_blob){*id, size};
    return true;
}

static snug_status see_blob(gc *g, db_txn *tx, const found_blob *b, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    bool        linked, xorb, gone = false;
    char        hex[65];

    blob_id_hex(&b->id, hex);
    SNUG_TRY(store_blob_used(tx, a, snug_str(hex), &linked, &xorb, err));
    bool inherits = linked || xorb;
    if (linked) SNUG_TRY(links_gone(g, tx, snug_str(hex), &gone, err));
    if (linked && !gone) goto done;
    if (xorb && !hub_set_has(g->gone_blobs, &b->id, NULL)) goto done;
    add_unused(g, (unused){.name = snug_arena_dup(g->a, snug_str(hex)),
                           .bytes = b->size,
                           .inherits = inherits});
done:
    snug_arena_free(a);
    return st;
}

static snug_status find_blobs(gc *g, snug_err *err)
{
    snug_status st = SNUG_OK;
    blob_list   l = {0};
    db_txn     *tx = NULL;

    SNUG_TRY(blob_each(g->h->blobs, take_blob, &l, err));
    for (size_t i = 0; i < l.count; i++) {
        if (i % PAGE == 0) {
            db_rollback(tx);
            tx = NULL;
            SNUG_TRY(may_go_on(g, err));
            SNUG_TRY(db_begin(g->h->db, DB_READ, &tx, err));
        }
        SNUG_TRY(see_blob(g, tx, &l.items[i], err));
    }
done:
    db_rollback(tx);
    free(l.items);
    return st;
}

static snug_status remove_blob(gc *g, db_txn *tx, const unused *u, bool *gone, snug_err *err)
{
    snug_status st = SNUG_OK;
    bool        linked, xorb;
    blob_id     id;

    *gone = false;
    SNUG_TRY(store_blob_used(tx, g->a, u->name, &linked, &xorb, err));
    if (linked || xorb || !blob_id_parse(u->name, &id)) goto done;
    HUB_FAULT("gc.blob", err, st);
    SNUG_TRY(blob_remove(g->h->blobs, &id, err));
    *gone = true;
done:
    return st;
}

/* ---- a phase ---- */

static snug_status forget_stale_marks(gc *g, const phase *p, snug_err *err)
{
    snug_status st = SNUG_OK;
    hub_set    *names = hub_set_new();
    snug_slice  after = SNUG_EMPTY;
    size_t      n = PAGE;
    bool        was;

    for (size_t i = 0; i < g->count; i++) add_name(names, g->list[i].name);
    while (st == SNUG_OK && n == PAGE) {
        db_txn     *tx = NULL;
        snug_slice *marks = NULL;
        n = 0;
        st = db_begin(g->h->db, DB_WRITE, &tx, err);
        if (st == SNUG_OK) st = store_list_marks(tx, g->a, p->mark, after, PAGE, &marks, &n, err);
        for (size_t i = 0; st == SNUG_OK && i < n; i++) {
            after = marks[i];
            if (!is_gone(names, marks[i])) st = store_unmark(tx, p->mark, marks[i], &was, err);
        }
        if (st == SNUG_OK) {
            st = db_end(tx, true, err);
            tx = NULL;
        }
        db_rollback(tx);
    }
    hub_set_free(names);
    return st;
}

/* Since when each has been unused; those seen for the first time, since now. */
static snug_status mark_all(gc *g, const phase *p, snug_err *err)
{
    snug_status st = SNUG_OK;
    for (size_t at = 0; st == SNUG_OK && at < g->count; at += PAGE) {
        db_txn *tx = NULL;
        st = db_begin(g->h->db, g->o->dry_run ? DB_READ : DB_WRITE, &tx, err);
        for (size_t i = at; st == SNUG_OK && i < g->count && i < at + PAGE; i++) {
            unused *u = &g->list[i];
            st = store_find_mark(tx, g->a, p->mark, u->name, &u->since_ms, err);
            if (st != SNUG_OK || u->since_ms != 0) continue;
            u->since_ms = g->now_ms;
            if (!g->o->dry_run) st = store_put_mark(tx, p->mark, u->name, u->since_ms, err);
        }
        if (st == SNUG_OK) {
            st = db_end(tx, true, err);
            tx = NULL;
        }
        db_rollback(tx);
    }
    return st;
}

static void tell(gc *g, const phase *p, const unused *u, bool due)
{
    hub_gc_sum *sum = &g->r->of[p->kind];
    *(due ? &sum->due : &sum->waiting) += 1;
    *(due ? &sum->due_bytes : &sum->waiting_bytes) += u->bytes;
    if (g->o->item == NULL) return;
    hub_gc_item item = {p->kind, u->name, u->repo, u->bytes, due, u->since_ms};
    g->o->item(g->o->arg, &item);
}

static bool is_due(const gc *g, const unused *u)
{
    return u->inherits || g->now_ms - u->since_ms >= (int64_t)g->o->grace_ms;
}

/* Keeps what is due in the list; tells of the rest. */
static void pick_due(gc *g, const phase *p)
{
    size_t kept = 0;
    for (size_t i = 0; i < g->count; i++) {
        if (is_due(g, &g->list[i]))
            g->list[kept++] = g->list[i];
        else
            tell(g, p, &g->list[i], false);
    }
    g->count = kept;
}

static snug_status remove_batch(gc *g, const phase *p, size_t at, bool *gone, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    bool        any = false;

    SNUG_TRY(db_begin(g->h->db, DB_WRITE, &tx, err));
    for (size_t i = at; i < g->count && i < at + BATCH; i++) {
        bool was;
        gone[i - at] = false;
        SNUG_TRY(store_unmark(tx, p->mark, g->list[i].name, &was, err));
        if (was) SNUG_TRY(p->remove(g, tx, &g->list[i], &gone[i - at], err));
        any = any || gone[i - at];
    }
    if (any && p->kind == HUB_GC_XORB) { /* clients forget what they remember of xorbs */
        int64_t n;
        SNUG_TRY(store_next_generation(tx, &n, err));
    }
    HUB_FAULT("gc.batch", err, st);
    st = db_end(tx, true, err);
    tx = NULL;
done:
    db_rollback(tx);
    return st;
}

static snug_status remove_due(gc *g, const phase *p, snug_err *err)
{
    snug_status st = SNUG_OK;
    bool        gone[BATCH];

    SNUG_TRY(hub_collector_turn(g->fd, g->o->wait_ms > 0 ? g->o->wait_ms : WAIT_MS, err));
    if (p->again != NULL) SNUG_TRY(p->again(g, err));
    for (size_t at = 0; at < g->count; at += BATCH) {
        SNUG_TRY(may_go_on(g, err));
        SNUG_TRY(remove_batch(g, p, at, gone, err));
        for (size_t i = at; i < g->count && i < at + BATCH; i++)
            if (gone[i - at]) tell(g, p, &g->list[i], true);
    }
done:
    return st;
}

static snug_status run_phase(gc *g, const phase *p, snug_err *err)
{
    snug_status st = SNUG_OK;
    g->a = snug_arena_new();
    g->count = 0;
    SNUG_TRY(p->find(g, err));
    if (!g->o->dry_run) SNUG_TRY(forget_stale_marks(g, p, err));
    SNUG_TRY(mark_all(g, p, err));
    pick_due(g, p);
    if (g->o->dry_run) {
        for (size_t i = 0; i < g->count; i++) {
            tell(g, p, &g->list[i], true);
            if (p->would != NULL) p->would(g, &g->list[i]);
        }
    } else if (g->count > 0) {
        SNUG_TRY(remove_due(g, p, err));
    }
done:
    snug_arena_free(g->a);
    return st;
}

static void sweep_uploads(gc *g)
{
    hub_gc_sum *sum = &g->r->of[HUB_GC_UPLOAD];
    uint64_t    age = g->o->grace_ms > UPLOAD_AGE_MS ? g->o->grace_ms : UPLOAD_AGE_MS;
    sum->due = blob_sweep_tmp(g->h->blobs, age, g->o->dry_run, &sum->due_bytes);
}

static const phase phases[] = {
    {HUB_GC_LINK, STORE_MARK_LINK, find_links, look_again_all, remove_link, would_unlink},
    {HUB_GC_LAYOUT, STORE_MARK_LAYOUT, find_layouts, NULL, remove_layout, would_drop_layout},
    {HUB_GC_XORB, STORE_MARK_XORB, find_xorbs, NULL, remove_xorb, would_drop_xorb},
    {HUB_GC_BLOB, STORE_MARK_BLOB, find_blobs, NULL, remove_blob, NULL},
};

snug_status hub_collect(hub *h, const hub_gc_opts *o, hub_gc_report *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    gc          g = {.h = h, .o = o, .r = out, .fd = -1, .now_ms = snug_now_ms()};

    *out = (hub_gc_report){.skipped = 0};
    g.used_again = hub_set_new();
    g.gone_links = hub_set_new();
    g.gone_layouts = hub_set_new();
    g.gone_blobs = hub_set_new();
    g.used_xorbs = hub_set_new();
    g.freed_xorbs = hub_set_new();
    if (h->read_only && !o->dry_run) SNUG_FAIL(err, SNUG_EFORBIDDEN, "This server is read-only");
    SNUG_TRY(hub_collector_begin(h, &g.fd, err));
    for (size_t i = 0; i < sizeof phases / sizeof phases[0]; i++)
        SNUG_TRY(run_phase(&g, &phases[i], err));
    sweep_uploads(&g);
done:
    hub_set_free(g.used_again);
    hub_set_free(g.gone_links);
    hub_set_free(g.gone_layouts);
    hub_set_free(g.gone_blobs);
    hub_set_free(g.used_xorbs);
    hub_set_free(g.freed_xorbs);
    free(g.list);
    if (g.fd >= 0) (void)close(g.fd);
    return st;
}
