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
    model              *m;
    const gen_conf     *conf;
    nn_kv              *kv;
    size_t              batch, length, room; /* columns filled, columns there is room for */
    int32_t            *ids, *mask;          /* [batch, room] */
    int32_t            *visible;             /* [batch]: tokens that count so far */
    bool               *done, masked;
    sampler           **samplers;
    int32_t            *step_ids, *step_positions, *step_mask;
    float              *logits; /* [batch, vocab] */
    size_t              prompt;
    const gen_prompt   *in;
    const model_memory *memory;
    gen_share          *top;   /* [conf->top_n] */
    float              *plain; /* [vocab]: what the rules have not touched */
    uint64_t            until; /* 0: no end */
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
    free(r->top);
    free(r->plain);
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
    *r = (gen_rows){
        .m = m,
        .conf = conf,
        .batch = p->batch,
        .length = p->times,
        .prompt = p->times,
        .in = p,
        .until = conf->max_time_s > 0 ? snug_mono_ns() + (uint64_t)(conf->max_time_s * 1e9) : 0,
        .memory = p->memory};
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
    r->plain = array(vocab, sizeof *r->plain);
    r->top = snug_zalloc((size_t)(conf->top_n + 1) * sizeof *r->top);
    r->visible = snug_zalloc(p->batch * sizeof *r->visible);
    r->done = snug_zalloc(p->batch * sizeof *r->done);
    r->samplers = snug_zalloc(p->batch * sizeof *r->samplers);
    if (r->ids == NULL || r->mask == NULL || r->step_ids == NULL || r->step_positions == NULL ||
        r->step_mask == NULL || r->logits == NULL || r->plain == NULL)
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
    model_batch in = {.batch = r->batch,
                      .times = times,
                      .ids = r->step_ids,
                      .memory = r->memory,
                      .kv = r->kv,
                      .last_only = true};
    model_out   out;
    for (size_t b = 0; b < r->batch; b++) {
        for (size_t i = from; i < r->length; i++) {
            bool counts = r->mask[b * r->room + i] != 0;
            r->step_ids[b * times + i - from] = r->ids[b * r->room + i];
            r->step_positions[b * times + i - from] = counts ? r->visible[b]++ : 0;
        }
        memcpy(r->step_mask + b * r->length, r->mask + b * r->room, r->length * sizeof *r->mask);
    }
    if (r->masked && r->memory == NULL) {
        in.positions = r->step_positions;
        in.mask = r->step_mask;
    }
    snug_status st = model_forward(r->m, &in, &out, err);
    if (st != SNUG_OK) return st;
    const tensor *logits = model_out_find(&out, "logits");
    SNUG_ASSERT(logits != NULL && tensor_count(logits) == r->batch * vocab);
    return tensor_get(logits, r->logits, r->batch * vocab * sizeof *r->logits, err);
}

/* ---- shares ---- */

double gen_log_total(const float *logits, size_t n)
{
    float  best = -INFINITY;
    double sum = 0;
    for (size_t i = 0; i < n; i++) best = fmaxf(best, logits[i]);
    for (size_t i = 0; i < n; i++) sum += exp((double)(logits[i] - best));
    return (double)best + log(sum);
}

void gen_likeliest(const float *logits, size_t n, double log_total, gen_share *top, size_t count)
{
    size_t have = 0;
    for (size_t i = 0; i < n && count > 0; i++) {
        float log_p = (float)((double)logits[i] - log_total);
        if (have == count && !(log_p > top[have - 1].log)) continue;
        size_t at = have < count ? have++ : have - 1;
        for (; at > 0 && log_p > top[at - 1].log; at--) top[at] = top[at - 1];
        top[at] = (gen_share){(int32_t)i, log_p};
    }
}

