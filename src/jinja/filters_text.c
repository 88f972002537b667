/* SPDX-License-Identifier: Apache-2.0 */
/* jinja/filters_text.c - filters that make text of text.
 *
 * For:     the parser (names), eval.c.
 * Truth:   under autoescape, markup stays markup where Python's Markup type says so. */
#include "jinja/jinja_int.h"

static bool flag(jinja_val v) { return jinja_truth(v); } /* not given: false */

static snug_status change(jinja_run *r, const jinja_call *c, jinja_case to, jinja_val *out)
{
    jinja_val s;
    JINJA_TRY(jinja_to_str(r, c->self, &s));
    return jinja_change_case(r, s, to, out);
}

static snug_status run_upper(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return change(r, c, CASE_UPPER, out);
}
static snug_status run_lower(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return change(r, c, CASE_LOWER, out);
}

static snug_status run_capitalize(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return change(r, c, CASE_CAPITAL, out);
}

/* A word begins behind white space, a dash or an opening bracket. */
static snug_status run_title(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    jinja_val s, rest;
    JINJA_TRY(jinja_to_str(r, c->self, &s));
    s.flags &= (uint8_t)~VAL_SAFE;
    snug_slice  text = jinja_text(s);
    snug_buf    b = jinja_buf(r);
    snug_status st = SNUG_OK;
    for (size_t at = 0; at < text.len;) {
        size_t   from = at, end;
        uint32_t cp = jinja_utf8_at(text, &at), upper[3];
        char     room[4];
        bool     gap = false;
        for (size_t i = 0, n = jinja_map_case(cp, CASE_UPPER, upper); i < n; i++)
            snug_buf_put(&b, room, snug_utf8_put(upper[i], room));
        gap = cp == '-' || jinja_is_space(cp) ||
              (cp < 0x80 && cp != 0 && strchr("({[<", (int)cp) != NULL);
        (void)from;
        if (gap) continue;
        for (end = at; end < text.len;) {
            size_t next = end;
            cp = jinja_utf8_at(text, &next);
            if (cp == '-' || jinja_is_space(cp) ||
                (cp < 0x80 && cp != 0 && strchr("({[<", (int)cp) != NULL))
                break;
            end = next;
        }
        SNUG_TRY(jinja_change_case(r, jinja_sub(s, at, end), CASE_LOWER, &rest));
        snug_buf_put_slice(&b, jinja_text(rest));
        at = end;
    }
    return jinja_str_take(r, &b, out);
done:
    snug_buf_deinit(&b);
    return st;
}

static snug_status run_trim(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    jinja_val  s;
    snug_slice chars = SNUG_EMPTY, got;
    bool       given = jinja_given(c->a[0]) && c->a[0].kind != VAL_NONE;
    JINJA_TRY(jinja_to_str(r, c->self, &s));
    if (given && c->a[0].kind != VAL_STR)
        return jinja_raise(r, "trim takes characters, not %s", jinja_type_name(c->a[0]));
    if (given) chars = jinja_text(c->a[0]);
    got = jinja_strip(jinja_text(s), given ? &chars : NULL, true, true);
    *out = s;
    out->u.s = got.len == 0 ? "" : got.ptr;
    out->len = (uint32_t)got.len;
    return SNUG_OK;
}

static snug_status run_replace(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    jinja_val s, old, new;
    int64_t   count = -1;
    JINJA_TRY(jinja_to_str(r, c->self, &s));
    JINJA_TRY(jinja_to_str(r, c->a[0], &old));
    JINJA_TRY(jinja_to_str(r, c->a[1], &new));
    if (jinja_given(c->a[2]) && c->a[2].kind != VAL_NONE)
        JINJA_TRY(jinja_to_index(r, c->a[2], &count));
    if (!r->autoescape)
        s.flags &= (uint8_t)~VAL_SAFE;
    else {
        if (jinja_is_safe(old) || (jinja_is_safe(new) && !jinja_is_safe(s)))
            JINJA_TRY(jinja_escape(r, s, &s));
        if (jinja_is_safe(s)) { /* what goes into markup is escaped, what is looked for as well */
            JINJA_TRY(jinja_escape(r, new, &new));
            if (!jinja_is_safe(old)) JINJA_TRY(jinja_escape(r, old, &old));
        }
    }
    return jinja_replace(r, s, jinja_text(old), jinja_text(new), count, out);
}

