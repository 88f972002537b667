/* SPDX-License-Identifier: Apache-2.0 */
/* hub/hub.h - the rules of the hub: who may do what; repositories, commits, accounts, tokens.
 * No HTTP and no HTML: usable from a unit test with no socket.
 *
 * Every function may be called from any worker thread. Absent and forbidden are the same answer:
 * SNUG_ENOTFOUND with code RepoNotFound (SNUG_EUNAUTH with the same code for anonymous callers, as
 * stock clients expect). Nothing acknowledged is lost; nothing half-done is visible. */
#ifndef SNUG_HUB_HUB_H
#define SNUG_HUB_HUB_H

#include "base/base.h"
#include "blob/blob.h"
#include "db/db.h"
#include "vcs/vcs.h"
#include "xet/xet.h"

typedef struct hub hub;

typedef struct hub_opts {
    const char *data_dir;     /* db, blobs, git live below */
    const char *db_url;       /* NULL: sqlite:<data_dir>/snug.db */
    uint64_t    raw_file_max; /* bytes of a file kept in git itself; 0: 10 MiB */
    uint64_t    lfs_file_max; /* 0: 500 GB */
    bool        read_only;
    bool        admin_tool; /* a command beside a running server: accounts and tokens only; migrates
                               when needed, does not reconcile, sweep or start threads */
} hub_opts;

/* Migrates and reconciles; the second process on a directory does not reconcile. */
snug_status hub_open(const hub_opts *o, hub **out, snug_err *err) SNUG_MUST_USE;
void        hub_close(hub *h);
blob_store *hub_blobs(hub *h);
db         *hub_db(hub *h); /* for jobs/, which keeps its rows beside ours */
vcs        *hub_vcs(hub *h);

/* ---- background work: rows of store/jobs.h, run by jobs/ ---- */
/* `wake` is called after work was added, from any thread. Set once, before requests come. */
void hub_on_jobs(hub *h, void (*wake)(void *arg), void *arg);
void hub_wake_jobs(hub *h);

typedef struct hub_job {
    int64_t     id, due_ms, created_ms, done_ms;
    snug_slice  kind, args, error;
    const char *state; /* "waiting", "running", "done", "failed" */
    unsigned    attempts;
} hub_job;
/* For the operator. Newest first; `state` NULL: any, ids below `before` (0: all). */
snug_status hub_list_jobs(hub *h, const char *state, int64_t before, size_t limit, snug_arena *a,
                          hub_job **out, size_t *count, snug_err *err) SNUG_MUST_USE;
/* A failed job waits again. SNUG_ENOTFOUND when there is no failed one of this id. */
snug_status hub_retry_job(hub *h, int64_t id, snug_err *err) SNUG_MUST_USE;

/* ---- names ---- */
typedef enum hub_type { HUB_MODEL, HUB_DATASET, HUB_SPACE, HUB_TYPE_COUNT } hub_type;
const char *hub_type_name(hub_type t);   /* "model" */
const char *hub_type_plural(hub_type t); /* "models": the API prefix */
const char *hub_type_web(hub_type t);    /* "", "datasets/", "spaces/": the web prefix */
bool        hub_type_parse(snug_slice s, hub_type *out); /* singular or plural */

enum { HUB_NAME_MAX = 96, HUB_USER_NAME_MAX = 42 };
typedef struct hub_repo_id {
    hub_type type;
    char     ns[HUB_NAME_MAX + 1], name[HUB_NAME_MAX + 1];
} hub_repo_id;
/* Checks REPO-02. SNUG_EINVAL with one sentence used by every door. */
snug_status hub_parse_id(hub_type type, snug_slice ns, snug_slice name, hub_repo_id *out,
                         snug_err *err) SNUG_MUST_USE;
snug_status hub_check_name(snug_slice name, const char *what, snug_err *err) SNUG_MUST_USE;

/* ---- people ---- */
typedef enum hub_role { HUB_ROLE_NONE, HUB_ROLE_READ, HUB_ROLE_WRITE, HUB_ROLE_ADMIN } hub_role;

