/* SPDX-License-Identifier: Apache-2.0 */
/* cli/main.c - the program: finds the command, checks its flags, runs it, ends with its code.
 *
 * For:     the shell.
 * Owns:    the arena of the run.
 * Threads: the main thread. */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cli_int.h"
#ifdef SNUG_HAVE_HUB
#include "media/media.h"
#endif

static bool wants_color(const char *when, int fd)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    if (strcmp(when, "always") == 0) return true;
    if (strcmp(when, "never") == 0 || (no != NULL && no[0] != '\0')) return false;
    return isatty(fd) == 1 && term != NULL && strcmp(term, "dumb") != 0;
}

static snug_status set_globals(cli *c, const cli_args *a, snug_err *err)
{
    const char *when = cli_flag_value(a, "color");
    if (when == NULL) when = "auto";
    if (strcmp(when, "auto") != 0 && strcmp(when, "always") != 0 && strcmp(when, "never") != 0) {
        return snug_fail(err, SNUG_EINVAL, "--color takes auto, always or never, not \"%s\"", when);
    }
    c->json = cli_flag_given(a, "json");
    c->quiet = cli_flag_given(a, "quiet");
    c->color = wants_color(when, STDOUT_FILENO);
    c->err_color = wants_color(when, STDERR_FILENO);
    return SNUG_OK;
}

/* "snug --json download x": flags before the command move behind it. */
static int rotate_flags(int argc, char **argv)
{
    int n = 0;
    while (n < argc && argv[n][0] == '-') {
        bool pair = strcmp(argv[n], "--color") == 0 && n + 1 < argc;
        n += pair ? 2 : 1;
    }
    return n > argc ? argc : n;
}

static int no_command(cli *c, int argc, char **argv)
{
    snug_err    err = {0};
    const char *near;
    if (argc == 0) {
        cli_help_all(c, stderr);
        return snug_status_exit(SNUG_EINVAL);
    }
    if (cli_is_group(argv[0])) {
        bool asked = argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
        if (argc > 1 && !asked)
            (void)fprintf(stderr, "snug: %s has no command \"%s\"\n\n", argv[0], argv[1]);
        cli_help_group(c, argv[0], asked ? stdout : stderr);
        return asked ? 0 : snug_status_exit(SNUG_EINVAL);
    }
    near = cli_nearest_command(argv[0]);
    if (near != NULL)
        (void)snug_fail(&err, SNUG_EINVAL, "there is no command \"%s\"; did you mean \"%s\"?",
                        argv[0], near);
    else
        (void)snug_fail(&err, SNUG_EINVAL, "there is no command \"%s\"; snug help lists them",
                        argv[0]);
    cli_print_error(c, SNUG_EINVAL, &err);
    return snug_status_exit(SNUG_EINVAL);
}

static int run_command(cli *c, const cli_command *cmd, int argc, char **argv)
{
    snug_err err = {0};
    cli_args a;
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--json") == 0) c->json = true; /* for errors of the parsing itself */
    }
    snug_status st = cli_parse_args(cmd, argc, argv, c->arena, &a, &err);
    if (st == SNUG_OK) st = set_globals(c, &a, &err);
    if (st == SNUG_OK && cli_flag_given(&a, "help"))
        cli_help_command(c, cmd, stdout);
    else if (st == SNUG_OK)
        st = cmd->run(c, &a, &err);
    if (st == SNUG_OK) st = cli_flush(&err);
    if (st != SNUG_OK) cli_print_error(c, st, &err);
    return snug_status_exit(st);
}

int cli_main(int argc, char **argv)
{
#ifdef SNUG_HAVE_HUB
    if (argc == 1 && strcmp(argv[0], "media-decode") == 0) return media_child(); /* media.h */
#endif
    cli c = {.arena = snug_arena_new(), .err_tty = isatty(STDERR_FILENO) == 1};
    int used, code, flags = rotate_flags(argc, argv);
    (void)signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error we report, not a death */
    snug_faults_setup(getenv("SNUG_FAULTS"));
    snug_log_setup(
        &(snug_log_opts){.level = SNUG_ERROR, .fd = STDERR_FILENO}); /* serve sets its own */
    const cli_command *cmd = cli_find_command(argc - flags, argv + flags, &used);
    char             **rest = snug_arena_zalloc(c.arena, ((size_t)argc + 1) * sizeof *rest);
    int                n = 0;
    for (int i = flags + (cmd == NULL ? 0 : used); i < argc; i++) rest[n++] = argv[i];
    if (cmd == NULL && flags > 0 && n == 0) { /* snug --help, snug --version */
        bool version = strcmp(argv[0], "--version") == 0;
        cmd = version ? &cli_cmd_version : &cli_cmd_help;
        flags = strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0 || version ? 0 : flags;
    }
    /* Flags that came first go to the front again: "--" further on must not hide them. */
    if (cmd != NULL && flags > 0) {
        memmove(rest + flags, rest, (size_t)n * sizeof *rest);
        for (int i = 0; i < flags; i++) rest[i] = argv[i];
        n += flags;
    }
    code = cmd == NULL ? no_command(&c, n, rest) : run_command(&c, cmd, n, rest);
    snug_arena_free(c.arena);
    return code;
}
