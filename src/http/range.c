/* SPDX-License-Identifier: Apache-2.0 */
/* http/range.c - byte ranges, entity tags and the whole-file answer built on them (RFC 9110).
 *
 *   asked                                answered
 *   If-None-Match holds the tag          304
 *   no Range, another unit, several,
 *   malformed, If-Range of another tag   200, everything
 *   bytes=first-[last], bytes=-suffix    206, Content-Range: bytes a-b/size
 *   beginning at or past the end         416, Content-Range: bytes * /size
 *   any Range of an empty file           200, Content-Range: bytes * /0
 *
 * The last row is what both stock download clients accept: one reads the size from Content-Range,
 * the other takes any 200. */
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http/http_int.h"

/* A run of digits; a value too large for 64 bits saturates. False when there is none. */
static bool parse_position(snug_slice s, uint64_t *out)
{
    uint64_t v = 0;
    if (s.len == 0) return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9') return false;
        if (__builtin_mul_overflow(v, 10u, &v) ||
            __builtin_add_overflow(v, (uint64_t)(s.ptr[i] - '0'), &v))
            v = UINT64_MAX;
    }
    *out = v;
    return true;
}

http_range_kind http_parse_range(snug_slice header, uint64_t size, uint64_t *first, uint64_t *last)
{
    snug_slice s = snug_trim(header);
    size_t     eq = snug_index(s, '=');
    if (eq == SIZE_MAX || !snug_eq_nocase(snug_trim(snug_sub(s, 0, eq)), SNUG_LIT("bytes")))
        return HTTP_RANGE_NONE;
    s = snug_trim(snug_sub(s, eq + 1, s.len));
    size_t dash = snug_index(s, '-');
    if (dash == SIZE_MAX || snug_index(s, ',') != SIZE_MAX) return HTTP_RANGE_NONE;
    snug_slice a = snug_trim(snug_sub(s, 0, dash)), b = snug_trim(snug_sub(s, dash + 1, s.len));
    uint64_t   from, to = UINT64_MAX;
    if (a.len == 0) {
        if (!parse_position(b, &to)) return HTTP_RANGE_NONE;
        if (to == 0 || size == 0) return HTTP_RANGE_BAD;
        *first = to >= size ? 0 : size - to;
        *last = size - 1;
        return HTTP_RANGE_ONE;
    }
    if (!parse_position(a, &from) || (b.len > 0 && !parse_position(b, &to)) || to < from)
        return HTTP_RANGE_NONE;
    if (from >= size) return HTTP_RANGE_BAD;
    *first = from;
    *last = to >= size ? size - 1 : to;
    return HTTP_RANGE_ONE;
}

static snug_slice without_weak(snug_slice tag)
{
    return snug_starts_with(tag, "W/") ? snug_sub(tag, 2, tag.len) : tag;
}

/* Takes one tag off the list: quoted (a comma inside belongs to it) or, from sloppy clients, bare.
 */
static snug_slice next_tag(snug_slice *list)
{
    size_t i = 0;
    while (i < list->len && (list->ptr[i] == ' ' || list->ptr[i] == '\t' || list->ptr[i] == ','))
        i++;
    size_t start = i;
    if (list->len - i >= 2 && list->ptr[i] == 'W' && list->ptr[i + 1] == '/') i += 2;
    if (i < list->len && list->ptr[i] == '"') {
        size_t end = snug_index(snug_sub(*list, i + 1, list->len), '"');
        i = end == SIZE_MAX ? list->len : i + end + 2;
    } else {
        while (i < list->len && list->ptr[i] != ',') i++;
    }
    snug_slice tag = snug_trim(snug_sub(*list, start, i - start));
    *list = snug_sub(*list, i, list->len);
    return tag;
}

bool http_etag_matches(snug_slice if_none_match, snug_slice etag)
{
    if (etag.len == 0) return false;
    snug_slice want = without_weak(etag);
    snug_slice bare = want.len >= 2 ? snug_sub(want, 1, want.len - 2) : want;
    while (if_none_match.len > 0) {
        snug_slice tag = next_tag(&if_none_match);
        if (tag.len == 0) continue;
        if (snug_eq_str(tag, "*")) return true;
        tag = without_weak(tag);
        if (snug_eq(tag, want) || (tag.len > 0 && tag.ptr[0] != '"' && snug_eq(tag, bare)))
            return true;
    }
    return false;
}

/* If-Range compares strongly; a date never matches, since we date nothing. */
static bool range_applies(const http_req *rq, snug_slice etag)
{
    snug_slice cond = snug_trim(http_req_header(rq, "If-Range"));
    if (cond.ptr == NULL) return true;
    return etag.len > 0 && !snug_starts_with(etag, "W/") && snug_eq(cond, etag);
}

typedef struct content {
    int          fd;
    snug_buf    *bytes;
    snug_slice   media;
    uint64_t     size;
    size_t       ring;   /* 0: fd or bytes; else the content is made while it is sent: */
    http_stream *stream; /* ... into this, made when the client wants bytes */
    uint64_t     first, len;
} content;

static void content_drop(content *c)
{
    if (c->fd >= 0) (void)close(c->fd);
    if (c->bytes != NULL) snug_buf_deinit(c->bytes);
}

