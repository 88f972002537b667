/* SPDX-License-Identifier: Apache-2.0 */
/* model/gguf_names.c - which architectures GGUF files hold, and what their weights are called
 * there.
 *
 * For:     loading GGUF (gguf_read.c) and writing it (gguf_write.c).
 * Owns:    nothing.
 * Threads: pure functions.
 * Truth:   a name that goes out comes back in as itself (tests/model/test_gguf.c).
 *
 * A new architecture needs a row here, its keys in gguf_read.c and gguf_write.c when they are not
 * the common ones, a case in tests/clients/test_gguf.py and a line in docs/quantization.md. */
#include "model/gguf_int.h"

/* Llama's names, which most decoders share. */
static const gguf_name common[] = {
    {"token_embd", "model.embed_tokens"},
    {"output_norm", "model.norm"},
    {"output", "lm_head"},
    {"blk.#.attn_norm", "model.layers.#.input_layernorm"},
    {"blk.#.attn_q", "model.layers.#.self_attn.q_proj"},
    {"blk.#.attn_k", "model.layers.#.self_attn.k_proj"},
    {"blk.#.attn_v", "model.layers.#.self_attn.v_proj"},
    {"blk.#.attn_output", "model.layers.#.self_attn.o_proj"},
    {"blk.#.attn_q_norm", "model.layers.#.self_attn.q_norm"},
    {"blk.#.attn_k_norm", "model.layers.#.self_attn.k_norm"},
    {"blk.#.ffn_norm", "model.layers.#.post_attention_layernorm"},
    {"blk.#.ffn_gate", "model.layers.#.mlp.gate_proj"},
    {"blk.#.ffn_up", "model.layers.#.mlp.up_proj"},
    {"blk.#.ffn_down", "model.layers.#.mlp.down_proj"},
    {NULL, NULL},
};

static const gguf_name experts[] = {
    {"blk.#.ffn_gate_inp", "model.layers.#.mlp.gate"},
    {"blk.#.ffn_gate_exps", "model.layers.#.mlp.experts.@.gate_proj"},
    {"blk.#.ffn_up_exps", "model.layers.#.mlp.experts.@.up_proj"},
    {"blk.#.ffn_down_exps", "model.layers.#.mlp.experts.@.down_proj"},
    {"blk.#.ffn_gate_inp_shexp", "model.layers.#.mlp.shared_expert_gate"},
    {"blk.#.ffn_gate_shexp", "model.layers.#.mlp.shared_expert.gate_proj"},
    {"blk.#.ffn_up_shexp", "model.layers.#.mlp.shared_expert.up_proj"},
    {"blk.#.ffn_down_shexp", "model.layers.#.mlp.shared_expert.down_proj"},
    {NULL, NULL},
};

static const gguf_name mixtral[] = {
    {"blk.#.ffn_gate_inp", "model.layers.#.block_sparse_moe.gate"},
    {"blk.#.ffn_gate_exps", "model.layers.#.block_sparse_moe.experts.@.w1"},
    {"blk.#.ffn_up_exps", "model.layers.#.block_sparse_moe.experts.@.w3"},
    {"blk.#.ffn_down_exps", "model.layers.#.block_sparse_moe.experts.@.w2"},
    {NULL, NULL},
};

static const gguf_name gpt_oss[] = {
    {"blk.#.post_attention_norm", "model.layers.#.post_attention_layernorm"},
    {"=blk.#.attn_sinks.weight", "=model.layers.#.self_attn.sinks"},
    {"blk.#.ffn_gate_inp", "model.layers.#.mlp.router"},
    {"blk.#.ffn_gate_exps", "model.layers.#.mlp.experts.@.gate_proj"},
    {"blk.#.ffn_up_exps", "model.layers.#.mlp.experts.@.up_proj"},
    {"blk.#.ffn_down_exps", "model.layers.#.mlp.experts.@.down_proj"},
    {NULL, NULL},
};

/* Norms on both sides of each branch. */
static const gguf_name gemma2[] = {
    {"blk.#.post_attention_norm", "model.layers.#.post_attention_layernorm"},
    {"blk.#.ffn_norm", "model.layers.#.pre_feedforward_layernorm"},
    {"blk.#.post_ffw_norm", "model.layers.#.post_feedforward_layernorm"},
    {NULL, NULL},
};

