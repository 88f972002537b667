/* SPDX-License-Identifier: Apache-2.0 */
/* sandbox/sandbox.h - runs a child program on bytes we do not trust: git, media decoders.
 *
 * The child gets three pipes and nothing else of ours: no descriptor, no environment, no signal
 * mask. It has limits on time, memory, files and tasks, dies with the thread that runs it, and
 * takes all it started with it. Where the machine allows bubblewrap it sees only the folders named
 * for it and no network; a seccomp filter refuses what no decoder and no git needs everywhere. */
#ifndef SNUG_SANDBOX_SANDBOX_H
#define SNUG_SANDBOX_SANDBOX_H

#include "base/base.h"

/* What this machine allows, found out once. Any number of threads may use one. */
typedef struct sandbox sandbox;

/* Tries bubblewrap by running it; when it cannot make its namespaces, one warning is logged and
 * children run with the limits and the filter alone. */
snug_status sandbox_open(sandbox **out, snug_err *err) SNUG_MUST_USE;
void        sandbox_close(sandbox *s); /* NULL is fine; no child may be running */
/* Children see only the folders named for them, and no network. */
bool sandbox_is_confined(const sandbox *s);

/* Zero means the default beside the field. */
typedef struct sandbox_limits {
    unsigned wall_ms;    /* 10 min, from start to end */
    unsigned cpu_s;      /* 300 s of processor time, for each process */
    uint64_t memory_max; /* 4 GiB of address space, for each process */
    uint64_t file_max;   /* 1 GiB for the largest file it writes */
    unsigned files_max;  /* 256 descriptors */
    unsigned tasks_max; /* 8192: the kernel counts the whole account, so a bound on runaways only */
} sandbox_limits;

typedef struct sandbox_job {
    const char *const *argv;                  /* NULL-ended; argv[0] is an absolute path */
    const char *const *env;                   /* "NAME=value", NULL-ended: all there is */
    const char        *dir;                   /* where it starts; NULL: "/" */
    const char *const *reads, *const *writes; /* folders it may see; NULL-ended or NULL */
    sandbox_limits limits;
    /* Its input, pulled as it reads; *got 0 is the end. NULL: none. May wait. */
    snug_status (*pull)(void *arg, void *p, size_t n, size_t *got, snug_err *err);
    /* Its output as it comes. NULL: dropped. May wait: the child feels it. */
    snug_status (*push)(void *arg, snug_slice bytes, snug_err *err);
    /* Asked a few times a second: true ends it with SNUG_ECANCELED. May be NULL. */
    bool (*gone)(void *arg);
    void     *arg;
    snug_buf *errors; /* what it says on stderr, up to the buffer's max; may be NULL */
} sandbox_job;

typedef struct sandbox_end {
    int code;   /* exit code; -1 when a signal ended it */
    int signal; /* 0: it ended by itself */
} sandbox_end;

/* Runs one child to its end, in this thread; how it ended is in *end. Fails when it could not be
 * started, took longer than its wall time (SNUG_ETIMEOUT), was not wanted any more
 * (SNUG_ECANCELED), or when pull or push failed: then it is killed and that error returned. */
snug_status sandbox_run(sandbox *s, const sandbox_job *job, sandbox_end *end,
                        snug_err *err) SNUG_MUST_USE;

#endif
