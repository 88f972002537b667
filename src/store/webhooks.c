/* SPDX-License-Identifier: Apache-2.0 */
/* store/webhooks.c - webhooks, what they watch, and what was sent.
 *
 * For:     hub/hooks.c and hub/news.c.
 * Owns:    webhooks, webhook_watches, webhook_deliveries (schema_community.c).
 * Threads: any; a transaction stays with its thread. */
#include "store/store_int.h"

#define HOOK                                                                                       \
    "w.id, w.hook_key, w.user_id, w.url, w.secret, w.domains, w.state, w.failures, w.created_ms"

static void read_hook(snug_arena *a, const db_val *c, void *item)
{
    store_hook *w = item;
    *w = (store_hook){.id = c[0].i,
                      .key = snug_arena_dup(a, c[1].s),
                      .user_id = c[2].i,
                      .url = snug_arena_dup(a, c[3].s),
                      .secret = snug_arena_dup(a, c[4].s),
                      .domains = (int)c[5].i,
                      .state = (store_hook_state)c[6].i,
                      .failures = c[7].i,
                      .created_ms = c[8].i};
}

snug_status store_add_hook(db_txn *tx, const store_hook *w, int64_t *id, snug_err *err)
{
    static const db_query q = {
        "INSERT INTO webhooks (id, hook_key, user_id, url, secret, domains, state, failures, "
        "created_ms) VALUES ($1, $2, $3, $4, $5, $6, 0, 0, $7)"};
    snug_status st = SNUG_OK;
    SNUG_TRY(store_next_id(tx, "webhooks", id, err));
    db_val v[] = {db_int(*id),        db_text(w->key),    db_int(w->user_id),   db_text(w->url),
                  db_text(w->secret), db_int(w->domains), db_int(w->created_ms)};
    SNUG_TRY(db_exec(tx, q, v, 7, NULL, err));
done:
    return st;
}

snug_status store_set_hook(db_txn *tx, const store_hook *w, snug_err *err)
{
    static const db_query q = {"UPDATE webhooks SET url = $2, secret = $3, domains = $4, state = "
                               "$5, failures = $6 WHERE id = $1"};
    db_val                v[] = {db_int(w->id),      db_text(w->url),  db_text(w->secret),
                                 db_int(w->domains), db_int(w->state), db_int(w->failures)};
    return db_exec(tx, q, v, 6, NULL, err);
}

snug_status store_set_watches(db_txn *tx, int64_t hook, const store_watch *list, size_t n,
                              snug_err *err)
{
    static const db_query drop = {"DELETE FROM webhook_watches WHERE webhook_id = $1"};
    static const db_query put = {
        "INSERT INTO webhook_watches (webhook_id, kind, name, name_key) VALUES ($1, $2, $3, $4) ON "
        "CONFLICT (webhook_id, kind, name_key) DO NOTHING"};
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    db_val      id = db_int(hook);
    SNUG_TRY(db_exec(tx, drop, &id, 1, NULL, err));
    for (size_t i = 0; i < n; i++) {
        db_val v[] = {id, db_text(list[i].kind), db_text(list[i].name),
                      db_text(store_lower(a, list[i].name))};
        SNUG_TRY(db_exec(tx, put, v, 4, NULL, err));
    }
done:
    snug_arena_free(a);
    return st;
}

static void read_watch(snug_arena *a, const db_val *c, void *item)
{
    store_watch *w = item;
    *w = (store_watch){snug_arena_dup(a, c[0].s), snug_arena_dup(a, c[1].s)};
}

snug_status store_list_watches(db_txn *tx, snug_arena *a, int64_t hook, store_watch **out,
                               size_t *count, snug_err *err)
{
    static const db_query q = {"SELECT kind, name FROM webhook_watches WHERE webhook_id = $1 ORDER "
                               "BY kind, name_key"};
    db_val                v = db_int(hook);
    void                 *rows = NULL;
    snug_status           st =
        store_rows(tx, a, q, &v, 1, STORE_WATCHES_MAX, sizeof **out, read_watch, &rows, count, err);
    *out = rows;
    return st;
}

