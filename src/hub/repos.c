/* SPDX-License-Identifier: Apache-2.0 */
/* hub/repos.c - opening repositories: who may read, who may write, and what the others hear.
 *
 * For:     every door that names a repository.
 * Owns:    the permission rules of this program. There is no second copy of them but the WHERE of
 *          store/list.c and store/links.c, which say the same in SQL.
 * Threads: any; an opened repository belongs to one thread.
 * Truth:   absent and forbidden are the same answer: same status, code and sentence. */
#include <stdlib.h>

#include "hub/hub_int.h"

bool hub_is_anonymous(const hub_actor *who) { return who == NULL || who->user_id == 0; }

int hub_sees(const hub_actor *who)
{
    if (hub_is_anonymous(who)) return 0;
    return who->is_admin ? 2 : 1;
}

snug_slice hub_own_ns(const hub_actor *who)
{
    return hub_is_anonymous(who) ? SNUG_EMPTY : who->name;
}

static hub_role role_of(const hub_actor *who, const hub_repo_info *repo)
{
    return hub_role_in(who, snug_str(repo->id.ns));
}

bool hub_can_read(const hub_actor *who, const hub_repo_info *repo)
{
    switch (repo->visibility) {
    case HUB_PUBLIC: return true;
    case HUB_INTERNAL: return !hub_is_anonymous(who);
    case HUB_PRIVATE: break;
    }
    return role_of(who, repo) >= HUB_ROLE_READ;
}

bool hub_can_write(const hub_actor *who, const hub_repo_info *repo)
{
    return role_of(who, repo) >= HUB_ROLE_WRITE && who->scope >= HUB_ROLE_WRITE;
}

snug_status hub_fail_absent(const hub_actor *who, snug_err *err)
{
    if (hub_is_anonymous(who))
        return snug_fail_code(err, SNUG_EUNAUTH, "RepoNotFound", "Invalid username or password.");
    return snug_fail_code(err, SNUG_ENOTFOUND, "RepoNotFound", "Repository not found");
}

snug_status hub_need_writer(const hub *h, const hub_actor *who, snug_err *err)
{
    if (hub_is_anonymous(who)) return snug_fail(err, SNUG_EUNAUTH, "Invalid username or password.");
    if (h->read_only) return snug_fail(err, SNUG_EFORBIDDEN, "This server is read-only");
    if (who->scope < HUB_ROLE_WRITE)
        return snug_fail(err, SNUG_EFORBIDDEN,
                         "This token can only read: use a token with the write role");
    return SNUG_OK;
}

void hub_info_of_row(const store_repo *row, hub_repo_info *out)
{
    *out = (hub_repo_info){.row = row->id,
                           .visibility = (hub_visibility)row->visibility,
                           .gated = (hub_gate)row->gated,
                           .disabled = row->disabled,
                           .sdk = row->sdk,
                           .created_ms = row->created_ms,
                           .modified_ms = row->modified_ms,
                           .downloads = (uint64_t)row->downloads,
                           .likes = (uint64_t)row->likes,
                           .used_storage = (uint64_t)row->used_storage,
                           .downloads_all = (uint64_t)row->downloads_all,
                           .trending = (uint64_t)row->trending,
                           .tags_json = row->tags_json,
                           .card_json = row->card_json,
                           .pipeline_tag = row->pipeline_tag,
                           .library_name = row->library_name};
    SNUG_ASSERT(row->ns.len <= HUB_NAME_MAX && row->name.len <= HUB_NAME_MAX);
    SNUG_ASSERT(row->oid24.len < sizeof out->oid24 && row->git_key.len < sizeof out->key);
    out->id.type = (hub_type)row->type;
    memcpy(out->id.ns, row->ns.ptr, row->ns.len);
    memcpy(out->id.name, row->name.ptr, row->name.len);
    memcpy(out->oid24, row->oid24.ptr, row->oid24.len);
    memcpy(out->key, row->git_key.ptr, row->git_key.len);
    if (!vcs_oid_parse(row->head, &out->head)) memset(&out->head, 0, sizeof out->head);
}

