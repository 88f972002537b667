/* SPDX-License-Identifier: Apache-2.0 */
/* jinja/parse_expr.c - expressions: tokens to nodes.
 *
 * For:     parse.c.
 * Truth:   from loosest to tightest, each level left to right:
 *
 *     a if b else c | or | and | not | == != < <= > >= in, chained | + - | ~ | * / // % | ** |
 *     unary + - | .name [item] (call) | filters, is-tests
 *
 * As in Jinja, ** is left-associative and -x ** y is (-x) ** y. */
#include "jinja/jinja_int.h"

static snug_status parse_unary(jinja_parser *p, bool filters, jinja_node **out);
static snug_status parse_level(jinja_parser *p, int level, jinja_node **out);

/* ---- making nodes ---- */

jinja_node *jinja_node_new(jinja_parser *p, jinja_node_kind kind, uint32_t line)
{
    jinja_node *n = SNUG_NEW(p->arena, jinja_node);
    n->kind = (uint8_t)kind;
    n->line = line;
    n->depth = 1;
    return n;
}

snug_status jinja_enter(jinja_parser *p)
{
    if (++p->nest <= JINJA_NEST_MAX) return SNUG_OK;
    return snug_fail(p->err, SNUG_ELIMIT, "template line %" PRIu32 ": nested deeper than %d levels",
                     p->tok.line, JINJA_NEST_MAX);
}

snug_status jinja_deepen(jinja_parser *p, jinja_node *n, const jinja_node *kid)
{
    if (kid == NULL || kid->depth < n->depth) return SNUG_OK;
    n->depth = (uint16_t)(kid->depth + 1);
    if (n->depth <= JINJA_CHAIN_MAX) return SNUG_OK;
    return snug_fail(p->err, SNUG_ELIMIT,
                     "template line %" PRIu32 ": an expression of more than %d levels", n->line,
                     JINJA_CHAIN_MAX);
}

void jinja_vec_add(jinja_parser *p, jinja_vec *v, void *item)
{
    if (v->count == v->cap) {
        uint32_t cap = v->cap == 0 ? 4 : v->cap * 2;
        void   **items = snug_arena_alloc(p->arena, cap * sizeof *items);
        if (v->count > 0) memcpy(items, v->items, v->count * sizeof *items);
        v->items = items;
        v->cap = cap;
    }
    v->items[v->count++] = item;
}

static snug_status make_list(jinja_parser *p, jinja_node_kind kind, uint32_t line, jinja_vec *v,
                             jinja_node **out)
{
    jinja_node *n = jinja_node_new(p, kind, line);
    n->u.list.items = (jinja_node **)v->items;
    n->u.list.count = v->count;
    for (uint32_t i = 0; i < v->count; i++) JINJA_TRY(jinja_deepen(p, n, n->u.list.items[i]));
    *out = n;
    return SNUG_OK;
}

static snug_status make_kids(jinja_parser *p, jinja_node_kind kind, uint32_t line, jinja_node *a,
                             jinja_node *b, jinja_node *c, jinja_node **out)
{
    jinja_node *n = jinja_node_new(p, kind, line);
    n->u.kid.a = a;
    n->u.kid.b = b;
    n->u.kid.c = c;
    JINJA_TRY(jinja_deepen(p, n, a));
    JINJA_TRY(jinja_deepen(p, n, b));
    JINJA_TRY(jinja_deepen(p, n, c));
    *out = n;
    return SNUG_OK;
}

/* ---- names ---- */

static unsigned special_name(snug_slice s)
{
    static const struct {
        const char *name;
        unsigned    bit;
    } names[] = {{"caller", USES_CALLER}, {"kwargs", USES_KWARGS}, {"varargs", USES_VARARGS},
                 {"loop", USES_LOOP},     {"self", USES_SELF},     {"super", USES_SUPER}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (snug_eq_str(s, names[i].name)) return names[i].bit;
    }
    return 0;
}

static jinja_node *make_name(jinja_parser *p, snug_slice text, uint32_t line)
{
    jinja_node *n = jinja_node_new(p, N_NAME, line);
    n->u.ref.name = jinja_name_of(p, text);
    return n;
}

static jinja_node *make_const(jinja_parser *p, jinja_val v, uint32_t line)
{
    jinja_node *n = jinja_node_new(p, N_CONST, line);
    n->u.value = v;
    return n;
}

