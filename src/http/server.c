/* SPDX-License-Identifier: Apache-2.0 */
/* http/server.c - starting, watching over and stopping the server.
 *
 * For:     serve, the runner and tests.
 * Owns:    the listening socket, the pools, the table of connections, the watch thread.
 * Threads: `io_threads` of libmicrohttpd; `workers` + `stream_workers` handlers; one watch thread,
 *          which accepts, looks at every connection once a second and hears of peers that leave.
 * Truth:   a connection is in the table from its first to its last callback; an id out of the
 *          kernel's event queue is looked up there and never used as a pointer.
 *
 * Why we accept ourselves: libmicrohttpd can stop accepting only by a call that races with its own
 * threads, and it splits the connection limit between them. Handing it accepted sockets leaves
 * both to us. Why our own look at slow clients: its time-out restarts with every byte, so a client
 * that drips one byte a second would keep a connection for ever. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "http/http_int.h"

enum {
    IO_THREADS_DEFAULT_MAX = 4,
    WORKERS_DEFAULT = 8,
    STREAM_WORKERS_DEFAULT = 32,
    QUEUE_DEFAULT = 1024,
    IDLE_DEFAULT_S = 75,
    BODY_TIMEOUT_DEFAULT_S = 30,
    CONNECTIONS_DEFAULT = 4096,
    MEMORY_BODY_DEFAULT = 16 << 20,
    ACCEPTS_AT_ONCE = 64,
    EVENTS_AT_ONCE = 64,
    EVENT_LISTEN = 0, /* real ids start at 1 << 32 */
    EVENT_WAKE = 1
};

/* ---- options ---- */

static void default_unsigned(unsigned *v, unsigned dflt)
{
    if (*v == 0) *v = dflt;
}

static void set_limits(http_server *s, const http_limits *l)
{
    if (l != NULL) s->limits = *l;
    default_unsigned(&s->limits.header_timeout_ms, 20000);
    default_unsigned(&s->limits.body_rate_min, 1024);
    default_unsigned(&s->limits.body_rate_after_ms, 30000);
    default_unsigned(&s->limits.heartbeat_ms, 15000);
    default_unsigned(&s->limits.linger_ms, 5000);
    default_unsigned(&s->limits.push_timeout_ms, 30000);
    default_unsigned(&s->limits.tick_ms, 1000);
    if (s->limits.linger_bytes == 0) s->limits.linger_bytes = 256u << 20;
    if (s->limits.drain_bytes == 0) s->limits.drain_bytes = 256u << 10;
}

static void set_options(http_server *s, const http_server_opts *o)
{
    unsigned cpus = snug_cpu_count();
    s->o = *o;
    s->o.listen = NULL; /* read before, not kept */
    default_unsigned(&s->o.io_threads,
                     cpus < IO_THREADS_DEFAULT_MAX ? cpus : IO_THREADS_DEFAULT_MAX);
    default_unsigned(&s->o.workers, WORKERS_DEFAULT);
    default_unsigned(&s->o.stream_workers, STREAM_WORKERS_DEFAULT);
    default_unsigned(&s->o.idle_timeout_s, IDLE_DEFAULT_S);
    default_unsigned(&s->o.body_timeout_s, BODY_TIMEOUT_DEFAULT_S);
    if (s->o.queue_max == 0) s->o.queue_max = QUEUE_DEFAULT;
    if (s->o.connections_max == 0) s->o.connections_max = CONNECTIONS_DEFAULT;
    if (s->o.memory_body_max == 0) s->o.memory_body_max = MEMORY_BODY_DEFAULT;
    s->o.trusted_proxies = NULL;
    if (o->public_url != NULL) {
        snug_slice url = snug_str(o->public_url);
        while (snug_ends_with(url, "/")) url.len--;
        s->o.public_url = url.len > 0 ? snug_strdup(url) : NULL;
    }
    snug_slice list = o->trusted_proxies == NULL ? SNUG_EMPTY : snug_str(o->trusted_proxies), one;
    while (snug_split(&list, ',', &one)) {
        one = snug_trim(one);
        if (one.len > 0 && s->proxy_count < HTTP_PROXIES_MAX)
            s->proxies[s->proxy_count++] = snug_strdup(one);
    }
}

/* ---- the table of connections ---- */

