/* SPDX-License-Identifier: Apache-2.0 */
/* jinja/lex.c - template text to tokens, white space control included.
 *
 * For:     parse.c, one token at a time.
 * Owns:    the cursor; texts of tokens point into the arena's copy of the source.
 * Truth:   one pass; no character is looked at more than a fixed number of times.
 *
 *     ROOT --"{{"--> PRINT --"}}"--> ROOT        an end delimiter counts only while no bracket is
 * open
 *          --"{%"--> TAG   --"%}"--> ROOT
 *          --"{#"... "#}" and {% raw %}...{% endraw %} are done with inside ROOT */
#include "jinja/jinja_int.h"

enum { STATE_ROOT, STATE_PRINT, STATE_TAG };

snug_status jinja_syntax(snug_err *err, snug_slice name, uint32_t line, const char *fmt, ...)
{
    char    msg[SNUG_ERR_MSG_MAX];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    if (name.len > 80) name.len = 80;
    if (name.len == 0)
        return snug_fail_code(err, SNUG_EINVAL, "TemplateSyntax", "template line %" PRIu32 ": %s",
                              line, msg);
    return snug_fail_code(err, SNUG_EINVAL, "TemplateSyntax", "template %.*s line %" PRIu32 ": %s",
                          SNUG_SLICE(name), line, msg);
}

/* ---- the source ---- */

/* \r\n and \r become \n; one newline at the end goes unless it is wanted. */
snug_status jinja_lex_init(jinja_lexer *lx, snug_arena *a, snug_slice text, const jinja_opts *o,
                           snug_slice name, snug_err *err)
{
    char  *copy;
    size_t n = 0;
    *lx = (jinja_lexer){.arena = a, .name = name, .err = err, .line = 1};
    if (text.len > JINJA_SOURCE_MAX)
        return snug_fail(err, SNUG_ELIMIT, "a template of %zu bytes; the limit is %d", text.len,
                         JINJA_SOURCE_MAX);
    if (!snug_utf8_valid(text)) return jinja_syntax(err, name, 1, "the text is not UTF-8");
    copy = snug_arena_alloc_try(a, text.len + 1);
    if (copy == NULL) return snug_fail(err, SNUG_ENOMEM, "no memory for a template");
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '\r') {
            if (i + 1 < text.len && text.ptr[i + 1] == '\n') i++;
            c = '\n';
        }
        copy[n++] = c;
    }
    if (!o->keep_trailing_newline && n > 0 && copy[n - 1] == '\n') n--;
    copy[n] = '\0';
    lx->src = (snug_slice){copy, n};
    lx->trim = o->trim_blocks;
    lx->lstrip = o->lstrip_blocks;
    return SNUG_OK;
}

static bool at_text(const jinja_lexer *lx, size_t at, const char *word)
{
    size_t n = strlen(word);
    return lx->src.len - at >= n && memcmp(lx->src.ptr + at, word, n) == 0;
}

static size_t skip_space(const jinja_lexer *lx, size_t at)
{
    while (at < lx->src.len) {
        size_t next = at;
        if (!jinja_is_space(jinja_utf8_at(lx->src, &next))) break;
        at = next;
    }
    return at;
}

/* Moves the cursor and counts the lines it passes. */
static void move_to(jinja_lexer *lx, size_t at)
{
    for (const char *p = lx->src.ptr + lx->at, *end = lx->src.ptr + at;
         p < end && (p = memchr(p, '\n', (size_t)(end - p))) != NULL; p++)
        lx->line++;
    lx->at = at;
}

/* ---- ROOT ---- */

/* The first "{{", "{%" or "{#" at or behind `at`; the end when there is none. */
static size_t find_begin(const jinja_lexer *lx, size_t at)
{
    while (at + 1 < lx->src.len) {
        const char *p = memchr(lx->src.ptr + at, '{', lx->src.len - at - 1);
        if (p == NULL) break;
        if (p[1] == '{' || p[1] == '%' || p[1] == '#') return (size_t)(p - lx->src.ptr);
        at = (size_t)(p - lx->src.ptr) + 1;
    }
    return lx->src.len;
}

