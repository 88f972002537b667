/* SPDX-License-Identifier: Apache-2.0 */
/* tok/train_unigram.c - learns the pieces and scores of a unigram model.
 *
 * For:     train.c.
 * Threads: pure over what it is given.
 * Teacher: Kudo 2018, "Subword Regularization", and the sparse prior of Liang and Klein 2007; the
 *          steps and constants are those of the `tokenizers` library.
 *
 *   seeds: all characters, and what the words repeat -> [ twice: expect counts, then rescore;
 *   enough gone? else drop the pieces whose loss costs least ] -> characters, then the best pieces
 *
 * Seeds are the branching nodes of the suffix tree over the words, found by sorting suffixes. Only
 * the first characters of a suffix are looked at, so a word of any length costs its length. Sums
 * are taken in the order of words (frequent first), so a result is the same everywhere. */
#include <math.h>
#include <stdlib.h>

#include "tok/train.h"

enum { SENTENCE_MAX = 1024 * 1024, ROUNDS_MAX = 200, PIECE_MAX = 64 };

static const double UNK_PENALTY = 10.0, COUNT_MIN = 0.5, MISSING_STEP = 0.0001;

typedef struct piece {
    snug_slice text;
    double     score;
    uint32_t   key; /* its value in the trie */
} piece;

typedef struct edge { /* a piece at a place of a sentence */
    uint32_t begin, end, id;
    double   score;
} edge;

typedef struct lattice {
    snug_slice text;
    edge      *edges; /* by begin, then end; an unknown character last */
    size_t     count, cap;
    double    *forward, *backward; /* per byte of the text */
    uint32_t  *from;               /* Viterbi: the edge that best ends here */
    size_t     room;
} lattice;

typedef struct trainer {
    const tok_train  *o;
    const tok_counts *words;
    snug_arena       *arena;
    snug_err         *err;
    piece            *pieces; /* 0 is unknown */
    size_t            count;
    tok_trie          trie;   /* of all seeds */
    uint32_t         *id_of;  /* by key; TOK_NO_VALUE: dropped */
    double            lowest; /* score */
    lattice           l;
} trainer;

/* ---- seeds ---- */

typedef struct flat { /* all words, each followed by a zero */
    uint32_t *chars;
    size_t    count;
    size_t    look; /* characters that matter: one more than a piece may have */
} flat;

typedef struct seed {
    uint64_t score;
    uint32_t at, len;
} seed;

static int compare_suffixes(const void *x, const void *y, void *arg)
{
    const flat     *t = arg;
    const uint32_t *a = t->chars + *(const uint32_t *)x, *b = t->chars + *(const uint32_t *)y;
    for (size_t i = 0; i < t->look; i++) {
        if (a[i] != b[i]) return a[i] < b[i] ? -1 : 1;
        if (a[i] == 0) break; /* equal words; the text ends in a zero */
    }
    return 0;
}

/* Characters two suffixes share; `look` when they share the end of a word or more than that. */
static size_t common(const flat *t, uint32_t x, uint32_t y)
{
    const uint32_t *a = t->chars + x, *b = t->chars + y;
    for (size_t i = 0; i < t->look; i++) {
        if (a[i] != b[i]) return i;
        if (a[i] == 0) return t->look;
    }
    return t->look;
}

/* The best first; of equals the one that comes last in order of characters. */
static int by_score(const void *x, const void *y, void *arg)
{
    const flat *t = arg;
    const seed *a = x, *b = y;
    if (a->score != b->score) return a->score > b->score ? -1 : 1;
    for (uint32_t i = 0; i < a->len && i < b->len; i++) {
        uint32_t c = t->chars[a->at + i], d = t->chars[b->at + i];
        if (c != d) return c > d ? -1 : 1;
    }
    return a->len > b->len ? -1 : a->len < b->len;
}

