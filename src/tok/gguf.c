/* SPDX-License-Identifier: Apache-2.0 */
/* tok/gguf.c - the tokenizer inside a GGUF file as tokenizer.json.
 *
 * For:     open.c.
 * Threads: pure.
 *
 *   tokenizer.ggml.model   llama  SentencePiece BPE: neighbours are joined by score
 *                          gpt2   byte-level BPE with merges; `pre` names the pattern, which is
 *                                 not in the file
 *                          bert   WordPiece; words begin with U+2581, the rest has no ##
 *                          t5     Unigram with a compiled normalisation
 *                          gemma4 BPE with merges over text whose spaces became U+2581
 *   tokens, scores, token_type (as in SentencePiece), merges ("a b"), ..._token_id, add_..._token
 *
 * tokenizer.huggingface.json, where there is one, is the document itself. */
#include "codec/codec.h"
#include "tok/forms.h"
#include "tok/tok_int.h"

#define BLANK "\xe2\x96\x81"

enum { TOKENS_MAX = TOK_ID_MAX };

typedef struct source {
    const tok_beside *b;
    codec_gguf        g;
    snug_slice       *tokens;
    uint8_t          *types;
    size_t            count;
} source;

/* ---- what the file says ---- */

static const codec_gguf_value *find(const source *s, const char *key)
{
    return codec_gguf_find(&s->g, snug_arena_printf(s->b->arena, "tokenizer.ggml.%s", key));
}

static uint64_t number_or(const source *s, const char *key, uint64_t dflt)
{
    uint64_t v;
    return codec_gguf_to_u64(find(s, key), &v) ? v : dflt;
}

static bool flag_or(const source *s, const char *key, bool dflt)
{
    bool v;
    return codec_gguf_to_bool(find(s, key), &v) ? v : dflt;
}

static snug_slice text_or(const source *s, const char *key, const char *dflt)
{
    snug_slice v;
    return codec_gguf_to_str(find(s, key), &v) ? v : snug_str(dflt);
}

/* Empty: none, or outside the vocabulary. */
static snug_slice token_of(const source *s, const char *key, uint64_t dflt)
{
    uint64_t id = number_or(s, key, dflt);
    return id < s->count ? s->tokens[id] : SNUG_EMPTY;
}

static snug_status read_tokens(source *s, snug_err *err)
{
    const codec_gguf_value *tokens = find(s, "tokens"), *types = find(s, "token_type");
    if (tokens == NULL || tokens->kind != CODEC_GGUF_ARRAY || tokens->count == 0)
        return snug_fail(err, SNUG_ENOTFOUND, "the file has no tokenizer.ggml.tokens");
    if (tokens->count > TOKENS_MAX)
        return snug_fail(err, SNUG_ELIMIT, "more than %d tokens", TOKENS_MAX);
    s->count = (size_t)tokens->count;
    s->tokens = snug_arena_array_try(s->b->arena, s->count, sizeof *s->tokens);
    s->types = snug_arena_array_try(s->b->arena, s->count, 1);
    if (s->tokens == NULL || s->types == NULL)
        return snug_fail(err, SNUG_ENOMEM, "no memory for %zu tokens", s->count);
    for (size_t i = 0; i < s->count; i++) {
        codec_gguf_value v = codec_gguf_at(tokens, i), t;
        uint64_t         type = TOK_SPM_NORMAL;
        if (!codec_gguf_to_str(&v, &s->tokens[i]) || !snug_utf8_valid(s->tokens[i]))
            return snug_fail(err, SNUG_ECORRUPT, "token %zu is not a text", i);
        if (types != NULL && types->kind == CODEC_GGUF_ARRAY && i < types->count) {
            t = codec_gguf_at(types, i);
            (void)codec_gguf_to_u64(&t, &type);
        }
        s->types[i] = type < 16 ? (uint8_t)type : TOK_SPM_NORMAL;
    }
    return SNUG_OK;
}

/* ---- shared parts of the documents ---- */

static void put_vocab(const source *s, snug_json_out *o)
{
    snug_jo_key(o, "vocab");
    snug_jo_begin_object(o);
    for (size_t i = 0; i < s->count; i++) {
        snug_jo_key_slice(o, s->tokens[i]);
        snug_jo_u64(o, i);
    }
    snug_jo_end_object(o);
}

