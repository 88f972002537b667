/* SPDX-License-Identifier: Apache-2.0 */
/* model/gguf_mix.c - which type each tensor of a quantized file gets.
 *
 * For:     gguf_write.c.
 * Owns:    nothing.
 * Threads: pure functions over the caller's counters.
 * Truth:   the same types that llama-quantize chooses, tensor by tensor (tests/clients/test_gguf.py
 *          compares with its own output). Values of attention and the way down of an MLP hurt most
 *          when they are coarse, so the mixes named _M and _L give some of them more bits. */
#include "model/gguf_write_int.h"

#include <ctype.h>
#include <stdlib.h>

/* X(name, file type, base type) */
static const gguf_mix mixes[] = {
    {"F32", 0, TENSOR_F32},
    {"F16", 1, TENSOR_F16},
    {"Q4_0", 2, TENSOR_Q4_0},
    {"Q4_1", 3, TENSOR_Q4_1},
    {"Q8_0", 7, TENSOR_Q8_0},
    {"Q5_0", 8, TENSOR_Q5_0},
    {"Q5_1", 9, TENSOR_Q5_1},
    {"Q2_K", 10, TENSOR_Q2_K},
    {"Q3_K_S", 11, TENSOR_Q3_K},
    {"Q3_K_M", 12, TENSOR_Q3_K},
    {"Q3_K_L", 13, TENSOR_Q3_K},
    {"Q4_K_S", 14, TENSOR_Q4_K},
    {"Q4_K_M", 15, TENSOR_Q4_K},
    {"Q5_K_S", 16, TENSOR_Q5_K},
    {"Q5_K_M", 17, TENSOR_Q5_K},
    {"Q6_K", 18, TENSOR_Q6_K},
    {"Q2_K_S", 21, TENSOR_Q2_K},
    {"BF16", 32, TENSOR_BF16},
    {"MXFP4_MOE", 38, TENSOR_MXFP4},
    /* other names for some of them */
    {"Q3_K", 12, TENSOR_Q3_K},
    {"Q4_K", 15, TENSOR_Q4_K},
    {"Q5_K", 17, TENSOR_Q5_K},
    {"MXFP4", 38, TENSOR_MXFP4},
};

enum {
    Q2_K = 10,
    Q3_K_M = 12,
    Q3_K_L = 13,
    Q4_K_S = 14,
    Q4_K_M = 15,
    Q5_K_M = 17,
    Q2_K_S = 21,
    Q3_K_S = 11,
    MXFP4_MOE = 38
};

const gguf_mix *gguf_mix_at(size_t index)
{
    return index < sizeof mixes / sizeof mixes[0] ? &mixes[index] : NULL;
}

const gguf_mix *gguf_mix_of(snug_slice name)
{
    for (size_t i = 0; gguf_mix_at(i) != NULL; i++)
        if (snug_eq_nocase(name, snug_str(mixes[i].name))) return &mixes[i];
    return NULL;
}

static bool in(const char *name, const char *part) { return strstr(name, part) != NULL; }

/* Matrices that are multiplied with; norms, biases, routers and tables of positions stay float32.
 */
bool gguf_is_mixed(const char *name, unsigned rank)
{
    static const char *const kept[] = {"_norm.weight",       "ffn_gate_inp", "position_embd",
                                       "token_types",        "attn_rel_b",   "ssm_conv1d",
                                       "ffn_gate_inp_shexp", "attn_sinks"};
    if (rank < 2 || !snug_ends_with(snug_str(name), ".weight")) return false;
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (in(name, kept[i])) return false;
    return true;
}

/* The first and the last eighth of the layers, and every third between. */
static bool more_bits(size_t i, size_t n)
{
    return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
}

static tensor_dtype pick_values(gguf_mix_state *s, tensor_dtype t)
{
    size_t i = s->values_seen++;
    switch (s->mix->file_type) {
    case Q2_K: t = s->queries_per_key >= 4 ? TENSOR_Q4_K : TENSOR_Q3_K; break;
    case Q2_K_S: t = s->queries_per_key >= 4 ? TENSOR_Q4_K : t; break;
    case Q3_K_M: t = i < 2 ? TENSOR_Q5_K : TENSOR_Q4_K; break;
    case Q3_K_L: t = TENSOR_Q5_K; break;
    case Q4_K_S: t = i < 4 ? TENSOR_Q5_K : t; break;
    case Q4_K_M:
    case Q5_K_M: t = more_bits(i, s->values) ? TENSOR_Q6_K : t; break;
    default: break;
    }
    if (s->layers == 80 && s->queries_per_key > 1 && (t == TENSOR_Q3_K || t == TENSOR_Q4_K))
        t = TENSOR_Q5_K; /* 70B models share values eightfold: more bits cost little */
    return s->experts == 8 ? TENSOR_Q8_0 : t;
}

