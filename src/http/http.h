/* SPDX-License-Identifier: Apache-2.0 */
/* http/http.h - the HTTP server (libmicrohttpd) and client (libcurl).
 *
 * Server threads: I/O threads parse, route and copy bytes; they never wait. A handler runs on a
 * worker of a bounded pool; a full pool answers 503 at once with Retry-After. Routes whose `fast`
 * handler is set may be answered from memory on the I/O thread.
 * The body of a request is complete before its handler runs (bounded by body_max), except on
 * ROUTE_STREAM_BODY routes, where the handler pulls it with http_req_read from a bounded ring
 * while the connection feels back-pressure. Stream handlers have a pool of their own. */
#ifndef SNUG_HTTP_HTTP_H
#define SNUG_HTTP_HTTP_H

#include "base/base.h"

typedef enum http_verb {
    HTTP_GET,
    HTTP_POST,
    HTTP_PUT,
    HTTP_PATCH,
    HTTP_DELETE,
    HTTP_VERB_COUNT
} http_verb;

typedef struct http_req http_req;
typedef struct http_res http_res;
typedef snug_status     http_handler(http_req *rq, http_res *rs, snug_err *err);

enum {
    ROUTE_STREAM_BODY = 1u << 0, /* the handler pulls the body */
    ROUTE_WRITE = 1u << 1,       /* changes state: refused in read-only mode */
    ROUTE_INLINE = 1u << 2,      /* `run` itself never waits: answered on the I/O thread */
    ROUTE_HIDDEN = 1u << 3       /* not in the OpenAPI document (signed byte URLs) */
};

/* Where a parameter comes from and what it is: for the OpenAPI document. */
typedef struct http_param {
    const char *name, *in; /* "path", "query", "header" */
    const char *type;      /* "string", "integer", "boolean" */
    const char *help;
    bool        required, repeated;
} http_param;

typedef struct http_doc {
    const char       *id;                 /* operationId */
    const char       *tag;                /* family: "repos", "files", ... */
    const char       *summary;            /* one sentence */
    const char       *scope;              /* "" anyone, "read", "write", "admin" */
    const http_param *params;             /* ends with a NULL name */
    const char       *request, *response; /* JSON Schema texts, or NULL */
    const char       *media;              /* of the request; NULL: application/json */
    uint64_t          body_max;           /* bytes; 0: 1 MiB */
    const char       *errors;             /* statuses besides 200, "400 401 404" */
} http_doc;

/* A row of a route table. Patterns, matched on path segments *before* percent-decoding:
 *   literal   {name} one segment   {name:a|b|c} one of   {name...} the rest (may be empty)
 * More specific patterns win: literal > one of > any > rest. GET rows answer HEAD too. */
typedef struct http_route {
    http_verb       verb;
    const char     *pattern;
    http_handler   *run;
    unsigned        flags;
    const http_doc *doc;
    http_handler   *fast; /* may be NULL; returns SNUG_EAGAIN to be queued for `run` instead */
} http_route;

/* ---- request ---- */
http_verb  http_req_verb(const http_req *rq);
bool       http_req_is_head(const http_req *rq);
snug_slice http_req_path(const http_req *rq);                    /* raw, no query */
snug_slice http_req_target(const http_req *rq);                  /* raw path and query */
snug_slice http_req_param(const http_req *rq, const char *name); /* decoded; empty if unknown */
snug_slice http_req_param_raw(const http_req *rq, const char *name);
snug_slice http_req_header(const http_req *rq, const char *name); /* ptr NULL: absent */
/* The index-th value of a query key, decoded; ptr NULL: absent. "expand[]" also answers for
 * "expand". */
snug_slice http_req_query(const http_req *rq, const char *name, size_t index);
bool       http_req_query_bool(const http_req *rq, const char *name, bool dflt);
snug_slice http_req_body(const http_req *rq); /* whole body; empty on STREAM_BODY routes */
/* Declared Content-Length, or UINT64_MAX when unknown (chunked). */
uint64_t http_req_length(const http_req *rq);
/* STREAM_BODY only: up to n bytes, blocking; *got 0 means the end. SNUG_ECANCELED: client gone,
 * SNUG_ETIMEOUT: nothing came for a while, SNUG_ELIMIT: more than doc->body_max. */
snug_status http_req_read(http_req *rq, void *p, size_t n, size_t *got,
                          snug_err *err) SNUG_MUST_USE;