static snug_status run_center(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    jinja_val  s, width = jinja_given(c->a[0]) ? c->a[0] : jinja_int(80);
    jinja_args args = {.pos = &width, .pos_count = 1};
    JINJA_TRY(jinja_to_str(r, c->self, &s));
    return jinja_call_builtin(r, jinja_find_method(VAL_STR, SNUG_LIT("center")), s, &args, out);
}

static snug_status indent_lines(jinja_run *r, jinja_val s, jinja_val unit, bool first, bool blank,
                                jinja_val *out)
{
    jinja_val lines, whole = s;
    snug_buf  b = jinja_buf(r);
    JINJA_TRY(
        jinja_join(r, (jinja_val){.kind = VAL_STR, .flags = s.flags, .len = s.len, .u.s = s.u.s},
                   (jinja_val){.kind = VAL_STR, .flags = s.flags, .len = 1, .u.s = "\n"}, &whole));
    JINJA_TRY(jinja_splitlines(r, whole, false, &lines));
    if (first) snug_buf_put_slice(&b, jinja_text(unit));
    for (uint32_t i = 0; i < lines.len && !b.full; i++) {
        if (i > 0) snug_buf_putc(&b, '\n');
        if (i > 0 && (blank || lines.u.items[i].len > 0)) snug_buf_put_slice(&b, jinja_text(unit));
        snug_buf_put_slice(&b, jinja_text(lines.u.items[i]));
    }
    JINJA_TRY(jinja_str_take(r, &b, out));
    out->flags |= s.flags & VAL_SAFE;
    return SNUG_OK;
}

static snug_status run_indent(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    jinja_val unit = c->a[0];
    int64_t   width = 4;
    if (c->self.kind == VAL_UNDEFINED) return jinja_undef_fail(r, c->self);
    if (c->self.kind != VAL_STR)
        return jinja_raise(r, "indent takes a string, not %s", jinja_type_name(c->self));
    if (unit.kind != VAL_STR) {
        if (jinja_given(unit)) JINJA_TRY(jinja_to_index(r, unit, &width));
        JINJA_TRY(jinja_repeat(r, jinja_lit(" "), width, &unit));
    }
    return indent_lines(r, c->self, unit, flag(c->a[1]), flag(c->a[2]), out);
}

static snug_status run_string(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return jinja_to_str(r, c->self, out);
}
static snug_status run_escape(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return jinja_escape(r, c->self, out);
}

static snug_status run_safe(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    JINJA_TRY(jinja_to_str(r, c->self, out));
    out->flags |= VAL_SAFE;
    return SNUG_OK;
}

static snug_status run_forceescape(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    JINJA_TRY(jinja_to_str(r, c->self, out));
    out->flags &= (uint8_t)~VAL_SAFE;
    return jinja_escape(r, *out, out);
}

