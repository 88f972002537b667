/* SPDX-License-Identifier: Apache-2.0 */
/* tok/post.c - the post-processors of tokenizer.json: special tokens around texts, type ids, and
 * offsets without the spaces that byte-level tokens carry.
 *
 * For:     tok.c.
 * Threads: constant once loaded.
 *
 * Work goes over runs: at first one per text; templates put runs of one special token between. */
#include <stdlib.h>

#include "tok/tok_int.h"

enum { TEXTS_MAX = 512 * 1024 * 1024 };

typedef struct post_type post_type;

typedef struct part { /* of a template */
    bool      is_text;
    unsigned  text; /* 0: A, 1: B */
    uint32_t  type_id;
    uint32_t *ids; /* of a special token */
    size_t    count;
} part;

typedef struct template
{
    part   parts[TOK_PARTS_MAX];
    size_t count, added;
}
template;

struct tok_post {
    const post_type *type;
    const tok_post **kids;
    size_t           count;
    template one, two;
    bool trim, prefix_space;
};

struct post_type {
    const char *name;
    snug_status (*load)(snug_arena *a, snug_json v, unsigned depth, tok_post *p, snug_err *err);
    snug_status (*run)(const tok_post *p, bool add_special, tok_runs *runs, snug_err *err);
    bool adds; /* may put special tokens */
};

/* ---- TemplateProcessing ---- */

static snug_status load_special(snug_arena *a, snug_json specials, snug_json v, part *out,
                                snug_err *err)
{
    snug_slice  id;
    snug_status st = snug_json_need_str(v, "id", &id, err);
    if (st != SNUG_OK) return st;
    snug_json ids = snug_json_get(snug_json_get_slice(specials, id), "ids");
    if (!snug_json_is(ids, SNUG_JSON_ARRAY) || snug_json_count(ids) > TOK_PARTS_MAX) {
        return snug_fail(err, SNUG_EINVAL, "TemplateProcessing: special token \"%.*s\" has no ids",
                         SNUG_SLICE(snug_sub(id, 0, 40)));
    }
    out->ids = snug_arena_zalloc(a, sizeof(uint32_t) * TOK_PARTS_MAX);
    for (snug_json_iter it = snug_json_iter_of(ids); snug_json_next(&it);) {
        uint64_t n;
        if (!snug_json_to_u64(it.value, &n) || n > TOK_ID_MAX) {
            return snug_fail(err, SNUG_EINVAL,
                             "TemplateProcessing: an id of \"%.*s\" is not a token id",
                             SNUG_SLICE(snug_sub(id, 0, 40)));
        }
        out->ids[out->count++] = (uint32_t)n;
    }
    return SNUG_OK;
}

static snug_status load_part(snug_arena *a, snug_json specials, snug_json v, part *out,
                             snug_err *err)
{
    snug_json  text = snug_json_get(v, "Sequence"), special = snug_json_get(v, "SpecialToken");
    snug_slice id;
    out->is_text = snug_json_is(text, SNUG_JSON_OBJECT);
    if (!out->is_text && !snug_json_is(special, SNUG_JSON_OBJECT)) {
        return snug_fail(err, SNUG_EINVAL,
                         "TemplateProcessing: a part is a Sequence or a SpecialToken");
    }
    int64_t type = snug_json_i64_or(out->is_text ? text : special, "type_id", 0);
    if (type < 0 || type > UINT32_MAX)
        return snug_fail(err, SNUG_EINVAL, "TemplateProcessing: bad type_id");
    out->type_id = (uint32_t)type;
    if (!out->is_text) return load_special(a, specials, special, out, err);
    snug_status st = snug_json_need_str(text, "id", &id, err);
    if (st != SNUG_OK) return st;
    if (!snug_eq_str(id, "A") && !snug_eq_str(id, "B")) {
        return snug_fail(err, SNUG_EINVAL, "TemplateProcessing: a Sequence is \"A\" or \"B\"");
    }
    out->text = snug_eq_str(id, "B");
    return SNUG_OK;
}

