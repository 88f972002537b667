/* SPDX-License-Identifier: Apache-2.0 */
/* remote/glob.c - the wildcards of --include and --exclude.
 *
 * For:     download plans.
 * Owns:    nothing.
 * Threads: pure functions.
 * Truth:   matching takes at most pattern length times text length steps: one `*` is remembered
 *          at a time, and that is enough because a later star can absorb whatever an earlier could.
 */
#include "remote/remote_int.h"

/* [abc], [a-z], [!abc]; a `]` in first place stands for itself. False: no closing bracket, so the
 * bracket is an ordinary character. */
static bool match_set(snug_slice *pat, uint32_t ch, bool *hit)
{
    snug_slice p = snug_sub(*pat, 1, SIZE_MAX);
    bool       negate = p.len > 0 && p.ptr[0] == '!', found = false, first = true;
    if (negate) p = snug_sub(p, 1, SIZE_MAX);
    while (p.len > 0) {
        if (p.ptr[0] == ']' && !first) {
            *pat = snug_sub(p, 1, SIZE_MAX);
            *hit = found != negate;
            return true;
        }
        first = false;
        uint32_t lo = snug_utf8_next(&p), hi = lo;
        if (p.len >= 2 && p.ptr[0] == '-' && p.ptr[1] != ']') {
            p = snug_sub(p, 1, SIZE_MAX);
            hi = snug_utf8_next(&p);
        }
        if (lo <= ch && ch <= hi) found = true;
    }
    return false;
}

/* One pattern element against one character; advances both on a match. */
static bool match_one(snug_slice *pat, snug_slice *text)
{
    snug_slice p = *pat, t = *text;
    uint32_t   ch = snug_utf8_next(&t);
    bool       hit = false;
    if (p.ptr[0] == '?') {
        p = snug_sub(p, 1, SIZE_MAX);
        hit = true;
    } else if (p.ptr[0] != '[' || !match_set(&p, ch, &hit)) {
        hit = snug_utf8_next(&p) == ch;
    }
    if (hit) {
        *pat = p;
        *text = t;
    }
    return hit;
}

static bool match(snug_slice pat, snug_slice text)
{
    snug_slice star_pat = SNUG_EMPTY, star_text = SNUG_EMPTY;
    bool       have_star = false;
    while (text.len > 0) {
        if (pat.len > 0 && pat.ptr[0] == '*') {
            pat = snug_sub(pat, 1, SIZE_MAX);
            have_star = true;
            star_pat = pat;
            star_text = text;
        } else if (pat.len == 0 || !match_one(&pat, &text)) {
            if (!have_star) return false;
            (void)snug_utf8_next(&star_text); /* the star takes one character more */
            pat = star_pat;
            text = star_text;
        }
    }
    while (pat.len > 0 && pat.ptr[0] == '*') pat = snug_sub(pat, 1, SIZE_MAX);
    return pat.len == 0;
}

bool remote_glob(snug_slice pattern, snug_slice path)
{
    if (pattern.len == 0 || pattern.ptr[pattern.len - 1] != '/') return match(pattern, path);
    /* "data/" is "data/" and then anything: true when some prefix that ends in '/' matches. */
    for (size_t i = 0; i < path.len; i++) {
        if (path.ptr[i] == '/' && match(pattern, snug_sub(path, 0, i + 1))) return true;
    }
    return false;
}

static bool any_match(const snug_slice *pats, size_t n, snug_slice path)
{
    for (size_t i = 0; i < n; i++) {
        if (remote_glob(pats[i], path)) return true;
    }
    return false;
}

bool remote_wanted(const remote_download *d, snug_slice path)
{
    if (d->include_count > 0 && !any_match(d->include, d->include_count, path)) return false;
    return !any_match(d->exclude, d->exclude_count, path);
}
