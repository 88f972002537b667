/* SPDX-License-Identifier: Apache-2.0 */
/* What a client sees of routing, headers, replies and limits. */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <zlib.h>
#include <zstd.h>

#include "http_test.h"

/* ---- handlers ---- */

static snug_status echo(http_req *rq, http_res *rs, snug_err *err)
{
    (void)err;
    snug_buf   b = snug_buf_init(1 << 20);
    snug_slice q = http_req_query(rq, "q", 0), q1 = http_req_query(rq, "q", 1);
    snug_buf_printf(&b,
                    "verb=%d head=%d path=%.*s a=%.*s rawa=%.*s rest=%.*s q=%.*s q1=%.*s flag=%d "
                    "body=%zu:%.*s remote=%.*s",
                    http_req_verb(rq), http_req_is_head(rq), SNUG_SLICE(http_req_path(rq)),
                    SNUG_SLICE(http_req_param(rq, "a")), SNUG_SLICE(http_req_param_raw(rq, "a")),
                    SNUG_SLICE(http_req_param(rq, "rest")), SNUG_SLICE(q), SNUG_SLICE(q1),
                    http_req_query_bool(rq, "flag", false), http_req_body(rq).len,
                    SNUG_SLICE(snug_sub(http_req_body(rq), 0, 40)),
                    SNUG_SLICE(http_req_remote(rq)));
    http_reply_bytes(rs, SNUG_LIT("text/plain"), &b);
    return SNUG_OK;
}

static snug_status form(http_req *rq, http_res *rs, snug_err *err)
{
    (void)err;
    char text[256];
    snprintf(text, sizeof text, "%.*s|%.*s|%d", SNUG_SLICE(http_req_form(rq, "paths", 0)),
             SNUG_SLICE(http_req_form(rq, "paths", 1)), http_req_form(rq, "paths", 2).ptr == NULL);
    http_reply_text(rs, 200, text);
    return SNUG_OK;
}

static snug_status base(http_req *rq, http_res *rs, snug_err *err)
{
    (void)err;
    http_reply_text(rs, 200, snug_arena_cstr(http_req_arena(rq), http_req_base_url(rq)));
    return SNUG_OK;
}

static snug_status fails(http_req *rq, http_res *rs, snug_err *err)
{
    http_set_header(rs, "X-Repo-Commit", SNUG_LIT("abc"));
    http_set_header(rs, "ETag", SNUG_LIT("\"gone\""));
    http_reply_text(rs, 200, "this reply is replaced");
    if (snug_eq_str(http_req_param(rq, "a"), "io"))
        return snug_fail_sys(err, ENOENT, "open /secret/path");
    return snug_fail_code(err, SNUG_ENOTFOUND, "RepoNotFound", "no repository %.*s",
                          SNUG_SLICE(http_req_param(rq, "a")));
}

static snug_status silent(http_req *rq, http_res *rs, snug_err *err)
{
    (void)rq, (void)rs, (void)err;
    return SNUG_OK;
}

static snug_status inject(http_req *rq, http_res *rs, snug_err *err)
{
    (void)err;
    snug_slice v = http_req_query(rq, "v", 0);
    http_set_header(rs, "X-Good", SNUG_LIT("yes"));
    http_set_header(rs, "X-Bad", v);
    http_set_header(rs, "X Bad", SNUG_LIT("name"));
    http_set_header(rs, "Content-Length", SNUG_LIT("3"));
    http_set_headerf(rs, "X-Format", "%.*s", SNUG_SLICE(v));
    if (http_req_query_bool(rq, "redirect", false))
        http_reply_redirect(rs, 302, v);
    else
        http_reply_text(rs, 200, "hello");
    return SNUG_OK;
}

/* size=N bytes of compressible JSON, or of noise */
static snug_status big(http_req *rq, http_res *rs, snug_err *err)
{
    (void)err;
    uint64_t size = 0;
    (void)snug_parse_u64(http_req_query(rq, "size", 0), &size);
    snug_buf b = snug_buf_init(1 << 24);
    for (uint64_t i = 0; i < size; i++) snug_buf_putc(&b, (char)('a' + i % 7));
    if (http_req_query_bool(rq, "noise", false)) snug_random(b.ptr, b.len);
    if (http_req_query_bool(rq, "octets", false))
        http_reply_bytes(rs, SNUG_LIT("application/octet-stream"), &b);
    else
        http_reply_json(rs, &b);
    return SNUG_OK;
}

static char folder[] = "/tmp/snug-http-XXXXXX";
static char file_path[64];
enum { FILE_BYTES = 300000 };