static snug_status load_template(snug_arena *a, snug_json v, const char *key, template *out,
                                 snug_err *err)
{
    snug_json list = snug_json_get(v, key), specials = snug_json_get(v, "special_tokens");
    if (!snug_json_is(list, SNUG_JSON_ARRAY) || snug_json_count(list) > TOK_PARTS_MAX / 2) {
        return snug_fail(err, SNUG_EINVAL,
                         "TemplateProcessing: %s must be a list of at most %d parts", key,
                         TOK_PARTS_MAX / 2);
    }
    for (snug_json_iter it = snug_json_iter_of(list); snug_json_next(&it);) {
        part       *p = &out->parts[out->count++];
        snug_status st = load_part(a, specials, it.value, p, err);
        if (st != SNUG_OK) return st;
        out->added += p->count;
    }
    return SNUG_OK;
}

static snug_status load_templates(snug_arena *a, snug_json v, unsigned depth, tok_post *p,
                                  snug_err *err)
{
    (void)depth;
    snug_status st = load_template(a, v, "single", &p->one, err);
    return st == SNUG_OK ? load_template(a, v, "pair", &p->two, err) : st;
}

static snug_status put_run(tok_runs *out, tok_run r, snug_err *err)
{
    if (out->count == TOK_PARTS_MAX) {
        return snug_fail(err, SNUG_ELIMIT, "post-processor puts more than %d parts together",
                         TOK_PARTS_MAX);
    }
    out->items[out->count++] = r;
    return SNUG_OK;
}

static snug_status run_template(const tok_post *p, bool add_special, tok_runs *runs, snug_err *err)
{
    const template *t = runs->count == 2 ? &p->two : &p->one;
    tok_runs        out = {.count = 0};
    snug_status     st = SNUG_OK;
    SNUG_ASSERT(runs->count <= 2); /* load_sequence sees to it */
    for (size_t i = 0; i < t->count; i++) {
        const part *x = &t->parts[i];
        if (x->is_text) {
            if (x->text >= runs->count) {
                SNUG_FAIL(err, SNUG_EINVAL,
                          "TemplateProcessing: the template for one text names a second");
            }
            tok_run r = runs->items[x->text];
            r.type_id = x->type_id;
            SNUG_TRY(put_run(&out, r, err));
        }
        for (size_t k = 0; add_special && k < x->count; k++) {
            SNUG_TRY(put_run(
                &out, (tok_run){.special_id = x->ids[k], .count = 1, .type_id = x->type_id}, err));
        }
    }
    *runs = out;
done:
    return st;
}

/* ---- BertProcessing, RobertaProcessing: templates by another name ---- */

static snug_status load_named(snug_arena *a, snug_json v, const char *key, part *out, snug_err *err)
{
    uint64_t id;
    if (!snug_json_to_u64(snug_json_at(snug_json_get(v, key), 1), &id) || id > TOK_ID_MAX) {
        return snug_fail(err, SNUG_EINVAL, "post-processor: %s must be [token, id]", key);
    }
    out->ids = snug_arena_zalloc(a, sizeof(uint32_t));
    out->ids[0] = (uint32_t)id;
    out->count = 1;
    return SNUG_OK;
}

static void fill(template *t, const part *parts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        t->parts[i] = parts[i];
        t->added += parts[i].count;
    }
    t->count = n;
}

static snug_status load_bert(snug_arena *a, snug_json v, unsigned depth, tok_post *p, snug_err *err)
{
    part cls = {0}, sep = {0}, text_a = {.is_text = true}, text_b = {.is_text = true, .text = 1};
    snug_status st = load_named(a, v, "cls", &cls, err);
    (void)depth;
    if (st == SNUG_OK) st = load_named(a, v, "sep", &sep, err);
    if (st != SNUG_OK) return st;
    part sep_b = sep;
    sep_b.type_id = text_b.type_id = 1;
    fill(&p->one, (part[]){cls, text_a, sep}, 3);
    fill(&p->two, (part[]){cls, text_a, sep, text_b, sep_b}, 5);
    return SNUG_OK;
}

