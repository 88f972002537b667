/* SPDX-License-Identifier: Apache-2.0 */
/* store/discussions.c - discussions, pull requests, their events and the texts of comments.
 *
 * For:     hub/discussions.c, hub/pulls.c.
 * Owns:    the tables discussions, discussion_events, comment_texts.
 * Threads: any; a transaction stays with its thread.
 * Truth:   (repository, number) is one row; texts are only ever added, until a comment is hidden
 *          and they go. */
#include "store/store_int.h"

#define TALK_COLS                                                                                  \
    "d.id, d.repo_id, d.num, d.is_pull, d.status, d.author_id, d.author, d.title, d.created_ms, "  \
    "d.base, d.fork, d.head, d.merge_oid"
enum { UNFINISHED_MAX = 100000 };

static void read_talk(snug_arena *a, const db_val *c, void *item)
{
    store_discussion *d = item;
    *d = (store_discussion){.id = c[0].i,
                            .repo_id = c[1].i,
                            .num = c[2].i,
                            .is_pull = c[3].i != 0,
                            .status = (store_talk)c[4].i,
                            .author_id = c[5].i,
                            .author = snug_arena_dup(a, c[6].s),
                            .title = snug_arena_dup(a, c[7].s),
                            .created_ms = c[8].i,
                            .base = snug_arena_dup(a, c[9].s),
                            .fork = snug_arena_dup(a, c[10].s),
                            .head = snug_arena_dup(a, c[11].s),
                            .merge = snug_arena_dup(a, c[12].s)};
}

snug_status store_add_discussion(db_txn *tx, const store_discussion *d, int64_t *id, int64_t *num,
                                 snug_err *err)
{
    static const db_query last = {
        "SELECT COALESCE(MAX(d.num), 0) FROM discussions d WHERE d.repo_id = $1"};
    static const db_query put = {
        "INSERT INTO discussions (id, repo_id, num, is_pull, status, author_id, author, title, "
        "created_ms, base, fork, head, merge_oid) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, "
        "$11, $12, '')"};
    snug_status st = SNUG_OK;
    db_val      repo = db_int(d->repo_id);

    SNUG_TRY(store_next_id(tx, "discussions", id, err));
    SNUG_TRY(store_number(tx, last, &repo, 1, 0, num, err));
    ++*num;
    db_val args[] = {db_int(*id),           repo,
                     db_int(*num),          store_bool(d->is_pull),
                     db_int(d->status),     db_int(d->author_id),
                     db_text(d->author),    db_text(d->title),
                     db_int(d->created_ms), db_text(d->base),
                     db_text(d->fork),      db_text(d->head)};
    SNUG_TRY(db_exec(tx, put, args, 12, NULL, err));
    store_discussion counted = *d;
    counted.num = *num;
    SNUG_TRY(store_count_talk(tx, &counted, 1, err));
done:
    return st;
}

snug_status store_find_discussion(db_txn *tx, snug_arena *a, int64_t repo, int64_t num,
                                  store_discussion *out, bool *found, snug_err *err)
{
    static const db_query q = {"SELECT " TALK_COLS
                               " FROM discussions d WHERE d.repo_id = $1 AND d.num = $2"};
    db_val                args[] = {db_int(repo), db_int(num)};
    void                 *rows;
    size_t                count;
    snug_status st = store_rows(tx, a, q, args, 2, 1, sizeof *out, read_talk, &rows, &count, err);
    *found = st == SNUG_OK && count == 1;
    if (*found) *out = *(store_discussion *)rows;
    return st;
}

/* The row as it stands leaves the counts, before it changes or goes. */
static snug_status uncount(db_txn *tx, int64_t id, snug_err *err)
{
    static const db_query q = {"SELECT " TALK_COLS " FROM discussions d WHERE d.id = $1"};
    snug_arena           *a = snug_arena_new();
    db_val                arg = db_int(id);
    void                 *rows;
    size_t                count;
    snug_status           st =
        store_rows(tx, a, q, &arg, 1, 1, sizeof(store_discussion), read_talk, &rows, &count, err);
    if (st == SNUG_OK && count == 1) st = store_count_talk(tx, rows, -1, err);
    snug_arena_free(a);
    return st;
}

snug_status store_set_discussion(db_txn *tx, const store_discussion *d, snug_err *err)
{
    static const db_query q = {"UPDATE discussions SET title = $2, status = $3, fork = $4, head = "
                               "$5, merge_oid = $6 WHERE id = $1"};
    snug_status           st = SNUG_OK;
    db_val                args[] = {db_int(d->id),    db_text(d->title), db_int(d->status),
                                    db_text(d->fork), db_text(d->head),  db_text(d->merge)};
    SNUG_TRY(uncount(tx, d->id, err));
    SNUG_TRY(db_exec(tx, q, args, 6, NULL, err));
    SNUG_TRY(store_count_talk(tx, d, 1, err));
done:
    return st;
}

