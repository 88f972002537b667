/* SPDX-License-Identifier: Apache-2.0 */
/* jinja/parse.c - statements: a template's text to its tree.
 *
 * For:     template.c.
 * Truth:   the tree is at most JINJA_NEST_MAX blocks and brackets deep, each expression in it at
 *          most JINJA_CHAIN_MAX, so that what walks it may recurse. */
#include "jinja/jinja_int.h"

static snug_status parse_body(jinja_parser *p, const char *const *ends, jinja_body *out);

/* ---- tokens ---- */

snug_status jinja_advance(jinja_parser *p)
{
    if (p->has_ahead) {
        p->tok = p->ahead;
        p->has_ahead = false;
        return SNUG_OK;
    }
    return jinja_lex_next(&p->lx, &p->tok);
}

snug_status jinja_look(jinja_parser *p)
{
    if (p->has_ahead) return SNUG_OK;
    p->has_ahead = true;
    return jinja_lex_next(&p->lx, &p->ahead);
}

snug_status jinja_parse_fail(jinja_parser *p, uint32_t line, const char *fmt, ...)
{
    char    msg[256];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    return jinja_syntax(p->err, p->lx.name, line, "%s", msg);
}

bool jinja_at_name(const jinja_parser *p, const char *name)
{
    return p->tok.kind == TOK_NAME && snug_eq_str(p->tok.text, name);
}

bool jinja_at_op(const jinja_parser *p, uint32_t op)
{
    return p->tok.kind == TOK_OP && p->tok.op == op;
}

/* What the reader sees at the cursor, for messages. */
static void describe(const jinja_tok *t, char out[64])
{
    switch (t->kind) {
    case TOK_EOF: (void)snprintf(out, 64, "the end of the template"); break;
    case TOK_PRINT_END: (void)snprintf(out, 64, "}}"); break;
    case TOK_TAG_END: (void)snprintf(out, 64, "%%}"); break;
    case TOK_STRING: (void)snprintf(out, 64, "a string"); break;
    case TOK_INT:
    case TOK_FLOAT: (void)snprintf(out, 64, "a number"); break;
    case TOK_NAME:
        (void)snprintf(out, 64, "'%.*s'", t->text.len > 40 ? 40 : (int)t->text.len, t->text.ptr);
        break;
    case TOK_OP: (void)snprintf(out, 64, "'%c%c'", (int)(t->op & 0xff), (int)(t->op >> 8)); break;
    default: (void)snprintf(out, 64, "text"); break;
    }
    if (t->kind == TOK_OP && t->op >> 8 == 0) (void)snprintf(out, 64, "'%c'", (int)t->op);
}

static snug_status expected(jinja_parser *p, const char *what)
{
    char got[64];
    describe(&p->tok, got);
    return jinja_parse_fail(p, p->tok.line, "%s is expected, not %s", what, got);
}

snug_status jinja_expect_op(jinja_parser *p, uint32_t op)
{
    char what[8];
    if (jinja_at_op(p, op)) return jinja_advance(p);
    (void)snprintf(what, sizeof what, "'%c'", (int)op);
    return expected(p, what);
}

static snug_status expect_name(jinja_parser *p, const char *name)
{
    return jinja_at_name(p, name) ? jinja_advance(p) : expected(p, name);
}

static snug_status skip_name(jinja_parser *p, const char *name, bool *yes)
{
    *yes = jinja_at_name(p, name);
    return *yes ? jinja_advance(p) : SNUG_OK;
}

static snug_status take_word(jinja_parser *p, snug_slice *out)
{
    if (p->tok.kind != TOK_NAME) return expected(p, "a name");
    *out = p->tok.text;
    return jinja_advance(p);
}

/* ---- bodies ---- */

/* What a body may do, restored behind it. */
typedef struct place {
    bool     toplevel, can_break;
    unsigned uses, hidden;
} place;

static place enter_inner(jinja_parser *p)
{
    place was = {p->toplevel, p->can_break, p->uses, p->hidden};
    p->toplevel = false;
    return was;
}

/* As enter_inner, into a function of its own. */
static place enter_function(jinja_parser *p)
{
    place was = enter_inner(p);
    p->can_break = false;
    p->uses = p->hidden = 0;
    return was;
}

