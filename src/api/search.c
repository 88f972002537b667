/* SPDX-License-Identifier: Apache-2.0 */
/* api/search.c - repositories by relevance: as somebody types, by words of their cards, and Spaces
 * by what they are for.
 *
 * For:     routes.c.
 * Truth:   hub_search() shows, counts and quotes only what the caller may read. */
#include "api/api_int.h"

enum { QUICK_MAX = 50, TEXT_MAX = 100, SPACE_LIMIT = 50 };

static snug_status read_filters(api_call *c, hub_search_query *q, snug_err *err)
{
    snug_slice *list = snug_arena_alloc(c->a, HUB_FILTERS_MAX * sizeof *list), v;
    q->filters = list;
    for (size_t i = 0; (v = http_req_query(c->rq, "filter", i)).ptr != NULL; i++) {
        if (v.len == 0) continue;
        if (q->filter_count == HUB_FILTERS_MAX || v.len > 200)
            return snug_fail(err, SNUG_EINVAL, "at most %d filters of 200 bytes", HUB_FILTERS_MAX);
        list[q->filter_count++] = v;
    }
    return SNUG_OK;
}

/* The types asked for by type=..., or all. */
static snug_status read_types(api_call *c, bool wanted[HUB_TYPE_COUNT], snug_err *err)
{
    snug_slice v;
    bool       some = false;
    memset(wanted, 0, HUB_TYPE_COUNT * sizeof wanted[0]);
    for (size_t i = 0; (v = http_req_query(c->rq, "type", i)).ptr != NULL; i++) {
        hub_type t;
        if (v.len == 0 || snug_eq_str(v, "all")) continue;
        if (!hub_type_parse(v, &t))
            return snug_fail(err, SNUG_EINVAL, "\"type\" must be one of [model, dataset, space]");
        wanted[t] = some = true;
    }
    for (size_t t = 0; t < HUB_TYPE_COUNT && !some; t++) wanted[t] = true;
    return SNUG_OK;
}

static void put_id(snug_json_out *o, const char *key, const hub_repo_id *id)
{
    snug_jo_key(o, key);
    snug_jo_strf(o, "%s/%s", id->ns, id->name);
}

/* ---- as somebody types ---- */

static snug_status put_quick(api_call *c, snug_json_out *o, hub_search_query *q, snug_err *err)
{
    snug_status st = SNUG_OK;
    hub_hit    *hits;
    size_t      n, total;
    char        key[32];

    SNUG_TRY(hub_search(c->hub, &c->who, q, c->a, &hits, &n, &total, err));
    snug_jo_key(o, hub_type_plural(q->type));
    snug_jo_begin_array(o);
    for (size_t i = 0; i < n; i++) {
        snug_jo_begin_object(o);
        snug_jo_kcstr(o, "_id", hits[i].info.oid24);
        put_id(o, "id", &hits[i].info.id);
        snug_jo_kbool(o, "private", hits[i].info.visibility != HUB_PUBLIC);
        snug_jo_end_object(o);
    }
    snug_jo_end_array(o);
    (void)snprintf(key, sizeof key, "%sCount", hub_type_plural(q->type));
    snug_jo_ku64(o, key, total);
done:
    return st;
}

snug_status api_quick_search(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status   st = SNUG_OK;
    api_call      c;
    bool          wanted[HUB_TYPE_COUNT];
    uint64_t      limit;
    snug_buf      b = snug_buf_init(API_JSON_MAX);
    snug_json_out o = snug_json_out_init(&b);

    SNUG_TRY(api_begin(&c, rq, rs, err));
    SNUG_TRY(read_types(&c, wanted, err));
    SNUG_TRY(api_query_u64(&c, "limit", 6, 1, QUICK_MAX, &limit, err));
    snug_jo_begin_object(&o);
    for (int t = 0; t < HUB_TYPE_COUNT; t++) {
        hub_search_query q = {.type = (hub_type)t,
                              .words = http_req_query(rq, "q", 0),
                              .names_only = true,
                              .limit = (size_t)limit};
        if (wanted[t]) SNUG_TRY(put_quick(&c, &o, &q, err));
    }
    snug_jo_end_object(&o);
    SNUG_TRY(api_reply_json(&c, &b, err));
done:
    snug_buf_deinit(&b);
    return st;
}

/* ---- by words ---- */

/* What was found stands between \x02 and \x03: as pieces, so that no reader has to trust marks. */
static void put_snippet(snug_json_out *o, snug_slice text)
{
    snug_jo_key(o, "snippet");
    snug_jo_begin_array(o);
    while (text.len > 0) {
        bool       found = text.ptr[0] == '\x02';
        size_t     from = found ? 1 : 0;
        size_t     end = snug_index(text, found ? '\x03' : '\x02');
        snug_slice part;
        if (end == SIZE_MAX) end = text.len;
        part = snug_sub(text, from, end - from);
        if (part.len > 0) {
            snug_jo_begin_object(o);
            snug_jo_kstr(o, "text", part);
            snug_jo_kbool(o, "found", found);
            snug_jo_end_object(o);
        }
        end += found && end < text.len ? 1 : 0;
        text = snug_sub(text, end, text.len);
    }
    snug_jo_end_array(o);
}

static void put_hit(snug_json_out *o, const hub_hit *h)
{
    snug_jo_begin_object(o);
    snug_jo_kcstr(o, "_id", h->info.oid24);
    put_id(o, "repoId", &h->info.id);
    snug_jo_kcstr(o, "repoType", hub_type_name(h->info.id.type));
    snug_jo_kcstr(o, "repoOwner", h->info.id.ns);
    snug_jo_kcstr(o, "fileName", "README.md");
    snug_jo_kbool(o, "private", h->info.visibility != HUB_PUBLIC);
    snug_jo_ku64(o, "likes", h->info.likes);
    snug_jo_ku64(o, "downloads", h->info.downloads);
    snug_jo_kf64(o, "score", h->score);
    put_snippet(o, h->snippet);
    snug_jo_end_object(o);
}

