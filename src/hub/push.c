/* SPDX-License-Identifier: Apache-2.0 */
/* hub/push.c - what a git push may bring and which refs it may move.
 *
 *   refs by name                  before the pack is read
 *   everything new, in quarantine raw files, LFS pointers, paths              (no lock)
 *   repository lock -> permission again -> keep -> compare-and-swap of each ref -> row -> unlock
 *
 * For:     api/git.c.
 * Owns:    nothing beyond the call.
 * Threads: any; pushes and commits to one repository line up at its lock. Branches made or deleted
 *          over the API do not take it, so each ref still moves by compare-and-swap.
 * Truth:   as for commits: objects are durable before a ref names them, and a row that could not
 *          follow its ref follows at the next start or flush. */
#include "hub/community.h"
#include "hub/hub_int.h"

enum { OFFENDERS_SHOWN = 20, README_MAX = 4 << 20 };

static const char frame[] =
    "-------------------------------------------------------------------------";

/* ---- refs by name ---- */

snug_status hub_check_push(hub *h, const hub_actor *who, hub_repo *r, snug_err *err)
{
    snug_status    st = SNUG_OK;
    snug_arena    *a = snug_arena_new();
    hub_talk_query mine = {.kind = 1, .status = 1, .author = who->name, .limit = 1};
    hub_talk      *list;
    size_t         count = 0;
    uint64_t       total = 0;
    char           text[2 * HUB_NAME_MAX + 2];

    SNUG_TRY(hub_need_writer(h, who, err));
    if (hub_can_write(who, &r->info)) goto done;
    SNUG_TRY(hub_list_talks(h, r, &mine, a, &list, &count, &total, err));
    if (total == 0)
        SNUG_FAIL(err, SNUG_EFORBIDDEN,
                  "You can read %s but not change it: only its owner and admins can",
                  hub_id_text(&r->info.id, text));
done:
    snug_arena_free(a);
    return st;
}

static const char *why_not_pull(const vcs_push_ref *r)
{
    if (hub_pull_number(r->ref) == 0) return "pull requests have numbers";
    if (!r->has_old) return "pull requests are opened through the API, not by a push";
    return r->has_new ? NULL : "the ref of a pull request stays";
}

/* NULL: the name alone forbids nothing. */
static const char *why_not(const vcs_push_ref *r)
{
    if (snug_starts_with(r->ref, "refs/heads/")) {
        snug_slice name = snug_sub(r->ref, 11, r->ref.len);
        if (!vcs_branch_name_ok(name)) return "not a name for a branch";
        if (!r->has_new && snug_eq_str(name, "main")) return "the default branch cannot be deleted";
        return NULL;
    }
    if (snug_starts_with(r->ref, "refs/tags/"))
        return vcs_branch_name_ok(snug_sub(r->ref, 10, r->ref.len)) ? NULL : "not a name for a tag";
    if (snug_starts_with(r->ref, "refs/pr/")) return why_not_pull(r);
    return "only refs/heads, refs/tags and refs/pr can be pushed to";
}

void hub_check_push_refs(hub *h, const hub_actor *who, const hub_repo_info *info, vcs_push *p)
{
    size_t        n;
    vcs_push_ref *refs = vcs_push_refs(p, &n);
    bool          writer = hub_can_write(who, info);
    for (size_t i = 0; i < n; i++) {
        vcs_push_ref *r = &refs[i];
        const char   *why = r->refused.ptr == NULL ? why_not(r) : NULL;
        snug_err      err = {0};
        if (why != NULL)
            vcs_push_refuse(p, r, "%s", why);
        else if (r->refused.ptr != NULL)
            continue;
        else if (!snug_starts_with(r->ref, "refs/pr/") && !writer)
            vcs_push_refuse(p, r, "only the owner and admins can move it");
        else if (snug_starts_with(r->ref, "refs/pr/") &&
                 hub_check_pull_push(h, who, info, hub_pull_number(r->ref), &err) != SNUG_OK)
            vcs_push_refuse(p, r, "%s", err.msg);
    }
}

/* ---- everything new ---- */

typedef enum fault { FAULT_LARGE, FAULT_MISSING, FAULT_SIZE, FAULT_PATH, FAULT_COUNT } fault;

