/* SPDX-License-Identifier: Apache-2.0 */
/* hub/accounts.c - people and passwords.
 *
 * For:     sign-in, git over HTTP with a password, the admin's commands.
 * Owns:    the turn-stile in front of argon2 and the table of recent failures.
 * Threads: any; two passwords are hashed at a time (64 MiB each), the rest wait.
 * Truth:   an unknown name costs the same argon2 run as a wrong password, and both get the same
 *          answer. Guessing slows down per name, known or not. */
#include <sodium.h>
#include <stdlib.h>

#include "hub/hub_int.h"

/* Of libsodium's presets this is "moderate" in passes and a quarter of its memory, so that two
 * sign-ins at once fit beside everything else on a small machine. */
enum { ARGON_PASSES = 3, ARGON_MEMORY = 64 << 20, ARGON_AT_ONCE = 2, ARGON_WAITING_MAX = 16 };
enum { FAIL_SLOTS = 512, FAIL_FREE = 8, FAIL_WAIT_MAX_S = 32 };

typedef struct failure {
    uint64_t name_hash;
    unsigned count;
    uint64_t until_ms;
} failure;

struct hub_argon {
    snug_mutex lock; /* guards all below */
    snug_cond  free_turn;
    unsigned   running, waiting;
    bool       has_dummy;
    char       dummy[crypto_pwhash_STRBYTES]; /* what unknown names are checked against */
    failure    failures[FAIL_SLOTS];
};

hub_argon *hub_argon_new(void)
{
    hub_argon *g = snug_zalloc(sizeof *g);
    snug_mutex_init(&g->lock, "hub-argon", HUB_RANK_ARGON);
    snug_cond_init(&g->free_turn);
    return g;
}

void hub_argon_free(hub_argon *g)
{
    if (g == NULL) return;
    snug_cond_deinit(&g->free_turn);
    snug_mutex_deinit(&g->lock);
    snug_secret_wipe(g, sizeof *g);
    free(g);
}

/* Nobody stands in a long line: the workers that wait here serve nobody else. */
static snug_status take_turn(hub_argon *g, snug_err *err)
{
    bool full;
    snug_lock(&g->lock);
    full = g->waiting >= ARGON_WAITING_MAX;
    if (!full) {
        g->waiting++;
        while (g->running >= ARGON_AT_ONCE) snug_cond_wait(&g->free_turn, &g->lock);
        g->waiting--;
        g->running++;
    }
    snug_unlock(&g->lock);
    return full ? snug_fail(err, SNUG_EBUSY, "Too many sign-ins at once; try again") : SNUG_OK;
}

static void give_turn(hub_argon *g)
{
    snug_lock(&g->lock);
    g->running--;
    snug_cond_signal(&g->free_turn);
    snug_unlock(&g->lock);
}

static snug_status hash_password(hub *h, snug_slice password, char out[crypto_pwhash_STRBYTES],
                                 snug_err *err)
{
    snug_status st = take_turn(h->argon, err);
    if (st != SNUG_OK) return st;
    int rc = crypto_pwhash_str_alg(out, password.ptr, password.len, ARGON_PASSES, ARGON_MEMORY,
                                   crypto_pwhash_ALG_ARGON2ID13);
    give_turn(h->argon);
    return rc == 0 ? SNUG_OK
                   : snug_fail(err, SNUG_ENOMEM, "out of memory while hashing a password");
}

static snug_status verify_password(hub *h, const char *hash, snug_slice password, bool *ok,
                                   snug_err *err)
{
    snug_status st = take_turn(h->argon, err);
    if (st != SNUG_OK) return st;
    int rc = crypto_pwhash_str_verify(hash, password.ptr == NULL ? "" : password.ptr, password.len);
    give_turn(h->argon);
    *ok = rc == 0;
    return SNUG_OK;
}

static snug_status check_password(snug_slice password, snug_err *err)
{
    if (password.len >= HUB_PASSWORD_MIN && password.len <= HUB_PASSWORD_MAX) return SNUG_OK;
    return snug_fail(err, SNUG_EINVAL, "a password has %d to %d bytes", HUB_PASSWORD_MIN,
                     HUB_PASSWORD_MAX);
}

static snug_status check_user_name(snug_slice name, snug_err *err)
{
    snug_status st = hub_check_name(name, "user name", err);
    if (st != SNUG_OK) return st;
    if (name.len < 2 || name.len > HUB_USER_NAME_MAX)
        return snug_fail(err, SNUG_EINVAL,
                         "The user name \"%.*s\" is not valid: use 2 to %d characters",
                         SNUG_SLICE(name), HUB_USER_NAME_MAX);
    if (hub_name_reserved(name))
        return snug_fail(err, SNUG_EINVAL, "The name \"%.*s\" is reserved", SNUG_SLICE(name));
    return SNUG_OK;
}

