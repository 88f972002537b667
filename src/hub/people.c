/* SPDX-License-Identifier: Apache-2.0 */
/* hub/people.c - likes, follows, organizations and who belongs to them.
 *
 * For:     api/social.c, whoami, the operator's commands.
 * Owns:    the rules of membership: read, write, admin. repos.c asks hub_role_in.
 * Threads: any.
 * Truth:   a namespace belongs to one user or one organization. What an actor may do in his
 *          organizations was read with his token, and is at most some seconds old. */
#include "hub/hub_int.h"

enum { PAGE_MAX = 1000, FULLNAME_MAX = 200 };

/* ---- roles ---- */

/* " acme:3 lab:1 ": read once with the token, cheap to ask on every request. */
snug_status hub_load_orgs(db_txn *tx, snug_arena *a, int64_t user, snug_slice *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    store_org  *orgs;
    size_t      count;
    SNUG_AUTO(snug_buf) b = snug_buf_init(1 << 20);

    *out = SNUG_EMPTY;
    SNUG_TRY(store_list_orgs(tx, a, user, &orgs, &count, err));
    if (count == 0) goto done;
    snug_buf_putc(&b, ' ');
    for (size_t i = 0; i < count; i++)
        snug_buf_printf(&b, "%.*s:%d ", SNUG_SLICE(orgs[i].name), orgs[i].role);
    SNUG_TRY(snug_buf_check(&b, "the list of organizations", err));
    *out = snug_arena_dup(a, snug_buf_slice(&b));
done:
    return st;
}

hub_role hub_role_in(const hub_actor *who, snug_slice ns)
{
    snug_slice rest, one, name;
    if (hub_is_anonymous(who)) return HUB_ROLE_NONE;
    if (who->is_admin || snug_eq_nocase(who->name, ns)) return HUB_ROLE_ADMIN;
    rest = who->orgs;
    while (rest.len > 0 && snug_split(&rest, ' ', &one)) {
        if (!snug_split(&one, ':', &name) || !snug_eq_nocase(name, ns) || one.len != 1) continue;
        return (hub_role)(one.ptr[0] - '0');
    }
    return HUB_ROLE_NONE;
}

/* ---- organizations ---- */

static void org_of_row(const store_org *o, hub_org *out)
{
    *out = (hub_org){.id = o->id,
                     .name = o->name,
                     .fullname = o->fullname.len > 0 ? o->fullname : o->name,
                     .details = o->details,
                     .created_ms = o->created_ms,
                     .role = (hub_role)o->role};
}

snug_status hub_add_org(hub *h, snug_slice name, snug_slice fullname, hub_org *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    db_txn     *tx = NULL;
    store_user  user;
    bool        used;
    store_org   row = {.name = name, .fullname = fullname, .created_ms = snug_now_ms()};

    if (h->read_only) SNUG_FAIL(err, SNUG_EFORBIDDEN, "This server is read-only");
    SNUG_TRY(hub_check_name(name, "organization name", err));
    if (name.len < 2 || name.len > HUB_USER_NAME_MAX || hub_name_reserved(name))
        SNUG_FAIL(err, SNUG_EINVAL, "The organization name \"%.*s\" is not valid or reserved",
                  SNUG_SLICE(name));
    if (fullname.len > FULLNAME_MAX || !snug_utf8_valid(fullname))
        SNUG_FAIL(err, SNUG_EINVAL, "a full name has at most %d bytes", (int)FULLNAME_MAX);
    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_find_user(tx, a, name, &user, &used, err));
    if (!used) SNUG_TRY(store_namespace_used(tx, name, &used, err));
    if (used) SNUG_FAIL(err, SNUG_ECONFLICT, "The name \"%.*s\" is taken", SNUG_SLICE(name));
    SNUG_TRY(store_add_org(tx, &row, &row.id, err));
    st = db_end(tx, true, err);
    tx = NULL;
    if (st == SNUG_OK && out != NULL) org_of_row(&row, out);
done:
    db_rollback(tx);
    snug_arena_free(a);
    return st;
}

static snug_status fail_no_org(snug_slice name, snug_err *err)
{
    return snug_fail(err, SNUG_ENOTFOUND, "There is no organization \"%.*s\"",
                     SNUG_SLICE(snug_sub(name, 0, HUB_NAME_MAX)));
}

snug_status hub_find_org(hub *h, snug_slice name, snug_arena *a, hub_org *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    store_org   row;
    bool        found = false;

    if (name.len > 0 && name.len <= HUB_NAME_MAX) {
        SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
        SNUG_TRY(store_find_org(tx, a, name, &row, &found, err));
    }
    if (!found) {
        st = fail_no_org(name, err);
        goto done;
    }
    org_of_row(&row, out);
done:
    db_rollback(tx);
    return st;
}

snug_status hub_set_member(hub *h, snug_slice org, snug_slice user, hub_role role, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    db_txn     *tx = NULL;
    store_org   o;
    store_user  u;
    bool        found;

    if (h->read_only) SNUG_FAIL(err, SNUG_EFORBIDDEN, "This server is read-only");
    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_find_org(tx, a, org, &o, &found, err));
    if (!found) {
        st = fail_no_org(org, err);
        goto done;
    }
    SNUG_TRY(store_find_user(tx, a, user, &u, &found, err));
    if (!found)
        SNUG_FAIL(err, SNUG_ENOTFOUND, "There is no account \"%.*s\"",
                  SNUG_SLICE(snug_sub(user, 0, HUB_NAME_MAX)));
    SNUG_TRY(store_set_member(tx, o.id, u.id, (int)role, err));
    st = db_end(tx, true, err);
    tx = NULL;
    if (st == SNUG_OK) hub_tokens_forget(h);
