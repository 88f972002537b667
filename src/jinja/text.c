/* SPDX-License-Identifier: Apache-2.0 */
/* jinja/text.c - strings: positions, stripping, joining, case, lines, escaping.
 *
 * For:     everything that handles strings.
 * Truth:   strings are valid UTF-8 and shorter than 4 GiB; positions in the language count
 *          characters, inside here bytes. Each function is linear in what it reads and writes. */
#include "jinja/jinja_int.h"

/* ---- characters ---- */

uint32_t jinja_utf8_at(snug_slice s, size_t *at)
{
    unsigned char c = (unsigned char)s.ptr[*at];
    if (c < 0x80) {
        (*at)++;
        return c;
    }
    snug_slice rest = {s.ptr + *at, s.len - *at};
    uint32_t   cp = snug_utf8_next(&rest);
    *at = s.len - rest.len;
    return cp;
}

size_t jinja_utf8_count(snug_slice s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) n += ((unsigned char)s.ptr[i] & 0xc0) != 0x80;
    return n;
}

size_t jinja_chars(jinja_val s)
{
    return (s.flags & VAL_ASCII) != 0 ? s.len : jinja_utf8_count(jinja_text(s));
}

size_t jinja_offset(jinja_val s, size_t chars)
{
    if ((s.flags & VAL_ASCII) != 0) return chars < s.len ? chars : s.len;
    size_t at = 0;
    while (chars-- > 0 && at < s.len) {
        at++;
        while (at < s.len && ((unsigned char)s.u.s[at] & 0xc0) == 0x80) at++;
    }
    return at;
}

jinja_val jinja_sub(jinja_val s, size_t from, size_t to)
{
    if (to > s.len) to = s.len;
    if (from > to) from = to;
    s.u.s += from;
    s.len = (uint32_t)(to - from);
    return s;
}

static bool is_stripped(uint32_t cp, const snug_slice *chars)
{
    if (chars == NULL) return jinja_is_space(cp);
    for (size_t at = 0; at < chars->len;) {
        if (jinja_utf8_at(*chars, &at) == cp) return true;
    }
    return false;
}

/* The start of the character that ends at `end`. */
static size_t char_before(snug_slice s, size_t end)
{
    do end--;
    while (end > 0 && ((unsigned char)s.ptr[end] & 0xc0) == 0x80);
    return end;
}

snug_slice jinja_strip(snug_slice s, const snug_slice *chars, bool left, bool right)
{
    size_t from = 0, to = s.len;
    while (left && from < to) {
        size_t next = from;
        if (!is_stripped(jinja_utf8_at(s, &next), chars)) break;
        from = next;
    }
    while (right && to > from) {
        size_t at = char_before(s, to), next = at;
        if (!is_stripped(jinja_utf8_at(s, &next), chars)) break;
        to = at;
    }
    return snug_sub(s, from, to - from);
}

/* ---- joining ---- */

static bool find_tail(jinja_run *r, jinja_val a, struct jinja_tail **out)
{
    for (size_t i = 0; i < JINJA_TAILS; i++) {
        struct jinja_tail *t = &r->tails[i];
        if (t->base != a.u.s || t->used != a.len || a.len == 0) continue;
        *out = t;
        return true;
    }
    return false;
}

/* A string that was built last ends where its buffer is used up to. Appending to it may write
 * behind that end: nobody else's string reaches there. */
static snug_status join_raw(jinja_run *r, jinja_val a, jinja_val b, jinja_val *out)
{
    size_t             n = (size_t)a.len + b.len;
    struct jinja_tail *t;
    if (n > r->memory_max || n > UINT32_MAX)
        return jinja_limit(r, "a string of %zu bytes is beyond the limit", n);
    JINJA_TRY(jinja_step(r, b.len / 64));
    out->kind = VAL_STR;
    out->aux = 0;
    out->flags = (uint8_t)((a.flags & b.flags & VAL_ASCII) | ((a.flags | b.flags) & VAL_SAFE));
    if (find_tail(r, a, &t) && t->cap - t->used >= b.len) {
        memcpy(t->base + t->used, b.u.s, b.len);
    } else {
        size_t cap = a.len < 64 ? n + 32 : n + n / 2;
        if (cap > UINT32_MAX) cap = n;
        JINJA_TRY(jinja_step(r, a.len / 64));
        char *base = jinja_alloc(r, cap);
        if (base == NULL) return SNUG_ELIMIT;
        memcpy(base, a.u.s, a.len);
        memcpy(base + a.len, b.u.s, b.len);
        t = &r->tails[r->tail_next++ % JINJA_TAILS];
        *t = (struct jinja_tail){base, 0, (uint32_t)cap};
    }
    t->used = (uint32_t)n;
    out->u.s = t->base;
    out->len = (uint32_t)n;
    return SNUG_OK;
}

