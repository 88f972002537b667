/* SPDX-License-Identifier: Apache-2.0 */
/* store/list.c - pages of repositories in every order, with filters and words.
 *
 * Two ways lead to a page, and each is slow where the other is fast:
 *
 *   walk     down the index of the order, asking of each row whether it matches: many do
 *   collect  all matches, keeping the best: few do
 *
 * A look at the newest matches tells how dense they are; a walk that finds too few of them gives
 * up after a bounded number of rows and collects.
 *
 * For:     hub/list.c, hub/search.c.
 * Owns:    nothing.
 * Threads: any; a transaction stays with its thread.
 * Truth:   keyset paging: a page begins behind a (sort value, row id) pair and never counts rows,
 *          so rows that did not change show up exactly once however much the others move. */
#include <stdlib.h>

#include "store/store_int.h"

/* Costs in steps of a collection, measured: a row of a walk, a question to the index about one row.
 * A walk that has cost WALK_MAX gives up. */
enum { SAMPLE = 400, STEP_COST = 3, PROBE_COST = 8, WALK_MAX = 25000 };

/* A query text must be a static string, so the texts are made here once for each order.
 * $1 type  $2,$3 place */
#define WALK(column)                                                                               \
    {                                                                                              \
        "SELECT r.id, " column                                                                     \
        ", r.params, r.id_key, d.facts FROM repos r CROSS JOIN repo_docs d "                       \
        "WHERE r.type = $1 AND r.state = 1 AND (" column                                           \
        ", r.id) < ($2, $3) AND d.id = r.id ORDER "                                                \
        "BY " column " DESC, r.id DESC"                                                            \
    }
/* $1 match */
#define COLLECT(column)                                                                            \
    {                                                                                              \
        "SELECT n.id, " column ", n.params FROM repo_search s CROSS JOIN repos n INDEXED BY "      \
        "repos_narrow WHERE s.repo_search MATCH $1 AND n.id = s.rowid AND n.state = 1"             \
    }

static const struct {
    db_query walk, collect;
} queries[STORE_SORTS] = {
    [STORE_BY_CREATED] = {WALK("r.created_ms"), COLLECT("n.created_ms")},
    [STORE_BY_MODIFIED] = {WALK("r.modified_ms"), COLLECT("n.modified_ms")},
    [STORE_BY_DOWNLOADS] = {WALK("r.downloads"), COLLECT("n.downloads")},
    [STORE_BY_LIKES] = {WALK("r.likes"), COLLECT("n.likes")},
    [STORE_BY_TRENDING] = {WALK("r.trending"), COLLECT("n.trending")},
    [STORE_BY_PARAMS] = {WALK("r.params"), COLLECT("n.params")},
    [STORE_BY_ID] = {WALK("r.id_key"), COLLECT("n.id_key")},
};

int64_t store_sort_value(store_sort sort, const store_repo *r)
{
    switch (sort) {
    case STORE_BY_CREATED: return r->created_ms;
    case STORE_BY_MODIFIED: return r->modified_ms;
    case STORE_BY_DOWNLOADS: return r->downloads;
    case STORE_BY_LIKES: return r->likes;
    case STORE_BY_TRENDING: return r->trending;
    case STORE_BY_PARAMS: return r->params;
    case STORE_BY_ID:
    case STORE_SORTS: break;
    }
    return 0;
}

/* ---- the best so far: a heap with the worst of them on top ---- */

typedef struct place {
    int64_t    value, id;
    snug_slice key; /* STORE_BY_ID */
} place;

typedef struct best {
    snug_arena *a;
    place      *heap;
    size_t      count, max;
} best;

/* Does x stand before y in the list? */
static bool before(const place *x, const place *y)
{
    int c = x->value != y->value ? (x->value > y->value ? 1 : -1) : snug_cmp(x->key, y->key);
    return c != 0 ? c > 0 : x->id > y->id;
}

static void sink(best *b, size_t i)
{
    for (;;) {
        size_t worst = i;
        for (size_t k = 2 * i + 1; k <= 2 * i + 2 && k < b->count; k++) {
            if (before(&b->heap[worst], &b->heap[k])) worst = k;
        }
        if (worst == i) return;
        place t = b->heap[i];
        b->heap[i] = b->heap[worst];
        b->heap[worst] = t;
        i = worst;
    }
}

