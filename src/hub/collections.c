/* SPDX-License-Identifier: Apache-2.0 */
/* hub/collections.c - lists of things worth keeping together.
 *
 * For:     api/collections.c.
 * Owns:    the slug: owner, title in words, and a key that never changes and alone decides.
 * Threads: any.
 * Truth:   a private collection is absent for those outside its namespace; an item nobody told the
 *          reader about is left out of what he is shown. */
#include "hub/hub_int.h"

enum {
    KEY_LEN = 24,
    TITLE_MAX = 60,
    DESCRIPTION_MAX = 150,
    NOTE_MAX = 500,
    PREVIEW_ITEMS = 4,
    LIST_MAX = 100,
    WORDS_MAX = 40
};

/* ---- texts ---- */

static snug_status check_text(snug_slice s, size_t min, size_t max, const char *what, snug_err *err)
{
    size_t     chars = 0;
    snug_slice rest = s;
    bool       ok = s.len <= max * 4 && snug_utf8_valid(s) &&
              (s.len == 0 || memchr(s.ptr, '\0', s.len) == NULL);
    for (; ok && rest.len > 0; chars++) (void)snug_utf8_next(&rest);
    if (ok && chars >= min && chars <= max) return SNUG_OK;
    return snug_fail(err, SNUG_EINVAL, "\"%s\" must be text of %zu to %zu characters", what, min,
                     max);
}

static bool is_theme(snug_slice s)
{
    static const char *const themes[] = {"orange", "blue", "green", "purple", "pink", "indigo"};
    for (size_t i = 0; i < sizeof themes / sizeof themes[0]; i++) {
        if (snug_eq_str(s, themes[i])) return true;
    }
    return false;
}

/* "My Models, 2nd" -> "my-models-2nd" */
static void put_words(snug_buf *b, snug_slice title)
{
    size_t start = b->len;
    bool   gap = false;
    for (size_t i = 0; i < title.len && b->len - start < WORDS_MAX; i++) {
        char c = title.ptr[i];
        if (c >= 'A' && c <= 'Z') c = (char)(c - 'A' + 'a');
        if ((c < 'a' || c > 'z') && (c < '0' || c > '9')) {
            gap = b->len > start;
            continue;
        }
        if (gap) snug_buf_putc(b, '-');
        gap = false;
        snug_buf_putc(b, c);
    }
    if (b->len == start) snug_buf_puts(b, "collection");
}

static snug_slice slug_of(snug_arena *a, const store_collection *c)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(512);
    snug_buf_printf(&b, "%.*s/", SNUG_SLICE(c->ns));
    put_words(&b, c->title);
    snug_buf_printf(&b, "-%.*s", SNUG_SLICE(c->key));
    return snug_arena_dup(a, snug_buf_slice(&b));
}

static void show(snug_arena *a, const store_collection *c, hub_collection *out)
{
    *out = (hub_collection){.row = c->id,
                            .slug = slug_of(a, c),
                            .ns = c->ns,
                            .title = c->title,
                            .description = c->description,
                            .theme = c->theme,
                            .is_private = c->is_private,
                            .position = c->position,
                            .updated_ms = c->updated_ms};
}

/* ---- finding ---- */

static bool can_see(const hub_actor *who, const store_collection *c)
{
    return !c->is_private || hub_role_in(who, c->ns) >= HUB_ROLE_READ;
}

static snug_status fail_absent(snug_slice slug, snug_err *err)
{
    return snug_fail(err, SNUG_ENOTFOUND, "There is no collection \"%.*s\"",
                     SNUG_SLICE(snug_sub(slug, 0, 200)));
}

static snug_status load(db_txn *tx, const hub_actor *who, snug_slice slug, snug_arena *a,
                        store_collection *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    bool        found = false;
    snug_slice  ns, rest = slug;

    if (slug.len > KEY_LEN && snug_split(&rest, '/', &ns))
        SNUG_TRY(store_find_collection(tx, a, snug_sub(slug, slug.len - KEY_LEN, KEY_LEN), out,
                                       &found, err));
    if (!found || !snug_eq_nocase(ns, out->ns) || !can_see(who, out)) st = fail_absent(slug, err);
done:
    return st;
}

