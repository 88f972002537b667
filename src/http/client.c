/* SPDX-License-Identifier: Apache-2.0 */
/* http/client.c - one blocking HTTP call, over libcurl.
 *
 * For:     remote, mirror, webhooks, the relay to a runner, tests.
 * Owns:    a pool of curl handles per client; each keeps its own live connections.
 * Threads: any number call http_call_run at once; each takes a handle out of the pool for itself.
 * Truth:   what the caller reads in errors is a sentence about the other side, never a library's
 *          code; credentials never travel to a host the caller did not name, because a redirect to
 *          another host is handed back instead of followed.
 *
 * Each handle is a curl "multi" of one transfer: that is what lets us look at the cancel flag and
 * the stall clock ten times a second, where the plain interface looks once. */
#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "http/http_int.h"

enum {
    IDLE_HANDLES_MAX = 16,
    REDIRECTS_MAX = 5,
    ANSWER_HEADERS_MAX = 256,
    ANSWER_HEADER_BYTES_MAX = 256 << 10,
    URL_MAX_BYTES = 16 << 10,
    POLL_MS = 100,
    CONNECT_TIMEOUT_DEFAULT_MS = 10000,
    STALL_DEFAULT_MS = 30000,
    TRANSFER_BUFFER = 256 << 10
};

typedef struct handle {
    struct handle *next;
    CURLM         *multi;
    CURL          *easy;
    char          *origin; /* of its last call: "https://host:443" */
} handle;

struct http_client {
    snug_mutex lock; /* rank 730: guards the list */
    handle    *idle; /* most recently used first */
    size_t     idle_count;
    char      *agent;
};

/* Where a URL leads. Heap strings of curl's. */
typedef struct target {
    CURLU *url;
    char  *scheme, *host, *port, *whole;
} target;

typedef struct call {
    const http_call *ask;
    http_answer     *out;
    snug_arena      *arena;
    snug_err        *err;
    handle          *h;
    target           to;
    snug_status      failed;                          /* by a callback of the caller's */
    bool             follows, follows_known, guarded; /* guarded: an address was refused */
    int              status;
    size_t           header_bytes;
    uint64_t         moved_ms; /* when a byte last moved */
    curl_off_t       moved;
} call;

/* ---- handles ---- */

static void init_curl(void) { (void)curl_global_init(CURL_GLOBAL_DEFAULT); }

http_client *http_client_new(const char *user_agent)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    SNUG_ASSERT(pthread_once(&once, init_curl) == 0);
    http_client *c = snug_zalloc(sizeof *c);
    snug_mutex_init(&c->lock, "http_client", 730);
    c->agent = snug_strdup(snug_str(user_agent != NULL ? user_agent : "snug/" SNUG_VERSION));
    return c;
}

static void handle_free(handle *h)
{
    if (h == NULL) return;
    curl_easy_cleanup(h->easy);
    (void)curl_multi_cleanup(h->multi);
    free(h->origin);
    free(h);
}

void http_client_free(http_client *c)
{
    if (c == NULL) return;
    while (c->idle != NULL) {
        handle *h = c->idle;
        c->idle = h->next;
        handle_free(h);
    }
    snug_mutex_deinit(&c->lock);
    free(c->agent);
    free(c);
}

/* One that knows the origin if there is one; else a new one, or the least recently used. */
static handle *handle_take(http_client *c, const char *origin)
{
    handle *h = NULL;
    snug_lock(&c->lock);
    handle **at = &c->idle;
    while (*at != NULL && strcmp((*at)->origin, origin) != 0) at = &(*at)->next;
    if (*at == NULL && c->idle_count >= IDLE_HANDLES_MAX / 2) {
        at = &c->idle;
        SNUG_ASSERT(*at != NULL); /* idle_count says so */
        while ((*at)->next != NULL) at = &(*at)->next;
    }
    if (*at != NULL) {
        h = *at;
        *at = h->next;
        c->idle_count--;
    }
    snug_unlock(&c->lock);
    if (h == NULL) {
        h = snug_zalloc(sizeof *h);
        h->multi = curl_multi_init();
        h->easy = curl_easy_init();
        SNUG_ASSERT(h->multi != NULL && h->easy != NULL);
        (void)curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, 4L);
    }
    free(h->origin);
    h->origin = snug_strdup(snug_str(origin));
    return h;
}

