/* SPDX-License-Identifier: Apache-2.0 */
/* tools/randmodel.c - a model folder with random weights, in the shape of a real one.
 *
 *     tool_randmodel OUT_FOLDER [--preset NAME] [--dtype bf16|f16|f32] [--seed N] [--NUMBER N]
 *
 * NUMBER: layers, hidden, inner, heads, kv-heads, head-dim, vocab, positions. Writes config.json,
 * model.safetensors and tokenizer.json (256 bytes, then words nobody types). Matrices are normal
 * with a deviation of 1 / sqrt(inputs), so that activations stay in the range of trained models;
 * norms are 1 and biases small. The same arguments give the same bytes everywhere.
 *
 * For:     benchmarks, and tests that want a size and not a meaning. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "codec/codec.h"
#include "tensor/tensor.h"

typedef struct shape {
    const char *name, *class_name, *model_type;
    size_t      layers, hidden, inner, heads, kv_heads, head_dim, vocab, positions;
    double      theta;
    bool        qkv_bias, head_norms, tied;
} shape;

/* What the published configurations say. */
static const shape presets[] = {
    {"tiny", "LlamaForCausalLM", "llama", 2, 256, 512, 4, 2, 64, 512, 512, 1e4, false, false,
     false},
    {"qwen2-0.5b", "Qwen2ForCausalLM", "qwen2", 24, 896, 4864, 14, 2, 64, 151936, 32768, 1e6, true,
     false, true},
    {"qwen2-1.5b", "Qwen2ForCausalLM", "qwen2", 28, 1536, 8960, 12, 2, 128, 151936, 32768, 1e6,
     true, false, true},
    {"qwen3-0.6b", "Qwen3ForCausalLM", "qwen3", 28, 1024, 3072, 16, 8, 128, 151936, 40960, 1e6,
     false, true, true},
    {"llama-0.5b", "LlamaForCausalLM", "llama", 16, 1536, 4096, 24, 8, 64, 32000, 8192, 5e5, false,
     false, false},
    {"llama-1b", "LlamaForCausalLM", "llama", 16, 2048, 8192, 32, 8, 64, 128256, 131072, 5e5, false,
     false, true},
    {"tinyllama-1.1b", "LlamaForCausalLM", "llama", 22, 2048, 5632, 32, 4, 64, 32000, 2048, 1e4,
     false, false, false},
};

enum { TENSORS_MAX = 16384, NUMBER_MAX = 1 << 20, CHUNK = 1 << 16, NAME_MAX_LEN = 96 };

static void die(const char *what)
{
    (void)fprintf(stderr, "tool_randmodel: %s\n", what);
    exit(2);
}

static void must(snug_status st, const snug_err *err)
{
    if (st != SNUG_OK) die(err->msg);
}

/* ---- numbers ---- */

/* SplitMix64, Steele et al. 2014: a counter run through a mixer, so any place can start. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* Nearly normal: eight bytes summed have deviation sqrt(8 * (256^2 - 1) / 12). */
static float normal(uint64_t seed, uint64_t i)
{
    uint64_t v = mix(seed + (i + 1) * 0x9e3779b97f4a7c15u);
    uint64_t pairs = (v & 0x00ff00ff00ff00ffu) + (v >> 8 & 0x00ff00ff00ff00ffu);
    pairs = (pairs * 0x0001000100010001u) >> 48;
    return ((float)pairs - 1020.0f) * (1.0f / 209.02153f);
}

/* ---- the list of tensors ---- */

typedef enum fill { FILL_MATRIX, FILL_EMBEDDING, FILL_ONE, FILL_SMALL } fill;

typedef struct plan {
    snug_arena   *arena;
    codec_tensor *tensors;
    fill         *fills;
    size_t        count;
    codec_dtype   dtype;
} plan;

