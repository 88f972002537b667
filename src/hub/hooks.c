/* SPDX-License-Identifier: Apache-2.0 */
/* hub/hooks.c - webhooks as their owners keep them, and the fate of what was sent.
 *
 *        +------ arrived: failures = 0 -------+
 *   ON --+                                    +--> ON
 *        +-- given up: failures + 1; at SUSPEND_AFTER --> SUSPENDED (what waits is given up)
 *
 * For:     api/webhooks.c, cli/cmd_webhook.c; work/webhook.c sends.
 * Owns:    who may see and change a webhook: its owner, nobody else.
 * Threads: any.
 * Truth:   a letter has one fate, written in one transaction with that of its webhook. */
#include "hub/hub_int.h"

enum { URL_MAX = 2048, SECRET_MAX = 512, SUSPEND_AFTER = 3 };

/* ---- checks ---- */

static snug_status fail_no_hook(snug_err *err)
{
    return snug_fail(err, SNUG_ENOTFOUND, "There is no such webhook");
}

static snug_status check_secret(snug_slice s, snug_err *err)
{
    bool ok = s.len <= SECRET_MAX;
    for (size_t i = 0; i < s.len; i++) /* it travels in a header */
        ok = ok && (unsigned char)s.ptr[i] >= 0x20 && (unsigned char)s.ptr[i] < 0x7f;
    return ok ? SNUG_OK
              : snug_fail(err, SNUG_EINVAL,
                          "\"secret\" must be at most %d printable ASCII characters",
                          (int)SECRET_MAX);
}

static snug_status check_repo(hub *h, const hub_actor *who, hub_type type, snug_slice name,
                              snug_err *err)
{
    snug_status   st = SNUG_OK;
    snug_arena   *a = snug_arena_new();
    snug_slice    ns;
    hub_repo_id   id;
    hub_repo_info info;
    if (!snug_split(&name, '/', &ns) || name.len == 0)
        SNUG_FAIL(err, SNUG_EINVAL, "a watched repository is named like \"owner/name\"");
    SNUG_TRY(hub_parse_id(type, ns, name, &id, err));
    SNUG_TRY(hub_find_repo(h, who, &id, HUB_ROLE_READ, a, &info, err));
done:
    snug_arena_free(a);
    return st;
}

static snug_status check_watch(hub *h, const hub_actor *who, const hub_watch *w, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    hub_type    type;
    hub_user    user;
    hub_org     org;

    if (w->name.len == 0 || w->name.len > 2 * HUB_NAME_MAX + 1)
        SNUG_FAIL(err, SNUG_EINVAL, "\"watched\" names nobody");
    if (snug_eq_str(w->kind, "user")) {
        st = hub_find_user(h, w->name, a, &user, err);
    } else if (snug_eq_str(w->kind, "org")) {
        st = hub_find_org(h, w->name, a, &org, err);
    } else if (hub_type_parse(w->kind, &type) && snug_eq_str(w->kind, hub_type_name(type))) {
        st = check_repo(h, who, type, w->name, err);
    } else {
        st = snug_fail(err, SNUG_EINVAL,
                       "\"watched.type\" must be one of [dataset, model, org, space, user]");
    }
done:
    snug_arena_free(a);
    return st;
}

static snug_status check_edit(hub *h, const hub_actor *who, const hub_hook_edit *e, snug_err *err)
{
    snug_status st = SNUG_OK;
    SNUG_TRY(hub_need_writer(h, who, err));
    if (e->url.len > URL_MAX || !snug_utf8_valid(e->url))
        SNUG_FAIL(err, SNUG_EINVAL, "\"url\" has at most %d bytes", (int)URL_MAX);
    SNUG_TRY(check_secret(e->secret, err));
    if (e->watched_count > STORE_WATCHES_MAX)
        SNUG_FAIL(err, SNUG_EINVAL, "\"watched\" has at most %d entries", STORE_WATCHES_MAX);
    for (size_t i = 0; i < e->watched_count; i++)
        SNUG_TRY(check_watch(h, who, &e->watched[i], err));
done:
    return st;
}

/* ---- rows ---- */

