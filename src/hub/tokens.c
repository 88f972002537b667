/* SPDX-License-Identifier: Apache-2.0 */
/* hub/tokens.c - access tokens: made, listed, revoked, and told apart on every request.
 *
 * For:     hub_identify at the start of every request.
 * Owns:    a bounded table of tokens seen lately and when they were used last.
 * Threads: any; one mutex, never held over SQL.
 * Truth:   the database holds SHA-256 of a token and nothing that leads back to it. A revoked
 *          token stops at once in this process, and within AGE_MAX_MS in others. */
#include <stdlib.h>

#include "hub/hub_int.h"

enum { SETS = 256, WAYS = 4, AGE_MAX_MS = 5000, TOKEN_LEN = 37, TOKEN_NAME_MAX = 96 };

typedef struct entry {
    snug_sha256 hash;
    hub_actor   who;  /* its slices point into text */
    char       *text; /* heap; NULL: empty */
    int64_t     token_id, used_ms;
    bool        dirty; /* used_ms is not in the database */
    uint64_t    loaded_ms;
} entry;

struct hub_tokens {
    snug_mutex lock; /* guards all below */
    entry      set[SETS][WAYS];
    unsigned   clock[SETS];
    uint64_t   generation; /* of users and tokens: what was read before it is not stored */
};

hub_tokens *hub_tokens_new(void)
{
    hub_tokens *t = snug_zalloc(sizeof *t);
    snug_mutex_init(&t->lock, "hub-tokens", HUB_RANK_TOKENS);
    return t;
}

static void clear_entries(hub_tokens *t)
{
    for (size_t i = 0; i < SETS; i++) {
        for (size_t k = 0; k < WAYS; k++) {
            free(t->set[i][k].text);
            t->set[i][k] = (entry){0};
        }
    }
}

void hub_tokens_free(hub_tokens *t)
{
    if (t == NULL) return;
    clear_entries(t);
    snug_mutex_deinit(&t->lock);
    free(t);
}

void hub_tokens_forget(hub *h)
{
    hub_tokens_flush(h);
    snug_lock(&h->tokens->lock);
    h->tokens->generation++;
    clear_entries(h->tokens);
    snug_unlock(&h->tokens->lock);
}

/* ---- the table ---- */

enum { SLICES = 5 };
static void list_slices(hub_actor *w, snug_slice *out[SLICES])
{
    out[0] = &w->name;
    out[1] = &w->fullname;
    out[2] = &w->email;
    out[3] = &w->token_name;
    out[4] = &w->orgs;
}

static size_t text_size(hub_actor *w)
{
    size_t      n = 0;
    snug_slice *s[SLICES];
    list_slices(w, s);
    for (size_t k = 0; k < SLICES; k++) n += s[k]->len;
    return n;
}

/* Moves the text behind an actor to `text`, which has room for it. */
static void copy_text(hub_actor *w, char *text)
{
    snug_slice *s[SLICES];
    list_slices(w, s);
    for (size_t k = 0; k < SLICES; k++) {
        if (s[k]->len > 0) memcpy(text, s[k]->ptr, s[k]->len);
        s[k]->ptr = text;
        text += s[k]->len;
    }
}

static bool find_cached(hub_tokens *t, const snug_sha256 *hash, snug_arena *a, hub_actor *out,
                        uint64_t *generation)
{
    bool     hit = false;
    uint64_t now = snug_mono_ms();

    snug_lock(&t->lock);
    *generation = t->generation;
    for (size_t k = 0; k < WAYS && !hit; k++) {
        entry *e = &t->set[hash->b[0] % SETS][k];
        if (e->text == NULL || now - e->loaded_ms > AGE_MAX_MS) continue;
        if (memcmp(&e->hash, hash, sizeof *hash) != 0) continue;
        e->used_ms = snug_now_ms();
        e->dirty = true;
        *out = e->who;
        copy_text(out, snug_arena_alloc(a, text_size(out) + 1));
        hit = true;
    }
    snug_unlock(&t->lock);
    return hit;
}

