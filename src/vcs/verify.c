/* SPDX-License-Identifier: Apache-2.0 */
/* vcs/verify.c - is a repository whole? Asked of the git program, which looks at every object.
 *
 * For:     hub/fsck.c.
 * Threads: any; it reads beside commits and pushes. */
#include <stdlib.h>

#include "vcs/vcs_int.h"

enum { SAID_MAX = 16 << 10, VERIFY_WALL_MS = 3600000, VERIFY_CPU_S = 3600 };

static snug_status take_output(void *arg, snug_slice bytes, snug_err *err)
{
    (void)err;
    snug_buf_put_slice(arg, snug_sub(bytes, 0, 512)); /* the first words are enough */
    return SNUG_OK;
}

static bool is_notice(snug_slice line)
{
    return line.len == 0 || snug_starts_with(line, "notice:") ||
           snug_starts_with(line, "warning:") || snug_starts_with(line, "dangling ");
}

/* The first line that names damage. */
static snug_slice first_finding(snug_slice said)
{
    snug_slice line;
    while (said.len > 0 && snug_split(&said, '\n', &line))
        if (!is_notice(snug_trim(line))) return snug_trim(line);
    return SNUG_EMPTY;
}

snug_status vcs_verify_repo(vcs *v, snug_slice key, snug_arena *a, snug_slice *damage,
                            snug_err *err)
{
    snug_status st = SNUG_OK;
    char       *path = NULL;
    sandbox_end end;
    SNUG_AUTO(snug_buf) said = snug_buf_init(SAID_MAX);
    SNUG_AUTO(snug_buf) errors = snug_buf_init(SAID_MAX);
    const char *args[] = {"fsck", "--full", "--no-dangling", "--no-progress", NULL};
    vcs_pipe    out = {.push = take_output, .arg = &said};

    *damage = SNUG_EMPTY;
    if (!vcs_repo_exists(v, key))
        return snug_fail_code(err, SNUG_ENOTFOUND, "RepoNotFound",
                              "there is no such git repository");
    path = vcs_key_path(v, key);
    vcs_git_job job = {.path = path,
                       .args = args,
                       .limits = {.wall_ms = VERIFY_WALL_MS, .cpu_s = VERIFY_CPU_S},
                       .io = &out,
                       .errors = &errors};
    SNUG_TRY(vcs_run_git(v, &job, &end, err));
    if (end.code == 0) goto done;
    snug_slice line = first_finding(snug_buf_slice(&errors));
    if (line.len == 0) line = first_finding(snug_buf_slice(&said));
    *damage = line.len > 0 ? snug_arena_dup(a, line)
                           : snug_arena_printf(a, "git fsck ended with %d", end.code);
done:
    free(path);
    return st;
}