/* What the function used, its user uses too. */
static unsigned leave_function(jinja_parser *p, place was)
{
    unsigned uses = p->uses;
    p->toplevel = was.toplevel;
    p->can_break = was.can_break;
    p->uses = was.uses | (uses & ~was.hidden);
    p->hidden |= was.hidden;
    return uses;
}

static void leave_inner(jinja_parser *p, place was)
{
    p->toplevel = was.toplevel;
    p->can_break = was.can_break;
}

/* "%}" and the body up to one of `ends`, where the cursor stays; `drop`: behind it. */
static snug_status parse_until(jinja_parser *p, const char *const *ends, bool drop, jinja_body *out)
{
    uint32_t line = p->tok.line;
    if (jinja_at_op(p, ':')) JINJA_TRY(jinja_advance(p));
    if (p->tok.kind != TOK_TAG_END) return expected(p, "the end of the tag");
    JINJA_TRY(jinja_advance(p));
    JINJA_TRY(jinja_enter(p));
    JINJA_TRY(parse_body(p, ends, out));
    p->nest--;
    if (p->tok.kind == TOK_EOF)
        return jinja_parse_fail(p, line, "the template ends before {%% %s %%}", ends[0]);
    return drop ? jinja_advance(p) : SNUG_OK;
}

static snug_status parse_one_end(jinja_parser *p, const char *end, jinja_body *out)
{
    const char *const ends[] = {end, NULL};
    return parse_until(p, ends, true, out);
}

/* ---- if, for ---- */

static snug_status parse_if(jinja_parser *p, jinja_node *n)
{
    static const char *const ends[] = {"endif", "elif", "else", NULL};
    jinja_vec                conds = {0}, bodies = {0};
    bool                     more = true, is_else = false;
    while (more) {
        jinja_node *cond;
        jinja_body *body = SNUG_NEW(p->arena, jinja_body);
        JINJA_TRY(jinja_advance(p)); /* if, elif */
        JINJA_TRY(jinja_parse_tuple(p, false, false, &cond));
        JINJA_TRY(parse_until(p, ends, false, body));
        jinja_vec_add(p, &conds, cond);
        jinja_vec_add(p, &bodies, body);
        more = jinja_at_name(p, "elif");
    }
    JINJA_TRY(skip_name(p, "else", &is_else));
    if (is_else)
        JINJA_TRY(parse_one_end(p, "endif", &n->u.cond.other));
    else
        JINJA_TRY(jinja_advance(p));
    n->u.cond.conds = (jinja_node **)conds.items;
    n->u.cond.count = conds.count;
    n->u.cond.bodies = snug_arena_alloc(p->arena, bodies.count * sizeof(jinja_body));
    for (uint32_t i = 0; i < bodies.count; i++)
        n->u.cond.bodies[i] = *(jinja_body *)bodies.items[i];
    return SNUG_OK;
}

static snug_status refuse_loop(jinja_parser *p, const jinja_node *target)
{
    if (target->kind == N_TUPLE) {
        for (uint32_t i = 0; i < target->u.list.count; i++)
            JINJA_TRY(refuse_loop(p, target->u.list.items[i]));
    } else if (target->kind == N_NAME && p->in_for &&
               snug_eq_str(target->u.ref.name->text, "loop")) {
        return jinja_parse_fail(p, target->line, "inside a for, loop cannot be assigned to");
    }
    return SNUG_OK;
}

static snug_status parse_for_head(jinja_parser *p, jinja_for *f)
{
    bool yes;
    JINJA_TRY(jinja_advance(p));
    JINJA_TRY(jinja_parse_target(p, true, false, &f->target));
    JINJA_TRY(refuse_loop(p, f->target));
    JINJA_TRY(expect_name(p, "in"));
    JINJA_TRY(jinja_parse_tuple(p, false, false, &f->iter));
    JINJA_TRY(skip_name(p, "if", &yes));
    if (yes) JINJA_TRY(jinja_parse_expr(p, true, &f->test));
    return skip_name(p, "recursive", &f->recursive);
}

