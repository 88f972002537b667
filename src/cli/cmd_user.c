/* SPDX-License-Identifier: Apache-2.0 */
/* cli/cmd_user.c - snug user and snug token: accounts, straight in the data folder.
 *
 * For:     the operator, with or without a running server: SQLite's WAL lets both write, and the
 *          server asks the database about tokens it does not know. */
#include <unistd.h>

#include "cli/data.h"

enum { PASSWORD_MIN = 8, PASSWORD_MAX = 1024, OUT_MAX = 64 * 1024 * 1024 };

snug_status cli_open_hub(cli *c, const cli_args *a, hub **out, snug_err *err)
{
    config      conf;
    snug_status st = config_load(c->arena, a, &conf, err);
    if (st != SNUG_OK) return st;
    hub_opts o = {.data_dir = config_text(&conf, CONFIG_ID_data),
                  .db_url = config_text(&conf, CONFIG_ID_db),
                  .admin_tool = true};
    st = hub_open(&o, out, err);
    if (st != SNUG_OK) snug_note(err, "data folder %s", o.data_dir);
    return st;
}

/* From standard input with --password-stdin, else typed twice. */
static snug_status get_password(cli *c, const cli_args *a, snug_slice *out, snug_err *err)
{
    snug_slice  again;
    snug_status st = SNUG_OK;
    if (cli_flag_given(a, "password-stdin")) {
        SNUG_TRY(cli_read_stdin(c->arena, PASSWORD_MAX + 2, out, err));
        while (out->len > 0 && (out->ptr[out->len - 1] == '\n' || out->ptr[out->len - 1] == '\r'))
            out->len--;
    } else if (isatty(STDIN_FILENO) == 1) {
        SNUG_TRY(cli_ask("Password (not shown): ", true, c->arena, out, err));
        SNUG_TRY(cli_ask("Once more: ", true, c->arena, &again, err));
        if (!snug_eq(*out, again)) SNUG_FAIL(err, SNUG_EINVAL, "the two passwords differ");
    } else {
        SNUG_FAIL(err, SNUG_EINVAL,
                  "add --password-stdin and write the password to standard input");
    }
    if (out->len < PASSWORD_MIN)
        SNUG_FAIL(err, SNUG_EINVAL, "a password has at least %d characters", PASSWORD_MIN);
done:
    return st;
}

static void put_user(snug_json_out *j, const hub_user *u)
{
    char when[25];
    snug_time_iso(u->created_ms, when);
    snug_jo_begin_object(j);
    snug_jo_kstr(j, "name", u->name);
    snug_jo_kstr(j, "email", u->email);
    snug_jo_kbool(j, "admin", u->is_admin);
    snug_jo_kcstr(j, "created", when);
    snug_jo_end_object(j);
}

static snug_status run_add(cli *c, const cli_args *a, snug_err *err)
{
    snug_status st = SNUG_OK;
    hub        *h = NULL;
    hub_user    user;
    snug_slice  password, name = snug_str(cli_pos(a, 0));
    bool        admin = cli_flag_given(a, "admin");
    SNUG_TRY(hub_check_name(name, "user", err));
    SNUG_TRY(get_password(c, a, &password, err));
    SNUG_TRY(cli_open_hub(c, a, &h, err));
    SNUG_TRY(
        hub_add_user(h, name, password, snug_str(cli_flag_value(a, "email")), admin, &user, err));
    if (c->json) {
        SNUG_AUTO(snug_buf) b = snug_buf_init(OUT_MAX);
        snug_json_out j = snug_json_out_init(&b);
        put_user(&j, &user);
        cli_print_json(&b);
    }
    cli_say(c, "Added %s%.*s\n", admin ? "administrator " : "", SNUG_SLICE(name));
done:
    if (h != NULL) hub_close(h);
    return st;
}

static const cli_flag add_flags[] = {
    {"password-stdin", NULL, "read the password from standard input (else it is asked for)"},
    {"admin", NULL, "may do everything"},
    {"email", "ADDRESS", "shown in commits"},
    {NULL, NULL, NULL}};
static const char *const add_examples[] = {
    "snug user add ada --admin", "add an administrator, asking for the password",
    "printf %s \"$PW\" | snug user add bob --password-stdin --data /srv/snug",
    "add an account from a script", NULL};

const cli_command cli_cmd_user_add = {
    .name = "user add",
    .args = "NAME",
    .summary = "add an account",
    .help = "Adds an account to the hub in the data folder. Works while the server runs.",
    .flags = add_flags,
    .groups = CLI_DATA,
    .min = 1,
    .max = 1,
    .examples = add_examples,
    .exits = "0 2 5 74",
    .run = run_add,
};

static snug_status run_password(cli *c, const cli_args *a, snug_err *err)
{
    snug_status st = SNUG_OK;
    hub        *h = NULL;
    snug_slice  password;
    SNUG_TRY(get_password(c, a, &password, err));
    SNUG_TRY(cli_open_hub(c, a, &h, err));
    SNUG_TRY(hub_set_password(h, snug_str(cli_pos(a, 0)), password, err));
    cli_say(c, "Changed the password of %s\n", cli_pos(a, 0));
done:
    if (h != NULL) hub_close(h);
    return st;
}

