/* SPDX-License-Identifier: Apache-2.0 */
/* codec/pickle.c - the symbolic pickle machine, protocols 0 to 5.
 *
 * For:     codec/scan.c, which judges what it found, and codec/torch.c, which reads tensors out of
 * it. Owns:    its nodes, stack and memo. Threads: one machine, one thread. Truth:   no opcode does
 * anything but add nodes. A pickle is a program for a stack machine whose only dangerous
 * instructions are "import this name" and "call that"; here both only make a node that says so.
 *
 *   stack    [ ... mark ... value value ]     marks kept apart, as depths of the stack
 *   memo     number -> node, a hash table: the numbers come from the file
 *   nodes    one array; node 0 is None; containers are chains of cells
 *
 * Where the two real unpicklers differ or are lenient, this one goes on rather than stop: an import
 * behind a quirk must be seen. What it cannot follow ends as PICKLE_MALFORMED, never as DONE. */
#include <inttypes.h>
#include <stdlib.h>

#include "codec/pickle_int.h"

/* X(constant, byte) of every opcode */
#define OPCODES(X)                                                                                 \
    X(MARK, '(')                                                                                   \
    X(STOP, '.')                                                                                   \
    X(POP, '0')                                                                                    \
    X(POP_MARK, '1')                                                                               \
    X(DUP, '2') X(FLOAT, 'F') X(INT, 'I') X(BININT, 'J') X(BININT1, 'K') X(LONG, 'L') X(           \
        BININT2, 'M') X(NONE, 'N') X(PERSID, 'P') X(BINPERSID, 'Q') X(REDUCE, 'R') X(STRING, 'S')  \
        X(BINSTRING, 'T') X(SHORT_BINSTRING,                                                       \
                            'U') X(UNICODE, 'V') X(BINUNICODE, 'X') X(APPEND, 'a') X(BUILD, 'b')   \
            X(GLOBAL, 'c') X(DICT, 'd') X(EMPTY_DICT, '}') X(APPENDS, 'e') X(GET, 'g')             \
                X(BINGET, 'h') X(INST, 'i') X(LONG_BINGET, 'j') X(LIST, 'l') X(EMPTY_LIST, ']')    \
                    X(OBJ, 'o') X(PUT, 'p') X(BINPUT, 'q') X(LONG_BINPUT, 'r') X(SETITEM, 's')     \
                        X(TUPLE, 't') X(EMPTY_TUPLE, ')') X(SETITEMS, 'u') X(BINFLOAT, 'G')        \
                            X(PROTO, 0x80) X(NEWOBJ, 0x81) X(EXT1, 0x82) X(EXT2, 0x83)             \
                                X(EXT4, 0x84) X(TUPLE1, 0x85) X(TUPLE2, 0x86) X(TUPLE3, 0x87)      \
                                    X(NEWTRUE, 0x88) X(NEWFALSE, 0x89) X(LONG1, 0x8a)              \
                                        X(LONG4, 0x8b) X(BINBYTES, 'B') X(SHORT_BINBYTES, 'C')     \
                                            X(SHORT_BINUNICODE, 0x8c) X(BINUNICODE8, 0x8d)         \
                                                X(BINBYTES8, 0x8e) X(EMPTY_SET, 0x8f)              \
                                                    X(ADDITEMS, 0x90) X(FROZENSET, 0x91)           \
                                                        X(NEWOBJ_EX, 0x92) X(STACK_GLOBAL, 0x93)   \
                                                            X(MEMOIZE, 0x94) X(FRAME, 0x95)        \
                                                                X(BYTEARRAY8, 0x96)                \
                                                                    X(NEXT_BUFFER, 0x97)           \
                                                                        X(READONLY_BUFFER, 0x98)
enum {
#define X(id, byte) OP_##id = byte,
    OPCODES(X)
#undef X
};

enum { NODES_FIRST = 256, TABLE_FIRST = 64 };

typedef struct memo_slot {
    uint64_t key; /* plus one; 0: free */
    uint32_t node;
} memo_slot;

struct pickle {
    snug_rd          r;
    snug_slice       in;
    pickle_node     *nodes;
    uint32_t        *stack, *marks;
    memo_slot       *memo;
    pickle_import   *imports;
    uint32_t        *import_table; /* open addressing: index + 1 */
    size_t           node_count, node_cap, depth, stack_cap, mark_count, mark_cap;
    size_t           memo_count, memo_cap, import_count, import_cap, table_cap;
    uint64_t         op_at, ops, seed;
    snug_arena      *text; /* strings whose escapes were resolved */
    pickle_end       end;
    const char      *why;
    unsigned         flags, protocol;
    uint32_t         top;
    pickle_text_fn  *on_text;
    void            *text_arg;
    pickle_build_fn *on_build;
    void            *build_arg;
};

/* ---- failing: sticky, like the reader's ---- */

static bool fail(pickle *p, pickle_end end, const char *why)
{
    if (p->end == PICKLE_DONE) {
        p->end = end;
        p->why = why;
    }
    return false;
}

static bool malformed(pickle *p, const char *why) { return fail(p, PICKLE_MALFORMED, why); }