static snug_status show_hook(db_txn *tx, const store_hook *w, snug_arena *a, hub_hook *out,
                             snug_err *err)
{
    snug_status  st = SNUG_OK;
    store_watch *list;
    size_t       n;
    SNUG_TRY(store_list_watches(tx, a, w->id, &list, &n, err));
    *out = (hub_hook){.key = w->key,
                      .url = w->url,
                      .secret = w->secret,
                      .domains = w->domains,
                      .state = (hub_hook_state)w->state,
                      .watched = snug_arena_zalloc(a, (n + 1) * sizeof *out->watched),
                      .watched_count = n};
    for (size_t i = 0; i < n; i++) out->watched[i] = (hub_watch){list[i].kind, list[i].name};
done:
    return st;
}

static snug_status put_watches(db_txn *tx, int64_t id, const hub_hook_edit *e, snug_arena *a,
                               snug_err *err)
{
    store_watch *list = snug_arena_alloc(a, (e->watched_count + 1) * sizeof *list);
    for (size_t i = 0; i < e->watched_count; i++)
        list[i] = (store_watch){e->watched[i].kind, e->watched[i].name};
    return store_set_watches(tx, id, list, e->watched_count, err);
}

/* The caller's webhook of this name. */
static snug_status need_hook(db_txn *tx, const hub_actor *who, snug_slice key, snug_arena *a,
                             store_hook *out, snug_err *err)
{
    bool        found = false;
    snug_status st = SNUG_OK;
    if (hub_is_anonymous(who)) return snug_fail(err, SNUG_EUNAUTH, "Invalid username or password.");
    if (key.len == 24) st = store_find_hook(tx, a, who->user_id, key, out, &found, err);
    return st != SNUG_OK ? st : found ? SNUG_OK : fail_no_hook(err);
}

snug_status hub_create_hook(hub *h, const hub_actor *who, const hub_hook_edit *e, snug_arena *a,
                            hub_hook *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    char        key[25];
    store_hook *others;
    size_t      n;

    SNUG_TRY(check_edit(h, who, e, err));
    if (e->url.len == 0) SNUG_FAIL(err, SNUG_EINVAL, "\"url\" is missing");
    if (e->watched_count == 0) SNUG_FAIL(err, SNUG_EINVAL, "\"watched\" is empty");
    hub_random_id(key);
    store_hook w = {.key = snug_arena_dup(a, snug_str(key)),
                    .user_id = who->user_id,
                    .url = e->url,
                    .secret = e->secret.ptr == NULL ? SNUG_LIT("") : e->secret,
                    .domains = e->domains != 0 ? e->domains : HUB_HOOK_REPO | HUB_HOOK_DISCUSSION,
                    .created_ms = snug_now_ms()};
    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_list_hooks(tx, a, who->user_id, &others, &n, err));
    if (n >= STORE_HOOKS_MAX)
        SNUG_FAIL(err, SNUG_ELIMIT, "You have %d webhooks already", STORE_HOOKS_MAX);
    SNUG_TRY(store_add_hook(tx, &w, &w.id, err));
    SNUG_TRY(put_watches(tx, w.id, e, a, err));
    SNUG_TRY(show_hook(tx, &w, a, out, err));
    st = db_end(tx, true, err);
    tx = NULL;
done:
    db_rollback(tx);
    return st;
}

snug_status hub_list_hooks(hub *h, const hub_actor *who, snug_arena *a, hub_hook **out,
                           size_t *count, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    store_hook *rows;

    *count = 0;
    if (hub_is_anonymous(who)) SNUG_FAIL(err, SNUG_EUNAUTH, "Invalid username or password.");
    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    SNUG_TRY(store_list_hooks(tx, a, who->user_id, &rows, count, err));
    *out = snug_arena_alloc(a, (*count + 1) * sizeof **out);
    for (size_t i = 0; i < *count; i++) SNUG_TRY(show_hook(tx, &rows[i], a, &(*out)[i], err));
done:
    db_rollback(tx);
    return st;
}

snug_status hub_find_hook(hub *h, const hub_actor *who, snug_slice key, snug_arena *a,
                          hub_hook *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    store_hook  w;
    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    SNUG_TRY(need_hook(tx, who, key, a, &w, err));
    SNUG_TRY(show_hook(tx, &w, a, out, err));
done:
    db_rollback(tx);
    return st;
}

