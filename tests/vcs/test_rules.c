/* SPDX-License-Identifier: Apache-2.0 */
/* tests/vcs/test_rules.c - .gitattributes and .gitignore read as git reads them: the same questions
 * to `git check-attr` and `git check-ignore`, over hand-picked and generated rules. */
#include "fixture.h"

static unsigned rng_state;
static unsigned rng(unsigned n)
{
    rng_state = rng_state * 1664525u + 1013904223u;
    return (rng_state >> 10) % n;
}

/* Folders and files the questions are about; all exist on disk, since git looks. */
static const char *const paths[] = {"a",
                                    "b.bin",
                                    "a.b",
                                    "foo",
                                    "foobar",
                                    "x[1].bin",
                                    "sp ace",
                                    "d/a",
                                    "d/b.bin",
                                    "d/foo",
                                    "d/e/a",
                                    "d/e/b.bin",
                                    "d/e/f/a",
                                    "d/e/f/b.bin",
                                    "foo.d/bar",
                                    "foo.d/a",
                                    "foo.d/foo",
                                    "d/foo.d/bar",
                                    "d.bin/a",
                                    "q/*.bin",
                                    "q/#c",
                                    "q/!n",
                                    "q/\\b",
                                    "A/a",
                                    "A/B.BIN",
                                    "q/r/s/t/b.bin",
                                    "foobaz",
                                    "q/trail ",
                                    "data/train/0001.parquet",
                                    "data/test/0001.parquet",
                                    "model.safetensors",
                                    "q/\"quoted\"",
                                    "q/tab\there",
                                    "z-9",
                                    "z_9",
                                    "z]9"};
enum { PATHS = sizeof paths / sizeof paths[0] };

static void make_files(const char *root)
{
    char path[512];
    for (size_t i = 0; i < PATHS; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", root, paths[i]);
        char *slash = strrchr(path, '/');
        *slash = '\0';
        OK(snug_mkdirs(path, 0700, err));
        *slash = '/';
        int fd = open(path, O_WRONLY | O_CREAT, 0600);
        assert_true(fd >= 0);
        (void)close(fd);
    }
}

typedef struct rule_text {
    const char *folder;
    char        text[4096];
} rule_text;

static void write_rules(const char *root, const char *file, const rule_text *v, size_t n)
{
    char path[512];
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(path, sizeof path, "%s/%s%s%s", root, v[i].folder,
                       v[i].folder[0] != '\0' ? "/" : "", file);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        assert_true(fd >= 0);
        OK(snug_write_all(fd, v[i].text, strlen(v[i].text), err));
        (void)close(fd);
    }
}

static char *all_paths_z(size_t *size)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(1 << 16);
    for (size_t i = 0; i < PATHS; i++) {
        snug_buf_puts(&b, paths[i]);
        snug_buf_putc(&b, '\0');
    }
    char *text = malloc(b.len);
    memcpy(text, b.ptr, b.len);
    *size = b.len;
    return text;
}

