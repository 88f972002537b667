/* SPDX-License-Identifier: Apache-2.0 */
/* tests/base/test_json.c - what the JSON reader accepts, refuses and says, and its look-ups. */
#include <float.h>
#include <math.h>

#include "check.h"

/* Parses a tight copy in both ways of holding the text; they must agree. */
static snug_status parse_both(snug_slice text, unsigned flags, snug_buf *out, snug_err *err)
{
    snug_status got[2];
    snug_slice  written[2];
    snug_buf    bufs[2] = {snug_buf_init(1 << 26), snug_buf_init(1 << 26)};
    snug_err    errs[2];
    for (unsigned i = 0; i < 2; i++) {
        snug_json_opts o = {.flags = flags | (i == 1 ? SNUG_JSON_BORROW : 0u)};
        snug_arena    *a = snug_arena_new();
        snug_slice     tight = check_tight(text);
        snug_json      v;
        snug_err_clear(&errs[i]);
        got[i] = snug_json_parse(a, tight, &o, &v, &errs[i]);
        if (i == 0) check_untight(tight); /* a copying reader must not need it any more */
        if (got[i] == SNUG_OK) {
            snug_json_out jo = snug_json_out_init(&bufs[i]);
            snug_jo_value(&jo, v);
        } else {
            assert_null(v.node);
        }
        if (i == 1) check_untight(tight);
        written[i] = snug_buf_slice(&bufs[i]);
        snug_arena_free(a);
    }
    assert_int_equal(got[0], got[1]);
    assert_string_equal(errs[0].msg, errs[1].msg);
    assert_true(snug_eq(written[0], written[1]));
    if (out != NULL) snug_buf_put_slice(out, written[0]);
    if (err != NULL) *err = errs[0];
    snug_buf_deinit(&bufs[0]);
    snug_buf_deinit(&bufs[1]);
    return got[0];
}

#define T(text) text, sizeof(text) - 1

/* ---- documents that must be read, and what they are when written again ---- */

static const struct {
    const char *text;
    size_t      len;
    const char *want;
    size_t      want_len;
} valid[] = {
    {T("0"), T("0")},
    {T("-0"), T("0")},
    {T("-0.0"), T("-0.0")},
    {T("[-1]"), T("[-1]")},
    {T("[0e1]"), T("[0.0]")},
    {T("[0e+1,0E-1,1E5,1e-2,-1.5e+3]"), T("[0.0,0.0,100000.0,0.01,-1500.0]")},
    {T("[123.456789]"), T("[123.456789]")},
    {T("[9223372036854775807,-9223372036854775808]"),
     T("[9223372036854775807,-9223372036854775808]")},
    {T("[9223372036854775808,18446744073709551615]"),
     T("[9223372036854775808,18446744073709551615]")},
    {T("[18446744073709551616]"), T("[1.8446744073709552e+19]")},
    {T("[-9223372036854775809]"), T("[-9.223372036854776e+18]")},
    {T("[-18446744073709551615]"), T("[-1.8446744073709552e+19]")},
    {T("[-10000000000000000001,-9999999999999999999]"), T("[-1e+19,-1e+19]")},
    {T("[12345678901234567890123,-12345678901234567890123]"),
     T("[1.2345678901234568e+22,-1.2345678901234568e+22]")},
    {T("[100000000000000000000000]"), T("[1e+23]")},
    {T("[1e-400]"), T("[0.0]")},
    {T("[-1e-400]"), T("[-0.0]")},
    {T("[0.0000000000000000000000000000000000000000000000000000000000000000000000000001]"),
     T("[1e-76]")},
    {T("[5e-324,1.7976931348623157e308]"), T("[5e-324,1.7976931348623157e+308]")},
    {T("true"), T("true")},
    {T(" false "), T("false")},
    {T("\n\t\r null\n\t\r "), T("null")},
    {T("\"\""), T("\"\"")},
    {T("\"a\""), T("\"a\"")},
    {T("[]"), T("[]")},
    {T("[ \n]"), T("[]")},
    {T("{}"), T("{}")},
    {T("{ \t}"), T("{}")},
    {T("[[],{},[{}]]"), T("[[],{},[{}]]")},
    {T(" [ 1 , 2 ] "), T("[1,2]")},
    {T("{\"a\":1,\"b\":[true,false,null]}"), T("{\"a\":1,\"b\":[true,false,null]}")},
    {T("{ \"a\" : { \"b\" : 1 } , \"c\" : 2 }"), T("{\"a\":{\"b\":1},\"c\":2}")},
    {T("{\"\":0}"), T("{\"\":0}")},
    {T("{\"a\":1,\"a\":2}"), T("{\"a\":1,\"a\":2}")},
    {T("[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]"), T("[\"\\\"\\\\/\\b\\f\\n\\r\\t\"]")},
    {T("[\"\\u0041\\u00e9\\u4e2d\\uFfFf\"]"), T("[\"A\xc3\xa9\xe4\xb8\xad\xef\xbf\xbf\"]")},
    {T("[\"\\ud834\\udd1e\\uD83D\\uDE00\"]"), T("[\"\xf0\x9d\x84\x9e\xf0\x9f\x98\x80\"]")},
    {T("[\"\\uD800\\uDC00\\uDBFF\\uDFFF\"]"), T("[\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"]")},
    {T("[\"\\u0000\\u001f\"]"), T("[\"\\u0000\\u001f\"]")},
    {T("[\"\x7f\"]"), T("[\"\x7f\"]")},
    {T("[\"\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\""
       "]"),
     T("[\"\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\""
       "]")},
    {T("[\"\xe2\x80\xa8\xe2\x80\xa9\xef\xbb\xbf\"]"),
     T("[\"\xe2\x80\xa8\xe2\x80\xa9\xef\xbb\xbf\"]")},
    {T("[\"0123456789abcdef0123456789abcdef\",\"0123456789abcde\\n0123456789abcdef0\"]"),
     T("[\"0123456789abcdef0123456789abcdef\",\"0123456789abcde\\n0123456789abcdef0\"]")},
    {T("{\"\\u0061\\n\":\"x\"}"), T("{\"a\\n\":\"x\"}")},
};

static void test_valid(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof valid / sizeof valid[0]; i++) {
        snug_buf    b = snug_buf_init(1 << 16);
        snug_err    err;
        snug_slice  text = {valid[i].text, valid[i].len};
        snug_status st = parse_both(text, 0, &b, &err);
        if (st != SNUG_OK) print_error("%s: %s\n", valid[i].text, err.msg);
        assert_int_equal(st, SNUG_OK);
        check_slice(snug_buf_slice(&b), valid[i].want, valid[i].want_len, __FILE__, __LINE__);
        snug_buf_deinit(&b);
    }
}

