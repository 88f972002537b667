/* SPDX-License-Identifier: Apache-2.0 */
/* base/json_read.c - the JSON reader: one pass over the bytes, no recursion.
 *
 * For:     everybody who receives JSON: requests, configs, cards, safetensors headers, tokenizers.
 * Owns:    a stack of nodes on the heap while it runs; what it returns lives in the caller's arena.
 * Threads: none of its own; parse in one thread, then read from any number.
 * Truth:   a container's children are copied side by side into the arena when it closes.
 *
 *     stack:  {  "a" [ 1 2 3        <- r->cur is the '[', r->top is behind the 3
 *             ^up     ^up            ']' moves 1 2 3 to the arena and leaves: {  "a" [..]
 *
 * Two ways to hold the text. Copied: the bytes lie in the arena with PAD zeros behind them, and
 * strings are unescaped where they lie. Direct (SNUG_JSON_BORROW): the caller's bytes, of which the
 * last must be the bracket that closes the document. Either way some byte stops every run of
 * digits, letters or white space, so only strings and closing brackets look for the end. */
#include <math.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/json_int.h"
#include "base/mem.h"

enum { PAD = 32, STACK_FIRST = 256, SIZE_DEFAULT = 64 << 20 };
static const size_t NO_CONTAINER = SIZE_MAX;

typedef struct reader {
    const json_byte *base, *end; /* the text */
    const json_byte *lim;        /* where readable bytes end: end, or the end of the padding */
    char            *copy;       /* base, writable, or NULL when the text is the caller's */
    snug_arena      *arena;
    snug_json_node  *stack;
    size_t           top, cap;
    size_t           cur;   /* the open container, or NO_CONTAINER */
    snug_json_node  *first; /* the storage the stack began with */
    unsigned         flags, depth, depth_max;
    const json_byte *bad; /* where it went wrong, and why */
    const char      *why;
    snug_status      st;
} reader;

/* ---- failing ---- */

static const json_byte *fail_as(reader *r, snug_status st, const json_byte *at, const char *why)
{
    r->bad = at;
    r->why = why;
    r->st = st;
    return NULL;
}

static __attribute__((noinline, cold)) const json_byte *fail(reader *r, const json_byte *at,
                                                             const char *why)
{
    return fail_as(r, SNUG_EINVAL, at, at >= r->end ? "the text ends too early" : why);
}

static __attribute__((noinline, cold)) const json_byte *fail_memory(reader *r)
{
    return fail_as(r, SNUG_ENOMEM, r->base, "out of memory");
}

/* Lines and columns start at 1; a column is a character, not a byte. */
static snug_status report(const reader *r, snug_slice text, snug_err *err)
{
    size_t at = r->bad == NULL ? 0 : (size_t)(r->bad - r->base), line = 1, column = 1;
    if (at > text.len) at = text.len;
    for (size_t i = 0; i < at; i++) {
        if (text.ptr[i] == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)text.ptr[i] & 0xc0) != 0x80) {
            column++;
        }
    }
    return snug_fail(err, r->st, "line %zu column %zu: %s", line, column, r->why);
}

/* ---- strings ---- */

/* The byte after the UTF-8 sequence at p (RFC 3629, table 3-7 of Unicode), or NULL. Each byte is
 * looked at only after the one before it was found to be beyond ASCII. */
static inline const json_byte *skip_utf8(const json_byte *p)
{
    json_byte a = p[0];
    if (a < 0xc2 || a > 0xf4) return NULL;
    if (a < 0xe0) return (p[1] & 0xc0) == 0x80 ? p + 2 : NULL;
    json_byte low = a == 0xe0 ? 0xa0 : a == 0xf0 ? 0x90 : 0x80;
    json_byte high = a == 0xed ? 0x9f : a == 0xf4 ? 0x8f : 0xbf;
    if (p[1] < low || p[1] > high || (p[2] & 0xc0) != 0x80) return NULL;
    if (a < 0xf0) return p + 3;
    return (p[3] & 0xc0) == 0x80 ? p + 4 : NULL;
}

