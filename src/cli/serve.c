/* SPDX-License-Identifier: Apache-2.0 */
/* cli/serve.c - wires the house: what depends on what at run time is decided here and nowhere else.
 *
 * For:     cmd_serve.c and cmd_openapi.c.
 * Owns:    <data>/serve.lock, the hub, the app struct of the endpoints, the server.
 * Threads: opened and closed by the main thread.
 * Truth:   two servers never share a data folder: the lock is taken before anything is opened and
 *          held until everything is closed; the kernel drops it when the process dies. */
#include "cli/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

#include "jobs/jobs.h"
#include "work/work.h"

#ifdef SNUG_HAVE_WEB
#include "web/web.h"
#endif

enum { TABLES_MAX = 64, URL_MAX = 512, GRACE_MIN_S = 3600 };

struct house {
    int     lock;
    hub    *hub;
    api_app app;
    bool    app_ready;
#ifdef SNUG_HAVE_WEB
    web_app pages;
#endif
    work_app     work;
    jobs        *jobs;
    http_client *client;
    void        *apps[TABLES_MAX]; /* one for each route table */
    http_server *server;
    char         url[URL_MAX];
};

void serve_tables(snug_arena *a, const http_route *const **tables, const size_t **sizes)
{
    const http_route *const *api;
    const size_t            *api_sizes;
    const http_route       **t = snug_arena_zalloc(a, (TABLES_MAX + 1) * sizeof *t);
    size_t                  *s = snug_arena_zalloc(a, (TABLES_MAX + 1) * sizeof *s), n = 0;
    api_tables(&api, &api_sizes);
    for (; api[n] != NULL; n++) {
        SNUG_ASSERT(n + 2 < TABLES_MAX);
        t[n] = api[n];
        s[n] = api_sizes[n];
    }
#ifdef SNUG_HAVE_WEB
    t[n] = web_routes(&s[n]);
#endif
    *tables = t;
    *sizes = s;
}

/* ---- the lock ---- */

static snug_status lock_data(const char *dir, int *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    char        owner[32] = "", mine[32];
    const char *path = snug_arena_printf(a, "%s/serve.lock", dir).ptr;
    int         fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        st = snug_fail(err, SNUG_EIO, "%s cannot be opened: %s", path, strerror(errno));
        goto done;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        ssize_t n = pread(fd, owner, sizeof owner - 1, 0);
        (void)close(fd);
        SNUG_FAIL(err, SNUG_ECONFLICT,
                  "another server uses %s (process %.*s): stop it, or choose another --data", dir,
                  n > 0 ? (int)strcspn(owner, "\n") : 1, n > 0 ? owner : "?");
    }
    int n = snprintf(mine, sizeof mine, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) == 0 && pwrite(fd, mine, (size_t)n, 0) != n)
        snug_log(SNUG_DEBUG, "serve.lock", "pid=unwritten");
    *out = fd;
done:
    snug_arena_free(a);
    return st;
}

/* ---- opening ---- */

static void set_log(const config *conf)
{
    static const char *const names[] = {"debug", "info", "warn", "error", "off"};
    snug_log_opts            o = {.level = SNUG_INFO, .fd = STDERR_FILENO};
    const char              *level = config_text(conf, CONFIG_ID_log_level),
               *format = config_text(conf, CONFIG_ID_log_format);
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        if (level != NULL && strcmp(level, names[i]) == 0) o.level = (snug_log_level)i;
    }
    o.json = format != NULL && strcmp(format, "json") == 0;
    snug_log_setup(&o);
}

/* Connections, git handles and blobs all cost descriptors: take what the system allows. */
static void raise_file_limit(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur == r.rlim_max) return;
    r.rlim_cur = r.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &r);
}

