/* SPDX-License-Identifier: Apache-2.0 */
/* infer/beam.c - beam search: several continuations of each text are kept, the best finished one
 * wins.
 *
 * For:     generation that asks for `num_beams`, with and without an encoder.
 * Owns:    the cache and the rows of one run.
 * Threads: as the model.
 * Truth:   the order of the reference. Per step: log shares, the rules of sample.c, forced ids; the
 * best (1 + ends) * beams continuations, or so many drawn without putting them back; those that end
 * join the finished ones when they are among the first `beams`, divided by length ^ length_penalty;
 * the others run on. Ties go to the lower beam, then the lower id. */
#include "infer/infer_int.h"

#include <math.h>
#include <stdlib.h>

static const float NEVER = -1e9f; /* worse than any sum of log shares, and still a number */

/* One continuation of one text. */
typedef struct branch {
    float   score;
    double  rank; /* what is compared: the score, or by chance */
    size_t  beam; /* that it grows from */
    int32_t id;
    bool    ends;
} branch;

typedef struct search {
    model              *m;
    const gen_conf     *conf;
    const gen_prompt   *in;
    const gen_sink     *sink;
    nn_kv              *kv;
    const model_memory *memory;
    size_t   texts, beams, rows, keep; /* rows: texts * beams; keep: continuations per text */
    size_t   prompt, length, room;
    int32_t *running, *next, *finished, *merged; /* [rows, room] */
    int32_t *mask, *prompt_mask;                 /* [rows, room]; of the prompts: [texts, prompt] */
    float   *score, *finished_score, *logits;    /* [rows], [rows], [rows, vocab] */
    bool    *is_finished, *can_improve;          /* [rows], [texts] */
    branch  *best;                               /* [keep] */
    size_t  *from;                               /* [rows] */
    uint64_t until;                              /* 0: no end */
    int32_t *step_ids, *step_positions;          /* [rows, room] */
    sampler *rules;
} search;

static void search_close(search *s)
{
    void *all[] = {s->running, s->next,           s->finished, s->merged,         s->mask,
                   s->score,   s->finished_score, s->logits,   s->is_finished,    s->can_improve,
                   s->best,    s->from,           s->step_ids, s->step_positions, s->prompt_mask};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) free(all[i]);
    sampler_free(s->rules);
    nn_kv_free(s->kv);
}

/* Behind the end of a row. The reference takes a padding id of 0 for none. */
static int32_t fill_of(const gen_conf *conf)
{
    if (conf->pad > 0) return conf->pad;
    return conf->eos_count > 0 ? conf->eos[0] : 0;
}

static snug_status search_open(search *s, model *m, const gen_conf *conf, const gen_prompt *p,
                               const gen_sink *sink, snug_err *err)
{
    size_t cells, vocab = model_shape_of(m)->vocab, shares, ends = conf->eos_count;
    *s = (search){.m = m,
                  .conf = conf,
                  .in = p,
                  .sink = sink,
                  .memory = p->memory,
                  .texts = p->batch,
                  .beams = (size_t)conf->beams,
                  .prompt = p->times,
                  .length = p->times};
    if (p->batch == 0 || p->times == 0) return snug_fail(err, SNUG_EINVAL, "the prompt is empty");
    if (snug_mul(p->batch, s->beams, &s->rows) ||
        snug_add(p->times, conf->max_new_tokens, &s->room) || snug_mul(s->rows, s->room, &cells) ||
        cells > MODEL_POSITIONS_MAX || snug_mul(s->rows, vocab * sizeof(float), &shares))
        return snug_fail(err, SNUG_ELIMIT, "more than %d tokens to generate and read",
                         MODEL_POSITIONS_MAX);
    s->keep = (1 + ends < 2 ? 2 : 1 + ends) * s->beams;
    if (s->keep > s->beams * conf->vocab) s->keep = s->beams * conf->vocab;
    if (s->keep < s->beams)
        return snug_fail(err, SNUG_EINVAL, "%zu beams over %zu tokens", s->beams, conf->vocab);
    s->running = snug_zalloc(cells * sizeof *s->running); /* cells are within their limit */
    s->next = snug_zalloc(cells * sizeof *s->next);
    s->finished = snug_zalloc(cells * sizeof *s->finished);
    s->merged = snug_zalloc(cells * sizeof *s->merged);
    s->mask = snug_zalloc(cells * sizeof *s->mask);
    s->step_ids = snug_zalloc(cells * sizeof *s->step_ids);
    s->step_positions = snug_zalloc(cells * sizeof *s->step_positions);
    s->prompt_mask = snug_zalloc(p->batch * p->times * sizeof *s->prompt_mask);
    s->score = snug_zalloc(s->rows * sizeof *s->score);
    s->finished_score = snug_zalloc(s->rows * sizeof *s->finished_score);
    s->is_finished = snug_zalloc(s->rows * sizeof *s->is_finished);
    s->can_improve = snug_zalloc(s->texts * sizeof *s->can_improve);
    s->best = snug_zalloc(s->keep * sizeof *s->best);
    s->from = snug_zalloc(s->rows * sizeof *s->from);
    s->logits = snug_alloc_try(shares);
    if (s->logits == NULL) return snug_fail(err, SNUG_ENOMEM, "no memory for %zu bytes", shares);
    sample_conf rules = conf->sample;
    rules.keep_min = ends > 0 ? ends + 1 : 2; /* something besides the ends must be left */
    if (conf->max_time_s > 0) s->until = snug_mono_ns() + (uint64_t)(conf->max_time_s * 1e9);
    s->rules = sampler_new(&rules, conf->vocab);
    int32_t fill = fill_of(conf);
    for (size_t i = 0; i < cells; i++) s->running[i] = s->finished[i] = fill;
    for (size_t i = 0; i < s->rows; i++) {
        memcpy(s->running + i * s->room, p->ids + i / s->beams * p->times,
               p->times * sizeof *p->ids);
        s->score[i] = i % s->beams == 0 ? 0.0f : NEVER; /* all start alike: one counts */
        s->finished_score[i] = NEVER;
    }
    for (size_t i = 0; i < p->batch * p->times; i++)
        s->prompt_mask[i] = p->mask == NULL || p->mask[i] != 0;
    for (size_t i = 0; i < s->texts; i++) s->can_improve[i] = true;
    return model_new_kv(m, s->rows, s->room, &s->kv, err);
}

