/* SPDX-License-Identifier: Apache-2.0 */
/* store/talk_pages.c - pages of discussions by their count, at the same cost wherever they lie.
 *
 * The protocol asks for "page 700 of the open ones by bob" and wants the total. So discussions are
 * counted as they change, per 64 numbers, kind, open or not, and author ('' counts all):
 *
 *   counts   bucket 781: 12   780: 64   779: 3   ...     summed from the newest down: where the
 * page page                       ▲ begins here, 20 in      begins, and how many there are in all
 *   rows     numbers 780*64 ... 781*64-1, then the next bucket that has any, until the page is full
 *
 * For:     discussions.c.
 * Owns:    the table talk_counts.
 * Threads: any; a transaction stays with its thread.
 * Truth:   talk_counts is what a count over the rows gives, at the end of every transaction. */
#include "store/store_int.h"

enum { BUCKET = 64, BUCKETS_MAX = 1 << 24 };

const char store_schema_talks[] =
    "CREATE TABLE talk_counts ("
    " repo_id INTEGER NOT NULL,"
    " author TEXT NOT NULL," /* lower case; '' for all of them */
    " bucket INTEGER NOT NULL,"
    " is_pull INTEGER NOT NULL,"
    " is_open INTEGER NOT NULL,"
    " n INTEGER NOT NULL,"
    " PRIMARY KEY (repo_id, author, bucket, is_pull, is_open));"
    "INSERT INTO talk_counts (repo_id, author, bucket, is_pull, is_open, n) SELECT d.repo_id, '', "
    "d.num / 64, d.is_pull, CASE WHEN d.status IN (1, 4) THEN 1 ELSE 0 END, COUNT(*) FROM "
    "discussions d WHERE d.status <> 0 GROUP BY 1, 2, 3, 4, 5;"
    "INSERT INTO talk_counts (repo_id, author, bucket, is_pull, is_open, n) SELECT d.repo_id, "
    "LOWER(d.author), d.num / 64, d.is_pull, CASE WHEN d.status IN (1, 4) THEN 1 ELSE 0 END, "
    "COUNT(*) FROM discussions d WHERE d.status <> 0 AND d.author <> '' GROUP BY 1, 2, 3, 4, 5;";

/* ---- counting ---- */

static snug_status add_to(db_txn *tx, const store_discussion *d, snug_slice author, int by,
                          snug_err *err)
{
    static const db_query q = {
        "INSERT INTO talk_counts (repo_id, author, bucket, is_pull, is_open, n) VALUES ($1, $2, "
        "$3, $4, $5, $6) ON CONFLICT (repo_id, author, bucket, is_pull, is_open) DO UPDATE SET n = "
        "talk_counts.n + excluded.n"};
    bool   open = d->status == STORE_TALK_OPEN || d->status == STORE_TALK_DRAFT;
    db_val args[] = {db_int(d->repo_id),     db_text(author),  db_int(d->num / BUCKET),
                     store_bool(d->is_pull), store_bool(open), db_int(by)};
    return db_exec(tx, q, args, 6, NULL, err);
}

snug_status store_count_talk(db_txn *tx, const store_discussion *d, int by, snug_err *err)
{
    snug_arena *a = NULL;
    snug_status st = SNUG_OK;
    if (d->status == STORE_TALK_MAKING) return SNUG_OK;
    a = snug_arena_new();
    SNUG_TRY(add_to(tx, d, SNUG_EMPTY, by, err));
    if (d->author.len > 0) SNUG_TRY(add_to(tx, d, store_lower(a, d->author), by, err));
done:
    snug_arena_free(a);
    return st;
}

/* ---- finding ---- */

typedef struct bucket {
    int64_t at, n;
} bucket;

static void read_bucket(snug_arena *a, const db_val *c, void *item)
{
    (void)a;
    *(bucket *)item = (bucket){c[0].i, c[1].i};
}

static snug_status list_buckets(db_txn *tx, snug_arena *a, const store_talk_query *q, bucket **out,
                                size_t *count, snug_err *err)
{
    static const db_query all = {
        "SELECT t.bucket, CAST(SUM(t.n) AS BIGINT) FROM talk_counts t WHERE t.repo_id = $1 AND "
        "t.author = $2 AND ($3 < 0 OR t.is_pull = $3) AND ($4 = 0 OR t.is_open = 2 - $4) GROUP BY "
        "t.bucket HAVING SUM(t.n) > 0 ORDER BY t.bucket DESC"};
    void       *rows = NULL;
    db_val      args[] = {db_int(q->repo), db_text(store_lower(a, q->author)), db_int(q->kind),
                          db_int(q->status)};
    snug_status st =
        store_rows(tx, a, all, args, 4, BUCKETS_MAX, sizeof **out, read_bucket, &rows, count, err);
    *out = rows;
    return st;
}

snug_status store_list_discussions(db_txn *tx, snug_arena *a, const store_talk_query *q,
                                   store_discussion **out, size_t *count, uint64_t *total,
                                   snug_err *err)
{
    snug_status       st = SNUG_OK;
    bucket           *list;
    size_t            n, got;
    uint64_t          skip = q->skip;
    store_discussion *part;

    *count = 0;
    *total = 0;
    *out = snug_arena_alloc(a, ((size_t)q->limit + 1) * sizeof **out);
    SNUG_TRY(list_buckets(tx, a, q, &list, &n, err));
    for (size_t i = 0; i < n; i++) *total += (uint64_t)list[i].n;
    for (size_t i = 0; i < n && *count < q->limit; i++) {
        if (skip >= (uint64_t)list[i].n) {
            skip -= (uint64_t)list[i].n;
            continue;
        }
        SNUG_TRY(store_list_talk_range(tx, a, q, list[i].at * BUCKET, (list[i].at + 1) * BUCKET,
                                       &part, &got, err));
        for (size_t k = (size_t)skip; k < got && *count < q->limit; k++)
            (*out)[(*count)++] = part[k];
        skip = 0;
    }
done:
    return st;
}
