/* SPDX-License-Identifier: Apache-2.0 */
/* tok/open.c - finds the tokenizer in a folder and reads it.
 *
 * For:     cli/ and whoever has a path rather than bytes.
 * Threads: pure but for the files it reads. */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec/codec.h"
#include "tok/forms.h"
#include "tok/tok_int.h"

enum { SMALL_MAX = 16 * 1024 * 1024 };

/* In the order of preference; a name with a star stands for its end. */
static const struct {
    const char  *name;
    tok_form_fn *make; /* NULL: it is a tokenizer.json */
} forms[] = {
    {"tokenizer.json", NULL},
    {"tekken.json", tok_form_tekken},
    {"tokenizer.model", tok_form_spm},
    {"spiece.model", tok_form_spm},
    {"sentencepiece.bpe.model", tok_form_spm},
    {"sentencepiece.model", tok_form_spm},
    {"vocab.json", tok_form_vocab_json},
    {"vocab.txt", tok_form_vocab_txt},
    {"*.tiktoken", tok_form_tiktoken},
    {"*.model", tok_form_spm},
    {"*.gguf", tok_form_gguf},
};

static bool fits(snug_slice name, const char *pattern)
{
    return pattern[0] == '*' ? snug_ends_with(name, pattern + 1) : snug_eq_str(name, pattern);
}

static snug_slice base_name(snug_slice path)
{
    size_t slash;
    while ((slash = snug_index(path, '/')) != SIZE_MAX) path = snug_sub(path, slash + 1, path.len);
    return path;
}

/* The best name in a folder; the first by name where several fit equally. */
static snug_slice choose(snug_arena *a, const char *dir, size_t *form)
{
    snug_slice     best = SNUG_EMPTY;
    DIR           *d = opendir(dir);
    struct dirent *e;
    *form = sizeof forms / sizeof forms[0];
    while (d != NULL && (e = readdir(d)) != NULL) {
        snug_slice name = snug_str(e->d_name);
        if (snug_starts_with(name, "mmproj")) continue; /* the eyes of a model beside it */
        for (size_t i = 0; i <= *form && i < sizeof forms / sizeof forms[0]; i++) {
            if (!fits(name, forms[i].name)) continue;
            if (i < *form || snug_cmp(name, best) < 0) best = snug_arena_dup(a, name);
            *form = i;
            break;
        }
    }
    if (d != NULL) (void)closedir(d);
    return best;
}

static snug_status read_beside(tok_beside *b, snug_slice dir, const char *name, snug_json *out,
                               snug_err *err)
{
    static const snug_json_opts opts = {.flags = SNUG_JSON_NONFINITE};
    snug_slice path = snug_arena_printf(b->arena, "%.*s%s", SNUG_SLICE(dir), name), text;
    *out = (snug_json){NULL};
    if (access(path.ptr, F_OK) != 0) return SNUG_OK;
    snug_status st = snug_read_file(b->arena, path.ptr, SMALL_MAX, &text, err);
    if (st == SNUG_OK) st = snug_json_parse(b->arena, text, &opts, out, err);
    if (st != SNUG_OK) snug_note(err, "%s", name);
    return st;
}

static snug_status make_document(tok_form_fn *make, tok_beside *b, snug_slice path, snug_slice file,
                                 snug_buf *out, snug_err *err)
{
    snug_slice  dir = snug_sub(path, 0, path.len - b->name.len), merges;
    snug_status st = SNUG_OK;
    SNUG_TRY(read_beside(b, dir, "tokenizer_config.json", &b->config, err));
    SNUG_TRY(read_beside(b, dir, "special_tokens_map.json", &b->specials, err));
    SNUG_TRY(read_beside(b, dir, "added_tokens.json", &b->added, err));
    if (make == tok_form_vocab_json) {
        merges = snug_arena_printf(b->arena, "%.*smerges.txt", SNUG_SLICE(dir));
        SNUG_TRY(snug_read_file(b->arena, merges.ptr, TOK_JSON_MAX, &b->merges, err));
    }
    SNUG_TRY(make(b, file, out, err));
    SNUG_TRY(snug_buf_check(out, "the tokenizer", err));
done:
    if (st != SNUG_OK) snug_note(err, "%.*s", SNUG_SLICE(b->name));
    return st;
}

