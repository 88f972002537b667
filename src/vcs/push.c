/* SPDX-License-Identifier: Apache-2.0 */
/* vcs/push.c - what a push brings, held apart until somebody says it may stay.
 *
 *   commands -> pack -> git index-pack --strict -> objects/incoming-<random>     (quarantine)
 *            -> git rev-list: all there? what is new? -> visitor
 *            -> rename into objects/pack -> the caller moves the refs
 *
 * There is no receive-pack and no hook: whoever owns the rules calls these steps one by one and
 * moves each ref by compare-and-swap himself. So no program is started from a repository, a check
 * and the step it allows are lines of one function, and a push that ends anywhere before the
 * rename has changed nothing. A folder a killed process leaves is swept (sweep.c).
 *
 * For:     hub/push.c.
 * Owns:    the quarantine folder.
 * Threads: a push belongs to one thread.
 * Truth:   objects under objects/pack were checked by git, object by object and link by link. */
#include "vcs/vcs_int.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    REFS_MAX = 10000,
    ERRORS_MAX = 4096,
    LINE_MAX_BYTES = 64 << 10, /* of rev-list: an id and a path */
    RECEIVE_WALL_MS = 6 * 3600 * 1000,
    RECEIVE_CPU_S = 3600
};

struct vcs_push {
    vcs          *v;
    snug_arena   *a;
    char         *path, *quarantine; /* quarantine NULL: not made */
    vcs_push_ref *refs;
    size_t        ref_count, ref_cap;
    bool          report, side_band, atomic;
    snug_slice    unpack; /* what went wrong with the pack; ptr NULL: nothing */
    snug_buf      said;
    vcs_pkt_in    in;
};

snug_status vcs_push_open(vcs *v, snug_slice key, vcs_push **out, snug_err *err)
{
    if (!vcs_repo_exists(v, key))
        return snug_fail_code(err, SNUG_ENOTFOUND, "RepoNotFound",
                              "there is no such git repository");
    vcs_push *p = snug_zalloc(sizeof *p);
    p->v = v;
    p->a = snug_arena_new();
    p->path = vcs_key_path(v, key);
    p->said = snug_buf_init(VCS_SAY_MAX);
    *out = p;
    return SNUG_OK;
}

void vcs_push_close(vcs_push *p)
{
    if (p == NULL) return;
    if (p->quarantine != NULL) vcs_remove_quietly(p->quarantine);
    snug_buf_deinit(&p->said);
    free(p->refs);
    free(p->quarantine);
    free(p->path);
    snug_arena_free(p->a);
    free(p);
}

vcs_push_ref *vcs_push_refs(vcs_push *p, size_t *count)
{
    *count = p->ref_count;
    return p->refs;
}

/* ---- saying things ---- */

