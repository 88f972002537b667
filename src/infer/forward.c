/* SPDX-License-Identifier: Apache-2.0 */
/* infer/forward.c - `snug forward`: tensors from a file through a class into a file.
 *
 * For:     the command line and the parity tests.
 * Owns:    everything for the length of one call.
 * Threads: one.
 * Truth:   an input the class does not take is refused by name, not passed over. */
#include "infer/infer_int.h"

#include <stdlib.h>

#include "codec/codec.h"

/* What a file gives: in.input_ids, in.attention_mask, in.position_ids, all of one shape. */
typedef struct forward_in {
    size_t   batch, times;
    int32_t *ids, *mask, *positions, *types;
    size_t   decoder_times;
    int32_t *decoder_ids;
} forward_in;

static snug_status read_integers(snug_arena *a, const codec_tensor *t, snug_slice bytes,
                                 forward_in *in, int32_t **out, snug_err *err)
{
    size_t batch = t->rank == 2 ? (size_t)t->shape[0] : 1,
           times = t->rank == 0 ? 0 : (size_t)t->shape[t->rank - 1];
    if (t->rank < 1 || t->rank > 2)
        return snug_fail(err, SNUG_EINVAL, "%.*s has %u dimensions; [batch, tokens] is wanted",
                         SNUG_SLICE(t->name), t->rank);
    if (in->times != 0 && (batch != in->batch || times != in->times))
        return snug_fail(err, SNUG_EINVAL,
                         "%.*s is [%zu, %zu]; the inputs before it are [%zu, %zu]",
                         SNUG_SLICE(t->name), batch, times, in->batch, in->times);
    if (batch == 0 || times == 0)
        return snug_fail(err, SNUG_EINVAL, "%.*s is empty", SNUG_SLICE(t->name));
    if (batch > MODEL_BATCH_TOKENS_MAX || times > MODEL_BATCH_TOKENS_MAX / batch)
        return snug_fail(err, SNUG_ELIMIT, "%.*s holds more than %d tokens", SNUG_SLICE(t->name),
                         MODEL_BATCH_TOKENS_MAX);
    *out = snug_arena_array_try(a, batch * times, sizeof **out);
    if (*out == NULL) return snug_fail(err, SNUG_ENOMEM, "no memory for %.*s", SNUG_SLICE(t->name));
    for (size_t i = 0; i < batch * times; i++) {
        double v = codec_dtype_read(t->dtype, bytes.ptr, i);
        if (!(v >= INT32_MIN && v <= INT32_MAX) || v != (double)(int32_t)v)
            return snug_fail(err, SNUG_EINVAL, "%.*s holds %g, which is no 32-bit integer",
                             SNUG_SLICE(t->name), v);
        (*out)[i] = (int32_t)v;
    }
    in->batch = batch;
    in->times = times;
    return SNUG_OK;
}

static snug_status read_inputs(snug_arena *a, const snug_map *file, const char *class_name,
                               forward_in *in, snug_err *err)
{
    snug_status       st = SNUG_OK;
    size_t            decoder_rows = 0;
    codec_safetensors s;
    snug_slice        all = snug_slice_of(file->ptr, file->len);
    SNUG_TRY(codec_safetensors_parse(a, all, file->len, &s, err));
    for (size_t i = 0; i < s.count; i++) {
        const codec_tensor *t = &s.tensors[i];
        if (!snug_starts_with(t->name, "in.")) continue; /* a reference file holds its out.* too */
        int32_t **slot = snug_eq_str(t->name, "in.input_ids")        ? &in->ids
                         : snug_eq_str(t->name, "in.attention_mask") ? &in->mask
                         : snug_eq_str(t->name, "in.position_ids")   ? &in->positions
                         : snug_eq_str(t->name, "in.token_type_ids") ? &in->types
                                                                     : NULL;
        if (snug_eq_str(t->name, "in.decoder_input_ids")) { /* of a length of its own */
            forward_in other = {0};
            SNUG_TRY(read_integers(
                a, t, snug_sub(all, (size_t)(s.data_offset + t->offset), (size_t)t->size), &other,
                &in->decoder_ids, err));
            in->decoder_times = other.times;
            decoder_rows = other.batch;
            continue;
        }
        if (slot == NULL)
            SNUG_FAIL(err, SNUG_EUNSUPPORTED, "%s takes no %.*s", class_name, SNUG_SLICE(t->name));
        SNUG_TRY(read_integers(a, t,
                               snug_sub(all, (size_t)(s.data_offset + t->offset), (size_t)t->size),
                               in, slot, err));
    }
    if (in->decoder_ids != NULL && decoder_rows != in->batch)
        SNUG_FAIL(err, SNUG_EINVAL, "in.decoder_input_ids has %zu rows, in.input_ids %zu",
                  decoder_rows, in->batch);
    if (in->ids == NULL) SNUG_FAIL(err, SNUG_EINVAL, "the input file has no tensor in.input_ids");
done:
    return st;
}

