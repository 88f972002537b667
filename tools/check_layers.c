/* SPDX-License-Identifier: Apache-2.0 */
/* tools/check_layers.c - holds src/ to the layer rule of docs/architecture.md.
 *
 *     tool_check_layers docs/architecture.md src/... (sources, headers and CMakeLists.txt)
 *
 * The numbers are read from the tree in that document ("2 blob/ ..."), so there is one list. A file
 * may include anything in its own folder, "<folder>/<folder>.h" of a lower number, and all of base/
 * but *_int.h. A folder's CMakeLists.txt must name what it includes under DEPS, directly or through
 * another folder, and only lower numbers. Prints file:line and what to do; exit 1 on a violation.
 */
#include "source.h"

enum { FOLDERS_MAX = 64, NAME_MAX_BYTES = 32 };

typedef struct folder {
    char     name[NAME_MAX_BYTES];
    int      layer;
    bool     built;                     /* has a CMakeLists.txt */
    uint64_t deps;                      /* bit per folder: named under DEPS */
    uint64_t used;                      /* bit per folder: included */
    char     used_at[FOLDERS_MAX][160]; /* where first */
} folder;

static folder   folders[FOLDERS_MAX];
static int      folder_count;
static unsigned violations;

static void complain(const char *path, unsigned line, const char *fmt, ...) SNUG_PRINTF(3, 4);
static void complain(const char *path, unsigned line, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)printf("%s:%u: ", path, line);
    (void)vprintf(fmt, ap);
    (void)printf("\n");
    va_end(ap);
    violations++;
}

static int find_folder(snug_slice name)
{
    for (int i = 0; i < folder_count; i++) {
        if (snug_eq_str(name, folders[i].name)) return i;
    }
    return -1;
}

/* ---- the document: every "digit space name/" inside the first fence after "## 1." ---- */

static void add_folder(snug_slice name, int layer)
{
    if (name.len == 0 || name.len >= NAME_MAX_BYTES || find_folder(name) >= 0) return;
    if (folder_count == FOLDERS_MAX) {
        (void)fprintf(stderr, "check_layers: more than %d folders\n", FOLDERS_MAX);
        exit(2);
    }
    folder *f = &folders[folder_count++];
    memcpy(f->name, name.ptr, name.len);
    f->layer = layer;
}

static void read_tree_line(snug_slice line)
{
    for (size_t i = 0; i + 3 < line.len; i++) {
        bool start = i == 0 || line.ptr[i - 1] == ' ';
        if (!start || line.ptr[i] < '0' || line.ptr[i] > '9' || line.ptr[i + 1] != ' ') continue;
        size_t end = i + 2;
        while (end < line.len && source_is_word(line.ptr[end])) end++;
        if (end < line.len && line.ptr[end] == '/')
            add_folder(snug_sub(line, i + 2, end - i - 2), line.ptr[i] - '0');
    }
}

static void read_tree(snug_slice text)
{
    snug_slice line;
    bool       section = false, fence = false;
    while (snug_split(&text, '\n', &line)) {
        if (snug_starts_with(line, "## 1.")) section = true;
        if (!section) continue;
        if (snug_starts_with(line, "```")) {
            if (fence) return;
            fence = true;
        } else if (fence) {
            read_tree_line(line);
        }
    }
}

/* ---- includes ---- */

/* The path in an #include line, quoted or in angle brackets, or empty. */
static snug_slice included(snug_slice line, bool *angle)
{
    line = snug_trim(line);
    if (!snug_starts_with(line, "#")) return SNUG_EMPTY;
    line = snug_trim(snug_sub(line, 1, SIZE_MAX));
    if (!snug_starts_with(line, "include")) return SNUG_EMPTY;
    line = snug_trim(snug_sub(line, 7, SIZE_MAX));
    *angle = snug_starts_with(line, "<");
    if (line.len < 2 || (!*angle && line.ptr[0] != '"')) return SNUG_EMPTY;
    line = snug_sub(line, 1, SIZE_MAX);
    size_t end = snug_index(line, *angle ? '>' : '"');
    return end == SIZE_MAX ? SNUG_EMPTY : snug_sub(line, 0, end);
}

static bool is_public_header(int to, snug_slice file)
{
    if (snug_eq_str(snug_str(folders[to].name), "base"))
        return snug_index(file, '/') == SIZE_MAX && !snug_ends_with(file, "_int.h");
    return snug_ends_with(file, ".h") &&
           snug_eq_str(snug_sub(file, 0, file.len - 2), folders[to].name);
}

static void check_include(const char *path, unsigned line, int from, snug_slice file, bool angle)
{
    snug_slice rest = file, head;
    (void)snug_split(&rest, '/', &head);
    int to = rest.ptr == NULL ? -1 : find_folder(head);
    if (angle && to < 0) return; /* the system's, or snug/snug.h */
    if (rest.ptr == NULL || to < 0) {
        complain(path, line,
                 "\"%.*s\": write the path from src/, folder first; if the folder is new, "
                 "give it a number in docs/architecture.md",
                 SNUG_SLICE(file));
        return;
    }
    if (angle) complain(path, line, "<%.*s>: our own headers go in quotes", SNUG_SLICE(file));
    if (to == from) return;
    folder *f = &folders[from];
    if ((f->used & (uint64_t)1 << to) == 0) {
        f->used |= (uint64_t)1 << to;
        (void)snprintf(f->used_at[to], sizeof f->used_at[to], "%s:%u", path, line);
    }
    if (folders[to].layer >= f->layer) {
        complain(path, line,
                 "%s (layer %d) must not include \"%.*s\" (layer %d): move the code down, "
                 "or have cli/ hand a function pointer to %s",
                 f->name, f->layer, SNUG_SLICE(file), folders[to].layer, f->name);
    } else if (!is_public_header(to, rest)) {
        complain(path, line,
                 "\"%.*s\" is private to %s: include \"%s/%s.h\" and add there what is missing",
                 SNUG_SLICE(file), folders[to].name, folders[to].name, folders[to].name);
    }
}

