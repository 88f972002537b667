/* SPDX-License-Identifier: Apache-2.0 */
/* cli/table.c - the commands, in the order help lists them.
 *
 * A new one needs: cli/cmd_<x>.c with its row, its name in cli_int.h and here, a transcript in
 * tests/cli, and `make docs`. */
#include "cli/cli_int.h"

const cli_command *const cli_commands[] = {
#ifdef SNUG_HAVE_HUB
    &cli_cmd_serve,
    &cli_cmd_config,
    &cli_cmd_openapi,
    &cli_cmd_user_add,
    &cli_cmd_user_password,
    &cli_cmd_user_list,
    &cli_cmd_org_add,
    &cli_cmd_org_member,
    &cli_cmd_org_list,
    &cli_cmd_jobs_list,
    &cli_cmd_jobs_retry,
    &cli_cmd_media,
    &cli_cmd_storage,
    &cli_cmd_dedup,
    &cli_cmd_gc,
    &cli_cmd_fsck,
    &cli_cmd_token_create,
    &cli_cmd_token_list,
    &cli_cmd_token_revoke,
    &cli_cmd_key_add,
    &cli_cmd_key_list,
    &cli_cmd_key_remove,
    &cli_cmd_login,
    &cli_cmd_logout,
    &cli_cmd_whoami,
    &cli_cmd_repo_create,
    &cli_cmd_repo_delete,
    &cli_cmd_repo_list,
    &cli_cmd_repo_move,
    &cli_cmd_upload,
    &cli_cmd_download,
    &cli_cmd_ssh_keys,
    &cli_cmd_ssh_serve,
#endif
#ifdef SNUG_HAVE_INFER
    &cli_cmd_run,
    &cli_cmd_forward,
    &cli_cmd_quantize,
    &cli_cmd_merge_adapter,
    &cli_cmd_tokenize_train,
    &cli_cmd_tokenize,
#endif
    &cli_cmd_template,
    &cli_cmd_scan,
    &cli_cmd_convert,
    &cli_cmd_version,
    &cli_cmd_help,
    NULL,
};
