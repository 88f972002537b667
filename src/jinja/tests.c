/* SPDX-License-Identifier: Apache-2.0 */
/* jinja/tests.c - what may stand behind `is`.
 *
 * For:     the parser (names), select and reject. */
#include "jinja/jinja_int.h"

static snug_status yes_no(jinja_val *out, bool yes)
{
    *out = jinja_bool(yes);
    return SNUG_OK;
}

static snug_status is_defined(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    (void)r;
    return yes_no(out, c->self.kind != VAL_UNDEFINED);
}

static snug_status is_undefined(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    (void)r;
    return yes_no(out, c->self.kind == VAL_UNDEFINED);
}

static snug_status is_none(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    (void)r;
    return yes_no(out, c->self.kind == VAL_NONE);
}

static snug_status is_boolean(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    (void)r;
    return yes_no(out, c->self.kind == VAL_BOOL);
}

static snug_status is_true(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    (void)r;
    return yes_no(out, c->self.kind == VAL_BOOL && c->self.u.b);
}

static snug_status is_false(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    (void)r;
    return yes_no(out, c->self.kind == VAL_BOOL && !c->self.u.b);
}

static snug_status is_integer(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    (void)r;
    return yes_no(out, c->self.kind == VAL_INT);
}

static snug_status is_float(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    (void)r;
    return yes_no(out, c->self.kind == VAL_FLOAT);
}

static snug_status is_number(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    (void)r;
    return yes_no(out, jinja_is_num(c->self));
}

static snug_status is_string(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    (void)r;
    return yes_no(out, c->self.kind == VAL_STR);
}

static snug_status is_mapping(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    (void)r;
    return yes_no(out, c->self.kind == VAL_DICT);
}

static snug_status is_iterable(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    (void)r;
    return yes_no(out, jinja_is_iterable(c->self));
}

/* Has a length and takes an index; so does an undefined value, as far as Python can see. */
static snug_status is_sequence(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    jinja_kind k = (jinja_kind)c->self.kind;
    (void)r;
    return yes_no(out, k == VAL_STR || k == VAL_LIST || k == VAL_TUPLE || k == VAL_DICT ||
                           k == VAL_RANGE || k == VAL_UNDEFINED);
}

static snug_status is_callable(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    (void)r;
    return yes_no(out, jinja_is_callable(c->self));
}

static snug_status is_escaped(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    (void)r;
    return yes_no(out, jinja_is_safe(c->self) || c->self.kind == VAL_MODULE);
}

static snug_status is_sameas(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    (void)r;
    return yes_no(out, jinja_identical(c->self, c->a[0]));
}

/* ---- numbers ---- */

static snug_status modulo_is(jinja_run *r, jinja_val v, jinja_val by, int64_t want, jinja_val *out)
{
    jinja_val rest;
    bool      same;
    JINJA_TRY(jinja_arith(r, OP_MOD, v, by, &rest));
    JINJA_TRY(jinja_equal(r, rest, jinja_int(want), &same));
    return yes_no(out, same);
}

static snug_status is_odd(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return modulo_is(r, c->self, jinja_int(2), 1, out);
}

static snug_status is_even(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return modulo_is(r, c->self, jinja_int(2), 0, out);
}

static snug_status is_divisibleby(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return modulo_is(r, c->self, c->a[0], 0, out);
}

/* ---- text ---- */

static snug_status one_case(jinja_run *r, jinja_val v, bool upper, jinja_val *out)
{
    jinja_val text;
    bool      any = false, all = true;
    JINJA_TRY(jinja_to_str(r, v, &text));
    JINJA_TRY(jinja_step(r, text.len / 32));
    for (size_t at = 0; all && at < text.len;) {
        uint32_t cp = jinja_utf8_at(jinja_text(text), &at);
        bool     is_up = jinja_is_upper(cp), is_low = jinja_is_lower(cp);
        any = any || (upper ? is_up : is_low);
        all = !jinja_is_title(cp) && !(upper ? is_low : is_up);
    }
    return yes_no(out, any && all);
}

static snug_status is_lower(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return one_case(r, c->self, false, out);
}
static snug_status is_upper(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return one_case(r, c->self, true, out);
}

