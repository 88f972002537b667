/* SPDX-License-Identifier: Apache-2.0 */
/* tok/pre.c - the pre-tokenizers of tokenizer.json: where a model may not join characters.
 *
 * For:     tok.c, after normalising.
 * Threads: tok_pre is constant once loaded.
 *
 * Most of them find matches in a piece and cut it by a rule. A new one also needs: a row in
 * pre_types and a case in test_pre.c. */
#include "tok/tok_int.h"

typedef enum behavior { REMOVED, ISOLATED, WITH_PREVIOUS, WITH_NEXT, CONTIGUOUS } behavior;

typedef struct pre_type pre_type;

struct tok_pre {
    const pre_type    *type;
    const tok_pre    **kids; /* Sequence */
    size_t             count;
    const tok_pattern *pattern;  /* Split */
    behavior           behavior; /* Split, Punctuation */
    snug_slice         text;     /* Metaspace: the replacement */
    uint32_t           cp, length;
    bool               invert, prefix_space, use_regex, individual, split;
    enum { PREPEND_ALWAYS, PREPEND_FIRST, PREPEND_NEVER } prepend;
};

struct pre_type {
    const char *name;
    snug_status (*load)(snug_arena *a, snug_json v, unsigned depth, tok_pre *p, snug_err *err);
    snug_status (*run)(const tok_pre *p, tok_work *w, tok_piece *piece, tok_pieces *out);
};

/* ---- cutting by matches ---- */

/* A match joins the gap before it, unless a match stands there. */
static void join_previous(tok_work *w)
{
    size_t n = 0;
    bool   previous = false;
    for (size_t i = 0; i < w->match_count; i++) {
        tok_match m = w->matches[i];
        if (m.hit && !previous && n > 0)
            w->matches[n - 1].end = m.end;
        else
            w->matches[n++] = m;
        previous = m.hit;
    }
    w->match_count = n;
}

/* The mirror image: read from the end, kept at the end of the list, moved to its start. */
static void join_next(tok_work *w)
{
    size_t n = w->match_count, keep = n;
    bool   previous = false;
    for (size_t i = n; i-- > 0;) {
        tok_match m = w->matches[i];
        if (m.hit && !previous && keep < n)
            w->matches[keep].begin = m.begin;
        else
            w->matches[--keep] = m;
        previous = m.hit;
    }
    memmove(w->matches, w->matches + keep, (n - keep) * sizeof *w->matches);
    w->match_count = n - keep;
}

static void join_equal(tok_work *w)
{
    size_t n = 0;
    bool   previous = false;
    for (size_t i = 0; i < w->match_count; i++) {
        tok_match m = w->matches[i];
        if (m.hit == previous && n > 0)
            w->matches[n - 1].end = m.end;
        else
            w->matches[n++] = m;
        previous = m.hit;
    }
    w->match_count = n;
}

static void cut_by_matches(tok_work *w, const tok_piece *p, behavior how, tok_pieces *out)
{
    if (how == WITH_PREVIOUS) join_previous(w);
    if (how == WITH_NEXT) join_next(w);
    if (how == CONTIGUOUS) join_equal(w);
    for (size_t i = 0; i < w->match_count; i++) {
        tok_match m = w->matches[i];
        if (how == REMOVED && m.hit) continue;
        tok_push(out, tok_cut(p, m.begin, m.end));
    }
}

/* Every character of a class is a match of its own. */
static void match_chars(tok_work *w, const tok_piece *p, bool (*is_hit)(uint32_t))
{
    uint32_t done = 0;
    w->match_count = 0;
    for (uint32_t at = 0; at < p->len;) {
        uint32_t end = at + tok_utf8_len((unsigned char)p->text[at]);
        if (is_hit(tok_cp(p->text + at))) {
            if (done < at) tok_put_match(w, done, at, false);
            tok_put_match(w, at, end, true);
            done = end;
        }
        at = end;
    }
    if (done < p->len) tok_put_match(w, done, p->len, false);
}

