/* SPDX-License-Identifier: Apache-2.0 */
/* tok/forms.c - vocab.txt, vocab.json with merges.txt, tiktoken and tekken files as tokenizer.json.
 *
 * For:     open.c.
 * Threads: pure.
 *
 *   vocab.txt      a token a line, its id the line: WordPiece, as BERT uses it
 *   vocab.json     {"token": id}; merges.txt: "#version" and then "left right" a line
 *   *.tiktoken     base64 of the bytes, a space, the rank
 *   tekken.json    {"config": {"pattern", ...}, "vocab": [{"rank", "token_bytes"}],
 *                  "special_tokens": [{"rank", "token_str"}]}; text ids follow the special ones
 *
 * The last two have no merges: a pair is joined when its bytes together are a token, the lowest
 * rank first. "ranks" in the model says so. */
#include <inttypes.h>

#include "tok/forms.h"
#include "tok/tok_int.h"

enum { RANKED_MAX = 2 * 1024 * 1024, MULTI_MAX = 1024 };

/* ---- what stands beside ---- */

static snug_slice content_of(snug_json v)
{
    snug_slice text = SNUG_EMPTY;
    if (!snug_json_to_str(v, &text)) text = snug_json_str_or(v, "content", SNUG_EMPTY);
    return text;
}

snug_slice tok_form_special(const tok_beside *b, const char *role, const char *dflt)
{
    snug_slice text = content_of(snug_json_get(b->specials, role));
    if (text.len == 0) text = content_of(snug_json_get(b->config, role));
    return text.len > 0 ? text : snug_str(dflt);
}

bool tok_form_flag(const tok_beside *b, const char *key, bool dflt)
{
    return snug_json_bool_or(b->config, key, dflt);
}

snug_slice tok_form_class(const tok_beside *b)
{
    snug_slice name = snug_json_str_or(b->config, "tokenizer_class", SNUG_EMPTY);
    if (snug_ends_with(name, "Fast")) name.len -= 4;
    return name;
}

void tok_form_put_type(snug_json_out *o, const char *key, const char *type)
{
    snug_jo_key(o, key);
    snug_jo_begin_object(o);
    snug_jo_kcstr(o, "type", type);
    snug_jo_end_object(o);
}

static void put_one_added(snug_json_out *o, snug_json v, snug_slice content, uint64_t id,
                          bool special)
{
    snug_jo_begin_object(o);
    snug_jo_ku64(o, "id", id);
    snug_jo_kstr(o, "content", content);
    snug_jo_kbool(o, "single_word", snug_json_bool_or(v, "single_word", false));
    snug_jo_kbool(o, "lstrip", snug_json_bool_or(v, "lstrip", false));
    snug_jo_kbool(o, "rstrip", snug_json_bool_or(v, "rstrip", false));
    snug_jo_kbool(o, "normalized", snug_json_bool_or(v, "normalized", false));
    snug_jo_kbool(o, "special", snug_json_bool_or(v, "special", special));
    snug_jo_end_object(o);
}

/* A special token of which only the text is known counts when the model has it. */
static void put_known(snug_json_out *o, snug_json v, const tok_vocab *known)
{
    uint32_t   id;
    snug_slice text = content_of(v);
    if (text.len > 0 && tok_vocab_get(known, text, &id)) put_one_added(o, v, text, id, true);
}

