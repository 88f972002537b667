/* SPDX-License-Identifier: Apache-2.0 */
/* api/list.c - models, datasets and spaces: searched, filtered, sorted, page by page.
 *
 * A filter we cannot answer truthfully is refused, not ignored: a list that is too long looks
 * right. One that nothing here can match (a provider of inference elsewhere) gives an empty list.
 *
 * For:     routes.c. */
#include <stdlib.h>

#include "api/api_int.h"

enum { LIST_DEFAULT = 1000, LIST_MAX = 1000, LIST_FILES_MAX = 100 };

typedef struct list_call {
    api_call      *c;
    hub_list_query q;
    snug_slice    *filters;
    bool           linked, none; /* none: nothing can match */
} list_call;

static snug_status check_sort(snug_slice sort, hub_type type, snug_err *err)
{
    static const char *const known[] = {
        "createdAt", "lastModified", "likes", "trendingScore", "id", "downloads", "num_parameters"};
    static const size_t counts[] = {7, 6, 5}; /* data sets have no parameters; spaces ... */
    size_t              n = counts[type];     /* ... no downloads either */
    if (sort.len == 0) return SNUG_OK;
    for (size_t i = 0; i < n; i++) {
        if (snug_eq_str(sort, known[i])) return SNUG_OK;
    }
    return snug_fail(
        err, SNUG_EINVAL,
        "\"sort\" must be one of [createdAt, lastModified, likes, trendingScore, id%s%s]",
        n > 5 ? ", downloads" : "", n > 6 ? ", num_parameters" : "");
}

static snug_status add_filter(list_call *l, snug_slice tag, snug_err *err)
{
    if (l->q.filter_count == HUB_FILTERS_MAX)
        return snug_fail(err, SNUG_EINVAL, "at most %d filters", HUB_FILTERS_MAX);
    for (size_t i = 0; i < tag.len; i++) {
        if ((unsigned char)tag.ptr[i] < 0x20)
            return snug_fail(err, SNUG_EINVAL, "a filter has no control characters");
    }
    l->filters[l->q.filter_count++] = tag;
    return SNUG_OK;
}

/* filter=a&filter=b, and the older spellings of one tag; commas separate as well. */
static snug_status read_filters(list_call *l, snug_err *err)
{
    static const struct {
        const char *name, *prefix;
        unsigned    types;
    } names[] = {
        {"filter", "", 7},
        {"tags", "", 7},
        {"pipeline_tag", "pipeline_tag:", 1},
        {"library", "library:", 1},
        {"language", "language:", 3},
        {"trained_dataset", "dataset:", 1},
        {"models", "model:", 4},
        {"datasets", "dataset:", 4},
    };
    snug_status st = SNUG_OK;
    snug_slice  value, one;
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
        if (!(names[k].types >> l->q.type & 1)) continue;
        for (size_t i = 0; (value = http_req_query(l->c->rq, names[k].name, i)).ptr != NULL; i++) {
            while (value.len > 0 && snug_split(&value, ',', &one)) {
                one = snug_trim(one);
                if (one.len == 0) continue;
                one = snug_arena_printf(l->c->a, "%s%.*s", names[k].prefix, SNUG_SLICE(one));
                SNUG_TRY(add_filter(l, one, err));
            }
        }
    }
done:
    return st;
}

/* Programs on one's own machine, by what they can open. */
static const struct {
    const char *name, *tags[2];
    size_t      count;
} apps[] = {
    {"llama.cpp", {"gguf"}, 1},
    {"node-llama-cpp", {"gguf"}, 1},
    {"ollama", {"gguf"}, 1},
    {"lmstudio", {"gguf", "mlx"}, 2},
    {"lm-studio", {"gguf", "mlx"}, 2},
    {"jan", {"gguf"}, 1},
    {"jellybox", {"gguf", "diffusers"}, 2},
    {"koboldcpp", {"gguf"}, 1},
    {"msty", {"gguf"}, 1},
    {"backyard-ai", {"gguf"}, 1},
    {"sanctum", {"gguf"}, 1},
    {"recursechat", {"gguf"}, 1},
    {"docker-model-runner", {"gguf"}, 1},
    {"lemonade", {"gguf", "onnx"}, 2},
    {"mlx-lm", {"mlx"}, 1},
    {"vllm", {"transformers"}, 1},
    {"sglang", {"transformers"}, 1},
    {"tgi", {"transformers"}, 1},
    {"drawthings", {"diffusers"}, 1},
    {"diffusionbee", {"diffusers"}, 1},
    {"comfyui", {"diffusers"}, 1},
    {"invoke", {"diffusers"}, 1},
};

static snug_status read_apps(list_call *l, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_slice  value, one;
    for (size_t n = 0; (value = http_req_query(l->c->rq, "apps", n)).ptr != NULL; n++) {
        while (value.len > 0 && snug_split(&value, ',', &one)) {
            size_t i = 0;
            while (i < sizeof apps / sizeof apps[0] && !snug_eq_str(snug_trim(one), apps[i].name))
                i++;
            if (i == sizeof apps / sizeof apps[0])
                SNUG_FAIL(err, SNUG_EINVAL, "\"apps\" has no app called \"%.*s\"",
                          SNUG_SLICE(snug_sub(one, 0, 80)));
            SNUG_TRY(add_filter(l, hub_any_of(l->c->a, apps[i].tags, apps[i].count), err));
        }
    }
done:
    return st;
}