static jinja_node *name_or_constant(jinja_parser *p, snug_slice s, uint32_t line)
{
    if (snug_eq_str(s, "true") || snug_eq_str(s, "True"))
        return make_const(p, jinja_bool(true), line);
    if (snug_eq_str(s, "false") || snug_eq_str(s, "False"))
        return make_const(p, jinja_bool(false), line);
    if (snug_eq_str(s, "none") || snug_eq_str(s, "None")) return make_const(p, jinja_none(), line);
    return make_name(p, s, line);
}

/* ---- primary expressions ---- */

/* "a" 'b' is one string. */
static snug_status parse_strings(jinja_parser *p, jinja_node **out)
{
    uint32_t    line = p->tok.line;
    snug_slice  first = p->tok.text;
    snug_buf    b = snug_buf_init(JINJA_SOURCE_MAX);
    snug_status st = SNUG_OK;
    SNUG_TRY(jinja_advance(p));
    if (p->tok.kind == TOK_STRING) {
        snug_buf_put_slice(&b, first);
        while (p->tok.kind == TOK_STRING) {
            snug_buf_put_slice(&b, p->tok.text);
            SNUG_TRY(jinja_advance(p));
        }
        first = snug_arena_dup(p->arena, snug_buf_slice(&b));
    }
    *out = make_const(p, jinja_str(first), line);
done:
    snug_buf_deinit(&b);
    return st;
}

static snug_status parse_list(jinja_parser *p, jinja_node **out)
{
    uint32_t  line = p->tok.line;
    jinja_vec v = {0};
    JINJA_TRY(jinja_advance(p));
    while (!jinja_at_op(p, ']')) {
        jinja_node *item;
        if (v.count > 0) {
            JINJA_TRY(jinja_expect_op(p, ','));
            if (jinja_at_op(p, ']')) break;
        }
        JINJA_TRY(jinja_parse_expr(p, true, &item));
        jinja_vec_add(p, &v, item);
    }
    JINJA_TRY(jinja_advance(p));
    return make_list(p, N_LIST, line, &v, out);
}

static snug_status parse_dict(jinja_parser *p, jinja_node **out)
{
    uint32_t  line = p->tok.line;
    jinja_vec v = {0};
    JINJA_TRY(jinja_advance(p));
    while (!jinja_at_op(p, '}')) {
        jinja_node *key, *value;
        if (v.count > 0) {
            JINJA_TRY(jinja_expect_op(p, ','));
            if (jinja_at_op(p, '}')) break;
        }
        JINJA_TRY(jinja_parse_expr(p, true, &key));
        JINJA_TRY(jinja_expect_op(p, ':'));
        JINJA_TRY(jinja_parse_expr(p, true, &value));
        jinja_vec_add(p, &v, key);
        jinja_vec_add(p, &v, value);
    }
    JINJA_TRY(jinja_advance(p));
    return make_list(p, N_DICT, line, &v, out);
}

static snug_status parse_primary(jinja_parser *p, bool ns, jinja_node **out)
{
    jinja_tok tok = p->tok;
    switch (tok.kind) {
    case TOK_NAME:
        JINJA_TRY(jinja_advance(p));
        *out = name_or_constant(p, tok.text, tok.line);
        if (ns && (*out)->kind == N_NAME && jinja_at_op(p, '.')) { /* ns.x = ... */
            jinja_name *name = (*out)->u.ref.name;
            JINJA_TRY(jinja_advance(p));
            if (p->tok.kind != TOK_NAME)
                return jinja_parse_fail(p, tok.line, "a name is expected behind the dot");
            *out = jinja_node_new(p, N_NSREF, tok.line);
            (*out)->u.nsref.ref.name = name;
            (*out)->u.nsref.attr = p->tok.text;
            return jinja_advance(p);
        }
        return SNUG_OK;
    case TOK_STRING: return parse_strings(p, out);
    case TOK_INT:
    case TOK_FLOAT: *out = make_const(p, tok.value, tok.line); return jinja_advance(p);
    case TOK_OP:
        if (tok.op == '(') {
            JINJA_TRY(jinja_advance(p));
            JINJA_TRY(jinja_parse_tuple(p, true, true, out));
            return jinja_expect_op(p, ')');
        }
        if (tok.op == '[') return parse_list(p, out);
        if (tok.op == '{') return parse_dict(p, out);
        break;
    default: break;
    }
    return jinja_parse_fail(p, tok.line, "an expression is expected");
}