typedef struct offenders {
    size_t     count;
    snug_slice shown[OFFENDERS_SHOWN];
} offenders;

typedef struct inspection {
    hub             *h;
    const hub_actor *who;
    int64_t          row;
    snug_arena      *a;
    offenders        of[FAULT_COUNT];
    bool             has_readme; /* a new README.md at the top */
    vcs_oid          readme;
} inspection;

static void note(inspection *in, fault f, snug_slice text)
{
    offenders *o = &in->of[f];
    if (o->count < OFFENDERS_SHOWN) o->shown[o->count] = text;
    o->count++;
}

static snug_status see_pointer(inspection *in, const vcs_entry *e, snug_err *err)
{
    blob_id     id = {e->lfs.oid};
    uint64_t    stored = 0;
    bool        ok;
    char        hex[65];
    snug_slice  path = snug_sub(e->path, 0, 300);
    snug_status st = hub_borrow_lfs(in->h, in->who, in->row, &id, &stored, &ok, err);

    if (st != SNUG_OK) return st;
    blob_id_hex(&id, hex);
    if (!ok)
        note(in, FAULT_MISSING, snug_arena_printf(in->a, "%.*s (oid %s)", SNUG_SLICE(path), hex));
    else if (stored != e->lfs.size)
        note(in, FAULT_SIZE,
             snug_arena_printf(in->a, "%.*s (oid %s has %llu bytes and not %llu)", SNUG_SLICE(path),
                               hex, (unsigned long long)stored, (unsigned long long)e->lfs.size));
    return SNUG_OK;
}

static snug_status see_blob(void *arg, const vcs_entry *e, snug_err *err)
{
    inspection *in = arg;
    char        size[16];
    if (snug_eq_str(e->path, "README.md")) {
        in->has_readme = true;
        in->readme = e->oid;
    }
    if (e->lfs.is_lfs) return see_pointer(in, e, err);
    if (e->size <= in->h->raw_file_max) return SNUG_OK;
    snug_size_human(e->size, size);
    note(in, FAULT_LARGE,
         snug_arena_printf(in->a, "%.*s (%s)", SNUG_SLICE(snug_sub(e->path, 0, 300)), size));
    return SNUG_OK;
}

static snug_status see_bad_path(void *arg, snug_slice path, const snug_err *why, snug_err *err)
{
    inspection *in = arg;
    (void)path, (void)err;
    note(in, FAULT_PATH, snug_arena_dup(in->a, snug_str(why->msg)));
    return SNUG_OK;
}

/* The one ref of a push for the list, or nothing: with several it is not known which. */
static snug_slice ref_text(snug_arena *a, vcs_push *p)
{
    size_t        n, open = 0, which = 0;
    vcs_push_ref *refs = vcs_push_refs(p, &n);
    for (size_t i = 0; i < n; i++) {
        if (refs[i].refused.ptr != NULL || !refs[i].has_new) continue;
        open++;
        which = i;
    }
    if (open != 1) return SNUG_EMPTY;
    return snug_arena_printf(a, " (ref: %.*s)", SNUG_SLICE(refs[which].ref));
}

static void say_list(vcs_push *p, const offenders *o, snug_slice ref)
{
    vcs_push_say(p, "%s", o->count == 1 ? "Offending file:" : "Offending files:");
    for (size_t i = 0; i < o->count && i < OFFENDERS_SHOWN; i++)
        vcs_push_say(p, "  - %.*s%.*s", SNUG_SLICE(o->shown[i]), SNUG_SLICE(ref));
    if (o->count > OFFENDERS_SHOWN) vcs_push_say(p, "  and %zu more", o->count - OFFENDERS_SHOWN);
    vcs_push_say(p, "%s", frame);
}

