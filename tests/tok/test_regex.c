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

#define UP "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOW "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define SHORT "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define LINES "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
static const char *const by_hand[] = {
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
    SHORT "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*" LINES,
    SHORT "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*" LINES,
    SHORT "|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]"
          "|\\s+(?!\\S)|\\s+",
    "[^\\r\\n\\p{L}\\p{N}]?" UP "*" LOW "+" SHORT "?|[^\\r\\n\\p{L}\\p{N}]?" UP "+" LOW "*" SHORT
    "?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*" LINES,
    "[^\\r\\n\\p{L}\\p{N}]?" UP "*" LOW "+|[^\\r\\n\\p{L}\\p{N}]?" UP "+" LOW
    "*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*" LINES,
    "[!\"#$%&'()*+,\\-./"
    ":;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
    "| ?[\\p{P}\\p{S}]+[\\r\\n]*" LINES,
    "\\p{N}{1,3}",
    "\\p{N}",
    "[\xe4\xb8\x80-\xe9\xbe\xa5\xe3\x81\x80-\xe3\x82\x9f\xe3\x82\xa0-\xe3\x83\xbf]+",
    "\\s+"};

static const tok_pattern *pattern_of(snug_arena *a, const char *before, const char *text,
                                     const char *after)
{
    SNUG_AUTO(snug_buf) json = snug_buf_init(4096);
    const tok_pattern *p = NULL;
    snug_json          v;
    snug_json_out      o = snug_json_out_init(&json);
    snug_jo_begin_object(&o);
    snug_jo_key(&o, "Regex");
    snug_jo_str(&o, snug_arena_printf(a, "%s%s%s", before, text, after));
    snug_jo_end_object(&o);
    assert_int_equal(snug_json_parse(a, snug_buf_slice(&json), NULL, &v, NULL), SNUG_OK);
    assert_int_equal(tok_pattern_load(a, v, &p, NULL), SNUG_OK);
    return p;
}

static size_t random_text(uint64_t *seed, char *out, size_t chars)
{
    /* first and last of blocks that differ in class, and what the patterns name */
    static const uint32_t blocks[][2] = {
        {' ', ' '},         {'\n', '\n'},       {'\t', '\r'},       {'a', 'z'},
        {'A', 'Z'},         {'0', '9'},         {'!', '/'},         {'\'', '\''},
        {0, 0x7f},          {0x80, 0xff},       {0x100, 0x17f},     {0x1c4, 0x1cc},
        {0x2b0, 0x36f},     {0x400, 0x45f},     {0x600, 0x66f},     {0x900, 0x970},
        {0x1e90, 0x1eff},   {0x1f80, 0x1fff},   {0x2000, 0x206f},   {0x20a0, 0x20f0},
        {0x2150, 0x2190},   {0x2460, 0x24ff},   {0x3000, 0x3100},   {0x4e00, 0x4e40},
        {0x9f90, 0x9fff},   {0xa000, 0xa0ff},   {0xac00, 0xac20},   {0xfb00, 0xfb06},
        {0xff00, 0xff40},   {0x10400, 0x1044f}, {0x1d7ce, 0x1d7ff}, {0x1f600, 0x1f640},
        {0x20000, 0x20010}, {0xe0100, 0xe0110}};
    static const char *const words[] = {"'s",  "'LL", "'Re", "'\xc5\xbf", "\r\n", "  ",
                                        "\n ", "/",   "ABc", "aB",        "//\n", "'d"};
    size_t                   n = 0;
    for (size_t i = 0; i < chars; i++) {
        *seed = *seed * 6364136223846793005u + 1442695040888963407u;
        uint32_t r = (uint32_t)(*seed >> 33);
        if (r % 5 == 0) {
            const char *wd = words[r / 5 % (sizeof words / sizeof words[0])];
            memcpy(out + n, wd, strlen(wd));
            n += strlen(wd);
            continue;
        }
        const uint32_t *b = blocks[r / 5 % (sizeof blocks / sizeof blocks[0])];
        n += snug_utf8_put(b[0] + r / 7 % (b[1] - b[0] + 1), out + n);
    }
    return n;
}

/* Every piece of a hand-written splitter is a match of the pattern it stands for, and the other way
 * round. A group around the pattern hides it from the short cut. */
static void splitters_equal_their_patterns(void **state)
{
    snug_arena *a = snug_arena_new();
    uint64_t    seed = 11;
    char        text[512];
    (void)state;
    for (size_t k = 0; k < sizeof by_hand / sizeof by_hand[0]; k++) {
        const tok_pattern *fast = pattern_of(a, "", by_hand[k], ""),
                          *slow = pattern_of(a, "(?:", by_hand[k], ")");
        assert_non_null(tok_pattern_split(fast));
        assert_null(tok_pattern_split(slow));
        tok_work x, y;
        tok_work_init(&x, NULL, 0, NULL);
        tok_work_init(&y, NULL, 0, NULL);
        for (size_t round = 0; round < 8000; round++) {
            size_t len = random_text(&seed, text, 1 + round % 24);
            x.match_count = y.match_count = 0;
            assert_int_equal(tok_pattern_run(fast, &x, text, len), SNUG_OK);
            assert_int_equal(tok_pattern_run(slow, &y, text, len), SNUG_OK);
            bool same = x.match_count == y.match_count;
            for (size_t i = 0; same && i < x.match_count; i++)
                same = x.matches[i].begin == y.matches[i].begin &&
                       x.matches[i].end == y.matches[i].end && x.matches[i].hit == y.matches[i].hit;
            if (!same) fail_msg("%s\non \"%.*s\"", by_hand[k], (int)len, text);
        }
        y.deadline_ns = 0;
        tok_work_deinit(&x);
        tok_work_deinit(&y);
    }
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
        cmocka_unit_test(splitters_equal_their_patterns),
        cmocka_unit_test(runaway_patterns_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
