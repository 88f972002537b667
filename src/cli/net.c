/* SPDX-License-Identifier: Apache-2.0 */
/* cli/net.c - what the commands that talk to a hub share. */
#include "cli/net.h"

const char cli_type_help[] = "model (default), dataset or space; datasets/OWNER/NAME says it too";

const char cli_no_xet_help[] = "large files by LFS and plain HTTP (as HF_HUB_DISABLE_XET=1)";

snug_status cli_open_remote(const cli_args *a, remote **out, snug_err *err)
{
    remote_opts o = {.endpoint = cli_flag_value(a, "endpoint"),
                     .token = cli_flag_value(a, "token"),
                     .cache_dir = cli_flag_value(a, "cache-dir"),
                     .no_xet = cli_flag_given(a, "no-xet")};
    return remote_open(&o, out, err);
}

snug_status cli_repo_arg(const cli_args *a, size_t index, remote_repo *out, snug_err *err)
{
    return remote_parse_repo(snug_str(cli_pos(a, index)), cli_flag_value(a, "type"), out, err);
}

const snug_slice *cli_slices(snug_arena *a, const cli_args *args, const char *flag, size_t *count)
{
    size_t n = 0;
    while (cli_flag_nth(args, flag, n) != NULL) n++;
    snug_slice *out = snug_arena_zalloc(a, (n + 1) * sizeof *out);
    for (size_t i = 0; i < n; i++) out[i] = snug_str(cli_flag_nth(args, flag, i));
    *count = n;
    return out;
}
