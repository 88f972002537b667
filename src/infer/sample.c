/* SPDX-License-Identifier: Apache-2.0 */
/* infer/sample.c - the rules between logits and the next token.
 *
 * For:     generation; each rule is held against the reference implementation's numbers.
 * Owns:    scratch for one vocabulary.
 * Threads: one sampler per row of a batch.
 * Truth:   the order is: rules.c; then, unless greedy, temperature, top_h, top_n_sigma, top_k,
 *          top_p, min_p, typical_p, epsilon, eta, xtc; renormalisation. At least keep_min tokens
 *          stay. The same seed, prompt and parameters on one build give the same text. */
#include "infer/infer_int.h"

#include <math.h>
#include <stdlib.h>

typedef struct ranked {
    float   key;
    int32_t id;
} ranked;

struct sampler {
    sample_conf conf;
    size_t      vocab;
    uint64_t    random;
    ranked     *order;  /* [vocab] */
    uint32_t   *counts; /* [vocab], zero between calls */
};

sample_conf sample_conf_off(void)
{
    return (sample_conf){.greedy = true,
                         .temperature = 1,
                         .top_p = 1,
                         .typical_p = 1,
                         .repetition_penalty = 1,
                         .encoder_repetition_penalty = 1,
                         .decay = 1,
                         .forced_first = -1};
}

sampler *sampler_new(const sample_conf *conf, size_t vocab)
{
    sampler *s = snug_zalloc(sizeof *s);
    s->conf = *conf;
    s->vocab = vocab;
    s->random = conf->seed;
    s->order = snug_zalloc(vocab * sizeof *s->order); /* vocab <= MODEL_VOCAB_MAX */
    s->counts = snug_zalloc(vocab * sizeof *s->counts);
    return s;
}

void sampler_free(sampler *s)
{
    if (s == NULL) return;
    free(s->order);
    free(s->counts);
    free(s);
}

/* ---- warpers: they look at the shape of the distribution ---- */

static int rising(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

/* Tokens still possible, as (logit, id). */
static size_t living(sampler *s, const float *logits)
{
    size_t n = 0;
    for (size_t i = 0; i < s->vocab; i++)
        if (logits[i] > -INFINITY) s->order[n++] = (ranked){logits[i], (int32_t)i};
    return n;
}

static float largest(const float *p, size_t n)
{
    float best = -INFINITY;
    for (size_t i = 0; i < n; i++) best = fmaxf(best, p[i]);
    return best;
}

static double total(const float *logits, size_t n, float best)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += exp((double)(logits[i] - best));
    return sum;
}

static size_t keep_min(const sampler *s) { return s->conf.keep_min > 1 ? s->conf.keep_min : 1; }

/* The k-th largest: a heap of k whose root is its smallest. */
static float kth_largest(sampler *s, const float *logits, size_t k)
{
    size_t n = 0;
    if (k == 1) return largest(logits, s->vocab);
    if (k > s->vocab) k = s->vocab;
    for (size_t i = 0; i < s->vocab; i++) {
        size_t at;
        if (n < k) {
            for (at = n++; at > 0 && s->order[(at - 1) / 2].key > logits[i]; at = (at - 1) / 2)
                s->order[at] = s->order[(at - 1) / 2];
        } else if (logits[i] > s->order[0].key) {
            for (at = 0;;) {
                size_t child = 2 * at + 1;
                if (child + 1 < n && s->order[child + 1].key < s->order[child].key) child++;
                if (child >= n || s->order[child].key >= logits[i]) break;
                s->order[at] = s->order[child];
                at = child;
            }
        } else {
            continue;
        }
        s->order[at].key = logits[i];
    }
    return s->order[0].key;
}

static void drop_smaller(const sampler *s, float *logits, float least)
{
    for (size_t i = 0; i < s->vocab; i++)
        if (logits[i] < least) logits[i] = -INFINITY;
}

