/* SPDX-License-Identifier: Apache-2.0 */
/* hub/news.c - what happened, told to the webhooks that watch for it.
 *
 * For:     every change of a repository or a discussion, inside its transaction.
 * Owns:    the body of a letter, version 3 of the platform's form.
 * Threads: any.
 * Truth:   the letter is written in the transaction of the change, so neither is without the other;
 *          it says what was so at that moment. A webhook hears only of what its owner may read. */
#include "hub/hub_int.h"

enum { BODY_MAX = 1 << 20 };

static void put_id(snug_json_out *o, const char *key, int64_t id)
{
    snug_jo_key(o, key);
    snug_jo_strf(o, "%024llx", (unsigned long long)id);
}

static void put_oid(snug_json_out *o, const char *key, const vcs_oid *oid)
{
    char hex[41];
    snug_jo_key(o, key);
    if (oid == NULL) {
        snug_jo_null(o);
        return;
    }
    vcs_oid_hex(oid, hex);
    snug_jo_cstr(o, hex);
}

static void put_urls(const hub *h, snug_json_out *o, const hub_repo_id *id, const char *rest)
{
    snug_jo_key(o, "url");
    snug_jo_begin_object(o);
    snug_jo_key(o, "web");
    snug_jo_strf(o, "%s/%s%s/%s%s", h->public_url, hub_type_web(id->type), id->ns, id->name, rest);
    snug_jo_key(o, "api");
    snug_jo_strf(o, "%s/api/%s/%s/%s%s", h->public_url, hub_type_plural(id->type), id->ns, id->name,
                 rest);
    snug_jo_end_object(o);
}

static void put_owner(snug_json_out *o, const char *ns)
{
    snug_jo_key(o, "owner");
    snug_jo_begin_object(o);
    snug_jo_key(o, "id"); /* the same for everything of this owner, whoever it is */
    char        hex[65];
    snug_sha256 d = snug_sha256_of(snug_str(ns));
    snug_hex(d.b, 12, hex);
    snug_jo_cstr(o, hex);
    snug_jo_kcstr(o, "name", ns);
    snug_jo_end_object(o);
}

static void put_repo(const hub *h, snug_json_out *o, const hub_news *n)
{
    const hub_repo_info *r = n->repo;
    snug_jo_key(o, "repo");
    snug_jo_begin_object(o);
    snug_jo_kcstr(o, "type", hub_type_name(r->id.type));
    snug_jo_key(o, "name");
    snug_jo_strf(o, "%s/%s", r->id.ns, r->id.name);
    snug_jo_kcstr(o, "id", r->oid24);
    snug_jo_kbool(o, "private", r->visibility != HUB_PUBLIC);
    put_urls(h, o, &r->id, "");
    put_oid(o, "headSha", n->head != NULL ? n->head : &r->head);
    snug_jo_key(o, "tags");
    snug_jo_raw(o, r->tags_json.len > 0 ? r->tags_json : SNUG_LIT("[]"));
    put_owner(o, r->id.ns);
    snug_jo_end_object(o);
}

static void put_author(snug_json_out *o, int64_t id)
{
    snug_jo_key(o, "author");
    snug_jo_begin_object(o);
    put_id(o, "id", id);
    snug_jo_end_object(o);
}

static void put_talk(const hub *h, snug_json_out *o, const hub_news *n)
{
    const store_discussion *d = n->talk;
    char                    rest[48];
    if (d == NULL) return;
    (void)snprintf(rest, sizeof rest, "/discussions/%lld", (long long)d->num);
    snug_jo_key(o, "discussion");
    snug_jo_begin_object(o);
    put_id(o, "id", d->id);
    snug_jo_kstr(o, "title", d->title);
    put_urls(h, o, &n->repo->id, rest);
    snug_jo_kcstr(o, "status", hub_talk_status_name((hub_talk_status)d->status));
    put_author(o, d->author_id);
    snug_jo_kbool(o, "isPullRequest", d->is_pull);
    if (d->is_pull) {
        snug_jo_key(o, "changes");
        snug_jo_begin_object(o);
        snug_jo_kstr(o, "base", d->base);
        if (d->status == STORE_TALK_MERGED && d->merge.len > 0)
            snug_jo_kstr(o, "mergeCommitId", d->merge);
        snug_jo_end_object(o);
    }
    snug_jo_ki64(o, "num", d->num);
    snug_jo_end_object(o);
}

