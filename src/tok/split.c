/* SPDX-License-Identifier: Apache-2.0 */
/* tok/split.c - the splitters of the well-known families, without a regex engine.
 *
 * For:     regex.c (a pattern whose text is one of these), pre.c (ByteLevel).
 * Threads: pure functions over constant tables.
 * Truth:   the same pieces as the pattern gives PCRE2; test_regex.c holds them side by side.
 *
 * The patterns are one idea with variations. At every place, in this order:
 *
 *   's 't 're 've 'm 'll 'd     a contraction; in any case for those after GPT-2
 *   lead? letters               GPT-2: one space may lead; later: anything but line ends and digits
 *   digits                      any number, up to three, or one
 *   " "? others tail            neither space, letter nor digit; line ends may follow
 *   spaces up to a line end     not in GPT-2; the last line end of the run
 *   spaces not before a word    all but the last of a run, or all of it at the end
 *   spaces
 *
 * o200k cuts where the case changes, DeepSeek's counts marks as letters and leaves alone what is
 * neither. Its other two patterns are runs of one class. */
#include <utf8proc.h>

#include "tok/tok_int.h"

enum { /* classes of code points; one bit each but for line ends, which are spaces too */
       UPPER = 1,
       LOWER = 2,
       OTHER_CASE = 4, /* letters without case */
       MARK = 8,
       DIGIT = 16,
       SIGN = 32, /* punctuation and symbols */
       SPACE = 64,
       LINE_END = 128,
       LETTER = UPPER | LOWER | OTHER_CASE
};

typedef enum word_rule { WORD_GPT2, WORD_ANY_LEAD, WORD_CASED, WORD_DEEPSEEK } word_rule;

struct tok_split {
    const char *pattern;
    word_rule   word;
    unsigned    digits_max; /* in one piece; 0: any */
    bool        contractions, slash_tail;
    unsigned    class_run; /* not 0: the pattern is a run of this ... */
    bool        kana;      /* ... or of kana and common Chinese characters */
};

#define GPT2_WORDS " ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define SHORT "'s|'t|'re|'ve|'m|'ll|'d"
#define LINES "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define LATER(digits)                                                                              \
    "(?i:" SHORT ")|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*" LINES
#define LEAD "[^\\r\\n\\p{L}\\p{N}]?"
#define UPPERS "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWERS "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CASED(short_, digits)                                                                      \
    LEAD UPPERS "*" LOWERS "+" short_ "|" LEAD UPPERS "+" LOWERS "*" short_ "|" digits             \
                "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*" LINES

const char tok_gpt2_regex[] = SHORT "|" GPT2_WORDS;
const char tok_llama3_regex[] = LATER("\\p{N}{1,3}");
const char tok_qwen2_regex[] = LATER("\\p{N}");
const char tok_o200k_regex[] = CASED("(?i:" SHORT ")?", "\\p{N}{1,3}");

static const tok_split splits[] = {
    {.pattern = tok_gpt2_regex, .word = WORD_GPT2, .contractions = true},
    {.pattern = tok_llama3_regex, .word = WORD_ANY_LEAD, .digits_max = 3, .contractions = true},
    {.pattern = tok_qwen2_regex, .word = WORD_ANY_LEAD, .digits_max = 1, .contractions = true},
    {.pattern = "(?i:" SHORT ")|" LEAD "+\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*"
                "|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+",
     .word = WORD_ANY_LEAD,
     .digits_max = 3,
     .contractions = true},
    {.pattern = tok_o200k_regex,
     .word = WORD_CASED,
     .digits_max = 3,
     .contractions = true,
     .slash_tail = true},
    {.pattern = CASED("", "\\p{N}"), .word = WORD_CASED, .digits_max = 1, .slash_tail = true},
    {.pattern = "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|"
                "[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*" LINES,
     .word = WORD_DEEPSEEK},
    {.pattern = "\\p{N}{1,3}", .class_run = DIGIT, .digits_max = 3},
    {.pattern = "\\p{N}", .class_run = DIGIT, .digits_max = 1},
    {.pattern = "[\xe4\xb8\x80-\xe9\xbe\xa5\xe3\x81\x80-\xe3\x82\x9f\xe3\x82\xa0-\xe3\x83\xbf]+",
     .class_run = OTHER_CASE,
     .kana = true},
    {.pattern = "\\s+", .class_run = SPACE},
};