static void put_added(const source *s, snug_json_out *o)
{
    snug_jo_key(o, "added_tokens");
    snug_jo_begin_array(o);
    for (size_t i = 0; i < s->count; i++) {
        unsigned t = s->types[i];
        if (s->tokens[i].len == 0) continue;
        if (t == TOK_SPM_CONTROL || t == TOK_SPM_USER || t == TOK_SPM_UNKNOWN)
            tok_form_put_one_added(o, s->tokens[i], i, t != TOK_SPM_USER);
    }
    snug_jo_end_array(o);
}

static void put_post(const source *s, snug_json_out *o, bool bos_dflt)
{
    snug_slice bos = token_of(s, "bos_token_id", UINT64_MAX),
               eos = token_of(s, "eos_token_id", UINT64_MAX);
    if (!flag_or(s, "add_bos_token", bos_dflt)) bos = SNUG_EMPTY;
    if (!flag_or(s, "add_eos_token", false)) eos = SNUG_EMPTY;
    if (bos.len + eos.len == 0) return;
    tok_form_put_template(o, bos, (uint32_t)number_or(s, "bos_token_id", 0), eos,
                          (uint32_t)number_or(s, "eos_token_id", 0));
}

static void put_merges(const source *s, snug_json_out *o)
{
    const codec_gguf_value *list = find(s, "merges");
    snug_jo_key(o, "merges");
    snug_jo_begin_array(o);
    for (uint64_t i = 0; list != NULL && list->kind == CODEC_GGUF_ARRAY && i < list->count; i++) {
        codec_gguf_value v = codec_gguf_at(list, i);
        snug_slice       text;
        if (!codec_gguf_to_str(&v, &text)) continue;
        /* the space between two tokens is the first after the first character */
        size_t space = snug_index(snug_sub(text, 1, text.len), ' ');
        if (space == SIZE_MAX) continue;
        snug_jo_begin_array(o);
        snug_jo_str(o, snug_sub(text, 0, space + 1));
        snug_jo_str(o, snug_sub(text, space + 2, text.len));
        snug_jo_end_array(o);
    }
    snug_jo_end_array(o);
}

/* ---- llama, t5 ---- */

static snug_status make_spm(source *s, bool bpe, snug_buf *out, snug_err *err)
{
    const codec_gguf_value *scores = find(s, "scores"), *map = find(s, "precompiled_charsmap");
    tok_spm                 m = {.bpe = bpe,
                                 .count = s->count,
                                 .escape = true,
                                 .prefix = flag_or(s, "add_space_prefix", true),
                                 .squeeze = flag_or(s, "remove_extra_whitespaces", false),
                                 .add_bos = flag_or(s, "add_bos_token", bpe),
                                 .add_eos = flag_or(s, "add_eos_token", !bpe),
                                 .unk = number_or(s, "unknown_token_id", bpe ? 0 : 2),
                                 .bos = number_or(s, "bos_token_id", 1),
                                 .eos = number_or(s, "eos_token_id", bpe ? 2 : 1)};
    m.pieces = snug_arena_array_try(s->b->arena, m.count, sizeof *m.pieces);
    if (m.pieces == NULL) return snug_fail(err, SNUG_ENOMEM, "no memory for %zu tokens", m.count);
    for (size_t i = 0; i < m.count; i++) {
        double score = 0;
        if (scores != NULL && scores->kind == CODEC_GGUF_ARRAY && i < scores->count) {
            codec_gguf_value v = codec_gguf_at(scores, i);
            (void)codec_gguf_to_f64(&v, &score);
        }
        if (!(score > -1e30 && score < 1e30))
            return snug_fail(err, SNUG_ECORRUPT, "the score of token %zu is no number", i);
        m.pieces[i] = (tok_spm_piece){s->tokens[i], (float)score, s->types[i], 0};
        m.byte_fallback |= s->types[i] == TOK_SPM_BYTE;
    }
    if (map != NULL && map->kind == CODEC_GGUF_ARRAY &&
        (map->elem == CODEC_GGUF_U8 || map->elem == CODEC_GGUF_I8))
        m.map = map->v.packed;
    return tok_spm_put(s->b, &m, out, err);
}

