/* SPDX-License-Identifier: Apache-2.0 */
/* base/encode.c - hex, base64 (RFC 4648) and percent coding (RFC 3986); declared in hash.h. */
#include <string.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/slice.h"

static const char hex_digits[] = "0123456789abcdef";
static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void snug_hex(const void *p, size_t n, char *out)
{
    const unsigned char *b = p;
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = hex_digits[b[i] >> 4];
        out[2 * i + 1] = hex_digits[b[i] & 15];
    }
    out[2 * n] = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool snug_unhex(snug_slice hex, void *out, size_t n)
{
    unsigned char *b = out;
    if (hex.len != 2 * n) return false;
    for (size_t i = 0; i < n; i++) {
        int hi = hex_value(hex.ptr[2 * i]), lo = hex_value(hex.ptr[2 * i + 1]);
        if (hi < 0 || lo < 0) return false;
        b[i] = (unsigned char)(hi << 4 | lo);
    }
    return true;
}

void snug_base64_put(snug_buf *b, snug_slice s)
{
    const unsigned char *p = (const unsigned char *)s.ptr;
    if (s.len > SIZE_MAX / 2 || !snug_buf_reserve(b, (s.len + 2) / 3 * 4)) return;
    char  *o = b->ptr + b->len;
    size_t i = 0;
    for (; i + 2 < s.len; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16 | (uint32_t)p[i + 1] << 8 | p[i + 2];
        *o++ = base64_digits[v >> 18];
        *o++ = base64_digits[v >> 12 & 63];
        *o++ = base64_digits[v >> 6 & 63];
        *o++ = base64_digits[v & 63];
    }
    if (i < s.len) {
        uint32_t v = (uint32_t)p[i] << 16 | (i + 1 < s.len ? (uint32_t)p[i + 1] << 8 : 0);
        *o++ = base64_digits[v >> 18];
        *o++ = base64_digits[v >> 12 & 63];
        *o++ = i + 1 < s.len ? base64_digits[v >> 6 & 63] : '=';
        *o++ = '=';
    }
    b->len = (size_t)(o - b->ptr);
}

enum { B64_BAD = 64, B64_SPACE = 65, B64_PAD = 66 };

/* One look-up per character: value, white space, padding or bad. */
static unsigned char base64_class(unsigned char c)
{
    if (c >= 'A' && c <= 'Z') return (unsigned char)(c - 'A');
    if (c >= 'a' && c <= 'z') return (unsigned char)(c - 'a' + 26);
    if (c >= '0' && c <= '9') return (unsigned char)(c - '0' + 52);
    if (c == '+') return 62;
    if (c == '/') return 63;
    if (c == '=') return B64_PAD;
    if (c == ' ' || (c >= '\t' && c <= '\r')) return B64_SPACE;
    return B64_BAD;
}

snug_status snug_base64_decode(snug_slice text, snug_buf *out, snug_err *err)
{
    unsigned char table[256];
    for (unsigned i = 0; i < 256; i++) table[i] = base64_class((unsigned char)i);
    if (!snug_buf_reserve(out, text.len / 4 * 3 + 3)) return snug_buf_check(out, "content", err);
    unsigned char *o = (unsigned char *)out->ptr + out->len;
    uint32_t       v = 0;
    unsigned       have = 0, pads = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char k = table[(unsigned char)text.ptr[i]];
        if (k == B64_SPACE) continue;
        if (k == B64_PAD) {
            pads++;
            continue;
        }
        if (k == B64_BAD || pads > 0)
            return snug_fail(err, SNUG_EINVAL, "not base64: unexpected character at byte %zu", i);
        v = v << 6 | k;
        if (++have == 4) {
            *o++ = (unsigned char)(v >> 16);
            *o++ = (unsigned char)(v >> 8);
            *o++ = (unsigned char)v;
            v = have = 0;
        }
    }
    if (have == 1 || (have != 0 && have + pads != 4) || (have == 0 && pads != 0))
        return snug_fail(err, SNUG_EINVAL, "not base64: the end is missing");
    if (have >= 2) *o++ = (unsigned char)(have == 2 ? v >> 4 : v >> 10);
    if (have == 3) *o++ = (unsigned char)(v >> 2);
    out->len = (size_t)((char *)o - out->ptr);
    return SNUG_OK;
}

static bool unreserved(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           c == '-' || c == '.' || c == '_' || c == '~';
}

void snug_percent_put(snug_buf *b, snug_slice s, bool keep_slash)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (unreserved(c) || (keep_slash && c == '/')) {
            snug_buf_putc(b, c);
        } else {
            unsigned char u = (unsigned char)c;
            char          esc[3] = {'%', hex_digits[u >> 4], hex_digits[u & 15]};
            for (int k = 1; k < 3; k++) {
                if (esc[k] >= 'a') esc[k] = (char)(esc[k] - 32); /* RFC 3986: upper case */
            }
            snug_buf_put(b, esc, 3);
        }
    }
}

bool snug_percent_decode(snug_arena *a, snug_slice s, bool form, snug_slice *out)
{
    size_t n = 0;
    char  *p = snug_arena_alloc(a, s.len + 1);
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '%') {
            if (s.len - i < 3) return false;
            int hi = hex_value(s.ptr[i + 1]), lo = hex_value(s.ptr[i + 2]);
            if (hi < 0 || lo < 0) return false;
            c = (char)(hi << 4 | lo);
            i += 2;
        } else if (form && c == '+') {
            c = ' ';
        }
        if (c == '\0') return false;
        p[n++] = c;
    }
    p[n] = '\0';
    *out = (snug_slice){p, n};
    return true;
}
