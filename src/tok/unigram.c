/* SPDX-License-Identifier: Apache-2.0 */
/* tok/unigram.c - the unigram language model: the likeliest way to cut a piece into tokens.
 *
 * For:     tok.c.
 * Threads: constant once loaded; the lattice lives in the tok_work.
 *
 * Viterbi from left to right: best[i] is the best score of a cut that ends at byte i, and where its
 * last token starts. All tokens that start at a place come from one walk down a trie. A character
 * that is no token by itself may be taken as unknown, at the worst score of the vocabulary less 10.
 * Sums are taken in double, in the order of the reference, so ties fall the same way. */
#include <math.h>

#include "tok/tok_int.h"

#define NOT_REACHED UINT32_MAX

static const double UNK_PENALTY = 10.0;

typedef struct best {
    double   score;
    uint32_t from, id;
} best;

/* The reference's JSON reader takes the digits as one whole number and divides: with 17 digits the
 * last bit may differ from the nearest number, and with it which of two equal ways wins. */
static double as_reference_reads(double v, snug_buf *text)
{
    snug_json_out o = snug_json_out_init(text);
    uint64_t      digits = 0;
    int           places = 0, count = 0;
    bool          after = false;
    snug_buf_clear(text);
    snug_jo_f64(&o, fabs(v)); /* the shortest text, as the reference writes it */
    for (size_t i = 0; i < text->len; i++) {
        char c = text->ptr[i];
        if (c == '.') {
            after = true;
            continue;
        }
        if (c < '0' || c > '9') return v; /* an exponent: no score of a piece */
        digits = digits * 10 + (uint64_t)(c - '0');
        count++;
        places += after;
    }
    if (count < 17 || count > 18 || places > 22) return v;
    double scale = 1;
    while (places-- > 0) scale *= 10; /* exact up to 10^22 */
    return copysign((double)digits / scale, v);
}

static snug_status load_piece(tok *t, snug_json v, uint32_t id, double *worst, snug_buf *text_buf,
                              snug_err *err)
{
    snug_slice text;
    double     score;
    if (snug_json_count(v) != 2 || !snug_json_to_str(snug_json_at(v, 0), &text) ||
        !snug_json_to_f64(snug_json_at(v, 1), &score) || !isfinite(score)) {
        return snug_fail(err, SNUG_EINVAL,
                         "Unigram: entry %u of the vocabulary is not [text, score]", id);
    }
    tok_vocab_put(&t->vocab, snug_arena_dup(t->arena, text), id);
    if (!t->m.uni.single) score = as_reference_reads(score, text_buf);
    t->m.uni.scores[id] = score;
    if (score < *worst) *worst = score;
    return SNUG_OK;
}

static snug_status load(tok *t, snug_json v, snug_err *err)
{
    tok_unigram *u = &t->m.uni;
    snug_json    list = snug_json_get(v, "vocab"), unk = snug_json_get(v, "unk_id");
    size_t       n = snug_json_count(list);
    uint64_t     unk_id;
    double       worst = INFINITY;
    uint32_t     id = 0;

    if (!snug_json_is(list, SNUG_JSON_ARRAY) || n == 0 || n > TOK_ID_MAX) {
        return snug_fail(err, SNUG_EINVAL, "Unigram: vocab must be a list of 1 to %d entries",
                         TOK_ID_MAX);
    }
    u->scores = snug_arena_array_try(t->arena, n, sizeof *u->scores);
    if (u->scores == NULL || !tok_vocab_init(&t->vocab, t->arena, n)) {
        return snug_fail(err, SNUG_ENOMEM, "no memory for a vocabulary of %zu", n);
    }
    SNUG_AUTO(snug_buf) digits = snug_buf_init(64);
    u->single = snug_json_bool_or(v, "single", false);
    for (snug_json_iter it = snug_json_iter_of(list); snug_json_next(&it); id++) {
        snug_status st = load_piece(t, it.value, id, &worst, &digits, err);
        if (st != SNUG_OK) return st;
    }
    u->has_unk = snug_json_to_u64(unk, &unk_id);
    if (u->has_unk && unk_id >= n) {
        return snug_fail(err, SNUG_EINVAL, "Unigram: unk_id is outside the vocabulary of %zu", n);
    }
    u->unk_id = u->has_unk ? (uint32_t)unk_id : 0;
    u->unk_score = worst - UNK_PENALTY;
    u->byte_fallback = snug_json_bool_or(v, "byte_fallback", false);
    for (unsigned i = 0; i < 256; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "<0x%02X>", i);
        if (!tok_vocab_get(&t->vocab, snug_str(name), &u->byte_ids[i]))
            u->byte_ids[i] = TOK_NO_VALUE;
    }
    return tok_trie_build(&u->trie, t->arena, t->vocab.keys, t->vocab.ids, t->vocab.count, err);
}

