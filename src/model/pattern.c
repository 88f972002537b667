/* SPDX-License-Identifier: Apache-2.0 */
/* model/pattern.c - a small matcher for the regular expressions of adapter configurations.
 *
 * For:     adapter.c: rank_pattern and alpha_pattern name modules this way.
 * Owns:    nothing.
 * Threads: pure functions.
 * Truth:   work and depth are bounded: a pattern comes from outside. */
#include "model/pattern.h"

#include <ctype.h>

enum { DEPTH_MAX = 256 };

typedef struct search {
    snug_slice text;
    size_t     steps;
    unsigned   depth;
    bool       bad;
} search;

/* What follows a part of the pattern: the rest of an alternative, then what follows its group. */
typedef struct rest {
    snug_slice         pattern;
    const struct rest *after;
} rest;

static bool match(search *s, const rest *r, size_t at);

static bool spend(search *s)
{
    if (++s->steps > PATTERN_STEPS_MAX) s->bad = true;
    return !s->bad;
}

/* The size of the first atom of a pattern: a character, an escape, a class or a group; 0: none. */
static size_t atom_size(search *s, snug_slice p)
{
    size_t i = 1, depth = 0;
    if (p.len == 0) return 0;
    if (p.ptr[0] == '\\') return p.len < 2 ? (s->bad = true, (size_t)0) : 2;
    if (p.ptr[0] == '[') {
        while (i < p.len && (p.ptr[i] != ']' || i == 1)) i += p.ptr[i] == '\\' ? 2 : 1;
        return i < p.len ? i + 1 : (s->bad = true, (size_t)0);
    }
    if (p.ptr[0] != '(') return 1;
    for (i = 0; i < p.len; i++) {
        if (p.ptr[i] == '\\') {
            i++;
            continue;
        }
        depth += p.ptr[i] == '(';
        if (p.ptr[i] == ')' && --depth == 0) return i + 1;
    }
    s->bad = true;
    return 0;
}

static bool is_class(char kind, char c, bool *known)
{
    *known = true;
    switch (kind) {
    case 'd': return isdigit((unsigned char)c) != 0;
    case 'w': return isalnum((unsigned char)c) != 0 || c == '_';
    case 's': return isspace((unsigned char)c) != 0;
    default: *known = false; return false;
    }
}

static bool in_set(search *s, snug_slice set, char c)
{
    bool not = set.len > 0 && set.ptr[0] == '^', found = false;
    size_t i = not ? 1 : 0;
    while (i < set.len) {
        char a = set.ptr[i++];
        bool known = false;
        if (a == '\\' && i < set.len) {
            a = set.ptr[i++];
            found |= is_class(a, c, &known);
            if (known) continue;
            if (isalnum((unsigned char)a)) s->bad = true;
        }
        if (i + 1 < set.len && set.ptr[i] == '-') {
            found |= c >= a && c <= set.ptr[i + 1];
            i += 2;
        } else {
            found |= c == a;
        }
    }
    return found != not ;
}

/* One character against an atom that is no group. */
static bool one(search *s, snug_slice atom, char c)
{
    bool known;
    if (atom.ptr[0] == '.') return true;
    if (atom.ptr[0] == '[') return in_set(s, snug_sub(atom, 1, atom.len - 2), c);
    if (atom.ptr[0] != '\\') {
        if (strchr("*+?{})]^$", atom.ptr[0]) != NULL) s->bad = true;
        return atom.ptr[0] == c;
    }
    bool hit = is_class(atom.ptr[1], c, &known);
    if (!known && isalnum((unsigned char)atom.ptr[1])) s->bad = true; /* \b, \1, .. */
    return known ? hit : atom.ptr[1] == c;
}

/* Any alternative of `inner`, then `after`. */
static bool alternatives(search *s, snug_slice inner, const rest *after, size_t at)
{
    size_t from = 0;
    for (size_t i = 0; i <= inner.len && !s->bad;) {
        snug_slice left = snug_sub(inner, i, SIZE_MAX);
        if (i == inner.len || inner.ptr[i] == '|') {
            rest r = {snug_sub(inner, from, i - from), after};
            if (match(s, &r, at)) return true;
            from = ++i;
            continue;
        }
        size_t n = atom_size(s, left);
        i += n == 0 ? 1 : n;
    }
    return false;
}

static bool repeat(search *s, snug_slice atom, size_t min, size_t max, const rest *then, size_t at);

