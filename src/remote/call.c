/* SPDX-License-Identifier: Apache-2.0 */
/* remote/call.c - one exchange with a hub: token, redirects, retries, and what a refusal means.
 *
 * For:     every file of remote/ that talks to a server.
 * Owns:    nothing; connections belong to the http client.
 * Threads: any.
 * Truth:   the token goes to the endpoint's own origin and nowhere else, whatever a redirect says.
 */
#include <stdlib.h>
#include <time.h>

#include "remote/remote_int.h"

enum { ERROR_BODY_MAX = 64 * 1024, HOPS_MAX = 5, WAIT_MAX_MS = 60000, SLEEP_SLICE_MS = 50 };

/* ---- addresses ---- */

/* Bytes of "scheme://host:port"; 0: not an http address. */
static size_t origin_of(const char *url)
{
    size_t n = strncmp(url, "http://", 7) == 0 ? 7 : strncmp(url, "https://", 8) == 0 ? 8 : 0;
    return n == 0 ? 0 : n + strcspn(url + n, "/?#");
}

static bool at_home(const remote *r, const char *url)
{
    return origin_of(url) == r->origin_len && strncmp(url, r->endpoint, r->origin_len) == 0;
}

const char *remote_home_url(const remote *r, snug_arena *a, snug_slice link)
{
    const char *s = snug_arena_cstr(a, link);
    size_t      skip = origin_of(s);
    const char *rest = s + skip;
    return snug_arena_printf(a, "%.*s%s%s", (int)r->origin_len, r->endpoint,
                             rest[0] == '/' ? "" : "/", rest)
        .ptr;
}

const char *remote_encode(snug_arena *a, snug_slice s, bool keep_slash)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(16 * REMOTE_PATH_MAX);
    snug_percent_put(&b, s, keep_slash);
    return snug_arena_cstr(a, snug_buf_slice(&b));
}

const char *remote_api_url(const remote *r, snug_arena *a, const remote_repo *id, const char *rest)
{
    return snug_arena_printf(a, "%s/api/%ss/%s%s", r->endpoint, id->type,
                             remote_encode(a, id->id, true), rest)
        .ptr;
}

const char *remote_web_url(const remote *r, snug_arena *a, const remote_repo *id, const char *rest)
{
    bool model = strcmp(id->type, "model") == 0;
    return snug_arena_printf(a, "%s/%s%s%s%s", r->endpoint, model ? "" : id->type,
                             model ? "" : "s/", remote_encode(a, id->id, true), rest)
        .ptr;
}

/* ---- what an answer means ---- */

static const struct {
    int         http;
    snug_status st;
} meanings[] = {
    {400, SNUG_EINVAL},   {401, SNUG_EUNAUTH},   {403, SNUG_EFORBIDDEN}, {404, SNUG_ENOTFOUND},
    {408, SNUG_ETIMEOUT}, {409, SNUG_ECONFLICT}, {412, SNUG_ESTALE},     {413, SNUG_ELIMIT},
    {416, SNUG_ERANGE},   {422, SNUG_EPAYLOAD},  {429, SNUG_ERATE},      {503, SNUG_EBUSY},
    {504, SNUG_ETIMEOUT},
};

static const char *known_code(snug_slice code)
{
    static const char *const codes[] = {"RepoNotFound", "RevisionNotFound", "EntryNotFound",
                                        "GatedRepo"};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        if (snug_eq_str(code, codes[i])) return codes[i];
    }
    return NULL;
}

/* {"error": "..."}, {"error": ["..."]}, {"message": "..."} or {"errors": [{"message": "..."}]} */
static snug_slice sentence_of(snug_json v)
{
    snug_slice s = SNUG_EMPTY;
    snug_json  e = snug_json_get(v, "error");
    if (snug_json_to_str(snug_json_get(v, "error_description"), &s)) return s;
    if (snug_json_to_str(e, &s) || snug_json_to_str(snug_json_at(e, 0), &s)) return s;
    if (snug_json_to_str(snug_json_get(v, "message"), &s)) return s;
    (void)snug_json_to_str(snug_json_get(snug_json_at(snug_json_get(v, "errors"), 0), "message"),
                           &s);
    return s;
}

