/* SPDX-License-Identifier: Apache-2.0 */
/* tensor/tensor.h - dtypes, tensors, and the operations a model is made of, on one device at a
 * time.
 *
 * A `tensor` is a view: a plain value that says where its elements lie in a `tensor_mem`. Whoever
 * allocated the memory frees it (tensor_free); views are borrowed. An operation is a descriptor
 * (tensor_op): tensor_run checks its shapes, hands it to the device's backend when that supports
 * it, and to the portable kernels of cpu_ref otherwise, staging memory the CPU cannot address.
 *
 * A device belongs to one thread at a time; inside an operation its team shares the work. */
#ifndef SNUG_TENSOR_TENSOR_H
#define SNUG_TENSOR_TENSOR_H

#include "base/mem.h"
#include "base/thread.h"

/* ---- element types ---- */

/* X(constant, name, elements per block, bytes per block). A block of more than one element is
 * quantized: it lies along the last dimension, which must hold whole blocks, at any address. The
 * layouts are ggml's (quant_inline.h spells them out). */
#define TENSOR_DTYPE_LIST(X)                                                                       \
    X(F32, "F32", 1, 4)                                                                            \
    X(F16, "F16", 1, 2)                                                                            \
    X(BF16, "BF16", 1, 2)                                                                          \
    X(I32, "I32", 1, 4) X(I64, "I64", 1, 8) X(Q4_0, "Q4_0", 32, 18) X(Q4_1, "Q4_1", 32, 20)        \
        X(Q5_0, "Q5_0", 32, 22) X(Q5_1, "Q5_1", 32, 24) X(Q8_0, "Q8_0", 32, 34)                    \
            X(MXFP4, "MXFP4", 32, 17) X(Q2_K, "Q2_K", 256, 84) X(Q3_K, "Q3_K", 256, 110)           \
                X(Q4_K, "Q4_K", 256, 144) X(Q5_K, "Q5_K", 256, 176) X(Q6_K, "Q6_K", 256, 210)

typedef enum tensor_dtype {
#define X(id, name, elems, bytes) TENSOR_##id,
    TENSOR_DTYPE_LIST(X)
#undef X
        TENSOR_DTYPE_COUNT
} tensor_dtype;
const char *tensor_dtype_name(tensor_dtype t);
size_t      tensor_dtype_block(tensor_dtype t); /* elements per block: 1, 32 or 256 */
size_t      tensor_dtype_bytes(tensor_dtype t); /* of one block; of one element when block is 1 */
size_t      tensor_dtype_size(tensor_dtype t, size_t n); /* of n elements, which are whole blocks */
bool        tensor_dtype_is_float(tensor_dtype t);       /* F32, F16, BF16 */
bool        tensor_dtype_is_quant(tensor_dtype t);

/* n elements of a float or quantized type as float32; the bits are those of the gguf package. */
void tensor_dequantize(tensor_dtype t, const void *src, size_t n, float *out);
/* The way back, n in whole blocks. Q4_0 to Q8_0 and MXFP4 give gguf's bytes; the K types are
 * fitted to the least squared error. SNUG_EINVAL: a value is not finite or beyond what the block's
 * scale can hold (65504); `out` is then partly written. */
snug_status tensor_quantize(tensor_dtype t, const float *x, size_t n, void *out,
                            snug_err *err) SNUG_MUST_USE;

/* ---- devices and their memory ---- */

enum { TENSOR_ABI = 4, TENSOR_RANK_MAX = 8, TENSOR_OP_IN_MAX = 6 };
#define TENSOR_BYTES_MAX ((size_t)1 << 42) /* of one tensor: 4 TiB */

typedef struct tensor_backend tensor_backend;
typedef struct tensor_op      tensor_op;

/* One opened backend. `state` and `scratch` belong to the backend. */
typedef struct tensor_dev {
    const tensor_backend *backend;
    snug_team            *team;
    void                 *state;
    void                 *scratch; /* host memory the CPU kernels share between operations */
    size_t                scratch_size;
} tensor_dev;

