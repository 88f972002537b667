/* SPDX-License-Identifier: Apache-2.0 */
/* model/arch_table.c - the architectures of this build. A new row also needs: its file in arch/, a
 * tiny reference checkpoint in tests/golden/model/, a line in docs/models.md. */
#include "model/model_int.h"

static const model_arch *const families[] = {
    arch_llama,   arch_gemma,      arch_olmo,   arch_cohere,  arch_phi,     arch_mixed,
    arch_moe,     arch_deepseek,   arch_gpt2,   arch_neox,    arch_opt,     arch_bloom,
    arch_bert,    arch_distilbert, arch_albert, arch_mpnet,   arch_deberta, arch_modernbert,
    arch_nomic,   arch_t5,         arch_bart,   arch_mamba,   arch_hybrid,  arch_qwen_next,
    arch_gemma3n, arch_gemma4,     arch_jina,   arch_chatglm,
};

const model_arch *model_arch_at(size_t index)
{
    for (size_t f = 0; f < sizeof families / sizeof families[0]; f++)
        for (const model_arch *a = families[f]; a->model_type != NULL; a++)
            if (index-- == 0) return a;
    return NULL;
}
