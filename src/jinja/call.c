/* SPDX-License-Identifier: Apache-2.0 */
/* jinja/call.c - calling: arguments to parameters, of built-ins and of macros.
 *
 * For:     eval.c, exec.c, filters that call others.
 * Owns:    the stack of values a call needs only while it lasts: chunks that never move, so that
 *          pointers into it stay good. */
#include "jinja/jinja_int.h"

enum { CHUNK_VALUES = 1024 };

/* ---- the stack ---- */

/* n values, MISSING all. mark and used go to jinja_pop. NULL: the memory limit. */
jinja_val *jinja_push(jinja_run *r, size_t n, jinja_chunk **mark, size_t *used)
{
    jinja_chunk *c = r->stack;
    *mark = c;
    *used = c == NULL ? 0 : c->used;
    while (c == NULL || c->cap - c->used < n) {
        jinja_chunk *next = c == NULL ? NULL : c->next;
        if (next == NULL || next->cap < n) {
            size_t       cap = n > CHUNK_VALUES ? n : CHUNK_VALUES;
            jinja_chunk *fresh = cap > SIZE_MAX / 32
                                     ? NULL
                                     : jinja_alloc(r, sizeof *fresh + cap * sizeof(jinja_val));
            if (fresh == NULL) return NULL;
            *fresh = (jinja_chunk){.next = next, .cap = cap};
            if (c != NULL) c->next = fresh;
            next = fresh;
        }
        next->used = 0;
        c = r->stack = next;
    }
    jinja_val *vals = c->vals + c->used;
    c->used += n;
    memset(vals, 0, n * sizeof *vals);
    return vals;
}

void jinja_pop(jinja_run *r, jinja_chunk *mark, size_t used)
{
    if (mark == NULL) { /* the first chunk came with this push: keep it */
        r->stack->used = 0;
        return;
    }
    r->stack = mark;
    mark->used = used;
}

/* ---- built-ins ---- */

static snug_status too_many(jinja_run *r, const jinja_builtin *f, size_t max)
{
    return jinja_raise(r, "%s() takes at most %zu arguments", f->name, max);
}

static snug_status bind_keyword(jinja_run *r, const jinja_builtin *f, const jinja_kw *kw,
                                jinja_call *c)
{
    for (size_t k = 0; k < JINJA_PARAMS_MAX && f->params[k] != NULL; k++) {
        if (!snug_eq_str(kw->name, f->params[k])) continue;
        if (jinja_given(c->a[k]))
            return jinja_raise(r, "%s() got two values for '%s'", f->name, f->params[k]);
        c->a[k] = kw->value;
        return SNUG_OK;
    }
    return jinja_raise(r, "%s() has no parameter '%.*s'", f->name,
                       kw->name.len > 60 ? 60 : (int)kw->name.len, kw->name.ptr);
}

snug_status jinja_call_builtin(jinja_run *r, const jinja_builtin *f, jinja_val self,
                               const jinja_args *args, jinja_val *out)
{
    jinja_call c = {.self = self, .args = args};
    size_t     params = 0;
    JINJA_TRY(jinja_step(r, 1));
    if (f->open) return f->run(r, &c, out);
    while (params < JINJA_PARAMS_MAX && f->params[params] != NULL) params++;
    if (args->pos_count > params) return too_many(r, f, params);
    for (size_t i = 0; i < args->pos_count; i++) c.a[i] = args->pos[i];
    for (size_t i = 0; i < args->kw_count; i++) JINJA_TRY(bind_keyword(r, f, &args->kw[i], &c));
    for (size_t i = 0; i < f->required; i++) {
        if (!jinja_given(c.a[i]))
            return jinja_raise(r, "%s() misses its argument '%s'", f->name, f->params[i]);
    }
    return f->run(r, &c, out);
}

bool jinja_is_callable(jinja_val v)
{
    return v.kind == VAL_FUNC || v.kind == VAL_METHOD || v.kind == VAL_MACRO ||
           v.kind == VAL_JOINER || v.kind == VAL_LOOP || v.kind == VAL_BLOCK ||
           v.kind == VAL_UNDEFINED;
}

