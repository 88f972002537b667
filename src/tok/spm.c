/* SPDX-License-Identifier: Apache-2.0 */
/* tok/spm.c - a SentencePiece model (a protobuf) as tokenizer.json.
 *
 * For:     open.c.
 * Threads: pure.
 *
 *   ModelProto      1 pieces, 2 trainer, 3 normalizer
 *   piece           1 text, 2 score (f32), 3 type: 1 normal 2 unknown 3 control 4 user 5 unused 6
 * byte trainer         3 model type: 1 unigram 2 BPE; 35 byte fallback; 40-43 unk, bos, eos, pad
 * ids normalizer      2 compiled table, 3 a space in front, 4 extra spaces go, 5 spaces become
 * U+2581
 *
 * BPE joins the neighbours whose joined text has the best score: "ranks" in the model. What a
 * family of models adds to the file (XLM-R moves the ids by one, T5 has 100 more tokens) goes by
 * the name of the tokenizer's class. */
#include <stdlib.h>

#include "tok/forms.h"
#include "tok/tok_int.h"

enum { PIECES_MAX = 4 * 1024 * 1024, EXTRA_IDS_MAX = 1000 };
#define BLANK "\xe2\x96\x81"

typedef tok_spm_piece piece;
typedef tok_spm       spm;

/* ---- protobuf ---- */

typedef struct field {
    uint32_t   number;
    uint64_t   value; /* of a varint or fixed number */
    snug_slice bytes;
} field;

static uint64_t varint(snug_rd *r)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t b = snug_rd_u8(r);
        v |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80) return v;
    }
    r->bad = true;
    return 0;
}

static bool next_field(snug_rd *r, field *f)
{
    if (snug_rd_left(r) == 0 || r->bad) return false;
    uint64_t tag = varint(r);
    *f = (field){.number = (uint32_t)(tag >> 3)};
    switch (tag & 7) {
    case 0: f->value = varint(r); break;
    case 1: f->value = snug_rd_u64le(r); break;
    case 2: f->bytes = snug_rd_bytes(r, varint(r)); break;
    case 5: f->value = snug_rd_u32le(r); break;
    default: r->bad = true;
    }
    return !r->bad;
}

static bool read_piece(snug_slice bytes, piece *out)
{
    snug_rd r = snug_rd_init(bytes);
    *out = (piece){.type = TOK_SPM_NORMAL};
    for (field f; next_field(&r, &f);) {
        uint32_t bits = (uint32_t)f.value;
        if (f.number == 1) out->text = f.bytes;
        if (f.number == 2) memcpy(&out->score, &bits, 4);
        if (f.number == 3) out->type = bits;
    }
    return !r.bad && snug_utf8_valid(out->text) && out->score == out->score;
}

static bool read_trainer(snug_slice bytes, spm *m)
{
    snug_rd r = snug_rd_init(bytes);
    for (field f; next_field(&r, &f);) {
        if (f.number == 3) m->bpe = f.value == 2;
        if (f.number == 3 && f.value != 1 && f.value != 2) return false;
        if (f.number == 35) m->byte_fallback = f.value != 0;
        if (f.number == 40) m->unk = f.value;
        if (f.number == 41) m->bos = f.value;
        if (f.number == 42) m->eos = f.value;
    }
    return !r.bad;
}

static bool read_normalizer(snug_slice bytes, spm *m)
{
    snug_rd r = snug_rd_init(bytes);
    for (field f; next_field(&r, &f);) {
        if (f.number == 2) m->map = f.bytes;
        if (f.number == 3) m->prefix = f.value != 0;
        if (f.number == 4) m->squeeze = f.value != 0;
        if (f.number == 5) m->escape = f.value != 0;
    }
    return !r.bad;
}

