/* SPDX-License-Identifier: Apache-2.0 */
/* jinja/attr.c - a.b, a[b] and a[b:c:d].
 *
 * For:     eval.c and filters that take attribute names.
 * Truth:   an attribute is a method in our tables, a key of a dict, a member of a namespace, a
 * loop, a macro or a module; nothing else can be reached. What is not there is undefined, and so
 * are methods that would change a value. */
#include "jinja/jinja_int.h"

snug_status jinja_make_method(jinja_run *r, jinja_val self, const jinja_builtin *f, jinja_val *out)
{
    jinja_method *m = jinja_alloc(r, sizeof *m);
    if (m == NULL) return SNUG_ELIMIT;
    *m = (jinja_method){self, f};
    *out = (jinja_val){.kind = VAL_METHOD, .u.method = m};
    return SNUG_OK;
}

/* ---- attributes, by kind ---- */

static snug_status of_dict(jinja_run *r, const jinja_dict *d, snug_slice name, jinja_val *out,
                           bool *found)
{
    const jinja_val *v;
    JINJA_TRY(jinja_dict_find(r, d, name, &v));
    *found = v != NULL && jinja_given(*v); /* a module forgets a name by making it MISSING */
    if (*found) *out = *v;
    return SNUG_OK;
}

static snug_status of_macro(jinja_run *r, const jinja_macro *m, snug_slice name, jinja_val *out,
                            bool *found)
{
    const jinja_params *q = &m->def->params;
    *found = true;
    if (snug_eq_str(name, "name"))
        *out = m->def->name.ptr == NULL ? jinja_none() : jinja_str(m->def->name);
    else if (snug_eq_str(name, "catch_kwargs"))
        *out = jinja_bool(q->uses_kwargs);
    else if (snug_eq_str(name, "catch_varargs"))
        *out = jinja_bool(q->uses_varargs);
    else if (snug_eq_str(name, "caller"))
        *out = jinja_bool(q->uses_caller);
    else if (snug_eq_str(name, "arguments")) {
        jinja_val *items = jinja_alloc(r, q->count * sizeof *items);
        if (items == NULL) return SNUG_ELIMIT;
        for (uint32_t i = 0; i < q->count; i++) items[i] = jinja_str(q->refs[i].name->text);
        *out = jinja_seq(VAL_TUPLE, items, q->count);
    } else {
        *found = false;
    }
    return SNUG_OK;
}

static void of_number(jinja_val v, snug_slice name, jinja_val *out, bool *found)
{
    bool whole = v.kind != VAL_FLOAT;
    *found = true;
    if (whole && v.kind == VAL_BOOL) v = jinja_int(v.u.b);
    if (snug_eq_str(name, "real"))
        *out = v;
    else if (snug_eq_str(name, "imag"))
        *out = whole ? jinja_int(0) : jinja_float(0);
    else if (whole && snug_eq_str(name, "numerator"))
        *out = v;
    else if (whole && snug_eq_str(name, "denominator"))
        *out = jinja_int(1);
    else
        *found = false;
}

static void of_range(const jinja_range *g, snug_slice name, jinja_val *out, bool *found)
{
    *found = true;
    if (snug_eq_str(name, "start"))
        *out = jinja_int(g->start);
    else if (snug_eq_str(name, "stop"))
        *out = jinja_int(g->stop);
    else if (snug_eq_str(name, "step"))
        *out = jinja_int(g->step);
    else
        *found = false;
}

static snug_status of_block(jinja_run *r, const jinja_blockref *b, snug_slice name, jinja_val *out,
                            bool *found)
{
    *found = snug_eq_str(name, "super") || snug_eq_str(name, "name");
    if (!*found) return SNUG_OK;
    *out = jinja_str(b->name);
    if (snug_eq_str(name, "name")) return SNUG_OK;
    *out = jinja_undef_hint("there is no parent block to call with super");
    if (b->impl->next == NULL) return SNUG_OK;
    jinja_blockref *up = jinja_alloc(r, sizeof *up);
    if (up == NULL) return SNUG_ELIMIT;
    *up = (jinja_blockref){b->ctx, b->impl->next, b->name};
    *out = (jinja_val){.kind = VAL_BLOCK, .u.block = up};
    return SNUG_OK;
}

