/* SPDX-License-Identifier: Apache-2.0 */
/* hub/hub_int.h - shared inside hub/ only.
 *
 * Nothing here holds a mutex across a call out of its own file, so the ranks of the mutexes below
 * only matter to each other: none is taken under another. */
#ifndef SNUG_HUB_INT_H
#define SNUG_HUB_INT_H

#include <errno.h>
#include <stdatomic.h>

#include "hub/hub.h"
#include "store/store.h"

enum {
    HUB_DRAFT_OPS_MAX = 50000,
    HUB_DRAFT_SPILL = 1 << 20,       /* a content above this goes to disk */
    HUB_DRAFT_MEMORY_MAX = 16 << 20, /* ... and all contents once they hold this much */
    HUB_MESSAGE_MAX = 64 << 10,      /* bytes of a commit message */
    HUB_CARD_MAX = 1 << 20,          /* bytes of front matter, and of the card as JSON */
    HUB_README_MAX = 4 << 20,        /* longer ones have no card */
    HUB_BODY_MAX = 32 << 10,         /* bytes of a card's text that are searched */
    HUB_TAGS_MAX = 512,              /* per repository */
    HUB_TAG_MAX = 200,               /* bytes of one tag */
    HUB_PASSWORD_MIN = 8,
    HUB_PASSWORD_MAX = 1024,
    HUB_TOKENS_PER_USER_MAX = 200,
    HUB_LIST_MAX = 1000,
    HUB_RANK_CACHE = 41,
    HUB_RANK_TOKENS = 42,
    HUB_RANK_LOCKS = 43,
    HUB_RANK_STATS = 44,
    HUB_RANK_ARGON = 45,
    HUB_RANK_FLUSH = 46,
    HUB_RANK_XORBS = 47,
    HUB_RANK_VISITS = 48
};
#define HUB_DRAFT_BYTES_MAX (UINT64_C(2) << 30) /* regular contents of one commit */

/* Places where the torture test kills or fails a writer. */
#define HUB_FAULT(name, err, label_status)                                                         \
    do {                                                                                           \
        if (SNUG_FAULT(name)) {                                                                    \
            (label_status) = snug_fail_sys((err), errno, "%s", (name));                            \
            goto done;                                                                             \
        }                                                                                          \
    } while (0)

typedef struct hub_cache   hub_cache;
typedef struct hub_tokens  hub_tokens;
typedef struct hub_locks   hub_locks;
typedef struct hub_stats   hub_stats;
typedef struct hub_flusher hub_flusher;
typedef struct hub_argon   hub_argon;
typedef struct hub_xorbs   hub_xorbs;
typedef struct hub_visits  hub_visits;

struct hub {
    char         *data_dir, *git_dir, *draft_dir;
    uint64_t      raw_file_max, lfs_file_max;
    uint64_t      chunk_min; /* 0: objects stay as they came */
    bool          read_only;
    int           lock_fd; /* of <data>/lock */
    db           *db;
    blob_store   *blobs;
    vcs          *vcs;
    unsigned char secret[32]; /* signs capabilities */

    _Atomic uint64_t epoch;
    hub_cache       *cache;
    hub_tokens      *tokens;
    hub_locks       *locks;
    hub_stats       *stats;
    hub_argon       *argon;
    hub_xorbs       *xorbs;
    hub_visits      *visits;
    hub_flusher     *flusher;

    void (*wake_jobs)(void *arg); /* NULL: nobody runs them here */
    void *wake_arg;
    char  public_url[512]; /* what addresses in letters begin with */
};

struct hub_repo {
    hub          *h;
    hub_repo_info info;
    hub_role      role; /* what was granted when it was opened */
    vcs_repo     *git;
};