static void table_add(http_server *s, http_conn *c)
{
    snug_lock(&s->conns_lock);
    size_t slot = 0;
    if (s->conn_count < s->slot_cap) {
        while (s->slots[slot] != NULL) slot++;
    } else {
        size_t cap = s->slot_cap == 0 ? 64 : 2 * s->slot_cap;
        s->slots = snug_realloc(s->slots, cap * sizeof(http_conn *));
        s->gens = snug_realloc(s->gens, cap * sizeof *s->gens);
        memset(s->slots + s->slot_cap, 0, (cap - s->slot_cap) * sizeof(http_conn *));
        memset(s->gens + s->slot_cap, 0, (cap - s->slot_cap) * sizeof *s->gens);
        slot = s->slot_cap;
        s->slot_cap = cap;
    }
    s->slots[slot] = c;
    s->gens[slot] = s->gens[slot] == UINT32_MAX ? 1 : s->gens[slot] + 1;
    c->id = (uint64_t)s->gens[slot] << 32 | slot;
    s->conn_count++;
    snug_unlock(&s->conns_lock);
    snug_metric_add(SNUG_M_HTTP_CONNECTIONS, 1);
}

static void table_remove(http_server *s, http_conn *c)
{
    snug_lock(&s->conns_lock);
    s->slots[(uint32_t)c->id] = NULL;
    s->conn_count--;
    snug_unlock(&s->conns_lock);
    snug_metric_add(SNUG_M_HTTP_CONNECTIONS, -1);
}

/* The connection of an id, with a reference, or NULL. */
static http_conn *table_find(http_server *s, uint64_t id)
{
    http_conn *c = NULL;
    uint32_t   slot = (uint32_t)id;
    snug_lock(&s->conns_lock);
    if (slot < s->slot_cap && s->gens[slot] == id >> 32) c = s->slots[slot];
    if (c != NULL) atomic_fetch_add(&c->refs, 1);
    snug_unlock(&s->conns_lock);
    return c;
}

static void on_connection(void *cls, struct MHD_Connection *mc, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    http_server *s = cls;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        http_conn *c = http_conn_new(s, mc);
        table_add(s, c);
        *context = c;
        return;
    }
    http_conn *c = *context;
    if (c == NULL) return;
    *context = NULL;
    table_remove(s, c);
    snug_lock(&c->lock);
    while (c->raw == HTTP_RAW_SENDING) snug_cond_wait(&c->changed, &c->lock);
    c->closed = true;
    snug_unlock(&c->lock);
    http_conn_unref(c);
}

void http_server_request_begin(http_server *s, http_conn *c)
{
    c->counted = true;
    atomic_fetch_add(&s->active, 1);
}

void http_server_request_end(http_server *s, http_conn *c)
{
    int status = c->rq.res.status;
    c->counted = false;
    snug_metric_add(SNUG_M_HTTP_REQUESTS, 1);
    if (status >= 500)
        snug_metric_add(SNUG_M_HTTP_ERRORS_5XX, 1);
    else if (status >= 400)
        snug_metric_add(SNUG_M_HTTP_ERRORS_4XX, 1);
    if (atomic_fetch_sub(&s->active, 1) != 1 || !atomic_load(&s->stopping)) return;
    snug_lock(&s->conns_lock);
    snug_cond_broadcast(&s->idle);
    snug_unlock(&s->conns_lock);
}

/* ---- the watch thread ---- */

void http_server_watch(http_server *s, http_conn *c)
{
    struct epoll_event ev = {.events = EPOLLRDHUP | EPOLLONESHOT, .data.u64 = c->id};
    (void)epoll_ctl(s->watch_fd, EPOLL_CTL_ADD, c->fd, &ev);
}

void http_server_unwatch(http_server *s, http_conn *c)
{
    (void)epoll_ctl(s->watch_fd, EPOLL_CTL_DEL, c->fd, NULL);
}

static void refuse_connection(int fd)
{
    static const char full[] = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n"
                               "Connection: close\r\nContent-Length: 0\r\n\r\n";
    (void)send(fd, full, sizeof full - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)shutdown(fd, SHUT_WR);
    (void)close(fd);
    snug_metric_add(SNUG_M_HTTP_SHED, 1);
}

static void accept_some(http_server *s)
{
    for (unsigned i = 0; i < ACCEPTS_AT_ONCE; i++) {
        struct sockaddr_storage sa;
        socklen_t               n = sizeof sa;
        int                     one = 1,
            fd = accept4(s->listen_fd, (struct sockaddr *)&sa, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                snug_log(SNUG_ERROR, "http.accept", "problem=\"%s\"", strerror(errno));
                (void)nanosleep(&(struct timespec){.tv_nsec = 20000000},
                                NULL); /* some will close */
            }
            return;
        }
        snug_lock(&s->conns_lock);
        bool full = s->conn_count >= s->o.connections_max;
        snug_unlock(&s->conns_lock);
        if (full) {
            refuse_connection(fd);
            continue;
        }
        if (s->unix_path == NULL) (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        (void)MHD_add_connection(s->daemon, fd, (struct sockaddr *)&sa,
                                 n); /* closes fd on failure */
    }
}

