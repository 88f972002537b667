/* SPDX-License-Identifier: Apache-2.0 */
/* jinja/repr.c - values as text: str(), repr() and json.dumps() as Python writes them.
 *
 * For:     printing, ~, join, tojson, formats.
 * Truth:   floats are the shortest text that reads back, "1e+16" in Python's manner. */
#include <math.h>

#include "jinja/jinja_int.h"

void jinja_put_float(snug_buf *b, double d)
{
    if (isnan(d))
        snug_buf_puts(b, "nan");
    else if (isinf(d))
        snug_buf_puts(b, d < 0 ? "-inf" : "inf");
    else {
        snug_json_out o = snug_json_out_init(b);
        snug_jo_f64(&o, d);
    }
}

static void put_int(snug_buf *b, jinja_val v)
{
    if ((v.flags & VAL_WIDE) != 0)
        snug_buf_printf(b, "%" PRIu64, v.u.u);
    else
        snug_buf_printf(b, "%" PRId64, v.u.i);
}

/* ---- repr of strings ---- */

static void put_escape(snug_buf *b, uint32_t cp)
{
    if (cp == '\n')
        snug_buf_puts(b, "\\n");
    else if (cp == '\r')
        snug_buf_puts(b, "\\r");
    else if (cp == '\t')
        snug_buf_puts(b, "\\t");
    else if (cp < 0x100)
        snug_buf_printf(b, "\\x%02" PRIx32, cp);
    else if (cp < 0x10000)
        snug_buf_printf(b, "\\u%04" PRIx32, cp);
    else
        snug_buf_printf(b, "\\U%08" PRIx32, cp);
}

static void put_quoted(snug_buf *b, snug_slice s)
{
    bool   single = snug_index(s, '\'') != SIZE_MAX, both = snug_index(s, '"') != SIZE_MAX;
    char   quote = single && !both ? '"' : '\'';
    size_t from = 0;
    snug_buf_putc(b, quote);
    for (size_t at = 0; at < s.len;) {
        size_t   start = at;
        uint32_t cp = jinja_utf8_at(s, &at);
        bool     slash = cp == '\\' || cp == (uint32_t)quote;
        if (!slash && jinja_is_printable(cp)) continue;
        snug_buf_put(b, s.ptr + from, start - from);
        if (slash) {
            snug_buf_putc(b, '\\');
            snug_buf_putc(b, (char)cp);
        } else {
            put_escape(b, cp);
        }
        from = at;
    }
    snug_buf_put(b, s.ptr + from, s.len - from);
    snug_buf_putc(b, quote);
}

/* ---- repr of the rest ---- */

static snug_status put_items(jinja_run *r, snug_buf *b, jinja_val v, const char *open,
                             const char *close)
{
    snug_buf_puts(b, open);
    for (uint32_t i = 0; i < v.len && !b->full; i++) {
        if (i > 0) snug_buf_puts(b, ", ");
        JINJA_TRY(jinja_put_repr(r, b, v.u.items[i]));
    }
    if (v.kind == VAL_TUPLE && v.len == 1) snug_buf_putc(b, ',');
    snug_buf_puts(b, close);
    return SNUG_OK;
}

static snug_status put_dict(jinja_run *r, snug_buf *b, const jinja_dict *d)
{
    snug_buf_putc(b, '{');
    for (uint32_t i = 0; i < d->count && !b->full; i++) {
        if (i > 0) snug_buf_puts(b, ", ");
        JINJA_TRY(jinja_put_repr(r, b, d->pairs[i].key));
        snug_buf_puts(b, ": ");
        JINJA_TRY(jinja_put_repr(r, b, d->pairs[i].value));
    }
    snug_buf_putc(b, '}');
    return SNUG_OK;
}

