/* SPDX-License-Identifier: Apache-2.0 */
/* media/decode.c - the asking end: starts the child, checks what it says, keeps the samples.
 *
 * For:     infer/'s tasks over pictures and sound, the data set viewer, `snug media`.
 * Owns:    the sandbox.
 * Threads: any number decode; each child belongs to the thread that asked.
 * Truth:   memory is taken for what the limits allow and the answer's own numbers agree on. */
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "media/media_int.h"

enum { WALL_MS = 60000, ERRORS_MAX = 2000 };

struct media {
    sandbox *box;
    char    *program, *folder;
};

const char *media_kind_name(media_kind k)
{
    static const char *const names[MEDIA_KIND_COUNT] = {"unknown", "png", "jpeg", "webp", "sound"};
    return k < MEDIA_KIND_COUNT ? names[k] : names[0];
}

static bool has(snug_slice head, size_t at, const char *magic, size_t n)
{
    return head.len >= at + n && memcmp(head.ptr + at, magic, n) == 0;
}

media_kind media_sniff(snug_slice head)
{
    static const struct {
        const char *magic;
        size_t      size;
    } sounds[] = {{"fLaC", 4},     {"OggS", 4},     {"FORM", 4},    {".snd", 4},
                  {"caff", 4},     {"riff", 4},     {"RF64", 4},    {"ID3", 3},
                  {"\xff\xfb", 2}, {"\xff\xf3", 2}, {"\xff\xf2", 2}};
    if (has(head, 0, "\x89PNG\r\n\x1a\n", 8)) return MEDIA_PNG;
    if (has(head, 0, "\xff\xd8\xff", 3)) return MEDIA_JPEG;
    if (has(head, 0, "RIFF", 4) && has(head, 8, "WEBP", 4)) return MEDIA_WEBP;
    if (has(head, 0, "RIFF", 4) && has(head, 8, "WAVE", 4)) return MEDIA_SOUND;
    for (size_t i = 0; i < sizeof sounds / sizeof sounds[0]; i++)
        if (has(head, 0, sounds[i].magic, sounds[i].size)) return MEDIA_SOUND;
    return MEDIA_UNKNOWN;
}

snug_status media_open(const char *program, media **out, snug_err *err)
{
    snug_status st = SNUG_OK;
    media      *m = snug_zalloc(sizeof *m);
    char        self[PATH_MAX];
    if (program == NULL) {
        ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
        if (n <= 0) SNUG_FAIL(err, SNUG_EIO, "/proc/self/exe cannot be read");
        self[n] = '\0';
        program = self;
    }
    m->program = snug_strdup(snug_str(program));
    m->folder = snug_strdup(snug_str(program));
    char *slash = strrchr(m->folder, '/');
    SNUG_ASSERT(slash != NULL); /* an absolute path, by contract of the sandbox */
    slash[slash == m->folder ? 1 : 0] = '\0';
    SNUG_TRY(sandbox_open(&m->box, err));
    *out = m;
    m = NULL;
done:
    media_close(m);
    return st;
}

void media_close(media *m)
{
    if (m == NULL) return;
    sandbox_close(m->box);
    free(m->program);
    free(m->folder);
    free(m);
}

/* ---- one exchange ---- */

typedef struct exchange {
    media_request rq;
    snug_slice    file;
    size_t        sent; /* of the request and the file */
    media_answer  head;
    size_t        got_head;
    uint64_t      payload_max, got;
    char         *payload;
    snug_arena   *a;
} exchange;

static snug_status give(void *arg, void *p, size_t n, size_t *got, snug_err *err)
{
    exchange *x = arg;
    (void)err;
    snug_slice all = x->sent < sizeof x->rq ? snug_slice_of(&x->rq, sizeof x->rq) : x->file;
    size_t     at = x->sent < sizeof x->rq ? x->sent : x->sent - sizeof x->rq;
    snug_slice part = snug_sub(all, at, n);
    if (part.len > 0) memcpy(p, part.ptr, part.len);
    x->sent += part.len;
    *got = part.len;
    return SNUG_OK;
}

