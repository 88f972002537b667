/* SPDX-License-Identifier: Apache-2.0 */
/* remote/xet_recon.c - what a store says a range of a file is made of, in either version.
 *
 *     { "offset_into_first_range": 15507,
 *       "terms": [ {"hash": X, "unpacked_length": 187300, "range": {"start": 1, "end": 5}} ],
 *       "xorbs":      { X: [ {"url": U, "ranges": [ {"chunks": {1, 5}, "bytes": {84501, 271832}} ]}
 * ] } or "fetch_info": { X: [ {"url": U, "range": {1, 5}, "url_range": {84501, 271832}} ] } }
 *
 * For:     xet_download.c.
 * Owns:    nothing; everything is in the arena.
 * Threads: any.
 * Truth:   in what is handed on every term lies in one span, no number is absurd, and the terms
 *          cover the range that was asked for. Ends of bytes are inclusive on the wire. */
#include "remote/remote_int.h"

enum { SPANS_MAX = 65536, URL_MAX_BYTES = 16 * 1024, CHUNK_INDEX_MAX = 65536 };

static snug_status nonsense(snug_err *err, const char *what)
{
    return snug_fail(err, SNUG_EREMOTE, "the Xet store's answer makes no sense: %s", what);
}

static bool read_pair(snug_json v, uint64_t *start, uint64_t *end)
{
    return snug_json_to_u64(snug_json_get(v, "start"), start) &&
           snug_json_to_u64(snug_json_get(v, "end"), end);
}

static bool read_chunks(snug_json v, uint32_t *start, uint32_t *end)
{
    uint64_t a, b;
    if (!read_pair(v, &a, &b) || a >= b || b > CHUNK_INDEX_MAX) return false;
    *start = (uint32_t)a;
    *end = (uint32_t)b;
    return true;
}

static bool read_hash(snug_slice text, xet_hash *out)
{
    return text.len == 64 && xet_hash_parse(text, out);
}

/* ---- terms ---- */

static snug_status read_terms(snug_json list, snug_arena *a, remote_recon *r, snug_err *err)
{
    size_t   n = snug_json_count(list);
    uint64_t at = 0;
    if (!snug_json_is(list, SNUG_JSON_ARRAY) || n > REMOTE_CHUNKS_ASKED_MAX)
        return nonsense(err, "its list of terms");
    r->terms = snug_arena_zalloc(a, (n + 1) * sizeof *r->terms);
    for (snug_json_iter it = snug_json_iter_of(list); snug_json_next(&it);) {
        remote_term *t = &r->terms[r->term_count++];
        uint64_t     raw;
        if (!read_hash(snug_json_str_or(it.value, "hash", SNUG_EMPTY), &t->xorb) ||
            !read_chunks(snug_json_get(it.value, "range"), &t->start, &t->end) ||
            !snug_json_to_u64(snug_json_get(it.value, "unpacked_length"), &raw) || raw == 0 ||
            raw > (uint64_t)(t->end - t->start) * XET_CHUNK_MAX || raw > UINT32_MAX)
            return nonsense(err, "a term");
        t->raw_size = (uint32_t)raw;
        t->at = at;
        at += raw;
    }
    return SNUG_OK;
}

/* ---- spans ---- */

typedef struct spans {
    snug_arena   *a;
    remote_recon *r;
    bool          secure;
    size_t        cap;
} spans;

static bool is_address(snug_slice url, bool secure)
{
    bool ok = url.len > 0 && url.len <= URL_MAX_BYTES &&
              (snug_starts_with(url, "https://") || (!secure && snug_starts_with(url, "http://")));
    for (size_t i = 0; ok && i < url.len; i++)
        ok = (unsigned char)url.ptr[i] > 0x20 && (unsigned char)url.ptr[i] < 0x7f;
    return ok;
}

