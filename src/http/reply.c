/* SPDX-License-Identifier: Apache-2.0 */
/* http/reply.c - collecting an answer, dressing it, and handing it to libmicrohttpd.
 *
 * For:     handlers (http_set_*, http_reply_*) and conn.c (finish, build, raw).
 * Owns:    the body of the answer until http_reply_build moves it into an MHD_Response.
 * Threads: the handler's; http_reply_build runs on the I/O thread after it.
 * Truth:   no header leaves here with a control byte in it, whoever set it.
 *
 * An answer grows in three steps: the handler picks a body and headers; http_reply_finish lets
 * on_reply add to them, compresses and adds the headers that are always there; http_reply_build
 * (or http_reply_raw, in the middle of an upload) turns it into something to send. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http/http_int.h"

/* ---- life ---- */

void http_res_init(http_res *rs, http_req *rq)
{
    rs->rq = rq;
    rs->status = 0;
    rs->kind = HTTP_REPLY_NONE;
    rs->may_compress = rs->close = rs->finished = rs->sized = false;
    rs->fd = -1;
    rs->media = SNUG_EMPTY;
    rs->buf = (snug_buf){0};
    rs->fixed = SNUG_EMPTY;
    rs->off = rs->len = 0;
    rs->stream = NULL;
    rs->header_count = rs->header_bytes = 0;
}

void http_res_drop(http_res *rs)
{
    if (rs->kind == HTTP_REPLY_BUF) snug_buf_deinit(&rs->buf);
    if (rs->kind == HTTP_REPLY_FILE && rs->fd >= 0) (void)close(rs->fd);
    if (rs->kind == HTTP_REPLY_STREAM) {
        http_stream_set_gone(rs->stream); /* nobody will read it */
        http_stream_unref(rs->stream);
        rs->stream = NULL;
    }
    rs->fd = -1;
    rs->kind = HTTP_REPLY_NONE;
    rs->may_compress = rs->sized = false;
    rs->media = SNUG_EMPTY;
}

void http_res_deinit(http_res *rs)
{
    http_res_drop(rs);
    rs->header_count = rs->header_bytes = 0;
}

/* ---- headers ---- */

bool http_is_token(snug_slice s)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";
    if (s.len == 0) return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) continue;
        if (c == '\0' || strchr(marks, c) == NULL) return false;
    }
    return true;
}

static bool value_ok(snug_slice v)
{
    for (size_t i = 0; i < v.len; i++) {
        unsigned char c = (unsigned char)v.ptr[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f) return false;
    }
    return v.len > 0;
}

void http_set_status(http_res *rs, int status)
{
    SNUG_ASSERT(status >= 200 && status <= 599);
    rs->status = status;
}

static const char *find_header(const http_res *rs, const char *name)
{
    for (size_t i = 0; i < rs->header_count; i++) {
        if (snug_eq_nocase(snug_str(rs->headers[i].name), snug_str(name)))
            return rs->headers[i].value;
    }
    return NULL;
}

/* The length and the framing are ours to say. */
static bool is_framing(snug_slice name)
{
    return snug_eq_nocase(name, SNUG_LIT("Content-Length")) ||
           snug_eq_nocase(name, SNUG_LIT("Transfer-Encoding"));
}

void http_set_header(http_res *rs, const char *name, snug_slice value)
{
    snug_slice key = snug_str(name);
    size_t     bytes = key.len + value.len + 4;
    if (!http_is_token(key) || is_framing(key) || !value_ok(value) ||
        rs->header_count == HTTP_REPLY_HEADERS_MAX ||
        bytes > HTTP_REPLY_HEADER_BYTES_MAX - rs->header_bytes) {
        snug_log(SNUG_WARN, "http.header", "refused=%.*s bytes=%zu",
                 SNUG_SLICE(snug_sub(key, 0, 64)), value.len);
        return;
    }
    rs->headers[rs->header_count].name = snug_arena_cstr(rs->rq->arena, key);
    rs->headers[rs->header_count++].value = snug_arena_cstr(rs->rq->arena, value);
    rs->header_bytes += bytes;
}

void http_set_headerf(http_res *rs, const char *name, const char *fmt, ...)
{
    char    small[256];
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(small, sizeof small, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof small) {
        http_set_header(rs, name, snug_slice_of(small, (size_t)n));
    } else if (n >= 0 && n <= HTTP_REPLY_HEADER_BYTES_MAX) {
        char *p = snug_arena_alloc(rs->rq->arena, (size_t)n + 1);
        (void)vsnprintf(p, (size_t)n + 1, fmt, again);
        http_set_header(rs, name, snug_slice_of(p, (size_t)n));
    }
    va_end(again);
}

