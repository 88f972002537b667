/* SPDX-License-Identifier: Apache-2.0 */
/* store/people.c - who likes and follows what; organizations and their members.
 *
 * For:     hub/likes.c, hub/orgs.c.
 * Owns:    the tables likes, follows, orgs, org_members.
 * Threads: any; a transaction stays with its thread.
 * Truth:   a like is one row, and repos.likes is their count. Pages go on behind a key, never by
 *          counting. */
#include "store/store_int.h"

enum { ORGS_MAX = 10000 };

/* ---- likes ---- */

snug_status store_set_like(db_txn *tx, int64_t user, int64_t repo, bool on, int64_t now_ms,
                           bool *changed, snug_err *err)
{
    static const db_query put = {"INSERT INTO likes (id, user_id, repo_id, created_ms) VALUES ($1, "
                                 "$2, $3, $4) ON CONFLICT (user_id, repo_id) DO NOTHING"};
    static const db_query drop = {"DELETE FROM likes WHERE user_id = $1 AND repo_id = $2"};
    static const db_query sum = {"UPDATE repos SET likes = (SELECT COUNT(*) FROM likes l WHERE "
                                 "l.repo_id = repos.id) WHERE id = $1"};
    snug_status           st = SNUG_OK;
    int64_t               id;
    uint64_t              n = 0;
    db_val                row = db_int(repo), pair[] = {db_int(user), row};

    if (on) {
        SNUG_TRY(store_next_id(tx, "likes", &id, err));
        db_val args[] = {db_int(id), db_int(user), row, db_int(now_ms)};
        SNUG_TRY(db_exec(tx, put, args, 4, &n, err));
    } else {
        SNUG_TRY(db_exec(tx, drop, pair, 2, &n, err));
    }
    *changed = n > 0;
    if (*changed) SNUG_TRY(db_exec(tx, sum, &row, 1, NULL, err));
done:
    return st;
}

static void read_like(snug_arena *a, const db_val *c, void *item)
{
    store_like *l = item;
    *l = (store_like){.key = c[0].i,
                      .created_ms = c[1].i,
                      .type = (int)c[2].i,
                      .ns = snug_arena_dup(a, c[3].s),
                      .name = snug_arena_dup(a, c[4].s)};
}

snug_status store_list_likes(db_txn *tx, snug_arena *a, int64_t user, store_reader eyes,
                             int64_t after, size_t limit, store_like **out, size_t *count,
                             snug_err *err)
{
    static const db_query q = {
        "SELECT l.id, l.created_ms, r.type, r.ns, r.name FROM likes l JOIN repos r ON r.id = "
        "l.repo_id WHERE l.user_id = $1 AND l.id < $2 AND r.state = 1 AND " STORE_SEEN(
            "$3", "$4") " ORDER BY l.id DESC LIMIT $5"};
    db_val      args[] = {db_int(user), db_int(after > 0 ? after : INT32_MAX), db_int(eyes.sees),
                          db_text(store_lower(a, eyes.me)), db_int((int64_t)limit)};
    void       *rows = NULL;
    snug_status st =
        store_rows(tx, a, q, args, 5, limit, sizeof **out, read_like, &rows, count, err);
    *out = rows;
    return st;
}

/* ---- people in lists ---- */

static void read_person(snug_arena *a, const db_val *c, void *item)
{
    store_person *p = item;
    *p = (store_person){.key = c[0].i,
                        .id = c[1].i,
                        .name = snug_arena_dup(a, c[2].s),
                        .fullname = snug_arena_dup(a, c[3].s),
                        .role = (int)c[4].i};
}

static snug_status list_people(db_txn *tx, snug_arena *a, db_query q, const db_val *args, size_t n,
                               size_t limit, store_person **out, size_t *count, snug_err *err)
{
    void       *rows = NULL;
    snug_status st =
        store_rows(tx, a, q, args, n, limit, sizeof **out, read_person, &rows, count, err);
    *out = rows;
    return st;
}

snug_status store_list_likers(db_txn *tx, snug_arena *a, int64_t repo, int64_t after, size_t limit,
                              store_person **out, size_t *count, snug_err *err)
{
    static const db_query q = {
        "SELECT l.id, u.id, u.name, u.fullname, 0 FROM likes l JOIN users u ON u.id = l.user_id "
        "WHERE l.repo_id = $1 AND l.id < $2 ORDER BY l.id DESC LIMIT $3"};
    db_val args[] = {db_int(repo), db_int(after > 0 ? after : INT32_MAX), db_int((int64_t)limit)};
    return list_people(tx, a, q, args, 3, limit, out, count, err);
}

