/* SPDX-License-Identifier: Apache-2.0 */
/* remote/xet_token.c - the door to a hub's deduplicating store: where it is, and a ticket for it.
 *
 *     GET {hub}/api/models/<id>/xet-<read|write>-token/<rev>  ->  casUrl, accessToken, exp
 *
 * For:     xet_upload.c, xet_download.c.
 * Owns:    the ticket in memory, wiped on close.
 * Threads: any; one thread renews, the others wait for it.
 * Truth:   the hub's own token goes to the hub only, and the ticket to the store it was made for:
 *          a redirect of the store is an error, never followed. */
#include <stdlib.h>

#include "remote/remote_int.h"

enum { ANSWER_MAX = 256 * 1024, FIELD_MAX = 64000, RENEW_S = 30, WAIT_MS = 100 };

struct remote_door {
    remote     *r;
    char       *route; /* where tickets are given */
    snug_mutex  lock;  /* rank 870: guards what follows */
    snug_cond   fresh;
    bool        renewing;
    char       *cas, *token;
    int64_t     expires_s;
    atomic_bool old_plans, old_shards; /* the store knows only version 1 */
};

remote_door *remote_door_open(remote *r, const char *route)
{
    remote_door *d = snug_zalloc(sizeof *d);
    d->r = r;
    d->route = snug_strdup(snug_str(route));
    snug_mutex_init(&d->lock, "remote.door", 870);
    snug_cond_init(&d->fresh);
    return d;
}

static void drop_ticket(remote_door *d)
{
    if (d->token != NULL) snug_secret_wipe(d->token, strlen(d->token));
    free(d->token);
    free(d->cas);
    d->token = d->cas = NULL;
}

void remote_door_close(remote_door *d)
{
    if (d == NULL) return;
    drop_ticket(d);
    snug_cond_deinit(&d->fresh);
    snug_mutex_deinit(&d->lock);
    free(d->route);
    free(d);
}

atomic_bool *remote_door_old_plans(remote_door *d) { return &d->old_plans; }
atomic_bool *remote_door_old_shards(remote_door *d) { return &d->old_shards; }

/* ---- a ticket ---- */

static bool is_plain(snug_slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if ((unsigned char)s.ptr[i] <= 0x20 || (unsigned char)s.ptr[i] >= 0x7f) return false;
    }
    return s.len > 0 && s.len <= FIELD_MAX;
}

snug_status remote_ticket_read(snug_json v, bool secure, remote_ticket *out, snug_err *err)
{
    uint64_t    exp;
    snug_slice  cas;
    snug_status st = snug_json_need_str(v, "casUrl", &cas, err);
    if (st == SNUG_OK) st = snug_json_need_str(v, "accessToken", &out->token, err);
    if (st == SNUG_OK) st = snug_json_need_u64(v, "exp", &exp, err);
    if (st != SNUG_OK) return st;
    while (cas.len > 0 && cas.ptr[cas.len - 1] == '/') cas.len--;
    bool https = snug_starts_with(cas, "https://");
    if (!is_plain(cas) || !is_plain(out->token) || (!https && !snug_starts_with(cas, "http://")))
        return snug_fail(err, SNUG_EREMOTE, "the server's Xet ticket makes no sense");
    if (secure && !https)
        return snug_fail(err, SNUG_EREMOTE, "the server's Xet store is not reached by https");
    out->cas = cas;
    out->expires_s = exp > INT64_MAX ? INT64_MAX : (int64_t)exp;
    return SNUG_OK;
}

static snug_status fetch_ticket(remote_door *d, remote_crew *c, snug_arena *a, remote_ticket *out,
                                snug_err *err)
{
    snug_status     st = SNUG_OK;
    snug_buf        body = snug_buf_init(ANSWER_MAX);
    snug_json       v;
    http_answer     ans;
    remote_patience w = {.crew = c};
    remote_ask      q = {.method = "GET",
                         .url = d->route,
                         .accept = "application/json",
                         .single = true,
                         .into = &body,
                         .cancel = &c->stop};
    while ((st = remote_exchange(d->r, &q, a, &ans, err)) != SNUG_OK) {
        if (!remote_patience_again(&w, st, &ans, err)) goto done;
    }
    SNUG_TRY(snug_json_parse(a, snug_buf_slice(&body), NULL, &v, err));
    SNUG_TRY(remote_ticket_read(v, strncmp(d->r->endpoint, "https:", 6) == 0, out, err));
done:
    if (body.ptr != NULL) snug_secret_wipe(body.ptr, body.cap);
    snug_buf_deinit(&body);
    return st;
}