/* ---- documents that must be refused, and where ---- */

static const struct {
    const char *text;
    size_t      len;
    const char *msg;
} invalid[] = {
    /* nothing, or not all of it */
    {T(""), "line 1 column 1: the text ends too early"},
    {T(" \n "), "line 2 column 2: the text ends too early"},
    {T("["), "line 1 column 2: the text ends too early"},
    {T("{"), "line 1 column 2: the text ends too early"},
    {T("[1"), "line 1 column 3: the text ends too early"},
    {T("[1,"), "line 1 column 4: the text ends too early"},
    {T("[[]"), "line 1 column 4: the text ends too early"},
    {T("{\"a\":{}"), "line 1 column 8: the text ends too early"},
    {T("{\"a\""), "line 1 column 5: the text ends too early"},
    {T("{\"a\":"), "line 1 column 6: the text ends too early"},
    {T("{\"a\":1"), "line 1 column 7: the text ends too early"},
    {T("\""), "line 1 column 2: the text ends too early"},
    {T("\"abc"), "line 1 column 5: the text ends too early"},
    {T("[\"abc]"), "line 1 column 7: the text ends too early"},
    {T("[\"abc\\\"]"), "line 1 column 9: the text ends too early"},
    {T("[\"\\n]"), "line 1 column 6: the text ends too early"},
    /* more than one document, or something behind it */
    {T("1 2"), "line 1 column 3: something follows the end of the document"},
    {T("[] []"), "line 1 column 4: something follows the end of the document"},
    {T("[]]"), "line 1 column 3: something follows the end of the document"},
    {T("{}}"), "line 1 column 3: something follows the end of the document"},
    {T("[1],"), "line 1 column 4: something follows the end of the document"},
    {T("{}#"), "line 1 column 3: something follows the end of the document"},
    {T("[]\0"), "line 1 column 3: something follows the end of the document"},
    {T("\"a\"b"), "line 1 column 4: something follows the end of the document"},
    {T("nulll"), "line 1 column 5: something follows the end of the document"},
    /* commas, colons, brackets */
    {T("[,1]"), "line 1 column 2: a value was expected here"},
    {T("[1,]"), "line 1 column 4: a value was expected here"},
    {T("[1,,2]"), "line 1 column 4: a value was expected here"},
    {T("[1 2]"), "line 1 column 4: a comma or ] was expected here"},
    {T("[\"a\" \"b\"]"), "line 1 column 6: a comma or ] was expected here"},
    {T("[1:2]"), "line 1 column 3: a comma or ] was expected here"},
    {T("[1}"), "line 1 column 3: a comma or ] was expected here"},
    {T("{\"a\":1]"), "line 1 column 7: a comma or } was expected here"},
    {T("{\"a\":1,}"), "line 1 column 8: a key in double quotes was expected here"},
    {T("{,}"), "line 1 column 2: a key in double quotes was expected here"},
    {T("{\"a\" 1}"), "line 1 column 6: a colon must follow a key"},
    {T("{\"a\",1}"), "line 1 column 5: a colon must follow a key"},
    {T("{\"a\"::1}"), "line 1 column 6: a value was expected here"},
    {T("{\"a\":}"), "line 1 column 6: a value was expected here"},
    {T("{\"a\":1 \"b\":2}"), "line 1 column 8: a comma or } was expected here"},
    {T("{\"a\"}"), "line 1 column 5: a colon must follow a key"},
    {T("]"), "line 1 column 1: a value was expected here"},
    {T("}"), "line 1 column 1: a value was expected here"},
    {T(","), "line 1 column 1: a value was expected here"},
    {T(":"), "line 1 column 1: a value was expected here"},
    /* keys */
    {T("{1:1}"), "line 1 column 2: a key in double quotes was expected here"},
    {T("{a:1}"), "line 1 column 2: a key in double quotes was expected here"},
    {T("{'a':1}"), "line 1 column 2: a key in double quotes was expected here"},
    {T("{null:1}"), "line 1 column 2: a key in double quotes was expected here"},
    {T("{[]:1}"), "line 1 column 2: a key in double quotes was expected here"},
    /* words */
    {T("tru"), "line 1 column 1: a value was expected here"},
    {T("[True]"), "line 1 column 2: a value was expected here"},
    {T("[TRUE]"), "line 1 column 2: a value was expected here"},
    {T("[nul]"), "line 1 column 2: a value was expected here"},
    {T("[fals e]"), "line 1 column 2: a value was expected here"},
    {T("[undefined]"), "line 1 column 2: a value was expected here"},
    {T("[truefalse]"), "line 1 column 6: a comma or ] was expected here"},
    {T("[NaN]"), "line 1 column 2: JSON has no such number"},
    {T("[-Infinity]"), "line 1 column 2: JSON has no such number"},
    {T("[Infinity]"), "line 1 column 2: JSON has no such number"},
    {T("[-Inf]"), "line 1 column 2: a value was expected here"},
    {T("[-NaN]"), "line 1 column 3: a digit must follow the minus"},
    {T("[nan]"), "line 1 column 2: a value was expected here"},
    /* numbers */
    {T("-"), "line 1 column 2: the text ends too early"},
    {T("[-]"), "line 1 column 3: a digit must follow the minus"},
    {T("[--1]"), "line 1 column 3: a digit must follow the minus"},
    {T("[- 1]"), "line 1 column 3: a digit must follow the minus"},
    {T("[+1]"), "line 1 column 2: a value was expected here"},
    {T("[01]"), "line 1 column 2: a number must not start with 0"},
    {T("[-01]"), "line 1 column 3: a number must not start with 0"},
    {T("[00]"), "line 1 column 2: a number must not start with 0"},
    {T("[00.5]"), "line 1 column 2: a number must not start with 0"},
    {T("[.5]"), "line 1 column 2: a value was expected here"},
    {T("[-.5]"), "line 1 column 3: a digit must follow the minus"},
    {T("[1.]"), "line 1 column 4: a digit must follow the point"},
    {T("[1.e5]"), "line 1 column 4: a digit must follow the point"},
    {T("[1.2.3]"), "line 1 column 5: a comma or ] was expected here"},
    {T("[1e]"), "line 1 column 3: an exponent without digits"},
    {T("[1e+]"), "line 1 column 3: an exponent without digits"},
    {T("[1E-]"), "line 1 column 3: an exponent without digits"},
    {T("[1e1.5]"), "line 1 column 5: a comma or ] was expected here"},
    {T("[1e++1]"), "line 1 column 3: an exponent without digits"},
    {T("[0x10]"), "line 1 column 3: a comma or ] was expected here"},
    {T("[1_000]"), "line 1 column 3: a comma or ] was expected here"},
    {T("[1a]"), "line 1 column 3: a comma or ] was expected here"},
    {T("[1f]"), "line 1 column 3: a comma or ] was expected here"},
    {T("[1-2]"), "line 1 column 3: a comma or ] was expected here"},
    {T("[\xef\xbc\x91]"), "line 1 column 2: a value was expected here"},
    {T("[1e309]"), "line 1 column 2: a number beyond the range of a double"},
    {T("[-1.8e308]"), "line 1 column 2: a number beyond the range of a double"},
    {T("[1e999999999999999999999]"), "line 1 column 2: a number beyond the range of a double"},
    /* strings */
    {T("['a']"), "line 1 column 2: a value was expected here"},
    {T("[abc]"), "line 1 column 2: a value was expected here"},
    {T("[\"a\nb\"]"), "line 1 column 4: a control character in a string must be escaped"},
    {T("[\"\t\"]"), "line 1 column 3: a control character in a string must be escaped"},
    {T("[\"\\n\t\"]"), "line 1 column 5: a control character in a string must be escaped"},
    {T("[\"a\0b\"]"), "line 1 column 4: a control character in a string must be escaped"},
    {T("[\"\\a\"]"), "line 1 column 4: no such escape in a string"},
    {T("[\"\\x41\"]"), "line 1 column 4: no such escape in a string"},
    {T("[\"\\'\"]"), "line 1 column 4: no such escape in a string"},
    {T("[\"\\0\"]"), "line 1 column 4: no such escape in a string"},
    {T("[\"\\ \"]"), "line 1 column 4: no such escape in a string"},
    {T("[\"\\U0041\"]"), "line 1 column 4: no such escape in a string"},
    {T("[\"\\\xc3\xa9\"]"), "line 1 column 4: no such escape in a string"},
    {T("[\"\\u\"]"), "line 1 column 4: \\u wants four hex digits"},
    {T("[\"\\u00\"]"), "line 1 column 4: \\u wants four hex digits"},
    {T("[\"\\u004\"]"), "line 1 column 4: \\u wants four hex digits"},
    {T("[\"\\u00g0\"]"), "line 1 column 4: \\u wants four hex digits"},
    {T("[\"\\u 041\"]"), "line 1 column 4: \\u wants four hex digits"},
    {T("[\"\\u+041\"]"), "line 1 column 4: \\u wants four hex digits"},
    {T("[\"\\u{41}\"]"), "line 1 column 4: \\u wants four hex digits"},
    {T("[\"\\ud800\"]"), "line 1 column 4: a high surrogate without its low one"},
    {T("[\"\\ud800x\"]"), "line 1 column 4: a high surrogate without its low one"},
    {T("[\"\\ud800\\n\"]"), "line 1 column 4: a high surrogate without its low one"},
    {T("[\"\\ud800\\u0041\"]"), "line 1 column 4: a high surrogate without its low one"},
    {T("[\"\\ud800\\ud800\"]"), "line 1 column 4: a high surrogate without its low one"},
    {T("[\"\\ud800\\u\"]"), "line 1 column 4: a high surrogate without its low one"},
    {T("[\"\\ud800\\udc0\"]"), "line 1 column 4: a high surrogate without its low one"},
    {T("[\"\\udc00\"]"), "line 1 column 4: a low surrogate without its high one"},
    {T("[\"\\udc00\\ud800\"]"), "line 1 column 4: a low surrogate without its high one"},
    /* bytes that are not UTF-8 */
    {T("[\"\x80\"]"), "line 1 column 3: not UTF-8"},
    {T("[\"\xbf\"]"), "line 1 column 3: not UTF-8"},
    {T("[\"\xc3\"]"), "line 1 column 3: not UTF-8"},
    {T("[\"\xc3(\"]"), "line 1 column 3: not UTF-8"},
    {T("[\"\xc0\x80\"]"), "line 1 column 3: not UTF-8"},
    {T("[\"\xc1\xbf\"]"), "line 1 column 3: not UTF-8"},
    {T("[\"\xe0\x80\x80\"]"), "line 1 column 3: not UTF-8"},
    {T("[\"\xe0\x9f\xbf\"]"), "line 1 column 3: not UTF-8"},
    {T("[\"\xe4\xb8\"]"), "line 1 column 3: not UTF-8"},
    {T("[\"\xed\xa0\x80\"]"), "line 1 column 3: not UTF-8"},
    {T("[\"\xed\xbf\xbf\"]"), "line 1 column 3: not UTF-8"},
    {T("[\"\xf0\x80\x80\x80\"]"), "line 1 column 3: not UTF-8"},
    {T("[\"\xf0\x8f\xbf\xbf\"]"), "line 1 column 3: not UTF-8"},
    {T("[\"\xf0\x9f\x98\"]"), "line 1 column 3: not UTF-8"},
    {T("[\"\xf4\x90\x80\x80\"]"), "line 1 column 3: not UTF-8"},
    {T("[\"\xf5\x80\x80\x80\"]"), "line 1 column 3: not UTF-8"},
    {T("[\"\xff\"]"), "line 1 column 3: not UTF-8"},
    {T("[\"\xfe\"]"), "line 1 column 3: not UTF-8"},
    {T("[\"\\n\xff\"]"), "line 1 column 5: not UTF-8"},
    {T("{\"\xff\":1}"), "line 1 column 3: not UTF-8"},
    {T("\xff"), "line 1 column 1: a value was expected here"},
    {T("[1,\xe9]"), "line 1 column 4: a value was expected here"},
    {T("\xef\xbb\xbf[]"), "line 1 column 1: the text must not start with a byte order mark"},
    {T("\xff\xfe[\0]\0"), "line 1 column 1: a value was expected here"},
    {T("[\0]\0"), "line 1 column 2: a value was expected here"},
    /* white space and comments JSON does not have */
    {T("[1]\f"), "line 1 column 4: something follows the end of the document"},
    {T("[\v1]"), "line 1 column 2: a value was expected here"},
    {T("[\xc2\xa0]"), "line 1 column 2: a value was expected here"},
    {T("[1] // no"), "line 1 column 5: something follows the end of the document"},
    {T("/* no */ []"), "line 1 column 1: a value was expected here"},
    {T("[1 /* no */]"), "line 1 column 4: a comma or ] was expected here"},
    {T("# no\n[]"), "line 1 column 1: a value was expected here"},
    /* lines and columns: characters, not bytes */
    {T("[\n  \"\xc3\xa9\xe4\xb8\xad\" 1]"), "line 2 column 8: a comma or ] was expected here"},
    {T("{\n\"a\": 1,\r\n\"b\" 2}"), "line 3 column 5: a colon must follow a key"},
};