snug_status jinja_join(jinja_run *r, jinja_val a, jinja_val b, jinja_val *out)
{
    if (jinja_is_safe(a) != jinja_is_safe(b)) { /* markup + text: the text is escaped */
        JINJA_TRY(jinja_escape(r, a, &a));
        JINJA_TRY(jinja_escape(r, b, &b));
    }
    if (b.len == 0 || a.len == 0) {
        *out = b.len == 0 ? a : b;
        return SNUG_OK;
    }
    return join_raw(r, a, b, out);
}

snug_status jinja_repeat(jinja_run *r, jinja_val s, int64_t times, jinja_val *out)
{
    size_t n;
    *out = jinja_sub(s, 0, 0);
    if (times <= 0 || s.len == 0) return SNUG_OK;
    if (snug_mul(s.len, (size_t)times, &n) || n > r->memory_max || n > UINT32_MAX)
        return jinja_limit(r, "a string times %" PRId64 " is beyond the limit", times);
    JINJA_TRY(jinja_step(r, n / 64));
    char *p = jinja_alloc(r, n);
    if (p == NULL) return SNUG_ELIMIT;
    if (s.len == 1)
        memset(p, s.u.s[0], n);
    else
        for (size_t at = 0; at < n; at += s.len) memcpy(p + at, s.u.s, s.len);
    out->u.s = p;
    out->len = (uint32_t)n;
    return SNUG_OK;
}

/* Replaces in order of appearance; an empty `old` stands before every character and at the end. */
snug_status jinja_replace(jinja_run *r, jinja_val s, snug_slice old, snug_slice with, int64_t max,
                          jinja_val *out)
{
    snug_buf   b = jinja_buf(r);
    snug_slice text = jinja_text(s);
    size_t     at = 0, found = 0;
    uint8_t    safe = s.flags & VAL_SAFE;
    *out = s;
    if (max == 0 || (old.len > 0 && snug_find(text, old) == SIZE_MAX)) return SNUG_OK;
    JINJA_TRY(jinja_step(r, s.len / 64));
    if (max < 0) max = INT64_MAX;
    for (; max > 0 && !b.full; max--) {
        if (old.len == 0) {
            if (found++ > 0) {
                if (at == text.len) break;
                size_t next = at;
                (void)jinja_utf8_at(text, &next);
                snug_buf_put(&b, text.ptr + at, next - at);
                at = next;
            }
            snug_buf_put_slice(&b, with);
            continue;
        }
        size_t hit = snug_find(snug_sub(text, at, SIZE_MAX), old);
        if (hit == SIZE_MAX) break;
        snug_buf_put(&b, text.ptr + at, hit);
        snug_buf_put_slice(&b, with);
        at += hit + old.len;
    }
    snug_buf_put_slice(&b, snug_sub(text, at, SIZE_MAX));
    JINJA_TRY(jinja_str_take(r, &b, out));
    out->flags |= safe;
    return SNUG_OK;
}

/* ---- case ---- */

static bool is_cased(uint32_t cp)
{
    return jinja_is_upper(cp) || jinja_is_lower(cp) || jinja_is_title(cp);
}

/* Characters that do not end a word where sigma is concerned. */
static bool is_case_ignorable(uint32_t cp)
{
    return cp == '\'' || cp == '.' || cp == ':' || cp == '^' || cp == '`' || cp == 0xa8 ||
           cp == 0xad || cp == 0xaf || cp == 0xb4 || cp == 0xb7 || cp == 0xb8 ||
           (cp >= 0x2b0 && cp <= 0x36f) || cp == 0x2019;
}

/* A capital sigma at the end of a word has a small form of its own. */
static bool is_final_sigma(snug_slice s, size_t at, size_t next)
{
    bool before = false, after = false;
    for (size_t i = at; i > 0;) {
        size_t   p = char_before(s, i), q = p;
        uint32_t cp = jinja_utf8_at(s, &q);
        i = p;
        if (is_case_ignorable(cp)) continue;
        before = is_cased(cp);
        break;
    }
    while (next < s.len) {
        uint32_t cp = jinja_utf8_at(s, &next);
        if (is_case_ignorable(cp)) continue;
        after = is_cased(cp);
        break;
    }
    return before && !after;
}

static jinja_case case_of(jinja_case to, uint32_t cp, bool first, bool after_cased)
{
    switch (to) {
    case CASE_TITLE: return after_cased ? CASE_LOWER : CASE_TITLE;
    case CASE_CAPITAL: return first ? CASE_TITLE : CASE_LOWER;
    case CASE_SWAP:
        return jinja_is_upper(cp) ? CASE_LOWER : jinja_is_lower(cp) ? CASE_UPPER : CASE_FOLD;
    default: return to;
    }
}

