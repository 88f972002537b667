/* SPDX-License-Identifier: Apache-2.0 */
/* hub/discussions.c - what people say about a repository.
 *
 * For:     api/discussions.c and pages.
 * Owns:    who may say and change what. Whoever reads a repository may speak in it.
 * Threads: the opened repository's thread.
 * Truth:   a change is one transaction: the row and its event appear together. A hidden comment has
 *          no text anywhere. */
#include "hub/hub_int.h"

enum { TITLE_MAX = 500, COMMENT_MAX = 64 << 10 };

const char *hub_talk_status_name(hub_talk_status s)
{
    static const char *const names[] = {"none", "open", "closed", "merged", "draft"};
    SNUG_ASSERT((size_t)s < sizeof names / sizeof names[0]);
    return names[s];
}

/* ---- checks ---- */

static bool is_text(snug_slice s)
{
    return snug_utf8_valid(s) && (s.len == 0 || memchr(s.ptr, '\0', s.len) == NULL);
}

snug_status hub_check_title(snug_slice title, snug_slice *trimmed, snug_err *err)
{
    *trimmed = snug_trim(title);
    if (trimmed->len == 0 || trimmed->len > TITLE_MAX || !is_text(*trimmed))
        return snug_fail(err, SNUG_EINVAL, "\"title\" must be text of 1 to %d bytes",
                         (int)TITLE_MAX);
    for (size_t i = 0; i < trimmed->len; i++) {
        if ((unsigned char)trimmed->ptr[i] < 0x20)
            return snug_fail(err, SNUG_EINVAL, "\"title\" must be one line");
    }
    return SNUG_OK;
}

snug_status hub_check_comment(snug_slice text, snug_err *err)
{
    if (text.len <= COMMENT_MAX && is_text(text)) return SNUG_OK;
    return snug_fail(err, SNUG_EINVAL, "a comment is text of at most %d bytes", (int)COMMENT_MAX);
}

static snug_status need_words(snug_slice text, snug_err *err)
{
    snug_status st = hub_check_comment(text, err);
    if (st == SNUG_OK && snug_trim(text).len == 0)
        return snug_fail(err, SNUG_EINVAL, "a comment cannot be empty");
    return st;
}

snug_status hub_need_voice(const hub *h, const hub_actor *who, snug_err *err)
{
    return hub_need_writer(h, who, err); /* an account, a token that may write, a server too */
}

static bool is_author(const hub_actor *who, int64_t author_id)
{
    return !hub_is_anonymous(who) && who->user_id == author_id;
}

/* ---- rows ---- */

static void talk_of_row(const store_discussion *d, hub_talk *out)
{
    *out = (hub_talk){.row = d->id,
                      .num = d->num,
                      .is_pull = d->is_pull,
                      .status = (hub_talk_status)d->status,
                      .title = d->title,
                      .author = d->author,
                      .created_ms = d->created_ms,
                      .base = d->base,
                      .fork = d->fork,
                      .head = d->head,
                      .merge = d->merge};
}

static void event_of_row(const store_event *e, hub_event *out)
{
    *out = (hub_event){.key = e->key,
                       .kind = (hub_event_kind)e->kind,
                       .author = e->author,
                       .first = e->first,
                       .second = e->second,
                       .created_ms = e->created_ms,
                       .hidden = e->hidden};
}

static snug_status fail_no_talk(int64_t num, snug_err *err)
{
    return snug_fail(err, SNUG_ENOTFOUND, "There is no discussion or pull request %lld here",
                     (long long)num);
}

snug_status hub_load_talk(hub *h, int64_t repo, int64_t num, snug_arena *a, store_discussion *out,
                          snug_err *err)
{
    db_txn     *tx = NULL;
    bool        found = false;
    snug_status st = db_begin(h->db, DB_READ, &tx, err);
    if (st == SNUG_OK) st = store_find_discussion(tx, a, repo, num, out, &found, err);
    db_rollback(tx);
    if (st == SNUG_OK && (!found || out->status == STORE_TALK_MAKING)) st = fail_no_talk(num, err);
    return st;
}

snug_status hub_list_talks(hub *h, hub_repo *r, const hub_talk_query *q, snug_arena *a,
                           hub_talk **out, size_t *count, uint64_t *total, snug_err *err)
{
    snug_status       st = SNUG_OK;
    db_txn           *tx = NULL;
    store_discussion *rows;
    store_talk_query  want = {.repo = r->info.row,
                              .kind = q->kind,
                              .status = (store_talk_filter)q->status,
                              .author = q->author,
                              .skip = q->skip,
                              .limit = q->limit};

    *count = 0;
    if (q->author.len > HUB_NAME_MAX || !is_text(q->author))
        SNUG_FAIL(err, SNUG_EINVAL, "\"author\" is too long or not text");
    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    SNUG_TRY(store_list_discussions(tx, a, &want, &rows, count, total, err));
    *out = snug_arena_alloc(a, (*count + 1) * sizeof **out);
    for (size_t i = 0; i < *count; i++) talk_of_row(&rows[i], &(*out)[i]);
done:
    db_rollback(tx);
    return st;
}

