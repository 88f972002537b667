/* SPDX-License-Identifier: Apache-2.0 */
/* http/openapi.c - the OpenAPI 3.1 document, written from the same rows the router serves.
 *
 * For:     the endpoint that shows it, and `make openapi`.
 * Threads: pure function of constant tables.
 * Truth:   a path is documented exactly when a visible row serves it. OpenAPI has no parameter
 *          that spans segments, so a rest parameter is a plain one whose text says so. */
#include <stdio.h>

#include "http/http_int.h"

enum { OPERATIONS_MAX = 4096 };

typedef struct route_list {
    const http_route **rows; /* all visible ones, in table order */
    size_t             count;
} route_list;

/* "/{ns}/{kind:a|b}/{path...}" becomes "/{ns}/{kind}/{path}". */
static void put_path(snug_buf *b, const char *pattern)
{
    snug_slice rest = snug_str(pattern);
    http_seg   seg;
    size_t     before = b->len;
    while (http_pattern_next(&rest, &seg)) {
        snug_buf_putc(b, '/');
        if (seg.kind == HTTP_SEG_LITERAL)
            snug_buf_put_slice(b, seg.text);
        else
            snug_buf_printf(b, "{%.*s}", SNUG_SLICE(seg.name));
    }
    if (b->len == before) snug_buf_putc(b, '/');
}

static bool same_path(const http_route *a, const http_route *b)
{
    SNUG_AUTO(snug_buf) x = snug_buf_init(4096);
    SNUG_AUTO(snug_buf) y = snug_buf_init(4096);
    put_path(&x, a->pattern);
    put_path(&y, b->pattern);
    return snug_eq(snug_buf_slice(&x), snug_buf_slice(&y));
}

static const http_param *find_param(const http_doc *doc, snug_slice name, const char *in)
{
    if (doc == NULL || doc->params == NULL) return NULL;
    for (const http_param *p = doc->params; p->name != NULL; p++) {
        if (snug_eq_str(name, p->name) && strcmp(p->in, in) == 0) return p;
    }
    return NULL;
}

static void put_path_param(snug_json_out *o, const http_seg *seg, const http_param *doc)
{
    snug_jo_begin_object(o);
    snug_jo_kstr(o, "name", seg->name);
    snug_jo_kcstr(o, "in", "path");
    snug_jo_kbool(o, "required", true);
    const char *help = doc != NULL && doc->help != NULL ? doc->help : "";
    if (seg->kind == HTTP_SEG_REST) {
        snug_jo_key(o, "description");
        snug_jo_strf(o, "%s%sThe rest of the path; may hold slashes and may be empty.", help,
                     help[0] != '\0' ? " " : "");
    } else if (help[0] != '\0') {
        snug_jo_kcstr(o, "description", help);
    }
    snug_jo_key(o, "schema");
    snug_jo_begin_object(o);
    snug_jo_kcstr(o, "type", doc != NULL && doc->type != NULL ? doc->type : "string");
    if (seg->kind == HTTP_SEG_ONE_OF) {
        snug_slice rest = seg->choices, one;
        snug_jo_key(o, "enum");
        snug_jo_begin_array(o);
        while (snug_split(&rest, '|', &one)) snug_jo_str(o, one);
        snug_jo_end_array(o);
    }
    snug_jo_end_object(o);
    snug_jo_end_object(o);
}

static void put_other_param(snug_json_out *o, const http_param *p)
{
    snug_jo_begin_object(o);
    snug_jo_kcstr(o, "name", p->name);
    snug_jo_kcstr(o, "in", p->in);
    if (p->help != NULL) snug_jo_kcstr(o, "description", p->help);
    snug_jo_kbool(o, "required", p->required);
    snug_jo_key(o, "schema");
    snug_jo_begin_object(o);
    if (p->repeated) {
        snug_jo_kcstr(o, "type", "array");
        snug_jo_key(o, "items");
        snug_jo_begin_object(o);
    }
    snug_jo_kcstr(o, "type", p->type != NULL ? p->type : "string");
    if (p->repeated) snug_jo_end_object(o);
    snug_jo_end_object(o);
    snug_jo_end_object(o);
}

static void put_params(snug_json_out *o, const http_route *r)
{
    snug_slice rest = snug_str(r->pattern);
    http_seg   seg;
    snug_jo_key(o, "parameters");
    snug_jo_begin_array(o);
    while (http_pattern_next(&rest, &seg)) {
        if (seg.kind != HTTP_SEG_LITERAL)
            put_path_param(o, &seg, find_param(r->doc, seg.name, "path"));
    }
    for (const http_param *p = r->doc != NULL ? r->doc->params : NULL; p != NULL && p->name != NULL;
         p++) {
        if (strcmp(p->in, "path") != 0) put_other_param(o, p);
    }
    snug_jo_end_array(o);
}

static void put_content(snug_json_out *o, const char *media, const char *schema)
{
    snug_jo_key(o, "content");
    snug_jo_begin_object(o);
    snug_jo_key(o, media);
    snug_jo_begin_object(o);
    snug_jo_key(o, "schema");
    if (schema != NULL) {
        snug_jo_raw(o, snug_str(schema));
    } else {
        snug_jo_begin_object(o);
        snug_jo_end_object(o);
    }
    snug_jo_end_object(o);
    snug_jo_end_object(o);
}

