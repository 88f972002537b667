/* SPDX-License-Identifier: Apache-2.0 */
/* remote/remote_int.h - what the files of remote/ share. Private to the folder and its tests. */
#ifndef SNUG_REMOTE_REMOTE_INT_H
#define SNUG_REMOTE_REMOTE_INT_H

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

#include "remote/remote.h"
#include "xet/xet.h"

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
    REMOTE_EXTRA_MAX = 16,
    REMOTE_XET_LANES = 8,       /* requests to a Xet store at once, at most */
    REMOTE_PATIENCE_MS = 60000, /* of a transfer under way, while nothing gets through */
    REMOTE_CHUNKS_ASKED_MAX = 65536
};
#define REMOTE_SEGMENT_MIN (8u << 20) /* a shorter range is not worth a connection */

struct remote {
    http_client *http;
    char        *endpoint;   /* no trailing slash */
    size_t       origin_len; /* scheme://host:port of the endpoint */
    char        *token;      /* NULL: none; wiped on close */
    char        *cache_dir;
    bool         offline, no_xet;
};

/* ---- env.c: the variables and files stock clients share with us; free() what is returned ---- */
char *remote_env_xet(void);        /* HF_XET_CACHE, else <home>/xet */
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
    snug_buf           *into;
    const atomic_bool  *cancel;
    unsigned            stall_ms; /* 0: 30 s without a byte */
    struct remote_crew *crew;     /* hears why a transfer stands still; may be NULL */
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
    snug_mutex          lock; /* rank 900: guards what, why, first, failed, running */
    snug_cond           idle;
    char                what[200], why[200];
    snug_err            first;
    bool                failed;
    unsigned            running;
    _Atomic size_t      next;
    size_t              count;
    snug_status (*work)(struct remote_crew *c, void *arg, size_t index, snug_err *err);
    void    *work_arg;
    uint64_t shown_ms, moved_ms, moved; /* of the caller's thread */
} remote_crew;
void remote_crew_init(remote_crew *c, const atomic_bool *cancel, remote_progress_fn *fn, void *arg);
void remote_crew_deinit(remote_crew *c);
void remote_crew_what(remote_crew *c, const char *fmt, ...) SNUG_PRINTF(2, 3);
/* Why nothing moves, shown when it goes on for seconds; forgotten as soon as something does. */
void remote_crew_why(remote_crew *c, const char *fmt, ...) SNUG_PRINTF(2, 3);
void remote_crew_finish(remote_crew *c); /* the last progress call */
/* Runs work(index) for 0..count-1 on at most `threads` threads; the first error stops the rest. */
snug_status remote_crew_run(remote_crew *c, unsigned threads, size_t count,
                            snug_status (*work)(remote_crew *c, void *arg, size_t index,
                                                snug_err *err),
                            void *arg, snug_err *err) SNUG_MUST_USE;

/* ---- pace.c: how many requests at once, and for how long to go on trying ---- */
typedef struct remote_pace {
    snug_mutex lock; /* rank 880: guards all below */
    snug_cond  room;
    unsigned   limit, most, busy;
    unsigned   before; /* limit before the last step; 0: none to take back */
    bool       doubling, full;
    uint64_t   mark_ms, moved; /* of the window */
    double     best;           /* bytes a millisecond before the last step */
    uint64_t   hold_ms, hurt_ms;
} remote_pace;
void     remote_pace_init(remote_pace *p, unsigned most);
void     remote_pace_deinit(remote_pace *p);
bool     remote_pace_enter(remote_pace *p, const atomic_bool *stop); /* false: stopped */
void     remote_pace_leave(remote_pace *p);
void     remote_pace_moved(remote_pace *p, uint64_t bytes);
void     remote_pace_hurt(remote_pace *p); /* a loss, a 429 or 503, a time-out */
unsigned remote_pace_limit(remote_pace *p);
void     remote_pace_moved_at(remote_pace *p, uint64_t now_ms, uint64_t bytes);
void     remote_pace_hurt_at(remote_pace *p, uint64_t now_ms);

typedef struct remote_patience {
    remote_crew *crew;
    remote_pace *pace; /* may be NULL */
    unsigned     failures;
    uint64_t     since_ms; /* of the first failure without progress; 0: none */
} remote_patience;
/* After a failed exchange: waits and says true when another try makes sense. False: *err names the
 * reason. */
bool remote_patience_again(remote_patience *w, snug_status st, const http_answer *ans,
                           snug_err *err);
void remote_patience_reset(remote_patience *w); /* something got through */

