/* SPDX-License-Identifier: Apache-2.0 */
/* infer/params.c - generation parameters: the request's, over the folder's, over the defaults.
 *
 * For:     generation over ids and over text.
 * Owns:    nothing.
 * Threads: pure functions.
 * Truth:   a parameter that asks for something not built here is refused by name, never ignored. */
#include "infer/infer_int.h"

#include <math.h>

snug_json gen_param(snug_json params, snug_json generation, const char *key)
{
    snug_json v = snug_json_get(params, key);
    if (snug_json_is(v, SNUG_JSON_ABSENT) || snug_json_is(v, SNUG_JSON_NULL))
        v = snug_json_get(generation, key);
    return v;
}

static bool said(snug_json v)
{
    return !snug_json_is(v, SNUG_JSON_ABSENT) && !snug_json_is(v, SNUG_JSON_NULL);
}

/* A number of the request or the folder, between two limits (inclusive;
 * above: greater than min). */
typedef struct number_rule {
    const char *key;
    double      min, max;
    bool        above;
    size_t      at; /* of a double in sample_conf */
} number_rule;

static snug_status read_number(const number_rule *r, snug_json v, double *out, snug_err *err)
{
    if (!said(v)) return SNUG_OK;
    double n;
    if (!snug_json_to_f64(v, &n))
        return snug_fail(err, SNUG_EINVAL, "`%s` must be a number", r->key);
    if (!(n >= r->min && n <= r->max) || (r->above && n == r->min))
        return snug_fail(err, SNUG_EINVAL, "`%s` must be %s %g and at most %g", r->key,
                         r->above ? "above" : "at least", r->min, r->max);
    *out = n;
    return SNUG_OK;
}

static snug_status read_count(const char *key, snug_json v, uint64_t max, uint64_t *out,
                              snug_err *err)
{
    if (!said(v)) return SNUG_OK;
    if (!snug_json_to_u64(v, out) || *out > max)
        return snug_fail(err, SNUG_EINVAL, "`%s` must be a whole number between 0 and %llu", key,
                         (unsigned long long)max);
    return SNUG_OK;
}

static snug_status read_numbers(snug_json params, snug_json generation, sample_conf *s,
                                snug_err *err)
{
    static const number_rule rules[] = {
        {"temperature", 0, 1e6, false, offsetof(sample_conf, temperature)},
        {"top_p", 0, 1, true, offsetof(sample_conf, top_p)},
        {"min_p", 0, 1, false, offsetof(sample_conf, min_p)},
        {"top_h", 0, 1, true, offsetof(sample_conf, top_h)},
        {"top_n_sigma", -1, 1e6, false, offsetof(sample_conf, top_n_sigma)},
        {"xtc_probability", 0, 1, false, offsetof(sample_conf, xtc_probability)},
        {"xtc_threshold", 0, 1, false, offsetof(sample_conf, xtc_threshold)},
        {"typical_p", 0, 1, true, offsetof(sample_conf, typical_p)},
        {"epsilon_cutoff", 0, 1, false, offsetof(sample_conf, epsilon_cutoff)},
        {"eta_cutoff", 0, 1, false, offsetof(sample_conf, eta_cutoff)},
        {"repetition_penalty", 0, 1e6, true, offsetof(sample_conf, repetition_penalty)},
        {"encoder_repetition_penalty", 0, 1e6, true,
         offsetof(sample_conf, encoder_repetition_penalty)},
        {"presence_penalty", -1e3, 1e3, false, offsetof(sample_conf, presence_penalty)},
        {"frequency_penalty", -1e3, 1e3, false, offsetof(sample_conf, frequency_penalty)},
    };
    snug_status st = SNUG_OK;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        SNUG_TRY(read_number(&rules[i], gen_param(params, generation, rules[i].key),
                             (double *)(void *)((char *)s + rules[i].at), err));
    static const struct {
        const char *key;
        uint64_t    max;
        size_t      at;
    } counts[] = {
        {"top_k", UINT32_MAX, offsetof(sample_conf, top_k)},
        {"no_repeat_ngram_size", 1024, offsetof(sample_conf, no_repeat_ngram_size)},
        {"encoder_no_repeat_ngram_size", 1024, offsetof(sample_conf, encoder_no_repeat_ngram_size)},
        {"min_new_tokens", MODEL_POSITIONS_MAX, offsetof(sample_conf, min_new_tokens)},
        {"min_tokens", MODEL_POSITIONS_MAX, offsetof(sample_conf, min_new_tokens)},
        {"min_length", MODEL_POSITIONS_MAX, offsetof(sample_conf, min_length)},
    };
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        snug_json v = gen_param(params, generation, counts[i].key);
        if (snug_json_i64_or(generation, counts[i].key, 0) == -1 && v.node != NULL &&
            snug_json_is(snug_json_get(params, counts[i].key), SNUG_JSON_ABSENT))
            continue; /* folders write -1 for none */
        SNUG_TRY(read_count(counts[i].key, v, counts[i].max,
                            (uint64_t *)(void *)((char *)s + counts[i].at), err));
    }
    if (s->min_new_tokens > 0) s->min_length = 0; /* the reference lets it win */
    if (s->top_n_sigma < 0) s->top_n_sigma = 0;