static snug_status load_roberta(snug_arena *a, snug_json v, unsigned depth, tok_post *p,
                                snug_err *err)
{
    part cls = {0}, sep = {0}, text_a = {.is_text = true}, text_b = {.is_text = true, .text = 1};
    snug_status st = load_named(a, v, "cls", &cls, err);
    (void)depth;
    if (st == SNUG_OK) st = load_named(a, v, "sep", &sep, err);
    if (st != SNUG_OK) return st;
    p->trim = snug_json_bool_or(v, "trim_offsets", true);
    p->prefix_space = snug_json_bool_or(v, "add_prefix_space", true);
    fill(&p->one, (part[]){cls, text_a, sep}, 3); /* every type id is 0 */
    fill(&p->two, (part[]){cls, text_a, sep, sep, text_b, sep}, 6);
    return SNUG_OK;
}

/* ---- ByteLevel ---- */

static snug_status load_bytes(snug_arena *a, snug_json v, unsigned depth, tok_post *p,
                              snug_err *err)
{
    (void)a, (void)depth, (void)err;
    p->trim = snug_json_bool_or(v, "trim_offsets", true);
    p->prefix_space = snug_json_bool_or(v, "add_prefix_space", true);
    return SNUG_OK;
}

static snug_status run_bytes(const tok_post *p, bool add_special, tok_runs *runs, snug_err *err)
{
    (void)add_special, (void)err;
    for (size_t i = 0; p->trim && i < runs->count; i++) {
        tok_run *r = &runs->items[i];
        if (r->trims == 8) continue;
        r->trim_prefix |= (unsigned)p->prefix_space << r->trims++;
    }
    return SNUG_OK;
}

static snug_status run_roberta(const tok_post *p, bool add_special, tok_runs *runs, snug_err *err)
{
    snug_status st = run_bytes(p, add_special, runs, err);
    return st == SNUG_OK ? run_template(p, add_special, runs, err) : st;
}

/* ---- Sequence ---- */

static bool adds_tokens(const tok_post *p)
{
    bool adds = p->type->adds;
    for (size_t i = 0; i < p->count; i++) adds |= adds_tokens(p->kids[i]);
    return adds;
}

static snug_status load_sequence(snug_arena *a, snug_json v, unsigned depth, tok_post *p,
                                 snug_err *err)
{
    snug_json list = snug_json_get(v, "processors");
    bool      added = false;
    if (!snug_json_is(list, SNUG_JSON_ARRAY) || snug_json_count(list) > TOK_PARTS_MAX) {
        return snug_fail(err, SNUG_EINVAL, "a Sequence needs a list of at most %d processors",
                         TOK_PARTS_MAX);
    }
    p->kids = snug_arena_zalloc(a, sizeof(tok_post *) * TOK_PARTS_MAX);
    for (snug_json_iter it = snug_json_iter_of(list); snug_json_next(&it);) {
        snug_status st = tok_post_load(a, it.value, depth + 1, &p->kids[p->count], err);
        if (st != SNUG_OK) return st;
        bool adds = adds_tokens(p->kids[p->count++]);
        if (adds && added) {
            return snug_fail(err, SNUG_EUNSUPPORTED, "two post-processors that both add tokens");
        }
        added |= adds;
    }
    return SNUG_OK;
}

static snug_status run_sequence(const tok_post *p, bool add_special, tok_runs *runs, snug_err *err)
{
    for (size_t i = 0; i < p->count; i++) {
        snug_status st = tok_post_run(p->kids[i], add_special, runs, err);
        if (st != SNUG_OK) return st;
    }
    return SNUG_OK;
}

static const post_type post_types[] = {
    {"Sequence", load_sequence, run_sequence, false},
    {"TemplateProcessing", load_templates, run_template, true},
    {"BertProcessing", load_bert, run_template, true},
    {"RobertaProcessing", load_roberta, run_roberta, true},
    {"ByteLevel", load_bytes, run_bytes, false},
};

snug_status tok_post_load(snug_arena *a, snug_json v, unsigned depth, const tok_post **out,
                          snug_err *err)
{
    snug_slice name = tok_type_of(v);
    if (depth > TOK_NEST_MAX) {
        return snug_fail(err, SNUG_ELIMIT, "post-processors nested deeper than %d", TOK_NEST_MAX);
    }
    for (size_t i = 0; i < sizeof post_types / sizeof post_types[0]; i++) {
        if (!snug_eq_str(name, post_types[i].name)) continue;
        tok_post *p = SNUG_NEW(a, tok_post);
        p->type = &post_types[i];
        *out = p;
        return p->type->load(a, v, depth, p, err);
    }
    return snug_fail(err, SNUG_EUNSUPPORTED, "post-processor \"%.*s\" is not known to this build",
                     SNUG_SLICE(snug_sub(name, 0, 80)));
}

