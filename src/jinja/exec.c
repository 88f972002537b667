/* SPDX-License-Identifier: Apache-2.0 */
/* jinja/exec.c - statements: what a template does, and where its output goes.
 *
 * For:     template.c.
 * Owns:    the run's output: the caller's buffer, or the capture buffer while a macro, a set block
 *          or a filter collects. Captures are a stack in one buffer: each ends where it began.
 * Truth:   break and continue are a flag of the run, looked at after each statement. */
#include "jinja/jinja_int.h"

/* ---- output ---- */

snug_status jinja_write(jinja_run *r, const char *p, size_t n)
{
    JINJA_TRY(jinja_step(r, n / 64));
    if (r->captures > 0) {
        snug_buf_put(&r->capture, p, n);
        return r->capture.full
                   ? jinja_limit(r, "the template writes more than %zu bytes", r->output_max)
                   : SNUG_OK;
    }
    if (n > r->output_max - (r->out->len - r->out_base))
        return jinja_limit(r, "the template writes more than %zu bytes", r->output_max);
    snug_buf_put(r->out, p, n);
    return snug_buf_check(r->out, "the rendering", r->err);
}

snug_status jinja_print(jinja_run *r, jinja_val v)
{
    jinja_val text;
    if (r->autoescape)
        JINJA_TRY(jinja_escape(r, v, &text));
    else
        JINJA_TRY(jinja_to_str(r, v, &text));
    return jinja_write(r, text.u.s, text.len);
}

/* What a filter or call block gives goes out as it is, and must be a string. */
static snug_status write_raw(jinja_run *r, jinja_val v)
{
    if (v.kind != VAL_STR)
        return jinja_raise(r, "the block gives a %s, not a string", jinja_type_name(v));
    return jinja_write(r, v.u.s, v.len);
}

size_t jinja_capture_begin(jinja_run *r)
{
    r->captures++;
    return r->capture.len;
}

snug_status jinja_capture_end(jinja_run *r, size_t mark, jinja_val *out)
{
    snug_slice text = SNUG_LIT(""); /* before the first capture the buffer is NULL */
    if (r->capture.len > mark)
        text = (snug_slice){r->capture.ptr + mark, r->capture.len - mark};
    JINJA_TRY(jinja_str_dup(r, text, out));
    jinja_capture_drop(r, mark);
    return SNUG_OK;
}

void jinja_capture_drop(jinja_run *r, size_t mark)
{
    r->capture.len = mark;
    r->captures--;
}

/* ---- frames and scopes ---- */

snug_status jinja_frame_new(jinja_run *r, const jinja_func *fn, jinja_frame *outer,
                            jinja_frame **out)
{
    size_t size = sizeof **out + fn->slot_count * sizeof(jinja_val);
    *out = jinja_alloc(r, size);
    if (*out == NULL) return SNUG_ELIMIT;
    memset(*out, 0, size);
    (*out)->outer = outer;
    return jinja_step(r, 1 + fn->slot_count / 16);
}

snug_status jinja_enter_scope(jinja_run *r, jinja_frame *f, const jinja_scope *s)
{
    for (uint32_t i = 0; i < s->count; i++) {
        const struct jinja_scope_load *l = &s->loads[i];
        jinja_frame                   *from = f;
        switch (l->how) {
        case LOAD_PARAM: break;
        case LOAD_RESOLVE:
            JINJA_TRY(jinja_resolve(r, r->ctx, l->name->text, &f->slots[l->slot]));
            break;
        case LOAD_ALIAS:
            for (uint16_t up = l->from_up; up > 0; up--) from = from->outer;
            f->slots[l->slot] = from->slots[l->from];
            break;
        default: f->slots[l->slot] = (jinja_val){0}; break;
        }
    }
    return jinja_step(r, s->count / 4);
}

void jinja_leave_scope(jinja_frame *f, const jinja_scope *s)
{
    for (uint32_t i = 0; i < s->count; i++) f->slots[s->loads[i].slot] = (jinja_val){0};
}

/* ---- assignment ---- */