void tok_form_put_added(const tok_beside *b, snug_json_out *o, const tok_vocab *known)
{
    static const char *const roles[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                        "pad_token", "cls_token", "mask_token"};
    snug_json                lists[2] = {b->config, b->specials};
    for (snug_json_iter it = snug_json_iter_of(snug_json_get(b->config, "added_tokens_decoder"));
         snug_json_next(&it);) {
        uint64_t id = 0;
        bool     number = it.key.len > 0 && it.key.len < 9;
        for (size_t i = 0; i < it.key.len && number; i++) {
            number = it.key.ptr[i] >= '0' && it.key.ptr[i] <= '9';
            id = id * 10 + (uint64_t)(it.key.ptr[i] - '0');
        }
        if (number) put_one_added(o, it.value, content_of(it.value), id, false);
    }
    for (snug_json_iter it = snug_json_iter_of(b->added); snug_json_next(&it);) {
        uint64_t id;
        if (snug_json_to_u64(it.value, &id)) put_one_added(o, it.value, it.key, id, false);
    }
    for (int i = 0; i < 2; i++) {
        for (size_t k = 0; k < sizeof roles / sizeof roles[0]; k++)
            put_known(o, snug_json_get(lists[i], roles[k]), known);
        for (snug_json_iter it =
                 snug_json_iter_of(snug_json_get(lists[i], "additional_special_tokens"));
             snug_json_next(&it);)
            put_known(o, it.value, known);
    }
}

static void put_template_token(snug_json_out *o, snug_slice token, unsigned type)
{
    if (token.len == 0) return;
    snug_jo_begin_object(o);
    snug_jo_key(o, "SpecialToken");
    snug_jo_begin_object(o);
    snug_jo_kstr(o, "id", token);
    snug_jo_ku64(o, "type_id", type);
    snug_jo_end_object(o);
    snug_jo_end_object(o);
}

static void put_template_text(snug_json_out *o, const char *id, unsigned type)
{
    snug_jo_begin_object(o);
    snug_jo_key(o, "Sequence");
    snug_jo_begin_object(o);
    snug_jo_kcstr(o, "id", id);
    snug_jo_ku64(o, "type_id", type);
    snug_jo_end_object(o);
    snug_jo_end_object(o);
}

static void put_template_id(snug_json_out *o, snug_slice token, uint32_t id)
{
    if (token.len == 0) return;
    snug_jo_key_slice(o, token);
    snug_jo_begin_object(o);
    snug_jo_kstr(o, "id", token);
    snug_jo_key(o, "ids");
    snug_jo_begin_array(o);
    snug_jo_u64(o, id);
    snug_jo_end_array(o);
    snug_jo_key(o, "tokens");
    snug_jo_begin_array(o);
    snug_jo_str(o, token);
    snug_jo_end_array(o);
    snug_jo_end_object(o);
}

void tok_form_put_template(snug_json_out *o, snug_slice before, uint32_t before_id,
                           snug_slice after, uint32_t after_id)
{
    bool bert = snug_eq_str(before, "[CLS]");
    snug_jo_key(o, "post_processor");
    snug_jo_begin_object(o);
    snug_jo_kcstr(o, "type", "TemplateProcessing");
    snug_jo_key(o, "single");
    snug_jo_begin_array(o);
    put_template_token(o, before, 0);
    put_template_text(o, "A", 0);
    put_template_token(o, after, 0);
    snug_jo_end_array(o);
    snug_jo_key(o, "pair");
    snug_jo_begin_array(o);
    put_template_token(o, before, 0);
    put_template_text(o, "A", 0);
    put_template_token(o, after, 0);
    if (!bert) put_template_token(o, before, 1);
    put_template_text(o, "B", 1);
    put_template_token(o, after, 1);
    snug_jo_end_array(o);
    snug_jo_key(o, "special_tokens");
    snug_jo_begin_object(o);
    put_template_id(o, before, before_id);
    put_template_id(o, after, after_id);
    snug_jo_end_object(o);
    snug_jo_end_object(o);
}

/* ---- vocab.txt ---- */

