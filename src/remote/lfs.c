/* SPDX-License-Identifier: Apache-2.0 */
/* remote/lfs.c - storing large objects: the LFS batch call, whole or in parts, then verify.
 *
 * For:     upload.c.
 * Owns:    nothing.
 * Threads: parts and objects in parallel on the caller's crew.
 * Truth:   an object the hub has is not sent; one it lacks is sent and confirmed before the commit
 *          names it. Signed addresses never see our token. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "remote/remote_int.h"

enum { BATCH_MAX = 256, PARTS_MAX = 10000, ANSWER_MAX = 32 * 1024 * 1024, ETAG_TEXT_MAX = 256 };
static const char lfs_media[] = "application/vnd.git-lfs+json";

/* One PUT: an object, or a part of it. */
typedef struct unit {
    size_t      send;
    unsigned    number; /* of the part, from 1; 0: the whole object */
    uint64_t    offset, size;
    const char *url;
    char        etag[ETAG_TEXT_MAX];
} unit;

/* One object the hub asked for. */
typedef struct send {
    const remote_object *o;
    snug_json            upload, verify;
    size_t               first_unit, units;
    bool                 multipart;
} send_;

typedef struct batch {
    remote     *r;
    snug_arena *a; /* read-only while the crew runs */
    send_      *sends;
    size_t      send_count;
    unit       *units;
    size_t      unit_count, unit_cap;
} batch;

/* ---- asking ---- */

static void put_question(snug_buf *b, snug_slice revision, const remote_object *o, size_t n)
{
    snug_json_out j = snug_json_out_init(b);
    snug_jo_begin_object(&j);
    snug_jo_kcstr(&j, "operation", "upload");
    snug_jo_key(&j, "transfers");
    snug_jo_begin_array(&j);
    snug_jo_cstr(&j, "basic");
    snug_jo_cstr(&j, "multipart");
    snug_jo_end_array(&j);
    snug_jo_kcstr(&j, "hash_algo", "sha256");
    snug_jo_key(&j, "ref");
    snug_jo_begin_object(&j);
    snug_jo_kstr(&j, "name", revision);
    snug_jo_end_object(&j);
    snug_jo_key(&j, "objects");
    snug_jo_begin_array(&j);
    for (size_t i = 0; i < n; i++) {
        snug_jo_begin_object(&j);
        snug_jo_kcstr(&j, "oid", o[i].oid);
        snug_jo_ku64(&j, "size", o[i].size);
        snug_jo_end_object(&j);
    }
    snug_jo_end_array(&j);
    snug_jo_end_object(&j);
}

static snug_status ask_batch(remote *r, remote_crew *c, const remote_repo *id, snug_slice revision,
                             const remote_object *o, size_t n, snug_arena *a, snug_json *out,
                             snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_buf    body = snug_buf_init(ANSWER_MAX), question = snug_buf_init(ANSWER_MAX);
    http_answer ans;
    put_question(&question, revision, o, n);
    remote_ask q = {.method = "POST",
                    .url = remote_web_url(r, a, id, ".git/info/lfs/objects/batch"),
                    .accept = lfs_media,
                    .media = lfs_media,
                    .body = snug_buf_slice(&question),
                    .into = &body,
                    .cancel = c->cancel};
    SNUG_TRY(remote_exchange(r, &q, a, &ans, err));
    SNUG_TRY(snug_json_parse(a, snug_buf_slice(&body), NULL, out, err));
done:
    snug_buf_deinit(&question);
    snug_buf_deinit(&body);
    return st;
}

/* ---- understanding the answer ---- */

static const char *href_of(const remote *r, snug_arena *a, snug_json action)
{
    snug_slice href;
    if (!snug_json_to_str(snug_json_get(action, "href"), &href) || href.len == 0 ||
        href.len > 16 * 1024)
        return NULL;
    if (href.ptr[0] == '/') return remote_home_url(r, a, href);
    bool http = snug_starts_with(href, "http://") || snug_starts_with(href, "https://");
    return http ? snug_arena_cstr(a, href) : NULL;
}

