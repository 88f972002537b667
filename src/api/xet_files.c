/* SPDX-License-Identifier: Apache-2.0 */
/* api/xet_files.c - reconstructions: which stored bytes make up a file, and those bytes.
 *
 *     GET  <casUrl>/v2/reconstructions/<file>      Range: bytes=a-b   terms, and where to fetch
 *     GET  <casUrl>/v1/reconstructions/<file>      the same in the older shape
 *     GET  <casUrl>/bytes/<xorb>?from&to&expires&sig                  part of a xorb, no
 * credentials
 *
 * Every fetch entry has one range and an address of its own, which is what all clients understand;
 * several ranges in one request are served all the same.
 *
 * For:     routes.c.
 * Truth:   an address opens the bytes [from, to) of one xorb, which the ticket's holder could read
 *          as part of a file, until it expires. Asking again gives the same parts. */
#include "api/api_int.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

enum { BATCH_MAX = 256, PARTS_MAX = 64, PART_PIECE = 64 << 10, RING = 512 << 10 };

/* ---- signed addresses ---- */

static snug_slice address_text(snug_arena *a, const char *hash, uint64_t from, uint64_t to)
{
    return snug_arena_printf(a, "xet-bytes %s %" PRIu64 " %" PRIu64, hash, from, to);
}

typedef struct planner {
    http_req     *rq;
    hub          *h;
    snug_arena   *a;
    snug_slice    base; /* ".../bytes/" */
    int64_t       expires_ms;
    snug_json_out o;
} planner;

static snug_status planner_init(planner *p, http_req *rq, snug_buf *b)
{
    const api_app *app = http_req_app(rq);
    *p = (planner){.rq = rq, .h = app->hub, .a = http_req_arena(rq)};
    p->base = snug_arena_printf(p->a, "%.*s/api/xet/%.*s/bytes/", SNUG_SLICE(http_req_base_url(rq)),
                                SNUG_SLICE(http_req_param_raw(rq, "realm")));
    p->expires_ms = snug_now_ms() + (int64_t)app->xet_link_s * 1000;
    p->o = snug_json_out_init(b);
    return SNUG_OK;
}

static snug_status put_url(planner *p, const xet_span *s, snug_err *err)
{
    char hash[65], sig[65];
    xet_hash_text(&s->xorb, hash);
    snug_status st =
        hub_sign(p->h, address_text(p->a, hash, s->from, s->to), p->expires_ms, sig, err);
    if (st != SNUG_OK) return st;
    snug_jo_key(&p->o, "url");
    snug_jo_strf(&p->o, "%.*s%s?from=%" PRIu64 "&to=%" PRIu64 "&expires=%" PRId64 "&sig=%s",
                 SNUG_SLICE(p->base), hash, s->from, s->to, p->expires_ms, sig);
    return SNUG_OK;
}

/* ---- shapes ---- */

static void put_range(planner *p, const char *key, uint64_t start, uint64_t end)
{
    snug_jo_key(&p->o, key);
    snug_jo_begin_object(&p->o);
    snug_jo_ku64(&p->o, "start", start);
    snug_jo_ku64(&p->o, "end", end);
    snug_jo_end_object(&p->o);
}

static void put_terms(planner *p, const xet_plan *plan)
{
    snug_jo_begin_array(&p->o);
    for (size_t i = 0; i < plan->term_count; i++) {
        char hash[65];
        xet_hash_text(&plan->terms[i].xorb, hash);
        snug_jo_begin_object(&p->o);
        snug_jo_kcstr(&p->o, "hash", hash);
        snug_jo_ku64(&p->o, "unpacked_length", plan->terms[i].raw_size);
        put_range(p, "range", plan->terms[i].start, plan->terms[i].end);
        snug_jo_end_object(&p->o);
    }
    snug_jo_end_array(&p->o);
}

/* The ends of byte ranges are inclusive, those of chunk ranges are not. */
static snug_status put_span(planner *p, const xet_span *s, unsigned version, snug_err *err)
{
    snug_jo_begin_object(&p->o);
    snug_status st = put_url(p, s, err);
    if (version == 1) {
        put_range(p, "range", s->start, s->end);
        put_range(p, "url_range", s->from, s->to - 1);
    } else {
        snug_jo_key(&p->o, "ranges");
        snug_jo_begin_array(&p->o);
        snug_jo_begin_object(&p->o);
        put_range(p, "chunks", s->start, s->end);
        put_range(p, "bytes", s->from, s->to - 1);
        snug_jo_end_object(&p->o);
        snug_jo_end_array(&p->o);
    }
    snug_jo_end_object(&p->o);
    return st;
}

