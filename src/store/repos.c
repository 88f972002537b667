/* SPDX-License-Identifier: Apache-2.0 */
/* store/repos.c - repository rows: made, found, renamed, hidden, ended; redirects; tags.
 *
 * For:     hub/, under its rules.
 * Owns:    the tables repos, redirects, repo_tags.
 * Threads: any; a transaction stays with its thread.
 * Truth:   (type, lower-case ns/name) is one row. A redirect names a row, so it follows every
 *          later move by itself, and an id that is a repository again is no redirect. */
#include "store/store_int.h"

snug_slice store_repo_key(snug_arena *a, snug_slice ns, snug_slice name)
{
    snug_slice id = snug_arena_printf(a, "%.*s/%.*s", SNUG_SLICE(ns), SNUG_SLICE(name));
    return store_lower(a, id);
}

void store_read_repo(snug_arena *a, const db_val *c, store_repo *out)
{
    *out = (store_repo){
        .id = c[0].i,
        .type = (int)c[1].i,
        .ns = snug_arena_dup(a, c[2].s),
        .name = snug_arena_dup(a, c[3].s),
        .oid24 = snug_arena_dup(a, c[4].s),
        .git_key = snug_arena_dup(a, c[5].s),
        .visibility = (int)c[6].i,
        .gated = (int)c[7].i,
        .disabled = c[8].i != 0,
        .state = (store_state)c[9].i,
        .creator_id = c[10].i,
        .sdk = snug_arena_dup(a, c[11].s),
        .head = snug_arena_dup(a, c[12].s),
        .created_ms = c[13].i,
        .modified_ms = c[14].i,
        .downloads = c[15].i,
        .downloads_all = c[16].i,
        .likes = c[17].i,
        .trending = c[18].i,
        .used_storage = c[19].i,
        .tags_json = snug_arena_dup(a, c[20].s),
        .card_json = snug_arena_dup(a, c[21].s),
        .pipeline_tag = snug_arena_dup(a, c[22].s),
        .library_name = snug_arena_dup(a, c[23].s),
        .params = c[24].i,
    };
}

snug_status store_many_repos(db_txn *tx, snug_arena *a, db_query q, const db_val *args, size_t n,
                             size_t max, store_repo **out, size_t *count, snug_err *err)
{
    snug_status   st = SNUG_OK;
    db_rows      *rows = NULL;
    const db_val *cols;

    *count = 0;
    *out = snug_arena_array_try(a, max, sizeof **out);
    if (*out == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "out of memory");
    SNUG_TRY(db_run(tx, q, args, n, &rows, err));
    for (;;) {
        SNUG_TRY(db_next(rows, &cols, err));
        if (cols == NULL || *count == max) break;
        store_read_repo(a, cols, &(*out)[(*count)++]);
    }
done:
    db_rows_close(rows);
    return st;
}

snug_status store_one_repo(db_txn *tx, snug_arena *a, db_query q, const db_val *args, size_t n,
                           store_repo *out, bool *found, snug_err *err)
{
    store_repo *row;
    size_t      count;
    snug_status st = store_many_repos(tx, a, q, args, n, 1, &row, &count, err);
    *found = st == SNUG_OK && count == 1;
    if (*found) *out = *row;
    return st;
}

/* ---- finding ---- */

snug_status store_find_repo(db_txn *tx, snug_arena *a, int type, snug_slice key, store_repo *out,
                            bool *found, snug_err *err)
{
    static const db_query q = {"SELECT " STORE_REPO_COLS
                               " FROM repos r WHERE r.type = $1 AND r.id_key = $2"};
    db_val                args[] = {db_int(type), db_text(key)};
    return store_one_repo(tx, a, q, args, 2, out, found, err);
}

snug_status store_get_repo(db_txn *tx, snug_arena *a, int64_t id, store_repo *out, bool *found,
                           snug_err *err)
{
    static const db_query q = {"SELECT " STORE_REPO_COLS " FROM repos r WHERE r.id = $1"};
    db_val                arg = db_int(id);
    return store_one_repo(tx, a, q, &arg, 1, out, found, err);
}

snug_status store_walk_repos(db_txn *tx, snug_arena *a, int64_t after, size_t n, store_repo **out,
                             size_t *count, snug_err *err)
{
    static const db_query q = {"SELECT " STORE_REPO_COLS
                               " FROM repos r WHERE r.id > $1 ORDER BY r.id LIMIT $2"};
    db_val                args[] = {db_int(after), db_int((int64_t)n)};
    return store_many_repos(tx, a, q, args, 2, n, out, count, err);
}

snug_status store_find_redirect(db_txn *tx, snug_arena *a, int type, snug_slice key,
                                store_repo *out, bool *found, snug_err *err)
{
    static const db_query q = {"SELECT " STORE_REPO_COLS
                               " FROM redirects d JOIN repos r ON r.id = d.repo_id "
                               "WHERE d.type = $1 AND d.id_key = $2"};
    db_val                args[] = {db_int(type), db_text(key)};
    return store_one_repo(tx, a, q, args, 2, out, found, err);
}

