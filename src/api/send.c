/* SPDX-License-Identifier: Apache-2.0 */
/* api/send.c - answers made while they are sent: a thread each, not a worker, for a slow client may
 * take hours.
 *
 *     reader (decodes half a megabyte ahead) ──▶ ring of the stream ──▶ I/O thread ──▶ client
 *
 * For:     resolve.c, lfs.c, xet.c.
 * Owns:    the table of running threads; finished ones are joined by whoever needs their place.
 * Threads: any.
 * Truth:   a reader that fails cuts the connection: a short body is never a whole one. */
#include "api/api_int.h"

#include <stdlib.h>

enum { JOBS_MAX = 512, RANK_JOBS = 60, RING = 512 << 10, PUSH = 64 << 10, STACK_KB = 512 };

typedef struct slot {
    snug_thread *thread; /* NULL: free */
    atomic_bool  done;
    void (*run)(void *);
    void *arg;
} slot;

struct api_jobs {
    snug_mutex lock; /* guards which slots are taken */
    slot       slots[JOBS_MAX];
};

api_jobs *api_jobs_new(void)
{
    api_jobs *j = snug_zalloc(sizeof *j);
    snug_mutex_init(&j->lock, "api-jobs", RANK_JOBS);
    return j;
}

void api_jobs_free(api_jobs *j)
{
    if (j == NULL) return;
    for (size_t i = 0; i < JOBS_MAX; i++) {
        if (j->slots[i].thread != NULL) snug_thread_join(j->slots[i].thread);
    }
    snug_mutex_deinit(&j->lock);
    free(j);
}

static void run_slot(void *arg)
{
    slot *s = arg;
    s->run(s->arg);
    atomic_store(&s->done, true);
}

bool api_jobs_start(api_jobs *j, void (*run)(void *), void *arg)
{
    snug_thread *old = NULL;
    slot        *s = NULL;

    snug_lock(&j->lock);
    for (size_t i = 0; i < JOBS_MAX && s == NULL; i++) {
        slot *at = &j->slots[i];
        if (at->thread == NULL || atomic_load(&at->done)) s = at;
    }
    if (s != NULL) {
        old = s->thread;
        s->run = run;
        s->arg = arg;
        atomic_store(&s->done, false);
        s->thread = snug_thread_start("snug-send", STACK_KB, run_slot, s);
    }
    snug_unlock(&j->lock);
    if (old != NULL) snug_thread_join(old); /* it has ended, or is about to */
    return s != NULL;
}

/* ---- an object ---- */

typedef struct sending {
    http_stream *stream;
    hub_reader  *reader;
} sending;

static snug_status push_piece(http_stream *s, snug_slice piece, snug_err *err)
{
    snug_status st = SNUG_OK;
    while (st == SNUG_OK && piece.len > 0) { /* small steps: even a slow client takes one in time */
        st = http_stream_push(s, snug_sub(piece, 0, PUSH), err);
        piece = snug_sub(piece, PUSH, piece.len);
    }
    return st;
}

static void send_all(void *arg)
{
    sending    *s = arg;
    snug_err    err = {0};
    snug_slice  piece;
    snug_status st;

    do {
        st = hub_reader_next(s->reader, &piece, &err);
        if (st == SNUG_OK) st = push_piece(s->stream, piece, &err);
    } while (st == SNUG_OK && piece.len > 0);
    if (st != SNUG_OK && st != SNUG_ECANCELED && st != SNUG_ETIMEOUT)
        snug_log_err(SNUG_ERROR, "api.send", &err);
    http_stream_close(s->stream, st == SNUG_OK);
    http_stream_unref(s->stream);
    hub_reader_free(s->reader);
    free(s);
}

snug_status api_send_object(api_app *app, http_req *rq, http_res *rs, const hub_object *o,
                            snug_slice media, snug_err *err)
{
    char     hex[65];
    uint64_t first, len;

    blob_id_hex(&o->oid, hex);
    snug_slice etag = snug_arena_printf(http_req_arena(rq), "\"%s\"", hex);
    if (o->is_blob) {
        int fd = blob_open_fd(hub_blobs(app->hub), &o->oid);
        if (fd >= 0) {
            http_reply_content(rq, rs, media, etag, fd, NULL, o->size);
            return SNUG_OK;
        }
    }
    hub_object packed =
        *o; /* of a whole copy that went a moment ago, the reader finds the chunks */
    packed.is_blob = packed.is_blob && !packed.is_xet;
    http_stream *stream =
        http_reply_content_stream(rq, rs, media, etag, o->size, RING, &first, &len);
    if (stream == NULL) return SNUG_OK;
    sending *s = snug_alloc(sizeof *s);
    *s = (sending){stream, hub_reader_new(app->hub, &packed, first, len)};
    if (api_jobs_start(app->jobs, send_all, s)) return SNUG_OK;
    http_stream_close(stream, false);
    http_stream_unref(stream);
    hub_reader_free(s->reader);
    free(s);
    return snug_fail(err, SNUG_EBUSY, "too many downloads at once; try again");
}
