/* SPDX-License-Identifier: Apache-2.0 */
/* sandbox/spawn.c - starting and ending one child.
 *
 * Between fork and exec only calls that are safe in the child of a process with threads are made:
 * everything that allocates (arguments, the filter) is ready before. An exec that fails tells
 * through a pipe that closes by itself when it works.
 *
 * For:     run.c.
 * Owns:    the child until sandbox_reap.
 * Threads: the thread that starts a child must live until it is reaped: the kernel kills the child
 *          with that thread, so that no crash of ours leaves one behind.
 * Truth:   the child leads a process group of its own, and the group is killed before the leader
 *          is waited for, so its number cannot have been given to another. */
#include "sandbox/sandbox_int.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* What a child may take to end once it has closed both its outputs. */
enum { LAST_WORDS_MS = 5000 };

static const char bwrap_path[] = "/usr/bin/bwrap";

/* Everything the child needs, made before fork. */
typedef struct plan {
    const char        *argv[SANDBOX_ARGS_MAX + 1];
    size_t             argc;
    bool               too_long;
    char               filter_fd_text[16];
    int                in[2], out[2], err[2], told[2]; /* [0] is read */
    int                filter_fd;                      /* for bubblewrap; -1: none */
    struct sock_fprog  prog;
    bool               confined;
    const char        *dir;
    const char *const *env;
    struct {
        int           what;
        struct rlimit value;
    } limits[8];
    size_t limit_count;
} plan;

/* ---- the plan ---- */

static void add(plan *p, const char *arg)
{
    if (p->argc == SANDBOX_ARGS_MAX)
        p->too_long = true;
    else
        p->argv[p->argc++] = arg;
}

static void add_folders(plan *p, const char *flag, const char *const *list)
{
    for (size_t i = 0; list != NULL && list[i] != NULL; i++) {
        add(p, flag);
        add(p, list[i]);
        add(p, list[i]);
    }
}

/* An empty world, then the system's programs, then the job's folders. */
static void add_walls(plan *p, const sandbox_job *job)
{
    static const char *const world[] = {bwrap_path,
                                        "--unshare-all",
                                        "--die-with-parent",
                                        "--new-session",
                                        "--cap-drop",
                                        "ALL",
                                        "--ro-bind",
                                        "/usr",
                                        "/usr",
                                        "--dev",
                                        "/dev",
                                        "--tmpfs",
                                        "/tmp",
                                        NULL};
    static const char *const system[] = {"/lib", "/lib64", "/bin", "/etc/ld.so.cache", NULL};
    for (size_t i = 0; world[i] != NULL; i++) add(p, world[i]);
    add_folders(p, "--ro-bind-try", system);
    add_folders(p, "--ro-bind", job->reads);
    add_folders(p, "--bind", job->writes);
    add(p, "--chdir");
    add(p, job->dir != NULL ? job->dir : "/");
    add(p, "--seccomp");
    add(p, p->filter_fd_text);
    add(p, "--");
}

static void add_limit(plan *p, int what, uint64_t value)
{
    p->limits[p->limit_count].what = what;
    p->limits[p->limit_count++].value = (struct rlimit){value, value};
}

static void add_limits(plan *p, const sandbox_limits *l)
{
    add_limit(p, RLIMIT_CPU, l->cpu_s > 0 ? l->cpu_s : 300);
    add_limit(p, RLIMIT_AS, l->memory_max > 0 ? l->memory_max : UINT64_C(4) << 30);
    add_limit(p, RLIMIT_FSIZE, l->file_max > 0 ? l->file_max : UINT64_C(1) << 30);
    add_limit(p, RLIMIT_NOFILE, l->files_max > 0 ? l->files_max : 256);
    add_limit(p, RLIMIT_NPROC, l->tasks_max > 0 ? l->tasks_max : 8192);
    add_limit(p, RLIMIT_CORE, 0);
}

