/* SPDX-License-Identifier: Apache-2.0 */
/* jinja/bind.c - which variable a name means: every name in the tree gets a slot.
 *
 * For:     parse.c, once per template.
 * Truth:   the rules are jinja2's, so the surprises are too. Per scope, first all names are looked
 *          at, then the code inside is bound:
 *
 *     first seen being read, unknown further out   RESOLVE   from the context, on entering
 *     first seen being set, known further out      ALIAS     a copy of that value, on entering
 *     first seen being set, unknown                UNDEFINED until it is set
 *     set in a branch of an if only                ALIAS, or RESOLVE when unknown further out
 *     a parameter or loop variable                 PARAM     set by whoever enters
 *
 * A name read in an inner scope and known further out is that outer variable itself; macros see
 * it change. A for, with, filter, set block or macro is a scope; an if is none. */
#include "jinja/jinja_int.h"

enum { DUMP_MAX = 1000000 }; /* variables handed to includes and scoped blocks, summed over all tags */

typedef struct jinja_scope_b scope;
typedef struct jinja_sym     sym;

struct jinja_sym {
    jinja_name *name;
    sym        *below; /* the same name further out */
    scope      *scope;
    uint32_t    slot, from;
    uint16_t    from_up;
    uint8_t     how;
    bool        stored;
};

struct jinja_scope_b {
    scope      *parent;
    jinja_func *func;
    uint16_t    level; /* of the function */
    jinja_vec   syms;
    jinja_vec   log; /* changes inside branches: syms; the lowest bit says "made", not "stored" */
    unsigned    branches;
};

typedef struct binder {
    jinja_parser *p;
    scope        *cur;
    bool          soft; /* an unknown filter fails only when it is used */
    size_t        dumped;
} binder;

static snug_status bind_body(binder *b, jinja_body *body);
static snug_status bind_expr(binder *b, jinja_node *n);
static void        look_body(binder *b, const jinja_body *body);

/* ---- scopes and their names ---- */

static void open_scope(binder *b, scope *s, jinja_func *own)
{
    *s = (scope){.parent = b->cur};
    s->func = own != NULL ? own : b->cur->func;
    if (b->cur != NULL) s->level = (uint16_t)(b->cur->level + (own != NULL ? 1 : 0));
    b->cur = s;
}

static void close_scope(binder *b, jinja_scope *out)
{
    scope *s = b->cur;
    *out = (jinja_scope){.loads = snug_arena_zalloc(b->p->arena, s->syms.count * sizeof *out->loads)};
    for (uint32_t i = 0; i < s->syms.count; i++) {
        sym *y = s->syms.items[i];
        y->name->top = y->below;
        y->name->hint_scope = NULL;
        out->loads[out->count++] =
            (struct jinja_scope_load){y->name, (jinja_load)y->how, y->slot, y->from, y->from_up};
    }
    b->cur = s->parent;
}

static sym *here(const binder *b, const jinja_name *name)
{
    return name->top != NULL && name->top->scope == b->cur ? name->top : NULL;
}

static void log_change(binder *b, sym *y, bool made)
{
    if (b->cur->branches > 0) jinja_vec_add(b->p, &b->cur->log, (void *)((uintptr_t)y | made));
}

static void make_alias(binder *b, sym *y, const sym *of)
{
    y->how = LOAD_ALIAS;
    y->from = of->slot;
    y->from_up = (uint16_t)(b->cur->level - of->scope->level);
}

static sym *make(binder *b, jinja_name *name, jinja_load how)
{
    sym *y = SNUG_NEW(b->p->arena, sym);
    y->name = name;
    y->below = name->top;
    y->scope = b->cur;
    y->how = (uint8_t)how;
    /* One slot per name and scope, also when several branches of an if introduce it. */
    y->slot = name->hint_scope == b->cur ? name->hint_slot : b->cur->func->slot_count++;
    name->hint_scope = b->cur;
    name->hint_slot = y->slot;
    name->top = y;
    jinja_vec_add(b->p, &b->cur->syms, y);
    log_change(b, y, true);
    return y;
}