static void test_invalid(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof invalid / sizeof invalid[0]; i++) {
        snug_err    err;
        snug_slice  text = {invalid[i].text, invalid[i].len};
        snug_status st = parse_both(text, 0, NULL, &err);
        if (st != SNUG_EINVAL || strcmp(err.msg, invalid[i].msg) != 0)
            print_error("case %zu, \"%s\": \"%s\"\n", i, invalid[i].text, err.msg);
        assert_int_equal(st, SNUG_EINVAL);
        assert_string_equal(err.msg, invalid[i].msg);
        assert_int_equal(err.status, SNUG_EINVAL);
        assert_int_equal(parse_both(text, SNUG_JSON_UNIQUE, NULL, NULL), SNUG_EINVAL);
    }
}

/* Every beginning of a document with all kinds of values is refused. */
static void test_truncated(void **state)
{
    (void)state;
    static const char text[] =
        "{\"a\":[1,-2.5e3,true,false,null,\"x\\u00e9\\ud83d\\ude00\\n\xc3\xa9\"],"
        "\"long key of more than sixteen bytes\":{\"\\\\\":[[[]]]},\"n\":[{}]}";
    for (size_t n = 0; n < sizeof text - 1; n++)
        assert_int_equal(parse_both((snug_slice){text, n}, 0, NULL, NULL), SNUG_EINVAL);
    assert_int_equal(parse_both((snug_slice){text, sizeof text - 1}, 0, NULL, NULL), SNUG_OK);
}