size_t tok_post_added(const tok_post *p, bool pair)
{
    if (p == NULL) return 0;
    size_t n = pair ? p->two.added : p->one.added;
    for (size_t i = 0; i < p->count; i++) n += tok_post_added(p->kids[i], pair);
    return n;
}

snug_status tok_post_run(const tok_post *p, bool add_special, tok_runs *runs, snug_err *err)
{
    return p->type->run(p, add_special, runs, err);
}

/* ---- writing the result ---- */

static bool is_blank(uint32_t cp)
{
    return cp == 0x120 || tok_is_space(cp);
} /* U+0120: a byte-level space */

/* Takes the blanks of a token's text off its offsets. A single one before the first token may be
 * the one we put there, which has no place of its own; two cannot be. */
static void trim(snug_slice text, bool first, bool prefix_space, uint32_t *begin, uint32_t *end)
{
    uint32_t lead = 0, trail = 0;
    bool     leading = true;
    while (text.len > 0) {
        bool blank = is_blank(snug_utf8_next(&text));
        leading = leading && blank;
        lead += leading;
        trail = blank ? trail + 1 : 0;
    }
    if (lead > 0) {
        if (prefix_space && (first || *begin == 0) && lead == 1) lead = 0;
        *begin = *begin + lead < *end ? *begin + lead : *end;
    }
    if (trail > 0 && *end >= trail) *end = *end - trail > *begin ? *end - trail : *begin;
}

static snug_status write_texts(const tok *t, const tok_runs *runs, tok_ids *out, snug_err *err)
{
    size_t at = 0;
    if (out->cap > out->text_cap) {
        free(out->text_ends);
        out->text_cap = out->cap;
        out->text_ends = snug_alloc(out->text_cap * sizeof *out->text_ends); /* as the ids */
    }
    out->texts.max = TEXTS_MAX;
    snug_buf_clear(&out->texts);
    for (size_t i = 0; i < runs->count; i++) {
        const tok_run *r = &runs->items[i];
        for (size_t k = 0; k < r->count; k++) {
            bool plain = r->tokens == NULL || r->tokens[k].surface.ptr == NULL;
            snug_buf_put_slice(&out->texts,
                               plain ? tok_id_to_token(t, out->ids[at]) : r->tokens[k].surface);
            out->text_ends[at++] = (uint32_t)out->texts.len;
        }
    }
    return snug_buf_check(&out->texts, "the tokens of a text", err);
}

snug_status tok_runs_write(const tok *t, const tok_runs *runs, unsigned flags, tok_ids *out,
                           snug_err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < runs->count; i++) n += runs->items[i].count;
    out->count = 0;
    snug_status st = tok_ids_reserve(out, n, err);
    if (st != SNUG_OK) return st;
    for (size_t i = 0; i < runs->count; i++) {
        const tok_run *r = &runs->items[i];
        for (size_t k = 0; k < r->count; k++) {
            size_t    at = out->count++;
            tok_token token = {.id = r->special_id};
            if (r->tokens != NULL) token = r->tokens[k];
            snug_slice text = token.surface;
            if (r->trims > 0 && text.ptr == NULL) text = tok_id_to_token(t, token.id);
            for (unsigned x = 0; x < r->trims; x++) {
                trim(text, k == 0, (r->trim_prefix >> x & 1u) != 0, &token.begin, &token.end);
            }
            out->ids[at] = token.id;
            out->type_ids[at] = r->type_id;
            out->begin[at] = token.begin;
            out->end[at] = token.end;
            out->word[at] = r->tokens == NULL ? TOK_NO_WORD : token.word;
            out->sequence[at] = r->tokens == NULL ? (uint8_t)TOK_NO_TEXT : r->sequence;
            out->special[at] = r->tokens == NULL;
            out->attention[at] = 1;
        }
    }
    return (flags & TOK_KEEP_TEXTS) != 0 ? write_texts(t, runs, out, err) : SNUG_OK;
}
