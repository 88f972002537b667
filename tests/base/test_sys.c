/* SPDX-License-Identifier: Apache-2.0 */
/* tests/base/test_sys.c - clock, log, metrics, fault points and files. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "check.h"

static char dir[64]; /* a fresh folder per test */

static int make_dir(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/snug-test-XXXXXX");
    return mkdtemp(dir) == NULL;
}

static int drop_dir(void **state)
{
    (void)state;
    snug_err err;
    return snug_remove_tree(dir, &err) != SNUG_OK;
}

static const char *in_dir(const char *name)
{
    static char path[2][256];
    static int  turn;
    turn ^= 1;
    (void)snprintf(path[turn], sizeof path[turn], "%s/%s", dir, name);
    return path[turn];
}

static unsigned count_entries(const char *path)
{
    unsigned       n = 0;
    DIR           *d = opendir(path);
    struct dirent *e;
    assert_non_null(d);
    while ((e = readdir(d)) != NULL) n += e->d_name[0] != '.';
    (void)closedir(d);
    return n;
}

/* ---- clock ---- */

static void test_times(void **state)
{
    (void)state;
    static const struct {
        int64_t     ms;
        const char *iso, *http;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z", "Thu, 01 Jan 1970 00:00:00 GMT"},
        {951782399999, "2000-02-28T23:59:59.999Z", "Mon, 28 Feb 2000 23:59:59 GMT"},
        {951782400000, "2000-02-29T00:00:00.000Z", "Tue, 29 Feb 2000 00:00:00 GMT"},
        {1709210096789, "2024-02-29T12:34:56.789Z", "Thu, 29 Feb 2024 12:34:56 GMT"},
        {1795178096789, "2026-11-20T12:34:56.789Z", "Fri, 20 Nov 2026 12:34:56 GMT"},
        {253402300799999, "9999-12-31T23:59:59.999Z", "Fri, 31 Dec 9999 23:59:59 GMT"},
        {INT64_MAX, "9999-12-31T23:59:59.999Z", "Fri, 31 Dec 9999 23:59:59 GMT"},
        {-1, "1970-01-01T00:00:00.000Z", "Thu, 01 Jan 1970 00:00:00 GMT"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char iso[25], http[30];
        snug_time_iso(rows[i].ms, iso);
        snug_time_http(rows[i].ms, http);
        assert_string_equal(iso, rows[i].iso);
        assert_string_equal(http, rows[i].http);
    }
}

static void test_human(void **state)
{
    (void)state;
    static const struct {
        uint64_t    ms;
        const char *text;
    } times[] = {
        {0, "0 ms"},
        {850, "850 ms"},
        {999, "999 ms"},
        {1000, "1 s"},
        {12999, "12 s"},
        {184000, "3 min 4 s"},
        {3599999, "59 min 59 s"},
        {7500000, "2 h 5 min"},
        {360000000, "100 h 0 min"},
    };
    static const struct {
        uint64_t    n;
        const char *text;
    } sizes[] = {
        {0, "0 B"},           {999, "999 B"},     {1000, "1.0 kB"},       {12345678, "12.3 MB"},
        {999949, "999.9 kB"}, {999950, "1.0 MB"}, {1500000000, "1.5 GB"}, {UINT64_MAX, "18.4 EB"},
    };
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        char out[32];
        snug_time_human(times[i].ms, out);
        assert_string_equal(out, times[i].text);
    }
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char out[16];
        snug_size_human(sizes[i].n, out);
        assert_string_equal(out, sizes[i].text);
    }
}

static void test_clock(void **state)
{
    (void)state;
    uint64_t a = snug_mono_ns();
    int64_t  now = snug_now_ms();
    (void)nanosleep(&(struct timespec){0, 2000000}, NULL);
    uint64_t b = snug_mono_ns();
    assert_true(b - a >= 2000000 && b - a < 5000000000u);
    assert_true(now > 1700000000000 && snug_now_ms() >= now + 1);
}

/* ---- log ---- */

static snug_slice logged(snug_arena *a)
{
    snug_slice s;
    assert_int_equal(snug_read_file(a, in_dir("log"), 1 << 20, &s, NULL), SNUG_OK);
    return s;
}

