/* SPDX-License-Identifier: Apache-2.0 */
/* hub/pulls.c - pull requests: a discussion with a ref of its own, refs/pr/<number>.
 *
 *   (nothing) --row--> MAKING --ref--> DRAFT or OPEN --merge_oid, branch--> MERGED
 *                         |                 |  ^
 *                         x (healer)        v  |
 *                                          CLOSED
 *
 * For:     the commit and discussion calls, the healer.
 * Owns:    refs/pr/. A ref there moves by its author, by writers, and by git pushes of the same.
 * Threads: any; making, merging and following the ref happen under the repository's lock.
 * Truth:   a MAKING row is seen by nobody; with its ref it goes at the next start. Before a merge
 *          moves the branch, the row says to where: when the branch has that commit after a crash,
 *          the merge happened. What a row says about commits follows the ref. */
#include "hub/hub_int.h"

enum { SYNC_COMMITS_MAX = 250, MERGE_TRIES = 20, NAMED_CONFLICTS = 10 };

int64_t hub_pull_number(snug_slice rev)
{
    uint64_t   n;
    snug_slice rest = snug_sub(rev, 8, rev.len);
    if (!snug_starts_with(rev, "refs/pr/") || rest.len == 0 || rest.ptr[0] == '0') return 0;
    return snug_parse_u64(rest, &n) && n <= INT32_MAX ? (int64_t)n : 0;
}

static bool is_open(store_talk s) { return s == STORE_TALK_OPEN || s == STORE_TALK_DRAFT; }

snug_status hub_check_pull_push(hub *h, const hub_actor *who, const hub_repo_info *info,
                                int64_t num, snug_err *err)
{
    snug_status      st = SNUG_OK;
    snug_arena      *a = snug_arena_new();
    store_discussion d;

    SNUG_TRY(hub_need_writer(h, who, err));
    SNUG_TRY(hub_load_talk(h, info->row, num, a, &d, err));
    if (!hub_can_write(who, info) && d.author_id != who->user_id)
        SNUG_FAIL(err, SNUG_EFORBIDDEN,
                  "Only the author of pull request %lld and writers can add to it", (long long)num);
    if (!is_open(d.status))
        SNUG_FAIL(err, SNUG_EFORBIDDEN, "Pull request %lld is %s: reopen it or open another one",
                  (long long)num, hub_talk_status_name((hub_talk_status)d.status));
done:
    snug_arena_free(a);
    return st;
}

snug_status hub_check_upload(hub *h, const hub_actor *who, const hub_repo_info *info,
                             snug_slice rev, bool proposes, snug_err *err)
{
    int64_t       num = hub_pull_number(rev);
    snug_status   st = SNUG_OK;
    snug_arena   *a = NULL;
    hub_repo_info again;

    if (proposes) return hub_need_writer(h, who, err);
    if (num > 0) return hub_check_pull_push(h, who, info, num, err);
    a = snug_arena_new();
    st = hub_find_repo(h, who, &info->id, HUB_ROLE_WRITE, a, &again, err);
    snug_arena_free(a);
    return st;
}

/* ---- making ---- */

snug_status hub_reserve_pull(hub *h, const hub_actor *who, const hub_repo_info *info,
                             snug_slice title, snug_slice base, const vcs_oid *tip, snug_arena *a,
                             hub_new_pull *out, snug_err *err)
{
    snug_status      st = SNUG_OK;
    db_txn          *tx = NULL;
    char             hex[41];
    store_discussion d = {.repo_id = info->row,
                          .is_pull = true,
                          .status = STORE_TALK_MAKING,
                          .author_id = who->user_id,
                          .author = who->name,
                          .created_ms = snug_now_ms(),
                          .base = base,
                          .fork = snug_str(hex),
                          .head = snug_str(hex)};

    vcs_oid_hex(tip, hex);
    SNUG_TRY(hub_need_voice(h, who, err));
    SNUG_TRY(hub_check_title(snug_sub(title, 0, snug_index(title, '\n')), &d.title, err));
    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_add_discussion(tx, &d, &out->row, &out->num, err));
    st = db_end(tx, true, err);
    tx = NULL;
    out->ref = snug_arena_printf(a, "refs/pr/%lld", (long long)out->num);
