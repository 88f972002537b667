/* SPDX-License-Identifier: Apache-2.0 */
/* remote/remote_int.h - what the files of remote/ share. Private to the folder and its tests. */
#ifndef SNUG_REMOTE_REMOTE_INT_H
#define SNUG_REMOTE_REMOTE_INT_H

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

#include "remote/remote.h"

enum {
    REMOTE_ETAG_MAX = 128,      /* an etag is a file name of the cache */
    REMOTE_NAME_MAX = 255,      /* one part of a path */
    REMOTE_PATH_MAX = 4000,     /* a whole path in a repository */
    REMOTE_TRIES_CALL = 3,      /* of a plain call that cannot connect */
    REMOTE_TRIES_MAX = 5,       /* without progress */
    REMOTE_WORKERS = 8,         /* files in flight */
    REMOTE_SEGMENTS_MAX = 16,   /* ranges in flight for one file */
    REMOTE_FILES_MAX = 1000000, /* of one repository */
    REMOTE_PREUPLOAD_MAX = 256, /* files in one question to the hub */
    REMOTE_WALK_DEPTH_MAX = 100,
    REMOTE_EXTRA_MAX = 16
};
#define REMOTE_SEGMENT_MIN (8u << 20) /* a shorter range is not worth a connection */

struct remote {
    http_client *http;
    char        *endpoint;   /* no trailing slash */
    size_t       origin_len; /* scheme://host:port of the endpoint */
    char        *token;      /* NULL: none; wiped on close */
    char        *cache_dir;
    bool         offline;
};

/* ---- env.c: the variables and files stock clients share with us; free() what is returned ---- */
char *remote_env_home(void);       /* HF_HOME, XDG_CACHE_HOME/huggingface, ~/.cache/huggingface */
char *remote_env_cache(void);      /* HF_HUB_CACHE, else <home>/hub */
char *remote_env_token_path(void); /* HF_TOKEN_PATH, else <home>/token */
char *remote_env_token(void);      /* HF_TOKEN, else the token file; NULL: none */
bool  remote_env_true(const char *name); /* 1, on, yes, true */

/* ---- glob.c ---- */
/* Shell wildcards over a whole path: `*` and `?` match `/` too, [a-z] and [!a-z] are sets, and a
 * pattern that ends in `/` takes everything below. Never more than pattern * text steps. */
bool remote_glob(snug_slice pattern, snug_slice path);
bool remote_wanted(const remote_download *d, snug_slice path);

/* ---- names.c: nothing a server sends becomes a path before it went through here ---- */
snug_status remote_check_path(snug_slice path, snug_err *err) SNUG_MUST_USE;
/* An etag as a file name: 40 or 64 hex digits, or another opaque word. */
snug_status remote_check_etag(snug_slice etag, snug_err *err) SNUG_MUST_USE;
bool        remote_is_commit(snug_slice s); /* 40 lowercase hex digits */
/* Opens the folder that holds `rel` below `base`, step by step and never through a symbolic link
 * below base; `make` creates what is missing. `leaf` receives the last part. *fd: close it. */
snug_status remote_open_parent(const char *base, snug_slice rel, bool make, int *fd,
                               char leaf[REMOTE_NAME_MAX + 1], snug_err *err) SNUG_MUST_USE;
/* As the system says it, with the two cases a person can act on spelled out. */
snug_status remote_fail_file(snug_err *err, int errnum, const char *doing, const char *path);

/* ---- call.c: one exchange with retries, redirects and the token ---- */
typedef struct remote_ask {
    const char        *method;
    const char        *url;        /* absolute */
    bool               anonymous;  /* no token: signed addresses */
    bool               once;       /* not repeated on failures that may have had an effect */
    bool               single;     /* one try, whatever happens: the caller has its own loop */
    bool               accept_any; /* every status is an answer, not an error */
    bool               stay;       /* redirects are answers */
    const char        *media;      /* of the body */
    const char        *accept;
    const http_header *extra;       /* what a signed address asks for */
    size_t             extra_count; /* at most REMOTE_EXTRA_MAX */
    snug_slice         body;
    uint64_t           range_first, range_last; /* with_range */
    bool               with_range, identity;
    snug_status (*pull)(void *arg, void *p, size_t n, size_t *got, snug_err *err);
    void    *pull_arg;
    uint64_t pull_length;
    void (*rewind)(void *arg); /* before each try; may be NULL */
    snug_status (*push)(void *arg, int status, snug_slice part, snug_err *err);
    void *push_arg;
    bool (*progressed)(void *arg); /* true: the last try got somewhere, start counting anew */
    snug_buf          *into;
    const atomic_bool *cancel;
} remote_ask;
snug_status remote_exchange(remote *r, const remote_ask *q, snug_arena *a, http_answer *out,
                            snug_err *err) SNUG_MUST_USE;