static const cli_flag password_flags[] = {
    {"password-stdin", NULL, "read the password from standard input (else it is asked for)"},
    {NULL, NULL, NULL}};
static const char *const password_examples[] = {
    "snug user password ada", "ask for a new password",
    "printf %s \"$PW\" | snug user password ada --password-stdin", "set it from a script", NULL};

const cli_command cli_cmd_user_password = {
    .name = "user password",
    .args = "NAME",
    .summary = "change a password",
    .help = "Sets a new password. Access tokens stay valid.",
    .flags = password_flags,
    .groups = CLI_DATA,
    .min = 1,
    .max = 1,
    .examples = password_examples,
    .exits = "0 2 3 74",
    .run = run_password,
};

static snug_status run_users(cli *c, const cli_args *a, snug_err *err)
{
    snug_status st = SNUG_OK;
    hub        *h = NULL;
    hub_user   *users;
    size_t      n;
    SNUG_AUTO(snug_buf) b = snug_buf_init(OUT_MAX);
    snug_json_out j = snug_json_out_init(&b);
    SNUG_TRY(cli_open_hub(c, a, &h, err));
    SNUG_TRY(hub_list_users(h, c->arena, &users, &n, err));
    snug_jo_begin_array(&j);
    for (size_t i = 0; i < n; i++) {
        if (c->json)
            put_user(&j, &users[i]);
        else
            cli_print("%-42.*s %-6s %.*s\n", SNUG_SLICE(users[i].name),
                      users[i].is_admin ? "admin" : "user", SNUG_SLICE(users[i].email));
    }
    snug_jo_end_array(&j);
    if (c->json)
        cli_print_json(&b);
    else if (n == 0)
        cli_note(c, "No users\n");
done:
    if (h != NULL) hub_close(h);
    return st;
}

static const char *const users_examples[] = {
    "snug user list", "name, role and address of each account",
    "snug user list --json --data /srv/snug", "the same as JSON", NULL};

const cli_command cli_cmd_user_list = {
    .name = "user list",
    .args = "",
    .summary = "list the accounts",
    .help = "Lists the accounts of the hub in the data folder.",
    .groups = CLI_DATA,
    .examples = users_examples,
    .exits = "0 2 74",
    .run = run_users,
};

/* ---- tokens ---- */

/* `snug token create ada` and `snug token create --user ada` mean the same. */
static snug_status owner_of(const cli_args *a, snug_slice *out, snug_err *err)
{
    const char *name = cli_pos(a, 0), *flag = cli_flag_value(a, "user");
    if ((name == NULL) == (flag == NULL))
        return snug_fail(err, SNUG_EINVAL, "name the account once: snug token ... USER");
    *out = snug_str(name != NULL ? name : flag);
    return SNUG_OK;
}

static const char *role_name(hub_role r)
{
    return r == HUB_ROLE_READ    ? "read"
           : r == HUB_ROLE_WRITE ? "write"
           : r == HUB_ROLE_ADMIN ? "admin"
                                 : "none";
}

static snug_status run_token_create(cli *c, const cli_args *a, snug_err *err)
{
    snug_status st = SNUG_OK;
    hub        *h = NULL;
    char        token[40] = "";
    snug_slice  user;
    const char *name = cli_flag_value(a, "name"), *role = cli_flag_value(a, "role");
    SNUG_TRY(owner_of(a, &user, err));
    if (name == NULL)
        SNUG_FAIL(err, SNUG_EINVAL,
                  "a token needs a --name, so that you know later which one it is");
    if (role == NULL) role = "read";
    if (strcmp(role, "read") != 0 && strcmp(role, "write") != 0)
        SNUG_FAIL(err, SNUG_EINVAL, "--role takes read or write, not \"%s\"", role);
    SNUG_TRY(cli_open_hub(c, a, &h, err));
    SNUG_TRY(hub_create_token(h, user, snug_str(name),
                              strcmp(role, "write") == 0 ? HUB_ROLE_WRITE : HUB_ROLE_READ, token,
                              err));
    if (c->json) {
        SNUG_AUTO(snug_buf) b = snug_buf_init(OUT_MAX);
        snug_json_out j = snug_json_out_init(&b);
        snug_jo_begin_object(&j);
        snug_jo_kcstr(&j, "token", token);
        snug_jo_kcstr(&j, "name", name);
        snug_jo_kcstr(&j, "role", role);
        snug_jo_end_object(&j);
        cli_print_json(&b);
    } else {
        cli_print("%s\n", token);
    }
done:
    snug_secret_wipe(token, sizeof token);
    if (h != NULL) hub_close(h);
    return st;
}

static const cli_flag token_create_flags[] = {
    {"name", "NAME", "what the token is for: laptop, ci, ..."},
    {"role", "ROLE", "read (default) or write"},
    {"user", "USER", "the account, instead of the argument"},
    {NULL, NULL, NULL}};
