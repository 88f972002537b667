/* SPDX-License-Identifier: Apache-2.0 */
/* store/store.h - typed rows and queries over db/db.h: users, tokens, repositories, redirects,
 * tags, LFS links, deduplicated storage, download statistics, server secrets.
 *
 * For:     hub/, which decides who may do what; nothing here knows about permission but the one
 *          filter of store_list_repos, so that pages are full and counts leak nothing.
 * Owns:    the schema. Every SQL text of Snug is in this folder.
 * Threads: any; a transaction stays with its thread. Slices in rows live in the given arena.
 * Truth:   names are unique by their lower-case key; ids are never used twice. */
#ifndef SNUG_STORE_STORE_H
#define SNUG_STORE_STORE_H

#include "base/base.h"
#include "db/db.h"

/* Brings the schema to the newest version. */
snug_status store_migrate(db *d, snug_err *err) SNUG_MUST_USE;

/* ---- users ---- */
typedef struct store_user {
    int64_t    id;
    snug_slice name, fullname, email, password; /* password: an argon2id string */
    bool       is_admin;
    int64_t    created_ms;
} store_user;

/* SNUG_ECONFLICT when the name is taken in any spelling. */
snug_status store_add_user(db_txn *tx, const store_user *u, int64_t *id,
                           snug_err *err) SNUG_MUST_USE;
snug_status store_find_user(db_txn *tx, snug_arena *a, snug_slice name, store_user *out,
                            bool *found, snug_err *err) SNUG_MUST_USE;
snug_status store_set_password(db_txn *tx, int64_t user, snug_slice password,
                               snug_err *err) SNUG_MUST_USE;
/* All, by name. */
snug_status store_list_users(db_txn *tx, snug_arena *a, store_user **out, size_t *count,
                             snug_err *err) SNUG_MUST_USE;
snug_status store_count_users(db_txn *tx, uint64_t *out, snug_err *err) SNUG_MUST_USE;
/* All of them by name, without their passwords. */

/* ---- tokens: only the hash is kept ---- */
typedef struct store_token {
    int64_t    id, user_id;
    snug_slice name;
    int        role; /* hub_role */
    int64_t    created_ms, last_used_ms;
} store_token;

/* SNUG_ECONFLICT when this user has a token of that name. */
snug_status store_add_token(db_txn *tx, const store_token *t, snug_slice hash_hex, int64_t *id,
                            snug_err *err) SNUG_MUST_USE;
/* The token of this hash and its owner. */
snug_status store_find_token(db_txn *tx, snug_arena *a, snug_slice hash_hex, store_token *out,
                             store_user *owner, bool *found, snug_err *err) SNUG_MUST_USE;
snug_status store_list_tokens(db_txn *tx, snug_arena *a, int64_t user, store_token **out,
                              size_t *count, snug_err *err) SNUG_MUST_USE;
snug_status store_delete_token(db_txn *tx, int64_t user, snug_slice name, bool *found,
                               snug_err *err) SNUG_MUST_USE;
snug_status store_delete_tokens(db_txn *tx, int64_t user, snug_err *err) SNUG_MUST_USE;
snug_status store_touch_token(db_txn *tx, int64_t token, int64_t used_ms,
                              snug_err *err) SNUG_MUST_USE;

/* ---- repositories ---- */
/* MAKING and DELETING rows are seen by nobody but the healer. */
typedef enum store_state { STORE_MAKING, STORE_LIVE, STORE_DELETING } store_state;

typedef struct store_repo {
    int64_t     id;
    int         type; /* hub_type */
    snug_slice  ns, name;
    snug_slice  oid24, git_key;
    int         visibility; /* hub_visibility */
    int         gated;      /* hub_gate */
    bool        disabled;
    store_state state;
    int64_t     creator_id;
    snug_slice  sdk;
    snug_slice  head; /* 40 hex digits, or empty while MAKING */
    int64_t     created_ms, modified_ms;
    int64_t     downloads, downloads_all, likes, trending, used_storage;
    snug_slice  tags_json, card_json, pipeline_tag, library_name;
    int64_t     params; /* parameters of a model; 0: not known */
} store_repo;

