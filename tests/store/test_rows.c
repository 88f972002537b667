/* SPDX-License-Identifier: Apache-2.0 */
/* tests/store/test_rows.c - users, tokens, repositories, redirects, links and counts on SQLite. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>

#include "store/store.h"

typedef struct fixture {
    db         *d;
    snug_arena *a;
} fixture;

static void must(snug_status st, const snug_err *err)
{
    if (st != SNUG_OK) fail_msg("%s: %s (%s)", snug_status_name(st), err->msg, err->cause);
}

static int setup(void **state)
{
    fixture *f = snug_zalloc(sizeof *f);
    snug_err err = {0};
    must(db_open(SNUG_LIT("sqlite::memory:"), &f->d, &err), &err);
    must(store_migrate(f->d, &err), &err);
    must(store_migrate(f->d, &err), &err); /* a second start finds nothing to do */
    f->a = snug_arena_new();
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    snug_arena_free(f->a);
    db_close(f->d);
    free(f);
    return 0;
}

static db_txn *begin(fixture *f)
{
    snug_err err = {0};
    db_txn  *tx;
    must(db_begin(f->d, DB_WRITE, &tx, &err), &err);
    return tx;
}

static void commit(db_txn *tx)
{
    snug_err err = {0};
    must(db_end(tx, true, &err), &err);
}

static int64_t add_user(db_txn *tx, const char *name)
{
    snug_err   err = {0};
    store_user u = {.name = snug_str(name),
                    .fullname = SNUG_LIT("Full"),
                    .email = SNUG_LIT("a@b"),
                    .password = SNUG_LIT("$argon2id$x"),
                    .is_admin = true,
                    .created_ms = 1234567890123};
    int64_t    id = 0;
    must(store_add_user(tx, &u, &id, &err), &err);
    return id;
}

static int64_t add_repo(db_txn *tx, int type, const char *ns, const char *name)
{
    snug_err err = {0};
    char     key[64];
    snprintf(key, sizeof key, "k%08llx", (unsigned long long)snug_random_u64());
    store_repo r = {.type = type,
                    .ns = snug_str(ns),
                    .name = snug_str(name),
                    .oid24 = SNUG_LIT("0123456789abcdef01234567"),
                    .git_key = snug_str(key),
                    .state = STORE_LIVE,
                    .creator_id = 1,
                    .created_ms = 1000};
    int64_t    id = 0;
    must(store_add_repo(tx, &r, &id, &err), &err);
    return id;
}

static void test_users(void **state)
{
    fixture   *f = *state;
    snug_err   err = {0};
    db_txn    *tx = begin(f);
    store_user u, dup = {.name = SNUG_LIT("ALICE")};
    bool       found;
    uint64_t   count;
    int64_t    id;

    assert_int_equal(add_user(tx, "Alice"), 1);
    assert_int_equal(add_user(tx, "bob"), 2);
    assert_int_equal(store_add_user(tx, &dup, &id, &err), SNUG_ECONFLICT);
    must(store_find_user(tx, f->a, SNUG_LIT("aLiCe"), &u, &found, &err), &err);
    assert_true(found);
    assert_int_equal(u.id, 1);
    assert_true(snug_eq_str(u.name, "Alice"));
    assert_true(u.is_admin);
    assert_int_equal(u.created_ms, 1234567890123);
    must(store_set_password(tx, 1, SNUG_LIT("new"), &err), &err);
    must(store_find_user(tx, f->a, SNUG_LIT("alice"), &u, &found, &err), &err);
    assert_true(snug_eq_str(u.password, "new"));
    must(store_find_user(tx, f->a, SNUG_LIT("carol"), &u, &found, &err), &err);
    assert_false(found);
    must(store_count_users(tx, &count, &err), &err);
    assert_int_equal(count, 2);
    commit(tx);
}