static void mark_stored(binder *b, sym *y)
{
    if (y->stored) return;
    y->stored = true;
    log_change(b, y, false);
}

static void look_load(binder *b, jinja_name *name)
{
    if (name->top == NULL) (void)make(b, name, LOAD_RESOLVE);
}

static void look_store(binder *b, jinja_name *name)
{
    sym *y = here(b, name);
    if (y == NULL) {
        sym *outer = name->top;
        y = make(b, name, LOAD_UNDEFINED);
        if (outer != NULL) make_alias(b, y, outer);
    }
    mark_stored(b, y);
}

static void look_param(binder *b, jinja_name *name)
{
    sym *y = here(b, name);
    if (y == NULL) y = make(b, name, LOAD_PARAM);
    y->how = LOAD_PARAM;
    mark_stored(b, y);
}

/* ---- looking: the names of one scope, without entering inner ones ---- */

static void look_expr(binder *b, const jinja_node *n);

static void look_args(binder *b, const jinja_arg_nodes *a)
{
    if (a == NULL) return;
    for (uint32_t i = 0; i < a->pos_count; i++) look_expr(b, a->pos[i]);
    for (uint32_t i = 0; i < a->kw_count; i++) look_expr(b, a->kw[i].value);
    look_expr(b, a->star);
    look_expr(b, a->dstar);
}

static void look_expr(binder *b, const jinja_node *n)
{
    if (n == NULL) return;
    switch (n->kind) {
    case N_CONST: break;
    case N_NAME: look_load(b, n->u.ref.name); break;
    case N_LIST:
    case N_TUPLE:
    case N_DICT:
    case N_CONCAT:
        for (uint32_t i = 0; i < n->u.list.count; i++) look_expr(b, n->u.list.items[i]);
        break;
    case N_COMPARE:
        look_expr(b, n->u.compare.first);
        for (uint32_t i = 0; i < n->u.compare.count; i++) look_expr(b, n->u.compare.rest[i]);
        break;
    case N_ATTR: look_expr(b, n->u.attr.owner); break;
    case N_CALL:
        look_expr(b, n->u.call.callee);
        look_args(b, n->u.call.args);
        break;
    case N_FILTER:
    case N_TEST:
        look_expr(b, n->u.filter.value);
        look_args(b, n->u.filter.args);
        break;
    default:
        look_expr(b, n->u.kid.a);
        look_expr(b, n->u.kid.b);
        look_expr(b, n->u.kid.c);
        break;
    }
}

static void look_target(binder *b, const jinja_node *n, bool param)
{
    if (n->kind == N_TUPLE) {
        for (uint32_t i = 0; i < n->u.list.count; i++) look_target(b, n->u.list.items[i], param);
    } else if (n->kind == N_NSREF) {
        look_load(b, n->u.nsref.ref.name);
    } else if (param) {
        look_param(b, n->u.ref.name);
    } else {
        look_store(b, n->u.ref.name);
    }
}

/* ---- branches: each starts from what was known before the if ---- */

typedef struct found { /* by a branch: taken back afterwards, then merged */
    sym  now;
    bool made;
} found;

typedef struct branch {
    uint32_t log, syms;
} branch;

static branch begin_branch(binder *b)
{
    b->cur->branches++;
    return (branch){b->cur->log.count, b->cur->syms.count};
}

static void end_branch(binder *b, branch from, jinja_vec *out)
{
    scope *s = b->cur;
    for (uint32_t i = s->log.count; i > from.log; i--) {
        uintptr_t entry = (uintptr_t)s->log.items[i - 1];
        sym      *y = (sym *)(entry & ~(uintptr_t)1);
        found    *f = SNUG_NEW(b->p->arena, found);
        *f = (found){*y, (entry & 1) != 0};
        if (f->made) y->name->top = y->below;
        else y->stored = false;
        if (f->made || f->now.how != LOAD_PARAM) jinja_vec_add(b->p, out, f);
    }
    s->log.count = from.log;
    s->syms.count = from.syms;
    s->branches--;
}