/* ---- calls, items, attributes ---- */

static snug_status parse_one_arg(jinja_parser *p, jinja_arg_nodes *a, jinja_vec *pos, jinja_vec *kw)
{
    uint32_t line = p->tok.line;
    bool     is_kw = false;
    if (jinja_at_op(p, '*')) {
        if (a->star != NULL || a->dstar != NULL) goto bad;
        JINJA_TRY(jinja_advance(p));
        return jinja_parse_expr(p, true, &a->star);
    }
    if (jinja_at_op(p, JINJA_OP2('*', '*'))) {
        if (a->dstar != NULL) goto bad;
        JINJA_TRY(jinja_advance(p));
        return jinja_parse_expr(p, true, &a->dstar);
    }
    if (p->tok.kind == TOK_NAME) {
        JINJA_TRY(jinja_look(p));
        is_kw = p->ahead.kind == TOK_OP && p->ahead.op == '=';
    }
    if (is_kw) {
        if (a->dstar != NULL) goto bad;
        struct jinja_kw_node *one = SNUG_NEW(p->arena, struct jinja_kw_node);
        one->name = p->tok.text;
        JINJA_TRY(jinja_advance(p));
        JINJA_TRY(jinja_advance(p));
        JINJA_TRY(jinja_parse_expr(p, true, &one->value));
        jinja_vec_add(p, kw, one);
        return SNUG_OK;
    }
    jinja_node *one;
    if (a->star != NULL || a->dstar != NULL || kw->count > 0) goto bad;
    JINJA_TRY(jinja_parse_expr(p, true, &one));
    jinja_vec_add(p, pos, one);
    return SNUG_OK;
bad:
    return jinja_parse_fail(p, line, "arguments in an order no call takes");
}

/* Python compiles the call and refuses a keyword given twice; so do we. */
static snug_status check_keywords(jinja_parser *p, const jinja_arg_nodes *a)
{
    if (a->kw_count > 64)
        return jinja_parse_fail(p, p->tok.line, "a call with more than 64 keyword arguments");
    for (uint32_t i = 1; i < a->kw_count; i++) {
        for (uint32_t k = 0; k < i; k++) {
            if (snug_eq(a->kw[i].name, a->kw[k].name))
                return jinja_parse_fail(p, p->tok.line, "keyword argument repeated: %.*s",
                                        SNUG_SLICE(a->kw[i].name));
        }
    }
    return SNUG_OK;
}

/* At "(": reads up to the ")". The deepest argument's depth goes to `owner`. */
static snug_status parse_args(jinja_parser *p, jinja_node *owner, jinja_arg_nodes **out)
{
    jinja_arg_nodes *a = SNUG_NEW(p->arena, jinja_arg_nodes);
    jinja_vec        pos = {0}, kw = {0};
    bool             first = true;
    JINJA_TRY(jinja_advance(p));
    while (!jinja_at_op(p, ')')) {
        if (!first) {
            JINJA_TRY(jinja_expect_op(p, ','));
            if (jinja_at_op(p, ')')) break;
        }
        JINJA_TRY(parse_one_arg(p, a, &pos, &kw));
        first = false;
    }
    JINJA_TRY(jinja_advance(p));
    a->pos = (jinja_node **)pos.items;
    a->pos_count = pos.count;
    a->kw_count = kw.count;
    a->kw = kw.count == 0 ? NULL : snug_arena_alloc(p->arena, kw.count * sizeof *a->kw);
    for (uint32_t i = 0; i < kw.count; i++) {
        a->kw[i] = *(struct jinja_kw_node *)kw.items[i];
        JINJA_TRY(jinja_deepen(p, owner, a->kw[i].value));
    }
    for (uint32_t i = 0; i < pos.count; i++) JINJA_TRY(jinja_deepen(p, owner, a->pos[i]));
    JINJA_TRY(jinja_deepen(p, owner, a->star));
    JINJA_TRY(jinja_deepen(p, owner, a->dstar));
    JINJA_TRY(check_keywords(p, a));
    *out = a;
    return SNUG_OK;
}

