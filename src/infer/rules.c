/* SPDX-License-Identifier: Apache-2.0 */
/* infer/rules.c - the rules that look at what was said: biases, penalties, bans, lengths, forced
 * ids.
 *
 * For:     sample.c, before anything looks at the shape of the distribution.
 * Owns:    nothing.
 * Threads: pure functions.
 * Truth:   the order of the reference: biases, what the source said, repetition (then presence and
 *          frequency), n-grams, those of the source, bad words, least lengths, forced ends,
 *          invalid values, decay, suppressed ids, forced places. */
#include "infer/infer_int.h"

#include <float.h>
#include <math.h>

static bool inside(int32_t id, size_t vocab) { return id >= 0 && (size_t)id < vocab; }

static void only(float *logits, size_t vocab, const int32_t *ids, size_t count)
{
    for (size_t i = 0; i < vocab; i++) logits[i] = -INFINITY;
    for (size_t i = 0; i < count; i++)
        if (inside(ids[i], vocab)) logits[ids[i]] = 0.0f;
}

static void ban(id_list list, size_t vocab, float *logits)
{
    for (size_t i = 0; i < list.count; i++)
        if (inside(list.ids[i], vocab)) logits[list.ids[i]] = -INFINITY;
}

static void add_biases(const id_bias *list, size_t n, const sample_past *p, size_t vocab,
                       float *logits)
{
    for (size_t i = 0; i < n; i++) {
        const id_bias *b = &list[i];
        size_t         before = b->count - 1;
        /* The reference also wants room for the last id itself in what was said. */
        if (before > 0 && (b->count > p->count || memcmp(p->ids + p->count - before, b->ids,
                                                         before * sizeof *b->ids) != 0))
            continue;
        if (inside(b->ids[before], vocab)) logits[b->ids[before]] += b->bias;
    }
}

/* Once per id: away from being said, or towards it when the penalty is below 1. */
static void push(float *logit, float penalty)
{
    *logit = *logit > 0 ? *logit / penalty : *logit * penalty;
}

static void prefer_source(id_list source, double penalty, uint32_t *seen, size_t vocab,
                          float *logits)
{
    for (size_t i = 0; i < source.count; i++) {
        if (!inside(source.ids[i], vocab) || seen[source.ids[i]]++ > 0) continue;
        push(&logits[source.ids[i]], (float)(1 / penalty));
    }
    for (size_t i = 0; i < source.count; i++)
        if (inside(source.ids[i], vocab)) seen[source.ids[i]] = 0;
}

static void penalise(const sample_conf *c, const sample_past *p, uint32_t *seen, size_t vocab,
                     float *logits)
{
    size_t prompt = p->count - p->generated;
    for (size_t i = 0; i < p->count; i++) {
        int32_t id = p->ids[i];
        if (!inside(id, vocab)) continue;
        if (i >= prompt) seen[id] += 2; /* bit 0: seen at all; above: times generated */
        if (seen[id] & 1u) continue;
        seen[id] |= 1u;
        if (c->repetition_penalty != 1.0) push(&logits[id], (float)c->repetition_penalty);
    }
    for (size_t i = 0; i < p->count; i++) {
        int32_t id = p->ids[i];
        if (!inside(id, vocab) || seen[id] == 0) continue;
        uint32_t times = seen[id] >> 1;
        if (times > 0) logits[id] -= (float)(c->presence_penalty + c->frequency_penalty * times);
        seen[id] = 0;
    }
}

/* Bans what would complete an n-gram that `text` has. */
static void ban_ngrams(id_list text, size_t n, const sample_past *p, size_t vocab, float *logits)
{
    if (n == 0 || p->count + 1 < n) return;
    const int32_t *tail = p->ids + p->count - (n - 1);
    for (size_t i = 0; i + n <= text.count; i++) {
        int32_t next = text.ids[i + n - 1];
        if (inside(next, vocab) && memcmp(text.ids + i, tail, (n - 1) * sizeof *tail) == 0)
            logits[next] = -INFINITY;
    }
}

/* -infinity and its opposite become the ends of what a float can say. */
static void make_finite(size_t vocab, float *logits)
{
    for (size_t i = 0; i < vocab; i++) {
        if (isnan(logits[i])) logits[i] = 0;
        if (isinf(logits[i])) logits[i] = logits[i] > 0 ? FLT_MAX : -FLT_MAX;
    }
}

static void pull_ends(const sample_conf *c, const sample_past *p, size_t vocab, float *logits)
{
    if (p->generated <= c->decay_start) return;
    double more = pow(c->decay, (double)(p->generated - c->decay_start)) - 1;
    for (size_t i = 0; i < p->eos_count; i++)
        if (inside(p->eos[i], vocab) && isfinite(logits[p->eos[i]]))
            logits[p->eos[i]] += fabsf(logits[p->eos[i]]) * (float)more;
}

static void force(const sample_conf *c, const sample_past *p, size_t vocab, float *logits)
{
    if (c->forced_first >= 0 && p->count == 1) only(logits, vocab, &c->forced_first, 1);
    if (c->forced_last.count > 0 && p->count + 1 == p->limit)
        only(logits, vocab, c->forced_last.ids, c->forced_last.count);
}

void rules_apply(const sample_conf *c, const sample_past *p, uint32_t *seen, size_t vocab,
                 float *logits)
{
    size_t  prompt = p->count - p->generated;
    id_list said = {p->ids, p->count}, ends = {p->eos, p->eos_count};
    id_list source = p->source.ids != NULL ? p->source : (id_list){p->ids, prompt};
    add_biases(c->biases, c->bias_count, p, vocab, logits);
    if (c->encoder_repetition_penalty != 1.0)
        prefer_source(source, c->encoder_repetition_penalty, seen, vocab, logits);
    if (c->repetition_penalty != 1.0 || c->presence_penalty != 0 || c->frequency_penalty != 0)
        penalise(c, p, seen, vocab, logits);
    ban_ngrams(said, (size_t)c->no_repeat_ngram_size, p, vocab, logits);
    ban_ngrams(source, (size_t)c->encoder_no_repeat_ngram_size, p, vocab, logits);
    add_biases(c->bad, c->bad_count, p, vocab, logits);
    if (p->generated < c->min_new_tokens || p->count < c->min_length) ban(ends, vocab, logits);
    force(c, p, vocab, logits);
    if (c->remove_invalid) make_finite(vocab, logits);
    if (c->decay != 1.0) pull_ends(c, p, vocab, logits);
    ban(c->suppress, vocab, logits);
    if (p->generated == (prompt == 1 && c->forced_first >= 0)) /* behind a forced first id */
        ban(c->begin_suppress, vocab, logits);
    for (size_t i = 0; i < c->forced_count; i++)
        if (c->forced[i].at == p->count) only(logits, vocab, &c->forced[i].id, 1);
}
