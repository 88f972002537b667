/* SPDX-License-Identifier: Apache-2.0 */
/* store/community.h - rows of what people say, like, group and subscribe to. Part of store.h;
 * include that one. */
#ifndef SNUG_STORE_COMMUNITY_H
#define SNUG_STORE_COMMUNITY_H

#include "base/base.h"
#include "db/db.h"

/* ---- discussions and pull requests ---- */
typedef enum store_talk {
    STORE_TALK_MAKING, /* a pull request whose ref is not there yet: seen by the healer alone */
    STORE_TALK_OPEN,
    STORE_TALK_CLOSED,
    STORE_TALK_MERGED,
    STORE_TALK_DRAFT
} store_talk;

typedef struct store_discussion {
    int64_t    id, repo_id, num;
    bool       is_pull;
    store_talk status;
    int64_t    author_id, created_ms;
    snug_slice author, title;
    snug_slice base;              /* "refs/heads/main" */
    snug_slice fork, head, merge; /* hex, or empty */
} store_discussion;

/* Takes the next number of the repository. */
snug_status store_add_discussion(db_txn *tx, const store_discussion *d, int64_t *id, int64_t *num,
                                 snug_err *err) SNUG_MUST_USE;
snug_status store_find_discussion(db_txn *tx, snug_arena *a, int64_t repo, int64_t num,
                                  store_discussion *out, bool *found, snug_err *err) SNUG_MUST_USE;
/* Writes title, status, fork, head, merge. */
snug_status store_set_discussion(db_txn *tx, const store_discussion *d,
                                 snug_err *err) SNUG_MUST_USE;
snug_status store_drop_discussion(db_txn *tx, int64_t id, snug_err *err) SNUG_MUST_USE;

/* Commits (hex) that rows of a repository's pull requests name, in order, behind `after`. */
snug_status store_list_talk_commits(db_txn *tx, snug_arena *a, int64_t repo, snug_slice after,
                                    size_t limit, snug_slice **out, size_t *count,
                                    snug_err *err) SNUG_MUST_USE;
/* They name another instead, since history was rewritten. */
snug_status store_swap_talk_commit(db_txn *tx, int64_t repo, snug_slice old, snug_slice now,
                                   snug_err *err) SNUG_MUST_USE;

typedef enum store_talk_filter {
    STORE_TALKS_ALL,
    STORE_TALKS_OPEN,
    STORE_TALKS_CLOSED
} store_talk_filter;
typedef struct store_talk_query {
    int64_t           repo;
    int               kind; /* -1 both, 0 discussions, 1 pull requests */
    store_talk_filter status;
    snug_slice        author; /* may be empty */
    uint64_t          skip, limit;
} store_talk_query;
/* Newest first. *total: how many there are without skip and limit. Skipped rows are not read. */
snug_status store_list_discussions(db_txn *tx, snug_arena *a, const store_talk_query *q,
                                   store_discussion **out, size_t *count, uint64_t *total,
                                   snug_err *err) SNUG_MUST_USE;
/* What a crash may have left half done: MAKING ones, and open ones with a merge under way. */
snug_status store_unfinished_pulls(db_txn *tx, snug_arena *a, store_discussion **out, size_t *count,
                                   snug_err *err) SNUG_MUST_USE;
snug_status store_count_discussions_of(db_txn *tx, int64_t author, uint64_t *out,
                                       snug_err *err) SNUG_MUST_USE;

typedef enum store_event_kind {
    STORE_EVENT_COMMENT,
    STORE_EVENT_STATUS, /* first: the new status */
    STORE_EVENT_COMMIT, /* first: subject, second: commit */
    STORE_EVENT_TITLE   /* first: from, second: to */
} store_event_kind;
typedef struct store_event {
    int64_t          id, discussion_id;
    snug_slice       key;          /* 24 hex digits, lower case */
    char             key_text[25]; /* where `key` may live */
    store_event_kind kind;
    int64_t          author_id, created_ms;
    snug_slice       author, first, second;
    bool             hidden;
} store_event;
typedef struct store_text {
    int64_t    event_id, version;
    snug_slice text, author;
    int64_t    written_ms;
} store_text;

enum { STORE_EVENTS_MAX = 20000 };
snug_status store_add_event(db_txn *tx, const store_event *e, int64_t *id,
                            snug_err *err) SNUG_MUST_USE;
snug_status store_list_events(db_txn *tx, snug_arena *a, int64_t discussion, store_event **out,
                              size_t *count, snug_err *err) SNUG_MUST_USE;
snug_status store_find_event(db_txn *tx, snug_arena *a, int64_t discussion, snug_slice key,
                             store_event *out, bool *found, snug_err *err) SNUG_MUST_USE;
/* Adds the next version of a comment's text. */
snug_status store_add_text(db_txn *tx, const store_event *e, snug_slice text, snug_slice author,
                           int64_t now_ms, snug_err *err) SNUG_MUST_USE;
