/* SPDX-License-Identifier: Apache-2.0 */
/* db/sqlite.c - SQLite in WAL mode: one connection that writes, a few that read.
 *
 * For:     db.c, through the driver table.
 * Owns:    the connections and their prepared statements.
 * Threads: `lock` guards who has which connection and nothing else; a connection is used by the
 *          one thread that took it, so SQLite's own mutexes are off.
 * Truth:   a commit that returned SNUG_OK is in the log and on the disk (synchronous=FULL). */
#include "db/db_int.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    READERS_MAX = 8,
    CACHE_SLOTS = 512, /* statements by address; a power of two, at most three quarters used */
    RANK_DB = 500
};

typedef struct cached {
    const char   *key; /* the caller's static text; NULL: free slot */
    sqlite3_stmt *stmt;
    bool          busy; /* some db_rows steps it */
} cached;

typedef struct conn {
    sqlite3 *sq;
    cached   cache[CACHE_SLOTS];
    size_t   cache_used;
    bool     taken;
} conn;

/* A thread in line for the writer; lives on its stack. */
typedef struct waiter {
    struct waiter *next;
    snug_cond      turn;
    bool           granted;
} waiter;

typedef struct sqlite_db {
    struct db  base;
    char      *path;
    char      *temp_dir; /* of sqlite::memory:, removed at the end; else NULL */
    conn       writer;
    conn      *readers[READERS_MAX]; /* made when first needed */
    size_t     reader_count;
    snug_mutex lock; /* guards what follows, the taken flags and reader_count */
    snug_cond  reader_free;
    waiter    *line;          /* writers go in order of arrival */
    pthread_t  writer_thread; /* while writer.taken and not just handed over */
} sqlite_db;

typedef struct sqlite_rows sqlite_rows;

typedef struct sqlite_txn {
    struct db_txn base;
    sqlite_db    *db;
    conn         *c;
    bool          writes;
    sqlite_rows  *open; /* rows not closed yet */
} sqlite_txn;

struct sqlite_rows {
    struct db_rows base;
    sqlite_txn    *tx; /* NULL: the transaction ended first */
    sqlite3_stmt  *stmt;
    cached        *slot; /* NULL: prepared for this run only */
    sqlite_rows   *prev, *next;
    size_t         columns;
    uint64_t       changed;
    bool           done;
    db_val         vals[]; /* one per column */
};

/* ---- errors ---- */

static snug_status fail_sqlite(sqlite3 *sq, int rc, const char *doing, snug_err *err)
{
    int         primary = rc & 0xff;
    const char *text = sq != NULL ? sqlite3_errmsg(sq) : sqlite3_errstr(rc);
    snug_status st = SNUG_EINTERNAL;

    if (primary == SQLITE_CONSTRAINT)
        st = SNUG_ECONFLICT;
    else if (primary == SQLITE_BUSY || primary == SQLITE_LOCKED)
        st = SNUG_EBUSY;
    else if (primary == SQLITE_NOMEM)
        st = SNUG_ENOMEM;
    else if (primary == SQLITE_FULL)
        return snug_fail_sys(err, ENOSPC, "sqlite %s", doing);
    else if (primary == SQLITE_IOERR || primary == SQLITE_CORRUPT || primary == SQLITE_CANTOPEN ||
             primary == SQLITE_NOTADB || primary == SQLITE_READONLY)
        st = SNUG_EIO;

    (void)!snug_fail(err, st, "%s",
                     st == SNUG_ECONFLICT ? "this exists already, or something it needs does not"
                     : st == SNUG_EBUSY   ? "the database is busy; try again"
                                          : "internal error");
    if (err != NULL)
        (void)snprintf(err->cause, sizeof err->cause, "sqlite %s: %.180s (%d)", doing, text, rc);
    return st;
}

/* ---- connections ---- */

