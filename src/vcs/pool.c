/* SPDX-License-Identifier: Apache-2.0 */
/* vcs/pool.c - handing out repository handles, one thread at a time each.
 *
 * Opening a repository costs a few file reads and its pack indexes; most requests find one that
 * is already open. At most VCS_IDLE_MAX stay open unused, the least recently used one goes first.
 *
 *   (closed) -- acquire --> busy -- release --> idle -- acquire --> busy
 *                             |                   |
 *                             +-- doomed/surplus --+--> closed
 *
 * Threads: any. libgit2 is never called under the mutex: handles are unlinked first. */
#include "vcs/vcs_int.h"

#include <errno.h>
#include <stdlib.h>

static void close_handle(vcs_repo *r)
{
    if (r == NULL) return;
    vcs_pending_drop(&r->pending);
    git_odb_free(r->odb);
    git_repository_free(r->git);
    free(r->path);
    free(r);
}

static void unlink_locked(vcs *v, vcs_repo *r)
{
    vcs_repo **at = &v->handles;
    while (*at != r) at = &(*at)->next;
    *at = r->next;
    r->next = NULL;
    v->handle_count--;
}

static vcs_repo *find_idle_locked(vcs *v, snug_slice key)
{
    for (vcs_repo *r = v->handles; r != NULL; r = r->next) {
        if (!r->busy && !r->doomed && snug_eq_str(key, r->key)) return r;
    }
    return NULL;
}

/* The idle handle that waited longest, if more than `keep` are idle. */
static vcs_repo *oldest_idle_locked(vcs *v, size_t keep)
{
    vcs_repo *oldest = NULL;
    size_t    idle = 0;
    for (vcs_repo *r = v->handles; r != NULL; r = r->next) {
        if (r->busy) continue;
        idle++;
        if (oldest == NULL || r->used < oldest->used) oldest = r;
    }
    return idle > keep ? oldest : NULL;
}

/* ---- which repositories were cleaned up since we started ---- */

static uint64_t key_hash(snug_slice key)
{
    uint64_t h = 1469598103934665603u; /* FNV-1a; 0 marks a free slot */
    for (size_t i = 0; i < key.len; i++) h = (h ^ (unsigned char)key.ptr[i]) * 1099511628211u;
    return h != 0 ? h : 1;
}

static bool insert_hash(uint64_t *slot, size_t mask, uint64_t h)
{
    size_t i = (size_t)h & mask;
    while (slot[i] != 0) {
        if (slot[i] == h) return false;
        i = (i + 1) & mask;
    }
    slot[i] = h;
    return true;
}

/* True for the first caller per key. */
static bool first_visit_locked(vcs *v, snug_slice key)
{
    if (v->swept == NULL || (v->swept_count + 1) * 2 > v->swept_mask) {
        size_t    slots = v->swept == NULL ? 256 : (v->swept_mask + 1) * 2;
        uint64_t *bigger = snug_zalloc(slots * sizeof *bigger);
        for (size_t i = 0; v->swept != NULL && i <= v->swept_mask; i++) {
            if (v->swept[i] != 0) (void)insert_hash(bigger, slots - 1, v->swept[i]);
        }
        free(v->swept);
        v->swept = bigger;
        v->swept_mask = slots - 1;
    }
    if (!insert_hash(v->swept, v->swept_mask, key_hash(key))) return false;
    v->swept_count++;
    return true;
}

/* ---- in and out ---- */

static struct timespec packs_time(const vcs_repo *r)
{
    char        path[VCS_PATH_MAX];
    struct stat sb;
    (void)snprintf(path, sizeof path, "%s/objects/pack", r->path);
    return stat(path, &sb) == 0 ? sb.st_mtim : (struct timespec){0};
}

static snug_status open_handle(vcs_repo *r, snug_err *err)
{
    r->packs_at = packs_time(r);
    int rc = git_repository_open_bare(&r->git, r->path);
    if (rc == 0) rc = git_repository_odb(&r->odb, r->git);
    if (rc == GIT_ENOTFOUND) {
        return snug_fail_code(err, SNUG_ENOTFOUND, "RepoNotFound",
                              "there is no such git repository");
    }
    return rc == 0 ? SNUG_OK : vcs_fail_git(err, r->path);
}