static void match_char(tok_work *w, const tok_piece *p, uint32_t cp)
{
    uint32_t done = 0;
    w->match_count = 0;
    for (uint32_t at = 0; at < p->len;) {
        uint32_t end = at + tok_utf8_len((unsigned char)p->text[at]);
        if (tok_cp(p->text + at) == cp) {
            if (done < at) tok_put_match(w, done, at, false);
            tok_put_match(w, at, end, true);
            done = end;
        }
        at = end;
    }
    if (done < p->len) tok_put_match(w, done, p->len, false);
}

static bool load_behavior(snug_json v, behavior dflt, behavior *out)
{
    static const char *const names[] = {"Removed", "Isolated", "MergedWithPrevious",
                                        "MergedWithNext", "Contiguous"};
    snug_json                b = snug_json_get(v, "behavior");
    snug_slice               name;
    *out = dflt;
    if (snug_json_is(b, SNUG_JSON_ABSENT)) return true;
    if (!snug_json_to_str(b, &name)) return false;
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!snug_eq_nocase(name, snug_str(names[i]))) continue;
        *out = (behavior)i;
        return true;
    }
    return false;
}

/* ---- the types ---- */

static snug_status load_nothing(snug_arena *a, snug_json v, unsigned depth, tok_pre *p,
                                snug_err *err)
{
    (void)a, (void)v, (void)depth, (void)p, (void)err;
    return SNUG_OK;
}

static snug_status load_sequence(snug_arena *a, snug_json v, unsigned depth, tok_pre *p,
                                 snug_err *err)
{
    snug_json list = snug_json_get(v, "pretokenizers");
    if (!snug_json_is(list, SNUG_JSON_ARRAY) || snug_json_count(list) > TOK_PARTS_MAX) {
        return snug_fail(err, SNUG_EINVAL, "a Sequence needs a list of at most %d pretokenizers",
                         TOK_PARTS_MAX);
    }
    p->kids = snug_arena_zalloc(a, sizeof(tok_pre *) * TOK_PARTS_MAX);
    for (snug_json_iter it = snug_json_iter_of(list); snug_json_next(&it);) {
        snug_status st = tok_pre_load(a, it.value, depth + 1, &p->kids[p->count], err);
        if (st != SNUG_OK) return st;
        p->count++;
    }
    return SNUG_OK;
}

static snug_status run_bert(const tok_pre *p, tok_work *w, tok_piece *piece, tok_pieces *out)
{
    uint32_t from = 0;
    (void)p;
    for (uint32_t at = 0; at < piece->len;) {
        uint32_t cp = tok_cp(piece->text + at),
                 end = at + tok_utf8_len((unsigned char)piece->text[at]);
        bool space = tok_is_space(cp);
        if (space || tok_is_punct(cp)) {
            tok_push(out, tok_cut(piece, from, at));
            if (!space) tok_push(out, tok_cut(piece, at, end));
            from = end;
        }
        at = end;
    }
    (void)w;
    tok_push(out, tok_cut(piece, from, piece->len));
    return SNUG_OK;
}

/* Runs of word characters, and runs of what is neither word nor space. */
static snug_status run_whitespace(const tok_pre *p, tok_work *w, tok_piece *piece, tok_pieces *out)
{
    int      kind = 0; /* of the run from..at: 0 space, 1 word, 2 other */
    uint32_t from = 0;
    (void)p, (void)w;
    for (uint32_t at = 0; at < piece->len; at += tok_utf8_len((unsigned char)piece->text[at])) {
        uint32_t cp = tok_cp(piece->text + at);
        int      now = tok_is_word(cp) ? 1 : tok_is_space(cp) ? 0 : 2;
        if (now == kind) continue;
        if (kind != 0) tok_push(out, tok_cut(piece, from, at));
        kind = now;
        from = at;
    }
    if (kind != 0) tok_push(out, tok_cut(piece, from, piece->len));
    return SNUG_OK;
}

static snug_status run_whitespace_split(const tok_pre *p, tok_work *w, tok_piece *piece,
                                        tok_pieces *out)
{
    (void)p;
    match_chars(w, piece, tok_is_space);
    cut_by_matches(w, piece, REMOVED, out);
    return SNUG_OK;
}

static snug_status load_punctuation(snug_arena *a, snug_json v, unsigned depth, tok_pre *p,
                                    snug_err *err)
{
    (void)a, (void)depth;
    if (load_behavior(v, ISOLATED, &p->behavior)) return SNUG_OK;
    return snug_fail(err, SNUG_EUNSUPPORTED,
                     "Punctuation: this behavior is not known to this build");
}