void vcs_push_say(vcs_push *p, const char *fmt, ...)
{
    char    text[2048];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (n < 0) return;
    snug_slice line = snug_slice_of(text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
    if (p->said.full) return;
    /* It goes to somebody's terminal, and may hold a name from a tree. */
    for (size_t i = 0; i < line.len; i++) {
        unsigned char c = (unsigned char)line.ptr[i];
        snug_buf_putc(&p->said, c < 0x20 || c == 0x7f ? '?' : (char)c);
    }
    snug_buf_putc(&p->said, '\n');
}

void vcs_push_refuse(vcs_push *p, vcs_push_ref *ref, const char *fmt, ...)
{
    char    text[256];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    snug_slice why = snug_arena_dup(p->a, snug_str(text));
    for (size_t i = 0; i < p->ref_count; i++) {
        vcs_push_ref *r = &p->refs[i];
        if ((ref == NULL || ref == r) && r->refused.ptr == NULL) r->refused = why;
    }
}

bool vcs_push_settle(vcs_push *p)
{
    bool refused = false, left = false;
    for (size_t i = 0; i < p->ref_count; i++) {
        refused = refused || p->refs[i].refused.ptr != NULL;
        left = left || p->refs[i].refused.ptr == NULL;
    }
    if (p->atomic && refused) vcs_push_refuse(p, NULL, "atomic push failed");
    return left && !(p->atomic && refused);
}

bool vcs_push_is_atomic(const vcs_push *p) { return p->atomic; }

/* git's own words, without the paths of this machine. */
static void say_errors(vcs_push *p, const snug_buf *errors)
{
    snug_slice rest = snug_trim(snug_buf_slice(errors)), line;
    while (rest.len > 0 && snug_split(&rest, '\n', &line)) {
        if (snug_find(line, snug_str(p->path)) == SIZE_MAX && line.len > 0)
            vcs_push_say(p, "%.*s", SNUG_SLICE(snug_sub(line, 0, 1000)));
    }
}

/* ---- commands ---- */

static bool read_oid(snug_slice *line, vcs_oid *out, bool *is_zero)
{
    static const vcs_oid zero;
    if (line->len < 41 || line->ptr[40] != ' ' || !vcs_oid_parse(snug_sub(*line, 0, 40), out))
        return false;
    *is_zero = vcs_oid_eq(out, &zero);
    *line = snug_sub(*line, 41, line->len);
    return true;
}

static snug_status read_capabilities(vcs_push *p, snug_slice list, snug_err *err)
{
    snug_slice one;
    while (list.len > 0 && snug_split(&list, ' ', &one)) {
        if (snug_eq_str(one, "report-status")) p->report = true;
        if (snug_eq_str(one, "side-band-64k")) p->side_band = true;
        if (snug_eq_str(one, "atomic")) p->atomic = true;
        if (snug_starts_with(one, "object-format=") && !snug_eq_str(one, "object-format=sha1"))
            return snug_fail(err, SNUG_EINVAL, "this repository uses SHA-1 object ids");
    }
    return SNUG_OK;
}

static snug_status add_ref(vcs_push *p, const vcs_push_ref *r, snug_err *err)
{
    if (p->ref_count == REFS_MAX)
        return snug_fail(err, SNUG_ELIMIT, "a push moves at most %d refs", (int)REFS_MAX);
    if (p->ref_count == p->ref_cap) {
        p->ref_cap = p->ref_cap == 0 ? 16 : p->ref_cap * 2;
        p->refs = snug_realloc(p->refs, p->ref_cap * sizeof *p->refs);
    }
    p->refs[p->ref_count++] = *r;
    return SNUG_OK;
}

/* "<old> <new> <ref>", the first one with NUL and what the client can behind it. */
static snug_status read_command(vcs_push *p, snug_slice line, snug_err *err)
{
    snug_status  st = SNUG_OK;
    vcs_push_ref r = {.has_old = false};
    bool         no_old, no_new;
    size_t       nul = snug_index(line, '\0');

    if (nul != SIZE_MAX) {
        if (p->ref_count == 0)
            SNUG_TRY(read_capabilities(p, snug_trim(snug_sub(line, nul + 1, line.len)), err));
        line.len = nul;
    }
    if (snug_ends_with(line, "\n")) line.len--;
    if (snug_starts_with(line, "shallow ")) goto done; /* the check finds what is missing */
    if (!read_oid(&line, &r.old, &no_old) || !read_oid(&line, &r.to, &no_new))
        SNUG_FAIL(err, SNUG_EINVAL, "a push is made of lines \"old-id new-id ref\"");
    r.has_old = !no_old;
    r.has_new = !no_new;
    r.ref = snug_arena_dup(p->a, line);
    if (line.len == 0 || line.len > VCS_REF_MAX || snug_index(line, '\n') != SIZE_MAX)
        SNUG_FAIL(err, SNUG_EINVAL, "a ref's name is a line of at most %d bytes", (int)VCS_REF_MAX);
    if (!vcs_ref_name_ok(line)) r.refused = SNUG_LIT("funny refname");
    if (!r.has_old && !r.has_new) r.refused = SNUG_LIT("nothing to nothing");
    SNUG_TRY(add_ref(p, &r, err));
done:
    return st;
}

snug_status vcs_push_read(vcs_push *p, const vcs_pipe *io, snug_err *err)
{
    snug_status st = SNUG_OK;
    vcs_pkt     kind;
    snug_slice  line;

    p->in.io = io;
    for (;;) {
        SNUG_TRY(vcs_pkt_read(&p->in, &kind, &line, err));
        if (kind == VCS_PKT_FLUSH) break;
        if (kind == VCS_PKT_END && p->ref_count == 0) break;
        if (kind != VCS_PKT_DATA)
            SNUG_FAIL(err, SNUG_EINVAL, "the list of refs is not ended by a flush");
        SNUG_TRY(read_command(p, line, err));
    }
done:
    return st;
}

/* ---- the pack ---- */

static snug_status make_quarantine(vcs_push *p, snug_err *err)
{
    snug_status st;
    size_t      n = strlen(p->path) + 64;
    char       *pack = snug_alloc(n);

    p->quarantine = snug_alloc(n);
    (void)snprintf(p->quarantine, n, "%s/objects/incoming-%016llx", p->path,
                   (unsigned long long)snug_random_u64());
    (void)snprintf(pack, n, "%s/pack", p->quarantine);
    st = snug_mkdirs(pack, 0700, err);
    free(pack);
    return st;
}

/* Reads on to the end: the client hears our answer only once it has said everything. */
static snug_status drain(vcs_push *p, snug_err *err)
{
    char        piece[16384];
    size_t      got = 1;
    snug_status st = SNUG_OK;
    while (st == SNUG_OK && got > 0) st = vcs_pkt_rest(&p->in, piece, sizeof piece, &got, err);
    return st;
}

static snug_status pull_rest(void *arg, void *buf, size_t n, size_t *got, snug_err *err)
{
    vcs_push *p = arg;
    return vcs_pkt_rest(&p->in, buf, n, got, err);
}

static bool rest_gone(void *arg)
{
    const vcs_pipe *io = ((vcs_push *)arg)->in.io;
    return io->gone != NULL && io->gone(io->arg);
}

static bool needs_pack(const vcs_push *p)
{
    for (size_t i = 0; i < p->ref_count; i++) {
        if (p->refs[i].has_new) return true;
    }
    return false;
}

static bool any_left(const vcs_push *p)
{
    for (size_t i = 0; i < p->ref_count; i++) {
        if (p->refs[i].refused.ptr == NULL) return true;
    }
    return false;
}

static void fail_pack(vcs_push *p, const char *why)
{
    p->unpack = snug_str(why);
    vcs_push_refuse(p, NULL, "unpacker error");
}

/* The head of the pack is looked at where it stands: a pack of nothing (a branch made at a commit
 * that is there) needs no index. */
static snug_status peek_pack(vcs_push *p, bool *empty, bool *missing, snug_err *err)
{
    enum { HEAD = 12 };
    vcs_pkt_in *in = &p->in;
    *empty = *missing = false;
    if (in->at > 0) memmove(in->buf, in->buf + in->at, in->len - in->at);
    in->len -= in->at;
    in->at = 0;
    while (in->len < HEAD && !in->ended) {
        size_t      got = 0;
        snug_status st = in->io->pull(in->io->arg, in->buf + in->len, HEAD - in->len, &got, err);
        if (st != SNUG_OK) return st;
        in->len += got;
        in->ended = got == 0;
    }
    *missing = in->len == 0;
    *empty = in->len >= HEAD && memcmp(in->buf, "PACK\0\0\0\2\0\0\0\0", HEAD) == 0;
    return SNUG_OK;
}

static snug_status index_pack(vcs_push *p, uint64_t size_max, snug_err *err)
{
    snug_status st = SNUG_OK;
    sandbox_end end;
    char        limit[64];
    SNUG_AUTO(snug_buf) errors = snug_buf_init(ERRORS_MAX);
    vcs_pipe    in = {.pull = pull_rest, .gone = rest_gone, .arg = p};
    const char *args[] = {"index-pack",  "--stdin", "--fix-thin", "--strict",
                          "--threads=2", limit,     NULL};
    vcs_git_job job = {
        .path = p->path,
        .args = args,
        .limits = {.wall_ms = RECEIVE_WALL_MS,
                   .cpu_s = RECEIVE_CPU_S,
                   .file_max = size_max > UINT64_MAX / 4 ? size_max : 2 * size_max + (1u << 30)},
        .io = &in,
        .errors = &errors};

    (void)snprintf(limit, sizeof limit, "--max-input-size=%llu", (unsigned long long)size_max);
    SNUG_TRY(make_quarantine(p, err));
    job.quarantine = p->quarantine;
    SNUG_TRY(vcs_run_git(p->v, &job, &end, err));
    SNUG_TRY(drain(p, err));
    if (end.code == 0) goto done;
    say_errors(p, &errors);
    if (end.signal != 0) vcs_push_say(p, "error: checking the pack took too much time or memory");
    snug_log(SNUG_INFO, "vcs.push", "path=%s code=%d signal=%d said=%.*s", p->path, end.code,
             end.signal, SNUG_SLICE(snug_trim(snug_buf_slice(&errors))));
    fail_pack(p, "the pack was not accepted");
done:
    return st;
}

snug_status vcs_push_receive(vcs_push *p, const vcs_pipe *io, uint64_t size_max, snug_err *err)
{
    snug_status st = SNUG_OK;
    bool        empty, missing;

    p->in.io = io;
    if (!needs_pack(p) || !any_left(p)) return drain(p, err);
    SNUG_TRY(peek_pack(p, &empty, &missing, err));
    if (missing) fail_pack(p, "the pack is missing");
    if (missing || empty)
        SNUG_TRY(drain(p, err));
    else
        SNUG_TRY(index_pack(p, size_max, err));
done:
    return st;
}

/* ---- what is new ---- */

typedef struct check {
    vcs_push               *p;
    const vcs_push_visitor *visit;
    git_repository         *git; /* sees the quarantine too */
    git_odb                *odb;
    snug_buf                tips, line;
    size_t                  tips_at;
} check;

static snug_status open_both(check *c, snug_err *err)
{
    if (git_repository_open_bare(&c->git, c->p->path) != 0 ||
        git_repository_odb(&c->odb, c->git) != 0 ||
        (c->p->quarantine != NULL && git_odb_add_disk_alternate(c->odb, c->p->quarantine) != 0))
        return vcs_fail_git(err, "opening the quarantine");
    return SNUG_OK;
}

/* A branch names a commit, a tag something that leads to one; anything else breaks readers. */
static void check_tip(check *c, vcs_push_ref *r)
{
    git_object *o = NULL, *commit = NULL;
    bool        branch = !snug_starts_with(r->ref, "refs/tags/");
    if (git_object_lookup(&o, c->git, vcs_git_oid(&r->to), GIT_OBJECT_ANY) != 0)
        vcs_push_refuse(c->p, r, "missing necessary objects");
    else if (branch && git_object_type(o) != GIT_OBJECT_COMMIT)
        vcs_push_refuse(c->p, r, "a branch can only point at a commit");
    else if (git_object_peel(&commit, o, GIT_OBJECT_COMMIT) != 0)
        vcs_push_refuse(c->p, r, "a tag must lead to a commit");
    git_object_free(commit);
    git_object_free(o);
}

static snug_status see_tree(check *c, const git_oid *id, snug_slice path, snug_err *err)
{
    snug_status st = SNUG_OK;
    git_tree   *tree = NULL;
    if (git_tree_lookup(&tree, c->git, id) != 0) return vcs_fail_git(err, "reading a new tree");
    size_t n = git_tree_entrycount(tree);
    for (size_t i = 0; i < n; i++) {
        const char *name = git_tree_entry_name(git_tree_entry_byindex(tree, i));
        snug_err    why = {0};
        /* The whole path too: it may be too long or too deep. */
        SNUG_AUTO(snug_buf) full = snug_buf_init(4 * VCS_PATH_MAX);
        if (path.len > 0) {
            snug_buf_put_slice(&full, path);
            snug_buf_putc(&full, '/');
        }
        snug_buf_puts(&full, name);
        snug_status bad = full.full ? snug_fail(&why, SNUG_EPAYLOAD, "the path is too long")
                                    : vcs_check_path(snug_buf_slice(&full), &why);
        if (bad != SNUG_OK)
            SNUG_TRY(c->visit->bad_path(c->visit->arg, snug_buf_slice(&full), &why, err));
    }
done:
    git_tree_free(tree);
    return st;
}

static snug_status see_blob(check *c, const git_oid *id, size_t size, snug_slice path,
                            snug_err *err)
{
    vcs_entry       e = {.path = path, .kind = VCS_FILE, .oid = vcs_oid_of(id), .size = size};
    git_odb_object *o = NULL;
    if (size > 0 && size < VCS_LFS_POINTER_MAX) {
        if (git_odb_read(&o, c->odb, id) != 0) return vcs_fail_git(err, "reading a new blob");
        e.lfs.is_lfs = vcs_lfs_parse(snug_slice_of(git_odb_object_data(o), git_odb_object_size(o)),
                                     &e.lfs.oid, &e.lfs.size);
        if (e.lfs.is_lfs) e.lfs.pointer_size = (uint32_t)size;
        git_odb_object_free(o);
    }
    return c->visit->blob(c->visit->arg, &e, err);
}

/* "<id>" for commits, "<id> <path>" for the rest. */
static snug_status see_line(check *c, snug_slice line, snug_err *err)
{
    vcs_oid      id;
    size_t       size;
    git_object_t type;
    if (!vcs_oid_parse(snug_sub(line, 0, 40), &id))
        return snug_fail_sys(err, EIO, "git rev-list said \"%.*s\"",
                             SNUG_SLICE(snug_sub(line, 0, 80)));
    if (line.len == 40) return SNUG_OK;
    if (git_odb_read_header(&size, &type, c->odb, vcs_git_oid(&id)) != 0)
        return vcs_fail_git(err, "reading a new object");
    snug_slice path = snug_sub(line, 41, line.len);
    if (type == GIT_OBJECT_TREE) return see_tree(c, vcs_git_oid(&id), path, err);
    if (type == GIT_OBJECT_BLOB) return see_blob(c, vcs_git_oid(&id), size, path, err);
    return SNUG_OK;
}

static snug_status push_lines(void *arg, snug_slice bytes, snug_err *err)
{
    check *c = arg;
    while (bytes.len > 0) {
        size_t end = snug_index(bytes, '\n');
        snug_buf_put_slice(&c->line, snug_sub(bytes, 0, end == SIZE_MAX ? bytes.len : end));
        if (c->line.full)
            return snug_fail(err, SNUG_EPAYLOAD, "a path in the push is longer than %d bytes",
                             (int)LINE_MAX_BYTES);
        if (end == SIZE_MAX) break;
        snug_status st = see_line(c, snug_buf_slice(&c->line), err);
        if (st != SNUG_OK) return st;
        snug_buf_clear(&c->line);
        bytes = snug_sub(bytes, end + 1, bytes.len);
    }
    return SNUG_OK;
}

static snug_status pull_tips(void *arg, void *buf, size_t n, size_t *got, snug_err *err)
{
    check     *c = arg;
    snug_slice left = snug_sub(snug_buf_slice(&c->tips), c->tips_at, n);
    (void)err;
    if (left.len > 0) memcpy(buf, left.ptr, left.len);
    c->tips_at += left.len;
    *got = left.len;
    return SNUG_OK;
}

/* Lists what the tips reach and no ref does; git fails when a link leads nowhere. */
static snug_status list_new(check *c, snug_err *err)
{
    snug_status st = SNUG_OK;
    sandbox_end end;
    SNUG_AUTO(snug_buf) errors = snug_buf_init(ERRORS_MAX);
    static const char *const args[] = {"rev-list", "--objects", "--stdin", "--not", "--all", NULL};
    vcs_pipe                 io = {.pull = pull_tips, .push = push_lines, .arg = c};
    vcs_git_job              job = {.path = c->p->path,
                                    .quarantine = c->p->quarantine,
                                    .args = args,
                                    .limits = {.wall_ms = RECEIVE_WALL_MS, .cpu_s = RECEIVE_CPU_S},
                                    .io = &io,
                                    .errors = &errors};
    SNUG_TRY(vcs_run_git(c->p->v, &job, &end, err));
    if (end.code == 0) goto done;
    say_errors(c->p, &errors);
    vcs_push_refuse(c->p, NULL, "missing necessary objects");
done:
    return st;
}

snug_status vcs_push_check(vcs_push *p, const vcs_push_visitor *visit, snug_err *err)
{
    snug_status st = SNUG_OK;
    check       c = {.p = p,
                     .visit = visit,
                     .tips = snug_buf_init((size_t)REFS_MAX * 41),
                     .line = snug_buf_init(LINE_MAX_BYTES)};

    SNUG_TRY(open_both(&c, err));
    for (size_t i = 0; i < p->ref_count; i++) {
        vcs_push_ref *r = &p->refs[i];
        char          hex[41];
        if (!r->has_new || r->refused.ptr != NULL) continue;
        check_tip(&c, r);
        if (r->refused.ptr != NULL) continue;
        vcs_oid_hex(&r->to, hex);
        snug_buf_printf(&c.tips, "%s\n", hex);
    }
    if (c.tips.len > 0) SNUG_TRY(list_new(&c, err));
done:
    snug_buf_deinit(&c.tips);
    snug_buf_deinit(&c.line);
    git_odb_free(c.odb);
    git_repository_free(c.git);
    return st;
}

/* ---- keeping ---- */

/* The pack before its index: a pack counts only once the index is there. */
static snug_status move_kind(vcs_push *p, const char *suffix, snug_err *err)
{
    snug_status    st = SNUG_OK;
    char           from[VCS_PATH_MAX], to[VCS_PATH_MAX];
    struct dirent *e;

    (void)snprintf(from, sizeof from, "%s/pack", p->quarantine);
    DIR *d = opendir(from);
    if (d == NULL) return snug_fail_sys(err, errno, "opendir %s", from);
    while (st == SNUG_OK && (e = readdir(d)) != NULL) {
        snug_slice name = snug_str(e->d_name);
        if (!snug_starts_with(name, "pack-") || !snug_ends_with(name, suffix)) continue;
        int n = snprintf(from, sizeof from, "%s/pack/%s", p->quarantine, e->d_name);
        int m = snprintf(to, sizeof to, "%s/objects/pack/%s", p->path, e->d_name);
        if (n < 0 || (size_t)n >= sizeof from || m < 0 || (size_t)m >= sizeof to)
            st = snug_fail_sys(err, ENAMETOOLONG, "%s", e->d_name);
        else if (rename(from, to) != 0)
            st = snug_fail_sys(err, errno, "rename %s", from);
    }
    (void)closedir(d);
    return st;
}

snug_status vcs_push_keep(vcs_push *p, snug_err *err)
{
    static const char *const kinds[] = {".pack", ".rev", ".idx"};
    snug_status              st = SNUG_OK;
    char                     folder[VCS_PATH_MAX];

    if (p->quarantine == NULL) return SNUG_OK;
    for (size_t i = 0; i < 3; i++) SNUG_TRY(move_kind(p, kinds[i], err));
    (void)snprintf(folder, sizeof folder, "%s/objects/pack", p->path);
    SNUG_TRY(snug_fsync_dir(folder, err));
done:
    return st;
}

/* ---- the answer ---- */

void vcs_push_report(const vcs_push *p, snug_buf *out)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init((size_t)REFS_MAX * (VCS_REF_MAX + 300) + 1024);

    if (p->side_band) vcs_pkt_band(out, 2, snug_buf_slice(&p->said));
    if (p->report) {
        if (p->unpack.ptr != NULL)
            vcs_pkt_putf(&b, "unpack %.*s\n", SNUG_SLICE(p->unpack));
        else
            vcs_pkt_putf(&b, "unpack ok\n");
        for (size_t i = 0; i < p->ref_count; i++) {
            const vcs_push_ref *r = &p->refs[i];
            if (r->refused.ptr == NULL)
                vcs_pkt_putf(&b, "ok %.*s\n", SNUG_SLICE(r->ref));
            else
                vcs_pkt_putf(&b, "ng %.*s %.*s\n", SNUG_SLICE(r->ref), SNUG_SLICE(r->refused));
        }
        vcs_pkt_flush(&b);
        if (p->side_band)
            vcs_pkt_band(out, 1, snug_buf_slice(&b));
        else
            snug_buf_put_slice(out, snug_buf_slice(&b));
    }
    if (p->side_band) vcs_pkt_flush(out);
}