/* Doubles an array; items * size was compared with the limit. */
static bool grow(pickle *p, void **array, size_t *cap, size_t size, size_t max, const char *why)
{
    size_t wider = *cap == 0 ? NODES_FIRST : *cap * 2, bytes;
    if (*cap >= max) return fail(p, PICKLE_TOO_LARGE, why);
    if (wider > max) wider = max;
    void *bigger = snug_mul(wider, size, &bytes) ? NULL : snug_alloc_try(bytes);
    if (bigger == NULL) return fail(p, PICKLE_TOO_LARGE, "there is no memory for it");
    if (*cap > 0) memcpy(bigger, *array, *cap * size);
    free(*array);
    *array = bigger;
    *cap = wider;
    return true;
}

/* ---- nodes ---- */

static uint32_t add_node(pickle *p, pickle_node n)
{
    if (p->node_count == p->node_cap) {
        void *nodes = p->nodes;
        bool  ok = grow(p, &nodes, &p->node_cap, sizeof *p->nodes, PICKLE_NODES_MAX,
                        "it has more values than are looked at");
        p->nodes = nodes;
        if (!ok) return 0;
    }
    p->nodes[p->node_count] = n;
    return (uint32_t)p->node_count++;
}

static uint32_t add_text(pickle *p, pickle_kind kind, snug_slice s)
{
    if (s.len > UINT32_MAX) {
        (void)fail(p, PICKLE_TOO_LARGE, "it has a string of more than 4 GiB");
        return 0;
    }
    if (p->on_text != NULL) p->on_text(p->text_arg, s, p->op_at);
    return add_node(p, (pickle_node){.kind = kind, .n = (uint32_t)s.len, .v.p = s.ptr});
}

static uint32_t add_int(pickle *p, int64_t v)
{
    return add_node(p, (pickle_node){.kind = PICKLE_INT, .v.i = v});
}

/* Puts a value behind the chain of a container. */
static void chain(pickle *p, uint32_t container, uint32_t value)
{
    uint32_t     cell = add_node(p, (pickle_node){.kind = PICKLE_CELL, .v.link.a = value});
    pickle_node *c = &p->nodes[container];
    if (cell == 0) return;
    if (c->v.link.a == 0)
        c->v.link.a = cell;
    else
        p->nodes[c->v.link.b].v.link.b = cell;
    c->v.link.b = cell;
    if (c->kind != PICKLE_MORE) c->n++; /* there n is the state */
}

/* ---- stack and memo ---- */

static void push(pickle *p, uint32_t id)
{
    if (p->depth == p->stack_cap) {
        void *stack = p->stack;
        bool  ok = grow(p, &stack, &p->stack_cap, sizeof *p->stack, PICKLE_STACK_MAX,
                        "its stack grows without end");
        p->stack = stack;
        if (!ok) return;
    }
    p->stack[p->depth++] = id;
}

static size_t floor_of(const pickle *p)
{
    return p->mark_count == 0 ? 0 : p->marks[p->mark_count - 1];
}

static uint32_t pop(pickle *p)
{
    if (p->depth <= floor_of(p)) {
        (void)malformed(p, "it takes a value from an empty stack");
        return 0;
    }
    return p->stack[--p->depth];
}

static uint32_t peek(pickle *p)
{
    if (p->depth <= floor_of(p)) {
        (void)malformed(p, "it looks at a value of an empty stack");
        return 0;
    }
    return p->stack[p->depth - 1];
}

static void push_mark(pickle *p)
{
    if (p->mark_count == p->mark_cap) {
        void *marks = p->marks;
        bool  ok = grow(p, &marks, &p->mark_cap, sizeof *p->marks, PICKLE_STACK_MAX,
                        "its marks grow without end");
        p->marks = marks;
        if (!ok) return;
    }
    p->marks[p->mark_count++] = (uint32_t)p->depth;
}

/* Takes the topmost mark away; *from: the first value above it, which stays on the stack. */
static bool pop_mark(pickle *p, size_t *from)
{
    if (p->mark_count == 0) return malformed(p, "it looks for a mark that is not there");
    *from = p->marks[--p->mark_count];
    return true;
}

/* Seeded per machine, since the file chooses the keys. */
static uint64_t mix(const pickle *p, uint64_t key)
{
    key ^= p->seed;
    key = (key ^ key >> 33) * 0xff51afd7ed558ccdu;
    key = (key ^ key >> 33) * 0xc4ceb9fe1a85ec53u;
    return key ^ key >> 33;
}

static size_t memo_slot_of(const pickle *p, uint64_t key)
{
    size_t at = (size_t)mix(p, key) & (p->memo_cap - 1);
    while (p->memo[at].key != 0 && p->memo[at].key != key + 1) at = (at + 1) & (p->memo_cap - 1);
    return at;
}