static bool is_due(const remote_door *d)
{
    return d->token == NULL || d->expires_s <= snug_now_ms() / 1000 + RENEW_S;
}

/* The lock is let go while the hub is asked. */
static snug_status renew_locked(remote_door *d, remote_crew *c, snug_err *err)
{
    bool          again = d->token != NULL;
    snug_arena   *a = snug_arena_new();
    remote_ticket t;
    d->renewing = true;
    snug_unlock(&d->lock);
    if (again) remote_crew_why(c, "the link's token expired and is being renewed");
    snug_status st = fetch_ticket(d, c, a, &t, err);
    snug_lock(&d->lock);
    d->renewing = false;
    if (st == SNUG_OK) {
        drop_ticket(d);
        d->cas = snug_strdup(t.cas);
        d->token = snug_strdup(t.token);
        d->expires_s = t.expires_s;
        /* A ticket that is old when it comes (clocks differ) serves until it is refused. */
        if (is_due(d)) d->expires_s = INT64_MAX;
    }
    snug_cond_broadcast(&d->fresh);
    snug_arena_free(a);
    return st;
}

static snug_status take_ticket(remote_door *d, remote_crew *c, snug_arena *a, const char **cas,
                               const char **bearer, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_lock(&d->lock);
    while (d->renewing && !atomic_load(&c->stop))
        (void)snug_cond_wait_ms(&d->fresh, &d->lock, WAIT_MS);
    if (atomic_load(&c->stop)) SNUG_FAIL(err, SNUG_ECANCELED, "canceled");
    if (is_due(d)) SNUG_TRY(renew_locked(d, c, err));
    *cas = snug_arena_cstr(a, snug_str(d->cas));
    *bearer = snug_arena_printf(a, "Bearer %s", d->token).ptr;
done:
    snug_unlock(&d->lock);
    return st;
}

snug_status remote_door_cas(remote_door *d, remote_crew *c, snug_arena *a, const char **cas,
                            snug_err *err)
{
    const char *bearer;
    return take_ticket(d, c, a, cas, &bearer, err);
}

/* Somebody else may have renewed it since. */
static void expire_ticket(remote_door *d, const char *bearer)
{
    snug_lock(&d->lock);
    if (d->token != NULL && strcmp(bearer + strlen("Bearer "), d->token) == 0) d->expires_s = 0;
    snug_unlock(&d->lock);
}

/* ---- one exchange with the store ---- */

static snug_status ask_once(remote_door *d, remote_crew *c, const remote_ask *ask, const char *path,
                            snug_arena *a, const char **bearer, http_answer *out, snug_err *err)
{
    const char *cas;
    *out = (http_answer){0};
    snug_status st = take_ticket(d, c, a, &cas, bearer, err);
    if (st != SNUG_OK) return st;
    http_header extra = {SNUG_LIT("Authorization"), snug_str(*bearer)};
    remote_ask  q = *ask;
    q.url = snug_arena_printf(a, "%s%s", cas, path).ptr;
    q.anonymous = q.single = q.stay = true;
    q.extra = &extra;
    q.extra_count = 1;
    q.cancel = &c->stop;
    st = remote_exchange(d->r, &q, a, out, err);
    if (st == SNUG_OK && out->status >= 300 && out->status < 400)
        st = snug_fail(err, SNUG_EREMOTE, "the Xet store redirects, which it must not");
    return st;
}

snug_status remote_door_ask(remote_door *d, remote_crew *c, const remote_ask *q, const char *path,
                            snug_arena *a, http_answer *out, snug_err *err)
{
    const char *bearer = "Bearer ";
    snug_status st = ask_once(d, c, q, path, a, &bearer, out, err);
    if (out->status != 401) return st;
    expire_ticket(d, bearer); /* before its time: clocks differ, or the server's key changed */
    return ask_once(d, c, q, path, a, &bearer, out, err);
}
