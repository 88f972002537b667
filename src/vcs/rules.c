/* SPDX-License-Identifier: Apache-2.0 */
/* vcs/rules.c - .gitattributes and .gitignore: does filter=lfs apply, is a path ignored.
 *
 * A file's rules hold for its folder and below; of two files the deeper one decides, of two lines
 * the later one. A pattern without a slash is compared with the last part of the path, one with a
 * slash with the whole path below the file's folder.
 *
 * Attributes: each attribute is decided by the first line, from the end, that mentions it. A
 * macro ([attr]name a b=c, top folder only) that is set also brings its own list, at that place.
 * Ignore rules: "!" takes back, but nothing below an ignored folder can be taken back.
 *
 * Bounds: number of rules, of distinct attributes, and steps per question. Text past a bound is
 * left out; a question that runs out of steps gets "no".
 *
 * Threads: building, one; asking, any number, since asking changes nothing. */
#include "vcs/vcs_int.h"

enum {
    RULES_MAX = 20000,
    ATTRS_MAX = 256,       /* distinct names; also bounds macros in macros */
    LINE_MAX_BYTES = 2048, /* git ignores longer lines of attributes */
    STEPS_MAX = 4000000    /* per question */
};

enum { NO_SLASH = 1u, ENDS_WITH = 2u, ONLY_FOLDER = 4u, NEGATIVE = 8u };

typedef enum value { V_UNKNOWN, V_TRUE, V_FALSE, V_UNSET, V_LFS, V_OTHER } value;

typedef struct setting {
    uint16_t attr;
    uint8_t  to; /* a value */
} setting;

typedef struct rule {
    snug_slice     pattern;
    size_t         literal; /* bytes before the first special one */
    unsigned       flags;
    const setting *settings;
    size_t         setting_count;
    struct rule   *prev; /* the line before */
} rule;

typedef struct rule_file {
    snug_slice        folder;
    bool              attributes;
    rule             *last;
    struct rule_file *next; /* deeper folders first; of one folder the later file first */
} rule_file;

typedef struct macro {
    const setting *settings; /* NULL: the attribute is no macro */
    size_t         count;
} macro;

struct vcs_rules {
    snug_arena *a;
    rule_file  *files;
    size_t      rule_count;
    snug_slice  attrs[ATTRS_MAX];
    macro       macros[ATTRS_MAX];
    size_t      attr_count;
};

enum { ATTR_FILTER, ATTR_BINARY, ATTR_DIFF, ATTR_MERGE, ATTR_TEXT };

vcs_rules *vcs_rules_new(snug_arena *a)
{
    static const char *const known[] = {"filter", "binary", "diff", "merge", "text"};
    static const setting     binary[] = {
            {ATTR_DIFF, V_FALSE}, {ATTR_MERGE, V_FALSE}, {ATTR_TEXT, V_FALSE}};
    vcs_rules *r = SNUG_NEW(a, vcs_rules);
    r->a = a;
    for (; r->attr_count < sizeof known / sizeof known[0]; r->attr_count++) {
        r->attrs[r->attr_count] = snug_str(known[r->attr_count]);
    }
    r->macros[ATTR_BINARY] = (macro){binary, sizeof binary / sizeof binary[0]};
    return r;
}

/* ---- patterns ---- */

static bool is_special(char c) { return c == '*' || c == '?' || c == '[' || c == '\\'; }

static size_t literal_length(snug_slice s)
{
    size_t n = 0;
    while (n < s.len && !is_special(s.ptr[n])) n++;
    return n;
}

static void parse_pattern(snug_slice text, rule *out)
{
    if (text.len > 0 && text.ptr[0] == '!') {
        out->flags |= NEGATIVE;
        text = snug_sub(text, 1, text.len);
    }
    snug_slice whole = text;
    if (text.len > 0 && text.ptr[text.len - 1] == '/') {
        out->flags |= ONLY_FOLDER;
        text.len--;
    }
    if (snug_index(text, '/') == SIZE_MAX) out->flags |= NO_SLASH;
    if (whole.len > 0 && whole.ptr[0] == '*' &&
        literal_length(snug_sub(whole, 1, whole.len)) == whole.len - 1) {
        out->flags |= ENDS_WITH;
    }
    out->pattern = text;
    out->literal = literal_length(text);
}

