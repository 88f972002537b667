/* SPDX-License-Identifier: Apache-2.0 */
/* tok/train_write.c - what a trainer made, as tokenizer.json.
 *
 * For:     train.c.
 * Threads: pure. */
#include "tok/train.h"

static snug_json member(snug_json like, snug_json usual, bool has_like, const char *key)
{
    return snug_json_get(has_like ? like : usual, key);
}

static void put_part(snug_json_out *o, const char *key, snug_json v)
{
    snug_jo_key(o, key);
    if (v.node != NULL)
        snug_jo_value(o, v);
    else
        snug_jo_null(o);
}

/* ---- the post-processor: the same tokens, their new ids ---- */

static void put_remapped(snug_json_out *o, snug_json v, const tok_vocab *ids, unsigned depth);

static void put_id(snug_json_out *o, snug_slice token, const tok_vocab *ids, snug_json old)
{
    uint32_t id;
    if (tok_vocab_get(ids, token, &id))
        snug_jo_u64(o, id);
    else
        snug_jo_value(o, old);
}

/* {"id": "[CLS]", "ids": [..], "tokens": [..]} */
static void put_template_token(snug_json_out *o, snug_json v, const tok_vocab *ids)
{
    snug_json tokens = snug_json_get(v, "tokens");
    snug_jo_begin_object(o);
    for (snug_json_iter it = snug_json_iter_of(v); snug_json_next(&it);) {
        size_t i = 0;
        snug_jo_key_slice(o, it.key);
        if (!snug_eq_str(it.key, "ids")) {
            snug_jo_value(o, it.value);
            continue;
        }
        snug_jo_begin_array(o);
        for (snug_json_iter k = snug_json_iter_of(it.value); snug_json_next(&k); i++) {
            snug_slice token = SNUG_EMPTY;
            (void)snug_json_to_str(snug_json_at(tokens, i), &token);
            put_id(o, token, ids, k.value);
        }
        snug_jo_end_array(o);
    }
    snug_jo_end_object(o);
}

static void put_member(snug_json_out *o, snug_slice type, snug_slice key, snug_json v,
                       const tok_vocab *ids, unsigned depth)
{
    snug_slice token = SNUG_EMPTY;
    bool       pair = snug_eq_str(key, "sep") || snug_eq_str(key, "cls");
    if (pair && snug_json_count(v) == 2 && snug_json_to_str(snug_json_at(v, 0), &token)) {
        snug_jo_begin_array(o);
        snug_jo_str(o, token);
        put_id(o, token, ids, snug_json_at(v, 1));
        snug_jo_end_array(o);
    } else if (snug_eq_str(type, "TemplateProcessing") && snug_eq_str(key, "special_tokens")) {
        snug_jo_begin_object(o);
        for (snug_json_iter it = snug_json_iter_of(v); snug_json_next(&it);) {
            snug_jo_key_slice(o, it.key);
            put_template_token(o, it.value, ids);
        }
        snug_jo_end_object(o);
    } else if (snug_eq_str(key, "processors") && snug_json_is(v, SNUG_JSON_ARRAY)) {
        snug_jo_begin_array(o);
        for (snug_json_iter it = snug_json_iter_of(v); snug_json_next(&it);)
            put_remapped(o, it.value, ids, depth + 1);
        snug_jo_end_array(o);
    } else {
        snug_jo_value(o, v);
    }
}

static void put_remapped(snug_json_out *o, snug_json v, const tok_vocab *ids, unsigned depth)
{
    if (!snug_json_is(v, SNUG_JSON_OBJECT) || depth > TOK_NEST_MAX) {
        snug_jo_value(o, v);
        return;
    }
    snug_jo_begin_object(o);
    for (snug_json_iter it = snug_json_iter_of(v); snug_json_next(&it);) {
        snug_jo_key_slice(o, it.key);
        put_member(o, tok_type_of(v), it.key, it.value, ids, depth);
    }
    snug_jo_end_object(o);
}