static snug_status parse_for(jinja_parser *p, jinja_node *n)
{
    static const char *const ends[] = {"endfor", "else", NULL};
    jinja_for               *f = SNUG_NEW(p->arena, jinja_for);
    bool                     in_for = p->in_for, has_scoped = p->has_scoped, is_else;
    n->u.loop = f;
    p->in_for = true;
    JINJA_TRY(parse_for_head(p, f));
    place was = enter_inner(p);
    p->can_break = true;
    p->has_scoped = false;
    p->uses &= ~(unsigned)USES_LOOP;
    p->hidden &= ~(unsigned)USES_LOOP;
    JINJA_TRY(parse_until(p, ends, false, &f->body));
    f->has_loop = f->recursive || (p->uses & USES_LOOP) != 0 || p->has_scoped;
    leave_inner(p, was);
    if (f->recursive) p->can_break = false; /* its else is inside the function, not in our loop */
    p->toplevel = false;
    JINJA_TRY(skip_name(p, "else", &is_else));
    if (is_else)
        JINJA_TRY(parse_one_end(p, "endfor", &f->other));
    else
        JINJA_TRY(jinja_advance(p));
    f->has_loop = f->has_loop || p->has_scoped;
    leave_inner(p, was);
    p->uses |= was.uses;
    p->hidden |= was.hidden;
    p->in_for = in_for;
    p->has_scoped = p->has_scoped || has_scoped;
    return SNUG_OK;
}

static snug_status parse_jump(jinja_parser *p, jinja_node *n)
{
    if (!p->can_break)
        return jinja_parse_fail(p, n->line, "%s stands in no for",
                                n->kind == N_BREAK ? "break" : "continue");
    return jinja_advance(p);
}

/* ---- set, with, filter, autoescape, generation ---- */

static snug_status parse_set(jinja_parser *p, jinja_node *n)
{
    jinja_node *target;
    JINJA_TRY(jinja_advance(p));
    JINJA_TRY(jinja_parse_target(p, true, true, &target));
    JINJA_TRY(refuse_loop(p, target));
    if (jinja_at_op(p, '=')) {
        JINJA_TRY(jinja_advance(p));
        n->u.set.target = target;
        n->u.set.toplevel = p->toplevel;
        return jinja_parse_tuple(p, true, false, &n->u.set.value);
    }
    n->kind = N_SETBLOCK;
    n->u.setblock = snug_arena_zalloc(p->arena, sizeof *n->u.setblock);
    n->u.setblock->target = target;
    n->u.setblock->toplevel = p->toplevel;
    JINJA_TRY(jinja_parse_filter(p, NULL, false, &n->u.setblock->filter));
    place was = enter_inner(p);
    JINJA_TRY(parse_one_end(p, "endset", &n->u.setblock->body));
    leave_inner(p, was);
    return SNUG_OK;
}

static snug_status parse_with(jinja_parser *p, jinja_node *n)
{
    jinja_vec targets = {0}, values = {0};
    n->u.with = snug_arena_zalloc(p->arena, sizeof *n->u.with);
    JINJA_TRY(jinja_advance(p));
    while (p->tok.kind != TOK_TAG_END) {
        jinja_node *target, *value;
        if (targets.count > 0) JINJA_TRY(jinja_expect_op(p, ','));
        JINJA_TRY(jinja_parse_target(p, true, false, &target));
        JINJA_TRY(jinja_expect_op(p, '='));
        JINJA_TRY(jinja_parse_expr(p, true, &value));
        jinja_vec_add(p, &targets, target);
        jinja_vec_add(p, &values, value);
    }
    n->u.with->targets = (jinja_node **)targets.items;
    n->u.with->values = (jinja_node **)values.items;
    n->u.with->count = targets.count;
    place was = enter_inner(p);
    JINJA_TRY(parse_one_end(p, "endwith", &n->u.with->body));
    leave_inner(p, was);
    return SNUG_OK;
}

static snug_status parse_autoescape(jinja_parser *p, jinja_node *n)
{
    n->u.with = snug_arena_zalloc(p->arena, sizeof *n->u.with);
    JINJA_TRY(jinja_advance(p));
    n->u.with->values = SNUG_NEW(p->arena, jinja_node *);
    JINJA_TRY(jinja_parse_expr(p, true, &n->u.with->values[0]));
    place was = enter_inner(p);
    JINJA_TRY(parse_one_end(p, "endautoescape", &n->u.with->body));
    leave_inner(p, was);
    return SNUG_OK;
}