static snug_status run_punctuation(const tok_pre *p, tok_work *w, tok_piece *piece, tok_pieces *out)
{
    match_chars(w, piece, tok_is_punct);
    cut_by_matches(w, piece, p->behavior, out);
    return SNUG_OK;
}

static snug_status load_digits(snug_arena *a, snug_json v, unsigned depth, tok_pre *p,
                               snug_err *err)
{
    (void)a, (void)depth, (void)err;
    p->individual = snug_json_bool_or(v, "individual_digits", false);
    return SNUG_OK;
}

static snug_status run_digits(const tok_pre *p, tok_work *w, tok_piece *piece, tok_pieces *out)
{
    match_chars(w, piece, tok_is_number);
    cut_by_matches(w, piece, p->individual ? ISOLATED : CONTIGUOUS, out);
    return SNUG_OK;
}

static snug_status load_delimiter(snug_arena *a, snug_json v, unsigned depth, tok_pre *p,
                                  snug_err *err)
{
    snug_slice text;
    (void)a, (void)depth;
    snug_status st = snug_json_need_str(v, "delimiter", &text, err);
    if (st != SNUG_OK) return st;
    if (text.len == 0) return snug_fail(err, SNUG_EINVAL, "CharDelimiterSplit: delimiter is empty");
    p->cp = snug_utf8_next(&text);
    return SNUG_OK;
}

static snug_status run_delimiter(const tok_pre *p, tok_work *w, tok_piece *piece, tok_pieces *out)
{
    match_char(w, piece, p->cp);
    cut_by_matches(w, piece, REMOVED, out);
    return SNUG_OK;
}

static snug_status load_split(snug_arena *a, snug_json v, unsigned depth, tok_pre *p, snug_err *err)
{
    (void)depth;
    p->invert = snug_json_bool_or(v, "invert", false);
    if (!load_behavior(v, ISOLATED, &p->behavior)) {
        return snug_fail(err, SNUG_EUNSUPPORTED, "Split: this behavior is not known to this build");
    }
    return tok_pattern_load(a, snug_json_get(v, "pattern"), &p->pattern, err);
}

static snug_status run_split(const tok_pre *p, tok_work *w, tok_piece *piece, tok_pieces *out)
{
    const tok_split *by_hand = tok_pattern_split(p->pattern);
    if (by_hand != NULL && p->behavior == ISOLATED) { /* every piece stays, match or not */
        bool hit;
        for (uint32_t at = 0, end; at < piece->len; at = end) {
            end = (uint32_t)tok_split_next(by_hand, piece->text, piece->len, at, &hit);
            tok_push(out, tok_cut(piece, at, end));
        }
        return SNUG_OK;
    }
    w->match_count = 0;
    snug_status st = tok_pattern_run(p->pattern, w, piece->text, piece->len);
    if (st != SNUG_OK) return st;
    for (size_t i = 0; p->invert && i < w->match_count; i++) w->matches[i].hit = !w->matches[i].hit;
    cut_by_matches(w, piece, p->behavior, out);
    return SNUG_OK;
}

static snug_status load_bytes(snug_arena *a, snug_json v, unsigned depth, tok_pre *p, snug_err *err)
{
    (void)a, (void)depth, (void)err;
    p->prefix_space = snug_json_bool_or(v, "add_prefix_space", true);
    p->use_regex = snug_json_bool_or(v, "use_regex", true);
    return SNUG_OK;
}

static uint32_t mapped_size(const tok_piece *p, uint32_t from, uint32_t to)
{
    uint32_t n = 0;
    for (; from < to; from++) n += tok_byte_to_cp((unsigned char)p->text[from]) < 0x80 ? 1 : 2;
    return n;
}