static snug_status parse_call(jinja_parser *p, jinja_node *callee, jinja_node **out)
{
    jinja_node *n = jinja_node_new(p, N_CALL, p->tok.line);
    n->u.call.callee = callee;
    JINJA_TRY(jinja_deepen(p, n, callee));
    JINJA_TRY(parse_args(p, n, &n->u.call.args));
    *out = n;
    return SNUG_OK;
}

static snug_status parse_attr(jinja_parser *p, jinja_node *owner, jinja_node **out)
{
    uint32_t line = p->tok.line;
    JINJA_TRY(jinja_advance(p));
    if (p->tok.kind == TOK_INT) {
        jinja_node *key = make_const(p, p->tok.value, line);
        JINJA_TRY(jinja_advance(p));
        return make_kids(p, N_ITEM, line, owner, key, NULL, out);
    }
    if (p->tok.kind != TOK_NAME)
        return jinja_parse_fail(p, line, "a name or number is expected behind the dot");
    jinja_node *n = jinja_node_new(p, N_ATTR, line);
    n->u.attr = (jinja_attr){.owner = owner,
                             .name = p->tok.text,
                             .of_str = jinja_find_method(VAL_STR, p->tok.text),
                             .of_dict = jinja_find_method(VAL_DICT, p->tok.text),
                             .of_list = jinja_find_method(VAL_LIST, p->tok.text)};
    JINJA_TRY(jinja_deepen(p, n, owner));
    *out = n;
    return jinja_advance(p);
}

static bool at_bound_end(const jinja_parser *p)
{
    return jinja_at_op(p, ':') || jinja_at_op(p, ']') || jinja_at_op(p, ',');
}

/* One entry between the brackets: an expression or a slice. */
static snug_status parse_index(jinja_parser *p, jinja_node **out)
{
    uint32_t    line = p->tok.line;
    jinja_node *part[3] = {NULL, NULL, NULL};
    if (!jinja_at_op(p, ':')) {
        JINJA_TRY(jinja_parse_expr(p, true, &part[0]));
        if (!jinja_at_op(p, ':')) {
            *out = part[0];
            return SNUG_OK;
        }
    }
    JINJA_TRY(jinja_advance(p));
    if (!at_bound_end(p)) JINJA_TRY(jinja_parse_expr(p, true, &part[1]));
    if (jinja_at_op(p, ':')) {
        JINJA_TRY(jinja_advance(p));
        if (!at_bound_end(p)) JINJA_TRY(jinja_parse_expr(p, true, &part[2]));
    }
    return make_kids(p, N_SLICE, line, part[0], part[1], part[2], out);
}

static snug_status parse_item(jinja_parser *p, jinja_node *owner, jinja_node **out)
{
    uint32_t    line = p->tok.line;
    jinja_vec   v = {0};
    jinja_node *key;
    bool        slices = false;
    JINJA_TRY(jinja_advance(p));
    while (!jinja_at_op(p, ']')) {
        jinja_node *one;
        if (v.count > 0) JINJA_TRY(jinja_expect_op(p, ','));
        JINJA_TRY(parse_index(p, &one));
        slices = slices || one->kind == N_SLICE;
        jinja_vec_add(p, &v, one);
    }
    JINJA_TRY(jinja_advance(p));
    key = v.count == 1 ? v.items[0] : NULL;
    if (key == NULL) {
        if (slices) return jinja_parse_fail(p, line, "a slice stands alone between its brackets");
        JINJA_TRY(make_list(p, N_TUPLE, line, &v, &key));
    }
    return make_kids(p, N_ITEM, line, owner, key, NULL, out);
}

static snug_status parse_postfix(jinja_parser *p, jinja_node *n, jinja_node **out)
{
    for (;;) {
        if (jinja_at_op(p, '.'))
            JINJA_TRY(parse_attr(p, n, &n));
        else if (jinja_at_op(p, '['))
            JINJA_TRY(parse_item(p, n, &n));
        else if (jinja_at_op(p, '('))
            JINJA_TRY(parse_call(p, n, &n));
        else
            break;
    }
    *out = n;
    return SNUG_OK;
}

/* ---- filters and tests ---- */

