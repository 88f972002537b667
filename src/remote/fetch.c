/* SPDX-License-Identifier: Apache-2.0 */
/* remote/fetch.c - one file, in parallel ranges, into a partial file that survives a kill.
 *
 * For:     cache.c and local.c, which give the verified file its name.
 * Owns:    <name> and <name>.journal in the folder given, while it runs. The caller holds the lock.
 * Threads: one per segment; each owns its range of the file and its `next`.
 * Truth:   when remote_fetch_file returns SNUG_OK the file has the size and the hash asked for and
 *          is on the disk. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "remote/remote_int.h"

enum { JOURNAL_EVERY = 1 << 20, HASH_CHUNK = 256 * 1024 };

/* A download in progress. */
typedef struct job {
    remote_crew        *c;
    const remote_fetch *f;
    remote_journal      j;
    int                 fd, journal_fd;
    char                journal_name[REMOTE_NAME_MAX + 1];
    atomic_bool         no_ranges; /* the server sent the whole file to a range request */
    atomic_bool         failed;
    _Atomic uint64_t    counted; /* of this file, in the progress */
} job;

typedef struct stream {
    job            *jb;
    remote_segment *s;
    uint64_t        saved_at, try_began;
    snug_err        err;
    snug_status     st;
} stream;

/* ---- progress: bytes fetched twice count once ---- */

static void count_up_to(job *jb, uint64_t have)
{
    uint64_t was = atomic_load(&jb->counted);
    while (have > was && !atomic_compare_exchange_weak(&jb->counted, &was, have)) continue;
    if (have > was) atomic_fetch_add(&jb->c->done, have - was);
}

static void save_journal(job *jb)
{
    unsigned char buf[REMOTE_JOURNAL_MAX];
    size_t        n = remote_journal_put(&jb->j, buf);
    /* Failing to write it costs a resume, not the download. */
    if (pwrite(jb->journal_fd, buf, n, 0) != (ssize_t)n) {
        snug_log(SNUG_DEBUG, "remote.journal", "name=%s errno=%d", jb->journal_name, errno);
    }
}

/* ---- one segment ---- */

