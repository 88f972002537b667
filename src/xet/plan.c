/* SPDX-License-Identifier: Apache-2.0 */
/* xet/plan.c - which chunks of which xorbs make up bytes [first, last] of a file.
 *
 * Truth: the plan of a range depends on the file's terms and the range alone, so asking again gives
 * the same terms and spans; no two spans of a xorb start at the same chunk. */
#include <stdlib.h>
#include <string.h>

#include "xet/xet.h"

static uint64_t raw_start(const xet_xorb *x, uint32_t chunk)
{
    return chunk == 0 ? 0 : x->chunks[chunk - 1].raw_end;
}

static uint64_t stored_start(const xet_xorb *x, uint32_t chunk)
{
    return chunk == 0 ? 0 : x->chunks[chunk - 1].stored_end;
}

static snug_status check_term(const xet_term *t, const xet_xorb *x, snug_err *err)
{
    if (x == NULL) return snug_fail(err, SNUG_ECORRUPT, "a file names a xorb that is not stored");
    if (t->start >= t->end || t->end > x->count)
        return snug_fail(err, SNUG_ECORRUPT, "a file names chunks %u to %u of a xorb with %u",
                         t->start, t->end, x->count);
    if (x->chunks[t->end - 1].raw_end - raw_start(x, t->start) != t->raw_size)
        return snug_fail(err, SNUG_ECORRUPT, "a file's term does not have the size it states");
    return SNUG_OK;
}

/* Drops chunks of `t` (which begins at byte `at` of the file) outside [first, last]. */
static xet_term trim(const xet_term *t, const xet_xorb *x, uint64_t at, uint64_t first,
                     uint64_t last, uint64_t *dropped)
{
    xet_term cut = *t;
    uint64_t base = raw_start(x, t->start);
    while (at + (x->chunks[cut.start].raw_end - base) <= first) cut.start++;
    while (at + (raw_start(x, cut.end - 1) - base) > last) cut.end--;
    *dropped = raw_start(x, cut.start) - base;
    cut.raw_size = (uint32_t)(x->chunks[cut.end - 1].raw_end - raw_start(x, cut.start));
    return cut;
}

static int span_order(const void *pa, const void *pb)
{
    const xet_span *a = pa, *b = pb;
    int             c = xet_hash_cmp(&a->xorb, &b->xorb);
    if (c != 0) return c;
    return a->start < b->start ? -1 : a->start > b->start;
}

/* Sorts spans by xorb and start, and merges those that touch. */
static size_t merge_spans(xet_span *s, size_t n)
{
    size_t made = 0;
    qsort(s, n, sizeof *s, span_order);
    for (size_t i = 0; i < n; i++) {
        xet_span *last = made > 0 ? &s[made - 1] : NULL;
        if (last == NULL || !xet_hash_eq(&last->xorb, &s[i].xorb) || s[i].start > last->end) {
            s[made++] = s[i];
            continue;
        }
        if (s[i].end > last->end) {
            last->end = s[i].end;
            last->to = s[i].to;
        }
        if (s[i].term_first < last->term_first) last->term_first = s[i].term_first;
    }
    return made;
}

snug_status xet_plan_range(snug_arena *a, const xet_term *terms, size_t n, uint64_t first,
                           uint64_t last, xet_xorb_find *find, void *arg, xet_plan *out,
                           snug_err *err)
{
    snug_status st = SNUG_OK;
    uint64_t    at = 0;
    xet_plan    p = {.term_count = 0};
    p.terms = snug_arena_array_try(a, n, sizeof *p.terms);
    p.spans = snug_arena_array_try(a, n, sizeof *p.spans);
    if (p.terms == NULL || p.spans == NULL)
        return snug_fail(err, SNUG_ENOMEM, "out of memory planning a read");
    for (size_t i = 0; i < n && at <= last; at += terms[i].raw_size, i++) {
        if (at + terms[i].raw_size <= first) continue;
        const xet_xorb *x = find(arg, &terms[i].xorb);
        uint64_t        dropped;
        SNUG_TRY(check_term(&terms[i], x, err));
        xet_term cut = trim(&terms[i], x, at, first, last, &dropped);
        if (p.term_count == 0) p.skip = first - (at + dropped);
        p.spans[p.span_count++] = (xet_span){(uint32_t)p.term_count,
                                             cut.xorb,
                                             cut.start,
                                             cut.end,
                                             stored_start(x, cut.start),
                                             x->chunks[cut.end - 1].stored_end};
        p.terms[p.term_count++] = cut;
        uint64_t end = at + terms[i].raw_size;
        p.length = (end - 1 < last ? end : last + 1) - first;
    }
    if (p.term_count == 0)
        return snug_fail(err, SNUG_ERANGE, "the file has only %llu bytes", (unsigned long long)at);
    p.span_count = merge_spans(p.spans, p.span_count);
    *out = p;
done:
    return st;
}
