/* SPDX-License-Identifier: Apache-2.0 */
/* model/merge.c - a folder of safetensors with an adapter merged into it, as a folder of its own.
 *
 * For:     the command line.
 * Owns:    the folder it writes.
 * Threads: one.
 * Truth:   a file appears under its name when it is whole; weights keep the type they had; files
 * that are neither weights nor config.json come along byte by byte. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/adapter_int.h"

enum { HEADER_MAX = 100 << 20, PIECE = 1 << 16, FILES_MAX = 10000, INDEX_MAX = 256 << 20 };

typedef struct merge {
    snug_arena   *a;
    const char   *from, *to;
    snug_json     config; /* as the folder has it */
    model_shape   shape;
    weight_map   *w, before; /* before: what the folder has */
    codec_tensor *list;      /* of each weight of w: how it will be stored */
    codec_shard  *shards;
    size_t        count; /* of shards */
    uint64_t      bytes;
    snug_err     *err;
} merge;

/* ---- which weights go where, and as what ---- */

static uint64_t elements(const weight *w)
{
    uint64_t n = 1;
    for (unsigned i = 0; i < w->rank && i < TENSOR_RANK_MAX; i++) n *= w->shape[i];
    return n;
}

static bool same_shape(const weight *a, const weight *b)
{
    if (a->rank != b->rank || a->rank > TENSOR_RANK_MAX) return false;
    for (unsigned i = 0; i < a->rank; i++)
        if (a->shape[i] != b->shape[i]) return false;
    return true;
}

/* The type a weight had; a new one takes that of the weight it was copied from. */
static snug_status type_of_piece(const merge *m, const weight *w, codec_dtype *out)
{
    const weight *was = weight_find(&m->before, snug_arena_cstr(m->a, w->name));
    for (size_t i = 0; was == NULL && i < m->before.count; i++)
        if (same_shape(&m->before.items[i], w)) was = &m->before.items[i];
    *out = was == NULL ? w->stored : was->stored;
    bool fine = *out == w->stored || *out == CODEC_F32 || *out == CODEC_F16 || *out == CODEC_BF16;
    if (fine && w->rank <= TENSOR_RANK_MAX) return SNUG_OK;
    return snug_fail(m->err, SNUG_EUNSUPPORTED,
                     "%.*s is stored as %s: an adapter cannot be merged into it",
                     SNUG_SLICE(w->name), codec_dtype_name(*out));
}

static snug_status plan(merge *m, uint64_t shard_bytes)
{
    snug_status st = SNUG_OK;
    m->list = snug_arena_array_try(m->a, m->w->count + 1, sizeof *m->list);
    if (m->list == NULL)
        return snug_fail(m->err, SNUG_ENOMEM, "no memory for %zu weights", m->w->count);
    for (size_t i = 0; i < m->w->count; i++) {
        const weight *w = &m->w->items[i];
        codec_tensor *t = &m->list[i];
        *t = (codec_tensor){.name = w->name, .rank = w->rank};
        SNUG_TRY(type_of_piece(m, w, &t->dtype));
        memcpy(t->shape, w->shape, w->rank * sizeof *w->shape);
        t->size = t->dtype == w->stored ? w->size : elements(w) * codec_dtype_bits(t->dtype) / 8;
        m->bytes += t->size;
    }
    SNUG_TRY(codec_shards_plan(m->a, m->list, m->w->count, shard_bytes, "model", &m->shards,
                               &m->count, m->err));
done:
    return st;
}

/* ---- writing ---- */

static snug_status write_all(const merge *m, FILE *f, const void *p, size_t n)
{
    return fwrite(p, 1, n, f) == n ? SNUG_OK : snug_fail_sys(m->err, errno, "writing to %s", m->to);
}

