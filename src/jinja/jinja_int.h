/* SPDX-License-Identifier: Apache-2.0 */
/* jinja/jinja_int.h - values, the tree, and a rendering: what the files of jinja/ share.
 *
 *     text --lex.c--> tokens --parse*.c--> tree --bind.c--> tree with slots --exec.c, eval.c-->
 * output
 *
 * Values are 16 bytes and never change once made, so slices and lists share memory freely; only a
 * namespace, a loop, a cycler, a joiner and an iterator have state. All of them live in the arena
 * of the rendering and end with it. */
#ifndef SNUG_JINJA_JINJA_INT_H
#define SNUG_JINJA_JINJA_INT_H

#include <inttypes.h>

#include "base/err.h"
#include "base/slice.h"
#include "jinja/jinja.h"

typedef struct jinja_run  jinja_run;
typedef struct jinja_node jinja_node;

/* ---- values ---- */

typedef enum jinja_kind {
    VAL_MISSING, /* nothing there: an unset slot, an argument not given */
    VAL_UNDEFINED,
    VAL_NONE,
    VAL_BOOL,
    VAL_INT,
    VAL_FLOAT,
    VAL_STR,
    VAL_LIST,
    VAL_TUPLE,
    VAL_DICT,
    VAL_VIEW, /* of a dict; aux: jinja_view */
    VAL_RANGE,
    VAL_ITER, /* goes through its items once */
    VAL_NAMESPACE,
    VAL_MACRO,
    VAL_FUNC,
    VAL_METHOD,
    VAL_LOOP,
    VAL_CYCLER,
    VAL_JOINER,
    VAL_MODULE, /* an imported template */
    VAL_SELF,
    VAL_BLOCK,
    VAL_KIND_COUNT
} jinja_kind;

enum {                /* flags of a value */
       VAL_SAFE = 1,  /* string: markup, printed as it is */
       VAL_ASCII = 2, /* string: known to be ASCII, so that bytes are characters */
       VAL_WIDE = 4,  /* int: u.u, beyond int64_t */
       VAL_GROUP = 8  /* tuple: of groupby, has names */
};

typedef enum jinja_view { VIEW_KEYS, VIEW_VALUES, VIEW_ITEMS } jinja_view;

/* Where an undefined value came from; aux is one of these, plus the owner's jinja_kind << 8. */
typedef enum jinja_undef {
    UNDEF_NAME,
    UNDEF_ATTR,
    UNDEF_INDEX,
    UNDEF_ELEMENT,
    UNDEF_HINT
} jinja_undef;

typedef struct jinja_val {
    uint8_t  kind, flags;
    uint16_t aux;
    uint32_t len; /* bytes of a string, items of a list or tuple */
    union {
        bool                         b;
        int64_t                      i;
        uint64_t                     u;
        double                       d;
        const char                  *s;
        const struct jinja_val      *items;
        struct jinja_dict           *dict;
        const struct jinja_range    *range;
        struct jinja_iter           *iter;
        struct jinja_dict           *ns; /* a namespace is a dict that may change */
        const struct jinja_macro    *macro;
        const struct jinja_builtin  *func;
        const struct jinja_method   *method;
        struct jinja_loop           *loop;
        struct jinja_cycler         *cycler;
        struct jinja_joiner         *joiner;
        struct jinja_module         *module;
        struct jinja_context        *ctx;
        const struct jinja_blockref *block;
    } u;
} jinja_val;

_Static_assert(sizeof(jinja_val) == 16, "two registers");

__extension__ typedef __int128 jinja_wide;

typedef struct jinja_pair {
    jinja_val key, value;
} jinja_pair;

typedef struct jinja_dict { /* in order of insertion */
    jinja_pair *pairs;
    uint32_t   *slots; /* open addressing, pair number + 1; NULL while small */
    uint32_t    count, cap, mask;
} jinja_dict;

typedef struct jinja_range {
    int64_t  start, stop, step;
    uint64_t count;
} jinja_range;

typedef struct jinja_kw {
    snug_slice name;
    jinja_val  value;
} jinja_kw;

typedef struct jinja_args {
    const jinja_val *pos;
    const jinja_kw  *kw;
    size_t           pos_count, kw_count;
} jinja_args;

enum { JINJA_PARAMS_MAX = 6 };

typedef struct jinja_call {                /* what a built-in is given */
    jinja_val         self;                /* the filtered or tested value, the method's owner */
    jinja_val         a[JINJA_PARAMS_MAX]; /* VAL_MISSING: not given */
    const jinja_args *args;
} jinja_call;

