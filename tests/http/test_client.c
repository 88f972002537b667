/* SPDX-License-Identifier: Apache-2.0 */
/* The client against our own server and against sockets that misbehave. */
#include <pthread.h>

#include "http_test.h"

/* ---- server side ---- */

static snug_status show(http_req *rq, http_res *rs, snug_err *err)
{
    (void)err;
    static const char *const verbs[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};
    char                     text[2048];
    snug_slice               type = http_req_header(rq, "Content-Type"),
               agent = http_req_header(rq, "User-Agent");
    snug_slice x = http_req_header(rq, "X-Mine"), auth = http_req_header(rq, "Authorization");
    snprintf(text, sizeof text, "%s %.*s type=%.*s agent=%.*s x=%.*s auth=%.*s body=%.*s",
             verbs[http_req_verb(rq)], SNUG_SLICE(http_req_target(rq)), SNUG_SLICE(type),
             SNUG_SLICE(agent), SNUG_SLICE(x), SNUG_SLICE(auth), SNUG_SLICE(http_req_body(rq)));
    http_set_header(rs, "X-Answer", SNUG_LIT("yes"));
    http_reply_text(rs, 200, text);
    return SNUG_OK;
}

static snug_status moved(http_req *rq, http_res *rs, snug_err *err)
{
    (void)err;
    uint64_t status = 0;
    (void)snug_parse_u64(http_req_param(rq, "status"), &status);
    http_set_header(rs, "X-Hop", SNUG_LIT("1"));
    http_reply_redirect(rs, (int)status, http_req_query(rq, "to", 0));
    return SNUG_OK;
}

static snug_status count_body(http_req *rq, http_res *rs, snug_err *err)
{
    char     buf[65536], text[64];
    uint64_t total = 0, sum = 0;
    size_t   got = 1;
    while (got > 0) {
        snug_status st = http_req_read(rq, buf, sizeof buf, &got, err);
        if (st != SNUG_OK) return st;
        for (size_t i = 0; i < got; i++) sum += (unsigned char)buf[i];
        total += got;
    }
    snprintf(text, sizeof text, "%llu %llu %s", (unsigned long long)total, (unsigned long long)sum,
             http_req_length(rq) == UINT64_MAX ? "chunked" : "sized");
    http_reply_text(rs, 200, text);
    return SNUG_OK;
}

static snug_status pattern(http_req *rq, http_res *rs, snug_err *err)
{
    (void)err;
    uint64_t size = 0;
    (void)snug_parse_u64(http_req_param(rq, "size"), &size);
    snug_buf b = snug_buf_init(1 << 25);
    for (uint64_t i = 0; i < size; i++) snug_buf_putc(&b, (char)(i % 251));
    http_reply_bytes(rs, SNUG_LIT("application/octet-stream"), &b);
    return SNUG_OK;
}

static snug_status refuse(http_req *rq, http_res *rs, snug_err *err)
{
    (void)rq, (void)rs;
    return snug_fail(err, SNUG_EFORBIDDEN, "no");
}

static const http_doc   large = {.id = "large", .body_max = 1ull << 40};
static const http_route rows[] = {
    {HTTP_GET, "/show/{a...}", show, 0, NULL, NULL},
    {HTTP_POST, "/show/{a...}", show, 0, NULL, NULL},
    {HTTP_PUT, "/show/{a...}", show, 0, NULL, NULL},
    {HTTP_PATCH, "/show/{a...}", show, 0, NULL, NULL},
    {HTTP_DELETE, "/show/{a...}", show, 0, NULL, NULL},
    {HTTP_GET, "/moved/{status}", moved, 0, NULL, NULL},
    {HTTP_POST, "/moved/{status}", moved, 0, NULL, NULL},
    {HTTP_PUT, "/count", count_body, ROUTE_STREAM_BODY, &large, NULL},
    {HTTP_PUT, "/refuse", refuse, ROUTE_STREAM_BODY, &large, NULL},
    {HTTP_GET, "/pattern/{size}", pattern, 0, NULL, NULL},
};

static http_server *server;
static http_client *client;
static snug_arena  *arena;

static int start(void **state)
{
    (void)state;
    server = T_START(rows, .workers = 4);
    client = http_client_new("test-agent/1");
    arena = snug_arena_new();
    return 0;
}

static int stop(void **state)
{
    (void)state;
    http_client_free(client);
    snug_arena_free(arena);
    http_server_stop(server, 500);
    return 0;
}

