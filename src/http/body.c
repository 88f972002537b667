/* SPDX-License-Identifier: Apache-2.0 */
/* http/body.c - a request body on its way to a handler that pulls it.
 *
 * For:     handlers of ROUTE_STREAM_BODY rows (http_req_read); conn.c fills the ring.
 * Owns:    the ring of a connection, made for one request and freed with it.
 * Threads: one I/O thread puts, one worker takes; everything under conn->lock.
 * Truth:   the connection is suspended exactly while conn->waiting says why, and whoever sets
 *          that back to HTTP_WAIT_NO resumes it.
 *
 * Back-pressure is the whole point: a full ring suspends the connection, the kernel's buffers
 * fill, and the client waits. Half an empty ring wakes it again, so that it is woken seldom. */
#include <inttypes.h>
#include <stdlib.h>

#include "http/http_int.h"

size_t http_ring_put_locked(http_conn *c, const char *p, size_t n)
{
    if (c->ring == NULL) {
        c->ring_cap = c->rq.length < HTTP_RING_BYTES ? (size_t)c->rq.length : HTTP_RING_BYTES;
        if (c->ring_cap < 4096) c->ring_cap = 4096;
        c->ring = snug_alloc(c->ring_cap);
        c->ring_head = c->ring_used = 0;
    }
    size_t room = c->ring_cap - c->ring_used;
    if (n > room) n = room;
    size_t tail = (c->ring_head + c->ring_used) % c->ring_cap;
    size_t first = n < c->ring_cap - tail ? n : c->ring_cap - tail;
    memcpy(c->ring + tail, p, first);
    memcpy(c->ring, p + first, n - first);
    c->ring_used += n;
    if (n > 0) snug_cond_broadcast(&c->changed);
    return n;
}

void http_ring_free(http_conn *c)
{
    free(c->ring);
    c->ring = NULL;
    c->ring_cap = c->ring_head = c->ring_used = 0;
}

static size_t ring_take_locked(http_conn *c, char *p, size_t n)
{
    if (n > c->ring_used) n = c->ring_used;
    size_t first = n < c->ring_cap - c->ring_head ? n : c->ring_cap - c->ring_head;
    memcpy(p, c->ring + c->ring_head, first);
    memcpy(p + first, c->ring, n - first);
    c->ring_head = (c->ring_head + n) % c->ring_cap;
    c->ring_used -= n;
    return n;
}

static snug_status read_memory(http_req *rq, void *p, size_t n, size_t *got)
{
    snug_slice left = snug_sub(snug_buf_slice(&rq->body), rq->body_off, n);
    if (left.len > 0) memcpy(p, left.ptr, left.len);
    rq->body_off += left.len;
    *got = left.len;
    return SNUG_OK;
}

static snug_status late(http_req *rq, snug_err *err)
{
    rq->body_late = true;
    return snug_fail(err, SNUG_ETIMEOUT, "the request body did not arrive in time");
}

/* Waits for bytes, the end, or a reason to give up. */
static snug_status wait_bytes_locked(http_req *rq, snug_err *err)
{
    http_conn *c = rq->conn;
    for (;;) {
        if (c->gone) return snug_fail(err, SNUG_ECANCELED, "the client went away");
        if (c->ring_used > 0 || c->body_eof) return SNUG_OK;
        if (c->body_over) {
            return snug_fail(err, SNUG_ELIMIT,
                             "the request body is larger than the limit of %" PRIu64 " bytes",
                             rq->body_max);
        }
        if (c->body_slow) return late(rq, err);
        uint64_t before = c->received;
        bool woken = snug_cond_wait_ms(&c->changed, &c->lock, 1000u * rq->server->o.body_timeout_s);
        if (!woken && c->received == before && !c->body_eof && !c->gone) return late(rq, err);
    }
}

snug_status http_req_read(http_req *rq, void *p, size_t n, size_t *got, snug_err *err)
{
    http_conn *c = rq->conn;
    *got = 0;
    if (!rq->streaming) return read_memory(rq, p, n, got);
    if (n == 0) return SNUG_OK;
    snug_lock(&c->lock);
    c->body_wanted = true;
    bool wake = c->waiting == HTTP_WAIT_HEADERS;
    if (wake) {
        c->waiting = HTTP_WAIT_NO;
        c->last_body_ms = snug_mono_ms();
        snug_unlock(&c->lock);
        MHD_resume_connection(c->mc);
        snug_lock(&c->lock);
    }
    snug_status st = wait_bytes_locked(rq, err);
    if (st == SNUG_OK && c->ring_used > 0) *got = ring_take_locked(c, p, n);
    wake = c->waiting == HTTP_WAIT_SPACE && c->ring_used <= c->ring_cap / 2;
    if (wake) {
        c->waiting = HTTP_WAIT_NO;
        c->last_body_ms = snug_mono_ms();
    }
    snug_unlock(&c->lock);
    if (wake) MHD_resume_connection(c->mc);
    return st;
}