static void reply_part(http_req *rq, http_res *rs, content *c, uint64_t off, uint64_t len)
{
    if (rq->head || (c->ring > 0 && len == 0)) {
        content_drop(c);
        http_res_drop(rs);
        rs->kind = HTTP_REPLY_SIZED;
        rs->len = len;
    } else if (c->ring > 0) {
        c->stream = http_stream_new(c->ring);
        c->first = off;
        c->len = len;
        http_reply_stream(rs, c->media, c->stream);
        rs->sized = true;
        rs->len = len;
    } else if (c->fd >= 0) {
        http_reply_file(rs, c->fd, off, len);
    } else {
        http_res_drop(rs);
        rs->kind = HTTP_REPLY_BUF;
        rs->buf = *c->bytes;
        *c->bytes = snug_buf_init(c->bytes->max);
        if (off > 0 && len > 0) memmove(rs->buf.ptr, rs->buf.ptr + off, len);
        rs->buf.len = len;
    }
    rs->media = c->media.len > 0 ? c->media : SNUG_LIT("application/octet-stream");
}

static void reply_not_modified(http_res *rs, content *c)
{
    content_drop(c);
    http_res_drop(rs);
    rs->status = 304;
    rs->kind = HTTP_REPLY_SIZED;
    rs->len = c->size;
}

static void reply_bad_range(http_req *rq, http_res *rs, content *c)
{
    snug_err err;
    content_drop(c);
    snug_fail(&err, SNUG_ERANGE, "the range begins past the end of %" PRIu64 " bytes", c->size);
    http_reply_error(rq, 416, &err);
    http_set_headerf(rs, "Content-Range", "bytes */%" PRIu64, c->size);
}

/* Pages, styles and scripts made by us may be compressed; their tag then turns weak. What a user
 * uploaded is never of these types, so downloads keep their bytes and their strong tags. */
static bool page_may_compress(const http_req *rq, const content *c)
{
    if (c->bytes == NULL || http_req_header(rq, "Range").ptr != NULL ||
        c->size <= HTTP_COMPRESS_MIN)
        return false;
    return snug_starts_with(c->media, "text/html") || snug_starts_with(c->media, "text/css") ||
           snug_starts_with(c->media, "text/javascript");
}

/* Conditions, ranges, and the rest of an answer about content of a known size. */
static void reply_content(http_req *rq, http_res *rs, snug_slice etag, content *c)
{
    bool page = page_may_compress(rq, c);
    if (etag.len > 0) {
        if (page && !snug_starts_with(etag, "W/")) {
            http_set_headerf(rs, "ETag", "W/%.*s", SNUG_SLICE(etag));
        } else {
            http_set_header(rs, "ETag", etag);
        }
    }
    http_set_header(rs, "Accept-Ranges", SNUG_LIT("bytes"));
    if (page) http_set_header(rs, "Vary", SNUG_LIT("Accept-Encoding"));
    snug_slice inm = http_req_header(rq, "If-None-Match");
    if (inm.ptr != NULL && http_etag_matches(inm, etag)) {
        reply_not_modified(rs, c);
        return;
    }
    snug_slice range = http_req_header(rq, "Range");
    uint64_t   first = 0, last = 0;
    if (range.ptr != NULL && range_applies(rq, etag)) {
        if (c->size == 0) {
            http_set_header(rs, "Content-Range", SNUG_LIT("bytes */0"));
        } else {
            http_range_kind kind = http_parse_range(range, c->size, &first, &last);
            if (kind == HTTP_RANGE_BAD) {
                reply_bad_range(rq, rs, c);
                return;
            }
            if (kind == HTTP_RANGE_ONE) {
                reply_part(rq, rs, c, first, last - first + 1);
                rs->status = 206;
                http_set_headerf(rs, "Content-Range", "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64,
                                 first, last, c->size);
                return;
            }
        }
    }
    if (page) {
        http_reply_bytes(rs, c->media, c->bytes);
        rs->may_compress = true;
        return;
    }
    reply_part(rq, rs, c, 0, c->size);
}

void http_reply_content(http_req *rq, http_res *rs, snug_slice media, snug_slice etag, int fd_owned,
                        snug_buf *bytes_taken, uint64_t size)
{
    content     c = {.fd = fd_owned,
                     .bytes = fd_owned >= 0 ? NULL : bytes_taken,
                     .media = snug_arena_dup(rq->arena, media),
                     .size = size};
    struct stat sb;
    bool        sound = fd_owned >= 0
                            ? fstat(fd_owned, &sb) == 0 && sb.st_size >= 0 && (uint64_t)sb.st_size >= size
                            : bytes_taken != NULL && bytes_taken->len == size;
    if (!sound) { /* a short file would leave the connection waiting for bytes that never come */
        snug_err err;
        content_drop(&c);
        snug_fail(&err, SNUG_EINTERNAL, "internal error");
        snug_log(SNUG_ERROR, "http.content", "size=%" PRIu64 " problem=\"content is shorter\"",
                 size);
        http_reply_error(rq, 500, &err);
        return;
    }
    reply_content(rq, rs, etag, &c);
}

http_stream *http_reply_content_stream(http_req *rq, http_res *rs, snug_slice media,
                                       snug_slice etag, uint64_t size, size_t ring_bytes,
                                       uint64_t *first, uint64_t *len)
{
    content c = {
        .fd = -1, .media = snug_arena_dup(rq->arena, media), .size = size, .ring = ring_bytes};
    SNUG_ASSERT(ring_bytes > 0);
    reply_content(rq, rs, etag, &c);
    *first = c.first;
    *len = c.len;
    return c.stream;
}
