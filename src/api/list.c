/* SPDX-License-Identifier: Apache-2.0 */
/* api/list.c - models, datasets and spaces: searched, filtered, sorted, page by page.
 *
 * A filter we cannot answer truthfully is refused, not ignored: a list that is too long looks
 * right.
 *
 * For:     routes.c. */
#include "api/api_int.h"

enum { FILTERS_MAX = 64, LIST_DEFAULT = 1000, LIST_MAX = 1000, LIST_FILES_MAX = 100 };

static snug_status refuse_unknown(http_req *rq, snug_err *err)
{
    static const char *const names[] = {
        "inference", "inference_provider", "apps", "num_parameters", "linked", "models",
        "datasets"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (http_req_query(rq, names[i], 0).len > 0)
            return snug_fail_code(err, SNUG_EUNSUPPORTED, "NotImplemented",
                                  "not implemented here: lists filtered by %s", names[i]);
    }
    return SNUG_OK;
}

static snug_status check_sort(snug_slice sort, hub_type type, snug_err *err)
{
    static const char *const known[] = {"createdAt",     "lastModified", "likes",
                                        "trendingScore", "id",           "downloads"};
    size_t                   n =
        sizeof known / sizeof known[0] - (type == HUB_SPACE ? 1 : 0); /* spaces have no downloads */
    if (sort.len == 0) return SNUG_OK;
    for (size_t i = 0; i < n; i++) {
        if (snug_eq_str(sort, known[i])) return SNUG_OK;
    }
    return snug_fail(
        err, SNUG_EINVAL,
        "\"sort\" must be one of [createdAt, lastModified, likes, trendingScore, id%s]",
        type == HUB_SPACE ? "" : ", downloads");
}

/* filter=a&filter=b, and the older spellings of one tag; commas separate as well. */
static snug_status read_filters(api_call *c, snug_slice *out, size_t *count, snug_err *err)
{
    static const char *const names[] = {"filter", "tags", "pipeline_tag", "library", "language"};
    snug_slice               value, one;
    *count = 0;
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
        for (size_t i = 0; (value = http_req_query(c->rq, names[k], i)).ptr != NULL; i++) {
            while (value.len > 0 && snug_split(&value, ',', &one)) {
                one = snug_trim(one);
                if (one.len == 0) continue;
                if (*count == FILTERS_MAX)
                    return snug_fail(err, SNUG_EINVAL, "at most %d filters", (int)FILTERS_MAX);
                out[(*count)++] = one;
            }
        }
    }
    return SNUG_OK;
}

/* search=a&search=b means both words. */
static snug_slice read_search(api_call *c)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(4096);
    snug_slice value;
    for (size_t i = 0; (value = http_req_query(c->rq, "search", i)).ptr != NULL; i++) {
        if (b.len > 0) snug_buf_putc(&b, ' ');
        snug_buf_put_slice(&b, value);
    }
    return snug_arena_dup(c->a, snug_buf_slice(&b));
}

static snug_status read_query(api_call *c, hub_list_query *q, api_render *r, snug_err *err)
{
    snug_status st = SNUG_OK;
    uint64_t    limit;
    snug_slice *filters = snug_arena_array_try(c->a, FILTERS_MAX, sizeof *filters);

    if (filters == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "out of memory");
    SNUG_TRY(refuse_unknown(c->rq, err));
    SNUG_TRY(read_filters(c, filters, &q->filter_count, err));
    q->filters = filters;
    q->author = http_req_query(c->rq, "author", 0);
    q->search = read_search(c);
    q->sort = http_req_query(c->rq, "sort", 0);
    q->cursor = http_req_query(c->rq, "cursor", 0);
    SNUG_TRY(check_sort(q->sort, q->type, err));
    SNUG_TRY(api_parse_expand(c->rq, q->type, &r->expand, err));
    r->shape = API_SHAPE_LIST;
    if (http_req_query_bool(c->rq, "full", false)) r->shape |= API_SHAPE_FULL;
    if (http_req_query_bool(c->rq, "cardData", false)) r->shape |= API_SHAPE_CARD;
    if (http_req_query_bool(c->rq, "config", false)) r->shape |= API_SHAPE_CONFIG;
    hub_repo_info probe = {.id.type = q->type};
    r->info = &probe;
    uint64_t most =
        api_render_needs_git(r) ? LIST_FILES_MAX : LIST_MAX; /* opening each one costs */
    r->info = NULL;
    SNUG_TRY(
        api_query_u64(c, "limit", most < LIST_DEFAULT ? most : LIST_DEFAULT, 1, most, &limit, err));
    q->limit = (size_t)limit;
done:
    return st;
}

static bool passes_gate(http_req *rq, const hub_repo_info *info)
{
    if (http_req_query(rq, "gated", 0).ptr == NULL) return true;
    return (info->gated != HUB_GATE_NONE) == http_req_query_bool(rq, "gated", false);
}

/* One repository, opened only when a wanted key lies in its files. One that went away meanwhile is
 * left out. */
static snug_status put_item(api_call *c, api_render *r, snug_json_out *o, snug_err *err)
{
    snug_status st = SNUG_OK;
    hub_repo   *repo = NULL;
    r->commit = r->info->head;
    r->git = NULL;
    if (api_render_needs_git(r)) {
        st = hub_open_repo(c->hub, &c->who, &r->info->id, HUB_ROLE_READ, c->a, &repo, err);
        if (st == SNUG_ENOTFOUND || st == SNUG_EUNAUTH) return SNUG_OK;
        if (st != SNUG_OK) return st;
        r->git = hub_repo_vcs(repo);
    }
    st = api_put_repo(r, o, err);
    hub_close_repo(repo);
    r->git = NULL;
    return st;
}

snug_status api_list(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status    st = SNUG_OK;
    api_call       c;
    hub_list_query q = {.type = HUB_MODEL};
    api_render     r = {0};
    hub_repo_info *list = NULL;
    size_t         count = 0;
    snug_slice     next = SNUG_EMPTY;
    snug_buf       b = snug_buf_init(API_JSON_MAX);
    snug_json_out  o = snug_json_out_init(&b);

    SNUG_TRY(api_begin(&c, rq, rs, err));
    if (!hub_type_parse(http_req_param(rq, "type"), &q.type)) SNUG_TRY(api_fail_absent(&c, err));
    r.hub = c.hub;
    r.a = c.a;
    SNUG_TRY(read_query(&c, &q, &r, err));
    SNUG_TRY(hub_list_repos(c.hub, &c.who, &q, c.a, &list, &count, &next, err));
    snug_jo_begin_array(&o);
    for (size_t i = 0; i < count; i++) {
        if (!passes_gate(rq, &list[i])) continue;
        r.info = &list[i];
        SNUG_TRY(put_item(&c, &r, &o, err));
        SNUG_TRY(snug_buf_check(&b, "the list", err));
    }
    snug_jo_end_array(&o);
    if (next.len > 0) api_set_next(&c, "cursor", next);
    SNUG_TRY(api_reply_json(&c, &b, err));
done:
    snug_buf_deinit(&b);
    return st;
}
