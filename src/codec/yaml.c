/* SPDX-License-Identifier: Apache-2.0 */
/* codec/yaml.c - YAML into JSON values, for cards and dataset configurations.
 *
 * For:     card.c, data/ (configs), hub/.
 * Owns:    a scratch arena for the node graph; the result is in the caller's arena.
 * Threads: pure functions; libyaml keeps its state in the parser object.
 * Truth:   work is bounded before it is done: bytes, nodes, nesting, aliases, and the nodes and
 *          bytes that aliases and merges unfold to.
 *
 * Three steps: libyaml's events -> a graph of nodes in which an alias is a second arrow to the same
 * node -> JSON text (here aliases unfold, merges and repeated keys are settled) -> snug_json.
 *
 * Plain scalars follow the YAML 1.2 core schema with these choices, each for a card that people
 * write: dates and yes/no/on/off are strings ("no" is a language); a number that neither 64 bits
 * nor a finite double can hold is a string (a digits-only or 12e4567 revision survives); .inf
 * and .nan become null, since JSON has neither. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <yaml.h>

#include "codec/codec_int.h"

enum {
    UNFOLDED_BYTES_MAX = 8 * 1024 * 1024, /* JSON text after aliases */
    NUMBER_TEXT_MAX = 64,                 /* longer than any number worth reading */
    KEY_SHOWN_MAX = 80
};

typedef enum node_kind { NODE_SCALAR, NODE_SEQUENCE, NODE_MAPPING } node_kind;
typedef enum node_tag { TAG_NONE, TAG_STR, TAG_RESOLVE } node_tag;

typedef struct node node;

typedef struct cell { /* one arrow to a child; key and value alternate in a mapping */
    node        *child;
    struct cell *next;
} cell;

struct node {
    node_kind  kind;
    node_tag   tag;   /* of a scalar: !!str forces text; !!int and the like resolve even quotes */
    bool       plain; /* a scalar without quotes */
    bool       open;  /* its end has not been read: an alias to it would be a cycle */
    size_t     line;
    size_t     count; /* children */
    snug_slice text;
    cell      *first, *last;
};

typedef struct anchor {
    snug_slice     name;
    node          *target;
    struct anchor *next;
} anchor;

typedef struct reader {
    snug_arena *scratch;
    snug_err   *err;
    size_t      first_line;
    node       *stack[CODEC_YAML_DEPTH_MAX];
    unsigned    depth;
    node       *root;
    anchor     *anchors;
    size_t      nodes, aliases, named;
    /* second step */
    snug_json_out *out;
    size_t         unfolded;
} reader;

/* ---- step 1: events to nodes ---- */

static size_t line_of(const reader *r, yaml_mark_t mark) { return r->first_line + mark.line; }

static snug_status add_child(reader *r, node *n, size_t line)
{
    if (r->depth == 0) {
        r->root = n;
        return SNUG_OK;
    }
    if (++r->nodes > CODEC_YAML_NODES_MAX) {
        return snug_fail(r->err, SNUG_ELIMIT, "line %zu: YAML of more than %d values", line,
                         CODEC_YAML_NODES_MAX);
    }
    node *parent = r->stack[r->depth - 1];
    cell *c = SNUG_NEW(r->scratch, cell);
    c->child = n;
    if (parent->last == NULL)
        parent->first = c;
    else
        parent->last->next = c;
    parent->last = c;
    parent->count++;
    return SNUG_OK;
}

static snug_status set_anchor(reader *r, const yaml_char_t *name, node *n)
{
    if (name == NULL) return SNUG_OK;
    if (++r->named > CODEC_YAML_ALIASES_MAX) { /* each alias walks this list */
        return snug_fail(r->err, SNUG_ELIMIT, "line %zu: YAML with more than %d anchors", n->line,
                         CODEC_YAML_ALIASES_MAX);
    }
    anchor *an = SNUG_NEW(r->scratch, anchor);
    an->name = snug_arena_dup(r->scratch, snug_str((const char *)name));
    an->target = n;
    an->next = r->anchors; /* a name given again hides the earlier one */
    r->anchors = an;
    return SNUG_OK;
}

