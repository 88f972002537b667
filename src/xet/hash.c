/* SPDX-License-Identifier: Apache-2.0 */
/* xet/hash.c - keyed BLAKE3 hashes, their text form, and the Merkle tree of a file or xorb.
 *
 * Truth: the tree is made in passes over a list; each pass replaces groups of 2 to 9 nodes by a
 * parent. Where a group ends depends only on the nodes in it, so a pass can run as a stream. */
#include <stdlib.h>
#include <string.h>

#include "xet/xet.h"

static const unsigned char data_key[32] = {102, 151, 245, 119, 91,  149, 80,  222, 49,  53,  203,
                                           172, 165, 151, 24,  28,  157, 228, 33,  16,  155, 235,
                                           43,  88,  180, 208, 176, 75,  147, 173, 242, 41};
static const unsigned char node_key[32] = {1,   126, 197, 199, 165, 71,  41,  150, 253, 148, 102,
                                           102, 180, 138, 2,   230, 93,  221, 83,  111, 55,  199,
                                           109, 210, 248, 99,  82,  230, 74,  83,  113, 63};
static const unsigned char proof_key[32] = {127, 24,  87,  214, 206, 86,  237, 102, 18,  127, 249,
                                            19,  231, 165, 195, 243, 164, 205, 38,  213, 181, 219,
                                            73,  230, 65,  36,  152, 127, 40,  251, 148, 195};
static const unsigned char file_key[32]; /* zeros: the salt the hub uses */

enum { HASH_AT_ONCE = 128 };

static xet_hash keyed(const unsigned char key[32], snug_slice s)
{
    snug_blake3 b = snug_blake3_keyed(key, s);
    xet_hash    h;
    memcpy(h.b, b.b, sizeof h.b);
    return h;
}

static uint64_t word(const xet_hash *h, unsigned i)
{
    uint64_t v = 0;
    for (unsigned k = 8; k-- > 0;) v = v << 8 | h->b[8 * i + k];
    return v;
}

void xet_hash_text(const xet_hash *h, char out[65])
{
    unsigned char flipped[32];
    for (unsigned i = 0; i < 32; i++) flipped[i] = h->b[(i & ~7u) + 7 - (i & 7)];
    snug_hex(flipped, 32, out);
}

bool xet_hash_parse(snug_slice text, xet_hash *out)
{
    unsigned char flipped[32];
    if (!snug_unhex(text, flipped, 32)) return false;
    for (unsigned i = 0; i < 32; i++) out->b[i] = flipped[(i & ~7u) + 7 - (i & 7)];
    return true;
}

int xet_hash_cmp(const xet_hash *a, const xet_hash *b)
{
    for (unsigned i = 0; i < 4; i++) {
        uint64_t x = word(a, i), y = word(b, i);
        if (x != y) return x < y ? -1 : 1;
    }
    return 0;
}

bool xet_hash_eq(const xet_hash *a, const xet_hash *b) { return memcmp(a->b, b->b, 32) == 0; }

bool xet_hash_is_zero(const xet_hash *h)
{
    static const xet_hash zero;
    return xet_hash_eq(h, &zero);
}

uint64_t xet_hash_mod(const xet_hash *h, uint64_t n) { return word(h, 3) % n; }

xet_hash xet_chunk_hash(snug_slice raw) { return keyed(data_key, raw); }

void xet_chunk_hash_many(const snug_slice *raw, size_t n, xet_hash *out)
{
    _Static_assert(sizeof(xet_hash) == sizeof(snug_blake3), "both are 32 bytes");
    snug_blake3 found[HASH_AT_ONCE];
    for (size_t at = 0; at < n; at += HASH_AT_ONCE) {
        size_t some = n - at < HASH_AT_ONCE ? n - at : HASH_AT_ONCE;
        snug_blake3_keyed_many(data_key, raw + at, some, found);
        memcpy(out + at, found, some * sizeof *out);
    }
}

xet_hash xet_range_hash(const xet_hash *chunks, size_t n)
{
    return keyed(proof_key, snug_slice_of(chunks, n * sizeof *chunks));
}

xet_hash xet_hmac(const unsigned char key[32], const xet_hash *h)
{
    return keyed(key, snug_slice_of(h->b, sizeof h->b));
}

/* ---- the tree ---- */