/* ---- xet_token.c: the way into a Xet store ---- */
typedef struct remote_door remote_door;
remote_door               *remote_door_open(remote *r, const char *route);
void                       remote_door_close(remote_door *d); /* NULL is fine */
/* One exchange with `path` below the store's address; one try, renewed ticket included. */
snug_status  remote_door_ask(remote_door *d, remote_crew *c, const remote_ask *q, const char *path,
                             snug_arena *a, http_answer *out, snug_err *err) SNUG_MUST_USE;
snug_status  remote_door_cas(remote_door *d, remote_crew *c, snug_arena *a, const char **cas,
                             snug_err *err) SNUG_MUST_USE; /* the store's address */
atomic_bool *remote_door_old_plans(remote_door *d);
atomic_bool *remote_door_old_shards(remote_door *d);
typedef struct remote_ticket {
    snug_slice cas, token;
    int64_t    expires_s;
} remote_ticket;
/* The parser of untrusted tickets. */
snug_status remote_ticket_read(snug_json v, bool secure, remote_ticket *out,
                               snug_err *err) SNUG_MUST_USE;

/* ---- xet_recon.c: what a store says a range is made of ---- */
typedef struct remote_term {
    xet_hash xorb;
    uint32_t raw_size, start, end;
    uint64_t at;   /* of its first byte, counted from the start of the first term */
    size_t   span; /* that holds it */
} remote_term;
typedef struct remote_span {
    xet_hash    xorb;
    uint32_t    start, end;
    uint64_t    from, to; /* stored bytes, `to` exclusive */
    const char *url;
} remote_span;
typedef struct remote_recon {
    uint64_t     skip; /* bytes of the first term before the range */
    remote_term *terms;
    remote_span *spans;
    size_t       term_count, span_count;
} remote_recon;
/* Either version of the answer for a range of `want` bytes. SNUG_EREMOTE unless every term lies in
 * a span and together they cover the range. */
snug_status remote_recon_read(snug_json v, snug_arena *a, uint64_t want, bool secure,
                              remote_recon *out, snug_err *err) SNUG_MUST_USE;

/* ---- xet_cache.c: ranges of xorbs that came slowly, kept within a bound ---- */
typedef struct remote_chunks remote_chunks;
/* NULL when switched off. `realm` keeps stores apart. */
remote_chunks *remote_chunks_open(const char *realm);
void           remote_chunks_close(remote_chunks *k); /* NULL is fine */
/* Whether a range that came at this rate is worth keeping. */
bool                remote_chunks_wants(const remote_chunks *k, uint64_t bytes, uint64_t ms);
typedef snug_status remote_chunk_fn(void *arg, uint32_t index, snug_slice raw, snug_err *err);
/* Hands chunks [start, end) to `put` as far as they are here and sound; *next is the first that was
 * not. An entry that proves false is removed. */
snug_status remote_chunks_get(remote_chunks *k, const xet_hash *xorb, uint32_t start, uint32_t end,
                              remote_chunk_fn *put, void *arg, uint32_t *next,
                              snug_err *err) SNUG_MUST_USE;
/* Keeps the records of chunks [start, start + count). Failing costs a later fetch, nothing else. */
void remote_chunks_put(remote_chunks *k, const xet_hash *xorb, uint32_t start, uint32_t count,
                       const xet_hash *hashes, const uint32_t *stored_ends, snug_slice records);
/* The parser of a kept entry. */
typedef struct remote_kept {
    uint32_t   start, count;
    snug_slice table, records; /* table: count of 36 bytes, hash and stored end */
} remote_kept;
snug_status remote_kept_read(snug_slice bytes, remote_kept *out, snug_err *err) SNUG_MUST_USE;

/* ---- fetch.c: one file into <dir>/<name>, resumed and verified ---- */
typedef struct remote_fetch {
    remote             *r;
    const char         *url;
    const char         *label; /* path in the repository, for messages */
    snug_slice          etag;
    uint64_t            size;
    int                 dir;  /* folder of the partial file */
    const char         *name; /* of the partial file */
    unsigned            segments;
    xet_hash            xet;   /* zeros: not in the Xet store */
    struct remote_xget *store; /* NULL: plain HTTP */
} remote_fetch;
snug_status remote_fetch_file(remote_crew *c, const remote_fetch *f, snug_err *err) SNUG_MUST_USE;
/* Compares an open file with its etag: SHA-256 for 64 hex digits, git blob id for 40. */
snug_status remote_verify_fd(int fd, snug_slice etag, uint64_t size, const atomic_bool *cancel,
                             bool *same, snug_err *err) SNUG_MUST_USE;