/* Tags say how to read a scalar, never what to build: any but the core ones are refused. */
static snug_status read_tag(reader *r, const yaml_char_t *tag, node *n)
{
    static const struct {
        const char *name;
        node_tag    tag;
    } known[] = {{"!", TAG_STR},
                 {"tag:yaml.org,2002:str", TAG_STR},
                 {"tag:yaml.org,2002:binary", TAG_STR},
                 {"tag:yaml.org,2002:timestamp", TAG_STR},
                 {"tag:yaml.org,2002:int", TAG_RESOLVE},
                 {"tag:yaml.org,2002:float", TAG_RESOLVE},
                 {"tag:yaml.org,2002:bool", TAG_RESOLVE},
                 {"tag:yaml.org,2002:null", TAG_RESOLVE},
                 {"tag:yaml.org,2002:seq", TAG_NONE},
                 {"tag:yaml.org,2002:map", TAG_NONE}};
    if (tag == NULL) return SNUG_OK;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (!snug_eq_str(snug_str((const char *)tag), known[i].name)) continue;
        n->tag = known[i].tag;
        return SNUG_OK;
    }
    snug_slice t = snug_str((const char *)tag);
    bool       core = snug_starts_with(t, "tag:yaml.org,2002:"); /* written as "!!" */
    return snug_fail(r->err, SNUG_EINVAL,
                     "line %zu: the tag %s%.*s is not allowed: cards hold plain data", n->line,
                     core ? "!!" : "", SNUG_SLICE(snug_sub(t, core ? 18 : 0, KEY_SHOWN_MAX)));
}

static snug_status on_scalar(reader *r, const yaml_event_t *ev)
{
    node *n = SNUG_NEW(r->scratch, node);
    n->kind = NODE_SCALAR;
    n->line = line_of(r, ev->start_mark);
    n->plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    n->text =
        snug_arena_dup(r->scratch, snug_slice_of(ev->data.scalar.value, ev->data.scalar.length));
    snug_status st = read_tag(r, ev->data.scalar.tag, n);
    if (st == SNUG_OK) st = set_anchor(r, ev->data.scalar.anchor, n);
    return st == SNUG_OK ? add_child(r, n, n->line) : st;
}

static snug_status on_start(reader *r, node_kind kind, const yaml_char_t *tag,
                            const yaml_char_t *name, size_t line)
{
    node *n = SNUG_NEW(r->scratch, node);
    n->kind = kind;
    n->line = line;
    n->open = true;
    snug_status st = read_tag(r, tag, n);
    if (st == SNUG_OK) st = add_child(r, n, line);
    if (st == SNUG_OK) st = set_anchor(r, name, n);
    if (st != SNUG_OK) return st;
    if (r->depth == CODEC_YAML_DEPTH_MAX) {
        return snug_fail(r->err, SNUG_ELIMIT, "line %zu: YAML nested deeper than %d", line,
                         CODEC_YAML_DEPTH_MAX);
    }
    r->stack[r->depth++] = n;
    return SNUG_OK;
}

static snug_status on_alias(reader *r, const yaml_event_t *ev)
{
    size_t     line = line_of(r, ev->start_mark);
    snug_slice name = snug_str((const char *)ev->data.alias.anchor);
    if (++r->aliases > CODEC_YAML_ALIASES_MAX) {
        return snug_fail(r->err, SNUG_ELIMIT, "line %zu: YAML with more than %d aliases", line,
                         CODEC_YAML_ALIASES_MAX);
    }
    for (const anchor *an = r->anchors; an != NULL; an = an->next) {
        if (!snug_eq(an->name, name)) continue;
        if (!an->target->open) return add_child(r, an->target, line);
        return snug_fail(r->err, SNUG_EINVAL, "line %zu: *%.*s stands inside what it names", line,
                         SNUG_SLICE(snug_sub(name, 0, KEY_SHOWN_MAX)));
    }
    return snug_fail(r->err, SNUG_EINVAL, "line %zu: *%.*s names nothing above it", line,
                     SNUG_SLICE(snug_sub(name, 0, KEY_SHOWN_MAX)));
}