/* The piece is mapped as a whole and then cut where the splitter would have cut it. */
static snug_status run_bytes(const tok_pre *p, tok_work *w, tok_piece *piece, tok_pieces *out)
{
    snug_status st = SNUG_OK;
    if (p->prefix_space && piece->text[0] != ' ') {
        SNUG_TRY(tok_prepend(w, piece, SNUG_LIT(" ")));
        SNUG_TRY(tok_settle(w, piece));
    }
    if (w->t->raw) {
        if (!p->use_regex) tok_push(out, *piece);
        for (uint32_t at = 0, end; p->use_regex && at < piece->len; at = end) {
            end = (uint32_t)tok_gpt2_next(piece->text, piece->len, at);
            tok_push(out, tok_cut(piece, at, end));
        }
        goto done;
    }
    tok_piece plain = *piece;
    SNUG_TRY(tok_map_bytes(w, piece));
    if (!p->use_regex) {
        tok_push(out, *piece);
        goto done;
    }
    for (uint32_t at = 0, mapped = 0; at < plain.len;) {
        uint32_t end = (uint32_t)tok_gpt2_next(plain.text, plain.len, at);
        uint32_t n = mapped_size(&plain, at, end);
        tok_push(out, tok_cut(piece, mapped, mapped + n));
        mapped += n;
        at = end;
    }
done:
    return st;
}

static snug_status load_metaspace(snug_arena *a, snug_json v, unsigned depth, tok_pre *p,
                                  snug_err *err)
{
    snug_slice scheme = snug_json_str_or(v, "prepend_scheme", SNUG_LIT("always"));
    snug_slice text = snug_json_str_or(v, "replacement", SNUG_LIT("\xe2\x96\x81"));
    (void)depth;
    if (text.len == 0) return snug_fail(err, SNUG_EINVAL, "Metaspace: replacement is empty");
    p->text = snug_arena_dup(a, snug_sub(text, 0, tok_utf8_len((unsigned char)text.ptr[0])));
    p->cp = snug_utf8_next(&text);
    p->split = snug_json_bool_or(v, "split", true);
    if (snug_eq_nocase(scheme, SNUG_LIT("always")))
        p->prepend = PREPEND_ALWAYS;
    else if (snug_eq_nocase(scheme, SNUG_LIT("first")))
        p->prepend = PREPEND_FIRST;
    else if (snug_eq_nocase(scheme, SNUG_LIT("never")))
        p->prepend = PREPEND_NEVER;
    else
        return snug_fail(err, SNUG_EUNSUPPORTED,
                         "Metaspace: this prepend_scheme is not known to this build");
    if (!snug_json_bool_or(v, "add_prefix_space", true))
        p->prepend = PREPEND_NEVER; /* older files */
    return SNUG_OK;
}

static snug_status run_metaspace(const tok_pre *p, tok_work *w, tok_piece *piece, tok_pieces *out)
{
    snug_status st = SNUG_OK;
    if (memchr(piece->text, ' ', piece->len) != NULL) {
        tok_builder *b = tok_build_begin(w);
        uint32_t     from = 0;
        for (uint32_t at = 0; at < piece->len; at++) {
            if (piece->text[at] != ' ') continue;
            tok_build_copy(b, piece, from, at);
            tok_build_put(b, p->cp, tok_span_at(piece, at));
            from = at + 1;
        }
        tok_build_copy(b, piece, from, piece->len);
        SNUG_TRY(tok_build_end(w, piece));
    }
    bool wanted = p->prepend == PREPEND_ALWAYS || (p->prepend == PREPEND_FIRST && piece->orig == 0);
    if (wanted && tok_cp(piece->text) != p->cp) SNUG_TRY(tok_prepend(w, piece, p->text));
    SNUG_TRY(tok_settle(w, piece));
    if (!p->split) {
        tok_push(out, *piece);
        goto done;
    }
    match_char(w, piece, p->cp);
    cut_by_matches(w, piece, WITH_NEXT, out);
done:
    return st;
}

static snug_status load_fixed(snug_arena *a, snug_json v, unsigned depth, tok_pre *p, snug_err *err)
{
    int64_t n = snug_json_i64_or(v, "length", 5);
    (void)a, (void)depth;
    if (n < 1 || n > TOK_TEXT_MAX)
        return snug_fail(err, SNUG_EINVAL, "FixedLength: length must be 1 or more");
    p->length = (uint32_t)n;
    return SNUG_OK;
}

