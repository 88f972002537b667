/* SPDX-License-Identifier: Apache-2.0 */
/* jinja/value.c - values: making them, what they are called, when they are true, equal or less.
 *
 * For:     all of jinja/.
 * Owns:    the error sentences of a rendering: jinja_raise and jinja_limit are their only doors.
 * Truth:   everything that recurses over values counts depth, everything that loops counts steps.
 */
#include "jinja/jinja_int.h"

/* ---- errors ---- */

static void put_place(const jinja_run *r, char out[128])
{
    snug_slice name = r->tmpl == NULL ? SNUG_EMPTY : r->tmpl->name;
    if (name.len > 80) name.len = 80;
    if (name.len == 0)
        (void)snprintf(out, 128, "template line %" PRIu32, r->line);
    else
        (void)snprintf(out, 128, "template %.*s line %" PRIu32, SNUG_SLICE(name), r->line);
}

/* A sentence may quote any string; cut to size it must still be UTF-8. */
static void trim_utf8(char *s)
{
    size_t n = strlen(s);
    while (n > 0 && !snug_utf8_valid((snug_slice){s, n})) s[--n] = '\0';
}

snug_status jinja_raise(jinja_run *r, const char *fmt, ...)
{
    char    place[128], msg[SNUG_ERR_MSG_MAX - 140];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    trim_utf8(msg);
    put_place(r, place);
    return snug_fail_code(r->err, SNUG_EINVAL, "TemplateError", "%s: %s", place, msg);
}

snug_status jinja_limit(jinja_run *r, const char *fmt, ...)
{
    char    place[128], msg[256];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    put_place(r, place);
    return snug_fail_code(r->err, SNUG_ELIMIT, "TemplateLimit", "%s: %s", place, msg);
}

snug_status jinja_over_steps(jinja_run *r)
{
    return jinja_limit(r, "the template runs longer than %" PRIu64 " steps", r->steps_max);
}

snug_status jinja_too_deep(jinja_run *r)
{
    return jinja_limit(r, "calls or values are nested deeper than %u levels", r->depth_max);
}

void *jinja_alloc(jinja_run *r, size_t n)
{
    size_t used = snug_arena_used(r->arena);
    void  *p = NULL;
    if (used <= r->memory_max && n <= r->memory_max - used) p = snug_arena_alloc_try(r->arena, n);
    if (p == NULL)
        (void)jinja_limit(r, "the template's values take more than %zu bytes", r->memory_max);
    return p;
}

/* ---- strings ---- */

static bool is_ascii(snug_slice s)
{
    size_t i = 0;
    for (; i + 8 <= s.len; i += 8) {
        uint64_t w;
        memcpy(&w, s.ptr + i, 8);
        if ((w & 0x8080808080808080u) != 0) return false;
    }
    for (; i < s.len; i++) {
        if ((unsigned char)s.ptr[i] >= 0x80) return false;
    }
    return true;
}

jinja_val jinja_str(snug_slice s)
{
    SNUG_ASSERT(s.len <= UINT32_MAX);
    return (jinja_val){.kind = VAL_STR,
                       .flags = is_ascii(s) ? VAL_ASCII : 0,
                       .len = (uint32_t)s.len,
                       .u.s = s.ptr == NULL ? "" : s.ptr};
}

jinja_val jinja_lit(const char *s) { return jinja_str(snug_str(s)); }

snug_status jinja_str_dup(jinja_run *r, snug_slice s, jinja_val *out)
{
    JINJA_TRY(jinja_step(r, s.len / 64));
    char *p = jinja_alloc(r, s.len);
    if (p == NULL) return SNUG_ELIMIT;
    if (s.len > 0) memcpy(p, s.ptr, s.len);
    *out = jinja_str((snug_slice){p, s.len});
    return SNUG_OK;
}

snug_buf jinja_buf(jinja_run *r)
{
    return snug_buf_init(r->memory_max < UINT32_MAX ? r->memory_max : UINT32_MAX);
}

snug_status jinja_buf_done(jinja_run *r, const snug_buf *b)
{
    return b->full ? jinja_limit(r, "the template's values take more than %zu bytes", r->memory_max)
                   : SNUG_OK;
}