const tok_split *tok_split_find(snug_slice pattern)
{
    for (size_t i = 0; i < sizeof splits / sizeof splits[0]; i++) {
        if (snug_eq_str(pattern, splits[i].pattern)) return &splits[i];
    }
    return NULL;
}

/* ---- classes ---- */

static unsigned class_beyond_ascii(uint32_t cp)
{
    static const uint8_t classes[] = {
        [UTF8PROC_CATEGORY_LU] = UPPER,      [UTF8PROC_CATEGORY_LL] = LOWER,
        [UTF8PROC_CATEGORY_LT] = UPPER,      [UTF8PROC_CATEGORY_LM] = OTHER_CASE,
        [UTF8PROC_CATEGORY_LO] = OTHER_CASE, [UTF8PROC_CATEGORY_MN] = MARK,
        [UTF8PROC_CATEGORY_MC] = MARK,       [UTF8PROC_CATEGORY_ME] = MARK,
        [UTF8PROC_CATEGORY_ND] = DIGIT,      [UTF8PROC_CATEGORY_NL] = DIGIT,
        [UTF8PROC_CATEGORY_NO] = DIGIT,      [UTF8PROC_CATEGORY_PC] = SIGN,
        [UTF8PROC_CATEGORY_PD] = SIGN,       [UTF8PROC_CATEGORY_PS] = SIGN,
        [UTF8PROC_CATEGORY_PE] = SIGN,       [UTF8PROC_CATEGORY_PI] = SIGN,
        [UTF8PROC_CATEGORY_PF] = SIGN,       [UTF8PROC_CATEGORY_PO] = SIGN,
        [UTF8PROC_CATEGORY_SM] = SIGN,       [UTF8PROC_CATEGORY_SC] = SIGN,
        [UTF8PROC_CATEGORY_SK] = SIGN,       [UTF8PROC_CATEGORY_SO] = SIGN,
        [UTF8PROC_CATEGORY_ZS] = SPACE,      [UTF8PROC_CATEGORY_ZL] = SPACE,
        [UTF8PROC_CATEGORY_ZP] = SPACE,      [UTF8PROC_CATEGORY_CO] = 0};
    if (cp >= 0x4e00 && cp <= 0x9fff) return OTHER_CASE; /* the common case, and all assigned */
    if (cp == 0x85) return SPACE;
    return classes[utf8proc_category((utf8proc_int32_t)cp)];
}

#define L LOWER
#define U UPPER
#define D DIGIT
#define S SIGN
#define W SPACE
static const uint8_t ascii_classes[128] = {0,
                                           0,
                                           0,
                                           0,
                                           0,
                                           0,
                                           0,
                                           0,
                                           0,
                                           W,
                                           W | LINE_END,
                                           W,
                                           W,
                                           W | LINE_END,
                                           0,
                                           0, /* controls */
                                           0,
                                           0,
                                           0,
                                           0,
                                           0,
                                           0,
                                           0,
                                           0,
                                           0,
                                           0,
                                           0,
                                           0,
                                           0,
                                           0,
                                           0,
                                           0, /* 0x10 */
                                           W,
                                           S,
                                           S,
                                           S,
                                           S,
                                           S,
                                           S,
                                           S,
                                           S,
                                           S,
                                           S,
                                           S,
                                           S,
                                           S,
                                           S,
                                           S, /* space to / */
                                           D,
                                           D,
                                           D,
                                           D,
                                           D,
                                           D,
                                           D,
                                           D,
                                           D,
                                           D,
                                           S,
                                           S,
                                           S,
                                           S,
                                           S,
                                           S, /* 0 to ? */
                                           S,
                                           U,
                                           U,
                                           U,
                                           U,
                                           U,
                                           U,
                                           U,
                                           U,
                                           U,
                                           U,
                                           U,
                                           U,
                                           U,
                                           U,
                                           U, /* @ to O */
                                           U,
                                           U,
                                           U,
                                           U,
                                           U,
                                           U,
                                           U,
                                           U,
                                           U,
                                           U,
                                           U,
                                           S,
                                           S,
                                           S,
                                           S,
                                           S, /* P to _ */
                                           S,
                                           L,
                                           L,
                                           L,
                                           L,
                                           L,
                                           L,
                                           L,
                                           L,
                                           L,
                                           L,
                                           L,
                                           L,
                                           L,
                                           L,
                                           L, /* ` to o */
                                           L,
                                           L,
                                           L,
                                           L,
                                           L,
                                           L,
                                           L,
                                           L,
                                           L,
                                           L,
                                           L,
                                           S,
                                           S,
                                           S,
                                           S,
                                           0}; /* p to DEL */
