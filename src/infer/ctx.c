/* SPDX-License-Identifier: Apache-2.0 */
/* infer/ctx.c - a model folder made ready: device, weights, tokenizer, the small JSON files beside
 * them.
 *
 * For:     cli/ through infer.h; the tasks through infer_int.h.
 * Owns:    all of it, freed by infer_close.
 * Threads: a context belongs to one thread at a time; its device shares the
 *          work of an operation. */
#include "infer/sentence.h"

#include <stdlib.h>
#include <unistd.h>

snug_status infer_read_json(snug_arena *a, const char *dir, const char *name, snug_json *out,
                            snug_err *err)
{
    snug_slice text, path = snug_arena_printf(a, "%s/%s", dir, name);
    *out = (snug_json){NULL};
    if (access(path.ptr, F_OK) != 0) return SNUG_OK;
    snug_status st = snug_read_file(a, path.ptr, INFER_CONFIG_BYTES_MAX, &text, err);
    if (st == SNUG_OK)
        st = snug_json_parse(a, text, &(snug_json_opts){.flags = SNUG_JSON_NONFINITE}, out, err);
    if (st != SNUG_OK) snug_note(err, "%s", name);
    return st;
}

snug_status infer_open(const char *dir, infer_ctx **out, snug_err *err)
{
    return infer_open_adapted(dir, NULL, out, err);
}

snug_status infer_open_adapted(const char *dir, const char *adapter, infer_ctx **out, snug_err *err)
{
    snug_status st = SNUG_OK;
    infer_ctx  *c = snug_zalloc(sizeof *c);
    c->arena = snug_arena_new();
    *out = NULL;
    SNUG_TRY(sentence_open(c->arena, dir, &c->sentence, &dir, err));
    c->dir = snug_arena_cstr(c->arena, snug_str(dir));
    SNUG_TRY(tensor_dev_open(tensor_backend_best(), 0, &c->dev, err));
    SNUG_TRY(model_open_adapted(dir, adapter, SNUG_EMPTY, c->dev, &c->model, err));
    SNUG_TRY(infer_read_json(c->arena, dir, "generation_config.json", &c->generation, err));
    SNUG_TRY(infer_read_json(c->arena, dir, "tokenizer_config.json", &c->tok_config, err));
    SNUG_TRY(infer_read_json(c->arena, dir, "special_tokens_map.json", &c->special_map, err));
    /* A GGUF file brings its own; of a folder that has both, tokenizer.json says more. */
    const char *gguf = model_find_gguf(c->arena, dir);
    bool        own = access(snug_arena_printf(c->arena, "%s/tokenizer.json", dir).ptr, F_OK) == 0;
    SNUG_TRY(tok_open(gguf != NULL && !own ? gguf : dir, &c->tok, err));
    *out = c;
    c = NULL; /* moved to the caller */
done:
    infer_close(c);
    return st;
}

void infer_close(infer_ctx *c)
{
    if (c == NULL) return;
    tok_free(c->tok);
    model_close(c->model);
    tensor_dev_close(c->dev);
    snug_arena_free(c->arena);
    free(c);
}

bool infer_special_id(const infer_ctx *c, const char *role, uint32_t *out)
{
    const snug_json homes[] = {c->tok_config, c->special_map};
    for (size_t i = 0; i < 2; i++) {
        snug_json  v = snug_json_get(homes[i], role);
        snug_slice name;
        if (snug_json_is(v, SNUG_JSON_OBJECT)) v = snug_json_get(v, "content");
        if (snug_json_to_str(v, &name) && tok_token_to_id(c->tok, name, out)) return true;
    }
    return false;
}

snug_slice infer_label(const infer_ctx *c, snug_arena *a, size_t i)
{
    snug_slice text = snug_arena_printf(a, "%zu", i), name;
    snug_json  names = snug_json_get(model_config(c->model), "id2label");
    if (snug_json_to_str(snug_json_get_slice(names, text), &name)) return name;
    return snug_arena_printf(a, "LABEL_%zu", i);
}

size_t infer_context_max(const infer_ctx *c)
{
    const model_shape *s = model_shape_of(c->model);
    double             most = (double)(s->positions_max - s->position_first);
    if (s->rope.width > 0 && s->rope.kind == NN_ROPE_DYNAMIC && s->rope.factor > 1)
        most *= s->rope.factor;
    /* Tokenizers write 1e30 for "no limit". */
    double said = snug_json_f64_or(c->tok_config, "model_max_length", most);
    if (said >= 1 && said < most) most = said;
    return (size_t)most;
}