/* Who is asking: made once per request by hub_identify. */
typedef struct hub_actor {
    int64_t    user_id; /* 0: anonymous */
    snug_slice name, fullname, email;
    bool       is_admin;
    hub_role   scope; /* what the token allows: READ or WRITE */
    snug_slice token_name;
    int64_t    token_created_ms;
    snug_slice orgs; /* hub_role_in() reads it */
} hub_actor;

typedef struct hub_user {
    int64_t    id;
    snug_slice name, fullname, email;
    bool       is_admin;
    int64_t    created_ms;
} hub_user;

/* argon2id through libsodium; no copy of the password is kept. SNUG_ECONFLICT when the name is
 * taken, in any spelling, or is a namespace with repositories. */
snug_status hub_add_user(hub *h, snug_slice name, snug_slice password, snug_slice email, bool admin,
                         hub_user *out, snug_err *err) SNUG_MUST_USE;
snug_status hub_set_password(hub *h, snug_slice name, snug_slice password,
                             snug_err *err) SNUG_MUST_USE;
snug_status hub_find_user(hub *h, snug_slice name, snug_arena *a, hub_user *out,
                          snug_err *err) SNUG_MUST_USE;
/* All accounts by name. */
snug_status hub_list_users(hub *h, snug_arena *a, hub_user **out, size_t *count,
                           snug_err *err) SNUG_MUST_USE;
snug_status hub_count_users(hub *h, uint64_t *out, snug_err *err) SNUG_MUST_USE;
/* SNUG_EUNAUTH for a wrong password and for an unknown name, after the same time; SNUG_ERATE after
 * too many failures in a row for this name. */
snug_status hub_check_password(hub *h, snug_slice name, snug_slice password, snug_arena *a,
                               hub_actor *out, snug_err *err) SNUG_MUST_USE;

/* "hf_" + 34 letters and digits; stored only as SHA-256. `token` receives 38 bytes with NUL. */
snug_status hub_create_token(hub *h, snug_slice user, snug_slice name, hub_role role,
                             char token[40], snug_err *err) SNUG_MUST_USE;
typedef struct hub_token {
    int64_t    id;
    snug_slice name;
    hub_role   role;
    int64_t    created_ms, last_used_ms;
} hub_token;
snug_status hub_list_tokens(hub *h, snug_slice user, snug_arena *a, hub_token **out, size_t *count,
                            snug_err *err) SNUG_MUST_USE;
snug_status hub_revoke_token(hub *h, snug_slice user, snug_slice name, snug_err *err) SNUG_MUST_USE;
/* Token text -> actor; empty token: anonymous. A bad token is SNUG_EUNAUTH "Invalid credentials in
 * Authorization header". Served from a bounded cache. */
snug_status hub_identify(hub *h, snug_slice token, snug_arena *a, hub_actor *out,
                         snug_err *err) SNUG_MUST_USE;

/* ---- SSH keys: sshd proves that a key is held, this says whose it is ---- */
enum { HUB_SSH_KEYS_MAX = 100, HUB_SSH_LINE_MAX = 16 << 10, HUB_SSH_HOURS = 1 };
typedef struct hub_ssh_key {
    int64_t    id;
    snug_slice title, kind, blob, fingerprint, owner;
    int64_t    created_ms, last_used_ms;
} hub_ssh_key;
/* A line of a .pub file: "ssh-ed25519 AAAA... comment". Slices of `line`. SNUG_EINVAL names what is
 * wrong: an unknown kind, a short RSA key, a private key. */
snug_status hub_parse_ssh_key(snug_slice line, snug_slice *kind, snug_slice *blob,
                              snug_slice *comment, snug_err *err) SNUG_MUST_USE;
/* Title empty: the line's comment. SNUG_ECONFLICT when the key is in use, by whomever. */
snug_status hub_add_ssh_key(hub *h, int64_t user_id, snug_slice title, snug_slice line,
                            snug_arena *a, hub_ssh_key *out, snug_err *err) SNUG_MUST_USE;
snug_status hub_list_ssh_keys(hub *h, int64_t user_id, snug_arena *a, hub_ssh_key **out,
                              size_t *count, snug_err *err) SNUG_MUST_USE;