static void put_bert_parts(const tok_beside *b, snug_json_out *o, const tok_vocab *known)
{
    snug_slice cls = tok_form_special(b, "cls_token", "[CLS]");
    snug_slice sep = tok_form_special(b, "sep_token", "[SEP]");
    snug_json  strip = snug_json_get(b->config, "strip_accents");
    uint32_t   cls_id, sep_id;
    snug_jo_key(o, "normalizer");
    snug_jo_begin_object(o);
    snug_jo_kcstr(o, "type", "BertNormalizer");
    snug_jo_kbool(o, "clean_text", true);
    snug_jo_kbool(o, "handle_chinese_chars", tok_form_flag(b, "tokenize_chinese_chars", true));
    if (snug_json_is(strip, SNUG_JSON_BOOL)) {
        snug_jo_key(o, "strip_accents");
        snug_jo_value(o, strip);
    }
    snug_jo_kbool(o, "lowercase", tok_form_flag(b, "do_lower_case", true));
    snug_jo_end_object(o);
    tok_form_put_type(o, "pre_tokenizer", "BertPreTokenizer");
    if (tok_vocab_get(known, cls, &cls_id) && tok_vocab_get(known, sep, &sep_id))
        tok_form_put_template(o, cls, cls_id, sep, sep_id);
    tok_form_put_type(o, "decoder", "WordPiece");
}

snug_status tok_form_vocab_txt(const tok_beside *b, snug_slice file, snug_buf *out, snug_err *err)
{
    static const char *const usual[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    snug_json_out            o = snug_json_out_init(out);
    snug_slice               rest = file, line;
    tok_vocab                known;
    uint32_t                 id = 0;
    size_t                   lines = 1;
    for (size_t i = 0; i < file.len; i++) lines += file.ptr[i] == '\n';
    if (!tok_vocab_init(&known, b->arena, lines))
        return snug_fail(err, SNUG_ENOMEM, "no memory for %zu tokens", lines);
    snug_jo_begin_object(&o);
    snug_jo_key(&o, "model");
    snug_jo_begin_object(&o);
    snug_jo_kcstr(&o, "type", "WordPiece");
    snug_jo_kstr(&o, "unk_token", tok_form_special(b, "unk_token", "[UNK]"));
    snug_jo_key(&o, "vocab");
    snug_jo_begin_object(&o);
    while (snug_split(&rest, '\n', &line)) {
        if (snug_ends_with(line, "\r")) line.len--;
        if (line.len == 0 && rest.len == 0) break; /* the end of the last line */
        snug_jo_key_slice(&o, line);
        snug_jo_u64(&o, id);
        tok_vocab_put(&known, line, id++);
    }
    snug_jo_end_object(&o);
    snug_jo_end_object(&o);
    snug_jo_key(&o, "added_tokens");
    snug_jo_begin_array(&o);
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++) {
        if (tok_vocab_get(&known, snug_str(usual[i]), &id))
            put_one_added(&o, (snug_json){NULL}, snug_str(usual[i]), id, true);
    }
    tok_form_put_added(b, &o, &known);
    snug_jo_end_array(&o);
    put_bert_parts(b, &o, &known);
    snug_jo_end_object(&o);
    return SNUG_OK;
}

/* ---- vocab.json and merges.txt ---- */

static void put_byte_level(snug_json_out *o, const char *key, bool prefix, bool regex)
{
    snug_jo_key(o, key);
    snug_jo_begin_object(o);
    snug_jo_kcstr(o, "type", "ByteLevel");
    snug_jo_kbool(o, "add_prefix_space", prefix);
    snug_jo_kbool(o, "trim_offsets", false);
    snug_jo_kbool(o, "use_regex", regex);
    snug_jo_end_object(o);
}

static void put_token_pair(snug_json_out *o, const char *key, snug_slice token, uint32_t id)
{
    snug_jo_key(o, key);
    snug_jo_begin_array(o);
    snug_jo_str(o, token);
    snug_jo_u64(o, id);
    snug_jo_end_array(o);
}

