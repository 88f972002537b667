/* SPDX-License-Identifier: Apache-2.0 */
/* store/list_users.c - the accounts, for an administrator's list.
 *
 * For:     hub/list_users.c.
 * Owns:    nothing; users.c owns the table.
 * Threads: any; a transaction stays with its thread. */
#include "store/store_int.h"

snug_status store_list_users(db_txn *tx, snug_arena *a, store_user **out, size_t *count,
                             snug_err *err)
{
    static const db_query q = {"SELECT u.id, u.name, u.fullname, u.email, u.is_admin, u.created_ms "
                               "FROM users u ORDER BY u.name_key"};
    snug_status           st = SNUG_OK;
    db_rows              *rows = NULL;
    const db_val         *c;
    uint64_t              max = 0;
    size_t                n = 0;

    *count = 0;
    SNUG_TRY(store_count_users(tx, &max, err)); /* the same transaction: it cannot grow */
    *out = snug_arena_zalloc(a, (size_t)max * sizeof **out + 1);
    SNUG_TRY(db_run(tx, q, NULL, 0, &rows, err));
    for (;;) {
        SNUG_TRY(db_next(rows, &c, err));
        if (c == NULL || n == max) break;
        (*out)[n++] = (store_user){.id = c[0].i,
                                   .name = snug_arena_dup(a, c[1].s),
                                   .fullname = snug_arena_dup(a, c[2].s),
                                   .email = snug_arena_dup(a, c[3].s),
                                   .is_admin = c[4].i != 0,
                                   .created_ms = c[5].i};
    }
    *count = n;
done:
    db_rows_close(rows);
    return st;
}