static bool match_name(const rule *p, snug_slice name, uint32_t *budget)
{
    if (p->literal == p->pattern.len) return snug_eq(p->pattern, name);
    if (p->flags & ENDS_WITH) {
        size_t n = p->pattern.len - 1;
        return n <= name.len && memcmp(p->pattern.ptr + 1, name.ptr + name.len - n, n) == 0;
    }
    return vcs_wildmatch(p->pattern, name, false, budget);
}

/* The literal head is compared first and both sides lose it: as in git, "a" and star star then
 * stand at the start of a pattern. */
static bool match_path(const rule *p, snug_slice path, uint32_t *budget)
{
    snug_slice pattern = p->pattern;
    size_t     literal = p->literal;
    if (pattern.len > 0 && pattern.ptr[0] == '/') {
        pattern = snug_sub(pattern, 1, pattern.len);
        literal--;
    }
    if (literal > 0) {
        if (literal > path.len || memcmp(pattern.ptr, path.ptr, literal) != 0) return false;
        pattern = snug_sub(pattern, literal, pattern.len);
        path = snug_sub(path, literal, path.len);
        if (pattern.len == 0 && path.len == 0) return true;
    }
    return vcs_wildmatch(pattern, path, true, budget);
}

/* `path` is relative to the folder of the rule's file. */
static bool rule_matches(const rule *p, snug_slice path, bool is_dir, uint32_t *budget)
{
    if ((p->flags & ONLY_FOLDER) && !is_dir) return false;
    if (!(p->flags & NO_SLASH)) return match_path(p, path, budget);
    size_t slash = snug_rindex(path, '/');
    return match_name(p, slash == SIZE_MAX ? path : snug_sub(path, slash + 1, path.len), budget);
}

/* The path below the file's folder; false when it is not inside. */
static bool relative_path(const rule_file *f, snug_slice path, snug_slice *out)
{
    size_t n = f->folder.len;
    *out = path;
    if (n == 0) return path.len > 0;
    if (path.len <= n + 1 || path.ptr[n] != '/' || memcmp(path.ptr, f->folder.ptr, n) != 0) {
        return false;
    }
    *out = snug_sub(path, n + 1, path.len);
    return true;
}

/* ---- reading attribute lines ---- */

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

static void skip_blanks(snug_slice *s)
{
    while (s->len > 0 && is_blank(s->ptr[0])) *s = snug_sub(*s, 1, s->len);
}

static snug_slice take_word(snug_slice *s)
{
    size_t n = 0;
    while (n < s->len && !is_blank(s->ptr[n])) n++;
    snug_slice word = snug_sub(*s, 0, n);
    *s = snug_sub(*s, n, s->len);
    return word;
}

/* One escape of a C string, behind the backslash; -1 when git knows no such escape. */
static int unescape(snug_slice *s)
{
    static const char from[] = "abfnrtv\\\"", to[] = "\a\b\f\n\r\t\v\\\"";
    if (s->len == 0) return -1;
    char c = s->ptr[0];
    if (c >= '0' && c <= '3') {
        if (s->len < 3 || s->ptr[1] < '0' || s->ptr[1] > '7' || s->ptr[2] < '0' ||
            s->ptr[2] > '7') {
            return -1;
        }
        int v = (c - '0') * 64 + (s->ptr[1] - '0') * 8 + (s->ptr[2] - '0');
        *s = snug_sub(*s, 3, s->len);
        return v;
    }
    const char *hit = c != '\0' ? strchr(from, c) : NULL;
    *s = snug_sub(*s, 1, s->len);
    return hit == NULL ? -1 : (unsigned char)to[hit - from];
}