/* ---- permission (repos.c) ---- */
bool hub_can_read(const hub_actor *who, const hub_repo_info *repo);
bool hub_is_anonymous(const hub_actor *who);
/* How far `who` sees, for the queries of store/: 0 public, 1 internal, 2 all. */
int        hub_sees(const hub_actor *who);
snug_slice hub_own_ns(const hub_actor *who);
/* The one answer for absent and forbidden. */
snug_status hub_fail_absent(const hub_actor *who, snug_err *err);
/* SNUG_EFORBIDDEN when this server or this token cannot write at all; SNUG_EUNAUTH for anonymous.
 */
snug_status hub_need_writer(const hub *h, const hub_actor *who, snug_err *err) SNUG_MUST_USE;
/* Finds the repository and checks `need`. */
snug_status hub_find_repo(hub *h, const hub_actor *who, const hub_repo_id *id, hub_role need,
                          snug_arena *a, hub_repo_info *out, snug_err *err) SNUG_MUST_USE;
/* May `who` make or receive repositories under this namespace? Corrects its spelling to the
 * owner's. */
snug_status hub_claim_ns(hub *h, const hub_actor *who, hub_repo_id *id,
                         snug_err *err) SNUG_MUST_USE;
void        hub_info_of_row(const store_repo *row, hub_repo_info *out);
/* The row by number; *found false unless it is live. */
snug_status hub_load_row(hub *h, int64_t row, snug_arena *a, hub_repo_info *out, bool *found,
                         snug_err *err) SNUG_MUST_USE;
snug_slice  hub_key_of(snug_arena *a, const hub_repo_id *id);
/* "alice/x" for messages; `out` holds 2 * HUB_NAME_MAX + 2. */
const char *hub_id_text(const hub_repo_id *id, char out[2 * HUB_NAME_MAX + 2]);
bool        hub_name_reserved(snug_slice name);
bool        hub_repo_name_reserved(snug_slice name);

/* ---- cache of repository rows (cache.c) ---- */
hub_cache *hub_cache_new(void);
void       hub_cache_free(hub_cache *c);
bool       hub_cache_get(hub *h, const hub_repo_id *id, snug_arena *a, hub_repo_info *out);
/* `seen` is hub_epoch as it was before the row was read. */
void hub_cache_put(hub *h, const hub_repo_info *info, uint64_t seen);
/* After a committed change of this repository (or, with NULL, of all). */
void hub_touch(hub *h, const hub_repo_id *id);

/* ---- write locks of repositories (locks.c): held over I/O, so not mutexes ---- */
hub_locks  *hub_locks_new(void);
void        hub_locks_free(hub_locks *l);
snug_status hub_lock_repo(hub *h, int64_t row,
                          snug_err *err) SNUG_MUST_USE; /* SNUG_EBUSY after a while */
void        hub_unlock_repo(hub *h, int64_t row);

/* ---- accounts and tokens ---- */
hub_argon  *hub_argon_new(void);
void        hub_argon_free(hub_argon *g);
hub_tokens *hub_tokens_new(void);
void        hub_tokens_free(hub_tokens *t);
void        hub_tokens_forget(hub *h); /* after any change of users or tokens */
void        hub_tokens_flush(hub *h);  /* writes last-used times */

/* ---- statistics (stats.c, counting.c) ---- */
hub_visits *hub_visits_new(void);
void        hub_visits_free(hub_visits *v);
hub_stats  *hub_stats_new(void);
void        hub_stats_free(hub_stats *s);
void        hub_stats_flush(hub *h);
/* The row is behind its refs: the flusher will reconcile it soon. */
void hub_mark_stale(hub *h, int64_t row);
void hub_start_flusher(hub *h);
void hub_stop_flusher(hub *h);

/* ---- content of a repository's row (content.c) ---- */
typedef struct hub_content {
    snug_slice  tags_json, card_json, pipeline_tag, library_name, sdk;
    snug_slice *keys; /* for filters */
    size_t      key_count;
    snug_slice  words, body; /* for searches: title and tags; the card's text. Valid UTF-8. */
    int64_t     params;      /* of a model; 0: not known */
} hub_content;
/* Reads README.md of a commit; never fails for what is written in it. */
void hub_read_content(hub *h, vcs_repo *git, const vcs_oid *commit, const hub_repo_info *repo,
                      snug_arena *a, hub_content *out);
