/* SPDX-License-Identifier: Apache-2.0 */
/* model/gguf_plan.c - what a GGUF file will hold: tensors in the order of layers, with their types.
 *
 * For:     gguf_write.c.
 * Owns:    nothing; all of it lives in the arena of the plan.
 * Threads: one.
 * Truth:   every weight of the folder is in the plan, or on a list of what models do not need. */
#include <stdlib.h>

#include "model/gguf_write_int.h"

enum { OUTS_MAX = 1 << 17 };

gguf_out *gguf_add_out(gguf_plan *p, const char *name)
{
    SNUG_ASSERT(p->count < p->cap);
    gguf_out *o = &p->outs[p->count++];
    *o = (gguf_out){.count = 1};
    (void)snprintf(o->name, sizeof o->name, "%s", name);
    return o;
}

static snug_status make_room(gguf_plan *p, size_t n, snug_err *err)
{
    p->cap = n + 8; /* and some tensors of factors */
    p->outs = n > OUTS_MAX ? NULL : snug_arena_array_try(p->arena, p->cap, sizeof *p->outs);
    return p->outs != NULL
               ? SNUG_OK
               : snug_fail(err, SNUG_ELIMIT, "a model of %zu tensors; at most %d", n, OUTS_MAX);
}

/* ---- weights of a folder ---- */

/* Buffers, copies of tied matrices and heads that these files do not hold. */
static bool is_left_out(const gguf_row *r, const model_shape *s, snug_slice name)
{
    static const char *const ends[] = {".attention.bias",
                                       ".attention.masked_bias",
                                       ".rotary_emb.inv_freq",
                                       ".attn.bias",
                                       ".attn.masked_bias",
                                       "position_ids",
                                       "_scale",
                                       "_scale_inv",
                                       ".input_scale",
                                       ".k_scale",
                                       ".v_scale"};
    static const char *const bert[] = {"pooler.", "cls.", "bert.pooler."};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (snug_ends_with(name, ends[i])) return true;
    for (size_t i = 0; i < sizeof bert / sizeof *bert && strcmp(r->arch, "bert") == 0; i++)
        if (snug_starts_with(name, bert[i])) return true;
    if (s->tied && snug_eq_str(name, "lm_head.weight") && strcmp(r->model_type, "t5") != 0)
        return true;
    return strcmp(r->model_type, "t5") == 0 && (snug_ends_with(name, ".embed_tokens.weight"));
}

/* Files say "model.layers" or "layers", "bert.encoder" or "encoder". */
static bool name_out(const gguf_row *r, const model_shape *s, snug_slice name, size_t *expert,
                     char gguf[GGUF_NAME_BYTES])
{
    char        full[2 * GGUF_NAME_BYTES];
    const char *prefix = s->arch->prefix;
    size_t      n = strlen(prefix);
    if (name.len >= GGUF_NAME_BYTES) return false;
    if (gguf_name_out(r, name, expert, gguf)) return true;
    (void)snprintf(full, sizeof full, "%s%.*s", prefix, SNUG_SLICE(name));
    if (gguf_name_out(r, snug_str(full), expert, gguf)) return true;
    return n > 0 && snug_starts_with(name, prefix) &&
           gguf_name_out(r, snug_sub(name, n, name.len), expert, gguf);
}

static gguf_out *out_named(gguf_plan *p, const char *name)
{
    for (size_t i = p->count; i-- > 0;) /* experts follow each other */
        if (strcmp(p->outs[i].name, name) == 0) return &p->outs[i];
    return NULL;
}

static snug_status add_expert(gguf_plan *p, const weight *w, const char *name, size_t expert,
                              size_t experts, snug_err *err)
{
    gguf_out *o = out_named(p, name);
    if (o == NULL) {
        o = gguf_add_out(p, name);
        o->count = experts;
        o->list = snug_arena_array_try(p->arena, experts, sizeof *o->list);
        if (o->list == NULL) return snug_fail(err, SNUG_ENOMEM, "no memory");
    }
    if (expert >= experts)
        return snug_fail(err, SNUG_ECORRUPT, "%.*s is past the last of %zu experts",
                         SNUG_SLICE(w->name), experts);
    o->list[expert] = w;
    return SNUG_OK;
}

static snug_status add_weight(gguf_plan *p, const gguf_row *r, const model_shape *s,
                              const weight *w, snug_err *err)
{
    char   name[GGUF_NAME_BYTES];
    size_t expert = SIZE_MAX;
    if (is_left_out(r, s, w->name)) return SNUG_OK;
    if (!name_out(r, s, w->name, &expert, name))
        return snug_fail(err, SNUG_EUNSUPPORTED,
                         "there is no place for the weight %.*s in a GGUF file of %s",
                         SNUG_SLICE(w->name), r->arch);
    if (expert != SIZE_MAX) return add_expert(p, w, name, expert, s->decoder.experts, err);
    if (out_named(p, name) != NULL)
        return snug_fail(err, SNUG_ECORRUPT, "the weight %.*s is there under two names",
                         SNUG_SLICE(w->name));
    gguf_out *o = gguf_add_out(p, name);
    o->list = SNUG_NEW(p->arena, const weight *);
    o->list[0] = w;
    return SNUG_OK;
}

