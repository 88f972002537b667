/* SPDX-License-Identifier: Apache-2.0 */
/* infer/task/token_classification.c - names and the like in a text.
 *
 *   none: [{"entity", "score", "index", "word", "start", "end"}], a row per token
 *   else: [{"entity_group", "score", "word", "start", "end"}], neighbours of one label together
 *
 * Offsets count code points. Long texts are read in windows when the request names a `stride`. How
 * tokens become words and words become groups is what transformers' pipeline does (4.57). */
#include <math.h>
#include <stdlib.h>

#include "infer/infer_int.h"

enum { IGNORED_MAX = 256 };

typedef enum strategy { JOIN_NONE, JOIN_SIMPLE, JOIN_FIRST, JOIN_AVERAGE, JOIN_MAX } strategy;

typedef struct wish {
    strategy   join;
    uint32_t   stride;
    bool       windows;
    snug_slice ignored[IGNORED_MAX];
    size_t     ignored_count;
} wish;

/* A token, a word or a group: `scores` are the shares of all labels, for what may still be joined.
 */
typedef struct entity {
    const float *scores;
    snug_slice   label, word;
    double       score;
    uint32_t     begin, end;
    size_t       index;
    bool         inside; /* goes on with the word before it */
} entity;

typedef struct list {
    entity *items;
    size_t  count;
} list;

typedef struct reader {
    infer_ctx  *c;
    snug_arena *a;
    task_text   text;
    wish        w;
    size_t      labels;
} reader;

/* ---- what is asked ---- */

static snug_status read_wish(snug_json params, wish *out, snug_err *err)
{
    static const char *const names[] = {"none", "simple", "first", "average", "max"};
    snug_slice name = snug_json_str_or(params, "aggregation_strategy", SNUG_LIT("simple"));
    snug_json  ignored = snug_json_get(params, "ignore_labels");
    snug_json  stride = snug_json_get(params, "stride");
    uint64_t   n = 0;
    bool       known = false;
    *out = (wish){.ignored = {SNUG_LIT("O")}, .ignored_count = 1};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!snug_eq_nocase(name, snug_str(names[i]))) continue;
        out->join = (strategy)i;
        known = true;
    }
    if (!known)
        return snug_fail(err, SNUG_EINVAL,
                         "`aggregation_strategy` is none, simple, first, average or max, not "
                         "\"%.*s\"",
                         SNUG_SLICE(name));
    if (task_given(stride)) {
        if (!snug_json_to_u64(stride, &n) || n > UINT32_MAX)
            return snug_fail(err, SNUG_EINVAL, "`stride` must be a whole number");
        if (out->join == JOIN_NONE)
            return snug_fail(err, SNUG_EINVAL, "`stride` needs an `aggregation_strategy`");
        out->stride = (uint32_t)n;
        out->windows = true;
    }
    if (!task_given(ignored)) return SNUG_OK;
    if (!snug_json_is(ignored, SNUG_JSON_ARRAY) || snug_json_count(ignored) > IGNORED_MAX)
        return snug_fail(err, SNUG_EINVAL, "`ignore_labels` is a list of at most %d labels",
                         (int)IGNORED_MAX);
    out->ignored_count = 0;
    for (size_t i = 0; i < snug_json_count(ignored); i++)
        if (!snug_json_to_str(snug_json_at(ignored, i), &out->ignored[out->ignored_count++]))
            return snug_fail(err, SNUG_EINVAL, "`ignore_labels` is a list of strings");
    return SNUG_OK;
}

static bool is_ignored(const wish *w, snug_slice label)
{
    for (size_t i = 0; i < w->ignored_count; i++)
        if (snug_eq(w->ignored[i], label)) return true;
    return false;
}

/* ---- labels of scores ---- */

static size_t largest(const float *scores, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (scores[i] > scores[best]) best = i;
    return best;
}

static void decide(const reader *r, const float *scores, entity *e)
{
    size_t best = largest(scores, r->labels);
    e->label = infer_label(r->c, r->a, best);
    e->score = (double)scores[best];
}

/* ---- tokens ---- */

static size_t count_points(snug_slice s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) n += ((unsigned char)s.ptr[i] & 0xc0) != 0x80;
    return n;
}

/* WordPiece marks what goes on; elsewhere a token begins a word when a space touches its start. */
static bool goes_on(const reader *r, snug_slice token, uint32_t begin, uint32_t end)
{
    if (tok_continuing_prefix(r->c->tok).len > 0) return count_points(token) != end - begin;
    return begin > 0 && snug_index(task_text_part(&r->text, begin - 1, begin + 1), ' ') == SIZE_MAX;
}

