/* SPDX-License-Identifier: Apache-2.0 */
/* cli/cmd_merge_adapter.c - snug merge-adapter: a model with an adapter's changes in its weights.
 */
#include "cli/find_model.h"
#include "infer/infer.h"

static const uint64_t SHARD_BYTES = 5000000000; /* as the libraries cut by default */

static snug_status shard_size(const cli_args *a, uint64_t *out, snug_err *err)
{
    const char *text = cli_flag_value(a, "shard-size");
    *out = SHARD_BYTES;
    if (text == NULL || (snug_parse_size(snug_str(text), out) && *out > 0)) return SNUG_OK;
    return snug_fail(err, SNUG_EINVAL, "--shard-size takes a size such as 5GB, not \"%s\"", text);
}

static snug_status run(cli *c, const cli_args *a, snug_err *err)
{
    snug_status  st = SNUG_OK;
    const char  *out = cli_flag_value(a, "out"), *base, *adapter;
    uint64_t     shard;
    infer_merged done;
    char         human[16];
    if (out == NULL) SNUG_FAIL(err, SNUG_EINVAL, "merge-adapter needs --out DIR");
    SNUG_TRY(shard_size(a, &shard, err));
    SNUG_TRY(cli_find_model(c, a, &base, err));
    SNUG_TRY(cli_find_named(c, a, cli_pos(a, 1), &adapter, err));
    SNUG_TRY(infer_merge_adapter(base, adapter, shard, out, &done, err));
    if (c->json) {
        SNUG_AUTO(snug_buf) b = snug_buf_init(64 * 1024);
        snug_json_out o = snug_json_out_init(&b);
        snug_jo_begin_object(&o);
        snug_jo_kcstr(&o, "out", out);
        snug_jo_ku64(&o, "tensors", done.tensors);
        snug_jo_ku64(&o, "files", done.files);
        snug_jo_ku64(&o, "bytes", done.bytes);
        snug_jo_end_object(&o);
        cli_print_json(&b);
        goto done;
    }
    snug_size_human(done.bytes, human);
    cli_say(c, "%s: %zu tensors in %zu file%s, %s\n", out, done.tensors, done.files,
            done.files == 1 ? "" : "s", human);
done:
    return st;
}

static const cli_flag flags[] = {
    {"out", "DIR", "the folder to write, new or empty (-o for short)"},
    {"shard-size", "SIZE", "cut the weights into files of at most SIZE (default 5GB)"},
    {"revision", "REV", "of a repository: branch, tag or commit (default main)"},
    {NULL, NULL, NULL}};
static const char *const examples[] = {
    "snug merge-adapter ./model ./my-lora -o ./merged", "fold a LoRA into the weights",
    "snug merge-adapter ada/model ada/my-lora -o ./merged --shard-size 2GB",
    "fetch both first; files of at most two gigabytes", NULL};

const cli_command cli_cmd_merge_adapter = {
    .name = "merge-adapter",
    .args = "MODEL ADAPTER",
    .summary = "write a model with an adapter merged into its weights",
    .help = "MODEL and ADAPTER are folders, or repositories that are fetched into the cache first. "
            "The adapter is a LoRA, rsLoRA or DoRA as peft saves it (adapter_config.json and "
            "adapter_model.safetensors). The folder that is written holds safetensors of the same "
            "types, config.json, and the model's other files; nothing of it needs the adapter any "
            "more. To use an adapter without writing a model: snug run --adapter.",
    .flags = flags,
    .groups = CLI_FIND_MODEL_GROUPS,
    .min = 2,
    .max = 2,
    .examples = examples,
    .exits = "0 2 3 4 6 7 8 9 10 74 130",
    .run = run,
};