static int open_log(bool json, snug_log_level level)
{
    int fd = open(in_dir("log"), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    snug_log_setup(&(snug_log_opts){level, json, fd});
    return fd;
}

static void close_log(int fd)
{
    snug_log_request(NULL);
    snug_log_setup(&(snug_log_opts){SNUG_INFO, false, 2});
    (void)close(fd);
}

static void test_log_plain(void **state)
{
    (void)state;
    snug_arena *a = snug_arena_new();
    int         fd = open_log(false, SNUG_INFO);
    snug_log(SNUG_DEBUG, "hidden", "a=1");
    snug_log(SNUG_WARN, "commit", "repo=%s message=%s n=%d", "o/r", "two words", 3);
    snug_log_request("abc123");
    snug_log(SNUG_ERROR, "odd", "value=%s", "line\nbreak \"q\"");
    snug_slice text = logged(a), first, second;
    assert_true(snug_split(&text, '\n', &first));
    assert_true(snug_split(&text, '\n', &second));
    assert_slice(text, "");
    assert_slice(snug_sub(first, 24, SIZE_MAX), " warn  commit repo=o/r message=\"two words\" n=3");
    assert_slice(snug_sub(second, 24, SIZE_MAX),
                 " error odd req=abc123 value=\"line\\nbreak \\\"q\\\"\"");
    assert_true(first.ptr[4] == '-' && first.ptr[10] == 'T' && first.ptr[23] == 'Z');
    close_log(fd);
    snug_arena_free(a);
}

static void test_log_json(void **state)
{
    (void)state;
    snug_arena *a = snug_arena_new();
    snug_err    err;
    snug_json   v;
    int         fd = open_log(true, SNUG_DEBUG);
    (void)snug_fail_sys(&err, ENOENT, "open /x");
    snug_log_request("r1");
    snug_log_err(SNUG_ERROR, "request", &err);
    assert_int_equal(snug_json_parse(a, logged(a), NULL, &v, &err), SNUG_OK);
    assert_slice(snug_json_str_or(v, "level", SNUG_EMPTY), "error");
    assert_slice(snug_json_str_or(v, "event", SNUG_EMPTY), "request");
    assert_slice(snug_json_str_or(v, "req", SNUG_EMPTY), "r1");
    assert_slice(snug_json_str_or(v, "status", SNUG_EMPTY), "io");
    assert_slice(snug_json_str_or(v, "msg", SNUG_EMPTY), "internal error");
    assert_slice(snug_json_str_or(v, "cause", SNUG_EMPTY), "open /x: No such file or directory");
    close_log(fd);
    snug_arena_free(a);
}

/* A line of nothing but bytes that need escapes is logged all the same, cut and whole. */
static void test_log_long(void **state)
{
    (void)state;
    for (int json = 0; json < 2; json++) {
        snug_arena *a = snug_arena_new();
        char        value[4000];
        int         fd = open_log(json == 1, SNUG_INFO);
        memset(value, '\x01', sizeof value - 1);
        value[sizeof value - 1] = '\0';
        snug_log(SNUG_INFO, "long", "value=%s", value);
        snug_slice text = logged(a);
        assert_true(text.len > 2000 * 6 && text.ptr[text.len - 1] == '\n');
        assert_true(snug_find(text, SNUG_LIT("\\u0001\\u0001")) != SIZE_MAX);
        close_log(fd);
        snug_arena_free(a);
    }
}

static void test_log_off(void **state)
{
    (void)state;
    int fd = open_log(false, SNUG_LOG_OFF);
    assert_false(snug_log_enabled(SNUG_ERROR));
    snug_log(SNUG_ERROR, "x", "a=1");
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, 0);
    close_log(fd);
}

/* ---- metrics ---- */