static snug_status assign_ns(jinja_run *r, jinja_frame *f, const jinja_node *t, jinja_val v)
{
    const jinja_ref *ref = &t->u.nsref.ref;
    for (uint16_t up = ref->up; up > 0; up--) f = f->outer;
    jinja_val ns = f->slots[ref->slot];
    if (ns.kind != VAL_NAMESPACE)
        return jinja_raise(r, "cannot assign attribute on non-namespace object");
    return jinja_dict_put(r, ns.u.ns, jinja_str(t->u.nsref.attr), v);
}

static snug_status unpack(jinja_run *r, jinja_frame *f, const jinja_node *t, jinja_val v,
                          int32_t shift)
{
    jinja_iter it;
    jinja_val  one;
    bool       more;
    uint32_t   want = t->u.list.count;
    JINJA_TRY(jinja_iter_open(r, v, &it));
    jinja_val *items = jinja_alloc(r, want * sizeof *items);
    if (items == NULL) return SNUG_ELIMIT;
    for (uint32_t i = 0; i < want; i++) {
        JINJA_TRY(jinja_iter_next(r, &it, &items[i], &more));
        if (!more)
            return jinja_raise(
                r, "not enough values to unpack (expected %" PRIu32 ", got %" PRIu32 ")", want, i);
    }
    JINJA_TRY(jinja_iter_next(r, &it, &one, &more));
    if (more) return jinja_raise(r, "too many values to unpack (expected %" PRIu32 ")", want);
    JINJA_TRY(jinja_deeper(r));
    for (uint32_t i = 0; i < want; i++)
        JINJA_TRY(jinja_assign(r, f, t->u.list.items[i], items[i], shift));
    r->depth--;
    return SNUG_OK;
}

snug_status jinja_assign(jinja_run *r, jinja_frame *f, const jinja_node *t, jinja_val v,
                         int32_t shift)
{
    if (t->kind == N_TUPLE) {
        if ((v.kind != VAL_TUPLE && v.kind != VAL_LIST) || v.len != t->u.list.count)
            return unpack(r, f, t, v, shift);
        JINJA_TRY(jinja_deeper(r));
        for (uint32_t i = 0; i < v.len; i++)
            JINJA_TRY(jinja_assign(r, f, t->u.list.items[i], v.u.items[i], shift));
        r->depth--;
        return SNUG_OK;
    }
    if (t->kind == N_NSREF) return assign_ns(r, f, t, v);
    f->slots[(int64_t)t->u.ref.slot + shift] = v;
    return SNUG_OK;
}

/* Variables set at the top level are the template's, too: blocks and importers see them. */
static snug_status export_target(jinja_run *r, jinja_frame *f, const jinja_node *t)
{
    if (t->kind == N_NAME)
        return jinja_set_var(r, t->u.ref.name->text, f->slots[t->u.ref.slot], true);
    if (t->kind != N_TUPLE) return SNUG_OK;
    for (uint32_t i = 0; i < t->u.list.count; i++)
        JINJA_TRY(export_target(r, f, t->u.list.items[i]));
    return SNUG_OK;
}

/* ns.x must be a namespace's before the value is even looked at. */
static snug_status check_ns(jinja_run *r, jinja_frame *f, const jinja_node *t)
{
    if (t->kind == N_TUPLE) {
        for (uint32_t i = 0; i < t->u.list.count; i++)
            JINJA_TRY(check_ns(r, f, t->u.list.items[i]));
    } else if (t->kind == N_NSREF) {
        for (uint16_t up = t->u.nsref.ref.up; up > 0; up--) f = f->outer;
        if (f->slots[t->u.nsref.ref.slot].kind != VAL_NAMESPACE)
            return jinja_raise(r, "cannot assign attribute on non-namespace object");
    }
    return SNUG_OK;
}

static snug_status exec_set(jinja_run *r, jinja_frame *f, const jinja_node *n)
{
    jinja_val v;
    JINJA_TRY(check_ns(r, f, n->u.set.target));
    JINJA_TRY(jinja_eval(r, f, n->u.set.value, &v));
    r->line = n->line;
    JINJA_TRY(jinja_assign(r, f, n->u.set.target, v, 0));
    return n->u.set.toplevel ? export_target(r, f, n->u.set.target) : SNUG_OK;
}