/* A handle whose transfer ended badly is not used again. */
static void handle_give(http_client *c, handle *h, bool sound)
{
    if (!sound) {
        handle_free(h);
        return;
    }
    curl_easy_reset(h->easy); /* forgets the options, keeps the connections */
    snug_lock(&c->lock);
    bool keep = c->idle_count < IDLE_HANDLES_MAX;
    if (keep) {
        h->next = c->idle;
        c->idle = h;
        c->idle_count++;
    }
    snug_unlock(&c->lock);
    if (!keep) handle_free(h);
}

/* ---- URLs ---- */

static void target_deinit(target *t)
{
    curl_url_cleanup(t->url);
    curl_free(t->scheme);
    curl_free(t->host);
    curl_free(t->port);
    curl_free(t->whole);
    memset(t, 0, sizeof *t);
}

/* base NULL, or what a relative `url` is relative to. */
static bool target_parse(target *t, const target *base, const char *url)
{
    memset(t, 0, sizeof *t);
    t->url = base == NULL ? curl_url() : curl_url_dup(base->url);
    if (t->url == NULL || strlen(url) > URL_MAX_BYTES) return false;
    return curl_url_set(t->url, CURLUPART_URL, url, 0) == CURLUE_OK &&
           curl_url_get(t->url, CURLUPART_SCHEME, &t->scheme, 0) == CURLUE_OK &&
           (strcmp(t->scheme, "http") == 0 || strcmp(t->scheme, "https") == 0) &&
           curl_url_get(t->url, CURLUPART_HOST, &t->host, 0) == CURLUE_OK &&
           curl_url_get(t->url, CURLUPART_PORT, &t->port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
           curl_url_get(t->url, CURLUPART_URL, &t->whole, 0) == CURLUE_OK;
}

static bool same_origin(const target *a, const target *b)
{
    return strcmp(a->scheme, b->scheme) == 0 && strcasecmp(a->host, b->host) == 0 &&
           strcmp(a->port, b->port) == 0;
}

static bool is_loopback(const target *t)
{
    return strcasecmp(t->host, "localhost") == 0 || strncmp(t->host, "127.", 4) == 0 ||
           strcmp(t->host, "[::1]") == 0;
}

/* ---- callbacks ---- */

static void note_moved(call *k) { k->moved_ms = snug_mono_ms(); }

/* Asked for each piece too: a fast peer can deliver it all within one turn of the loop. */
static bool is_canceled(call *k)
{
    if (k->ask->cancel == NULL || !atomic_load(k->ask->cancel)) return false;
    k->failed = snug_fail(k->err, SNUG_ECANCELED, "canceled");
    return true;
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
    call        *k = arg;
    http_answer *a = k->out;
    snug_slice   line = snug_trim(snug_slice_of(p, size * n));
    note_moved(k);
    if (snug_starts_with(line, "HTTP/")) { /* of the last response only */
        a->header_count = 0;
        return n;
    }
    size_t colon = snug_index(line, ':');
    if (colon == SIZE_MAX || colon == 0) return n;
    k->header_bytes += line.len;
    if (a->header_count == ANSWER_HEADERS_MAX || k->header_bytes > ANSWER_HEADER_BYTES_MAX) {
        k->failed = snug_fail(k->err, SNUG_EREMOTE, "%s:%s answered with too many headers",
                              k->to.host, k->to.port);
        return 0;
    }
    if (a->headers == NULL)
        a->headers = snug_arena_alloc(k->arena, ANSWER_HEADERS_MAX * sizeof *a->headers);
    http_header *h = &a->headers[a->header_count++];
    h->name = snug_arena_dup(k->arena, snug_trim(snug_sub(line, 0, colon)));
    h->value = snug_arena_dup(k->arena, snug_trim(snug_sub(line, colon + 1, line.len)));
    return n;
}

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static bool is_plain_get(const char *method)
{
    return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

/* Whether this answer is one we follow; parses the new place into *next. A request with a body is
 * sent again only where the status says so, and only if the body is still there to send. */
static bool redirects(call *k, target *next)
{
    memset(next, 0, sizeof *next);
    if (!k->ask->follow || !is_redirect(k->status)) return false;
    bool again = is_plain_get(k->ask->method) || k->status == 303 ||
                 ((k->status == 307 || k->status == 308) && k->ask->pull == NULL);
    snug_slice where = http_answer_header(k->out, "Location");
    if (!again || where.len == 0) return false;
    if (target_parse(next, &k->to, snug_arena_cstr(k->arena, where)) && same_origin(next, &k->to))
        return true;
    target_deinit(next);
    return false;
}

static bool skips_body(call *k)
{
    if (!k->follows_known) {
        long   status = 0;
        target next;
        (void)curl_easy_getinfo(k->h->easy, CURLINFO_RESPONSE_CODE, &status);
        k->status = (int)status;
        k->follows = redirects(k, &next);
        k->follows_known = true;
        if (k->follows) target_deinit(&next);
    }
    return k->follows;
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    call      *k = arg;
    snug_slice part = snug_slice_of(p, size * n);
    note_moved(k);
    if (is_canceled(k)) return 0;
    if (skips_body(k)) return n;
    if (k->ask->push != NULL) {
        k->failed = k->ask->push(k->ask->push_arg, k->status, part, k->err);
        note_moved(k); /* the time was the caller's */
        if (k->failed != SNUG_OK) return 0;
    } else if (k->ask->into != NULL) {
        snug_buf_put_slice(k->ask->into, part);
        k->failed = snug_buf_check(k->ask->into, "the answer", k->err);
        if (k->failed != SNUG_OK) return 0;
    }
    k->out->body_bytes += part.len;
    return n;
}

static size_t on_pull(char *p, size_t size, size_t n, void *arg)
{
    call  *k = arg;
    size_t got = 0;
    if (is_canceled(k)) return CURL_READFUNC_ABORT;
    k->failed = k->ask->pull(k->ask->pull_arg, p, size * n, &got, k->err);
    note_moved(k);
    return k->failed == SNUG_OK ? got : CURL_READFUNC_ABORT;
}

/* The address is the one that will be connected to: no later answer of a name server changes it. */
static curl_socket_t on_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
    call *k = arg;
    if (purpose != CURLSOCKTYPE_IPCXN || !http_guard_allows(k->ask->guard, &to->addr)) {
        k->guarded = true;
        return CURL_SOCKET_BAD;
    }
    return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

static int on_progress(void *arg, curl_off_t dl_total, curl_off_t dl, curl_off_t ul_total,
                       curl_off_t ul)
{
    call *k = arg;
    (void)dl_total, (void)ul_total;
    if (dl + ul != k->moved) {
        k->moved = dl + ul;
        note_moved(k);
    }
    return 0;
}

/* ---- one exchange ---- */

static snug_status add_header(struct curl_slist **list, snug_slice name, snug_slice value,
                              snug_err *err)
{
    bool sound = http_is_token(name);
    for (size_t i = 0; i < value.len; i++)
        sound = sound && (unsigned char)value.ptr[i] >= 0x20 && value.ptr[i] != 0x7f;
    if (!sound) return snug_fail(err, SNUG_EINVAL, "a header to be sent is malformed");
    SNUG_AUTO(snug_buf) b = snug_buf_init(SIZE_MAX / 4);
    snug_buf_put_slice(&b, name);
    if (value.len == 0)
        snug_buf_putc(&b, ';'); /* curl's way to write an empty one */
    else
        snug_buf_printf(&b, ": %.*s", SNUG_SLICE(value));
    struct curl_slist *more = curl_slist_append(*list, snug_buf_cstr(&b));
    SNUG_ASSERT(more != NULL);
    *list = more;
    return SNUG_OK;
}

static snug_status make_headers(const http_call *ask, bool body, struct curl_slist **list,
                                snug_err *err)
{
    bool typed = false;
    for (size_t i = 0; i < ask->header_count; i++) {
        snug_status st = add_header(list, ask->headers[i].name, ask->headers[i].value, err);
        if (st != SNUG_OK) return st;
        typed = typed || snug_eq_nocase(ask->headers[i].name, SNUG_LIT("Content-Type"));
    }
    if (body && !typed) *list = curl_slist_append(*list, "Content-Type:"); /* no form by default */
    return SNUG_OK;
}

static bool takes_body(const http_call *ask)
{
    return ask->pull != NULL || ask->body.len > 0 || strcmp(ask->method, "POST") == 0 ||
           strcmp(ask->method, "PUT") == 0 || strcmp(ask->method, "PATCH") == 0;
}

#define SET(option, value) SNUG_ASSERT(curl_easy_setopt(e, option, value) == CURLE_OK)

static void set_body(CURL *e, call *k, const char *method)
{
    const http_call *ask = k->ask;
    if (strcmp(method, "HEAD") == 0) {
        SET(CURLOPT_NOBODY, 1L);
        return;
    }
    if (strcmp(method, "GET") != 0 || ask->body.len > 0) SET(CURLOPT_CUSTOMREQUEST, method);
    if (strcmp(method, ask->method) != 0 || !takes_body(ask)) return;
    if (ask->pull == NULL) {
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)ask->body.len);
        SET(CURLOPT_POSTFIELDS, ask->body.len > 0 ? ask->body.ptr : "");
        SET(CURLOPT_CUSTOMREQUEST, method);
        return;
    }
    SET(CURLOPT_UPLOAD, 1L);
    SET(CURLOPT_CUSTOMREQUEST, method);
    SET(CURLOPT_READFUNCTION, on_pull);
    SET(CURLOPT_READDATA, k);
    SET(CURLOPT_INFILESIZE_LARGE,
        ask->pull_length == UINT64_MAX ? (curl_off_t)-1 : (curl_off_t)ask->pull_length);
    SET(CURLOPT_UPLOAD_BUFFERSIZE, (long)TRANSFER_BUFFER);
    SET(CURLOPT_FRESH_CONNECT, 1L); /* a stale connection could not take the body twice */
}

