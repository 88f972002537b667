/* SPDX-License-Identifier: Apache-2.0 */
/* tok/charsmap.c - the normalisation table that sentencepiece compiles into a model.
 *
 * For:     norm.c ("Precompiled": T5, XLM-R, ALBERT and their kin).
 * Threads: constant once loaded.
 * Truth:   every index is checked against the sizes found at load, so a damaged table can only map
 *          to the wrong text.
 *
 *   u32 little-endian   bytes of the trie
 *   u32 units           a double array (Darts); see below
 *   the rest            replacements, each ended by a NUL; a trie value is an offset here
 *
 * A unit: bits 0-7 label, bit 8 "a value hangs here", bits 10-31 the offset of its children (times
 * 256 when bit 9 is set); a value unit has bit 31 set and the value below it. Child of unit i by
 * byte b: unit i ^ offset(i) ^ b, if its label is b. */
#include <utf8proc.h>

#include "tok/tok_int.h"

enum { MAP_BYTES_MAX = 4 * 1024 * 1024, GRAPHEME_BYTES_MAX = 6 };

struct tok_charsmap {
    const uint32_t *units;
    size_t          unit_count;
    snug_slice      texts;
};

snug_status tok_charsmap_load(snug_arena *a, snug_slice base64, const tok_charsmap **out,
                              snug_err *err)
{
    SNUG_AUTO(snug_buf) raw = snug_buf_init(MAP_BYTES_MAX);
    snug_status st = snug_base64_decode(base64, &raw, err);
    if (st == SNUG_OK) st = snug_buf_check(&raw, "precompiled_charsmap", err);
    if (st != SNUG_OK) return st;
    snug_rd    r = snug_rd_init(snug_buf_slice(&raw));
    uint32_t   size = snug_rd_u32le(&r);
    snug_slice trie = snug_rd_bytes(&r, size);
    if (r.bad || size % 4 != 0 || size == 0) {
        return snug_fail(err, SNUG_ECORRUPT,
                         "precompiled_charsmap: a trie of %u bytes does not fit", size);
    }
    tok_charsmap *m = SNUG_NEW(a, tok_charsmap);
    uint32_t     *units = snug_arena_array_try(a, size / 4, sizeof *units);
    if (units == NULL) return snug_fail(err, SNUG_ENOMEM, "no memory for precompiled_charsmap");
    snug_rd u = snug_rd_init(trie);
    for (uint32_t i = 0; i < size / 4; i++) units[i] = snug_rd_u32le(&u);
    m->units = units;
    m->unit_count = size / 4;
    m->texts = snug_arena_dup(a, snug_rd_bytes(&r, snug_rd_left(&r)));
    *out = m;
    return SNUG_OK;
}

static size_t children_of(uint32_t unit) { return (size_t)(unit >> 10) << ((unit & 0x200u) >> 6); }

/* The replacement for the shortest mapped prefix of s, if any. */
static bool look_up(const tok_charsmap *m, snug_slice s, snug_slice *out)
{
    size_t at = children_of(m->units[0]);
    for (size_t i = 0; i < s.len; i++) {
        unsigned char b = (unsigned char)s.ptr[i];
        if (b == 0) return false;
        at ^= b;
        if (at >= m->unit_count) return false;
        uint32_t unit = m->units[at];
        if ((unit & 0x800000ffu) != b) return false;
        at ^= children_of(unit);
        if ((unit >> 8 & 1u) == 0) continue;
        if (at >= m->unit_count) return false;
        size_t from = m->units[at] & 0x7fffffffu;
        if (from > m->texts.len) return false;
        snug_slice text = snug_sub(m->texts, from, m->texts.len);
        size_t     end = snug_index(text, '\0');
        *out = snug_sub(text, 0, end == SIZE_MAX ? text.len : end);
        return snug_utf8_valid(*out);
    }
    return false;
}

static unsigned char_count(snug_slice s)
{
    unsigned n = 0;
    for (size_t i = 0; i < s.len; i++) n += ((unsigned char)s.ptr[i] & 0xc0) != 0x80;
    return n;
}