static bool widen_memo(pickle *p)
{
    size_t     old_cap = p->memo_cap, cap = old_cap == 0 ? TABLE_FIRST : old_cap * 2, bytes;
    memo_slot *old = p->memo, *wider = NULL;
    if (cap > (size_t)PICKLE_MEMO_MAX * 2)
        return fail(p, PICKLE_TOO_LARGE, "its memo grows without end");
    if (!snug_mul(cap, sizeof *wider, &bytes)) wider = snug_alloc_try(bytes);
    if (wider == NULL) return fail(p, PICKLE_TOO_LARGE, "there is no memory for it");
    memset(wider, 0, bytes);
    p->memo = wider;
    p->memo_cap = cap;
    for (size_t i = 0; i < old_cap; i++) {
        if (old[i].key != 0) p->memo[memo_slot_of(p, old[i].key - 1)] = old[i];
    }
    free(old);
    return true;
}

static void memo_put(pickle *p, uint64_t key)
{
    uint32_t value = peek(p);
    if (p->end != PICKLE_DONE || (p->memo_count * 2 >= p->memo_cap && !widen_memo(p))) return;
    memo_slot *s = &p->memo[memo_slot_of(p, key)];
    if (s->key == 0) p->memo_count++;
    *s = (memo_slot){key + 1, value};
}

static void memo_get(pickle *p, uint64_t key)
{
    if (p->memo_cap == 0 || p->memo[memo_slot_of(p, key)].key == 0) {
        (void)malformed(p, "it asks its memo for what was never put there");
        return;
    }
    push(p, p->memo[memo_slot_of(p, key)].node);
}

/* ---- text arguments ---- */

static snug_slice take(pickle *p, uint64_t n)
{
    snug_slice s = snug_rd_bytes(&p->r, n);
    if (p->r.bad) (void)fail(p, PICKLE_CUT, "its bytes end too early");
    return s;
}

static uint64_t take_int(pickle *p, unsigned size)
{
    snug_slice s = take(p, size);
    uint64_t   v = 0;
    for (unsigned i = 0; i < size && s.len == size; i++)
        v |= (uint64_t)(unsigned char)s.ptr[i] << (8 * i);
    return v;
}

/* Up to the newline, which is dropped. */
static snug_slice take_line(pickle *p)
{
    snug_slice left = snug_slice_of(p->r.p, snug_rd_left(&p->r));
    size_t     n = snug_index(left, '\n');
    if (n == SIZE_MAX) {
        (void)fail(p, PICKLE_CUT, "a line of it has no end");
        return SNUG_EMPTY;
    }
    snug_slice line = snug_rd_bytes(&p->r, n);
    (void)snug_rd_u8(&p->r);
    return line;
}

/* As int() reads it: blanks around, a sign, underscores between digits. */
static bool line_to_i64(snug_slice s, int64_t *out)
{
    char   digits[32];
    size_t n = 0;
    s = snug_trim(s);
    if (s.len > 0 && s.ptr[0] == '+') s = snug_sub(s, 1, SIZE_MAX);
    if (s.len > 0 && s.ptr[s.len - 1] == 'L') s.len--;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '_') continue;
        if (n == sizeof digits) return false;
        digits[n++] = s.ptr[i];
    }
    return snug_parse_i64(snug_slice_of(digits, n), out);
}

static unsigned hex_value(char c)
{
    return c >= '0' && c <= '9'   ? (unsigned)(c - '0')
           : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
           : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A' + 10)
                                  : 16;
}

static bool take_hex(snug_slice s, size_t from, unsigned digits, uint32_t *out)
{
    *out = 0;
    for (unsigned i = 0; i < digits; i++) {
        unsigned v = from + i < s.len ? hex_value(s.ptr[from + i]) : 16;
        if (v == 16) return false;
        *out = *out << 4 | v;
    }
    return true;
}

/* One escape of a quoted string at s[i] == '\\': the code it stands for; returns bytes used. */
static size_t read_escape(snug_slice s, size_t i, uint32_t *out)
{
    static const char from[] = "abfnrtv\\'\"", to[] = "\a\b\f\n\r\t\v\\'\"";
    char              c = i + 1 < s.len ? s.ptr[i + 1] : '\\';
    const char       *simple = strchr(from, c);
    if (c == 'x' && take_hex(s, i + 2, 2, out)) return 4;
    if (c >= '0' && c <= '7') {
        size_t n = 1;
        for (*out = 0; n < 4 && i + n < s.len && s.ptr[i + n] >= '0' && s.ptr[i + n] <= '7'; n++)
            *out = *out * 8 + (uint32_t)(s.ptr[i + n] - '0');
        return n;
    }
    *out = '\\';
    if (c == '\n') return 0; /* a line never holds one */
    if (simple == NULL || c == '\0') return 1;
    *out = (unsigned char)to[simple - from];
    return 2;
}

/* One \u or \U of raw-unicode-escape; 1 when the backslash is only itself. */
static size_t read_raw_escape(snug_slice s, size_t i, uint32_t *out)
{
    if (i + 1 < s.len && s.ptr[i + 1] == 'u' && take_hex(s, i + 2, 4, out)) return 6;
    if (i + 1 < s.len && s.ptr[i + 1] == 'U' && take_hex(s, i + 2, 8, out)) return 10;
    *out = '\\';
    return 1;
}