static snug_status make_llama(source *s, snug_buf *out, snug_err *err)
{
    return make_spm(s, true, out, err);
}

static snug_status make_t5(source *s, snug_buf *out, snug_err *err)
{
    return make_spm(s, false, out, err);
}

/* ---- gpt2 ---- */

#define CASED "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define SMALL "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CASED_K2 "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]"
#define SMALL_K2 "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]"
#define SHORT_FORMS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define SPACES "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static const char
    deepseek_cjk[] = "[\xe4\xb8\x80-\xe9\xbe\xa5\xe3\x81\x80-\xe3\x82\x9f"
                     "\xe3\x82\xa0-\xe3\x83\xbf]+",
    deepseek_rest[] =
        "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|"
        "[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*" SPACES,
    old_cjk[] = "[\xe4\xb8\x80-\xe9\xbe\xa5\xe0\xa0\x80-\xe4\xb8\x80"
                "\xea\xb0\x80-\xed\x9f\xbf]+",
    bloom[] = " ?[^(\\s|.,!?\xe2\x80\xa6\xe3\x80\x82\xef\xbc\x8c\xe3\x80\x81"
              "\xe0\xa5\xa4\xdb\x94\xd8\x8c)]+";

/* A name may stand in several rows of names; the first row that has it counts. */
static const struct {
    const char *names; /* each between spaces */
    const char *patterns[7];
    bool        ignore_merges, add_bos;
} pre_rows[] = {
    {" llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano ",
     {tok_llama3_regex},
     true,
     true},
    {" dbrx smaug smaug-bpe chatglm-bpe glm4 chatglm4 ", {tok_llama3_regex}, false, false},
    {" qwen2 stablelm2 deepseek-r1-qwen megrez hunyuan solar-open grok-2 ",
     {tok_qwen2_regex},
     false,
     false},
    {" qwen35 ",
     {SHORT_FORMS "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+"
                  "[\\r\\n]*" SPACES},
     false,
     false},
    {" gpt-2 gpt2 phi-2 jina-es jina-de jina-v1-en jina-v2-code roberta-bpe gigachat mpt olmo jais "
     "trillion granite-docling whisper ",
     {tok_gpt2_regex},
     false,
     false},
    {" starcoder refact command-r smollm codeshell exaone minerva-7b mellum2 ",
     {"\\p{N}", tok_gpt2_regex},
     false,
     false},
    {" deepseek-v3 hunyuan-dense joyai-llm ",
     {"\\p{N}{1,3}", deepseek_cjk, deepseek_rest},
     false,
     false},
    {" deepseek-llm ",
     {"[\\r\\n]", "\\s?[\\p{Lu}\\p{Ll}\\p{Lt}]+",
      "\\s?[!-/:-~\xef\xbc\x81-\xef\xbc\x8f\xef\xbc\x9a-\xef\xbd\x9e\xe2\x80\x98-\xe2\x80\x9f"
      "\xe3\x80\x80-\xe3\x80\x82]+",
      "\\s+$", old_cjk, "\\p{N}+"},
     false,
     false},
    {" deepseek-coder ",
     {"[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", old_cjk, "\\p{N}"},
     false,
     false},
    {" falcon ", {"[\\p{P}\\$\\+<=>\\^~\\|`]+", tok_gpt2_regex, "[0-9][0-9][0-9]"}, false, false},
    {" gpt-4o o200k llama4 kanana2 minimax-m2 ", {tok_o200k_regex}, false, false},
    {" tekken ",
     {"[^\\r\\n\\p{L}\\p{N}]?" CASED "*" SMALL "+|[^\\r\\n\\p{L}\\p{N}]?" CASED "+" SMALL
      "*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*" SPACES},
     true,
     true},
    {" kimi-k2 ",
     {"[\\p{Han}]+|[^\\r\\n\\p{L}\\p{N}]?" CASED_K2 "*" SMALL_K2 "+" SHORT_FORMS
      "?|[^\\r\\n\\p{L}\\p{N}]?" CASED_K2 "+" SMALL_K2 "*" SHORT_FORMS
      "?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*" SPACES},
     false,
     false},
    {" poro-chat bloom gpt3-finnish ", {bloom}, false, false},
    {" viking ", {bloom, "\\p{N}"}, false, false},
    {" superbpe ", {"\\p{N}+", "(?=(\\d{3})+(?!\\d))"}, false, false},
    {" bailingmoe bailingmoe2 llada-moe ",
     {"'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*"
      "|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"},
     false,
     false},
    {" seed-coder ",
     {SHORT_FORMS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+" SPACES},
     false,
     false},
    {"", /* the rest */
     {"[\\p{P}\\$\\+<=>\\^~\\|]+", tok_gpt2_regex, "\\p{N}+", "[0-9][0-9][0-9]"},
     false,
     false},
};

/* An unknown name is taken for the default, as older llama.cpp did, but not in silence: it may cut
 * words elsewhere than the model was trained with. */
static size_t pre_row(const source *s)
{
    snug_slice pre = text_or(s, "pre", "default"),
               name = snug_arena_printf(s->b->arena, " %.*s ", SNUG_SLICE(pre));
    size_t i = 0, last = sizeof pre_rows / sizeof pre_rows[0] - 1;
    while (i < last && snug_find(snug_str(pre_rows[i].names), name) == SIZE_MAX) i++;
    if (i == last && !snug_eq_str(pre, "default")) {
        snug_log(SNUG_WARN, "tok.unknown_pre",
                 "file=%.*s pre=%.*s: not a known way to cut words, taken for \"default\"",
                 SNUG_SLICE(s->b->name), SNUG_SLICE(snug_sub(pre, 0, 80)));
    }
    return i;
}

static snug_status make_gpt2(source *s, snug_buf *out, snug_err *err)
{
    snug_json_out o = snug_json_out_init(out);
    size_t        row = pre_row(s);
    (void)err;
    snug_jo_begin_object(&o);
    snug_jo_key(&o, "model");
    snug_jo_begin_object(&o);
    snug_jo_kcstr(&o, "type", "BPE");
    snug_jo_kbool(&o, "ignore_merges", pre_rows[row].ignore_merges);
    put_vocab(s, &o);
    put_merges(s, &o);
    snug_jo_end_object(&o);
    tok_form_put_splitters(&o, pre_rows[row].patterns);
    put_added(s, &o);
    put_post(s, &o, pre_rows[row].add_bos);
    snug_jo_end_object(&o);
    return SNUG_OK;
}

/* ---- gemma4 ---- */

static snug_status make_gemma(source *s, snug_buf *out, snug_err *err)
{
    snug_json_out o = snug_json_out_init(out);
    snug_slice    unk = token_of(s, "unknown_token_id", 3);
    (void)err;
    snug_jo_begin_object(&o);
    snug_jo_key(&o, "model");
    snug_jo_begin_object(&o);
    snug_jo_kcstr(&o, "type", "BPE");
    if (unk.len > 0) snug_jo_kstr(&o, "unk_token", unk);
    snug_jo_kbool(&o, "fuse_unk", true);
    snug_jo_kbool(&o, "byte_fallback", true);
    put_vocab(s, &o);
    put_merges(s, &o);
    snug_jo_end_object(&o);
    snug_jo_key(&o, "normalizer");
    snug_jo_raw(&o, SNUG_LIT("{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":"
                             "\"" BLANK "\"}"));
    snug_jo_key(&o, "pre_tokenizer");
    snug_jo_raw(&o, SNUG_LIT("{\"type\":\"Split\",\"pattern\":{\"Regex\":\"[^\\\\n]+|\\\\n+\"},"
                             "\"behavior\":\"Isolated\",\"invert\":false}"));
    snug_jo_key(&o, "decoder");
    snug_jo_raw(&o, SNUG_LIT("{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\","
                             "\"pattern\":{\"String\":\"" BLANK "\"},\"content\":\" \"},"
                             "{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"}]}"));
    put_added(s, &o);
    put_post(s, &o, true);
    snug_jo_end_object(&o);
    return SNUG_OK;
}

