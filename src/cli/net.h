/* SPDX-License-Identifier: Apache-2.0 */
/* cli/net.h - what the commands that talk to a hub share. */
#ifndef SNUG_CLI_NET_H
#define SNUG_CLI_NET_H

#include "cli/cli_int.h"
#include "remote/remote.h"

/* A connection from --endpoint and --token and the environment. */
snug_status cli_open_remote(const cli_args *a, remote **out, snug_err *err) SNUG_MUST_USE;
/* The repository named first, with --type. */
snug_status cli_repo_arg(const cli_args *a, size_t index, remote_repo *out,
                         snug_err *err) SNUG_MUST_USE;
/* Values of a repeated flag as slices. */
const snug_slice *cli_slices(snug_arena *a, const cli_args *args, const char *flag, size_t *count);
extern const char cli_type_help[], cli_no_xet_help[];

/* Fetches the model `name` ("ORG/NAME") into the cache, with a bar and until Ctrl-C: of --revision,
 * and only the files that `d` says (its include or choose; the rest is filled in here). *path is
 * the folder and lives as long as the cli's arena. Errors name the repository `shown`. */
snug_status cli_fetch_model(cli *c, const cli_args *a, snug_slice name, const char *shown,
                            remote_download *d, const char **path, snug_err *err) SNUG_MUST_USE;

#endif
