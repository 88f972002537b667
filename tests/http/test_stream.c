/* SPDX-License-Identifier: Apache-2.0 */
/* Streamed answers: order, many at once, silence, slow and vanished readers. */
#include <pthread.h>

#include "http_test.h"

/* ---- handlers: each starts a thread that pushes ---- */

enum { FRAMES = 200 };

static atomic_int   last_status;
static atomic_uint  ended;
static atomic_uint  pause_ms;
static http_stream *held; /* of /hold: pushed to by the test itself */

static void *sse_main(void *arg)
{
    http_stream *s = arg;
    char         text[64];
    snug_status  st = SNUG_OK;
    for (int i = 0; i < FRAMES && st == SNUG_OK; i++) {
        snprintf(text, sizeof text, "{\"n\":%d}", i);
        st = http_sse_push(s, i % 2 == 0 ? NULL : "odd", snug_str(text), NULL);
        if (atomic_load(&pause_ms) > 0) t_sleep_ms(atomic_load(&pause_ms));
    }
    http_stream_close(s, st == SNUG_OK);
    http_stream_unref(s);
    atomic_store(&last_status, (int)st);
    atomic_fetch_add(&ended, 1);
    return NULL;
}

static void detach(void *(*fn)(void *), void *arg)
{
    pthread_t      t;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    assert_int_equal(pthread_create(&t, &attr, fn, arg), 0);
    pthread_attr_destroy(&attr);
}

static snug_status sse(http_req *rq, http_res *rs, snug_err *err)
{
    (void)rq, (void)err;
    http_stream *s = http_stream_new(4096);
    http_reply_stream(rs, SNUG_LIT("text/event-stream"), s);
    detach(sse_main, s);
    return SNUG_OK;
}

static atomic_uint_least64_t bulk_bytes = 3000000;

/* A pattern in odd pieces, some larger than the ring. */
static void *bulk_main(void *arg)
{
    http_stream *s = arg;
    uint64_t     size = atomic_load(&bulk_bytes);
    char        *p = malloc(50000);
    snug_err     err;
    snug_status  st = SNUG_OK;
    uint64_t     at = 0;
    for (unsigned i = 0; at < size && st == SNUG_OK; i++) {
        size_t n = 1 + (i * 7919) % 50000;
        if (n > size - at) n = (size_t)(size - at);
        for (size_t k = 0; k < n; k++) p[k] = (char)((at + k) % 251);
        st = http_stream_push(s, snug_slice_of(p, n), &err);
        at += n;
    }
    free(p);
    http_stream_close(s, st == SNUG_OK);
    http_stream_unref(s);
    atomic_store(&last_status, (int)st);
    atomic_fetch_add(&ended, 1);
    return NULL;
}

static snug_status bulk(http_req *rq, http_res *rs, snug_err *err)
{
    (void)rq, (void)err;
    http_stream *s = http_stream_new(16384);
    http_reply_stream(rs, SNUG_LIT("application/octet-stream"), s);
    detach(bulk_main, s);
    return SNUG_OK;
}

static snug_status hold(http_req *rq, http_res *rs, snug_err *err)
{
    (void)err;
    held = http_stream_new(0);
    bool plain = http_req_query_bool(rq, "plain", false);
    http_reply_stream(rs, plain ? SNUG_LIT("text/plain") : SNUG_LIT("text/event-stream"), held);
    return SNUG_OK;
}

/* Everything pushed before the reply leaves the handler. */
static snug_status ready(http_req *rq, http_res *rs, snug_err *err)
{
    (void)rq;
    http_stream *s = http_stream_new(0);
    snug_status  st = http_sse_push(s, "two", SNUG_LIT("line one\nline two\r\n"), err);
    if (st == SNUG_OK) st = http_sse_push(s, NULL, SNUG_LIT(""), err);
    http_stream_close(s, true);
    http_reply_stream(rs, SNUG_LIT("text/event-stream"), s);
    http_stream_unref(s);
    return st;
}

static snug_status twice(http_req *rq, http_res *rs, snug_err *err)
{
    (void)rq, (void)err;
    http_stream *s = http_stream_new(0);
    http_reply_stream(rs, SNUG_LIT("text/plain"), s);
    http_reply_text(rs, 200, "the second reply");
    atomic_store(&last_status, (int)http_stream_push(s, SNUG_LIT("x"), NULL));
    http_stream_unref(s);
    return SNUG_OK;
}