snug_status hub_remove_ssh_key(hub *h, int64_t user_id, int64_t id, snug_err *err) SNUG_MUST_USE;
/* Whose key it is; *found false: nobody's. */
snug_status hub_find_ssh_key(hub *h, snug_slice blob, snug_arena *a, hub_ssh_key *out, bool *found,
                             snug_err *err) SNUG_MUST_USE;

/* ---- repositories ---- */
typedef enum hub_visibility {
    HUB_PUBLIC,
    HUB_PRIVATE,
    HUB_INTERNAL
} hub_visibility; /* internal: any signed-in user */

/* Who reads the files of a repository everyone sees: all, who asks, whom a writer lets in. */
typedef enum hub_gate { HUB_GATE_NONE, HUB_GATE_AUTO, HUB_GATE_MANUAL } hub_gate;

typedef struct hub_repo_info {
    int64_t        row;
    hub_repo_id    id;
    char           oid24[25]; /* "_id" of the API: 24 hex */
    char           key[33];   /* names its git folder */
    hub_visibility visibility;
    hub_gate       gated; /* 0: files are open to all who see it */
    bool           disabled;
    snug_slice     sdk;  /* Spaces */
    vcs_oid        head; /* of main */
    int64_t        created_ms, modified_ms;
    uint64_t       downloads, likes, used_storage; /* downloads: of the last 30 days */
    uint64_t       downloads_all, trending;        /* trending: downloads of the last 7 days */
    snug_slice     tags_json;                      /* ["license:mit", ...] from the card */
    snug_slice     card_json;                      /* card metadata as JSON object, or empty */
    snug_slice     pipeline_tag, library_name;
} hub_repo_info;

/* An opened repository: permission was checked, a git handle is held. One thread. */
typedef struct hub_repo hub_repo;
snug_status hub_open_repo(hub *h, const hub_actor *who, const hub_repo_id *id, hub_role need,
                          snug_arena *a, hub_repo **out, snug_err *err) SNUG_MUST_USE;
void        hub_close_repo(hub_repo *r); /* NULL is fine */
const hub_repo_info *hub_repo_get_info(const hub_repo *r);
vcs_repo            *hub_repo_vcs(hub_repo *r);
/* The caller's id spelled differently or moved: *moved true and *now is where it lives. Only for
 * those who may read it there. */
snug_status hub_find_moved(hub *h, const hub_actor *who, const hub_repo_id *id, hub_repo_id *now,
                           bool *moved, snug_err *err) SNUG_MUST_USE;
bool        hub_can_write(const hub_actor *who, const hub_repo_info *repo);
/* A signed text by which the owner of a key uses git and LFS on one repository, for HUB_SSH_HOURS
 * or until the key is removed. *now: where the repository lives. Works beside a running server. */
snug_status hub_ssh_ticket_new(hub *h, int64_t key, const hub_repo_id *id, hub_role scope,
                               snug_arena *a, snug_slice *text, hub_repo_id *now,
                               snug_err *err) SNUG_MUST_USE;
bool        hub_is_ssh_ticket(snug_slice token);
/* SNUG_EUNAUTH when it is forged, expired or the key is gone. *row: the repository it is for. */
snug_status hub_ssh_ticket_read(hub *h, snug_slice text, snug_arena *a, hub_actor *who,
                                int64_t *row, snug_err *err) SNUG_MUST_USE;

typedef struct hub_new_repo {
    hub_repo_id    id;
    hub_visibility visibility;
    snug_slice     sdk, license; /* may be empty */
    hub_repo      *from;         /* begins with these files instead of a template; may be NULL */
} hub_new_repo;
/* Makes the repository with its first commit. SNUG_ECONFLICT "You already created this model repo"
 * (also for ids that differ in case only). SNUG_EFORBIDDEN for a foreign namespace. */
snug_status hub_create_repo(hub *h, const hub_actor *who, const hub_new_repo *want, snug_arena *a,
                            hub_repo_info *out, snug_err *err) SNUG_MUST_USE;
snug_status hub_delete_repo(hub *h, const hub_actor *who, const hub_repo_id *id,
                            snug_err *err) SNUG_MUST_USE;
snug_status hub_move_repo(hub *h, const hub_actor *who, const hub_repo_id *from,
                          const hub_repo_id *to, snug_err *err) SNUG_MUST_USE;