static void set_options(http_client *c, call *k, const char *method, struct curl_slist *headers)
{
    CURL            *e = k->h->easy;
    const http_call *ask = k->ask;
    curl_easy_reset(e);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_CURLU, k->to.url);
    SET(CURLOPT_USERAGENT, c->agent);
    SET(CURLOPT_HTTPHEADER, headers);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, k);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, k);
    SET(CURLOPT_BUFFERSIZE, (long)TRANSFER_BUFFER);
    SET(CURLOPT_NOPROGRESS, 0L);
    SET(CURLOPT_XFERINFOFUNCTION, on_progress);
    SET(CURLOPT_XFERINFODATA, k);
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    SET(CURLOPT_CONNECTTIMEOUT_MS,
        (long)(ask->connect_timeout_ms != 0 ? ask->connect_timeout_ms
                                            : CONNECT_TIMEOUT_DEFAULT_MS));
    if (is_loopback(&k->to) || ask->guard != NULL)
        SET(CURLOPT_PROXY, ""); /* whatever the environment says */
    if (ask->guard != NULL) {
        SET(CURLOPT_OPENSOCKETFUNCTION, on_socket);
        SET(CURLOPT_OPENSOCKETDATA, k);
        SET(CURLOPT_FRESH_CONNECT, 1L); /* each call is looked at */
        SET(CURLOPT_FORBID_REUSE, 1L);
    }
    set_body(e, k, method);
}

