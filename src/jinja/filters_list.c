/* SPDX-License-Identifier: Apache-2.0 */
/* jinja/filters_list.c - filters that go through items.
 *
 * For:     the parser (names), eval.c.
 * Truth:   map, select, reject, batch, slice, unique and items make their items when asked, as in
 *          Python: what is never asked for can never fail. */
#include "jinja/jinja_int.h"

static bool flag(jinja_val v) { return jinja_truth(v); }

static snug_status ignore_case(jinja_run *r, bool ignore, jinja_val *v)
{
    return ignore && v->kind == VAL_STR ? jinja_change_case(r, *v, CASE_LOWER, v) : SNUG_OK;
}

/* ---- one of many ---- */

static snug_status run_first(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    jinja_iter it;
    bool       more;
    JINJA_TRY(jinja_iter_open(r, c->self, &it));
    JINJA_TRY(jinja_iter_next(r, &it, out, &more));
    if (!more) *out = jinja_undef_hint("No first item, sequence was empty.");
    return SNUG_OK;
}

static snug_status run_last(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    jinja_val  back;
    jinja_iter it;
    bool       more, ok;
    JINJA_TRY(jinja_reversed(r, c->self, &back, &ok));
    if (!ok) return jinja_raise(r, "'%s' object is not reversible", jinja_type_name(c->self));
    JINJA_TRY(jinja_iter_open(r, back, &it));
    JINJA_TRY(jinja_iter_next(r, &it, out, &more));
    if (!more) *out = jinja_undef_hint("No last item, sequence was empty.");
    return SNUG_OK;
}

static snug_status run_length(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    int64_t n;
    JINJA_TRY(jinja_len(r, c->self, &n));
    *out = jinja_int(n);
    return SNUG_OK;
}

static snug_status run_list(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return jinja_list_of(r, c->self, out);
}

static snug_status run_reverse(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    jinja_val back[3] = {{0}, {0}, jinja_int(-1)};
    bool      ok;
    if (c->self.kind == VAL_STR) return jinja_get_slice(r, c->self, back, out);
    JINJA_TRY(jinja_reversed(r, c->self, out, &ok));
    if (ok) return SNUG_OK;
    if (!jinja_is_iterable(c->self)) return jinja_raise(r, "argument must be iterable");
    JINJA_TRY(jinja_list_of(r, c->self, out));
    return jinja_get_slice(r, *out, back, out);
}

/* ---- join, sum, min, max ---- */

/* Every item (or its attribute) as text. Under autoescape one piece of markup makes all markup. */
static snug_status run_join(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    jinja_val list, sep = jinja_lit("");
    bool      markup;
    JINJA_TRY(jinja_list_of(r, c->self, &list));
    if (jinja_given(c->a[0])) JINJA_TRY(jinja_to_str(r, c->a[0], &sep));
    jinja_val *items = jinja_alloc(r, list.len * sizeof *items);
    if (items == NULL) return SNUG_ELIMIT;
    markup = r->autoescape && jinja_is_safe(sep);
    for (uint32_t i = 0; i < list.len; i++) {
        items[i] = list.u.items[i];
        if (jinja_given(c->a[1]))
            JINJA_TRY(jinja_get_path(r, items[i], c->a[1], (jinja_val){0}, &items[i]));
        JINJA_TRY(jinja_to_str(r, items[i], &items[i]));
        markup = markup || (r->autoescape && jinja_is_safe(items[i]));
    }
    if (markup) JINJA_TRY(jinja_escape(r, sep, &sep));
    snug_buf b = jinja_buf(r);
    for (uint32_t i = 0; i < list.len && !b.full; i++) {
        snug_status st = markup ? jinja_escape(r, items[i], &items[i]) : SNUG_OK;
        if (st != SNUG_OK) {
            snug_buf_deinit(&b);
            return st;
        }
        if (i > 0) snug_buf_put_slice(&b, jinja_text(sep));
        snug_buf_put_slice(&b, jinja_text(items[i]));
    }
    JINJA_TRY(jinja_str_take(r, &b, out));
    if (markup) out->flags |= VAL_SAFE;
    return SNUG_OK;
}

