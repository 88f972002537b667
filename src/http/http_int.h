/* SPDX-License-Identifier: Apache-2.0 */
/* http/http_int.h - what the files of http/ share. conn.c holds the picture of a request's life.
 *
 * Lock ranks: server->conns_lock 700 < conn->lock 710 < stream->lock 720. libmicrohttpd's own
 * mutexes come after ours; it calls us with none of them held but the response's. */
#ifndef SNUG_HTTP_HTTP_INT_H
#define SNUG_HTTP_HTTP_INT_H

#include <microhttpd.h>

#include "http/http.h"

/* ---- limits: the table in README.md repeats these with reasons ---- */
enum {
    HTTP_URI_MAX = 8 << 10,
    HTTP_HEADERS_MAX = 100,
    HTTP_HEADER_BYTES_MAX = 32 << 10,
    HTTP_POOL_BYTES = 80 << 10, /* libmicrohttpd's memory per connection */
    HTTP_READ_BYTES = 64 << 10, /* what one recv should be able to take */
    HTTP_PARAMS_MAX = 16,
    HTTP_QUERY_MAX = 256,
    HTTP_ID_MAX = 128,
    HTTP_HOST_MAX = 255,
    HTTP_BODY_DEFAULT = 1 << 20,
    HTTP_BODY_MEMORY_MAX = 512 << 20, /* bodies held in memory, all requests together */
    HTTP_RING_BYTES = 256 << 10,
    HTTP_STREAM_RING_DEFAULT = 64 << 10,
    HTTP_REPLY_HEADERS_MAX = 64,
    HTTP_REPLY_HEADER_BYTES_MAX = 24 << 10,
    HTTP_RAW_REPLY_MAX = 16 << 10,
    HTTP_COMPRESS_MIN = 1 << 10,
    HTTP_COMPRESS_MAX = 16 << 20,
    HTTP_COMPRESS_INLINE_MAX = 32 << 10,
    HTTP_PROXIES_MAX = 32
};

/* Times and sizes a test may shorten; zero fields of a caller's copy mean the default. */
typedef struct http_limits {
    unsigned header_timeout_ms;  /* request line seen, headers incomplete: 20 s */
    unsigned body_rate_min;      /* bytes per second ...: 1024 */
    unsigned body_rate_after_ms; /* ... once a body took this long: 30 s */
    unsigned heartbeat_ms;       /* silence on an SSE stream: 15 s */
    unsigned linger_ms;          /* swallowing a refused body: 5 s */
    unsigned push_timeout_ms;    /* a full stream ring: 30 s */
    unsigned tick_ms;            /* how often the watch thread looks: 1 s */
    uint64_t linger_bytes;       /* of a refused body: 256 MiB */
    uint64_t drain_bytes;        /* a refused body this short keeps the connection: 256 KiB */
} http_limits;

/* As http_server_start with limits of one's own; for tests. */
snug_status http_server_start_with(const http_server_opts *o, const http_limits *l,
                                   http_server **out, snug_err *err) SNUG_MUST_USE;

typedef struct http_conn http_conn;

/* ---- router.c ---- */
typedef struct http_router http_router;
typedef struct http_match {
    const http_route *route; /* NULL: nothing for this verb */
    unsigned          verbs; /* bit per verb some pattern offers for this path */
    size_t            param_count;
    struct {
        snug_slice name, raw;
    } params[HTTP_PARAMS_MAX];
} http_match;

snug_status http_router_new(const http_route *const *tables, const size_t *sizes, http_router **out,
                            snug_err *err) SNUG_MUST_USE;
void        http_router_free(http_router *r);
/* path starts with '/'. Decodes nothing. */
void http_router_match(const http_router *r, snug_slice path, http_verb verb, http_match *out);
/* True when every escape is well formed, none is a NUL, and no segment is "..". */
bool http_path_ok(snug_slice path);
/* One step over a pattern: the next segment, with what it is. */
typedef enum http_seg_kind {
    HTTP_SEG_LITERAL,
    HTTP_SEG_ONE_OF,
    HTTP_SEG_ANY,
    HTTP_SEG_REST,
    HTTP_SEG_BAD
} http_seg_kind;
typedef struct http_seg {
    http_seg_kind kind;
    snug_slice    text;    /* of a literal */
    snug_slice    name;    /* of a parameter */
    snug_slice    choices; /* "a|b|c" */
} http_seg;
bool http_pattern_next(snug_slice *rest, http_seg *out);

/* ---- request (request.c) ---- */
typedef struct http_pairs {
    bool   parsed;
    size_t count;
    struct http_pair {
        snug_slice name, value;
    } * list;
} http_pairs;

