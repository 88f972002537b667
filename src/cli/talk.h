/* SPDX-License-Identifier: Apache-2.0 */
/* cli/talk.h - texts that appear as they are made, and conversations. Private to snug run. */
#ifndef SNUG_CLI_TALK_H
#define SNUG_CLI_TALK_H

#include "cli/cli_int.h"
#include "infer/infer.h"

typedef struct cli_talk {
    cli       *c;
    infer_ctx *model;
    snug_json  params;
    bool       stats; /* tokens and seconds on standard error */
} cli_talk;

/* The conversation that --messages FILE, --system TEXT and --chat with `said` (empty: nothing) make
 * together; absent when none of them is given. Lives in the cli's arena. */
snug_status cli_talk_read(cli *c, const cli_args *a, snug_slice said, snug_json *out,
                          snug_err *err) SNUG_MUST_USE;
/* Shows what follows a prompt or a conversation (absent: the prompt); kept in `said` unless NULL.
 */
snug_status cli_talk_show(const cli_talk *t, snug_slice prompt, snug_json messages, snug_buf *said,
                          snug_err *err) SNUG_MUST_USE;
/* Lines typed by a person, each answered, until the end of input. `messages` may open a
 * conversation; a model without a chat template continues each line by itself. */
snug_status cli_talk_on(const cli_talk *t, snug_json messages, snug_err *err) SNUG_MUST_USE;

#endif
