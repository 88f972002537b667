/* SPDX-License-Identifier: Apache-2.0 */
/* tok/regex.c - the patterns of tokenizer.json, run by PCRE2.
 *
 * For:     norm.c and decode.c (Replace), pre.c (Split).
 * Owns:    compiled patterns, freed with the tokenizer's arena.
 * Threads: compiled patterns are read-only; match data belongs to a tok_work.
 * Truth:   a pattern from a stranger may be slow, never endless: one match has a step limit, all
 *          matches of a text a deadline. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "tok/tok_int.h"

enum {
    PATTERN_BYTES_MAX = 16 * 1024,
    STEPS_MAX = 50 * 1000 * 1000,
    HEAP_KIB_MAX = 64 * 1024,
    CLOCK_EVERY = 64 /* matches between two looks at the clock */
};

typedef enum pattern_kind { PATTERN_STRING, PATTERN_REGEX, PATTERN_BY_HAND } pattern_kind;

struct tok_pattern {
    pattern_kind         kind;
    snug_slice           source;
    const tok_split     *split; /* PATTERN_BY_HAND */
    pcre2_code          *code;
    pcre2_match_context *context; /* limits; never changed after loading */
};

static void free_pattern(void *arg)
{
    tok_pattern *p = arg;
    pcre2_code_free(p->code);
    pcre2_match_context_free(p->context);
}

void tok_match_data_free(void *md) { pcre2_match_data_free(md); }

static snug_status compile(tok_pattern *p, snug_err *err)
{
    SNUG_AUTO(snug_buf) text = snug_buf_init(PATTERN_BYTES_MAX * 8);
    snug_status st = tok_regex_translate(p->source, &text, err);
    if (st == SNUG_OK) st = snug_buf_check(&text, "pattern", err);
    if (st != SNUG_OK) return st;

    int                    code = 0;
    PCRE2_SIZE             at = 0;
    pcre2_compile_context *cc = pcre2_compile_context_create(NULL);
    if (cc == NULL) return snug_fail(err, SNUG_ENOMEM, "no memory for a pattern");
    (void)pcre2_set_newline(cc, PCRE2_NEWLINE_LF);
    p->code = pcre2_compile((PCRE2_SPTR)snug_buf_cstr(&text), text.len,
                            PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C,
                            &code, &at, cc);
    pcre2_compile_context_free(cc);
    if (p->code == NULL) {
        PCRE2_UCHAR why[128];
        (void)pcre2_get_error_message(code, why, sizeof why);
        return snug_fail(err, SNUG_EUNSUPPORTED, "pattern \"%.*s\" is not understood: %s",
                         SNUG_SLICE(snug_sub(p->source, 0, 120)), (const char *)why);
    }
    (void)pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE); /* without it the interpreter runs */
    p->context = pcre2_match_context_create(NULL);
    if (p->context == NULL) return snug_fail(err, SNUG_ENOMEM, "no memory for a pattern");
    (void)pcre2_set_match_limit(p->context, STEPS_MAX);
    (void)pcre2_set_heap_limit(p->context, HEAP_KIB_MAX);
    return SNUG_OK;
}

snug_status tok_pattern_load(snug_arena *a, snug_json v, const tok_pattern **out, snug_err *err)
{
    snug_slice   source;
    tok_pattern *p = SNUG_NEW(a, tok_pattern);
    bool         regex = snug_json_to_str(snug_json_get(v, "Regex"), &source);
    if (!regex && !snug_json_to_str(snug_json_get(v, "String"), &source)) {
        return snug_fail(err, SNUG_EINVAL, "a pattern is {\"String\": ...} or {\"Regex\": ...}");
    }
    if (source.len == 0)
        return snug_fail(err, SNUG_EUNSUPPORTED, "an empty pattern matches everywhere");
    if (source.len > PATTERN_BYTES_MAX) {
        return snug_fail(err, SNUG_ELIMIT, "pattern of %zu bytes is larger than the limit of %d",
                         source.len, PATTERN_BYTES_MAX);
    }
    p->source = snug_arena_dup(a, source);
    *out = p;
    if (!regex) return SNUG_OK;
    p->kind = PATTERN_BY_HAND;
    p->split = tok_split_find(source);
    if (p->split != NULL) return SNUG_OK;
    p->kind = PATTERN_REGEX;
    snug_arena_on_free(a, free_pattern, p);
    return compile(p, err);
}