/* What to type to reach us: the address that was asked for, with the port we got. */
static void make_url(house *h, const char *listen)
{
    const char *colon = strrchr(listen, ':');
    if (strncmp(listen, "unix:", 5) == 0) {
        (void)snprintf(h->url, sizeof h->url, "%s", listen);
        return;
    }
    int host = colon == NULL ? (int)strlen(listen) : (int)(colon - listen);
    (void)snprintf(h->url, sizeof h->url, "http://%.*s:%u", host, listen,
                   (unsigned)http_server_port(h->server));
}

/* The pages come last in the list and have an app of their own; the rest is the API's. */
static void bind_apps(house *h)
{
    size_t n = 0;
    while (h->app.tables[n] != NULL) h->apps[n++] = &h->app;
#ifdef SNUG_HAVE_WEB
    h->pages = (web_app){h->hub, h->app.tables, h->app.table_sizes};
    h->apps[n - 1] = &h->pages;
#endif
}

static bool is_public(const config *conf)
{
    const char *url = config_text(conf, CONFIG_ID_public_url);
    return url != NULL && url[0] != '\0';
}

static snug_status start_server(house *h, cli *c, const config *conf, snug_err *err)
{
    const char *listen = config_text(conf, CONFIG_ID_listen);
    serve_tables(c->arena, &h->app.tables, &h->app.table_sizes);
    bind_apps(h);
    http_server_opts o = {
        .listen = listen,
        .io_threads = (unsigned)config_number(conf, CONFIG_ID_io_threads),
        .workers = (unsigned)config_number(conf, CONFIG_ID_workers),
        .stream_workers = (unsigned)config_number(conf, CONFIG_ID_stream_workers),
        .queue_max = config_number(conf, CONFIG_ID_queue_max),
        .idle_timeout_s = (unsigned)config_number(conf, CONFIG_ID_idle_timeout),
        .body_timeout_s = (unsigned)config_number(conf, CONFIG_ID_body_timeout),
        .connections_max = config_number(conf, CONFIG_ID_connections_max),
        .memory_body_max = config_number(conf, CONFIG_ID_memory_body_max),
        .public_url = config_text(conf, CONFIG_ID_public_url),
        .trusted_proxies = config_text(conf, CONFIG_ID_trusted_proxies),
        .tables = h->app.tables,
        .table_sizes = h->app.table_sizes,
        .app = &h->app,
        .table_apps = h->apps,
        .on_error = api_on_error,
        .on_reply = api_on_reply,
    };
    snug_status st = http_server_start(&o, &h->server, err);
    if (st != SNUG_OK) return st;
    make_url(h, listen);
    if (snug_ends_with(snug_str(listen), ":0") && !is_public(conf))
        hub_set_public_url(h->hub, h->url); /* only now there is one */
    return st;
}

/* A part is no larger than what is sent in parts, and no smaller than a mebibyte. */
static void set_parts(api_app *app, uint64_t from)
{
    if (from == 0) return;
    app->lfs_multipart_min = from;
    if (app->lfs_part_size > from) app->lfs_part_size = from;
    if (app->lfs_part_size < 1 << 20) app->lfs_part_size = 1 << 20;
}

static void set_life(api_app *app, uint64_t link_s)
{
    if (link_s > 0) app->xet_link_s = (unsigned)link_s;
}

/* ---- background work ---- */

static void wake_jobs(void *arg) { jobs_wake(arg); }

