/* SPDX-License-Identifier: Apache-2.0 */
/* tests/jobs/test_jobs.c - jobs run, are tried again, give up, survive a stop, never run twice at
 * once, and periodic ones come back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <unistd.h>

#include "jobs/jobs.h"
#include "store/store.h"

typedef struct bench {
    db         *d;
    atomic_int  good, bad, slow, slow_max, slow_now, stopped, ticks;
    atomic_bool let_pass;
    int64_t     sum;
    snug_mutex  lock;
} bench;

static void must(snug_status st, const snug_err *err)
{
    if (st != SNUG_OK) fail_msg("%s: %s (%s)", snug_status_name(st), err->msg, err->cause);
}

static snug_status run_good(jobs_ctx *c, snug_json args, snug_err *err)
{
    bench  *b = jobs_app(c);
    int64_t n = snug_json_i64_or(args, "n", 0);
    (void)err;
    snug_lock(&b->lock);
    b->sum += n;
    snug_unlock(&b->lock);
    atomic_fetch_add(&b->good, 1);
    return SNUG_OK;
}

static snug_status run_bad(jobs_ctx *c, snug_json args, snug_err *err)
{
    bench *b = jobs_app(c);
    (void)args;
    atomic_fetch_add(&b->bad, 1);
    if (atomic_load(&b->let_pass)) return SNUG_OK;
    jobs_retry_after(c, 1);
    return snug_fail(err, SNUG_EIO, "the disk is away");
}

static snug_status run_slow(jobs_ctx *c, snug_json args, snug_err *err)
{
    bench *b = jobs_app(c);
    int    now = atomic_fetch_add(&b->slow_now, 1) + 1;
    (void)args;
    if (now > atomic_load(&b->slow_max)) atomic_store(&b->slow_max, now);
    atomic_fetch_add(&b->slow, 1);
    for (int i = 0; i < 30 && !jobs_stopping(c); i++) usleep(1000);
    atomic_fetch_sub(&b->slow_now, 1);
    if (!jobs_stopping(c)) return SNUG_OK;
    atomic_fetch_add(&b->stopped, 1);
    return snug_fail(err, SNUG_EBUSY, "stopping");
}

static snug_status run_endless(jobs_ctx *c, snug_json args, snug_err *err)
{
    bench *b = jobs_app(c);
    (void)args;
    atomic_fetch_add(&b->slow, 1);
    while (!jobs_stopping(c)) usleep(1000);
    atomic_fetch_add(&b->stopped, 1);
    return snug_fail(err, SNUG_EBUSY, "stopping");
}

static snug_status run_tick(jobs_ctx *c, snug_json args, snug_err *err)
{
    bench *b = jobs_app(c);
    (void)args;
    (void)err;
    atomic_fetch_add(&b->ticks, 1);
    return SNUG_OK;
}

static const jobs_kind kinds[] = {
    {.name = "good", .attempts_max = 1, .run = run_good},
    {.name = "bad", .attempts_max = 3, .run = run_bad},
    {.name = "slow", .attempts_max = 1, .parallel_max = 1, .run = run_slow},
    {.name = "endless", .attempts_max = 1, .run = run_endless},
    {.name = "timed", .attempts_max = 1, .timeout_s = 1, .run = run_endless},
    {.name = "tick", .every_s = 1, .run = run_tick},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static int setup(void **state)
{
    bench   *b = snug_zalloc(sizeof *b);
    snug_err err = {0};
    must(db_open(SNUG_LIT("sqlite::memory:"), &b->d, &err), &err);
    must(store_migrate(b->d, &err), &err);
    snug_mutex_init(&b->lock, "bench", 90);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    bench *b = *state;
    db_close(b->d);
    snug_mutex_deinit(&b->lock);
    free(b);
    return 0;
}

static void add(bench *b, const char *kind, const char *key, const char *args)
{
    snug_err err = {0};
    db_txn  *tx;
    must(db_begin(b->d, DB_WRITE, &tx, &err), &err);
    must(store_add_job(tx, kind, snug_str(key), snug_str(args), 0, &err), &err);
    must(db_end(tx, true, &err), &err);
}

static jobs *start(bench *b, size_t n, unsigned threads)
{
    jobs_opts o = {.db = b->d, .kinds = kinds, .kind_count = n, .app = b, .threads = threads};
    jobs     *j = NULL;
    snug_err  err = {0};
    o.alone = true;
    must(jobs_open(&o, &j, &err), &err);
    return j;
}

static size_t count_in(bench *b, int state, store_job *first)
{
    snug_err    err = {0};
    snug_arena *a = snug_arena_new();
    db_txn     *tx;
    store_job  *list;
    size_t      n;
    must(db_begin(b->d, DB_READ, &tx, &err), &err);
    must(store_list_jobs(tx, a, state, 0, 1000, &list, &n, &err), &err);
    db_rollback(tx);
    if (n > 0 && first != NULL) {
        *first = list[0];
        first->error = first->args = first->kind = first->key = SNUG_EMPTY;
    }
    snug_arena_free(a);
    return n;
}

static void wait_for(atomic_int *what, int n)
{
    for (int i = 0; i < 10000 && atomic_load(what) < n; i++) usleep(1000);
    assert_true(atomic_load(what) >= n);
}

static void wait_state(bench *b, int state, size_t n)
{
    for (int i = 0; i < 5000 && count_in(b, state, NULL) < n; i++) usleep(2000);
    assert_int_equal(count_in(b, state, NULL), n);
}

static void test_runs_each_once(void **state)
{
    bench *b = *state;
    jobs  *j = start(b, 1, 4);
    for (int i = 1; i <= 100; i++) {
        char args[32];
        (void)snprintf(args, sizeof args, "{\"n\":%d}", i);
        add(b, "good", "", args);
    }
    jobs_wake(j);
    wait_state(b, STORE_JOB_DONE, 100);
    jobs_close(j);
    assert_int_equal(atomic_load(&b->good), 100);
    assert_int_equal(b->sum, 5050);
}

static void test_one_waits_for_a_key(void **state)
{
    bench *b = *state;
    for (int i = 0; i < 10; i++) add(b, "good", "same", "{\"n\":1}");
    add(b, "good", "other", "{\"n\":10}");
    assert_int_equal(count_in(b, STORE_JOB_WAITING, NULL), 2);
    jobs *j = start(b, 1, 2);
    wait_state(b, STORE_JOB_DONE, 2);
    add(b, "good", "same", "{\"n\":100}"); /* the first ran: this is new work */
    jobs_wake(j);
    wait_state(b, STORE_JOB_DONE, 3);
    jobs_close(j);
    assert_int_equal(b->sum, 111);
}