static void offer(best *b, place p)
{
    if (b->count == b->max) {
        if (!before(&p, &b->heap[0])) return;
        p.key = snug_arena_dup(b->a, p.key);
        b->heap[0] = p;
        sink(b, 0);
        return;
    }
    p.key = snug_arena_dup(b->a, p.key);
    size_t i = b->count++;
    for (; i > 0 && before(&b->heap[(i - 1) / 2], &p); i = (i - 1) / 2)
        b->heap[i] = b->heap[(i - 1) / 2];
    b->heap[i] = p;
}

static int by_place(const void *x, const void *y)
{
    const place *p = x, *q = y;
    return before(p, q) ? -1 : before(q, p) ? 1 : 0;
}

/* ---- one list ---- */

typedef struct walk {
    db_txn           *tx;
    snug_arena       *a;
    const store_list *q;
    store_match       match;
    place             from; /* results stand behind it */
    best              found;
    snug_buf          rest; /* words the id does not answer */
    size_t            want;
} walk;

static place place_of(store_sort sort, const db_val *id, const db_val *value)
{
    if (sort == STORE_BY_ID) return (place){.id = id->i, .key = value->s};
    return (place){.id = id->i, .value = value->i};
}

/* Where the page begins. Before everything: larger than any value a row can have. */
static place first_place(const store_list *q)
{
    if (q->sort == STORE_BY_ID)
        return (place){.id = q->has_after ? q->after_id : INT32_MAX,
                       .key = q->has_after ? q->after_key : SNUG_LIT("~")};
    return (place){.id = q->has_after ? q->after_id : INT32_MAX,
                   .value = q->has_after ? q->after_value : INT64_MAX};
}

static bool params_fit(const store_list *q, int64_t n)
{
    return q->params_max == 0 || (n > 0 && n >= q->params_min && n <= q->params_max);
}

static snug_status ask_index(walk *w, int64_t id, bool *yes, snug_err *err)
{
    static const db_query q = {
        "SELECT 1 FROM repo_search WHERE repo_search MATCH $1 AND rowid = $2"};
    db_val      args[] = {db_text(snug_buf_slice(&w->rest)), db_int(id)};
    int64_t     one = 0;
    snug_status st = store_number(w->tx, q, args, 2, 0, &one, err);
    *yes = one != 0;
    return st;
}

/* Columns as in WALK. */
static snug_status fits(walk *w, const db_val *c, int *cost, bool *yes, snug_err *err)
{
    store_answer by_id = STORE_YES;
    *cost += STEP_COST;
    *yes = params_fit(w->q, c[2].i) && store_match_facts(&w->match, c[4].s);
    if (*yes && w->match.word_count > 0) by_id = store_match_id(&w->match, c[3].s, &w->rest);
    *yes = *yes && by_id != STORE_NO;
    if (!*yes || by_id == STORE_YES) return SNUG_OK;
    *cost += PROBE_COST;
    return ask_index(w, c[0].i, yes, err);
}

/* *done false: given up, there are too few. */
static snug_status walk_down(walk *w, bool *done, snug_err *err)
{
    snug_status   st = SNUG_OK;
    db_rows      *rows = NULL;
    const db_val *c;
    bool          by_id = w->q->sort == STORE_BY_ID;
    db_val args[] = {db_int(w->q->type), by_id ? db_text(w->from.key) : db_int(w->from.value),
                     db_int(w->from.id)};

    *done = false;
    SNUG_TRY(db_run(w->tx, queries[w->q->sort].walk, args, 3, &rows, err));
    for (int cost = 0; cost < WALK_MAX && !*done;) {
        bool yes;
        SNUG_TRY(db_next(rows, &c, err));
        *done = c == NULL;
        if (*done) break;
        SNUG_TRY(fits(w, c, &cost, &yes, err));
        if (yes) offer(&w->found, place_of(w->q->sort, &c[0], &c[1]));
        *done = w->found.count == w->want;
    }
done:
    db_rows_close(rows);
    return st;
}

