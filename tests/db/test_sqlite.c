/* SPDX-License-Identifier: Apache-2.0 */
/* tests/db/test_sqlite.c - the SQL contract of db.h, run on the SQLite driver. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "db/db.h"

static const db_migration steps[] = {
    {1, "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, size BIGINT CHECK "
        "(size >= 0))"},
    {2, "CREATE TABLE child (id INTEGER PRIMARY KEY, parent BIGINT NOT NULL REFERENCES t(id));"
        "CREATE INDEX child_parent ON child(parent)"},
};

static const db_query q_insert = {"INSERT INTO t (name, size) VALUES ($2, $1)"};
static const db_query q_insert_id = {"INSERT INTO t (name, size) VALUES ($1, $2) RETURNING id"};
static const db_query q_all = {"SELECT id, name, size FROM t ORDER BY id"};
static const db_query q_count = {"SELECT count(*) FROM t"};

static void must(snug_status st, const snug_err *err)
{
    if (st != SNUG_OK) fail_msg("%s: %s (%s)", snug_status_name(st), err->msg, err->cause);
}

typedef struct fixture {
    char dir[64], url[128];
    db  *d;
} fixture;

static int setup(void **state)
{
    fixture *f = snug_zalloc(sizeof *f);
    snug_err err = {0};
    strncpy(f->dir, "/tmp/snug-test-db-XXXXXX", sizeof f->dir - 1);
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->url, sizeof f->url, "sqlite:%s/x.db", f->dir);
    must(db_open(snug_str(f->url), &f->d, &err), &err);
    must(db_migrate(f->d, steps, 2, &err), &err);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    db_close(f->d);
    assert_int_equal(snug_remove_tree(f->dir, NULL), SNUG_OK);
    free(f);
    return 0;
}

static void add(db *d, const char *name, int64_t size)
{
    snug_err err = {0};
    db_txn  *tx;
    uint64_t changed = 99;
    must(db_begin(d, DB_WRITE, &tx, &err), &err);
    db_val args[] = {db_int(size), db_text(snug_str(name))};
    must(db_exec(tx, q_insert, args, 2, &changed, &err), &err);
    assert_int_equal(changed, 1);
    must(db_end(tx, true, &err), &err);
}

static int64_t count_rows(db_txn *tx)
{
    snug_err      err = {0};
    snug_arena   *a = snug_arena_new();
    const db_val *cols;
    must(db_one(tx, a, q_count, NULL, 0, &cols, &err), &err);
    assert_non_null(cols);
    int64_t n = cols[0].i;
    snug_arena_free(a);
    return n;
}

static int64_t count_now(db *d)
{
    snug_err err = {0};
    db_txn  *tx;
    must(db_begin(d, DB_READ, &tx, &err), &err);
    int64_t n = count_rows(tx);
    db_rollback(tx);
    return n;
}

static void binds_by_number_and_reads_all_kinds(void **state)
{
    fixture              *f = *state;
    snug_err              err = {0};
    db_txn               *tx;
    db_rows              *rows;
    const db_val         *cols;
    static const db_query kinds = {"SELECT $3, $1, $2, $5, $4, $1"};

    must(db_begin(f->d, DB_READ, &tx, &err), &err);
    db_val args[] = {db_int(INT64_MIN), db_real(0.5), db_text(SNUG_LIT("h\xc3\xa9")),
                     db_blob(snug_slice_of("\0\1", 2)), db_null()};
    must(db_run(tx, kinds, args, 5, &rows, &err), &err);
    must(db_next(rows, &cols, &err), &err);
    assert_non_null(cols);
    assert_int_equal(cols[0].kind, DB_TEXT);
    assert_true(snug_eq_str(cols[0].s, "h\xc3\xa9"));
    assert_int_equal(cols[1].kind, DB_INT);
    assert_true(cols[1].i == INT64_MIN);
    assert_int_equal(cols[2].kind, DB_REAL);
    assert_true(cols[2].f == 0.5);
    assert_int_equal(cols[3].kind, DB_NULL);
    assert_int_equal(cols[4].kind, DB_BLOB);
    assert_int_equal(cols[4].s.len, 2);
    assert_memory_equal(cols[4].s.ptr, "\0\1", 2);
    assert_true(cols[5].i == INT64_MIN);
    must(db_next(rows, &cols, &err), &err);
    assert_null(cols);
    must(db_next(rows, &cols, &err), &err); /* asking again is fine */
    assert_null(cols);
    db_rows_close(rows);
    db_rollback(tx);
}

