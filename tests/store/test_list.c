/* SPDX-License-Identifier: Apache-2.0 */
/* tests/store/test_list.c - pages in every order, filters, and paging while rows change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>

#include "store/store.h"

enum { REPOS = 60 };

typedef struct fixture {
    db         *d;
    snug_arena *a;
    int64_t     id[REPOS];
} fixture;

static void must(snug_status st, const snug_err *err)
{
    if (st != SNUG_OK) fail_msg("%s: %s (%s)", snug_status_name(st), err->msg, err->cause);
}

/* Repository i: created at 1000 + i / 3, so that triples tie; downloads i % 7; owner by i % 3;
 * every fourth private, every fourth internal; tags "all", "even"/"odd", "mod5:<i % 5>". */
static void add(fixture *f, db_txn *tx, int i)
{
    static const char *const owners[] = {"alice", "Bob", "carol"};
    snug_err                 err = {0};
    char                     name[16], key[16], mod[16];
    snprintf(name, sizeof name, "Repo_%02d", (i * 37) % REPOS);
    snprintf(key, sizeof key, "key%05d", i);
    snprintf(mod, sizeof mod, "Mod5:%d", i % 5);
    store_repo r = {.type = 0,
                    .ns = snug_str(owners[i % 3]),
                    .name = snug_str(name),
                    .oid24 = SNUG_LIT("0123456789abcdef01234567"),
                    .git_key = snug_str(key),
                    .state = STORE_LIVE,
                    .visibility = i % 4 == 1   ? 1
                                  : i % 4 == 2 ? 2
                                               : 0,
                    .created_ms = 1000 + i / 3};
    must(store_add_repo(tx, &r, &f->id[i], &err), &err);
    r.id = f->id[i];
    r.modified_ms = 5000 - i;
    r.tags_json = SNUG_LIT("[]");
    snug_slice tags[] = {SNUG_LIT("all"), i % 2 ? SNUG_LIT("odd") : SNUG_LIT("even"),
                         snug_str(mod)};
    must(store_set_content(tx, &r, tags, 3, NULL, &err), &err);
    if (i % 7 > 0) must(store_add_downloads(tx, r.id, 20000, (uint64_t)(i % 7), &err), &err);
}