/* A backend allocates a struct that begins with this one. */
typedef struct tensor_mem {
    tensor_dev *dev;
    size_t      size;
    void       *host;     /* where the CPU sees these bytes; NULL: it cannot */
    bool        constant; /* tensor_freeze: a backend may keep these bytes in other forms too */
} tensor_mem;

/* Adding a backend: one of these, and a row in backends[] of dev.c (or a plug-in
 * that exports it). */
struct tensor_backend {
    const char *name;
    uint32_t    abi;      /* TENSOR_ABI */
    bool (*usable)(void); /* this machine has what it needs; NULL: always */
    snug_status (*open)(tensor_dev *d, snug_err *err); /* sets d->state; NULL: nothing to do */
    void (*close)(tensor_dev *d);                      /* NULL: nothing to do */
    bool (*supports)(const tensor_op *op);             /* false: the op runs on cpu_ref */
    snug_status (*alloc)(tensor_dev *d, size_t n, tensor_mem **out, snug_err *err);
    /* Uses bytes that outlive the memory object where they are. NULL: cannot, they are copied. */
    snug_status (*wrap)(tensor_dev *d, const void *p, size_t n, tensor_mem **out, snug_err *err);
    void (*free)(tensor_mem *mem);
    snug_status (*put)(tensor_mem *mem, size_t off, const void *src, size_t n, snug_err *err);
    snug_status (*get)(const tensor_mem *mem, size_t off, void *dst, size_t n, snug_err *err);
    snug_status (*run)(tensor_dev *d, const tensor_op *op,
                       snug_err *err); /* shapes already checked */
    snug_status (*sync)(tensor_dev *d,
                        snug_err   *err); /* waits for what run queued; NULL: never queues */
};

/* The backends of this build, fastest first, usable on this machine or not; NULL past the end. */
const tensor_backend *tensor_backend_at(size_t index);
const tensor_backend *tensor_backend_find(
    snug_slice name); /* "cpu_ref", "avx2", "avx512"; NULL: none */
bool                  tensor_backend_usable(const tensor_backend *b);
const tensor_backend *tensor_backend_best(void); /* the first usable one: never NULL */

/* threads 0: all CPUs of this process. *out: tensor_dev_close(), after every tensor of
 * it is freed. */
snug_status tensor_dev_open(const tensor_backend *b, unsigned threads, tensor_dev **out,
                            snug_err *err) SNUG_MUST_USE;
void        tensor_dev_close(tensor_dev *d); /* NULL is fine */
snug_status tensor_sync(tensor_dev *d, snug_err *err) SNUG_MUST_USE;

/* ---- tensors ---- */

/* Where up to TENSOR_PAGE positions of one row of a paged tensor lie. */
enum { TENSOR_PAGE = 64 };
typedef struct tensor_page {
    tensor_mem *mem;
    size_t      offset; /* bytes into mem */
} tensor_page;

/* Strides count elements. mem NULL: no tensor, as for an optional operand.
 * A paged tensor [b, s, ..] has its positions in pages instead, which rows may share: position i of
 * row b is number i % TENSOR_PAGE (stride[1] apart) of pages[b * ceil(s / TENSOR_PAGE) +
 * i / TENSOR_PAGE]; mem is that of the first page, offset and stride[0] mean nothing. Only
 * attention takes one, as keys and values; there are no views of it. */
typedef struct tensor {
    tensor_mem        *mem;
    size_t             offset; /* bytes into mem */
    tensor_dtype       dtype;
    unsigned           rank;
    size_t             shape[TENSOR_RANK_MAX], stride[TENSOR_RANK_MAX];
    const tensor_page *pages; /* borrowed; NULL: not paged */
} tensor;

#define TENSOR_NONE ((tensor){0})
/* Rank and shape as two arguments. */
#define TENSOR_DIMS(...)                                                                           \
    (unsigned)(sizeof((size_t[]){__VA_ARGS__}) / sizeof(size_t)), (const size_t[]) { __VA_ARGS__ }

