/* SPDX-License-Identifier: Apache-2.0 */
/* jinja/template.c - a rendering: its context, and how templates use one another.
 *
 * For:     callers of jinja.h; exec.c for include, import, extends and blocks.
 * Owns:    the run and its arena, from the first value to the last.
 * Truth:   a template that fails leaves no output behind. */
#include "jinja/jinja_int.h"

enum { EXTENDS_MAX = 32 };

/* ---- variables ---- */

snug_status jinja_resolve(jinja_run *r, const jinja_context *c, snug_slice name, jinja_val *out)
{
    const jinja_val *v = NULL;
    bool             bare = false;
    for (; c != NULL && v == NULL; c = c->parent) {
        JINJA_TRY(jinja_dict_find(r, &c->vars, name, &v));
        if (v == NULL && c->locals != NULL) JINJA_TRY(jinja_dict_find(r, c->locals, name, &v));
        bare = c->bare;
    }
    if (v == NULL && !bare) JINJA_TRY(jinja_dict_find(r, r->context, name, &v));
    if (v == NULL) JINJA_TRY(jinja_dict_find(r, r->globals, name, &v));
    if (v != NULL) {
        *out = *v;
        return SNUG_OK;
    }
    const jinja_builtin *f = jinja_find_global(name);
    *out = f == NULL ? (jinja_val){0} : (jinja_val){.kind = VAL_FUNC, .u.func = f};
    return SNUG_OK;
}

snug_status jinja_set_var(jinja_run *r, snug_slice name, jinja_val v, bool export)
{
    jinja_context   *c = r->ctx;
    const jinja_val *old;
    JINJA_TRY(jinja_dict_put(r, &c->vars, jinja_str(name), v));
    if (name.ptr[0] == '_') return SNUG_OK;
    if (export) return jinja_dict_put(r, &c->exported, jinja_str(name), v);
    JINJA_TRY(jinja_dict_find(r, &c->exported, name, &old));
    return old == NULL ? SNUG_OK : jinja_dict_put(r, &c->exported, jinja_str(name), (jinja_val){0});
}

static snug_status take_locals(jinja_run *r, jinja_frame *f, const jinja_dump *d, jinja_dict **out)
{
    JINJA_TRY(jinja_dict_new(r, d->count, out));
    for (uint32_t i = 0; i < d->count; i++) {
        jinja_frame *at = f;
        for (uint16_t up = d->refs[i].up; up > 0; up--) at = at->outer;
        jinja_val v = at->slots[d->refs[i].slot];
        if (jinja_given(v)) JINJA_TRY(jinja_dict_put(r, *out, jinja_str(d->refs[i].name->text), v));
    }
    return SNUG_OK;
}

/* ---- contexts and blocks ---- */

static snug_status find_stack(jinja_run *r, jinja_context *c, snug_slice name,
                              jinja_block_stack **out)
{
    uint64_t probes = 0;
    for (*out = c->blocks; *out != NULL && !snug_eq((*out)->name, name); *out = (*out)->next)
        probes++;
    return jinja_step(r, 1 + probes / 4);
}

/* A template's blocks go behind those of the templates that extend it. */
static snug_status add_blocks(jinja_run *r, jinja_context *c, const jinja_template *t)
{
    for (const jinja_block *b = t->blocks; b != NULL; b = b->next) {
        jinja_block_stack        *s = NULL;
        struct jinja_block_impl **at, *impl = jinja_alloc(r, sizeof *impl);
        if (c->tmpl != t) JINJA_TRY(find_stack(r, c, b->name, &s));
        if (impl == NULL) return SNUG_ELIMIT;
        *impl = (struct jinja_block_impl){.block = b, .tmpl = t};
        if (s == NULL) {
            s = jinja_alloc(r, sizeof *s);
            if (s == NULL) return SNUG_ELIMIT;
            *s = (jinja_block_stack){.name = b->name, .next = c->blocks};
            c->blocks = s;
        }
        for (at = &s->first; *at != NULL; at = &(*at)->next) {
        }
        *at = impl;
        JINJA_TRY(jinja_step(r, 1));
    }
    return SNUG_OK;
}