static snug_status parse_dotted(jinja_parser *p, snug_slice *out)
{
    if (p->tok.kind != TOK_NAME) return jinja_parse_fail(p, p->tok.line, "a name is expected");
    *out = p->tok.text;
    JINJA_TRY(jinja_advance(p));
    while (jinja_at_op(p, '.')) {
        JINJA_TRY(jinja_advance(p));
        if (p->tok.kind != TOK_NAME) return jinja_parse_fail(p, p->tok.line, "a name is expected");
        *out = snug_arena_printf(p->arena, "%.*s.%.*s", SNUG_SLICE(*out), SNUG_SLICE(p->tok.text));
        if (out->len > 200) return jinja_parse_fail(p, p->tok.line, "the name is too long");
        JINJA_TRY(jinja_advance(p));
    }
    return SNUG_OK;
}

snug_status jinja_parse_filter(jinja_parser *p, jinja_node *value, bool inline_first,
                               jinja_node **out)
{
    *out = value;
    while (inline_first || jinja_at_op(p, '|')) {
        if (!inline_first) JINJA_TRY(jinja_advance(p));
        inline_first = false;
        jinja_node *n = jinja_node_new(p, N_FILTER, p->tok.line);
        n->u.filter.value = *out;
        JINJA_TRY(jinja_deepen(p, n, *out));
        JINJA_TRY(parse_dotted(p, &n->u.filter.name));
        n->u.filter.func = jinja_find_filter(n->u.filter.name);
        if (jinja_at_op(p, '(')) JINJA_TRY(parse_args(p, n, &n->u.filter.args));
        *out = n;
    }
    return SNUG_OK;
}

/* "is divisibleby 3": an argument without parentheses. */
static bool at_bare_arg(const jinja_parser *p)
{
    switch (p->tok.kind) {
    case TOK_NAME:
        return !jinja_at_name(p, "else") && !jinja_at_name(p, "or") && !jinja_at_name(p, "and");
    case TOK_STRING:
    case TOK_INT:
    case TOK_FLOAT: return true;
    case TOK_OP: return p->tok.op == '[' || p->tok.op == '{';
    default: return false;
    }
}

static snug_status parse_test(jinja_parser *p, jinja_node *value, jinja_node **out)
{
    jinja_node *n = jinja_node_new(p, N_TEST, p->tok.line);
    bool        negated;
    JINJA_TRY(jinja_advance(p));
    negated = jinja_at_name(p, "not");
    if (negated) JINJA_TRY(jinja_advance(p));
    n->u.filter.value = value;
    JINJA_TRY(jinja_deepen(p, n, value));
    JINJA_TRY(parse_dotted(p, &n->u.filter.name));
    n->u.filter.func = jinja_find_test(n->u.filter.name);
    if (jinja_at_op(p, '(')) {
        JINJA_TRY(parse_args(p, n, &n->u.filter.args));
    } else if (at_bare_arg(p)) {
        jinja_arg_nodes *a = SNUG_NEW(p->arena, jinja_arg_nodes);
        if (jinja_at_name(p, "is"))
            return jinja_parse_fail(p, n->line, "tests do not chain with is");
        a->pos = SNUG_NEW(p->arena, jinja_node *);
        a->pos_count = 1;
        JINJA_TRY(jinja_enter(p));
        JINJA_TRY(parse_primary(p, false, &a->pos[0]));
        JINJA_TRY(parse_postfix(p, a->pos[0], &a->pos[0]));
        p->nest--;
        JINJA_TRY(jinja_deepen(p, n, a->pos[0]));
        n->u.filter.args = a;
    }
    *out = n;
    return negated ? make_kids(p, N_NOT, n->line, n, NULL, NULL, out) : SNUG_OK;
}

static snug_status parse_filters(jinja_parser *p, jinja_node *n, jinja_node **out)
{
    for (;;) {
        if (jinja_at_op(p, '|'))
            JINJA_TRY(jinja_parse_filter(p, n, false, &n));
        else if (jinja_at_name(p, "is"))
            JINJA_TRY(parse_test(p, n, &n));
        else if (jinja_at_op(p, '('))
            JINJA_TRY(parse_call(p, n, &n));
        else
            break;
    }
    *out = n;
    return SNUG_OK;
}

/* ---- operators ---- */