/* What an item stands for, if the reader may know it. */
static snug_status show_item(db_txn *tx, const hub_actor *who, const store_item *i, snug_arena *a,
                             hub_item *out, bool *seen, snug_err *err)
{
    snug_status      st = SNUG_OK;
    store_repo       row;
    store_collection nested;
    int64_t          id;
    bool             found;

    *out = (hub_item){.key = i->key,
                      .note = i->note,
                      .kind = (hub_item_kind)i->kind,
                      .target = i->target,
                      .position = i->position};
    *seen = true;
    if (i->kind == STORE_ITEM_COLLECTION) {
        SNUG_TRY(store_find_collection(tx, a, i->target, &nested, &found, err));
        *seen = found && can_see(who, &nested);
        if (*seen) out->target = slug_of(a, &nested);
    }
    if (i->kind != STORE_ITEM_REPO) goto done;
    *seen = false;
    if (!snug_parse_i64(i->target, &id)) goto done;
    SNUG_TRY(store_get_repo(tx, a, id, &row, &found, err));
    if (!found || row.state != STORE_LIVE) goto done;
    hub_repo_info *info = SNUG_NEW(a, hub_repo_info);
    hub_info_of_row(&row, info);
    *seen = hub_can_read(who, info);
    out->repo = info;
done:
    return st;
}

static snug_status load_items(db_txn *tx, const hub_actor *who, size_t max, snug_arena *a,
                              hub_collection *c, snug_err *err)
{
    snug_status st = SNUG_OK;
    store_item *rows;
    size_t      count;

    SNUG_TRY(store_list_items(tx, a, c->row, &rows, &count, err));
    c->items = snug_arena_zalloc(a, (count + 1) * sizeof *c->items);
    for (size_t i = 0; i < count && c->item_count < max; i++) {
        bool seen;
        SNUG_TRY(show_item(tx, who, &rows[i], a, &c->items[c->item_count], &seen, err));
        if (seen) c->item_count++;
    }
done:
    return st;
}

snug_status hub_find_collection(hub *h, const hub_actor *who, snug_slice slug, snug_arena *a,
                                hub_collection *out, snug_err *err)
{
    snug_status      st = SNUG_OK;
    db_txn          *tx = NULL;
    store_collection c;

    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    SNUG_TRY(load(tx, who, slug, a, &c, err));
    show(a, &c, out);
    SNUG_TRY(load_items(tx, who, STORE_ITEMS_MAX, a, out, err));
done:
    db_rollback(tx);
    return st;
}

/* ---- what an item refers to ---- */

/* type and id as clients write them -> kind and target. *known false: no such thing for him. */
static snug_status find_target(db_txn *tx, const hub_actor *who, snug_slice type, snug_slice id,
                               snug_arena *a, store_item *out, bool *known, snug_err *err)
{
    snug_status      st = SNUG_OK;
    hub_repo_id      repo;
    hub_type         t;
    snug_slice       ns, rest = id;
    store_repo       row;
    store_collection nested;
    hub_repo_info    info;

    *known = false;
    if (snug_eq_str(type, "paper") || snug_eq_str(type, "papers")) {
        *known = id.len >= 9 && id.len <= 12 && id.ptr[4] == '.';
        for (size_t i = 0; i < id.len && *known; i++)
            *known = i == 4 || (id.ptr[i] >= '0' && id.ptr[i] <= '9');
        out->kind = STORE_ITEM_PAPER;
        out->target = id;
    } else if (snug_eq_str(type, "collection") || snug_eq_str(type, "collections")) {
        st = load(tx, who, id, a, &nested, err);
        *known = st == SNUG_OK;
        if (st == SNUG_ENOTFOUND) st = SNUG_OK;
        out->kind = STORE_ITEM_COLLECTION;
        if (*known) out->target = nested.key;
    } else if (hub_type_parse(type, &t)) {
        if (!snug_split(&rest, '/', &ns) || hub_parse_id(t, ns, rest, &repo, NULL) != SNUG_OK)
            goto done;
        SNUG_TRY(store_find_repo(tx, a, (int)t, hub_key_of(a, &repo), &row, known, err));
        *known = *known && row.state == STORE_LIVE;
        if (!*known) goto done;
        hub_info_of_row(&row, &info);
        *known = hub_can_read(who, &info);
        out->kind = STORE_ITEM_REPO;
        out->target = snug_arena_printf(a, "%lld", (long long)row.id);
    } else {
        SNUG_FAIL(err, SNUG_EINVAL,
                  "\"type\" must be one of model, dataset, space, paper and collection");
    }
done:
    return st;
}

/* ---- list ---- */