static const char *url_of(const char *path)
{
    return snug_arena_printf(arena, "http://127.0.0.1:%u%s", http_server_port(server), path).ptr;
}

static http_answer must_call(http_call call, snug_buf *into)
{
    http_answer a;
    snug_err    err = {0};
    call.into = into;
    snug_status st = http_call_run(client, &call, arena, &a, &err);
    if (st != SNUG_OK) print_error("%s\n", err.msg);
    assert_int_equal(st, SNUG_OK);
    return a;
}

#define CALL(into, ...) must_call((http_call){__VA_ARGS__}, into)

static void methods(void **state)
{
    (void)state;
    static const char *const names[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};
    for (size_t i = 0; i < 5; i++) {
        for (int body = 0; body < 2; body++) {
            SNUG_AUTO(snug_buf) b = snug_buf_init(4096);
            char        want[256];
            http_header h[] = {{SNUG_LIT("X-Mine"), SNUG_LIT("v 1")},
                               {SNUG_LIT("Content-Type"), SNUG_LIT("text/x")}};
            http_answer a =
                CALL(&b, .method = names[i], .url = url_of("/show/p?q=1"), .headers = h,
                     .header_count = body ? 2 : 1, .body = body ? SNUG_LIT("payload") : SNUG_EMPTY);
            snprintf(want, sizeof want,
                     "%s /show/p?q=1 type=%s agent=test-agent/1 x=v 1 auth= body=%s", names[i],
                     body ? "text/x" : "", body ? "payload" : "");
            assert_int_equal(a.status, 200);
            assert_string_equal(snug_buf_cstr(&b), want);
            assert_int_equal(a.body_bytes, b.len);
            assert_true(snug_eq_str(http_answer_header(&a, "x-answer"), "yes"));
            assert_null(http_answer_header(&a, "X-None").ptr);
        }
    }
    SNUG_AUTO(snug_buf) b = snug_buf_init(4096);
    http_answer a = CALL(&b, .method = "HEAD", .url = url_of("/pattern/1000"));
    assert_int_equal(a.status, 200);
    assert_true(snug_eq_str(http_answer_header(&a, "Content-Length"), "1000"));
    assert_int_equal(b.len, 0);
    a = CALL(&b, .url = url_of("/none"));
    assert_int_equal(a.status, 404);
    assert_string_equal(snug_buf_cstr(&b), "{\"error\":\"there is nothing at this address\"}");
}

static void keep_alive(void **state)
{
    (void)state;
    SNUG_AUTO(snug_buf) b = snug_buf_init(1 << 20);
    for (int i = 0; i < 30; i++) {
        snug_buf_clear(&b);
        (void)CALL(&b, .url = url_of("/show/k"));
    }
    assert_true(snug_metric_get(SNUG_M_HTTP_CONNECTIONS) <= 2); /* uploads aside, one is enough */
}

/* ---- pull and push ---- */

typedef struct source {
    uint64_t left, at;
    uint64_t fail_at;
} source;

static snug_status pull(void *arg, void *p, size_t n, size_t *got, snug_err *err)
{
    source *s = arg;
    if (s->fail_at != 0 && s->at >= s->fail_at)
        return snug_fail(err, SNUG_ECORRUPT, "the source broke");
    *got = n < s->left ? n : (size_t)s->left;
    for (size_t i = 0; i < *got; i++) ((unsigned char *)p)[i] = (unsigned char)((s->at + i) % 251);
    s->left -= *got;
    s->at += *got;
    return SNUG_OK;
}

static uint64_t pattern_sum(uint64_t n)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < n; i++) sum += i % 251;
    return sum;
}

static void pulls(void **state)
{
    (void)state;
    for (int chunked = 0; chunked < 2; chunked++) {
        char   want[64];
        source s = {.left = 5000000};
        SNUG_AUTO(snug_buf) b = snug_buf_init(4096);
        http_answer a = CALL(&b, .method = "PUT", .url = url_of("/count"), .pull = pull,
                             .pull_arg = &s, .pull_length = chunked ? UINT64_MAX : 5000000);
        snprintf(want, sizeof want, "5000000 %llu %s", (unsigned long long)pattern_sum(5000000),
                 chunked ? "chunked" : "sized");
        assert_int_equal(a.status, 200);
        assert_string_equal(snug_buf_cstr(&b), want);
    }
    source      s = {.left = 5000000, .fail_at = 1000000};
    snug_err    err;
    http_answer a;
    http_call   call = {.method = "PUT",
                        .url = url_of("/count"),
                        .pull = pull,
                        .pull_arg = &s,
                        .pull_length = 5000000};
    assert_int_equal(http_call_run(client, &call, arena, &a, &err), SNUG_ECORRUPT);
    assert_string_equal(err.msg, "the source broke");
    /* Refused in the middle of the upload: the answer is seen. */
    s = (source){.left = 50000000};
    SNUG_AUTO(snug_buf) b = snug_buf_init(4096);
    a = CALL(&b, .method = "PUT", .url = url_of("/refuse"), .pull = pull, .pull_arg = &s,
             .pull_length = 50000000);
    assert_int_equal(a.status, 403);
    assert_string_equal(snug_buf_cstr(&b), "{\"error\":\"no\"}");
}

