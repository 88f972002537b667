/* SPDX-License-Identifier: Apache-2.0 */
/* infer/quantize.c - `snug quantize`: a folder, or a GGUF file, with its tokenizer as a GGUF file.
 *
 * For:     the command line.
 * Owns:    everything for the length of one call.
 * Threads: one; the model's part uses a team. */
#include <unistd.h>

#include "infer/gguf_tok.h"

const char *infer_quantize_type(size_t index) { return model_quantize_type(index); }

/* A folder's tokenizer; none when the folder has none. */
static snug_status read_tokenizer(snug_arena *a, const char *dir, model_quantize_opts *o,
                                  snug_err *err)
{
    snug_status st = SNUG_OK;
    model_shape s;
    if (model_find_gguf(a, dir) != NULL) return SNUG_OK; /* it comes along as it is */
    if (access(snug_arena_printf(a, "%s/tokenizer.json", dir).ptr, F_OK) != 0) {
        codec_gguf_kv *none = SNUG_NEW(a, codec_gguf_kv);
        *none = (codec_gguf_kv){SNUG_LIT("tokenizer.ggml.model"),
                                {.kind = CODEC_GGUF_STRING, .v.str = SNUG_LIT("none")}};
        o->kvs = none, o->kv_count = 1;
        return SNUG_OK;
    }
    SNUG_TRY(model_peek(a, dir, &s, err));
    SNUG_TRY(gguf_tok_make(a, dir, s.vocab, &o->kvs, &o->kv_count, err));
done:
    return st;
}

snug_status infer_quantize(const char *path, const infer_quantize_opts *q, const char *out,
                           infer_quantized *report, snug_err *err)
{
    snug_status         st = SNUG_OK;
    snug_arena         *a = snug_arena_new();
    model_quantized     done = {0};
    model_quantize_opts o = {
        .type = q->type, .progress = q->progress, .progress_arg = q->progress_arg};
    SNUG_TRY(read_tokenizer(a, path, &o, err));
    SNUG_TRY(model_quantize(path, &o, out, &done, err));
    *report = (infer_quantized){done.tensors, done.bytes, o.kv_count != 1};
done:
    snug_arena_free(a);
    return st;
}
