/* SPDX-License-Identifier: Apache-2.0 */
/* tests/base/test_slice.c - borrowed strings, numbers, UTF-8, the bounded cursor, checked sizes. */
#include "check.h"

#define L SNUG_LIT

static void test_compare(void **state)
{
    (void)state;
    assert_true(snug_eq(L("a\0b"), L("a\0b")));
    assert_false(snug_eq(L("a\0b"), L("a\0c")));
    assert_false(snug_eq(L("ab"), L("abc")));
    assert_true(snug_eq(SNUG_EMPTY, L("")));
    assert_true(snug_eq_str(L("x"), "x"));
    assert_true(snug_eq_str(SNUG_EMPTY, NULL));
    assert_true(snug_eq_nocase(L("Content-TYPE"), L("content-type")));
    assert_false(snug_eq_nocase(L("a["), L("A{"))); /* letters only */
    assert_false(snug_eq_nocase(L("a"), L("ab")));
    assert_true(snug_cmp(L("a"), L("b")) < 0 && snug_cmp(L("b"), L("a")) > 0);
    assert_true(snug_cmp(L("a"), L("ab")) < 0 && snug_cmp(L("ab"), L("a")) > 0);
    assert_true(snug_cmp(L("\xff"), L("a")) > 0); /* bytes, not signed chars */
    assert_int_equal(snug_cmp(SNUG_EMPTY, L("")), 0);
    assert_true(snug_starts_with(L("abc"), "ab") && snug_starts_with(L("abc"), ""));
    assert_false(snug_starts_with(L("ab"), "abc") || snug_starts_with(SNUG_EMPTY, "a"));
    assert_true(snug_ends_with(L("abc"), "bc") && snug_ends_with(SNUG_EMPTY, ""));
    assert_false(snug_ends_with(L("bc"), "abc"));
}

static void test_parts(void **state)
{
    (void)state;
    assert_slice(snug_sub(L("abcdef"), 2, 3), "cde");
    assert_slice(snug_sub(L("abcdef"), 4, 100), "ef");
    assert_slice(snug_sub(L("abcdef"), 4, SIZE_MAX), "ef");
    assert_slice(snug_sub(L("abcdef"), 6, 1), "");
    assert_slice(snug_sub(L("abcdef"), 7, 1), "");
    assert_slice(snug_sub(SNUG_EMPTY, 0, 1), "");
    assert_slice(snug_trim(L(" \t\r\n\v\fa b \n")), "a b");
    assert_slice(snug_trim(L(" \n ")), "");
    assert_slice(snug_trim(SNUG_EMPTY), "");
    assert_int_equal(snug_index(L("abcb"), 'b'), 1);
    assert_int_equal(snug_rindex(L("abcb"), 'b'), 3);
    assert_int_equal(snug_index(L("abcb"), 'x'), SIZE_MAX);
    assert_int_equal(snug_rindex(SNUG_EMPTY, 'x'), SIZE_MAX);
    assert_int_equal(snug_index(L("a\0b"), '\0'), 1);
    assert_int_equal(snug_find(L("hello world"), L("o w")), 4);
    assert_int_equal(snug_find(L("hello"), L("")), 0);
    assert_int_equal(snug_find(L("hello"), L("hellos")), SIZE_MAX);
    assert_int_equal(snug_find(SNUG_EMPTY, L("x")), SIZE_MAX);
}

static void check_split(snug_slice text, const char *const *want, size_t n)
{
    snug_slice head;
    for (size_t i = 0; i < n; i++) {
        assert_true(snug_split(&text, '/', &head));
        assert_true(snug_eq_str(head, want[i]));
    }
    assert_false(snug_split(&text, '/', &head));
}

static void test_split(void **state)
{
    (void)state;
    check_split(L("a/b//c"), (const char *const[]){"a", "b", "", "c"}, 4);
    check_split(L("a"), (const char *const[]){"a"}, 1);
    check_split(L("/"), (const char *const[]){"", ""}, 2);
    check_split(L("a/"), (const char *const[]){"a", ""}, 2);
    check_split(L(""), (const char *const[]){""}, 1);
    check_split(SNUG_EMPTY, NULL, 0);
}

static void test_numbers(void **state)
{
    (void)state;
    uint64_t u = 5;
    int64_t  i = 5;
    assert_true(snug_parse_u64(L("0"), &u) && u == 0);
    assert_true(snug_parse_u64(L("18446744073709551615"), &u) && u == UINT64_MAX);
    u = 5;
    static const char *const bad[] = {
        "", "18446744073709551616", "99999999999999999999999", "-1", "+1", " 1", "1 ", "0x1", "1.0",
        "a"};
    for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) {
        assert_false(snug_parse_u64(snug_str(bad[k]), &u));
        assert_int_equal(u, 5);
    }
    assert_true(snug_parse_i64(L("9223372036854775807"), &i) && i == INT64_MAX);
    assert_true(snug_parse_i64(L("-9223372036854775808"), &i) && i == INT64_MIN);
    assert_true(snug_parse_i64(L("-0"), &i) && i == 0);
    assert_false(snug_parse_i64(L("9223372036854775808"), &i));
    assert_false(snug_parse_i64(L("-9223372036854775809"), &i));
    assert_false(snug_parse_i64(L("-"), &i) || snug_parse_i64(L("--1"), &i) ||
                 snug_parse_i64(L(""), &i));
    assert_int_equal(i, 0);
}

