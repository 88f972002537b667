/* SPDX-License-Identifier: Apache-2.0 */
/* remote/xet_upload.c - large files by Xet: only chunks the store lacks travel.
 *
 *     packer (one) --parcels--> senders (several, paced) ... all sent --> shards
 *
 * For:     upload.c, which commits afterwards, or goes by LFS where there is no store.
 * Owns:    nothing on disk but the log of xet_known.c.
 * Threads: the caller's crew: the first is the packer, the others send.
 * Truth:   when SNUG_OK comes back the store has every file and knows it by its SHA-256. */
#include <stdlib.h>

#include "remote/xet_pack.h"

static void session_init(pack_session *s)
{
    snug_mutex_init(&s->lock, "remote.pack", 862);
    snug_cond_init(&s->moved);
    s->tail = &s->head;
    atomic_store(&s->pack_max, PACK_RAW_FIRST);
    s->files = snug_zalloc((s->count + 1) * sizeof *s->files);
    remote_pace_init(&s->pace, REMOTE_XET_LANES);
}

static void session_deinit(pack_session *s)
{
    while (s->head != NULL) {
        parcel *p = s->head;
        s->head = p->next;
        snug_buf_deinit(&p->body);
        free(p);
    }
    for (unsigned i = 0; i < s->spare_count; i++) snug_buf_deinit(&s->spare[i]);
    for (size_t i = 0; i < s->count; i++) free(s->files[i].terms);
    free(s->files);
    free(s->made);
    remote_known_close(s->known);
    remote_pace_deinit(&s->pace);
    snug_cond_deinit(&s->moved);
    snug_mutex_deinit(&s->lock);
}

static snug_status work(remote_crew *c, void *arg, size_t index, snug_err *err)
{
    pack_session *s = arg;
    (void)c;
    if (index > 0) return pack_send(s, err);
    snug_status st = pack_files(s, err);
    pack_close_queue(s);
    return st;
}

static snug_status register_all(remote_crew *c, void *arg, size_t index, snug_err *err)
{
    (void)c, (void)index;
    return pack_register(arg, err);
}

static snug_status run(pack_session *s, const char *cas, bool forget, snug_err *err)
{
    snug_status st = SNUG_OK;
    session_init(s);
    s->known = remote_known_open(cas, forget);
    SNUG_TRY(remote_crew_run(s->c, 1 + REMOTE_XET_LANES, 1 + REMOTE_XET_LANES, work, s, err));
    SNUG_TRY(remote_crew_run(s->c, 1, 1, register_all, s, err));
done:
    session_deinit(s);
    return st;
}

/* The first question tells whether there is a store at all. */
typedef struct knock {
    remote_door *door;
    snug_arena  *a;
    const char  *cas;
} knock;

static snug_status ask_where(remote_crew *c, void *arg, size_t index, snug_err *err)
{
    knock *k = arg;
    (void)index;
    return remote_door_cas(k->door, c, k->a, &k->cas, err);
}

snug_status remote_xet_upload(remote *r, remote_crew *c, const remote_repo *id, snug_slice revision,
                              const remote_object *objs, size_t count, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    const char *rest =
        snug_arena_printf(a, "/xet-write-token/%s", remote_encode(a, revision, false)).ptr;
    knock        k = {.door = remote_door_open(r, remote_api_url(r, a, id, rest)), .a = a};
    pack_session s = {.r = r, .c = c, .door = k.door, .objs = objs, .count = count};
    remote_crew_what(c, "asking for the Xet store");
    st = remote_crew_run(c, 1, 1, ask_where, &k, err);
    if (st == SNUG_ENOTFOUND) st = SNUG_EUNSUPPORTED;
    if (st != SNUG_OK) goto done;
    st = run(&s, k.cas, false, err);
    /* A xorb of an earlier upload was there when we asked and is gone now: all anew, once. */
    if (st == SNUG_EINVAL && atomic_load(&s.used_old)) {
        snug_log(SNUG_DEBUG, "remote.xet", "again without the log of earlier uploads");
        s = (pack_session){
            .r = r, .c = c, .door = k.door, .objs = objs, .count = count, .again = true};
        snug_err_clear(err);
        st = run(&s, k.cas, true, err);
    }
done:
    remote_door_close(k.door);
    snug_arena_free(a);
    return st;
}
