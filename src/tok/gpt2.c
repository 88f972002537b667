/* SPDX-License-Identifier: Apache-2.0 */
/* tok/gpt2.c - the splitter of GPT-2 and all byte-level BPE after it, without a regex engine.
 *
 * For:     pre.c (ByteLevel, and Split with the same pattern).
 * Threads: pure.
 *
 * The alternatives, tried in this order at every place:
 *   's 't 're 've 'm 'll 'd      a contraction
 *   " "? letters                 one space may lead
 *   " "? digits
 *   " "? others                  neither space, letter nor digit
 *   spaces not before a word     all but the last of a run, or all of it at the end
 *   spaces */
#include "tok/tok_int.h"

const char tok_gpt2_regex[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

typedef enum kind { SPACE, LETTER, DIGIT, OTHER } kind;

static kind kind_of(uint32_t cp)
{
    if (tok_is_letter(cp)) return LETTER;
    if (tok_is_space(cp)) return SPACE;
    return tok_is_number(cp) ? DIGIT : OTHER;
}

static size_t contraction(const char *p, size_t n)
{
    if (n >= 3 && ((p[1] == 'r' && p[2] == 'e') || (p[1] == 'v' && p[2] == 'e') ||
                   (p[1] == 'l' && p[2] == 'l'))) {
        return 3;
    }
    return n >= 2 && (p[1] == 's' || p[1] == 't' || p[1] == 'm' || p[1] == 'd') ? 2 : 0;
}

static size_t run_of(kind k, const char *text, size_t len, size_t at)
{
    while (at < len && kind_of(tok_cp(text + at)) == k) at += tok_utf8_len((unsigned char)text[at]);
    return at;
}

size_t tok_gpt2_next(const char *text, size_t len, size_t at)
{
    if (text[at] == '\'') {
        size_t n = contraction(text + at, len - at);
        if (n > 0) return at + n;
    }
    size_t word = text[at] == ' ' && at + 1 < len ? at + 1 : at;
    kind   k = kind_of(tok_cp(text + word));
    if (k != SPACE) return run_of(k, text, len, word);

    size_t end = at, last = at; /* last: start of the last space of the run */
    while (end < len && kind_of(tok_cp(text + end)) == SPACE) {
        last = end;
        end += tok_utf8_len((unsigned char)text[end]);
    }
    return end == len || last == at ? end : last;
}