static snug_status run_fixed(const tok_pre *p, tok_work *w, tok_piece *piece, tok_pieces *out)
{
    uint32_t from = 0, count = 0;
    (void)w;
    for (uint32_t at = 0; at < piece->len;) {
        at += tok_utf8_len((unsigned char)piece->text[at]);
        if (++count < p->length) continue;
        tok_push(out, tok_cut(piece, from, at));
        from = at;
        count = 0;
    }
    tok_push(out, tok_cut(piece, from, piece->len));
    return SNUG_OK;
}

/* What stands before the first character that has a script is left out, as in the reference. */
static snug_status run_scripts(const tok_pre *p, tok_work *w, tok_piece *piece, tok_pieces *out)
{
    unsigned last = 0;
    uint32_t from = 0;
    (void)p, (void)w;
    for (uint32_t at = 0; at < piece->len; at += tok_utf8_len((unsigned char)piece->text[at])) {
        unsigned script = tok_script(tok_cp(piece->text + at));
        if (script == 0 || script == last) continue;
        if (last != 0) tok_push(out, tok_cut(piece, from, at));
        last = script;
        from = at;
    }
    if (last != 0) tok_push(out, tok_cut(piece, from, piece->len));
    return SNUG_OK;
}

static const pre_type pre_types[] = {
    {"Sequence", load_sequence, NULL},
    {"BertPreTokenizer", load_nothing, run_bert},
    {"Whitespace", load_nothing, run_whitespace},
    {"WhitespaceSplit", load_nothing, run_whitespace_split},
    {"Punctuation", load_punctuation, run_punctuation},
    {"Digits", load_digits, run_digits},
    {"CharDelimiterSplit", load_delimiter, run_delimiter},
    {"Split", load_split, run_split},
    {"ByteLevel", load_bytes, run_bytes},
    {"Metaspace", load_metaspace, run_metaspace},
    {"FixedLength", load_fixed, run_fixed},
    {"UnicodeScripts", load_nothing, run_scripts},
};

snug_status tok_pre_load(snug_arena *a, snug_json v, unsigned depth, const tok_pre **out,
                         snug_err *err)
{
    snug_slice name = tok_type_of(v);
    if (depth > TOK_NEST_MAX) {
        return snug_fail(err, SNUG_ELIMIT, "pre-tokenizers nested deeper than %d", TOK_NEST_MAX);
    }
    for (size_t i = 0; i < sizeof pre_types / sizeof pre_types[0]; i++) {
        if (!snug_eq_str(name, pre_types[i].name)) continue;
        tok_pre *p = SNUG_NEW(a, tok_pre);
        p->type = &pre_types[i];
        *out = p;
        return p->type->load(a, v, depth, p, err);
    }
    return snug_fail(err, SNUG_EUNSUPPORTED, "pre-tokenizer \"%.*s\" is not known to this build",
                     SNUG_SLICE(snug_sub(name, 0, 80)));
}

static size_t count_bytes(const tok_pre *p)
{
    size_t n = p->type->run == run_bytes;
    for (size_t i = 0; i < p->count; i++) n += count_bytes(p->kids[i]);
    return n;
}

bool tok_pre_ends_in_bytes(const tok_pre *p)
{
    if (p == NULL || count_bytes(p) != 1) return false;
    while (p->count > 0) p = p->kids[p->count - 1];
    return p->type->run == run_bytes;
}

/* Nothing to do for pieces that are cut already and reach the model as bytes. */
static bool is_idle(const tok_pre *p, const tok_work *w)
{
    return p->type->run == run_bytes && w->t->raw && !p->use_regex && !p->prefix_space;
}

/* Each of a Sequence sees all pieces that the one before it left. */
snug_status tok_pre_run(const tok_pre *p, tok_work *w)
{
    snug_status st = SNUG_OK;
    for (size_t i = 0; i < p->count && st == SNUG_OK; i++) st = tok_pre_run(p->kids[i], w);
    if (p->type->run == NULL || st != SNUG_OK || is_idle(p, w)) return st;
    w->next.count = 0;
    for (size_t i = 0; i < w->pieces.count; i++) {
        tok_piece piece = w->pieces.items[i];
        if (piece.added) {
            tok_push(&w->next, piece);
            continue;
        }
        st = p->type->run(p, w, &piece, &w->next);
        if (st != SNUG_OK) return st;
    }
    tok_pieces done = w->pieces;
    w->pieces = w->next;
    w->next = done;
    return SNUG_OK;
}
