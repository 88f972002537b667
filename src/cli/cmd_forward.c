/* SPDX-License-Identifier: Apache-2.0 */
/* cli/cmd_forward.c - snug forward: one pass of a model over tensors in a file, for comparing. */
#include "cli/find_model.h"
#include "infer/infer.h"

enum { OPTIONS_MAX = 1024 * 1024, IDS_MAX = 64 * 1024 * 1024 };

static snug_status need(const cli_args *a, const char *flag, const char **out, snug_err *err)
{
    *out = cli_flag_value(a, flag);
    return *out != NULL ? SNUG_OK : snug_fail(err, SNUG_EINVAL, "forward needs --%s FILE", flag);
}

static snug_status run(cli *c, const cli_args *a, snug_err *err)
{
    snug_status st = SNUG_OK;
    const char *in, *out, *generate = cli_flag_value(a, "generate");
    snug_json   options = {NULL};
    snug_buf    ids = snug_buf_init(IDS_MAX);
    SNUG_TRY(need(a, "in", &in, err));
    SNUG_TRY(need(a, "out", &out, err));
    if (generate != NULL) {
        if (strlen(generate) > OPTIONS_MAX)
            SNUG_FAIL(err, SNUG_ELIMIT, "--generate is longer than %d bytes", OPTIONS_MAX);
        st = snug_json_parse(c->arena, snug_str(generate), NULL, &options, err);
        if (st == SNUG_OK && !snug_json_is(options, SNUG_JSON_OBJECT))
            st =
                snug_fail(err, SNUG_EINVAL, "an object such as {\"max_new_tokens\": 16} is wanted");
        if (st != SNUG_OK) {
            snug_note(err, "--generate");
            goto done;
        }
    }
    const char *adapter = cli_flag_value(a, "adapter");
    if (adapter != NULL) SNUG_TRY(cli_find_named(c, a, adapter, &adapter, err));
    SNUG_TRY(infer_forward_adapted(cli_pos(a, 0), adapter, cli_flag_value(a, "class"), in, out,
                                   options, &ids, err));
    SNUG_TRY(snug_buf_check(&ids, "the list of ids", err));
    if (ids.len > 0) cli_print_json(&ids);
done:
    snug_buf_deinit(&ids);
    return st;
}

static const cli_flag flags[] = {
    {"in", "FILE", "safetensors file with the inputs: in.input_ids, in.attention_mask, ..."},
    {"out", "FILE", "safetensors file to write: out.logits, ..."},
    {"adapter", "ADAPTER", "a LoRA, rsLoRA or DoRA over the weights: a folder or a repository"},
    {"class", "CLASS", "model class (default: the first of architectures in config.json)"},
    {"generate", "JSON", "also generate with these settings and print the ids as JSON"},
    {NULL, NULL, NULL}};
static const char *const examples[] = {
    "snug forward ./model --in in.safetensors --out out.safetensors",
    "compute the outputs in float32",
    "snug forward ./m --in in.safetensors --out o.safetensors --generate '{\"max_new_tokens\": 8}'",
    "also continue the sequence", NULL};

const cli_command cli_cmd_forward = {
    .name = "forward",
    .args = "MODEL",
    .summary = "compute a model's outputs for given tensors",
    .help = "MODEL is a folder or a GGUF file. Reads the tensors named in.* from a file, runs the "
            "model once in float32 and writes "
            "out.* to another file. Meant for comparing with other implementations.",
    .flags = flags,
    .groups = CLI_FIND_MODEL_GROUPS,
    .min = 1,
    .max = 1,
    .examples = examples,
    .exits = "0 2 3 6 7 9 74",
    .run = run,
};
