# SPDX-License-Identifier: Apache-2.0
"""Files that `snug quantize` writes, read by llama.cpp and by the gguf package: the same tensors in the same types as
llama.cpp's own quantizer chooses, the same logits, the same greedy text, a perplexity as good, ids as the tokenizer's."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFReader, dequantize
from safetensors.numpy import load_file, save_file

sys.path.insert(0, str(Path(__file__).resolve().parent))

import llamacpp  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent.parent
SNUG = os.environ.get("SNUG_BIN", str(ROOT / "build/snug"))
GOLDEN = ROOT / "tests/golden/model"
PLAYS = ROOT / "samples/models/shakespeare-tiny"
MIXES = ["Q2_K", "Q3_K_S", "Q3_K_M", "Q3_K_L", "Q4_K_S", "Q4_K_M", "Q5_K_S", "Q5_K_M", "Q6_K"]
PLAIN = ["F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"]


def snug(*args, stdin=None):
    r = subprocess.run([SNUG, *map(str, args)], input=stdin, capture_output=True, text=True, timeout=300)
    assert r.returncode == 0, r.stderr
    return r.stdout


def make(source, kind, to):
    snug("quantize", source, "--type", kind, "-o", to, "--quiet")
    return to


@pytest.fixture(scope="session")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("gguf")


@pytest.fixture(scope="session")
def plays(work):
    return make(PLAYS, "F32", work / "plays.gguf")


@pytest.fixture(scope="session")
def text_ids(plays):
    text = (ROOT / "samples/datasets/shakespeare/input.txt").read_text()[-50_000:]
    with llamacpp.Model(plays) as m:
        ids = m.tokenize(text)
    assert len(ids) > 8 * 512
    return ids[:8 * 512]


# ---- architectures: llama.cpp computes the reference's logits from our file ----

NAMES = ["llama", "llama-tied-bias", "llama-rope-linear", "llama-rope-llama3", "llama-rope-yarn", "llama-sharded", "qwen2", "qwen3",
         "qwen2-moe", "gemma2", "gemma3-text", "glm4", "gpt2", "gpt-neox", "bloom", "falcon", "qwen3-vl"]


@pytest.mark.parametrize("name", NAMES)
def test_logits(name, work):
    golden = load_file(GOLDEN / name / "golden.safetensors")
    ids, want = golden["in.input_ids"], golden["out.logits"]
    mask = golden.get("in.attention_mask", np.ones_like(ids))
    with llamacpp.Model(make(GOLDEN / name, "F32", work / "model.gguf"), 64) as m:
        for i in range(len(ids)):
            seen = np.nonzero(mask[i])[0]
            got = m.logits(ids[i][seen])
            assert np.abs(got - want[i][seen]).max() <= 5e-3 * np.abs(want[i][seen]).max()


# ---- types and bytes ----

def types_of(path):
    return {t.name: t.tensor_type.name for t in GGUFReader(path).tensors}


@pytest.mark.parametrize("kind", MIXES + PLAIN)
def test_mix(kind, work, plays):
    ours, theirs = make(PLAYS, kind, work / "ours.gguf"), work / "theirs.gguf"
    llamacpp.quantize(plays, theirs, kind)
    assert types_of(ours) == types_of(theirs)


def experts(work):
    """A model of 8 experts: two layers, rows of 256."""
    rng, to = np.random.default_rng(5), work / "experts"
    to.mkdir(exist_ok=True)
    E, inner, hidden, vocab = 8, 256, 256, 300
    config = {"architectures": ["MixtralForCausalLM"], "model_type": "mixtral", "hidden_size": hidden, "intermediate_size": inner,
              "num_hidden_layers": 8, "num_attention_heads": 8, "num_key_value_heads": 2, "vocab_size": vocab,
              "num_local_experts": E, "num_experts_per_tok": 2, "max_position_embeddings": 128, "sliding_window": None}
    w = {"model.embed_tokens.weight": (vocab, hidden), "lm_head.weight": (vocab, hidden), "model.norm.weight": (hidden,)}
    for i in range(8):
        p = f"model.layers.{i}."
        w |= {p + "input_layernorm.weight": (hidden,), p + "post_attention_layernorm.weight": (hidden,),
              p + "self_attn.q_proj.weight": (hidden, hidden), p + "self_attn.k_proj.weight": (64, hidden),
              p + "self_attn.v_proj.weight": (64, hidden), p + "self_attn.o_proj.weight": (hidden, hidden),
              p + "block_sparse_moe.gate.weight": (E, hidden)}
        for e in range(E):
            w |= {p + f"block_sparse_moe.experts.{e}.{k}.weight": (inner, hidden) for k in ("w1", "w2", "w3")}
    save_file({k: rng.normal(0, 0.06, s).astype(np.float32) + (len(s) == 1) for k, s in w.items()}, to / "model.safetensors")
    (to / "config.json").write_text(json.dumps(config))
    return to


@pytest.mark.parametrize("kind", ["Q2_K", "Q3_K_M", "Q3_K_L", "Q4_K_M", "Q5_K_S", "Q8_0", "MXFP4_MOE"])
def test_mix_of_experts(kind, work):
    folder = experts(work)
    base, ours, theirs = work / "e.gguf", work / "e-ours.gguf", work / "e-theirs.gguf"
    make(folder, "F32", base), make(folder, kind, ours)
    llamacpp.quantize(base, theirs, kind)
    assert types_of(ours) == types_of(theirs)


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K_M", "Q4_K_M", "Q5_K_M", "Q6_K", "BF16", "F16"])
def test_values(kind, work, plays):
    """What the package reads from our blocks is what we read from them."""
    packed, back = make(plays, kind, work / "packed.gguf"), work / "back.gguf"
    make(packed, "F32", back)
    wide = {t.name: t for t in GGUFReader(back).tensors}
    for t in GGUFReader(packed).tensors:
        got = wide[t.name].data.reshape(-1).view(np.uint32)
        assert np.array_equal(dequantize(t.data, t.tensor_type).astype(np.float32).reshape(-1).view(np.uint32), got), t.name


# ---- quality ----

@pytest.mark.parametrize("kind", MIXES + ["Q8_0", "Q4_0", "Q5_1"])
def test_perplexity(kind, work, plays, text_ids):
    ours, theirs = make(PLAYS, kind, work / "ours.gguf"), work / "theirs.gguf"
    llamacpp.quantize(plays, theirs, kind)
    with llamacpp.Model(ours) as a, llamacpp.Model(theirs) as b:
        x, y = llamacpp.perplexity(a, text_ids), llamacpp.perplexity(b, text_ids)
    print(f"{kind}: {x:.4f} against {y:.4f}, {100 * (x / y - 1):+.3f} %")
    assert x <= 1.005 * y


# ---- text ----

def test_text(work, plays):
    """The same ids for a text, and the same text after it."""
    prompt, n = "ROMEO:\nWhat light through yonder window breaks?\n", 48
    wanted = json.loads(snug("tokenize", "--tokenizer", PLAYS, stdin=json.dumps({"text": prompt}) + "\n"))["ids"]
    ours = json.loads(snug("run", plays, prompt, "--json", "--param", f"max_new_tokens={n}"))
    with llamacpp.Model(plays) as m:
        ids = m.tokenize(prompt)
        assert ids == wanted
        after = m.greedy(ids, n)[len(ids):]
    theirs = snug("run", PLAYS, prompt, "--json", "--param", f"max_new_tokens={n}")
    assert ours == json.loads(theirs)
    ids_in = work / "ids.safetensors"
    save_file({"in.input_ids": np.array([ids], np.int64)}, ids_in)
    out = snug("forward", plays, "--in", ids_in, "--out", work / "out.safetensors", "--generate",
               json.dumps({"max_new_tokens": n, "do_sample": False}))
    assert json.loads(out)[0][len(ids):] == after


def test_their_file(work, plays, text_ids):
    """A file of llama.cpp's quantizer is read by us as by them."""
    theirs = work / "theirs.gguf"
    llamacpp.quantize(plays, theirs, "Q6_K")
    ids = text_ids[:64]
    save_file({"in.input_ids": np.array([ids], np.int64)}, work / "ids.safetensors")
    snug("forward", theirs, "--in", work / "ids.safetensors", "--out", work / "out.safetensors")
    got = load_file(work / "out.safetensors")["out.logits"][0]
    with llamacpp.Model(theirs) as m:
        want = m.logits(ids)
    assert np.abs(got - want).max() <= 0.03 * np.abs(want).max()
    assert (got.argmax(-1) == want.argmax(-1)).mean() > 0.95