/* The value of four hex digits, or UINT32_MAX. */
static uint32_t hex4(const json_byte *p)
{
    uint32_t v = 0;
    for (unsigned i = 0; i < 4; i++) {
        json_byte c = p[i], low = c | 0x20;
        if (c >= '0' && c <= '9') {
            v = v << 4 | (uint32_t)(c - '0');
        } else if (low >= 'a' && low <= 'f') {
            v = v << 4 | (uint32_t)(low - 'a' + 10);
        } else {
            return UINT32_MAX;
        }
    }
    return v;
}

/* p at the 'u' of an escape. Surrogates must come as a pair, high before low. */
static const json_byte *read_unicode(reader *r, const json_byte *p, char **dst)
{
    uint32_t cp = hex4(p + 1);
    if (cp == UINT32_MAX) return fail(r, p, "\\u wants four hex digits");
    if (cp >= 0xd800 && cp <= 0xdfff) {
        if (cp >= 0xdc00) return fail(r, p, "a low surrogate without its high one");
        uint32_t low = p[5] == '\\' && p[6] == 'u' ? hex4(p + 7) : 0;
        if (low < 0xdc00 || low > 0xdfff) return fail(r, p, "a high surrogate without its low one");
        cp = 0x10000 + ((cp - 0xd800) << 10) + (low - 0xdc00);
        p += 6;
    }
    *dst += snug_utf8_put(cp, *dst);
    return p + 5;
}

/* p behind a backslash. */
static const json_byte *read_escape(reader *r, const json_byte *p, char **dst)
{
    char c;
    switch (*p) {
    case '"': c = '"'; break;
    case '\\': c = '\\'; break;
    case '/': c = '/'; break;
    case 'b': c = '\b'; break;
    case 'f': c = '\f'; break;
    case 'n': c = '\n'; break;
    case 'r': c = '\r'; break;
    case 't': c = '\t'; break;
    case 'u': return read_unicode(r, p, dst);
    default: return fail(r, p, "no such escape in a string");
    }
    *(*dst)++ = c;
    return p + 1;
}

/* Where a string with escapes is decoded to: over itself, or to the arena when the text is not
 * ours; decoding never makes it longer. Finds the closing quote first. */
static char *escape_room(reader *r, const json_byte *start, const json_byte *p)
{
    if (r->copy != NULL) return r->copy + (start - r->base);
    while (p < r->end && *p != '"') {
        p += *p == '\\' ? 2 : 1;
        if (p < r->end) p = json_skip_plain(p, r->end);
    }
    if (p >= r->end) {
        (void)fail(r, r->end, "");
        return NULL;
    }
    char *room = snug_arena_alloc_try(r->arena, (size_t)(p - start));
    if (room == NULL) (void)fail_memory(r);
    return room;
}

/* The slow half of read_string: p is at the first backslash. escape_room() has seen a closing
 * quote, or zeros follow the text, so nothing here reads past the readable bytes: each escape stops
 * at the first byte that does not belong to it. */
static const json_byte *read_escaped(reader *r, const json_byte *start, const json_byte *p,
                                     unsigned kind, snug_json_node *out)
{
    char *room = escape_room(r, start, p), *dst = room;
    if (room == NULL) return NULL;
    if (r->copy == NULL) memcpy(dst, start, (size_t)(p - start));
    dst += p - start;
    while (*p != '"') {
        const json_byte *from = p;
        if (*p == '\\') {
            p = read_escape(r, p + 1, &dst);
            if (p == NULL) return NULL;
            continue;
        }
        if (*p >= 0x80) {
            p = skip_utf8(p);
            if (p == NULL) return fail(r, from, "not UTF-8");
        } else if (*p < 0x20) {
            if (p >= r->end || !(r->flags & SNUG_JSON_BARE_CTRL))
                return fail(r, p, "a control character in a string must be escaped");
            p++;
        } else {
            p = json_skip_plain(p, r->lim);
        }
        memmove(dst, from, (size_t)(p - from));
        dst += p - from;
    }
    out->head = node_head(kind, (size_t)(dst - room));
    out->v.s = room;
    return p + 1;
}