done:
    db_rollback(tx);
    return st;
}

static snug_status tell_opened(hub *h, db_txn *tx, const hub_repo_info *info,
                               const store_discussion *d, const store_event *e, snug_slice text,
                               snug_err *err)
{
    hub_news news = {.action = "create",
                     .scope = "discussion",
                     .repo = info,
                     .talk = d,
                     .comment = e,
                     .text = text};
    return hub_tell(h, tx, &news, err);
}

snug_status hub_publish_pull(hub *h, const hub_actor *who, const hub_repo_info *info, vcs_repo *git,
                             const hub_new_pull *p, snug_slice description, bool draft,
                             snug_err *err)
{
    snug_status      st = SNUG_OK;
    snug_arena      *a = snug_arena_new();
    db_txn          *tx = NULL;
    store_discussion d;
    store_event      e;
    bool             found;

    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_find_discussion(tx, a, info->row, p->num, &d, &found, err));
    SNUG_ASSERT(found && d.id == p->row); /* we hold the lock, and nobody else sees it */
    d.status = draft ? STORE_TALK_DRAFT : STORE_TALK_OPEN;
    SNUG_TRY(store_set_discussion(tx, &d, err));
    SNUG_TRY(hub_put_event(tx, who, d.id, STORE_EVENT_COMMENT, SNUG_EMPTY, SNUG_EMPTY, description,
                           &e, err));
    SNUG_TRY(tell_opened(h, tx, info, &d, &e, description, err));
    st = db_end(tx, true, err);
    tx = NULL;
    if (st == SNUG_OK && hub_sync_pull_locked(h, info, git, p->num, NULL) != SNUG_OK)
        snug_log(SNUG_WARN, "hub.pull.sync", "num=%lld",
                 (long long)p->num); /* the next look does */
done:
    db_rollback(tx);
    snug_arena_free(a);
    return st;
}

static snug_status drop_pull(hub *h, vcs_repo *git, int64_t row, snug_slice ref, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    vcs_oid     tip;

    if (vcs_resolve_rev(git, ref, &tip, NULL) == SNUG_OK)
        SNUG_TRY(vcs_update_ref(git, ref, &tip, NULL, err));
    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_drop_discussion(tx, row, err));
    st = db_end(tx, true, err);
    tx = NULL;
done:
    db_rollback(tx);
    return st;
}

void hub_forget_pull(hub *h, vcs_repo *git, const hub_new_pull *p)
{
    snug_err err = {0};
    if (drop_pull(h, git, p->row, p->ref, &err) != SNUG_OK)
        snug_log_err(SNUG_WARN, "hub.pull.undo", &err); /* hidden; the next start removes it */
}

/* A discussion needs no ref: one transaction. */
static snug_status open_discussion(hub *h, const hub_actor *who, hub_repo *r, snug_slice title,
                                   snug_slice description, int64_t *num, snug_err *err)
{
    snug_status      st = SNUG_OK;
    db_txn          *tx = NULL;
    int64_t          row;
    store_event      e;
    store_discussion d = {.repo_id = r->info.row,
                          .status = STORE_TALK_OPEN,
                          .author_id = who->user_id,
                          .author = who->name,
                          .title = title,
                          .created_ms = snug_now_ms()};

    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_add_discussion(tx, &d, &row, num, err));
    SNUG_TRY(hub_put_event(tx, who, row, STORE_EVENT_COMMENT, SNUG_EMPTY, SNUG_EMPTY, description,
                           &e, err));
    d.id = row;
    d.num = *num;
    SNUG_TRY(tell_opened(h, tx, &r->info, &d, &e, description, err));
    st = db_end(tx, true, err);
    tx = NULL;
done:
    db_rollback(tx);
    return st;
}