/* "single" is ours (spm.c): sentencepiece sums in float, so that other ties are ties. */
static void offer(const tok_unigram *u, best *b, double score, size_t from, uint32_t id)
{
    if (u->single) score = (double)(float)score;
    if (b->from != NOT_REACHED && !(score > b->score)) return; /* the first found keeps a tie */
    *b = (best){score, (uint32_t)from, id};
}

static snug_status find_best(const tok *t, tok_work *w, const tok_piece *p, best *b)
{
    const tok_unigram *u = &t->m.uni;
    for (size_t i = 0; i <= p->len; i++) b[i] = (best){0, NOT_REACHED, 0};
    for (size_t at = 0; at < p->len;) {
        size_t   char_len = tok_utf8_len((unsigned char)p->text[at]);
        double   here = b[at].score;
        bool     single = false;
        uint32_t node = 0;
        for (size_t end = at; end < p->len;) {
            node = tok_trie_step(&u->trie, node, (unsigned char)p->text[end++]);
            if (node == 0) break;
            uint32_t id = u->trie.nodes[node].value;
            if (id == TOK_NO_VALUE) continue;
            offer(u, &b[end], u->scores[id] + here, at, id);
            single |= end - at == char_len;
        }
        if (!single) {
            if (!u->has_unk) {
                return snug_fail(w->err, SNUG_EINVAL, "Unigram: unknown characters and no unk_id");
            }
            offer(u, &b[at + char_len], u->unk_score + here, at, u->unk_id);
        }
        at += char_len;
    }
    return SNUG_OK;
}

/* What stands for unknown characters; a row of them may be a token after all. */
static void emit_unknown(const tok *t, tok_work *w, const tok_piece *p, size_t from, size_t to)
{
    const tok_unigram *u = &t->m.uni;
    snug_slice         text = snug_slice_of(p->text + from, to - from);
    uint32_t           id;
    if (tok_vocab_get(&t->vocab, text, &id)) {
        tok_emit(w, p, id, from, to, SNUG_EMPTY);
        return;
    }
    bool bytes = u->byte_fallback;
    for (size_t i = 0; i < text.len && bytes; i++)
        bytes = u->byte_ids[(unsigned char)text.ptr[i]] != TOK_NO_VALUE;
    for (size_t i = 0; i < text.len && bytes; i++) {
        tok_emit(w, p, u->byte_ids[(unsigned char)text.ptr[i]], from, to, SNUG_EMPTY);
    }
    if (!bytes) tok_emit(w, p, u->unk_id, from, to, text);
}

static snug_status run(const tok *t, tok_work *w, const tok_piece *p)
{
    const tok_unigram *u = &t->m.uni;
    best              *b = tok_scratch_need(&w->model[0], ((size_t)p->len + 1) * sizeof *b);
    snug_status        st = find_best(t, w, p, b);
    if (st != SNUG_OK) return st;
    /* Walk back, turning `from` of each place on the path into the place that follows it. */
    uint32_t at = p->len, next = NOT_REACHED, next_id = 0;
    while (at > 0) {
        uint32_t from = b[at].from, id = b[at].id;
        b[at].from = next;
        b[at].id = next_id;
        next = at;
        next_id = id;
        at = from;
    }
    for (at = 0; at < p->len;) {
        uint32_t end = next, id = next_id;
        /* neighbouring unknowns are one */
        while (u->has_unk && id == u->unk_id && end < p->len && b[end].id == u->unk_id)
            end = b[end].from;
        if (u->has_unk && id == u->unk_id)
            emit_unknown(t, w, p, at, end);
        else
            tok_emit(w, p, id, at, end, SNUG_EMPTY);
        next = b[end].from;
        next_id = b[end].id;
        at = end;
    }
    return SNUG_OK;
}

const tok_model_type tok_unigram_type = {"Unigram", load, run};