/* RoBERTa and its kin are told by their tokens; the rest is GPT-2's. */
static void put_gpt2_parts(const tok_beside *b, snug_json_out *o, const tok_vocab *known)
{
    snug_slice cls = tok_form_special(b, "cls_token", "<s>"),
               sep = tok_form_special(b, "sep_token", "</s>"), kind = tok_form_class(b);
    bool     prefix = tok_form_flag(b, "add_prefix_space", false);
    uint32_t cls_id, sep_id;
    put_byte_level(o, "pre_tokenizer", prefix, true);
    put_byte_level(o, "decoder", true, true);
    if (kind.len > 0 && snug_find(kind, SNUG_LIT("GPT2")) != SIZE_MAX) return;
    if (!tok_vocab_get(known, cls, &cls_id) || !tok_vocab_get(known, sep, &sep_id)) return;
    snug_jo_key(o, "post_processor");
    snug_jo_begin_object(o);
    snug_jo_kcstr(o, "type", "RobertaProcessing");
    put_token_pair(o, "sep", sep, sep_id);
    put_token_pair(o, "cls", cls, cls_id);
    snug_jo_kbool(o, "trim_offsets", true);
    snug_jo_kbool(o, "add_prefix_space", prefix);
    snug_jo_end_object(o);
}

snug_status tok_form_vocab_json(const tok_beside *b, snug_slice file, snug_buf *out, snug_err *err)
{
    snug_json_out o = snug_json_out_init(out);
    snug_slice    rest = b->merges, line;
    snug_json     vocab;
    tok_vocab     known;
    snug_status   st = snug_json_parse(b->arena, file, NULL, &vocab, err);
    if (st != SNUG_OK) return st;
    if (!tok_vocab_init(&known, b->arena, snug_json_count(vocab)))
        return snug_fail(err, SNUG_ENOMEM, "no memory for %zu tokens", snug_json_count(vocab));
    for (snug_json_iter it = snug_json_iter_of(vocab); snug_json_next(&it);) {
        uint64_t id;
        if (snug_json_to_u64(it.value, &id) && id <= TOK_ID_MAX)
            tok_vocab_put(&known, it.key, (uint32_t)id);
    }
    snug_jo_begin_object(&o);
    snug_jo_key(&o, "model");
    snug_jo_begin_object(&o);
    snug_jo_kcstr(&o, "type", "BPE");
    snug_jo_key(&o, "vocab");
    snug_jo_value(&o, vocab);
    snug_jo_key(&o, "merges");
    snug_jo_begin_array(&o);
    while (snug_split(&rest, '\n', &line)) {
        if (snug_ends_with(line, "\r")) line.len--;
        if (line.len > 0 && !snug_starts_with(line, "#version")) snug_jo_str(&o, line);
    }
    snug_jo_end_array(&o);
    snug_jo_end_object(&o);
    snug_jo_key(&o, "added_tokens");
    snug_jo_begin_array(&o);
    put_known(&o, (snug_json){NULL}, &known);
    tok_form_put_added(b, &o, &known);
    snug_jo_end_array(&o);
    put_gpt2_parts(b, &o, &known);
    snug_jo_end_object(&o);
    return SNUG_OK;
}

/* ---- tokens by rank ---- */

typedef struct ranked {
    snug_slice *tokens; /* visible characters, by rank; ptr NULL: none */
    size_t      count;
} ranked;

static snug_status add_ranked(const tok_beside *b, ranked *r, snug_slice base64, uint64_t rank,
                              snug_err *err)
{
    SNUG_AUTO(snug_buf) raw = snug_buf_init(MULTI_MAX);
    snug_status st = snug_base64_decode(base64, &raw, err);
    if (st == SNUG_OK) st = snug_buf_check(&raw, "a token", err);
    if (st != SNUG_OK) return st;
    if (rank >= r->count || raw.len == 0)
        return snug_fail(err, SNUG_EINVAL, "rank %" PRIu64 " of %zu tokens", rank, r->count);
    char  *text = snug_arena_alloc(b->arena, raw.len * 2);
    size_t n = 0;
    for (size_t i = 0; i < raw.len; i++)
        n += snug_utf8_put(tok_byte_to_cp((unsigned char)raw.ptr[i]), text + n);
    r->tokens[rank] = snug_slice_of(text, n);
    return SNUG_OK;
}

