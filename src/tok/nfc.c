/* SPDX-License-Identifier: Apache-2.0 */
/* tok/nfc.c - the four normal forms of Unicode, keeping track of what became what.
 *
 * For:     norm.c.
 * Threads: pure over the caller's tok_work.
 *
 * A library would give the right text and lose the alignment, so the algorithm of UAX 15 is spelled
 * out over (code point, change) pairs; utf8proc supplies the tables:
 *   decompose   é            -> (e, 0) (´, +1)      the accent is added beside the e
 *   reorder     marks by combining class, stable
 *   compose     (e, 0)(´, 0) -> (é, -1)             one more character is taken
 *               (e, 0)(´,+1) -> (é, 0)
 * tok_apply_changes turns the list into text and spans. */
#include <utf8proc.h>

#include "tok/tok_int.h"

enum { EXPANSION_MAX = 18 }; /* code points from one, U+FDFA in the compatibility forms */

static int combining_class(uint32_t cp)
{
    if (cp < 0x300) return 0;
    return utf8proc_get_property((utf8proc_int32_t)cp)->combining_class;
}

/* Stable, by combining class; runs are short, and long ones arrive sorted. */
static void sort_marks(tok_change *c, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        tok_change x = c[i];
        int        cls = combining_class(x.cp);
        size_t     k = i;
        while (k > 0 && combining_class(c[k - 1].cp) > cls) {
            c[k] = c[k - 1];
            k--;
        }
        c[k] = x;
    }
}

/* A run too long for insertion is sorted by counting: 55 classes, one pass each. */
static void sort_long_run(tok_work *w, tok_change *c, size_t n)
{
    tok_change *copy = snug_arena_alloc(w->arena, n * sizeof *copy); /* part of a bounded list */
    size_t      out = 0;
    memcpy(copy, c, n * sizeof *copy);
    for (int cls = 1; cls < 256; cls++) {
        for (size_t i = 0; i < n; i++) {
            if (combining_class(copy[i].cp) == cls) c[out++] = copy[i];
        }
    }
    SNUG_ASSERT(out == n);
}

static void reorder(tok_work *w, tok_changes *list)
{
    for (size_t i = 0; i < list->count;) {
        if (combining_class(list->items[i].cp) == 0) {
            i++;
            continue;
        }
        size_t end = i;
        while (end < list->count && combining_class(list->items[end].cp) != 0) end++;
        if (end - i > 64)
            sort_long_run(w, list->items + i, end - i);
        else
            sort_marks(list->items + i, end - i);
        i = end;
    }
}

static void decompose(tok_work *w, const tok_piece *p, bool compat, tok_changes *list)
{
    utf8proc_option_t opts = compat ? UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT : UTF8PROC_DECOMPOSE;
    utf8proc_int32_t  parts[EXPANSION_MAX];
    int               boundary = 0;
    list->count = 0;
    for (uint32_t i = 0; i < p->len; i += tok_utf8_len((unsigned char)p->text[i])) {
        uint32_t cp = tok_cp(p->text + i);
        if (cp < 0xa0) { /* nothing below it decomposes */
            tok_changes_put(list, cp, 0);
            continue;
        }
        utf8proc_ssize_t n =
            utf8proc_decompose_char((utf8proc_int32_t)cp, parts, EXPANSION_MAX, opts, &boundary);
        if (n <= 0 || n > EXPANSION_MAX) { /* not expected of a valid code point */
            parts[0] = (utf8proc_int32_t)cp;
            n = 1;
        }
        for (utf8proc_ssize_t k = 0; k < n; k++) {
            tok_changes_put(list, (uint32_t)parts[k], k == 0 ? 0 : 1);
        }
    }
    reorder(w, list);
}

/* The primary composite of a starter and what follows it, or 0. */
static uint32_t compose_pair(uint32_t a, uint32_t b)
{
    utf8proc_int32_t pair[3] = {(utf8proc_int32_t)a, (utf8proc_int32_t)b, 0};
    /* Nothing composes with these; utf8proc takes the base of the final consonants for one. */
    if (b < 0x300 || b == 0x11a7) return 0;
    utf8proc_ssize_t n = utf8proc_normalize_utf32(pair, 2, UTF8PROC_COMPOSE | UTF8PROC_STABLE);
    return n == 1 ? (uint32_t)pair[0] : 0;
}

/* UAX 15, 1.3: a mark joins the last starter unless one of its class or higher stands between.
 * In place: what is written never overtakes what is read. */
static void compose(tok_changes *list)
{
    size_t out = 0, starter = SIZE_MAX; /* marks that did not join follow the starter */
    int    last_class = -1;             /* of the last such mark; -1: none */
    for (size_t i = 0; i < list->count; i++) {
        tok_change c = list->items[i];
        int        cls = combining_class(c.cp);
        if (starter != SIZE_MAX && last_class < cls) {
            uint32_t joined = compose_pair(list->items[starter].cp, c.cp);
            if (joined != 0) {
                list->items[starter].cp = joined;
                list->items[starter].change += c.change - 1;
                continue;
            }
        }
        if (cls == 0) {
            starter = out;
            last_class = -1;
        } else {
            last_class = cls;
        }
        list->items[out++] = c;
    }
    list->count = out;
}

snug_status tok_normal_form(tok_work *w, tok_piece *p, tok_form form)
{
    tok_changes *list = &w->changes;
    if (tok_is_ascii(p->text, p->len)) return SNUG_OK;
    decompose(w, p, form == TOK_NFKC || form == TOK_NFKD, list);
    if (form == TOK_NFC || form == TOK_NFKC) compose(list);
    return tok_apply_changes(w, p, list);
}