/* Behind "%}" or "#}" and what it swallows, when one stands at `at`, with its sign; else 0. */
static size_t match_end(const jinja_lexer *lx, size_t at, const char *end, bool trims)
{
    char sign = at < lx->src.len ? lx->src.ptr[at] : '\0';
    if (sign == '-' && at_text(lx, at + 1, end)) return skip_space(lx, at + 3);
    if (sign == '+' && trims && at_text(lx, at + 1, end)) return at + 3;
    if (!at_text(lx, at, end)) return 0;
    at += 2;
    return trims && lx->trim && at_text(lx, at, "\n") ? at + 1 : at;
}

/* "{%- word %}" at `at`: the place behind it, else 0. */
static size_t match_word_tag(const jinja_lexer *lx, size_t at, const char *word, bool trims)
{
    at += 2;
    if (at_text(lx, at, "-") || at_text(lx, at, "+")) at++;
    at = skip_space(lx, at);
    if (!at_text(lx, at, word)) return 0;
    at = skip_space(lx, at + strlen(word));
    return match_end(lx, at, "%}", trims);
}

/* The text before a tag at `to`, without the white space the tag takes. */
static snug_slice text_before(const jinja_lexer *lx, size_t from, size_t to, bool is_print)
{
    snug_slice text = {lx->src.ptr + from, to - from};
    char       sign = to + 2 < lx->src.len ? lx->src.ptr[to + 2] : '\0';
    if (sign == '-') return jinja_strip(text, NULL, false, true);
    if (sign == '+' || !lx->lstrip || is_print) return text;
    size_t line = snug_rindex(text, '\n');
    line = line == SIZE_MAX ? 0 : line + 1;
    if (line == 0 && from > 0 && lx->src.ptr[from - 1] != '\n') return text;
    if (jinja_strip(snug_sub(text, line, SIZE_MAX), NULL, true, false).len == 0) text.len = line;
    return text;
}

static snug_status skip_comment(jinja_lexer *lx)
{
    size_t at = lx->at + 2;
    if (at_text(lx, at, "-") || at_text(lx, at, "+")) at++;
    if (at == lx->src.len) { /* "{#" as the last characters: Jinja has nothing to complain about */
        move_to(lx, at);
        return SNUG_OK;
    }
    for (; at < lx->src.len; at++) {
        char   c = lx->src.ptr[at];
        size_t end = c == '-' || c == '+' || c == '#' ? match_end(lx, at, "#}", true) : 0;
        if (end != 0) {
            move_to(lx, end);
            return SNUG_OK;
        }
    }
    return jinja_syntax(lx->err, lx->name, lx->line, "the comment has no end");
}

/* At "{% raw %}", which ends at `body`: gives what is inside as data. */
static snug_status take_raw(jinja_lexer *lx, size_t body, jinja_tok *out)
{
    uint32_t began = lx->line;
    move_to(lx, body);
    if (body == lx->src.len) { /* as with "{#" */
        *out = (jinja_tok){.kind = TOK_EOF, .line = lx->line};
        return SNUG_OK;
    }
    for (size_t at = body; (at = find_begin(lx, at)) < lx->src.len; at++) {
        size_t end = lx->src.ptr[at + 1] == '%' ? match_word_tag(lx, at, "endraw", true) : 0;
        if (end == 0) continue;
        *out = (jinja_tok){
            .kind = TOK_DATA, .line = lx->line, .text = text_before(lx, body, at, false)};
        move_to(lx, end);
        return SNUG_OK;
    }
    return jinja_syntax(lx->err, lx->name, began, "{%% raw %%} has no {%% endraw %%}");
}