static void remember(hub_tokens *t, const snug_sha256 *hash, const hub_actor *who, int64_t token,
                     uint64_t generation)
{
    entry fresh = {.hash = *hash,
                   .who = *who,
                   .token_id = token,
                   .used_ms = snug_now_ms(),
                   .dirty = true,
                   .loaded_ms = snug_mono_ms()};
    char *old;

    fresh.text = snug_alloc(text_size(&fresh.who) + 1);
    copy_text(&fresh.who, fresh.text);
    snug_lock(&t->lock);
    entry *set = t->set[hash->b[0] % SETS];
    size_t way = t->clock[hash->b[0] % SETS]++ % WAYS;
    for (size_t k = 0; k < WAYS; k++) {
        if (memcmp(&set[k].hash, hash, sizeof *hash) == 0) way = k;
    }
    old = fresh.text;
    if (t->generation == generation) {
        old = set[way].text;
        set[way] = fresh;
    }
    snug_unlock(&t->lock);
    free(old);
}

void hub_tokens_flush(hub *h)
{
    typedef struct use {
        int64_t token, ms;
    } use;
    hub_tokens *t = h->tokens;
    use        *uses = snug_alloc(sizeof(use) * SETS * WAYS);
    size_t      n = 0;
    db_txn     *tx = NULL;
    snug_err    err = {0};
    snug_status st = SNUG_OK;

    snug_lock(&t->lock);
    for (size_t i = 0; i < SETS * (size_t)WAYS; i++) {
        entry *e = &t->set[i / WAYS][i % WAYS];
        if (e->text == NULL || !e->dirty) continue;
        e->dirty = false;
        uses[n++] = (use){e->token_id, e->used_ms};
    }
    snug_unlock(&t->lock);
    if (n == 0 || h->read_only) goto done;
    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, &err));
    for (size_t i = 0; i < n; i++) SNUG_TRY(store_touch_token(tx, uses[i].token, uses[i].ms, &err));
    st = db_end(tx, true, &err);
    tx = NULL;
done:
    db_rollback(tx);
    free(uses);
    if (st != SNUG_OK) snug_log_err(SNUG_WARN, "hub.token_use", &err); /* only a time stamp */
}

/* ---- the rules ---- */

static snug_status fail_credentials(snug_err *err)
{
    snug_metric_add(SNUG_M_AUTH_FAILURES, 1);
    return snug_fail(err, SNUG_EUNAUTH, "Invalid credentials in Authorization header");
}

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool looks_like_token(snug_slice s)
{
    if (s.len != TOKEN_LEN || !snug_starts_with(s, "hf_")) return false;
    for (size_t i = 3; i < s.len; i++) {
        if (!is_alnum(s.ptr[i])) return false;
    }
    return true;
}

snug_status hub_identify(hub *h, snug_slice token, snug_arena *a, hub_actor *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    store_token row;
    store_user  owner;
    bool        found = false;
    uint64_t    generation;
    char        hex[65];

    *out = (hub_actor){0};
    if (token.len == 0) return SNUG_OK;
    if (!looks_like_token(token)) return fail_credentials(err);
    snug_sha256 hash = snug_sha256_of(token);
    if (find_cached(h->tokens, &hash, a, out, &generation)) return SNUG_OK;
    snug_hex(hash.b, sizeof hash.b, hex);
    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    SNUG_TRY(store_find_token(tx, a, snug_str(hex), &row, &owner, &found, err));
    if (!found) {
        st = fail_credentials(err);
        goto done;
    }
    *out = (hub_actor){.user_id = owner.id,
                       .name = owner.name,
                       .fullname = owner.fullname,
                       .email = owner.email,
                       .is_admin = owner.is_admin,
                       .scope = row.role >= HUB_ROLE_WRITE ? HUB_ROLE_WRITE : HUB_ROLE_READ,
                       .token_name = row.name,
                       .token_created_ms = row.created_ms};
    SNUG_TRY(hub_load_orgs(tx, a, owner.id, &out->orgs, err));
    remember(h->tokens, &hash, out, row.id, generation);
done:
    db_rollback(tx);
    return st;
}

/* "hf_" and 34 characters of 62: 202 bits. Bytes above the last multiple of 62 are thrown away. */
static void make_token(char out[40])
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    size_t            n = 3;
    memcpy(out, "hf_", 3);
    while (n < TOKEN_LEN) {
        unsigned char noise[64];
        snug_random(noise, sizeof noise);
        for (size_t i = 0; i < sizeof noise && n < TOKEN_LEN; i++) {
            if (noise[i] < 248) out[n++] = digits[noise[i] % 62];
        }
        snug_secret_wipe(noise, sizeof noise);
    }
    out[n] = '\0';
}

