/* SPDX-License-Identifier: Apache-2.0 */
/* tests/cli/test_quantize.c - snug quantize: what it writes, says and refuses. */
#include <sys/stat.h>

#include "shell.h"

#ifdef SNUG_HAVE_INFER

#define SHAKESPEARE SNUG_SOURCE_DIR "/samples/models/shakespeare-tiny"
#define TINY SNUG_SOURCE_DIR "/tests/golden/model/llama"

static int setup(void **state)
{
    place *p;
    if (open_place(&p) != 0) return -1;
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    close_place(*state);
    return 0;
}

static void smaller_and_runs(void **state)
{
    place      *p = *state;
    struct stat small, wide;
    const char *q8 = at(p, "q8.gguf"), *q4 = at(p, "q4.gguf");
    result      r = RUN("quantize", SHAKESPEARE, "--type", "q8_0", "-o", q8);
    EXPECT(r, 0);
    assert_non_null(strstr(r.out, q8));
    r = RUN("quantize", q8, "--type", "Q4_0", "-o", q4, "--json");
    EXPECT(r, 0);
    snug_json said = json_of(p, r.out);
    assert_int_equal(stat(q8, &wide), 0);
    assert_int_equal(stat(q4, &small), 0);
    assert_true(small.st_size < wide.st_size * 3 / 4);
    assert_int_equal(snug_json_i64_or(said, "bytes", 0), small.st_size);
    r = RUN("run", q4, "ROMEO:", "--param", "max_new_tokens=4", "--param", "do_sample=false");
    EXPECT(r, 0);
    assert_true(strlen(r.out) > 4);
}

static void refused(void **state)
{
    place      *p = *state;
    const char *out = at(p, "x.gguf");
    struct stat sb;
    result      r = RUN("quantize", TINY, "--type", "Q9", "-o", out);
    EXPECT(r, 2);
    assert_non_null(strstr(r.err, "one of F32 F16"));
    r = RUN("quantize", TINY, "--type", "Q8_0");
    EXPECT(r, 2);
    r = RUN("quantize", at(p, "nothing.gguf"), "--type", "Q8_0", "-o", out);
    EXPECT(r, 3);
    r = RUN("quantize", SNUG_SOURCE_DIR "/tests/golden/model/gemma4-text", "--type", "Q8_0", "-o",
            out);
    EXPECT(r, 9);
    assert_non_null(strstr(r.err, "Gemma4"));
    assert_int_equal(stat(out, &sb), -1); /* nothing half done is left */
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(smaller_and_runs), TEST(refused)};
    return find_program() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}

#else

static void without_the_models_nothing_is_quantized(void **state)
{
    (void)state;
    int   used;
    char *argv[] = {(char[]){"quantize"}};
    assert_null(cli_find_command(1, argv, &used));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(without_the_models_nothing_is_quantized)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
