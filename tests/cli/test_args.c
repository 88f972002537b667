/* SPDX-License-Identifier: Apache-2.0 */
/* tests/cli/test_args.c - flags, arguments, slips of the keyboard, and the help made from the
 * table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cli/cli_int.h"

static const cli_flag own_flags[] = {
    {"type", "TYPE", "kind"}, {"create", NULL, "make it"}, {NULL, NULL, NULL}};
static const cli_command own = {
    "send", "REPO [FILE...]", "sum", "help", own_flags, 0, 1, 3, NULL, "0 2", NULL};

static snug_status parse(const char *line, snug_arena *a, cli_args *out, snug_err *err)
{
    static char  text[512];
    static char *argv[32];
    int          n = 0;
    snug_slice   rest, word;
    (void)snprintf(text, sizeof text, "%s", line);
    rest = snug_str(text);
    while (snug_split(&rest, ' ', &word)) {
        text[(size_t)(word.ptr - text) + word.len] = '\0';
        argv[n++] = text + (word.ptr - text);
    }
    snug_err_clear(err);
    return cli_parse_args(&own, n, argv, a, out, err);
}

static void flags_and_arguments(void **state)
{
    (void)state;
    snug_arena *a = snug_arena_new();
    snug_err    err;
    cli_args    g;
    assert_int_equal(parse("ada/x --type model f --create --json -q -- --type", a, &g, &err),
                     SNUG_OK);
    assert_int_equal(g.pos_count, 3);
    assert_string_equal(cli_pos(&g, 0), "ada/x");
    assert_string_equal(cli_pos(&g, 2), "--type");
    assert_null(cli_pos(&g, 3));
    assert_string_equal(cli_flag_value(&g, "type"), "model");
    assert_true(cli_flag_given(&g, "create") && cli_flag_given(&g, "json") &&
                cli_flag_given(&g, "quiet"));
    assert_false(cli_flag_given(&g, "color"));
    assert_int_equal(parse("x --type=a --type=b=c", a, &g, &err), SNUG_OK);
    assert_string_equal(cli_flag_value(&g, "type"), "b=c");
    assert_string_equal(cli_flag_nth(&g, "type", 0), "a");
    assert_string_equal(cli_flag_nth(&g, "type", 1), "b=c");
    assert_null(cli_flag_nth(&g, "type", 2));
    assert_int_equal(parse("- -1", a, &g, &err), SNUG_OK);
    assert_string_equal(cli_pos(&g, 1), "-1");
    assert_int_equal(parse("--help", a, &g, &err), SNUG_OK);
    snug_arena_free(a);
}

static void slips_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *line, *says;
    } t[] = {
        {"x --crate", "did you mean --create?"},  {"x --tpye model", "did you mean --type?"},
        {"x --zzzzzzz", "snug send --help"},      {"x --type", "--type needs a value: --type TYPE"},
        {"x --create=yes", "takes no value"},     {"x -t", "two dashes"},
        {"--create", "snug send REPO [FILE...]"}, {"a b c d", "\"d\""},
    };
    snug_arena *a = snug_arena_new();
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        snug_err err;
        cli_args g;
        assert_int_equal(parse(t[i].line, a, &g, &err), SNUG_EINVAL);
        if (strstr(err.msg, t[i].says) == NULL) fail_msg("%s: %s", t[i].line, err.msg);
    }
    snug_arena_free(a);
}

static void distances(void **state)
{
    (void)state;
    assert_int_equal(cli_distance("upload", "upload"), 0);
    assert_int_equal(cli_distance("uplaod", "upload"), 1);
    assert_int_equal(cli_distance("", "abc"), 3);
    assert_int_equal(cli_distance("kitten", "sitting"), 3);
    assert_int_equal(cli_distance("ca", "abc"), 3);
    assert_string_equal(cli_nearest_command("versoin"), "version");
    assert_string_equal(cli_nearest_command("hepl"), "help");
    assert_null(cli_nearest_command("frobnicate"));
    char words[200];
    memset(words, 'a', sizeof words);
    words[199] = '\0';
    assert_true(cli_distance(words, "a") == SIZE_MAX);
}

static void rows_are_complete(void **state)
{
    (void)state;
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        const cli_command *c = cli_commands[i];
        assert_non_null(c->run);
        assert_true(c->min <= c->max);
        assert_true(strlen(c->summary) > 5 && strlen(c->summary) < 60);
        assert_true(strlen(c->help) > 30);
        assert_true(c->exits[0] == '0');
        size_t examples = 0;
        while (c->examples[examples] != NULL) examples++;
        if (examples < 4 || examples % 2 != 0)
            fail_msg("%s has %zu example words", c->name, examples);
        for (size_t k = i + 1; cli_commands[k] != NULL; k++)
            assert_string_not_equal(c->name, cli_commands[k]->name);
        for (const cli_flag *f = c->flags; f != NULL && f->name != NULL; f++)
            assert_non_null(f->help);
    }
}

static char *print_with(void (*fn)(FILE *))
{
    char  *text = NULL;
    size_t n;
    FILE  *f = open_memstream(&text, &n);
    fn(f);
    assert_int_equal(fclose(f), 0);
    return text;
}

static void documents_name_every_command(void **state)
{
    (void)state;
    char *md = print_with(cli_help_markdown), *man = print_with(cli_help_man);
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        char want[80];
        (void)snprintf(want, sizeof want, "\n## snug %s\n", cli_commands[i]->name);
        assert_non_null(strstr(md, want));
        (void)snprintf(want, sizeof want, "\n.SS snug %s\n", cli_commands[i]->name);
        assert_non_null(strstr(man, want));
    }
    for (const char *p = md; (p = strstr(p, " \n")) != NULL; p++)
        fail_msg("a line ends in a space: %.40s", p - 30);
    free(md);
    free(man);
}

static void help_fits_the_screen(void **state)
{
    (void)state;
    cli c = {.color = false};
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        char  *text = NULL;
        size_t n;
        FILE  *f = open_memstream(&text, &n);
        cli_help_command(&c, cli_commands[i], f);
        assert_int_equal(fclose(f), 0);
        assert_non_null(strstr(text, "Usage: snug "));
        assert_non_null(strstr(text, "\nExamples\n"));
        assert_non_null(strstr(text, "\nExit codes\n    0  done\n"));
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(flags_and_arguments),
                                       cmocka_unit_test(slips_are_named),
                                       cmocka_unit_test(distances),
                                       cmocka_unit_test(rows_are_complete),
                                       cmocka_unit_test(documents_name_every_command),
                                       cmocka_unit_test(help_fits_the_screen)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
