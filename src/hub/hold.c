/* SPDX-License-Identifier: Apache-2.0 */
/* hub/hold.c - uploads and commits under way, and the collector that waits for them.
 *
 * The collector never asks anybody to stop. It marks what nobody seems to use, turns to the other
 * side, and waits until all who began on the old side have ended. Whoever begins later sees the
 * marks, and takes them away from what he uses:
 *
 *     side 0   ──[ commit ]──────[ upload ··· ]──┐              (who began before the turn)
 *     collector      mark ▲   turn ▲    waits ···▲ removes what is still marked and unused
 *     side 1                        └──[ commit: takes marks away ]──
 *
 * For:     commits, pushes, uploads and the collector, in any number of processes.
 * Owns:    <data>/hold: byte 0 says which side is current, locks on bytes 16 and 17 are the two
 *          sides, on byte 18 the collector's. The kernel lets go of them with the process.
 * Threads: any; each hold has a descriptor of its own, so locks of threads do not mix.
 * Truth:   a hold that began was on the current side after it had its lock. */
#include <fcntl.h>
#include <unistd.h>

#include "hub/hub_int.h"

enum { SIDE_AT = 16, COLLECTOR_AT = 18, PAUSE_US = 10000, TRIES_MAX = 1000 };

static int lock_byte(int fd, short type, off_t at)
{
    struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = at, .l_len = 1};
    return fcntl(fd, F_OFD_SETLK, &l);
}

static snug_status open_file(hub *h, int *fd, snug_err *err)
{
    SNUG_AUTO(snug_buf) path = snug_buf_init(8192);
    snug_buf_printf(&path, "%s/hold", h->data_dir);
    *fd = open(snug_buf_cstr(&path), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return *fd >= 0 ? SNUG_OK : snug_fail_sys(err, errno, "open %s", snug_buf_cstr(&path));
}

static int current_side(int fd)
{
    char side = 0;
    return pread(fd, &side, 1, 0) == 1 && side == '1' ? 1 : 0;
}

snug_status hub_hold_begin(hub *h, hub_hold *out, snug_err *err)
{
    out->fd = -1;
    int         fd;
    snug_status st = open_file(h, &fd, err);
    if (st != SNUG_OK) return st;
    for (int i = 0; i < TRIES_MAX; i++) {
        int side = current_side(fd);
        if (lock_byte(fd, F_RDLCK, SIDE_AT + side) == 0) {
            if (current_side(fd) == side) {
                out->fd = fd;
                return SNUG_OK;
            }
            (void)lock_byte(fd, F_UNLCK, SIDE_AT + side); /* it turned meanwhile */
        }
        if (i > 0) (void)usleep(PAUSE_US / 10);
    }
    (void)close(fd);
    return snug_fail(err, SNUG_EBUSY, "the store is busy; try again");
}

void hub_hold_deinit(hub_hold *hold)
{
    if (hold->fd >= 0) (void)close(hold->fd);
    hold->fd = -1;
}

/* ---- the collector's side ---- */

snug_status hub_collector_begin(hub *h, int *fd, snug_err *err)
{
    snug_status st = open_file(h, fd, err);
    if (st != SNUG_OK) return st;
    if (lock_byte(*fd, F_WRLCK, COLLECTOR_AT) == 0) return SNUG_OK;
    (void)close(*fd);
    *fd = -1;
    return snug_fail(err, SNUG_EBUSY, "another collection is running on this data folder");
}

snug_status hub_collector_turn(int fd, unsigned wait_ms, snug_err *err)
{
    int      old = current_side(fd);
    char     next = old == 0 ? '1' : '0';
    uint64_t end = snug_mono_ms() + wait_ms;
    if (pwrite(fd, &next, 1, 0) != 1) return snug_fail_sys(err, errno, "write of the hold file");
    while (lock_byte(fd, F_WRLCK, SIDE_AT + old) != 0) {
        if (snug_mono_ms() >= end)
            return snug_fail(err, SNUG_EBUSY,
                             "uploads that began before are still running; nothing of this kind "
                             "was removed: try again later");
        (void)usleep(PAUSE_US);
    }
    (void)lock_byte(fd, F_UNLCK, SIDE_AT + old);
    return SNUG_OK;
}

snug_status hub_pause_begin(hub *h, unsigned wait_ms, hub_hold *pause, snug_err *err)
{
    uint64_t    end = snug_mono_ms() + wait_ms;
    int         fd;
    snug_status st;

    pause->fd = -1;
    st = open_file(h, &fd, err);
    if (st != SNUG_OK) return st;
    while (lock_byte(fd, F_WRLCK, SIDE_AT) != 0 || lock_byte(fd, F_WRLCK, SIDE_AT + 1) != 0) {
        (void)lock_byte(fd, F_UNLCK, SIDE_AT); /* both or none: others go on meanwhile */
        if (snug_mono_ms() >= end) {
            (void)close(fd);
            return snug_fail(err, SNUG_EBUSY, "uploads are running: try again later");
        }
        (void)usleep(PAUSE_US);
    }
    pause->fd = fd;
    return SNUG_OK;
}

/* ---- marks ---- */

snug_status hub_unmark(hub *h, store_mark kind, snug_slice name, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    db_txn     *tx = NULL;
    int64_t     since = 0;
    bool        was;

    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    SNUG_TRY(store_find_mark(tx, a, kind, name, &since, err));
    db_rollback(tx);
    tx = NULL;
    if (since == 0) goto done; /* nearly always */
    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_unmark(tx, kind, name, &was, err));
    st = db_end(tx, true, err);
    tx = NULL;
done:
    db_rollback(tx);
    snug_arena_free(a);
    return st;
}

snug_status hub_keep_xorb(hub *h, const xet_hash *name, snug_err *err)
{
    char text[65];
    xet_hash_text(name, text);
    return hub_unmark(h, STORE_MARK_XORB, snug_str(text), err);
}

snug_status hub_keep_lfs(hub *h, int64_t repo_row, const blob_id *id, snug_err *err)
{
    char hex[65], name[STORE_MARK_NAME];
    blob_id_hex(id, hex);
    store_mark_of_link(repo_row, snug_str(hex), name);
    return hub_unmark(h, STORE_MARK_LINK, snug_str(name), err);
}

snug_status hub_name_blob(hub *h, blob_writer *w_owned, const blob_id *expect, uint64_t size,
                          blob_id *out, snug_err *err)
{
    blob_id     id;
    char        hex[65];
    snug_status st = blob_put_seal(w_owned, &id, err);
    blob_id_hex(&id, hex);
    if (st == SNUG_OK) st = hub_unmark(h, STORE_MARK_BLOB, snug_str(hex), err);
    if (st != SNUG_OK) {
        blob_put_abort(w_owned);
        return st;
    }
    return blob_put_commit(w_owned, expect, size, out, err);
}
