/* SPDX-License-Identifier: Apache-2.0 */
/* tok/norm.c - the normalizers of tokenizer.json, one row of a table each.
 *
 * For:     tok.c, before splitting.
 * Threads: tok_norm is constant once loaded.
 *
 * A new one also needs: a row in norm_types, a golden in tests/golden/tok or a case in test_norm.c.
 */
#include "tok/tok_int.h"

typedef struct norm_type norm_type;

struct tok_norm {
    const norm_type    *type;
    const tok_norm    **kids; /* Sequence */
    size_t              count;
    const tok_pattern  *pattern;    /* Replace */
    const tok_charsmap *map;        /* Precompiled */
    snug_slice          text;       /* Replace: content; Prepend: prepend */
    bool                a, b, c, d; /* as named by the loader of the type */
};

struct norm_type {
    const char *name;
    snug_status (*load)(snug_arena *a, snug_json v, unsigned depth, tok_norm *n, snug_err *err);
    snug_status (*run)(const tok_norm *n, tok_work *w, tok_piece *p);
};

/* ---- helpers: a class of characters dropped or mapped ---- */

static uint32_t next_char(const tok_piece *p, uint32_t *at)
{
    uint32_t cp = tok_cp(p->text + *at);
    *at += tok_utf8_len((unsigned char)p->text[*at]);
    return cp;
}

#define DROP UINT32_MAX

/* ASCII that stays as long keeps its places without a table. False: it does not. */
static bool map_ascii(tok_work *w, tok_piece *p, uint32_t (*fn)(uint32_t))
{
    char     to[128];
    uint32_t i = 0;
    if (p->align != NULL || p->len == 0 || !tok_is_ascii(p->text, p->len)) return false;
    for (uint32_t c = 0; c < 128; c++) {
        uint32_t cp = fn(c);
        to[c] = (char)(cp < 128 ? cp : 128); /* 128: not one for one */
    }
    char *text = snug_arena_alloc_try(w->arena, p->len);
    if (text == NULL) return false;
    for (; i < p->len; i++) {
        text[i] = to[(unsigned char)p->text[i]];
        if ((unsigned char)text[i] == 128) return false;
    }
    p->text = text;
    return true;
}

/* Rewrites p with fn(character); DROP leaves it out. Nothing is done when nothing changes. */
static snug_status map_chars(tok_work *w, tok_piece *p, uint32_t (*fn)(uint32_t))
{
    uint32_t at = 0, from = 0;
    while (at < p->len) {
        from = at;
        uint32_t cp = next_char(p, &at);
        if (fn(cp) != cp) break;
        from = at;
    }
    if (from == p->len || map_ascii(w, p, fn)) return SNUG_OK;
    tok_builder *b = tok_build_begin(w);
    tok_build_copy(b, p, 0, from);
    for (at = from; at < p->len;) {
        tok_span s = tok_span_at(p, at);
        uint32_t cp = fn(next_char(p, &at));
        if (cp != DROP) tok_build_put(b, cp, s);
    }
    return tok_build_end(w, p);
}

/* ---- the types ---- */

static snug_status load_nothing(snug_arena *a, snug_json v, unsigned depth, tok_norm *n,
                                snug_err *err)
{
    (void)a, (void)v, (void)depth, (void)n, (void)err;
    return SNUG_OK;
}

static snug_status load_sequence(snug_arena *a, snug_json v, unsigned depth, tok_norm *n,
                                 snug_err *err)
{
    snug_json list = snug_json_get(v, "normalizers");
    if (!snug_json_is(list, SNUG_JSON_ARRAY) || snug_json_count(list) > TOK_PARTS_MAX) {
        return snug_fail(err, SNUG_EINVAL, "a Sequence needs a list of at most %d normalizers",
                         TOK_PARTS_MAX);
    }
    n->kids = snug_arena_zalloc(a, sizeof(tok_norm *) * TOK_PARTS_MAX);
    for (snug_json_iter it = snug_json_iter_of(list); snug_json_next(&it);) {
        snug_status st = tok_norm_load(a, it.value, depth + 1, &n->kids[n->count], err);
        if (st != SNUG_OK) return st;
        n->count++;
    }
    return SNUG_OK;
}

