/* SPDX-License-Identifier: Apache-2.0 */
/* tests/api/house.h - a whole server in a temporary folder, and exchanges with it over a socket.
 *
 * Every exchange is one connection: request text out, whole answer in. No client library stands
 * between, so what a test says is what the server got. */
#ifndef SNUG_TESTS_API_HOUSE_H
#define SNUG_TESTS_API_HOUSE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/api.h"

typedef struct house {
    char         dir[64];
    hub         *hub;
    api_app      app;
    http_server *server;
    uint16_t     port;
    char         alice[40], bob[40], reader[40]; /* tokens: two writers, alice's read-only one */
    snug_arena  *a;                              /* answers live here, until the test ends */
} house;

typedef struct answer {
    int        status;
    snug_slice head, body; /* head with its status line */
} answer;

static inline void must(snug_status st, const snug_err *err)
{
    if (st != SNUG_OK) fail_msg("%s: %s (%s)", snug_status_name(st), err->msg, err->cause);
}

static inline void start_server(house *h)
{
    snug_err         err = {0};
    http_server_opts o = {.listen = "127.0.0.1:0",
                          .io_threads = 1,
                          .workers = 4,
                          .stream_workers = 4,
                          .app = &h->app,
                          .on_error = api_on_error,
                          .on_reply = api_on_reply};
    api_app_init(&h->app, h->hub);
    o.tables = h->app.tables;
    o.table_sizes = h->app.table_sizes;
    must(http_server_start(&o, &h->server, &err), &err);
    h->port = http_server_port(h->server);
}

static inline int house_up(void **state)
{
    house   *h = snug_zalloc(sizeof *h);
    snug_err err = {0};
    hub_user user;
    snug_log_setup(
        &(snug_log_opts){.level = SNUG_LOG_OFF, .fd = 2}); /* refusals are what we test */
    strncpy(h->dir, "/tmp/snug-test-api-XXXXXX", sizeof h->dir - 1);
    assert_non_null(mkdtemp(h->dir));
    h->a = snug_arena_new();
    must(hub_open(&(hub_opts){.data_dir = h->dir}, &h->hub, &err), &err);
    static const char *const names[] = {"alice", "bob"};
    for (int i = 0; i < 2; i++) {
        char password[] = "correct horse";
        must(hub_add_user(h->hub, snug_str(names[i]), snug_str(password), SNUG_EMPTY, false, &user,
                          &err),
             &err);
    }
    must(hub_create_token(h->hub, SNUG_LIT("alice"), SNUG_LIT("laptop"), HUB_ROLE_WRITE, h->alice,
                          &err),
         &err);
    must(
        hub_create_token(h->hub, SNUG_LIT("alice"), SNUG_LIT("ci"), HUB_ROLE_READ, h->reader, &err),
        &err);
    must(hub_create_token(h->hub, SNUG_LIT("bob"), SNUG_LIT("desk"), HUB_ROLE_WRITE, h->bob, &err),
         &err);
    start_server(h);
    *state = h;
    return 0;
}

static inline int house_down(void **state)
{
    house *h = *state;
    http_server_stop(h->server, 2000);
    api_app_deinit(&h->app);
    hub_close(h->hub);
    snug_arena_free(h->a);
    assert_int_equal(snug_remove_tree(h->dir, NULL), SNUG_OK);
    free(h);
    return 0;
}

/* ---- exchanges ---- */

static inline int dial(const house *h)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(h->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int                fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    struct timeval limit = {.tv_sec = 60};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static inline answer read_answer(house *h, int fd)
{
    snug_buf b = snug_buf_init(256 << 20);
    char     piece[65536];
    for (;;) {
        ssize_t n = recv(fd, piece, sizeof piece, 0);
        if (n <= 0) break;
        snug_buf_put(&b, piece, (size_t)n);
    }
    close(fd);
    snug_slice all = snug_arena_dup(h->a, snug_buf_slice(&b));
    snug_buf_deinit(&b);
    size_t end = snug_find(all, SNUG_LIT("\r\n\r\n"));
    if (end == SIZE_MAX) fail_msg("no answer: %.*s", SNUG_SLICE(snug_sub(all, 0, 200)));
    uint64_t status = 0;
    assert_true(snug_parse_u64(snug_sub(all, 9, 3), &status));
    return (answer){(int)status, snug_sub(all, 0, end + 2), snug_sub(all, end + 4, all.len)};
}

static inline void send_all(int fd, snug_slice s)
{
    while (s.len > 0) {
        ssize_t n = send(fd, s.ptr, s.len, MSG_NOSIGNAL);
        if (n <= 0) return; /* refused in the middle: the answer tells */
        s = snug_sub(s, (size_t)n, s.len);
    }
}

/* token NULL: anonymous. extra: header lines, each with its CRLF, or "". */
static inline answer ask_with(house *h, const char *method, const char *target, const char *token,
                              const char *extra, snug_slice body)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(64 << 20);
    int fd = dial(h);
    snug_buf_printf(&b, "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nConnection: close\r\n%s", method,
                    target, h->port, extra);
    if (token != NULL) snug_buf_printf(&b, "Authorization: Bearer %s\r\n", token);
    if (body.ptr != NULL) snug_buf_printf(&b, "Content-Length: %zu\r\n", body.len);
    snug_buf_puts(&b, "\r\n");
    send_all(fd, snug_buf_slice(&b));
    if (body.ptr != NULL) send_all(fd, body);
    return read_answer(h, fd);
}