static snug_status parse_unary(jinja_parser *p, bool filters, jinja_node **out)
{
    uint32_t    line = p->tok.line;
    jinja_node *n;
    if (jinja_at_op(p, '-') || jinja_at_op(p, '+')) {
        jinja_node_kind kind = p->tok.op == '-' ? N_NEG : N_POS;
        JINJA_TRY(jinja_enter(p));
        JINJA_TRY(jinja_advance(p));
        JINJA_TRY(parse_unary(p, false, &n));
        p->nest--;
        JINJA_TRY(make_kids(p, kind, line, n, NULL, NULL, &n));
    } else {
        JINJA_TRY(parse_primary(p, false, &n));
    }
    JINJA_TRY(parse_postfix(p, n, &n));
    if (filters) JINJA_TRY(parse_filters(p, n, &n));
    *out = n;
    return SNUG_OK;
}

enum {
    LEVEL_OR,
    LEVEL_AND,
    LEVEL_NOT,
    LEVEL_COMPARE,
    LEVEL_SUM,
    LEVEL_CONCAT,
    LEVEL_PRODUCT,
    LEVEL_POWER,
    LEVEL_UNARY
};

/* The arithmetic operator at the cursor, if it is one of this level. */
static bool at_binary(const jinja_parser *p, int level, jinja_op *op)
{
    static const struct {
        uint32_t tok;
        uint8_t  level, op;
    } table[] = {{'+', LEVEL_SUM, OP_ADD},
                 {'-', LEVEL_SUM, OP_SUB},
                 {'*', LEVEL_PRODUCT, OP_MUL},
                 {'/', LEVEL_PRODUCT, OP_DIV},
                 {JINJA_OP2('/', '/'), LEVEL_PRODUCT, OP_FLOORDIV},
                 {'%', LEVEL_PRODUCT, OP_MOD},
                 {JINJA_OP2('*', '*'), LEVEL_POWER, OP_POW}};
    if (p->tok.kind != TOK_OP) return false;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (table[i].tok != p->tok.op || table[i].level != level) continue;
        *op = (jinja_op)table[i].op;
        return true;
    }
    return false;
}

/* *op at a comparison; "not in" needs a second look. */
static snug_status at_comparison(jinja_parser *p, jinja_op *op, bool *yes)
{
    static const struct {
        uint32_t tok;
        jinja_op op;
    } table[] = {{JINJA_OP2('=', '='), OP_EQ},
                 {JINJA_OP2('!', '='), OP_NE},
                 {'<', OP_LT},
                 {JINJA_OP2('<', '='), OP_LE},
                 {'>', OP_GT},
                 {JINJA_OP2('>', '='), OP_GE}};
    *yes = false;
    for (size_t i = 0; p->tok.kind == TOK_OP && i < sizeof table / sizeof *table; i++) {
        if (table[i].tok != p->tok.op) continue;
        *op = table[i].op;
        *yes = true;
    }
    if (jinja_at_name(p, "in")) {
        *op = OP_IN;
        *yes = true;
    } else if (jinja_at_name(p, "not")) {
        JINJA_TRY(jinja_look(p));
        *yes = p->ahead.kind == TOK_NAME && snug_eq_str(p->ahead.text, "in");
        *op = OP_NOTIN;
        if (*yes) JINJA_TRY(jinja_advance(p));
    }
    return *yes ? jinja_advance(p) : SNUG_OK;
}

static snug_status parse_compare(jinja_parser *p, jinja_node **out)
{
    uint32_t    line = p->tok.line;
    jinja_vec   rest = {0}, ops = {0};
    jinja_node *first, *one;
    jinja_op    op = OP_EQ;
    bool        yes;
    JINJA_TRY(parse_level(p, LEVEL_SUM, &first));
    for (;;) {
        JINJA_TRY(at_comparison(p, &op, &yes));
        if (!yes) break;
        JINJA_TRY(parse_level(p, LEVEL_SUM, &one));
        jinja_vec_add(p, &ops, (void *)(uintptr_t)op);
        jinja_vec_add(p, &rest, one);
    }
    *out = first;
    if (rest.count == 0) return SNUG_OK;
    jinja_node *n = jinja_node_new(p, N_COMPARE, line);
    n->u.compare.first = first;
    n->u.compare.rest = (jinja_node **)rest.items;
    n->u.compare.count = rest.count;
    n->u.compare.ops = snug_arena_alloc(p->arena, rest.count);
    JINJA_TRY(jinja_deepen(p, n, first));
    for (uint32_t i = 0; i < rest.count; i++) {
        n->u.compare.ops[i] = (uint8_t)(uintptr_t)ops.items[i];
        JINJA_TRY(jinja_deepen(p, n, n->u.compare.rest[i]));
    }
    *out = n;
    return SNUG_OK;
}