static snug_status content(http_req *rq, http_res *rs, snug_err *err)
{
    (void)err;
    if (snug_eq_str(http_req_param(rq, "a"), "file")) {
        http_reply_content(rq, rs, SNUG_LIT("text/plain"), SNUG_LIT("\"tag\""),
                           open(file_path, O_RDONLY | O_CLOEXEC), NULL, FILE_BYTES);
    } else if (snug_eq_str(http_req_param(rq, "a"), "empty")) {
        snug_buf b = snug_buf_init(16);
        http_reply_content(rq, rs, SNUG_LIT("text/plain"), SNUG_LIT("\"tag\""), -1, &b, 0);
    } else if (snug_eq_str(http_req_param(rq, "a"), "short")) {
        http_reply_content(rq, rs, SNUG_LIT("text/plain"), SNUG_LIT("\"tag\""),
                           open(file_path, O_RDONLY | O_CLOEXEC), NULL, FILE_BYTES + 1);
    } else if (snug_eq_str(http_req_param(rq, "a"), "page")) {
        snug_buf b = snug_buf_init(1 << 16);
        for (int i = 0; i < 4000; i++) snug_buf_puts(&b, "<p>");
        http_reply_content(rq, rs, SNUG_LIT("text/html; charset=utf-8"), SNUG_LIT("\"page\""), -1,
                           &b, b.len);
    } else {
        snug_buf b = snug_buf_init(64);
        snug_buf_puts(&b, "0123456789");
        http_reply_content(rq, rs, SNUG_LIT("text/plain"), SNUG_LIT("\"mem\""), -1, &b, 10);
    }
    return SNUG_OK;
}

static snug_status part(http_req *rq, http_res *rs, snug_err *err)
{
    (void)rq, (void)err;
    http_set_status(rs, 206);
    http_reply_file(rs, open(file_path, O_RDONLY | O_CLOEXEC), 10, 5);
    return SNUG_OK;
}

static snug_status nothing(http_req *rq, http_res *rs, snug_err *err)
{
    (void)rq, (void)err;
    http_reply_empty(rs, 204);
    return SNUG_OK;
}

static snug_status fast_even(http_req *rq, http_res *rs, snug_err *err)
{
    uint64_t n = 0;
    (void)snug_parse_u64(http_req_param(rq, "n"), &n);
    http_set_header(rs, "X-From", SNUG_LIT("fast"));
    http_req_set_slot(rq, rq);
    if (n % 2 == 1) return SNUG_EAGAIN;
    if (n == 4) return snug_fail(err, SNUG_EFORBIDDEN, "not four");
    http_reply_text(rs, 200, "fast");
    return SNUG_OK;
}

static snug_status slow_odd(http_req *rq, http_res *rs, snug_err *err)
{
    (void)err;
    assert_null(http_req_slot(rq));
    http_set_header(rs, "X-From", SNUG_LIT("queued"));
    http_reply_text(rs, 200, "queued");
    return SNUG_OK;
}

static const http_doc small_doc = {.id = "small", .body_max = 1000};

static const http_route rows[] = {
    {HTTP_GET, "/echo/{a}", echo, 0, NULL, NULL},
    {HTTP_POST, "/echo/{a}", echo, 0, NULL, NULL},
    {HTTP_DELETE, "/echo/{a}", echo, 0, &small_doc, NULL},
    {HTTP_GET, "/rest/{a}/{rest...}", echo, ROUTE_INLINE, NULL, NULL},
    {HTTP_POST, "/form", form, 0, NULL, NULL},
    {HTTP_GET, "/base", base, 0, NULL, NULL},
    {HTTP_GET, "/fails/{a}", fails, 0, NULL, NULL},
    {HTTP_GET, "/silent", silent, 0, NULL, NULL},
    {HTTP_GET, "/inject", inject, 0, NULL, NULL},
    {HTTP_GET, "/big", big, 0, NULL, NULL},
    {HTTP_GET, "/content/{a}", content, 0, NULL, NULL},
    {HTTP_GET, "/part", part, 0, NULL, NULL},
    {HTTP_GET, "/nothing", nothing, 0, NULL, NULL},
    {HTTP_GET, "/even/{n}", slow_odd, 0, NULL, fast_even},
};

static http_server *server;

static int start(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(file_path, sizeof file_path, "%s/file", folder);
    FILE *f = fopen(file_path, "wb");
    for (int i = 0; i < FILE_BYTES; i++) fputc('a' + i % 26, f);
    fclose(f);
    server = T_START(rows, .workers = 3);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    http_server_stop(server, 1000);
    assert_int_equal(snug_metric_get(SNUG_M_HTTP_CONNECTIONS), 0);
    assert_int_equal(snug_metric_get(SNUG_M_WORKERS_QUEUED), 0);
    assert_int_equal(snug_metric_get(SNUG_M_WORKERS_BUSY), 0);
    return snug_remove_tree(folder, NULL) == SNUG_OK ? 0 : 1;
}

/* ---- requests ---- */