/* p behind the opening quote; returns the byte behind the closing one. */
static inline const json_byte *read_string(reader *r, const json_byte *p, unsigned kind,
                                           snug_json_node *out)
{
    const json_byte *start = p;
    for (;;) {
        p = json_skip_plain(p, r->lim);
        if (p >= r->end) return fail(r, p, "");
        if (*p == '"') break;
        if (*p == '\\') return read_escaped(r, start, p, kind, out);
        if (*p >= 0x80) {
            do {
                const json_byte *next = skip_utf8(p);
                if (next == NULL) return fail(r, p, "not UTF-8");
                p = next;
            } while (*p >= 0x80);
        } else {
            if (!(r->flags & SNUG_JSON_BARE_CTRL))
                return fail(r, p, "a control character in a string must be escaped");
            p++;
        }
    }
    out->head = node_head(kind, (size_t)(p - start));
    out->v.s = (const char *)start;
    return p + 1;
}

/* ---- numbers and words ---- */

static inline bool is_digit(json_byte c) { return (unsigned)c - '0' < 10u; }

typedef struct digits {
    uint64_t mant;    /* the first 19 significant digits */
    unsigned count;   /* how many of them there are */
    int64_t  dropped; /* digits behind those */
} digits;

static inline const json_byte *read_digits(const json_byte *p, digits *d)
{
    for (; is_digit(*p); p++) {
        if (d->count < 19) {
            d->mant = d->mant * 10 + (uint64_t)(*p - '0');
            d->count += d->mant != 0;
        } else {
            d->dropped++;
        }
    }
    return p;
}

/* p at the first digit of an exponent; the value stops growing far outside a double's range. */
static const json_byte *read_exponent(const json_byte *p, int64_t *out)
{
    bool    neg = *p == '-';
    int64_t e = 0;
    if (*p == '+' || *p == '-') p++;
    if (!is_digit(*p)) return NULL;
    for (; is_digit(*p); p++) {
        if (e < 100000000) e = e * 10 + (*p - '0');
    }
    *out = neg ? -e : e;
    return p;
}

/* The rest of a number after its integer digits: it has a fraction, an exponent or 20 digits. */
static const json_byte *read_real(reader *r, const json_byte *start, const json_byte *p, digits d,
                                  snug_json_node *out)
{
    int64_t exp10 = 0;
    if (*p == '.') {
        const json_byte *from = ++p;
        p = read_digits(p, &d);
        if (p == from) return fail(r, p, "a digit must follow the point");
        exp10 = from - p;
    }
    if (*p == 'e' || *p == 'E') {
        int64_t          e;
        const json_byte *from = p;
        p = read_exponent(p + 1, &e);
        if (p == NULL) return fail(r, from, "an exponent without digits");
        exp10 += e;
    }
    double v = json_real(start, d.mant, exp10 + d.dropped, d.dropped > 0);
    if (isinf(v)) return fail(r, start, "a number beyond the range of a double");
    out->head = SNUG_JSON_REAL;
    out->v.d = v;
    return p;
}

/* An integer of 20 digits or more: it may still fit. */
static bool big_integer(const json_byte *p, const json_byte *end, uint64_t *out)
{
    return snug_parse_u64(snug_slice_of(p, (size_t)(end - p)), out);
}