/* Asks git with the paths on its standard input, NUL-separated both ways. */
static char *ask_git(const char *root, size_t *n, const char *const *args)
{
    size_t in_size = 0;
    char  *in = all_paths_z(&in_size);
    char   in_path[512], out_path[512];
    (void)snprintf(in_path, sizeof in_path, "%s/../in", root);
    (void)snprintf(out_path, sizeof out_path, "%s/../out", root);
    OK(snug_write_file_atomic(in_path, snug_slice_of(in, in_size), 0600, err));
    free(in);
    pid_t pid = fork();
    if (pid == 0) {
        char  *argv[16] = {"git"};
        size_t k = 1;
        while (*args != NULL) argv[k++] = (char *)(uintptr_t)*args++;
        int i = open(in_path, O_RDONLY), o = open(out_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        int e = open("/dev/null", O_WRONLY);
        if (chdir(root) != 0) _exit(126);
        (void)dup2(i, 0);
        (void)dup2(o, 1);
        (void)dup2(e, 2); /* warnings about the odd rules below */
        execvp("git", argv);
        _exit(127);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
    snug_arena *a = snug_arena_new();
    snug_slice  got;
    OK(snug_read_file(a, out_path, 1 << 20, &got, err));
    char *text = malloc(got.len + 1);
    if (got.len > 0) memcpy(text, got.ptr, got.len);
    text[got.len] = '\0';
    *n = got.len;
    snug_arena_free(a);
    return text;
}

static void show_rules(const rule_text *v, size_t n)
{
    for (size_t i = 0; i < n; i++) print_error("--- in \"%s\":\n%s", v[i].folder, v[i].text);
}

static void compare_attributes(const char *root, const rule_text *v, size_t n)
{
    snug_arena *a = snug_arena_new();
    vcs_rules  *r = vcs_rules_new(a);
    for (size_t i = 0; i < n; i++)
        vcs_rules_add(r, snug_str(v[i].folder), snug_str(v[i].text), true);
    write_rules(root, ".gitattributes", v, n);
    const char *args[] = {"check-attr", "-z", "--stdin", "filter", NULL};
    size_t      size = 0;
    char       *text = ask_git(root, &size, args), *p = text;
    for (size_t i = 0; i < PATHS; i++) { /* path, attribute, value */
        assert_string_equal(p, paths[i]);
        p += strlen(p) + 1;
        p += strlen(p) + 1;
        bool want = strcmp(p, "lfs") == 0;
        p += strlen(p) + 1;
        if (vcs_rules_is_lfs(r, snug_str(paths[i])) != want) {
            show_rules(v, n);
            fail_msg("git says filter=lfs is %d for %s", want, paths[i]);
        }
    }
    assert_int_equal(p - text, size);
    free(text);
    snug_arena_free(a);
}

static void compare_ignores(const char *root, const rule_text *v, size_t n)
{
    snug_arena *a = snug_arena_new();
    vcs_rules  *r = vcs_rules_new(a);
    for (size_t i = 0; i < n; i++)
        vcs_rules_add(r, snug_str(v[i].folder), snug_str(v[i].text), false);
    write_rules(root, ".gitignore", v, n);
    const char *args[] = {"check-ignore", "-z", "--stdin", "--no-index", NULL};
    size_t      size = 0;
    char       *text = ask_git(root, &size, args), *p = text;
    for (size_t i = 0; i < PATHS; i++) { /* only the ignored ones are named */
        bool want = p < text + size && strcmp(p, paths[i]) == 0;
        if (want) p += strlen(p) + 1;
        if (vcs_rules_is_ignored(r, snug_str(paths[i])) != want) {
            show_rules(v, n);
            fail_msg("git says ignored is %d for %s", want, paths[i]);
        }
    }
    assert_int_equal(p - text, size);
    free(text);
    snug_arena_free(a);
}

/* ---- hand-picked ---- */

static const char *const patterns[] = {"*.bin",
                                       "a",
                                       "/a",
                                       "d",
                                       "d/",
                                       "/d/",
                                       "d/*",
                                       "d/**",
                                       "**/a",
                                       "**/b.bin",
                                       "d/**/a",
                                       "d/**/b.bin",
                                       "**",
                                       "*",
                                       "*/a",
                                       "*/*/a",
                                       "**/*.bin",
                                       "foo",
                                       "foo*",
                                       "foo**",
                                       "foo**/bar",
                                       "foo*/bar",
                                       "foo?d/bar",
                                       "f??",
                                       "[ab]",
                                       "[!a]",
                                       "[^a]*",
                                       "[a-f]*",
                                       "*.[bB][iI][nN]",
                                       "x\\[1\\].bin",
                                       "x[[]1].bin",
                                       "x[[]1[]].bin",
                                       "sp ace",
                                       "\"sp ace\"",
                                       "sp\\ ace",
                                       "q/\\*.bin",
                                       "q/[*].bin",
                                       "q/*.bin",
                                       "\\#c",
                                       "q/#c",
                                       "#c",
                                       "\\!n",
                                       "q/!n",
                                       "!n",
                                       "q/\\\\b",
                                       "q/*b",
                                       "A/*",
                                       "a/",
                                       "/*",
                                       "/*/",
                                       "*/",
                                       "/**",
                                       "**/",
                                       "***",
                                       "a**",
                                       "**a",
                                       "d/e/**/f/**",
                                       "d/**/e/**/a",
                                       "[[:upper:]]",
                                       "[[:lower:]]*",
                                       "q/[[:punct:]]*",
                                       "[[:bogus:]]",
                                       "[",
                                       "[a",
                                       "[]",
                                       "[]a]",
                                       "[!]a]",
                                       "[a-]",
                                       "[-a]",
                                       "z[-]9",
                                       "z[_-]9",
                                       "z[]]9",
                                       "z[!]_]9",
                                       "z[\\]]9",
                                       "z[[:punct:]]9",
                                       "[z-a]9",
                                       "z[]-_]9",
                                       "\\",
                                       "a\\",
                                       "\\a",
                                       "/",
                                       "//",
                                       "",
                                       "data/*/*.parquet",
                                       "data/**/*.parquet",
                                       "data/train",
                                       "data/train/",
                                       "*.safetensors",
                                       "model.safetensors",
                                       "*.s*f*e*s*rs",
                                       "d/e",
                                       "e/f",
                                       "e",
                                       "/e",
                                       "f/",
                                       "q/r/**/t",
                                       "q/r/**/b.bin",
                                       "q/**/t/",
                                       "r/s",
                                       "trail ",
                                       "trail\\ ",
                                       "q/trail\\ ",
                                       "\"q/\\\"quoted\\\"\"",
                                       "q/\"quoted\"",
                                       "\"q/tab\\there\"",
                                       "\"\\141\"",
                                       "\"unclosed",
                                       "foo.d",
                                       "foo.d/",
                                       "foo.d/*",
                                       ".",
                                       "..",
                                       "./a",
                                       "d//a",
                                       "d/./a",
                                       "d/e/../a",
                                       "*a*",
                                       "?",
                                       "??*",
                                       "*?*",
                                       "**/**",
                                       "**/*",
                                       "*/**",
                                       "d*/a",
                                       "d?bin/a",
                                       "/d.bin/",
                                       "/foo.d/**",
                                       "/foo.d/**/bar",
                                       "foo.d/**/bar",
                                       "*oo*ar",
                                       "?oo*",
                                       "\xc3\xa9"};

static void test_each_pattern(void **state)
{
    fixture *f = *state;
    char     root[128];
    (void)snprintf(root, sizeof root, "%s/work", f->root);
    GIT_RUN(f->root, "init", "-q", root);
    make_files(root);
    static rule_text v[2];
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        v[0] = (rule_text){.folder = ""};
        (void)snprintf(v[0].text, sizeof v[0].text, "%s filter=lfs\n", patterns[i]);
        compare_attributes(root, v, 1);
        (void)snprintf(v[0].text, sizeof v[0].text, "%s\n", patterns[i]);
        compare_ignores(root, v, 1);
        v[1] = (rule_text){.folder = "d"}; /* the same from a folder, and nothing above */
        (void)snprintf(v[1].text, sizeof v[1].text, "%s\n", patterns[i]);
        v[0].text[0] = '\0';
        compare_ignores(root, v, 2);
        v[1].text[0] = '\0';
        compare_ignores(root, v, 2);
    }
}

static void test_attribute_lines(void **state)
{
    fixture *f = *state;
    char     root[128];
    (void)snprintf(root, sizeof root, "%s/work", f->root);
    GIT_RUN(f->root, "init", "-q", root);
    make_files(root);
    char long_line[4096];
    memset(long_line, 'x', 3000);
    memcpy(long_line, "*.bin filter=lfs ", 17);
    (void)snprintf(long_line + 3000, 100, "\na filter=lfs\n");
    const char *texts[] = {
        "*.bin filter=lfs diff=lfs merge=lfs -text\n",
        "*.bin filter=lfs\n*.bin -filter\n",
        "*.bin filter=lfs\nb.bin !filter\n",
        "*.bin -filter\n*.bin filter=lfs\n",
        "*.bin filter=lfs\nd/*.bin filter\n",
        "*.bin filter=lfs\nd/*.bin filter=other\n",
        "*.bin filter=lfs filter=other\n",
        "*.bin filter=other filter=lfs\n",
        "*.bin filter=lfs -filter\n",
        "[attr]big filter=lfs -text\n*.bin big\n",
        "*.bin big\n[attr]big filter=lfs -text\n",
        "[attr]big filter=lfs\n*.bin big\nd/*.bin -big\n",
        "[attr]big filter=lfs\n*.bin big -filter\n",
        "[attr]big filter=lfs\n*.bin -filter big\n",
        "[attr]one filter=lfs\n[attr]two one\n*.bin two\n",
        "[attr]big filter=other\n[attr]big filter=lfs\n*.bin big\n",
        "[attr]loop loop filter=lfs\n*.bin loop\n",
        "[attr]diff filter=lfs\n*.bin binary\n",
        "[attr]diff filter=lfs\n*.bin diff binary\n",
        "[attr]diff filter=lfs\n*.bin binary diff\n",
        "[attr]binary filter=lfs\n*.bin binary\n",
        "*.bin filter=lfs\n*.bin binary\n",
        "[attr] big filter=lfs\n*.bin big\n",
        "[attr]-big filter=lfs\n*.bin filter=lfs\n",
        "\"[attr]big\" filter=lfs\n*.bin big\n",
        "[attr]big filter=lfs\n*.bin big=yes\n",
        "[attr]big filter=lfs\n*.bin !big\n",
        "*.bin filter=lfs bad&name\n",
        "*.bin filter=lfs --x\n",
        "*.bin filter=lfs =x\n",
        "*.bin filter=lfs -\n",
        "!*.bin filter=lfs\n",
        "  *.bin\tfilter=lfs  \r\n",
        "# *.bin filter=lfs\n",
        "   # *.bin filter=lfs\n",
        "\xef\xbb\xbf*.bin filter=lfs\n",
        "*.bin filter=lfs",
        "*.bin\n",
        "\n\n*.bin filter=lfs\n\n",
        "\"*.bin\" filter=lfs\n",
        "\"*.bin\"filter=lfs\n",
        "\"sp ace\" filter=lfs\na filter=lfs\n",
        "\"q/\\\\\\\\b\" filter=lfs\n",
        "\"b\\056bin\" filter=lfs\n",
        "\"b\\x56bin\" filter=lfs\n",
        "*.bin -filter=lfs\n",
        "*.bin filter=LFS\n",
        "*.bin Filter=lfs\n",
        "*.bin filter=lfs=x\n",
        "*.bin filter=\n",
        long_line,
    };
    static rule_text v[2];
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        v[0] = (rule_text){.folder = ""};
        (void)snprintf(v[0].text, sizeof v[0].text, "%s", texts[i]);
        compare_attributes(root, v, 1);
    }
    /* Macros are made in the top folder only. */
    v[0] = (rule_text){"", "[attr]big filter=lfs\na small\n"};
    v[1] = (rule_text){"d", "[attr]small filter=lfs\n*.bin big\na small\n"};
    compare_attributes(root, v, 2);
    v[0] = (rule_text){"", "*.bin filter=lfs\n"};
    v[1] = (rule_text){"d", "*.bin text\ne/*.bin -filter\n"};
    compare_attributes(root, v, 2);
}