enum { GROUP_MAX = 9, LINE_MAX_BYTES = 64 + 3 + 20 + 1 };

static xet_leaf parent_of(const xet_leaf *group, size_t n)
{
    char     text[GROUP_MAX * (LINE_MAX_BYTES + 1)];
    size_t   len = 0;
    xet_leaf parent = {.size = 0};
    for (size_t i = 0; i < n; i++) {
        char name[65];
        xet_hash_text(&group[i].hash, name);
        int put = snprintf(text + len, sizeof text - len, "%s : %llu\n", name,
                           (unsigned long long)group[i].size);
        SNUG_ASSERT(put > 0 && (size_t)put < sizeof text - len);
        len += (size_t)put;
        parent.size += group[i].size;
    }
    parent.hash = keyed(node_key, snug_slice_of(text, len));
    return parent;
}

/* Length of the group at the front of n > 0 nodes, when nothing follows them. */
static size_t group_length(const xet_leaf *nodes, size_t n)
{
    if (n <= 2) return n;
    size_t end = n < GROUP_MAX ? n : GROUP_MAX;
    for (size_t i = 2; i + 1 < end; i++) {
        if (xet_hash_mod(&nodes[i].hash, 4) == 0) return i + 1;
    }
    return end;
}

/* A level holds the nodes of the group it is filling: a group can be closed once nine nodes are
 * here, or once three are and the newest one ends it. In both cases nothing that follows matters,
 * except that a list of one or two nodes behaves differently at its very end, which only
 * xet_merkle_finish sees. */
enum { LEVELS_MAX = 64 };

typedef struct level {
    xet_leaf nodes[GROUP_MAX];
    size_t   count;
    uint64_t total; /* nodes that ever came here */
} level;

struct xet_merkle {
    level  levels[LEVELS_MAX];
    size_t used;
};

xet_merkle *xet_merkle_new(void) { return snug_zalloc(sizeof(xet_merkle)); }

/* Closes the group of a level and hands its parent up, until a level has room. */
static void add_node(xet_merkle *m, size_t depth, xet_leaf node)
{
    for (;; depth++) {
        SNUG_ASSERT(depth < LEVELS_MAX);
        level *l = &m->levels[depth];
        if (depth >= m->used) m->used = depth + 1;
        l->nodes[l->count++] = node;
        l->total++;
        bool closes = l->count == GROUP_MAX || (l->count >= 3 && xet_hash_mod(&node.hash, 4) == 0);
        if (!closes) return;
        node = parent_of(l->nodes, l->count);
        l->count = 0;
    }
}

void xet_merkle_add(xet_merkle *m, const xet_hash *h, uint64_t size)
{
    add_node(m, 0, (xet_leaf){*h, size});
}

xet_hash xet_merkle_finish(xet_merkle *m)
{
    xet_hash root = {{0}};
    for (size_t depth = 0; depth < m->used; depth++) {
        level *l = &m->levels[depth];
        if (l->total == 1) { /* the only node of a pass is the root */
            root = l->nodes[0].hash;
            break;
        }
        if (l->count > 0) { /* the last group of this pass, however small */
            xet_leaf parent = parent_of(l->nodes, l->count);
            l->count = 0;
            add_node(m, depth + 1, parent);
        }
    }
    free(m);
    return root;
}

xet_hash xet_merkle_root(const xet_leaf *leaves, size_t n)
{
    if (n == 0) return (xet_hash){{0}};
    xet_leaf *nodes = snug_alloc(n * sizeof *nodes);
    memcpy(nodes, leaves, n * sizeof *nodes);
    while (n > 1) {
        size_t made = 0;
        for (size_t at = 0; at < n;) {
            size_t len = group_length(nodes + at, n - at);
            nodes[made++] = parent_of(nodes + at, len);
            at += len;
        }
        n = made;
    }
    xet_hash root = nodes[0].hash;
    free(nodes);
    return root;
}

xet_hash xet_file_hash(const xet_leaf *leaves, size_t n)
{
    if (n == 0) return (xet_hash){{0}};
    xet_hash root = xet_merkle_root(leaves, n);
    return xet_file_hash_of_root(&root);
}

xet_hash xet_file_hash_of_root(const xet_hash *root) { return xet_hmac(file_key, root); }
