/* SPDX-License-Identifier: Apache-2.0 */
/* jinja/eval.c - expressions: nodes to values.
 *
 * For:     exec.c.
 * Truth:   operands are evaluated left to right, once, and only when needed; every evaluation is a
 *          step and a level of depth. */
#include "jinja/jinja_int.h"

/* ---- names, literals ---- */

static snug_status eval_name(jinja_frame *f, const jinja_ref *ref, jinja_val *out)
{
    for (uint16_t up = ref->up; up > 0; up--) f = f->outer;
    *out = f->slots[ref->slot];
    if (!jinja_given(*out)) *out = jinja_undef_name(ref->name->text);
    return SNUG_OK;
}

static snug_status eval_items(jinja_run *r, jinja_frame *f, const jinja_node *n, jinja_val *out)
{
    jinja_val *items = jinja_alloc(r, n->u.list.count * sizeof *items);
    if (items == NULL) return SNUG_ELIMIT;
    for (uint32_t i = 0; i < n->u.list.count; i++)
        JINJA_TRY(jinja_eval(r, f, n->u.list.items[i], &items[i]));
    *out = jinja_seq(n->kind == N_LIST ? VAL_LIST : VAL_TUPLE, items, n->u.list.count);
    return SNUG_OK;
}

static snug_status eval_dict(jinja_run *r, jinja_frame *f, const jinja_node *n, jinja_val *out)
{
    jinja_dict *d;
    jinja_val   key, value;
    JINJA_TRY(jinja_dict_new(r, n->u.list.count / 2, &d));
    for (uint32_t i = 0; i < n->u.list.count; i += 2) {
        JINJA_TRY(jinja_eval(r, f, n->u.list.items[i], &key));
        JINJA_TRY(jinja_eval(r, f, n->u.list.items[i + 1], &value));
        JINJA_TRY(jinja_dict_put(r, d, key, value));
    }
    *out = (jinja_val){.kind = VAL_DICT, .u.dict = d};
    return SNUG_OK;
}

/* ---- operators ---- */

static snug_status eval_binary(jinja_run *r, jinja_frame *f, const jinja_node *n, jinja_val *out)
{
    jinja_val a, b;
    JINJA_TRY(jinja_eval(r, f, n->u.kid.a, &a));
    JINJA_TRY(jinja_eval(r, f, n->u.kid.b, &b));
    r->line = n->line;
    return jinja_arith(r, (jinja_op)n->op, a, b, out);
}

static snug_status eval_logic(jinja_run *r, jinja_frame *f, const jinja_node *n, jinja_val *out)
{
    JINJA_TRY(jinja_eval(r, f, n->u.kid.a, out));
    if (jinja_truth(*out) == (n->kind == N_OR)) return SNUG_OK;
    return jinja_eval(r, f, n->u.kid.b, out);
}

static snug_status eval_unary(jinja_run *r, jinja_frame *f, const jinja_node *n, jinja_val *out)
{
    JINJA_TRY(jinja_eval(r, f, n->u.kid.a, out));
    if (n->kind == N_NOT) {
        *out = jinja_bool(!jinja_truth(*out));
        return SNUG_OK;
    }
    r->line = n->line;
    return jinja_negate(r, *out, n->kind == N_NEG, out);
}

static snug_status compare_one(jinja_run *r, jinja_op op, jinja_val a, jinja_val b, bool *yes)
{
    switch (op) {
    case OP_EQ: return jinja_equal(r, a, b, yes);
    case OP_NE:
        JINJA_TRY(jinja_equal(r, a, b, yes));
        *yes = !*yes;
        return SNUG_OK;
    case OP_IN: return jinja_contains(r, a, b, yes);
    case OP_NOTIN:
        JINJA_TRY(jinja_contains(r, a, b, yes));
        *yes = !*yes;
        return SNUG_OK;
    default: return jinja_order(r, op, a, b, yes);
    }
}