static inline const json_byte *read_number(reader *r, const json_byte *p, snug_json_node *out)
{
    const json_byte *start = p;
    bool             neg = *p == '-';
    if (neg) p++;
    const json_byte *from = p;
    digits           d = {0, 0, 0};
    p = read_digits(p, &d);
    if (p == from) return fail(r, p, "a digit must follow the minus");
    if (*from == '0' && p - from > 1) return fail(r, from, "a number must not start with 0");
    if (*p == '.' || *p == 'e' || *p == 'E') return read_real(r, start, p, d, out);
    uint64_t whole = d.mant;
    if (d.dropped > 0 && !big_integer(from, p, &whole)) return read_real(r, start, p, d, out);
    if (whole <= (uint64_t)INT64_MAX) {
        out->head = SNUG_JSON_INT;
        out->v.i = neg ? -(int64_t)whole : (int64_t)whole;
    } else if (!neg) {
        out->head = SNUG_JSON_INT | NODE_UINT;
        out->v.u = whole;
    } else if (whole == (uint64_t)INT64_MAX + 1) {
        out->head = SNUG_JSON_INT;
        out->v.i = INT64_MIN;
    } else {
        return read_real(r, start, p, d, out);
    }
    return p;
}

/* Compares byte by byte: stops before the end of the text. */
static const json_byte *match(const json_byte *p, const char *word)
{
    for (; *word != '\0'; word++, p++) {
        if (*p != (json_byte)*word) return NULL;
    }
    return p;
}

static const json_byte *read_word(reader *r, const json_byte *p, snug_json_node *out)
{
    static const struct {
        const char *text;
        unsigned    type, extra;
        uint64_t    u;
        double      d;
    } words[] = {{"true", SNUG_JSON_BOOL, 0, 1, 0},
                 {"false", SNUG_JSON_BOOL, 0, 0, 0},
                 {"null", SNUG_JSON_NULL, 0, 0, 0},
                 {"NaN", SNUG_JSON_REAL, SNUG_JSON_NONFINITE, 0, (double)NAN},
                 {"Infinity", SNUG_JSON_REAL, SNUG_JSON_NONFINITE, 0, (double)INFINITY},
                 {"-Infinity", SNUG_JSON_REAL, SNUG_JSON_NONFINITE, 0, -(double)INFINITY}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        const json_byte *next = match(p, words[i].text);
        if (next == NULL) continue;
        if ((words[i].extra & ~r->flags) != 0) return fail(r, p, "JSON has no such number");
        out->head = words[i].type;
        out->v.u = words[i].u;
        if (words[i].type == SNUG_JSON_REAL) out->v.d = words[i].d;
        return next;
    }
    return fail(r, p, "a value was expected here");
}

static inline const json_byte *read_scalar(reader *r, const json_byte *p, snug_json_node *out)
{
    if (is_digit(*p) || (*p == '-' && p[1] != 'I')) return read_number(r, p, out);
    return read_word(r, p, out);
}

/* ---- containers ---- */

static __attribute__((noinline)) bool grow_stack(reader *r)
{
    size_t          bytes;
    snug_json_node *bigger = NULL;
    if (!snug_mul(r->cap * 2, sizeof *bigger, &bytes)) bigger = snug_alloc_try(bytes);
    if (bigger == NULL) return fail_memory(r) != NULL;
    memcpy(bigger, r->stack, r->top * sizeof *bigger);
    if (r->stack != r->first) free(r->stack);
    r->stack = bigger;
    r->cap *= 2;
    return true;
}

static inline snug_json_node *push(reader *r)
{
    if (r->top == r->cap && !grow_stack(r)) return NULL;
    return &r->stack[r->top++];
}

static const json_byte *open_container(reader *r, const json_byte *p, snug_json_node *n)
{
    if (++r->depth > r->depth_max)
        return fail_as(r, SNUG_ELIMIT, p, "nested deeper than the limit");
    n->head = *p == '{' ? SNUG_JSON_OBJECT : SNUG_JSON_ARRAY;
    n->v.up = r->cur;
    r->cur = r->top - 1;
    return p + 1;
}

/* Small objects: every pair is compared, which for 32 keys is 496 words. */
static size_t find_twin(const snug_json_node *kids, size_t members)
{
    for (size_t i = 1; i < members; i++) {
        for (size_t k = 0; k < i; k++) {
            if (node_is_key(&kids[2 * k], node_str(&kids[2 * i]))) return i;
        }
    }
    return SIZE_MAX;
}

