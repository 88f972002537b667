/* SPDX-License-Identifier: Apache-2.0 */
/* model/arch/opt.c - OPT: learned positions from 2 on, relu, biases, tied logits.
 *
 * The 350m model norms after the additions and has embeddings narrower than its layers. */
#include "model/decoder_int.h"

enum { FIRST_POSITION = 2 };

static snug_status parse(snug_json config, model_shape *s, snug_err *err)
{
    snug_status st = SNUG_OK;
    bool        affine;
    SNUG_TRY(cfg_size(config, (cfg_range){"vocab_size", NULL, 50272, 1, MODEL_VOCAB_MAX}, &s->vocab,
                      err));
    SNUG_TRY(cfg_size(config, (cfg_range){"hidden_size", NULL, 768, 1, MODEL_HIDDEN_MAX},
                      &s->hidden, err));
    SNUG_TRY(
        cfg_size(config, (cfg_range){"ffn_dim", NULL, 3072, 1, MODEL_INNER_MAX}, &s->inner, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"num_hidden_layers", NULL, 12, 1, MODEL_LAYERS_MAX},
                      &s->layers, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"num_attention_heads", NULL, 12, 1, MODEL_HEADS_MAX},
                      &s->heads, err));
    SNUG_TRY(cfg_size(
        config, (cfg_range){"max_position_embeddings", NULL, 2048, 1, MODEL_POSITIONS_MAX - 2},
        &s->positions_max, err));
    SNUG_TRY(cfg_size(config,
                      (cfg_range){"word_embed_proj_dim", NULL, s->hidden, 1, MODEL_HIDDEN_MAX},
                      &s->embed_width, err));
    SNUG_TRY(cfg_heads(s, err));
    s->eps = 1e-5f;
    SNUG_TRY(cfg_act(config, "activation_function", "relu", &s->act, err));
    SNUG_TRY(cfg_bool(config, "enable_bias", true, &s->mlp_bias, err));
    SNUG_TRY(cfg_bool(config, "do_layer_norm_before", true, &s->norm_before, err));
    SNUG_TRY(cfg_bool(config, "_remove_final_layer_norm", false, &s->no_last_norm, err));
    SNUG_TRY(cfg_bool(config, "tie_word_embeddings", true, &s->tied, err));
    SNUG_TRY(cfg_bool(config, "layer_norm_elementwise_affine", true, &affine, err));
    if (!affine)
        SNUG_FAIL(err, SNUG_EUNSUPPORTED,
                  "config.json: \"layer_norm_elementwise_affine\" false is not supported");
done:
    return st;
}

static snug_status bind_layer(const binder *b, const model_shape *s, size_t i, decoder_layer *l)
{
    snug_status   st = SNUG_OK;
    size_t        e = s->hidden;
    nn_attention *a = &l->attention;
    *a = decoder_attention(s, i);
    l->mlp.act = s->act;
    SNUG_TRY(bind_norm(b, &l->before_attention, NN_LAYER_NORM, e, s->eps, "self_attn_layer_norm"));
    SNUG_TRY(bind_norm(b, &l->before_mlp, NN_LAYER_NORM, e, s->eps, "final_layer_norm"));
    SNUG_TRY(bind_linear(b, &a->q, e, e, s->mlp_bias, "self_attn.q_proj"));
    SNUG_TRY(bind_linear(b, &a->k, e, e, s->mlp_bias, "self_attn.k_proj"));
    SNUG_TRY(bind_linear(b, &a->v, e, e, s->mlp_bias, "self_attn.v_proj"));
    SNUG_TRY(bind_linear(b, &a->o, e, e, s->mlp_bias, "self_attn.out_proj"));
    SNUG_TRY(bind_linear(b, &l->mlp.up, e, s->inner, s->mlp_bias, "fc1"));
    SNUG_TRY(bind_linear(b, &l->mlp.down, s->inner, e, s->mlp_bias, "fc2"));
done:
    return st;
}

static snug_status bind(model *m, const weight_map *w, snug_err *err)
{
    snug_status        st = SNUG_OK;
    const model_shape *s = &m->shape;
    binder             body = {m, w, s->arch->prefix, err, ""}, top = {m, w, "", err, ""};
    decoder           *n;
    size_t             e = s->hidden, width = s->embed_width;
    SNUG_TRY(decoder_new(m, &n, err));
    if (bind_has(&top, "decoder.embed_tokens.weight"))
        body.prefix = "decoder."; /* the bare model */
    SNUG_TRY(bind_tensor(&body, &n->embed, TENSOR_DIMS(s->vocab, width), "embed_tokens.weight"));
    SNUG_TRY(bind_tensor(&body, &n->positions, TENSOR_DIMS(s->positions_max + FIRST_POSITION, e),
                         "embed_positions.weight"));
    n->position_first = FIRST_POSITION;
    n->norm_after = !s->norm_before;
    if (width != e) {
        SNUG_TRY(bind_linear(&body, &n->project_in, width, e, false, "project_in"));
        SNUG_TRY(bind_linear(&body, &n->project_out, e, width, false, "project_out"));
    }
    for (size_t i = 0; i < s->layers; i++) {
        binder layer = bind_scope(&body, "layers", i);
        SNUG_TRY(bind_layer(&layer, s, i, &n->layers[i]));
    }
    if (s->norm_before && !s->no_last_norm)
        SNUG_TRY(bind_norm(&body, &n->norm, NN_LAYER_NORM, e, s->eps, "final_layer_norm"));
    SNUG_TRY(decoder_bind_head(&top, n, "lm_head"));
done:
    return st;
}

const model_arch arch_opt[] = {{.model_type = "opt",
                                .prefix = "model.decoder.",
                                .classes = DECODER_CLASSES(OPT),
                                .parse = parse,
                                .bind = bind,
                                .forward = decoder_forward},
                               {0}};
