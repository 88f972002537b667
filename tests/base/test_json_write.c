/* SPDX-License-Identifier: Apache-2.0 */
/* tests/base/test_json_write.c - the JSON writer, and doubles to and from text. */
#include <float.h>
#include <math.h>

#include "check.h"

static snug_buf      buf;
static snug_json_out out;

static int begin_each(void **state)
{
    (void)state;
    buf = snug_buf_init(1 << 16);
    out = snug_json_out_init(&buf);
    return 0;
}

static int end_each(void **state)
{
    (void)state;
    snug_buf_deinit(&buf);
    return 0;
}

#define assert_written(lit) assert_slice(snug_buf_slice(&buf), lit)

static void test_structure(void **state)
{
    (void)state;
    snug_jo_begin_object(&out);
    snug_jo_kcstr(&out, "s", "x");
    snug_jo_kstr(&out, "e", SNUG_EMPTY);
    snug_jo_ki64(&out, "i", INT64_MIN);
    snug_jo_ku64(&out, "u", UINT64_MAX);
    snug_jo_kf64(&out, "f", 0.1);
    snug_jo_kbool(&out, "t", true);
    snug_jo_key(&out, "a");
    snug_jo_begin_array(&out);
    snug_jo_null(&out);
    snug_jo_bool(&out, false);
    snug_jo_begin_array(&out);
    snug_jo_end_array(&out);
    snug_jo_begin_object(&out);
    snug_jo_end_object(&out);
    snug_jo_strf(&out, "%d-%s", 5, "\"q\"");
    snug_jo_raw(&out, SNUG_LIT("{\"r\":1}"));
    snug_jo_end_array(&out);
    snug_jo_key_slice(&out, SNUG_LIT("k\n"));
    snug_jo_i64(&out, 0);
    snug_jo_end_object(&out);
    assert_written(
        "{\"s\":\"x\",\"e\":\"\",\"i\":-9223372036854775808,\"u\":18446744073709551615,"
        "\"f\":0.1,\"t\":true,\"a\":[null,false,[],{},\"5-\\\"q\\\"\",{\"r\":1}],\"k\\n\":0}");
}

static void test_pretty(void **state)
{
    (void)state;
    snug_arena *a = snug_arena_new();
    snug_json   v;
    assert_int_equal(snug_json_parse(a, SNUG_LIT("{\"x\":[1,{}],\"y\":[]}"), NULL, &v, NULL),
                     SNUG_OK);
    out.pretty = true;
    snug_jo_begin_object(&out);
    snug_jo_ki64(&out, "a", 1);
    snug_jo_key(&out, "b");
    snug_jo_begin_array(&out);
    snug_jo_i64(&out, 2);
    snug_jo_value(&out, v);
    snug_jo_begin_array(&out);
    snug_jo_end_array(&out);
    snug_jo_end_array(&out);
    snug_jo_end_object(&out);
    assert_written(
        "{\n  \"a\": 1,\n  \"b\": [\n    2,\n    {\n      \"x\": [\n        1,\n        {}\n"
        "      ],\n      \"y\": []\n    },\n    []\n  ]\n}");
    snug_arena_free(a);
}

static void test_escapes(void **state)
{
    (void)state;
    snug_jo_str(&out, SNUG_LIT("\"\\/\b\f\n\r\t\x01\x1f\x7f\0z\xc3\xa9"));
    assert_written("\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\\u0000z\xc3\xa9\"");
}

