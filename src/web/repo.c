/* SPDX-License-Identifier: Apache-2.0 */
/* web/repo.c - a repository's page: facts, files with links, commands, the card's text. */
#include "web/web_int.h"

enum { REPO_FILES_MAX = 1000, REPO_CARD_MAX = 256 << 10 };

typedef struct repo_view {
    const hub_repo_info *info;
    vcs_commit           head;
    vcs_entry           *files;
    size_t               file_count;
    bool                 more_files;
    snug_slice           card; /* README.md as text, or empty */
} repo_view;

static snug_status load_view(hub_repo *repo, snug_arena *a, repo_view *v, snug_err *err)
{
    snug_status st = SNUG_OK;
    vcs_repo   *git = hub_repo_vcs(repo);
    vcs_oid     head;
    vcs_entry   readme;
    v->info = hub_repo_get_info(repo);
    SNUG_TRY(vcs_resolve_rev(git, SNUG_LIT("main"), &head, err));
    SNUG_TRY(vcs_read_commit(git, &head, a, &v->head, err));
    SNUG_TRY(vcs_list_tree(git, &head, SNUG_EMPTY, true, SNUG_EMPTY, REPO_FILES_MAX, a, &v->files,
                           &v->file_count, &v->more_files, err));
    if (vcs_find_entry(git, &head, SNUG_LIT("README.md"), a, &readme, NULL) == SNUG_OK &&
        readme.kind == VCS_FILE && !readme.lfs.is_lfs &&
        vcs_read_blob(git, &readme.oid, REPO_CARD_MAX, a, &v->card, NULL) != SNUG_OK)
        v->card = SNUG_EMPTY; /* too large to show here: the file list links it */
done:
    return st;
}

static void put_facts(snug_buf *b, const repo_view *v)
{
    const hub_repo_info     *r = v->info;
    char                     when[25], size[16], oid[41];
    static const char *const access[] = {"public", "private", "internal"};
    snug_time_iso(v->head.when_ms, when);
    snug_size_human(r->used_storage, size);
    vcs_oid_hex(&v->head.id, oid);
    snug_buf_printf(b,
                    "<h1>%s/%s</h1>\n<p><span class=\"tag\">%s</span><span class=\"tag\">%s</span>",
                    r->id.ns, r->id.name, hub_type_name(r->id.type), access[r->visibility]);
    if (r->pipeline_tag.len > 0) {
        snug_buf_puts(b, "<span class=\"tag\">");
        html_text(b, r->pipeline_tag);
        snug_buf_puts(b, "</span>");
    }
    snug_buf_printf(b, "</p>\n<p class=\"dim\">%s · last commit <code>%.7s</code> ", size, oid);
    html_text(b, v->head.title);
    snug_buf_printf(b, " · %.16s UTC</p>\n", when);
}

static void put_commands(snug_buf *b, const hub_repo_info *r, snug_slice base, bool is_empty)
{
    static const char *const flag[] = {"", " --repo-type dataset", " --repo-type space"};
    static const char *const ours[] = {"", " --type dataset", " --type space"};
    snug_buf_puts(b, is_empty ? "<h2>Put files here</h2>\n<pre>" : "<h2>Get it</h2>\n<pre>");
    snug_buf_puts(b, "export HF_ENDPOINT=");
    html_text(b, base);
    const char *verb = is_empty ? "upload" : "download", *rest = is_empty ? " ./folder" : "";
    snug_buf_printf(b, "\nhf %s %s/%s%s%s", verb, r->id.ns, r->id.name, rest, flag[r->id.type]);
    snug_buf_printf(b, "\nsnug %s %s/%s%s%s", verb, r->id.ns, r->id.name, rest, ours[r->id.type]);
    snug_buf_puts(b, "\ngit clone ");
    html_text(b, base);
    snug_buf_printf(b, "/%s%s/%s", hub_type_web(r->id.type), r->id.ns, r->id.name);
    if (!is_empty && r->id.type == HUB_MODEL)
        snug_buf_printf(b, "\nsnug run %s/%s \"some input\"", r->id.ns, r->id.name);
    snug_buf_puts(b, "</pre>\n");
}

static void put_files(snug_buf *b, const repo_view *v)
{
    const hub_repo_id *id = &v->info->id;
    snug_buf_puts(b, "<h2>Files</h2>\n<div class=\"wide\"><table><tr><th>Path</th>"
                     "<th class=\"n\">Size</th></tr>\n");
    for (size_t i = 0; i < v->file_count; i++) {
        const vcs_entry *e = &v->files[i];
        char             size[16];
        if (e->kind != VCS_FILE) continue;
        snug_size_human(e->size, size);
        snug_buf_printf(b, "<tr><td><a href=\"/%s%s/%s/resolve/main/", hub_type_web(id->type),
                        id->ns, id->name);
        snug_percent_put(b, e->path, true);
        snug_buf_puts(b, "\">");
        html_text(b, e->path);
        snug_buf_printf(b, "</a></td><td class=\"n\" title=\"%llu bytes\">%s</td></tr>\n",
                        (unsigned long long)e->size, size);
    }
    snug_buf_puts(b, "</table></div>\n");
    if (v->more_files)
        snug_buf_printf(b, "<p class=\"dim\">The first %d entries; the API lists all.</p>\n",
                        REPO_FILES_MAX);
}

