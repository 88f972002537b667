/* SPDX-License-Identifier: Apache-2.0 */
/* http/stream.c - answers produced while they are sent: a bounded ring, and SSE frames over it.
 *
 * For:     handlers and the threads they start; reply.c and conn.c on the server's side.
 * Owns:    the ring. Counted: the creator holds one reference, the answer another.
 * Threads: any number push; one I/O thread reads (read_ring); the watch thread ticks.
 * Truth:   `waiting` is set by the I/O thread together with the suspension and cleared by exactly
 *          one other thread, which then resumes. A suspended connection cannot go away, so the
 *          one who cleared the flag may use it.
 *
 *   push --> [ ring ] --> read_ring --> socket
 *     | full: waits            | empty: suspends the connection, waiting = true
 *     +<-- bytes taken --------+ the next push, close, or the peer's end resumes it
 *
 * A reader that returned 0 without suspending would be called again at once, for ever. */
#include <stdlib.h>
#include <string.h>

#include "http/http_int.h"

struct http_stream {
    atomic_uint            refs;
    snug_mutex             lock; /* rank 720: guards everything below */
    snug_cond              room; /* bytes were taken, or nobody will take any */
    char                  *ring;
    size_t                 cap, head, used;
    bool                   waiting; /* the connection is suspended for us */
    bool                   closed, ok;
    bool                   ended; /* the reader saw the end */
    bool                   sse;
    atomic_bool            gone;
    uint64_t               last_ms; /* of the last bytes pushed */
    unsigned               heartbeat_ms, push_timeout_ms;
    struct MHD_Connection *mc;
};

enum {
    PUSH_TIMEOUT_MS = 30000,
    RING_MIN = 1024,
    RING_MAX = 16 << 20,
    READ_BLOCK = 16 << 10,
    READ_BLOCK_FILE = 128 << 10
};

http_stream *http_stream_new(size_t ring_bytes)
{
    http_stream *s = snug_zalloc(sizeof *s);
    atomic_init(&s->refs, 1);
    atomic_init(&s->gone, false);
    snug_mutex_init(&s->lock, "http_stream", 720);
    snug_cond_init(&s->room);
    s->cap = ring_bytes == 0 ? HTTP_STREAM_RING_DEFAULT : ring_bytes;
    if (s->cap < RING_MIN) s->cap = RING_MIN;
    if (s->cap > RING_MAX) s->cap = RING_MAX;
    s->ring = snug_alloc(s->cap);
    s->push_timeout_ms = PUSH_TIMEOUT_MS;
    s->last_ms = snug_mono_ms();
    return s;
}

void http_stream_ref(http_stream *s) { atomic_fetch_add(&s->refs, 1); }

void http_stream_unref(http_stream *s)
{
    if (s == NULL || atomic_fetch_sub(&s->refs, 1) != 1) return;
    snug_cond_deinit(&s->room);
    snug_mutex_deinit(&s->lock);
    free(s->ring);
    free(s);
}

bool http_stream_gone(const http_stream *s) { return atomic_load(&s->gone); }

/* Unlocks and wakes the connection if it slept. */
static void unlock_and_resume(http_stream *s)
{
    struct MHD_Connection *mc = s->waiting ? s->mc : NULL;
    s->waiting = false;
    snug_unlock(&s->lock);
    if (mc != NULL) MHD_resume_connection(mc);
}

void http_stream_set_gone(http_stream *s)
{
    snug_lock(&s->lock);
    if (!s->ended) atomic_store(&s->gone, true);
    snug_cond_broadcast(&s->room);
    unlock_and_resume(s);
}

void http_stream_close(http_stream *s, bool ok)
{
    snug_lock(&s->lock);
    if (!s->closed) {
        s->closed = true;
        s->ok = ok;
    }
    unlock_and_resume(s);
}

/* ---- pushing ---- */

static void put_locked(http_stream *s, const char *p, size_t n)
{
    size_t tail = (s->head + s->used) % s->cap;
    size_t first = n < s->cap - tail ? n : s->cap - tail;
    memcpy(s->ring + tail, p, first);
    memcpy(s->ring, p + first, n - first);
    s->used += n;
    s->last_ms = snug_mono_ms();
}

/* Waits until n bytes fit or waiting is pointless. */
static snug_status wait_room_locked(http_stream *s, size_t n, snug_err *err)
{
    uint64_t deadline = snug_mono_ms() + s->push_timeout_ms;
    for (;;) {
        if (atomic_load(&s->gone)) return snug_fail(err, SNUG_ECANCELED, "the client went away");
        if (s->closed) return snug_fail(err, SNUG_EINTERNAL, "the stream is closed");
        if (s->cap - s->used >= n) return SNUG_OK;
        uint64_t now = snug_mono_ms();
        if (now >= deadline) return snug_fail(err, SNUG_ETIMEOUT, "the client reads too slowly");
        (void)snug_cond_wait_ms(&s->room, &s->lock, deadline - now);
    }
}