static snug_status next_root(jinja_lexer *lx, jinja_tok *out)
{
    for (;;) {
        size_t from = lx->at, at = find_begin(lx, from);
        *out = (jinja_tok){.kind = TOK_DATA, .line = lx->line};
        if (at == lx->src.len) {
            out->text = snug_sub(lx->src, from, SIZE_MAX);
            if (out->text.len == 0) out->kind = TOK_EOF;
            move_to(lx, at);
            return SNUG_OK;
        }
        char which = lx->src.ptr[at + 1];
        out->text = text_before(lx, from, at, which == '{');
        size_t raw = which == '%' ? match_word_tag(lx, at, "raw", false) : 0;
        move_to(lx, at);
        /* What stands before a comment or raw block is given first, the cursor left at the tag. */
        if ((which == '#' || raw != 0) && out->text.len > 0) return SNUG_OK;
        if (which == '#') {
            JINJA_TRY(skip_comment(lx));
            continue;
        }
        if (raw != 0) return take_raw(lx, raw, out);
        bool sign = at_text(lx, at + 2, "-") || at_text(lx, at + 2, "+");
        lx->at = at + (sign ? 3 : 2);
        lx->state = which == '{' ? STATE_PRINT : STATE_TAG;
        lx->open_count = 0;
        jinja_tok_kind kind = which == '{' ? TOK_PRINT_BEGIN : TOK_TAG_BEGIN;
        if (out->text.len == 0) {
            *out = (jinja_tok){.kind = kind, .line = lx->line};
            return SNUG_OK;
        }
        lx->pending = (uint8_t)kind;
        return SNUG_OK;
    }
}

/* ---- inside a tag: numbers ---- */

static bool is_digit(char c, int base)
{
    if (base == 16) return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
    return c >= '0' && c < '0' + (base > 10 ? 10 : base);
}

static char char_at(const jinja_lexer *lx, size_t at)
{
    return at < lx->src.len ? lx->src.ptr[at] : '\0';
}

/* Digits with single underscores between them; a leading one only after a base prefix. */
static size_t skip_digits(const jinja_lexer *lx, size_t at, int base, bool under_first)
{
    size_t from = at;
    while (at < lx->src.len) {
        if (is_digit(lx->src.ptr[at], base))
            at++;
        else if (lx->src.ptr[at] == '_' && (at > from || under_first) &&
                 is_digit(char_at(lx, at + 1), base))
            at += 2;
        else
            break;
    }
    return at;
}

/* The end of a float at the cursor, or 0: digits with a fraction, an exponent or both. */
static size_t match_float(const jinja_lexer *lx)
{
    size_t at = lx->at, end, e;
    if (at > 0 && lx->src.ptr[at - 1] == '.') return 0;
    end = skip_digits(lx, at, 10, false);
    bool fraction = char_at(lx, end) == '.' && is_digit(char_at(lx, end + 1), 10);
    if (fraction) end = skip_digits(lx, end + 1, 10, false);
    if ((char_at(lx, end) | 0x20) == 'e') {
        e = end + 1;
        if (char_at(lx, e) == '+' || char_at(lx, e) == '-') e++;
        if (is_digit(char_at(lx, e), 10)) return skip_digits(lx, e, 10, false);
    }
    return fraction ? end : 0;
}

static size_t match_int(const jinja_lexer *lx, int *base)
{
    size_t at = lx->at;
    char   x = (char)(char_at(lx, at + 1) | 0x20);
    if (lx->src.ptr[at] != '0') {
        *base = 10;
        return skip_digits(lx, at, 10, false);
    }
    *base = x == 'b' ? 2 : x == 'o' ? 8 : x == 'x' ? 16 : 10;
    if (*base != 10) {
        size_t end = skip_digits(lx, at + 2, *base, true);
        if (end > at + 2) return end;
        *base = 10;
    }
    /* zeros only: "012" is 0 and then 12, which the parser refuses */
    size_t end = at + 1;
    while (char_at(lx, end) == '0' || (char_at(lx, end) == '_' && char_at(lx, end + 1) == '0'))
        end++;
    return end;
}

static snug_status take_number(jinja_lexer *lx, jinja_tok *out)
{
    int        base = 10;
    size_t     end = match_float(lx);
    jinja_wide w;
    double     d;
    bool       is_float = end != 0;
    if (!is_float) end = match_int(lx, &base);
    snug_slice text = snug_sub(lx->src, lx->at, end - lx->at);
    lx->at = end;
    out->kind = is_float ? TOK_FLOAT : TOK_INT;
    if (is_float) {
        if (!jinja_parse_float(text, &d))
            return jinja_syntax(lx->err, lx->name, lx->line, "bad number");
        out->value = jinja_float(d);
        return SNUG_OK;
    }
    if (!jinja_parse_int(text, base == 10 ? 10 : 0, &w) ||
        jinja_int_of_wide(NULL, w, &out->value) != SNUG_OK)
        return jinja_syntax(lx->err, lx->name, lx->line, "the integer %.*s is too large",
                            text.len > 40 ? 40 : (int)text.len, text.ptr);
    return SNUG_OK;
}

