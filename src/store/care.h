/* SPDX-License-Identifier: Apache-2.0 */
/* store/care.h - what the keepers of the byte store ask: marks of the collector, walks over
 * everything stored, sums for the report. Part of store/store.h.
 *
 * For:     hub/gc*.c, hub/chunk.c, hub/fsck*.c, hub/usage.c.
 * Truth:   a mark says since when nobody is known to use a thing; whoever begins to use it takes
 *          the mark away, and without one nothing is removed. */
#ifndef SNUG_STORE_CARE_H
#define SNUG_STORE_CARE_H

#include "store/store.h"

/* ---- marks ---- */
typedef enum store_mark {
    STORE_MARK_LINK,   /* "<repo>/<oid>" */
    STORE_MARK_LAYOUT, /* its id */
    STORE_MARK_XORB,   /* its hash */
    STORE_MARK_BLOB    /* its id in hex */
} store_mark;
enum { STORE_MARK_NAME = 96 };
void        store_mark_of_link(int64_t repo, snug_slice oid, char out[STORE_MARK_NAME]);
snug_status store_put_mark(db_txn *tx, store_mark kind, snug_slice name, int64_t since_ms,
                           snug_err *err) SNUG_MUST_USE; /* an older one stays */
/* *since_ms: of the mark; 0: there is none. */
snug_status store_find_mark(db_txn *tx, snug_arena *a, store_mark kind, snug_slice name,
                            int64_t *since_ms, snug_err *err) SNUG_MUST_USE;
snug_status store_unmark(db_txn *tx, store_mark kind, snug_slice name, bool *was,
                         snug_err *err) SNUG_MUST_USE;
/* Names after `after`, in order. */
snug_status store_list_marks(db_txn *tx, snug_arena *a, store_mark kind, snug_slice after,
                             size_t limit, snug_slice **out, size_t *count,
                             snug_err *err) SNUG_MUST_USE;

/* ---- who uses what ---- */
/* The repositories that link an object, of any state. */
snug_status store_repos_of_lfs(db_txn *tx, snug_arena *a, snug_slice oid, size_t limit,
                               int64_t **out, size_t *count, snug_err *err) SNUG_MUST_USE;
/* Does a link, or a xorb's row, name these bytes? */
snug_status store_blob_used(db_txn *tx, snug_arena *a, snug_slice blob, bool *linked, bool *xorb,
                            snug_err *err) SNUG_MUST_USE;
typedef struct store_layout {
    store_xet_file file;
    bool           linked;      /* a repository has a right to the content */
    bool           replaceable; /* shown nowhere, and another layout of the content is */
} store_layout;
/* Layouts with id > after, in order, with their terms. */
snug_status store_walk_layouts(db_txn *tx, snug_arena *a, int64_t after, size_t limit,
                               store_layout **out, size_t *count, snug_err *err) SNUG_MUST_USE;
snug_status store_find_layout(db_txn *tx, snug_arena *a, int64_t id, store_layout *out, bool *found,
                              snug_err *err) SNUG_MUST_USE;
/* Any layout of this content, whoever may be shown it: for reading its bytes. */
snug_status store_find_content(db_txn *tx, snug_arena *a, snug_slice sha256, store_xet_file *out,
                               bool *found, snug_err *err) SNUG_MUST_USE;
snug_status store_delete_layout(db_txn *tx, int64_t id, snug_err *err) SNUG_MUST_USE;
/* What repositories show of contents they have no right to any more. */
snug_status store_drop_stale_shows(db_txn *tx, uint64_t *dropped, snug_err *err) SNUG_MUST_USE;
/* Xorbs with id > after, in order; `chunks` only when asked for. */
snug_status store_walk_xorbs(db_txn *tx, snug_arena *a, int64_t after, size_t limit, bool chunks,
                             store_xorb **out, size_t *count, snug_err *err) SNUG_MUST_USE;