/* Headers that spoke of the body we no longer send. Others, such as X-Repo-Commit, stay. */
static void drop_entity_headers(http_res *rs)
{
    static const char *const names[] = {
        "ETag", "Cache-Control", "Last-Modified", "Accept-Ranges", "Location", "Expires", "Vary"};
    size_t kept = 0;
    for (size_t i = 0; i < rs->header_count; i++) {
        snug_slice name = snug_str(rs->headers[i].name);
        bool drop = name.len >= 8 && snug_eq_nocase(snug_sub(name, 0, 8), SNUG_LIT("Content-"));
        for (size_t k = 0; k < sizeof names / sizeof names[0]; k++)
            drop = drop || snug_eq_nocase(name, snug_str(names[k]));
        if (!drop) rs->headers[kept++] = rs->headers[i];
    }
    rs->header_count = kept;
}

/* ---- bodies ---- */

/* Every http_reply_* begins here; a second reply replaces the first. */
static void begin_reply(http_res *rs, http_reply_kind kind, snug_slice media)
{
    if (rs->kind != HTTP_REPLY_NONE)
        snug_log(SNUG_WARN, "http.reply", "problem=\"two replies\" path=%.*s",
                 SNUG_SLICE(rs->rq->path));
    http_res_drop(rs);
    rs->kind = kind;
    rs->media = media;
}

static void take_buf(http_res *rs, snug_slice media, snug_buf *buf_taken)
{
    if (buf_taken->full) {
        snug_err err;
        snug_fail(&err, SNUG_EINTERNAL, "the answer is larger than the limit of %zu bytes",
                  buf_taken->max);
        snug_buf_deinit(buf_taken);
        http_reply_error(rs->rq, 500, &err);
        return;
    }
    begin_reply(rs, HTTP_REPLY_BUF, media);
    rs->buf = *buf_taken;
    *buf_taken = snug_buf_init(buf_taken->max);
    rs->may_compress = true;
}

void http_reply_json(http_res *rs, snug_buf *buf_taken)
{
    take_buf(rs, SNUG_LIT("application/json; charset=utf-8"), buf_taken);
}

void http_reply_bytes(http_res *rs, snug_slice media, snug_buf *buf_taken)
{
    take_buf(rs, snug_arena_dup(rs->rq->arena, media), buf_taken);
}

void http_reply_text(http_res *rs, int status, const char *text_copied)
{
    size_t   n = strlen(text_copied);
    snug_buf b = snug_buf_init(n + 1);
    snug_buf_put(&b, text_copied, n);
    http_set_status(rs, status);
    take_buf(rs, SNUG_LIT("text/plain; charset=utf-8"), &b);
}

void http_reply_static(http_res *rs, snug_slice media, snug_slice bytes_static)
{
    begin_reply(rs, HTTP_REPLY_STATIC, snug_arena_dup(rs->rq->arena, media));
    rs->fixed = bytes_static;
    rs->may_compress = true;
}

void http_reply_empty(http_res *rs, int status)
{
    begin_reply(rs, HTTP_REPLY_EMPTY, SNUG_EMPTY);
    http_set_status(rs, status);
}

void http_reply_redirect(http_res *rs, int status, snug_slice location)
{
    snug_err err;
    if (!value_ok(location)) {
        snug_fail(&err, SNUG_EINTERNAL, "internal error");
        snug_log(SNUG_ERROR, "http.redirect", "problem=\"control byte in location\" path=%.*s",
                 SNUG_SLICE(rs->rq->path));
        http_reply_error(rs->rq, 500, &err);
        return;
    }
    http_reply_empty(rs, status);
    http_set_header(rs, "Location", location);
}

void http_reply_file(http_res *rs, int fd_owned, uint64_t off, uint64_t len)
{
    struct stat sb;
    uint64_t    end;
    bool        sound = fd_owned >= 0 && fstat(fd_owned, &sb) == 0 && sb.st_size >= 0 &&
                 !__builtin_add_overflow(off, len, &end) && end <= (uint64_t)sb.st_size;
    if (!sound) { /* sendfile past the end would spin */
        snug_err err;
        if (fd_owned >= 0) (void)close(fd_owned);
        snug_fail(&err, SNUG_EINTERNAL, "internal error");
        snug_log(SNUG_ERROR, "http.file",
                 "fd=%d off=%" PRIu64 " len=%" PRIu64 " problem=\"not in the file\"", fd_owned, off,
                 len);
        http_reply_error(rs->rq, 500, &err);
        return;
    }
    begin_reply(rs, HTTP_REPLY_FILE, SNUG_LIT("application/octet-stream"));
    rs->fd = fd_owned;
    rs->off = off;
    rs->len = len;
}