static void put(plan *p, const char *name, fill f, size_t rows, size_t cols)
{
    if (p->count == TENSORS_MAX) die("too many tensors");
    codec_tensor *t = &p->tensors[p->count];
    p->fills[p->count++] = f;
    *t = (codec_tensor){.name = snug_arena_dup(p->arena, snug_str(name)), .dtype = p->dtype};
    t->rank = cols == 0 ? 1 : 2;
    t->shape[0] = rows;
    t->shape[1] = cols;
}

static void put_in(plan *p, size_t layer, const char *name, fill f, size_t rows, size_t cols)
{
    char full[NAME_MAX_LEN];
    (void)snprintf(full, sizeof full, "model.layers.%zu.%s", layer, name);
    put(p, full, f, rows, cols);
}

static void put_layer(plan *p, const shape *s, size_t i)
{
    size_t e = s->hidden, q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim;
    put_in(p, i, "input_layernorm.weight", FILL_ONE, e, 0);
    put_in(p, i, "self_attn.q_proj.weight", FILL_MATRIX, q, e);
    put_in(p, i, "self_attn.k_proj.weight", FILL_MATRIX, kv, e);
    put_in(p, i, "self_attn.v_proj.weight", FILL_MATRIX, kv, e);
    put_in(p, i, "self_attn.o_proj.weight", FILL_MATRIX, e, q);
    if (s->qkv_bias) {
        put_in(p, i, "self_attn.q_proj.bias", FILL_SMALL, q, 0);
        put_in(p, i, "self_attn.k_proj.bias", FILL_SMALL, kv, 0);
        put_in(p, i, "self_attn.v_proj.bias", FILL_SMALL, kv, 0);
    }
    if (s->head_norms) {
        put_in(p, i, "self_attn.q_norm.weight", FILL_ONE, s->head_dim, 0);
        put_in(p, i, "self_attn.k_norm.weight", FILL_ONE, s->head_dim, 0);
    }
    put_in(p, i, "post_attention_layernorm.weight", FILL_ONE, e, 0);
    put_in(p, i, "mlp.gate_proj.weight", FILL_MATRIX, s->inner, e);
    put_in(p, i, "mlp.up_proj.weight", FILL_MATRIX, s->inner, e);
    put_in(p, i, "mlp.down_proj.weight", FILL_MATRIX, e, s->inner);
}

/* ---- files ---- */

static void write_tensor(FILE *f, const plan *p, size_t index, uint64_t seed)
{
    static float        x[CHUNK];
    static uint32_t     raw[CHUNK];
    const codec_tensor *t = &p->tensors[index];
    size_t              cols = t->rank == 2 ? t->shape[1] : 1, n = t->shape[0] * cols;
    tensor_dtype        to = p->dtype == CODEC_F32   ? TENSOR_F32
                             : p->dtype == CODEC_F16 ? TENSOR_F16
                                                     : TENSOR_BF16;
    fill                kind = p->fills[index];
    float               scale =
        kind == FILL_MATRIX ? 1.0f / sqrtf((float)cols) : (kind == FILL_EMBEDDING ? 0.05f : 0.02f);
    uint64_t own = mix(seed * 0x632be59bd9b4e019u + index + 1);
    snug_err err;
    for (size_t at = 0; at < n; at += CHUNK) {
        size_t many = n - at < CHUNK ? n - at : CHUNK;
        for (size_t i = 0; i < many; i++)
            x[i] = kind == FILL_ONE ? 1.0f : scale * normal(own, at + i);
        must(tensor_quantize(to, x, many, raw, &err), &err);
        if (fwrite(raw, tensor_dtype_bytes(to), many, f) != many) die("the disk is full");
    }
}

static FILE *create(const char *dir, const char *name)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path) die("path too long");
    FILE *f = fopen(path, "wb");
    if (f == NULL) die(strerror(errno));
    return f;
}

static void close_file(FILE *f)
{
    if (fclose(f) != 0) die(strerror(errno));
}

