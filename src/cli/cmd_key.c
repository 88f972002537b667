/* SPDX-License-Identifier: Apache-2.0 */
/* cli/cmd_key.c - snug key add, list, remove: SSH public keys of accounts, straight in the data
 * folder.
 *
 * For:     the operator; people themselves use /api/settings/ssh-keys. */
#include "cli/data.h"

enum { OUT_MAX = 4 << 20 };

static snug_status open_user(cli *c, const cli_args *a, hub **h, hub_user *user, snug_err *err)
{
    snug_status st = cli_open_hub(c, a, h, err);
    return st == SNUG_OK ? hub_find_user(*h, snug_str(cli_pos(a, 0)), c->arena, user, err) : st;
}

static void put_key(snug_json_out *j, const hub_ssh_key *k)
{
    char when[25];
    snug_jo_begin_object(j);
    snug_jo_ki64(j, "id", k->id);
    snug_jo_kstr(j, "title", k->title);
    snug_jo_kstr(j, "type", k->kind);
    snug_jo_kstr(j, "fingerprint", k->fingerprint);
    snug_time_iso(k->created_ms, when);
    snug_jo_kcstr(j, "created", when);
    snug_jo_key(j, "last_used");
    if (k->last_used_ms > 0) {
        snug_time_iso(k->last_used_ms, when);
        snug_jo_cstr(j, when);
    } else {
        snug_jo_null(j);
    }
    snug_jo_end_object(j);
}

static snug_status read_line(cli *c, const char *file, snug_slice *out, snug_err *err)
{
    if (file == NULL || strcmp(file, "-") == 0)
        return cli_read_stdin(c->arena, HUB_SSH_LINE_MAX, out, err);
    return snug_read_file(c->arena, file, HUB_SSH_LINE_MAX, out, err);
}

static snug_status run_add(cli *c, const cli_args *a, snug_err *err)
{
    snug_status st = SNUG_OK;
    hub        *h = NULL;
    hub_user    user;
    hub_ssh_key key;
    snug_slice  line, title = snug_str(cli_flag_value(a, "title"));

    SNUG_TRY(read_line(c, cli_pos(a, 1), &line, err));
    SNUG_TRY(open_user(c, a, &h, &user, err));
    SNUG_TRY(hub_add_ssh_key(h, user.id, title, line, c->arena, &key, err));
    if (c->json) {
        SNUG_AUTO(snug_buf) b = snug_buf_init(OUT_MAX);
        snug_json_out j = snug_json_out_init(&b);
        put_key(&j, &key);
        cli_print_json(&b);
    }
    cli_say(c, "Added key %lld of %s: %.*s\n", (long long)key.id, cli_pos(a, 0),
            SNUG_SLICE(key.fingerprint));
done:
    hub_close(h);
    return st;
}

static const cli_flag add_flags[] = {
    {"title", "TEXT", "what the key is for (default: its comment)"}, {NULL, NULL, NULL}};
static const char *const add_examples[] = {
    "snug key add ada ~/.ssh/id_ed25519.pub", "ada clones and pushes by SSH with this key",
    "ssh-add -L | snug key add ada --title laptop", "from standard input", NULL};

const cli_command cli_cmd_key_add = {
    .name = "key add",
    .args = "USER [FILE]",
    .summary = "add an SSH public key",
    .help = "Adds the public key in FILE (or standard input) to an account, for git over SSH. It "
            "works at once, beside a running hub.",
    .flags = add_flags,
    .groups = CLI_DATA,
    .min = 1,
    .max = 2,
    .examples = add_examples,
    .exits = "0 2 3 5 6 74",
    .run = run_add,
};

static snug_status run_list(cli *c, const cli_args *a, snug_err *err)
{
    snug_status  st = SNUG_OK;
    hub         *h = NULL;
    hub_user     user;
    hub_ssh_key *keys;
    size_t       n;
    SNUG_AUTO(snug_buf) b = snug_buf_init(OUT_MAX);
    snug_json_out j = snug_json_out_init(&b);

    SNUG_TRY(open_user(c, a, &h, &user, err));
    SNUG_TRY(hub_list_ssh_keys(h, user.id, c->arena, &keys, &n, err));
    snug_jo_begin_array(&j);
    for (size_t i = 0; i < n; i++) {
        if (c->json)
            put_key(&j, &keys[i]);
        else
            cli_print("%-6lld %.*s  %.*s\n", (long long)keys[i].id, SNUG_SLICE(keys[i].fingerprint),
                      SNUG_SLICE(keys[i].title));
    }
    snug_jo_end_array(&j);
    if (c->json)
        cli_print_json(&b);
    else if (n == 0)
        cli_note(c, "No SSH keys\n");
done:
    hub_close(h);
    return st;
}

static const char *const list_examples[] = {"snug key list ada", "number, fingerprint and title",
                                            "snug key list ada --json", "the same as JSON", NULL};

const cli_command cli_cmd_key_list = {
    .name = "key list",
    .args = "USER",
    .summary = "list the SSH keys of an account",
    .help = "Lists SSH public keys with their fingerprints, as ssh-keygen -l shows them.",
    .groups = CLI_DATA,
    .min = 1,
    .max = 1,
    .examples = list_examples,
    .exits = "0 2 3 74",
    .run = run_list,
};

static snug_status run_remove(cli *c, const cli_args *a, snug_err *err)
{
    snug_status st = SNUG_OK;
    hub        *h = NULL;
    hub_user    user;
    int64_t     id;

    if (!snug_parse_i64(snug_str(cli_pos(a, 1)), &id))
        SNUG_FAIL(err, SNUG_EINVAL, "which key? snug key list %s shows their numbers",
                  cli_pos(a, 0));
    SNUG_TRY(open_user(c, a, &h, &user, err));
    SNUG_TRY(hub_remove_ssh_key(h, user.id, id, err));
    cli_say(c, "Removed key %lld of %s\n", (long long)id, cli_pos(a, 0));
done:
    hub_close(h);
    return st;
}

static const char *const remove_examples[] = {"snug key remove ada 12", "end key number 12",
                                              "snug key remove ada 12 --quiet",
                                              "the same from a script", NULL};

const cli_command cli_cmd_key_remove = {
    .name = "key remove",
    .args = "USER ID",
    .summary = "remove an SSH key",
    .help = "Removes an SSH key. What it opened is closed at once, LFS addresses that are out "
            "excepted: those end by themselves.",
    .groups = CLI_DATA,
    .min = 2,
    .max = 2,
    .examples = remove_examples,
    .exits = "0 2 3 74",
    .run = run_remove,
};
