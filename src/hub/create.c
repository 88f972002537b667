/* SPDX-License-Identifier: Apache-2.0 */
/* hub/create.c - repositories begin and end.
 *
 *      (nothing) --row--> MAKING --git, first commit--> LIVE --row--> DELETING --git, rows-->
 * (nothing)
 *
 * For:     hub_create_repo, hub_delete_repo; heal.c finishes what a crash left between two arrows.
 * Owns:    the two states nobody sees.
 * Threads: any; the uniqueness of the id key in the database decides between two creators.
 * Truth:   whoever sees a repository sees one with a first commit. Deleted is deleted with the
 *          first transaction; the rest is clearing up, and the name is free meanwhile. */
#include "hub/hub_int.h"

void hub_random_key(char out[33])
{
    unsigned char noise[16];
    snug_random(noise, sizeof noise);
    snug_hex(noise, sizeof noise, out);
}

/* Like an object id of the platform: seconds, then random. */
void hub_random_id(char out[25])
{
    unsigned char b[12];
    uint32_t      now = (uint32_t)(snug_now_ms() / 1000);
    snug_random(b, sizeof b);
    for (int i = 0; i < 4; i++) b[i] = (unsigned char)(now >> (24 - 8 * i));
    snug_hex(b, sizeof b, out);
}

void hub_who_of(const hub_actor *who, snug_arena *a, vcs_who *out)
{
    *out = (vcs_who){.name = who->name, .email = who->email, .when_ms = snug_now_ms()};
    if (out->email.len == 0)
        out->email = snug_arena_printf(a, "%.*s@users.noreply.snug", SNUG_SLICE(who->name));
}

static snug_status check_new(const hub_new_repo *want, snug_err *err)
{
    static const char *const sdks[] = {"gradio", "streamlit", "docker", "static"};
    bool                     known = false;

    if (want->license.len > 0 && !hub_license_known(want->license))
        return snug_fail(err, SNUG_EINVAL, "\"%.*s\" is not a license id we know; use \"other\"",
                         SNUG_SLICE(snug_sub(want->license, 0, 60)));
    if (want->id.type != HUB_SPACE) return SNUG_OK;
    for (size_t i = 0; i < sizeof sdks / sizeof sdks[0]; i++)
        known = known || snug_eq_str(want->sdk, sdks[i]);
    if (known) return SNUG_OK;
    return snug_fail(err, SNUG_EINVAL,
                     "A Space needs an sdk: one of gradio, streamlit, docker and static");
}

static snug_status fail_taken(const hub_repo_id *id, bool unfinished, snug_err *err)
{
    if (unfinished)
        return snug_fail(err, SNUG_ECONFLICT,
                         "Cannot create repo: another conflicting operation is in progress");
    return snug_fail(err, SNUG_ECONFLICT, "You already created this %s repo",
                     hub_type_name(id->type));
}

/* The hidden row: from here on the id is ours. */
static snug_status reserve(hub *h, store_repo *row, const hub_repo_id *id, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    db_txn     *tx = NULL;
    store_repo  other;
    bool        found;

    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_find_repo(tx, a, row->type, hub_key_of(a, id), &other, &found, err));
    if (found) {
        st = fail_taken(id, other.state == STORE_MAKING, err);
        goto done;
    }
    SNUG_TRY(store_add_repo(tx, row, &row->id, err));
    st = db_end(tx, true, err);
    tx = NULL;
done:
    db_rollback(tx);
    snug_arena_free(a);
    return st;
}

static snug_status first_commit(hub *h, const hub_actor *who, const hub_new_repo *want,
                                const char *key, int64_t row, snug_arena *a, snug_err *err)
{
    snug_slice  message = SNUG_LIT("initial commit");
    snug_status st = SNUG_OK;
    vcs_repo   *git = NULL;
    vcs_draft  *d = NULL;
    vcs_who     author;
    vcs_oid     commit;
    bool        unchanged;

    SNUG_TRY(vcs_create_repo(h->vcs, snug_str(key), err));
    SNUG_TRY(vcs_acquire(h->vcs, snug_str(key), &git, err));
    SNUG_TRY(vcs_draft_new(git, NULL, &d, err));
    if (want->from != NULL) {
        const hub_repo_id *id = &want->from->info.id;
        message = snug_arena_printf(a, "Duplicate from %s/%s", id->ns, id->name);
        SNUG_TRY(hub_put_copy(h, who, git, d, want->from, row, err));
    } else {
        SNUG_TRY(hub_put_template(git, d, want, err));
    }
    hub_who_of(who, a, &author);
    SNUG_TRY(vcs_draft_commit(d, message, &author, &commit, &unchanged, err));
    SNUG_TRY(vcs_update_ref(git, SNUG_LIT("refs/heads/main"), NULL, &commit, err));
done:
    vcs_draft_free(d);
    vcs_release(git);
    return st;
}

static snug_status make_live(hub *h, const store_repo *made, const char *key, snug_err *err)
{
    snug_status   st = SNUG_OK;
    store_repo    row = *made; /* its new strings live here and in the arena only */
    snug_arena   *a = snug_arena_new();
    vcs_repo     *git = NULL;
    db_txn       *tx = NULL;
    vcs_oid       head;
    char          hex[41];
    hub_content   content = {0};
    hub_repo_info info;

    SNUG_TRY(vcs_acquire(h->vcs, snug_str(key), &git, err));
    SNUG_TRY(vcs_resolve_rev(git, SNUG_LIT("refs/heads/main"), &head, err));
    hub_info_of_row(&row, &info);
    hub_read_content(h, git, &head, &info, a, &content);
    vcs_oid_hex(&head, hex);
    row.head = snug_str(hex);
    row.tags_json = content.tags_json;
    row.card_json = content.card_json;
    row.pipeline_tag = content.pipeline_tag;
    row.library_name = content.library_name;
    row.params = content.params;
    store_text_of text = {content.words, content.body};
    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_set_content(tx, &row, content.keys, content.key_count, &text, err));
    SNUG_TRY(store_set_live(tx, row.id, err));
    hub_news news = {.action = "create", .scope = "repo", .repo = &info, .head = &head};
    SNUG_TRY(hub_tell(h, tx, &news, err));
    st = db_end(tx, true, err);
    tx = NULL;