static void test_tokens(void **state)
{
    fixture    *f = *state;
    snug_err    err = {0};
    db_txn     *tx = begin(f);
    store_token t = {.name = SNUG_LIT("laptop"), .role = 2, .created_ms = 77}, got, *all;
    store_user  owner;
    int64_t     id;
    size_t      n;
    bool        found;

    t.user_id = add_user(tx, "alice");
    must(store_add_token(tx, &t, SNUG_LIT("aa"), &id, &err), &err);
    assert_int_equal(store_add_token(tx, &t, SNUG_LIT("bb"), &id, &err), SNUG_ECONFLICT);
    t.name = SNUG_LIT("ci");
    must(store_add_token(tx, &t, SNUG_LIT("cc"), &id, &err), &err);
    must(store_find_token(tx, f->a, SNUG_LIT("cc"), &got, &owner, &found, &err), &err);
    assert_true(found);
    assert_int_equal(got.id, id);
    assert_int_equal(got.role, 2);
    assert_int_equal(got.created_ms, 77);
    assert_true(snug_eq_str(owner.name, "alice"));
    must(store_touch_token(tx, id, 500, &err), &err);
    must(store_touch_token(tx, id, 400, &err), &err); /* never backwards */
    must(store_list_tokens(tx, f->a, t.user_id, &all, &n, &err), &err);
    assert_int_equal(n, 2);
    assert_true(snug_eq_str(all[0].name, "laptop"));
    assert_int_equal(all[1].last_used_ms, 500);
    must(store_delete_token(tx, t.user_id, SNUG_LIT("ci"), &found, &err), &err);
    assert_true(found);
    must(store_delete_token(tx, t.user_id, SNUG_LIT("ci"), &found, &err), &err);
    assert_false(found);
    must(store_find_token(tx, f->a, SNUG_LIT("cc"), &got, &owner, &found, &err), &err);
    assert_false(found);
    commit(tx);
}

static bool has(fixture *f, db_txn *tx, int type, const char *key, int64_t *id)
{
    snug_err   err = {0};
    store_repo r;
    bool       found;
    must(store_find_repo(tx, f->a, type, snug_str(key), &r, &found, &err), &err);
    if (found) *id = r.id;
    return found;
}

static int64_t redirect_of(fixture *f, db_txn *tx, int type, const char *key)
{
    snug_err   err = {0};
    store_repo r;
    bool       found;
    must(store_find_redirect(tx, f->a, type, snug_str(key), &r, &found, &err), &err);
    return found ? r.id : 0;
}

static void move(fixture *f, db_txn *tx, int64_t id, const char *ns, const char *name)
{
    snug_err   err = {0};
    store_repo r;
    bool       found;
    must(store_get_repo(tx, f->a, id, &r, &found, &err), &err);
    assert_true(found);
    must(store_move_repo(tx, &r, snug_str(ns), snug_str(name), &err), &err);
}

static void test_repos_and_redirects(void **state)
{
    fixture   *f = *state;
    snug_err   err = {0};
    db_txn    *tx = begin(f);
    int64_t    a = add_repo(tx, 0, "Alice", "Model"), id;
    store_repo r,
        dup = {.ns = SNUG_LIT("alice"), .name = SNUG_LIT("MODEL"), .git_key = SNUG_LIT("zz")};
    bool found, used;

    assert_int_equal(store_add_repo(tx, &dup, &id, &err), SNUG_ECONFLICT);
    int64_t d = add_repo(tx, 1, "Alice", "Model"); /* the same id once per type */
    assert_int_not_equal(a, d);
    must(store_get_repo(tx, f->a, a, &r, &found, &err), &err);
    assert_true(snug_eq_str(r.ns, "Alice") && snug_eq_str(r.name, "Model"));
    assert_true(snug_eq_str(r.tags_json, "[]"));
    assert_true(has(f, tx, 0, "alice/model", &id));
    assert_int_equal(id, a);

    move(f, tx, a, "Alice", "two");
    move(f, tx, a, "Alice", "three");
    assert_int_equal(redirect_of(f, tx, 0, "alice/model"), a); /* both in one step */
    assert_int_equal(redirect_of(f, tx, 0, "alice/two"), a);
    assert_int_equal(redirect_of(f, tx, 1, "alice/two"), 0);
    move(f, tx, a, "Alice", "Model"); /* back */
    assert_int_equal(redirect_of(f, tx, 0, "alice/model"), 0);
    assert_int_equal(redirect_of(f, tx, 0, "alice/three"), a);
    move(f, tx, a, "Alice", "MODEL"); /* only the case: no redirect to itself */
    assert_int_equal(redirect_of(f, tx, 0, "alice/model"), 0);

    int64_t b = add_repo(tx, 0, "Alice", "Three"); /* a new one takes an old id over */
    assert_int_equal(redirect_of(f, tx, 0, "alice/three"), 0);
    must(store_get_repo(tx, f->a, a, &r, &found, &err), &err);
    assert_int_equal(store_move_repo(tx, &r, SNUG_LIT("alice"), SNUG_LIT("three"), &err),
                     SNUG_ECONFLICT);
    must(store_namespace_used(tx, SNUG_LIT("ALICE"), &used, &err), &err);
    assert_true(used);

    must(store_mark_deleting(tx, b, SNUG_LIT("kb"), &err), &err);
    assert_false(has(f, tx, 0, "alice/three", &id)); /* free at once */
    int64_t c = add_repo(tx, 0, "alice", "three");
    must(store_delete_repo(tx, b, &err), &err);
    assert_true(c > b); /* ids are not used twice */
    must(store_get_repo(tx, f->a, b, &r, &found, &err), &err);
    assert_false(found);
    commit(tx);
}