static void test_gives_up_and_is_retried(void **state)
{
    bench    *b = *state;
    snug_err  err = {0};
    store_job job;
    db_txn   *tx;
    bool      found;
    jobs     *j = start(b, 2, 2);
    add(b, "bad", "", "{}");
    jobs_wake(j);
    wait_state(b, STORE_JOB_FAILED, 1);
    assert_int_equal(atomic_load(&b->bad), 3);
    assert_int_equal(count_in(b, STORE_JOB_FAILED, &job), 1);
    assert_int_equal(job.attempts, 3);
    atomic_store(&b->let_pass, true);
    must(db_begin(b->d, DB_WRITE, &tx, &err), &err);
    must(store_retry_job(tx, job.id, 0, &found, &err), &err);
    assert_true(found);
    must(store_retry_job(tx, job.id, 0, &found, &err), &err);
    assert_false(found); /* it waits already */
    must(db_end(tx, true, &err), &err);
    jobs_wake(j);
    wait_state(b, STORE_JOB_DONE, 1);
    jobs_close(j);
    assert_int_equal(atomic_load(&b->bad), 4);
}

static void test_bad_arguments_fail(void **state)
{
    bench *b = *state;
    add(b, "good", "", "{\"n\":");
    jobs *j = start(b, 1, 1);
    wait_state(b, STORE_JOB_FAILED, 1);
    jobs_close(j);
    assert_int_equal(atomic_load(&b->good), 0);
}

