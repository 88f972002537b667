/* SPDX-License-Identifier: Apache-2.0 */
/* base/slice.c - string helpers over borrowed bytes. */
#include "base/slice.h"

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }

bool snug_eq_nocase(snug_slice a, snug_slice b)
{
    if (a.len != b.len) return false;
    for (size_t i = 0; i < a.len; i++) {
        if (lower(a.ptr[i]) != lower(b.ptr[i])) return false;
    }
    return true;
}

int snug_cmp(snug_slice a, snug_slice b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int    c = n == 0 ? 0 : memcmp(a.ptr, b.ptr, n);
    if (c != 0) return c;
    return a.len < b.len ? -1 : a.len > b.len;
}

bool snug_starts_with(snug_slice s, const char *prefix)
{
    size_t n = strlen(prefix);
    return s.len >= n && (n == 0 || memcmp(s.ptr, prefix, n) == 0);
}

bool snug_ends_with(snug_slice s, const char *suffix)
{
    size_t n = strlen(suffix);
    return s.len >= n && (n == 0 || memcmp(s.ptr + s.len - n, suffix, n) == 0);
}

snug_slice snug_sub(snug_slice s, size_t from, size_t n)
{
    if (from >= s.len) return (snug_slice){s.ptr == NULL ? NULL : s.ptr + s.len, 0};
    size_t left = s.len - from;
    return (snug_slice){s.ptr + from, n < left ? n : left};
}

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

snug_slice snug_trim(snug_slice s)
{
    while (s.len > 0 && is_space(s.ptr[0])) s = snug_sub(s, 1, s.len);
    while (s.len > 0 && is_space(s.ptr[s.len - 1])) s.len--;
    return s;
}

size_t snug_index(snug_slice s, char c)
{
    const char *p = s.len == 0 ? NULL : memchr(s.ptr, c, s.len);
    return p == NULL ? SIZE_MAX : (size_t)(p - s.ptr);
}

size_t snug_rindex(snug_slice s, char c)
{
    const char *p = s.len == 0 ? NULL : memrchr(s.ptr, c, s.len);
    return p == NULL ? SIZE_MAX : (size_t)(p - s.ptr);
}

size_t snug_find(snug_slice s, snug_slice needle)
{
    if (needle.len == 0) return 0;
    const char *p = s.len == 0 ? NULL : memmem(s.ptr, s.len, needle.ptr, needle.len);
    return p == NULL ? SIZE_MAX : (size_t)(p - s.ptr);
}

bool snug_split(snug_slice *rest, char sep, snug_slice *head)
{
    if (rest->ptr == NULL) return false;
    size_t i = snug_index(*rest, sep);
    if (i == SIZE_MAX) {
        *head = *rest;
        *rest = SNUG_EMPTY;
    } else {
        *head = (snug_slice){rest->ptr, i};
        *rest = (snug_slice){rest->ptr + i + 1, rest->len - i - 1};
    }
    return true;
}

bool snug_parse_u64(snug_slice s, uint64_t *out)
{
    uint64_t v = 0;
    if (s.len == 0) return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9') return false;
        if (__builtin_mul_overflow(v, 10u, &v)) return false;
        if (__builtin_add_overflow(v, (uint64_t)(s.ptr[i] - '0'), &v)) return false;
    }
    *out = v;
    return true;
}

bool snug_parse_i64(snug_slice s, int64_t *out)
{
    uint64_t v;
    bool     neg = s.len > 0 && s.ptr[0] == '-';
    if (!snug_parse_u64(neg ? snug_sub(s, 1, s.len) : s, &v)) return false;
    if (v > (uint64_t)INT64_MAX + (neg ? 1u : 0u)) return false;
    *out = neg ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

bool snug_parse_size(snug_slice s, uint64_t *out)
{
    static const struct {
        const char *unit;
        unsigned    shift;
    } units[] = {{"", 0},     {"b", 0},    {"k", 10},  {"kb", 10},  {"kib", 10}, {"m", 20},
                 {"mb", 20},  {"mib", 20}, {"g", 30},  {"gb", 30},  {"gib", 30}, {"t", 40},
                 {"tb", 40},  {"tib", 40}};
    size_t digits = 0;
    while (digits < s.len && s.ptr[digits] >= '0' && s.ptr[digits] <= '9') digits++;
    uint64_t   v;
    snug_slice unit = snug_trim(snug_sub(s, digits, s.len));
    if (!snug_parse_u64((snug_slice){s.ptr, digits}, &v)) return false;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (!snug_eq_nocase(unit, snug_str(units[i].unit))) continue;
        if (v > (UINT64_MAX >> units[i].shift)) return false;
        *out = v << units[i].shift;
        return true;
    }
    return false;
}