static void requests(void **state)
{
    (void)state;
    static const struct {
        const char *line, *more, *body;
    } cases[] = {
        {"GET /echo/x", NULL,
         "verb=0 head=0 path=/echo/x a=x rawa=x rest= q= q1= flag=0 body=0: remote=127.0.0.1"},
        {"GET /echo/a%2Fb%20c?q=1", NULL,
         "verb=0 head=0 path=/echo/a%2Fb%20c a=a/b c rawa=a%2Fb%20c rest= q=1 q1= flag=0 body=0: "
         "remote=127.0.0.1"},
        {"GET /echo/x?q=a%26b+c&q[]=two&flag", NULL,
         "verb=0 head=0 path=/echo/x a=x rawa=x rest= q=a&b c q1=two flag=1 body=0: "
         "remote=127.0.0.1"},
        {"GET /echo/x?q=%zz&&q=&flag=false", NULL,
         "verb=0 head=0 path=/echo/x a=x rawa=x rest= q=%zz q1= flag=0 body=0: remote=127.0.0.1"},
        {"GET /rest/r/dir%2Fsub/x+y%2b", NULL,
         "verb=0 head=0 path=/rest/r/dir%2Fsub/x+y%2b a=r rawa=r rest=dir/sub/x+y+ q= q1= flag=0 "
         "body=0: remote=127.0.0.1"},
        {"GET http://other.example/echo/x?q=1", NULL,
         "verb=0 head=0 path=/echo/x a=x rawa=x rest= q=1 q1= flag=0 body=0: remote=127.0.0.1"},
        {"POST /echo/x", "Content-Length: 5\r\n\r\nhello",
         "verb=1 head=0 path=/echo/x a=x rawa=x rest= q= q1= flag=0 body=5:hello remote=127.0.0.1"},
        {"POST /echo/x", "Content-Length: 0\r\n\r\n",
         "verb=1 head=0 path=/echo/x a=x rawa=x rest= q= q1= flag=0 body=0: remote=127.0.0.1"},
        {"DELETE /echo/x", "Content-Length: 2\r\n\r\n{}",
         "verb=4 head=0 path=/echo/x a=x rawa=x rest= q= q1= flag=0 body=2:{} remote=127.0.0.1"},
        {"POST /echo/x",
         "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n8;ext=1\r\ndefghijk\r\n0\r\nTrailer: "
         "x\r\n\r\n",
         "verb=1 head=0 path=/echo/x a=x rawa=x rest= q= q1= flag=0 body=11:abcdefghijk "
         "remote=127.0.0.1"},
        {"POST /form", "Content-Length: 27\r\n\r\npaths=a+b&paths=c%2Fd&x=%00", "a b|c/d|1"},
        {"GET /even/2", NULL, "fast"},
        {"GET /even/3", NULL, "queued"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        t_reply *r = t_ask(server, cases[i].line, cases[i].more);
        assert_int_equal(r->status, 200);
        assert_string_equal(r->body, cases[i].body);
        free(r);
    }
}

static void refusals(void **state)
{
    (void)state;
    static const struct {
        const char *line, *more;
        int         status;
        const char *allow, *message;
    } cases[] = {
        {"GET /nowhere", NULL, 404, NULL, "there is nothing at this address"},
        {"GET /echo", NULL, 404, NULL, "there is nothing at this address"},
        {"PUT /echo/x", NULL, 405, "GET, HEAD, POST, DELETE, OPTIONS",
         "this address does not take that method"},
        {"PUT /echo/x", "Content-Length: 3\r\n\r\nabc", 405, "GET, HEAD, POST, DELETE, OPTIONS",
         "this address does not take that method"},
        {"GET /form", NULL, 405, "POST, OPTIONS", "this address does not take that method"},
        {"BREW /echo/x", NULL, 501, NULL, "the method is not known here"},
        {"GET /echo/%zz", NULL, 400, NULL, "the path of the request is malformed"},
        {"GET /echo/%00", NULL, 400, NULL, "the path of the request is malformed"},
        {"GET /echo/%2e%2e", NULL, 400, NULL, "the path of the request is malformed"},
        {"GET echo/x", NULL, 400, NULL, "the path of the request is malformed"},
        {"GET /echo/a b", NULL, 400, NULL, "the path of the request is malformed"},
        {"GET /echo/x", "X Y: z\r\n\r\n", 400, NULL, "a header name is malformed"},
        {"GET /echo/x", "X-Y : z\r\n\r\n", 400, NULL, "a header name is malformed"},
        {"POST /echo/x", "Transfer-Encoding: gzip\r\n\r\n", 400, NULL,
         "only the transfer coding \"chunked\" is understood"},
        {"POST /echo/x", "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400,
         NULL, "the length of the body is given twice"},
        {"POST /echo/x", "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400, NULL,
         "the length of the body is given twice"},
        {"DELETE /echo/x", "Content-Length: 1001\r\n\r\n", 413, NULL,
         "the request body is larger than the limit of 1000 bytes"},
        {"GET /fails/r", NULL, 404, NULL, "no repository r"},
        {"GET /fails/io", NULL, 500, NULL, "internal error"},
        {"GET /silent", NULL, 500, NULL, "internal error"},
        {"GET /even/4", NULL, 403, NULL, "not four"},
        {"GET /content/short", NULL, 500, NULL, "internal error"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char     want[256];
        t_reply *r = t_ask(server, cases[i].line, cases[i].more);
        if (r->status != cases[i].status) print_error("%s: %d\n", cases[i].line, r->status);
        assert_int_equal(r->status, cases[i].status);
        assert_non_null(t_header(r, "X-Request-Id"));
        assert_header(r, "X-Error-Message", cases[i].message);
        snug_buf      b = snug_buf_init(1024);
        snug_json_out o = snug_json_out_init(&b);
        snug_jo_begin_object(&o);
        snug_jo_kcstr(&o, "error", cases[i].message);
        snug_jo_end_object(&o);
        snprintf(want, sizeof want, "%s", snug_buf_cstr(&b));
        snug_buf_deinit(&b);
        assert_string_equal(r->body, want);
        if (cases[i].allow != NULL) assert_header(r, "Allow", cases[i].allow);
        free(r);
    }
    t_reply *r = t_ask(server, "GET /fails/r", NULL);
    assert_header(r, "X-Error-Code", "RepoNotFound");
    assert_header(r, "X-Repo-Commit", "abc");
    assert_null(t_header(r, "ETag"));
    free(r);
}

static void no_host(void **state)
{
    (void)state;
    t_conn *c = t_connect(server);
    t_send(c, "GET /echo/x HTTP/1.1\r\n\r\n");
    t_reply *r = t_reply_of(c, false);
    assert_int_equal(r->status, 400);
    assert_header(r, "X-Error-Message", "the Host header is missing");
    assert_true(t_closed(c));
    free(r);
    t_close(c);
    c = t_connect(server);
    t_send(c, "GET /even/2 HTTP/1.0\r\n\r\n");
    r = t_reply_of(c, false);
    assert_int_equal(r->status, 200);
    assert_true(t_closed(c));
    free(r);
    t_close(c);
}

static void size_limits(void **state)
{
    (void)state;
    char *big = malloc(200000);
    memcpy(big, "GET /echo/", 11);
    memset(big + 10, 'a', HTTP_URI_MAX);
    big[10 + HTTP_URI_MAX] = '\0';
    t_reply *r = t_ask(server, big, NULL);
    assert_int_equal(r->status, 414);
    free(r);
    big[HTTP_URI_MAX + 4] = '\0'; /* target of exactly the limit */
    r = t_ask(server, big, NULL);
    assert_int_equal(r->status, 200);
    free(r);
    big[0] = '\0';
    size_t used = 0;
    for (int i = 0; i < HTTP_HEADERS_MAX; i++)
        used += (size_t)snprintf(big + used, 200000 - used, "X-%d: y\r\n", i);
    memcpy(big + used, "\r\n", 3);
    r = t_ask(server, "GET /echo/x", big);
    assert_int_equal(r->status, 431);
    free(r);
    for (int total = 30000; total <= 70000; total += 40000) {
        memcpy(big, "X-Long: ", 9);
        memset(big + 8, 'v', (size_t)total);
        memcpy(big + 8 + total, "\r\n\r\n", 5);
        r = t_ask(server, "GET /echo/x", big);
        assert_int_equal(r->status, total < HTTP_HEADER_BYTES_MAX ? 200 : 431);
        free(r);
    }
    free(big);
}

static void request_ids(void **state)
{
    (void)state;
    t_reply *r =
        t_ask(server, "GET /even/2", "x-request-id: My-Id/7=\r\nX-Amzn-Trace-Id: t\r\n\r\n");
    assert_header(r, "X-Request-Id", "My-Id/7=");
    free(r);
    r = t_ask(server, "GET /nowhere", "X-Amzn-Trace-Id: 0b6f1c7e-1\r\n\r\n");
    assert_non_null(strstr(t_header(r, "X-Request-Id"), ";0b6f1c7e-1"));
    assert_int_equal(strncmp(t_header(r, "X-Request-Id"), "Root=1-", 7), 0);
    free(r);
    r = t_ask(server, "GET /even/3", "X-Request-Id: has space\r\n\r\n");
    char first[256];
    snprintf(first, sizeof first, "%.255s", t_header(r, "X-Request-Id"));
    assert_int_equal(strlen(first), 7 + 8 + 1 + 24);
    free(r);
    r = t_ask(server, "GET /even/3", NULL);
    assert_string_not_equal(t_header(r, "X-Request-Id"), first);
    free(r);
    char long_id[400] = "X-Request-Id: ";
    memset(long_id + 14, 'x', 129);
    memcpy(long_id + 14 + 129, "\r\n\r\n", 5);
    r = t_ask(server, "GET /even/2", long_id);
    assert_null(strstr(t_header(r, "X-Request-Id"), "xxx"));
    free(r);
    memcpy(long_id + 14 + 128, "\r\n\r\n", 5);
    r = t_ask(server, "GET /even/2", long_id);
    assert_int_equal(strlen(t_header(r, "X-Request-Id")), 128);
    free(r);
}

static void header_injection(void **state)
{
    (void)state;
    t_reply *r = t_ask(server, "GET /inject?v=a%0d%0aX-Evil:+1", NULL);
    assert_int_equal(r->status, 200);
    assert_header(r, "X-Good", "yes");
    assert_null(t_header(r, "X-Bad"));
    assert_null(t_header(r, "X-Format"));
    assert_null(t_header(r, "X-Evil"));
    assert_header(r, "Content-Length", "5");
    assert_string_equal(r->body, "hello");
    free(r);
    r = t_ask(server, "GET /inject?v=fine&redirect=1", NULL);
    assert_int_equal(r->status, 302);
    assert_header(r, "Location", "fine");
    assert_header(r, "X-Bad", "fine");
    free(r);
    r = t_ask(server, "GET /inject?v=%0aSet-Cookie:x&redirect=1", NULL);
    assert_int_equal(r->status, 500);
    assert_null(t_header(r, "Location"));
    assert_null(t_header(r, "Set-Cookie"));
    free(r);
}

static void base_urls(void **state)
{
    (void)state;
    char port[64];
    snprintf(port, sizeof port, "http://127.0.0.1:%u", http_server_port(server));
    static const struct {
        const char *headers, *url;
    } cases[] = {
        {"\r\n", "http://t"},
        {"X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\n\r\n", "http://t"},
    };
    for (size_t i = 0; i < 2; i++) {
        t_reply *r = t_ask(server, "GET /base", cases[i].headers);
        assert_string_equal(r->body, cases[i].url);
        free(r);
    }
    static const char *const bad[] = {"a b", "a/b", "a\"b", "", "a@b", "<x>"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char    text[256];
        t_conn *c = t_connect(server);
        snprintf(text, sizeof text, "GET /base HTTP/1.1\r\nHost: %s\r\n\r\n", bad[i]);
        t_send(c, text);
        t_reply *r = t_reply_of(c, false);
        assert_string_equal(r->body, port);
        free(r);
        t_close(c);
    }
    http_server *s = T_START(rows, .trusted_proxies = "10.0.0.1, 127.0.0.1");
    t_reply     *r = t_ask(s, "GET /base",
                           "X-Forwarded-Proto: https\r\nX-Forwarded-Host: hub.example:8443, x\r\n\r\n");
    assert_string_equal(r->body, "https://hub.example:8443");
    free(r);
    http_server_stop(s, 0);
    s = T_START(rows, .public_url = "https://hub.example/sub/");
    r = t_ask(s, "GET /base", NULL);
    assert_string_equal(r->body, "https://hub.example/sub");
    free(r);
    http_server_stop(s, 0);
}

static void preflight(void **state)
{
    (void)state;
    t_reply *r = t_ask(server, "OPTIONS /echo/x",
                       "Origin: http://a\r\nAccess-Control-Request-Method: POST\r\n"
                       "Access-Control-Request-Headers: authorization, content-type\r\n\r\n");
    assert_int_equal(r->status, 204);
    assert_header(r, "Allow", "GET, HEAD, POST, DELETE, OPTIONS");
    assert_header(r, "Access-Control-Allow-Methods", "GET, HEAD, POST, DELETE, OPTIONS");
    assert_header(r, "Access-Control-Allow-Headers", "authorization, content-type");
    free(r);
    r = t_ask(server, "OPTIONS /nowhere", NULL);
    assert_int_equal(r->status, 404);
    free(r);
    r = t_ask(server, "OPTIONS *", NULL);
    assert_int_equal(r->status, 204);
    free(r);
}

/* ---- connections ---- */

static void keep_alive_and_pipelining(void **state)
{
    (void)state;
    t_conn *c = t_connect(server);
    for (int i = 0; i < 50; i++) {
        char text[128], want[32];
        snprintf(text, sizeof text, "GET /echo/n%d HTTP/1.1\r\nHost: t\r\n\r\n", i);
        t_send(c, text);
        t_reply *r = t_reply_of(c, false);
        snprintf(want, sizeof want, " a=n%d ", i);
        assert_int_equal(r->status, 200);
        assert_non_null(strstr(r->body, want));
        free(r);
    }
    char all[8192] = "";
    for (int i = 0; i < 60; i++) { /* alternately fast, queued, refused, with a body */
        static const char *const lines[] = {"GET /even/", "GET /even/", "GET /no/", "POST /echo/p"};
        snprintf(all + strlen(all), sizeof all - strlen(all), "%s%d HTTP/1.1\r\nHost: t\r\n%s",
                 lines[i % 4], i, i % 4 == 3 ? "Content-Length: 3\r\n\r\nabc" : "\r\n");
    }
    t_send(c, all);
    for (int i = 0; i < 60; i++) {
        t_reply *r = t_reply_of(c, false);
        if (i == 4)
            assert_int_equal(r->status, 403);
        else
            assert_int_equal(r->status, i % 4 == 2 ? 404 : 200);
        if (i % 4 == 3) assert_non_null(strstr(r->body, "body=3:abc"));
        if (i % 4 == 1) assert_header(r, "X-From", "queued");
        free(r);
    }
    t_send(c, "GET /even/2 HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
    t_reply *r = t_reply_of(c, false);
    assert_int_equal(r->status, 200);
    assert_true(t_closed(c));
    free(r);
    t_close(c);
}

static void torn_requests(void **state)
{
    (void)state;
    static const char text[] = "POST /echo/torn HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: "
                               "chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    t_conn           *c = t_connect(server);
    for (size_t i = 0; i < sizeof text - 1; i++) {
        assert_true(t_send_bytes(c, text + i, 1));
        if (i % 16 == 0) t_sleep_ms(1);
    }
    t_reply *r = t_reply_of(c, false);
    assert_int_equal(r->status, 200);
    assert_non_null(strstr(r->body, "body=5:hello"));
    free(r);
    t_close(c);
}

static void other_addresses(void **state)
{
    (void)state;
    char path[96], listen[128];
    snprintf(path, sizeof path, "%s/socket", folder);
    snprintf(listen, sizeof listen, "unix:%s", path);
    http_server *s = T_START(rows, .listen = listen);
    assert_int_equal(http_server_port(s), 0);
    struct stat sb;
    assert_int_equal(stat(path, &sb), 0);
    assert_int_equal(sb.st_mode & 0777, 0600);
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    snprintf(sa.sun_path, sizeof sa.sun_path, "%s", path);
    for (int round = 0; round < 2; round++) {
        t_conn *c = calloc(1, sizeof *c);
        c->fd = socket(AF_UNIX, SOCK_STREAM, 0);
        assert_int_equal(connect(c->fd, (struct sockaddr *)&sa, sizeof sa), 0);
        t_send(
            c,
            "GET /echo/u HTTP/1.1\r\nHost: t\r\n\r\nGET /content/file HTTP/1.1\r\nHost: t\r\n\r\n");
        t_reply *r = t_reply_of(c, false);
        assert_int_equal(r->status, 200);
        assert_non_null(strstr(r->body, "remote=unix"));
        free(r);
        r = t_reply_of(c, false);
        assert_int_equal(r->body_len, FILE_BYTES);
        free(r);
        t_close(c);
    }
    http_server_stop(s, 0);
    assert_int_not_equal(stat(path, &sb), 0);
    /* A socket file left by a crash is taken over; another file is not. */
    int left = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(left, (struct sockaddr *)&sa, sizeof sa), 0);
    close(left);
    s = T_START(rows, .listen = listen);
    http_server_stop(s, 0);
    snug_err                err;
    const http_route *const tables[] = {NULL};
    http_server_opts        o = {.tables = tables};
    snprintf(listen, sizeof listen, "unix:%s", file_path);
    static const char *const bad[] = {"nothing", "127.0.0.1:99999", "::1:0",
                                      "unix:", "127.0.0.1:x"};
    o.listen = listen;
    assert_int_equal(http_server_start(&o, &s, &err), SNUG_EINVAL);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        o.listen = bad[i];
        assert_int_equal(http_server_start(&o, &s, &err), SNUG_EINVAL);
    }
    char taken[64];
    snprintf(taken, sizeof taken, "127.0.0.1:%u", http_server_port(server));
    o.listen = taken;
    assert_int_equal(http_server_start(&o, &s, &err), SNUG_EINVAL);
    assert_non_null(strstr(err.msg, "Address already in use"));
    o.listen = "[::1]:0"; /* may be absent where the tests run */
    if (http_server_start(&o, &s, &err) == SNUG_OK) {
        assert_true(http_server_port(s) > 0);
        http_server_stop(s, 0);
    }
}

static void connection_limit(void **state)
{
    (void)state;
    http_server *s = T_START(rows, .connections_max = 3);
    t_conn      *open[3];
    for (int i = 0; i < 3; i++) {
        open[i] = t_connect(s);
        t_send(open[i], "GET /even/2 HTTP/1.1\r\nHost: t\r\n\r\n");
        t_reply *r = t_reply_of(open[i], false);
        assert_int_equal(r->status, 200);
        free(r);
    }
    t_conn  *c = t_connect(s);
    t_reply *r = t_reply_of(c, false);
    assert_int_equal(r->status, 503);
    assert_header(r, "Retry-After", "1");
    free(r);
    t_close(c);
    t_close(open[0]);
    for (int tries = 0; tries < 100; tries++) {
        c = t_connect(s);
        t_send_bytes(c, "GET /even/2 HTTP/1.1\r\nHost: t\r\n\r\n", 34);
        r = t_reply_of(c, false);
        int status = r->status;
        free(r);
        t_close(c);
        if (status == 200) break;
        assert_true(tries < 99);
        t_sleep_ms(10);
    }
    t_close(open[1]);
    t_close(open[2]);
    http_server_stop(s, 0);
}

/* ---- bodies ---- */

static void contents(void **state)
{
    (void)state;
    static const struct {
        const char *line, *headers;
        int         status;
        const char *body, *range, *length;
    } cases[] = {
        {"GET /content/mem", "\r\n", 200, "0123456789", NULL, "10"},
        {"GET /content/mem", "Range: bytes=2-4\r\n\r\n", 206, "234", "bytes 2-4/10", "3"},
        {"GET /content/mem", "Range: bytes=-2\r\n\r\n", 206, "89", "bytes 8-9/10", "2"},
        {"GET /content/mem", "Range: bytes=8-99\r\n\r\n", 206, "89", "bytes 8-9/10", "2"},
        {"GET /content/mem", "Range: bytes=10-\r\n\r\n", 416, NULL, "bytes */10", NULL},
        {"GET /content/mem", "Range: bytes=0-1,3-4\r\n\r\n", 200, "0123456789", NULL, "10"},
        {"GET /content/mem", "Range: lines=0-1\r\n\r\n", 200, "0123456789", NULL, "10"},
        {"GET /content/mem", "Range: bytes=2-4\r\nIf-Range: \"mem\"\r\n\r\n", 206, "234",
         "bytes 2-4/10", "3"},
        {"GET /content/mem", "Range: bytes=2-4\r\nIf-Range: \"old\"\r\n\r\n", 200, "0123456789",
         NULL, "10"},
        {"GET /content/mem", "Range: bytes=2-4\r\nIf-Range: W/\"mem\"\r\n\r\n", 200, "0123456789",
         NULL, "10"},
        {"GET /content/mem", "If-None-Match: \"x\", W/\"mem\"\r\n\r\n", 304, "", NULL, "10"},
        {"GET /content/mem", "If-None-Match: *\r\n\r\n", 304, "", NULL, "10"},
        {"GET /content/mem", "If-None-Match: \"x\"\r\n\r\n", 200, "0123456789", NULL, "10"},
        {"HEAD /content/mem", "\r\n", 200, "", NULL, "10"},
        {"HEAD /content/mem", "Range: bytes=1-3\r\n\r\n", 206, "", "bytes 1-3/10", "3"},
        {"GET /content/empty", "\r\n", 200, "", NULL, "0"},
        {"GET /content/empty", "Range: bytes=0-0\r\n\r\n", 200, "", "bytes */0", "0"},
        {"HEAD /content/empty", "\r\n", 200, "", NULL, "0"},
        {"HEAD /content/file", "\r\n", 200, "", NULL, "300000"},
        {"GET /content/file", "Range: bytes=26-28\r\n\r\n", 206, "abc", "bytes 26-28/300000", "3"},
        {"GET /content/file", "Range: bytes=-3\r\n\r\n", 206, "jkl", "bytes 299997-299999/300000",
         "3"},
        {"GET /content/file", "If-None-Match: \"tag\"\r\n\r\n", 304, "", NULL, "300000"},
        {"GET /part", "\r\n", 206, "klmno", NULL, "5"},
        {"GET /nothing", "\r\n", 204, "", NULL, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        t_reply *r = t_ask(server, cases[i].line, cases[i].headers);
        if (r->status != cases[i].status)
            print_error("%s %s: %d\n", cases[i].line, cases[i].headers, r->status);
        assert_int_equal(r->status, cases[i].status);
        assert_false(r->cut);
        if (cases[i].body != NULL)
            assert_string_equal(r->body_len == 0 ? "" : r->body, cases[i].body);
        if (cases[i].range != NULL)
            assert_header(r, "Content-Range", cases[i].range);
        else
            assert_null(t_header(r, "Content-Range"));
        if (cases[i].length != NULL) assert_header(r, "Content-Length", cases[i].length);
        free(r);
    }
    t_reply *r = t_ask(server, "GET /content/file", NULL);
    assert_int_equal(r->body_len, FILE_BYTES);
    for (int i = 0; i < FILE_BYTES; i++) assert_int_equal(r->body[i], 'a' + i % 26);
    assert_header(r, "ETag", "\"tag\"");
    assert_header(r, "Accept-Ranges", "bytes");
    assert_header(r, "Content-Type", "text/plain");
    free(r);
}

static void heads_keep_the_connection(void **state)
{
    (void)state;
    t_conn                  *c = t_connect(server);
    static const char *const paths[] = {"/content/file", "/content/mem", "/big?size=5000",
                                        "/even/2",       "/nothing",     "/no"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        char text[256];
        snprintf(text, sizeof text,
                 "HEAD %s HTTP/1.1\r\nHost: t\r\n\r\nGET %s HTTP/1.1\r\nHost: t\r\n\r\n", paths[i],
                 paths[i]);
        t_send(c, text);
        t_reply *head = t_reply_of(c, true), *get = t_reply_of(c, false);
        assert_int_equal(head->status, get->status);
        if (get->status != 204) {
            char length[32];
            snprintf(length, sizeof length, "%.31s", t_header(get, "Content-Length"));
            assert_header(head, "Content-Length", length);
            assert_int_equal(get->body_len, strtoull(length, NULL, 10));
        }
        free(head);
        free(get);
    }
    t_close(c);
}

static void inflate_and_check(const t_reply *r, const char *coding, size_t size)
{
    static char out[1 << 20];
    size_t      n = 0;
    if (strcmp(coding, "zstd") == 0) {
        n = ZSTD_decompress(out, sizeof out, r->body, r->body_len);
        assert_false(ZSTD_isError(n));
    } else {
        z_stream z = {.next_in = (Bytef *)(uintptr_t)r->body,
                      .avail_in = (uInt)r->body_len,
                      .next_out = (Bytef *)out,
                      .avail_out = sizeof out};
        assert_int_equal(inflateInit2(&z, 31), Z_OK);
        assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
        n = z.total_out;
        inflateEnd(&z);
    }
    assert_int_equal(n, size);
    for (size_t i = 0; i < n; i++) assert_int_equal(out[i], 'a' + (int)(i % 7));
}

static void compression(void **state)
{
    (void)state;
    static const struct {
        const char *line, *accept, *coding;
        bool        vary;
    } cases[] = {
        {"GET /big?size=5000", "gzip", "gzip", true},
        {"GET /big?size=5000", "gzip, deflate, zstd", "zstd", true},
        {"GET /big?size=5000", "identity", NULL, true},
        {"GET /big?size=5000", "br", NULL, true},
        {"GET /big?size=1024", "gzip", NULL, false},
        {"GET /big?size=1025", "gzip", "gzip", true},
        {"GET /big?size=5000&octets=1", "gzip", NULL, false},
        {"GET /big?size=5000&noise=1", "gzip, zstd", NULL, true},
        {"GET /content/file", "gzip, zstd", NULL, false},
        {"GET /content/page", "gzip", "gzip", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char headers[128];
        snprintf(headers, sizeof headers, "Accept-Encoding: %s\r\n\r\n", cases[i].accept);
        t_reply *r = t_ask(server, cases[i].line, headers);
        assert_int_equal(r->status, 200);
        if (cases[i].coding == NULL)
            assert_null(t_header(r, "Content-Encoding"));
        else
            assert_header(r, "Content-Encoding", cases[i].coding);
        if (cases[i].vary)
            assert_header(r, "Vary", "Accept-Encoding");
        else
            assert_null(t_header(r, "Vary"));
        if (cases[i].coding != NULL && strstr(cases[i].line, "size=5000") != NULL)
            inflate_and_check(r, cases[i].coding, 5000);
        free(r);
    }
    t_reply *get = t_ask(server, "GET /big?size=5000", "Accept-Encoding: gzip\r\n\r\n");
    t_reply *head = t_ask(server, "HEAD /big?size=5000", "Accept-Encoding: gzip\r\n\r\n");
    t_reply *plain = t_ask(server, "HEAD /big?size=5000", "Accept-Encoding: identity\r\n\r\n");
    char     length[32];
    snprintf(length, sizeof length, "%zu", get->body_len);
    assert_header(head, "Content-Length", length);
    assert_header(plain, "Content-Length", "5000");
    free(get);
    free(head);
    free(plain);
    t_reply *r = t_ask(server, "GET /content/page",
                       "Accept-Encoding: gzip\r\nIf-None-Match: W/\"page\"\r\n\r\n");
    assert_int_equal(r->status, 304);
    assert_header(r, "ETag", "W/\"page\"");
    free(r);
}

/* ---- the application's say ---- */

static void my_error(http_req *rq, http_res *rs, const snug_err *err)
{
    (void)rq;
    char text[1024];
    snprintf(text, sizeof text, "sorry: %s (%s)", err->msg, snug_status_name(err->status));
    http_reply_text(rs, 418, text);
}

static void my_headers(http_req *rq, http_res *rs)
{
    http_set_header(rs, "Server", SNUG_LIT("mine"));
    http_set_header(rs, "Vary", SNUG_LIT("Origin"));
    if (http_req_header(rq, "Origin").ptr != NULL)
        http_set_header(rs, "Access-Control-Allow-Origin", SNUG_LIT("*"));
}

static void hooks(void **state)
{
    (void)state;
    http_server *s = T_START(rows, .on_error = my_error, .on_reply = my_headers);
    t_reply     *r = t_ask(s, "GET /fails/r", NULL);
    assert_int_equal(r->status, 418); /* theirs to choose */
    assert_string_equal(r->body, "sorry: no repository r (not-found)");
    assert_header(r, "Server", "mine");
    free(r);
    r = t_ask(s, "PUT /echo/x", NULL);
    assert_int_equal(r->status, 405); /* the protocol's */
    assert_string_equal(r->body, "sorry: this address does not take that method (invalid)");
    assert_header(r, "Server", "mine");
    free(r);
    r = t_ask(s, "OPTIONS /echo/x", "Origin: http://a\r\n\r\n");
    assert_header(r, "Access-Control-Allow-Origin", "*");
    free(r);
    r = t_ask(s, "GET /big?size=5000", "Accept-Encoding: gzip\r\n\r\n");
    assert_non_null(strstr(r->head, "Vary: Origin"));
    assert_non_null(strstr(r->head, "Vary: Accept-Encoding"));
    free(r);
    http_server_stop(s, 0);
}

static void counters(void **state)
{
    (void)state;
    int64_t before[3] = {snug_metric_get(SNUG_M_HTTP_REQUESTS),
                         snug_metric_get(SNUG_M_HTTP_ERRORS_4XX),
                         snug_metric_get(SNUG_M_HTTP_INLINE)};
    t_conn *c = t_connect(server);
    t_send(c, "GET /even/2 HTTP/1.1\r\nHost: t\r\n\r\nGET /even/3 HTTP/1.1\r\nHost: t\r\n\r\nGET "
              "/no HTTP/1.1\r\nHost: t\r\n\r\n"
              "GET /even/2 HTTP/1.1\r\nHost: t\r\n\r\n");
    for (int i = 0; i < 4; i++) free(t_reply_of(c, false));
    for (int i = 0; i < 500 && snug_metric_get(SNUG_M_HTTP_REQUESTS) - before[0] < 4; i++)
        t_sleep_ms(1);
    assert_int_equal(snug_metric_get(SNUG_M_HTTP_REQUESTS) - before[0], 4);
    assert_int_equal(snug_metric_get(SNUG_M_HTTP_ERRORS_4XX) - before[1], 1);
    assert_int_equal(snug_metric_get(SNUG_M_HTTP_INLINE) - before[2], 2);
    assert_int_equal(snug_metric_get(SNUG_M_HTTP_CONNECTIONS), 1);
    t_close(c);
    for (int i = 0; i < 200 && snug_metric_get(SNUG_M_HTTP_CONNECTIONS) > 0; i++) t_sleep_ms(10);
    assert_int_equal(snug_metric_get(SNUG_M_HTTP_CONNECTIONS), 0);
}

int main(void)
{
    snug_log_setup(&(snug_log_opts){.level = SNUG_LOG_OFF, .fd = 2});
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests),
        cmocka_unit_test(refusals),
        cmocka_unit_test(no_host),
        cmocka_unit_test(size_limits),
        cmocka_unit_test(request_ids),
        cmocka_unit_test(header_injection),
        cmocka_unit_test(base_urls),
        cmocka_unit_test(preflight),
        cmocka_unit_test(keep_alive_and_pipelining),
        cmocka_unit_test(torn_requests),
        cmocka_unit_test(other_addresses),
        cmocka_unit_test(connection_limit),
        cmocka_unit_test(contents),
        cmocka_unit_test(heads_keep_the_connection),
        cmocka_unit_test(compression),
        cmocka_unit_test(hooks),
        cmocka_unit_test(counters),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