/* ---- sizes and order ---- */

static snug_status measure(gguf_out *o, const gguf_row *r, const model_shape *s, snug_err *err)
{
    if (o->values != NULL) return SNUG_OK;
    for (size_t i = 0; i < o->count; i++) {
        const weight *w = o->list[i], *first = o->list[0];
        if (w == NULL || w->rank != first->rank ||
            memcmp(w->shape, first->shape, sizeof w->shape) != 0)
            return snug_fail(err, SNUG_ECORRUPT, "%s: experts are missing or differ", o->name);
    }
    const weight *w = o->list[0];
    bool          stack = o->count > 1 || strstr(o->name, "_exps.") != NULL;
    if (w->rank == 0 || w->rank + stack > CODEC_GGUF_RANK_MAX)
        return snug_fail(err, SNUG_EUNSUPPORTED, "%.*s has %u dimensions", SNUG_SLICE(w->name),
                         w->rank);
    o->turned = (r->flags & GGUF_TURNED) != 0 && w->rank == 2 &&
                (strstr(o->name, ".attn_") != NULL || strstr(o->name, ".ffn_") != NULL);
    o->plus_one = (r->flags & GGUF_PLUS_ONE) != 0 && strstr(o->name, "norm.weight") != NULL;
    if ((r->flags & GGUF_PAIRS) != 0) {
        if (strstr(o->name, ".attn_q.") != NULL) o->pair_heads = s->heads;
        if (strstr(o->name, ".attn_k.") != NULL) o->pair_heads = s->kv_heads;
    }
    if ((r->flags & GGUF_APART) != 0 && strstr(o->name, ".attn_qkv.") != NULL) {
        o->groups = s->kv_heads, o->each = s->heads / s->kv_heads;
        if (w->shape[0] % (o->groups * (o->each + 2)) != 0)
            return snug_fail(err, SNUG_ECORRUPT, "%.*s does not split into %zu groups",
                             SNUG_SLICE(w->name), o->groups);
    }
    o->rank = w->rank + stack;
    for (unsigned i = 0; i < w->rank; i++) o->dims[i] = w->shape[w->rank - 1 - i];
    if (o->turned) o->dims[0] = w->shape[0], o->dims[1] = w->shape[1];
    if (stack) o->dims[w->rank] = o->count;
    if (o->pair_heads > 0 && w->shape[0] % (2 * o->pair_heads) != 0)
        return snug_fail(err, SNUG_ECORRUPT, "%.*s does not split into %zu heads",
                         SNUG_SLICE(w->name), o->pair_heads);
    return SNUG_OK;
}

/* Before the layers, layer by layer, after them. */
static long place_of(const gguf_out *o)
{
    unsigned    layer;
    const char *at = strstr(o->name, "blk.");
    if (at != NULL && sscanf(at, "blk.%u.", &layer) == 1)
        return (strncmp(o->name, "dec.", 4) == 0 ? 1L << 24 : 1) + (long)layer;
    return strncmp(o->name, "output", 6) == 0 ? 1L << 30 : 0;
}

static int by_place(const void *x, const void *y)
{
    long a = place_of(x), b = place_of(y);
    if (a != b) return a < b ? -1 : 1;
    return strcmp(((const gguf_out *)x)->name, ((const gguf_out *)y)->name);
}

static void choose_types(gguf_plan *p)
{
    gguf_mix_state *s = &p->state;
    s->mix = p->mix;
    for (size_t i = 0; i < p->count; i++) {
        const char *name = p->outs[i].name;
        s->values +=
            strstr(name, "attn_v.weight") != NULL || strstr(name, "attn_qkv.weight") != NULL;
        s->has_output |= strcmp(name, "output.weight") == 0;
    }
    for (size_t i = 0; i < p->count; i++) {
        gguf_out *o = &p->outs[i];
        o->type = gguf_mix_pick(s, o->name, o->rank, (size_t)o->dims[0]);
    }
}

static void put_general(gguf_plan *p, const gguf_row *r, const char *dir)
{
    snug_slice path = snug_str(dir);
    while (path.len > 1 && path.ptr[path.len - 1] == '/') path.len--;
    size_t slash = snug_rindex(path, '/');
    if (slash != SIZE_MAX) path = snug_sub(path, slash + 1, path.len);
    gguf_put_str(p, "general.architecture", snug_str(r->arch));
    gguf_put_str(p, "general.type", SNUG_LIT("model"));
    if (path.len > 0 && snug_utf8_valid(path)) gguf_put_str(p, "general.name", path);
    gguf_put_u32(p, "general.quantization_version", 2);
    gguf_put_u32(p, "general.file_type", p->mix->file_type);
}