static snug_status parse_concat(jinja_parser *p, jinja_node **out)
{
    uint32_t    line = p->tok.line;
    jinja_vec   v = {0};
    jinja_node *one;
    JINJA_TRY(parse_level(p, LEVEL_PRODUCT, &one));
    *out = one;
    if (!jinja_at_op(p, '~')) return SNUG_OK;
    jinja_vec_add(p, &v, one);
    while (jinja_at_op(p, '~')) {
        JINJA_TRY(jinja_advance(p));
        JINJA_TRY(parse_level(p, LEVEL_PRODUCT, &one));
        jinja_vec_add(p, &v, one);
    }
    return make_list(p, N_CONCAT, line, &v, out);
}

static snug_status parse_not(jinja_parser *p, jinja_node **out)
{
    uint32_t line = p->tok.line;
    if (!jinja_at_name(p, "not")) return parse_compare(p, out);
    JINJA_TRY(jinja_enter(p));
    JINJA_TRY(jinja_advance(p));
    JINJA_TRY(parse_not(p, out));
    p->nest--;
    return make_kids(p, N_NOT, line, *out, NULL, NULL, out);
}

/* One level of left-to-right operators; what binds tighter is read by the level above. */
static snug_status parse_level(jinja_parser *p, int level, jinja_node **out)
{
    uint32_t    line = p->tok.line;
    jinja_node *left, *right;
    jinja_op    op = OP_ADD;
    if (level == LEVEL_NOT) return parse_not(p, out);
    if (level == LEVEL_CONCAT) return parse_concat(p, out);
    if (level == LEVEL_UNARY) return parse_unary(p, true, out);
    JINJA_TRY(parse_level(p, level + 1, &left));
    for (;;) {
        jinja_node_kind kind = N_BINARY;
        if (level == LEVEL_OR && jinja_at_name(p, "or"))
            kind = N_OR;
        else if (level == LEVEL_AND && jinja_at_name(p, "and"))
            kind = N_AND;
        else if (!at_binary(p, level, &op))
            break;
        JINJA_TRY(jinja_advance(p));
        JINJA_TRY(parse_level(p, level + 1, &right));
        JINJA_TRY(make_kids(p, kind, line, left, right, NULL, &left));
        left->op = (uint8_t)op;
        line = p->tok.line;
    }
    *out = left;
    return SNUG_OK;
}

static snug_status parse_cond(jinja_parser *p, jinja_node **out)
{
    uint32_t    line = p->tok.line;
    jinja_node *n;
    JINJA_TRY(parse_level(p, LEVEL_OR, &n));
    while (jinja_at_name(p, "if")) {
        jinja_node *test, *other = NULL;
        JINJA_TRY(jinja_advance(p));
        JINJA_TRY(parse_level(p, LEVEL_OR, &test));
        if (jinja_at_name(p, "else")) {
            JINJA_TRY(jinja_advance(p));
            JINJA_TRY(jinja_enter(p));
            JINJA_TRY(parse_cond(p, &other));
            p->nest--;
        }
        JINJA_TRY(make_kids(p, N_COND, line, test, n, other, &n));
        line = p->tok.line;
    }
    *out = n;
    return SNUG_OK;
}

snug_status jinja_parse_expr(jinja_parser *p, bool cond, jinja_node **out)
{
    JINJA_TRY(jinja_enter(p));
    JINJA_TRY(cond ? parse_cond(p, out) : parse_level(p, LEVEL_OR, out));
    p->nest--;
    return SNUG_OK;
}

/* ---- tuples and targets ---- */

static bool at_tuple_end(const jinja_parser *p)
{
    return p->tok.kind == TOK_PRINT_END || p->tok.kind == TOK_TAG_END || jinja_at_op(p, ')');
}

