/* SPDX-License-Identifier: Apache-2.0 */
/* base/thread.c - ranked mutexes, condition variables, the worker pool and the kernel team. */
#include "base/thread.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/mem.h"

/* ---- mutex ---- */

#if defined(SNUG_DEBUG_LOCKS) && SNUG_DEBUG_LOCKS
enum { HELD_MAX = 16 };
static _Thread_local const snug_mutex *held[HELD_MAX];
static _Thread_local unsigned          held_count;

static void note_lock(const snug_mutex *m)
{
    for (unsigned i = 0; i < held_count; i++) {
        if (held[i]->rank < m->rank) continue;
        (void)fprintf(stderr, "snug: lock order: %s (rank %u) taken while holding %s (rank %u)\n",
                      m->name, m->rank, held[i]->name, held[i]->rank);
        abort();
    }
    SNUG_ASSERT(held_count < HELD_MAX);
    held[held_count++] = m;
}

static void note_unlock(const snug_mutex *m)
{
    for (unsigned i = held_count; i-- > 0;) {
        if (held[i] != m) continue;
        memmove(&held[i], &held[i + 1], (held_count - i - 1) * sizeof held[0]);
        held_count--;
        return;
    }
    snug_panic(__FILE__, __LINE__, "unlocking a mutex this thread does not hold");
}
#else
static void note_lock(const snug_mutex *m) { (void)m; }
static void note_unlock(const snug_mutex *m) { (void)m; }
#endif

void snug_mutex_init(snug_mutex *m, const char *name, unsigned rank)
{
    SNUG_ASSERT(pthread_mutex_init(&m->m, NULL) == 0);
    m->name = name;
    m->rank = rank;
}

void snug_mutex_deinit(snug_mutex *m) { SNUG_ASSERT(pthread_mutex_destroy(&m->m) == 0); }

void snug_lock(snug_mutex *m)
{
    note_lock(m);
    SNUG_ASSERT(pthread_mutex_lock(&m->m) == 0);
}

void snug_unlock(snug_mutex *m)
{
    note_unlock(m);
    SNUG_ASSERT(pthread_mutex_unlock(&m->m) == 0);
}

void snug_cond_init(snug_cond *c)
{
    pthread_condattr_t attr;
    SNUG_ASSERT(pthread_condattr_init(&attr) == 0);
    SNUG_ASSERT(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    SNUG_ASSERT(pthread_cond_init(&c->c, &attr) == 0);
    (void)pthread_condattr_destroy(&attr);
}

void snug_cond_deinit(snug_cond *c) { SNUG_ASSERT(pthread_cond_destroy(&c->c) == 0); }

void snug_cond_wait(snug_cond *c, snug_mutex *m)
{
    SNUG_ASSERT(pthread_cond_wait(&c->c, &m->m) == 0);
}

bool snug_cond_wait_ms(snug_cond *c, snug_mutex *m, uint64_t timeout_ms)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    uint64_t ns = (uint64_t)t.tv_nsec + timeout_ms % 1000 * 1000000u;
    t.tv_sec += (time_t)(timeout_ms / 1000 + ns / 1000000000u);
    t.tv_nsec = (long)(ns % 1000000000u);
    int rc = pthread_cond_timedwait(&c->c, &m->m, &t);
    SNUG_ASSERT(rc == 0 || rc == ETIMEDOUT);
    return rc == 0;
}

void snug_cond_signal(snug_cond *c) { (void)pthread_cond_signal(&c->c); }
void snug_cond_broadcast(snug_cond *c) { (void)pthread_cond_broadcast(&c->c); }

/* ---- threads ---- */

struct snug_thread {
    pthread_t id;
    void (*fn)(void *);
    void *arg;
    char  name[16];
};

static void *thread_main(void *p)
{
    snug_thread *t = p;
    (void)pthread_setname_np(pthread_self(), t->name);
    t->fn(t->arg);
    return NULL;
}

snug_thread *snug_thread_start(const char *name, unsigned stack_kb, void (*fn)(void *), void *arg)
{
    snug_thread *t = snug_zalloc(sizeof *t);
    t->fn = fn;
    t->arg = arg;
    (void)snprintf(t->name, sizeof t->name, "%s", name);
    pthread_attr_t attr;
    SNUG_ASSERT(pthread_attr_init(&attr) == 0);
#ifndef SNUG_SANITIZED /* sanitizers want roomy stacks */
    SNUG_ASSERT(pthread_attr_setstacksize(&attr, (size_t)(stack_kb == 0 ? 512 : stack_kb) << 10) ==
                0);
#else
    (void)stack_kb;
#endif
    int rc = pthread_create(&t->id, &attr, thread_main, t);
    (void)pthread_attr_destroy(&attr);
    if (rc != 0) {
        (void)fprintf(stderr, "snug: cannot start a thread: %d\n", rc);
        abort();
    }
    return t;
}