/* ---- bert ---- */

static bool in_brackets(snug_slice t)
{
    return t.len > 2 && t.ptr[0] == '[' && t.ptr[t.len - 1] == ']';
}

static snug_slice bert_key(const source *s, size_t id)
{
    snug_slice t = s->tokens[id];
    if (snug_starts_with(t, BLANK)) return snug_sub(t, 3, t.len);
    if (in_brackets(t) || s->types[id] == TOK_SPM_CONTROL) return t;
    return snug_arena_printf(s->b->arena, "##%.*s", SNUG_SLICE(t));
}

static snug_status make_bert(source *s, snug_buf *out, snug_err *err)
{
    snug_json_out o = snug_json_out_init(out);
    uint64_t      cls = number_or(s, "cls_token_id", number_or(s, "bos_token_id", 101)),
             sep = number_or(s, "seperator_token_id", number_or(s, "sep_token_id", 102));
    (void)err;
    for (size_t i = 0; i < s->count; i++) s->tokens[i] = bert_key(s, i);
    snug_slice unk = token_of(s, "unknown_token_id", 100);
    snug_jo_begin_object(&o);
    snug_jo_key(&o, "model");
    snug_jo_begin_object(&o);
    snug_jo_kcstr(&o, "type", "WordPiece");
    snug_jo_kstr(&o, "unk_token", unk.len > 0 ? unk : SNUG_LIT("[UNK]"));
    put_vocab(s, &o);
    snug_jo_end_object(&o);
    snug_jo_key(&o, "normalizer");
    snug_jo_begin_object(&o);
    snug_jo_kcstr(&o, "type", "BertNormalizer");
    snug_jo_kbool(&o, "lowercase", flag_or(s, "normalizer.lowercase", true));
    snug_jo_end_object(&o);
    tok_form_put_type(&o, "pre_tokenizer", "BertPreTokenizer");
    tok_form_put_type(&o, "decoder", "WordPiece");
    snug_jo_key(&o, "added_tokens");
    snug_jo_begin_array(&o);
    for (size_t i = 0; i < s->count; i++) {
        if (in_brackets(s->tokens[i]) && s->types[i] != TOK_SPM_UNUSED &&
            snug_find(s->tokens[i], SNUG_LIT("unused")) == SIZE_MAX && s->tokens[i].len > 3)
            tok_form_put_one_added(&o, s->tokens[i], i, true);
    }
    snug_jo_end_array(&o);
    if (cls < s->count && sep < s->count)
        tok_form_put_template(&o, s->tokens[cls], (uint32_t)cls, s->tokens[sep], (uint32_t)sep);
    snug_jo_end_object(&o);
    return SNUG_OK;
}