/* Resolves escapes. raw: the UNICODE opcode, whose other bytes are latin-1. */
static snug_slice unescape(pickle *p, snug_slice s, bool raw)
{
    if (snug_index(s, '\\') == SIZE_MAX && (!raw || snug_utf8_valid(s))) return s;
    if (s.len > PICKLE_TEXT_MAX / 4 || snug_arena_used(p->text) > PICKLE_TEXT_MAX) {
        (void)fail(p, PICKLE_TOO_LARGE, "it has too many strings with escapes");
        return SNUG_EMPTY;
    }
    char  *out = snug_arena_alloc_try(p->text, s.len * 2 + 8);
    size_t n = 0;
    if (out == NULL) {
        (void)fail(p, PICKLE_TOO_LARGE, "there is no memory for it");
        return SNUG_EMPTY;
    }
    for (size_t i = 0; i < s.len;) {
        uint32_t c = (unsigned char)s.ptr[i];
        if (c == '\\')
            i += raw ? read_raw_escape(s, i, &c) : read_escape(s, i, &c);
        else
            i++;
        if (!raw)
            out[n++] = (char)c; /* bytes */
        else
            n += snug_utf8_put(c, out + n);
    }
    return snug_slice_of(out, n);
}

static void op_string(pickle *p)
{
    snug_slice s = snug_trim(take_line(p));
    if (p->end != PICKLE_DONE) return;
    bool quoted =
        s.len >= 2 && (s.ptr[0] == '\'' || s.ptr[0] == '"') && s.ptr[s.len - 1] == s.ptr[0];
    if (!quoted) {
        (void)malformed(p, "a string of it has no quotes");
        return;
    }
    push(p, add_text(p, PICKLE_STR, unescape(p, snug_sub(s, 1, s.len - 2), false)));
}

/* ---- numbers ---- */

static void push_long(pickle *p, snug_slice s)
{
    if (s.len > 8) {
        push(p, add_text(p, PICKLE_LONG, s));
        return;
    }
    uint64_t v = s.len > 0 && (unsigned char)s.ptr[s.len - 1] >= 128 ? UINT64_MAX : 0;
    for (size_t i = s.len; i > 0; i--) v = v << 8 | (unsigned char)s.ptr[i - 1];
    push(p, add_int(p, (int64_t)v));
}

static void op_int_line(pickle *p, bool can_be_bool)
{
    snug_slice line = take_line(p);
    int64_t    v;
    if (p->end != PICKLE_DONE) return;
    bool is_bool = can_be_bool && (snug_eq_str(line, "00") || snug_eq_str(line, "01"));
    if (is_bool)
        push(p, add_node(p, (pickle_node){.kind = PICKLE_BOOL, .v.i = line.ptr[1] - '0'}));
    else if (line_to_i64(line, &v))
        push(p, add_int(p, v));
    else
        push(p, add_text(p, PICKLE_LONG, line)); /* digits, or nothing a loader would take */
}

static void op_float(pickle *p)
{
    char       text[64];
    snug_slice s = snug_trim(take_line(p));
    if (p->end != PICKLE_DONE) return;
    (void)snprintf(text, sizeof text, "%.*s", s.len < sizeof text ? (int)s.len : 0,
                   s.len > 0 ? s.ptr : "");
    push(p, add_node(p, (pickle_node){.kind = PICKLE_FLOAT, .v.f = strtod(text, NULL)}));
}

static void op_binfloat(pickle *p)
{
    snug_slice s = take(p, 8);
    uint64_t   bits = 0;
    double     f;
    for (size_t i = 0; i < s.len; i++) bits = bits << 8 | (unsigned char)s.ptr[i];
    memcpy(&f, &bits, sizeof f);
    push(p, add_node(p, (pickle_node){.kind = PICKLE_FLOAT, .v.f = f}));
}

/* ---- containers ---- */

/* A container of the values above a stack position, which leave the stack. */
static void collect(pickle *p, pickle_kind kind, size_t from)
{
    uint32_t id = add_node(p, (pickle_node){.kind = kind});
    for (size_t i = from; i < p->depth && p->end == PICKLE_DONE; i++) chain(p, id, p->stack[i]);
    p->depth = from;
    push(p, id);
}

static void op_collect_marked(pickle *p, pickle_kind kind)
{
    size_t from;
    if (pop_mark(p, &from)) collect(p, kind, from);
}

static void op_tuple_of(pickle *p, size_t n)
{
    if (p->depth < floor_of(p) + n)
        (void)malformed(p, "it takes a value from an empty stack");
    else
        collect(p, PICKLE_TUPLE, p->depth - n);
}

/* The node that takes the items given to `id`: itself, or what hangs from a call. */
static uint32_t holder_of(pickle *p, uint32_t id)
{
    if (p->nodes[id].kind >= PICKLE_TUPLE && p->nodes[id].kind <= PICKLE_DICT) return id;
    if (p->nodes[id].kind != PICKLE_CALL) return 0;
    if (p->nodes[id].n == 0) {
        uint32_t more = add_node(p, (pickle_node){.kind = PICKLE_MORE});
        p->nodes[id].n = more;
    }
    return p->nodes[id].n;
}