typedef snug_status jinja_fn(jinja_run *r, const jinja_call *c, jinja_val *out);

/* A filter, test, method or global function. `params`: names; the first `required` must be given.
 * open: takes what comes and looks at c->args itself. */
typedef struct jinja_builtin {
    const char *name;
    jinja_fn   *run;
    uint8_t     required;
    bool        open;
    const char *params[JINJA_PARAMS_MAX];
} jinja_builtin;

typedef struct jinja_method {
    jinja_val            self;
    const jinja_builtin *func;
} jinja_method;

typedef struct jinja_cycler {
    const jinja_val *items;
    size_t           count, at;
} jinja_cycler;

typedef struct jinja_joiner {
    jinja_val sep;
    bool      used;
} jinja_joiner;

/* A cursor. One that a value points to is shared by all holders of the value. */
typedef struct jinja_iter {
    jinja_val          src;
    size_t             at; /* items passed; bytes passed in a string */
    bool               reversed;
    struct jinja_iter *shared; /* not NULL: the cursor to move instead */
    struct jinja_gen  *gen;    /* not NULL: makes the items */
} jinja_iter;

typedef struct jinja_gen {
    snug_status (*next)(jinja_run *r, struct jinja_gen *g, jinja_val *out, bool *more);
    jinja_val            src;
    jinja_iter           in;
    bool                 started, done, flag, by_attr; /* flag: keep what fails the test */
    const jinja_builtin *func;
    jinja_args           args;
    jinja_val            attr, fill; /* MISSING: none */
    struct jinja_dict   *seen;
    size_t               n, at;
} jinja_gen;

/* ---- the tree ---- */

typedef struct jinja_name { /* one per different name in a template */
    snug_slice            text;
    struct jinja_name    *next;       /* in its bucket */
    struct jinja_sym     *top;        /* while binding: the innermost meaning */
    struct jinja_scope_b *hint_scope; /* while binding: its slot in that scope */
    uint32_t              hint_slot;
    bool                  is_block; /* a block has this name */
} jinja_name;

/* A variable: `up` functions further out, slot number there. */
typedef struct jinja_ref {
    jinja_name *name;
    uint32_t    slot;
    uint16_t    up;
} jinja_ref;

typedef enum jinja_load { LOAD_PARAM, LOAD_RESOLVE, LOAD_ALIAS, LOAD_UNDEFINED } jinja_load;

typedef struct jinja_scope { /* what happens to slots on entering a scope */
    struct jinja_scope_load {
        const jinja_name *name;
        jinja_load        how;
        uint32_t          slot, from;
        uint16_t          from_up;
    } * loads;
    uint32_t count;
} jinja_scope;

typedef struct jinja_body {
    jinja_node **items;
    uint32_t     count;
} jinja_body;

typedef struct jinja_dump { /* variables an included template or a scoped block sees */
    jinja_ref *refs;
    uint32_t   count;
} jinja_dump;

/* A function of its own: the template, a block, a macro, a call block, a recursive loop. */
typedef struct jinja_func {
    uint32_t    slot_count;
    bool        captured; /* a value may keep its frame alive */
    jinja_scope scope;
} jinja_func;

typedef struct jinja_params {
    jinja_ref   *refs;
    jinja_node **defaults; /* NULL: none */
    uint32_t     count;
    bool         uses_caller, uses_kwargs, uses_varargs;
    bool         explicit_caller;
    jinja_ref    caller, kwargs, varargs;
} jinja_params;

typedef struct jinja_macro_def {
    snug_slice   name; /* "caller" for call blocks: NULL ptr */
    jinja_params params;
    jinja_body   body;
    jinja_func   func;
} jinja_macro_def;

typedef struct jinja_arg_nodes {
    jinja_node **pos;
    struct jinja_kw_node {
        snug_slice  name;
        jinja_node *value;
    } * kw;
    jinja_node *star, *dstar;
    uint32_t    pos_count, kw_count;
} jinja_arg_nodes;

typedef enum jinja_node_kind {
    /* expressions */
    N_CONST,
    N_NAME,
    N_NSREF,
    N_LIST,
    N_TUPLE,
    N_DICT,
    N_NEG,
    N_POS,
    N_NOT,
    N_BINARY,
    N_AND,
    N_OR,
    N_COMPARE,
    N_CONCAT,
    N_COND,
    N_ATTR,
    N_ITEM,
    N_SLICE,
    N_CALL,
    N_FILTER,
    N_TEST,
    /* statements */
    N_TEXT,
    N_PRINT,
    N_IF,
    N_FOR,
    N_SET,
    N_SETBLOCK,
    N_MACRO,
    N_CALLBLOCK,
    N_FILTERBLOCK,
    N_WITH,
    N_AUTOESCAPE,
    N_GENERATION,
    N_BREAK,
    N_CONTINUE,
    N_BLOCK,
    N_EXTENDS,
    N_INCLUDE,
    N_IMPORT,
    N_FROM
} jinja_node_kind;