static void empty_text_is_not_null(void **state)
{
    fixture              *f = *state;
    snug_err              err = {0};
    db_txn               *tx;
    const db_val         *cols;
    snug_arena           *a = snug_arena_new();
    static const db_query q = {"SELECT $1"};
    must(db_begin(f->d, DB_READ, &tx, &err), &err);
    db_val arg = db_text(SNUG_EMPTY);
    must(db_one(tx, a, q, &arg, 1, &cols, &err), &err);
    assert_int_equal(cols[0].kind, DB_TEXT);
    assert_int_equal(cols[0].s.len, 0);
    db_rollback(tx);
    snug_arena_free(a);
}

static void commits_and_rolls_back(void **state)
{
    fixture *f = *state;
    snug_err err = {0};
    db_txn  *tx;

    add(f->d, "a", 1);
    assert_int_equal(count_now(f->d), 1);
    must(db_begin(f->d, DB_WRITE, &tx, &err), &err);
    db_val args[] = {db_int(2), db_text(SNUG_LIT("b"))};
    must(db_exec(tx, q_insert, args, 2, NULL, &err), &err);
    assert_int_equal(count_rows(tx), 2);  /* seen inside */
    assert_int_equal(count_now(f->d), 1); /* not outside */
    db_rollback(tx);
    assert_int_equal(count_now(f->d), 1);
}

static void a_reader_sees_one_moment(void **state)
{
    fixture *f = *state;
    snug_err err = {0};
    db_txn  *read;

    add(f->d, "a", 1);
    must(db_begin(f->d, DB_READ, &read, &err), &err);
    assert_int_equal(count_rows(read), 1);
    add(f->d, "b", 2);
    assert_int_equal(count_rows(read), 1);
    db_rollback(read);
    assert_int_equal(count_now(f->d), 2);
}

static void broken_rules_are_conflicts(void **state)
{
    fixture              *f = *state;
    snug_err              err = {0};
    db_txn               *tx;
    static const db_query orphan = {"INSERT INTO child (parent) VALUES (77)"};

    add(f->d, "a", 1);
    must(db_begin(f->d, DB_WRITE, &tx, &err), &err);
    db_val twice[] = {db_int(1), db_text(SNUG_LIT("a"))};
    assert_int_equal(db_exec(tx, q_insert, twice, 2, NULL, &err), SNUG_ECONFLICT);
    db_val negative[] = {db_int(-1), db_text(SNUG_LIT("n"))};
    assert_int_equal(db_exec(tx, q_insert, negative, 2, NULL, &err), SNUG_ECONFLICT);
    assert_int_equal(db_exec(tx, orphan, NULL, 0, NULL, &err), SNUG_ECONFLICT);
    db_val fine[] = {db_int(3), db_text(SNUG_LIT("c"))};
    must(db_exec(tx, q_insert, fine, 2, NULL, &err), &err); /* the transaction goes on */
    must(db_end(tx, true, &err), &err);
    assert_int_equal(count_now(f->d), 2);
}

static void bad_sql_says_internal_and_logs_why(void **state)
{
    fixture              *f = *state;
    snug_err              err = {0};
    db_txn               *tx;
    db_rows              *rows;
    static const db_query bad = {"SELECT nothing FROM nowhere"};
    must(db_begin(f->d, DB_READ, &tx, &err), &err);
    assert_int_equal(db_run(tx, bad, NULL, 0, &rows, &err), SNUG_EINTERNAL);
    assert_null(rows);
    assert_string_equal(err.msg, "internal error");
    assert_non_null(strstr(err.cause, "nowhere"));
    db_rollback(tx);
}

