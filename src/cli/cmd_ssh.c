/* SPDX-License-Identifier: Apache-2.0 */
/* cli/cmd_ssh.c - snug ssh-keys and snug ssh-serve: what sshd runs, see docs/git.md.
 *
 *   sshd: "who has this key?"  ->  snug ssh-keys TYPE KEY    prints restrict,command="... --key 12"
 * ... sshd: logged in            ->  snug ssh-serve --key 12   speaks git with the client
 *
 * Both run as the account that owns the data folder, so that they may read and sign; neither needs
 * root, and no secret stands in their arguments.
 *
 * For:     sshd. */
#include <stdlib.h>
#include <unistd.h>

#include "cli/data.h"
#include "cli/ssh.h"

enum { OPTION_MAX = 8192, PROTOCOL_MAX = 256, EXE_MAX = 4096 };

/* What ssh-serve must know to find the same hub: handed on as it was given. */
static const char *const handed_on[] = {"config", "data", "db", "listen", "public-url", "hub"};

#define SSH_FLAGS                                                                                  \
    {"config", "FILE", "the hub's settings"},                                                      \
        {"db", "URL", "database, where it is not in --data"},                                      \
        {"listen", "HOST:PORT", "where the hub listens, where no settings say so"},                \
        {"public-url", "URL", "what clients call the hub: git-lfs is sent there"},                 \
    {                                                                                              \
        "hub", "URL", "how to reach the hub from here (default: from --listen)"                    \
    }

/* ---- ssh-keys ---- */

static snug_status put_quoted(snug_buf *b, const char *text, snug_err *err)
{
    /* 'text' for the shell, inside "..." of authorized_keys, where only \" means something. */
    snug_buf_putc(b, '\'');
    for (const char *p = text; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 || *p == '\'' || *p == '\\')
            return snug_fail(err, SNUG_EINVAL, "sshd cannot take the path \"%s\"", text);
        if (*p == '"') snug_buf_putc(b, '\\');
        snug_buf_putc(b, *p);
    }
    snug_buf_putc(b, '\'');
    return SNUG_OK;
}

static snug_status put_line(snug_buf *b, const cli_args *a, const hub_ssh_key *key, snug_err *err)
{
    snug_status st = SNUG_OK;
    char        exe[EXE_MAX];
    ssize_t     n = readlink("/proc/self/exe", exe, sizeof exe - 1);

    if (n <= 0 || (size_t)n >= sizeof exe - 1)
        SNUG_FAIL(err, SNUG_EINTERNAL, "this program's own path is not known");
    exe[n] = '\0';
    snug_buf_puts(b, "restrict,command=\"");
    SNUG_TRY(put_quoted(b, exe, err));
    snug_buf_printf(b, " ssh-serve --key %lld", (long long)key->id);
    for (size_t i = 0; i < sizeof handed_on / sizeof *handed_on; i++) {
        const char *value = cli_flag_value(a, handed_on[i]);
        if (value == NULL) continue;
        snug_buf_printf(b, " --%s ", handed_on[i]);
        SNUG_TRY(put_quoted(b, value, err));
    }
    snug_buf_printf(b, "\" %.*s %.*s", SNUG_SLICE(key->kind), SNUG_SLICE(key->blob));
    SNUG_TRY(snug_buf_check(b, "the line for sshd", err));
done:
    return st;
}

static snug_status run_ssh_keys(cli *c, const cli_args *a, snug_err *err)
{
    snug_status st = SNUG_OK;
    hub        *h = NULL;
    hub_ssh_key key;
    bool        found;
    SNUG_AUTO(snug_buf) b = snug_buf_init(OPTION_MAX + HUB_SSH_LINE_MAX);

    SNUG_TRY(cli_open_hub(c, a, &h, err));
    SNUG_TRY(hub_find_ssh_key(h, snug_str(cli_pos(a, 1)), c->arena, &key, &found, err));
    if (!found || !snug_eq_str(key.kind, cli_pos(a, 0))) goto done; /* sshd goes on to refuse */
    SNUG_TRY(put_line(&b, a, &key, err));
    cli_print("%s\n", snug_buf_cstr(&b));
done:
    hub_close(h);
    return st;
}