/* What the files say where the card is silent. */
enum { HUB_FORMATS_MAX = 8 };
typedef struct hub_found {
    snug_slice  pipeline_tag, library_name;
    const char *formats[HUB_FORMATS_MAX]; /* tags such as "gguf" */
    size_t      format_count;
} hub_found;
/* Tags, card and the rest from the text of a README.md (card.c). */
void hub_card_content(snug_slice readme, hub_type type, snug_slice sdk, snug_arena *a,
                      const hub_found *files, hub_content *out);
/* Brings the row to what the refs say. The caller holds the repository's lock. */
snug_status hub_refresh_row_locked(hub *h, int64_t row, vcs_repo *git, int64_t now_ms,
                                   snug_err *err) SNUG_MUST_USE;

/* ---- licences (license.c) ---- */
bool hub_license_known(snug_slice id);
bool hub_license_is_family(snug_slice id);

/* ---- first commit (template.c) ---- */
void        hub_default_attributes(hub_type type, snug_buf *out);
snug_status hub_put_template(vcs_repo *git, vcs_draft *d, const hub_new_repo *want,
                             snug_err *err) SNUG_MUST_USE;
/* Writes a small file into a draft. */
snug_status hub_put_file(vcs_repo *git, vcs_draft *d, snug_slice path, snug_slice text,
                         snug_err *err) SNUG_MUST_USE;

/* ---- LFS (lfs.c) ---- */
/* Makes the object readable through this repository if `who` may read it through any.
 * *ok false: it may not, or there is no such object. */
snug_status hub_borrow_lfs(hub *h, const hub_actor *who, int64_t row, const blob_id *id,
                           uint64_t *size, bool *ok, snug_err *err) SNUG_MUST_USE;

/* ---- holds and marks (hold.c) ----
 * What an upload or a commit relies on is not collected while its hold lasts, when it takes the
 * marks away from what it uses after the hold began. */
typedef struct hub_hold {
    int fd;
} hub_hold; /* SNUG_AUTO(hub_hold) x = {-1}; */
snug_status hub_hold_begin(hub *h, hub_hold *out, snug_err *err) SNUG_MUST_USE;
void        hub_hold_deinit(hub_hold *hold);
/* One collector at a time; *fd ends it when closed. SNUG_EBUSY. */
snug_status hub_collector_begin(hub *h, int *fd, snug_err *err) SNUG_MUST_USE;
/* Waits for all holds that began before. SNUG_EBUSY after wait_ms. */
snug_status hub_collector_turn(int fd, unsigned wait_ms, snug_err *err) SNUG_MUST_USE;
/* The collector's: waits until no hold is left, and lets none begin until *pause is deinited.
 * SNUG_EBUSY after wait_ms; others wait a second before they are told so. Be quick. */
snug_status hub_pause_begin(hub *h, unsigned wait_ms, hub_hold *pause, snug_err *err) SNUG_MUST_USE;
snug_status hub_unmark(hub *h, store_mark kind, snug_slice name, snug_err *err) SNUG_MUST_USE;
snug_status hub_keep_xorb(hub *h, const xet_hash *name, snug_err *err) SNUG_MUST_USE;
/* blob_put_commit for a blob whose row is about to be written, under a hold. */
snug_status hub_name_blob(hub *h, blob_writer *w_owned, const blob_id *expect, uint64_t size,
                          blob_id *out, snug_err *err) SNUG_MUST_USE;

/* ---- sets of 32-byte names (set.c) ---- */
typedef struct hub_set hub_set;
hub_set               *hub_set_new(void);
void                   hub_set_free(hub_set *s);
size_t                 hub_set_count(const hub_set *s);
uint32_t hub_set_add(hub_set *s, const void *name32, bool *fresh); /* its number, from 0 */
bool     hub_set_has(const hub_set *s, const void *name32, uint32_t *number); /* may be NULL */