/* ---- inside a tag: strings ---- */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hex(snug_slice s, size_t at, size_t n, uint32_t *out)
{
    *out = 0;
    if (s.len - at < n) return false;
    for (size_t i = 0; i < n; i++) {
        int v = hex_value(s.ptr[at + i]);
        if (v < 0) return false;
        *out = *out << 4 | (uint32_t)v;
    }
    return true;
}

/* \x41 \u0041 \U00000041 with the cursor behind the letter. A surrogate pair becomes the character
 * it stands for; half of one U+FFFD, since strings here are always UTF-8. */
static bool take_hex_escape(snug_slice s, size_t *at, char letter, char *to, size_t *n)
{
    size_t   digits = letter == 'x' ? 2 : letter == 'u' ? 4 : 8;
    uint32_t cp, low;
    if (!read_hex(s, *at, digits, &cp) || cp > 0x10ffff) return false;
    *at += digits;
    if (cp >= 0xd800 && cp < 0xdc00 && s.len - *at >= 6 && s.ptr[*at] == '\\' &&
        s.ptr[*at + 1] == 'u' && read_hex(s, *at + 2, 4, &low) && low >= 0xdc00 && low < 0xe000) {
        cp = 0x10000 + ((cp - 0xd800) << 10) + (low - 0xdc00);
        *at += 6;
    } else if (cp >= 0xd800 && cp < 0xe000) {
        cp = 0xfffd;
    }
    *n += snug_utf8_put(cp, to + *n);
    return true;
}

/* One escape, the cursor at the character behind the backslash. Unknown ones stay as they are. */
static bool take_escape(snug_slice s, size_t *at, char *to, size_t *n)
{
    static const char from[] = "abfnrtv\\'\"", into[] = "\a\b\f\n\r\t\v\\'\"";
    char              c = s.ptr[(*at)++];
    const char       *known = c == '\0' ? NULL : strchr(from, c);
    if (known != NULL) {
        to[(*n)++] = into[known - from];
    } else if (c >= '0' && c <= '7') {
        uint32_t cp = (uint32_t)(c - '0');
        for (int i = 0; i < 2 && *at < s.len && s.ptr[*at] >= '0' && s.ptr[*at] <= '7'; i++)
            cp = cp * 8 + (uint32_t)(s.ptr[(*at)++] - '0');
        *n += snug_utf8_put(cp, to + *n);
    } else if (c == 'x' || c == 'u' || c == 'U') {
        return take_hex_escape(s, at, c, to, n);
    } else if (c == 'N') {
        return false; /* names of characters are not built in */
    } else if (c != '\n') {
        to[(*n)++] = '\\';
        to[(*n)++] = c;
    }
    return true;
}

static snug_status take_string(jinja_lexer *lx, jinja_tok *out)
{
    char   quote = lx->src.ptr[lx->at];
    size_t at = lx->at + 1;
    bool   plain = true;
    while (at < lx->src.len && lx->src.ptr[at] != quote) {
        if (lx->src.ptr[at] == '\\') {
            plain = false;
            at++;
        }
        at++;
    }
    if (at >= lx->src.len)
        return jinja_syntax(lx->err, lx->name, lx->line, "unexpected char %c", quote);
    snug_slice raw = snug_sub(lx->src, lx->at + 1, at - lx->at - 1);
    out->kind = TOK_STRING;
    out->text = raw;
    move_to(lx, at + 1);
    if (plain) return SNUG_OK;
    /* An escape never writes more bytes than it takes, but for \177 to \777: one more at most. */
    char  *to = snug_arena_alloc(lx->arena, raw.len + raw.len / 2 + 4);
    size_t n = 0;
    for (size_t i = 0; i < raw.len;) {
        char c = raw.ptr[i++];
        if (c != '\\' || i == raw.len)
            to[n++] = c;
        else if (!take_escape(raw, &i, to, &n))
            return jinja_syntax(lx->err, lx->name, out->line, "a string with a bad \\ escape");
    }
    out->text = (snug_slice){to, n};
    return SNUG_OK;
}

