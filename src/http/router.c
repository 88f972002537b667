/* SPDX-License-Identifier: Apache-2.0 */
/* http/router.c - route tables compiled into a trie of path segments.
 *
 * For:     conn.c, once per request; openapi.c walks patterns with http_pattern_next.
 * Threads: built once, then read by all without a lock.
 * Truth:   a node's depth is the index of its segment, so a match looks at each node at most once,
 *          however many patterns overlap.
 *
 * Matching is on raw segments: "a%2Fb" is one segment, and only what a parameter caught is decoded
 * afterwards. Among patterns that fit, the first difference decides: literal, one-of, any, rest.
 * A pattern that fits but lacks the verb does not hide a less specific one that has it. */
#include "http/http_int.h"

#include <stdlib.h>

typedef struct route_row {
    const http_route *route;
    size_t            name_count;
    snug_slice        names[HTTP_PARAMS_MAX];
} route_row;

typedef struct node {
    struct node *next;               /* among the literals or the one-ofs of the parent */
    snug_slice   text;               /* literal text, or "a|b|c" */
    struct node *literals, *one_ofs; /* lists, in table order */
    struct node *any, *rest;
    route_row   *rows[HTTP_VERB_COUNT];
} node;

struct http_router {
    snug_arena *arena;
    node        root;
};

/* ---- patterns ---- */

static bool name_ok(snug_slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_'))
            return false;
    }
    return s.len > 0;
}

static http_seg parse_segment(snug_slice s)
{
    http_seg seg = {.kind = HTTP_SEG_LITERAL, .text = s};
    if (s.len == 0 || s.ptr[0] != '{') {
        if (snug_index(s, '{') != SIZE_MAX || snug_index(s, '}') != SIZE_MAX)
            seg.kind = HTTP_SEG_BAD;
        return seg;
    }
    seg.kind = HTTP_SEG_BAD;
    if (s.ptr[s.len - 1] != '}') return seg;
    snug_slice inner = snug_sub(s, 1, s.len - 2);
    size_t     colon = snug_index(inner, ':');
    if (colon != SIZE_MAX) {
        seg.name = snug_sub(inner, 0, colon);
        seg.choices = snug_sub(inner, colon + 1, inner.len);
        if (name_ok(seg.name) && seg.choices.len > 0) seg.kind = HTTP_SEG_ONE_OF;
        return seg;
    }
    bool rest = snug_ends_with(inner, "...");
    seg.name = rest ? snug_sub(inner, 0, inner.len - 3) : inner;
    if (name_ok(seg.name)) seg.kind = rest ? HTTP_SEG_REST : HTTP_SEG_ANY;
    return seg;
}

bool http_pattern_next(snug_slice *rest, http_seg *out)
{
    snug_slice head;
    if (rest->ptr != NULL && rest->len > 0 && rest->ptr[0] == '/')
        *rest = snug_sub(*rest, 1, rest->len);
    if (rest->ptr == NULL || rest->len == 0) return false;
    size_t slash = snug_index(*rest, '/');
    head = slash == SIZE_MAX ? *rest : snug_sub(*rest, 0, slash);
    *rest = slash == SIZE_MAX ? SNUG_EMPTY : snug_sub(*rest, slash, rest->len);
    *out = parse_segment(head);
    return true;
}

/* ---- building ---- */

static node *list_child(snug_arena *a, node **list, snug_slice text)
{
    while (*list != NULL) {
        if (snug_eq((*list)->text, text)) return *list;
        list = &(*list)->next;
    }
    *list = SNUG_NEW(a, node);
    (*list)->text = text;
    return *list;
}

static node *child_for(snug_arena *a, node *n, const http_seg *seg)
{
    if (seg->kind == HTTP_SEG_LITERAL) return list_child(a, &n->literals, seg->text);
    if (seg->kind == HTTP_SEG_ONE_OF) return list_child(a, &n->one_ofs, seg->choices);
    node **slot = seg->kind == HTTP_SEG_ANY ? &n->any : &n->rest;
    if (*slot == NULL) *slot = SNUG_NEW(a, node);
    return *slot;
}

static snug_status add_route(http_router *r, const http_route *route, snug_err *err)
{
    snug_slice rest = snug_str(route->pattern);
    if (rest.len == 0 || rest.ptr[0] != '/' || (unsigned)route->verb >= HTTP_VERB_COUNT ||
        route->run == NULL)
        return snug_fail(err, SNUG_EINTERNAL, "route %s is malformed", route->pattern);
    route_row *row = SNUG_NEW(r->arena, route_row);
    row->route = route;
    node    *n = &r->root;
    http_seg seg = {.kind = HTTP_SEG_LITERAL};
    while (seg.kind != HTTP_SEG_REST && http_pattern_next(&rest, &seg)) {
        if (seg.kind == HTTP_SEG_BAD ||
            (seg.kind != HTTP_SEG_LITERAL && row->name_count == HTTP_PARAMS_MAX))
            return snug_fail(err, SNUG_EINTERNAL, "route %s is malformed", route->pattern);
        if (seg.kind != HTTP_SEG_LITERAL) row->names[row->name_count++] = seg.name;
        n = child_for(r->arena, n, &seg);
    }
    if (rest.len > 0)
        return snug_fail(err, SNUG_EINTERNAL, "route %s goes on after its rest", route->pattern);
    if (n->rows[route->verb] != NULL)
        return snug_fail(err, SNUG_EINTERNAL, "routes %s and %s are the same",
                         n->rows[route->verb]->route->pattern, route->pattern);
    n->rows[route->verb] = row;
    return SNUG_OK;
}