/* ---- Xet ---- */
/* The row of a xorb whose bytes are stored and sound; one whose bytes were lost is mended. */
snug_status hub_put_xorb_row(hub *h, db_txn *tx, const store_xorb *row, int64_t *id,
                             snug_err *err) SNUG_MUST_USE;
/* By its row and its bytes, not by what is remembered. */
snug_status hub_xorb_is_stored(hub *h, const xet_hash *name, bool *yes,
                               snug_err *err) SNUG_MUST_USE;
/* Removes the whole copy of an object that is packed. *gone false: not now. */
snug_status hub_drop_whole(hub *h, const blob_id *oid, bool *gone, snug_err *err) SNUG_MUST_USE;
/* Adds the job that packs it, if it is for that. */
snug_status hub_queue_chunking(hub *h, db_txn *tx, snug_slice oid, uint64_t size, bool *added,
                               snug_err *err) SNUG_MUST_USE;
/* What a xorb holds and where its records lie; counted, and never changed. */
typedef struct hub_xorb {
    atomic_uint refs;
    xet_xorb    x; /* chunks: heap */
    blob_id     blob;
} hub_xorb;
hub_xorbs *hub_xorbs_new(void);
void       hub_xorbs_free(hub_xorbs *c);
/* From memory or the database; whether the caller may know of it is not asked here. */
snug_status hub_xorb_get(hub *h, const xet_hash *name, hub_xorb **out, snug_err *err) SNUG_MUST_USE;
void        hub_xorb_unref(hub_xorb *x); /* NULL is fine */
void        hub_xorb_forget(hub *h, const xet_hash *name);
/* The byte columns of xorbs and files (xet_index.c). */
snug_slice   hub_pack_chunks(snug_arena *a, const xet_xorb *x);
snug_slice   hub_pack_terms(snug_arena *a, const xet_term *terms, size_t n);
snug_status  hub_unpack_terms(snug_arena *a, snug_slice packed, xet_term **out, size_t *n,
                              snug_err *err) SNUG_MUST_USE;
store_reader hub_reader_of(const hub_actor *who);
/* In our own index, for files that are cut here: every 16th chunk. */
static inline bool hub_chunk_is_indexed(const xet_hash *h) { return xet_hash_mod(h, 16) == 0; }
int64_t            hub_chunk_key(const xet_hash *h); /* the 64 bits store_add_lookup takes */

/* ---- pull requests (pulls.c) ---- */
/* "refs/pr/7" -> 7; 0 when it is no such name. */
int64_t hub_pull_number(snug_slice rev);
/* May `who` put commits on this pull request? Its author and writers may, while it is open. */
snug_status hub_check_pull_push(hub *h, const hub_actor *who, const hub_repo_info *info,
                                int64_t num, snug_err *err) SNUG_MUST_USE;
/* A pull request about to be: its number, taken by a hidden row. hub_publish_pull shows it, or
 * hub_forget_pull ends it with its ref. The caller holds the repository's lock. */
typedef struct hub_new_pull {
    int64_t    row, num;
    snug_slice ref; /* "refs/pr/7" */
} hub_new_pull;
snug_status hub_reserve_pull(hub *h, const hub_actor *who, const hub_repo_info *info,
                             snug_slice title, snug_slice base, const vcs_oid *tip, snug_arena *a,
                             hub_new_pull *out, snug_err *err) SNUG_MUST_USE;
snug_status hub_publish_pull(hub *h, const hub_actor *who, const hub_repo_info *info, vcs_repo *git,
                             const hub_new_pull *p, snug_slice description, bool draft,
                             snug_err *err) SNUG_MUST_USE;
void        hub_forget_pull(hub *h, vcs_repo *git, const hub_new_pull *p);
/* Brings the row of a pull request to what its ref says: an event for each new commit. */
snug_status hub_sync_pull_locked(hub *h, const hub_repo_info *info, vcs_repo *git, int64_t num,
                                 snug_err *err) SNUG_MUST_USE;
