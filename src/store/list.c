/* SPDX-License-Identifier: Apache-2.0 */
/* store/list.c - pages of repositories in every order, with filters.
 *
 * For:     hub/list.c.
 * Owns:    nothing.
 * Threads: any; a transaction stays with its thread.
 * Truth:   keyset paging: a page begins behind a (sort value, row id) pair and never counts rows,
 *          so rows that did not change show up exactly once however much the others move.
 *
 * A query text must be a static string, so the texts are made here once for each sort order and
 * each of three shapes: plain, by author (walks that namespace), by tags (walks those tags). */
#include "store/store_int.h"

/* clang-format off */
/* $1 type  $2,$3 place  $4 sees  $5 me  $6 search pattern  $7 limit  $8 author  $9.. tags */
#define LIST(column, more)                                                                         \
    {"SELECT " STORE_REPO_COLS " FROM repos r WHERE r.type = $1 AND r.state = 1 AND (" column      \
     ", r.id) < ($2, $3) AND " STORE_SEEN("$4", "$5") " AND r.id_key LIKE $6 ESCAPE '!'" more      \
     " ORDER BY " column                                                                           \
     " DESC, r.id DESC LIMIT $7"}
#define BY_AUTHOR " AND r.ns_key = $8"
#define BY_TAGS                                                                                    \
    " AND ($8 = '' OR r.ns_key = $8) AND r.id IN (SELECT t.repo_id FROM repo_tags t WHERE "        \
    "t.type = $1 AND t.tag IN ($9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, "   \
    "$22, $23, $24) GROUP BY t.repo_id HAVING COUNT(*) = $25)"
#define SHAPES(column) {LIST(column, ""), LIST(column, BY_AUTHOR), LIST(column, BY_TAGS)}

/* clang-format on */
enum { SHAPE_PLAIN, SHAPE_AUTHOR, SHAPE_TAGS, SHAPE_COUNT };
static const db_query list_queries[][SHAPE_COUNT] = {
    [STORE_BY_CREATED] = SHAPES("r.created_ms"),  [STORE_BY_MODIFIED] = SHAPES("r.modified_ms"),
    [STORE_BY_DOWNLOADS] = SHAPES("r.downloads"), [STORE_BY_LIKES] = SHAPES("r.likes"),
    [STORE_BY_TRENDING] = SHAPES("r.trending"),   [STORE_BY_ID] = SHAPES("r.id_key"),
};
static const size_t shape_args[SHAPE_COUNT] = {7, 8, 9 + STORE_FILTERS_MAX};

int64_t store_sort_value(store_sort sort, const store_repo *r)
{
    switch (sort) {
    case STORE_BY_CREATED: return r->created_ms;
    case STORE_BY_MODIFIED: return r->modified_ms;
    case STORE_BY_DOWNLOADS: return r->downloads;
    case STORE_BY_LIKES: return r->likes;
    case STORE_BY_TRENDING: return r->trending;
    case STORE_BY_ID: break;
    }
    return 0;
}

/* %word% with the pattern characters taken literally. */
static snug_slice like_pattern(snug_arena *a, snug_slice word)
{
    char  *p = snug_arena_alloc(a, word.len * 2 + 3);
    size_t n = 0;
    p[n++] = '%';
    for (size_t i = 0; i < word.len; i++) {
        char c = word.ptr[i];
        if (c == '%' || c == '_' || c == '!') p[n++] = '!';
        p[n++] = c;
    }
    if (n > 1) p[n++] = '%'; /* nothing to look for: one "%" matches all */
    return (snug_slice){p, n};
}

/* Where the page begins. Before everything: larger than any value a row can have. */
static db_val place_of(const store_list *q)
{
    if (q->sort == STORE_BY_ID) return db_text(q->has_after ? q->after_key : SNUG_LIT("~"));
    return db_int(q->has_after ? q->after_value : INT64_MAX);
}

/* Fills the tag arguments; returns how many different ones there are. */
static size_t put_tags(snug_arena *a, const store_list *q, db_val *args)
{
    size_t n = 0;
    for (size_t i = 0; i < STORE_FILTERS_MAX; i++) args[i] = db_text(SNUG_EMPTY);
    for (size_t i = 0; i < q->filter_count; i++) {
        snug_slice tag = store_lower(a, q->filters[i]);
        bool       seen = false;
        for (size_t k = 0; k < n; k++) seen = seen || snug_eq(args[k].s, tag);
        if (!seen) args[n++] = db_text(tag);
    }
    return n;
}

snug_status store_list_repos(db_txn *tx, snug_arena *a, const store_list *q, store_repo **out,
                             size_t *count, bool *more, snug_err *err)
{
    SNUG_ASSERT(q->filter_count <= STORE_FILTERS_MAX && q->limit > 0);
    db_val args[9 + STORE_FILTERS_MAX] = {
        db_int(q->type),
        place_of(q),
        db_int(q->has_after ? q->after_id : INT32_MAX),
        db_int(q->sees),
        db_text(store_lower(a, q->me)),
        db_text(like_pattern(a, store_lower(a, q->search))),
        db_int((int64_t)q->limit + 1), /* one more tells whether there is another page */
        db_text(store_lower(a, q->author)),
    };
    size_t      tags = put_tags(a, q, args + 8);
    int         shape = tags > 0 ? SHAPE_TAGS : q->author.len > 0 ? SHAPE_AUTHOR : SHAPE_PLAIN;
    snug_status st;

    args[8 + STORE_FILTERS_MAX] = db_int((int64_t)tags);
    st = store_many_repos(tx, a, list_queries[q->sort][shape], args, shape_args[shape],
                          q->limit + 1, out, count, err);
    *more = st == SNUG_OK && *count > q->limit;
    if (*more) *count = q->limit;
    return st;
}
