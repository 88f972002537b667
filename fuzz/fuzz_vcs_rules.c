/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz: vcs
 * fuzz/fuzz_vcs_rules.c - a rule file and a path, a NUL between them. Both readings of the rules
 * must end soon, and asking twice must give the same answer. */
#include "vcs/vcs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 1 << 16) return 0;
    snug_slice all = snug_slice_of(data, size);
    size_t     cut = snug_index(all, '\0');
    snug_slice text = cut == SIZE_MAX ? all : snug_sub(all, 0, cut);
    snug_slice path = cut == SIZE_MAX ? SNUG_LIT("d/e/file.bin") : snug_sub(all, cut + 1, 512);

    snug_arena *a = snug_arena_new();
    vcs_rules  *r = vcs_rules_new(a);
    vcs_rules_add(r, SNUG_EMPTY, text, true);
    vcs_rules_add(r, SNUG_EMPTY, text, false);
    vcs_rules_add(r, SNUG_LIT("d"), text, true);
    vcs_rules_add(r, SNUG_LIT("d"), text, false);
    bool lfs = vcs_rules_is_lfs(r, path), ignored = vcs_rules_is_ignored(r, path);
    SNUG_ASSERT(lfs == vcs_rules_is_lfs(r, path));
    SNUG_ASSERT(ignored == vcs_rules_is_ignored(r, path));
    snug_arena_free(a);
    return 0;
}
