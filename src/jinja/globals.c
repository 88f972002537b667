/* SPDX-License-Identifier: Apache-2.0 */
/* jinja/globals.c - the functions every template can call, and what belongs to the values they
 * make.
 *
 * For:     name resolution in template.c. */
#include <time.h>

#include "base/sys.h"
#include "jinja/jinja_int.h"

enum { TIME_FORMAT_MAX = 1024, TIME_TEXT_MAX = 64 * 1024 };

/* ---- range ---- */

static snug_status run_range(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    int64_t    at[3] = {0, 0, 1};
    jinja_wide span, count = 0;
    size_t     n = c->args->pos_count;
    if (c->args->kw_count > 0) return jinja_raise(r, "range() takes no named arguments");
    if (n < 1 || n > 3) return jinja_raise(r, "range() takes one to three numbers, not %zu", n);
    for (size_t i = 0; i < n; i++)
        JINJA_TRY(jinja_to_index(r, c->args->pos[i], &at[n == 1 ? 1 : i]));
    if (at[2] == 0) return jinja_raise(r, "range() arg 3 must not be zero");
    span = (jinja_wide)at[1] - at[0];
    if (at[2] > 0 && span > 0) count = (span - 1) / at[2] + 1;
    if (at[2] < 0 && span < 0) count = (-span - 1) / -(jinja_wide)at[2] + 1;
    if (count > JINJA_RANGE_MAX)
        return jinja_limit(r, "a range() of more than %d items", JINJA_RANGE_MAX);
    jinja_range *g = jinja_alloc(r, sizeof *g);
    if (g == NULL) return SNUG_ELIMIT;
    *g = (jinja_range){at[0], at[1], at[2], (uint64_t)count};
    *out = (jinja_val){.kind = VAL_RANGE, .u.range = g};
    return SNUG_OK;
}

/* ---- dict, namespace ---- */

static snug_status put_pair(jinja_run *r, jinja_dict *d, jinja_val pair)
{
    jinja_val list;
    JINJA_TRY(jinja_list_of(r, pair, &list));
    if (list.len != 2)
        return jinja_raise(r, "a dict is made of pairs, not of %" PRIu32 " things", list.len);
    return jinja_dict_put(r, d, list.u.items[0], list.u.items[1]);
}

/* dict(mapping or pairs, name=value...) */
static snug_status fill_dict(jinja_run *r, const char *name, const jinja_args *a, jinja_dict **out)
{
    jinja_iter it;
    bool       more = true;
    if (a->pos_count > 1) return jinja_raise(r, "%s() takes at most one thing by position", name);
    JINJA_TRY(jinja_dict_new(r, a->kw_count, out));
    if (a->pos_count == 1 && a->pos[0].kind == VAL_DICT) {
        const jinja_dict *d = a->pos[0].u.dict;
        for (uint32_t i = 0; i < d->count; i++)
            JINJA_TRY(jinja_dict_put(r, *out, d->pairs[i].key, d->pairs[i].value));
    } else if (a->pos_count == 1) {
        JINJA_TRY(jinja_iter_open(r, a->pos[0], &it));
        for (;;) {
            jinja_val pair;
            JINJA_TRY(jinja_iter_next(r, &it, &pair, &more));
            if (!more) break;
            JINJA_TRY(put_pair(r, *out, pair));
        }
    }
    for (size_t i = 0; i < a->kw_count; i++)
        JINJA_TRY(jinja_dict_put(r, *out, jinja_str(a->kw[i].name), a->kw[i].value));
    return SNUG_OK;
}

static snug_status run_dict(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    jinja_dict *d;
    JINJA_TRY(fill_dict(r, "dict", c->args, &d));
    *out = (jinja_val){.kind = VAL_DICT, .u.dict = d};
    return SNUG_OK;
}

static snug_status run_namespace(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    jinja_dict *d;
    JINJA_TRY(fill_dict(r, "namespace", c->args, &d));
    *out = (jinja_val){.kind = VAL_NAMESPACE, .u.ns = d};
    return SNUG_OK;
}

/* ---- cycler, joiner ---- */

static snug_status run_cycler(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    size_t n = c->args->pos_count;
    if (c->args->kw_count > 0) return jinja_raise(r, "cycler() takes no named arguments");
    if (n == 0) return jinja_raise(r, "at least one item has to be provided");
    jinja_cycler *y = jinja_alloc(r, sizeof *y);
    jinja_val    *items = jinja_alloc(r, n * sizeof *items);
    if (y == NULL || items == NULL) return SNUG_ELIMIT;
    memcpy(items, c->args->pos, n * sizeof *items);
    *y = (jinja_cycler){items, n, 0};
    *out = (jinja_val){.kind = VAL_CYCLER, .u.cycler = y};
    return SNUG_OK;
}

static snug_status cycler_next(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    jinja_cycler *y = c->self.u.cycler;
    (void)r;
    *out = y->items[y->at];
    y->at = (y->at + 1) % y->count;
    return SNUG_OK;
}

