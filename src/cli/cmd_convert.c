/* SPDX-License-Identifier: Apache-2.0 */
/* cli/cmd_convert.c - snug convert: checkpoints that are safe become safetensors files. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli_int.h"
#include "codec/codec.h"

enum { INDEX_MAX = 64 * 1024 * 1024, COPY_BYTES = 1024 * 1024, FILES_MAX = 10000 };

typedef struct job {
    cli          *c;
    const char  **paths;
    size_t        path_count;
    codec_view  **views; /* of all files */
    codec_tensor *tensors;
    size_t        count, skipped, files;
    const char   *format;
    snug_err     *err;
} job;

/* ---- which files ---- */

static bool is_plain_name(snug_slice name)
{
    return name.len > 0 && name.len < 256 && name.ptr[0] != '.' &&
           snug_index(name, '/') == SIZE_MAX && snug_index(name, '\0') == SIZE_MAX;
}

static snug_status add_path(job *j, const char *dir, snug_slice name)
{
    const char *path = snug_arena_printf(j->c->arena, "%s/%.*s", dir, SNUG_SLICE(name)).ptr;
    for (size_t i = 0; i < j->path_count; i++) {
        if (strcmp(j->paths[i], path) == 0) return SNUG_OK;
    }
    if (j->path_count == FILES_MAX)
        return snug_fail(j->err, SNUG_ELIMIT, "more than %d files", FILES_MAX);
    j->paths[j->path_count++] = path;
    return SNUG_OK;
}

/* The files a pytorch_model.bin.index.json names. */
static snug_status read_index(job *j, const char *dir, const char *index)
{
    snug_slice  text, name;
    snug_json   root;
    snug_status st = snug_read_file(j->c->arena, index, INDEX_MAX, &text, j->err);
    if (st == SNUG_OK) st = snug_json_parse(j->c->arena, text, NULL, &root, j->err);
    if (st != SNUG_OK) return st;
    for (snug_json_iter it = snug_json_iter_of(snug_json_get(root, "weight_map"));
         snug_json_next(&it) && st == SNUG_OK;) {
        if (!snug_json_to_str(it.value, &name) || !is_plain_name(name))
            return snug_fail(j->err, SNUG_ECORRUPT, "%s names a file outside its folder", index);
        st = add_path(j, dir, name);
    }
    return st;
}

static bool is_weight_file(snug_slice name)
{
    static const char *const ends[] = {".bin", ".pt", ".pth", ".ckpt"}, *const others[] = {
                                                                            "training_args",
                                                                            "optimizer",
                                                                            "scheduler",
                                                                            "rng_state", "scaler"};
    bool fits = false;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) fits |= snug_ends_with(name, ends[i]);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        fits &= !snug_starts_with(name, others[i]);
    return fits && is_plain_name(name);
}

static snug_status find_in_dir(job *j, const char *dir)
{
    const char *index = snug_arena_printf(j->c->arena, "%s/pytorch_model.bin.index.json", dir).ptr;
    struct dirent **names;
    snug_status     st = SNUG_OK;
    if (access(index, F_OK) == 0) return read_index(j, dir, index);
    int n = scandir(dir, &names, NULL, alphasort);
    if (n < 0) return snug_fail(j->err, SNUG_EIO, "%s cannot be read: %s", dir, strerror(errno));
    for (int i = 0; i < n; i++) {
        if (st == SNUG_OK && is_weight_file(snug_str(names[i]->d_name)))
            st = add_path(j, dir, snug_str(names[i]->d_name));
        free(names[i]);
    }
    free(names);
    if (st == SNUG_OK && j->path_count == 0)
        st = snug_fail(j->err, SNUG_ENOTFOUND,
                       "%s holds no checkpoint: no .bin, .pt, .pth or .ckpt", dir);
    return st;
}

/* ---- reading ---- */

static void close_map(void *p) { snug_map_deinit(p); }

static snug_status open_one(job *j, const char *path)
{
    snug_map        *map = SNUG_NEW(j->c->arena, snug_map);
    codec_checkpoint ck;
    snug_status      st = snug_map_open(path, map, j->err);
    if (st == SNUG_OK) {
        snug_arena_on_free(j->c->arena, close_map, map);
        st = codec_checkpoint_open(j->c->arena, snug_slice_of(map->ptr, map->len), &ck, j->err);
    }
    if (st != SNUG_OK) {
        snug_note(j->err, "%s", path);
        return st;
    }
    size_t        total = j->count + ck.count;
    codec_view  **views = snug_arena_array_try(j->c->arena, total, sizeof *views);
    codec_tensor *tensors = snug_arena_array_try(j->c->arena, total, sizeof *tensors);
    if (views == NULL || tensors == NULL)
        return snug_fail(j->err, SNUG_ENOMEM, "no memory for %zu tensors", total);
    for (size_t i = 0; i < total; i++) {
        views[i] = i < j->count ? j->views[i] : &ck.tensors[i - j->count];
        tensors[i] = views[i]->tensor;
    }
    j->views = views;
    j->tensors = tensors;
    j->count = total;
    j->skipped += ck.skipped;
    j->format = ck.format;
    if (ck.root.len > 0)
        cli_note(j->c, "%s: took the tensors under \"%.*s\"\n", path, SNUG_SLICE(ck.root));
    return SNUG_OK;
}