typedef enum jinja_op {
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_FLOORDIV,
    OP_MOD,
    OP_POW,
    OP_EQ,
    OP_NE,
    OP_LT,
    OP_LE,
    OP_GT,
    OP_GE,
    OP_IN,
    OP_NOTIN
} jinja_op;

typedef struct jinja_attr {
    jinja_node          *owner;
    snug_slice           name;
    const jinja_builtin *of_str, *of_dict, *of_list; /* methods of that name */
} jinja_attr;

typedef struct jinja_filter_node {
    jinja_node          *value; /* NULL: the captured text of a filter or set block */
    const jinja_builtin *func;  /* NULL: there is none of that name */
    snug_slice           name;
    jinja_arg_nodes     *args;
} jinja_filter_node;

typedef struct jinja_for {
    jinja_node *target, *iter, *test;
    jinja_body  body, other;
    jinja_scope scope, test_scope, other_scope;
    jinja_ref   loop;
    jinja_func  func;       /* when recursive */
    int32_t     test_shift; /* from a target's slot to the one the test sees */
    bool        has_loop, recursive;
} jinja_for;

typedef struct jinja_block {
    snug_slice          name;
    jinja_body          body;
    jinja_func          func;
    jinja_ref           self, super;
    jinja_dump          locals;
    uint32_t            line;
    bool                scoped, required, uses_self, uses_super;
    struct jinja_block *next;
} jinja_block;

typedef struct jinja_import {
    jinja_node *which;
    jinja_ref   target; /* import */
    struct jinja_from {
        snug_slice name;
        jinja_ref  target;
    } * names; /* from */
    uint32_t   name_count;
    bool       ignore_missing, with_context, toplevel;
    jinja_dump locals;
} jinja_import;

struct jinja_node {
    uint8_t  kind, op; /* op of TEXT and PRINT: 1 at the top level, where extends silences it */
    uint16_t depth;    /* of the tree below */
    uint32_t line;
    union {
        jinja_val value; /* CONST, TEXT */
        jinja_ref ref;   /* NAME */
        struct {
            jinja_ref  ref;
            snug_slice attr;
        } nsref;
        struct {
            jinja_node **items;
            uint32_t     count; /* of a dict: keys and values */
        } list;                 /* LIST, TUPLE, DICT, CONCAT, PRINT (its expressions) */
        struct {
            jinja_node *a, *b, *c;
        } kid; /* unary, BINARY, AND, OR, COND (test, then, else), ITEM, SLICE */
        struct {
            jinja_node *first, **rest;
            uint8_t    *ops;
            uint32_t    count;
        } compare;
        jinja_attr attr;
        struct {
            jinja_node      *callee;
            jinja_arg_nodes *args;
        } call;
        jinja_filter_node filter; /* FILTER, TEST */
        struct {
            jinja_node **conds;
            jinja_body  *bodies;
            uint32_t     count;
            jinja_body   other;
        } cond;
        jinja_for *loop;
        struct {
            jinja_node *target, *value;
            bool        toplevel;
        } set;
        struct {
            jinja_node *target, *filter; /* filter may be NULL */
            jinja_body  body;
            jinja_scope scope;
            bool        toplevel;
        } * setblock;
        struct {
            jinja_macro_def *def;
            jinja_ref        target;
            bool             toplevel;
        } macro;
        struct {
            jinja_macro_def *def;
            jinja_node      *call;
        } callblock;
        struct {
            jinja_node *filter;
            jinja_body  body;
            jinja_scope scope;
        } * filterblock;
        struct {
            jinja_node **targets, **values;
            uint32_t     count;
            jinja_body   body;
            jinja_scope  scope;
        } * with; /* WITH; AUTOESCAPE has its value in values[0] and no targets; GENERATION neither
                   */
        jinja_block  *block;
        jinja_node   *expr; /* EXTENDS */
        jinja_import *import;
    } u;
};

typedef struct jinja_names {
    jinja_name **buckets;
    uint32_t     count, mask;
    snug_arena  *arena;
} jinja_names;

struct jinja_template {
    snug_slice   name;
    bool         autoescape, has_extends, uses_self;
    jinja_ref    self;
    jinja_body   body;
    jinja_func   func;
    jinja_block *blocks;
};

/* ---- lex.c ---- */