static void put_comment(const hub *h, snug_json_out *o, const hub_news *n)
{
    const store_event *e = n->comment;
    if (e == NULL || n->talk == NULL) return;
    snug_jo_key(o, "comment");
    snug_jo_begin_object(o);
    snug_jo_kstr(o, "id", e->key);
    put_author(o, e->author_id);
    if (!e->hidden) snug_jo_kstr(o, "content", n->text);
    snug_jo_kbool(o, "hidden", e->hidden);
    snug_jo_key(o, "url");
    snug_jo_begin_object(o);
    snug_jo_key(o, "web");
    snug_jo_strf(o, "%s/%s%s/%s/discussions/%lld#%.*s", h->public_url,
                 hub_type_web(n->repo->id.type), n->repo->id.ns, n->repo->id.name,
                 (long long)n->talk->num, SNUG_SLICE(e->key));
    snug_jo_end_object(o);
    snug_jo_end_object(o);
}

static void put_refs(snug_json_out *o, const hub_news *n)
{
    if (n->move_count == 0) return;
    snug_jo_key(o, "updatedRefs");
    snug_jo_begin_array(o);
    for (size_t i = 0; i < n->move_count; i++) {
        snug_jo_begin_object(o);
        snug_jo_kstr(o, "ref", n->moves[i].ref);
        put_oid(o, "oldSha", n->moves[i].old);
        put_oid(o, "newSha", n->moves[i].now);
        snug_jo_end_object(o);
    }
    snug_jo_end_array(o);
}

static void put_rest(snug_json_out *o, const hub_news *n)
{
    put_refs(o, n);
    if (n->config.len > 0) {
        snug_jo_key(o, "updatedConfig");
        snug_jo_raw(o, n->config);
    }
    if (n->moved_to == NULL) return;
    snug_jo_key(o, "movedTo");
    snug_jo_begin_object(o);
    snug_jo_key(o, "name");
    snug_jo_strf(o, "%s/%s", n->moved_to->ns, n->moved_to->name);
    put_owner(o, n->moved_to->ns);
    snug_jo_end_object(o);
}

static snug_status write_letter(const hub *h, const hub_news *n, const store_hook *w, snug_buf *b,
                                snug_err *err)
{
    snug_json_out o = snug_json_out_init(b);
    b->len = 0;
    snug_jo_begin_object(&o);
    snug_jo_key(&o, "event");
    snug_jo_begin_object(&o);
    snug_jo_kcstr(&o, "action", n->action);
    snug_jo_kcstr(&o, "scope", n->scope);
    snug_jo_end_object(&o);
    put_repo(h, &o, n);
    put_talk(h, &o, n);
    put_comment(h, &o, n);
    put_rest(&o, n);
    snug_jo_key(&o, "webhook");
    snug_jo_begin_object(&o);
    snug_jo_kstr(&o, "id", w->key);
    snug_jo_ki64(&o, "version", 3);
    snug_jo_end_object(&o);
    snug_jo_end_object(&o);
    return snug_buf_check(b, "the letter of a webhook", err);
}

/* Would the owner of this webhook see it himself? */
static snug_status may_hear(db_txn *tx, snug_arena *a, const store_watcher *w,
                            const hub_repo_info *repo, bool *yes, snug_err *err)
{
    hub_actor   who = {.user_id = w->hook.user_id,
                       .name = w->user,
                       .is_admin = w->is_admin,
                       .scope = HUB_ROLE_READ};
    snug_status st = hub_load_orgs(tx, a, who.user_id, &who.orgs, err);
    *yes = st == SNUG_OK && hub_can_read(&who, repo);
    return st;
}

