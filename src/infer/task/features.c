/* SPDX-License-Identifier: Apache-2.0 */
/* infer/task/features.c - texts as vectors: feature-extraction and sentence-similarity.
 *
 * Sentence models (a folder with modules.json) give a vector per text, [texts, dimensions]; other
 * encoders the last hidden state of each text, [1, tokens, hidden_size]. `normalize`,
 * `prompt_name`, `truncate`, `truncation_direction` and `dimensions` stand beside `inputs`, or in
 * `parameters`. */
#include <math.h>
#include <stdlib.h>

#include "infer/sentence.h"

/* Where clients put an option: beside the inputs (huggingface_hub) or in the parameters. */
static snug_json option(snug_json in, const char *key)
{
    snug_json v = snug_json_get(in, key);
    return task_given(v) ? v : snug_json_get(snug_json_get(in, "parameters"), key);
}

static snug_status read_options(snug_json in, sentence_opts *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_slice  side = SNUG_LIT("right");
    bool        on = false;
    *out = (sentence_opts){.prompt = SNUG_EMPTY};
    (void)snug_json_to_str(option(in, "prompt_name"), &out->prompt);
    if (snug_json_to_bool(option(in, "truncate"), &on) ||
        snug_json_to_bool(option(in, "truncation"), &on))
        out->cut = on;
    if (snug_json_to_bool(option(in, "normalize"), &on)) out->normalize = on;
    (void)snug_json_to_str(option(in, "truncation_direction"), &side);
    out->cut_left = snug_eq_nocase(side, SNUG_LIT("left"));
    if (!out->cut_left && !snug_eq_nocase(side, SNUG_LIT("right")))
        SNUG_FAIL(err, SNUG_EINVAL, "`truncation_direction` is left or right, not \"%.*s\"",
                  SNUG_SLICE(side));
    snug_json dimensions = option(in, "dimensions");
    if (task_given(dimensions) &&
        (!snug_json_to_u64(dimensions, &out->dimensions) || out->dimensions == 0))
        SNUG_FAIL(err, SNUG_EINVAL, "`dimensions` must be a whole number above 0");
done:
    return st;
}

static void put_row(snug_json_out *out, const float *v, size_t n)
{
    snug_jo_begin_array(out);
    for (size_t i = 0; i < n; i++) snug_jo_f64(out, (double)v[i]);
    snug_jo_end_array(out);
}

/* [1, tokens, hidden_size] */
static snug_status put_states(infer_ctx *c, const sentence_opts *o, snug_slice text,
                              snug_json_out *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    float      *states = NULL;
    size_t      times, width;
    SNUG_TRY(sentence_states(c, o, text, &states, &times, &width, err));
    snug_jo_begin_array(out);
    snug_jo_begin_array(out);
    for (size_t i = 0; i < times; i++) put_row(out, states + i * width, width);
    snug_jo_end_array(out);
    snug_jo_end_array(out);
done:
    free(states);
    return st;
}

/* The strings of a list: free(). */
static snug_status strings_of(snug_json list, size_t n, const char *what, snug_slice **out,
                              snug_err *err)
{
    *out = snug_zalloc((n + 1) * sizeof **out); /* <= INFER_INPUTS_MAX */
    for (size_t i = 0; i < n; i++)
        if (!snug_json_to_str(snug_json_at(list, i), &(*out)[i]))
            return snug_fail(err, SNUG_EINVAL, "%s", what);
    return SNUG_OK;
}

static void free_rows(float **rows, size_t n)
{
    for (size_t i = 0; i < n; i++) free(rows[i]);
    free(rows);
}

/* A vector per text, or its states. */
static snug_status put_features(infer_ctx *c, const sentence_opts *o, const snug_slice *texts,
                                size_t count, snug_json_out *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    size_t      n = 0;
    if (c->sentence == NULL) {
        for (size_t i = 0; i < count && st == SNUG_OK; i++)
            st = put_states(c, o, texts[i], out, err);
        return st;
    }
    float **rows = snug_zalloc((count + 1) * sizeof *rows);
    st = sentence_embed_all(c, o, texts, count, rows, &n, err);
    for (size_t i = 0; i < count && st == SNUG_OK; i++) put_row(out, rows[i], n);
    free_rows(rows, count);
    return st;
}

