/* SPDX-License-Identifier: Apache-2.0 */
/* cli/cli.h - the command table and what commands share: output, flags, progress bars. */
#ifndef SNUG_CLI_CLI_H
#define SNUG_CLI_CLI_H

#include "base/base.h"

typedef struct cli {
    bool        json;    /* --json: machine-readable results on standard output */
    bool        color;   /* standard output is a terminal and NO_COLOR is unset */
    bool        err_tty; /* progress bars go to standard error when it is a terminal */
    snug_arena *arena;
} cli;

typedef struct cli_command {
    const char *name, *usage, *help;
    int (*run)(cli *c, int argc, char **argv);
} cli_command;

#endif