static snug_status eval_compare(jinja_run *r, jinja_frame *f, const jinja_node *n, jinja_val *out)
{
    jinja_val a, b;
    bool      yes = true;
    JINJA_TRY(jinja_eval(r, f, n->u.compare.first, &a));
    for (uint32_t i = 0; yes && i < n->u.compare.count; i++) {
        JINJA_TRY(jinja_eval(r, f, n->u.compare.rest[i], &b));
        r->line = n->line;
        JINJA_TRY(compare_one(r, (jinja_op)n->u.compare.ops[i], a, b, &yes));
        a = b;
    }
    *out = jinja_bool(yes);
    return SNUG_OK;
}

/* With autoescape on, one piece of markup makes the whole markup and the others are escaped. */
static snug_status eval_concat(jinja_run *r, jinja_frame *f, const jinja_node *n, jinja_val *out)
{
    jinja_val text, one;
    *out = jinja_lit("");
    for (uint32_t i = 0; i < n->u.list.count; i++) {
        JINJA_TRY(jinja_eval(r, f, n->u.list.items[i], &one));
        JINJA_TRY(jinja_to_str(r, one, &text));
        if (!r->autoescape) text.flags &= (uint8_t)~VAL_SAFE;
        if (i == 0)
            *out = text;
        else
            JINJA_TRY(jinja_join(r, *out, text, out));
    }
    return SNUG_OK;
}

static snug_status eval_cond(jinja_run *r, jinja_frame *f, const jinja_node *n, jinja_val *out)
{
    jinja_val test;
    JINJA_TRY(jinja_eval(r, f, n->u.kid.a, &test));
    if (jinja_truth(test)) return jinja_eval(r, f, n->u.kid.b, out);
    if (n->u.kid.c != NULL) return jinja_eval(r, f, n->u.kid.c, out);
    *out = jinja_undef_hint("the inline if-expression was false and has no else");
    return SNUG_OK;
}

/* ---- attributes, items ---- */

static snug_status eval_attr(jinja_run *r, jinja_frame *f, const jinja_node *n, jinja_val *out)
{
    jinja_val owner;
    JINJA_TRY(jinja_eval(r, f, n->u.attr.owner, &owner));
    r->line = n->line;
    return jinja_get_attr(r, owner, &n->u.attr, out);
}

static snug_status eval_item(jinja_run *r, jinja_frame *f, const jinja_node *n, jinja_val *out)
{
    jinja_val         owner, key, bounds[3] = {{0}, {0}, {0}};
    const jinja_node *k = n->u.kid.b;
    JINJA_TRY(jinja_eval(r, f, n->u.kid.a, &owner));
    if (k->kind != N_SLICE) {
        JINJA_TRY(jinja_eval(r, f, k, &key));
        r->line = n->line;
        return jinja_get_item(r, owner, key, out);
    }
    if (k->u.kid.a != NULL) JINJA_TRY(jinja_eval(r, f, k->u.kid.a, &bounds[0]));
    if (k->u.kid.b != NULL) JINJA_TRY(jinja_eval(r, f, k->u.kid.b, &bounds[1]));
    if (k->u.kid.c != NULL) JINJA_TRY(jinja_eval(r, f, k->u.kid.c, &bounds[2]));
    r->line = n->line;
    return jinja_get_slice(r, owner, bounds, out);
}

/* ---- calls ---- */

typedef struct arg_room { /* arguments on the run's stack */
    jinja_args   args;
    jinja_chunk *mark;
    size_t       used;
    bool         pushed;
} arg_room;

static void drop_args(jinja_run *r, const arg_room *room)
{
    if (room->pushed) jinja_pop(r, room->mark, room->used);
}

