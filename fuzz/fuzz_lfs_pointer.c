/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz: vcs
 * fuzz/fuzz_lfs_pointer.c - any blob as a Git LFS pointer. What parses is below 1,024 bytes and,
 * when it has no extensions and the current version, is exactly what we would write. */
#include "vcs/vcs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    snug_slice  text = snug_slice_of(data, size);
    snug_sha256 oid;
    uint64_t    n = 0;
    if (!vcs_lfs_parse(text, &oid, &n)) return 0;
    SNUG_ASSERT(size < 1024 && n <= INT64_MAX);
    if (!snug_starts_with(text, "version https://git-lfs") ||
        snug_find(text, SNUG_LIT("ext-")) != SIZE_MAX) {
        return 0;
    }
    SNUG_AUTO(snug_buf) b = snug_buf_init(4096);
    vcs_lfs_format(&oid, n, &b);
    SNUG_ASSERT(snug_eq(snug_buf_slice(&b), text));
    return 0;
}