/* ---- limits ---- */

static snug_status parse_opts(snug_slice text, snug_json_opts o, snug_err *err)
{
    snug_arena *a = snug_arena_new();
    snug_slice  tight = check_tight(text);
    snug_json   v;
    snug_status st = snug_json_parse(a, tight, &o, &v, err);
    check_untight(tight);
    snug_arena_free(a);
    return st;
}

static snug_slice brackets(char *room, size_t depth)
{
    memset(room, '[', depth);
    memset(room + depth, ']', depth);
    return (snug_slice){room, 2 * depth};
}

static void test_depth(void **state)
{
    (void)state;
    static char room[4096];
    snug_err    err;
    assert_int_equal(parse_opts(brackets(room, 128), (snug_json_opts){0}, &err), SNUG_OK);
    assert_int_equal(parse_opts(brackets(room, 129), (snug_json_opts){0}, &err), SNUG_ELIMIT);
    assert_string_equal(err.msg, "line 1 column 129: nested deeper than the limit");
    assert_int_equal(parse_opts(brackets(room, 3), (snug_json_opts){.depth_max = 3}, &err),
                     SNUG_OK);
    assert_int_equal(parse_opts(brackets(room, 4), (snug_json_opts){.depth_max = 3}, &err),
                     SNUG_ELIMIT);
    /* side by side is not deep */
    assert_int_equal(
        parse_opts(SNUG_LIT("[[],[],{},{\"a\":[]}]"), (snug_json_opts){.depth_max = 3}, &err),
        SNUG_OK);
    /* the cap on the option itself */
    snug_json_opts huge = {.depth_max = UINT32_MAX};
    assert_int_equal(parse_opts(brackets(room, 1024), huge, &err), SNUG_OK);
    assert_int_equal(parse_opts(brackets(room, 1025), huge, &err), SNUG_ELIMIT);
}

