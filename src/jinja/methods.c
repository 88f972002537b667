/* SPDX-License-Identifier: Apache-2.0 */
/* jinja/methods.c - what strings, dicts, lists and numbers can be asked to do.
 *
 * For:     attr.c, which finds them by name.
 * Truth:   none changes its owner; those that would are not in the tables. A parameter without a
 *          name can be given by position only. */
#include <math.h>

#include "jinja/jinja_int.h"

static snug_status yes_no(jinja_val *out, bool yes)
{
    *out = jinja_bool(yes);
    return SNUG_OK;
}

static snug_status need_str(jinja_run *r, const char *method, jinja_val v, snug_slice *out)
{
    if (v.kind != VAL_STR)
        return jinja_raise(r, "%s() takes a string, not %s", method, jinja_type_name(v));
    *out = jinja_text(v);
    return SNUG_OK;
}

static bool is_absent(jinja_val v) { return v.kind == VAL_MISSING || v.kind == VAL_NONE; }

/* ---- case ---- */

static snug_status to_upper(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return jinja_change_case(r, c->self, CASE_UPPER, out);
}
static snug_status to_lower(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return jinja_change_case(r, c->self, CASE_LOWER, out);
}
static snug_status to_title(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return jinja_change_case(r, c->self, CASE_TITLE, out);
}
static snug_status to_swap(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return jinja_change_case(r, c->self, CASE_SWAP, out);
}
static snug_status to_fold(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return jinja_change_case(r, c->self, CASE_FOLD, out);
}

static snug_status to_capital(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return jinja_change_case(r, c->self, CASE_CAPITAL, out);
}

/* ---- stripping ---- */

static snug_status strip(jinja_run *r, const jinja_call *c, const char *name, bool left, bool right,
                         jinja_val *out)
{
    snug_slice chars, got;
    bool       given = !is_absent(c->a[0]);
    if (given) JINJA_TRY(need_str(r, name, c->a[0], &chars));
    JINJA_TRY(jinja_step(r, given ? c->a[0].len / 8 : 0));
    got = jinja_strip(jinja_text(c->self), given ? &chars : NULL, left, right);
    *out = c->self;
    out->u.s = got.len == 0 ? "" : got.ptr;
    out->len = (uint32_t)got.len;
    return jinja_step(r, (c->self.len - got.len) / 16 * (given ? 1 + c->a[0].len / 8 : 1));
}

static snug_status run_strip(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return strip(r, c, "strip", true, true, out);
}
static snug_status run_lstrip(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return strip(r, c, "lstrip", true, false, out);
}
static snug_status run_rstrip(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return strip(r, c, "rstrip", false, true, out);
}

static snug_status run_removeprefix(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    snug_slice p = SNUG_EMPTY, s = jinja_text(c->self);
    JINJA_TRY(need_str(r, "removeprefix", c->a[0], &p));
    bool has = s.len >= p.len && memcmp(s.ptr, p.ptr, p.len) == 0;
    *out = jinja_sub(c->self, has ? p.len : 0, s.len);
    return SNUG_OK;
}

static snug_status run_removesuffix(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    snug_slice p = SNUG_EMPTY, s = jinja_text(c->self);
    JINJA_TRY(need_str(r, "removesuffix", c->a[0], &p));
    bool has = s.len >= p.len && memcmp(s.ptr + s.len - p.len, p.ptr, p.len) == 0;
    *out = jinja_sub(c->self, 0, has ? s.len - p.len : s.len);
    return SNUG_OK;
}

/* ---- splitting ---- */

typedef struct parts { /* a list that grows, in the arena */
    jinja_val *items;
    size_t     n, cap;
} parts;

static snug_status add_part(jinja_run *r, parts *l, jinja_val v)
{
    if (l->n == l->cap) {
        size_t     cap = l->cap == 0 ? 4 : l->cap * 2;
        jinja_val *items = jinja_alloc(r, cap * sizeof *items);
        if (items == NULL) return SNUG_ELIMIT;
        if (l->n > 0) memcpy(items, l->items, l->n * sizeof *items);
        l->items = items;
        l->cap = cap;
    }
    l->items[l->n++] = v;
    return jinja_step(r, 1);
}

