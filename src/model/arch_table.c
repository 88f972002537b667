/* SPDX-License-Identifier: Apache-2.0 */
/* model/arch_table.c - the architectures of this build. A new row also needs: its file in arch/, a
 * tiny reference checkpoint in tests/golden/model/, a line in docs/models.md. */
#include "model/model_int.h"

static const model_arch *const archs[] = {&arch_llama, &arch_distilbert};

const model_arch *model_arch_at(size_t index)
{
    return index < sizeof archs / sizeof archs[0] ? archs[index] : NULL;
}