static snug_status put_view(jinja_run *r, snug_buf *b, jinja_val v)
{
    static const char *const names[] = {"dict_keys([", "dict_values([", "dict_items(["};
    const jinja_dict        *d = v.u.dict;
    snug_buf_puts(b, names[v.aux]);
    for (uint32_t i = 0; i < d->count && !b->full; i++) {
        if (i > 0) snug_buf_puts(b, ", ");
        if (v.aux == VIEW_ITEMS) snug_buf_putc(b, '(');
        if (v.aux != VIEW_VALUES) JINJA_TRY(jinja_put_repr(r, b, d->pairs[i].key));
        if (v.aux == VIEW_ITEMS) snug_buf_puts(b, ", ");
        if (v.aux != VIEW_KEYS) JINJA_TRY(jinja_put_repr(r, b, d->pairs[i].value));
        if (v.aux == VIEW_ITEMS) snug_buf_putc(b, ')');
    }
    snug_buf_puts(b, "])");
    return SNUG_OK;
}

static void put_range(snug_buf *b, const jinja_range *g)
{
    snug_buf_printf(b, "range(%" PRId64 ", %" PRId64, g->start, g->stop);
    if (g->step != 1) snug_buf_printf(b, ", %" PRId64, g->step);
    snug_buf_putc(b, ')');
}

static snug_status put_loop(jinja_run *r, snug_buf *b, jinja_val v)
{
    int64_t n;
    JINJA_TRY(jinja_len(r, v, &n));
    snug_buf_printf(b, "<LoopContext %" PRId64 "/%" PRId64 ">", v.u.loop->index0 + 1, n);
    return SNUG_OK;
}

static void put_macro(snug_buf *b, const jinja_macro *m)
{
    snug_buf_puts(b, "<Macro ");
    if (m->def->name.ptr == NULL)
        snug_buf_puts(b, "anonymous");
    else
        put_quoted(b, m->def->name);
    snug_buf_putc(b, '>');
}

static snug_status put_namespace(jinja_run *r, snug_buf *b, const jinja_dict *d)
{
    snug_buf_puts(b, "<Namespace ");
    JINJA_TRY(put_dict(r, b, d));
    snug_buf_putc(b, '>');
    return SNUG_OK;
}

static snug_status put_deep(jinja_run *r, snug_buf *b, jinja_val v)
{
    switch (v.kind) {
    case VAL_LIST: return put_items(r, b, v, "[", "]");
    case VAL_TUPLE: return put_items(r, b, v, "(", ")");
    case VAL_DICT: return put_dict(r, b, v.u.dict);
    case VAL_VIEW: return put_view(r, b, v);
    case VAL_NAMESPACE: return put_namespace(r, b, v.u.ns);
    case VAL_LOOP: return put_loop(r, b, v);
    case VAL_RANGE: put_range(b, v.u.range); return SNUG_OK;
    case VAL_MACRO: put_macro(b, v.u.macro); return SNUG_OK;
    case VAL_FUNC: snug_buf_printf(b, "<function %s>", v.u.func->name); return SNUG_OK;
    case VAL_METHOD: snug_buf_printf(b, "<method %s>", v.u.method->func->name); return SNUG_OK;
    default: snug_buf_printf(b, "<%s>", jinja_type_name(v)); return SNUG_OK;
    }
}

snug_status jinja_put_repr(jinja_run *r, snug_buf *b, jinja_val v)
{
    JINJA_TRY(jinja_step(r, 1));
    switch (v.kind) {
    case VAL_UNDEFINED: snug_buf_puts(b, "Undefined"); return SNUG_OK;
    case VAL_NONE: snug_buf_puts(b, "None"); return SNUG_OK;
    case VAL_BOOL: snug_buf_puts(b, v.u.b ? "True" : "False"); return SNUG_OK;
    case VAL_INT: put_int(b, v); return SNUG_OK;
    case VAL_FLOAT: jinja_put_float(b, v.u.d); return SNUG_OK;
    case VAL_STR:
        if (jinja_is_safe(v)) snug_buf_puts(b, "Markup(");
        put_quoted(b, jinja_text(v));
        if (jinja_is_safe(v)) snug_buf_putc(b, ')');
        return jinja_step(r, v.len / 32);
    default: break;
    }
    JINJA_TRY(jinja_deeper(r));
    JINJA_TRY(put_deep(r, b, v));
    r->depth--;
    return jinja_buf_done(r, b);
}