/* ---- xet_download.c ---- */
/* What the files of one download share. */
typedef struct remote_xget {
    remote_door   *door;
    remote_pace    pace;
    remote_chunks *chunks;
} remote_xget;
/* NULL: this download goes by plain HTTP. */
remote_xget *remote_xget_open(remote *r, const remote_repo *id, const char *commit, unsigned lanes);
void         remote_xget_close(remote_xget *x); /* NULL is fine */
/* As remote_fetch_file. SNUG_EUNSUPPORTED: the hub has no Xet store, ask by plain HTTP. */
snug_status remote_xet_fetch(remote_crew *c, const remote_fetch *f, snug_err *err) SNUG_MUST_USE;
enum { REMOTE_XET_BLOCK = 16 << 20, REMOTE_BLOCKS_MAX = 1 << 16 };
typedef struct remote_blocks { /* which blocks of a partial file are there */
    uint64_t       size;
    char           etag[REMOTE_ETAG_MAX + 1];
    xet_hash       file;
    uint32_t       block, count;
    unsigned char *done; /* a bit each */
} remote_blocks;
void remote_blocks_plan(remote_blocks *b, snug_slice etag, const xet_hash *file,
                        uint64_t size); /* free() done */
void remote_blocks_put(const remote_blocks *b, snug_buf *out);
/* Fills `done` of a planned journal; SNUG_ECORRUPT unless whole, sound and about the same file. */
snug_status remote_blocks_read(snug_slice bytes, remote_blocks *b, snug_err *err) SNUG_MUST_USE;
snug_status remote_check_space(int fd, uint64_t need, const char *label,
                               snug_err *err) SNUG_MUST_USE;

/* ---- xet_known.c: chunks a store has, and in which of its xorbs ---- */
typedef struct remote_known remote_known;
typedef struct remote_place {
    uint32_t xorb, chunk;
} remote_place;
/* `realm`: the store's address. What earlier uploads left is read; forget: thrown away first. */
remote_known *remote_known_open(const char *realm, bool forget);
void          remote_known_close(remote_known *k); /* NULL is fine */
/* A chunk that is known as plain hash or by an answer of the store. */
bool remote_known_find(remote_known *k, const xet_hash *chunk, remote_place *out);
/* Whether the chunk behind `at` is this one. */
bool     remote_known_follows(remote_known *k, remote_place at, const xet_hash *chunk);
uint32_t remote_known_new_xorb(remote_known *k); /* a number; filled by add, then named */
void     remote_known_add(remote_known *k, uint32_t xorb, const xet_hash *chunk, uint32_t size);
void     remote_known_name(remote_known *k, uint32_t xorb, const xet_hash *name);
xet_hash remote_known_hash(remote_known *k, uint32_t xorb);
/* Chunks of a xorb of this session. */
uint32_t remote_known_count(remote_known *k, uint32_t xorb);
void remote_known_chunk(remote_known *k, uint32_t xorb, uint32_t i, xet_hash *hash, uint32_t *size);
/* From an earlier upload: the store has to confirm it still has it. */
bool remote_known_is_old(remote_known *k, uint32_t xorb);
void remote_known_confirm(remote_known *k, uint32_t xorb, bool there);
/* Takes in what a store answered about a chunk. */
snug_status remote_known_answer(remote_known *k, snug_slice shard, snug_err *err) SNUG_MUST_USE;
/* Remembers a xorb of this session for later ones: it is stored now. */
void remote_known_keep(remote_known *k, uint32_t xorb);
/* One record of the file of earlier uploads; empty *rest or a torn record end it. */
typedef struct remote_seen {
    xet_hash   xorb;
    uint64_t   time_s;
    uint32_t   count;
    snug_slice chunks; /* count of 36 bytes, hash and size */
} remote_seen;
bool remote_seen_next(snug_slice *rest, remote_seen *out);

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

/* ---- plan.c: what a revision holds ---- */
typedef struct remote_file {
    snug_slice path, etag, blob_id; /* etag: SHA-256 of LFS content, else the git blob id */
    uint64_t   size;
    bool       lfs;
    xet_hash   xet; /* zeros: plain HTTP only */
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
                               struct remote_xget *store, snug_err *err) SNUG_MUST_USE;

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
/* Stores those by Xet. SNUG_EUNSUPPORTED: the hub has no Xet store, nothing was sent. */
snug_status remote_xet_upload(remote *r, remote_crew *c, const remote_repo *id, snug_slice revision,
                              const remote_object *objs, size_t count, snug_err *err) SNUG_MUST_USE;
/* Sends those the hub lacks and counts every byte of all of them in the progress once. */
snug_status remote_lfs_upload(remote *r, remote_crew *c, const remote_repo *id, snug_slice revision,
                              remote_object *objs, size_t count, snug_err *err) SNUG_MUST_USE;

#endif