static snug_status read_picks(db_txn *tx, const hub_actor *who, const hub_collection_query *q,
                              snug_arena *a, store_collection_query *s, snug_err *err)
{
    snug_status st = SNUG_OK;
    if (q->owner_count > STORE_PICK_MAX || q->item_count > STORE_PICK_MAX)
        SNUG_FAIL(err, SNUG_EINVAL, "at most %d of \"owner\" and of \"item\"", (int)STORE_PICK_MAX);
    for (size_t i = 0; i < q->owner_count; i++) {
        SNUG_TRY(check_text(q->owners[i], 1, HUB_NAME_MAX, "owner", err));
        s->owners[s->owner_count++] = q->owners[i];
    }
    for (size_t i = 0; i < q->item_count; i++) {
        snug_slice type, id = q->items[i];
        store_item item;
        bool       known;
        if (!snug_split(&id, '/', &type))
            SNUG_FAIL(err, SNUG_EINVAL, "\"item\" must look like models/ns/name");
        SNUG_TRY(find_target(tx, who, type, id, a, &item, &known, err));
        s->targets[s->target_count++] = known ? item.target : SNUG_LIT(" "); /* matches nothing */
    }
done:
    return st;
}

static bool read_cursor(snug_slice cursor, store_collection_query *s)
{
    snug_slice ms, rest = cursor;
    s->has_after = snug_split(&rest, '-', &ms) && snug_parse_i64(ms, &s->after_ms) &&
                   snug_parse_i64(rest, &s->after_id) && s->after_ms >= 0 && s->after_id >= 0 &&
                   s->after_id <= INT32_MAX;
    return s->has_after;
}

snug_status hub_list_collections(hub *h, const hub_actor *who, const hub_collection_query *q,
                                 snug_arena *a, hub_collection **out, size_t *count,
                                 snug_slice *next, snug_err *err)
{
    snug_status            st = SNUG_OK;
    db_txn                *tx = NULL;
    store_collection      *rows;
    store_collection_query s = {.who = hub_reader_of(who), .text = q->text, .limit = q->limit + 1};

    *count = 0;
    *next = SNUG_EMPTY;
    SNUG_ASSERT(q->limit > 0 && q->limit <= LIST_MAX);
    SNUG_TRY(check_text(q->text, 0, TITLE_MAX, "q", err));
    if (q->cursor.len > 0 && !read_cursor(q->cursor, &s))
        SNUG_FAIL(err, SNUG_EINVAL, "\"cursor\" does not belong to this list");
    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    SNUG_TRY(read_picks(tx, who, q, a, &s, err));
    SNUG_TRY(store_list_collections(tx, a, &s, &rows, count, err));
    if (*count > q->limit) {
        *count = q->limit;
        *next = snug_arena_printf(a, "%lld-%lld", (long long)rows[*count - 1].updated_ms,
                                  (long long)rows[*count - 1].id);
    }
    *out = snug_arena_alloc(a, (*count + 1) * sizeof **out);
    for (size_t i = 0; i < *count; i++) {
        show(a, &rows[i], &(*out)[i]);
        SNUG_TRY(load_items(tx, who, PREVIEW_ITEMS, a, &(*out)[i], err));
    }
done:
    db_rollback(tx);
    if (st != SNUG_OK) *count = 0;
    return st;
}

/* ---- changes ---- */

static snug_status need_keeper(hub *h, const hub_actor *who, snug_slice ns, snug_err *err)
{
    snug_status st = hub_need_voice(h, who, err);
    if (st == SNUG_OK && hub_role_in(who, ns) < HUB_ROLE_WRITE)
        return snug_fail(err, SNUG_EFORBIDDEN,
                         "Only members who write change collections of \"%.*s\"",
                         SNUG_SLICE(snug_sub(ns, 0, HUB_NAME_MAX)));
    return st;
}