static list read_tokens(const reader *r, const tok_ids *ids, const float *scores)
{
    list     out = {snug_arena_zalloc(r->a, (ids->count + 1) * sizeof *out.items), 0};
    uint32_t unk = 0;
    bool     has_unk = infer_special_id(r->c, "unk_token", &unk);
    for (size_t i = 0; i < ids->count; i++) {
        if (ids->special[i] != 0) continue;
        entity *e = &out.items[out.count++];
        *e = (entity){.scores = scores + i * r->labels,
                      .word = tok_id_to_token(r->c->tok, ids->ids[i]),
                      .begin = ids->begin[i],
                      .end = ids->end[i],
                      .index = i};
        e->inside = goes_on(r, e->word, e->begin, e->end);
        if (has_unk && ids->ids[i] == unk) {
            e->word = task_text_part(&r->text, e->begin, e->end);
            e->inside = false;
        }
        decide(r, e->scores, e);
    }
    return out;
}

/* ---- words ---- */

static snug_status join_text(const reader *r, const entity *from, size_t n, snug_slice *out,
                             snug_err *err)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(INFER_TEXT_BYTES_MAX);
    snug_slice *words = snug_arena_alloc(r->a, n * sizeof *words);
    for (size_t i = 0; i < n; i++) words[i] = from[i].word;
    snug_status st = tok_decode_tokens(r->c->tok, words, n, &b, err);
    *out = snug_arena_dup(r->a, snug_buf_slice(&b));
    return st;
}

static void decide_word(const reader *r, const entity *from, size_t n, entity *out)
{
    const entity *chosen = from;
    if (r->w.join == JOIN_AVERAGE) {
        float *mean = snug_arena_zalloc(r->a, r->labels * sizeof *mean);
        for (size_t k = 0; k < r->labels; k++) {
            for (size_t i = 0; i < n; i++) mean[k] += from[i].scores[k];
            mean[k] /= (float)n;
        }
        decide(r, mean, out);
        return;
    }
    for (size_t i = 1; i < n && r->w.join == JOIN_MAX; i++)
        if (from[i].score > chosen->score) chosen = &from[i];
    decide(r, chosen->scores, out);
}

static snug_status make_words(const reader *r, const list *tokens, list *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    *out = (list){snug_arena_zalloc(r->a, (tokens->count + 1) * sizeof *out->items), 0};
    for (size_t i = 0, next; i < tokens->count && st == SNUG_OK; i = next) {
        const entity *from = &tokens->items[i];
        for (next = i + 1; next < tokens->count && tokens->items[next].inside; next++) continue;
        entity *word = &out->items[out->count++];
        decide_word(r, from, next - i, word);
        word->begin = from->begin;
        word->end = tokens->items[next - 1].end;
        st = join_text(r, from, next - i, &word->word, err);
    }
    return st;
}

/* ---- groups ---- */

/* "B-PER" begins a PER, "I-PER" goes on with it; a label without either goes on. */
static snug_slice tag_of(snug_slice label, bool *begins)
{
    *begins = snug_starts_with(label, "B-");
    return *begins || snug_starts_with(label, "I-") ? snug_sub(label, 2, SIZE_MAX) : label;
}

static bool same_group(const entity *before, const entity *next)
{
    bool       begins, ignored;
    snug_slice tag = tag_of(next->label, &begins);
    return snug_eq(tag_of(before->label, &ignored), tag) && !begins;
}

static snug_status make_groups(const reader *r, const list *words, list *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    *out = (list){snug_arena_zalloc(r->a, (words->count + 1) * sizeof *out->items), 0};
    for (size_t i = 0, next; i < words->count && st == SNUG_OK; i = next) {
        const entity *from = &words->items[i];
        double        sum = from->score;
        for (next = i + 1;
             next < words->count && same_group(&words->items[next - 1], &words->items[next]);
             next++)
            sum += words->items[next].score;
        entity *group = &out->items[out->count++];
        size_t  dash = snug_index(from->label, '-');
        group->label = dash == SIZE_MAX ? from->label : snug_sub(from->label, dash + 1, SIZE_MAX);
        group->score = (double)(float)(sum / (double)(next - i));
        group->begin = from->begin;
        group->end = words->items[next - 1].end;
        st = join_text(r, from, next - i, &group->word, err);
    }
    return st;
}

/* ---- windows ---- */

static int by_begin(const void *x, const void *y)
{
    const entity *a = x, *b = y;
    if (a->begin != b->begin) return a->begin < b->begin ? -1 : 1;
    return (a->index > b->index) - (a->index < b->index);
}

/* Of groups that overlap, since two windows saw the same words, the longer one holds; of equally
 * long ones the surer. */