/* Whatever the bytes, what is written is UTF-8: a bad byte becomes U+FFFD. */
static void test_bad_utf8(void **state)
{
    (void)state;
    snug_jo_str(&out, SNUG_LIT("a\xff\xc3(\xed\xa0\x80z\xf0\x9f\x98"));
    assert_written("\"a\xef\xbf\xbd\xef\xbf\xbd("
                   "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    uint64_t rnd = 1;
    for (int i = 0; i < 2000; i++) {
        char        bytes[40], again[400];
        snug_arena *a = snug_arena_new();
        snug_json   v;
        snug_slice  s;
        size_t      n = check_random(&rnd) % sizeof bytes;
        for (size_t k = 0; k < n; k++) bytes[k] = (char)check_random(&rnd);
        snug_buf_clear(&buf);
        snug_jo_str(&out, (snug_slice){bytes, n});
        assert_int_equal(snug_json_parse(a, snug_buf_slice(&buf), NULL, &v, NULL), SNUG_OK);
        assert_true(snug_json_to_str(v, &s) && s.len < sizeof again && snug_utf8_valid(s));
        memcpy(again, s.ptr, s.len);
        if (snug_utf8_valid((snug_slice){bytes, n})) assert_memory_equal(bytes, s.ptr, n);
        snug_arena_free(a);
    }
}

static void test_long_strf(void **state)
{
    (void)state;
    char text[2000];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    snug_jo_strf(&out, "%s", text);
    assert_int_equal(buf.len, sizeof text + 1);
    assert_memory_equal(buf.ptr + 1, text, sizeof text - 1);
}

static void test_full(void **state)
{
    (void)state;
    snug_buf      small = snug_buf_init(10);
    snug_json_out o = snug_json_out_init(&small);
    snug_err      err;
    snug_jo_begin_array(&o);
    for (int i = 0; i < 100; i++) snug_jo_cstr(&o, "four");
    snug_jo_end_array(&o);
    assert_true(small.full && small.len <= 10);
    assert_int_equal(snug_buf_check(&small, "the reply", &err), SNUG_ELIMIT);
    snug_buf_deinit(&small);
}

static void test_several(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) { /* one writer, one value per line */
        snug_jo_begin_object(&out);
        snug_jo_ki64(&out, "i", i);
        snug_jo_end_object(&out);
        snug_buf_putc(&buf, '\n');
    }
    assert_written("{\"i\":0}\n{\"i\":1}\n");
}

/* ---- our own mistakes stop the process ---- */

static void value_without_key(void)
{
    snug_jo_begin_object(&out);
    snug_jo_i64(&out, 1);
}

static void key_in_array(void)
{
    snug_jo_begin_array(&out);
    snug_jo_key(&out, "k");
}

static void key_after_key(void)
{
    snug_jo_begin_object(&out);
    snug_jo_key(&out, "k");
    snug_jo_key(&out, "l");
}

static void end_after_key(void)
{
    snug_jo_begin_object(&out);
    snug_jo_key(&out, "k");
    snug_jo_end_object(&out);
}

static void wrong_bracket(void)
{
    snug_jo_begin_object(&out);
    snug_jo_end_array(&out);
}

static void end_of_nothing(void) { snug_jo_end_array(&out); }

static void too_deep(void)
{
    for (int i = 0; i < 65; i++) snug_jo_begin_array(&out);
}

static void test_mistakes(void **state)
{
    (void)state;
    assert_aborts(value_without_key);
    assert_aborts(key_in_array);
    assert_aborts(key_after_key);
    assert_aborts(end_after_key);
    assert_aborts(wrong_bracket);
    assert_aborts(end_of_nothing);
    assert_aborts(too_deep);
    for (int i = 0; i < 64; i++) snug_jo_begin_array(&out);
    for (int i = 0; i < 64; i++) snug_jo_end_array(&out);
    assert_int_equal(buf.len, 128);
}

/* ---- doubles ---- */

static const struct {
    double      v;
    const char *text; /* as Python's repr writes it */
} reals[] = {
    {0.0, "0.0"},
    {-0.0, "-0.0"},
    {1.0, "1.0"},
    {-1.5, "-1.5"},
    {0.1, "0.1"},
    {0.2, "0.2"},
    {0.1 + 0.2, "0.30000000000000004"},
    {1.0 / 3.0, "0.3333333333333333"},
    {2.0 / 3.0, "0.6666666666666666"},
    {100.0, "100.0"},
    {123456789.125, "123456789.125"},
    {1e15, "1000000000000000.0"},
    {1e16, "1e+16"},
    {9999999999999998.0, "9999999999999998.0"},
    {12345678901234567.0, "1.2345678901234568e+16"},
    {1e21, "1e+21"},
    {1e22, "1e+22"},
    {1e23, "1e+23"},
    {9.5e-5, "9.5e-05"},
    {1e-4, "0.0001"},
    {0.00012345, "0.00012345"},
    {1e-5, "1e-05"},
    {1.5e-10, "1.5e-10"},
    {1e100, "1e+100"},
    {1e-100, "1e-100"},
    {DBL_MAX, "1.7976931348623157e+308"},
    {DBL_MIN, "2.2250738585072014e-308"},
    {4.9406564584124654e-324, "5e-324"},
    {2.2250738585072009e-308, "2.225073858507201e-308"}, /* the largest subnormal */
    {9007199254740992.0, "9007199254740992.0"},
    {9007199254740993.0, "9007199254740992.0"},
    {9007199254740994.0, "9007199254740994.0"},
    {5e-5, "5e-05"},
    {3.141592653589793, "3.141592653589793"},
    {2.718281828459045, "2.718281828459045"},
    {4.35, "4.35"},
    {0.5, "0.5"},
    {299792458.0, "299792458.0"},
    {6.02214076e23, "6.02214076e+23"},
    {6.62607015e-34, "6.62607015e-34"},
    {8.41e21, "8.41e+21"},
    {2.0019531250e0, "2.001953125"},
    {9.007199254740991e15, "9007199254740991.0"},
    {5.764607523034235e39, "5.764607523034235e+39"},
    {1.152921504606847e40, "1.152921504606847e+40"},
    {2.305843009213694e40, "2.305843009213694e+40"},
    {4.708356024711512e18, "4.708356024711512e+18"},
    {9.409340012568248e18, "9.409340012568248e+18"},
    {1.2345678e4, "12345.678"},
};

