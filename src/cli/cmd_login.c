/* SPDX-License-Identifier: Apache-2.0 */
/* cli/cmd_login.c - snug login, logout, whoami. */
#include <stdlib.h>
#include <unistd.h>

#include "cli/net.h"

enum { STDIN_TOKEN_MAX = 16 * 1024 };

static snug_status get_token(cli *c, const cli_args *a, snug_slice *token, snug_err *err)
{
    const char *given = cli_flag_value(a, "token");
    if (given != NULL) {
        *token = snug_str(given);
        return SNUG_OK;
    }
    if (isatty(STDIN_FILENO) == 1)
        return cli_ask("Access token (not shown): ", true, c->arena, token, err);
    snug_status st = cli_read_stdin(c->arena, STDIN_TOKEN_MAX, token, err);
    *token = snug_trim(*token);
    return st;
}

static snug_status run_login(cli *c, const cli_args *a, snug_err *err)
{
    snug_status st = SNUG_OK;
    remote     *r = NULL;
    snug_slice  token, name, role, label;
    snug_json   who;
    SNUG_TRY(get_token(c, a, &token, err));
    if (token.len == 0) SNUG_FAIL(err, SNUG_EINVAL, "no token was given");
    remote_opts o = {.endpoint = cli_flag_value(a, "endpoint"),
                     .token = snug_arena_cstr(c->arena, token)};
    SNUG_TRY(remote_open(&o, &r, err));
    SNUG_TRY(remote_whoami(r, c->arena, &who, err));
    SNUG_TRY(snug_json_need_str(who, "name", &name, err));
    snug_json access = snug_json_get(snug_json_get(who, "auth"), "accessToken");
    role = snug_json_str_or(access, "role", SNUG_LIT("unknown"));
    label = snug_json_str_or(access, "displayName", SNUG_LIT("snug"));
    SNUG_TRY(remote_save_token(label, token, err));
    if (c->json) {
        SNUG_AUTO(snug_buf) b = snug_buf_init(64 * 1024);
        snug_json_out j = snug_json_out_init(&b);
        snug_jo_begin_object(&j);
        snug_jo_kstr(&j, "name", name);
        snug_jo_kstr(&j, "role", role);
        snug_jo_kcstr(&j, "endpoint", remote_endpoint(r));
        snug_jo_end_object(&j);
        cli_print_json(&b);
    }
    cli_say(c, "Logged in as %.*s (%.*s access) at %s\n", SNUG_SLICE(name), SNUG_SLICE(role),
            remote_endpoint(r));
    const char *in_use = getenv("HF_TOKEN");
    if (in_use != NULL && in_use[0] != '\0')
        cli_note(c, "note: $HF_TOKEN is set and goes before the stored token\n");
done:
    remote_close(r);
    return st;
}

static const char *const login_examples[] = {
    "snug login", "ask for the token, without showing it",
    "snug login --token hf_... --endpoint https://hub.example.org",
    "check the token there and store it", NULL};

const cli_command cli_cmd_login = {
    .name = "login",
    .args = "",
    .summary = "check an access token and store it",
    .help = "Asks the hub who the token belongs to and stores it in $HF_HOME/token (default "
            "~/.cache/huggingface/token), where stock Hugging Face libraries look too. The token "
            "comes from --token, from standard input, or is asked for.\n\n"
            "The address of the hub is not stored: set HF_ENDPOINT, which every client "
            "understands.",
    .groups = CLI_REMOTE,
    .examples = login_examples,
    .exits = "0 2 4 8 10 74",
    .run = run_login,
};

static snug_status run_logout(cli *c, const cli_args *a, snug_err *err)
{
    (void)a;
    snug_status st = remote_forget_token(err);
    if (st == SNUG_OK) cli_say(c, "Logged out\n");
    return st;
}

static const char *const logout_examples[] = {"snug logout", "forget the stored token",
                                              "snug logout --quiet", "the same without a word",
                                              NULL};

const cli_command cli_cmd_logout = {
    .name = "logout",
    .args = "",
    .summary = "forget the stored token",
    .help = "Removes the token file. The token itself stays valid until `snug token revoke`.",
    .examples = logout_examples,
    .exits = "0 2 74",
    .run = run_logout,
};

static snug_status run_whoami(cli *c, const cli_args *a, snug_err *err)
{
    snug_status st = SNUG_OK;
    remote     *r = NULL;
    snug_json   who;
    snug_slice  name;
    SNUG_TRY(cli_open_remote(a, &r, err));
    SNUG_TRY(remote_whoami(r, c->arena, &who, err));
    if (c->json) {
        SNUG_AUTO(snug_buf) b = snug_buf_init(1024 * 1024);
        snug_json_out j = snug_json_out_init(&b);
        snug_jo_value(&j, who);
        cli_print_json(&b);
        goto done;
    }
    SNUG_TRY(snug_json_need_str(who, "name", &name, err));
    cli_print("%.*s\n", SNUG_SLICE(name));
done:
    if (st != SNUG_OK && r != NULL) snug_note(err, "%s", remote_endpoint(r));
    remote_close(r);
    return st;
}

static const char *const whoami_examples[] = {"snug whoami", "print the account name",
                                              "snug whoami --json",
                                              "print all the hub tells about it", NULL};

const cli_command cli_cmd_whoami = {
    .name = "whoami",
    .args = "",
    .summary = "print whose token is in use",
    .help = "Prints the name of the account that the token belongs to.",
    .groups = CLI_REMOTE,
    .examples = whoami_examples,
    .exits = "0 2 4 8 10",
    .run = run_whoami,
};