static void turn_round(jinja_val *items, size_t n)
{
    for (size_t i = 0; i < n / 2; i++) {
        jinja_val t = items[i];
        items[i] = items[n - 1 - i];
        items[n - 1 - i] = t;
    }
}

static size_t space_run(snug_slice s, size_t at, bool space)
{
    while (at < s.len) {
        size_t next = at;
        if (jinja_is_space(jinja_utf8_at(s, &next)) != space) break;
        at = next;
    }
    return at;
}

/* At white space, of which any amount is one gap. */
static snug_status split_space(jinja_run *r, jinja_val v, int64_t max, parts *l)
{
    snug_slice s = jinja_text(v);
    size_t     at = space_run(s, 0, true);
    while (at < s.len) {
        size_t end = max == 0 ? s.len : space_run(s, at, false);
        JINJA_TRY(add_part(r, l, jinja_sub(v, at, end)));
        if (max-- == 0) break;
        at = space_run(s, end, true);
    }
    return SNUG_OK;
}

static size_t space_run_back(snug_slice s, size_t end, bool space)
{
    while (end > 0) {
        size_t at = end, next;
        do at--;
        while (at > 0 && ((unsigned char)s.ptr[at] & 0xc0) == 0x80);
        next = at;
        if (jinja_is_space(jinja_utf8_at(s, &next)) != space) break;
        end = at;
    }
    return end;
}

static snug_status rsplit_space(jinja_run *r, jinja_val v, int64_t max, parts *l)
{
    snug_slice s = jinja_text(v);
    size_t     end = space_run_back(s, s.len, true);
    while (end > 0) {
        size_t from = max == 0 ? 0 : space_run_back(s, end, false);
        JINJA_TRY(add_part(r, l, jinja_sub(v, from, end)));
        if (max-- == 0) break;
        end = space_run_back(s, from, true);
    }
    turn_round(l->items, l->n);
    return SNUG_OK;
}

static snug_status split_at(jinja_run *r, jinja_val v, snug_slice sep, int64_t max, parts *l)
{
    snug_slice s = jinja_text(v);
    size_t     at = 0;
    for (; max != 0; max--) {
        size_t hit = snug_find(snug_sub(s, at, SIZE_MAX), sep);
        if (hit == SIZE_MAX) break;
        JINJA_TRY(add_part(r, l, jinja_sub(v, at, at + hit)));
        at += hit + sep.len;
    }
    return add_part(r, l, jinja_sub(v, at, s.len));
}

/* The last place of `what` in s, or SIZE_MAX. */
static size_t find_last(snug_slice s, snug_slice what)
{
    if (what.len == 0) return s.len;
    if (what.len > s.len) return SIZE_MAX;
    for (size_t at = s.len - what.len + 1; at-- > 0;) {
        if (s.ptr[at] == what.ptr[0] && memcmp(s.ptr + at, what.ptr, what.len) == 0) return at;
    }
    return SIZE_MAX;
}

static snug_status rsplit_at(jinja_run *r, jinja_val v, snug_slice sep, int64_t max, parts *l)
{
    snug_slice s = jinja_text(v);
    for (; max != 0; max--) {
        size_t hit = find_last(s, sep);
        if (hit == SIZE_MAX) break;
        JINJA_TRY(add_part(r, l, jinja_sub(v, hit + sep.len, s.len)));
        s.len = hit;
    }
    JINJA_TRY(add_part(r, l, jinja_sub(v, 0, s.len)));
    turn_round(l->items, l->n);
    return SNUG_OK;
}

static snug_status split(jinja_run *r, const jinja_call *c, bool right, jinja_val *out)
{
    parts      l = {0};
    int64_t    max = -1;
    snug_slice sep;
    if (jinja_given(c->a[1])) JINJA_TRY(jinja_to_index(r, c->a[1], &max));
    if (max < 0) max = -1;
    JINJA_TRY(jinja_step(r, c->self.len / 32));
    if (is_absent(c->a[0])) {
        JINJA_TRY(right ? rsplit_space(r, c->self, max, &l) : split_space(r, c->self, max, &l));
    } else {
        JINJA_TRY(need_str(r, "split", c->a[0], &sep));
        if (sep.len == 0) return jinja_raise(r, "empty separator");
        JINJA_TRY(right ? rsplit_at(r, c->self, sep, max, &l) : split_at(r, c->self, sep, max, &l));
    }
    *out = jinja_seq(VAL_LIST, l.items, l.n);
    return SNUG_OK;
}