static void test_real_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof reals / sizeof reals[0]; i++) {
        snug_buf_clear(&buf);
        snug_jo_f64(&out, reals[i].v);
        assert_string_equal(snug_buf_cstr(&buf), reals[i].text);
    }
    snug_buf_clear(&buf);
    snug_jo_begin_array(&out);
    snug_jo_f64(&out, (double)NAN);
    snug_jo_f64(&out, (double)INFINITY);
    snug_jo_f64(&out, -(double)INFINITY);
    snug_jo_end_array(&out);
    assert_written("[null,null,null]");
}

/* What the C library reads from the text we wrote, and how many digits we needed. */
static void check_real(double v)
{
    snug_arena *a = snug_arena_new();
    snug_json   parsed;
    double      back = 0;
    char        shorter[40];
    snug_buf_clear(&buf);
    snug_jo_f64(&out, v);
    const char *text = snug_buf_cstr(&buf);
    double      libc = strtod(text, NULL);
    assert_memory_equal(&libc, &v, sizeof v);
    assert_int_equal(snug_json_parse(a, snug_buf_slice(&buf), NULL, &parsed, NULL), SNUG_OK);
    assert_true(snug_json_to_f64(parsed, &back));
    assert_memory_equal(&back, &v, sizeof v);
    int digits = 0, zeros = 0;
    for (const char *p = text; *p != '\0' && *p != 'e'; p++) {
        if (*p < '0' || *p > '9' || (*p == '0' && digits == 0)) continue;
        digits++;
        zeros = *p == '0' ? zeros + 1 : 0;
    }
    digits -= zeros;
    if (digits < 2) goto done; /* one digit cannot be shortened */
    (void)snprintf(shorter, sizeof shorter, "%.*e", digits - 2, v);
    if (strtod(shorter, NULL) == v) fail_msg("%s is longer than %s", text, shorter);
done:
    snug_arena_free(a);
}

static void test_real_random(void **state)
{
    (void)state;
    uint64_t rnd = 99;
    for (int i = 0; i < 200000; i++) {
        uint64_t bits = check_random(&rnd);
        double   v;
        if (i % 4 == 1)
            bits = (bits & 0x800fffffffffffffu) | (uint64_t)(1000 + i % 50) << 52; /* near 1 */
        if (i % 4 == 2) bits &= 0x800fffffffffffffu | (uint64_t)(i % 8) << 52;     /* tiny */
        memcpy(&v, &bits, sizeof v);
        if (i % 4 == 3) v = (double)(bits % 100000000) / 1000.0;
        if (isfinite(v)) check_real(v);
    }
    for (int e = -1074; e < 1024; e++) { /* every power of two and its neighbours */
        double v = ldexp(1.0, e);
        check_real(v);
        check_real(nextafter(v, 0));
        if (e < 1023) check_real(nextafter(v, INFINITY));
    }
    for (int e = -308; e <= 308; e++) {
        char text[16];
        (void)snprintf(text, sizeof text, "1e%d", e);
        check_real(strtod(text, NULL));
        check_real(nextafter(strtod(text, NULL), 0));
    }
}