static void test_deep_write(void **state)
{
    (void)state;
    static char    room[4096];
    snug_slice     text = brackets(room, 1024);
    snug_arena    *a = snug_arena_new();
    snug_buf       b = snug_buf_init(8192);
    snug_json      v;
    snug_json_opts o = {.depth_max = 1024};
    assert_int_equal(snug_json_parse(a, text, &o, &v, NULL), SNUG_OK);
    snug_json_out jo = snug_json_out_init(&b);
    snug_jo_begin_array(&jo); /* deeper than the writer's own nesting may be */
    snug_jo_value(&jo, v);
    snug_jo_end_array(&jo);
    assert_int_equal(b.len, text.len + 2);
    snug_buf_deinit(&b);
    snug_arena_free(a);
}

static void test_many_open(void **state)
{
    (void)state;
    size_t n = 1 << 20;
    char  *p = malloc(n);
    assert_non_null(p);
    memset(p, '[', n);
    assert_int_equal(parse_both((snug_slice){p, n}, 0, NULL, NULL), SNUG_ELIMIT);
    for (size_t i = 0; i + 5 <= n; i += 5) memcpy(p + i, "{\"\":[", 5);
    assert_int_equal(parse_both((snug_slice){p, n}, 0, NULL, NULL), SNUG_ELIMIT);
    free(p);
}

static void test_size(void **state)
{
    (void)state;
    snug_err err;
    assert_int_equal(parse_opts(SNUG_LIT("[1,2]"), (snug_json_opts){.size_max = 5}, &err), SNUG_OK);
    assert_int_equal(parse_opts(SNUG_LIT("[1,2] "), (snug_json_opts){.size_max = 5}, &err),
                     SNUG_ELIMIT);
    assert_string_equal(err.msg, "JSON of 6 bytes is larger than the limit of 5");
    /* refused by its length alone: the byte at ptr is all there is */
    snug_slice  lie = {"[", (size_t)65 << 20};
    snug_arena *a = snug_arena_new();
    snug_json   v;
    assert_int_equal(snug_json_parse(a, lie, NULL, &v, &err), SNUG_ELIMIT);
    snug_arena_free(a);
}

/* ---- options ---- */

static void test_unique(void **state)
{
    (void)state;
    snug_err err;
    assert_int_equal(parse_both(SNUG_LIT("{\"a\":1,\"b\":{\"a\":2},\"c\":[{\"a\":1},{\"a\":1}]}"),
                                SNUG_JSON_UNIQUE, NULL, &err),
                     SNUG_OK);
    assert_int_equal(
        parse_both(SNUG_LIT("{\"a\":1,\n \"b\":2, \"a\":3}"), SNUG_JSON_UNIQUE, NULL, &err),
        SNUG_EINVAL);
    assert_string_equal(err.msg, "line 2 column 9: a key comes twice");
    /* equal once the escapes are gone */
    assert_int_equal(parse_opts(SNUG_LIT("{\"a\":1,\"\\u0061\":3}"),
                                (snug_json_opts){.flags = SNUG_JSON_UNIQUE}, &err),
                     SNUG_EINVAL);
    assert_int_equal(
        parse_opts(SNUG_LIT("{\"\":1,\"\":3}"), (snug_json_opts){.flags = SNUG_JSON_UNIQUE}, &err),
        SNUG_EINVAL);
}

/* An object of n members k0..k(n-1); member `twin` repeats the key of member `of`. */
static snug_slice big_object(snug_buf *b, unsigned n, unsigned twin, unsigned of)
{
    snug_json_out o = snug_json_out_init(b);
    char          key[32];
    snug_jo_begin_object(&o);
    for (unsigned i = 0; i < n; i++) {
        (void)snprintf(key, sizeof key, "k%u", i == twin ? of : i);
        snug_jo_ku64(&o, key, i);
    }
    snug_jo_end_object(&o);
    return snug_buf_slice(b);
}