snug_arena *http_req_arena(http_req *rq);
const char *http_req_id(const http_req *rq);
void       *http_req_app(const http_req *rq);    /* of the route's table */
snug_slice  http_req_remote(const http_req *rq); /* peer address as text */
/* "http://host:port" as the client sees us: the configured public URL, else the Host header
 * (checked), with X-Forwarded-Proto when the peer is a trusted proxy. */
snug_slice http_req_base_url(http_req *rq);
/* Parses an application/x-www-form-urlencoded body; the index-th value of name, or ptr NULL. */
snug_slice        http_req_form(http_req *rq, const char *name, size_t index);
const http_route *http_req_route(const http_req *rq);
/* One slot for the application to hang request state on (freed with the arena). */
void *http_req_slot(const http_req *rq);
void  http_req_set_slot(http_req *rq, void *p);

/* ---- response: exactly one http_reply_* per request ---- */
void http_set_status(http_res *rs, int status); /* default 200 */
void http_set_header(http_res *rs, const char *name,
                     snug_slice value); /* adds; CR and LF refused */
void http_set_headerf(http_res *rs, const char *name, const char *fmt, ...) SNUG_PRINTF(3, 4);
void http_reply_json(http_res *rs, snug_buf *buf_taken); /* application/json; charset=utf-8 */
void http_reply_text(http_res *rs, int status, const char *text_copied); /* text/plain */
void http_reply_bytes(http_res *rs, snug_slice media, snug_buf *buf_taken);
void http_reply_static(http_res *rs, snug_slice media, snug_slice bytes_static);
void http_reply_empty(http_res *rs, int status);
void http_reply_redirect(http_res *rs, int status, snug_slice location);
/* [off, off + len) of a file by sendfile. fd_owned is closed. */
void http_reply_file(http_res *rs, int fd_owned, uint64_t off, uint64_t len);
/* Whole-file answer with Range, If-Range, If-None-Match (etag in quotes) and HEAD handled:
 * 200, 206 with Content-Range, 304 or 416. fd_owned < 0: bytes_taken holds the content. */
void http_reply_content(http_req *rq, http_res *rs, snug_slice media, snug_slice etag, int fd_owned,
                        snug_buf *bytes_taken, uint64_t size);

/* Streamed answers (SSE, generated bodies). Any thread pushes; a full ring blocks the pusher up
 * to a time limit. The stream is counted: creator and server each hold one. */
typedef struct http_stream http_stream;
http_stream               *http_stream_new(size_t ring_bytes);
void http_reply_stream(http_res *rs, snug_slice media, http_stream *s_borrowed);
/* SNUG_ECANCELED: the client went away. */
snug_status http_stream_push(http_stream *s, snug_slice bytes, snug_err *err) SNUG_MUST_USE;
void        http_stream_close(http_stream *s, bool ok); /* ok false: the connection is cut */
bool        http_stream_gone(const http_stream *s);     /* the client went away */
void        http_stream_unref(http_stream *s);
/* As http_reply_content for content that is made while it is sent. NULL: no bytes are wanted (HEAD,
 * 304, 416, nothing in it). Otherwise exactly [*first, *first + *len) must be pushed, by any
 * thread; then close and unref. */
http_stream *http_reply_content_stream(http_req *rq, http_res *rs, snug_slice media,
                                       snug_slice etag, uint64_t size, size_t ring_bytes,
                                       uint64_t *first, uint64_t *len);
/* One SSE frame; event NULL: "message". Heart-beats are sent by the server every 15 s. */
snug_status http_sse_push(http_stream *s, const char *event, snug_slice data,
                          snug_err *err) SNUG_MUST_USE;

/* ---- server ---- */
typedef struct http_server http_server;
typedef struct http_server_opts {
    const char *listen;     /* "127.0.0.1:8421", "[::1]:0", "unix:/path"; port 0: any free one */
    unsigned    io_threads; /* 0: CPU count, at most 4 */
    unsigned    workers, stream_workers;  /* 0: 8 and 32 */
    size_t      queue_max;                /* 0: 1024 */
    unsigned    idle_timeout_s;           /* 0: 75; keep-alive and header read */
    unsigned    body_timeout_s;           /* 0: 30; silence inside a body */
    size_t      connections_max;          /* 0: 4096 */
    uint64_t    memory_body_max;          /* largest body held in memory; 0: 16 MiB */
    const char *public_url;               /* NULL: from the Host header */
    const char *trusted_proxies;          /* comma list of addresses, NULL: none */
    const http_route *const *tables;      /* NULL-ended list of tables ... */
    const size_t            *table_sizes; /* ... and their lengths */
    void                    *app;         /* what http_req_app gives ... */
    void *const             *table_apps;  /* ... unless there is one for each table; may be NULL */
    /* Turns a failed handler into an answer; NULL: {"error": msg} with X-Error-Message. */
    void (*on_error)(http_req *rq, http_res *rs, const snug_err *err);
    /* Adds headers to every answer (CORS, server name); may be NULL. */
    void (*on_reply)(http_req *rq, http_res *rs);
} http_server_opts;