/* Runs columns [from, length) of the running beams: logits for the next. */
static snug_status step(search *s, size_t from, snug_err *err)
{
    size_t    times, vocab = model_shape_of(s->m)->vocab;
    model_out out;
    if (nn_rope_stale(&model_shape_of(s->m)->rope, from, s->length)) {
        nn_kv_rewind(s->kv, 0);
        from = 0;
    }
    times = s->length - from;
    for (size_t r = 0; r < s->rows; r++) {
        const int32_t *seen = s->prompt_mask + r / s->beams * s->prompt;
        int32_t        at = 0;
        for (size_t i = 0; i < s->length; i++) {
            bool counts = i >= s->prompt || seen[i] != 0;
            s->mask[r * s->length + i] = counts;
            if (i >= from) {
                s->step_ids[r * times + i - from] = s->running[r * s->room + i];
                s->step_positions[r * times + i - from] = counts ? at : 0;
            }
            at += counts;
        }
    }
    model_batch in = {.batch = s->rows,
                      .times = times,
                      .ids = s->step_ids,
                      .memory = s->memory,
                      .kv = s->kv,
                      .last_only = true};
    if (s->memory == NULL) in.positions = s->step_positions, in.mask = s->mask;
    snug_status st = model_forward(s->m, &in, &out, err);
    if (st != SNUG_OK) return st;
    const tensor *logits = model_out_find(&out, "logits");
    SNUG_ASSERT(logits != NULL && tensor_count(logits) == s->rows * vocab);
    return tensor_get(logits, s->logits, s->rows * vocab * sizeof *s->logits, err);
}

/* Logits of a row become log shares, with the rules applied. */
static snug_status shares_of(search *s, size_t row, snug_err *err)
{
    size_t      vocab = model_shape_of(s->m)->vocab, text = row / s->beams;
    float      *p = s->logits + row * vocab, best = -INFINITY;
    double      sum = 0;
    sample_past past = {s->running + row * s->room,
                        s->length,
                        s->length - s->prompt,
                        s->conf->eos,
                        s->conf->eos_count,
                        s->room,
                        {NULL, 0}};
    if (s->in->source != NULL)
        past.source = (id_list){s->in->source + text * s->in->source_times, s->in->source_times};
    for (size_t i = 0; i < vocab; i++) {
        if (isnan(p[i]) && !s->conf->sample.remove_invalid)
            return snug_fail(err, SNUG_ECORRUPT, "the model computed a value that is not a number");
        best = fmaxf(best, p[i]);
    }
    for (size_t i = 0; i < vocab; i++) sum += exp((double)(p[i] - best));
    float all = (float)log(sum);
    for (size_t i = 0; i < vocab; i++) p[i] = p[i] - best - all;
    sampler_warp(s->rules, &past, p);
    return SNUG_OK;
}