static void test_unique_large(void **state)
{
    (void)state;
    static const unsigned sizes[] = {2, 31, 32, 33, 34, 64, 1000, 200000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        unsigned n = sizes[i];
        snug_buf b = snug_buf_init(1 << 24);
        snug_err err;
        assert_int_equal(parse_both(big_object(&b, n, n, 0), SNUG_JSON_UNIQUE, NULL, &err),
                         SNUG_OK);
        snug_buf_clear(&b);
        snug_slice twin = big_object(&b, n, n - 1, n / 2 - 1);
        assert_int_equal(parse_both(twin, SNUG_JSON_UNIQUE, NULL, &err), SNUG_EINVAL);
        assert_non_null(strstr(err.msg, "a key comes twice"));
        assert_int_equal(parse_both(twin, 0, NULL, &err), SNUG_OK);
        snug_buf_deinit(&b);
    }
}

static void test_bare_ctrl(void **state)
{
    (void)state;
    snug_buf   b = snug_buf_init(1 << 10);
    snug_slice text = SNUG_LIT("[\"a\n\x01\0b\\\\\t\"]");
    assert_int_equal(parse_both(text, SNUG_JSON_BARE_CTRL, &b, NULL), SNUG_OK);
    assert_slice(snug_buf_slice(&b), "[\"a\\n\\u0001\\u0000b\\\\\\t\"]");
    assert_int_equal(parse_both(SNUG_LIT("[\"a\n"), SNUG_JSON_BARE_CTRL, NULL, NULL), SNUG_EINVAL);
    assert_int_equal(parse_both(SNUG_LIT("[\"\\\\a\n"), SNUG_JSON_BARE_CTRL, NULL, NULL),
                     SNUG_EINVAL);
    snug_buf_deinit(&b);
}

static void test_nonfinite(void **state)
{
    (void)state;
    snug_arena    *a = snug_arena_new();
    snug_json_opts o = {.flags = SNUG_JSON_NONFINITE};
    snug_json      v;
    double         d;
    assert_int_equal(snug_json_parse(a, SNUG_LIT("[NaN, Infinity,-Infinity, -1]"), &o, &v, NULL),
                     SNUG_OK);
    assert_true(snug_json_to_f64(snug_json_at(v, 0), &d) && isnan(d));
    assert_true(snug_json_to_f64(snug_json_at(v, 1), &d) && isinf(d) && d > 0);
    assert_true(snug_json_to_f64(snug_json_at(v, 2), &d) && isinf(d) && d < 0);
    assert_true(snug_json_to_f64(snug_json_at(v, 3), &d) && d == -1);
    assert_int_equal(snug_json_parse(a, SNUG_LIT("[-Infinit]"), &o, &v, NULL), SNUG_EINVAL);
    assert_int_equal(snug_json_parse(a, SNUG_LIT("[1e999]"), &o, &v, NULL), SNUG_EINVAL);
    snug_arena_free(a);
}

static void test_borrow(void **state)
{
    (void)state;
    static const char text[] = "{\"plain\":\"stays\",\"esc\":\"a\\nb\"}";
    snug_arena       *a = snug_arena_new();
    snug_json_opts    o = {.flags = SNUG_JSON_BORROW};
    snug_json         v;
    snug_slice        s;
    assert_int_equal(snug_json_parse(a, snug_str(text), &o, &v, NULL), SNUG_OK);
    assert_true(snug_json_to_str(snug_json_get(v, "plain"), &s));
    assert_ptr_equal(s.ptr, strstr(text, "stays"));
    assert_true(snug_json_to_str(snug_json_get(v, "esc"), &s));
    assert_slice(s, "a\nb");
    assert_int_equal(snug_json_parse(a, snug_str(text), NULL, &v, NULL), SNUG_OK);
    assert_true(snug_json_to_str(snug_json_get(v, "plain"), &s));
    assert_slice(s, "stays");
    assert_true(s.ptr < text || s.ptr >= text + sizeof text);
    snug_arena_free(a);
}

/* ---- look-ups ---- */

static snug_json parse_ok(snug_arena *a, const char *text)
{
    snug_json v;
    snug_err  err;
    if (snug_json_parse(a, snug_str(text), NULL, &v, &err) != SNUG_OK) fail_msg("%s", err.msg);
    return v;
}

static void test_get(void **state)
{
    (void)state;
    snug_arena *a = snug_arena_new();
    snug_json   v = parse_ok(a, "{\"a\":1,\"b\":{\"c\":[10,20,30]},\"a\":2,\"n\":null,\"\":5}");
    int64_t     i = 0;
    assert_true(snug_json_to_i64(snug_json_get(v, "a"), &i) && i == 2); /* the last one */
    assert_true(snug_json_to_i64(snug_json_get(v, ""), &i) && i == 5);
    assert_true(snug_json_to_i64(snug_json_get_slice(v, SNUG_EMPTY), &i) && i == 5);
    assert_int_equal(snug_json_count(v), 5);
    assert_int_equal(snug_json_kind(snug_json_get(v, "x")), SNUG_JSON_ABSENT);
    assert_int_equal(snug_json_kind(snug_json_get(v, "n")), SNUG_JSON_NULL);
    assert_int_equal(snug_json_kind(snug_json_get(v, "aa")), SNUG_JSON_ABSENT);
    snug_json c = snug_json_get(snug_json_get(v, "b"), "c");
    assert_int_equal(snug_json_count(c), 3);
    assert_true(snug_json_to_i64(snug_json_at(c, 2), &i) && i == 30);
    assert_null(snug_json_at(c, 3).node);
    assert_null(snug_json_at(c, SIZE_MAX).node);
    assert_null(snug_json_at(v, 0).node);
    assert_null(snug_json_get(c, "a").node);
    /* absent goes through everything */
    snug_json none = snug_json_get(snug_json_at(snug_json_get(v, "q"), 1), "r");
    assert_int_equal(snug_json_kind(none), SNUG_JSON_ABSENT);
    assert_int_equal(snug_json_count(none), 0);
    assert_false(snug_json_to_i64(none, &i));
    snug_arena_free(a);
}

