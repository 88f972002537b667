/* SPDX-License-Identifier: Apache-2.0 */
/* Request bodies: limits, streams, back-pressure, slow and vanishing clients, full queues. */
#include <pthread.h>

#include "http_test.h"

/* ---- handlers ---- */

static snug_mutex gate_lock;
static snug_cond  gate_changed;
static bool       gate_open;
static unsigned   gate_waiting;

static void gate_set(bool open)
{
    snug_lock(&gate_lock);
    gate_open = open;
    snug_cond_broadcast(&gate_changed);
    snug_unlock(&gate_lock);
}

static void gate_pass(void)
{
    snug_lock(&gate_lock);
    gate_waiting++;
    snug_cond_broadcast(&gate_changed);
    while (!gate_open) snug_cond_wait(&gate_changed, &gate_lock);
    gate_waiting--;
    snug_unlock(&gate_lock);
}

static void gate_await(unsigned n)
{
    snug_lock(&gate_lock);
    while (gate_waiting < n) assert_true(snug_cond_wait_ms(&gate_changed, &gate_lock, 10000));
    snug_unlock(&gate_lock);
}

static void await_queued(int64_t n)
{
    for (int i = 0; i < 5000 && snug_metric_get(SNUG_M_WORKERS_QUEUED) != n; i++) t_sleep_ms(1);
    assert_int_equal(snug_metric_get(SNUG_M_WORKERS_QUEUED), n);
}

static snug_status length_of(http_req *rq, http_res *rs, snug_err *err)
{
    (void)err;
    char text[64];
    snprintf(text, sizeof text, "%zu", http_req_body(rq).len);
    http_reply_text(rs, 200, text);
    return SNUG_OK;
}

static snug_status blocked(http_req *rq, http_res *rs, snug_err *err)
{
    (void)rq, (void)err;
    gate_pass();
    http_reply_text(rs, 200, "through");
    return SNUG_OK;
}

/* What the last streaming handler saw. */
static atomic_int            last_status;
static atomic_uint_least64_t last_bytes;
static atomic_uint           finished;
static atomic_uint           read_pause_ms;

static snug_status absorb(http_req *rq, http_res *rs, snug_err *err)
{
    static const size_t sizes[] = {1, 7, 4096, 65536, 100000};
    char               *buf = malloc(100000);
    uint64_t            total = 0, sum = 0;
    size_t              got;
    snug_status         st;
    for (unsigned i = 0;; i++) {
        st = http_req_read(rq, buf, sizes[i % 5], &got, err);
        if (st != SNUG_OK || got == 0) break;
        for (size_t k = 0; k < got; k++)
            sum += (unsigned char)buf[k] * (uint64_t)((total + k) % 251);
        total += got;
        if (atomic_load(&read_pause_ms) > 0) t_sleep_ms(atomic_load(&read_pause_ms));
    }
    free(buf);
    atomic_store(&last_status, (int)st);
    atomic_store(&last_bytes, total);
    if (st == SNUG_OK) {
        char text[128];
        snprintf(text, sizeof text, "%llu %llu %s", (unsigned long long)total,
                 (unsigned long long)sum, http_req_id(rq));
        http_reply_text(rs, 200, text);
    }
    atomic_fetch_add(&finished, 1);
    return st;
}

/* ?read=N bytes, then answers whatever is left. */
static snug_status early(http_req *rq, http_res *rs, snug_err *err)
{
    char     buf[4096];
    uint64_t want = 0;
    size_t   got = 1;
    (void)snug_parse_u64(http_req_query(rq, "read", 0), &want);
    while (want > 0 && got > 0) {
        snug_status st = http_req_read(rq, buf, want < sizeof buf ? want : sizeof buf, &got, err);
        if (st != SNUG_OK) return st;
        want -= got;
    }
    atomic_fetch_add(&finished, 1);
    if (http_req_query_bool(rq, "ok", false)) {
        http_reply_text(rs, 200, "enough");
        return SNUG_OK;
    }
    return snug_fail(err, SNUG_EUNAUTH, "who are you?");
}