static void keep_top_k(sampler *s, float *logits)
{
    size_t k = s->conf.top_k < s->vocab ? (size_t)s->conf.top_k : s->vocab;
    drop_smaller(s, logits, kth_largest(s, logits, k > keep_min(s) ? k : keep_min(s)));
}

/* Drops the least likely tokens whose mass together is at most 1 - p. */
static void keep_top_p(sampler *s, float *logits)
{
    size_t n = living(s, logits);
    double drop = 1.0 - s->conf.top_p, sum = 0, all;
    qsort(s->order, n, sizeof *s->order, rising);
    if (n == 0) return;
    all = total(logits, s->vocab, s->order[n - 1].key);
    for (size_t i = 0; i + keep_min(s) < n; i++) {
        sum += exp((double)(s->order[i].key - s->order[n - 1].key)) / all;
        if (sum > drop) break;
        logits[s->order[i].id] = -INFINITY;
    }
}

/* Of the hundred likeliest, as one distribution: the first whose parts of its entropy together
 * stay within top_h of it. */
static void keep_top_h(sampler *s, float *logits)
{
    enum { LOOKED_AT = 100 };
    size_t n = living(s, logits), from = n > LOOKED_AT ? n - LOOKED_AT : 0;
    double all = 0, h = 0, sum = 0;
    qsort(s->order, n, sizeof *s->order, rising);
    for (size_t i = 0; i < from; i++) logits[s->order[i].id] = -INFINITY;
    for (size_t i = from; i < n; i++) all += exp((double)(s->order[i].key - s->order[n - 1].key));
    for (size_t pass = 0; pass < 2; pass++) {
        for (size_t i = n; i > from; i--) {
            double log_p = (double)(s->order[i - 1].key - s->order[n - 1].key) - log(all);
            double part = -exp(log_p) * log_p;
            if (pass == 0) h += part;
            if (pass == 0) continue;
            sum += part;
            if (i < n && sum > h * s->conf.top_h) logits[s->order[i - 1].id] = -INFINITY;
        }
    }
}

/* Keeps what is within n standard deviations of the largest. */
static void keep_sigma(const sampler *s, float *logits)
{
    double mean = 0, square = 0, count = 0;
    float  best = largest(logits, s->vocab);
    for (size_t i = 0; i < s->vocab; i++) {
        if (!(logits[i] > -INFINITY)) continue;
        double d = (double)(logits[i] - best);
        mean += d, square += d * d, count++;
    }
    if (count < 1) return;
    mean /= count;
    drop_smaller(s, logits,
                 best - (float)(s->conf.top_n_sigma * sqrt(fmax(square / count - mean * mean, 0))));
}

/* By chance: of the tokens above a threshold only the least likely stays, and all below it. */
static void exclude_top(sampler *s, float *logits)
{
    size_t n, above = 0;
    if (sampler_uniform(s) >= s->conf.xtc_probability) return;
    n = living(s, logits);
    if (n == 0) return;
    qsort(s->order, n, sizeof *s->order, rising);
    double all = total(logits, s->vocab, s->order[n - 1].key);
    while (above < n && exp((double)(s->order[n - 1 - above].key - s->order[n - 1].key)) / all >=
                            s->conf.xtc_threshold)
        above++;
    for (size_t i = 0; i + 1 < above; i++) logits[s->order[n - 1 - i].id] = -INFINITY;
}

/* Drops what is less likely than a limit; the keep_min most likely always stay. */
static void drop_below(sampler *s, float *logits, float best, double all, double limit)
{
    float stays = kth_largest(s, logits, keep_min(s));
    for (size_t i = 0; i < s->vocab; i++)
        if (logits[i] < stays && exp((double)(logits[i] - best)) / all < limit)
            logits[i] = -INFINITY;
}

static double entropy(const sampler *s, const float *logits, float best, double all)
{
    double h = 0;
    for (size_t i = 0; i < s->vocab; i++) {
        if (!(logits[i] > -INFINITY)) continue;
        double log_p = (double)(logits[i] - best) - log(all);
        h -= exp(log_p) * log_p;
    }
    return h;
}

