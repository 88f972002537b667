/* SPDX-License-Identifier: Apache-2.0 */
/* tests/cli/shell.h - runs the program itself in a folder of its own and keeps what it said. */
#ifndef SNUG_TESTS_CLI_SHELL_H
#define SNUG_TESTS_CLI_SHELL_H

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/cli_int.h"

static char program[1024];

typedef struct result {
    int   code, signal;
    char *out, *err;
} result;
typedef struct place {
    char        dir[64];
    pid_t       server;
    char        url[64];
    unsigned    runs;
    snug_arena *a;
} place;

static inline const char *at(place *p, const char *rel)
{
    return snug_arena_printf(p->a, "%s/%s", p->dir, rel).ptr;
}

static inline char *slurp(place *p, const char *path)
{
    snug_slice s = SNUG_EMPTY;
    snug_err   err = {0};
    if (snug_read_file(p->a, path, 16 << 20, &s, &err) != SNUG_OK)
        fail_msg("%s: %s", path, err.cause);
    return snug_arena_cstr(p->a, s);
}

static inline void open_as(const char *path, int flags, int as)
{
    int fd = open(path, flags, 0600);
    if (fd < 0 || dup2(fd, as) < 0) _exit(120);
}

static inline pid_t start(place *p, const char *in, const char *out, const char *err, char **argv,
                          const char *faults)
{
    const char *input = at(p, "stdin"), *data = at(p, "data"), *home = at(p, "home");
    snug_err    e = {0};
    assert_int_equal(snug_write_file_atomic(input, snug_str(in), 0600, &e), SNUG_OK);
    pid_t pid = fork();
    if (pid == 0) {
        open_as(input, O_RDONLY, 0);
        open_as(out, O_WRONLY | O_CREAT | O_TRUNC, 1);
        open_as(err, O_WRONLY | O_CREAT | O_TRUNC, 2);
        setenv("HOME", home, 1);
        setenv("HF_HOME", home, 1);
        setenv("SNUG_DATA", data, 1);
        setenv("HF_ENDPOINT", p->url, 1);
        unsetenv("HF_TOKEN");
        unsetenv("HF_HUB_CACHE");
        unsetenv("HF_HUB_OFFLINE");
        unsetenv("XDG_CACHE_HOME");
        if (faults != NULL) setenv("SNUG_FAULTS", faults, 1);
        (void)execv(program, argv);
        _exit(121);
    }
    assert_true(pid > 0);
    return pid;
}

/* Words up to NULL; the first is what standard input holds, the second SNUG_FAULTS or NULL. */
static inline result run(place *p, const char *in, const char *faults, ...)
{
    char       *argv[40] = {program};
    int         n = 1, status;
    va_list     ap;
    const char *out = snug_arena_printf(p->a, "%s/out%u", p->dir, ++p->runs).ptr,
               *err = snug_arena_printf(p->a, "%s/err%u", p->dir, p->runs).ptr;
    va_start(ap, faults);
    for (const char *w; (w = va_arg(ap, const char *)) != NULL;)
        argv[n++] = snug_arena_cstr(p->a, snug_str(w));
    va_end(ap);
    pid_t pid = start(p, in, out, err, argv, faults);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return (result){WIFEXITED(status) ? WEXITSTATUS(status) : -1,
                    WIFSIGNALED(status) ? WTERMSIG(status) : 0, slurp(p, out), slurp(p, err)};
}

#define RUN(...) run(p, "", NULL, __VA_ARGS__, NULL)
#define EXPECT(r, want)                                                                            \
    do {                                                                                           \
        if ((r).code != (want)) fail_msg("ended with %d\n%s\n%s", (r).code, (r).out, (r).err);     \
    } while (0)

static inline snug_json json_of(place *p, const char *text)
{
    snug_json v;
    snug_err  err = {0};
    if (snug_json_parse(p->a, snug_str(text), NULL, &v, &err) != SNUG_OK)
        fail_msg("%s in %s", err.msg, text);
    return v;
}

/* The program stands at <build>/snug, a test at <build>/tests/cli/test_cli_x. */
static inline bool find_program(void)
{
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    if (n <= 0) return false;
    for (unsigned up = 0; up < 3; up++) *strrchr(program, '/') = '\0';
    size_t len = strlen(program);
    (void)snprintf(program + len, sizeof program - len, "/snug");
    return access(program, X_OK) == 0;
}

static inline int open_place(place **out)
{
    place   *p = snug_zalloc(sizeof *p);
    snug_err err = {0};
    p->a = snug_arena_new();
    (void)snprintf(p->dir, sizeof p->dir, "/tmp/snug-house-XXXXXX");
    if (mkdtemp(p->dir) == NULL || snug_mkdirs(at(p, "home"), 0700, &err) != SNUG_OK) return -1;
    *out = p;
    return 0;
}

static inline void close_place(place *p)
{
    snug_err err = {0};
    assert_int_equal(snug_remove_tree(p->dir, &err), SNUG_OK);
    snug_arena_free(p->a);
    free(p);
}

#endif
