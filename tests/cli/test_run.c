/* SPDX-License-Identifier: Apache-2.0 */
/* tests/cli/test_run.c - snug run and snug forward on the sample models, without a hub. */
#include "shell.h"

#ifdef SNUG_HAVE_INFER

#define SENTIMENT SNUG_SOURCE_DIR "/samples/models/sentiment-tiny"
#define SHAKESPEARE SNUG_SOURCE_DIR "/samples/models/shakespeare-tiny"

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

/* The label that comes first, wherever the answer nests it. */
static snug_slice best_label(snug_json v)
{
    while (snug_json_is(v, SNUG_JSON_ARRAY)) v = snug_json_at(v, 0);
    return snug_json_str_or(v, "label", SNUG_EMPTY);
}

static void classify(void **state)
{
    place *p = *state;
    result r = RUN("run", SENTIMENT, "A warm, funny and moving film.");
    EXPECT(r, 0);
    assert_int_equal(strncmp(r.out, "POSITIVE ", 9), 0);
    assert_string_equal(r.err, "");
    r = RUN("run", SENTIMENT, "A dull, lifeless mess.", "--json");
    EXPECT(r, 0);
    assert_true(snug_eq_str(best_label(json_of(p, r.out)), "NEGATIVE"));
    r = run(p, "A dull, lifeless mess.\n", NULL, "run", SENTIMENT, "-", NULL);
    EXPECT(r, 0);
    assert_int_equal(strncmp(r.out, "NEGATIVE ", 9), 0);
    r = RUN("run", SENTIMENT, "{\"inputs\": \"I loved it.\"}", "--json");
    EXPECT(r, 0);
    assert_true(snug_eq_str(best_label(json_of(p, r.out)), "POSITIVE"));
}

static void one_answer_a_line(void **state)
{
    place *p = *state;
    result r = run(p, "I loved it.\n\nA dull, lifeless mess.\r\n", NULL, "run", SENTIMENT,
                   "--batch", "-", "--json", NULL);
    EXPECT(r, 0);
    snug_slice rest = snug_str(r.out), line;
    assert_true(snug_split(&rest, '\n', &line));
    assert_true(snug_eq_str(best_label(json_of(p, snug_arena_cstr(p->a, line))), "POSITIVE"));
    assert_true(snug_split(&rest, '\n', &line));
    assert_true(snug_eq_str(best_label(json_of(p, snug_arena_cstr(p->a, line))), "NEGATIVE"));
    assert_int_equal(rest.len, 0);
    EXPECT(RUN("run", SENTIMENT, "--batch", "/nonexistent/lines"), 3);
    EXPECT(RUN("run", SENTIMENT, "text", "--batch", "-"), 2);
}

static void streamed_and_whole_texts_agree(void **state)
{
    place *p = *state;
    result s = RUN("run", SHAKESPEARE, "ROMEO:", "--param", "max_new_tokens=16", "--param",
                   "do_sample=false");
    EXPECT(s, 0);
    result j = RUN("run", SHAKESPEARE, "ROMEO:", "--param", "max_new_tokens=16", "--param",
                   "do_sample=false", "--json");
    EXPECT(j, 0);
    snug_slice text =
        snug_json_str_or(snug_json_at(json_of(p, j.out), 0), "generated_text", SNUG_EMPTY);
    assert_true(text.len > 10);
    assert_true(snug_starts_with(snug_str(s.out), snug_arena_cstr(p->a, text)));
    assert_int_equal(strlen(s.out), text.len + (text.ptr[text.len - 1] != '\n'));
}

#define LLAMA SNUG_SOURCE_DIR "/tests/golden/infer/tasks/llama-text"

static void flags_are_parameters(void **state)
{
    place *p = *state;
    result one = RUN("run", LLAMA, "My name is", "--max-new-tokens", "12");
    EXPECT(one, 0);
    result two = RUN("run", LLAMA, "My name is", "--param", "max_new_tokens=12");
    assert_string_equal(one.out, two.out);
    result cut = RUN("run", LLAMA, "My name is", "--max-new-tokens", "12", "--stop", "zzz",
                     "--stop", snug_arena_printf(p->a, "%.3s", one.out + 2).ptr);
    EXPECT(cut, 0);
    assert_int_equal(strlen(cut.out), 6); /* two letters, the stop, a newline */
    result drawn = RUN("run", LLAMA, "My name is", "--temperature", "1.5", "--seed", "5", "--top-k",
                       "50", "--top-p", "0.9", "--max-new-tokens", "12");
    result again = RUN("run", LLAMA, "My name is", "--temperature", "1.5", "--seed", "5", "--top-k",
                       "50", "--top-p", "0.9", "--max-new-tokens", "12");
    assert_string_equal(drawn.out, again.out);
    assert_string_not_equal(drawn.out, one.out);
    result beams =
        RUN("run", LLAMA, "My name is", "--num-beams", "4", "--stats", "--max-new-tokens", "12");
    EXPECT(beams, 0);
    assert_non_null(strstr(beams.err, "text: 12 tokens"));
    assert_non_null(strstr(beams.err, "tokens/s"));
    result many = RUN("run", LLAMA, "My name is", "--num-beams", "3", "--max-new-tokens", "4",
                      "--param", "num_return_sequences=3");
    EXPECT(many, 0);
    size_t lines = 0;
    for (const char *c = many.out; *c != '\0'; c++) lines += *c == '\n';
    assert_int_equal(lines, 5); /* three texts, empty lines between them */
}

