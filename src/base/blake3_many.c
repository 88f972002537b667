/* SPDX-License-Identifier: Apache-2.0 */
/* base/blake3_many.c - keyed BLAKE3 of many messages at once, with every lane of the processor
 * busy.
 *
 * For:     xet/, whose files are hashed in messages of about 64 KiB each.
 * Threads: any.
 * Truth:   out[i] is what snug_blake3_keyed gives for messages[i].
 *
 * A message is a binary tree over leaves of 1024 bytes. One message by itself leaves lanes empty at
 * its end and in the upper levels of its tree. Here leaf k of all messages is hashed together (they
 * share its counter), then the parents of all messages, level by level. A level pairs neighbours
 * and lets an odd last one rise, which gives the same tree as splitting at powers of two.
 *
 *     messages   AAAAA BB CCC     leaf 0: A B C   leaf 1: A B C   leaf 2: A C   ...
 *     parents    A01 A23 B01 C01  then A0123, C012 with the odd leaf, ...  the last of each: root
 *
 * The names below are those of the BLAKE3 package's C folder, which the build compiles as it is. */
#include <blake3.h>
#include <blake3_impl.h>
#include <stdlib.h>

#include "base/base.h"

enum { LEAF = BLAKE3_CHUNK_LEN, BLOCK = BLAKE3_BLOCK_LEN, CV = BLAKE3_OUT_LEN, LANES = 16 };

/* One message: its chaining values lie one after the other at `cv`. */
typedef struct tree {
    const uint8_t *bytes;
    uint8_t       *cv;
    size_t         full, count; /* whole leaves; nodes of the level under way */
    size_t         index;       /* of the message */
} tree;

static void load_key(const unsigned char key[32], uint32_t words[8])
{
    for (unsigned i = 0; i < 8; i++)
        words[i] = (uint32_t)key[4 * i] | (uint32_t)key[4 * i + 1] << 8 |
                   (uint32_t)key[4 * i + 2] << 16 | (uint32_t)key[4 * i + 3] << 24;
}

/* The last leaf, when it is shorter than the others: its blocks follow each other. */
static void hash_rest(const uint32_t key[8], const uint8_t *p, size_t n, uint64_t counter,
                      uint8_t out[CV])
{
    uint32_t cv[8];
    uint8_t  flags = KEYED_HASH | CHUNK_START;
    memcpy(cv, key, sizeof cv);
    for (; n > BLOCK; p += BLOCK, n -= BLOCK, flags = KEYED_HASH)
        blake3_compress_in_place(cv, p, BLOCK, counter, flags);
    uint8_t last[BLOCK] = {0};
    memcpy(last, p, n);
    blake3_compress_in_place(cv, last, (uint8_t)n, counter, (uint8_t)(flags | CHUNK_END));
    for (unsigned i = 0; i < 8; i++)
        for (unsigned b = 0; b < 4; b++) out[4 * i + b] = (uint8_t)(cv[i] >> (8 * b));
}

static int longest_first(const void *a, const void *b)
{
    const tree *x = a, *y = b;
    return x->full > y->full ? -1 : x->full < y->full;
}

/* Trees come longest first: those that have leaf k are a prefix. */
static void hash_leaves(tree *t, size_t n, const uint32_t key[8])
{
    const uint8_t *in[LANES];
    uint8_t        out[LANES * CV];
    for (size_t k = 0; n > 0 && k < t[0].full; k++) {
        while (n > 0 && t[n - 1].full <= k) n--;
        for (size_t at = 0; at < n; at += LANES) {
            size_t lanes = n - at < LANES ? n - at : LANES;
            for (size_t i = 0; i < lanes; i++) in[i] = t[at + i].bytes + k * LEAF;
            blake3_hash_many(in, lanes, LEAF / BLOCK, key, k, false, KEYED_HASH, CHUNK_START,
                             CHUNK_END, out);
            for (size_t i = 0; i < lanes; i++) memcpy(t[at + i].cv + k * CV, out + i * CV, CV);
        }
    }
}

/* Pairs that wait to be hashed with one set of flags. */
typedef struct pairs {
    const uint8_t *in[LANES];
    uint8_t       *to[LANES];
    size_t         n;
    uint8_t        flags;
} pairs;

static void flush_pairs(pairs *p, const uint32_t key[8])
{
    uint8_t out[LANES * CV];
    if (p->n == 0) return;
    blake3_hash_many(p->in, p->n, 1, key, 0, false, p->flags, 0, 0, out);
    for (size_t i = 0; i < p->n; i++) memcpy(p->to[i], out + i * CV, CV);
    p->n = 0;
}

static void add_pair(pairs *p, const uint8_t *in, uint8_t *to, const uint32_t key[8])
{
    p->in[p->n] = in;
    p->to[p->n++] = to;
    if (p->n == LANES) flush_pairs(p, key);
}

/* One level of all trees. A parent lands on a place whose own value was used: node i needs 2i and
 * 2i + 1, and pairs are flushed in order. False: every tree is at its root. */
static bool hash_level(tree *t, size_t n, const uint32_t key[8], snug_blake3 *roots)
{
    pairs inner = {.flags = KEYED_HASH | PARENT}, last = {.flags = KEYED_HASH | PARENT | ROOT};
    bool  more = false;
    for (size_t i = 0; i < n; i++) {
        if (t[i].count == 2) add_pair(&last, t[i].cv, roots[t[i].index].b, key);
        for (size_t k = 0; t[i].count > 2 && k < t[i].count / 2; k++)
            add_pair(&inner, t[i].cv + 2 * k * CV, t[i].cv + k * CV, key);
    }
    flush_pairs(&last, key);
    flush_pairs(&inner, key);
    for (size_t i = 0; i < n; i++) {
        size_t c = t[i].count;
        if (c > 2 && c % 2 != 0) memcpy(t[i].cv + c / 2 * CV, t[i].cv + (c - 1) * CV, CV);
        t[i].count = c > 2 ? (c + 1) / 2 : 0;
        more = more || t[i].count > 0;
    }
    return more;
}

void snug_blake3_keyed_many(const unsigned char key[32], const snug_slice *messages, size_t n,
                            snug_blake3 *out)
{
    uint32_t words[8];
    size_t   used = 0, nodes = 0;
    tree    *t = snug_alloc((n + 1) * sizeof *t);
    load_key(key, words);
    for (size_t i = 0; i < n; i++) {
        if (messages[i].len <= LEAF) { /* no tree */
            out[i] = snug_blake3_keyed(key, messages[i]);
            continue;
        }
        size_t leaves = (messages[i].len + LEAF - 1) / LEAF;
        t[used++] = (tree){.bytes = (const uint8_t *)messages[i].ptr,
                           .full = messages[i].len / LEAF,
                           .count = leaves,
                           .index = i};
        nodes += leaves;
    }
    uint8_t *cv = snug_alloc(nodes * CV + 1);
    for (size_t i = 0, at = 0; i < used; at += t[i++].count * CV) {
        t[i].cv = cv + at;
        size_t rest = messages[t[i].index].len % LEAF;
        if (rest > 0)
            hash_rest(words, t[i].bytes + t[i].full * LEAF, rest, t[i].full,
                      t[i].cv + t[i].full * CV);
    }
    if (used > 0) qsort(t, used, sizeof *t, longest_first);
    hash_leaves(t, used, words);
    while (hash_level(t, used, words, out)) continue;
    free(cv);
    free(t);
}