static snug_status add_dstar(jinja_run *r, jinja_val v, jinja_kw *kw, size_t *count)
{
    if (v.kind == VAL_UNDEFINED) return jinja_undef_fail(r, v);
    if (v.kind != VAL_DICT)
        return jinja_raise(r, "what stands behind ** is a mapping, not %s", jinja_type_name(v));
    for (uint32_t i = 0; i < v.u.dict->count; i++) {
        const jinja_pair *p = &v.u.dict->pairs[i];
        if (p->key.kind != VAL_STR) return jinja_raise(r, "keywords must be strings");
        for (size_t k = 0; k < *count; k++) {
            if (snug_eq(kw[k].name, jinja_text(p->key)))
                return jinja_raise(r, "two values for the keyword argument '%.*s'",
                                   SNUG_SLICE(kw[k].name));
        }
        JINJA_TRY(jinja_step(r, 1 + *count / 4));
        kw[(*count)++] = (jinja_kw){jinja_text(p->key), p->value};
    }
    return SNUG_OK;
}

/* Evaluates arguments; `caller` is one more keyword argument. */
static snug_status eval_args(jinja_run *r, jinja_frame *f, const jinja_arg_nodes *a,
                             const jinja_val *caller, arg_room *room)
{
    jinja_val star = {0}, dstar = {0};
    size_t    spread = 0, kw_spread = 0, n, kw_count = 0;
    *room = (arg_room){0};
    if (a == NULL && caller == NULL) return SNUG_OK;
    static const jinja_arg_nodes none;
    if (a == NULL) a = &none;
    /* Spread arguments come last in the source order that matters: positional, *a, named, **b. */
    size_t     pairs = (sizeof(jinja_kw) + sizeof(jinja_val) - 1) / sizeof(jinja_val);
    size_t     base = a->pos_count + (a->kw_count + (caller != NULL)) * pairs;
    jinja_val *vals = jinja_push(r, base, &room->mark, &room->used);
    if (vals == NULL) return SNUG_ELIMIT;
    room->pushed = true;
    for (n = 0; n < a->pos_count; n++) JINJA_TRY(jinja_eval(r, f, a->pos[n], &vals[n]));
    if (a->star != NULL) {
        JINJA_TRY(jinja_eval(r, f, a->star, &star));
        JINJA_TRY(jinja_list_of(r, star, &star));
        spread = star.len;
    }
    jinja_kw *kw = (jinja_kw *)(void *)(vals + a->pos_count);
    for (; kw_count < a->kw_count; kw_count++) {
        jinja_val v;
        JINJA_TRY(jinja_eval(r, f, a->kw[kw_count].value, &v));
        kw[kw_count] = (jinja_kw){a->kw[kw_count].name, v};
    }
    if (a->dstar != NULL) JINJA_TRY(jinja_eval(r, f, a->dstar, &dstar));
    if (dstar.kind == VAL_DICT) kw_spread = dstar.u.dict->count;
    if (caller != NULL) kw[kw_count++] = (jinja_kw){SNUG_LIT("caller"), *caller};
    if (spread + (a->dstar != NULL) > 0) { /* more room is needed: in the arena, as it is rare */
        jinja_val *wide = jinja_alloc(r, (n + spread) * sizeof *wide);
        jinja_kw  *wide_kw = jinja_alloc(r, (kw_count + kw_spread) * sizeof *wide_kw);
        if (wide == NULL || wide_kw == NULL) return SNUG_ELIMIT;
        if (n > 0) memcpy(wide, vals, n * sizeof *wide);
        if (spread > 0) memcpy(wide + n, star.u.items, spread * sizeof *wide);
        if (kw_count > 0) memcpy(wide_kw, kw, kw_count * sizeof *wide_kw);
        if (a->dstar != NULL) JINJA_TRY(add_dstar(r, dstar, wide_kw, &kw_count));
        vals = wide;
        kw = wide_kw;
        n += spread;
    }
    room->args = (jinja_args){vals, kw, n, kw_count};
    return SNUG_OK;
}

/* "x.strip()" needs no method value in between. */
static const jinja_builtin *direct_method(jinja_val owner, const jinja_attr *at)
{
    switch (owner.kind) {
    case VAL_STR: return at->of_str;
    case VAL_DICT: return at->of_dict;
    case VAL_LIST:
    case VAL_TUPLE: return at->of_list;
    default: return NULL;
    }
}