static void check_source(snug_arena *a, const char *path, int from)
{
    source s = {.text = source_read(a, path)};
    source_split(&s, a);
    /* The path is a literal, so the text is read; the code says whether the line is alive. */
    snug_slice rest = s.text, line;
    unsigned   number = 0;
    while (snug_split(&rest, '\n', &line)) {
        bool       angle = false;
        size_t     at = (size_t)(line.ptr - s.text.ptr);
        snug_slice file = included(line, &angle);
        number++;
        if (file.len == 0 || memchr(s.code + at, '#', line.len) == NULL) continue;
        check_include(path, number, from, file, angle);
    }
}

/* ---- CMakeLists.txt: snug_module(name DEPS a b LIBS ...) ---- */

static void read_deps(const char *path, snug_slice text, int from)
{
    size_t at = snug_find(text, SNUG_LIT("snug_module("));
    if (at == SIZE_MAX) return;
    unsigned line = 1;
    for (size_t i = 0; i < at; i++) line += text.ptr[i] == '\n';
    text = snug_sub(text, at + strlen("snug_module("), SIZE_MAX);
    text = snug_sub(text, 0, snug_index(text, ')'));
    bool       in_deps = false;
    folder    *f = &folders[from];
    snug_slice word;
    char       flat[1024];
    size_t     n = text.len < sizeof flat ? text.len : sizeof flat;
    for (size_t i = 0; i < n; i++) flat[i] = text.ptr[i] == '\n' ? ' ' : text.ptr[i];
    text = (snug_slice){flat, n};
    f->built = true;
    while (snug_split(&text, ' ', &word)) {
        if (word.len == 0) continue;
        bool keyword = word.ptr[0] >= 'A' && word.ptr[0] <= 'Z';
        if (keyword) in_deps = snug_eq_str(word, "DEPS");
        if (keyword || !in_deps) continue;
        int to = find_folder(word);
        if (to < 0) {
            complain(path, line, "DEPS %.*s: docs/architecture.md has no such folder",
                     SNUG_SLICE(word));
        } else if (folders[to].layer >= f->layer) {
            complain(path, line,
                     "DEPS %.*s: %s (layer %d) may only stand on lower layers than its own, "
                     "not on layer %d",
                     SNUG_SLICE(word), f->name, f->layer, folders[to].layer);
        } else {
            f->deps |= (uint64_t)1 << to;
        }
    }
}

static uint64_t reachable(int from)
{
    uint64_t all = folders[from].deps, before = 0;
    while (all != before) {
        before = all;
        for (int i = 0; i < folder_count; i++) {
            if (all & (uint64_t)1 << i) all |= folders[i].deps;
        }
    }
    return all;
}

static void check_deps(void)
{
    for (int i = 0; i < folder_count; i++) {
        uint64_t missing = folders[i].used & ~reachable(i);
        for (int k = 0; folders[i].built && k < folder_count; k++) {
            if ((missing & (uint64_t)1 << k) == 0) continue;
            (void)printf("%s: add %s to DEPS in src/%s/CMakeLists.txt\n", folders[i].used_at[k],
                         folders[k].name, folders[i].name);
            violations++;
        }
    }
}

/* ---- files ---- */

static void check_file(const char *path)
{
    snug_slice rest = snug_str(path), head;
    if (!snug_starts_with(rest, "src/")) return;
    rest = snug_sub(rest, 4, SIZE_MAX);
    (void)snug_split(&rest, '/', &head);
    if (rest.ptr == NULL) return; /* a file in src/ itself */
    int from = find_folder(head);
    if (from < 0) {
        complain(path, 1, "folder %.*s has no number: put it into the tree of docs/architecture.md",
                 SNUG_SLICE(head));
        return;
    }
    snug_arena *a = snug_arena_new();
    if (snug_ends_with(rest, "CMakeLists.txt")) {
        read_deps(path, source_read(a, path), from);
    } else if (snug_ends_with(rest, ".c") || snug_ends_with(rest, ".h") ||
               snug_ends_with(rest, ".cu")) {
        check_source(a, path, from);
    }
    snug_arena_free(a);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        (void)fprintf(stderr, "usage: %s docs/architecture.md FILE...\n", argv[0]);
        return 2;
    }
    snug_arena *a = snug_arena_new();
    read_tree(source_read(a, argv[1]));
    snug_arena_free(a);
    if (folder_count < 5) {
        (void)fprintf(stderr, "%s: no tree with layer numbers in section 1\n", argv[1]);
        return 2;
    }
    for (int i = 2; i < argc; i++) check_file(argv[i]);
    check_deps();
    if (violations > 0) (void)fprintf(stderr, "check_layers: %u to mend\n", violations);
    return violations > 0;
}