static snug_status read_model(snug_arena *a, snug_slice file, spm *m, snug_err *err)
{
    bool    good = true;
    snug_rd r = snug_rd_init(file);
    *m = (spm){.prefix = true, .squeeze = true, .escape = true, .bos = 1, .eos = 2};
    for (field f; next_field(&r, &f);) m->count += f.number == 1;
    if (r.bad || m->count == 0)
        return snug_fail(err, SNUG_ECORRUPT, "it is not a SentencePiece model");
    if (m->count > PIECES_MAX)
        return snug_fail(err, SNUG_ELIMIT, "%zu pieces; the limit is %d", m->count, PIECES_MAX);
    m->pieces = snug_arena_array_try(a, m->count, sizeof *m->pieces);
    if (m->pieces == NULL) return snug_fail(err, SNUG_ENOMEM, "no memory for %zu pieces", m->count);
    r = snug_rd_init(file);
    size_t n = 0;
    for (field f; good && next_field(&r, &f);) {
        if (f.number == 1) good = read_piece(f.bytes, &m->pieces[n++]);
        if (f.number == 2) good = read_trainer(f.bytes, m);
        if (f.number == 3) good = read_normalizer(f.bytes, m);
    }
    if (!good)
        return snug_fail(err, SNUG_EUNSUPPORTED,
                         "a SentencePiece model of this type is not known to this build");
    return SNUG_OK;
}

/* ---- the document ---- */

typedef struct writer {
    const tok_beside *b;
    const spm        *m;
    snug_json_out    *o;
    bool              fairseq, t5;
    uint32_t          shift; /* ids of pieces from the fourth on */
} writer;

static void put_entry(writer *w, snug_slice text, double score)
{
    snug_jo_begin_array(w->o);
    snug_jo_str(w->o, text);
    snug_jo_f64(w->o, score);
    snug_jo_end_array(w->o);
}

static void put_unigram(writer *w)
{
    const spm *m = w->m;
    snug_jo_kcstr(w->o, "type", "Unigram");
    snug_jo_ku64(w->o, "unk_id", w->fairseq ? 3 : m->unk);
    snug_jo_kbool(w->o, "byte_fallback", m->byte_fallback);
    snug_jo_kbool(w->o, "single", true);
    snug_jo_key(w->o, "vocab");
    snug_jo_begin_array(w->o);
    if (w->fairseq) {
        static const char *const first[] = {"<s>", "<pad>", "</s>", "<unk>"};
        for (int i = 0; i < 4; i++) put_entry(w, snug_str(first[i]), 0);
    }
    for (size_t i = w->fairseq ? 3 : 0; i < m->count; i++)
        put_entry(w, m->pieces[i].text, (double)m->pieces[i].score);
    if (w->fairseq) put_entry(w, SNUG_LIT("<mask>"), 0);
    snug_jo_end_array(w->o);
}

static int by_score(const void *x, const void *y)
{
    const piece *a = *(const piece *const *)x, *b = *(const piece *const *)y;
    if (a->score != b->score) return a->score > b->score ? -1 : 1;
    return a < b ? -1 : 1;
}

/* Equal scores are one rank: the leftmost pair goes first. */
static snug_status rank_pieces(const spm *m, snug_arena *a, snug_err *err)
{
    piece **sorted = snug_arena_array_try(a, m->count, sizeof *sorted);
    if (sorted == NULL) return snug_fail(err, SNUG_ENOMEM, "no memory for %zu pieces", m->count);
    for (size_t i = 0; i < m->count; i++) sorted[i] = &m->pieces[i];
    qsort(sorted, m->count, sizeof *sorted, by_score);
    for (size_t i = 1; i < m->count; i++)
        sorted[i]->rank = sorted[i - 1]->rank + (sorted[i]->score != sorted[i - 1]->score);
    return SNUG_OK;
}

static void put_bpe(writer *w)
{
    const spm *m = w->m;
    snug_jo_kcstr(w->o, "type", "BPE");
    snug_jo_kstr(w->o, "unk_token", m->unk < m->count ? m->pieces[m->unk].text : SNUG_LIT("<unk>"));
    snug_jo_kbool(w->o, "fuse_unk", true);
    snug_jo_kbool(w->o, "byte_fallback", m->byte_fallback);
    snug_jo_key(w->o, "vocab");
    snug_jo_begin_object(w->o);
    for (size_t i = 0; i < m->count; i++) {
        snug_jo_key_slice(w->o, m->pieces[i].text);
        snug_jo_u64(w->o, i);
    }
    snug_jo_end_object(w->o);
    snug_jo_key(w->o, "ranks");
    snug_jo_begin_array(w->o);
    for (size_t i = 0; i < m->count; i++) {
        if (m->pieces[i].type == TOK_SPM_NORMAL)
            snug_jo_u64(w->o, m->pieces[i].rank);
        else
            snug_jo_null(w->o); /* nothing is joined into it */
    }
    snug_jo_end_array(w->o);
}

