/* SPDX-License-Identifier: Apache-2.0 */
/* remote/xet_pack.h - an upload by Xet: xet_pack.c fills xorbs, xet_send.c sends them, and
 * xet_upload.c holds both together. */
#ifndef SNUG_REMOTE_XET_PACK_H
#define SNUG_REMOTE_XET_PACK_H

#include "remote/remote_int.h"

enum {
    /* Of a xorb we make. At most a quarter of what may be, so that several fit memory; small at
     * first and on slow links, because a xorb whose connection breaks is sent again from its start.
     */
    PACK_RAW_MIN = 2 << 20,
    PACK_RAW_FIRST = 8 << 20,
    PACK_RAW_MAX = 16 << 20,
    PACK_WAITING_MAX = 2, /* xorbs that wait for a sender */
    PACK_SPARE_MAX = 2,
    /* Of all xorbs together, filled, waiting or on their way: six of the largest, or eight lanes'
     * worth of smaller ones. */
    PACK_MEMORY_MAX = 112 << 20,
    PACK_SLACK = 1 << 18 /* of a xorb's buffer over its chunks: headers, room to try packing one */
};

/* A run of chunks of one xorb in a file. */
typedef struct pack_term {
    uint32_t xorb, start, end, raw_size;
    xet_hash proof;
} pack_term;

typedef struct pack_file {
    const remote_object *o;
    xet_hash             hash;
    pack_term           *terms;
    uint32_t             count, cap;
} pack_file;

/* A whole xorb on its way. */
typedef struct parcel {
    struct parcel *next;
    uint32_t       xorb; /* of the known ones */
    xet_hash       name;
    snug_buf       body;
    uint64_t       raw;
} parcel;

typedef struct pack_session {
    remote              *r;
    remote_crew         *c;
    remote_door         *door;
    remote_known        *known;
    remote_pace          pace;
    const remote_object *objs;
    size_t               count;
    pack_file           *files; /* count of them, filled by the packer */
    bool                 again; /* second time: the progress counted it */
    atomic_bool          used_old;
    _Atomic uint32_t     pack_max; /* bytes of the next xorb */
    uint32_t            *made;     /* xorbs of this upload */
    size_t               made_count, made_cap;

    snug_mutex lock; /* rank 862: guards the queue and the buffers */
    snug_cond  moved;
    parcel    *head, **tail;
    unsigned   waiting;
    bool       closed;
    snug_buf   spare[PACK_SPARE_MAX];
    unsigned   spare_count;
    size_t     held; /* bytes of all buffers */
} pack_session;

/* Reads, cuts and packs all files; runs on one thread. */
snug_status pack_files(pack_session *s, snug_err *err) SNUG_MUST_USE;
/* Waits for room, then hands a parcel to the senders. */
snug_status pack_hand_over(pack_session *s, parcel *p_owned, snug_err *err) SNUG_MUST_USE;
void        pack_close_queue(pack_session *s);
/* Room for a xorb of `raw` bytes of chunks; waits until others have left enough of it. */
snug_buf pack_take_buffer(pack_session *s, uint64_t raw);
/* Sends parcels until the queue is closed and empty; one of several threads. */
snug_status pack_send(pack_session *s, snug_err *err) SNUG_MUST_USE;
/* Registers what was sent: shards with all files. */
snug_status pack_register(pack_session *s, snug_err *err) SNUG_MUST_USE;
/* One line of a store's answer to a shard. *end: it was the last; then the status counts. */
snug_status pack_read_line(snug_slice line, bool *end, bool *retry, snug_err *err) SNUG_MUST_USE;

#endif