snug_status store_list_followers(db_txn *tx, snug_arena *a, store_follow kind, int64_t target,
                                 int64_t after, size_t limit, store_person **out, size_t *count,
                                 snug_err *err)
{
    static const db_query q = {
        "SELECT u.id, u.id, u.name, u.fullname, 0 FROM follows f JOIN users u ON u.id = f.user_id "
        "WHERE f.kind = $1 AND f.target_id = $2 AND f.user_id > $3 ORDER BY f.user_id LIMIT $4"};
    db_val args[] = {db_int(kind), db_int(target), db_int(after), db_int((int64_t)limit)};
    return list_people(tx, a, q, args, 4, limit, out, count, err);
}

snug_status store_list_following(db_txn *tx, snug_arena *a, int64_t user, int64_t after,
                                 size_t limit, store_person **out, size_t *count, snug_err *err)
{
    static const db_query q = {
        "SELECT u.id, u.id, u.name, u.fullname, 0 FROM follows f JOIN users u ON u.id = "
        "f.target_id WHERE f.user_id = $1 AND f.kind = 0 AND f.target_id > $2 ORDER BY "
        "f.target_id LIMIT $3"};
    db_val args[] = {db_int(user), db_int(after), db_int((int64_t)limit)};
    return list_people(tx, a, q, args, 3, limit, out, count, err);
}

snug_status store_set_follow(db_txn *tx, int64_t user, store_follow kind, int64_t target, bool on,
                             int64_t now_ms, snug_err *err)
{
    static const db_query put = {
        "INSERT INTO follows (user_id, kind, target_id, created_ms) VALUES ($1, $2, $3, $4) ON "
        "CONFLICT (user_id, kind, target_id) DO NOTHING"};
    static const db_query drop = {
        "DELETE FROM follows WHERE user_id = $1 AND kind = $2 AND target_id = $3"};
    db_val args[] = {db_int(user), db_int(kind), db_int(target), db_int(now_ms)};
    return on ? db_exec(tx, put, args, 4, NULL, err) : db_exec(tx, drop, args, 3, NULL, err);
}

snug_status store_is_following(db_txn *tx, int64_t user, store_follow kind, int64_t target,
                               bool *yes, snug_err *err)
{
    static const db_query q = {
        "SELECT COUNT(*) FROM follows WHERE user_id = $1 AND kind = $2 AND target_id = $3"};
    db_val      args[] = {db_int(user), db_int(kind), db_int(target)};
    int64_t     n = 0;
    snug_status st = store_number(tx, q, args, 3, 0, &n, err);
    *yes = n > 0;
    return st;
}

/* ---- organizations ---- */

#define ORG_COLS "o.id, o.name, o.fullname, o.details, o.created_ms"

static void read_org(snug_arena *a, const db_val *c, void *item)
{
    store_org *o = item;
    *o = (store_org){.id = c[0].i,
                     .name = snug_arena_dup(a, c[1].s),
                     .fullname = snug_arena_dup(a, c[2].s),
                     .details = snug_arena_dup(a, c[3].s),
                     .created_ms = c[4].i,
                     .role = (int)c[5].i};
}

snug_status store_add_org(db_txn *tx, const store_org *o, int64_t *id, snug_err *err)
{
    static const db_query q = {"INSERT INTO orgs (id, name, name_key, fullname, details, "
                               "created_ms) VALUES ($1, $2, $3, $4, $5, $6)"};
    snug_status           st = SNUG_OK;
    snug_arena           *a = snug_arena_new();

    SNUG_TRY(store_next_id(tx, "orgs", id, err));
    db_val args[] = {db_int(*id),          db_text(o->name),    db_text(store_lower(a, o->name)),
                     db_text(o->fullname), db_text(o->details), db_int(o->created_ms)};
    SNUG_TRY(db_exec(tx, q, args, 6, NULL, err));
done:
    snug_arena_free(a);
    return st;
}

snug_status store_find_org(db_txn *tx, snug_arena *a, snug_slice name, store_org *out, bool *found,
                           snug_err *err)
{
    static const db_query q = {"SELECT " ORG_COLS ", 0 FROM orgs o WHERE o.name_key = $1"};
    db_val                arg = db_text(store_lower(a, name));
    void                 *rows;
    size_t                count;
    snug_status st = store_rows(tx, a, q, &arg, 1, 1, sizeof *out, read_org, &rows, &count, err);
    *found = st == SNUG_OK && count == 1;
    if (*found) *out = *(store_org *)rows;
    return st;
}