typedef enum jinja_tok_kind {
    TOK_EOF,
    TOK_DATA,
    TOK_PRINT_BEGIN,
    TOK_PRINT_END,
    TOK_TAG_BEGIN,
    TOK_TAG_END,
    TOK_NAME,
    TOK_STRING,
    TOK_INT,
    TOK_FLOAT,
    TOK_OP /* op says which: the characters, first one lowest */
} jinja_tok_kind;

typedef struct jinja_tok {
    jinja_tok_kind kind;
    uint32_t       line;
    uint32_t       op;    /* TOK_OP: '+', or '*' | '*' << 8 */
    snug_slice     text;  /* data, names, strings unescaped */
    jinja_val      value; /* numbers */
} jinja_tok;

#define JINJA_OP2(a, b) ((uint32_t)(a) | (uint32_t)(b) << 8)

typedef struct jinja_lexer {
    snug_arena *arena;
    snug_slice  name, src;
    snug_err   *err;
    size_t      at;
    uint32_t    line;
    bool        trim, lstrip;
    uint8_t     state, pending; /* pending: the jinja_tok_kind to give next, 0: none */
    uint32_t    open_count;
    char        open[JINJA_NEST_MAX + 1];
} jinja_lexer;

snug_status jinja_lex_init(jinja_lexer *lx, snug_arena *a, snug_slice text, const jinja_opts *o,
                           snug_slice name, snug_err *err);
snug_status jinja_lex_next(jinja_lexer *lx, jinja_tok *out);
/* "template NAME line N: ..." with SNUG_EINVAL, code TemplateSyntax. */
snug_status jinja_syntax(snug_err *err, snug_slice name, uint32_t line, const char *fmt, ...)
    SNUG_PRINTF(4, 5);

/* ---- parse.c, parse_expr.c ---- */

typedef struct jinja_parser {
    jinja_lexer     lx;
    jinja_tok       tok, ahead;
    bool            has_ahead;
    jinja_names     names;
    snug_arena     *arena;
    snug_err       *err;
    jinja_template *t;
    uint32_t        nest;
    unsigned        uses, hidden; /* USES_*: names read in, and set in, the function being read */
    bool            in_for;       /* anywhere inside one: loop cannot be set */
    bool            can_break, toplevel, has_scoped;
} jinja_parser;

enum {
    USES_CALLER = 1,
    USES_KWARGS = 2,
    USES_VARARGS = 4,
    USES_LOOP = 8,
    USES_SELF = 16,
    USES_SUPER = 32
};

#define JINJA_TRY(call)                                                                            \
    do {                                                                                           \
        snug_status try_ = (call);                                                                 \
        if (__builtin_expect(try_ != SNUG_OK, 0)) return try_;                                     \
    } while (0)

snug_status jinja_advance(jinja_parser *p);
snug_status jinja_look(jinja_parser *p);
snug_status jinja_parse_fail(jinja_parser *p, uint32_t line, const char *fmt, ...)
    SNUG_PRINTF(3, 4);
bool        jinja_at_name(const jinja_parser *p, const char *name);
bool        jinja_at_op(const jinja_parser *p, uint32_t op);
snug_status jinja_expect_op(jinja_parser *p, uint32_t op);
jinja_node *jinja_node_new(jinja_parser *p, jinja_node_kind kind, uint32_t line);
jinja_name *jinja_name_of(jinja_parser *p, snug_slice text);
snug_status jinja_enter(jinja_parser *p); /* one level deeper, within JINJA_NEST_MAX */
/* Sets a node's depth from its children, within JINJA_CHAIN_MAX. */
snug_status jinja_deepen(jinja_parser *p, jinja_node *n, const jinja_node *kid);

typedef struct jinja_vec { /* pointers collected while parsing */
    void   **items;
    uint32_t count, cap;
} jinja_vec;
void jinja_vec_add(jinja_parser *p, jinja_vec *v, void *item);

snug_status jinja_parse_expr(jinja_parser *p, bool cond, jinja_node **out);
snug_status jinja_parse_tuple(jinja_parser *p, bool cond, bool parens, jinja_node **out);
snug_status jinja_parse_target(jinja_parser *p, bool tuple, bool ns, jinja_node **out);
snug_status jinja_parse_filter(jinja_parser *p, jinja_node *value, bool inline_first,
                               jinja_node **out);

/* ---- bind.c ---- */
snug_status jinja_bind(jinja_parser *p);

/* ---- a rendering ---- */

typedef struct jinja_frame {
    struct jinja_frame *outer;
    jinja_val           slots[];
} jinja_frame;