static snug_status extract(infer_ctx *c, snug_json in, snug_json_out *out, snug_err *err)
{
    snug_status   st = SNUG_OK;
    snug_json     inputs = snug_json_get(in, "inputs");
    bool          many = snug_json_is(inputs, SNUG_JSON_ARRAY);
    size_t        n = many ? snug_json_count(inputs) : 1;
    snug_slice   *texts = NULL;
    sentence_opts o;
    SNUG_TRY(read_options(in, &o, err));
    SNUG_TRY(sentence_need_body(c, err));
    if (!task_given(inputs)) SNUG_FAIL(err, SNUG_EINVAL, "`inputs` is missing");
    if (n > INFER_INPUTS_MAX) SNUG_FAIL(err, SNUG_ELIMIT, "more than %d inputs", INFER_INPUTS_MAX);
    if (many) {
        SNUG_TRY(strings_of(inputs, n, "an input must be a string", &texts, err));
    } else {
        texts = snug_zalloc(sizeof *texts);
        if (!snug_json_to_str(inputs, texts))
            SNUG_FAIL(err, SNUG_EINVAL, "an input must be a string");
    }
    if (many || c->sentence != NULL) snug_jo_begin_array(out);
    SNUG_TRY(put_features(c, &o, texts, n, out, err));
    if (many || c->sentence != NULL) snug_jo_end_array(out);
done:
    free(texts);
    return st;
}

const infer_task task_feature_extraction = {
    .name = "feature-extraction", .help = "Texts as vectors", .run = extract};

/* ---- sentence-similarity: {"source_sentence", "sentences"} -> [cosine, ...] ---- */

static double cosine(const float *x, const float *y, size_t n)
{
    double xy = 0, xx = 0, yy = 0;
    for (size_t i = 0; i < n; i++) {
        xy += (double)x[i] * (double)y[i];
        xx += (double)x[i] * (double)x[i];
        yy += (double)y[i] * (double)y[i];
    }
    return xy / fmax(sqrt(xx) * sqrt(yy), 1e-8);
}

static snug_status compare(infer_ctx *c, snug_json in, snug_json_out *out, snug_err *err)
{
    snug_status   st = SNUG_OK;
    snug_json     inputs = snug_json_get(in, "inputs"), list = snug_json_get(inputs, "sentences");
    float        *source = NULL, **rows = NULL;
    size_t        n = 0, count = snug_json_count(list);
    snug_slice    text, *texts = NULL;
    sentence_opts o;
    SNUG_TRY(read_options(in, &o, err));
    SNUG_TRY(sentence_need_body(c, err));
    SNUG_TRY(snug_json_need_str(inputs, "source_sentence", &text, err));
    if (!snug_json_is(list, SNUG_JSON_ARRAY) || snug_json_count(list) > INFER_INPUTS_MAX)
        SNUG_FAIL(err, SNUG_EINVAL, "`sentences` is a list of at most %d strings",
                  INFER_INPUTS_MAX);
    SNUG_TRY(strings_of(list, count, "`sentences` is a list of strings", &texts, err));
    SNUG_TRY(sentence_embed(c, &o, text, &source, &n, err));
    rows = snug_zalloc((count + 1) * sizeof *rows);
    SNUG_TRY(sentence_embed_all(c, &o, texts, count, rows, &n, err));
    snug_jo_begin_array(out);
    for (size_t i = 0; i < count; i++) snug_jo_f64(out, (double)(float)cosine(source, rows[i], n));
    snug_jo_end_array(out);
done:
    free(source);
    free(texts);
    if (rows != NULL) free_rows(rows, count);
    return st;
}

const infer_task task_sentence_similarity = {.name = "sentence-similarity",
                                             .help = "How close sentences are to one of them",
                                             .run = compare};