snug_status store_drop_discussion(db_txn *tx, int64_t id, snug_err *err)
{
    static const db_query all[] = {{"DELETE FROM comment_texts WHERE discussion_id = $1"},
                                   {"DELETE FROM discussion_events WHERE discussion_id = $1"},
                                   {"DELETE FROM discussions WHERE id = $1"}};
    snug_status           st = SNUG_OK;
    db_val                arg = db_int(id);
    SNUG_TRY(uncount(tx, id, err));
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        SNUG_TRY(db_exec(tx, all[i], &arg, 1, NULL, err));
done:
    return st;
}

static void read_hex(snug_arena *a, const db_val *c, void *item)
{
    *(snug_slice *)item = snug_arena_dup(a, c[0].s);
}

snug_status store_list_talk_commits(db_txn *tx, snug_arena *a, int64_t repo, snug_slice after,
                                    size_t limit, snug_slice **out, size_t *count, snug_err *err)
{
    static const db_query q = {
        "SELECT x.hex FROM (SELECT d.fork AS hex FROM discussions d WHERE d.repo_id = $1 UNION "
        "SELECT d.head FROM discussions d WHERE d.repo_id = $1 UNION SELECT d.merge_oid FROM "
        "discussions d WHERE d.repo_id = $1 UNION SELECT e.second FROM discussion_events e JOIN "
        "discussions d ON d.id = e.discussion_id WHERE d.repo_id = $1 AND e.kind = 2) x "
        "WHERE x.hex > $2 ORDER BY x.hex LIMIT $3"};
    db_val      args[] = {db_int(repo), db_text(after), db_int((int64_t)limit)};
    void       *rows = NULL;
    snug_status st =
        store_rows(tx, a, q, args, 3, limit, sizeof **out, read_hex, &rows, count, err);
    *out = rows;
    return st;
}

snug_status store_swap_talk_commit(db_txn *tx, int64_t repo, snug_slice old, snug_slice now,
                                   snug_err *err)
{
    static const db_query all[] = {
        {"UPDATE discussions SET fork = $3 WHERE repo_id = $1 AND fork = $2"},
        {"UPDATE discussions SET head = $3 WHERE repo_id = $1 AND head = $2"},
        {"UPDATE discussions SET merge_oid = $3 WHERE repo_id = $1 AND merge_oid = $2"},
        {"UPDATE discussion_events SET second = $3 WHERE kind = 2 AND second = $2 AND "
         "discussion_id IN (SELECT d.id FROM discussions d WHERE d.repo_id = $1)"}};
    snug_status st = SNUG_OK;
    db_val      args[] = {db_int(repo), db_text(old), db_text(now)};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        SNUG_TRY(db_exec(tx, all[i], args, 3, NULL, err));
done:
    return st;
}

snug_status store_list_talk_range(db_txn *tx, snug_arena *a, const store_talk_query *q,
                                  int64_t from, int64_t below, store_discussion **out,
                                  size_t *count, snug_err *err)
{
    /* $1 repo  $2 kind or -1  $3 0: all, 1: open and draft, 2: the others  $4 author or '' */
    static const db_query page = {
        "SELECT " TALK_COLS
        " FROM discussions d WHERE d.repo_id = $1 AND d.num >= $5 AND d.num < $6 AND d.status <> 0 "
        "AND ($2 < 0 OR d.is_pull = $2) AND ($3 = 0 OR ($3 = 1 AND d.status IN (1, 4)) OR ($3 = 2 "
        "AND d.status IN (2, 3))) AND ($4 = '' OR LOWER(d.author) = $4) ORDER BY d.num DESC"};
    db_val      args[] = {db_int(q->repo),   db_int(q->kind),
                          db_int(q->status), db_text(store_lower(a, q->author)),
                          db_int(from),      db_int(below)};
    void       *rows = NULL;
    snug_status st = store_rows(tx, a, page, args, 6, (size_t)(below - from), sizeof **out,
                                read_talk, &rows, count, err);
    *out = rows;
    return st;
}

snug_status store_unfinished_pulls(db_txn *tx, snug_arena *a, store_discussion **out, size_t *count,
                                   snug_err *err)
{
    static const db_query q = {"SELECT " TALK_COLS " FROM discussions d WHERE d.status = 0 OR "
                               "(d.status = 1 AND d.merge_oid <> '') ORDER BY d.id"};
    void                 *rows = NULL;
    snug_status           st =
        store_rows(tx, a, q, NULL, 0, UNFINISHED_MAX, sizeof **out, read_talk, &rows, count, err);
    *out = rows;
    return st;
}

snug_status store_count_discussions_of(db_txn *tx, int64_t author, uint64_t *out, snug_err *err)
{
    static const db_query q = {
        "SELECT COUNT(*) FROM discussions d WHERE d.author_id = $1 AND d.status <> 0"};
    db_val      arg = db_int(author);
    int64_t     n = 0;
    snug_status st = store_number(tx, q, &arg, 1, 0, &n, err);
    *out = (uint64_t)n;
    return st;
}

/* ---- events ---- */

#define EVENT_COLS                                                                                 \
    "e.id, e.discussion_id, e.event_key, e.kind, e.author_id, e.author, e.created_ms, e.first, "   \
    "e.second, e.hidden"

