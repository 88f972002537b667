/* SPDX-License-Identifier: Apache-2.0 */
/* hub/tidy.c - when git repositories are packed anew, and what may go then.
 *
 *   look (refs, pull requests) ─▶ pack (beside readers and writers) ─▶ nothing to drop? land
 *                                                                  └▶ pause: no hold in any process
 *                                                                     ─▶ still as looked at? land
 *
 * A commit or push relies on what it finds in the repository, reached by a ref or not, and every
 * one of them has a hold (hold.c) from before it looks until its ref has moved. So when no hold
 * is left and refs and rows are what they were, nobody relies on what nothing reaches.
 *
 * For:     work/tidy.c, `snug gc`.
 * Owns:    nothing.
 * Threads: one at a time in all processes, under the collector's lock.
 * Truth:   doubt keeps: a ref that moved meanwhile leaves everything as it is, for the next time.
 */
#include <unistd.h>

#include "hub/hub_int.h"

enum { PAGE = 500, WAIT_MS = 60000, FIRST_MS = 3600000, QUICK_MS = 500 };

void hub_left_behind(hub *h, int64_t row)
{
    snug_err err = {0};
    if (hub_queue_tidy(h, row, FIRST_MS, &err) != SNUG_OK)
        snug_log_err(SNUG_WARN, "hub.tidy.queue", &err);
}

snug_status hub_queue_tidy(hub *h, int64_t row, uint64_t after_ms, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    db_txn     *tx = NULL;
    snug_slice  key = snug_arena_printf(a, "%lld", (long long)row);
    snug_slice  args = snug_arena_printf(a, "{\"repo\":%lld}", (long long)row);

    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_add_job(tx, "git-tidy", key, args, snug_now_ms() + (int64_t)after_ms, err));
    st = db_end(tx, true, err);
    tx = NULL;
done:
    db_rollback(tx);
    snug_arena_free(a);
    return st;
}

/* ---- one repository ---- */

typedef struct named {
    vcs_oid *v;
    size_t   count;
} named;

/* Commits that rows name: merged and closed pull requests show what they were. */
static snug_status read_named(hub *h, int64_t row, snug_arena *a, named *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    snug_slice  after = SNUG_EMPTY, *list;
    size_t      n = PAGE;

    *out = (named){0};
    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    while (n == PAGE) {
        SNUG_TRY(store_list_talk_commits(tx, a, row, after, PAGE, &list, &n, err));
        vcs_oid *bigger = snug_arena_alloc(a, (out->count + n + 1) * sizeof *bigger);
        if (out->count > 0) memcpy(bigger, out->v, out->count * sizeof *bigger);
        out->v = bigger;
        for (size_t i = 0; i < n; i++)
            if (vcs_oid_parse(list[i], &out->v[out->count])) out->count++;
        if (n > 0) after = list[n - 1];
    }
done:
    db_rollback(tx);
    return st;
}

static bool same_named(const named *x, const named *y)
{
    return x->count == y->count &&
           (x->count == 0 || memcmp(x->v, y->v, x->count * sizeof *x->v) == 0);
}

static snug_status open_tidy(hub *h, const store_repo *r, const hub_tidy_opts *o, const named *list,
                             vcs_tidy **out, snug_err *err)
{
    return vcs_tidy_open(h->vcs, r->git_key, list->v, list->count,
                         snug_now_ms() - (int64_t)o->grace_ms, out, err);
}

/* What is dropped must be as unused now as it was when it was looked for. Where something is
 * always written it never is: if looking was quick, it is done again while nobody writes. */
static snug_status land_paused(hub *h, const store_repo *r, vcs_tidy **t, const named *was,
                               const hub_tidy_opts *o, bool quick, bool *landed, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    named       now;
    bool        same;
    SNUG_AUTO(hub_hold) pause = {-1};

    SNUG_TRY(hub_pause_begin(h, o->wait_ms > 0 ? o->wait_ms : WAIT_MS, &pause, err));
    SNUG_TRY(vcs_tidy_same_refs(*t, r->git_key, &same, err));
    SNUG_TRY(read_named(h, r->id, a, &now, err));
    *landed = same && same_named(&now, was);
    if (!*landed && quick) {
        vcs_tidy_close(*t);
        *t = NULL;
        SNUG_TRY(open_tidy(h, r, o, &now, t, err));
        *landed = true;
    }
    if (*landed) SNUG_TRY(vcs_tidy_land(*t, err));
done:
    snug_arena_free(a);
    return st;
}

