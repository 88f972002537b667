/* SPDX-License-Identifier: Apache-2.0 */
/* nn/rope.c - rotary position frequencies and the ways to stretch them over longer contexts.
 *
 * Teacher. Pair i of a head turns by position * f_i, with f_i = theta^(-2i/width).
 *   linear   f / factor
 *   dynamic  theta grows with the length L past the trained one M:
 *            theta * (factor * L / M - (factor - 1))^(width / (width - 2))
 *   yarn     pairs that turn often within M keep f, slow ones take f / factor, a ramp between
 *            (Peng et al. 2023); cos and sin grow by 0.1 ln(factor) + 1
 *   longrope each pair has a factor of its own, one list within M, one beyond;
 *            cos and sin grow by sqrt(1 + ln(factor) / ln(M))
 *   proportional  only the first pairs turn, at the frequencies the whole width gives them
 *   llama3   the same by wavelength: short ones keep f, long ones take f / factor, smooth between
 *
 * Truth: everything is float32 in the order the reference implementation computes it: at position
 *          30,000 one rounding of a frequency moves the angle by more than a thousandth. */
#include "nn/nn.h"

#include <math.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/slice.h"

static const double PI = 3.14159265358979323846;

bool nn_rope_kind_parse(snug_slice name, nn_rope_kind *out)
{
    static const char *const names[] = {
#define X(id, text) text,
        NN_ROPE_LIST(X)
#undef X
    };
    for (unsigned i = 0; i < NN_ROPE_COUNT; i++) {
        if (!snug_eq_str(name, names[i])) continue;
        *out = (nn_rope_kind)i;
        return true;
    }
    return false;
}

/* theta^(2i/width). */
static float period(double theta, size_t i, size_t width)
{
    return powf((float)theta, (float)(2 * i) / (float)width);
}

static void llama3_freqs(const nn_rope *r, float *f)
{
    float original = (float)r->original_max, low = (float)r->low_freq_factor,
          high = (float)r->high_freq_factor;
    float factor = (float)r->factor,
          longest = (float)((double)r->original_max / r->low_freq_factor);
    float shortest = (float)((double)r->original_max / r->high_freq_factor);
    for (size_t i = 0; i < r->width / 2; i++) {
        float wave = (float)(2.0 * PI) / f[i];
        if (wave > longest) {
            f[i] /= factor;
        } else if (wave >= shortest) {
            float smooth = (original / wave - low) / (high - low);
            f[i] = (1.0f - smooth) * f[i] / factor + smooth * f[i];
        }
    }
}

/* The pair that makes `turns` full turns over the original length. */
static double yarn_pair(const nn_rope *r, double turns)
{
    return (double)r->width * log((double)r->original_max / (turns * 2.0 * PI)) /
           (2.0 * log(r->theta));
}

static double yarn_scale(double factor, double mscale)
{
    return factor <= 1.0 ? 1.0 : 0.1 * mscale * log(factor) + 1.0;
}

static float yarn_freqs(const nn_rope *r, float *f)
{
    double low = yarn_pair(r, r->beta_fast > 0 ? r->beta_fast : 32.0);
    double high = yarn_pair(r, r->beta_slow > 0 ? r->beta_slow : 1.0);
    if (r->truncate) {
        low = floor(low);
        high = ceil(high);
    }
    low = fmax(low, 0.0);
    high = fmin(high, (double)r->width - 1.0);
    if (low == high) high += 0.001;
    for (size_t i = 0; i < r->width / 2; i++) {
        float ramp = ((float)i - (float)low) / (float)(high - low);
        ramp = ramp < 0.0f ? 0.0f : ramp > 1.0f ? 1.0f : ramp;
        float keep = 1.0f - ramp, p = period(r->theta, i, r->width);
        f[i] = 1.0f / ((float)r->factor * p) * (1.0f - keep) + 1.0f / p * keep;
    }
    if (r->attention_factor > 0) return (float)r->attention_factor;
    if (r->mscale != 0 && r->mscale_all_dim != 0)
        return (float)(yarn_scale(r->factor, r->mscale) / yarn_scale(r->factor, r->mscale_all_dim));
    return (float)yarn_scale(r->factor, 1.0);
}

