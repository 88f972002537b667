/* SPDX-License-Identifier: Apache-2.0 */
/* base/json_get.c - looking into parsed JSON.
 *
 * For:     everybody who holds a snug_json.
 * Owns:    nothing; values live in the arena they were parsed into.
 * Threads: any number may read one document. The table of a large object is filled by whoever
 *          looks first; the others search in a line until it is ready.
 * Truth:   of two equal keys the last one is found, with and without a table. */
#include <math.h>
#include <sys/auxv.h>

#include "base/err.h"
#include "base/json_int.h"

/* ---- tables ---- */

typedef struct hash_key {
    uint64_t k[2];
} hash_key;

/* The kernel hands every process 16 random bytes; keys from outside cannot be chosen to collide. */
static hash_key process_key(void)
{
    hash_key    key = {{0x736e75672d6a736fu, 0x6e2d7461626c6573u}};
    const void *bytes = (const void *)getauxval(AT_RANDOM);
    if (bytes != NULL) memcpy(&key, bytes, sizeof key);
    return key;
}

static inline uint64_t rotl(uint64_t x, unsigned n) { return x << n | x >> (64 - n); }

typedef struct sip {
    uint64_t a, b, c, d;
} sip;

static inline void sip_round(sip *s)
{
    s->a += s->b;
    s->c += s->d;
    s->b = rotl(s->b, 13) ^ s->a;
    s->d = rotl(s->d, 16) ^ s->c;
    s->a = rotl(s->a, 32);
    s->c += s->b;
    s->a += s->d;
    s->b = rotl(s->b, 17) ^ s->c;
    s->d = rotl(s->d, 21) ^ s->a;
    s->c = rotl(s->c, 32);
}

/* SipHash-1-3 (Aumasson and Bernstein 2012). */
static uint64_t hash_bytes(const hash_key *key, const char *p, size_t n)
{
    sip      s = {key->k[0] ^ 0x736f6d6570736575u, key->k[1] ^ 0x646f72616e646f6du,
                  key->k[0] ^ 0x6c7967656e657261u, key->k[1] ^ 0x7465646279746573u};
    uint64_t word, last = (uint64_t)n << 56;
    size_t   left = n;
    for (; left >= 8; left -= 8, p += 8) {
        memcpy(&word, p, 8);
        s.d ^= word;
        sip_round(&s);
        s.a ^= word;
    }
    for (size_t i = 0; i < left; i++) last |= (uint64_t)(unsigned char)p[i] << (8 * i);
    s.d ^= last;
    sip_round(&s);
    s.a ^= last;
    s.c ^= 0xff;
    for (int i = 0; i < 3; i++) sip_round(&s);
    return s.a ^ s.b ^ s.c ^ s.d;
}

uint32_t json_table_slots(size_t members)
{
    uint32_t slots = 64;
    while (slots < members + members / 2) slots *= 2;
    return slots;
}

size_t json_table_fill(json_table *t, const snug_json_node *kids, size_t members)
{
    hash_key key = process_key();
    size_t   twin = SIZE_MAX;
    memset(t->slots, 0, ((size_t)t->mask + 1) * sizeof t->slots[0]);
    for (size_t i = 0; i < members; i++) {
        snug_slice s = node_str(&kids[2 * i]);
        uint32_t   at = (uint32_t)hash_bytes(&key, s.ptr, s.len) & t->mask;
        while (t->slots[at] != 0 && !node_is_key(&kids[2 * (t->slots[at] - 1)], s))
            at = (at + 1) & t->mask;
        if (t->slots[at] != 0 && twin == SIZE_MAX) twin = i;
        t->slots[at] = (uint32_t)(i + 1);
    }
    atomic_store_explicit(&t->state, TABLE_READY, memory_order_release);
    return twin;
}

/* The table, filled; NULL while another thread is filling it. It was made in the arena by the
 * reader for this purpose; the nodes before it stay constant. */
static const json_table *table_of(const snug_json_node *n)
{
    const snug_json_node *behind = n->v.kids + 2 * node_size(n);
    json_table           *t = (json_table *)(uintptr_t)behind;
    unsigned              state = atomic_load_explicit(&t->state, memory_order_acquire);
    if (state == TABLE_READY) return t;
    unsigned empty = TABLE_EMPTY;
    if (!atomic_compare_exchange_strong(&t->state, &empty, TABLE_FILLING)) return NULL;
    (void)json_table_fill(t, n->v.kids, node_size(n));
    return t;
}

static const snug_json_node *find_hashed(const json_table *t, const snug_json_node *n,
                                         snug_slice name)
{
    hash_key key = process_key();
    uint32_t at = (uint32_t)hash_bytes(&key, name.ptr, name.len) & t->mask;
    for (; t->slots[at] != 0; at = (at + 1) & t->mask) {
        const snug_json_node *k = &n->v.kids[2 * (size_t)(t->slots[at] - 1)];
        if (node_is_key(k, name)) return k + 1;
    }
    return NULL;
}

/* ---- values ---- */