static snug_status tidy_repo(hub *h, const store_repo *r, const hub_tidy_opts *o,
                             hub_tidy_report *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    vcs_tidy   *t = NULL;
    named       list;
    bool        landed = false;

    SNUG_TRY(read_named(h, r->id, a, &list, err));
    uint64_t began = snug_mono_ms();
    SNUG_TRY(open_tidy(h, r, o, &list, &t, err));
    bool quick = snug_mono_ms() - began < QUICK_MS;
    out->young += vcs_tidy_young(t);
    if (!vcs_tidy_worth(t)) goto done;
    if (vcs_tidy_dropped(t) > 0) {
        SNUG_TRY(land_paused(h, r, &t, &list, o, quick, &landed, err));
    } else {
        SNUG_TRY(vcs_tidy_land(t, err));
        landed = true;
    }
    out->repos += landed;
    out->skipped += !landed;
    if (landed) out->dropped += vcs_tidy_dropped(t);
done:
    vcs_tidy_close(t);
    snug_arena_free(a);
    return st;
}

/* One that cannot be tidied does not keep the others from it. */
static snug_status see_repo(hub *h, const store_repo *r, const hub_tidy_opts *o,
                            hub_tidy_report *out, snug_err *err)
{
    uint64_t packs = 0, loose = 0;
    if (o->stop != NULL && o->stop(o->arg))
        return snug_fail(err, SNUG_EBUSY, "the tidying was stopped");
    if (r->state != STORE_LIVE || r->disabled) return SNUG_OK;
    snug_status st = SNUG_OK;
    if (o->packs_min > 0 || o->loose_min > 0) {
        st = vcs_count_files(h->vcs, r->git_key, &packs, &loose, err);
        if (st == SNUG_OK && packs < o->packs_min && loose < o->loose_min) return SNUG_OK;
    }
    if (st == SNUG_OK) st = tidy_repo(h, r, o, out, err);
    if (st == SNUG_OK) return st;
    snug_log_err(SNUG_WARN, "hub.tidy", err);
    snug_err_clear(err);
    out->skipped++;
    return SNUG_OK;
}

snug_status hub_tidy(hub *h, const hub_tidy_opts *o, hub_tidy_report *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    int64_t     after = o->row > 0 ? o->row - 1 : 0;
    size_t      n = PAGE, page = o->row > 0 ? 1 : PAGE;
    int         fd = -1;

    *out = (hub_tidy_report){0};
    SNUG_TRY(hub_collector_begin(h, &fd, err));
    for (; st == SNUG_OK && n == PAGE; n = o->row > 0 ? 0 : n) {
        snug_arena *a = snug_arena_new();
        db_txn     *tx = NULL;
        store_repo *rows = NULL;
        n = 0;
        st = db_begin(h->db, DB_READ, &tx, err);
        if (st == SNUG_OK) st = store_walk_repos(tx, a, after, page, &rows, &n, err);
        db_rollback(tx);
        for (size_t i = 0; st == SNUG_OK && i < n; i++) {
            after = rows[i].id;
            if (o->row == 0 || rows[i].id == o->row) st = see_repo(h, &rows[i], o, out, err);
        }
        snug_arena_free(a);
    }
done:
    if (fd >= 0) (void)close(fd);
    return st;
}

/* ---- the index of searches ---- */

snug_status hub_merge_index(hub *h, unsigned pages, bool *more, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    *more = false;
    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_merge_index(tx, pages, more, err));
    st = db_end(tx, true, err);
    tx = NULL;
done:
    db_rollback(tx);
    return st;
}
