/* SPDX-License-Identifier: Apache-2.0 */
/* http/head.c - from a request line and headers to a route with parameters.
 *
 * For:     conn.c, once per request, on the I/O thread.
 * Threads: reads the router; touches only its own request.
 * Truth:   what passes here has one meaning: a single length or chunks, a checked path, header
 *          names that are tokens. Two readings of one request are how requests get smuggled. */
#include <inttypes.h>
#include <stdio.h>

#include "http/http_int.h"

static const char *const verb_names[HTTP_VERB_COUNT] = {"GET", "POST", "PUT", "PATCH", "DELETE"};

/* ---- headers ---- */

typedef struct collect {
    http_req *rq;
    size_t    bytes;
    bool      too_many, malformed;
} collect;

static enum MHD_Result collect_header(void *cls, enum MHD_ValueKind kind, const char *key,
                                      size_t key_size, const char *value, size_t value_size)
{
    collect  *w = cls;
    http_req *rq = w->rq;
    (void)kind;
    w->bytes += key_size + value_size + 4;
    if (rq->header_count == HTTP_HEADERS_MAX || w->bytes > HTTP_HEADER_BYTES_MAX) {
        w->too_many = true;
        return MHD_NO;
    }
    snug_slice name = snug_slice_of(key, key_size);
    if (!http_is_token(name)) {
        w->malformed = true;
        return MHD_NO;
    }
    while (value_size > 0 && (value[value_size - 1] == ' ' || value[value_size - 1] == '\t'))
        value_size--;
    rq->headers[rq->header_count].name = name;
    rq->headers[rq->header_count++].value = snug_slice_of(value == NULL ? "" : value, value_size);
    return MHD_YES;
}

static snug_status collect_headers(http_req *rq, int *status, snug_err *err)
{
    collect w = {.rq = rq};
    (void)MHD_get_connection_values_n(rq->conn->mc, MHD_HEADER_KIND, collect_header, &w);
    if (w.too_many) {
        *status = 431;
        return snug_fail(err, SNUG_ELIMIT, "more than %d headers or %d bytes of them",
                         HTTP_HEADERS_MAX, HTTP_HEADER_BYTES_MAX);
    }
    if (w.malformed) return snug_fail(err, SNUG_EINVAL, "a header name is malformed");
    return SNUG_OK;
}

static size_t count_header(const http_req *rq, snug_slice name, snug_slice *value)
{
    size_t n = 0;
    for (size_t i = 0; i < rq->header_count; i++) {
        if (!snug_eq_nocase(rq->headers[i].name, name)) continue;
        *value = rq->headers[i].value;
        n++;
    }
    return n;
}

/* How the body is delimited. Anything that two servers could read in two ways is refused. */
static snug_status parse_framing(http_req *rq, snug_err *err)
{
    snug_slice coding = SNUG_EMPTY, length = SNUG_EMPTY;
    size_t     codings = count_header(rq, SNUG_LIT("Transfer-Encoding"), &coding);
    size_t     lengths = count_header(rq, SNUG_LIT("Content-Length"), &length);
    rq->length = 0;
    if (codings + lengths > 1)
        return snug_fail(err, SNUG_EINVAL, "the length of the body is given twice");
    if (codings == 1) {
        if (!snug_eq_nocase(coding, SNUG_LIT("chunked")))
            return snug_fail(err, SNUG_EINVAL,
                             "only the transfer coding \"chunked\" is understood");
        rq->length = UINT64_MAX;
    } else if (lengths == 1 && (!snug_parse_u64(length, &rq->length) || rq->length == UINT64_MAX)) {
        return snug_fail(err, SNUG_EINVAL, "Content-Length is no number");
    }
    return SNUG_OK;
}

/* ---- request line ---- */

static void parse_method(http_req *rq, const char *method, bool *known)
{
    *known = true;
    rq->head = strcmp(method, "HEAD") == 0;
    rq->options = strcmp(method, "OPTIONS") == 0;
    rq->verb = HTTP_GET;
    if (rq->head || rq->options) return;
    for (unsigned v = 0; v < HTTP_VERB_COUNT; v++) {
        if (strcmp(method, verb_names[v]) == 0) {
            rq->verb = (http_verb)v;
            return;
        }
    }
    *known = false;
}

/* Splits the target; the absolute form, which proxies use, loses its scheme and authority. */
static snug_status parse_target(http_req *rq, int *status, snug_err *err)
{
    snug_slice t = rq->target;
    if (t.len > HTTP_URI_MAX) {
        *status = 414;
        return snug_fail(err, SNUG_ELIMIT, "the request target is longer than %d bytes",
                         HTTP_URI_MAX);
    }
    if (snug_starts_with(t, "http://") || snug_starts_with(t, "https://")) {
        t = snug_sub(t, snug_index(t, ':') + 3, t.len);
        size_t slash = snug_index(t, '/');
        t = slash == SIZE_MAX ? SNUG_LIT("/") : snug_sub(t, slash, t.len);
    }
    if (rq->options && snug_eq_str(t, "*")) t = SNUG_LIT("/*");
    size_t hash = snug_index(t, '#');
    if (hash != SIZE_MAX) t.len = hash;
    size_t mark = snug_index(t, '?');
    rq->target = t;
    rq->path = mark == SIZE_MAX ? t : snug_sub(t, 0, mark);
    rq->query = mark == SIZE_MAX ? SNUG_EMPTY : snug_sub(t, mark + 1, t.len);
    if (rq->path.len == 0 || rq->path.ptr[0] != '/' || !http_path_ok(rq->path))
        return snug_fail(err, SNUG_EINVAL, "the path of the request is malformed");
    for (size_t i = 0; i < rq->query.len; i++) {
        if ((unsigned char)rq->query.ptr[i] <= 0x20 || rq->query.ptr[i] == 0x7f)
            return snug_fail(err, SNUG_EINVAL, "the query of the request is malformed");
    }
    return SNUG_OK;
}

