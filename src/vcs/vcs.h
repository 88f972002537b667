/* SPDX-License-Identifier: Apache-2.0 */
/* vcs/vcs.h - bare git repositories through libgit2, LFS pointers, .gitattributes and .gitignore.
 *
 * A vcs_repo handle is used by one thread at a time; a vcs hands them out of a pool. Object ids
 * are SHA-1. All names from outside are checked here before they reach libgit2. */
#ifndef SNUG_VCS_VCS_H
#define SNUG_VCS_VCS_H

#include "base/base.h"

typedef struct vcs      vcs;
typedef struct vcs_repo vcs_repo;
typedef struct vcs_oid {
    snug_sha1 sha1;
} vcs_oid;

bool               vcs_oid_parse(snug_slice hex, vcs_oid *out); /* exactly 40 hex digits */
void               vcs_oid_hex(const vcs_oid *id, char out[41]);
static inline bool vcs_oid_eq(const vcs_oid *a, const vcs_oid *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* Opens the root folder; repositories live at <dir>/<xx>/<key>.git, key is [a-z0-9]{8,64}. */
snug_status vcs_open(const char *dir, vcs **out, snug_err *err) SNUG_MUST_USE;
void        vcs_close(vcs *v);
/* Creates a bare repository with HEAD at refs/heads/main and no commit: built under a temporary
 * name, then renamed. SNUG_ECONFLICT if there is one. */
snug_status vcs_create_repo(vcs *v, snug_slice key, snug_err *err) SNUG_MUST_USE;
snug_status vcs_remove_repo(vcs *v, snug_slice key, snug_err *err) SNUG_MUST_USE;
bool        vcs_repo_exists(vcs *v, snug_slice key);
/* Checks a handle out of the pool; vcs_release puts it back. */
snug_status vcs_acquire(vcs *v, snug_slice key, vcs_repo **out, snug_err *err) SNUG_MUST_USE;
void        vcs_release(vcs_repo *r); /* NULL is fine */
const char *vcs_repo_path(const vcs_repo *r);

/* ---- revisions and refs ---- */
/* Branch, tag, full or short (>= 5 hex) commit, refs/heads/x, refs/tags/x, refs/pr/N,
 * refs/convert/x, HEAD -> commit. SNUG_ENOTFOUND with code RevisionNotFound. Never evaluates
 * git's own expressions (no @{}, ^, ~, :). */
snug_status vcs_resolve_rev(vcs_repo *r, snug_slice rev, vcs_oid *commit,
                            snug_err *err) SNUG_MUST_USE;
/* Full ref name a write to `rev` goes to: "main" -> refs/heads/main, refs/pr/3 -> itself.
 * SNUG_ENOTFOUND RevisionNotFound when it does not exist or is a tag or commit. */
snug_status vcs_resolve_branch(vcs_repo *r, snug_slice rev, snug_arena *a, snug_slice *ref,
                               vcs_oid *tip, snug_err *err) SNUG_MUST_USE;
bool vcs_branch_name_ok(snug_slice name); /* git's rules, and not refs/..., HEAD or a full oid */

typedef struct vcs_ref {
    snug_slice name, ref;
    vcs_oid    target;
} vcs_ref; /* target: the commit */
typedef struct vcs_refs {
    vcs_ref *branches, *tags, *converts, *prs;
    size_t   branch_count, tag_count, convert_count, pr_count;
} vcs_refs;
snug_status vcs_list_refs(vcs_repo *r, snug_arena *a, vcs_refs *out, snug_err *err) SNUG_MUST_USE;

/* Compare-and-swap: moves `ref` from `old` (NULL: must not exist) to `to` (NULL: delete).
 * SNUG_ESTALE when it is not at old any more. Durable on return. */
snug_status vcs_update_ref(vcs_repo *r, snug_slice ref, const vcs_oid *old, const vcs_oid *to,
                           snug_err *err) SNUG_MUST_USE;

typedef struct vcs_who {
    snug_slice name, email;
    int64_t    when_ms;
} vcs_who;
/* Lightweight, or annotated when message is not empty. SNUG_ECONFLICT if it exists. */
snug_status vcs_create_tag(vcs_repo *r, snug_slice name, const vcs_oid *target, snug_slice message,
                           const vcs_who *who, snug_err *err) SNUG_MUST_USE;
snug_status vcs_delete_tag(vcs_repo *r, snug_slice name, snug_err *err) SNUG_MUST_USE;

/* ---- reading ---- */
typedef enum vcs_kind { VCS_FILE, VCS_DIR, VCS_SYMLINK, VCS_SUBMODULE } vcs_kind;
typedef struct vcs_lfs {
    bool        is_lfs;
    snug_sha256 oid;
    uint64_t    size;
    uint32_t    pointer_size;
} vcs_lfs;
typedef struct vcs_entry {
    snug_slice path; /* from the root */
    vcs_kind   kind;
    vcs_oid    oid;
    uint64_t   size; /* content size: of the LFS object if it is one; 0 for folders */
    vcs_lfs    lfs;
} vcs_entry;

typedef struct vcs_commit {
    vcs_oid    id, tree;
    snug_slice title, message; /* first line, and the rest without the blank line */
    snug_slice author, author_email;
    int64_t    when_ms;
    size_t     parent_count;
    vcs_oid    parent; /* first one */
} vcs_commit;
snug_status vcs_read_commit(vcs_repo *r, const vcs_oid *id, snug_arena *a, vcs_commit *out,
                            snug_err *err) SNUG_MUST_USE;
/* As `git rev-list`: all parents, newest first; skips `skip`, at most n. *more: there are more. */
snug_status vcs_log(vcs_repo *r, const vcs_oid *from, size_t skip, size_t n, snug_arena *a,
                    vcs_commit **out, size_t *count, bool *more, snug_err *err) SNUG_MUST_USE;
snug_status vcs_count_commits(vcs_repo *r, const vcs_oid *from, uint64_t *out,
                              snug_err *err) SNUG_MUST_USE;

/* One path of a commit. SNUG_ENOTFOUND EntryNotFound. */
snug_status vcs_find_entry(vcs_repo *r, const vcs_oid *commit, snug_slice path, snug_arena *a,
                           vcs_entry *out, snug_err *err) SNUG_MUST_USE;
/* Entries under `path` ("" is the root) in git tree order, folders included, starting after
 * `after` (empty: from the start), at most n. SNUG_ENOTFOUND EntryNotFound when path is missing or
 * no folder. Works page by page without holding the tree in memory. */
snug_status vcs_list_tree(vcs_repo *r, const vcs_oid *commit, snug_slice path, bool recursive,
                          snug_slice after, size_t n, snug_arena *a, vcs_entry **out, size_t *count,
                          bool *more, snug_err *err) SNUG_MUST_USE;
/* The last commit that touched each of the n paths (all under one commit): `git log -1 -- path`.
 * After 10,000 commits or 10 million tree entries the commit reached stands for older ones. */
snug_status vcs_last_commits(vcs_repo *r, const vcs_oid *commit, const snug_slice *paths, size_t n,
                             snug_arena *a, vcs_commit *out, snug_err *err) SNUG_MUST_USE;
/* Blob content of at most max bytes, in the arena. */
snug_status vcs_read_blob(vcs_repo *r, const vcs_oid *id, uint64_t max, snug_arena *a,
                          snug_slice *out, snug_err *err) SNUG_MUST_USE;
/* Calls fn for every LFS pointer reachable from any ref. */
snug_status vcs_each_lfs(vcs_repo *r, bool (*fn)(void *arg, const vcs_lfs *lfs), void *arg,
                         snug_err *err) SNUG_MUST_USE;

/* Every object of a repository read and compared with its name, all that refs reach present; by the
 * git program. *damage: the first thing that is wrong, in its words; empty when nothing is. */
snug_status vcs_verify_repo(vcs *v, snug_slice key, snug_arena *a, snug_slice *damage,
                            snug_err *err) SNUG_MUST_USE;

/* ---- keeping it small (tidy.c) ----
 * Packs (but very large ones) and loose objects become one pack; what neither refs nor the `more`
 * ids reach goes when its file is older than edge_ms (since 1970). Nothing changes before
 * vcs_tidy_land, which is durable, and after a crash leaves at most what was there before. One
 * tidying of a repository at a time. */
typedef struct vcs_tidy vcs_tidy;
snug_status             vcs_count_files(vcs *v, snug_slice key, uint64_t *packs, uint64_t *loose,
                                        snug_err *err) SNUG_MUST_USE;
snug_status vcs_tidy_open(vcs *v, snug_slice key, const vcs_oid *more, size_t n, int64_t edge_ms,
                          vcs_tidy **out, snug_err *err) SNUG_MUST_USE;
/* Objects that would go. Not 0: during the landing nobody may write to the repository, and before
 * it vcs_tidy_same_refs must still be so. */
size_t      vcs_tidy_dropped(const vcs_tidy *t);
size_t      vcs_tidy_young(const vcs_tidy *t); /* reached by nothing, but not old enough to go */
bool        vcs_tidy_worth(const vcs_tidy *t); /* false: landing would change nothing */
snug_status vcs_tidy_same_refs(const vcs_tidy *t, snug_slice key, bool *same,
                               snug_err *err) SNUG_MUST_USE;
snug_status vcs_tidy_land(vcs_tidy *t, snug_err *err) SNUG_MUST_USE;
void        vcs_tidy_close(vcs_tidy *t); /* NULL is fine */

/* ---- writing ----
 * A draft collects edits on top of a base commit; nothing is visible until vcs_update_ref. */
typedef struct vcs_draft vcs_draft;

snug_status vcs_draft_new(vcs_repo *r, const vcs_oid *base_or_null, vcs_draft **out,
                          snug_err *err) SNUG_MUST_USE;
void        vcs_draft_free(vcs_draft *d);
/* Blob from memory, or from an open file (offset 0, size bytes). Returns its id. It stays pending
 * in this handle, readable through it, until vcs_draft_commit or vcs_update_ref writes everything
 * pending; vcs_release, or a failure of those two, forgets it (and drafts begun before it). */
snug_status vcs_put_blob(vcs_repo *r, snug_slice bytes, vcs_oid *out, snug_err *err) SNUG_MUST_USE;
snug_status vcs_put_blob_fd(vcs_repo *r, int fd, uint64_t size, vcs_oid *out,
                            snug_err *err) SNUG_MUST_USE;
snug_status vcs_draft_put(vcs_draft *d, snug_slice path, const vcs_oid *blob,
                          snug_err *err) SNUG_MUST_USE;
/* SNUG_ENOTFOUND EntryNotFound "A file with this name doesn't exist: ...". A folder goes whole. */
snug_status vcs_draft_remove(vcs_draft *d, snug_slice path, snug_err *err) SNUG_MUST_USE;
/* Entry as the draft stands now (for copies and oldPath). */
snug_status vcs_draft_find(vcs_draft *d, snug_slice path, snug_arena *a, vcs_entry *out,
                           snug_err *err) SNUG_MUST_USE;
/* Writes trees and the commit (parents: the base). Objects are durable on return. *unchanged:
 * the tree equals the base's; *out is then still a new commit. */
snug_status vcs_draft_commit(vcs_draft *d, snug_slice message, const vcs_who *who, vcs_oid *out,
                             bool *unchanged, snug_err *err) SNUG_MUST_USE;

/* Makes the coming commit a merge: `other` becomes its second parent. */
void vcs_draft_add_parent(vcs_draft *d, const vcs_oid *other);

/* ---- joining and comparing histories ---- */
typedef enum vcs_merge_kind {
    VCS_MERGE_NOTHING, /* ours contains theirs */
    VCS_MERGE_FORWARD, /* theirs contains ours: the ref can simply move */
    VCS_MERGE_COMMIT,
    VCS_MERGE_CONFLICT
} vcs_merge_kind;
typedef struct vcs_merge {
    vcs_merge_kind kind;
    vcs_oid        commit;    /* what the ref should name: for FORWARD and, if asked for, COMMIT */
    snug_slice    *conflicts; /* paths, in order */
    size_t         conflict_count;
} vcs_merge;
/* Brings theirs into ours, by three-way comparison of paths and of the lines of small text files;
 * LFS pointers and binary files are never mixed. who NULL: only looks, and writes nothing. The
 * commit is durable on return; no ref moves. */
snug_status vcs_merge_commits(vcs_repo *r, const vcs_oid *ours, const vcs_oid *theirs,
                              snug_slice message, const vcs_who *who, snug_arena *a, vcs_merge *out,
                              snug_err *err) SNUG_MUST_USE;
/* The newest commit both contain. *found false: they share nothing. */
snug_status vcs_merge_base(vcs_repo *r, const vcs_oid *a, const vcs_oid *b, vcs_oid *out,
                           bool *found, snug_err *err) SNUG_MUST_USE;
/* A commit without parents that holds the tree of `commit`. */
snug_status vcs_squash(vcs_repo *r, const vcs_oid *commit, snug_slice message, const vcs_who *who,
                       vcs_oid *out, snug_err *err) SNUG_MUST_USE;
/* History without certain large files. `drop` says which pointers go; asked more than once for the
 * same. All commits of all refs that held one, and those that stand on them, are written anew and
 * durable on return; no ref moves. The same input gives the same ids. */
typedef bool               vcs_drop_lfs(void *arg, const vcs_lfs *lfs);
typedef struct vcs_rewrite vcs_rewrite;
typedef struct vcs_moved {
    snug_slice ref; /* full name */
    vcs_oid    old, now;
} vcs_moved;
snug_status vcs_rewrite_open(vcs_repo *r, vcs_drop_lfs *drop, void *arg, vcs_rewrite **out,
                             snug_err *err) SNUG_MUST_USE;
/* The refs that should move. */
const vcs_moved *vcs_rewrite_refs(const vcs_rewrite *w, size_t *count);
/* What a commit became; false: it stays, or no ref reaches it. */
bool vcs_rewrite_find(const vcs_rewrite *w, const vcs_oid *old, vcs_oid *now);
void vcs_rewrite_close(vcs_rewrite *w); /* NULL is fine */
/* Unified text from one commit (NULL: nothing) to another. Stops at the end of a line when `out`
 * is full; *cut tells. Blobs above half a mebibyte only say that they differ. */
snug_status vcs_diff(vcs_repo *r, const vcs_oid *from_or_null, const vcs_oid *to, snug_buf *out,
                     bool *cut, snug_err *err) SNUG_MUST_USE;

/* SNUG_EPAYLOAD (422) for absolute paths, "..", ".", ".git" in any case or disguise, NUL, empty
 * parts, invalid UTF-8, overlong names (255 a part, 4096 in all). */
snug_status vcs_check_path(snug_slice path, snug_err *err) SNUG_MUST_USE;

/* ---- git's own protocol: bytes in, bytes out, whatever carries them (serve.c, push.c) ----
 * The work on foreign packs is done by the git program in a sandbox; names and refs are ours. */
typedef struct vcs_pipe {
    snug_status (*pull)(void *arg, void *p, size_t n, size_t *got, snug_err *err); /* *got 0: end */
    snug_status (*push)(void *arg, snug_slice bytes, snug_err *err); /* a push needs none */
    bool (*gone)(void *arg); /* nobody waits for the answer any more; may be NULL */
    void *arg;
} vcs_pipe;

/* One exchange of git-upload-pack: what `git fetch` asks, from and to the pipe; `advertise`: its
 * first one, without input. `protocol` is the Git-Protocol header. Needs no handle. */
snug_status vcs_serve_fetch(vcs *v, snug_slice key, snug_slice protocol, bool advertise,
                            const vcs_pipe *io, snug_err *err) SNUG_MUST_USE;
/* The first answer of git-receive-pack: refs and what we can. */
snug_status vcs_advertise_push(vcs_repo *r, snug_buf *out, snug_err *err) SNUG_MUST_USE;

typedef struct vcs_push_ref {
    snug_slice ref;              /* full name, by git's rules */
    bool       has_old, has_new; /* without old: made; without new: deleted */
    vcs_oid    old, to;
    snug_slice refused; /* why it does not move; ptr NULL: it may */
} vcs_push_ref;

/* A push on its way: its objects are in quarantine, read by nobody, until vcs_push_keep. */
typedef struct vcs_push vcs_push;
snug_status vcs_push_open(vcs *v, snug_slice key, vcs_push **out, snug_err *err) SNUG_MUST_USE;
void        vcs_push_close(vcs_push *p); /* removes what was not kept; NULL is fine */
/* Reads which refs should move. SNUG_EINVAL for what is not git's protocol. */
snug_status   vcs_push_read(vcs_push *p, const vcs_pipe *io, snug_err *err) SNUG_MUST_USE;
vcs_push_ref *vcs_push_refs(vcs_push *p, size_t *count); /* 0: an empty request, git's probe */
/* Reads the pack, to the end of the input, and has git check every object strictly. A bad pack is
 * SNUG_OK: all refs are refused then and the report says why. */
snug_status vcs_push_receive(vcs_push *p, const vcs_pipe *io, uint64_t size_max,
                             snug_err *err) SNUG_MUST_USE;
typedef struct vcs_push_visitor {
    /* Each new blob once, with a path it has. */
    snug_status (*blob)(void *arg, const vcs_entry *e, snug_err *err);
    /* A name in a new tree that vcs_check_path refuses. */
    snug_status (*bad_path)(void *arg, snug_slice path, const snug_err *why, snug_err *err);
    void *arg;
} vcs_push_visitor;
/* Everything the refs would make reachable is there, and of the right kind (refs that are not are
 * refused), and shown to the visitor. */
snug_status vcs_push_check(vcs_push *p, const vcs_push_visitor *visit, snug_err *err) SNUG_MUST_USE;
/* Makes the objects part of the repository, durably. */
snug_status vcs_push_keep(vcs_push *p, snug_err *err) SNUG_MUST_USE;
/* A reason for one ref; refs refused already keep theirs. NULL: for all. */
void vcs_push_refuse(vcs_push *p, vcs_push_ref *ref, const char *fmt, ...) SNUG_PRINTF(3, 4);
/* With the client's wish "all or none", one refused ref refuses all. False: nothing will move. */
bool vcs_push_settle(vcs_push *p);
bool vcs_push_is_atomic(const vcs_push *p);
/* Lines for the person who pushes: "remote: ..." */
void vcs_push_say(vcs_push *p, const char *fmt, ...) SNUG_PRINTF(2, 3);
/* The answer of git-receive-pack. */
void vcs_push_report(const vcs_push *p, snug_buf *out);

/* ---- LFS pointers, attributes, ignore rules ---- */
bool vcs_lfs_parse(snug_slice blob, snug_sha256 *oid, uint64_t *size); /* git-lfs pointer spec */
void vcs_lfs_format(const snug_sha256 *oid, uint64_t size, snug_buf *out);

/* Rules of one .gitattributes or .gitignore text, for matching paths; last match wins. */
typedef struct vcs_rules vcs_rules;
vcs_rules               *vcs_rules_new(snug_arena *a);
void vcs_rules_add(vcs_rules *r, snug_slice folder, snug_slice text, bool attributes);
bool vcs_rules_is_lfs(const vcs_rules *r, snug_slice path); /* filter=lfs */
bool vcs_rules_is_ignored(const vcs_rules *r, snug_slice path);
/* All .gitattributes (or .gitignore) files of a commit, nested ones included. */
snug_status vcs_load_rules(vcs_repo *r, const vcs_oid *commit, const char *file, vcs_rules *into,
                           snug_err *err) SNUG_MUST_USE;

#endif
