/* SPDX-License-Identifier: Apache-2.0 */
/* tests/codec/test_card.c - where front matter begins and ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "codec/codec.h"

static void check(const char *readme, const char *yaml, const char *body)
{
    snug_slice y, b;
    codec_card_split(snug_str(readme), &y, &b);
    if (yaml == NULL)
        assert_null(y.ptr);
    else if (!snug_eq_str(y, yaml) || y.ptr == NULL)
        fail_msg("%s: yaml is %.*s", readme, SNUG_SLICE(y));
    if (!snug_eq_str(b, body)) fail_msg("%s: body is %.*s", readme, SNUG_SLICE(b));
}

static void front_matter_is_found(void **state)
{
    (void)state;
    check("---\na: 1\n---\n# T\n", "a: 1\n", "# T\n");
    check("---\r\na: 1\r\nb: 2\r\n---\r\n# T\r\n", "a: 1\r\nb: 2\r\n", "# T\r\n");
    check("\xef\xbb\xbf---\na: 1\n---\nT", "a: 1\n", "T");
    check("---\na: 1\n...\nT", "a: 1\n", "T");
    check("---  \na: 1\n--- \t\nT", "a: 1\n", "T");
    check("---\n---\nT", "", "T");
    check("---\na: 1\n---", "a: 1\n", "");
    check("---\na: 1\n---\nT\n---\nU\n", "a: 1\n", "T\n---\nU\n");
    check("---\na: |\n  ---\n ---\n---\nT", "a: |\n  ---\n ---\n", "T");
}

static void the_rest_is_text(void **state)
{
    (void)state;
    check("", NULL, "");
    check("# T\n", NULL, "# T\n");
    check("\xef\xbb\xbf# T\n", NULL, "# T\n");
    check("---\na: 1\n", NULL, "---\na: 1\n");
    check("---", NULL, "---");
    check("\n---\na: 1\n---\n", NULL, "\n---\na: 1\n---\n");
    check(" ---\na: 1\n---\n", NULL, " ---\na: 1\n---\n");
    check("----\na: 1\n---\n", NULL, "----\na: 1\n---\n");
    check("--- # c\na: 1\n---\n", NULL, "--- # c\na: 1\n---\n");
}

static void errors_count_lines_of_the_file(void **state)
{
    snug_arena *a = snug_arena_new();
    snug_err    err = {0};
    snug_json   v;
    snug_slice  body;
    (void)state;
    assert_int_equal(codec_card_parse(a, SNUG_LIT("---\nlicense: mit\n---\nText"), &v, &body, &err),
                     SNUG_OK);
    assert_true(snug_eq_str(snug_json_str_or(v, "license", SNUG_EMPTY), "mit"));
    assert_true(snug_eq_str(body, "Text"));
    assert_int_equal(codec_card_parse(a, SNUG_LIT("Text"), &v, &body, &err), SNUG_OK);
    assert_int_equal(snug_json_kind(v), SNUG_JSON_ABSENT);
    assert_int_equal(codec_card_parse(a, SNUG_LIT("---\na: 1\nb: [\n---\n"), &v, &body, &err),
                     SNUG_EINVAL);
    assert_true(snug_starts_with(snug_str(err.msg), "line 4: "));
    assert_int_equal(codec_card_parse(a, SNUG_LIT("---\na: 1\nb: *x\n---\n"), &v, &body, &err),
                     SNUG_EINVAL);
    assert_string_equal(err.msg, "line 3: *x names nothing above it");
    snug_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(front_matter_is_found),
        cmocka_unit_test(the_rest_is_text),
        cmocka_unit_test(errors_count_lines_of_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