snug_status hub_add_letter(db_txn *tx, const store_hook *w, snug_slice event, snug_slice body,
                           int64_t *id, snug_err *err)
{
    snug_status    st = SNUG_OK;
    snug_arena    *a = snug_arena_new();
    int64_t        now = snug_now_ms();
    store_delivery d = {
        .hook_id = w->id, .due_ms = now, .event = event, .body = body, .created_ms = now};
    SNUG_TRY(store_add_delivery(tx, &d, id, err));
    snug_slice key = snug_arena_printf(a, "%lld", (long long)*id);
    snug_slice args = snug_arena_printf(a, "{\"delivery\":%lld}", (long long)*id);
    SNUG_TRY(store_add_job(tx, "webhook", key, args, now, err));
done:
    snug_arena_free(a);
    return st;
}

snug_status hub_tell(hub *h, db_txn *tx, const hub_news *n, snug_err *err)
{
    snug_status    st = SNUG_OK;
    snug_arena    *a = snug_arena_new();
    store_watcher *list;
    size_t         count;
    int64_t        id;
    snug_buf       b = snug_buf_init(BODY_MAX);
    int domain = snug_starts_with(snug_str(n->scope), "repo") ? HUB_HOOK_REPO : HUB_HOOK_DISCUSSION;
    snug_slice event = snug_arena_printf(a, "%s %s", n->scope, n->action);

    SNUG_TRY(store_list_watchers(tx, a, snug_str(hub_type_name(n->repo->id.type)),
                                 snug_str(n->repo->id.ns), snug_str(n->repo->id.name), domain,
                                 &list, &count, err));
    for (size_t i = 0; i < count; i++) {
        bool yes;
        SNUG_TRY(may_hear(tx, a, &list[i], n->repo, &yes, err));
        if (!yes) continue;
        SNUG_TRY(write_letter(h, n, &list[i].hook, &b, err));
        SNUG_TRY(hub_add_letter(tx, &list[i].hook, event, snug_buf_slice(&b), &id, err));
    }
    if (count > 0) hub_wake_jobs(h); /* it looks again within a second, should we not be done */
done:
    snug_buf_deinit(&b);
    snug_arena_free(a);
    return st;
}

/* ---- side branches and tags ----
 * Their movement changes no row, and git and the database have no common transaction. So it is
 * promised before the ref moves: a job "ref-news" waits with what the ref will be. The letter
 * takes the job away in its own transaction. After a crash in between, the healer (or the job)
 * looks where the ref stands: at the promised place, then the letter is written; else it never
 * moved, and the promise ends. Without a webhook that watches nothing is promised. */

enum { PROMISE_MS = 60000, PROMISES_MAX = 10000 };
static const char promise_kind[] = "ref-news";

static snug_slice promise_key(snug_arena *a, const hub_repo_info *info, const hub_ref_move *m)
{
    char hex[41] = "-";
    if (m->now != NULL) vcs_oid_hex(m->now, hex);
    return snug_arena_printf(a, "%lld %s %.*s", (long long)info->row, hex, SNUG_SLICE(m->ref));
}

static snug_status is_watched(db_txn *tx, snug_arena *a, const hub_repo_info *info, bool *yes,
                              snug_err *err)
{
    store_watcher *list;
    size_t         count = 0;
    snug_status    st =
        store_list_watchers(tx, a, snug_str(hub_type_name(info->id.type)), snug_str(info->id.ns),
                            snug_str(info->id.name), HUB_HOOK_REPO, &list, &count, err);
    *yes = count > 0;
    return st;
}

static snug_status add_promise(db_txn *tx, snug_arena *a, const hub_repo_info *info,
                               const hub_ref_move *m, snug_err *err)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(8192);
    snug_json_out o = snug_json_out_init(&b);
    snug_jo_begin_object(&o);
    snug_jo_ki64(&o, "repo", info->row);
    snug_jo_kstr(&o, "ref", m->ref);
    put_oid(&o, "old", m->old);
    put_oid(&o, "new", m->now);
    snug_jo_end_object(&o);
    snug_status st = snug_buf_check(&b, "the promise of a letter", err);
    return st != SNUG_OK ? st
                         : store_add_job(tx, promise_kind, promise_key(a, info, m),
                                         snug_buf_slice(&b), snug_now_ms() + PROMISE_MS, err);
}

