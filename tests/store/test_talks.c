/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of discussions against a model that keeps all of them in an array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>

#include "store/store.h"

enum { TALKS = 900, REPO = 7 };

#define must(call)                                                                                 \
    do {                                                                                           \
        snug_status st_ = (call);                                                                  \
        if (st_ != SNUG_OK) fail_msg("%s: %s (%s)", #call, err.msg, err.cause);                    \
    } while (0)

static store_discussion model[TALKS + 1]; /* by number; id 0: gone */
static const char      *names[] = {"Ada", "bob", "", "carol"};

static bool fits(const store_discussion *d, const store_talk_query *q)
{
    bool open = d->status == STORE_TALK_OPEN || d->status == STORE_TALK_DRAFT;
    if (d->id == 0 || d->status == STORE_TALK_MAKING) return false;
    if (q->kind >= 0 && d->is_pull != (q->kind == 1)) return false;
    if (q->status != STORE_TALKS_ALL && open != (q->status == STORE_TALKS_OPEN)) return false;
    return q->author.len == 0 || snug_eq_nocase(d->author, q->author);
}

static void check(db *d, store_talk_query q)
{
    snug_err          err = {0};
    snug_arena       *a = snug_arena_new();
    db_txn           *tx;
    store_discussion *list;
    size_t            count, seen = 0, at = 0;
    uint64_t          total;

    must(db_begin(d, DB_READ, &tx, &err));
    must(store_list_discussions(tx, a, &q, &list, &count, &total, &err));
    for (size_t num = TALKS; num > 0; num--) {
        if (!fits(&model[num], &q)) continue;
        if (seen >= q.skip && at < q.limit) {
            assert_true(at < count);
            assert_int_equal(list[at++].num, num);
        }
        seen++;
    }
    assert_int_equal(at, count);
    assert_int_equal(seen, total);
    db_rollback(tx);
    snug_arena_free(a);
}

static void check_all(db *d)
{
    const uint64_t skips[] = {0, 1, 50, 63, 64, 65, 400, 899, 5000};
    for (int kind = -1; kind < 2; kind++)
        for (int status = 0; status < 3; status++)
            for (size_t n = 0; n < 4; n++)
                for (size_t s = 0; s < sizeof skips / sizeof skips[0]; s++)
                    check(d, (store_talk_query){.repo = REPO,
                                                .kind = kind,
                                                .status = (store_talk_filter)status,
                                                .author = snug_str(n == 0 ? "ADA" : names[n]),
                                                .skip = skips[s],
                                                .limit = s % 2 == 0 ? 50 : 3});
}

static void test_pages(void **state)
{
    snug_err err = {0};
    db      *d;
    db_txn  *tx;
    uint64_t r = 1;
    (void)state;

    must(db_open(SNUG_LIT("sqlite::memory:"), &d, &err));
    must(store_migrate(d, &err));
    must(db_begin(d, DB_WRITE, &tx, &err));
    for (size_t i = 1; i <= TALKS; i++) {
        store_discussion t = {.repo_id = REPO,
                              .is_pull = i % 3 == 0,
                              .status = (store_talk)(i % 5),
                              .author = snug_str(names[i % 4]),
                              .title = SNUG_LIT("t")};
        must(store_add_discussion(tx, &t, &t.id, &t.num, &err));
        assert_int_equal(t.num, i);
        model[i] = t;
    }
    store_discussion other = {.repo_id = REPO + 1, .status = STORE_TALK_OPEN};
    must(store_add_discussion(tx, &other, &other.id, &other.num, &err));
    must(db_end(tx, true, &err));
    check_all(d);
    must(db_begin(d, DB_WRITE, &tx, &err));
    for (int i = 0; i < 600; i++) {
        r = r * 6364136223846793005u + 1442695040888963407u;
        store_discussion *t = &model[1 + (r >> 33) % TALKS];
        if (t->id == 0) continue;
        if (i % 4 == 0) {
            must(store_drop_discussion(tx, t->id, &err));
            t->id = 0;
        } else {
            t->status = (store_talk)(1 + (r >> 50) % 4);
            must(store_set_discussion(tx, t, &err));
        }
    }
    must(db_end(tx, true, &err));
    check_all(d);
    db_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pages)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