typedef struct sink {
    uint64_t     at, fail_at;
    int          status;
    bool         wrong;
    atomic_bool *cancel;
} sink;

static snug_status push(void *arg, int status, snug_slice part, snug_err *err)
{
    sink *s = arg;
    s->status = status;
    for (size_t i = 0; i < part.len; i++)
        s->wrong = s->wrong || (unsigned char)part.ptr[i] != (s->at + i) % 251;
    s->at += part.len;
    if (s->cancel != NULL) atomic_store(s->cancel, true);
    if (s->fail_at != 0 && s->at >= s->fail_at) return snug_fail(err, SNUG_EIO, "the disk is full");
    return SNUG_OK;
}

static void pushes(void **state)
{
    (void)state;
    sink        s = {0};
    snug_err    err;
    http_answer a = CALL(NULL, .url = url_of("/pattern/20000000"), .push = push, .push_arg = &s);
    assert_int_equal(a.body_bytes, 20000000);
    assert_int_equal(s.at, 20000000);
    assert_int_equal(s.status, 200);
    assert_false(s.wrong);
    s = (sink){.fail_at = 100000};
    http_call call = {.url = url_of("/pattern/20000000"), .push = push, .push_arg = &s};
    assert_int_equal(http_call_run(client, &call, arena, &a, &err), SNUG_EIO);
    assert_string_equal(err.msg, "the disk is full");
    SNUG_AUTO(snug_buf) b = snug_buf_init(1000);
    call = (http_call){.url = url_of("/pattern/1001"), .into = &b};
    assert_int_equal(http_call_run(client, &call, arena, &a, &err), SNUG_ELIMIT);
    assert_string_equal(err.msg, "the answer is larger than the limit of 1000 bytes");
    atomic_bool cancel = false;
    s = (sink){.cancel = &cancel};
    call = (http_call){
        .url = url_of("/pattern/20000000"), .push = push, .push_arg = &s, .cancel = &cancel};
    assert_int_equal(http_call_run(client, &call, arena, &a, &err), SNUG_ECANCELED);
    b.full = false;
    (void)CALL(&b, .url = url_of("/pattern/10")); /* the handle is fit for use again */
}

/* ---- redirects ---- */

