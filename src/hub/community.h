/* SPDX-License-Identifier: Apache-2.0 */
/* hub/community.h - discussions and pull requests. Part of hub.h; include that one.
 *
 * Speaking needs an account, a token that may write, and the right to read the repository. What
 * speakers may change later is said at each function. */
#ifndef SNUG_HUB_COMMUNITY_H
#define SNUG_HUB_COMMUNITY_H

#include "hub/hub.h"

/* ---- discussions and pull requests ---- */
typedef enum hub_talk_status {
    HUB_TALK_NONE,
    HUB_TALK_OPEN,
    HUB_TALK_CLOSED,
    HUB_TALK_MERGED,
    HUB_TALK_DRAFT
} hub_talk_status;
const char *hub_talk_status_name(hub_talk_status s); /* "open" */

typedef struct hub_talk {
    int64_t         row, num;
    bool            is_pull;
    hub_talk_status status;
    snug_slice      title, author;
    int64_t         created_ms;
    snug_slice      base;              /* "refs/heads/main" */
    snug_slice      fork, head, merge; /* commits in hex, or empty */
} hub_talk;

typedef struct hub_talk_text {
    snug_slice text, author;
    int64_t    written_ms;
} hub_talk_text;

typedef enum hub_event_kind {
    HUB_EVENT_COMMENT,
    HUB_EVENT_STATUS, /* first: the new status */
    HUB_EVENT_COMMIT, /* first: its subject, second: its id */
    HUB_EVENT_TITLE   /* first: from, second: to */
} hub_event_kind;

typedef struct hub_event {
    snug_slice     key; /* 24 hex digits */
    hub_event_kind kind;
    snug_slice     author, first, second;
    int64_t        created_ms;
    bool           hidden; /* a comment nobody can read any more */
    hub_talk_text *texts;  /* of a comment, oldest first; none when hidden */
    size_t         text_count;
} hub_event;

typedef struct hub_talk_query {
    int        kind;   /* -1 both, 0 discussions, 1 pull requests */
    int        status; /* 0 all, 1 open and draft, 2 closed and merged */
    snug_slice author;
    uint64_t   skip, limit;
} hub_talk_query;

/* Of an opened repository, newest first. *total without skip and limit. */
snug_status hub_list_talks(hub *h, hub_repo *r, const hub_talk_query *q, snug_arena *a,
                           hub_talk **out, size_t *count, uint64_t *total,
                           snug_err *err) SNUG_MUST_USE;
/* SNUG_ENOTFOUND without a code: the repository is there. */
snug_status hub_find_talk(hub *h, hub_repo *r, int64_t num, snug_arena *a, hub_talk *out,
                          snug_err *err) SNUG_MUST_USE;
snug_status hub_list_talk_events(hub *h, const hub_talk *t, snug_arena *a, hub_event **out,
                                 size_t *count, snug_err *err) SNUG_MUST_USE;

/* Opens a discussion, or a draft pull request with refs/pr/<num> at the tip of main. */
snug_status hub_open_talk(hub *h, const hub_actor *who, hub_repo *r, snug_slice title,
                          snug_slice description, bool pull, int64_t *num,
                          snug_err *err) SNUG_MUST_USE;
snug_status hub_add_comment(hub *h, const hub_actor *who, hub_repo *r, int64_t num, snug_slice text,
                            snug_arena *a, hub_event *out, snug_err *err) SNUG_MUST_USE;
/* Only its author. The old texts stay readable. */
snug_status hub_edit_comment(hub *h, const hub_actor *who, hub_repo *r, int64_t num, snug_slice key,
                             snug_slice text, snug_arena *a, hub_event *out,
                             snug_err *err) SNUG_MUST_USE;
/* Its author and writers; for good. */
snug_status hub_hide_comment(hub *h, const hub_actor *who, hub_repo *r, int64_t num, snug_slice key,
                             snug_arena *a, hub_event *out, snug_err *err) SNUG_MUST_USE;
/* The author of the discussion and writers. */
snug_status hub_rename_talk(hub *h, const hub_actor *who, hub_repo *r, int64_t num,
                            snug_slice title, snug_arena *a, hub_event *out,
                            snug_err *err) SNUG_MUST_USE;
/* HUB_TALK_OPEN or HUB_TALK_CLOSED; a merged one stays merged. A draft opens, never the way back.
 * `comment` may be empty. */