snug_status hub_create_collection(hub *h, const hub_actor *who, snug_slice ns, snug_slice title,
                                  snug_slice description, bool is_private, snug_arena *a,
                                  hub_collection *out, snug_err *err)
{
    snug_status      st = SNUG_OK;
    db_txn          *tx = NULL;
    store_collection same;
    bool             found;
    char             key[25];
    store_collection c = {.ns = ns.len > 0 ? ns : who->name,
                          .title = snug_trim(title),
                          .description = description,
                          .theme = SNUG_LIT("orange"),
                          .is_private = is_private,
                          .created_ms = snug_now_ms()};

    SNUG_TRY(hub_need_voice(h, who, err));
    SNUG_TRY(check_text(c.ns, 1, HUB_NAME_MAX, "namespace", err));
    SNUG_TRY(need_keeper(h, who, c.ns, err));
    SNUG_TRY(hub_check_name(c.ns, "namespace", err));
    SNUG_TRY(check_text(c.title, 1, TITLE_MAX, "title", err));
    SNUG_TRY(check_text(description, 0, DESCRIPTION_MAX, "description", err));
    hub_random_id(key);
    c.key = snug_str(key);
    c.updated_ms = c.created_ms;
    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_same_collection(tx, a, c.ns, c.title, &same, &found, err));
    if (found) {
        show(a, &same, out);
        SNUG_FAIL(err, SNUG_ECONFLICT, "There is a collection of that title already");
    }
    SNUG_TRY(store_add_collection(tx, &c, &c.id, err));
    st = db_end(tx, true, err);
    tx = NULL;
    c.key = snug_arena_dup(a, c.key);
    show(a, &c, out);
done:
    db_rollback(tx);
    return st;
}

/* A transaction around one collection the caller keeps. */
typedef struct editing {
    hub             *h;
    const hub_actor *who;
    snug_arena      *a;
    db_txn          *tx;
    store_collection c;
} editing;

static snug_status begin_edit(editing *e, snug_slice slug, snug_err *err)
{
    snug_status st = SNUG_OK;
    SNUG_TRY(hub_need_voice(e->h, e->who, err));
    SNUG_TRY(db_begin(e->h->db, DB_WRITE, &e->tx, err));
    SNUG_TRY(load(e->tx, e->who, slug, e->a, &e->c, err));
    SNUG_TRY(need_keeper(e->h, e->who, e->c.ns, err));
done:
    return st;
}

static snug_status end_edit(editing *e, snug_err *err)
{
    snug_status st = SNUG_OK;
    e->c.updated_ms = snug_now_ms();
    SNUG_TRY(store_set_collection(e->tx, &e->c, err));
    st = db_end(e->tx, true, err);
    e->tx = NULL;
done:
    return st;
}

snug_status hub_edit_collection(hub *h, const hub_actor *who, snug_slice slug,
                                const hub_collection_edit *w, snug_arena *a, hub_collection *out,
                                snug_err *err)
{
    snug_status st = SNUG_OK;
    editing     e = {.h = h, .who = who, .a = a};

    SNUG_TRY(begin_edit(&e, slug, err));
    if (w->title != NULL) {
        e.c.title = snug_trim(*w->title);
        SNUG_TRY(check_text(e.c.title, 1, TITLE_MAX, "title", err));
    }
    if (w->description != NULL) {
        e.c.description = *w->description;
        SNUG_TRY(check_text(e.c.description, 0, DESCRIPTION_MAX, "description", err));
    }
    if (w->theme != NULL) {
        if (!is_theme(*w->theme))
            SNUG_FAIL(err, SNUG_EINVAL,
                      "\"theme\" must be one of orange, blue, green, purple, pink, indigo");
        e.c.theme = *w->theme;
    }
    if (w->is_private != NULL) e.c.is_private = *w->is_private;
    if (w->position != NULL) {
        if (*w->position < 0 || *w->position > INT32_MAX)
            SNUG_FAIL(err, SNUG_EINVAL, "\"position\" is a number from 0");
        e.c.position = *w->position;
    }
    SNUG_TRY(end_edit(&e, err));
    SNUG_TRY(hub_find_collection(h, who, slug, a, out, err));
done:
    db_rollback(e.tx);
    return st;
}

snug_status hub_drop_collection(hub *h, const hub_actor *who, snug_slice slug, snug_err *err)
{
    snug_status st = SNUG_OK;
    editing     e = {.h = h, .who = who, .a = snug_arena_new()};

    SNUG_TRY(begin_edit(&e, slug, err));
    SNUG_TRY(store_drop_collection(e.tx, &e.c, err));
    st = db_end(e.tx, true, err);
    e.tx = NULL;
done:
    db_rollback(e.tx);
    snug_arena_free(e.a);
    return st;
}

