/* SPDX-License-Identifier: Apache-2.0 */
/* db/db_int.h - what drivers and db.c share: each handle starts with its driver.
 *
 * For:     db.c and the drivers only. */
#ifndef SNUG_DB_DB_INT_H
#define SNUG_DB_DB_INT_H

#include "db/db.h"

enum {
    DB_WAIT_MS = 10000, /* for the writer's turn, a reader, or another process */
    DB_ARGS_MAX = 32,   /* $1 ... $32 */
    DB_COLUMNS_MAX = 64,
    DB_URL_MAX = 4096
};

/* A driver's struct begins with one of these. */
struct db {
    const db_driver *driver;
};
struct db_txn {
    const db_driver *driver;
};
struct db_rows {
    const db_driver *driver;
};

extern const db_driver db_sqlite;

#endif
