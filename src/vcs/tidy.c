/* SPDX-License-Identifier: Apache-2.0 */
/* vcs/tidy.c - many packs become one, and what nothing reaches goes after a while.
 *
 *   all packs but the largest, all loose objects
 *     ├─ reached by a ref or by one of the ids given   -> one new pack
 *     ├─ by nothing, but young                         -> another, with the time of the youngest
 *     └─ by nothing, and older than the grace          -> in neither
 *   vcs_tidy_land: the new packs move in, then the old files go
 *
 * git itself packs, in the sandbox, into a quarantine folder; nothing of the repository changes
 * before vcs_tidy_land. Objects written meanwhile are in no list and stay where they are.
 *
 * For:     hub/tidy.c.
 * Owns:    objects/incoming-* of its own while it works.
 * Threads: one tidying a repository at a time; readers, commits and pushes go on beside it. When
 *          something is dropped the caller sees to it that nobody writes during the landing.
 * Truth:   an old file goes only after every object of it that is kept is in a pack whose index is
 *          durable: the new index is read and compared. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "vcs/vcs_int.h"

enum {
    IDX_HEAD = 8 + 256 * 4,
    OID = 20,
    SAID_MAX = 16 << 10,
    WALL_MS = 6 * 3600 * 1000,
    CPU_S = 3600,
    LINE = 41
};
#define LEAVE_ALONE (UINT64_C(512) << 20) /* packs from this size on are as they should be */
#define IDX_MAX (UINT64_C(1) << 32)

typedef struct source {
    char    name[48]; /* "pack-<hex>" or a loose object's hex */
    bool    loose;
    int64_t mtime_ms;
} source;

typedef struct ids {
    git_oid *v;
    size_t   count, cap, at; /* at: given to git so far, in bytes */
} ids;

struct vcs_tidy {
    vcs        *v;
    char       *path, *quarantine;
    source     *sources;
    size_t      count, cap;
    vcs_oidset  reached, listed;
    ids         keep, young;
    size_t      dropped;
    int64_t     edge_ms, young_ms; /* young_ms: of the youngest file that gave one to `young` */
    snug_sha256 refs;
    snug_buf    line, in;
};

/* A path cut short names nothing that is there. */
static SNUG_PRINTF(2, 3) void path_of(char out[VCS_PATH_MAX], const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(out, VCS_PATH_MAX, fmt, ap);
    va_end(ap);
}

static void put_id(ids *l, const git_oid *id)
{
    if (l->count == l->cap) {
        l->cap = l->cap == 0 ? 1024 : 2 * l->cap;
        l->v = snug_realloc(l->v, l->cap * sizeof *l->v);
    }
    l->v[l->count++] = *id;
}

static bool has_id(const vcs_oidset *s, const git_oid *id)
{
    uint64_t h;
    if (git_oid_is_zero(id)) return s->has_zero;
    if (s->slot == NULL) return false;
    memcpy(&h, id->id, sizeof h);
    for (size_t i = (size_t)h & s->mask; !git_oid_is_zero(&s->slot[i]); i = (i + 1) & s->mask)
        if (git_oid_equal(&s->slot[i], id)) return true;
    return false;
}

/* ---- what is there ---- */

static void add_source(vcs_tidy *t, snug_slice name, bool loose, const struct stat *sb)
{
    if (t->count == t->cap) {
        t->cap = t->cap == 0 ? 64 : 2 * t->cap;
        t->sources = snug_realloc(t->sources, t->cap * sizeof *t->sources);
    }
    source *s = &t->sources[t->count++];
    *s = (source){.loose = loose,
                  .mtime_ms = (int64_t)sb->st_mtim.tv_sec * 1000 + sb->st_mtim.tv_nsec / 1000000};
    (void)snprintf(s->name, sizeof s->name, "%.*s", SNUG_SLICE(name));
}