/* Puts a continuation among the best, which are sorted; later ones lose ties. */
static void offer(branch *best, size_t *count, size_t keep, branch b)
{
    size_t at = *count;
    if (at == keep) {
        if (!(b.rank > best[at - 1].rank)) return;
        at--;
    } else {
        (*count)++;
    }
    for (; at > 0 && b.rank > best[at - 1].rank; at--) best[at] = best[at - 1];
    best[at] = b;
}

/* Adding noise of Gumbel's distribution to log shares makes "the best n" a draw of n without
 * putting back (Kool, van Hoof, Welling 2019). */
static double noise(search *s) { return -log(-log(sampler_uniform(s->rules) + 0x1p-60)); }

/* What the text of a candidate says, for those whose id does not say it. */
static void ask_ends(search *s, size_t text)
{
    if (s->sink == NULL || s->sink->ends == NULL) return;
    size_t   n = s->length - s->prompt;
    int32_t *ids = snug_alloc((n + 1) * sizeof *ids);
    for (size_t i = 0; i < s->keep; i++) {
        branch *b = &s->best[i];
        if (b->ends) continue;
        memcpy(ids, s->running + (text * s->beams + b->beam) * s->room + s->prompt,
               n * sizeof *ids);
        ids[n] = b->id;
        b->ends = s->sink->ends(s->sink->arg, ids, n + 1);
    }
    free(ids);
}

/* The best continuations of one text, into s->best. */
static void gather(search *s, size_t text)
{
    size_t count = 0, vocab = model_shape_of(s->m)->vocab;
    bool   last = s->length + 1 >= s->room || (s->until != 0 && snug_mono_ns() >= s->until);
    for (size_t k = 0; k < s->beams; k++) {
        size_t       row = text * s->beams + k;
        const float *p = s->logits + row * vocab;
        for (size_t i = 0; i < s->conf->vocab; i++) {
            float  score = p[i] + s->score[row];
            double rank = (double)score;
            if (!s->conf->sample.greedy && score > -INFINITY) rank += noise(s);
            offer(s->best, &count, s->keep,
                  (branch){score, rank, k, (int32_t)i, last || gen_is_eos(s->conf, (int32_t)i)});
        }
    }
    ask_ends(s, text);
}

/* Drawn candidates stand in the order they were drawn; those that run on do so by score. */
static void sort_by_score(search *s)
{
    for (size_t i = 1; i < s->keep; i++) {
        branch b = s->best[i];
        size_t at = i;
        for (; at > 0 && b.score > s->best[at - 1].score; at--) s->best[at] = s->best[at - 1];
        s->best[at] = b;
    }
}

/* Those that do not end run on: rows of `next`, their scores, the cache rows they grow from. */
static void run_on(search *s, size_t text, float *score)
{
    size_t taken = 0, base = text * s->beams;
    for (int round = 0; round < 2; round++) { /* ended ones only fill up */
        for (size_t i = 0; i < s->keep && taken < s->beams; i++) {
            const branch *b = &s->best[i];
            if (b->ends != (round == 1)) continue;
            size_t row = base + taken++;
            memcpy(s->next + row * s->room, s->running + (base + b->beam) * s->room,
                   s->length * sizeof *s->next);
            s->next[row * s->room + s->length] = b->id;
            score[row] = b->ends ? b->score + NEVER : b->score;
            s->from[row] = base + b->beam;
        }
    }
}

/* One finished row, old (of `finished`) or new (best[i]). */
typedef struct ended {
    float  score;
    size_t index;
    bool   is_new, counts;
} ended;

static void merge_finished(search *s, size_t text)
{
    size_t base = text * s->beams, n = 0;
    float  length = powf((float)(s->length + 1 - s->prompt), (float)s->conf->length_penalty);
    bool   full = s->conf->early_stopping == GEN_STOP_EARLY;
    ended  list[2 * GEN_BEAMS_MAX], swap;
    for (size_t k = 0; k < s->beams; k++) full &= s->is_finished[base + k];
    for (size_t k = 0; k < s->beams; k++)
        list[n++] = (ended){s->finished_score[base + k], base + k, false, s->is_finished[base + k]};
    for (size_t i = 0; i < s->beams; i++) { /* only the first may end for good */
        bool  ends = s->best[i].ends;
        float score = s->best[i].score / length;
        score += full ? NEVER : 0.0f;
        score += s->can_improve[text] ? 0.0f : NEVER;
        score += ends ? 0.0f : NEVER;
        list[n++] = (ended){score, i, true, ends};
    }
    for (size_t i = 1; i < n; i++) /* few, and the order of equals stays */
        for (size_t k = i; k > 0 && list[k].score > list[k - 1].score; k--)
            swap = list[k], list[k] = list[k - 1], list[k - 1] = swap;
    for (size_t k = 0; k < s->beams; k++) {
        int32_t *to = s->merged + (base + k) * s->room;
        memcpy(to, s->finished + (list[k].is_new ? base : list[k].index) * s->room,
               s->room * sizeof *to);
        if (list[k].is_new) {
            const branch *b = &s->best[list[k].index];
            for (size_t i = s->length + 1; i < s->room; i++) to[i] = fill_of(s->conf);
            memcpy(to, s->running + (base + b->beam) * s->room, s->length * sizeof *to);
            to[s->length] = b->id;
        }
    }
    for (size_t k = 0; k < s->beams; k++) {
        s->finished_score[base + k] = list[k].score;
        s->is_finished[base + k] = list[k].counts;
    }
    memcpy(s->finished + base * s->room, s->merged + base * s->room,
           s->beams * s->room * sizeof *s->finished);
}