/* What is searched besides the id. */
typedef struct store_text_of {
    snug_slice words, body; /* title and tags; the card's text */
} store_text_of;

/* A lower-case copy (ASCII). */
snug_slice store_lower(snug_arena *a, snug_slice s);
/* "Ns/Name" in lower case: the key of uniqueness. */
snug_slice store_repo_key(snug_arena *a, snug_slice ns, snug_slice name);

/* Inserts; SNUG_ECONFLICT when the id is taken in any spelling. A redirect from that id ends. */
snug_status store_add_repo(db_txn *tx, const store_repo *r, int64_t *id,
                           snug_err *err) SNUG_MUST_USE;
/* By key, in any state. */
snug_status store_find_repo(db_txn *tx, snug_arena *a, int type, snug_slice key, store_repo *out,
                            bool *found, snug_err *err) SNUG_MUST_USE;
snug_status store_get_repo(db_txn *tx, snug_arena *a, int64_t id, store_repo *out, bool *found,
                           snug_err *err) SNUG_MUST_USE;
/* Rows with id > after, any state, in id order: for walks over all. */
snug_status store_walk_repos(db_txn *tx, snug_arena *a, int64_t after, size_t n, store_repo **out,
                             size_t *count, snug_err *err) SNUG_MUST_USE;
/* Do repositories live under it, or is it an organization? */
snug_status store_namespace_used(db_txn *tx, snug_slice ns, bool *used,
                                 snug_err *err) SNUG_MUST_USE;

/* Does any row, in any state, name this git folder? */
snug_status store_git_key_used(db_txn *tx, snug_slice git_key, bool *used,
                               snug_err *err) SNUG_MUST_USE;

/* What follows from refs: head, modified, storage, card, parameters and tags in one go. `tags` are
 * the keys for filters, any case, without duplicates in lower case. `text` is valid UTF-8. */
snug_status store_set_content(db_txn *tx, const store_repo *r, const snug_slice *tags,
                              size_t tag_count, const store_text_of *text,
                              snug_err *err) SNUG_MUST_USE;
snug_status store_set_visibility(db_txn *tx, int64_t id, int visibility,
                                 snug_err *err) SNUG_MUST_USE;
snug_status store_set_disabled(db_txn *tx, int64_t id, bool disabled, snug_err *err) SNUG_MUST_USE;
snug_status store_set_live(db_txn *tx, int64_t id, snug_err *err) SNUG_MUST_USE;
/* Hides the row for good and frees its id; store_delete_repo ends it. */
snug_status store_mark_deleting(db_txn *tx, int64_t id, snug_slice git_key,
                                snug_err *err) SNUG_MUST_USE;
snug_status store_delete_repo(db_txn *tx, int64_t id, snug_err *err) SNUG_MUST_USE;
/* Renames and leaves a redirect. SNUG_ECONFLICT when the new id is taken. */
snug_status store_move_repo(db_txn *tx, const store_repo *from, snug_slice ns, snug_slice name,
                            snug_err *err) SNUG_MUST_USE;
/* The repository that once had this id. */
snug_status store_find_redirect(db_txn *tx, snug_arena *a, int type, snug_slice key,
                                store_repo *out, bool *found, snug_err *err) SNUG_MUST_USE;

/* ---- listing and searching ---- */
typedef enum store_sort {
    STORE_BY_CREATED,
    STORE_BY_MODIFIED,
    STORE_BY_DOWNLOADS,
    STORE_BY_LIKES,
    STORE_BY_TRENDING,
    STORE_BY_PARAMS,
    STORE_BY_ID,
    STORE_SORTS
} store_sort;

