/* SPDX-License-Identifier: Apache-2.0 */
/* tests/cli/test_house.c - transcripts: the program itself, serving and asking, in a folder of its
 * own. */
#include "shell.h"

#ifdef SNUG_HAVE_HUB

static void start_server(place *p)
{
    char       *argv[] = {program, (char[]){"serve"}, (char[]){"--listen"}, (char[]){"127.0.0.1:0"},
                          NULL};
    const char *out = at(p, "serve.out");
    (void)unlink(out);
    p->server = start(p, "", out, at(p, "serve.err"), argv, NULL);
    for (unsigned i = 0; i < 1000; i++) {
        usleep(10000);
        if (access(out, F_OK) != 0) continue;
        const char *text = slurp(p, out);
        if (strncmp(text, "listening on ", 13) == 0 && strchr(text, '\n') != NULL) {
            (void)snprintf(p->url, sizeof p->url, "%.*s", (int)strcspn(text + 13, "\n"), text + 13);
            return;
        }
        assert_int_equal(waitpid(p->server, NULL, WNOHANG), 0);
    }
    fail_msg("the server did not get ready:\n%s", slurp(p, at(p, "serve.err")));
}

static int stop_server(place *p, int number)
{
    int status = 0;
    if (p->server <= 0) return 0;
    assert_int_equal(kill(p->server, number), 0);
    assert_int_equal(waitpid(p->server, &status, 0), p->server);
    p->server = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int setup(void **state)
{
    place *p;
    if (open_place(&p) != 0) return -1;
    start_server(p);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    place *p = *state;
    int    code = stop_server(p, SIGTERM);
    if (strstr(slurp(p, at(p, "serve.err")), "Sanitizer") != NULL) {
        fail_msg("%s", slurp(p, at(p, "serve.err")));
    }
    assert_int_equal(code, 0);
    close_place(p);
    return 0;
}

static void sign_in(place *p)
{
    result r = run(p, "correct horse\n", NULL, "user", "add", "ada", "--password-stdin", "--admin",
                   "--email", "ada@example.org", NULL);
    EXPECT(r, 0);
    r = RUN("token", "create", "ada", "--name", "laptop", "--role", "write");
    EXPECT(r, 0);
    assert_int_equal(strlen(r.out), 38); /* hf_ and 34 more, and the line's end */
    r = run(p, r.out, NULL, "login", NULL);
    EXPECT(r, 0);
    assert_non_null(strstr(r.out, "Logged in as ada (write access)"));
}

static void write_file(place *p, const char *rel, snug_slice bytes)
{
    snug_err err = {0};
    char    *path = snug_arena_cstr(p->a, snug_str(at(p, rel))), *slash = strrchr(path, '/');
    *slash = '\0';
    assert_int_equal(snug_mkdirs(path, 0755, &err), SNUG_OK);
    *slash = '/';
    assert_int_equal(snug_write_file_atomic(path, bytes, 0644, &err), SNUG_OK);
}

static snug_slice noise(place *p, size_t n)
{
    char    *b = snug_arena_alloc(p->a, n);
    uint64_t x = 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < n; i++) {
        x ^= x << 7;
        x ^= x >> 9;
        b[i] = (char)(x >> 24);
    }
    return snug_slice_of(b, n);
}

static void expect_file(place *p, const char *path, snug_slice want)
{
    snug_slice got;
    snug_err   err = {0};
    if (snug_read_file(p->a, path, 1u << 30, &got, &err) != SNUG_OK)
        fail_msg("%s: %s", path, err.cause);
    assert_true(snug_eq(got, want));
}

/* ---- the transcripts ---- */

static void accounts_and_tokens(void **state)
{
    place *p = *state;
    assert_non_null(strstr(slurp(p, at(p, "serve.err")), "snug user add"));
    sign_in(p);
    result r = run(p, "correct horse\n", NULL, "user", "add", "ada", "--password-stdin", NULL);
    EXPECT(r, 5);
    EXPECT(run(p, "short\n", NULL, "user", "add", "bob", "--password-stdin", NULL), 2);
    EXPECT(run(p, "correct horse\n", NULL, "user", "add", "b b", "--password-stdin", NULL), 2);
    r = RUN("user", "list", "--json");
    EXPECT(r, 0);
    snug_json first = snug_json_at(json_of(p, r.out), 0);
    assert_true(snug_eq_str(snug_json_str_or(first, "name", SNUG_EMPTY), "ada"));
    assert_true(snug_eq_str(snug_json_str_or(first, "email", SNUG_EMPTY), "ada@example.org"));
    assert_true(snug_json_bool_or(first, "admin", false));
    r = RUN("token", "list", "ada");
    EXPECT(r, 0);
    assert_non_null(strstr(r.out, "laptop"));
    r = RUN("whoami");
    EXPECT(r, 0);
    assert_string_equal(r.out, "ada\n");
    EXPECT(RUN("token", "revoke", "ada", "--name", "laptop"), 0);
    EXPECT(RUN("token", "revoke", "ada", "--name", "laptop"), 3);
    r = RUN("token", "list", "ada", "--json");
    assert_int_equal(snug_json_count(json_of(p, r.out)), 0);
    EXPECT(RUN("whoami", "--token", "hf_zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"), 4);
    EXPECT(RUN("logout"), 0);
    r = RUN("whoami");
    EXPECT(r, 4);
    assert_non_null(strstr(r.err, "snug login"));
}

