/* SPDX-License-Identifier: Apache-2.0 */
/* tests/http/http_test.h - a server on a free port and a client that shows every byte. */
#ifndef SNUG_TESTS_HTTP_TEST_H
#define SNUG_TESTS_HTTP_TEST_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "http/http_int.h"

static inline void t_sleep_ms(unsigned ms)
{
    nanosleep(&(struct timespec){ms / 1000, (long)(ms % 1000) * 1000000}, NULL);
}

static inline http_server *t_start_with(const http_route *rows, size_t n, http_server_opts o,
                                        const http_limits *l)
{
    const http_route *const tables[] = {rows, NULL};
    const size_t            sizes[] = {n};
    http_server            *s = NULL;
    snug_err                err = {0};
    if (o.listen == NULL) o.listen = "127.0.0.1:0";
    o.tables = tables;
    o.table_sizes = sizes;
    snug_status st = http_server_start_with(&o, l, &s, &err);
    if (st != SNUG_OK) print_error("%s (%s)\n", err.msg, err.cause);
    assert_int_equal(st, SNUG_OK);
    return s;
}

#define T_START(rows, ...)                                                                         \
    t_start_with(rows, sizeof rows / sizeof rows[0], (http_server_opts){__VA_ARGS__}, NULL)

/* ---- a raw connection ---- */

typedef struct t_conn {
    int    fd;
    char   buf[1 << 16];
    size_t have;
} t_conn;

typedef struct t_reply {
    int    status;
    char   head[1 << 15];
    char   body[1 << 20];
    size_t body_len;
    bool   cut; /* the connection ended before the reply did */
} t_reply;

static inline t_conn *t_connect(const http_server *s)
{
    t_conn            *c = calloc(1, sizeof *c);
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(http_server_port(s))};
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(c->fd >= 0);
    assert_int_equal(connect(c->fd, (struct sockaddr *)&sa, sizeof sa), 0);
    struct timeval limit = {20, 0};
    int            one = 1;
    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return c;
}

static inline void t_close(t_conn *c)
{
    close(c->fd);
    free(c);
}

static inline bool t_send_bytes(t_conn *c, const void *p, size_t n)
{
    const char *s = p;
    while (n > 0) {
        ssize_t k = send(c->fd, s, n, MSG_NOSIGNAL);
        if (k <= 0) return false;
        s += k;
        n -= (size_t)k;
    }
    return true;
}

static inline void t_send(t_conn *c, const char *text)
{
    assert_true(t_send_bytes(c, text, strlen(text)));
}

/* One more read; false at the end. */
static inline bool t_fill(t_conn *c)
{
    if (c->have == sizeof c->buf) return false;
    ssize_t n = recv(c->fd, c->buf + c->have, sizeof c->buf - c->have, 0);
    if (n <= 0) return false;
    c->have += (size_t)n;
    return true;
}

static inline void t_drop(t_conn *c, size_t n)
{
    memmove(c->buf, c->buf + n, c->have - n);
    c->have -= n;
}

/* Takes a line without its CRLF; false at the end. */
static inline bool t_line(t_conn *c, char *out, size_t max)
{
    for (;;) {
        char *nl = memmem(c->buf, c->have, "\r\n", 2);
        if (nl != NULL) {
            size_t n = (size_t)(nl - c->buf);
            assert_true(n < max);
            memcpy(out, c->buf, n);
            out[n] = '\0';
            t_drop(c, n + 2);
            return true;
        }
        if (!t_fill(c)) return false;
    }
}

static inline const char *t_header(const t_reply *r, const char *name)
{
    static _Thread_local char value[8192];
    size_t                    n = strlen(name);
    for (const char *p = r->head; p != NULL && *p != '\0';) {
        const char *end = strstr(p, "\r\n");
        if (strncasecmp(p, name, n) == 0 && p[n] == ':') {
            snprintf(value, sizeof value, "%.*s", (int)(end - p - (long)n - 2), p + n + 2);
            return value;
        }
        p = end == NULL ? NULL : end + 2;
    }
    return NULL;
}

static inline bool t_take(t_conn *c, t_reply *r, uint64_t n)
{
    while (n > 0) {
        if (c->have == 0 && !t_fill(c)) return false;
        size_t k = c->have < n ? c->have : (size_t)n;
        size_t keep = r->body_len + k < sizeof r->body ? k : sizeof r->body - 1 - r->body_len;
        memcpy(r->body + r->body_len, c->buf, keep);
        r->body_len += keep;
        r->body[r->body_len] = '\0';
        t_drop(c, k);
        n -= k;
    }
    return true;
}

static inline bool t_read_head(t_conn *c, t_reply *r)
{
    char line[8192];
    memset(r, 0, offsetof(t_reply, body) + 1);
    r->body_len = 0;
    r->cut = true;
    if (!t_line(c, line, sizeof line)) return false;
    if (sscanf(line, "HTTP/1.1 %d", &r->status) != 1) return false;
    for (;;) {
        if (!t_line(c, line, sizeof line)) return false;
        if (line[0] == '\0') break;
        strncat(r->head, line, sizeof r->head - strlen(r->head) - 3);
        strncat(r->head, "\r\n", 3);
    }
    r->cut = false;
    return true;
}

/* Reads one reply, its body by length, by chunks or to the end. */
static inline t_reply *t_reply_of(t_conn *c, bool head)
{
    t_reply *r = malloc(sizeof *r);
    char     line[256];
    if (!t_read_head(c, r)) return r;
    const char *length = t_header(r, "Content-Length"), *coding = t_header(r, "Transfer-Encoding");
    if (head || r->status == 304 || r->status == 204 || r->status == 100) return r;
    if (coding != NULL) {
        for (;;) {
            if (!t_line(c, line, sizeof line)) break;
            uint64_t n = strtoull(line, NULL, 16);
            if (!t_take(c, r, n) || !t_line(c, line, sizeof line)) break;
            if (n == 0) return r;
        }
        r->cut = true;
    } else if (t_header(r, "Content-Length") != NULL) {
        length = t_header(r, "Content-Length");
        r->cut = !t_take(c, r, strtoull(length, NULL, 10));
    } else {
        while (t_take(c, r, 1)) {
        }
    }
    return r;
}

/* One request on a connection of its own. `text` lacks the Host header. */
static inline t_reply *t_ask(const http_server *s, const char *line, const char *headers_and_body)
{
    t_conn *c = t_connect(s);
    t_send(c, line);
    t_send(c, " HTTP/1.1\r\nHost: t\r\n");
    t_send(c, headers_and_body == NULL ? "\r\n" : headers_and_body);
    t_reply *r = t_reply_of(c, strncmp(line, "HEAD ", 5) == 0);
    t_close(c);
    return r;
}

/* True when the peer closed: the next read gives no byte. */
static inline bool t_closed(t_conn *c)
{
    char b;
    return c->have == 0 && recv(c->fd, &b, 1, 0) <= 0 && errno != EAGAIN;
}

#define assert_header(r, name, value)                                                              \
    do {                                                                                           \
        const char *got_ = t_header(r, name);                                                      \
        assert_non_null(got_);                                                                     \
        assert_string_equal(got_, value);                                                          \
    } while (0)

#endif
