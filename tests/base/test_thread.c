/* SPDX-License-Identifier: Apache-2.0 */
/* tests/base/test_thread.c - locks, waiting, the bounded pool and the team; clean under TSan. */
#include <time.h>

#include "check.h"

/* ---- mutex and condition ---- */

typedef struct counter {
    snug_mutex m; /* guards n and turn; rank 10 */
    snug_cond  c;
    unsigned   n, turn;
} counter;

static void counter_init(counter *c)
{
    snug_mutex_init(&c->m, "counter", 10);
    snug_cond_init(&c->c);
    c->n = c->turn = 0;
}

static void counter_deinit(counter *c)
{
    snug_cond_deinit(&c->c);
    snug_mutex_deinit(&c->m);
}

static void count_up(void *arg)
{
    counter *c = arg;
    for (int i = 0; i < 20000; i++) {
        snug_lock(&c->m);
        c->n++;
        snug_unlock(&c->m);
    }
}

static void test_mutex(void **state)
{
    (void)state;
    counter      c;
    snug_thread *t[4];
    counter_init(&c);
    for (int i = 0; i < 4; i++) t[i] = snug_thread_start("count", 0, count_up, &c);
    for (int i = 0; i < 4; i++) snug_thread_join(t[i]);
    assert_int_equal(c.n, 80000);
    counter_deinit(&c);
    snug_thread_join(NULL);
}

static void odd_turns(void *arg)
{
    counter *c = arg;
    snug_lock(&c->m);
    for (int i = 0; i < 500; i++) {
        while (c->turn % 2 == 0) snug_cond_wait(&c->c, &c->m);
        c->turn++;
        snug_cond_signal(&c->c);
    }
    snug_unlock(&c->m);
}

static void test_cond(void **state)
{
    (void)state;
    counter c;
    counter_init(&c);
    snug_thread *t = snug_thread_start("odd", 0, odd_turns, &c);
    snug_lock(&c.m);
    for (int i = 0; i < 500; i++) {
        while (c.turn % 2 == 1) snug_cond_wait(&c.c, &c.m);
        c.turn++;
        snug_cond_signal(&c.c);
    }
    snug_unlock(&c.m);
    snug_thread_join(t);
    assert_int_equal(c.turn, 1000);
    counter_deinit(&c);
}

static void test_timeout(void **state)
{
    (void)state;
    counter c;
    counter_init(&c);
    snug_lock(&c.m);
    uint64_t from = snug_mono_ms();
    while (snug_cond_wait_ms(&c.c, &c.m, 60)) {
    } /* a wake without reason starts again */
    uint64_t took = snug_mono_ms() - from;
    assert_true(took >= 59 && took < 10000);
    assert_false(snug_cond_wait_ms(&c.c, &c.m, 0));
    snug_unlock(&c.m);
    counter_deinit(&c);
}

static void wake(void *arg)
{
    counter *c = arg;
    (void)nanosleep(&(struct timespec){0, 5000000}, NULL);
    snug_lock(&c->m);
    c->n = 1;
    snug_cond_broadcast(&c->c);
    snug_unlock(&c->m);
}

static void test_woken_in_time(void **state)
{
    (void)state;
    counter c;
    counter_init(&c);
    snug_lock(&c.m);
    snug_thread *t = snug_thread_start("wake", 0, wake, &c);
    bool         in_time = true;
    while (c.n == 0 && in_time) in_time = snug_cond_wait_ms(&c.c, &c.m, 60000);
    assert_true(in_time && c.n == 1);
    snug_unlock(&c.m);
    snug_thread_join(t);
    counter_deinit(&c);
}

#if defined(SNUG_DEBUG_LOCKS) && SNUG_DEBUG_LOCKS
static void lock_downwards(void)
{
    snug_mutex low, high;
    snug_mutex_init(&low, "low", 1);
    snug_mutex_init(&high, "high", 2);
    snug_lock(&high);
    snug_lock(&low);
}

