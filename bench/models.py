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


T5 = {"d_model": 512, "d_kv": 64, "d_ff": 2048, "num_layers": 6, "num_heads": 8, "vocab_size": 32128}
BUCKETS, FAR = 32, 128


def t5_weights(shape, seed=0):
    rng = np.random.default_rng(seed)
    e, inner, ff = shape["d_model"], shape["d_kv"] * shape["num_heads"], shape["d_ff"]

    def rand(*dims, scale):
        return rng.standard_normal(dims, dtype=np.float32) * np.float32(scale)

    w = {"shared.weight": rand(shape["vocab_size"], e, scale=1.0)}

    def attention(p, scale=1.0):
        for part in "qkv":  # T5 does not divide scores by the root of the width: q is small instead
            w[f"{p}.{part}.weight"] = rand(inner, e, scale=scale * (e * shape["d_kv"] if part == "q" else e) ** -0.5)
        w[p + ".o.weight"] = rand(e, inner, scale=inner ** -0.5)

    for stack in ("encoder", "decoder"):
        for i in range(shape["num_layers"]):
            p = f"{stack}.block.{i}.layer."
            attention(p + "0.SelfAttention")
            if i == 0:
                w[p + "0.SelfAttention.relative_attention_bias.weight"] = rand(BUCKETS, shape["num_heads"], scale=0.5)
            if stack == "decoder":
                attention(p + "1.EncDecAttention")
            last = 2 if stack == "decoder" else 1
            w[f"{p}{last}.DenseReluDense.wi.weight"] = rand(ff, e, scale=e ** -0.5)
            w[f"{p}{last}.DenseReluDense.wo.weight"] = rand(e, ff, scale=ff ** -0.5)
            for k in range(last + 1):
                w[f"{p}{k}.layer_norm.weight"] = 1 + rand(e, scale=0.1)
        w[stack + ".final_layer_norm.weight"] = 1 + rand(e, scale=0.1)
    return w


def write_t5(folder, shape, w):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = dict(shape, architectures=["T5ForConditionalGeneration"], model_type="t5", feed_forward_proj="relu",
                  relative_attention_num_buckets=BUCKETS, relative_attention_max_distance=FAR, layer_norm_epsilon=1e-6,
                  decoder_start_token_id=0, eos_token_id=1, pad_token_id=0, tie_word_embeddings=True)
    (folder / "config.json").write_text(json.dumps(config))
    write_safetensors(folder / "model.safetensors", w)


def write_t5_ct2(folder, shape, w):
    """The same as a CTranslate2 model; token i is called t{i}."""
    from ctranslate2.specs import common_spec, transformer_spec

    spec = transformer_spec.TransformerSpec.from_config(shape["num_layers"], shape["num_heads"], pre_norm=True,
                                                        activation=common_spec.Activation.RELU,
                                                        relative_attention_bias=True, rms_norm=True)

    def attend(to, p, own):
        to.queries_scale = 1.0
        parts = [w[f"{p}.{x}.weight"] for x in "qkv"]
        groups = [parts] if own else [parts[:1], parts[1:]]
        for i, group in enumerate(groups):
            to.linear[i].weight = np.concatenate(group)
        to.linear[len(groups)].weight = w[p + ".o.weight"]

    for name, stack in (("encoder", spec.encoder), ("decoder", spec.decoder)):
        words = stack.embeddings[0] if isinstance(stack.embeddings, list) else stack.embeddings
        words.weight = w["shared.weight"]
        stack.scale_embeddings = False
        stack.layer_norm.gamma = w[name + ".final_layer_norm.weight"]
        for i, layer in enumerate(stack.layer):
            p = f"{name}.block.{i}.layer."
            attend(layer.self_attention, p + "0.SelfAttention", True)
            layer.self_attention.layer_norm.gamma = w[p + "0.layer_norm.weight"]
            layer.self_attention.relative_attention_bias = w[f"{name}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"]
            layer.self_attention.relative_attention_max_distance = np.dtype("int32").type(FAR)
            last = 1
            if name == "decoder":
                attend(layer.attention, p + "1.EncDecAttention", False)
                layer.attention.layer_norm.gamma = w[p + "1.layer_norm.weight"]
                last = 2
            layer.ffn.layer_norm.gamma = w[f"{p}{last}.layer_norm.weight"]
            layer.ffn.linear_0.weight = w[f"{p}{last}.DenseReluDense.wi.weight"]
            layer.ffn.linear_1.weight = w[f"{p}{last}.DenseReluDense.wo.weight"]
    spec.decoder.projection.weight = w["shared.weight"]
    spec.decoder.scale_outputs = np.dtype("float32").type(shape["d_model"] ** -0.5)
    vocabulary = [f"t{i}" for i in range(shape["vocab_size"])]
    spec.register_source_vocabulary(vocabulary)
    spec.register_target_vocabulary(vocabulary)
    spec.config.unk_token, spec.config.eos_token, spec.config.decoder_start_token = "t2", "t1", "t0"
    spec.config.add_source_eos = False
    spec.config.layer_norm_epsilon = 1e-6
    spec.validate()
    Path(folder).mkdir(parents=True)
    spec.save(str(folder))