snug_status hub_set_talk_status(hub *h, const hub_actor *who, hub_repo *r, int64_t num,
                                hub_talk_status status, snug_slice comment, snug_arena *a,
                                hub_event *out, snug_err *err) SNUG_MUST_USE;
/* Writers. Moves the branch forward or to a merge commit; SNUG_ECONFLICT names the files. */
snug_status hub_merge_pull(hub *h, const hub_actor *who, hub_repo *r, int64_t num,
                           snug_slice comment, vcs_oid *merged, snug_err *err) SNUG_MUST_USE;
/* Files both sides changed in ways that do not go together. */
snug_status hub_pull_conflicts(hub_repo *r, const hub_talk *t, snug_arena *a, snug_slice **paths,
                               size_t *count, snug_err *err) SNUG_MUST_USE;
/* What the pull request changes, as unified text; cut at the end of a line when `out` is full. */
snug_status hub_pull_diff(hub_repo *r, const hub_talk *t, snug_buf *out, bool *cut,
                          snug_err *err) SNUG_MUST_USE;

/* As hub_apply_draft, but the branch stays where it is and the commit begins a pull request to it.
 * Needs no right to write. A parent in the draft is what the commit goes on top of. */
snug_status hub_propose_draft(hub *h, const hub_actor *who, const hub_repo_id *id, snug_slice rev,
                              hub_draft *d, int64_t *num, hub_commit_result *out,
                              snug_err *err) SNUG_MUST_USE;
/* May `who` propose or add to changes at `rev` of a repository it reads: refs/pr/N, or (proposes)
 * a new pull request? Without either, may it write? */
snug_status hub_check_upload(hub *h, const hub_actor *who, const hub_repo_info *info,
                             snug_slice rev, bool proposes, snug_err *err) SNUG_MUST_USE;

/* ---- organizations ---- */
typedef struct hub_org {
    int64_t    id;
    snug_slice name, fullname, details;
    int64_t    created_ms;
    hub_role   role; /* of the user asked for */
} hub_org;
/* For the operator: no actor. SNUG_ECONFLICT when a user, an organization or repositories have the
 * name. */
snug_status hub_add_org(hub *h, snug_slice name, snug_slice fullname, hub_org *out,
                        snug_err *err) SNUG_MUST_USE;
snug_status hub_find_org(hub *h, snug_slice name, snug_arena *a, hub_org *out,
                         snug_err *err) SNUG_MUST_USE;
/* READ sees the private repositories of the organization, WRITE changes and makes them, ADMIN also
 * its settings. NONE ends the membership. */
snug_status hub_set_member(hub *h, snug_slice org, snug_slice user, hub_role role,
                           snug_err *err) SNUG_MUST_USE;
/* Of one user, or (0) all; by name. */
snug_status hub_list_orgs(hub *h, int64_t user, snug_arena *a, hub_org **out, size_t *count,
                          snug_err *err) SNUG_MUST_USE;
/* What an actor is in a namespace: ADMIN in his own. */
hub_role hub_role_in(const hub_actor *who, snug_slice ns);

/* ---- likes, follows, overviews ---- */
/* Twice is once. */
snug_status hub_like(hub *h, const hub_actor *who, const hub_repo_info *repo, bool on,
                     snug_err *err) SNUG_MUST_USE;
typedef struct hub_like_item {
    int64_t    key, created_ms;
    hub_type   type;
    snug_slice ns, name;
} hub_like_item;
/* What a user likes, as far as `who` may see it; newest first, behind the key `after` (0: from the
 * start). limit: at most 1000. */
snug_status hub_list_likes(hub *h, const hub_actor *who, int64_t user, int64_t after, size_t limit,
                           snug_arena *a, hub_like_item **out, size_t *count,
                           snug_err *err) SNUG_MUST_USE;
typedef enum hub_people {
    HUB_LIKERS,    /* of a repository's row */
    HUB_FOLLOWERS, /* of a user */
    HUB_FOLLOWING, /* users a user follows */
    HUB_ORG_FOLLOWERS,
    HUB_ORG_MEMBERS
} hub_people;
typedef struct hub_person {
    int64_t    key;
    snug_slice name, fullname;
    hub_role   role; /* of members */
} hub_person;
snug_status hub_list_people(hub *h, hub_people kind, int64_t of, int64_t after, size_t limit,
                            snug_arena *a, hub_person **out, size_t *count,
                            snug_err *err) SNUG_MUST_USE;