/* ---- the table ---- */

static const struct {
    const char *name;
    snug_status (*make)(source *s, snug_buf *out, snug_err *err);
} kinds[] = {{"llama", make_llama},
             {"gpt2", make_gpt2},
             {"bert", make_bert},
             {"t5", make_t5},
             {"gemma4", make_gemma}};

snug_status tok_form_gguf(const tok_beside *b, snug_slice file, snug_buf *out, snug_err *err)
{
    source      s = {.b = b};
    snug_slice  whole, name;
    snug_status st = codec_gguf_parse(b->arena, file, b->size > 0 ? b->size : file.len, &s.g, err);
    if (st != SNUG_OK) return st;
    if (codec_gguf_to_str(codec_gguf_find(&s.g, SNUG_LIT("tokenizer.huggingface.json")), &whole) &&
        whole.len > 0) {
        snug_buf_put_slice(out, whole);
        return SNUG_OK;
    }
    name = text_or(&s, "model", "");
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (!snug_eq_str(name, kinds[i].name)) continue;
        st = read_tokens(&s, err);
        return st == SNUG_OK ? kinds[i].make(&s, out, err) : st;
    }
    if (name.len == 0)
        return snug_fail(err, SNUG_ENOTFOUND, "the file has no tokenizer.ggml.model");
    return snug_fail(err, SNUG_EUNSUPPORTED,
                     "the tokenizer \"%.*s\" in the file is not known to this build",
                     SNUG_SLICE(snug_sub(name, 0, 40)));
}
