/* SPDX-License-Identifier: Apache-2.0 */
/* infer/generate.c - from prompts to new ids: one step for the prompt, then one per token, for a
 * batch of rows whose padding a mask hides.
 *
 * For:     text.c and forward.c.
 * Owns:    the cache and the rows of one run.
 * Threads: as the model.
 * Truth:   a row's positions count its visible tokens, so padding on the left changes nothing. */
#include "infer/infer_int.h"

#include <math.h>
#include <stdlib.h>

typedef struct gen_rows {
    model          *m;
    const gen_conf *conf;
    nn_kv          *kv;
    size_t          batch, length, room; /* columns filled, columns there is room for */
    int32_t        *ids, *mask;          /* [batch, room] */
    int32_t        *visible;             /* [batch]: tokens that count so far */
    bool           *done, masked;
    sampler       **samplers;
    int32_t        *step_ids, *step_positions, *step_mask;
    float          *logits; /* [batch, vocab] */
    size_t          prompt;
} gen_rows;

static void rows_close(gen_rows *r)
{
    for (size_t b = 0; r->samplers != NULL && b < r->batch; b++) sampler_free(r->samplers[b]);
    free(r->samplers);
    nn_kv_free(r->kv);
    free(r->mask);
    free(r->visible);
    free(r->done);
    free(r->step_ids);
    free(r->step_positions);
    free(r->step_mask);
    free(r->logits);
    free(r->ids);
}

static void *array(size_t n, size_t size)
{
    size_t bytes;
    return snug_mul(n, size, &bytes) ? NULL : snug_alloc_try(bytes);
}

static snug_status rows_open(gen_rows *r, model *m, const gen_conf *conf, const gen_prompt *p,
                             snug_err *err)
{
    size_t vocab = model_shape_of(m)->vocab, cells;
    *r =
        (gen_rows){.m = m, .conf = conf, .batch = p->batch, .length = p->times, .prompt = p->times};
    if (p->batch == 0 || p->times == 0) return snug_fail(err, SNUG_EINVAL, "the prompt is empty");
    if (snug_add(p->times, conf->max_new_tokens, &r->room) || snug_mul(p->batch, r->room, &cells) ||
        cells > MODEL_POSITIONS_MAX)
        return snug_fail(err, SNUG_ELIMIT, "more than %d tokens to generate and read",
                         MODEL_POSITIONS_MAX);
    r->ids = array(cells, sizeof *r->ids);
    r->mask = array(cells, sizeof *r->mask);
    r->step_ids = array(cells, sizeof *r->step_ids);
    r->step_positions = array(cells, sizeof *r->step_positions);
    r->step_mask = array(cells, sizeof *r->step_mask);
    r->logits = array(p->batch, vocab * sizeof *r->logits);
    r->visible = snug_zalloc(p->batch * sizeof *r->visible);
    r->done = snug_zalloc(p->batch * sizeof *r->done);
    r->samplers = snug_zalloc(p->batch * sizeof *r->samplers);
    if (r->ids == NULL || r->mask == NULL || r->step_ids == NULL || r->step_positions == NULL ||
        r->step_mask == NULL || r->logits == NULL)
        return snug_fail(err, SNUG_ENOMEM, "no memory for %zu tokens", cells);
    for (size_t b = 0; b < p->batch; b++) {
        sample_conf own = conf->sample;
        own.seed += b;
        r->samplers[b] = sampler_new(&own, conf->vocab);
        for (size_t i = 0; i < p->times; i++) {
            r->ids[b * r->room + i] = p->ids[b * p->times + i];
            r->mask[b * r->room + i] = p->mask == NULL || p->mask[b * p->times + i] != 0;
            r->masked |= r->mask[b * r->room + i] == 0;
        }
    }
    return model_new_kv(m, p->batch, r->room, &r->kv, err);
}