static void test_get_large(void **state)
{
    (void)state;
    static const unsigned sizes[] = {32, 33, 100, 5000};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        unsigned    n = sizes[s];
        snug_buf    b = snug_buf_init(1 << 20);
        snug_arena *a = snug_arena_new();
        snug_json   v;
        char        key[32];
        assert_int_equal(snug_json_parse(a, big_object(&b, n, n - 1, 3), NULL, &v, NULL), SNUG_OK);
        assert_int_equal(snug_json_count(v), n);
        for (unsigned i = 0; i < n - 1; i++) {
            uint64_t got = 0;
            (void)snprintf(key, sizeof key, "k%u", i);
            assert_true(snug_json_to_u64(snug_json_get(v, key), &got));
            assert_int_equal(got, i == 3 ? n - 1 : i);
        }
        (void)snprintf(key, sizeof key, "k%u", n - 1);
        assert_null(snug_json_get(v, key).node);
        assert_null(snug_json_get(v, "").node);
        assert_null(snug_json_get(v, "K1").node);
        snug_arena_free(a);
        snug_buf_deinit(&b);
    }
}

typedef struct lookups {
    snug_json v;
    unsigned  n;
    uint64_t  sum;
} lookups;

static void look_up_all(void *arg)
{
    lookups *l = arg;
    char     key[32];
    for (unsigned i = 0; i < l->n; i++) {
        uint64_t got = 0;
        (void)snprintf(key, sizeof key, "k%u", i);
        if (snug_json_to_u64(snug_json_get(l->v, key), &got)) l->sum += got;
    }
}

/* The first look-up fills the table while others search. */
static void test_get_threads(void **state)
{
    (void)state;
    enum { THREADS = 4, N = 2000, ROUNDS = 10 };
    snug_buf   b = snug_buf_init(1 << 20);
    snug_slice text = big_object(&b, N, N, 0);
    for (int round = 0; round < ROUNDS; round++) {
        snug_arena  *a = snug_arena_new();
        snug_json    v;
        lookups      work[THREADS];
        snug_thread *threads[THREADS];
        assert_int_equal(snug_json_parse(a, text, NULL, &v, NULL), SNUG_OK);
        for (int i = 0; i < THREADS; i++) {
            work[i] = (lookups){v, N, 0};
            threads[i] = snug_thread_start("lookups", 0, look_up_all, &work[i]);
        }
        for (int i = 0; i < THREADS; i++) {
            snug_thread_join(threads[i]);
            assert_int_equal(work[i].sum, (uint64_t)N * (N - 1) / 2);
        }
        snug_arena_free(a);
    }
    snug_buf_deinit(&b);
}

static void test_iter(void **state)
{
    (void)state;
    snug_arena                 *a = snug_arena_new();
    snug_json                   v = parse_ok(a, "{\"a\":[1,\"x\",[]],\"b\":\"k\",\"a\":{}}");
    static const char          *keys[] = {"a", "b", "a"};
    static const snug_json_type kinds[] = {SNUG_JSON_ARRAY, SNUG_JSON_STRING, SNUG_JSON_OBJECT};
    size_t                      n = 0;
    for (snug_json_iter it = snug_json_iter_of(v); snug_json_next(&it); n++) {
        assert_true(n < 3 && snug_eq_str(it.key, keys[n]));
        assert_int_equal(snug_json_kind(it.value), kinds[n]);
    }
    assert_int_equal(n, 3);
    n = 0;
    for (snug_json_iter it = snug_json_iter_of(snug_json_at(snug_json_get(v, "q"), 0));
         snug_json_next(&it);)
        n++;
    for (snug_json_iter it = snug_json_iter_of(snug_json_get(v, "b")); snug_json_next(&it);) n++;
    for (snug_json_iter it = snug_json_iter_of(parse_ok(a, "[]")); snug_json_next(&it);) n++;
    assert_int_equal(n, 0);
    static const snug_json_type in_array[] = {SNUG_JSON_INT, SNUG_JSON_STRING, SNUG_JSON_NULL};
    for (snug_json_iter it = snug_json_iter_of(parse_ok(a, "[1,\"x\",null]")); snug_json_next(&it);
         n++) {
        assert_int_equal(it.key.len, 0);
        assert_int_equal(snug_json_kind(it.value), in_array[n]);
    }
    assert_int_equal(n, 3);
    snug_arena_free(a);
}

