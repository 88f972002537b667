/* SPDX-License-Identifier: Apache-2.0 */
/* media/webp.c - WebP by libwebp: still pictures, and the first frame of animations.
 *
 * For:     child.c.
 * Threads: the child's only one. */
#include <webp/decode.h>
#include <webp/demux.h>

#include "media/media_int.h"

static unsigned orientation_of(const WebPDemuxer *d)
{
    WebPChunkIterator it;
    unsigned          n = 1;
    if (WebPDemuxGetChunk(d, "EXIF", 1, &it) != 0) {
        n = media_exif_orientation(snug_slice_of(it.chunk.bytes, it.chunk.size));
        WebPDemuxReleaseChunkIterator(&it);
    }
    return n;
}

static const char *why(VP8StatusCode code)
{
    switch (code) {
    case VP8_STATUS_OUT_OF_MEMORY: return "out of memory";
    case VP8_STATUS_BITSTREAM_ERROR: return "the stream is broken";
    case VP8_STATUS_UNSUPPORTED_FEATURE: return "a feature that is not read";
    case VP8_STATUS_NOT_ENOUGH_DATA: return "the file ends too early";
    default: return "it cannot be read";
    }
}

/* A still picture, or one frame of an animation, into rows `stride` bytes apart. */
static bool decode_into(snug_slice bytes, bool alpha, uint8_t *to, size_t size, size_t stride,
                        media_result *out)
{
    WebPDecoderConfig c;
    if (WebPInitDecoderConfig(&c) == 0) {
        media_refuse(out, MEDIA_BROKEN, "WebP: the library is not the one this was built with");
        return false;
    }
    c.output.colorspace = alpha ? MODE_RGBA : MODE_RGB;
    c.output.is_external_memory = 1;
    c.output.u.RGBA.rgba = to;
    c.output.u.RGBA.stride = (int)stride;
    c.output.u.RGBA.size = size;
    VP8StatusCode code = WebPDecode((const uint8_t *)bytes.ptr, bytes.len, &c);
    if (code != VP8_STATUS_OK) media_refuse(out, MEDIA_BROKEN, "WebP: %s", why(code));
    return code == VP8_STATUS_OK;
}

/* The first frame stands somewhere on a canvas that is otherwise transparent. */
static void decode_frame(const WebPDemuxer *d, media_result *out)
{
    WebPIterator it;
    size_t       stride = (size_t)out->head.width * out->head.channels;
    if (WebPDemuxGetFrame(d, 1, &it) == 0) {
        media_refuse(out, MEDIA_BROKEN, "WebP: an animation without frames");
        return;
    }
    if (it.x_offset < 0 || it.y_offset < 0 || it.width <= 0 || it.height <= 0 ||
        (uint64_t)it.x_offset + (uint64_t)it.width > out->head.width ||
        (uint64_t)it.y_offset + (uint64_t)it.height > out->head.frames) {
        media_refuse(out, MEDIA_BROKEN, "WebP: a frame leaves the picture");
    } else {
        size_t   skip = (size_t)it.y_offset * stride + (size_t)it.x_offset * out->head.channels;
        uint8_t *to = (uint8_t *)out->samples + skip;
        (void)decode_into(snug_slice_of(it.fragment.bytes, it.fragment.size),
                          out->head.channels == 4, to, out->head.payload_size - skip, stride, out);
    }
    WebPDemuxReleaseIterator(&it);
}

void media_decode_webp(const media_request *rq, snug_slice file, media_result *out)
{
    WebPBitstreamFeatures f;
    WebPData              data = {(const uint8_t *)file.ptr, file.len};
    VP8StatusCode         code = WebPGetFeatures(data.bytes, data.size, &f);
    if (code != VP8_STATUS_OK || f.width <= 0 || f.height <= 0) {
        media_refuse(out, MEDIA_BROKEN, "WebP: %s", why(code));
        return;
    }
    unsigned channels = f.has_alpha != 0 ? 4 : 3;
    if (!media_begin_image(rq, (uint64_t)f.height, (uint64_t)f.width, channels, out)) return;
    WebPDemuxer *d = WebPDemux(&data);
    if (f.has_animation == 0)
        (void)decode_into(file, channels == 4, out->samples, out->head.payload_size,
                          (size_t)f.width * channels, out);
    else if (d != NULL)
        decode_frame(d, out);
    else
        media_refuse(out, MEDIA_BROKEN, "WebP: the animation's parts are broken");
    if (d != NULL) out->head.orientation = orientation_of(d);
    WebPDemuxDelete(d);
}