static snug_status parse_generation(jinja_parser *p, jinja_node *n)
{
    n->u.with = snug_arena_zalloc(p->arena, sizeof *n->u.with);
    JINJA_TRY(jinja_advance(p));
    place was = enter_inner(p);
    p->can_break = false; /* in transformers the body is a call block */
    JINJA_TRY(parse_one_end(p, "endgeneration", &n->u.with->body));
    leave_inner(p, was);
    return SNUG_OK;
}

static snug_status parse_filter_block(jinja_parser *p, jinja_node *n)
{
    n->u.filterblock = snug_arena_zalloc(p->arena, sizeof *n->u.filterblock);
    JINJA_TRY(jinja_advance(p));
    JINJA_TRY(jinja_parse_filter(p, NULL, true, &n->u.filterblock->filter));
    place was = enter_inner(p);
    JINJA_TRY(parse_one_end(p, "endfilter", &n->u.filterblock->body));
    leave_inner(p, was);
    return SNUG_OK;
}

/* ---- macro, call ---- */

static snug_status parse_params(jinja_parser *p, jinja_params *out)
{
    jinja_vec names = {0}, defaults = {0};
    bool      optional = false;
    JINJA_TRY(jinja_expect_op(p, '('));
    while (!jinja_at_op(p, ')')) {
        snug_slice  name;
        jinja_node *dflt = NULL;
        if (names.count > 0) JINJA_TRY(jinja_expect_op(p, ','));
        JINJA_TRY(take_word(p, &name));
        if (jinja_at_op(p, '=')) {
            JINJA_TRY(jinja_advance(p));
            JINJA_TRY(jinja_parse_expr(p, true, &dflt));
            optional = true;
        } else if (optional) {
            return jinja_parse_fail(p, p->tok.line,
                                    "a parameter without a default behind one that has it");
        }
        unsigned uses = p->uses;
        jinja_vec_add(p, &names, jinja_name_of(p, name));
        p->uses = uses;
        jinja_vec_add(p, &defaults, dflt);
        if (snug_eq_str(name, "caller")) {
            out->explicit_caller = true;
            out->uses_caller = dflt == NULL; /* for now: says that the default is missing */
        }
    }
    out->count = names.count;
    out->refs = snug_arena_zalloc(p->arena, names.count * sizeof *out->refs);
    out->defaults = (jinja_node **)defaults.items;
    for (uint32_t i = 0; i < names.count; i++) {
        out->refs[i].name = names.items[i];
        for (uint32_t k = 0; k < i && names.count <= 256; k++) {
            if (out->refs[k].name == out->refs[i].name)
                return jinja_parse_fail(p, p->tok.line, "two parameters named '%.*s'",
                                        SNUG_SLICE(out->refs[i].name->text));
        }
    }
    if (names.count > 256) return jinja_parse_fail(p, p->tok.line, "more than 256 parameters");
    return jinja_advance(p);
}

static bool has_param(const jinja_params *q, const char *name)
{
    for (uint32_t i = 0; i < q->count; i++) {
        if (snug_eq_str(q->refs[i].name->text, name)) return true;
    }
    return false;
}

/* The body of a macro or call block, and which special arguments it wants. */
static snug_status parse_macro_body(jinja_parser *p, jinja_macro_def *d, const char *end,
                                    uint32_t line)
{
    jinja_params *q = &d->params;
    bool          caller_without_default = q->uses_caller;
    place         was = enter_function(p);
    JINJA_TRY(parse_one_end(p, end, &d->body));
    unsigned uses = leave_function(p, was);
    q->uses_caller = (uses & USES_CALLER) != 0;
    if (q->uses_caller && caller_without_default)
        return jinja_parse_fail(p, line, "the parameter caller must have a default");
    q->uses_kwargs = (uses & USES_KWARGS) != 0 && !has_param(q, "kwargs");
    q->uses_varargs = (uses & USES_VARARGS) != 0 && !has_param(q, "varargs");
    unsigned keep = p->uses;
    if (q->uses_caller && !q->explicit_caller)
        q->caller.name = jinja_name_of(p, SNUG_LIT("caller"));
    if (q->uses_kwargs) q->kwargs.name = jinja_name_of(p, SNUG_LIT("kwargs"));
    if (q->uses_varargs) q->varargs.name = jinja_name_of(p, SNUG_LIT("varargs"));
    p->uses = keep;
    return SNUG_OK;
}

