/* SPDX-License-Identifier: Apache-2.0 */
/* tests/codec/test_yaml.c - YAML as people write it in cards, and as attackers do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "codec/codec.h"

static void yields(const char *yaml, const char *json)
{
    snug_arena   *a = snug_arena_new();
    snug_buf      text = snug_buf_init(1 << 16);
    snug_json_out o = snug_json_out_init(&text);
    snug_err      err = {0};
    snug_json     v;
    if (codec_yaml_parse(a, snug_str(yaml), &v, &err) != SNUG_OK) fail_msg("%s: %s", yaml, err.msg);
    snug_jo_value(&o, v);
    assert_string_equal(snug_buf_cstr(&text), json);
    snug_buf_deinit(&text);
    snug_arena_free(a);
}

static void refused_slice(snug_slice yaml, snug_status want, const char *words)
{
    snug_arena *a = snug_arena_new();
    snug_err    err = {0};
    snug_json   v;
    assert_int_equal(codec_yaml_parse(a, yaml, &v, &err), want);
    if (strstr(err.msg, words) == NULL) fail_msg("%s", err.msg);
    snug_arena_free(a);
}

static void refused(const char *yaml, snug_status want, const char *words)
{
    refused_slice(snug_str(yaml), want, words);
}

static void scalars(void **state)
{
    (void)state;
    yields("", "null");
    yields("# nothing\n", "null");
    yields("~", "null");
    yields("[null, Null, NULL, ~, nULL]", "[null,null,null,null,\"nULL\"]");
    yields("[true, True, TRUE, false, tRUE]", "[true,true,true,false,\"tRUE\"]");
    yields("[no, yes, on, off, y, n, No, NO]",
           "[\"no\",\"yes\",\"on\",\"off\",\"y\",\"n\",\"No\",\"NO\"]");
    yields("[0, 12, -3, +4, 007, 0x1F, 0o17]", "[0,12,-3,4,7,31,15]");
    yields("[18446744073709551615, -9223372036854775808]",
           "[18446744073709551615,-9223372036854775808]");
    yields("[18446744073709551616, -9223372036854775809]",
           "[\"18446744073709551616\",\"-9223372036854775809\"]");
    yields("[1.5, -.5, 5., 1e3, 1.0, 2E-2, +1.25]", "[1.5,-0.5,5.0,1000.0,1.0,0.02,1.25]");
    yields("[12e4567, 1e, e5, ., -, +, 1.2.3, 0x, 0o9, 0x-1, 0x0x1, 1_000, 12:30]",
           "[\"12e4567\",\"1e\",\"e5\",\".\",\"-\",\"+\",\"1.2.3\",\"0x\",\"0o9\",\"0x-1\","
           "\"0x0x1\",\"1_000\",\"12:30\"]");
    yields("[.inf, -.INF, .NaN, .nan]", "[null,null,null,null]");
    yields("[2024-01-31, 2024-01-31T10:00:00Z]", "[\"2024-01-31\",\"2024-01-31T10:00:00Z\"]");
    yields("['1', \"true\", 'null', \"a\\tb\\u00e9\"]",
           "[\"1\",\"true\",\"null\",\"a\\tb\xc3\xa9\"]");
}

static void tags_only_say_how_to_read(void **state)
{
    (void)state;
    yields("[!!str 12, !!int \"12\", !!float \"1.5\", !!bool \"true\", !!null \"\", ! 12]",
           "[\"12\",12,1.5,true,null,\"12\"]");
    yields("!!map {a: !!seq [1]}", "{\"a\":[1]}");
    refused("a: !!python/object/apply:os.system [ls]", SNUG_EINVAL,
            "line 1: the tag !!python/object/apply:os.system is not allowed");
    refused("a: 1\nb: !custom x", SNUG_EINVAL, "line 2: the tag !custom is not allowed");
}

static void a_card(void **state)
{
    (void)state;
    yields("language:\n- en\n- no\nlicense: apache-2.0\ntags: [a, 'b: c']\n"
           "widget:\n- text: >-\n    two\n    lines\n  n: |\n    kept\n"
           "model-index:\n- name: m\n  results: []\ndate: 2024-05-01\n",
           "{\"language\":[\"en\",\"no\"],\"license\":\"apache-2.0\",\"tags\":[\"a\",\"b: c\"],"
           "\"widget\":[{\"text\":\"two lines\",\"n\":\"kept\\n\"}],"
           "\"model-index\":[{\"name\":\"m\",\"results\":[]}],\"date\":\"2024-05-01\"}");
    yields("a: 1\r\nb:\r\n- x\r\n", "{\"a\":1,\"b\":[\"x\"]}");
    yields("\xef\xbb\xbf"
           "a: 1",
           "{\"a\":1}");
    yields("---\na: 1\n---\nb: 2\n", "{\"a\":1}");
    yields("a: 1\n...\n{{{", "{\"a\":1}");
}

static void keys(void **state)
{
    (void)state;
    yields("a: 1\nb: 2\na: 3\n", "{\"a\":3,\"b\":2}");
    yields("1: a\ntrue: b\n~: c\nno: d\n2.50: e\n'': f\n",
           "{\"1\":\"a\",\"true\":\"b\",\"null\":\"c\",\"no\":\"d\",\"2.50\":\"e\",\"\":\"f\"}");
    yields("? a\n: 1\n? b\n", "{\"a\":1,\"b\":null}");
    refused("license: {{ license }}\n", SNUG_EINVAL, "line 1: a key must be a word, not a mapping");
    refused("a: 1\n? [x]\n: 2\n", SNUG_EINVAL, "line 2: a key must be a word, not a list");
}

static void aliases_and_merges(void **state)
{
    (void)state;
    yields("a: &x [1, 2]\nb: *x\nc: *x\n", "{\"a\":[1,2],\"b\":[1,2],\"c\":[1,2]}");
    yields("a: &x 1\nb: &x 2\nc: *x\n", "{\"a\":1,\"b\":2,\"c\":2}");
    yields("base: &b {p: 1, q: 2}\nmore:\n  q: 3\n  <<: *b\n  r: 4\n",
           "{\"base\":{\"p\":1,\"q\":2},\"more\":{\"p\":1,\"q\":3,\"r\":4}}");
    yields("- &a {x: 1, y: 1}\n- &b {y: 2, z: 2}\n- {<<: [*a, *b], w: 0}\n",
           "[{\"x\":1,\"y\":1},{\"y\":2,\"z\":2},{\"y\":1,\"z\":2,\"x\":1,\"w\":0}]");
    yields("- &a {x: 1}\n- &b {<<: *a, y: 2}\n- {<<: *b}\n",
           "[{\"x\":1},{\"x\":1,\"y\":2},{\"x\":1,\"y\":2}]");
    yields("{'<<': 1}", "{\"<<\":1}");
    refused("a: &x [*x]", SNUG_EINVAL, "line 1: *x stands inside what it names");
    refused("a: &x {<<: *x}", SNUG_EINVAL, "stands inside");
    refused("a: *y", SNUG_EINVAL, "*y names nothing above it");
    refused("<<: 3", SNUG_EINVAL, "<< wants a mapping");
    refused("<<: [3]", SNUG_EINVAL, "<< wants a list of mappings only");
}

static void laughs(void **state)
{
    snug_buf b = snug_buf_init(1 << 20);
    (void)state;
    snug_buf_puts(&b, "a0: &a0 [lol,lol,lol,lol,lol,lol,lol,lol,lol]\n");
    for (int i = 1; i < 12; i++) {
        snug_buf_printf(&b, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i,
                        i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
    }
    refused_slice(snug_buf_slice(&b), SNUG_ELIMIT, "aliases unfold to more than 250000 values");

    snug_buf_clear(&b); /* the same through merges */
    snug_buf_puts(&b, "a0: &a0 {x: 1}\n");
    for (int i = 1; i < 30; i++)
        snug_buf_printf(&b, "a%d: &a%d {<<: [*a%d, *a%d]}\n", i, i, i - 1, i - 1);
    refused_slice(snug_buf_slice(&b), SNUG_ELIMIT, "unfold");

    snug_buf_clear(&b); /* one long string, many times */
    snug_buf_puts(&b, "a: &a ");
    for (int i = 0; i < 100000; i++) snug_buf_putc(&b, 'x');
    snug_buf_puts(&b, "\nb:\n");
    for (int i = 0; i < 900; i++) snug_buf_puts(&b, "- *a\n");
    refused_slice(snug_buf_slice(&b), SNUG_ELIMIT, "unfolded is larger than the limit");

    snug_buf_clear(&b);
    snug_buf_puts(&b, "- &a 1\n");
    for (int i = 0; i < 1001; i++) snug_buf_puts(&b, "- *a\n");
    refused_slice(snug_buf_slice(&b), SNUG_ELIMIT, "more than 1000 aliases");

    snug_buf_clear(&b);
    for (int i = 0; i < 1001; i++) snug_buf_puts(&b, "- &a 1\n");
    refused_slice(snug_buf_slice(&b), SNUG_ELIMIT, "more than 1000 anchors");

    snug_buf_clear(&b); /* deeper by aliases than by text */
    snug_buf_puts(&b, "- &a0 1\n");
    for (int i = 1; i < 60; i++) snug_buf_printf(&b, "- &a%d [*a%d]\n", i, i - 1);
    refused_slice(snug_buf_slice(&b), SNUG_ELIMIT, "nested deeper than 48");
    snug_buf_deinit(&b);
}

