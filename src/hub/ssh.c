/* SPDX-License-Identifier: Apache-2.0 */
/* hub/ssh.c - SSH keys, and tickets that carry what sshd found out into the running server.
 *
 *     ssh.<r|w>.<key id>.<repository row>.<expires ms>.<signature>
 *
 * sshd asks `snug ssh-keys` whose key it sees and runs `snug ssh-serve --key N` for it. That
 * process belongs to the hub's own account, so it can sign: it makes a ticket for one repository
 * and talks to the server like any git client. Nothing secret stands in an argument or a variable.
 *
 * For:     cli/cmd_ssh.c (makes tickets), api/call.c (reads them), api/ssh_keys.c.
 * Threads: any.
 * Truth:   a ticket names a key, not a person: who owns it, and whether it is still there, is asked
 *          at each request. */
#include "hub/hub_int.h"

#include <inttypes.h>

enum { TITLE_MAX = 100, TICKET_MAX = 512, RSA_BITS_MIN = 2048, RSA_BITS_MAX = 16384 };

/* ---- the text of a key (RFC 4253 section 6.6: length-prefixed fields, the first names the kind)
 */

typedef struct kind {
    const char *name;
    unsigned    fields; /* with the name */
} kind;

static const kind kinds[] = {
    {"ssh-ed25519", 2},
    {"sk-ssh-ed25519@openssh.com", 3},
    {"ecdsa-sha2-nistp256", 3},
    {"ecdsa-sha2-nistp384", 3},
    {"ecdsa-sha2-nistp521", 3},
    {"sk-ecdsa-sha2-nistp256@openssh.com", 4},
    {"ssh-rsa", 3},
};

static const kind *find_kind(snug_slice name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (snug_eq_str(name, kinds[i].name)) return &kinds[i];
    }
    return NULL;
}

static snug_slice next_field(snug_rd *r)
{
    snug_slice n = snug_rd_bytes(r, 4);
    if (r->bad) return SNUG_EMPTY;
    const unsigned char *p = (const unsigned char *)n.ptr;
    return snug_rd_bytes(r,
                         (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]);
}

static snug_status check_blob(const kind *k, snug_slice bytes, snug_err *err)
{
    snug_rd    r = snug_rd_init(bytes);
    snug_slice last = SNUG_EMPTY;
    bool       ok = snug_eq_str(next_field(&r), k->name);
    for (unsigned i = 1; ok && i < k->fields; i++) {
        last = next_field(&r);
        ok = !r.bad && last.len > 0;
    }
    if (!ok || r.bad || snug_rd_left(&r) != 0)
        return snug_fail(err, SNUG_EINVAL, "this %s key is damaged: copy the whole line again",
                         k->name);
    if (strcmp(k->name, "ssh-ed25519") == 0 && last.len != 32)
        return snug_fail(err, SNUG_EINVAL, "this ssh-ed25519 key has the wrong length");
    while (last.len > 0 && last.ptr[0] == 0) last = snug_sub(last, 1, SIZE_MAX);
    if (strcmp(k->name, "ssh-rsa") == 0 &&
        (last.len * 8 < RSA_BITS_MIN || last.len * 8 > RSA_BITS_MAX))
        return snug_fail(err, SNUG_EINVAL,
                         "an RSA key has %d to %d bits here; better is ssh-keygen -t ed25519",
                         RSA_BITS_MIN, RSA_BITS_MAX);
    return SNUG_OK;
}

static bool is_clean(snug_slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f) return false;
    }
    return snug_utf8_valid(s);
}

static snug_slice next_word(snug_slice *rest)
{
    *rest = snug_trim(*rest);
    size_t n = 0;
    while (n < rest->len && rest->ptr[n] != ' ' && rest->ptr[n] != '\t') n++;
    snug_slice word = snug_sub(*rest, 0, n);
    *rest = snug_trim(snug_sub(*rest, n, SIZE_MAX));
    return word;
}

snug_status hub_parse_ssh_key(snug_slice line, snug_slice *kind_out, snug_slice *blob,
                              snug_slice *comment, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_slice  rest = snug_trim(line);
    SNUG_AUTO(snug_buf) bytes = snug_buf_init(HUB_SSH_LINE_MAX);

    if (line.len > HUB_SSH_LINE_MAX)
        SNUG_FAIL(err, SNUG_EPAYLOAD, "an SSH key has at most %d bytes", HUB_SSH_LINE_MAX);
    if (snug_starts_with(rest, "-----BEGIN"))
        SNUG_FAIL(
            err, SNUG_EINVAL,
            "this is a private key, keep it to yourself: the file that ends in .pub is meant");
    *kind_out = next_word(&rest);
    *blob = next_word(&rest);
    *comment = rest;
    const kind *k = find_kind(*kind_out);
    if (k == NULL)
        SNUG_FAIL(err, SNUG_EINVAL,
                  "an SSH key begins with ssh-ed25519, ecdsa-sha2-nistp256 or ssh-rsa");
    if (blob->len == 0 || snug_base64_decode(*blob, &bytes, NULL) != SNUG_OK || bytes.full)
        SNUG_FAIL(err, SNUG_EINVAL, "the second word of an SSH key is base64: copy the whole line");
    if (!is_clean(*comment))
        SNUG_FAIL(err, SNUG_EINVAL, "an SSH key is one line of printable characters");
    SNUG_TRY(check_blob(k, snug_buf_slice(&bytes), err));
done:
    return st;
}

