/* SPDX-License-Identifier: Apache-2.0 */
/* jobs/jobs.c - threads that claim, run and end jobs.
 *
 * For:     cli/serve.c; kinds in work/.
 * Owns:    the leases of this process.
 * Threads: workers run one job each; the keeper renews their leases, so that a kind need not know
 *          about time. Both do SQL only without the lock.
 * Truth:   a row is ended by the attempt that holds it, and by no other.
 *
 *     waiting --claim--> running --ok--> done
 *        ^                  |  \--attempts_max reached--> failed
 *        +--pause, or stop--+ */
#include "jobs/jobs.h"

#include <stdlib.h>

#include "store/store.h"

enum {
    RANK = 40, /* below hub's: a job holds nothing of ours while it calls the hub */
    THREADS_DEFAULT = 4 /* long ones take two at most, letters need one */,
    THREADS_MAX = 32,
    LEASE_MS = 60 * 1000,
    RENEW_MS = 15 * 1000,
    IDLE_MS = 1000, /* another process may add work: look this often */
    PAUSE_S = 10,
    PAUSE_MAX_S = 3600,
    KEEP_MS = 24 * 3600 * 1000 /* of ended jobs, for who looks */
};

struct jobs_ctx {
    jobs            *owner;
    const jobs_kind *kind;
    store_job        job;
    snug_arena      *arena;
    uint64_t         deadline_ns; /* 0: none */
    uint64_t         pause_ms;    /* 0: the usual */
    atomic_bool      lost;
    jobs_ctx        *next; /* in owner->running */
};

struct jobs {
    db              *db;
    const jobs_kind *kinds;
    size_t           kind_count;
    void            *app;
    snug_mutex       lock; /* rank RANK: guards active, running, woken */
    snug_cond        wake;
    unsigned         active[JOBS_KINDS_MAX]; /* attempts of each kind, and claims being tried */
    jobs_ctx        *running;
    uint64_t         woken;
    atomic_bool      stop;
    unsigned         thread_count;
    snug_thread     *threads[THREADS_MAX], *keeper;
};

void       *jobs_app(const jobs_ctx *c) { return c->owner->app; }
snug_arena *jobs_arena(jobs_ctx *c) { return c->arena; }
void        jobs_retry_after(jobs_ctx *c, uint64_t pause_ms) { c->pause_ms = pause_ms; }

bool jobs_stopping(const jobs_ctx *c)
{
    return atomic_load(&c->owner->stop) || atomic_load(&c->lost) ||
           (c->deadline_ns != 0 && snug_mono_ns() > c->deadline_ns);
}

void jobs_wake(jobs *j)
{
    if (j == NULL) return;
    snug_lock(&j->lock);
    j->woken++;
    snug_cond_broadcast(&j->wake);
    snug_unlock(&j->lock);
}

/* ---- one attempt ---- */

static int64_t pause_of(const jobs_ctx *c)
{
    uint64_t s = c->kind->pause_s == 0 ? PAUSE_S : c->kind->pause_s;
    if (c->pause_ms != 0) return (int64_t)c->pause_ms;
    for (unsigned i = 1; i < c->job.attempts && s < PAUSE_MAX_S; i++) s *= 2;
    return (int64_t)(s < PAUSE_MAX_S ? s : PAUSE_MAX_S) * 1000;
}

/* What comes of the row. A stop is not the job's fault: it never makes it fail. */
static store_job_state judge(const jobs_ctx *c, snug_status st, int64_t *due_ms)
{
    const jobs_kind *k = c->kind;
    *due_ms = snug_now_ms();
    if (st == SNUG_OK) return STORE_JOB_DONE;
    if (st == SNUG_EBUSY && atomic_load(&c->owner->stop)) return STORE_JOB_WAITING;
    if (k->every_s == 0 && k->attempts_max != 0 && c->job.attempts >= k->attempts_max)
        return STORE_JOB_FAILED;
    *due_ms += pause_of(c);
    return STORE_JOB_WAITING;
}

