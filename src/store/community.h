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
/* Newest first. *total: how many there are without skip and limit. Pages are counted because the
 * protocol counts them; one repository's discussions are few. */
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
    snug_slice       key; /* 24 hex digits, lower case */
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

#endif