static const cli_flag    keys_flags[] = {SSH_FLAGS, {NULL, NULL, NULL}};
static const char *const keys_examples[] = {
    "snug ssh-keys --data /srv/snug %t %k",
    "in sshd_config, after AuthorizedKeysCommand and the full path",
    "snug ssh-keys ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA...", "what sshd would be told", NULL};

const cli_command cli_cmd_ssh_keys = {
    .name = "ssh-keys",
    .args = "TYPE KEY",
    .summary = "tell sshd whose key it sees",
    .help =
        "For AuthorizedKeysCommand in sshd_config: prints the line of authorized_keys that lets "
        "the key's owner use git and nothing else, or nothing for a key nobody added.\n\n"
        "Runs as the account that owns the data folder. docs/git.md shows the set-up.",
    .flags = keys_flags,
    .groups = CLI_DATA,
    .min = 2,
    .max = 2,
    .examples = keys_examples,
    .exits = "0 2 74",
    .run = run_ssh_keys,
};

/* ---- ssh-serve ---- */

/* Any address of ours is reached by the loopback; a unix socket is not spoken here. */
static snug_status hub_url(cli *c, const cli_args *a, const config *conf, const char **out,
                           snug_err *err)
{
    const char *given = cli_flag_value(a, "hub"), *listen = config_text(conf, CONFIG_ID_listen);
    snug_slice  s = snug_str(given != NULL ? given : listen);
    while (snug_ends_with(s, "/")) s.len--;
    size_t colon = snug_rindex(s, ':');
    if (given == NULL && (colon == SIZE_MAX || snug_starts_with(s, "unix:")))
        return snug_fail(err, SNUG_EINVAL, "how is the hub reached? add --hub URL");
    snug_slice host = snug_sub(s, 0, colon), port = snug_sub(s, colon, SIZE_MAX);
    if (snug_eq_str(host, "0.0.0.0") || host.len == 0) host = SNUG_LIT("127.0.0.1");
    if (snug_eq_str(host, "[::]")) host = SNUG_LIT("[::1]");
    *out = given != NULL
               ? snug_arena_cstr(c->arena, s)
               : snug_arena_printf(c->arena, "http://%.*s%.*s", SNUG_SLICE(host), SNUG_SLICE(port))
                     .ptr;
    return SNUG_OK;
}

static const char *repo_url(cli *c, const char *base, const hub_repo_id *id)
{
    return snug_arena_printf(c->arena, "%s/%s%s/%s.git", base, hub_type_web(id->type), id->ns,
                             id->name)
        .ptr;
}

/* git's agent asks for nothing else than this object. */
static void print_lfs(const char *url, snug_slice ticket)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(OPTION_MAX);
    snug_json_out j = snug_json_out_init(&b);
    snug_jo_begin_object(&j);
    snug_jo_key(&j, "href");
    snug_jo_strf(&j, "%s/info/lfs", url);
    snug_jo_key(&j, "header");
    snug_jo_begin_object(&j);
    snug_jo_key(&j, "Authorization");
    snug_jo_strf(&j, "Bearer %.*s", SNUG_SLICE(ticket));
    snug_jo_end_object(&j);
    snug_jo_ki64(&j, "expires_in", HUB_SSH_HOURS * 3600);
    snug_jo_end_object(&j);
    cli_print_json(&b);
}

