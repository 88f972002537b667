/* SPDX-License-Identifier: Apache-2.0 */
/* vcs/rev.c - names of commits: branches, tags, ids; listing refs.
 *
 * A revision comes out of a URL. It is looked up as a name and as an id and in no other way: git's
 * expression language (main~2, @{u}, :/text) never sees it.
 *
 *   40 hex digits         that object, always: nobody can shadow an id with a branch
 *   HEAD, refs/...        that ref
 *   anything else         branch, then tag, then an unambiguous prefix of a commit's id */
#include "vcs/vcs_int.h"

#include <stdlib.h>

enum { SHORT_OID_MIN = 5, CANDIDATES_MAX = 256 };

static snug_status not_found(snug_slice rev, snug_err *err)
{
    return snug_fail_code(err, SNUG_ENOTFOUND, "RevisionNotFound", "Invalid rev id: %.*s",
                          rev.len > 120 ? 120 : (int)rev.len, rev.ptr);
}

static bool is_hex(snug_slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))) {
            return false;
        }
    }
    return s.len > 0;
}

bool vcs_ref_name_ok(snug_slice ref)
{
    char name[VCS_REF_MAX + 1];
    int  ok = 0;
    if (!snug_starts_with(ref, "refs/") || ref.len > VCS_REF_MAX) return false;
    if (memchr(ref.ptr, 0, ref.len) != NULL || !snug_utf8_valid(ref)) return false;
    memcpy(name, ref.ptr, ref.len);
    name[ref.len] = '\0';
    if (strchr(name, 0x7f) != NULL) return false; /* git refuses it, libgit2 does not */
    /* A part longer than a file name could never be stored. */
    snug_slice rest = ref, part;
    while (snug_split(&rest, '/', &part)) {
        if (part.len > VCS_PART_MAX - 8) return false;
    }
    vcs_start_library(); /* names are checked before any folder is opened, too */
    return git_reference_name_is_valid(&ok, name) == 0 && ok == 1;
}

bool vcs_branch_name_ok(snug_slice name)
{
    char      ref[VCS_REF_MAX + 1];
    vcs_oid   id;
    const int n = name.len < VCS_REF_MAX
                      ? snprintf(ref, sizeof ref, "refs/heads/%.*s", SNUG_SLICE(name))
                      : -1;
    if (n < 0 || name.len == 0 || name.ptr[0] == '-') return false;
    if ((size_t)n != name.len + 11) return false; /* too long, or a NUL inside */
    if (snug_eq_str(name, "HEAD") || snug_eq_str(name, "refs")) return false;
    if (snug_starts_with(name, "refs/") || vcs_oid_parse(name, &id)) return false;
    return vcs_ref_name_ok(snug_slice_of(ref, (size_t)n));
}

/* The object down to its commit: annotated tags are opened, trees and blobs are no revision. */
static bool peel(vcs_repo *r, const git_oid *id, vcs_oid *commit)
{
    git_object *obj = NULL, *peeled = NULL;
    bool        ok = git_object_lookup(&obj, r->git, id, GIT_OBJECT_ANY) == 0 &&
              git_object_peel(&peeled, obj, GIT_OBJECT_COMMIT) == 0;
    if (ok) *commit = vcs_oid_of(git_object_id(peeled));
    git_object_free(peeled);
    git_object_free(obj);
    return ok;
}

/* A ref by its full name; false when it is missing, dangling or leads to no commit. */
static bool find_ref(vcs_repo *r, const char *name, vcs_oid *commit)
{
    git_oid id;
    if (git_reference_name_to_id(&id, r->git, name) != 0) return false;
    if (peel(r, &id, commit)) return true;
    /* Its object may have changed places twice while we looked (tidy.c): once more. */
    return git_odb_refresh(r->odb) == 0 && peel(r, &id, commit);
}

static bool find_under(vcs_repo *r, const char *prefix, snug_slice name, vcs_oid *commit)
{
    char ref[VCS_REF_MAX + 1];
    if (name.len + strlen(prefix) > VCS_REF_MAX) return false;
    int n = snprintf(ref, sizeof ref, "%s%.*s", prefix, SNUG_SLICE(name));
    if (n < 0 || (size_t)n != strlen(prefix) + name.len) return false;
    return vcs_ref_name_ok(snug_slice_of(ref, (size_t)n)) && find_ref(r, ref, commit);
}

/* ---- short ids ---- */

typedef struct prefix_search {
    git_oid prefix;
    size_t  len; /* hex digits */
    git_oid found[CANDIDATES_MAX];
    size_t  count;
} prefix_search;

static int collect_prefix(const git_oid *id, void *arg)
{
    prefix_search *s = arg;
    if (git_oid_ncmp(id, &s->prefix, s->len) != 0) return 0;
    for (size_t i = 0; i < s->count; i++) { /* an object may lie loose and packed */
        if (git_oid_equal(&s->found[i], id)) return 0;
    }
    if (s->count == CANDIDATES_MAX) return GIT_EUSER;
    s->found[s->count++] = *id;
    return 0;
}

/* Several objects share the prefix: as in git, only commits count here. */
static bool only_commit(vcs_repo *r, prefix_search *s, vcs_oid *commit)
{
    size_t  commits = 0;
    git_oid id = {0};
    if (git_odb_foreach(r->odb, collect_prefix, s) != 0) return false;
    for (size_t i = 0; i < s->count; i++) {
        size_t       n;
        git_object_t type;
        if (git_odb_read_header(&n, &type, r->odb, &s->found[i]) == 0 &&
            type == GIT_OBJECT_COMMIT) {
            id = s->found[i];
            commits++;
        }
    }
    return commits == 1 && peel(r, &id, commit);
}