/* The error an answer stands for; SNUG_OK below 400. */
snug_status remote_judge(const remote *r, const http_answer *ans, snug_slice body,
                         snug_err *err) SNUG_MUST_USE;
bool        remote_is_passing(snug_status st, int status); /* worth another try */
snug_status remote_wait(uint64_t ms, const atomic_bool *cancel, snug_err *err) SNUG_MUST_USE;
uint64_t    remote_backoff_ms(unsigned failures, snug_slice retry_after);
/* Absolute address of a server-given link, on our own endpoint's origin whatever host it names. */
const char *remote_home_url(const remote *r, snug_arena *a, snug_slice link);
/* Prefixes of a repository's addresses: "{E}/api/models/ns/name", "{E}/ns/name". */
const char *remote_api_url(const remote *r, snug_arena *a, const remote_repo *id, const char *rest);
const char *remote_web_url(const remote *r, snug_arena *a, const remote_repo *id, const char *rest);
const char *remote_encode(snug_arena *a, snug_slice s, bool keep_slash);

/* ---- crew.c: many items over a few threads, with one progress and one first error ---- */
typedef struct remote_crew {
    const atomic_bool  *cancel; /* of the caller; may be NULL */
    remote_progress_fn *progress;
    void               *progress_arg;
    atomic_bool         stop; /* what calls watch */
    _Atomic uint64_t    done, total, network;
    unsigned            passes; /* over each byte; 0 means 1. done and total count them all */
    _Atomic size_t      files_done, files_total;
    snug_mutex          lock; /* rank 900: guards what, first, failed, running */
    snug_cond           idle;
    char                what[200];
    snug_err            first;
    bool                failed;
    unsigned            running;
    _Atomic size_t      next;
    size_t              count;
    snug_status (*work)(struct remote_crew *c, void *arg, size_t index, snug_err *err);
    void    *work_arg;
    uint64_t shown_ms, shown_done;
} remote_crew;
void remote_crew_init(remote_crew *c, const atomic_bool *cancel, remote_progress_fn *fn, void *arg);
void remote_crew_deinit(remote_crew *c);
void remote_crew_what(remote_crew *c, const char *fmt, ...) SNUG_PRINTF(2, 3);
void remote_crew_finish(remote_crew *c); /* the last progress call */
/* Runs work(index) for 0..count-1 on at most `threads` threads; the first error stops the rest. */
snug_status remote_crew_run(remote_crew *c, unsigned threads, size_t count,
                            snug_status (*work)(remote_crew *c, void *arg, size_t index,
                                                snug_err *err),
                            void *arg, snug_err *err) SNUG_MUST_USE;

/* ---- journal.c: which bytes of an .incomplete file are there ---- */
typedef struct remote_segment {
    uint64_t         first, end;
    _Atomic uint64_t next;
} remote_segment;
typedef struct remote_journal {
    uint64_t       size;
    char           etag[REMOTE_ETAG_MAX + 1];
    unsigned       count;
    remote_segment seg[REMOTE_SEGMENTS_MAX];
} remote_journal;
enum { REMOTE_JOURNAL_MAX = 8 + 4 + 4 + 8 + REMOTE_ETAG_MAX + 24 * REMOTE_SEGMENTS_MAX + 8 };
void   remote_journal_plan(remote_journal *j, snug_slice etag, uint64_t size, unsigned segments);
size_t remote_journal_put(const remote_journal *j, unsigned char out[REMOTE_JOURNAL_MAX]);
/* SNUG_ECORRUPT unless whole, sound and made for this etag and size. */
snug_status remote_journal_read(snug_slice bytes, snug_slice etag, uint64_t size, remote_journal *j,
                                snug_err *err) SNUG_MUST_USE;
uint64_t    remote_journal_done(const remote_journal *j);

/* ---- fetch.c: one file into <dir>/<name>, resumed and verified ---- */
typedef struct remote_fetch {
    remote     *r;
    const char *url;
    const char *label; /* path in the repository, for messages */
    snug_slice  etag;
    uint64_t    size;
    int         dir;  /* folder of the partial file */
    const char *name; /* of the partial file */
    unsigned    segments;
} remote_fetch;
snug_status remote_fetch_file(remote_crew *c, const remote_fetch *f, snug_err *err) SNUG_MUST_USE;
/* Compares an open file with its etag: SHA-256 for 64 hex digits, git blob id for 40. */
snug_status remote_verify_fd(int fd, snug_slice etag, uint64_t size, const atomic_bool *cancel,
                             bool *same, snug_err *err) SNUG_MUST_USE;