static void merge_branches(binder *b, const jinja_vec *all)
{
    for (uint32_t i = 0; i < all->count; i++) {
        const found *f = all->items[i];
        sym         *y = here(b, f->now.name);
        if (y == NULL) y = make(b, f->now.name, LOAD_RESOLVE);
        if (f->now.stored) mark_stored(b, y);
    }
    for (uint32_t i = 0; i < all->count; i++) {
        const found *f = all->items[i];
        sym         *y = here(b, f->now.name);
        if (f->now.stored && y->below != NULL) make_alias(b, y, y->below);
    }
}

static void look_if(binder *b, const jinja_node *n)
{
    jinja_vec all = {0};
    look_expr(b, n->u.cond.conds[0]);
    branch from = begin_branch(b);
    look_body(b, &n->u.cond.bodies[0]);
    end_branch(b, from, &all);
    from = begin_branch(b); /* all elif together, each with a branch of its own inside */
    for (uint32_t i = 1; i < n->u.cond.count; i++) {
        jinja_vec one = {0};
        look_expr(b, n->u.cond.conds[i]);
        branch inner = begin_branch(b);
        look_body(b, &n->u.cond.bodies[i]);
        end_branch(b, inner, &one);
        merge_branches(b, &one);
    }
    end_branch(b, from, &all);
    from = begin_branch(b);
    look_body(b, &n->u.cond.other);
    end_branch(b, from, &all);
    merge_branches(b, &all);
}

static void look_import(binder *b, const jinja_node *n)
{
    const jinja_import *i = n->u.import;
    look_expr(b, i->which);
    if (n->kind == N_IMPORT) look_store(b, i->target.name);
    for (uint32_t k = 0; k < i->name_count; k++) look_store(b, i->names[k].target.name);
}

static void look_node(binder *b, const jinja_node *n)
{
    switch (n->kind) {
    case N_PRINT:
        for (uint32_t i = 0; i < n->u.list.count; i++) look_expr(b, n->u.list.items[i]);
        break;
    case N_IF: look_if(b, n); break;
    case N_FOR: look_expr(b, n->u.loop->iter); break;
    case N_SET:
        look_expr(b, n->u.set.value);
        look_target(b, n->u.set.target, false);
        break;
    case N_SETBLOCK: look_target(b, n->u.setblock->target, false); break;
    case N_MACRO: look_store(b, n->u.macro.target.name); break;
    case N_CALLBLOCK: look_expr(b, n->u.callblock.call); break;
    case N_FILTERBLOCK: look_expr(b, n->u.filterblock->filter); break;
    case N_WITH:
        for (uint32_t i = 0; i < n->u.with->count; i++) look_expr(b, n->u.with->values[i]);
        break;
    case N_EXTENDS: look_expr(b, n->u.expr); break;
    case N_INCLUDE:
    case N_IMPORT:
    case N_FROM: look_import(b, n); break;
    default: break; /* text, jumps, blocks and scopes that are entered later */
    }
}

static void look_body(binder *b, const jinja_body *body)
{
    for (uint32_t i = 0; i < body->count; i++) look_node(b, body->items[i]);
}

/* ---- binding ---- */

static void bind_ref(const binder *b, jinja_ref *ref)
{
    const sym *y = ref->name->top;
    SNUG_ASSERT(y != NULL); /* looked at before */
    ref->slot = y->slot;
    ref->up = (uint16_t)(b->cur->level - y->scope->level);
}

static snug_status bind_args(binder *b, jinja_arg_nodes *a)
{
    if (a == NULL) return SNUG_OK;
    for (uint32_t i = 0; i < a->pos_count; i++) JINJA_TRY(bind_expr(b, a->pos[i]));
    for (uint32_t i = 0; i < a->kw_count; i++) JINJA_TRY(bind_expr(b, a->kw[i].value));
    JINJA_TRY(bind_expr(b, a->star));
    return bind_expr(b, a->dstar);
}