snug_status hub_set_visibility(hub *h, const hub_actor *who, const hub_repo_id *id,
                               hub_visibility v, snug_err *err) SNUG_MUST_USE;

typedef enum hub_gate_filter { HUB_GATES_ANY, HUB_GATES_OPEN, HUB_GATES_GATED } hub_gate_filter;
enum { HUB_FILTERS_MAX = 32, HUB_SEARCH_MAX = 512 };
typedef struct hub_list_query {
    hub_type          type;
    snug_slice        author;  /* may be empty */
    snug_slice        search;  /* words, each a part of the id or a word of tags or card */
    const snug_slice *filters; /* tags, AND */
    size_t            filter_count;
    hub_gate_filter   gate;
    int64_t           params_min, params_max; /* inclusive; params_max 0: any */
    snug_slice        sort; /* "", createdAt, lastModified, downloads, likes, trendingScore,
                               num_parameters, id */
    snug_slice cursor;      /* opaque, from the page before */
    size_t     limit;       /* 1..1000 */
} hub_list_query;
/* Makes one filter of several tags of which one is enough. */
snug_slice hub_any_of(snug_arena *a, const char *const *tags, size_t n);
/* Only what `who` may read. *next is empty on the last page. Keyset paging. */
snug_status hub_list_repos(hub *h, const hub_actor *who, const hub_list_query *q, snug_arena *a,
                           hub_repo_info **out, size_t *count, snug_slice *next,
                           snug_err *err) SNUG_MUST_USE;

/* Searches by relevance: the id first, then tags, then the card's text. */
typedef struct hub_search_query {
    hub_type          type;
    snug_slice        words; /* "two words" is a phrase */
    const snug_slice *filters;
    size_t            filter_count;
    bool              names_only; /* the id alone */
    bool              any_word;   /* one of the words is enough: more of them rank higher */
    bool              snippets;
    size_t            skip, limit; /* together at most HUB_HITS_MAX */
} hub_search_query;
enum { HUB_HITS_MAX = 500 };
typedef struct hub_hit {
    hub_repo_info info;
    double        score;   /* 0..1 */
    snug_slice    snippet; /* of the card; what was found stands between \x02 and \x03 */
} hub_hit;
/* *total: how many there are, or HUB_HITS_MAX when there are more. */
snug_status hub_search(hub *h, const hub_actor *who, const hub_search_query *q, snug_arena *a,
                       hub_hit **out, size_t *count, size_t *total, snug_err *err) SNUG_MUST_USE;

/* Parameters of the safetensors files of a commit, by codec_dtype; false: not known. */
enum { HUB_DTYPES_MAX = 64 };
bool hub_count_params(hub *h, int64_t row, vcs_repo *git, const vcs_oid *commit, snug_arena *a,
                      uint64_t by_type[HUB_DTYPES_MAX], uint64_t *total);

/* Bumped by every change a reader of this repository could notice; for caches of rendered answers.
 * hub_epoch is the sum over all: one atomic load. */
uint64_t hub_epoch(const hub *h);
/* Counts one download of a file (statistics; batched, may lose the last seconds in a crash). */
void hub_count_download(hub *h, int64_t repo_row);
/* A file was asked for, by GET or HEAD, from this address: counts what is a download. */
void hub_count_file(hub *h, const hub_repo_info *info, snug_slice path, snug_slice address,
                    int64_t now_ms);
/* The same for an object without a name: only data sets count those. */
void hub_count_object(hub *h, int64_t row, snug_slice address, int64_t now_ms);
/* Is this the file whose requests count, for a model of that library? */
bool hub_is_query_file(snug_slice library, snug_slice path);

/* ---- commits ---- */
typedef struct hub_draft hub_draft; /* operations of one commit; big contents spill to disk */
snug_status              hub_draft_new(hub *h, hub_draft **out, snug_err *err) SNUG_MUST_USE;
void                     hub_draft_free(hub_draft *d); /* NULL is fine */
snug_status              hub_draft_header(hub_draft *d, snug_slice summary, snug_slice description,
                                          snug_slice parent, snug_err *err) SNUG_MUST_USE;
snug_status              hub_draft_file(hub_draft *d, snug_slice path, snug_slice bytes,
                                        snug_err *err) SNUG_MUST_USE;
