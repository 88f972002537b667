/* SPDX-License-Identifier: Apache-2.0 */
/* codec/pickle_int.h - the symbolic pickle machine: what loading would do, as a graph of nodes.
 *
 * Nothing is imported or called. An import is a node that names it, a call is a node that holds
 * callee and arguments. Nodes are 16 bytes in one growing array and know each other by number. */
#ifndef SNUG_CODEC_PICKLE_INT_H
#define SNUG_CODEC_PICKLE_INT_H

#include "codec/codec.h"

enum {
    PICKLE_NODES_MAX = 16 * 1024 * 1024, /* 256 MiB */
    PICKLE_MEMO_MAX = 8 * 1024 * 1024,
    PICKLE_STACK_MAX = 8 * 1024 * 1024,
    PICKLE_IMPORTS_MAX = 10000,
    PICKLE_NAME_MAX = 1024,     /* of a module or name that an import can have */
    PICKLE_TEXT_MAX = 256 << 20 /* decoded copies of strings with escapes, together */
};

typedef enum pickle_kind {
    PICKLE_NONE,
    PICKLE_BOOL,
    PICKLE_INT,   /* v.i */
    PICKLE_LONG,  /* beyond 64 bits: v.p, n bytes, little-endian */
    PICKLE_FLOAT, /* v.f */
    PICKLE_STR,   /* v.p, n */
    PICKLE_BYTES, /* v.p, n */
    PICKLE_TUPLE, /* n elements: cells from v.link.a */
    PICKLE_LIST,
    PICKLE_SET,
    PICKLE_DICT,   /* n elements, key and value in turn */
    PICKLE_IMPORT, /* v.i: index into imports; -1: a computed name */
    PICKLE_CALL,   /* v.link.a callee, v.link.b arguments, n: its PICKLE_MORE or 0 */
    PICKLE_PERSID, /* v.link.a */
    PICKLE_OPAQUE, /* out-of-band buffers, extension codes */
    PICKLE_CELL,   /* v.link.a value, v.link.b the next cell */
    PICKLE_MORE    /* of a call. n: state; v.link: cells of items given to it */
} pickle_kind;

typedef struct pickle_node {
    uint32_t kind, n;
    union {
        int64_t     i;
        double      f;
        const char *p;
        struct {
            uint32_t a, b; /* containers: first and last cell */
        } link;
    } v;
} pickle_node;

typedef struct pickle_import {
    snug_slice  module, name;
    uint64_t    offset; /* of the first opcode that names it */
    const char *how;    /* "GLOBAL", ... */
    uint32_t    count, calls;
} pickle_import;

typedef enum pickle_end {
    PICKLE_DONE,      /* STOP */
    PICKLE_EMPTY,     /* no byte was there */
    PICKLE_CUT,       /* the bytes end inside */
    PICKLE_MALFORMED, /* an opcode that does not exist, a stack that is empty, ... */
    PICKLE_TOO_LARGE  /* more nodes, memo or imports than we keep */
} pickle_end;

/* Things that are no import and still no plain data. */
enum {
    PICKLE_HAS_EXT = 1u, /* a code of the extension registry: what it names is not in the file */
    PICKLE_HAS_COMPUTED = 2u,    /* an import whose name is the result of a call */
    PICKLE_HAS_INDIRECT = 4u,    /* calls something that is neither an import nor its instance */
    PICKLE_HAS_CLASS_STATE = 8u, /* BUILD on an import itself: changes the class or module */
    PICKLE_HAS_PERSID = 16u,
    PICKLE_HAS_BUFFER = 32u
};

typedef struct pickle pickle;
/* in must outlive it. Several pickles may follow each other: pickle_run goes on where it stopped.
 */
pickle     *pickle_new(snug_slice in);
void        pickle_free(pickle *p); /* NULL is fine */
pickle_end  pickle_run(pickle *p);
uint32_t    pickle_top(const pickle *p); /* the value, after PICKLE_DONE */
void        pickle_set_top(pickle *p, uint32_t id);
uint64_t    pickle_at(const pickle *p); /* where reading stopped */
void        pickle_seek(pickle *p, uint64_t at);
snug_slice  pickle_bytes_at(const pickle *p, uint64_t at, uint64_t n); /* shorter: the end */
const char *pickle_why(const pickle *p); /* a sentence for the ends that are not DONE */
unsigned    pickle_flags(const pickle *p);
unsigned    pickle_protocol(const pickle *p); /* the highest PROTO seen */
uint64_t    pickle_ops(const pickle *p);

const pickle_import *pickle_imports(const pickle *p, size_t *count);
uint32_t             pickle_count(const pickle *p); /* nodes: ids are below */
const pickle_node   *pickle_get(const pickle *p, uint32_t id);
/* Is it an import of exactly this? Is it a call of that import? */
bool pickle_is_import(const pickle *p, uint32_t id, const char *module, const char *name);
bool pickle_calls(const pickle *p, uint32_t id, const char *module, const char *name);
const pickle_import *pickle_import_of(const pickle *p, uint32_t id); /* NULL: no import */
/* The state BUILD gave to a call; 0: none. Node 0 is None, so 0 is no state either. */
uint32_t pickle_state(const pickle *p, uint32_t id);
/* The arguments of a call; 0 when it is none. */
uint32_t pickle_args(const pickle *p, uint32_t id);
/* Elements of tuples, lists, sets, dicts and of calls that items were given to (OrderedDict):
 * for (uint32_t c = pickle_first(p, id); c != 0; c = pickle_next(p, c)) ... pickle_value(p, c) */
uint32_t pickle_first(const pickle *p, uint32_t id);
uint32_t pickle_next(const pickle *p, uint32_t cell);
uint32_t pickle_value(const pickle *p, uint32_t cell);
/* Element `index` of a tuple or list; 0 past the end. */
uint32_t pickle_item(const pickle *p, uint32_t id, uint32_t index);
bool     pickle_to_i64(const pickle *p, uint32_t id, int64_t *out); /* bools too */
bool     pickle_to_str(const pickle *p, uint32_t id, snug_slice *out);
bool     pickle_to_bytes(const pickle *p, uint32_t id, snug_slice *out);
/* Is it a dict, or a call with items (OrderedDict)? */
bool pickle_is_mapping(const pickle *p, uint32_t id);

/* Called for every string and bytes constant, to look for pickles inside. */
typedef void pickle_text_fn(void *arg, snug_slice text, uint64_t offset);
void         pickle_on_text(pickle *p, pickle_text_fn *fn, void *arg);
/* Called after BUILD gave a call its state; may pickle_seek over bytes that are no opcodes. */
typedef void pickle_build_fn(void *arg, pickle *p, uint32_t id);
void         pickle_on_build(pickle *p, pickle_build_fn *fn, void *arg);
/* The value of a string key in a mapping; 0: none (or None). */
uint32_t pickle_member(const pickle *p, uint32_t id, const char *key);

#endif
