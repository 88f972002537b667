/* SPDX-License-Identifier: Apache-2.0 */
/* remote/xet_download.c - one file by Xet, into a partial file that survives a kill.
 *
 * For:     fetch.c, which falls back to plain HTTP.
 * Owns:    <name> and <name>.journal in the folder given, while it runs. The caller holds the lock.
 * Threads: up to REMOTE_XET_LANES a file, each with a block of it; how many of all files' lanes
 *          have a request under way the shared pace decides.
 * Truth:   when remote_xet_fetch returns SNUG_OK the file has the size and SHA-256 asked for and is
 *          on the disk. A block that is marked in the journal is not fetched again. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "remote/xet_span.h"

/* ---- what the files of a download share ---- */

remote_xget *remote_xget_open(remote *r, const remote_repo *id, const char *commit, unsigned lanes)
{
    if (r->no_xet) return NULL;
    snug_arena  *a = snug_arena_new();
    remote_xget *x = snug_zalloc(sizeof *x);
    const char  *rest = snug_arena_printf(a, "/xet-read-token/%s", commit).ptr;
    x->door = remote_door_open(r, remote_api_url(r, a, id, rest));
    /* The hub, not its store's address, keeps apart what is kept: that is known without asking. */
    x->chunks = remote_chunks_open(r->endpoint);
    remote_pace_init(&x->pace, lanes > 0 ? lanes : REMOTE_XET_LANES);
    snug_arena_free(a);
    return x;
}

void remote_xget_close(remote_xget *x)
{
    if (x == NULL) return;
    remote_pace_deinit(&x->pace);
    remote_chunks_close(x->chunks);
    remote_door_close(x->door);
    free(x);
}

/* ---- the partial file ---- */

static bool is_done(const remote_blocks *b, uint32_t i) { return (b->done[i / 8] >> (i % 8)) & 1; }

static uint64_t block_size(const remote_blocks *b, uint32_t i)
{
    uint64_t left = b->size - (uint64_t)i * b->block;
    return left < b->block ? left : b->block;
}

static uint64_t bytes_done(const remote_blocks *b)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < b->count; i++) n += is_done(b, i) ? block_size(b, i) : 0;
    return n;
}

static void save_journal(remote_xjob *jb)
{
    SNUG_AUTO(snug_buf) out = snug_buf_init(4096 + REMOTE_BLOCKS_MAX);
    remote_blocks_put(&jb->b, &out);
    /* Failing to write it costs a resume, not the download. */
    if (pwrite(jb->journal_fd, out.ptr, out.len, 0) != (ssize_t)out.len)
        snug_log(SNUG_DEBUG, "remote.journal", "name=%s errno=%d", jb->f->name, errno);
}

static bool load_journal(remote_xjob *jb)
{
    size_t  max = 4096 + REMOTE_BLOCKS_MAX;
    char   *buf = snug_alloc(max);
    ssize_t n = pread(jb->journal_fd, buf, max, 0);
    bool ok = n > 0 && remote_blocks_read(snug_slice_of(buf, (size_t)n), &jb->b, NULL) == SNUG_OK;
    free(buf);
    return ok;
}

static snug_status open_partial(remote_xjob *jb, snug_err *err)
{
    const remote_fetch *f = jb->f;
    const int           flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC;
    char                name[REMOTE_NAME_MAX + 1];
    struct stat         sb;
    (void)snprintf(name, sizeof name, "%s.journal", f->name);
    jb->fd = openat(f->dir, f->name, flags, 0666);
    if (jb->fd < 0) return remote_fail_file(err, errno, "make the partial file of", f->label);
    jb->journal_fd = openat(f->dir, name, flags, 0666);
    if (jb->journal_fd < 0) return remote_fail_file(err, errno, "make the journal of", f->label);
    bool old = fstat(jb->fd, &sb) == 0 && (uint64_t)sb.st_size == f->size && load_journal(jb);
    if (!old && (ftruncate(jb->fd, 0) != 0 || ftruncate(jb->fd, (off_t)f->size) != 0 ||
                 ftruncate(jb->journal_fd, 0) != 0))
        return remote_fail_file(err, errno, "size the partial file of", f->label);
    if (!old) save_journal(jb);
    if (!jb->again) atomic_fetch_add(&jb->c->done, bytes_done(&jb->b));
    return remote_check_space(jb->fd, f->size - bytes_done(&jb->b), f->label, err);
}