/* `text` for `old`: one for one, what is left over beside the last; when it is shorter, its last
 * character (or, when it is empty, the one before it) takes what remains. */
static void put_for(tok_changes *list, snug_slice old, snug_slice text)
{
    int    more = (int)char_count(text) - (int)char_count(old);
    size_t before = list->count;
    while (text.len > 0) tok_changes_put(list, snug_utf8_next(&text), 0);
    for (size_t i = list->count; more > 0 && i > before; more--) list->items[--i].change = 1;
    if (more < 0 && list->count > 0) list->items[list->count - 1].change += more;
}

/* One grapheme cluster: tried whole when short, else character by character. */
static bool map_cluster(const tok_charsmap *m, tok_changes *list, snug_slice cluster)
{
    snug_slice text;
    bool       changed = false;
    if (cluster.len < GRAPHEME_BYTES_MAX && look_up(m, cluster, &text)) {
        put_for(list, cluster, text);
        return true;
    }
    while (cluster.len > 0) {
        snug_slice c = snug_sub(cluster, 0, tok_utf8_len((unsigned char)cluster.ptr[0]));
        cluster = snug_sub(cluster, c.len, cluster.len);
        if (look_up(m, c, &text)) {
            put_for(list, c, text);
            changed = true;
        } else {
            tok_changes_put(list, tok_cp(c.ptr), 0);
        }
    }
    return changed;
}

snug_status tok_charsmap_run(const tok_charsmap *m, tok_work *w, tok_piece *p)
{
    tok_changes     *list = &w->changes;
    utf8proc_int32_t state = 0;
    bool             changed = false;
    list->count = 0;
    for (uint32_t from = 0; from < p->len;) {
        uint32_t last = from, to = from + tok_utf8_len((unsigned char)p->text[from]);
        while (to < p->len &&
               !utf8proc_grapheme_break_stateful((utf8proc_int32_t)tok_cp(p->text + last),
                                                 (utf8proc_int32_t)tok_cp(p->text + to), &state)) {
            last = to;
            to += tok_utf8_len((unsigned char)p->text[to]);
        }
        changed |= map_cluster(m, list, snug_slice_of(p->text + from, to - from));
        from = to;
    }
    return changed ? tok_apply_changes(w, p, list) : SNUG_OK;
}

/* The longest text at the start of s that has an entry: its size, or 0. */
static size_t longest(const tok_charsmap *m, snug_slice s, snug_slice *out)
{
    size_t at = children_of(m->units[0]), found = 0;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char b = (unsigned char)s.ptr[i];
        if (b == 0) break;
        at ^= b;
        if (at >= m->unit_count || (m->units[at] & 0x800000ffu) != b) break;
        uint32_t unit = m->units[at];
        at ^= children_of(unit);
        if ((unit >> 8 & 1u) == 0) continue;
        if (at >= m->unit_count) break;
        size_t from = m->units[at] & 0x7fffffffu;
        if (from > m->texts.len) break;
        snug_slice text = snug_sub(m->texts, from, m->texts.len);
        size_t     end = snug_index(text, '\0');
        text = snug_sub(text, 0, end == SIZE_MAX ? text.len : end);
        bool whole = i + 1 == s.len || ((unsigned char)s.ptr[i + 1] & 0xc0) != 0x80;
        if (!whole || !snug_utf8_valid(text)) continue;
        *out = text;
        found = i + 1;
    }
    return found;
}

snug_status tok_charsmap_run_longest(const tok_charsmap *m, tok_work *w, tok_piece *p)
{
    tok_changes *list = &w->changes;
    bool         changed = false;
    list->count = 0;
    for (uint32_t at = 0; at < p->len;) {
        snug_slice text, rest = snug_slice_of(p->text + at, p->len - at);
        size_t     n = longest(m, rest, &text);
        if (n > 0) {
            put_for(list, snug_sub(rest, 0, n), text);
            changed = true;
        } else {
            n = tok_utf8_len((unsigned char)p->text[at]);
            tok_changes_put(list, tok_cp(p->text + at), 0);
        }
        at += (uint32_t)n;
    }
    return changed ? tok_apply_changes(w, p, list) : SNUG_OK;
}
