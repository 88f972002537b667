/* SPDX-License-Identifier: Apache-2.0 */
/* vcs/vcs_int.h - what the files of vcs/ share and nobody else sees.
 *
 * Threads: a vcs is shared and guards itself; everything that hangs from a vcs_repo belongs to the
 * one thread that holds the handle. */
#ifndef SNUG_VCS_VCS_INT_H
#define SNUG_VCS_VCS_INT_H

#include "sandbox/sandbox.h"
#include "vcs/vcs.h"

#define ZLIB_CONST
#include <git2.h>
#include <sys/stat.h>
#include <time.h>
#include <zlib.h>

enum {
    VCS_KEY_MIN = 8,
    VCS_KEY_MAX = 64,
    VCS_PATH_MAX = 4096,      /* bytes of a path we accept in a write */
    VCS_PART_MAX = 255,       /* bytes of one part of it */
    VCS_PART_COUNT_MAX = 256, /* parts of it: bounds every recursion over a draft */
    VCS_DEPTH_MAX = 1024,     /* folders in folders a listing follows (pushes are not ours) */
    VCS_REF_MAX = 512,        /* bytes of a full ref name */
    VCS_LFS_POINTER_MAX = 1024,
    VCS_HANDLES_MAX = 1024, /* open at once */
    VCS_IDLE_MAX = 64,      /* kept warm */
    VCS_LOCK_WAIT_MS = 5000
};

/* ---- a set of object ids: open addressing, grows, never shrinks ---- */
typedef struct vcs_oidset {
    git_oid *slot;
    size_t   count, mask; /* mask + 1 slots; 0: nothing allocated */
    bool     has_zero;
} vcs_oidset;
bool vcs_oidset_add(vcs_oidset *s, const git_oid *id); /* false: was there */
void vcs_oidset_deinit(vcs_oidset *s);

/* ---- pending objects of a handle (pending.c): written, but not yet in the repository ---- */
typedef struct vcs_object {
    git_oid        id;
    git_object_t   type;
    uint64_t       size;
    unsigned char *data;     /* owned; NULL once the object sits in the pack file */
    uint64_t       pack_off; /* of its entry */
    uint32_t       crc;      /* of its entry */
} vcs_object;

typedef struct vcs_pending {
    vcs_object *v;
    size_t      count, cap;
    uint32_t   *index; /* open addressing over v: position + 1 */
    size_t      mask;
    size_t      bytes; /* held in memory */
    int         fd;    /* of the growing pack; -1: all objects are in memory */
    uint64_t    off;   /* its end */
    char        path[VCS_PATH_MAX];
    z_stream   *z;
} vcs_pending;

struct vcs_repo {
    vcs            *owner;
    git_repository *git;
    git_odb        *odb;
    char            key[VCS_KEY_MAX + 1];
    char           *path;     /* <dir>/<xx>/<key>.git */
    struct timespec packs_at; /* time stamp of objects/pack when the handle was opened */
    vcs_pending     pending;
    unsigned        losses;       /* how often pending objects were dropped; drafts notice */
    bool            busy, doomed; /* doomed: the repository was removed meanwhile */
    uint64_t        used;         /* pool clock at release, for eviction */
    vcs_repo       *next;         /* all handles of the vcs */
};

/* What a blob looks like to a lister; content-addressed, so never stale. */
typedef struct vcs_info {
    git_oid  id;
    uint64_t size;
    vcs_lfs  lfs;
    bool     used;
} vcs_info;

enum { VCS_INFO_SLOTS = 1u << 15, VCS_COUNT_SLOTS = 1024 };
typedef struct vcs_count {
    git_oid  id;
    uint64_t n;
    bool     used;
} vcs_count;

struct vcs {
    char           *dir;
    int             lock_fd; /* flock on <dir>/owner.lock */
    bool            owner;   /* we hold it: leftovers older than `opened` are dead */
    struct timespec opened;  /* file system time of vcs_open */

    snug_mutex mutex; /* rank 60: guards everything below */
    vcs_repo  *handles;
    size_t     handle_count;
    uint64_t   clock;
    uint64_t  *swept; /* hashes of the keys whose leftovers were removed: open addressing */
    size_t     swept_count, swept_mask;

    snug_mutex info_mutex; /* rank 61: guards infos and counts */
    vcs_info  *infos;
    vcs_count *counts;

    _Atomic(sandbox *) box; /* for git; made when first needed */
};

static inline const git_oid *vcs_git_oid(const vcs_oid *id)
{
    return (const git_oid *)(const void *)id->sha1.b;
}

static inline vcs_oid vcs_oid_of(const git_oid *id)
{
    vcs_oid out;
    memcpy(out.sha1.b, id->id, sizeof out.sha1.b);
    return out;
}

static inline bool vcs_time_before(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec : a->tv_nsec < b->tv_nsec;
}

/* open.c */
bool  vcs_key_ok(snug_slice key);
char *vcs_key_path(const vcs *v, snug_slice key); /* free() */
/* "internal error" outside; libgit2's words in the cause. Returns SNUG_EIO (ENOSPC is named). */
snug_status vcs_fail_git(snug_err *err, const char *what);

/* sweep.c */
snug_status vcs_sweep_root(vcs *v, snug_err *err) SNUG_MUST_USE;
void        vcs_sweep_repo(const vcs *v, const char *repo_path);
void        vcs_remove_quietly(const char *path); /* a whole tree; failing is only logged */
bool        vcs_unlink_if_stale(const vcs *v, const char *path);

/* pool.c */
void vcs_pool_forget(vcs *v, snug_slice key);
void vcs_pool_close(vcs *v);