snug_status http_stream_push(http_stream *s, snug_slice bytes, snug_err *err)
{
    snug_status st = SNUG_OK;
    do { /* what fits the ring goes in whole, so that frames of several pushers do not mix */
        size_t n = bytes.len < s->cap ? bytes.len : s->cap;
        snug_lock(&s->lock);
        st = wait_room_locked(s, n, err);
        if (st == SNUG_OK && n > 0) {
            put_locked(s, bytes.ptr, n);
            unlock_and_resume(s);
        } else {
            snug_unlock(&s->lock);
        }
        bytes = snug_sub(bytes, n, bytes.len);
    } while (st == SNUG_OK && bytes.len > 0);
    return st;
}

/* Each line of data gets its own "data:"; any of the three line ends counts. */
static void put_data_lines(snug_buf *b, snug_slice data)
{
    size_t start = 0;
    for (size_t i = 0; i <= data.len; i++) {
        if (i < data.len && data.ptr[i] != '\n' && data.ptr[i] != '\r') continue;
        snug_buf_puts(b, "data: ");
        snug_buf_put_slice(b, snug_sub(data, start, i - start));
        snug_buf_putc(b, '\n');
        if (i + 1 < data.len && data.ptr[i] == '\r' && data.ptr[i + 1] == '\n') i++;
        start = i + 1;
    }
}

snug_status http_sse_push(http_stream *s, const char *event, snug_slice data, snug_err *err)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(SIZE_MAX / 4);
    if (event != NULL) snug_buf_printf(&b, "event: %s\n", event);
    put_data_lines(&b, data);
    snug_buf_putc(&b, '\n');
    return http_stream_push(s, snug_buf_slice(&b), err);
}

/* ---- the server's side ---- */

static ssize_t read_ring(void *cls, uint64_t pos, char *buf, size_t max)
{
    http_stream *s = cls;
    ssize_t      got = 0;
    (void)pos;
    snug_lock(&s->lock);
    if (atomic_load(&s->gone)) {
        got = MHD_CONTENT_READER_END_WITH_ERROR;
    } else if (s->used > 0) {
        size_t n = s->used < max ? s->used : max;
        size_t first = n < s->cap - s->head ? n : s->cap - s->head;
        memcpy(buf, s->ring + s->head, first);
        memcpy(buf + first, s->ring, n - first);
        s->head = (s->head + n) % s->cap;
        s->used -= n;
        got = (ssize_t)n;
        snug_cond_broadcast(&s->room);
        snug_metric_add(SNUG_M_HTTP_BYTES_OUT, (int64_t)n);
    } else if (s->closed) {
        s->ended = s->ok;
        got = s->ok ? MHD_CONTENT_READER_END_OF_STREAM : MHD_CONTENT_READER_END_WITH_ERROR;
    } else {
        s->waiting = true;
        MHD_suspend_connection(s->mc);
    }
    snug_unlock(&s->lock);
    return got;
}

static void response_freed(void *cls)
{
    http_stream *s = cls;
    snug_lock(&s->lock);
    if (!s->ended) atomic_store(&s->gone, true);
    s->mc = NULL;
    snug_cond_broadcast(&s->room);
    snug_unlock(&s->lock);
    http_stream_unref(s);
}

struct MHD_Response *http_stream_response(http_stream *s, uint64_t total)
{
    size_t block =
        total == MHD_SIZE_UNKNOWN || total < READ_BLOCK_FILE ? READ_BLOCK : READ_BLOCK_FILE;
    return MHD_create_response_from_callback(total, block, read_ring, s, response_freed);
}

void http_stream_attach(http_stream *s, struct MHD_Connection *mc, const http_limits *l, bool sse)
{
    snug_lock(&s->lock);
    SNUG_ASSERT(s->mc == NULL); /* one stream answers one request */
    s->mc = mc;
    s->sse = sse;
    s->heartbeat_ms = l->heartbeat_ms;
    s->push_timeout_ms = l->push_timeout_ms;
    snug_unlock(&s->lock);
}

/* A comment line after a silence: keeps proxies from closing, and finds dead peers. */
void http_stream_tick(http_stream *s, uint64_t now_ms)
{
    static const char beat[] = ": keep-alive\n\n";
    snug_lock(&s->lock);
    bool due = s->sse && !s->closed && !atomic_load(&s->gone) && s->used == 0 &&
               now_ms >= s->last_ms + s->heartbeat_ms;
    if (due) {
        put_locked(s, beat, sizeof beat - 1);
        unlock_and_resume(s);
    } else {
        snug_unlock(&s->lock);
    }
}
