/* SPDX-License-Identifier: Apache-2.0 */
/* infer/gguf_tok.c - tokenizer.json and its neighbours as metadata of a GGUF file.
 *
 * For:     infer_quantize.
 * Owns:    nothing; all of it lives in the caller's arena.
 * Threads: pure functions but for the files they read.
 * Truth:   readers of the format split text as tokenizer.json does, or the tokenizer is refused:
 *          they know splitting rules by name, so a pattern without a name cannot be written.
 *
 *   tokenizer.ggml.model   "gpt2" byte-level BPE, "llama" BPE over characters with bytes to fall
 *                          back to, "t5" unigrams, "bert" WordPiece
 *   .tokens .token_type .scores .merges   one entry per id; .pre names the splitting rule */
#include <stdlib.h>
#include <unistd.h>

#include "codec/codec.h"
#include "infer/gguf_tok.h"

enum {
    KVS_MAX = 64,
    TOKENS_MAX = 1 << 22,
    CHARSMAP_MAX = 16 << 20,
    TEMPLATE_MAX = 4 << 20,
    PATTERNS_MAX = 8
};

enum { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, USER = 4, UNUSED = 5, BYTE = 6 };

typedef struct maker {
    snug_arena    *a;
    const char    *dir;
    snug_json      file, model, conf, config, generation; /* conf: tokenizer_config.json */
    size_t         count;                                 /* of tokens: rows of the embeddings */
    snug_slice    *tokens;
    int32_t       *types;
    float         *scores;
    codec_gguf_kv *kvs;
    size_t         kv_count;
    snug_err      *err;
} maker;

/* ---- metadata ---- */

static void put(maker *m, const char *key, codec_gguf_value v)
{
    SNUG_ASSERT(m->kv_count < KVS_MAX);
    m->kvs[m->kv_count++] = (codec_gguf_kv){snug_arena_printf(m->a, "tokenizer.%s", key), v};
}

static void put_str(maker *m, const char *key, snug_slice v)
{
    put(m, key, (codec_gguf_value){.kind = CODEC_GGUF_STRING, .v.str = v});
}

static void put_u32(maker *m, const char *key, uint64_t v)
{
    put(m, key, (codec_gguf_value){.kind = CODEC_GGUF_U32, .v.u = v});
}

static void put_bool(maker *m, const char *key, bool v)
{
    put(m, key, (codec_gguf_value){.kind = CODEC_GGUF_BOOL, .v.u = v});
}

static void put_array(maker *m, const char *key, codec_gguf_kind elem, const void *p, size_t n,
                      size_t size)
{
    codec_gguf_value v = {.kind = CODEC_GGUF_ARRAY, .elem = elem, .count = n};
    if (elem == CODEC_GGUF_STRING)
        v.v.strs = p;
    else
        v.v.packed = snug_slice_of(p, n * size);
    put(m, key, v);
}

/* ---- pieces of tokenizer.json ---- */

static bool type_is(snug_json v, const char *type)
{
    snug_slice s;
    return snug_json_to_str(snug_json_get(v, "type"), &s) && snug_eq_str(s, type);
}

/* The parts of a Sequence, or the thing itself. key: what holds them. */
static snug_json part_at(snug_json v, const char *key, size_t i)
{
    if (!type_is(v, "Sequence")) return i == 0 ? v : (snug_json){NULL};
    return snug_json_at(snug_json_get(v, key), i);
}

static snug_json find_part(snug_json v, const char *key, const char *type)
{
    for (size_t i = 0; snug_json_is(part_at(v, key, i), SNUG_JSON_OBJECT); i++)
        if (type_is(part_at(v, key, i), type)) return part_at(v, key, i);
    return (snug_json){NULL};
}

static bool present(snug_json v) { return !snug_json_is(v, SNUG_JSON_ABSENT); }

static snug_status set_token(maker *m, uint64_t id, snug_slice text, int32_t type)
{
    if (id >= m->count)
        return snug_fail(m->err, SNUG_EUNSUPPORTED,
                         "the token \"%.*s\" has the id %llu; the model has %zu embeddings",
                         SNUG_SLICE(snug_sub(text, 0, 64)), (unsigned long long)id, m->count);
    m->tokens[id] = text;
    m->types[id] = type;
    return SNUG_OK;
}