typedef enum http_reply_kind {
    HTTP_REPLY_NONE,
    HTTP_REPLY_BUF,    /* res->buf */
    HTTP_REPLY_STATIC, /* res->fixed */
    HTTP_REPLY_EMPTY,
    HTTP_REPLY_FILE,  /* res->fd, off, len */
    HTTP_REPLY_SIZED, /* Content-Length: len, but no body: 304 and HEAD */
    HTTP_REPLY_STREAM
} http_reply_kind;

struct http_res {
    http_req       *rq;
    int             status; /* 0: not set */
    http_reply_kind kind;
    bool            may_compress, close;
    bool            finished; /* http_reply_finish ran */
    int             fd;
    snug_slice      media;
    snug_buf        buf;
    snug_slice      fixed;
    uint64_t        off, len;
    bool            sized; /* a stream of exactly len bytes */
    http_stream    *stream;
    size_t          header_count, header_bytes;
    struct {
        const char *name, *value;
    } headers[HTTP_REPLY_HEADERS_MAX];
};

struct http_req {
    http_conn        *conn;
    http_server      *server;
    snug_arena       *arena;
    const http_route *route;
    http_verb         verb;
    bool              head, options, streaming, expects_continue, http_1_0;
    bool              body_late; /* http_req_read gave SNUG_ETIMEOUT: the answer is 408 */
    bool              on_io;     /* the handler runs on the I/O thread */
    snug_slice        target, path, query;
    uint64_t          length; /* declared; UINT64_MAX: chunked */
    uint64_t          body_max;
    snug_buf          body;
    size_t            body_off; /* http_req_read on a body in memory */
    snug_slice        base_url;
    void             *slot;
    http_pairs        query_pairs, form_pairs;
    uint64_t          started_ns;
    char              id[HTTP_ID_MAX + 64];
    size_t            param_count;
    struct {
        snug_slice name, raw, value;
    } params[HTTP_PARAMS_MAX];
    http_res    res;
    size_t      header_count;
    http_header headers[HTTP_HEADERS_MAX];
};

/* Copies what points into libmicrohttpd's memory, for handlers that outlive the connection. */
void http_req_own_headers(http_req *rq);
/* Splits a query or a form; undecodable parts stay as they are. */
void http_pairs_parse(http_pairs *p, snug_arena *a, snug_slice text);
void http_make_id(http_req *rq);
bool http_host_ok(snug_slice host);

/* ---- connections (conn.c, body.c) ---- */
typedef enum http_phase {
    HTTP_PH_IDLE,
    HTTP_PH_HEAD,
    HTTP_PH_READY,
    HTTP_PH_BODY,
    HTTP_PH_STREAM,
    HTTP_PH_RUN,
    HTTP_PH_DRAIN,
    HTTP_PH_LINGER,
    HTTP_PH_REPLY
} http_phase;

typedef enum http_wait {
    HTTP_WAIT_NO,
    HTTP_WAIT_HEADERS,
    HTTP_WAIT_SPACE,
    HTTP_WAIT_REPLY
} http_wait;
typedef enum http_raw { HTTP_RAW_NO, HTTP_RAW_SENDING, HTTP_RAW_SENT } http_raw;

struct http_conn {
    http_server           *server;
    struct MHD_Connection *mc;
    int                    fd;
    uint64_t               id; /* generation << 32 | slot */
    atomic_uint            refs;
    atomic_int             phase; /* http_phase; only the I/O thread moves it, but for */
                                  /* BODY and STREAM, whose ends are decided under the lock */
    atomic_uint_least64_t since_ms;
    char                  peer[64];
    bool                  counted; /* in server->active */

    snug_mutex   lock;    /* rank 710: guards what follows */
    snug_cond    changed; /* with lock */
    bool         closed;  /* the descriptor is libmicrohttpd's to close: hands off */
    http_wait    waiting; /* suspended in the body, and why */
    http_raw     raw;
    bool         reply_ready;   /* the stream handler has answered */
    bool         worker_active; /* it is still running */
    bool         dead;          /* libmicrohttpd ended the request before the handler did */
    bool         gone;          /* nobody will read the answer, or the server stops */
    bool         body_wanted, body_started, body_eof, body_over, body_slow;
    char        *ring;
    size_t       ring_cap, ring_head, ring_used;
    uint64_t     received, last_body_ms, receiving_ms, swallowed;
    http_stream *stream; /* the reply, while libmicrohttpd holds it */

    http_req rq;
};