static snug_status write_piece(const merge *m, FILE *f, const weight *w, codec_dtype dtype)
{
    snug_status st = SNUG_OK;
    uint64_t    count = elements(w);
    float       wide[PIECE / 8];
    uint16_t    half[PIECE / 8];
    if (dtype == w->stored) return write_all(m, f, w->data, (size_t)w->size);
    for (uint64_t at = 0; at < count; at += PIECE / 8) { /* what was widened, narrowed again */
        size_t n = count - at < PIECE / 8 ? (size_t)(count - at) : PIECE / 8;
        (void)weight_to_f32(w, at, n, wide);
        for (size_t i = 0; i < n; i++)
            half[i] = dtype == CODEC_F16 ? tensor_f32_to_f16(wide[i]) : tensor_f32_to_bf16(wide[i]);
        SNUG_TRY(write_all(m, f, half, n * sizeof *half));
    }
done:
    return st;
}

static snug_status write_head(const merge *m, FILE *f, const codec_shard *s)
{
    SNUG_AUTO(snug_buf) head = snug_buf_init(HEADER_MAX);
    snug_json   about;
    snug_status st = snug_json_parse(m->a, SNUG_LIT("{\"format\":\"pt\"}"), NULL, &about, m->err);
    if (st == SNUG_OK)
        st = codec_safetensors_write_header(m->list + s->first, s->count, about, &head, m->err);
    return st != SNUG_OK ? st : write_all(m, f, head.ptr, head.len);
}

static snug_status write_shard(const merge *m, const codec_shard *s)
{
    snug_status st = SNUG_OK;
    const char *path = snug_arena_printf(m->a, "%s/%.*s", m->to, SNUG_SLICE(s->name)).ptr,
               *part = snug_arena_printf(m->a, "%s.part", path).ptr;
    FILE *f = fopen(part, "wxe");
    if (f == NULL) return snug_fail_sys(m->err, errno, "creating %s", part);
    SNUG_TRY(write_head(m, f, s));
    for (size_t i = s->first; i < s->first + s->count; i++)
        SNUG_TRY(write_piece(m, f, &m->w->items[i], m->list[i].dtype));
    if (fflush(f) != 0 || fsync(fileno(f)) != 0)
        st = snug_fail_sys(m->err, errno, "writing %s", part);
done:
    if (fclose(f) != 0 && st == SNUG_OK) st = snug_fail_sys(m->err, errno, "writing %s", part);
    if (st == SNUG_OK && rename(part, path) != 0)
        st = snug_fail_sys(m->err, errno, "naming %s", path);
    if (st != SNUG_OK) (void)unlink(part);
    return st;
}

static snug_status write_index(const merge *m)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(INDEX_MAX);
    if (m->count == 1) return SNUG_OK;
    snug_status st = codec_shards_put_index(m->list, m->shards, m->count, &b, m->err);
    if (st != SNUG_OK) return st;
    return snug_write_file_atomic(
        snug_arena_printf(m->a, "%s/model.safetensors.index.json", m->to).ptr, snug_buf_slice(&b),
        0644, m->err);
}

/* As it was, but for embeddings that are the head's no more. */
static snug_status write_config(const merge *m, bool parted)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(MODEL_CONFIG_BYTES_MAX);
    snug_json_out o = snug_json_out_init(&b);
    snug_jo_begin_object(&o);
    for (snug_json_iter it = snug_json_iter_of(m->config); snug_json_next(&it);) {
        if (parted && snug_eq_str(it.key, "tie_word_embeddings")) continue;
        snug_jo_key_slice(&o, it.key);
        snug_jo_value(&o, it.value);
    }
    if (parted) snug_jo_kbool(&o, "tie_word_embeddings", false);
    snug_jo_end_object(&o);
    snug_status st = snug_buf_check(&b, "config.json", m->err);
    if (st != SNUG_OK) return st;
    return snug_write_file_atomic(snug_arena_printf(m->a, "%s/config.json", m->to).ptr,
                                  snug_buf_slice(&b), 0644, m->err);
}

/* ---- the other files ---- */

static bool is_weights(snug_slice name)
{
    return snug_ends_with(name, ".safetensors") || snug_ends_with(name, ".bin") ||
           snug_ends_with(name, ".index.json") || snug_ends_with(name, ".gguf") ||
           snug_eq_str(name, "config.json");
}