static snug_status run_split(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return split(r, c, false, out);
}
static snug_status run_rsplit(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return split(r, c, true, out);
}

static snug_status run_splitlines(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return jinja_splitlines(r, c->self, jinja_truth(c->a[0]), out);
}

static snug_status partition(jinja_run *r, const jinja_call *c, bool right, jinja_val *out)
{
    snug_slice sep, s = jinja_text(c->self);
    JINJA_TRY(need_str(r, "partition", c->a[0], &sep));
    if (sep.len == 0) return jinja_raise(r, "empty separator");
    JINJA_TRY(jinja_step(r, s.len / 32));
    jinja_val *items = jinja_alloc(r, 3 * sizeof *items);
    if (items == NULL) return SNUG_ELIMIT;
    size_t hit = right ? find_last(s, sep) : snug_find(s, sep);
    items[0] = items[1] = items[2] = jinja_sub(c->self, 0, 0);
    if (hit == SIZE_MAX)
        items[right ? 2 : 0] = c->self;
    else {
        items[0] = jinja_sub(c->self, 0, hit);
        items[1] = jinja_sub(c->self, hit, hit + sep.len);
        items[2] = jinja_sub(c->self, hit + sep.len, s.len);
    }
    *out = jinja_seq(VAL_TUPLE, items, 3);
    return SNUG_OK;
}

static snug_status run_partition(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return partition(r, c, false, out);
}
static snug_status run_rpartition(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return partition(r, c, true, out);
}

/* ---- searching ---- */

typedef struct window { /* s[start:end] of a search */
    snug_slice text;
    int64_t    first; /* characters before it */
    bool       beyond;
} window;

static snug_status window_of(jinja_run *r, const jinja_call *c, window *out)
{
    int64_t n = (int64_t)jinja_chars(c->self), from = 0, to = n;
    if (!is_absent(c->a[1])) JINJA_TRY(jinja_to_index(r, c->a[1], &from));
    if (!is_absent(c->a[2])) JINJA_TRY(jinja_to_index(r, c->a[2], &to));
    if (from < 0) from = from < -n ? 0 : from + n;
    if (to < 0) to = to < -n ? 0 : to + n;
    if (to > n) to = n;
    out->beyond = from > to || from > n;
    out->first = from;
    if (from > n) from = n;
    size_t a = jinja_offset(c->self, (size_t)from);
    size_t len =
        out->beyond ? 0 : jinja_offset(jinja_sub(c->self, a, c->self.len), (size_t)(to - from));
    out->text = (snug_slice){c->self.u.s + a, len};
    return jinja_step(r, c->self.len / 32);
}

static snug_status find(jinja_run *r, const jinja_call *c, bool last, bool must, jinja_val *out)
{
    snug_slice what;
    window     w;
    JINJA_TRY(need_str(r, "find", c->a[0], &what));
    JINJA_TRY(window_of(r, c, &w));
    size_t hit = w.beyond        ? SIZE_MAX
                 : last          ? find_last(w.text, what)
                 : what.len == 0 ? 0
                                 : snug_find(w.text, what);
    if (hit == SIZE_MAX && must) return jinja_raise(r, "substring not found");
    *out = jinja_int(
        hit == SIZE_MAX ? -1 : w.first + (int64_t)jinja_utf8_count((snug_slice){w.text.ptr, hit}));
    return SNUG_OK;
}

static snug_status run_find(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return find(r, c, false, false, out);
}
static snug_status run_rfind(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return find(r, c, true, false, out);
}
static snug_status run_index(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return find(r, c, false, true, out);
}
static snug_status run_rindex(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return find(r, c, true, true, out);
}

static snug_status run_count(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    snug_slice what;
    window     w;
    int64_t    n = 0;
    JINJA_TRY(need_str(r, "count", c->a[0], &what));
    JINJA_TRY(window_of(r, c, &w));
    if (w.beyond)
        n = 0;
    else if (what.len == 0)
        n = (int64_t)jinja_utf8_count(w.text) + 1;
    else
        for (size_t at = 0, hit;
             (hit = snug_find(snug_sub(w.text, at, SIZE_MAX), what)) != SIZE_MAX;
             at += hit + what.len)
            n++;
    *out = jinja_int(n);
    return SNUG_OK;
}

