/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_infer_generate.c - the sample models: load time, prompt and generated tokens per
 * second, sentences per second. Prints one JSON
 * object. usage: bench_infer_generate SAMPLES_FOLDER */
#include <stdlib.h>

#include "infer/infer_int.h"

static double seconds_since(uint64_t start) { return (double)(snug_mono_ns() - start) / 1e9; }

static void must(snug_status st, const snug_err *err)
{
    if (st == SNUG_OK) return;
    (void)fprintf(stderr, "%s\n", err->msg);
    exit(1);
}

static bool ignore(void *arg, snug_slice piece)
{
    *(size_t *)arg += piece.len;
    return true;
}

static infer_ctx *open_timed(snug_arena *a, const char *dir, const char *name, const char *key,
                             snug_json_out *o)
{
    infer_ctx *c = NULL;
    snug_err   err;
    uint64_t   start = snug_mono_ns();
    must(infer_open(snug_arena_printf(a, "%s/%s", dir, name).ptr, &c, &err), &err);
    snug_jo_kf64(o, key, seconds_since(start) * 1e3);
    return c;
}

/* Twice; the first run warms up. */
static void bench_generate(infer_ctx *c, snug_arena *a, snug_json_out *o)
{
    snug_json   params, one;
    snug_err    err;
    text_result r = {0};
    size_t      bytes = 0;
    double      prompt_s = 0, all_s = 0;
    SNUG_AUTO(snug_buf) prompt = snug_buf_init(1u << 20);
    for (int i = 0; i < 24; i++)
        snug_buf_puts(&prompt, "ROMEO:\nWhat light through yonder window breaks?\n\n");
    must(snug_json_parse(a, SNUG_LIT("{\"max_new_tokens\": 1, \"truncate\": 256}"), NULL, &one,
                         &err),
         &err);
    must(snug_json_parse(a, SNUG_LIT("{\"max_new_tokens\": 200, \"eos_token_id\": []}"), NULL,
                         &params, &err),
         &err);
    for (int pass = 0; pass < 2; pass++) {
        uint64_t start = snug_mono_ns();
        must(text_generate(c, snug_buf_slice(&prompt), one, ignore, &bytes, &r, &err), &err);
        prompt_s = seconds_since(start);
    }
    snug_jo_ku64(o, "prompt_tokens", r.prompt_tokens);
    snug_jo_kf64(o, "prompt_tokens_per_s", (double)r.prompt_tokens / prompt_s);
    for (int pass = 0; pass < 2; pass++) {
        uint64_t start = snug_mono_ns();
        must(text_generate(c, SNUG_LIT("ROMEO:\n"), params, ignore, &bytes, &r, &err), &err);
        all_s = seconds_since(start);
    }
    snug_jo_ku64(o, "generated_tokens", r.generated_tokens);
    snug_jo_kf64(o, "generated_tokens_per_s", (double)r.generated_tokens / all_s);
}

static void bench_classify(infer_ctx *c, snug_arena *a, snug_json_out *o)
{
    enum { ROUNDS = 500 };
    snug_json in;
    snug_err  err;
    double    s = 0;
    must(snug_json_parse(
             a,
             SNUG_LIT(
                 "{\"inputs\": \"This is one of the best films of the year, warm and funny.\"}"),
             NULL, &in, &err),
         &err);
    SNUG_AUTO(snug_buf) answer = snug_buf_init(1u << 20);
    for (int pass = 0; pass < 2; pass++) {
        uint64_t start = snug_mono_ns();
        for (int i = 0; i < ROUNDS; i++) {
            snug_json_out out = snug_json_out_init(&answer);
            snug_buf_clear(&answer);
            must(infer_default_task(c)->run(c, in, &out, &err), &err);
        }
        s = seconds_since(start);
    }
    snug_jo_kf64(o, "sentences_per_s", ROUNDS / s);
}

int main(int argc, char **argv)
{
    const char *dir = argc > 1 ? argv[1] : "samples/models";
    snug_arena *a = snug_arena_new();
    SNUG_AUTO(snug_buf) text = snug_buf_init(1u << 16);
    snug_json_out o = snug_json_out_init(&text);
    o.pretty = true;
    snug_jo_begin_object(&o);
    snug_jo_kcstr(&o, "backend", tensor_backend_best()->name);
    snug_jo_ku64(&o, "threads", snug_cpu_count());
    infer_ctx *plays = open_timed(a, dir, "shakespeare-tiny", "shakespeare_load_ms", &o);
    infer_ctx *mood = open_timed(a, dir, "sentiment-tiny", "sentiment_load_ms", &o);
    bench_generate(plays, a, &o);
    bench_classify(mood, a, &o);
    snug_jo_end_object(&o);
    printf("%s\n", snug_buf_cstr(&text));
    infer_close(plays);
    infer_close(mood);
    snug_arena_free(a);
    return 0;
}