static snug_status new_context(jinja_run *r, const jinja_template *t, const jinja_context *parent,
                               jinja_dict *locals, jinja_context **out)
{
    jinja_context *c = jinja_alloc(r, sizeof *c);
    if (c == NULL) return SNUG_ELIMIT;
    *c = (jinja_context){.parent = parent, .locals = locals, .tmpl = t};
    *out = c;
    return add_blocks(r, c, t);
}

/* The run as it is while one template's text runs inside another's. */
typedef struct saved {
    const jinja_template *tmpl;
    jinja_context        *ctx;
    uint32_t              line;
    bool                  autoescape;
} saved;

static saved switch_to(jinja_run *r, const jinja_template *t, jinja_context *c)
{
    saved was = {r->tmpl, r->ctx, r->line, r->autoescape};
    r->tmpl = t;
    r->ctx = c;
    r->autoescape = t->autoescape;
    return was;
}

static void switch_back(jinja_run *r, saved was)
{
    r->tmpl = was.tmpl;
    r->ctx = was.ctx;
    r->line = was.line;
    r->autoescape = was.autoescape;
}

snug_status jinja_call_block(jinja_run *r, const jinja_blockref *b)
{
    const jinja_block *k = b->impl->block;
    jinja_frame       *f;
    JINJA_TRY(jinja_deeper(r));
    JINJA_TRY(jinja_frame_new(r, &k->func, NULL, &f));
    if (k->uses_self) f->slots[k->self.slot] = (jinja_val){.kind = VAL_SELF, .u.ctx = b->ctx};
    if (k->uses_super) {
        jinja_val self = {.kind = VAL_BLOCK, .u.block = b};
        JINJA_TRY(jinja_get_attr_named(r, self, SNUG_LIT("super"), &f->slots[k->super.slot]));
    }
    saved was = switch_to(r, b->impl->tmpl, b->ctx);
    JINJA_TRY(jinja_enter_scope(r, f, &k->func.scope));
    JINJA_TRY(jinja_exec(r, f, &k->body));
    switch_back(r, was);
    r->depth--;
    return SNUG_OK;
}

snug_status jinja_find_block(jinja_run *r, jinja_context *ctx, snug_slice name, jinja_val *out,
                             bool *found)
{
    jinja_block_stack *s;
    JINJA_TRY(find_stack(r, ctx, name, &s));
    *found = s != NULL;
    if (s == NULL) return SNUG_OK;
    jinja_blockref *b = jinja_alloc(r, sizeof *b);
    if (b == NULL) return SNUG_ELIMIT;
    *b = (jinja_blockref){ctx, s->first, s->name};
    *out = (jinja_val){.kind = VAL_BLOCK, .u.block = b};
    return SNUG_OK;
}

snug_status jinja_exec_block(jinja_run *r, jinja_frame *f, const jinja_block *b)
{
    jinja_context     *c = r->ctx;
    jinja_block_stack *s;
    jinja_dict        *locals;
    if (b->scoped) {
        JINJA_TRY(take_locals(r, f, &b->locals, &locals));
        jinja_context *inner = jinja_alloc(r, sizeof *inner);
        if (inner == NULL) return SNUG_ELIMIT;
        *inner = (jinja_context){
            .parent = c, .locals = locals, .blocks = c->blocks, .tmpl = c->tmpl, .bare = c->bare};
        c = inner;
    }
    JINJA_TRY(find_stack(r, c, b->name, &s));
    SNUG_ASSERT(s != NULL); /* the template's own blocks are in its context */
    if (b->required && s->first->next == NULL)
        return jinja_raise(r, "the required block '%.*s' is not there", SNUG_SLICE(b->name));
    jinja_blockref  ref = {c, s->first, s->name};
    jinja_blockref *kept = jinja_alloc(r, sizeof *kept); /* super() may keep it */
    if (kept == NULL) return SNUG_ELIMIT;
    *kept = ref;
    return jinja_call_block(r, kept);
}

/* ---- running a template ---- */

static snug_status run_root(jinja_run *r, const jinja_template *t, jinja_context *c)
{
    jinja_frame *f;
    saved        was = switch_to(r, t, c);
    JINJA_TRY(jinja_frame_new(r, &t->func, NULL, &f));
    if (t->uses_self) f->slots[t->self.slot] = (jinja_val){.kind = VAL_SELF, .u.ctx = c};
    JINJA_TRY(jinja_enter_scope(r, f, &t->func.scope));
    JINJA_TRY(jinja_exec(r, f, &t->body));
    switch_back(r, was);
    return SNUG_OK;
}

