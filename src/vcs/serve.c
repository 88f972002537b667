/* SPDX-License-Identifier: Apache-2.0 */
/* vcs/serve.c - the git program for what only it does: packs. Fetches, and what we tell pushers.
 *
 * git runs in a sandbox with settings of ours alone: no system or user configuration, no hooks, no
 * replace refs, no maintenance. It sees one repository, read-only; what a push brings goes to a
 * quarantine folder, the only one it may write.
 *
 * For:     api/git.c through vcs.h; push.c through vcs_run_git.
 * Owns:    the sandbox of the vcs.
 * Threads: any number of children at a time; the caller bounds them. */
#include "vcs/vcs_int.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { ARGS_MAX = 64, PROTOCOL_MAX = 256, ERRORS_MAX = 4096 };

/* Bounds of a fetch: counting and packing a large repository takes a while, and a slow client
 * longer still. */
enum { FETCH_WALL_MS = 6 * 3600 * 1000, FETCH_CPU_S = 3600, ADVERTISE_WALL_MS = 60 * 1000 };
#define GIT_MEMORY_MAX (UINT64_C(8) << 30)

static const char *const settings[] = {
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.packedGitWindowSize=32m",
    "core.packedGitLimit=512m",
    "core.bigFileThreshold=16m", /* larger objects are copied and not held */
    "safe.directory=*",          /* the folder may belong to another account than the server's */
    "gc.auto=0",
    "maintenance.auto=false",
    "pack.threads=2",
    "pack.windowMemory=64m",
    "pack.deltaCacheSize=64m",
    "transfer.fsckObjects=true",
    "uploadpack.allowFilter=true",
    "uploadpack.allowAnySHA1InWant=true", /* a partial clone asks for blobs one by one */
};

static const char *find_git(void)
{
    static const char *const places[] = {"/usr/bin/git", "/bin/git", "/usr/local/bin/git"};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (access(places[i], X_OK) == 0) return places[i];
    }
    return NULL;
}

/* The first two to come may both make one; one of them wins. */
static snug_status get_box(vcs *v, sandbox **out, snug_err *err)
{
    sandbox *none = NULL, *mine = NULL;
    *out = atomic_load(&v->box);
    if (*out != NULL) return SNUG_OK;
    snug_status st = sandbox_open(&mine, err);
    if (st != SNUG_OK) return st;
    if (atomic_compare_exchange_strong(&v->box, &none, mine)) {
        *out = mine;
    } else {
        *out = none;
        sandbox_close(mine);
    }
    return SNUG_OK;
}

/* It goes into the environment: only what a protocol can be. */
static bool protocol_ok(snug_slice s)
{
    if (s.len == 0 || s.len > PROTOCOL_MAX) return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!word && strchr("=:.-_", c) == NULL) return false;
    }
    return true;
}

/* A path as GIT_ALTERNATE_OBJECT_DIRECTORIES wants it: in quotes it may hold a colon. */
static const char *alternate(snug_arena *a, const char *path)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(2 * VCS_PATH_MAX);
    snug_buf_puts(&b, "GIT_ALTERNATE_OBJECT_DIRECTORIES=\"");
    for (const char *p = path; *p != '\0'; p++) {
        if (*p == '"' || *p == '\\') snug_buf_putc(&b, '\\');
        snug_buf_putc(&b, *p);
    }
    snug_buf_puts(&b, "/objects\"");
    return snug_arena_cstr(a, snug_buf_slice(&b));
}

snug_status vcs_run_git(vcs *v, const vcs_git_job *job, sandbox_end *end, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    sandbox    *box;
    const char *argv[ARGS_MAX] = {find_git()}, *env[16] = {NULL};
    const char *reads[] = {job->path, NULL}, *writes[] = {job->quarantine, NULL};
    size_t      n = 1, e = 0;

    if (argv[0] == NULL) SNUG_FAIL(err, SNUG_EUNSUPPORTED, "git is not installed on this server");
    SNUG_TRY(get_box(v, &box, err));
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        argv[n++] = "-c";
        argv[n++] = settings[i];
    }
    for (size_t i = 0; job->args[i] != NULL; i++) {
        SNUG_ASSERT(n + 1 < ARGS_MAX);
        argv[n++] = job->args[i];
    }
    static const char *const fixed[] = {
        "PATH=/usr/bin:/bin",    "HOME=/nonexistent",           "LC_ALL=C",
        "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0",
        "GIT_OPTIONAL_LOCKS=0",  "GIT_NO_REPLACE_OBJECTS=1",    "GIT_NO_LAZY_FETCH=1"};
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) env[e++] = fixed[i];
    env[e++] = snug_arena_printf(a, "GIT_DIR=%s", job->path).ptr;
    if (job->quarantine != NULL) {
        env[e++] = snug_arena_printf(a, "GIT_OBJECT_DIRECTORY=%s", job->quarantine).ptr;
        env[e++] = alternate(a, job->path);
    }
    if (protocol_ok(job->protocol))
        env[e++] = snug_arena_printf(a, "GIT_PROTOCOL=%.*s", SNUG_SLICE(job->protocol)).ptr;
    sandbox_job s = {.argv = argv,
                     .env = env,
                     .dir = job->path,
                     .reads = reads,
                     .writes = writes,
                     .limits = job->limits,
                     .pull = job->io->pull,
                     .push = job->io->push,
                     .gone = job->io->gone,
                     .arg = job->io->arg,
                     .errors = job->errors};
    if (s.limits.memory_max == 0) s.limits.memory_max = GIT_MEMORY_MAX;
    SNUG_TRY(sandbox_run(box, &s, end, err));