/* "a\tb" at the start of *s; false leaves *s alone: git then takes the quote as part of a word. */
static bool take_quoted(snug_arena *a, snug_slice *s, snug_slice *out)
{
    snug_slice rest = snug_sub(*s, 1, s->len);
    char      *to = snug_arena_alloc(a, s->len + 1);
    size_t     n = 0;
    while (rest.len > 0) {
        char c = rest.ptr[0];
        rest = snug_sub(rest, 1, rest.len);
        if (c == '"') {
            *out = snug_slice_of(to, n);
            *s = rest;
            return true;
        }
        if (c == '\\') {
            int v = unescape(&rest);
            if (v < 0) return false;
            c = (char)v;
        }
        to[n++] = c;
    }
    return false;
}

static bool attr_name_ok(snug_slice name)
{
    if (name.len == 0 || name.ptr[0] == '-') return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '.' || c == '_';
        if (!ok) return false;
    }
    return true;
}

/* The number of a name; false when there are too many distinct ones. */
static bool intern(vcs_rules *r, snug_slice name, uint16_t *out)
{
    for (size_t i = 0; i < r->attr_count; i++) {
        if (snug_eq(r->attrs[i], name)) {
            *out = (uint16_t)i;
            return true;
        }
    }
    if (r->attr_count == ATTRS_MAX) return false;
    r->attrs[r->attr_count] = snug_arena_dup(r->a, name);
    *out = (uint16_t)r->attr_count++;
    return true;
}

/* name, -name, !name, name=value. False when the name is none: the whole line is void then. */
static bool parse_setting(snug_slice word, snug_slice *name, value *to)
{
    size_t     equals = snug_index(word, '=');
    snug_slice text = equals == SIZE_MAX ? SNUG_EMPTY : snug_sub(word, equals + 1, word.len);
    *name = equals == SIZE_MAX ? word : snug_sub(word, 0, equals);
    *to = equals == SIZE_MAX ? V_TRUE : snug_eq_str(text, "lfs") ? V_LFS : V_OTHER;
    if (name->len > 0 && (name->ptr[0] == '-' || name->ptr[0] == '!')) {
        *to = name->ptr[0] == '-' ? V_FALSE : V_UNSET;
        *name = snug_sub(*name, 1, name->len);
    }
    return attr_name_ok(*name);
}

static bool parse_settings(vcs_rules *r, snug_slice text, const setting **out, size_t *count)
{
    size_t     n = 0;
    snug_slice rest = text, name;
    value      to;
    for (skip_blanks(&rest); rest.len > 0; skip_blanks(&rest), n++) {
        if (!parse_setting(take_word(&rest), &name, &to)) return false;
    }
    setting *v = snug_arena_zalloc(r->a, (n + 1) * sizeof *v);
    *out = v;
    *count = 0;
    rest = text;
    for (skip_blanks(&rest); rest.len > 0; skip_blanks(&rest)) {
        (void)parse_setting(take_word(&rest), &name, &to);
        setting s = {.to = (uint8_t)to};
        if (intern(r, name, &s.attr)) v[(*count)++] = s;
    }
    return true;
}

static void add_rule(vcs_rules *r, rule_file *f, const rule *from)
{
    rule *p = SNUG_NEW(r->a, rule);
    *p = *from;
    p->pattern = snug_arena_dup(r->a, from->pattern);
    p->prev = f->last;
    f->last = p;
    r->rule_count++;
}

static void define_macro(vcs_rules *r, snug_slice name, snug_slice rest)
{
    macro    m;
    uint16_t attr;
    if (!attr_name_ok(name) || !parse_settings(r, rest, &m.settings, &m.count)) return;
    if (intern(r, name, &attr)) r->macros[attr] = m;
}

static void add_attribute_line(vcs_rules *r, rule_file *f, snug_slice line)
{
    rule       p = {0};
    snug_slice word;
    if (line.len >= LINE_MAX_BYTES) return;
    skip_blanks(&line);
    if (line.len == 0 || line.ptr[0] == '#') return;
    if (line.ptr[0] != '"' || !take_quoted(r->a, &line, &word)) word = take_word(&line);
    if (snug_starts_with(word, "[attr]") && word.len > 6) {
        /* The name ends at a blank even inside quotes. */
        snug_slice name = snug_sub(word, 6, word.len);
        skip_blanks(&name);
        if (f->folder.len == 0) define_macro(r, take_word(&name), line);
        return;
    }
    parse_pattern(word, &p);
    if (p.flags & NEGATIVE) return; /* git does not know negative patterns here */
    if (parse_settings(r, line, &p.settings, &p.setting_count)) add_rule(r, f, &p);
}

