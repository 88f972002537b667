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
        {"typical_p", 0, 1, true, offsetof(sample_conf, typical_p)},
        {"epsilon_cutoff", 0, 1, false, offsetof(sample_conf, epsilon_cutoff)},
        {"eta_cutoff", 0, 1, false, offsetof(sample_conf, eta_cutoff)},
        {"repetition_penalty", 0, 1e6, true, offsetof(sample_conf, repetition_penalty)},
        {"presence_penalty", -1e3, 1e3, false, offsetof(sample_conf, presence_penalty)},
        {"frequency_penalty", -1e3, 1e3, false, offsetof(sample_conf, frequency_penalty)},
    };
    snug_status st = SNUG_OK;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        SNUG_TRY(read_number(&rules[i], gen_param(params, generation, rules[i].key),
                             (double *)(void *)((char *)s + rules[i].at), err));
    SNUG_TRY(
        read_count("top_k", gen_param(params, generation, "top_k"), UINT32_MAX, &s->top_k, err));
    SNUG_TRY(read_count("no_repeat_ngram_size",
                        gen_param(params, generation, "no_repeat_ngram_size"), 1024,
                        &s->no_repeat_ngram_size, err));
    SNUG_TRY(read_count("min_new_tokens", gen_param(params, generation, "min_new_tokens"),
                        MODEL_POSITIONS_MAX, &s->min_new_tokens, err));
done:
    return st;
}

/* What would change the text and is not built here. */
static snug_status refuse_unbuilt(snug_json params, snug_err *err)
{
    static const char *const counts[] = {"num_beam_groups", "num_return_sequences", "best_of"};
    static const char *const switches[] = {
        "penalty_alpha",   "grammar",        "response_format",
        "watermark",       "adapter_id",     "decoder_input_details",
        "top_n_tokens",    "guidance_scale", "diversity_penalty",
        "force_words_ids", "constraints",    "assistant_model",
        "logit_bias",      "sequence_bias"};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        if (snug_json_i64_or(params, counts[i], 1) != 1)
            return snug_fail(err, SNUG_EUNSUPPORTED, "`%s` other than 1 is not supported",
                             counts[i]);
    for (size_t i = 0; i < sizeof switches / sizeof switches[0]; i++) {
        snug_json v = snug_json_get(params, switches[i]);
        bool      on = true;
        double    n;
        if (!said(v) || (snug_json_to_bool(v, &on) && !on)) continue;
        if (snug_json_to_f64(v, &n) && n == 0) continue;
        return snug_fail(err, SNUG_EUNSUPPORTED, "`%s` is not supported", switches[i]);
    }
    return SNUG_OK;
}

/* Sampling when the request says so, or gives a knob of it; else as the
 * folder says; else greedy. */
static snug_status choose_mode(snug_json params, snug_json generation, sample_conf *s,
                               snug_err *err)
{
    static const char *const knobs[] = {"temperature", "top_k", "top_p", "typical_p", "min_p"};
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

/* Lists of ids that must not follow each other; those of one id are bans. */
static snug_status read_banned(snug_json list, gen_conf *out, snug_err *err)
{
    for (size_t i = 0; snug_json_is(list, SNUG_JSON_ARRAY) && i < snug_json_count(list); i++) {
        snug_json word = snug_json_at(list, i);
        int64_t   id;
        if (snug_json_count(word) != 1 || !snug_json_to_i64(snug_json_at(word, 0), &id) || id < 0 ||
            id > INT32_MAX)
            return snug_fail(err, SNUG_EUNSUPPORTED,
                             "`bad_words_ids` of more than one id are not supported");
        if (out->banned_count == INFER_EOS_MAX)
            return snug_fail(err, SNUG_ELIMIT, "more than %d `bad_words_ids`", INFER_EOS_MAX);
        out->banned[out->banned_count++] = (int32_t)id;
    }
    return SNUG_OK;
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
    if (out->beams > 1 && !out->sample.greedy)
        SNUG_FAIL(err, SNUG_EUNSUPPORTED, "`num_beams` together with sampling is not supported");
done:
    return st;
}

snug_status gen_conf_read(snug_json params, snug_json generation, snug_json config, size_t vocab,
                          gen_conf *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    uint64_t    count = UINT64_MAX;
    int64_t     pad;
    *out = (gen_conf){.sample = sample_conf_off(), .vocab = vocab, .pad = -1};
    if (!snug_json_is(params, SNUG_JSON_ABSENT) && !snug_json_is(params, SNUG_JSON_NULL) &&
        !snug_json_is(params, SNUG_JSON_OBJECT))
        return snug_fail(err, SNUG_EINVAL, "`parameters` must be an object");
    SNUG_TRY(refuse_unbuilt(params, err));
    SNUG_TRY(read_numbers(params, generation, &out->sample, err));
    SNUG_TRY(choose_mode(params, generation, &out->sample, err));
    SNUG_TRY(read_count("max_new_tokens", gen_param(params, generation, "max_new_tokens"),
                        MODEL_POSITIONS_MAX, &count, err));
    out->max_new_tokens = count == UINT64_MAX ? SIZE_MAX : (size_t)count;
    out->sample.seed = snug_random_u64();
    SNUG_TRY(read_count("seed", snug_json_get(params, "seed"), UINT64_MAX, &out->sample.seed, err));
    if (said(snug_json_get(params, "eos_token_id"))) {
        add_eos(out, snug_json_get(params, "eos_token_id"));
    } else {
        add_eos(out, snug_json_get(generation, "eos_token_id"));
        add_eos(out, snug_json_get(config, "eos_token_id"));
    }
    snug_json v = gen_param(params, generation, "pad_token_id");
    if (!said(v)) v = snug_json_get(config, "pad_token_id");
    if (snug_json_to_i64(v, &pad) && pad >= 0 && (size_t)pad < vocab) out->pad = (int32_t)pad;
    out->forced_first = special_id(params, generation, config, "forced_bos_token_id", vocab);
    out->forced_last = special_id(params, generation, config, "forced_eos_token_id", vocab);
    out->start = special_id(params, generation, config, "decoder_start_token_id", vocab);
    v = gen_param(params, generation, "bad_words_ids");
    SNUG_TRY(read_banned(said(v) ? v : snug_json_get(config, "bad_words_ids"), out, err));
    SNUG_TRY(read_beams(params, generation, out, err));
done:
    return st;
}