/* Norms after the branches only. */
static const gguf_name olmo2[] = {
    {"blk.#.post_attention_norm", "model.layers.#.post_attention_layernorm"},
    {"blk.#.post_ffw_norm", "model.layers.#.post_feedforward_layernorm"},
    {NULL, NULL},
};

/* The norm before the MLP under its place after attention. */
static const gguf_name seed_oss[] = {
    {"blk.#.post_attention_norm", "model.layers.#.post_attention_layernorm"},
    {NULL, NULL},
};

static const gguf_name glm4[] = {
    {"blk.#.post_attention_norm", "model.layers.#.post_self_attn_layernorm"},
    {"blk.#.post_ffw_norm", "model.layers.#.post_mlp_layernorm"},
    {"blk.#.ffn_up", "model.layers.#.mlp.gate_up_proj"},
    {NULL, NULL},
};

static const gguf_name hunyuan[] = {
    {"blk.#.attn_q_norm", "model.layers.#.self_attn.query_layernorm"},
    {"blk.#.attn_k_norm", "model.layers.#.self_attn.key_layernorm"},
    {NULL, NULL},
};

static const gguf_name phi2[] = {
    {"output_norm", "model.final_layernorm"},
    {"blk.#.attn_output", "model.layers.#.self_attn.dense"},
    {"blk.#.ffn_up", "model.layers.#.mlp.fc1"},
    {"blk.#.ffn_down", "model.layers.#.mlp.fc2"},
    {NULL, NULL},
};

static const gguf_name phi3[] = {
    {"blk.#.attn_qkv", "model.layers.#.self_attn.qkv_proj"},
    {"blk.#.ffn_up", "model.layers.#.mlp.gate_up_proj"},
    {NULL, NULL},
};

static const gguf_name starcoder2[] = {
    {"blk.#.ffn_up", "model.layers.#.mlp.c_fc"},
    {"blk.#.ffn_down", "model.layers.#.mlp.c_proj"},
    {NULL, NULL},
};

static const gguf_name gpt2[] = {
    {"token_embd", "transformer.wte"},
    {"position_embd", "transformer.wpe"},
    {"output_norm", "transformer.ln_f"},
    {"output", "lm_head"},
    {"blk.#.attn_norm", "transformer.h.#.ln_1"},
    {"blk.#.attn_qkv", "transformer.h.#.attn.c_attn"},
    {"blk.#.attn_output", "transformer.h.#.attn.c_proj"},
    {"blk.#.ffn_norm", "transformer.h.#.ln_2"},
    {"blk.#.ffn_up", "transformer.h.#.mlp.c_fc"},
    {"blk.#.ffn_down", "transformer.h.#.mlp.c_proj"},
    {NULL, NULL},
};

static const gguf_name neox[] = {
    {"token_embd", "gpt_neox.embed_in"},
    {"output_norm", "gpt_neox.final_layer_norm"},
    {"output", "embed_out"},
    {"blk.#.attn_norm", "gpt_neox.layers.#.input_layernorm"},
    {"blk.#.attn_qkv", "gpt_neox.layers.#.attention.query_key_value"},
    {"blk.#.attn_output", "gpt_neox.layers.#.attention.dense"},
    {"blk.#.ffn_norm", "gpt_neox.layers.#.post_attention_layernorm"},
    {"blk.#.ffn_up", "gpt_neox.layers.#.mlp.dense_h_to_4h"},
    {"blk.#.ffn_down", "gpt_neox.layers.#.mlp.dense_4h_to_h"},
    {NULL, NULL},
};

/* Falcon with one norm has no weights of the second. */
static const gguf_name bloom[] = {
    {"token_embd", "transformer.word_embeddings"},
    {"token_embd_norm", "transformer.word_embeddings_layernorm"},
    {"output_norm", "transformer.ln_f"},
    {"output", "lm_head"},
    {"blk.#.attn_norm", "transformer.h.#.input_layernorm"},
    {"blk.#.attn_qkv", "transformer.h.#.self_attention.query_key_value"},
    {"blk.#.attn_output", "transformer.h.#.self_attention.dense"},
    {"blk.#.ffn_norm", "transformer.h.#.post_attention_layernorm"},
    {"blk.#.ffn_up", "transformer.h.#.mlp.dense_h_to_4h"},
    {"blk.#.ffn_down", "transformer.h.#.mlp.dense_4h_to_h"},
    {NULL, NULL},
};