done:
    return st;
}

/* What would change the text and is not built here. */
static snug_status refuse_unbuilt(snug_json params, snug_err *err)
{
    static const struct {
        const char *key;
        double      off; /* the number that asks for nothing */
    } rows[] = {{"num_beam_groups", 1}, {"diversity_penalty", 0},
                {"penalty_alpha", 0},   {"guidance_scale", 1},
                {"negative_prompt", 0}, {"negative_prompt_ids", 0},
                {"grammar", 0},         {"response_format", 0},
                {"json_schema", 0},     {"guided_json", 0},
                {"guided_regex", 0},    {"guided_choice", 0},
                {"guided_grammar", 0},  {"structured_outputs", 0},
                {"watermark", 0},       {"watermarking_config", 0},
                {"adapter_id", 0},      {"lora", 0},
                {"force_words_ids", 0}, {"constraints", 0},
                {"assistant_model", 0}, {"prompt_lookup_num_tokens", 0},
                {"dola_layers", 0},     {"samplers", 0},
                {"dry_multiplier", 0},  {"mirostat", 0},
                {"dynatemp_range", 0},  {"token_healing", 0},
                {"custom_generate", 0}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snug_json v = snug_json_get(params, rows[i].key);
        bool      on = true;
        double    n;
        if (!said(v) || (snug_json_to_bool(v, &on) && !on)) continue;
        if (snug_json_to_f64(v, &n) && n == rows[i].off) continue;
        return snug_fail(err, SNUG_EUNSUPPORTED, "`%s` is not supported", rows[i].key);
    }
    return SNUG_OK;
}

/* Sampling when the request says so, or gives a knob of it; else as the
 * folder says; else greedy. */
static snug_status choose_mode(snug_json params, snug_json generation, sample_conf *s,
                               snug_err *err)
{
    static const char *const knobs[] = {"temperature", "top_k", "top_p",       "typical_p",
                                        "min_p",       "top_h", "top_n_sigma", "xtc_probability"};
    snug_json                v = snug_json_get(params, "do_sample");
    bool                     sample = false;
    if (said(v)) {
        if (!snug_json_to_bool(v, &sample))
            return snug_fail(err, SNUG_EINVAL, "`do_sample` must be true or false");
    } else {
        for (size_t i = 0; i < sizeof knobs / sizeof knobs[0]; i++)
            sample |= said(snug_json_get(params, knobs[i]));
        if (!sample) sample = snug_json_bool_or(generation, "do_sample", false);
    }
    /* Nearer to 0 than this, logits would leave float32; the limit of a falling temperature is
     * greedy. */
    s->greedy = !sample || s->temperature < 1e-5;
    return SNUG_OK;
}

static void add_eos(gen_conf *c, snug_json v)
{
    int64_t id;
    if (snug_json_to_i64(v, &id) && id >= 0 && id <= INT32_MAX && c->eos_count < INFER_EOS_MAX &&
        !gen_is_eos(c, (int32_t)id))
        c->eos[c->eos_count++] = (int32_t)id;
    for (size_t i = 0; i < snug_json_count(v) && snug_json_is(v, SNUG_JSON_ARRAY); i++) {
        if (snug_json_to_i64(snug_json_at(v, i), &id) && id >= 0 && id <= INT32_MAX &&
            c->eos_count < INFER_EOS_MAX && !gen_is_eos(c, (int32_t)id))
            c->eos[c->eos_count++] = (int32_t)id;
    }
}

bool gen_is_eos(const gen_conf *conf, int32_t id)
{
    for (size_t i = 0; i < conf->eos_count; i++)
        if (conf->eos[i] == id) return true;
    return false;
}

/* An id of the request, the folder, or the config. */
static int32_t special_id(snug_json params, snug_json generation, snug_json config, const char *key,
                          size_t vocab)
{
    int64_t   id;
    snug_json v = gen_param(params, generation, key);
    if (!said(v)) v = snug_json_get(config, key);
    return snug_json_to_i64(v, &id) && id >= 0 && (size_t)id < vocab ? (int32_t)id : -1;
}