static void lock_same_rank(void)
{
    snug_mutex a, b;
    snug_mutex_init(&a, "a", 5);
    snug_mutex_init(&b, "b", 5);
    snug_lock(&a);
    snug_lock(&b);
}

static void unlock_unheld(void)
{
    snug_mutex a;
    snug_mutex_init(&a, "a", 5);
    snug_unlock(&a);
}

static void test_ranks(void **state)
{
    (void)state;
    assert_aborts(lock_downwards);
    assert_aborts(lock_same_rank);
    assert_aborts(unlock_unheld);
    snug_mutex low, high;
    snug_mutex_init(&low, "low", 1);
    snug_mutex_init(&high, "high", 2);
    for (int i = 0; i < 2; i++) { /* rising is fine, whichever is let go first */
        snug_lock(&low);
        snug_lock(&high);
        snug_unlock(i == 0 ? &low : &high);
        snug_unlock(i == 0 ? &high : &low);
    }
    snug_mutex_deinit(&low);
    snug_mutex_deinit(&high);
}
#endif

/* ---- pool ---- */

typedef struct gate {
    snug_mutex m; /* guards open and inside; rank 20 */
    snug_cond  c;
    bool       open;
    unsigned   inside, peak, done;
} gate;

static void gate_init(gate *g)
{
    memset(g, 0, sizeof *g);
    snug_mutex_init(&g->m, "gate", 20);
    snug_cond_init(&g->c);
}

static void gate_deinit(gate *g)
{
    snug_cond_deinit(&g->c);
    snug_mutex_deinit(&g->m);
}

/* Stays until the gate opens. */
static void pass_gate(void *arg)
{
    gate *g = arg;
    snug_lock(&g->m);
    g->inside++;
    if (g->inside > g->peak) g->peak = g->inside;
    snug_cond_broadcast(&g->c);
    while (!g->open) snug_cond_wait(&g->c, &g->m);
    g->inside--;
    g->done++;
    snug_unlock(&g->m);
}

static void open_gate(gate *g)
{
    snug_lock(&g->m);
    g->open = true;
    snug_cond_broadcast(&g->c);
    snug_unlock(&g->m);
}

static void wait_inside(gate *g, unsigned n)
{
    snug_lock(&g->m);
    while (g->inside < n) snug_cond_wait(&g->c, &g->m);
    snug_unlock(&g->m);
}

static void test_pool_bounded(void **state)
{
    (void)state;
    gate g;
    gate_init(&g);
    snug_pool *p = snug_pool_new("pool", 3, 5);
    for (int i = 0; i < 3; i++) assert_true(snug_pool_submit(p, pass_gate, &g));
    wait_inside(&g, 3); /* every thread is busy, nothing is queued */
    assert_int_equal(snug_pool_waiting(p), 0);
    for (int i = 0; i < 5; i++) assert_true(snug_pool_submit(p, pass_gate, &g));
    for (int i = 0; i < 10; i++) assert_false(snug_pool_submit(p, pass_gate, &g));
    assert_int_equal(snug_pool_waiting(p), 5);
    open_gate(&g);
    snug_pool_drain(p);
    assert_int_equal(g.done, 8);
    assert_int_equal(g.peak, 3); /* never more than the pool has threads */
    assert_int_equal(snug_pool_waiting(p), 0);
    assert_true(snug_pool_submit(p, pass_gate, &g)); /* and it works on */
    snug_pool_free(p);
    assert_int_equal(g.done, 9);
    gate_deinit(&g);
    snug_pool_free(NULL);
}

static void add_one(void *arg) { atomic_fetch_add((atomic_uint *)arg, 1u); }

/* Free runs what is queued. */
static void test_pool_free_runs(void **state)
{
    (void)state;
    for (int round = 0; round < 50; round++) {
        atomic_uint n = 0;
        snug_pool  *p = snug_pool_new("pool", 2, 100);
        for (int i = 0; i < 100; i++) assert_true(snug_pool_submit(p, add_one, &n));
        snug_pool_free(p);
        assert_int_equal(atomic_load(&n), 100);
    }
}