void snug_thread_join(snug_thread *t)
{
    if (t == NULL) return;
    SNUG_ASSERT(pthread_join(t->id, NULL) == 0);
    free(t);
}

unsigned snug_cpu_count(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    int n = CPU_COUNT(&set);
    return n < 1 ? 1 : (unsigned)n;
}

/* ---- pool: a ring of jobs ---- */

typedef struct pool_job {
    void (*fn)(void *);
    void *arg;
} pool_job;

struct snug_pool {
    snug_mutex    m; /* guards everything below; rank 900: leaf, nothing is taken under it */
    snug_cond     work, idle;
    pool_job     *ring;
    size_t        cap, head, count, running;
    bool          stopping;
    unsigned      thread_count;
    snug_thread **threads;
};

static void pool_main(void *p)
{
    snug_pool *pool = p;
    snug_lock(&pool->m);
    for (;;) {
        while (pool->count == 0 && !pool->stopping) snug_cond_wait(&pool->work, &pool->m);
        if (pool->count == 0) break;
        pool_job job = pool->ring[pool->head];
        pool->head = (pool->head + 1) % pool->cap;
        pool->count--;
        pool->running++;
        snug_unlock(&pool->m);
        job.fn(job.arg);
        snug_lock(&pool->m);
        pool->running--;
        if (pool->running == 0 && pool->count == 0) snug_cond_broadcast(&pool->idle);
    }
    snug_unlock(&pool->m);
}

snug_pool *snug_pool_new(const char *name, unsigned threads, size_t queue_max)
{
    SNUG_ASSERT(threads > 0 && queue_max > 0);
    snug_pool *p = snug_zalloc(sizeof *p);
    snug_mutex_init(&p->m, "pool", 900);
    snug_cond_init(&p->work);
    snug_cond_init(&p->idle);
    p->cap = queue_max;
    p->ring = snug_zalloc(queue_max * sizeof *p->ring);
    p->thread_count = threads;
    p->threads = snug_zalloc(threads * sizeof(snug_thread *));
    for (unsigned i = 0; i < threads; i++)
        p->threads[i] = snug_thread_start(name, 512, pool_main, p);
    return p;
}

bool snug_pool_submit(snug_pool *p, void (*fn)(void *), void *arg)
{
    snug_lock(&p->m);
    bool ok = !p->stopping && p->count < p->cap;
    if (ok) {
        p->ring[(p->head + p->count) % p->cap] = (pool_job){fn, arg};
        p->count++;
        snug_cond_signal(&p->work);
    }
    snug_unlock(&p->m);
    return ok;
}

size_t snug_pool_waiting(snug_pool *p)
{
    snug_lock(&p->m);
    size_t n = p->count;
    snug_unlock(&p->m);
    return n;
}

void snug_pool_drain(snug_pool *p)
{
    snug_lock(&p->m);
    while (p->count > 0 || p->running > 0) snug_cond_wait(&p->idle, &p->m);
    snug_unlock(&p->m);
}

void snug_pool_free(snug_pool *p)
{
    if (p == NULL) return;
    snug_lock(&p->m);
    p->stopping = true;
    snug_cond_broadcast(&p->work);
    snug_unlock(&p->m);
    for (unsigned i = 0; i < p->thread_count; i++) snug_thread_join(p->threads[i]);
    snug_cond_deinit(&p->work);
    snug_cond_deinit(&p->idle);
    snug_mutex_deinit(&p->m);
    free(p->threads);
    free(p->ring);
    free(p);
}

/* ---- team: the caller and its helpers take ranges off one counter ---- */

/* Between two operations of a model lie microseconds, which is what waking a thread costs. So both
 * sides look for a while before they sleep, if every thread can have a CPU to itself. */
enum { TEAM_LOOKS = 1000 }; /* some 20 us */

struct snug_team {
    snug_mutex m; /* guards sleeping, and the moments before it; rank 910 */
    snug_cond  start, done;
    unsigned   size, looks; /* size: helpers and the caller */
    /* A round is published by its number; what it is lies below, and stays until busy is 0. */
    atomic_uint_fast64_t round;
    atomic_uint          busy;     /* helpers still in this round */
    atomic_uint          sleeping; /* helpers that wait on start */
    atomic_bool          waiting;  /* the caller waits on done */
    atomic_bool          stopping;
    void (*fn)(void *, size_t, size_t, unsigned);
    void         *arg;
    size_t        n, grain;
    atomic_size_t next;
    snug_thread **threads;
    struct team_seat {
        snug_team *team;
        unsigned   worker;
    } * seats;
};