/* A dense row-major tensor without memory. SNUG_ELIMIT when it is larger than TENSOR_BYTES_MAX. */
snug_status tensor_shape(tensor_dtype dtype, unsigned rank, const size_t *shape, tensor *out,
                         snug_err *err) SNUG_MUST_USE;
/* The same with memory of its own: tensor_free(). Contents are not cleared. */
snug_status tensor_new(tensor_dev *d, tensor_dtype dtype, unsigned rank, const size_t *shape,
                       tensor *out, snug_err *err) SNUG_MUST_USE;
/* Takes elements from the host. keep: `data` outlives the tensor, so a backend may use
 * it in place. */
snug_status tensor_new_from(tensor_dev *d, tensor_dtype dtype, unsigned rank, const size_t *shape,
                            const void *data, bool keep, tensor *out, snug_err *err) SNUG_MUST_USE;
void        tensor_free(
           tensor *t); /* frees the memory of a tensor made by tensor_new*; NULL mem is fine */

/* Promises that the memory of t changes no more until it is freed: what tensor_new_from takes with
 * `keep` is such memory. Weights that were computed want it too; without it they are brought into
 * the kernels' order at every use. */
void tensor_freeze(const tensor *t);

static inline bool tensor_present(const tensor *t) { return t->mem != NULL; }
size_t             tensor_count(const tensor *t); /* elements */
size_t             tensor_size(const tensor *t);  /* bytes when dense */
size_t tensor_rows(const tensor *t); /* product of all dimensions but the last; 1 for rank 0 */
size_t tensor_cols(const tensor *t); /* the last dimension; 1 for rank 0 */
bool   tensor_is_dense(const tensor *t);
/* True when the elements are rows of contiguous elements at one distance:
 * *row_stride in elements. */
bool tensor_has_rows(const tensor *t, size_t *row_stride);
bool tensor_same_shape(const tensor *a, const tensor *b);

/* Views; a wrong use is our mistake and asserts. */
tensor tensor_view(const tensor *t, unsigned rank, const size_t *shape); /* of a dense tensor */
tensor tensor_slice(const tensor *t, unsigned dim, size_t from, size_t count);
tensor tensor_swap(const tensor *t, unsigned a, unsigned b); /* two dimensions change places */

/* Copies a dense tensor's bytes to and from the host; n must be tensor_size(t). */
snug_status tensor_put(const tensor *t, const void *src, size_t n, snug_err *err) SNUG_MUST_USE;
snug_status tensor_get(const tensor *t, void *dst, size_t n, snug_err *err) SNUG_MUST_USE;

/* "[2, 17, 64]" for messages. */
enum { TENSOR_SHAPE_TEXT = 192 };
const char *tensor_shape_text(const tensor *t, char out[TENSOR_SHAPE_TEXT]);

/* Half precision on the host. Rounds to nearest even. */
float    tensor_f16_to_f32(uint16_t h);
uint16_t tensor_f32_to_f16(float f);
float    tensor_bf16_to_f32(uint16_t h);
uint16_t tensor_f32_to_bf16(float f);

/* ---- a workspace: activations of one forward pass ---- */

/* Tensors taken from a space live until it is released to an earlier mark or reset. */
typedef struct tensor_space tensor_space;
typedef struct tensor_mark {
    size_t block, used;
} tensor_mark;
tensor_space *tensor_space_new(tensor_dev *d, size_t bytes_max);
void          tensor_space_free(tensor_space *s); /* NULL is fine */
snug_status   tensor_space_take(tensor_space *s, tensor_dtype dtype, unsigned rank,
                                const size_t *shape, tensor *out, snug_err *err) SNUG_MUST_USE;
tensor_mark   tensor_space_mark(const tensor_space *s);
void          tensor_space_release(tensor_space *s, tensor_mark m);
void          tensor_space_reset(tensor_space *s);
size_t        tensor_space_bytes(const tensor_space *s); /* held from the device */

/* ---- operations ---- */