/* Runs a body that is captured. *out MISSING: a break or continue left it, nothing is to follow. */
static snug_status exec_captured(jinja_run *r, jinja_frame *f, const jinja_body *body,
                                 jinja_val *out)
{
    size_t mark = jinja_capture_begin(r);
    *out = (jinja_val){0};
    JINJA_TRY(jinja_exec(r, f, body));
    if (r->flow != FLOW_NEXT) {
        jinja_capture_drop(r, mark);
        return SNUG_OK;
    }
    JINJA_TRY(jinja_capture_end(r, mark, out));
    if (r->autoescape) out->flags |= VAL_SAFE;
    return SNUG_OK;
}

static snug_status exec_setblock(jinja_run *r, jinja_frame *f, const jinja_node *n)
{
    jinja_val v;
    JINJA_TRY(jinja_enter_scope(r, f, &n->u.setblock->scope));
    JINJA_TRY(exec_captured(r, f, &n->u.setblock->body, &v));
    if (!jinja_given(v)) return SNUG_OK;
    r->line = n->line;
    if (n->u.setblock->filter != NULL) {
        JINJA_TRY(jinja_filter_value(r, f, n->u.setblock->filter, &v, &v));
        if (r->autoescape && v.kind != VAL_STR) JINJA_TRY(jinja_to_str(r, v, &v));
        if (r->autoescape) v.flags |= VAL_SAFE;
    }
    JINJA_TRY(jinja_assign(r, f, n->u.setblock->target, v, 0));
    if (n->u.setblock->toplevel) JINJA_TRY(export_target(r, f, n->u.setblock->target));
    jinja_leave_scope(f, &n->u.setblock->scope);
    return SNUG_OK;
}

static snug_status exec_filterblock(jinja_run *r, jinja_frame *f, const jinja_node *n)
{
    jinja_val v;
    JINJA_TRY(jinja_enter_scope(r, f, &n->u.filterblock->scope));
    JINJA_TRY(exec_captured(r, f, &n->u.filterblock->body, &v));
    if (!jinja_given(v)) return SNUG_OK;
    JINJA_TRY(jinja_filter_value(r, f, n->u.filterblock->filter, &v, &v));
    JINJA_TRY(write_raw(r, v));
    jinja_leave_scope(f, &n->u.filterblock->scope);
    return SNUG_OK;
}

/* ---- loops ---- */

/* The next item that passes the loop's own if. */
static snug_status next_item(jinja_run *r, jinja_loop *l, jinja_val *out, bool *more)
{
    const jinja_for *n = l->node;
    for (;;) {
        jinja_val yes;
        JINJA_TRY(jinja_iter_next(r, &l->in, out, more));
        if (!*more || !l->filtered) return SNUG_OK;
        JINJA_TRY(jinja_assign(r, l->frame, n->target, *out, n->test_shift));
        JINJA_TRY(jinja_enter_scope(r, l->frame, &n->test_scope));
        JINJA_TRY(jinja_eval(r, l->frame, n->test, &yes));
        if (jinja_truth(yes)) return SNUG_OK;
    }
}

snug_status jinja_loop_next(jinja_run *r, jinja_loop *l, bool *more)
{
    jinja_val v = l->after;
    *more = true;
    l->after = (jinja_val){0};
    if (!jinja_given(v)) JINJA_TRY(next_item(r, l, &v, more));
    if (!*more) return SNUG_OK;
    l->index0++;
    l->before = l->current;
    l->current = v;
    return SNUG_OK;
}

static snug_status peek(jinja_run *r, jinja_loop *l, bool *more)
{
    jinja_val next;
    *more = jinja_given(l->after);
    if (*more) return SNUG_OK;
    JINJA_TRY(next_item(r, l, &next, more));
    if (*more) l->after = next; /* else it holds what the loop's if refused */
    return SNUG_OK;
}

/* How many items: known for what has a length, else by gathering the rest. */
static snug_status loop_length(jinja_run *r, jinja_loop *l)
{
    if (l->length >= 0) return SNUG_OK;
    if (!l->filtered && jinja_has_len(l->source) && l->source.kind != VAL_LOOP)
        return jinja_len(r, l->source, &l->length);
    jinja_val  list, one;
    bool       more;
    size_t     n = 0, cap = 0;
    jinja_val *items = NULL;
    for (;;) {
        JINJA_TRY(next_item(r, l, &one, &more));
        if (!more) break;
        if (n == cap) {
            size_t     wider = cap == 0 ? 8 : cap * 2;
            jinja_val *grown = jinja_alloc(r, wider * sizeof *grown);
            if (grown == NULL) return SNUG_ELIMIT;
            if (n > 0) memcpy(grown, items, n * sizeof *grown);
            items = grown;
            cap = wider;
        }
        items[n++] = one;
    }
    list = jinja_seq(VAL_LIST, items, n);
    l->length = (int64_t)n + l->index0 + 1 + (jinja_given(l->after) ? 1 : 0);
    l->filtered = false;
    return jinja_iter_open(r, list, &l->in);
}