/* Spans come sorted by xorb: one member each. */
static snug_status put_spans(planner *p, const xet_span *s, size_t n, unsigned version,
                             snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_jo_key(&p->o, version == 1 ? "fetch_info" : "xorbs");
    snug_jo_begin_object(&p->o);
    for (size_t i = 0; i < n && st == SNUG_OK;) {
        char     hash[65];
        xet_hash xorb = s[i].xorb;
        xet_hash_text(&xorb, hash);
        snug_jo_key(&p->o, hash);
        snug_jo_begin_array(&p->o);
        for (; i < n && st == SNUG_OK && xet_hash_eq(&s[i].xorb, &xorb); i++)
            st = put_span(p, &s[i], version, err);
        snug_jo_end_array(&p->o);
    }
    snug_jo_end_object(&p->o);
    return st;
}

/* "bytes=a-b" or "bytes=a-"; the file's size is not known here. */
static snug_status read_range(http_req *rq, uint64_t *first, uint64_t *last, snug_err *err)
{
    snug_slice text = http_req_header(rq, "Range"), from;
    *first = 0;
    *last = UINT64_MAX - 1;
    if (text.ptr == NULL) return SNUG_OK;
    text = snug_trim(text);
    snug_slice rest = snug_starts_with(text, "bytes=") ? snug_sub(text, 6, text.len) : SNUG_EMPTY;
    bool       ok = rest.len > 0 && snug_split(&rest, '-', &from) && rest.ptr != NULL &&
              snug_parse_u64(snug_trim(from), first);
    rest = snug_trim(rest);
    if (ok && rest.len > 0) ok = snug_parse_u64(rest, last) && *last >= *first;
    if (ok && *last == UINT64_MAX) *last = UINT64_MAX - 1;
    if (!ok) return snug_fail(err, SNUG_EINVAL, "the range must look like bytes=0-99");
    return SNUG_OK;
}

static snug_status reconstruct(http_req *rq, http_res *rs, unsigned version, snug_err *err)
{
    snug_status st = SNUG_OK;
    hub_ticket  t;
    xet_hash    file;
    xet_plan    plan;
    uint64_t    first, last, size;
    snug_buf    b = snug_buf_init(API_JSON_MAX);
    planner     p;

    SNUG_TRY(api_xet_begin(rq, HUB_ROLE_READ, &t, &file, err));
    SNUG_TRY(planner_init(&p, rq, &b));
    SNUG_TRY(read_range(rq, &first, &last, err));
    SNUG_TRY(hub_plan_file(p.h, &t, &file, first, last, p.a, &plan, &size, err));
    snug_jo_begin_object(&p.o);
    snug_jo_ku64(&p.o, "offset_into_first_range", plan.skip);
    snug_jo_key(&p.o, "terms");
    put_terms(&p, &plan);
    SNUG_TRY(put_spans(&p, plan.spans, plan.span_count, version, err));
    snug_jo_end_object(&p.o);
    SNUG_TRY(snug_buf_check(&b, "the reconstruction", err));
    http_set_header(rs, "Cache-Control", SNUG_LIT("no-store"));
    http_reply_json(rs, &b);
    hub_count_object(p.h, t.repo_row, http_req_remote(rq), snug_now_ms());
done:
    snug_buf_deinit(&b);
    return st;
}

snug_status api_reconstruct_v1(http_req *rq, http_res *rs, snug_err *err)
{
    return reconstruct(rq, rs, 1, err);
}

snug_status api_reconstruct_v2(http_req *rq, http_res *rs, snug_err *err)
{
    return reconstruct(rq, rs, 2, err);
}

/* ---- several files at once ---- */

static snug_status list_files(http_req *rq, snug_slice *out, size_t *n, snug_err *err)
{
    snug_json      doc;
    snug_json_opts opts = {.flags = SNUG_JSON_BORROW, .depth_max = 8};
    *n = 0;
    for (snug_slice id; *n < BATCH_MAX && (id = http_req_query(rq, "file_id", *n)).ptr != NULL;)
        out[(*n)++] = id;
    if (http_req_verb(rq) != HTTP_POST) return SNUG_OK;
    snug_status st = snug_json_parse(http_req_arena(rq), http_req_body(rq), &opts, &doc, err);
    if (st != SNUG_OK) return st;
    for (snug_json_iter it = snug_json_iter_of(doc); snug_json_next(&it);) {
        if (*n == BATCH_MAX)
            return snug_fail(err, SNUG_EINVAL, "at most %d files at once", (int)BATCH_MAX);
        out[(*n)++] = snug_json_str_or(it.value, "hash", SNUG_EMPTY);
    }
    return SNUG_OK;
}

