/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz: media - what this process itself reads of pictures: the first bytes, and a TIFF block as Exif
 * has it. The decoders run in the sandboxed child. */
#include "media/media_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    snug_slice s = snug_slice_of(data, size);
    unsigned   o = media_exif_orientation(s);
    SNUG_ASSERT(o >= 1 && o <= 8);
    SNUG_ASSERT(media_sniff(s) < MEDIA_KIND_COUNT);
    return 0;
}