/* bubblewrap reads the filter from a descriptor and puts it on as its last step. */
static snug_status open_filter(const sandbox *s, plan *p, snug_err *err)
{
    size_t size = s->filter_count * sizeof s->filter[0];
    p->filter_fd = memfd_create("snug-filter", MFD_CLOEXEC);
    if (p->filter_fd < 0) return snug_fail_sys(err, errno, "memfd_create");
    snug_status st = snug_write_all(p->filter_fd, s->filter, size, err);
    if (st == SNUG_OK && lseek(p->filter_fd, 0, SEEK_SET) != 0)
        st = snug_fail_sys(err, errno, "lseek");
    (void)snprintf(p->filter_fd_text, sizeof p->filter_fd_text, "%d", p->filter_fd);
    return st;
}

static void close_pair(int pair[2])
{
    for (int i = 0; i < 2; i++) {
        if (pair[i] >= 0) (void)close(pair[i]);
        pair[i] = -1;
    }
}

/* Its input is a socket: writing to a child that stopped reading is an error there, and no signal
 * to a program that may not have asked to ignore SIGPIPE. */
static snug_status open_pipes(plan *p, snug_err *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return snug_fail_sys(err, errno, "socketpair");
    p->in[0] = pair[0];
    p->in[1] = pair[1];
    if (pipe2(p->out, O_CLOEXEC) != 0 || pipe2(p->err, O_CLOEXEC) != 0 ||
        pipe2(p->told, O_CLOEXEC) != 0)
        return snug_fail_sys(err, errno, "pipe2");
    if (fcntl(p->in[1], F_SETFL, O_NONBLOCK) != 0 || fcntl(p->out[0], F_SETFL, O_NONBLOCK) != 0 ||
        fcntl(p->err[0], F_SETFL, O_NONBLOCK) != 0)
        return snug_fail_sys(err, errno, "fcntl");
    return SNUG_OK;
}

static snug_status make_plan(const sandbox *s, const sandbox_job *job, bool confined, plan *p,
                             snug_err *err)
{
    snug_status st = SNUG_OK;
    SNUG_TRY(open_pipes(p, err));
    p->confined = confined;
    p->dir = job->dir != NULL ? job->dir : "/";
    p->env = job->env;
    if (confined) {
        SNUG_TRY(open_filter(s, p, err));
        add_walls(p, job);
    }
    for (size_t i = 0; job->argv[i] != NULL; i++) add(p, job->argv[i]);
    if (p->too_long) SNUG_FAIL(err, SNUG_EINTERNAL, "too many arguments for a child program");
    add_limits(p, &job->limits);
    p->prog = (struct sock_fprog){(unsigned short)s->filter_count,
                                  (struct sock_filter *)(uintptr_t)s->filter};
done:
    return st;
}

/* ---- in the child ---- */

static _Noreturn void give_up(int told)
{
    int why = errno;
    while (write(told, &why, sizeof why) < 0 && errno == EINTR) continue;
    _exit(127);
}

/* Nothing but 0, 1, 2 and what is meant to: older kernels close one by one. */
static int hide_descriptors(void)
{
    if (close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) == 0) return 0;
    for (int fd = 3; fd < 65536; fd++) (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    return 0;
}

static _Noreturn void become(const plan *p, pid_t parent)
{
    sigset_t none;
    (void)sigemptyset(&none);
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127); /* it died before we asked */
    (void)signal(SIGPIPE, SIG_DFL);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)umask(077);
    if (dup2(p->in[0], 0) < 0 || dup2(p->out[1], 1) < 0 || dup2(p->err[1], 2) < 0 ||
        hide_descriptors() != 0)
        give_up(p->told[1]);
    if (p->filter_fd >= 0 && fcntl(p->filter_fd, F_SETFD, 0) != 0) give_up(p->told[1]);
    for (size_t i = 0; i < p->limit_count; i++) {
        struct rlimit now, want = p->limits[i].value;
        if (getrlimit((__rlimit_resource_t)p->limits[i].what, &now) != 0) give_up(p->told[1]);
        if (now.rlim_max < want.rlim_max) want = (struct rlimit){now.rlim_max, now.rlim_max};
        if (setrlimit((__rlimit_resource_t)p->limits[i].what, &want) != 0) give_up(p->told[1]);
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) give_up(p->told[1]);
    if (!p->confined &&
        (chdir(p->dir) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p->prog, 0, 0) != 0))
        give_up(p->told[1]);
    (void)execve(p->argv[0], (char *const *)(uintptr_t)p->argv, (char *const *)(uintptr_t)p->env);
    give_up(p->told[1]);
}

