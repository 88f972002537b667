/* SPDX-License-Identifier: Apache-2.0 */
/* db/db.h - SQL behind a driver table: sqlite.c now, postgres.c later.
 *
 * Each query is written once, in store/, in the SQL both engines share (RETURNING, ON CONFLICT);
 * parameters are $1, $2, ... bound by number. One writer at a time, several readers; a db is safe
 * to use from any thread, a transaction belongs to the thread that began it. */
#ifndef SNUG_DB_DB_H
#define SNUG_DB_DB_H

#include "base/base.h"

typedef struct db      db;
typedef struct db_txn  db_txn;
typedef struct db_rows db_rows;

typedef enum db_mode { DB_READ, DB_WRITE } db_mode;
typedef enum db_kind { DB_NULL, DB_INT, DB_REAL, DB_TEXT, DB_BLOB } db_kind;

typedef struct db_val {
    db_kind    kind;
    int64_t    i;
    double     f;
    snug_slice s; /* TEXT and BLOB */
} db_val;

static inline db_val db_null(void) { return (db_val){.kind = DB_NULL}; }
static inline db_val db_int(int64_t v) { return (db_val){.kind = DB_INT, .i = v}; }
static inline db_val db_real(double v) { return (db_val){.kind = DB_REAL, .f = v}; }
static inline db_val db_text(snug_slice s) { return (db_val){.kind = DB_TEXT, .s = s}; }
static inline db_val db_blob(snug_slice s) { return (db_val){.kind = DB_BLOB, .s = s}; }

/* A query is a static string, so the driver may cache its prepared form by address. */
typedef struct db_query {
    const char *sql;
} db_query;

typedef struct db_driver {
    const char *scheme; /* "sqlite", "postgres" */
    snug_status (*open)(snug_slice url, db **out, snug_err *err);
    snug_status (*begin)(db *d, db_mode mode, db_txn **out, snug_err *err);
    snug_status (*run)(db_txn *tx, db_query q, const db_val *args, size_t n, db_rows **out,
                       snug_err *err);
    snug_status (*next)(db_rows *rows, const db_val **cols,
                        snug_err *err);       /* *cols NULL: no more */
    size_t (*columns)(const db_rows *rows);   /* how many values each row has */
    uint64_t (*changed)(const db_rows *rows); /* rows a finished INSERT, UPDATE or DELETE touched */
    void (*rows_close)(db_rows *rows);
    snug_status (*end)(db_txn *tx, bool commit, snug_err *err);
    snug_status (*script)(db_txn *tx, const char *sql,
                          snug_err *err); /* migrations: many statements */
    void (*close)(db *d);
} db_driver;

/* "sqlite:/path/file.db", or "sqlite::memory:" for a private database that ends with its handle.
 * SNUG_EUNSUPPORTED for unknown schemes. */
snug_status db_open(snug_slice url, db **out, snug_err *err) SNUG_MUST_USE;
void        db_close(db *d); /* NULL is fine */

/* Begins a transaction; it waits for the writer's turn or a free reader (SNUG_EBUSY after 10 s).
 * A thread that writes must not begin to write again before it ended: that is our bug, and stops.
 */
snug_status db_begin(db *d, db_mode mode, db_txn **out, snug_err *err) SNUG_MUST_USE;
/* Ends it, closing rows still open. A failed commit has rolled back. NULL is fine. */
snug_status db_end(db_txn *tx, bool commit, snug_err *err) SNUG_MUST_USE;
void        db_rollback(db_txn *tx); /* NULL is fine */

/* Runs a query for its rows. Text and blob columns are borrowed until the next db_next. */
snug_status db_run(db_txn *tx, db_query q, const db_val *args, size_t n, db_rows **out,
                   snug_err *err) SNUG_MUST_USE;
/* Steps to the next row. *cols NULL: no more; a statement that changes rows has then done so. */
snug_status db_next(db_rows *rows, const db_val **cols, snug_err *err) SNUG_MUST_USE;
void        db_rows_close(db_rows *rows); /* NULL is fine */
/* Runs a statement for its effect; *changed (may be NULL) is the number of rows. A broken
 * uniqueness rule is SNUG_ECONFLICT. */
snug_status db_exec(db_txn *tx, db_query q, const db_val *args, size_t n, uint64_t *changed,
                    snug_err *err) SNUG_MUST_USE;
/* The first row, its values copied into the arena. */
snug_status db_one(db_txn *tx, snug_arena *a, db_query q, const db_val *args, size_t n,
                   const db_val **cols, snug_err *err) SNUG_MUST_USE; /* *cols NULL: no row */

/* Migrations run once each, in order, each inside its own transaction; the highest is remembered.
 * SNUG_EINVAL when the database was made by a newer program. */
typedef struct db_migration {
    unsigned    version;
    const char *sql;
} db_migration;
snug_status db_migrate(db *d, const db_migration *list, size_t n, snug_err *err) SNUG_MUST_USE;

#endif
