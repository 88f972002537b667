/* SPDX-License-Identifier: Apache-2.0 */
/* db/db.c - picks the driver, and what is the same for all of them: exec, one row, migrations.
 *
 * For:     store/ and hub/, always through db.h.
 * Threads: any; a transaction and its rows stay with the thread that began it. */
#include "db/db_int.h"

#include <stdlib.h>

static const db_driver *const drivers[] = {&db_sqlite};

snug_status db_open(snug_slice url, db **out, snug_err *err)
{
    snug_slice rest = url, scheme;
    *out = NULL;
    if (url.len == 0 || url.len > DB_URL_MAX || !snug_split(&rest, ':', &scheme))
        return snug_fail(err, SNUG_EINVAL, "a database address looks like sqlite:/path/file.db");
    for (size_t i = 0; i < sizeof drivers / sizeof drivers[0]; i++) {
        if (snug_eq_str(scheme, drivers[i]->scheme)) return drivers[i]->open(rest, out, err);
    }
    return snug_fail(err, SNUG_EUNSUPPORTED, "no database driver for \"%.*s\"; try sqlite",
                     SNUG_SLICE(snug_sub(scheme, 0, 32)));
}

void db_close(db *d)
{
    if (d != NULL) d->driver->close(d);
}

snug_status db_begin(db *d, db_mode mode, db_txn **out, snug_err *err)
{
    *out = NULL;
    return d->driver->begin(d, mode, out, err);
}

snug_status db_end(db_txn *tx, bool commit, snug_err *err)
{
    return tx == NULL ? SNUG_OK : tx->driver->end(tx, commit, err);
}

void db_rollback(db_txn *tx)
{
    if (tx != NULL) (void)!tx->driver->end(tx, false, NULL);
}

snug_status db_run(db_txn *tx, db_query q, const db_val *args, size_t n, db_rows **out,
                   snug_err *err)
{
    *out = NULL;
    SNUG_ASSERT(n <= DB_ARGS_MAX);
    snug_metric_add(SNUG_M_DB_QUERIES, 1);
    return tx->driver->run(tx, q, args, n, out, err);
}

snug_status db_next(db_rows *rows, const db_val **cols, snug_err *err)
{
    return rows->driver->next(rows, cols, err);
}

void db_rows_close(db_rows *rows)
{
    if (rows != NULL) rows->driver->rows_close(rows);
}

snug_status db_exec(db_txn *tx, db_query q, const db_val *args, size_t n, uint64_t *changed,
                    snug_err *err)
{
    snug_status   st = SNUG_OK;
    db_rows      *rows = NULL;
    const db_val *cols;

    SNUG_TRY(db_run(tx, q, args, n, &rows, err));
    do {
        SNUG_TRY(db_next(rows, &cols, err));
    } while (cols != NULL); /* a RETURNING clause may give rows nobody asked for */
    if (changed != NULL) *changed = rows->driver->changed(rows);
done:
    db_rows_close(rows);
    return st;
}

snug_status db_one(db_txn *tx, snug_arena *a, db_query q, const db_val *args, size_t n,
                   const db_val **cols, snug_err *err)
{
    snug_status   st = SNUG_OK;
    db_rows      *rows = NULL;
    const db_val *row;

    *cols = NULL;
    SNUG_TRY(db_run(tx, q, args, n, &rows, err));
    SNUG_TRY(db_next(rows, &row, err));
    if (row != NULL) {
        size_t  count = rows->driver->columns(rows);
        db_val *copy = snug_arena_array_try(a, count, sizeof *copy);
        if (copy == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "out of memory");
        for (size_t i = 0; i < count; i++) {
            copy[i] = row[i];
            if (row[i].kind == DB_TEXT || row[i].kind == DB_BLOB)
                copy[i].s = snug_arena_dup(a, row[i].s);
        }
        *cols = copy;
        /* Finish it: an INSERT ... RETURNING is only done when the last row was taken. */
        while (row != NULL) SNUG_TRY(db_next(rows, &row, err));
    }
done:
    db_rows_close(rows);
    return st;
}

/* ---- migrations ---- */

static const db_query sql_version = {"SELECT max(version) FROM snug_migrations"};
static const db_query sql_remember = {"INSERT INTO snug_migrations (version) VALUES ($1)"};

static snug_status read_version(db_txn *tx, uint64_t *out, snug_err *err)
{
    snug_arena   *a = snug_arena_new();
    const db_val *cols;
    snug_status   st = db_one(tx, a, sql_version, NULL, 0, &cols, err);
    *out = st == SNUG_OK && cols != NULL && cols[0].kind == DB_INT ? (uint64_t)cols[0].i : 0;
    snug_arena_free(a);
    return st;
}

/* Two programs may start at once: whoever comes second finds the version there and does nothing. */
static snug_status run_migration(db *d, const db_migration *m, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    uint64_t    have = 0;

    SNUG_TRY(db_begin(d, DB_WRITE, &tx, err));
    SNUG_TRY(read_version(tx, &have, err));
    if (have < m->version) {
        db_val version = db_int((int64_t)m->version);
        SNUG_TRY(d->driver->script(tx, m->sql, err));
        SNUG_TRY(db_exec(tx, sql_remember, &version, 1, NULL, err));
    }
    st = db_end(tx, true, err);
    tx = NULL;
done:
    db_rollback(tx);
    if (st != SNUG_OK) snug_note(err, "migration %u", m->version);
    return st;
}

snug_status db_migrate(db *d, const db_migration *list, size_t n, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    uint64_t    have = 0;

    for (size_t i = 1; i < n; i++) SNUG_ASSERT(list[i - 1].version < list[i].version);
    SNUG_TRY(db_begin(d, DB_WRITE, &tx, err));
    SNUG_TRY(d->driver->script(
        tx, "CREATE TABLE IF NOT EXISTS snug_migrations (version BIGINT PRIMARY KEY)", err));
    SNUG_TRY(read_version(tx, &have, err));
    st = db_end(tx, true, err);
    tx = NULL;
    if (st != SNUG_OK) goto done;
    if (n > 0 && have > list[n - 1].version)
        SNUG_FAIL(err, SNUG_EINVAL,
                  "the database has version %llu and this program knows %u: use a newer snug",
                  (unsigned long long)have, list[n - 1].version);
    for (size_t i = 0; i < n; i++) {
        if (list[i].version > have) SNUG_TRY(run_migration(d, &list[i], err));
    }
done:
    db_rollback(tx);
    return st;
}