snug_status jinja_call_node(jinja_run *r, jinja_frame *f, const jinja_node *n,
                            const jinja_val *caller, jinja_val *out)
{
    const jinja_node    *callee = n->u.call.callee;
    const jinja_builtin *direct = NULL;
    jinja_val            fn, owner = {0};
    arg_room             room;
    if (callee->kind == N_ATTR) {
        JINJA_TRY(jinja_eval(r, f, callee->u.attr.owner, &owner));
        r->line = callee->line;
        direct = direct_method(owner, &callee->u.attr);
        if (direct == NULL) JINJA_TRY(jinja_get_attr(r, owner, &callee->u.attr, &fn));
    } else {
        JINJA_TRY(jinja_eval(r, f, callee, &fn));
    }
    JINJA_TRY(eval_args(r, f, n->u.call.args, caller, &room));
    r->line = n->line;
    if (direct != NULL)
        JINJA_TRY(jinja_call_builtin(r, direct, owner, &room.args, out));
    else
        JINJA_TRY(jinja_call_value(r, fn, &room.args, out));
    drop_args(r, &room);
    return SNUG_OK;
}

/* A filter or test; `value` replaces the captured text of a filter block at the chain's start. */
snug_status jinja_filter_value(jinja_run *r, jinja_frame *f, const jinja_node *n,
                               const jinja_val *value, jinja_val *out)
{
    jinja_val v;
    arg_room  room;
    bool      filter = n->kind == N_FILTER;
    if (n->u.filter.value == NULL)
        v = *value;
    else if (value != NULL) {
        JINJA_TRY(jinja_deeper(r));
        JINJA_TRY(jinja_filter_value(r, f, n->u.filter.value, value, &v));
        r->depth--;
    } else
        JINJA_TRY(jinja_eval(r, f, n->u.filter.value, &v));
    r->line = n->line;
    if (n->u.filter.func == NULL)
        return jinja_raise(r, "there is no %s named '%.*s'", filter ? "filter" : "test",
                           n->u.filter.name.len > 60 ? 60 : (int)n->u.filter.name.len,
                           n->u.filter.name.ptr);
    JINJA_TRY(eval_args(r, f, n->u.filter.args, NULL, &room));
    r->line = n->line;
    JINJA_TRY(jinja_call_builtin(r, n->u.filter.func, v, &room.args, out));
    drop_args(r, &room);
    return SNUG_OK;
}

/* ---- any expression ---- */

static snug_status eval_deep(jinja_run *r, jinja_frame *f, const jinja_node *n, jinja_val *out)
{
    switch (n->kind) {
    case N_LIST:
    case N_TUPLE: return eval_items(r, f, n, out);
    case N_DICT: return eval_dict(r, f, n, out);
    case N_NEG:
    case N_POS:
    case N_NOT: return eval_unary(r, f, n, out);
    case N_BINARY: return eval_binary(r, f, n, out);
    case N_AND:
    case N_OR: return eval_logic(r, f, n, out);
    case N_COMPARE: return eval_compare(r, f, n, out);
    case N_CONCAT: return eval_concat(r, f, n, out);
    case N_COND: return eval_cond(r, f, n, out);
    case N_ATTR: return eval_attr(r, f, n, out);
    case N_ITEM: return eval_item(r, f, n, out);
    case N_CALL: return jinja_call_node(r, f, n, NULL, out);
    default: return jinja_filter_value(r, f, n, NULL, out);
    }
}

snug_status jinja_eval(jinja_run *r, jinja_frame *f, const jinja_node *n, jinja_val *out)
{
    JINJA_TRY(jinja_step(r, 1));
    if (n->kind == N_CONST) {
        *out = n->u.value;
        return SNUG_OK;
    }
    if (n->kind == N_NAME) return eval_name(f, &n->u.ref, out);
    JINJA_TRY(jinja_deeper(r));
    JINJA_TRY(eval_deep(r, f, n, out));
    r->depth--;
    return SNUG_OK;
}