/* As ssh-keygen -l shows it: base64 of the SHA-256, without its "=". */
static snug_slice fingerprint_of(snug_arena *a, snug_slice blob)
{
    SNUG_AUTO(snug_buf) bytes = snug_buf_init(HUB_SSH_LINE_MAX);
    SNUG_AUTO(snug_buf) text = snug_buf_init(128);
    snug_status st = snug_base64_decode(blob, &bytes, NULL);
    SNUG_ASSERT(st == SNUG_OK); /* it was parsed */
    snug_sha256 hash = snug_sha256_of(snug_buf_slice(&bytes));
    snug_buf_puts(&text, "SHA256:");
    snug_base64_put(&text, snug_slice_of(hash.b, sizeof hash.b));
    snug_slice s = snug_buf_slice(&text);
    while (snug_ends_with(s, "=")) s.len--;
    return snug_arena_dup(a, s);
}

/* ---- keys of a person ---- */

static hub_ssh_key shown(const store_ssh_key *k)
{
    return (hub_ssh_key){.id = k->id,
                         .title = k->title,
                         .kind = k->kind,
                         .blob = k->blob,
                         .fingerprint = k->fingerprint,
                         .owner = k->owner,
                         .created_ms = k->created_ms,
                         .last_used_ms = k->last_used_ms};
}

snug_status hub_add_ssh_key(hub *h, int64_t user_id, snug_slice title, snug_slice line,
                            snug_arena *a, hub_ssh_key *out, snug_err *err)
{
    snug_status    st = SNUG_OK;
    db_txn        *tx = NULL;
    store_ssh_key *all, k = {.user_id = user_id, .created_ms = snug_now_ms()};
    size_t         count;
    snug_slice     comment;

    if (h->read_only) SNUG_FAIL(err, SNUG_EFORBIDDEN, "This server is read-only");
    SNUG_TRY(hub_parse_ssh_key(line, &k.kind, &k.blob, &comment, err));
    k.title = snug_trim(title);
    if (k.title.len == 0) k.title = comment.len > 0 && comment.len <= TITLE_MAX ? comment : k.kind;
    if (k.title.len > TITLE_MAX || !is_clean(k.title))
        SNUG_FAIL(err, SNUG_EINVAL, "\"title\" has at most %d printable bytes", TITLE_MAX);
    k.fingerprint = fingerprint_of(a, k.blob);
    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_list_ssh_keys(tx, a, user_id, HUB_SSH_KEYS_MAX, &all, &count, err));
    if (count >= HUB_SSH_KEYS_MAX)
        SNUG_FAIL(err, SNUG_ELIMIT, "an account has at most %d SSH keys: remove one first",
                  HUB_SSH_KEYS_MAX);
    st = store_add_ssh_key(tx, &k, &k.id, err);
    if (st == SNUG_ECONFLICT)
        SNUG_FAIL(err, SNUG_ECONFLICT,
                  "this SSH key is in use already, here or by another account");
    if (st != SNUG_OK) goto done;
    st = db_end(tx, true, err);
    tx = NULL;
    *out = shown(&k);
done:
    db_rollback(tx);
    return st;
}

snug_status hub_list_ssh_keys(hub *h, int64_t user_id, snug_arena *a, hub_ssh_key **out,
                              size_t *count, snug_err *err)
{
    snug_status    st = SNUG_OK;
    db_txn        *tx = NULL;
    store_ssh_key *rows;

    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    SNUG_TRY(store_list_ssh_keys(tx, a, user_id, HUB_SSH_KEYS_MAX, &rows, count, err));
    *out = snug_arena_zalloc(a, *count * sizeof **out + 1);
    for (size_t i = 0; i < *count; i++) (*out)[i] = shown(&rows[i]);
done:
    db_rollback(tx);
    return st;
}

snug_status hub_remove_ssh_key(hub *h, int64_t user_id, int64_t id, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    bool        found;

    if (h->read_only) SNUG_FAIL(err, SNUG_EFORBIDDEN, "This server is read-only");
    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_delete_ssh_key(tx, user_id, id, &found, err));
    if (!found) SNUG_FAIL(err, SNUG_ENOTFOUND, "there is no SSH key %" PRId64, id);
    st = db_end(tx, true, err);
    tx = NULL;
done:
    db_rollback(tx);
    return st;
}

snug_status hub_find_ssh_key(hub *h, snug_slice blob, snug_arena *a, hub_ssh_key *out, bool *found,
                             snug_err *err)
{
    db_txn       *tx = NULL;
    store_ssh_key k;
    snug_status   st = db_begin(h->db, DB_READ, &tx, err);
    *found = false;
    if (st == SNUG_OK) st = store_find_ssh_key(tx, a, blob, &k, found, err);
    if (*found) *out = shown(&k);
    db_rollback(tx);
    return st;
}

