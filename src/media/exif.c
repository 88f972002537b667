/* SPDX-License-Identifier: Apache-2.0 */
/* media/exif.c - which way up a picture was taken, and turning it so.
 *
 *   TIFF block: "II*\0" or "MM\0*", u32 offset of the first directory
 *   directory:  u16 count, then entries of 12 bytes: u16 tag, u16 type, u32 count, u32 value
 *
 * For:     the decoders (the tag), callers (media_turn).
 * Threads: any. */
#include "media/media_int.h"

enum { TAG_ORIENTATION = 0x0112, TYPE_SHORT = 3, ENTRIES_MAX = 1000 };

static uint64_t read_int(snug_slice s, size_t at, unsigned size, bool big)
{
    uint64_t v = 0;
    if (at > s.len || size > s.len - at) return 0;
    for (unsigned i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)s.ptr[at + (big ? i : size - 1 - i)];
        v = v << 8 | byte;
    }
    return v;
}

unsigned media_exif_orientation(snug_slice block)
{
    if (block.len >= 6 && memcmp(block.ptr, "Exif\0", 6) == 0) block = snug_sub(block, 6, SIZE_MAX);
    if (block.len < 8) return 1;
    bool big = memcmp(block.ptr, "MM\0*", 4) == 0;
    if (!big && memcmp(block.ptr, "II*\0", 4) != 0) return 1;
    size_t   dir = read_int(block, 4, 4, big);
    uint64_t count = read_int(block, dir, 2, big);
    for (uint64_t i = 0; i < count && i < ENTRIES_MAX; i++) {
        size_t at = dir + 2 + (size_t)i * 12;
        if (read_int(block, at, 2, big) != TAG_ORIENTATION) continue;
        uint64_t v = read_int(block, at + 8, 2, big);
        bool     known = read_int(block, at + 2, 2, big) == TYPE_SHORT && v >= 1 && v <= 8;
        return known ? (unsigned)v : 1;
    }
    return 1;
}

/* Orientation as steps: swapped axes, then mirrored ones of the result. */
snug_status media_turn(snug_arena *a, media_image *image, snug_err *err)
{
    static const struct {
        bool swap, flip_x, flip_y;
    } steps[9] = {[2] = {false, true, false}, [3] = {false, true, true}, [4] = {false, false, true},
                  [5] = {true, false, false}, [6] = {true, true, false}, [7] = {true, true, true},
                  [8] = {true, false, true}};
    unsigned o = image->orientation, n = image->channels;
    if (o <= 1 || o > 8) return SNUG_OK;
    uint32_t height = steps[o].swap ? image->width : image->height;
    uint32_t width = steps[o].swap ? image->height : image->width;
    uint8_t *to = snug_arena_array_try(a, (size_t)height * width, n);
    if (to == NULL) return snug_fail(err, SNUG_ENOMEM, "no memory to turn a picture");
    for (uint32_t y = 0; y < height; y++) {
        for (uint32_t x = 0; x < width; x++) {
            uint32_t tx = steps[o].flip_x ? width - 1 - x : x;
            uint32_t ty = steps[o].flip_y ? height - 1 - y : y;
            size_t   from =
                steps[o].swap ? (size_t)tx * image->width + ty : (size_t)ty * image->width + tx;
            memcpy(to + ((size_t)y * width + x) * n, image->pixels + from * n, n);
        }
    }
    image->pixels = to;
    image->height = height;
    image->width = width;
    image->orientation = 1;
    return SNUG_OK;
}
