/* SPDX-License-Identifier: Apache-2.0 */
/* cli/cmd_media.c - snug media: what a picture or sound file is, and its samples as a numpy array.
 *
 * For:     people who want to see what a model would be given.
 * Threads: the main thread. */
#include <limits.h>
#include <stdio.h>

#include "cli/cli_int.h"
#include "codec/codec.h"
#include "media/media.h"

enum { FILE_MAX = 256 << 20, OUT_MAX = 16 << 20 };

typedef struct thing {
    media_kind  kind;
    media_image image;
    media_sound sound;
} thing;

static snug_status decode(cli *c, media *m, const char *path, bool upright, thing *out,
                          snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_slice  file;
    SNUG_TRY(snug_read_file(c->arena, path, FILE_MAX, &file, err));
    out->kind = media_sniff(file);
    if (out->kind == MEDIA_SOUND) {
        st = media_decode_sound(m, file, NULL, c->arena, &out->sound, err);
        goto done;
    }
    SNUG_TRY(media_decode_image(m, file, NULL, c->arena, &out->image, err));
    if (upright) st = media_turn(c->arena, &out->image, err);
done:
    if (st != SNUG_OK) snug_note(err, "%s", path);
    return st;
}

static void put_thing(snug_json_out *o, const char *path, const thing *t)
{
    snug_jo_begin_object(o);
    snug_jo_kcstr(o, "file", path);
    snug_jo_kcstr(o, "kind", media_kind_name(t->kind));
    if (t->kind == MEDIA_SOUND) {
        snug_jo_kcstr(o, "format", t->sound.format);
        snug_jo_ku64(o, "sample_rate", t->sound.sample_rate);
        snug_jo_ku64(o, "frames", t->sound.frames);
        snug_jo_ku64(o, "channels", t->sound.channels);
        snug_jo_kf64(o, "seconds", (double)t->sound.frames / t->sound.sample_rate);
    } else {
        snug_jo_ku64(o, "height", t->image.height);
        snug_jo_ku64(o, "width", t->image.width);
        snug_jo_ku64(o, "channels", t->image.channels);
        snug_jo_ku64(o, "orientation", t->image.orientation);
    }
    snug_jo_end_object(o);
}

static void print_thing(const char *path, const thing *t)
{
    static const char *const colors[] = {"", "grey", "grey and alpha", "RGB", "RGB and alpha"};
    if (t->kind == MEDIA_SOUND)
        cli_print("%s: %s, %u Hz, %u channel%s, %.2f s\n", path, t->sound.format,
                  t->sound.sample_rate, t->sound.channels, t->sound.channels == 1 ? "" : "s",
                  (double)t->sound.frames / t->sound.sample_rate);
    else
        cli_print("%s: %s, %u x %u, %s%s\n", path, media_kind_name(t->kind), t->image.width,
                  t->image.height, colors[t->image.channels],
                  t->image.orientation == 1 ? "" : ", taken turned (see --upright)");
}

static snug_status write_array(cli *c, const char *path, const thing *t, snug_err *err)
{
    bool        sound = t->kind == MEDIA_SOUND;
    uint64_t    shape[3] = {t->image.height, t->image.width, t->image.channels};
    size_t      size = (size_t)t->image.height * t->image.width * t->image.channels;
    const void *samples = t->image.pixels;
    snug_status st = SNUG_OK;
    FILE       *f = NULL;
    SNUG_AUTO(snug_buf) head = snug_buf_init(1024);
    if (sound) {
        shape[0] = t->sound.frames;
        shape[1] = t->sound.channels;
        size = (size_t)t->sound.frames * t->sound.channels * sizeof(float);
        samples = t->sound.samples;
    }
    codec_npy_put_header(&head, sound ? "<f4" : "|u1", shape, sound ? 2 : 3);
    f = fopen(path, "wbe");
    if (f == NULL) SNUG_FAIL(err, SNUG_EIO, "%s cannot be written", path);
    if (fwrite(head.ptr, 1, head.len, f) != head.len || fwrite(samples, 1, size, f) != size)
        SNUG_FAIL(err, SNUG_EIO, "%s cannot be written", path);
    cli_say(c, "Wrote %s\n", path);
done:
    if (f != NULL && fclose(f) != 0 && st == SNUG_OK)
        st = snug_fail(err, SNUG_EIO, "%s cannot be written", path);
    return st;
}

static snug_status run(cli *c, const cli_args *a, snug_err *err)
{
    snug_status st = SNUG_OK;
    media      *m = NULL;
    const char *path, *array = cli_flag_value(a, "out");
    SNUG_AUTO(snug_buf) b = snug_buf_init(OUT_MAX);
    snug_json_out o = snug_json_out_init(&b);

    if (array != NULL && cli_pos(a, 1) != NULL)
        SNUG_FAIL(err, SNUG_EINVAL, "--out takes the samples of one file");
    SNUG_TRY(media_open(NULL, &m, err));
    snug_jo_begin_array(&o);
    for (size_t i = 0; (path = cli_pos(a, i)) != NULL; i++) {
        thing t = {MEDIA_UNKNOWN, {0}, {0}};
        SNUG_TRY(decode(c, m, path, cli_flag_given(a, "upright"), &t, err));
        if (c->json)
            put_thing(&o, path, &t);
        else if (array == NULL)
            print_thing(path, &t);
        if (array != NULL) SNUG_TRY(write_array(c, array, &t, err));
    }
    snug_jo_end_array(&o);
    if (c->json) cli_print_json(&b);
done:
    media_close(m);
    return st;
}

static const cli_flag flags[] = {
    {"out", "FILE",
     "write the samples as a numpy array: [height, width, channels] bytes, or "
     "[frames, channels] floats"},
    {"upright", NULL, "turn pictures the way they were taken"},
    {NULL, NULL, NULL}};
static const char *const examples[] = {"snug media photo.jpg voice.flac", "what they are",
                                       "snug media photo.jpg --upright --out photo.npy",
                                       "its pixels for numpy", NULL};

const cli_command cli_cmd_media = {
    .name = "media",
    .args = "FILE...",
    .summary = "look at pictures and sound",
    .help = "Decodes PNG, JPEG, WebP, WAV, FLAC, Ogg and MP3 files in a sandboxed child, which is "
            "how the hub itself reads them, and says what they hold.",
    .flags = flags,
    .min = 1,
    .max = UINT_MAX,
    .examples = examples,
    .exits = "0 2 3 6 7 9 74",
    .run = run,
};