static snug_status run_sum(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    jinja_iter it;
    *out = jinja_given(c->a[1]) ? c->a[1] : jinja_int(0);
    if (out->kind == VAL_STR) return jinja_raise(r, "sum() can't sum strings; use join");
    JINJA_TRY(jinja_iter_open(r, c->self, &it));
    for (;;) {
        jinja_val one;
        bool      more;
        JINJA_TRY(jinja_iter_next(r, &it, &one, &more));
        if (!more) return SNUG_OK;
        if (jinja_given(c->a[0])) JINJA_TRY(jinja_get_path(r, one, c->a[0], (jinja_val){0}, &one));
        JINJA_TRY(jinja_arith(r, OP_ADD, *out, one, out));
    }
}

static snug_status extreme(jinja_run *r, const jinja_call *c, jinja_op op, jinja_val *out)
{
    jinja_iter it;
    jinja_val  best = {0};
    JINJA_TRY(jinja_iter_open(r, c->self, &it));
    for (;;) {
        jinja_val one, key;
        bool      more, better = true;
        JINJA_TRY(jinja_iter_next(r, &it, &one, &more));
        if (!more) break;
        JINJA_TRY(jinja_get_path(r, one, c->a[1], (jinja_val){0}, &key));
        JINJA_TRY(ignore_case(r, !flag(c->a[0]), &key));
        if (jinja_given(best)) JINJA_TRY(jinja_order(r, op, key, best, &better));
        if (!better) continue;
        best = key;
        *out = one;
    }
    if (!jinja_given(best)) *out = jinja_undef_hint("No aggregated item, sequence was empty.");
    return SNUG_OK;
}

static snug_status run_min(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return extreme(r, c, OP_LT, out);
}
static snug_status run_max(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return extreme(r, c, OP_GT, out);
}

/* ---- sorting ---- */

/* One sort key: the values at each of the comma-separated paths, as a list. */
static snug_status sort_key(jinja_run *r, jinja_val item, jinja_val attribute, bool ignore,
                            jinja_val *out)
{
    size_t n = 1;
    if (attribute.kind == VAL_STR) {
        for (uint32_t i = 0; i < attribute.len; i++) n += attribute.u.s[i] == ',';
    }
    jinja_val *parts = jinja_alloc(r, n * sizeof *parts);
    if (parts == NULL) return SNUG_ELIMIT;
    snug_slice rest = attribute.kind == VAL_STR ? jinja_text(attribute) : SNUG_LIT(""), part;
    for (size_t i = 0; i < n; i++) {
        jinja_val path = attribute;
        if (attribute.kind == VAL_STR && snug_split(&rest, ',', &part)) path = jinja_str(part);
        JINJA_TRY(jinja_get_path(r, item, path, (jinja_val){0}, &parts[i]));
        JINJA_TRY(ignore_case(r, ignore, &parts[i]));
    }
    *out = jinja_seq(VAL_LIST, parts, n);
    return SNUG_OK;
}

static snug_status copy_items(jinja_run *r, jinja_val list, jinja_val **out)
{
    *out = jinja_alloc(r, list.len * sizeof **out);
    if (*out == NULL) return SNUG_ELIMIT;
    if (list.len > 0) memcpy(*out, list.u.items, list.len * sizeof **out);
    return SNUG_OK;
}

static snug_status run_sort(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    jinja_val list, *items;
    JINJA_TRY(jinja_list_of(r, c->self, &list));
    JINJA_TRY(copy_items(r, list, &items));
    jinja_val *keys = jinja_alloc(r, list.len * sizeof *keys);
    if (keys == NULL) return SNUG_ELIMIT;
    for (uint32_t i = 0; i < list.len; i++)
        JINJA_TRY(sort_key(r, items[i], c->a[2], !flag(c->a[1]), &keys[i]));
    JINJA_TRY(jinja_sort(r, items, keys, list.len, flag(c->a[0])));
    *out = jinja_seq(VAL_LIST, items, list.len);
    return SNUG_OK;
}