static snug_status check_token_name(snug_slice name, snug_err *err)
{
    bool ok = name.len > 0 && name.len <= TOKEN_NAME_MAX && snug_utf8_valid(name);
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        ok = ok && c >= 0x20 && c != 0x7f;
    }
    if (ok) return SNUG_OK;
    return snug_fail(err, SNUG_EINVAL, "a token name has 1 to %d printable bytes", TOKEN_NAME_MAX);
}

snug_status hub_create_token(hub *h, snug_slice user, snug_slice name, hub_role role,
                             char token[40], snug_err *err)
{
    snug_status  st = SNUG_OK;
    snug_arena  *a = snug_arena_new();
    db_txn      *tx = NULL;
    hub_user     owner;
    store_token *all;
    size_t       count;
    int64_t      id;
    char         hex[65];

    if (h->read_only) SNUG_FAIL(err, SNUG_EFORBIDDEN, "This server is read-only");
    if (role != HUB_ROLE_READ && role != HUB_ROLE_WRITE)
        SNUG_FAIL(err, SNUG_EINVAL, "a token's role is read or write");
    SNUG_TRY(check_token_name(name, err));
    SNUG_TRY(hub_find_user(h, user, a, &owner, err));
    make_token(token);
    snug_sha256 hash = snug_sha256_of(snug_slice_of(token, TOKEN_LEN));
    snug_hex(hash.b, sizeof hash.b, hex);
    store_token row = {
        .user_id = owner.id, .name = name, .role = (int)role, .created_ms = snug_now_ms()};
    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_list_tokens(tx, a, owner.id, &all, &count, err));
    if (count >= HUB_TOKENS_PER_USER_MAX)
        SNUG_FAIL(err, SNUG_ELIMIT, "%.*s has %d tokens, the most allowed: revoke one first",
                  SNUG_SLICE(owner.name), HUB_TOKENS_PER_USER_MAX);
    st = store_add_token(tx, &row, snug_str(hex), &id, err);
    if (st == SNUG_ECONFLICT)
        SNUG_FAIL(err, SNUG_ECONFLICT, "%.*s already has a token named \"%.*s\"",
                  SNUG_SLICE(owner.name), SNUG_SLICE(name));
    if (st != SNUG_OK) goto done;
    st = db_end(tx, true, err);
    tx = NULL;
done:
    db_rollback(tx);
    if (st != SNUG_OK) snug_secret_wipe(token, 40);
    snug_arena_free(a);
    return st;
}

snug_status hub_list_tokens(hub *h, snug_slice user, snug_arena *a, hub_token **out, size_t *count,
                            snug_err *err)
{
    snug_status  st = SNUG_OK;
    db_txn      *tx = NULL;
    hub_user     owner;
    store_token *rows;

    *count = 0;
    hub_tokens_flush(h); /* the page shows when each was used last */
    SNUG_TRY(hub_find_user(h, user, a, &owner, err));
    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    SNUG_TRY(store_list_tokens(tx, a, owner.id, &rows, count, err));
    *out = snug_arena_zalloc(a, *count * sizeof **out + 1);
    for (size_t i = 0; i < *count; i++)
        (*out)[i] = (hub_token){.id = rows[i].id,
                                .name = rows[i].name,
                                .role = (hub_role)rows[i].role,
                                .created_ms = rows[i].created_ms,
                                .last_used_ms = rows[i].last_used_ms};
done:
    db_rollback(tx);
    return st;
}

snug_status hub_revoke_token(hub *h, snug_slice user, snug_slice name, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    db_txn     *tx = NULL;
    hub_user    owner;
    bool        found;

    SNUG_TRY(hub_find_user(h, user, a, &owner, err));
    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_delete_token(tx, owner.id, name, &found, err));
    if (!found)
        SNUG_FAIL(err, SNUG_ENOTFOUND, "%.*s has no token named \"%.*s\"", SNUG_SLICE(owner.name),
                  SNUG_SLICE(snug_sub(name, 0, TOKEN_NAME_MAX)));
    st = db_end(tx, true, err);
    tx = NULL;
    if (st == SNUG_OK) hub_tokens_forget(h);
done:
    db_rollback(tx);
    snug_arena_free(a);
    return st;
}