static void put_replace(snug_json_out *o, const char *kind, const char *from, const char *to)
{
    snug_jo_begin_object(o);
    snug_jo_kcstr(o, "type", "Replace");
    snug_jo_key(o, "pattern");
    snug_jo_begin_object(o);
    snug_jo_kcstr(o, kind, from);
    snug_jo_end_object(o);
    snug_jo_kcstr(o, "content", to);
    snug_jo_end_object(o);
}

static void put_normalizer(writer *w)
{
    snug_json_out *o = w->o;
    const spm     *m = w->m;
    bool           words = m->one_word && m->escape && m->bpe;
    snug_jo_key(o, "normalizer");
    snug_jo_begin_object(o);
    snug_jo_kcstr(o, "type", "Sequence");
    snug_jo_key(o, "normalizers");
    snug_jo_begin_array(o);
    if (m->map.len > 0) {
        SNUG_AUTO(snug_buf) text = snug_buf_init(TOK_JSON_MAX);
        snug_base64_put(&text, m->map);
        snug_jo_begin_object(o);
        snug_jo_kcstr(o, "type", "Precompiled");
        snug_jo_kbool(o, "longest_match", true);
        snug_jo_kstr(o, "precompiled_charsmap", snug_buf_slice(&text));
        snug_jo_end_object(o);
    }
    if (m->squeeze) {
        put_replace(o, "Regex", "\\A +|[ " BLANK "]+\\z", "");
        put_replace(o, "Regex", " {2,}", " ");
    }
    if (m->prefix) {
        snug_jo_begin_object(o);
        snug_jo_kcstr(o, "type", "Prepend");
        snug_jo_kcstr(o, "prepend", m->escape ? BLANK : " ");
        snug_jo_end_object(o);
    }
    if (m->escape) put_replace(o, "String", " ", BLANK);
    snug_jo_end_array(o);
    snug_jo_end_object(o);
    if (!words) return;
    /* No piece goes on after a space: words can be cut first, which is the same and faster. Not so
     * for Unigram, where sums over the whole text decide how they round, and so which of two equal
     * ways is the better one. */
    snug_jo_key(o, "pre_tokenizer");
    snug_jo_begin_object(o);
    snug_jo_kcstr(o, "type", "Metaspace");
    snug_jo_kcstr(o, "replacement", BLANK);
    snug_jo_kcstr(o, "prepend_scheme",
                  "never"); /* it skips a text that begins with one; Prepend does not */
    snug_jo_kbool(o, "split", true);
    snug_jo_end_object(o);
}

static void put_decoder(writer *w)
{
    snug_json_out *o = w->o;
    snug_jo_key(o, "decoder");
    snug_jo_begin_object(o);
    snug_jo_kcstr(o, "type", "Sequence");
    snug_jo_key(o, "decoders");
    snug_jo_begin_array(o);
    put_replace(o, "String", BLANK, " ");
    snug_jo_begin_object(o);
    snug_jo_kcstr(o, "type", "ByteFallback");
    snug_jo_end_object(o);
    snug_jo_begin_object(o);
    snug_jo_kcstr(o, "type", "Fuse");
    snug_jo_end_object(o);
    if (w->m->prefix) {
        snug_jo_begin_object(o);
        snug_jo_kcstr(o, "type", "Strip");
        snug_jo_kcstr(o, "content", " ");
        snug_jo_ku64(o, "start", 1);
        snug_jo_ku64(o, "stop", 0);
        snug_jo_end_object(o);
    }
    snug_jo_end_array(o);
    snug_jo_end_object(o);
}

static void put_one(snug_json_out *o, snug_slice text, uint64_t id, bool special)
{
    snug_jo_begin_object(o);
    snug_jo_ku64(o, "id", id);
    snug_jo_kstr(o, "content", text);
    snug_jo_kbool(o, "normalized", false);
    snug_jo_kbool(o, "special", special);
    snug_jo_end_object(o);
}