static snug_status check_email(snug_slice email, snug_err *err)
{
    bool ok = email.len <= 254 && snug_utf8_valid(email);
    for (size_t i = 0; i < email.len; i++) {
        unsigned char c = (unsigned char)email.ptr[i];
        ok = ok && c > 0x20 && c != 0x7f && c != '<' && c != '>'; /* it goes into commit headers */
    }
    if (ok && (email.len == 0 || snug_index(email, '@') != SIZE_MAX)) return SNUG_OK;
    return snug_fail(err, SNUG_EINVAL, "This is not an e-mail address");
}

static void user_of_row(const store_user *row, hub_user *out)
{
    *out = (hub_user){.id = row->id,
                      .name = row->name,
                      .fullname = row->fullname,
                      .email = row->email,
                      .is_admin = row->is_admin,
                      .created_ms = row->created_ms};
}

snug_status hub_add_user(hub *h, snug_slice name, snug_slice password, snug_slice email, bool admin,
                         hub_user *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    char        hash[crypto_pwhash_STRBYTES];
    bool        used;
    store_user  row = {.name = name,
                       .fullname = name,
                       .email = email,
                       .is_admin = admin,
                       .created_ms = snug_now_ms()};

    if (h->read_only) SNUG_FAIL(err, SNUG_EFORBIDDEN, "This server is read-only");
    SNUG_TRY(check_user_name(name, err));
    SNUG_TRY(check_password(password, err));
    SNUG_TRY(check_email(email, err));
    SNUG_TRY(hash_password(h, password, hash, err));
    row.password = snug_str(hash);
    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    /* A namespace that an admin filled must not fall to whoever takes its name. */
    SNUG_TRY(store_namespace_used(tx, name, &used, err));
    if (used)
        SNUG_FAIL(err, SNUG_ECONFLICT, "The name \"%.*s\" is taken: repositories live under it",
                  SNUG_SLICE(name));
    st = store_add_user(tx, &row, &row.id, err);
    if (st == SNUG_ECONFLICT)
        SNUG_FAIL(err, SNUG_ECONFLICT, "The user name \"%.*s\" is taken", SNUG_SLICE(name));
    if (st != SNUG_OK) goto done;
    st = db_end(tx, true, err);
    tx = NULL;
    if (st != SNUG_OK) goto done;
    row.password = SNUG_EMPTY;
    if (out != NULL) user_of_row(&row, out);
done:
    db_rollback(tx);
    snug_secret_wipe(hash, sizeof hash);
    return st;
}

static snug_status find_user_row(hub *h, snug_slice name, snug_arena *a, store_user *row,
                                 bool *found, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;

    *found = false;
    if (name.len == 0 || name.len > HUB_NAME_MAX) goto done;
    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    SNUG_TRY(store_find_user(tx, a, name, row, found, err));
done:
    db_rollback(tx);
    return st;
}

snug_status hub_find_user(hub *h, snug_slice name, snug_arena *a, hub_user *out, snug_err *err)
{
    store_user  row;
    bool        found;
    snug_status st = find_user_row(h, name, a, &row, &found, err);
    if (st != SNUG_OK) return st;
    if (!found)
        return snug_fail(err, SNUG_ENOTFOUND, "There is no user \"%.*s\"",
                         SNUG_SLICE(snug_sub(name, 0, HUB_NAME_MAX)));
    user_of_row(&row, out);
    return SNUG_OK;
}

snug_status hub_set_password(hub *h, snug_slice name, snug_slice password, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    db_txn     *tx = NULL;
    hub_user    user;
    char        hash[crypto_pwhash_STRBYTES];

    SNUG_TRY(check_password(password, err));
    SNUG_TRY(hub_find_user(h, name, a, &user, err));
    SNUG_TRY(hash_password(h, password, hash, err));
    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_set_password(tx, user.id, snug_str(hash), err));
    st = db_end(tx, true, err);
    tx = NULL;
done:
    db_rollback(tx);
    snug_secret_wipe(hash, sizeof hash);
    snug_arena_free(a);
    return st;
}