static snug_status parse_macro(jinja_parser *p, jinja_node *n)
{
    jinja_macro_def *d = SNUG_NEW(p->arena, jinja_macro_def);
    unsigned         uses = p->uses;
    n->u.macro.def = d;
    n->u.macro.toplevel = p->toplevel;
    JINJA_TRY(jinja_advance(p));
    JINJA_TRY(take_word(p, &d->name));
    n->u.macro.target.name = jinja_name_of(p, d->name);
    p->uses = uses;
    JINJA_TRY(parse_params(p, &d->params));
    return parse_macro_body(p, d, "endmacro", n->line);
}

static snug_status parse_call_block(jinja_parser *p, jinja_node *n)
{
    jinja_macro_def *d = SNUG_NEW(p->arena, jinja_macro_def);
    n->u.callblock.def = d;
    JINJA_TRY(jinja_advance(p));
    if (jinja_at_op(p, '(')) JINJA_TRY(parse_params(p, &d->params));
    JINJA_TRY(jinja_parse_expr(p, true, &n->u.callblock.call));
    if (n->u.callblock.call->kind != N_CALL)
        return jinja_parse_fail(p, n->line, "a call is expected");
    return parse_macro_body(p, d, "endcall", n->line);
}

/* ---- block, extends, include, import ---- */

static bool is_blank(const jinja_body *b)
{
    for (uint32_t i = 0; i < b->count; i++) {
        const jinja_node *n = b->items[i];
        if (n->kind != N_TEXT || jinja_strip(jinja_text(n->u.value), NULL, true, false).len > 0)
            return false;
    }
    return true;
}

static snug_status parse_block(jinja_parser *p, jinja_node *n)
{
    jinja_block *b = SNUG_NEW(p->arena, jinja_block);
    bool         yes;
    n->op = p->toplevel;
    n->u.block = b;
    b->line = n->line;
    JINJA_TRY(jinja_advance(p));
    JINJA_TRY(take_word(p, &b->name));
    unsigned    uses = p->uses;
    jinja_name *name = jinja_name_of(p, b->name);
    p->uses = uses;
    if (name->is_block)
        return jinja_parse_fail(p, n->line, "the block '%.*s' is there twice", SNUG_SLICE(b->name));
    name->is_block = true;
    JINJA_TRY(skip_name(p, "scoped", &b->scoped));
    JINJA_TRY(skip_name(p, "required", &b->required));
    place was = enter_function(p);
    JINJA_TRY(parse_one_end(p, "endblock", &b->body));
    uses = p->uses;
    leave_inner(p, was);
    p->uses = was.uses; /* what a block uses is its own business */
    p->hidden = was.hidden;
    b->uses_self = (uses & USES_SELF) != 0;
    b->uses_super = (uses & USES_SUPER) != 0;
    if (b->uses_self) b->self.name = jinja_name_of(p, SNUG_LIT("self"));
    if (b->uses_super) b->super.name = jinja_name_of(p, SNUG_LIT("super"));
    p->uses = was.uses;
    if (b->required && !is_blank(&b->body))
        return jinja_parse_fail(p, n->line, "a required block holds nothing but white space");
    p->has_scoped = p->has_scoped || b->scoped;
    b->next = p->t->blocks;
    p->t->blocks = b;
    if (p->tok.kind == TOK_NAME) JINJA_TRY(skip_name(p, snug_arena_cstr(p->arena, b->name), &yes));
    return SNUG_OK;
}

static snug_status parse_extends(jinja_parser *p, jinja_node *n)
{
    if (!p->toplevel) return jinja_parse_fail(p, n->line, "extends stands inside another block");
    p->t->has_extends = true;
    JINJA_TRY(jinja_advance(p));
    return jinja_parse_expr(p, true, &n->u.expr);
}

static snug_status parse_context(jinja_parser *p, jinja_import *i, bool *found)
{
    bool with = jinja_at_name(p, "with");
    if (found != NULL) *found = false;
    if (!with && !jinja_at_name(p, "without")) return SNUG_OK;
    JINJA_TRY(jinja_look(p));
    if (p->ahead.kind != TOK_NAME || !snug_eq_str(p->ahead.text, "context")) return SNUG_OK;
    i->with_context = with;
    if (found != NULL) *found = true;
    JINJA_TRY(jinja_advance(p));
    return jinja_advance(p);
}