static snug_status copy_file(const merge *m, const char *name)
{
    snug_status st = SNUG_OK;
    const char *from = snug_arena_printf(m->a, "%s/%s", m->from, name).ptr;
    struct stat sb;
    SNUG_AUTO(snug_map) map = {NULL, 0};
    if (stat(from, &sb) != 0 || !S_ISREG(sb.st_mode)) return SNUG_OK;
    if (sb.st_size > 0) SNUG_TRY(snug_map_open(from, &map, m->err));
    SNUG_TRY(snug_write_file_atomic(snug_arena_printf(m->a, "%s/%s", m->to, name).ptr,
                                    snug_slice_of(map.ptr, map.len), 0644, m->err));
done:
    return st;
}

static snug_status copy_others(const merge *m)
{
    snug_status    st = SNUG_OK;
    size_t         n = 0;
    struct dirent *e;
    DIR           *d = opendir(m->from);
    if (d == NULL) return snug_fail_sys(m->err, errno, "reading %s", m->from);
    while (st == SNUG_OK && (e = readdir(d)) != NULL) {
        if (e->d_name[0] == '.' || is_weights(snug_str(e->d_name))) continue;
        if (++n > FILES_MAX)
            st = snug_fail(m->err, SNUG_ELIMIT, "more than %d files in %s", FILES_MAX, m->from);
        else
            st = copy_file(m, e->d_name);
    }
    (void)closedir(d);
    return st;
}

/* The folder, made if need be; one that holds something is left alone. */
static snug_status make_folder(const merge *m)
{
    struct dirent *e;
    bool           empty = true;
    snug_status    st = snug_mkdirs(m->to, 0755, m->err);
    DIR           *d = st == SNUG_OK ? opendir(m->to) : NULL;
    if (d == NULL) return st != SNUG_OK ? st : snug_fail_sys(m->err, errno, "reading %s", m->to);
    while ((e = readdir(d)) != NULL)
        empty &= strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
    (void)closedir(d);
    return empty ? SNUG_OK : snug_fail(m->err, SNUG_ECONFLICT, "the folder %s is not empty", m->to);
}

snug_status model_merge(const char *path, const char *adapter, uint64_t shard_bytes,
                        const char *out, model_merged *report, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    merge       m = {.a = a, .from = path, .to = out, .err = err};
    snug_json   text; /* of a model that also sees: its text's */
    if (model_find_gguf(a, path) != NULL)
        SNUG_FAIL(err, SNUG_EUNSUPPORTED,
                  "an adapter is merged into a folder of safetensors, not "
                  "into a GGUF file");
    SNUG_TRY(model_read_json(a, path, &m.config, err));
    SNUG_TRY(model_read_config(a, path, SNUG_EMPTY, &text, &m.shape, err));
    SNUG_TRY(weight_map_open(a, path, &m.w, err));
    m.before = (weight_map){.count = m.w->count};
    m.before.items = snug_arena_array_try(a, m.w->count + 1, sizeof *m.before.items);
    if (m.before.items == NULL)
        SNUG_FAIL(err, SNUG_ENOMEM, "no memory for %zu weights", m.w->count);
    memcpy(m.before.items, m.w->items, m.w->count * sizeof *m.w->items);
    bool tied = m.shape.tied;
    SNUG_TRY(adapter_apply(a, adapter, text, &m.shape, m.w, err));
    SNUG_TRY(plan(&m, shard_bytes == 0 ? UINT64_MAX : shard_bytes));
    SNUG_TRY(make_folder(&m));
    for (size_t i = 0; i < m.count; i++) SNUG_TRY(write_shard(&m, &m.shards[i]));
    SNUG_TRY(write_index(&m));
    SNUG_TRY(copy_others(&m));
    SNUG_TRY(write_config(&m, tied && !m.shape.tied)); /* last: the folder is whole */
    *report = (model_merged){m.w->count, m.count, m.bytes};
done:
    snug_arena_free(a);
    return st;
}
