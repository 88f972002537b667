/* SPDX-License-Identifier: Apache-2.0 */
/* media/sound.c - WAV, FLAC, Ogg and their kin by libsndfile, as floats from -1 to 1.
 *
 * For:     child.c.
 * Threads: the child's only one. */
#include <sndfile.h>
#include <stdlib.h>

#include "media/media_int.h"

enum { PIECE_FRAMES = 1 << 16 };

typedef struct source {
    snug_slice file;
    sf_count_t at;
} source;

static sf_count_t get_length(void *arg) { return (sf_count_t)((source *)arg)->file.len; }
static sf_count_t tell(void *arg) { return ((source *)arg)->at; }

static sf_count_t seek_to(sf_count_t offset, int whence, void *arg)
{
    source    *s = arg;
    sf_count_t base = whence == SEEK_CUR ? s->at : whence == SEEK_END ? get_length(arg) : 0, to;
    if (__builtin_add_overflow(base, offset, &to) || to < 0 || to > get_length(arg)) return -1;
    return s->at = to;
}

static sf_count_t read_some(void *to, sf_count_t n, void *arg)
{
    source    *s = arg;
    sf_count_t left = get_length(arg) - s->at;
    if (n > left) n = left;
    if (n <= 0) return 0;
    memcpy(to, s->file.ptr + s->at, (size_t)n);
    s->at += n;
    return n;
}

static void name_format(int format, char out[24])
{
    static const struct {
        int         code;
        const char *name;
    } names[] = {{SF_FORMAT_WAV, "wav"},   {SF_FORMAT_WAVEX, "wav"}, {SF_FORMAT_RF64, "wav"},
                 {SF_FORMAT_FLAC, "flac"}, {SF_FORMAT_OGG, "ogg"},   {SF_FORMAT_AIFF, "aiff"},
                 {SF_FORMAT_AU, "au"},     {SF_FORMAT_CAF, "caf"},   {SF_FORMAT_W64, "w64"}};
    const char *name = "other";
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if ((format & SF_FORMAT_TYPEMASK) == names[i].code) name = names[i].name;
    (void)snprintf(out, 24, "%s", name);
}

/* The header's count of frames is a claim; memory grows with what is there. */
static void read_frames(SNDFILE *f, const SF_INFO *info, const media_request *rq, media_result *out)
{
    size_t   channels = (size_t)info->channels, cap = 0, have = 0;
    float   *samples = NULL;
    uint64_t frames_max = rq->samples_max / channels;
    for (;;) {
        if (cap - have < PIECE_FRAMES) {
            size_t wider = cap * 2 + 2 * (size_t)PIECE_FRAMES, size;
            float *grown = NULL;
            if (!snug_mul(wider, channels * sizeof *grown, &size)) grown = realloc(samples, size);
            if (grown == NULL) {
                media_refuse(out, MEDIA_TOO_LARGE, "no memory for %zu frames", wider);
                return;
            }
            samples = grown;
            cap = wider;
        }
        sf_count_t got = sf_readf_float(f, samples + have * channels, PIECE_FRAMES);
        if (got <= 0) break;
        have += (size_t)got;
        if (have > frames_max) {
            media_refuse(out, MEDIA_TOO_LARGE, "more than the limit of %llu samples",
                         (unsigned long long)rq->samples_max);
            return;
        }
    }
    if (sf_error(f) != SF_ERR_NO_ERROR) {
        media_refuse(out, MEDIA_BROKEN, "sound: %s", sf_strerror(f));
        return;
    }
    out->samples = samples;
    out->head.frames = have;
    out->head.payload_size = have * channels * sizeof *samples;
}

void media_decode_sound_file(const media_request *rq, snug_slice file, media_result *out)
{
    SF_VIRTUAL_IO io = {
        .get_filelen = get_length, .seek = seek_to, .read = read_some, .tell = tell};
    source   s = {file, 0};
    SF_INFO  info = {0};
    SNDFILE *f = sf_open_virtual(&io, SFM_READ, &info, &s);
    if (f == NULL) {
        media_refuse(out, MEDIA_BROKEN, "sound: %s", sf_strerror(NULL));
        return;
    }
    if (info.channels <= 0 || info.channels > MEDIA_CHANNELS_MAX || info.samplerate <= 0) {
        media_refuse(out, MEDIA_BROKEN, "sound of %d channels at %d Hz", info.channels,
                     info.samplerate);
    } else {
        out->head.channels = (uint32_t)info.channels;
        out->head.sample_rate = (uint32_t)info.samplerate;
        name_format(info.format, out->head.format);
        read_frames(f, &info, rq, out);
    }
    (void)sf_close(f);
}
