/* SPDX-License-Identifier: Apache-2.0 */
/* hub/draft_int.h - what draft.c collects and commit.c applies. */
#ifndef SNUG_HUB_DRAFT_INT_H
#define SNUG_HUB_DRAFT_INT_H

#include "hub/hub_int.h"

typedef enum draft_kind {
    DRAFT_FILE,
    DRAFT_LFS,
    DRAFT_DELETE,
    DRAFT_DELETE_FOLDER,
    DRAFT_COPY,
    DRAFT_MOVE
} draft_kind;

typedef struct draft_op {
    draft_kind kind;
    snug_slice path, from, rev;
    snug_slice bytes;   /* of a small file */
    bool       spilled; /* ... or at offset in the draft's file */
    uint64_t   offset, size;
    blob_id    lfs;
    bool       has_size;
    vcs_oid    git_blob; /* set by commit.c */
} draft_op;

struct hub_draft {
    hub        *h;
    snug_arena *a;
    snug_slice  summary, description, parent;
    draft_op   *ops; /* heap */
    size_t      count, cap;
    uint64_t    bytes;  /* regular contents in all */
    size_t      memory; /* of them in the arena */
    int         spill_fd;
    uint64_t    spill_size;
};

/* A .gitattributes file, in any folder. */
bool hub_is_attributes(snug_slice path);
/* Writes the content of a DRAFT_FILE as a git blob. */
snug_status hub_draft_put_blob(hub_draft *d, vcs_repo *git, const draft_op *op, vcs_oid *out,
                               snug_err *err) SNUG_MUST_USE;

#endif