static bool is_pack_name(snug_slice name)
{
    unsigned char raw[OID];
    return name.len == 5 + 2 * OID && snug_starts_with(name, "pack-") &&
           snug_unhex(snug_sub(name, 5, 2 * OID), raw, sizeof raw);
}

/* A pack that somebody asked to be kept (.keep), or one without an index, is not ours to move. */
static void see_pack(vcs_tidy *t, const char *folder, snug_slice file)
{
    struct stat sb;
    char        path[VCS_PATH_MAX];
    snug_slice  name = snug_sub(file, 0, file.len - 5);
    if (!snug_ends_with(file, ".pack") || !is_pack_name(name)) return;
    path_of(path, "%s/%.*s.keep", folder, SNUG_SLICE(name));
    if (access(path, F_OK) == 0) return;
    path_of(path, "%s/%.*s.idx", folder, SNUG_SLICE(name));
    if (access(path, F_OK) != 0) return;
    path_of(path, "%s/%.*s.pack", folder, SNUG_SLICE(name));
    if (stat(path, &sb) == 0 && (uint64_t)sb.st_size < LEAVE_ALONE) add_source(t, name, false, &sb);
}

static void see_loose(vcs_tidy *t, const char *folder, const char *two, snug_slice file)
{
    struct stat sb;
    char        path[VCS_PATH_MAX], hex[48];
    vcs_oid     id;
    (void)snprintf(hex, sizeof hex, "%s%.*s", two, (int)(file.len < 40 ? file.len : 40), file.ptr);
    path_of(path, "%s/%.*s", folder, SNUG_SLICE(file));
    if (vcs_oid_parse(snug_str(hex), &id) && stat(path, &sb) == 0)
        add_source(t, snug_str(hex), true, &sb);
}

static void see_folder(vcs_tidy *t, const char *name)
{
    char           folder[VCS_PATH_MAX];
    struct dirent *e;
    path_of(folder, "%s/objects/%s", t->path, name);
    DIR *d = opendir(folder);
    if (d == NULL) return;
    while ((e = readdir(d)) != NULL) {
        if (strcmp(name, "pack") == 0)
            see_pack(t, folder, snug_str(e->d_name));
        else
            see_loose(t, folder, name, snug_str(e->d_name));
    }
    (void)closedir(d);
}

static void see_all(vcs_tidy *t)
{
    see_folder(t, "pack");
    for (unsigned i = 0; i < 256; i++) {
        char two[3];
        (void)snprintf(two, sizeof two, "%02x", i);
        see_folder(t, two);
    }
}

snug_status vcs_count_files(vcs *v, snug_slice key, uint64_t *packs, uint64_t *loose, snug_err *err)
{
    vcs_tidy t = {.v = v};
    *packs = *loose = 0;
    if (!vcs_repo_exists(v, key))
        return snug_fail(err, SNUG_ENOTFOUND, "there is no such git repository");
    t.path = vcs_key_path(v, key);
    see_all(&t);
    for (size_t i = 0; i < t.count; i++) ++*(t.sources[i].loose ? loose : packs);
    free(t.sources);
    free(t.path);
    return SNUG_OK;
}

/* ---- ids of a pack, from its index (version 2): "\377tOc" 2, fan-out, ids in order, ... ---- */

typedef snug_status id_fn(vcs_tidy *t, const git_oid *id, const source *from, snug_err *err);

