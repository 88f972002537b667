/* SPDX-License-Identifier: Apache-2.0 */
/* tools/check_words.c - what must not be in a tracked file, and what must.
 *
 *     tool_check_words FILE...
 *
 * Prints file:line and what to do; exit 1 when anything was found. A new rule is a row in a table
 * or a check_* function called from check_file(). */
#include "source.h"

enum { COLUMNS_MAX = 110, LINES_MAX = 1500 };

static unsigned findings;

static void complain(const char *path, unsigned line, const char *fmt, ...) SNUG_PRINTF(3, 4);
static void complain(const char *path, unsigned line, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)printf("%s:%u: ", path, line);
    (void)vprintf(fmt, ap);
    (void)printf("\n");
    va_end(ap);
    findings++;
}

static unsigned line_of(const char *text, const char *at)
{
    unsigned line = 1;
    for (; text < at; text++) line += *text == '\n';
    return line;
}

/* ---- banned calls ---- */

static const struct {
    const char *name, *instead;
} banned[] = {
    {"strcpy", "snug_slice and memcpy with a checked size"},
    {"strcat", "snug_buf"},
    {"sprintf", "snprintf or snug_buf_printf"},
    {"vsprintf", "vsnprintf"},
    {"gets", "fgets, or snug_read_file"},
    {"strtok", "snug_split"},
    {"atoi", "snug_parse_i64"},
    {"atol", "snug_parse_i64"},
    {"atoll", "snug_parse_i64"},
    {"alloca", "a fixed array or an arena"},
    {"system", "a child started with an argument list"},
};

/* The next whole word `name` followed by '(' in masked code, or NULL. */
static const char *find_call(const char *code, const char *from, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = from; (p = strstr(p, name)) != NULL; p += n) {
        const char *after = p + n;
        if (p > code && (source_is_word(p[-1]) || p[-1] == '.' ||
                         (p - code > 1 && p[-1] == '>' && p[-2] == '-')))
            continue;
        while (*after == ' ' || *after == '\n') after++;
        if (*after == '(') return p;
    }
    return NULL;
}

static void check_banned(const char *path, const char *code)
{
    for (size_t i = 0; i < sizeof banned / sizeof banned[0]; i++) {
        for (const char *p = code; (p = find_call(code, p, banned[i].name)) != NULL; p++)
            complain(path, line_of(code, p), "%s is banned: use %s", banned[i].name,
                     banned[i].instead);
    }
}

/* Whether the '*' at p multiplies: an operand before it, and not a type in a cast or sizeof. */
static bool multiplies(const char *args, const char *p)
{
    const char *before = p, *after = p + 1;
    while (before > args && before[-1] == ' ') before--;
    while (*after == ' ') after++;
    if (before == args || *after == ')' || *after == '*') return false;
    if (before[-1] != ')' && before[-1] != ']' && !source_is_word(before[-1])) return false;
    return before - args < 6 || strncmp(before - 6, "sizeof", 6) != 0;
}

static void check_products(const char *path, const char *code)
{
    static const char *const names[] = {"malloc", "realloc"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        for (const char *p = code; (p = find_call(code, p, names[i])) != NULL; p++) {
            const char *args = strchr(p, '(') + 1;
            int         depth = 1;
            for (const char *q = args; *q != '\0' && depth > 0; q++) {
                depth += (*q == '(') - (*q == ')');
                if (*q != '*' || !multiplies(args, q)) continue;
                complain(path, line_of(code, q),
                         "%s of a product can overflow: use snug_mul, "
                         "calloc or snug_arena_array_try",
                         names[i]);
                break;
            }
        }
    }
}

/* ---- unfinished work: the words as comments say them ---- */

