#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the goldens of the quantized types with the PyPI package gguf.

    make_quant.py [libggml-base.so]     writes beside itself

<TYPE>.blocks  raw blocks: random bytes, with scales that are finite F16 numbers
<TYPE>.f32     what gguf.quants.dequantize makes of them
values.f32     4096 floats: normal, spiky, constant, tiny, one-sided and zero stretches
<TYPE>.packed  gguf.quants.quantize of values.f32, for the types it can write
errors.txt     per K type and 256 values: the sum of squared differences after ggml's own quantizer (the
               optional argument: a build of ggml)"""

import ctypes
import sys
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T

HERE = Path(__file__).resolve().parent
# where the F16 numbers of a block lie
F16_AT = {T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0], T.MXFP4: [],
          T.Q2_K: [80, 82], T.Q3_K: [108], T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208]}
rng = np.random.default_rng(7)


def raw(t):
    elems, size = gguf.GGML_QUANT_SIZES[t]
    count = 1024 // elems
    b = rng.integers(0, 256, (count, size), dtype=np.uint8)
    for at in F16_AT[t]:
        d = (rng.standard_normal(count) * 10.0 ** rng.integers(-6, 3, count)).astype(np.float16)
        d[0], d[1] = 0.0, -2.0 ** -24
        b[:, at:at + 2] = d.view(np.uint8).reshape(count, 2)
    if t == T.MXFP4:
        b[:4, 0] = [0, 1, 2, 250]
        b[4:, 0] = rng.integers(100, 150, count - 4)
    return b


def values():
    parts = [rng.standard_normal(1024) * 0.02, rng.standard_normal(512) ** 3,
             np.where(rng.random(512) < 0.02, 30.0, 0.01) * rng.standard_normal(512),
             rng.random(256) + 5.0, -rng.random(256) * 1e-3, np.zeros(256), np.full(256, -0.75),
             rng.standard_normal(256) * 1e-7, rng.standard_normal(256) * 4000.0,
             rng.standard_t(4, 512) * 0.05]
    return np.concatenate(parts).astype(np.float32)


def main():
    v = values()
    v.tofile(HERE / "values.f32")
    for t in F16_AT:
        b = raw(t)
        b.tofile(HERE / f"{t.name}.blocks")
        gguf.quants.dequantize(b, t).astype(np.float32).tofile(HERE / f"{t.name}.f32")
        try:
            gguf.quants.quantize(v, t).tofile(HERE / f"{t.name}.packed")
        except NotImplementedError:
            pass
    if len(sys.argv) < 2:
        return
    lib = ctypes.CDLL(sys.argv[1])
    lib.ggml_quantize_chunk.restype = ctypes.c_size_t
    lib.ggml_quantize_chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64,
                                        ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]
    lines = []
    for t in (T.Q2_K, T.Q3_K, T.Q4_K, T.Q5_K, T.Q6_K):
        elems, size = gguf.GGML_QUANT_SIZES[t]
        out = np.zeros(len(v) // elems * size, dtype=np.uint8)
        lib.ggml_quantize_chunk(int(t), v.ctypes.data, out.ctypes.data, 0, 1, len(v), None)
        back = gguf.quants.dequantize(out.reshape(-1, size), t).reshape(-1)
        miss = (back.astype(np.float64) - v) ** 2
        sums = [f"{miss[i:i + 256].sum():.9g}" for i in range(0, len(v), 256)]
        lines.append(" ".join([t.name, *sums]) + "\n")
    (HERE / "errors.txt").write_text("".join(lines))


main()
