/* SPDX-License-Identifier: Apache-2.0 */
#include "http_test.h"

static snug_status h(http_req *rq, http_res *rs, snug_err *err)
{
    (void)rq, (void)rs, (void)err;
    return SNUG_OK;
}

static const http_param tree_params[] = {
    {"ns", "path", "string", "Owner.", true, false},
    {"path", "path", "string", "Folder.", true, false},
    {"expand", "query", "string", "More \"fields\".", false, true},
    {"limit", "query", "integer", "At most.", false, false},
    {NULL, NULL, NULL, NULL, false, false},
};
static const http_doc tree_doc = {.id = "list_tree",
                                  .tag = "files",
                                  .summary = "Lists a folder.",
                                  .scope = "read",
                                  .params = tree_params,
                                  .response = "{\"type\":\"array\"}",
                                  .errors = "400 404"};
static const http_doc make_doc = {.id = "make",
                                  .tag = "repos",
                                  .scope = "write",
                                  .request = "{\"type\":\"object\"}",
                                  .errors = "401 409"};
static const http_doc up_doc = {.id = "upload", .scope = ""};

static const http_route first[] = {
    {HTTP_GET, "/api/{kind:models|datasets}/{ns}/tree/{path...}", h, 0, &tree_doc, NULL},
    {HTTP_POST, "/api/repos", h, ROUTE_WRITE, &make_doc, NULL},
    {HTTP_GET, "/secret/{id}", h, ROUTE_HIDDEN, NULL, NULL},
};
static const http_route second[] = {
    {HTTP_GET, "/api/repos", h, 0, NULL, NULL},
    {HTTP_PUT, "/files/{id}", h, ROUTE_STREAM_BODY, &up_doc, NULL},
    {HTTP_GET, "/", h, 0, NULL, NULL},
};

static snug_json at(snug_json v, const char *path)
{
    snug_slice rest = snug_str(path), one;
    while (snug_split(&rest, '|', &one)) {
        uint64_t i;
        v = snug_json_is(v, SNUG_JSON_ARRAY) && snug_parse_u64(one, &i)
                ? snug_json_at(v, (size_t)i)
                : snug_json_get_slice(v, one);
    }
    return v;
}

static void is_str(snug_json v, const char *path, const char *want)
{
    snug_slice s = SNUG_EMPTY;
    if (!snug_json_to_str(at(v, path), &s)) print_error("nothing at %s\n", path);
    assert_true(snug_eq_str(s, want));
}

static void document(void **state)
{
    (void)state;
    const http_route *const tables[] = {first, second, NULL};
    const size_t            sizes[] = {3, 3};
    SNUG_AUTO(snug_buf) b = snug_buf_init(1 << 20);
    snug_arena    *a = snug_arena_new();
    snug_json      doc;
    snug_err       err;
    snug_json_opts strict = {.flags = SNUG_JSON_UNIQUE};
    http_openapi_put(tables, sizes, &b);
    assert_int_equal(snug_json_parse(a, snug_buf_slice(&b), &strict, &doc, &err), SNUG_OK);
    is_str(doc, "openapi", "3.1.0");
    is_str(doc, "info|version", SNUG_VERSION);
    assert_int_equal(snug_json_count(at(doc, "paths")), 4);
    snug_json op = at(doc, "paths|/api/{kind}/{ns}/tree/{path}|get");
    is_str(op, "operationId", "list_tree");
    is_str(op, "tags|0", "files");
    is_str(op, "parameters|0|name", "kind");
    is_str(op, "parameters|0|schema|enum|0", "models");
    is_str(op, "parameters|0|schema|enum|1", "datasets");
    is_str(op, "parameters|1|description", "Owner.");
    is_str(op, "parameters|2|name", "path");
    is_str(op, "parameters|2|description",
           "Folder. The rest of the path; may hold slashes and may be empty.");
    is_str(op, "parameters|3|name", "expand");
    is_str(op, "parameters|3|schema|type", "array");
    is_str(op, "parameters|3|schema|items|type", "string");
    is_str(op, "parameters|4|schema|type", "integer");
    assert_int_equal(snug_json_count(at(op, "parameters")), 5);
    is_str(op, "responses|200|content|application/json|schema|type", "array");
    is_str(op, "responses|404|description", "Not Found");
    is_str(op, "responses|400|content|application/json|schema|$ref", "#/components/schemas/Error");
    is_str(op, "security|1|bearer|0", "read");
    assert_int_equal(snug_json_count(at(op, "security|0")), 0);
    snug_json repos = at(doc, "paths|/api/repos");
    assert_int_equal(snug_json_count(repos), 2); /* both tables */
    is_str(repos, "post|requestBody|content|application/json|schema|type", "object");
    is_str(repos, "post|security|0|bearer|0", "write");
    assert_true(snug_json_is(at(repos, "get|responses|200"), SNUG_JSON_OBJECT));
    assert_true(
        snug_json_is(at(doc, "paths|/files/{id}|put|requestBody|content|application/octet-stream"),
                     SNUG_JSON_OBJECT));
    assert_true(snug_json_is(at(doc, "paths|/|get"), SNUG_JSON_OBJECT));
    assert_true(snug_json_is(at(doc, "paths|/secret/{id}"), SNUG_JSON_ABSENT));
    is_str(doc, "components|securitySchemes|bearer|scheme", "bearer");
    is_str(doc, "components|schemas|Error|type", "object");
    snug_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(document)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