snug_status jinja_str_take(jinja_run *r, snug_buf *b, jinja_val *out)
{
    snug_status st = jinja_buf_done(r, b);
    if (st == SNUG_OK) st = jinja_str_dup(r, snug_buf_slice(b), out);
    snug_buf_deinit(b);
    return st;
}

/* ---- undefined ---- */

jinja_val jinja_undef_name(snug_slice name)
{
    return (jinja_val){
        .kind = VAL_UNDEFINED, .aux = UNDEF_NAME, .len = (uint32_t)name.len, .u.s = name.ptr};
}

jinja_val jinja_undef_attr(jinja_val owner, snug_slice name)
{
    return (jinja_val){.kind = VAL_UNDEFINED,
                       .aux = (uint16_t)(UNDEF_ATTR | owner.kind << 8),
                       .len = (uint32_t)name.len,
                       .u.s = name.ptr == NULL ? "" : name.ptr};
}

jinja_val jinja_undef_hint(const char *hint)
{
    return (jinja_val){
        .kind = VAL_UNDEFINED, .aux = UNDEF_HINT, .len = (uint32_t)strlen(hint), .u.s = hint};
}

snug_status jinja_undef_item(jinja_run *r, jinja_val owner, jinja_val key, jinja_val *out)
{
    if (key.kind == VAL_STR) {
        *out = jinja_undef_attr(owner, jinja_text(key));
    } else if (key.kind == VAL_INT && key.flags == 0) {
        *out = (jinja_val){.kind = VAL_UNDEFINED,
                           .aux = (uint16_t)(UNDEF_INDEX | owner.kind << 8),
                           .u.i = key.u.i};
    } else {
        jinja_val text;
        JINJA_TRY(jinja_to_repr(r, key, &text));
        *out = (jinja_val){.kind = VAL_UNDEFINED,
                           .aux = (uint16_t)(UNDEF_ELEMENT | owner.kind << 8),
                           .len = text.len,
                           .u.s = text.u.s};
    }
    return SNUG_OK;
}

static const char *type_names[VAL_KIND_COUNT] = {
    [VAL_MISSING] = "missing", [VAL_UNDEFINED] = "Undefined",
    [VAL_NONE] = "NoneType",   [VAL_BOOL] = "bool",
    [VAL_INT] = "int",         [VAL_FLOAT] = "float",
    [VAL_STR] = "str",         [VAL_LIST] = "list",
    [VAL_TUPLE] = "tuple",     [VAL_DICT] = "dict",
    [VAL_VIEW] = "dict view",  [VAL_RANGE] = "range",
    [VAL_ITER] = "generator",  [VAL_NAMESPACE] = "namespace",
    [VAL_MACRO] = "macro",     [VAL_FUNC] = "function",
    [VAL_METHOD] = "method",   [VAL_LOOP] = "loop",
    [VAL_CYCLER] = "cycler",   [VAL_JOINER] = "joiner",
    [VAL_MODULE] = "template", [VAL_SELF] = "self",
    [VAL_BLOCK] = "block",
};

const char *jinja_type_name(jinja_val v) { return type_names[v.kind]; }

snug_status jinja_undef_fail(jinja_run *r, jinja_val v)
{
    unsigned    kind = v.aux >> 8;
    const char *owner = kind == VAL_NONE ? "None" : kind < VAL_KIND_COUNT ? type_names[kind] : "";
    const char *object = kind == VAL_NONE ? "" : " object";
    int         len = v.len > 200 ? 200 : (int)v.len;
    switch (v.aux & 0xff) {
    case UNDEF_NAME: return jinja_raise(r, "'%.*s' is undefined", len, v.u.s);
    case UNDEF_ATTR:
        return jinja_raise(r, "'%s%s' has no attribute '%.*s'", owner, object, len, v.u.s);
    case UNDEF_INDEX: return jinja_raise(r, "%s%s has no element %" PRId64, owner, object, v.u.i);
    case UNDEF_ELEMENT:
        return jinja_raise(r, "%s%s has no element %.*s", owner, object, len, v.u.s);
    default: return jinja_raise(r, "%.*s", len, v.u.s);
    }
}