static const char *const token_create_examples[] = {
    "snug token create ada --name laptop --role write", "print a new token that may write",
    "export HF_TOKEN=$(snug token create ci --name build --role read)", "use one in a script",
    NULL};

const cli_command cli_cmd_token_create = {
    .name = "token create",
    .args = "USER",
    .summary = "make an access token",
    .help = "Makes an access token and prints it, alone on a line. It cannot be shown again: the "
            "hub keeps its hash.",
    .flags = token_create_flags,
    .groups = CLI_DATA,
    .max = 1,
    .examples = token_create_examples,
    .exits = "0 2 3 5 74",
    .run = run_token_create,
};

static void put_token(snug_json_out *j, const hub_token *t)
{
    char when[25];
    snug_jo_begin_object(j);
    snug_jo_kstr(j, "name", t->name);
    snug_jo_kcstr(j, "role", role_name(t->role));
    snug_time_iso(t->created_ms, when);
    snug_jo_kcstr(j, "created", when);
    snug_jo_key(j, "last_used");
    if (t->last_used_ms > 0) {
        snug_time_iso(t->last_used_ms, when);
        snug_jo_cstr(j, when);
    } else {
        snug_jo_null(j);
    }
    snug_jo_end_object(j);
}

static void print_token(const hub_token *t)
{
    char made[25], used[25] = "never";
    snug_time_iso(t->created_ms, made);
    if (t->last_used_ms > 0) snug_time_iso(t->last_used_ms, used);
    cli_print("%-24.*s %-6s made %.10s  used %.10s\n", SNUG_SLICE(t->name), role_name(t->role),
              made, used);
}

static snug_status run_token_list(cli *c, const cli_args *a, snug_err *err)
{
    snug_status st = SNUG_OK;
    hub        *h = NULL;
    hub_token  *tokens;
    snug_slice  user;
    size_t      n;
    SNUG_AUTO(snug_buf) b = snug_buf_init(OUT_MAX);
    snug_json_out j = snug_json_out_init(&b);
    SNUG_TRY(owner_of(a, &user, err));
    SNUG_TRY(cli_open_hub(c, a, &h, err));
    SNUG_TRY(hub_list_tokens(h, user, c->arena, &tokens, &n, err));
    snug_jo_begin_array(&j);
    for (size_t i = 0; i < n; i++) {
        if (c->json)
            put_token(&j, &tokens[i]);
        else
            print_token(&tokens[i]);
    }
    snug_jo_end_array(&j);
    if (c->json)
        cli_print_json(&b);
    else if (n == 0)
        cli_note(c, "No tokens\n");
done:
    if (h != NULL) hub_close(h);
    return st;
}

static const cli_flag token_user_flags[] = {
    {"user", "USER", "the account, instead of the argument"}, {NULL, NULL, NULL}};
static const char *const token_list_examples[] = {
    "snug token list ada", "name, role, age and last use of each token",
    "snug token list ada --json", "the same as JSON", NULL};

const cli_command cli_cmd_token_list = {
    .name = "token list",
    .args = "USER",
    .summary = "list the tokens of an account",
    .help = "Lists tokens by name; the tokens themselves cannot be shown.",
    .flags = token_user_flags,
    .groups = CLI_DATA,
    .max = 1,
    .examples = token_list_examples,
    .exits = "0 2 3 74",
    .run = run_token_list,
};

static snug_status run_token_revoke(cli *c, const cli_args *a, snug_err *err)
{
    snug_status st = SNUG_OK;
    hub        *h = NULL;
    snug_slice  user;
    const char *name = cli_flag_value(a, "name");
    SNUG_TRY(owner_of(a, &user, err));
    if (name == NULL)
        SNUG_FAIL(err, SNUG_EINVAL, "which token? add --name NAME; snug token list %.*s shows them",
                  SNUG_SLICE(user));
    SNUG_TRY(cli_open_hub(c, a, &h, err));
    SNUG_TRY(hub_revoke_token(h, user, snug_str(name), err));
    cli_say(c, "Revoked %s of %.*s\n", name, SNUG_SLICE(user));
done:
    if (h != NULL) hub_close(h);
    return st;
}

static const cli_flag token_revoke_flags[] = {
    {"name", "NAME", "the token's name"},
    {"user", "USER", "the account, instead of the argument"},
    {NULL, NULL, NULL}};
static const char *const token_revoke_examples[] = {
    "snug token revoke ada --name laptop", "end the token called laptop",
    "snug token revoke --user ci --name build --quiet", "the same from a script", NULL};

const cli_command cli_cmd_token_revoke = {
    .name = "token revoke",
    .args = "USER",
    .summary = "end an access token",
    .help = "Ends a token. A running server may go on to accept it for the few seconds it "
            "remembers tokens.",
    .flags = token_revoke_flags,
    .groups = CLI_DATA,
    .max = 1,
    .examples = token_revoke_examples,
    .exits = "0 2 3 74",
    .run = run_token_revoke,
};
