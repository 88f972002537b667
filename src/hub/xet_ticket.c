/* SPDX-License-Identifier: Apache-2.0 */
/* hub/xet_ticket.c - the right to use the deduplicating store for one repository, for a while.
 *
 *     xet.<r|w>.<user id>.<admin 0|1>.<repository row>.<expires ms>.<name, hex>.<ref,
 * hex>.<signature>
 *
 * For:     api/xet.c.
 * Threads: any.
 * Truth:   a ticket says what was allowed when it was made; whether its holder may still read or
 *          write the repository is asked again each time. */
#include "hub/hub_int.h"

#include <inttypes.h>

enum { REF_MAX = 256, TICKET_MAX = 2048 };

static snug_slice hex_of(snug_arena *a, snug_slice s)
{
    char *p = snug_arena_alloc(a, 2 * s.len + 1);
    snug_hex(s.ptr, s.len, p);
    return (snug_slice){p, 2 * s.len};
}

/* What is signed, besides the time it ends: all fields, with a mark in front that no other signed
 * text of this server begins with. */
static snug_slice claim_of(snug_arena *a, hub_role scope, int64_t user, bool admin, int64_t row,
                           snug_slice name_hex, snug_slice ref_hex)
{
    return snug_arena_printf(a, "xet-ticket %c %" PRId64 " %d %" PRId64 " %.*s %.*s",
                             scope >= HUB_ROLE_WRITE ? 'w' : 'r', user, admin ? 1 : 0, row,
                             SNUG_SLICE(name_hex), SNUG_SLICE(ref_hex));
}

snug_status hub_ticket_new(hub *h, const hub_actor *who, int64_t repo_row, hub_role scope,
                           snug_slice ref, snug_arena *a, snug_slice *text, int64_t *expires_ms,
                           snug_err *err)
{
    snug_slice name = hex_of(a, who->name), ref_hex = hex_of(a, snug_sub(ref, 0, REF_MAX));
    char       sig[65];
    /* Whole seconds: that is how clients are told, and the earlier end is the honest one. */
    *expires_ms = (snug_now_ms() / 1000 + h->ticket_s) * 1000;
    snug_slice  claim = claim_of(a, scope, who->user_id, who->is_admin, repo_row, name, ref_hex);
    snug_status st = hub_sign(h, claim, *expires_ms, sig, err);
    if (st != SNUG_OK) return st;
    *text =
        snug_arena_printf(a, "xet.%c.%" PRId64 ".%d.%" PRId64 ".%" PRId64 ".%.*s.%.*s.%s",
                          scope >= HUB_ROLE_WRITE ? 'w' : 'r', who->user_id, who->is_admin ? 1 : 0,
                          repo_row, *expires_ms, SNUG_SLICE(name), SNUG_SLICE(ref_hex), sig);
    return SNUG_OK;
}

static bool parse(hub *h, snug_slice text, snug_arena *a, hub_ticket *t)
{
    enum { FIELDS = 9 };
    snug_slice f[FIELDS], rest = text;
    int64_t    admin;
    size_t     n = 0;

    if (text.len == 0 || text.len > TICKET_MAX) return false;
    while (n < FIELDS && snug_split(&rest, '.', &f[n])) n++;
    if (n != FIELDS || rest.ptr != NULL || !snug_eq_str(f[0], "xet") || f[1].len != 1) return false;
    if (f[1].ptr[0] != 'r' && f[1].ptr[0] != 'w') return false;
    t->scope = f[1].ptr[0] == 'w' ? HUB_ROLE_WRITE : HUB_ROLE_READ;
    char *name = snug_arena_alloc(a, f[6].len / 2 + 1),
         *ref = snug_arena_alloc(a, f[7].len / 2 + 1);
    if (!snug_parse_i64(f[2], &t->who.user_id) || !snug_parse_i64(f[3], &admin) || admin < 0 ||
        admin > 1 || !snug_parse_i64(f[4], &t->repo_row) || !snug_parse_i64(f[5], &t->expires_ms) ||
        !snug_unhex(f[6], name, f[6].len / 2) || !snug_unhex(f[7], ref, f[7].len / 2))
        return false;
    t->who.is_admin = admin == 1;
    t->who.scope = t->scope;
    t->who.name = (snug_slice){name, f[6].len / 2};
    t->ref = (snug_slice){ref, f[7].len / 2};
    snug_slice claim =
        claim_of(a, t->scope, t->who.user_id, t->who.is_admin, t->repo_row, f[6], f[7]);
    return hub_sign_ok(h, claim, t->expires_ms, f[8]);
}

/* Memberships are read anew: who left an organization writes to it no more. */
static snug_status load_orgs(hub *h, snug_arena *a, hub_actor *who, snug_err *err)
{
    db_txn     *tx = NULL;
    snug_status st = SNUG_OK;
    if (hub_is_anonymous(who)) return SNUG_OK;
    st = db_begin(h->db, DB_READ, &tx, err);
    if (st == SNUG_OK) st = hub_load_orgs(tx, a, who->user_id, &who->orgs, err);
    db_rollback(tx);
    return st;
}

snug_status hub_ticket_read(hub *h, snug_slice text, hub_role need, snug_arena *a, hub_ticket *out,
                            snug_err *err)
{
    snug_status   st = SNUG_OK;
    hub_repo_info info;
    bool          found = false;

    *out = (hub_ticket){.scope = HUB_ROLE_NONE};
    if (!parse(h, text, a, out))
        SNUG_FAIL(err, SNUG_EUNAUTH, "This token is not valid or has expired; ask for a new one");
    SNUG_TRY(load_orgs(h, a, &out->who, err));
    SNUG_TRY(hub_load_row(h, out->repo_row, a, &info, &found, err));
    if (!found || info.disabled || !hub_can_read(&out->who, &info))
        SNUG_FAIL(err, SNUG_EUNAUTH, "This token's repository is gone; ask for a new one");
    SNUG_TRY(hub_may_pass_gate(h, &out->who, &info, &found, err));
    if (!found) SNUG_FAIL(err, SNUG_EFORBIDDEN, "Access to this repository is restricted");
    if (need >= HUB_ROLE_WRITE) {
        if (out->scope < HUB_ROLE_WRITE)
            SNUG_FAIL(err, SNUG_EFORBIDDEN, "This token can only read");
        SNUG_TRY(hub_check_upload(h, &out->who, &info, out->ref, out->ref.len == 0, err));
    }
done:
    return st;
}

/* Goes up when xorbs are removed: what clients remember of them is then of another store. */
static int64_t generation_of(hub *h)
{
    db_txn     *tx = NULL;
    int64_t     n = 0;
    snug_err    err = {0};
    snug_status st = db_begin(h->db, DB_READ, &tx, &err);
    if (st == SNUG_OK) st = store_generation(tx, &n, &err);
    db_rollback(tx);
    if (st != SNUG_OK) snug_log_err(SNUG_WARN, "hub.generation", &err);
    return n;
}

void hub_xet_realm(hub *h, const hub_actor *who, char out[HUB_XET_REALM + 1])
{
    char        text[80], hex[65];
    int         n = snprintf(text, sizeof text, "xet-realm %" PRId64 " %" PRId64, who->user_id,
                             generation_of(h));
    snug_sha256 mac = snug_hmac_sha256(snug_slice_of(h->secret, sizeof h->secret),
                                       snug_slice_of(text, (size_t)n));
    snug_hex(mac.b, sizeof mac.b, hex);
    memcpy(out, hex, HUB_XET_REALM);
    out[HUB_XET_REALM] = '\0';
}