static void repositories(void **state)
{
    place *p = *state;
    sign_in(p);
    result r = RUN("repo", "create", "ada/m", "--private");
    EXPECT(r, 0);
    assert_non_null(strstr(r.out, "/ada/m\n"));
    EXPECT(RUN("repo", "create", "ada/m"), 5);
    EXPECT(RUN("repo", "create", "ada/m", "--exist-ok"), 0);
    EXPECT(RUN("repo", "create", "datasets/ada/d"), 0);
    r = RUN("repo", "list", "ada", "--json");
    EXPECT(r, 0);
    assert_int_equal(snug_json_count(json_of(p, r.out)), 1);
    r = RUN("repo", "list", "--type", "dataset");
    EXPECT(r, 0);
    assert_non_null(strstr(r.out, "ada/d"));
    EXPECT(RUN("repo", "move", "ada/m", "ada/n"), 0);
    EXPECT(RUN("repo", "delete", "ada/n"), 2); /* nobody there to ask */
    EXPECT(RUN("repo", "delete", "ada/n", "--yes"), 0);
    EXPECT(RUN("repo", "delete", "ada/n", "--yes"), 3);
    EXPECT(RUN("repo", "delete", "ada/n", "--yes", "--missing-ok"), 0);
}

static void there_and_back(void **state)
{
    place     *p = *state;
    snug_slice weights = noise(p, 12000000), text = SNUG_LIT("x\n");
    sign_in(p);
    write_file(p, "up/w.bin", weights);
    write_file(p, "up/sub/x.txt", text);
    write_file(p, "up/.git/config", SNUG_LIT("private"));
    result r = RUN("--json", "upload", "ada/m", at(p, "up"), "--create", "--message", "First");
    EXPECT(r, 0);
    snug_json v = json_of(p, r.out);
    assert_true(snug_json_i64_or(v, "files", 0) == 2 &&
                snug_json_i64_or(v, "bytes_sent", 0) > 12000000);
    snug_slice commit = snug_json_str_or(v, "commit", SNUG_EMPTY);
    r = RUN("--json", "upload", "ada/m", at(p, "up"), "--create");
    EXPECT(r, 0);
    v = json_of(p, r.out);
    assert_true(snug_json_i64_or(v, "bytes_sent", -1) == 0 &&
                snug_json_i64_or(v, "skipped", 0) == 2);
    assert_true(snug_eq(snug_json_str_or(v, "commit", SNUG_EMPTY), commit));

    r = RUN("download", "ada/m");
    EXPECT(r, 0);
    const char *dir = snug_arena_printf(p->a, "%.*s", (int)strcspn(r.out, "\n"), r.out).ptr;
    expect_file(p, snug_arena_printf(p->a, "%s/w.bin", dir).ptr, weights);
    expect_file(p, snug_arena_printf(p->a, "%s/sub/x.txt", dir).ptr, text);
    assert_true(snug_ends_with(snug_str(dir), snug_arena_cstr(p->a, commit)));
    r = RUN("--json", "download", "ada/m", "sub/x.txt", "--local-dir", at(p, "local"));
    EXPECT(r, 0);
    expect_file(p, at(p, "local/sub/x.txt"), text);
    EXPECT(RUN("download", "ada/m", "none.txt"), 3);
    EXPECT(RUN("download", "ada/m", "--revision", "v9"), 3);
    r = RUN("download", "ada/absent");
    EXPECT(r, 3);
    assert_non_null(strstr(r.err, "ada/absent"));

    EXPECT(RUN("upload", "ada/m", at(p, "up/sub/x.txt"), "docs/y.txt", "--revision", "draft",
               "--create", "--quiet"),
           0);
    r = RUN("download", "ada/m", "docs/y.txt", "--revision", "draft");
    EXPECT(r, 0);
    EXPECT(RUN("download", "ada/m", "docs/y.txt"), 3);

    stop_server(p, SIGTERM);
    r = RUN("download", "ada/m", "--include", "*.bin");
    EXPECT(r, 0);
    assert_non_null(strstr(r.err, "did not answer"));
    r = RUN("whoami");
    EXPECT(r, 10);
    assert_non_null(strstr(r.err, "127.0.0.1"));
    start_server(p);
}