typedef struct jinja_macro {
    const jinja_macro_def *def;
    const jinja_template  *tmpl;
    jinja_frame           *outer;
    struct jinja_context  *ctx;
    bool                   autoescape;
} jinja_macro;

typedef struct jinja_var {
    snug_slice name;
    jinja_val  value;
    bool       exported;
} jinja_var;

/* The blocks of a name, the most derived first. */
typedef struct jinja_block_stack {
    snug_slice name;
    struct jinja_block_impl {
        const jinja_block       *block;
        const jinja_template    *tmpl;
        struct jinja_block_impl *next;
    } * first;
    struct jinja_block_stack *next;
} jinja_block_stack;

typedef struct jinja_context {
    const struct jinja_context *parent; /* looked at after vars; NULL: the run's context */
    jinja_dict                 *locals; /* then these; may be NULL */
    bool                        bare;   /* sees globals only */
    jinja_dict                  vars;   /* set at the top level */
    jinja_dict                  exported;
    jinja_block_stack          *blocks;
    const jinja_template       *tmpl, *extended; /* extended: its parent, once known */
} jinja_context;

typedef struct jinja_blockref {
    jinja_context                 *ctx;
    const struct jinja_block_impl *impl;
    snug_slice                     name;
} jinja_blockref;

typedef struct jinja_module {
    const jinja_template *tmpl;
    jinja_dict           *exported;
    jinja_val             text;
} jinja_module;

typedef struct jinja_loop {
    jinja_iter            in;
    const jinja_for      *node;
    jinja_frame          *frame; /* of the function the loop stands in */
    struct jinja_context *ctx;
    jinja_val             source; /* before filtering */
    jinja_val             current, before, after, changed;
    int64_t               index0, length; /* length < 0: not known yet */
    uint32_t              depth0;
    bool                  filtered;
} jinja_loop;

typedef enum jinja_flow { FLOW_NEXT, FLOW_BREAK, FLOW_CONTINUE } jinja_flow;

typedef struct jinja_chunk {
    struct jinja_chunk *next;
    size_t              used, cap;
    jinja_val           vals[];
} jinja_chunk;

enum { JINJA_TAILS = 4 };

struct jinja_run {
    const jinja_env      *env;
    snug_arena           *arena;
    snug_err             *err;
    const jinja_template *tmpl;
    jinja_context        *ctx;
    jinja_dict           *context, *globals;
    uint64_t              steps, steps_max;
    size_t                memory_max, output_max, out_base;
    unsigned              depth, depth_max;
    uint32_t              line;
    bool                  autoescape;
    jinja_flow            flow;
    snug_buf             *out;     /* where output goes */
    snug_buf              capture; /* of all captures, the innermost last */
    unsigned              captures;
    jinja_chunk          *stack; /* arguments and frames that end with their call */
    struct jinja_tail {          /* buffers whose end may grow in place: see jinja_join */
        char    *base;
        uint32_t used, cap;
    } tails[JINJA_TAILS];
    unsigned tail_next;
    struct jinja_list_tail {
        jinja_val *base;
        uint32_t   used, cap;
    } list_tail;
};

/* ---- value.c: making, comparing ---- */
snug_status jinja_raise(jinja_run *r, const char *fmt, ...) SNUG_PRINTF(2, 3);
snug_status jinja_limit(jinja_run *r, const char *fmt, ...) SNUG_PRINTF(2, 3);
void       *jinja_alloc(jinja_run *r, size_t n); /* NULL: the memory limit; the error is set */
snug_status jinja_over_steps(jinja_run *r);
snug_status jinja_too_deep(jinja_run *r);

static inline snug_status jinja_step(jinja_run *r, uint64_t n)
{
    r->steps += n;
    return __builtin_expect(r->steps > r->steps_max, 0) ? jinja_over_steps(r) : SNUG_OK;
}

static inline snug_status jinja_deeper(jinja_run *r) /* pair with r->depth-- */
{
    return __builtin_expect(++r->depth > r->depth_max, 0) ? jinja_too_deep(r) : SNUG_OK;
}

