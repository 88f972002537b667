/* SPDX-License-Identifier: Apache-2.0 */
/* hub/search.c - repositories by relevance: the best of those whose id matches, then the best of
 * those whose tags or card do.
 *
 * For:     quick search, full-text search, search of Spaces by meaning (as far as words go).
 * Owns:    nothing.
 * Threads: any.
 * Truth:   only what `who` may read is looked at, counted or quoted. Within a kind of match the
 *          more used ones come first; an id that is exactly what was asked for comes before all. */
#include <stdlib.h>

#include "hub/hub_int.h"

typedef struct hunt {
    db_txn                 *tx;
    snug_arena             *a;
    const hub_search_query *q;
    store_list              list;
    hub_hit                *hits;
    size_t                  count, max;
} hunt;

/* 0..1, growing slowly: the hundredth download says more than the ten thousandth. */
static double fame(const store_repo *r)
{
    int64_t n = r->downloads + 10 * r->likes;
    double  steps = 0; /* doublings, and the part of the next one */
    for (; n > 1; n /= 2) steps += 1;
    return 1 - 1 / (1 + steps / 6);
}

static double score_of(const hunt *t, const store_repo *r, bool by_id)
{
    snug_slice words = snug_trim(t->q->words);
    double     s = (by_id ? 0.5 : 0.1) + 0.3 * fame(r);
    if (snug_eq_nocase(r->name, words)) s += 0.15;
    if (snug_eq_nocase(store_repo_key(t->a, r->ns, r->name), words)) s += 0.2;
    return s > 1 ? 1 : s;
}

/* How many of the words stand in the id, the tags or the card's metadata: 0..1. */
static double share_of_words(const hunt *t, const store_repo *r)
{
    snug_slice all[] = {store_repo_key(t->a, r->ns, r->name), r->tags_json, r->card_json};
    snug_slice rest = store_lower(t->a, t->q->words), w;
    size_t     words = 0, found = 0;
    while (snug_split(&rest, ' ', &w)) {
        bool here = false;
        if (w.len == 0) continue;
        for (size_t i = 0; i < sizeof all / sizeof all[0] && !here; i++)
            here = snug_find(store_lower(t->a, all[i]), w) != SIZE_MAX;
        words++;
        found += here ? 1 : 0;
    }
    return words == 0 ? 0 : (double)found / (double)words;
}

static bool is_known(const hunt *t, int64_t row)
{
    for (size_t i = 0; i < t->count; i++) {
        if (t->hits[i].info.row == row) return true;
    }
    return false;
}

static void take(hunt *t, const store_repo *r, bool by_id)
{
    hub_hit *hit = &t->hits[t->count];
    if (t->count == t->max || is_known(t, r->id)) return;
    hub_info_of_row(r, &hit->info);
    hit->score = score_of(t, r, by_id);
    if (t->q->any_word) hit->score = 0.2 * hit->score + 0.8 * share_of_words(t, r);
    t->count++;
}

static snug_status hunt_for(hunt *t, bool with_text, snug_err *err)
{
    store_repo *rows;
    size_t      n;
    bool        more;
    snug_status st;
    t->list.with_text = with_text;
    t->list.limit = t->q->skip + t->q->limit;
    st = store_list_repos(t->tx, t->a, &t->list, &rows, &n, &more, err);
    for (size_t i = 0; st == SNUG_OK && i < n; i++) take(t, &rows[i], !with_text);
    return st;
}

/* The repository that is called exactly that, however little it is used. */
static snug_status hunt_exact(hunt *t, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_slice  words = snug_trim(t->q->words);
    store_list  one = t->list;
    store_repo *rows;
    size_t      n;
    bool        more;
    if (snug_index(words, '/') == SIZE_MAX || snug_index(words, ' ') != SIZE_MAX) return SNUG_OK;
    one.limit = 50;
    SNUG_TRY(store_list_repos(t->tx, t->a, &one, &rows, &n, &more, err));
    for (size_t i = 0; i < n; i++) {
        if (snug_eq_nocase(store_repo_key(t->a, rows[i].ns, rows[i].name), words))
            take(t, &rows[i], true);
    }
done:
    return st;
}

static int by_score(const void *x, const void *y)
{
    const hub_hit *p = x, *q = y;
    if (p->score != q->score) return p->score > q->score ? -1 : 1;
    return p->info.row > q->info.row ? -1 : p->info.row < q->info.row ? 1 : 0;
}

static snug_status check_words(const hub_search_query *q, snug_err *err)
{
    if (q->words.len > HUB_SEARCH_MAX || !snug_utf8_valid(q->words) ||
        (q->words.len > 0 && memchr(q->words.ptr, '\0', q->words.len) != NULL))
        return snug_fail(err, SNUG_EINVAL, "what is searched has at most %d bytes of text",
                         HUB_SEARCH_MAX);
    if (q->filter_count > HUB_FILTERS_MAX)
        return snug_fail(err, SNUG_EINVAL, "at most %d filters at a time", HUB_FILTERS_MAX);
    if (q->limit < 1 || q->limit > HUB_HITS_MAX || q->skip > HUB_HITS_MAX - q->limit)
        return snug_fail(err, SNUG_EINVAL, "only the first %d results are shown", HUB_HITS_MAX);
    return SNUG_OK;
}

static snug_status add_snippets(hunt *t, hub_hit *hits, size_t n, snug_err *err)
{
    snug_status st = SNUG_OK;
    for (size_t i = 0; i < n && t->q->snippets; i++)
        SNUG_TRY(store_snippet(t->tx, t->a, hits[i].info.row, t->q->words, &hits[i].snippet, err));
done:
    return st;
}

snug_status hub_search(hub *h, const hub_actor *who, const hub_search_query *q, snug_arena *a,
                       hub_hit **out, size_t *count, size_t *total, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    bool        exact;
    hunt        t = {.a = a, .q = q};

    *count = *total = 0;
    SNUG_TRY(check_words(q, err));
    t.max = 2 * (q->skip + q->limit) + 50;
    t.hits = snug_arena_zalloc(a, t.max * sizeof *t.hits);
    t.list = (store_list){.type = (int)q->type,
                          .sees = hub_sees(who),
                          .me = hub_own_ns(who),
                          .search = q->words,
                          .any_word = q->any_word,
                          .filters = q->filters,
                          .filter_count = q->filter_count,
                          .sort = q->type == HUB_SPACE ? STORE_BY_LIKES : STORE_BY_DOWNLOADS};
    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    t.tx = tx;
    SNUG_TRY(hunt_exact(&t, err));
    SNUG_TRY(hunt_for(&t, false, err));
    if (!q->names_only) SNUG_TRY(hunt_for(&t, true, err));
    t.list.with_text = !q->names_only;
    SNUG_TRY(store_count_matches(tx, a, &t.list, HUB_HITS_MAX, total, &exact, err));
    qsort(t.hits, t.count, sizeof t.hits[0], by_score);
    size_t from = q->skip < t.count ? q->skip : t.count;
    *out = t.hits + from;
    *count = t.count - from < q->limit ? t.count - from : q->limit;
    SNUG_TRY(add_snippets(&t, *out, *count, err));
done:
    db_rollback(tx);
    return st;
}