/* ---- matching ---- */

/* One hit, with the gap before it. */
static void put_hit(tok_work *w, size_t *done, size_t begin, size_t end)
{
    if (*done != begin) tok_put_match(w, *done, begin, false);
    tok_put_match(w, begin, end, true);
    *done = end;
}

static snug_status run_string(const tok_pattern *p, tok_work *w, const char *text, size_t len,
                              size_t *done)
{
    snug_slice s = snug_slice_of(text, len);
    for (size_t at = 0;;) {
        size_t i = snug_find(snug_sub(s, at, len), p->source);
        if (i == SIZE_MAX) return SNUG_OK;
        put_hit(w, done, at + i, at + i + p->source.len);
        at += i + p->source.len;
    }
}

static snug_status find_one(const tok_pattern *p, tok_work *w, const char *text, size_t len,
                            size_t at, size_t *begin, size_t *end)
{
    uint32_t opts = PCRE2_NO_UTF_CHECK; /* texts are checked on entry */
    int      rc = pcre2_match(p->code, (PCRE2_SPTR)text, len, at, opts, w->match_data, p->context);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT) { /* the interpreter keeps its stack on the heap */
        rc = pcre2_match(p->code, (PCRE2_SPTR)text, len, at, opts | PCRE2_NO_JIT, w->match_data,
                         p->context);
    }
    if (rc == PCRE2_ERROR_NOMATCH) {
        *begin = *end = SIZE_MAX;
        return SNUG_OK;
    }
    if (rc < 0) {
        return snug_fail(w->err, SNUG_ELIMIT,
                         "pattern \"%.*s\" takes more than %d steps on this text",
                         SNUG_SLICE(snug_sub(p->source, 0, 120)), STEPS_MAX);
    }
    const PCRE2_SIZE *v = pcre2_get_ovector_pointer(w->match_data);
    *begin = v[0] < v[1] ? v[0] : v[1]; /* \K in a look-ahead can turn them round */
    *end = v[1];
    return SNUG_OK;
}

static snug_status run_regex(const tok_pattern *p, tok_work *w, const char *text, size_t len,
                             size_t *done)
{
    size_t at = 0, last_end = SIZE_MAX, begin = 0, end = 0;
    if (w->match_data == NULL) {
        w->match_data = pcre2_match_data_create(1, NULL);
        if (w->match_data == NULL)
            return snug_fail(w->err, SNUG_ENOMEM, "no memory to match a pattern");
    }
    if (w->deadline_ns == 0) w->deadline_ns = snug_mono_ns() + (uint64_t)TOK_MATCH_MS * 1000000u;
    for (unsigned n = 0; at <= len; n++) {
        if (n % CLOCK_EVERY == 0 && snug_mono_ns() > w->deadline_ns) {
            return snug_fail(w->err, SNUG_ELIMIT, "splitting this text takes more than %d ms",
                             TOK_MATCH_MS);
        }
        snug_status st = find_one(p, w, text, len, at, &begin, &end);
        if (st != SNUG_OK || begin == SIZE_MAX) return st;
        if (begin == end && end == last_end) { /* nothing, where the last one ended: move on */
            at += at < len ? tok_utf8_len((unsigned char)text[at]) : 1;
            continue;
        }
        at = last_end = end;
        put_hit(w, done, begin, end);
    }
    return SNUG_OK;
}

static snug_status run_by_hand(const tok_pattern *p, tok_work *w, const char *text, size_t len,
                               size_t *done)
{
    for (bool hit; *done < len;) {
        size_t end = tok_split_next(p->split, text, len, *done, &hit);
        tok_put_match(w, *done, end, hit);
        *done = end;
    }
    return SNUG_OK;
}

const tok_split *tok_pattern_split(const tok_pattern *p) { return p->split; }

snug_status tok_pattern_run(const tok_pattern *p, tok_work *w, const char *text, size_t len)
{
    size_t      done = 0;
    snug_status st = SNUG_OK;
    if (len == 0) return SNUG_OK;
    if (p->kind == PATTERN_STRING)
        st = run_string(p, w, text, len, &done);
    else if (p->kind == PATTERN_BY_HAND)
        st = run_by_hand(p, w, text, len, &done);
    else
        st = run_regex(p, w, text, len, &done);
    if (st == SNUG_OK && done < len) tok_put_match(w, done, len, false);
    return st;
}
