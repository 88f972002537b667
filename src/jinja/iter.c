/* SPDX-License-Identifier: Apache-2.0 */
/* jinja/iter.c - going through values, item by item; and sorting them.
 *
 * For:     for loops, filters, list().
 * Truth:   as in Python, what filters such as map and select give makes its items when asked, and
 *          once. All other values can be gone through any number of times. */
#include "jinja/jinja_int.h"

bool jinja_is_iterable(jinja_val v)
{
    switch (v.kind) {
    case VAL_UNDEFINED:
    case VAL_STR:
    case VAL_LIST:
    case VAL_TUPLE:
    case VAL_DICT:
    case VAL_VIEW:
    case VAL_RANGE:
    case VAL_ITER:
    case VAL_LOOP: return true;
    default: return false;
    }
}

snug_status jinja_iter_open(jinja_run *r, jinja_val v, jinja_iter *out)
{
    *out = (jinja_iter){.src = v};
    if (v.kind == VAL_ITER) out->shared = v.u.iter;
    if (jinja_is_iterable(v)) return SNUG_OK;
    return jinja_raise(r, "'%s' object is not iterable", jinja_type_name(v));
}

static size_t count_of(const jinja_iter *it)
{
    switch (it->src.kind) {
    case VAL_DICT:
    case VAL_VIEW: return it->src.u.dict->count;
    case VAL_RANGE: return (size_t)it->src.u.range->count;
    default: return it->src.len;
    }
}

static snug_status pair_at(jinja_run *r, jinja_val v, size_t index, jinja_val *out)
{
    const jinja_pair *p = &v.u.dict->pairs[index];
    if (v.kind == VAL_DICT || v.aux == VIEW_KEYS)
        *out = p->key;
    else if (v.aux == VIEW_VALUES)
        *out = p->value;
    else
        return jinja_pair_of(r, p->key, p->value, out);
    return SNUG_OK;
}

static void next_char(jinja_iter *it, jinja_val *out)
{
    jinja_val s = it->src;
    size_t    from = it->at, to = it->at;
    if (it->reversed) {
        to = s.len - it->at;
        from = to;
        do from--;
        while (from > 0 && ((unsigned char)s.u.s[from] & 0xc0) == 0x80);
    } else {
        (void)jinja_utf8_at(jinja_text(s), &to);
    }
    it->at += to - from;
    *out = jinja_sub(s, from, to);
    out->flags &= (uint8_t)~VAL_SAFE; /* Markup is iterated as the str it is */
}

static snug_status next_of_loop(jinja_run *r, jinja_loop *l, jinja_val *out, bool *more)
{
    jinja_val self = {.kind = VAL_LOOP, .u.loop = l};
    JINJA_TRY(jinja_loop_next(r, l, more)); /* (item, loop), as Python's LoopContext gives them */
    return *more ? jinja_pair_of(r, l->current, self, out) : SNUG_OK;
}

snug_status jinja_iter_next(jinja_run *r, jinja_iter *it, jinja_val *out, bool *more)
{
    snug_status st = SNUG_OK;
    if (it->shared != NULL) it = it->shared;
    JINJA_TRY(jinja_step(r, 1));
    if (it->gen != NULL) {
        *more = false;
        if (it->gen->done) return SNUG_OK;
        JINJA_TRY(jinja_deeper(r));
        st = it->gen->next(r, it->gen, out, more);
        r->depth--;
        it->gen->done = st != SNUG_OK || !*more;
        return st;
    }
    if (it->src.kind == VAL_LOOP) return next_of_loop(r, it->src.u.loop, out, more);
    *more = it->src.kind != VAL_UNDEFINED && it->at < count_of(it);
    if (!*more) return SNUG_OK;
    if (it->src.kind == VAL_STR) {
        next_char(it, out);
        return SNUG_OK;
    }
    size_t index = it->reversed ? count_of(it) - 1 - it->at : it->at;
    it->at++;
    switch (it->src.kind) {
    case VAL_DICT:
    case VAL_VIEW: return pair_at(r, it->src, index, out);
    case VAL_RANGE: {
        const jinja_range *g = it->src.u.range;
        return jinja_int_of_wide(r, (jinja_wide)g->start + (jinja_wide)index * g->step, out);
    }
    default: *out = it->src.u.items[index]; return SNUG_OK;
    }
}

snug_status jinja_gen_new(jinja_run *r, jinja_gen **gen, jinja_val *out)
{
    jinja_iter *it = jinja_alloc(r, sizeof *it);
    *gen = jinja_alloc(r, sizeof **gen);
    if (it == NULL || *gen == NULL) return SNUG_ELIMIT;
    **gen = (jinja_gen){0};
    *it = (jinja_iter){.gen = *gen};
    *out = (jinja_val){.kind = VAL_ITER, .u.iter = it};
    return SNUG_OK;
}

/* reversed(v); *ok false: it has no end to begin at. */
snug_status jinja_reversed(jinja_run *r, jinja_val v, jinja_val *out, bool *ok)
{
    *ok = v.kind != VAL_ITER && v.kind != VAL_LOOP && jinja_is_iterable(v);
    if (!*ok) return SNUG_OK;
    jinja_iter *it = jinja_alloc(r, sizeof *it);
    if (it == NULL) return SNUG_ELIMIT;
    *it = (jinja_iter){.src = v, .reversed = true};
    *out = (jinja_val){.kind = VAL_ITER, .u.iter = it};
    return SNUG_OK;
}

/* ---- sorting ---- */

typedef struct entry {
    jinja_val key, item;
} entry;

/* Merges from[lo, mid) and from[mid, hi) into to. Asks only whether the right one is less (or,
 * backwards, the left one), so equal items keep their order both ways, as in Python. */
static snug_status merge(jinja_run *r, const entry *from, entry *to, size_t lo, size_t mid,
                         size_t hi, bool reverse)
{
    size_t a = lo, b = mid;
    for (size_t i = lo; i < hi; i++) {
        bool take_right = a == mid;
        if (a < mid && b < hi) {
            JINJA_TRY(reverse ? jinja_order(r, OP_LT, from[a].key, from[b].key, &take_right)
                              : jinja_order(r, OP_LT, from[b].key, from[a].key, &take_right));
        }
        to[i] = take_right ? from[b++] : from[a++];
    }
    return SNUG_OK;
}

/* Stable merge sort from the bottom up, items by keys. */
snug_status jinja_sort(jinja_run *r, jinja_val *items, const jinja_val *keys, size_t n,
                       bool reverse)
{
    if (n < 2) return SNUG_OK;
    entry *a = jinja_alloc(r, n * sizeof *a), *b = jinja_alloc(r, n * sizeof *b);
    if (a == NULL || b == NULL) return SNUG_ELIMIT;
    for (size_t i = 0; i < n; i++) a[i] = (entry){keys[i], items[i]};
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t lo = 0; lo < n; lo += 2 * width) {
            size_t mid = lo + width < n ? lo + width : n,
                   hi = lo + 2 * width < n ? lo + 2 * width : n;
            JINJA_TRY(merge(r, a, b, lo, mid, hi, reverse));
        }
        entry *t = a;
        a = b;
        b = t;
    }
    for (size_t i = 0; i < n; i++) items[i] = a[i].item;
    return SNUG_OK;
}
