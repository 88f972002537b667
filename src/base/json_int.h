/* SPDX-License-Identifier: Apache-2.0 */
/* base/json_int.h - the shape of a parsed value, shared by the JSON reader, writer and look-ups.
 *
 * A node is 16 bytes. `head` holds the type in bits 0-3, flags in bits 4-7 and above them a size:
 *
 *   type     bits 8..63        v
 *   BOOL     0                 u: 0 or 1
 *   INT      0                 i, or u when NODE_UINT says it does not fit int64_t
 *   REAL     0                 d
 *   STRING   bytes             s (an object's key is a STRING with NODE_KEY)
 *   ARRAY    elements          kids[0 .. count)
 *   OBJECT   members           kids[0 .. 2 * count): key, value, key, value
 *
 * The children of a container lie side by side, so element i is one addition away. Behind the
 * members of a large object lies a json_table, filled by the first look-up. */
#ifndef SNUG_BASE_JSON_INT_H
#define SNUG_BASE_JSON_INT_H

#include <stdatomic.h>

#include "base/json.h"
#include "base/slice.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

typedef unsigned char         json_byte;
typedef struct snug_json_node snug_json_node;

struct snug_json_node {
    uint64_t head;
    union {
        uint64_t              u;
        int64_t               i;
        double                d;
        const char           *s;
        const snug_json_node *kids;
        size_t                up; /* while it is being read: the container around it */
    } v;
};

enum {
    NODE_TYPE = 0x0f,
    NODE_KEY = 0x10,
    NODE_UINT = 0x20,
    NODE_HASHED = 0x40,
    JSON_HASH_MIN = 33,   /* members from which an object gets a table */
    JSON_DEPTH_CAP = 1024 /* whatever the options say: the writer recurses over values */
};

/* Open addressing over member numbers + 1; 0 is a free slot. A slot names the last member with its
 * key, so that the last of two equal keys wins as it does in a linear search from the end. */
typedef struct json_table {
    atomic_uint state; /* TABLE_EMPTY -> TABLE_FILLING -> TABLE_READY */
    uint32_t    mask;
    uint32_t    slots[];
} json_table;

enum { TABLE_EMPTY, TABLE_FILLING, TABLE_READY };

static inline uint64_t node_head(unsigned type_and_flags, size_t size)
{
    return type_and_flags | (uint64_t)size << 8;
}

static inline snug_json_type node_type(const snug_json_node *n)
{
    return (snug_json_type)(n->head & NODE_TYPE);
}

static inline size_t node_size(const snug_json_node *n) { return (size_t)(n->head >> 8); }

static inline snug_slice node_str(const snug_json_node *n)
{
    return (snug_slice){n->v.s, node_size(n)};
}

static inline bool node_is_key(const snug_json_node *n, snug_slice key)
{
    return n->head >> 8 == key.len && memcmp(n->v.s, key.ptr, key.len) == 0;
}

/* Bytes and slots of the table of an object with that many members. */
uint32_t json_table_slots(size_t members);
/* Fills the table. The index of a member whose key came before, or SIZE_MAX. */
size_t json_table_fill(json_table *t, const snug_json_node *kids, size_t members);

/* Correctly rounded value of a number that is known to be well formed: mant * 10^exp10, or a little
 * more when `many` says that digits behind the 19th were dropped. text decides the rare doubts. */
double json_real(const json_byte *text, uint64_t mant, int64_t exp10, bool many);
/* Writes the shortest form that reads back as the same finite double, in the manner of Python's
 * repr; returns its length, below 32. */
size_t json_format_real(double v, char out[32]);

enum { JSON_POW10_FIRST = -342, JSON_POW10_LAST = 324 };
extern const uint64_t json_pow10[JSON_POW10_LAST - JSON_POW10_FIRST + 1][2];

/* The first byte of [p, lim) that is not plain inside a string (a quote, a backslash, a control
 * byte or anything beyond ASCII), or lim. */
static inline const json_byte *json_skip_plain(const json_byte *p, const json_byte *lim)
{
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\');
    const __m128i space = _mm_set1_epi8(0x20);
    for (; lim - p >= 16; p += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        /* As signed bytes everything beyond ASCII is below a space too. */
        __m128i  odd = _mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, slash));
        unsigned mask = (unsigned)_mm_movemask_epi8(_mm_or_si128(odd, _mm_cmplt_epi8(v, space)));
        if (mask != 0) return p + __builtin_ctz(mask);
    }
#else
    const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
    for (; lim - p >= 8; p += 8) {
        uint64_t w, q, s;
        memcpy(&w, p, 8);
        q = w ^ ones * '"';
        s = w ^ ones * '\\';
        if ((((q - ones) | (s - ones) | (w - ones * 0x20) | w) & tops) != 0) break;
    }
#endif
    while (p < lim && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\') p++;
    return p;
}

#endif