static snug_status blocked_stream(http_req *rq, http_res *rs, snug_err *err)
{
    gate_pass();
    return absorb(rq, rs, err);
}

static const http_doc tiny_doc = {.id = "tiny", .body_max = 1000};
static const http_doc large_doc = {.id = "large", .body_max = 1ull << 40};
static const http_doc stream_doc = {.id = "stream", .body_max = 1 << 20};

static const http_route rows[] = {
    {HTTP_POST, "/length", length_of, 0, NULL, NULL},
    {HTTP_POST, "/tiny", length_of, 0, &tiny_doc, NULL},
    {HTTP_POST, "/large", length_of, 0, &large_doc, NULL},
    {HTTP_GET, "/blocked", blocked, 0, NULL, NULL},
    {HTTP_PUT, "/absorb", absorb, ROUTE_STREAM_BODY, &large_doc, NULL},
    {HTTP_PUT, "/megabyte", absorb, ROUTE_STREAM_BODY, &stream_doc, NULL},
    {HTTP_PUT, "/early", early, ROUTE_STREAM_BODY, &large_doc, NULL},
    {HTTP_PUT, "/blocked", blocked_stream, ROUTE_STREAM_BODY, &large_doc, NULL},
};

static http_server *server;

static int start(void **state)
{
    (void)state;
    snug_mutex_init(&gate_lock, "test_gate", 10);
    snug_cond_init(&gate_changed);
    http_limits l = {.linger_ms = 3000, .tick_ms = 100};
    server = t_start_with(rows, sizeof rows / sizeof rows[0],
                          (http_server_opts){.body_timeout_s = 5}, &l);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    http_server_stop(server, 1000);
    assert_int_equal(snug_metric_get(SNUG_M_STREAMS_BUSY), 0);
    assert_int_equal(snug_metric_get(SNUG_M_WORKERS_QUEUED), 0);
    return 0;
}

static void put_noise(char *p, size_t n, uint64_t from)
{
    for (size_t i = 0; i < n; i++) p[i] = (char)((from + i) * 2654435761u >> 13);
}

/* ---- bodies in memory ---- */

