/* SPDX-License-Identifier: Apache-2.0 */
/* hub/stats.c - download counts, and the thread that writes what may be late.
 *
 * For:     hub_count_download on every file sent; hub_open and hub_close.
 * Owns:    counts that are not in the database yet.
 * Threads: counting is one short mutex; the flusher thread does all the SQL.
 * Truth:   a count is written at most once; a crash loses the last FLUSH_MS at most. */
#include <stdlib.h>

#include "hub/hub_int.h"

enum { SLOTS = 1024, FLUSH_MS = 5000, DAY_MS = 86400000, STALE_MAX = 256 };

typedef struct slot {
    int64_t  row; /* 0: free */
    uint64_t count;
} slot;

struct hub_stats {
    snug_mutex lock;           /* guards pending */
    slot       pending[SLOTS]; /* open addressing */
};

struct hub_flusher {
    snug_mutex   lock; /* guards all but thread */
    snug_cond    wake;
    bool         stop;
    int64_t      stale[STALE_MAX]; /* rows to reconcile */
    size_t       stale_count;
    snug_thread *thread;
};

hub_stats *hub_stats_new(void)
{
    hub_stats *s = snug_zalloc(sizeof *s);
    snug_mutex_init(&s->lock, "hub-stats", HUB_RANK_STATS);
    return s;
}

void hub_stats_free(hub_stats *s)
{
    if (s == NULL) return;
    snug_mutex_deinit(&s->lock);
    free(s);
}

/* A full table drops the count: 1024 repositories in five seconds is not our team. */
static void add_pending(hub_stats *s, int64_t row, uint64_t n)
{
    size_t at = (size_t)((uint64_t)row * 0x9e3779b97f4a7c15u >> 32);
    snug_lock(&s->lock);
    for (size_t i = 0; i < SLOTS; i++) {
        slot *p = &s->pending[(at + i) % SLOTS];
        if (p->row != row && p->row != 0) continue;
        p->row = row;
        p->count += n;
        break;
    }
    snug_unlock(&s->lock);
}

void hub_count_download(hub *h, int64_t repo_row)
{
    SNUG_ASSERT(repo_row > 0);
    add_pending(h->stats, repo_row, 1);
}

static snug_status write_counts(hub *h, const slot *taken, bool *changed, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    int64_t     day = snug_now_ms() / DAY_MS;
    bool        rolled = false, any = false;

    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_roll_downloads(tx, day, &rolled, err));
    for (size_t i = 0; i < SLOTS; i++) {
        if (taken[i].row == 0) continue;
        SNUG_TRY(store_add_downloads(tx, taken[i].row, day, taken[i].count, err));
        any = true;
    }
    st = db_end(tx, true, err);
    tx = NULL;
    *changed = any || rolled;
done:
    db_rollback(tx);
    return st;
}

void hub_stats_flush(hub *h)
{
    hub_stats *s = h->stats;
    slot      *taken = snug_zalloc(sizeof s->pending);
    bool       any = false, changed = false;
    snug_err   err = {0};

    snug_lock(&s->lock);
    for (size_t i = 0; i < SLOTS; i++) any = any || s->pending[i].row != 0;
    memcpy(taken, s->pending, sizeof s->pending);
    memset(s->pending, 0, sizeof s->pending);
    snug_unlock(&s->lock);
    if (any && write_counts(h, taken, &changed, &err) != SNUG_OK) {
        snug_log_err(SNUG_WARN, "hub.downloads", &err);
        for (size_t i = 0; i < SLOTS; i++) { /* the next flush tries again */
            if (taken[i].row != 0) add_pending(s, taken[i].row, taken[i].count);
        }
    }
    if (changed) hub_touch(h, NULL);
    free(taken);
}

/* The 30- and 7-day sums must fall on a day without a download, too. */
static void roll_day(hub *h, int64_t *last_day)
{
    int64_t  day = snug_now_ms() / DAY_MS;
    slot    *none;
    bool     changed = false;
    snug_err err = {0};

    if (day == *last_day) return;
    none = snug_zalloc(sizeof h->stats->pending);
    if (write_counts(h, none, &changed, &err) == SNUG_OK)
        *last_day = day;
    else
        snug_log_err(SNUG_WARN, "hub.downloads", &err);
    if (changed) hub_touch(h, NULL);
    free(none);
}

/* Past STALE_MAX the next start does it. */
void hub_mark_stale(hub *h, int64_t row)
{
    hub_flusher *f = h->flusher;
    if (f == NULL) return;
    snug_lock(&f->lock);
    if (f->stale_count < STALE_MAX) f->stale[f->stale_count++] = row;
    snug_cond_signal(&f->wake);
    snug_unlock(&f->lock);
}

static void heal_stale(hub *h, const int64_t *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        snug_err err = {0};
        if (hub_reconcile_repo(h, rows[i], &err) == SNUG_OK) continue;
        snug_log_err(SNUG_ERROR, "hub.reconcile", &err);
        hub_mark_stale(h, rows[i]);
    }
    snug_err err = {0};
    if (n > 0 && hub_heal_pulls(h, &err) != SNUG_OK)
        snug_log_err(SNUG_ERROR, "hub.pull.heal", &err);
}

static void flush_loop(void *arg)
{
    hub         *h = arg;
    hub_flusher *f = h->flusher;
    int64_t      last_day = 0;
    bool         stop = false;
    int64_t      stale[STALE_MAX];
    size_t       stale_count;

    while (!stop) {
        snug_lock(&f->lock);
        if (!f->stop) (void)snug_cond_wait_ms(&f->wake, &f->lock, FLUSH_MS);
        stop = f->stop;
        stale_count = f->stale_count;
        memcpy(stale, f->stale, sizeof stale);
        f->stale_count = 0;
        snug_unlock(&f->lock);
        if (h->read_only) continue;
        heal_stale(h, stale, stale_count);
        if (!stop) roll_day(h, &last_day);
        hub_stats_flush(h);
        hub_tokens_flush(h);
    }
}

void hub_start_flusher(hub *h)
{
    hub_flusher *f = snug_zalloc(sizeof *f);
    snug_mutex_init(&f->lock, "hub-flush", HUB_RANK_FLUSH);
    snug_cond_init(&f->wake);
    h->flusher = f;
    f->thread = snug_thread_start("hub-flush", 0, flush_loop, h);
}

void hub_stop_flusher(hub *h)
{
    hub_flusher *f = h->flusher;
    if (f == NULL) return;
    snug_lock(&f->lock);
    f->stop = true;
    snug_cond_signal(&f->wake);
    snug_unlock(&f->lock);
    snug_thread_join(f->thread);
    snug_cond_deinit(&f->wake);
    snug_mutex_deinit(&f->lock);
    free(f);
    h->flusher = NULL;
}
