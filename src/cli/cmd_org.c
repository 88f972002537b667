/* SPDX-License-Identifier: Apache-2.0 */
/* cli/cmd_org.c - snug org: organizations and their members, straight in the data folder.
 *
 * For:     the operator, with or without a running server; it learns of changes within seconds. */
#include "cli/data.h"

enum { OUT_MAX = 64 * 1024 * 1024 };

static snug_status run_add(cli *c, const cli_args *a, snug_err *err)
{
    snug_status st = SNUG_OK;
    hub        *h = NULL;
    snug_slice  name = snug_str(cli_pos(a, 0));

    SNUG_TRY(cli_open_hub(c, a, &h, err));
    SNUG_TRY(hub_add_org(h, name, snug_str(cli_flag_value(a, "fullname")), NULL, err));
    cli_say(c, "Added organization %.*s\n", SNUG_SLICE(name));
done:
    if (h != NULL) hub_close(h);
    return st;
}

static const cli_flag add_flags[] = {{"fullname", "NAME", "what pages show"}, {NULL, NULL, NULL}};
static const char *const add_examples[] = {
    "snug org add acme --fullname \"ACME Research\"", "add an organization",
    "snug org add acme --data /srv/snug", "add one to the hub in a folder", NULL};

const cli_command cli_cmd_org_add = {
    .name = "org add",
    .args = "NAME",
    .summary = "add an organization",
    .help = "Adds an organization: a namespace that several accounts share. Members come with "
            "`snug org member`.",
    .flags = add_flags,
    .groups = CLI_DATA,
    .min = 1,
    .max = 1,
    .examples = add_examples,
    .exits = "0 2 5 74",
    .run = run_add,
};

static snug_status read_role(const char *text, hub_role *out, snug_err *err)
{
    static const char *const names[] = {"none", "read", "write", "admin"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i]) != 0) continue;
        *out = (hub_role)i;
        return SNUG_OK;
    }
    return snug_fail(err, SNUG_EINVAL, "--role takes read, write, admin or none, not \"%s\"", text);
}

static snug_status run_member(cli *c, const cli_args *a, snug_err *err)
{
    snug_status st = SNUG_OK;
    hub        *h = NULL;
    hub_role    role = HUB_ROLE_NONE;
    const char *text = cli_flag_value(a, "role");

    SNUG_TRY(read_role(text == NULL ? "read" : text, &role, err));
    SNUG_TRY(cli_open_hub(c, a, &h, err));
    SNUG_TRY(hub_set_member(h, snug_str(cli_pos(a, 0)), snug_str(cli_pos(a, 1)), role, err));
    if (role == HUB_ROLE_NONE)
        cli_say(c, "%s is no member of %s\n", cli_pos(a, 1), cli_pos(a, 0));
    else
        cli_say(c, "%s is a member of %s: %s\n", cli_pos(a, 1), cli_pos(a, 0),
                text == NULL ? "read" : text);
done:
    if (h != NULL) hub_close(h);
    return st;
}

static const cli_flag member_flags[] = {
    {"role", "ROLE", "read (default), write, admin, or none to end the membership"},
    {NULL, NULL, NULL}};
static const char *const member_examples[] = {
    "snug org member acme ada --role admin", "make ada an administrator of acme",
    "snug org member acme bob --role none", "bob leaves acme", NULL};

const cli_command cli_cmd_org_member = {
    .name = "org member",
    .args = "ORG USER",
    .summary = "set what an account is in an organization",
    .help = "read sees the organization's private repositories, write changes and makes them, "
            "admin also decides on its settings and access requests.",
    .flags = member_flags,
    .groups = CLI_DATA,
    .min = 2,
    .max = 2,
    .examples = member_examples,
    .exits = "0 2 3 74",
    .run = run_member,
};

static snug_status run_list(cli *c, const cli_args *a, snug_err *err)
{
    snug_status st = SNUG_OK;
    hub        *h = NULL;
    hub_org    *orgs;
    size_t      n;
    SNUG_AUTO(snug_buf) b = snug_buf_init(OUT_MAX);
    snug_json_out j = snug_json_out_init(&b);

    SNUG_TRY(cli_open_hub(c, a, &h, err));
    SNUG_TRY(hub_list_orgs(h, 0, c->arena, &orgs, &n, err));
    snug_jo_begin_array(&j);
    for (size_t i = 0; i < n; i++) {
        if (!c->json) {
            cli_print("%-42.*s %.*s\n", SNUG_SLICE(orgs[i].name), SNUG_SLICE(orgs[i].fullname));
            continue;
        }
        snug_jo_begin_object(&j);
        snug_jo_kstr(&j, "name", orgs[i].name);
        snug_jo_kstr(&j, "fullname", orgs[i].fullname);
        snug_jo_end_object(&j);
    }
    snug_jo_end_array(&j);
    if (c->json)
        cli_print_json(&b);
    else if (n == 0)
        cli_note(c, "No organizations\n");
done:
    if (h != NULL) hub_close(h);
    return st;
}

static const char *const list_examples[] = {"snug org list", "name and full name of each",
                                            "snug org list --json", "the same as JSON", NULL};

const cli_command cli_cmd_org_list = {
    .name = "org list",
    .args = "",
    .summary = "list the organizations",
    .help = "Lists the organizations of the hub in the data folder.",
    .groups = CLI_DATA,
    .examples = list_examples,
    .exits = "0 2 74",
    .run = run_list,
};