typedef enum store_gate { STORE_GATE_ANY, STORE_GATE_OPEN, STORE_GATE_GATED } store_gate;

enum { STORE_FILTERS_MAX = 32 };
#define STORE_ANY_OF '\x1f' /* between tags of one filter of which one is enough */

typedef struct store_list {
    int               type;
    int               sees; /* 0: public, 1: internal too, 2: everything */
    snug_slice        me;   /* own namespace, seen whole; may be empty */
    snug_slice        author;
    snug_slice        search;    /* words, all of them; "two words" is a phrase */
    bool              with_text; /* words may also stand in tags and card: else parts of the id */
    bool              any_word;  /* one of them is enough */
    const snug_slice *filters;
    size_t            filter_count; /* tags, all of them; at most STORE_FILTERS_MAX */
    store_gate        gate;
    int64_t           params_min, params_max; /* both inclusive; params_max 0: any */
    store_sort        sort;                   /* descending, ties by row id */
    bool              has_after;              /* continue behind this place */
    int64_t           after_value, after_id;
    snug_slice        after_key; /* instead of after_value for STORE_BY_ID */
    size_t            limit;
} store_list;
snug_status store_list_repos(db_txn *tx, snug_arena *a, const store_list *q, store_repo **out,
                             size_t *count, bool *more, snug_err *err) SNUG_MUST_USE;
/* The value `sort` compares for this row (STORE_BY_ID: 0). */
int64_t store_sort_value(store_sort sort, const store_repo *r);

/* About how many there are, looking at `max` of them at most: *exact says whether that was all. */
snug_status store_count_matches(db_txn *tx, snug_arena *a, const store_list *q, size_t max,
                                size_t *out, bool *exact, snug_err *err) SNUG_MUST_USE;
/* The part of a repository's card where these words stand, each between \x02 and \x03; the
 * beginning of the card when they stand elsewhere. */
snug_status store_snippet(db_txn *tx, snug_arena *a, int64_t id, snug_slice words, snug_slice *out,
                          snug_err *err) SNUG_MUST_USE;
/* Does this live row stand in the index? */
snug_status store_is_indexed(db_txn *tx, int64_t id, bool *yes, snug_err *err) SNUG_MUST_USE;
/* A bounded step of merging the segments of the index. *more: another would do something. */
snug_status store_merge_index(db_txn *tx, unsigned pages, bool *more, snug_err *err) SNUG_MUST_USE;
/* Puts at most n rows into the index that are not in it: for tools that write rows by themselves.
 * `text` says what else is searched. In id order behind *after, which moves; *done when there are
 * no more. */
typedef void store_text_fn(void *arg, const store_repo *r, snug_arena *a, store_text_of *out);
snug_status  store_index_rows(db_txn *tx, store_text_fn *text, void *arg, int64_t *after, size_t n,
                              bool *done, snug_err *err) SNUG_MUST_USE;

/* ---- LFS links: which blob may be read through which repository ---- */
snug_status store_link_lfs(db_txn *tx, int64_t repo, snug_slice oid_hex, uint64_t size,
                           int64_t now_ms, snug_err *err) SNUG_MUST_USE;
snug_status store_has_lfs(db_txn *tx, snug_arena *a, int64_t repo, snug_slice oid_hex,
                          uint64_t *size, bool *found, snug_err *err) SNUG_MUST_USE;
/* Is the object linked to any live repository this reader sees (`sees`, `me` as in store_list)? */
snug_status store_lfs_readable(db_txn *tx, snug_arena *a, snug_slice oid_hex, int sees,
                               snug_slice me, bool *yes, snug_err *err) SNUG_MUST_USE;
snug_status store_lfs_bytes(db_txn *tx, snug_arena *a, int64_t repo, uint64_t *out,
                            snug_err *err) SNUG_MUST_USE;

