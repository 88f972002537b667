/* SPDX-License-Identifier: Apache-2.0 */
/* hub/commit.c - a draft becomes a commit.
 *
 *   permission -> LFS objects present and readable -> git blobs     (no lock: they harm nobody)
 *   -> repository lock -> tree and commit -> compare-and-swap of the ref -> row -> unlock
 *
 * For:     hub_apply_draft.
 * Owns:    nothing beyond the call.
 * Threads: any; commits to one repository line up at its lock. A git push does not take that lock,
 *          so the compare-and-swap may still fail: then we go again from the new tip, unless the
 *          caller named the tip he meant.
 * Truth:   everything a ref names is durable before the ref moves. The row follows; if it cannot,
 *          the commit stands and the flusher or the next start brings the row after it. */
#include <errno.h>
#include <stdlib.h>

#include "hub/draft_int.h"

enum { RETRIES_MAX = 200, ATTRIBUTES_MAX = 1 << 20, COPY_PAGE = 500, LFS_POINTER_MAX = 1024 };

typedef struct landing {
    hub             *h;
    const hub_actor *who;
    hub_draft       *d;
    hub_repo_info    info;
    vcs_repo        *git;
    snug_arena      *a;
    snug_slice       rev, ref;
    vcs_oid          tip;
    int64_t          pull;      /* the pull request whose ref `rev` is; 0: a branch */
    bool             proposes;  /* the commit begins a pull request instead of moving the branch */
    hub_new_pull     fresh;     /* ... this one */
    snug_slice      *lfs_paths; /* heap: paths that become pointers */
    size_t           lfs_count, lfs_cap;
} landing;

/* ---- before the lock ---- */

static snug_status fail_missing(snug_slice path, snug_err *err)
{
    return snug_fail(err, SNUG_EINVAL,
                     "Your push was rejected because an LFS pointer pointed to a file that does "
                     "not exist. Offending file: - %.*s",
                     SNUG_SLICE(snug_sub(path, 0, 300)));
}

/* Present, of that size, and readable for the actor through this or another repository. */
static snug_status need_lfs(landing *l, snug_slice path, const blob_id *id, bool has_size,
                            uint64_t *size, snug_err *err)
{
    snug_status st = SNUG_OK;
    uint64_t    stored = 0;
    bool        ok;

    SNUG_TRY(hub_borrow_lfs(l->h, l->who, l->info.row, id, &stored, &ok, err));
    if (!ok) {
        st = fail_missing(path, err);
        goto done;
    }
    if (has_size && *size != stored)
        SNUG_FAIL(err, SNUG_EINVAL, "The LFS file of \"%.*s\" has %llu bytes and not %llu",
                  SNUG_SLICE(snug_sub(path, 0, 300)), (unsigned long long)stored,
                  (unsigned long long)*size);
    *size = stored;
done:
    return st;
}

static snug_status put_pointer(landing *l, draft_op *op, snug_err *err)
{
    SNUG_AUTO(snug_buf) text = snug_buf_init(LFS_POINTER_MAX);
    snug_status st = need_lfs(l, op->path, &op->lfs, op->has_size, &op->size, err);
    if (st != SNUG_OK) return st;
    if (op->size > 0) vcs_lfs_format(&op->lfs.sha256, op->size, &text); /* empty stays empty */
    return vcs_put_blob(l->git, snug_buf_slice(&text), &op->git_blob, err);
}

static snug_status put_file(landing *l, draft_op *op, snug_err *err)
{
    snug_status st = SNUG_OK;
    blob_id     id;
    uint64_t    size;

    /* A pointer sent as a regular file must not open what an lfsFile would not. */
    if (op->size < LFS_POINTER_MAX && !op->spilled && vcs_lfs_parse(op->bytes, &id.sha256, &size))
        SNUG_TRY(need_lfs(l, op->path, &id, true, &size, err));
    SNUG_TRY(hub_draft_put_blob(l->d, l->git, op, &op->git_blob, err));
done:
    return st;
}

static snug_status put_blobs(landing *l, snug_err *err)
{
    snug_status st = SNUG_OK;
    for (size_t i = 0; i < l->d->count; i++) {
        draft_op *op = &l->d->ops[i];
        if (op->kind == DRAFT_LFS)
            SNUG_TRY(put_pointer(l, op, err));
        else if (op->kind == DRAFT_FILE)
            SNUG_TRY(put_file(l, op, err));
    }
done:
    return st;
}

