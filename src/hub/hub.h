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

/* ---- repositories ---- */
typedef enum hub_visibility {
    HUB_PUBLIC,
    HUB_PRIVATE,
    HUB_INTERNAL
} hub_visibility; /* internal: any signed-in user */

typedef struct hub_repo_info {
    int64_t        row;
    hub_repo_id    id;
    char           oid24[25]; /* "_id" of the API: 24 hex */
    char           key[33];   /* names its git folder */
    hub_visibility visibility;
    bool           gated, disabled;
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

typedef struct hub_new_repo {
    hub_repo_id    id;
    hub_visibility visibility;
    snug_slice     sdk, license; /* may be empty */
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

typedef struct hub_list_query {
    hub_type          type;
    snug_slice        author, search; /* may be empty */
    const snug_slice *filters;
    size_t            filter_count; /* tags, AND */
    snug_slice        sort;   /* "", createdAt, lastModified, downloads, likes, trendingScore, id */
    snug_slice        cursor; /* opaque, from the page before */
    size_t            limit;  /* 1..1000 */
} hub_list_query;
/* Only what `who` may read. *next is empty on the last page. Keyset paging. */
snug_status hub_list_repos(hub *h, const hub_actor *who, const hub_list_query *q, snug_arena *a,
                           hub_repo_info **out, size_t *count, snug_slice *next,
                           snug_err *err) SNUG_MUST_USE;

/* Bumped by every change a reader of this repository could notice; for caches of rendered answers.
 * hub_epoch is the sum over all: one atomic load. */
uint64_t hub_epoch(const hub *h);
/* Counts one download of a file (statistics; batched, may lose the last seconds in a crash). */
void hub_count_download(hub *h, int64_t repo_row);

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
/* Signed, expiring capability for one object and one action; verified without the database. */
snug_status hub_sign(hub *h, snug_slice what, int64_t expires_ms, char sig[65],
                     snug_err *err) SNUG_MUST_USE;
bool        hub_sign_ok(hub *h, snug_slice what, int64_t expires_ms, snug_slice sig);

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

#include "hub/community.h"

#endif
