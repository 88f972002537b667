/* SPDX-License-Identifier: Apache-2.0 */
/* cli/cmd_repo.c - snug repo create, delete, list, move. */
#include <unistd.h>

#include "cli/net.h"

enum { PAGE = 500, LIST_MAX = 100000, BODY_MAX = 64 * 1024, LIST_BODY_MAX = 64 * 1024 * 1024 };

static void put_id(snug_json_out *j, remote_repo id)
{
    size_t slash = snug_index(id.id, '/');
    if (slash == SIZE_MAX) {
        snug_jo_kstr(j, "name", id.id);
    } else {
        snug_jo_kstr(j, "name", snug_sub(id.id, slash + 1, SIZE_MAX));
        snug_jo_kstr(j, "organization", snug_sub(id.id, 0, slash));
    }
    snug_jo_kcstr(j, "type", id.type);
}

static snug_status run_create(cli *c, const cli_args *a, snug_err *err)
{
    snug_status st = SNUG_OK;
    remote     *r = NULL;
    remote_repo id;
    snug_json   v;
    SNUG_TRY(cli_repo_arg(a, 0, &id, err));
    SNUG_TRY(cli_open_remote(a, &r, err));
    SNUG_TRY(remote_create_repo(r, id, cli_flag_given(a, "private"), cli_flag_given(a, "exist-ok"),
                                c->arena, &v, err));
    snug_slice url = snug_json_str_or(v, "url", SNUG_EMPTY);
    if (c->json) {
        SNUG_AUTO(snug_buf) b = snug_buf_init(BODY_MAX);
        snug_json_out j = snug_json_out_init(&b);
        snug_jo_begin_object(&j);
        snug_jo_kstr(&j, "id", id.id);
        snug_jo_kcstr(&j, "type", id.type);
        snug_jo_kstr(&j, "url", url);
        snug_jo_end_object(&j);
        cli_print_json(&b);
    } else if (url.len > 0) {
        cli_print("%.*s\n", SNUG_SLICE(url));
    }
done:
    remote_close(r);
    return st;
}

static const cli_flag    create_flags[] = {{"type", "TYPE", cli_type_help},
                                           {"private", NULL, "only you may see it"},
                                           {"exist-ok", NULL, "done when it exists already"},
                                           {NULL, NULL, NULL}};
static const char *const create_examples[] = {
    "snug repo create ada/my-model --private", "make a private model repository",
    "snug repo create ada/songs --type dataset --exist-ok",
    "make sure a data set repository exists", NULL};

const cli_command cli_cmd_repo_create = {
    .name = "repo create",
    .args = "REPO",
    .summary = "make a repository",
    .help = "Makes an empty repository and prints its address.",
    .flags = create_flags,
    .groups = CLI_REMOTE,
    .min = 1,
    .max = 1,
    .examples = create_examples,
    .exits = "0 2 4 5 8 10",
    .run = run_create,
};

static snug_status confirm_delete(cli *c, const cli_args *a, remote_repo id, snug_err *err)
{
    snug_slice typed;
    if (cli_flag_given(a, "yes")) return SNUG_OK;
    if (isatty(STDIN_FILENO) != 1)
        return snug_fail(err, SNUG_EINVAL, "deleting %.*s cannot be undone: add --yes",
                         SNUG_SLICE(id.id));
    cli_note(c, "This deletes the %s %.*s with all its files and history.\n", id.type,
             SNUG_SLICE(id.id));
    snug_status st = cli_ask("Type its name to go on: ", false, c->arena, &typed, err);
    if (st != SNUG_OK) return st;
    return snug_eq(typed, id.id) ? SNUG_OK : snug_fail(err, SNUG_ECANCELED, "nothing was deleted");
}