snug_status hub_find_talk(hub *h, hub_repo *r, int64_t num, snug_arena *a, hub_talk *out,
                          snug_err *err)
{
    snug_status      st = SNUG_OK;
    store_discussion d;
    vcs_oid          tip;
    char             hex[41];
    bool             locked = false;

    SNUG_TRY(hub_load_talk(h, r->info.row, num, a, &d, err));
    if (d.is_pull && (d.status == STORE_TALK_OPEN || d.status == STORE_TALK_DRAFT)) {
        snug_slice ref = snug_arena_printf(a, "refs/pr/%lld", (long long)num);
        SNUG_TRY(vcs_resolve_rev(r->git, ref, &tip, err));
        vcs_oid_hex(&tip, hex);
        if (!snug_eq_str(d.head, hex) && !h->read_only) { /* a push, or a crash behind the ref */
            SNUG_TRY(hub_lock_repo(h, r->info.row, err));
            locked = true;
            SNUG_TRY(hub_sync_pull_locked(h, &r->info, r->git, num, err));
            SNUG_TRY(hub_load_talk(h, r->info.row, num, a, &d, err));
        }
    }
    talk_of_row(&d, out);
done:
    if (locked) hub_unlock_repo(h, r->info.row);
    return st;
}

/* Hands out the texts to the comments they belong to; both are in the order of events. */
static void deal_texts(hub_event *events, const store_event *rows, size_t n, hub_talk_text *texts,
                       const store_text *text_rows, size_t text_count)
{
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        while (at < text_count && text_rows[at].event_id < rows[i].id) at++;
        events[i].texts = &texts[at];
        while (at < text_count && text_rows[at].event_id == rows[i].id) {
            texts[at] = (hub_talk_text){.text = text_rows[at].text,
                                        .author = text_rows[at].author,
                                        .written_ms = text_rows[at].written_ms};
            at++;
            events[i].text_count++;
        }
    }
}

static snug_status load_events(db_txn *tx, int64_t talk, snug_arena *a, hub_event **out,
                               size_t *count, snug_err *err)
{
    snug_status  st = SNUG_OK;
    store_event *rows;
    store_text  *texts;
    size_t       text_count;

    *count = 0;
    SNUG_TRY(store_list_events(tx, a, talk, &rows, count, err));
    SNUG_TRY(store_list_texts(tx, a, talk, 0, &texts, &text_count, err));
    *out = snug_arena_zalloc(a, (*count + 1) * sizeof **out);
    hub_talk_text *dealt = snug_arena_zalloc(a, (text_count + 1) * sizeof *dealt);
    for (size_t i = 0; i < *count; i++) event_of_row(&rows[i], &(*out)[i]);
    deal_texts(*out, rows, *count, dealt, texts, text_count);
done:
    return st;
}

snug_status hub_list_talk_events(hub *h, const hub_talk *t, snug_arena *a, hub_event **out,
                                 size_t *count, snug_err *err)
{
    db_txn     *tx = NULL;
    snug_status st = db_begin(h->db, DB_READ, &tx, err);
    if (st == SNUG_OK) st = load_events(tx, t->row, a, out, count, err);
    db_rollback(tx);
    return st;
}

/* One event as it stands, inside the transaction that changed it. */
static snug_status show_event(db_txn *tx, const store_event *e, snug_arena *a, hub_event *out,
                              snug_err *err)
{
    snug_status st = SNUG_OK;
    store_text *texts;
    size_t      count;

    event_of_row(e, out);
    out->key = snug_arena_dup(a, e->key);
    out->author = snug_arena_dup(a, e->author);
    out->first = snug_arena_dup(a, e->first);
    out->second = snug_arena_dup(a, e->second);
    if (e->kind != STORE_EVENT_COMMENT || e->hidden) goto done;
    SNUG_TRY(store_list_texts(tx, a, e->discussion_id, e->id, &texts, &count, err));
    hub_talk_text *dealt = snug_arena_zalloc(a, (count + 1) * sizeof *dealt);
    deal_texts(out, e, 1, dealt, texts, count);
done:
    return st;
}