/* X(constant, name). Activations are F32; weights (w, b, table) F32, F16 or BF16, in linear's in1
 * and embed's table also quantized; ids I32 or I64.
 *   linear      out[.., n] = f(sum_k in0[.., k] * in1[n, k] + in2[n]) + in3[.., n]
 *               (in2, f and in3 optional; in3 is F32 and not out)
 *   matmul      out[.., m, n] = sum_k in0[.., m, k] * in1[.., k, n]  (trans: in1[.., n, k])
 *   embed       out[.., d] = in0[in1[..], d]
 *   layer_norm  (x - mean) / sqrt(var + eps) * in1 + in2                (in1, in2 optional)
 *   rms_norm    x / sqrt(mean(x^2) + eps) * in1                         (in1 optional)
 *   softmax     over the last dimension
 *   rope        in0[b, t, h, d] turned by cos in1[b, t, r/2], sin in2[b, t, r/2]; the rest of d
 *               passes
 *   attention   q in0[b, t, h, d], k in1[b, s, g, d], v in2[b, s, g, e] -> out[b, t, h, e]; h % g
 *               == 0; the queries are the last t of the s positions; in3[b, s] I32: keys of 0 are
 *               hidden (optional). A query that may see no key at all takes the mean over all of
 *               them, as frameworks do that add a large negative number.
 *               k and v may be paged.
 *               in4[b, h, t, s] F32 is added to the scaled scores (optional; strides of 0 repeat);
 *               in5[h] weights: a score per head without a value that joins the softmax (optional)
 *   add, mul    in1 has in0's shape, or its last dimensions
 *   act         elementwise function
 *   glu         act(in0) * in1
 *   copy        converts between float types, any strides; dense quantized to dense F32
 *   scale       in0 * factor + shift; with a factor of 0 the input is not read: a fill
 *   clamp       in0 brought between low and high
 *   gather      out[b, h, i, j] = in0[b, h, i, in1[i, j]]  (trans: in0[b, h, j, in1[j, i]]); in0 is
 * a weight of any strides, in1 I32 scatter     out[in1[n], d] += in0[n, d] * in2[n]: rows come
 * home, weighted; in1 I32 cutoff      max(0, x - (mean + u.scale.factor * deviation)) over the last
 * dimension match       in0 at the level of in1, row by row: in0 * rms(in1) / sqrt(max(mean(in0^2),
 * eps)) xielu       with [p, n, b, e] in1[4] F32: p x^2 + b x above 0, n (e^min(x, e) - 1 - x) + b
 * x elsewhere conv        out[b, t, c] = sum_k in0[b, t + k, c] * in1[c, k] + in2[c]: a filter per
 * channel over in0[b, t + taps - 1, c], whose first taps - 1 rows are those before (in2 optional)
 *   softplus    log(1 + e^(in0 + in1)) brought between u.clamp's bounds; in1 as a bias (optional)
 *   scan        with x in0[b, t, h, p], dt in1[b, t, h], rate in2[h, n or 1], B in3[b, t, g, n],
 *               C in4[b, t, g, n]: per token s = e^(dt * rate) s + dt * x B, out[b, t, h, p] = s C;
 *               h % g == 0
 *   delta       with q in0[b, t, g, k], k in1[b, t, g, k], v in2[b, t, h, e], decay in3[b, t, h] or
 *               [b, t, h, k], beta in4[b, t, h]: per token S = e^decay S, then S += k (beta
 *               (v - S'k))', out[b, t, h, e] = S'q; h % g == 0
 *               Both read and replace their state in5: s [b, h, p, n], S [b, h, k, e]; dense F32.
 *
 * Quantized linear rounds each block of an input row (32 elements, or 256 for the K types) to 8
 * bits of step a = largest |x| / 127 and multiplies whole numbers: every CPU backend gives the same
 * bits, and an output differs from the product with the dequantized weights by at most the sum over
 * blocks of a / 2 * sum |w| plus float32 rounding. Blocks whose largest |x| is below 2^-100 count
 * as zero; a row that holds NaN or an infinity gives NaN in all its outputs. */