/* ---- the model ---- */

static void put_text(snug_json_out *o, const char *key, snug_slice text)
{
    snug_jo_key(o, key);
    if (text.len > 0)
        snug_jo_str(o, text);
    else
        snug_jo_null(o);
}

static void put_vocab(snug_json_out *o, const tok_made *made)
{
    snug_jo_key(o, "vocab");
    snug_jo_begin_object(o);
    for (size_t i = 0; i < made->count; i++) {
        if (made->tokens[i].len == 0) continue;
        snug_jo_key_slice(o, made->tokens[i]);
        snug_jo_u64(o, i);
    }
    snug_jo_end_object(o);
}

static void put_bpe(snug_json_out *o, const tok_train *t, const tok_made *made, snug_json old)
{
    snug_jo_key(o, "dropout");
    snug_json dropout = snug_json_get(old, "dropout");
    if (snug_json_is(dropout, SNUG_JSON_REAL))
        snug_jo_value(o, dropout);
    else
        snug_jo_null(o);
    put_text(o, "unk_token", t->unk);
    put_text(o, "continuing_subword_prefix", t->prefix);
    put_text(o, "end_of_word_suffix", t->suffix);
    snug_jo_kbool(o, "fuse_unk", snug_json_bool_or(old, "fuse_unk", false));
    snug_jo_kbool(o, "byte_fallback",
                  t->byte_fallback || snug_json_bool_or(old, "byte_fallback", false));
    snug_jo_kbool(o, "ignore_merges", snug_json_bool_or(old, "ignore_merges", false));
    put_vocab(o, made);
    snug_jo_key(o, "merges");
    snug_jo_begin_array(o);
    for (size_t i = 0; i < made->merge_count; i++) {
        snug_jo_begin_array(o);
        snug_jo_str(o, made->tokens[made->merges[i] >> 32]);
        snug_jo_str(o, made->tokens[(uint32_t)made->merges[i]]);
        snug_jo_end_array(o);
    }
    snug_jo_end_array(o);
}

static void put_wordpiece(snug_json_out *o, const tok_train *t, const tok_made *made, snug_json old)
{
    snug_jo_kstr(o, "unk_token", t->unk.len > 0 ? t->unk : SNUG_LIT("[UNK]"));
    snug_jo_kstr(o, "continuing_subword_prefix", t->prefix);
    snug_jo_ki64(o, "max_input_chars_per_word",
                 snug_json_i64_or(old, "max_input_chars_per_word", 100));
    put_vocab(o, made);
}

static void put_unigram(snug_json_out *o, const tok_train *t, const tok_made *made, snug_json old)
{
    size_t unk = 0;
    while (unk < made->count && !snug_eq(made->tokens[unk], t->unk)) unk++;
    snug_jo_key(o, "unk_id");
    if (t->unk.len > 0 && unk < made->count)
        snug_jo_u64(o, unk);
    else
        snug_jo_null(o);
    snug_jo_key(o, "vocab");
    snug_jo_begin_array(o);
    for (size_t i = 0; i < made->count; i++) {
        snug_jo_begin_array(o);
        snug_jo_str(o, made->tokens[i]);
        if (made->scores[i] == 0)
            snug_jo_raw(o, SNUG_LIT("0.0"));
        else
            snug_jo_f64(o, made->scores[i]);
        snug_jo_end_array(o);
    }
    snug_jo_end_array(o);
    snug_jo_kbool(o, "byte_fallback",
                  t->byte_fallback || snug_json_bool_or(old, "byte_fallback", false));
}

static void put_wordlevel(snug_json_out *o, const tok_train *t, const tok_made *made, snug_json old)
{
    (void)old;
    put_vocab(o, made);
    snug_jo_kstr(o, "unk_token", t->unk.len > 0 ? t->unk : SNUG_LIT("<unk>"));
}

