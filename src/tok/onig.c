/* SPDX-License-Identifier: Apache-2.0 */
/* tok/onig.c - rewrites a pattern of Oniguruma's Ruby dialect for PCRE2.
 *
 * For:     regex.c.
 * Threads: pure.
 * Truth:   what is not rewritten means the same in both, or PCRE2 refuses it.
 *
 *   here                        becomes
 *   \s \w \h \b                 explicit sets: PCRE2's differ in marks and a few others
 *   \p{Han} \p{Letter}          \p{sc:Han} \p{L}
 *   (?m)                        (?s): "dot matches newline" is m in Ruby
 *   X{n,m}+                     (?:X{n,m})+: not possessive in Ruby
 *   {,n}                        {0,n}
 *   \uHHHH  \v                  \x{HHHH}  \x0b
 *   [ab[cd]]                    [abcd]
 *   [ab[^cd]]  [ab\W]           (?:[ab]|[^cd]), (?:[ab]|[^...])
 *   [a-z&&[^b]]                 (?:(?=[a-z])[^b])
 *   [^...] of such a thing      (?:(?!...)(?s:.)) */
#include "tok/tok_int.h"

enum { GROUPS_MAX = 64, CLASS_NEST_MAX = 8, OUT_MAX = 128 * 1024 };

#define SPACE_SET                                                                                  \
    "\\t-\\r "                                                                                     \
    "\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
#define WORD_SET                                                                                   \
    "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{24b6}-\\x{24e9}"                                         \
    "\\x{1f130}-\\x{1f149}\\x{1f150}-\\x{1f169}\\x{1f170}-\\x{1f189}"
/* Outside of brackets Oniguruma also counts Latin-1's superscripts and fractions. */
#define LONE_WORD_SET WORD_SET "\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}"
#define AT_WORD_EDGE                                                                               \
    "(?:(?<=[" LONE_WORD_SET "])(?![" LONE_WORD_SET "])|(?<![" LONE_WORD_SET                       \
    "])(?=[" LONE_WORD_SET "]))"
#define HEX_SET "0-9A-Fa-f"

typedef struct source {
    snug_slice s;
    size_t     at;
    snug_err  *err;
} source;

static int peek(const source *in, size_t ahead)
{
    return in->at + ahead < in->s.len ? (unsigned char)in->s.ptr[in->at + ahead] : -1;
}

static snug_status refuse(const source *in, const char *what)
{
    return snug_fail(in->err, SNUG_EUNSUPPORTED, "pattern \"%.*s\": %s",
                     SNUG_SLICE(snug_sub(in->s, 0, 120)), what);
}

static bool is_hex(int c) { return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'f'); }
static bool is_digit(int c) { return c >= '0' && c <= '9'; }

/* Copies one character as it is, escape or UTF-8 sequence included. */
static void copy_char(source *in, snug_buf *out)
{
    size_t n = tok_utf8_len((unsigned char)in->s.ptr[in->at]);
    snug_buf_put_slice(out, snug_sub(in->s, in->at, n));
    in->at += n;
}

/* \p{Name}: scripts are scripts (PCRE2 would take a bare name for script extensions too), long
 * names of categories become short ones, names of two letters are the same. */
static snug_status put_property(source *in, snug_buf *out)
{
    static const char *const names[][2] = {{"Letter", "L"},
                                           {"Mark", "M"},
                                           {"Number", "N"},
                                           {"Punctuation", "P"},
                                           {"Symbol", "S"},
                                           {"Separator", "Z"},
                                           {"Other", "C"},
                                           {"Digit", "Nd"},
                                           {"Alpha", "Alphabetic"},
                                           {"Alphabetic", "Alphabetic"},
                                           {"Upper", "Uppercase"},
                                           {"Uppercase", "Uppercase"},
                                           {"Lower", "Lowercase"},
                                           {"Lowercase", "Lowercase"},
                                           {"Space", "White_Space"},
                                           {"White_Space", "White_Space"},
                                           {"Any", "Any"},
                                           {"Emoji", "Emoji"},
                                           {"Lowercase_Letter", "Ll"},
                                           {"Uppercase_Letter", "Lu"},
                                           {"Titlecase_Letter", "Lt"},
                                           {"Modifier_Letter", "Lm"},
                                           {"Other_Letter", "Lo"},
                                           {"Nonspacing_Mark", "Mn"},
                                           {"Decimal_Number", "Nd"}};
    size_t                   end = snug_index(snug_sub(in->s, in->at, in->s.len), '}');
    if (end == SIZE_MAX) return refuse(in, "\\p{ without }");
    snug_slice name = snug_sub(in->s, in->at + 3, end - 3);
    bool not = name.len > 0 && name.ptr[0] == '^';
    const char *before = "";
    if (not ) name = snug_sub(name, 1, name.len);
    if (name.len > 2) before = "sc:";
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!snug_eq_nocase(name, snug_str(names[i][0]))) continue;
        name = snug_str(names[i][1]);
        before = "";
        break;
    }
    snug_buf_printf(out, "\\%c{%s%s%.*s}", peek(in, 1), not ? "^" : "", before, SNUG_SLICE(name));
    in->at += end + 1;
    return SNUG_OK;
}