snug_status              hub_draft_lfs(hub_draft *d, snug_slice path, const blob_id *oid,
                                       const uint64_t *size_or_null, snug_err *err) SNUG_MUST_USE;
snug_status              hub_draft_delete(hub_draft *d, snug_slice path, bool folder,
                                          snug_err *err) SNUG_MUST_USE;
/* Copies `from` at revision rev (empty: the target's own state) inside the same repository. */
snug_status hub_draft_copy(hub_draft *d, snug_slice from, snug_slice rev, snug_slice to,
                           snug_err *err) SNUG_MUST_USE;
snug_status hub_draft_move(hub_draft *d, snug_slice from, snug_slice to,
                           snug_err *err) SNUG_MUST_USE;

typedef struct hub_commit_result {
    vcs_oid oid;
    bool    unchanged;
} hub_commit_result;
/* Permission, path rules, every LFS object present and reachable for `who` -> tree, commit,
 * compare-and-swap of the ref (a stale parent is SNUG_ESTALE) -> one database transaction.
 * Without a parent two racing commits both land, one after the other. */
snug_status hub_apply_draft(hub *h, const hub_actor *who, const hub_repo_id *id, snug_slice rev,
                            hub_draft *d, hub_commit_result *out, snug_err *err) SNUG_MUST_USE;
/* What every door calls after refs moved: row, tags, card, epoch. Safe to repeat. LFS objects were
 * linked when they were uploaded; a pointer alone links nothing. */
snug_status hub_after_ref_change(hub *h, const hub_repo_id *id, snug_err *err) SNUG_MUST_USE;
/* Heals the row of one repository from its refs; called for all at start-up. */
snug_status hub_reconcile_repo(hub *h, int64_t row, snug_err *err) SNUG_MUST_USE;

/* ---- git push: the same rules for what comes by git's own protocol ---- */
/* May `who` push anything here? Writers may, and authors of pull requests that are open. */
snug_status hub_check_push(hub *h, const hub_actor *who, hub_repo *r, snug_err *err) SNUG_MUST_USE;
/* Refuses the refs he cannot move by a push; asked before the pack is read. */
void hub_check_push_refs(hub *h, const hub_actor *who, const hub_repo_info *info, vcs_push *p);
/* Looks at everything new (raw files too large for git, LFS objects that are missing, bad paths),
 * keeps it, moves each ref by compare-and-swap, and lets the row follow. What is refused is
 * SNUG_OK: the push says why, ref by ref and in lines for the person. */
snug_status hub_apply_push(hub *h, const hub_actor *who, const hub_repo_id *id, vcs_push *p,
                           snug_err *err) SNUG_MUST_USE;

typedef struct hub_preupload_file {
    snug_slice path, sample;
    uint64_t   size; /* in */
    bool       lfs, ignore, has_oid;
    char       oid[65]; /* out */
} hub_preupload_file;
snug_status hub_preupload(hub_repo *r, snug_slice rev, snug_slice git_attributes,
                          snug_slice git_ignore, hub_preupload_file *files, size_t n,
                          vcs_oid *commit, snug_err *err) SNUG_MUST_USE;

/* ---- LFS objects: a blob may be read through a repository only if it was put into it ---- */
/* Records that `who` proved to hold the bytes of this blob for this repository. */
snug_status hub_link_lfs(hub *h, int64_t repo_row, const blob_id *id, uint64_t size,
                         snug_err *err) SNUG_MUST_USE;
bool        hub_has_lfs(hub *h, int64_t repo_row, const blob_id *id, uint64_t *size);
/* Whoever was told that the object is here may count on it: its grace period begins anew. */
snug_status hub_keep_lfs(hub *h, int64_t repo_row, const blob_id *id, snug_err *err) SNUG_MUST_USE;
/* The end of an upload: the written bytes, or the parts of a session, become the object `id` and
 * the repository gets its right to it. Errors as blob_put_commit and blob_part_finish. */
snug_status hub_finish_lfs(hub *h, int64_t repo_row, blob_writer *w_owned, const blob_id *id,
                           uint64_t size, snug_err *err) SNUG_MUST_USE;
