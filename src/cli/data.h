/* SPDX-License-Identifier: Apache-2.0 */
/* cli/data.h - what the commands that open the data folder share. */
#ifndef SNUG_CLI_DATA_H
#define SNUG_CLI_DATA_H

#include "cli/config.h"
#include "hub/hub.h"

/* Opens the data folder of --data for account commands; works beside a running server. */
snug_status cli_open_hub(cli *c, const cli_args *a, hub **out, snug_err *err) SNUG_MUST_USE;

#endif