snug_status hub_edit_hook(hub *h, const hub_actor *who, snug_slice key, const hub_hook_edit *e,
                          snug_arena *a, hub_hook *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    store_hook  w;

    SNUG_TRY(check_edit(h, who, e, err));
    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(need_hook(tx, who, key, a, &w, err));
    if (e->url.len > 0) w.url = e->url;
    if (e->secret.ptr != NULL) w.secret = e->secret;
    if (e->domains != 0) w.domains = e->domains;
    SNUG_TRY(store_set_hook(tx, &w, err));
    if (e->watched_count > 0) SNUG_TRY(put_watches(tx, w.id, e, a, err));
    SNUG_TRY(show_hook(tx, &w, a, out, err));
    st = db_end(tx, true, err);
    tx = NULL;
done:
    db_rollback(tx);
    return st;
}

snug_status hub_switch_hook(hub *h, const hub_actor *who, snug_slice key, bool on, snug_arena *a,
                            hub_hook *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    store_hook  w;

    SNUG_TRY(hub_need_writer(h, who, err));
    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(need_hook(tx, who, key, a, &w, err));
    w.state = on ? STORE_HOOK_ON : STORE_HOOK_OFF;
    w.failures = 0;
    SNUG_TRY(store_set_hook(tx, &w, err));
    if (!on)
        SNUG_TRY(store_cancel_deliveries(tx, w.id, SNUG_LIT("the webhook was switched off"),
                                         snug_now_ms(), err));
    SNUG_TRY(show_hook(tx, &w, a, out, err));
    st = db_end(tx, true, err);
    tx = NULL;
done:
    db_rollback(tx);
    return st;
}

snug_status hub_drop_hook(hub *h, const hub_actor *who, snug_slice key, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    db_txn     *tx = NULL;
    store_hook  w;

    SNUG_TRY(hub_need_writer(h, who, err));
    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(need_hook(tx, who, key, a, &w, err));
    SNUG_TRY(store_drop_hook(tx, w.id, err));
    st = db_end(tx, true, err);
    tx = NULL;
done:
    db_rollback(tx);
    snug_arena_free(a);
    return st;
}

/* ---- what was sent ---- */

static void show_delivery(const store_delivery *d, hub_delivery *out)
{
    static const char *const states[] = {"waiting", "delivered", "given-up"};
    SNUG_ASSERT((size_t)d->state < sizeof states / sizeof states[0]);
    *out = (hub_delivery){.id = d->id,
                          .state = states[d->state],
                          .attempts = d->attempts,
                          .http_status = d->http_status,
                          .created_ms = d->created_ms,
                          .due_ms = d->due_ms,
                          .done_ms = d->done_ms,
                          .event = d->event,
                          .error = d->error,
                          .body = d->body};
}

snug_status hub_list_deliveries(hub *h, const hub_actor *who, snug_slice key, int64_t before,
                                size_t limit, snug_arena *a, hub_delivery **out, size_t *count,
                                snug_err *err)
{
    snug_status     st = SNUG_OK;
    db_txn         *tx = NULL;
    store_hook      w;
    store_delivery *rows;

    *count = 0;
    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    SNUG_TRY(need_hook(tx, who, key, a, &w, err));
    SNUG_TRY(store_list_deliveries(tx, a, w.id, before, limit, &rows, count, err));
    *out = snug_arena_alloc(a, (*count + 1) * sizeof **out);
    for (size_t i = 0; i < *count; i++) show_delivery(&rows[i], &(*out)[i]);
done:
    db_rollback(tx);
    return st;
}

snug_status hub_replay_delivery(hub *h, const hub_actor *who, snug_slice key, int64_t id,
                                snug_arena *a, hub_delivery *out, snug_err *err)
{
    snug_status    st = SNUG_OK;
    db_txn        *tx = NULL;
    store_hook     w;
    store_delivery d;
    bool           found;
    int64_t        fresh;

    SNUG_TRY(hub_need_writer(h, who, err));
    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(need_hook(tx, who, key, a, &w, err));
    SNUG_TRY(store_get_delivery(tx, a, id, &d, &found, err));
    if (!found || d.hook_id != w.id)
        SNUG_FAIL(err, SNUG_ENOTFOUND, "This webhook has no delivery %lld", (long long)id);
    if (w.state != STORE_HOOK_ON)
        SNUG_FAIL(err, SNUG_ECONFLICT, "This webhook is off: enable it first");
    SNUG_TRY(hub_add_letter(tx, &w, d.event, d.body, &fresh, err));
    SNUG_TRY(store_get_delivery(tx, a, fresh, &d, &found, err));
    show_delivery(&d, out);
    st = db_end(tx, true, err);
    tx = NULL;
    hub_wake_jobs(h);
done:
    db_rollback(tx);
    return st;
}