snug_status hub_follow(hub *h, const hub_actor *who, bool org, int64_t target, bool on,
                       snug_err *err) SNUG_MUST_USE;
typedef struct hub_counts {
    uint64_t models, datasets, spaces; /* those `who` may see */
    uint64_t likes, following, followers, members, discussions;
    bool     is_following;
} hub_counts;
snug_status hub_count_around(hub *h, const hub_actor *who, bool org, int64_t id, snug_slice name,
                             hub_counts *out, snug_err *err) SNUG_MUST_USE;

/* ---- access to gated repositories ---- */
typedef enum hub_access {
    HUB_ACCESS_PENDING,
    HUB_ACCESS_ACCEPTED,
    HUB_ACCESS_REJECTED,
    HUB_ACCESS_NONE /* never asked */
} hub_access;
typedef struct hub_access_request {
    int64_t    key;
    hub_access status;
    bool       granted;
    snug_slice user, fullname, email, fields, reason; /* fields: a JSON object or empty */
    int64_t    created_ms;
} hub_access_request;

/* Writers. */
snug_status hub_set_gate(hub *h, const hub_actor *who, const hub_repo_id *id, hub_gate gate,
                         snug_err *err) SNUG_MUST_USE;
/* May `who` read the files? Those who could write may, whatever the token. */
snug_status hub_may_pass_gate(hub *h, const hub_actor *who, const hub_repo_info *info, bool *yes,
                              snug_err *err) SNUG_MUST_USE;
/* How the caller's own request stands. */
snug_status hub_find_access(hub *h, const hub_actor *who, const hub_repo_info *info, snug_arena *a,
                            hub_access_request *out, snug_err *err) SNUG_MUST_USE;
/* Asks for oneself; *status is what came of it. SNUG_EINVAL when the repository is not gated. */
snug_status hub_ask_access(hub *h, const hub_actor *who, const hub_repo_info *info,
                           snug_slice fields, hub_access *status, snug_err *err) SNUG_MUST_USE;
/* The rest is for writers. */
snug_status hub_list_access(hub *h, const hub_actor *who, const hub_repo_info *info,
                            hub_access status, int64_t after, size_t limit, snug_arena *a,
                            hub_access_request **out, size_t *count, snug_err *err) SNUG_MUST_USE;
/* Of a user, or (empty) the request of this key. */
snug_status hub_handle_access(hub *h, const hub_actor *who, const hub_repo_info *info,
                              snug_slice user, int64_t key, hub_access status, snug_slice reason,
                              snug_err *err) SNUG_MUST_USE;
snug_status hub_grant_access(hub *h, const hub_actor *who, const hub_repo_info *info,
                             snug_slice user, snug_err *err) SNUG_MUST_USE;

/* ---- repositories as wholes ---- */
/* Leaves one commit with the files as they are; needs HUB_ROLE_WRITE. `rev` is a branch or
 * refs/pr/N. */
snug_status hub_squash_branch(hub *h, const hub_actor *who, hub_repo *r, snug_slice rev,
                              snug_slice message, snug_err *err) SNUG_MUST_USE;
typedef struct hub_lfs_file {
    snug_slice oid, path; /* path: in main; empty when main has none */
    uint64_t   size;
    int64_t    created_ms;
} hub_lfs_file;
/* The large objects of an opened repository, by oid, behind `after`. For writers. */
snug_status hub_list_lfs(hub *h, const hub_actor *who, hub_repo *r, snug_slice after, size_t limit,
                         snug_arena *a, hub_lfs_file **out, size_t *count,
                         snug_err *err) SNUG_MUST_USE;
/* They cannot be read through this repository any more. Unknown ones are passed over. `rewrite`:
 * they also leave all history: every branch, tag and pull request that ever held one moves to
 * commits without it, with new ids. May be cut off anywhere and called again. */
snug_status hub_drop_lfs(hub *h, const hub_actor *who, hub_repo *r, const blob_id *oids, size_t n,
                         bool rewrite, snug_err *err) SNUG_MUST_USE;