snug_json_type snug_json_kind(snug_json v)
{
    return v.node == NULL ? SNUG_JSON_ABSENT : node_type(v.node);
}

const char *snug_json_kind_name(snug_json_type t)
{
    static const char *const names[] = {"absent", "null",   "boolean", "integer",
                                        "number", "string", "array",   "object"};
    return (size_t)t < sizeof names / sizeof names[0] ? names[t] : "?";
}

bool snug_json_is(snug_json v, snug_json_type t) { return snug_json_kind(v) == t; }

snug_json snug_json_get_slice(snug_json v, snug_slice key)
{
    snug_json none = {NULL};
    if (snug_json_kind(v) != SNUG_JSON_OBJECT) return none;
    if (key.ptr == NULL) key = SNUG_LIT("");
    if (v.node->head & NODE_HASHED) {
        const json_table *t = table_of(v.node);
        if (t != NULL) return (snug_json){find_hashed(t, v.node, key)};
    }
    const snug_json_node *kids = v.node->v.kids;
    for (size_t i = kids == NULL ? 0 : node_size(v.node); i-- > 0;) {
        if (node_is_key(&kids[2 * i], key)) return (snug_json){&kids[2 * i + 1]};
    }
    return none;
}

snug_json snug_json_get(snug_json v, const char *key)
{
    return snug_json_get_slice(v, snug_str(key));
}

snug_json snug_json_at(snug_json v, size_t index)
{
    bool in = snug_json_kind(v) == SNUG_JSON_ARRAY && index < node_size(v.node);
    return (snug_json){in ? &v.node->v.kids[index] : NULL};
}

size_t snug_json_count(snug_json v)
{
    snug_json_type t = snug_json_kind(v);
    return t == SNUG_JSON_ARRAY || t == SNUG_JSON_OBJECT ? node_size(v.node) : 0;
}

snug_json_iter snug_json_iter_of(snug_json v)
{
    snug_json_iter it = {.key = SNUG_EMPTY};
    size_t         count = snug_json_count(v);
    if (count == 0) return it;
    it.next_ = v.node->v.kids;
    it.end_ = it.next_ + (node_type(v.node) == SNUG_JSON_OBJECT ? 2 * count : count);
    return it;
}

bool snug_json_next(snug_json_iter *it)
{
    if (it->next_ == it->end_) return false;
    if (it->next_->head & NODE_KEY) it->key = node_str(it->next_++);
    it->value.node = it->next_++;
    return true;
}

bool snug_json_to_str(snug_json v, snug_slice *out)
{
    if (snug_json_kind(v) != SNUG_JSON_STRING) return false;
    *out = node_str(v.node);
    return true;
}

bool snug_json_to_i64(snug_json v, int64_t *out)
{
    if (snug_json_kind(v) != SNUG_JSON_INT || (v.node->head & NODE_UINT)) return false;
    *out = v.node->v.i;
    return true;
}

bool snug_json_to_u64(snug_json v, uint64_t *out)
{
    if (snug_json_kind(v) != SNUG_JSON_INT) return false;
    if (!(v.node->head & NODE_UINT) && v.node->v.i < 0) return false;
    *out = v.node->v.u;
    return true;
}

bool snug_json_to_f64(snug_json v, double *out)
{
    if (snug_json_kind(v) == SNUG_JSON_REAL) {
        *out = v.node->v.d;
        return true;
    }
    if (snug_json_kind(v) != SNUG_JSON_INT) return false;
    *out = v.node->head & NODE_UINT ? (double)v.node->v.u : (double)v.node->v.i;
    return true;
}

bool snug_json_to_bool(snug_json v, bool *out)
{
    if (snug_json_kind(v) != SNUG_JSON_BOOL) return false;
    *out = v.node->v.u != 0;
    return true;
}

snug_slice snug_json_str_or(snug_json obj, const char *key, snug_slice dflt)
{
    (void)snug_json_to_str(snug_json_get(obj, key), &dflt);
    return dflt;
}

int64_t snug_json_i64_or(snug_json obj, const char *key, int64_t dflt)
{
    (void)snug_json_to_i64(snug_json_get(obj, key), &dflt);
    return dflt;
}

double snug_json_f64_or(snug_json obj, const char *key, double dflt)
{
    (void)snug_json_to_f64(snug_json_get(obj, key), &dflt);
    return dflt;
}

bool snug_json_bool_or(snug_json obj, const char *key, bool dflt)
{
    (void)snug_json_to_bool(snug_json_get(obj, key), &dflt);
    return dflt;
}

snug_status snug_json_need_str(snug_json obj, const char *key, snug_slice *out, snug_err *err)
{
    if (snug_json_to_str(snug_json_get(obj, key), out)) return SNUG_OK;
    return snug_fail(err, SNUG_EINVAL, "\"%s\" must be a string", key);
}

snug_status snug_json_need_u64(snug_json obj, const char *key, uint64_t *out, snug_err *err)
{
    if (snug_json_to_u64(snug_json_get(obj, key), out)) return SNUG_OK;
    return snug_fail(err, SNUG_EINVAL, "\"%s\" must be an integer of 0 or more", key);
}