static snug_status is_filter(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    if (c->self.kind != VAL_STR) {
        JINJA_TRY(jinja_hashable(r, c->self));
        return yes_no(out, false);
    }
    return yes_no(out, jinja_find_filter(jinja_text(c->self)) != NULL);
}

static snug_status is_test(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    if (c->self.kind != VAL_STR) {
        JINJA_TRY(jinja_hashable(r, c->self));
        return yes_no(out, false);
    }
    return yes_no(out, jinja_find_test(jinja_text(c->self)) != NULL);
}

/* ---- comparisons ---- */

static snug_status is_in(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    bool yes;
    JINJA_TRY(jinja_contains(r, c->self, c->a[0], &yes));
    return yes_no(out, yes);
}

static snug_status is_eq(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    bool yes;
    JINJA_TRY(jinja_equal(r, c->self, c->a[0], &yes));
    return yes_no(out, yes);
}

static snug_status is_ne(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    bool yes;
    JINJA_TRY(jinja_equal(r, c->self, c->a[0], &yes));
    return yes_no(out, !yes);
}

static snug_status ordered(jinja_run *r, jinja_op op, const jinja_call *c, jinja_val *out)
{
    bool yes;
    JINJA_TRY(jinja_order(r, op, c->self, c->a[0], &yes));
    return yes_no(out, yes);
}

static snug_status is_gt(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return ordered(r, OP_GT, c, out);
}
static snug_status is_ge(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return ordered(r, OP_GE, c, out);
}
static snug_status is_lt(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return ordered(r, OP_LT, c, out);
}
static snug_status is_le(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return ordered(r, OP_LE, c, out);
}

static const jinja_builtin table[] = {
    {.name = "defined", .run = is_defined},
    {.name = "undefined", .run = is_undefined},
    {.name = "none", .run = is_none},
    {.name = "boolean", .run = is_boolean},
    {.name = "true", .run = is_true},
    {.name = "false", .run = is_false},
    {.name = "integer", .run = is_integer},
    {.name = "float", .run = is_float},
    {.name = "number", .run = is_number},
    {.name = "string", .run = is_string},
    {.name = "mapping", .run = is_mapping},
    {.name = "iterable", .run = is_iterable},
    {.name = "sequence", .run = is_sequence},
    {.name = "callable", .run = is_callable},
    {.name = "escaped", .run = is_escaped},
    {.name = "sameas", .run = is_sameas, .required = 1, .params = {"other"}},
    {.name = "odd", .run = is_odd},
    {.name = "even", .run = is_even},
    {.name = "divisibleby", .run = is_divisibleby, .required = 1, .params = {"num"}},
    {.name = "lower", .run = is_lower},
    {.name = "upper", .run = is_upper},
    {.name = "filter", .run = is_filter},
    {.name = "test", .run = is_test},
    {.name = "in", .run = is_in, .required = 1, .params = {"seq"}},
    {.name = "eq", .run = is_eq, .required = 1, .params = {""}},
    {.name = "==", .run = is_eq, .required = 1, .params = {""}},
    {.name = "equalto", .run = is_eq, .required = 1, .params = {""}},
    {.name = "ne", .run = is_ne, .required = 1, .params = {""}},
    {.name = "!=", .run = is_ne, .required = 1, .params = {""}},
    {.name = "gt", .run = is_gt, .required = 1, .params = {""}},
    {.name = ">", .run = is_gt, .required = 1, .params = {""}},
    {.name = "greaterthan", .run = is_gt, .required = 1, .params = {""}},
    {.name = "ge", .run = is_ge, .required = 1, .params = {""}},
    {.name = ">=", .run = is_ge, .required = 1, .params = {""}},
    {.name = "lt", .run = is_lt, .required = 1, .params = {""}},
    {.name = "<", .run = is_lt, .required = 1, .params = {""}},
    {.name = "lessthan", .run = is_lt, .required = 1, .params = {""}},
    {.name = "le", .run = is_le, .required = 1, .params = {""}},
    {.name = "<=", .run = is_le, .required = 1, .params = {""}},
    {.name = NULL},
};

const jinja_builtin *jinja_find_in(const jinja_builtin *t, snug_slice name)
{
    for (; t->name != NULL; t++) {
        if (snug_eq_str(name, t->name)) return t;
    }
    return NULL;
}

const jinja_builtin *jinja_find_test(snug_slice name) { return jinja_find_in(table, name); }
