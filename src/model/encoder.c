/* SPDX-License-Identifier: Apache-2.0 */
/* model/encoder.c - the parts that the members of the BERT line share: the block with norms after
 * each branch, learned positions, and the heads.
 *
 * For:     arch/bert.c, albert.c, mpnet.c, deberta.c, modernbert.c, nomic_bert.c.
 * Owns:    nothing.
 * Threads: as the model.
 * Truth:   a head a class does not have is refused while binding, by the weight that is missing.
 *
 * B batch, T time, E hidden, V vocabulary. */
#include "model/model_int.h"

#include <stdlib.h>

snug_status encoder_parse(snug_json config, model_shape *s, double eps_dflt, snug_err *err)
{
    static const char *const refused[] = {"is_decoder", "add_cross_attention", NULL};
    snug_status              st = SNUG_OK;
    double                   eps;
    snug_slice               kind;
    SNUG_TRY(cfg_size(config, (cfg_range){"vocab_size", NULL, 30522, 1, MODEL_VOCAB_MAX}, &s->vocab,
                      err));
    SNUG_TRY(cfg_size(config, (cfg_range){"hidden_size", NULL, 768, 1, MODEL_HIDDEN_MAX},
                      &s->hidden, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"intermediate_size", NULL, 3072, 1, MODEL_INNER_MAX},
                      &s->inner, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"num_hidden_layers", NULL, 12, 1, MODEL_LAYERS_MAX},
                      &s->layers, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"num_attention_heads", NULL, 12, 1, MODEL_HEADS_MAX},
                      &s->heads, err));
    SNUG_TRY(cfg_size(config,
                      (cfg_range){"max_position_embeddings", NULL, 512, 1, MODEL_POSITIONS_MAX},
                      &s->positions_max, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"type_vocab_size", NULL, 2, 0, MODEL_LABELS_MAX},
                      &s->types, err));
    SNUG_TRY(
        cfg_size(config, (cfg_range){"pad_token_id", NULL, 0, 0, MODEL_VOCAB_MAX}, &s->pad, err));
    SNUG_TRY(cfg_heads(s, err));
    SNUG_TRY(cfg_real(config, "layer_norm_eps", eps_dflt, 0.0, 1.0, &eps, err));
    s->eps = (float)eps;
    SNUG_TRY(cfg_act(config, "hidden_act", "gelu", &s->act, err));
    SNUG_TRY(cfg_bool(config, "tie_word_embeddings", true, &s->tied, err));
    SNUG_TRY(cfg_text(config, "position_embedding_type", "absolute", &kind, err));
    if (!snug_eq_str(kind, "absolute"))
        SNUG_FAIL(err, SNUG_EUNSUPPORTED,
                  "config.json: \"position_embedding_type\" \"%.*s\" is not supported",
                  SNUG_SLICE(kind));
    SNUG_TRY(cfg_refuse(config, refused, err));
    if (s->head == MODEL_HEAD_CLASSES || s->head == MODEL_HEAD_TOKENS)
        SNUG_TRY(cfg_labels(config, &s->labels, err));
    if (s->head == MODEL_HEAD_SPAN) s->labels = 2;
done:
    return st;
}

/* ---- heads ---- */

static snug_status bind_words(const binder *body, const binder *top, const encoder_names *n,
                              const tensor *words, encoder_head *h)
{
    snug_status        st = SNUG_OK;
    const model_shape *s = &body->m->shape;
    size_t             width = words->shape[1];
    h->dense_act = n->word_act_gelu ? TENSOR_ACT_GELU : s->act;
    SNUG_TRY(bind_linear(top, &h->dense, s->hidden, width, true, n->word_dense));
    SNUG_TRY(bind_norm(top, &h->norm, NN_LAYER_NORM, width, s->eps, n->word_norm));
    if (s->tied)
        h->last.w = *words;
    else
        SNUG_TRY(bind_linear(top, &h->last, width, s->vocab, false, n->word_decoder));
    SNUG_TRY(bind_tensor(top, &h->last.b, TENSOR_DIMS(s->vocab), n->word_bias));
done:
    return st;
}