/* Runs the transfer; *stopped tells why we ended it ourselves. */
static CURLcode transfer(call *k, uint64_t started_ms, snug_status *stopped)
{
    const http_call *ask = k->ask;
    CURLcode         rc = CURLE_OK;
    unsigned stall_ms = ask->stall_timeout_ms != 0 ? ask->stall_timeout_ms : STALL_DEFAULT_MS;
    int      running = 1;
    *stopped = SNUG_OK;
    SNUG_ASSERT(curl_multi_add_handle(k->h->multi, k->h->easy) == CURLM_OK);
    note_moved(k);
    for (;;) {
        if (curl_multi_perform(k->h->multi, &running) != CURLM_OK || running == 0) break;
        uint64_t   now = snug_mono_ms();
        curl_off_t connected = 0;
        (void)curl_easy_getinfo(k->h->easy, CURLINFO_PRETRANSFER_TIME_T, &connected);
        if (connected == 0) note_moved(k); /* connecting has a clock of its own */
        if (ask->cancel != NULL && atomic_load(ask->cancel))
            *stopped = SNUG_ECANCELED;
        else if (now > k->moved_ms && now - k->moved_ms > stall_ms)
            *stopped = SNUG_ETIMEOUT;
        else if (ask->total_timeout_ms != 0 && now - started_ms > ask->total_timeout_ms)
            *stopped = SNUG_ETIMEOUT;
        if (*stopped != SNUG_OK) break;
        (void)curl_multi_poll(k->h->multi, NULL, 0, POLL_MS, NULL);
    }
    int      left;
    CURLMsg *msg = curl_multi_info_read(k->h->multi, &left);
    if (msg != NULL && msg->msg == CURLMSG_DONE)
        rc = msg->data.result;
    else if (*stopped == SNUG_OK)
        rc = CURLE_FAILED_INIT;
    (void)curl_multi_remove_handle(k->h->multi, k->h->easy);
    return rc;
}

