/* SPDX-License-Identifier: Apache-2.0 */
/* tests/remote/test_pace.c - how many requests at once, with a clock of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "remote/remote_int.h"

/* A link that carries `each` bytes a millisecond for a request, and `most` in all. */
typedef struct link {
    remote_pace p;
    atomic_bool stop;
    uint64_t    now, each, most;
    unsigned    busy, high;
} link_;

static void begin(link_ *l, unsigned limit, uint64_t each, uint64_t most)
{
    memset(l, 0, sizeof *l);
    remote_pace_init(&l->p, limit);
    l->now = 1000;
    l->each = each;
    l->most = most;
}

/* Everybody who may enters; then time passes. */
static void run_for(link_ *l, uint64_t ms)
{
    for (uint64_t end = l->now + ms; l->now < end; l->now += 50) {
        while (l->busy < remote_pace_limit(&l->p)) {
            assert_true(remote_pace_enter(&l->p, &l->stop));
            l->busy++;
        }
        while (l->busy > remote_pace_limit(&l->p)) {
            remote_pace_leave(&l->p);
            l->busy--;
        }
        uint64_t rate = l->busy * l->each;
        remote_pace_moved_at(&l->p, l->now, 50 * (rate < l->most ? rate : l->most));
        if (l->busy > l->high) l->high = l->busy;
    }
}

static void end(link_ *l)
{
    while (l->busy-- > 0) remote_pace_leave(&l->p);
    remote_pace_deinit(&l->p);
}

static void starts_with_one(void **state)
{
    (void)state;
    link_ l;
    begin(&l, 16, 1000, 1000000);
    assert_int_equal(remote_pace_limit(&l.p), 1);
    run_for(&l, 300);
    assert_int_equal(l.high, 1);
    end(&l);
}

static void grows_while_it_helps(void **state)
{
    (void)state;
    link_ l;
    begin(&l, 16, 1000, 1000000); /* every request brings its own share */
    run_for(&l, 6000);
    assert_int_equal(remote_pace_limit(&l.p), 16);
    end(&l);
    begin(&l, 16, 1000, 1000); /* one fills the link */
    run_for(&l, 30000);
    assert_in_range(remote_pace_limit(&l.p), 1, 3);
    assert_in_range(l.high, 2, 3); /* it was tried */
    end(&l);
    begin(&l, 16, 1000, 4000); /* four do */
    run_for(&l, 30000);
    assert_in_range(remote_pace_limit(&l.p), 3, 6);
    end(&l);
}

static void halves_when_hurt(void **state)
{
    (void)state;
    link_ l;
    begin(&l, 16, 1000, 1000000);
    run_for(&l, 6000);
    remote_pace_hurt_at(&l.p, l.now);
    assert_int_equal(remote_pace_limit(&l.p), 8);
    for (int i = 0; i < 8; i++) remote_pace_hurt_at(&l.p, l.now + 10); /* the same event */
    assert_int_equal(remote_pace_limit(&l.p), 8);
    remote_pace_hurt_at(&l.p, l.now + 1500);
    assert_int_equal(remote_pace_limit(&l.p), 4);
    for (uint64_t i = 1; i < 5; i++) remote_pace_hurt_at(&l.p, l.now + 1500 + 1500 * i);
    assert_int_equal(remote_pace_limit(&l.p), 1);
    l.now += 8000;
    run_for(&l, 1500); /* not at once */
    assert_in_range(remote_pace_limit(&l.p), 1, 2);
    run_for(&l, 20000);
    assert_int_equal(remote_pace_limit(&l.p), 16);
    end(&l);
}

static void idle_time_says_nothing(void **state)
{
    (void)state;
    link_ l;
    begin(&l, 16, 1000, 1000000);
    for (int i = 0; i < 100; i++) remote_pace_moved_at(&l.p, l.now += 100, 5000);
    assert_int_equal(remote_pace_limit(&l.p), 1); /* nobody was inside */
    atomic_store(&l.stop, true);
    assert_false(remote_pace_enter(&l.p, &l.stop));
    end(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_with_one),
        cmocka_unit_test(grows_while_it_helps),
        cmocka_unit_test(halves_when_hurt),
        cmocka_unit_test(idle_time_says_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
