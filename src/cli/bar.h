/* SPDX-License-Identifier: Apache-2.0 */
/* cli/bar.h - how far a transfer is: a bar on a terminal, a line now and then elsewhere. */
#ifndef SNUG_CLI_BAR_H
#define SNUG_CLI_BAR_H

#include "cli/cli_int.h"
#include "remote/remote.h"

typedef struct cli_bar {
    const cli *c;
    uint64_t   began_ms, shown_ms;
    uint64_t   first_done;         /* there before we began: not part of the rate */
    uint64_t   mark_ms, mark_done; /* start of the window the rate is taken over */
    double     rate;               /* bytes a second */
    bool       drawn, started;
} cli_bar;

cli_bar cli_bar_new(const cli *c);
/* A remote_progress_fn; arg is the bar. */
void cli_bar_show(void *arg, const remote_progress *p);
/* Removes an unfinished bar from the terminal, so that an error has a line of its own. */
void cli_bar_end(cli_bar *b);
/* The line itself, for `width` columns; tests read it. */
void cli_bar_line(const cli_bar *b, const remote_progress *p, unsigned width, snug_buf *out);

#endif