/* ---- reading ignore lines ---- */

/* Blanks at the end do not count unless a backslash stands before them. */
static snug_slice trim_spaces(snug_slice s)
{
    size_t end = SIZE_MAX;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == ' ') {
            if (end == SIZE_MAX) end = i;
            continue;
        }
        end = SIZE_MAX;
        if (s.ptr[i] == '\\') i++;
    }
    return end == SIZE_MAX ? s : snug_sub(s, 0, end);
}

static void add_ignore_line(vcs_rules *r, rule_file *f, snug_slice line)
{
    rule p = {0};
    if (line.len > 0 && line.ptr[line.len - 1] == '\r') line.len--;
    if (line.len == 0 || line.ptr[0] == '#') return;
    parse_pattern(trim_spaces(line), &p);
    add_rule(r, f, &p);
}

void vcs_rules_add(vcs_rules *r, snug_slice folder, snug_slice text, bool attributes)
{
    rule_file *f = SNUG_NEW(r->a, rule_file);
    f->folder = snug_arena_dup(r->a, folder);
    f->attributes = attributes;
    rule_file **at = &r->files;
    while (*at != NULL && (*at)->folder.len > folder.len) at = &(*at)->next;
    f->next = *at;
    *at = f;

    size_t nul = snug_index(text, '\0');
    if (nul != SIZE_MAX) text = snug_sub(text, 0, nul);
    if (snug_starts_with(text, "\xef\xbb\xbf")) text = snug_sub(text, 3, text.len);
    snug_slice line;
    while (r->rule_count < RULES_MAX && snug_split(&text, '\n', &line)) {
        if (attributes)
            add_attribute_line(r, f, line);
        else
            add_ignore_line(r, f, line);
    }
}

/* ---- asking ---- */

/* What is decided stays; depth: each level decides one more attribute, so at most ATTRS_MAX. */
static void decide(const vcs_rules *r, const setting *v, size_t n, uint8_t *state)
{
    while (n-- > 0) {
        if (state[v[n].attr] != V_UNKNOWN) continue;
        state[v[n].attr] = v[n].to;
        const macro *m = &r->macros[v[n].attr];
        if (v[n].to == V_TRUE && m->settings != NULL) decide(r, m->settings, m->count, state);
    }
}

bool vcs_rules_is_lfs(const vcs_rules *r, snug_slice path)
{
    uint8_t  state[ATTRS_MAX] = {V_UNKNOWN};
    uint32_t budget = STEPS_MAX;
    for (const rule_file *f = r->files; f != NULL; f = f->next) {
        snug_slice below;
        if (!f->attributes || !relative_path(f, path, &below)) continue;
        for (const rule *p = f->last; p != NULL && budget > 0; p = p->prev) {
            if (!rule_matches(p, below, false, &budget)) continue;
            decide(r, p->settings, p->setting_count, state);
            if (state[ATTR_FILTER] != V_UNKNOWN) return state[ATTR_FILTER] == V_LFS;
        }
    }
    return false;
}

static bool is_excluded(const vcs_rules *r, snug_slice path, bool is_dir, uint32_t *budget)
{
    for (const rule_file *f = r->files; f != NULL; f = f->next) {
        snug_slice below;
        if (f->attributes || !relative_path(f, path, &below)) continue;
        for (const rule *p = f->last; p != NULL && *budget > 0; p = p->prev) {
            if (rule_matches(p, below, is_dir, budget)) return !(p->flags & NEGATIVE);
        }
    }
    return false;
}

bool vcs_rules_is_ignored(const vcs_rules *r, snug_slice path)
{
    uint32_t budget = STEPS_MAX;
    for (size_t i = 0; i < path.len; i++) {
        if (path.ptr[i] != '/') continue;
        if (is_excluded(r, snug_sub(path, 0, i), true, &budget)) return true;
        if (i + 1 == path.len) return false; /* "folder/" */
    }
    return is_excluded(r, path, false, &budget);
}