snug_status hub_put_event(db_txn *tx, const hub_actor *who, int64_t discussion,
                          store_event_kind kind, snug_slice first, snug_slice second,
                          snug_slice text, store_event *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    char        key[25];
    store_event e = {.discussion_id = discussion,
                     .kind = kind,
                     .author_id = who->user_id,
                     .author = who->name,
                     .created_ms = snug_now_ms(),
                     .first = first,
                     .second = second};

    hub_random_id(key);
    e.key = snug_str(key);
    SNUG_TRY(store_add_event(tx, &e, &e.id, err));
    if (kind == STORE_EVENT_COMMENT)
        SNUG_TRY(store_add_text(tx, &e, text, who->name, e.created_ms, err));
    if (out != NULL) {
        *out = e;
        (void)snprintf(out->key_text, sizeof out->key_text, "%s", key);
        out->key = snug_str(out->key_text);
    }
done:
    return st;
}

/* ---- one change: a transaction around the row as it is now ---- */

typedef struct change {
    hub             *h;
    const hub_actor *who;
    hub_repo        *r;
    snug_arena      *a;
    db_txn          *tx;
    store_discussion d;
    bool             writer;
    snug_slice       text, key;
    hub_talk_status  status;
    hub_event       *out;
} change;

typedef snug_status change_step(change *c, snug_err *err);

static snug_status make_change(change *c, int64_t num, change_step *step, snug_err *err)
{
    snug_status st = SNUG_OK;
    bool        found;

    SNUG_TRY(hub_need_voice(c->h, c->who, err));
    c->writer = hub_can_write(c->who, &c->r->info);
    SNUG_TRY(db_begin(c->h->db, DB_WRITE, &c->tx, err));
    SNUG_TRY(store_find_discussion(c->tx, c->a, c->r->info.row, num, &c->d, &found, err));
    if (!found || c->d.status == STORE_TALK_MAKING) {
        st = fail_no_talk(num, err);
        goto done;
    }
    SNUG_TRY(step(c, err));
    st = db_end(c->tx, true, err);
    c->tx = NULL;
done:
    db_rollback(c->tx);
    return st;
}

static snug_status tell_comment(change *c, const char *action, const store_event *e,
                                snug_slice text, snug_err *err)
{
    hub_news news = {.action = action,
                     .scope = "discussion.comment",
                     .repo = &c->r->info,
                     .talk = &c->d,
                     .comment = e,
                     .text = text};
    return hub_tell(c->h, c->tx, &news, err);
}

static snug_status tell_talk(change *c, snug_err *err)
{
    hub_news news = {.action = "update", .scope = "discussion", .repo = &c->r->info, .talk = &c->d};
    return hub_tell(c->h, c->tx, &news, err);
}

/* Adds an event and gives it back as it will be seen. */
static snug_status add_event(change *c, store_event_kind kind, snug_slice first, snug_slice second,
                             snug_slice text, snug_err *err)
{
    snug_status st = SNUG_OK;
    store_event e, *all;
    size_t      count;

    SNUG_TRY(hub_put_event(c->tx, c->who, c->d.id, kind, first, second, text, &e, err));
    if (kind == STORE_EVENT_COMMENT) SNUG_TRY(tell_comment(c, "create", &e, text, err));
    if (c->out == NULL) goto done;
    SNUG_TRY(store_list_events(c->tx, c->a, c->d.id, &all, &count, err));
    SNUG_ASSERT(count > 0);
    SNUG_TRY(show_event(c->tx, &all[count - 1], c->a, c->out, err));
done:
    return st;
}

static snug_status step_comment(change *c, snug_err *err)
{
    return add_event(c, STORE_EVENT_COMMENT, SNUG_EMPTY, SNUG_EMPTY, c->text, err);
}

snug_status hub_add_comment(hub *h, const hub_actor *who, hub_repo *r, int64_t num, snug_slice text,
                            snug_arena *a, hub_event *out, snug_err *err)
{
    change      c = {.h = h, .who = who, .r = r, .a = a, .text = text, .out = out};
    snug_status st = need_words(text, err);
    return st != SNUG_OK ? st : make_change(&c, num, step_comment, err);
}

static snug_status find_comment(change *c, store_event *e, snug_err *err)
{
    bool        found = false;
    snug_status st = SNUG_OK;
    if (c->key.len == 24) st = store_find_event(c->tx, c->a, c->d.id, c->key, e, &found, err);
    if (st == SNUG_OK && (!found || e->kind != STORE_EVENT_COMMENT))
        return snug_fail(err, SNUG_ENOTFOUND, "There is no such comment in discussion %lld",
                         (long long)c->d.num);
    return st;
}