static const http_route rows[] = {
    {HTTP_GET, "/sse", sse, 0, NULL, NULL},
    {HTTP_GET, "/bulk", bulk, 0, NULL, NULL},
    {HTTP_GET, "/hold", hold, 0, NULL, NULL},
    {HTTP_GET, "/ready", ready, 0, NULL, NULL},
    {HTTP_GET, "/inline", ready, ROUTE_INLINE, NULL, NULL},
    {HTTP_GET, "/twice", twice, 0, NULL, NULL},
};

static http_server *server;

static int start(void **state)
{
    (void)state;
    http_limits l = {.heartbeat_ms = 300, .tick_ms = 50, .push_timeout_ms = 700};
    server = t_start_with(rows, sizeof rows / sizeof rows[0], (http_server_opts){.workers = 4}, &l);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    http_server_stop(server, 1000);
    return 0;
}

static void expect_frames(const t_reply *r)
{
    char  *want = calloc(FRAMES, 64);
    size_t n = 0;
    for (int i = 0; i < FRAMES; i++)
        n += (size_t)snprintf(want + n, 64, "%sdata: {\"n\":%d}\n\n", i % 2 == 0 ? "" : "event: odd\n",
                             i);
    assert_int_equal(r->status, 200);
    assert_false(r->cut);
    assert_int_equal(r->body_len, n);
    assert_memory_equal(r->body, want, n);
    free(want);
}

static void await_ended(unsigned n)
{
    for (int i = 0; i < 1000 && atomic_load(&ended) < n; i++) t_sleep_ms(10);
    assert_int_equal(atomic_load(&ended), n);
}

static void one_stream(void **state)
{
    (void)state;
    unsigned before = atomic_load(&ended);
    t_conn  *c = t_connect(server);
    for (int i = 0; i < 3; i++) { /* the connection outlives the stream */
        t_send(c, "GET /sse HTTP/1.1\r\nHost: t\r\n\r\n");
        t_reply *r = t_reply_of(c, false);
        expect_frames(r);
        assert_header(r, "Content-Type", "text/event-stream");
        assert_header(r, "Transfer-Encoding", "chunked");
        assert_header(r, "Cache-Control", "no-cache");
        assert_non_null(t_header(r, "X-Request-Id"));
        free(r);
    }
    await_ended(before + 3);
    assert_int_equal(atomic_load(&last_status), SNUG_OK);
    t_close(c);
}

static void frames(void **state)
{
    (void)state;
    static const char *const paths[] = {"GET /ready", "GET /inline"};
    for (int i = 0; i < 2; i++) {
        t_reply *r = t_ask(server, paths[i], NULL);
        assert_string_equal(r->body,
                            "event: two\ndata: line one\ndata: line two\ndata: \n\ndata: \n\n");
        free(r);
    }
}

static void old_clients(void **state)
{
    (void)state;
    t_conn *c = t_connect(server);
    t_send(c, "GET /sse HTTP/1.0\r\n\r\n");
    t_reply *r = t_reply_of(c, false);
    assert_null(t_header(r, "Transfer-Encoding"));
    expect_frames(r); /* ended by the close */
    free(r);
    t_close(c);
}

static void two_hundred_streams(void **state)
{
    (void)state;
    enum { MANY = 200 };
    static t_conn *c[MANY];
    unsigned       before = atomic_load(&ended);
    atomic_store(&pause_ms, 1);
    for (int i = 0; i < MANY; i++) {
        c[i] = t_connect(server);
        t_send(c[i], "GET /sse HTTP/1.1\r\nHost: t\r\n\r\n");
    }
    for (int i = 0; i < MANY; i++) {
        t_reply *r = t_reply_of(c[i], false);
        expect_frames(r);
        free(r);
    }
    atomic_store(&pause_ms, 0);
    await_ended(before + MANY);
    for (int i = 0; i < MANY; i++) t_close(c[i]);
}

