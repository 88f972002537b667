/* SPDX-License-Identifier: Apache-2.0 */
/* jinja/dict.c - dictionaries: pairs in order of insertion, hashed once there are more than a few.
 *
 * For:     dict values, namespaces, contexts.
 * Truth:   keys are equal as Python has it: 1, 1.0 and True are one key. Every probe is a step, so
 *          keys made to collide run into the limit and not into a long wait. */
#include "jinja/jinja_int.h"

enum { SMALL_MAX = 8 };

static uint64_t mix(uint64_t h)
{
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93u;
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93u;
    return h ^ h >> 32;
}

static uint64_t hash_text(snug_slice s)
{
    uint64_t h = 0x9e3779b97f4a7c15u + s.len;
    size_t   i = 0;
    for (; i + 8 <= s.len; i += 8) {
        uint64_t w;
        memcpy(&w, s.ptr + i, 8);
        h = mix(h ^ w);
    }
    for (; i < s.len; i++) h = (h ^ (unsigned char)s.ptr[i]) * 0x100000001b3u;
    return mix(h);
}

static uint64_t hash_number(jinja_val v)
{
    double d = jinja_double_of(v);
    if (v.kind == VAL_FLOAT && !(d >= -9.2e18 && d <= 9.2e18 && (double)(int64_t)d == d)) {
        uint64_t bits;
        memcpy(&bits, &d, sizeof bits);
        return mix(bits);
    }
    return mix(v.kind == VAL_FLOAT ? (uint64_t)(int64_t)d : (uint64_t)jinja_wide_of(v));
}

snug_status jinja_hashable(jinja_run *r, jinja_val v)
{
    switch (v.kind) {
    case VAL_LIST:
    case VAL_DICT:
    case VAL_VIEW: return jinja_raise(r, "unhashable type: '%s'", jinja_type_name(v));
    case VAL_TUPLE:
        JINJA_TRY(jinja_deeper(r));
        for (uint32_t i = 0; i < v.len; i++) JINJA_TRY(jinja_hashable(r, v.u.items[i]));
        r->depth--;
        return jinja_step(r, v.len);
    default: return SNUG_OK;
    }
}

static uint64_t hash(jinja_val v) /* of a hashable value: tuples nest within the depth limit */
{
    uint64_t h = 0x345678;
    if (jinja_is_num(v)) return hash_number(v);
    switch (v.kind) {
    case VAL_STR: return hash_text(jinja_text(v));
    case VAL_NONE:
    case VAL_UNDEFINED: return v.kind;
    case VAL_TUPLE:
        for (uint32_t i = 0; i < v.len; i++) h = mix(h ^ hash(v.u.items[i]));
        return h;
    case VAL_RANGE: return v.u.range->count;
    default: return mix((uint64_t)(uintptr_t)v.u.items);
    }
}

snug_status jinja_dict_new(jinja_run *r, size_t cap, jinja_dict **out)
{
    jinja_dict *d = jinja_alloc(r, sizeof *d);
    if (d == NULL) return SNUG_ELIMIT;
    *d = (jinja_dict){0};
    if (cap > 0) {
        if (cap > UINT32_MAX / 4) return jinja_limit(r, "a dict of %zu keys is beyond the limit", cap);
        d->pairs = jinja_alloc(r, cap * sizeof *d->pairs);
        if (d->pairs == NULL) return SNUG_ELIMIT;
        d->cap = (uint32_t)cap;
    }
    *out = d;
    return SNUG_OK;
}

/* The pair with this key, or the free slot for it. Only strings compare without failing. */
static snug_status find_pair(jinja_run *r, const jinja_dict *d, jinja_val key, uint32_t *pair, uint32_t *slot)
{
    bool same = false;
    *pair = UINT32_MAX;
    if (d->slots == NULL) {
        for (uint32_t i = 0; i < d->count; i++) {
            JINJA_TRY(jinja_equal(r, d->pairs[i].key, key, &same));
            if (same) *pair = i;
            if (same) return SNUG_OK;
        }
        return SNUG_OK;
    }
    uint32_t at = (uint32_t)hash(key) & d->mask;
    while (d->slots[at] != 0) {
        uint32_t i = d->slots[at] - 1;
        JINJA_TRY(jinja_equal(r, d->pairs[i].key, key, &same));
        if (same) {
            *pair = i;
            break;
        }
        at = (at + 1) & d->mask;
    }
    if (slot != NULL) *slot = at;
    return SNUG_OK;
}