done:
    db_rollback(tx);
    snug_arena_free(a);
    return st;
}

snug_status hub_list_orgs(hub *h, int64_t user, snug_arena *a, hub_org **out, size_t *count,
                          snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    store_org  *rows;

    *count = 0;
    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    SNUG_TRY(store_list_orgs(tx, a, user, &rows, count, err));
    *out = snug_arena_alloc(a, (*count + 1) * sizeof **out);
    for (size_t i = 0; i < *count; i++) org_of_row(&rows[i], &(*out)[i]);
done:
    db_rollback(tx);
    return st;
}

/* ---- likes ---- */

snug_status hub_like(hub *h, const hub_actor *who, const hub_repo_info *repo, bool on,
                     snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    bool        changed;

    SNUG_TRY(hub_need_voice(h, who, err));
    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_set_like(tx, who->user_id, repo->row, on, snug_now_ms(), &changed, err));
    st = db_end(tx, true, err);
    tx = NULL;
    if (st == SNUG_OK && changed) hub_touch(h, &repo->id);
done:
    db_rollback(tx);
    return st;
}

snug_status hub_list_likes(hub *h, const hub_actor *who, int64_t user, int64_t after, size_t limit,
                           snug_arena *a, hub_like_item **out, size_t *count, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    store_like *rows;

    SNUG_ASSERT(limit <= PAGE_MAX);
    *count = 0;
    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    SNUG_TRY(store_list_likes(tx, a, user, hub_reader_of(who), after, limit, &rows, count, err));
    *out = snug_arena_alloc(a, (*count + 1) * sizeof **out);
    for (size_t i = 0; i < *count; i++)
        (*out)[i] = (hub_like_item){.key = rows[i].key,
                                    .created_ms = rows[i].created_ms,
                                    .type = (hub_type)rows[i].type,
                                    .ns = rows[i].ns,
                                    .name = rows[i].name};
done:
    db_rollback(tx);
    return st;
}

/* ---- people in lists ---- */

snug_status hub_list_people(hub *h, hub_people kind, int64_t of, int64_t after, size_t limit,
                            snug_arena *a, hub_person **out, size_t *count, snug_err *err)
{
    snug_status   st = SNUG_OK;
    db_txn       *tx = NULL;
    store_person *p = NULL;

    SNUG_ASSERT(limit <= PAGE_MAX);
    *count = 0;
    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    switch (kind) {
    case HUB_LIKERS: SNUG_TRY(store_list_likers(tx, a, of, after, limit, &p, count, err)); break;
    case HUB_FOLLOWERS:
        SNUG_TRY(store_list_followers(tx, a, STORE_FOLLOW_USER, of, after, limit, &p, count, err));
        break;
    case HUB_FOLLOWING:
        SNUG_TRY(store_list_following(tx, a, of, after, limit, &p, count, err));
        break;
    case HUB_ORG_FOLLOWERS:
        SNUG_TRY(store_list_followers(tx, a, STORE_FOLLOW_ORG, of, after, limit, &p, count, err));
        break;
    case HUB_ORG_MEMBERS:
        SNUG_TRY(store_list_members(tx, a, of, after, limit, &p, count, err));
        break;
    }
    *out = snug_arena_alloc(a, (*count + 1) * sizeof **out);
    for (size_t i = 0; i < *count; i++)
        (*out)[i] = (hub_person){.key = p[i].key,
                                 .name = p[i].name,
                                 .fullname = p[i].fullname.len > 0 ? p[i].fullname : p[i].name,
                                 .role = (hub_role)p[i].role};
done:
    db_rollback(tx);
    return st;
}

snug_status hub_follow(hub *h, const hub_actor *who, bool org, int64_t target, bool on,
                       snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;

    SNUG_TRY(hub_need_voice(h, who, err));
    if (!org && target == who->user_id) SNUG_FAIL(err, SNUG_EINVAL, "You cannot follow yourself");
    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_set_follow(tx, who->user_id, org ? STORE_FOLLOW_ORG : STORE_FOLLOW_USER, target,
                              on, snug_now_ms(), err));
    st = db_end(tx, true, err);
    tx = NULL;
done:
    db_rollback(tx);
    return st;
}

/* ---- overviews ---- */

snug_status hub_count_around(hub *h, const hub_actor *who, bool org, int64_t id, snug_slice name,
                             hub_counts *out, snug_err *err)
{
    snug_status  st = SNUG_OK;
    db_txn      *tx = NULL;
    store_counts n = {0};
    bool         following = false;

    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    SNUG_TRY(store_count_namespace(tx, name, hub_reader_of(who), &n, err));
    if (org)
        SNUG_TRY(store_count_org(tx, id, &n, err));
    else
        SNUG_TRY(store_count_user(tx, id, &n, err));
    if (!hub_is_anonymous(who))
        SNUG_TRY(store_is_following(tx, who->user_id, org ? STORE_FOLLOW_ORG : STORE_FOLLOW_USER,
                                    id, &following, err));
    *out = (hub_counts){.models = n.repos[HUB_MODEL],
                        .datasets = n.repos[HUB_DATASET],
                        .spaces = n.repos[HUB_SPACE],
                        .likes = n.likes,
                        .following = n.following,
                        .followers = n.followers,
                        .members = n.members,
                        .discussions = n.discussions,
                        .is_following = following};
done:
    db_rollback(tx);
    return st;
}
