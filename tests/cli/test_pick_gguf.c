/* SPDX-License-Identifier: Apache-2.0 */
/* tests/cli/test_pick_gguf.c - which files of a repository "ORG/NAME:Q8_0" needs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#ifdef SNUG_HAVE_INFER
#include "cli/pick_gguf.h"

enum { MAX = 16 };

/* The names that are kept, joined by spaces; on failure the message. */
static const char *picks(const char *type, const char *const *names, const char *first)
{
    static char out[1024];
    snug_slice  paths[MAX] = {SNUG_EMPTY}, picked;
    bool        keep[MAX];
    size_t      n = 0, at = 0;
    snug_err    err = {0};
    for (; names[n] != NULL; n++) paths[n] = snug_str(names[n]);
    if (cli_pick_gguf(snug_str(type), paths, n, keep, &picked, &err) != SNUG_OK) {
        (void)snprintf(out, sizeof out, "%s", err.msg);
        return out;
    }
    out[0] = '\0';
    for (size_t i = 0; i < n; i++)
        if (keep[i])
            at += (size_t)snprintf(out + at, sizeof out - at, "%s%s", at == 0 ? "" : " ", names[i]);
    assert_true(snug_eq_str(picked, first));
    return out;
}

static void test_types(void **state)
{
    (void)state;
    const char *const names[] = {
        "README.md",     "m-Q8_0.gguf",        "m-Q4_K_M.gguf", "m-Q4_K_S.gguf",
        "m.IQ4_XS.gguf", "mmproj-m-Q8_0.gguf", "imatrix.gguf",  NULL};
    assert_string_equal(picks("", names, "m-Q4_K_M.gguf"), "m-Q4_K_M.gguf");
    assert_string_equal(picks("Q8_0", names, "m-Q8_0.gguf"), "m-Q8_0.gguf");
    assert_string_equal(picks("q4_k_s", names, "m-Q4_K_S.gguf"), "m-Q4_K_S.gguf");
    assert_string_equal(picks("IQ4_XS", names, "m.IQ4_XS.gguf"), "m.IQ4_XS.gguf");
    assert_string_equal(picks("m-q8_0.gguf", names, "m-Q8_0.gguf"), "m-Q8_0.gguf");
    assert_string_equal(picks("Q4_K", names, ""),
                        "no GGUF file of type \"Q4_K\"; there is m-Q8_0.gguf, m-Q4_K_M.gguf, "
                        "m-Q4_K_S.gguf, m.IQ4_XS.gguf"); /* a part of a word is no type */
    assert_string_equal(picks("4_XS", names, ""),
                        "no GGUF file of type \"4_XS\"; there is m-Q8_0.gguf, m-Q4_K_M.gguf, "
                        "m-Q4_K_S.gguf, m.IQ4_XS.gguf");
}

static void test_parts(void **state)
{
    (void)state;
    const char *const names[] = {"Q8_0/m-Q8_0-00002-of-00002.gguf",
                                 "Q8_0/m-Q8_0-00001-of-00002.gguf",
                                 "BF16/m-00001-of-00002.gguf",
                                 "BF16/m-00002-of-00002.gguf",
                                 "config.json",
                                 NULL};
    assert_string_equal(picks("Q8_0", names, "Q8_0/m-Q8_0-00001-of-00002.gguf"),
                        "Q8_0/m-Q8_0-00002-of-00002.gguf Q8_0/m-Q8_0-00001-of-00002.gguf");
    assert_string_equal(picks("", names, "BF16/m-00001-of-00002.gguf"),
                        "BF16/m-00001-of-00002.gguf BF16/m-00002-of-00002.gguf");
}

static void test_others(void **state)
{
    (void)state;
    const char *const        both[] = {"config.json", "model.safetensors", "m-Q8_0.gguf", NULL},
                      *const none[] = {"config.json", "pytorch_model.bin", NULL};
    assert_string_equal(picks("", both, ""), "config.json model.safetensors m-Q8_0.gguf");
    assert_string_equal(picks("Q8_0", both, "m-Q8_0.gguf"), "m-Q8_0.gguf");
    assert_string_equal(picks("", none, ""), "config.json pytorch_model.bin");
    assert_string_equal(picks("Q8_0", none, ""), "the repository holds no GGUF file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_types), cmocka_unit_test(test_parts),
                                       cmocka_unit_test(test_others)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
int main(void) { return 0; }
#endif