static snug_status step_edit(change *c, snug_err *err)
{
    snug_status st = SNUG_OK;
    store_event e;

    SNUG_TRY(find_comment(c, &e, err));
    if (!is_author(c->who, e.author_id))
        SNUG_FAIL(err, SNUG_EFORBIDDEN, "Only its author can edit a comment");
    if (e.hidden) SNUG_FAIL(err, SNUG_EFORBIDDEN, "This comment was hidden");
    SNUG_TRY(store_add_text(c->tx, &e, c->text, c->who->name, snug_now_ms(), err));
    SNUG_TRY(tell_comment(c, "update", &e, c->text, err));
    SNUG_TRY(show_event(c->tx, &e, c->a, c->out, err));
done:
    return st;
}

snug_status hub_edit_comment(hub *h, const hub_actor *who, hub_repo *r, int64_t num, snug_slice key,
                             snug_slice text, snug_arena *a, hub_event *out, snug_err *err)
{
    change      c = {.h = h, .who = who, .r = r, .a = a, .text = text, .key = key, .out = out};
    snug_status st = need_words(text, err);
    return st != SNUG_OK ? st : make_change(&c, num, step_edit, err);
}

static snug_status step_hide(change *c, snug_err *err)
{
    snug_status st = SNUG_OK;
    store_event e;

    SNUG_TRY(find_comment(c, &e, err));
    if (!c->writer && !is_author(c->who, e.author_id))
        SNUG_FAIL(err, SNUG_EFORBIDDEN, "Only its author and writers can hide a comment");
    SNUG_TRY(store_hide_event(c->tx, e.id, err));
    e.hidden = true;
    SNUG_TRY(tell_comment(c, "update", &e, SNUG_EMPTY, err));
    SNUG_TRY(show_event(c->tx, &e, c->a, c->out, err));
done:
    return st;
}

snug_status hub_hide_comment(hub *h, const hub_actor *who, hub_repo *r, int64_t num, snug_slice key,
                             snug_arena *a, hub_event *out, snug_err *err)
{
    change c = {.h = h, .who = who, .r = r, .a = a, .key = key, .out = out};
    return make_change(&c, num, step_hide, err);
}

static snug_status need_say(const change *c, snug_err *err)
{
    if (c->writer || is_author(c->who, c->d.author_id)) return SNUG_OK;
    return snug_fail(err, SNUG_EFORBIDDEN,
                     "Only the author of this discussion and writers can change it");
}

static snug_status step_rename(change *c, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_slice  old = c->d.title;

    SNUG_TRY(need_say(c, err));
    c->d.title = c->text;
    SNUG_TRY(store_set_discussion(c->tx, &c->d, err));
    SNUG_TRY(tell_talk(c, err));
    SNUG_TRY(add_event(c, STORE_EVENT_TITLE, old, c->text, SNUG_EMPTY, err));
done:
    return st;
}

snug_status hub_rename_talk(hub *h, const hub_actor *who, hub_repo *r, int64_t num,
                            snug_slice title, snug_arena *a, hub_event *out, snug_err *err)
{
    change      c = {.h = h, .who = who, .r = r, .a = a, .out = out};
    snug_status st = hub_check_title(title, &c.text, err);
    return st != SNUG_OK ? st : make_change(&c, num, step_rename, err);
}

static snug_status step_status(change *c, snug_err *err)
{
    snug_status st = SNUG_OK;
    const char *name = hub_talk_status_name(c->status);

    SNUG_TRY(need_say(c, err));
    if (c->d.status == STORE_TALK_MERGED)
        SNUG_FAIL(err, SNUG_EINVAL, "Pull request %lld was merged and stays so",
                  (long long)c->d.num);
    if ((int)c->d.status == (int)c->status)
        SNUG_FAIL(err, SNUG_EINVAL, "Discussion %lld is %s already", (long long)c->d.num, name);
    c->d.status = (store_talk)c->status;
    SNUG_TRY(store_set_discussion(c->tx, &c->d, err));
    if (snug_trim(c->text).len > 0)
        SNUG_TRY(add_event(c, STORE_EVENT_COMMENT, SNUG_EMPTY, SNUG_EMPTY, c->text, err));
    SNUG_TRY(tell_talk(c, err));
    SNUG_TRY(add_event(c, STORE_EVENT_STATUS, snug_str(name), SNUG_EMPTY, SNUG_EMPTY, err));
done:
    return st;
}

snug_status hub_set_talk_status(hub *h, const hub_actor *who, hub_repo *r, int64_t num,
                                hub_talk_status status, snug_slice comment, snug_arena *a,
                                hub_event *out, snug_err *err)
{
    change c = {.h = h, .who = who, .r = r, .a = a, .text = comment, .status = status, .out = out};
    snug_status st = hub_check_comment(comment, err);
    if (st != SNUG_OK) return st;
    if (status != HUB_TALK_OPEN && status != HUB_TALK_CLOSED)
        return snug_fail(err, SNUG_EINVAL, "\"status\" must be \"open\" or \"closed\"");
    return make_change(&c, num, step_status, err);
}