/* ---- writing ---- */

static snug_status write_tensors(job *j, const codec_shard *part, int fd)
{
    char       *piece = snug_alloc(COPY_BYTES);
    snug_status st = SNUG_OK;
    for (size_t i = part->first; i < part->first + part->count && st == SNUG_OK; i++) {
        unsigned size = codec_dtype_bits(j->tensors[i].dtype) / 8;
        uint64_t left = j->tensors[i].size / size, at = 0;
        while (left > 0 && st == SNUG_OK) {
            uint64_t n = left < COPY_BYTES / size ? left : COPY_BYTES / size;
            codec_view_copy(j->views[i], at, n, piece);
            st = snug_write_all(fd, piece, (size_t)n * size, j->err);
            at += n;
            left -= n;
        }
    }
    free(piece);
    return st;
}

/* A file appears under its name when it is whole: `part`'s tensors behind `head`, or `head` alone.
 */
static snug_status write_whole(job *j, const char *path, const snug_buf *head,
                               const codec_shard *part)
{
    const char *tmp =
        snug_arena_printf(j->c->arena, "%s.tmp.%" PRIx64, path, snug_random_u64()).ptr;
    SNUG_AUTO(snug_fd) f = {open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666)};
    if (f.fd < 0)
        return snug_fail(j->err, SNUG_EIO, "%s cannot be written: %s", path, strerror(errno));
    snug_status st = snug_write_all(f.fd, head->ptr, head->len, j->err);
    if (st == SNUG_OK && part != NULL) st = write_tensors(j, part, f.fd);
    if (st == SNUG_OK && fsync(f.fd) != 0) st = snug_fail_sys(j->err, errno, "fsync %s", tmp);
    if (st == SNUG_OK && rename(tmp, path) != 0)
        st = snug_fail(j->err, SNUG_EIO, "%s cannot be written: %s", path, strerror(errno));
    if (st != SNUG_OK) (void)unlink(tmp);
    return st;
}

static snug_status write_shard(job *j, const char *path, const codec_shard *part, uint64_t *bytes)
{
    SNUG_AUTO(snug_buf) head = snug_buf_init(CODEC_ST_HEADER_MAX + 8);
    snug_json   metadata;
    snug_status st = SNUG_OK;
    SNUG_TRY(
        snug_json_parse(j->c->arena, SNUG_LIT("{\"format\":\"pt\"}"), NULL, &metadata, j->err));
    SNUG_TRY(codec_safetensors_write_header(j->tensors + part->first, part->count, metadata, &head,
                                            j->err));
    SNUG_TRY(write_whole(j, path, &head, part));
    *bytes += head.len + part->size;
done:
    return st;
}

/* One file named `out`, or files of at most `shard_max` bytes beside each other and their index,
 * which is written last: a reader that finds it finds them all. */
static snug_status write_model(job *j, const char *out, uint64_t shard_max, uint64_t *bytes)
{
    SNUG_AUTO(snug_buf) index = snug_buf_init(INDEX_MAX);
    snug_arena *a = j->c->arena;
    const char *slash = strrchr(out, '/'), *name = slash == NULL ? out : slash + 1;
    size_t stem_size = strlen(name) - (snug_ends_with(snug_str(name), ".safetensors") ? 12 : 0);
    const char  *stem = snug_arena_printf(a, "%.*s", (int)stem_size, name).ptr;
    codec_shard *shards;
    snug_status  st = SNUG_OK;

    SNUG_TRY(
        codec_shards_plan(a, j->tensors, j->count, shard_max, stem, &shards, &j->files, j->err));
    if (j->files == 1) return write_shard(j, out, &shards[0], bytes);
    for (size_t i = 0; i < j->files; i++) {
        const char *path =
            snug_arena_printf(a, "%.*s%.*s", (int)(name - out), out, SNUG_SLICE(shards[i].name))
                .ptr;
        SNUG_TRY(write_shard(j, path, &shards[i], bytes));
    }
    SNUG_TRY(codec_shards_put_index(j->tensors, shards, j->files, &index, j->err));
    st = write_whole(
        j, snug_arena_printf(a, "%.*s%s.safetensors.index.json", (int)(name - out), out, stem).ptr,
        &index, NULL);
done:
    return st;
}

static int by_width_and_name(const void *x, const void *y)
{
    const codec_tensor *a = &(*(codec_view *const *)x)->tensor,
                       *b = &(*(codec_view *const *)y)->tensor;
    unsigned wa = codec_dtype_bits(a->dtype), wb = codec_dtype_bits(b->dtype);
    if (wa != wb) return wa > wb ? -1 : 1;
    return snug_cmp(a->name, b->name);
}