/* ---- escapes ----
 * *is_set: it stands for several characters, so it cannot begin or end a range. */

static snug_status put_escape(source *in, snug_buf *out, bool in_class, bool *is_set)
{
    static const struct {
        char        letter;
        const char *lone, *in_class;
    } sets[] = {{'s', "[" SPACE_SET "]", SPACE_SET},    {'S', "[^" SPACE_SET "]", "\\S"},
                {'w', "[" LONE_WORD_SET "]", WORD_SET}, {'W', "[^" LONE_WORD_SET "]", NULL},
                {'h', "[" HEX_SET "]", HEX_SET},        {'H', "[^" HEX_SET "]", NULL},
                {'b', AT_WORD_EDGE, "\\x08"},           {'B', "(?!" AT_WORD_EDGE ")", "B"}};
    int c = peek(in, 1);
    *is_set = false;
    if (c < 0) return refuse(in, "ends in a backslash");
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        if (c != sets[i].letter) continue;
        SNUG_ASSERT(!in_class || sets[i].in_class != NULL); /* put_item sees to those */
        snug_buf_puts(out, in_class ? sets[i].in_class : sets[i].lone);
        *is_set = true;
        in->at += 2;
        return SNUG_OK;
    }
    if (c == 'u') {
        for (size_t i = 2; i < 6; i++) {
            if (!is_hex(peek(in, i))) return refuse(in, "\\u wants four hexadecimal digits");
        }
        snug_buf_printf(out, "\\x{%.4s}", in->s.ptr + in->at + 2);
        in->at += 6;
        return SNUG_OK;
    }
    if (c == 'v') {
        snug_buf_puts(out, "\\x0b");
        in->at += 2;
        return SNUG_OK;
    }
    *is_set = c == 'd' || c == 'D' || c == 'p' || c == 'P';
    if (*is_set && peek(in, 2) == '{' && (c == 'p' || c == 'P')) return put_property(in, out);
    bool braces = c == 'x' && peek(in, 2) == '{';
    snug_buf_putc(out, '\\');
    in->at++;
    copy_char(in, out);
    while (braces && in->at < in->s.len) { /* \x{...} */
        bool end = peek(in, 0) == '}';
        copy_char(in, out);
        if (end) break;
    }
    if (c == 'x' && !braces) {
        for (int i = 0; i < 2 && is_hex(peek(in, 0)); i++) copy_char(in, out);
    }
    return SNUG_OK;
}

/* ---- character classes ---- */

typedef struct class_parts {
    snug_buf plain; /* items that may stand between brackets */
    snug_buf other; /* alternatives, joined by '|' */
} class_parts;

static snug_status put_class(source *in, snug_buf *out, unsigned depth, snug_buf *flat);

/* The operand gathered so far, as an expression for one character; then forgets it. */
static void close_operand(class_parts *p, snug_buf *out)
{
    if (p->other.len == 0) {
        snug_buf_putc(out, '[');
        snug_buf_put_slice(out, snug_buf_slice(&p->plain));
        snug_buf_putc(out, ']');
    } else {
        snug_buf_puts(out, "(?:");
        if (p->plain.len > 0) {
            snug_buf_putc(out, '[');
            snug_buf_put_slice(out, snug_buf_slice(&p->plain));
            snug_buf_puts(out, "]|");
        }
        snug_buf_put_slice(out, snug_buf_slice(&p->other));
        snug_buf_putc(out, ')');
    }
    snug_buf_clear(&p->plain);
    snug_buf_clear(&p->other);
}