static void test_links(void **state)
{
    fixture *f = *state;
    snug_err err = {0};
    db_txn  *tx = begin(f);
    int64_t  a = add_repo(tx, 0, "alice", "open"), b = add_repo(tx, 0, "alice", "shut");
    uint64_t size = 0;
    bool     yes;

    must(store_set_visibility(tx, b, 1, &err), &err);
    must(store_link_lfs(tx, a, SNUG_LIT("o1"), 5000000000, 1, &err), &err);
    must(store_link_lfs(tx, a, SNUG_LIT("o1"), 5000000000, 2, &err), &err); /* again is fine */
    must(store_link_lfs(tx, b, SNUG_LIT("o2"), 7, 1, &err), &err);
    must(store_has_lfs(tx, f->a, a, SNUG_LIT("o1"), &size, &yes, &err), &err);
    assert_true(yes);
    assert_int_equal(size, 5000000000);
    must(store_has_lfs(tx, f->a, a, SNUG_LIT("o2"), &size, &yes, &err), &err);
    assert_false(yes);
    struct {
        const char *oid;
        int         sees;
        const char *me;
        bool        yes;
    } cases[] = {
        {"o1", 0, "", true},      {"o2", 0, "", false}, {"o2", 1, "bob", false},
        {"o2", 1, "Alice", true}, {"o2", 2, "", true},  {"o3", 2, "", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        must(store_lfs_readable(tx, f->a, snug_str(cases[i].oid), cases[i].sees,
                                snug_str(cases[i].me), &yes, &err),
             &err);
        assert_int_equal(yes, cases[i].yes);
    }
    must(store_lfs_bytes(tx, f->a, a, &size, &err), &err);
    assert_int_equal(size, 5000000000);
    must(store_delete_repo(tx, a, &err), &err);
    must(store_lfs_readable(tx, f->a, SNUG_LIT("o1"), 2, SNUG_EMPTY, &yes, &err), &err);
    assert_false(yes);
    commit(tx);
}

static void test_downloads(void **state)
{
    fixture   *f = *state;
    snug_err   err = {0};
    db_txn    *tx = begin(f);
    int64_t    a = add_repo(tx, 0, "alice", "x");
    store_repo r;
    bool       found, rolled;

    must(store_roll_downloads(tx, 20000, &rolled, &err), &err);
    assert_true(rolled);
    must(store_add_downloads(tx, a, 20000, 3, &err), &err);
    must(store_add_downloads(tx, a, 20000, 2, &err), &err);
    must(store_add_downloads(tx, a + 9, 20000, 2, &err), &err); /* no such row: dropped */
    must(store_roll_downloads(tx, 20000, &rolled, &err), &err);
    assert_false(rolled);
    must(store_add_downloads(tx, a, 20006, 10, &err), &err);
    struct {
        int64_t day, month, week;
    } cases[] = {{20006, 15, 15}, {20007, 15, 10}, {20013, 15, 0}, {20030, 10, 0}, {20036, 0, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        must(store_roll_downloads(tx, cases[i].day, &rolled, &err), &err);
        assert_true(rolled);
        must(store_get_repo(tx, f->a, a, &r, &found, &err), &err);
        assert_int_equal(r.downloads, cases[i].month);
        assert_int_equal(r.trending, cases[i].week);
        assert_int_equal(r.downloads_all, 15);
    }
    commit(tx);
}

static void test_secret(void **state)
{
    fixture   *f = *state;
    snug_err   err = {0};
    snug_slice got;
    db_txn    *tx = begin(f);
    must(store_keep_secret(tx, f->a, "sign", SNUG_LIT("first"), &got, &err), &err);
    assert_true(snug_eq_str(got, "first"));
    must(store_keep_secret(tx, f->a, "sign", SNUG_LIT("second"), &got, &err), &err);
    assert_true(snug_eq_str(got, "first"));
    commit(tx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_users, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tokens, setup, teardown),
        cmocka_unit_test_setup_teardown(test_repos_and_redirects, setup, teardown),
        cmocka_unit_test_setup_teardown(test_links, setup, teardown),
        cmocka_unit_test_setup_teardown(test_downloads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_secret, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
