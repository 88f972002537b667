/* SPDX-License-Identifier: Apache-2.0 */
/* cli/cli_int.h - what the files of cli/ share. Private to the folder and its tests. */
#ifndef SNUG_CLI_CLI_INT_H
#define SNUG_CLI_CLI_INT_H

#include <inttypes.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>

#include "cli/cli.h"

/* ---- args.c ---- */
extern const cli_flag cli_global_flags[], cli_remote_flags[], cli_data_flags[];
/* Finds the command at the front of argv; *used: how many words name it. NULL: none. */
const cli_command *cli_find_command(int argc, char **argv, int *used);
/* True when some command begins with this word ("user"). */
bool        cli_is_group(const char *word);
const char *cli_nearest_command(const char *typed); /* NULL: nothing close */
snug_status cli_parse_args(const cli_command *cmd, int argc, char **argv, snug_arena *a,
                           cli_args *out, snug_err *err) SNUG_MUST_USE;
/* How many edits (insert, delete, replace, swap) turn one word into the other. */
size_t cli_distance(const char *a, const char *b);

/* ---- out.c ---- */
void cli_print(const char *fmt, ...) SNUG_PRINTF(1, 2); /* standard output */
void cli_say(const cli *c, const char *fmt, ...)
    SNUG_PRINTF(2, 3); /* for people: silent with --json, --quiet */
void cli_note(const cli *c, const char *fmt, ...)
    SNUG_PRINTF(2, 3);                   /* standard error; silent with --quiet */
void        cli_print_json(snug_buf *b); /* and a newline */
void        cli_print_error(const cli *c, snug_status st, const snug_err *err);
snug_status cli_flush(snug_err *err) SNUG_MUST_USE; /* a full disk or closed pipe is an error too */
/* Reads standard input up to max bytes into the arena. */
snug_status cli_read_stdin(snug_arena *a, size_t max, snug_slice *out, snug_err *err) SNUG_MUST_USE;
/* One line typed by a person, without showing it when `secret`. */
snug_status cli_ask(const char *prompt, bool secret, snug_arena *a, snug_slice *out,
                    snug_err *err) SNUG_MUST_USE;

/* ---- help.c ---- */
void cli_help_command(const cli *c, const cli_command *cmd, FILE *f);
void cli_help_all(const cli *c, FILE *f);
void cli_help_group(const cli *c, const char *word, FILE *f);
void cli_help_markdown(FILE *f);
void cli_help_man(FILE *f);

/* ---- stop.c: Ctrl-C sets a flag; the second one ends the process ---- */
const atomic_bool *cli_watch_interrupt(void);

/* ---- cmd_tokenize.c: a flag that names a tokenizer file, a folder, or a repository ---- */
#ifdef SNUG_HAVE_HUB
#define CLI_TOKENIZER_GROUPS CLI_REMOTE
#else
#define CLI_TOKENIZER_GROUPS 0
#endif
snug_status cli_find_tokenizer(cli *c, const cli_args *a, const char *flag, const char **path,
                               snug_err *err) SNUG_MUST_USE;

/* ---- commands ---- */
#define CLI_COMMANDS_CORE(X)                                                                       \
    X(run)                                                                                         \
    X(forward) X(quantize) X(merge_adapter) X(tokenize_train) X(tokenize) X(template) X(scan)      \
        X(convert) X(version) X(help)
#define CLI_COMMANDS_HUB(X)                                                                        \
    X(serve)                                                                                       \
    X(config)                                                                                      \
    X(openapi)                                                                                     \
    X(user_add)                                                                                    \
    X(user_password)                                                                               \
    X(user_list) X(org_add) X(org_member) X(org_list) X(token_create) X(token_list)                \
        X(token_revoke) X(key_add) X(key_list) X(key_remove) X(login) X(logout) X(whoami)          \
            X(repo_create) X(repo_delete) X(repo_list) X(repo_move) X(upload) X(download)          \
                X(jobs_list) X(jobs_retry) X(media) X(gc) X(fsck) X(storage) X(dedup) X(ssh_keys)  \
                    X(ssh_serve)
#define X(id) extern const cli_command cli_cmd_##id;
CLI_COMMANDS_CORE(X)
CLI_COMMANDS_HUB(X)
#undef X

#endif
