# SPDX-License-Identifier: Apache-2.0
"""Random GGUF files and what the `gguf` package (0.19.0, numpy 2.4.6) reads back from them.

    python make.py FOLDER COUNT [SEED]

For each file x.gguf a x.json: pairs as [key, kind, value], tensors as [name, type, dims, offset, size].
The committed files are `make.py . 6 1`; a larger run is compared by setting SNUG_GGUF_DIR for
test_codec_gguf. Q8_1 is left out: the package counts 40 bytes a block where ggml has 36."""
import json, random, sys
import gguf
import numpy as np

KINDS = ["u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array", "u64", "i64", "f64"]
TYPES = [t for t in gguf.GGMLQuantizationType if t.name in (
    "F32 F16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K Q8_K IQ2_XXS IQ2_XS IQ3_XXS IQ1_S IQ4_NL "
    "IQ3_S IQ2_S IQ4_XS I8 I16 I32 I64 F64 IQ1_M BF16 TQ1_0 TQ2_0 MXFP4 NVFP4").split()]


def text(r):
    return "".join(r.choice("abcdefghijklmnopqrstuvwxyz.,_ é中😀\n\"\\") for _ in range(r.randrange(12)))


def scalar(r, kind):
    if kind == "bool":
        return r.random() < 0.5
    if kind == "string":
        return text(r)
    if kind[0] == "f":
        return float(np.float32(r.uniform(-1e6, 1e6))) if kind == "f32" else r.uniform(-1e9, 1e9)
    bits = int(kind[1:])
    low = 0 if kind[0] == "u" else -(1 << (bits - 1))
    high = (1 << bits) - 1 if kind[0] == "u" else (1 << (bits - 1)) - 1
    return r.choice([low, high, r.randint(low, high)])


def make(path, seed):
    r = random.Random(seed)
    w = gguf.GGUFWriter(path + ".gguf", "test")
    adders = {"u8": w.add_uint8, "i8": w.add_int8, "u16": w.add_uint16, "i16": w.add_int16, "u32": w.add_uint32,
              "i32": w.add_int32, "f32": w.add_float32, "bool": w.add_bool, "u64": w.add_uint64, "i64": w.add_int64,
              "f64": w.add_float64}
    if r.random() < 0.5:
        w.add_custom_alignment(r.choice([8, 64, 256]))
    for i in range(r.randrange(4, 24)):
        kind, key = r.choice(KINDS), f"test.key_{i}"
        if kind == "array":
            sub = r.choice(["i32", "f32", "bool", "string", "u8", "i64", "f64", "u16"])
            values = [scalar(r, sub) for _ in range(r.randrange(1, 9))]
            w.add_key_value(key, values, gguf.GGUFValueType.ARRAY,
                            {"i32": gguf.GGUFValueType.INT32, "f32": gguf.GGUFValueType.FLOAT32,
                             "bool": gguf.GGUFValueType.BOOL, "string": gguf.GGUFValueType.STRING,
                             "u8": gguf.GGUFValueType.UINT8, "i64": gguf.GGUFValueType.INT64,
                             "f64": gguf.GGUFValueType.FLOAT64, "u16": gguf.GGUFValueType.UINT16}[sub])
        elif kind == "string":
            w.add_key_value(key, text(r), gguf.GGUFValueType.STRING)
        else:
            adders[kind](key, scalar(r, kind))
    for i in range(r.randrange(0, 7)):
        t = r.choice(TYPES)
        block, size = gguf.GGML_QUANT_SIZES[t]
        shape = [r.randrange(1, 4) for _ in range(r.randrange(0, 3))] + [block * r.randrange(1, 3)]
        raw = np.frombuffer(r.randbytes(int(np.prod(shape)) // block * size), dtype=np.uint8)
        w.add_tensor(f"t.{i}", raw.reshape(shape[:-1] + [shape[-1] // block * size]), raw_dtype=t)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def describe(path):
    g = gguf.GGUFReader(path + ".gguf")
    pairs = []
    for f in g.fields.values():
        if f.name.startswith("GGUF."):
            continue
        pairs.append([f.name, KINDS[f.types[0]], f.contents()])
    tensors = [[t.name, t.tensor_type.name, [int(d) for d in t.shape], int(t.data_offset) - g.data_offset,
                int(t.n_bytes)] for t in g.tensors]
    out = {"data_offset": g.data_offset, "alignment": g.alignment, "pairs": pairs, "tensors": tensors}
    json.dump(out, open(path + ".json", "w"), ensure_ascii=False, default=int)


for n in range(int(sys.argv[2])):
    name = f"{sys.argv[1]}/random-{n}"
    make(name, int(sys.argv[3] if len(sys.argv) > 3 else 1) * 100000 + n)
    describe(name)