#undef L
#undef U
#undef D
#undef S
#undef W

static inline unsigned class_at(const char *p, unsigned *size)
{
    unsigned char c = (unsigned char)*p;
    if (c < 0x80) {
        *size = 1;
        return ascii_classes[c];
    }
    *size = tok_utf8_len(c);
    return class_beyond_ascii(tok_cp(p));
}

/* End of the run of characters that are in `want`; of those that are not. */
static size_t run_in(unsigned want, const char *text, size_t len, size_t at)
{
    unsigned size;
    while (at < len && (class_at(text + at, &size) & want) != 0) at += size;
    return at;
}

static size_t run_out(unsigned want, const char *text, size_t len, size_t at)
{
    unsigned size;
    while (at < len && (class_at(text + at, &size) & want) == 0) at += size;
    return at;
}

/* ---- parts of a pattern; each gives where its match ends, `at` when there is none ---- */

static size_t contraction(const char *text, size_t len, size_t at, bool any_case)
{
    const char *p = text + at;
    size_t      n = len - at;
    char        fold = any_case ? 0x20 : 0;
    if (n < 2 || *p != '\'') return at;
    char a = (char)(p[1] | fold), b = (char)(n > 2 ? p[2] | fold : 0);
    if (n > 2 && ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')))
        return at + 3;
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return at + 2;
    if (any_case && n > 2 && memcmp(p + 1, "\xc5\xbf", 2) == 0) return at + 3; /* long s */
    return at;
}

static size_t digits(unsigned max, const char *text, size_t len, size_t at)
{
    unsigned size;
    for (unsigned n = 0; at < len && (max == 0 || n < max); n++) {
        if ((class_at(text + at, &size) & DIGIT) == 0) break;
        at += size;
    }
    return at;
}

static bool is_tail(char c, bool slash) { return c == '\r' || c == '\n' || (slash && c == '/'); }

static size_t others(const tok_split *s, unsigned c, const char *text, size_t len, size_t at)
{
    size_t from = text[at] == ' ' ? at + 1 : at, end;
    if (from != at || (c & (SPACE | LETTER | DIGIT)) == 0) {
        end = run_out(SPACE | LETTER | DIGIT, text, len, from);
        if (end == from) return at;
        while (s->word != WORD_GPT2 && end < len && is_tail(text[end], s->slash_tail)) end++;
        return end;
    }
    return at;
}

static size_t signs(const char *text, size_t len, size_t at)
{
    size_t from = text[at] == ' ' ? at + 1 : at, end = run_in(SIGN, text, len, from);
    if (end == from) return at;
    while (end < len && is_tail(text[end], false)) end++;
    return end;
}

/* A run of spaces: up to its last line end if that counts and there is one; else all but the last
 * space before a word. */
static size_t spaces(bool lines, const char *text, size_t len, size_t at)
{
    size_t   end = at, last = at, line = at;
    unsigned size, c;
    while (end < len && ((c = class_at(text + end, &size)) & SPACE) != 0) {
        last = end;
        end += size;
        if ((c & LINE_END) != 0) line = end;
    }
    if (lines && line > at) return line;
    return end == len || last == at ? end : last;
}

/* Capitals and then small letters; letters without case and marks may be either. Without a small
 * one the capitals go back to the last that may be one. */
static size_t cased(const char *text, size_t len, size_t at)
{
    size_t   end = at, either = at;
    unsigned size, c = 0;
    while (end < len && ((c = class_at(text + end, &size)) & (UPPER | OTHER_CASE | MARK)) != 0) {
        end += size;
        if ((c & UPPER) == 0) either = end;
    }
    if (end < len && (c & LOWER) != 0) return run_in(LOWER | OTHER_CASE | MARK, text, len, end);
    return either;
}

static size_t cased_word(const tok_split *s, unsigned c, unsigned size, const char *text,
                         size_t len, size_t at)
{
    size_t from = (c & (LETTER | DIGIT | LINE_END)) == 0 ? at + size : at;
    size_t start = from, end = from < len ? cased(text, len, from) : from;
    if (end == start && from != at) end = cased(text, len, start = at);
    if (end == start) { /* capitals alone */
        end = run_in(UPPER | OTHER_CASE | MARK, text, len, start = from);
        if (end == start) return at;
    }
    return s->contractions ? contraction(text, len, end, true) : end;
}

static size_t deepseek_word(unsigned c, unsigned size, const char *text, size_t len, size_t at)
{
    size_t end = at + 1;
    if (c == SIGN && size == 1) {
        while (end < len && (text[end] | 0x20) >= 'a' && (text[end] | 0x20) <= 'z') end++;
        if (end > at + 1) return end;
    }
    if ((c & (LETTER | SIGN | LINE_END)) == 0) {
        end = run_in(LETTER | MARK, text, len, at + size);
        if (end > at + size) return end;
    }
    return run_in(LETTER | MARK, text, len, at);
}

static size_t word(const tok_split *s, unsigned c, unsigned size, const char *text, size_t len,
                   size_t at)
{
    size_t from;
    switch (s->word) {
    case WORD_GPT2:
        from = text[at] == ' ' ? at + 1 : at;
        size_t end = run_in(LETTER, text, len, from);
        if (end > from) return end;
        end = digits(0, text, len, from);
        return end > from ? end : at;
    case WORD_ANY_LEAD:
        from = (c & (LETTER | DIGIT | LINE_END)) == 0 ? at + size : at;
        end = run_in(LETTER, text, len, from);
        return end > from ? end : at;
    case WORD_CASED: return cased_word(s, c, size, text, len, at);
    default: return deepseek_word(c, size, text, len, at);
    }
}

static bool in_class_run(const tok_split *s, const char *text, unsigned *size)
{
    if (!s->kana) return (class_at(text, size) & s->class_run) != 0;
    uint32_t cp = tok_cp(text);
    *size = tok_utf8_len((unsigned char)*text);
    return (cp >= 0x4e00 && cp <= 0x9fa5) || (cp >= 0x3040 && cp <= 0x30ff);
}

static size_t class_run(const tok_split *s, const char *text, size_t len, size_t at)
{
    unsigned size;
    for (unsigned n = 0; at < len && (s->digits_max == 0 || n < s->digits_max); n++) {
        if (!in_class_run(s, text + at, &size)) break;
        at += size;
    }
    return at;
}

static size_t match(const tok_split *s, const char *text, size_t len, size_t at)
{
    unsigned size, c = class_at(text + at, &size);
    size_t   end = at;
    if (s->class_run != 0) return class_run(s, text, len, at);
    if (text[at] == '\'' && s->contractions && s->word != WORD_CASED) {
        end = contraction(text, len, at, s->word != WORD_GPT2);
        if (end > at) return end;
    }
    end = word(s, c, size, text, len, at);
    if (end > at) return end;
    if (s->word == WORD_DEEPSEEK) {
        end = signs(text, len, at);
    } else {
        end = digits(s->digits_max, text, len, at);
        if (end == at) end = others(s, c, text, len, at);
    }
    if (end > at || (c & SPACE) == 0) return end;
    return spaces(s->word != WORD_GPT2, text, len, at);
}

size_t tok_split_next(const tok_split *s, const char *text, size_t len, size_t at, bool *hit)
{
    size_t end = match(s, text, len, at);
    *hit = end > at;
    if (*hit) return end;
    do { /* no match starts here: up to where one does */
        at += tok_utf8_len((unsigned char)text[at]);
    } while (at < len && match(s, text, len, at) == at);
    return at;
}

size_t tok_gpt2_next(const char *text, size_t len, size_t at)
{
    return match(&splits[0], text, len, at);
}