static snug_status finish_tuple(jinja_parser *p, jinja_vec *v, bool tuple, bool parens,
                                uint32_t line, jinja_node **out)
{
    if (!tuple && v->count > 0) {
        *out = v->items[0];
        return SNUG_OK;
    }
    if (!tuple && !parens) return jinja_parse_fail(p, line, "an expression is expected");
    return make_list(p, N_TUPLE, line, v, out);
}

snug_status jinja_parse_tuple(jinja_parser *p, bool cond, bool parens, jinja_node **out)
{
    uint32_t  line = p->tok.line;
    jinja_vec v = {0};
    bool      tuple = false;
    for (;;) {
        jinja_node *one;
        if (v.count > 0) JINJA_TRY(jinja_expect_op(p, ','));
        if (at_tuple_end(p)) break;
        JINJA_TRY(jinja_parse_expr(p, cond, &one));
        jinja_vec_add(p, &v, one);
        if (!jinja_at_op(p, ',')) break;
        tuple = true;
    }
    return finish_tuple(p, &v, tuple, parens, line, out);
}

static bool can_assign(const jinja_node *n)
{
    if (n->kind == N_NAME || n->kind == N_NSREF) return true;
    if (n->kind != N_TUPLE) return false;
    for (uint32_t i = 0; i < n->u.list.count; i++) {
        if (!can_assign(n->u.list.items[i])) return false;
    }
    return true;
}

/* A body that sets `caller` itself no longer asks for the special one. */
static void note_targets(jinja_parser *p, const jinja_node *n)
{
    if (n->kind == N_TUPLE) {
        for (uint32_t i = 0; i < n->u.list.count; i++) note_targets(p, n->u.list.items[i]);
    } else if (n->kind == N_NAME) {
        p->hidden |= special_name(n->u.ref.name->text);
    }
}

snug_status jinja_parse_target(jinja_parser *p, bool tuple, bool ns, jinja_node **out)
{
    uint32_t  line = p->tok.line;
    unsigned  uses = p->uses;
    jinja_vec v = {0};
    bool      is_tuple = false;
    for (;;) {
        jinja_node *one;
        if (v.count > 0) JINJA_TRY(jinja_expect_op(p, ','));
        if (v.count > 0 && at_tuple_end(p)) break;
        JINJA_TRY(parse_primary(p, ns, &one));
        jinja_vec_add(p, &v, one);
        if (!tuple || !jinja_at_op(p, ',')) break;
        is_tuple = true;
    }
    JINJA_TRY(finish_tuple(p, &v, is_tuple, false, line, out));
    p->uses = uses;
    if (!can_assign(*out)) return jinja_parse_fail(p, line, "this cannot be assigned to");
    note_targets(p, *out);
    return SNUG_OK;
}

/* ---- names, one each ---- */

static uint32_t hash_name(snug_slice s)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < s.len; i++) h = (h ^ (unsigned char)s.ptr[i]) * 16777619u;
    return h;
}

static void grow_names(jinja_parser *p)
{
    jinja_names *t = &p->names;
    uint32_t     mask = t->buckets == NULL ? 63 : t->mask * 2 + 1;
    jinja_name **fresh = snug_arena_zalloc(p->arena, (mask + 1) * sizeof *fresh);
    for (uint32_t i = 0; t->buckets != NULL && i <= t->mask; i++) {
        for (jinja_name *n = t->buckets[i], *next; n != NULL; n = next) {
            uint32_t at = hash_name(n->text) & mask;
            next = n->next;
            n->next = fresh[at];
            fresh[at] = n;
        }
    }
    t->buckets = fresh;
    t->mask = mask;
}

/* Also remembers that the function being read uses a special name. */
jinja_name *jinja_name_of(jinja_parser *p, snug_slice text)
{
    jinja_names *t = &p->names;
    p->uses |= special_name(text) & ~p->hidden;
    if (t->count >= t->mask) grow_names(p);
    jinja_name **bucket = &t->buckets[hash_name(text) & t->mask];
    for (jinja_name *n = *bucket; n != NULL; n = n->next) {
        if (snug_eq(n->text, text)) return n;
    }
    jinja_name *n = SNUG_NEW(p->arena, jinja_name);
    n->text = text;
    n->next = *bucket;
    *bucket = n;
    t->count++;
    return n;
}