static snug_status write_at(job *jb, snug_slice part, uint64_t at, snug_err *err)
{
    while (part.len > 0) {
        ssize_t n = SNUG_FAULT("remote.write") ? -1 : pwrite(jb->fd, part.ptr, part.len, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return remote_fail_file(err, errno, "write", jb->f->label);
        part = snug_sub(part, (size_t)n, SIZE_MAX);
        at += (uint64_t)n;
    }
    return SNUG_OK;
}

static snug_status take(void *arg, int status, snug_slice part, snug_err *err)
{
    stream *t = arg;
    job    *jb = t->jb;
    if (atomic_load(&jb->c->stop)) return snug_fail(err, SNUG_ECANCELED, "canceled");
    uint64_t next = atomic_load(&t->s->next);
    if (status == 200 && t->try_began != 0) {
        atomic_store(&jb->no_ranges, true);
        return snug_fail(err, SNUG_EAGAIN, "the server ignores ranges");
    }
    if (part.len > t->s->end - next) {
        if (status == 200 && jb->j.count > 1) {
            atomic_store(&jb->no_ranges, true);
            return snug_fail(err, SNUG_EAGAIN, "the server ignores ranges");
        }
        return snug_fail(err, SNUG_ECORRUPT,
                         "%s: the server sent more than the %" PRIu64 " bytes it promised",
                         jb->f->label, jb->f->size);
    }
    snug_status st = write_at(jb, part, next, err);
    if (st != SNUG_OK) return st;
    atomic_store(&t->s->next, next + part.len);
    atomic_fetch_add(&jb->c->network, part.len);
    count_up_to(jb, remote_journal_done(&jb->j));
    if (next + part.len - t->saved_at >= JOURNAL_EVERY) {
        t->saved_at = next + part.len;
        save_journal(jb);
    }
    return SNUG_OK;
}

/* One request for what is still missing; the loop around it is in run_segment because the range
 * moves between tries. */
static snug_status ask_once(stream *t, snug_arena *a, http_answer *ans, snug_err *err)
{
    job       *jb = t->jb;
    uint64_t   next = atomic_load(&t->s->next);
    bool       all = next == 0 && t->s->end == jb->f->size;
    remote_ask q = {.method = "GET",
                    .url = jb->f->url,
                    .accept = "*/*",
                    .single = true,
                    .identity = true,
                    .push = take,
                    .push_arg = t,
                    .cancel = &jb->c->stop,
                    .with_range = !all,
                    .range_first = next,
                    .range_last = t->s->end - 1};
    t->try_began = next;
    snug_status st = remote_exchange(jb->f->r, &q, a, ans, err);
    if (st == SNUG_OK && atomic_load(&t->s->next) < t->s->end) {
        st = snug_fail(err, SNUG_EREMOTE, "%s: the connection ended early", jb->f->label);
        ans->status = 0;
    }
    return st;
}

static void run_segment(void *arg)
{
    stream *t = arg;
    job    *jb = t->jb;
    for (unsigned failures = 0; atomic_load(&t->s->next) < t->s->end;) {
        snug_arena *a = snug_arena_new();
        http_answer ans = {0};
        uint64_t    before = atomic_load(&t->s->next);
        t->st = ask_once(t, a, &ans, &t->err);
        bool again =
            t->st != SNUG_OK && remote_is_passing(t->st, ans.status >= 400 ? ans.status : 0);
        uint64_t pause = 0;
        if (again) {
            if (atomic_load(&t->s->next) > before) failures = 0;
            again = ++failures < REMOTE_TRIES_MAX;
            pause = remote_backoff_ms(
                failures, ans.status >= 400 ? http_answer_header(&ans, "Retry-After") : SNUG_EMPTY);
        }
        int ans_status = ans.status;
        snug_arena_free(a);
        save_journal(jb);
        if (t->st == SNUG_OK) continue;
        if (!again || atomic_load(&jb->failed)) break;
        if (ans_status >= 400)
            remote_crew_why(jb->c, "the server answers %d", ans_status);
        else
            remote_crew_why(jb->c, "%s", t->err.msg);
        if (remote_wait(pause, &jb->c->stop, &t->err) != SNUG_OK) {
            t->st = SNUG_ECANCELED;
            break;
        }
    }
    if (t->st != SNUG_OK) atomic_store(&jb->failed, true);
}

static snug_status run_segments(job *jb, snug_err *err)
{
    stream       t[REMOTE_SEGMENTS_MAX];
    snug_thread *th[REMOTE_SEGMENTS_MAX] = {NULL};
    memset(t, 0, sizeof t);
    SNUG_ASSERT(jb->j.count >= 1 && jb->j.count <= REMOTE_SEGMENTS_MAX);
    for (unsigned i = 0; i < jb->j.count; i++) {
        t[i] = (stream){.jb = jb, .s = &jb->j.seg[i], .saved_at = atomic_load(&jb->j.seg[i].next)};
        if (i > 0) th[i] = snug_thread_start("segment", 0, run_segment, &t[i]);
    }
    run_segment(&t[0]);
    for (unsigned i = 1; i < jb->j.count; i++) snug_thread_join(th[i]);
    for (unsigned i = 0; i < jb->j.count; i++) {
        if (t[i].st == SNUG_OK) continue;
        if (err != NULL) *err = t[i].err;
        return t[i].st;
    }
    return SNUG_OK;
}

/* ---- the partial file ---- */

snug_status remote_check_space(int fd, uint64_t need, const char *label, snug_err *err)
{
    struct statvfs v;
    if (fstatvfs(fd, &v) != 0 || v.f_frsize == 0) return SNUG_OK;
    uint64_t room = (uint64_t)v.f_bavail * v.f_frsize;
    if (need <= room) return SNUG_OK;
    char a[16], b[16];
    snug_size_human(need, a);
    snug_size_human(room, b);
    return snug_fail(err, SNUG_EIO, "%s needs %s more and the disk has %s left", label, a, b);
}

static bool load_journal(job *jb)
{
    char    buf[REMOTE_JOURNAL_MAX];
    ssize_t n = pread(jb->journal_fd, buf, sizeof buf, 0);
    return n > 0 && remote_journal_read(snug_slice_of(buf, (size_t)n), jb->f->etag, jb->f->size,
                                        &jb->j, NULL) == SNUG_OK;
}

static snug_status open_partial(job *jb, unsigned segments, snug_err *err)
{
    const remote_fetch *f = jb->f;
    const int           flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC;
    (void)snprintf(jb->journal_name, sizeof jb->journal_name, "%s.journal", f->name);
    jb->fd = openat(f->dir, f->name, flags, 0666);
    if (jb->fd < 0) return remote_fail_file(err, errno, "make the partial file of", f->label);
    jb->journal_fd = openat(f->dir, jb->journal_name, flags, 0666);
    if (jb->journal_fd < 0) return remote_fail_file(err, errno, "make the journal of", f->label);
    struct stat sb;
    bool old = fstat(jb->fd, &sb) == 0 && (uint64_t)sb.st_size == f->size && load_journal(jb);
    if (!old) {
        remote_journal_plan(&jb->j, f->etag, f->size, segments);
        if (ftruncate(jb->fd, 0) != 0 || ftruncate(jb->fd, (off_t)f->size) != 0 ||
            ftruncate(jb->journal_fd, 0) != 0) {
            return remote_fail_file(err, errno, "size the partial file of", f->label);
        }
        save_journal(jb);
    }
    count_up_to(jb, remote_journal_done(&jb->j));
    return remote_check_space(jb->fd, f->size - remote_journal_done(&jb->j), f->label, err);
}

static void close_partial(job *jb, bool drop_file, bool drop_journal)
{
    if (jb->fd >= 0) (void)close(jb->fd);
    if (jb->journal_fd >= 0) (void)close(jb->journal_fd);
    jb->fd = jb->journal_fd = -1;
    if (drop_file) (void)unlinkat(jb->f->dir, jb->f->name, 0);
    if (drop_journal) (void)unlinkat(jb->f->dir, jb->journal_name, 0);
}

/* ---- verification ---- */

static snug_status hash_fd(int fd, snug_hasher *h, uint64_t size, const atomic_bool *cancel,
                           snug_err *err)
{
    snug_status st = SNUG_OK;
    char       *buf = snug_alloc(HASH_CHUNK);
    for (uint64_t at = 0; st == SNUG_OK && at < size;) {
        size_t n = size - at < HASH_CHUNK ? (size_t)(size - at) : HASH_CHUNK;
        if (cancel != NULL && atomic_load(cancel))
            st = snug_fail(err, SNUG_ECANCELED, "canceled");
        else
            st = snug_pread_all(fd, buf, n, at, err);
        if (st == SNUG_OK) snug_hasher_update(h, buf, n);
        at += n;
    }
    free(buf);
    return st;
}

snug_status remote_verify_fd(int fd, snug_slice etag, uint64_t size, const atomic_bool *cancel,
                             bool *same, snug_err *err)
{
    struct stat   sb;
    unsigned char want[32], have[32];
    *same = false;
    if (fstat(fd, &sb) != 0 || (uint64_t)sb.st_size != size) return SNUG_OK;
    bool   sha256 = etag.len == 64;
    size_t n = sha256 ? 32 : 20;
    if ((etag.len != 64 && etag.len != 40) || !snug_unhex(etag, want, n)) {
        *same = true; /* an opaque id: the size is all there is to compare */
        return SNUG_OK;
    }
    snug_hasher *h = snug_hasher_new(sha256 ? SNUG_HASH_SHA256 : SNUG_HASH_SHA1);
    if (!sha256) {
        char head[40];
        int  len = snprintf(head, sizeof head, "blob %" PRIu64, size);
        snug_hasher_update(h, head, (size_t)len + 1); /* the NUL belongs to it */
    }
    snug_status st = hash_fd(fd, h, size, cancel, err);
    if (st == SNUG_OK) {
        snug_hasher_finish(h, have);
        *same = memcmp(want, have, n) == 0;
    }
    snug_hasher_free(h);
    return st;
}

/* ---- the whole ---- */

static snug_status fetch_once(job *jb, unsigned segments, bool *mismatch, snug_err *err)
{
    snug_status st = SNUG_OK;
    bool        same = false;
    *mismatch = false;
    atomic_store(&jb->failed, false);
    SNUG_TRY(open_partial(jb, segments, err));
    SNUG_TRY(run_segments(jb, err));
    remote_crew_what(jb->c, "verifying %s", jb->f->label);
    SNUG_TRY(remote_verify_fd(jb->fd, jb->f->etag, jb->f->size, &jb->c->stop, &same, err));
    if (!same) {
        *mismatch = true;
        SNUG_FAIL(err, SNUG_ECORRUPT,
                  "%s: what arrived is not what the server promised (its hash differs)",
                  jb->f->label);
    }
    if (fdatasync(jb->fd) != 0) st = remote_fail_file(err, errno, "write", jb->f->label);
done:
    close_partial(jb, *mismatch || st == SNUG_EAGAIN,
                  st == SNUG_OK || *mismatch || st == SNUG_EAGAIN);
    return st;
}

static snug_status fetch_plain(remote_crew *c, const remote_fetch *f, snug_err *err)
{
    job         jb = {.c = c, .f = f, .fd = -1, .journal_fd = -1};
    bool        mismatch;
    unsigned    segments = f->segments == 0 ? 4 : f->segments;
    snug_status st = fetch_once(&jb, segments, &mismatch, err);
    if (st == SNUG_EAGAIN || atomic_load(&jb.no_ranges)) {
        atomic_store(&jb.no_ranges, false);
        close_partial(&jb, true, true);
        st = fetch_once(&jb, 1, &mismatch, err);
    }
    /* Once more from nothing: a stale partial file must not make a download impossible. */
    if (mismatch && !atomic_load(&c->stop)) st = fetch_once(&jb, segments, &mismatch, err);
    return st;
}

snug_status remote_fetch_file(remote_crew *c, const remote_fetch *f, snug_err *err)
{
    if (f->store != NULL && !xet_hash_is_zero(&f->xet)) {
        snug_status st = remote_xet_fetch(c, f, err);
        if (st != SNUG_EUNSUPPORTED) return st;
        snug_err_clear(err);
    }
    return fetch_plain(c, f, err);
}