static void put_ranked_model(snug_json_out *o, const ranked *r, size_t first_id)
{
    snug_jo_key(o, "model");
    snug_jo_begin_object(o);
    snug_jo_kcstr(o, "type", "BPE");
    snug_jo_kbool(o, "ignore_merges", true);
    snug_jo_key(o, "vocab");
    snug_jo_begin_object(o);
    for (size_t i = 0; i < r->count; i++) {
        if (r->tokens[i].ptr == NULL) continue;
        snug_jo_key_slice(o, r->tokens[i]);
        snug_jo_u64(o, first_id + i);
    }
    snug_jo_end_object(o);
    snug_jo_key(o, "ranks");
    snug_jo_begin_array(o);
    for (size_t i = 0; i < r->count; i++) {
        if (r->tokens[i].ptr != NULL) snug_jo_u64(o, i);
    }
    snug_jo_end_array(o);
    snug_jo_end_object(o);
}

void tok_form_put_splitters(snug_json_out *o, const char *const *patterns)
{
    snug_jo_key(o, "pre_tokenizer");
    snug_jo_begin_object(o);
    snug_jo_kcstr(o, "type", "Sequence");
    snug_jo_key(o, "pretokenizers");
    snug_jo_begin_array(o);
    for (; *patterns != NULL; patterns++) {
        snug_jo_begin_object(o);
        snug_jo_kcstr(o, "type", "Split");
        snug_jo_key(o, "pattern");
        snug_jo_begin_object(o);
        snug_jo_kcstr(o, "Regex", *patterns);
        snug_jo_end_object(o);
        snug_jo_kcstr(o, "behavior", "Isolated");
        snug_jo_end_object(o);
    }
    snug_jo_begin_object(o);
    snug_jo_kcstr(o, "type", "ByteLevel");
    snug_jo_kbool(o, "add_prefix_space", false);
    snug_jo_kbool(o, "use_regex", false);
    snug_jo_end_object(o);
    snug_jo_end_array(o);
    snug_jo_end_object(o);
    put_byte_level(o, "decoder", true, true);
}

static void put_splitter(snug_json_out *o, const char *pattern)
{
    const char *list[] = {pattern, NULL};
    tok_form_put_splitters(o, list);
}

void tok_form_put_one_added(snug_json_out *o, snug_slice content, uint64_t id, bool special)
{
    put_one_added(o, (snug_json){NULL}, content, id, special);
}

/* The file does not say how words are cut; its name does. */
static const char *pattern_for(snug_slice name)
{
    static const struct {
        const char *part;
        const char *pattern;
    } rows[] = {{"o200k", tok_o200k_regex},
                {"qwen", tok_qwen2_regex},
                {"gpt2", tok_gpt2_regex},
                {"r50k", tok_gpt2_regex},
                {"p50k", tok_gpt2_regex}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (snug_find(name, snug_str(rows[i].part)) != SIZE_MAX) return rows[i].pattern;
    }
    return tok_llama3_regex; /* cl100k's gives the same pieces */
}