static tensor_dtype pick_down(gguf_mix_state *s, const char *name, tensor_dtype t)
{
    size_t i = s->downs_seen++, n = s->layers;
    if (s->experts > 1 && strncmp(name, "blk.", 4) == 0) i = strtoul(name + 4, NULL, 10);
    switch (s->mix->file_type) {
    case Q2_K: return TENSOR_Q3_K;
    case Q2_K_S: return i < n / 8 ? TENSOR_Q4_K : t;
    case Q3_K_M: return i < n / 16 ? TENSOR_Q5_K : TENSOR_Q4_K;
    case Q3_K_L: return TENSOR_Q5_K;
    case Q4_K_S: return i < n / 8 ? TENSOR_Q5_K : t;
    case Q4_K_M:
    case Q5_K_M: return more_bits(i, n) ? TENSOR_Q6_K : t;
    default: return t;
    }
}

static tensor_dtype pick_output(const gguf_mix_state *s, tensor_dtype t)
{
    switch (s->mix->file_type) {
    case Q2_K: return s->experts == 8 ? TENSOR_Q5_K : TENSOR_Q3_K;
    case Q3_K_S: return s->experts == 8 ? TENSOR_Q5_K : t;
    case Q3_K_M: return s->experts == 8 ? TENSOR_Q5_K : TENSOR_Q4_K;
    case Q3_K_L: return s->experts == 8 ? t : TENSOR_Q5_K;
    case Q4_K_S:
    case Q4_K_M: return s->experts == 8 ? TENSOR_Q5_K : t;
    default: return t;
    }
}

static tensor_dtype pick_fused(const gguf_mix_state *s, tensor_dtype t)
{
    switch (s->mix->file_type) {
    case Q3_K_M:
    case Q3_K_L: return TENSOR_Q4_K;
    case Q4_K_M: return TENSOR_Q5_K;
    case Q5_K_M: return TENSOR_Q6_K;
    default: return t;
    }
}

/* What a type becomes when rows are no whole number of its blocks. */
static tensor_dtype fall_back(tensor_dtype t, size_t width)
{
    if (width % tensor_dtype_block(t) == 0) return t;
    switch (t) {
    case TENSOR_Q2_K:
    case TENSOR_Q3_K: t = TENSOR_Q4_0; break; /* llama-quantize takes IQ4_NL, of the same size */
    case TENSOR_Q4_K: t = TENSOR_Q5_0; break;
    case TENSOR_Q5_K: t = TENSOR_Q5_1; break;
    case TENSOR_Q6_K: t = TENSOR_Q8_0; break;
    default: break;
    }
    return width % tensor_dtype_block(t) == 0 ? t : TENSOR_F16;
}

static tensor_dtype pick(gguf_mix_state *s, const char *name, unsigned rank, size_t width)
{
    tensor_dtype t = s->mix->type;
    if (!tensor_dtype_is_quant(t)) return t;
    if (strcmp(name, "output.weight") == 0 ||
        (!s->has_output && strcmp(name, "token_embd.weight") == 0)) {
        if (width % 256 != 0) return TENSOR_Q8_0;
        return t == TENSOR_Q8_0 || t == TENSOR_MXFP4 ? TENSOR_Q8_0 : TENSOR_Q6_K;
    }
    if (s->mix->file_type == MXFP4_MOE) return rank > 2 ? TENSOR_MXFP4 : TENSOR_Q8_0;
    if (in(name, "attn_v.weight")) return pick_values(s, t);
    if (in(name, "attn_k.weight")) return s->experts == 8 ? TENSOR_Q8_0 : t;
    if (in(name, "ffn_down")) return pick_down(s, name, t);
    if (in(name, "attn_output.weight")) return pick_output(s, t);
    if (in(name, "attn_qkv.weight")) return pick_fused(s, t);
    return t;
}

tensor_dtype gguf_mix_pick(gguf_mix_state *s, const char *name, unsigned rank, size_t width)
{
    return gguf_is_mixed(name, rank) ? fall_back(pick(s, name, rank, width), width) : TENSOR_F32;
}
