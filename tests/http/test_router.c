/* SPDX-License-Identifier: Apache-2.0 */
#include "http_test.h"

static snug_status h(http_req *rq, http_res *rs, snug_err *err)
{
    (void)rq, (void)rs, (void)err;
    return SNUG_OK;
}

static const http_route rows[] = {
    {HTTP_GET, "/", h, 0, NULL, NULL},
    {HTTP_GET, "/api/{kind:models|datasets}/{ns}/{name}", h, 0, NULL, NULL},
    {HTTP_GET, "/api/{kind:models|datasets}/{ns}/{name}/tree/{rev}/{path...}", h, 0, NULL, NULL},
    {HTTP_GET, "/api/models/special/{name}", h, 0, NULL, NULL},
    {HTTP_POST, "/api/models/special/{name}", h, 0, NULL, NULL},
    {HTTP_POST, "/api/repos/create", h, 0, NULL, NULL},
    {HTTP_DELETE, "/api/repos/delete", h, 0, NULL, NULL},
    {HTTP_GET, "/{ns}/{name}", h, 0, NULL, NULL},
    {HTTP_GET, "/{ns}/{name}/resolve/{rev}/{path...}", h, 0, NULL, NULL},
    {HTTP_PUT, "/files/{path...}", h, 0, NULL, NULL},
};

static http_router *build(void)
{
    const http_route *const tables[] = {rows, NULL};
    const size_t            sizes[] = {sizeof rows / sizeof rows[0]};
    http_router            *r = NULL;
    assert_int_equal(http_router_new(tables, sizes, &r, NULL), SNUG_OK);
    return r;
}

static void matrix(void **state)
{
    (void)state;
    static const struct {
        http_verb   verb;
        const char *path;
        int         row;    /* -1: none */
        const char *params; /* "a=b c=d", raw */
        unsigned    verbs;
    } cases[] = {
        {HTTP_GET, "/", 0, "", 1},
        {HTTP_GET, "/api/models/o/m", 1, "kind=models ns=o name=m ", 1},
        {HTTP_GET, "/api/datasets/special/m", 1, "kind=datasets ns=special name=m ", 1},
        {HTTP_GET, "/api/models/special/m", 3, "name=m ", 3},
        {HTTP_POST, "/api/models/special/m", 4, "name=m ", 3},
        {HTTP_POST, "/api/models/o/m", -1, "", 1},
        {HTTP_GET, "/api/spaces/o/m", -1, "", 0},
        {HTTP_GET, "/api/models/o/m/tree/main", 2, "kind=models ns=o name=m rev=main path= ", 1},
        {HTTP_GET, "/api/models/o/m/tree/main/", 2, "kind=models ns=o name=m rev=main path= ", 1},
        {HTTP_GET, "/api/models/o/m/tree/refs%2Fpr%2F1/a/b", 2,
         "kind=models ns=o name=m rev=refs%2Fpr%2F1 path=a/b ", 1},
        {HTTP_POST, "/api/repos/create", 5, "", 2},
        {HTTP_GET, "/api/repos", 7, "ns=api name=repos ", 1},
        {HTTP_DELETE, "/api/repos/create", -1, "", 2},
        {HTTP_GET, "/o/m", 7, "ns=o name=m ", 1},
        {HTTP_GET, "/o/m/", 7, "ns=o name=m ", 1},
        {HTTP_GET, "/o//", -1, "", 0},
        {HTTP_GET, "//m", -1, "", 0},
        {HTTP_GET, "/o/m/resolve/main/dir%2Fsub/x", 8, "ns=o name=m rev=main path=dir%2Fsub/x ", 1},
        {HTTP_PUT, "/files", 9, "path= ", 4},
        {HTTP_PUT, "/files/", 9, "path= ", 4},
        {HTTP_PUT, "/files//a/", 9, "path=/a/ ", 4},
        {HTTP_GET, "/files/x/y", -1, "", 4},
        {HTTP_GET, "/one", -1, "", 0},
    };
    http_router *r = build();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        http_match m;
        char       got[512] = "";
        http_router_match(r, snug_str(cases[i].path), cases[i].verb, &m);
        assert_ptr_equal(m.route, cases[i].row < 0 ? NULL : &rows[cases[i].row]);
        if (m.route == NULL) assert_int_equal(m.verbs, cases[i].verbs);
        for (size_t k = 0; k < m.param_count; k++) {
            size_t n = strlen(got);
            snprintf(got + n, sizeof got - n, "%.*s=%.*s ", SNUG_SLICE(m.params[k].name),
                     SNUG_SLICE(m.params[k].raw));
        }
        assert_string_equal(got, cases[i].params);
    }
    http_router_free(r);
}

static void refuses(const http_route *table, size_t n, const char *why)
{
    const http_route *const tables[] = {table, NULL};
    http_router            *r = NULL;
    snug_err                err = {0};
    assert_int_equal(http_router_new(tables, &n, &r, &err), SNUG_EINTERNAL);
    assert_null(r);
    assert_non_null(strstr(err.msg, why));
}

static void bad_tables(void **state)
{
    (void)state;
    static const http_route twice[] = {{HTTP_GET, "/a/{x}", h, 0, NULL, NULL},
                                       {HTTP_GET, "/a/{y}", h, 0, NULL, NULL}};
    static const http_route open[] = {{HTTP_GET, "/a/{x", h, 0, NULL, NULL}};
    static const http_route relative[] = {{HTTP_GET, "a", h, 0, NULL, NULL}};
    static const http_route after[] = {{HTTP_GET, "/a/{x...}/b", h, 0, NULL, NULL}};
    static const http_route inside[] = {{HTTP_GET, "/a/x{y}", h, 0, NULL, NULL}};
    static const http_route nobody[] = {{HTTP_GET, "/a", NULL, 0, NULL, NULL}};
    refuses(twice, 2, "the same");
    refuses(open, 1, "malformed");
    refuses(relative, 1, "malformed");
    refuses(after, 1, "after its rest");
    refuses(inside, 1, "malformed");
    refuses(nobody, 1, "malformed");
}

static void paths(void **state)
{
    (void)state;
    static const char *const good[] = {"/",     "/a/b",    "/a%2Fb", "/a%20b",   "/...",
                                       "/a..b", "/%C3%A9", "/.git",  "/\xc3\xa9"};
    static const char *const bad[] = {"/a%",     "/a%2",    "/a%zz",     "/%00",  "/a b",
                                      "/..",     "/a/../b", "/%2e%2E/x", "/.%2e", "/a%2F..%2Fb",
                                      "/a%2f..", "/a\x7f",  "/a\x01"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(http_path_ok(snug_str(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(http_path_ok(snug_str(bad[i])));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matrix),
        cmocka_unit_test(bad_tables),
        cmocka_unit_test(paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