/* ---- truth, length ---- */

bool jinja_truth(jinja_val v)
{
    switch (v.kind) {
    case VAL_MISSING:
    case VAL_UNDEFINED:
    case VAL_NONE: return false;
    case VAL_BOOL: return v.u.b;
    case VAL_INT: return v.u.i != 0;
    case VAL_FLOAT: return v.u.d != 0;
    case VAL_STR:
    case VAL_LIST:
    case VAL_TUPLE: return v.len > 0;
    case VAL_DICT:
    case VAL_VIEW: return v.u.dict->count > 0;
    case VAL_RANGE: return v.u.range->count > 0;
    default: return true;
    }
}

bool jinja_has_len(jinja_val v)
{
    switch (v.kind) {
    case VAL_UNDEFINED:
    case VAL_STR:
    case VAL_LIST:
    case VAL_TUPLE:
    case VAL_DICT:
    case VAL_VIEW:
    case VAL_RANGE:
    case VAL_LOOP: return true;
    default: return false;
    }
}

snug_status jinja_len(jinja_run *r, jinja_val v, int64_t *out)
{
    jinja_val n;
    bool      found;
    switch (v.kind) {
    case VAL_UNDEFINED: *out = 0; return SNUG_OK;
    case VAL_STR:
        *out = (int64_t)jinja_chars(v);
        return (v.flags & VAL_ASCII) != 0 ? SNUG_OK : jinja_step(r, v.len / 64);
    case VAL_LIST:
    case VAL_TUPLE: *out = v.len; return SNUG_OK;
    case VAL_DICT:
    case VAL_VIEW: *out = v.u.dict->count; return SNUG_OK;
    case VAL_RANGE: *out = (int64_t)v.u.range->count; return SNUG_OK;
    case VAL_LOOP:
        JINJA_TRY(jinja_loop_attr(r, v, SNUG_LIT("length"), &n, &found));
        *out = n.u.i;
        return SNUG_OK;
    default: return jinja_raise(r, "object of type '%s' has no length", jinja_type_name(v));
    }
}

/* ---- equality ---- */

bool jinja_identical(jinja_val a, jinja_val b)
{
    if (a.kind != b.kind) return false;
    switch (a.kind) {
    case VAL_NONE: return true;
    case VAL_BOOL: return a.u.b == b.u.b;
    case VAL_INT: return a.u.i == b.u.i && a.flags == b.flags;
    case VAL_FLOAT: return a.u.d == b.u.d;
    case VAL_STR: return a.u.s == b.u.s && a.len == b.len;
    case VAL_UNDEFINED: return a.aux == b.aux && a.u.s == b.u.s && a.len == b.len;
    default: return a.u.items == b.u.items && a.len == b.len && a.aux == b.aux;
    }
}

static snug_status equal_items(jinja_run *r, jinja_val a, jinja_val b, bool *out)
{
    *out = a.len == b.len;
    for (uint32_t i = 0; *out && i < a.len; i++)
        JINJA_TRY(jinja_equal(r, a.u.items[i], b.u.items[i], out));
    return SNUG_OK;
}

static snug_status equal_dicts(jinja_run *r, const jinja_dict *a, const jinja_dict *b, bool *out)
{
    *out = a->count == b->count;
    for (uint32_t i = 0; *out && i < a->count; i++) {
        const jinja_val *other;
        JINJA_TRY(jinja_dict_get(r, b, a->pairs[i].key, &other));
        *out = other != NULL;
        if (*out) JINJA_TRY(jinja_equal(r, a->pairs[i].value, *other, out));
    }
    return SNUG_OK;
}

static bool equal_ranges(const jinja_range *a, const jinja_range *b)
{
    if (a->count != b->count) return false;
    return a->count == 0 || (a->start == b->start && (a->count == 1 || a->step == b->step));
}