static void read_event(snug_arena *a, const db_val *c, void *item)
{
    store_event *e = item;
    *e = (store_event){.id = c[0].i,
                       .discussion_id = c[1].i,
                       .key = snug_arena_dup(a, c[2].s),
                       .kind = (store_event_kind)c[3].i,
                       .author_id = c[4].i,
                       .author = snug_arena_dup(a, c[5].s),
                       .created_ms = c[6].i,
                       .first = snug_arena_dup(a, c[7].s),
                       .second = snug_arena_dup(a, c[8].s),
                       .hidden = c[9].i != 0};
}

snug_status store_add_event(db_txn *tx, const store_event *e, int64_t *id, snug_err *err)
{
    static const db_query q = {
        "INSERT INTO discussion_events (id, discussion_id, event_key, kind, author_id, author, "
        "created_ms, first, second, hidden) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0)"};
    snug_status st = SNUG_OK;

    SNUG_TRY(store_next_id(tx, "events", id, err));
    db_val args[] = {db_int(*id),           db_int(e->discussion_id), db_text(e->key),
                     db_int(e->kind),       db_int(e->author_id),     db_text(e->author),
                     db_int(e->created_ms), db_text(e->first),        db_text(e->second)};
    SNUG_TRY(db_exec(tx, q, args, 9, NULL, err));
done:
    return st;
}

snug_status store_list_events(db_txn *tx, snug_arena *a, int64_t discussion, store_event **out,
                              size_t *count, snug_err *err)
{
    static const db_query q = {"SELECT " EVENT_COLS " FROM discussion_events e WHERE "
                               "e.discussion_id = $1 ORDER BY e.id"};
    db_val                arg = db_int(discussion);
    void                 *rows = NULL;
    snug_status st = store_rows(tx, a, q, &arg, 1, STORE_EVENTS_MAX, sizeof **out, read_event,
                                &rows, count, err);
    *out = rows;
    return st;
}

snug_status store_find_event(db_txn *tx, snug_arena *a, int64_t discussion, snug_slice key,
                             store_event *out, bool *found, snug_err *err)
{
    static const db_query q = {"SELECT " EVENT_COLS " FROM discussion_events e WHERE "
                               "e.discussion_id = $1 AND e.event_key = $2"};
    db_val                args[] = {db_int(discussion), db_text(store_lower(a, key))};
    void                 *rows;
    size_t                count;
    snug_status st = store_rows(tx, a, q, args, 2, 1, sizeof *out, read_event, &rows, &count, err);
    *found = st == SNUG_OK && count == 1;
    if (*found) *out = *(store_event *)rows;
    return st;
}

static void read_text(snug_arena *a, const db_val *c, void *item)
{
    store_text *t = item;
    *t = (store_text){.event_id = c[0].i,
                      .version = c[1].i,
                      .text = snug_arena_dup(a, c[2].s),
                      .author = snug_arena_dup(a, c[3].s),
                      .written_ms = c[4].i};
}

snug_status store_add_text(db_txn *tx, const store_event *e, snug_slice text, snug_slice author,
                           int64_t now_ms, snug_err *err)
{
    static const db_query last = {
        "SELECT COALESCE(MAX(t.version), 0) FROM comment_texts t WHERE t.event_id = $1"};
    static const db_query put = {
        "INSERT INTO comment_texts (event_id, version, discussion_id, text, author, written_ms) "
        "VALUES ($1, $2, $3, $4, $5, $6)"};
    snug_status st = SNUG_OK;
    int64_t     version;
    db_val      id = db_int(e->id);

    SNUG_TRY(store_number(tx, last, &id, 1, 0, &version, err));
    db_val args[] = {id,
                     db_int(version + 1),
                     db_int(e->discussion_id),
                     db_text(text),
                     db_text(author),
                     db_int(now_ms)};
    SNUG_TRY(db_exec(tx, put, args, 6, NULL, err));
done:
    return st;
}

snug_status store_list_texts(db_txn *tx, snug_arena *a, int64_t discussion, int64_t event,
                             store_text **out, size_t *count, snug_err *err)
{
    static const db_query q = {
        "SELECT t.event_id, t.version, t.text, t.author, t.written_ms FROM comment_texts t WHERE "
        "t.discussion_id = $1 AND ($2 = 0 OR t.event_id = $2) ORDER BY t.event_id, t.version"};
    db_val      args[] = {db_int(discussion), db_int(event)};
    void       *rows = NULL;
    snug_status st =
        store_rows(tx, a, q, args, 2, STORE_EVENTS_MAX, sizeof **out, read_text, &rows, count, err);
    *out = rows;
    return st;
}

snug_status store_hide_event(db_txn *tx, int64_t event, snug_err *err)
{
    static const db_query all[] = {{"DELETE FROM comment_texts WHERE event_id = $1"},
                                   {"UPDATE discussion_events SET hidden = 1 WHERE id = $1"}};
    snug_status           st = SNUG_OK;
    db_val                arg = db_int(event);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        SNUG_TRY(db_exec(tx, all[i], &arg, 1, NULL, err));
done:
    return st;
}
