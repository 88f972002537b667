/* SPDX-License-Identifier: Apache-2.0 */
/* http/conn.c - the life of a request on a connection.
 *
 * For:     server.c, which registers the callbacks with libmicrohttpd.
 * Owns:    http_conn and, inside it, the one request that is on the connection.
 * Threads: callbacks run on the connection's I/O thread; run_job on a worker; http_conn_check on
 *          the watch thread. A queued request's connection is suspended, so worker and I/O thread
 *          take turns; a streamed body is the exception and lives under conn->lock (body.c).
 * Truth:   every request that reached its headers gets exactly one answer or a cut connection,
 *          and request_end runs exactly once for it.
 *
 *          request line         no body            inline or fast
 *   IDLE ---------------> HEAD ----------> READY ----------------------> REPLY --> IDLE
 *                          |                 ^ |                           ^
 *                          |                 | +-- queued --> RUN -- resume+
 *                          |                 |              (suspended)    |
 *                          |-- in memory     |                             |
 *                          |      BODY ------+ all there                   |
 *                          |-- ROUTE_STREAM_BODY: the handler starts now   |
 *                          |      STREAM (a worker pulls) -- all read -----+
 *                          |        |                                      |
 *                          |        +-- answered early --+                 |
 *                          |                             |                 |
 *                          +-- refused: 404 405 413 503 -+                 |
 *                                                        |                 |
 *                                                        +--> DRAIN -------+
 *                                                        |   rest swallowed
 *                                                        +--> LINGER --> closed
 *                                                            answered by hand
 *
 * libmicrohttpd takes an answer only before the first byte of the body or after the last. In
 * between, a short rest is swallowed (DRAIN, the connection lives on); otherwise the answer is
 * written to the socket here, our side is shut, and the rest is read for a while so that the
 * kernel does not answer it with a reset that would wipe out the reply (LINGER). */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "http/http_int.h"

enum { ARENA_KEEP_BYTES = 64 << 10 };

static void set_phase(http_conn *c, http_phase p)
{
    atomic_store_explicit(&c->phase, (int)p, memory_order_release);
}

static http_phase get_phase(http_conn *c)
{
    return (http_phase)atomic_load_explicit(&c->phase, memory_order_acquire);
}

static void enter_phase(http_conn *c, http_phase p)
{
    atomic_store_explicit(&c->since_ms, snug_mono_ms(), memory_order_relaxed);
    set_phase(c, p);
}

/* ---- connections ---- */

static void put_peer(http_conn *c, const struct sockaddr *sa)
{
    const char *text = NULL;
    if (sa != NULL && sa->sa_family == AF_INET) {
        text = inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)sa)->sin_addr,
                         c->peer, sizeof c->peer);
    } else if (sa != NULL && sa->sa_family == AF_INET6) {
        text = inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr,
                         c->peer, sizeof c->peer);
        if (text != NULL && strncmp(text, "::ffff:", 7) == 0)
            memmove(c->peer, c->peer + 7, strlen(c->peer + 7) + 1);
    }
    if (text == NULL) (void)snprintf(c->peer, sizeof c->peer, "unix");
}

http_conn *http_conn_new(http_server *s, struct MHD_Connection *mc)
{
    http_conn *c = snug_zalloc(sizeof *c);
    c->server = s;
    c->mc = mc;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mc, MHD_CONNECTION_INFO_CONNECTION_FD);
    c->fd = info == NULL ? -1 : info->connect_fd;
    info = MHD_get_connection_info(mc, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    put_peer(c, info == NULL ? NULL : info->client_addr);
    atomic_init(&c->refs, 1);
    atomic_init(&c->phase, HTTP_PH_IDLE);
    atomic_init(&c->since_ms, snug_mono_ms());
    snug_mutex_init(&c->lock, "http_conn", 710);
    snug_cond_init(&c->changed);
    c->rq.conn = c;
    c->rq.server = s;
    c->rq.arena = snug_arena_new();
    c->rq.res.fd = -1;
    return c;
}

void http_conn_unref(http_conn *c)
{
    if (atomic_fetch_sub(&c->refs, 1) != 1) return;
    http_res_deinit(&c->rq.res);
    snug_buf_deinit(&c->rq.body);
    http_ring_free(c);
    snug_arena_free(c->rq.arena);
    snug_cond_deinit(&c->changed);
    snug_mutex_deinit(&c->lock);
    free(c);
}