/* "6B", "1.5M", "135000000" */
static bool parse_count(snug_slice s, int64_t *out)
{
    static const char   units[] = "kmbt";
    static const double scales[] = {1e3, 1e6, 1e9, 1e12};
    char                text[32], *end;
    const char         *unit;
    double              scale = 1, v;

    s = snug_trim(s);
    unit = s.len > 0 ? strchr(units, s.ptr[s.len - 1] | 0x20) : NULL;
    if (unit != NULL && *unit != '\0') {
        scale = scales[unit - units];
        s = snug_sub(s, 0, s.len - 1);
    }
    if (s.len == 0 || s.len >= sizeof text) return false;
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    if (strspn(text, "0123456789.") != s.len) return false;
    v = strtod(text, &end) * scale;
    if (*end != '\0' || !(v >= 0 && v < 9e18)) return false;
    *out = (int64_t)v;
    return true;
}

/* "min:6B,max:128B", either part */
static snug_status read_params(list_call *l, snug_err *err)
{
    snug_slice value = http_req_query(l->c->rq, "num_parameters", 0), one;
    int64_t    n;
    if (value.len == 0) return SNUG_OK;
    l->q.params_min = 1;
    l->q.params_max = INT64_MAX;
    while (snug_split(&value, ',', &one)) {
        bool low = snug_starts_with(one, "min:"), high = snug_starts_with(one, "max:");
        if ((!low && !high) || !parse_count(snug_sub(one, 4, one.len), &n))
            return snug_fail(err, SNUG_EINVAL,
                             "\"num_parameters\" is written like min:6B,max:128B, either part");
        if (low && n > 1) l->q.params_min = n;
        if (high) l->q.params_max = n > 0 ? n : 1;
    }
    return SNUG_OK;
}

/* What runs elsewhere: nothing of that is known here, so nothing matches. */
static snug_status read_inference(list_call *l, snug_err *err)
{
    snug_slice warm = http_req_query(l->c->rq, "inference", 0);
    if (warm.len > 0 && !snug_eq_str(warm, "warm") && !snug_eq_str(warm, "cold"))
        return snug_fail(err, SNUG_EINVAL, "\"inference\" must be one of [warm, cold]");
    if (snug_eq_str(warm, "warm") || http_req_query(l->c->rq, "inference_provider", 0).len > 0)
        l->none = true;
    return SNUG_OK;
}

static snug_status read_gate(list_call *l, snug_err *err)
{
    snug_slice v = http_req_query(l->c->rq, "gated", 0);
    if (v.ptr == NULL) return SNUG_OK;
    if (snug_eq_nocase(v, SNUG_LIT("true")) || snug_eq_str(v, "1"))
        l->q.gate = HUB_GATES_GATED;
    else if (snug_eq_nocase(v, SNUG_LIT("false")) || snug_eq_str(v, "0"))
        l->q.gate = HUB_GATES_OPEN;
    else
        return snug_fail(err, SNUG_EINVAL, "\"gated\" must be true or false");
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

static snug_status read_query(list_call *l, api_render *r, snug_err *err)
{
    snug_status     st = SNUG_OK;
    api_call       *c = l->c;
    hub_list_query *q = &l->q;
    uint64_t        limit;

    l->filters = snug_arena_alloc(c->a, HUB_FILTERS_MAX * sizeof *l->filters);
    q->filters = l->filters;
    SNUG_TRY(read_filters(l, err));
    if (q->type == HUB_MODEL) {
        SNUG_TRY(read_apps(l, err));
        SNUG_TRY(read_params(l, err));
        SNUG_TRY(read_inference(l, err));
    }
    if (q->type != HUB_SPACE) SNUG_TRY(read_gate(l, err));
    l->linked = q->type == HUB_SPACE && http_req_query_bool(c->rq, "linked", false);
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
    if (l->linked) r->shape |= API_SHAPE_LINKED;
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
    list_call      l = {.c = &c};
    api_render     r = {0};
    hub_repo_info *list = NULL;
    size_t         count = 0;
    snug_slice     next = SNUG_EMPTY;
    snug_buf       b = snug_buf_init(API_JSON_MAX);
    snug_json_out  o = snug_json_out_init(&b);

    SNUG_TRY(api_begin(&c, rq, rs, err));
    if (!hub_type_parse(http_req_param(rq, "type"), &l.q.type)) SNUG_TRY(api_fail_absent(&c, err));
    r.hub = c.hub;
    r.a = c.a;
    SNUG_TRY(read_query(&l, &r, err));
    if (!l.none) SNUG_TRY(hub_list_repos(c.hub, &c.who, &l.q, c.a, &list, &count, &next, err));
    snug_jo_begin_array(&o);
    for (size_t i = 0; i < count; i++) {
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