static void add_unit(batch *b, unit u)
{
    if (b->unit_count == b->unit_cap) {
        b->unit_cap = b->unit_cap == 0 ? 64 : 2 * b->unit_cap;
        b->units = snug_realloc(b->units, b->unit_cap * sizeof *b->units);
    }
    b->units[b->unit_count++] = u;
}

static snug_status add_parts(batch *b, size_t index, snug_json header, uint64_t chunk,
                             snug_err *err)
{
    send_   *s = &b->sends[index];
    uint64_t count = s->o->size / chunk + (s->o->size % chunk != 0);
    if (count > PARTS_MAX)
        return snug_fail(err, SNUG_EREMOTE, "the server wants %s in more than %d parts",
                         s->o->label, PARTS_MAX);
    size_t before = b->unit_count;
    for (unsigned n = 1; n <= count; n++)
        add_unit(b, (unit){.send = index,
                           .number = n,
                           .offset = (n - 1) * chunk,
                           .size = n == count ? s->o->size - (n - 1) * chunk : chunk});
    for (snug_json_iter it = snug_json_iter_of(header); snug_json_next(&it);) {
        uint64_t   n;
        snug_slice url;
        if (!snug_parse_u64(it.key, &n)) continue; /* chunk_size and such */
        if (n < 1 || n > count || !snug_json_to_str(it.value, &url))
            return snug_fail(err, SNUG_EREMOTE, "the server's list of parts for %s makes no sense",
                             s->o->label);
        b->units[before + n - 1].url = url.len > 0 && url.ptr[0] == '/'
                                           ? remote_home_url(b->r, b->a, url)
                                           : snug_arena_cstr(b->a, url);
    }
    for (size_t i = before; i < b->unit_count; i++) {
        if (b->units[i].url == NULL)
            return snug_fail(err, SNUG_EREMOTE, "the server names no address for part %u of %s",
                             b->units[i].number, s->o->label);
    }
    return SNUG_OK;
}

static snug_status add_send(batch *b, const remote_object *o, snug_json actions, snug_err *err)
{
    size_t index = b->send_count++;
    send_ *s = &b->sends[index];
    *s = (send_){.o = o,
                 .upload = snug_json_get(actions, "upload"),
                 .verify = snug_json_get(actions, "verify"),
                 .first_unit = b->unit_count};
    const char *url = href_of(b->r, b->a, s->upload);
    if (url == NULL)
        return snug_fail(err, SNUG_EREMOTE, "the server gives no address to send %s to", o->label);
    snug_json header = snug_json_get(s->upload, "header"),
              size = snug_json_get(header, "chunk_size");
    snug_slice text;
    uint64_t   chunk = 0;
    if (snug_json_to_str(size, &text) ? !snug_parse_u64(text, &chunk)
                                      : !snug_json_to_u64(size, &chunk))
        chunk = 0;
    s->multipart = chunk > 0;
    snug_status st = SNUG_OK;
    if (s->multipart)
        st = add_parts(b, index, header, chunk, err);
    else
        add_unit(b, (unit){.send = index, .size = o->size, .url = url});
    s->units = b->unit_count - s->first_unit;
    return st;
}

static const remote_object *find_object(const remote_object *o, size_t n, snug_slice oid)
{
    for (size_t i = 0; i < n; i++) {
        if (snug_eq_str(oid, o[i].oid)) return &o[i];
    }
    return NULL;
}