/* ---- in the parent ---- */

/* The exec's errno, or 0 when the pipe closed without a word. */
static int read_told(int fd)
{
    int     why = 0;
    ssize_t n;
    do n = read(fd, &why, sizeof why);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof why ? why : 0;
}

static snug_status start(plan *p, sandbox_child *out, snug_err *err)
{
    sigset_t all, before;
    pid_t    parent = getpid();

    /* No handler of ours may run in the child. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0) become(p, parent);
    int why = errno;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (pid < 0) return snug_fail_sys(err, why, "fork");
    (void)setpgid(pid, pid); /* whoever is first */
    (void)close(p->told[1]);
    p->told[1] = -1;
    why = read_told(p->told[0]);
    *out = (sandbox_child){pid, p->in[1], p->out[0], p->err[0]};
    p->in[1] = p->out[0] = p->err[0] = -1; /* moved */
    if (why == 0) return SNUG_OK;
    sandbox_end end;
    sandbox_reap(out, true, &end);
    return snug_fail_sys(err, why, "starting %s", p->argv[0]);
}

snug_status sandbox_spawn(const sandbox *s, const sandbox_job *job, bool confined,
                          sandbox_child *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    plan p = {.in = {-1, -1}, .out = {-1, -1}, .err = {-1, -1}, .told = {-1, -1}, .filter_fd = -1};

    SNUG_TRY(make_plan(s, job, confined, &p, err));
    SNUG_TRY(start(&p, out, err));
done:
    close_pair(p.in);
    close_pair(p.out);
    close_pair(p.err);
    close_pair(p.told);
    if (p.filter_fd >= 0) (void)close(p.filter_fd);
    return st;
}

/* False: still running after a while. The leader stays unreaped, so its number stays its own. */
static bool wait_end(pid_t pid, unsigned ms)
{
    long      pause_us = 100;
    uint64_t  until = snug_mono_ms() + ms;
    siginfo_t info;
    for (;;) {
        info.si_pid = 0;
        int rc = waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT | (ms > 0 ? WNOHANG : 0));
        if (rc != 0 && errno != EINTR) return true;
        if (rc == 0 && info.si_pid == pid) return true;
        if (ms > 0 && snug_mono_ms() >= until) return false;
        if (ms > 0) (void)nanosleep(&(struct timespec){0, pause_us * 1000}, NULL);
        if (pause_us < 10000) pause_us *= 2;
    }
}

void sandbox_reap(sandbox_child *c, bool kill_it, sandbox_end *end)
{
    int status = 0, *fds[] = {&c->in, &c->out, &c->err};

    if (kill_it) (void)kill(-c->pid, SIGKILL);
    for (size_t i = 0; i < 3; i++) {
        if (*fds[i] >= 0) (void)close(*fds[i]);
        *fds[i] = -1;
    }
    if (!kill_it && !wait_end(c->pid, LAST_WORDS_MS)) (void)kill(-c->pid, SIGKILL);
    (void)wait_end(c->pid, 0);
    (void)kill(-c->pid, SIGKILL); /* what it left running */
    while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR) continue;
    *end = (sandbox_end){WIFEXITED(status) ? WEXITSTATUS(status) : -1,
                         WIFSIGNALED(status) ? WTERMSIG(status) : 0};
}