static snug_status run_dictsort(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    bool by_value = false;
    if (jinja_given(c->a[1])) {
        bool by_key = c->a[1].kind == VAL_STR && snug_eq_str(jinja_text(c->a[1]), "key");
        by_value = c->a[1].kind == VAL_STR && snug_eq_str(jinja_text(c->a[1]), "value");
        if (!by_key && !by_value)
            return jinja_raise(r, "You can only sort by either \"key\" or \"value\"");
    }
    if (c->self.kind != VAL_DICT)
        return jinja_raise(r, "dictsort takes a mapping, not %s", jinja_type_name(c->self));
    const jinja_dict *d = c->self.u.dict;
    jinja_val        *items = jinja_alloc(r, d->count * sizeof *items),
              *keys = jinja_alloc(r, d->count * sizeof *keys);
    if (items == NULL || keys == NULL) return SNUG_ELIMIT;
    for (uint32_t i = 0; i < d->count; i++) {
        keys[i] = by_value ? d->pairs[i].value : d->pairs[i].key;
        JINJA_TRY(ignore_case(r, !flag(c->a[0]), &keys[i]));
        JINJA_TRY(jinja_pair_of(r, d->pairs[i].key, d->pairs[i].value, &items[i]));
    }
    JINJA_TRY(jinja_sort(r, items, keys, d->count, flag(c->a[2])));
    *out = jinja_seq(VAL_LIST, items, d->count);
    return SNUG_OK;
}

static snug_status make_group(jinja_run *r, jinja_val key, const jinja_val *items, size_t n,
                              jinja_val *out)
{
    JINJA_TRY(jinja_pair_of(r, key, jinja_seq(VAL_LIST, items, n), out));
    out->flags |= VAL_GROUP;
    return SNUG_OK;
}

static snug_status run_groupby(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    jinja_val list, *items, *keys, *order, *groups,
        dflt = c->a[1].kind == VAL_NONE ? (jinja_val){0} : c->a[1];
    size_t n = 0;
    bool   ignore = !flag(c->a[2]), same;
    JINJA_TRY(jinja_list_of(r, c->self, &list));
    JINJA_TRY(copy_items(r, list, &items));
    keys = jinja_alloc(r, list.len * sizeof *keys);
    order = jinja_alloc(r, list.len * sizeof *order);
    groups = jinja_alloc(r, list.len * sizeof *groups);
    if (keys == NULL || order == NULL || groups == NULL) return SNUG_ELIMIT;
    for (uint32_t i = 0; i < list.len; i++) {
        JINJA_TRY(jinja_get_path(r, items[i], c->a[0], dflt, &keys[i]));
        JINJA_TRY(ignore_case(r, ignore, &keys[i]));
        order[i] = jinja_int(i);
    }
    JINJA_TRY(jinja_sort(r, order, keys, list.len, false));
    for (uint32_t i = 0; i < list.len; i++) items[i] = list.u.items[order[i].u.i];
    for (uint32_t from = 0, to; from < list.len; from = to) {
        jinja_val key = keys[order[from].u.i];
        for (to = from + 1; to < list.len; to++) {
            JINJA_TRY(jinja_equal(r, key, keys[order[to].u.i], &same));
            if (!same) break;
        }
        if (ignore) JINJA_TRY(jinja_get_path(r, items[from], c->a[0], dflt, &key));
        JINJA_TRY(make_group(r, key, items + from, to - from, &groups[n++]));
    }
    *out = jinja_seq(VAL_LIST, groups, n);
    return SNUG_OK;
}

/* ---- items made when asked ---- */

static snug_status start(jinja_run *r, const jinja_call *c,
                         snug_status (*next)(jinja_run *, jinja_gen *, jinja_val *, bool *),
                         jinja_gen **gen, jinja_val *out)
{
    JINJA_TRY(jinja_gen_new(r, gen, out));
    (*gen)->next = next;
    (*gen)->src = c->self;
    return SNUG_OK;
}