/* ---- under the lock: the tree ---- */

static void note_lfs_path(landing *l, snug_slice path)
{
    if (l->lfs_count == l->lfs_cap) {
        l->lfs_cap = l->lfs_cap == 0 ? 16 : l->lfs_cap * 2;
        l->lfs_paths = snug_realloc(l->lfs_paths, l->lfs_cap * sizeof *l->lfs_paths);
    }
    l->lfs_paths[l->lfs_count++] = path;
}

static snug_status put_entry(landing *l, vcs_draft *v, snug_slice path, const vcs_entry *e,
                             snug_err *err)
{
    if (e->kind != VCS_FILE)
        return snug_fail(err, SNUG_EPAYLOAD, "\"%.*s\" is not a regular file and cannot be copied",
                         SNUG_SLICE(snug_sub(e->path, 0, 300)));
    if (e->lfs.is_lfs && hub_is_attributes(path))
        return snug_fail(err, SNUG_EINVAL, "\".gitattributes\" cannot be an LFS file");
    if (e->lfs.is_lfs) note_lfs_path(l, path);
    return vcs_draft_put(v, path, &e->oid, err);
}

/* Every file below a folder of `commit` to the same place below `to`. */
static snug_status copy_folder(landing *l, vcs_draft *v, const vcs_oid *commit, snug_slice from,
                               snug_slice to, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_slice  after = SNUG_EMPTY;
    bool        more = true;

    while (more) {
        vcs_entry *e;
        size_t     n;
        SNUG_TRY(
            vcs_list_tree(l->git, commit, from, true, after, COPY_PAGE, l->a, &e, &n, &more, err));
        for (size_t i = 0; i < n; i++) {
            if (e[i].kind == VCS_DIR) continue;
            snug_slice rest = snug_sub(e[i].path, from.len, e[i].path.len);
            snug_slice path = snug_arena_printf(l->a, "%.*s%.*s", SNUG_SLICE(to), SNUG_SLICE(rest));
            SNUG_TRY(vcs_check_path(path, err));
            SNUG_TRY(put_entry(l, v, path, &e[i], err));
        }
        if (n == 0) break;
        after = e[n - 1].path;
    }
done:
    return st;
}

static bool is_below(snug_slice path, snug_slice folder)
{
    return path.len > folder.len && path.ptr[folder.len] == '/' &&
           memcmp(path.ptr, folder.ptr, folder.len) == 0;
}

static snug_status apply_copy(landing *l, vcs_draft *v, const draft_op *op, snug_err *err)
{
    snug_status st = SNUG_OK;
    vcs_entry   e;
    vcs_oid     commit = l->tip;

    if (op->rev.len > 0) {
        SNUG_TRY(vcs_resolve_rev(l->git, op->rev, &commit, err));
        SNUG_TRY(vcs_find_entry(l->git, &commit, op->from, l->a, &e, err));
    } else {
        SNUG_TRY(vcs_draft_find(v, op->from, l->a, &e, err));
    }
    if (snug_eq(op->from, op->path) && op->rev.len == 0) goto done;
    if (e.kind != VCS_DIR) {
        SNUG_TRY(put_entry(l, v, op->path, &e, err));
    } else {
        if (is_below(op->path, op->from))
            SNUG_FAIL(err, SNUG_EPAYLOAD, "A folder cannot go into itself: \"%.*s\"",
                      SNUG_SLICE(snug_sub(op->path, 0, 300)));
        SNUG_TRY(copy_folder(l, v, &commit, op->from, op->path, err));
    }
    if (op->kind == DRAFT_MOVE) SNUG_TRY(vcs_draft_remove(v, op->from, err));
done:
    return st;
}

