/* SPDX-License-Identifier: Apache-2.0 */
/* store/webhooks.h - rows of webhooks, what they watch, and what was sent. Part of store.h; include
 * that one. */
#ifndef SNUG_STORE_WEBHOOKS_H
#define SNUG_STORE_WEBHOOKS_H

#include "base/base.h"
#include "db/db.h"

typedef enum store_hook_state {
    STORE_HOOK_ON,
    STORE_HOOK_OFF,
    STORE_HOOK_SUSPENDED /* switched off after failures */
} store_hook_state;
enum { STORE_HOOK_REPO = 1, STORE_HOOK_DISCUSSION = 2 }; /* domains: bits */

typedef struct store_hook {
    int64_t          id;
    snug_slice       key; /* 24 hex digits */
    int64_t          user_id;
    snug_slice       url, secret;
    int              domains;
    store_hook_state state;
    int64_t          failures; /* deliveries given up since the last that arrived */
    int64_t          created_ms;
} store_hook;
typedef struct store_watch {
    snug_slice kind; /* model, dataset, space, user, org */
    snug_slice name; /* "ns/name" or "ns" */
} store_watch;
enum { STORE_HOOKS_MAX = 100, STORE_WATCHES_MAX = 100 };

snug_status store_add_hook(db_txn *tx, const store_hook *w, int64_t *id,
                           snug_err *err) SNUG_MUST_USE;
/* Writes url, secret, domains, state and failures. */
snug_status store_set_hook(db_txn *tx, const store_hook *w, snug_err *err) SNUG_MUST_USE;
snug_status store_set_watches(db_txn *tx, int64_t hook, const store_watch *list, size_t n,
                              snug_err *err) SNUG_MUST_USE;
snug_status store_list_watches(db_txn *tx, snug_arena *a, int64_t hook, store_watch **out,
                               size_t *count, snug_err *err) SNUG_MUST_USE;
/* user 0: whoever it belongs to. */
snug_status store_find_hook(db_txn *tx, snug_arena *a, int64_t user, snug_slice key,
                            store_hook *out, bool *found, snug_err *err) SNUG_MUST_USE;
snug_status store_get_hook(db_txn *tx, snug_arena *a, int64_t id, store_hook *out, bool *found,
                           snug_err *err) SNUG_MUST_USE;
/* Of a user, or (0) all; in the order they were made. */
snug_status store_list_hooks(db_txn *tx, snug_arena *a, int64_t user, store_hook **out,
                             size_t *count, snug_err *err) SNUG_MUST_USE;
/* With what it watches and its log. */
snug_status store_drop_hook(db_txn *tx, int64_t id, snug_err *err) SNUG_MUST_USE;

/* A webhook that is on, watches this repository (by `kind` and id, or its owner) and asked for
 * `domain`, with its owner: whether that one may know of it is hub/'s to say. */
typedef struct store_watcher {
    store_hook hook;
    snug_slice user;
    bool       is_admin;
} store_watcher;
snug_status store_list_watchers(db_txn *tx, snug_arena *a, snug_slice kind, snug_slice ns,
                                snug_slice name, int domain, store_watcher **out, size_t *count,
                                snug_err *err) SNUG_MUST_USE;

/* ---- what is sent ---- */
typedef enum store_delivery_state {
    STORE_DELIVERY_WAITING,
    STORE_DELIVERY_DONE,
    STORE_DELIVERY_GIVEN_UP
} store_delivery_state;
typedef struct store_delivery {
    int64_t              id, hook_id;
    store_delivery_state state;
    int64_t              due_ms, attempts, http_status;
    snug_slice           error, event, body;
    int64_t              created_ms, done_ms;
} store_delivery;
snug_status store_add_delivery(db_txn *tx, const store_delivery *d, int64_t *id,
                               snug_err *err) SNUG_MUST_USE;
/* Writes state, due_ms, attempts, http_status, error and done_ms. */
snug_status store_set_delivery(db_txn *tx, const store_delivery *d, snug_err *err) SNUG_MUST_USE;
snug_status store_get_delivery(db_txn *tx, snug_arena *a, int64_t id, store_delivery *out,
                               bool *found, snug_err *err) SNUG_MUST_USE;
/* Newest first, ids below `before` (0: all). */
snug_status store_list_deliveries(db_txn *tx, snug_arena *a, int64_t hook, int64_t before,
                                  size_t limit, store_delivery **out, size_t *count,
                                  snug_err *err) SNUG_MUST_USE;
/* What still waits of a hook is given up, for that reason. */
snug_status store_cancel_deliveries(db_txn *tx, int64_t hook, snug_slice why, int64_t now_ms,
                                    snug_err *err) SNUG_MUST_USE;
/* Forgets what ended before then. */
snug_status store_prune_deliveries(db_txn *tx, int64_t before_ms, snug_err *err) SNUG_MUST_USE;

#endif