static snug_status equal_views(jinja_run *r, jinja_val a, jinja_val b, bool *out)
{
    jinja_iter it;
    bool       more = true;
    *out = false;
    if (a.aux == VIEW_VALUES || b.aux == VIEW_VALUES || a.u.dict->count != b.u.dict->count)
        return SNUG_OK;
    JINJA_TRY(jinja_iter_open(r, a, &it));
    *out = true;
    while (*out) {
        jinja_val item;
        JINJA_TRY(jinja_iter_next(r, &it, &item, &more));
        if (!more) break;
        JINJA_TRY(jinja_contains(r, item, b, out));
    }
    return SNUG_OK;
}

static snug_status equal_deep(jinja_run *r, jinja_val a, jinja_val b, bool *out)
{
    switch (a.kind) {
    case VAL_LIST:
    case VAL_TUPLE: return equal_items(r, a, b, out);
    case VAL_DICT: return equal_dicts(r, a.u.dict, b.u.dict, out);
    case VAL_VIEW: return equal_views(r, a, b, out);
    case VAL_RANGE: *out = equal_ranges(a.u.range, b.u.range); return SNUG_OK;
    case VAL_METHOD:
        *out = a.u.method->func == b.u.method->func &&
               jinja_identical(a.u.method->self, b.u.method->self);
        return SNUG_OK;
    default: *out = false; return SNUG_OK;
    }
}

snug_status jinja_equal(jinja_run *r, jinja_val a, jinja_val b, bool *out)
{
    JINJA_TRY(jinja_step(r, 1));
    if (jinja_is_num(a) && jinja_is_num(b)) {
        *out = jinja_cmp_num(a, b) == 0;
        return SNUG_OK;
    }
    *out = false;
    if (a.kind != b.kind) return SNUG_OK;
    if (a.kind == VAL_STR) {
        *out = a.len == b.len && memcmp(a.u.s, b.u.s, a.len) == 0;
        return jinja_step(r, a.len == b.len ? a.len / 64 : 0);
    }
    *out = a.kind == VAL_UNDEFINED || jinja_identical(a, b);
    if (*out) return SNUG_OK;
    JINJA_TRY(jinja_deeper(r));
    JINJA_TRY(equal_deep(r, a, b, out));
    r->depth--;
    return SNUG_OK;
}

/* ---- order ---- */

static bool holds(jinja_op op, int cmp)
{
    switch (op) {
    case OP_LT: return cmp < 0;
    case OP_LE: return cmp <= 0;
    case OP_GT: return cmp == 1;
    default: return cmp >= 0 && cmp != 2;
    }
}

/* Byte order of UTF-8 is code point order. */
static int cmp_text(jinja_val a, jinja_val b)
{
    int c = snug_cmp(jinja_text(a), jinja_text(b));
    return (c > 0) - (c < 0);
}

static snug_status order_items(jinja_run *r, jinja_op op, jinja_val a, jinja_val b, bool *out)
{
    uint32_t n = a.len < b.len ? a.len : b.len;
    for (uint32_t i = 0; i < n; i++) {
        bool same;
        JINJA_TRY(jinja_equal(r, a.u.items[i], b.u.items[i], &same));
        if (!same) return jinja_order(r, op, a.u.items[i], b.u.items[i], out);
    }
    *out = holds(op, (a.len > b.len) - (a.len < b.len));
    return SNUG_OK;
}

snug_status jinja_order(jinja_run *r, jinja_op op, jinja_val a, jinja_val b, bool *out)
{
    static const char *const names[] = {
        [OP_LT] = "<", [OP_LE] = "<=", [OP_GT] = ">", [OP_GE] = ">="};
    JINJA_TRY(jinja_step(r, 1));
    if (jinja_is_num(a) && jinja_is_num(b)) {
        int c = jinja_cmp_num(a, b);
        *out = c == 2 ? false : holds(op, c);
        return SNUG_OK;
    }
    if (a.kind == VAL_UNDEFINED) return jinja_undef_fail(r, a);
    if (b.kind == VAL_UNDEFINED) return jinja_undef_fail(r, b);
    if (a.kind == VAL_STR && b.kind == VAL_STR) {
        *out = holds(op, cmp_text(a, b));
        return jinja_step(r, a.len / 64);
    }
    if (a.kind == b.kind && (a.kind == VAL_LIST || a.kind == VAL_TUPLE)) {
        JINJA_TRY(jinja_deeper(r));
        JINJA_TRY(order_items(r, op, a, b, out));
        r->depth--;
        return SNUG_OK;
    }
    return jinja_raise(r, "'%s' not supported between instances of '%s' and '%s'", names[op],
                       jinja_type_name(a), jinja_type_name(b));
}