static snug_status read_answer(batch *b, remote_crew *c, snug_json answer, const remote_object *o,
                               size_t n, snug_err *err)
{
    size_t     answered = 0;
    snug_json  list = snug_json_get(answer, "objects");
    snug_slice oid, text;
    b->sends = snug_arena_zalloc(b->a, n * sizeof *b->sends);
    for (snug_json_iter it = snug_json_iter_of(list); snug_json_next(&it);) {
        const remote_object *obj =
            snug_json_to_str(snug_json_get(it.value, "oid"), &oid) ? find_object(o, n, oid) : NULL;
        if (obj == NULL || answered++ >= n)
            return snug_fail(err, SNUG_EREMOTE,
                             "the server answered about an object we did not name");
        snug_json refusal = snug_json_get(it.value, "error");
        if (snug_json_is(refusal, SNUG_JSON_OBJECT)) {
            text = snug_json_str_or(refusal, "message", SNUG_LIT("refused"));
            return snug_fail(err, SNUG_EREMOTE, "%s: %.*s", obj->label,
                             (int)(text.len > 300 ? 300 : text.len), text.ptr);
        }
        snug_json actions = snug_json_get(it.value, "actions");
        if (!snug_json_is(snug_json_get(actions, "upload"), SNUG_JSON_OBJECT)) {
            atomic_fetch_add(&c->done, obj->size); /* there already */
            continue;
        }
        snug_status st = add_send(b, obj, actions, err);
        if (st != SNUG_OK) return st;
    }
    if (answered != n)
        return snug_fail(err, SNUG_EREMOTE, "the server answered about %zu of %zu objects",
                         answered, n);
    return SNUG_OK;
}

/* ---- sending ---- */

/* Reads a range of a file for one PUT. What was counted once is not counted again on a retry. */
typedef struct source {
    remote_crew *c;
    int          fd;
    uint64_t     offset, size, at, counted;
    const char  *label;
} source;

static snug_status pull(void *arg, void *p, size_t n, size_t *got, snug_err *err)
{
    source *s = arg;
    *got = 0;
    if (atomic_load(&s->c->stop)) return snug_fail(err, SNUG_ECANCELED, "canceled");
    if (n > s->size - s->at) n = (size_t)(s->size - s->at);
    if (n == 0) return SNUG_OK;
    ssize_t r = pread(s->fd, p, n, (off_t)(s->offset + s->at));
    if (r < 0) return remote_fail_file(err, errno, "read", s->label);
    if (r == 0)
        return snug_fail(err, SNUG_ESTALE, "%s became shorter while it was being sent", s->label);
    s->at += (uint64_t)r;
    atomic_fetch_add(&s->c->network, (uint64_t)r);
    if (s->at > s->counted) {
        atomic_fetch_add(&s->c->done, s->at - s->counted);
        s->counted = s->at;
    }
    *got = (size_t)r;
    return SNUG_OK;
}

static void rewind_source(void *arg) { ((source *)arg)->at = 0; }

/* Headers a basic upload must repeat; those of a multipart answer are its list of parts. */
static size_t extra_headers(snug_json header, http_header out[REMOTE_EXTRA_MAX])
{
    size_t n = 0;
    for (snug_json_iter it = snug_json_iter_of(header);
         snug_json_next(&it) && n < REMOTE_EXTRA_MAX;) {
        snug_slice v;
        bool       ok =
            snug_json_to_str(it.value, &v) && it.key.len > 0 && it.key.len <= 100 && v.len <= 8192;
        for (size_t i = 0; ok && i < it.key.len; i++)
            ok = it.key.ptr[i] > 0x20 && it.key.ptr[i] < 0x7f && it.key.ptr[i] != ':';
        for (size_t i = 0; ok && i < v.len; i++) ok = v.ptr[i] >= 0x20 && v.ptr[i] != 0x7f;
        if (ok) out[n++] = (http_header){it.key, v};
    }
    return n;
}

static snug_status send_unit(remote_crew *c, void *arg, size_t i, snug_err *err)
{
    batch      *b = arg;
    unit       *u = &b->units[i];
    send_      *s = &b->sends[u->send];
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    http_header extra[REMOTE_EXTRA_MAX];
    http_answer ans;
    source src = {.c = c, .fd = -1, .offset = u->offset, .size = u->size, .label = s->o->label};
    remote_crew_what(c, "sending %s", s->o->label);
    src.fd = open(s->o->file, O_RDONLY | O_CLOEXEC);
    if (src.fd < 0) {
        st = remote_fail_file(err, errno, "read", s->o->label);
        goto done;
    }
    remote_ask q = {
        .method = "PUT",
        .url = u->url,
        .anonymous = true,
        .pull = pull,
        .pull_arg = &src,
        .pull_length = u->size,
        .rewind = rewind_source,
        .cancel = &c->stop,
        .crew = c,
        .extra = extra,
        .extra_count = s->multipart ? 0 : extra_headers(snug_json_get(s->upload, "header"), extra)};
    st = remote_exchange(b->r, &q, a, &ans, err);
    if (st != SNUG_OK) {
        snug_note(err, "sending %s", s->o->label);
        goto done;
    }
    snug_slice etag = http_answer_header(&ans, "ETag");
    if (s->multipart && (etag.len == 0 || etag.len >= sizeof u->etag)) {
        SNUG_FAIL(err, SNUG_EREMOTE, "%s: the server did not acknowledge part %u", s->o->label,
                  u->number);
    }
    if (s->multipart) (void)snprintf(u->etag, sizeof u->etag, "%.*s", SNUG_SLICE(etag));
done:
    if (src.fd >= 0) (void)close(src.fd);
    snug_arena_free(a);
    return st;
}