snug_status jinja_put_str(jinja_run *r, snug_buf *b, jinja_val v)
{
    switch (v.kind) {
    case VAL_STR: snug_buf_put_slice(b, jinja_text(v)); return jinja_step(r, v.len / 64);
    case VAL_UNDEFINED: return SNUG_OK;
    case VAL_MODULE: return jinja_put_str(r, b, v.u.module->text);
    default: return jinja_put_repr(r, b, v);
    }
}

snug_status jinja_to_str(jinja_run *r, jinja_val v, jinja_val *out)
{
    snug_status st;
    if (v.kind == VAL_STR || v.kind == VAL_UNDEFINED) {
        *out = v.kind == VAL_STR ? v : jinja_lit("");
        return SNUG_OK;
    }
    if (v.kind == VAL_MODULE) {
        *out = v.u.module->text;
        return SNUG_OK;
    }
    snug_buf b = jinja_buf(r);
    st = jinja_put_str(r, &b, v);
    if (st == SNUG_OK) return jinja_str_take(r, &b, out);
    snug_buf_deinit(&b);
    return st;
}

snug_status jinja_to_repr(jinja_run *r, jinja_val v, jinja_val *out)
{
    snug_buf    b = jinja_buf(r);
    snug_status st = jinja_put_repr(r, &b, v);
    if (st == SNUG_OK) return jinja_str_take(r, &b, out);
    snug_buf_deinit(&b);
    return st;
}

/* ---- json.dumps ---- */

static void put_json_escape(snug_buf *b, uint32_t cp)
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    const char       *known = cp != 0 && cp < 0x80 ? strchr(from, (int)cp) : NULL;
    if (known != NULL) {
        snug_buf_putc(b, '\\');
        snug_buf_putc(b, to[known - from]);
    } else if (cp < 0x10000) {
        snug_buf_printf(b, "\\u%04" PRIx32, cp);
    } else {
        snug_buf_printf(b, "\\u%04" PRIx32 "\\u%04" PRIx32, 0xd800 + ((cp - 0x10000) >> 10),
                        0xdc00 + ((cp - 0x10000) & 0x3ff));
    }
}

static void put_json_str(snug_buf *b, snug_slice s, bool ascii)
{
    size_t from = 0;
    snug_buf_putc(b, '"');
    for (size_t at = 0; at < s.len;) {
        unsigned char c = (unsigned char)s.ptr[at];
        if (c >= 0x20 && c != '"' && c != '\\' && (c < 0x7f || !ascii)) {
            at++;
            continue;
        }
        snug_buf_put(b, s.ptr + from, at - from);
        put_json_escape(b, jinja_utf8_at(s, &at));
        from = at;
    }
    snug_buf_put(b, s.ptr + from, s.len - from);
    snug_buf_putc(b, '"');
}

static void put_newline(snug_buf *b, const jinja_dump_opts *o, unsigned level)
{
    if (!o->has_indent) return;
    snug_buf_putc(b, '\n');
    for (unsigned i = 0; i < level; i++) snug_buf_put_slice(b, o->indent);
}

static void put_json_number(snug_buf *b, jinja_val v)
{
    if (v.kind == VAL_INT)
        put_int(b, v);
    else if (isnan(v.u.d))
        snug_buf_puts(b, "NaN");
    else if (isinf(v.u.d))
        snug_buf_puts(b, v.u.d < 0 ? "-Infinity" : "Infinity");
    else
        jinja_put_float(b, v.u.d);
}

