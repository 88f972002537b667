/* SPDX-License-Identifier: Apache-2.0 */
/* store/schema_community.c - the tables of what people say, like, group and subscribe to.
 *
 * For:     schema.c, as one step.
 * Owns:    the names below; the rules for the text are those of schema.c. */
#include "store/store_int.h"

const char store_schema_community[] =
    "INSERT INTO counters (name, value) VALUES ('discussions', 0);"
    "INSERT INTO counters (name, value) VALUES ('events', 0);"
    "INSERT INTO counters (name, value) VALUES ('likes', 0);"
    "INSERT INTO counters (name, value) VALUES ('orgs', 0);"
    "INSERT INTO counters (name, value) VALUES ('access_requests', 0);"
    "INSERT INTO counters (name, value) VALUES ('collections', 0);"
    "INSERT INTO counters (name, value) VALUES ('collection_items', 0);"
    "INSERT INTO counters (name, value) VALUES ('webhooks', 0);"
    "INSERT INTO counters (name, value) VALUES ('deliveries', 0);"

    "CREATE TABLE discussions ("
    " id INTEGER PRIMARY KEY,"
    " repo_id INTEGER NOT NULL,"
    " num INTEGER NOT NULL,"
    " is_pull INTEGER NOT NULL,"
    " status INTEGER NOT NULL,"
    " author_id INTEGER NOT NULL,"
    " author TEXT NOT NULL,"
    " title TEXT NOT NULL,"
    " created_ms BIGINT NOT NULL,"
    " base TEXT NOT NULL,"      /* full name of the branch a pull request goes to */
    " fork TEXT NOT NULL,"      /* commit where it left that branch, hex */
    " head TEXT NOT NULL,"      /* its tip as last seen, hex */
    " merge_oid TEXT NOT NULL," /* set before the branch moves, so a crash can tell */
    " UNIQUE (repo_id, num));"
    "CREATE INDEX discussions_by_status ON discussions (status);"
    "CREATE INDEX discussions_by_author ON discussions (author_id);"

    "CREATE TABLE discussion_events ("
    " id INTEGER PRIMARY KEY,"
    " discussion_id INTEGER NOT NULL,"
    " event_key TEXT NOT NULL UNIQUE," /* what addresses show */
    " kind INTEGER NOT NULL,"
    " author_id INTEGER NOT NULL,"
    " author TEXT NOT NULL,"
    " created_ms BIGINT NOT NULL,"
    " first TEXT NOT NULL,"  /* status, subject of a commit, old title */
    " second TEXT NOT NULL," /* commit, new title */
    " hidden INTEGER NOT NULL);"
    "CREATE INDEX discussion_events_of ON discussion_events (discussion_id, id);"

    "CREATE TABLE comment_texts ("
    " event_id INTEGER NOT NULL,"
    " version INTEGER NOT NULL,"
    " discussion_id INTEGER NOT NULL,"
    " text TEXT NOT NULL,"
    " author TEXT NOT NULL,"
    " written_ms BIGINT NOT NULL,"
    " PRIMARY KEY (event_id, version));"
    "CREATE INDEX comment_texts_of ON comment_texts (discussion_id, event_id, version);"

    "CREATE TABLE likes ("
    " id INTEGER PRIMARY KEY,"
    " user_id INTEGER NOT NULL,"
    " repo_id INTEGER NOT NULL,"
    " created_ms BIGINT NOT NULL,"
    " UNIQUE (user_id, repo_id));"
    "CREATE INDEX likes_by_repo ON likes (repo_id, id);"
    "CREATE INDEX likes_by_user ON likes (user_id, id);"

    "CREATE TABLE orgs ("
    " id INTEGER PRIMARY KEY,"
    " name TEXT NOT NULL,"
    " name_key TEXT NOT NULL UNIQUE,"
    " fullname TEXT NOT NULL,"
    " details TEXT NOT NULL,"
    " created_ms BIGINT NOT NULL);"
    "CREATE TABLE org_members ("
    " org_id INTEGER NOT NULL,"
    " user_id INTEGER NOT NULL,"
    " role INTEGER NOT NULL,"
    " PRIMARY KEY (org_id, user_id));"
    "CREATE INDEX org_members_by_user ON org_members (user_id);"

    "CREATE TABLE follows ("
    " user_id INTEGER NOT NULL,"
    " kind INTEGER NOT NULL," /* 0: a user, 1: an organization */
    " target_id INTEGER NOT NULL,"
    " created_ms BIGINT NOT NULL,"
    " PRIMARY KEY (user_id, kind, target_id));"
    "CREATE INDEX follows_by_target ON follows (kind, target_id, user_id);";