/* ---- beginning and end of a request ---- */

void *http_on_uri(void *cls, const char *uri, struct MHD_Connection *mc)
{
    (void)cls;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mc, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    http_conn *c = info == NULL ? NULL : info->socket_context;
    if (c == NULL) return NULL;
    http_req *rq = &c->rq;
    rq->started_ns = snug_mono_ns();
    /* One byte more than allowed shows that it was too long. */
    rq->target = snug_arena_dup(rq->arena, snug_slice_of(uri, strnlen(uri, HTTP_URI_MAX + 1)));
    /* The library would split the query into its own list next, 60 bytes for each '&', and when
     * that fills its pool there is no room left for an answer and the client waits in vain. We
     * split it ourselves, so to it the query is empty. The buffer is the connection's, not
     * constant. */
    char *query = strchr(uri, '?');
    if (query != NULL && query[1] != '\0') query[1] = '\0';
    rq->path = rq->query = rq->base_url = SNUG_EMPTY;
    rq->route = NULL;
    rq->streaming = rq->expects_continue = rq->body_late = rq->on_io = false;
    rq->length = rq->body_max = 0;
    rq->body_off = 0;
    rq->slot = NULL;
    rq->query_pairs.parsed = rq->form_pairs.parsed = false;
    rq->query_pairs.count = rq->form_pairs.count = 0;
    rq->id[0] = '\0';
    rq->param_count = rq->header_count = 0;
    http_res_init(&rq->res, rq);
    atomic_store_explicit(&c->since_ms, rq->started_ns / 1000000u, memory_order_relaxed);
    set_phase(c, HTTP_PH_HEAD);
    return c;
}

/* 2xx and 3xx are for debugging; what went wrong is for the operator. Queries stay out: they may
 * hold signatures. */
static void log_request(const http_req *rq)
{
    int            status = rq->res.status;
    snug_log_level level = status >= 500 ? SNUG_WARN : status >= 400 ? SNUG_INFO : SNUG_DEBUG;
    if (!snug_log_enabled(level)) return;
    static const char *const names[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};
    snug_log_request(rq->id);
    snug_log(level, "http.request", "method=%s path=\"%.*s\" status=%d ms=%" PRIu64 " peer=%s",
             rq->head      ? "HEAD"
             : rq->options ? "OPTIONS"
                           : names[rq->verb],
             SNUG_SLICE(rq->path), status, (snug_mono_ns() - rq->started_ns) / 1000000u,
             rq->conn->peer);
    snug_log_request(NULL);
}

static void reset_body_state(http_conn *c)
{
    http_ring_free(c);
    c->waiting = HTTP_WAIT_NO;
    c->raw = HTTP_RAW_NO;
    c->reply_ready = c->worker_active = c->dead = c->gone = false;
    c->body_wanted = c->body_started = c->body_eof = c->body_over = c->body_slow = false;
    c->received = c->receiving_ms = c->swallowed = 0;
}

static void request_end(http_conn *c)
{
    http_req *rq = &c->rq;
    if (c->counted) log_request(rq);
    if (rq->body.cap > 0) {
        atomic_fetch_sub(&c->server->body_memory, rq->body.len);
        snug_buf_deinit(&rq->body);
    }
    http_res_deinit(&rq->res);
    if (rq->length != 0) {
        snug_lock(&c->lock);
        reset_body_state(c);
        snug_unlock(&c->lock);
    }
    if (snug_arena_used(rq->arena) > ARENA_KEEP_BYTES) {
        snug_arena_free(rq->arena);
        rq->arena = snug_arena_new();
    } else {
        snug_arena_reset(rq->arena);
    }
    enter_phase(c, HTTP_PH_IDLE);
    if (c->counted) http_server_request_end(c->server, c);
}

static void wait_raw_locked(http_conn *c)
{
    while (c->raw == HTTP_RAW_SENDING)
        snug_cond_wait(&c->changed, &c->lock); /* a non-blocking send */
}