static snug_status each_in_index(vcs_tidy *t, const char *path, const source *from, id_fn *fn,
                                 snug_err *err)
{
    snug_status    st = SNUG_OK;
    struct stat    sb;
    unsigned char  head[IDX_HEAD], *all = NULL;
    static uint8_t magic[8] = {0xff, 't', 'O', 'c', 0, 0, 0, 2};
    int            fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) return snug_fail_sys(err, errno, "open %s", path);
    if (fstat(fd, &sb) != 0 || sb.st_size < IDX_HEAD)
        SNUG_FAIL(err, SNUG_ECORRUPT, "the index of a pack is damaged");
    SNUG_TRY(snug_pread_all(fd, head, sizeof head, 0, err));
    const unsigned char *f = head + IDX_HEAD - 4;
    uint64_t n = (uint64_t)f[0] << 24 | (uint64_t)f[1] << 16 | (uint64_t)f[2] << 8 | f[3];
    if (memcmp(head, magic, sizeof magic) != 0 || n * OID > (uint64_t)sb.st_size - IDX_HEAD ||
        n * OID > IDX_MAX)
        SNUG_FAIL(err, SNUG_ECORRUPT, "the index of a pack is damaged");
    all = snug_alloc((size_t)n * OID + 1);
    SNUG_TRY(snug_pread_all(fd, all, (size_t)n * OID, IDX_HEAD, err));
    for (uint64_t i = 0; i < n; i++) {
        git_oid id = {{0}};
        memcpy(id.id, all + i * OID, OID);
        SNUG_TRY(fn(t, &id, from, err));
    }
done:
    free(all);
    (void)close(fd);
    return st;
}

static snug_status each_of(vcs_tidy *t, const source *s, id_fn *fn, snug_err *err)
{
    char    path[VCS_PATH_MAX];
    vcs_oid id;
    if (s->loose) {
        if (!vcs_oid_parse(snug_str(s->name), &id)) return SNUG_OK;
        return fn(t, vcs_git_oid(&id), s, err);
    }
    path_of(path, "%s/objects/pack/%s.idx", t->path, s->name);
    return each_in_index(t, path, s, fn, err);
}

/* ---- what is reached ---- */

static snug_status pull_in(void *arg, void *p, size_t n, size_t *got, snug_err *err)
{
    vcs_tidy  *t = arg;
    snug_slice left = snug_sub(snug_buf_slice(&t->in), t->young.at, n);
    (void)err;
    if (left.len > 0) memcpy(p, left.ptr, left.len);
    t->young.at += left.len;
    *got = left.len;
    return SNUG_OK;
}

/* Lines "<id>" or "<id> <path>"; a path may be long, its rest is passed over. */
static snug_status push_reached(void *arg, snug_slice bytes, snug_err *err)
{
    vcs_tidy *t = arg;
    (void)err;
    while (bytes.len > 0) {
        size_t     end = snug_index(bytes, '\n');
        snug_slice part = snug_sub(bytes, 0, end == SIZE_MAX ? bytes.len : end);
        if (t->line.len < LINE - 1)
            snug_buf_put_slice(&t->line, snug_sub(part, 0, LINE - 1 - t->line.len));
        if (end == SIZE_MAX) break;
        vcs_oid id;
        if (vcs_oid_parse(snug_buf_slice(&t->line), &id))
            (void)vcs_oidset_add(&t->reached, vcs_git_oid(&id));
        snug_buf_clear(&t->line);
        bytes = snug_sub(bytes, end + 1, bytes.len);
    }
    return SNUG_OK;
}

static snug_status run(vcs_tidy *t, const char *const *args, const char *quarantine,
                       const vcs_pipe *io, snug_err *err)
{
    sandbox_end end;
    SNUG_AUTO(snug_buf) errors = snug_buf_init(SAID_MAX);
    vcs_git_job job = {
        .path = t->path,
        .quarantine = quarantine,
        .args = args,
        .limits = {.wall_ms = WALL_MS, .cpu_s = CPU_S, .file_max = UINT64_C(1) << 42},
        .io = io,
        .errors = &errors};
    snug_status st = vcs_run_git(t->v, &job, &end, err);
    if (st == SNUG_OK && (end.code != 0 || end.signal != 0))
        st = snug_fail_sys(err, EIO, "git %s: %.*s", args[0],
                           SNUG_SLICE(snug_sub(snug_buf_slice(&errors), 0, 400)));
    return st;
}