static snug_status run_sequence(const tok_norm *n, tok_work *w, tok_piece *p)
{
    for (size_t i = 0; i < n->count; i++) {
        snug_status st = tok_norm_run(n->kids[i], w, p);
        if (st != SNUG_OK) return st;
    }
    return SNUG_OK;
}

static uint32_t clean(uint32_t cp)
{
    if (cp == 0 || cp == 0xfffd || tok_is_control(cp)) return DROP;
    return tok_is_space(cp) ? ' ' : cp;
}

static uint32_t drop_nonspacing(uint32_t cp) { return tok_is_nonspacing(cp) ? DROP : cp; }
static uint32_t drop_marks(uint32_t cp) { return tok_is_mark(cp) ? DROP : cp; }

static snug_status put_spaces_around_chinese(tok_work *w, tok_piece *p)
{
    if (tok_is_ascii(p->text, p->len)) return SNUG_OK;
    tok_builder *b = tok_build_begin(w);
    for (uint32_t at = 0; at < p->len;) {
        tok_span s = tok_span_at(p, at);
        uint32_t cp = next_char(p, &at);
        bool     chinese = tok_is_chinese(cp);
        if (chinese) tok_build_put(b, ' ', s);
        tok_build_put(b, cp, s);
        if (chinese) tok_build_put(b, ' ', s);
    }
    return tok_build_end(w, p);
}

static uint32_t lower_ascii(uint32_t cp) { return cp >= 'A' && cp <= 'Z' ? cp + 32 : cp; }

static snug_status lowercase(tok_work *w, tok_piece *p)
{
    bool changes = false;
    if (map_ascii(w, p, lower_ascii)) return SNUG_OK;
    for (uint32_t at = 0; at < p->len && !changes;) {
        uint32_t low[2], cp = next_char(p, &at);
        changes = tok_lower(cp, low) != 1 || low[0] != cp;
    }
    if (!changes) return SNUG_OK;
    tok_builder *b = tok_build_begin(w);
    for (uint32_t at = 0; at < p->len;) {
        tok_span s = tok_span_at(p, at);
        uint32_t low[2];
        unsigned count = tok_lower(next_char(p, &at), low);
        for (unsigned i = 0; i < count; i++) tok_build_put(b, low[i], s);
    }
    return tok_build_end(w, p);
}

static snug_status load_bert(snug_arena *a, snug_json v, unsigned depth, tok_norm *n, snug_err *err)
{
    (void)a, (void)depth, (void)err;
    n->a = snug_json_bool_or(v, "clean_text", true);
    n->b = snug_json_bool_or(v, "handle_chinese_chars", true);
    n->d = snug_json_bool_or(v, "lowercase", true);
    n->c = snug_json_bool_or(v, "strip_accents", n->d); /* null: as lowercase */
    return SNUG_OK;
}

static snug_status run_bert(const tok_norm *n, tok_work *w, tok_piece *p)
{
    snug_status st = SNUG_OK;
    if (n->a) SNUG_TRY(map_chars(w, p, clean));
    if (n->b) SNUG_TRY(put_spaces_around_chinese(w, p));
    if (n->c) {
        SNUG_TRY(tok_normal_form(w, p, TOK_NFD));
        if (!tok_is_ascii(p->text, p->len)) SNUG_TRY(map_chars(w, p, drop_nonspacing));
    }
    if (n->d) SNUG_TRY(lowercase(w, p));
done:
    return st;
}

static snug_status run_lowercase(const tok_norm *n, tok_work *w, tok_piece *p)
{
    (void)n;
    return lowercase(w, p);
}