static snug_status build_slots(jinja_run *r, jinja_dict *d, size_t want)
{
    size_t n = 32;
    while (n < want * 2) n *= 2;
    d->slots = jinja_alloc(r, n * sizeof *d->slots);
    if (d->slots == NULL) return SNUG_ELIMIT;
    memset(d->slots, 0, n * sizeof *d->slots);
    d->mask = (uint32_t)n - 1;
    for (uint32_t i = 0; i < d->count; i++) {
        uint32_t at = (uint32_t)hash(d->pairs[i].key) & d->mask;
        while (d->slots[at] != 0) at = (at + 1) & d->mask;
        d->slots[at] = i + 1;
    }
    return jinja_step(r, d->count);
}

static snug_status grow(jinja_run *r, jinja_dict *d)
{
    if (d->count == d->cap) {
        size_t      cap = d->cap == 0 ? 4 : (size_t)d->cap * 2;
        jinja_pair *pairs = cap > UINT32_MAX / 4 ? NULL : jinja_alloc(r, cap * sizeof *pairs);
        if (pairs == NULL) return jinja_limit(r, "a dict of %" PRIu32 " keys is beyond the limit", d->count);
        if (d->count > 0) memcpy(pairs, d->pairs, d->count * sizeof *pairs);
        d->pairs = pairs;
        d->cap = (uint32_t)cap;
    }
    if (d->count < SMALL_MAX || (d->slots != NULL && d->count < d->mask / 2)) return SNUG_OK;
    return build_slots(r, d, d->cap > d->count ? d->cap : (size_t)d->count + 1);
}

snug_status jinja_dict_put(jinja_run *r, jinja_dict *d, jinja_val key, jinja_val value)
{
    uint32_t pair, slot = 0;
    if (key.kind != VAL_STR) JINJA_TRY(jinja_hashable(r, key));
    JINJA_TRY(jinja_step(r, 1 + key.len / 64));
    JINJA_TRY(grow(r, d));
    JINJA_TRY(find_pair(r, d, key, &pair, &slot));
    if (pair != UINT32_MAX) {
        d->pairs[pair].value = value;
        return SNUG_OK;
    }
    if (d->slots != NULL) d->slots[slot] = d->count + 1;
    d->pairs[d->count++] = (jinja_pair){key, value};
    return SNUG_OK;
}

static bool is_key(const jinja_pair *p, snug_slice key)
{
    return p->key.kind == VAL_STR && p->key.len == key.len && memcmp(p->key.u.s, key.ptr, key.len) == 0;
}

snug_status jinja_dict_find(jinja_run *r, const jinja_dict *d, snug_slice key, const jinja_val **out)
{
    uint32_t probes = 0, i;
    *out = NULL;
    if (d->slots == NULL) {
        for (i = 0; i < d->count && !is_key(&d->pairs[i], key); i++) {}
        if (i < d->count) *out = &d->pairs[i].value;
        return jinja_step(r, 1 + key.len / 64);
    }
    for (uint32_t at = (uint32_t)hash_text(key) & d->mask; d->slots[at] != 0; at = (at + 1) & d->mask) {
        const jinja_pair *p = &d->pairs[d->slots[at] - 1];
        probes++;
        if (!is_key(p, key)) continue;
        *out = &p->value;
        break;
    }
    return jinja_step(r, 1 + key.len / 64 + probes / 4);
}

snug_status jinja_dict_get(jinja_run *r, const jinja_dict *d, jinja_val key, const jinja_val **out)
{
    uint32_t pair;
    *out = NULL;
    if (key.kind == VAL_STR) return jinja_dict_find(r, d, jinja_text(key), out);
    JINJA_TRY(jinja_hashable(r, key));
    JINJA_TRY(find_pair(r, d, key, &pair, NULL));
    if (pair != UINT32_MAX) *out = &d->pairs[pair].value;
    return SNUG_OK;
}