snug_status encoder_bind_head(const binder *body, const encoder_names *n, const tensor *words,
                              encoder_head *h)
{
    const model_shape *s = &body->m->shape;
    size_t             e = s->hidden;
    binder             top = {body->m, body->w, "", body->err, ""};
    char               name[128];
    *h = (encoder_head){.names = n, .pool_act = TENSOR_ACT_TANH};
    switch (s->head) {
    case MODEL_HEAD_NONE: /* saved with or without a pooler */
        if (n->pooler == NULL) return SNUG_OK;
        (void)snprintf(name, sizeof name, "%s.weight", n->pooler);
        return bind_has(body, name) ? bind_linear(body, &h->pool, e, e, true, n->pooler) : SNUG_OK;
    case MODEL_HEAD_MASKED_LM: return bind_words(body, &top, n, words, h);
    case MODEL_HEAD_CLASSES:
        h->pool_act = n->class_act;
        if (n->class_pool != NULL) {
            snug_status st = bind_linear(n->class_pool_in_body ? body : &top, &h->pool, e, e, true,
                                         n->class_pool);
            if (st != SNUG_OK) return st;
        }
        return bind_linear(&top, &h->last, e, s->labels, true, n->classes);
    case MODEL_HEAD_TOKENS: return bind_linear(&top, &h->last, e, s->labels, true, n->tokens);
    case MODEL_HEAD_SPAN: return bind_linear(&top, &h->last, e, 2, true, n->span);
    default: break;
    }
    return snug_fail(body->err, SNUG_EUNSUPPORTED, "%s is not supported", s->class_name);
}

tensor encoder_first(const tensor *x)
{
    tensor in = tensor_slice(x, 1, 0, 1);
    in.rank = 2;
    in.shape[1] = x->shape[2];
    in.stride[1] = 1;
    return in;
}

snug_status encoder_give(model_out *out, const char *name, tensor value)
{
    SNUG_ASSERT(out->count < MODEL_OUT_MAX);
    out->item[out->count].name = name;
    out->item[out->count++].value = value;
    return SNUG_OK;
}

/* logits [B, T, 2] as start_logits and end_logits [B, T]. */
snug_status encoder_give_span(const nn_ctx *c, const tensor *logits, model_out *out, snug_err *err)
{
    static const char *const names[] = {"start_logits", "end_logits"};
    for (size_t i = 0; i < 2; i++) {
        tensor      part = tensor_slice(logits, 2, i, 1), dense;
        snug_status st = tensor_space_take(c->space, TENSOR_F32, 3, part.shape, &dense, err);
        if (st == SNUG_OK) st = tensor_copy(c->dev, &part, &dense, err);
        if (st != SNUG_OK) return st;
        st = encoder_give(out, names[i],
                          tensor_view(&dense, TENSOR_DIMS(part.shape[0], part.shape[1])));
        if (st != SNUG_OK) return st;
    }
    return SNUG_OK;
}

static snug_status run_pool(const nn_ctx *c, const encoder_head *h, const tensor *x, tensor *out,
                            snug_err *err)
{
    tensor first = encoder_first(x); /* [B, E], rows T * E apart */
    *out = first;
    if (!tensor_present(&h->pool.w)) return SNUG_OK;
    snug_status st = nn_linear_run(c, &h->pool, &first, out, err);
    return st != SNUG_OK ? st : tensor_activate(c->dev, out, h->pool_act, out, err);
}

snug_status encoder_run_head(const nn_ctx *c, const model_shape *s, const encoder_head *h,
                             const tensor *x, model_out *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    tensor      in = *x, y;
    switch (s->head) {
    case MODEL_HEAD_NONE:
        SNUG_TRY(encoder_give(out, "last_hidden_state", *x));
        if (!tensor_present(&h->pool.w)) return SNUG_OK;
        SNUG_TRY(run_pool(c, h, x, &y, err));
        return encoder_give(out, "pooler_output", y);
    case MODEL_HEAD_CLASSES: SNUG_TRY(run_pool(c, h, x, &in, err)); break;
    case MODEL_HEAD_MASKED_LM:
        SNUG_TRY(nn_linear_run(c, &h->dense, x, &in, err));
        SNUG_TRY(tensor_activate(c->dev, &in, h->dense_act, &in, err));
        SNUG_TRY(nn_norm_run(c, &h->norm, &in, &in, err));
        break;
    default: break;
    }
    SNUG_TRY(nn_linear_run(c, &h->last, &in, &y, err)); /* [B, labels], [B, T, labels or V] */
    if (s->head == MODEL_HEAD_SPAN) return encoder_give_span(c, &y, out, err);
    SNUG_TRY(encoder_give(out, "logits", y));
done:
    return st;
}

/* ---- body ---- */