snug_status http_router_new(const http_route *const *tables, const size_t *sizes, http_router **out,
                            snug_err *err)
{
    http_router *r = snug_zalloc(sizeof *r);
    r->arena = snug_arena_new();
    for (size_t t = 0; tables != NULL && tables[t] != NULL; t++) {
        for (size_t i = 0; i < sizes[t]; i++) {
            snug_status st = add_route(r, &tables[t][i], err);
            if (st != SNUG_OK) {
                http_router_free(r);
                return st;
            }
        }
    }
    *out = r;
    return SNUG_OK;
}

void http_router_free(http_router *r)
{
    if (r == NULL) return;
    snug_arena_free(r->arena);
    free(r);
}

/* ---- matching ---- */

typedef struct walk {
    http_verb   verb;
    http_match *out;
    size_t      depth;
    snug_slice  caught[HTTP_PARAMS_MAX + 1];
} walk;

static bool arrive(const node *n, walk *w)
{
    for (unsigned v = 0; v < HTTP_VERB_COUNT; v++) {
        if (n->rows[v] != NULL) w->out->verbs |= 1u << v;
    }
    const route_row *row = n->rows[w->verb];
    if (row == NULL) return false;
    w->out->route = row->route;
    w->out->param_count = row->name_count;
    for (size_t i = 0; i < row->name_count; i++) {
        w->out->params[i].name = row->names[i];
        w->out->params[i].raw = w->caught[i];
    }
    return true;
}

static bool is_choice(snug_slice choices, snug_slice seg)
{
    snug_slice one;
    while (snug_split(&choices, '|', &one)) {
        if (snug_eq(one, seg)) return true;
    }
    return false;
}

static bool descend(const node *n, snug_slice rest, walk *w);

static bool descend_caught(const node *n, snug_slice caught, snug_slice rest, walk *w)
{
    w->caught[w->depth++] = caught;
    bool hit = descend(n, rest, w);
    w->depth--;
    return hit;
}

static bool arrive_rest(const node *n, snug_slice rest, walk *w)
{
    w->caught[w->depth++] = rest;
    bool hit = arrive(n, w);
    w->depth--;
    return hit;
}

/* rest: what is left, without its leading slash; ptr NULL when the path is used up. */
static bool descend(const node *n, snug_slice rest, walk *w)
{
    if (rest.ptr == NULL) {
        if (arrive(n, w)) return true;
        return n->rest != NULL && arrive_rest(n->rest, SNUG_LIT(""), w);
    }
    snug_slice whole = rest, seg = SNUG_EMPTY;
    (void)snug_split(&rest, '/', &seg);
    for (const node *k = n->literals; k != NULL; k = k->next) {
        if (snug_eq(k->text, seg)) {
            if (descend(k, rest, w)) return true;
            break;
        }
    }
    for (const node *k = n->one_ofs; k != NULL; k = k->next) {
        if (is_choice(k->text, seg) && descend_caught(k, seg, rest, w)) return true;
    }
    if (n->any != NULL && seg.len > 0 && descend_caught(n->any, seg, rest, w)) return true;
    return n->rest != NULL && arrive_rest(n->rest, whole, w);
}

void http_router_match(const http_router *r, snug_slice path, http_verb verb, http_match *out)
{
    out->route = NULL;
    out->verbs = 0;
    out->param_count = 0;
    walk w;
    w.verb = verb;
    w.out = out;
    w.depth = 0;
    snug_slice rest = path.len > 1 ? snug_sub(path, 1, path.len) : SNUG_EMPTY;
    if (descend(&r->root, rest, &w) || out->verbs != 0) return;
    /* "/models/" answers for "/models", unless a pattern wanted the empty segment. */
    if (rest.len > 1 && rest.ptr[rest.len - 1] == '/') {
        rest.len--;
        (void)descend(&r->root, rest, &w);
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* ".." however it is spelt. */
static bool is_dot_dot(snug_slice seg)
{
    unsigned dots = 0;
    for (size_t i = 0; i < seg.len; dots++) {
        if (seg.ptr[i] == '.') {
            i++;
        } else if (seg.len - i >= 3 && seg.ptr[i] == '%' && seg.ptr[i + 1] == '2' &&
                   (seg.ptr[i + 2] | 32) == 'e') {
            i += 3;
        } else {
            return false;
        }
    }
    return dots == 2;
}

bool http_path_ok(snug_slice path)
{
    size_t seg = 0;
    for (size_t i = 0; i <= path.len; i++) {
        if (i == path.len || path.ptr[i] == '/') {
            if (is_dot_dot(snug_sub(path, seg, i - seg))) return false;
            seg = i + 1;
            continue;
        }
        unsigned char c = (unsigned char)path.ptr[i];
        if (c <= 0x20 || c == 0x7f) return false;
        if (c != '%') continue;
        if (path.len - i < 3) return false;
        int hi = hex_digit(path.ptr[i + 1]), lo = hex_digit(path.ptr[i + 2]);
        if (hi < 0 || lo < 0 || (hi | lo) == 0) return false;
        if (hi == 2 && lo == 15) { /* an escaped slash hides no ".." either */
            if (is_dot_dot(snug_sub(path, seg, i - seg))) return false;
            seg = i + 3;
        }
    }
    return true;
}
