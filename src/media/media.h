/* SPDX-License-Identifier: Apache-2.0 */
/* media/media.h - pictures and sound of strangers, decoded in a sandboxed child.
 *
 * The libraries that read PNG, JPEG, WebP and sound files are large and have had holes, so they
 * never run on foreign bytes in this process: the program starts itself as `snug media-decode`
 * behind sandbox/, hands it the bytes, and takes back samples whose sizes it checks. A child that
 * crashes, hangs or grows too large is an error of that file and of nothing else. */
#ifndef SNUG_MEDIA_MEDIA_H
#define SNUG_MEDIA_MEDIA_H

#include "sandbox/sandbox.h"

typedef enum media_kind {
    MEDIA_UNKNOWN,
    MEDIA_PNG,
    MEDIA_JPEG,
    MEDIA_WEBP,
    MEDIA_SOUND, /* WAV, FLAC, Ogg (Vorbis, Opus), AIFF, AU, MP3: what libsndfile reads */
    MEDIA_KIND_COUNT
} media_kind;
const char *media_kind_name(media_kind k); /* "png", "jpeg", "webp", "sound", "unknown" */
/* By the first bytes; 16 are enough. */
media_kind media_sniff(snug_slice head);

/* Zero means the default beside the field. */
typedef struct media_limits {
    uint64_t file_max;    /* 256 MiB of encoded bytes */
    uint64_t pixels_max;  /* 100,000,000: height times width */
    uint64_t samples_max; /* 200,000,000: frames times channels, about 25 min of 48 kHz stereo */
    uint64_t memory_max;  /* 3 GiB of address space for the child */
    unsigned wall_ms;     /* 60 s */
} media_limits;

/* 8 bits a sample, as in the file but for palettes (spread out), fewer bits (widened), 16 bits (the
 * upper 8) and CMYK (made RGB). The first frame of an animation. */
typedef struct media_image {
    media_kind     kind;
    uint32_t       height, width;
    unsigned       channels;    /* 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha */
    unsigned       orientation; /* of Exif, 1 to 8: what media_turn() undoes */
    const uint8_t *pixels;      /* [height, width, channels] */
} media_image;

typedef struct media_sound {
    uint32_t     sample_rate; /* Hz */
    unsigned     channels;    /* 1 to 64 */
    uint64_t     frames;
    char         format[24]; /* "wav", "flac", "ogg", ... */
    const float *samples;    /* [frames, channels], -1 to 1 */
} media_sound;

typedef struct media media;
/* `program` is this program, or what has media_child() as its `media-decode`; NULL:
 * /proc/self/exe. *out: media_close(). Any number of threads may use one. */
snug_status media_open(const char *program, media **out, snug_err *err) SNUG_MUST_USE;
void        media_close(media *m); /* NULL is fine */

/* Decodes a whole file. Samples live in `a`. SNUG_EUNSUPPORTED for a kind that is not read,
 * SNUG_ELIMIT past a limit, SNUG_ECORRUPT with the decoder's sentence for all that is wrong with
 * the file, a crash of the decoder included. limits NULL: the defaults. */
snug_status media_decode_image(media *m, snug_slice file, const media_limits *limits, snug_arena *a,
                               media_image *out, snug_err *err) SNUG_MUST_USE;
snug_status media_decode_sound(media *m, snug_slice file, const media_limits *limits, snug_arena *a,
                               media_sound *out, snug_err *err) SNUG_MUST_USE;

/* Turns and flips the picture so that orientation is 1; new pixels live in `a`. */
snug_status media_turn(snug_arena *a, media_image *image, snug_err *err) SNUG_MUST_USE;

/* The child: reads a request from standard input, writes samples to standard output. Returns the
 * exit code. For `snug media-decode` and nothing else. */
int media_child(void);

#endif
