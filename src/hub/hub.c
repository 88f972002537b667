/* SPDX-License-Identifier: Apache-2.0 */
/* hub/hub.c - opening and closing the hub; signed capabilities.
 *
 * For:     cli/serve.c and tests.
 * Owns:    the data directory: snug.db, blobs/, git/, drafts/, lost/.
 * Threads: hub_open and hub_close run alone; the rest anywhere.
 * Truth:   when hub_open returns, rows and refs agree. */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "hub/hub_int.h"

#define LFS_FILE_MAX UINT64_C(500000000000)
enum { RAW_FILE_MAX = 10 << 20 };

static char *join(const char *dir, const char *name)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(8192);
    snug_buf_printf(&b, "%s/%s", dir, name);
    return snug_strdup(snug_buf_slice(&b));
}

static snug_status open_db(hub *h, const hub_opts *o, snug_err *err)
{
    SNUG_AUTO(snug_buf) url = snug_buf_init(8192);
    snug_status st = SNUG_OK;

    if (o->db_url != NULL)
        snug_buf_puts(&url, o->db_url);
    else
        snug_buf_printf(&url, "sqlite:%s/snug.db", h->data_dir);
    SNUG_TRY(snug_buf_check(&url, "the database address", err));
    SNUG_TRY(db_open(snug_buf_slice(&url), &h->db, err));
    SNUG_TRY(store_migrate(h->db, err));
done:
    return st;
}

/* Made by the first start and kept: links that are out stay good over a restart. */
static snug_status load_secret(hub *h, snug_err *err)
{
    snug_status   st = SNUG_OK;
    snug_arena   *a = snug_arena_new();
    db_txn       *tx = NULL;
    unsigned char fresh[sizeof h->secret];
    char          hex[2 * sizeof fresh + 1];
    snug_slice    kept;

    snug_random(fresh, sizeof fresh);
    snug_hex(fresh, sizeof fresh, hex);
    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_keep_secret(tx, a, "sign", snug_str(hex), &kept, err));
    if (!snug_unhex(kept, h->secret, sizeof h->secret))
        SNUG_FAIL(err, SNUG_ECORRUPT, "the signing secret in the database is damaged");
    st = db_end(tx, true, err);
    tx = NULL;
done:
    db_rollback(tx);
    snug_secret_wipe(fresh, sizeof fresh);
    snug_secret_wipe(hex, sizeof hex);
    snug_arena_free(a);
    return st;
}

/* Healing undoes what others have half done, so it is for the first process on this directory
 * only; a second one joins in without. The one before may be on its way out: wait a moment for it.
 * *alone: heal. */