static inline answer get(house *h, const char *target, const char *token)
{
    return ask_with(h, "GET", target, token, "", SNUG_EMPTY);
}

static inline answer head_of(house *h, const char *target, const char *token)
{
    return ask_with(h, "HEAD", target, token, "", SNUG_EMPTY);
}

static inline answer post(house *h, const char *method, const char *target, const char *token,
                          const char *body)
{
    return ask_with(h, method, target, token, "Content-Type: application/json\r\n", snug_str(body));
}

/* Value of a header; ptr NULL: absent. */
static inline snug_slice header(answer r, const char *name)
{
    snug_slice rest = r.head, line;
    while (rest.len > 0 && snug_split(&rest, '\n', &line)) {
        size_t colon = snug_index(line, ':');
        if (colon == SIZE_MAX || !snug_eq_nocase(snug_sub(line, 0, colon), snug_str(name)))
            continue;
        return snug_trim(snug_sub(line, colon + 1, line.len));
    }
    return SNUG_EMPTY;
}

static inline snug_json json_of(house *h, answer r)
{
    snug_json v;
    snug_err  err = {0};
    if (snug_json_parse(h->a, r.body, NULL, &v, &err) != SNUG_OK)
        fail_msg("not JSON: %s: %.*s", err.msg, SNUG_SLICE(snug_sub(r.body, 0, 300)));
    return v;
}

#define EXPECT(r, want)                                                                            \
    do {                                                                                           \
        answer r_ = (r);                                                                           \
        if (r_.status != (want))                                                                   \
            fail_msg("status %d instead of %d at line %d: %.*s", r_.status, (want), __LINE__,      \
                     SNUG_SLICE(snug_sub(r_.body, 0, 300)));                                       \
    } while (0)

static inline void expect_slice(snug_slice got, const char *want, int line)
{
    if (!snug_eq_str(got, want))
        fail_msg("\"%.*s\" instead of \"%s\" at line %d", SNUG_SLICE(got), want, line);
}
#define EXPECT_HEADER(r, name, want) expect_slice(header((r), (name)), (want), __LINE__)

/* Member of an object as text. */
static inline snug_slice member(snug_json v, const char *key)
{
    snug_slice s = SNUG_EMPTY;
    (void)snug_json_to_str(snug_json_get(v, key), &s);
    return s;
}
#define EXPECT_STR(v, key, want) expect_slice(member((v), (key)), (want), __LINE__)

/* An error as stock clients read it: status, code header, text twice. */
static inline void expect_error(house *h, answer r, int status, const char *code, const char *text,
                                int line)
{
    if (r.status != status)
        fail_msg("status %d instead of %d at line %d: %.*s", r.status, status, line,
                 SNUG_SLICE(r.body));
    expect_slice(header(r, "X-Error-Code"), code != NULL ? code : "", line);
    if (text != NULL) expect_slice(header(r, "X-Error-Message"), text, line);
    if (r.body.len > 0)
        expect_slice(member(json_of(h, r), "error"),
                     header(r, "X-Error-Message").ptr == NULL
                         ? ""
                         : snug_arena_cstr(h->a, header(r, "X-Error-Message")),
                     line);
    assert_true(header(r, "X-Request-Id").len > 0);
}
#define EXPECT_ERROR(r, status, code, text) expect_error(h, (r), (status), (code), (text), __LINE__)

/* ---- common steps ---- */

static inline void make_repo(house *h, const char *token, const char *json)
{
    EXPECT(post(h, "POST", "/api/repos/create", token, json), 200);
}

static inline answer commit_lines(house *h, const char *target, const char *token,
                                  const char *lines)
{
    return ask_with(h, "POST", target, token, "Content-Type: application/x-ndjson\r\n",
                    snug_str(lines));
}

/* One text file on main of alice/<repo>. */
static inline void put_file(house *h, const char *repo, const char *path, const char *text)
{
    snug_slice lines = snug_arena_printf(
        h->a,
        "{\"key\":\"header\",\"value\":{\"summary\":\"Add %s\",\"description\":\"\"}}\n"
        "{\"key\":\"file\",\"value\":{\"path\":\"%s\",\"content\":\"%s\",\"encoding\":\"utf-8\"}}"
        "\n",
        path, path, text);
    snug_slice target = snug_arena_printf(h->a, "/api/models/alice/%s/commit/main", repo);
    EXPECT(commit_lines(h, target.ptr, h->alice, lines.ptr), 200);
}

#endif