static snug_status bind_list(binder *b, jinja_node **items, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) JINJA_TRY(bind_expr(b, items[i]));
    return SNUG_OK;
}

static snug_status bind_filter(binder *b, jinja_node *n)
{
    if (n->u.filter.func == NULL && !b->soft)
        return jinja_parse_fail(b->p, n->line, "there is no %s named '%.*s'",
                                n->kind == N_FILTER ? "filter" : "test",
                                n->u.filter.name.len > 60 ? 60 : (int)n->u.filter.name.len,
                                n->u.filter.name.ptr);
    JINJA_TRY(bind_expr(b, n->u.filter.value));
    return bind_args(b, n->u.filter.args);
}

static snug_status bind_kids(binder *b, jinja_node *n)
{
    bool soft = b->soft;
    b->soft = soft || n->kind == N_COND;
    JINJA_TRY(bind_expr(b, n->u.kid.a));
    JINJA_TRY(bind_expr(b, n->u.kid.b));
    JINJA_TRY(bind_expr(b, n->u.kid.c));
    b->soft = soft;
    return SNUG_OK;
}

static snug_status bind_expr(binder *b, jinja_node *n)
{
    if (n == NULL) return SNUG_OK;
    switch (n->kind) {
    case N_CONST: return SNUG_OK;
    case N_NAME: bind_ref(b, &n->u.ref); return SNUG_OK;
    case N_LIST:
    case N_TUPLE:
    case N_DICT:
    case N_CONCAT: return bind_list(b, n->u.list.items, n->u.list.count);
    case N_COMPARE:
        JINJA_TRY(bind_expr(b, n->u.compare.first));
        return bind_list(b, n->u.compare.rest, n->u.compare.count);
    case N_ATTR: return bind_expr(b, n->u.attr.owner);
    case N_CALL:
        JINJA_TRY(bind_expr(b, n->u.call.callee));
        return bind_args(b, n->u.call.args);
    case N_FILTER:
    case N_TEST: return bind_filter(b, n);
    default: return bind_kids(b, n);
    }
}

static void bind_target(binder *b, jinja_node *n)
{
    if (n->kind == N_TUPLE) {
        for (uint32_t i = 0; i < n->u.list.count; i++) bind_target(b, n->u.list.items[i]);
    } else {
        bind_ref(b, n->kind == N_NSREF ? &n->u.nsref.ref : &n->u.ref);
    }
}

/* The variables set so far that a template or block further in may see. */
static snug_status bind_dump(binder *b, jinja_dump *out, uint32_t line)
{
    jinja_vec v = {0};
    for (const scope *s = b->cur; s != NULL; s = s->parent) {
        for (uint32_t i = 0; i < s->syms.count; i++) {
            sym *y = s->syms.items[i];
            if (y->stored && y->name->top == y) jinja_vec_add(b->p, &v, y);
        }
        b->dumped += s->syms.count;
    }
    if (b->dumped > DUMP_MAX)
        return snug_fail(b->p->err, SNUG_ELIMIT,
                         "template line %" PRIu32 ": too many variables in sight of its includes", line);
    out->count = v.count;
    out->refs = snug_arena_zalloc(b->p->arena, v.count * sizeof *out->refs);
    for (uint32_t i = 0; i < v.count; i++) {
        out->refs[i].name = ((sym *)v.items[i])->name;
        bind_ref(b, &out->refs[i]);
    }
    return SNUG_OK;
}

/* A body in a scope of its own within the same function. */
static snug_status bind_inner(binder *b, jinja_body *body, jinja_scope *out)
{
    scope s;
    bool  soft = b->soft;
    open_scope(b, &s, NULL);
    b->soft = false;
    look_body(b, body);
    JINJA_TRY(bind_body(b, body));
    close_scope(b, out);
    b->soft = soft;
    return SNUG_OK;
}