static bool has_at_end(snug_slice s, snug_slice part, bool end)
{
    return part.len <= s.len &&
           memcmp(end ? s.ptr + s.len - part.len : s.ptr, part.ptr, part.len) == 0;
}

static snug_status begins(jinja_run *r, const jinja_call *c, bool end, jinja_val *out)
{
    snug_slice part = SNUG_EMPTY;
    window     w;
    bool       yes = false;
    JINJA_TRY(window_of(r, c, &w));
    if (c->a[0].kind == VAL_TUPLE) {
        for (uint32_t i = 0; !yes && i < c->a[0].len; i++) {
            JINJA_TRY(need_str(r, end ? "endswith" : "startswith", c->a[0].u.items[i], &part));
            yes = !w.beyond && has_at_end(w.text, part, end);
        }
        return yes_no(out, yes);
    }
    JINJA_TRY(need_str(r, end ? "endswith" : "startswith", c->a[0], &part));
    return yes_no(out, !w.beyond && has_at_end(w.text, part, end));
}

static snug_status run_startswith(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return begins(r, c, false, out);
}
static snug_status run_endswith(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return begins(r, c, true, out);
}

/* ---- making text ---- */

static snug_status run_replace(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    snug_slice old;
    int64_t    count = -1;
    jinja_val  with = c->a[1];
    JINJA_TRY(need_str(r, "replace", c->a[0], &old));
    if (with.kind != VAL_STR)
        return jinja_raise(r, "replace() takes strings, not %s", jinja_type_name(with));
    if (jinja_given(c->a[2])) JINJA_TRY(jinja_to_index(r, c->a[2], &count));
    if (jinja_is_safe(c->self)) JINJA_TRY(jinja_escape(r, with, &with));
    return jinja_replace(r, c->self, old, jinja_text(with), count, out);
}

static snug_status run_join(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    jinja_val list;
    JINJA_TRY(jinja_list_of(r, c->a[0], &list));
    snug_buf    b = jinja_buf(r);
    snug_status st = SNUG_OK;
    for (uint32_t i = 0; i < list.len && !b.full; i++) {
        jinja_val one = list.u.items[i];
        if (one.kind != VAL_STR)
            SNUG_TRY(jinja_raise(r, "sequence item %" PRIu32 ": expected str instance, %s found", i,
                                 jinja_type_name(one)));
        if (jinja_is_safe(c->self)) SNUG_TRY(jinja_escape(r, one, &one));
        if (i > 0) snug_buf_put_slice(&b, jinja_text(c->self));
        snug_buf_put_slice(&b, jinja_text(one));
    }
    st = jinja_str_take(r, &b, out);
    if (st == SNUG_OK) out->flags |= c->self.flags & VAL_SAFE;
    return st;
done:
    snug_buf_deinit(&b);
    return st;
}

static snug_status pad(jinja_run *r, jinja_val s, int64_t left, int64_t right, jinja_val fill,
                       jinja_val *out)
{
    jinja_val a, b;
    fill.flags = (uint8_t)((fill.flags & ~VAL_SAFE) | (s.flags & VAL_SAFE));
    JINJA_TRY(jinja_repeat(r, fill, left, &a));
    JINJA_TRY(jinja_repeat(r, fill, right, &b));
    JINJA_TRY(jinja_join(r, a, s, out));
    return jinja_join(r, *out, b, out);
}

static snug_status justify(jinja_run *r, const jinja_call *c, char where, jinja_val *out)
{
    jinja_val fill = jinja_given(c->a[1]) ? c->a[1] : jinja_lit(" ");
    int64_t   width, n = (int64_t)jinja_chars(c->self);
    JINJA_TRY(jinja_to_index(r, c->a[0], &width));
    if (fill.kind != VAL_STR || jinja_chars(fill) != 1)
        return jinja_raise(r, "The fill character must be exactly one character long");
    *out = c->self;
    if (width <= n) return SNUG_OK;
    int64_t gap = width - n, left = where == 'l'   ? 0
                                    : where == 'r' ? gap
                                                   : gap / 2 + (gap & width & 1);
    return pad(r, c->self, left, gap - left, fill, out);
}

static snug_status run_center(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return justify(r, c, 'c', out);
}
static snug_status run_ljust(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return justify(r, c, 'l', out);
}
static snug_status run_rjust(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return justify(r, c, 'r', out);
}