/* Added tokens come last: they replace what the vocabulary says. */
static snug_status read_added(maker *m)
{
    for (snug_json_iter it = snug_json_iter_of(snug_json_get(m->file, "added_tokens"));
         snug_json_next(&it);) {
        uint64_t   id;
        snug_slice text;
        if (!snug_json_to_u64(snug_json_get(it.value, "id"), &id) ||
            !snug_json_to_str(snug_json_get(it.value, "content"), &text))
            return snug_fail(m->err, SNUG_EINVAL, "tokenizer.json: an added token has no id");
        bool        special = snug_json_bool_or(it.value, "special", false);
        bool        unknown = id < m->count && m->types[id] == UNKNOWN;
        snug_status st = set_token(m, id, text, unknown ? UNKNOWN : special ? CONTROL : USER);
        if (st != SNUG_OK) return st;
    }
    return SNUG_OK;
}

static snug_status read_vocab(maker *m)
{
    snug_status st = SNUG_OK;
    for (snug_json_iter it = snug_json_iter_of(snug_json_get(m->model, "vocab"));
         snug_json_next(&it);) {
        uint64_t id;
        if (!snug_json_to_u64(it.value, &id))
            SNUG_FAIL(m->err, SNUG_EINVAL, "tokenizer.json: a token has no id");
        SNUG_TRY(set_token(m, id, it.key, NORMAL));
    }
done:
    return st;
}

/* Rows of the embeddings that no token uses. */
static void fill_holes(maker *m)
{
    for (size_t i = 0; i < m->count; i++) {
        if (m->types[i] != 0) continue;
        m->tokens[i] = snug_arena_printf(m->a, "[PAD%zu]", i);
        m->types[i] = UNUSED;
    }
}

static bool id_of(const maker *m, snug_slice text, size_t *id)
{
    for (size_t i = 0; i < m->count; i++)
        if (m->types[i] != 0 && snug_eq(m->tokens[i], text)) {
            *id = i;
            return true;
        }
    return false;
}

/* ---- merges ---- */

/* A merge is "a b" or ["a", "b"]; a space inside a half is written as the byte letter of a space.
 */
static bool merge_halves(snug_json v, snug_slice *a, snug_slice *b)
{
    snug_slice text;
    if (snug_json_to_str(v, &text)) {
        size_t gap = snug_index(text, ' ');
        if (gap == SIZE_MAX) return false;
        *a = snug_sub(text, 0, gap);
        *b = snug_sub(text, gap + 1, text.len);
        return true;
    }
    return snug_json_to_str(snug_json_at(v, 0), a) && snug_json_to_str(snug_json_at(v, 1), b);
}

static snug_slice no_space(maker *m, snug_slice s)
{
    if (snug_index(s, ' ') == SIZE_MAX) return s;
    snug_buf b = snug_buf_init(3 * s.len + 1);
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] == ' ')
            snug_buf_puts(&b, "\xc4\xa0");
        else
            snug_buf_putc(&b, s.ptr[i]);
    snug_slice kept = snug_arena_dup(m->a, snug_buf_slice(&b));
    snug_buf_deinit(&b);
    return kept;
}

static snug_status put_merges(maker *m)
{
    snug_json   list = snug_json_get(m->model, "merges");
    size_t      n = snug_json_count(list);
    snug_slice *out = snug_arena_array_try(m->a, n + 1, sizeof *out), a, b;
    if (out == NULL) return snug_fail(m->err, SNUG_ENOMEM, "no memory for %zu merges", n);
    for (size_t i = 0; i < n; i++) {
        if (!merge_halves(snug_json_at(list, i), &a, &b))
            return snug_fail(m->err, SNUG_EINVAL, "tokenizer.json: merge %zu has no two halves", i);
        out[i] = snug_arena_printf(m->a, "%.*s %.*s", SNUG_SLICE(no_space(m, a)),
                                   SNUG_SLICE(no_space(m, b)));
    }
    put_array(m, "ggml.merges", CODEC_GGUF_STRING, out, n, 0);
    return SNUG_OK;
}

/* ---- byte-level BPE: the name of the splitting rule ---- */

#define LLAMA3_HEAD "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
#define LLAMA3_TAIL "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