static snug_status run_truncate(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    jinja_val s = c->self, end = jinja_given(c->a[2]) ? c->a[2] : jinja_lit("...");
    int64_t   length = 255, leeway = 5, n;
    if (jinja_given(c->a[0])) JINJA_TRY(jinja_to_index(r, c->a[0], &length));
    if (jinja_given(c->a[3]) && c->a[3].kind != VAL_NONE)
        JINJA_TRY(jinja_to_index(r, c->a[3], &leeway));
    if (end.kind != VAL_STR)
        return jinja_raise(r, "truncate ends with a string, not %s", jinja_type_name(end));
    int64_t end_chars = (int64_t)jinja_chars(end);
    if (length < end_chars)
        return jinja_raise(r, "expected length >= %" PRId64 ", got %" PRId64, end_chars, length);
    if (leeway < 0) return jinja_raise(r, "expected leeway >= 0, got %" PRId64, leeway);
    JINJA_TRY(jinja_len(r, s, &n));
    *out = s;
    if (length > INT64_MAX - leeway || n <= length + leeway) return SNUG_OK;
    if (s.kind != VAL_STR)
        return jinja_raise(r, "truncate takes a string, not %s", jinja_type_name(s));
    size_t to = jinja_offset(s, (size_t)(length - end_chars));
    if (!flag(c->a[1])) {
        size_t space = snug_rindex((snug_slice){s.u.s, to}, ' ');
        if (space != SIZE_MAX) to = space;
    }
    return jinja_join(r, jinja_sub(s, 0, to), end, out);
}

static snug_status run_wordcount(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    jinja_val s;
    int64_t   n = 0;
    bool      inside = false;
    JINJA_TRY(jinja_to_str(r, c->self, &s));
    JINJA_TRY(jinja_step(r, s.len / 32));
    for (size_t at = 0; at < s.len;) {
        uint32_t cp = jinja_utf8_at(jinja_text(s), &at);
        bool     word = cp == '_' || jinja_is_alnum(cp);
        n += word && !inside;
        inside = word;
    }
    *out = jinja_int(n);
    return SNUG_OK;
}

/* value % args */
static snug_status run_format(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    const jinja_args *a = c->args;
    jinja_val         s;
    jinja_dict       *d;
    if (a->pos_count > 0 && a->kw_count > 0)
        return jinja_raise(r, "can't handle positional and keyword arguments at the same time");
    JINJA_TRY(jinja_to_str(r, c->self, &s));
    if (a->kw_count == 0) {
        jinja_val *items = jinja_alloc(r, a->pos_count * sizeof *items);
        if (items == NULL) return SNUG_ELIMIT;
        if (a->pos_count > 0) memcpy(items, a->pos, a->pos_count * sizeof *items);
        return jinja_percent(r, s, jinja_seq(VAL_TUPLE, items, a->pos_count), out);
    }
    JINJA_TRY(jinja_dict_new(r, a->kw_count, &d));
    for (size_t i = 0; i < a->kw_count; i++)
        JINJA_TRY(jinja_dict_put(r, d, jinja_str(a->kw[i].name), a->kw[i].value));
    return jinja_percent(r, s, (jinja_val){.kind = VAL_DICT, .u.dict = d}, out);
}

/* ---- URLs ---- */

static void put_quoted(snug_buf *b, snug_slice s, bool query)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool plain = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
                     c == '_' || c == '.' || c == '-' || c == '~' || (c == '/' && !query);
        if (plain)
            snug_buf_putc(b, c);
        else if (c == ' ' && query)
            snug_buf_putc(b, '+');
        else
            snug_buf_printf(b, "%%%02X", (unsigned)(unsigned char)c);
    }
}

static snug_status put_query_pair(jinja_run *r, snug_buf *b, jinja_val key, jinja_val value)
{
    jinja_val k, v;
    JINJA_TRY(jinja_to_str(r, key, &k));
    JINJA_TRY(jinja_to_str(r, value, &v));
    if (b->len > 0) snug_buf_putc(b, '&');
    put_quoted(b, jinja_text(k), true);
    snug_buf_putc(b, '=');
    put_quoted(b, jinja_text(v), true);
    return jinja_step(r, (k.len + v.len) / 32);
}