static snug_status run_zfill(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    int64_t   width, n = (int64_t)jinja_chars(c->self);
    jinja_val sign, rest;
    JINJA_TRY(jinja_to_index(r, c->a[0], &width));
    *out = c->self;
    if (width <= n) return SNUG_OK;
    bool has_sign = c->self.len > 0 && (c->self.u.s[0] == '-' || c->self.u.s[0] == '+');
    sign = jinja_sub(c->self, 0, has_sign);
    JINJA_TRY(
        pad(r, jinja_sub(c->self, has_sign, c->self.len), width - n, 0, jinja_lit("0"), &rest));
    return jinja_join(r, sign, rest, out);
}

static snug_status run_expandtabs(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    snug_slice s = jinja_text(c->self);
    int64_t    size = 8, column = 0;
    if (jinja_given(c->a[0])) JINJA_TRY(jinja_to_index(r, c->a[0], &size));
    if (size > 10000) return jinja_limit(r, "tabs wider than 10000");
    snug_buf b = jinja_buf(r);
    for (size_t at = 0; at < s.len && !b.full;) {
        size_t   from = at;
        uint32_t cp = jinja_utf8_at(s, &at);
        if (cp == '\t') {
            for (int64_t k = size > 0 ? size - column % size : 0; k > 0; k--, column++)
                snug_buf_putc(&b, ' ');
            continue;
        }
        column = cp == '\n' || cp == '\r' ? 0 : column + 1;
        snug_buf_put(&b, s.ptr + from, at - from);
    }
    return jinja_str_take(r, &b, out);
}

static snug_status run_format(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return jinja_format(r, c->self, c->args, out);
}

/* format_map(d) is format(**d) */
static snug_status run_format_map(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    size_t n = 0;
    if (c->a[0].kind != VAL_DICT)
        return jinja_raise(r, "format_map() takes a mapping, not %s", jinja_type_name(c->a[0]));
    const jinja_dict *d = c->a[0].u.dict;
    jinja_kw         *kw = jinja_alloc(r, d->count * sizeof *kw);
    if (kw == NULL) return SNUG_ELIMIT;
    for (uint32_t i = 0; i < d->count; i++) {
        if (d->pairs[i].key.kind == VAL_STR)
            kw[n++] = (jinja_kw){jinja_text(d->pairs[i].key), d->pairs[i].value};
    }
    return jinja_format(r, c->self, &(jinja_args){.kw = kw, .kw_count = n}, out);
}

/* ---- asking ---- */

static snug_status all_are(jinja_run *r, const jinja_call *c, bool (*is)(uint32_t), bool empty,
                           jinja_val *out)
{
    snug_slice s = jinja_text(c->self);
    bool       yes = s.len > 0 || empty;
    JINJA_TRY(jinja_step(r, s.len / 32));
    for (size_t at = 0; yes && at < s.len;) yes = is(jinja_utf8_at(s, &at));
    return yes_no(out, yes);
}

static bool        is_ascii(uint32_t cp) { return cp < 0x80; }
static snug_status run_isalpha(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return all_are(r, c, jinja_is_alpha, false, out);
}
static snug_status run_isalnum(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return all_are(r, c, jinja_is_alnum, false, out);
}
static snug_status run_isdigit(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return all_are(r, c, jinja_is_digit, false, out);
}
static snug_status run_isdecimal(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return all_are(r, c, jinja_is_decimal, false, out);
}
static snug_status run_isnumeric(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return all_are(r, c, jinja_is_numeric, false, out);
}
static snug_status run_isspace(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return all_are(r, c, jinja_is_space, false, out);
}
static snug_status run_isascii(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return all_are(r, c, is_ascii, true, out);
}
static snug_status run_isprintable(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return all_are(r, c, jinja_is_printable, true, out);
}

static snug_status run_isidentifier(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    snug_slice s = jinja_text(c->self);
    size_t     at = 0;
    bool       yes = s.len > 0 && jinja_is_name_start(jinja_utf8_at(s, &at));
    while (yes && at < s.len) yes = jinja_is_name_part(jinja_utf8_at(s, &at));
    JINJA_TRY(jinja_step(r, s.len / 32));
    return yes_no(out, yes);
}