#define TENSOR_OP_LIST(X)                                                                          \
    X(LINEAR, "linear")                                                                            \
    X(MATMUL, "matmul")                                                                            \
    X(EMBED, "embed") X(LAYER_NORM, "layer_norm") X(RMS_NORM, "rms_norm") X(SOFTMAX, "softmax")    \
        X(ROPE, "rope") X(ATTENTION, "attention") X(ADD, "add") X(MUL, "mul") X(ACT, "act")        \
            X(GLU, "glu") X(COPY, "copy") X(SCALE, "scale") X(CLAMP, "clamp") X(GATHER, "gather")  \
                X(SCATTER, "scatter") X(CUTOFF, "cutoff") X(MATCH, "match") X(XIELU, "xielu")      \
                    X(CONV, "conv") X(SOFTPLUS, "softplus") X(SCAN, "scan") X(DELTA, "delta")

typedef enum tensor_op_kind {
#define X(id, name) TENSOR_OP_##id,
    TENSOR_OP_LIST(X)
#undef X
        TENSOR_OP_COUNT
} tensor_op_kind;

/* X(constant, name). gelu is the erf form, gelu_tanh its approximation, quick_gelu the product
 * x * sigmoid(1.702 x), relu2 the square of relu. */
#define TENSOR_ACT_LIST(X)                                                                         \
    X(SILU, "silu")                                                                                \
    X(GELU, "gelu")                                                                                \
    X(GELU_TANH, "gelu_tanh") X(QUICK_GELU, "quick_gelu") X(RELU, "relu") X(TANH, "tanh")          \
        X(SIGMOID, "sigmoid") X(RELU2, "relu2")

typedef enum tensor_act {
#define X(id, name) TENSOR_ACT_##id,
    TENSOR_ACT_LIST(X)
#undef X
        TENSOR_ACT_COUNT
} tensor_act;

struct tensor_op {
    tensor_op_kind kind;
    tensor         out;
    tensor         in[TENSOR_OP_IN_MAX];
    union {
        struct {
            bool       acts; /* false: f is nothing */
            tensor_act fn;
        } linear;
        struct {
            bool trans;
        } matmul;
        struct {
            float eps;
        } norm;
        struct {
            bool interleaved;
        } rope; /* pairs (2i, 2i+1) instead of (i, i + r/2) */
        struct {
            float  scale;
            bool   causal;
            size_t window; /* 0: none; else key j needs i - window < j */
            size_t ahead;  /* 0: none; else key j needs j < i + ahead */
            size_t chunk;  /* 0: none; else key j needs j / chunk == i / chunk */
            float  cap;    /* 0: none; else scores become cap * tanh(score / cap), before in4 */
        } attention;
        struct {
            float factor, shift;
        } scale;
        struct {
            float low, high;
        } clamp;
        struct {
            bool trans;
        } gather;
        struct {
            tensor_act fn;
        } act; /* act and glu */
    } u;
};
const char *tensor_op_name(tensor_op_kind k);

/* Says what is wrong with an operation's shapes, types or memory: SNUG_EINVAL. */
snug_status tensor_check(const tensor_op *op, snug_err *err) SNUG_MUST_USE;
snug_status tensor_run(tensor_dev *d, const tensor_op *op, snug_err *err) SNUG_MUST_USE;

/* The operations as calls, with optional operands that may be NULL. `out` may be the first input
 * (add, mul, act, glu, norms, softmax, rope). */
snug_status tensor_linear(tensor_dev *d, const tensor *x, const tensor *w, const tensor *b,
                          const tensor *out, snug_err *err) SNUG_MUST_USE;
/* fn and add may be NULL: f and in3. */
snug_status tensor_linear_with(tensor_dev *d, const tensor *x, const tensor *w, const tensor *b,
                               const tensor_act *fn, const tensor *add, const tensor *out,
                               snug_err *err) SNUG_MUST_USE;