static snug_status flatten(const trainer *t, flat *out)
{
    size_t chars = 0;
    for (size_t i = 0; i < t->words->count; i++) {
        snug_slice w = t->words->items[i].word;
        if (w.len > SENTENCE_MAX)
            return snug_fail(t->err, SNUG_ELIMIT,
                             "a word of %zu bytes; a pre-tokenizer must cut text into words of at "
                             "most %d",
                             w.len, SENTENCE_MAX);
        chars += w.len + 1; /* at most */
    }
    if (chars > TOK_TRAIN_SYMBOLS_MAX)
        return snug_fail(t->err, SNUG_ELIMIT, "the words have more than %d bytes",
                         TOK_TRAIN_SYMBOLS_MAX);
    out->chars = snug_alloc_try((chars + 1) * sizeof *out->chars);
    out->look = t->o->max_piece_length + 1;
    if (out->chars == NULL)
        return snug_fail(t->err, SNUG_ENOMEM, "no memory for words of %zu characters", chars);
    for (size_t i = 0; i < t->words->count; i++) {
        for (snug_slice w = t->words->items[i].word; w.len > 0;)
            out->chars[out->count++] = snug_utf8_next(&w);
        out->chars[out->count++] = 0;
    }
    return SNUG_OK;
}

/* Groups of neighbours in `order` that share a beginning, by a stack of open groups. */
static size_t find_repeats(const flat *t, const uint32_t *order, seed *out, size_t most)
{
    struct open {
        uint32_t left, depth;
    } stack[PIECE_MAX + 2];
    size_t count = 0, top = 0;
    stack[top++] = (struct open){0, 0};
    for (size_t i = 1; i <= t->count; i++) {
        uint32_t left = (uint32_t)i - 1,
                 depth = i < t->count ? (uint32_t)common(t, order[i - 1], order[i]) : 0;
        while (stack[top - 1].depth > depth) {
            struct open o = stack[--top];
            left = o.left;
            if (o.depth < 2 || o.depth >= t->look) continue;
            if (out != NULL && count < most)
                out[count] = (seed){(uint64_t)(i - o.left) * o.depth, order[o.left], o.depth};
            count++;
        }
        if (stack[top - 1].depth < depth) stack[top++] = (struct open){left, depth};
    }
    return count;
}

typedef struct letter {
    uint64_t count;
    uint32_t cp;
} letter;

static int by_count(const void *x, const void *y)
{
    const letter *a = x, *b = y;
    if (a->count != b->count) return a->count > b->count ? -1 : 1;
    return a->cp > b->cp ? -1 : a->cp < b->cp;
}

static letter *find_letters(const trainer *t, size_t *n)
{
    enum { CPS = 0x110000 };
    uint64_t *seen = snug_zalloc(CPS * sizeof *seen);
    *n = 0;
    for (size_t i = 0; i < t->words->count; i++) {
        for (snug_slice w = t->words->items[i].word; w.len > 0;)
            seen[snug_utf8_next(&w)] += t->words->items[i].count;
    }
    for (size_t cp = 1; cp < CPS; cp++) *n += seen[cp] != 0;
    letter *list = snug_alloc((*n + 1) * sizeof *list);
    *n = 0;
    for (uint32_t cp = 1; cp < CPS; cp++) {
        if (seen[cp] != 0) list[(*n)++] = (letter){seen[cp], cp};
    }
    free(seen);
    qsort(list, *n, sizeof *list, by_count);
    return list;
}

static void add_piece(trainer *t, const uint32_t *cps, size_t n, double score)
{
    char   bytes[4 * PIECE_MAX];
    size_t len = 0;
    for (size_t i = 0; i < n; i++) len += snug_utf8_put(cps[i], bytes + len);
    t->pieces[t->count] =
        (piece){snug_arena_dup(t->arena, snug_slice_of(bytes, len)), score, (uint32_t)t->count};
    t->count++;
}

static snug_status keep_seeds(trainer *t, const flat *all, const seed *seeds, size_t n)
{
    size_t  letters_count, most;
    letter *letters = find_letters(t, &letters_count);
    double  sum = 0;
    if (n > t->o->seed_size) n = t->o->seed_size;
    most = letters_count + n + 1;
    t->pieces = snug_alloc_try(most * sizeof *t->pieces);
    t->id_of = snug_alloc_try(most * sizeof *t->id_of);
    if (t->pieces == NULL || t->id_of == NULL) {
        free(letters);
        return snug_fail(t->err, SNUG_ENOMEM, "no memory for %zu pieces", most);
    }
    t->pieces[t->count++] = (piece){.score = NAN};
    for (size_t i = 0; i < letters_count; i++)
        add_piece(t, &letters[i].cp, 1, (double)letters[i].count);
    for (size_t i = 0; i < n && (i == 0 || t->count - 1 < t->o->seed_size); i++)
        add_piece(t, all->chars + seeds[i].at, seeds[i].len, (double)seeds[i].score);
    free(letters);
    for (size_t i = 1; i < t->count; i++) sum += t->pieces[i].score;
    for (size_t i = 1; i < t->count; i++) t->pieces[i].score = log(t->pieces[i].score) - log(sum);
    return SNUG_OK;
}

