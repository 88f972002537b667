/* SPDX-License-Identifier: Apache-2.0 */
/* tests/remote/test_env.c - where cache and token are looked for, and how a token is stored. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "remote/remote_int.h"

static char home[64];

static void clear_env(void)
{
    static const char *const names[] = {
        "HF_HOME",       "XDG_CACHE_HOME",         "HF_HUB_CACHE",  "HUGGINGFACE_HUB_CACHE",
        "HF_TOKEN",      "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_ENDPOINT",
        "HF_HUB_OFFLINE"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(unsetenv(names[i]), 0);
    assert_int_equal(setenv("HOME", home, 1), 0);
}

static int make_home(void **state)
{
    (void)state;
    (void)snprintf(home, sizeof home, "/tmp/snug-env-XXXXXX");
    if (mkdtemp(home) == NULL) return -1;
    clear_env();
    return 0;
}

static int drop_home(void **state)
{
    (void)state;
    return snug_remove_tree(home, NULL) == SNUG_OK ? 0 : -1;
}

static void expect(char *got_owned, const char *fmt, ...) SNUG_PRINTF(2, 3);
static void expect(char *got_owned, const char *fmt, ...)
{
    char    want[512];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(want, sizeof want, fmt, ap);
    va_end(ap);
    assert_string_equal(got_owned, want);
    free(got_owned);
}

static void cache_folders(void **state)
{
    (void)state;
    expect(remote_env_home(), "%s/.cache/huggingface", home);
    expect(remote_env_cache(), "%s/.cache/huggingface/hub", home);
    setenv("XDG_CACHE_HOME", "/x/cache", 1);
    expect(remote_env_cache(), "/x/cache/huggingface/hub");
    setenv("HF_HOME", "~/hf", 1);
    expect(remote_env_cache(), "%s/hf/hub", home);
    expect(remote_env_token_path(), "%s/hf/token", home);
    setenv("HUGGINGFACE_HUB_CACHE", "/old", 1);
    expect(remote_env_cache(), "/old");
    setenv("HF_HUB_CACHE", "/c", 1);
    expect(remote_env_cache(), "/c");
    setenv("HF_TOKEN_PATH", "/t/tok", 1);
    expect(remote_env_token_path(), "/t/tok");
}

static void switches(void **state)
{
    (void)state;
    static const char *const on[] = {"1", "ON", "yes", "True"}, *const off[] = {"", "0", "off", "2",
                                                                                "truee"};
    for (size_t i = 0; i < 4; i++) {
        setenv("HF_HUB_OFFLINE", on[i], 1);
        assert_true(remote_env_true("HF_HUB_OFFLINE"));
    }
    for (size_t i = 0; i < 5; i++) {
        setenv("HF_HUB_OFFLINE", off[i], 1);
        assert_false(remote_env_true("HF_HUB_OFFLINE"));
    }
}

static void token_lookup(void **state)
{
    (void)state;
    snug_err err = {0};
    assert_null(remote_env_token());
    assert_int_equal(remote_save_token(SNUG_LIT("one"), SNUG_LIT(" hf_abc\n"), &err), SNUG_OK);
    expect(remote_env_token(), "hf_abc");
    setenv("HUGGING_FACE_HUB_TOKEN", "hf_old", 1);
    expect(remote_env_token(), "hf_old");
    setenv("HF_TOKEN", "hf_env\n", 1);
    expect(remote_env_token(), "hf_env");
    setenv("HF_TOKEN", "hf with space", 1);
    assert_null(remote_env_token());
    setenv("HF_TOKEN", "", 1);
    unsetenv("HUGGING_FACE_HUB_TOKEN");
    expect(remote_env_token(), "hf_abc");
    assert_int_equal(remote_forget_token(&err), SNUG_OK);
    assert_int_equal(remote_forget_token(&err), SNUG_OK);
    assert_null(remote_env_token());
}

static void token_files_are_private_and_keep_others(void **state)
{
    (void)state;
    snug_err    err = {0};
    char        path[256];
    struct stat sb;
    snug_arena *a = snug_arena_new();
    snug_slice  text;
    assert_int_equal(remote_save_token(SNUG_LIT("zeta"), SNUG_LIT("hf_1"), &err), SNUG_OK);
    assert_int_equal(remote_save_token(SNUG_LIT("alpha"), SNUG_LIT("hf_2"), &err), SNUG_OK);
    assert_int_equal(remote_save_token(SNUG_LIT("zeta"), SNUG_LIT("hf_3"), &err), SNUG_OK);
    (void)snprintf(path, sizeof path, "%s/.cache/huggingface/stored_tokens", home);
    assert_int_equal(stat(path, &sb), 0);
    assert_int_equal(sb.st_mode & 0777, 0600);
    assert_int_equal(snug_read_file(a, path, 4096, &text, &err), SNUG_OK);
    assert_true(snug_eq_str(text, "[alpha]\nhf_token = hf_2\n\n[zeta]\nhf_token = hf_3\n\n"));
    (void)snprintf(path, sizeof path, "%s/.cache/huggingface/token", home);
    assert_int_equal(stat(path, &sb), 0);
    assert_int_equal(sb.st_mode & 0777, 0600);
    assert_int_equal(snug_read_file(a, path, 4096, &text, &err), SNUG_OK);
    assert_true(snug_eq_str(text, "hf_3"));
    assert_int_equal(remote_save_token(SNUG_LIT("a]b"), SNUG_LIT("hf_3"), &err), SNUG_EINVAL);
    assert_int_equal(remote_save_token(SNUG_LIT("a"), SNUG_LIT("hf 3"), &err), SNUG_EINVAL);
    assert_int_equal(remote_save_token(SNUG_LIT("a"), SNUG_LIT(" "), &err), SNUG_EINVAL);
    snug_arena_free(a);
}

static void endpoints(void **state)
{
    (void)state;
    remote     *r;
    remote_opts o = {.endpoint = NULL};
    assert_int_equal(remote_open(&o, &r, NULL), SNUG_OK);
    assert_string_equal(remote_endpoint(r), "http://127.0.0.1:8421");
    assert_false(remote_has_token(r));
    remote_close(r);
    setenv("HF_ENDPOINT", "https://h.example:1/hf///", 1);
    assert_int_equal(remote_open(&o, &r, NULL), SNUG_OK);
    assert_string_equal(remote_endpoint(r), "https://h.example:1/hf");
    snug_arena *a = snug_arena_new();
    /* whatever host a link names, we stay on our own origin */
    assert_string_equal(remote_home_url(r, a, SNUG_LIT("http://evil.example/hf/api?x=1")),
                        "https://h.example:1/hf/api?x=1");
    assert_string_equal(remote_home_url(r, a, SNUG_LIT("/api/y")), "https://h.example:1/api/y");
    assert_string_equal(remote_home_url(r, a, SNUG_LIT("http://evil.example")),
                        "https://h.example:1/");
    remote_repo id = {"dataset", SNUG_LIT("a/b")};
    assert_string_equal(remote_api_url(r, a, &id, "/x"),
                        "https://h.example:1/hf/api/datasets/a/b/x");
    assert_string_equal(remote_web_url(r, a, &id, "/x"), "https://h.example:1/hf/datasets/a/b/x");
    id.type = "model";
    assert_string_equal(remote_web_url(r, a, &id, "/x"), "https://h.example:1/hf/a/b/x");
    char *folder = remote_cache_folder(r, &id);
    expect(folder, "%s/.cache/huggingface/hub/models--a--b", home);
    snug_arena_free(a);
    remote_close(r);
    static const char *const bad[] = {"h",          "ftp://h",     "http://",
                                      "http://h x", "http://h/?a", "http://h\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad - 1; i++) {
        o.endpoint = bad[i];
        assert_int_equal(remote_open(&o, &r, NULL), SNUG_EINVAL);
    }
    o = (remote_opts){.endpoint = "http://h", .token = "a\nb"};
    assert_int_equal(remote_open(&o, &r, NULL), SNUG_EINVAL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_home, drop_home)
int main(void)
{
    const struct CMUnitTest tests[] = {TEST(cache_folders), TEST(switches), TEST(token_lookup),
                                       TEST(token_files_are_private_and_keep_others),
                                       TEST(endpoints)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
