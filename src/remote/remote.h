/* SPDX-License-Identifier: Apache-2.0 */
/* remote/remote.h - speaks the hub protocol as a client, and keeps the stock cache layout, so
 * that stock libraries find what we fetched and the other way round. Knows no hub internals. */
#ifndef SNUG_REMOTE_REMOTE_H
#define SNUG_REMOTE_REMOTE_H

#include "base/base.h"
#include "http/http.h"

typedef struct remote remote;
typedef struct remote_opts {
    const char *endpoint;  /* NULL: HF_ENDPOINT, else http://127.0.0.1:8421 */
    const char *token;     /* NULL: HF_TOKEN, else the token file under HF_HOME */
    const char *cache_dir; /* NULL: HF_HUB_CACHE, else HF_HOME/hub, else ~/.cache/huggingface/hub */
    bool        offline;   /* or HF_HUB_OFFLINE=1: only the cache */
    bool        no_xet;    /* or HF_HUB_DISABLE_XET=1: large files by LFS and plain HTTP */
} remote_opts;
snug_status remote_open(const remote_opts *o, remote **out, snug_err *err) SNUG_MUST_USE;
void        remote_close(remote *r);
const char *remote_endpoint(const remote *r);
const char *remote_cache_dir(const remote *r);
bool        remote_has_token(const remote *r);
/* Writes the token where stock libraries look, readable by its owner alone: the token file, and
 * under `name` (empty: "snug") the file stored_tokens beside it. */
snug_status remote_save_token(snug_slice name, snug_slice token, snug_err *err) SNUG_MUST_USE;
/* Removes the token file; stored_tokens keeps what it has. Not being logged in is fine. */
snug_status remote_forget_token(snug_err *err) SNUG_MUST_USE;

/* Progress of a transfer, called on the thread that asked for it at most 20 times a second, and
 * once at the end. `done` never shrinks. An upload reads each byte twice, to hash it and to send
 * it: each pass counts for half, so `total` is what a person calls the size. Bytes the hub already
 * holds count as sent. */
typedef struct remote_progress {
    const char *what;        /* file or step */
    const char *stall;       /* why nothing moved for seconds; NULL: it moves */
    uint64_t    done, total; /* bytes over all files */
    size_t      files_done, files_total;
    bool        finished;
} remote_progress;
typedef void remote_progress_fn(void *arg, const remote_progress *p);

/* JSON call with the token; non-2xx becomes an error with the server's sentence. `path` is below
 * the endpoint ("/api/..."), already percent-encoded. GET is retried; an answer that is not JSON
 * leaves *out absent. */
snug_status remote_call(remote *r, const char *method, const char *path, snug_slice json_body,
                        snug_arena *a, snug_json *out, snug_err *err) SNUG_MUST_USE;

/* The same for a list that comes in pages: *next is the path of the next page, in the arena, or
 * NULL. */
snug_status remote_call_page(remote *r, const char *path, snug_arena *a, snug_json *out,
                             const char **next, snug_err *err) SNUG_MUST_USE;

typedef struct remote_repo {
    const char *type; /* "model" */
    snug_slice  id;   /* ns/name or name */
} remote_repo;
/* "ns/name", "datasets/ns/name", "spaces/ns/name". */
snug_status remote_parse_repo(snug_slice text, const char *type_or_null, remote_repo *out,
                              snug_err *err) SNUG_MUST_USE;
snug_status remote_whoami(remote *r, snug_arena *a, snug_json *out, snug_err *err) SNUG_MUST_USE;
snug_status remote_create_repo(remote *r, remote_repo id, bool is_private, bool exist_ok,
                               snug_arena *a, snug_json *out, snug_err *err) SNUG_MUST_USE;

typedef struct remote_upload {
    remote_repo         repo;
    const char         *path;     /* file or folder */
    const char         *in_repo;  /* NULL: file name, or the root for folders */
    const char         *revision; /* NULL: main */
    const char         *message;  /* NULL: one is made */
    remote_progress_fn *progress;
    void               *progress_arg;
    const atomic_bool  *cancel;
} remote_upload;
typedef struct remote_uploaded {
    snug_slice commit_oid, commit_url;
    size_t     files, skipped;
    uint64_t   bytes_sent;
} remote_uploaded;
/* Hashes, asks preupload, sends what the hub lacks, commits once. Running it again sends nothing.
 */
snug_status remote_do_upload(remote *r, const remote_upload *u, snug_arena *a, remote_uploaded *out,
                             snug_err *err) SNUG_MUST_USE;

typedef struct remote_download {
    remote_repo       repo;
    const char       *revision; /* NULL: main */
    const snug_slice *files;
    size_t            file_count; /* none: the whole snapshot */
    const snug_slice *include, *exclude;
    size_t            include_count, exclude_count; /* globs */
    /* When it depends on what else there is: marks which of the paths to keep. NULL: all. */
    snug_status (*choose)(void *arg, const snug_slice *paths, size_t n, bool *keep, snug_err *err);
    void       *choose_arg;
    const char *local_dir; /* NULL: the cache */
    unsigned    segments;  /* parallel range requests per large file; 0: 4, at most 16.
                            * By Xet the most there may be; how many, the link decides */
    remote_progress_fn *progress;
    void               *progress_arg;
    const atomic_bool  *cancel;
} remote_download;
typedef struct remote_downloaded {
    snug_slice path; /* snapshot folder, local dir, or the one file */
    snug_slice commit;
    size_t     files;
    uint64_t   bytes_fetched;
    bool       from_cache; /* the hub did not answer: this is what the cache had */
} remote_downloaded;
/* Resumes .incomplete files, verifies size and hash, renames into place. */
snug_status remote_do_download(remote *r, const remote_download *d, snug_arena *a,
                               remote_downloaded *out, snug_err *err) SNUG_MUST_USE;

#endif