http_conn *http_conn_new(http_server *s, struct MHD_Connection *mc);
void       http_conn_unref(http_conn *c);
/* The watch thread's look at one connection. */
bool http_conn_due(http_conn *c, uint64_t now_ms);
void http_conn_check(http_conn *c, uint64_t now_ms);
/* The server is being cut down: ends reads and streams. Workers then resume what they hold. */
void http_conn_cut(http_conn *c);
void http_conn_peer_gone(http_conn *c);

/* libmicrohttpd's callbacks, all on I/O threads. */
void           *http_on_uri(void *cls, const char *uri, struct MHD_Connection *mc);
enum MHD_Result http_on_access(void *cls, struct MHD_Connection *mc, const char *url,
                               const char *method, const char *version, const char *data,
                               size_t *size, void **con_cls);
void            http_on_completed(void *cls, struct MHD_Connection *mc, void **con_cls,
                                  enum MHD_RequestTerminationCode why);

/* ---- reading the head of a request (head.c) ---- */
/* Everything between the request line and the choice of a route. On failure *status is the
 * answer's and rq->res.close is set when the framing cannot be trusted. */
snug_status http_head_parse(http_req *rq, const char *method, const char *version, int *status,
                            snug_err *err) SNUG_MUST_USE;
/* The route, its parameters and its body limit. */
snug_status http_head_route(http_req *rq, int *status, snug_err *err) SNUG_MUST_USE;

/* Takes what fits of a streamed body's chunk; lock held. */
size_t http_ring_put_locked(http_conn *c, const char *p, size_t n);
void   http_ring_free(http_conn *c);

/* ---- replies (reply.c, compress.c) ---- */
void http_res_init(http_res *rs, http_req *rq);
void http_res_deinit(http_res *rs);
/* Forgets a reply already made (its body, not its headers). */
void http_res_drop(http_res *rs);
/* Turns err into an answer by the server's on_error. status != 0 is forced on it. */
void http_reply_error(http_req *rq, int status, const snug_err *err);
/* Called once, where the handler ran: on_reply, compression, the standard headers. */
void http_reply_finish(http_req *rq);
/* Called on the I/O thread; the body moves into the response. */
struct MHD_Response *http_reply_build(http_req *rq);
/* For answers sent in the middle of a request: the whole of a small reply, or false. */
bool http_reply_raw(http_req *rq, snug_buf *out);
bool http_is_token(snug_slice s);
/* Replaces res->buf by a compressed copy when the client takes it and it helps. */
typedef enum http_coding { HTTP_CODING_IDENTITY, HTTP_CODING_GZIP, HTTP_CODING_ZSTD } http_coding;
http_coding http_pick_coding(snug_slice accept_encoding);
bool        http_media_compresses(snug_slice media);
bool        http_compress(http_coding coding, snug_slice in, snug_buf *out);

/* ---- streams (stream.c) ---- */
/* total: MHD_SIZE_UNKNOWN, or what the pusher promises. */
struct MHD_Response *http_stream_response(http_stream *s, uint64_t total);
void                 http_stream_ref(http_stream *s);
void http_stream_attach(http_stream *s, struct MHD_Connection *mc, const http_limits *l, bool sse);
void http_stream_set_gone(http_stream *s);
void http_stream_tick(http_stream *s, uint64_t now_ms);

/* ---- server ---- */
struct http_server {
    http_server_opts   o; /* strings owned */
    http_limits        limits;
    http_router       *router;
    struct MHD_Daemon *daemon;
    snug_pool         *workers, *streams;
    int                listen_fd;
    uint16_t           port;
    char              *unix_path, *listen_url;
    size_t             proxy_count;
    char              *proxies[HTTP_PROXIES_MAX];

    snug_thread *watch;
    int          watch_fd, wake_fd; /* epoll, eventfd */

    snug_mutex  conns_lock; /* rank 700: guards the table, the count and `idle` */
    snug_cond   idle;       /* active fell to 0 */
    http_conn **slots;
    uint32_t   *gens;
    size_t      slot_cap, conn_count;

    atomic_bool           stopping, cut, quit;
    atomic_uint           active;     /* requests between their headers and their end */
    atomic_uint           submitting; /* I/O threads between a look at `cut` and a submit */
    atomic_size_t         workers_queued, streams_queued;
    atomic_uint_least64_t id_next, body_memory;
    uint64_t              id_nonce;
};

void http_server_watch(http_server *s, http_conn *c);
void http_server_unwatch(http_server *s, http_conn *c);
void http_server_request_begin(http_server *s, http_conn *c);
void http_server_request_end(http_server *s, http_conn *c);
/* Opens, binds and listens; port and unix_path are filled in. (listen.c) */
snug_status http_listen(http_server *s, const char *where, snug_err *err) SNUG_MUST_USE;

#endif
