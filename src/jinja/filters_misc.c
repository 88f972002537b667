/* SPDX-License-Identifier: Apache-2.0 */
/* jinja/filters_misc.c - default, numbers, tojson, attr; and the look-up of all filters.
 *
 * For:     the parser (names), eval.c. */
#include <math.h>

#include "jinja/jinja_int.h"

enum { INDENT_MAX = 64 };

static snug_status run_default(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    bool use = c->self.kind == VAL_UNDEFINED || (jinja_truth(c->a[1]) && !jinja_truth(c->self));
    (void)r;
    *out = !use ? c->self : jinja_given(c->a[0]) ? c->a[0] : jinja_lit("");
    return SNUG_OK;
}

static snug_status run_attr(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    if (c->a[0].kind != VAL_STR) return jinja_raise(r, "the name of an attribute is a string");
    snug_slice name = jinja_text(c->a[0]);
    /* attr never looks at keys, and for what has no attribute at all it does not fail */
    if ((c->self.kind == VAL_DICT && jinja_find_method(VAL_DICT, name) == NULL)) {
        *out = jinja_undef_attr(c->self, name);
        return SNUG_OK;
    }
    return jinja_get_attr_named(r, c->self, name, out);
}

/* ---- numbers ---- */

static snug_status run_abs(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    if (c->self.kind == VAL_FLOAT) {
        *out = jinja_float(fabs(c->self.u.d));
        return SNUG_OK;
    }
    if (!jinja_is_int(c->self))
        return jinja_raise(r, "bad operand type for abs(): '%s'", jinja_type_name(c->self));
    jinja_wide w = jinja_wide_of(c->self);
    return jinja_int_of_wide(r, w < 0 ? -w : w, out);
}

static snug_status int_of_double(jinja_run *r, double d, jinja_val *out)
{
    if (fabs(d) >= 3e19) return jinja_limit(r, "an integer outgrows 64 bits");
    return jinja_int_of_wide(r, (jinja_wide)d, out);
}

static snug_status run_int(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    jinja_val  dflt = jinja_given(c->a[0]) ? c->a[0] : jinja_int(0), v = c->self;
    jinja_wide w, base = jinja_given(c->a[1]) ? -1 : 10;
    double     d;
    if (jinja_given(c->a[1]) && jinja_is_int(c->a[1])) base = jinja_wide_of(c->a[1]);
    if (v.kind == VAL_UNDEFINED) return jinja_undef_fail(r, v);
    if (jinja_is_int(v)) return jinja_int_of_wide(r, jinja_wide_of(v), out);
    *out = dflt;
    if (v.kind == VAL_FLOAT) {
        if (isinf(v.u.d)) return jinja_raise(r, "cannot convert float infinity to integer");
        return isnan(v.u.d) ? SNUG_OK : int_of_double(r, v.u.d, out);
    }
    if (v.kind != VAL_STR) return SNUG_OK;
    JINJA_TRY(jinja_step(r, v.len / 32));
    bool base_ok = base == 0 || (base >= 2 && base <= 36);
    if (base_ok && jinja_parse_int(jinja_text(v), (int)base, &w))
        return jinja_int_of_wide(r, w, out);
    if (jinja_parse_float(jinja_text(v), &d) && isfinite(d)) return int_of_double(r, d, out);
    return SNUG_OK;
}

static snug_status run_float(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    double d;
    *out = jinja_given(c->a[0]) ? c->a[0] : jinja_float(0);
    if (c->self.kind == VAL_UNDEFINED) return jinja_undef_fail(r, c->self);
    if (jinja_is_num(c->self))
        *out = jinja_float(jinja_double_of(c->self));
    else if (c->self.kind == VAL_STR && jinja_parse_float(jinja_text(c->self), &d))
        *out = jinja_float(d);
    return SNUG_OK;
}

/* ceil or floor of value * 10^digits, over 10^digits. */
static snug_status round_to(jinja_run *r, jinja_val v, jinja_val digits, bool up, jinja_val *out)
{
    jinja_val unit, scaled;
    JINJA_TRY(jinja_arith(r, OP_POW, jinja_int(10), digits, &unit));
    JINJA_TRY(jinja_arith(r, OP_MUL, v, unit, &scaled));
    if (!jinja_is_num(scaled))
        return jinja_raise(r, "must be real number, not %s", jinja_type_name(scaled));
    if (scaled.kind == VAL_FLOAT) {
        if (!isfinite(scaled.u.d))
            return jinja_raise(r, "cannot convert float infinity or NaN to integer");
        JINJA_TRY(int_of_double(r, up ? ceil(scaled.u.d) : floor(scaled.u.d), &scaled));
    }
    return jinja_arith(r, OP_DIV, scaled, unit, out);
}

static snug_status run_round(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    int64_t    digits = 0;
    snug_slice method = SNUG_LIT("common");
    if (jinja_given(c->a[1])) method = c->a[1].kind == VAL_STR ? jinja_text(c->a[1]) : SNUG_EMPTY;
    if (snug_eq_str(method, "ceil") || snug_eq_str(method, "floor"))
        return round_to(r, c->self, jinja_given(c->a[0]) ? c->a[0] : jinja_int(0),
                        snug_eq_str(method, "ceil"), out);
    if (!snug_eq_str(method, "common"))
        return jinja_raise(r, "method must be common, ceil or floor");
    /* round(x, None) of a float is an integer; with a number of digits it stays a float */
    if (c->a[0].kind == VAL_NONE && c->self.kind == VAL_FLOAT) {
        if (!isfinite(c->self.u.d))
            return jinja_raise(r, "cannot convert float infinity or NaN to integer");
        return int_of_double(r, rint(c->self.u.d), out);
    }
    if (jinja_given(c->a[0]) && c->a[0].kind != VAL_NONE)
        JINJA_TRY(jinja_to_index(r, c->a[0], &digits));
    return jinja_round(r, c->self, digits, out);
}