/* Values above `from` go into what lies below them. */
static void give_items(pickle *p, size_t from)
{
    if (from <= floor_of(p) || p->end != PICKLE_DONE) {
        (void)malformed(p, "it fills a container that is not there");
        return;
    }
    uint32_t holder = holder_of(p, p->stack[from - 1]);
    for (size_t i = from; i < p->depth && holder != 0 && p->end == PICKLE_DONE; i++)
        chain(p, holder, p->stack[i]);
    p->depth = from;
}

static void op_items(pickle *p)
{
    size_t from;
    if (pop_mark(p, &from)) give_items(p, from);
}

/* ---- imports and calls ---- */

static size_t hash_name(const pickle *p, snug_slice module, snug_slice name)
{
    uint64_t h = mix(p, module.len);
    for (size_t i = 0; i < module.len; i++) h = mix(p, h ^ (unsigned char)module.ptr[i]);
    for (size_t i = 0; i < name.len; i++) h = mix(p, h ^ (unsigned char)name.ptr[i]);
    return (size_t)h;
}

static size_t table_slot(const pickle *p, snug_slice module, snug_slice name)
{
    size_t at = hash_name(p, module, name) & (p->table_cap - 1);
    while (p->import_table[at] != 0) {
        const pickle_import *known = &p->imports[p->import_table[at] - 1];
        if (snug_eq(known->module, module) && snug_eq(known->name, name)) break;
        at = (at + 1) & (p->table_cap - 1);
    }
    return at;
}

static bool widen_imports(pickle *p)
{
    void *imports = p->imports;
    bool  ok = grow(p, &imports, &p->import_cap, sizeof *p->imports, PICKLE_IMPORTS_MAX,
                    "it imports more names than are looked at");
    p->imports = imports;
    if (!ok) return false;
    free(p->import_table);
    p->table_cap = TABLE_FIRST;
    while (p->table_cap < p->import_cap * 2) p->table_cap *= 2;
    p->import_table = snug_zalloc(p->table_cap * sizeof *p->import_table); /* at most 32768 slots */
    for (size_t i = 0; i < p->import_count; i++)
        p->import_table[table_slot(p, p->imports[i].module, p->imports[i].name)] = (uint32_t)i + 1;
    return true;
}

static uint32_t add_import(pickle *p, snug_slice module, snug_slice name, const char *how)
{
    if (p->end != PICKLE_DONE) return 0;
    if (p->import_count == p->import_cap && !widen_imports(p)) return 0;
    size_t slot = table_slot(p, module, name);
    if (p->import_table[slot] == 0) {
        p->imports[p->import_count] =
            (pickle_import){.module = snug_sub(module, 0, PICKLE_NAME_MAX),
                            .name = snug_sub(name, 0, PICKLE_NAME_MAX),
                            .offset = p->op_at,
                            .how = how};
        p->import_table[slot] = (uint32_t)++p->import_count;
    }
    uint32_t index = p->import_table[slot] - 1;
    p->imports[index].count++;
    return add_node(p, (pickle_node){.kind = PICKLE_IMPORT, .v.i = index});
}

static void op_stack_global(pickle *p)
{
    uint32_t   name = pop(p), module = pop(p);
    snug_slice m, n;
    if (p->end != PICKLE_DONE) return;
    if (pickle_to_str(p, module, &m) && pickle_to_str(p, name, &n)) {
        push(p, add_import(p, m, n, "STACK_GLOBAL"));
        return;
    }
    p->flags |= PICKLE_HAS_COMPUTED;
    push(p, add_node(p, (pickle_node){.kind = PICKLE_IMPORT, .v.i = -1}));
}

static void call(pickle *p, uint32_t callee, uint32_t args)
{
    if (p->end != PICKLE_DONE) return;
    const pickle_node *c = &p->nodes[callee];
    if (c->kind == PICKLE_IMPORT && c->v.i >= 0)
        p->imports[c->v.i].calls++;
    else if (c->kind != PICKLE_IMPORT)
        p->flags |= PICKLE_HAS_INDIRECT;
    push(p, add_node(p, (pickle_node){.kind = PICKLE_CALL, .v.link = {callee, args}}));
}

static void op_reduce(pickle *p)
{
    uint32_t args = pop(p), callee = pop(p);
    call(p, callee, args);
}

static void op_newobj_ex(pickle *p)
{
    uint32_t keywords = pop(p), args = pop(p), callee = pop(p);
    call(p, callee, args);
    if (p->end == PICKLE_DONE && p->nodes[keywords].kind == PICKLE_DICT &&
        p->nodes[keywords].n > 0 && p->nodes[args].kind == PICKLE_TUPLE)
        chain(p, args, keywords); /* kept where a reader of arguments sees one too many */
}

/* The class lies on the mark (OBJ) or is named in the opcode (INST). */
static void op_obj(pickle *p)
{
    size_t from;
    if (!pop_mark(p, &from)) return;
    if (from >= p->depth) {
        (void)malformed(p, "it makes an object of no class");
        return;
    }
    collect(p, PICKLE_TUPLE, from + 1);
    op_reduce(p);
}

static void op_inst(pickle *p)
{
    snug_slice module = take_line(p), name = take_line(p);
    size_t     from;
    uint32_t class = add_import(p, module, name, "INST");
    if (!pop_mark(p, &from)) return;
    collect(p, PICKLE_TUPLE, from);
    call(p, class, pop(p));
}

