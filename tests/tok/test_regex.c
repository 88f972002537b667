/* SPDX-License-Identifier: Apache-2.0 */
/* tests/tok/test_regex.c - what the dialect becomes, the hand-written splitter against the engine,
 * and patterns that would run for ever. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tok/tok_int.h"

static void becomes(const char *onig, const char *want)
{
    SNUG_AUTO(snug_buf) out = snug_buf_init(1 << 16);
    snug_err err = {0};
    if (tok_regex_translate(snug_str(onig), &out, &err) != SNUG_OK)
        fail_msg("%s: %s", onig, err.msg);
    assert_string_equal(snug_buf_cstr(&out), want);
}

static void refused(const char *onig)
{
    SNUG_AUTO(snug_buf) out = snug_buf_init(1 << 16);
    snug_err err = {0};
    assert_int_equal(tok_regex_translate(snug_str(onig), &out, &err), SNUG_EUNSUPPORTED);
    assert_non_null(strstr(err.msg, "pattern \""));
}

static void dialect(void **state)
{
    (void)state;
    becomes("a|b+?(c)", "a|b+?(c)");
    becomes("(?i:'s|'t)", "(?i:'s|'t)");
    becomes("(?m:.)(?mi-x)", "(?s:.)(?si-x)");
    becomes("(?!\\p{L})(?<=x)(?<n>y)", "(?!\\p{L})(?<=x)(?<n>y)");
    becomes("\\p{Han}\\p{^Letter}\\P{Lu}", "\\p{sc:Han}\\p{^L}\\P{Lu}");
    becomes("\\u4e00\\x41\\x{42}\\v\\.", "\\x{4e00}\\x41\\x{42}\\x0b\\.");
    becomes("x{1,3}+", "(?:x{1,3})+");
    becomes("(ab){2}+c", "(?:(ab){2})+c");
    becomes("[ab]{,2}", "[ab]{0,2}");
    becomes("{x}a{,}", "{x}a{,}");
    becomes("x?+y++", "x?+y++");
    becomes("[a[bc]d]", "[abcd]");
    becomes("[^a[bc]]", "[^abc]");
    becomes("[a[^bc]]", "(?:(?:[a]|[^bc]))");
    becomes("[a-z&&[^b]]", "(?:(?=[a-z])(?:[^b]))");
    becomes("[^a&&b]", "(?:(?!(?=[a])[b])(?s:.))");
    becomes("[]a-]", "[\\]a\\-]");
    becomes("[a\\-z]", "[a\\-z]");
    becomes("[\\p{L}-x]", "[\\p{L}\\-x]");
    becomes("[[:digit:]x]", "[\\p{Nd}x]");
    becomes("[^\\r\\n\\p{N}]", "[^\\r\\n\\p{N}]");
}

static void not_in_the_dialect(void **state)
{
    (void)state;
    refused("[abc");
    refused("a\\");
    refused("\\u12");
    refused("[[:nope:]]");
    refused("\\p{L");
    refused("[a&&]");
}

/* Every piece of the hand-written splitter is a match of the pattern it stands for. */
static void splitter_equals_the_pattern(void **state)
{
    static const char *const texts[] = {"Hello  world's end: it'll we've 'tis ''s 12 3a  \n\n x",
                                        " ",
                                        "\n",
                                        "  \t",
                                        "a\xc2\xa0z\xe3\x80\x80 c",
                                        "don't",
                                        "'",
                                        "''",
                                        "\xc3\xa9t\xc3\xa9 \xe6\xbc\xa2\xe5\xad\x97 \xc2\xbd",
                                        "x '",
                                        " 's",
                                        "\xf0\x9f\x98\x80 \xf0\x9f\x98\x80",
                                        "a\r\n  b   "};
    snug_arena              *a = snug_arena_new();
    const tok_pattern       *p;
    snug_json                v;
    tok_work                 w;
    (void)state;
    /* a group around it hides it from the short cut */
    SNUG_AUTO(snug_buf) json = snug_buf_init(4096), text = snug_buf_init(4096);
    snug_json_out o = snug_json_out_init(&json);
    snug_buf_printf(&text, "(?:%s)", tok_gpt2_regex);
    snug_jo_begin_object(&o);
    snug_jo_kstr(&o, "Regex", snug_buf_slice(&text));
    snug_jo_end_object(&o);
    assert_int_equal(snug_json_parse(a, snug_buf_slice(&json), NULL, &v, NULL), SNUG_OK);
    assert_int_equal(tok_pattern_load(a, v, &p, NULL), SNUG_OK);
    tok_work_init(&w, NULL, 0, NULL);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        size_t len = strlen(texts[i]), at = 0;
        w.match_count = 0;
        assert_int_equal(tok_pattern_run(p, &w, texts[i], len), SNUG_OK);
        for (size_t k = 0; k < w.match_count; k++) {
            assert_true(w.matches[k].hit);
            assert_int_equal(w.matches[k].begin, at);
            at = tok_gpt2_next(texts[i], len, at);
            assert_int_equal(w.matches[k].end, at);
        }
        assert_int_equal(at, len);
    }
    tok_work_deinit(&w);
    snug_arena_free(a);
}

static void runaway_patterns_stop(void **state)
{
    snug_arena        *a = snug_arena_new();
    snug_err           err = {0};
    const tok_pattern *p;
    snug_json          v;
    tok_work           w;
    char               text[64];
    (void)state;
    memset(text, 'a', sizeof text);
    assert_int_equal(snug_json_parse(a, SNUG_LIT("{\"Regex\":\"(?:(a+)+)+b(?=\\\\1c)|(a|aa)+$x\"}"),
                                     NULL, &v, NULL),
                     SNUG_OK);
    assert_int_equal(tok_pattern_load(a, v, &p, &err), SNUG_OK);
    tok_work_init(&w, NULL, 0, &err);
    uint64_t start = snug_mono_ms();
    assert_int_equal(tok_pattern_run(p, &w, text, sizeof text), SNUG_ELIMIT);
    assert_non_null(strstr(err.msg, "takes more than"));
    assert_true(snug_mono_ms() - start < 60000);
    tok_work_deinit(&w);
    snug_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dialect),
        cmocka_unit_test(not_in_the_dialect),
        cmocka_unit_test(splitter_equals_the_pattern),
        cmocka_unit_test(runaway_patterns_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