static void write_weights(const char *dir, plan *p, uint64_t seed)
{
    SNUG_AUTO(snug_buf) head = snug_buf_init(CODEC_ST_HEADER_MAX);
    snug_json metadata;
    snug_err  err;
    FILE     *f = create(dir, "model.safetensors");
    must(snug_json_parse(p->arena, SNUG_LIT("{\"format\":\"pt\"}"), NULL, &metadata, &err), &err);
    must(codec_safetensors_write_header(p->tensors, p->count, metadata, &head, &err), &err);
    if (fwrite(head.ptr, 1, head.len, f) != head.len) die("the disk is full");
    for (size_t i = 0; i < p->count; i++) write_tensor(f, p, i, seed);
    close_file(f);
}

static void write_text(const char *dir, const char *name, const snug_buf *text)
{
    FILE *f = create(dir, name);
    if (text->full || fwrite(text->ptr, 1, text->len, f) != text->len) die("the disk is full");
    close_file(f);
}

static void write_config(const char *dir, const shape *s, const char *dtype)
{
    SNUG_AUTO(snug_buf) text = snug_buf_init(1u << 16);
    snug_json_out o = snug_json_out_init(&text);
    o.pretty = true;
    snug_jo_begin_object(&o);
    snug_jo_key(&o, "architectures");
    snug_jo_begin_array(&o);
    snug_jo_cstr(&o, s->class_name);
    snug_jo_end_array(&o);
    snug_jo_kcstr(&o, "model_type", s->model_type);
    snug_jo_ku64(&o, "num_hidden_layers", s->layers);
    snug_jo_ku64(&o, "hidden_size", s->hidden);
    snug_jo_ku64(&o, "intermediate_size", s->inner);
    snug_jo_ku64(&o, "num_attention_heads", s->heads);
    snug_jo_ku64(&o, "num_key_value_heads", s->kv_heads);
    snug_jo_ku64(&o, "head_dim", s->head_dim);
    snug_jo_ku64(&o, "vocab_size", s->vocab);
    snug_jo_ku64(&o, "max_position_embeddings", s->positions);
    snug_jo_kf64(&o, "rope_theta", s->theta);
    snug_jo_kf64(&o, "rms_norm_eps", 1e-6);
    snug_jo_kcstr(&o, "hidden_act", "silu");
    snug_jo_kbool(&o, "tie_word_embeddings", s->tied);
    snug_jo_ku64(&o, "bos_token_id", 256);
    snug_jo_ku64(&o, "eos_token_id", 257);
    snug_jo_kcstr(&o, "torch_dtype", dtype);
    snug_jo_end_object(&o);
    write_text(dir, "config.json", &text);
}

/* The visible stand-in of a byte: printable ones are themselves, the others follow U+0100. */
static uint32_t stand_in(unsigned byte)
{
    unsigned hidden = 0;
    for (unsigned b = 0; b < 256; b++) {
        bool shown = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
        if (b == byte) return shown ? b : 256 + hidden;
        hidden += !shown;
    }
    return 0;
}

static void write_tokenizer(const char *dir, const shape *s)
{
    SNUG_AUTO(snug_buf) text = snug_buf_init(1u << 26);
    snug_buf_puts(&text, "{\"version\":\"1.0\",\"added_tokens\":["
                         "{\"id\":256,\"content\":\"<s>\",\"single_word\":false,\"lstrip\":false,"
                         "\"rstrip\":false,\"normalized\":false,\"special\":true},"
                         "{\"id\":257,\"content\":\"</s>\",\"single_word\":false,\"lstrip\":false,"
                         "\"rstrip\":false,\"normalized\":false,\"special\":true}],"
                         "\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"ByteLevel\","
                         "\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":true},"
                         "\"post_processor\":null,\"decoder\":{\"type\":\"ByteLevel\","
                         "\"add_prefix_space\":true,\"trim_offsets\":true,\"use_regex\":true},"
                         "\"model\":{\"type\":\"BPE\",\"unk_token\":null,\"vocab\":");
    snug_json_out o = snug_json_out_init(&text);
    snug_jo_begin_object(&o);
    for (unsigned i = 0; i < s->vocab; i++) {
        char name[16];
        if (i < 256)
            name[snug_utf8_put(stand_in(i), name)] = '\0';
        else
            (void)snprintf(name, sizeof name, i == 256 ? "<s>" : i == 257 ? "</s>" : "word%u", i);
        snug_jo_ku64(&o, name, i);
    }
    snug_jo_end_object(&o);
    snug_buf_puts(&text, ",\"merges\":[]}}\n");
    write_text(dir, "tokenizer.json", &text);
}