typedef struct submitter {
    snug_pool   *p;
    atomic_uint *n;
    unsigned     accepted;
} submitter;

static void submit_many(void *arg)
{
    submitter *s = arg;
    for (int i = 0; i < 2000; i++) s->accepted += snug_pool_submit(s->p, add_one, s->n);
}

/* Jobs from several threads: each accepted one runs once, each refused one never. */
static void test_pool_many(void **state)
{
    (void)state;
    atomic_uint  n = 0;
    snug_pool   *p = snug_pool_new("pool", 4, 16);
    submitter    s[3];
    snug_thread *t[3];
    for (int i = 0; i < 3; i++) {
        s[i] = (submitter){p, &n, 0};
        t[i] = snug_thread_start("submit", 0, submit_many, &s[i]);
    }
    unsigned accepted = 0;
    for (int i = 0; i < 3; i++) {
        snug_thread_join(t[i]);
        accepted += s[i].accepted;
    }
    snug_pool_drain(p);
    assert_true(accepted > 0);
    assert_int_equal(atomic_load(&n), accepted);
    snug_pool_free(p);
}

/* ---- team ---- */

enum { RANGE = 10007 };

typedef struct marks {
    unsigned char hit[RANGE]; /* not atomic: two workers on one index would be a race */
    size_t        n, grain;
    unsigned      workers;
    atomic_uint   wrong;
} marks;

static void mark(void *arg, size_t from, size_t to, unsigned worker)
{
    marks *m = arg;
    if (from >= to || to > m->n || worker >= m->workers) atomic_fetch_add(&m->wrong, 1u);
    for (size_t i = from; i < to; i++) m->hit[i]++;
}

static void check_range(snug_team *t, size_t n, size_t grain)
{
    static marks m;
    memset(&m, 0, sizeof m);
    m.n = n;
    m.grain = grain;
    m.workers = snug_team_size(t);
    snug_team_run(t, n, grain, mark, &m);
    assert_int_equal(atomic_load(&m.wrong), 0);
    for (size_t i = 0; i < RANGE; i++) assert_int_equal(m.hit[i], i < n ? 1 : 0);
}

static void test_team_covers(void **state)
{
    (void)state;
    static const unsigned sizes[] = {1, 2, 3, 8};
    static const size_t   ns[] = {0, 1, 2, 63, 64, 65, 1000, RANGE};
    static const size_t   grains[] = {0, 1, 7, 64, 5000, 100000};
    for (size_t s = 0; s < 4; s++) {
        snug_team *t = snug_team_new(sizes[s]);
        assert_int_equal(snug_team_size(t), sizes[s]);
        for (size_t i = 0; i < sizeof ns / sizeof ns[0]; i++) {
            for (size_t g = 0; g < sizeof grains / sizeof grains[0]; g++)
                check_range(t, ns[i], grains[g]);
        }
        snug_team_free(t);
    }
    snug_team_free(NULL);
}

/* Many short rounds, as a forward pass makes them. */
static void test_team_rounds(void **state)
{
    (void)state;
    snug_team *t = snug_team_new(4);
    for (int i = 0; i < 3000; i++) check_range(t, 100, 9);
    snug_team_free(t);
    t = snug_team_new(0);
    assert_int_equal(snug_team_size(t), snug_cpu_count());
    assert_true(snug_cpu_count() >= 1);
    snug_team_free(t); /* never used */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mutex),
        cmocka_unit_test(test_cond),
        cmocka_unit_test(test_timeout),
        cmocka_unit_test(test_woken_in_time),
#if defined(SNUG_DEBUG_LOCKS) && SNUG_DEBUG_LOCKS
        cmocka_unit_test(test_ranks),
#endif
        cmocka_unit_test(test_pool_bounded),
        cmocka_unit_test(test_pool_free_runs),
        cmocka_unit_test(test_pool_many),
        cmocka_unit_test(test_team_covers),
        cmocka_unit_test(test_team_rounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
