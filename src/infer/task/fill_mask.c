/* SPDX-License-Identifier: Apache-2.0 */
/* infer/task/fill_mask.c - words for a mask: [{"score", "token", "token_str", "sequence"}], best
 * first; with several masks in the text an array of these per mask. */
#include "infer/infer_int.h"

#include <math.h>
#include <stdlib.h>

enum { TOP_K_DEFAULT = 5, TOP_K_MAX = 1000, TARGETS_MAX = 1000 };

typedef struct guess {
    uint32_t id;
    double   score;
} guess;

/* What the request wants to see. */
typedef struct wish {
    uint64_t top_k;
    uint32_t targets[TARGETS_MAX];
    size_t   target_count; /* 0: the whole vocabulary */
} wish;

static int best_first(const void *a, const void *b)
{
    const guess *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

static bool given(snug_json v)
{
    return !snug_json_is(v, SNUG_JSON_ABSENT) && !snug_json_is(v, SNUG_JSON_NULL);
}

static snug_status mask_id(const infer_ctx *c, uint32_t *out, snug_err *err)
{
    static const char *const usual[] = {"[MASK]", "<mask>"};
    snug_json                v = snug_json_get(c->tok_config, "mask_token");
    snug_slice               name;
    if (snug_json_is(v, SNUG_JSON_OBJECT)) v = snug_json_get(v, "content");
    if (snug_json_to_str(v, &name) && tok_token_to_id(c->tok, name, out)) return SNUG_OK;
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++)
        if (tok_token_to_id(c->tok, snug_str(usual[i]), out)) return SNUG_OK;
    return snug_fail(err, SNUG_EUNSUPPORTED, "this model's tokenizer has no mask token");
}

/* A word's id; one that is no single token stands for its first one. */
static snug_status target_id(infer_ctx *c, snug_json v, tok_ids *parts, uint32_t *out,
                             snug_err *err)
{
    snug_slice word;
    if (!snug_json_to_str(v, &word))
        return snug_fail(err, SNUG_EINVAL, "`targets` must be strings");
    if (tok_token_to_id(c->tok, word, out)) return SNUG_OK;
    snug_status st = tok_encode(c->tok, word, 0, parts, err);
    if (st != SNUG_OK) return st;
    if (parts->count == 0)
        return snug_fail(err, SNUG_EINVAL, "the target \"%.*s\" has no token", SNUG_SLICE(word));
    *out = parts->ids[0];
    return SNUG_OK;
}

static snug_status read_wish(infer_ctx *c, snug_json params, size_t vocab, wish *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_json   k = snug_json_get(params, "top_k"), list = snug_json_get(params, "targets");
    tok_ids     parts = {0};
    bool        many = snug_json_is(list, SNUG_JSON_ARRAY);
    size_t      n = !given(list) ? 0 : many ? snug_json_count(list) : 1;
    out->top_k = TOP_K_DEFAULT;
    out->target_count = 0;
    if (given(k) &&
        (!snug_json_to_u64(k, &out->top_k) || out->top_k == 0 || out->top_k > TOP_K_MAX))
        return snug_fail(err, SNUG_EINVAL, "`top_k` must lie between 1 and %d", TOP_K_MAX);
    if (given(list) && (n == 0 || n > TARGETS_MAX))
        return snug_fail(err, SNUG_EINVAL, "`targets` must hold between 1 and %d words",
                         TARGETS_MAX);
    for (size_t i = 0; i < n; i++) {
        uint32_t id;
        SNUG_TRY(target_id(c, many ? snug_json_at(list, i) : list, &parts, &id, err));
        bool seen = id >= vocab;
        for (size_t t = 0; t < out->target_count; t++) seen |= out->targets[t] == id;
        if (!seen) out->targets[out->target_count++] = id;
    }
done:
    tok_ids_deinit(&parts);
    return st;
}