/* libgit2 notices packs that are added, but not ones that a repack took away; a handle from before
 * that is opened afresh. */
static snug_status freshen(vcs_repo *r, snug_err *err)
{
    struct timespec now = packs_time(r);
    if (now.tv_sec == r->packs_at.tv_sec && now.tv_nsec == r->packs_at.tv_nsec) return SNUG_OK;
    git_odb_free(r->odb);
    git_repository_free(r->git);
    r->odb = NULL;
    r->git = NULL;
    return open_handle(r, err);
}

/* Closes a handle that could not be opened. */
static snug_status give_up(vcs *v, vcs_repo *r, snug_status st)
{
    snug_lock(&v->mutex);
    unlink_locked(v, r);
    snug_unlock(&v->mutex);
    close_handle(r);
    return st;
}

snug_status vcs_acquire(vcs *v, snug_slice key, vcs_repo **out, snug_err *err)
{
    if (!vcs_key_ok(key)) {
        return snug_fail_code(err, SNUG_ENOTFOUND, "RepoNotFound",
                              "there is no such git repository");
    }
    snug_lock(&v->mutex);
    vcs_repo *r = find_idle_locked(v, key), *evicted = NULL;
    if (r != NULL) {
        r->busy = true;
        snug_unlock(&v->mutex);
        snug_status st = freshen(r, err);
        if (st != SNUG_OK) return give_up(v, r, st);
        *out = r;
        return SNUG_OK;
    }
    if (v->handle_count >= VCS_HANDLES_MAX) {
        evicted = oldest_idle_locked(v, 0);
        if (evicted == NULL) {
            snug_unlock(&v->mutex);
            return snug_fail(err, SNUG_EBUSY, "all %d git handles are in use: try again",
                             (int)VCS_HANDLES_MAX);
        }
        unlink_locked(v, evicted);
    }
    bool sweep = v->owner && first_visit_locked(v, key);
    r = snug_zalloc(sizeof *r);
    r->owner = v;
    r->busy = true;
    memcpy(r->key, key.ptr, key.len);
    vcs_pending_init(&r->pending);
    r->next = v->handles;
    v->handles = r;
    v->handle_count++;
    snug_unlock(&v->mutex);

    close_handle(evicted);
    r->path = vcs_key_path(v, key);
    if (sweep) vcs_sweep_repo(v, r->path);
    snug_status st = open_handle(r, err);
    if (st != SNUG_OK) return give_up(v, r, st);
    *out = r;
    return SNUG_OK;
}

void vcs_release(vcs_repo *r)
{
    if (r == NULL) return;
    vcs *v = r->owner;
    vcs_pending_drop(&r->pending);

    snug_lock(&v->mutex);
    SNUG_ASSERT(r->busy);
    vcs_repo *gone = NULL;
    r->busy = false;
    r->used = ++v->clock;
    gone = r->doomed ? r : oldest_idle_locked(v, VCS_IDLE_MAX);
    if (gone != NULL) unlink_locked(v, gone);
    snug_unlock(&v->mutex);
    close_handle(gone);
}

const char *vcs_repo_path(const vcs_repo *r) { return r->path; }

void vcs_pool_forget(vcs *v, snug_slice key)
{
    for (;;) {
        snug_lock(&v->mutex);
        vcs_repo *idle = find_idle_locked(v, key);
        if (idle != NULL) unlink_locked(v, idle);
        for (vcs_repo *r = v->handles; r != NULL; r = r->next) {
            if (r->busy && snug_eq_str(key, r->key)) r->doomed = true;
        }
        snug_unlock(&v->mutex);
        if (idle == NULL) return;
        close_handle(idle);
    }
}

void vcs_pool_close(vcs *v)
{
    while (v->handles != NULL) {
        vcs_repo *r = v->handles;
        SNUG_ASSERT(!r->busy); /* someone still holds a handle */
        v->handles = r->next;
        close_handle(r);
    }
    free(v->swept);
    v->swept = NULL;
}