/* Text to double: the same bits as the C library for digits of every length. */
static void check_read(const char *text)
{
    snug_arena *a = snug_arena_new();
    snug_json   v;
    double      got = 0, want = strtod(text, NULL);
    snug_err    err;
    snug_status st = snug_json_parse(a, snug_str(text), NULL, &v, &err);
    if (isinf(want)) {
        assert_int_equal(st, SNUG_EINVAL);
    } else {
        assert_int_equal(st, SNUG_OK);
        assert_true(snug_json_to_f64(v, &got));
        if (memcmp(&got, &want, sizeof got) != 0)
            fail_msg("%s: %.17g, want %.17g", text, got, want);
    }
    snug_arena_free(a);
}

static void test_read_random(void **state)
{
    (void)state;
    uint64_t rnd = 5;
    for (int i = 0; i < 200000; i++) {
        char     text[128];
        size_t   n = 0;
        unsigned digits = 1 + (unsigned)(check_random(&rnd) % (i % 3 == 0 ? 40 : 19));
        unsigned point = (unsigned)(check_random(&rnd) % digits);
        if (check_random(&rnd) % 2) text[n++] = '-';
        text[n++] = (char)('1' + check_random(&rnd) % 9);
        for (unsigned d = 1; d < digits; d++) {
            if (d == point) text[n++] = '.';
            text[n++] = (char)('0' + check_random(&rnd) % 10);
        }
        (void)snprintf(text + n, sizeof text - n, "e%d", (int)(check_random(&rnd) % 720) - 370);
        check_read(text);
    }
}

/* Halfway between two doubles, and a hair to either side: rounding decides at the last digit. */
static void test_read_halfway(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "9007199254740993.0",
        "9007199254740993.00000000000000000000000000000000000000001",
        "9007199254740992.99999999999999999999999999999999999999999",
        "9007199254740995.0",
        "0.500000000000000166533453693773481063544750213623046875",
        "1.00000000000000011102230246251565404236316680908203125",
        "1.00000000000000011102230246251565404236316680908203124",
        "1.00000000000000011102230246251565404236316680908203126",
        "2.4703282292062327208e-324",
        "2.4703282292062327209e-324",
        "2.2250738585072011e-308",
        "2.2250738585072012e-308",
        "1.7976931348623158e308",
        "1.7976931348623159e308",
        "179769313486231580793e289",
        "6.9294956446009195e15",
        "3.7455744005952583e15",
        "7.4109846876186981e-323",
        "8.98846567431158e307",
        "1e-1000000000000",
        "0.000e99999999999",
        "4503599627370496.5",
        "4503599627370497.5",
        "5e-324",
        "3e-324",
        "2e-324",
        "123456789012345678901234567890123456789012345678901234567890e-20",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) check_read(texts[i]);
    uint64_t rnd = 8;
    for (int i = 0; i < 3000; i++) { /* (2m+1) * 2^(e-1) in full */
        uint64_t    m = (uint64_t)1 << 52 | (check_random(&rnd) >> 12);
        int         e = (int)(check_random(&rnd) % 200) - 100;
        char        text[512];
        double      low = ldexp((double)m, e);
        long double half = ldexpl((long double)m + 0.5L, e);
        (void)snprintf(text, sizeof text, "%.110Lf", half);
        check_read(text);
        (void)snprintf(text, sizeof text, "%.110f", low);
        check_read(text);
        (void)snprintf(text, sizeof text, "%.18Le", half);
        check_read(text);
    }
}

static void test_long_number(void **state)
{
    (void)state;
    enum { N = 100000 };
    char *text = malloc(N + 16);
    assert_non_null(text);
    memset(text, '3', N);
    memcpy(text, "0.", 2);
    text[N] = '\0';
    check_read(text);
    memset(text, '7', N);
    (void)snprintf(text + N, 16, "e-%d", N);
    check_read(text);
    memset(text, '0', N);
    memcpy(text, "0.", 2);
    (void)snprintf(text + N, 16, "1e%d", N);
    check_read(text);
    free(text);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, begin_each, end_each)
    const struct CMUnitTest tests[] = {
        T(test_structure),   T(test_pretty),      T(test_escapes),     T(test_bad_utf8),
        T(test_long_strf),   T(test_full),        T(test_several),     T(test_mistakes),
        T(test_real_table),  T(test_real_random), T(test_read_random), T(test_read_halfway),
        T(test_long_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