static snug_status start_jobs(house *h, const config *conf, snug_err *err)
{
    snug_status st = SNUG_OK;
    const char *url = config_text(conf, CONFIG_ID_db); /* NULL: sqlite, which the lock keeps ours */
    jobs_opts   o = {.db = hub_db(h->hub),
                     .app = &h->work,
                     .threads = (unsigned)config_number(conf, CONFIG_ID_job_threads),
                     .alone = url == NULL || strncmp(url, "sqlite", 6) == 0};
    if (config_switch(conf, CONFIG_ID_read_only)) return SNUG_OK;
    uint64_t grace = config_number(conf, CONFIG_ID_gc_grace),
             least = config_number(conf, CONFIG_ID_dedup_min);
    h->work =
        (work_app){.hub = h->hub,
                   .gc = config_switch(conf, CONFIG_ID_gc),
                   .gc_grace_ms = 1000 * (grace > GRACE_MIN_S ? grace : GRACE_MIN_S),
                   .client = h->client,
                   .guard = h->app.guard,
                   .webhook_pause_s = (unsigned)config_number(conf, CONFIG_ID_webhook_pause),
                   .webhook_attempts = (unsigned)config_number(conf, CONFIG_ID_webhook_attempts)};
    if (config_switch(conf, CONFIG_ID_dedup)) hub_set_chunk_min(h->hub, least > 0 ? least : 1);
    o.kinds = work_kinds(&o.kind_count);
    SNUG_TRY(jobs_open(&o, &h->jobs, err));
    hub_on_jobs(h->hub, wake_jobs, h->jobs);
done:
    return st;
}

/* Letters are written before the first request as well, when a crash is healed. */
static snug_status start_webhooks(house *h, const config *conf, snug_err *err)
{
    const char *nets = config_text(conf, CONFIG_ID_webhook_allow);
    char        url[300];
    (void)snprintf(url, sizeof url, "http://%s", config_text(conf, CONFIG_ID_listen));
    hub_set_public_url(h->hub, is_public(conf) ? config_text(conf, CONFIG_ID_public_url) : url);
    h->client = http_client_new(NULL);
    http_guard_free(h->app.guard);
    h->app.guard = NULL;
    return http_guard_new(snug_str(nets != NULL ? nets : ""), &h->app.guard, err);
}

snug_status house_open(cli *c, const config *conf, house **out, snug_err *err)
{
    snug_status st = SNUG_OK;
    house      *h = snug_zalloc(sizeof *h);
    const char *data = config_text(conf, CONFIG_ID_data);
    h->lock = -1;
    set_log(conf);
    raise_file_limit();
    if (config_text(conf, CONFIG_ID_listen) == NULL)
        SNUG_FAIL(err, SNUG_EINVAL, "listen is empty: HOST:PORT is wanted");
    SNUG_TRY(snug_mkdirs(data, 0700, err));
    SNUG_TRY(lock_data(data, &h->lock, err));
    hub_opts o = {.data_dir = data,
                  .db_url = config_text(conf, CONFIG_ID_db),
                  .raw_file_max = config_number(conf, CONFIG_ID_raw_file_max),
                  .lfs_file_max = config_number(conf, CONFIG_ID_lfs_file_max),
                  .ticket_s = (unsigned)config_number(conf, CONFIG_ID_xet_token_life),
                  .read_only = config_switch(conf, CONFIG_ID_read_only)};
    SNUG_TRY(hub_open(&o, &h->hub, err));
    api_app_init(&h->app, h->hub);
    h->app_ready = true;
    SNUG_TRY(start_webhooks(h, conf, err));
    set_parts(&h->app, config_number(conf, CONFIG_ID_lfs_parts_from));
    set_life(&h->app, config_number(conf, CONFIG_ID_xet_link_life));
    SNUG_TRY(start_jobs(h, conf, err));
    SNUG_TRY(start_server(h, c, conf, err));
    *out = h;
    h = NULL; /* moved to the caller */
done:
    if (st != SNUG_OK) snug_note(err, "serving %s", data);
    house_close(h, 0);
    return st;
}

const char *house_url(const house *h) { return h->url; }
hub        *house_hub(house *h) { return h->hub; }

void house_close(house *h, unsigned grace_ms)
{
    if (h == NULL) return;
    if (h->server != NULL) http_server_stop(h->server, grace_ms);
    jobs_close(h->jobs); /* after the last request could add to them */
    h->jobs = NULL;
    http_client_free(h->client);
    if (h->app_ready) api_app_deinit(&h->app);
    if (h->hub != NULL) hub_close(h->hub);
    if (h->lock >= 0) (void)close(h->lock); /* last: the folder is free only now */
    free(h);
}
