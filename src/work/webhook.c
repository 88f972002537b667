/* SPDX-License-Identifier: Apache-2.0 */
/* work/webhook.c - sends what webhooks are to be told.
 *
 *   X-Webhook-Secret         the secret itself, as receivers of the platform expect
 *   X-Hub-Signature-256      "sha256=" and the HMAC of the body under the secret, in hex
 *   X-Webhook-Delivery       the number of the delivery: the same one may come twice
 *
 * For:     the jobs that hub_tell() adds, one for each letter.
 * Threads: several letters at once; the client is made for that.
 * Truth:   any 2xx means it arrived. Redirects are not followed, no answer is read beyond its
 *          status, and no private address is reached unless the operator allowed its network. Sent
 *          at least once: a crash between the answer and the row sends it again. */
#include "base/hash.h"
#include "work/work_int.h"

enum {
    PAUSE_S = 10,
    PAUSE_MAX_S = 3600,
    ATTEMPTS = 6,
    TIMEOUT_MS = 10000,
    ANSWER_MAX = 64 << 10,
    KEEP_DAYS = 30
};

static snug_status drop_answer(void *arg, int status, snug_slice part, snug_err *err)
{
    size_t *left = arg;
    (void)status;
    if (part.len > *left)
        return snug_fail(err, SNUG_ELIMIT, "the answer is longer than %d bytes", (int)ANSWER_MAX);
    *left -= part.len;
    return SNUG_OK;
}

static snug_status send_letter(work_app *app, const hub_letter *l, snug_arena *a, int *status,
                               snug_err *err)
{
    http_header headers[5];
    http_answer answer;
    size_t      n = 0, left = ANSWER_MAX;
    char        hex[65];
    snug_status st;

    headers[n++] = (http_header){SNUG_LIT("Content-Type"), SNUG_LIT("application/json")};
    headers[n++] = (http_header){SNUG_LIT("X-Webhook-Delivery"),
                                 snug_arena_printf(a, "%lld", (long long)l->id)};
    if (l->secret.len > 0) {
        snug_sha256 mac = snug_hmac_sha256(l->secret, l->body);
        snug_hex(mac.b, sizeof mac.b, hex);
        headers[n++] = (http_header){SNUG_LIT("X-Webhook-Secret"), l->secret};
        headers[n++] =
            (http_header){SNUG_LIT("X-Hub-Signature-256"), snug_arena_printf(a, "sha256=%s", hex)};
    }
    http_call call = {.method = "POST",
                      .url = snug_arena_cstr(a, l->url),
                      .headers = headers,
                      .header_count = n,
                      .body = l->body,
                      .push = drop_answer,
                      .push_arg = &left,
                      .connect_timeout_ms = TIMEOUT_MS / 2,
                      .stall_timeout_ms = TIMEOUT_MS,
                      .total_timeout_ms = TIMEOUT_MS,
                      .guard = app->guard};
    st = http_call_run(app->client, &call, a, &answer, err);
    *status = answer.status; /* a long answer is an answer */
    return st == SNUG_ELIMIT && answer.status > 0 ? SNUG_OK : st;
}

/* 10 s, 20 s, 40 s, ... an hour; 0: it was tried often enough. */
static int64_t pause_ms(const work_app *app, int64_t attempts)
{
    unsigned first = app->webhook_pause_s != 0 ? app->webhook_pause_s : PAUSE_S;
    int64_t  most = app->webhook_attempts != 0 ? app->webhook_attempts : ATTEMPTS, s = first;
    if (attempts + 1 >= most) return 0;
    for (int64_t i = 0; i < attempts && s < PAUSE_MAX_S; i++) s *= 2;
    return 1000 * (s < PAUSE_MAX_S ? s : PAUSE_MAX_S);
}

snug_status work_webhook(jobs_ctx *c, snug_json args, snug_err *err)
{
    snug_status st = SNUG_OK;
    work_app   *app = jobs_app(c);
    snug_arena *a = jobs_arena(c);
    snug_err    why = {0};
    hub_letter  l;
    uint64_t    id;
    int         status = 0;
    bool        wanted, arrived;
    int64_t     pause;

    SNUG_TRY(snug_json_need_u64(args, "delivery", &id, err));
    SNUG_TRY(hub_take_letter(app->hub, (int64_t)id, a, &l, &wanted, err));
    if (!wanted || app->client == NULL) goto done;
    arrived = send_letter(app, &l, a, &status, &why) == SNUG_OK && status >= 200 && status < 300;
    pause = pause_ms(app, l.attempts);
    if (arrived)
        why.msg[0] = '\0';
    else if (status > 0)
        (void)snug_fail(&why, SNUG_EREMOTE, "the receiver answered %d", status);
    SNUG_TRY(
        hub_end_letter(app->hub, &l, arrived, status, snug_str(why.msg), arrived ? 0 : pause, err));
    if (arrived || pause == 0) goto done;
    jobs_retry_after(c, (uint64_t)pause);
    st = snug_fail(err, SNUG_EREMOTE, "%s", why.msg);
done:
    return st;
}

snug_status work_webhook_prune(jobs_ctx *c, snug_json args, snug_err *err)
{
    work_app *app = jobs_app(c);
    (void)args;
    return hub_prune_deliveries(app->hub, snug_now_ms() - (int64_t)KEEP_DAYS * 86400000, err);
}

snug_status work_ref_news(jobs_ctx *c, snug_json args, snug_err *err)
{
    work_app *app = jobs_app(c);
    return hub_keep_promise(app->hub, args, err);
}
