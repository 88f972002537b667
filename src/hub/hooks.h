/* SPDX-License-Identifier: Apache-2.0 */
/* hub/hooks.h - webhooks: who is told of what, and how it went. Part of hub.h; include that one. */
#ifndef SNUG_HUB_HOOKS_H
#define SNUG_HUB_HOOKS_H

typedef enum hub_hook_state { HUB_HOOK_ON, HUB_HOOK_OFF, HUB_HOOK_SUSPENDED } hub_hook_state;
enum { HUB_HOOK_REPO = 1, HUB_HOOK_DISCUSSION = 2 }; /* domains: bits */

typedef struct hub_watch {
    snug_slice kind, name; /* "model" and "ns/name", or "user" and "ns" */
} hub_watch;
typedef struct hub_hook {
    snug_slice     key; /* 24 hex digits */
    snug_slice     url, secret;
    int            domains;
    hub_hook_state state;
    hub_watch     *watched;
    size_t         watched_count;
} hub_hook;
/* ptr NULL, 0 and no entries: as it was (or, for a new one, the default). */
typedef struct hub_hook_edit {
    snug_slice       url, secret;
    int              domains;
    const hub_watch *watched;
    size_t           watched_count;
} hub_hook_edit;

/* The caller checked that `url` may be called. SNUG_ENOTFOUND for something watched that the caller
 * does not see. */
snug_status hub_create_hook(hub *h, const hub_actor *who, const hub_hook_edit *e, snug_arena *a,
                            hub_hook *out, snug_err *err) SNUG_MUST_USE;
snug_status hub_list_hooks(hub *h, const hub_actor *who, snug_arena *a, hub_hook **out,
                           size_t *count, snug_err *err) SNUG_MUST_USE;
snug_status hub_find_hook(hub *h, const hub_actor *who, snug_slice key, snug_arena *a,
                          hub_hook *out, snug_err *err) SNUG_MUST_USE;
snug_status hub_edit_hook(hub *h, const hub_actor *who, snug_slice key, const hub_hook_edit *e,
                          snug_arena *a, hub_hook *out, snug_err *err) SNUG_MUST_USE;
/* Switching on forgets earlier failures. */
snug_status hub_switch_hook(hub *h, const hub_actor *who, snug_slice key, bool on, snug_arena *a,
                            hub_hook *out, snug_err *err) SNUG_MUST_USE;
snug_status hub_drop_hook(hub *h, const hub_actor *who, snug_slice key,
                          snug_err *err) SNUG_MUST_USE;

/* ---- what was sent ---- */
typedef struct hub_delivery {
    int64_t     id;
    const char *state; /* "waiting", "delivered", "given-up" */
    int64_t     attempts, http_status, created_ms, due_ms, done_ms;
    snug_slice  event, error, body;
} hub_delivery;
/* Newest first, ids below `before` (0: all). */
snug_status hub_list_deliveries(hub *h, const hub_actor *who, snug_slice key, int64_t before,
                                size_t limit, snug_arena *a, hub_delivery **out, size_t *count,
                                snug_err *err) SNUG_MUST_USE;
/* The same body once more, as a new delivery. */
snug_status hub_replay_delivery(hub *h, const hub_actor *who, snug_slice key, int64_t id,
                                snug_arena *a, hub_delivery *out, snug_err *err) SNUG_MUST_USE;

/* ---- for the job that sends (work/webhook.c) ---- */
typedef struct hub_letter {
    int64_t    id, attempts; /* made before this one */
    snug_slice url, secret, body;
} hub_letter;
/* *wanted false: it was sent or given up already, or nobody wants it any more. */
snug_status hub_take_letter(hub *h, int64_t id, snug_arena *a, hub_letter *out, bool *wanted,
                            snug_err *err) SNUG_MUST_USE;
/* How an attempt ended. http_status 0: no answer, and `why` says so. retry_ms > 0: it comes again
 * after so long; 0: it is given up, and a webhook that fails too often is suspended. */
snug_status hub_end_letter(hub *h, const hub_letter *l, bool arrived, int http_status,
                           snug_slice why, int64_t retry_ms, snug_err *err) SNUG_MUST_USE;
/* Forgets what ended before then. */
/* A job "ref-news": tells of a ref that moved as was promised, if nobody could (news.c). */
snug_status hub_keep_promise(hub *h, snug_json args, snug_err *err) SNUG_MUST_USE;
snug_status hub_prune_deliveries(hub *h, int64_t before_ms, snug_err *err) SNUG_MUST_USE;
/* What addresses in letters begin with: "https://hub.example.com". Set once, before requests. */
void hub_set_public_url(hub *h, const char *url);

#endif