static snug_status open_draft_pull(hub *h, const hub_actor *who, hub_repo *r, snug_slice title,
                                   snug_slice description, int64_t *num, snug_err *err)
{
    snug_status  st = SNUG_OK;
    snug_arena  *a = snug_arena_new();
    hub_new_pull p = {0};
    snug_slice   base;
    vcs_oid      tip;
    bool         locked = false, reserved = false;

    SNUG_TRY(hub_lock_repo(h, r->info.row, err));
    locked = true;
    SNUG_TRY(vcs_resolve_branch(r->git, SNUG_LIT("main"), a, &base, &tip, err));
    SNUG_TRY(hub_reserve_pull(h, who, &r->info, title, base, &tip, a, &p, err));
    reserved = true;
    HUB_FAULT("hub.pull.after_row", err, st);
    SNUG_TRY(vcs_update_ref(r->git, p.ref, NULL, &tip, err));
    SNUG_TRY(hub_publish_pull(h, who, &r->info, r->git, &p, description, true, err));
    reserved = false; /* it stands */
    hub_touch(h, &r->info.id);
    *num = p.num;
done:
    if (reserved) hub_forget_pull(h, r->git, &p);
    if (locked) hub_unlock_repo(h, r->info.row);
    snug_arena_free(a);
    return st;
}

snug_status hub_open_talk(hub *h, const hub_actor *who, hub_repo *r, snug_slice title,
                          snug_slice description, bool pull, int64_t *num, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_slice  trimmed;

    SNUG_TRY(hub_need_voice(h, who, err));
    SNUG_TRY(hub_check_title(title, &trimmed, err));
    SNUG_TRY(hub_check_comment(description, err));
    if (pull) return open_draft_pull(h, who, r, trimmed, description, num, err);
    SNUG_TRY(open_discussion(h, who, r, trimmed, description, num, err));
done:
    return st;
}

/* ---- following the ref ---- */

/* Events for what the ref gained over `old`, oldest first. After a rewrite: only the new tip. */
static snug_status add_commits(db_txn *tx, vcs_repo *git, const store_discussion *d,
                               const vcs_oid *tip, snug_arena *a, snug_err *err)
{
    snug_status st = SNUG_OK;
    vcs_commit *list;
    size_t      count, fresh = 0;
    bool        more;
    vcs_oid     old, base;
    bool        has_old = vcs_oid_parse(d->head, &old), grown = false;

    if (has_old) SNUG_TRY(vcs_merge_base(git, &old, tip, &base, &grown, err));
    grown = grown && vcs_oid_eq(&base, &old);
    SNUG_TRY(vcs_log(git, tip, 0, grown ? SYNC_COMMITS_MAX : 1, a, &list, &count, &more, err));
    while (fresh < count && !vcs_oid_eq(&list[fresh].id, &old)) fresh++;
    while (fresh-- > 0) {
        char hex[41];
        vcs_oid_hex(&list[fresh].id, hex);
        hub_actor author = {.user_id = d->author_id, .name = list[fresh].author};
        SNUG_TRY(hub_put_event(tx, &author, d->id, STORE_EVENT_COMMIT, list[fresh].title,
                               snug_str(hex), SNUG_EMPTY, NULL, err));
    }
done:
    return st;
}

snug_status hub_sync_pull_locked(hub *h, const hub_repo_info *info, vcs_repo *git, int64_t num,
                                 snug_err *err)
{
    snug_status      st = SNUG_OK;
    snug_arena      *a = snug_arena_new();
    db_txn          *tx = NULL;
    store_discussion d;
    vcs_oid          tip, target, fork, was;
    char             hex[41], fork_hex[41];
    bool             found, related = false;

    SNUG_TRY(vcs_resolve_rev(git, snug_arena_printf(a, "refs/pr/%lld", (long long)num), &tip, err));
    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_find_discussion(tx, a, info->row, num, &d, &found, err));
    vcs_oid_hex(&tip, hex);
    if (!found || !is_open(d.status) || snug_eq_str(d.head, hex)) goto done;
    SNUG_TRY(add_commits(tx, git, &d, &tip, a, err));
    bool had = vcs_oid_parse(d.head, &was);
    d.head = snug_str(hex);
    if (vcs_resolve_rev(git, d.base, &target, NULL) == SNUG_OK)
        SNUG_TRY(vcs_merge_base(git, &target, &tip, &fork, &related, err));
    if (related) {
        vcs_oid_hex(&fork, fork_hex);
        d.fork = snug_str(fork_hex);
    }
    SNUG_TRY(store_set_discussion(tx, &d, err));
    hub_ref_move move = {snug_arena_printf(a, "refs/pr/%lld", (long long)num), had ? &was : NULL,
                         &tip};
    hub_news     news = {
            .action = "update", .scope = "repo.content", .repo = info, .moves = &move, .move_count = 1};
    SNUG_TRY(hub_tell(h, tx, &news, err));
    st = db_end(tx, true, err);
    tx = NULL;