static void memory_limits(void **state)
{
    (void)state;
    char    *text = calloc(1, 3 << 20);
    t_reply *r;
    for (int over = 0; over < 2; over++) {
        int n = snprintf(text, 100, "Content-Length: %d\r\n\r\n", (1 << 20) + over);
        memset(text + n, 'x', 1 << 20);
        r = t_ask(server, "POST /length",
                  text); /* the over-long one is refused before its last byte */
        assert_int_equal(r->status, over ? 413 : 200);
        if (!over) assert_string_equal(r->body, "1048576");
        free(r);
    }
    /* Only headers: the answer comes at once. */
    r = t_ask(server, "POST /tiny", "Content-Length: 1001\r\n\r\n");
    assert_int_equal(r->status, 413);
    free(r);
    r = t_ask(server, "POST /large",
              "Content-Length: 16777217\r\n\r\n"); /* memory_body_max caps the row */
    assert_int_equal(r->status, 413);
    free(r);
    r = t_ask(server, "POST /large", "Expect: 100-continue\r\nContent-Length: 16777217\r\n\r\n");
    assert_int_equal(r->status, 413); /* no 100 first */
    free(r);
    /* Chunked: known only when it happens; the client is still sending. */
    t_conn *c = t_connect(server);
    t_send(c, "POST /tiny HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
    memset(text, 'y', 2000);
    memcpy(text, "7d0\r\n", 5);
    assert_true(t_send_bytes(c, text, 1500));
    r = t_reply_of(c, false);
    assert_int_equal(r->status, 413);
    assert_header(r, "Connection", "close");
    assert_true(t_closed(c)); /* our half */
    assert_true(t_send_bytes(c, text, 500));
    free(r);
    t_close(c);
    free(text);
}

static void continues(void **state)
{
    (void)state;
    t_conn *c = t_connect(server);
    t_send(c,
           "POST /length HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    t_reply *r = t_reply_of(c, false);
    assert_int_equal(r->status, 100);
    free(r);
    t_send(c, "hello");
    r = t_reply_of(c, false);
    assert_int_equal(r->status, 200);
    assert_string_equal(r->body, "5");
    free(r);
    /* A stream handler asks for the body by reading it ... */
    t_send(c,
           "PUT /absorb HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    r = t_reply_of(c, false);
    assert_int_equal(r->status, 100);
    free(r);
    t_send(c, "hello");
    r = t_reply_of(c, false);
    assert_int_equal(r->status, 200);
    assert_int_equal(strncmp(r->body, "5 ", 2), 0);
    free(r);
    /* ... and refuses it by answering first. */
    t_send(c, "PUT /early HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: "
              "5000000\r\n\r\n");
    r = t_reply_of(c, false);
    assert_int_equal(r->status, 401);
    assert_true(t_closed(c));
    free(r);
    t_close(c);
}

static void refused_bodies_keep_short_connections(void **state)
{
    (void)state;
    t_conn *c = t_connect(server);
    for (int i = 0; i < 5; i++) {
        t_send(c, "POST /nowhere HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\n0123456789");
        t_reply *r = t_reply_of(c, false);
        assert_int_equal(r->status, 404);
        free(r);
        t_send(c, "PUT /early HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\n01234");
        t_send(c, "56789");
        r = t_reply_of(c, false);
        assert_int_equal(r->status, 401);
        free(r);
        t_send(c, "PUT /early?read=3 HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\n01234");
        t_send(c, "56789");
        r = t_reply_of(c, false);
        assert_int_equal(r->status, 401);
        free(r);
    }
    t_close(c);
    /* A client that never sends the rest still gets the answer. */
    c = t_connect(server);
    t_send(c, "POST /nowhere HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\n0123");
    t_reply *r = t_reply_of(c, false);
    assert_int_equal(r->status, 404);
    assert_header(r, "Connection", "close");
    free(r);
    t_close(c);
}

/* ---- streams ---- */

typedef struct upload {
    uint64_t size, sum;
    bool     chunked;
} upload;

static void send_upload(t_conn *c, upload *u)
{
    enum { PART = 100000 };
    char head[256], *p = malloc(PART);
    char line[32];
    u->sum = 0;
    if (u->chunked)
        snprintf(head, sizeof head,
                 "PUT /absorb HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
    else
        snprintf(head, sizeof head,
                 "PUT /absorb HTTP/1.1\r\nHost: t\r\nContent-Length: %llu\r\n\r\n",
                 (unsigned long long)u->size);
    t_send(c, head);
    for (uint64_t at = 0; at < u->size;) {
        size_t n = u->size - at < PART ? (size_t)(u->size - at) : PART;
        put_noise(p, n, at);
        for (size_t k = 0; k < n; k++) u->sum += (unsigned char)p[k] * (uint64_t)((at + k) % 251);
        if (u->chunked) {
            snprintf(line, sizeof line, "%zx\r\n", n);
            t_send(c, line);
        }
        assert_true(t_send_bytes(c, p, n));
        if (u->chunked) t_send(c, "\r\n");
        at += n;
    }
    if (u->chunked) t_send(c, "0\r\n\r\n");
    free(p);
}

static void check_upload(t_conn *c, const upload *u)
{
    char     want[64];
    t_reply *r = t_reply_of(c, false);
    assert_int_equal(r->status, 200);
    snprintf(want, sizeof want, "%llu %llu ", (unsigned long long)u->size,
             (unsigned long long)u->sum);
    assert_int_equal(strncmp(r->body, want, strlen(want)), 0);
    free(r);
}

static size_t resident_kb(void)
{
    long  total = 0, pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_int_equal(fscanf(f, "%ld %ld", &total, &pages), 2);
    fclose(f);
    return (size_t)pages * 4;
}

static void streams_whole(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {0, 1, 5000, 262144, 262145, 3000000};
    t_conn               *c = t_connect(server);
    for (size_t i = 0; i < 6; i++) {
        for (int chunked = 0; chunked < 2; chunked++) {
            upload u = {.size = sizes[i], .chunked = chunked};
            send_upload(c, &u);
            check_upload(c, &u);
        }
    }
    t_close(c);
}

static void large_upload_in_flat_memory(void **state)
{
    (void)state;
    t_conn *c = t_connect(server);
    upload  warm = {.size = 1 << 20};
    send_upload(c, &warm);
    check_upload(c, &warm);
    size_t before = resident_kb();
    upload u = {.size = 100 << 20};
    send_upload(c, &u);
    check_upload(c, &u);
    size_t after = resident_kb();
    print_message("100 MB upload: %zu kB before, %zu kB after\n", before, after);
#ifndef SNUG_SANITIZED
    assert_true(after < before + 4096);
#endif
    t_close(c);
}

static void slow_handler_feels_no_loss(void **state)
{
    (void)state;
    t_conn *c = t_connect(server);
    upload  u = {.size = 2000000, .chunked = true};
    atomic_store(&read_pause_ms, 1);
    send_upload(c, &u);
    atomic_store(&read_pause_ms, 0);
    check_upload(c, &u);
    t_close(c);
}

static void stream_limits(void **state)
{
    (void)state;
    t_reply *r = t_ask(server, "PUT /megabyte", "Content-Length: 1048577\r\n\r\n");
    assert_int_equal(r->status, 413);
    free(r);
    t_conn *c = t_connect(server);
    char   *p = malloc(1 << 20);
    memset(p, 'z', 1 << 20);
    t_send(c, "PUT /megabyte HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n1000000\r\n");
    for (int i = 0; i < 8 && t_send_bytes(c, p, 1 << 20); i++) {
    }
    r = t_reply_of(c, false);
    assert_int_equal(r->status, 413);
    assert_int_equal(atomic_load(&last_status), SNUG_ELIMIT);
    assert_true(atomic_load(&last_bytes) <= 1 << 20);
    free(r);
    free(p);
    t_close(c);
}

/* The handler answers while most of the body is still to come: the client, which sends on for a
 * while, must see the answer and no reset. */
static void early_answer_is_seen(void **state)
{
    (void)state;
    static const char *const paths[] = {"/early", "/early?read=1", "/early?read=500000&ok=1"};
    char                    *p = malloc(1 << 20);
    memset(p, 'e', 1 << 20);
    for (size_t i = 0; i < 3; i++) {
        char    head[256];
        t_conn *c = t_connect(server);
        snprintf(head, sizeof head,
                 "PUT %s HTTP/1.1\r\nHost: t\r\nContent-Length: 90000000\r\n\r\n", paths[i]);
        t_send(c, head);
        for (int k = 0; k < 20; k++) assert_true(t_send_bytes(c, p, 1 << 20));
        t_reply *r = t_reply_of(c, false);
        assert_int_equal(r->status, i < 2 ? 401 : 200);
        assert_header(r, "Connection", "close");
        assert_false(r->cut);
        if (i == 2) assert_string_equal(r->body, "enough");
        free(r);
        t_close(c);
    }
    free(p);
}

/* ---- clients that stall or vanish ---- */

static void slow_bodies_time_out(void **state)
{
    (void)state;
    http_limits              l = {.tick_ms = 100};
    http_server             *s = t_start_with(rows, sizeof rows / sizeof rows[0],
                                              (http_server_opts){.body_timeout_s = 1}, &l);
    static const char *const heads[] = {
        "POST /length HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nabc",
        "PUT /absorb HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000\r\n\r\nabc",
        "PUT /absorb HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"};
    for (size_t i = 0; i < 3; i++) {
        uint64_t begun = snug_mono_ms();
        t_conn  *c = t_connect(s);
        t_send(c, heads[i]);
        t_reply *r = t_reply_of(c, false);
        assert_int_equal(r->status, 408);
        assert_header(r, "X-Error-Message", "the request body did not arrive in time");
        assert_true(snug_mono_ms() - begun >= 900);
        assert_true(snug_mono_ms() - begun < 5000);
        assert_true(t_closed(c));
        free(r);
        t_close(c);
    }
    http_server_stop(s, 0);
}

static void drips_are_cut(void **state)
{
    (void)state;
    http_limits l = {
        .tick_ms = 50, .header_timeout_ms = 300, .body_rate_min = 1000, .body_rate_after_ms = 300};
    http_server *s =
        t_start_with(rows, sizeof rows / sizeof rows[0],
                     (http_server_opts){.body_timeout_s = 10, .idle_timeout_s = 1}, &l);
    static const char *const heads[] = {
        "GET /length HTTP/1.1\r\nX-A: ", "G",
        "POST /length HTTP/1.1\r\nHost: t\r\nContent-Length: 5000\r\n\r\n",
        "PUT /absorb HTTP/1.1\r\nHost: t\r\nContent-Length: 500000\r\n\r\n"};
    for (size_t i = 0; i < 4; i++) {
        uint64_t begun = snug_mono_ms();
        t_conn  *c = t_connect(s);
        t_send(c, heads[i]);
        struct pollfd pf = {.fd = c->fd, .events = POLLIN};
        while (poll(&pf, 1, 20) == 0) {
            if (!t_send_bytes(c, "x", 1)) break; /* one byte every 20 ms: never silent */
            assert_true(snug_mono_ms() - begun < 8000);
        }
        t_reply *r = t_reply_of(c, false);
        if (i < 2)
            assert_true(r->cut);
        else
            assert_int_equal(r->status, 408);
        free(r);
        t_close(c);
    }
    http_server_stop(s, 0);
}

static void vanishing_clients(void **state)
{
    (void)state;
    for (int reset = 0; reset < 2; reset++) {
        unsigned before = atomic_load(&finished);
        int64_t  in = snug_metric_get(SNUG_M_HTTP_BYTES_IN);
        t_conn  *c = t_connect(server);
        t_send(c, "PUT /absorb HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000\r\n\r\nabcdef");
        for (int i = 0; i < 10000 && snug_metric_get(SNUG_M_HTTP_BYTES_IN) < in + 6; i++)
            t_sleep_ms(1);
        struct linger hard = {1, 0};
        if (reset) setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        t_close(c);
        for (int i = 0; i < 10000 && atomic_load(&finished) == before; i++) t_sleep_ms(10);
        assert_int_equal(atomic_load(&finished), before + 1);
        assert_int_equal(atomic_load(&last_status), SNUG_ECANCELED);
        assert_int_equal(atomic_load(&last_bytes), 6);
    }
    /* While its handler has not begun to read, too. */
    gate_set(false);
    unsigned before = atomic_load(&finished);
    t_conn  *c = t_connect(server);
    t_send(c, "PUT /blocked HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000\r\n\r\nabcdef");
    gate_await(1);
    t_close(c);
    gate_set(true);
    for (int i = 0; i < 10000 && atomic_load(&finished) == before; i++) t_sleep_ms(10);
    assert_int_equal(atomic_load(&last_status), SNUG_ECANCELED);
    /* Bodies in memory just end. */
    int64_t bodies = 0;
    for (int i = 0; i < 20; i++) {
        c = t_connect(server);
        t_send(c, "POST /length HTTP/1.1\r\nHost: t\r\nContent-Length: 1000\r\n\r\nabc");
        t_close(c);
        bodies++;
    }
    assert_int_equal(bodies, 20);
    t_reply *r = t_ask(server, "POST /length", "Content-Length: 1\r\n\r\nx");
    assert_string_equal(r->body, "1");
    free(r);
}

/* ---- queues ---- */

static void full_queue_answers_at_once(void **state)
{
    (void)state;
    http_server *s = T_START(rows, .workers = 2, .stream_workers = 1, .queue_max = 3);
    t_conn      *c[12];
    unsigned     refused = 0;
    int64_t      shed = snug_metric_get(SNUG_M_HTTP_SHED);
    gate_set(false);
    for (int i = 0; i < 2; i++) {
        c[i] = t_connect(s);
        t_send(c[i], "GET /blocked HTTP/1.1\r\nHost: t\r\n\r\n");
        gate_await((unsigned)i + 1);
    }
    for (int i = 2; i < 12; i++) {
        c[i] = t_connect(s);
        t_send(c[i], "GET /blocked HTTP/1.1\r\nHost: t\r\n\r\n");
        if (i < 5) {
            await_queued(i - 1);
            continue;
        }
        t_reply *r = t_reply_of(c[i], false);
        assert_int_equal(r->status, 503);
        assert_header(r, "Retry-After", "1");
        free(r);
        refused++;
    }
    assert_int_equal(refused, 7); /* 2 run, 3 wait */
    assert_int_equal(snug_metric_get(SNUG_M_HTTP_SHED) - shed, 7);
    assert_int_equal(snug_metric_get(SNUG_M_WORKERS_BUSY), 2);
    assert_int_equal(snug_metric_get(SNUG_M_WORKERS_QUEUED), 3);
    /* The same connection goes on, and streams have a pool of their own. */
    t_send(c[11], "PUT /absorb HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc");
    t_reply *r = t_reply_of(c[11], false);
    assert_int_equal(r->status, 200);
    free(r);
    gate_set(true);
    for (int i = 0; i < 5; i++) {
        r = t_reply_of(c[i], false);
        assert_int_equal(r->status, 200);
        assert_string_equal(r->body, "through");
        free(r);
    }
    for (int i = 0; i < 12; i++) t_close(c[i]);
    http_server_stop(s, 0);
}

static void full_stream_queue(void **state)
{
    (void)state;
    http_server *s = T_START(rows, .stream_workers = 1, .queue_max = 1);
    t_conn      *c[3];
    gate_set(false);
    for (int i = 0; i < 3; i++) {
        c[i] = t_connect(s);
        t_send(c[i], "PUT /blocked HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc");
        if (i == 0) gate_await(1);
        if (i == 1) await_queued(1);
    }
    t_reply *r = t_reply_of(c[2], false);
    assert_int_equal(r->status, 503);
    free(r);
    gate_set(true);
    for (int i = 0; i < 2; i++) {
        r = t_reply_of(c[i], false);
        assert_int_equal(r->status, 200);
        free(r);
    }
    for (int i = 0; i < 3; i++) t_close(c[i]);
    http_server_stop(s, 0);
}

/* ---- stopping ---- */

static void *stop_main(void *s)
{
    http_server_stop(s, 5000);
    return NULL;
}

static void stop_lets_requests_finish(void **state)
{
    (void)state;
    http_server *s = T_START(rows, .workers = 2);
    pthread_t    thread;
    gate_set(false);
    t_conn *c = t_connect(s), *idle = t_connect(s), *partial = t_connect(s);
    t_send(c, "GET /blocked HTTP/1.1\r\nHost: t\r\n\r\n");
    t_send(idle, "GET /nowhere HTTP/1.1\r\nHost: t\r\n\r\n");
    free(t_reply_of(idle, false));
    t_send(partial, "PUT /absorb HTTP/1.1\r\nHost: t\r\nContent-Length: 6\r\n\r\nabc");
    gate_await(1);
    while (snug_metric_get(SNUG_M_STREAMS_BUSY) == 0) t_sleep_ms(1); /* its headers are in */
    uint16_t port = http_server_port(s);
    pthread_create(&thread, NULL, stop_main, s);
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port)};
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0;; i++) { /* no new connections */
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        int rc = connect(fd, (struct sockaddr *)&sa, sizeof sa);
        close(fd);
        if (rc != 0) break;
        assert_true(i < 500);
        t_sleep_ms(5);
    }
    t_send(idle, "GET /nowhere HTTP/1.1\r\nHost: t\r\n\r\n");
    t_reply *r = t_reply_of(idle, false);
    assert_int_equal(r->status, 503); /* new requests on old connections are turned away */
    assert_header(r, "Connection", "close");
    free(r);
    gate_set(true);
    r = t_reply_of(c, false);
    assert_int_equal(r->status, 200);
    assert_header(r, "Connection", "close");
    free(r);
    t_send(partial, "def");
    r = t_reply_of(partial, false);
    assert_int_equal(r->status, 200);
    free(r);
    pthread_join(thread, NULL);
    t_close(c);
    t_close(idle);
    t_close(partial);
}

typedef struct loader {
    uint16_t     port;
    atomic_bool *end;
    unsigned     ok;
} loader;

static void *load_main(void *arg)
{
    loader *l = arg;
    upload  u = {.size = 300000, .chunked = true};
    while (!atomic_load(l->end)) {
        struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(l->port)};
        sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        t_conn *c = calloc(1, sizeof *c);
        c->fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(c->fd, (struct sockaddr *)&sa, sizeof sa) == 0) {
            static const char text[] =
                "GET /nowhere HTTP/1.1\r\nHost: t\r\n\r\n"
                "PUT /absorb HTTP/1.1\r\nHost: t\r\nContent-Length: 300000\r\n\r\n";
            char *p = calloc(1, u.size);
            if (t_send_bytes(c, text, sizeof text - 1) && t_send_bytes(c, p, u.size)) {
                t_reply *r = t_reply_of(c, false);
                if (r->status == 404) l->ok++;
                free(r);
            }
            free(p);
        }
        t_close(c);
    }
    return NULL;
}