snug_status gguf_plan_folder(gguf_plan *p, const char *dir, snug_err *err)
{
    snug_status  st = SNUG_OK;
    model_shape *s = SNUG_NEW(p->arena, model_shape);
    SNUG_TRY(model_read_config(p->arena, dir, SNUG_EMPTY, &p->config, s, err));
    SNUG_TRY(weight_map_open(p->arena, dir, &p->map, err));
    SNUG_TRY(nested_weights(p->arena, s, p->map, err));
    const gguf_row *r = gguf_row_of_class(s);
    if (r == NULL || r->names[0] == NULL || s->decoder.stacked)
        SNUG_FAIL(err, SNUG_EUNSUPPORTED, "%s cannot be written as GGUF yet", s->class_name);
    SNUG_TRY(make_room(p, p->map->count, err));
    put_general(p, r, dir);
    SNUG_TRY(gguf_put_shape(p, r, s, err));
    for (size_t i = 0; i < p->map->count; i++)
        SNUG_TRY(add_weight(p, r, s, &p->map->items[i], err));
    if (s->head == MODEL_HEAD_SEQ2SEQ && s->scale_logits == (out_named(p, "output.weight") != NULL))
        SNUG_FAIL(err, SNUG_EUNSUPPORTED, "GGUF files of the architecture %s cannot say: logits %s",
                  r->arch,
                  s->scale_logits ? "scaled, from a matrix of their own"
                                  : "not scaled, from the embeddings");
    for (size_t i = 0; i < p->count; i++) SNUG_TRY(measure(&p->outs[i], r, s, err));
    qsort(p->outs, p->count, sizeof *p->outs, by_place);
    p->state.layers = s->layers;
    p->state.experts = s->decoder.experts;
    p->state.queries_per_key = s->heads / s->kv_heads;
    choose_types(p);
done:
    return st;
}

/* ---- from one GGUF file to another ---- */

static snug_status copy_tensor(gguf_plan *p, const codec_gguf_tensor *t, const char *data,
                               snug_err *err)
{
    weight *w = SNUG_NEW(p->arena, weight);
    if (t->name.len >= GGUF_NAME_BYTES || !gguf_type_of(t->type, &w->dtype))
        return snug_fail(err, SNUG_EUNSUPPORTED, "%.*s is stored as %s, which is not supported",
                         SNUG_SLICE(snug_sub(t->name, 0, GGUF_NAME_BYTES)), t->type->name);
    gguf_out *o = gguf_add_out(p, snug_arena_cstr(p->arena, t->name));
    o->list = SNUG_NEW(p->arena, const weight *);
    o->list[0] = w;
    o->rank = t->rank;
    w->name = t->name, w->blocks = true, w->rank = t->rank, w->size = t->size, w->data = data;
    for (unsigned i = 0; i < t->rank; i++) {
        o->dims[i] = t->dims[i];
        w->shape[i] = t->dims[t->rank - 1 - i];
    }
    return SNUG_OK;
}

static uint64_t number_or(const gguf_src *g, const char *key, uint64_t dflt)
{
    const codec_gguf_value *v = gguf_get_own(g, key);
    codec_gguf_value        first;
    uint64_t                n = dflt;
    if (v != NULL && v->kind == CODEC_GGUF_ARRAY && v->count > 0) {
        first = codec_gguf_at(v, 0);
        v = &first;
    }
    return codec_gguf_to_u64(v, &n) ? n : dflt;
}

snug_status gguf_plan_file(gguf_plan *p, const char *path, snug_err *err)
{
    snug_status st = SNUG_OK;
    gguf_src    g;
    size_t      total = 0;
    SNUG_TRY(gguf_open(p->arena, path, &g, err));
    for (size_t i = 0; i < g.count; i++) total += g.parts[i].tensor_count;
    SNUG_TRY(make_room(p, total, err));
    for (size_t i = 0; i < g.parts[0].kv_count; i++) {
        const codec_gguf_kv *kv = &g.parts[0].kvs[i];
        if (snug_starts_with(kv->key, "split.") || snug_eq_str(kv->key, "general.alignment"))
            continue;
        gguf_put(p, kv->key, kv->value);
    }
    gguf_put_u32(p, "general.quantization_version", 2);
    gguf_put_u32(p, "general.file_type", p->mix->file_type);
    for (size_t i = 0; i < g.count; i++)
        for (size_t k = 0; k < g.parts[i].tensor_count; k++) {
            const codec_gguf_tensor *t = &g.parts[i].tensors[k];
            SNUG_TRY(copy_tensor(p, t, g.files[i] + g.parts[i].data_offset + t->offset, err));
        }
    qsort(p->outs, p->count, sizeof *p->outs, by_place);
    uint64_t heads = number_or(&g, "attention.head_count", 1),
             keys = number_or(&g, "attention.head_count_kv", heads);
    p->state.layers = (size_t)number_or(&g, "block_count", 1);
    p->state.experts = (size_t)number_or(&g, "expert_count", 0);
    p->state.queries_per_key = keys == 0 ? 1 : (size_t)(heads / keys);
    choose_types(p);
done:
    return st;
}