snug_status store_namespace_used(db_txn *tx, snug_slice ns, bool *used, snug_err *err)
{
    static const db_query q = {
        "SELECT r.id FROM repos r WHERE r.ns_key = $1 AND r.state <> 2 UNION ALL "
        "SELECT o.id FROM orgs o WHERE o.name_key = $1 LIMIT 1"};
    snug_arena   *a = snug_arena_new();
    const db_val *cols;
    db_val        arg = db_text(store_lower(a, ns));
    snug_status   st = db_one(tx, a, q, &arg, 1, &cols, err);
    *used = st == SNUG_OK && cols != NULL;
    snug_arena_free(a);
    return st;
}

/* ---- changing ---- */

static snug_status drop_redirect(db_txn *tx, int type, snug_slice key, snug_err *err)
{
    static const db_query q = {"DELETE FROM redirects WHERE type = $1 AND id_key = $2"};
    db_val                args[] = {db_int(type), db_text(key)};
    return db_exec(tx, q, args, 2, NULL, err);
}

snug_status store_add_repo(db_txn *tx, const store_repo *r, int64_t *id, snug_err *err)
{
    static const db_query q = {
        "INSERT INTO repos (id, type, ns, ns_key, name, id_key, oid24, git_key, visibility, gated, "
        "disabled, state, creator_id, sdk, head, created_ms, modified_ms, downloads, "
        "downloads_all, likes, trending, used_storage, tags, card, pipeline_tag, library_name) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, 0, $10, $11, $12, '', $13, $13, 0, 0, 0, "
        "0, "
        "0, '[]', '', '', '')"};
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    snug_slice  key = store_repo_key(a, r->ns, r->name);

    SNUG_TRY(store_next_id(tx, "repos", id, err));
    db_val args[] = {db_int(*id),           db_int(r->type),
                     db_text(r->ns),        db_text(store_lower(a, r->ns)),
                     db_text(r->name),      db_text(key),
                     db_text(r->oid24),     db_text(r->git_key),
                     db_int(r->visibility), db_int(r->state),
                     db_int(r->creator_id), db_text(r->sdk),
                     db_int(r->created_ms)};
    SNUG_TRY(db_exec(tx, q, args, 13, NULL, err));
    SNUG_TRY(drop_redirect(tx, r->type, key, err));
    if (r->state == STORE_LIVE) SNUG_TRY(store_index(tx, *id, NULL, err));
done:
    snug_arena_free(a);
    return st;
}

static snug_status replace_tags(db_txn *tx, const store_repo *r, const snug_slice *tags, size_t n,
                                snug_err *err)
{
    static const db_query drop = {"DELETE FROM repo_tags WHERE repo_id = $1"};
    static const db_query put = {"INSERT INTO repo_tags (type, tag, repo_id) VALUES ($1, $2, $3) "
                                 "ON CONFLICT (type, tag, repo_id) DO NOTHING"};
    snug_status           st = SNUG_OK;
    snug_arena           *a = snug_arena_new();
    db_val                id = db_int(r->id);

    SNUG_TRY(db_exec(tx, drop, &id, 1, NULL, err));
    for (size_t i = 0; i < n; i++) {
        db_val args[] = {db_int(r->type), db_text(store_lower(a, tags[i])), id};
        SNUG_TRY(db_exec(tx, put, args, 3, NULL, err));
    }
done:
    snug_arena_free(a);
    return st;
}

snug_status store_set_content(db_txn *tx, const store_repo *r, const snug_slice *tags,
                              size_t tag_count, const store_text_of *text, snug_err *err)
{
    static const db_query q = {
        "UPDATE repos SET head = $2, modified_ms = $3, used_storage = $4, tags = $5, card = $6, "
        "pipeline_tag = $7, library_name = $8, sdk = $9, params = $10 WHERE id = $1"};
    snug_status st = SNUG_OK;
    db_val      args[] = {db_int(r->id),
                          db_text(r->head),
                          db_int(r->modified_ms),
                          db_int(r->used_storage),
                          db_text(r->tags_json),
                          db_text(r->card_json),
                          db_text(r->pipeline_tag),
                          db_text(r->library_name),
                          db_text(r->sdk),
                          db_int(r->params)};
    SNUG_TRY(store_unindex(tx, r->id, err));
    SNUG_TRY(db_exec(tx, q, args, 10, NULL, err));
    SNUG_TRY(replace_tags(tx, r, tags, tag_count, err));
    SNUG_TRY(store_index(tx, r->id, text, err));
done:
    return st;
}

static snug_status set_int(db_txn *tx, db_query q, int64_t id, int64_t value, snug_err *err)
{
    db_val args[] = {db_int(id), db_int(value)};
    return db_exec(tx, q, args, 2, NULL, err);
}

/* A value lists ask for. */
static snug_status set_fact(db_txn *tx, db_query q, int64_t id, int64_t value, snug_err *err)
{
    snug_status st = SNUG_OK;
    SNUG_TRY(store_unindex(tx, id, err));
    SNUG_TRY(set_int(tx, q, id, value, err));
    SNUG_TRY(store_index(tx, id, NULL, err));
done:
    return st;
}