static inline jinja_val jinja_none(void) { return (jinja_val){.kind = VAL_NONE}; }
static inline jinja_val jinja_bool(bool b) { return (jinja_val){.kind = VAL_BOOL, .u.b = b}; }
static inline jinja_val jinja_int(int64_t i) { return (jinja_val){.kind = VAL_INT, .u.i = i}; }
static inline jinja_val jinja_float(double d) { return (jinja_val){.kind = VAL_FLOAT, .u.d = d}; }
static inline jinja_val jinja_seq(jinja_kind kind, const jinja_val *items, size_t n)
{
    return (jinja_val){.kind = (uint8_t)kind, .len = (uint32_t)n, .u.items = items};
}
static inline snug_slice jinja_text(jinja_val v) { return (snug_slice){v.u.s, v.len}; }
static inline bool       jinja_is_str(jinja_val v) { return v.kind == VAL_STR; }
static inline bool       jinja_given(jinja_val v) { return v.kind != VAL_MISSING; }
static inline bool       jinja_is_safe(jinja_val v)
{
    return v.kind == VAL_STR && (v.flags & VAL_SAFE) != 0;
}

jinja_val jinja_str(snug_slice s); /* borrowed; finds out whether it is ASCII */
jinja_val jinja_lit(const char *s);
/* Copies into the rendering's memory. */
snug_status jinja_str_dup(jinja_run *r, snug_slice s, jinja_val *out);
/* Takes what was written into a buffer as a string and frees the buffer. */
snug_status jinja_str_take(jinja_run *r, snug_buf *b, jinja_val *out);
jinja_val   jinja_undef_name(snug_slice name);
jinja_val   jinja_undef_attr(jinja_val owner, snug_slice name);
jinja_val   jinja_undef_hint(const char *hint);
snug_status jinja_undef_item(jinja_run *r, jinja_val owner, jinja_val key, jinja_val *out);
snug_status jinja_undef_fail(jinja_run *r, jinja_val v); /* the sentence for using it */
const char *jinja_type_name(jinja_val v);
bool        jinja_truth(jinja_val v);
bool        jinja_identical(jinja_val a, jinja_val b);
snug_status jinja_equal(jinja_run *r, jinja_val a, jinja_val b, bool *out);
/* <, <=, >, >= as Python orders; unlike kinds fail. */
snug_status jinja_order(jinja_run *r, jinja_op op, jinja_val a, jinja_val b, bool *out);
snug_status jinja_contains(jinja_run *r, jinja_val item, jinja_val in, bool *out);
snug_status jinja_len(jinja_run *r, jinja_val v, int64_t *out);
bool        jinja_has_len(jinja_val v);
snug_status jinja_from_json(jinja_run *r, snug_json j, jinja_val *out);
snug_status jinja_list_of(jinja_run *r, jinja_val v, jinja_val *out); /* list(v) */
snug_status jinja_list_join(jinja_run *r, jinja_val a, jinja_val b, jinja_val *out);
snug_status jinja_pair_of(jinja_run *r, jinja_val a, jinja_val b, jinja_val *out);

/* ---- dict.c ---- */
snug_status jinja_dict_new(jinja_run *r, size_t cap, jinja_dict **out);
snug_status jinja_dict_put(jinja_run *r, jinja_dict *d, jinja_val key, jinja_val value);
snug_status jinja_dict_get(jinja_run *r, const jinja_dict *d, jinja_val key, const jinja_val **out);
/* By string. *out NULL: no such key. */
snug_status jinja_dict_find(jinja_run *r, const jinja_dict *d, snug_slice key,
                            const jinja_val **out);
snug_status jinja_hashable(jinja_run *r, jinja_val v);

/* ---- number.c ---- */
bool        jinja_is_num(jinja_val v); /* int, float, bool */
bool        jinja_is_int(jinja_val v); /* int, bool */
jinja_wide  jinja_wide_of(jinja_val v);
double      jinja_double_of(jinja_val v);
int         jinja_cmp_num(jinja_val a, jinja_val b); /* 2: unordered (NaN) */
snug_status jinja_int_of_wide(jinja_run *r, jinja_wide w, jinja_val *out);
snug_status jinja_arith(jinja_run *r, jinja_op op, jinja_val a, jinja_val b, jinja_val *out);
snug_status jinja_negate(jinja_run *r, jinja_val v, bool minus, jinja_val *out);
snug_status jinja_round(jinja_run *r, jinja_val v, int64_t digits, jinja_val *out);
/* Text as int(text, base) and float(text) read it; false: they would not. */
bool jinja_parse_int(snug_slice s, int base, jinja_wide *out);
bool jinja_parse_float(snug_slice s, double *out);
/* An int that fits, for indexes and counts; anything else fails. */
snug_status jinja_to_index(jinja_run *r, jinja_val v, int64_t *out);
/* printf's %e, %f, %g with a point whatever the locale. */
void jinja_put_double(snug_buf *b, char conv, int precision, bool alt, double d);

