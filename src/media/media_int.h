/* SPDX-License-Identifier: Apache-2.0 */
/* media/media_int.h - what the parent and the child say to each other, and the decoders.
 *
 *   request:  media_request, then the file, to the end of standard input
 *   answer:   media_answer; on MEDIA_FINE payload_size bytes of samples, else a sentence of that
 * many
 *
 * Both are the same program on the same machine, so structs go as they are. The parent believes
 * nothing: sizes are checked against the limits and against each other before memory is taken. */
#ifndef SNUG_MEDIA_INT_H
#define SNUG_MEDIA_INT_H

#include "media/media.h"

enum { MEDIA_MAGIC = 0x6d656430, MEDIA_SENTENCE_MAX = 400, MEDIA_CHANNELS_MAX = 64 };

typedef enum media_outcome {
    MEDIA_FINE,
    MEDIA_BROKEN,   /* the file */
    MEDIA_TOO_LARGE /* for the limits */
} media_outcome;

typedef struct media_request {
    uint32_t magic, kind;
    uint64_t size, pixels_max, samples_max;
} media_request;

typedef struct media_answer {
    uint32_t magic, outcome;
    uint64_t payload_size;
    uint64_t frames; /* of sound; height of a picture */
    uint32_t width, sample_rate, channels, orientation;
    char     format[24];
} media_answer;

/* What a decoder has made; the child's memory, which ends with it. */
typedef struct media_result {
    media_answer head;
    void        *samples;
    char         sentence[MEDIA_SENTENCE_MAX];
} media_result;

typedef void  media_decoder(const media_request *rq, snug_slice file, media_result *out);
media_decoder media_decode_png, media_decode_jpeg, media_decode_webp, media_decode_sound_file;

/* Sets the outcome and its sentence. */
void media_refuse(media_result *out, media_outcome why, const char *fmt, ...) SNUG_PRINTF(3, 4);
/* Checks the size against the limit and takes the memory; false: refused. */
bool media_begin_image(const media_request *rq, uint64_t height, uint64_t width, unsigned channels,
                       media_result *out);
/* Orientation in a TIFF block as Exif stores it, with or without "Exif\0\0" before it; 1 when there
 * is none. Exif 2.32, tag 0x0112. */
unsigned media_exif_orientation(snug_slice block);

#endif