static snug_status apply_ops(landing *l, vcs_draft *v, snug_err *err)
{
    snug_status st = SNUG_OK;
    l->lfs_count = 0;
    for (size_t i = 0; i < l->d->count; i++) {
        const draft_op *op = &l->d->ops[i];
        switch (op->kind) {
        case DRAFT_LFS:
            note_lfs_path(l, op->path);
            SNUG_TRY(vcs_draft_put(v, op->path, &op->git_blob, err));
            break;
        case DRAFT_FILE: SNUG_TRY(vcs_draft_put(v, op->path, &op->git_blob, err)); break;
        case DRAFT_DELETE:
        case DRAFT_DELETE_FOLDER: SNUG_TRY(vcs_draft_remove(v, op->path, err)); break;
        case DRAFT_COPY:
        case DRAFT_MOVE: SNUG_TRY(apply_copy(l, v, op, err)); break;
        }
    }
done:
    return st;
}

/* ---- .gitattributes follows the LFS files ---- */

/* Could this draft change a .gitattributes file somewhere? */
static bool touches_attributes(const hub_draft *d)
{
    for (size_t i = 0; i < d->count; i++) {
        const draft_op *op = &d->ops[i];
        if (op->kind != DRAFT_FILE && op->kind != DRAFT_LFS) return true; /* folders hide them */
        if (hub_is_attributes(op->path)) return true;
    }
    return false;
}

static bool is_simple(char c)
{
    unsigned char u = (unsigned char)c;
    return u > 0x20 && u != 0x7f && strchr("\"\\*?[]#!", c) == NULL;
}

/* A pattern that covers the path. What would need quoting becomes '?', which every reader of
 * such files takes for that one byte. */
static void write_pattern(snug_slice path, snug_buf *out)
{
    for (size_t i = 0; i < path.len; i++)
        snug_buf_putc(out, is_simple(path.ptr[i]) ? path.ptr[i] : '?');
}

/* The rules as they will be after the draft. */
static snug_status load_rules(landing *l, vcs_draft **v, vcs_rules *rules, const vcs_who *author,
                              snug_err *err)
{
    snug_status st = SNUG_OK;
    vcs_oid     base = l->tip;
    bool        unchanged;

    if (touches_attributes(l->d)) {
        /* Write the tree once to look at it; the commit is named by nothing and goes away. */
        SNUG_TRY(vcs_draft_commit(*v, SNUG_LIT("preview"), author, &base, &unchanged, err));
        vcs_draft_free(*v);
        *v = NULL;
        SNUG_TRY(vcs_draft_new(l->git, &l->tip, v, err));
        SNUG_TRY(apply_ops(l, *v, err));
    }
    SNUG_TRY(vcs_load_rules(l->git, &base, ".gitattributes", rules, err));
done:
    return st;
}

static snug_status cover_lfs(landing *l, vcs_draft **v, const vcs_who *author, snug_err *err)
{
    snug_status st = SNUG_OK;
    vcs_rules  *rules = vcs_rules_new(l->a);
    SNUG_AUTO(snug_buf) text = snug_buf_init(ATTRIBUTES_MAX);
    vcs_entry  e;
    snug_slice old = SNUG_EMPTY;
    bool       added = false;

    if (l->lfs_count == 0) goto done;
    SNUG_TRY(load_rules(l, v, rules, author, err));
    st = vcs_draft_find(*v, SNUG_LIT(".gitattributes"), l->a, &e, err);
    if (st == SNUG_OK && e.kind == VCS_FILE)
        st = vcs_read_blob(l->git, &e.oid, ATTRIBUTES_MAX, l->a, &old, err);
    if (st == SNUG_ENOTFOUND) {
        snug_err_clear(err);
        st = SNUG_OK;
    }
    if (st != SNUG_OK) goto done;
    snug_buf_put_slice(&text, old);
    if (old.len > 0 && old.ptr[old.len - 1] != '\n') snug_buf_putc(&text, '\n');
    for (size_t i = 0; i < l->lfs_count; i++) {
        size_t from = text.len;
        if (vcs_rules_is_lfs(rules, l->lfs_paths[i])) continue;
        write_pattern(l->lfs_paths[i], &text);
        snug_buf_puts(&text, " filter=lfs diff=lfs merge=lfs -text\n");
        if (text.full) break;
        snug_slice line = snug_arena_dup(l->a, snug_sub(snug_buf_slice(&text), from, text.len));
        vcs_rules_add(rules, SNUG_EMPTY, line, true);
        added = true;
    }
    SNUG_TRY(snug_buf_check(&text, ".gitattributes", err));
    if (added)
        SNUG_TRY(hub_put_file(l->git, *v, SNUG_LIT(".gitattributes"), snug_buf_slice(&text), err));
done:
    return st;
}

