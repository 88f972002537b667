/* SPDX-License-Identifier: Apache-2.0 */
/* vcs/match.c - git's glob patterns: * ? [...] and, between slashes, **.
 *
 * For:     rules.c. Patterns come from repositories and so from anyone.
 *
 * No recursion. A failed match goes back to the last star and lets it take one byte more, or, when
 * that star may not (it stops at '/'), to the last "**" and lets that one take one folder more.
 * Going back further is never needed: what stood before a later star has matched as early as
 * it can, which leaves the most text for the rest, and a star that stops at a slash has only one
 * slash it could meet. Each step is counted against the caller's budget, so a hostile pattern ends
 * as "does not match". */
#include "vcs/vcs_int.h"

typedef struct matcher {
    snug_slice p, t; /* pattern, text */
    bool       path;
} matcher;

/* ---- character sets ---- */

static bool in_class(snug_slice name, unsigned char c, bool *known)
{
    bool upper = c >= 'A' && c <= 'Z', lower = c >= 'a' && c <= 'z', digit = c >= '0' && c <= '9';
    bool graph = c > 0x20 && c < 0x7f;
    const struct {
        const char *name;
        bool        has;
    } classes[] = {
        {"alnum", upper || lower || digit},
        {"alpha", upper || lower},
        {"blank", c == ' ' || c == '\t'},
        {"cntrl", c < 0x20 || c == 0x7f},
        {"digit", digit},
        {"graph", graph},
        {"lower", lower},
        {"print", graph || c == ' '},
        {"punct", graph && !(upper || lower || digit)},
        {"space", c == ' ' || (c >= '\t' && c <= '\r')},
        {"upper", upper},
        {"xdigit", digit || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')},
    };
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        if (snug_eq_str(name, classes[i].name)) return classes[i].has;
    }
    *known = false;
    return false;
}

static unsigned char at(snug_slice s, size_t i) { return i < s.len ? (unsigned char)s.ptr[i] : 0; }

/* [:name:] at *i, which stands on the inner '['. False when there is no ":]": a plain '[' then. */
static bool match_class(snug_slice p, size_t *i, unsigned char c, bool *hit, bool *valid)
{
    size_t start = *i + 2, end = start;
    while (end < p.len && p.ptr[end] != ']') end++;
    if (end == p.len) {
        *valid = false;
        return true;
    }
    if (end < start + 1 || p.ptr[end - 1] != ':') return false;
    if (in_class(snug_sub(p, start, end - start - 1), c, valid)) *hit = true;
    *i = end;
    return true;
}

/* The set at p[*i] == '[' against c; *i ends on its ']'. *valid false: the set never closes. */
static bool match_set(snug_slice p, size_t *i, unsigned char c, bool *valid)
{
    size_t        k = *i + 1;
    bool          negated = at(p, k) == '!' || at(p, k) == '^', hit = false;
    unsigned char prev = 0; /* 0: no range can start here */
    if (negated) k++;
    for (bool first = true; first || at(p, k) != ']'; first = false, k++) {
        unsigned char x = at(p, k);
        if (k >= p.len) {
            *valid = false;
            return false;
        }
        if (x == '\\') {
            if (++k >= p.len) {
                *valid = false;
                return false;
            }
            x = at(p, k);
            hit = hit || c == x;
        } else if (x == '-' && prev != 0 && k + 1 < p.len && at(p, k + 1) != ']') {
            x = at(p, ++k);
            if (x == '\\') {
                if (++k >= p.len) {
                    *valid = false;
                    return false;
                }
                x = at(p, k);
            }
            hit = hit || (c >= prev && c <= x);
            x = 0;
        } else if (x == '[' && at(p, k + 1) == ':') {
            if (match_class(p, &k, c, &hit, valid))
                x = 0;
            else
                hit = hit || c == '[';
            if (!*valid) return false;
        } else {
            hit = hit || c == x;
        }
        prev = x;
    }
    *i = k;
    return hit != negated;
}

/* One pattern item other than a star against one byte; *p moves behind the item. */
static bool match_one(const matcher *m, size_t *p, unsigned char c, bool *valid)
{
    unsigned char x = at(m->p, *p);
    bool          ok = false;
    switch (x) {
    case '?': ok = !(m->path && c == '/'); break;
    case '[': ok = match_set(m->p, p, c, valid) && !(m->path && c == '/'); break;
    case '\\':
        (*p)++;
        ok = *p < m->p.len && at(m->p, *p) == c;
        break;
    default: ok = x == c; break;
    }
    (*p)++;
    return ok;
}

/* ---- stars ---- */

typedef enum star_kind {
    STAR_NONE,
    STAR_PART,   /* stops at '/' */
    STAR_ANY,    /* takes any byte */
    STAR_FOLDERS /* "**" and its slash: nothing, or whole folders */
} star_kind;

/* A place to come back to: the pattern behind the star, and where that was tried last. */
typedef struct retry {
    star_kind kind;
    size_t    p, t;
} retry;

/* Reads the run of stars at *p. */
static star_kind read_star(const matcher *m, size_t *p)
{
    size_t first = *p, n = *p;
    while (at(m->p, n) == '*') n++;
    *p = n;
    if (!m->path) return STAR_ANY;
    bool alone = n - first >= 2 && (first == 0 || at(m->p, first - 1) == '/');
    if (alone && at(m->p, n) == '/') {
        *p = n + 1;
        return STAR_FOLDERS;
    }
    bool closed = n == m->p.len || (at(m->p, n) == '\\' && at(m->p, n + 1) == '/');
    return alone && closed ? STAR_ANY : STAR_PART;
}

/* Lets the star take more; false when it cannot. */
static bool extend(const matcher *m, retry *r)
{
    switch (r->kind) {
    case STAR_NONE: return false;
    case STAR_PART:
        if (r->t >= m->t.len || m->t.ptr[r->t] == '/') break;
        r->t++;
        return true;
    case STAR_ANY:
        if (r->t >= m->t.len) break;
        r->t++;
        return true;
    case STAR_FOLDERS:
        while (r->t < m->t.len && m->t.ptr[r->t] != '/') r->t++;
        if (r->t >= m->t.len) break;
        r->t++;
        return true;
    }
    r->kind = STAR_NONE;
    return false;
}

bool vcs_wildmatch(snug_slice pattern, snug_slice text, bool path, uint32_t *budget)
{
    matcher m = {pattern, text, path};
    retry   part = {0}, wide = {0};
    size_t  p = 0, t = 0;
    bool    valid = true;

    for (;;) {
        if (*budget == 0) return false;
        (*budget)--;
        bool ok;
        if (at(m.p, p) == '*' && p < m.p.len) {
            star_kind kind = read_star(&m, &p);
            retry    *r = kind == STAR_PART ? &part : &wide;
            if (r == &wide) part.kind = STAR_NONE;
            *r = (retry){kind, p, t};
            if (p == m.p.len && kind == STAR_ANY) return true;
            continue;
        }
        if (p == m.p.len) {
            ok = t == m.t.len;
            if (ok) return true;
        } else {
            ok = t < m.t.len && match_one(&m, &p, (unsigned char)m.t.ptr[t], &valid);
            t++;
        }
        if (!valid) return false;
        if (ok) continue;
        retry *r = extend(&m, &part) ? &part : extend(&m, &wide) ? &wide : NULL;
        if (r == NULL) return false;
        if (r == &wide) part.kind = STAR_NONE;
        p = r->p;
        t = r->t;
    }
}