static snug_status on_event(reader *r, const yaml_event_t *ev)
{
    size_t line = line_of(r, ev->start_mark);
    switch (ev->type) {
    case YAML_SCALAR_EVENT: return on_scalar(r, ev);
    case YAML_ALIAS_EVENT: return on_alias(r, ev);
    case YAML_SEQUENCE_START_EVENT:
        return on_start(r, NODE_SEQUENCE, ev->data.sequence_start.tag,
                        ev->data.sequence_start.anchor, line);
    case YAML_MAPPING_START_EVENT:
        return on_start(r, NODE_MAPPING, ev->data.mapping_start.tag, ev->data.mapping_start.anchor,
                        line);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        SNUG_ASSERT(r->depth > 0 && r->stack[r->depth - 1] != NULL); /* libyaml pairs them */
        r->stack[--r->depth]->open = false;
        return SNUG_OK;
    default: return SNUG_OK; /* stream and document marks */
    }
}

static snug_status fail_syntax(const reader *r, const yaml_parser_t *p)
{
    const char *why = p->problem != NULL ? p->problem : "not YAML";
    if (p->error == YAML_MEMORY_ERROR) return snug_fail(r->err, SNUG_ENOMEM, "no memory for YAML");
    if (p->error == YAML_READER_ERROR) {
        return snug_fail(r->err, SNUG_EINVAL, "YAML: %s (byte %zu)", why, p->problem_offset);
    }
    return snug_fail(r->err, SNUG_EINVAL, "line %zu: %s", line_of(r, p->problem_mark), why);
}

static snug_status read_nodes(reader *r, snug_slice yaml)
{
    yaml_parser_t p;
    snug_status   st = SNUG_OK;
    bool          more = true, ended = false;

    if (yaml_parser_initialize(&p) == 0)
        return snug_fail(r->err, SNUG_ENOMEM, "no memory for YAML");
    yaml_parser_set_encoding(&p, YAML_UTF8_ENCODING); /* or a NUL early on would mean UTF-16 */
    yaml_parser_set_input_string(&p, (const unsigned char *)yaml.ptr, yaml.len);
    while (more && st == SNUG_OK) {
        yaml_event_t ev;
        if (yaml_parser_parse(&p, &ev) == 0) {
            st = fail_syntax(r, &p);
            break;
        }
        /* A document that just stops ends the text or meets a "---": one more event tells. */
        more = ev.type == YAML_DOCUMENT_END_EVENT ? ev.data.document_end.implicit != 0
                                                  : !ended && ev.type != YAML_STREAM_END_EVENT;
        ended = ended || ev.type == YAML_DOCUMENT_END_EVENT;
        st = on_event(r, &ev);
        yaml_event_delete(&ev);
    }
    yaml_parser_delete(&p);
    return st;
}

/* ---- step 2: scalars ---- */

static bool is_any(snug_slice s, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (snug_eq_str(s, *words)) return true;
    }
    return false;
}

static bool is_null(const node *n)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL", NULL};
    if (n->kind != NODE_SCALAR || !(n->plain || n->tag == TAG_RESOLVE)) return false;
    return n->tag != TAG_STR && is_any(n->text, words);
}