/* ---- in ---- */

static snug_status contains_item(jinja_run *r, jinja_val item, jinja_val in, bool *out)
{
    jinja_iter it;
    bool       more;
    *out = false;
    JINJA_TRY(jinja_iter_open(r, in, &it));
    for (;;) {
        jinja_val one;
        JINJA_TRY(jinja_iter_next(r, &it, &one, &more));
        if (!more) return SNUG_OK;
        *out = jinja_identical(one, item) && item.kind != VAL_FLOAT;
        if (!*out) JINJA_TRY(jinja_equal(r, one, item, out));
        if (*out) return SNUG_OK;
    }
}

snug_status jinja_contains(jinja_run *r, jinja_val item, jinja_val in, bool *out)
{
    const jinja_val *found;
    switch (in.kind) {
    case VAL_STR:
        if (item.kind == VAL_UNDEFINED || item.kind != VAL_STR)
            return jinja_raise(r, "'in <string>' requires string as left operand, not %s",
                               jinja_type_name(item));
        *out = item.len == 0 || snug_find(jinja_text(in), jinja_text(item)) != SIZE_MAX;
        return jinja_step(r, in.len / 64);
    case VAL_DICT:
        JINJA_TRY(jinja_dict_get(r, in.u.dict, item, &found));
        *out = found != NULL;
        return SNUG_OK;
    case VAL_VIEW:
        if (in.aux != VIEW_KEYS) return contains_item(r, item, in, out);
        JINJA_TRY(jinja_dict_get(r, in.u.dict, item, &found));
        *out = found != NULL;
        return SNUG_OK;
    case VAL_UNDEFINED: *out = false; return SNUG_OK;
    default:
        if (!jinja_is_iterable(in))
            return jinja_raise(r, "argument of type '%s' is not iterable", jinja_type_name(in));
        return contains_item(r, item, in, out);
    }
}

/* ---- from JSON, lists ---- */

static snug_status from_array(jinja_run *r, snug_json j, jinja_val *out)
{
    size_t     n = snug_json_count(j);
    jinja_val *items = n > UINT32_MAX ? NULL : jinja_alloc(r, n * sizeof *items);
    if (items == NULL) return SNUG_ELIMIT;
    *out = jinja_seq(VAL_LIST, items, n);
    for (snug_json_iter it = snug_json_iter_of(j); snug_json_next(&it);)
        JINJA_TRY(jinja_from_json(r, it.value, items++));
    return SNUG_OK;
}

static snug_status from_object(jinja_run *r, snug_json j, jinja_val *out)
{
    jinja_dict *d;
    jinja_val   v;
    JINJA_TRY(jinja_dict_new(r, snug_json_count(j), &d));
    for (snug_json_iter it = snug_json_iter_of(j); snug_json_next(&it);) {
        JINJA_TRY(jinja_from_json(r, it.value, &v));
        JINJA_TRY(jinja_dict_put(r, d, jinja_str(it.key), v));
    }
    *out = (jinja_val){.kind = VAL_DICT, .u.dict = d};
    return SNUG_OK;
}

static jinja_val from_number(snug_json j)
{
    int64_t  i;
    uint64_t u;
    double   d = 0;
    if (!snug_json_is(j, SNUG_JSON_INT)) {
        (void)snug_json_to_f64(j, &d);
        return jinja_float(d);
    }
    if (snug_json_to_i64(j, &i)) return jinja_int(i);
    (void)snug_json_to_u64(j, &u);
    return (jinja_val){.kind = VAL_INT, .flags = VAL_WIDE, .u.u = u};
}

