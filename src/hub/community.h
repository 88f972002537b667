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

#endif