static snug_status read_beams(snug_json params, snug_json generation, gen_conf *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_json   early = gen_param(params, generation, "early_stopping");
    snug_slice  word;
    bool        on;
    out->beams = 1;
    out->length_penalty = 1.0;
    SNUG_TRY(read_count("num_beams", gen_param(params, generation, "num_beams"), GEN_BEAMS_MAX,
                        &out->beams, err));
    if (out->beams == 0) SNUG_FAIL(err, SNUG_EINVAL, "`num_beams` must be above 0");
    SNUG_TRY(read_number(&(number_rule){"length_penalty", -1e3, 1e3, false, 0},
                         gen_param(params, generation, "length_penalty"), &out->length_penalty,
                         err));
    if (snug_json_to_bool(early, &on))
        out->early_stopping = on ? GEN_STOP_EARLY : GEN_STOP_LATE;
    else if (snug_json_to_str(early, &word) && snug_eq_str(word, "never"))
        out->early_stopping = GEN_STOP_NEVER;
    else if (said(early))
        SNUG_FAIL(err, SNUG_EINVAL, "`early_stopping` must be true, false or \"never\"");
done:
    return st;
}

/* How many texts come back, and what is told about them. */
static snug_status read_returns(snug_json params, snug_json generation, gen_conf *out,
                                snug_err *err)
{
    snug_status st = SNUG_OK;
    out->returns = out->best_of = 1;
    SNUG_TRY(read_count("num_return_sequences",
                        gen_param(params, generation, "num_return_sequences"), INFER_RETURNS_MAX,
                        &out->returns, err));
    SNUG_TRY(read_count("best_of", snug_json_get(params, "best_of"), INFER_RETURNS_MAX,
                        &out->best_of, err));
    SNUG_TRY(read_count("top_n_tokens", snug_json_get(params, "top_n_tokens"), INFER_TOP_MAX,
                        &out->top_n, err));
    if (out->returns == 0 || out->best_of == 0)
        SNUG_FAIL(err, SNUG_EINVAL, "`%s` must be above 0",
                  out->returns == 0 ? "num_return_sequences" : "best_of");
    if (out->best_of > 1 && (out->sample.greedy || out->beams > 1 || out->returns > 1))
        SNUG_FAIL(err, SNUG_EINVAL,
                  "`best_of` above 1 needs `do_sample`, without `num_beams` or "
                  "`num_return_sequences`");
    if (out->beams > 1 && out->returns > out->beams)
        SNUG_FAIL(err, SNUG_EINVAL, "`num_return_sequences` must be at most `num_beams`");
    if (out->beams == 1 && out->returns > 1 && out->sample.greedy)
        SNUG_FAIL(err, SNUG_EINVAL,
                  "`num_return_sequences` above 1 needs `do_sample` or `num_beams`: greedy texts "
                  "are all the same");
    if (out->top_n > out->vocab) out->top_n = out->vocab;
done:
    return st;
}

/* Keys that may also stand in the config of a folder without generation_config.json. */
static snug_json old_param(snug_json params, snug_json generation, snug_json config,
                           const char *key)
{
    snug_json v = gen_param(params, generation, key);
    return said(v) ? v : snug_json_get(config, key);
}

static snug_status read_lists(snug_arena *a, snug_json params, snug_json generation,
                              snug_json config, gen_conf *out, snug_err *err)
{
    static const struct {
        const char *key;
        size_t      at;
    } lists[] = {{"suppress_tokens", offsetof(sample_conf, suppress)},
                 {"begin_suppress_tokens", offsetof(sample_conf, begin_suppress)},
                 {"forced_eos_token_id", offsetof(sample_conf, forced_last)}};
    snug_status  st = SNUG_OK;
    sample_conf *s = &out->sample;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        SNUG_TRY(gen_read_ids(a, lists[i].key, old_param(params, generation, config, lists[i].key),
                              SIZE_MAX, (id_list *)(void *)((char *)s + lists[i].at), err));
    SNUG_TRY(gen_read_biases(a, gen_param(params, generation, "sequence_bias"),
                             snug_json_get(params, "logit_bias"), out->vocab, s, err));
    SNUG_TRY(gen_read_bad(a, old_param(params, generation, config, "bad_words_ids"), NULL, 0,
                          SIZE_MAX, out, err)); /* folders list ids that only pad */
    SNUG_TRY(gen_read_forced(a, gen_param(params, generation, "forced_decoder_ids"), out->vocab, s,
                             err));
done:
    return st;
}

/* [start, factor] */
static snug_status read_decay(snug_json v, sample_conf *s, snug_err *err)
{
    if (!said(v)) return SNUG_OK;
    if (snug_json_count(v) != 2 || !snug_json_to_u64(snug_json_at(v, 0), &s->decay_start) ||
        !snug_json_to_f64(snug_json_at(v, 1), &s->decay) || !(s->decay > 0))
        return snug_fail(err, SNUG_EINVAL,
                         "`exponential_decay_length_penalty` must be [start, factor]");
    return SNUG_OK;
}