static void check_unfinished(const char *path, const char *comments)
{
    static const char *const words[] = {"TODO", "FIXME", "XXX"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t n = strlen(words[i]);
        for (const char *p = comments; (p = strstr(p, words[i])) != NULL; p += n) {
            if ((p > comments && source_is_word(p[-1])) || source_is_word(p[n])) continue;
            complain(path, line_of(comments, p), "%s: do it, or write down why it is so", words[i]);
        }
    }
}

/* ---- lines ---- */

static size_t columns(snug_slice line)
{
    size_t n = 0;
    for (size_t i = 0; i < line.len; i++) n += ((unsigned char)line.ptr[i] & 0xc0) != 0x80;
    return n;
}

static void check_lines(const char *path, snug_slice text, bool tabs_fine, bool narrow)
{
    snug_slice rest = text, line;
    unsigned   number = 0;
    while (snug_split(&rest, '\n', &line)) {
        if (rest.ptr == NULL && line.len == 0) break; /* behind the last new line */
        number++;
        if (!tabs_fine && snug_index(line, '\t') != SIZE_MAX)
            complain(path, number, "a tab: indent with spaces");
        if (line.len > 0 && (line.ptr[line.len - 1] == ' ' || line.ptr[line.len - 1] == '\r'))
            complain(path, number, "white space at the end of the line");
        if (narrow && columns(line) > COLUMNS_MAX)
            complain(path, number, "%zu columns: break the line before column %d", columns(line),
                     COLUMNS_MAX);
    }
    if (text.len > 0 && text.ptr[text.len - 1] != '\n')
        complain(path, number, "no new line at the end of the file");
    if (number > LINES_MAX)
        complain(path, number, "%u lines: split files before %d", number, LINES_MAX);
}

static void check_license(const char *path, snug_slice text)
{
    snug_slice line;
    for (int i = 0; i < 3 && snug_split(&text, '\n', &line); i++) {
        if (snug_find(line, SNUG_LIT("SPDX-License-Identifier: Apache-2.0")) != SIZE_MAX) return;
    }
    complain(path, 1, "begin with SPDX-License-Identifier: Apache-2.0 in a comment");
}

/* ---- files ---- */

typedef enum kind { KIND_C, KIND_SCRIPT, KIND_MAKEFILE, KIND_OTHER } kind;

static kind kind_of(snug_slice path)
{
    static const struct {
        const char *end;
        kind        kind;
    } rows[] = {{".c", KIND_C},
                {".h", KIND_C},
                {".cu", KIND_C},
                {".sh", KIND_SCRIPT},
                {".py", KIND_SCRIPT},
                {".cmake", KIND_SCRIPT},
                {"CMakeLists.txt", KIND_SCRIPT},
                {"Makefile", KIND_MAKEFILE}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (snug_ends_with(path, rows[i].end)) return rows[i].kind;
    }
    return KIND_OTHER;
}

static void check_file(const char *path)
{
    snug_slice name = snug_str(path);
    if (snug_find(name, SNUG_LIT("node_modules/")) != SIZE_MAX) {
        complain(path, 1, "other people's code: take it out of the repository and into .gitignore");
        return;
    }
    kind k = kind_of(name);
    if (k == KIND_OTHER || snug_starts_with(name, "samples/")) return;
    snug_arena *a = snug_arena_new();
    source      s = {.text = source_read(a, path)};
    check_license(path, s.text);
    check_lines(path, s.text, k == KIND_MAKEFILE, k == KIND_C && snug_starts_with(name, "src/"));
    if (k == KIND_C) {
        source_split(&s, a);
        check_banned(path, s.code);
        check_products(path, s.code);
        check_unfinished(path, s.comments);
    } else {
        check_unfinished(path, snug_arena_cstr(a, s.text));
    }
    snug_arena_free(a);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        (void)fprintf(stderr, "usage: %s FILE...\n", argv[0]);
        return 2;
    }
    for (int i = 1; i < argc; i++) check_file(argv[i]);
    if (findings > 0) (void)fprintf(stderr, "check_words: %u to mend\n", findings);
    return findings > 0;
}