/* Ends what a crash left of pull requests half made or half merged. */
snug_status hub_heal_pulls(hub *h, snug_err *err) SNUG_MUST_USE;

/* ---- discussions (discussions.c) ---- */
snug_status hub_check_title(snug_slice title, snug_slice *trimmed, snug_err *err) SNUG_MUST_USE;
snug_status hub_check_comment(snug_slice text, snug_err *err) SNUG_MUST_USE;
/* May this caller speak here at all? */
snug_status hub_need_voice(const hub *h, const hub_actor *who, snug_err *err) SNUG_MUST_USE;
/* Adds an event; `text` is what a comment says. */
snug_status hub_put_event(db_txn *tx, const hub_actor *who, int64_t discussion,
                          store_event_kind kind, snug_slice first, snug_slice second,
                          snug_slice text, store_event *out, snug_err *err) SNUG_MUST_USE;
snug_status hub_load_talk(hub *h, int64_t repo, int64_t num, snug_arena *a, store_discussion *out,
                          snug_err *err) SNUG_MUST_USE;
void        hub_random_id(char out[25]); /* like an object id of the platform */

/* ---- news (news.c) ---- */
typedef struct hub_ref_move {
    snug_slice     ref;
    const vcs_oid *old, *now; /* NULL: there was none, there is none any more */
} hub_ref_move;
typedef struct hub_news {
    const char             *action, *scope; /* "update", "repo.content" */
    const hub_repo_info    *repo;
    const vcs_oid          *head; /* of main now; NULL: what `repo` says */
    const store_discussion *talk;
    const store_event      *comment;
    snug_slice              text; /* of the comment */
    const hub_ref_move     *moves;
    size_t                  move_count;
    snug_slice              config; /* JSON object of what changed */
    const hub_repo_id      *moved_to;
} hub_news;
/* Writes to every webhook that watches and whose owner may know, in this transaction. */
snug_status hub_tell(hub *h, db_txn *tx, const hub_news *n, snug_err *err) SNUG_MUST_USE;
/* For refs whose movement changes no row: a transaction of its own; failures are logged. */
void hub_tell_refs(hub *h, const hub_repo_info *info, const hub_ref_move *moves, size_t n);
void hub_tell_ref(hub *h, const hub_repo_info *info, snug_slice ref, const vcs_oid *old,
                  const vcs_oid *now);
/* A letter and the job that sends it. */
snug_status hub_add_letter(db_txn *tx, const store_hook *w, snug_slice event, snug_slice body,
                           int64_t *id, snug_err *err) SNUG_MUST_USE;

/* ---- people (people.c) ---- */
/* The text behind hub_actor.orgs. */
snug_status hub_load_orgs(db_txn *tx, snug_arena *a, int64_t user, snug_slice *out,
                          snug_err *err) SNUG_MUST_USE;

/* ---- wholes (upkeep.c) ---- */
/* The files of main of an opened repository into a draft for the row `to`, with the right to read
 * their LFS objects through it. */
snug_status hub_put_copy(hub *h, const hub_actor *who, vcs_repo *git, vcs_draft *d, hub_repo *from,
                         int64_t to, snug_err *err) SNUG_MUST_USE;

/* ---- git's garbage (tidy.c) ---- */
/* Commits are reached by nothing now; failing to note it is only logged. */
void hub_left_behind(hub *h, int64_t row);

/* ---- healing (heal.c) ---- */
snug_status hub_heal(hub *h, snug_err *err) SNUG_MUST_USE;
/* Ends a row whose deletion was decided; its id is free already. */
snug_status hub_finish_delete(hub *h, int64_t row, snug_slice git_key, snug_err *err) SNUG_MUST_USE;

void hub_who_of(const hub_actor *who, snug_arena *a, vcs_who *out);
void hub_random_key(char out[33]);

#endif
