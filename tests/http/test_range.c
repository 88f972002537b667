/* SPDX-License-Identifier: Apache-2.0 */
#include "http_test.h"

static void ranges(void **state)
{
    (void)state;
    static const struct {
        const char     *header;
        uint64_t        size;
        http_range_kind kind;
        uint64_t        first, last;
    } cases[] = {
        {"bytes=0-0", 10, HTTP_RANGE_ONE, 0, 0},
        {"bytes=0-9", 10, HTTP_RANGE_ONE, 0, 9},
        {"bytes=0-10", 10, HTTP_RANGE_ONE, 0, 9},
        {"bytes=3-", 10, HTTP_RANGE_ONE, 3, 9},
        {"bytes=9-", 10, HTTP_RANGE_ONE, 9, 9},
        {"bytes=10-", 10, HTTP_RANGE_BAD, 0, 0},
        {"bytes=10-20", 10, HTTP_RANGE_BAD, 0, 0},
        {"bytes=-3", 10, HTTP_RANGE_ONE, 7, 9},
        {"bytes=-10", 10, HTTP_RANGE_ONE, 0, 9},
        {"bytes=-11", 10, HTTP_RANGE_ONE, 0, 9},
        {"bytes=-0", 10, HTTP_RANGE_BAD, 0, 0},
        {"bytes=-1", 0, HTTP_RANGE_BAD, 0, 0},
        {"bytes=0-", 0, HTTP_RANGE_BAD, 0, 0},
        {"BYTES = 1 - 2 ", 10, HTTP_RANGE_ONE, 1, 2},
        {"bytes=5-3", 10, HTTP_RANGE_NONE, 0, 0},
        {"bytes=0-1,3-4", 10, HTTP_RANGE_NONE, 0, 0},
        {"bytes=-", 10, HTTP_RANGE_NONE, 0, 0},
        {"bytes=", 10, HTTP_RANGE_NONE, 0, 0},
        {"bytes=a-b", 10, HTTP_RANGE_NONE, 0, 0},
        {"bytes=1-2x", 10, HTTP_RANGE_NONE, 0, 0},
        {"bytes=--2", 10, HTTP_RANGE_NONE, 0, 0},
        {"items=0-1", 10, HTTP_RANGE_NONE, 0, 0},
        {"", 10, HTTP_RANGE_NONE, 0, 0},
        {"bytes=0-99999999999999999999999", 10, HTTP_RANGE_ONE, 0, 9},
        {"bytes=99999999999999999999999-", 10, HTTP_RANGE_BAD, 0, 0},
        {"bytes=-99999999999999999999999", 10, HTTP_RANGE_ONE, 0, 9},
        {"bytes=18446744073709551614-18446744073709551615", UINT64_MAX, HTTP_RANGE_ONE,
         UINT64_MAX - 1, UINT64_MAX - 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t        first = 0, last = 0;
        http_range_kind k =
            http_parse_range(snug_str(cases[i].header), cases[i].size, &first, &last);
        if (k != cases[i].kind) print_error("%s\n", cases[i].header);
        assert_int_equal(k, cases[i].kind);
        if (k != HTTP_RANGE_ONE) continue;
        assert_int_equal(first, cases[i].first);
        assert_int_equal(last, cases[i].last);
    }
}

static void etags(void **state)
{
    (void)state;
    static const struct {
        const char *list, *etag;
        bool        match;
    } cases[] = {
        {"\"a\"", "\"a\"", true},
        {"\"b\"", "\"a\"", false},
        {"W/\"a\"", "\"a\"", true},
        {"\"a\"", "W/\"a\"", true},
        {"*", "\"a\"", true},
        {"\"x\", \"a\"", "\"a\"", true},
        {"\"x\",W/\"a\" ", "\"a\"", true},
        {"\"x,\", \"a\"", "\"a\"", true},
        {"\"a,b\"", "\"a\"", false},
        {"a", "\"a\"", true},
        {"x, a", "\"a\"", true},
        {"\"a", "\"a\"", false},
        {"", "\"a\"", false},
        {",,,", "\"a\"", false},
        {"\"\"", "\"\"", true},
        {"\"A\"", "\"a\"", false},
        {"\"a\"", "", false},
        {"W/", "\"a\"", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool got = http_etag_matches(snug_str(cases[i].list), snug_str(cases[i].etag));
        if (got != cases[i].match) print_error("%s against %s\n", cases[i].list, cases[i].etag);
        assert_int_equal(got, cases[i].match);
    }
}

static void codings(void **state)
{
    (void)state;
    static const struct {
        const char *accept;
        http_coding want;
    } cases[] = {
        {"", HTTP_CODING_IDENTITY},
        {"identity", HTTP_CODING_IDENTITY},
        {"gzip", HTTP_CODING_GZIP},
        {"gzip, deflate, br", HTTP_CODING_GZIP},
        {"gzip, zstd", HTTP_CODING_ZSTD},
        {"zstd;q=0.5, gzip;q=0.8", HTTP_CODING_GZIP},
        {"zstd;q=0.8, gzip;q=0.8", HTTP_CODING_ZSTD},
        {"zstd;q=0, gzip", HTTP_CODING_GZIP},
        {"gzip;q=0", HTTP_CODING_IDENTITY},
        {"gzip;q=0.000", HTTP_CODING_IDENTITY},
        {"gzip;q=0.001", HTTP_CODING_GZIP},
        {"*", HTTP_CODING_ZSTD},
        {"*;q=0", HTTP_CODING_IDENTITY},
        {"GZIP", HTTP_CODING_GZIP},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(http_pick_coding(snug_str(cases[i].accept)), cases[i].want);
    }
    assert_true(http_media_compresses(SNUG_LIT("application/json; charset=utf-8")));
    assert_true(http_media_compresses(SNUG_LIT("text/html")));
    assert_true(http_media_compresses(SNUG_LIT("application/vnd.git-lfs+json")));
    assert_false(http_media_compresses(SNUG_LIT("text/event-stream")));
    assert_false(http_media_compresses(SNUG_LIT("application/octet-stream")));
    assert_false(http_media_compresses(SNUG_LIT("image/png")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges),
        cmocka_unit_test(etags),
        cmocka_unit_test(codings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
