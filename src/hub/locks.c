/* SPDX-License-Identifier: Apache-2.0 */
/* hub/locks.c - one writer per repository.
 *
 * For:     commit.c, repos.c, heal.c.
 * Owns:    the list of repositories being written.
 * Threads: any. The lock of a repository is held over git and SQL, which no mutex may be; it is
 *          an entry in a table that a mutex guards for the moment of looking.
 * Truth:   a row number is in the table at most once. Nobody takes two, so there is no order. */
#include <stdlib.h>

#include "hub/hub_int.h"

enum { WAIT_MS = 60000 };

typedef struct held {
    int64_t      row;
    struct held *next;
} held;

struct hub_locks {
    snug_mutex lock; /* guards `list` */
    snug_cond  freed;
    held      *list;
};

hub_locks *hub_locks_new(void)
{
    hub_locks *l = snug_zalloc(sizeof *l);
    snug_mutex_init(&l->lock, "hub-locks", HUB_RANK_LOCKS);
    snug_cond_init(&l->freed);
    return l;
}

void hub_locks_free(hub_locks *l)
{
    if (l == NULL) return;
    SNUG_ASSERT(l->list == NULL);
    snug_cond_deinit(&l->freed);
    snug_mutex_deinit(&l->lock);
    free(l);
}

static held **find_locked(hub_locks *l, int64_t row)
{
    held **at = &l->list;
    while (*at != NULL && (*at)->row != row) at = &(*at)->next;
    return at;
}

snug_status hub_lock_repo(hub *h, int64_t row, snug_err *err)
{
    hub_locks *l = h->locks;
    uint64_t   until = snug_mono_ms() + WAIT_MS;
    held      *mine = snug_zalloc(sizeof *mine);

    mine->row = row;
    snug_lock(&l->lock);
    while (*find_locked(l, row) != NULL) {
        uint64_t now = snug_mono_ms();
        if (now >= until) {
            snug_unlock(&l->lock);
            free(mine);
            return snug_fail(err, SNUG_EBUSY,
                             "other commits to this repository take long; try again");
        }
        (void)snug_cond_wait_ms(&l->freed, &l->lock, until - now);
    }
    mine->next = l->list;
    l->list = mine;
    snug_unlock(&l->lock);
    return SNUG_OK;
}

void hub_unlock_repo(hub *h, int64_t row)
{
    hub_locks *l = h->locks;
    snug_lock(&l->lock);
    held **at = find_locked(l, row);
    held  *mine = *at;
    SNUG_ASSERT(mine != NULL);
    *at = mine->next;
    snug_cond_broadcast(&l->freed);
    snug_unlock(&l->lock);
    free(mine);
}
