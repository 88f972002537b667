/* SPDX-License-Identifier: Apache-2.0 */
/* hub/care.h - keeping the byte store: chunking what came whole, collecting what nobody uses,
 * verifying all of it, telling what it takes. Part of hub/hub.h; include that one.
 *
 * None of it asks who is calling, but hub_repo_storage: it is for jobs and the operator. */
#ifndef SNUG_HUB_CARE_H
#define SNUG_HUB_CARE_H

#include "hub/hub.h"

/* Asked often in long work; true: end with SNUG_EBUSY, having harmed nothing. */
typedef bool hub_stop(void *arg);

/* ---- files stored whole become chunks ---- */
typedef struct hub_chunked {
    uint64_t size, stored;    /* bytes of the file; of new xorbs */
    uint64_t chunks, known;   /* how many; of them stored before */
    bool     packed, dropped; /* in chunks now; the whole copy is gone */
} hub_chunked;
/* Cuts an object that some repository links into chunks, stores those that are new, proves that
 * the chunks give its SHA-256 by reading all of it back, and only then lets the whole copy go.
 * Nothing to do is SNUG_OK. May be killed anywhere and run again. SNUG_ECORRUPT: the stored
 * bytes are not what their name says; they stay where they are. `stop` may be NULL. */
snug_status hub_chunk_object(hub *h, const blob_id *oid, hub_stop *stop, void *arg,
                             hub_chunked *out, snug_err *err) SNUG_MUST_USE;
/* Linked objects of at least size_min bytes of which a whole copy exists, after *after in order;
 * looks at `limit` objects at most. *after moves; *more: there may be others. */
snug_status hub_list_whole(hub *h, uint64_t size_min, blob_id *after, size_t limit, snug_arena *a,
                           blob_id **out, size_t *count, bool *more, snug_err *err) SNUG_MUST_USE;
/* From this size on, objects that arrive whole get a job "xet-chunk"; 0: none does. */
void     hub_set_chunk_min(hub *h, uint64_t size_min);
uint64_t hub_chunk_min(const hub *h);
/* Adds "xet-chunk" jobs for objects that arrived whole before; how many. */
snug_status hub_queue_whole(hub *h, uint64_t size_min, hub_stop *stop, void *arg, uint64_t *count,
                            snug_err *err) SNUG_MUST_USE;

/* ---- collecting what nobody uses ---- */
typedef enum hub_gc_kind {
    HUB_GC_LINK,   /* an object no ref of its repository names, in any commit */
    HUB_GC_LAYOUT, /* how a file is put together, that no repository has */
    HUB_GC_XORB,   /* chunks no file is made of */
    HUB_GC_BLOB,   /* bytes nobody names */
    HUB_GC_UPLOAD, /* uploads nobody goes on with */
    HUB_GC_KINDS
} hub_gc_kind;
const char *hub_gc_name(hub_gc_kind k); /* "link" */
typedef struct hub_gc_item {
    hub_gc_kind kind;
    snug_slice  name, repo; /* repo: "models/ns/name" of a link, else empty */
    uint64_t    bytes;
    bool        due; /* removed now (or would be); else it waits for the grace period to end */
    int64_t     since_ms;
} hub_gc_item;
typedef struct hub_gc_sum {
    uint64_t due, due_bytes, waiting, waiting_bytes;
} hub_gc_sum;
typedef struct hub_gc_opts {
    uint64_t grace_ms; /* how long it must have been unused, as far as collections saw */
    bool     dry_run;  /* changes nothing, not even marks */
    unsigned wait_ms;  /* for uploads that began before; 0: a minute */
    void (*item)(void *arg, const hub_gc_item *i); /* may be NULL */
    hub_stop *stop;                                /* may be NULL */
    void     *arg;
} hub_gc_opts;
typedef struct hub_gc_report {
    hub_gc_sum of[HUB_GC_KINDS];
    uint64_t   skipped; /* repositories that could not be read: nothing of theirs was touched */
} hub_gc_report;
/* One collection. Harmless to uploads and commits at any moment, here and in other processes on
 * this data folder. What is found unused for the first time is marked, and removed by a later run
 * that finds it unused still, grace_ms after. With grace_ms 0 that is this run: an upload whose
 * commit has not begun then fails and must be sent again, but nothing that was committed does.
 * SNUG_EBUSY while another collection runs. */