/* What has attributes but no methods in a table. */
static snug_status other_attr(jinja_run *r, jinja_val v, snug_slice name, jinja_val *out,
                              bool *found)
{
    *found = false;
    switch (v.kind) {
    case VAL_BOOL:
    case VAL_INT:
    case VAL_FLOAT: of_number(v, name, out, found); return SNUG_OK;
    case VAL_RANGE: of_range(v.u.range, name, out, found); return SNUG_OK;
    case VAL_NAMESPACE: return of_dict(r, v.u.ns, name, out, found);
    case VAL_MODULE: return of_dict(r, v.u.module->exported, name, out, found);
    case VAL_LOOP: return jinja_loop_attr(r, v, name, out, found);
    case VAL_MACRO: return of_macro(r, v.u.macro, name, out, found);
    case VAL_SELF: return jinja_find_block(r, v.u.ctx, name, out, found);
    case VAL_BLOCK: return of_block(r, v.u.block, name, out, found);
    case VAL_CYCLER:
        *found = snug_eq_str(name, "current");
        if (*found) *out = v.u.cycler->items[v.u.cycler->at];
        return SNUG_OK;
    case VAL_TUPLE:
        *found = (v.flags & VAL_GROUP) != 0 &&
                 (snug_eq_str(name, "grouper") || snug_eq_str(name, "list"));
        if (*found) *out = v.u.items[snug_eq_str(name, "list") ? 1 : 0];
        return SNUG_OK;
    default: return SNUG_OK;
    }
}

static const jinja_builtin *method_of(jinja_val v, const jinja_attr *at)
{
    switch (v.kind) {
    case VAL_STR: return at->of_str;
    case VAL_DICT: return at->of_dict;
    case VAL_LIST:
    case VAL_TUPLE: return at->of_list;
    default: return jinja_find_method((jinja_kind)v.kind, at->name);
    }
}

snug_status jinja_get_attr(jinja_run *r, jinja_val v, const jinja_attr *at, jinja_val *out)
{
    bool found = false;
    if (v.kind == VAL_UNDEFINED) return jinja_undef_fail(r, v);
    const jinja_builtin *f = method_of(v, at);
    if (f != NULL) return jinja_make_method(r, v, f, out);
    bool hidden = jinja_changes((jinja_kind)v.kind, at->name) ||
                  (at->name.len > 0 && at->name.ptr[0] == '_' && v.kind != VAL_DICT);
    if (!hidden) {
        if (v.kind == VAL_DICT)
            JINJA_TRY(of_dict(r, v.u.dict, at->name, out, &found));
        else
            JINJA_TRY(other_attr(r, v, at->name, out, &found));
    }
    if (!found) *out = jinja_undef_attr(v, at->name);
    return SNUG_OK;
}

snug_status jinja_get_attr_named(jinja_run *r, jinja_val v, snug_slice name, jinja_val *out)
{
    jinja_attr at = {.name = name,
                     .of_str = v.kind == VAL_STR ? jinja_find_method(VAL_STR, name) : NULL,
                     .of_dict = v.kind == VAL_DICT ? jinja_find_method(VAL_DICT, name) : NULL,
                     .of_list = v.kind == VAL_LIST || v.kind == VAL_TUPLE
                                    ? jinja_find_method((jinja_kind)v.kind, name)
                                    : NULL};
    return jinja_get_attr(r, v, &at, out);
}

/* ---- items ---- */

/* The item at an index counted from either end; *found false: out of range. */
static snug_status item_at(jinja_run *r, jinja_val v, int64_t i, jinja_val *out, bool *found)
{
    int64_t n;
    JINJA_TRY(jinja_len(r, v, &n));
    if (i < 0) i += n;
    *found = i >= 0 && i < n;
    if (!*found) return SNUG_OK;
    if (v.kind == VAL_RANGE) {
        const jinja_range *g = v.u.range;
        return jinja_int_of_wide(r, (jinja_wide)g->start + (jinja_wide)i * g->step, out);
    }
    if (v.kind != VAL_STR) {
        *out = v.u.items[i];
        return SNUG_OK;
    }
    size_t from = jinja_offset(v, (size_t)i);
    *out = jinja_sub(v, from, from + jinja_offset(jinja_sub(v, from, v.len), 1));
    return (v.flags & VAL_ASCII) != 0 ? SNUG_OK : jinja_step(r, v.len / 64);
}