static snug_status run_cycle(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    const jinja_args *a = c->args;
    if (a->kw_count > 0) return jinja_raise(r, "cycle() takes no named arguments");
    if (a->pos_count == 0) return jinja_raise(r, "no items for cycling given");
    int64_t n = (int64_t)a->pos_count, i = c->self.u.loop->index0 % n;
    *out = a->pos[i < 0 ? i + n : i];
    return SNUG_OK;
}

static snug_status run_changed(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    jinja_loop *l = c->self.u.loop;
    bool        same = false;
    if (c->args->kw_count > 0) return jinja_raise(r, "changed() takes no named arguments");
    jinja_val *items = jinja_alloc(r, c->args->pos_count * sizeof *items);
    if (items == NULL) return SNUG_ELIMIT;
    if (c->args->pos_count > 0) memcpy(items, c->args->pos, c->args->pos_count * sizeof *items);
    jinja_val now = jinja_seq(VAL_TUPLE, items, c->args->pos_count);
    if (jinja_given(l->changed)) JINJA_TRY(jinja_equal(r, l->changed, now, &same));
    if (!same) l->changed = now;
    *out = jinja_bool(!same);
    return SNUG_OK;
}

snug_status jinja_loop_attr(jinja_run *r, jinja_val v, snug_slice name, jinja_val *out, bool *found)
{
    static const jinja_builtin methods[] = {{.name = "cycle", .run = run_cycle, .open = true},
                                            {.name = "changed", .run = run_changed, .open = true}};
    jinja_loop                *l = v.u.loop;
    bool                       more;
    *found = true;
    if (snug_eq_str(name, "index"))
        *out = jinja_int(l->index0 + 1);
    else if (snug_eq_str(name, "index0"))
        *out = jinja_int(l->index0);
    else if (snug_eq_str(name, "first"))
        *out = jinja_bool(l->index0 == 0);
    else if (snug_eq_str(name, "depth"))
        *out = jinja_int((int64_t)l->depth0 + 1);
    else if (snug_eq_str(name, "depth0"))
        *out = jinja_int(l->depth0);
    else if (snug_eq_str(name, "cycle"))
        return jinja_make_method(r, v, &methods[0], out);
    else if (snug_eq_str(name, "changed"))
        return jinja_make_method(r, v, &methods[1], out);
    else if (snug_eq_str(name, "previtem"))
        *out = l->index0 == 0 ? jinja_undef_hint("there is no previous item") : l->before;
    else if (snug_eq_str(name, "last") || snug_eq_str(name, "nextitem")) {
        JINJA_TRY(peek(r, l, &more));
        if (snug_eq_str(name, "last"))
            *out = jinja_bool(!more);
        else
            *out = more ? l->after : jinja_undef_hint("there is no next item");
    } else if (snug_eq_str(name, "length") || snug_eq_str(name, "revindex") ||
               snug_eq_str(name, "revindex0")) {
        JINJA_TRY(loop_length(r, l));
        int64_t n = l->length;
        *out = jinja_int(snug_eq_str(name, "length")     ? n
                         : snug_eq_str(name, "revindex") ? n - l->index0
                                                         : n - l->index0 - 1);
    } else {
        *found = false;
    }
    return SNUG_OK;
}

static snug_status exec_pass(jinja_run *r, jinja_frame *f, const jinja_for *n, jinja_val item)
{
    JINJA_TRY(jinja_assign(r, f, n->target, item, 0));
    JINJA_TRY(jinja_enter_scope(r, f, &n->scope));
    return jinja_exec(r, f, &n->body);
}