/* Whether a running beam of a text could still beat a finished one; `length` counts the step just
 * made. */
static bool may_improve(const search *s, size_t text)
{
    size_t base = text * s->beams;
    bool   never = s->conf->early_stopping == GEN_STOP_NEVER && s->conf->length_penalty > 0;
    size_t length = (never ? s->room : s->length) - s->prompt;
    float  best = s->score[base] / powf((float)length, (float)s->conf->length_penalty);
    float  least = INFINITY;
    for (size_t k = 0; k < s->beams; k++) least = fminf(least, s->finished_score[base + k]);
    for (size_t k = 0; k < s->beams; k++)
        if (best > (s->is_finished[base + k] ? least : NEVER)) return true;
    return false;
}

/* One step over all texts; *more: whether another is worth it. */
static snug_status advance(search *s, size_t from, bool *more, snug_err *err)
{
    snug_status st = SNUG_OK;
    bool        open = false, improves = false, all_done = true;
    SNUG_TRY(step(s, from, err));
    for (size_t r = 0; r < s->rows; r++) SNUG_TRY(shares_of(s, r, err));
    for (size_t t = 0; t < s->texts; t++) {
        gather(s, t);
        for (size_t i = 0; i < s->keep; i++) open |= !s->best[i].ends;
        merge_finished(s, t);
        if (!s->conf->sample.greedy) sort_by_score(s);
        run_on(s, t, s->score);
    }
    s->length++;
    int32_t *swap = s->running;
    s->running = s->next;
    s->next = swap;
    SNUG_TRY(nn_kv_reorder(s->kv, s->from, err));
    for (size_t t = 0; t < s->texts; t++) {
        s->can_improve[t] = s->can_improve[t] && may_improve(s, t);
        improves |= s->can_improve[t];
    }
    for (size_t r = 0; r < s->rows; r++) all_done &= s->is_finished[r];
    *more = improves && open && !(all_done && s->conf->early_stopping == GEN_STOP_EARLY);
done:
    return st;
}

/* The width of what is answered: the longest of the rows that go out. */
static size_t widest(const search *s)
{
    size_t longest = s->prompt, returns = (size_t)s->conf->returns;
    for (size_t r = 0; r < s->texts * returns; r++) {
        const int32_t *row = s->finished + (r / returns * s->beams + r % returns) * s->room;
        size_t         n = s->prompt;
        while (n < s->length && !gen_is_eos(s->conf, row[n])) n++;
        n += n < s->length;
        longest = n > longest ? n : longest;
    }
    return longest;
}

snug_status gen_beam(model *m, const gen_conf *conf, const gen_prompt *prompt, const gen_sink *sink,
                     gen_result *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    search      s;
    size_t      returns = (size_t)conf->returns;
    *out = (gen_result){0};
    SNUG_ASSERT(conf->beams >= 1 && conf->beams <= GEN_BEAMS_MAX && returns >= 1 &&
                returns <= conf->beams && conf->max_new_tokens != SIZE_MAX);
    SNUG_TRY(search_open(&s, m, conf, prompt, sink, err));
    bool more = s.length < s.room;
    for (size_t from = 0; more;) {
        size_t before = s.length;
        SNUG_TRY(advance(&s, from, &more, err));
        from = before;
        more = more && s.length < s.room;
    }
    size_t   wide = widest(&s);
    int32_t *ids = snug_alloc(s.texts * returns * wide * sizeof *ids);
    for (size_t r = 0; r < s.texts * returns; r++)
        memcpy(ids + r * wide, s.finished + (r / returns * s.beams + r % returns) * s.room,
               wide * sizeof *ids);
    *out = (gen_result){ids, s.texts * returns, wide};
done:
    search_close(&s);
    return st;
}