/* An atom once, then what must follow. */
static bool once(search *s, snug_slice atom, const rest *then, size_t at)
{
    if (atom.ptr[0] == '(') {
        snug_slice inner = snug_sub(atom, 1, atom.len - 2);
        if (snug_starts_with(inner, "?:"))
            inner = snug_sub(inner, 2, SIZE_MAX);
        else if (snug_starts_with(inner, "?"))
            s->bad = true;
        return alternatives(s, inner, then, at);
    }
    return at < s->text.len && one(s, atom, s->text.ptr[at]) && match(s, then, at + 1);
}

/* As many as there are, then fewer. The atom's next turn is a pattern of its own. */
static bool repeat(search *s, snug_slice atom, size_t min, size_t max, const rest *then, size_t at)
{
    char text[PATTERN_BYTES_MAX + 32];
    if (!spend(s)) return false;
    if (max > 0) {
        size_t least = min > 0 ? min - 1 : 0, most = max == SIZE_MAX ? SIZE_MAX : max - 1;
        int    n = most == SIZE_MAX
                       ? snprintf(text, sizeof text, "%.*s{%zu,}", SNUG_SLICE(atom), least)
                       : snprintf(text, sizeof text, "%.*s{%zu,%zu}", SNUG_SLICE(atom), least, most);
        rest   more = {snug_slice_of(text, (size_t)n), then};
        if (most == 0) more.pattern = SNUG_EMPTY;
        /* A turn that takes nothing would go on for ever: only a group can be empty. */
        if (at < s->text.len && once(s, atom, &more, at)) return true;
    }
    return min == 0 && match(s, then, at);
}

/* {n}, {n,} or {n,m} at the head of p; its size, 0: none. */
static size_t counts(search *s, snug_slice p, size_t *min, size_t *max)
{
    size_t i = 1, v[2] = {0, SIZE_MAX}, k = 0;
    bool   digit = false;
    if (p.len == 0 || p.ptr[0] != '{') return 0;
    for (; i < p.len && p.ptr[i] != '}'; i++) {
        if (p.ptr[i] == ',' && k == 0) {
            k = 1;
            digit = false;
        } else if (isdigit((unsigned char)p.ptr[i]) && (!digit || v[k] < 1000)) {
            v[k] = (digit ? v[k] * 10 : 0) + (size_t)(p.ptr[i] - '0');
            digit = true;
        } else {
            s->bad = true;
            return 0;
        }
    }
    if (i == p.len) s->bad = true;
    *min = v[0];
    *max = k == 0 ? v[0] : v[1];
    return i + 1;
}

static bool match(search *s, const rest *r, size_t at)
{
    if (!spend(s) || s->depth == DEPTH_MAX) return s->bad = true, false;
    while (r != NULL && r->pattern.len == 0) r = r->after;
    if (r == NULL) return at == s->text.len;
    snug_slice p = r->pattern;
    if (p.ptr[0] == '$') return p.len == 1 && at == s->text.len;
    size_t n = atom_size(s, p), min = 1, max = 1, more = 0;
    if (n == 0 || s->bad) return s->bad = true, false;
    snug_slice left = snug_sub(p, n, SIZE_MAX);
    if (left.len > 0 && (left.ptr[0] == '*' || left.ptr[0] == '+' || left.ptr[0] == '?')) {
        min = left.ptr[0] == '+' ? 1 : 0;
        max = left.ptr[0] == '?' ? 1 : SIZE_MAX;
        more = 1;
        if (left.len > 1 && left.ptr[1] == '?') more = 2; /* lazy: the same whole matches */
    } else {
        more = counts(s, left, &min, &max);
    }
    rest then = {snug_sub(left, more, SIZE_MAX), r->after};
    s->depth++;
    bool hit = more == 0 ? once(s, snug_sub(p, 0, n), &then, at)
                         : repeat(s, snug_sub(p, 0, n), min, max, &then, at);
    s->depth--;
    return hit && !s->bad;
}

snug_status pattern_match(snug_slice pattern, snug_slice text, bool tail, bool *out, snug_err *err)
{
    search s = {.text = text};
    *out = false;
    if (pattern.len > PATTERN_BYTES_MAX)
        return snug_fail(err, SNUG_ELIMIT, "a pattern of %zu bytes", pattern.len);
    if (pattern.len > 0 && pattern.ptr[0] == '^') {
        pattern = snug_sub(pattern, 1, SIZE_MAX);
        tail = false;
    }
    for (size_t at = 0; at <= text.len && !*out && !s.bad; at++) {
        if (at > 0 && (!tail || text.ptr[at - 1] != '.')) continue;
        *out = alternatives(&s, pattern, NULL, at);
    }
    if (!s.bad) return SNUG_OK;
    return snug_fail(err, SNUG_EUNSUPPORTED, "the pattern \"%.*s\" is not supported",
                     SNUG_SLICE(pattern));
}