snug_status hub_list_users(hub *h, snug_arena *a, hub_user **out, size_t *count, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    store_user *rows;

    *count = 0;
    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    SNUG_TRY(store_list_users(tx, a, &rows, count, err));
    *out = snug_arena_array_try(a, *count + 1, sizeof **out);
    if (*out == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "out of memory");
    for (size_t i = 0; i < *count; i++) user_of_row(&rows[i], &(*out)[i]);
done:
    db_rollback(tx);
    if (st != SNUG_OK) *count = 0;
    return st;
}

snug_status hub_count_users(hub *h, uint64_t *out, snug_err *err)
{
    db_txn     *tx = NULL;
    snug_status st = db_begin(h->db, DB_READ, &tx, err);
    if (st == SNUG_OK) st = store_count_users(tx, out, err);
    db_rollback(tx);
    return st;
}

/* ---- checking a password ---- */

static uint64_t hash_name(snug_slice name)
{
    uint64_t x = 0xcbf29ce484222325u;
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        if (c >= 'A' && c <= 'Z') c = (unsigned char)(c - 'A' + 'a');
        x = (x ^ c) * 0x100000001b3u;
    }
    return x | 1;
}

/* Seconds this name has to wait; 0: go ahead. */
static unsigned must_wait(hub_argon *g, uint64_t name)
{
    uint64_t now = snug_mono_ms(), left = 0;
    snug_lock(&g->lock);
    const failure *f = &g->failures[name % FAIL_SLOTS];
    if (f->name_hash == name && f->until_ms > now) left = (f->until_ms - now + 999) / 1000;
    snug_unlock(&g->lock);
    return (unsigned)left;
}

static void note_result(hub_argon *g, uint64_t name, bool ok)
{
    snug_lock(&g->lock);
    failure *f = &g->failures[name % FAIL_SLOTS];
    if (f->name_hash != name) *f = (failure){.name_hash = name};
    if (ok) {
        f->count = 0;
        f->until_ms = 0;
    } else if (++f->count >= FAIL_FREE) {
        unsigned shift = f->count - FAIL_FREE;
        unsigned wait = shift >= 5 ? FAIL_WAIT_MAX_S : 1u << shift;
        f->until_ms = snug_mono_ms() + wait * 1000u;
    }
    snug_unlock(&g->lock);
}

/* The stand-in for names nobody has: made once, of random bytes, with the same cost. */
static snug_status get_dummy(hub *h, char out[crypto_pwhash_STRBYTES], snug_err *err)
{
    hub_argon *g = h->argon;
    char       noise[32];
    bool       have;

    snug_lock(&g->lock);
    have = g->has_dummy;
    if (have) memcpy(out, g->dummy, sizeof g->dummy);
    snug_unlock(&g->lock);
    if (have) return SNUG_OK;
    snug_random(noise, sizeof noise);
    snug_status st = hash_password(h, snug_slice_of(noise, sizeof noise), out, err);
    if (st != SNUG_OK) return st;
    snug_lock(&g->lock);
    if (!g->has_dummy) memcpy(g->dummy, out, sizeof g->dummy);
    g->has_dummy = true;
    snug_unlock(&g->lock);
    return SNUG_OK;
}

snug_status hub_check_password(hub *h, snug_slice name, snug_slice password, snug_arena *a,
                               hub_actor *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    store_user  row;
    bool        found = false, ok;
    uint64_t    name_hash = hash_name(name);
    unsigned    wait = must_wait(h->argon, name_hash);
    db_txn     *tx = NULL;
    char        dummy[crypto_pwhash_STRBYTES];

    if (wait > 0)
        SNUG_FAIL(err, SNUG_ERATE, "Too many failed sign-ins for this name: try again in %u s",
                  wait);
    SNUG_TRY(get_dummy(h, dummy, err)); /* before the look-up: its first run must not tell either */
    SNUG_TRY(find_user_row(h, name, a, &row, &found, err));
    if (password.len > HUB_PASSWORD_MAX) password.len = HUB_PASSWORD_MAX + 1;
    SNUG_TRY(verify_password(h, found ? row.password.ptr : dummy, password, &ok, err));
    ok = ok && found;
    note_result(h->argon, name_hash, ok);
    if (!ok) {
        snug_metric_add(SNUG_M_AUTH_FAILURES, 1);
        SNUG_FAIL(err, SNUG_EUNAUTH, "Invalid username or password.");
    }
    *out = (hub_actor){.user_id = row.id,
                       .name = row.name,
                       .fullname = row.fullname,
                       .email = row.email,
                       .is_admin = row.is_admin,
                       .scope = HUB_ROLE_WRITE};
    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    SNUG_TRY(hub_load_orgs(tx, a, row.id, &out->orgs, err));
done:
    db_rollback(tx);
    return st;
}