static snug_status post_json(remote *r, const char *url, bool anonymous, const snug_buf *body,
                             remote_crew *c, snug_err *err)
{
    snug_arena *a = snug_arena_new();
    http_answer ans;
    remote_ask  q = {.method = "POST",
                     .url = url,
                     .anonymous = anonymous,
                     .accept = lfs_media,
                     .media = lfs_media,
                     .body = snug_buf_slice(body),
                     .cancel = &c->stop,
                     .crew = c};
    snug_status st = remote_exchange(r, &q, a, &ans, err);
    snug_arena_free(a);
    return st;
}

static void put_completion(snug_buf *body, const batch *b, const send_ *s)
{
    snug_json_out j = snug_json_out_init(body);
    snug_jo_begin_object(&j);
    snug_jo_kcstr(&j, "oid", s->o->oid);
    snug_jo_key(&j, "parts");
    snug_jo_begin_array(&j);
    for (size_t i = s->first_unit; i < s->first_unit + s->units; i++) {
        snug_jo_begin_object(&j);
        snug_jo_ku64(&j, "partNumber", b->units[i].number);
        snug_jo_kcstr(&j, "etag", b->units[i].etag);
        snug_jo_end_object(&j);
    }
    snug_jo_end_array(&j);
    snug_jo_end_object(&j);
}

static snug_status confirm(remote_crew *c, void *arg, size_t i, snug_err *err)
{
    batch      *b = arg;
    send_      *s = &b->sends[i];
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    snug_buf    body = snug_buf_init(ANSWER_MAX);
    if (s->multipart) {
        put_completion(&body, b, s);
        SNUG_TRY(post_json(b->r, href_of(b->r, a, s->upload), true, &body, c, err));
    }
    const char *url = href_of(b->r, a, s->verify);
    if (url != NULL) {
        snug_buf_clear(&body);
        snug_buf_printf(&body, "{\"oid\":\"%s\",\"size\":%" PRIu64 "}", s->o->oid, s->o->size);
        SNUG_TRY(post_json(b->r, url, false, &body, c, err));
    }
done:
    if (st != SNUG_OK) snug_note(err, "storing %s", s->o->label);
    snug_buf_deinit(&body);
    snug_arena_free(a);
    return st;
}

snug_status remote_lfs_upload(remote *r, remote_crew *c, const remote_repo *id, snug_slice revision,
                              remote_object *objs, size_t count, snug_err *err)
{
    snug_status st = SNUG_OK;
    for (size_t at = 0; st == SNUG_OK && at < count; at += BATCH_MAX) {
        size_t    n = count - at < BATCH_MAX ? count - at : BATCH_MAX;
        batch     b = {.r = r, .a = snug_arena_new()};
        snug_json answer;
        st = ask_batch(r, c, id, revision, objs + at, n, b.a, &answer, err);
        if (st == SNUG_OK) st = read_answer(&b, c, answer, objs + at, n, err);
        if (st == SNUG_OK)
            st = remote_crew_run(c, REMOTE_WORKERS, b.unit_count, send_unit, &b, err);
        if (st == SNUG_OK) st = remote_crew_run(c, REMOTE_WORKERS, b.send_count, confirm, &b, err);
        free(b.units);
        snug_arena_free(b.a);
    }
    return st;
}