snug_status remote_judge(const remote *r, const http_answer *ans, snug_slice body, snug_err *err)
{
    if (ans->status < 400) return SNUG_OK;
    snug_status st = SNUG_EREMOTE;
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++) {
        if (meanings[i].http == ans->status) st = meanings[i].st;
    }
    snug_arena *a = snug_arena_new();
    snug_slice  text = http_answer_header(ans, "X-Error-Message");
    snug_json   v;
    if (text.len == 0 && snug_json_parse(a, body, NULL, &v, NULL) == SNUG_OK) text = sentence_of(v);
    if (text.len > 300) text.len = 300;
    const char *code = known_code(http_answer_header(ans, "X-Error-Code"));
    const char *hint = ans->status == 401 && r->token == NULL ? " (not logged in: snug login)" : "";
    if (text.len > 0) {
        st = snug_fail_code(err, st, code, "%.*s%s", SNUG_SLICE(text), hint);
    } else {
        st = snug_fail_code(err, st, code, "%.*s answered %d%s", (int)r->origin_len, r->endpoint,
                            ans->status, hint);
    }
    snug_arena_free(a);
    return st;
}

bool remote_is_passing(snug_status st, int status)
{
    if (status != 0) return status == 408 || status == 429 || (status >= 500 && status != 501);
    return st == SNUG_EREMOTE || st == SNUG_ETIMEOUT || st == SNUG_EBUSY;
}

uint64_t remote_backoff_ms(unsigned failures, snug_slice retry_after)
{
    uint64_t seconds;
    if (snug_parse_u64(snug_trim(retry_after), &seconds)) {
        return seconds > WAIT_MAX_MS / 1000 ? WAIT_MAX_MS : seconds * 1000 + 100;
    }
    uint64_t base = 300u << (failures > 5 ? 5 : failures);
    return base / 2 +
           snug_random_u64() % base; /* spread, so that many clients do not come back at once */
}

snug_status remote_wait(uint64_t ms, const atomic_bool *cancel, snug_err *err)
{
    uint64_t until = snug_mono_ms() + ms, now;
    while ((now = snug_mono_ms()) < until) {
        if (cancel != NULL && atomic_load(cancel))
            return snug_fail(err, SNUG_ECANCELED, "canceled");
        uint64_t        left = until - now < SLEEP_SLICE_MS ? until - now : SLEEP_SLICE_MS;
        struct timespec ts = {0, (long)left * 1000000};
        (void)nanosleep(&ts, NULL);
    }
    return SNUG_OK;
}

/* ---- one exchange ---- */

/* Where the body goes depends on the status: results to the caller, refusals into a small buffer.
 */
typedef struct sink {
    const remote_ask *q;
    snug_buf          refusal;
    snug_status       st; /* of the caller's own function: not worth a retry */
} sink;

static snug_status take_part(void *arg, int status, snug_slice part, snug_err *err)
{
    sink *s = arg;
    if (status >= 300 && !s->q->accept_any) {
        snug_buf_put_slice(&s->refusal, part);
    } else if (s->q->push != NULL) {
        s->st = s->q->push(s->q->push_arg, status, part, err);
        return s->st;
    } else if (s->q->into != NULL) {
        snug_buf_put_slice(s->q->into, part);
        if (s->q->into->full) {
            s->st = snug_fail(err, SNUG_ELIMIT, "the server's answer is larger than %zu bytes",
                              s->q->into->max);
            return s->st;
        }
    }
    return SNUG_OK;
}

static void put_header(http_header *h, size_t *n, const char *name, snug_slice value)
{
    h[(*n)++] = (http_header){snug_str(name), value};
}