static snug_status run_plain(conn *c, const char *sql, snug_err *err)
{
    int rc = sqlite3_exec(c->sq, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? SNUG_OK : fail_sqlite(c->sq, rc, sql, err);
}

static void close_conn(conn *c)
{
    for (size_t i = 0; i < CACHE_SLOTS; i++) {
        if (c->cache[i].key != NULL) (void)sqlite3_finalize(c->cache[i].stmt);
    }
    (void)sqlite3_close_v2(c->sq);
    c->sq = NULL;
}

static snug_status open_conn(sqlite_db *d, conn *c, bool writes, snug_err *err)
{
    snug_status st = SNUG_OK;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (writes ? SQLITE_OPEN_CREATE : 0);
    int rc = sqlite3_open_v2(d->path, &c->sq, flags, NULL);

    if (rc != SQLITE_OK) {
        st = fail_sqlite(c->sq, rc, "open", err);
        goto done;
    }
    (void)sqlite3_extended_result_codes(c->sq, 1);
    (void)sqlite3_busy_timeout(c->sq, DB_WAIT_MS);
    (void)sqlite3_db_config(c->sq, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
    SNUG_TRY(run_plain(c,
                       "PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY; PRAGMA cache_size=-8192;"
                       "PRAGMA mmap_size=17179869184",
                       err));
    if (!writes) {
        SNUG_TRY(run_plain(c, "PRAGMA query_only=ON", err));
        goto done;
    }
    SNUG_TRY(run_plain(c, "PRAGMA journal_mode=WAL", err));
    SNUG_TRY(run_plain(
        c, d->temp_dir != NULL ? "PRAGMA synchronous=OFF" : "PRAGMA synchronous=FULL", err));
done:
    if (st != SNUG_OK) close_conn(c);
    return st;
}

static void close_sqlite(db *handle)
{
    sqlite_db *d = (sqlite_db *)handle;
    for (size_t i = 0; i < d->reader_count; i++) {
        SNUG_ASSERT(!d->readers[i]->taken);
        close_conn(d->readers[i]);
        free(d->readers[i]);
    }
    SNUG_ASSERT(!d->writer.taken);
    close_conn(&d->writer);
    if (d->temp_dir != NULL) (void)!snug_remove_tree(d->temp_dir, NULL);
    snug_cond_deinit(&d->reader_free);
    snug_mutex_deinit(&d->lock);
    free(d->temp_dir);
    free(d->path);
    free(d);
}

/* A folder of its own under $TMPDIR, so that the log files lie beside the database. */
static snug_status make_temp(sqlite_db *d, snug_err *err)
{
    const char *base = getenv("TMPDIR");
    char        dir[512], path[600];
    if (base == NULL || base[0] != '/' || strlen(base) > 400) base = "/tmp";
    (void)snprintf(dir, sizeof dir, "%s/snug-db-XXXXXX", base);
    if (mkdtemp(dir) == NULL) return snug_fail_sys(err, errno, "mkdtemp %s", dir);
    (void)snprintf(path, sizeof path, "%s/memory.db", dir);
    d->temp_dir = snug_strdup(snug_str(dir));
    d->path = snug_strdup(snug_str(path));
    return SNUG_OK;
}

static snug_status open_sqlite(snug_slice path, db **out, snug_err *err)
{
    snug_status st = SNUG_OK;
    sqlite_db  *d = snug_zalloc(sizeof *d);

    d->base.driver = &db_sqlite;
    snug_mutex_init(&d->lock, "db", RANK_DB);
    snug_cond_init(&d->reader_free);
    if (snug_eq_str(path, ":memory:")) {
        SNUG_TRY(make_temp(d, err));
    } else {
        if (path.len == 0 || memchr(path.ptr, '\0', path.len) != NULL)
            SNUG_FAIL(err, SNUG_EINVAL, "a database address looks like sqlite:/path/file.db");
        d->path = snug_strdup(path);
    }
    SNUG_TRY(open_conn(d, &d->writer, true, err));
    *out = &d->base;
    d = NULL;
done:
    if (d != NULL) close_sqlite(&d->base);
    return st;
}

/* ---- taking turns ---- */

static void leave_line(sqlite_db *d, const waiter *w)
{
    waiter **at = &d->line;
    while (*at != w) at = &(*at)->next;
    *at = w->next;
}

/* Waits in line for the writer. False after DB_WAIT_MS. */
static bool wait_in_line_locked(sqlite_db *d)
{
    uint64_t until = snug_mono_ms() + DB_WAIT_MS;
    waiter   me = {0};
    waiter **at = &d->line;

    snug_cond_init(&me.turn);
    while (*at != NULL) at = &(*at)->next;
    *at = &me;
    snug_metric_add(SNUG_M_DB_WRITES_WAITING, 1);
    while (!me.granted) {
        uint64_t now = snug_mono_ms();
        if (now >= until) break;
        (void)snug_cond_wait_ms(&me.turn, &d->lock, until - now);
    }
    snug_metric_add(SNUG_M_DB_WRITES_WAITING, -1);
    if (!me.granted) leave_line(d, &me);
    snug_cond_deinit(&me.turn);
    return me.granted;
}

static bool take_writer(sqlite_db *d)
{
    bool got = true;
    snug_lock(&d->lock);
    if (d->writer.taken) {
        SNUG_ASSERT(!pthread_equal(d->writer_thread, pthread_self()));
        got = wait_in_line_locked(d);
    }
    if (got) {
        d->writer.taken = true;
        d->writer_thread = pthread_self();
    }
    snug_unlock(&d->lock);
    return got;
}

/* A free reader, a new one, or NULL after DB_WAIT_MS. */
static snug_status take_reader(sqlite_db *d, conn **out, snug_err *err)
{
    uint64_t until = snug_mono_ms() + DB_WAIT_MS;
    conn    *fresh = NULL;

    *out = NULL;
    snug_lock(&d->lock);
    for (;;) {
        for (size_t i = 0; i < d->reader_count && *out == NULL; i++) {
            if (!d->readers[i]->taken) *out = d->readers[i];
        }
        if (*out == NULL && d->reader_count < READERS_MAX) {
            fresh = snug_zalloc(sizeof *fresh);
            d->readers[d->reader_count++] = fresh;
            *out = fresh;
        }
        uint64_t now = snug_mono_ms();
        if (*out != NULL || now >= until) break;
        (void)snug_cond_wait_ms(&d->reader_free, &d->lock, until - now);
    }
    if (*out != NULL) (*out)->taken = true;
    snug_unlock(&d->lock);
    if (*out == NULL) return snug_fail(err, SNUG_EBUSY, "the database is busy; try again");
    return SNUG_OK;
}

static void give_back(sqlite_db *d, conn *c)
{
    snug_lock(&d->lock);
    c->taken = false;
    if (c != &d->writer) {
        snug_cond_signal(&d->reader_free);
    } else {
        d->writer_thread = (pthread_t)0;
        if (d->line != NULL) {
            waiter *first = d->line; /* handed over: a newcomer finds it taken */
            d->line = first->next;
            c->taken = true;
            first->granted = true;
            snug_cond_signal(&first->turn);
        }
    }
    snug_unlock(&d->lock);
}

/* ---- transactions ---- */

static snug_status step_plain(sqlite_txn *tx, const char *sql, snug_err *err);

static snug_status begin_sqlite(db *handle, db_mode mode, db_txn **out, snug_err *err)
{
    snug_status st = SNUG_OK;
    sqlite_db  *d = (sqlite_db *)handle;
    sqlite_txn *tx = NULL;
    conn       *c = NULL;

    if (mode == DB_WRITE) {
        if (!take_writer(d)) return snug_fail(err, SNUG_EBUSY, "the database is busy; try again");
        c = &d->writer;
    } else {
        st = take_reader(d, &c, err);
        if (st != SNUG_OK) return st;
        if (c->sq == NULL) SNUG_TRY(open_conn(d, c, false, err));
    }
    if (SNUG_FAULT("db.begin")) {
        st = snug_fail_sys(err, errno, "db.begin");
        goto done;
    }
    tx = snug_zalloc(sizeof *tx);
    *tx = (sqlite_txn){.base.driver = &db_sqlite, .db = d, .c = c, .writes = mode == DB_WRITE};
    SNUG_TRY(step_plain(tx, tx->writes ? "BEGIN IMMEDIATE" : "BEGIN", err));
    *out = &tx->base;
    return SNUG_OK;
done:
    free(tx);
    give_back(d, c);
    return st;
}

/* Back into the cache, or away when it was not from there. */
static void release_statement(sqlite3_stmt *stmt, cached *slot)
{
    if (slot == NULL) {
        (void)sqlite3_finalize(stmt);
        return;
    }
    (void)sqlite3_reset(stmt);
    (void)sqlite3_clear_bindings(stmt);
    slot->busy = false;
}

static void detach_rows(sqlite_rows *r)
{
    release_statement(r->stmt, r->slot);
    SNUG_ASSERT(r->tx != NULL); /* rows are detached once */
    if (r->prev != NULL)
        r->prev->next = r->next;
    else
        r->tx->open = r->next;
    if (r->next != NULL) r->next->prev = r->prev;
    r->tx = NULL;
    r->stmt = NULL;
}

static snug_status end_sqlite(db_txn *handle, bool commit, snug_err *err)
{
    snug_status st = SNUG_OK;
    sqlite_txn *tx = (sqlite_txn *)handle;

    while (tx->open != NULL) detach_rows(tx->open);
    if (commit) {
        if (SNUG_FAULT("db.commit"))
            st = snug_fail_sys(err, errno, "db.commit");
        else
            st = step_plain(tx, "COMMIT", err);
    }
    /* A statement that failed badly may have rolled back already: then there is nothing to end. */
    if (!sqlite3_get_autocommit(tx->c->sq)) (void)!step_plain(tx, "ROLLBACK", NULL);
    give_back(tx->db, tx->c);
    free(tx);
    return st;
}

/* ---- statements ---- */

/* The slot of this text, free or filled. NULL: the cache is as full as it may get. */
static cached *find_slot(conn *c, const char *key)
{
    size_t h = (size_t)(((uintptr_t)key >> 3) * 0x9e3779b97f4a7c15u >> 32);
    for (size_t i = 0; i < CACHE_SLOTS; i++) {
        cached *slot = &c->cache[(h + i) & (CACHE_SLOTS - 1)];
        if (slot->key == key) return slot;
        if (slot->key == NULL) return c->cache_used < CACHE_SLOTS / 4 * 3 ? slot : NULL;
    }
    return NULL;
}

static snug_status prepare(conn *c, const char *sql, bool keep, sqlite3_stmt **out, snug_err *err)
{
    int rc = sqlite3_prepare_v3(c->sq, sql, -1, keep ? SQLITE_PREPARE_PERSISTENT : 0, out, NULL);
    if (rc != SQLITE_OK) return fail_sqlite(c->sq, rc, sql, err);
    SNUG_ASSERT(*out != NULL);
    return SNUG_OK;
}

/* *slot stays NULL when the statement is for this run only. */
static snug_status get_statement(conn *c, const char *sql, sqlite3_stmt **out, cached **slot,
                                 snug_err *err)
{
    snug_status st;
    cached     *found = find_slot(c, sql);

    *slot = NULL;
    if (found == NULL || found->busy) return prepare(c, sql, false, out, err);
    if (found->key != NULL && strcmp(sqlite3_sql(found->stmt), sql) != 0) {
        (void)sqlite3_finalize(found->stmt); /* the address was reused for another text */
        found->stmt = NULL;
        st = prepare(c, sql, true, &found->stmt, err);
        if (st != SNUG_OK) return st;
    } else if (found->key == NULL) {
        st = prepare(c, sql, true, &found->stmt, err);
        if (st != SNUG_OK) return st;
        found->key = sql;
        c->cache_used++;
    }
    found->busy = true;
    *slot = found;
    *out = found->stmt;
    return SNUG_OK;
}

static int bind_one(sqlite3_stmt *stmt, int at, const db_val *v)
{
    static const char none[1] = "";
    const char       *p = v->s.ptr != NULL ? v->s.ptr : none;
    switch (v->kind) {
    case DB_INT:
        return sqlite3_bind_int64(stmt, at, v->i);
    case DB_REAL:
        return sqlite3_bind_double(stmt, at, v->f);
    case DB_TEXT:
        return sqlite3_bind_text64(stmt, at, p, v->s.len, SQLITE_TRANSIENT, SQLITE_UTF8);
    case DB_BLOB:
        return sqlite3_bind_blob64(stmt, at, p, v->s.len, SQLITE_TRANSIENT);
    case DB_NULL:
        break;
    }
    return sqlite3_bind_null(stmt, at);
}

/* SQLite numbers "$2" by where it first stands; we mean the number in its name. */
static snug_status bind_all(conn *c, sqlite3_stmt *stmt, const db_val *args, size_t n,
                            snug_err *err)
{
    int count = sqlite3_bind_parameter_count(stmt);
    for (int at = 1; at <= count; at++) {
        const char *name = sqlite3_bind_parameter_name(stmt, at);
        uint64_t    number = 0;
        SNUG_ASSERT(name != NULL && name[0] == '$' && snug_parse_u64(snug_str(name + 1), &number));
        SNUG_ASSERT(number >= 1 && number <= n);
        int rc = bind_one(stmt, at, &args[number - 1]);
        if (rc != SQLITE_OK) return fail_sqlite(c->sq, rc, "bind", err);
    }
    return SNUG_OK;
}

static snug_status run_sqlite(db_txn *handle, db_query q, const db_val *args, size_t n,
                              db_rows **out, snug_err *err)
{
    sqlite_txn   *tx = (sqlite_txn *)handle;
    sqlite3_stmt *stmt = NULL;
    cached       *slot = NULL;
    snug_status   st = get_statement(tx->c, q.sql, &stmt, &slot, err);
    if (st != SNUG_OK) return st;

    size_t columns = (size_t)sqlite3_column_count(stmt);
    SNUG_ASSERT(columns <= DB_COLUMNS_MAX);
    st = bind_all(tx->c, stmt, args, n, err);
    if (st != SNUG_OK) {
        release_statement(stmt, slot);
        return st;
    }
    sqlite_rows *r = snug_zalloc(sizeof *r + DB_COLUMNS_MAX * sizeof r->vals[0]);
    r->base.driver = &db_sqlite;
    r->tx = tx;
    r->stmt = stmt;
    r->slot = slot;
    r->columns = columns;
    r->next = tx->open;
    /* Rows leave the list before they are freed, which the analyzer does not follow. */
    if (tx->open != NULL) tx->open->prev = r; /* NOLINT(clang-analyzer-unix.Malloc) */
    tx->open = r;
    *out = &r->base;
    return SNUG_OK;
}

static db_val read_column(sqlite3_stmt *stmt, int at)
{
    switch (sqlite3_column_type(stmt, at)) {
    case SQLITE_INTEGER:
        return db_int(sqlite3_column_int64(stmt, at));
    case SQLITE_FLOAT:
        return db_real(sqlite3_column_double(stmt, at));
    case SQLITE_TEXT: {
        const void *p = sqlite3_column_text(stmt, at);
        return db_text(snug_slice_of(p, (size_t)sqlite3_column_bytes(stmt, at)));
    }
    case SQLITE_BLOB: {
        const void *p = sqlite3_column_blob(stmt, at);
        return db_blob(snug_slice_of(p, (size_t)sqlite3_column_bytes(stmt, at)));
    }
    default:
        return db_null();
    }
}

static snug_status next_sqlite(db_rows *handle, const db_val **cols, snug_err *err)
{
    sqlite_rows *r = (sqlite_rows *)handle;
    *cols = NULL;
    SNUG_ASSERT(r->tx != NULL);
    if (r->done) return SNUG_OK;

    int rc = sqlite3_step(r->stmt);
    if (rc == SQLITE_DONE) {
        r->done = true;
        sqlite3 *sq = r->tx->c->sq;
        r->changed = sqlite3_stmt_readonly(r->stmt) ? 0 : (uint64_t)sqlite3_changes64(sq);
        (void)sqlite3_reset(r->stmt);
        return SNUG_OK;
    }
    if (rc != SQLITE_ROW) {
        r->done = true;
        return fail_sqlite(r->tx->c->sq, rc, sqlite3_sql(r->stmt), err);
    }
    for (size_t i = 0; i < r->columns; i++) r->vals[i] = read_column(r->stmt, (int)i);
    *cols = r->vals;
    return SNUG_OK;
}

static size_t columns_sqlite(const db_rows *handle)
{
    return ((const sqlite_rows *)handle)->columns;
}

static uint64_t changed_sqlite(const db_rows *handle)
{
    return ((const sqlite_rows *)handle)->changed;
}

static void rows_close_sqlite(db_rows *handle)
{
    sqlite_rows *r = (sqlite_rows *)handle;
    if (r->tx != NULL) detach_rows(r);
    free(r);
}

/* BEGIN, COMMIT and ROLLBACK, prepared once like everything else. */
static snug_status step_plain(sqlite_txn *tx, const char *sql, snug_err *err)
{
    db_rows      *rows = NULL;
    const db_val *cols;
    snug_status   st = run_sqlite(&tx->base, (db_query){sql}, NULL, 0, &rows, err);
    if (st == SNUG_OK) st = next_sqlite(rows, &cols, err);
    if (rows != NULL) rows_close_sqlite(rows);
    return st;
}

static snug_status script_sqlite(db_txn *handle, const char *sql, snug_err *err)
{
    sqlite_txn *tx = (sqlite_txn *)handle;
    int         rc = sqlite3_exec(tx->c->sq, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? SNUG_OK : fail_sqlite(tx->c->sq, rc, "script", err);
}

const db_driver db_sqlite = {
    .scheme = "sqlite",
    .open = open_sqlite,
    .begin = begin_sqlite,
    .run = run_sqlite,
    .next = next_sqlite,
    .columns = columns_sqlite,
    .changed = changed_sqlite,
    .rows_close = rows_close_sqlite,
    .end = end_sqlite,
    .script = script_sqlite,
    .close = close_sqlite,
};