static snug_status call_block_ref(jinja_run *r, jinja_val f, const jinja_args *args, jinja_val *out)
{
    if (args->pos_count + args->kw_count > 0) return jinja_raise(r, "a block takes no arguments");
    size_t mark = jinja_capture_begin(r);
    JINJA_TRY(jinja_call_block(r, f.u.block));
    JINJA_TRY(jinja_capture_end(r, mark, out));
    if (r->autoescape) out->flags |= VAL_SAFE;
    return SNUG_OK;
}

static snug_status call_deep(jinja_run *r, jinja_val f, const jinja_args *args, jinja_val *out)
{
    switch (f.kind) {
    case VAL_MACRO: return jinja_call_macro(r, f.u.macro, args, out);
    case VAL_FUNC: return jinja_call_builtin(r, f.u.func, jinja_none(), args, out);
    case VAL_METHOD: return jinja_call_builtin(r, f.u.method->func, f.u.method->self, args, out);
    case VAL_BLOCK: return call_block_ref(r, f, args, out);
    case VAL_JOINER:
        if (args->pos_count + args->kw_count > 0)
            return jinja_raise(r, "a joiner takes no arguments");
        *out = f.u.joiner->used ? f.u.joiner->sep : jinja_lit("");
        f.u.joiner->used = true;
        return SNUG_OK;
    case VAL_LOOP:
        if (args->pos_count != 1 || args->kw_count > 0)
            return jinja_raise(r, "loop() takes one iterable");
        return jinja_recurse(r, f.u.loop, args->pos[0], out);
    case VAL_UNDEFINED: return jinja_undef_fail(r, f);
    default: return jinja_raise(r, "'%s' object is not callable", jinja_type_name(f));
    }
}

snug_status jinja_call_value(jinja_run *r, jinja_val f, const jinja_args *args, jinja_val *out)
{
    JINJA_TRY(jinja_deeper(r));
    JINJA_TRY(call_deep(r, f, args, out));
    r->depth--;
    return SNUG_OK;
}

/* ---- macros ---- */

static const jinja_val *find_kw(const jinja_args *args, snug_slice name)
{
    for (size_t i = 0; i < args->kw_count; i++) {
        if (snug_eq(args->kw[i].name, name)) return &args->kw[i].value;
    }
    return NULL;
}

/* A keyword argument that no parameter takes: into kwargs, or a refusal. */
static snug_status spare_keyword(jinja_run *r, const jinja_macro_def *d, const jinja_kw *kw,
                                 jinja_dict *spare)
{
    if (spare != NULL) return jinja_dict_put(r, spare, jinja_str(kw->name), kw->value);
    if (snug_eq_str(kw->name, "caller"))
        return jinja_raise(r, "macro '%.*s' was called with a block it does not use",
                           SNUG_SLICE(d->name));
    return jinja_raise(r, "macro '%.*s' takes no keyword argument '%.*s'", SNUG_SLICE(d->name),
                       kw->name.len > 60 ? 60 : (int)kw->name.len, kw->name.ptr);
}

/* Which parameter, if any, a keyword goes to: those given by position cannot take one. */
static bool is_taken(const jinja_macro_def *d, const jinja_args *args, snug_slice name)
{
    for (size_t i = args->pos_count; i < d->params.count; i++) {
        if (snug_eq(d->params.refs[i].name->text, name)) return true;
    }
    bool found_caller = d->params.explicit_caller; /* by position: no longer special */
    return d->params.uses_caller && !found_caller && snug_eq_str(name, "caller");
}