static snug_status run_nfc(const tok_norm *n, tok_work *w, tok_piece *p)
{
    (void)n;
    return tok_normal_form(w, p, TOK_NFC);
}
static snug_status run_nfd(const tok_norm *n, tok_work *w, tok_piece *p)
{
    (void)n;
    return tok_normal_form(w, p, TOK_NFD);
}
static snug_status run_nfkc(const tok_norm *n, tok_work *w, tok_piece *p)
{
    (void)n;
    return tok_normal_form(w, p, TOK_NFKC);
}
static snug_status run_nfkd(const tok_norm *n, tok_work *w, tok_piece *p)
{
    (void)n;
    return tok_normal_form(w, p, TOK_NFKD);
}

static snug_status run_strip_accents(const tok_norm *n, tok_work *w, tok_piece *p)
{
    (void)n;
    return map_chars(w, p, drop_marks);
}

/* Sentencepiece's cleaning for translation: control characters go, odd blanks become spaces. */
static uint32_t nmt(uint32_t cp)
{
    if ((cp >= 0x01 && cp <= 0x08) || cp == 0x0b || (cp >= 0x0e && cp <= 0x1f) || cp == 0x7f ||
        cp == 0x8f || cp == 0x9f) {
        return DROP;
    }
    if (cp == 0x09 || cp == 0x0a || cp == 0x0c || cp == 0x0d || cp == 0x1680 ||
        (cp >= 0x200b && cp <= 0x200f) || cp == 0x2028 || cp == 0x2029 || cp == 0x2581 ||
        cp == 0xfeff || cp == 0xfffd) {
        return ' ';
    }
    return cp;
}

static snug_status run_nmt(const tok_norm *n, tok_work *w, tok_piece *p)
{
    (void)n;
    return map_chars(w, p, nmt);
}

static snug_status load_strip(snug_arena *a, snug_json v, unsigned depth, tok_norm *n,
                              snug_err *err)
{
    (void)a, (void)depth, (void)err;
    n->a = snug_json_bool_or(v, "strip_left", true);
    n->b = snug_json_bool_or(v, "strip_right", true);
    return SNUG_OK;
}

static snug_status run_strip(const tok_norm *n, tok_work *w, tok_piece *p)
{
    uint32_t from = 0, end = 0;
    bool     text = false;
    for (uint32_t at = 0; at < p->len;) {
        uint32_t before = at;
        if (tok_is_space(next_char(p, &at))) continue;
        if (!text) from = before;
        text = true;
        end = at;
    }
    if (!text) from = end = p->len;
    if (!n->a) from = 0;
    if (!n->b || (!text && n->a))
        end = p->len;
    else if (!text)
        end = 0;
    if (from == 0 && end == p->len) return SNUG_OK;
    tok_builder *b = tok_build_begin(w); /* not a cut: the piece still begins where it began */
    tok_build_copy(b, p, from, end);
    return tok_build_end(w, p);
}

static snug_status load_replace(snug_arena *a, snug_json v, unsigned depth, tok_norm *n,
                                snug_err *err)
{
    snug_slice content;
    (void)depth;
    snug_status st = snug_json_need_str(v, "content", &content, err);
    if (st != SNUG_OK) return st;
    n->text = snug_arena_dup(a, content);
    return tok_pattern_load(a, snug_json_get(v, "pattern"), &n->pattern, err);
}

static snug_status run_replace(const tok_norm *n, tok_work *w, tok_piece *p)
{
    w->match_count = 0;
    snug_status st = tok_pattern_run(n->pattern, w, p->text, p->len);
    bool        any = false;
    for (size_t i = 0; i < w->match_count && !any; i++) any = w->matches[i].hit;
    if (st != SNUG_OK || !any) return st;
    tok_builder *b = tok_build_begin(w);
    for (size_t i = 0; i < w->match_count; i++) {
        tok_match m = w->matches[i];
        if (!m.hit) {
            tok_build_copy(b, p, m.begin, m.end);
            continue;
        }
        /* what is put in stands for the last character of what went out */
        tok_span   s = m.end > 0 ? tok_span_at(p, m.end - 1) : (tok_span){p->orig, p->orig};
        snug_slice text = n->text;
        while (text.len > 0) tok_build_put(b, snug_utf8_next(&text), s);
    }
    return tok_build_end(w, p);
}