static void test_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t    want;
    } good[] = {
        {"10", 10},
        {"10b", 10},
        {"64k", 65536},
        {"64 KB", 65536},
        {"1KiB", 1024},
        {"512M", 512u << 20},
        {"2GiB", (uint64_t)2 << 30},
        {"1t", (uint64_t)1 << 40},
        {"0", 0},
        {"16777215TiB", (uint64_t)16777215 << 40},
    };
    uint64_t v = 1;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(snug_parse_size(snug_str(good[i].text), &v));
        assert_int_equal(v, good[i].want);
    }
    static const char *const bad[] = {
        "", "k", "-1k", "1.5k", "1x", "1kk", "16777216TiB", "18446744073709551616", "1 k k"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(snug_parse_size(snug_str(bad[i]), &v));
}

static void test_utf8(void **state)
{
    (void)state;
    static const char *const good[] = {"",
                                       "plain ascii that is longer than eight bytes",
                                       "\xc2\x80\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf\xee\x80\x80",
                                       "\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xbf",
                                      "\xc0\xaf",
                                      "\xc1\xbf",
                                      "\xc2",
                                      "\xc2z",
                                      "\xe0\x80\x80",
                                      "\xe0\x9f\xbf",
                                      "\xe1\x80",
                                      "\xed\xa0\x80",
                                      "\xed\xbf\xbf",
                                      "\xf0\x80\x80\x80",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf1\x80\x80",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xfe",
                                      "\xff",
                                      "12345678\xc2"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(snug_utf8_valid(snug_str(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snug_slice tight = check_tight(snug_str(bad[i]));
        assert_false(snug_utf8_valid(tight));
        check_untight(tight);
    }
}

/* Every code point out and in again. */
static void test_utf8_all(void **state)
{
    (void)state;
    for (uint32_t cp = 0; cp <= 0x10ffff; cp++) {
        if (cp >= 0xd800 && cp <= 0xdfff) continue;
        char       bytes[4];
        size_t     n = snug_utf8_put(cp, bytes);
        snug_slice s = {bytes, n};
        if (!snug_utf8_valid(s) || snug_utf8_next(&s) != cp || s.len != 0) fail_msg("U+%04X", cp);
    }
    snug_slice s = L("a\xff\xe4\xb8\xadz");
    assert_int_equal(snug_utf8_next(&s), 'a');
    assert_int_equal(snug_utf8_next(&s), 0xfffd);
    assert_int_equal(snug_utf8_next(&s), 0x4e2d);
    assert_int_equal(snug_utf8_next(&s), 'z');
    assert_int_equal(snug_utf8_next(&s), 0xfffd);
    assert_int_equal(s.len, 0);
}

static void test_cursor(void **state)
{
    (void)state;
    snug_rd r = snug_rd_init(L("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"
                               "abc"));
    assert_int_equal(snug_rd_u8(&r), 1);
    assert_int_equal(snug_rd_u16le(&r), 0x0302);
    assert_int_equal(snug_rd_u32le(&r), 0x07060504);
    assert_int_equal(snug_rd_u64le(&r), 0x0f0e0d0c0b0a0908);
    assert_int_equal(snug_rd_left(&r), 3);
    assert_slice(snug_rd_bytes(&r, 2), "ab");
    assert_false(r.bad);
    assert_slice(snug_rd_bytes(&r, 2), "");
    assert_true(r.bad);
    assert_slice(snug_rd_bytes(&r, 1), ""); /* sticky, though one byte is left */
    assert_int_equal(snug_rd_u8(&r), 0);
    snug_rd huge = snug_rd_init(L("abc"));
    assert_slice(snug_rd_bytes(&huge, UINT64_MAX), "");
    assert_true(huge.bad);
    snug_rd none = snug_rd_init(SNUG_EMPTY);
    assert_int_equal(snug_rd_left(&none), 0);
    assert_slice(snug_rd_bytes(&none, 0), "");
    assert_false(none.bad);
    assert_int_equal(snug_rd_u64le(&none), 0);
    assert_true(none.bad);
}

static void test_checked(void **state)
{
    (void)state;
    size_t v = 7;
    assert_false(snug_add(2, 3, &v));
    assert_int_equal(v, 5);
    assert_true(snug_add(SIZE_MAX, 1, &v));
    assert_int_equal(v, 5);
    assert_false(snug_mul(1u << 20, 1u << 20, &v));
    assert_int_equal(v, (size_t)1 << 40);
    assert_true(snug_mul(SIZE_MAX / 2, 3, &v));
    assert_int_equal(v, (size_t)1 << 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compare),  cmocka_unit_test(test_parts),
        cmocka_unit_test(test_split),    cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_sizes),    cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_utf8_all), cmocka_unit_test(test_cursor),
        cmocka_unit_test(test_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