snug_status hub_promise_ref(hub *h, const hub_repo_info *info, snug_slice ref, const vcs_oid *old,
                            const vcs_oid *now, snug_err *err)
{
    snug_status        st = SNUG_OK;
    snug_arena        *a = snug_arena_new();
    db_txn            *tx = NULL;
    const hub_ref_move m = {ref, old, now};
    bool               watched;

    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    SNUG_TRY(is_watched(tx, a, info, &watched, err));
    db_rollback(tx);
    tx = NULL;
    if (!watched) goto done;
    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(add_promise(tx, a, info, &m, err));
    st = db_end(tx, true, err);
    tx = NULL;
done:
    db_rollback(tx);
    snug_arena_free(a);
    return st;
}

/* The ref moved, whatever happens here. */
static snug_status tell_move(hub *h, const hub_repo_info *info, const hub_ref_move *m,
                             bool keep_promise, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    db_txn     *tx = NULL;
    bool        waits = false;
    hub_news    news = {
           .action = "update", .scope = "repo.content", .repo = info, .moves = m, .move_count = 1};

    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_drop_job(tx, promise_kind, promise_key(a, info, m), &waits, err));
    /* Promised and gone: the job told it. A webhook made after the promise hears of the next. */
    if (!waits && keep_promise) goto done;
    SNUG_TRY(hub_tell(h, tx, &news, err));
    st = db_end(tx, true, err);
    tx = NULL;
done:
    db_rollback(tx);
    snug_arena_free(a);
    return st;
}

void hub_tell_ref(hub *h, const hub_repo_info *info, snug_slice ref, const vcs_oid *old,
                  const vcs_oid *now)
{
    const hub_ref_move m = {ref, old, now};
    snug_err           err = {0};
    if (tell_move(h, info, &m, true, &err) != SNUG_OK)
        snug_log_err(SNUG_ERROR, "hub.news", &err); /* the job tells */
}

static bool read_place(snug_json v, const char *name, vcs_oid *out)
{
    return vcs_oid_parse(snug_json_str_or(v, name, SNUG_EMPTY), out);
}

snug_status hub_keep_promise(hub *h, snug_json args, snug_err *err)
{
    snug_status   st = SNUG_OK;
    snug_arena   *a = snug_arena_new();
    uint64_t      row = 0;
    hub_repo_info info;
    vcs_repo     *git = NULL;
    vcs_oid       old, now, at;
    bool          found, had = read_place(args, "old", &old), has = read_place(args, "new", &now);
    hub_ref_move  m = {snug_json_str_or(args, "ref", SNUG_EMPTY), had ? &old : NULL,
                      has ? &now : NULL};

    SNUG_TRY(snug_json_need_u64(args, "repo", &row, err));
    SNUG_TRY(hub_load_row(h, (int64_t)row, a, &info, &found, err));
    if (!found) goto done;
    SNUG_TRY(vcs_acquire(h->vcs, snug_str(info.key), &git, err));
    bool there = vcs_resolve_rev(git, m.ref, &at, NULL) == SNUG_OK;
    if (there == has && (!has || vcs_oid_eq(&at, &now)))
        SNUG_TRY(tell_move(h, &info, &m, false, err));
done:
    vcs_release(git);
    snug_arena_free(a);
    return st;
}

static snug_status heal_promise(hub *h, const store_job *j, snug_arena *a, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    snug_json   args;
    bool        found;
    SNUG_TRY(snug_json_parse(a, j->args, NULL, &args, err));
    SNUG_TRY(hub_keep_promise(h, args, err));
    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_drop_job(tx, promise_kind, j->key, &found, err));
    st = db_end(tx, true, err);
    tx = NULL;
done:
    db_rollback(tx);
    return st;
}

snug_status hub_heal_news(hub *h, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    db_txn     *tx = NULL;
    store_job  *list = NULL;
    size_t      count = 0;

    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    SNUG_TRY(store_list_waiting(tx, a, promise_kind, PROMISES_MAX, &list, &count, err));
    db_rollback(tx);
    tx = NULL;
    for (size_t i = 0; i < count; i++) {
        snug_err one = {0}; /* the job tries again */
        if (heal_promise(h, &list[i], a, &one) != SNUG_OK)
            snug_log_err(SNUG_ERROR, "hub.news.heal", &one);
    }
done:
    db_rollback(tx);
    snug_arena_free(a);
    return st;
}
