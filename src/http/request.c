/* SPDX-License-Identifier: Apache-2.0 */
/* http/request.c - what a handler may ask of its request.
 *
 * For:     handlers, through http.h.
 * Threads: the one that runs the handler. Headers lie in libmicrohttpd's memory, which stays put
 *          while the connection is suspended; streamed requests get copies (http_req_own_headers).
 * Truth:   nothing here trusts the client: ids and hosts are checked before they are echoed. */
#include <stdio.h>
#include <stdlib.h>

#include "http/http_int.h"

http_verb   http_req_verb(const http_req *rq) { return rq->verb; }
bool        http_req_is_head(const http_req *rq) { return rq->head; }
snug_slice  http_req_path(const http_req *rq) { return rq->path; }
snug_slice  http_req_target(const http_req *rq) { return rq->target; }
snug_slice  http_req_body(const http_req *rq) { return snug_buf_slice(&rq->body); }
uint64_t    http_req_length(const http_req *rq) { return rq->length; }
snug_arena *http_req_arena(http_req *rq) { return rq->arena; }
const char *http_req_id(const http_req *rq) { return rq->id; }
/* Each table may have an app of its own; comparing the row's address with a dozen tables is cheaper
 * than carrying a pointer in every row. */
void *http_req_app(const http_req *rq)
{
    const http_server_opts *o = &rq->server->o;
    for (size_t t = 0; o->table_apps != NULL && rq->route != NULL && o->tables[t] != NULL; t++) {
        if (rq->route >= o->tables[t] && rq->route < o->tables[t] + o->table_sizes[t])
            return o->table_apps[t];
    }
    return o->app;
}
snug_slice        http_req_remote(const http_req *rq) { return snug_str(rq->conn->peer); }
const http_route *http_req_route(const http_req *rq) { return rq->route; }
void             *http_req_slot(const http_req *rq) { return rq->slot; }
void              http_req_set_slot(http_req *rq, void *p) { rq->slot = p; }

/* ---- parameters, headers ---- */

snug_slice http_req_param(const http_req *rq, const char *name)
{
    for (size_t i = 0; i < rq->param_count; i++) {
        if (snug_eq_str(rq->params[i].name, name)) return rq->params[i].value;
    }
    return SNUG_LIT("");
}

snug_slice http_req_param_raw(const http_req *rq, const char *name)
{
    for (size_t i = 0; i < rq->param_count; i++) {
        if (snug_eq_str(rq->params[i].name, name)) return rq->params[i].raw;
    }
    return SNUG_LIT("");
}

snug_slice http_req_header(const http_req *rq, const char *name)
{
    snug_slice key = snug_str(name);
    for (size_t i = 0; i < rq->header_count; i++) {
        if (snug_eq_nocase(rq->headers[i].name, key)) return rq->headers[i].value;
    }
    return SNUG_EMPTY;
}

void http_req_own_headers(http_req *rq)
{
    for (size_t i = 0; i < rq->header_count; i++) {
        rq->headers[i].name = snug_arena_dup(rq->arena, rq->headers[i].name);
        rq->headers[i].value = snug_arena_dup(rq->arena, rq->headers[i].value);
    }
}

/* ---- query and form ---- */

static snug_slice decode_or_keep(snug_arena *a, snug_slice s)
{
    if (snug_index(s, '%') == SIZE_MAX && snug_index(s, '+') == SIZE_MAX) return s;
    snug_slice out;
    return snug_percent_decode(a, s, true, &out) ? out : s;
}

void http_pairs_parse(http_pairs *p, snug_arena *a, snug_slice text)
{
    p->parsed = true;
    p->count = 0;
    if (text.len == 0) return;
    size_t room = 1;
    for (size_t i = 0; i < text.len && room < HTTP_QUERY_MAX; i++) room += text.ptr[i] == '&';
    p->list = snug_arena_alloc(a, room * sizeof *p->list);
    snug_slice one;
    while (p->count < room && snug_split(&text, '&', &one)) {
        if (one.len == 0) continue;
        size_t     eq = snug_index(one, '=');
        snug_slice name = eq == SIZE_MAX ? one : snug_sub(one, 0, eq);
        snug_slice value = eq == SIZE_MAX ? SNUG_LIT("") : snug_sub(one, eq + 1, one.len);
        p->list[p->count].name = decode_or_keep(a, name);
        p->list[p->count++].value = decode_or_keep(a, value);
    }
}

/* "expand[]" answers for "expand". */
static bool is_name(snug_slice key, snug_slice name)
{
    if (key.len == name.len + 2 && snug_ends_with(key, "[]")) key.len -= 2;
    return snug_eq(key, name);
}