static snug_status read_switch(const char *key, snug_json v, bool *out, snug_err *err)
{
    if (said(v) && !snug_json_to_bool(v, out))
        return snug_fail(err, SNUG_EINVAL, "`%s` must be true or false", key);
    return SNUG_OK;
}

static snug_status read_lengths(snug_json params, snug_json generation, gen_conf *out,
                                snug_err *err)
{
    snug_status st = SNUG_OK;
    uint64_t    fresh = UINT64_MAX, all = UINT64_MAX;
    snug_json   asked = snug_json_get(params, "max_length"), own;
    bool        length = said(asked) && !said(snug_json_get(params, "max_new_tokens"));
    own = length ? snug_json_get(params, "max_new_tokens") /* absent: the folder's is overruled */
                 : gen_param(params, generation, "max_new_tokens");
    SNUG_TRY(read_count("max_new_tokens", own, MODEL_POSITIONS_MAX, &fresh, err));
    SNUG_TRY(read_count("max_length", length ? asked : snug_json_get(generation, "max_length"),
                        MODEL_POSITIONS_MAX, &all, err));
    out->max_new_tokens = fresh == UINT64_MAX ? SIZE_MAX : (size_t)fresh;
    out->max_length = all == UINT64_MAX || fresh != UINT64_MAX ? SIZE_MAX : (size_t)all;
    out->length_asked = length;
    SNUG_TRY(read_number(&(number_rule){"max_time", 0, 1e9, true, 0},
                         gen_param(params, generation, "max_time"), &out->max_time_s, err));
done:
    return st;
}

static snug_status read_ends(snug_json params, snug_json generation, snug_json config,
                             gen_conf *out, snug_err *err)
{
    static const char *const ignores[] = {"ignore_eos_token", "ignore_eos"};
    bool                     ignore = false;
    for (size_t i = 0; i < 2; i++) {
        snug_status st = read_switch(ignores[i], snug_json_get(params, ignores[i]), &ignore, err);
        if (st != SNUG_OK) return st;
        if (ignore) return SNUG_OK;
    }
    add_eos(out, snug_json_get(params, "stop_token_ids"));
    if (said(snug_json_get(params, "eos_token_id"))) {
        add_eos(out, snug_json_get(params, "eos_token_id"));
    } else {
        add_eos(out, snug_json_get(generation, "eos_token_id"));
        add_eos(out, snug_json_get(config, "eos_token_id"));
    }
    return SNUG_OK;
}

snug_status gen_conf_read(snug_arena *a, snug_json params, snug_json generation, snug_json config,
                          size_t vocab, gen_conf *out, snug_err *err)
{
    snug_status  st = SNUG_OK;
    sample_conf *s = &out->sample;
    int64_t      pad;
    bool         old = !snug_json_is(generation, SNUG_JSON_OBJECT);
    *out = (gen_conf){.sample = sample_conf_off(), .vocab = vocab, .pad = -1};
    s->xtc_threshold = 0.1;
    if (said(params) && !snug_json_is(params, SNUG_JSON_OBJECT))
        return snug_fail(err, SNUG_EINVAL, "`parameters` must be an object");
    SNUG_TRY(refuse_unbuilt(params, err));
    SNUG_TRY(read_numbers(params, generation, s, err));
    SNUG_TRY(choose_mode(params, generation, s, err));
    SNUG_TRY(read_lengths(params, generation, out, err));
    s->seed = snug_random_u64() >> 11; /* JSON readers keep 53 bits */
    SNUG_TRY(read_count("seed", snug_json_get(params, "seed"), UINT64_MAX, &s->seed, err));
    SNUG_TRY(read_ends(params, generation, config, out, err));
    snug_json v = old_param(params, generation, config, "pad_token_id");
    if (snug_json_to_i64(v, &pad) && pad >= 0 && (size_t)pad < vocab) out->pad = (int32_t)pad;
    s->forced_first = special_id(params, generation, config, "forced_bos_token_id", vocab);
    out->start = special_id(params, generation, config, "decoder_start_token_id", vocab);
    SNUG_TRY(read_switch("remove_invalid_values",
                         gen_param(params, generation, "remove_invalid_values"), &s->remove_invalid,
                         err));
    SNUG_TRY(read_switch("renormalize_logits", gen_param(params, generation, "renormalize_logits"),
                         &s->renormalize, err));
    SNUG_TRY(read_decay(old_param(params, generation, old ? config : (snug_json){NULL},
                                  "exponential_decay_length_penalty"),
                        s, err));
    SNUG_TRY(read_lists(a, params, generation, config, out, err));
    SNUG_TRY(read_beams(params, generation, out, err));
    SNUG_TRY(read_returns(params, generation, out, err));
done:
    return st;
}