snug_status http_head_parse(http_req *rq, const char *method, const char *version, int *status,
                            snug_err *err)
{
    snug_status st = SNUG_OK;
    bool        known;
    *status = 400;
    rq->res.close = true; /* until the framing is known to be sound */
    parse_method(rq, method, &known);
    st = collect_headers(rq, status, err);
    http_make_id(rq);
    SNUG_TRY(st);
    SNUG_TRY(parse_framing(rq, err));
    rq->http_1_0 = strcmp(version, "HTTP/1.0") == 0;
    if (!rq->http_1_0 && http_req_header(rq, "Host").ptr == NULL)
        SNUG_FAIL(err, SNUG_EINVAL, "the Host header is missing");
    rq->expects_continue = snug_eq_nocase(http_req_header(rq, "Expect"), SNUG_LIT("100-continue"));
    rq->res.close = false;
    SNUG_TRY(parse_target(rq, status, err));
    if (!known) { /* 501 is for words that are none; these are, and nothing here takes them */
        bool is_word = strcmp(method, "TRACE") == 0 || strcmp(method, "CONNECT") == 0;
        *status = is_word ? 405 : 501;
        SNUG_FAIL(err, SNUG_EUNSUPPORTED, "the method is not %s here",
                  is_word ? "served" : "known");
    }
done:
    return st;
}

/* ---- route ---- */

/* "GET, HEAD, OPTIONS, POST" for a set of verbs. */
static void put_allow(http_req *rq, unsigned verbs)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(128);
    for (unsigned v = 0; v < HTTP_VERB_COUNT; v++) {
        if ((verbs & 1u << v) == 0) continue;
        snug_buf_printf(&b, "%s, ", verb_names[v]);
        if (v == HTTP_GET) snug_buf_puts(&b, "HEAD, ");
    }
    snug_buf_puts(&b, "OPTIONS");
    http_set_header(&rq->res, "Allow", snug_buf_slice(&b));
    if (rq->options) http_set_header(&rq->res, "Access-Control-Allow-Methods", snug_buf_slice(&b));
}

/* A preflight: what may be sent here. Who may is the business of on_reply. */
static void answer_options(http_req *rq, unsigned verbs)
{
    put_allow(rq, verbs);
    snug_slice asked = http_req_header(rq, "Access-Control-Request-Headers");
    bool       sound = asked.len > 0 && asked.len <= 1024;
    snug_slice rest = asked, one;
    while (sound && snug_split(&rest, ',', &one)) sound = http_is_token(snug_trim(one));
    if (sound) http_set_header(&rq->res, "Access-Control-Allow-Headers", asked);
    http_set_header(&rq->res, "Access-Control-Max-Age", SNUG_LIT("86400"));
    http_reply_empty(&rq->res, 204);
}

static snug_status decode_params(http_req *rq, const http_match *m, snug_err *err)
{
    for (size_t i = 0; i < m->param_count; i++) {
        rq->params[i].name = m->params[i].name;
        rq->params[i].raw = rq->params[i].value = m->params[i].raw;
        if (snug_index(m->params[i].raw, '%') == SIZE_MAX) continue;
        if (!snug_percent_decode(rq->arena, m->params[i].raw, false, &rq->params[i].value))
            return snug_fail(err, SNUG_EINVAL, "the path of the request is malformed");
    }
    rq->param_count = m->param_count;
    return SNUG_OK;
}

static uint64_t body_limit(const http_req *rq)
{
    const http_doc *doc = rq->route->doc;
    uint64_t        max = doc != NULL && doc->body_max != 0 ? doc->body_max : HTTP_BODY_DEFAULT;
    if ((rq->route->flags & ROUTE_STREAM_BODY) == 0 && max > rq->server->o.memory_body_max)
        max = rq->server->o.memory_body_max;
    return max;
}

snug_status http_head_route(http_req *rq, int *status, snug_err *err)
{
    http_match m;
    *status = 404;
    http_router_match(rq->server->router, rq->path, rq->verb, &m);
    if (rq->options && (m.verbs != 0 || snug_eq_str(rq->path, "/*"))) {
        answer_options(rq, m.verbs != 0 ? m.verbs : (1u << HTTP_VERB_COUNT) - 1);
        return SNUG_OK;
    }
    if (m.route == NULL && m.verbs == 0)
        return snug_fail(err, SNUG_ENOTFOUND, "there is nothing at this address");
    if (m.route == NULL) {
        *status = 405;
        put_allow(rq, m.verbs);
        return snug_fail(err, SNUG_EINVAL, "this address does not take that method");
    }
    *status = 400;
    snug_status st = decode_params(rq, &m, err);
    if (st != SNUG_OK) return st;
    rq->route = m.route;
    rq->body_max = body_limit(rq);
    if (rq->length == UINT64_MAX || rq->length <= rq->body_max) return SNUG_OK;
    *status = 413;
    return snug_fail(err, SNUG_ELIMIT,
                     "the request body is larger than the limit of %" PRIu64 " bytes",
                     rq->body_max);
}