static snug_status one_hop(remote *r, const remote_ask *q, const char *url, sink *s, snug_arena *a,
                           http_answer *out, snug_err *err)
{
    http_header h[6 + REMOTE_EXTRA_MAX];
    size_t      n = 0;
    if (!q->anonymous && r->token != NULL && at_home(r, url)) {
        put_header(h, &n, "Authorization", snug_arena_printf(a, "Bearer %s", r->token));
    }
    if (q->accept != NULL) put_header(h, &n, "Accept", snug_str(q->accept));
    if (q->media != NULL) put_header(h, &n, "Content-Type", snug_str(q->media));
    if (q->identity) put_header(h, &n, "Accept-Encoding", SNUG_LIT("identity"));
    if (q->with_range) {
        put_header(
            h, &n, "Range",
            snug_arena_printf(a, "bytes=%" PRIu64 "-%" PRIu64, q->range_first, q->range_last));
    }
    for (size_t i = 0; i < q->extra_count && i < REMOTE_EXTRA_MAX; i++) h[n++] = q->extra[i];
    if (q->rewind != NULL) q->rewind(q->push != NULL ? q->push_arg : q->pull_arg);
    if (q->into != NULL) snug_buf_clear(q->into);
    snug_buf_clear(&s->refusal);
    http_call call = {.method = q->method,
                      .url = url,
                      .headers = h,
                      .header_count = n,
                      .body = q->body,
                      .pull = q->pull,
                      .pull_arg = q->pull_arg,
                      .pull_length = q->pull_length,
                      .push = take_part,
                      .push_arg = s,
                      .stall_timeout_ms = q->stall_ms,
                      .cancel = q->cancel};
    return http_call_run(r->http, &call, a, out, err);
}

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* NULL: not a place we go. From https only to https. */
static const char *next_place(snug_arena *a, const char *from, snug_slice location)
{
    if (location.len == 0 || location.len > 16 * 1024) return NULL;
    const char *to = snug_arena_cstr(a, location);
    if (to[0] == '/' && to[1] != '/')
        return snug_arena_printf(a, "%.*s%s", (int)origin_of(from), from, to).ptr;
    if (origin_of(to) == 0) return NULL;
    if (strncmp(from, "https:", 6) == 0 && strncmp(to, "https:", 6) != 0) return NULL;
    return to;
}

static snug_status follow_hops(remote *r, const remote_ask *q, sink *s, snug_arena *a,
                               http_answer *out, snug_err *err)
{
    const char *url = q->url;
    for (unsigned hop = 0; hop <= HOPS_MAX; hop++) {
        snug_status st = one_hop(r, q, url, s, a, out, err);
        if (st != SNUG_OK || q->stay || !is_redirect(out->status)) return st;
        const char *to = next_place(a, url, http_answer_header(out, "Location"));
        if (to == NULL)
            return snug_fail(err, SNUG_EREMOTE, "%s redirects to a place we do not go", url);
        url = to;
    }
    return snug_fail(err, SNUG_EREMOTE, "%s redirects too often", q->url);
}

/* A hub that is not there is told soon when somebody waits for a plain answer; a transfer under
 * way is more patient. */
static unsigned tries_of(const remote_ask *q, bool cut)
{
    return cut && q->push == NULL && q->pull == NULL ? REMOTE_TRIES_CALL : REMOTE_TRIES_MAX;
}

snug_status remote_exchange(remote *r, const remote_ask *q, snug_arena *a, http_answer *out,
                            snug_err *err)
{
    sink        s = {.q = q, .refusal = snug_buf_init(ERROR_BODY_MAX), .st = SNUG_OK};
    snug_status st;
    for (unsigned failures = 0;;) {
        *out = (http_answer){0};
        s.st = SNUG_OK;
        snug_err_clear(err);
        st = follow_hops(r, q, &s, a, out, err);
        bool cut = st != SNUG_OK;
        if (!cut && !q->accept_any) st = remote_judge(r, out, snug_buf_slice(&s.refusal), err);
        bool again =
            s.st == SNUG_OK && remote_is_passing(st, cut ? 0 : out->status) && st != SNUG_OK;
        /* A write that may have happened is not sent twice; a 429 or 503 says it did not happen. */
        if (q->once && (cut || (out->status != 429 && out->status != 503))) again = false;
        if (!again || q->single) break;
        if (q->progressed != NULL && q->progressed(q->push != NULL ? q->push_arg : q->pull_arg))
            failures = 0;
        if (++failures >= tries_of(q, cut)) break;
        snug_slice after = cut ? SNUG_EMPTY : http_answer_header(out, "Retry-After");
        snug_log(SNUG_DEBUG, "remote.retry", "url=%s failures=%u status=%d", q->url, failures,
                 out->status);
        if (q->crew != NULL && !cut)
            remote_crew_why(q->crew, "the server answers %d", out->status);
        else if (q->crew != NULL && err != NULL)
            remote_crew_why(q->crew, "%s", err->msg);
        if (remote_wait(remote_backoff_ms(failures, after), q->cancel, err) != SNUG_OK) {
            st = SNUG_ECANCELED;
            break;
        }
    }
    snug_buf_deinit(&s.refusal);
    return st;
}