static snug_status begin_payload(exchange *x, snug_err *err)
{
    uint64_t max = x->head.outcome == MEDIA_FINE ? x->payload_max : MEDIA_SENTENCE_MAX;
    if (x->head.magic != MEDIA_MAGIC || x->head.payload_size > max)
        return snug_fail(err, SNUG_ECORRUPT, "the decoder answered nonsense");
    x->payload = snug_arena_array_try(x->a, x->head.payload_size + 1, 1);
    if (x->payload == NULL) return snug_fail(err, SNUG_ENOMEM, "no memory for the decoded file");
    x->payload[x->head.payload_size] = '\0';
    return SNUG_OK;
}

static snug_status take(void *arg, snug_slice bytes, snug_err *err)
{
    exchange *x = arg;
    if (x->got_head < sizeof x->head) {
        snug_slice part = snug_sub(bytes, 0, sizeof x->head - x->got_head);
        memcpy((char *)&x->head + x->got_head, part.ptr, part.len);
        x->got_head += part.len;
        bytes = snug_sub(bytes, part.len, SIZE_MAX);
        if (x->got_head < sizeof x->head) return SNUG_OK;
        snug_status st = begin_payload(x, err);
        if (st != SNUG_OK) return st;
    }
    if (bytes.len > x->head.payload_size - x->got)
        return snug_fail(err, SNUG_ECORRUPT, "the decoder wrote more than it announced");
    if (bytes.len > 0) memcpy(x->payload + x->got, bytes.ptr, bytes.len);
    x->got += bytes.len;
    return SNUG_OK;
}

/* How a child ended that gave no whole answer. */
static snug_status explain(const sandbox_end *end, const media_limits *l, snug_err *err)
{
    int signal = end->signal != 0 ? end->signal : end->code > 128 ? end->code - 128 : 0;
    if (signal != 0) /* bubblewrap tells a signal as a shell does */
        return snug_fail(err, SNUG_ECORRUPT, "the decoder crashed on this file (signal %d)",
                         signal);
    return snug_fail(err, SNUG_ECORRUPT, "the decoder gave up on this file (code %d, %llu MiB)",
                     end->code, (unsigned long long)(l->memory_max >> 20));
}

static snug_status exchange_run(media *m, exchange *x, const media_limits *l, snug_err *err)
{
    snug_status              st = SNUG_OK;
    const char *const        argv[] = {m->program, "media-decode", NULL};
    static const char *const env[] = {"LC_ALL=C", NULL};
    const char *const        reads[] = {m->folder, NULL};
    sandbox_end              end = {0};
    sandbox_job              job = {.argv = argv,
                                    .env = env,
                                    .reads = reads,
                                    .limits = {.wall_ms = l->wall_ms,
                                               .cpu_s = l->wall_ms / 1000 + 1,
                                               .memory_max = l->memory_max,
                                               .file_max = 1},
                                    .pull = give,
                                    .push = take,
                                    .arg = x};
    SNUG_TRY(sandbox_run(m->box, &job, &end, err));
    if (end.signal != 0 || end.code != 0 || x->got_head < sizeof x->head ||
        x->got != x->head.payload_size) {
        st = explain(&end, l, err);
        goto done;
    }
    if (x->head.outcome == MEDIA_FINE) goto done;
    st = x->head.outcome == MEDIA_TOO_LARGE ? SNUG_ELIMIT : SNUG_ECORRUPT;
    for (char *p = x->payload; *p != '\0'; p++)
        if ((unsigned char)*p < ' ') *p = ' '; /* a library's words about a stranger's file */
    st = snug_fail(err, st, "%s", x->payload);
done:
    return st;
}