/* The template, then the one it extends, and so on. */
static snug_status run_template(jinja_run *r, const jinja_template *t, jinja_context *c)
{
    JINJA_TRY(jinja_deeper(r));
    JINJA_TRY(run_root(r, t, c));
    for (unsigned hops = 0; c->extended != NULL; hops++) {
        const jinja_template *parent = c->extended;
        if (hops == EXTENDS_MAX)
            return jinja_limit(r, "a chain of more than %d templates extending one another",
                               EXTENDS_MAX);
        c->extended = NULL;
        JINJA_TRY(run_root(r, parent, c));
    }
    r->depth--;
    return SNUG_OK;
}

static snug_status load(jinja_run *r, jinja_val name, const jinja_template **out)
{
    if (name.kind == VAL_UNDEFINED) return jinja_undef_fail(r, name);
    if (name.kind != VAL_STR)
        return jinja_raise(r, "the name of a template is a string, not %s", jinja_type_name(name));
    if (r->env->load == NULL) return jinja_raise(r, "this template may not use other templates");
    *out = NULL;
    snug_status st = r->env->load(r->env->load_arg, jinja_text(name), out, r->err);
    SNUG_ASSERT(st != SNUG_OK || *out != NULL);
    return st;
}

snug_status jinja_exec_extends(jinja_run *r, jinja_frame *f, const jinja_node *n)
{
    jinja_val             name;
    const jinja_template *t;
    if (r->ctx->extended != NULL) return jinja_raise(r, "extended multiple times");
    JINJA_TRY(jinja_eval(r, f, n->u.expr, &name));
    JINJA_TRY(load(r, name, &t));
    r->ctx->extended = t;
    return add_blocks(r, r->ctx, t);
}

/* One name, or the first of several that is there. */
static snug_status load_any(jinja_run *r, jinja_val which, const jinja_template **out)
{
    snug_status st = SNUG_ENOTFOUND;
    if (which.kind != VAL_LIST && which.kind != VAL_TUPLE) return load(r, which, out);
    if (which.len == 0) return snug_fail(r->err, SNUG_ENOTFOUND, "a list of no templates");
    for (uint32_t i = 0; st == SNUG_ENOTFOUND && i < which.len; i++) {
        st = load(r, which.u.items[i], out);
        JINJA_TRY(jinja_step(r, 100)); /* loading is work outside of our counting */
    }
    return st;
}

/* The context another template runs in: ours and our variables, or nothing but globals. */
static snug_status inner_context(jinja_run *r, jinja_frame *f, const jinja_import *n,
                                 const jinja_template *t, jinja_context **out)
{
    jinja_dict *locals = NULL;
    if (n->with_context) JINJA_TRY(take_locals(r, f, &n->locals, &locals));
    JINJA_TRY(new_context(r, t, n->with_context ? r->ctx : NULL, locals, out));
    (*out)->bare = !n->with_context || r->ctx->bare;
    return SNUG_OK;
}

snug_status jinja_exec_include(jinja_run *r, jinja_frame *f, const jinja_import *n)
{
    jinja_val             which;
    const jinja_template *t;
    jinja_context        *c;
    JINJA_TRY(jinja_eval(r, f, n->which, &which));
    snug_status st = load_any(r, which, &t);
    if (st == SNUG_ENOTFOUND && n->ignore_missing) {
        snug_err_clear(r->err);
        return SNUG_OK;
    }
    JINJA_TRY(st);
    JINJA_TRY(inner_context(r, f, n, t, &c));
    return run_template(r, t, c);
}

static snug_status import_module(jinja_run *r, jinja_frame *f, const jinja_import *n,
                                 jinja_module **out)
{
    jinja_val             which, text;
    const jinja_template *t;
    jinja_context        *c;
    JINJA_TRY(jinja_eval(r, f, n->which, &which));
    JINJA_TRY(load(r, which, &t));
    JINJA_TRY(inner_context(r, f, n, t, &c));
    size_t mark = jinja_capture_begin(r);
    JINJA_TRY(run_template(r, t, c));
    JINJA_TRY(jinja_capture_end(r, mark, &text));
    if (t->autoescape) text.flags |= VAL_SAFE;
    *out = jinja_alloc(r, sizeof **out);
    if (*out == NULL) return SNUG_ELIMIT;
    **out = (jinja_module){t, &c->exported, text};
    return SNUG_OK;
}