static void conversations(void **state)
{
    place   *p = *state;
    snug_err err = {0};
    result   one = RUN("run", LLAMA, "Hello there.", "--chat", "--max-new-tokens", "9");
    EXPECT(one, 0);
    snug_slice talk = SNUG_LIT("[{\"role\": \"user\", \"content\": \"Hello there.\"}]");
    assert_int_equal(snug_write_file_atomic(at(p, "talk.json"), talk, 0600, &err), SNUG_OK);
    result two = RUN("run", LLAMA, "--messages", at(p, "talk.json"), "--max-new-tokens", "9");
    EXPECT(two, 0);
    assert_string_equal(one.out, two.out);
    result j =
        RUN("run", LLAMA, "--messages", at(p, "talk.json"), "--max-new-tokens", "9", "--json");
    EXPECT(j, 0);
    snug_json told = snug_json_get(snug_json_at(json_of(p, j.out), 0), "generated_text");
    assert_int_equal(snug_json_count(told), 2);
    snug_slice said = snug_json_str_or(snug_json_at(told, 1), "content", SNUG_EMPTY);
    assert_true(snug_starts_with(snug_str(one.out), snug_arena_cstr(p->a, said)));
    result brief =
        RUN("run", LLAMA, "Hello there.", "--system", "Be brief.", "--max-new-tokens", "9");
    EXPECT(brief, 0);
    assert_string_not_equal(brief.out, one.out);
    result none = RUN("run", SHAKESPEARE, "Hello there.", "--chat");
    EXPECT(none, 9);
    assert_non_null(strstr(none.err, "chat template"));
    EXPECT(RUN("run", SENTIMENT, "x", "--chat"), 9);
    EXPECT(RUN("run", LLAMA, "--messages", at(p, "nothing.json")), 3);
}

/* Behind a terminal lines are answered until the end of input. */
static void typed_lines(void **state)
{
    place *p = *state;
    int    master = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    const char *name = snug_arena_cstr(p->a, snug_str(ptsname(master)));
    pid_t       pid = fork();
    if (pid == 0) {
        open_as(name, O_RDONLY | O_NOCTTY, 0);
        open_as(at(p, "typed.out"), O_WRONLY | O_CREAT | O_TRUNC, 1);
        open_as(at(p, "typed.err"), O_WRONLY | O_CREAT | O_TRUNC, 2);
        char *argv[] = {program,         (char[]){"run"},
                        (char[]){LLAMA}, (char[]){"--max-new-tokens"},
                        (char[]){"9"},   NULL};
        (void)execv(program, argv);
        _exit(121);
    }
    static const char lines[] = "Hello there.\n\nAnd?\n\x04";
    assert_int_equal(write(master, lines, sizeof lines - 1), sizeof lines - 1);
    int how = 0;
    assert_int_equal(waitpid(pid, &how, 0), pid);
    (void)close(master);
    assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    result one = RUN("run", LLAMA, "Hello there.", "--chat", "--max-new-tokens", "9");
    assert_true(snug_starts_with(snug_str(slurp(p, at(p, "typed.out"))), one.out));
    assert_true(strlen(slurp(p, at(p, "typed.out"))) > strlen(one.out));
    assert_non_null(strstr(slurp(p, at(p, "typed.err")), "A conversation"));
}

static void mistakes(void **state)
{
    place *p = *state;
    result r = RUN("run", SENTIMENT, "x", "--task", "nope");
    EXPECT(r, 9);
    assert_non_null(strstr(r.err, "\"nope\""));
    EXPECT(RUN("run", SENTIMENT, "x", "--param", "novalue"), 2);
    EXPECT(RUN("forward", SENTIMENT), 2);
    EXPECT(
        RUN("forward", SENTIMENT, "--in", "/nonexistent", "--out", at(p, "o"), "--generate", "[]"),
        2);
    r = RUN("forward", SENTIMENT, "--in", "/nonexistent", "--out", at(p, "o"));
    if (r.code == 0 || r.err[0] == '\0') fail_msg("%d %s", r.code, r.err);
    snug_err err = {0};
    assert_int_equal(snug_mkdirs(at(p, "empty"), 0700, &err), SNUG_OK);
    r = RUN("run", at(p, "empty"), "x");
    if (r.code == 0 || strstr(r.err, "config.json") == NULL) fail_msg("%d %s", r.code, r.err);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {TEST(classify),
                                       TEST(one_answer_a_line),
                                       TEST(streamed_and_whole_texts_agree),
                                       TEST(flags_are_parameters),
                                       TEST(conversations),
                                       TEST(typed_lines),
                                       TEST(mistakes)};
    return find_program() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}

#else

static void without_the_models_nothing_runs(void **state)
{
    (void)state;
    int   used;
    char *argv[] = {(char[]){"run"}};
    assert_null(cli_find_command(1, argv, &used));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(without_the_models_nothing_runs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