static void a_killed_download_goes_on(void **state)
{
    place     *p = *state;
    snug_slice weights = noise(p, 40000000);
    sign_in(p);
    write_file(p, "up/w.bin", weights);
    EXPECT(RUN("upload", "ada/big", at(p, "up"), "--create"), 0);
    result r = run(p, "", "remote.write=kill@560", "download", "ada/big", NULL);
    assert_int_equal(r.signal, SIGKILL);
    r = RUN("--json", "download", "ada/big");
    EXPECT(r, 0);
    snug_json v = json_of(p, r.out);
    int64_t   fetched = snug_json_i64_or(v, "bytes_fetched", -1);
    if (fetched <= 0 || fetched > 38000000)
        fail_msg("%lld bytes were fetched again", (long long)fetched);
    expect_file(
        p,
        snug_arena_printf(p->a, "%.*s/w.bin", SNUG_SLICE(snug_json_str_or(v, "path", SNUG_EMPTY)))
            .ptr,
        weights);
}

static void an_interrupted_upload_sends_nothing_twice(void **state)
{
    place     *p = *state;
    snug_slice weights = noise(p, 12000000);
    sign_in(p);
    write_file(p, "up/w.bin", weights);
    EXPECT(RUN("repo", "create", "ada/m"), 0);
    result r = run(p, "", "remote.commit=kill@1", "upload", "ada/m", at(p, "up"), NULL);
    assert_int_equal(r.signal, SIGKILL);
    r = RUN("--json", "upload", "ada/m", at(p, "up"));
    EXPECT(r, 0);
    snug_json v = json_of(p, r.out);
    assert_true(snug_json_i64_or(v, "files", 0) == 1 &&
                snug_json_i64_or(v, "bytes_sent", 1 << 30) < 4096);
}

static void one_server_a_folder(void **state)
{
    place *p = *state;
    result r = RUN("serve", "--listen", "127.0.0.1:0");
    EXPECT(r, 5);
    assert_non_null(strstr(r.err, "another server uses"));
    assert_int_equal(stop_server(p, SIGKILL), -SIGKILL);
    start_server(p); /* the lock died with it */
    assert_int_equal(stop_server(p, SIGINT), 0);
    r = RUN("serve", "--listen", "nonsense");
    if (r.code == 0) fail_msg("%s", r.out);
    r = RUN("serve", "--workers", "many");
    EXPECT(r, 2);
    start_server(p);
}

static void words_of_the_program(void **state)
{
    place *p = *state;
    result r = RUN("uplaod");
    EXPECT(r, 2);
    assert_string_equal(r.err, "snug: there is no command \"uplaod\"; did you mean \"upload\"?\n");
    r = RUN("--json", "upload", "x");
    EXPECT(r, 2);
    assert_true(snug_eq_str(snug_json_str_or(json_of(p, r.err), "status", SNUG_EMPTY), "invalid"));
    r = RUN("token");
    EXPECT(r, 2);
    assert_non_null(strstr(r.err, "token create"));
    r = RUN("token", "--help");
    EXPECT(r, 0);
    r = RUN("upload", "--help");
    EXPECT(r, 0);
    assert_non_null(strstr(r.out, "Usage: snug upload REPO PATH [IN_REPO]"));
    r = RUN("--help");
    EXPECT(r, 0);
    assert_non_null(strstr(r.out, "  download "));
    r = RUN("help", "token", "create");
    EXPECT(r, 0);
    r = RUN("--version");
    EXPECT(r, 0);
    assert_string_equal(r.out, "snug " SNUG_VERSION "\n");
    r = RUN("config", "--workers", "7", "--json");
    EXPECT(r, 0);
    snug_json w = snug_json_get(json_of(p, r.out), "workers");
    assert_true(snug_eq_str(snug_json_str_or(w, "value", SNUG_EMPTY), "7"));
    assert_true(snug_eq_str(snug_json_str_or(w, "origin", SNUG_EMPTY), "--workers"));
    r = RUN("openapi");
    EXPECT(r, 0);
    assert_true(snug_json_count(snug_json_get(json_of(p, r.out), "paths")) > 10);
    r = RUN("version", "--color", "pink");
    EXPECT(r, 2);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(accounts_and_tokens),
        TEST(repositories),
        TEST(there_and_back),
        TEST(a_killed_download_goes_on),
        TEST(an_interrupted_upload_sends_nothing_twice),
        TEST(one_server_a_folder),
        TEST(words_of_the_program),
    };
    return find_program() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}

#else

static void without_the_hub_nothing_serves(void **state)
{
    (void)state;
    int   used;
    char *argv[] = {(char[]){"serve"}};
    assert_null(cli_find_command(1, argv, &used));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(without_the_hub_nothing_serves)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
