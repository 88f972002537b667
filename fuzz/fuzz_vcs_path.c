/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz: vcs
 * fuzz/fuzz_vcs_path.c - any bytes as a path. An accepted one has no part that is empty, "." or
 * "..", neither between slashes nor between backslashes, and never the word .git alone. */
#include "vcs/vcs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_part(snug_slice part)
{
    SNUG_ASSERT(!snug_eq_str(part, ".") && !snug_eq_str(part, ".."));
    SNUG_ASSERT(!snug_eq_nocase(part, SNUG_LIT(".git")));
    SNUG_ASSERT(!snug_eq_nocase(part, SNUG_LIT("git~1")));
    SNUG_ASSERT(!snug_eq_nocase(snug_sub(part, 0, 5), SNUG_LIT(".git:")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    snug_slice path = snug_slice_of(data, size);
    (void)vcs_branch_name_ok(path);
    if (vcs_check_path(path, NULL) != SNUG_OK) return 0;
    SNUG_ASSERT(size > 0 && size <= 4096 && memchr(data, 0, size) == NULL);
    SNUG_ASSERT(data[0] != '/' && data[0] != '\\' && data[size - 1] != '/');
    snug_slice rest = path, part, piece;
    while (snug_split(&rest, '/', &part)) {
        SNUG_ASSERT(part.len > 0 && part.len <= 255);
        while (snug_split(&part, '\\', &piece)) check_part(piece);
    }
    return 0;
}