static snug_status cycler_reset(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    (void)r;
    c->self.u.cycler->at = 0;
    *out = jinja_none();
    return SNUG_OK;
}

static snug_status run_joiner(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    jinja_joiner *j = jinja_alloc(r, sizeof *j);
    if (j == NULL) return SNUG_ELIMIT;
    *j = (jinja_joiner){jinja_given(c->a[0]) ? c->a[0] : jinja_lit(", "), false};
    *out = (jinja_val){.kind = VAL_JOINER, .u.joiner = j};
    return SNUG_OK;
}

/* ---- for chat templates ---- */

static snug_status run_raise(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    jinja_val text;
    (void)out;
    JINJA_TRY(jinja_to_str(r, c->a[0], &text));
    snug_slice s = jinja_text(text);
    if (s.len >= SNUG_ERR_MSG_MAX) {
        s.len = SNUG_ERR_MSG_MAX - 1;
        while (s.len > 0 && !snug_utf8_valid(s)) s.len--;
    }
    return snug_fail_code(r->err, SNUG_EINVAL, "TemplateRaised", "%.*s", SNUG_SLICE(s));
}

/* strftime() gives 0 both for an empty text and for too little room: a marker tells them apart. */
static snug_status run_strftime(jinja_run *r, const jinja_call *c, jinja_val *out)
{
    if (c->a[0].kind != VAL_STR)
        return jinja_raise(r, "strftime_now() takes a format, not %s", jinja_type_name(c->a[0]));
    if (c->a[0].len > TIME_FORMAT_MAX)
        return jinja_limit(r, "a time format longer than %d bytes", TIME_FORMAT_MAX);
    time_t now =
        (time_t)(r->env->now != NULL ? r->env->now(r->env->now_arg) : snug_now_ms() / 1000);
    struct tm tm;
    char      format[TIME_FORMAT_MAX + 2];
    if (localtime_r(&now, &tm) == NULL) return jinja_raise(r, "the time is beyond the calendar");
    memcpy(format, c->a[0].u.s, c->a[0].len);
    format[c->a[0].len] = '.';
    format[c->a[0].len + 1] = '\0';
    JINJA_TRY(jinja_step(r, 64 + c->a[0].len));
    snug_buf b = snug_buf_init(TIME_TEXT_MAX);
    (void)snug_buf_reserve(&b, TIME_TEXT_MAX);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    size_t n = strftime(b.ptr, TIME_TEXT_MAX, format, &tm);
#pragma GCC diagnostic pop
    snug_status st = n == 0 ? jinja_limit(r, "a time longer than %d bytes", TIME_TEXT_MAX)
                     : !snug_utf8_valid((snug_slice){b.ptr, n - 1})
                         ? jinja_raise(r, "strftime_now() does not know this format")
                         : jinja_str_dup(r, (snug_slice){b.ptr, n - 1}, out);
    snug_buf_deinit(&b);
    return st;
}

static const jinja_builtin globals[] = {
    {.name = "range", .run = run_range, .open = true},
    {.name = "dict", .run = run_dict, .open = true},
    {.name = "namespace", .run = run_namespace, .open = true},
    {.name = "cycler", .run = run_cycler, .open = true},
    {.name = "joiner", .run = run_joiner, .params = {"sep"}},
    {.name = "raise_exception", .run = run_raise, .required = 1, .params = {"message"}},
    {.name = "strftime_now", .run = run_strftime, .required = 1, .params = {"format"}},
    {.name = NULL},
};

static const jinja_builtin cycler_methods[] = {
    {.name = "next", .run = cycler_next}, {.name = "reset", .run = cycler_reset}, {.name = NULL}};

const jinja_builtin *jinja_find_global(snug_slice name) { return jinja_find_in(globals, name); }

/* ---- methods by kind ---- */

const jinja_builtin *jinja_find_method(jinja_kind kind, snug_slice name)
{
    switch (kind) {
    case VAL_STR: return jinja_find_in(jinja_str_methods, name);
    case VAL_DICT: return jinja_find_in(jinja_dict_methods, name);
    case VAL_LIST:
    case VAL_TUPLE:
    case VAL_RANGE: return jinja_find_in(jinja_list_methods, name);
    case VAL_CYCLER: return jinja_find_in(cycler_methods, name);
    case VAL_BOOL:
    case VAL_INT:
    case VAL_FLOAT: return jinja_find_in(jinja_number_methods, name);
    default: return NULL;
    }
}

bool jinja_changes(jinja_kind kind, snug_slice name)
{
    static const char *const of_list[] = {"append", "clear",  "pop",    "reverse", "insert",
                                          "sort",   "extend", "remove", NULL};
    static const char *const of_dict[] = {"clear", "pop", "popitem", "setdefault", "update", NULL};
    const char *const       *names = kind == VAL_LIST ? of_list : kind == VAL_DICT ? of_dict : NULL;
    for (; names != NULL && *names != NULL; names++) {
        if (snug_eq_str(name, *names)) return true;
    }
    return false;
}