/* Collects under the lock, looks outside of it. */
static void sweep(http_server *s, bool cut)
{
    uint64_t now = snug_mono_ms();
    size_t   n = 0;
    snug_lock(&s->conns_lock);
    http_conn **due = snug_alloc((s->conn_count + 1) * sizeof(http_conn *));
    for (size_t i = 0; i < s->slot_cap; i++) {
        http_conn *c = s->slots[i];
        if (c == NULL || (!cut && !http_conn_due(c, now))) continue;
        atomic_fetch_add(&c->refs, 1);
        due[n++] = c;
    }
    snug_unlock(&s->conns_lock);
    for (size_t i = 0; i < n; i++) {
        if (cut)
            http_conn_cut(due[i]);
        else
            http_conn_check(due[i], now);
        http_conn_unref(due[i]);
    }
    free(due);
}

static void stop_listening(http_server *s)
{
    if (s->listen_fd < 0) return;
    (void)epoll_ctl(s->watch_fd, EPOLL_CTL_DEL, s->listen_fd, NULL);
    (void)close(s->listen_fd);
    s->listen_fd = -1;
    if (s->unix_path != NULL) (void)unlink(s->unix_path);
}

static void handle_event(http_server *s, const struct epoll_event *ev)
{
    uint64_t count;
    if (ev->data.u64 == EVENT_LISTEN) {
        if (s->listen_fd >= 0) accept_some(s);
    } else if (ev->data.u64 == EVENT_WAKE) {
        (void)!read(s->wake_fd, &count, sizeof count);
    } else {
        http_conn *c = table_find(s, ev->data.u64);
        if (c == NULL) return;
        http_conn_peer_gone(c);
        http_conn_unref(c);
    }
}

static void watch_main(void *arg)
{
    http_server       *s = arg;
    struct epoll_event ev[EVENTS_AT_ONCE];
    uint64_t           next = snug_mono_ms() + s->limits.tick_ms;
    while (!atomic_load(&s->quit)) {
        if (atomic_load(&s->stopping)) stop_listening(s);
        uint64_t now = snug_mono_ms();
        int n = epoll_wait(s->watch_fd, ev, EVENTS_AT_ONCE, now >= next ? 0 : (int)(next - now));
        for (int i = 0; i < n; i++) handle_event(s, &ev[i]);
        if (snug_mono_ms() < next) continue;
        sweep(s, false);
        next = snug_mono_ms() + s->limits.tick_ms;
    }
}

static void wake_watch(http_server *s)
{
    uint64_t one = 1;
    (void)!write(s->wake_fd, &one, sizeof one);
}

/* ---- start ---- */

static void on_mhd_log(void *cls, const char *fmt, va_list ap)
{
    (void)cls;
    if (!snug_log_enabled(SNUG_DEBUG)) return;
    char text[256];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)vsnprintf(text, sizeof text, fmt, ap); /* the library's own formats */
#pragma GCC diagnostic pop
    text[strcspn(text, "\r\n")] = '\0';
    snug_log(SNUG_DEBUG, "http.library", "text=\"%s\"", text);
}

/* Paths and queries are decoded by us; the library would do it a second time. */
static size_t keep_escapes(void *cls, struct MHD_Connection *mc, char *s)
{
    (void)cls, (void)mc;
    return strlen(s);
}

static snug_status start_daemon(http_server *s, snug_err *err)
{
    unsigned threads = s->o.io_threads;
    size_t   limit = s->o.connections_max * 2 * threads; /* the real limit is in accept_some */
    unsigned idle =
        s->o.idle_timeout_s > s->o.body_timeout_s ? s->o.idle_timeout_s : s->o.body_timeout_s;
    struct MHD_OptionItem options[] = {
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, HTTP_POOL_BYTES, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_INCREMENT, HTTP_READ_BYTES, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, limit > INT32_MAX ? INT32_MAX : (intptr_t)limit, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, (intptr_t)idle + 5, NULL},
        {MHD_OPTION_THREAD_STACK_SIZE, 512 << 10, NULL},
        /* A pool of one is the library's plain single thread; asking for it only draws a warning.
         */
        {threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, (intptr_t)threads, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    s->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET |
            MHD_USE_ERROR_LOG,
        0, NULL, NULL, http_on_access, s, MHD_OPTION_EXTERNAL_LOGGER, on_mhd_log, NULL,
        MHD_OPTION_NOTIFY_COMPLETED, http_on_completed, s, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, s, MHD_OPTION_URI_LOG_CALLBACK, http_on_uri, s, MHD_OPTION_UNESCAPE_CALLBACK,
        keep_escapes, NULL, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
    if (s->daemon == NULL) return snug_fail_sys(err, errno, "starting the HTTP library");
    return SNUG_OK;
}

static snug_status start_watch(http_server *s, snug_err *err)
{
    struct epoll_event on_listen = {.events = EPOLLIN, .data.u64 = EVENT_LISTEN};
    struct epoll_event on_wake = {.events = EPOLLIN, .data.u64 = EVENT_WAKE};
    s->watch_fd = epoll_create1(EPOLL_CLOEXEC);
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->watch_fd < 0 || s->wake_fd < 0 ||
        epoll_ctl(s->watch_fd, EPOLL_CTL_ADD, s->listen_fd, &on_listen) != 0 ||
        epoll_ctl(s->watch_fd, EPOLL_CTL_ADD, s->wake_fd, &on_wake) != 0)
        return snug_fail_sys(err, errno, "epoll");
    return SNUG_OK;
}