/* It becomes a header: letters as git writes them, or nothing. */
static snug_slice protocol_of(const char *text)
{
    snug_slice s = text == NULL ? SNUG_EMPTY : snug_str(text);
    bool       ok = s.len <= PROTOCOL_MAX;
    for (size_t i = 0; ok && i < s.len; i++)
        ok = (s.ptr[i] >= 'a' && s.ptr[i] <= 'z') || (s.ptr[i] >= '0' && s.ptr[i] <= '9') ||
             s.ptr[i] == '=' || s.ptr[i] == ':';
    return ok ? s : SNUG_EMPTY;
}

static snug_status serve_git(cli *c, const char *base, const ssh_command *cmd,
                             const hub_repo_id *repo, snug_slice ticket, snug_err *err)
{
    ssh_bridge  b = {.http = http_client_new("snug-ssh/" SNUG_VERSION),
                     .a = c->arena,
                     .url = repo_url(c, base, repo),
                     .ticket = ticket,
                     .protocol = protocol_of(getenv("GIT_PROTOCOL")),
                     .in = STDIN_FILENO,
                     .out = STDOUT_FILENO};
    snug_status st = cmd->verb == SSH_PUSH ? ssh_serve_push(&b, err) : ssh_serve_fetch(&b, err);
    http_client_free(b.http);
    return st;
}

static snug_status run_ssh_serve(cli *c, const cli_args *a, snug_err *err)
{
    snug_status st = SNUG_OK;
    hub        *h = NULL;
    config      conf;
    ssh_command cmd;
    hub_repo_id repo;
    int64_t     key;
    snug_slice  ticket;
    const char *base = NULL, *asked = getenv("SSH_ORIGINAL_COMMAND"),
               *id = cli_flag_value(a, "key");

    if (id == NULL || !snug_parse_i64(snug_str(id), &key))
        SNUG_FAIL(err, SNUG_EINVAL, "--key names the key sshd saw: snug ssh-keys writes it");
    SNUG_TRY(ssh_parse_command(snug_str(asked == NULL ? "" : asked), &cmd, err));
    bool write = cmd.verb == SSH_PUSH || cmd.verb == SSH_LFS_WRITE;
    SNUG_TRY(config_load(c->arena, a, &conf, err));
    SNUG_TRY(hub_url(c, a, &conf, &base, err));
    SNUG_TRY(cli_open_hub(c, a, &h, err));
    SNUG_TRY(hub_ssh_ticket_new(h, key, &cmd.repo, write ? HUB_ROLE_WRITE : HUB_ROLE_READ, c->arena,
                                &ticket, &repo, err));
    hub_close(h); /* a clone may take long */
    h = NULL;
    if (cmd.verb == SSH_FETCH || cmd.verb == SSH_PUSH) {
        SNUG_TRY(serve_git(c, base, &cmd, &repo, ticket, err));
    } else {
        const char *public = config_text(&conf, CONFIG_ID_public_url);
        print_lfs(repo_url(c, public != NULL ? public : base, &repo), ticket);
    }
done:
    hub_close(h);
    return st;
}

static const cli_flag serve_flags[] = {
    {"key", "ID", "number of the key that sshd saw"}, SSH_FLAGS, {NULL, NULL, NULL}};
static const char *const serve_examples[] = {
    "SSH_ORIGINAL_COMMAND=\"git-upload-pack 'ada/my-model'\" snug ssh-serve --key 12",
    "what sshd does for git clone", "snug ssh-serve --key 12 --hub http://127.0.0.1:8421",
    "with a hub that listens there", NULL};

const cli_command cli_cmd_ssh_serve = {
    .name = "ssh-serve",
    .args = "",
    .summary = "serve git to one SSH login",
    .help = "The command that snug ssh-keys has sshd run: reads what the client wants from "
            "SSH_ORIGINAL_COMMAND and speaks git with it through the running hub.\n\n"
            "Serves clone, fetch, push and git-lfs-authenticate; anything else is refused.",
    .flags = serve_flags,
    .groups = CLI_DATA,
    .examples = serve_examples,
    .exits = "0 2 3 4 9 10 74 130",
    .run = run_ssh_serve,
};
