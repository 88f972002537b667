/* SPDX-License-Identifier: Apache-2.0 */
/* model/nested.c - the text side of models that also see or hear.
 *
 * Their configuration holds that of a language model under "text_config"; their weights lie beside
 * those of towers, under names that depend on the version of transformers that wrote them:
 *
 *   4, early    language_model.model.layers.0...   language_model.lm_head...   vision_tower...
 *   4.52 on, 5  model.language_model.layers.0...   lm_head... model.vision_tower... Qwen2-VL
 * model.layers.0...                  lm_head...                  visual...
 *
 * For:     opening folders (model.c) and writing GGUF (gguf_plan.c).
 * Owns:    nothing.
 * Threads: pure functions.
 * Truth:   each weight is the text's, a known tower's, or refused by name; what is bound has the
 *          names that a model without towers would have. */
#include "model/weights_int.h"

/* X(class, model_type, text's model type when text_config does not say) */
static const struct wrapper {
    const char *class_name, *type, *text_type;
    bool        flat; /* old files: the text's keys and weights have no place of their own */
} wrappers[] = {
    {"Gemma3ForConditionalGeneration", "gemma3", "gemma3_text", false},
    {"Gemma3nForConditionalGeneration", "gemma3n", "gemma3n_text", false},
    {"Gemma4ForConditionalGeneration", "gemma4", "gemma4_text", false},
    {"Llama4ForConditionalGeneration", "llama4", "llama4_text", false},
    {"Mistral3ForConditionalGeneration", "mistral3", "mistral", false},
    {"Qwen2VLForConditionalGeneration", "qwen2_vl", "qwen2", true},
    {"Qwen2_5_VLForConditionalGeneration", "qwen2_5_vl", "qwen2", true},
    {"Qwen3VLForConditionalGeneration", "qwen3_vl", "qwen3", false},
    {"Qwen3_5ForConditionalGeneration", "qwen3_5", "qwen3_5_text", false},
    {"Qwen3_5MoeForConditionalGeneration", "qwen3_5_moe", "qwen3_5_moe_text", false},
    {"Qwen2AudioForConditionalGeneration", "qwen2_audio", "qwen2", false},
    {"LlavaForConditionalGeneration", "llava", "llama", false},
    {"LlavaNextForConditionalGeneration", "llava_next", "llama", false},
    {"LlavaOnevisionForConditionalGeneration", "llava_onevision", "qwen2", false},
    {"AyaVisionForConditionalGeneration", "aya_vision", "cohere2", false},
    {"InternVLForConditionalGeneration", "internvl", "qwen2", false},
    {"Idefics3ForConditionalGeneration", "idefics3", "llama", false},
    {"SmolVLMForConditionalGeneration", "smolvlm", "llama", false},
    {"VoxtralForConditionalGeneration", "voxtral", "llama", false},
};

/* A language model under another name, because it is part of a larger one. */
static const struct alias {
    const char *name, *type;
} aliases[] = {
    {"qwen2_vl_text", "qwen2"}, {"qwen2_5_vl_text", "qwen2"}, {"qwen3_vl_text", "qwen3"},
    {"qwen2_vl", "qwen2"},      {"qwen2_5_vl", "qwen2"},
};

/* Where the text's weights lie, and what that is called without towers; the first that fits. */
static const struct place {
    const char *from, *to;
} places[] = {
    {"model.language_model.", "model."},     {"language_model.model.", "model."},
    {"language_model.lm_head.", "lm_head."}, {"language_model.", "model."},
    {"model.text_model.", "model."},         {"lm_head.", "lm_head."},
};

/* Parts that a text passes by, with or without "model." in front. */
static const char *const towers[] = {
    "visual.",      "vision_tower.", "vision_model.", "vision_embed_tokens.",
    "audio_tower.", "embed_vision.", "embed_audio.",  "multi_modal_projector.",
    "connector.",   "image_newline", "mtp.",
};

/* ---- configuration ---- */

static const struct wrapper *wrapper_of(snug_slice class_name)
{
    for (size_t i = 0; i < sizeof wrappers / sizeof *wrappers; i++)
        if (snug_eq_str(class_name, wrappers[i].class_name)) return &wrappers[i];
    return NULL;
}

static snug_slice unaliased(snug_slice type)
{
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        if (snug_eq_str(type, aliases[i].name)) return snug_str(aliases[i].type);
    return type;
}

/* The class that a text of this type has on its own. */
static const char *text_class(snug_slice type)
{
    for (size_t i = 0; model_arch_at(i) != NULL; i++) {
        const model_arch *arch = model_arch_at(i);
        if (!snug_eq_str(type, arch->model_type)) continue;
        for (const struct model_class *c = arch->classes; c->name != NULL; c++)
            if (c->head == MODEL_HEAD_CAUSAL_LM) return c->name;
    }
    return NULL;
}

static bool is_absent(snug_json v)
{
    return snug_json_is(v, SNUG_JSON_ABSENT) || snug_json_is(v, SNUG_JSON_NULL);
}