snug_status http_server_start(const http_server_opts *o, http_server **out,
                              snug_err *err) SNUG_MUST_USE;
uint16_t    http_server_port(const http_server *s);
/* Stops accepting, lets running requests finish up to grace_ms, cuts the rest, frees. */
void http_server_stop(http_server *s, unsigned grace_ms);
/* OpenAPI 3.1 of the tables. */
void http_openapi_put(const http_route *const *tables, const size_t *sizes, snug_buf *b);

/* Inclusive byte range for `size` bytes from a Range header; shared with tests.
 * HTTP_RANGE_NONE: serve all; HTTP_RANGE_BAD: 416. Multiple ranges are served whole. */
typedef enum http_range_kind { HTTP_RANGE_NONE, HTTP_RANGE_ONE, HTTP_RANGE_BAD } http_range_kind;
http_range_kind http_parse_range(snug_slice header, uint64_t size, uint64_t *first, uint64_t *last);
/* True when an If-None-Match list holds the (quoted) etag or *; weak comparison. */
bool http_etag_matches(snug_slice if_none_match, snug_slice etag);

/* ---- guard: calls an outsider asked for reach no private, loopback or link-local address ---- */
struct sockaddr;
typedef struct http_guard http_guard;
/* `allowed`: networks that may be reached nevertheless, "10.0.0.0/8, fd00::/8". */
snug_status http_guard_new(snug_slice allowed, http_guard **out, snug_err *err) SNUG_MUST_USE;
void        http_guard_free(http_guard *g); /* NULL is fine */
bool        http_guard_allows(const http_guard *g, const struct sockaddr *sa);
/* What can be told before a name is looked up: SNUG_EINVAL for no http address, one with a user in
 * it, or a private one written as numbers. */
snug_status http_guard_check_url(const http_guard *g, snug_slice url, snug_err *err) SNUG_MUST_USE;

/* ---- client: one call, blocking; handles are pooled per http_client ---- */
typedef struct http_client http_client;
http_client               *http_client_new(const char *user_agent);
void                       http_client_free(http_client *c);

typedef struct http_header {
    snug_slice name, value;
} http_header;

typedef struct http_call {
    const char        *method, *url;
    const http_header *headers;
    size_t             header_count;
    /* request body: bytes, or a pull function (length UINT64_MAX: chunked) */
    snug_slice body;
    snug_status (*pull)(void *arg, void *p, size_t n, size_t *got, snug_err *err);
    void    *pull_arg;
    uint64_t pull_length;
    /* response body: into `into`, or pushed; status is known before the first push */
    snug_buf *into;
    snug_status (*push)(void *arg, int status, snug_slice part, snug_err *err);
    void              *push_arg;
    bool               follow;             /* follow redirects to the same host only, at most 5 */
    unsigned           connect_timeout_ms; /* 0: 10 s */
    unsigned           stall_timeout_ms;   /* 0: 30 s without a byte */
    unsigned           total_timeout_ms;   /* 0: none */
    const atomic_bool *cancel;             /* may be NULL */
    const http_guard  *guard;              /* may be NULL; with one, no proxy is used either */
} http_call;

typedef struct http_answer {
    int          status;
    http_header *headers; /* in the arena, last response only */
    size_t       header_count;
    uint64_t     body_bytes;
    snug_slice   url; /* final */
} http_answer;

/* SNUG_OK for every complete HTTP exchange, whatever its status; errors are transport errors
 * with a sentence ("could not connect to ...", "the connection was cut after 12.3 MB"). */
snug_status http_call_run(http_client *c, const http_call *call, snug_arena *a, http_answer *out,
                          snug_err *err) SNUG_MUST_USE;
snug_slice  http_answer_header(const http_answer *r, const char *name); /* ptr NULL: absent */

#endif
