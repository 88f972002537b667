/* SPDX-License-Identifier: Apache-2.0 */
/* cli/help.c - help texts, the man page and docs/cli.md, all from the command table.
 *
 * For:     snug help, snug COMMAND --help, make docs.
 * Owns:    nothing.
 * Threads: the main thread. */
#include "cli/cli_int.h"

enum { WIDTH = 92, FLAG_COLUMN = 26 };

static const struct {
    int         code;
    const char *text;
} exit_codes[] = {
    {0, "done"},
    {2, "the command line or the request is wrong"},
    {3, "no such repository, revision or file (or not for you)"},
    {4, "not logged in, or not allowed"},
    {5, "exists already, or somebody else was faster"},
    {6, "larger than a limit"},
    {7, "bytes that are not what they claim to be"},
    {8, "busy, slow or rate-limited: try again later"},
    {9, "understood, but not built into this program"},
    {10, "the hub cannot be reached or failed"},
    {70, "a fault in snug"},
    {74, "the disk or the system failed"},
    {130, "interrupted"},
};

/* Does the list "0 2 3" name this code? */
static bool lists_code(const char *list, int code)
{
    snug_slice rest = snug_str(list), word;
    uint64_t   n;
    while (snug_split(&rest, ' ', &word)) {
        if (snug_parse_u64(word, &n) && n == (uint64_t)code) return true;
    }
    return false;
}

/* Breaks a text at spaces; \n\n starts a paragraph. */
static void put_wrapped(FILE *f, const char *text, int indent, int column)
{
    bool first = true;
    while (*text != '\0') {
        size_t word = strcspn(text, " \n");
        if (!first && column + 1 + (int)word > WIDTH) {
            (void)fprintf(f, "\n%*s", indent, "");
            column = indent;
        } else if (!first) {
            (void)fputc(' ', f);
            column++;
        }
        (void)fwrite(text, 1, word, f);
        column += (int)word;
        text += word;
        first = text[0] == '\n' && text[1] == '\n';
        if (first) {
            (void)fprintf(f, "\n\n%*s", indent, "");
            column = indent;
        }
        text += strspn(text, " \n");
    }
    (void)fputc('\n', f);
}

static void put_title(const cli *c, FILE *f, const char *title)
{
    (void)fprintf(f, "\n%s%s%s\n", c->color ? "\033[1m" : "", title, c->color ? "\033[0m" : "");
}

static void put_flags(FILE *f, const cli_flag *flags)
{
    for (; flags != NULL && flags->name != NULL; flags++) {
        char left[80];
        int  n = snprintf(left, sizeof left, "  --%s%s%s", flags->name,
                         flags->value == NULL ? "" : " ", flags->value == NULL ? "" : flags->value);
        if (n >= FLAG_COLUMN)
            (void)fprintf(f, "%s\n%*s", left, FLAG_COLUMN, "");
        else
            (void)fprintf(f, "%-*s", FLAG_COLUMN, left);
        put_wrapped(f, flags->help, FLAG_COLUMN, FLAG_COLUMN);
    }
}

void cli_help_command(const cli *c, const cli_command *cmd, FILE *f)
{
    (void)fprintf(f, "Usage: snug %s%s%s [options]\n\n", cmd->name, cmd->args[0] == '\0' ? "" : " ",
                  cmd->args);
    put_wrapped(f, cmd->help, 0, 0);
    if (cmd->flags != NULL || (cmd->groups & (CLI_DATA | CLI_REMOTE)) != 0) {
        put_title(c, f, "Options");
        put_flags(f, cmd->flags);
        if (cmd->groups & CLI_DATA) put_flags(f, cli_data_flags);
        if (cmd->groups & CLI_REMOTE) put_flags(f, cli_remote_flags);
    }
    put_title(c, f, "Options of every command");
    put_flags(f, cli_global_flags);
    put_title(c, f, "Examples");
    for (const char *const *e = cmd->examples; e != NULL && e[0] != NULL; e += 2)
        (void)fprintf(f, "  %s\n      %s\n", e[0], e[1]);
    put_title(c, f, "Exit codes");
    for (size_t i = 0; i < sizeof exit_codes / sizeof *exit_codes; i++) {
        if (lists_code(cmd->exits, exit_codes[i].code))
            (void)fprintf(f, "  %3d  %s\n", exit_codes[i].code, exit_codes[i].text);
    }
}

static void put_list(FILE *f, const char *group)
{
    size_t n = group == NULL ? 0 : strlen(group);
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        const cli_command *cmd = cli_commands[i];
        if (n > 0 && (strncmp(cmd->name, group, n) != 0 || cmd->name[n] != ' ')) continue;
        (void)fprintf(f, "  %-16s %s\n", cmd->name, cmd->summary);
    }
}

void cli_help_group(const cli *c, const char *word, FILE *f)
{
    (void)fprintf(f, "Usage: snug %s COMMAND [options]\n", word);
    put_title(c, f, "Commands");
    put_list(f, word);
    (void)fprintf(f, "\nsnug %s COMMAND --help tells more.\n", word);
}

void cli_help_all(const cli *c, FILE *f)
{
    (void)fprintf(f, "snug " SNUG_VERSION
                     " - your own hub for models and data sets, in one program\n\n"
                     "Usage: snug COMMAND [arguments] [options]\n");
    put_title(c, f, "Commands");
    put_list(f, NULL);
    put_title(c, f, "Options of every command");
    put_flags(f, cli_global_flags);
    (void)fprintf(f, "\nsnug COMMAND --help tells more, with examples and exit codes.\n");
}

/* ---- docs/cli.md ---- */

