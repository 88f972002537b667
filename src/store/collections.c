/* SPDX-License-Identifier: Apache-2.0 */
/* store/collections.c - collections and what is in them.
 *
 * For:     hub/collections.c.
 * Owns:    the tables collections, collection_items.
 * Threads: any; a transaction stays with its thread.
 * Truth:   a collection is known by its key whatever its title; positions of items only order. */
#include "store/store_int.h"

#define COLS                                                                                       \
    "c.id, c.collection_key, c.ns, c.title, c.description, c.theme, c.is_private, c.position, "    \
    "c.created_ms, c.updated_ms"

static void read_collection(snug_arena *a, const db_val *c, void *item)
{
    store_collection *o = item;
    *o = (store_collection){.id = c[0].i,
                            .key = snug_arena_dup(a, c[1].s),
                            .ns = snug_arena_dup(a, c[2].s),
                            .title = snug_arena_dup(a, c[3].s),
                            .description = snug_arena_dup(a, c[4].s),
                            .theme = snug_arena_dup(a, c[5].s),
                            .is_private = c[6].i != 0,
                            .position = c[7].i,
                            .created_ms = c[8].i,
                            .updated_ms = c[9].i};
}

static snug_status one(db_txn *tx, snug_arena *a, db_query q, const db_val *args, size_t n,
                       store_collection *out, bool *found, snug_err *err)
{
    void       *rows;
    size_t      count;
    snug_status st =
        store_rows(tx, a, q, args, n, 1, sizeof *out, read_collection, &rows, &count, err);
    *found = st == SNUG_OK && count == 1;
    if (*found) *out = *(store_collection *)rows;
    return st;
}

snug_status store_add_collection(db_txn *tx, const store_collection *c, int64_t *id, snug_err *err)
{
    static const db_query q = {
        "INSERT INTO collections (id, collection_key, ns, ns_key, title, description, theme, "
        "is_private, position, created_ms, updated_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, "
        "$10, $10)"};
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();

    SNUG_TRY(store_next_id(tx, "collections", id, err));
    db_val args[] = {db_int(*id),         db_text(c->key),
                     db_text(c->ns),      db_text(store_lower(a, c->ns)),
                     db_text(c->title),   db_text(c->description),
                     db_text(c->theme),   store_bool(c->is_private),
                     db_int(c->position), db_int(c->created_ms)};
    SNUG_TRY(db_exec(tx, q, args, 10, NULL, err));
done:
    snug_arena_free(a);
    return st;
}

snug_status store_find_collection(db_txn *tx, snug_arena *a, snug_slice key, store_collection *out,
                                  bool *found, snug_err *err)
{
    static const db_query q = {"SELECT " COLS " FROM collections c WHERE c.collection_key = $1"};
    db_val                arg = db_text(store_lower(a, key));
    return one(tx, a, q, &arg, 1, out, found, err);
}

snug_status store_same_collection(db_txn *tx, snug_arena *a, snug_slice ns, snug_slice title,
                                  store_collection *out, bool *found, snug_err *err)
{
    static const db_query q = {"SELECT " COLS
                               " FROM collections c WHERE c.ns_key = $1 AND c.title = $2 LIMIT 1"};
    db_val                args[] = {db_text(store_lower(a, ns)), db_text(title)};
    return one(tx, a, q, args, 2, out, found, err);
}

snug_status store_set_collection(db_txn *tx, const store_collection *c, snug_err *err)
{
    static const db_query q = {"UPDATE collections SET title = $2, description = $3, theme = $4, "
                               "is_private = $5, position "
                               "= $6, updated_ms = $7 WHERE id = $1"};
    db_val args[] = {db_int(c->id),        db_text(c->title),         db_text(c->description),
                     db_text(c->theme),    store_bool(c->is_private), db_int(c->position),
                     db_int(c->updated_ms)};
    return db_exec(tx, q, args, 7, NULL, err);
}

snug_status store_drop_collection(db_txn *tx, const store_collection *c, snug_err *err)
{
    static const db_query items = {"DELETE FROM collection_items WHERE collection_id = $1"};
    static const db_query in_others = {
        "DELETE FROM collection_items WHERE kind = 1 AND target = $1"};
    static const db_query row = {"DELETE FROM collections WHERE id = $1"};
    snug_status           st = SNUG_OK;
    db_val                id = db_int(c->id), key = db_text(c->key);
    SNUG_TRY(db_exec(tx, items, &id, 1, NULL, err));
    SNUG_TRY(db_exec(tx, in_others, &key, 1, NULL, err));
    SNUG_TRY(db_exec(tx, row, &id, 1, NULL, err));
done:
    return st;
}

