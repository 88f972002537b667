/* SPDX-License-Identifier: Apache-2.0 */
/* cli/ssh_bridge.c - one git session: sshd's pipes on one side, the hub's smart HTTP on the other.
 *
 *     client --- sshd --- snug ssh-serve --- HTTP on this machine --- snug serve
 *
 * So clones and pushes by SSH pass the same code as those by HTTP: the same rules, limits, queues
 * and counters; nothing here opens a repository.
 *
 *     fetch, version 2     each question ends with a flush and is a POST of its own
 *     fetch, version 0, 1  ssh_filter.c
 *     push                 commands up to the flush, then the pack up to its end, is one POST
 *
 * For:     cmd_ssh.c.
 * Owns:    nothing.
 * Threads: one. */
#include "cli/ssh.h"

#include <errno.h>
#include <unistd.h>

enum {
    ASK_MAX = 16 << 20, /* bytes of one question, commands of a push included */
    ERROR_MAX = 64 << 10,
    PACKET_MAX = 65520,
    STALL_MS = 3600 * 1000 /* a large push is checked before the first byte of the answer */
};

typedef struct session {
    ssh_bridge *b;
    bool        ended; /* the client sent all it will */
    snug_buf    ask, error;
    size_t      skip;      /* bytes of the answer that only HTTP has */
    ssh_filter *filter;    /* NULL: the answer passes as it is */
    size_t      ask_at;    /* push: how much of `ask` was sent */
    bool        with_pack; /* push: a pack follows the commands */
    int         status;
} session;

/* ---- pipes ---- */