static int setup(void **state)
{
    fixture *f = snug_zalloc(sizeof *f);
    snug_err err = {0};
    db_txn  *tx;
    must(db_open(SNUG_LIT("sqlite::memory:"), &f->d, &err), &err);
    must(store_migrate(f->d, &err), &err);
    f->a = snug_arena_new();
    must(db_begin(f->d, DB_WRITE, &tx, &err), &err);
    for (int i = 0; i < REPOS; i++) add(f, tx, i);
    must(db_end(tx, true, &err), &err);
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

/* One page; moves the query behind it. */
static size_t page(fixture *f, store_list *q, store_repo **rows, bool *more)
{
    snug_err err = {0};
    db_txn  *tx;
    size_t   n;
    must(db_begin(f->d, DB_READ, &tx, &err), &err);
    must(store_list_repos(tx, f->a, q, rows, &n, more, &err), &err);
    db_rollback(tx);
    if (n > 0) {
        const store_repo *last = &(*rows)[n - 1];
        q->has_after = true;
        q->after_value = store_sort_value(q->sort, last);
        q->after_id = last->id;
        q->after_key = store_repo_key(f->a, last->ns, last->name);
    }
    return n;
}

static size_t count_all(fixture *f, store_list q)
{
    size_t n = 0;
    bool   more = true;
    while (more) {
        store_repo *rows;
        n += page(f, &q, &rows, &more);
    }
    return n;
}

static void test_every_order(void **state)
{
    fixture *f = *state;
    for (int sort = STORE_BY_CREATED; sort <= STORE_BY_ID; sort++) {
        for (size_t limit = 1; limit <= 61; limit += 6) {
            store_list q = {.sees = 2, .sort = (store_sort)sort, .limit = limit};
            bool       seen[REPOS + 1] = {false}, more = true;
            store_repo last = {0};
            size_t     total = 0;
            while (more) {
                store_repo *rows;
                size_t      n = page(f, &q, &rows, &more);
                assert_true(n == limit || !more);
                for (size_t i = 0; i < n; i++, total++) {
                    assert_false(seen[rows[i].id]);
                    seen[rows[i].id] = true;
                    if (total > 0) {
                        int64_t was = store_sort_value(q.sort, &last),
                                is = store_sort_value(q.sort, &rows[i]);
                        assert_true(was > is ||
                                    (was == is && (sort == STORE_BY_ID || last.id > rows[i].id)));
                        if (sort == STORE_BY_ID)
                            assert_true(snug_cmp(store_repo_key(f->a, last.ns, last.name),
                                                 store_repo_key(f->a, rows[i].ns, rows[i].name)) >
                                        0);
                    }
                    last = rows[i];
                }
            }
            assert_int_equal(total, REPOS);
        }
    }
}

static void test_filters(void **state)
{
    fixture   *f = *state;
    snug_slice even[] = {SNUG_LIT("ALL"), SNUG_LIT("even"), SNUG_LIT("even")};
    snug_slice both[] = {SNUG_LIT("even"), SNUG_LIT("odd")};
    snug_slice one[] = {SNUG_LIT("mod5:3"), SNUG_LIT("odd")};
    struct {
        store_list q;
        size_t     want;
    } cases[] = {
        {{.sees = 2}, 60},
        {{.sees = 0}, 30},
        {{.sees = 1}, 45},
        {{.sees = 1, .me = SNUG_LIT("ALICE")}, 50}, /* and alice's five private ones */
        {{.sees = 2, .author = SNUG_LIT("bob")}, 20},
        {{.sees = 2, .author = SNUG_LIT("nobody")}, 0},
        {{.sees = 2, .search = SNUG_LIT("repo_1")}, 10},
        {{.sees = 2, .search = SNUG_LIT("BOB/REPO_")}, 20},
        {{.sees = 2, .search = SNUG_LIT("%")}, 0}, /* taken literally */
        {{.sees = 2, .search = SNUG_LIT("repo!1")}, 0},
        {{.sees = 2, .filters = even, .filter_count = 3}, 30},
        {{.sees = 2, .filters = both, .filter_count = 2}, 0},
        {{.sees = 2, .filters = one, .filter_count = 2}, 6},
        {{.sees = 2, .filters = even, .filter_count = 1, .author = SNUG_LIT("carol")}, 20},
        {{.sees = 2, .type = 1}, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int sort = STORE_BY_CREATED; sort <= STORE_BY_ID; sort++) {
            cases[i].q.sort = (store_sort)sort;
            cases[i].q.limit = 7;
            assert_int_equal(count_all(f, cases[i].q), cases[i].want);
        }
    }
}

/* Rows jump about between the pages; those that stand still come exactly once. */
static void test_rows_change(void **state)
{
    fixture   *f = *state;
    snug_err   err = {0};
    store_list q = {.sees = 2, .sort = STORE_BY_DOWNLOADS, .limit = 5};
    int        seen[REPOS + 1] = {0};
    bool       more = true;

    for (int round = 0; more; round++) {
        store_repo *rows;
        db_txn     *tx;
        size_t      n = page(f, &q, &rows, &more);
        for (size_t i = 0; i < n; i++) seen[rows[i].id]++;
        must(db_begin(f->d, DB_WRITE, &tx, &err), &err);
        must(store_add_downloads(tx, f->id[round % 10], 20000, 100, &err), &err);
        must(store_mark_deleting(tx, f->id[10 + round % 10], SNUG_LIT("x"), &err), &err);
        must(store_delete_repo(tx, f->id[10 + round % 10], &err), &err);
        must(db_end(tx, true, &err), &err);
    }
    for (int i = 20; i < REPOS; i++) assert_int_equal(seen[f->id[i]], 1);
    for (int i = 0; i < 20; i++) assert_true(seen[f->id[i]] <= 1 || i < 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_filters, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rows_change, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
