/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz: infer - generation parameters from a request: refused, or a sampler that picks a token. */
#include "infer/infer_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { VOCAB = 37 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int32_t past_ids[] = {3, 7, 7, 36, 3, 7};
    snug_arena          *a = snug_arena_new();
    snug_json            params;
    gen_conf             conf;
    snug_json            none = {NULL};
    if (snug_json_parse(a, snug_slice_of(data, size), NULL, &params, NULL) == SNUG_OK &&
        gen_conf_read(a, params, none, none, VOCAB, &conf, NULL) == SNUG_OK) {
        float       logits[VOCAB];
        sampler    *s = sampler_new(&conf.sample, VOCAB);
        sample_past past = {.ids = past_ids,
                            .count = 6,
                            .generated = 2,
                            .eos = conf.eos,
                            .eos_count = conf.eos_count,
                            .limit = 9};
        for (size_t i = 0; i < VOCAB; i++)
            logits[i] = (float)((i * 2654435761u) % 41) / 4.0f - 5.0f;
        int32_t id = sampler_pick(s, &past, logits);
        SNUG_ASSERT(id >= 0 && id < VOCAB && conf.pad < VOCAB && conf.eos_count <= INFER_EOS_MAX);
        sampler_free(s);
    }
    snug_arena_free(a);
    return 0;
}