/* Puts an object of a repository `who` reads into another he writes to. *ok false: there is no such
 * object for him. */
snug_status hub_share_lfs(hub *h, const hub_actor *who, const hub_repo_id *to, const blob_id *oid,
                          bool *ok, snug_err *err) SNUG_MUST_USE;
/* All repositories of a namespace, for its members; newest first, behind the row `after`. */
snug_status hub_list_owned(hub *h, const hub_actor *who, snug_slice ns, int64_t after, size_t limit,
                           snug_arena *a, hub_repo_info **out, size_t *count,
                           snug_err *err) SNUG_MUST_USE;
typedef struct hub_tag {
    snug_slice tag;
    uint64_t   count;
} hub_tag;
/* Tags of public repositories, the most used first. */
snug_status hub_list_tags(hub *h, hub_type type, snug_arena *a, hub_tag **out, size_t *count,
                          snug_err *err) SNUG_MUST_USE;
bool        hub_task_known(snug_slice id); /* pipeline tags */

/* ---- collections ---- */
typedef enum hub_item_kind { HUB_ITEM_REPO, HUB_ITEM_COLLECTION, HUB_ITEM_PAPER } hub_item_kind;
typedef struct hub_item {
    snug_slice           key, note;
    hub_item_kind        kind;
    snug_slice           target; /* id of a paper, slug of a collection */
    const hub_repo_info *repo;   /* HUB_ITEM_REPO */
    int64_t              position;
} hub_item;
typedef struct hub_collection {
    int64_t    row;
    snug_slice slug; /* "ns/title-in-words-<24 hex>" */
    snug_slice ns, title, description, theme;
    bool       is_private;
    int64_t    position, updated_ms;
    hub_item  *items; /* those the reader may see */
    size_t     item_count;
} hub_collection;
typedef struct hub_collection_query {
    const snug_slice *owners, *items; /* items: "models/ns/name", "papers/id" */
    size_t            owner_count, item_count;
    snug_slice        text, cursor;
    size_t            limit;
} hub_collection_query;
/* What is asked to change; a NULL pointer leaves it. */
typedef struct hub_collection_edit {
    const snug_slice *title, *description, *theme;
    const bool       *is_private;
    const int64_t    *position;
} hub_collection_edit;

/* Latest change first, with the first items of each. *next is empty on the last page. */
snug_status hub_list_collections(hub *h, const hub_actor *who, const hub_collection_query *q,
                                 snug_arena *a, hub_collection **out, size_t *count,
                                 snug_slice *next, snug_err *err) SNUG_MUST_USE;
/* By any slug it ever had. A private one is absent for those outside its namespace. */
snug_status hub_find_collection(hub *h, const hub_actor *who, snug_slice slug, snug_arena *a,
                                hub_collection *out, snug_err *err) SNUG_MUST_USE;
/* SNUG_ECONFLICT when the owner has one of that title; *out is then the one there is. */
snug_status hub_create_collection(hub *h, const hub_actor *who, snug_slice ns, snug_slice title,
                                  snug_slice description, bool is_private, snug_arena *a,
                                  hub_collection *out, snug_err *err) SNUG_MUST_USE;
snug_status hub_edit_collection(hub *h, const hub_actor *who, snug_slice slug,
                                const hub_collection_edit *e, snug_arena *a, hub_collection *out,
                                snug_err *err) SNUG_MUST_USE;
snug_status hub_drop_collection(hub *h, const hub_actor *who, snug_slice slug,
                                snug_err *err) SNUG_MUST_USE;
/* type: "model", "dataset", "space", "paper", "collection". SNUG_ECONFLICT: it is in already. */
snug_status hub_add_item(hub *h, const hub_actor *who, snug_slice slug, snug_slice type,
                         snug_slice id, snug_slice note, snug_arena *a, hub_collection *out,
                         snug_err *err) SNUG_MUST_USE;
/* position_or_null: its place among all items, from 0. */
snug_status hub_edit_item(hub *h, const hub_actor *who, snug_slice slug, snug_slice key,
                          const snug_slice *note_or_null, const int64_t *position_or_null,
                          snug_err *err) SNUG_MUST_USE;
snug_status hub_drop_item(hub *h, const hub_actor *who, snug_slice slug, snug_slice key,
                          snug_err *err) SNUG_MUST_USE;

#endif