/* The text's configuration, and what the outer one says for the whole. */
static void put_text_config(snug_json outer, snug_json text, bool flat, snug_slice type,
                            const char *class_name, snug_json_out *o)
{
    static const char *const shared[] = {"bos_token_id", "eos_token_id", "pad_token_id",
                                         "quantization_config", "tie_word_embeddings"};
    snug_jo_begin_object(o);
    for (snug_json_iter it = snug_json_iter_of(text); snug_json_next(&it);) {
        if (snug_eq_str(it.key, "architectures") || snug_eq_str(it.key, "model_type")) continue;
        snug_jo_key_slice(o, it.key);
        snug_jo_value(o, it.value);
    }
    for (size_t i = 0; i < sizeof shared / sizeof *shared && !flat; i++) {
        snug_json v = snug_json_get(outer, shared[i]);
        if (is_absent(v) || !snug_json_is(snug_json_get(text, shared[i]), SNUG_JSON_ABSENT))
            continue;
        snug_jo_key(o, shared[i]);
        snug_jo_value(o, v);
    }
    snug_jo_key(o, "model_type");
    snug_jo_str(o, type);
    snug_jo_key(o, "architectures");
    snug_jo_begin_array(o);
    snug_jo_cstr(o, class_name);
    snug_jo_end_array(o);
    snug_jo_end_object(o);
}

snug_status nested_config(snug_arena *a, snug_json *config, const char **wrapper, snug_err *err)
{
    snug_slice name = SNUG_EMPTY, type;
    (void)snug_json_to_str(snug_json_at(snug_json_get(*config, "architectures"), 0), &name);
    const struct wrapper *w = wrapper_of(name);
    snug_json             text = snug_json_get(*config, "text_config");
    *wrapper = NULL;
    if (w == NULL) return SNUG_OK;
    if (!snug_eq_str(snug_json_str_or(*config, "model_type", snug_str(w->type)), w->type))
        return snug_fail(err, SNUG_EUNSUPPORTED,
                         "config.json: class %s with another model type is not supported",
                         w->class_name);
    bool flat = w->flat && is_absent(text);
    if (flat) text = *config;
    if (!snug_json_is(text, SNUG_JSON_OBJECT))
        return snug_fail(err, SNUG_EINVAL, "config.json: \"text_config\" must be an object");
    type = unaliased(snug_json_str_or(text, "model_type", snug_str(w->text_type)));
    const char *class_name = text_class(type);
    if (class_name == NULL)
        return snug_fail(err, SNUG_EUNSUPPORTED,
                         "%s around a text of type \"%.*s\" is not supported", w->class_name,
                         SNUG_SLICE(type));
    SNUG_AUTO(snug_buf) b = snug_buf_init(2 * MODEL_CONFIG_BYTES_MAX);
    snug_json_out o = snug_json_out_init(&b);
    put_text_config(*config, text, flat, type, class_name, &o);
    snug_status st = snug_buf_check(&b, "the text's configuration", err);
    if (st != SNUG_OK) return st;
    *wrapper = w->class_name;
    return snug_json_parse(
        a, snug_buf_slice(&b),
        &(snug_json_opts){.flags = SNUG_JSON_NONFINITE, .size_max = 2 * MODEL_CONFIG_BYTES_MAX},
        config, err);
}

/* ---- weights ---- */

static bool is_tower(snug_slice name)
{
    if (snug_starts_with(name, "model.")) name = snug_sub(name, 6, SIZE_MAX);
    for (size_t i = 0; i < sizeof towers / sizeof *towers; i++)
        if (snug_starts_with(name, towers[i])) return true;
    return false;
}

static snug_status place_of(snug_arena *a, const char *wrapper, weight *w, bool *keep,
                            snug_err *err)
{
    *keep = true;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (!snug_starts_with(w->name, places[i].from)) continue;
        w->name =
            snug_arena_printf(a, "%s%.*s", places[i].to,
                              SNUG_SLICE(snug_sub(w->name, strlen(places[i].from), SIZE_MAX)));
        return SNUG_OK;
    }
    *keep = !is_tower(w->name);
    const struct wrapper *kind = wrapper_of(snug_str(wrapper));
    if (!*keep || (kind != NULL && kind->flat && snug_starts_with(w->name, "model.")))
        return SNUG_OK;
    return snug_fail(err, SNUG_EUNSUPPORTED, "the weight %.*s belongs to no known part of %s",
                     SNUG_SLICE(snug_sub(w->name, 0, 256)), wrapper);
}

snug_status nested_weights(snug_arena *a, model_shape *s, weight_map *w, snug_err *err)
{
    size_t kept = 0;
    if (s->wrapper == NULL) return SNUG_OK;
    for (size_t i = 0; i < w->count; i++) {
        bool        keep;
        snug_status st = place_of(a, s->wrapper, &w->items[i], &keep, err);
        if (st != SNUG_OK) return st;
        if (keep) w->items[kept++] = w->items[i];
    }
    w->count = kept;
    snug_status st = weight_map_sort(w, err);
    /* Writers put "tie_word_embeddings" in either configuration, or in both with two values: what
     * the files hold decides, as it does for the reference. */
    if (st == SNUG_OK && s->head == MODEL_HEAD_CAUSAL_LM)
        s->tied = weight_find(w, "lm_head.weight") == NULL;
    return st;
}
