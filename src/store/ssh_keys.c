/* SPDX-License-Identifier: Apache-2.0 */
/* store/ssh_keys.c - public keys by which people log in for git over SSH.
 *
 * For:     hub/ssh.c.
 * Owns:    the table ssh_keys.
 * Threads: any; a transaction stays with its thread.
 * Truth:   a key belongs to one account: it alone says who is knocking. */
#include "store/store_int.h"

const char store_schema_ssh[] = "INSERT INTO counters (name, value) VALUES ('ssh_keys', 0);"
                                "CREATE TABLE ssh_keys ("
                                " id INTEGER PRIMARY KEY,"
                                " user_id INTEGER NOT NULL,"
                                " title TEXT NOT NULL,"
                                " kind TEXT NOT NULL,"        /* \"ssh-ed25519\" */
                                " blob TEXT NOT NULL UNIQUE," /* base64, as in authorized_keys */
                                " fingerprint TEXT NOT NULL," /* \"SHA256:...\" */
                                " created_ms BIGINT NOT NULL,"
                                " last_used_ms BIGINT NOT NULL);"
                                "CREATE INDEX ssh_keys_by_user ON ssh_keys (user_id);";

#define KEY_COLS                                                                                   \
    "k.id, k.user_id, k.title, k.kind, k.blob, k.fingerprint, k.created_ms, k.last_used_ms, "      \
    "u.name, u.fullname, u.email, u.is_admin"
#define KEY_FROM " FROM ssh_keys k JOIN users u ON u.id = k.user_id "

static void read_key(snug_arena *a, const db_val *c, void *item)
{
    *(store_ssh_key *)item = (store_ssh_key){.id = c[0].i,
                                             .user_id = c[1].i,
                                             .title = snug_arena_dup(a, c[2].s),
                                             .kind = snug_arena_dup(a, c[3].s),
                                             .blob = snug_arena_dup(a, c[4].s),
                                             .fingerprint = snug_arena_dup(a, c[5].s),
                                             .created_ms = c[6].i,
                                             .last_used_ms = c[7].i,
                                             .owner = snug_arena_dup(a, c[8].s),
                                             .owner_fullname = snug_arena_dup(a, c[9].s),
                                             .owner_email = snug_arena_dup(a, c[10].s),
                                             .owner_is_admin = c[11].i != 0};
}

snug_status store_add_ssh_key(db_txn *tx, const store_ssh_key *k, int64_t *id, snug_err *err)
{
    static const db_query q = {"INSERT INTO ssh_keys (id, user_id, title, kind, blob, fingerprint, "
                               "created_ms, last_used_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, 0)"};
    snug_status           st = store_next_id(tx, "ssh_keys", id, err);
    if (st != SNUG_OK) return st;
    db_val args[] = {db_int(*id),          db_int(k->user_id), db_text(k->title),
                     db_text(k->kind),     db_text(k->blob),   db_text(k->fingerprint),
                     db_int(k->created_ms)};
    return db_exec(tx, q, args, 7, NULL, err);
}

static snug_status one(db_txn *tx, snug_arena *a, db_query q, db_val arg, store_ssh_key *out,
                       bool *found, snug_err *err)
{
    const db_val *cols;
    snug_status   st = db_one(tx, a, q, &arg, 1, &cols, err);
    *found = st == SNUG_OK && cols != NULL;
    if (*found) read_key(a, cols, out);
    return st;
}

snug_status store_find_ssh_key(db_txn *tx, snug_arena *a, snug_slice blob, store_ssh_key *out,
                               bool *found, snug_err *err)
{
    static const db_query q = {"SELECT " KEY_COLS KEY_FROM "WHERE k.blob = $1"};
    return one(tx, a, q, db_text(blob), out, found, err);
}

snug_status store_get_ssh_key(db_txn *tx, snug_arena *a, int64_t id, store_ssh_key *out,
                              bool *found, snug_err *err)
{
    static const db_query q = {"SELECT " KEY_COLS KEY_FROM "WHERE k.id = $1"};
    return one(tx, a, q, db_int(id), out, found, err);
}

snug_status store_list_ssh_keys(db_txn *tx, snug_arena *a, int64_t user, size_t max,
                                store_ssh_key **out, size_t *count, snug_err *err)
{
    static const db_query q = {"SELECT " KEY_COLS KEY_FROM
                               "WHERE k.user_id = $1 ORDER BY k.id LIMIT $2"};
    db_val                args[] = {db_int(user), db_int((int64_t)max)};
    return store_rows(tx, a, q, args, 2, max, sizeof **out, read_key, (void **)out, count, err);
}

snug_status store_delete_ssh_key(db_txn *tx, int64_t user, int64_t id, bool *found, snug_err *err)
{
    static const db_query q = {"DELETE FROM ssh_keys WHERE user_id = $1 AND id = $2"};
    db_val                args[] = {db_int(user), db_int(id)};
    uint64_t              n = 0;
    snug_status           st = db_exec(tx, q, args, 2, &n, err);
    *found = n > 0;
    return st;
}

snug_status store_touch_ssh_key(db_txn *tx, int64_t id, int64_t used_ms, snug_err *err)
{
    static const db_query q = {"UPDATE ssh_keys SET last_used_ms = $2 WHERE id = $1"};
    db_val                args[] = {db_int(id), db_int(used_ms)};
    return db_exec(tx, q, args, 2, NULL, err);
}