static void readers_cannot_write(void **state)
{
    fixture *f = *state;
    snug_err err = {0};
    db_txn  *tx;
    must(db_begin(f->d, DB_READ, &tx, &err), &err);
    db_val args[] = {db_int(2), db_text(SNUG_LIT("b"))};
    assert_int_not_equal(db_exec(tx, q_insert, args, 2, NULL, &err), SNUG_OK);
    db_rollback(tx);
    assert_int_equal(count_now(f->d), 0);
}

static void the_same_statement_may_be_open_twice(void **state)
{
    fixture      *f = *state;
    snug_err      err = {0};
    db_txn       *tx;
    db_rows      *outer, *inner;
    const db_val *cols;
    int           seen = 0;

    add(f->d, "a", 1);
    add(f->d, "b", 2);
    must(db_begin(f->d, DB_READ, &tx, &err), &err);
    must(db_run(tx, q_all, NULL, 0, &outer, &err), &err);
    must(db_next(outer, &cols, &err), &err);
    must(db_run(tx, q_all, NULL, 0, &inner, &err), &err);
    for (;;) {
        must(db_next(inner, &cols, &err), &err);
        if (cols == NULL) break;
        seen++;
    }
    assert_int_equal(seen, 2);
    must(db_next(outer, &cols, &err), &err);
    assert_true(snug_eq_str(cols[1].s, "b"));
    db_rollback(tx);      /* closes them underneath */
    db_rows_close(outer); /* and this still frees */
    db_rows_close(inner);
}

static void an_address_used_for_other_text_is_prepared_anew(void **state)
{
    fixture      *f = *state;
    snug_err      err = {0};
    db_txn       *tx;
    const db_val *cols;
    char          text[32];
    snug_arena   *a = snug_arena_new();
    must(db_begin(f->d, DB_READ, &tx, &err), &err);
    for (int i = 0; i < 3; i++) {
        snprintf(text, sizeof text, "SELECT %d", i);
        must(db_one(tx, a, (db_query){text}, NULL, 0, &cols, &err), &err);
        assert_int_equal(cols[0].i, i);
    }
    db_rollback(tx);
    snug_arena_free(a);
}

static void returning_gives_the_row_and_writes_it(void **state)
{
    fixture      *f = *state;
    snug_err      err = {0};
    db_txn       *tx;
    const db_val *cols;
    snug_arena   *a = snug_arena_new();
    must(db_begin(f->d, DB_WRITE, &tx, &err), &err);
    db_val args[] = {db_text(SNUG_LIT("r")), db_null()};
    must(db_one(tx, a, q_insert_id, args, 2, &cols, &err), &err);
    assert_non_null(cols);
    assert_int_equal(cols[0].i, 1);
    must(db_end(tx, true, &err), &err);
    assert_int_equal(count_now(f->d), 1);
    snug_arena_free(a);
}

static void migrations_run_once_and_newer_is_refused(void **state)
{
    fixture                  *f = *state;
    snug_err                  err = {0};
    static const db_migration more[] = {
        {1, "not sql"},
        {2, "not sql"},
        {3, "CREATE TABLE third (id INTEGER); INSERT INTO third VALUES (5)"}};
    static const db_migration broken[] = {
        {4, "CREATE TABLE fourth (id INTEGER); INSERT INTO nowhere VALUES (1)"}};
    static const db_migration fixed[] = {{4, "CREATE TABLE fourth (id INTEGER)"}};

    must(db_migrate(f->d, more, 3, &err), &err);
    must(db_migrate(f->d, more, 3, &err), &err);
    assert_int_equal(db_migrate(f->d, steps, 2, &err), SNUG_EINVAL);
    assert_string_equal(err.msg,
                        "the database has version 3 and this program knows 2: use a newer snug");
    assert_int_equal(db_migrate(f->d, broken, 1, &err), SNUG_EINTERNAL);
    must(db_migrate(f->d, fixed, 1, &err), &err); /* the broken one left nothing */
}

typedef struct hammer {
    db *d;
    int id, writes;
} hammer;

static void write_many(void *arg)
{
    hammer *h = arg;
    char    name[32];
    for (int i = 0; i < h->writes; i++) {
        snprintf(name, sizeof name, "w%d-%d", h->id, i);
        add(h->d, name, i);
        (void)count_now(h->d);
    }
}