static snug_status find_seeds(trainer *t)
{
    flat        all = {0};
    uint32_t   *order = NULL;
    seed       *seeds = NULL;
    snug_status st = SNUG_OK;
    SNUG_TRY(flatten(t, &all));
    order = snug_alloc_try((all.count + 1) * sizeof *order);
    if (order == NULL) SNUG_FAIL(t->err, SNUG_ENOMEM, "no memory to sort %zu", all.count);
    for (size_t i = 0; i < all.count; i++) order[i] = (uint32_t)i;
    qsort_r(order, all.count, sizeof *order, compare_suffixes, &all);
    size_t n = find_repeats(&all, order, NULL, 0);
    seeds = snug_alloc_try((n + 1) * sizeof *seeds);
    if (seeds == NULL) SNUG_FAIL(t->err, SNUG_ENOMEM, "no memory for %zu pieces", n);
    (void)find_repeats(&all, order, seeds, n);
    qsort_r(seeds, n, sizeof *seeds, by_score, &all);
    SNUG_TRY(keep_seeds(t, &all, seeds, n));
done:
    free(all.chars);
    free(order);
    free(seeds);
    return st;
}

static snug_status build_trie(trainer *t)
{
    snug_slice *keys = snug_alloc(t->count * sizeof *keys);
    uint32_t   *values = snug_alloc(t->count * sizeof *values);
    for (size_t i = 0; i < t->count; i++) {
        keys[i] = t->pieces[i].text; /* that of 0 is empty: left out */
        values[i] = (uint32_t)i;
    }
    snug_status st = tok_trie_build(&t->trie, t->arena, keys, values, t->count, t->err);
    free(keys);
    free(values);
    return st;
}

/* After every change of the pieces. */
static void index_pieces(trainer *t, size_t keys)
{
    for (size_t i = 0; i < keys; i++) t->id_of[i] = TOK_NO_VALUE;
    t->lowest = INFINITY;
    for (size_t i = 1; i < t->count; i++) {
        t->id_of[t->pieces[i].key] = (uint32_t)i;
        if (t->pieces[i].score < t->lowest) t->lowest = t->pieces[i].score;
    }
}

/* ---- the lattice of one sentence ---- */

static void put_edge(lattice *l, edge e)
{
    if (l->count == l->cap) { /* at most PIECE_MAX per byte of a bounded sentence */
        l->cap = l->cap == 0 ? 1024 : l->cap * 2;
        l->edges = snug_realloc(l->edges, l->cap * sizeof *l->edges);
    }
    l->edges[l->count++] = e;
}

static void fill_lattice(trainer *t, snug_slice s)
{
    lattice *l = &t->l;
    *l = (lattice){s, l->edges, 0, l->cap, l->forward, l->backward, l->from, l->room};
    if (l->room < s.len + 1) {
        l->room = s.len + 1 + s.len / 2;
        l->forward = snug_realloc(l->forward, l->room * sizeof *l->forward);
        l->backward = snug_realloc(l->backward, l->room * sizeof *l->backward);
        l->from = snug_realloc(l->from, l->room * sizeof *l->from);
    }
    for (size_t at = 0, n; at < s.len; at += n) {
        uint32_t node = 0;
        bool     single = false;
        n = tok_utf8_len((unsigned char)s.ptr[at]);
        for (size_t end = at; end < s.len;) {
            node = tok_trie_step(&t->trie, node, (unsigned char)s.ptr[end++]);
            if (node == 0) break;
            uint32_t key = t->trie.nodes[node].value;
            if (key == TOK_NO_VALUE || t->id_of[key] == TOK_NO_VALUE) continue;
            single |= end - at == n;
            put_edge(l, (edge){(uint32_t)at, (uint32_t)end, t->id_of[key],
                               t->pieces[t->id_of[key]].score});
        }
        if (!single)
            put_edge(l, (edge){(uint32_t)at, (uint32_t)(at + n), 0, t->lowest - UNK_PENALTY});
    }
}

static double log_sum_exp(double x, double y)
{
    double low = x > y ? y : x, high = x > y ? x : y;
    return high > low + 50.0 ? high : high + log(exp(low - high) + 1.0);
}

