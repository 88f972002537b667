/* SPDX-License-Identifier: Apache-2.0 */
/* base/json_write.c - the streaming JSON writer.
 *
 * For:     every reply, file and row in JSON.
 * Owns:    nothing: bytes go to the caller's snug_buf, whose maximum bounds them.
 * Truth:   what it writes is valid JSON in UTF-8, whatever bytes the strings hold. */
#include <math.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/json_int.h"

enum { DEPTH_MAX = 64 };

snug_json_out snug_json_out_init(snug_buf *buf) { return (snug_json_out){.buf = buf}; }

/* ---- layout ---- */

static void newline(snug_buf *b, size_t depth)
{
    snug_buf_putc(b, '\n');
    for (size_t i = 0; i < depth; i++) snug_buf_put(b, "  ", 2);
}

static uint64_t depth_bit(const snug_json_out *o) { return (uint64_t)1 << (o->depth - 1); }

static bool in_object(const snug_json_out *o)
{
    return o->depth > 0 && (o->in_object & depth_bit(o)) != 0;
}

/* The comma before the second and later items of the open container. */
static void separate(snug_json_out *o)
{
    if (o->depth == 0) return;
    if (o->has_item & depth_bit(o)) snug_buf_putc(o->buf, ',');
    o->has_item |= depth_bit(o);
    if (o->pretty) newline(o->buf, o->depth);
}

static void before_value(snug_json_out *o)
{
    if (o->after_key) {
        o->after_key = false;
        return;
    }
    SNUG_ASSERT(!in_object(o));
    separate(o);
}

static void begin(snug_json_out *o, char bracket)
{
    before_value(o);
    SNUG_ASSERT(o->depth < DEPTH_MAX);
    o->depth++;
    o->has_item &= ~depth_bit(o);
    o->in_object &= ~depth_bit(o);
    if (bracket == '{') o->in_object |= depth_bit(o);
    snug_buf_putc(o->buf, bracket);
}

static void end(snug_json_out *o, char bracket)
{
    SNUG_ASSERT(o->depth > 0 && !o->after_key && in_object(o) == (bracket == '}'));
    bool any = (o->has_item & depth_bit(o)) != 0;
    o->depth--;
    if (any && o->pretty) newline(o->buf, o->depth);
    snug_buf_putc(o->buf, bracket);
}

void snug_jo_begin_object(snug_json_out *o) { begin(o, '{'); }
void snug_jo_end_object(snug_json_out *o) { end(o, '}'); }
void snug_jo_begin_array(snug_json_out *o) { begin(o, '['); }
void snug_jo_end_array(snug_json_out *o) { end(o, ']'); }

/* ---- strings ---- */

static void put_escape(snug_buf *b, json_byte c)
{
    static const char short_form[0x20] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    static const char hex[] = "0123456789abcdef";
    char              out[6] = {'\\', (char)c};
    size_t            n = 2;
    if (c < 0x20 && short_form[c] != 0) {
        out[1] = short_form[c];
    } else if (c < 0x20) {
        memcpy(out + 1, "u00", 3);
        out[4] = hex[c >> 4];
        out[5] = hex[c & 15];
        n = 6;
    }
    snug_buf_put(b, out, n);
}

static void put_string(snug_buf *b, snug_slice s)
{
    const json_byte *p = (const json_byte *)s.ptr, *end_of = p == NULL ? p : p + s.len;
    snug_buf_putc(b, '"');
    while (p < end_of) {
        const json_byte *from = p;
        p = json_skip_plain(p, end_of);
        if (p > from) snug_buf_put(b, from, (size_t)(p - from));
        if (p == end_of) break;
        if (*p < 0x80) {
            put_escape(b, *p++);
            continue;
        }
        snug_slice rest = snug_slice_of(p, (size_t)(end_of - p));
        char       utf8[4];
        size_t     n = snug_utf8_put(snug_utf8_next(&rest), utf8); /* U+FFFD for bad bytes */
        snug_buf_put(b, utf8, n);
        p = (const json_byte *)rest.ptr;
    }
    snug_buf_putc(b, '"');
}

void snug_jo_key_slice(snug_json_out *o, snug_slice key)
{
    SNUG_ASSERT(in_object(o) && !o->after_key);
    separate(o);
    put_string(o->buf, key);
    snug_buf_putc(o->buf, ':');
    if (o->pretty) snug_buf_putc(o->buf, ' ');
    o->after_key = true;
}

void snug_jo_key(snug_json_out *o, const char *key) { snug_jo_key_slice(o, snug_str(key)); }

void snug_jo_str(snug_json_out *o, snug_slice s)
{
    before_value(o);
    put_string(o->buf, s);
}

void snug_jo_cstr(snug_json_out *o, const char *s) { snug_jo_str(o, snug_str(s)); }