/* ---- LFS file locks ---- */
typedef struct store_lock {
    int64_t    id, repo_id, owner_id, created_ms;
    snug_slice path, ref, owner; /* owner: the name, by owner_id */
} store_lock;
snug_status store_add_lock(db_txn *tx, const store_lock *l, int64_t *id,
                           snug_err *err) SNUG_MUST_USE;
snug_status store_find_lock(db_txn *tx, snug_arena *a, int64_t repo, int64_t id, store_lock *out,
                            bool *found, snug_err *err) SNUG_MUST_USE;
snug_status store_find_lock_of(db_txn *tx, snug_arena *a, int64_t repo, snug_slice path,
                               store_lock *out, bool *found, snug_err *err) SNUG_MUST_USE;
/* Those with id > after, at most n, in id order. */
snug_status store_list_locks(db_txn *tx, snug_arena *a, int64_t repo, int64_t after, size_t n,
                             store_lock **out, size_t *count, snug_err *err) SNUG_MUST_USE;
snug_status store_count_locks(db_txn *tx, snug_arena *a, int64_t repo, uint64_t *out,
                              snug_err *err) SNUG_MUST_USE;
snug_status store_delete_lock(db_txn *tx, int64_t repo, int64_t id, snug_err *err) SNUG_MUST_USE;

/* ---- SSH public keys ---- */
typedef struct store_ssh_key {
    int64_t    id, user_id, created_ms, last_used_ms;
    snug_slice title, kind, blob, fingerprint;
    snug_slice owner, owner_fullname, owner_email; /* by user_id */
    bool       owner_is_admin;
} store_ssh_key;
/* SNUG_ECONFLICT when anybody has this key. */
snug_status store_add_ssh_key(db_txn *tx, const store_ssh_key *k, int64_t *id,
                              snug_err *err) SNUG_MUST_USE;
snug_status store_find_ssh_key(db_txn *tx, snug_arena *a, snug_slice blob, store_ssh_key *out,
                               bool *found, snug_err *err) SNUG_MUST_USE;
snug_status store_get_ssh_key(db_txn *tx, snug_arena *a, int64_t id, store_ssh_key *out,
                              bool *found, snug_err *err) SNUG_MUST_USE;
snug_status store_list_ssh_keys(db_txn *tx, snug_arena *a, int64_t user, size_t max,
                                store_ssh_key **out, size_t *count, snug_err *err) SNUG_MUST_USE;
snug_status store_delete_ssh_key(db_txn *tx, int64_t user, int64_t id, bool *found,
                                 snug_err *err) SNUG_MUST_USE;
snug_status store_touch_ssh_key(db_txn *tx, int64_t id, int64_t used_ms,
                                snug_err *err) SNUG_MUST_USE;

/* ---- download statistics: a row per repository and UTC day ---- */
enum { STORE_DOWNLOAD_DAYS = 30, STORE_TRENDING_DAYS = 7 };
snug_status store_add_downloads(db_txn *tx, int64_t repo, int64_t day, uint64_t n,
                                snug_err *err) SNUG_MUST_USE;
/* When `today` is a new day: the sums of the last 30 and 7 days of every row, anew. */
snug_status store_roll_downloads(db_txn *tx, int64_t today, bool *rolled,
                                 snug_err *err) SNUG_MUST_USE;

/* ---- deduplicated storage: hashes are text, 64 hex digits ---- */
typedef struct store_xorb {
    int64_t    id;
    snug_slice hash, blob;
    uint64_t   stored_size, raw_size;
    int64_t    created_ms;
    snug_slice chunks; /* as hub/ packs them */
} store_xorb;
/* *added false: it was there already, and *id is that one's. */
snug_status store_add_xorb(db_txn *tx, const store_xorb *x, int64_t *id, bool *added,
                           snug_err *err) SNUG_MUST_USE;
snug_status store_find_xorb(db_txn *tx, snug_arena *a, snug_slice hash, store_xorb *out,
                            bool *found, snug_err *err) SNUG_MUST_USE;