/* Adds how often each piece is to be expected in the sentence, `times` over. */
static void expect(lattice *l, double times, double *expected)
{
    size_t n = l->text.len;
    for (size_t i = 0; i <= n; i++) l->forward[i] = l->backward[i] = NAN; /* not reached */
    l->forward[0] = l->backward[n] = 0;
    for (size_t i = 0; i < l->count; i++) {
        edge   e = l->edges[i];
        double v = e.score + l->forward[e.begin], *to = &l->forward[e.end];
        *to = isnan(*to) ? v : log_sum_exp(*to, v);
    }
    for (size_t i = l->count; i > 0;) { /* places from the right, pieces of a place in order */
        size_t first = i - 1;
        while (first > 0 && l->edges[first - 1].begin == l->edges[i - 1].begin) first--;
        for (size_t k = first; k < i; k++) {
            edge   e = l->edges[k];
            double v = e.score + l->backward[e.end], *to = &l->backward[e.begin];
            *to = isnan(*to) ? v : log_sum_exp(*to, v);
        }
        i = first;
    }
    for (size_t i = 0; i < l->count; i++) {
        edge e = l->edges[i];
        expected[e.id] +=
            times * exp(l->forward[e.begin] + e.score + l->backward[e.end] - l->forward[n]);
    }
}

/* l->from: the last edge of the best way to each place. `whole`: may one piece be all of it? */
static bool find_best(lattice *l, bool whole)
{
    size_t n = l->text.len;
    for (size_t i = 0; i <= n; i++) l->from[i] = TOK_NO_VALUE;
    l->forward[0] = 0;
    for (size_t i = 0; i < l->count; i++) {
        edge e = l->edges[i];
        if ((e.begin > 0 && l->from[e.begin] == TOK_NO_VALUE) ||
            (!whole && e.begin == 0 && e.end == n))
            continue;
        double score = l->forward[e.begin] + e.score;
        if (l->from[e.end] != TOK_NO_VALUE && !(score > l->forward[e.end])) continue;
        l->forward[e.end] = score;
        l->from[e.end] = (uint32_t)i;
    }
    return n > 0 && l->from[n] != TOK_NO_VALUE;
}

/* ---- one round ---- */

/* The derivative of log gamma, moved up to where its series is good. */
static double digamma(double x)
{
    double result = 0;
    for (; x < 7; x++) result -= 1 / x;
    x -= 0.5;
    double xx = 1 / x, xx2 = xx * xx, xx4 = xx2 * xx2;
    return result + log(x) + xx2 / 24 - 7.0 / 960 * xx4 + 31.0 / 8064 * xx4 * xx2 -
           127.0 / 30720 * xx4 * xx4;
}

static void rescore(trainer *t, size_t keys)
{
    double *expected = snug_zalloc(t->count * sizeof *expected), sum = 0;
    size_t  kept = 1;
    for (size_t i = 0; i < t->words->count; i++) {
        fill_lattice(t, t->words->items[i].word);
        expect(&t->l, (double)t->words->items[i].count, expected);
    }
    for (size_t i = 1; i < t->count; i++) {
        if (expected[i] < COUNT_MIN) continue;
        t->pieces[kept] = t->pieces[i];
        t->pieces[kept++].score = expected[i];
        sum += expected[i];
    }
    t->count = kept;
    sum = digamma(sum);
    for (size_t i = 1; i < kept; i++) t->pieces[i].score = digamma(t->pieces[i].score) - sum;
    free(expected);
    index_pieces(t, keys);
}

typedef struct candidate {
    double   loss;
    uint32_t id;
} candidate;

static int by_loss(const void *x, const void *y)
{
    const candidate *a = x, *b = y;
    if (a->loss != b->loss) return a->loss > b->loss ? -1 : 1;
    return a->id < b->id ? -1 : 1;
}

/* What a piece is cut into when it is gone. */
typedef struct others {
    uint32_t ids[PIECE_MAX];
    unsigned count;
    bool     keep; /* there is no other way */
} others;

static others find_others(trainer *t, uint32_t id)
{
    others o = {.keep = true};
    fill_lattice(t, t->pieces[id].text);
    if (!find_best(&t->l, true)) return o;
    bool whole = t->l.edges[t->l.from[t->l.text.len]].begin == 0;
    if (!find_best(&t->l, false)) return o; /* a single character */
    o.keep = whole;
    if (!whole) return o;
    for (size_t at = t->l.text.len; at > 0 && o.count < PIECE_MAX;) {
        edge e = t->l.edges[t->l.from[at]];
        o.ids[o.count++] = e.id;
        at = e.begin;
    }
    return o;
}