static snug_status run_isupper(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return jinja_call_builtin(r, jinja_find_test(SNUG_LIT("upper")), c->self, c->args, out);
}

static snug_status run_islower(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return jinja_call_builtin(r, jinja_find_test(SNUG_LIT("lower")), c->self, c->args, out);
}

/* Capitals begin words and only them. */
static snug_status run_istitle(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    snug_slice s = jinja_text(c->self);
    bool       inside = false, any = false, yes = true;
    JINJA_TRY(jinja_step(r, s.len / 32));
    for (size_t at = 0; yes && at < s.len;) {
        uint32_t cp = jinja_utf8_at(s, &at);
        bool     up = jinja_is_upper(cp) || jinja_is_title(cp), low = jinja_is_lower(cp);
        yes = up ? !inside : low ? inside : true;
        inside = up || low;
        any = any || inside;
    }
    return yes_no(out, yes && any);
}

#define POSITIONAL1 .params = {""}
#define POSITIONAL2 .params = {"", ""}
#define POSITIONAL3 .params = {"", "", ""}

const jinja_builtin jinja_str_methods[] = {
    {.name = "strip", .run = run_strip, POSITIONAL1},
    {.name = "lstrip", .run = run_lstrip, POSITIONAL1},
    {.name = "rstrip", .run = run_rstrip, POSITIONAL1},
    {.name = "split", .run = run_split, .params = {"sep", "maxsplit"}},
    {.name = "rsplit", .run = run_rsplit, .params = {"sep", "maxsplit"}},
    {.name = "startswith", .run = run_startswith, .required = 1, POSITIONAL3},
    {.name = "endswith", .run = run_endswith, .required = 1, POSITIONAL3},
    {.name = "replace", .run = run_replace, .required = 2, POSITIONAL3},
    {.name = "upper", .run = to_upper},
    {.name = "lower", .run = to_lower},
    {.name = "title", .run = to_title},
    {.name = "capitalize", .run = to_capital},
    {.name = "swapcase", .run = to_swap},
    {.name = "casefold", .run = to_fold},
    {.name = "join", .run = run_join, .required = 1, POSITIONAL1},
    {.name = "find", .run = run_find, .required = 1, POSITIONAL3},
    {.name = "rfind", .run = run_rfind, .required = 1, POSITIONAL3},
    {.name = "index", .run = run_index, .required = 1, POSITIONAL3},
    {.name = "rindex", .run = run_rindex, .required = 1, POSITIONAL3},
    {.name = "count", .run = run_count, .required = 1, POSITIONAL3},
    {.name = "format", .run = run_format, .open = true},
    {.name = "format_map", .run = run_format_map, .required = 1, POSITIONAL1},
    {.name = "removeprefix", .run = run_removeprefix, .required = 1, POSITIONAL1},
    {.name = "removesuffix", .run = run_removesuffix, .required = 1, POSITIONAL1},
    {.name = "splitlines", .run = run_splitlines, .params = {"keepends"}},
    {.name = "partition", .run = run_partition, .required = 1, POSITIONAL1},
    {.name = "rpartition", .run = run_rpartition, .required = 1, POSITIONAL1},
    {.name = "center", .run = run_center, .required = 1, POSITIONAL2},
    {.name = "ljust", .run = run_ljust, .required = 1, POSITIONAL2},
    {.name = "rjust", .run = run_rjust, .required = 1, POSITIONAL2},
    {.name = "zfill", .run = run_zfill, .required = 1, POSITIONAL1},
    {.name = "expandtabs", .run = run_expandtabs, .params = {"tabsize"}},
    {.name = "isalpha", .run = run_isalpha},
    {.name = "isalnum", .run = run_isalnum},
    {.name = "isdigit", .run = run_isdigit},
    {.name = "isdecimal", .run = run_isdecimal},
    {.name = "isnumeric", .run = run_isnumeric},
    {.name = "isspace", .run = run_isspace},
    {.name = "isascii", .run = run_isascii},
    {.name = "isprintable", .run = run_isprintable},
    {.name = "isidentifier", .run = run_isidentifier},
    {.name = "isupper", .run = run_isupper},
    {.name = "islower", .run = run_islower},
    {.name = "istitle", .run = run_istitle},
    {.name = NULL},
};

/* ---- dicts ---- */

