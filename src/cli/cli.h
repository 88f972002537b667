/* SPDX-License-Identifier: Apache-2.0 */
/* cli/cli.h - the command table and what commands share: output, flags, progress bars.
 *
 * A command is a row of the table in table.c and a function in cmd_<x>.c. Help, the man page,
 * docs/cli.md and the checking of flags are all made from the row. A run function returns a
 * status; main prints the sentence and maps it to an exit code, so no command prints errors. */
#ifndef SNUG_CLI_CLI_H
#define SNUG_CLI_CLI_H

#include "base/base.h"

typedef struct cli {
    bool        json;  /* --json: machine-readable results on standard output */
    bool        quiet; /* --quiet: results and errors only */
    bool        color; /* standard output takes colours: a terminal, NO_COLOR unset, --color */
    bool        err_color, err_tty; /* the same for standard error; progress bars need a terminal */
    snug_arena *arena;              /* of the run */
} cli;

/* A flag: `value` names what it takes ("DIR"); NULL makes it a switch. */
typedef struct cli_flag {
    const char *name, *value, *help;
} cli_flag;

/* What was given. Slices live as long as argv. */
typedef struct cli_given {
    const cli_flag *flag;
    const char     *value;
} cli_given;
typedef struct cli_args {
    cli_given   *given;
    size_t       given_count;
    const char **pos; /* positional */
    size_t       pos_count;
} cli_args;
const char *cli_flag_value(const cli_args *a, const char *name); /* the last; NULL: absent */
const char *cli_flag_nth(const cli_args *a, const char *name, size_t index); /* NULL: no more */
bool        cli_flag_given(const cli_args *a, const char *name);
const char *cli_pos(const cli_args *a, size_t index); /* NULL: not given */

enum { CLI_REMOTE = 1u, CLI_DATA = 2u }; /* adds --endpoint and --token; adds --data */

typedef struct cli_command {
    const char        *name;    /* "user add" */
    const char        *args;    /* "NAME", "REPO [FILE...]" */
    const char        *summary; /* one line */
    const char        *help;    /* paragraphs, separated by \n\n */
    const cli_flag    *flags;   /* ends with a NULL name; may be NULL */
    unsigned           groups;
    unsigned           min, max; /* positional arguments; max UINT_MAX: any */
    const char *const *examples; /* pairs: command line, what it does; NULL-ended */
    const char        *exits;    /* codes it can end with: "0 2 3 4" */
    snug_status (*run)(cli *c, const cli_args *a, snug_err *err);
} cli_command;

extern const cli_command *const cli_commands[]; /* NULL-ended */

/* Runs a command line; returns the exit code. main() is a call of this. */
int cli_main(int argc, char **argv);

#endif
