/* SPDX-License-Identifier: Apache-2.0 */
/* web/home.c - the front page: repositories, how to point a client here, endpoints. */
#include "web/web_int.h"

enum { HOME_REPOS_MAX = 100 };

static void put_repo_row(snug_buf *b, const hub_repo_info *r)
{
    char when[25];
    snug_time_iso(r->modified_ms, when);
    snug_buf_printf(b, "<tr><td><a href=\"/%s%s/%s\">%s/%s</a></td><td>", hub_type_web(r->id.type),
                    r->id.ns, r->id.name, r->id.ns, r->id.name);
    html_text(b, r->pipeline_tag);
    snug_buf_printf(b, "</td><td>%s</td><td class=\"n\">%.10s</td></tr>\n",
                    r->visibility == HUB_PUBLIC ? "public" : "restricted", when);
}

static snug_status put_type(web_app *app, snug_arena *a, hub_type type, const char *title,
                            snug_buf *b, snug_err *err)
{
    const hub_actor anonymous = {0};
    hub_list_query  q = {.type = type, .sort = SNUG_LIT("lastModified"), .limit = HOME_REPOS_MAX};
    hub_repo_info  *repos = NULL;
    size_t          count = 0;
    snug_slice      next = SNUG_EMPTY;
    snug_status     st = hub_list_repos(app->hub, &anonymous, &q, a, &repos, &count, &next, err);
    if (st != SNUG_OK) return st;
    html_tag(b, "h2", snug_str(title));
    if (count == 0) {
        snug_buf_puts(b, "<p class=\"dim\">None that everybody may read.</p>\n");
        return SNUG_OK;
    }
    snug_buf_puts(b,
                  "<div class=\"wide\"><table><tr><th>Repository</th><th>Task</th><th>Access</th>"
                  "<th class=\"n\">Changed</th></tr>\n");
    for (size_t i = 0; i < count; i++) put_repo_row(b, &repos[i]);
    snug_buf_puts(b, "</table></div>\n");
    if (next.len > 0) {
        snug_buf_printf(b,
                        "<p class=\"dim\">The %d changed last; <a href=\"/api/%s\">all of them"
                        "</a>.</p>\n",
                        HOME_REPOS_MAX, hub_type_plural(type));
    }
    return SNUG_OK;
}

static void put_clients(snug_buf *b, snug_slice base)
{
    snug_buf_puts(b, "<h2>Point a client here</h2>\n<p>Stock clients need the address and, for "
                     "writing or private repositories, a token.</p>\n<pre>export HF_ENDPOINT=");
    html_text(b, base);
    snug_buf_puts(
        b, "\nexport HF_TOKEN=hf_...        # snug token create NAME --name laptop --role write\n"
           "\n"
           "hf download snug/sentiment-tiny\n"
           "hf upload NAME/my-model ./folder\n"
           "snug run snug/sentiment-tiny \"A warm and funny film.\"\n"
           "git clone ");
    html_text(b, base);
    snug_buf_puts(b, "/snug/sentiment-tiny   # the token is the password</pre>\n"
                     "<pre>from huggingface_hub import snapshot_download\n"
                     "snapshot_download(\"snug/sentiment-tiny\")   # reads HF_ENDPOINT</pre>\n");
}

static const char *const verb_names[HTTP_VERB_COUNT] = {"GET", "POST", "PUT", "PATCH", "DELETE"};

static void put_endpoints(const web_app *app, snug_buf *b)
{
    snug_buf_puts(b,
                  "<h2>Endpoints</h2>\n<div class=\"wide\"><table><tr><th>Method</th><th>Path</th>"
                  "<th>What it does</th></tr>\n");
    for (size_t t = 0; app->tables[t] != NULL; t++) {
        for (size_t i = 0; i < app->table_sizes[t]; i++) {
            const http_route *r = &app->tables[t][i];
            if ((r->flags & ROUTE_HIDDEN) != 0 || r->doc == NULL) continue;
            snug_buf_printf(b, "<tr><td>%s</td><td><code>", verb_names[r->verb]);
            html_text(b, snug_str(r->pattern));
            snug_buf_puts(b, "</code></td><td>");
            html_text(b, snug_str(r->doc->summary));
            snug_buf_puts(b, "</td></tr>\n");
        }
    }
    snug_buf_puts(b, "</table></div>\n");
}

snug_status web_home(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status st = SNUG_OK;
    web_app    *app = http_req_app(rq);
    snug_arena *a = http_req_arena(rq);
    snug_buf    b = snug_buf_init(WEB_PAGE_MAX);
    page_begin(&b, SNUG_LIT("Snug"));
    snug_buf_puts(&b,
                  "<h1>A hub of your own</h1>\n<p class=\"dim\">Models, data sets and apps on this "
                  "machine, for every stock client.</p>\n");
    SNUG_TRY(put_type(app, a, HUB_MODEL, "Models", &b, err));
    SNUG_TRY(put_type(app, a, HUB_DATASET, "Data sets", &b, err));
    SNUG_TRY(put_type(app, a, HUB_SPACE, "Spaces", &b, err));
    put_clients(&b, http_req_base_url(rq));
    put_endpoints(app, &b);
    page_end(&b);
    SNUG_TRY(snug_buf_check(&b, "the page", err));
    page_reply(rs, 200, &b);
done:
    snug_buf_deinit(&b);
    return st;
}