static void say_faults(inspection *in, vcs_push *p)
{
    snug_slice ref = ref_text(in->a, p);
    char       max[32];
    vcs_push_say(p, "%s", frame);
    if (in->of[FAULT_LARGE].count > 0) {
        uint64_t limit = in->h->raw_file_max;
        snug_size_human(limit, max);
        if (limit % (1u << 20) == 0)
            (void)snprintf(max, sizeof max, "%llu MiB", (unsigned long long)(limit >> 20));
        vcs_push_say(p, "Your push was rejected because it contains files larger than %s.", max);
        vcs_push_say(p, "Keep them in Git LFS: `git lfs track` the path, then rewrite the commits "
                        "that hold it");
        vcs_push_say(p, "with `git lfs migrate import --everything --include=\"<path>\"`, and push "
                        "again.");
        say_list(p, &in->of[FAULT_LARGE], ref);
    }
    if (in->of[FAULT_MISSING].count > 0) {
        vcs_push_say(p, "Your push was rejected because an LFS pointer pointed to a file that does "
                        "not exist.");
        vcs_push_say(p, "The content was not uploaded: run `git lfs install`, then `git lfs push "
                        "--all <remote>`,");
        vcs_push_say(p, "and push again (without --no-verify).");
        say_list(p, &in->of[FAULT_MISSING], ref);
    }
    if (in->of[FAULT_SIZE].count > 0) {
        vcs_push_say(p, "Your push was rejected because an LFS pointer tells a wrong size.");
        say_list(p, &in->of[FAULT_SIZE], ref);
    }
    if (in->of[FAULT_PATH].count > 0) {
        vcs_push_say(p, "Your push was rejected because some paths do not work everywhere.");
        say_list(p, &in->of[FAULT_PATH], ref);
    }
}

/* ---- moving the refs ---- */

static const char *stale_word(const vcs_push_ref *r)
{
    if (!r->has_old) return "already exists";
    return r->has_new ? "fetch first: the branch was updated meanwhile"
                      : "it was updated meanwhile";
}

static void move_ref(hub *h, const hub_repo_info *info, vcs_push *p, vcs_repo *git, vcs_push_ref *r)
{
    snug_err    err = {0};
    snug_status st = SNUG_OK;
    if (hub_pull_number(r->ref) == 0 && !snug_eq_str(r->ref, "refs/heads/main"))
        st = hub_promise_ref(h, info, r->ref, r->has_old ? &r->old : NULL,
                             r->has_new ? &r->to : NULL, &err);
    if (st == SNUG_OK)
        st = vcs_update_ref(git, r->ref, r->has_old ? &r->old : NULL, r->has_new ? &r->to : NULL,
                            &err);
    switch (st) {
    case SNUG_OK: return;
    case SNUG_ESTALE:
        snug_metric_add(SNUG_M_COMMIT_CONFLICTS, 1);
        vcs_push_refuse(p, r, "%s", stale_word(r));
        return;
    case SNUG_ECONFLICT: vcs_push_refuse(p, r, "it collides with the name of another ref"); return;
    case SNUG_EBUSY: vcs_push_refuse(p, r, "it is being written: try again"); return;
    default:
        snug_log_err(SNUG_ERROR, "hub.push.ref", &err);
        vcs_push_refuse(p, r, "internal error while moving the ref");
        return;
    }
}

/* All or none: those that moved go back, unless somebody moved them on already. */
static void take_back(vcs_repo *git, vcs_push_ref *refs, size_t moved)
{
    for (size_t i = moved; i-- > 0;) {
        vcs_push_ref *r = &refs[i];
        snug_err      err = {0};
        if (vcs_update_ref(git, r->ref, r->has_new ? &r->to : NULL, r->has_old ? &r->old : NULL,
                           &err) != SNUG_OK)
            snug_log_err(SNUG_WARN, "hub.push.take_back", &err);
    }
}

/* False: none has moved. */
static bool move_refs(hub *h, const hub_repo_info *info, vcs_push *p, vcs_repo *git)
{
    size_t        n;
    vcs_push_ref *refs = vcs_push_refs(p, &n);
    bool          moved = false;
    for (size_t i = 0; i < n; i++) {
        vcs_push_ref *r = &refs[i];
        if (r->refused.ptr != NULL) continue;
        move_ref(h, info, p, git, r);
        if (r->refused.ptr != NULL && vcs_push_is_atomic(p)) {
            take_back(git, refs, i);
            return vcs_push_settle(p);
        }
        moved = moved || r->refused.ptr == NULL;
    }
    return moved;
}