static int span_order(const void *pa, const void *pb)
{
    const xet_span *a = pa, *b = pb;
    int             c = xet_hash_cmp(&a->xorb, &b->xorb);
    if (c != 0) return c;
    if (a->start != b->start) return a->start < b->start ? -1 : 1;
    return a->end > b->end ? -1 : a->end < b->end; /* the longer one first */
}

/* Of spans that begin at the same chunk the longest serves all. */
static size_t join_spans(xet_span *s, size_t n)
{
    size_t kept = 0;
    if (n > 0) qsort(s, n, sizeof *s, span_order);
    for (size_t i = 0; i < n; i++) {
        if (kept > 0 && xet_hash_eq(&s[kept - 1].xorb, &s[i].xorb) &&
            s[kept - 1].start == s[i].start)
            continue;
        s[kept++] = s[i];
    }
    return kept;
}

snug_status api_reconstruct_many(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status st = SNUG_OK;
    hub_ticket  t;
    snug_slice  names[BATCH_MAX];
    size_t      n, spans = 0;
    xet_span   *all = NULL;
    snug_buf    b = snug_buf_init(API_JSON_MAX);
    planner     p;

    SNUG_TRY(api_xet_begin(rq, HUB_ROLE_READ, &t, NULL, err));
    SNUG_TRY(planner_init(&p, rq, &b));
    SNUG_TRY(list_files(rq, names, &n, err));
    snug_jo_begin_object(&p.o);
    snug_jo_key(&p.o, "files");
    snug_jo_begin_object(&p.o);
    for (size_t i = 0; i < n; i++) {
        xet_hash file;
        xet_plan plan;
        uint64_t size;
        char     text[65];
        if (!xet_hash_parse(names[i], &file))
            SNUG_FAIL(err, SNUG_EINVAL, "a hash has 64 hexadecimal digits");
        SNUG_TRY(hub_plan_file(p.h, &t, &file, 0, UINT64_MAX - 1, p.a, &plan, &size, err));
        xet_hash_text(&file, text);
        snug_jo_key(&p.o, text);
        put_terms(&p, &plan);
        all = snug_realloc(all, (spans + plan.span_count + 1) * sizeof *all);
        for (size_t k = 0; k < plan.span_count; k++) all[spans++] = plan.spans[k];
        SNUG_TRY(snug_buf_check(&b, "the reconstruction", err));
    }
    snug_jo_end_object(&p.o);
    SNUG_TRY(put_spans(&p, all, join_spans(all, spans), 1, err));
    snug_jo_end_object(&p.o);
    SNUG_TRY(snug_buf_check(&b, "the reconstruction", err));
    http_reply_json(rs, &b);
done:
    free(all);
    snug_buf_deinit(&b);
    return st;
}

/* ---- the bytes ---- */

typedef struct part {
    uint64_t first, last;
} part;

/* Several ranges, each of which the address must open: never sorted, never joined. */
static snug_status read_parts(snug_slice text, uint64_t from, uint64_t to, part *out, size_t *n,
                              snug_err *err)
{
    snug_slice rest = snug_sub(snug_trim(text), 6, text.len), one;
    *n = 0;
    if (!snug_starts_with(snug_trim(text), "bytes="))
        return snug_fail(err, SNUG_EINVAL, "the range must look like bytes=0-99");
    while (snug_split(&rest, ',', &one)) {
        snug_slice end = snug_trim(one), start;
        part       p = {0, to - 1};
        bool       ok = *n < PARTS_MAX && snug_split(&end, '-', &start) && end.ptr != NULL &&
                  snug_parse_u64(start, &p.first);
        if (ok && end.len > 0) ok = snug_parse_u64(end, &p.last);
        if (!ok || p.last < p.first)
            return snug_fail(err, SNUG_EINVAL, "the range must look like bytes=0-99");
        if (p.first < from || p.last >= to)
            return snug_fail(err, SNUG_EFORBIDDEN, "this address does not open that range");
        out[(*n)++] = p;
    }
    return SNUG_OK;
}

typedef struct parts_job {
    http_stream *stream;
    int          fd;
    part         parts[PARTS_MAX];
    size_t       count;
    uint64_t     total;
    char         boundary[33];
} parts_job;