snug_status store_set_visibility(db_txn *tx, int64_t id, int visibility, snug_err *err)
{
    static const db_query q = {"UPDATE repos SET visibility = $2 WHERE id = $1"};
    return set_fact(tx, q, id, visibility, err);
}

snug_status store_set_gate(db_txn *tx, int64_t id, int gate, snug_err *err)
{
    static const db_query q = {"UPDATE repos SET gated = $2 WHERE id = $1"};
    return set_fact(tx, q, id, gate, err);
}

snug_status store_set_disabled(db_txn *tx, int64_t id, bool disabled, snug_err *err)
{
    static const db_query q = {"UPDATE repos SET disabled = $2 WHERE id = $1"};
    return set_int(tx, q, id, disabled ? 1 : 0, err);
}

snug_status store_set_live(db_txn *tx, int64_t id, snug_err *err)
{
    static const db_query q = {"UPDATE repos SET state = $2 WHERE id = $1"};
    return set_fact(tx, q, id, STORE_LIVE, err);
}

/* The key of a hidden row holds a space, which no id can: the id is free at once. */
snug_status store_mark_deleting(db_txn *tx, int64_t id, snug_slice git_key, snug_err *err)
{
    static const db_query q = {
        "UPDATE repos SET state = 2, id_key = $2, ns_key = ' ' WHERE id = $1"};
    static const db_query drop = {"DELETE FROM redirects WHERE repo_id = $1"};
    snug_status           st = SNUG_OK;
    snug_arena           *a = snug_arena_new();
    db_val                args[] = {db_int(id),
                                    db_text(snug_arena_printf(a, "deleted %.*s", SNUG_SLICE(git_key)))};

    SNUG_TRY(store_drop_doc(tx, id, err));
    SNUG_TRY(db_exec(tx, q, args, 2, NULL, err));
    SNUG_TRY(db_exec(tx, drop, args, 1, NULL, err));
done:
    snug_arena_free(a);
    return st;
}

snug_status store_delete_repo(db_txn *tx, int64_t id, snug_err *err)
{
    static const db_query all[] = {
        {"DELETE FROM redirects WHERE repo_id = $1"},
        {"DELETE FROM repo_tags WHERE repo_id = $1"},
        {"DELETE FROM lfs_links WHERE repo_id = $1"},
        {"DELETE FROM downloads WHERE repo_id = $1"},
        {"DELETE FROM xet_links WHERE repo_id = $1"},
        {"DELETE FROM lfs_locks WHERE repo_id = $1"},
        {"DELETE FROM lfs_dropped WHERE repo_id = $1"},
        {"DELETE FROM repos WHERE id = $1"},
    };
    snug_status st = SNUG_OK;
    db_val      arg = db_int(id);
    SNUG_TRY(store_drop_doc(tx, id, err));
    SNUG_TRY(store_drop_community(tx, id, err));
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        SNUG_TRY(db_exec(tx, all[i], &arg, 1, NULL, err));
done:
    return st;
}

snug_status store_move_repo(db_txn *tx, const store_repo *from, snug_slice ns, snug_slice name,
                            snug_err *err)
{
    static const db_query rename = {
        "UPDATE repos SET ns = $2, ns_key = $3, name = $4, id_key = $5 WHERE id = $1"};
    static const db_query leave = {
        "INSERT INTO redirects (type, id_key, repo_id) VALUES ($1, $2, $3) "
        "ON CONFLICT (type, id_key) DO UPDATE SET repo_id = excluded.repo_id"};
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    snug_slice  old_key = store_repo_key(a, from->ns, from->name);
    snug_slice  new_key = store_repo_key(a, ns, name);
    db_val      args[] = {db_int(from->id), db_text(ns), db_text(store_lower(a, ns)), db_text(name),
                          db_text(new_key)};
    db_val      back[] = {db_int(from->type), db_text(old_key), db_int(from->id)};

    SNUG_TRY(store_unindex(tx, from->id, err));
    SNUG_TRY(db_exec(tx, rename, args, 5, NULL, err));
    SNUG_TRY(store_index(tx, from->id, NULL, err));
    SNUG_TRY(db_exec(tx, leave, back, 3, NULL, err));
    SNUG_TRY(drop_redirect(tx, from->type, new_key, err)); /* also when only the case changed */
done:
    snug_arena_free(a);
    return st;
}

snug_status store_git_key_used(db_txn *tx, snug_slice git_key, bool *used, snug_err *err)
{
    static const db_query q = {"SELECT r.id FROM repos r WHERE r.git_key = $1"};
    snug_arena           *a = snug_arena_new();
    const db_val         *cols;
    db_val                arg = db_text(git_key);
    snug_status           st = db_one(tx, a, q, &arg, 1, &cols, err);
    *used = st != SNUG_OK || cols != NULL;
    snug_arena_free(a);
    return st;
}
