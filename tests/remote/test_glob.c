/* SPDX-License-Identifier: Apache-2.0 */
/* tests/remote/test_glob.c - the wildcards of --include and --exclude, as stock clients read them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "remote/remote_int.h"

static void patterns(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *path;
        bool        match;
    } t[] = {
        {"*", "a/b/c", true},
        {"*.bin", "a/b.bin", true},
        {"*.bin", "a.bin2", false},
        {"data/*.json", "data/a/b.json", true},
        {"data/*.json", "adata/b.json", false},
        {"a?c", "abc", true},
        {"a?c", "a/c", true},
        {"a?c", "ac", false},
        {"a?c", "aäc", true},
        {"[ab]x", "bx", true},
        {"[ab]x", "cx", false},
        {"[!ab]x", "cx", true},
        {"[!ab]x", "ax", false},
        {"[a-c]1", "b1", true},
        {"[a-c]1", "d1", false},
        {"[]]x", "]x", true},
        {"[x", "[x", true},
        {"data/", "data/a/b", true},
        {"data/", "data", false},
        {"data/", "xdata/a", false},
        {"*/", "a/b", true},
        {"*/", "a", false},
        {"", "", true},
        {"", "a", false},
        {"**", "x", true},
        {"a*b*c", "aXbYbZc", true},
        {"a*b*c", "aXbYbZ", false},
        {"A*", "abc", false},
        {"^a", "^a", true},
        {"[^a]", "b", false},
        {"\\*", "\\abc", true},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        if (remote_glob(snug_str(t[i].pattern), snug_str(t[i].path)) != t[i].match)
            fail_msg("%s on %s", t[i].pattern, t[i].path);
    }
}

static void stars_do_not_explode(void **state)
{
    (void)state;
    char text[2000], pattern[200];
    memset(text, 'a', sizeof text);
    for (size_t i = 0; i + 1 < sizeof pattern; i += 2) memcpy(pattern + i, "*a", 2);
    pattern[sizeof pattern - 1] = 'b';
    uint64_t began = snug_mono_ms();
    assert_false(
        remote_glob(snug_slice_of(pattern, sizeof pattern), snug_slice_of(text, sizeof text)));
    assert_true(snug_mono_ms() - began < 2000);
}

static void include_and_exclude(void **state)
{
    (void)state;
    snug_slice      in[] = {SNUG_LIT("*.bin"), SNUG_LIT("cfg/")}, out[] = {SNUG_LIT("*secret*")};
    remote_download d = {.include = in, .include_count = 2, .exclude = out, .exclude_count = 1};
    assert_true(remote_wanted(&d, SNUG_LIT("a/w.bin")));
    assert_true(remote_wanted(&d, SNUG_LIT("cfg/x.json")));
    assert_false(remote_wanted(&d, SNUG_LIT("readme.md")));
    assert_false(remote_wanted(&d, SNUG_LIT("secret.bin")));
    remote_download all = {.include = NULL};
    assert_true(remote_wanted(&all, SNUG_LIT("anything")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(patterns),
                                       cmocka_unit_test(stars_do_not_explode),
                                       cmocka_unit_test(include_and_exclude)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