static snug_status collect(walk *w, snug_err *err)
{
    snug_status   st = SNUG_OK;
    db_rows      *rows = NULL;
    const db_val *c;
    db_val        arg = db_text(w->match.text);

    w->found.count = 0;
    SNUG_TRY(db_run(w->tx, queries[w->q->sort].collect, &arg, 1, &rows, err));
    for (;;) {
        place p;
        SNUG_TRY(db_next(rows, &c, err));
        if (c == NULL) break;
        p = place_of(w->q->sort, &c[0], &c[1]);
        if (before(&w->from, &p) && params_fit(w->q, c[2].i)) offer(&w->found, p);
    }
done:
    db_rows_close(rows);
    return st;
}

/* About how many match, from how close together the newest of them are. */
static snug_status guess_matches(walk *w, int64_t *matches, int64_t *rows_all, snug_err *err)
{
    static const db_query newest = {
        "SELECT COUNT(*), MIN(m) FROM (SELECT rowid AS m FROM repo_search WHERE repo_search MATCH "
        "$1 ORDER BY rowid DESC LIMIT 400)"};
    static const db_query last = {"SELECT value FROM counters WHERE name = 'repos'"};
    db_val                arg = db_text(w->match.text);
    const db_val         *c;
    snug_status           st = SNUG_OK;

    SNUG_TRY(store_number(w->tx, last, NULL, 0, 1, rows_all, err));
    SNUG_TRY(db_one(w->tx, w->a, newest, &arg, 1, &c, err));
    *matches = c[0].i;
    if (c[0].i == SAMPLE && *rows_all >= c[1].i)
        *matches = (int64_t)((double)SAMPLE * (double)*rows_all / (double)(*rows_all - c[1].i + 1));
done:
    return st;
}

static snug_status choose(walk *w, bool *walk_first, snug_err *err)
{
    int64_t     matches, all;
    snug_status st = SNUG_OK;
    double      step = STEP_COST;
    *walk_first = true;
    if (!w->match.asks) goto done;
    SNUG_TRY(guess_matches(w, &matches, &all, err));
    if (w->match.word_count > 0 && w->match.with_text) step += PROBE_COST;
    *walk_first = (double)w->want * (double)all * step < (double)matches * (double)matches;
done:
    return st;
}

static snug_status load_rows(walk *w, store_repo **out, size_t *count, snug_err *err)
{
    snug_status st = SNUG_OK;
    *out = snug_arena_array_try(w->a, w->found.count + 1, sizeof **out);
    if (*out == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "out of memory");
    qsort(w->found.heap, w->found.count, sizeof w->found.heap[0], by_place);
    for (size_t i = 0; i < w->found.count; i++) {
        bool found;
        SNUG_TRY(store_get_repo(w->tx, w->a, w->found.heap[i].id, &(*out)[*count], &found, err));
        if (found) (*count)++;
    }
done:
    return st;
}

snug_status store_list_repos(db_txn *tx, snug_arena *a, const store_list *q, store_repo **out,
                             size_t *count, bool *more, snug_err *err)
{
    snug_status st = SNUG_OK;
    bool        walk_first, done = false;
    walk        w = {.tx = tx,
                     .a = a,
                     .q = q,
                     .from = first_place(q),
                     .want = q->limit + 1,
                     .rest = snug_buf_init(64 << 10)};

    SNUG_ASSERT(q->filter_count <= STORE_FILTERS_MAX && q->limit > 0);
    *count = 0;
    *more = false;
    w.found = (best){.a = a, .max = w.want}; /* one more tells whether there is another page */
    w.found.heap = snug_arena_array_try(a, w.want, sizeof(place));
    if (w.found.heap == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "out of memory");
    SNUG_TRY(store_match_of(tx, a, q, &w.match, err));
    SNUG_TRY(choose(&w, &walk_first, err));
    if (walk_first) SNUG_TRY(walk_down(&w, &done, err));
    if (!done) SNUG_TRY(collect(&w, err));
    SNUG_TRY(load_rows(&w, out, count, err));
    *more = *count > q->limit;
    if (*more) *count = q->limit;
done:
    snug_buf_deinit(&w.rest);
    return st;
}