void snug_jo_strf(snug_json_out *o, const char *fmt, ...)
{
    char    local[512], *text = local;
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(local, sizeof local, fmt, ap);
    va_end(ap);
    SNUG_ASSERT(n >= 0);
    if ((size_t)n >= sizeof local) {
        text = snug_alloc((size_t)n + 1);
        (void)vsnprintf(text, (size_t)n + 1, fmt, again);
    }
    va_end(again);
    snug_jo_str(o, (snug_slice){text, (size_t)n});
    if (text != local) free(text);
}

/* ---- numbers and words ---- */

static void put_u64(snug_buf *b, uint64_t v, bool neg)
{
    char  text[24];
    char *p = text + sizeof text;
    do {
        *--p = (char)('0' + v % 10);
        v /= 10;
    } while (v != 0);
    if (neg) *--p = '-';
    snug_buf_put(b, p, (size_t)(text + sizeof text - p));
}

static void put_i64(snug_buf *b, int64_t v)
{
    put_u64(b, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, v < 0);
}

static void put_f64(snug_buf *b, double v)
{
    char text[32];
    if (!isfinite(v)) {
        snug_buf_put(b, "null", 4);
        return;
    }
    snug_buf_put(b, text, json_format_real(v, text));
}

void snug_jo_i64(snug_json_out *o, int64_t v)
{
    before_value(o);
    put_i64(o->buf, v);
}

void snug_jo_u64(snug_json_out *o, uint64_t v)
{
    before_value(o);
    put_u64(o->buf, v, false);
}

void snug_jo_f64(snug_json_out *o, double v)
{
    before_value(o);
    put_f64(o->buf, v);
}

void snug_jo_bool(snug_json_out *o, bool v)
{
    before_value(o);
    snug_buf_puts(o->buf, v ? "true" : "false");
}

void snug_jo_null(snug_json_out *o)
{
    before_value(o);
    snug_buf_put(o->buf, "null", 4);
}

void snug_jo_raw(snug_json_out *o, snug_slice json)
{
    before_value(o);
    snug_buf_put_slice(o->buf, json);
}

/* ---- parsed values ---- */

static void put_node(snug_buf *b, const snug_json_node *n, bool pretty, size_t depth);

/* depth stays below JSON_DEPTH_CAP + DEPTH_MAX: the reader refuses deeper values. */
static void put_kids(snug_buf *b, const snug_json_node *n, bool pretty, size_t depth)
{
    bool   object = node_type(n) == SNUG_JSON_OBJECT;
    size_t count = node_size(n);
    snug_buf_putc(b, object ? '{' : '[');
    const snug_json_node *kid = n->v.kids;
    for (size_t i = 0; i < count; i++) {
        if (i > 0) snug_buf_putc(b, ',');
        if (pretty) newline(b, depth + 1);
        if (object) {
            put_string(b, node_str(kid++));
            snug_buf_putc(b, ':');
            if (pretty) snug_buf_putc(b, ' ');
        }
        put_node(b, kid++, pretty, depth + 1);
    }
    if (pretty && count > 0) newline(b, depth);
    snug_buf_putc(b, object ? '}' : ']');
}

static void put_node(snug_buf *b, const snug_json_node *n, bool pretty, size_t depth)
{
    switch (node_type(n)) {
    case SNUG_JSON_BOOL: snug_buf_puts(b, n->v.u != 0 ? "true" : "false"); break;
    case SNUG_JSON_INT:
        if (n->head & NODE_UINT) {
            put_u64(b, n->v.u, false);
        } else {
            put_i64(b, n->v.i);
        }
        break;
    case SNUG_JSON_REAL: put_f64(b, n->v.d); break;
    case SNUG_JSON_STRING: put_string(b, node_str(n)); break;
    case SNUG_JSON_ARRAY:
    case SNUG_JSON_OBJECT: put_kids(b, n, pretty, depth); break;
    case SNUG_JSON_ABSENT:
    case SNUG_JSON_NULL: snug_buf_put(b, "null", 4); break;
    }
}

void snug_jo_value(snug_json_out *o, snug_json v)
{
    if (v.node == NULL) {
        snug_jo_null(o);
        return;
    }
    before_value(o);
    put_node(o->buf, v.node, o->pretty, o->depth);
}

/* ---- key and value in one call ---- */

void snug_jo_kstr(snug_json_out *o, const char *key, snug_slice v)
{
    snug_jo_key(o, key);
    snug_jo_str(o, v);
}

void snug_jo_kcstr(snug_json_out *o, const char *key, const char *v)
{
    snug_jo_key(o, key);
    snug_jo_cstr(o, v);
}

void snug_jo_ki64(snug_json_out *o, const char *key, int64_t v)
{
    snug_jo_key(o, key);
    snug_jo_i64(o, v);
}

void snug_jo_ku64(snug_json_out *o, const char *key, uint64_t v)
{
    snug_jo_key(o, key);
    snug_jo_u64(o, v);
}

void snug_jo_kf64(snug_json_out *o, const char *key, double v)
{
    snug_jo_key(o, key);
    snug_jo_f64(o, v);
}

void snug_jo_kbool(snug_json_out *o, const char *key, bool v)
{
    snug_jo_key(o, key);
    snug_jo_bool(o, v);
}