static void look_again(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static void team_work(snug_team *t, unsigned worker)
{
    for (;;) {
        size_t from = atomic_fetch_add_explicit(&t->next, t->grain, memory_order_relaxed);
        if (from >= t->n) return;
        size_t left = t->n - from;
        t->fn(t->arg, from, from + (left < t->grain ? left : t->grain), worker);
    }
}

static bool team_idle(const snug_team *t, uint64_t seen)
{
    return atomic_load(&t->round) == seen && !atomic_load(&t->stopping);
}

/* Waits for a round after `seen`. The caller publishes, then asks who sleeps; a helper says that it
 * sleeps, then looks once more: one of the two sees the other. */
static void await_round(snug_team *t, uint64_t seen)
{
    for (unsigned i = 0; i < t->looks && team_idle(t, seen); i++) look_again();
    if (!team_idle(t, seen)) return;
    snug_lock(&t->m);
    atomic_fetch_add(&t->sleeping, 1);
    while (team_idle(t, seen)) snug_cond_wait(&t->start, &t->m);
    atomic_fetch_sub(&t->sleeping, 1);
    snug_unlock(&t->m);
}

static void team_main(void *p)
{
    struct team_seat *seat = p;
    snug_team        *t = seat->team;
    for (uint64_t seen = 0;;) {
        await_round(t, seen);
        if (atomic_load(&t->stopping)) return;
        seen = atomic_load(&t->round);
        team_work(t, seat->worker);
        if (atomic_fetch_sub(&t->busy, 1) > 1 || !atomic_load(&t->waiting)) continue;
        snug_lock(&t->m);
        snug_cond_signal(&t->done);
        snug_unlock(&t->m);
    }
}

snug_team *snug_team_new(unsigned threads)
{
    snug_team *t = snug_zalloc(sizeof *t);
    t->size = threads == 0 ? snug_cpu_count() : threads;
    t->looks = t->size <= snug_cpu_count() ? TEAM_LOOKS : 0;
    snug_mutex_init(&t->m, "team", 910);
    snug_cond_init(&t->start);
    snug_cond_init(&t->done);
    t->threads = snug_zalloc(t->size * sizeof(snug_thread *));
    t->seats = snug_zalloc(t->size * sizeof *t->seats);
    for (unsigned i = 1; i < t->size; i++) {
        t->seats[i] = (struct team_seat){t, i};
        t->threads[i] = snug_thread_start("snug-team", 1024, team_main, &t->seats[i]);
    }
    return t;
}

unsigned snug_team_size(const snug_team *t) { return t->size; }

void snug_team_run(snug_team *t, size_t n, size_t grain,
                   void (*fn)(void *arg, size_t from, size_t to, unsigned worker), void *arg)
{
    if (n == 0) return;
    if (grain == 0) grain = 1;
    if (t->size == 1 || n <= grain) {
        fn(arg, 0, n, 0);
        return;
    }
    t->fn = fn;
    t->arg = arg;
    t->n = n;
    t->grain = grain;
    atomic_store_explicit(&t->next, 0, memory_order_relaxed);
    atomic_store(&t->busy, t->size - 1);
    atomic_fetch_add(&t->round, 1);
    if (atomic_load(&t->sleeping) > 0) {
        snug_lock(&t->m);
        snug_cond_broadcast(&t->start);
        snug_unlock(&t->m);
    }
    team_work(t, 0);
    for (unsigned i = 0; i < t->looks && atomic_load(&t->busy) > 0; i++) look_again();
    if (atomic_load(&t->busy) == 0) return;
    snug_lock(&t->m);
    atomic_store(&t->waiting, true);
    while (atomic_load(&t->busy) > 0) snug_cond_wait(&t->done, &t->m);
    atomic_store(&t->waiting, false);
    snug_unlock(&t->m);
}

void snug_team_free(snug_team *t)
{
    if (t == NULL) return;
    snug_lock(&t->m);
    atomic_store(&t->stopping, true);
    snug_cond_broadcast(&t->start);
    snug_unlock(&t->m);
    for (unsigned i = 1; i < t->size; i++) snug_thread_join(t->threads[i]);
    snug_cond_deinit(&t->start);
    snug_cond_deinit(&t->done);
    snug_mutex_deinit(&t->m);
    free(t->seats);
    free(t->threads);
    free(t);
}