/* ---- sending ---- */

snug_status hub_take_letter(hub *h, int64_t id, snug_arena *a, hub_letter *out, bool *wanted,
                            snug_err *err)
{
    snug_status    st = SNUG_OK;
    db_txn        *tx = NULL;
    store_delivery d;
    store_hook     w;
    bool           found;

    *wanted = false;
    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    SNUG_TRY(store_get_delivery(tx, a, id, &d, &found, err));
    if (!found || d.state != STORE_DELIVERY_WAITING) goto done;
    SNUG_TRY(store_get_hook(tx, a, d.hook_id, &w, &found, err));
    *wanted = found && w.state == STORE_HOOK_ON;
    *out = (hub_letter){
        .id = id, .attempts = d.attempts, .url = w.url, .secret = w.secret, .body = d.body};
done:
    db_rollback(tx);
    return st;
}

/* What its webhook learns from it. */
static snug_status end_hook(db_txn *tx, snug_arena *a, int64_t id, bool arrived, int64_t now,
                            snug_err *err)
{
    snug_status st = SNUG_OK;
    store_hook  w;
    bool        found;
    SNUG_TRY(store_get_hook(tx, a, id, &w, &found, err));
    if (!found || (arrived && w.failures == 0)) goto done;
    w.failures = arrived ? 0 : w.failures + 1;
    if (w.state == STORE_HOOK_ON && w.failures >= SUSPEND_AFTER) {
        w.state = STORE_HOOK_SUSPENDED;
        SNUG_TRY(store_cancel_deliveries(
            tx, id, SNUG_LIT("the webhook was suspended after repeated failures"), now, err));
        snug_log(SNUG_WARN, "webhook.suspended", "id=%.*s failures=%lld", SNUG_SLICE(w.key),
                 (long long)w.failures);
    }
    SNUG_TRY(store_set_hook(tx, &w, err));
done:
    return st;
}

snug_status hub_end_letter(hub *h, const hub_letter *l, bool arrived, int http_status,
                           snug_slice why, int64_t retry_ms, snug_err *err)
{
    snug_status    st = SNUG_OK;
    snug_arena    *a = snug_arena_new();
    db_txn        *tx = NULL;
    store_delivery d;
    bool           found, over = arrived || retry_ms == 0;
    int64_t        now = snug_now_ms();

    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_get_delivery(tx, a, l->id, &d, &found, err));
    if (!found || d.state != STORE_DELIVERY_WAITING) goto done;
    d.attempts++;
    d.http_status = http_status;
    d.error = why;
    d.due_ms = over ? d.due_ms : now + retry_ms;
    d.done_ms = over ? now : 0;
    d.state = arrived ? STORE_DELIVERY_DONE
              : over  ? STORE_DELIVERY_GIVEN_UP
                      : STORE_DELIVERY_WAITING;
    SNUG_TRY(store_set_delivery(tx, &d, err));
    if (over) SNUG_TRY(end_hook(tx, a, d.hook_id, arrived, now, err));
    st = db_end(tx, true, err);
    tx = NULL;
done:
    db_rollback(tx);
    snug_arena_free(a);
    return st;
}

snug_status hub_prune_deliveries(hub *h, int64_t before_ms, snug_err *err)
{
    db_txn     *tx = NULL;
    snug_status st = db_begin(h->db, DB_WRITE, &tx, err);
    if (st == SNUG_OK) st = store_prune_deliveries(tx, before_ms, err);
    if (st == SNUG_OK) {
        st = db_end(tx, true, err);
        tx = NULL;
    }
    db_rollback(tx);
    return st;
}

void hub_set_public_url(hub *h, const char *url)
{
    (void)snprintf(h->public_url, sizeof h->public_url, "%s", url);
    for (size_t n = strlen(h->public_url); n > 0 && h->public_url[n - 1] == '/'; n--)
        h->public_url[n - 1] = '\0';
}