snug_status store_link_xorb(db_txn *tx, int64_t xorb, int64_t repo, int64_t user, int64_t now_ms,
                            snug_err *err) SNUG_MUST_USE;
/* Who asks: `sees` and `me` as in store_list; user 0 is nobody. */
typedef struct store_reader {
    int        sees;
    snug_slice me;
    int64_t    user;
} store_reader;
/* The xorb of this hash, if the reader brought it himself or to a repository he sees. */
snug_status store_xorb_readable(db_txn *tx, snug_arena *a, snug_slice hash, const store_reader *who,
                                int64_t *id, bool *yes, snug_err *err) SNUG_MUST_USE;
/* `file`: hash of a file the chunk belongs to, or empty. The first one that is known stays. */
snug_status store_add_lookup(db_txn *tx, int64_t chunk, int64_t xorb, uint32_t chunk_index,
                             snug_slice file, snug_err *err) SNUG_MUST_USE;
typedef struct store_lookup {
    snug_slice xorb_hash, file;
    uint32_t   chunk_index;
} store_lookup;
enum { STORE_LOOKUP_MAX = 16 };
/* Where a chunk of this key may be, in xorbs the reader may know of; newest first. */
snug_status store_find_lookup(db_txn *tx, snug_arena *a, int64_t chunk, const store_reader *who,
                              store_lookup out[STORE_LOOKUP_MAX], size_t *count,
                              snug_err *err) SNUG_MUST_USE;

/* How a file is put together. One file may have several layouts, since nobody is shown one that was
 * made where he may not read: its xorbs would tell him who else has the file. */
typedef struct store_xet_file {
    int64_t    id;
    snug_slice hash, sha256;
    uint64_t   size;
    int64_t    created_ms;
    snug_slice terms; /* as hub/ packs them */
} store_xet_file;
snug_status store_add_xet_file(db_txn *tx, const store_xet_file *f, int64_t *id,
                               snug_err *err) SNUG_MUST_USE;
/* The repository's readers may be shown this layout. */
snug_status store_link_xet_file(db_txn *tx, int64_t repo, int64_t id, snug_err *err) SNUG_MUST_USE;
/* The oldest layout of this file that the reader sees in some repository. */
snug_status store_find_xet_file(db_txn *tx, snug_arena *a, snug_slice hash, const store_reader *who,
                                store_xet_file *out, bool *found, snug_err *err) SNUG_MUST_USE;
/* ... that this repository shows. */
snug_status store_find_xet_file_in(db_txn *tx, snug_arena *a, int64_t repo, snug_slice hash,
                                   store_xet_file *out, bool *found, snug_err *err) SNUG_MUST_USE;
/* Any layout of this content: for reading the bytes. *shown: this repository may name it. */
snug_status store_find_xet_sha256(db_txn *tx, snug_arena *a, int64_t repo, snug_slice sha256,
                                  store_xet_file *out, bool *found, bool *shown,
                                  snug_err *err) SNUG_MUST_USE;
/* The hash under which content of this repository can be reconstructed. */
snug_status store_xet_hash_in(db_txn *tx, snug_arena *a, int64_t repo, snug_slice sha256,
                              snug_slice *hash, bool *found, snug_err *err) SNUG_MUST_USE;
/* Shows in `repo` what the reader sees of this content elsewhere. */
snug_status store_borrow_xet_files(db_txn *tx, snug_arena *a, int64_t repo, snug_slice sha256,
                                   const store_reader *who, snug_err *err) SNUG_MUST_USE;

/* ---- server secrets and marks ---- */
/* Keeps `fresh` under the name unless there is a value already; gives the value that holds. */
snug_status store_keep_secret(db_txn *tx, snug_arena *a, const char *name, snug_slice fresh,
                              snug_slice *out, snug_err *err) SNUG_MUST_USE;

#include "store/care.h"
#include "store/community.h"
#include "store/jobs.h"
#include "store/webhooks.h"

#endif