snug_status tok_form_tiktoken(const tok_beside *b, snug_slice file, snug_buf *out, snug_err *err)
{
    snug_json_out o = snug_json_out_init(out);
    snug_slice    rest = file, line;
    ranked        r = {.count = 0};
    tok_vocab     none = {0};
    for (size_t i = 0; i < file.len; i++) r.count += file.ptr[i] == ' ';
    if (r.count > RANKED_MAX) return snug_fail(err, SNUG_ELIMIT, "more than %d tokens", RANKED_MAX);
    r.tokens = snug_arena_array_try(b->arena, r.count, sizeof *r.tokens);
    if (r.tokens == NULL) return snug_fail(err, SNUG_ENOMEM, "no memory for %zu tokens", r.count);
    while (snug_split(&rest, '\n', &line)) {
        uint64_t   rank = 0;
        size_t     space = snug_index(line, ' ');
        snug_slice digits =
            snug_trim(space == SIZE_MAX ? SNUG_EMPTY : snug_sub(line, space + 1, line.len));
        if (snug_trim(line).len == 0) continue;
        bool good = digits.len > 0 && digits.len < 10;
        for (size_t i = 0; i < digits.len && good; i++) {
            good = digits.ptr[i] >= '0' && digits.ptr[i] <= '9';
            rank = rank * 10 + (uint64_t)(digits.ptr[i] - '0');
        }
        if (!good) return snug_fail(err, SNUG_EINVAL, "a line that is not \"base64 rank\"");
        snug_status st = add_ranked(b, &r, snug_sub(line, 0, space), rank, err);
        if (st != SNUG_OK) return st;
    }
    snug_jo_begin_object(&o);
    put_ranked_model(&o, &r, 0);
    snug_jo_key(&o, "added_tokens");
    snug_jo_begin_array(&o);
    tok_form_put_added(b, &o, &none);
    snug_jo_end_array(&o);
    put_splitter(&o, pattern_for(b->name));
    snug_jo_end_object(&o);
    return SNUG_OK;
}

snug_status tok_form_tekken(const tok_beside *b, snug_slice file, snug_buf *out, snug_err *err)
{
    snug_json_out o = snug_json_out_init(out);
    snug_json     root, config, list;
    snug_slice    pattern;
    ranked        r = {0};
    size_t        specials, at = 0;
    snug_status   st = snug_json_parse(b->arena, file, NULL, &root, err);
    if (st == SNUG_OK) config = snug_json_get(root, "config");
    if (st == SNUG_OK) st = snug_json_need_str(config, "pattern", &pattern, err);
    if (st != SNUG_OK) return st;
    list = snug_json_get(root, "vocab");
    specials = (size_t)snug_json_i64_or(config, "default_num_special_tokens", 1000);
    size_t wanted = (size_t)snug_json_i64_or(config, "default_vocab_size", 0);
    r.count = snug_json_count(list);
    if (specials > TOK_ID_MAX || r.count > RANKED_MAX)
        return snug_fail(err, SNUG_ELIMIT, "more than %d tokens", RANKED_MAX);
    /* the file may hold more ranks than the model has ids for */
    if (wanted > specials && wanted - specials < r.count) r.count = wanted - specials;
    r.tokens = snug_arena_array_try(b->arena, r.count, sizeof *r.tokens);
    if (r.tokens == NULL) return snug_fail(err, SNUG_ENOMEM, "no memory for %zu tokens", r.count);
    for (snug_json_iter it = snug_json_iter_of(list); at < r.count && snug_json_next(&it); at++) {
        uint64_t   rank;
        snug_slice text;
        st = snug_json_need_u64(it.value, "rank", &rank, err);
        if (st == SNUG_OK) st = snug_json_need_str(it.value, "token_bytes", &text, err);
        if (st == SNUG_OK) st = add_ranked(b, &r, text, rank, err);
        if (st != SNUG_OK) return st;
    }
    snug_jo_begin_object(&o);
    put_ranked_model(&o, &r, specials);
    snug_jo_key(&o, "added_tokens");
    snug_jo_begin_array(&o);
    for (snug_json_iter it = snug_json_iter_of(snug_json_get(root, "special_tokens"));
         snug_json_next(&it);) {
        snug_slice text = snug_json_str_or(it.value, "token_str", SNUG_EMPTY);
        int64_t    rank = snug_json_i64_or(it.value, "rank", -1);
        if (text.len > 0 && rank >= 0)
            put_one_added(&o, (snug_json){NULL}, text, (uint64_t)rank, true);
    }
    snug_jo_end_array(&o);
    put_splitter(&o, snug_arena_cstr(b->arena, pattern));
    snug_jo_end_object(&o);
    return SNUG_OK;
}