static bool finish_object(reader *r, snug_json_node *c, snug_json_node *kids, json_table *table)
{
    size_t members = node_size(c), twin = SIZE_MAX;
    if (table != NULL) {
        atomic_init(&table->state, TABLE_EMPTY);
        table->mask = json_table_slots(members) - 1;
    }
    if (r->flags & SNUG_JSON_UNIQUE) {
        twin = table != NULL ? json_table_fill(table, kids, members) : find_twin(kids, members);
    }
    if (twin == SIZE_MAX) return true;
    SNUG_ASSERT(kids != NULL);
    (void)fail_as(r, SNUG_EINVAL, r->base, "a key comes twice");
    /* The key's place in the text, when the text is where it still lies. */
    const char *key = kids[2 * twin].v.s;
    if (key >= (const char *)r->base && key < (const char *)r->end)
        r->bad = (const json_byte *)key - 1;
    return false;
}

/* Moves the children of the open container to the arena and makes its parent the open one. */
static bool close_container(reader *r)
{
    snug_json_node *c = &r->stack[r->cur];
    size_t          count = r->top - r->cur - 1, bytes = count * sizeof *c, up = c->v.up;
    bool            object = node_type(c) == SNUG_JSON_OBJECT;
    bool            hashed = object && count / 2 >= JSON_HASH_MIN;
    snug_json_node *kids = NULL;
    if (count > 0) {
        size_t table = hashed ? sizeof(json_table) + json_table_slots(count / 2) * 4 : 0;
        kids = snug_arena_alloc_try(r->arena, bytes + table);
        if (kids == NULL) return fail_memory(r) != NULL;
        memcpy(kids, c + 1, bytes);
    }
    unsigned flags = (unsigned)c->head | (hashed ? (unsigned)NODE_HASHED : 0u);
    c->head = node_head(flags, object ? count / 2 : count);
    c->v.kids = kids;
    r->top = r->cur + 1;
    r->cur = up;
    r->depth--;
    return !object ||
           finish_object(r, c, kids, hashed ? (json_table *)(void *)(kids + count) : NULL);
}

/* ---- the document ---- */

static inline const json_byte *skip_space(const json_byte *p)
{
    while (*p <= ' ' && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) p++;
    return p;
}

static inline const json_byte *read_key(reader *r, const json_byte *p)
{
    p = skip_space(p);
    if (*p != '"') return fail(r, p, "a key in double quotes was expected here");
    snug_json_node *n = push(r);
    if (n == NULL) return NULL;
    p = read_string(r, p + 1, SNUG_JSON_STRING | NODE_KEY, n);
    if (p == NULL) return NULL;
    p = skip_space(p);
    if (*p != ':') return fail(r, p, "a colon must follow a key");
    return skip_space(p + 1);
}

/* Behind a value: closes what closes here. Returns where the next value starts, or the end of the
 * document when nothing is open any more. */
static inline const json_byte *read_after(reader *r, const json_byte *p)
{
    while (r->cur != NO_CONTAINER) {
        if (p >= r->end) return fail(r, r->end, "");
        bool object = node_type(&r->stack[r->cur]) == SNUG_JSON_OBJECT;
        p = skip_space(p);
        if (*p == ',') return object ? read_key(r, p + 1) : skip_space(p + 1);
        if (*p != (object ? '}' : ']'))
            return fail(
                r, p, object ? "a comma or } was expected here" : "a comma or ] was expected here");
        if (!close_container(r)) return NULL;
        p++;
    }
    return p;
}