done:
    db_rollback(tx);
    snug_arena_free(a);
    return st;
}

/* ---- looking ---- */

snug_status hub_pull_conflicts(hub_repo *r, const hub_talk *t, snug_arena *a, snug_slice **paths,
                               size_t *count, snug_err *err)
{
    snug_status st = SNUG_OK;
    vcs_oid     ours, theirs;
    vcs_merge   m;

    *count = 0;
    if (!t->is_pull || (t->status != HUB_TALK_OPEN && t->status != HUB_TALK_DRAFT)) goto done;
    if (vcs_resolve_rev(r->git, t->base, &ours, NULL) != SNUG_OK)
        goto done; /* the branch is gone */
    if (!vcs_oid_parse(t->head, &theirs)) goto done;
    SNUG_TRY(vcs_merge_commits(r->git, &ours, &theirs, SNUG_EMPTY, NULL, a, &m, err));
    *paths = m.conflicts;
    *count = m.conflict_count;
done:
    return st;
}

snug_status hub_pull_diff(hub_repo *r, const hub_talk *t, snug_buf *out, bool *cut, snug_err *err)
{
    vcs_oid from, to;
    *cut = false;
    if (!t->is_pull || !vcs_oid_parse(t->head, &to)) return SNUG_OK;
    return vcs_diff(r->git, vcs_oid_parse(t->fork, &from) ? &from : NULL, &to, out, cut, err);
}

/* ---- merging ---- */

typedef struct merging {
    hub             *h;
    const hub_actor *who;
    hub_repo        *r;
    snug_arena      *a;
    store_discussion d;
    vcs_oid          head, tip;
    vcs_merge        m;
} merging;

static snug_status fail_conflict(const vcs_merge *m, snug_err *err)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(400);
    for (size_t i = 0; i < m->conflict_count && i < NAMED_CONFLICTS && !b.full; i++)
        snug_buf_printf(&b, "%s%.*s", i > 0 ? ", " : "", SNUG_SLICE(m->conflicts[i]));
    if (m->conflict_count > NAMED_CONFLICTS) snug_buf_puts(&b, ", ...");
    return snug_fail(err, SNUG_ECONFLICT,
                     "This pull request has conflicts with its base in: %.*s. Bring the base into "
                     "it, or take these changes back",
                     SNUG_SLICE(snug_buf_slice(&b)));
}

static snug_status write_row(merging *g, snug_err *err)
{
    db_txn     *tx = NULL;
    snug_status st = db_begin(g->h->db, DB_WRITE, &tx, err);
    if (st == SNUG_OK) st = store_set_discussion(tx, &g->d, err);
    if (st == SNUG_OK) {
        st = db_end(tx, true, err);
        tx = NULL;
    }
    db_rollback(tx);
    return st;
}

/* The branch has the commit: the row says so, and the timeline. */
static snug_status finish_merge(hub *h, const hub_actor *who, const hub_repo_info *info,
                                store_discussion *d, snug_slice comment, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;

    d->status = STORE_TALK_MERGED;
    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_set_discussion(tx, d, err));
    if (snug_trim(comment).len > 0)
        SNUG_TRY(hub_put_event(tx, who, d->id, STORE_EVENT_COMMENT, SNUG_EMPTY, SNUG_EMPTY, comment,
                               NULL, err));
    SNUG_TRY(hub_put_event(tx, who, d->id, STORE_EVENT_STATUS, SNUG_LIT("merged"), SNUG_EMPTY,
                           SNUG_EMPTY, NULL, err));
    hub_news news = {.action = "update", .scope = "discussion", .repo = info, .talk = d};
    SNUG_TRY(hub_tell(h, tx, &news, err));
    st = db_end(tx, true, err);
    tx = NULL;