/* ---- landing ---- */

static snug_slice message_of(const hub_draft *d, snug_arena *a)
{
    if (d->description.len == 0) return d->summary;
    return snug_arena_printf(a, "%.*s\n\n%.*s", SNUG_SLICE(d->summary), SNUG_SLICE(d->description));
}

static bool is_parent(const landing *l)
{
    char hex[41];
    vcs_oid_hex(&l->tip, hex);
    return l->d->parent.len == 0 ||
           snug_eq_nocase(l->d->parent, snug_slice_of(hex, l->d->parent.len));
}

static snug_status fail_stale(snug_err *err)
{
    snug_metric_add(SNUG_M_COMMIT_CONFLICTS, 1);
    return snug_fail(
        err, SNUG_ESTALE,
        "The branch was updated since you opened this page. Please refresh and try again.");
}

/* What the commit goes on top of. A proposal may name any commit as its parent; a commit to a
 * branch only the tip. */
static snug_status find_tip(landing *l, snug_err *err)
{
    snug_status st = SNUG_OK;
    SNUG_TRY(vcs_resolve_branch(l->git, l->rev, l->a, &l->ref, &l->tip, err));
    if (l->proposes && l->d->parent.len > 0)
        SNUG_TRY(vcs_resolve_rev(l->git, l->d->parent, &l->tip, err));
    else if (!is_parent(l))
        st = fail_stale(err);
done:
    return st;
}

/* One try on the tip as it is now. SNUG_ESTALE from the ref: it moved under us. */
static snug_status try_once(landing *l, hub_commit_result *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    vcs_draft  *v = NULL;
    vcs_who     author;

    SNUG_TRY(find_tip(l, err));
    hub_who_of(l->who, l->a, &author);
    SNUG_TRY(vcs_draft_new(l->git, &l->tip, &v, err));
    SNUG_TRY(apply_ops(l, v, err));
    SNUG_TRY(cover_lfs(l, &v, &author, err));
    SNUG_TRY(vcs_draft_commit(v, message_of(l->d, l->a), &author, &out->oid, &out->unchanged, err));
    if (out->unchanged && !l->proposes) {
        out->oid = l->tip;
        goto done;
    }
    if (!l->proposes && l->pull == 0 && !snug_eq_str(l->ref, "refs/heads/main"))
        SNUG_TRY(hub_promise_ref(l->h, &l->info, l->ref, &l->tip, &out->oid, err));
    HUB_FAULT("hub.commit.before_ref", err, st);
    if (l->proposes)
        SNUG_TRY(vcs_update_ref(l->git, l->fresh.ref, NULL, &out->oid, err));
    else
        SNUG_TRY(vcs_update_ref(l->git, l->ref, &l->tip, &out->oid, err));
done:
    vcs_draft_free(v);
    return st;
}

static snug_status land(landing *l, hub_commit_result *out, snug_err *err)
{
    snug_status st = SNUG_ESTALE;
    for (int i = 0; i < RETRIES_MAX; i++) {
        snug_err_clear(err);
        st = try_once(l, out, err);
        if (st != SNUG_ESTALE) return st;
        if (l->d->parent.len > 0) return fail_stale(err);
    }
    return snug_fail(err, SNUG_EBUSY, "The branch is moving all the time; try again");
}

/* The ref moved: the commit is made, whatever happens here. */
static void follow(landing *l, const vcs_oid *made)
{
    snug_status st = SNUG_OK;
    snug_err    err = {0};

    HUB_FAULT("hub.commit.after_ref", &err, st);
    if (l->pull > 0) {
        SNUG_TRY(hub_sync_pull_locked(l->h, &l->info, l->git, l->pull, &err));
        hub_touch(l->h, &l->info.id);
    } else if (snug_eq_str(l->ref, "refs/heads/main")) {
        SNUG_TRY(hub_refresh_row_locked(l->h, l->info.row, l->git, snug_now_ms(), &err));
    } else {
        hub_touch(l->h, &l->info.id);
        hub_tell_ref(l->h, &l->info, l->ref, &l->tip, made);
    }
done:
    if (st == SNUG_OK) return;
    snug_log_err(SNUG_ERROR, "hub.commit.row", &err);
    hub_mark_stale(l->h, l->info.row);
}