static void put_added(writer *w)
{
    const spm *m = w->m;
    tok_vocab  known;
    if (!tok_vocab_init(&known, w->b->arena, m->count + 8)) return;
    snug_jo_key(w->o, "added_tokens");
    snug_jo_begin_array(w->o);
    if (w->fairseq) {
        static const char *const first[] = {"<s>", "<pad>", "</s>", "<unk>"};
        for (uint32_t i = 0; i < 4; i++) put_one(w->o, snug_str(first[i]), i, true);
        put_one(w->o, SNUG_LIT("<mask>"), m->count + 1, true);
    }
    for (size_t i = w->fairseq ? 3 : 0; i < m->count; i++) {
        const piece *p = &m->pieces[i];
        uint32_t     id = (uint32_t)i + w->shift;
        tok_vocab_put(&known, p->text, id);
        if (p->type == TOK_SPM_CONTROL || p->type == TOK_SPM_UNKNOWN || p->type == TOK_SPM_USER)
            put_one(w->o, p->text, id, p->type != TOK_SPM_USER);
    }
    if (w->t5) {
        uint64_t extra = (uint64_t)snug_json_i64_or(w->b->config, "extra_ids", 100);
        for (uint64_t i = 0; i < extra && i < EXTRA_IDS_MAX; i++) {
            char name[32];
            (void)snprintf(name, sizeof name, "<extra_id_%u>", (unsigned)(extra - 1 - i));
            put_one(w->o, snug_str(name), m->count + i, true);
        }
    }
    tok_form_put_added(w->b, w->o, &known);
    snug_jo_end_array(w->o);
}

static void put_post(writer *w)
{
    const spm *m = w->m;
    if (w->fairseq) {
        tok_form_put_template(w->o, SNUG_LIT("<s>"), 0, SNUG_LIT("</s>"), 2);
        return;
    }
    bool bos = m->add_bos && m->bos < m->count, eos = m->add_eos && m->eos < m->count;
    if (!bos && !eos) return;
    tok_form_put_template(w->o, bos ? m->pieces[m->bos].text : SNUG_EMPTY, (uint32_t)m->bos,
                          eos ? m->pieces[m->eos].text : SNUG_EMPTY, (uint32_t)m->eos);
}

/* No piece goes on after a space. */
static bool is_one_word(const spm *m)
{
    for (size_t i = 0; i < m->count; i++) {
        snug_slice t = m->pieces[i].text;
        if (t.len > 3 && snug_find(snug_sub(t, 1, t.len), SNUG_LIT(BLANK)) != SIZE_MAX)
            return false;
    }
    return true;
}

snug_status tok_spm_put(const tok_beside *b, tok_spm *m, snug_buf *out, snug_err *err)
{
    snug_json_out o = snug_json_out_init(out);
    snug_slice    kind = tok_form_class(b);
    snug_status   st = m->bpe ? rank_pieces(m, b->arena, err) : SNUG_OK;
    if (st != SNUG_OK) return st;
    m->one_word = is_one_word(m);
    writer w = {.b = b,
                .m = m,
                .o = &o,
                .fairseq = snug_eq_str(kind, "XLMRobertaTokenizer") && m->count > 3 && !m->bpe,
                .t5 = snug_eq_str(kind, "T5Tokenizer")};
    w.shift = w.fairseq ? 1 : 0;
    snug_jo_begin_object(&o);
    snug_jo_key(&o, "model");
    snug_jo_begin_object(&o);
    if (m->bpe)
        put_bpe(&w);
    else
        put_unigram(&w);
    snug_jo_end_object(&o);
    put_normalizer(&w);
    put_decoder(&w);
    put_added(&w);
    put_post(&w);
    snug_jo_end_object(&o);
    return SNUG_OK;
}

snug_status tok_form_spm(const tok_beside *b, snug_slice file, snug_buf *out, snug_err *err)
{
    snug_slice kind = tok_form_class(b);
    bool       t5 = snug_eq_str(kind, "T5Tokenizer");
    spm        m;
    size_t     space = snug_index(snug_sub(file, 0, 200), ' ');
    if (space != SIZE_MAX && space > 0 && snug_utf8_valid(snug_sub(file, 0, space)) &&
        file.ptr[0] >= '0')
        return tok_form_tiktoken(b, file, out, err); /* Llama 3 keeps the name */
    snug_status st = read_model(b->arena, file, &m, err);
    if (st != SNUG_OK) return st;
    if (kind.len > 0) { /* the bare model adds nothing */
        m.add_bos = tok_form_flag(b, "add_bos_token", !t5);
        m.add_eos = tok_form_flag(b, "add_eos_token", t5);
    }
    return tok_spm_put(b, &m, out, err);
}