void http_on_completed(void *cls, struct MHD_Connection *mc, void **con_cls,
                       enum MHD_RequestTerminationCode why)
{
    http_conn *c = *con_cls;
    (void)cls, (void)mc, (void)why;
    if (c == NULL) return;
    *con_cls = NULL;
    if (c->stream != NULL) {
        http_server_unwatch(c->server, c);
        snug_lock(&c->lock);
        c->stream = NULL;
        snug_unlock(&c->lock);
    }
    if (c->rq.length != 0) {
        snug_lock(&c->lock);
        wait_raw_locked(c);
        bool running = c->worker_active;
        if (running) {
            c->dead = c->gone = true;
            snug_cond_broadcast(&c->changed);
        }
        snug_unlock(&c->lock);
        if (running) return; /* the worker ends the request */
    }
    request_end(c);
}

/* ---- answering ---- */

static enum MHD_Result queue_reply(http_conn *c)
{
    http_req    *rq = &c->rq;
    http_stream *stream = rq->res.kind == HTTP_REPLY_STREAM && !rq->head ? rq->res.stream : NULL;
    unsigned     status = (unsigned)rq->res.status;
    if (stream != NULL) {
        http_stream_attach(stream, c->mc, &c->server->limits,
                           snug_starts_with(rq->res.media, "text/event-stream"));
        snug_lock(&c->lock);
        c->stream = stream;
        snug_unlock(&c->lock);
        http_server_watch(c->server, c);
        if (atomic_load(&c->server->cut)) http_stream_set_gone(stream);
    }
    struct MHD_Response *r = http_reply_build(rq);
    if (r == NULL) return MHD_NO;
    enter_phase(c, HTTP_PH_REPLY);
    enum MHD_Result ok = MHD_queue_response(c->mc, status, r);
    MHD_destroy_response(r);
    return ok;
}