done:
    db_rollback(tx);
    return st;
}

/* Does the tip hold commits of the pull request already, by a push? Then it only has to say so. */
static bool was_pushed(const merging *g)
{
    return g->m.kind == VCS_MERGE_NOTHING && !snug_eq(g->d.head, g->d.fork);
}

static snug_status try_merge(merging *g, snug_slice comment, snug_err *err)
{
    snug_status st = SNUG_OK;
    vcs_who     author;
    snug_slice  ref;
    char        hex[41];
    snug_slice  message = snug_arena_printf(g->a, "Merge pull request #%lld: %.*s%s%.*s",
                                            (long long)g->d.num, SNUG_SLICE(g->d.title),
                                           comment.len > 0 ? "\n\n" : "", SNUG_SLICE(comment));

    hub_who_of(g->who, g->a, &author);
    SNUG_TRY(vcs_resolve_branch(g->r->git, g->d.base, g->a, &ref, &g->tip, err));
    SNUG_TRY(vcs_merge_commits(g->r->git, &g->tip, &g->head, message, &author, g->a, &g->m, err));
    if (g->m.kind == VCS_MERGE_CONFLICT) {
        st = fail_conflict(&g->m, err);
        goto done;
    }
    if (g->m.kind == VCS_MERGE_NOTHING) {
        if (!was_pushed(g))
            SNUG_FAIL(err, SNUG_EINVAL, "Pull request %lld has no changes to merge",
                      (long long)g->d.num);
        g->m.commit = g->head;
        goto done;
    }
    vcs_oid_hex(&g->m.commit, hex);
    g->d.merge = snug_arena_dup(g->a, snug_str(hex));
    SNUG_TRY(write_row(g, err)); /* to where the branch is about to move */
    HUB_FAULT("hub.merge.before_ref", err, st);
    SNUG_TRY(vcs_update_ref(g->r->git, ref, &g->tip, &g->m.commit, err));
done:
    return st;
}

static snug_status merge_open(merging *g, int64_t num, snug_slice comment, snug_err *err)
{
    snug_status st = SNUG_ESTALE;
    char        hex[41];

    SNUG_TRY(hub_sync_pull_locked(g->h, &g->r->info, g->r->git, num, err));
    SNUG_TRY(hub_load_talk(g->h, g->r->info.row, num, g->a, &g->d, err));
    if (g->d.status == STORE_TALK_DRAFT)
        SNUG_FAIL(err, SNUG_EINVAL, "Pull request %lld is a draft: open it before it is merged",
                  (long long)num);
    if (g->d.status != STORE_TALK_OPEN)
        SNUG_FAIL(err, SNUG_EINVAL, "Pull request %lld is %s", (long long)num,
                  hub_talk_status_name((hub_talk_status)g->d.status));
    SNUG_ASSERT(vcs_oid_parse(g->d.head, &g->head));
    st = SNUG_ESTALE;
    for (int i = 0; i < MERGE_TRIES && st == SNUG_ESTALE; i++) { /* pushes do not take our lock */
        snug_err_clear(err);
        st = try_merge(g, comment, err);
    }
    if (st != SNUG_OK) {
        /* Whether the branch moved is for the healer to find out; it has the row. */
        if (g->d.merge.len > 0) hub_mark_stale(g->h, g->r->info.row);
        goto done;
    }
    vcs_oid_hex(&g->m.commit, hex);
    g->d.merge = snug_arena_dup(g->a, snug_str(hex));
done:
    return st;
}