static snug_status put_json_list(jinja_run *r, snug_buf *b, jinja_val v, const jinja_dump_opts *o,
                                 unsigned level)
{
    snug_buf_putc(b, '[');
    for (uint32_t i = 0; i < v.len && !b->full; i++) {
        if (i > 0) snug_buf_put_slice(b, o->item_sep);
        put_newline(b, o, level + 1);
        JINJA_TRY(jinja_put_json(r, b, v.u.items[i], o, level + 1));
    }
    if (v.len > 0) put_newline(b, o, level);
    snug_buf_putc(b, ']');
    return SNUG_OK;
}

static snug_status put_json_key(jinja_run *r, snug_buf *b, jinja_val key, const jinja_dump_opts *o)
{
    switch (key.kind) {
    case VAL_STR: put_json_str(b, jinja_text(key), o->ascii); return jinja_step(r, key.len / 64);
    case VAL_NONE: snug_buf_puts(b, "\"null\""); return SNUG_OK;
    case VAL_BOOL: snug_buf_puts(b, key.u.b ? "\"true\"" : "\"false\""); return SNUG_OK;
    case VAL_INT:
    case VAL_FLOAT:
        snug_buf_putc(b, '"');
        put_json_number(b, key);
        snug_buf_putc(b, '"');
        return SNUG_OK;
    default:
        return jinja_raise(r, "keys must be str, int, float, bool or None, not %s",
                           jinja_type_name(key));
    }
}

static snug_status sorted_pairs(jinja_run *r, const jinja_dict *d, const jinja_val **out)
{
    jinja_val *pairs = jinja_alloc(r, d->count * 2 * sizeof *pairs);
    jinja_val *order = jinja_alloc(r, d->count * sizeof *order);
    if (pairs == NULL || order == NULL) return SNUG_ELIMIT;
    for (uint32_t i = 0; i < d->count; i++) {
        pairs[i] = d->pairs[i].key;
        order[i] = jinja_int(i);
    }
    JINJA_TRY(jinja_sort(r, order, pairs, d->count, false));
    *out = order;
    return SNUG_OK;
}

static snug_status put_json_dict(jinja_run *r, snug_buf *b, const jinja_dict *d,
                                 const jinja_dump_opts *o, unsigned level)
{
    const jinja_val *order = NULL;
    if (o->sort_keys) JINJA_TRY(sorted_pairs(r, d, &order));
    snug_buf_putc(b, '{');
    for (uint32_t i = 0; i < d->count && !b->full; i++) {
        const jinja_pair *p = &d->pairs[order == NULL ? i : (size_t)order[i].u.i];
        if (i > 0) snug_buf_put_slice(b, o->item_sep);
        put_newline(b, o, level + 1);
        JINJA_TRY(put_json_key(r, b, p->key, o));
        snug_buf_put_slice(b, o->key_sep);
        JINJA_TRY(jinja_put_json(r, b, p->value, o, level + 1));
    }
    if (d->count > 0) put_newline(b, o, level);
    snug_buf_putc(b, '}');
    return SNUG_OK;
}

snug_status jinja_put_json(jinja_run *r, snug_buf *b, jinja_val v, const jinja_dump_opts *o,
                           unsigned level)
{
    JINJA_TRY(jinja_step(r, 1));
    switch (v.kind) {
    case VAL_NONE: snug_buf_puts(b, "null"); return SNUG_OK;
    case VAL_BOOL: snug_buf_puts(b, v.u.b ? "true" : "false"); return SNUG_OK;
    case VAL_INT:
    case VAL_FLOAT: put_json_number(b, v); return SNUG_OK;
    case VAL_STR: put_json_str(b, jinja_text(v), o->ascii); return jinja_step(r, v.len / 32);
    case VAL_LIST:
    case VAL_TUPLE:
    case VAL_DICT: break;
    default:
        return jinja_raise(r, "Object of type %s is not JSON serializable", jinja_type_name(v));
    }
    JINJA_TRY(jinja_deeper(r));
    JINJA_TRY(v.kind == VAL_DICT ? put_json_dict(r, b, v.u.dict, o, level)
                                 : put_json_list(r, b, v, o, level));
    r->depth--;
    return jinja_buf_done(r, b);
}