static void md_flags(FILE *f, const cli_flag *flags)
{
    for (; flags != NULL && flags->name != NULL; flags++) {
        (void)fprintf(f, "| `--%s%s%s` | ", flags->name, flags->value == NULL ? "" : " ",
                      flags->value == NULL ? "" : flags->value);
        for (const char *p = flags->help; *p != '\0'; p++) {
            if (*p == '|') (void)fputc('\\', f);
            (void)fputc(*p, f);
        }
        (void)fprintf(f, " |\n");
    }
}

static void md_command(FILE *f, const cli_command *cmd)
{
    (void)fprintf(f, "\n## snug %s\n\n`snug %s%s%s [options]`\n\n", cmd->name, cmd->name,
                  cmd->args[0] == '\0' ? "" : " ", cmd->args);
    put_wrapped(f, cmd->help, 0, 0);
    if (cmd->flags != NULL || (cmd->groups & (CLI_DATA | CLI_REMOTE)) != 0) {
        (void)fprintf(f, "\n| option | |\n|---|---|\n");
        md_flags(f, cmd->flags);
        if (cmd->groups & CLI_DATA) md_flags(f, cli_data_flags);
        if (cmd->groups & CLI_REMOTE) md_flags(f, cli_remote_flags);
    }
    (void)fprintf(f, "\n```sh\n");
    for (const char *const *e = cmd->examples; e != NULL && e[0] != NULL; e += 2)
        (void)fprintf(f, "# %s\n%s\n", e[1], e[0]);
    (void)fprintf(f, "```\n\nExit codes: %s.\n", cmd->exits);
}

void cli_help_markdown(FILE *f)
{
    (void)fprintf(
        f,
        "<!-- Made by `snug help --markdown` (make docs). Edit the table in src/cli instead. -->\n"
        "# The command line\n\n| command | |\n|---|---|\n");
    for (size_t i = 0; cli_commands[i] != NULL; i++)
        (void)fprintf(f, "| `snug %s` | %s |\n", cli_commands[i]->name, cli_commands[i]->summary);
    (void)fprintf(f, "\nEvery command takes these:\n\n| option | |\n|---|---|\n");
    md_flags(f, cli_global_flags);
    (void)fprintf(f, "\nand ends with one of these:\n\n| exit code | |\n|---|---|\n");
    for (size_t i = 0; i < sizeof exit_codes / sizeof *exit_codes; i++)
        (void)fprintf(f, "| %d | %s |\n", exit_codes[i].code, exit_codes[i].text);
    for (size_t i = 0; cli_commands[i] != NULL; i++) md_command(f, cli_commands[i]);
}

/* ---- the man page: roff with man(7) macros ---- */

/* A leading dot or quote is a request, a backslash an escape, a plain dash may break. */
static void man_text(FILE *f, const char *s)
{
    bool start = true;
    for (; *s != '\0'; s++) {
        if (start && (*s == '.' || *s == '\'')) (void)fprintf(f, "\\&");
        start = *s == '\n';
        if (s[0] == '\n' && s[1] == '\n') {
            (void)fprintf(f, "\n.PP\n");
            s++;
        } else if (*s == '\\') {
            (void)fprintf(f, "\\e");
        } else if (*s == '-') {
            (void)fprintf(f, "\\-");
        } else {
            (void)fputc(*s, f);
        }
    }
    (void)fputc('\n', f);
}

static void man_flags(FILE *f, const cli_flag *flags)
{
    for (; flags != NULL && flags->name != NULL; flags++) {
        (void)fprintf(f, ".TP\n.B \\-\\-");
        for (const char *p = flags->name; *p != '\0'; p++) {
            if (*p == '-') (void)fputc('\\', f);
            (void)fputc(*p, f);
        }
        if (flags->value != NULL) (void)fprintf(f, " \\fI%s\\fR", flags->value);
        (void)fputc('\n', f);
        man_text(f, flags->help);
    }
}

void cli_help_man(FILE *f)
{
    (void)fprintf(f, ".TH SNUG 1 \"\" \"snug " SNUG_VERSION
                     "\" \"Snug\"\n.SH NAME\nsnug \\- your own hub for models and data sets\n"
                     ".SH SYNOPSIS\n.B snug\n.I command\n[\\fIarguments\\fR] "
                     "[\\fIoptions\\fR]\n.SH OPTIONS OF EVERY COMMAND\n");
    man_flags(f, cli_global_flags);
    (void)fprintf(f, ".SH COMMANDS\n");
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        const cli_command *cmd = cli_commands[i];
        (void)fprintf(f, ".SS snug %s\n.B snug %s\n", cmd->name, cmd->name);
        man_text(f, cmd->args[0] == '\0' ? "[options]" : cmd->args);
        (void)fprintf(f, ".PP\n");
        man_text(f, cmd->help);
        man_flags(f, cmd->flags);
        if (cmd->groups & CLI_DATA) man_flags(f, cli_data_flags);
        if (cmd->groups & CLI_REMOTE) man_flags(f, cli_remote_flags);
        for (const char *const *e = cmd->examples; e != NULL && e[0] != NULL; e += 2) {
            (void)fprintf(f, ".PP\n");
            man_text(f, e[1]);
            (void)fprintf(f, ".EX\n");
            man_text(f, e[0]);
            (void)fprintf(f, ".EE\n");
        }
    }
    (void)fprintf(f, ".SH EXIT STATUS\n");
    for (size_t i = 0; i < sizeof exit_codes / sizeof *exit_codes; i++) {
        (void)fprintf(f, ".TP\n.B %d\n", exit_codes[i].code);
        man_text(f, exit_codes[i].text);
    }
}