static void test_metrics(void **state)
{
    (void)state;
    SNUG_AUTO(snug_buf) b = snug_buf_init(1 << 16);
    int64_t before = snug_metric_get(SNUG_M_COMMITS);
    snug_metric_add(SNUG_M_COMMITS, 2);
    snug_metric_add(SNUG_M_COMMITS, 1);
    assert_int_equal(snug_metric_get(SNUG_M_COMMITS), before + 3);
    snug_metric_set(SNUG_M_HTTP_CONNECTIONS, 17);
    snug_metric_add(SNUG_M_HTTP_CONNECTIONS, -1);
    snug_metrics_put(&b);
    const char *text = snug_buf_cstr(&b);
    assert_non_null(strstr(text, "# TYPE snug_commits_total counter\nsnug_commits_total "));
    assert_non_null(strstr(text, "# TYPE snug_http_connections gauge\nsnug_http_connections 16\n"));
    const char *resident = strstr(text, "\nprocess_resident_memory_bytes ");
    assert_non_null(resident);
    assert_true(strtoull(resident + 31, NULL, 10) > 100000);
    assert_int_equal(text[b.len - 1], '\n');
}

/* ---- fault points ---- */

static void test_faults(void **state)
{
    (void)state;
    assert_false(SNUG_FAULT("a"));
    snug_faults_setup("a=fail@2,b=fail@1,c=fail@2+");
    assert_true(snug_faults_on);
    assert_false(SNUG_FAULT("a"));
    errno = 0;
    assert_true(SNUG_FAULT("a"));
    assert_int_equal(errno, EIO);
    assert_false(SNUG_FAULT("a"));
    assert_true(SNUG_FAULT("b"));
    assert_false(SNUG_FAULT("b"));
    assert_false(SNUG_FAULT("aa"));
    assert_false(SNUG_FAULT("c"));
    for (int i = 0; i < 3; i++) assert_true(SNUG_FAULT("c"));
    snug_faults_setup(NULL);
    assert_false(snug_faults_on);
    assert_false(SNUG_FAULT("c"));
}

static void die_at_fault(void)
{
    snug_faults_setup("x=kill@2");
    if (SNUG_FAULT("x")) _exit(1);
    (void)SNUG_FAULT("x");
}

static void test_fault_kill(void **state)
{
    (void)state;
    assert_int_equal(check_signal_of(die_at_fault), SIGKILL);
}

/* ---- files ---- */

static void test_read_file(void **state)
{
    (void)state;
    snug_arena *a = snug_arena_new();
    snug_err    err;
    snug_slice  s;
    assert_int_equal(snug_write_file_atomic(in_dir("f"), SNUG_LIT("con\0tent"), 0640, &err),
                     SNUG_OK);
    assert_int_equal(snug_read_file(a, in_dir("f"), 8, &s, &err), SNUG_OK);
    assert_slice(s, "con\0tent");
    assert_int_equal(s.ptr[s.len], '\0');
    assert_int_equal(snug_read_file(a, in_dir("f"), 7, &s, &err), SNUG_ELIMIT);
    assert_int_equal(snug_read_file(a, in_dir("none"), 8, &s, &err), SNUG_ENOTFOUND);
    assert_int_equal(snug_read_file(a, dir, 8, &s, &err), SNUG_EINVAL);
    assert_int_equal(snug_read_file(a, in_dir("f/x"), 8, &s, &err), SNUG_EIO);
    assert_non_null(strstr(err.cause, "/f/x"));
    assert_int_equal(snug_write_file_atomic(in_dir("e"), SNUG_EMPTY, 0600, &err), SNUG_OK);
    assert_int_equal(snug_read_file(a, in_dir("e"), 0, &s, &err), SNUG_OK);
    assert_slice(s, "");
    snug_arena_free(a);
}

