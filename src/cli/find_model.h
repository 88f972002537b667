/* SPDX-License-Identifier: Apache-2.0 */
/* cli/find_model.h - where a MODEL of the command line lies. Private to the folder. */
#ifndef SNUG_CLI_FIND_MODEL_H
#define SNUG_CLI_FIND_MODEL_H

#include "cli/cli_int.h"

#ifdef SNUG_HAVE_HUB
#define CLI_FIND_MODEL_GROUPS CLI_REMOTE
#else
#define CLI_FIND_MODEL_GROUPS 0
#endif

/* The first argument: a folder or a GGUF file as it is, or a repository, fetched into the cache.
 * *path lives as long as the cli's arena. */
snug_status cli_find_model(cli *c, const cli_args *a, const char **path,
                           snug_err *err) SNUG_MUST_USE;

/* The same for a name: a model, or the folder of an adapter. */
snug_status cli_find_named(cli *c, const cli_args *a, const char *name, const char **path,
                           snug_err *err) SNUG_MUST_USE;

#endif