/* Arguments outlive the call they came with. */
static snug_status keep_args(jinja_run *r, const jinja_args *a, jinja_args *out)
{
    jinja_val *pos = jinja_alloc(r, a->pos_count * sizeof *pos);
    jinja_kw  *kw = jinja_alloc(r, a->kw_count * sizeof *kw);
    if (pos == NULL || kw == NULL) return SNUG_ELIMIT;
    if (a->pos_count > 0) memcpy(pos, a->pos, a->pos_count * sizeof *pos);
    if (a->kw_count > 0) memcpy(kw, a->kw, a->kw_count * sizeof *kw);
    *out = (jinja_args){pos, kw, a->pos_count, a->kw_count};
    return SNUG_OK;
}

static snug_status find_named(jinja_run *r, jinja_gen *g, size_t at, const char *what,
                              const jinja_builtin *(*find)(snug_slice))
{
    jinja_val name = g->args.pos[at];
    if (name.kind == VAL_STR) g->func = find(jinja_text(name));
    if (g->func == NULL) {
        JINJA_TRY(jinja_to_repr(r, name, &name));
        return jinja_raise(r, "there is no %s named %.*s", what, name.len > 60 ? 60 : (int)name.len,
                           name.u.s);
    }
    g->args.pos += at + 1;
    g->args.pos_count -= at + 1;
    return SNUG_OK;
}

/* map("filter", args...) or map(attribute="a.b", default=x) */
static snug_status start_map(jinja_run *r, jinja_gen *g)
{
    const jinja_args *a = &g->args;
    for (size_t i = 0; a->pos_count == 0 && i < a->kw_count; i++) {
        if (snug_eq_str(a->kw[i].name, "attribute")) {
            g->by_attr = true;
            g->attr = a->kw[i].value;
        }
    }
    if (!g->by_attr) {
        if (a->pos_count == 0) return jinja_raise(r, "map requires a filter argument");
        return find_named(r, g, 0, "filter", jinja_find_filter);
    }
    for (size_t i = 0; i < a->kw_count; i++) {
        if (snug_eq_str(a->kw[i].name, "attribute")) continue;
        if (!snug_eq_str(a->kw[i].name, "default"))
            return jinja_raise(r, "Unexpected keyword argument '%.*s'", SNUG_SLICE(a->kw[i].name));
        if (a->kw[i].value.kind != VAL_NONE) g->fill = a->kw[i].value;
    }
    return SNUG_OK;
}

/* Opens the source when the first item is asked for; an empty or false one gives nothing. */
static snug_status begin(jinja_run *r, jinja_gen                                *g,
                         snug_status (*prepare)(jinja_run *, jinja_gen *), bool *any)
{
    *any = true;
    if (g->started) return SNUG_OK;
    g->started = true;
    *any = jinja_truth(g->src);
    if (!*any) return SNUG_OK;
    JINJA_TRY(prepare(r, g));
    return jinja_iter_open(r, g->src, &g->in);
}

static snug_status next_map(jinja_run *r, jinja_gen *g, jinja_val *out, bool *more)
{
    jinja_val one;
    JINJA_TRY(begin(r, g, start_map, more));
    if (!*more) return SNUG_OK;
    JINJA_TRY(jinja_iter_next(r, &g->in, &one, more));
    if (!*more) return SNUG_OK;
    if (g->by_attr) return jinja_get_path(r, one, g->attr, g->fill, out);
    return jinja_call_builtin(r, g->func, one, &g->args, out);
}

static snug_status run_map(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    jinja_gen *g;
    JINJA_TRY(start(r, c, next_map, &g, out));
    return keep_args(r, c->args, &g->args);
}

/* select("test", args...), selectattr("attr", "test", args...) */
static snug_status start_select(jinja_run *r, jinja_gen *g)
{
    size_t off = g->by_attr ? 1 : 0;
    if (g->by_attr) {
        if (g->args.pos_count == 0) return jinja_raise(r, "Missing parameter for attribute name");
        g->attr = g->args.pos[0];
    }
    if (g->args.pos_count <= off) return SNUG_OK;
    return find_named(r, g, off, "test", jinja_find_test);
}