static snug_status one_hook(db_txn *tx, snug_arena *a, db_query q, const db_val *v, size_t n,
                            store_hook *out, bool *found, snug_err *err)
{
    void       *rows = NULL;
    size_t      count = 0;
    snug_status st = store_rows(tx, a, q, v, n, 1, sizeof *out, read_hook, &rows, &count, err);
    *found = st == SNUG_OK && count == 1;
    if (*found) *out = *(store_hook *)rows;
    return st;
}

snug_status store_find_hook(db_txn *tx, snug_arena *a, int64_t user, snug_slice key,
                            store_hook *out, bool *found, snug_err *err)
{
    static const db_query q = {
        "SELECT " HOOK " FROM webhooks w WHERE w.hook_key = $1 AND ($2 = 0 OR w.user_id = $2)"};
    db_val v[] = {db_text(key), db_int(user)};
    return one_hook(tx, a, q, v, 2, out, found, err);
}

snug_status store_get_hook(db_txn *tx, snug_arena *a, int64_t id, store_hook *out, bool *found,
                           snug_err *err)
{
    static const db_query q = {"SELECT " HOOK " FROM webhooks w WHERE w.id = $1"};
    db_val                v = db_int(id);
    return one_hook(tx, a, q, &v, 1, out, found, err);
}

snug_status store_list_hooks(db_txn *tx, snug_arena *a, int64_t user, store_hook **out,
                             size_t *count, snug_err *err)
{
    static const db_query q = {"SELECT " HOOK
                               " FROM webhooks w WHERE ($1 = 0 OR w.user_id = $1) ORDER BY w.id"};
    db_val                v = db_int(user);
    void                 *rows = NULL;
    snug_status st = store_rows(tx, a, q, &v, 1, user == 0 ? 100000 : STORE_HOOKS_MAX, sizeof **out,
                                read_hook, &rows, count, err);
    *out = rows;
    return st;
}

snug_status store_drop_hook(db_txn *tx, int64_t id, snug_err *err)
{
    static const db_query all[] = {{"DELETE FROM webhook_deliveries WHERE webhook_id = $1"},
                                   {"DELETE FROM webhook_watches WHERE webhook_id = $1"},
                                   {"DELETE FROM webhooks WHERE id = $1"}};
    snug_status           st = SNUG_OK;
    db_val                v = db_int(id);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        SNUG_TRY(db_exec(tx, all[i], &v, 1, NULL, err));
done:
    return st;
}

static void read_watcher(snug_arena *a, const db_val *c, void *item)
{
    store_watcher *w = item;
    read_hook(a, c, &w->hook);
    w->user = snug_arena_dup(a, c[9].s);
    w->is_admin = c[10].i != 0;
}

snug_status store_list_watchers(db_txn *tx, snug_arena *a, snug_slice kind, snug_slice ns,
                                snug_slice name, int domain, store_watcher **out, size_t *count,
                                snug_err *err)
{
    enum { MAX = 1000 };
    static const db_query q = {
        "SELECT " HOOK ", u.name, u.is_admin FROM webhooks w JOIN users u ON u.id = w.user_id "
        "WHERE w.state = 0 AND (w.domains & $4) <> 0 AND w.id IN (SELECT x.webhook_id FROM "
        "webhook_watches x WHERE (x.kind = $1 AND x.name_key = $2) UNION SELECT x.webhook_id FROM "
        "webhook_watches x WHERE x.kind IN ('user', 'org') AND x.name_key = $3) ORDER BY w.id"};
    db_val v[] = {db_text(kind), db_text(store_repo_key(a, ns, name)), db_text(store_lower(a, ns)),
                  db_int(domain)};
    void  *rows = NULL;
    snug_status st = store_rows(tx, a, q, v, 4, MAX, sizeof **out, read_watcher, &rows, count, err);
    *out = rows;
    return st;
}

/* ---- what is sent ---- */

#define DELIVERY                                                                                   \
    "d.id, d.webhook_id, d.state, d.due_ms, d.attempts, d.http_status, d.error, d.event, d.body, " \
    "d.created_ms, d.done_ms"