/* ---- outputs ---- */

#define OUT_BYTES_MAX ((size_t)1 << 35)

static snug_status describe(snug_arena *a, const model_out *out, codec_tensor *list, size_t *bytes)
{
    *bytes = 0;
    for (size_t i = 0; i < out->count; i++) {
        const tensor *t = &out->item[i].value;
        list[i] = (codec_tensor){.name = snug_arena_printf(a, "out.%s", out->item[i].name),
                                 .dtype = CODEC_F32,
                                 .rank = t->rank};
        for (unsigned k = 0; k < t->rank; k++) list[i].shape[k] = t->shape[k];
        *bytes += tensor_size(t);
    }
    return SNUG_OK;
}

static snug_status write_outputs(snug_arena *a, const model_out *out, const char *path,
                                 snug_err *err)
{
    snug_status  st = SNUG_OK;
    codec_tensor list[MODEL_OUT_MAX];
    size_t       bytes;
    SNUG_AUTO(snug_buf) file = snug_buf_init(OUT_BYTES_MAX);
    SNUG_TRY(describe(a, out, list, &bytes));
    SNUG_TRY(codec_safetensors_write_header(list, out->count, (snug_json){NULL}, &file, err));
    size_t start = file.len;
    if (bytes > OUT_BYTES_MAX - start || !snug_buf_reserve(&file, bytes))
        SNUG_FAIL(err, SNUG_ELIMIT, "%zu bytes of outputs", bytes);
    for (size_t i = 0; i < out->count; i++)
        SNUG_TRY(tensor_get(&out->item[i].value, file.ptr + start + list[i].offset,
                            tensor_size(&out->item[i].value), err));
    file.len = start + bytes;
    SNUG_TRY(snug_write_file_atomic(path, snug_buf_slice(&file), 0644, err));
done:
    return st;
}

/* ---- generation ---- */

/* Without a mask, padding ids are hidden when they cannot mean the end of a text. */
static void mask_padding(snug_arena *a, const gen_conf *conf, forward_in *in)
{
    size_t n = in->batch * in->times;
    bool   any = false;
    if (in->mask != NULL || conf->pad < 0 || gen_is_eos(conf, conf->pad)) return;
    for (size_t i = 0; i < n; i++) any |= in->ids[i] == conf->pad;
    if (!any) return;
    in->mask = snug_arena_array_try(a, n, sizeof *in->mask);
    for (size_t i = 0; in->mask != NULL && i < n; i++) in->mask[i] = in->ids[i] != conf->pad;
}