static const gguf_name bert[] = {
    {"token_embd", "embeddings.word_embeddings"},
    {"token_types", "embeddings.token_type_embeddings"},
    {"position_embd", "embeddings.position_embeddings"},
    {"token_embd_norm", "embeddings.LayerNorm"},
    {"blk.#.attn_q", "encoder.layer.#.attention.self.query"},
    {"blk.#.attn_k", "encoder.layer.#.attention.self.key"},
    {"blk.#.attn_v", "encoder.layer.#.attention.self.value"},
    {"blk.#.attn_output", "encoder.layer.#.attention.output.dense"},
    {"blk.#.attn_output_norm", "encoder.layer.#.attention.output.LayerNorm"},
    {"blk.#.ffn_up", "encoder.layer.#.intermediate.dense"},
    {"blk.#.ffn_down", "encoder.layer.#.output.dense"},
    {"blk.#.layer_output_norm", "encoder.layer.#.output.LayerNorm"},
    {NULL, NULL},
};

static const gguf_name t5_encoder[] = {
    {"token_embd", "shared"},
    {"enc.output_norm", "encoder.final_layer_norm"},
    {"enc.blk.#.attn_norm", "encoder.block.#.layer.0.layer_norm"},
    {"enc.blk.#.attn_q", "encoder.block.#.layer.0.SelfAttention.q"},
    {"enc.blk.#.attn_k", "encoder.block.#.layer.0.SelfAttention.k"},
    {"enc.blk.#.attn_v", "encoder.block.#.layer.0.SelfAttention.v"},
    {"enc.blk.#.attn_o", "encoder.block.#.layer.0.SelfAttention.o"},
    {"enc.blk.#.attn_rel_b", "encoder.block.#.layer.0.SelfAttention.relative_attention_bias"},
    {"enc.blk.#.ffn_norm", "encoder.block.#.layer.1.layer_norm"},
    {"enc.blk.#.ffn_gate", "encoder.block.#.layer.1.DenseReluDense.wi_0"},
    {"enc.blk.#.ffn_up", "encoder.block.#.layer.1.DenseReluDense.wi_1"},
    {"enc.blk.#.ffn_up", "encoder.block.#.layer.1.DenseReluDense.wi"},
    {"enc.blk.#.ffn_down", "encoder.block.#.layer.1.DenseReluDense.wo"},
    {NULL, NULL},
};

static const gguf_name t5_decoder[] = {
    {"output", "lm_head"},
    {"dec.output_norm", "decoder.final_layer_norm"},
    {"dec.blk.#.attn_norm", "decoder.block.#.layer.0.layer_norm"},
    {"dec.blk.#.attn_q", "decoder.block.#.layer.0.SelfAttention.q"},
    {"dec.blk.#.attn_k", "decoder.block.#.layer.0.SelfAttention.k"},
    {"dec.blk.#.attn_v", "decoder.block.#.layer.0.SelfAttention.v"},
    {"dec.blk.#.attn_o", "decoder.block.#.layer.0.SelfAttention.o"},
    {"dec.blk.#.attn_rel_b", "decoder.block.#.layer.0.SelfAttention.relative_attention_bias"},
    {"dec.blk.#.cross_attn_norm", "decoder.block.#.layer.1.layer_norm"},
    {"dec.blk.#.cross_attn_q", "decoder.block.#.layer.1.EncDecAttention.q"},
    {"dec.blk.#.cross_attn_k", "decoder.block.#.layer.1.EncDecAttention.k"},
    {"dec.blk.#.cross_attn_v", "decoder.block.#.layer.1.EncDecAttention.v"},
    {"dec.blk.#.cross_attn_o", "decoder.block.#.layer.1.EncDecAttention.o"},
    {"dec.blk.#.ffn_norm", "decoder.block.#.layer.2.layer_norm"},
    {"dec.blk.#.ffn_gate", "decoder.block.#.layer.2.DenseReluDense.wi_0"},
    {"dec.blk.#.ffn_up", "decoder.block.#.layer.2.DenseReluDense.wi_1"},
    {"dec.blk.#.ffn_up", "decoder.block.#.layer.2.DenseReluDense.wi"},
    {"dec.blk.#.ffn_down", "decoder.block.#.layer.2.DenseReluDense.wo"},
    {NULL, NULL},
};

#define RMS "layer_norm_rms_epsilon"
#define LN "layer_norm_epsilon"