/* Length of a well-formed UTF-8 sequence at p (RFC 3629), or 0. */
static size_t utf8_len(const unsigned char *p, size_t n, uint32_t *cp)
{
    if (n == 0) return 0;
    if (p[0] < 0x80) {
        *cp = p[0];
        return 1;
    }
    size_t   want = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    uint32_t v = p[0] & (0xffu >> (want + 1));
    if (p[0] < 0xc2 || p[0] > 0xf4 || n < want) return 0;
    for (size_t i = 1; i < want; i++) {
        if ((p[i] & 0xc0) != 0x80) return 0;
        v = v << 6 | (p[i] & 0x3fu);
    }
    if ((want == 3 && v < 0x800) || (want == 4 && (v < 0x10000 || v > 0x10ffff))) return 0;
    if (v >= 0xd800 && v <= 0xdfff) return 0;
    *cp = v;
    return want;
}

bool snug_utf8_valid(snug_slice s)
{
    const unsigned char *p = (const unsigned char *)s.ptr;
    size_t               n = s.len;
    while (n > 0) {
        uint64_t word;
        if (n >= 8 && (memcpy(&word, p, 8), (word & 0x8080808080808080u) == 0)) {
            p += 8;
            n -= 8;
            continue;
        }
        uint32_t cp;
        size_t   len = utf8_len(p, n, &cp);
        if (len == 0) return false;
        p += len;
        n -= len;
    }
    return true;
}

uint32_t snug_utf8_next(snug_slice *s)
{
    uint32_t cp = 0xfffd;
    size_t   len = utf8_len((const unsigned char *)s->ptr, s->len, &cp);
    if (len == 0) {
        cp = 0xfffd;
        len = s->len > 0 ? 1 : 0;
    }
    *s = snug_sub(*s, len, s->len);
    return cp;
}

size_t snug_utf8_put(uint32_t cp, char out[4])
{
    unsigned char *o = (unsigned char *)out;
    if (cp < 0x80) {
        o[0] = (unsigned char)cp;
        return 1;
    }
    if (cp < 0x800) {
        o[0] = (unsigned char)(0xc0 | cp >> 6);
        o[1] = (unsigned char)(0x80 | (cp & 0x3f));
        return 2;
    }
    if (cp < 0x10000) {
        o[0] = (unsigned char)(0xe0 | cp >> 12);
        o[1] = (unsigned char)(0x80 | (cp >> 6 & 0x3f));
        o[2] = (unsigned char)(0x80 | (cp & 0x3f));
        return 3;
    }
    o[0] = (unsigned char)(0xf0 | (cp >> 18 & 0x07));
    o[1] = (unsigned char)(0x80 | (cp >> 12 & 0x3f));
    o[2] = (unsigned char)(0x80 | (cp >> 6 & 0x3f));
    o[3] = (unsigned char)(0x80 | (cp & 0x3f));
    return 4;
}

snug_rd snug_rd_init(snug_slice s)
{
    const unsigned char *p = (const unsigned char *)s.ptr;
    return (snug_rd){p, p == NULL ? NULL : p + s.len, false};
}

size_t snug_rd_left(const snug_rd *r) { return (size_t)(r->end - r->p); }

snug_slice snug_rd_bytes(snug_rd *r, uint64_t n)
{
    if (r->bad || n > snug_rd_left(r)) {
        r->bad = true;
        return SNUG_EMPTY;
    }
    snug_slice s = snug_slice_of(r->p, (size_t)n);
    r->p += n;
    return s;
}

static uint64_t read_le(snug_rd *r, unsigned n)
{
    snug_slice s = snug_rd_bytes(r, n);
    uint64_t   v = 0;
    for (size_t i = s.len; i-- > 0;) v = v << 8 | (unsigned char)s.ptr[i];
    return v;
}

uint8_t  snug_rd_u8(snug_rd *r) { return (uint8_t)read_le(r, 1); }
uint16_t snug_rd_u16le(snug_rd *r) { return (uint16_t)read_le(r, 2); }
uint32_t snug_rd_u32le(snug_rd *r) { return (uint32_t)read_le(r, 4); }
uint64_t snug_rd_u64le(snug_rd *r) { return read_le(r, 8); }