/* From memory or from the database. *found false unless it is live. */
static snug_status load_repo(hub *h, const hub_repo_id *id, snug_arena *a, hub_repo_info *out,
                             bool *found, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    store_repo  row;
    uint64_t    seen = hub_epoch(h);

    *found = hub_cache_get(h, id, a, out);
    snug_metric_add(*found ? SNUG_M_REPO_CACHE_HITS : SNUG_M_REPO_CACHE_MISSES, 1);
    if (*found) return SNUG_OK;
    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    SNUG_TRY(store_find_repo(tx, a, (int)id->type, hub_key_of(a, id), &row, found, err));
    *found = *found && row.state == STORE_LIVE;
    if (!*found) goto done;
    hub_info_of_row(&row, out);
    hub_cache_put(h, out, seen);
done:
    db_rollback(tx);
    return st;
}

snug_status hub_load_row(hub *h, int64_t row, snug_arena *a, hub_repo_info *out, bool *found,
                         snug_err *err)
{
    db_txn     *tx = NULL;
    store_repo  r;
    snug_status st = db_begin(h->db, DB_READ, &tx, err);
    *found = false;
    if (st == SNUG_OK) st = store_get_repo(tx, a, row, &r, found, err);
    *found = *found && r.state == STORE_LIVE;
    if (*found) hub_info_of_row(&r, out);
    db_rollback(tx);
    return st;
}

snug_status hub_find_repo(hub *h, const hub_actor *who, const hub_repo_id *id, hub_role need,
                          snug_arena *a, hub_repo_info *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    bool        found;
    char        text[2 * HUB_NAME_MAX + 2];

    SNUG_TRY(load_repo(h, id, a, out, &found, err));
    if (!found || !hub_can_read(who, out)) {
        st = hub_fail_absent(who, err);
        goto done;
    }
    if (out->disabled) SNUG_FAIL(err, SNUG_EFORBIDDEN, "Access to this resource is disabled.");
    if (need < HUB_ROLE_WRITE) goto done;
    SNUG_TRY(hub_need_writer(h, who, err));
    if (!hub_can_write(who, out))
        SNUG_FAIL(err, SNUG_EFORBIDDEN,
                  "You can read %s but not change it: only its owner and admins can",
                  hub_id_text(&out->id, text));
done:
    return st;
}

snug_status hub_open_repo(hub *h, const hub_actor *who, const hub_repo_id *id, hub_role need,
                          snug_arena *a, hub_repo **out, snug_err *err)
{
    snug_status st = SNUG_OK;
    hub_repo   *r = snug_zalloc(sizeof *r);

    *out = NULL;
    r->h = h;
    r->role = need > HUB_ROLE_READ ? need : HUB_ROLE_READ;
    SNUG_TRY(hub_find_repo(h, who, id, need, a, &r->info, err));
    st = vcs_acquire(h->vcs, snug_str(r->info.key), &r->git, err);
    if (st == SNUG_ENOTFOUND) { /* deleted between the look and the grip */
        st = hub_fail_absent(who, err);
        goto done;
    }
    if (st != SNUG_OK) goto done;
    *out = r;
    r = NULL; /* moved to the caller */
done:
    hub_close_repo(r);
    return st;
}

void hub_close_repo(hub_repo *r)
{
    if (r == NULL) return;
    vcs_release(r->git);
    free(r);
}

const hub_repo_info *hub_repo_get_info(const hub_repo *r) { return &r->info; }
vcs_repo            *hub_repo_vcs(hub_repo *r) { return r->git; }

snug_status hub_find_moved(hub *h, const hub_actor *who, const hub_repo_id *id, hub_repo_id *now,
                           bool *moved, snug_err *err)
{
    snug_status   st = SNUG_OK;
    snug_arena   *a = snug_arena_new();
    db_txn       *tx = NULL;
    hub_repo_info info;
    store_repo    row;
    bool          found;

    *moved = false;
    SNUG_TRY(load_repo(h, id, a, &info, &found, err));
    if (!found) {
        SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
        SNUG_TRY(store_find_redirect(tx, a, (int)id->type, hub_key_of(a, id), &row, &found, err));
        found = found && row.state == STORE_LIVE;
        if (found) hub_info_of_row(&row, &info);
    }
    if (!found || !hub_can_read(who, &info)) goto done;
    *moved = strcmp(info.id.ns, id->ns) != 0 || strcmp(info.id.name, id->name) != 0;
    if (*moved) *now = info.id;
done:
    db_rollback(tx);
    snug_arena_free(a);
    return st;
}

/* ---- changes of the row alone ---- */

