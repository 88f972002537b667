/* SPDX-License-Identifier: Apache-2.0 */
/* base/slice.h - borrowed strings, a bounded cursor over bytes, checked sizes. */
#ifndef SNUG_BASE_SLICE_H
#define SNUG_BASE_SLICE_H

#include <snug/snug.h>
#include <string.h>

#define SNUG_SLICE(s) (int)(s).len, (s).ptr == NULL ? "" : (s).ptr /* for "%.*s" */
#define SNUG_LIT(lit) ((snug_slice){"" lit, sizeof(lit) - 1})
#define SNUG_EMPTY ((snug_slice){NULL, 0})

static inline snug_slice snug_slice_of(const void *p, size_t n)
{
    return (snug_slice){(const char *)p, n};
}

static inline snug_slice snug_str(const char *s) /* NULL becomes the empty slice */
{
    return (snug_slice){s, s == NULL ? 0 : strlen(s)};
}

static inline bool snug_eq(snug_slice a, snug_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool snug_eq_str(snug_slice a, const char *b) { return snug_eq(a, snug_str(b)); }

/* ASCII case-insensitive. */
bool snug_eq_nocase(snug_slice a, snug_slice b);
int  snug_cmp(snug_slice a, snug_slice b); /* bytewise, like memcmp then length */

bool snug_starts_with(snug_slice s, const char *prefix);
bool snug_ends_with(snug_slice s, const char *suffix);

/* The part of s from `from`, at most n bytes; out of range gives an empty slice. */
snug_slice snug_sub(snug_slice s, size_t from, size_t n);
snug_slice snug_trim(snug_slice s); /* ASCII white space at both ends */

/* Index of a byte or a string, or SIZE_MAX. */
size_t snug_index(snug_slice s, char c);
size_t snug_rindex(snug_slice s, char c);
size_t snug_find(snug_slice s, snug_slice needle);

/* Splits off everything before the first `sep` into *head and drops the separator.
 * Without a separator *head takes all. False when *rest was already used up (ptr NULL). */
bool snug_split(snug_slice *rest, char sep, snug_slice *head);

/* Whole-slice decimal numbers; false on anything else, overflow included. */
bool snug_parse_u64(snug_slice s, uint64_t *out);
bool snug_parse_i64(snug_slice s, int64_t *out);
/* "10", "64k", "512M", "2GiB" -> bytes (powers of 1024). */
bool snug_parse_size(snug_slice s, uint64_t *out);

bool snug_utf8_valid(snug_slice s);
/* Decodes one code point and advances; malformed input gives U+FFFD and one byte. */
uint32_t snug_utf8_next(snug_slice *s);
/* Writes 1..4 bytes for a code point and returns how many. */
size_t snug_utf8_put(uint32_t cp, char out[4]);

/* Checked sizes: true means overflow and *out is untouched. */
static inline bool snug_add(size_t a, size_t b, size_t *out)
{
    size_t r;
    if (__builtin_add_overflow(a, b, &r)) return true;
    *out = r;
    return false;
}

static inline bool snug_mul(size_t a, size_t b, size_t *out)
{
    size_t r;
    if (__builtin_mul_overflow(a, b, &r)) return true;
    *out = r;
    return false;
}

/* A bounded cursor with a sticky error: reading past the end sets bad and gives zero. */
typedef struct snug_rd {
    const unsigned char *p, *end;
    bool                 bad;
} snug_rd;

snug_rd    snug_rd_init(snug_slice s);
size_t     snug_rd_left(const snug_rd *r);
uint8_t    snug_rd_u8(snug_rd *r);
uint16_t   snug_rd_u16le(snug_rd *r);
uint32_t   snug_rd_u32le(snug_rd *r);
uint64_t   snug_rd_u64le(snug_rd *r);
snug_slice snug_rd_bytes(snug_rd *r, uint64_t n);

#endif
