/* SPDX-License-Identifier: Apache-2.0 */
/* media/jpeg.c - JPEG by libjpeg-turbo: grey stays grey, the rest becomes RGB.
 *
 * The inverse DCT and the upsampling are the library's defaults, which is what Pillow uses: pixels
 * are equal to the byte where both use the same library.
 *
 * For:     child.c.
 * Threads: the child's only one. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <jerror.h>
#include <jpeglib.h>

#include "media/media_int.h"

enum { EXIF_MARKER = JPEG_APP0 + 1, SCANS_MAX = 500 };

typedef struct reader {
    struct jpeg_error_mgr         errors; /* first: the library gives it back */
    struct jpeg_progress_mgr      progress;
    struct jpeg_decompress_struct jpeg;
    media_result                 *out;
    jmp_buf                       stop;
} reader;

static void on_error(j_common_ptr jpeg)
{
    reader *r = (reader *)jpeg->err;
    char    text[JMSG_LENGTH_MAX];
    r->errors.format_message(jpeg, text);
    media_refuse(r->out, MEDIA_BROKEN, "JPEG: %s", text);
    longjmp(r->stop, 1);
}

/* A file that ends early is an error, as it is to Pillow; other oddities are not. */
static void on_message(j_common_ptr jpeg, int level)
{
    reader *r = (reader *)jpeg->err;
    if (level >= 0) return;
    if (r->errors.msg_code == JWRN_JPEG_EOF) on_error(jpeg);
}

/* A file of a few kB may hold thousands of scans over a large picture. */
static void on_progress(j_common_ptr jpeg)
{
    reader *r = (reader *)jpeg->err;
    if (!jpeg->is_decompressor || r->jpeg.input_scan_number <= SCANS_MAX) return;
    media_refuse(r->out, MEDIA_TOO_LARGE, "JPEG: more than %d scans", (int)SCANS_MAX);
    longjmp(r->stop, 1);
}

static void no_output(j_common_ptr jpeg) { (void)jpeg; }

/* c + k - ck of the inverted values that Adobe's programs write, as Pillow mixes them. */
static unsigned char mix(unsigned ink, unsigned black)
{
    unsigned t = ink * black + 128;
    return (unsigned char)((t + (t >> 8)) >> 8);
}

static void put_cmyk_row(const JSAMPLE *from, uint8_t *to, uint32_t width, bool inverted)
{
    for (uint32_t x = 0; x < width; x++, from += 4, to += 3)
        for (int c = 0; c < 3; c++)
            to[c] = inverted ? mix(from[c], from[3]) : mix(255u - from[c], 255u - from[3]);
}

static void read_rows(reader *r, bool cmyk)
{
    struct jpeg_decompress_struct *j = &r->jpeg;
    size_t                         row = (size_t)j->output_width * r->out->head.channels;
    JSAMPLE                       *wide = calloc((size_t)j->output_width + 1, 4);
    if (wide == NULL) {
        media_refuse(r->out, MEDIA_TOO_LARGE, "JPEG: out of memory");
        longjmp(r->stop, 1);
    }
    while (j->output_scanline < j->output_height) {
        uint8_t *to = (uint8_t *)r->out->samples + j->output_scanline * row;
        JSAMPROW line = cmyk ? wide : to;
        if (jpeg_read_scanlines(j, &line, 1) != 1) break;
        if (cmyk) put_cmyk_row(wide, to, j->output_width, j->saw_Adobe_marker != 0);
    }
}

static void keep_orientation(reader *r)
{
    for (jpeg_saved_marker_ptr m = r->jpeg.marker_list; m != NULL; m = m->next) {
        snug_slice block = snug_slice_of(m->data, m->data_length);
        if (m->marker != EXIF_MARKER || !snug_starts_with(block, "Exif")) continue;
        r->out->head.orientation = media_exif_orientation(block);
        return;
    }
}

static void decode(reader *r, const media_request *rq, snug_slice file)
{
    struct jpeg_decompress_struct *j = &r->jpeg;
    jpeg_create_decompress(j);
    j->progress = &r->progress;
    jpeg_mem_src(j, (const unsigned char *)file.ptr, file.len);
    jpeg_save_markers(j, EXIF_MARKER, 0xffff);
    (void)jpeg_read_header(j, TRUE);
    bool cmyk = j->jpeg_color_space == JCS_CMYK || j->jpeg_color_space == JCS_YCCK;
    bool grey = j->jpeg_color_space == JCS_GRAYSCALE;
    j->out_color_space = cmyk ? JCS_CMYK : grey ? JCS_GRAYSCALE : JCS_RGB;
    if (!media_begin_image(rq, j->image_height, j->image_width, grey ? 1 : 3, r->out)) return;
    (void)jpeg_start_decompress(j);
    if (j->output_width != r->out->head.width || j->output_height != r->out->head.frames) {
        media_refuse(r->out, MEDIA_BROKEN, "JPEG: the sizes contradict each other");
        return;
    }
    read_rows(r, cmyk);
    keep_orientation(r);
    (void)jpeg_finish_decompress(j);
}

void media_decode_jpeg(const media_request *rq, snug_slice file, media_result *out)
{
    reader *r = calloc(1, sizeof *r);
    if (r == NULL) {
        media_refuse(out, MEDIA_TOO_LARGE, "JPEG: out of memory");
        return;
    }
    r->out = out;
    r->jpeg.err = jpeg_std_error(&r->errors);
    r->errors.error_exit = on_error;
    r->errors.emit_message = on_message;
    r->errors.output_message = no_output;
    r->progress.progress_monitor = on_progress;
    if (setjmp(r->stop) == 0) decode(r, rq, file);
}