/* ---- plan.c: what a revision holds ---- */
typedef struct remote_file {
    snug_slice path, etag, blob_id; /* etag: SHA-256 of LFS content, else the git blob id */
    uint64_t   size;
    bool       lfs;
} remote_file;
typedef struct remote_plan {
    char         commit[41];
    remote_file *files;
    size_t       count;
    uint64_t     bytes;
    bool         whole; /* files is the complete tree of the commit */
} remote_plan;
/* Asks the server. Unreachable servers are SNUG_EREMOTE, SNUG_ETIMEOUT or SNUG_EBUSY. `no_exist` is
 * called with (commit, path) of a file that the revision lacks, before the error. */
snug_status remote_make_plan(remote *r, const remote_download *d, snug_arena *a, remote_plan *out,
                             void (*no_exist)(void *arg, const char *commit, snug_slice path),
                             void *arg, snug_err *err) SNUG_MUST_USE;
/* One page of a tree listing into *out (grown); the parser of untrusted listings. */
typedef struct remote_files {
    remote_file *v;
    size_t       count, cap;
} remote_files;
snug_status remote_add_tree(snug_json page, snug_arena *a, remote_files *out,
                            snug_err *err) SNUG_MUST_USE;
/* The rel="next" address of a Link header; empty: none. */
snug_slice remote_next_link(snug_slice header);

/* ---- cache.c: the stock layout on disk ---- */
char       *remote_cache_folder(const remote *r, const remote_repo *id); /* free() */
char       *remote_cache_ref(const char *folder, snug_slice revision); /* commit or NULL; free() */
snug_status remote_cache_set_ref(const char *folder, snug_slice revision, const char *commit,
                                 snug_err *err) SNUG_MUST_USE;
bool        remote_cache_has(const char *folder, const char *commit, snug_slice path);
snug_status remote_cache_link(const char *folder, const char *commit, snug_slice path,
                              snug_slice etag, snug_err *err) SNUG_MUST_USE;
void        remote_cache_no_exist(const char *folder, const char *commit, snug_slice path);
void        remote_cache_tag(const char *dir); /* CACHEDIR.TAG */
snug_status remote_tree_write(const char *folder, const remote_plan *p,
                              snug_err *err) SNUG_MUST_USE;
/* SNUG_ENOTFOUND when there is none. */
snug_status remote_tree_read(const char *folder, const char *commit, snug_arena *a,
                             remote_plan *out, snug_err *err) SNUG_MUST_USE;
/* Takes the advisory lock file, waiting; *fd: close it to let go. */
snug_status remote_lock_file(int dir, const char *name, const atomic_bool *cancel, int *fd,
                             snug_err *err) SNUG_MUST_USE;

/* ---- local.c: --local-dir and its notes under .cache/huggingface/download ---- */
typedef struct remote_note {
    char   commit[41], etag[REMOTE_ETAG_MAX + 1];
    double time;
} remote_note;
bool        remote_note_parse(snug_slice text, remote_note *out);
snug_status remote_local_prepare(const char *local_dir, snug_err *err) SNUG_MUST_USE;
snug_status remote_local_place(remote *r, remote_crew *c, const remote_download *d,
                               const remote_plan *p, const remote_file *f, const char *cache_folder,
                               snug_err *err) SNUG_MUST_USE;

/* ---- walk.c: the files of a folder to upload ---- */
typedef struct remote_entry {
    snug_slice path; /* in the repository */
    char      *file; /* on disk, in the arena */
    uint64_t   size;
} remote_entry;
snug_status remote_walk(const char *path, const char *in_repo, snug_arena *a, remote_entry **out,
                        size_t *count, snug_err *err) SNUG_MUST_USE;

/* ---- lfs.c: storing objects ---- */
typedef struct remote_object {
    char        oid[65];
    uint64_t    size;
    const char *file;
    const char *label;
} remote_object;
/* Sends those the hub lacks and counts every byte of all of them in the progress once. */
snug_status remote_lfs_upload(remote *r, remote_crew *c, const remote_repo *id, snug_slice revision,
                              remote_object *objs, size_t count, snug_err *err) SNUG_MUST_USE;

#endif