static void stop_during_load(void **state)
{
    (void)state;
    gate_set(true);
    for (int round = 0; round < 3; round++) {
        http_server *s = T_START(rows, .workers = 2, .stream_workers = 4);
        atomic_bool  end = false;
        loader       l[4];
        pthread_t    t[4];
        for (int i = 0; i < 4; i++) {
            l[i] = (loader){http_server_port(s), &end, 0};
            pthread_create(&t[i], NULL, load_main, &l[i]);
        }
        t_sleep_ms(200);
        http_server_stop(s, round == 0 ? 0 : 50);
        atomic_store(&end, true);
        unsigned ok = 0;
        for (int i = 0; i < 4; i++) {
            pthread_join(t[i], NULL);
            ok += l[i].ok;
        }
        assert_true(ok > 0);
    }
}

static void stop_cuts_what_hangs(void **state)
{
    (void)state;
    http_server *s = T_START(rows, .workers = 1);
    t_conn      *c = t_connect(s);
    unsigned     before = atomic_load(&finished);
    t_send(c, "PUT /absorb HTTP/1.1\r\nHost: t\r\nContent-Length: 600\r\n\r\nabc");
    while (snug_metric_get(SNUG_M_STREAMS_BUSY) == 0) t_sleep_ms(1);
    uint64_t begun = snug_mono_ms();
    http_server_stop(s, 100);
    assert_true(snug_mono_ms() - begun < 3000);
    assert_int_equal(atomic_load(&finished), before + 1);
    assert_int_equal(atomic_load(&last_status), SNUG_ECANCELED);
    t_close(c);
}

int main(void)
{
    snug_log_setup(&(snug_log_opts){.level = SNUG_LOG_OFF, .fd = 2});
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_limits),
        cmocka_unit_test(continues),
        cmocka_unit_test(refused_bodies_keep_short_connections),
        cmocka_unit_test(streams_whole),
        cmocka_unit_test(large_upload_in_flat_memory),
        cmocka_unit_test(slow_handler_feels_no_loss),
        cmocka_unit_test(stream_limits),
        cmocka_unit_test(early_answer_is_seen),
        cmocka_unit_test(slow_bodies_time_out),
        cmocka_unit_test(drips_are_cut),
        cmocka_unit_test(vanishing_clients),
        cmocka_unit_test(full_queue_answers_at_once),
        cmocka_unit_test(full_stream_queue),
        cmocka_unit_test(stop_lets_requests_finish),
        cmocka_unit_test(stop_during_load),
        cmocka_unit_test(stop_cuts_what_hangs),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