static snug_status run_get(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    const jinja_val *v;
    JINJA_TRY(jinja_dict_get(r, c->self.u.dict, c->a[0], &v));
    *out = v != NULL ? *v : jinja_given(c->a[1]) ? c->a[1] : jinja_none();
    return SNUG_OK;
}

static snug_status view(const jinja_call *c, jinja_view which, jinja_val *out)
{
    *out = (jinja_val){.kind = VAL_VIEW, .aux = (uint16_t)which, .u.dict = c->self.u.dict};
    return SNUG_OK;
}

static snug_status run_keys(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    (void)r;
    return view(c, VIEW_KEYS, out);
}

static snug_status run_values(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    (void)r;
    return view(c, VIEW_VALUES, out);
}

static snug_status run_items(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    (void)r;
    return view(c, VIEW_ITEMS, out);
}

static snug_status run_copy(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    if (c->self.kind != VAL_DICT && c->self.kind != VAL_LIST)
        return jinja_raise(r, "'%s' object has no attribute 'copy'", jinja_type_name(c->self));
    *out = c->self; /* it never changes: itself is as good as a copy */
    return SNUG_OK;
}

const jinja_builtin jinja_dict_methods[] = {
    {.name = "get", .run = run_get, .required = 1, POSITIONAL2},
    {.name = "items", .run = run_items},
    {.name = "keys", .run = run_keys},
    {.name = "values", .run = run_values},
    {.name = "copy", .run = run_copy},
    {.name = NULL},
};

/* ---- lists, tuples, ranges ---- */

static snug_status list_index(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    int64_t    from = 0, to = INT64_MAX, n;
    jinja_iter it;
    JINJA_TRY(jinja_len(r, c->self, &n));
    if (jinja_given(c->a[1])) JINJA_TRY(jinja_to_index(r, c->a[1], &from));
    if (jinja_given(c->a[2])) JINJA_TRY(jinja_to_index(r, c->a[2], &to));
    if (from < 0) from = from < -n ? 0 : from + n;
    if (to < 0) to = to < -n ? 0 : to + n;
    JINJA_TRY(jinja_iter_open(r, c->self, &it));
    for (int64_t i = 0; i < n; i++) {
        jinja_val one;
        bool      more, same = false;
        JINJA_TRY(jinja_iter_next(r, &it, &one, &more));
        if (i >= from && i < to) JINJA_TRY(jinja_equal(r, one, c->a[0], &same));
        if (!same) continue;
        *out = jinja_int(i);
        return SNUG_OK;
    }
    return jinja_raise(r, "the value is not in the %s", jinja_type_name(c->self));
}

static snug_status list_count(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    jinja_iter it;
    int64_t    n = 0;
    JINJA_TRY(jinja_iter_open(r, c->self, &it));
    for (;;) {
        jinja_val one;
        bool      more, same;
        JINJA_TRY(jinja_iter_next(r, &it, &one, &more));
        if (!more) break;
        JINJA_TRY(jinja_equal(r, one, c->a[0], &same));
        n += same;
    }
    *out = jinja_int(n);
    return SNUG_OK;
}

const jinja_builtin jinja_list_methods[] = {
    {.name = "index", .run = list_index, .required = 1, POSITIONAL3},
    {.name = "count", .run = list_count, .required = 1, POSITIONAL1},
    {.name = "copy", .run = run_copy},
    {.name = NULL},
};

/* ---- numbers ---- */

static snug_status run_is_integer(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    if (c->self.kind != VAL_FLOAT)
        return jinja_raise(r, "'%s' object has no attribute 'is_integer'",
                           jinja_type_name(c->self));
    return yes_no(out, isfinite(c->self.u.d) && floor(c->self.u.d) == c->self.u.d);
}

static snug_status run_bit_length(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    if (c->self.kind == VAL_FLOAT)
        return jinja_raise(r, "'float' object has no attribute 'bit_length'");
    jinja_wide w = jinja_wide_of(c->self);
    int64_t    n = 0;
    for (w = w < 0 ? -w : w; w > 0; w >>= 1) n++;
    *out = jinja_int(n);
    return SNUG_OK;
}

const jinja_builtin jinja_number_methods[] = {
    {.name = "is_integer", .run = run_is_integer},
    {.name = "bit_length", .run = run_bit_length},
    {.name = NULL},
};