snug_status hub_finish_lfs_parts(hub *h, int64_t repo_row, snug_slice token, const blob_id *id,
                                 uint64_t size, snug_err *err) SNUG_MUST_USE;
/* Signed, expiring capability for one object and one action; verified without the database. */
snug_status hub_sign(hub *h, snug_slice what, int64_t expires_ms, char sig[65],
                     snug_err *err) SNUG_MUST_USE;
bool        hub_sign_ok(hub *h, snug_slice what, int64_t expires_ms, snug_slice sig);

/* ---- objects: the bytes behind an LFS pointer, in whichever form they are stored ---- */
typedef struct hub_object {
    blob_id   oid;
    uint64_t  size;
    bool      is_blob;  /* stored whole: blob_open_fd gives it */
    bool      is_xet;   /* deduplicated: made of these terms */
    bool      is_named; /* ... and readers of this repository may be told so: */
    xet_hash  file;
    xet_term *terms;      /* in the arena */
    size_t    term_count; /* 0 for an empty file */
} hub_object;
/* The object as it may be read through this repository: SNUG_ENOTFOUND when it is not linked to it,
 * or not stored. */
snug_status hub_find_object(hub *h, int64_t repo_row, const blob_id *oid, snug_arena *a,
                            hub_object *out, snug_err *err) SNUG_MUST_USE;
/* Its Xet name alone, for listings; false: it has none, or may not be read here. */
bool hub_find_xet_hash(hub *h, int64_t repo_row, const blob_id *oid, xet_hash *out);
/* Reads bytes [first, first + len) in order; keeps nothing of `o`. One thread. */
typedef struct hub_reader hub_reader;
hub_reader               *hub_reader_new(hub *h, const hub_object *o, uint64_t first, uint64_t len);
/* The next piece, good until the next call; empty at the end. */
snug_status hub_reader_next(hub_reader *r, snug_slice *piece, snug_err *err) SNUG_MUST_USE;
void        hub_reader_free(hub_reader *r); /* NULL is fine */
/* A small part at once. */
snug_status hub_read_object(hub *h, const hub_object *o, uint64_t off, void *buf, size_t n,
                            snug_err *err) SNUG_MUST_USE;

/* ---- Xet: the deduplicating store's own door ----
 * Nobody is told of a xorb, nor may build on it, who did not bring it himself or may not read a
 * repository it was brought to: for all others it does not exist. */
enum { HUB_TICKET_MINUTES = 15, HUB_XET_REALM = 16 };
typedef struct hub_ticket {
    hub_actor  who;
    int64_t    repo_row;
    hub_role   scope;
    snug_slice ref; /* written to; empty: a pull request about to be opened */
    int64_t    expires_ms;
} hub_ticket;
/* A signed text that opens the store for one repository; the caller checked that `who` may read it
 * or (hub_check_upload) bring objects for `ref`. */
snug_status hub_ticket_new(hub *h, const hub_actor *who, int64_t repo_row, hub_role scope,
                           snug_slice ref, snug_arena *a, snug_slice *text, int64_t *expires_ms,
                           snug_err *err) SNUG_MUST_USE;
/* SNUG_EUNAUTH: forged, expired, or the repository is gone; SNUG_EFORBIDDEN: not for that. */
snug_status hub_ticket_read(hub *h, snug_slice text, hub_role need, snug_arena *a, hub_ticket *out,
                            snug_err *err) SNUG_MUST_USE;
/* Clients remember what a store has by its address. This part of it is another for each
 * installation and each account, so that nobody is told about others by his own cache. */
void hub_xet_realm(hub *h, const hub_actor *who, char out[HUB_XET_REALM + 1]);

/* Receives a xorb: SNUG_EINVAL when it is not what its name says. *have: the caller may know that
 * it is here already; nothing needs to be written. */
typedef struct hub_xorb_in hub_xorb_in;
snug_status hub_xorb_begin(hub *h, const hub_ticket *t, const xet_hash *name, hub_xorb_in **out,
                           bool *have, snug_err *err) SNUG_MUST_USE;