static void op_build(pickle *p)
{
    uint32_t state = pop(p), id = peek(p);
    if (p->end != PICKLE_DONE) return;
    if (p->nodes[id].kind == PICKLE_IMPORT) p->flags |= PICKLE_HAS_CLASS_STATE;
    if (p->nodes[id].kind == PICKLE_CALL) {
        uint32_t more = holder_of(p, id);
        if (more != 0) p->nodes[more].n = state;
        if (p->on_build != NULL && p->end == PICKLE_DONE) p->on_build(p->build_arg, p, id);
    }
}

static void push_flagged(pickle *p, unsigned flag, uint32_t inner)
{
    p->flags |= flag;
    push(p, add_node(
                p, (pickle_node){.kind = flag == PICKLE_HAS_PERSID ? PICKLE_PERSID : PICKLE_OPAQUE,
                                 .v.link.a = inner}));
}

static void op_ext(pickle *p, unsigned size)
{
    (void)take_int(p, size);
    push_flagged(p, PICKLE_HAS_EXT, 0);
}

/* ---- the loop ---- */

/* Constants and their arguments. False: not one of these opcodes. */
static bool op_constant(pickle *p, unsigned op)
{
    switch (op) {
    case OP_NONE: push(p, 0); return true;
    case OP_NEWTRUE:
    case OP_NEWFALSE:
        push(p, add_node(p, (pickle_node){.kind = PICKLE_BOOL, .v.i = op == OP_NEWTRUE}));
        return true;
    case OP_INT: op_int_line(p, true); return true;
    case OP_LONG: op_int_line(p, false); return true;
    case OP_FLOAT: op_float(p); return true;
    case OP_BINFLOAT: op_binfloat(p); return true;
    case OP_BININT: push(p, add_int(p, (int32_t)take_int(p, 4))); return true;
    case OP_BININT1: push(p, add_int(p, (int64_t)take_int(p, 1))); return true;
    case OP_BININT2: push(p, add_int(p, (int64_t)take_int(p, 2))); return true;
    case OP_LONG1: push_long(p, take(p, take_int(p, 1))); return true;
    case OP_LONG4: push_long(p, take(p, take_int(p, 4))); return true;
    case OP_STRING: op_string(p); return true;
    case OP_BINSTRING: push(p, add_text(p, PICKLE_STR, take(p, take_int(p, 4)))); return true;
    case OP_SHORT_BINSTRING: push(p, add_text(p, PICKLE_STR, take(p, take_int(p, 1)))); return true;
    case OP_UNICODE: push(p, add_text(p, PICKLE_STR, unescape(p, take_line(p), true))); return true;
    case OP_BINUNICODE: push(p, add_text(p, PICKLE_STR, take(p, take_int(p, 4)))); return true;
    case OP_SHORT_BINUNICODE:
        push(p, add_text(p, PICKLE_STR, take(p, take_int(p, 1))));
        return true;
    case OP_BINUNICODE8: push(p, add_text(p, PICKLE_STR, take(p, take_int(p, 8)))); return true;
    case OP_BINBYTES: push(p, add_text(p, PICKLE_BYTES, take(p, take_int(p, 4)))); return true;
    case OP_SHORT_BINBYTES:
        push(p, add_text(p, PICKLE_BYTES, take(p, take_int(p, 1))));
        return true;
    case OP_BINBYTES8:
    case OP_BYTEARRAY8: push(p, add_text(p, PICKLE_BYTES, take(p, take_int(p, 8)))); return true;
    default: return false;
    }
}

static bool op_container(pickle *p, unsigned op)
{
    switch (op) {
    case OP_EMPTY_TUPLE: push(p, add_node(p, (pickle_node){.kind = PICKLE_TUPLE})); return true;
    case OP_EMPTY_LIST: push(p, add_node(p, (pickle_node){.kind = PICKLE_LIST})); return true;
    case OP_EMPTY_DICT: push(p, add_node(p, (pickle_node){.kind = PICKLE_DICT})); return true;
    case OP_EMPTY_SET: push(p, add_node(p, (pickle_node){.kind = PICKLE_SET})); return true;
    case OP_TUPLE1:
    case OP_TUPLE2:
    case OP_TUPLE3: op_tuple_of(p, op - OP_TUPLE1 + 1); return true;
    case OP_TUPLE: op_collect_marked(p, PICKLE_TUPLE); return true;
    case OP_LIST: op_collect_marked(p, PICKLE_LIST); return true;
    case OP_DICT: op_collect_marked(p, PICKLE_DICT); return true;
    case OP_FROZENSET: op_collect_marked(p, PICKLE_SET); return true;
    case OP_APPENDS:
    case OP_SETITEMS:
    case OP_ADDITEMS: op_items(p); return true;
    case OP_APPEND: give_items(p, p->depth == 0 ? 0 : p->depth - 1); return true;
    case OP_SETITEM: give_items(p, p->depth < 2 ? 0 : p->depth - 2); return true;
    default: return false;
    }
}