static float longrope_freqs(const nn_rope *r, size_t length, float *f)
{
    const float *each = length > r->original_max ? r->long_factor : r->short_factor;
    SNUG_ASSERT(r->width / 2 <= NN_ROPE_FACTORS_MAX);
    for (size_t i = 0; i < r->width / 2; i++)
        f[i] = 1.0f / (each[i] * period(r->theta, i, r->width));
    if (r->attention_factor > 0) return (float)r->attention_factor;
    return r->factor <= 1.0 ? 1.0f
                            : (float)sqrt(1.0 + log(r->factor) / log((double)r->original_max));
}

bool nn_rope_stale(const nn_rope *r, size_t held, size_t length)
{
    return r->width > 0 && r->kind == NN_ROPE_LONGROPE && held > 0 && held <= r->original_max &&
           length > r->original_max;
}

float nn_rope_freqs(const nn_rope *r, size_t length, float *freqs)
{
    double theta = r->theta, width = (double)r->width;
    SNUG_ASSERT(r->width >= 2 && r->width % 2 == 0);
    if (r->kind == NN_ROPE_YARN) return yarn_freqs(r, freqs);
    if (r->kind == NN_ROPE_LONGROPE) return longrope_freqs(r, length, freqs);
    if (r->kind == NN_ROPE_DYNAMIC && length > r->positions_max) {
        SNUG_ASSERT(r->width > 2);
        theta *= pow(r->factor * (double)length / (double)r->positions_max - (r->factor - 1.0),
                     width / (width - 2.0));
    }
    for (size_t i = 0; i < r->width / 2; i++) freqs[i] = 1.0f / period(theta, i, r->width);
    if (r->kind == NN_ROPE_PROPORTIONAL)
        for (size_t i = 0; i < r->width / 2; i++)
            freqs[i] = i < r->turning ? freqs[i] / (float)r->factor : 0.0f;
    if (r->kind == NN_ROPE_LINEAR)
        for (size_t i = 0; i < r->width / 2; i++) freqs[i] /= (float)r->factor;
    if (r->kind == NN_ROPE_LLAMA3) llama3_freqs(r, freqs);
    return 1.0f;
}

snug_status nn_rope_turn(const nn_ctx *c, const nn_rope *r, const int32_t *positions, size_t batch,
                         size_t times, nn_turn *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    size_t      pairs = r->width / 2, count = batch * times;
    float      *host = NULL;
    *out = (nn_turn){.interleaved = r->interleaved};
    SNUG_TRY(
        tensor_space_take(c->space, TENSOR_F32, TENSOR_DIMS(batch, times, pairs), &out->cos, err));
    SNUG_TRY(
        tensor_space_take(c->space, TENSOR_F32, TENSOR_DIMS(batch, times, pairs), &out->sin, err));
    /* The tensors were just allowed, so these sizes do not overflow. */
    host = snug_alloc_try((2 * count * pairs + pairs) * sizeof *host);
    if (host == NULL)
        SNUG_FAIL(err, SNUG_ENOMEM, "no memory for the angles of %zu positions", count);
    float  *freqs = host + 2 * count * pairs, *cos = host, *sin = host + count * pairs;
    int32_t last = 0;
    for (size_t i = 0; i < count; i++) last = positions[i] > last ? positions[i] : last;
    float scale = nn_rope_freqs(r, (size_t)last + 1, freqs);
    for (size_t i = 0; i < count; i++) {
        for (size_t p = 0; p < pairs; p++) {
            float angle = (float)positions[i] * freqs[p];
            cos[i * pairs + p] = cosf(angle) * scale;
            sin[i * pairs + p] = sinf(angle) * scale;
        }
    }
    SNUG_TRY(tensor_put(&out->cos, cos, count * pairs * sizeof *cos, err));
    SNUG_TRY(tensor_put(&out->sin, sin, count * pairs * sizeof *sin, err));
done:
    free(host);
    return st;
}