snug_status hub_add_item(hub *h, const hub_actor *who, snug_slice slug, snug_slice type,
                         snug_slice id, snug_slice note, snug_arena *a, hub_collection *out,
                         snug_err *err)
{
    snug_status st = SNUG_OK;
    editing     e = {.h = h, .who = who, .a = a};
    store_item  item = {.note = note}, *all;
    size_t      count;
    bool        known;
    char        key[25];

    SNUG_TRY(check_text(note, 0, NOTE_MAX, "note", err));
    SNUG_TRY(begin_edit(&e, slug, err));
    SNUG_TRY(find_target(e.tx, who, type, id, a, &item, &known, err));
    if (!known || (item.kind == STORE_ITEM_COLLECTION && snug_eq(item.target, e.c.key)))
        SNUG_FAIL(err, SNUG_ENOTFOUND, "There is no %.*s \"%.*s\" to put into a collection",
                  SNUG_SLICE(snug_sub(type, 0, 40)), SNUG_SLICE(snug_sub(id, 0, 200)));
    SNUG_TRY(store_list_items(e.tx, a, e.c.id, &all, &count, err));
    if (count >= STORE_ITEMS_MAX)
        SNUG_FAIL(err, SNUG_EINVAL, "a collection has at most %d items", (int)STORE_ITEMS_MAX);
    hub_random_id(key);
    item.key = snug_str(key);
    item.collection_id = e.c.id;
    st = store_add_item(e.tx, &item, err);
    if (st == SNUG_ECONFLICT)
        SNUG_FAIL(err, SNUG_ECONFLICT, "This item is in the collection already");
    if (st != SNUG_OK) goto done;
    SNUG_TRY(end_edit(&e, err));
    SNUG_TRY(hub_find_collection(h, who, slug, a, out, err));
done:
    db_rollback(e.tx);
    return st;
}

static snug_status find_item(editing *e, snug_slice key, store_item **all, size_t *count,
                             size_t *at, snug_err *err)
{
    snug_status st = store_list_items(e->tx, e->a, e->c.id, all, count, err);
    if (st != SNUG_OK) return st;
    for (*at = 0; *at < *count; ++*at) {
        if (snug_eq_nocase((*all)[*at].key, key)) return SNUG_OK;
    }
    return snug_fail(err, SNUG_ENOTFOUND, "There is no such item in this collection");
}

/* Moves the item, and writes the places of those between. */
static snug_status move_item(editing *e, store_item *all, size_t count, size_t at, size_t to,
                             snug_err *err)
{
    snug_status st = SNUG_OK;
    store_item  moved = all[at];

    if (to >= count) to = count - 1;
    if (to > at)
        memmove(&all[at], &all[at + 1], (to - at) * sizeof *all);
    else
        memmove(&all[to + 1], &all[to], (at - to) * sizeof *all);
    all[to] = moved;
    for (size_t i = 0; i < count; i++) {
        if (all[i].position == (int64_t)i) continue;
        all[i].position = (int64_t)i;
        SNUG_TRY(store_set_item(e->tx, &all[i], err));
    }
done:
    return st;
}

snug_status hub_edit_item(hub *h, const hub_actor *who, snug_slice slug, snug_slice key,
                          const snug_slice *note_or_null, const int64_t *position_or_null,
                          snug_err *err)
{
    snug_status st = SNUG_OK;
    editing     e = {.h = h, .who = who, .a = snug_arena_new()};
    store_item *all;
    size_t      count, at;

    SNUG_TRY(begin_edit(&e, slug, err));
    SNUG_TRY(find_item(&e, key, &all, &count, &at, err));
    if (note_or_null != NULL) {
        SNUG_TRY(check_text(*note_or_null, 0, NOTE_MAX, "note", err));
        all[at].note = *note_or_null;
        SNUG_TRY(store_set_item(e.tx, &all[at], err));
    }
    if (position_or_null != NULL) {
        if (*position_or_null < 0) SNUG_FAIL(err, SNUG_EINVAL, "\"position\" is a number from 0");
        SNUG_TRY(move_item(&e, all, count, at, (size_t)*position_or_null, err));
    }
    SNUG_TRY(end_edit(&e, err));
done:
    db_rollback(e.tx);
    snug_arena_free(e.a);
    return st;
}

snug_status hub_drop_item(hub *h, const hub_actor *who, snug_slice slug, snug_slice key,
                          snug_err *err)
{
    snug_status st = SNUG_OK;
    editing     e = {.h = h, .who = who, .a = snug_arena_new()};
    store_item *all;
    size_t      count, at;

    SNUG_TRY(begin_edit(&e, slug, err));
    SNUG_TRY(find_item(&e, key, &all, &count, &at, err));
    SNUG_TRY(store_drop_item(e.tx, all[at].id, err));
    SNUG_TRY(end_edit(&e, err));
done:
    db_rollback(e.tx);
    snug_arena_free(e.a);
    return st;
}