static snug_status parse_include(jinja_parser *p, jinja_node *n)
{
    jinja_import *i = SNUG_NEW(p->arena, jinja_import);
    n->u.import = i;
    i->with_context = true;
    JINJA_TRY(jinja_advance(p));
    JINJA_TRY(jinja_parse_expr(p, true, &i->which));
    if (jinja_at_name(p, "ignore")) {
        JINJA_TRY(jinja_advance(p));
        JINJA_TRY(expect_name(p, "missing"));
        i->ignore_missing = true;
    }
    return parse_context(p, i, NULL);
}

static snug_status take_target(jinja_parser *p, jinja_ref *out)
{
    snug_slice name;
    unsigned   uses = p->uses;
    JINJA_TRY(take_word(p, &name));
    out->name = jinja_name_of(p, name);
    p->uses = uses;
    return SNUG_OK;
}

static snug_status parse_import(jinja_parser *p, jinja_node *n)
{
    jinja_import *i = SNUG_NEW(p->arena, jinja_import);
    n->u.import = i;
    i->toplevel = p->toplevel;
    JINJA_TRY(jinja_advance(p));
    JINJA_TRY(jinja_parse_expr(p, true, &i->which));
    JINJA_TRY(expect_name(p, "as"));
    JINJA_TRY(take_target(p, &i->target));
    return parse_context(p, i, NULL);
}

static snug_status parse_from(jinja_parser *p, jinja_node *n)
{
    jinja_import *i = SNUG_NEW(p->arena, jinja_import);
    jinja_vec     names = {0};
    bool          found, as;
    n->u.import = i;
    i->toplevel = p->toplevel;
    JINJA_TRY(jinja_advance(p));
    JINJA_TRY(jinja_parse_expr(p, true, &i->which));
    JINJA_TRY(expect_name(p, "import"));
    for (;;) {
        struct jinja_from *one = SNUG_NEW(p->arena, struct jinja_from);
        if (names.count > 0) JINJA_TRY(jinja_expect_op(p, ','));
        JINJA_TRY(parse_context(p, i, &found));
        if (found) break;
        JINJA_TRY(take_target(p, &one->target));
        one->name = one->target.name->text;
        if (one->name.ptr[0] == '_')
            return jinja_parse_fail(p, n->line, "names with a leading underscore stay private");
        JINJA_TRY(skip_name(p, "as", &as));
        if (as) JINJA_TRY(take_target(p, &one->target));
        jinja_vec_add(p, &names, one);
        JINJA_TRY(parse_context(p, i, &found));
        if (found || !jinja_at_op(p, ',')) break;
    }
    i->name_count = names.count;
    i->names = snug_arena_zalloc(p->arena, names.count * sizeof *i->names);
    for (uint32_t k = 0; k < names.count; k++) i->names[k] = *(struct jinja_from *)names.items[k];
    return SNUG_OK;
}

/* ---- the table ---- */

static snug_status parse_print(jinja_parser *p, jinja_node *n)
{
    jinja_vec v = {0};
    n->op = p->toplevel;
    JINJA_TRY(jinja_advance(p));
    while (p->tok.kind != TOK_TAG_END) {
        jinja_node *one;
        if (v.count > 0) JINJA_TRY(jinja_expect_op(p, ','));
        JINJA_TRY(jinja_parse_expr(p, true, &one));
        jinja_vec_add(p, &v, one);
    }
    n->u.list.items = (jinja_node **)v.items;
    n->u.list.count = v.count;
    return SNUG_OK;
}

static const struct tag {
    const char *name;
    uint8_t     kind;
    snug_status (*parse)(jinja_parser *p, jinja_node *n);
} tags[] = {
    {"if", N_IF, parse_if},
    {"for", N_FOR, parse_for},
    {"set", N_SET, parse_set},
    {"macro", N_MACRO, parse_macro},
    {"call", N_CALLBLOCK, parse_call_block},
    {"filter", N_FILTERBLOCK, parse_filter_block},
    {"with", N_WITH, parse_with},
    {"autoescape", N_AUTOESCAPE, parse_autoescape},
    {"generation", N_GENERATION, parse_generation},
    {"break", N_BREAK, parse_jump},
    {"continue", N_CONTINUE, parse_jump},
    {"print", N_PRINT, parse_print},
    {"block", N_BLOCK, parse_block},
    {"extends", N_EXTENDS, parse_extends},
    {"include", N_INCLUDE, parse_include},
    {"import", N_IMPORT, parse_import},
    {"from", N_FROM, parse_from},
};