void http_reply_stream(http_res *rs, snug_slice media, http_stream *s_borrowed)
{
    http_stream_ref(s_borrowed); /* before begin_reply: it may be the same stream again */
    begin_reply(rs, HTTP_REPLY_STREAM, snug_arena_dup(rs->rq->arena, media));
    rs->stream = s_borrowed;
    if (snug_starts_with(media, "text/event-stream")) {
        http_set_header(rs, "Cache-Control", SNUG_LIT("no-cache"));
        http_set_header(rs, "X-Accel-Buffering", SNUG_LIT("no"));
    }
}

/* ---- errors ---- */

static void default_error(http_res *rs, const snug_err *err)
{
    snug_buf      b = snug_buf_init(8 * SNUG_ERR_MSG_MAX);
    snug_json_out o = snug_json_out_init(&b);
    snug_jo_begin_object(&o);
    snug_jo_kcstr(&o, "error", err->msg);
    snug_jo_end_object(&o);
    if (err->code != NULL) http_set_header(rs, "X-Error-Code", snug_str(err->code));
    if (err->msg[0] != '\0') http_set_header(rs, "X-Error-Message", snug_str(err->msg));
    http_set_status(rs, snug_status_http(err->status));
    http_reply_json(rs, &b);
}

void http_reply_error(http_req *rq, int status, const snug_err *err)
{
    http_res *rs = &rq->res;
    http_res_drop(rs);
    drop_entity_headers(rs);
    rs->status = 0;
    if (rq->server->o.on_error != NULL) rq->server->o.on_error(rq, rs, err);
    if (rs->kind == HTTP_REPLY_NONE) default_error(rs, err);
    if (status != 0) rs->status = status;
    if (rs->status < 400) rs->status = 500;
    if ((rs->status == 503 || rs->status == 429) && find_header(rs, "Retry-After") == NULL)
        http_set_header(rs, "Retry-After", SNUG_LIT("1"));
    if (rs->status >= 500 && rs->status != 503) snug_log_err(SNUG_ERROR, "http.failed", err);
}

/* ---- finishing ---- */

static bool varies_by_encoding(const http_res *rs)
{
    for (size_t i = 0; i < rs->header_count; i++) {
        if (snug_eq_nocase(snug_str(rs->headers[i].name), SNUG_LIT("Vary")) &&
            rs->headers[i].value != NULL &&
            strcasestr(rs->headers[i].value, "accept-encoding") != NULL)
            return true;
    }
    return false;
}

static void compress_body(http_req *rq, http_res *rs)
{
    snug_slice body = rs->kind == HTTP_REPLY_BUF ? snug_buf_slice(&rs->buf) : rs->fixed;
    if (!rs->may_compress || (rs->kind != HTTP_REPLY_BUF && rs->kind != HTTP_REPLY_STATIC) ||
        body.len <= HTTP_COMPRESS_MIN || rs->status == 206 || !http_media_compresses(rs->media) ||
        find_header(rs, "Content-Encoding") != NULL)
        return;
    if (!varies_by_encoding(rs)) http_set_header(rs, "Vary", SNUG_LIT("Accept-Encoding"));
    if (rq->on_io && body.len > HTTP_COMPRESS_INLINE_MAX)
        return; /* I/O threads do not work that long */
    http_coding coding = http_pick_coding(http_req_header(rq, "Accept-Encoding"));
    snug_buf    packed;
    if (!http_compress(coding, body, &packed)) return;
    if (rs->kind == HTTP_REPLY_BUF) snug_buf_deinit(&rs->buf);
    rs->kind = HTTP_REPLY_BUF;
    rs->buf = packed;
    http_set_header(rs, "Content-Encoding",
                    coding == HTTP_CODING_ZSTD ? SNUG_LIT("zstd") : SNUG_LIT("gzip"));
}

void http_reply_finish(http_req *rq)
{
    http_res *rs = &rq->res;
    if (rs->finished) return;
    if (rs->kind == HTTP_REPLY_NONE) {
        snug_err err;
        snug_fail(&err, SNUG_EINTERNAL, "internal error");
        snug_log(SNUG_ERROR, "http.reply", "problem=\"the handler did not reply\" path=%.*s",
                 SNUG_SLICE(rq->path));
        http_reply_error(rq, 500, &err);
    }
    rs->finished = true;
    if (rs->status == 0) rs->status = 200;
    if (rq->server->o.on_reply != NULL) rq->server->o.on_reply(rq, rs);
    compress_body(rq, rs);
    if (rs->media.len > 0 && find_header(rs, "Content-Type") == NULL)
        http_set_header(rs, "Content-Type", rs->media);
    http_set_header(rs, "X-Request-Id", snug_str(rq->id));
    if (rs->close || atomic_load_explicit(&rq->server->stopping, memory_order_relaxed))
        http_set_header(rs, "Connection", SNUG_LIT("close"));
}

/* ---- sending ---- */