static snug_slice find_pair(const http_pairs *p, const char *name, size_t index)
{
    snug_slice want = snug_str(name);
    for (size_t i = 0; i < p->count; i++) {
        if (is_name(p->list[i].name, want) && index-- == 0) return p->list[i].value;
    }
    return SNUG_EMPTY;
}

snug_slice http_req_query(const http_req *rq, const char *name, size_t index)
{
    if (rq->query.len == 0) return SNUG_EMPTY;
    if (!rq->query_pairs.parsed) {
        /* A cache, filled on first use: the request itself does not change. */
        http_pairs *cache = (http_pairs *)(uintptr_t)&rq->query_pairs;
        http_pairs_parse(cache, rq->arena, rq->query);
    }
    return find_pair(&rq->query_pairs, name, index);
}

bool http_req_query_bool(const http_req *rq, const char *name, bool dflt)
{
    snug_slice v = http_req_query(rq, name, 0);
    if (v.ptr == NULL) return dflt;
    if (v.len == 0) return true; /* "?blobs" alone means yes */
    static const char *const yes[] = {"true", "1", "yes", "on"};
    static const char *const no[] = {"false", "0", "no", "off"};
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        if (snug_eq_nocase(v, snug_str(yes[i]))) return true;
        if (snug_eq_nocase(v, snug_str(no[i]))) return false;
    }
    return dflt;
}

snug_slice http_req_form(http_req *rq, const char *name, size_t index)
{
    if (!rq->form_pairs.parsed) http_pairs_parse(&rq->form_pairs, rq->arena, http_req_body(rq));
    return find_pair(&rq->form_pairs, name, index);
}

/* ---- how the client sees us ---- */

bool http_host_ok(snug_slice host)
{
    if (host.len == 0 || host.len > HTTP_HOST_MAX) return false;
    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '.' || c == '-' || c == '_' || c == ':' || c == '[' || c == ']'))
            return false;
    }
    return true;
}

static bool peer_is_trusted(const http_req *rq)
{
    for (size_t i = 0; i < rq->server->proxy_count; i++) {
        if (strcmp(rq->server->proxies[i], rq->conn->peer) == 0) return true;
    }
    return false;
}

/* The first of a comma list: the proxy next to the client wrote it. */
static snug_slice first_of_list(snug_slice list)
{
    snug_slice head = SNUG_EMPTY;
    (void)snug_split(&list, ',', &head);
    return snug_trim(head);
}

snug_slice http_req_base_url(http_req *rq)
{
    if (rq->base_url.ptr != NULL) return rq->base_url;
    if (rq->server->o.public_url != NULL) {
        rq->base_url = snug_str(rq->server->o.public_url);
        return rq->base_url;
    }
    const char *scheme = "http";
    snug_slice  host = http_req_header(rq, "Host");
    if (peer_is_trusted(rq)) {
        snug_slice proto = first_of_list(http_req_header(rq, "X-Forwarded-Proto"));
        snug_slice forwarded = first_of_list(http_req_header(rq, "X-Forwarded-Host"));
        if (snug_eq_nocase(proto, SNUG_LIT("https"))) scheme = "https";
        if (http_host_ok(forwarded)) host = forwarded;
    }
    if (http_host_ok(host)) {
        rq->base_url = snug_arena_printf(rq->arena, "%s://%.*s", scheme, SNUG_SLICE(host));
    } else {
        rq->base_url = snug_str(rq->server->listen_url);
    }
    return rq->base_url;
}

/* ---- request ids ---- */

static bool id_ok(snug_slice s)
{
    if (s.len == 0 || s.len > HTTP_ID_MAX) return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] <= 0x20 || s.ptr[i] >= 0x7f) return false;
    }
    return true;
}

static char *put_hex(char *p, uint64_t v, unsigned digits)
{
    for (unsigned i = digits; i-- > 0;) *p++ = "0123456789abcdef"[v >> (4 * i) & 15];
    return p;
}

/* The client's own id exactly; else "Root=1-<time>-<unique>", followed by its trace id if sent. */
void http_make_id(http_req *rq)
{
    snug_slice own = http_req_header(rq, "x-request-id");
    if (id_ok(own)) {
        memcpy(rq->id, own.ptr, own.len);
        rq->id[own.len] = '\0';
        return;
    }
    uint64_t n = atomic_fetch_add_explicit(&rq->server->id_next, 1, memory_order_relaxed);
    char    *p = rq->id;
    memcpy(p, "Root=1-", 7);
    p = put_hex(p + 7, (uint64_t)snug_now_ms() / 1000u, 8);
    *p++ = '-';
    p = put_hex(p, rq->server->id_nonce, 12);
    p = put_hex(p, n, 12);
    snug_slice trace = http_req_header(rq, "X-Amzn-Trace-Id");
    if (id_ok(trace)) {
        *p++ = ';';
        memcpy(p, trace.ptr, trace.len);
        p += trace.len;
    }
    *p = '\0';
}
