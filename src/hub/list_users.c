/* SPDX-License-Identifier: Apache-2.0 */
/* hub/list_users.c - the accounts, for `snug user list`.
 *
 * For:     cli/.
 * Owns:    nothing.
 * Threads: any. */
#include "hub/hub_int.h"

snug_status hub_list_users(hub *h, snug_arena *a, hub_user **out, size_t *count, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    store_user *rows;

    *count = 0;
    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    SNUG_TRY(store_list_users(tx, a, &rows, count, err));
    *out = snug_arena_zalloc(a, *count * sizeof **out + 1);
    for (size_t i = 0; i < *count; i++) {
        (*out)[i] = (hub_user){.id = rows[i].id,
                               .name = rows[i].name,
                               .fullname = rows[i].fullname,
                               .email = rows[i].email,
                               .is_admin = rows[i].is_admin,
                               .created_ms = rows[i].created_ms};
    }
done:
    db_rollback(tx);
    return st;
}