static snug_status run_delete(cli *c, const cli_args *a, snug_err *err)
{
    snug_status st = SNUG_OK;
    remote     *r = NULL;
    remote_repo id;
    snug_json   v;
    SNUG_AUTO(snug_buf) body = snug_buf_init(BODY_MAX);
    snug_json_out j = snug_json_out_init(&body);
    SNUG_TRY(cli_repo_arg(a, 0, &id, err));
    SNUG_TRY(confirm_delete(c, a, id, err));
    SNUG_TRY(cli_open_remote(a, &r, err));
    snug_jo_begin_object(&j);
    put_id(&j, id);
    snug_jo_end_object(&j);
    st = remote_call(r, "DELETE", "/api/repos/delete", snug_buf_slice(&body), c->arena, &v, err);
    if (st == SNUG_ENOTFOUND && cli_flag_given(a, "missing-ok")) st = SNUG_OK;
    if (st != SNUG_OK) {
        snug_note(err, "%.*s", SNUG_SLICE(id.id));
        goto done;
    }
    cli_say(c, "Deleted %.*s\n", SNUG_SLICE(id.id));
done:
    remote_close(r);
    return st;
}

static const cli_flag    delete_flags[] = {{"type", "TYPE", cli_type_help},
                                           {"yes", NULL, "do not ask"},
                                           {"missing-ok", NULL, "done when there is none"},
                                           {NULL, NULL, NULL}};
static const char *const delete_examples[] = {
    "snug repo delete ada/old-model", "delete it after asking",
    "snug repo delete datasets/ada/tmp --yes --missing-ok", "delete it if it is there, in a script",
    NULL};

const cli_command cli_cmd_repo_delete = {
    .name = "repo delete",
    .args = "REPO",
    .summary = "delete a repository",
    .help = "Deletes a repository with its files and history. There is no way back.",
    .flags = delete_flags,
    .groups = CLI_REMOTE,
    .min = 1,
    .max = 1,
    .examples = delete_examples,
    .exits = "0 2 3 4 8 10 130",
    .run = run_delete,
};

/* ---- list ---- */

static void print_repo(snug_json e)
{
    snug_slice id = snug_json_str_or(e, "id", SNUG_EMPTY),
               when = snug_json_str_or(e, "lastModified", SNUG_EMPTY);
    bool is_private = snug_json_bool_or(e, "private", false);
    cli_print("%-50.*s %-7s %.*s\n", SNUG_SLICE(id), is_private ? "private" : "public",
              SNUG_SLICE(snug_sub(when, 0, 10)));
}

static const char *list_path(snug_arena *ar, const cli_args *a, const char *type, uint64_t limit)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(BODY_MAX);
    const char *author = cli_pos(a, 0), *search = cli_flag_value(a, "search");
    snug_buf_printf(&b, "/api/%ss?full=true&limit=%" PRIu64, type, limit < PAGE ? limit : PAGE);
    if (author != NULL) {
        snug_buf_puts(&b, "&author=");
        snug_percent_put(&b, snug_str(author), false);
    }
    if (search != NULL) {
        snug_buf_puts(&b, "&search=");
        snug_percent_put(&b, snug_str(search), false);
    }
    return snug_arena_cstr(ar, snug_buf_slice(&b));
}