/* The same page for what is absent and what may not be seen. */
static void reply_absent(http_res *rs, snug_slice path)
{
    snug_buf b = snug_buf_init(WEB_PAGE_MAX);
    page_begin(&b, SNUG_LIT("Not found"));
    snug_buf_puts(&b, "<h1>Not found</h1>\n<p>There is no repository <code>");
    html_text(&b, path);
    snug_buf_puts(&b, "</code> that you may read.</p>\n");
    page_end(&b);
    page_reply(rs, 404, &b);
    snug_buf_deinit(&b);
}

static void put_page(http_req *rq, snug_buf *b, const repo_view *v)
{
    page_begin(b, snug_str(v->info->id.name));
    put_facts(b, v);
    /* A repository with nothing but its first commit's .gitattributes is empty to a person. */
    put_commands(b, v->info, http_req_base_url(rq), v->file_count <= 1);
    put_files(b, v);
    if (v->card.len > 0) {
        snug_buf_puts(b, "<h2>Card</h2>\n<pre>");
        html_text(b, v->card);
        snug_buf_puts(b, "</pre>\n");
    }
    page_end(b);
}

snug_status web_repo(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status     st = SNUG_OK;
    web_app        *app = http_req_app(rq);
    snug_arena     *a = http_req_arena(rq);
    const hub_actor anonymous = {0};
    hub_repo       *repo = NULL;
    hub_repo_id     id, now;
    hub_type        type = HUB_MODEL;
    repo_view       v = {0};
    bool            moved = false;
    snug_buf        b = snug_buf_init(WEB_PAGE_MAX);
    snug_slice      kind = http_req_param(rq, "type");

    snug_slice path = http_req_path(rq);
    if (snug_ends_with(path, ".git")) { /* an address for git, pasted into a browser */
        http_reply_redirect(rs, 307, snug_sub(path, 0, path.len - 4));
        goto done;
    }
    if (kind.len > 0 && !hub_type_parse(kind, &type)) goto absent;
    if (hub_parse_id(type, http_req_param(rq, "ns"), http_req_param(rq, "name"), &id, NULL) !=
        SNUG_OK)
        goto absent;
    SNUG_TRY(hub_find_moved(app->hub, &anonymous, &id, &now, &moved, err));
    if (moved) {
        snug_slice to = snug_arena_printf(a, "/%s%s/%s", hub_type_web(type), now.ns, now.name);
        http_reply_redirect(rs, 307, to);
        goto done;
    }
    st = hub_open_repo(app->hub, &anonymous, &id, HUB_ROLE_READ, a, &repo, err);
    if (st == SNUG_ENOTFOUND || st == SNUG_EUNAUTH || st == SNUG_EFORBIDDEN) goto absent;
    SNUG_TRY(st);
    SNUG_TRY(load_view(repo, a, &v, err));
    put_page(rq, &b, &v);
    SNUG_TRY(snug_buf_check(&b, "the page", err));
    page_reply(rs, 200, &b);
    goto done;
absent:
    st = SNUG_OK;
    reply_absent(rs, http_req_path(rq));
done:
    hub_close_repo(repo);
    snug_buf_deinit(&b);
    return st;
}

static const http_doc home_doc = {.id = "page_home",
                                  .tag = "pages",
                                  .scope = "",
                                  .summary = "The front page: repositories and how to use them"};
static const http_doc repo_doc = {.id = "page_repo",
                                  .tag = "pages",
                                  .scope = "",
                                  .summary = "The page of a model",
                                  .errors = "404"};
static const http_doc typed_doc = {.id = "page_typed_repo",
                                   .tag = "pages",
                                   .scope = "",
                                   .summary = "The page of a data set or Space",
                                   .errors = "404"};
static const http_doc style_doc = {
    .id = "page_style", .tag = "pages", .scope = "", .summary = "The style sheet of the pages"};

static const http_route routes[] = {
    {HTTP_GET, "/", web_home, 0, &home_doc, NULL},
    {HTTP_GET, "/-/style.css", web_style, ROUTE_INLINE | ROUTE_HIDDEN, &style_doc, NULL},
    {HTTP_GET, "/{ns}/{name}", web_repo, 0, &repo_doc, NULL},
    {HTTP_GET, "/{type:datasets|spaces}/{ns}/{name}", web_repo, 0, &typed_doc, NULL},
};

const http_route *web_routes(size_t *count)
{
    *count = sizeof routes / sizeof routes[0];
    return routes;
}
