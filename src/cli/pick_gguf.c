/* SPDX-License-Identifier: Apache-2.0 */
/* cli/pick_gguf.c - one GGUF model among the files of a repository.
 *
 * Repositories hold a model in many types: "model-Q4_K_M.gguf", "model-Q8_0.gguf", or parts of one,
 * "Q8_0/model-Q8_0-00001-of-00003.gguf". "ORG/NAME:Q8_0" says which; without that it is Q4_K_M,
 * else the first by name.
 *
 * For:     find_model.c.
 * Owns:    nothing.
 * Threads: pure functions.
 * Truth:   a file is kept only when it is a part of the one model that was picked. */
#include "cli/pick_gguf.h"

#include <string.h>

#include "codec/codec.h"

static snug_slice file_name(snug_slice path)
{
    size_t slash = snug_rindex(path, '/');
    return slash == SIZE_MAX ? path : snug_sub(path, slash + 1, SIZE_MAX);
}

static bool holds(snug_slice text, const char *part)
{
    size_t n = strlen(part);
    for (size_t i = 0; i + n <= text.len; i++)
        if (snug_eq_nocase(snug_sub(text, i, n), snug_str(part))) return true;
    return false;
}

static bool is_model(snug_slice path)
{
    return snug_ends_with(path, ".gguf") && !holds(file_name(path), "mmproj") &&
           !holds(file_name(path), "imatrix");
}

/* Without ".gguf" and the number of its part: what the parts of a model share. */
static snug_slice stem_of(snug_slice path)
{
    snug_slice name = file_name(path), prefix;
    unsigned   number, count;
    size_t     folder = path.len - name.len;
    if (codec_gguf_split_name(name, &prefix, &number, &count))
        return snug_sub(path, 0, folder + prefix.len);
    return snug_sub(path, 0, path.len - strlen(".gguf"));
}

/* Does a name end in the type, as a word of its own? A file's whole name will do as well. */
static bool is_type(snug_slice path, snug_slice type)
{
    snug_slice stem = stem_of(path);
    if (snug_eq_nocase(file_name(path), type)) return true;
    if (type.len == 0 || stem.len < type.len) return false;
    if (!snug_eq_nocase(snug_sub(stem, stem.len - type.len, SIZE_MAX), type)) return false;
    return stem.len == type.len || strchr("-._/", stem.ptr[stem.len - type.len - 1]) != NULL;
}

static const snug_slice *pick(const snug_slice *paths, size_t n, snug_slice type)
{
    const snug_slice *best = NULL;
    for (size_t i = 0; i < n; i++)
        if (is_model(paths[i]) && is_type(paths[i], type) &&
            (best == NULL || snug_cmp(paths[i], *best) < 0))
            best = &paths[i];
    return best;
}

static const snug_slice *first_model(const snug_slice *paths, size_t n)
{
    const snug_slice *best = NULL;
    for (size_t i = 0; i < n; i++)
        if (is_model(paths[i]) && (best == NULL || snug_cmp(paths[i], *best) < 0)) best = &paths[i];
    return best;
}

static bool has_safetensors(const snug_slice *paths, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (snug_eq_str(paths[i], "model.safetensors") ||
            snug_eq_str(paths[i], "model.safetensors.index.json"))
            return true;
    return false;
}

/* "no Q9 there: Q4_K_M, Q8_0" would need types apart from names; names are what a person copies. */
static snug_status none(snug_slice type, const snug_slice *paths, size_t n, snug_err *err)
{
    SNUG_AUTO(snug_buf) list = snug_buf_init(1024);
    size_t shown = 0;
    for (size_t i = 0; i < n && shown < 8; i++)
        if (is_model(paths[i]) && paths[i].len < 100)
            snug_buf_printf(&list, "%s%.*s", shown++ == 0 ? "" : ", ", SNUG_SLICE(paths[i]));
    if (shown == 0) return snug_fail(err, SNUG_ENOTFOUND, "the repository holds no GGUF file");
    return snug_fail(err, SNUG_ENOTFOUND, "no GGUF file of type \"%.*s\"; there is %.*s",
                     SNUG_SLICE(type), SNUG_SLICE(snug_buf_slice(&list)));
}

snug_status cli_pick_gguf(snug_slice type, const snug_slice *paths, size_t n, bool *keep,
                          snug_slice *picked, snug_err *err)
{
    *picked = SNUG_EMPTY;
    for (size_t i = 0; i < n; i++) keep[i] = true;
    if (type.len == 0 && has_safetensors(paths, n)) return SNUG_OK;
    const snug_slice *best = pick(paths, n, type.len == 0 ? SNUG_LIT("Q4_K_M") : type);
    if (best == NULL && type.len == 0) best = first_model(paths, n);
    if (best == NULL) return type.len == 0 ? SNUG_OK : none(type, paths, n, err);
    for (size_t i = 0; i < n; i++)
        keep[i] = is_model(paths[i]) && snug_eq(stem_of(paths[i]), stem_of(*best));
    *picked = *best;
    return SNUG_OK;
}
