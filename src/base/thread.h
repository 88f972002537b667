/* SPDX-License-Identifier: Apache-2.0 */
/* base/thread.h - mutexes with ranks, condition variables, threads, a bounded worker pool.
 *
 * Ranks rise: a thread that holds a mutex of rank r may only take one of a higher rank. Debug
 * builds check it and stop with both names. Under a lock: no I/O, no SQL, no callback. */
#ifndef SNUG_BASE_THREAD_H
#define SNUG_BASE_THREAD_H

#include <pthread.h>
#include <snug/snug.h>
#include <stdatomic.h>

typedef struct snug_mutex {
    pthread_mutex_t m;
    const char     *name;
    unsigned        rank;
} snug_mutex;

void snug_mutex_init(snug_mutex *m, const char *name, unsigned rank);
void snug_mutex_deinit(snug_mutex *m);
void snug_lock(snug_mutex *m);
void snug_unlock(snug_mutex *m);

typedef struct snug_cond { pthread_cond_t c; } snug_cond; /* waits on the monotonic clock */
void snug_cond_init(snug_cond *c);
void snug_cond_deinit(snug_cond *c);
void snug_cond_wait(snug_cond *c, snug_mutex *m);
/* False on time-out. */
bool snug_cond_wait_ms(snug_cond *c, snug_mutex *m, uint64_t timeout_ms);
void snug_cond_signal(snug_cond *c);
void snug_cond_broadcast(snug_cond *c);

typedef struct snug_thread snug_thread;
/* Starts fn(arg) in a thread named `name` (<= 15 bytes) with a stack of stack_kb (0: 512). */
snug_thread *snug_thread_start(const char *name, unsigned stack_kb, void (*fn)(void *), void *arg);
void         snug_thread_join(snug_thread *t); /* waits and frees */
unsigned     snug_cpu_count(void);             /* CPUs this process may use, at least 1 */

/* A pool of threads over a bounded queue. */
typedef struct snug_pool snug_pool;
snug_pool *snug_pool_new(const char *name, unsigned threads, size_t queue_max);
/* False at once when the queue is full or the pool is stopping. */
bool       snug_pool_submit(snug_pool *p, void (*fn)(void *), void *arg) SNUG_MUST_USE;
size_t     snug_pool_waiting(snug_pool *p);
void       snug_pool_drain(snug_pool *p); /* waits until nothing is queued or running */
void       snug_pool_free(snug_pool *p);  /* runs what is queued, then joins; NULL is fine */

/* Splits [0, n) over a persistent pool and the caller; fn(arg, from, to). Blocks. For kernels. */
typedef struct snug_team snug_team;
snug_team *snug_team_new(unsigned threads); /* 0: snug_cpu_count() */
unsigned   snug_team_size(const snug_team *t);
void       snug_team_run(snug_team *t, size_t n, size_t grain,
                         void (*fn)(void *arg, size_t from, size_t to, unsigned worker), void *arg);
void       snug_team_free(snug_team *t);

#endif