/* Of all comments (event 0) or of one, oldest version first. */
snug_status store_list_texts(db_txn *tx, snug_arena *a, int64_t discussion, int64_t event,
                             store_text **out, size_t *count, snug_err *err) SNUG_MUST_USE;
/* Hides a comment: its texts are gone for good. */
snug_status store_hide_event(db_txn *tx, int64_t event, snug_err *err) SNUG_MUST_USE;

/* ---- people: likes, follows, organizations ---- */
/* A person or organization in a list; `key` is where the next page goes on. */
typedef struct store_person {
    int64_t    key, id;
    snug_slice name, fullname;
    int        role; /* of members */
} store_person;

/* *changed false: it was so already. Keeps the sum on the repository's row. */
snug_status store_set_like(db_txn *tx, int64_t user, int64_t repo, bool on, int64_t now_ms,
                           bool *changed, snug_err *err) SNUG_MUST_USE;
typedef struct store_like {
    int64_t    key, created_ms;
    int        type;
    snug_slice ns, name;
} store_like;
/* Pages go on after the key of the last entry; 0 begins. Newest first. */
snug_status store_list_likes(db_txn *tx, snug_arena *a, int64_t user, store_reader eyes,
                             int64_t after, size_t limit, store_like **out, size_t *count,
                             snug_err *err) SNUG_MUST_USE;
snug_status store_list_likers(db_txn *tx, snug_arena *a, int64_t repo, int64_t after, size_t limit,
                              store_person **out, size_t *count, snug_err *err) SNUG_MUST_USE;

typedef enum store_follow { STORE_FOLLOW_USER, STORE_FOLLOW_ORG } store_follow;
snug_status store_set_follow(db_txn *tx, int64_t user, store_follow kind, int64_t target, bool on,
                             int64_t now_ms, snug_err *err) SNUG_MUST_USE;
snug_status store_is_following(db_txn *tx, int64_t user, store_follow kind, int64_t target,
                               bool *yes, snug_err *err) SNUG_MUST_USE;
snug_status store_list_followers(db_txn *tx, snug_arena *a, store_follow kind, int64_t target,
                                 int64_t after, size_t limit, store_person **out, size_t *count,
                                 snug_err *err) SNUG_MUST_USE;
/* Users somebody follows. */
snug_status store_list_following(db_txn *tx, snug_arena *a, int64_t user, int64_t after,
                                 size_t limit, store_person **out, size_t *count,
                                 snug_err *err) SNUG_MUST_USE;

typedef struct store_org {
    int64_t    id;
    snug_slice name, fullname, details;
    int64_t    created_ms;
    int        role; /* of the member asked for, hub_role; 0: none */
} store_org;
/* SNUG_ECONFLICT when the name is taken in any spelling by an organization. */
snug_status store_add_org(db_txn *tx, const store_org *o, int64_t *id, snug_err *err) SNUG_MUST_USE;
snug_status store_find_org(db_txn *tx, snug_arena *a, snug_slice name, store_org *out, bool *found,
                           snug_err *err) SNUG_MUST_USE;
/* role 0: not a member any more. */
snug_status store_set_member(db_txn *tx, int64_t org, int64_t user, int role,
                             snug_err *err) SNUG_MUST_USE;
snug_status store_list_members(db_txn *tx, snug_arena *a, int64_t org, int64_t after, size_t limit,
                               store_person **out, size_t *count, snug_err *err) SNUG_MUST_USE;
/* All, or those of one user (0: all). */
snug_status store_list_orgs(db_txn *tx, snug_arena *a, int64_t user, store_org **out, size_t *count,
                            snug_err *err) SNUG_MUST_USE;

/* What overviews count. */
typedef struct store_counts {
    uint64_t repos[3]; /* by type: those the reader may see */
    uint64_t likes, following, followers, members, discussions;
} store_counts;
snug_status store_count_namespace(db_txn *tx, snug_slice ns, store_reader eyes, store_counts *out,
                                  snug_err *err) SNUG_MUST_USE;
snug_status store_count_user(db_txn *tx, int64_t user, store_counts *out,
                             snug_err *err) SNUG_MUST_USE;
snug_status store_count_org(db_txn *tx, int64_t org, store_counts *out,
                            snug_err *err) SNUG_MUST_USE;

/* ---- access to gated repositories ---- */
snug_status store_set_gate(db_txn *tx, int64_t repo, int gate, snug_err *err) SNUG_MUST_USE;
typedef enum store_access {
    STORE_ACCESS_PENDING,
    STORE_ACCESS_ACCEPTED,
    STORE_ACCESS_REJECTED
} store_access;
typedef struct store_access_request {
    int64_t      id, repo_id, user_id;
    store_access status;
    bool         granted; /* given without being asked for */
    snug_slice   fields;  /* JSON object, or empty */
    snug_slice   reason;  /* of a rejection */
    int64_t      created_ms;
    snug_slice   user, fullname, email;
} store_access_request;
/* One row for a user and a repository: a second one replaces the first. */
snug_status store_put_access(db_txn *tx, const store_access_request *q,
                             snug_err *err) SNUG_MUST_USE;