static snug_status find_reached(vcs_tidy *t, const vcs_oid *more, size_t n, snug_err *err)
{
    static const char *const args[] = {"rev-list",         "--objects", "--all",
                                       "--ignore-missing", "--stdin",   NULL};
    vcs_pipe                 io = {.pull = pull_in, .push = push_reached, .arg = t};
    char                     hex[41];
    for (size_t i = 0; i < n; i++) {
        vcs_oid_hex(&more[i], hex);
        snug_buf_printf(&t->in, "%s\n", hex);
    }
    snug_status st = snug_buf_check(&t->in, "the list of commits", err);
    return st == SNUG_OK ? run(t, args, NULL, &io, err) : st;
}

/* ---- packing ---- */

bool vcs_tidy_worth(const vcs_tidy *t)
{
    size_t best = (t->keep.count > 0 ? 1u : 0u) + (t->young.count > 0 ? 1u : 0u);
    return t->dropped > 0 || t->count > best || (t->count == 1 && t->sources[0].loose);
}

static snug_status sort_one(vcs_tidy *t, const git_oid *id, const source *from, snug_err *err)
{
    (void)err;
    bool old = from->mtime_ms < t->edge_ms;
    if (has_id(&t->reached, id)) {
        if (vcs_oidset_add(&t->listed, id)) put_id(&t->keep, id);
    } else if (!old && vcs_oidset_add(&t->listed, id)) {
        put_id(&t->young, id);
        if (from->mtime_ms > t->young_ms) t->young_ms = from->mtime_ms;
    } else if (old && !has_id(&t->listed, id)) {
        t->dropped++; /* perhaps kept for another, younger copy: then too many are counted */
    }
    return SNUG_OK;
}

static snug_status pull_ids(void *arg, void *p, size_t n, size_t *got, snug_err *err)
{
    ids *l = arg;
    char hex[41];
    (void)err;
    *got = 0;
    while (l->at < l->count * LINE && *got < n) {
        vcs_oid id = vcs_oid_of(&l->v[l->at / LINE]);
        vcs_oid_hex(&id, hex);
        hex[40] = '\n';
        size_t from = l->at % LINE, take = LINE - from < n - *got ? LINE - from : n - *got;
        memcpy((char *)p + *got, hex + from, take);
        l->at += take;
        *got += take;
    }
    return SNUG_OK;
}

static snug_status pack_ids(vcs_tidy *t, ids *l, const char *sub, snug_err *err)
{
    char        base[VCS_PATH_MAX], folder[VCS_PATH_MAX];
    const char *args[] = {"pack-objects", "--quiet", "--delta-base-offset", base, NULL};
    vcs_pipe    io = {.pull = pull_ids, .arg = l};
    l->at = 0;
    if (l->count == 0) return SNUG_OK;
    path_of(folder, "%s/%s", t->quarantine, sub);
    path_of(base, "%s/pack", folder);
    snug_status st = snug_mkdirs(folder, 0700, err);
    return st == SNUG_OK ? run(t, args, t->quarantine, &io, err) : st;
}

static snug_status pack_all(vcs_tidy *t, int64_t edge_ms, snug_err *err)
{
    snug_status st = SNUG_OK;
    size_t      n = strlen(t->path) + 64;

    t->edge_ms = edge_ms;
    for (size_t i = 0; i < t->count; i++) SNUG_TRY(each_of(t, &t->sources[i], sort_one, err));
    if (!vcs_tidy_worth(t)) goto done;
    t->quarantine = snug_alloc(n);
    (void)snprintf(t->quarantine, n, "%s/objects/incoming-%016llx", t->path,
                   (unsigned long long)snug_random_u64());
    SNUG_TRY(snug_mkdirs(t->quarantine, 0700, err));
    SNUG_TRY(pack_ids(t, &t->keep, "keep", err));
    SNUG_TRY(pack_ids(t, &t->young, "young", err));
done:
    return st;
}