static snug_status write_end(jobs *j, const jobs_ctx *c, snug_status result, const snug_err *why,
                             snug_err *err)
{
    snug_status     st = SNUG_OK;
    db_txn         *tx = NULL;
    int64_t         due, now = snug_now_ms();
    store_job_state state = judge(c, result, &due);
    snug_slice      text = result == SNUG_OK ? SNUG_EMPTY : snug_str(why->msg);

    SNUG_TRY(db_begin(j->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_end_job(tx, &c->job, state, text, due, now, err));
    if (c->kind->every_s > 0 && state == STORE_JOB_DONE)
        SNUG_TRY(store_add_job(tx, c->kind->name, snug_str(c->kind->name), SNUG_LIT("{}"),
                               now + (int64_t)c->kind->every_s * 1000, err));
    SNUG_TRY(store_prune_jobs(tx, now - KEEP_MS, false, err));
    st = db_end(tx, true, err);
    tx = NULL;
done:
    db_rollback(tx);
    return st;
}

static void list_running(jobs *j, jobs_ctx *c, bool add)
{
    snug_lock(&j->lock);
    if (add) {
        c->next = j->running;
        j->running = c;
    } else {
        jobs_ctx **at = &j->running;
        while (*at != c) at = &(*at)->next;
        *at = c->next;
    }
    snug_unlock(&j->lock);
}

static void run_one(jobs *j, jobs_ctx *c)
{
    snug_err    why = {0}, err = {0};
    snug_json   args = {NULL};
    snug_status st;

    if (c->kind->timeout_s != 0)
        c->deadline_ns = snug_mono_ns() + (uint64_t)c->kind->timeout_s * 1000000000u;
    list_running(j, c, true);
    st = snug_json_parse(c->arena, c->job.args, NULL, &args, &why);
    if (st == SNUG_OK) st = c->kind->run(c, args, &why);
    list_running(j, c, false);
    snug_metric_add(st == SNUG_OK ? SNUG_M_JOBS_DONE : SNUG_M_JOBS_FAILED, 1);
    if (st != SNUG_OK && !atomic_load(&j->stop)) {
        snug_log(SNUG_WARN, "job.failed", "kind=%s id=%lld attempt=%u", c->kind->name,
                 (long long)c->job.id, c->job.attempts);
        snug_log_err(SNUG_WARN, "job.failed", &why);
    }
    if (write_end(j, c, st, &why, &err) != SNUG_OK) snug_log_err(SNUG_ERROR, "job.end", &err);
}

/* ---- claiming ---- */

static bool take_turn(jobs *j, size_t kind)
{
    unsigned max = j->kinds[kind].parallel_max;
    bool     ok;
    snug_lock(&j->lock);
    ok = max == 0 || j->active[kind] < max;
    if (ok) j->active[kind]++;
    snug_unlock(&j->lock);
    return ok;
}

static void give_turn(jobs *j, size_t kind)
{
    snug_lock(&j->lock);
    j->active[kind]--;
    snug_unlock(&j->lock);
}

/* Most looks find nothing, and must not take the writer's turn for that. */
static snug_status claim(jobs *j, size_t kind, jobs_ctx *c, bool *found, int64_t *next_ms,
                         snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    snug_slice  name = snug_str(j->kinds[kind].name);
    int64_t     due, now = snug_now_ms();

    *found = false;
    SNUG_TRY(db_begin(j->db, DB_READ, &tx, err));
    SNUG_TRY(store_next_job_due(tx, name, &due, err));
    db_rollback(tx);
    tx = NULL;
    if (due > now) {
        if (due < *next_ms) *next_ms = due;
        goto done;
    }
    SNUG_TRY(db_begin(j->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_claim_job(tx, c->arena, name, now, now + LEASE_MS, &c->job, found, err));
    st = db_end(tx, true, err);
    tx = NULL;
done:
    db_rollback(tx);
    if (st != SNUG_OK) *found = false;
    return st;
}

/* Runs at most one job of this kind; true if it did. */
static bool try_kind(jobs *j, size_t kind, int64_t *next_ms)
{
    jobs_ctx c = {.owner = j, .kind = &j->kinds[kind]};
    snug_err err = {0};
    bool     found = false;

    if (!take_turn(j, kind)) return false;
    c.arena = snug_arena_new();
    if (claim(j, kind, &c, &found, next_ms, &err) != SNUG_OK)
        snug_log_err(SNUG_WARN, "job.claim", &err);
    if (found) run_one(j, &c);
    snug_arena_free(c.arena);
    give_turn(j, kind);
    return found;
}

static void wait_for_work(jobs *j, uint64_t *seen, int64_t next_ms)
{
    int64_t ms = next_ms - snug_now_ms();
    if (ms < 1) ms = 1;
    if (ms > IDLE_MS) ms = IDLE_MS;
    snug_lock(&j->lock);
    if (*seen == j->woken && !atomic_load(&j->stop))
        (void)snug_cond_wait_ms(&j->wake, &j->lock, (uint64_t)ms);
    *seen = j->woken;
    snug_unlock(&j->lock);
}

/* Each round begins at another kind, so that a busy one cannot starve the rest. */
static void work_loop(void *arg)
{
    jobs    *j = arg;
    uint64_t seen = 0;
    size_t   first = 0;
    while (!atomic_load(&j->stop)) {
        int64_t next_ms = INT64_MAX;
        bool    any = false;
        for (size_t i = 0; i < j->kind_count && !atomic_load(&j->stop); i++)
            any = try_kind(j, (first + i) % j->kind_count, &next_ms) || any;
        first++;
        if (!any) wait_for_work(j, &seen, next_ms);
    }
}

/* ---- leases ---- */

typedef struct held {
    int64_t  id;
    unsigned attempts;
    bool     ours;
} held;

static size_t snapshot(jobs *j, held *out)
{
    size_t n = 0;
    snug_lock(&j->lock);
    for (jobs_ctx *c = j->running; c != NULL && n < THREADS_MAX; c = c->next)
        out[n++] = (held){c->job.id, c->job.attempts, true};
    snug_unlock(&j->lock);
    return n;
}

static void mark_lost(jobs *j, const held *h)
{
    snug_lock(&j->lock);
    for (jobs_ctx *c = j->running; c != NULL; c = c->next)
        if (c->job.id == h->id && c->job.attempts == h->attempts) atomic_store(&c->lost, true);
    snug_unlock(&j->lock);
}

static snug_status renew(jobs *j, held *list, size_t n, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    int64_t     until = snug_now_ms() + LEASE_MS;

    SNUG_TRY(db_begin(j->db, DB_WRITE, &tx, err));
    for (size_t i = 0; i < n; i++)
        SNUG_TRY(store_renew_job(tx, list[i].id, list[i].attempts, until, &list[i].ours, err));
    st = db_end(tx, true, err);
    tx = NULL;
done:
    db_rollback(tx);
    return st;
}

static void keep_loop(void *arg)
{
    jobs *j = arg;
    while (!atomic_load(&j->stop)) {
        held     list[THREADS_MAX];
        uint64_t until = snug_mono_ns() + RENEW_MS * 1000000ull;
        snug_err err = {0};
        snug_lock(&j->lock);
        while (!atomic_load(&j->stop) && snug_mono_ns() < until)
            (void)snug_cond_wait_ms(&j->wake, &j->lock, RENEW_MS);
        snug_unlock(&j->lock);
        size_t n = snapshot(j, list);
        if (n == 0) continue;
        if (renew(j, list, n, &err) != SNUG_OK) {
            snug_log_err(SNUG_WARN, "job.renew", &err);
            continue;
        }
        for (size_t i = 0; i < n; i++)
            if (!list[i].ours) mark_lost(j, &list[i]);
    }
}

/* ---- opening ---- */

static snug_status prepare(jobs *j, bool alone, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    SNUG_TRY(db_begin(j->db, DB_WRITE, &tx, err));
    if (alone) SNUG_TRY(store_release_jobs(tx, err));
    for (size_t i = 0; i < j->kind_count; i++) {
        const jobs_kind *k = &j->kinds[i];
        if (k->every_s == 0) continue;
        SNUG_TRY(store_add_job(tx, k->name, snug_str(k->name), SNUG_LIT("{}"),
                               snug_now_ms() + (int64_t)k->every_s * 1000, err));
    }
    st = db_end(tx, true, err);
    tx = NULL;
done:
    db_rollback(tx);
    return st;
}

snug_status jobs_open(const jobs_opts *o, jobs **out, snug_err *err)
{
    snug_status st = SNUG_OK;
    jobs       *j = snug_zalloc(sizeof *j);

    SNUG_ASSERT(o->kind_count <= JOBS_KINDS_MAX);
    j->db = o->db;
    j->kinds = o->kinds;
    j->kind_count = o->kind_count;
    j->app = o->app;
    snug_mutex_init(&j->lock, "jobs", RANK);
    snug_cond_init(&j->wake);
    SNUG_TRY(prepare(j, o->alone, err));
    j->thread_count = o->threads == 0 ? THREADS_DEFAULT : o->threads;
    if (j->thread_count > THREADS_MAX) j->thread_count = THREADS_MAX;
    j->keeper = snug_thread_start("job-keeper", 0, keep_loop, j);
    for (unsigned i = 0; i < j->thread_count; i++)
        j->threads[i] = snug_thread_start("job", 2048, work_loop, j);
    *out = j;
    j = NULL; /* moved to the caller */
done:
    jobs_close(j);
    return st;
}

void jobs_close(jobs *j)
{
    if (j == NULL) return;
    atomic_store(&j->stop, true);
    jobs_wake(j);
    for (unsigned i = 0; i < THREADS_MAX; i++)
        if (j->threads[i] != NULL) snug_thread_join(j->threads[i]);
    if (j->keeper != NULL) snug_thread_join(j->keeper);
    snug_cond_deinit(&j->wake);
    snug_mutex_deinit(&j->lock);
    free(j);
}