static void test_ignore_lines(void **state)
{
    fixture *f = *state;
    char     root[128];
    (void)snprintf(root, sizeof root, "%s/work", f->root);
    GIT_RUN(f->root, "init", "-q", root);
    make_files(root);
    const char      *texts[] = {"*.bin\n!d/*.bin\n",
                                "*\n!*.bin\n",
                                "*\n!*/\n!*.bin\n",
                                "d\n!d/a\n",
                                "d/*\n!d/a\n",
                                "d/*\n!d/e\n",
                                "d/**\n!d/**/\n!d/**/a\n",
                                "/*\n!/d\n/d/*\n!/d/e\n",
                                "a  \n",
                                "a\\  \n",
                                "trail\\ \n",
                                "trail \n",
                                "sp ace  \n",
                                "a\r\nfoo\r\n",
                                "a\r",
                                "*.bin",
                                "\xef\xbb\xbf*.bin\n",
                                "#a\n\\#c\n",
                                " a\n",
                                "\ta\n",
                                "a\t\n",
                                "!a\n",
                                "!\n",
                                "!!a\n",
                                "\\!n\n",
                                "a\n\n\n!a\n",
                                "d/e/\n!d/e/f/\n",
                                "**/f/\n",
                                "foo*\n!foobar\n",
                                "[a\n*.bin\n",
                                "\\\n*.bin\n"};
    static rule_text v[3];
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        v[0] = (rule_text){.folder = ""};
        (void)snprintf(v[0].text, sizeof v[0].text, "%s", texts[i]);
        compare_ignores(root, v, 1);
    }
    v[0] = (rule_text){"", "*.bin\n"};
    v[1] = (rule_text){"d", "!*.bin\n/a\n"};
    v[2] = (rule_text){"d/e", "b.bin\n!a\n"};
    compare_ignores(root, v, 3);
    v[0] = (rule_text){"", "d\n"}; /* what is below an ignored folder does not speak */
    compare_ignores(root, v, 3);
}