snug_status hub_collect(hub *h, const hub_gc_opts *o, hub_gc_report *out,
                        snug_err *err) SNUG_MUST_USE;

/* ---- git repositories ---- */
typedef struct hub_tidy_opts {
    uint64_t  grace_ms;             /* how long commits and files nothing reaches are kept */
    uint64_t  packs_min, loose_min; /* tidied from so many on; 0: always */
    int64_t   row;                  /* only this repository; 0: all */
    unsigned  wait_ms;              /* for writers, before something is removed; 0: a minute */
    hub_stop *stop;                 /* may be NULL */
    void     *arg;
} hub_tidy_opts;
typedef struct hub_tidy_report {
    uint64_t repos;   /* whose files were packed anew */
    uint64_t dropped; /* git objects that went */
    uint64_t young;   /* that will, once they are old enough */
    uint64_t skipped; /* repositories that could not be tidied now */
} hub_tidy_report;
/* Many packs and loose objects become one; what no ref, pull request or open push reaches goes
 * after the grace period. Harmless to readers and writers at any moment, here and in other
 * processes. SNUG_EBUSY while another collection runs. */
snug_status hub_tidy(hub *h, const hub_tidy_opts *o, hub_tidy_report *out,
                     snug_err *err) SNUG_MUST_USE;
/* Commits were left behind: a job will look at this repository after `after_ms`. */
snug_status hub_queue_tidy(hub *h, int64_t row, uint64_t after_ms, snug_err *err) SNUG_MUST_USE;

/* A step of putting the index of searches together; writers wait no longer than it takes. *more:
 * another step would do something. */
snug_status hub_merge_index(hub *h, unsigned pages, bool *more, snug_err *err) SNUG_MUST_USE;

/* ---- verifying ---- */
typedef struct hub_fsck_item {
    const char *kind;       /* "blob", "xorb", "file", "link", "index", "repo" */
    snug_slice  name, text; /* the object, and what is wrong with it in one sentence */
    bool        repaired;
    bool        derived; /* only rows are wrong: `repair` mends it */
} hub_fsck_item;
typedef struct hub_fsck_opts {
    bool repair; /* rows that follow from bytes and refs are written anew; bytes never */
    bool quick;  /* does not read what is stored: rows, names and sizes only */
    void (*item)(void *arg, const hub_fsck_item *i);              /* may be NULL */
    void (*progress)(void *arg, const char *what, uint64_t done); /* may be NULL */
    hub_stop *stop;
    void     *arg;
} hub_fsck_opts;
typedef struct hub_fsck_report {
    uint64_t blobs, xorbs, files, links, repos, bytes_read;
    uint64_t damaged, repaired;
} hub_fsck_report;
/* Re-verifies everything stored. SNUG_OK also when damage was found: the report counts it. Safe
 * beside a running server; what changes meanwhile is looked at twice before it is called damage. */
snug_status hub_fsck(hub *h, const hub_fsck_opts *o, hub_fsck_report *out,
                     snug_err *err) SNUG_MUST_USE;

/* ---- what it takes ---- */
typedef struct hub_sharer {
    hub_repo_id id;
    uint64_t    bytes; /* stored bytes of chunks it has in common */
} hub_sharer;
typedef struct hub_storage {
    uint64_t    objects, logical; /* large files, and their sizes added up */
    uint64_t    stored;           /* bytes on disk that they take, each chunk once */
    uint64_t    whole, packed;    /* how many are stored each way */
    hub_sharer *sharers;          /* others the viewer may read, by bytes */
    size_t      sharer_count;
} hub_storage;
/* Of an opened repository. SNUG_EFORBIDDEN for who cannot write to it. Says nothing of what others
 * keep that `who` may not read. */
snug_status hub_repo_storage(hub *h, const hub_actor *who, hub_repo *r, snug_arena *a,
                             hub_storage *out, snug_err *err) SNUG_MUST_USE;
typedef struct hub_store_sums {
    uint64_t objects, logical;                   /* sizes of what repositories link, added up */
    uint64_t stored, blobs, blob_bytes;          /* all bytes on disk; of whole files */
    uint64_t xorbs, xorb_bytes, xorb_raw, files; /* deduplicated */
} hub_store_sums;
snug_status hub_server_storage(hub *h, hub_store_sums *out, snug_err *err) SNUG_MUST_USE;

#endif