snug_status hub_xorb_write(hub_xorb_in *in, snug_slice bytes, snug_err *err) SNUG_MUST_USE;
snug_status hub_xorb_commit(hub_xorb_in *in, snug_err *err) SNUG_MUST_USE; /* frees */
void        hub_xorb_abort(hub_xorb_in *in);                               /* NULL is fine */
/* Size of the stored records of a xorb the caller may know of. */
snug_status hub_xorb_size(hub *h, const hub_ticket *t, const xet_hash *name, uint64_t *size,
                          snug_err *err) SNUG_MUST_USE;
/* Its records as a file, for addresses this server signed. The caller closes it. */
snug_status hub_xorb_open_fd(hub *h, const xet_hash *name, int *fd, uint64_t *size,
                             snug_err *err) SNUG_MUST_USE;

/* Registers the files of a shard, whole or not at all: every range proven, every hash recomputed,
 * every SHA-256 taken from the bytes. `tell` (may be NULL) hears how far it is and may say stop.
 * *fresh: something was not known before. SNUG_EINVAL with the first thing that is wrong. */
typedef bool hub_shard_progress(void *arg, uint64_t done, uint64_t total);
snug_status  hub_register_shard(hub *h, const hub_ticket *t, snug_slice shard,
                                hub_shard_progress *tell, void *arg, bool *fresh,
                                snug_err *err) SNUG_MUST_USE;
/* A dedup answer: a shard with a xorb that holds this chunk. SNUG_ENOTFOUND: none to tell of. */
snug_status hub_find_chunk(hub *h, const hub_ticket *t, const xet_hash *chunk, snug_buf *shard,
                           snug_err *err) SNUG_MUST_USE;
/* Bytes [first, last] of a file of the ticket's repository (last is clamped) as terms and spans.
 * *size: of the whole file. */
snug_status hub_plan_file(hub *h, const hub_ticket *t, const xet_hash *file, uint64_t first,
                          uint64_t last, snug_arena *a, xet_plan *out, uint64_t *size,
                          snug_err *err) SNUG_MUST_USE;

/* ---- LFS file locks (the caller opened the repository with the right to write, or to read for a
 * list) ---- */
typedef struct hub_lfs_lock {
    int64_t    id, created_ms;
    snug_slice path, ref, owner;
    bool       ours; /* the asking person's */
} hub_lfs_lock;
typedef struct hub_lock_query {
    snug_slice path;      /* empty: any */
    int64_t    id, after; /* 0: any, from the start */
    size_t     limit;
} hub_lock_query;
/* *made false: *out is the lock that was there. */
snug_status hub_lock_path(hub *h, const hub_actor *who, int64_t row, snug_slice path,
                          snug_slice ref, snug_arena *a, hub_lfs_lock *out, bool *made,
                          snug_err *err) SNUG_MUST_USE;
snug_status hub_list_locks(hub *h, const hub_actor *who, int64_t row, const hub_lock_query *q,
                           snug_arena *a, hub_lfs_lock **out, size_t *count, bool *more,
                           snug_err *err) SNUG_MUST_USE;
/* SNUG_EFORBIDDEN for somebody else's without `force`. */
snug_status hub_unlock_path(hub *h, const hub_actor *who, int64_t row, int64_t id, bool force,
                            snug_arena *a, hub_lfs_lock *out, snug_err *err) SNUG_MUST_USE;

/* ---- branches and tags (need HUB_ROLE_WRITE on an opened repository) ---- */
snug_status hub_create_branch(hub *h, hub_repo *r, snug_slice name, snug_slice start,
                              bool overwrite, snug_err *err) SNUG_MUST_USE;
snug_status hub_delete_branch(hub *h, hub_repo *r, snug_slice name, snug_err *err) SNUG_MUST_USE;
snug_status hub_create_tag(hub *h, const hub_actor *who, hub_repo *r, snug_slice rev,
                           snug_slice name, snug_slice message, snug_err *err) SNUG_MUST_USE;
snug_status hub_delete_tag(hub *h, hub_repo *r, snug_slice name, snug_err *err) SNUG_MUST_USE;

/* Card front matter checks, for validate-yaml and commits. Calls fn for each finding. */
void hub_check_card(snug_slice readme, hub_type                                   type,
                    void (*fn)(void *arg, bool is_error, const char *text), void *arg);

#include "hub/care.h"
#include "hub/community.h"
#include "hub/hooks.h"

#endif
