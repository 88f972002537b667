/* SPDX-License-Identifier: Apache-2.0 */
/* store/users.c - users and their tokens.
 *
 * For:     hub/accounts.c and hub/tokens.c.
 * Owns:    the tables users and tokens.
 * Threads: any; a transaction stays with its thread.
 * Truth:   a name is taken in every spelling; of a token only the hash is kept. */
#include "store/store_int.h"

#define USER_COLS "u.id, u.name, u.fullname, u.email, u.password, u.is_admin, u.created_ms"
enum { USER_COL_COUNT = 7 };

static void read_user(const db_val *c, store_user *out)
{
    *out = (store_user){.id = c[0].i,
                        .name = c[1].s,
                        .fullname = c[2].s,
                        .email = c[3].s,
                        .password = c[4].s,
                        .is_admin = c[5].i != 0,
                        .created_ms = c[6].i};
}

snug_status store_add_user(db_txn *tx, const store_user *u, int64_t *id, snug_err *err)
{
    static const db_query q = {
        "INSERT INTO users (id, name, name_key, fullname, email, password, is_admin, created_ms) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"};
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();

    SNUG_TRY(store_next_id(tx, "users", id, err));
    db_val args[] = {db_int(*id),
                     db_text(u->name),
                     db_text(store_lower(a, u->name)),
                     db_text(u->fullname),
                     db_text(u->email),
                     db_text(u->password),
                     store_bool(u->is_admin),
                     db_int(u->created_ms)};
    SNUG_TRY(db_exec(tx, q, args, 8, NULL, err));
done:
    snug_arena_free(a);
    return st;
}

snug_status store_find_user(db_txn *tx, snug_arena *a, snug_slice name, store_user *out,
                            bool *found, snug_err *err)
{
    static const db_query q = {"SELECT " USER_COLS " FROM users u WHERE u.name_key = $1"};
    const db_val         *cols;
    db_val                arg = db_text(store_lower(a, name));
    snug_status           st = db_one(tx, a, q, &arg, 1, &cols, err);
    *found = st == SNUG_OK && cols != NULL;
    if (*found) read_user(cols, out);
    return st;
}

snug_status store_set_password(db_txn *tx, int64_t user, snug_slice password, snug_err *err)
{
    static const db_query q = {"UPDATE users SET password = $2 WHERE id = $1"};
    db_val                args[] = {db_int(user), db_text(password)};
    return db_exec(tx, q, args, 2, NULL, err);
}

snug_status store_list_users(db_txn *tx, snug_arena *a, store_user **out, size_t *count,
                             snug_err *err)
{
    static const db_query q = {"SELECT " USER_COLS " FROM users u ORDER BY u.name_key"};
    snug_status           st = SNUG_OK;
    db_rows              *rows = NULL;
    const db_val         *cols;
    uint64_t              max;

    *count = 0;
    SNUG_TRY(store_count_users(tx, &max, err));
    *out = snug_arena_array_try(a, (size_t)max + 1, sizeof **out);
    if (*out == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "out of memory");
    SNUG_TRY(db_run(tx, q, NULL, 0, &rows, err));
    for (;;) {
        SNUG_TRY(db_next(rows, &cols, err));
        if (cols == NULL || *count == max) break;
        store_user *u = &(*out)[(*count)++];
        read_user(cols, u);
        u->name = snug_arena_dup(a, u->name);
        u->fullname = snug_arena_dup(a, u->fullname);
        u->email = snug_arena_dup(a, u->email);
        u->password = SNUG_EMPTY; /* nobody lists these */
    }
done:
    db_rows_close(rows);
    return st;
}

snug_status store_count_users(db_txn *tx, uint64_t *out, snug_err *err)
{
    static const db_query q = {"SELECT COUNT(*) FROM users"};
    snug_arena           *a = snug_arena_new();
    const db_val         *cols;
    snug_status           st = db_one(tx, a, q, NULL, 0, &cols, err);
    if (st == SNUG_OK) *out = cols == NULL ? 0 : (uint64_t)cols[0].i;
    snug_arena_free(a);
    return st;
}

/* ---- tokens ---- */

#define TOKEN_COLS "t.id, t.user_id, t.name, t.role, t.created_ms, t.last_used_ms"
enum { TOKEN_COL_COUNT = 6 };