static snug_status parse_statement(jinja_parser *p, const char *const *ends, jinja_node **out)
{
    if (p->tok.kind != TOK_NAME) return expected(p, "the name of a tag");
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        if (!snug_eq_str(p->tok.text, tags[i].name)) continue;
        *out = jinja_node_new(p, tags[i].kind, p->tok.line);
        JINJA_TRY(tags[i].parse(p, *out));
        if (p->tok.kind != TOK_TAG_END) return expected(p, "the end of the tag");
        return jinja_advance(p);
    }
    return jinja_parse_fail(p, p->tok.line, "there is no tag '%.*s'%s%s%s",
                            p->tok.text.len > 40 ? 40 : (int)p->tok.text.len, p->tok.text.ptr,
                            ends == NULL ? "" : "; {% ", ends == NULL ? "" : ends[0],
                            ends == NULL ? "" : " %} is to come first");
}

static bool at_end(const jinja_parser *p, const char *const *ends)
{
    for (; ends != NULL && *ends != NULL; ends++) {
        if (jinja_at_name(p, *ends)) return true;
    }
    return false;
}

static snug_status parse_output(jinja_parser *p, jinja_node **out)
{
    jinja_node *n = jinja_node_new(p, N_PRINT, p->tok.line);
    n->op = p->toplevel;
    n->u.list.items = SNUG_NEW(p->arena, jinja_node *);
    n->u.list.count = 1;
    JINJA_TRY(jinja_advance(p));
    JINJA_TRY(jinja_parse_tuple(p, true, false, &n->u.list.items[0]));
    if (p->tok.kind != TOK_PRINT_END) return expected(p, "}}");
    *out = n;
    return jinja_advance(p);
}

/* Up to the name token of an end tag, or the end of the template. */
static snug_status parse_body(jinja_parser *p, const char *const *ends, jinja_body *out)
{
    jinja_vec v = {0};
    while (p->tok.kind != TOK_EOF) {
        jinja_node *n = NULL;
        if (p->tok.kind == TOK_DATA) {
            n = jinja_node_new(p, N_TEXT, p->tok.line);
            n->op = p->toplevel;
            n->u.value = jinja_str(p->tok.text);
            if (n->u.value.len > 0) jinja_vec_add(p, &v, n);
            JINJA_TRY(jinja_advance(p));
            continue;
        }
        if (p->tok.kind == TOK_PRINT_BEGIN) {
            JINJA_TRY(parse_output(p, &n));
        } else {
            JINJA_TRY(jinja_advance(p));
            if (at_end(p, ends)) break;
            JINJA_TRY(parse_statement(p, ends, &n));
        }
        jinja_vec_add(p, &v, n);
    }
    *out = (jinja_body){(jinja_node **)v.items, v.count};
    return SNUG_OK;
}

/* ---- a template ---- */

const jinja_opts jinja_chat_opts = {.trim_blocks = true, .lstrip_blocks = true};

snug_status jinja_compile(snug_arena *a, snug_slice text, const jinja_opts *opts,
                          const jinja_template **out, snug_err *err)
{
    static const jinja_opts plain;
    jinja_parser p = {.arena = a, .err = err, .toplevel = true, .t = SNUG_NEW(a, jinja_template)};
    if (opts == NULL) opts = &plain;
    p.t->name = snug_arena_dup(a, opts->name);
    p.t->autoescape = opts->autoescape;
    JINJA_TRY(jinja_lex_init(&p.lx, a, text, opts, p.t->name, err));
    JINJA_TRY(jinja_advance(&p));
    JINJA_TRY(parse_body(&p, NULL, &p.t->body));
    p.t->uses_self = (p.uses & USES_SELF) != 0;
    if (p.t->uses_self) p.t->self.name = jinja_name_of(&p, SNUG_LIT("self"));
    JINJA_TRY(jinja_bind(&p));
    *out = p.t;
    return SNUG_OK;
}