/* A literal of the class, made safe wherever it ends up. */
static void put_literal(source *in, snug_buf *out)
{
    int c = peek(in, 0);
    if (c == '^' || c == '-' || c == ']' || c == '[') snug_buf_putc(out, '\\');
    copy_char(in, out);
}

/* [:alpha:] and its kin, by the Unicode properties they stand for. */
static snug_status put_posix(source *in, snug_buf *out)
{
    static const char *const names[][2] = {{"alpha", "\\p{Alphabetic}"},
                                           {"digit", "\\p{Nd}"},
                                           {"alnum", "\\p{Alphabetic}\\p{Nd}"},
                                           {"upper", "\\p{Uppercase}"},
                                           {"lower", "\\p{Lowercase}"},
                                           {"space", SPACE_SET},
                                           {"punct", "\\p{P}\\p{S}"},
                                           {"word", WORD_SET},
                                           {"xdigit", HEX_SET},
                                           {"cntrl", "\\p{Cc}"},
                                           {"blank", "\\p{Zs}\\t"}};
    size_t                   end = snug_find(snug_sub(in->s, in->at, in->s.len), SNUG_LIT(":]"));
    if (end == SIZE_MAX) return refuse(in, "[: without :]");
    snug_slice name = snug_sub(in->s, in->at + 2, end - 2);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!snug_eq_str(name, names[i][0])) continue;
        snug_buf_puts(out, names[i][1]);
        in->at += end + 2;
        return SNUG_OK;
    }
    return refuse(in, "this [:name:] is not known to this build");
}

static snug_status put_item(source *in, class_parts *p, unsigned depth)
{
    snug_status st = SNUG_OK;
    bool        is_set = false;
    if (peek(in, 0) == '[' && peek(in, 1) == ':') return put_posix(in, &p->plain);
    if (peek(in, 0) == '[') {
        SNUG_AUTO(snug_buf) inner = snug_buf_init(OUT_MAX);
        st = put_class(in, &inner, depth + 1, &p->plain);
        if (st != SNUG_OK || inner.len == 0) return st;
        if (p->other.len > 0) snug_buf_putc(&p->other, '|');
        snug_buf_put_slice(&p->other, snug_buf_slice(&inner));
        return SNUG_OK;
    }
    if (peek(in, 0) == '\\' && (peek(in, 1) == 'W' || peek(in, 1) == 'H')) {
        if (p->other.len > 0) snug_buf_putc(&p->other, '|');
        snug_buf_puts(&p->other, peek(in, 1) == 'W' ? "[^" WORD_SET "]" : "[^" HEX_SET "]");
        in->at += 2;
        return SNUG_OK;
    }
    if (peek(in, 0) == '\\')
        st = put_escape(in, &p->plain, true, &is_set);
    else
        put_literal(in, &p->plain);
    if (st != SNUG_OK || is_set) return st;
    int after = peek(in, 1);
    if (peek(in, 0) != '-' || after < 0 || after == ']' || after == '[' ||
        (after == '&' && peek(in, 2) == '&'))
        return st;
    if (after == '\\' && peek(in, 2) >= 0 && strchr("sSwWhHdDpP", peek(in, 2)) != NULL) return st;
    in->at++;
    snug_buf_putc(&p->plain, '-');
    if (after == '\\') return put_escape(in, &p->plain, true, &is_set);
    put_literal(in, &p->plain);
    return st;
}

/* Reads a class at '['. One that is only a set of plain items goes into *flat, when given and not
 * negated; otherwise *out gets an expression. */