/* ---- generated ---- */

static void random_pattern(char *out, size_t cap)
{
    static const char *const pieces[] = {"a",   "b",   ".bin", "d",    "e",          "f",   "foo",
                                         "*",   "*",   "**",   "?",    "/",          "/",   "/",
                                         "/**", "**/", "[ab]", "[!d]", "\\*",        "\\a", "[a-e]",
                                         "bar", "q",   "r/s",  ".d",   "[[:alpha:]]"};
    out[0] = '\0';
    unsigned n = 1 + rng(5);
    if (rng(6) == 0) (void)snprintf(out, cap, "/");
    for (unsigned i = 0; i < n; i++) {
        size_t at = strlen(out);
        (void)snprintf(out + at, cap - at, "%s", pieces[rng(sizeof pieces / sizeof pieces[0])]);
    }
    if (rng(8) == 0) {
        size_t at = strlen(out);
        (void)snprintf(out + at, cap - at, "/");
    }
}

static void random_file(rule_text *v, bool attributes)
{
    static const char *const sets[] = {"filter=lfs", "filter=lfs", "filter=lfs -text",
                                       "-filter",    "!filter",    "big",
                                       "-big",       "filter=x"};
    v->text[0] = '\0';
    if (attributes) (void)snprintf(v->text, sizeof v->text, "[attr]big filter=lfs -text\n");
    unsigned lines = 1 + rng(5);
    for (unsigned i = 0; i < lines; i++) {
        char   pattern[128];
        size_t at = strlen(v->text);
        random_pattern(pattern, sizeof pattern);
        if (attributes) {
            (void)snprintf(v->text + at, sizeof v->text - at, "%s %s\n", pattern, sets[rng(8)]);
        } else {
            (void)snprintf(v->text + at, sizeof v->text - at, "%s%s\n", rng(4) == 0 ? "!" : "",
                           pattern);
        }
    }
}

