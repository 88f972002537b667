/* SPDX-License-Identifier: Apache-2.0 */
/* hub/gating.c - repositories everyone sees and not everyone reads.
 *
 *   (never asked) --ask--> PENDING (manual) or ACCEPTED (auto);  a writer moves between the three
 *
 * For:     every door that gives out files; settings; the access request calls.
 * Owns:    who passes a gate. STORE_READABLE in store/ says the same in SQL, for LFS objects.
 * Threads: any.
 * Truth:   tree and info stay readable; contents do not. */
#include "hub/hub_int.h"

enum { FIELDS_MAX = 16 << 10, REASON_MAX = 200, PAGE_MAX = 1000 };

static bool owns_gate(const hub_actor *who, const hub_repo_info *info)
{
    return hub_role_in(who, snug_str(info->id.ns)) >= HUB_ROLE_WRITE; /* whatever the token may */
}

snug_status hub_set_gate(hub *h, const hub_actor *who, const hub_repo_id *id, hub_gate gate,
                         snug_err *err)
{
    snug_status   st = SNUG_OK;
    snug_arena   *a = snug_arena_new();
    db_txn       *tx = NULL;
    hub_repo_info info;

    SNUG_TRY(hub_find_repo(h, who, id, HUB_ROLE_WRITE, a, &info, err));
    if (id->type == HUB_SPACE && gate != HUB_GATE_NONE)
        SNUG_FAIL(err, SNUG_EINVAL, "Spaces cannot be gated");
    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_set_gate(tx, info.row, (int)gate, err));
    if (info.gated != gate) {
        hub_news news = {.action = "update", .scope = "repo.config", .repo = &info};
        news.config = gate == HUB_GATE_NONE   ? SNUG_LIT("{\"gated\":false}")
                      : gate == HUB_GATE_AUTO ? SNUG_LIT("{\"gated\":\"auto\"}")
                                              : SNUG_LIT("{\"gated\":\"manual\"}");
        SNUG_TRY(hub_tell(h, tx, &news, err));
    }
    st = db_end(tx, true, err);
    tx = NULL;
    if (st == SNUG_OK) hub_touch(h, &info.id);
done:
    db_rollback(tx);
    snug_arena_free(a);
    return st;
}

static void request_of_row(const store_access_request *q, hub_access_request *out)
{
    *out = (hub_access_request){.key = q->id,
                                .status = (hub_access)q->status,
                                .granted = q->granted,
                                .user = q->user,
                                .fullname = q->fullname.len > 0 ? q->fullname : q->user,
                                .email = q->email,
                                .fields = q->fields,
                                .reason = q->reason,
                                .created_ms = q->created_ms};
}

snug_status hub_find_access(hub *h, const hub_actor *who, const hub_repo_info *info, snug_arena *a,
                            hub_access_request *out, snug_err *err)
{
    snug_status          st = SNUG_OK;
    db_txn              *tx = NULL;
    store_access_request q;
    bool                 found;

    *out = (hub_access_request){.status = HUB_ACCESS_NONE};
    if (hub_is_anonymous(who)) goto done;
    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    SNUG_TRY(store_find_access(tx, a, info->row, who->user_id, &q, &found, err));
    if (found) request_of_row(&q, out);
done:
    db_rollback(tx);
    return st;
}

snug_status hub_may_pass_gate(hub *h, const hub_actor *who, const hub_repo_info *info, bool *yes,
                              snug_err *err)
{
    snug_arena        *a;
    hub_access_request mine;
    snug_status        st;

    *yes = info->gated == HUB_GATE_NONE || owns_gate(who, info);
    if (*yes || hub_is_anonymous(who)) return SNUG_OK;
    a = snug_arena_new();
    st = hub_find_access(h, who, info, a, &mine, err);
    *yes = st == SNUG_OK && mine.status == HUB_ACCESS_ACCEPTED;
    snug_arena_free(a);
    return st;
}

static snug_status need_gate(const hub_repo_info *info, snug_err *err)
{
    char text[2 * HUB_NAME_MAX + 2];
    if (info->gated != HUB_GATE_NONE) return SNUG_OK;
    return snug_fail(err, SNUG_EINVAL, "%s is not gated: everyone who sees it reads it",
                     hub_id_text(&info->id, text));
}

snug_status hub_ask_access(hub *h, const hub_actor *who, const hub_repo_info *info,
                           snug_slice fields, hub_access *status, snug_err *err)
{
    snug_status          st = SNUG_OK;
    snug_arena          *a = snug_arena_new();
    db_txn              *tx = NULL;
    store_access_request q, fresh;
    bool                 found;

    SNUG_TRY(hub_need_voice(h, who, err));
    SNUG_TRY(need_gate(info, err));
    if (fields.len > FIELDS_MAX)
        SNUG_FAIL(err, SNUG_EINVAL, "the fields of a request have at most %d bytes",
                  (int)FIELDS_MAX);
    fresh = (store_access_request){.repo_id = info->row,
                                   .user_id = who->user_id,
                                   .status = info->gated == HUB_GATE_AUTO ? STORE_ACCESS_ACCEPTED
                                                                          : STORE_ACCESS_PENDING,
                                   .fields = fields,
                                   .created_ms = snug_now_ms()};
    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_find_access(tx, a, info->row, who->user_id, &q, &found, err));
    *status = found ? (hub_access)q.status : (hub_access)fresh.status;
    if (found) goto done; /* asking again changes nothing: a rejection stays one */
    SNUG_TRY(store_put_access(tx, &fresh, err));
    st = db_end(tx, true, err);
    tx = NULL;
    if (st == SNUG_OK) hub_touch(h, &info->id);