snug_status store_delete_xorb(db_txn *tx, int64_t id, snug_err *err) SNUG_MUST_USE;
snug_status store_set_xorb_blob(db_txn *tx, int64_t id, snug_slice blob,
                                snug_err *err) SNUG_MUST_USE;
snug_status store_set_xorb_index(db_txn *tx, int64_t id, snug_slice chunks, uint64_t stored_size,
                                 uint64_t raw_size, snug_err *err) SNUG_MUST_USE;

/* ---- links of all repositories ---- */
typedef struct store_link {
    int64_t    repo;
    snug_slice oid;
    uint64_t   size;
} store_link;
/* By oid and repository, after that place. */
snug_status store_walk_links(db_txn *tx, snug_arena *a, snug_slice oid, int64_t repo, size_t limit,
                             store_link **out, size_t *count, snug_err *err) SNUG_MUST_USE;
snug_status store_set_link_size(db_txn *tx, int64_t repo, snug_slice oid, uint64_t size,
                                snug_err *err) SNUG_MUST_USE;

/* A keeper let go of an object that commits may still point to. */
snug_status store_note_dropped(db_txn *tx, int64_t repo, snug_slice oid,
                               snug_err *err) SNUG_MUST_USE;
snug_status store_was_dropped(db_txn *tx, int64_t repo, snug_slice oid, bool *yes,
                              snug_err *err) SNUG_MUST_USE;

/* ---- chunks for the background ---- */
/* Where a chunk of this key may be, in xorbs that every reader of every repository that links `oid`
 * may know of. Newest first. */
snug_status store_find_shared(db_txn *tx, snug_arena *a, int64_t chunk, snug_slice oid,
                              store_lookup out[STORE_LOOKUP_MAX], size_t *count,
                              snug_err *err) SNUG_MUST_USE;
/* Shows a layout in all live repositories that link its content and whose readers may know all of
 * the xorbs; links them to those repositories. */
snug_status store_show_layout(db_txn *tx, int64_t layout, snug_slice oid,
                              snug_err *err) SNUG_MUST_USE;
snug_status store_share_xorb(db_txn *tx, int64_t xorb, snug_slice oid, int64_t now_ms,
                             snug_err *err) SNUG_MUST_USE;
snug_status store_count_lookups(db_txn *tx, snug_arena *a, int64_t xorb, uint64_t *out,
                                snug_err *err) SNUG_MUST_USE;
/* Index entries whose xorb is gone. */
snug_status store_drop_stale_lookups(db_txn *tx, uint64_t *dropped, snug_err *err) SNUG_MUST_USE;

/* ---- sums ---- */
typedef struct store_sums {
    uint64_t objects, logical_bytes; /* links of live repositories */
    uint64_t xorbs, xorb_bytes, xorb_raw_bytes, layouts;
} store_sums;
snug_status store_sum_storage(db_txn *tx, snug_arena *a, store_sums *out,
                              snug_err *err) SNUG_MUST_USE;
/* The terms of the layouts by which this repository's objects would be read; one per object. */
typedef struct store_used {
    snug_slice oid;
    uint64_t   size;
    snug_slice terms;
    bool       packed; /* terms say how; else stored whole */
} store_used;
snug_status store_walk_used(db_txn *tx, snug_arena *a, int64_t repo, snug_slice after, size_t limit,
                            store_used **out, size_t *count, snug_err *err) SNUG_MUST_USE;
/* Does any live repository but `except` that the reader may read link this object? Its ids. */
snug_status store_readers_of_lfs(db_txn *tx, snug_arena *a, snug_slice oid, const store_reader *who,
                                 int64_t except, size_t limit, store_repo **out, size_t *count,
                                 snug_err *err) SNUG_MUST_USE;

/* ---- counters ---- */
snug_status store_next_generation(db_txn *tx, int64_t *out, snug_err *err) SNUG_MUST_USE;
snug_status store_generation(db_txn *tx, int64_t *out, snug_err *err) SNUG_MUST_USE;

#endif
