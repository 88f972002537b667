/* SPDX-License-Identifier: Apache-2.0 */
/* blob/sink.c - bytes into a file and a hash at the same time.
 *
 * The caller's thread copies into a 1 MiB buffer and hashes; full buffers are written by the
 * store's pool while hashing goes on. Full buffers start at a multiple of the page size of a
 * file offset, so they can bypass the page cache (O_DIRECT) where the file system allows it: one
 * copy less, no write-back to wait for at the end, and an upload of 500 GB does not push
 * everything useful out of memory. Objects smaller than one buffer never meet the pool.
 *
 *      caller: copy+hash | copy+hash | copy+hash | finish: wait, write the tail
 *      pool:             |  write 0  |  write 1  |  write 2
 *
 * For:     fs.c and part.c.
 * Owns:    its buffers; the fd is borrowed.
 * Threads: one caller; pool threads touch a buffer only between `busy` set and cleared. */
#include "blob/blob_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { SINK_ALIGN = 4096, RANK_SINK = 620 };

typedef struct sink_part {
    sink          *owner;
    unsigned char *data; /* SINK_BUFFER bytes, page aligned */
    size_t         used;
    uint64_t       off;
    bool           busy;
} sink_part;

struct sink {
    int          fd;
    bool         direct;
    snug_pool   *pool;
    snug_hasher *hasher;
    uint64_t     start, off; /* first and next file offset */
    size_t       room;       /* bytes the current buffer may take */
    sink_part    parts[SINK_BUFFERS];
    size_t       at;   /* index of the buffer being filled */
    snug_mutex   lock; /* guards busy and error */
    snug_cond    idle;
    int          error; /* first errno of a write */
};

sink *sink_new(snug_pool *pool, int fd, uint64_t off)
{
    sink *k = snug_zalloc(sizeof *k);
    k->fd = fd;
    k->pool = pool;
    k->hasher = snug_hasher_new(SNUG_HASH_SHA256);
    k->start = k->off = off;
    /* The first buffer may be shorter so that all others begin at a page. */
    k->room = SINK_BUFFER - (size_t)(off % SINK_ALIGN);
    snug_mutex_init(&k->lock, "blob.sink", RANK_SINK);
    snug_cond_init(&k->idle);
    for (size_t i = 0; i < SINK_BUFFERS; i++) k->parts[i].owner = k;
    return k;
}

uint64_t sink_size(const sink *k) { return k->off - k->start; }

/* 0, or the errno. */
static int write_at(int fd, const unsigned char *p, size_t n, uint64_t off)
{
    if (SNUG_FAULT("blob.write")) return errno;
    while (n > 0) {
        ssize_t got = pwrite(fd, p, n, (off_t)off);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return errno;
        if (got == 0) return EIO;
        p += got;
        n -= (size_t)got;
        off += (uint64_t)got;
    }
    return 0;
}

static void write_part(void *arg)
{
    sink_part *b = arg;
    sink      *k = b->owner;
    int        e = write_at(k->fd, b->data, b->used, b->off);
    if (e == EINVAL && k->direct) { /* a file system that takes the flag and then refuses */
        int flags = fcntl(k->fd, F_GETFL);
        (void)fcntl(k->fd, F_SETFL, flags & ~O_DIRECT);
        e = write_at(k->fd, b->data, b->used, b->off);
    }
    /* Without O_DIRECT, start the disk now, so that the final fsync finds little left to do. */
    if (e == 0 && !k->direct)
        (void)sync_file_range(k->fd, (off_t)b->off, (off_t)b->used, SYNC_FILE_RANGE_WRITE);
    snug_lock(&k->lock);
    if (e != 0 && k->error == 0) k->error = e;
    b->busy = false;
    b->used = 0;
    snug_cond_broadcast(&k->idle);
    snug_unlock(&k->lock);
}

/* Until nobody writes this buffer; the errno of any write so far. */
static int wait_for(sink *k, const sink_part *b)
{
    snug_lock(&k->lock);
    while (b->busy) snug_cond_wait(&k->idle, &k->lock);
    int e = k->error;
    snug_unlock(&k->lock);
    return e;
}

static void set_direct(sink *k, bool on)
{
    int flags = fcntl(k->fd, F_GETFL);
    if (flags < 0) return;
    flags = on ? flags | O_DIRECT : flags & ~O_DIRECT;
    if (fcntl(k->fd, F_SETFL, flags) == 0) k->direct = on; /* refused (tmpfs): stays buffered */
}

/* Hands the full buffer to the pool; a full pool means that we write it ourselves. */
static void send_part(sink *k)
{
    sink_part *b = &k->parts[k->at];
    bool       aligned = b->off % SINK_ALIGN == 0 && b->used % SINK_ALIGN == 0;
    if (aligned && !k->direct && k->off - k->start <= 2 * (uint64_t)SINK_BUFFER)
        set_direct(k, true);
    snug_lock(&k->lock);
    b->busy = true;
    snug_unlock(&k->lock);
    if (!aligned || !snug_pool_submit(k->pool, write_part, b)) write_part(b);
    k->at = (k->at + 1) % SINK_BUFFERS;
    k->room = SINK_BUFFER;
}

snug_status sink_write(sink *k, const void *p, size_t n, snug_err *err)
{
    const unsigned char *from = p;
    while (n > 0) {
        sink_part *b = &k->parts[k->at];
        int        e = wait_for(k, b);
        if (e != 0) return snug_fail_sys(err, e, "write of a blob");
        if (b->data == NULL && posix_memalign((void **)&b->data, SINK_ALIGN, SINK_BUFFER) != 0)
            return snug_fail(err, SNUG_ENOMEM, "out of memory");
        if (b->used == 0) b->off = k->off;
        size_t part = k->room - b->used < n ? k->room - b->used : n;
        memcpy(b->data + b->used, from, part);
        snug_hasher_update(k->hasher, b->data + b->used, part);
        b->used += part;
        k->off += part;
        from += part;
        n -= part;
        if (b->used == k->room) send_part(k);
    }
    return SNUG_OK;
}

snug_status sink_finish(sink *k, snug_sha256 *out, snug_err *err)
{
    sink_part *last = &k->parts[k->at];
    for (size_t i = 0; i < SINK_BUFFERS; i++) (void)wait_for(k, &k->parts[i]);
    if (k->direct) set_direct(k, false); /* the tail is no whole number of pages */
    if (k->error == 0 && last->used > 0)
        k->error = write_at(k->fd, last->data, last->used, last->off);
    if (k->error != 0) return snug_fail_sys(err, k->error, "write of a blob");
    snug_hasher_finish(k->hasher, out->b);
    return SNUG_OK;
}

void sink_free(sink *k)
{
    if (k == NULL) return;
    for (size_t i = 0; i < SINK_BUFFERS; i++) {
        (void)wait_for(k, &k->parts[i]);
        free(k->parts[i].data);
    }
    snug_hasher_free(k->hasher);
    snug_cond_deinit(&k->idle);
    snug_mutex_deinit(&k->lock);
    free(k);
}
