/* SPDX-License-Identifier: Apache-2.0 */
/* store/store_int.h - shared inside store/ only. */
#ifndef SNUG_STORE_INT_H
#define SNUG_STORE_INT_H

#include "store/store.h"

/* The next number of a counter: ids are never reused, so a stale id can never mean another row. */
snug_status store_next_id(db_txn *tx, const char *counter, int64_t *out,
                          snug_err *err) SNUG_MUST_USE;

/* Steps of the schema (schema_community.c, jobs.c). */
extern const char store_schema_community[], store_schema_groups[], store_schema_jobs[];

/* All rows of a query, at most `max`, each copied by `read` into an array of items of `size`
 * bytes. */
typedef void store_row_reader(snug_arena *a, const db_val *cols, void *item);
snug_status  store_rows(db_txn *tx, snug_arena *a, db_query q, const db_val *args, size_t n,
                        size_t max, size_t size, store_row_reader *read, void **out, size_t *count,
                        snug_err *err) SNUG_MUST_USE;
/* The first column of the first row as a number; `dflt` without a row. */
snug_status store_number(db_txn *tx, db_query q, const db_val *args, size_t n, int64_t dflt,
                         int64_t *out, snug_err *err) SNUG_MUST_USE;
/* Ends everything community keeps of a repository. */
snug_status store_drop_community(db_txn *tx, int64_t repo, snug_err *err) SNUG_MUST_USE;

static inline db_val store_bool(bool b) { return db_int(b ? 1 : 0); }

/* Repositories `r` whose owner is $key, a user's lower-case name, or an organization of his. */
#define STORE_OWN(key)                                                                             \
    "(r.ns_key = " key " OR r.ns_key IN (SELECT o.name_key FROM orgs o JOIN org_members m ON "     \
    "m.org_id = o.id JOIN users u ON u.id = m.user_id WHERE u.name_key = " key "))"
/* The same of any column that holds a lower-case namespace. */
#define STORE_OWN_NS(column, key)                                                                  \
    "(" column " = " key " OR " column " IN (SELECT o.name_key FROM orgs o JOIN org_members m ON " \
    "m.org_id = o.id JOIN users u ON u.id = m.user_id WHERE u.name_key = " key "))"
/* Repositories `r` a reader may know of: $sees as in store_list, $key his name. */
#define STORE_SEEN(sees, key)                                                                      \
    "(r.visibility = 0 OR " sees " >= 2 OR (" sees                                                 \
    " >= 1 AND r.visibility = 2) OR " STORE_OWN(key) ")"

/* ... and whose files he may read: gated ones when he was let in. */
#define STORE_READABLE(sees, key)                                                                  \
    "(((r.visibility = 0 OR (" sees " >= 1 AND r.visibility = 2)) AND (r.gated = 0 OR EXISTS "     \
    "(SELECT 1 FROM access_requests q JOIN users v ON v.id = q.user_id WHERE q.repo_id = r.id "    \
    "AND q.status = 1 AND v.name_key = " key "))) OR " sees " >= 2 OR " STORE_OWN(key) ")"

/* Columns of a repository row `r`, in the order store_read_repo takes them. */
#define STORE_REPO_COLS                                                                            \
    "r.id, r.type, r.ns, r.name, r.oid24, r.git_key, r.visibility, r.gated, r.disabled, "          \
    "r.state, r.creator_id, r.sdk, r.head, r.created_ms, r.modified_ms, r.downloads, "             \
    "r.downloads_all, r.likes, r.trending, r.used_storage, r.tags, r.card, r.pipeline_tag, "       \
    "r.library_name, r.params"

/* Copies a row into the arena. */
void store_read_repo(snug_arena *a, const db_val *c, store_repo *out);
/* One row of a query over STORE_REPO_COLS. */
snug_status store_one_repo(db_txn *tx, snug_arena *a, db_query q, const db_val *args, size_t n,
                           store_repo *out, bool *found, snug_err *err) SNUG_MUST_USE;
/* All rows of a query over STORE_REPO_COLS; room for `max`. */
snug_status store_many_repos(db_txn *tx, snug_arena *a, db_query q, const db_val *args, size_t n,
                             size_t max, store_repo **out, size_t *count,
                             snug_err *err) SNUG_MUST_USE;

/* Steps of the schema that live beside their queries. */
extern const char store_schema_locks[];   /* locks.c */
extern const char store_schema_layouts[]; /* xet.c */
extern const char store_schema_care[];    /* care.c */
extern const char store_schema_search[];  /* search.c */
extern const char store_schema_ssh[];     /* ssh_keys.c */
extern const char store_schema_talks[];   /* talk_pages.c */

/* ---- pages of discussions (talk_pages.c) ---- */
/* A discussion as it is, or was, adds to the counts by which pages are found. */
snug_status store_count_talk(db_txn *tx, const store_discussion *d, int by,
                             snug_err *err) SNUG_MUST_USE;
/* Those with a number from..below-1 that the query asks for, newest first. */
snug_status store_list_talk_range(db_txn *tx, snug_arena *a, const store_talk_query *q,
                                  int64_t from, int64_t below, store_discussion **out,
                                  size_t *count, snug_err *err) SNUG_MUST_USE;

/* ---- the index (search.c) ---- */
/* Takes the document of a repository out, before its row or its tags change ... */
snug_status store_unindex(db_txn *tx, int64_t id, snug_err *err) SNUG_MUST_USE;
/* ... and puts it back. text NULL: what it had. */
snug_status store_index(db_txn *tx, int64_t id, const store_text_of *text,
                        snug_err *err) SNUG_MUST_USE;
snug_status store_drop_doc(db_txn *tx, int64_t id, snug_err *err) SNUG_MUST_USE;
/* A query as the index understands it, and as one row can be asked without the index. */
enum { STORE_WORDS_MAX = 32, STORE_GROUPS_MAX = STORE_FILTERS_MAX + 8 };
typedef struct store_match {
    snug_slice text, words_text;         /* MATCH: of all, of the words alone */
    snug_slice groups[STORE_GROUPS_MAX]; /* facts: of each group one is enough */
    size_t     group_count;
    snug_slice words[STORE_WORDS_MAX];
    size_t     word_count;
    bool       any_word, with_text;
    bool       asks; /* for more than what the reader may see */
} store_match;
snug_status store_match_of(db_txn *tx, snug_arena *a, const store_list *q, store_match *m,
                           snug_err *err) SNUG_MUST_USE;
bool        store_match_facts(const store_match *m, snug_slice facts);
/* As far as the id tells. PERHAPS: the index knows, asked for `rest`, the words not found in it. */
typedef enum store_answer { STORE_NO, STORE_YES, STORE_PERHAPS } store_answer;
store_answer store_match_id(const store_match *m, snug_slice id_key, snug_buf *rest);

#endif
