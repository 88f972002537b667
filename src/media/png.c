/* SPDX-License-Identifier: Apache-2.0 */
/* media/png.c - PNG by libpng: palettes spread out, 1, 2 and 4 bits widened, 16 bits cut to 8.
 *
 * For:     child.c.
 * Threads: the child's only one. */
#include <png.h>
#include <setjmp.h>
#include <stdlib.h>

#include "media/media_int.h"

enum { CHUNK_MEMORY = 16 << 20 };

typedef struct source {
    snug_slice    rest;
    media_result *out;
} source;

static void give_bytes(png_structp png, png_bytep to, size_t n)
{
    source *s = png_get_io_ptr(png);
    if (n > s->rest.len) png_error(png, "the file ends too early");
    memcpy(to, s->rest.ptr, n);
    s->rest = snug_sub(s->rest, n, SIZE_MAX);
}

static void on_error(png_structp png, png_const_charp text)
{
    source *s = png_get_error_ptr(png);
    media_refuse(s->out, MEDIA_BROKEN, "PNG: %s", text);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text; /* what can be read is read */
}

/* To 8 bits a sample, without a palette; a transparent colour becomes alpha. */
static void ask_for_bytes(png_structp png, png_infop info)
{
    int type = png_get_color_type(png, info), bits = png_get_bit_depth(png, info);
    if (bits == 16) png_set_strip_16(png);
    if (type == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png);
    if (type == PNG_COLOR_TYPE_GRAY && bits < 8) png_set_expand_gray_1_2_4_to_8(png);
    if (png_get_valid(png, info, PNG_INFO_tRNS)) png_set_tRNS_to_alpha(png);
    (void)png_set_interlace_handling(png);
    png_read_update_info(png, info);
}

static unsigned orientation_of(png_structp png, png_infop info)
{
    png_uint_32 size = 0;
    png_bytep   exif = NULL;
    return png_get_eXIf_1(png, info, &size, &exif) != 0 && exif != NULL
               ? media_exif_orientation(snug_slice_of(exif, size))
               : 1;
}

static void read_rows(png_structp png, png_infop info, const media_request *rq, media_result *out)
{
    uint64_t   height = png_get_image_height(png, info);
    unsigned   channels = png_get_channels(png, info);
    size_t     row = png_get_rowbytes(png, info);
    png_bytep *rows;
    if (!media_begin_image(rq, height, png_get_image_width(png, info), channels, out)) return;
    if (row != (size_t)out->head.width * channels) png_error(png, "rows of an unknown form");
    rows = calloc(height, sizeof *rows);
    if (rows == NULL) png_error(png, "out of memory");
    for (uint64_t y = 0; y < height; y++) rows[y] = (png_bytep)out->samples + y * row;
    png_read_image(png, rows);
    png_read_end(png, info);
}

void media_decode_png(const media_request *rq, snug_slice file, media_result *out)
{
    source      s = {file, out};
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &s, on_error, on_warning);
    png_infop   info = png == NULL ? NULL : png_create_info_struct(png);
    if (info == NULL) {
        media_refuse(out, MEDIA_TOO_LARGE, "PNG: out of memory");
        return;
    }
    if (setjmp(png_jmpbuf(png)) != 0) return; /* on_error has said why */
    png_set_read_fn(png, &s, give_bytes);
    png_set_user_limits(png, 0x7fffffff, 0x7fffffff); /* ours is on the product */
    png_set_chunk_malloc_max(png, CHUNK_MEMORY);
    png_read_info(png, info);
    uint64_t pixels = (uint64_t)png_get_image_height(png, info) * png_get_image_width(png, info);
    if (pixels > rq->pixels_max) { /* before libpng takes memory for rows */
        (void)media_begin_image(rq, png_get_image_height(png, info), png_get_image_width(png, info),
                                1, out);
        return;
    }
    ask_for_bytes(png, info);
    read_rows(png, info, rq, out);
    if (out->head.outcome == MEDIA_FINE) out->head.orientation = orientation_of(png, info);
}