/* A loop in its function's frame, its else included. */
snug_status jinja_run_loop(jinja_run *r, jinja_frame *f, const jinja_for *n, jinja_val src,
                           uint32_t depth0)
{
    jinja_loop plain = {0}, *l = &plain;
    bool       more, any = false;
    if (n->has_loop) {
        l = jinja_alloc(r, sizeof *l);
        if (l == NULL) return SNUG_ELIMIT;
    }
    *l = (jinja_loop){.node = n,
                      .frame = f,
                      .ctx = r->ctx,
                      .source = src,
                      .index0 = -1,
                      .length = -1,
                      .depth0 = depth0,
                      .filtered = n->test != NULL};
    JINJA_TRY(jinja_iter_open(r, src, &l->in));
    if (n->has_loop) f->slots[n->loop.slot] = (jinja_val){0};
    for (;;) {
        JINJA_TRY(jinja_loop_next(r, l, &more));
        if (!more) break;
        if (n->has_loop) f->slots[n->loop.slot] = (jinja_val){.kind = VAL_LOOP, .u.loop = l};
        JINJA_TRY(exec_pass(r, f, n, l->current));
        any = any || r->flow == FLOW_NEXT; /* as in Jinja, a pass cut short does not count */
        jinja_flow flow = r->flow;
        r->flow = FLOW_NEXT;
        if (flow == FLOW_BREAK) break;
    }
    jinja_leave_scope(f, &n->scope);
    if (any || n->other.count == 0) return SNUG_OK;
    JINJA_TRY(jinja_enter_scope(r, f, &n->other_scope));
    JINJA_TRY(jinja_exec(r, f, &n->other));
    jinja_leave_scope(f, &n->other_scope);
    return SNUG_OK;
}

/* One round of a recursive loop: a function of its own, whose text is its value. */
static snug_status recurse(jinja_run *r, jinja_frame *outer, const jinja_for *n, jinja_val src,
                           uint32_t depth0, jinja_val *out)
{
    jinja_frame *f;
    JINJA_TRY(jinja_deeper(r));
    JINJA_TRY(jinja_frame_new(r, &n->func, outer, &f));
    JINJA_TRY(jinja_enter_scope(r, f, &n->func.scope));
    size_t mark = jinja_capture_begin(r);
    JINJA_TRY(jinja_run_loop(r, f, n, src, depth0));
    JINJA_TRY(jinja_capture_end(r, mark, out));
    if (r->autoescape) out->flags |= VAL_SAFE;
    r->depth--;
    return SNUG_OK;
}

snug_status jinja_recurse(jinja_run *r, jinja_loop *l, jinja_val src, jinja_val *out)
{
    if (!l->node->recursive) return jinja_raise(r, "only a loop marked recursive can be called");
    jinja_flow flow = r->flow;
    JINJA_TRY(recurse(r, l->frame->outer, l->node, src, l->depth0 + 1, out));
    r->flow = flow;
    return SNUG_OK;
}

static snug_status exec_for(jinja_run *r, jinja_frame *f, const jinja_node *n)
{
    jinja_val src, text;
    JINJA_TRY(jinja_eval(r, f, n->u.loop->iter, &src));
    r->line = n->line;
    if (!n->u.loop->recursive) return jinja_run_loop(r, f, n->u.loop, src, 0);
    JINJA_TRY(recurse(r, f, n->u.loop, src, 0, &text));
    return jinja_write(r, text.u.s, text.len);
}

/* ---- the rest ---- */

static snug_status make_macro(jinja_run *r, jinja_frame *f, const jinja_macro_def *d,
                              jinja_val *out)
{
    jinja_macro *m = jinja_alloc(r, sizeof *m);
    if (m == NULL) return SNUG_ELIMIT;
    *m = (jinja_macro){d, r->tmpl, f, r->ctx, r->autoescape};
    *out = (jinja_val){.kind = VAL_MACRO, .u.macro = m};
    return SNUG_OK;
}

static snug_status exec_macro(jinja_run *r, jinja_frame *f, const jinja_node *n)
{
    jinja_val m;
    JINJA_TRY(make_macro(r, f, n->u.macro.def, &m));
    f->slots[n->u.macro.target.slot] = m;
    return n->u.macro.toplevel ? jinja_set_var(r, n->u.macro.def->name, m, true) : SNUG_OK;
}