static void read_delivery(snug_arena *a, const db_val *c, void *item)
{
    store_delivery *d = item;
    *d = (store_delivery){.id = c[0].i,
                          .hook_id = c[1].i,
                          .state = (store_delivery_state)c[2].i,
                          .due_ms = c[3].i,
                          .attempts = c[4].i,
                          .http_status = c[5].i,
                          .error = snug_arena_dup(a, c[6].s),
                          .event = snug_arena_dup(a, c[7].s),
                          .body = snug_arena_dup(a, c[8].s),
                          .created_ms = c[9].i,
                          .done_ms = c[10].i};
}

snug_status store_add_delivery(db_txn *tx, const store_delivery *d, int64_t *id, snug_err *err)
{
    static const db_query q = {
        "INSERT INTO webhook_deliveries (id, webhook_id, state, due_ms, attempts, http_status, "
        "error, event, body, created_ms, done_ms) VALUES ($1, $2, 0, $3, 0, 0, '', $4, $5, $6, 0)"};
    snug_status st = SNUG_OK;
    SNUG_TRY(store_next_id(tx, "deliveries", id, err));
    db_val v[] = {db_int(*id),       db_int(d->hook_id), db_int(d->due_ms),
                  db_text(d->event), db_text(d->body),   db_int(d->created_ms)};
    SNUG_TRY(db_exec(tx, q, v, 6, NULL, err));
done:
    return st;
}

snug_status store_set_delivery(db_txn *tx, const store_delivery *d, snug_err *err)
{
    static const db_query q = {
        "UPDATE webhook_deliveries SET state = $2, due_ms = $3, attempts = $4, http_status = $5, "
        "error = $6, done_ms = $7 WHERE id = $1"};
    db_val v[] = {db_int(d->id),          db_int(d->state),  db_int(d->due_ms), db_int(d->attempts),
                  db_int(d->http_status), db_text(d->error), db_int(d->done_ms)};
    return db_exec(tx, q, v, 7, NULL, err);
}

snug_status store_get_delivery(db_txn *tx, snug_arena *a, int64_t id, store_delivery *out,
                               bool *found, snug_err *err)
{
    static const db_query q = {"SELECT " DELIVERY " FROM webhook_deliveries d WHERE d.id = $1"};
    db_val                v = db_int(id);
    void                 *rows = NULL;
    size_t                count = 0;
    snug_status st = store_rows(tx, a, q, &v, 1, 1, sizeof *out, read_delivery, &rows, &count, err);
    *found = st == SNUG_OK && count == 1;
    if (*found) *out = *(store_delivery *)rows;
    return st;
}

snug_status store_list_deliveries(db_txn *tx, snug_arena *a, int64_t hook, int64_t before,
                                  size_t limit, store_delivery **out, size_t *count, snug_err *err)
{
    static const db_query q = {"SELECT " DELIVERY " FROM webhook_deliveries d WHERE d.webhook_id = "
                               "$1 AND d.id < $2 ORDER BY d.id DESC LIMIT $3"};
    db_val v[] = {db_int(hook), db_int(before > 0 ? before : INT64_MAX), db_int((int64_t)limit)};
    void  *rows = NULL;
    snug_status st =
        store_rows(tx, a, q, v, 3, limit, sizeof **out, read_delivery, &rows, count, err);
    *out = rows;
    return st;
}

snug_status store_cancel_deliveries(db_txn *tx, int64_t hook, snug_slice why, int64_t now_ms,
                                    snug_err *err)
{
    static const db_query q = {"UPDATE webhook_deliveries SET state = 2, error = $2, done_ms = $3 "
                               "WHERE webhook_id = $1 AND state = 0"};
    db_val                v[] = {db_int(hook), db_text(why), db_int(now_ms)};
    return db_exec(tx, q, v, 3, NULL, err);
}

snug_status store_prune_deliveries(db_txn *tx, int64_t before_ms, snug_err *err)
{
    static const db_query q = {"DELETE FROM webhook_deliveries WHERE state <> 0 AND done_ms < $1"};
    db_val                v = db_int(before_ms);
    return db_exec(tx, q, &v, 1, NULL, err);
}