static snug_status next_select(jinja_run *r, jinja_gen *g, jinja_val *out, bool *more)
{
    JINJA_TRY(begin(r, g, start_select, more));
    while (*more) {
        jinja_val v;
        JINJA_TRY(jinja_iter_next(r, &g->in, out, more));
        if (!*more) break;
        v = *out;
        if (g->by_attr) JINJA_TRY(jinja_get_path(r, v, g->attr, (jinja_val){0}, &v));
        if (g->func != NULL) JINJA_TRY(jinja_call_builtin(r, g->func, v, &g->args, &v));
        if (jinja_truth(v) != g->flag) break;
    }
    return SNUG_OK;
}

static snug_status choose(jinja_run *r, const jinja_call *c, bool by_attr, bool reject,
                          jinja_val *out)
{
    jinja_gen *g;
    JINJA_TRY(start(r, c, next_select, &g, out));
    g->by_attr = by_attr;
    g->flag = reject;
    return keep_args(r, c->args, &g->args);
}

static snug_status run_select(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return choose(r, c, false, false, out);
}
static snug_status run_reject(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return choose(r, c, false, true, out);
}

static snug_status run_selectattr(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return choose(r, c, true, false, out);
}

static snug_status run_rejectattr(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    return choose(r, c, true, true, out);
}

static snug_status open_source(jinja_run *r, jinja_gen *g)
{
    if (g->started) return SNUG_OK;
    g->started = true;
    return jinja_iter_open(r, g->src, &g->in);
}

static snug_status next_unique(jinja_run *r, jinja_gen *g, jinja_val *out, bool *more)
{
    JINJA_TRY(open_source(r, g));
    if (g->seen == NULL) JINJA_TRY(jinja_dict_new(r, 0, &g->seen));
    for (;;) {
        jinja_val        key;
        const jinja_val *old;
        JINJA_TRY(jinja_iter_next(r, &g->in, out, more));
        if (!*more) return SNUG_OK;
        JINJA_TRY(jinja_get_path(r, *out, g->attr, (jinja_val){0}, &key));
        JINJA_TRY(ignore_case(r, !g->flag, &key));
        JINJA_TRY(jinja_dict_get(r, g->seen, key, &old));
        if (old == NULL) return jinja_dict_put(r, g->seen, key, jinja_none());
    }
}

static snug_status run_unique(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    jinja_gen *g;
    JINJA_TRY(start(r, c, next_unique, &g, out));
    g->flag = flag(c->a[0]);
    g->attr = c->a[1];
    return SNUG_OK;
}

/* A list that grows, in the arena. */
typedef struct growing {
    jinja_val *items;
    size_t     n, cap;
} growing;

static snug_status push(jinja_run *r, growing *l, jinja_val v)
{
    if (l->n == l->cap) {
        size_t     cap = l->cap == 0 ? 4 : l->cap * 2;
        jinja_val *items = jinja_alloc(r, cap * sizeof *items);
        if (items == NULL) return SNUG_ELIMIT;
        if (l->n > 0) memcpy(items, l->items, l->n * sizeof *items);
        l->items = items;
        l->cap = cap;
    }
    l->items[l->n++] = v;
    return jinja_step(r, 1);
}

static bool has_fill(const jinja_gen *g)
{
    return jinja_given(g->fill) && g->fill.kind != VAL_NONE;
}

static snug_status next_batch(jinja_run *r, jinja_gen *g, jinja_val *out, bool *more)
{
    growing l = {0};
    JINJA_TRY(open_source(r, g));
    if (jinja_given(g->attr)) JINJA_TRY(push(r, &l, g->attr)); /* read before, belongs here */
    g->attr = (jinja_val){0};
    for (;;) {
        jinja_val one;
        JINJA_TRY(jinja_iter_next(r, &g->in, &one, more));
        if (!*more) break;
        if ((int64_t)l.n == (int64_t)g->n) {
            g->attr = one;
            break;
        }
        JINJA_TRY(push(r, &l, one));
    }
    if (!*more && l.n > 0) {
        for (*more = true; has_fill(g) && (int64_t)l.n < (int64_t)g->n;)
            JINJA_TRY(push(r, &l, g->fill));
    }
    *out = jinja_seq(VAL_LIST, l.items, l.n);
    return SNUG_OK;
}