/* ---- unicode.c, text.c ---- */
bool       jinja_is_space(uint32_t cp);
uint32_t   jinja_utf8_at(snug_slice s, size_t *at); /* decodes and advances */
size_t     jinja_utf8_count(snug_slice s);
size_t     jinja_chars(jinja_val s);                /* characters of a string */
size_t     jinja_offset(jinja_val s, size_t chars); /* byte offset of a character */
snug_slice jinja_strip(snug_slice s, const snug_slice *chars, bool left, bool right);
jinja_val  jinja_sub(jinja_val s, size_t from, size_t to); /* by bytes */
typedef enum jinja_case {
    CASE_UPPER,
    CASE_LOWER,
    CASE_TITLE,
    CASE_CAPITAL,
    CASE_SWAP,
    CASE_FOLD
} jinja_case;
/* One character to up to three; for UPPER, LOWER, TITLE and FOLD. */
size_t      jinja_map_case(uint32_t cp, jinja_case to, uint32_t out[3]);
snug_status jinja_change_case(jinja_run *r, jinja_val s, jinja_case to, jinja_val *out);
bool        jinja_is_printable(uint32_t cp);
bool        jinja_is_alnum(uint32_t cp);
bool        jinja_is_alpha(uint32_t cp);
bool        jinja_is_decimal(uint32_t cp);
bool        jinja_is_digit(uint32_t cp);
bool        jinja_is_numeric(uint32_t cp);
bool        jinja_is_upper(uint32_t cp);
bool        jinja_is_lower(uint32_t cp);
bool        jinja_is_title(uint32_t cp);
bool        jinja_is_name_start(uint32_t cp);
bool        jinja_is_name_part(uint32_t cp);
/* a + b; grows a's memory in place when a is the end of it, so that building a text piece by piece
 * is linear. */
snug_status jinja_join(jinja_run *r, jinja_val a, jinja_val b, jinja_val *out);
snug_status jinja_repeat(jinja_run *r, jinja_val s, int64_t times, jinja_val *out);
snug_status jinja_replace(jinja_run *r, jinja_val s, snug_slice old, snug_slice with, int64_t max,
                          jinja_val *out);
snug_status jinja_escape(jinja_run *r, jinja_val v, jinja_val *out); /* markup of any value */
void        jinja_put_escaped(snug_buf *b, snug_slice s);
snug_status jinja_splitlines(jinja_run *r, jinja_val s, bool keep, jinja_val *out);

/* ---- repr.c ---- */
snug_status jinja_put_str(jinja_run *r, snug_buf *b, jinja_val v);   /* str() */
snug_status jinja_put_repr(jinja_run *r, snug_buf *b, jinja_val v);  /* repr() */
snug_status jinja_to_str(jinja_run *r, jinja_val v, jinja_val *out); /* strings stay as they are */
snug_status jinja_to_repr(jinja_run *r, jinja_val v, jinja_val *out);
void        jinja_put_float(snug_buf *b, double d);
typedef struct jinja_dump_opts {
    bool       ascii, sort_keys, has_indent;
    snug_slice indent, item_sep, key_sep;
} jinja_dump_opts;
snug_status jinja_put_json(jinja_run *r, snug_buf *b, jinja_val v, const jinja_dump_opts *o,
                           unsigned level);
snug_status jinja_buf_done(jinja_run *r, const snug_buf *b); /* fails when the buffer overflowed */
snug_buf    jinja_buf(jinja_run *r);

/* ---- iter.c ---- */
snug_status jinja_iter_open(jinja_run *r, jinja_val v, jinja_iter *out);
snug_status jinja_iter_next(jinja_run *r, jinja_iter *it, jinja_val *out, bool *more);
bool        jinja_is_iterable(jinja_val v);
snug_status jinja_gen_new(jinja_run *r, jinja_gen **gen, jinja_val *out);
snug_status jinja_reversed(jinja_run *r, jinja_val v, jinja_val *out, bool *ok);
snug_status jinja_sort(jinja_run *r, jinja_val *items, const jinja_val *keys, size_t n,
                       bool reverse);

/* ---- attr.c ---- */
snug_status jinja_get_attr(jinja_run *r, jinja_val v, const jinja_attr *at, jinja_val *out);
snug_status jinja_get_attr_named(jinja_run *r, jinja_val v, snug_slice name, jinja_val *out);
snug_status jinja_get_item(jinja_run *r, jinja_val v, jinja_val key, jinja_val *out);
snug_status jinja_get_slice(jinja_run *r, jinja_val v, const jinja_val bounds[3], jinja_val *out);
/* "a.b.0" or a number, through get_item; dflt MISSING: none. */
snug_status jinja_get_path(jinja_run *r, jinja_val v, jinja_val path, jinja_val dflt,
                           jinja_val *out);

