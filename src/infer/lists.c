/* SPDX-License-Identifier: Apache-2.0 */
/* infer/lists.c - the generation parameters that are lists of ids.
 *
 * For:     params.c, and text.c for words that are spelt.
 * Owns:    nothing; what it reads lives in the caller's arena.
 * Threads: pure functions.
 * Truth:   every list is at most INFER_LISTS_MAX long. */
#include "infer/infer_int.h"

#include <math.h>

static bool said(snug_json v)
{
    return !snug_json_is(v, SNUG_JSON_ABSENT) && !snug_json_is(v, SNUG_JSON_NULL);
}

static snug_status count_of(const char *key, snug_json v, size_t *n, snug_err *err)
{
    bool list = snug_json_is(v, SNUG_JSON_ARRAY) || snug_json_is(v, SNUG_JSON_OBJECT);
    *n = list ? snug_json_count(v) : said(v) ? 1 : 0;
    if (*n > INFER_LISTS_MAX)
        return snug_fail(err, SNUG_ELIMIT, "`%s` has more than %d entries", key, INFER_LISTS_MAX);
    return SNUG_OK;
}

static snug_status read_id(const char *key, snug_json v, size_t vocab, int32_t *out, snug_err *err)
{
    int64_t id;
    if (!snug_json_to_i64(v, &id) || id < 0 || id > INT32_MAX)
        return snug_fail(err, SNUG_EINVAL, "`%s` must hold ids of tokens", key);
    if ((size_t)id >= vocab)
        return snug_fail(err, SNUG_EINVAL, "`%s`: this model has no token %lld", key,
                         (long long)id);
    *out = (int32_t)id;
    return SNUG_OK;
}

snug_status gen_read_ids(snug_arena *a, const char *key, snug_json v, size_t vocab, id_list *out,
                         snug_err *err)
{
    size_t      n;
    snug_status st = count_of(key, v, &n, err);
    if (st != SNUG_OK || n == 0) return st;
    int32_t *ids = snug_arena_alloc(a, n * sizeof *ids);
    for (size_t i = 0; i < n && st == SNUG_OK; i++)
        st = read_id(key, snug_json_is(v, SNUG_JSON_ARRAY) ? snug_json_at(v, i) : v, vocab, &ids[i],
                     err);
    *out = (id_list){ids, n};
    return st;
}

static snug_status read_sequence(snug_arena *a, const char *key, snug_json ids, float bias,
                                 size_t vocab, id_bias *out, snug_err *err)
{
    id_list     list = {NULL, 0};
    snug_status st = gen_read_ids(a, key, ids, vocab, &list, err);
    if (st == SNUG_OK && (list.count == 0 || !snug_json_is(ids, SNUG_JSON_ARRAY)))
        st = snug_fail(err, SNUG_EINVAL, "`%s` must hold lists of ids", key);
    *out = (id_bias){list.ids, list.count, bias};
    return st;
}

/* false: never. */
static snug_status read_bias(const char *key, snug_json v, float *out, snug_err *err)
{
    double n;
    bool   on;
    if (snug_json_to_bool(v, &on) && !on)
        *out = -INFINITY;
    else if (snug_json_to_f64(v, &n) && fabs(n) <= 1e6)
        *out = (float)n;
    else
        return snug_fail(err, SNUG_EINVAL, "`%s` must hold numbers", key);
    return SNUG_OK;
}

/* {"50256": -100} or [[50256, -100], [50257, false]] */
static snug_status read_logit_bias(snug_arena *a, snug_json v, size_t vocab, id_bias *out,
                                   snug_err *err)
{
    static const char *const key = "logit_bias";
    snug_status              st = SNUG_OK;
    size_t                   n = 0;
    for (snug_json_iter it = snug_json_iter_of(v); snug_json_next(&it); n++) {
        int32_t  *id = snug_arena_alloc(a, sizeof *id);
        int64_t   number;
        bool      pair = snug_json_is(v, SNUG_JSON_ARRAY);
        snug_json bias = pair ? snug_json_at(it.value, 1) : it.value;
        if (pair) {
            SNUG_TRY(read_id(key, snug_json_at(it.value, 0), vocab, id, err));
        } else if (!snug_parse_i64(it.key, &number) || number < 0 || (size_t)number >= vocab) {
            SNUG_FAIL(err, SNUG_EINVAL, "`%s`: this model has no token \"%.*s\"", key,
                      SNUG_SLICE(it.key));
        } else {
            *id = (int32_t)number;
        }
        out[n] = (id_bias){id, 1, 0};
        SNUG_TRY(read_bias(key, bias, &out[n].bias, err));
    }
done:
    return st;
}