static void bulk_with_a_small_ring(void **state)
{
    (void)state;
    unsigned before = atomic_load(&ended);
    t_conn  *c = t_connect(server);
    t_send(c, "GET /bulk HTTP/1.1\r\nHost: t\r\n\r\n");
    t_reply *r = malloc(sizeof *r);
    assert_true(t_read_head(c, r));
    uint64_t at = 0;
    char     line[64];
    for (;;) {
        assert_true(t_line(c, line, sizeof line));
        uint64_t n = strtoull(line, NULL, 16);
        r->body_len = 0;
        assert_true(n < sizeof r->body && t_take(c, r, n) && t_line(c, line, sizeof line));
        if (n == 0) break;
        for (uint64_t k = 0; k < n; k++)
            assert_int_equal((unsigned char)r->body[k], (at + k) % 251);
        at += n;
    }
    assert_int_equal(at, 3000000);
    await_ended(before + 1);
    free(r);
    t_close(c);
}

static void heads_have_no_stream(void **state)
{
    (void)state;
    unsigned before = atomic_load(&ended);
    t_conn  *c = t_connect(server);
    atomic_store(&bulk_bytes, 1ull << 30);
    t_send(c, "HEAD /bulk HTTP/1.1\r\nHost: t\r\n\r\n");
    t_reply *r = t_reply_of(c, true);
    assert_int_equal(r->status, 200);
    assert_header(r, "Content-Type", "application/octet-stream");
    assert_null(t_header(r, "Content-Length"));
    assert_true(t_closed(c)); /* and not a byte of a body */
    free(r);
    await_ended(before + 1);
    atomic_store(&bulk_bytes, 3000000);
    assert_int_equal(atomic_load(&last_status), SNUG_ECANCELED);
    t_close(c);
}

static http_stream *open_held(t_conn *c, const char *query)
{
    char text[128];
    held = NULL;
    snprintf(text, sizeof text, "GET /hold%s HTTP/1.1\r\nHost: t\r\n\r\n", query);
    t_send(c, text);
    t_reply *r = malloc(sizeof *r);
    assert_true(t_read_head(c, r));
    free(r);
    assert_non_null(held);
    return held;
}

static void heart_beats(void **state)
{
    (void)state;
    char              line[128];
    t_conn           *c = t_connect(server);
    uint64_t          begun = snug_mono_ms();
    http_stream      *s = open_held(c, "");
    static const char beat[] = ": keep-alive\n\n";
    for (int i = 0; i < 3; i++) {
        assert_true(t_line(c, line, sizeof line));
        assert_string_equal(line, "E");
        assert_true(t_line(c, line, sizeof line)); /* the frame's own line ends are bare LF */
        assert_string_equal(line, beat);
    }
    assert_true(snug_mono_ms() - begun >= 850);
    assert_true(snug_mono_ms() - begun < 5000);
    assert_int_equal(http_stream_push(s, SNUG_LIT("data: x\n\n"), NULL), SNUG_OK);
    http_stream_close(s, true);
    http_stream_unref(s);
    t_close(c);
    /* Other streams are not written to. */
    c = t_connect(server);
    s = open_held(c, "?plain=1");
    struct pollfd pf = {.fd = c->fd, .events = POLLIN};
    assert_int_equal(poll(&pf, 1, 800), 0);
    http_stream_close(s, true);
    http_stream_unref(s);
    t_close(c);
}

static void vanished_readers(void **state)
{
    (void)state;
    /* A silent stream hears of its reader's end at once, not at the next push. */
    t_conn      *c = t_connect(server);
    http_stream *s = open_held(c, "?plain=1");
    assert_false(http_stream_gone(s));
    uint64_t begun = snug_mono_ms();
    t_close(c);
    while (!http_stream_gone(s)) {
        assert_true(snug_mono_ms() - begun < 3000);
        t_sleep_ms(1);
    }
    snug_err err;
    assert_int_equal(http_stream_push(s, SNUG_LIT("x"), &err), SNUG_ECANCELED);
    assert_string_equal(err.msg, "the client went away");
    http_stream_close(s, true);
    http_stream_unref(s);
    /* A pusher in the middle of its work, too: more than any socket buffers. */
    unsigned before = atomic_load(&ended);
    atomic_store(&bulk_bytes, 1ull << 30);
    c = t_connect(server);
    t_send(c, "GET /bulk HTTP/1.1\r\nHost: t\r\n\r\n");
    t_reply *r = malloc(sizeof *r);
    assert_true(t_read_head(c, r));
    free(r);
    t_close(c);
    await_ended(before + 1);
    atomic_store(&bulk_bytes, 3000000);
    assert_int_equal(atomic_load(&last_status), SNUG_ECANCELED);
}

