/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_http_server.c - requests per second of a small JSON, and MB/s of a large file.
 *
 * Uses wrk when it is installed: 64 keep-alive connections over one thread, for a route answered
 * on the I/O thread and for one that goes through the worker pool. The file is fetched by a child
 * over one plain socket. Everything shares the machine's processors, so figures are lower bounds.
 * Prints one JSON object. Usage: bench_http_server [seconds] [file megabytes] */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "http/http.h"

static uint64_t file_bytes = 1ull << 30;
static int      file_fd = -1;

static snug_status put_json(http_req *rq, http_res *rs, snug_err *err)
{
    (void)rq, (void)err;
    snug_buf      b = snug_buf_init(4096);
    snug_json_out o = snug_json_out_init(&b);
    snug_jo_begin_object(&o);
    snug_jo_kcstr(&o, "id", "org/model");
    snug_jo_kcstr(&o, "sha", "0123456789abcdef0123456789abcdef01234567");
    snug_jo_ki64(&o, "downloads", 1234);
    snug_jo_end_object(&o);
    http_reply_json(rs, &b);
    return SNUG_OK;
}

static snug_status send_file(http_req *rq, http_res *rs, snug_err *err)
{
    (void)err;
    int fd = fcntl(file_fd, F_DUPFD_CLOEXEC, 3);
    http_reply_content(rq, rs, SNUG_LIT("application/octet-stream"), SNUG_LIT("\"bench\""), fd,
                       NULL, file_bytes);
    return SNUG_OK;
}

static const http_route routes[] = {
    {HTTP_GET, "/api/fast/{ns}/{name}", put_json, 0, NULL, put_json},
    {HTTP_GET, "/api/queued/{ns}/{name}", put_json, 0, NULL, NULL},
    {HTTP_GET, "/file", send_file, 0, NULL, NULL},
};

/* Runs wrk and reads its "Requests/sec:" line; 0 when there is no wrk. */
static double run_wrk(unsigned port, const char *path, unsigned seconds)
{
    int  ends[2];
    char url[256], duration[32], line[256];
    if (pipe(ends) != 0) return 0;
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u%s", port, path);
    (void)snprintf(duration, sizeof duration, "-d%us", seconds);
    pid_t pid = fork();
    if (pid == 0) {
        (void)dup2(ends[1], 1);
        (void)close(ends[0]);
        (void)execlp("wrk", "wrk", "-t1", "-c64", duration, url, (char *)NULL);
        _exit(127);
    }
    (void)close(ends[1]);
    double rate = 0;
    FILE  *f = fdopen(ends[0], "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, "Requests/sec:", 13) == 0) rate = strtod(line + 13, NULL);
        if (strstr(line, "Non-2xx") != NULL) (void)fprintf(stderr, "wrk saw errors: %s", line);
    }
    if (f != NULL) (void)fclose(f);
    (void)waitpid(pid, NULL, 0);
    return rate;
}

static int fetch_file(unsigned port)
{
    static char        buf[1 << 20];
    static const char  ask[] = "GET /file HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n";
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&sa, sizeof sa) != 0) return 1;
    if (write(fd, ask, sizeof ask - 1) < 0) return 1;
    uint64_t total = 0;
    ssize_t  n;
    while ((n = read(fd, buf, sizeof buf)) > 0) total += (uint64_t)n;
    return total > file_bytes ? 0 : 1;
}

static double run_fetch(unsigned port)
{
    int      status = 0;
    uint64_t start = snug_mono_ns();
    pid_t    pid = fork();
    if (pid == 0) _exit(fetch_file(port));
    (void)waitpid(pid, &status, 0);
    double seconds = (double)(snug_mono_ns() - start) / 1e9;
    return status == 0 ? (double)file_bytes / 1e6 / seconds : 0;
}

static bool make_file(void)
{
    static char block[1 << 20];
    file_fd = memfd_create("bench", MFD_CLOEXEC);
    if (file_fd < 0) return false;
    for (size_t i = 0; i < sizeof block; i++) block[i] = (char)(i * 31);
    snug_err err;
    for (uint64_t done = 0; done < file_bytes; done += sizeof block) {
        if (snug_write_all(file_fd, block, sizeof block, &err) != SNUG_OK) return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    unsigned seconds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 5;
    if (argc > 2) file_bytes = strtoull(argv[2], NULL, 10) << 20;
    const http_route *const tables[] = {routes, NULL};
    const size_t            sizes[] = {sizeof routes / sizeof routes[0]};
    http_server_opts        o = {.listen = "127.0.0.1:0", .tables = tables, .table_sizes = sizes};
    http_server            *s = NULL;
    snug_err                err;
    if (!make_file() || http_server_start(&o, &s, &err) != SNUG_OK) {
        (void)fprintf(stderr, "cannot start\n");
        return 1;
    }
    unsigned port = http_server_port(s);
    double   fast = run_wrk(port, "/api/fast/org/model", seconds);
    double   queued = run_wrk(port, "/api/queued/org/model", seconds);
    double   file = run_fetch(port);
    printf("{\"bench\":\"http_server\",\"cpus\":%u,\"connections\":64,\"fast_requests_per_s\":%.0f,"
           "\"queued_requests_per_s\":%.0f,\"file_bytes\":%llu,\"file_mb_per_s\":%.0f}\n",
           snug_cpu_count(), fast, queued, (unsigned long long)file_bytes, file);
    http_server_stop(s, 1000);
    (void)close(file_fd);
    return 0;
}