/* ---- sentences ---- */

static snug_status fail_connect(call *k)
{
    long errnum = 0;
    char reason[128] = "no route";
    (void)curl_easy_getinfo(k->h->easy, CURLINFO_OS_ERRNO, &errnum);
    if (errnum != 0) {
        char buf[96];
        (void)snprintf(reason, sizeof reason, "%s", strerror_r((int)errnum, buf, sizeof buf));
        if (reason[0] >= 'A' && reason[0] <= 'Z') reason[0] = (char)(reason[0] + 32);
    }
    return snug_fail(k->err, SNUG_EREMOTE, "could not connect to %s:%s: %s", k->to.host, k->to.port,
                     reason);
}

static snug_status fail_stopped(call *k, snug_status why)
{
    if (why == SNUG_ECANCELED) return snug_fail(k->err, why, "canceled");
    char size[16];
    snug_size_human(k->out->body_bytes, size);
    return snug_fail(k->err, why, "%s:%s stopped sending after %s", k->to.host, k->to.port, size);
}

static snug_status fail_transfer(call *k, CURLcode rc)
{
    const char *host = k->to.host, *port = k->to.port;
    char        size[16];
    snug_size_human(k->out->body_bytes, size);
    if (k->guarded && k->status == 0)
        return snug_fail(k->err, SNUG_EFORBIDDEN, "%s leads to a private address", host);
    switch (rc) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return snug_fail(k->err, SNUG_EREMOTE, "could not find the host %s", host);
    case CURLE_COULDNT_RESOLVE_PROXY:
        return snug_fail(k->err, SNUG_EREMOTE, "could not find the proxy for %s", host);
    case CURLE_COULDNT_CONNECT: return fail_connect(k);
    case CURLE_OPERATION_TIMEDOUT:
        return snug_fail(k->err, SNUG_ETIMEOUT, "could not connect to %s:%s in time", host, port);
    case CURLE_GOT_NOTHING:
        return snug_fail(k->err, SNUG_EREMOTE, "%s:%s closed the connection without an answer",
                         host, port);
    case CURLE_PEER_FAILED_VERIFICATION:
        return snug_fail(k->err, SNUG_EREMOTE, "the certificate of %s is not trusted", host);
    case CURLE_SSL_CONNECT_ERROR:
        return snug_fail(k->err, SNUG_EREMOTE, "could not agree with %s:%s on encryption", host,
                         port);
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_HTTP2_STREAM:
        return snug_fail(k->err, SNUG_EREMOTE, "the connection to %s:%s was cut after %s", host,
                         port, size);
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return snug_fail(k->err, SNUG_EREMOTE, "%s:%s does not answer in HTTP", host, port);
    default:
        return snug_fail(k->err, SNUG_EREMOTE, "talking to %s:%s failed: %s", host, port,
                         curl_easy_strerror(rc));
    }
}