static void slow_readers_time_out(void **state)
{
    (void)state;
    t_conn *c = t_connect(server);
    int     small = 4096;
    setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    http_stream *s = open_held(c, "?plain=1");
    char        *p = calloc(1, 1 << 16);
    snug_err     err;
    snug_status  st = SNUG_OK;
    uint64_t     begun = snug_mono_ms();
    for (int i = 0; i < 1000 && st == SNUG_OK; i++) {
        begun = snug_mono_ms();
        st = http_stream_push(s, snug_slice_of(p, 1 << 16), &err);
    }
    assert_int_equal(st, SNUG_ETIMEOUT);
    assert_true(snug_mono_ms() - begun >= 650);
    free(p);
    http_stream_close(s, false);
    http_stream_unref(s);
    t_close(c);
}

static void a_failed_stream_is_cut(void **state)
{
    (void)state;
    char         line[64];
    t_conn      *c = t_connect(server);
    http_stream *s = open_held(c, "?plain=1");
    assert_int_equal(http_stream_push(s, SNUG_LIT("half"), NULL), SNUG_OK);
    assert_true(t_line(c, line, sizeof line));
    assert_string_equal(line, "4");
    http_stream_close(s, false);
    assert_true(t_line(c, line, sizeof line));
    assert_string_equal(line, "half");
    assert_true(t_closed(c)); /* no last chunk: the reader knows it is not whole */
    assert_int_equal(http_stream_push(s, SNUG_LIT("more"), NULL), SNUG_ECANCELED);
    http_stream_unref(s);
    t_close(c);
}

static void replaced_streams_end(void **state)
{
    (void)state;
    t_reply *r = t_ask(server, "GET /twice", NULL);
    assert_string_equal(r->body, "the second reply");
    assert_int_equal(atomic_load(&last_status), SNUG_ECANCELED);
    free(r);
}

static void stop_ends_streams(void **state)
{
    (void)state;
    enum { MANY = 20 };
    http_limits  l = {.tick_ms = 50};
    http_server *s =
        t_start_with(rows, sizeof rows / sizeof rows[0], (http_server_opts){.workers = 4}, &l);
    t_conn  *c[MANY];
    unsigned before = atomic_load(&ended);
    atomic_store(&pause_ms, 100);
    for (int i = 0; i < MANY; i++) {
        c[i] = t_connect(s);
        t_send(c[i], "GET /sse HTTP/1.1\r\nHost: t\r\n\r\n");
    }
    for (int i = 0; i < MANY; i++) {
        struct pollfd pf = {.fd = c[i]->fd, .events = POLLIN};
        assert_int_equal(poll(&pf, 1, 10000), 1);
    }
    http_server_stop(s, 100);
    atomic_store(&pause_ms, 0);
    await_ended(before + MANY);
    for (int i = 0; i < MANY; i++) {
        t_reply *r = t_reply_of(c[i], false);
        assert_int_equal(r->status, 200);
        assert_true(r->cut);
        free(r);
        t_close(c[i]);
    }
}

int main(void)
{
    snug_log_setup(&(snug_log_opts){.level = SNUG_LOG_OFF, .fd = 2});
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_stream),
        cmocka_unit_test(frames),
        cmocka_unit_test(old_clients),
        cmocka_unit_test(two_hundred_streams),
        cmocka_unit_test(bulk_with_a_small_ring),
        cmocka_unit_test(heads_have_no_stream),
        cmocka_unit_test(heart_beats),
        cmocka_unit_test(vanished_readers),
        cmocka_unit_test(slow_readers_time_out),
        cmocka_unit_test(a_failed_stream_is_cut),
        cmocka_unit_test(replaced_streams_end),
        cmocka_unit_test(stop_ends_streams),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