static void redirects(void **state)
{
    (void)state;
    const char *elsewhere =
        snug_arena_printf(arena, "http://localhost:%u/show/z", http_server_port(server)).ptr;
    static const struct {
        const char *method, *path;
        bool        follow, body;
        int         status;
        const char *show; /* start of the final answer */
    } cases[] = {
        {"GET", "/moved/302?to=/show/a", false, false, 302, NULL},
        {"GET", "/moved/302?to=/show/a", true, false, 200, "GET /show/a type="},
        {"GET", "/moved/307?to=../show/b%3fq%3d1", true, false, 200, "GET /show/b?q=1 type="},
        {"POST", "/moved/307?to=/show/c", true, true, 200, "POST /show/c type="},
        {"POST", "/moved/308?to=/show/c", true, true, 200, "POST /show/c type="},
        {"POST", "/moved/303?to=/show/d", true, true, 200, "GET /show/d type="},
        {"POST", "/moved/302?to=/show/e", true, true, 302, NULL},
        {"GET", "/moved/302?to=/moved/301?to%3d/show/f", true, false, 200, "GET /show/f type="},
        {"GET", "/moved/302?to=file:///etc/passwd", true, false, 302, NULL},
        {"GET", "/moved/302?to=https://127.0.0.1/", true, false, 302, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        SNUG_AUTO(snug_buf) b = snug_buf_init(4096);
        http_header h = {SNUG_LIT("Authorization"), SNUG_LIT("Bearer s")};
        http_answer a = CALL(&b, .method = cases[i].method, .url = url_of(cases[i].path),
                             .follow = cases[i].follow, .headers = &h, .header_count = 1,
                             .body = cases[i].body ? SNUG_LIT("again") : SNUG_EMPTY);
        assert_int_equal(a.status, cases[i].status);
        if (cases[i].show == NULL) {
            assert_true(http_answer_header(&a, "Location").len > 0);
            continue;
        }
        assert_int_equal(strncmp(snug_buf_cstr(&b), cases[i].show, strlen(cases[i].show)), 0);
        assert_non_null(strstr(snug_buf_cstr(&b), "auth=Bearer s"));
        bool again = cases[i].body && strncmp(cases[i].show, "POST", 4) == 0;
        assert_non_null(strstr(snug_buf_cstr(&b), again ? "body=again" : "body="));
        assert_null(http_answer_header(&a, "X-Hop").ptr); /* of the last response only */
        assert_non_null(strstr(a.url.ptr, "/show/"));
    }
    SNUG_AUTO(snug_buf) b = snug_buf_init(4096);
    const char *path = snug_arena_printf(arena, "/moved/302?to=%s", elsewhere).ptr;
    http_answer a =
        CALL(&b, .url = url_of(path), .follow = true); /* another host: ours to decide */
    assert_int_equal(a.status, 302);
    assert_true(snug_eq_str(http_answer_header(&a, "Location"), elsewhere));
    snug_err  err;
    http_call call = {.url = url_of("/moved/302?to=%3fto%3d%3f"), .follow = true, .into = &b};
    (void)call;
    /* A circle of two. */
    call.url = url_of(
        "/moved/302?to=/moved/302%3fto%3d/moved/302%253fto%253d/moved/302%25253fto%25253d/moved/302"
        "%2525253fto%2525253d/moved/302%252525253fto%252525253d/moved/"
        "302%25252525253fto%25252525253d/x");
    assert_int_equal(http_call_run(client, &call, arena, &a, &err), SNUG_EREMOTE);
    assert_non_null(strstr(err.msg, "redirects in circles"));
}

/* ---- peers that misbehave ---- */

typedef struct peer {
    int         fd;
    uint16_t    port;
    const char *say;
    unsigned    wait_ms; /* before closing */
    pthread_t   thread;
} peer;

static void *peer_main(void *arg)
{
    peer *p = arg;
    char  buf[4096];
    int   fd = accept(p->fd, NULL, NULL);
    if (fd < 0) return NULL;
    (void)!recv(fd, buf, sizeof buf, 0);
    if (p->say != NULL) (void)send(fd, p->say, strlen(p->say), MSG_NOSIGNAL);
    struct pollfd pf = {.fd = fd, .events = POLLRDHUP};
    (void)poll(&pf, 1, (int)p->wait_ms);
    close(fd);
    return NULL;
}

static const char *peer_start(peer *p, const char *say, unsigned wait_ms)
{
    struct sockaddr_in sa = {.sin_family = AF_INET};
    socklen_t          n = sizeof sa;
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *p = (peer){.say = say, .wait_ms = wait_ms};
    p->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(p->fd, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(listen(p->fd, 4), 0);
    assert_int_equal(getsockname(p->fd, (struct sockaddr *)&sa, &n), 0);
    p->port = ntohs(sa.sin_port);
    pthread_create(&p->thread, NULL, peer_main, p);
    return snug_arena_printf(arena, "http://127.0.0.1:%u/", p->port).ptr;
}

static void peer_end(peer *p)
{
    pthread_join(p->thread, NULL);
    close(p->fd);
}

static snug_status fails(http_call call, snug_err *err)
{
    http_answer a;
    SNUG_AUTO(snug_buf) b = snug_buf_init(1 << 20);
    call.into = &b;
    snug_status st = http_call_run(client, &call, arena, &a, err);
    assert_int_not_equal(st, SNUG_OK);
    assert_int_equal(err->status, st);
    return st;
}

static void sentences(void **state)
{
    (void)state;
    snug_err err;
    peer     p;
    char     want[128];
    assert_int_equal(fails((http_call){.url = "http://127.0.0.1:1/x"}, &err), SNUG_EREMOTE);
    assert_string_equal(err.msg, "could not connect to 127.0.0.1:1: connection refused");
    unsetenv("http_proxy");
    assert_int_equal(fails((http_call){.url = "http://nowhere.invalid/x"}, &err), SNUG_EREMOTE);
    assert_string_equal(err.msg, "could not find the host nowhere.invalid");
    static const char *const bad[] = {
        "", "file:///etc/passwd", "ftp://h/x", "gopher://h", "http://", "nothing", "http://a b/"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(fails((http_call){.url = bad[i]}, &err), SNUG_EINVAL);
        assert_non_null(strstr(err.msg, "is no http or https address"));
    }
    http_header evil = {SNUG_LIT("X-A"), SNUG_LIT("a\r\nX-B: c")};
    assert_int_equal(
        fails((http_call){.url = url_of("/show/x"), .headers = &evil, .header_count = 1}, &err),
        SNUG_EINVAL);
    assert_int_equal(fails((http_call){.method = "GET /x", .url = url_of("/show/x")}, &err),
                     SNUG_EINVAL);

    const char *url = peer_start(&p, NULL, 0);
    assert_int_equal(fails((http_call){.url = url}, &err), SNUG_EREMOTE);
    snprintf(want, sizeof want, "127.0.0.1:%u closed the connection without an answer", p.port);
    assert_string_equal(err.msg, want);
    peer_end(&p);

    url = peer_start(&p, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789", 0);
    assert_int_equal(fails((http_call){.url = url}, &err), SNUG_EREMOTE);
    snprintf(want, sizeof want, "the connection to 127.0.0.1:%u was cut after 10 B", p.port);
    assert_string_equal(err.msg, want);
    peer_end(&p);

    url = peer_start(&p, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", 0);
    assert_int_equal(fails((http_call){.url = url}, &err), SNUG_EREMOTE);
    assert_non_null(strstr(err.msg, "was cut after 5 B"));
    peer_end(&p);

    url = peer_start(&p, "SSH-2.0-OpenSSH\r\n", 0);
    assert_int_equal(fails((http_call){.url = url}, &err), SNUG_EREMOTE);
    assert_non_null(strstr(err.msg, "does not answer in HTTP"));
    peer_end(&p);
}

static void clocks(void **state)
{
    (void)state;
    snug_err    err;
    peer        p;
    uint64_t    begun = snug_mono_ms();
    const char *url = peer_start(&p, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123", 10000);
    assert_int_equal(fails((http_call){.url = url, .stall_timeout_ms = 400}, &err), SNUG_ETIMEOUT);
    assert_non_null(strstr(err.msg, "stopped sending after 4 B"));
    assert_true(snug_mono_ms() - begun >= 400 && snug_mono_ms() - begun < 3000);
    peer_end(&p);

    begun = snug_mono_ms();
    url = peer_start(&p, NULL, 10000);
    assert_int_equal(fails((http_call){.url = url, .total_timeout_ms = 300}, &err), SNUG_ETIMEOUT);
    assert_true(snug_mono_ms() - begun >= 300 && snug_mono_ms() - begun < 3000);
    peer_end(&p);

    atomic_bool cancel = true;
    begun = snug_mono_ms();
    url = peer_start(&p, NULL, 10000);
    assert_int_equal(fails((http_call){.url = url, .cancel = &cancel}, &err), SNUG_ECANCELED);
    assert_true(snug_mono_ms() - begun < 2000);
    shutdown(p.fd, SHUT_RDWR); /* the peer may still wait for somebody */
    peer_end(&p);
}

static void *many_main(void *arg)
{
    snug_arena *a = snug_arena_new();
    char       *url = arg;
    for (int i = 0; i < 50; i++) {
        SNUG_AUTO(snug_buf) b = snug_buf_init(1 << 20);
        http_call   call = {.url = url, .into = &b};
        http_answer out;
        snug_err    err;
        assert_int_equal(http_call_run(client, &call, a, &out, &err), SNUG_OK);
        assert_int_equal(b.len, 10000);
    }
    snug_arena_free(a);
    return NULL;
}

static void threads(void **state)
{
    (void)state;
    pthread_t t[8];
    char     *url = strdup(url_of("/pattern/10000"));
    for (int i = 0; i < 8; i++) pthread_create(&t[i], NULL, many_main, url);
    for (int i = 0; i < 8; i++) pthread_join(t[i], NULL);
    free(url);
}

int main(void)
{
    snug_log_setup(&(snug_log_opts){.level = SNUG_LOG_OFF, .fd = 2});
    setenv("http_proxy", "http://127.0.0.1:9", 1); /* must not matter for loopback */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(methods), cmocka_unit_test(keep_alive), cmocka_unit_test(pulls),
        cmocka_unit_test(pushes),  cmocka_unit_test(redirects),  cmocka_unit_test(sentences),
        cmocka_unit_test(clocks),  cmocka_unit_test(threads),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
