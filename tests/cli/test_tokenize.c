/* SPDX-License-Identifier: Apache-2.0 */
/* tests/cli/test_tokenize.c - snug tokenize: lines in, lines out, and what it says to mistakes. */
#include "shell.h"

#ifdef SNUG_HAVE_INFER

#define GOLDEN SNUG_SOURCE_DIR "/tests/golden/tok/bert-uncased"

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

static void lines_become_lines(void **state)
{
    static const char want[] =
        "{\"ids\":[2,660,647,389,852,676,3],\"tokens\":[\"[CLS]\",\"he\",\"##ll\",\"##o\",\"wor\","
        "\"##ld\",\"[SEP]\"],\"offsets\":[[0,0],[0,2],[2,4],[4,5],[6,9],[9,11],[0,0]],"
        "\"type_ids\":[0,0,0,0,0,0,0],\"attention_mask\":[1,1,1,1,1,1,1],"
        "\"special_mask\":[1,0,0,0,0,0,1],\"decoded\":\"hello world\","
        "\"decoded_keep_special\":\"[CLS] hello world [SEP]\"}\n"
        "{\"ids\":[40,41,42],\"tokens\":[\"a\",\"b\",\"c\"],\"offsets\":[[0,1],[0,1],[2,3]],"
        "\"type_ids\":[0,1,1],\"attention_mask\":[1,1,1],\"special_mask\":[0,0,0],"
        "\"decoded\":\"a b c\",\"decoded_keep_special\":\"a b c\"}\n";
    place *p = *state;
    result r = run(p,
                   "{\"text\": \"Hello w\xc3\xb6rld\"}\n\n"
                   "{\"text\": \"a\", \"pair\": \"b c\", \"add_special\": false}",
                   NULL, "tokenize", "--tokenizer", GOLDEN, NULL);
    EXPECT(r, 0);
    assert_string_equal(r.out, want);
    assert_string_equal(r.err, "");
    result file = run(p, "", NULL, "tokenize", "--tokenizer", GOLDEN "/tokenizer.json", NULL);
    EXPECT(file, 0);
    assert_string_equal(file.out, "");
}

static void mistakes(void **state)
{
    place *p = *state;
    result r = run(p, "{\"text\": \"a\"}\n{\"no\": 1}\n{\"text\": \"b\"}\n", NULL, "tokenize",
                   "--tokenizer", GOLDEN, NULL);
    EXPECT(r, 2);
    assert_string_equal(r.err, "snug: line 2: \"text\" must be a string\n");
    assert_non_null(strstr(r.out, "[[0,0],[0,1],[0,0]]")); /* the line before was answered */
    assert_null(strstr(r.out, "\"b\""));
    EXPECT(run(p, "not json\n", NULL, "tokenize", "--tokenizer", GOLDEN, NULL), 2);
    EXPECT(RUN("tokenize"), 2);
    r = RUN("tokenize", "--tokenizer", SNUG_SOURCE_DIR "/tests");
    EXPECT(r, 3);
    assert_non_null(strstr(r.err, "tokenizer"));
}

static void training(void **state)
{
    place *p = *state;
    result r = run(p, "ab ab abc\n", NULL, "tokenize", "train", "--quiet", "--model", "wordlevel",
                   "--vocab-size", "3", "--special", "<unk>", NULL);
    EXPECT(r, 0);
    assert_non_null(strstr(r.out, "\"vocab\":{\"<unk>\":0,\"ab\":1,\"abc\":2}"));
    r = run(p, "ab ab abc\n", NULL, "tokenize", "train", "--like", GOLDEN, "--vocab-size", "10",
            NULL);
    EXPECT(r, 0);
    assert_non_null(strstr(r.out, "\"[CLS]\":2"));
    assert_non_null(strstr(r.err, "Trained on 2 different words in 10 bytes"));
    r = RUN("tokenize", "train", "--model", "neural");
    EXPECT(r, 2);
    assert_non_null(strstr(r.err, "--model must be"));
    EXPECT(RUN("tokenize", "train", "/nowhere/at/all"), 3);
    EXPECT(RUN("tokenize", "train", "--vocab-size", "many"), 2);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {TEST(lines_become_lines), TEST(mistakes), TEST(training)};
    return find_program() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}

#else

static void without_the_models_there_is_no_such_command(void **state)
{
    (void)state;
    int   used;
    char *argv[] = {(char[]){"tokenize"}};
    assert_null(cli_find_command(1, argv, &used));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_the_models_there_is_no_such_command)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
