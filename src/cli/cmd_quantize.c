/* SPDX-License-Identifier: Apache-2.0 */
/* cli/cmd_quantize.c - snug quantize: a model with fewer bits, as a GGUF file. */
#include "cli/find_model.h"
#include "infer/infer.h"

static bool go_on(void *arg, size_t done, size_t tensors)
{
    (void)done;
    (void)tensors;
    return !atomic_load((const atomic_bool *)arg);
}

static void list_types(snug_buf *b)
{
    for (size_t i = 0; infer_quantize_type(i) != NULL; i++)
        snug_buf_printf(b, "%s%s", i == 0 ? "" : " ", infer_quantize_type(i));
}

static void report(const cli *c, const char *out, const char *type, const infer_quantized *r)
{
    char human[16];
    if (c->json) {
        SNUG_AUTO(snug_buf) b = snug_buf_init(64 * 1024);
        snug_json_out o = snug_json_out_init(&b);
        snug_jo_begin_object(&o);
        snug_jo_kcstr(&o, "out", out);
        snug_jo_kcstr(&o, "type", type);
        snug_jo_ku64(&o, "tensors", r->tensors);
        snug_jo_ku64(&o, "bytes", r->bytes);
        snug_jo_kbool(&o, "tokenizer", r->tokenizer);
        snug_jo_end_object(&o);
        cli_print_json(&b);
        return;
    }
    snug_size_human(r->bytes, human);
    cli_say(c, "%s: %zu tensors, %s\n", out, r->tensors, human);
    if (!r->tokenizer) cli_note(c, "there is no tokenizer.json: the file holds no tokenizer\n");
}

static snug_status run(cli *c, const cli_args *a, snug_err *err)
{
    snug_status         st = SNUG_OK;
    const char         *type = cli_flag_value(a, "type"), *out = cli_flag_value(a, "out"), *path;
    infer_quantized     done;
    snug_buf            types = snug_buf_init(4096);
    bool                known = false;
    const atomic_bool  *stop = cli_watch_interrupt();
    infer_quantize_opts o = {
        .type = snug_str(type), .progress = go_on, .progress_arg = (void *)(uintptr_t)stop};
    list_types(&types);
    for (size_t i = 0; type != NULL && infer_quantize_type(i) != NULL; i++)
        known |= snug_eq_nocase(o.type, snug_str(infer_quantize_type(i)));
    if (!known)
        SNUG_FAIL(err, SNUG_EINVAL, "quantize needs --type TYPE, one of %s", snug_buf_cstr(&types));
    if (out == NULL) SNUG_FAIL(err, SNUG_EINVAL, "quantize needs --out FILE");
    SNUG_TRY(cli_find_model(c, a, &path, err));
    SNUG_TRY(infer_quantize(path, &o, out, &done, err));
    report(c, out, type, &done);
done:
    snug_buf_deinit(&types);
    return st;
}

static const cli_flag flags[] = {
    {"type", "TYPE", "Q4_K_M, Q8_0, F16, ...: see below"},
    {"out", "FILE", "the GGUF file to write (-o for short)"},
    {"revision", "REV", "of a repository: branch, tag or commit (default main)"},
    {NULL, NULL, NULL}};
static const char *const examples[] = {
    "snug quantize ./model --type Q4_K_M -o model-Q4_K_M.gguf",
    "4 to 6 bits a weight",
    "snug quantize ada/my-model --type Q8_0 -o my-model.gguf",
    "fetch a repository first; 8 bits, hardly a loss",
    "snug quantize model-BF16.gguf --type Q5_K_M -o model-Q5_K_M.gguf",
    "from one GGUF file to another",
    NULL};

const cli_command cli_cmd_quantize = {
    .name = "quantize",
    .args = "MODEL",
    .summary = "write a model as a GGUF file with fewer bits a weight",
    .help =
        "MODEL is a folder, a GGUF file, or a repository that is fetched into the cache first. "
        "The file holds the weights, the configuration, the tokenizer and the chat template; "
        "llama.cpp and programs built on it read it too.\n\n"
        "Types: F32 F16 BF16; Q8_0 Q5_0 Q5_1 Q4_0 Q4_1; Q2_K Q2_K_S Q3_K_S Q3_K_M Q3_K_L Q4_K_S "
        "Q4_K_M Q5_K_S Q5_K_M Q6_K; MXFP4_MOE. The mixes ending in S, M and L give the tensors "
        "that suffer most a few bits more, as llama-quantize does.",
    .flags = flags,
    .groups = CLI_FIND_MODEL_GROUPS,
    .min = 1,
    .max = 1,
    .examples = examples,
    .exits = "0 2 3 4 6 7 8 9 10 74 130",
    .run = run,
};