/* The first row of an architecture and kind is what files are loaded as. */
static const gguf_row rows[] = {
    {"llama", "llama", "LlamaForCausalLM", GGUF_PAIRS, {common}, RMS, 0},
    {"llama",
     "mixtral",
     "MixtralForCausalLM",
     GGUF_PAIRS | GGUF_EXPERTS,
     {mixtral, common},
     RMS,
     0},
    {"llama", "mistral", "MistralForCausalLM", GGUF_PAIRS, {common}, RMS, 0},
    {"smollm3", "smollm3", "SmolLM3ForCausalLM", GGUF_PAIRS, {common}, RMS, 0},
    {"granite", "granite", "GraniteForCausalLM", GGUF_PAIRS, {common}, RMS, 0},
    {"qwen2", "qwen2", "Qwen2ForCausalLM", 0, {common}, RMS, 0},
    {"qwen3", "qwen3", "Qwen3ForCausalLM", 0, {common}, RMS, 0},
    {"qwen2moe", "qwen2_moe", "Qwen2MoeForCausalLM", GGUF_EXPERTS, {experts, common}, RMS, 0},
    {"qwen3moe", "qwen3_moe", "Qwen3MoeForCausalLM", GGUF_EXPERTS, {experts, common}, RMS, 0},
    {"olmoe", "olmoe", "OlmoeForCausalLM", GGUF_EXPERTS, {experts, common}, RMS, 0},
    {"gpt-oss", "gpt_oss", "GptOssForCausalLM", GGUF_EXPERTS, {gpt_oss, common}, RMS, 2},
    {"gemma", "gemma", "GemmaForCausalLM", GGUF_PLUS_ONE, {common}, RMS, 0},
    {"gemma2", "gemma2", "Gemma2ForCausalLM", GGUF_PLUS_ONE, {gemma2, common}, RMS, 2},
    {"gemma3",
     "gemma3_text",
     "Gemma3ForCausalLM",
     GGUF_PLUS_ONE | GGUF_LAYERED,
     {gemma2, common},
     RMS,
     6},
    {"olmo2", "olmo2", "Olmo2ForCausalLM", 0, {olmo2, common}, RMS, 0},
    {"seed_oss", "seed_oss", "SeedOssForCausalLM", 0, {seed_oss, common}, RMS, 0},
    {"ernie4_5", "ernie4_5", "Ernie4_5ForCausalLM", 0, {common}, RMS, 0},
    {"hunyuan-dense",
     "hunyuan_v1_dense",
     "HunYuanDenseV1ForCausalLM",
     0,
     {hunyuan, common},
     RMS,
     0},
    {"glm4", "glm4", "Glm4ForCausalLM", 0, {glm4, common}, RMS, 0},
    {"phi2", "phi", "PhiForCausalLM", 0, {phi2, common}, LN, 0},
    {"phi3", "phi3", "Phi3ForCausalLM", 0, {phi3, common}, RMS, 0},
    {"stablelm", "stablelm", "StableLmForCausalLM", 0, {common}, LN, 0},
    {"starcoder2", "starcoder2", "Starcoder2ForCausalLM", 0, {starcoder2, common}, LN, 0},
    {"command-r", "cohere", "CohereForCausalLM", 0, {common}, LN, 0},
    {"gpt2", "gpt2", "GPT2LMHeadModel", GGUF_TURNED, {gpt2}, LN, 0},
    {"gptneox", "gpt_neox", "GPTNeoXForCausalLM", GGUF_APART, {neox}, LN, 0},
    {"bloom", "bloom", "BloomForCausalLM", GGUF_APART, {bloom}, LN, 0},
    {"falcon", "falcon", "FalconForCausalLM", GGUF_APART, {bloom}, LN, 0},
    {"bert", "bert", "BertModel", 0, {bert}, LN, 0},
    {"t5", "t5", "T5ForConditionalGeneration", 0, {t5_encoder, t5_decoder}, RMS, 0},
    {"t5encoder", "t5", "T5EncoderModel", 0, {t5_encoder}, RMS, 0},
};

const gguf_row *gguf_row_at(size_t index)
{
    return index < sizeof rows / sizeof rows[0] ? &rows[index] : NULL;
}

const gguf_row *gguf_row_of(snug_slice arch, bool with_experts)
{
    const gguf_row *other = NULL;
    for (size_t i = 0; gguf_row_at(i) != NULL; i++) {
        if (!snug_eq_str(arch, rows[i].arch)) continue;
        if (((rows[i].flags & GGUF_EXPERTS) != 0) == with_experts) return &rows[i];
        if (other == NULL) other = &rows[i];
    }
    return other;
}