snug_status store_find_access(db_txn *tx, snug_arena *a, int64_t repo, int64_t user,
                              store_access_request *out, bool *found, snug_err *err) SNUG_MUST_USE;
snug_status store_get_access(db_txn *tx, snug_arena *a, int64_t repo, int64_t id,
                             store_access_request *out, bool *found, snug_err *err) SNUG_MUST_USE;
/* Of one status, oldest first, behind the id `after`. */
snug_status store_list_access(db_txn *tx, snug_arena *a, int64_t repo, store_access status,
                              int64_t after, size_t limit, store_access_request **out,
                              size_t *count, snug_err *err) SNUG_MUST_USE;

/* ---- repositories as wholes ---- */
/* Rows of a namespace, any type, newest row first, behind the id `after` (0: from the start). */
snug_status store_list_owned(db_txn *tx, snug_arena *a, snug_slice ns, int64_t after, size_t limit,
                             store_repo **out, size_t *count, snug_err *err) SNUG_MUST_USE;
typedef struct store_lfs_row {
    snug_slice oid; /* hex */
    uint64_t   size;
    int64_t    created_ms;
} store_lfs_row;
/* By oid, behind `after`. */
snug_status store_list_lfs(db_txn *tx, snug_arena *a, int64_t repo, snug_slice after, size_t limit,
                           store_lfs_row **out, size_t *count, snug_err *err) SNUG_MUST_USE;
snug_status store_unlink_lfs(db_txn *tx, int64_t repo, snug_slice oid_hex, bool *found,
                             snug_err *err) SNUG_MUST_USE;
typedef struct store_tag {
    snug_slice tag;
    uint64_t   count;
} store_tag;
/* Tags of public repositories of a type, the most used first. */
snug_status store_list_tags(db_txn *tx, snug_arena *a, int type, size_t limit, store_tag **out,
                            size_t *count, snug_err *err) SNUG_MUST_USE;

/* ---- collections ---- */
typedef struct store_collection {
    int64_t    id;
    snug_slice key; /* 24 hex digits: the end of every slug it ever had */
    snug_slice ns, title, description, theme;
    bool       is_private;
    int64_t    position, created_ms, updated_ms;
} store_collection;
enum { STORE_ITEM_REPO, STORE_ITEM_COLLECTION, STORE_ITEM_PAPER };
typedef struct store_item {
    int64_t    id, collection_id;
    snug_slice key; /* 24 hex digits */
    int        kind;
    snug_slice target; /* row of a repository, key of a collection, id of a paper */
    snug_slice note;
    int64_t    position;
} store_item;
enum { STORE_ITEMS_MAX = 1000, STORE_PICK_MAX = 8 };
snug_status store_add_collection(db_txn *tx, const store_collection *c, int64_t *id,
                                 snug_err *err) SNUG_MUST_USE;
snug_status store_find_collection(db_txn *tx, snug_arena *a, snug_slice key, store_collection *out,
                                  bool *found, snug_err *err) SNUG_MUST_USE;
/* By owner and title, as they are written. */
snug_status store_same_collection(db_txn *tx, snug_arena *a, snug_slice ns, snug_slice title,
                                  store_collection *out, bool *found, snug_err *err) SNUG_MUST_USE;
snug_status store_set_collection(db_txn *tx, const store_collection *c,
                                 snug_err *err) SNUG_MUST_USE;
snug_status store_drop_collection(db_txn *tx, const store_collection *c,
                                  snug_err *err) SNUG_MUST_USE;
typedef struct store_collection_query {
    store_reader who;
    snug_slice   owners[STORE_PICK_MAX], targets[STORE_PICK_MAX]; /* any of them; empty: all */
    size_t       owner_count, target_count;
    snug_slice   text; /* part of the title */
    bool         has_after;
    int64_t      after_ms, after_id;
    size_t       limit;
} store_collection_query;
/* Latest change first. */
snug_status store_list_collections(db_txn *tx, snug_arena *a, const store_collection_query *q,
                                   store_collection **out, size_t *count,
                                   snug_err *err) SNUG_MUST_USE;
/* Goes to the end. SNUG_ECONFLICT when it is there already. */
snug_status store_add_item(db_txn *tx, store_item *i, snug_err *err) SNUG_MUST_USE;
snug_status store_set_item(db_txn *tx, const store_item *i, snug_err *err) SNUG_MUST_USE;
snug_status store_drop_item(db_txn *tx, int64_t id, snug_err *err) SNUG_MUST_USE;
snug_status store_list_items(db_txn *tx, snug_arena *a, int64_t collection, store_item **out,
                             size_t *count, snug_err *err) SNUG_MUST_USE;

#endif