static bool add_span(spans *s, const xet_hash *xorb, const char *url, snug_json chunks,
                     snug_json bytes)
{
    remote_span p = {.xorb = *xorb, .url = url};
    uint64_t    last;
    if (s->r->span_count == SPANS_MAX || !read_chunks(chunks, &p.start, &p.end) ||
        !read_pair(bytes, &p.from, &last) || last < p.from || last - p.from >= XET_XORB_BODY_MAX)
        return false;
    p.to = last + 1;
    if (s->r->span_count == s->cap) {
        s->cap = s->cap == 0 ? 16 : 2 * s->cap;
        remote_span *more = snug_arena_alloc(s->a, s->cap * sizeof *more);
        if (s->r->span_count > 0) memcpy(more, s->r->spans, s->r->span_count * sizeof *more);
        s->r->spans = more;
    }
    s->r->spans[s->r->span_count++] = p;
    return true;
}

static bool read_entry(spans *s, const xet_hash *xorb, snug_json e)
{
    snug_slice url = snug_json_str_or(e, "url", SNUG_EMPTY);
    snug_json  ranges = snug_json_get(e, "ranges");
    if (!is_address(url, s->secure)) return false;
    const char *text = snug_arena_cstr(s->a, url);
    if (!snug_json_is(ranges, SNUG_JSON_ARRAY))
        return add_span(s, xorb, text, snug_json_get(e, "range"), snug_json_get(e, "url_range"));
    for (snug_json_iter it = snug_json_iter_of(ranges); snug_json_next(&it);) {
        if (!add_span(s, xorb, text, snug_json_get(it.value, "chunks"),
                      snug_json_get(it.value, "bytes")))
            return false;
    }
    return true;
}

static snug_status read_spans(snug_json all, snug_arena *a, bool secure, remote_recon *r,
                              snug_err *err)
{
    spans s = {.a = a, .r = r, .secure = secure};
    for (snug_json_iter x = snug_json_iter_of(all); snug_json_next(&x);) {
        xet_hash xorb;
        if (!read_hash(x.key, &xorb)) return nonsense(err, "the name of a xorb");
        for (snug_json_iter it = snug_json_iter_of(x.value); snug_json_next(&it);) {
            if (!read_entry(&s, &xorb, it.value)) return nonsense(err, "a place to fetch from");
        }
    }
    return SNUG_OK;
}

/* ---- both together ---- */

static bool holds(const remote_span *s, const remote_term *t)
{
    return s->start <= t->start && t->end <= s->end && xet_hash_eq(&s->xorb, &t->xorb);
}

/* Answers come in the order of the file or sorted by xorb: the last hit and the one behind it are
 * tried first. Steps are bounded: terms * spans with both at most 65536 would be too many. */
static snug_status join(remote_recon *r, snug_err *err)
{
    uint64_t steps = 0;
    size_t   hit = 0;
    for (size_t i = 0; i < r->term_count; i++) {
        size_t n = 0;
        while (n < r->span_count && !holds(&r->spans[(hit + n) % r->span_count], &r->terms[i])) n++;
        steps += n;
        if (n == r->span_count || steps > (64u << 20))
            return nonsense(err, "a term that nothing holds");
        hit = (hit + n) % r->span_count;
        r->terms[i].span = hit;
    }
    return SNUG_OK;
}

snug_status remote_recon_read(snug_json v, snug_arena *a, uint64_t want, bool secure,
                              remote_recon *out, snug_err *err)
{
    snug_status  st = SNUG_OK;
    remote_recon r = {0};
    snug_json    places = snug_json_get(v, "xorbs");
    if (!snug_json_is(places, SNUG_JSON_OBJECT)) places = snug_json_get(v, "fetch_info");
    SNUG_TRY(read_terms(snug_json_get(v, "terms"), a, &r, err));
    SNUG_TRY(read_spans(places, a, secure, &r, err));
    if (r.term_count == 0 ||
        !snug_json_to_u64(snug_json_get(v, "offset_into_first_range"), &r.skip) ||
        r.skip >= r.terms[0].raw_size) {
        st = nonsense(err, "where the range begins");
        goto done;
    }
    const remote_term *last = &r.terms[r.term_count - 1];
    if (last->at + last->raw_size < r.skip + want) {
        st = nonsense(err, "it does not reach the end of the range");
        goto done;
    }
    SNUG_TRY(join(&r, err));
    *out = r;
done:
    return st;
}