/* ---- inside a tag: names and operators ---- */

static snug_status take_name(jinja_lexer *lx, jinja_tok *out)
{
    size_t at = lx->at, next = at;
    while (next < lx->src.len && jinja_is_name_part(jinja_utf8_at(lx->src, &next))) at = next;
    out->kind = TOK_NAME;
    out->text = snug_sub(lx->src, lx->at, at - lx->at);
    lx->at = at;
    return SNUG_OK;
}

static snug_status track_bracket(jinja_lexer *lx, char c)
{
    char close = c == '(' ? ')' : c == '[' ? ']' : c == '{' ? '}' : '\0';
    if (close != '\0') {
        if (lx->open_count >= JINJA_NEST_MAX)
            return snug_fail(lx->err, SNUG_ELIMIT,
                             "template line %" PRIu32 ": more than %d brackets within each other",
                             lx->line, JINJA_NEST_MAX);
        lx->open[lx->open_count++] = close;
    } else if (c == ')' || c == ']' || c == '}') {
        if (lx->open_count == 0)
            return jinja_syntax(lx->err, lx->name, lx->line, "unexpected '%c'", c);
        if (lx->open[--lx->open_count] != c)
            return jinja_syntax(lx->err, lx->name, lx->line, "unexpected '%c', expected '%c'", c,
                                lx->open[lx->open_count]);
    }
    return SNUG_OK;
}

static snug_status take_op(jinja_lexer *lx, jinja_tok *out)
{
    static const char two[][3] = {"//", "**", "==", "!=", ">=", "<="};
    char              c = lx->src.ptr[lx->at];
    out->kind = TOK_OP;
    for (size_t i = 0; i < sizeof two / sizeof *two; i++) {
        if (at_text(lx, lx->at, two[i])) {
            out->op = JINJA_OP2(two[i][0], two[i][1]);
            lx->at += 2;
            return SNUG_OK;
        }
    }
    if (c == '\0' || strchr("+-/*%~[](){}><=.:|,;", c) == NULL) {
        size_t   at = lx->at;
        uint32_t cp = jinja_utf8_at(lx->src, &at);
        if (cp > 0x20 && cp < 0x7f)
            return jinja_syntax(lx->err, lx->name, lx->line, "unexpected char '%c'", (char)cp);
        return jinja_syntax(lx->err, lx->name, lx->line, "unexpected char U+%04" PRIX32, cp);
    }
    JINJA_TRY(track_bracket(lx, c));
    out->op = (unsigned char)c;
    lx->at++;
    return SNUG_OK;
}

static bool take_end(jinja_lexer *lx, jinja_tok *out)
{
    bool   tag = lx->state == STATE_TAG;
    size_t end = lx->open_count > 0 ? 0 : match_end(lx, lx->at, tag ? "%}" : "}}", tag);
    if (end == 0) return false;
    out->kind = tag ? TOK_TAG_END : TOK_PRINT_END;
    lx->state = STATE_ROOT;
    move_to(lx, end);
    return true;
}

snug_status jinja_lex_next(jinja_lexer *lx, jinja_tok *out)
{
    if (lx->pending == TOK_PRINT_BEGIN || lx->pending == TOK_TAG_BEGIN) {
        *out = (jinja_tok){.kind = (jinja_tok_kind)lx->pending, .line = lx->line};
        lx->pending = 0;
        return SNUG_OK;
    }
    if (lx->state == STATE_ROOT) return next_root(lx, out);
    *out = (jinja_tok){.line = lx->line};
    if (take_end(lx, out)) return SNUG_OK;
    move_to(lx, skip_space(lx, lx->at));
    *out = (jinja_tok){.line = lx->line};
    if (take_end(lx, out)) return SNUG_OK;
    if (lx->at >= lx->src.len) {
        out->kind = TOK_EOF;
        return SNUG_OK;
    }
    size_t   next = lx->at;
    uint32_t cp = jinja_utf8_at(lx->src, &next);
    if (cp >= '0' && cp <= '9') return take_number(lx, out);
    if (cp == '"' || cp == '\'') return take_string(lx, out);
    if (jinja_is_name_start(cp)) return take_name(lx, out);
    return take_op(lx, out);
}
