/* SPDX-License-Identifier: Apache-2.0 */
/* tools/stats.c - how long our functions and files are, against docs/conventions.md.
 *
 *     tool_stats FILE...
 *
 * A function is a '{' outside all braces behind a ')'. Its length is the lines between its braces,
 * one at least. Tables, types and preprocessor lines do not count. */
#include "source.h"

enum { LISTED = 10, SHORT_LINES = 15, LONG_LINES = 75, FILE_LINES = 600, FILE_LINES_MAX = 1500 };

typedef struct item {
    unsigned    lines, at;
    const char *path;
    char        name[64];
} item;

typedef struct list {
    item  *items;
    size_t count, cap;
} list;

static void add(list *l, item i)
{
    if (l->count == l->cap) {
        size_t bytes;
        l->cap = l->cap == 0 ? 1024 : l->cap * 2;
        if (snug_mul(l->cap, sizeof *l->items, &bytes)) exit(2);
        l->items = snug_realloc(l->items, bytes);
    }
    l->items[l->count++] = i;
}

/* Directives become blanks, spliced lines included: their braces need not match. */
static void blank_directives(char *code)
{
    bool at_start = true, directive = false;
    for (char *p = code; *p != '\0'; p++) {
        if (*p == '\n') {
            directive = directive && p > code && p[-1] == '\\';
            at_start = true;
            continue;
        }
        if (at_start && *p == '#') directive = true;
        if (*p != ' ') at_start = false;
        if (directive && *p != '\\') *p = ' ';
    }
}

/* The word before the '(' that matches the ')' at `close`. */
static void name_before(const char *code, const char *close, char name[64])
{
    int         depth = 0;
    const char *p = close;
    for (; p > code; p--) {
        depth += (*p == ')') - (*p == '(');
        if (depth == 0) break;
    }
    while (p > code && p[-1] == ' ') p--;
    const char *end = p;
    while (p > code && source_is_word(p[-1])) p--;
    size_t n = (size_t)(end - p) < 63 ? (size_t)(end - p) : 63;
    memcpy(name, p, n);
    name[n] = '\0';
}

static void add_functions(list *l, const char *path, const char *code)
{
    unsigned    line = 1, opened = 0;
    int         depth = 0;
    bool        function = false;
    const char *last = code; /* the last byte that is no blank */
    item        now = {.path = path};
    for (const char *p = code; *p != '\0'; p++) {
        if (*p == '\n') line++;
        if (*p == '{' && depth++ == 0) {
            function = *last == ')';
            opened = line;
            if (function) name_before(code, last, now.name);
        }
        if (*p == '}' && depth > 0 && --depth == 0 && function) {
            now.at = opened;
            now.lines = line - opened > 1 ? line - opened - 1 : 1;
            add(l, now);
        }
        if (*p != ' ' && *p != '\n') last = p;
    }
}

static int by_length(const void *a, const void *b)
{
    const item *x = a, *y = b;
    return (x->lines > y->lines) - (x->lines < y->lines);
}

static unsigned share(const list *l, double q)
{
    return l->count == 0 ? 0 : l->items[(size_t)((double)(l->count - 1) * q)].lines;
}

static double percent_below(const list *l, unsigned lines)
{
    size_t n = 0;
    while (n < l->count && l->items[n].lines < lines) n++;
    return l->count == 0 ? 100 : 100.0 * (double)n / (double)l->count;
}

static void print_longest(const list *l, unsigned above)
{
    for (size_t i = 0; i < LISTED && i < l->count; i++) {
        const item *it = &l->items[l->count - 1 - i];
        if (it->lines <= above) break;
        if (it->name[0] == '\0')
            printf("  %5u  %s\n", it->lines, it->path);
        else
            printf("  %5u  %s:%u %s\n", it->lines, it->path, it->at, it->name);
    }
}

static void report(list *functions, list *files)
{
    unsigned long total = 0;
    if (functions->count > 0) qsort(functions->items, functions->count, sizeof(item), by_length);
    if (files->count > 0) qsort(files->items, files->count, sizeof(item), by_length);
    for (size_t i = 0; i < files->count; i++) total += files->items[i].lines;
    double below = percent_below(functions, SHORT_LINES),
           most = percent_below(functions, LONG_LINES);
    printf("functions  %zu, median %u lines, 95 %% within %u, longest %u\n", functions->count,
           share(functions, 0.5), share(functions, 0.95), share(functions, 1));
    printf("           %.1f %% under %d lines (want 50): %s\n", below, SHORT_LINES,
           below >= 50 ? "ok" : "NO");
    printf("           %.1f %% under %d lines (want 95): %s\n", most, LONG_LINES,
           most >= 95 ? "ok" : "NO");
    print_longest(functions, LONG_LINES - 1);
    printf("files      %zu, %lu lines, median %u, longest %u\n", files->count, total,
           share(files, 0.5), share(files, 1));
    print_longest(files, FILE_LINES);
}

int main(int argc, char **argv)
{
    list functions = {0}, files = {0};
    for (int i = 1; i < argc; i++) {
        snug_arena *a = snug_arena_new();
        source      s = {.text = source_read(a, argv[i])};
        item        file = {.path = argv[i]};
        source_split(&s, a);
        blank_directives(s.code);
        add_functions(&functions, argv[i], s.code);
        for (size_t k = 0; k < s.text.len; k++) file.lines += s.text.ptr[k] == '\n';
        add(&files, file);
        snug_arena_free(a);
    }
    report(&functions, &files);
    free(functions.items);
    free(files.items);
    return 0;
}