static snug_status load_prepend(snug_arena *a, snug_json v, unsigned depth, tok_norm *n,
                                snug_err *err)
{
    snug_slice text;
    (void)depth;
    snug_status st = snug_json_need_str(v, "prepend", &text, err);
    if (st == SNUG_OK) n->text = snug_arena_dup(a, text);
    return st;
}

static snug_status run_prepend(const tok_norm *n, tok_work *w, tok_piece *p)
{
    if (n->text.len > 0) return tok_prepend(w, p, n->text);
    /* The reference puts the first character in anew: it then stands for nothing. */
    tok_builder *b = tok_build_begin(w);
    tok_span     at = tok_span_at(p, 0);
    tok_build_put(b, tok_cp(p->text), (tok_span){at.begin, at.begin});
    tok_build_copy(b, p, tok_utf8_len((unsigned char)p->text[0]), p->len);
    return tok_build_end(w, p);
}

static snug_status run_bytes(const tok_norm *n, tok_work *w, tok_piece *p)
{
    (void)n;
    return p->len == 0 ? SNUG_OK : tok_map_bytes(w, p);
}

static snug_status load_precompiled(snug_arena *a, snug_json v, unsigned depth, tok_norm *n,
                                    snug_err *err)
{
    snug_slice text;
    (void)depth;
    if (snug_json_is(snug_json_get(v, "precompiled_charsmap"), SNUG_JSON_NULL)) return SNUG_OK;
    n->a = snug_json_bool_or(v, "longest_match", false); /* ours: see spm.c */
    snug_status st = snug_json_need_str(v, "precompiled_charsmap", &text, err);
    return st == SNUG_OK ? tok_charsmap_load(a, text, &n->map, err) : st;
}

static snug_status run_precompiled(const tok_norm *n, tok_work *w, tok_piece *p)
{
    if (n->map == NULL) return SNUG_OK;
    return n->a ? tok_charsmap_run_longest(n->map, w, p) : tok_charsmap_run(n->map, w, p);
}

static const norm_type norm_types[] = {
    {"Sequence", load_sequence, run_sequence},
    {"BertNormalizer", load_bert, run_bert},
    {"Lowercase", load_nothing, run_lowercase},
    {"NFC", load_nothing, run_nfc},
    {"NFD", load_nothing, run_nfd},
    {"NFKC", load_nothing, run_nfkc},
    {"NFKD", load_nothing, run_nfkd},
    {"StripAccents", load_nothing, run_strip_accents},
    {"Strip", load_strip, run_strip},
    {"Nmt", load_nothing, run_nmt},
    {"Replace", load_replace, run_replace},
    {"Prepend", load_prepend, run_prepend},
    {"ByteLevel", load_nothing, run_bytes},
    {"Precompiled", load_precompiled, run_precompiled},
};

snug_status tok_norm_load(snug_arena *a, snug_json v, unsigned depth, const tok_norm **out,
                          snug_err *err)
{
    snug_slice name = tok_type_of(v);
    if (depth > TOK_NEST_MAX)
        return snug_fail(err, SNUG_ELIMIT, "normalizers nested deeper than %d", TOK_NEST_MAX);
    for (size_t i = 0; i < sizeof norm_types / sizeof norm_types[0]; i++) {
        if (!snug_eq_str(name, norm_types[i].name)) continue;
        tok_norm *n = SNUG_NEW(a, tok_norm);
        n->type = &norm_types[i];
        *out = n;
        return n->type->load(a, v, depth, n, err);
    }
    return snug_fail(err, SNUG_EUNSUPPORTED, "normalizer \"%.*s\" is not known to this build",
                     SNUG_SLICE(snug_sub(name, 0, 80)));
}

snug_status tok_norm_run(const tok_norm *n, tok_work *w, tok_piece *p)
{
    return n->type->run(n, w, p);
}