static snug_status push_part(parts_job *j, const part *p, snug_err *err)
{
    snug_status st = SNUG_OK;
    char       *piece = snug_alloc(PART_PIECE);
    SNUG_AUTO(snug_buf) head = snug_buf_init(1024);
    snug_buf_printf(
        &head,
        "--%s\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes %" PRIu64
        "-%" PRIu64 "/%" PRIu64 "\r\n\r\n",
        j->boundary, p->first, p->last, j->total);
    SNUG_TRY(http_stream_push(j->stream, snug_buf_slice(&head), err));
    for (uint64_t at = p->first; at <= p->last;) {
        size_t n = p->last - at + 1 < PART_PIECE ? (size_t)(p->last - at + 1) : PART_PIECE;
        SNUG_TRY(snug_pread_all(j->fd, piece, n, at, err));
        SNUG_TRY(http_stream_push(j->stream, snug_slice_of(piece, n), err));
        at += n;
    }
    SNUG_TRY(http_stream_push(j->stream, SNUG_LIT("\r\n"), err));
done:
    free(piece);
    return st;
}

static void push_parts(void *arg)
{
    parts_job  *j = arg;
    snug_status st = SNUG_OK;
    snug_err    err;
    char        end[40];
    for (size_t i = 0; i < j->count && st == SNUG_OK; i++) st = push_part(j, &j->parts[i], &err);
    int n = snprintf(end, sizeof end, "--%s--\r\n", j->boundary);
    if (st == SNUG_OK) st = http_stream_push(j->stream, snug_slice_of(end, (size_t)n), &err);
    http_stream_close(j->stream, st == SNUG_OK);
    http_stream_unref(j->stream);
    (void)close(j->fd);
    free(j);
}

static snug_status reply_parts(http_req *rq, http_res *rs, const part *parts, size_t n,
                               int fd_owned, uint64_t total, snug_err *err)
{
    parts_job    *j = snug_zalloc(sizeof *j);
    unsigned char random[16];
    snug_random(random, sizeof random);
    snug_hex(random, sizeof random, j->boundary);
    memcpy(j->parts, parts, n * sizeof *parts);
    j->count = n;
    j->total = total;
    j->fd = fd_owned;
    j->stream = http_stream_new(RING);
    http_set_status(rs, 206);
    http_reply_stream(
        rs, snug_arena_printf(http_req_arena(rq), "multipart/byteranges; boundary=%s", j->boundary),
        j->stream);
    if (api_jobs_start(((api_app *)http_req_app(rq))->jobs, push_parts, j)) return SNUG_OK;
    http_stream_close(j->stream, false);
    http_stream_unref(j->stream);
    (void)close(fd_owned);
    free(j);
    return snug_fail(err, SNUG_EBUSY, "too many downloads at once; try again");
}

static bool query_u64(http_req *rq, const char *name, uint64_t *out)
{
    snug_slice text = http_req_query(rq, name, 0);
    return text.len > 0 && snug_parse_u64(text, out);
}

snug_status api_xorb_bytes(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status st = SNUG_OK;
    hub        *h = ((api_app *)http_req_app(rq))->hub;
    xet_hash    name;
    uint64_t    from = 0, to = 0, expires = 0, total;
    part        parts[PARTS_MAX];
    size_t      n = 1;
    int         fd = -1;
    char        hash[65];

    bool ok = xet_hash_parse(http_req_param(rq, "hash"), &name) && query_u64(rq, "from", &from) &&
              query_u64(rq, "to", &to) && query_u64(rq, "expires", &expires) &&
              expires <= INT64_MAX && from < to;
    if (ok) xet_hash_text(&name, hash);
    if (!ok || !hub_sign_ok(h, address_text(http_req_arena(rq), hash, from, to), (int64_t)expires,
                            http_req_query(rq, "sig", 0)))
        SNUG_FAIL(err, SNUG_EFORBIDDEN,
                  "This address is not valid or has expired; ask for the reconstruction again");
    snug_slice range = http_req_header(rq, "Range");
    parts[0] = (part){from, to - 1};
    if (range.ptr != NULL) SNUG_TRY(read_parts(range, from, to, parts, &n, err));
    SNUG_TRY(hub_xorb_open_fd(h, &name, &fd, &total, err));
    http_set_header(rs, "Accept-Ranges", SNUG_LIT("bytes"));
    http_set_header(rs, "Cache-Control", SNUG_LIT("private, max-age=3600"));
    if (n > 1) {
        st = reply_parts(rq, rs, parts, n, fd, total, err);
        goto done;
    }
    if (range.ptr != NULL) {
        http_set_status(rs, 206);
        http_set_headerf(rs, "Content-Range", "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64,
                         parts[0].first, parts[0].last, total);
    }
    http_reply_file(rs, fd, parts[0].first, parts[0].last - parts[0].first + 1);
done:
    return st;
}