static void report(const job *j, const char *out, uint64_t bytes)
{
    char human[16];
    if (j->c->json) {
        SNUG_AUTO(snug_buf) b = snug_buf_init(64 * 1024);
        snug_json_out o = snug_json_out_init(&b);
        snug_jo_begin_object(&o);
        snug_jo_kcstr(&o, "out", out);
        snug_jo_kcstr(&o, "format", j->format);
        snug_jo_ku64(&o, "files", j->files);
        snug_jo_ku64(&o, "tensors", j->count);
        snug_jo_ku64(&o, "bytes", bytes);
        snug_jo_ku64(&o, "skipped", j->skipped);
        snug_jo_end_object(&o);
        cli_print_json(&b);
        return;
    }
    snug_size_human(bytes, human);
    if (j->files > 1)
        cli_say(j->c, "%s: %zu tensors, %s in %zu files and an index\n", out, j->count, human,
                j->files);
    else
        cli_say(j->c, "%s: %zu tensor%s, %s\n", out, j->count, j->count == 1 ? "" : "s", human);
    if (j->skipped > 0)
        cli_note(j->c, "left out: %zu value%s that a safetensors file cannot hold\n", j->skipped,
                 j->skipped == 1 ? "" : "s");
}

static snug_status run(cli *c, const cli_args *a, snug_err *err)
{
    struct stat s;
    const char *in = cli_pos(a, 0), *out = cli_flag_value(a, "out");
    const char *max = cli_flag_value(a, "max-shard-size");
    uint64_t    bytes = 0, shard_max = UINT64_MAX;
    snug_status st = SNUG_OK;
    job j = {.c = c, .err = err, .paths = snug_arena_zalloc(c->arena, FILES_MAX * sizeof *j.paths)};

    if (out == NULL) SNUG_FAIL(err, SNUG_EINVAL, "convert needs --out FILE");
    if (max != NULL && (!snug_parse_size(snug_str(max), &shard_max) || shard_max == 0))
        SNUG_FAIL(err, SNUG_EINVAL, "--max-shard-size takes a size such as 5GB, not \"%s\"", max);
    if (stat(in, &s) != 0)
        SNUG_FAIL(err, errno == ENOENT ? SNUG_ENOTFOUND : SNUG_EIO, "%s: %s", in, strerror(errno));
    if (S_ISDIR(s.st_mode))
        SNUG_TRY(find_in_dir(&j, in));
    else
        j.paths[j.path_count++] = in;
    for (size_t i = 0; i < j.path_count; i++) SNUG_TRY(open_one(&j, j.paths[i]));
    /* Wide elements first, as the format's own writer does: then every tensor is aligned. */
    if (j.count > 1) qsort(j.views, j.count, sizeof(codec_view *), by_width_and_name);
    for (size_t i = 0; i < j.count; i++) {
        j.tensors[i] = j.views[i]->tensor;
        SNUG_TRY(codec_tensor_size(&j.tensors[i], &j.tensors[i].size, err));
    }
    SNUG_TRY(write_model(&j, out, shard_max, &bytes));
    report(&j, out, bytes);
done:
    return st;
}

static const cli_flag flags[] = {
    {"out", "FILE", "the safetensors file to write (-o for short)"},
    {"max-shard-size", "SIZE",
     "write several files of at most this size (5GB, 500MiB) and an index"},
    {NULL, NULL, NULL}};
static const char *const examples[] = {
    "snug convert pytorch_model.bin -o model.safetensors",
    "write the tensors of a checkpoint without running it",
    "snug convert ./model -o model.safetensors",
    "all checkpoint files of a folder, or those its index names",
    "snug convert ./model -o model.safetensors --max-shard-size 5GB",
    "model-00001-of-0000N.safetensors and "
    "model.safetensors.index.json",
    "snug convert arrays.npz -o arrays.safetensors",
    "numpy arrays",
    NULL};

const cli_command cli_cmd_convert = {
    .name = "convert",
    .args = "FILE_OR_DIR",
    .summary = "turn a safe checkpoint into safetensors",
    .help =
        "Reads torch checkpoints (new and old), pickles of numpy arrays, .npy and .npz, and writes "
        "one safetensors file, or several with an index. Nothing in the input is executed, and "
        "only files that snug scan calls "
        "safe "
        "are read; otherwise the import that stands in the way is named.\n\n"
        "Nested names are joined by dots. When the tensors lie under state_dict, model_state_dict, "
        "model, module, net or params, only those are taken. Tensors that share memory are written "
        "out each.",
    .flags = flags,
    .min = 1,
    .max = 1,
    .examples = examples,
    .exits = "0 2 3 6 7 9 74",
    .run = run,
};