/* Content-Length without content; never called, for nothing is read of a HEAD or a 304. */
static ssize_t no_reader(void *cls, uint64_t pos, char *buf, size_t max)
{
    (void)cls, (void)pos, (void)buf, (void)max;
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

static struct MHD_Response *persistent(snug_slice s)
{
    static char empty[1];
    void       *p = s.len == 0 ? empty : (void *)(uintptr_t)s.ptr; /* MHD only reads it */
    return MHD_create_response_from_buffer(s.len, p, MHD_RESPMEM_PERSISTENT);
}

/* The head of a stream. The library would send the last chunk of a body that HEAD does not have;
 * told to keep to the manners of HTTP/1.0 it sends no length and closes. */
static struct MHD_Response *endless_head(void)
{
    struct MHD_Response *r =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 1024, no_reader, NULL, NULL);
    if (r != NULL) (void)MHD_set_response_options(r, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
    return r;
}

static struct MHD_Response *build_body(http_res *rs)
{
    struct MHD_Response *r = NULL;
    switch (rs->kind) {
    case HTTP_REPLY_BUF:
        if (rs->buf.len == 0) return persistent(SNUG_EMPTY);
        r = MHD_create_response_from_buffer(rs->buf.len, rs->buf.ptr, MHD_RESPMEM_MUST_FREE);
        if (r != NULL) rs->buf = (snug_buf){0}; /* moved */
        return r;
    case HTTP_REPLY_STATIC: return persistent(rs->fixed);
    case HTTP_REPLY_FILE:
        if (rs->len == 0) return persistent(SNUG_EMPTY);
        r = MHD_create_response_from_fd_at_offset64(rs->len, rs->fd, rs->off);
        if (r != NULL) rs->fd = -1; /* moved */
        return r;
    case HTTP_REPLY_SIZED:
        if (rs->len == 0) return persistent(SNUG_EMPTY);
        return MHD_create_response_from_callback(rs->len, 1024, no_reader, NULL, NULL);
    case HTTP_REPLY_STREAM:
        if (rs->rq->head) {
            http_res_drop(rs); /* its pusher learns that nobody reads */
            return endless_head();
        }
        r = http_stream_response(rs->stream, rs->sized ? rs->len : MHD_SIZE_UNKNOWN);
        if (r != NULL) { /* the reference moved */
            rs->stream = NULL;
            rs->kind = HTTP_REPLY_EMPTY;
        }
        return r;
    case HTTP_REPLY_NONE:
    case HTTP_REPLY_EMPTY: break;
    }
    return persistent(SNUG_EMPTY);
}

static uint64_t body_length(const http_res *rs)
{
    if (rs->kind == HTTP_REPLY_BUF) return rs->buf.len;
    if (rs->kind == HTTP_REPLY_STATIC) return rs->fixed.len;
    return rs->kind == HTTP_REPLY_FILE ? rs->len : 0;
}

struct MHD_Response *http_reply_build(http_req *rq)
{
    http_res *rs = &rq->res;
    SNUG_ASSERT(rs->finished);
    uint64_t             length = body_length(rs);
    struct MHD_Response *r = build_body(rs);
    if (r == NULL) return NULL; /* out of memory or descriptors: the connection is cut */
    for (size_t i = 0; i < rs->header_count; i++)
        (void)MHD_add_response_header(r, rs->headers[i].name, rs->headers[i].value);
    if (!rq->head) snug_metric_add(SNUG_M_HTTP_BYTES_OUT, (int64_t)length);
    return r;
}

bool http_reply_raw(http_req *rq, snug_buf *out)
{
    http_res  *rs = &rq->res;
    snug_slice body = SNUG_EMPTY;
    if (rs->kind == HTTP_REPLY_BUF)
        body = snug_buf_slice(&rs->buf);
    else if (rs->kind == HTTP_REPLY_STATIC)
        body = rs->fixed;
    else if (rs->kind != HTTP_REPLY_EMPTY)
        return false;
    if (body.len + rs->header_bytes > HTTP_RAW_REPLY_MAX - 1024) return false;
    char date[30];
    snug_time_http(snug_now_ms(), date);
    const char *phrase = MHD_get_reason_phrase_for((unsigned)rs->status);
    snug_buf_printf(out, "HTTP/1.1 %d %s\r\nDate: %s\r\n", rs->status, phrase, date);
    for (size_t i = 0; i < rs->header_count; i++) {
        if (strcmp(rs->headers[i].name, "Connection") == 0) continue;
        snug_buf_printf(out, "%s: %s\r\n", rs->headers[i].name, rs->headers[i].value);
    }
    snug_buf_printf(out, "Connection: close\r\nContent-Length: %zu\r\n\r\n", body.len);
    if (!rq->head) snug_buf_put_slice(out, body);
    snug_metric_add(SNUG_M_HTTP_BYTES_OUT, (int64_t)body.len);
    return !out->full;
}