snug_status store_set_member(db_txn *tx, int64_t org, int64_t user, int role, snug_err *err)
{
    static const db_query put = {
        "INSERT INTO org_members (org_id, user_id, role) VALUES ($1, $2, $3) ON CONFLICT (org_id, "
        "user_id) DO UPDATE SET role = excluded.role"};
    static const db_query drop = {"DELETE FROM org_members WHERE org_id = $1 AND user_id = $2"};
    db_val                args[] = {db_int(org), db_int(user), db_int(role)};
    return role == 0 ? db_exec(tx, drop, args, 2, NULL, err) : db_exec(tx, put, args, 3, NULL, err);
}

snug_status store_list_members(db_txn *tx, snug_arena *a, int64_t org, int64_t after, size_t limit,
                               store_person **out, size_t *count, snug_err *err)
{
    static const db_query q = {
        "SELECT u.id, u.id, u.name, u.fullname, m.role FROM org_members m JOIN users u ON u.id = "
        "m.user_id WHERE m.org_id = $1 AND m.user_id > $2 ORDER BY m.user_id LIMIT $3"};
    db_val args[] = {db_int(org), db_int(after), db_int((int64_t)limit)};
    return list_people(tx, a, q, args, 3, limit, out, count, err);
}

snug_status store_list_orgs(db_txn *tx, snug_arena *a, int64_t user, store_org **out, size_t *count,
                            snug_err *err)
{
    static const db_query all = {"SELECT " ORG_COLS ", 0 FROM orgs o ORDER BY o.name_key"};
    static const db_query mine = {
        "SELECT " ORG_COLS ", m.role FROM orgs o JOIN org_members m ON m.org_id = o.id WHERE "
        "m.user_id = $1 ORDER BY o.name_key"};
    db_val      arg = db_int(user);
    void       *rows = NULL;
    snug_status st = store_rows(tx, a, user == 0 ? all : mine, &arg, user == 0 ? 0 : 1, ORGS_MAX,
                                sizeof **out, read_org, &rows, count, err);
    *out = rows;
    return st;
}

/* ---- counts ---- */

static snug_status count_of(db_txn *tx, db_query q, db_val arg, uint64_t *out, snug_err *err)
{
    int64_t     n = 0;
    snug_status st = store_number(tx, q, &arg, 1, 0, &n, err);
    *out = (uint64_t)n;
    return st;
}

snug_status store_count_namespace(db_txn *tx, snug_slice ns, store_reader eyes, store_counts *out,
                                  snug_err *err)
{
    static const db_query q = {"SELECT COUNT(*) FROM repos r WHERE r.ns_key = $1 AND r.type = $2 "
                               "AND r.state = 1 AND " STORE_SEEN("$3", "$4")};
    snug_status           st = SNUG_OK;
    snug_arena           *a = snug_arena_new();

    for (int type = 0; type < 3; type++) {
        int64_t n;
        db_val  args[] = {db_text(store_lower(a, ns)), db_int(type), db_int(eyes.sees),
                          db_text(store_lower(a, eyes.me))};
        SNUG_TRY(store_number(tx, q, args, 4, 0, &n, err));
        out->repos[type] = (uint64_t)n;
    }
done:
    snug_arena_free(a);
    return st;
}

snug_status store_count_user(db_txn *tx, int64_t user, store_counts *out, snug_err *err)
{
    static const db_query likes = {"SELECT COUNT(*) FROM likes WHERE user_id = $1"};
    static const db_query following = {"SELECT COUNT(*) FROM follows WHERE user_id = $1"};
    static const db_query followers = {
        "SELECT COUNT(*) FROM follows WHERE kind = 0 AND target_id = $1"};
    snug_status st = SNUG_OK;
    SNUG_TRY(count_of(tx, likes, db_int(user), &out->likes, err));
    SNUG_TRY(count_of(tx, following, db_int(user), &out->following, err));
    SNUG_TRY(count_of(tx, followers, db_int(user), &out->followers, err));
    SNUG_TRY(store_count_discussions_of(tx, user, &out->discussions, err));
done:
    return st;
}

snug_status store_count_org(db_txn *tx, int64_t org, store_counts *out, snug_err *err)
{
    static const db_query members = {"SELECT COUNT(*) FROM org_members WHERE org_id = $1"};
    static const db_query followers = {
        "SELECT COUNT(*) FROM follows WHERE kind = 1 AND target_id = $1"};
    snug_status st = SNUG_OK;
    SNUG_TRY(count_of(tx, members, db_int(org), &out->members, err));
    SNUG_TRY(count_of(tx, followers, db_int(org), &out->followers, err));
done:
    return st;
}