/* ---- tickets ---- */

static snug_slice claim_of(snug_arena *a, hub_role scope, int64_t key, int64_t row)
{
    return snug_arena_printf(a, "ssh-ticket %c %" PRId64 " %" PRId64,
                             scope >= HUB_ROLE_WRITE ? 'w' : 'r', key, row);
}

static void actor_of(const store_ssh_key *k, hub_role scope, snug_arena *a, hub_actor *out)
{
    *out = (hub_actor){.user_id = k->user_id,
                       .name = k->owner,
                       .fullname = k->owner_fullname,
                       .email = k->owner_email,
                       .is_admin = k->owner_is_admin,
                       .scope = scope,
                       .token_name = snug_arena_printf(a, "ssh: %.*s", SNUG_SLICE(k->title)),
                       .token_created_ms = k->created_ms};
}

static snug_status load_key(hub *h, int64_t id, hub_role scope, snug_arena *a, hub_actor *out,
                            bool *found, snug_err *err)
{
    snug_status   st = SNUG_OK;
    db_txn       *tx = NULL;
    store_ssh_key k;

    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    SNUG_TRY(store_get_ssh_key(tx, a, id, &k, found, err));
    if (!*found) goto done;
    actor_of(&k, scope, a, out);
    SNUG_TRY(hub_load_orgs(tx, a, k.user_id, &out->orgs, err));
done:
    db_rollback(tx);
    return st;
}

static void touch(hub *h, int64_t key)
{
    db_txn  *tx = NULL;
    snug_err err = {0};
    if (h->read_only || db_begin(h->db, DB_WRITE, &tx, &err) != SNUG_OK) return;
    if (store_touch_ssh_key(tx, key, snug_now_ms(), &err) == SNUG_OK) {
        if (db_end(tx, true, &err) != SNUG_OK) snug_log_err(SNUG_WARN, "hub.ssh_use", &err);
        return;
    }
    db_rollback(tx); /* only a time stamp */
}

snug_status hub_ssh_ticket_new(hub *h, int64_t key, const hub_repo_id *id, hub_role scope,
                               snug_arena *a, snug_slice *text, hub_repo_id *now, snug_err *err)
{
    snug_status   st = SNUG_OK;
    hub_actor     who;
    hub_repo_info info;
    bool          found = false, moved = false;
    char          sig[65];
    int64_t       expires = snug_now_ms() + (int64_t)HUB_SSH_HOURS * 3600 * 1000;

    *now = *id;
    SNUG_TRY(load_key(h, key, scope, a, &who, &found, err));
    if (!found) SNUG_FAIL(err, SNUG_EUNAUTH, "This SSH key was removed");
    SNUG_TRY(hub_find_moved(h, &who, id, now, &moved, err));
    if (!moved) *now = *id;
    SNUG_TRY(hub_find_repo(h, &who, now, HUB_ROLE_READ, a, &info, err));
    SNUG_TRY(hub_sign(h, claim_of(a, scope, key, info.row), expires, sig, err));
    *text = snug_arena_printf(a, "ssh.%c.%" PRId64 ".%" PRId64 ".%" PRId64 ".%s",
                              scope >= HUB_ROLE_WRITE ? 'w' : 'r', key, info.row, expires, sig);
    touch(h, key);
done:
    return st;
}

bool hub_is_ssh_ticket(snug_slice token) { return snug_starts_with(token, "ssh."); }

static bool parse_ticket(hub *h, snug_slice text, snug_arena *a, int64_t *key, hub_role *scope,
                         int64_t *row)
{
    enum { FIELDS = 6 };
    snug_slice f[FIELDS], rest = text;
    size_t     n = 0;
    int64_t    expires;

    if (text.len > TICKET_MAX) return false;
    while (n < FIELDS && snug_split(&rest, '.', &f[n])) n++;
    if (n != FIELDS || rest.ptr != NULL || !snug_eq_str(f[0], "ssh")) return false;
    if (!snug_eq_str(f[1], "r") && !snug_eq_str(f[1], "w")) return false;
    *scope = f[1].ptr[0] == 'w' ? HUB_ROLE_WRITE : HUB_ROLE_READ;
    if (!snug_parse_i64(f[2], key) || !snug_parse_i64(f[3], row) || !snug_parse_i64(f[4], &expires))
        return false;
    return snug_now_ms() < expires &&
           hub_sign_ok(h, claim_of(a, *scope, *key, *row), expires, f[5]);
}

snug_status hub_ssh_ticket_read(hub *h, snug_slice text, snug_arena *a, hub_actor *who,
                                int64_t *row, snug_err *err)
{
    snug_status st = SNUG_OK;
    int64_t     key;
    hub_role    scope;
    bool        found = false;

    *who = (hub_actor){0};
    if (parse_ticket(h, text, a, &key, &scope, row))
        SNUG_TRY(load_key(h, key, scope, a, who, &found, err));
    if (!found) SNUG_FAIL(err, SNUG_EUNAUTH, "Invalid credentials in Authorization header");
done:
    return st;
}