/* The head of a file of models: what stands before the tensors. */
static snug_status read_head(snug_arena *a, const char *path, snug_slice *out, uint64_t *size,
                             snug_err *err)
{
    struct stat sb;
    uint64_t    want = 1 << 20;
    snug_status st = SNUG_EAGAIN;
    int         fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &sb) != 0) SNUG_FAIL(err, SNUG_ENOTFOUND, "%s cannot be opened", path);
    *size = (uint64_t)sb.st_size;
    while (st == SNUG_EAGAIN) {
        if (want > *size) want = *size;
        char  *head = snug_arena_alloc_try(a, (size_t)want + 1); /* the reader has a limit */
        size_t got = 0;
        if (head == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "no memory for %" PRIu64 " bytes", want);
        for (ssize_t n = 1; n > 0 && got<want; got += n> 0 ? (size_t)n : 0)
            n = pread(fd, head + got, (size_t)want - got, (off_t)got);
        *out = snug_slice_of(head, got);
        st = codec_gguf_header_size(*out, *size, &want, err);
        if (st == SNUG_EAGAIN && want <= got) SNUG_FAIL(err, SNUG_ECORRUPT, "%s is cut off", path);
    }
done:
    if (fd >= 0) (void)close(fd);
    return st;
}

static snug_status find_file(snug_arena *a, const char *path, snug_slice *file, size_t *form,
                             snug_err *err)
{
    size_t      rows = sizeof forms / sizeof forms[0];
    struct stat sb;
    *file = snug_str(path);
    if (stat(path, &sb) == 0 && S_ISDIR(sb.st_mode)) {
        snug_slice name = choose(a, path, form);
        if (name.len == 0)
            return snug_fail(err, SNUG_ENOTFOUND, "no tokenizer.json or other tokenizer file in %s",
                             path);
        *file = snug_arena_printf(a, "%s/%.*s", path, SNUG_SLICE(name));
        return SNUG_OK;
    }
    for (*form = 0; *form < rows && !fits(base_name(*file), forms[*form].name);) ++*form;
    if (*form == rows) *form = 0; /* any other name is a document */
    return SNUG_OK;
}

/* *out lies in the arena or in `made`. */
static snug_status read_document(snug_arena *a, const char *path, snug_buf *made, snug_slice *out,
                                 snug_err *err)
{
    snug_slice  file;
    size_t      form;
    snug_status st = SNUG_OK;
    tok_beside  b = {.arena = a};
    SNUG_TRY(find_file(a, path, &file, &form, err));
    b.name = base_name(file);
    if (forms[form].make == tok_form_gguf)
        SNUG_TRY(read_head(a, snug_arena_cstr(a, file), out, &b.size, err));
    else
        SNUG_TRY(snug_read_file(a, snug_arena_cstr(a, file), TOK_JSON_MAX, out, err));
    if (forms[form].make != NULL) {
        SNUG_TRY(make_document(forms[form].make, &b, file, *out, made, err));
        *out = snug_buf_slice(made);
    }
done:
    return st;
}

snug_status tok_open(const char *path, tok **out, snug_err *err)
{
    SNUG_AUTO(snug_buf) made = snug_buf_init(TOK_JSON_MAX);
    snug_arena *a = snug_arena_new(); /* the text is not needed once the tokenizer is built */
    snug_slice  text;
    snug_status st = read_document(a, path, &made, &text, err);
    if (st == SNUG_OK) st = tok_load(text, out, err);
    snug_arena_free(a);
    return st;
}

snug_status tok_open_document(const char *path, snug_buf *out, snug_err *err)
{
    snug_arena *a = snug_arena_new();
    snug_slice  text;
    snug_status st = read_document(a, path, out, &text, err);
    if (st == SNUG_OK && out->len == 0) snug_buf_put_slice(out, text);
    if (st == SNUG_OK) st = snug_buf_check(out, "the tokenizer", err);
    snug_arena_free(a);
    return st;
}