static void limits(void **state)
{
    snug_buf b = snug_buf_init(2 << 20);
    (void)state;
    for (int i = 0; i < 48; i++) snug_buf_putc(&b, '[');
    for (int i = 0; i < 48; i++) snug_buf_putc(&b, ']');
    yields(snug_buf_cstr(&b), snug_buf_cstr(&b));
    snug_buf_clear(&b);
    for (int i = 0; i < 100000; i++) snug_buf_putc(&b, '[');
    refused_slice(snug_buf_slice(&b), SNUG_ELIMIT, "nested deeper than 48");
    snug_buf_clear(&b);
    for (int i = 0; i < 100000; i++) snug_buf_puts(&b, "- ");
    refused_slice(snug_buf_slice(&b), SNUG_ELIMIT, "nested deeper than 48");
    snug_buf_clear(&b);
    snug_buf_putc(&b, '[');
    for (int i = 0; i < 250001; i++) snug_buf_puts(&b, "1,");
    snug_buf_putc(&b, ']');
    refused_slice(snug_buf_slice(&b), SNUG_ELIMIT, "more than 250000 values");
    snug_buf_clear(&b);
    for (int i = 0; i < CODEC_YAML_SIZE_MAX + 1; i++) snug_buf_putc(&b, '#');
    refused_slice(snug_buf_slice(&b), SNUG_ELIMIT, "larger than the limit");
    snug_buf_deinit(&b);
}

static void not_yaml(void **state)
{
    (void)state;
    refused_slice(snug_slice_of("a: \0b", 5), SNUG_EINVAL, "NUL");
    refused("a: \xff", SNUG_EINVAL, "UTF-8");
    refused("a: \xed\xa0\x80", SNUG_EINVAL, "UTF-8");
    refused("a: [1\nb: 2", SNUG_EINVAL, "line 2: ");
    refused("a: 1\n]\n", SNUG_EINVAL, "line 2: ");
    refused("word\na: 1\n", SNUG_EINVAL, "line ");
    refused("a: b: c", SNUG_EINVAL, "line 1: ");
    refused("a:\n\t- b", SNUG_EINVAL, "line 2: ");
    refused("a: \x07", SNUG_EINVAL, "YAML: ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars),
        cmocka_unit_test(tags_only_say_how_to_read),
        cmocka_unit_test(a_card),
        cmocka_unit_test(keys),
        cmocka_unit_test(aliases_and_merges),
        cmocka_unit_test(laughs),
        cmocka_unit_test(limits),
        cmocka_unit_test(not_yaml),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
