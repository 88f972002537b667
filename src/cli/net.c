/* SPDX-License-Identifier: Apache-2.0 */
/* cli/net.c - what the commands that talk to a hub share. */
#include "cli/net.h"

#include "cli/bar.h"

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

snug_status cli_fetch_model(cli *c, const cli_args *a, snug_slice name, const char *shown,
                            remote_download *d, const char **path, snug_err *err)
{
    snug_status       st = SNUG_OK;
    remote           *r = NULL;
    cli_bar           bar = cli_bar_new(c);
    remote_downloaded got;

    d->revision = cli_flag_value(a, "revision");
    d->progress = cli_bar_show;
    d->progress_arg = &bar;
    d->cancel = cli_watch_interrupt();
    SNUG_TRY(remote_parse_repo(name, "model", &d->repo, err));
    SNUG_TRY(cli_open_remote(a, &r, err));
    SNUG_TRY(remote_do_download(r, d, c->arena, &got, err));
    *path = snug_arena_cstr(c->arena, got.path);
done:
    cli_bar_end(&bar);
    if (st != SNUG_OK) snug_note(err, "%s", shown);
    remote_close(r);
    return st;
}