static const struct {
    const char *name;
    void (*put)(snug_json_out *o, const tok_train *t, const tok_made *made, snug_json old);
} model_writers[] = {{"BPE", put_bpe},
                     {"WordPiece", put_wordpiece},
                     {"Unigram", put_unigram},
                     {"WordLevel", put_wordlevel}};

static void put_model(snug_json_out *o, const tok_train *t, const tok_made *made, snug_json like)
{
    snug_json old = snug_json_get(like, "model");
    if (!snug_eq_str(tok_type_of(old), t->model)) old = (snug_json){NULL};
    snug_jo_key(o, "model");
    snug_jo_begin_object(o);
    snug_jo_kcstr(o, "type", t->model);
    for (size_t i = 0; i < sizeof model_writers / sizeof model_writers[0]; i++) {
        if (strcmp(model_writers[i].name, t->model) == 0) model_writers[i].put(o, t, made, old);
    }
    snug_jo_end_object(o);
}

/* ---- the document ---- */

static void put_added(snug_json_out *o, const tok_train *t, const tok_vocab *ids)
{
    snug_jo_key(o, "added_tokens");
    snug_jo_begin_array(o);
    for (size_t i = 0; i < t->special_count; i++) {
        const tok_special *s = &t->specials[i];
        uint32_t           id;
        if (!tok_vocab_get(ids, s->content, &id)) continue; /* the vocabulary was too small */
        snug_jo_begin_object(o);
        snug_jo_ku64(o, "id", id);
        snug_jo_kstr(o, "content", s->content);
        snug_jo_kbool(o, "single_word", s->single_word);
        snug_jo_kbool(o, "lstrip", s->lstrip);
        snug_jo_kbool(o, "rstrip", s->rstrip);
        snug_jo_kbool(o, "normalized", s->normalized);
        snug_jo_kbool(o, "special", true);
        snug_jo_end_object(o);
    }
    snug_jo_end_array(o);
}

snug_status tok_train_write(const tok_train *t, const tok_trainer_type *type, const tok_made *made,
                            snug_arena *a, snug_buf *out, snug_err *err)
{
    snug_json_out o = snug_json_out_init(out);
    snug_json     like = {NULL}, usual = {NULL}, post;
    bool          kept = t->like.len > 0;
    tok_vocab     ids;
    snug_status   st = SNUG_OK;
    if (kept)
        SNUG_TRY(
            snug_json_parse(a, t->like, &(snug_json_opts){.size_max = TOK_JSON_MAX}, &like, err));
    SNUG_TRY(snug_json_parse(a, snug_str(type->parts), NULL, &usual, err));
    if (!tok_vocab_init(&ids, a, made->count + 1))
        SNUG_FAIL(err, SNUG_ENOMEM, "no memory for %zu tokens", made->count);
    for (uint32_t i = 0; i < made->count; i++) {
        if (made->tokens[i].len > 0) tok_vocab_put(&ids, made->tokens[i], i);
    }
    snug_jo_begin_object(&o);
    snug_jo_kcstr(&o, "version", "1.0");
    put_part(&o, "truncation", snug_json_get(like, "truncation"));
    put_part(&o, "padding", snug_json_get(like, "padding"));
    put_added(&o, t, &ids);
    put_part(&o, "normalizer", member(like, usual, kept, "normalizer"));
    put_part(&o, "pre_tokenizer", member(like, usual, kept, "pre_tokenizer"));
    snug_jo_key(&o, "post_processor");
    post = member(like, usual, kept, "post_processor");
    if (post.node != NULL)
        put_remapped(&o, post, &ids, 0);
    else
        snug_jo_null(&o);
    put_part(&o, "decoder", member(like, usual, kept, "decoder"));
    put_model(&o, t, made, like);
    snug_jo_end_object(&o);
    st = snug_buf_check(out, "the tokenizer", err);
done:
    return st;
}