static void server_free(http_server *s)
{
    if (s->listen_fd >= 0) (void)close(s->listen_fd);
    if (s->watch_fd >= 0) (void)close(s->watch_fd);
    if (s->wake_fd >= 0) (void)close(s->wake_fd);
    if (s->unix_path != NULL) (void)unlink(s->unix_path);
    http_router_free(s->router);
    for (size_t i = 0; i < s->proxy_count; i++) free(s->proxies[i]);
    free((void *)(uintptr_t)s->o.public_url);
    free(s->unix_path);
    free(s->listen_url);
    free(s->slots);
    free(s->gens);
    snug_cond_deinit(&s->idle);
    snug_mutex_deinit(&s->conns_lock);
    free(s);
}

snug_status http_server_start_with(const http_server_opts *o, const http_limits *l,
                                   http_server **out, snug_err *err)
{
    snug_status  st = SNUG_OK;
    http_server *s = snug_zalloc(sizeof *s);
    s->listen_fd = s->watch_fd = s->wake_fd = -1;
    snug_mutex_init(&s->conns_lock, "http_conns", 700);
    snug_cond_init(&s->idle);
    set_options(s, o);
    set_limits(s, l);
    s->id_nonce = snug_random_u64();
    SNUG_TRY(http_router_new(o->tables, o->table_sizes, &s->router, err));
    SNUG_TRY(http_listen(s, o->listen, err));
    SNUG_TRY(start_watch(s, err));
    SNUG_TRY(start_daemon(s, err));
    s->workers = snug_pool_new("snug-worker", s->o.workers, s->o.queue_max);
    s->streams = snug_pool_new("snug-stream", s->o.stream_workers, s->o.queue_max);
    s->watch = snug_thread_start("snug-http-watch", 256, watch_main, s);
    *out = s;
    s = NULL;
done:
    if (s != NULL) server_free(s);
    return st;
}

snug_status http_server_start(const http_server_opts *o, http_server **out, snug_err *err)
{
    return http_server_start_with(o, NULL, out, err);
}

uint16_t http_server_port(const http_server *s) { return s->port; }

/* ---- stop ---- */

static void wait_active(http_server *s, unsigned grace_ms)
{
    uint64_t deadline = snug_mono_ms() + grace_ms;
    snug_lock(&s->conns_lock);
    while (atomic_load(&s->active) > 0) {
        uint64_t now = snug_mono_ms();
        if (now >= deadline) break;
        (void)snug_cond_wait_ms(&s->idle, &s->conns_lock, deadline - now);
    }
    snug_unlock(&s->conns_lock);
}

/* The order matters: libmicrohttpd may only be stopped when nothing is suspended, and what resumes
 * a connection is its worker or its stream. */
void http_server_stop(http_server *s, unsigned grace_ms)
{
    if (s == NULL) return;
    atomic_store(&s->stopping, true); /* new requests: 503; no new connections */
    wake_watch(s);
    wait_active(s, grace_ms);
    atomic_store(&s->cut, true); /* no job is queued from here on ... */
    while (atomic_load(&s->submitting) > 0)
        (void)nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    sweep(s, true); /* ... reads and pushes of those that run fail ... */
    snug_pool_drain(s->workers);
    snug_pool_drain(s->streams);
    sweep(s, true); /* ... and streams they left behind end */
    atomic_store(&s->quit, true);
    wake_watch(s);
    snug_thread_join(s->watch);
    MHD_stop_daemon(s->daemon);
    snug_pool_free(s->workers);
    snug_pool_free(s->streams);
    server_free(s);
}