static bool find_short(vcs_repo *r, snug_slice rev, vcs_oid *commit)
{
    prefix_search s = {.len = rev.len};
    git_oid       full;
    if (rev.len < SHORT_OID_MIN || rev.len >= GIT_OID_HEXSZ || !is_hex(rev)) return false;
    if (git_oid_fromstrn(&s.prefix, rev.ptr, rev.len) != 0) return false;
    int rc = git_odb_exists_prefix(&full, r->odb, &s.prefix, s.len);
    if (rc == 0) return peel(r, &full, commit);
    return rc == GIT_EAMBIGUOUS && only_commit(r, &s, commit);
}

/* ---- revisions ---- */

snug_status vcs_resolve_rev(vcs_repo *r, snug_slice rev, vcs_oid *commit, snug_err *err)
{
    vcs_oid id;
    bool    found = false;
    if (rev.len == 0 || rev.len > VCS_REF_MAX) return not_found(rev, err);
    if (vcs_oid_parse(rev, &id)) {
        found = peel(r, vcs_git_oid(&id), commit);
    } else if (snug_eq_str(rev, "HEAD")) {
        found = find_ref(r, "HEAD", commit);
    } else if (snug_starts_with(rev, "refs/")) {
        found = find_under(r, "", rev, commit);
    } else {
        found = find_under(r, "refs/heads/", rev, commit) ||
                find_under(r, "refs/tags/", rev, commit) || find_short(r, rev, commit);
    }
    git_error_clear();
    return found ? SNUG_OK : not_found(rev, err);
}

static bool is_writable_ref(snug_slice ref)
{
    return snug_starts_with(ref, "refs/heads/") || snug_starts_with(ref, "refs/pr/") ||
           snug_starts_with(ref, "refs/convert/");
}

/* HEAD names the default branch; it is never written itself. */
static bool head_target(vcs_repo *r, snug_arena *a, snug_slice *ref)
{
    git_reference *head = NULL;
    bool           ok = git_reference_lookup(&head, r->git, "HEAD") == 0 &&
              git_reference_type(head) == GIT_REFERENCE_SYMBOLIC;
    if (ok) *ref = snug_arena_dup(a, snug_str(git_reference_symbolic_target(head)));
    git_reference_free(head);
    return ok;
}

snug_status vcs_resolve_branch(vcs_repo *r, snug_slice rev, snug_arena *a, snug_slice *ref,
                               vcs_oid *tip, snug_err *err)
{
    snug_slice full;
    vcs_oid    id;
    if (rev.len == 0 || rev.len > VCS_REF_MAX || vcs_oid_parse(rev, &id)) {
        return not_found(rev, err);
    }
    if (snug_eq_str(rev, "HEAD")) {
        if (!head_target(r, a, &full)) return not_found(rev, err);
    } else if (snug_starts_with(rev, "refs/")) {
        full = snug_arena_dup(a, rev);
    } else {
        full = snug_arena_printf(a, "refs/heads/%.*s", SNUG_SLICE(rev));
    }
    if (!is_writable_ref(full) || !find_under(r, "", full, tip)) return not_found(rev, err);
    *ref = full;
    return SNUG_OK;
}

/* ---- listing ---- */

typedef struct ref_group {
    const char *prefix;
    vcs_ref   **list;
    size_t     *count;
    size_t      cap;
} ref_group;

static void append_ref(snug_arena *a, ref_group *g, snug_slice ref, const vcs_oid *target)
{
    if (*g->count == g->cap) {
        size_t   cap = g->cap == 0 ? 8 : g->cap * 2;
        vcs_ref *bigger = snug_arena_alloc(a, cap * sizeof *bigger);
        if (*g->count > 0) memcpy(bigger, *g->list, *g->count * sizeof *bigger);
        *g->list = bigger;
        g->cap = cap;
    }
    snug_slice full = snug_arena_dup(a, ref);
    (*g->list)[(*g->count)++] = (vcs_ref){
        .ref = full, .name = snug_sub(full, strlen(g->prefix), full.len), .target = *target};
}

static int by_name(const void *a, const void *b)
{
    const vcs_ref *x = a, *y = b;
    return snug_cmp(x->name, y->name);
}

snug_status vcs_list_refs(vcs_repo *r, snug_arena *a, vcs_refs *out, snug_err *err)
{
    *out = (vcs_refs){0};
    ref_group               groups[] = {{"refs/heads/", &out->branches, &out->branch_count, 0},
                                        {"refs/tags/", &out->tags, &out->tag_count, 0},
                                        {"refs/convert/", &out->converts, &out->convert_count, 0},
                                        {"refs/pr/", &out->prs, &out->pr_count, 0}};
    git_reference_iterator *it = NULL;
    const char             *name = NULL;
    int                     rc = git_reference_iterator_new(&it, r->git);
    while (rc == 0 && (rc = git_reference_next_name(&name, it)) == 0) {
        for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
            vcs_oid target;
            if (!snug_starts_with(snug_str(name), groups[i].prefix)) continue;
            /* A tag of a tree or a blob is legal git, but no revision of ours. */
            if (find_ref(r, name, &target)) append_ref(a, &groups[i], snug_str(name), &target);
        }
    }
    git_reference_iterator_free(it);
    if (rc != GIT_ITEROVER) return vcs_fail_git(err, "listing refs");
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        size_t n = *groups[i].count;
        if (n > 1) qsort(*groups[i].list, n, sizeof(vcs_ref), by_name);
    }
    return SNUG_OK;
}