/* ---- refs as they stood ---- */

static snug_status digest_refs(vcs_repo *r, snug_sha256 *out, snug_err *err)
{
    git_reference_iterator *it = NULL;
    git_reference          *ref = NULL;
    snug_buf                b = snug_buf_init(1u << 30);
    int                     rc = git_reference_iterator_new(&it, r->git);
    while (rc == 0 && (rc = git_reference_next(&ref, it)) == 0) {
        if (git_reference_type(ref) == GIT_REFERENCE_DIRECT)
            snug_buf_printf(&b, "%s %s\n", git_oid_tostr_s(git_reference_target(ref)),
                            git_reference_name(ref));
        git_reference_free(ref);
    }
    git_reference_iterator_free(it);
    *out = snug_sha256_of(snug_buf_slice(&b));
    snug_buf_deinit(&b);
    return rc == GIT_ITEROVER ? SNUG_OK : vcs_fail_git(err, "listing refs");
}

static snug_status read_refs(vcs *v, snug_slice key, snug_sha256 *out, snug_err *err)
{
    vcs_repo   *r = NULL;
    snug_status st = vcs_acquire(v, key, &r, err);
    if (st == SNUG_OK) st = digest_refs(r, out, err);
    vcs_release(r);
    return st;
}

snug_status vcs_tidy_same_refs(const vcs_tidy *t, snug_slice key, bool *same, snug_err *err)
{
    snug_sha256 now;
    snug_status st = read_refs(t->v, key, &now, err);
    *same = st == SNUG_OK && memcmp(&now, &t->refs, sizeof now) == 0;
    return st;
}

/* ---- in and out ---- */

snug_status vcs_tidy_open(vcs *v, snug_slice key, const vcs_oid *more, size_t n, int64_t edge_ms,
                          vcs_tidy **out, snug_err *err)
{
    snug_status st = SNUG_OK;
    vcs_tidy   *t = snug_zalloc(sizeof *t);

    *out = NULL;
    t->v = v;
    t->line = snug_buf_init(LINE);
    t->in = snug_buf_init(256u << 20);
    SNUG_TRY(read_refs(v, key, &t->refs, err));
    t->path = vcs_key_path(v, key);
    see_all(t); /* before what is reached: a later object is in no list */
    SNUG_TRY(find_reached(t, more, n, err));
    SNUG_TRY(pack_all(t, edge_ms, err));
    *out = t;
    t = NULL;
done:
    vcs_tidy_close(t);
    return st;
}

size_t vcs_tidy_dropped(const vcs_tidy *t) { return t->dropped; }
size_t vcs_tidy_young(const vcs_tidy *t) { return t->young.count; }

static snug_status forget_id(vcs_tidy *t, const git_oid *id, const source *from, snug_err *err)
{
    (void)from;
    (void)err;
    (void)vcs_oidset_add(&t->reached, id); /* used anew: what the new packs hold */
    return SNUG_OK;
}

/* The pack before its index, as in push.c. Its time is that of what it was made of. */
static snug_status move_in(vcs_tidy *t, const char *from, int64_t mtime_ms, snug_err *err)
{
    char            to[VCS_PATH_MAX];
    const char     *name = strrchr(from, '/') + 1;
    struct timespec at[2] = {
        {.tv_nsec = UTIME_OMIT},
        {.tv_sec = (time_t)(mtime_ms / 1000), .tv_nsec = (long)(mtime_ms % 1000) * 1000000}};
    path_of(to, "%s/objects/pack/%s", t->path, name);
    if (mtime_ms > 0) (void)utimensat(AT_FDCWD, from, at, 0);
    if (rename(from, to) != 0) return snug_fail_sys(err, errno, "rename %s", from);
    return SNUG_OK;
}