static void send_raw(http_conn *c, snug_slice bytes)
{
    while (bytes.len > 0) {
        ssize_t n = send(c->fd, bytes.ptr, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break; /* a peer that reads nothing gets a short answer */
        bytes = snug_sub(bytes, (size_t)n, bytes.len);
    }
    (void)shutdown(c->fd, SHUT_WR);
}

static uint64_t body_rest(const http_conn *c)
{
    if (c->rq.length == UINT64_MAX) return UINT64_MAX;
    return c->rq.length - c->received;
}

/* On the I/O thread, with the body partly or wholly unread and no worker at it. */
static enum MHD_Result answer_unread(http_conn *c)
{
    if (body_rest(c) <= c->server->limits.drain_bytes && c->rq.res.status != 413) {
        enter_phase(c, HTTP_PH_DRAIN);
        return MHD_YES;
    }
    SNUG_AUTO(snug_buf) b = snug_buf_init(HTTP_RAW_REPLY_MAX);
    if (http_reply_raw(&c->rq, &b)) {
        enter_phase(c, HTTP_PH_LINGER);
        send_raw(c, snug_buf_slice(&b));
    } else {
        enter_phase(c, HTTP_PH_DRAIN);
    }
    return MHD_YES;
}

/* On the I/O thread, before libmicrohttpd went for the body. */
static enum MHD_Result answer_at_head(http_conn *c)
{
    http_req *rq = &c->rq;
    if (rq->res.close || rq->expects_continue) return queue_reply(c); /* and closes */
    return answer_unread(c);
}

static enum MHD_Result refuse(http_conn *c, int status, const snug_err *err)
{
    snug_log_request(c->rq.id);
    c->rq.on_io = true;
    if (status == 503) snug_metric_add(SNUG_M_HTTP_SHED, 1);
    http_reply_error(&c->rq, status, err);
    http_reply_finish(&c->rq);
    snug_log_request(NULL);
    return answer_at_head(c);
}

/* ---- handlers ---- */

/* SNUG_EAGAIN only from a fast handler; otherwise the reply is finished on return. */
static snug_status run_handler(http_req *rq, http_handler *fn, bool fast)
{
    snug_err err;
    snug_err_clear(&err);
    snug_log_request(rq->id);
    snug_status st = fn(rq, &rq->res, &err);
    if (fast && st == SNUG_EAGAIN) {
        http_res_deinit(&rq->res);
        http_res_init(&rq->res, rq);
        rq->slot = NULL;
        snug_log_request(NULL);
        return st;
    }
    if (st != SNUG_OK) {
        err.status = st;
        if (err.msg[0] == '\0') snug_fail(&err, st, "%s", snug_status_name(st));
        http_reply_error(rq, rq->body_late && st == SNUG_ETIMEOUT ? 408 : 0, &err);
    }
    http_reply_finish(rq);
    snug_log_request(NULL);
    return SNUG_OK;
}

/* The stream handler has answered: on the worker. */
static void stream_done(http_conn *c)
{
    snug_lock(&c->lock);
    c->reply_ready = true;
    c->worker_active = false;
    if (c->dead) {
        snug_unlock(&c->lock);
        request_end(c);
        return;
    }
    if (c->waiting != HTTP_WAIT_NO) { /* suspended: the I/O thread takes it from here */
        c->waiting = HTTP_WAIT_NO;
        snug_unlock(&c->lock);
        MHD_resume_connection(c->mc);
        return;
    }
    /* libmicrohttpd is waiting for bytes that may be long in coming. */
    SNUG_AUTO(snug_buf) b = snug_buf_init(HTTP_RAW_REPLY_MAX);
    c->last_body_ms = snug_mono_ms();
    if (body_rest(c) <= c->server->limits.drain_bytes || !http_reply_raw(&c->rq, &b)) {
        enter_phase(c, HTTP_PH_DRAIN);
        snug_unlock(&c->lock);
        return;
    }
    enter_phase(c, HTTP_PH_LINGER);
    c->raw = HTTP_RAW_SENDING; /* holds the descriptor open */
    snug_unlock(&c->lock);
    send_raw(c, snug_buf_slice(&b));
    snug_lock(&c->lock);
    c->raw = HTTP_RAW_SENT;
    snug_cond_broadcast(&c->changed);
    snug_unlock(&c->lock);
}

static void run_job(void *arg)
{
    http_conn   *c = arg;
    http_server *s = c->server;
    http_req    *rq = &c->rq;
    bool         stream = (rq->route->flags & ROUTE_STREAM_BODY) != 0;
    snug_metric  busy = stream ? SNUG_M_STREAMS_BUSY : SNUG_M_WORKERS_BUSY;
    atomic_fetch_sub(stream ? &s->streams_queued : &s->workers_queued, 1);
    snug_metric_add(SNUG_M_WORKERS_QUEUED, -1);
    snug_metric_add(busy, 1);
    if (atomic_load(&s->cut)) {
        snug_err err;
        snug_fail(&err, SNUG_EBUSY, "the server is stopping");
        http_reply_error(rq, 503, &err);
        http_reply_finish(rq);
    } else {
        (void)run_handler(rq, rq->route->run, false);
    }
    snug_metric_add(busy, -1);
    if (rq->streaming)
        stream_done(c);
    else
        MHD_resume_connection(c->mc);
    http_conn_unref(c);
}

/* Suspends the connection and hands the request to a pool. False: the queue is full, or the
 * server is past taking work; then nothing happened. */
static bool enqueue(http_conn *c)
{
    http_server   *s = c->server;
    bool           stream = (c->rq.route->flags & ROUTE_STREAM_BODY) != 0;
    atomic_size_t *queued = stream ? &s->streams_queued : &s->workers_queued;
    bool           ok = false;
    atomic_fetch_add(&s->submitting, 1);
    if (!atomic_load(&s->cut)) {
        /* Our count falls after the pool's own, so a place here is a place there. */
        if (atomic_fetch_add(queued, 1) < s->o.queue_max) {
            ok = true;
            snug_metric_add(SNUG_M_WORKERS_QUEUED, 1);
            atomic_fetch_add(&c->refs, 1);
            MHD_suspend_connection(c->mc);
            SNUG_ASSERT(snug_pool_submit(stream ? s->streams : s->workers, run_job, c));
        } else {
            atomic_fetch_sub(queued, 1);
        }
    }
    atomic_fetch_sub(&s->submitting, 1);
    return ok;
}

static snug_status queue_full(snug_err *err)
{
    return snug_fail(err, SNUG_EBUSY, "the server is busy; try again in a moment");
}

/* The whole request is here. */
static enum MHD_Result dispatch(http_conn *c)
{
    http_req         *rq = &c->rq;
    const http_route *route = rq->route;
    http_handler     *here = (route->flags & ROUTE_INLINE) != 0 ? route->run : route->fast;
    if (here != NULL) {
        rq->on_io = true;
        if (run_handler(rq, here, here == route->fast) == SNUG_OK) {
            snug_metric_add(SNUG_M_HTTP_INLINE, 1);
            return queue_reply(c);
        }
        rq->on_io = false;
    }
    set_phase(c, HTTP_PH_RUN);
    if (enqueue(c)) return MHD_YES;
    snug_err err;
    (void)queue_full(&err);
    snug_metric_add(SNUG_M_HTTP_SHED, 1);
    rq->on_io = true;
    http_reply_error(rq, 503, &err);
    http_reply_finish(rq);
    return queue_reply(c);
}

/* ---- libmicrohttpd's calls ---- */

/* The headers are here; nothing of the body is. */
static enum MHD_Result first_call(http_conn *c, const char *method, const char *version)
{
    http_req   *rq = &c->rq;
    snug_err    err;
    int         status = 503;
    snug_status st;
    http_server_request_begin(c->server, c);
    st = http_head_parse(rq, method, version, &status, &err);
    if (st == SNUG_OK && atomic_load(&c->server->stopping)) {
        status = 503;
        st = snug_fail(&err, SNUG_EBUSY, "the server is stopping");
    }
    if (st == SNUG_OK) st = http_head_route(rq, &status, &err);
    if (st != SNUG_OK) return refuse(c, status, &err);
    if (rq->options) {
        http_reply_finish(rq);
        return answer_at_head(c);
    }
    if (rq->length == 0) {
        set_phase(c, HTTP_PH_READY);
        return MHD_YES;
    }
    c->last_body_ms = snug_mono_ms();
    if ((rq->route->flags & ROUTE_STREAM_BODY) == 0) {
        rq->body = snug_buf_init((size_t)rq->body_max);
        enter_phase(c, HTTP_PH_BODY);
        return MHD_YES;
    }
    rq->streaming = true;
    http_req_own_headers(rq);
    snug_lock(&c->lock);
    c->waiting = HTTP_WAIT_HEADERS;
    c->worker_active = true;
    snug_unlock(&c->lock);
    enter_phase(c, HTTP_PH_STREAM);
    if (enqueue(c)) return MHD_YES;
    rq->streaming = false; /* no worker: ours alone again */
    snug_lock(&c->lock);
    c->waiting = HTTP_WAIT_NO;
    c->worker_active = false;
    snug_unlock(&c->lock);
    (void)queue_full(&err);
    return refuse(c, 503, &err);
}

static enum MHD_Result swallow(http_conn *c, size_t *size)
{
    c->swallowed += *size;
    *size = 0;
    return c->swallowed > c->server->limits.linger_bytes ? MHD_NO : MHD_YES;
}

/* The body, or what is held of all bodies, has grown too large. Lock held, and given up. */
static enum MHD_Result body_too_large_locked(http_conn *c, int status, size_t *size)
{
    snug_err err;
    enter_phase(c, HTTP_PH_DRAIN); /* the watch thread's hands are off now */
    snug_unlock(&c->lock);
    if (status == 413) {
        snug_fail(&err, SNUG_ELIMIT,
                  "the request body is larger than the limit of %" PRIu64 " bytes", c->rq.body_max);
    } else {
        snug_fail(&err, SNUG_EBUSY, "the server holds too many request bodies; try again");
        snug_metric_add(SNUG_M_HTTP_SHED, 1);
    }
    http_reply_error(&c->rq, status, &err);
    http_reply_finish(&c->rq);
    enum MHD_Result ok = answer_unread(c);
    return ok == MHD_YES ? swallow(c, size) : ok;
}

static enum MHD_Result memory_body_locked(http_conn *c, const char *data, size_t *size)
{
    http_req *rq = &c->rq;
    uint64_t  before = c->received;
    c->received += *size;
    if (c->received > rq->body_max) return body_too_large_locked(c, 413, size);
    if (atomic_fetch_add(&c->server->body_memory, *size) + *size > HTTP_BODY_MEMORY_MAX) {
        atomic_fetch_sub(&c->server->body_memory, *size);
        return body_too_large_locked(c, 503, size);
    }
    c->last_body_ms = snug_mono_ms();
    snug_unlock(&c->lock);
    /* A declared length is believed up to a read's worth; more memory follows the bytes. */
    if (before == 0)
        (void)snug_buf_reserve(&rq->body,
                               rq->length < HTTP_READ_BYTES ? (size_t)rq->length : *size);
    snug_buf_put(&rq->body, data, *size);
    *size = 0;
    return MHD_YES;
}

static enum MHD_Result stream_body_locked(http_conn *c, const char *data, size_t *size)
{
    enum MHD_Result ok = MHD_YES;
    c->last_body_ms = snug_mono_ms();
    if (c->reply_ready) {
        c->received += *size;
        snug_unlock(&c->lock);
        ok = answer_unread(c);
        return ok == MHD_YES ? swallow(c, size) : ok;
    }
    if (c->gone) {
        ok = MHD_NO;
    } else if (c->body_over || *size > c->rq.body_max - c->received) {
        c->body_over = true; /* the handler learns of it and answers */
        snug_cond_broadcast(&c->changed);
        ok = swallow(c, size);
    } else {
        size_t took = http_ring_put_locked(c, data, *size);
        c->received += took;
        *size -= took;
        if (*size > 0) {
            c->waiting = HTTP_WAIT_SPACE;
            MHD_suspend_connection(c->mc);
        }
    }
    snug_unlock(&c->lock);
    return ok;
}

static enum MHD_Result body_call(http_conn *c, const char *data, size_t *size)
{
    size_t had = *size;
    snug_lock(&c->lock);
    enum MHD_Result ok;
    switch (get_phase(c)) {
    case HTTP_PH_BODY: ok = memory_body_locked(c, data, size); break;
    case HTTP_PH_STREAM: ok = stream_body_locked(c, data, size); break;
    default:
        c->last_body_ms = snug_mono_ms();
        c->received += *size;
        ok = swallow(c, size);
        snug_unlock(&c->lock);
        break;
    }
    snug_metric_add(SNUG_M_HTTP_BYTES_IN, (int64_t)(had - *size));
    return ok;
}

/* Resumed before the body, resumed with the answer, or the body is complete. */
static enum MHD_Result stream_call_locked(http_conn *c)
{
    bool ready = c->reply_ready;
    if (!ready && c->body_wanted && !c->body_started) {
        c->body_started = true; /* now libmicrohttpd asks for it, with 100 Continue if need be */
        snug_unlock(&c->lock);
        return MHD_YES;
    }
    if (!ready && !c->body_eof) {
        c->body_eof = true;
        snug_cond_broadcast(&c->changed);
    }
    if (!ready) {
        c->waiting = HTTP_WAIT_REPLY;
        MHD_suspend_connection(c->mc);
        snug_unlock(&c->lock);
        return MHD_YES;
    }
    bool at_head = !c->body_started;
    snug_unlock(&c->lock);
    return at_head ? answer_at_head(c) : queue_reply(c);
}

/* No more data: of an empty body, after the last byte, or on being resumed. */
static enum MHD_Result later_call(http_conn *c)
{
    switch (get_phase(c)) {
    case HTTP_PH_READY: return dispatch(c);
    case HTTP_PH_RUN: return queue_reply(c);
    case HTTP_PH_REPLY: return MHD_YES;
    default: break;
    }
    snug_lock(&c->lock);
    switch (get_phase(c)) { /* the watch thread or the worker may have moved it */
    case HTTP_PH_BODY:
        set_phase(c, HTTP_PH_READY);
        snug_unlock(&c->lock);
        return dispatch(c);
    case HTTP_PH_STREAM: return stream_call_locked(c);
    case HTTP_PH_DRAIN: snug_unlock(&c->lock); return queue_reply(c);
    default:
        wait_raw_locked(c);
        snug_unlock(&c->lock);
        return MHD_NO; /* LINGER: the client has its answer */
    }
}

enum MHD_Result http_on_access(void *cls, struct MHD_Connection *mc, const char *url,
                               const char *method, const char *version, const char *data,
                               size_t *size, void **con_cls)
{
    http_conn *c = *con_cls;
    (void)cls, (void)mc, (void)url;
    if (c == NULL) return MHD_NO;
    if (get_phase(c) == HTTP_PH_HEAD) return first_call(c, method, version);
    return *size > 0 ? body_call(c, data, size) : later_call(c);
}

/* ---- the watch thread ---- */

bool http_conn_due(http_conn *c, uint64_t now_ms)
{
    uint64_t since = atomic_load_explicit(&c->since_ms, memory_order_relaxed);
    uint64_t age = now_ms > since ? now_ms - since : 0;
    switch (get_phase(c)) {
    case HTTP_PH_IDLE: return age > 1000u * c->server->o.idle_timeout_s;
    case HTTP_PH_HEAD: return age > c->server->limits.header_timeout_ms;
    case HTTP_PH_READY:
    case HTTP_PH_RUN: return false;
    default: return true;
    }
}

/* Too long without a byte, or too few bytes for the time. Only time spent reading counts. */
static bool body_is_slow_locked(http_conn *c, uint64_t now_ms)
{
    const http_limits *l = &c->server->limits;
    if (now_ms > c->last_body_ms && now_ms - c->last_body_ms > 1000u * c->server->o.body_timeout_s)
        return true;
    c->receiving_ms += l->tick_ms;
    return c->receiving_ms > l->body_rate_after_ms &&
           c->received < c->receiving_ms / 1000u * l->body_rate_min;
}

/* Answers by hand a client that owes us bytes; c->raw is SENDING. */
static void answer_waiting(http_conn *c)
{
    snug_err err;
    SNUG_AUTO(snug_buf) b = snug_buf_init(HTTP_RAW_REPLY_MAX);
    if (!c->rq.res.finished) {
        snug_fail(&err, SNUG_ETIMEOUT, "the request body did not arrive in time");
        http_reply_error(&c->rq, 408, &err);
        http_reply_finish(&c->rq);
    }
    if (http_reply_raw(&c->rq, &b)) send_raw(c, snug_buf_slice(&b));
    snug_lock(&c->lock);
    c->raw = HTTP_RAW_SENT;
    snug_cond_broadcast(&c->changed);
    snug_unlock(&c->lock);
}

void http_conn_check(http_conn *c, uint64_t now_ms)
{
    bool late = false;
    snug_lock(&c->lock);
    if (!c->closed) {
        uint64_t since = atomic_load_explicit(&c->since_ms, memory_order_relaxed);
        bool     cut = false;
        switch (get_phase(c)) {
        case HTTP_PH_IDLE:
        case HTTP_PH_HEAD: cut = http_conn_due(c, now_ms); break;
        case HTTP_PH_BODY: late = body_is_slow_locked(c, now_ms); break;
        case HTTP_PH_STREAM:
            if (c->waiting == HTTP_WAIT_NO && !c->body_eof && !c->reply_ready &&
                body_is_slow_locked(c, now_ms)) {
                c->body_slow = true;
                snug_cond_broadcast(&c->changed);
            }
            break;
        case HTTP_PH_DRAIN:
            late = now_ms > since && now_ms - since > c->server->limits.linger_ms;
            break;
        case HTTP_PH_LINGER:
            cut = now_ms > since && now_ms - since > c->server->limits.linger_ms;
            break;
        case HTTP_PH_REPLY:
            if (c->stream != NULL) http_stream_tick(c->stream, now_ms);
            break;
        case HTTP_PH_READY:
        case HTTP_PH_RUN: break;
        }
        if (late) {
            enter_phase(c, HTTP_PH_LINGER);
            c->raw = HTTP_RAW_SENDING; /* holds the descriptor open */
        }
        if (cut) (void)shutdown(c->fd, SHUT_RDWR); /* libmicrohttpd sees the end and cleans up */
    }
    snug_unlock(&c->lock);
    if (late) answer_waiting(c);
}

void http_conn_peer_gone(http_conn *c)
{
    snug_lock(&c->lock);
    if (c->stream != NULL) http_stream_set_gone(c->stream);
    snug_unlock(&c->lock);
}

void http_conn_cut(http_conn *c)
{
    snug_lock(&c->lock);
    c->gone = true;
    snug_cond_broadcast(&c->changed);
    if (c->stream != NULL) http_stream_set_gone(c->stream);
    snug_unlock(&c->lock);
}