static snug_status exec_callblock(jinja_run *r, jinja_frame *f, const jinja_node *n)
{
    jinja_val caller, v;
    JINJA_TRY(make_macro(r, f, n->u.callblock.def, &caller));
    JINJA_TRY(jinja_call_node(r, f, n->u.callblock.call, &caller, &v));
    return write_raw(r, v);
}

static snug_status exec_if(jinja_run *r, jinja_frame *f, const jinja_node *n)
{
    for (uint32_t i = 0; i < n->u.cond.count; i++) {
        jinja_val yes;
        JINJA_TRY(jinja_eval(r, f, n->u.cond.conds[i], &yes));
        if (jinja_truth(yes)) return jinja_exec(r, f, &n->u.cond.bodies[i]);
    }
    return jinja_exec(r, f, &n->u.cond.other);
}

static snug_status exec_with(jinja_run *r, jinja_frame *f, const jinja_node *n)
{
    bool   autoescape = r->autoescape;
    size_t from = r->out->len;
    JINJA_TRY(jinja_enter_scope(r, f, &n->u.with->scope));
    for (uint32_t i = 0; i < n->u.with->count; i++) {
        jinja_val v;
        JINJA_TRY(jinja_eval(r, f, n->u.with->values[i], &v));
        JINJA_TRY(jinja_assign(r, f, n->u.with->targets[i], v, 0));
    }
    if (n->kind == N_AUTOESCAPE) {
        jinja_val v;
        JINJA_TRY(jinja_eval(r, f, n->u.with->values[0], &v));
        r->autoescape = jinja_truth(v);
    }
    JINJA_TRY(jinja_exec(r, f, &n->u.with->body));
    r->autoescape = autoescape;
    jinja_leave_scope(f, &n->u.with->scope);
    if (n->kind == N_GENERATION && r->captures == 0 && r->env->on_generation != NULL)
        r->env->on_generation(r->env->generation_arg, from, r->out->len);
    return SNUG_OK;
}

static snug_status exec_print(jinja_run *r, jinja_frame *f, const jinja_node *n)
{
    jinja_val v;
    if (n->op != 0 && r->ctx->extended != NULL) return SNUG_OK;
    for (uint32_t i = 0; i < n->u.list.count; i++) {
        JINJA_TRY(jinja_eval(r, f, n->u.list.items[i], &v));
        JINJA_TRY(jinja_print(r, v));
    }
    return SNUG_OK;
}

static snug_status exec_node(jinja_run *r, jinja_frame *f, const jinja_node *n)
{
    switch (n->kind) {
    case N_TEXT:
        if (n->op != 0 && r->ctx->extended != NULL) return SNUG_OK;
        return jinja_write(r, n->u.value.u.s, n->u.value.len);
    case N_PRINT: return exec_print(r, f, n);
    case N_IF: return exec_if(r, f, n);
    case N_FOR: return exec_for(r, f, n);
    case N_SET: return exec_set(r, f, n);
    case N_SETBLOCK: return exec_setblock(r, f, n);
    case N_MACRO: return exec_macro(r, f, n);
    case N_CALLBLOCK: return exec_callblock(r, f, n);
    case N_FILTERBLOCK: return exec_filterblock(r, f, n);
    case N_WITH:
    case N_AUTOESCAPE:
    case N_GENERATION: return exec_with(r, f, n);
    case N_BREAK: r->flow = FLOW_BREAK; return SNUG_OK;
    case N_CONTINUE: r->flow = FLOW_CONTINUE; return SNUG_OK;
    case N_BLOCK:
        if (n->op != 0 && r->ctx->extended != NULL) return SNUG_OK;
        return jinja_exec_block(r, f, n->u.block);
    case N_EXTENDS: return jinja_exec_extends(r, f, n);
    case N_INCLUDE: return jinja_exec_include(r, f, n->u.import);
    default: return jinja_exec_import(r, f, n);
    }
}

snug_status jinja_exec(jinja_run *r, jinja_frame *f, const jinja_body *b)
{
    JINJA_TRY(jinja_deeper(r));
    for (uint32_t i = 0; i < b->count && r->flow == FLOW_NEXT; i++) {
        JINJA_TRY(jinja_step(r, 1));
        r->line = b->items[i]->line;
        JINJA_TRY(exec_node(r, f, b->items[i]));
    }
    r->depth--;
    return SNUG_OK;
}