/* obj[key] as Python has it; *found false stands for its TypeError and LookupError. */
static snug_status plain_item(jinja_run *r, jinja_val v, jinja_val key, jinja_val *out, bool *found)
{
    const jinja_val *value = NULL;
    *found = false;
    switch (v.kind) {
    case VAL_DICT:
        if (key.kind == VAL_LIST || key.kind == VAL_DICT || key.kind == VAL_VIEW) return SNUG_OK;
        JINJA_TRY(jinja_dict_get(r, v.u.dict, key, &value));
        *found = value != NULL;
        if (*found) *out = *value;
        return SNUG_OK;
    case VAL_STR:
    case VAL_LIST:
    case VAL_TUPLE:
    case VAL_RANGE:
        if (!jinja_is_int(key)) return SNUG_OK;
        return jinja_wide_of(key) > INT64_MAX
                   ? SNUG_OK
                   : item_at(r, v, (int64_t)jinja_wide_of(key), out, found);
    case VAL_SELF:
        return key.kind == VAL_STR ? jinja_find_block(r, v.u.ctx, jinja_text(key), out, found)
                                   : SNUG_OK;
    default: return SNUG_OK;
    }
}

snug_status jinja_get_item(jinja_run *r, jinja_val v, jinja_val key, jinja_val *out)
{
    bool found;
    if (v.kind == VAL_UNDEFINED) return jinja_undef_fail(r, v);
    JINJA_TRY(plain_item(r, v, key, out, &found));
    if (found) return SNUG_OK;
    if (key.kind == VAL_STR) return jinja_get_attr_named(r, v, jinja_text(key), out);
    return jinja_undef_item(r, v, key, out);
}

/* ---- slices ---- */

static snug_status bound(jinja_run *r, jinja_val v, int64_t *out, bool *given)
{
    *given = v.kind != VAL_MISSING && v.kind != VAL_NONE;
    if (!*given) return SNUG_OK;
    if (jinja_is_int(v)) return jinja_to_index(r, v, out);
    if (v.kind == VAL_UNDEFINED) return jinja_undef_fail(r, v);
    return jinja_raise(r, "slice indices must be integers or None, not %s", jinja_type_name(v));
}

static int64_t clamp(int64_t i, int64_t n, int64_t low, int64_t high)
{
    if (i < 0) i = i < -n ? -1 : i + n;
    return i < low ? low : i > high ? high : i;
}

static snug_status slice_text(jinja_run *r, jinja_val v, int64_t from, int64_t step, int64_t count,
                              jinja_val *out)
{
    if (step == 1) {
        size_t a = jinja_offset(v, (size_t)from);
        size_t n = jinja_offset(jinja_sub(v, a, v.len), (size_t)count);
        *out = jinja_sub(v, a, a + n);
        return jinja_step(r, (v.flags & VAL_ASCII) != 0 ? 0 : v.len / 64);
    }
    /* The characters' places first, so that any step is one pass. */
    int64_t   n = (int64_t)jinja_chars(v);
    uint32_t *at = NULL;
    snug_buf  b = jinja_buf(r);
    JINJA_TRY(jinja_step(r, (uint64_t)count / 16 + v.len / 64));
    if ((v.flags & VAL_ASCII) == 0) {
        at = jinja_alloc(r, ((size_t)n + 1) * sizeof *at);
        if (at == NULL) return SNUG_ELIMIT;
        size_t pos = 0;
        for (int64_t i = 0; i < n; i++) {
            at[i] = (uint32_t)pos;
            (void)jinja_utf8_at(jinja_text(v), &pos);
        }
        at[n] = v.len;
    }
    for (int64_t k = 0; k < count; k++) {
        int64_t i = from + k * step;
        if (at == NULL)
            snug_buf_putc(&b, v.u.s[i]);
        else
            snug_buf_put(&b, v.u.s + at[i], at[i + 1] - at[i]);
    }
    JINJA_TRY(jinja_str_take(r, &b, out));
    out->flags |= v.flags & VAL_SAFE;
    return SNUG_OK;
}

static snug_status slice_items(jinja_run *r, jinja_val v, int64_t from, int64_t step, int64_t count,
                               jinja_val *out)
{
    if (step == 1) {
        *out = jinja_seq((jinja_kind)v.kind, v.u.items == NULL ? NULL : v.u.items + from,
                         (size_t)count);
        return SNUG_OK;
    }
    JINJA_TRY(jinja_step(r, (uint64_t)count / 4));
    jinja_val *items = jinja_alloc(r, (size_t)count * sizeof *items);
    if (items == NULL) return SNUG_ELIMIT;
    for (int64_t k = 0; k < count; k++) items[k] = v.u.items[from + k * step];
    *out = jinja_seq((jinja_kind)v.kind, items, (size_t)count);
    return SNUG_OK;
}