/* ---- call.c ---- */
jinja_val  *jinja_push(jinja_run *r, size_t n, jinja_chunk **mark, size_t *used);
void        jinja_pop(jinja_run *r, jinja_chunk *mark, size_t used);
snug_status jinja_call_builtin(jinja_run *r, const jinja_builtin *f, jinja_val self,
                               const jinja_args *args, jinja_val *out);
snug_status jinja_call_value(jinja_run *r, jinja_val f, const jinja_args *args, jinja_val *out);
bool        jinja_is_callable(jinja_val v);
snug_status jinja_make_method(jinja_run *r, jinja_val self, const jinja_builtin *f, jinja_val *out);

/* ---- tables ---- */
const jinja_builtin       *jinja_find_filter(snug_slice name);
const jinja_builtin       *jinja_find_test(snug_slice name);
const jinja_builtin       *jinja_find_global(snug_slice name);
const jinja_builtin       *jinja_find_method(jinja_kind kind, snug_slice name);
const jinja_builtin       *jinja_find_in(const jinja_builtin *table, snug_slice name);
extern const jinja_builtin jinja_filters_text[], jinja_filters_list[];
extern const jinja_builtin jinja_str_methods[], jinja_dict_methods[], jinja_list_methods[],
    jinja_number_methods[];
bool jinja_changes(jinja_kind kind, snug_slice name); /* a method that would change its owner */
snug_status jinja_percent(jinja_run *r, jinja_val fmt, jinja_val values, jinja_val *out);
snug_status jinja_format(jinja_run *r, jinja_val fmt, const jinja_args *args, jinja_val *out);

/* ---- eval.c, exec.c, template.c ---- */
snug_status jinja_eval(jinja_run *r, jinja_frame *f, const jinja_node *n, jinja_val *out);
snug_status jinja_call_node(jinja_run *r, jinja_frame *f, const jinja_node *n,
                            const jinja_val *caller, jinja_val *out);
snug_status jinja_filter_value(jinja_run *r, jinja_frame *f, const jinja_node *n,
                               const jinja_val *value, jinja_val *out);
snug_status jinja_assign(jinja_run *r, jinja_frame *f, const jinja_node *target, jinja_val v,
                         int32_t shift);
snug_status jinja_exec(jinja_run *r, jinja_frame *f, const jinja_body *b);
snug_status jinja_enter_scope(jinja_run *r, jinja_frame *f, const jinja_scope *s);
void        jinja_leave_scope(jinja_frame *f, const jinja_scope *s);
snug_status jinja_frame_new(jinja_run *r, const jinja_func *fn, jinja_frame *outer,
                            jinja_frame **out);
snug_status jinja_print(jinja_run *r, jinja_val v);
snug_status jinja_write(jinja_run *r, const char *p, size_t n);
/* Captures what is written until jinja_capture_end, which gives it as a string. */
size_t      jinja_capture_begin(jinja_run *r);
snug_status jinja_capture_end(jinja_run *r, size_t mark, jinja_val *out);
void        jinja_capture_drop(jinja_run *r, size_t mark);
snug_status jinja_loop_next(jinja_run *r, jinja_loop *l, bool *more);
snug_status jinja_loop_attr(jinja_run *r, jinja_val v, snug_slice name, jinja_val *out,
                            bool *found);
snug_status jinja_run_loop(jinja_run *r, jinja_frame *f, const jinja_for *n, jinja_val src,
                           uint32_t depth0);
snug_status jinja_recurse(jinja_run *r, jinja_loop *l, jinja_val src, jinja_val *out);
snug_status jinja_call_macro(jinja_run *r, const jinja_macro *m, const jinja_args *args,
                             jinja_val *out);

/* MISSING when nobody set it. */
snug_status jinja_resolve(jinja_run *r, const jinja_context *c, snug_slice name, jinja_val *out);
snug_status jinja_set_var(jinja_run *r, snug_slice name, jinja_val v, bool export);
snug_status jinja_call_block(jinja_run *r, const jinja_blockref *b);
snug_status jinja_exec_block(jinja_run *r, jinja_frame *f, const jinja_block *b);
snug_status jinja_exec_extends(jinja_run *r, jinja_frame *f, const jinja_node *n);
snug_status jinja_exec_include(jinja_run *r, jinja_frame *f, const jinja_import *n);
snug_status jinja_exec_import(jinja_run *r, jinja_frame *f, const jinja_node *n);
snug_status jinja_find_block(jinja_run *r, jinja_context *ctx, snug_slice name, jinja_val *out,
                             bool *found);

#endif
