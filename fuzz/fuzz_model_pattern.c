/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz: model - a pattern of an adapter's configuration and a name, split at the first line end: an
 * answer in bounded time, and every literal matches itself. */
#include <ctype.h>

#include "model/pattern.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    snug_slice all = snug_slice_of(data, size);
    size_t     cut = snug_index(all, '\n');
    snug_slice pattern = cut == SIZE_MAX ? all : snug_sub(all, 0, cut),
               text = cut == SIZE_MAX ? SNUG_EMPTY : snug_sub(all, cut + 1, SIZE_MAX);
    bool hit, plain = pattern.len <= PATTERN_BYTES_MAX && pattern.len < 200;
    (void)!pattern_match(pattern, text, false, &hit, NULL);
    (void)!pattern_match(pattern, text, true, &hit, NULL);
    for (size_t i = 0; i < pattern.len; i++) plain &= isalnum((unsigned char)pattern.ptr[i]) != 0;
    if (plain && pattern_match(pattern, pattern, false, &hit, NULL) == SNUG_OK) SNUG_ASSERT(hit);
    return 0;
}