static void change_ascii(char *to, snug_slice s, jinja_case how)
{
    bool after = false;
    for (size_t i = 0; i < s.len; i++) {
        char       c = s.ptr[i];
        bool       upper = c >= 'A' && c <= 'Z', lower = c >= 'a' && c <= 'z';
        jinja_case want = case_of(how, (uint32_t)(unsigned char)c, i == 0, after);
        after = upper || lower;
        if (upper && (want == CASE_LOWER || want == CASE_FOLD)) c = (char)(c + 32);
        if (lower && (want == CASE_UPPER || want == CASE_TITLE)) c = (char)(c - 32);
        to[i] = c;
    }
}

snug_status jinja_change_case(jinja_run *r, jinja_val s, jinja_case to, jinja_val *out)
{
    snug_slice text = jinja_text(s);
    bool       after = false;
    *out = s;
    JINJA_TRY(jinja_step(r, s.len / 32));
    if ((s.flags & VAL_ASCII) != 0) {
        char *p = jinja_alloc(r, text.len);
        if (p == NULL) return SNUG_ELIMIT;
        change_ascii(p, text, to);
        out->u.s = p;
        return SNUG_OK;
    }
    snug_buf b = jinja_buf(r);
    for (size_t at = 0; at < text.len;) {
        size_t     from = at;
        uint32_t   cp = jinja_utf8_at(text, &at), mapped[3] = {cp};
        char       room[4];
        jinja_case how = case_of(to, cp, from == 0, after);
        size_t     n = 1;
        after = is_cased(cp);
        if (how == CASE_LOWER && cp == 0x3a3)
            mapped[0] = is_final_sigma(text, from, at) ? 0x3c2 : 0x3c3;
        else if (how != CASE_FOLD || to == CASE_FOLD)
            n = jinja_map_case(cp, how, mapped);
        for (size_t i = 0; i < n; i++) snug_buf_put(&b, room, snug_utf8_put(mapped[i], room));
    }
    JINJA_TRY(jinja_str_take(r, &b, out));
    out->flags |= s.flags & VAL_SAFE;
    return SNUG_OK;
}

/* ---- escaping, lines ---- */

void jinja_put_escaped(snug_buf *b, snug_slice s)
{
    size_t from = 0;
    for (size_t i = 0; i < s.len; i++) {
        const char *to;
        switch (s.ptr[i]) {
        case '&': to = "&amp;"; break;
        case '<': to = "&lt;"; break;
        case '>': to = "&gt;"; break;
        case '"': to = "&#34;"; break;
        case '\'': to = "&#39;"; break;
        default: continue;
        }
        snug_buf_put(b, s.ptr + from, i - from);
        snug_buf_puts(b, to);
        from = i + 1;
    }
    snug_buf_put(b, s.ptr + from, s.len - from);
}

snug_status jinja_escape(jinja_run *r, jinja_val v, jinja_val *out)
{
    JINJA_TRY(jinja_to_str(r, v, out));
    if (jinja_is_safe(*out)) return SNUG_OK;
    snug_slice s = jinja_text(*out);
    bool       any = false;
    for (size_t i = 0; i < s.len && !any; i++)
        any = s.ptr[i] != '\0' && strchr("&<>\"'", s.ptr[i]) != NULL;
    if (any) {
        snug_buf b = jinja_buf(r);
        jinja_put_escaped(&b, s);
        JINJA_TRY(jinja_str_take(r, &b, out));
    }
    out->flags |= VAL_SAFE;
    return SNUG_OK;
}

/* Where Python's splitlines() splits; \r\n is one. */
static bool is_line_end(uint32_t cp)
{
    return (cp >= 0x0a && cp <= 0x0d) || (cp >= 0x1c && cp <= 0x1e) || cp == 0x85 || cp == 0x2028 ||
           cp == 0x2029;
}

static size_t count_lines(snug_slice s)
{
    size_t n = 1;
    for (size_t at = 0; at < s.len;) n += is_line_end(jinja_utf8_at(s, &at));
    return n;
}

snug_status jinja_splitlines(jinja_run *r, jinja_val s, bool keep, jinja_val *out)
{
    snug_slice text = jinja_text(s);
    size_t     count = count_lines(text), n = 0, from = 0;
    JINJA_TRY(jinja_step(r, s.len / 32 + count));
    jinja_val *items = jinja_alloc(r, count * sizeof *items);
    if (items == NULL) return SNUG_ELIMIT;
    for (size_t at = 0; at < text.len;) {
        size_t   end = at;
        uint32_t cp = jinja_utf8_at(text, &at);
        if (!is_line_end(cp)) continue;
        if (cp == '\r' && at < text.len && text.ptr[at] == '\n') at++;
        items[n++] = jinja_sub(s, from, keep ? at : end);
        from = at;
    }
    if (from < text.len) items[n++] = jinja_sub(s, from, text.len);
    *out = jinja_seq(VAL_LIST, items, n);
    return SNUG_OK;
}