static snug_status lock_dir(hub *h, bool *alone, snug_err *err)
{
    enum { TRIES = 20, PAUSE_US = 50000 };
    SNUG_AUTO(snug_buf) path = snug_buf_init(8192);
    snug_buf_printf(&path, "%s/lock", h->data_dir);
    h->lock_fd = open(snug_buf_cstr(&path), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (h->lock_fd < 0) return snug_fail_sys(err, errno, "open %s", snug_buf_cstr(&path));
    for (int i = 0; i < TRIES; i++) {
        *alone = flock(h->lock_fd, LOCK_EX | LOCK_NB) == 0;
        if (*alone) return SNUG_OK;
        (void)usleep(PAUSE_US);
    }
    while (flock(h->lock_fd, LOCK_SH) != 0) { /* waits while another heals */
        if (errno != EINTR) return snug_fail_sys(err, errno, "flock %s", snug_buf_cstr(&path));
    }
    return SNUG_OK;
}

/* Blobs, git and threads: all that an admin's command beside the server does without. */
static snug_status open_house(hub *h, snug_err *err)
{
    snug_status st = SNUG_OK;
    bool        alone = false;

    SNUG_TRY(lock_dir(h, &alone, err));
    if (alone) SNUG_TRY(snug_remove_tree(h->draft_dir, err)); /* what a crash left */
    SNUG_TRY(snug_mkdirs(h->draft_dir, 0700, err));
    SNUG_TRY(blob_open_fs(h->data_dir, &h->blobs, err));
    SNUG_TRY(vcs_open(h->git_dir, &h->vcs, err));
    if (alone && !h->read_only) SNUG_TRY(hub_heal(h, err));
    if (alone && flock(h->lock_fd, LOCK_SH) != 0) { /* others may come in now */
        st = snug_fail_sys(err, errno, "flock %s/lock", h->data_dir);
        goto done;
    }
    hub_start_flusher(h);
done:
    return st;
}

static void make_parts(hub *h)
{
    h->cache = hub_cache_new();
    h->tokens = hub_tokens_new();
    h->locks = hub_locks_new();
    h->stats = hub_stats_new();
    h->visits = hub_visits_new();
    h->argon = hub_argon_new();
    h->xorbs = hub_xorbs_new();
}

snug_status hub_open(const hub_opts *o, hub **out, snug_err *err)
{
    snug_status st = SNUG_OK;
    hub        *h = snug_zalloc(sizeof *h);

    *out = NULL;
    h->lock_fd = -1;
    make_parts(h);
    if (sodium_init() < 0) SNUG_FAIL(err, SNUG_EINTERNAL, "libsodium does not start");
    if (o->data_dir == NULL || strlen(o->data_dir) > 4000)
        SNUG_FAIL(err, SNUG_EINVAL, "the data directory is not named, or its path is too long");
    h->data_dir = snug_strdup(snug_str(o->data_dir));
    hub_set_public_url(h, "http://localhost");
    h->git_dir = join(o->data_dir, "git");
    h->draft_dir = join(o->data_dir, "drafts");
    h->raw_file_max = o->raw_file_max > 0 ? o->raw_file_max : RAW_FILE_MAX;
    h->lfs_file_max = o->lfs_file_max > 0 ? o->lfs_file_max : LFS_FILE_MAX;
    h->ticket_s = o->ticket_s > 0 ? o->ticket_s : HUB_TICKET_S;
    h->read_only = o->read_only;
    /* Later than any of the last run, so that what was rendered then never looks fresh. */
    atomic_store(&h->epoch, (uint64_t)snug_now_ms() << 10);
    SNUG_TRY(snug_mkdirs(o->data_dir, 0700, err));
    SNUG_TRY(open_db(h, o, err));
    SNUG_TRY(load_secret(h, err));
    if (!o->admin_tool) SNUG_TRY(open_house(h, err));
    *out = h;
    h = NULL;
done:
    hub_close(h);
    return st;
}

void hub_close(hub *h)
{
    if (h == NULL) return;
    hub_stop_flusher(h);
    hub_locks_free(h->locks);
    hub_cache_free(h->cache);
    hub_tokens_free(h->tokens);
    hub_stats_free(h->stats);
    hub_visits_free(h->visits);
    hub_argon_free(h->argon);
    hub_xorbs_free(h->xorbs);
    if (h->vcs != NULL) vcs_close(h->vcs);
    blob_close(h->blobs);
    db_close(h->db);
    if (h->lock_fd >= 0) (void)close(h->lock_fd);
    snug_secret_wipe(h->secret, sizeof h->secret);
    free(h->data_dir);
    free(h->git_dir);
    free(h->draft_dir);
    free(h);
}

blob_store *hub_blobs(hub *h) { return h->blobs; }
vcs        *hub_vcs(hub *h) { return h->vcs; }
db         *hub_db(hub *h) { return h->db; }

/* ---- capabilities ---- */

/* The expiry stands in front, in digits and a newline, so that no `what` can imitate it. */
static void sign(hub *h, snug_slice what, int64_t expires_ms, char sig[65])
{
    char   head[32];
    size_t n = (size_t)snprintf(head, sizeof head, "%lld\n", (long long)expires_ms);
    char  *text = snug_alloc(n + what.len);
    memcpy(text, head, n);
    if (what.len > 0) memcpy(text + n, what.ptr, what.len);
    snug_sha256 mac = snug_hmac_sha256(snug_slice_of(h->secret, sizeof h->secret),
                                       snug_slice_of(text, n + what.len));
    snug_hex(mac.b, sizeof mac.b, sig);
    free(text);
}

snug_status hub_sign(hub *h, snug_slice what, int64_t expires_ms, char sig[65], snug_err *err)
{
    if (what.len == 0 || what.len > 16384)
        return snug_fail(err, SNUG_EINVAL, "nothing, or too much, to sign");
    sign(h, what, expires_ms, sig);
    return SNUG_OK;
}

bool hub_sign_ok(hub *h, snug_slice what, int64_t expires_ms, snug_slice sig)
{
    char want[65];
    if (what.len == 0 || what.len > 16384 || expires_ms <= snug_now_ms()) return false;
    sign(h, what, expires_ms, want);
    return snug_secret_eq(snug_str(want), sig);
}