static snug_status run_filesizeformat(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    static const char units[] = "kMGTPEZY";
    bool              binary = jinja_truth(c->a[0]);
    double            base = binary ? 1024 : 1000, n, unit = base;
    jinja_val         v;
    jinja_call        plain = {.self = c->self};
    JINJA_TRY(run_float(r, &plain, &v));
    if (c->self.kind != VAL_STR && !jinja_is_num(c->self))
        return jinja_raise(r, "filesizeformat takes a number, not %s", jinja_type_name(c->self));
    if (c->self.kind == VAL_STR && !jinja_parse_float(jinja_text(c->self), &n))
        return jinja_raise(r, "could not convert string to float");
    n = v.u.d;
    snug_buf b = jinja_buf(r);
    if (n == 1)
        snug_buf_puts(&b, "1 Byte");
    else if (n < base)
        snug_buf_printf(&b, "%" PRId64 " Bytes", n < -9e18 ? INT64_MIN : (int64_t)n);
    else {
        size_t i = 0;
        while (i < 7 && n >= unit * base) {
            unit *= base;
            i++;
        }
        jinja_put_double(&b, 'f', 1, false, base * n / (unit * base));
        snug_buf_printf(&b, " %c%sB", binary && i == 0 ? 'K' : units[i], binary ? "i" : "");
    }
    return jinja_str_take(r, &b, out);
}

/* ---- tojson ---- */

static snug_status json_indent(jinja_run *r, jinja_val v, jinja_dump_opts *o)
{
    int64_t   n;
    jinja_val unit = v;
    if (!jinja_given(v) || v.kind == VAL_NONE) return SNUG_OK;
    if (v.kind != VAL_STR) {
        JINJA_TRY(jinja_to_index(r, v, &n));
        if (n > INDENT_MAX) return jinja_limit(r, "tojson indents by at most %d", INDENT_MAX);
        JINJA_TRY(jinja_repeat(r, jinja_lit(" "), n, &unit));
    }
    if (unit.len > INDENT_MAX) return jinja_limit(r, "tojson indents by at most %d", INDENT_MAX);
    o->has_indent = true;
    o->indent = jinja_text(unit);
    o->item_sep = SNUG_LIT(",");
    return SNUG_OK;
}

static snug_status json_separators(jinja_run *r, jinja_val v, jinja_dump_opts *o)
{
    jinja_val list;
    if (!jinja_given(v) || v.kind == VAL_NONE) return SNUG_OK;
    JINJA_TRY(jinja_list_of(r, v, &list));
    if (list.len != 2 || list.u.items[0].kind != VAL_STR || list.u.items[1].kind != VAL_STR)
        return jinja_raise(r, "separators are two strings");
    o->item_sep = jinja_text(list.u.items[0]);
    o->key_sep = jinja_text(list.u.items[1]);
    return SNUG_OK;
}

/* For pages: what is put into a script or an attribute may not end it. */
static snug_status json_for_html(jinja_run *r, snug_buf *b, jinja_val *out)
{
    snug_buf safe = jinja_buf(r);
    for (size_t i = 0; i < b->len; i++) {
        char c = b->ptr[i];
        if (c == '<' || c == '>' || c == '&' || c == '\'')
            snug_buf_printf(&safe, "\\u%04x", (unsigned)c);
        else
            snug_buf_putc(&safe, c);
    }
    snug_buf_deinit(b);
    JINJA_TRY(jinja_str_take(r, &safe, out));
    out->flags |= VAL_SAFE;
    return SNUG_OK;
}

static snug_status run_tojson(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    jinja_dump_opts o = {.ascii = jinja_truth(c->a[0]),
                         .sort_keys = jinja_truth(c->a[3]),
                         .item_sep = SNUG_LIT(", "),
                         .key_sep = SNUG_LIT(": ")};
    snug_buf        b = jinja_buf(r);
    JINJA_TRY(json_indent(r, c->a[1], &o));
    JINJA_TRY(json_separators(r, c->a[2], &o));
    snug_status st = jinja_put_json(r, &b, c->self, &o, 0);
    if (st == SNUG_OK)
        return r->autoescape ? json_for_html(r, &b, out) : jinja_str_take(r, &b, out);
    snug_buf_deinit(&b);
    return st;
}

static const jinja_builtin misc[] = {
    {.name = "default", .run = run_default, .params = {"default_value", "boolean"}},
    {.name = "d", .run = run_default, .params = {"default_value", "boolean"}},
    {.name = "attr", .run = run_attr, .required = 1, .params = {"name"}},
    {.name = "abs", .run = run_abs},
    {.name = "int", .run = run_int, .params = {"default", "base"}},
    {.name = "float", .run = run_float, .params = {"default"}},
    {.name = "round", .run = run_round, .params = {"precision", "method"}},
    {.name = "filesizeformat", .run = run_filesizeformat, .params = {"binary"}},
    {.name = "tojson",
     .run = run_tojson,
     .params = {"ensure_ascii", "indent", "separators", "sort_keys"}},
    {.name = NULL},
};

const jinja_builtin *jinja_find_filter(snug_slice name)
{
    const jinja_builtin *f = jinja_find_in(misc, name);
    if (f == NULL) f = jinja_find_in(jinja_filters_text, name);
    return f != NULL ? f : jinja_find_in(jinja_filters_list, name);
}
