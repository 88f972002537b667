/* SPDX-License-Identifier: Apache-2.0 */
/* tests/cli/test_config.c - settings: file, variables, flags; and the bar of transfers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/cli_int.h"

#ifdef SNUG_HAVE_HUB
#include "cli/bar.h"
#include "cli/config.h"

static char dir[64];

static int make_home(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/snug-config-XXXXXX");
    if (mkdtemp(dir) == NULL) return -1;
    setenv("HOME", dir, 1);
    unsetenv("XDG_CONFIG_HOME");
    unsetenv("XDG_DATA_HOME");
    unsetenv("SNUG_CONFIG");
    unsetenv("SNUG_DATA");
    unsetenv("SNUG_WORKERS");
    unsetenv("SNUG_LISTEN");
    return 0;
}

static int drop_home(void **state)
{
    (void)state;
    return snug_remove_tree(dir, NULL) == SNUG_OK ? 0 : -1;
}

static void later_sources_win(void **state)
{
    (void)state;
    snug_arena *a = snug_arena_new();
    snug_err    err = {0};
    config      c;
    char        file[128], want[256];
    (void)snprintf(file, sizeof file, "%s/.config/snug", dir);
    assert_int_equal(snug_mkdirs(file, 0755, &err), SNUG_OK);
    (void)snprintf(file, sizeof file, "%s/.config/snug/snug.conf", dir);
    assert_int_equal(config_load(a, NULL, &c, &err), SNUG_OK);
    assert_string_equal(config_text(&c, CONFIG_ID_listen), "127.0.0.1:8421");
    assert_string_equal(c.v[CONFIG_ID_listen].origin, "default");
    (void)snprintf(want, sizeof want, "%s/.local/share/snug", dir);
    assert_string_equal(config_text(&c, CONFIG_ID_data), want);
    assert_null(config_text(&c, CONFIG_ID_public_url));

    snug_slice text = SNUG_LIT("# comment\n\n  workers = 3\nlisten=0.0.0.0:1 \nraw-file-max = "
                               "\"2MiB\"\nread_only = yes\n");
    assert_int_equal(snug_write_file_atomic(file, text, 0644, &err), SNUG_OK);
    setenv("SNUG_WORKERS", "5", 1);
    setenv("SNUG_LISTEN", "0.0.0.0:2", 1);
    char                    *argv[] = {(char[]){"--listen"}, (char[]){"0.0.0.0:3"}};
    static const char *const none[] = {NULL};
    static const cli_command cmd = {"serve", "", "s", "h", config_flags, 0, 0, 0, none, "0", NULL};
    cli_args                 args;
    assert_int_equal(cli_parse_args(&cmd, 2, argv, a, &args, &err), SNUG_OK);
    assert_int_equal(config_load(a, &args, &c, &err), SNUG_OK);
    assert_true(config_number(&c, CONFIG_ID_workers) == 5);
    assert_string_equal(c.v[CONFIG_ID_workers].origin, "$SNUG_WORKERS");
    assert_string_equal(config_text(&c, CONFIG_ID_listen), "0.0.0.0:3");
    assert_string_equal(c.v[CONFIG_ID_listen].origin, "--listen");
    assert_true(config_number(&c, CONFIG_ID_raw_file_max) == 2 << 20);
    (void)snprintf(want, sizeof want, "%s:5", file);
    assert_string_equal(c.v[CONFIG_ID_raw_file_max].origin, want);
    assert_true(config_switch(&c, CONFIG_ID_read_only));
    snug_arena_free(a);
}

static void mistakes_are_named_with_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } t[] = {
        {"workers = many", "workers = \"many\" (from f:1): this takes a number"},
        {"\nworkres = 1", "f:2: there is no setting \"workres\"; did you mean \"workers\"?"},
        {"hello", "f:1: a line is `key = value`"},
        {"grace = 86401", "seconds"},
        {"memory_body_max = 1x", "a size"},
        {"read_only = maybe", "true or false"},
        {"log_level = loud", "debug, info"},
        {"log_format = xml", "text or json"},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        snug_arena *a = snug_arena_new();
        snug_err    err = {0};
        config      c = {.file = NULL};
        assert_int_equal(config_read_text(a, snug_str(t[i].text), "f", &c, &err), SNUG_EINVAL);
        if (strstr(err.msg, t[i].says) == NULL) fail_msg("%s", err.msg);
        snug_arena_free(a);
    }
    snug_err err = {0};
    config   c;
    setenv("SNUG_CONFIG", "/nonexistent/snug.conf", 1);
    snug_arena *a = snug_arena_new();
    assert_int_equal(config_load(a, NULL, &c, &err), SNUG_ENOTFOUND);
    snug_arena_free(a);
}

static const char *line_of(cli_bar *b, remote_progress p, unsigned width)
{
    static char text[512];
    SNUG_AUTO(snug_buf) out = snug_buf_init(500);
    cli_bar_line(b, &p, width, &out);
    (void)snprintf(text, sizeof text, "%s", snug_buf_cstr(&out));
    return text;
}

static void the_bar_fits_its_width(void **state)
{
    (void)state;
    cli             c = {.err_tty = true};
    cli_bar         b = cli_bar_new(&c);
    remote_progress p = {.what = "sub/model.safetensors",
                         .done = 50000000,
                         .total = 100000000,
                         .files_done = 1,
                         .files_total = 3};
    b.rate = 10e6;
    assert_string_equal(line_of(&b, p, 120),
                        "sub/model.safetensors                 [============>           ]  50%  "
                        "50.0 MB/100.0 MB  1/3 files  10.0 MB/s  5 s left");
    for (unsigned w = 0; w < 200; w++) assert_true(strlen(line_of(&b, p, w)) < (w < 60 ? 60u : w));
    p.total = 0;
    p.done = 0;
    assert_non_null(strstr(line_of(&b, p, 80), "100%"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_home, drop_home)
int main(void)
{
    const struct CMUnitTest tests[] = {TEST(later_sources_win),
                                       TEST(mistakes_are_named_with_their_place),
                                       TEST(the_bar_fits_its_width)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
static void version_is_built_in(void **state)
{
    (void)state;
    int   used;
    char *argv[] = {(char[]){"version"}};
    assert_ptr_equal(cli_find_command(1, argv, &used), &cli_cmd_version);
}
int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(version_is_built_in)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