/* How often the best ways through all sentences use each piece. */
static double count_used(trainer *t, double *used)
{
    double all = 0;
    for (size_t i = 0; i < t->words->count; i++) {
        double times = (double)t->words->items[i].count;
        all += times;
        fill_lattice(t, t->words->items[i].word);
        if (!find_best(&t->l, true)) continue;
        for (size_t at = t->l.text.len; at > 0;) {
            edge e = t->l.edges[t->l.from[at]];
            used[e.id] += times;
            at = e.begin;
        }
    }
    return all;
}

/* The reference takes the number of all pieces where that of the others is meant; so do we. */
static double loss_of(const trainer *t, const others *o, const double *used, uint32_t id,
                      double sum, double all)
{
    double without = log(sum + used[id] * (double)(t->count - 1)), change = 0;
    for (unsigned i = o->count; i > 0; i--) /* from left to right */
        change += log(used[o->ids[i - 1]] + used[id]) - without;
    return used[id] / all * (log(used[id]) - log(sum) - change);
}

static void prune(trainer *t, size_t wanted, size_t keys)
{
    double    *used = snug_zalloc(t->count * sizeof *used), sum = 0, all = count_used(t, used);
    candidate *list = snug_alloc(t->count * sizeof *list);
    piece     *kept = snug_alloc(t->count * sizeof *kept);
    size_t     n = 0, count = 1, most = (size_t)((double)t->count * t->o->shrinking_factor);
    if (most < wanted) most = wanted;
    for (size_t i = 0; i < t->count; i++) sum += used[i];
    kept[0] = t->pieces[0];
    for (uint32_t i = 1; i < t->count; i++) {
        others o = find_others(t, i);
        if (used[i] == 0 && !o.keep) continue;
        if (o.count == 0)
            kept[count++] = t->pieces[i];
        else if (used[i] > 0)
            list[n++] = (candidate){loss_of(t, &o, used, i, sum, all), i};
    }
    qsort(list, n, sizeof *list, by_loss);
    for (size_t i = 0; i < n && count < most; i++) kept[count++] = t->pieces[list[i].id];
    memcpy(t->pieces, kept, count * sizeof *kept);
    t->count = count;
    free(used);
    free(list);
    free(kept);
    index_pieces(t, keys);
}

/* ---- the end: all characters, then the best ---- */

static int by_final(const void *x, const void *y)
{
    const piece *a = x, *b = y;
    if (a->score != b->score) return a->score > b->score ? -1 : 1;
    return a->key < b->key ? -1 : 1;
}

static snug_slice *needed_chars(const trainer *t, size_t *n)
{
    enum { CPS = 0x110000 };
    uint8_t *seen = snug_zalloc(CPS);
    *n = 0;
    for (size_t i = 0; i < t->words->count; i++) {
        for (snug_slice w = t->words->items[i].word; w.len > 0;) seen[snug_utf8_next(&w)] = 1;
    }
    for (snug_slice s = t->o->alphabet; s.len > 0;) seen[snug_utf8_next(&s)] = 1;
    for (size_t i = 0; i < CPS; i++) *n += seen[i];
    snug_slice *list = snug_alloc((*n + 1) * sizeof *list);
    *n = 0;
    for (uint32_t cp = 0; cp < CPS; cp++) {
        char text[4];
        if (!seen[cp]) continue;
        list[(*n)++] = snug_arena_dup(t->arena, snug_slice_of(text, snug_utf8_put(cp, text)));
    }
    free(seen);
    return list;
}

/* Pieces for at most `room` ids; characters come whatever the room is. */
static size_t choose(trainer *t, size_t room, const snug_slice *needed, size_t n, piece *out)
{
    size_t    count = 0, missing = 0;
    tok_vocab have, taken;
    if (!tok_vocab_init(&have, t->arena, t->count) || !tok_vocab_init(&taken, t->arena, n + 1))
        return SIZE_MAX;
    for (uint32_t i = 1; i < t->count; i++) tok_vocab_put(&have, t->pieces[i].text, i);
    for (size_t i = 0; i < n; i++) {
        uint32_t id;
        double   score = t->lowest + (double)missing * MISSING_STEP;
        if (tok_vocab_get(&have, needed[i], &id))
            score = t->pieces[id].score;
        else
            missing++;
        tok_vocab_put(&taken, needed[i], 0);
        out[count++] = (piece){needed[i], score, 0};
    }
    for (size_t i = 1; i < t->count && count < room; i++) {
        uint32_t id;
        if (!tok_vocab_get(&taken, t->pieces[i].text, &id)) out[count++] = t->pieces[i];
    }
    for (size_t i = 0; i < count; i++) out[i].key = (uint32_t)i; /* equal scores stay in order */
    qsort(out, count, sizeof *out, by_final);
    return count;
}