/* ---- the call ---- */

static snug_status exchange(http_client *c, call *k, const char *method, uint64_t started_ms)
{
    struct curl_slist *headers = NULL;
    snug_status        stopped = SNUG_OK;
    snug_status st = make_headers(k->ask, takes_body(k->ask) && strcmp(method, k->ask->method) == 0,
                                  &headers, k->err);
    if (st == SNUG_OK) {
        k->failed = SNUG_OK;
        k->follows_known = false;
        k->moved = 0;
        k->out->header_count = 0;
        k->header_bytes = 0;
        set_options(c, k, method, headers);
        CURLcode rc = transfer(k, started_ms, &stopped);
        long     status = 0;
        (void)curl_easy_getinfo(k->h->easy, CURLINFO_RESPONSE_CODE, &status);
        k->status = k->out->status = (int)status;
        if (k->failed != SNUG_OK)
            st = k->failed;
        else if (stopped != SNUG_OK)
            st = fail_stopped(k, stopped);
        else if (rc != CURLE_OK)
            st = fail_transfer(k, rc);
    }
    curl_slist_free_all(headers);
    return st;
}

snug_status http_call_run(http_client *c, const http_call *ask, snug_arena *a, http_answer *out,
                          snug_err *err)
{
    snug_status st = SNUG_OK;
    const char *method = ask->method != NULL ? ask->method : "GET";
    http_call   copy = *ask;
    call        k = {.ask = &copy, .out = out, .arena = a, .err = err};
    uint64_t    started = snug_mono_ms();
    memset(out, 0, sizeof *out);
    copy.method = method;
    if (!http_is_token(snug_str(method)) || !target_parse(&k.to, NULL, ask->url))
        SNUG_FAIL(err, SNUG_EINVAL, "%.200s is no http or https address", ask->url);
    char origin[512];
    (void)snprintf(origin, sizeof origin, "%s://%s:%s", k.to.scheme, k.to.host, k.to.port);
    k.h = handle_take(c, origin);
    for (unsigned hop = 0;; hop++) {
        target next;
        SNUG_TRY(exchange(c, &k, method, started));
        if (!redirects(&k, &next)) break;
        target_deinit(&k.to);
        k.to = next;
        if (hop == REDIRECTS_MAX)
            SNUG_FAIL(err, SNUG_EREMOTE, "%s:%s redirects in circles", k.to.host, k.to.port);
        if (k.status == 303 && strcmp(method, "HEAD") != 0) method = "GET";
    }
    out->url = snug_arena_dup(a, snug_str(k.to.whole));
done:
    if (k.h != NULL) handle_give(c, k.h, st == SNUG_OK);
    target_deinit(&k.to);
    return st;
}

snug_slice http_answer_header(const http_answer *r, const char *name)
{
    for (size_t i = 0; i < r->header_count; i++) {
        if (snug_eq_nocase(r->headers[i].name, snug_str(name))) return r->headers[i].value;
    }
    return SNUG_EMPTY;
}