/* The softmax is over the whole vocabulary, also when only targets are shown. */
static size_t rank_guesses(const float *logits, size_t vocab, const wish *w, guess *out)
{
    double best = -INFINITY, sum = 0;
    size_t n = w->target_count > 0 ? w->target_count : vocab;
    for (size_t i = 0; i < vocab; i++) best = fmax(best, (double)logits[i]);
    for (size_t i = 0; i < vocab; i++) sum += exp((double)logits[i] - best);
    for (size_t i = 0; i < n; i++) {
        uint32_t id = w->target_count > 0 ? w->targets[i] : (uint32_t)i;
        out[i] = (guess){id, (double)(float)(exp((double)logits[id] - best) / sum)};
    }
    qsort(out, n, sizeof *out, best_first);
    return n;
}

static snug_status put_guess(infer_ctx *c, const tok_ids *ids, size_t at, const guess *g,
                             bool alone, snug_json_out *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    uint32_t    old = ids->ids[at];
    SNUG_AUTO(snug_buf) word = snug_buf_init(INFER_TEXT_BYTES_MAX);
    SNUG_AUTO(snug_buf) sentence = snug_buf_init(INFER_TEXT_BYTES_MAX);
    SNUG_TRY(tok_decode(c->tok, &g->id, 1, false, &word, err));
    ids->ids[at] = g->id;
    st = tok_decode(c->tok, ids->ids, ids->count, alone, &sentence, err);
    ids->ids[at] = old;
    if (st != SNUG_OK) goto done;
    snug_jo_begin_object(out);
    snug_jo_kf64(out, "score", g->score);
    snug_jo_ku64(out, "token", g->id);
    snug_jo_kstr(out, "token_str", snug_buf_slice(&word));
    snug_jo_kstr(out, "sequence", snug_buf_slice(&sentence));
    snug_jo_end_object(out);
done:
    return st;
}

static snug_status one(infer_ctx *c, snug_json input, snug_json params, snug_json_out *out,
                       snug_err *err)
{
    snug_status st = SNUG_OK;
    size_t      vocab = model_shape_of(c->model)->vocab, masks = 0;
    uint32_t    mask = 0;
    wish        w;
    tok_ids     ids = {0};
    float      *logits = NULL;
    tensor      t;
    guess      *list = snug_alloc((vocab > TARGETS_MAX ? vocab : TARGETS_MAX) * sizeof *list);
    SNUG_TRY(mask_id(c, &mask, err));
    SNUG_TRY(read_wish(c, params, vocab, &w, err));
    SNUG_TRY(task_encode(c, input, params, &ids, err));
    for (size_t i = 0; i < ids.count; i++) masks += ids.ids[i] == mask;
    if (masks == 0) SNUG_FAIL(err, SNUG_EPAYLOAD, "the text holds no mask token");
    SNUG_TRY(task_forward(c, &ids, &logits, &t, err)); /* [1, T, V] */
    if (masks > 1) snug_jo_begin_array(out);
    for (size_t i = 0; i < ids.count && st == SNUG_OK; i++) {
        if (ids.ids[i] != mask) continue;
        size_t n = rank_guesses(logits + i * vocab, vocab, &w, list);
        snug_jo_begin_array(out);
        for (size_t g = 0; g < n && g < w.top_k && st == SNUG_OK; g++)
            st = put_guess(c, &ids, i, &list[g], masks == 1, out, err);
        snug_jo_end_array(out);
    }
    if (masks > 1) snug_jo_end_array(out);
done:
    free(list);
    free(logits);
    tok_ids_deinit(&ids);
    return st;
}

static snug_status run(infer_ctx *c, snug_json in, snug_json_out *out, snug_err *err)
{
    if (model_shape_of(c->model)->head != MODEL_HEAD_MASKED_LM)
        return snug_fail(err, SNUG_EUNSUPPORTED, "%s does not fill masks",
                         model_shape_of(c->model)->class_name);
    return task_each_input(c, in, false, out, one, err);
}

const infer_task task_fill_mask = {
    .name = "fill-mask", .help = "Words for the mask in a text", .run = run};