static media_limits with_defaults(const media_limits *l)
{
    media_limits out = l == NULL ? (media_limits){0} : *l;
    if (out.file_max == 0) out.file_max = UINT64_C(256) << 20;
    if (out.pixels_max == 0) out.pixels_max = 100 * 1000 * 1000;
    if (out.samples_max == 0) out.samples_max = 200 * 1000 * 1000;
    if (out.memory_max == 0) out.memory_max = UINT64_C(3) << 30;
#ifdef SNUG_SANITIZED
    out.memory_max = UINT64_MAX; /* of addresses: the sanitizers' shadow takes terabytes of them */
#endif
    if (out.wall_ms == 0) out.wall_ms = WALL_MS;
    return out;
}

static snug_status ask(media *m, media_kind kind, snug_slice file, const media_limits *l,
                       uint64_t payload_max, snug_arena *a, exchange *x, snug_err *err)
{
    if (file.len > l->file_max)
        return snug_fail(err, SNUG_ELIMIT, "a file of %zu bytes is more than the limit of %llu",
                         file.len, (unsigned long long)l->file_max);
    *x = (exchange){.rq = {.magic = MEDIA_MAGIC,
                           .kind = (uint32_t)kind,
                           .size = file.len,
                           .pixels_max = l->pixels_max,
                           .samples_max = l->samples_max},
                    .file = file,
                    .payload_max = payload_max,
                    .a = a};
    return exchange_run(m, x, l, err);
}

snug_status media_decode_image(media *m, snug_slice file, const media_limits *limits, snug_arena *a,
                               media_image *out, snug_err *err)
{
    snug_status  st = SNUG_OK;
    media_limits l = with_defaults(limits);
    media_kind   kind = media_sniff(file);
    exchange     x;
    uint64_t     size = 0;

    if (kind != MEDIA_PNG && kind != MEDIA_JPEG && kind != MEDIA_WEBP)
        SNUG_FAIL(err, SNUG_EUNSUPPORTED, "this is no picture that is read: PNG, JPEG or WebP");
    SNUG_TRY(ask(m, kind, file, &l, l.pixels_max * 4, a, &x, err));
    if (x.head.frames == 0 || x.head.frames > UINT32_MAX || x.head.width == 0 ||
        x.head.channels == 0 || x.head.channels > 4 ||
        snug_mul(x.head.frames, x.head.width, &size) || size > l.pixels_max ||
        size * x.head.channels != x.head.payload_size)
        SNUG_FAIL(err, SNUG_ECORRUPT, "the decoder's numbers contradict each other");
    *out = (media_image){.kind = kind,
                         .height = (uint32_t)x.head.frames,
                         .width = x.head.width,
                         .channels = x.head.channels,
                         .orientation = x.head.orientation,
                         .pixels = (const uint8_t *)x.payload};
done:
    return st;
}

snug_status media_decode_sound(media *m, snug_slice file, const media_limits *limits, snug_arena *a,
                               media_sound *out, snug_err *err)
{
    snug_status  st = SNUG_OK;
    media_limits l = with_defaults(limits);
    exchange     x;
    uint64_t     count = 0;

    if (media_sniff(file) != MEDIA_SOUND)
        SNUG_FAIL(err, SNUG_EUNSUPPORTED,
                  "this is no sound that is read: WAV, FLAC, Ogg, MP3, ...");
    SNUG_TRY(ask(m, MEDIA_SOUND, file, &l, l.samples_max * sizeof(float), a, &x, err));
    if (x.head.channels == 0 || x.head.channels > MEDIA_CHANNELS_MAX || x.head.sample_rate == 0 ||
        snug_mul(x.head.frames, x.head.channels, &count) || count > l.samples_max ||
        count * sizeof(float) != x.head.payload_size)
        SNUG_FAIL(err, SNUG_ECORRUPT, "the decoder's numbers contradict each other");
    x.head.format[sizeof x.head.format - 1] = '\0';
    *out = (media_sound){.sample_rate = x.head.sample_rate,
                         .channels = x.head.channels,
                         .frames = x.head.frames,
                         .samples = (const float *)(const void *)x.payload};
    memcpy(out->format, x.head.format, sizeof out->format);
done:
    return st;
}