static void close_partial(remote_xjob *jb, bool drop_file, bool drop_journal)
{
    char name[REMOTE_NAME_MAX + 1];
    (void)snprintf(name, sizeof name, "%s.journal", jb->f->name);
    if (jb->fd >= 0) (void)close(jb->fd);
    if (jb->journal_fd >= 0) (void)close(jb->journal_fd);
    jb->fd = jb->journal_fd = -1;
    if (drop_file) (void)unlinkat(jb->f->dir, jb->f->name, 0);
    if (drop_journal) (void)unlinkat(jb->f->dir, name, 0);
}

/* ---- lanes ---- */

static bool take_block(remote_xjob *jb, uint32_t *index)
{
    bool found = false;
    snug_lock(&jb->lock);
    while (!found && jb->next < jb->b.count) {
        *index = jb->next++;
        found = !is_done(&jb->b, *index);
    }
    snug_unlock(&jb->lock);
    return found && !atomic_load(&jb->failed) && !atomic_load(&jb->c->stop);
}

static void end_block(remote_xjob *jb, uint32_t index, snug_status st, const snug_err *err)
{
    snug_lock(&jb->lock);
    if (st == SNUG_OK) {
        jb->b.done[index / 8] |= (unsigned char)(1u << (index % 8));
        save_journal(jb); /* short, and rare: one write for a block */
    } else if (jb->st == SNUG_OK) {
        jb->st = st;
        jb->err = *err;
        jb->err.status = st;
    }
    snug_unlock(&jb->lock);
    if (st != SNUG_OK) atomic_store(&jb->failed, true);
}

static void run_lane(void *arg)
{
    remote_xjob *jb = arg;
    uint32_t     index;
    while (take_block(jb, &index)) {
        snug_err    err = {0};
        snug_status st = SNUG_ECANCELED;
        if (remote_pace_enter(&jb->x->pace, &jb->c->stop)) {
            st = remote_block_fetch(jb, index, &err);
            remote_pace_leave(&jb->x->pace);
        } else {
            (void)snug_fail(&err, st, "canceled");
        }
        end_block(jb, index, st, &err);
    }
}

static snug_status run_lanes(remote_xjob *jb, snug_err *err)
{
    snug_thread *th[REMOTE_XET_LANES] = {NULL};
    unsigned     lanes = jb->x->pace.most < REMOTE_XET_LANES ? jb->x->pace.most : REMOTE_XET_LANES;
    if (lanes > jb->b.count) lanes = jb->b.count;
    for (unsigned i = 1; i < lanes; i++) th[i] = snug_thread_start("lane", 0, run_lane, jb);
    run_lane(jb);
    for (unsigned i = 1; i < lanes; i++) snug_thread_join(th[i]);
    if (jb->st == SNUG_OK && atomic_load(&jb->c->stop))
        return snug_fail(err, SNUG_ECANCELED, "canceled");
    if (jb->st != SNUG_OK && err != NULL) *err = jb->err;
    return jb->st;
}

/* ---- the whole ---- */

static snug_status fetch_once(remote_crew *c, const remote_fetch *f, bool again, bool *mismatch,
                              snug_err *err)
{
    snug_status st = SNUG_OK;
    bool        same = false;
    remote_xjob jb = {.c = c, .f = f, .x = f->store, .fd = -1, .journal_fd = -1, .again = again};
    *mismatch = false;
    remote_blocks_plan(&jb.b, f->etag, &f->xet, f->size);
    snug_mutex_init(&jb.lock, "remote.xjob", 860);
    SNUG_TRY(open_partial(&jb, err));
    SNUG_TRY(run_lanes(&jb, err));
    remote_crew_what(c, "verifying %s", f->label);
    SNUG_TRY(remote_verify_fd(jb.fd, f->etag, f->size, &c->stop, &same, err));
    if (!same) {
        *mismatch = true;
        SNUG_FAIL(err, SNUG_ECORRUPT,
                  "%s: what arrived is not what the server promised (its hash differs)", f->label);
    }
    if (fdatasync(jb.fd) != 0) st = remote_fail_file(err, errno, "write", f->label);
done:
    /* A damaged part may be among the blocks that count as there. */
    *mismatch = *mismatch || st == SNUG_ECORRUPT;
    close_partial(&jb, *mismatch || st == SNUG_EUNSUPPORTED,
                  st == SNUG_OK || *mismatch || st == SNUG_EUNSUPPORTED);
    snug_mutex_deinit(&jb.lock);
    free(jb.b.done);
    return st;
}

snug_status remote_xet_fetch(remote_crew *c, const remote_fetch *f, snug_err *err)
{
    bool        mismatch;
    snug_status st = fetch_once(c, f, false, &mismatch, err);
    /* Once more from nothing: a stale partial file or a damaged cache must not make a download
     * impossible. */
    if (mismatch && !atomic_load(&c->stop)) {
        snug_err_clear(err);
        st = fetch_once(c, f, true, &mismatch, err);
    }
    return st;
}