/* The lists of several types as one, each with its best first. */
static size_t pick_best(hub_hit *const *lists, const size_t *counts, const size_t *at)
{
    size_t best = SIZE_MAX;
    for (size_t t = 0; t < HUB_TYPE_COUNT; t++) {
        if (at[t] == counts[t]) continue;
        if (best == SIZE_MAX || lists[t][at[t]].score > lists[best][at[best]].score) best = t;
    }
    return best;
}

snug_status api_text_search(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status      st = SNUG_OK;
    api_call         c;
    bool             wanted[HUB_TYPE_COUNT];
    uint64_t         limit, skip;
    hub_hit         *lists[HUB_TYPE_COUNT];
    size_t           counts[HUB_TYPE_COUNT] = {0}, at[HUB_TYPE_COUNT] = {0}, all = 0, total, t;
    hub_search_query q = {.snippets = true};
    snug_buf         b = snug_buf_init(API_JSON_MAX);
    snug_json_out    o = snug_json_out_init(&b);

    SNUG_TRY(api_begin(&c, rq, rs, err));
    SNUG_TRY(read_types(&c, wanted, err));
    SNUG_TRY(read_filters(&c, &q, err));
    SNUG_TRY(api_query_u64(&c, "limit", 20, 1, TEXT_MAX, &limit, err));
    SNUG_TRY(api_query_u64(&c, "skip", 0, 0, HUB_HITS_MAX - limit, &skip, err));
    q.words = http_req_query(rq, "q", 0);
    q.limit = (size_t)(limit + skip);
    for (t = 0; t < HUB_TYPE_COUNT; t++) {
        if (!wanted[t]) continue;
        q.type = (hub_type)t;
        SNUG_TRY(hub_search(c.hub, &c.who, &q, c.a, &lists[t], &counts[t], &total, err));
        all += total;
    }
    snug_jo_begin_object(&o);
    snug_jo_key(&o, "hits");
    snug_jo_begin_array(&o);
    for (uint64_t i = 0; i < skip + limit && (t = pick_best(lists, counts, at)) != SIZE_MAX; i++) {
        if (i >= skip) put_hit(&o, &lists[t][at[t]]);
        at[t]++;
    }
    snug_jo_end_array(&o);
    snug_jo_ku64(&o, "estimatedTotalHits", all);
    snug_jo_end_object(&o);
    SNUG_TRY(api_reply_json(&c, &b, err));
done:
    snug_buf_deinit(&b);
    return st;
}

/* ---- Spaces ---- */

static void put_card_text(snug_json_out *o, snug_json card, const char *key)
{
    snug_slice text;
    if (snug_json_to_str(snug_json_get(card, key), &text)) snug_jo_kstr(o, key, text);
}

static void put_space(api_call *c, snug_json_out *o, const hub_hit *h)
{
    snug_json card = {NULL};
    snug_err  ignored;
    if (h->info.card_json.len > 0 &&
        snug_json_parse(c->a, h->info.card_json, NULL, &card, &ignored) != SNUG_OK)
        card = (snug_json){NULL};
    snug_jo_begin_object(o);
    snug_jo_kcstr(o, "_id", h->info.oid24);
    put_id(o, "id", &h->info.id);
    snug_jo_kcstr(o, "author", h->info.id.ns);
    put_card_text(o, card, "title");
    put_card_text(o, card, "emoji");
    if (h->info.sdk.len > 0) snug_jo_kstr(o, "sdk", h->info.sdk);
    snug_jo_ku64(o, "likes", h->info.likes);
    snug_jo_kbool(o, "private", h->info.visibility != HUB_PUBLIC);
    snug_jo_key(o, "tags");
    snug_jo_raw(o, h->info.tags_json.len > 0 ? h->info.tags_json : SNUG_LIT("[]"));
    snug_jo_key(o, "runtime");
    snug_jo_raw(o, SNUG_LIT("{\"stage\":\"STOPPED\"}"));
    snug_jo_kf64(o, "semanticRelevancyScore", h->score);
    snug_jo_ku64(o, "trendingScore", h->info.trending);
    snug_jo_end_object(o);
}

/* By words, not by meaning: a Space with more of them in its id, tags and card comes first. */
snug_status api_space_search(http_req *rq, http_res *rs, snug_err *err)
{
    snug_status      st = SNUG_OK;
    api_call         c;
    hub_hit         *hits;
    size_t           n, total;
    hub_search_query q = {.type = HUB_SPACE, .any_word = true, .limit = SPACE_LIMIT};
    snug_slice       sdk;
    snug_buf         b = snug_buf_init(API_JSON_MAX);
    snug_json_out    o = snug_json_out_init(&b);

    SNUG_TRY(api_begin(&c, rq, rs, err));
    SNUG_TRY(read_filters(&c, &q, err));
    q.words = http_req_query(rq, "q", 0);
    sdk = http_req_query(rq, "sdk", 0);
    SNUG_TRY(hub_search(c.hub, &c.who, &q, c.a, &hits, &n, &total, err));
    snug_jo_begin_array(&o);
    for (size_t i = 0; i < n; i++) {
        if (sdk.len > 0 && !snug_eq(sdk, hits[i].info.sdk)) continue;
        put_space(&c, &o, &hits[i]);
    }
    snug_jo_end_array(&o);
    SNUG_TRY(api_reply_json(&c, &b, err));
done:
    snug_buf_deinit(&b);
    return st;
}