static snug_status write_out(void *arg, snug_slice bytes, snug_err *err)
{
    session *s = arg;
    while (bytes.len > 0) {
        ssize_t n = write(s->b->out, bytes.ptr, bytes.len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return snug_fail(err, SNUG_ECANCELED, "the client went away");
        bytes = snug_sub(bytes, (size_t)n, SIZE_MAX);
    }
    return SNUG_OK;
}

static snug_status read_some(session *s, void *p, size_t n, size_t *got, snug_err *err)
{
    ssize_t r;
    do r = read(s->b->in, p, n);
    while (r < 0 && errno == EINTR);
    if (r < 0) return snug_fail(err, SNUG_ECANCELED, "the client went away");
    *got = (size_t)r;
    s->ended = r == 0;
    return SNUG_OK;
}

static snug_status read_all(session *s, char *p, size_t n, size_t *have, snug_err *err)
{
    snug_status st = SNUG_OK;
    size_t      got = 1;
    for (*have = 0; *have < n && got > 0; *have += got)
        SNUG_TRY(read_some(s, p + *have, n - *have, &got, err));
done:
    return st;
}

/* Appends the next packet to `to`; *line is what it says, inside `to` until the next write; *end: a
 * flush, or the client left (s->ended). */
static snug_status read_packet(session *s, snug_buf *to, snug_slice *line, bool *end, snug_err *err)
{
    snug_status st = SNUG_OK;
    char        p[PACKET_MAX];
    size_t      have, size = 4;

    *line = SNUG_EMPTY;
    *end = true;
    SNUG_TRY(read_all(s, p, 4, &have, err));
    if (have == 0) goto done;
    unsigned char b[2];
    if (have == 4 && snug_unhex(snug_slice_of(p, 4), b, 2)) size = (size_t)b[0] << 8 | b[1];
    if (have < 4 || size == 3 || size > PACKET_MAX)
        SNUG_FAIL(err, SNUG_EINVAL, "the client does not speak git's protocol");
    *end = size == 0;
    if (size > 4) {
        SNUG_TRY(read_all(s, p + 4, size - 4, &have, err));
        if (have < size - 4) SNUG_FAIL(err, SNUG_ECANCELED, "the client went away");
    }
    if (size < 4) size = 4; /* flush and delimiter */
    snug_buf_put(to, p, size);
    SNUG_TRY(snug_buf_check(to, "what the client asks", err));
    *line = snug_sub(snug_buf_slice(to), to->len - size + 4, SIZE_MAX);
done:
    return st;
}

/* ---- exchanges with the hub ---- */

static snug_status on_answer(void *arg, int status, snug_slice part, snug_err *err)
{
    session *s = arg;
    if (status != 200) { /* a sentence for the person */
        snug_buf_put_slice(&s->error, snug_sub(part, 0, ERROR_MAX - s->error.len));
        return SNUG_OK;
    }
    size_t cut = part.len < s->skip ? part.len : s->skip;
    s->skip -= cut;
    part = snug_sub(part, cut, SIZE_MAX);
    return s->filter != NULL ? ssh_filter_feed(s->filter, part, err) : write_out(s, part, err);
}

static snug_status pull_push(void *arg, void *p, size_t n, size_t *got, snug_err *err)
{
    session *s = arg;
    *got = s->ask.len - s->ask_at < n ? s->ask.len - s->ask_at : n;
    if (*got > 0) {
        memcpy(p, s->ask.ptr + s->ask_at, *got);
        s->ask_at += *got;
        return SNUG_OK;
    }
    return s->with_pack && !s->ended ? read_some(s, p, n, got, err) : SNUG_OK;
}

static snug_status judge(session *s, int status, snug_err *err)
{
    if (status == 200) return SNUG_OK;
    snug_slice text = snug_trim(snug_buf_slice(&s->error)), line;
    if (!snug_split(&text, '\n', &line) || line.len == 0 || line.ptr[0] == '{' ||
        !snug_utf8_valid(line))
        return snug_fail(err, SNUG_EREMOTE, "the hub answered %d", status);
    return snug_fail(err,
                     status == 404   ? SNUG_ENOTFOUND
                     : status == 403 ? SNUG_EFORBIDDEN
                                     : SNUG_EREMOTE,
                     "%.*s", SNUG_SLICE(line));
}

static snug_status exchange(session *s, const char *rest, const char *media, bool is_push,
                            snug_err *err)
{
    ssh_bridge *b = s->b;
    http_header head[3] = {
        {SNUG_LIT("Authorization"), snug_arena_printf(b->a, "Bearer %.*s", SNUG_SLICE(b->ticket))}};
    size_t      n = 1;
    http_answer answer;

    if (media != NULL) head[n++] = (http_header){SNUG_LIT("Content-Type"), snug_str(media)};
    if (b->protocol.len > 0) head[n++] = (http_header){SNUG_LIT("Git-Protocol"), b->protocol};
    http_call call = {.method = media == NULL ? "GET" : "POST",
                      .url = snug_arena_printf(b->a, "%s%s", b->url, rest).ptr,
                      .headers = head,
                      .header_count = n,
                      .push = on_answer,
                      .push_arg = s,
                      .stall_timeout_ms = STALL_MS};
    if (is_push) {
        call.pull = pull_push;
        call.pull_arg = s;
        call.pull_length = UINT64_MAX;
    } else if (media != NULL) {
        call.body = snug_buf_slice(&s->ask);
    }
    snug_buf_clear(&s->error);
    snug_status st = http_call_run(b->http, &call, b->a, &answer, err);
    return st == SNUG_OK ? judge(s, answer.status, err) : st;
}

static snug_status ask_fetch(session *s, snug_err *err)
{
    return exchange(s, "/git-upload-pack", "application/x-git-upload-pack-request", false, err);
}

/* ---- fetch ---- */

static bool is_version_2(snug_slice protocol)
{
    snug_slice one;
    while (protocol.len > 0 && snug_split(&protocol, ':', &one)) {
        if (snug_eq_str(one, "version=2")) return true;
    }
    return false;
}

static snug_status fetch_v2(session *s, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_slice  line;
    for (;;) {
        bool end = false;
        snug_buf_clear(&s->ask);
        while (!end) SNUG_TRY(read_packet(s, &s->ask, &line, &end, err));
        if (s->ended || s->ask.len <= 4) goto done; /* a flush alone: good-bye */
        SNUG_TRY(ask_fetch(s, err));
    }
done:
    return st;
}

/* One question of versions 0 and 1: the wants, what is common, and `more`. */
static snug_status ask_v0(session *s, const snug_buf *wants, const snug_buf *more, ssh_ask ask,
                          snug_err *err)
{
    snug_buf_clear(&s->ask);
    snug_buf_put_slice(&s->ask, snug_buf_slice(wants));
    snug_buf_put_slice(&s->ask, snug_buf_slice(s->filter->common));
    snug_buf_put_slice(&s->ask, snug_buf_slice(more));
    snug_status st = snug_buf_check(&s->ask, "what the client asks", err);
    if (st != SNUG_OK) return st;
    ssh_filter_begin(s->filter, ask);
    return ask_fetch(s, err);
}

static snug_status fetch_v0(session *s, snug_err *err)
{
    snug_status st = SNUG_OK;
    SNUG_AUTO(snug_buf) wants = snug_buf_init(ASK_MAX);
    SNUG_AUTO(snug_buf) more = snug_buf_init(ASK_MAX);
    SNUG_AUTO(snug_buf) common = snug_buf_init(ASK_MAX);
    ssh_filter f = {.common = &common, .write = write_out, .arg = s};
    snug_slice line;
    bool       end = false;

    f.held = snug_buf_init(2 * PACKET_MAX + (1 << 20));
    while (!end) {
        SNUG_TRY(read_packet(s, &wants, &line, &end, err));
        if (snug_starts_with(line, "deepen")) f.deepen = true;
        if (snug_find(line, SNUG_LIT(" multi_ack")) != SIZE_MAX) f.multi = true;
    }
    if (s->ended || wants.len <= 4) goto done; /* it only wanted to see the refs */
    s->filter = &f;
    if (f.deepen) SNUG_TRY(ask_v0(s, &wants, &more, SSH_ASK_SHALLOW, err));
    for (bool done = false; !done;) {
        SNUG_TRY(read_packet(s, &more, &line, &end, err));
        if (s->ended) goto done;
        done = snug_starts_with(line, "done");
        if (!done && !end) continue;
        SNUG_TRY(ask_v0(s, &wants, &more, done ? SSH_ASK_DONE : SSH_ASK_HAVES, err));
        snug_buf_clear(&more);
    }
done:
    s->filter = NULL;
    snug_buf_deinit(&f.held);
    return st;
}

static session session_of(ssh_bridge *b)
{
    return (session){.b = b, .ask = snug_buf_init(ASK_MAX), .error = snug_buf_init(ERROR_MAX)};
}

static void session_deinit(session *s)
{
    snug_buf_deinit(&s->ask);
    snug_buf_deinit(&s->error);
}

snug_status ssh_serve_fetch(ssh_bridge *b, snug_err *err)
{
    snug_status st = SNUG_OK;
    session     s = session_of(b);
    bool        v2 = is_version_2(b->protocol);

    s.skip = v2 ? 0 : sizeof "001e# service=git-upload-pack\n0000" - 1;
    SNUG_TRY(exchange(&s, "/info/refs?service=git-upload-pack", NULL, false, err));
    s.skip = 0;
    st = v2 ? fetch_v2(&s, err) : fetch_v0(&s, err);
done:
    session_deinit(&s);
    return st;
}

/* ---- push ---- */

/* "<old> <new> <ref>": a deletion brings no pack. Another kind of line is left to the hub. */
static bool brings_pack(snug_slice line)
{
    snug_slice now = snug_sub(line, 41, 40);
    for (size_t i = 0; i < now.len; i++) {
        if (now.ptr[i] != '0') return line.ptr[40] == ' ';
    }
    return false;
}

snug_status ssh_serve_push(ssh_bridge *b, snug_err *err)
{
    snug_status st = SNUG_OK;
    session     s = session_of(b);
    snug_slice  line;
    bool        end = false;

    b->protocol = SNUG_EMPTY;
    s.skip = sizeof "001f# service=git-receive-pack\n0000" - 1;
    SNUG_TRY(exchange(&s, "/info/refs?service=git-receive-pack", NULL, false, err));
    s.skip = 0;
    while (!end) {
        SNUG_TRY(read_packet(&s, &s.ask, &line, &end, err));
        s.with_pack = s.with_pack || brings_pack(line);
    }
    if (s.ended || s.ask.len <= 4) goto done; /* nothing to push */
    SNUG_TRY(
        exchange(&s, "/git-receive-pack", "application/x-git-receive-pack-request", true, err));
done:
    session_deinit(&s);
    return st;
}