snug_status store_list_collections(db_txn *tx, snug_arena *a, const store_collection_query *q,
                                   store_collection **out, size_t *count, snug_err *err)
{
    static const db_query list = {
        "SELECT " COLS " FROM collections c WHERE (c.updated_ms, c.id) < ($1, $2) AND "
        "(c.is_private = 0 OR $3 >= 2 OR " STORE_OWN_NS(
            "c.ns_key", "$4") ") AND ($5 = 0 OR "
                              "c.ns_key IN ($8, $9, $10, $11, $12, $13, $14, $15)) AND ($6 = 0 OR "
                              "c.id IN (SELECT "
                              "i.collection_id FROM collection_items i WHERE i.target IN ($16, "
                              "$17, $18, $19, $20, $21, "
                              "$22, $23))) AND ($7 = '' OR INSTR(LOWER(c.title), $7) > 0) ORDER BY "
                              "c.updated_ms DESC, "
                              "c.id DESC LIMIT $24"};
    void       *rows = NULL;
    snug_status st;
    db_val      args[8 + 2 * STORE_PICK_MAX] = {
             db_int(q->has_after ? q->after_ms : INT64_MAX),
             db_int(q->has_after ? q->after_id : INT32_MAX),
             db_int(q->who.sees),
             db_text(store_lower(a, q->who.me)),
             db_int((int64_t)q->owner_count),
             db_int((int64_t)q->target_count),
             db_text(store_lower(a, q->text)),
    };
    SNUG_ASSERT(q->owner_count <= STORE_PICK_MAX && q->target_count <= STORE_PICK_MAX);
    for (size_t i = 0; i < STORE_PICK_MAX; i++) {
        args[7 + i] = db_text(i < q->owner_count ? store_lower(a, q->owners[i]) : SNUG_LIT(" "));
        args[7 + STORE_PICK_MAX + i] =
            db_text(i < q->target_count ? q->targets[i] : SNUG_LIT(" ")); /* no such thing */
    }
    args[7 + 2 * STORE_PICK_MAX] = db_int((int64_t)q->limit);
    st = store_rows(tx, a, list, args, 8 + 2 * STORE_PICK_MAX, q->limit, sizeof **out,
                    read_collection, &rows, count, err);
    *out = rows;
    return st;
}

/* ---- items ---- */

static void read_item(snug_arena *a, const db_val *c, void *item)
{
    store_item *i = item;
    *i = (store_item){.id = c[0].i,
                      .collection_id = c[1].i,
                      .key = snug_arena_dup(a, c[2].s),
                      .kind = (int)c[3].i,
                      .target = snug_arena_dup(a, c[4].s),
                      .note = snug_arena_dup(a, c[5].s),
                      .position = c[6].i};
}

snug_status store_add_item(db_txn *tx, store_item *i, snug_err *err)
{
    static const db_query last = {"SELECT COALESCE(MAX(i.position) + 1, 0) FROM collection_items i "
                                  "WHERE i.collection_id = $1"};
    static const db_query put = {
        "INSERT INTO collection_items (id, item_key, collection_id, kind, target, note, position) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7)"};
    snug_status st = SNUG_OK;
    db_val      collection = db_int(i->collection_id);

    SNUG_TRY(store_next_id(tx, "collection_items", &i->id, err));
    SNUG_TRY(store_number(tx, last, &collection, 1, 0, &i->position, err));
    db_val args[] = {db_int(i->id),      db_text(i->key),  collection,         db_int(i->kind),
                     db_text(i->target), db_text(i->note), db_int(i->position)};
    SNUG_TRY(db_exec(tx, put, args, 7, NULL, err));
done:
    return st;
}

snug_status store_set_item(db_txn *tx, const store_item *i, snug_err *err)
{
    static const db_query q = {
        "UPDATE collection_items SET note = $2, position = $3 WHERE id = $1"};
    db_val args[] = {db_int(i->id), db_text(i->note), db_int(i->position)};
    return db_exec(tx, q, args, 3, NULL, err);
}

snug_status store_drop_item(db_txn *tx, int64_t id, snug_err *err)
{
    static const db_query q = {"DELETE FROM collection_items WHERE id = $1"};
    db_val                arg = db_int(id);
    return db_exec(tx, q, &arg, 1, NULL, err);
}

snug_status store_list_items(db_txn *tx, snug_arena *a, int64_t collection, store_item **out,
                             size_t *count, snug_err *err)
{
    static const db_query q = {
        "SELECT i.id, i.collection_id, i.item_key, i.kind, i.target, i.note, i.position FROM "
        "collection_items i WHERE i.collection_id = $1 ORDER BY i.position, i.id LIMIT $2"};
    db_val      args[] = {db_int(collection), db_int(STORE_ITEMS_MAX)};
    void       *rows = NULL;
    snug_status st =
        store_rows(tx, a, q, args, 2, STORE_ITEMS_MAX, sizeof **out, read_item, &rows, count, err);
    *out = rows;
    return st;
}