static snug_status bind_special(jinja_run *r, const jinja_macro_def *d, const jinja_args *args,
                                jinja_frame *f)
{
    const jinja_params *q = &d->params;
    jinja_dict         *spare = NULL;
    if (q->uses_caller && !q->explicit_caller) {
        const jinja_val *caller = find_kw(args, SNUG_LIT("caller"));
        f->slots[q->caller.slot] = caller != NULL && caller->kind != VAL_NONE
                                       ? *caller
                                       : jinja_undef_hint("No caller defined");
    }
    if (q->uses_kwargs) {
        JINJA_TRY(jinja_dict_new(r, args->kw_count, &spare));
        f->slots[q->kwargs.slot] = (jinja_val){.kind = VAL_DICT, .u.dict = spare};
    }
    for (size_t i = 0; i < args->kw_count; i++) {
        if (!is_taken(d, args, args->kw[i].name))
            JINJA_TRY(spare_keyword(r, d, &args->kw[i], spare));
    }
    size_t spare_count = args->pos_count > q->count ? args->pos_count - q->count : 0;
    if (!q->uses_varargs) {
        if (spare_count == 0) return SNUG_OK;
        return jinja_raise(r, "macro '%.*s' takes not more than %" PRIu32 " argument(s)",
                           SNUG_SLICE(d->name), q->count);
    }
    jinja_val *items = jinja_alloc(r, spare_count * sizeof *items);
    if (items == NULL) return SNUG_ELIMIT;
    if (spare_count > 0) memcpy(items, args->pos + q->count, spare_count * sizeof *items);
    f->slots[q->varargs.slot] = jinja_seq(VAL_TUPLE, items, spare_count);
    return SNUG_OK;
}

static snug_status bind_params(jinja_run *r, const jinja_macro_def *d, const jinja_args *args,
                               jinja_frame *f)
{
    const jinja_params *q = &d->params;
    for (uint32_t i = 0; i < q->count; i++) {
        jinja_val *slot = &f->slots[q->refs[i].slot];
        if (i < args->pos_count)
            *slot = args->pos[i];
        else {
            const jinja_val *kw = find_kw(args, q->refs[i].name->text);
            if (kw != NULL) *slot = *kw;
        }
    }
    JINJA_TRY(bind_special(r, d, args, f));
    JINJA_TRY(jinja_enter_scope(r, f, &d->func.scope));
    for (uint32_t i = 0; i < q->count; i++) { /* defaults see the parameters before them */
        jinja_val *slot = &f->slots[q->refs[i].slot];
        if (jinja_given(*slot)) continue;
        if (q->defaults[i] != NULL) {
            JINJA_TRY(jinja_eval(r, f, q->defaults[i], slot));
            continue;
        }
        snug_slice name = q->refs[i].name->text;
        char      *hint = jinja_alloc(r, name.len + 40);
        if (hint == NULL) return SNUG_ELIMIT;
        (void)snprintf(hint, name.len + 40, "parameter '%.*s' was not provided", SNUG_SLICE(name));
        *slot = jinja_undef_hint(hint);
    }
    return SNUG_OK;
}

snug_status jinja_call_macro(jinja_run *r, const jinja_macro *m, const jinja_args *args,
                             jinja_val *out)
{
    const jinja_macro_def *d = m->def;
    const jinja_template  *tmpl = r->tmpl;
    jinja_context         *ctx = r->ctx;
    bool                   autoescape = r->autoescape;
    uint32_t               line = r->line;
    jinja_frame           *f;
    jinja_chunk           *mark = NULL;
    size_t                 used = 0;
    size_t                 slots = d->func.slot_count + sizeof(jinja_frame) / sizeof(jinja_val) + 1;
    bool                   heap = d->func.captured;
    JINJA_TRY(jinja_step(r, 1 + d->func.slot_count / 16));
    if (heap)
        JINJA_TRY(jinja_frame_new(r, &d->func, m->outer, &f));
    else {
        f = (jinja_frame *)(void *)jinja_push(r, slots, &mark, &used);
        if (f == NULL) return SNUG_ELIMIT;
        f->outer = m->outer;
    }
    r->autoescape = m->autoescape;
    r->tmpl = m->tmpl;
    r->ctx = m->ctx;
    JINJA_TRY(bind_params(r, d, args, f));
    size_t capture = jinja_capture_begin(r);
    JINJA_TRY(jinja_exec(r, f, &d->body));
    JINJA_TRY(jinja_capture_end(r, capture, out));
    r->tmpl = tmpl;
    r->ctx = ctx;
    r->autoescape = autoescape;
    r->line = line;
    if (autoescape) out->flags |= VAL_SAFE;
    if (!heap) jinja_pop(r, mark, used);
    return SNUG_OK;
}