static void put_request_body(snug_json_out *o, const http_route *r)
{
    bool streamed = (r->flags & ROUTE_STREAM_BODY) != 0;
    if ((r->doc == NULL || r->doc->request == NULL) && !streamed) return;
    const char *media = r->doc != NULL && r->doc->media != NULL ? r->doc->media
                        : streamed                              ? "application/octet-stream"
                                                                : "application/json";
    snug_jo_key(o, "requestBody");
    snug_jo_begin_object(o);
    snug_jo_kbool(o, "required", true);
    put_content(o, media, r->doc != NULL ? r->doc->request : NULL);
    snug_jo_end_object(o);
}

static void put_responses(snug_json_out *o, const http_doc *doc)
{
    snug_jo_key(o, "responses");
    snug_jo_begin_object(o);
    snug_jo_key(o, "200");
    snug_jo_begin_object(o);
    snug_jo_kcstr(o, "description", "Success");
    if (doc != NULL && doc->response != NULL) put_content(o, "application/json", doc->response);
    snug_jo_end_object(o);
    snug_slice errors = doc != NULL && doc->errors != NULL ? snug_str(doc->errors) : SNUG_EMPTY,
               one;
    while (snug_split(&errors, ' ', &one)) {
        if (one.len == 0) continue;
        uint64_t status = 0;
        (void)snug_parse_u64(one, &status);
        snug_jo_key_slice(o, one);
        snug_jo_begin_object(o);
        snug_jo_kcstr(o, "description", MHD_get_reason_phrase_for((unsigned)status));
        if (status >= 400)
            put_content(o, "application/json", "{\"$ref\":\"#/components/schemas/Error\"}");
        snug_jo_end_object(o);
    }
    snug_jo_end_object(o);
}

/* Scope "" is for anyone; "read" may be, depending on the repository. */
static void put_security(snug_json_out *o, const http_doc *doc)
{
    const char *scope = doc != NULL && doc->scope != NULL ? doc->scope : "";
    snug_jo_key(o, "security");
    snug_jo_begin_array(o);
    if (scope[0] == '\0' || strcmp(scope, "read") == 0) {
        snug_jo_begin_object(o);
        snug_jo_end_object(o);
    }
    if (scope[0] != '\0') {
        snug_jo_begin_object(o);
        snug_jo_key(o, "bearer");
        snug_jo_begin_array(o);
        snug_jo_cstr(o, scope);
        snug_jo_end_array(o);
        snug_jo_end_object(o);
    }
    snug_jo_end_array(o);
}

static void put_operation(snug_json_out *o, const http_route *r)
{
    static const char *const verbs[HTTP_VERB_COUNT] = {"get", "post", "put", "patch", "delete"};
    const http_doc          *d = r->doc;
    snug_jo_key(o, verbs[r->verb]);
    snug_jo_begin_object(o);
    if (d != NULL && d->id != NULL) snug_jo_kcstr(o, "operationId", d->id);
    if (d != NULL && d->summary != NULL) snug_jo_kcstr(o, "summary", d->summary);
    if (d != NULL && d->tag != NULL) {
        snug_jo_key(o, "tags");
        snug_jo_begin_array(o);
        snug_jo_cstr(o, d->tag);
        snug_jo_end_array(o);
    }
    put_security(o, d);
    put_params(o, r);
    put_request_body(o, r);
    put_responses(o, d);
    snug_jo_end_object(o);
}

/* One path object with every verb; patterns that differ only in choices share it, first one wins.
 */
static void put_path_item(snug_json_out *o, const route_list *l, size_t at)
{
    bool done[HTTP_VERB_COUNT] = {false};
    SNUG_AUTO(snug_buf) path = snug_buf_init(4096);
    for (size_t i = 0; i < at; i++) {
        if (same_path(l->rows[i], l->rows[at])) return; /* written with the earlier row */
    }
    put_path(&path, l->rows[at]->pattern);
    snug_jo_key_slice(o, snug_buf_slice(&path));
    snug_jo_begin_object(o);
    for (size_t i = at; i < l->count; i++) {
        const http_route *r = l->rows[i];
        if (done[r->verb] || !same_path(r, l->rows[at])) continue;
        done[r->verb] = true;
        put_operation(o, r);
    }
    snug_jo_end_object(o);
}

static void put_components(snug_json_out *o)
{
    snug_jo_key(o, "components");
    snug_jo_raw(
        o, SNUG_LIT("{\"securitySchemes\":{\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\"}},"
                    "\"schemas\":{\"Error\":{\"type\":\"object\",\"required\":[\"error\"],"
                    "\"properties\":{\"error\":{\"type\":\"string\"}}}}}"));
}

void http_openapi_put(const http_route *const *tables, const size_t *sizes, snug_buf *b)
{
    snug_json_out o = snug_json_out_init(b);
    snug_arena   *a = snug_arena_new();
    route_list    l = {snug_arena_alloc(a, OPERATIONS_MAX * sizeof(http_route *)), 0};
    for (size_t t = 0; tables != NULL && tables[t] != NULL; t++) {
        for (size_t i = 0; i < sizes[t] && l.count < OPERATIONS_MAX; i++) {
            if ((tables[t][i].flags & ROUTE_HIDDEN) == 0) l.rows[l.count++] = &tables[t][i];
        }
    }
    snug_jo_begin_object(&o);
    snug_jo_kcstr(&o, "openapi", "3.1.0");
    snug_jo_key(&o, "info");
    snug_jo_begin_object(&o);
    snug_jo_kcstr(&o, "title", "Snug");
    snug_jo_kcstr(&o, "version", SNUG_VERSION);
    snug_jo_end_object(&o);
    snug_jo_key(&o, "paths");
    snug_jo_begin_object(&o);
    for (size_t i = 0; i < l.count; i++) put_path_item(&o, &l, i);
    snug_jo_end_object(&o);
    put_components(&o);
    snug_jo_end_object(&o);
    snug_arena_free(a);
}
