/* SPDX-License-Identifier: Apache-2.0 */
/* infer/task/text_generation.c - continues a text: [{"generated_text", "details"?}]. With
 * "return_full_text": true the prompt comes first. */
#include "infer/infer_int.h"

static bool collect(void *arg, snug_slice piece)
{
    snug_buf_put_slice(arg, piece);
    return true;
}

static const char *finish_name(gen_finish f)
{
    switch (f) {
    case GEN_EOS: return "eos_token";
    case GEN_STOP: return "stop_sequence";
    case GEN_LENGTH:
    case GEN_CALLER: break;
    }
    return "length";
}

static snug_status one(infer_ctx *c, snug_json input, snug_json params, snug_json_out *out,
                       snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_slice  prompt;
    text_result r = {0};
    SNUG_AUTO(snug_buf) text = snug_buf_init(INFER_TEXT_BYTES_MAX);
    if (!snug_json_to_str(input, &prompt)) SNUG_FAIL(err, SNUG_EINVAL, "an input must be a string");
    if (snug_json_bool_or(params, "return_full_text", false)) snug_buf_put_slice(&text, prompt);
    SNUG_TRY(text_generate(c, prompt, params, collect, &text, &r, err));
    SNUG_TRY(snug_buf_check(&text, "generated text", err));
    snug_jo_begin_object(out);
    snug_jo_kstr(out, "generated_text", snug_buf_slice(&text));
    if (snug_json_bool_or(params, "details", false)) {
        snug_jo_key(out, "details");
        snug_jo_begin_object(out);
        snug_jo_kcstr(out, "finish_reason", finish_name(r.finish));
        snug_jo_ku64(out, "generated_tokens", r.generated_tokens);
        snug_jo_ku64(out, "input_length", r.prompt_tokens);
        snug_jo_ku64(out, "seed", r.seed);
        snug_jo_end_object(out);
    }
    snug_jo_end_object(out);
done:
    return st;
}

/* A single prompt gives [{...}], several give [[{...}], ...]. */
static snug_status wrapped(infer_ctx *c, snug_json input, snug_json params, snug_json_out *out,
                           snug_err *err)
{
    snug_jo_begin_array(out);
    snug_status st = one(c, input, params, out, err);
    snug_jo_end_array(out);
    return st;
}

static snug_status run(infer_ctx *c, snug_json in, snug_json_out *out, snug_err *err)
{
    return task_each_input(c, in, false, out, wrapped, err);
}

const infer_task task_text_generation = {
    .name = "text-generation", .help = "Continues a text", .run = run};