static const json_byte *read_document(reader *r, const json_byte *p)
{
    p = skip_space(p);
    for (;;) {
        snug_json_node *n = push(r);
        if (n == NULL) return NULL;
        if (*p == '"') {
            p = read_string(r, p + 1, SNUG_JSON_STRING, n);
        } else if (*p == '{' || *p == '[') {
            json_byte close = *p == '{' ? '}' : ']';
            p = open_container(r, p, n);
            if (p == NULL) return NULL;
            p = skip_space(p);
            if (*p != close) {
                if (close == '}') p = read_key(r, p);
                if (p == NULL) return NULL;
                continue;
            }
            if (!close_container(r)) return NULL;
            p++;
        } else {
            p = read_scalar(r, p, n);
        }
        if (p == NULL) return NULL;
        p = read_after(r, p);
        if (p == NULL || r->cur == NO_CONTAINER) return p;
    }
}

static bool is_space(json_byte c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

/* The text without white space behind it, if it may be read where it lies. */
static bool can_borrow(snug_slice text, snug_slice *out)
{
    const json_byte *p = (const json_byte *)text.ptr;
    size_t           n = text.len, from = 0;
    while (n > 0 && is_space(p[n - 1])) n--;
    while (from < n && is_space(p[from])) from++;
    if (n - from < 2 || (p[from] != '{' && p[from] != '[') || (p[n - 1] != '}' && p[n - 1] != ']'))
        return false;
    *out = (snug_slice){text.ptr, n};
    return true;
}

static bool hold_text(reader *r, snug_slice text)
{
    snug_slice own = text;
    bool       borrow = (r->flags & SNUG_JSON_BORROW) != 0 && can_borrow(text, &own);
    if (!borrow) {
        r->copy = snug_arena_alloc_try(r->arena, text.len + PAD);
        if (r->copy == NULL) return fail_memory(r) != NULL;
        if (text.len > 0) memcpy(r->copy, text.ptr, text.len);
        memset(r->copy + text.len, 0, PAD);
        own.ptr = r->copy;
    }
    r->base = (const json_byte *)own.ptr;
    r->end = r->base + own.len;
    r->lim = borrow ? r->end : r->end + PAD;
    return true;
}

static bool read_text(reader *r, snug_slice text, snug_json *out)
{
    if (!hold_text(r, text)) return false;
    if (text.len >= 3 && memcmp(r->base, "\xef\xbb\xbf", 3) == 0)
        return fail(r, r->base, "the text must not start with a byte order mark") != NULL;
    const json_byte *p = read_document(r, r->base);
    if (p == NULL) return false;
    while (p < r->end && is_space(*p)) p++;
    if (p < r->end) return fail(r, p, "something follows the end of the document") != NULL;
    snug_json_node *root = snug_arena_alloc_try(r->arena, sizeof *root);
    if (root == NULL) return fail_memory(r) != NULL;
    *root = r->stack[0];
    out->node = root;
    return true;
}

snug_status snug_json_parse(snug_arena *a, snug_slice text, const snug_json_opts *opts,
                            snug_json *out, snug_err *err)
{
    static const snug_json_opts defaults = {0, 0, 0};
    if (opts == NULL) opts = &defaults;
    size_t size_max = opts->size_max == 0 ? SIZE_DEFAULT : opts->size_max;
    if (size_max > UINT32_MAX) size_max = UINT32_MAX; /* tables count members in 32 bits */
    out->node = NULL;
    if (text.len > size_max)
        return snug_fail(err, SNUG_ELIMIT, "JSON of %zu bytes is larger than the limit of %zu",
                         text.len, size_max);
    snug_json_node first[STACK_FIRST];
    reader         r = {.arena = a, .stack = first, .cap = STACK_FIRST, .first = first};
    r.cur = NO_CONTAINER;
    r.flags = opts->flags;
    r.depth_max = opts->depth_max == 0 ? (unsigned)SNUG_JSON_DEPTH_MAX : opts->depth_max;
    if (r.depth_max > JSON_DEPTH_CAP) r.depth_max = JSON_DEPTH_CAP;
    bool ok = read_text(&r, text, out);
    if (r.stack != first) free(r.stack);
    return ok ? SNUG_OK : report(&r, text, err);
}