/* May `who` write to where this goes? Called before the work and again under the lock. */
static snug_status check_right(landing *l, snug_err *err)
{
    snug_status st = SNUG_OK;
    if (!hub_can_read(l->who, &l->info)) return hub_fail_absent(l->who, err);
    SNUG_TRY(hub_need_writer(l->h, l->who, err));
    if (l->pull > 0)
        SNUG_TRY(hub_check_pull_push(l->h, l->who, &l->info, l->pull, err));
    else if (!l->proposes && !hub_can_write(l->who, &l->info)) /* given away while we worked */
        st = hub_fail_absent(l->who, err);
done:
    return st;
}

/* The pull request around the commit: a hidden row first, for its number; then the ref; then it
 * shows. */
static snug_status propose(landing *l, hub_commit_result *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    bool        reserved = false;

    SNUG_TRY(find_tip(l, err));
    SNUG_TRY(hub_reserve_pull(l->h, l->who, &l->info, l->d->summary, l->ref, &l->tip, l->a,
                              &l->fresh, err));
    reserved = true;
    SNUG_TRY(land(l, out, err));
    HUB_FAULT("hub.pull.after_ref", err, st);
    SNUG_TRY(
        hub_publish_pull(l->h, l->who, &l->info, l->git, &l->fresh, l->d->description, false, err));
    reserved = false; /* it stands */
    hub_touch(l->h, &l->info.id);
done:
    if (reserved) hub_forget_pull(l->h, l->git, &l->fresh);
    return st;
}

static snug_status apply(landing *l, const hub_repo_id *id, hub_commit_result *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    hub_repo   *repo = NULL;
    bool        locked = false, found;

    *out = (hub_commit_result){.unchanged = false};
    l->a = snug_arena_new();
    l->pull = hub_pull_number(l->rev);
    SNUG_TRY(hub_open_repo(l->h, l->who, id,
                           l->proposes || l->pull > 0 ? HUB_ROLE_READ : HUB_ROLE_WRITE, l->a, &repo,
                           err));
    if (l->d->summary.len == 0) SNUG_FAIL(err, SNUG_EINVAL, "A commit needs a summary");
    l->info = repo->info;
    l->git = repo->git;
    SNUG_TRY(find_tip(l, err)); /* before heavy work */
    SNUG_TRY(check_right(l, err));
    SNUG_TRY(put_blobs(l, err));
    SNUG_TRY(hub_lock_repo(l->h, l->info.row, err));
    locked = true;
    SNUG_TRY(hub_load_row(l->h, l->info.row, l->a, &l->info, &found, err));
    if (!found) { /* deleted while we worked */
        st = hub_fail_absent(l->who, err);
        goto done;
    }
    SNUG_TRY(check_right(l, err));
    if (l->proposes)
        SNUG_TRY(propose(l, out, err));
    else
        SNUG_TRY(land(l, out, err));
    if (out->unchanged && !l->proposes) goto done;
    snug_metric_add(SNUG_M_COMMITS, 1);
    if (!l->proposes) follow(l, &out->oid);
done:
    if (locked) hub_unlock_repo(l->h, l->info.row);
    hub_close_repo(repo);
    free(l->lfs_paths);
    snug_arena_free(l->a);
    return st;
}

snug_status hub_apply_draft(hub *h, const hub_actor *who, const hub_repo_id *id, snug_slice rev,
                            hub_draft *d, hub_commit_result *out, snug_err *err)
{
    landing l = {.h = h, .who = who, .d = d, .rev = rev};
    SNUG_AUTO(hub_hold) hold = {-1};
    snug_status st = hub_hold_begin(h, &hold, err);
    return st == SNUG_OK ? apply(&l, id, out, err) : st;
}

snug_status hub_propose_draft(hub *h, const hub_actor *who, const hub_repo_id *id, snug_slice rev,
                              hub_draft *d, int64_t *num, hub_commit_result *out, snug_err *err)
{
    landing l = {.h = h, .who = who, .d = d, .rev = rev, .proposes = true};
    SNUG_AUTO(hub_hold) hold = {-1};
    snug_status st = hub_hold_begin(h, &hold, err);
    if (st == SNUG_OK) st = apply(&l, id, out, err);
    if (st == SNUG_OK) *num = l.fresh.num;
    return st;
}