static void read_token(const db_val *c, store_token *out)
{
    *out = (store_token){.id = c[0].i,
                         .user_id = c[1].i,
                         .name = c[2].s,
                         .role = (int)c[3].i,
                         .created_ms = c[4].i,
                         .last_used_ms = c[5].i};
}

snug_status store_add_token(db_txn *tx, const store_token *t, snug_slice hash_hex, int64_t *id,
                            snug_err *err)
{
    static const db_query q = {
        "INSERT INTO tokens (id, user_id, name, role, hash, created_ms, last_used_ms) "
        "VALUES ($1, $2, $3, $4, $5, $6, 0)"};
    snug_status st = store_next_id(tx, "tokens", id, err);
    if (st != SNUG_OK) return st;
    db_val args[] = {db_int(*id),     db_int(t->user_id), db_text(t->name),
                     db_int(t->role), db_text(hash_hex),  db_int(t->created_ms)};
    return db_exec(tx, q, args, 6, NULL, err);
}

snug_status store_find_token(db_txn *tx, snug_arena *a, snug_slice hash_hex, store_token *out,
                             store_user *owner, bool *found, snug_err *err)
{
    static const db_query q = {"SELECT " TOKEN_COLS ", " USER_COLS
                               " FROM tokens t JOIN users u ON u.id = t.user_id WHERE t.hash = $1"};
    const db_val         *cols;
    db_val                arg = db_text(hash_hex);
    snug_status           st = db_one(tx, a, q, &arg, 1, &cols, err);
    *found = st == SNUG_OK && cols != NULL;
    if (*found) {
        read_token(cols, out);
        read_user(cols + TOKEN_COL_COUNT, owner);
    }
    return st;
}

snug_status store_list_tokens(db_txn *tx, snug_arena *a, int64_t user, store_token **out,
                              size_t *count, snug_err *err)
{
    static const db_query size = {"SELECT COUNT(*) FROM tokens WHERE user_id = $1"};
    static const db_query q = {"SELECT " TOKEN_COLS
                               " FROM tokens t WHERE t.user_id = $1 ORDER BY t.id"};
    snug_status           st = SNUG_OK;
    db_rows              *rows = NULL;
    const db_val         *cols;
    db_val                arg = db_int(user);
    size_t                max, n = 0;

    *count = 0;
    SNUG_TRY(db_one(tx, a, size, &arg, 1, &cols, err));
    max = cols == NULL ? 0 : (size_t)cols[0].i; /* the same transaction: it cannot grow */
    *out = snug_arena_zalloc(a, max * sizeof **out + 1);
    SNUG_TRY(db_run(tx, q, &arg, 1, &rows, err));
    for (;;) {
        SNUG_TRY(db_next(rows, &cols, err));
        if (cols == NULL || n == max) break;
        read_token(cols, &(*out)[n]);
        (*out)[n].name = snug_arena_dup(a, (*out)[n].name);
        n++;
    }
    *count = n;
done:
    db_rows_close(rows);
    return st;
}

snug_status store_delete_token(db_txn *tx, int64_t user, snug_slice name, bool *found,
                               snug_err *err)
{
    static const db_query q = {"DELETE FROM tokens WHERE user_id = $1 AND name = $2"};
    db_val                args[] = {db_int(user), db_text(name)};
    uint64_t              changed = 0;
    snug_status           st = db_exec(tx, q, args, 2, &changed, err);
    *found = st == SNUG_OK && changed > 0;
    return st;
}

snug_status store_delete_tokens(db_txn *tx, int64_t user, snug_err *err)
{
    static const db_query q = {"DELETE FROM tokens WHERE user_id = $1"};
    db_val                arg = db_int(user);
    return db_exec(tx, q, &arg, 1, NULL, err);
}

snug_status store_touch_token(db_txn *tx, int64_t token, int64_t used_ms, snug_err *err)
{
    static const db_query q = {
        "UPDATE tokens SET last_used_ms = $2 WHERE id = $1 AND last_used_ms < $2"};
    db_val args[] = {db_int(token), db_int(used_ms)};
    return db_exec(tx, q, args, 2, NULL, err);
}