/* Names of the packs that were made come back in `made`, so that none of them is taken for old. */
static snug_status move_folder(vcs_tidy *t, const char *sub, int64_t mtime_ms, char made[48],
                               snug_err *err)
{
    static const char *const exts[] = {".pack", ".rev", ".idx"};
    snug_status              st = SNUG_OK;
    char                     folder[VCS_PATH_MAX], path[VCS_PATH_MAX];
    struct dirent           *e;

    made[0] = '\0';
    path_of(folder, "%s/%s", t->quarantine, sub);
    for (size_t i = 0; i < 3 && st == SNUG_OK; i++) {
        DIR *d = opendir(folder);
        if (d == NULL) return SNUG_OK; /* there was nothing of this kind */
        while (st == SNUG_OK && (e = readdir(d)) != NULL) {
            snug_slice name = snug_str(e->d_name);
            if (!snug_starts_with(name, "pack-") || !snug_ends_with(name, exts[i])) continue;
            path_of(path, "%s/%s", folder, e->d_name);
            if (i == 0) {
                (void)snprintf(made, 48, "%.*s", (int)name.len - 5, name.ptr);
                char idx[VCS_PATH_MAX];
                path_of(idx, "%s/%s.idx", folder, made);
                st = each_in_index(t, idx, NULL, forget_id, err);
            }
            if (st == SNUG_OK) st = move_in(t, path, mtime_ms, err);
        }
        (void)closedir(d);
    }
    return st;
}

static bool holds_all(const vcs_tidy *t, const ids *l)
{
    for (size_t i = 0; i < l->count; i++)
        if (!has_id(&t->reached, &l->v[i])) return false;
    return true;
}

static void remove_source(const vcs_tidy *t, const source *s)
{
    static const char *const exts[] = {".idx", ".rev", ".bitmap", ".mtimes", ".pack"};
    char                     path[VCS_PATH_MAX];
    if (s->loose) {
        path_of(path, "%s/objects/%.2s/%s", t->path, s->name, s->name + 2);
        (void)unlink(path);
        return;
    }
    for (size_t i = 0; i < sizeof exts / sizeof exts[0]; i++) { /* no index: nobody opens it anew */
        path_of(path, "%s/objects/pack/%s%s", t->path, s->name, exts[i]);
        (void)unlink(path);
    }
}

snug_status vcs_tidy_land(vcs_tidy *t, snug_err *err)
{
    snug_status st = SNUG_OK;
    char        folder[VCS_PATH_MAX], made[2][48];

    vcs_oidset_deinit(&t->reached);
    SNUG_TRY(move_folder(t, "keep", 0, made[0], err));
    SNUG_TRY(move_folder(t, "young", t->young_ms, made[1], err));
    path_of(folder, "%s/objects/pack", t->path);
    SNUG_TRY(snug_fsync_dir(folder, err));
    if (SNUG_FAULT("vcs.tidy")) {
        st = snug_fail_sys(err, errno, "tidying %s", t->path);
        goto done;
    }
    if (!holds_all(t, &t->keep) || !holds_all(t, &t->young))
        SNUG_FAIL(err, SNUG_ECORRUPT, "git did not pack all it was given; nothing was removed");
    for (size_t i = 0; i < t->count; i++) {
        const source *s = &t->sources[i];
        if (strcmp(s->name, made[0]) != 0 && strcmp(s->name, made[1]) != 0) remove_source(t, s);
    }
    SNUG_TRY(snug_fsync_dir(folder, err));
done:
    return st;
}

void vcs_tidy_close(vcs_tidy *t)
{
    if (t == NULL) return;
    if (t->quarantine != NULL) vcs_remove_quietly(t->quarantine);
    snug_buf_deinit(&t->line);
    snug_buf_deinit(&t->in);
    vcs_oidset_deinit(&t->reached);
    vcs_oidset_deinit(&t->listed);
    free(t->keep.v);
    free(t->young.v);
    free(t->sources);
    free(t->quarantine);
    free(t->path);
    free(t);
}