snug_status hub_claim_ns(hub *h, const hub_actor *who, hub_repo_id *id, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    snug_slice  ns = snug_str(id->ns), spelled = who->name;
    hub_user    owner;

    if (hub_name_reserved(ns)) SNUG_FAIL(err, SNUG_EINVAL, "The name \"%s\" is reserved", id->ns);
    if (hub_repo_name_reserved(snug_str(id->name)))
        SNUG_FAIL(err, SNUG_EINVAL, "The name \"%s\" is reserved", id->name);
    if (!snug_eq_nocase(ns, who->name)) {
        hub_org org;
        if (hub_role_in(who, ns) < HUB_ROLE_WRITE)
            SNUG_FAIL(
                err, SNUG_EFORBIDDEN,
                "You cannot put a %s into the namespace \"%s\": only its owner and admins can",
                hub_type_name(id->type), id->ns);
        owner.name = SNUG_EMPTY;
        st = hub_find_org(h, ns, a, &org, err);
        if (st == SNUG_OK) owner.name = org.name;
        if (st == SNUG_ENOTFOUND) {
            snug_err_clear(err);
            st = hub_find_user(h, ns, a, &owner, err);
        }
        if (st == SNUG_ENOTFOUND) { /* an admin's own namespace, such as a mirrored one */
            snug_err_clear(err);
            st = SNUG_OK;
            goto done;
        }
        if (st != SNUG_OK) goto done;
        spelled = owner.name;
    }
    memcpy(id->ns, spelled.ptr, spelled.len); /* equal but for case, so the length is the same */
done:
    snug_arena_free(a);
    return st;
}

snug_status hub_move_repo(hub *h, const hub_actor *who, const hub_repo_id *from,
                          const hub_repo_id *to, snug_err *err)
{
    snug_status   st = SNUG_OK;
    snug_arena   *a = snug_arena_new();
    db_txn       *tx = NULL;
    hub_repo_info info;
    store_repo    row;
    hub_repo_id   want = *to;
    bool          found;
    char          text[2 * HUB_NAME_MAX + 2];

    if (from->type != to->type) SNUG_FAIL(err, SNUG_EINVAL, "A repository cannot change its type");
    SNUG_TRY(hub_find_repo(h, who, from, HUB_ROLE_WRITE, a, &info, err));
    SNUG_TRY(hub_claim_ns(h, who, &want, err));
    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_get_repo(tx, a, info.row, &row, &found, err));
    if (found) hub_info_of_row(&row, &info); /* it may have moved away since we looked */
    if (!found || row.state != STORE_LIVE || !hub_can_write(who, &info)) {
        st = hub_fail_absent(who, err);
        goto done;
    }
    st = store_move_repo(tx, &row, snug_str(want.ns), snug_str(want.name), err);
    if (st == SNUG_ECONFLICT)
        SNUG_FAIL(err, SNUG_ECONFLICT, "A %s repository called %s already exists",
                  hub_type_name(want.type), hub_id_text(&want, text));
    if (st != SNUG_OK) goto done;
    hub_news news = {.action = "move", .scope = "repo", .repo = &info, .moved_to = &want};
    SNUG_TRY(hub_tell(h, tx, &news, err));
    st = db_end(tx, true, err);
    tx = NULL;
    if (st != SNUG_OK) goto done;
    hub_touch(h, from);
    hub_touch(h, &want);
done:
    db_rollback(tx);
    snug_arena_free(a);
    return st;
}

snug_status hub_set_visibility(hub *h, const hub_actor *who, const hub_repo_id *id,
                               hub_visibility v, snug_err *err)
{
    snug_status   st = SNUG_OK;
    snug_arena   *a = snug_arena_new();
    db_txn       *tx = NULL;
    hub_repo_info info;

    SNUG_TRY(hub_find_repo(h, who, id, HUB_ROLE_WRITE, a, &info, err));
    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_set_visibility(tx, info.row, (int)v, err));
    if (info.visibility != v) { /* told to those who see it now */
        hub_news news = {.action = "update", .scope = "repo.config", .repo = &info};
        news.config = snug_arena_printf(a, "{\"private\":%s,\"visibility\":\"%s\"}",
                                        v == HUB_PUBLIC ? "false" : "true",
                                        v == HUB_PUBLIC    ? "public"
                                        : v == HUB_PRIVATE ? "private"
                                                           : "internal");
        info.visibility = v;
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