/* ---- arguments ---- */

static bool set_number(shape *s, const char *name, uint64_t v)
{
    const struct {
        const char *name;
        size_t     *at;
    } numbers[] = {{"layers", &s->layers}, {"hidden", &s->hidden},      {"inner", &s->inner},
                   {"heads", &s->heads},   {"kv-heads", &s->kv_heads},  {"head-dim", &s->head_dim},
                   {"vocab", &s->vocab},   {"positions", &s->positions}};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (strcmp(numbers[i].name, name) != 0) continue;
        if (v == 0 || v > NUMBER_MAX) die("a number is out of range");
        *numbers[i].at = (size_t)v;
        return true;
    }
    return false;
}

static void set_preset(shape *s, const char *name)
{
    for (size_t i = 0; i < sizeof presets / sizeof presets[0]; i++)
        if (strcmp(presets[i].name, name) == 0) {
            *s = presets[i];
            return;
        }
    for (size_t i = 0; i < sizeof presets / sizeof presets[0]; i++)
        (void)fprintf(stderr, "%s ", presets[i].name);
    die("are the presets");
}

int main(int argc, char **argv)
{
    shape       s = presets[0];
    uint64_t    seed = 1, v;
    const char *dir = NULL, *dtype = "bf16";
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-' && dir == NULL) {
            dir = argv[i];
            continue;
        }
        if (strncmp(argv[i], "--", 2) != 0 || i + 1 == argc) die("see the head of randmodel.c");
        const char *key = argv[i] + 2, *value = argv[++i];
        bool        whole = snug_parse_u64(snug_str(value), &v);
        if (strcmp(key, "preset") == 0)
            set_preset(&s, value);
        else if (strcmp(key, "dtype") == 0)
            dtype = value;
        else if (strcmp(key, "seed") == 0 && whole)
            seed = v;
        else if (!whole || !set_number(&s, key, v))
            die("see the head of randmodel.c");
    }
    if (dir == NULL) die("which folder? see the head of randmodel.c");
    if (s.vocab < 258) die("a vocabulary has at least 258 words");
    plan p = {.arena = snug_arena_new(),
              .dtype = strcmp(dtype, "f32") == 0   ? CODEC_F32
                       : strcmp(dtype, "f16") == 0 ? CODEC_F16
                                                   : CODEC_BF16};
    p.tensors = snug_arena_zalloc(p.arena, TENSORS_MAX * sizeof *p.tensors);
    p.fills = snug_arena_zalloc(p.arena, TENSORS_MAX * sizeof *p.fills);
    put(&p, "model.embed_tokens.weight", FILL_EMBEDDING, s.vocab, s.hidden);
    for (size_t i = 0; i < s.layers; i++) put_layer(&p, &s, i);
    put(&p, "model.norm.weight", FILL_ONE, s.hidden, 0);
    if (!s.tied) put(&p, "lm_head.weight", FILL_MATRIX, s.vocab, s.hidden);
    snug_err err;
    must(snug_mkdirs(dir, 0755, &err), &err);
    write_weights(dir, &p, seed);
    write_config(dir, &s,
                 p.dtype == CODEC_F32   ? "float32"
                 : p.dtype == CODEC_F16 ? "float16"
                                        : "bfloat16");
    write_tokenizer(dir, &s);
    snug_arena_free(p.arena);
    return 0;
}