static snug_status run_list(cli *c, const cli_args *a, snug_err *err)
{
    snug_status st = SNUG_OK;
    remote     *r = NULL;
    remote_repo kind;
    snug_json   page;
    uint64_t    limit = 1000, shown = 0;
    const char *text = cli_flag_value(a, "limit");
    SNUG_AUTO(snug_buf) b = snug_buf_init(LIST_BODY_MAX);
    snug_json_out j = snug_json_out_init(&b);
    if (text != NULL &&
        (!snug_parse_u64(snug_str(text), &limit) || limit == 0 || limit > LIST_MAX)) {
        SNUG_FAIL(err, SNUG_EINVAL, "--limit takes a number from 1 to %d", LIST_MAX);
    }
    SNUG_TRY(remote_parse_repo(SNUG_LIT("x"), cli_flag_value(a, "type"), &kind, err));
    SNUG_TRY(cli_open_remote(a, &r, err));
    snug_jo_begin_array(&j);
    const char *path = list_path(c->arena, a, kind.type, limit);
    while (path != NULL && shown < limit) {
        const char *next;
        SNUG_TRY(remote_call_page(r, path, c->arena, &page, &next, err));
        for (snug_json_iter it = snug_json_iter_of(page); snug_json_next(&it) && shown < limit;
             shown++) {
            if (c->json)
                snug_jo_value(&j, it.value);
            else
                print_repo(it.value);
        }
        path = next;
    }
    snug_jo_end_array(&j);
    if (c->json) {
        SNUG_TRY(snug_buf_check(&b, "the list", err));
        cli_print_json(&b);
    } else if (shown == 0) {
        cli_note(c, "No %ss\n", kind.type);
    }
done:
    remote_close(r);
    return st;
}

static const cli_flag    list_flags[] = {{"type", "TYPE", "model (default), dataset or space"},
                                         {"search", "TEXT", "only those whose name holds this"},
                                         {"limit", "N", "at most so many (default 1000)"},
                                         {NULL, NULL, NULL}};
static const char *const list_examples[] = {
    "snug repo list ada --type dataset", "the data sets of ada",
    "snug repo list --search tiny --json", "all models with tiny in their name, as JSON", NULL};

const cli_command cli_cmd_repo_list = {
    .name = "repo list",
    .args = "[OWNER]",
    .summary = "list repositories",
    .help = "Lists the repositories you may see: name, visibility, day of the last change.",
    .flags = list_flags,
    .groups = CLI_REMOTE,
    .max = 1,
    .examples = list_examples,
    .exits = "0 2 4 8 10",
    .run = run_list,
};

/* ---- move ---- */

static snug_status run_move(cli *c, const cli_args *a, snug_err *err)
{
    snug_status st = SNUG_OK;
    remote     *r = NULL;
    remote_repo from, to;
    snug_json   v;
    SNUG_AUTO(snug_buf) body = snug_buf_init(BODY_MAX);
    snug_json_out j = snug_json_out_init(&body);
    SNUG_TRY(cli_repo_arg(a, 0, &from, err));
    SNUG_TRY(remote_parse_repo(snug_str(cli_pos(a, 1)), cli_flag_value(a, "type"), &to, err));
    if (strcmp(from.type, to.type) != 0 && cli_flag_value(a, "type") == NULL) to.type = from.type;
    SNUG_TRY(cli_open_remote(a, &r, err));
    snug_jo_begin_object(&j);
    snug_jo_kstr(&j, "fromRepo", from.id);
    snug_jo_kstr(&j, "toRepo", to.id);
    snug_jo_kcstr(&j, "type", from.type);
    snug_jo_end_object(&j);
    SNUG_TRY(remote_call(r, "POST", "/api/repos/move", snug_buf_slice(&body), c->arena, &v, err));
    cli_say(c, "%.*s is now %.*s; the old name leads there\n", SNUG_SLICE(from.id),
            SNUG_SLICE(to.id));
done:
    remote_close(r);
    return st;
}

static const cli_flag    move_flags[] = {{"type", "TYPE", cli_type_help}, {NULL, NULL, NULL}};
static const char *const move_examples[] = {"snug repo move ada/draft ada/final", "rename a model",
                                            "snug repo move ada/songs choir/songs --type dataset",
                                            "hand a data set to somebody else", NULL};

const cli_command cli_cmd_repo_move = {
    .name = "repo move",
    .args = "FROM TO",
    .summary = "rename a repository or give it away",
    .help = "Gives a repository another name or owner. The old name redirects to the new one.",
    .flags = move_flags,
    .groups = CLI_REMOTE,
    .min = 2,
    .max = 2,
    .examples = move_examples,
    .exits = "0 2 3 4 5 8 10",
    .run = run_move,
};