/* Strings keep pointing into the document. */
snug_status jinja_from_json(jinja_run *r, snug_json j, jinja_val *out)
{
    snug_slice  s;
    bool        b = false;
    snug_status st = SNUG_OK;
    JINJA_TRY(jinja_deeper(r));
    switch (snug_json_kind(j)) {
    case SNUG_JSON_BOOL:
        (void)snug_json_to_bool(j, &b);
        *out = jinja_bool(b);
        break;
    case SNUG_JSON_INT:
    case SNUG_JSON_REAL: *out = from_number(j); break;
    case SNUG_JSON_STRING:
        (void)snug_json_to_str(j, &s);
        if (s.len > UINT32_MAX)
            return jinja_limit(r, "a string of %zu bytes is beyond the limit", s.len);
        *out = jinja_str(s);
        break;
    case SNUG_JSON_ARRAY: st = from_array(r, j, out); break;
    case SNUG_JSON_OBJECT: st = from_object(r, j, out); break;
    default: *out = jinja_none(); break;
    }
    r->depth--;
    return st;
}

snug_status jinja_list_of(jinja_run *r, jinja_val v, jinja_val *out)
{
    jinja_iter it;
    jinja_val *items = NULL;
    size_t     n = 0, cap = 0;
    int64_t    hint = 0;
    if (v.kind == VAL_LIST || v.kind == VAL_TUPLE) { /* they never change: no copy needed */
        *out = jinja_seq(VAL_LIST, v.u.items, v.len);
        return SNUG_OK;
    }
    JINJA_TRY(jinja_iter_open(r, v, &it));
    if (v.kind != VAL_LOOP && jinja_has_len(v)) JINJA_TRY(jinja_len(r, v, &hint));
    for (;;) {
        bool      more;
        jinja_val one;
        JINJA_TRY(jinja_iter_next(r, &it, &one, &more));
        if (!more) break;
        JINJA_TRY(jinja_step(r, 1));
        if (n == cap) {
            size_t     wider = cap == 0 ? (hint > 0 ? (size_t)hint : 8) : cap * 2;
            jinja_val *grown =
                wider > UINT32_MAX / 2 ? NULL : jinja_alloc(r, wider * sizeof *grown);
            if (grown == NULL) return jinja_limit(r, "a list of %zu items is beyond the limit", n);
            if (n > 0) memcpy(grown, items, n * sizeof *grown);
            items = grown;
            cap = wider;
        }
        items[n++] = one;
    }
    *out = jinja_seq(VAL_LIST, items, n);
    return SNUG_OK;
}

/* a + b for lists or tuples. Like jinja_join: a list built last grows where it is. */
snug_status jinja_list_join(jinja_run *r, jinja_val a, jinja_val b, jinja_val *out)
{
    size_t                  n = (size_t)a.len + b.len;
    struct jinja_list_tail *t = &r->list_tail;
    *out = a;
    if (b.len == 0) return SNUG_OK;
    JINJA_TRY(jinja_step(r, 1 + b.len / 4));
    if (a.len == 0 || t->base != a.u.items || t->used != a.len || t->cap - t->used < b.len) {
        size_t cap = n + n / 2 + 4;
        JINJA_TRY(jinja_step(r, a.len / 4));
        jinja_val *base = cap > UINT32_MAX ? NULL : jinja_alloc(r, cap * sizeof *base);
        if (base == NULL) return jinja_limit(r, "a list of %zu items is beyond the limit", n);
        if (a.len > 0) memcpy(base, a.u.items, a.len * sizeof *base);
        *t = (struct jinja_list_tail){base, a.len, (uint32_t)cap};
    }
    memcpy(t->base + t->used, b.u.items, b.len * sizeof *t->base);
    t->used = (uint32_t)n;
    *out = jinja_seq((jinja_kind)a.kind, t->base, n);
    return SNUG_OK;
}

snug_status jinja_pair_of(jinja_run *r, jinja_val a, jinja_val b, jinja_val *out)
{
    jinja_val *pair = jinja_alloc(r, 2 * sizeof *pair);
    if (pair == NULL) return SNUG_ELIMIT;
    pair[0] = a;
    pair[1] = b;
    *out = jinja_seq(VAL_TUPLE, pair, 2);
    return SNUG_OK;
}