/* pending.c */
void              vcs_pending_init(vcs_pending *p);
void              vcs_pending_drop(vcs_pending *p); /* forgets all, removes the unfinished pack */
const vcs_object *vcs_pending_find(const vcs_pending *p, const git_oid *id);
snug_status       vcs_write_object(vcs_repo *r, git_object_t type, snug_slice bytes, git_oid *out,
                                   snug_err *err) SNUG_MUST_USE;
/* Makes all pending objects part of the repository, durably. */
snug_status vcs_flush_objects(vcs_repo *r, snug_err *err) SNUG_MUST_USE;
/* Reading that sees pending objects too. */
snug_status vcs_object_header(vcs_repo *r, const git_oid *id, git_object_t *type, uint64_t *size,
                              snug_err *err) SNUG_MUST_USE;
snug_status vcs_object_read(vcs_repo *r, const git_oid *id, uint64_t max, snug_arena *a,
                            snug_slice *out, snug_err *err) SNUG_MUST_USE;

/* loose.c, pack.c: the two ways out of the pending store */
snug_status vcs_loose_write(vcs_repo *r, const vcs_object *v, size_t n,
                            snug_err *err) SNUG_MUST_USE;
snug_status vcs_pack_begin(vcs_repo *r, snug_err *err) SNUG_MUST_USE;
snug_status vcs_pack_add(vcs_repo *r, vcs_object *o, snug_slice bytes, snug_err *err) SNUG_MUST_USE;
snug_status vcs_pack_add_fd(vcs_repo *r, vcs_object *o, int fd, snug_err *err) SNUG_MUST_USE;
snug_status vcs_pack_read(vcs_repo *r, const vcs_object *o, unsigned char *out,
                          snug_err *err) SNUG_MUST_USE;
snug_status vcs_pack_finish(vcs_repo *r, snug_err *err) SNUG_MUST_USE;

/* info.c */
snug_status vcs_fill_entry(vcs_repo *r, const git_oid *id, unsigned mode, vcs_entry *out,
                           snug_err *err) SNUG_MUST_USE;

/* tree.c */
snug_status vcs_open_root(vcs_repo *r, const vcs_oid *commit, git_tree **out,
                          snug_err *err) SNUG_MUST_USE;

/* What one path of a tree is, mode as stored; the tree itself for the empty path. */
snug_status vcs_find_path(vcs_repo *r, const git_tree *root, snug_slice path, git_oid *id,
                          unsigned *mode, snug_err *err) SNUG_MUST_USE;

/* rev.c */
void vcs_start_library(void);         /* libgit2, once per process; before any other call of it */
bool vcs_ref_name_ok(snug_slice ref); /* "refs/..." by git's rules, bounded */

/* draft.c: the text forms shared by commits and annotated tags, cleaned of what would break them.
 */
void vcs_put_signature(snug_buf *b, const vcs_who *who);
void vcs_put_message(snug_buf *b, snug_slice message);
/* As vcs_draft_put with a mode of git's (0: a regular file, or what the path had) and unchecked
 * id: for entries that come from a tree. */
snug_status vcs_draft_put_as(vcs_draft *d, snug_slice path, const git_oid *id, unsigned mode,
                             snug_err *err) SNUG_MUST_USE;
/* Writes a commit object and flushes all that is pending. */
snug_status vcs_write_commit(vcs_repo *r, const git_oid *tree, const git_oid *parents, size_t n,
                             snug_slice message, const vcs_who *who, vcs_oid *out,
                             snug_err *err) SNUG_MUST_USE;

/* pkt.c: git's framing, a length in four hex digits before each piece */
enum { VCS_PKT_MAX = 65520, VCS_SAY_MAX = 64 << 10 };
typedef struct vcs_pkt_in {
    const vcs_pipe *io;
    char            buf[VCS_PKT_MAX];
    size_t          at, len;
    bool            ended;
} vcs_pkt_in;
typedef enum vcs_pkt { VCS_PKT_DATA, VCS_PKT_FLUSH, VCS_PKT_OTHER, VCS_PKT_END } vcs_pkt;
/* One piece; *data is good until the next call. SNUG_EINVAL for bad framing. */
snug_status vcs_pkt_read(vcs_pkt_in *in, vcs_pkt *kind, snug_slice *data,
                         snug_err *err) SNUG_MUST_USE;
/* What follows the pieces, raw. */
snug_status vcs_pkt_rest(vcs_pkt_in *in, void *p, size_t n, size_t *got,
                         snug_err *err) SNUG_MUST_USE;
void        vcs_pkt_put(snug_buf *b, snug_slice data);
void        vcs_pkt_putf(snug_buf *b, const char *fmt, ...) SNUG_PRINTF(2, 3);
void        vcs_pkt_flush(snug_buf *b);
/* Cut to fit, each behind its band's number. */
void vcs_pkt_band(snug_buf *b, char band, snug_slice data);

/* serve.c: the git program. `quarantine` NULL: it reads the repository and writes nowhere. */
typedef struct vcs_git_job {
    const char        *path, *quarantine;
    const char *const *args; /* NULL-ended, behind "git -c ..." */
    snug_slice         protocol;
    sandbox_limits     limits;
    const vcs_pipe    *io;
    snug_buf          *errors;
} vcs_git_job;
snug_status vcs_run_git(vcs *v, const vcs_git_job *job, sandbox_end *end,
                        snug_err *err) SNUG_MUST_USE;

/* match.c: git's wildmatch. `path` true: '*' stops at '/', "**" between slashes does not.
 * *budget counts steps down; at zero nothing matches any more. */
bool vcs_wildmatch(snug_slice pattern, snug_slice text, bool path, uint32_t *budget);

#endif