static snug_status generate_ids(snug_arena *a, model *m, const char *dir, snug_json args,
                                forward_in *in, snug_buf *ids, snug_err *err)
{
    snug_status   st = SNUG_OK;
    gen_conf      conf;
    gen_result    rows = {0};
    model_memory *memory = NULL;
    snug_json     generation;
    SNUG_TRY(infer_read_json(a, dir, "generation_config.json", &generation, err));
    SNUG_TRY(
        gen_conf_read(a, args, generation, model_config(m), model_shape_of(m)->vocab, &conf, err));
    size_t given = model_shape_of(m)->head == MODEL_HEAD_SEQ2SEQ ? 1 : in->times;
    if (conf.max_new_tokens == SIZE_MAX)
        conf.max_new_tokens = conf.max_length == SIZE_MAX ? 20
                              : conf.max_length > given   ? conf.max_length - given
                                                          : 0;
    gen_prompt p = {.batch = in->batch, .times = in->times, .ids = in->ids, .mask = in->mask};
    if (model_shape_of(m)->head == MODEL_HEAD_SEQ2SEQ) {
        model_batch text = {
            .batch = in->batch, .times = in->times, .ids = in->ids, .mask = in->mask};
        SNUG_TRY(model_encode(m, &text, &memory, err));
        int32_t *starts = snug_arena_zalloc(a, in->batch * sizeof *starts);
        for (size_t i = 0; i < in->batch; i++)
            starts[i] = conf.start >= 0 ? conf.start : (int32_t)model_shape_of(m)->start;
        p = (gen_prompt){in->batch, 1, starts, NULL, memory, in->ids, in->times};
    } else {
        mask_padding(a, &conf, in);
        p.mask = in->mask;
    }
    if (conf.beams > 1)
        SNUG_TRY(gen_beam(m, &conf, &p, NULL, &rows, err));
    else
        SNUG_TRY(gen_run(m, &conf, &p, NULL, &rows, err));
    snug_json_out o = snug_json_out_init(ids);
    snug_jo_begin_array(&o);
    for (size_t b = 0; b < rows.batch; b++) {
        snug_jo_begin_array(&o);
        for (size_t i = 0; i < rows.times; i++) snug_jo_i64(&o, rows.ids[b * rows.times + i]);
        snug_jo_end_array(&o);
    }
    snug_jo_end_array(&o);
    SNUG_TRY(snug_buf_check(ids, "generated ids", err));
done:
    free(rows.ids);
    model_memory_free(memory);
    return st;
}

snug_status infer_forward_files(const char *dir, const char *class_name, const char *in_path,
                                const char *out_path, snug_json generate, snug_buf *ids,
                                snug_err *err)
{
    return infer_forward_adapted(dir, NULL, class_name, in_path, out_path, generate, ids, err);
}

snug_status infer_forward_adapted(const char *dir, const char *adapter, const char *class_name,
                                  const char *in_path, const char *out_path, snug_json generate,
                                  snug_buf *ids, snug_err *err)
{
    snug_status st = SNUG_OK;
    tensor_dev *dev = NULL;
    model      *m = NULL;
    model_out   out;
    forward_in  in = {0};
    snug_arena *a = snug_arena_new();
    SNUG_AUTO(snug_map) file = {NULL, 0};
    SNUG_TRY(tensor_dev_open(tensor_backend_best(), 0, &dev, err));
    SNUG_TRY(model_open_adapted(dir, adapter, snug_str(class_name), dev, &m, err));
    SNUG_TRY(snug_map_open(in_path, &file, err));
    st = read_inputs(a, &file, model_shape_of(m)->class_name, &in, err);
    if (st != SNUG_OK) {
        snug_note(err, "%s", in_path);
        goto done;
    }
    model_batch batch = {.batch = in.batch,
                         .times = in.times,
                         .ids = in.ids,
                         .positions = in.positions,
                         .types = in.types,
                         .decoder_ids = in.decoder_ids,
                         .decoder_times = in.decoder_times,
                         .mask = in.mask};
    SNUG_TRY(model_forward(m, &batch, &out, err));
    SNUG_TRY(write_outputs(a, &out, out_path, err));
    if (!snug_json_is(generate, SNUG_JSON_ABSENT) && !snug_json_is(generate, SNUG_JSON_NULL)) {
        SNUG_ASSERT(ids != NULL);
        SNUG_TRY(generate_ids(a, m, dir, generate, &in, ids, err));
    }
done:
    model_close(m);
    tensor_dev_close(dev);
    snug_arena_free(a);
    return st;
}