static void threads_take_turns(void **state)
{
    fixture     *f = *state;
    hammer       h[12];
    snug_thread *t[12];
    for (int i = 0; i < 12; i++) { /* more than there are readers */
        h[i] = (hammer){f->d, i, 20};
        t[i] = snug_thread_start("hammer", 0, write_many, &h[i]);
    }
    for (int i = 0; i < 12; i++) snug_thread_join(t[i]);
    assert_int_equal(count_now(f->d), 240);
}

/* A child dies at the fault point; what it had acknowledged is there, the rest is not. */
static void a_death_in_commit_leaves_whole_transactions(void **state)
{
    fixture *f = *state;
    pid_t    pid = fork();
    if (pid == 0) {
        db      *mine;
        snug_err err = {0};
        snug_faults_setup("db.commit=kill@3");
        if (db_open(snug_str(f->url), &mine, &err) != SNUG_OK) _exit(1);
        add(mine, "one", 1);
        add(mine, "two", 2);
        add(mine, "three", 3);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
    assert_int_equal(count_now(f->d), 2);
    add(f->d, "three", 3); /* and the dead writer's lock is gone */
    assert_int_equal(count_now(f->d), 3);
}

static void a_failed_commit_has_rolled_back(void **state)
{
    fixture *f = *state;
    snug_err err = {0};
    db_txn  *tx;
    must(db_begin(f->d, DB_WRITE, &tx, &err), &err);
    db_val args[] = {db_int(2), db_text(SNUG_LIT("b"))};
    must(db_exec(tx, q_insert, args, 2, NULL, &err), &err);
    snug_faults_setup("db.commit=fail@1");
    assert_int_equal(db_end(tx, true, &err), SNUG_EIO);
    snug_faults_setup("db.begin=fail@1");
    assert_int_equal(db_begin(f->d, DB_READ, &tx, &err), SNUG_EIO);
    snug_faults_setup(NULL);
    assert_int_equal(count_now(f->d), 0);
    add(f->d, "b", 1);
}

static void memory_is_private_and_leaves_nothing(void **state)
{
    (void)state;
    db      *one, *two;
    snug_err err = {0};
    must(db_open(SNUG_LIT("sqlite::memory:"), &one, &err), &err);
    must(db_open(SNUG_LIT("sqlite::memory:"), &two, &err), &err);
    must(db_migrate(one, steps, 2, &err), &err);
    must(db_migrate(two, steps, 2, &err), &err);
    add(one, "a", 1);
    assert_int_equal(count_now(one), 1);
    assert_int_equal(count_now(two), 0);
    db_close(one);
    db_close(two);
}

static void unknown_addresses_are_refused(void **state)
{
    (void)state;
    db      *d;
    snug_err err = {0};
    assert_int_equal(db_open(SNUG_LIT("oracle:x"), &d, &err), SNUG_EUNSUPPORTED);
    assert_int_equal(db_open(SNUG_LIT(""), &d, &err), SNUG_EINVAL);
    assert_int_equal(db_open(SNUG_LIT("sqlite"), &d, &err), SNUG_EINVAL);
    assert_int_equal(db_open(SNUG_LIT("sqlite:"), &d, &err), SNUG_EINVAL);
    assert_int_equal(db_open(SNUG_LIT("sqlite:/nonexistent/folder/x.db"), &d, &err), SNUG_EIO);
    assert_null(d);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(binds_by_number_and_reads_all_kinds),
        T(empty_text_is_not_null),
        T(commits_and_rolls_back),
        T(a_reader_sees_one_moment),
        T(broken_rules_are_conflicts),
        T(bad_sql_says_internal_and_logs_why),
        T(readers_cannot_write),
        T(the_same_statement_may_be_open_twice),
        T(an_address_used_for_other_text_is_prepared_anew),
        T(returning_gives_the_row_and_writes_it),
        T(migrations_run_once_and_newer_is_refused),
        T(threads_take_turns),
        T(a_death_in_commit_leaves_whole_transactions),
        T(a_failed_commit_has_rolled_back),
        cmocka_unit_test(memory_is_private_and_leaves_nothing),
        cmocka_unit_test(unknown_addresses_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