snug_status gen_read_shares(model *m, size_t top_n, const int32_t *ids, size_t count, size_t from,
                            const gen_sink *sink, snug_err *err)
{
    enum { STEP = 64 }; /* positions whose logits are held at once */
    size_t      vocab = model_shape_of(m)->vocab, bytes;
    snug_status st = SNUG_OK;
    nn_kv      *kv = NULL;
    model_out   out;
    bool        more = true;
    gen_share  *top = snug_zalloc((top_n + 1) * sizeof *top);
    float *logits = snug_mul(vocab, STEP * sizeof *logits, &bytes) ? NULL : snug_alloc_try(bytes);
    if (logits == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "no memory for %d rows of shares", STEP);
    SNUG_TRY(model_new_kv(m, 1, count, &kv, err));
    for (size_t at = 0; at + 1 < count && more; at += STEP) {
        size_t      n = count - 1 - at < STEP ? count - 1 - at : STEP;
        model_batch in = {.batch = 1, .times = n, .ids = ids + at, .kv = kv};
        SNUG_TRY(model_forward(m, &in, &out, err));
        const tensor *t = model_out_find(&out, "logits");
        SNUG_ASSERT(t != NULL && tensor_count(t) == n * vocab);
        SNUG_TRY(tensor_get(t, logits, n * vocab * sizeof *logits, err));
        for (size_t i = 0; i < n && more; i++) {
            if (at + i + 1 < from) continue;
            const float *row = logits + i * vocab;
            int32_t      id = ids[at + i + 1];
            double       all = gen_log_total(row, vocab);
            gen_likeliest(row, vocab, all, top, top_n);
            SNUG_TRY(sink->on_token(
                sink->arg, &(gen_token){0, id, (float)((double)row[id] - all), top}, &more, err));
        }
    }
done:
    nn_kv_free(kv);
    free(logits);
    free(top);
    return st;
}

/* ---- a step ---- */

static void put_padding(gen_rows *r, size_t b)
{
    r->ids[b * r->room + r->length] = r->conf->pad >= 0        ? r->conf->pad
                                      : r->conf->eos_count > 0 ? r->conf->eos[0]
                                                               : 0;
    r->mask[b * r->room + r->length] = 0;
    r->masked = true;
}

/* Chooses a row's next id and tells the sink. */
static snug_status row_choose(gen_rows *r, size_t b, const gen_sink *sink, snug_err *err)
{
    const gen_conf *conf = r->conf;
    size_t          vocab = model_shape_of(r->m)->vocab;
    int32_t        *ids = r->ids + b * r->room;
    float          *logits = r->logits + b * vocab;
    sample_past     past = {ids,     r->length, r->length - r->prompt, conf->eos, conf->eos_count,
                            r->room, {NULL, 0}};
    gen_token       told = {.row = b, .top = r->top};
    bool            more = true;
    if (r->in->source != NULL)
        past.source = (id_list){r->in->source + b * r->in->source_times, r->in->source_times};
    for (size_t i = 0; i < conf->vocab && !conf->sample.remove_invalid; i++)
        if (isnan(logits[i]))
            return snug_fail(err, SNUG_ECORRUPT, "the model computed a value that is not a number");
    if (conf->shares) memcpy(r->plain, logits, vocab * sizeof *logits);
    told.id = sampler_pick(r->samplers[b], &past, logits);
    if (conf->shares) {
        double all = gen_log_total(r->plain, vocab);
        told.log = (float)((double)r->plain[told.id] - all);
        gen_likeliest(r->plain, vocab, all, r->top, (size_t)conf->top_n);
    }
    ids[r->length] = told.id;
    r->mask[b * r->room + r->length] = 1;
    if (sink != NULL && sink->on_token != NULL) {
        snug_status st = sink->on_token(sink->arg, &told, &more, err);
        if (st != SNUG_OK) return st;
    }
    r->done[b] = !more || gen_is_eos(conf, told.id);
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
        for (size_t b = 0; b < r.batch; b++) {
            if (r.done[b])
                put_padding(&r, b);
            else
                SNUG_TRY(row_choose(&r, b, sink, err));
        }
        from = r.length++;
        left = 0;
        for (size_t b = 0; b < r.batch; b++) left += !r.done[b];
        if (r.until != 0 && snug_mono_ns() >= r.until) break;
    }
    for (size_t b = 1; b < r.batch && r.length < r.room; b++)
        memmove(r.ids + b * r.length, r.ids + b * r.room, r.length * sizeof *r.ids);
    *out = (gen_result){r.ids, r.batch, r.length};
    r.ids = NULL; /* moved to the caller */
done:
    rows_close(&r);
    return st;
}