static snug_status bind_for_test(binder *b, jinja_for *f, uint32_t loop_first)
{
    scope s;
    if (f->test == NULL) return SNUG_OK;
    open_scope(b, &s, NULL);
    uint32_t first = s.func->slot_count;
    look_target(b, f->target, true);
    look_expr(b, f->test);
    JINJA_TRY(bind_expr(b, f->test));
    close_scope(b, &f->test_scope);
    /* The same names in the same order: slot for slot at the same distance. */
    f->test_shift = (int32_t)first - (int32_t)loop_first;
    return SNUG_OK;
}

static snug_status bind_for(binder *b, jinja_for *f)
{
    scope s, outer;
    bool  soft = b->soft;
    JINJA_TRY(bind_expr(b, f->iter));
    b->soft = false;
    if (f->recursive) {
        b->cur->func->captured = true; /* the loop object may be kept */
        open_scope(b, &outer, &f->func);
    }
    open_scope(b, &s, NULL);
    if (f->has_loop) {
        f->loop.name = jinja_name_of(b->p, SNUG_LIT("loop"));
        look_param(b, f->loop.name);
        bind_ref(b, &f->loop);
    }
    uint32_t first = s.func->slot_count;
    look_target(b, f->target, true);
    look_body(b, &f->body);
    bind_target(b, f->target);
    JINJA_TRY(bind_body(b, &f->body));
    close_scope(b, &f->scope);
    JINJA_TRY(bind_for_test(b, f, first));
    JINJA_TRY(bind_inner(b, &f->other, &f->other_scope));
    if (f->recursive) close_scope(b, &f->func.scope);
    b->soft = soft;
    return SNUG_OK;
}

static snug_status bind_macro(binder *b, jinja_macro_def *d)
{
    scope         s;
    jinja_params *q = &d->params;
    bool          soft = b->soft;
    b->cur->func->captured = true; /* the macro keeps it */
    open_scope(b, &s, &d->func);
    b->soft = false;
    for (uint32_t i = 0; i < q->count; i++) look_param(b, q->refs[i].name);
    jinja_ref *special[] = {&q->caller, &q->kwargs, &q->varargs};
    for (size_t i = 0; i < 3; i++) {
        if (special[i]->name != NULL) look_param(b, special[i]->name);
    }
    for (uint32_t i = 0; i < q->count; i++) look_expr(b, q->defaults[i]);
    look_body(b, &d->body);
    for (uint32_t i = 0; i < q->count; i++) {
        bind_ref(b, &q->refs[i]);
        JINJA_TRY(bind_expr(b, q->defaults[i]));
    }
    for (size_t i = 0; i < 3; i++) {
        if (special[i]->name != NULL) bind_ref(b, special[i]);
    }
    JINJA_TRY(bind_body(b, &d->body));
    close_scope(b, &d->func.scope);
    b->soft = soft;
    return SNUG_OK;
}

static snug_status bind_with(binder *b, jinja_node *n)
{
    scope s;
    bool  soft = b->soft;
    for (uint32_t i = 0; i < n->u.with->count; i++) JINJA_TRY(bind_expr(b, n->u.with->values[i]));
    open_scope(b, &s, NULL);
    b->soft = false;
    if (n->kind == N_AUTOESCAPE) look_expr(b, n->u.with->values[0]);
    for (uint32_t i = 0; i < n->u.with->count; i++) look_target(b, n->u.with->targets[i], true);
    look_body(b, &n->u.with->body);
    if (n->kind == N_AUTOESCAPE) JINJA_TRY(bind_expr(b, n->u.with->values[0]));
    for (uint32_t i = 0; i < n->u.with->count; i++) bind_target(b, n->u.with->targets[i]);
    JINJA_TRY(bind_body(b, &n->u.with->body));
    close_scope(b, &n->u.with->scope);
    b->soft = soft;
    return SNUG_OK;
}

/* A set or filter block: its filter runs inside the scope of its body. */
static snug_status bind_captured(binder *b, jinja_node *filter, jinja_body *body, jinja_scope *out)
{
    scope s;
    bool  soft = b->soft;
    open_scope(b, &s, NULL);
    b->soft = false;
    look_body(b, body);
    look_expr(b, filter);
    JINJA_TRY(bind_body(b, body));
    JINJA_TRY(bind_expr(b, filter));
    close_scope(b, out);
    b->soft = soft;
    return SNUG_OK;
}