/* Patterns that Split parts hold, in order; "<digits>" and "<bytes>" stand for those parts. */
static const struct {
    const char *pre;
    const char *parts[PATTERNS_MAX];
} rules[] = {
    {"gpt-2", {"<bytes>"}},
    {"starcoder", {"<digits>", "<bytes>"}},
    {"llama-bpe", {LLAMA3_HEAD "\\p{N}{1,3}" LLAMA3_TAIL}},
    {"qwen2", {LLAMA3_HEAD "\\p{N}" LLAMA3_TAIL}},
    {"qwen35",
     {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| "
      "?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}},
    {"gpt-4o",
     {"[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+"
      "(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+"
      "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}| "
      "?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}},
    {"tekken",
     {"[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|"
      "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|"
      "\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}},
};

/* What a part is in the table above; NULL: nothing that splits. False: it is not known. */
static bool part_text(snug_json part, snug_slice *out)
{
    snug_json pattern = snug_json_get(part, "pattern");
    *out = SNUG_EMPTY;
    if (type_is(part, "ByteLevel")) {
        if (snug_json_bool_or(part, "use_regex", true)) *out = SNUG_LIT("<bytes>");
        return !snug_json_bool_or(part, "add_prefix_space", false);
    }
    if (type_is(part, "Digits")) {
        *out = SNUG_LIT("<digits>");
        return snug_json_bool_or(part, "individual_digits", false);
    }
    return type_is(part, "Split") && snug_json_to_str(snug_json_get(pattern, "Regex"), out);
}

static bool rule_fits(size_t rule, const snug_slice *parts, size_t n)
{
    for (size_t i = 0; i < PATTERNS_MAX; i++) {
        const char *want = rules[rule].parts[i];
        if (want == NULL) return i == n;
        if (i == n || !snug_eq_str(parts[i], want)) return false;
    }
    return false;
}

static snug_status put_pre(maker *m)
{
    snug_json  pre = snug_json_get(m->file, "pre_tokenizer");
    snug_slice parts[PATTERNS_MAX], text;
    size_t     n = 0;
    bool       known = true;
    for (size_t i = 0; snug_json_is(part_at(pre, "pretokenizers", i), SNUG_JSON_OBJECT); i++) {
        known = known && part_text(part_at(pre, "pretokenizers", i), &text) && n < PATTERNS_MAX;
        if (known && text.len > 0) parts[n++] = text;
    }
    for (size_t r = 0; known && r < sizeof rules / sizeof rules[0]; r++) {
        if (!rule_fits(r, parts, n)) continue;
        put_str(m, "ggml.pre", snug_str(rules[r].pre));
        return SNUG_OK;
    }
    return snug_fail(m->err, SNUG_EUNSUPPORTED,
                     "GGUF knows splitting rules by name, and has none for this pre_tokenizer");
}

static snug_status make_bytes(maker *m)
{
    snug_status st = SNUG_OK;
    SNUG_TRY(read_vocab(m));
    SNUG_TRY(read_added(m));
    fill_holes(m);
    put_str(m, "ggml.model", SNUG_LIT("gpt2"));
    SNUG_TRY(put_pre(m));
    SNUG_TRY(put_merges(m));
done:
    return st;
}

/* ---- BPE over characters: a merge's rank becomes the score of what it makes ---- */

static bool is_byte_token(snug_slice s)
{
    return s.len == 6 && snug_starts_with(s, "<0x") && s.ptr[5] == '>';
}

typedef struct rank {
    snug_slice text;
    size_t     id;
} rank;

static int by_text(const void *x, const void *y)
{
    return snug_cmp(((const rank *)x)->text, ((const rank *)y)->text);
}

static snug_status score_merges(maker *m)
{
    snug_json list = snug_json_get(m->model, "merges");
    rank     *index = snug_arena_array_try(m->a, m->count, sizeof *index), *found;
    char      joined[1024];
    if (index == NULL) return snug_fail(m->err, SNUG_ENOMEM, "no memory for %zu tokens", m->count);
    for (size_t i = 0; i < m->count; i++) index[i] = (rank){m->tokens[i], i};
    qsort(index, m->count, sizeof *index, by_text);
    for (size_t i = 0; i < m->count; i++) m->scores[i] = -1e9f;
    size_t n = snug_json_count(list);
    for (size_t i = n; i-- > 0;) { /* the first merge that makes a token is the one that counts */
        snug_slice a, b;
        if (!merge_halves(snug_json_at(list, i), &a, &b) || a.len + b.len > sizeof joined) continue;
        memcpy(joined, a.ptr, a.len);
        memcpy(joined + a.len, b.ptr, b.len);
        rank key = {snug_slice_of(joined, a.len + b.len), 0};
        found = bsearch(&key, index, m->count, sizeof key, by_text);
        if (found != NULL) m->scores[found->id] = -(float)i;
    }
    for (size_t i = 0; i < m->count; i++)
        if (m->types[i] != NORMAL) m->scores[i] = 0.0f;
    return SNUG_OK;
}

static snug_status make_characters(maker *m)
{
    snug_status st = SNUG_OK;
    snug_slice  unknown;
    size_t      id;
    SNUG_TRY(read_vocab(m));
    for (size_t i = 0; i < m->count; i++)
        if (m->types[i] == NORMAL && is_byte_token(m->tokens[i])) m->types[i] = BYTE;
    if (snug_json_to_str(snug_json_get(m->model, "unk_token"), &unknown) && id_of(m, unknown, &id))
        m->types[id] = UNKNOWN;
    SNUG_TRY(read_added(m));
    fill_holes(m);
    put_str(m, "ggml.model", SNUG_LIT("llama"));
    put_str(m, "ggml.pre", SNUG_LIT("default"));
    SNUG_TRY(score_merges(m));
    snug_json space = find_part(snug_json_get(m->file, "normalizer"), "normalizers", "Prepend");
    snug_json meta =
        find_part(snug_json_get(m->file, "pre_tokenizer"), "pretokenizers", "Metaspace");
    bool never = snug_eq_str(snug_json_str_or(meta, "prepend_scheme", SNUG_LIT("always")), "never");
    put_bool(m, "ggml.add_space_prefix", present(space) || (present(meta) && !never));
    put_array(m, "ggml.scores", CODEC_GGUF_F32, m->scores, m->count, sizeof *m->scores);
done:
    return st;
}

/* ---- unigrams ---- */

static snug_status put_charsmap(maker *m)
{
    snug_json  part = find_part(snug_json_get(m->file, "normalizer"), "normalizers", "Precompiled");
    snug_slice text;
    if (!snug_json_to_str(snug_json_get(part, "precompiled_charsmap"), &text)) return SNUG_OK;
    snug_buf    b = snug_buf_init(CHARSMAP_MAX);
    snug_status st = snug_base64_decode(text, &b, m->err);
    if (st == SNUG_OK) {
        snug_slice kept = snug_arena_dup(m->a, snug_buf_slice(&b));
        put_array(m, "ggml.precompiled_charsmap", CODEC_GGUF_U8, kept.ptr, kept.len, 1);
    }
    snug_buf_deinit(&b);
    return st;
}

static snug_status make_unigrams(maker *m)
{
    snug_status st = SNUG_OK;
    snug_json   vocab = snug_json_get(m->model, "vocab");
    uint64_t    unknown;
    for (size_t i = 0; i < snug_json_count(vocab); i++) {
        snug_slice text;
        double     score;
        snug_json  pair = snug_json_at(vocab, i);
        if (!snug_json_to_str(snug_json_at(pair, 0), &text) ||
            !snug_json_to_f64(snug_json_at(pair, 1), &score))
            SNUG_FAIL(m->err, SNUG_EINVAL, "tokenizer.json: piece %zu has no score", i);
        SNUG_TRY(set_token(m, i, text, is_byte_token(text) ? BYTE : NORMAL));
        m->scores[i] = (float)score;
    }
    if (snug_json_to_u64(snug_json_get(m->model, "unk_id"), &unknown) && unknown < m->count)
        m->types[unknown] = UNKNOWN;
    SNUG_TRY(read_added(m));
    fill_holes(m);
    put_str(m, "ggml.model", SNUG_LIT("t5"));
    put_str(m, "ggml.pre", SNUG_LIT("default"));
    put_array(m, "ggml.scores", CODEC_GGUF_F32, m->scores, m->count, sizeof *m->scores);
    put_bool(m, "ggml.add_space_prefix", true);
    put_bool(m, "ggml.remove_extra_whitespaces", true);
    SNUG_TRY(put_charsmap(m));
done:
    return st;
}

/* ---- WordPiece: pieces that start a word are marked, instead of those that go on ---- */

static snug_status make_words(maker *m)
{
    snug_status st = SNUG_OK;
    snug_slice  prefix = snug_json_str_or(m->model, "continuing_subword_prefix", SNUG_LIT("##"));
    SNUG_TRY(read_vocab(m));
    SNUG_TRY(read_added(m));
    for (size_t i = 0; i < m->count; i++) {
        snug_slice t = m->tokens[i];
        if (m->types[i] != NORMAL || (t.len > 1 && t.ptr[0] == '[' && t.ptr[t.len - 1] == ']'))
            continue;
        bool goes_on = t.len >= prefix.len && snug_eq(snug_sub(t, 0, prefix.len), prefix);
        m->tokens[i] = goes_on ? snug_sub(t, prefix.len, t.len)
                               : snug_arena_printf(m->a, "\xe2\x96\x81%.*s", SNUG_SLICE(t));
    }
    fill_holes(m);
    put_str(m, "ggml.model", SNUG_LIT("bert"));
    put_str(m, "ggml.pre", SNUG_LIT("default"));
    put_u32(m, "ggml.token_type_count",
            (uint64_t)snug_json_i64_or(m->config, "type_vocab_size", 2));
    snug_json n = find_part(snug_json_get(m->file, "normalizer"), "normalizers", "BertNormalizer");
    put_bool(m, "ggml.normalizer.lowercase", snug_json_bool_or(n, "lowercase", true));
done:
    return st;
}

/* ---- special ids ---- */

/* "<s>" or {"content": "<s>"} */
static bool special_text(snug_json conf, const char *key, snug_slice *out)
{
    snug_json v = snug_json_get(conf, key);
    return snug_json_to_str(v, out) || snug_json_to_str(snug_json_get(v, "content"), out);
}

static bool special_id(const maker *m, const char *token, const char *id_key, size_t *out)
{
    snug_slice text;
    uint64_t   id;
    if (special_text(m->conf, token, &text) && id_of(m, text, out)) return true;
    const snug_json places[] = {m->generation, m->config};
    for (size_t i = 0; i < 2 && id_key != NULL; i++) {
        snug_json v = snug_json_get(places[i], id_key);
        if (snug_json_is(v, SNUG_JSON_ARRAY)) v = snug_json_at(v, 0);
        if (!snug_json_to_u64(v, &id) || id >= m->count) continue;
        *out = (size_t)id;
        return true;
    }
    return false;
}

static void put_special(maker *m)
{
    static const struct {
        const char *token, *id, *key;
    } list[] = {
        {"bos_token", "bos_token_id", "ggml.bos_token_id"},
        {"eos_token", "eos_token_id", "ggml.eos_token_id"},
        {"unk_token", NULL, "ggml.unknown_token_id"},
        {"sep_token", NULL, "ggml.seperator_token_id"}, /* sic */
        {"pad_token", "pad_token_id", "ggml.padding_token_id"},
        {"cls_token", NULL, "ggml.cls_token_id"},
        {"mask_token", NULL, "ggml.mask_token_id"},
    };
    static const char *const turns[] = {"<|eot_id|>", "<|im_end|>", "<end_of_turn>", "<|end|>"};
    size_t                   id;
    bool                     bos = false;
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        if (!special_id(m, list[i].token, list[i].id, &id)) continue;
        put_u32(m, list[i].key, id);
        bos |= i == 0;
    }
    if (!bos && special_id(m, "cls_token", NULL, &id)) put_u32(m, "ggml.bos_token_id", id);
    for (size_t i = 0; i < sizeof turns / sizeof *turns; i++)
        if (id_of(m, snug_str(turns[i]), &id)) {
            put_u32(m, "ggml.eot_token_id", id);
            break;
        }
}

/* What the post-processor puts around a text. */
static void put_ends(maker *m)
{
    snug_json   post = snug_json_get(m->file, "post_processor");
    snug_json   t = find_part(post, "processors", "TemplateProcessing");
    snug_json   single = snug_json_get(t, "single");
    bool        before, after;
    size_t      n = snug_json_count(single);
    const char *classic[] = {"BertProcessing", "RobertaProcessing"};
    before = present(snug_json_get(snug_json_at(single, 0), "SpecialToken"));
    after = n > 0 && present(snug_json_get(snug_json_at(single, n - 1), "SpecialToken"));
    for (size_t i = 0; i < 2; i++)
        if (present(find_part(post, "processors", classic[i]))) before = after = true;
    put_bool(m, "ggml.add_bos_token", before);
    put_bool(m, "ggml.add_eos_token", after);
}

/* ---- chat templates ---- */

static snug_status put_template(maker *m)
{
    snug_json  v = snug_json_get(m->conf, "chat_template");
    snug_slice text, name, path = snug_arena_printf(m->a, "%s/chat_template.jinja", m->dir);
    if (access(path.ptr, F_OK) == 0) {
        snug_status st = snug_read_file(m->a, path.ptr, TEMPLATE_MAX, &text, m->err);
        if (st == SNUG_OK) put_str(m, "chat_template", text);
        return st;
    }
    if (snug_json_to_str(v, &text)) put_str(m, "chat_template", text);
    for (size_t i = 0; i < snug_json_count(v) && m->kv_count + 1 < KVS_MAX; i++) {
        snug_json one = snug_json_at(v, i);
        if (!snug_json_to_str(snug_json_get(one, "template"), &text) ||
            !snug_json_to_str(snug_json_get(one, "name"), &name))
            continue;
        if (snug_eq_str(name, "default"))
            put_str(m, "chat_template", text);
        else
            put_str(m, snug_arena_printf(m->a, "chat_template.%.*s", SNUG_SLICE(name)).ptr, text);
    }
    return SNUG_OK;
}

/* ---- the whole ---- */

static snug_status read_files(maker *m)
{
    snug_status st = SNUG_OK;
    snug_slice  text, path = snug_arena_printf(m->a, "%s/tokenizer.json", m->dir);
    SNUG_TRY(snug_read_file(m->a, path.ptr, TOK_JSON_MAX, &text, m->err));
    SNUG_TRY(snug_json_parse(m->a, text, &(snug_json_opts){.flags = SNUG_JSON_BORROW}, &m->file,
                             m->err));
    SNUG_TRY(infer_read_json(m->a, m->dir, "tokenizer_config.json", &m->conf, m->err));
    SNUG_TRY(infer_read_json(m->a, m->dir, "config.json", &m->config, m->err));
    SNUG_TRY(infer_read_json(m->a, m->dir, "generation_config.json", &m->generation, m->err));
    m->model = snug_json_get(m->file, "model");
done:
    if (st != SNUG_OK) snug_note(m->err, "tokenizer.json");
    return st;
}

static snug_status make_model(maker *m)
{
    bool pieces = snug_json_is(snug_json_get(m->model, "vocab"), SNUG_JSON_ARRAY);
    bool merges = present(snug_json_get(m->model, "merges"));
    bool bytes =
        present(find_part(snug_json_get(m->file, "pre_tokenizer"), "pretokenizers", "ByteLevel"));
    if (pieces) return make_unigrams(m);
    if (merges) return bytes ? make_bytes(m) : make_characters(m);
    if (type_is(m->model, "WordPiece")) return make_words(m);
    return snug_fail(m->err, SNUG_EUNSUPPORTED,
                     "GGUF files hold no tokenizers of this kind of \"model\"");
}

snug_status gguf_tok_make(snug_arena *a, const char *dir, size_t count, const codec_gguf_kv **kvs,
                          size_t *kv_count, snug_err *err)
{
    snug_status st = SNUG_OK;
    maker       m = {.a = a, .dir = dir, .count = count, .err = err};
    if (count == 0 || count > TOKENS_MAX)
        SNUG_FAIL(err, SNUG_ELIMIT, "a vocabulary of %zu; at most %d", count, TOKENS_MAX);
    m.kvs = snug_arena_zalloc(a, KVS_MAX * sizeof *m.kvs);
    m.tokens = snug_arena_array_try(a, count, sizeof *m.tokens);
    m.types = snug_arena_array_try(a, count, sizeof *m.types);
    m.scores = snug_arena_array_try(a, count, sizeof *m.scores);
    if (m.tokens == NULL || m.types == NULL || m.scores == NULL)
        SNUG_FAIL(err, SNUG_ENOMEM, "no memory for %zu tokens", count);
    SNUG_TRY(read_files(&m));
    SNUG_TRY(make_model(&m));
    put_array(&m, "ggml.tokens", CODEC_GGUF_STRING, m.tokens, count, 0);
    put_array(&m, "ggml.token_type", CODEC_GGUF_I32, m.types, count, sizeof *m.types);
    put_special(&m);
    put_ends(&m);
    SNUG_TRY(put_template(&m));
    *kvs = m.kvs;
    *kv_count = m.kv_count;
done:
    return st;
}