static snug_status run_batch(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    jinja_gen *g;
    int64_t    n;
    JINJA_TRY(start(r, c, next_batch, &g, out));
    JINJA_TRY(jinja_to_index(r, c->a[0], &n));
    g->n = (size_t)n;
    g->fill = c->a[1];
    return SNUG_OK;
}

static snug_status next_slice(jinja_run *r, jinja_gen *g, jinja_val *out, bool *more)
{
    growing l = {0};
    int64_t slices = (int64_t)g->n, at = (int64_t)g->at;
    if (!g->started) {
        g->started = true;
        JINJA_TRY(jinja_list_of(r, g->src, &g->src));
        if (slices == 0) return jinja_raise(r, "integer division or modulo by zero");
    }
    *more = at < slices;
    if (!*more) return SNUG_OK;
    int64_t per = g->src.len / slices, extra = g->src.len % slices;
    int64_t from = at * per + (at < extra ? at : extra), to = from + per + (at < extra ? 1 : 0);
    for (int64_t i = from; i < to; i++) JINJA_TRY(push(r, &l, g->src.u.items[i]));
    if (has_fill(g) && at >= extra) JINJA_TRY(push(r, &l, g->fill));
    g->at++;
    *out = jinja_seq(VAL_LIST, l.items, l.n);
    return SNUG_OK;
}

static snug_status run_slice(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    jinja_gen *g;
    int64_t    n;
    JINJA_TRY(start(r, c, next_slice, &g, out));
    JINJA_TRY(jinja_to_index(r, c->a[0], &n));
    g->n = (size_t)n;
    g->fill = c->a[1];
    return SNUG_OK;
}

static snug_status next_items(jinja_run *r, jinja_gen *g, jinja_val *out, bool *more)
{
    *more = false;
    if (g->src.kind == VAL_UNDEFINED) return SNUG_OK;
    if (g->src.kind != VAL_DICT) return jinja_raise(r, "Can only get item pairs from a mapping.");
    const jinja_dict *d = g->src.u.dict;
    *more = g->at < d->count;
    if (!*more) return SNUG_OK;
    const jinja_pair *p = &d->pairs[g->at++];
    return jinja_pair_of(r, p->key, p->value, out);
}

static snug_status run_items(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    jinja_gen *g;
    return start(r, c, next_items, &g, out);
}

const jinja_builtin jinja_filters_list[] = {
    {.name = "first", .run = run_first},
    {.name = "last", .run = run_last},
    {.name = "length", .run = run_length},
    {.name = "count", .run = run_length},
    {.name = "list", .run = run_list},
    {.name = "reverse", .run = run_reverse},
    {.name = "join", .run = run_join, .params = {"d", "attribute"}},
    {.name = "sum", .run = run_sum, .params = {"attribute", "start"}},
    {.name = "min", .run = run_min, .params = {"case_sensitive", "attribute"}},
    {.name = "max", .run = run_max, .params = {"case_sensitive", "attribute"}},
    {.name = "sort", .run = run_sort, .params = {"reverse", "case_sensitive", "attribute"}},
    {.name = "dictsort", .run = run_dictsort, .params = {"case_sensitive", "by", "reverse"}},
    {.name = "groupby",
     .run = run_groupby,
     .required = 1,
     .params = {"attribute", "default", "case_sensitive"}},
    {.name = "map", .run = run_map, .open = true},
    {.name = "select", .run = run_select, .open = true},
    {.name = "reject", .run = run_reject, .open = true},
    {.name = "selectattr", .run = run_selectattr, .open = true},
    {.name = "rejectattr", .run = run_rejectattr, .open = true},
    {.name = "unique", .run = run_unique, .params = {"case_sensitive", "attribute"}},
    {.name = "batch", .run = run_batch, .required = 1, .params = {"linecount", "fill_with"}},
    {.name = "slice", .run = run_slice, .required = 1, .params = {"slices", "fill_with"}},
    {.name = "items", .run = run_items},
    {.name = NULL},
};