const gguf_row *gguf_row_named(const char *model_type)
{
    for (size_t i = 0; gguf_row_at(i) != NULL; i++)
        if (strcmp(rows[i].model_type, model_type) == 0) return &rows[i];
    return NULL;
}

/* By model type; a class with another head than the row's has weights the file would not hold. */
const gguf_row *gguf_row_of_class(const model_shape *s)
{
    const gguf_row *same_type = NULL;
    for (size_t i = 0; gguf_row_at(i) != NULL; i++) {
        if (strcmp(rows[i].model_type, s->arch->model_type) != 0) continue;
        if (strcmp(rows[i].class_name, s->class_name) == 0) return &rows[i];
        if (same_type == NULL) same_type = &rows[i];
    }
    return same_type != NULL && strcmp(same_type->arch, "bert") == 0 ? same_type : NULL;
}

/* ---- names ---- */

/* Matches text against a pattern; '#' and '@' take digits. False: it does not match. */
static bool match(const char *pattern, snug_slice text, size_t *layer, size_t *expert)
{
    size_t at = 0;
    for (; *pattern != '\0'; pattern++) {
        if (*pattern != '#' && *pattern != '@') {
            if (at == text.len || text.ptr[at++] != *pattern) return false;
            continue;
        }
        size_t   from = at;
        uint64_t n;
        while (at < text.len && text.ptr[at] >= '0' && text.ptr[at] <= '9') at++;
        if (at - from > 6 || !snug_parse_u64(snug_sub(text, from, at - from), &n)) return false;
        if (at - from > 1 && text.ptr[from] == '0') return false; /* one way to write a number */
        *(*pattern == '#' ? layer : expert) = (size_t)n;
    }
    return at == text.len;
}

static void fill(const char *pattern, size_t layer, size_t expert, snug_slice end,
                 char out[GGUF_NAME_BYTES])
{
    size_t n = 0;
    for (; *pattern != '\0' && n + 24 < GGUF_NAME_BYTES; pattern++)
        if (*pattern == '#' || *pattern == '@')
            n += (size_t)snprintf(out + n, GGUF_NAME_BYTES - n, "%zu",
                                  *pattern == '#' ? layer : expert);
        else
            out[n++] = *pattern;
    SNUG_ASSERT(n + end.len < GGUF_NAME_BYTES);
    (void)snprintf(out + n, GGUF_NAME_BYTES - n, "%.*s", SNUG_SLICE(end));
}

/* ".weight", ".bias" or nothing. */
static snug_slice end_of(snug_slice name)
{
    if (snug_ends_with(name, ".weight")) return SNUG_LIT(".weight");
    if (snug_ends_with(name, ".bias")) return SNUG_LIT(".bias");
    return SNUG_EMPTY;
}

static bool translate(const gguf_row *r, bool inwards, snug_slice name, size_t *expert,
                      bool *stacked, char out[GGUF_NAME_BYTES])
{
    snug_slice end = end_of(name), stem = snug_sub(name, 0, name.len - end.len);
    for (size_t list = 0; list < 3 && r->names[list] != NULL; list++) {
        for (const gguf_name *n = r->names[list]; n->gguf != NULL; n++) {
            bool        whole = n->gguf[0] == '=';
            const char *from = inwards ? n->gguf : n->own, *to = inwards ? n->own : n->gguf;
            size_t      layer = 0, which = SIZE_MAX;
            if (!whole && end.len == 0) continue;
            if (!match(from + whole, whole ? name : stem, &layer, &which)) continue;
            if (inwards) which = *expert;
            fill(to + whole, layer, which, whole ? SNUG_EMPTY : end, out);
            *expert = which;
            *stacked = strchr(n->own, '@') != NULL;
            return true;
        }
    }
    return false;
}

bool gguf_name_in(const gguf_row *r, snug_slice gguf, size_t expert, bool *stacked,
                  char own[GGUF_NAME_BYTES])
{
    return translate(r, true, gguf, &expert, stacked, own);
}

bool gguf_name_out(const gguf_row *r, snug_slice own, size_t *expert, char gguf[GGUF_NAME_BYTES])
{
    bool stacked;
    return translate(r, false, own, expert, &stacked, gguf);
}