snug_status hub_merge_pull(hub *h, const hub_actor *who, hub_repo *r, int64_t num,
                           snug_slice comment, vcs_oid *merged, snug_err *err)
{
    snug_status   st = SNUG_OK;
    merging       g = {.h = h, .who = who, .r = r, .a = snug_arena_new()};
    hub_repo_info again;
    bool          locked = false;
    snug_err      later = {0};

    SNUG_TRY(hub_find_repo(h, who, &r->info.id, HUB_ROLE_WRITE, g.a, &again, err));
    SNUG_TRY(hub_check_comment(comment, err));
    SNUG_TRY(hub_load_talk(h, r->info.row, num, g.a, &g.d, err));
    if (!g.d.is_pull)
        SNUG_FAIL(err, SNUG_EINVAL, "Discussion %lld is not a pull request", (long long)num);
    SNUG_TRY(hub_lock_repo(h, r->info.row, err));
    locked = true;
    SNUG_TRY(merge_open(&g, num, comment, err));
    *merged = g.m.commit;
    /* The branch moved: the merge is made, whatever happens below. */
    HUB_FAULT("hub.merge.after_ref", &later, st);
    SNUG_TRY(finish_merge(h, who, &r->info, &g.d, comment, &later));
    if (snug_eq_str(g.d.base, "refs/heads/main"))
        SNUG_TRY(hub_refresh_row_locked(h, r->info.row, r->git, snug_now_ms(), &later));
done:
    if (later.status != SNUG_OK) {
        snug_log_err(SNUG_ERROR, "hub.merge.row", &later);
        hub_mark_stale(h, r->info.row);
        st = SNUG_OK;
    }
    if (locked) {
        hub_touch(h, &r->info.id);
        hub_unlock_repo(h, r->info.row);
    }
    snug_arena_free(g.a);
    return st;
}

/* ---- after a crash ---- */

static snug_status heal_pull(hub *h, store_discussion *d, snug_arena *a, snug_err *err)
{
    snug_status     st = SNUG_OK;
    hub_repo_info   info;
    vcs_repo       *git = NULL;
    vcs_oid         target, merge, base;
    bool            found, merged = false, locked = false;
    db_txn         *tx = NULL;
    const hub_actor author = {.user_id = d->author_id, .name = d->author};

    SNUG_TRY(hub_lock_repo(h, d->repo_id, err)); /* whoever is at work on it finishes first */
    locked = true;
    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    SNUG_TRY(store_find_discussion(tx, a, d->repo_id, d->num, d, &found, err));
    db_rollback(tx);
    tx = NULL;
    if (!found ||
        (d->status != STORE_TALK_MAKING && (d->status != STORE_TALK_OPEN || d->merge.len == 0)))
        goto done;
    SNUG_TRY(hub_load_row(h, d->repo_id, a, &info, &found, err));
    if (!found || !vcs_repo_exists(h->vcs, snug_str(info.key))) goto done;
    SNUG_TRY(vcs_acquire(h->vcs, snug_str(info.key), &git, err));
    if (d->status == STORE_TALK_MAKING) {
        st = drop_pull(h, git, d->id, snug_arena_printf(a, "refs/pr/%lld", (long long)d->num), err);
        goto done;
    }
    if (vcs_oid_parse(d->merge, &merge) && vcs_resolve_rev(git, d->base, &target, NULL) == SNUG_OK)
        SNUG_TRY(vcs_merge_base(git, &target, &merge, &base, &merged, err));
    if (merged && vcs_oid_eq(&base, &merge)) {
        SNUG_TRY(finish_merge(h, &author, &info, d, SNUG_EMPTY, err));
    } else {
        merging g = {.h = h, .d = *d};
        g.d.merge = SNUG_EMPTY;
        SNUG_TRY(write_row(&g, err));
    }
done:
    db_rollback(tx);
    vcs_release(git);
    if (locked) hub_unlock_repo(h, d->repo_id);
    return st;
}

snug_status hub_heal_pulls(hub *h, snug_err *err)
{
    snug_status       st = SNUG_OK;
    snug_arena       *a = snug_arena_new();
    db_txn           *tx = NULL;
    store_discussion *list = NULL;
    size_t            count = 0;

    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    SNUG_TRY(store_unfinished_pulls(tx, a, &list, &count, err));
    db_rollback(tx);
    tx = NULL;
    for (size_t i = 0; i < count; i++) {
        snug_err one = {0}; /* one broken repository does not keep the others from starting */
        if (heal_pull(h, &list[i], a, &one) != SNUG_OK)
            snug_log_err(SNUG_ERROR, "hub.pull.heal", &one);
    }
done:
    db_rollback(tx);
    snug_arena_free(a);
    return st;
}