done:
    db_rollback(tx);
    snug_arena_free(a);
    return st;
}

/* ---- for writers ---- */

static snug_status need_keeper(hub *h, const hub_actor *who, const hub_repo_info *info,
                               snug_err *err)
{
    snug_status   st = SNUG_OK;
    snug_arena   *a = snug_arena_new();
    hub_repo_info again;
    SNUG_TRY(hub_find_repo(h, who, &info->id, HUB_ROLE_WRITE, a, &again, err));
    SNUG_TRY(need_gate(info, err));
done:
    snug_arena_free(a);
    return st;
}

snug_status hub_list_access(hub *h, const hub_actor *who, const hub_repo_info *info,
                            hub_access status, int64_t after, size_t limit, snug_arena *a,
                            hub_access_request **out, size_t *count, snug_err *err)
{
    snug_status           st = SNUG_OK;
    db_txn               *tx = NULL;
    store_access_request *rows;

    SNUG_ASSERT(status != HUB_ACCESS_NONE && limit <= PAGE_MAX);
    *count = 0;
    SNUG_TRY(need_keeper(h, who, info, err));
    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    SNUG_TRY(
        store_list_access(tx, a, info->row, (store_access)status, after, limit, &rows, count, err));
    *out = snug_arena_alloc(a, (*count + 1) * sizeof **out);
    for (size_t i = 0; i < *count; i++) request_of_row(&rows[i], &(*out)[i]);
done:
    db_rollback(tx);
    return st;
}

/* The request of a named user, inside a write. */
static snug_status load_request(db_txn *tx, snug_arena *a, const hub_repo_info *info,
                                snug_slice user, store_user *u, store_access_request *q,
                                bool *found, snug_err *err)
{
    snug_status st = SNUG_OK;
    bool        known = false;
    if (user.len > 0 && user.len <= HUB_NAME_MAX)
        SNUG_TRY(store_find_user(tx, a, user, u, &known, err));
    if (!known)
        SNUG_FAIL(err, SNUG_ENOTFOUND, "There is no user \"%.*s\"",
                  SNUG_SLICE(snug_sub(user, 0, HUB_NAME_MAX)));
    SNUG_TRY(store_find_access(tx, a, info->row, u->id, q, found, err));
done:
    return st;
}

snug_status hub_handle_access(hub *h, const hub_actor *who, const hub_repo_info *info,
                              snug_slice user, int64_t key, hub_access status, snug_slice reason,
                              snug_err *err)
{
    snug_status          st = SNUG_OK;
    snug_arena          *a = snug_arena_new();
    db_txn              *tx = NULL;
    store_user           u;
    store_access_request q;
    bool                 found;

    SNUG_ASSERT(status != HUB_ACCESS_NONE);
    SNUG_TRY(need_keeper(h, who, info, err));
    if (reason.len > 0 && status != HUB_ACCESS_REJECTED)
        SNUG_FAIL(err, SNUG_EINVAL, "only a rejection has a reason");
    if (reason.len > REASON_MAX || !snug_utf8_valid(reason))
        SNUG_FAIL(err, SNUG_EINVAL, "\"rejectionReason\" is text of at most %d bytes",
                  (int)REASON_MAX);
    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    if (user.len > 0)
        SNUG_TRY(load_request(tx, a, info, user, &u, &q, &found, err));
    else
        SNUG_TRY(store_get_access(tx, a, info->row, key, &q, &found, err));
    if (!found) SNUG_FAIL(err, SNUG_ENOTFOUND, "There is no request of that user");
    if ((hub_access)q.status == status)
        SNUG_FAIL(err, SNUG_ENOTFOUND, "The request of %.*s is in that list already",
                  SNUG_SLICE(q.user));
    q.status = (store_access)status;
    q.reason = reason;
    SNUG_TRY(store_put_access(tx, &q, err));
    st = db_end(tx, true, err);
    tx = NULL;
    if (st == SNUG_OK) hub_touch(h, &info->id);
done:
    db_rollback(tx);
    snug_arena_free(a);
    return st;
}

snug_status hub_grant_access(hub *h, const hub_actor *who, const hub_repo_info *info,
                             snug_slice user, snug_err *err)
{
    snug_status          st = SNUG_OK;
    snug_arena          *a = snug_arena_new();
    db_txn              *tx = NULL;
    store_user           u;
    store_access_request q;
    bool                 found;

    SNUG_TRY(need_keeper(h, who, info, err));
    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(load_request(tx, a, info, user, &u, &q, &found, err));
    if (found && q.status == STORE_ACCESS_ACCEPTED)
        SNUG_FAIL(err, SNUG_EINVAL, "%.*s has access already", SNUG_SLICE(u.name));
    q = (store_access_request){.repo_id = info->row,
                               .user_id = u.id,
                               .status = STORE_ACCESS_ACCEPTED,
                               .granted = true,
                               .created_ms = snug_now_ms()};
    SNUG_TRY(store_put_access(tx, &q, err));
    st = db_end(tx, true, err);
    tx = NULL;
    if (st == SNUG_OK) hub_touch(h, &info->id);
done:
    db_rollback(tx);
    snug_arena_free(a);
    return st;
}