static snug_status put_query(jinja_run *r, snug_buf *b, jinja_val v)
{
    jinja_iter it;
    if (v.kind == VAL_DICT) {
        for (uint32_t i = 0; i < v.u.dict->count; i++)
            JINJA_TRY(put_query_pair(r, b, v.u.dict->pairs[i].key, v.u.dict->pairs[i].value));
        return SNUG_OK;
    }
    JINJA_TRY(jinja_iter_open(r, v, &it));
    for (;;) {
        jinja_val pair, list;
        bool      more;
        JINJA_TRY(jinja_iter_next(r, &it, &pair, &more));
        if (!more) return SNUG_OK;
        JINJA_TRY(jinja_list_of(r, pair, &list));
        if (list.len != 2) return jinja_raise(r, "urlencode takes a mapping or pairs");
        JINJA_TRY(put_query_pair(r, b, list.u.items[0], list.u.items[1]));
    }
}

static snug_status run_urlencode(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    jinja_val   s;
    snug_buf    b = jinja_buf(r);
    snug_status st;
    if (c->self.kind == VAL_STR || !jinja_is_iterable(c->self)) {
        SNUG_TRY(jinja_to_str(r, c->self, &s));
        put_quoted(&b, jinja_text(s), false);
    } else {
        SNUG_TRY(put_query(r, &b, c->self));
    }
    return jinja_str_take(r, &b, out);
done:
    snug_buf_deinit(&b);
    return st;
}

/* ---- HTML attributes ---- */

static bool bad_attr_name(snug_slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '\0' || strchr(" \t\n\r\f\v/>=", s.ptr[i]) != NULL) return true;
    }
    return false;
}

static snug_status run_xmlattr(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    snug_buf    b = jinja_buf(r);
    snug_status st = SNUG_OK;
    bool        space = !jinja_given(c->a[0]) || flag(c->a[0]);
    if (c->self.kind != VAL_DICT)
        SNUG_TRY(jinja_raise(r, "xmlattr takes a mapping, not %s", jinja_type_name(c->self)));
    for (uint32_t i = 0; i < c->self.u.dict->count; i++) {
        jinja_pair p = c->self.u.dict->pairs[i];
        if (p.value.kind == VAL_NONE || p.value.kind == VAL_UNDEFINED) continue;
        if (p.key.kind != VAL_STR || bad_attr_name(jinja_text(p.key)))
            SNUG_TRY(jinja_raise(r, "Invalid character in attribute name"));
        SNUG_TRY(jinja_escape(r, p.key, &p.key));
        SNUG_TRY(jinja_escape(r, p.value, &p.value));
        if (b.len > 0 || space) snug_buf_putc(&b, ' ');
        snug_buf_put_slice(&b, jinja_text(p.key));
        snug_buf_puts(&b, "=\"");
        snug_buf_put_slice(&b, jinja_text(p.value));
        snug_buf_putc(&b, '"');
    }
    st = jinja_str_take(r, &b, out);
    if (st == SNUG_OK && r->autoescape) out->flags |= VAL_SAFE;
    return st;
done:
    snug_buf_deinit(&b);
    return st;
}

const jinja_builtin jinja_filters_text[] = {
    {.name = "upper", .run = run_upper},
    {.name = "lower", .run = run_lower},
    {.name = "capitalize", .run = run_capitalize},
    {.name = "title", .run = run_title},
    {.name = "trim", .run = run_trim, .params = {"chars"}},
    {.name = "replace", .run = run_replace, .required = 2, .params = {"old", "new", "count"}},
    {.name = "center", .run = run_center, .params = {"width"}},
    {.name = "indent", .run = run_indent, .params = {"width", "first", "blank"}},
    {.name = "string", .run = run_string},
    {.name = "escape", .run = run_escape},
    {.name = "e", .run = run_escape},
    {.name = "safe", .run = run_safe},
    {.name = "forceescape", .run = run_forceescape},
    {.name = "truncate", .run = run_truncate, .params = {"length", "killwords", "end", "leeway"}},
    {.name = "wordcount", .run = run_wordcount},
    {.name = "format", .run = run_format, .open = true},
    {.name = "urlencode", .run = run_urlencode},
    {.name = "xmlattr", .run = run_xmlattr, .params = {"autospace"}},
    {.name = NULL},
};