static bool op_stack_or_memo(pickle *p, unsigned op)
{
    int64_t key = -1;
    size_t  from;
    switch (op) {
    case OP_MARK: push_mark(p); return true;
    case OP_POP: /* with nothing above it, a mark goes */
        if (p->mark_count > 0 && p->depth == floor_of(p))
            p->mark_count--;
        else
            (void)pop(p);
        return true;
    case OP_POP_MARK:
        if (pop_mark(p, &from)) p->depth = from;
        return true;
    case OP_DUP: push(p, peek(p)); return true;
    case OP_PUT:
    case OP_GET:
        if (!line_to_i64(take_line(p), &key) || key < 0)
            (void)malformed(p, "a memo number of it is no number");
        else if (op == OP_PUT)
            memo_put(p, (uint64_t)key);
        else
            memo_get(p, (uint64_t)key);
        return true;
    case OP_BINPUT: memo_put(p, take_int(p, 1)); return true;
    case OP_LONG_BINPUT: memo_put(p, take_int(p, 4)); return true;
    case OP_MEMOIZE: memo_put(p, p->memo_count); return true;
    case OP_BINGET: memo_get(p, take_int(p, 1)); return true;
    case OP_LONG_BINGET: memo_get(p, take_int(p, 4)); return true;
    default: return false;
    }
}

static bool op_object(pickle *p, unsigned op)
{
    snug_slice module;
    switch (op) {
    case OP_GLOBAL:
        module = take_line(p);
        push(p, add_import(p, module, take_line(p), "GLOBAL"));
        return true;
    case OP_STACK_GLOBAL: op_stack_global(p); return true;
    case OP_INST: op_inst(p); return true;
    case OP_OBJ: op_obj(p); return true;
    case OP_REDUCE:
    case OP_NEWOBJ: op_reduce(p); return true;
    case OP_NEWOBJ_EX: op_newobj_ex(p); return true;
    case OP_BUILD: op_build(p); return true;
    case OP_EXT1: op_ext(p, 1); return true;
    case OP_EXT2: op_ext(p, 2); return true;
    case OP_EXT4: op_ext(p, 4); return true;
    case OP_PERSID:
        push_flagged(p, PICKLE_HAS_PERSID, add_text(p, PICKLE_STR, take_line(p)));
        return true;
    case OP_BINPERSID: push_flagged(p, PICKLE_HAS_PERSID, pop(p)); return true;
    case OP_NEXT_BUFFER: push_flagged(p, PICKLE_HAS_BUFFER, 0); return true;
    case OP_READONLY_BUFFER: (void)peek(p); return true;
    default: return false;
    }
}

static void op_proto(pickle *p)
{
    unsigned v = (unsigned)take_int(p, 1);
    if (v > 5)
        (void)malformed(p, "its protocol is higher than 5");
    else if (v > p->protocol)
        p->protocol = v;
}

/* One pickle has a stack and a memo of its own; nodes and imports stay. */
static void restart(pickle *p)
{
    p->depth = p->mark_count = p->memo_count = 0;
    free(p->memo); /* clearing a large one for each of many small pickles would be slow */
    p->memo = NULL;
    p->memo_cap = 0;
    p->end = PICKLE_DONE;
    p->why = "";
    p->r.bad = false;
}

pickle_end pickle_run(pickle *p)
{
    restart(p);
    if (snug_rd_left(&p->r) == 0) return fail(p, PICKLE_EMPTY, "there are no bytes"), p->end;
    while (p->end == PICKLE_DONE) {
        p->op_at = pickle_at(p);
        unsigned op = (unsigned)take_int(p, 1);
        p->ops++;
        if (p->end != PICKLE_DONE) break;
        if (op == OP_STOP) {
            p->top = pop(p);
            break;
        }
        if (op == OP_PROTO)
            op_proto(p);
        else if (op == OP_FRAME)
            (void)take_int(p, 8);
        else if (!op_constant(p, op) && !op_container(p, op) && !op_stack_or_memo(p, op) &&
                 !op_object(p, op))
            (void)malformed(p, "it has an opcode that does not exist");
    }
    return p->end;
}

/* ---- life and look-ups ---- */

pickle *pickle_new(snug_slice in)
{
    pickle *p = snug_zalloc(sizeof *p);
    p->in = in;
    p->seed = snug_random_u64();
    p->r = snug_rd_init(in);
    p->text = snug_arena_new();
    p->why = "";
    (void)add_node(p, (pickle_node){.kind = PICKLE_NONE}); /* node 0 */
    return p;
}

void pickle_free(pickle *p)
{
    if (p == NULL) return;
    snug_arena_free(p->text);
    free(p->nodes);
    free(p->stack);
    free(p->marks);
    free(p->memo);
    free(p->imports);
    free(p->import_table);
    free(p);
}

uint32_t    pickle_top(const pickle *p) { return p->top; }
uint64_t    pickle_at(const pickle *p) { return p->in.len - snug_rd_left(&p->r); }
const char *pickle_why(const pickle *p) { return p->why; }
unsigned    pickle_flags(const pickle *p) { return p->flags; }
unsigned    pickle_protocol(const pickle *p) { return p->protocol; }
uint64_t    pickle_ops(const pickle *p) { return p->ops; }