static void test_generated(void **state)
{
    fixture *f = *state;
    char     root[128];
    (void)snprintf(root, sizeof root, "%s/work", f->root);
    GIT_RUN(f->root, "init", "-q", root);
    make_files(root);
    static rule_text v[3];
    const char      *seed = getenv("RULES_SEED");
    rng_state = seed != NULL ? (unsigned)strtoul(seed, NULL, 10) : 20261120u;
    for (unsigned round = 0; round < 150; round++) {
        for (unsigned i = 0; i < 3; i++) v[i].folder = i == 0 ? "" : i == 1 ? "d" : "d/e";
        for (unsigned i = 0; i < 3; i++) random_file(&v[i], true);
        compare_attributes(root, v, 3);
        for (unsigned i = 0; i < 3; i++) random_file(&v[i], false);
        compare_ignores(root, v, 3);
    }
}

/* ---- hostile ---- */

static void test_hostile(void **state)
{
    fixture   *f = *state;
    vcs_rules *r = vcs_rules_new(f->a);
    SNUG_AUTO(snug_buf) b = snug_buf_init(1 << 22);
    for (int i = 0; i < 60; i++) snug_buf_puts(&b, "**/a*a*a*a*a*a*a*a*a*b/");
    snug_buf_puts(&b, "c\n");
    for (int i = 0; i < 30000; i++) snug_buf_puts(&b, "*a*a*a*a*a*a*a*a*a*a*a*a*a*b\n");
    vcs_rules_add(r, SNUG_EMPTY, snug_buf_slice(&b), false);
    char path[4000];
    for (size_t i = 0; i < sizeof path; i++) path[i] = i % 100 == 99 ? '/' : 'a';
    uint64_t start = snug_mono_ms();
    assert_false(vcs_rules_is_ignored(r, snug_slice_of(path, sizeof path)));
    assert_true(snug_mono_ms() - start < 2000);

    /* Deep macros end; many distinct names end. */
    snug_buf_clear(&b);
    for (int i = 0; i < 2000; i++) snug_buf_printf(&b, "[attr]m%d m%d\n", i, i + 1);
    snug_buf_puts(&b, "* m0\n");
    vcs_rules *deep = vcs_rules_new(f->a);
    vcs_rules_add(deep, SNUG_EMPTY, snug_buf_slice(&b), true);
    assert_false(vcs_rules_is_lfs(deep, SNUG_LIT("x")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_pattern, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_attribute_lines, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_ignore_lines, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_generated, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_hostile, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