static snug_status put_class(source *in, snug_buf *out, unsigned depth, snug_buf *flat)
{
    class_parts p = {snug_buf_init(OUT_MAX), snug_buf_init(OUT_MAX)};
    SNUG_AUTO(snug_buf) operands = snug_buf_init(OUT_MAX); /* all but the last, as look-aheads */
    snug_status st = SNUG_OK;
    bool        negated = peek(in, 1) == '^', first = true;
    if (depth > CLASS_NEST_MAX) SNUG_TRY(refuse(in, "[] nested too deep"));
    in->at += negated ? 2 : 1;
    for (;; first = false) {
        int c = peek(in, 0);
        if (c < 0) SNUG_TRY(refuse(in, "[ without ]"));
        if (c == ']' && !first) break;
        if (c == '&' && peek(in, 1) == '&') {
            in->at += 2;
            if (p.plain.len + p.other.len == 0) continue;
            snug_buf_puts(&operands, "(?=");
            close_operand(&p, &operands);
            snug_buf_putc(&operands, ')');
            continue;
        }
        SNUG_TRY(put_item(in, &p, depth));
    }
    in->at++;
    if (p.plain.len + p.other.len == 0) SNUG_TRY(refuse(in, "empty []"));
    if (operands.len == 0 && p.other.len == 0 && !negated && flat != NULL) {
        snug_buf_put_slice(flat, snug_buf_slice(&p.plain));
    } else if (operands.len == 0 && p.other.len == 0) {
        snug_buf_printf(out, "[%s%.*s]", negated ? "^" : "", SNUG_SLICE(snug_buf_slice(&p.plain)));
    } else {
        snug_buf_puts(out, negated ? "(?:(?!" : "(?:");
        snug_buf_put_slice(out, snug_buf_slice(&operands));
        close_operand(&p, out);
        snug_buf_puts(out, negated ? ")(?s:.))" : ")");
    }
done:
    snug_buf_deinit(&p.plain);
    snug_buf_deinit(&p.other);
    return st;
}

/* ---- the rest ---- */

typedef struct nesting {
    size_t   starts[GROUPS_MAX]; /* in out: where each open group begins */
    unsigned depth;
    size_t   atom; /* in out: where the last atom begins */
} nesting;

static snug_status open_group(source *in, snug_buf *out, nesting *n)
{
    if (n->depth == GROUPS_MAX) return refuse(in, "groups nested too deep");
    n->starts[n->depth++] = out->len;
    copy_char(in, out);
    if (peek(in, 0) != '?') return SNUG_OK;
    copy_char(in, out);
    /* options up to ':' or ')': Ruby's m is dot-all */
    size_t i = 0;
    while (peek(in, i) == '-' || peek(in, i) == 'i' || peek(in, i) == 'm' || peek(in, i) == 'x')
        i++;
    if (i == 0 || (peek(in, i) != ':' && peek(in, i) != ')')) return SNUG_OK;
    for (; i > 0; i--, in->at++) snug_buf_putc(out, peek(in, 0) == 'm' ? 's' : (char)peek(in, 0));
    return SNUG_OK;
}

/* {n}, {n,}, {,m}, {n,m}; false: a brace that stands for itself. */
static bool put_interval(source *in, snug_buf *out, const nesting *n)
{
    size_t i = 1;
    while (is_digit(peek(in, i))) i++;
    bool low = i > 1;
    bool comma = peek(in, i) == ',';
    if (comma) i++;
    size_t high_at = i;
    while (is_digit(peek(in, i))) i++;
    if (peek(in, i) != '}' || (!low && i == high_at)) return false;
    bool again = peek(in, i + 1) == '+';
    if (again && out->len + 3 <= out->max && snug_buf_reserve(out, 3)) {
        memmove(out->ptr + n->atom + 3, out->ptr + n->atom, out->len - n->atom);
        memcpy(out->ptr + n->atom, "(?:", 3);
        out->len += 3;
    }
    snug_buf_putc(out, '{');
    in->at++;
    if (!low) snug_buf_putc(out, '0');
    while (i-- > 1) copy_char(in, out);
    copy_char(in, out); /* the brace */
    if (again) snug_buf_putc(out, ')');
    return true;
}

snug_status tok_regex_translate(snug_slice onig, snug_buf *out, snug_err *err)
{
    source      in = {onig, 0, err};
    nesting     n = {.depth = 0};
    snug_status st = SNUG_OK;
    bool        is_set;
    if (!snug_utf8_valid(onig))
        return snug_fail(err, SNUG_EINVAL, "a pattern that is not valid UTF-8");
    while (st == SNUG_OK && in.at < onig.len && !out->full) {
        int c = peek(&in, 0);
        if (c == '{' && put_interval(&in, out, &n)) continue;
        if (c == '+' || c == '*' || c == '?' || c == '|') {
            copy_char(&in, out);
            continue;
        }
        n.atom = out->len;
        if (c == '\\')
            st = put_escape(&in, out, false, &is_set);
        else if (c == '[')
            st = put_class(&in, out, 0, NULL);
        else if (c == '(')
            st = open_group(&in, out, &n);
        else if (c == ')' && n.depth > 0) {
            n.atom = n.starts[--n.depth];
            copy_char(&in, out);
        } else {
            copy_char(&in, out);
        }
    }
    return st;
}
