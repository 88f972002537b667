/* SPDX-License-Identifier: Apache-2.0 */
/* sandbox/sandbox_int.h - what the files of sandbox/ share. */
#ifndef SNUG_SANDBOX_INT_H
#define SNUG_SANDBOX_INT_H

#include "sandbox/sandbox.h"

#include <linux/filter.h>
#include <sys/types.h>

enum { SANDBOX_ARGS_MAX = 128, SANDBOX_FOLDERS_MAX = 16, SANDBOX_FILTER_MAX = 4096 };

struct sandbox {
    bool               confined; /* bubblewrap works here */
    size_t             filter_count;
    struct sock_filter filter[SANDBOX_FILTER_MAX];
};

/* A child that was started. */
typedef struct sandbox_child {
    pid_t pid;
    int   in, out, err; /* our ends, non-blocking; -1: closed */
} sandbox_child;

/* Fills s->filter. (filter.c) */
snug_status sandbox_make_filter(sandbox *s, snug_err *err) SNUG_MUST_USE;
/* Starts the child, `confined` or not; SNUG_EIO when it cannot be. (spawn.c) */
snug_status sandbox_spawn(const sandbox *s, const sandbox_job *job, bool confined,
                          sandbox_child *out, snug_err *err) SNUG_MUST_USE;
/* Kills the child with all it started, closes the pipes and waits. (spawn.c) */
void sandbox_reap(sandbox_child *c, bool kill_it, sandbox_end *end);

#endif