static snug_status import_name(jinja_run *r, const jinja_module *m, snug_slice name, jinja_val *out)
{
    const jinja_val *v;
    JINJA_TRY(jinja_dict_find(r, m->exported, name, &v));
    if (v != NULL && jinja_given(*v)) {
        *out = *v;
        return SNUG_OK;
    }
    char *hint = jinja_alloc(r, 300);
    if (hint == NULL) return SNUG_ELIMIT;
    (void)snprintf(hint, 300, "the template '%.*s' does not export the requested name '%.*s'",
                   m->tmpl->name.len > 100 ? 100 : (int)m->tmpl->name.len, m->tmpl->name.ptr,
                   name.len > 100 ? 100 : (int)name.len, name.ptr);
    *out = jinja_undef_hint(hint);
    return SNUG_OK;
}

snug_status jinja_exec_import(jinja_run *r, jinja_frame *f, const jinja_node *n)
{
    const jinja_import *i = n->u.import;
    jinja_module       *m;
    JINJA_TRY(import_module(r, f, i, &m));
    if (n->kind == N_IMPORT) {
        jinja_val v = {.kind = VAL_MODULE, .u.module = m};
        f->slots[i->target.slot] = v;
        return i->toplevel ? jinja_set_var(r, i->target.name->text, v, false) : SNUG_OK;
    }
    for (uint32_t k = 0; k < i->name_count; k++) {
        jinja_val *slot = &f->slots[i->names[k].target.slot];
        JINJA_TRY(import_name(r, m, i->names[k].name, slot));
        if (i->toplevel) JINJA_TRY(jinja_set_var(r, i->names[k].target.name->text, *slot, false));
    }
    return SNUG_OK;
}

/* ---- the public call ---- */

static snug_status take_object(jinja_run *r, snug_json j, const char *what, jinja_dict **out)
{
    jinja_val v;
    if (snug_json_is(j, SNUG_JSON_ABSENT)) return jinja_dict_new(r, 0, out);
    if (!snug_json_is(j, SNUG_JSON_OBJECT))
        return snug_fail(r->err, SNUG_EINVAL, "the %s of a template is a JSON object, not %s", what,
                         snug_json_kind_name(snug_json_kind(j)));
    JINJA_TRY(jinja_from_json(r, j, &v));
    *out = v.u.dict;
    return SNUG_OK;
}

static snug_status run(jinja_run *r, const jinja_template *t, snug_json context)
{
    jinja_context *c;
    JINJA_TRY(take_object(r, context, "context", &r->context));
    JINJA_TRY(take_object(r, r->env->globals, "globals", &r->globals));
    JINJA_TRY(new_context(r, t, NULL, NULL, &c));
    return run_template(r, t, c);
}

snug_status jinja_render(const jinja_template *t, snug_json context, const jinja_env *env,
                         snug_buf *out, snug_err *err)
{
    static const jinja_env plain;
    snug_err               own;
    if (env == NULL) env = &plain;
    const jinja_limits *l = &env->limits;
    jinja_run           r = {.env = env,
                             .arena = snug_arena_new(),
                             .err = err == NULL ? &own : err,
                             .tmpl = t,
                             .steps_max = l->steps == 0 ? JINJA_STEPS_MAX : l->steps,
                             .memory_max = l->memory == 0 ? JINJA_MEMORY_MAX : l->memory,
                             .output_max = l->output == 0 ? JINJA_OUTPUT_MAX : l->output,
                             .depth_max = l->depth == 0 ? JINJA_DEPTH_MAX : l->depth,
                             .out = out,
                             .out_base = out->len};
    r.capture = snug_buf_init(r.output_max);
    snug_status st = run(&r, t, context);
    if (st != SNUG_OK) {
        out->len = r.out_base;
        out->full = false;
    }
    snug_buf_deinit(&r.capture);
    snug_arena_free(r.arena);
    return st;
}
