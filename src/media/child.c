/* SPDX-License-Identifier: Apache-2.0 */
/* media/child.c - the decoding end: one request, one answer, then gone.
 *
 * For:     `snug media-decode`, started by decode.c.
 * Owns:    everything; nothing is freed, since the process ends.
 * Threads: one.
 * Truth:   whatever happens, either a whole answer is written or the exit code is not 0. */
#include <stdlib.h>
#include <unistd.h>

#include "media/media_int.h"

enum { REQUEST_MAX = 1 << 30 };

void media_refuse(media_result *out, media_outcome why, const char *fmt, ...)
{
    va_list ap;
    if (out->head.outcome != MEDIA_FINE) return; /* the first cause holds */
    va_start(ap, fmt);
    (void)vsnprintf(out->sentence, sizeof out->sentence, fmt, ap);
    va_end(ap);
    out->head.outcome = (uint32_t)why;
}

bool media_begin_image(const media_request *rq, uint64_t height, uint64_t width, unsigned channels,
                       media_result *out)
{
    uint64_t pixels, size;
    if (height == 0 || width == 0 || height > UINT32_MAX || width > UINT32_MAX) {
        media_refuse(out, MEDIA_BROKEN, "a picture of %llu x %llu pixels",
                     (unsigned long long)width, (unsigned long long)height);
        return false;
    }
    if (snug_mul(height, width, &pixels) || pixels > rq->pixels_max ||
        snug_mul(pixels, channels, &size)) {
        media_refuse(out, MEDIA_TOO_LARGE, "%llu x %llu pixels are more than the limit of %llu",
                     (unsigned long long)width, (unsigned long long)height,
                     (unsigned long long)rq->pixels_max);
        return false;
    }
    out->samples = calloc(1, size); /* what a broken file leaves out stays 0 */
    if (out->samples == NULL) {
        media_refuse(out, MEDIA_TOO_LARGE, "no memory for %llu bytes", (unsigned long long)size);
        return false;
    }
    out->head.frames = height;
    out->head.width = (uint32_t)width;
    out->head.channels = channels;
    out->head.payload_size = size;
    out->head.orientation = 1;
    return true;
}

static bool read_all(void *p, size_t n)
{
    char *at = p;
    while (n > 0) {
        ssize_t got = read(STDIN_FILENO, at, n);
        if (got <= 0) return false;
        at += got;
        n -= (size_t)got;
    }
    return true;
}

static bool write_answer(media_result *r)
{
    snug_err err = {0};
    if (r->head.outcome != MEDIA_FINE) r->head.payload_size = strlen(r->sentence);
    const void *payload = r->head.outcome == MEDIA_FINE ? r->samples : r->sentence;
    r->head.magic = MEDIA_MAGIC;
    return snug_write_all(STDOUT_FILENO, &r->head, sizeof r->head, &err) == SNUG_OK &&
           snug_write_all(STDOUT_FILENO, payload, r->head.payload_size, &err) == SNUG_OK;
}

int media_child(void)
{
    static media_decoder *const decoders[MEDIA_KIND_COUNT] = {
        [MEDIA_PNG] = media_decode_png,
        [MEDIA_JPEG] = media_decode_jpeg,
        [MEDIA_WEBP] = media_decode_webp,
        [MEDIA_SOUND] = media_decode_sound_file,
    };
    media_request rq;
    media_result  result = {.head.outcome = MEDIA_FINE};
    if (!read_all(&rq, sizeof rq) || rq.magic != MEDIA_MAGIC || rq.kind >= MEDIA_KIND_COUNT ||
        decoders[rq.kind] == NULL || rq.size == 0 || rq.size > REQUEST_MAX)
        return 2;
    char *file = malloc(rq.size);
    if (file == NULL || !read_all(file, rq.size)) return 3;
    decoders[rq.kind](&rq, (snug_slice){file, rq.size}, &result);
    _exit(write_answer(&result) ? 0 : 4); /* a leak checker has no rights in here */
}