/* Keeps tokens whose surprise is nearest to the expected one, until
 * their mass reaches typical_p. */
static void keep_typical(sampler *s, float *logits)
{
    float  best = largest(logits, s->vocab);
    double all = total(logits, s->vocab, best), h = entropy(s, logits, best, all), mass = 0;
    size_t n = living(s, logits), last = 0;
    if (n == 0) return;
    for (size_t i = 0; i < n; i++)
        s->order[i].key = (float)fabs(log(all) - (double)(s->order[i].key - best) - h);
    qsort(s->order, n, sizeof *s->order, rising);
    for (; last + 1 < n; last++) { /* ties of the last one stay too */
        mass += exp((double)(logits[s->order[last].id] - best)) / all;
        if (mass >= s->conf.typical_p) break;
    }
    if (last + 1 < keep_min(s)) last = keep_min(s) <= n ? keep_min(s) - 1 : n - 1;
    for (size_t i = last + 1; i < n; i++)
        if (s->order[i].key > s->order[last].key) logits[s->order[i].id] = -INFINITY;
}

static void cut_tails(sampler *s, float *logits)
{
    const sample_conf *c = &s->conf;
    float              best = largest(logits, s->vocab);
    if (c->epsilon_cutoff > 0)
        drop_below(s, logits, best, total(logits, s->vocab, best), c->epsilon_cutoff);
    if (c->eta_cutoff > 0) {
        double all = total(logits, s->vocab, best), h = entropy(s, logits, best, all);
        drop_below(s, logits, best, all, fmin(c->eta_cutoff, sqrt(c->eta_cutoff) * exp(-h)));
    }
}

static void warp(sampler *s, float *logits)
{
    const sample_conf *c = &s->conf;
    if (c->temperature != 1.0)
        for (size_t i = 0; i < s->vocab; i++) logits[i] /= (float)c->temperature;
    if (c->top_h > 0) keep_top_h(s, logits);
    if (c->top_n_sigma > 0) keep_sigma(s, logits);
    if (c->top_k > 0) keep_top_k(s, logits);
    if (c->top_p < 1.0) keep_top_p(s, logits);
    if (c->min_p > 0) {
        float best = largest(logits, s->vocab);
        drop_below(s, logits, best, 1.0,
                   c->min_p); /* relative to the most likely, whose share is 1 */
    }
    if (c->typical_p < 1.0) keep_typical(s, logits);
    cut_tails(s, logits);
    if (c->xtc_probability > 0) exclude_top(s, logits);
}

void sampler_warp(sampler *s, const sample_past *past, float *logits)
{
    rules_apply(&s->conf, past, s->counts, s->vocab, logits);
    if (!s->conf.greedy) warp(s, logits);
    if (!s->conf.renormalize) return;
    float  best = largest(logits, s->vocab);
    double all = log(total(logits, s->vocab, best));
    for (size_t i = 0; i < s->vocab; i++) logits[i] = (float)((double)(logits[i] - best) - all);
}

/* A uniform number in [0, 1) from a 64-bit counter mixed by
 * multiplication and shifts (splitmix). */
double sampler_uniform(sampler *s)
{
    uint64_t z = s->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

int32_t sampler_pick(sampler *s, const sample_past *past, float *logits)
{
    sampler_warp(s, past, logits);
    size_t best = 0;
    for (size_t i = 1; i < s->vocab; i++)
        if (logits[i] > logits[best]) best = i;
    if (s->conf.greedy) return (int32_t)best;
    double left = sampler_uniform(s) * total(logits, s->vocab, logits[best]);
    for (size_t i = 0; i < s->vocab; i++) {
        if (!(logits[i] > -INFINITY)) continue;
        left -= exp((double)(logits[i] - logits[best]));
        if (left < 0) return (int32_t)i;
    }
    return (int32_t)best; /* rounding used up the last share */
}