/* Runs columns [from, length) and leaves each row's logits for the next token. */
static snug_status rows_step(gen_rows *r, size_t from, snug_err *err)
{
    if (nn_rope_stale(&model_shape_of(r->m)->rope, from, r->length)) { /* from the start again */
        nn_kv_rewind(r->kv, 0);
        memset(r->visible, 0, r->batch * sizeof *r->visible);
        from = 0;
    }
    size_t      times = r->length - from, vocab = model_shape_of(r->m)->vocab;
    model_batch in = {
        .batch = r->batch, .times = times, .ids = r->step_ids, .kv = r->kv, .last_only = true};
    model_out out;
    for (size_t b = 0; b < r->batch; b++) {
        for (size_t i = from; i < r->length; i++) {
            bool counts = r->mask[b * r->room + i] != 0;
            r->step_ids[b * times + i - from] = r->ids[b * r->room + i];
            r->step_positions[b * times + i - from] = counts ? r->visible[b]++ : 0;
        }
        memcpy(r->step_mask + b * r->length, r->mask + b * r->room, r->length * sizeof *r->mask);
    }
    if (r->masked) {
        in.positions = r->step_positions;
        in.mask = r->step_mask;
    }
    snug_status st = model_forward(r->m, &in, &out, err);
    if (st != SNUG_OK) return st;
    const tensor *logits = model_out_find(&out, "logits");
    SNUG_ASSERT(logits != NULL && tensor_count(logits) == r->batch * vocab);
    return tensor_get(logits, r->logits, r->batch * vocab * sizeof *r->logits, err);
}

/* Chooses a row's next id and tells the sink. */
static snug_status row_choose(gen_rows *r, size_t b, const gen_sink *sink, snug_err *err)
{
    int32_t *ids = r->ids + b * r->room;
    if (r->done[b]) {
        ids[r->length] = r->conf->pad >= 0        ? r->conf->pad
                         : r->conf->eos_count > 0 ? r->conf->eos[0]
                                                  : 0;
        r->mask[b * r->room + r->length] = 0;
        r->masked = true;
        return SNUG_OK;
    }
    float      *logits = r->logits + b * model_shape_of(r->m)->vocab;
    sample_past past = {ids, r->length, r->length - r->prompt, r->conf->eos, r->conf->eos_count};
    for (size_t i = 0; i < r->conf->vocab; i++)
        if (isnan(logits[i]))
            return snug_fail(err, SNUG_ECORRUPT, "the model computed a value that is not a number");
    int32_t id = sampler_pick(r->samplers[b], &past, logits);
    bool    more = true;
    ids[r->length] = id;
    r->mask[b * r->room + r->length] = 1;
    if (sink != NULL && sink->on_token != NULL) {
        snug_status st = sink->on_token(sink->arg, b, id, &more, err);
        if (st != SNUG_OK) return st;
    }
    r->done[b] = !more || gen_is_eos(r->conf, id);
    return SNUG_OK;
}

snug_status gen_run(model *m, const gen_conf *conf, const gen_prompt *prompt, const gen_sink *sink,
                    gen_result *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    gen_rows    r;
    *out = (gen_result){0};
    SNUG_ASSERT(conf->vocab > 0 && conf->vocab <= model_shape_of(m)->vocab &&
                conf->max_new_tokens != SIZE_MAX);
    SNUG_TRY(rows_open(&r, m, conf, prompt, err));
    for (size_t from = 0, left = prompt->batch; r.length < r.room && left > 0;) {
        SNUG_TRY(rows_step(&r, from, err));
        for (size_t b = 0; b < r.batch; b++) SNUG_TRY(row_choose(&r, b, sink, err));
        from = r.length++;
        left = 0;
        for (size_t b = 0; b < r.batch; b++) left += !r.done[b];
    }
    for (size_t b = 1; b < r.batch && r.length < r.room; b++)
        memmove(r.ids + b * r.length, r.ids + b * r.room, r.length * sizeof *r.ids);
    *out = (gen_result){r.ids, r.batch, r.length};
    r.ids = NULL; /* moved to the caller */
done:
    rows_close(&r);
    return st;
}