const char store_schema_groups[] =
    "CREATE TABLE access_requests ("
    " id INTEGER PRIMARY KEY,"
    " repo_id INTEGER NOT NULL,"
    " user_id INTEGER NOT NULL,"
    " status INTEGER NOT NULL,"  /* 0 pending, 1 accepted, 2 rejected */
    " granted INTEGER NOT NULL," /* given without being asked for */
    " fields TEXT NOT NULL,"
    " reason TEXT NOT NULL,"
    " created_ms BIGINT NOT NULL,"
    " UNIQUE (repo_id, user_id));"
    "CREATE INDEX access_requests_of ON access_requests (repo_id, status, id);"

    "CREATE TABLE collections ("
    " id INTEGER PRIMARY KEY,"
    " collection_key TEXT NOT NULL UNIQUE," /* hex, the end of every slug */
    " ns TEXT NOT NULL,"
    " ns_key TEXT NOT NULL,"
    " title TEXT NOT NULL,"
    " description TEXT NOT NULL,"
    " theme TEXT NOT NULL,"
    " is_private INTEGER NOT NULL,"
    " position INTEGER NOT NULL,"
    " created_ms BIGINT NOT NULL,"
    " updated_ms BIGINT NOT NULL);"
    "CREATE INDEX collections_by_owner ON collections (ns_key, updated_ms);"
    "CREATE INDEX collections_by_update ON collections (updated_ms, id);"
    "CREATE TABLE collection_items ("
    " id INTEGER PRIMARY KEY,"
    " item_key TEXT NOT NULL UNIQUE,"
    " collection_id INTEGER NOT NULL,"
    " kind INTEGER NOT NULL,"
    " target TEXT NOT NULL," /* row of a repository, key of a collection, id of a paper */
    " note TEXT NOT NULL,"
    " position INTEGER NOT NULL,"
    " UNIQUE (collection_id, kind, target));"
    "CREATE INDEX collection_items_of ON collection_items (collection_id, position);"
    "CREATE INDEX collection_items_by_target ON collection_items (kind, target);"

    "CREATE TABLE webhooks ("
    " id INTEGER PRIMARY KEY,"
    " hook_key TEXT NOT NULL UNIQUE,"
    " user_id INTEGER NOT NULL,"
    " url TEXT NOT NULL,"
    " secret TEXT NOT NULL,"
    " domains INTEGER NOT NULL," /* bits */
    " state INTEGER NOT NULL,"   /* 0 on, 1 off, 2 off after failures */
    " failures INTEGER NOT NULL,"
    " created_ms BIGINT NOT NULL);"
    "CREATE INDEX webhooks_by_user ON webhooks (user_id, id);"
    "CREATE TABLE webhook_watches ("
    " webhook_id INTEGER NOT NULL,"
    " kind TEXT NOT NULL,"
    " name TEXT NOT NULL,"
    " name_key TEXT NOT NULL,"
    " PRIMARY KEY (webhook_id, kind, name_key));"
    "CREATE INDEX webhook_watches_by_name ON webhook_watches (kind, name_key);"
    "CREATE TABLE webhook_deliveries ("
    " id INTEGER PRIMARY KEY,"
    " webhook_id INTEGER NOT NULL,"
    " state INTEGER NOT NULL," /* 0 waiting, 1 delivered, 2 given up */
    " due_ms BIGINT NOT NULL,"
    " attempts INTEGER NOT NULL,"
    " http_status INTEGER NOT NULL,"
    " error TEXT NOT NULL,"
    " event TEXT NOT NULL,"
    " body TEXT NOT NULL,"
    " created_ms BIGINT NOT NULL,"
    " done_ms BIGINT NOT NULL);"
    "CREATE INDEX webhook_deliveries_due ON webhook_deliveries (state, due_ms);"
    "CREATE INDEX webhook_deliveries_of ON webhook_deliveries (webhook_id, id);";

snug_status store_rows(db_txn *tx, snug_arena *a, db_query q, const db_val *args, size_t n,
                       size_t max, size_t size, store_row_reader *read, void **out, size_t *count,
                       snug_err *err)
{
    snug_status   st = SNUG_OK;
    db_rows      *rows = NULL;
    const db_val *cols;
    size_t        cap = max < 64 ? max : 64;
    char         *items = snug_arena_array_try(a, cap + 1, size);

    *count = 0;
    if (items == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "out of memory");
    SNUG_TRY(db_run(tx, q, args, n, &rows, err));
    for (;;) {
        SNUG_TRY(db_next(rows, &cols, err));
        if (cols == NULL || *count == max) break;
        if (*count == cap) {
            char *more = snug_arena_array_try(a, cap * 2 + 1, size);
            if (more == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "out of memory");
            memcpy(more, items, *count * size);
            items = more;
            cap *= 2;
        }
        read(a, cols, items + *count * size);
        (*count)++;
    }
    *out = items;
done:
    db_rows_close(rows);
    if (st != SNUG_OK) *count = 0;
    return st;
}

snug_status store_number(db_txn *tx, db_query q, const db_val *args, size_t n, int64_t dflt,
                         int64_t *out, snug_err *err)
{
    snug_arena   *a = snug_arena_new();
    const db_val *cols = NULL;
    snug_status   st = db_one(tx, a, q, args, n, &cols, err);
    if (st == SNUG_OK) *out = cols == NULL || cols[0].kind != DB_INT ? dflt : cols[0].i;
    snug_arena_free(a);
    return st;
}

snug_status store_drop_community(db_txn *tx, int64_t repo, snug_err *err)
{
    static const db_query all[] = {
        {"DELETE FROM comment_texts WHERE discussion_id IN (SELECT d.id FROM discussions d WHERE "
         "d.repo_id = $1)"},
        {"DELETE FROM discussion_events WHERE discussion_id IN (SELECT d.id FROM discussions d "
         "WHERE d.repo_id = $1)"},
        {"DELETE FROM discussions WHERE repo_id = $1"},
        {"DELETE FROM talk_counts WHERE repo_id = $1"},
        {"DELETE FROM likes WHERE repo_id = $1"},
        {"DELETE FROM access_requests WHERE repo_id = $1"},
    };
    static const db_query items = {"DELETE FROM collection_items WHERE kind = 0 AND target = $1"};
    snug_status           st = SNUG_OK;
    snug_arena           *a = snug_arena_new();
    db_val                arg = db_int(repo);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        SNUG_TRY(db_exec(tx, all[i], &arg, 1, NULL, err));
    arg = db_text(snug_arena_printf(a, "%lld", (long long)repo));
    SNUG_TRY(db_exec(tx, items, &arg, 1, NULL, err));
done:
    snug_arena_free(a);
    return st;
}