static void put_token(tok_made *out, snug_slice text, double score)
{
    out->tokens[out->count] = text;
    out->scores[out->count++] = score;
}

static snug_status finish(trainer *t, tok_made *out)
{
    const tok_train *o = t->o;
    size_t           n, first = o->special_count + (o->byte_fallback ? 256 : 0);
    snug_slice      *needed = needed_chars(t, &n);
    piece           *list = snug_alloc((t->count + n) * sizeof *list);
    bool             add_unk = o->unk.len > 0;
    for (size_t i = 0; i < o->special_count; i++)
        add_unk = add_unk && !snug_eq(o->specials[i].content, o->unk);
    first += add_unk;
    size_t count = choose(t, o->vocab_size > first ? o->vocab_size - first : 0, needed, n, list);
    bool   made = false;
    if (count != SIZE_MAX) {
        out->tokens = snug_arena_array_try(t->arena, first + count, sizeof *out->tokens);
        out->scores = snug_arena_array_try(t->arena, first + count, sizeof *out->scores);
    }
    if (out->tokens != NULL && out->scores != NULL) {
        made = true;
        if (add_unk) put_token(out, snug_arena_dup(t->arena, o->unk), 0);
        for (size_t i = 0; i < o->special_count; i++) put_token(out, o->specials[i].content, 0);
        for (unsigned i = 0; i < 256 && o->byte_fallback; i++)
            put_token(out, snug_arena_printf(t->arena, "<0x%02X>", i), 0);
        for (size_t i = 0; i < count; i++) put_token(out, list[i].text, list[i].score);
    }
    free(list);
    free(needed);
    return made ? SNUG_OK : snug_fail(t->err, SNUG_ENOMEM, "no memory for the vocabulary");
}

static snug_status check(const tok_train *o, snug_err *err)
{
    if (o->max_piece_length < 1 || o->max_piece_length > PIECE_MAX)
        return snug_fail(err, SNUG_EINVAL, "the longest piece must have 1 to %d characters",
                         PIECE_MAX);
    if (!(o->shrinking_factor > 0 && o->shrinking_factor < 1))
        return snug_fail(err, SNUG_EINVAL, "the shrinking factor must lie between 0 and 1");
    if (o->sub_iterations < 1 || o->sub_iterations > 100)
        return snug_fail(err, SNUG_EINVAL, "sub-iterations must be 1 to 100");
    return SNUG_OK;
}

static snug_status check_chars(const trainer *t)
{
    size_t      n;
    snug_slice *needed = needed_chars(t, &n);
    free(needed);
    if (n <= t->o->vocab_size) return SNUG_OK;
    return snug_fail(t->err, SNUG_EINVAL,
                     "a vocabulary of %u cannot hold the %zu characters of the text",
                     t->o->vocab_size, n);
}

snug_status tok_train_unigram(const tok_train *o, const tok_counts *words, snug_arena *a,
                              tok_made *out, snug_err *err)
{
    trainer     t = {.o = o, .words = words, .arena = a, .err = err};
    snug_status st = SNUG_OK;
    size_t      wanted = (size_t)o->vocab_size * 11 / 10, keys;
    SNUG_TRY(check(o, err));
    SNUG_TRY(find_seeds(&t));
    SNUG_TRY(check_chars(&t));
    SNUG_TRY(build_trie(&t));
    keys = t.count;
    index_pieces(&t, keys);
    for (int round = 0; round < ROUNDS_MAX; round++) {
        for (unsigned i = 0; i < o->sub_iterations; i++) rescore(&t, keys);
        size_t before = t.count;
        if (before <= wanted) break;
        prune(&t, wanted, keys);
        if (t.count == before) break; /* nothing can go */
    }
    SNUG_TRY(finish(&t, out));
done:
    free(t.pieces);
    free(t.id_of);
    free(t.l.edges);
    free(t.l.forward);
    free(t.l.backward);
    free(t.l.from);
    return st;
}