static void test_write_atomic(void **state)
{
    (void)state;
    snug_arena *a = snug_arena_new();
    snug_err    err;
    snug_slice  s;
    struct stat st;
    assert_int_equal(snug_write_file_atomic(in_dir("f"), SNUG_LIT("one"), 0600, &err), SNUG_OK);
    assert_int_equal(stat(in_dir("f"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    ino_t before = st.st_ino;
    assert_int_equal(snug_write_file_atomic(in_dir("f"), SNUG_LIT("second"), 0600, &err), SNUG_OK);
    assert_int_equal(stat(in_dir("f"), &st), 0);
    assert_true(st.st_ino != before); /* replaced as a whole, never written into */
    assert_int_equal(snug_read_file(a, in_dir("f"), 100, &s, &err), SNUG_OK);
    assert_slice(s, "second");
    assert_int_equal(count_entries(dir), 1); /* no temporary is left */
    assert_int_equal(snug_write_file_atomic(in_dir("no/such/f"), SNUG_LIT("x"), 0600, &err),
                     SNUG_EIO);
    assert_int_equal(mkdir(in_dir("d"), 0700), 0);
    assert_int_equal(mkdir(in_dir("d/full"), 0700), 0);
    assert_int_equal(snug_write_file_atomic(in_dir("d"), SNUG_LIT("x"), 0600, &err), SNUG_EIO);
    assert_int_equal(count_entries(dir), 2); /* a failed rename takes its temporary away */
    snug_arena_free(a);
}

typedef struct rewriter {
    const char *path;
    atomic_bool stop;
} rewriter;

static void rewrite(void *arg)
{
    rewriter *r = arg;
    char      text[5000];
    snug_err  err;
    for (int i = 0; !atomic_load(&r->stop); i++) {
        memset(text, 'a' + i % 26, sizeof text);
        if (snug_write_file_atomic(r->path, (snug_slice){text, sizeof text}, 0600, &err) != SNUG_OK)
            abort();
    }
}

/* A reader beside a writer sees one version or the other, whole. */
static void test_write_atomic_race(void **state)
{
    (void)state;
    char     path[256];
    rewriter r = {.path = path};
    (void)snprintf(path, sizeof path, "%s", in_dir("race"));
    assert_int_equal(snug_write_file_atomic(path, SNUG_LIT("x"), 0600, NULL), SNUG_OK);
    snug_thread *t = snug_thread_start("rewriter", 0, rewrite, &r);
    for (int i = 0; i < 300; i++) {
        snug_arena *a = snug_arena_new();
        snug_slice  s;
        assert_int_equal(snug_read_file(a, path, 5000, &s, NULL), SNUG_OK);
        assert_true(s.len == 1 || s.len == 5000);
        for (size_t k = 0; k < s.len; k++) assert_int_equal(s.ptr[k], s.ptr[0]);
        snug_arena_free(a);
    }
    atomic_store(&r.stop, true);
    snug_thread_join(t);
}

static void test_mkdirs(void **state)
{
    (void)state;
    snug_err    err;
    struct stat st;
    assert_int_equal(snug_mkdirs(in_dir("a/b/c"), 0700, &err), SNUG_OK);
    assert_int_equal(snug_mkdirs(in_dir("a/b/c/"), 0700, &err), SNUG_OK);
    assert_true(stat(in_dir("a/b/c"), &st) == 0 && S_ISDIR(st.st_mode));
    assert_int_equal(snug_fsync_dir(in_dir("a"), &err), SNUG_OK);
    assert_int_equal(snug_fsync_dir(in_dir("none"), &err), SNUG_EIO);
    assert_int_equal(snug_write_file_atomic(in_dir("file"), SNUG_LIT("x"), 0600, &err), SNUG_OK);
    assert_int_equal(snug_mkdirs(in_dir("file"), 0700, &err), SNUG_EINVAL);
    assert_int_equal(snug_mkdirs(in_dir("file/sub"), 0700, &err), SNUG_EIO);
}

static void test_remove_tree(void **state)
{
    (void)state;
    snug_err    err;
    struct stat st;
    char        link_to[256];
    assert_int_equal(snug_mkdirs(in_dir("keep"), 0700, &err), SNUG_OK);
    assert_int_equal(snug_write_file_atomic(in_dir("keep/f"), SNUG_LIT("x"), 0600, &err), SNUG_OK);
    assert_int_equal(snug_mkdirs(in_dir("t/a/b"), 0700, &err), SNUG_OK);
    assert_int_equal(snug_write_file_atomic(in_dir("t/a/f"), SNUG_LIT("x"), 0600, &err), SNUG_OK);
    (void)snprintf(link_to, sizeof link_to, "%s", in_dir("keep"));
    assert_int_equal(symlink(link_to, in_dir("t/a/link")), 0);
    assert_int_equal(snug_remove_tree(in_dir("t"), &err), SNUG_OK);
    assert_int_equal(lstat(in_dir("t"), &st), -1);
    assert_int_equal(stat(in_dir("keep/f"), &st), 0);               /* links are not followed */
    assert_int_equal(snug_remove_tree(in_dir("t"), &err), SNUG_OK); /* absent is fine */
    assert_int_equal(snug_remove_tree(in_dir("keep/f"), &err), SNUG_OK); /* a single file too */
    assert_int_equal(symlink(link_to, in_dir("link")), 0);
    assert_int_equal(snug_remove_tree(in_dir("link"), &err), SNUG_OK);
    assert_int_equal(stat(link_to, &st), 0);
}

static void test_pread(void **state)
{
    (void)state;
    snug_err err;
    char     got[8];
    assert_int_equal(snug_write_file_atomic(in_dir("f"), SNUG_LIT("0123456789"), 0600, &err),
                     SNUG_OK);
    SNUG_AUTO(snug_fd) f = {open(in_dir("f"), O_RDONLY | O_CLOEXEC)};
    assert_true(f.fd >= 0);
    assert_int_equal(snug_pread_all(f.fd, got, 4, 6, &err), SNUG_OK);
    assert_memory_equal(got, "6789", 4);
    assert_int_equal(snug_pread_all(f.fd, got, 5, 6, &err), SNUG_ECORRUPT);
    assert_string_equal(err.msg, "the file ends at byte 10");
    assert_int_equal(snug_pread_all(f.fd, got, 0, 100, &err), SNUG_OK);
    assert_int_equal(snug_pread_all(-1, got, 1, 0, &err), SNUG_EIO);
}

static void drain_pipe(void *arg)
{
    char    chunk[1000];
    ssize_t n;
    size_t *total = arg;
    int     fd = (int)*total;
    *total = 0;
    while ((n = read(fd, chunk, sizeof chunk)) > 0) *total += (size_t)n;
}

/* More than a pipe holds: write(2) takes it in pieces. */
static void test_write_all(void **state)
{
    (void)state;
    int    ends[2];
    size_t total, n = 1 << 20;
    char  *text = calloc(1, n);
    assert_non_null(text);
    assert_int_equal(pipe(ends), 0);
    total = (size_t)ends[0];
    snug_thread *t = snug_thread_start("drain", 0, drain_pipe, &total);
    assert_int_equal(snug_write_all(ends[1], text, n, NULL), SNUG_OK);
    (void)close(ends[1]);
    snug_thread_join(t);
    (void)close(ends[0]);
    assert_int_equal(total, n);
    assert_int_equal(snug_write_all(ends[1], text, 1, NULL), SNUG_EIO);
    free(text);
}

static void test_map(void **state)
{
    (void)state;
    snug_err err;
    assert_int_equal(snug_write_file_atomic(in_dir("f"), SNUG_LIT("mapped"), 0600, &err), SNUG_OK);
    assert_int_equal(snug_write_file_atomic(in_dir("e"), SNUG_EMPTY, 0600, &err), SNUG_OK);
    SNUG_AUTO(snug_map) m = {NULL, 0};
    SNUG_AUTO(snug_map) empty = {NULL, 0};
    SNUG_AUTO(snug_map) none = {NULL, 0};
    assert_int_equal(snug_map_open(in_dir("f"), &m, &err), SNUG_OK);
    assert_slice(((snug_slice){m.ptr, m.len}), "mapped");
    assert_int_equal(snug_map_open(in_dir("e"), &empty, &err), SNUG_OK);
    assert_int_equal(empty.len, 0);
    assert_int_equal(snug_map_open(in_dir("none"), &none, &err), SNUG_ENOTFOUND);
    assert_int_equal(snug_map_open(dir, &none, &err), SNUG_EINVAL);
}

int main(void)
{
#define D(fn) cmocka_unit_test_setup_teardown(fn, make_dir, drop_dir)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_human),
        cmocka_unit_test(test_clock),
        D(test_log_plain),
        D(test_log_json),
        D(test_log_off),
        D(test_log_long),
        cmocka_unit_test(test_metrics),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_fault_kill),
        D(test_read_file),
        D(test_write_atomic),
        D(test_write_atomic_race),
        D(test_mkdirs),
        D(test_remove_tree),
        D(test_pread),
        D(test_write_all),
        D(test_map),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
