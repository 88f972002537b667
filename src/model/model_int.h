/* SPDX-License-Identifier: Apache-2.0 */
/* model/model_int.h - what the architectures share: reading configs, binding weights. */
#ifndef SNUG_MODEL_MODEL_INT_H
#define SNUG_MODEL_MODEL_INT_H

#include "base/base.h"
#include "codec/codec.h"
#include "model/model.h"

struct model {
    snug_arena   *arena; /* the config, the net, and what must be undone on close */
    model_shape   shape;
    snug_json     config;
    tensor_dev   *dev;
    tensor_space *space; /* activations */
    void         *net;   /* the architecture's weights */
    struct owned {
        struct owned *next;
        tensor        t;
    }     *owned;
    size_t weight_bytes;
};

static inline nn_ctx model_ctx(const model *m) { return (nn_ctx){m->dev, m->space}; }

/* ---- configuration (config.c): absent and null mean the default ---- */

typedef struct cfg_range {
    const char *key, *alias; /* alias may be NULL */
    size_t      dflt, min, max;
} cfg_range;
snug_status cfg_size(snug_json config, cfg_range r, size_t *out, snug_err *err) SNUG_MUST_USE;
snug_status cfg_real(snug_json obj, const char *key, double dflt, double min, double max,
                     double *out, snug_err *err) SNUG_MUST_USE;
snug_status cfg_bool(snug_json config, const char *key, bool dflt, bool *out,
                     snug_err *err) SNUG_MUST_USE;
snug_status cfg_act(snug_json config, const char *key, const char *dflt, tensor_act *out,
                    snug_err *err) SNUG_MUST_USE;
/* rope_parameters, or rope_theta and rope_scaling; needs positions_max and the width of a head. */
snug_status cfg_rope(snug_json config, size_t width, size_t positions_max, double theta_dflt,
                     nn_rope *out, snug_err *err) SNUG_MUST_USE;
snug_status cfg_labels(snug_json config, size_t *out, snug_err *err) SNUG_MUST_USE;

/* ---- weights (weights.c) ---- */

snug_status weight_map_open(snug_arena *a, const char *dir, weight_map **out,
                            snug_err *err) SNUG_MUST_USE;

/* Finds weights under a prefix, with or without it; a scope ("layers.3.") follows the prefix. */
typedef struct binder {
    model            *m;
    const weight_map *w;
    const char       *prefix;
    snug_err         *err;
    char              scope[64];
} binder;
binder      bind_scope(const binder *b, const char *list, size_t index); /* "<list>.<index>." */
snug_status bind_tensor(const binder *b, tensor *out, unsigned rank, const size_t *shape,
                        const char *name) SNUG_MUST_USE;
/* <name>.weight [n, in], <name>.bias [n] */
snug_status bind_linear(const binder *b, nn_linear *out, size_t in, size_t n, bool bias,
                        const char *name) SNUG_MUST_USE;
/* <name>.weight and .bias [n]; old checkpoints say gamma and beta */
snug_status bind_norm(const binder *b, nn_norm *out, nn_norm_kind kind, size_t n, float eps,
                      const char *name) SNUG_MUST_USE;

extern const model_arch arch_llama, arch_distilbert;

#endif
