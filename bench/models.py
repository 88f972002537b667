# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of random weights for bench/engine.py: folders Snug reads, and the same numbers as ONNX
graphs in the fused form ONNX Runtime's own optimizer makes of a BERT (its fastest)."""

import json
from pathlib import Path

import numpy as np

SHAPES = {
    "minilm": {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536},
    "bert-base": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072},
}
VOCAB, POSITIONS, EPS = 30522, 512, 1e-12


def write_safetensors(path, tensors):
    """The format: a length, a JSON header, the bytes."""
    head, at = {}, 0
    for name, t in tensors.items():
        head[name] = {"dtype": "F32", "shape": list(t.shape), "data_offsets": [at, at + t.nbytes]}
        at += t.nbytes
    text = json.dumps(head).encode()
    text += b" " * (-(len(text) + 8) % 64)
    with open(path, "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text)
        for t in tensors.values():
            f.write(t.tobytes())


def bert_weights(shape, seed=0):
    rng = np.random.default_rng(seed)
    e, inner = shape["hidden_size"], shape["intermediate_size"]

    def rand(*dims, scale):
        return (rng.standard_normal(dims, dtype=np.float32) * np.float32(scale))

    w = {"embeddings.word_embeddings.weight": rand(VOCAB, e, scale=0.05),
         "embeddings.position_embeddings.weight": rand(POSITIONS, e, scale=0.05),
         "embeddings.token_type_embeddings.weight": rand(2, e, scale=0.05)}

    def norm(name):
        w[name + ".weight"] = 1 + rand(e, scale=0.1)
        w[name + ".bias"] = rand(e, scale=0.1)

    def linear(name, n, k):
        w[name + ".weight"] = rand(n, k, scale=k ** -0.5)
        w[name + ".bias"] = rand(n, scale=0.02)

    norm("embeddings.LayerNorm")
    for i in range(shape["num_hidden_layers"]):
        p = f"encoder.layer.{i}."
        for part in ("query", "key", "value"):
            linear(p + "attention.self." + part, e, e)
        linear(p + "attention.output.dense", e, e)
        norm(p + "attention.output.LayerNorm")
        linear(p + "intermediate.dense", inner, e)
        linear(p + "output.dense", e, inner)
        norm(p + "output.LayerNorm")
    return w


def write_bert(folder, shape, w):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = dict(shape, architectures=["BertModel"], model_type="bert", vocab_size=VOCAB, hidden_act="gelu",
                  max_position_embeddings=POSITIONS, type_vocab_size=2, layer_norm_eps=EPS, pad_token_id=0)
    (folder / "config.json").write_text(json.dumps(config))
    write_safetensors(folder / "model.safetensors", w)


def write_bert_onnx(path, shape, w, op="Attention"):
    """op: "Attention" (projections and scores in one node) or "MultiHeadAttention" (flash on the CPU when
    nothing is masked). Inputs ids [B, T] and lengths [B]; output last_hidden_state."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    e, heads, layers = shape["hidden_size"], shape["num_attention_heads"], shape["num_hidden_layers"]
    nodes, inits = [], []

    def const(name, value):
        inits.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(kind, inputs, outputs, **attrs):
        nodes.append(helper.make_node(kind, inputs, outputs, domain=attrs.pop("domain", "com.microsoft"), **attrs))
        return outputs[0]

    emb = [const(k, w[f"embeddings.{k}.weight"]) for k in ("word_embeddings", "position_embeddings", "token_type_embeddings")]
    node("Shape", ["ids"], ["ids_shape"], domain="")
    const("zero", np.zeros(1, np.int32))
    node("ConstantOfShape", ["ids_shape"], ["types"], domain="", value=helper.make_tensor("v", TensorProto.INT32, [1], [0]))
    x = node("EmbedLayerNormalization", ["ids", "types", *emb, const("eln.w", w["embeddings.LayerNorm.weight"]),
                                         const("eln.b", w["embeddings.LayerNorm.bias"])], ["x0", "unused"], epsilon=EPS)
    for i in range(layers):
        p = f"encoder.layer.{i}."
        names = [p + "attention.self." + part for part in ("query", "key", "value")]
        wqkv = np.concatenate([w[n + ".weight"].T for n in names], axis=1)
        bqkv = np.concatenate([w[n + ".bias"] for n in names])
        if op == "Attention":
            a = node("Attention", [x, const(p + "wqkv", wqkv), const(p + "bqkv", bqkv), "lengths"], [p + "a"], num_heads=heads)
        else:
            parts = []
            for n in names:
                parts.append(node("MatMul", [x, const(n + ".w", w[n + ".weight"].T)], [n + ".out"], domain=""))
            a = node("MultiHeadAttention", [*parts, const(p + "bqkv", bqkv)], [p + "a"], num_heads=heads)

        def dense(src, name):
            return node("MatMul", [src, const(name + ".w", w[name + ".weight"].T)], [name + ".out"], domain="")

        o = dense(a, p + "attention.output.dense")
        ln = p + "attention.output.LayerNorm"
        x = node("SkipLayerNormalization", [o, x, const(ln + ".w", w[ln + ".weight"]), const(ln + ".b", w[ln + ".bias"]),
                                            const(p + "o.b", w[p + "attention.output.dense.bias"])], [p + "x1"], epsilon=EPS)
        h = dense(x, p + "intermediate.dense")
        h = node("BiasGelu", [h, const(p + "i.b", w[p + "intermediate.dense.bias"])], [p + "h"])
        h = dense(h, p + "output.dense")
        ln = p + "output.LayerNorm"
        x = node("SkipLayerNormalization", [h, x, const(ln + ".w", w[ln + ".weight"]), const(ln + ".b", w[ln + ".bias"]),
                                            const(p + "d.b", w[p + "output.dense.bias"])], [p + "x2"], epsilon=EPS)
    nodes.append(helper.make_node("Identity", [x], ["last_hidden_state"]))
    inputs = [helper.make_tensor_value_info("ids", TensorProto.INT32, ["b", "t"])]
    if op == "Attention":
        inputs.append(helper.make_tensor_value_info("lengths", TensorProto.INT32, ["b"]))
    out = [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["b", "t", e])]
    graph = helper.make_graph(nodes, "bert", inputs, out, inits)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)])
    model.ir_version = 9
    onnx.save(model, str(path))


def write_bert_ct2(folder, shape, w):
    """The same as a CTranslate2 model; token type 0 is folded into the positions."""
    from ctranslate2.specs import common_spec, transformer_spec

    enc = transformer_spec.TransformerEncoderSpec(shape["num_hidden_layers"], shape["num_attention_heads"], pre_norm=False,
                                                  activation=common_spec.Activation.GELU, layernorm_embedding=True)
    spec = transformer_spec.TransformerEncoderModelSpec(enc)

    def linear(to, name):
        to.weight, to.bias = w[name + ".weight"], w[name + ".bias"]

    def norm(to, name):
        to.gamma, to.beta = w[name + ".weight"], w[name + ".bias"]

    enc.scale_embeddings = False
    enc.embeddings[0].weight = w["embeddings.word_embeddings.weight"]
    enc.position_encodings.encodings = w["embeddings.position_embeddings.weight"] + w["embeddings.token_type_embeddings.weight"][0]
    norm(enc.layernorm_embedding, "embeddings.LayerNorm")
    for i, layer in enumerate(enc.layer):
        p = f"encoder.layer.{i}."
        names = [p + "attention.self." + part for part in ("query", "key", "value")]
        fused = layer.self_attention.linear[0]
        fused.weight = np.concatenate([w[n + ".weight"] for n in names])
        fused.bias = np.concatenate([w[n + ".bias"] for n in names])
        linear(layer.self_attention.linear[1], p + "attention.output.dense")
        norm(layer.self_attention.layer_norm, p + "attention.output.LayerNorm")
        linear(layer.ffn.linear_0, p + "intermediate.dense")
        linear(layer.ffn.linear_1, p + "output.dense")
        norm(layer.ffn.layer_norm, p + "output.LayerNorm")
    spec.register_vocabulary([f"t{i}" for i in range(VOCAB)])
    spec.config.unk_token = "t0"
    spec.config.layer_norm_epsilon = EPS
    spec.validate()
    Path(folder).mkdir(parents=True)
    spec.save(str(folder))