static void test_parallel_max_holds(void **state)
{
    bench *b = *state;
    for (int i = 0; i < 6; i++) add(b, "slow", "", "{}");
    jobs *j = start(b, 3, 4);
    wait_state(b, STORE_JOB_DONE, 6);
    jobs_close(j);
    assert_int_equal(atomic_load(&b->slow_max), 1);
}

static void test_a_stop_loses_nothing(void **state)
{
    bench *b = *state;
    add(b, "endless", "k", "{}");
    for (int round = 1; round <= 3; round++) { /* more stops than attempts_max */
        jobs *j = start(b, 4, 2);
        wait_for(&b->slow, round);
        jobs_close(j);
        assert_int_equal(atomic_load(&b->stopped), round);
        assert_int_equal(count_in(b, STORE_JOB_WAITING, NULL), 1);
    }
}

static void test_a_stopped_one_yields_to_its_successor(void **state)
{
    bench *b = *state;
    add(b, "endless", "k", "{}");
    jobs *j = start(b, 4, 1);
    wait_for(&b->slow, 1);
    add(b, "endless", "k", "{\"second\":1}"); /* waits beside the running one */
    assert_int_equal(count_in(b, -1, NULL), 2);
    jobs_close(j);
    assert_int_equal(count_in(b, -1, NULL), 1);
}

static void test_time_runs_out(void **state)
{
    bench *b = *state;
    add(b, "timed", "", "{}");
    jobs *j = start(b, 5, 1);
    wait_state(b, STORE_JOB_FAILED, 1);
    jobs_close(j);
}

static void test_periodic_comes_back(void **state)
{
    bench *b = *state;
    jobs  *j = start(b, KINDS, 1);
    wait_for(&b->ticks, 2);
    jobs_close(j);
    assert_int_equal(count_in(b, STORE_JOB_WAITING, NULL), 1);
    j = start(b, KINDS, 1); /* a restart does not add another */
    jobs_close(j);
    assert_int_equal(count_in(b, STORE_JOB_WAITING, NULL), 1);
}

static void test_a_lost_lease_is_taken_over_once(void **state)
{
    bench      *b = *state;
    snug_err    err = {0};
    snug_arena *a = snug_arena_new();
    db_txn     *tx;
    store_job   first, second, third;
    bool        found, held;

    add(b, "good", "", "{}");
    must(db_begin(b->d, DB_WRITE, &tx, &err), &err);
    must(store_claim_job(tx, a, SNUG_LIT("good"), 1000, 2000, &first, &found, &err), &err);
    assert_true(found);
    must(store_claim_job(tx, a, SNUG_LIT("good"), 1999, 3000, &third, &found, &err), &err);
    assert_false(found);
    must(store_claim_job(tx, a, SNUG_LIT("good"), 2000, 3000, &second, &found, &err), &err);
    assert_true(found);
    assert_int_equal(second.id, first.id);
    must(store_renew_job(tx, first.id, first.attempts, 9000, &held, &err), &err);
    assert_false(held); /* the first holder is told */
    must(store_end_job(tx, &first, STORE_JOB_DONE, SNUG_EMPTY, 0, 5, &err), &err);
    must(db_end(tx, true, &err), &err);
    assert_int_equal(count_in(b, STORE_JOB_RUNNING, NULL), 1); /* and cannot end it */
    snug_arena_free(a);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_runs_each_once),
        T(test_one_waits_for_a_key),
        T(test_gives_up_and_is_retried),
        T(test_bad_arguments_fail),
        T(test_parallel_max_holds),
        T(test_a_stop_loses_nothing),
        T(test_a_stopped_one_yields_to_its_successor),
        T(test_time_runs_out),
        T(test_periodic_comes_back),
        T(test_a_lost_lease_is_taken_over_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