snug_status gen_read_biases(snug_arena *a, snug_json sequences, snug_json logit, size_t vocab,
                            sample_conf *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    size_t      n, m;
    float       bias;
    if (said(sequences) && !snug_json_is(sequences, SNUG_JSON_ARRAY))
        SNUG_FAIL(err, SNUG_EINVAL, "`sequence_bias` must be a list of [[id, ...], bias]");
    if (said(logit) && !snug_json_is(logit, SNUG_JSON_ARRAY) &&
        !snug_json_is(logit, SNUG_JSON_OBJECT))
        SNUG_FAIL(err, SNUG_EINVAL, "`logit_bias` must be an object of ids and numbers");
    SNUG_TRY(count_of("sequence_bias", sequences, &n, err));
    SNUG_TRY(count_of("logit_bias", logit, &m, err));
    if (n + m == 0) return SNUG_OK;
    id_bias *list = snug_arena_zalloc(a, (n + m) * sizeof *list);
    for (size_t i = 0; i < n; i++) {
        snug_json one = snug_json_at(sequences, i);
        SNUG_TRY(read_bias("sequence_bias", snug_json_at(one, 1), &bias, err));
        SNUG_TRY(
            read_sequence(a, "sequence_bias", snug_json_at(one, 0), bias, vocab, &list[i], err));
    }
    SNUG_TRY(read_logit_bias(a, logit, vocab, list + n, err));
    out->biases = list;
    out->bias_count = n + m;
done:
    return st;
}

snug_status gen_read_bad(snug_arena *a, snug_json v, const id_list *more, size_t more_count,
                         size_t vocab, gen_conf *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    size_t      n, kept = out->sample.bad_count;
    if (said(v) && !snug_json_is(v, SNUG_JSON_ARRAY))
        SNUG_FAIL(err, SNUG_EINVAL, "`bad_words_ids` must be a list of lists of ids");
    SNUG_TRY(count_of("bad_words_ids", v, &n, err));
    if (n + more_count == 0) return SNUG_OK;
    id_bias *list = snug_arena_zalloc(a, (kept + n + more_count) * sizeof *list);
    if (kept > 0) memcpy(list, out->sample.bad, kept * sizeof *list);
    for (size_t i = 0; i < n + more_count; i++) {
        id_bias one = {0};
        if (i < n)
            SNUG_TRY(
                read_sequence(a, "bad_words_ids", snug_json_at(v, i), -INFINITY, vocab, &one, err));
        else
            one = (id_bias){more[i - n].ids, more[i - n].count, -INFINITY};
        if (one.count == 1 && gen_is_eos(out, one.ids[0])) continue; /* as the reference */
        list[kept++] = one;
    }
    out->sample.bad = list;
    out->sample.bad_count = kept;
done:
    return st;
}

snug_status gen_read_forced(snug_arena *a, snug_json v, size_t vocab, sample_conf *out,
                            snug_err *err)
{
    snug_status st = SNUG_OK;
    size_t      n;
    uint64_t    at;
    if (said(v) && !snug_json_is(v, SNUG_JSON_ARRAY))
        SNUG_FAIL(err, SNUG_EINVAL, "`forced_decoder_ids` must be a list of [place, id]");
    SNUG_TRY(count_of("forced_decoder_ids", v, &n, err));
    id_place *list = snug_arena_zalloc(a, (n + 1) * sizeof *list);
    for (size_t i = 0; i < n; i++) {
        snug_json one = snug_json_at(v, i);
        if (!snug_json_to_u64(snug_json_at(one, 0), &at) || at > MODEL_POSITIONS_MAX)
            SNUG_FAIL(err, SNUG_EINVAL, "`forced_decoder_ids` must be a list of [place, id]");
        if (!said(snug_json_at(one, 1))) continue; /* null: the model's own choice */
        list[out->forced_count].at = (size_t)at;
        SNUG_TRY(read_id("forced_decoder_ids", snug_json_at(one, 1), vocab,
                         &list[out->forced_count].id, err));
        out->forced_count++;
    }
    out->forced = list;
done:
    return st;
}
