/* SPDX-License-Identifier: Apache-2.0 */
/* tests/vcs/fixture.h - a vcs in a temporary folder, and the real git to compare it with. */
#ifndef SNUG_TESTS_VCS_FIXTURE_H
#define SNUG_TESTS_VCS_FIXTURE_H

#include "vcs/vcs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct fixture {
    char        root[64]; /* temporary folder */
    char        git_dir[80];
    vcs        *v;
    vcs_repo   *r;
    snug_arena *a;
} fixture;

#define KEY SNUG_LIT("abcdefgh01")

/* Fails the test with the error's own words. */
static inline void ok_at(snug_status st, const snug_err *err, const char *file, int line)
{
    if (st == SNUG_OK) return;
    print_error("%s:%d: %s: %s (%s)\n", file, line, snug_status_name(st), err->msg, err->cause);
    fail();
}
#define OK(call)                                                                                   \
    do {                                                                                           \
        snug_err  err_ = {0};                                                                      \
        snug_err *err = &err_;                                                                     \
        ok_at((call), err, __FILE__, __LINE__);                                                    \
    } while (0)
#define FAILS(want_, call)                                                                         \
    do {                                                                                           \
        snug_err  err_ = {0};                                                                      \
        snug_err *err = &err_;                                                                     \
        assert_string_equal(snug_status_name(call), snug_status_name(want_));                      \
        assert_int_equal(err->status, want_);                                                      \
        assert_true(err->msg[0] != '\0');                                                          \
    } while (0)

static inline void clean_git_env(const char *home)
{
    setenv("HOME", home, 1);
    setenv("GIT_CONFIG_NOSYSTEM", "1", 1);
    setenv("GIT_CONFIG_GLOBAL", "/dev/null", 1);
    setenv("GIT_AUTHOR_NAME", "Ada", 1);
    setenv("GIT_AUTHOR_EMAIL", "ada@example.org", 1);
    setenv("GIT_COMMITTER_NAME", "Ada", 1);
    setenv("GIT_COMMITTER_EMAIL", "ada@example.org", 1);
    unsetenv("GIT_DIR");
    unsetenv("GIT_WORK_TREE");
}

static inline int fixture_setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    (void)snprintf(f->root, sizeof f->root, "/tmp/snug-vcs-XXXXXX");
    assert_non_null(mkdtemp(f->root));
    clean_git_env(f->root);
    (void)snprintf(f->git_dir, sizeof f->git_dir, "%s/git", f->root);
    OK(vcs_open(f->git_dir, &f->v, err));
    OK(vcs_create_repo(f->v, KEY, err));
    OK(vcs_acquire(f->v, KEY, &f->r, err));
    f->a = snug_arena_new();
    *state = f;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    fixture *f = *state;
    vcs_release(f->r);
    vcs_close(f->v);
    snug_arena_free(f->a);
    OK(snug_remove_tree(f->root, err));
    free(f);
    return 0;
}

/* Runs a program and returns what it wrote to stdout (free()); *rc its exit status. */
static inline char *run_program(const char *dir, const char *input, int *rc, char *const *argv)
{
    int out[2];
    assert_int_equal(pipe(out), 0);
    char in_path[] = "/tmp/snug-vcs-in-XXXXXX";
    int  in = mkstemp(in_path);
    assert_true(in >= 0);
    (void)unlink(in_path);
    if (input != NULL) assert_int_equal(write(in, input, strlen(input)), strlen(input));
    assert_int_equal(lseek(in, 0, SEEK_SET), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (dir != NULL && chdir(dir) != 0) _exit(126);
        (void)dup2(in, 0);
        (void)dup2(out[1], 1);
        (void)close(out[0]);
        execvp(argv[0], argv);
        _exit(127);
    }
    (void)close(out[1]);
    (void)close(in);
    size_t  n = 0, cap = 1 << 16;
    char   *text = malloc(cap);
    ssize_t got;
    while ((got = read(out[0], text + n, cap - n - 1)) > 0) {
        n += (size_t)got;
        if (cap - n < 4096) {
            cap += cap;
            text = realloc(text, cap);
        }
    }
    text[n] = '\0';
    (void)close(out[0]);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    *rc = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
    return text;
}

/* git in a folder; a failure of git fails the test. The answer is free()d by the caller. */
static inline char *git_in(const char *dir, const char *input, const char *const *args)
{
    char  *argv[40] = {"git", "-c", "init.defaultBranch=main"};
    size_t n = 3;
    while (*args != NULL && n < 39) argv[n++] = (char *)(uintptr_t)*args++;
    int   rc = 0;
    char *text = run_program(dir, input, &rc, argv);
    if (rc != 0) print_error("git %s ended with %d: %s\n", argv[3], rc, text);
    assert_int_equal(rc, 0);
    return text;
}
#define GIT(dir, ...) git_in((dir), NULL, (const char *const[]){__VA_ARGS__, NULL})
#define GIT_RUN(dir, ...) free(GIT(dir, __VA_ARGS__))

static inline void assert_fsck_clean(const vcs_repo *r)
{
    char *text = GIT(vcs_repo_path(r), "fsck", "--strict", "--full", "--no-dangling");
    assert_string_equal(text, "");
    free(text);
}

static const vcs_who ada = {{"Ada", 3}, {"ada@example.org", 15}, 1700000000000};

static inline vcs_oid put(vcs_repo *r, const char *text)
{
    vcs_oid id;
    OK(vcs_put_blob(r, snug_str(text), &id, err));
    return id;
}

static inline void draft_text(vcs_repo *r, vcs_draft *d, const char *path, const char *text)
{
    vcs_oid id = put(r, text);
    OK(vcs_draft_put(d, snug_str(path), &id, err));
}

/* Commits the draft at `when` seconds and moves `ref` there. Frees the draft. */
static inline vcs_oid land(vcs_repo *r, vcs_draft *d, const char *ref, const vcs_oid *old,
                           const char *message, int64_t when)
{
    vcs_oid id;
    bool    unchanged;
    vcs_who who = ada;
    who.when_ms = when * 1000;
    OK(vcs_draft_commit(d, snug_str(message), &who, &id, &unchanged, err));
    OK(vcs_update_ref(r, snug_str(ref), old, &id, err));
    vcs_draft_free(d);
    return id;
}

static inline vcs_draft *draft_on(vcs_repo *r, const vcs_oid *base)
{
    vcs_draft *d = NULL;
    OK(vcs_draft_new(r, base, &d, err));
    return d;
}

static inline const char *hex_of(const vcs_oid *id)
{
    static char text[4][41];
    static int  at;
    at = (at + 1) & 3;
    vcs_oid_hex(id, text[at]);
    return text[at];
}

#endif