/* ---- the card ---- */

static void say_finding(void *arg, bool is_error, const char *text)
{
    vcs_push_say(arg, "README.md: %s: %s", is_error ? "error" : "warning", text);
}

static void say_card(const inspection *in, hub_type type, vcs_repo *git, vcs_push *p)
{
    snug_slice text;
    if (in->has_readme &&
        vcs_read_blob(git, &in->readme, README_MAX, in->a, &text, NULL) == SNUG_OK)
        hub_check_card(text, type, say_finding, p);
}

/* ---- one push ---- */

/* The refs moved: the push is done, whatever happens here. */
static void follow(hub *h, const hub_repo_info *info, vcs_repo *git, vcs_push *p)
{
    size_t        n;
    vcs_push_ref *refs = vcs_push_refs(p, &n);
    bool          behind = false;
    for (size_t i = 0; i < n; i++) {
        snug_err    err = {0};
        snug_status st = SNUG_OK;
        int64_t     num = hub_pull_number(refs[i].ref);
        if (refs[i].refused.ptr != NULL) continue;
        if (num > 0)
            st = hub_sync_pull_locked(h, info, git, num, &err);
        else if (snug_eq_str(refs[i].ref, "refs/heads/main"))
            st = hub_refresh_row_locked(h, info->row, git, snug_now_ms(), &err);
        else
            hub_tell_ref(h, info, refs[i].ref, refs[i].has_old ? &refs[i].old : NULL,
                         refs[i].has_new ? &refs[i].to : NULL);
        if (st != SNUG_OK) snug_log_err(SNUG_ERROR, "hub.push.row", &err);
        behind = behind || st != SNUG_OK;
    }
    hub_touch(h, &info->id);
    if (behind) hub_mark_stale(h, info->row);
}

static snug_status land_locked(hub *h, const hub_actor *who, hub_repo_info *info, inspection *in,
                               vcs_push *p, snug_err *err)
{
    snug_status st = SNUG_OK;
    vcs_repo   *git = NULL;
    bool        found;

    SNUG_TRY(hub_load_row(h, in->row, in->a, info, &found, err));
    if (!found || !hub_can_read(who, info)) { /* deleted or given away while it was on its way */
        st = hub_fail_absent(who, err);
        goto done;
    }
    hub_check_push_refs(h, who, info, p);
    if (!vcs_push_settle(p)) goto done;
    SNUG_TRY(vcs_push_keep(p, err));
    SNUG_TRY(vcs_acquire(h->vcs, snug_str(info->key), &git, err));
    if (!move_refs(h, info, p, git)) goto done;
    snug_metric_add(SNUG_M_PUSHES, 1);
    follow(h, info, git, p);
    say_card(in, info->id.type, git, p);
done:
    vcs_release(git);
    return st;
}

snug_status hub_apply_push(hub *h, const hub_actor *who, const hub_repo_id *id, vcs_push *p,
                           snug_err *err)
{
    snug_status      st = SNUG_OK;
    inspection       in = {.h = h, .who = who, .a = snug_arena_new()};
    hub_repo_info    info;
    vcs_push_visitor visit = {.blob = see_blob, .bad_path = see_bad_path, .arg = &in};
    SNUG_AUTO(hub_hold) hold = {-1};

    SNUG_TRY(hub_hold_begin(h, &hold, err));
    SNUG_TRY(hub_find_repo(h, who, id, HUB_ROLE_READ, in.a, &info, err));
    SNUG_TRY(hub_need_writer(h, who, err));
    in.row = info.row;
    SNUG_TRY(vcs_push_check(p, &visit, err));
    for (fault f = 0; f < FAULT_COUNT; f++) {
        if (in.of[f].count == 0) continue;
        say_faults(&in, p);
        vcs_push_refuse(p, NULL, "pre-receive hook declined");
        break;
    }
    if (!vcs_push_settle(p)) goto done;
    SNUG_TRY(hub_lock_repo(h, in.row, err));
    st = land_locked(h, who, &info, &in, p, err);
    hub_unlock_repo(h, in.row);
done:
    snug_arena_free(in.a);
    return st;
}