static size_t digits(snug_slice s, size_t from)
{
    size_t i = from;
    while (i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9') i++;
    return i - from;
}

/* [-+]?[0-9]+, 0o[0-7]+, 0x[0-9a-fA-F]+, when it fits 64 bits. */
static bool put_integer(snug_json_out *o, snug_slice s)
{
    int64_t  i;
    uint64_t u;
    if (s.len > 2 && s.len < NUMBER_TEXT_MAX && s.ptr[0] == '0' &&
        (s.ptr[1] == 'x' || s.ptr[1] == 'o')) {
        char  text[NUMBER_TEXT_MAX];
        char *end;
        memcpy(text, s.ptr + 2, s.len - 2);
        text[s.len - 2] = '\0';
        /* strtoull would skip blanks and signs; a scalar like "0x -1" is no number */
        bool digit = (text[0] >= '0' && text[0] <= '9') || (text[0] >= 'a' && text[0] <= 'f') ||
                     (text[0] >= 'A' && text[0] <= 'F');
        bool again = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
        errno = 0;
        u = strtoull(text, &end, s.ptr[1] == 'x' ? 16 : 8);
        if (!digit || again || errno != 0 || *end != '\0' || end != text + s.len - 2) return false;
        snug_jo_u64(o, u);
        return true;
    }
    if (s.len > 1 && s.ptr[0] == '+') s = snug_sub(s, 1, s.len);
    if (snug_parse_u64(s, &u))
        snug_jo_u64(o, u);
    else if (snug_parse_i64(s, &i))
        snug_jo_i64(o, i);
    else
        return false;
    return true;
}

/* [-+]? ( \.[0-9]+ | [0-9]+ (\.[0-9]*)? ) ([eE][-+]?[0-9]+)?, with a point or an exponent. */
static bool put_real(snug_json_out *o, snug_slice s)
{
    char   text[NUMBER_TEXT_MAX];
    size_t i = s.len > 0 && (s.ptr[0] == '-' || s.ptr[0] == '+') ? 1 : 0;
    size_t whole = digits(s, i), part = 0;
    bool   real = false;

    if (s.len >= sizeof text) return false;
    i += whole;
    if (i < s.len && s.ptr[i] == '.') {
        part = digits(s, ++i);
        i += part;
        real = true;
    }
    if (whole + part == 0) return false;
    if (i < s.len && (s.ptr[i] == 'e' || s.ptr[i] == 'E')) {
        i++;
        if (i < s.len && (s.ptr[i] == '-' || s.ptr[i] == '+')) i++;
        size_t n = digits(s, i);
        if (n == 0) return false;
        i += n;
        real = true;
    }
    if (!real || i != s.len) return false;
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    double v = strtod(text, NULL);
    if (!isfinite(v)) return false;
    snug_jo_f64(o, v);
    return true;
}

static void put_scalar(snug_json_out *o, const node *n)
{
    static const char *const yes[] = {"true", "True", "TRUE", NULL};
    static const char *const no[] = {"false", "False", "FALSE", NULL};
    static const char *const unreal[] = {".inf",  ".Inf",  ".INF",  "+.inf", "+.Inf",
                                         "+.INF", "-.inf", "-.Inf", "-.INF", ".nan",
                                         ".NaN",  ".NAN",  NULL};
    bool                     resolve = n->tag != TAG_STR && (n->plain || n->tag == TAG_RESOLVE);
    if (!resolve)
        snug_jo_str(o, n->text);
    else if (is_null(n) || is_any(n->text, unreal))
        snug_jo_null(o);
    else if (is_any(n->text, yes))
        snug_jo_bool(o, true);
    else if (is_any(n->text, no))
        snug_jo_bool(o, false);
    else if (!put_integer(o, n->text) && !put_real(o, n->text))
        snug_jo_str(o, n->text);
}

/* ---- step 2: mappings ---- */

typedef struct entry {
    snug_slice  key;
    const node *value; /* NULL: a later entry of the same key took over */
    size_t      order;
} entry;

typedef struct entries {
    entry *e;
    size_t count, cap;
} entries;

static snug_status count_work(reader *r, size_t line)
{
    if (++r->unfolded <= CODEC_YAML_NODES_MAX) return SNUG_OK;
    return snug_fail(r->err, SNUG_ELIMIT, "line %zu: YAML aliases unfold to more than %d values",
                     line, CODEC_YAML_NODES_MAX);
}

static snug_status add_entry(reader *r, entries *list, const node *key, const node *value)
{
    snug_status st = count_work(r, key->line);
    if (st != SNUG_OK) return st;
    if (key->kind != NODE_SCALAR) {
        return snug_fail(r->err, SNUG_EINVAL, "line %zu: a key must be a word, not a %s", key->line,
                         key->kind == NODE_MAPPING ? "mapping (unfilled template?)" : "list");
    }
    if (list->count == list->cap) {
        size_t cap = list->cap == 0 ? 16 : list->cap * 2;
        list->e = snug_realloc(list->e, cap * sizeof *list->e); /* cap is bounded by count_work */
        list->cap = cap;
    }
    list->e[list->count] = (entry){is_null(key) ? SNUG_LIT("null") : key->text, value, list->count};
    list->count++;
    return SNUG_OK;
}

static bool is_merge(const node *key)
{
    return key->kind == NODE_SCALAR && key->plain && key->tag == TAG_NONE &&
           snug_eq_str(key->text, "<<");
}

static snug_status collect(reader *r, const node *map, unsigned depth, entries *list);

/* The value of "<<": a mapping, or a list of them in which earlier ones win. */
static snug_status collect_merge(reader *r, const node *from, unsigned depth, entries *list)
{
    if (from->kind == NODE_MAPPING) return collect(r, from, depth + 1, list);
    if (from->kind != NODE_SEQUENCE) {
        return snug_fail(r->err, SNUG_EINVAL, "line %zu: << wants a mapping or a list of mappings",
                         from->line);
    }
    const node **items = snug_alloc(sizeof(node *) * (from->count + 1)); /* count is bounded */
    size_t       n = 0;
    snug_status  st = SNUG_OK;
    for (const cell *c = from->first; c != NULL; c = c->next) items[n++] = c->child;
    while (n > 0 && st == SNUG_OK) {
        const node *item = items[--n];
        if (item->kind == NODE_MAPPING) {
            st = collect(r, item, depth + 1, list);
        } else {
            st = snug_fail(r->err, SNUG_EINVAL, "line %zu: << wants a list of mappings only",
                           item->line);
        }
    }
    free(items);
    return st;
}

/* All entries of a mapping, merged ones first, so that in the end the last of a key counts. */
static snug_status collect(reader *r, const node *map, unsigned depth, entries *list)
{
    snug_status st = count_work(r, map->line);
    if (st != SNUG_OK) return st;
    if (depth >= CODEC_YAML_DEPTH_MAX) {
        return snug_fail(r->err, SNUG_ELIMIT, "line %zu: merges nested deeper than %d", map->line,
                         CODEC_YAML_DEPTH_MAX);
    }
    for (const cell *c = map->first; c != NULL; c = c->next->next) {
        if (!is_merge(c->child)) continue;
        st = collect_merge(r, c->next->child, depth, list);
        if (st != SNUG_OK) return st;
    }
    for (const cell *c = map->first; c != NULL; c = c->next->next) {
        if (is_merge(c->child)) continue;
        st = add_entry(r, list, c->child, c->next->child);
        if (st != SNUG_OK) return st;
    }
    return SNUG_OK;
}

static int by_key(const void *x, const void *y, void *arg)
{
    const entry *all = arg, *a = &all[*(const size_t *)x], *b = &all[*(const size_t *)y];
    int          c = snug_cmp(a->key, b->key);
    if (c != 0) return c;
    return a->order < b->order ? -1 : 1;
}

/* A key keeps the place where it first stood and takes the value it got last. Sorting, not
 * hashing: a file cannot choose keys that make it slow. */
static void settle(entries *list)
{
    if (list->count < 2) return;
    size_t *index = snug_alloc(sizeof(size_t) * list->count); /* bounded by count_work */
    for (size_t i = 0; i < list->count; i++) index[i] = i;
    qsort_r(index, list->count, sizeof *index, by_key, list->e);
    for (size_t i = 0; i < list->count;) {
        entry *first = &list->e[index[i]];
        size_t j = i + 1;
        for (; j < list->count && snug_eq(list->e[index[j]].key, first->key); j++) {
            first->value = list->e[index[j]].value;
            list->e[index[j]].value = NULL;
        }
        i = j;
    }
    free(index);
}

/* ---- step 2: the walk ---- */

static snug_status put_node(reader *r, const node *n, unsigned depth);

static snug_status put_mapping(reader *r, const node *n, unsigned depth)
{
    entries     list = {0};
    snug_status st = collect(r, n, 0, &list);
    if (st == SNUG_OK) {
        settle(&list);
        snug_jo_begin_object(r->out);
        for (size_t i = 0; i < list.count && st == SNUG_OK; i++) {
            if (list.e[i].value == NULL) continue;
            snug_jo_key_slice(r->out, list.e[i].key);
            st = put_node(r, list.e[i].value, depth + 1);
        }
        if (st == SNUG_OK) snug_jo_end_object(r->out);
    }
    free(list.e);
    return st;
}

static snug_status put_node(reader *r, const node *n, unsigned depth)
{
    snug_status st = count_work(r, n->line);
    if (st != SNUG_OK) return st;
    if (depth > CODEC_YAML_DEPTH_MAX) { /* aliases nest deeper than the text they stand in */
        return snug_fail(r->err, SNUG_ELIMIT, "line %zu: YAML nested deeper than %d", n->line,
                         CODEC_YAML_DEPTH_MAX);
    }
    if (n->kind == NODE_SCALAR) {
        put_scalar(r->out, n);
    } else if (n->kind == NODE_MAPPING) {
        st = put_mapping(r, n, depth);
    } else {
        snug_jo_begin_array(r->out);
        for (const cell *c = n->first; c != NULL && st == SNUG_OK; c = c->next) {
            st = put_node(r, c->child, depth + 1);
        }
        if (st == SNUG_OK) snug_jo_end_array(r->out);
    }
    return st == SNUG_OK ? snug_buf_check(r->out->buf, "YAML with its aliases unfolded", r->err)
                         : st;
}

snug_status codec_yaml_parse_at(snug_arena *a, snug_slice yaml, size_t first_line, snug_json *out,
                                snug_err *err)
{
    SNUG_AUTO(snug_buf) text = snug_buf_init(UNFOLDED_BYTES_MAX);
    snug_json_out jo = snug_json_out_init(&text);
    reader        r = {.err = err, .first_line = first_line, .out = &jo};
    snug_status   st = SNUG_OK;

    if (yaml.len > CODEC_YAML_SIZE_MAX) {
        return snug_fail(err, SNUG_ELIMIT, "YAML of %zu bytes is larger than the limit of %d",
                         yaml.len, CODEC_YAML_SIZE_MAX);
    }
    if (snug_index(yaml, '\0') != SIZE_MAX)
        return snug_fail(err, SNUG_EINVAL, "YAML with a NUL byte in it");
    if (!snug_utf8_valid(yaml)) return snug_fail(err, SNUG_EINVAL, "YAML that is not valid UTF-8");
    r.scratch = snug_arena_new();
    SNUG_TRY(read_nodes(&r, yaml.ptr == NULL ? SNUG_LIT("") : yaml));
    if (r.root == NULL)
        snug_jo_null(&jo);
    else
        SNUG_TRY(put_node(&r, r.root, 0));
    SNUG_TRY(snug_buf_check(&text, "YAML with its aliases unfolded", err));
    SNUG_TRY(snug_json_parse(a, snug_buf_slice(&text), NULL, out, err));
done:
    snug_arena_free(r.scratch);
    return st;
}

snug_status codec_yaml_parse(snug_arena *a, snug_slice yaml, snug_json *out, snug_err *err)
{
    return codec_yaml_parse_at(a, yaml, 1, out, err);
}
