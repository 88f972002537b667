/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz: http - what a client can put into a request line and headers: ranges, entity tags, paths
 * through the router, queries, content codings. The first byte chooses; the rest is the text. */
#include <stdlib.h>

#include "http/http_int.h"

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) abort();                                                                      \
    } while (0)

static snug_status run(http_req *rq, http_res *rs, snug_err *err)
{
    (void)rq, (void)rs, (void)err;
    return SNUG_OK;
}

static const http_route rows[] = {
    {HTTP_GET, "/", run, 0, NULL, NULL},
    {HTTP_GET, "/api/{kind:models|datasets}/{ns}/{name}", run, 0, NULL, NULL},
    {HTTP_POST, "/api/{kind:models|datasets}/{ns}/{name}/commit/{rev}", run, 0, NULL, NULL},
    {HTTP_GET, "/api/models/a/b", run, 0, NULL, NULL},
    {HTTP_GET, "/{ns}/{name}/resolve/{rev}/{path...}", run, 0, NULL, NULL},
    {HTTP_PUT, "/{rest...}", run, 0, NULL, NULL},
};

static void try_range(snug_slice text, uint64_t size)
{
    uint64_t        first = 0, last = 0;
    http_range_kind k = http_parse_range(text, size, &first, &last);
    if (k == HTTP_RANGE_ONE) CHECK(first <= last && last < size);
}

static void try_etag(snug_slice text)
{
    size_t     half = text.len / 2;
    snug_slice tag = snug_sub(text, 0, half), list = snug_sub(text, half, text.len);
    (void)http_etag_matches(list, tag);
    CHECK(!http_etag_matches(list, SNUG_EMPTY));
}

static void try_path(const http_router *r, snug_arena *a, snug_slice text)
{
    if (text.len == 0 || text.ptr[0] != '/' || !http_path_ok(text)) return;
    for (unsigned v = 0; v < HTTP_VERB_COUNT; v++) {
        http_match m;
        http_router_match(r, text, (http_verb)v, &m);
        CHECK(m.route == NULL || m.route->verb == (http_verb)v);
        CHECK(v != HTTP_PUT || m.route != NULL);
        for (size_t i = 0; i < m.param_count; i++) {
            snug_slice out;
            CHECK(
                snug_percent_decode(a, m.params[i].raw, false, &out)); /* a checked path decodes */
            CHECK(out.len == 0 || memchr(out.ptr, '\0', out.len) == NULL);
            CHECK(!snug_eq_str(out, "..") && !snug_starts_with(out, "../") &&
                  !snug_ends_with(out, "/.."));
        }
    }
}

static void try_pairs(snug_arena *a, snug_slice text)
{
    http_pairs p = {0};
    http_pairs_parse(&p, a, text);
    CHECK(p.count <= HTTP_QUERY_MAX);
    for (size_t i = 0; i < p.count; i++)
        CHECK(p.list[i].name.len + p.list[i].value.len <= text.len);
}

static void try_pattern(snug_slice text)
{
    http_seg seg;
    size_t   left = text.len + 1;
    while (http_pattern_next(&text, &seg)) {
        CHECK(text.len < left); /* always moves on */
        left = text.len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static http_router *router;
    if (router == NULL) {
        const http_route *const tables[] = {rows, NULL};
        const size_t            sizes[] = {sizeof rows / sizeof rows[0]};
        CHECK(http_router_new(tables, sizes, &router, NULL) == SNUG_OK);
    }
    if (size < 1) return 0;
    snug_slice  text = snug_slice_of(data + 1, size - 1);
    snug_arena *a = snug_arena_new();
    switch (data[0] % 6) {
    case 0:
        try_range(text, 0);
        try_range(text, 1);
        try_range(text, 1000);
        try_range(text, UINT64_MAX);
        break;
    case 1: try_etag(text); break;
    case 2: try_path(router, a, text); break;
    case 3: try_pairs(a, text); break;
    case 4:
        (void)http_pick_coding(text);
        (void)http_media_compresses(text);
        (void)http_host_ok(text);
        break;
    default: try_pattern(text); break;
    }
    snug_arena_free(a);
    return 0;
}