done:
    snug_arena_free(a);
    return st;
}

/* ---- fetching ---- */

snug_status vcs_serve_fetch(vcs *v, snug_slice key, snug_slice protocol, bool advertise,
                            const vcs_pipe *io, snug_err *err)
{
    snug_status st = SNUG_OK;
    char       *path = NULL;
    sandbox_end end;
    SNUG_AUTO(snug_buf) said = snug_buf_init(ERRORS_MAX);

    if (!vcs_repo_exists(v, key))
        return snug_fail_code(err, SNUG_ENOTFOUND, "RepoNotFound",
                              "there is no such git repository");
    path = vcs_key_path(v, key);
    const char *first[] = {"upload-pack", "--strict", "--stateless-rpc", "--http-backend-info-refs",
                           path,          NULL};
    const char *later[] = {"upload-pack", "--strict", "--stateless-rpc", path, NULL};
    vcs_git_job job = {
        .path = path,
        .args = advertise ? first : later,
        .protocol = protocol,
        .limits = {.wall_ms = advertise ? ADVERTISE_WALL_MS : FETCH_WALL_MS, .cpu_s = FETCH_CPU_S},
        .io = io,
        .errors = &said};
    SNUG_TRY(vcs_run_git(v, &job, &end, err));
    /* It told the client itself what was wrong with the request, in its own protocol. */
    if (end.code != 0)
        snug_log(SNUG_INFO, "vcs.fetch", "key=%.*s code=%d signal=%d said=%.*s", SNUG_SLICE(key),
                 end.code, end.signal, SNUG_SLICE(snug_trim(snug_buf_slice(&said))));
    if (end.signal != 0)
        st = snug_fail_sys(err, EIO, "git upload-pack was ended by signal %d", end.signal);
done:
    free(path);
    return st;
}

/* ---- what pushers are told ---- */

static const char can[] = "report-status delete-refs side-band-64k quiet atomic ofs-delta "
                          "object-format=sha1 agent=snug/" SNUG_VERSION;

snug_status vcs_advertise_push(vcs_repo *r, snug_buf *out, snug_err *err)
{
    git_reference_iterator *it = NULL;
    git_reference          *ref = NULL;
    bool                    any = false;
    int                     rc = git_reference_iterator_new(&it, r->git);

    while (rc == 0 && (rc = git_reference_next(&ref, it)) == 0) {
        const char *name = git_reference_name(ref);
        if (git_reference_type(ref) == GIT_REFERENCE_DIRECT) {
            SNUG_AUTO(snug_buf) line = snug_buf_init(VCS_REF_MAX + 512);
            snug_buf_printf(&line, "%s %s", git_oid_tostr_s(git_reference_target(ref)), name);
            if (!any) {
                snug_buf_putc(&line, '\0');
                snug_buf_puts(&line, can);
            }
            snug_buf_putc(&line, '\n');
            if (!line.full) vcs_pkt_put(out, snug_buf_slice(&line));
            any = any || !line.full;
        }
        git_reference_free(ref);
    }
    git_reference_iterator_free(it);
    if (rc != GIT_ITEROVER) return vcs_fail_git(err, "listing refs");
    if (!any) {
        SNUG_AUTO(snug_buf) line = snug_buf_init(512);
        snug_buf_printf(&line, "%040d capabilities^{}", 0);
        snug_buf_putc(&line, '\0');
        snug_buf_printf(&line, "%s\n", can);
        vcs_pkt_put(out, snug_buf_slice(&line));
    }
    vcs_pkt_flush(out);
    return snug_buf_check(out, "the list of refs", err);
}