static snug_status bind_if(binder *b, jinja_node *n)
{
    bool soft = b->soft;
    b->soft = true;
    for (uint32_t i = 0; i < n->u.cond.count; i++) {
        JINJA_TRY(bind_expr(b, n->u.cond.conds[i]));
        JINJA_TRY(bind_body(b, &n->u.cond.bodies[i]));
    }
    JINJA_TRY(bind_body(b, &n->u.cond.other));
    b->soft = soft;
    return SNUG_OK;
}

static snug_status bind_import(binder *b, jinja_node *n)
{
    jinja_import *i = n->u.import;
    JINJA_TRY(bind_expr(b, i->which));
    if (n->kind == N_IMPORT) bind_ref(b, &i->target);
    for (uint32_t k = 0; k < i->name_count; k++) bind_ref(b, &i->names[k].target);
    return i->with_context ? bind_dump(b, &i->locals, n->line) : SNUG_OK;
}

static snug_status bind_node(binder *b, jinja_node *n)
{
    switch (n->kind) {
    case N_PRINT: return bind_list(b, n->u.list.items, n->u.list.count);
    case N_IF: return bind_if(b, n);
    case N_FOR: return bind_for(b, n->u.loop);
    case N_SET:
        bind_target(b, n->u.set.target);
        return bind_expr(b, n->u.set.value);
    case N_SETBLOCK:
        bind_target(b, n->u.setblock->target);
        return bind_captured(b, n->u.setblock->filter, &n->u.setblock->body, &n->u.setblock->scope);
    case N_MACRO:
        bind_ref(b, &n->u.macro.target);
        return bind_macro(b, n->u.macro.def);
    case N_CALLBLOCK:
        JINJA_TRY(bind_macro(b, n->u.callblock.def));
        return bind_expr(b, n->u.callblock.call);
    case N_FILTERBLOCK:
        return bind_captured(b, n->u.filterblock->filter, &n->u.filterblock->body,
                             &n->u.filterblock->scope);
    case N_WITH:
    case N_AUTOESCAPE:
    case N_GENERATION: return bind_with(b, n);
    case N_BLOCK:
        return n->u.block->scoped ? bind_dump(b, &n->u.block->locals, n->line) : SNUG_OK;
    case N_EXTENDS: return bind_expr(b, n->u.expr);
    case N_INCLUDE:
    case N_IMPORT:
    case N_FROM: return bind_import(b, n);
    default: return SNUG_OK;
    }
}

static snug_status bind_body(binder *b, jinja_body *body)
{
    for (uint32_t i = 0; i < body->count; i++) JINJA_TRY(bind_node(b, body->items[i]));
    return SNUG_OK;
}

/* A function nothing is known around: the template or one of its blocks. */
static snug_status bind_function(binder *b, jinja_func *func, jinja_body *body, jinja_ref *self,
                                 jinja_ref *super)
{
    scope      s;
    jinja_ref *special[] = {self, super};
    b->cur = NULL;
    b->soft = false;
    open_scope(b, &s, func);
    for (size_t i = 0; i < 2; i++) {
        if (special[i] == NULL || special[i]->name == NULL) continue;
        look_param(b, special[i]->name);
        bind_ref(b, special[i]);
    }
    look_body(b, body);
    JINJA_TRY(bind_body(b, body));
    close_scope(b, &func->scope);
    return SNUG_OK;
}

snug_status jinja_bind(jinja_parser *p)
{
    binder b = {.p = p};
    JINJA_TRY(bind_function(&b, &p->t->func, &p->t->body, &p->t->self, NULL));
    for (jinja_block *k = p->t->blocks; k != NULL; k = k->next)
        JINJA_TRY(bind_function(&b, &k->func, &k->body, &k->self, &k->super));
    return SNUG_OK;
}