snug_status encoder_run_layer(const nn_ctx *c, const encoder_layer *l, const tensor *x,
                              const nn_step *step, snug_err *err)
{
    snug_status st = SNUG_OK;
    tensor      y;
    tensor_mark mark = tensor_space_mark(c->space);
    nn_step     with = *step;
    with.add = x;
    SNUG_TRY(nn_attention_run(c, &l->attention, x, &with, &y, err)); /* [B, T, E] */
    SNUG_TRY(nn_norm_run(c, &l->after_attention, &y, x, err));
    SNUG_TRY(nn_mlp_run_add(c, &l->mlp, x, x, &y, err)); /* [B, T, E] */
    SNUG_TRY(nn_norm_run(c, &l->after_mlp, &y, x, err));
    tensor_space_release(c->space, mark);
done:
    return st;
}

snug_status encoder_add_rows(const nn_ctx *c, const tensor *table, const int32_t *ids, size_t batch,
                             size_t times, const tensor *x, snug_err *err)
{
    static const int32_t zero = 0;
    snug_status          st = SNUG_OK;
    tensor               index, rows;
    size_t               e = table->shape[1];
    if (ids == NULL) {
        SNUG_TRY(nn_upload(c, &zero, TENSOR_DIMS(1), &index, err));
        SNUG_TRY(tensor_space_take(c->space, TENSOR_F32, TENSOR_DIMS(1, e), &rows, err));
        SNUG_TRY(tensor_embed(c->dev, table, &index, &rows, err));
        rows = tensor_view(&rows, TENSOR_DIMS(e));
    } else {
        SNUG_TRY(nn_upload(c, ids, TENSOR_DIMS(batch, times), &index, err));
        SNUG_TRY(tensor_space_take(c->space, TENSOR_F32, TENSOR_DIMS(batch, times, e), &rows, err));
        SNUG_TRY(tensor_embed(c->dev, table, &index, &rows, err));
    }
    SNUG_TRY(tensor_add(c->dev, x, &rows, x, err));
done:
    return st;
}

int32_t *encoder_positions(const model_shape *s, const model_batch *in)
{
    size_t   n = in->batch * in->times;
    int32_t *out = snug_alloc(n * sizeof *out); /* n <= MODEL_BATCH_TOKENS_MAX */
    for (size_t i = 0, seen = 0; i < n; i++) {
        if (i % in->times == 0) seen = 0;
        if (in->positions != NULL)
            out[i] = in->positions[i];
        else if (s->position_first == 0)
            out[i] = (int32_t)(i % in->times);
        else if ((size_t)in->ids[i] == s->pad)
            out[i] = (int32_t)(s->position_first - 1);
        else
            out[i] = (int32_t)(s->position_first + seen++);
    }
    return out;
}

/* ---- batches without padding ---- */

bool encoder_flatten(const model_batch *in, const int32_t *positions, encoder_flat *out)
{
    size_t B = in->batch, T = in->times, n = B * T;
    *out = (encoder_flat){0};
    if (!in->unpadded || in->mask == NULL) return false;
    for (size_t i = 0; i < n; i++) {
        bool seen = in->mask[i] != 0;
        if (seen && i % T > 0 && in->mask[i - 1] == 0) return false; /* a gap */
        if (!seen && i % T == 0) return false;                       /* a text of nothing */
        out->total += seen;
    }
    if (out->total == n) return false;
    /* n <= MODEL_BATCH_TOKENS_MAX */
    out->ids = snug_alloc(3 * out->total * sizeof *out->ids + B * sizeof *out->lengths + 8);
    out->positions = out->ids + out->total;
    out->types = out->positions + out->total;
    out->lengths = (size_t *)(((uintptr_t)(out->types + out->total) + 7) & ~(uintptr_t)7);
    for (size_t b = 0; b < B; b++) out->lengths[b] = 0;
    for (size_t i = 0, at = 0; i < n; i++) {
        if (in->mask[i] == 0) continue;
        out->ids[at] = in->ids[i];
        out->positions[at] = positions[i];
        out->types[at++] = in->types == NULL ? 0 : in->types[i];
        out->lengths[i / T]++;
    }
    if (in->types == NULL) out->types = NULL;
    return true;
}

snug_status encoder_unflatten(const nn_ctx *c, const encoder_flat *f, size_t batch, size_t times,
                              const tensor *x, tensor *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    size_t      width = tensor_cols(x), shape[3] = {batch, times, width};
    SNUG_TRY(tensor_space_take(c->space, TENSOR_F32, 3, shape, out, err));
    SNUG_TRY(tensor_scale(c->dev, out, 0.0f, 0.0f, out, err));
    for (size_t b = 0, from = 0; b < batch; from += f->lengths[b++]) {
        tensor text = tensor_slice(x, 1, from, f->lengths[b]), row = tensor_slice(out, 0, b, 1);
        row = tensor_slice(&row, 1, 0, f->lengths[b]);
        SNUG_TRY(tensor_copy(c->dev, &text, &row, err));
    }
done:
    return st;
}