done:
    db_rollback(tx);
    vcs_release(git);
    snug_arena_free(a);
    return st;
}

/* Best effort: what stays is hidden, and the next start removes it. */
static void give_up(hub *h, int64_t row, const char *key)
{
    snug_err    err = {0};
    snug_arena *a = snug_arena_new();
    db_txn     *tx = NULL;
    snug_status st = db_begin(h->db, DB_WRITE, &tx, &err);
    if (st == SNUG_OK) st = store_mark_deleting(tx, row, snug_str(key), &err);
    if (st == SNUG_OK) {
        st = db_end(tx, true, &err);
        tx = NULL;
    }
    db_rollback(tx);
    if (st == SNUG_OK) st = hub_finish_delete(h, row, snug_str(key), &err);
    if (st != SNUG_OK) snug_log_err(SNUG_WARN, "hub.create.undo", &err);
    snug_arena_free(a);
}

snug_status hub_create_repo(hub *h, const hub_actor *who, const hub_new_repo *want, snug_arena *a,
                            hub_repo_info *out, snug_err *err)
{
    snug_status  st = SNUG_OK;
    hub_new_repo mine = *want;
    char         key[33], oid24[25];
    bool         reserved = false, found;
    store_repo   row = {0};
    SNUG_AUTO(hub_hold) hold = {-1}; /* a duplicate begins with objects of others */

    SNUG_TRY(hub_need_writer(h, who, err));
    SNUG_TRY(hub_hold_begin(h, &hold, err));
    SNUG_TRY(hub_claim_ns(h, who, &mine.id, err));
    if (mine.id.type != HUB_SPACE) mine.sdk = SNUG_EMPTY;
    SNUG_TRY(check_new(&mine, err));
    hub_random_key(key);
    hub_random_id(oid24);
    row = (store_repo){.type = (int)mine.id.type,
                       .ns = snug_str(mine.id.ns),
                       .name = snug_str(mine.id.name),
                       .oid24 = snug_str(oid24),
                       .git_key = snug_str(key),
                       .visibility = (int)mine.visibility,
                       .state = STORE_MAKING,
                       .creator_id = who->user_id,
                       .sdk = mine.sdk,
                       .created_ms = snug_now_ms()};
    row.modified_ms = row.created_ms;
    SNUG_TRY(reserve(h, &row, &mine.id, err));
    reserved = true;
    HUB_FAULT("hub.create.after_row", err, st);
    SNUG_TRY(first_commit(h, who, &mine, key, row.id, a, err));
    HUB_FAULT("hub.create.after_git", err, st);
    SNUG_TRY(make_live(h, &row, key, err));
    hub_touch(h, &mine.id);
    reserved = false; /* it stands */
    SNUG_TRY(hub_load_row(h, row.id, a, out, &found, err));
    if (!found) st = hub_fail_absent(who, err); /* deleted by someone quick */
done:
    if (reserved) give_up(h, row.id, key);
    return st;
}

/* ---- the end ---- */

snug_status hub_finish_delete(hub *h, int64_t row, snug_slice git_key, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;

    if (vcs_repo_exists(h->vcs, git_key)) SNUG_TRY(vcs_remove_repo(h->vcs, git_key, err));
    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_delete_repo(tx, row, err));
    st = db_end(tx, true, err);
    tx = NULL;
done:
    db_rollback(tx);
    return st;
}

snug_status hub_delete_repo(hub *h, const hub_actor *who, const hub_repo_id *id, snug_err *err)
{
    snug_status   st = SNUG_OK;
    snug_arena   *a = snug_arena_new();
    db_txn       *tx = NULL;
    hub_repo_info info;
    store_repo    row;
    bool          found, locked = false;
    snug_err      later = {0};

    SNUG_TRY(hub_find_repo(h, who, id, HUB_ROLE_WRITE, a, &info, err));
    SNUG_TRY(hub_lock_repo(h, info.row, err)); /* let a commit under way land first */
    locked = true;
    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_get_repo(tx, a, info.row, &row, &found, err));
    if (found) hub_info_of_row(&row, &info);
    if (!found || row.state != STORE_LIVE || !hub_can_write(who, &info)) {
        st = hub_fail_absent(who, err);
        goto done;
    }
    hub_news news = {.action = "delete", .scope = "repo", .repo = &info};
    SNUG_TRY(hub_tell(h, tx, &news, err));
    SNUG_TRY(store_mark_deleting(tx, info.row, snug_str(info.key), err));
    st = db_end(tx, true, err);
    tx = NULL;
    if (st != SNUG_OK) goto done;
    hub_touch(h, id);
    hub_touch(h, &info.id);
    HUB_FAULT("hub.delete.after_row", &later, st);
    st = hub_finish_delete(h, info.row, snug_str(info.key), &later);
done:
    db_rollback(tx);
    if (later.status != SNUG_OK) { /* gone for everyone; the next start clears up */
        snug_log_err(SNUG_WARN, "hub.delete.rest", &later);
        st = SNUG_OK;
    }
    if (locked) hub_unlock_repo(h, info.row);
    snug_arena_free(a);
    return st;
}