snug_status tensor_matmul(tensor_dev *d, const tensor *a, const tensor *b, bool trans,
                          const tensor *out, snug_err *err) SNUG_MUST_USE;
snug_status tensor_embed(tensor_dev *d, const tensor *table, const tensor *ids, const tensor *out,
                         snug_err *err) SNUG_MUST_USE;
snug_status tensor_layer_norm(tensor_dev *d, const tensor *x, const tensor *w, const tensor *b,
                              float eps, const tensor *out, snug_err *err) SNUG_MUST_USE;
snug_status tensor_rms_norm(tensor_dev *d, const tensor *x, const tensor *w, float eps,
                            const tensor *out, snug_err *err) SNUG_MUST_USE;
snug_status tensor_softmax(tensor_dev *d, const tensor *x, const tensor *out,
                           snug_err *err) SNUG_MUST_USE;
snug_status tensor_rope(tensor_dev *d, const tensor *x, const tensor *cos, const tensor *sin,
                        bool interleaved, const tensor *out, snug_err *err) SNUG_MUST_USE;
snug_status tensor_attention(tensor_dev *d, const tensor *q, const tensor *k, const tensor *v,
                             const tensor *mask, float scale, bool causal, size_t window,
                             const tensor *out, snug_err *err) SNUG_MUST_USE;
snug_status tensor_add(tensor_dev *d, const tensor *a, const tensor *b, const tensor *out,
                       snug_err *err) SNUG_MUST_USE;
snug_status tensor_mul(tensor_dev *d, const tensor *a, const tensor *b, const tensor *out,
                       snug_err *err) SNUG_MUST_USE;
snug_status tensor_activate(tensor_dev *d, const tensor *x, tensor_act fn, const tensor *out,
                            snug_err *err) SNUG_MUST_USE;
snug_status tensor_glu(tensor_dev *d, const tensor *gate, const tensor *up, tensor_act fn,
                       const tensor *out, snug_err *err) SNUG_MUST_USE;
snug_status tensor_copy(tensor_dev *d, const tensor *x, const tensor *out,
                        snug_err *err) SNUG_MUST_USE;
snug_status tensor_scale(tensor_dev *d, const tensor *x, float factor, float shift,
                         const tensor *out, snug_err *err) SNUG_MUST_USE;
snug_status tensor_clamp(tensor_dev *d, const tensor *x, float low, float high, const tensor *out,
                         snug_err *err) SNUG_MUST_USE;
snug_status tensor_gather(tensor_dev *d, const tensor *x, const tensor *index, bool trans,
                          const tensor *out, snug_err *err) SNUG_MUST_USE;
snug_status tensor_scatter(tensor_dev *d, const tensor *x, const tensor *ids, const tensor *weights,
                           const tensor *out, snug_err *err) SNUG_MUST_USE;
snug_status tensor_cutoff(tensor_dev *d, const tensor *x, float factor, const tensor *out,
                          snug_err *err) SNUG_MUST_USE;
snug_status tensor_match(tensor_dev *d, const tensor *x, const tensor *like, float eps,
                         const tensor *out, snug_err *err) SNUG_MUST_USE;
snug_status tensor_xielu(tensor_dev *d, const tensor *x, const tensor *shape, const tensor *out,
                         snug_err *err) SNUG_MUST_USE;
snug_status tensor_conv(tensor_dev *d, const tensor *x, const tensor *w, const tensor *b,
                        const tensor *out, snug_err *err) SNUG_MUST_USE;
snug_status tensor_softplus(tensor_dev *d, const tensor *x, const tensor *b, float low, float high,
                            const tensor *out, snug_err *err) SNUG_MUST_USE;
/* Operands in[0..4] and the state in[5], as the list above says. */
snug_status tensor_scan(tensor_dev *d, const tensor in[6], const tensor *out,
                        snug_err *err) SNUG_MUST_USE;
snug_status tensor_delta(tensor_dev *d, const tensor in[6], const tensor *out,
                         snug_err *err) SNUG_MUST_USE;

#endif