static void test_convert(void **state)
{
    (void)state;
    snug_arena *a = snug_arena_new();
    snug_json   v = parse_ok(a, "[-9223372036854775808,9223372036854775807,9223372036854775808,"
                                  "18446744073709551615,1.0,\"s\",true,-1,null]");
    int64_t     i = 7;
    uint64_t    u = 7;
    double      d = 7;
    bool        b = false;
    snug_slice  s = SNUG_LIT("untouched");
    assert_true(snug_json_to_i64(snug_json_at(v, 0), &i) && i == INT64_MIN);
    assert_false(snug_json_to_u64(snug_json_at(v, 0), &u));
    assert_true(snug_json_to_i64(snug_json_at(v, 1), &i) && i == INT64_MAX);
    assert_true(snug_json_to_u64(snug_json_at(v, 1), &u) && u == INT64_MAX);
    assert_false(snug_json_to_i64(snug_json_at(v, 2), &i));
    assert_true(snug_json_to_u64(snug_json_at(v, 2), &u) && u == (uint64_t)1 << 63);
    assert_true(snug_json_to_u64(snug_json_at(v, 3), &u) && u == UINT64_MAX);
    assert_true(snug_json_to_f64(snug_json_at(v, 3), &d) && d == 18446744073709551616.0);
    assert_false(snug_json_to_i64(snug_json_at(v, 4), &i)); /* a real is no integer */
    assert_true(snug_json_to_f64(snug_json_at(v, 4), &d) && d == 1.0);
    assert_true(snug_json_to_f64(snug_json_at(v, 7), &d) && d == -1.0);
    assert_false(snug_json_to_u64(snug_json_at(v, 7), &u));
    assert_false(snug_json_to_f64(snug_json_at(v, 5), &d));
    assert_true(snug_json_to_bool(snug_json_at(v, 6), &b) && b);
    assert_false(snug_json_to_bool(snug_json_at(v, 7), &b));
    assert_false(snug_json_to_str(snug_json_at(v, 6), &s));
    assert_slice(s, "untouched");
    assert_true(snug_json_to_str(snug_json_at(v, 5), &s));
    assert_slice(s, "s");
    assert_int_equal(i, INT64_MAX);
    assert_true(snug_json_is(snug_json_at(v, 4), SNUG_JSON_REAL));
    assert_true(snug_json_is(snug_json_at(v, 8), SNUG_JSON_NULL));
    assert_string_equal(snug_json_kind_name(SNUG_JSON_OBJECT), "object");
    assert_string_equal(snug_json_kind_name(SNUG_JSON_STRING), "string");
    snug_arena_free(a);
}

static void test_defaults(void **state)
{
    (void)state;
    snug_arena *a = snug_arena_new();
    snug_json   v = parse_ok(a, "{\"s\":\"x\",\"i\":3,\"d\":2.5,\"t\":true,\"n\":null}");
    snug_err    err;
    snug_slice  s;
    uint64_t    u;
    assert_slice(snug_json_str_or(v, "s", SNUG_LIT("d")), "x");
    assert_slice(snug_json_str_or(v, "n", SNUG_LIT("d")), "d");
    assert_slice(snug_json_str_or(v, "zz", SNUG_LIT("d")), "d");
    assert_int_equal(snug_json_i64_or(v, "i", 9), 3);
    assert_int_equal(snug_json_i64_or(v, "s", 9), 9);
    assert_true(snug_json_f64_or(v, "d", 9) == 2.5 && snug_json_f64_or(v, "i", 9) == 3.0);
    assert_true(snug_json_f64_or(v, "n", 9) == 9.0);
    assert_true(snug_json_bool_or(v, "t", false) && snug_json_bool_or(v, "i", true));
    assert_int_equal(snug_json_need_str(v, "s", &s, &err), SNUG_OK);
    assert_int_equal(snug_json_need_str(v, "i", &s, &err), SNUG_EINVAL);
    assert_string_equal(err.msg, "\"i\" must be a string");
    assert_int_equal(snug_json_need_u64(v, "i", &u, &err), SNUG_OK);
    assert_int_equal(u, 3);
    assert_int_equal(snug_json_need_u64(v, "zz", &u, &err), SNUG_EINVAL);
    assert_string_equal(err.msg, "\"zz\" must be an integer of 0 or more");
    snug_arena_free(a);
}

/* A flat array longer than the reader's first stack, with each element reachable. */
static void test_long_array(void **state)
{
    (void)state;
    snug_buf      b = snug_buf_init(1 << 22);
    snug_arena   *a = snug_arena_new();
    snug_json_out o = snug_json_out_init(&b);
    snug_json     v;
    enum { N = 100000 };
    snug_jo_begin_array(&o);
    for (int i = 0; i < N; i++) snug_jo_i64(&o, i - N / 2);
    snug_jo_end_array(&o);
    assert_int_equal(snug_json_parse(a, snug_buf_slice(&b), NULL, &v, NULL), SNUG_OK);
    assert_int_equal(snug_json_count(v), N);
    for (int i = 0; i < N; i++) {
        int64_t got = 0;
        assert_true(snug_json_to_i64(snug_json_at(v, (size_t)i), &got) && got == i - N / 2);
    }
    snug_arena_free(a);
    snug_buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid),        cmocka_unit_test(test_invalid),
        cmocka_unit_test(test_truncated),    cmocka_unit_test(test_depth),
        cmocka_unit_test(test_deep_write),   cmocka_unit_test(test_many_open),
        cmocka_unit_test(test_size),         cmocka_unit_test(test_unique),
        cmocka_unit_test(test_unique_large), cmocka_unit_test(test_bare_ctrl),
        cmocka_unit_test(test_nonfinite),    cmocka_unit_test(test_borrow),
        cmocka_unit_test(test_get),          cmocka_unit_test(test_get_large),
        cmocka_unit_test(test_get_threads),  cmocka_unit_test(test_iter),
        cmocka_unit_test(test_convert),      cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_long_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