void pickle_set_top(pickle *p, uint32_t id) { p->top = id; }

uint32_t pickle_count(const pickle *p) { return (uint32_t)p->node_count; }

void pickle_seek(pickle *p, uint64_t at)
{
    SNUG_ASSERT(at <= p->in.len);
    p->r = snug_rd_init(snug_sub(p->in, (size_t)at, SIZE_MAX));
}

snug_slice pickle_bytes_at(const pickle *p, uint64_t at, uint64_t n)
{
    return snug_sub(p->in, at > SIZE_MAX ? SIZE_MAX : (size_t)at,
                    n > SIZE_MAX ? SIZE_MAX : (size_t)n);
}

void pickle_on_text(pickle *p, pickle_text_fn *fn, void *arg)
{
    p->on_text = fn;
    p->text_arg = arg;
}

void pickle_on_build(pickle *p, pickle_build_fn *fn, void *arg)
{
    p->on_build = fn;
    p->build_arg = arg;
}

const pickle_import *pickle_imports(const pickle *p, size_t *count)
{
    *count = p->import_count;
    return p->imports;
}

const pickle_node *pickle_get(const pickle *p, uint32_t id)
{
    SNUG_ASSERT(id < p->node_count);
    return &p->nodes[id];
}

const pickle_import *pickle_import_of(const pickle *p, uint32_t id)
{
    const pickle_node *n = pickle_get(p, id);
    return n->kind == PICKLE_IMPORT && n->v.i >= 0 ? &p->imports[n->v.i] : NULL;
}

bool pickle_is_import(const pickle *p, uint32_t id, const char *module, const char *name)
{
    const pickle_import *i = pickle_import_of(p, id);
    return i != NULL && snug_eq_str(i->module, module) && snug_eq_str(i->name, name);
}

bool pickle_calls(const pickle *p, uint32_t id, const char *module, const char *name)
{
    const pickle_node *n = pickle_get(p, id);
    return n->kind == PICKLE_CALL && pickle_is_import(p, n->v.link.a, module, name);
}

uint32_t pickle_state(const pickle *p, uint32_t id)
{
    const pickle_node *n = pickle_get(p, id);
    return n->kind == PICKLE_CALL && n->n != 0 ? p->nodes[n->n].n : 0;
}

uint32_t pickle_args(const pickle *p, uint32_t id)
{
    const pickle_node *n = pickle_get(p, id);
    return n->kind == PICKLE_CALL ? n->v.link.b : 0;
}

uint32_t pickle_first(const pickle *p, uint32_t id)
{
    const pickle_node *n = pickle_get(p, id);
    if (n->kind == PICKLE_CALL) return n->n == 0 ? 0 : p->nodes[n->n].v.link.a;
    return n->kind >= PICKLE_TUPLE && n->kind <= PICKLE_DICT ? n->v.link.a : 0;
}

uint32_t pickle_next(const pickle *p, uint32_t cell) { return pickle_get(p, cell)->v.link.b; }
uint32_t pickle_value(const pickle *p, uint32_t cell) { return pickle_get(p, cell)->v.link.a; }

uint32_t pickle_item(const pickle *p, uint32_t id, uint32_t index)
{
    const pickle_node *n = pickle_get(p, id);
    if ((n->kind != PICKLE_TUPLE && n->kind != PICKLE_LIST) || index >= n->n) return 0;
    uint32_t c = n->v.link.a;
    while (index-- > 0) c = pickle_next(p, c);
    return pickle_value(p, c);
}

bool pickle_to_i64(const pickle *p, uint32_t id, int64_t *out)
{
    const pickle_node *n = pickle_get(p, id);
    if (n->kind != PICKLE_INT && n->kind != PICKLE_BOOL) return false;
    *out = n->v.i;
    return true;
}

bool pickle_to_str(const pickle *p, uint32_t id, snug_slice *out)
{
    const pickle_node *n = pickle_get(p, id);
    if (n->kind != PICKLE_STR) return false;
    *out = snug_slice_of(n->v.p, n->n);
    return true;
}

bool pickle_to_bytes(const pickle *p, uint32_t id, snug_slice *out)
{
    const pickle_node *n = pickle_get(p, id);
    if (n->kind != PICKLE_BYTES) return false;
    *out = snug_slice_of(n->v.p, n->n);
    return true;
}

uint32_t pickle_member(const pickle *p, uint32_t id, const char *key)
{
    uint32_t   value = 0;
    snug_slice name;
    if (!pickle_is_mapping(p, id)) return 0;
    for (uint32_t c = pickle_first(p, id), v; c != 0 && (v = pickle_next(p, c)) != 0;
         c = pickle_next(p, v)) {
        if (pickle_to_str(p, pickle_value(p, c), &name) && snug_eq_str(name, key))
            value = pickle_value(p, v);
    }
    return value;
}

bool pickle_is_mapping(const pickle *p, uint32_t id)
{
    const pickle_node *n = pickle_get(p, id);
    return n->kind == PICKLE_DICT ||
           (n->kind == PICKLE_CALL && n->n != 0 && p->nodes[n->n].v.link.a != 0);
}
