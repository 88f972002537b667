/* SPDX-License-Identifier: Apache-2.0 */
/* cli/cmd_version.c - snug version, snug help. */
#include "cli/cli_int.h"

static snug_status run_version(cli *c, const cli_args *a, snug_err *err)
{
    (void)a;
    (void)err;
    if (!c->json) {
        cli_print("snug " SNUG_VERSION "\n");
        return SNUG_OK;
    }
    SNUG_AUTO(snug_buf) b = snug_buf_init(1024);
    snug_json_out o = snug_json_out_init(&b);
    snug_jo_begin_object(&o);
    snug_jo_kcstr(&o, "version", SNUG_VERSION);
#ifdef SNUG_HAVE_HUB
    snug_jo_kbool(&o, "hub", true);
#else
    snug_jo_kbool(&o, "hub", false);
#endif
#ifdef SNUG_HAVE_INFER
    snug_jo_kbool(&o, "inference", true);
#else
    snug_jo_kbool(&o, "inference", false);
#endif
    snug_jo_end_object(&o);
    cli_print_json(&b);
    return SNUG_OK;
}

/* "--version" in front of nothing arrives here as a flag of this row. */
static const cli_flag    version_flags[] = {{"version", NULL, "the same"}, {NULL, NULL, NULL}};
static const char *const version_examples[] = {"snug version", "print the version",
                                               "snug version --json",
                                               "print it with what is built in", NULL};

const cli_command cli_cmd_version = {
    .name = "version",
    .args = "",
    .summary = "print the version",
    .help = "Prints the version of this program.",
    .flags = version_flags,
    .examples = version_examples,
    .exits = "0 2",
    .run = run_version,
};

static snug_status run_help(cli *c, const cli_args *a, snug_err *err)
{
    char        name[128];
    char       *words[2];
    int         used, n = (int)a->pos_count;
    const char *first = cli_pos(a, 0), *second = cli_pos(a, 1);
    if (cli_flag_given(a, "man"))
        cli_help_man(stdout);
    else if (cli_flag_given(a, "markdown"))
        cli_help_markdown(stdout);
    else if (first == NULL)
        cli_help_all(c, stdout);
    else {
        (void)snprintf(name, sizeof name, "%.60s%s%.60s", first, second == NULL ? "" : " ",
                       second == NULL ? "" : second);
        words[0] = snug_arena_cstr(c->arena, snug_str(first));
        words[1] = second == NULL ? NULL : snug_arena_cstr(c->arena, snug_str(second));
        const cli_command *cmd = cli_find_command(n, words, &used);
        if (cmd != NULL && used == n)
            cli_help_command(c, cmd, stdout);
        else if (n == 1 && cli_is_group(first))
            cli_help_group(c, first, stdout);
        else {
            const char *near = cli_nearest_command(name);
            return snug_fail(err, SNUG_EINVAL, "there is no command \"%s\"%s%s%s", name,
                             near == NULL ? "" : "; did you mean \"", near == NULL ? "" : near,
                             near == NULL ? "" : "\"?");
        }
    }
    return SNUG_OK;
}

static const cli_flag help_flags[] = {
    {"man", NULL, "the manual page of the program, as roff"},
    {"markdown", NULL, "docs/cli.md: every command in one document"},
    {NULL, NULL, NULL}};
static const char *const help_examples[] = {"snug help upload", "what `snug upload` does",
                                            "snug help --man | man -l -", "read the manual page",
                                            NULL};

const cli_command cli_cmd_help = {
    .name = "help",
    .args = "[COMMAND]",
    .summary = "tell what a command does",
    .help = "Without a command: the list of all commands. With one: what it does, its options, "
            "examples and exit codes.",
    .flags = help_flags,
    .max = 2,
    .examples = help_examples,
    .exits = "0 2",
    .run = run_help,
};