static void settle_overlaps(list *all)
{
    size_t kept = 0;
    for (size_t i = 0; i < all->count; i++) all->items[i].index = i;
    if (all->count > 1) qsort(all->items, all->count, sizeof *all->items, by_begin);
    for (size_t i = 1; i < all->count; i++) {
        entity  *held = &all->items[kept], *e = &all->items[i];
        uint32_t now = e->end - e->begin, was = held->end - held->begin;
        bool     overlaps = held->begin <= e->begin && e->begin < held->end;
        if (!overlaps)
            all->items[++kept] = *e;
        else if (now > was || (now == was && e->score > held->score))
            *held = *e;
    }
    if (all->count > 0) all->count = kept + 1;
}

static snug_status read_window(const reader *r, const tok_ids *ids, list *all, snug_err *err)
{
    static const char *const name = "logits";
    snug_status              st = SNUG_OK;
    float                   *scores = NULL;
    tensor                   shape;
    list                     found, words;
    SNUG_TRY(task_run(r->c, ids, &name, 1, &scores, &shape, err)); /* [1, T, labels] */
    for (size_t i = 0; i < ids->count; i++) task_softmax(scores + i * r->labels, r->labels);
    found = read_tokens(r, ids, scores);
    words = found;
    if (r->w.join > JOIN_SIMPLE) SNUG_TRY(make_words(r, &found, &words, err));
    if (r->w.join != JOIN_NONE) SNUG_TRY(make_groups(r, &words, &found, err));
    entity *items = snug_arena_alloc(r->a, (all->count + found.count + 1) * sizeof *items);
    if (all->count > 0) memcpy(items, all->items, all->count * sizeof *items);
    all->items = items;
    for (size_t i = 0; i < found.count; i++)
        if (!is_ignored(&r->w, found.items[i].label)) items[all->count++] = found.items[i];
    for (size_t i = 0; i < all->count; i++) items[i].scores = NULL; /* they end here */
done:
    free(scores);
    return st;
}

static snug_status encode(const reader *r, tok_windows *out, snug_err *err)
{
    size_t         most = infer_context_max(r->c);
    tok_truncation rule = {.strategy = TOK_LONGEST_FIRST,
                           .length_max = (uint32_t)(most < UINT32_MAX ? most : UINT32_MAX),
                           .stride = r->w.stride};
    snug_status    st =
        tok_encode_windows(r->c->tok, r->text.bytes, NULL, TOK_ADD_SPECIAL, &rule, out, err);
    if (st == SNUG_OK && out->count > 1 && !r->w.windows)
        st = snug_fail_code(
            err, SNUG_EINVAL, "context_length_exceeded",
            "the text has more than the %zu tokens this model reads; a `stride` (16, "
            "say) reads it in windows",
            most);
    return st;
}

static void put(const reader *r, const list *all, snug_json_out *out)
{
    snug_jo_begin_array(out);
    for (size_t i = 0; i < all->count; i++) {
        const entity *e = &all->items[i];
        snug_jo_begin_object(out);
        snug_jo_kstr(out, r->w.join == JOIN_NONE ? "entity" : "entity_group", e->label);
        snug_jo_kf64(out, "score", e->score);
        if (r->w.join == JOIN_NONE) snug_jo_ku64(out, "index", e->index);
        snug_jo_kstr(out, "word", e->word);
        snug_jo_ku64(out, "start", e->begin);
        snug_jo_ku64(out, "end", e->end);
        snug_jo_end_object(out);
    }
    snug_jo_end_array(out);
}

static snug_status one(infer_ctx *c, snug_json input, snug_json params, snug_json_out *out,
                       snug_err *err)
{
    snug_status st = SNUG_OK;
    reader      r = {.c = c, .a = snug_arena_new(), .labels = model_shape_of(c->model)->labels};
    tok_windows windows = {0};
    list        all = {NULL, 0};
    snug_slice  text;
    SNUG_TRY(read_wish(params, &r.w, err));
    if (!snug_json_to_str(input, &text)) SNUG_FAIL(err, SNUG_EINVAL, "an input must be a string");
    SNUG_TRY(task_text_init(&r.text, r.a, text, err));
    SNUG_TRY(encode(&r, &windows, err));
    for (size_t i = 0; i < windows.count; i++)
        if (windows.items[i].count > 0) SNUG_TRY(read_window(&r, &windows.items[i], &all, err));
    if (windows.count > 1) settle_overlaps(&all);
    put(&r, &all, out);
done:
    tok_windows_deinit(&windows);
    snug_arena_free(r.a);
    return st;
}

static snug_status run(infer_ctx *c, snug_json in, snug_json_out *out, snug_err *err)
{
    if (model_shape_of(c->model)->head != MODEL_HEAD_TOKENS)
        return snug_fail(err, SNUG_EUNSUPPORTED, "%s does not label tokens",
                         model_shape_of(c->model)->class_name);
    return task_each_input(c, in, false, out, one, err);
}

const infer_task task_token_classification = {
    .name = "token-classification", .help = "Names and other labelled words of a text", .run = run};