static snug_status slice_range(jinja_run *r, const jinja_range *g, int64_t from, int64_t to,
                               int64_t step, int64_t count, jinja_val *out)
{
    jinja_wide start = (jinja_wide)g->start + (jinja_wide)from * g->step;
    jinja_wide stop = (jinja_wide)g->start + (jinja_wide)to * g->step,
               wide_step = (jinja_wide)step * g->step;
    jinja_range *n = jinja_alloc(r, sizeof *n);
    if (n == NULL) return SNUG_ELIMIT;
    if (start != (int64_t)start || stop != (int64_t)stop || wide_step != (int64_t)wide_step)
        return jinja_limit(r, "an integer outgrows 64 bits");
    *n = (jinja_range){(int64_t)start, (int64_t)stop, (int64_t)wide_step, (uint64_t)count};
    *out = (jinja_val){.kind = VAL_RANGE, .u.range = n};
    return SNUG_OK;
}

snug_status jinja_get_slice(jinja_run *r, jinja_val v, const jinja_val bounds[3], jinja_val *out)
{
    int64_t from = 0, to = 0, step = 1, n = 0, count = 0;
    bool    has_from, has_to, has_step;
    if (v.kind == VAL_UNDEFINED) return jinja_undef_fail(r, v);
    if (v.kind != VAL_STR && v.kind != VAL_LIST && v.kind != VAL_TUPLE && v.kind != VAL_RANGE)
        return jinja_raise(r, "'%s' object cannot be sliced", jinja_type_name(v));
    JINJA_TRY(bound(r, bounds[0], &from, &has_from));
    JINJA_TRY(bound(r, bounds[1], &to, &has_to));
    JINJA_TRY(bound(r, bounds[2], &step, &has_step));
    if (step == 0) return jinja_raise(r, "slice step cannot be zero");
    JINJA_TRY(jinja_len(r, v, &n));
    int64_t low = step < 0 ? -1 : 0, high = step < 0 ? n - 1 : n;
    from = has_from ? clamp(from, n, low, high) : step < 0 ? high : low;
    to = has_to ? clamp(to, n, low, high) : step < 0 ? low : high;
    if (step > 0 && from < to) count = (to - from - 1) / step + 1;
    if (step < 0 && from > to)
        count = (int64_t)((uint64_t)(from - to - 1) / (0 - (uint64_t)step)) + 1;
    if (v.kind == VAL_RANGE) return slice_range(r, v.u.range, from, to, step, count, out);
    if (count == 0) from = 0;
    if (v.kind == VAL_STR) return slice_text(r, v, from, step, count, out);
    return slice_items(r, v, from, step, count, out);
}

/* ---- paths of filters: attribute="a.b.0" ---- */

static bool all_digits(snug_slice s)
{
    for (size_t at = 0; at < s.len;) {
        if (!jinja_is_digit(jinja_utf8_at(s, &at))) return false;
    }
    return s.len > 0;
}

snug_status jinja_get_path(jinja_run *r, jinja_val v, jinja_val path, jinja_val dflt,
                           jinja_val *out)
{
    snug_slice rest, part;
    *out = v;
    if (path.kind == VAL_NONE || path.kind == VAL_MISSING) return SNUG_OK;
    if (path.kind != VAL_STR) {
        JINJA_TRY(jinja_get_item(r, v, path, out));
        if (out->kind == VAL_UNDEFINED && jinja_given(dflt)) *out = dflt;
        return SNUG_OK;
    }
    rest = jinja_text(path);
    while (snug_split(&rest, '.', &part)) {
        jinja_wide index;
        jinja_val  key = jinja_str(part);
        if (all_digits(part) && jinja_parse_int(part, 10, &index))
            JINJA_TRY(jinja_int_of_wide(r, index, &key));
        JINJA_TRY(jinja_step(r, 1));
        JINJA_TRY(jinja_get_item(r, *out, key, out));
        if (out->kind == VAL_UNDEFINED && jinja_given(dflt)) *out = dflt;
    }
    return SNUG_OK;
}
