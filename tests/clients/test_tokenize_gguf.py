# SPDX-License-Identifier: Apache-2.0
"""The tokenizer inside a GGUF: the reference tokenizers rewritten as tokenizer.ggml.* (as llama.cpp's converter does it) must
give what they gave before."""

import json
import struct

import pytest

from harness import ROOT, snug

GOLDEN, FORMS = ROOT / "tests/golden/tok", ROOT / "tests/golden/tok-forms"


# ---- a writer of headers: magic, version 3, no tensors, then typed pairs ----

def text(s):
    b = s if isinstance(s, bytes) else s.encode()
    return struct.pack("<Q", len(b)) + b


def value(v):
    if isinstance(v, bool):
        return struct.pack("<IB", 7, v)
    if isinstance(v, int):
        return struct.pack("<II", 4, v)
    if isinstance(v, str):
        return struct.pack("<I", 8) + text(v)
    if isinstance(v, bytes):
        return struct.pack("<IIQ", 9, 0, len(v)) + v
    kind, pack = (8, text) if isinstance(v[0], (str, bytes)) else (6, lambda x: struct.pack("<f", x)) if isinstance(v[0], float) else (
        5, lambda x: struct.pack("<i", x))
    return struct.pack("<IIQ", 9, kind, len(v)) + b"".join(pack(x) for x in v)


def write(path, pairs, prefix="tokenizer.ggml."):
    body = [text(k if k.startswith("general.") or "huggingface" in k else prefix + k) + value(v) for k, v in pairs.items()]
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, len(body)) + b"".join(body))
    return path


def encode(path, texts, special=False):
    lines = "".join(json.dumps({"text": t, "add_special": special}) + "\n" for t in texts)
    out = snug("tokenize", "--tokenizer", path, input=lines).stdout
    return [json.loads(x) for x in out.split("\n") if x]


def by_id(doc):
    """(token, type) by id."""
    vocab = {i: t for t, i in doc["model"]["vocab"].items()}
    added = {a["id"]: a for a in doc["added_tokens"]}
    out = []
    for i in range(max([*vocab, *added]) + 1):
        a = added.get(i)
        out.append((a["content"] if a else vocab[i], (3 if a["special"] else 4) if a else 1))
    return out


@pytest.mark.parametrize("name,pre", [("gpt2", "gpt-2"), ("llama3", "llama-bpe")])
def test_byte_level_bpe(tmp_path, name, pre):
    doc = json.loads((GOLDEN / name / "tokenizer.json").read_text())
    cases = json.loads((GOLDEN / name / "cases.json").read_text())["cases"]
    tokens = by_id(doc)
    path = write(tmp_path / "m.gguf", {
        "general.architecture": "llama", "model": "gpt2", "pre": pre, "tokens": [t for t, _ in tokens],
        "token_type": [k for _, k in tokens], "merges": [" ".join(m) for m in doc["model"]["merges"]],
        "bos_token_id": 0, "eos_token_id": 1, "add_bos_token": True})
    plain = [c for c in cases if not c["add_special"] and "pair" not in c]
    for c, got in zip(plain, encode(path, [c["text"] for c in plain])):
        for key in ("ids", "tokens", "offsets", "decoded"):
            assert got[key] == c[key], (key, c["text"])
    assert encode(path, ["a"], special=True)[0]["ids"][0] == 0


PRES = {"qwen2": "Hello 123 it'S", "starcoder": "a1b22", "deepseek-v3": "漢字kana12345", "tekken": "HELLOworld 12", "gpt-4o": "HELLOworld'll",
        "kimi-k2": "漢字Abc漢", "falcon": "a+b=1234", "deepseek-coder": "x 漢字 12", "deepseek-llm": "x 漢字 12\n", "bloom": "a, b|c", "viking": "a 12",
        "qwen35": "e\u0301a 12", "superbpe": "1234567", "bailingmoe": "it's 12", "seed-coder": "a 12\n", "glm4": "a 1234", "unheard-of": "a 1234"}


@pytest.mark.parametrize("pre", PRES)
def test_every_pattern_loads_and_loses_nothing(tmp_path, pre):
    doc = json.loads((GOLDEN / "gpt2" / "tokenizer.json").read_text())
    path = write(tmp_path / "m.gguf", {"model": "gpt2", "pre": pre, "tokens": [t for t, _ in by_id(doc)],
                                       "merges": [" ".join(m) for m in doc["model"]["merges"]]})
    assert encode(path, [PRES[pre]])[0]["decoded"] == PRES[pre]


def test_wordpiece(tmp_path):
    doc = json.loads((GOLDEN / "bert-uncased" / "tokenizer.json").read_text())
    cases = json.loads((GOLDEN / "bert-uncased" / "cases.json").read_text())["cases"]
    special = {a["id"] for a in doc["added_tokens"]}
    vocab = sorted((i, t) for t, i in doc["model"]["vocab"].items())
    tokens = [t if i in special else t[2:] if t.startswith("##") and len(t) > 2 else "\u2581" + t for i, t in vocab]
    ids = {t: i for i, t in vocab}
    path = write(tmp_path / "m.gguf", {
        "model": "bert", "tokens": tokens, "token_type": [3 if i in special else 1 for i, _ in vocab], "unknown_token_id": ids["[UNK]"],
        "cls_token_id": ids["[CLS]"], "seperator_token_id": ids["[SEP]"]})
    for special in (True, False):
        some = [c for c in cases if c["add_special"] is special and "pair" not in c]
        for c, got in zip(some, encode(path, [c["text"] for c in some], special)):
            assert got["ids"] == c["ids"], c["text"]


def protobuf(data):
    """(number, value) of every field."""
    at = 0

    def varint():
        nonlocal at
        v = shift = 0
        while True:
            b = data[at]
            at += 1
            v |= (b & 127) << shift
            shift += 7
            if b < 128:
                return v

    while at < len(data):
        tag = varint()
        kind = tag & 7
        if kind == 0:
            v = varint()
        else:
            n = {1: 8, 5: 4}[kind] if kind != 2 else varint()
            v = data[at:at + n]
            at += n
        yield tag >> 3, v


@pytest.mark.parametrize("name", ["spm-bpe", "spm-bpe-bytes", "spm-unigram", "spm-unigram-bytes"])
def test_sentencepiece(tmp_path, name):
    tokens, scores, types, norm = [], [], [], {}
    for number, v in protobuf((FORMS / name / "tokenizer.model").read_bytes()):
        if number == 1:
            p = dict(protobuf(v))
            tokens.append(p.get(1, b""))
            scores.append(struct.unpack("<f", p.get(2, b"\0\0\0\0"))[0])
            types.append(p.get(3, 1))
        if number == 3:
            norm = dict(protobuf(v))
    path = write(tmp_path / "m.gguf", {
        "model": "llama" if "bpe" in name else "t5", "tokens": tokens, "scores": scores, "token_type": types, "unknown_token_id": 0,
        "precompiled_charsmap": norm.get(2, b""), "add_space_prefix": bool(norm.get(3, 1)), "remove_extra_whitespaces": bool(norm.get(4, 1)),
        "add_bos_token": False, "add_eos_token": False})
    cases = json.loads((FORMS / name / "cases.json").read_text())["cases"]
    theirs = encode(FORMS / name, [c["text"] for c in cases])
    for c, got, model in zip(cases, encode(path, [c["text"] for c in cases]), theirs):
        assert got["ids"] == c["ids"] == model["ids"], c["text"]


def test_the_document_itself(tmp_path):
    whole = (GOLDEN / "llama2-metaspace" / "tokenizer.json").read_text()
    path = write(tmp_path / "m.gguf", {"tokenizer.huggingface.json": whole})
    cases = json.loads((GOLDEN / "llama2-metaspace" / "cases.json").read_text())["cases"][:60]
    for c, got in zip(cases, encode(path, [c["text"] for c in cases])):
        if not c["add_special"]:
            assert got["ids"] == c["ids"]


def test_mistakes(tmp_path):
    r = snug("tokenize", "--tokenizer", write(tmp_path / "a.gguf", {"model": "rwkv", "tokens": ["a"]}), input="", check=False)
    assert r.returncode != 0 and '"rwkv" in the file is not known' in r.stderr
    r = snug("tokenize", "--tokenizer", write(tmp_path / "b.gguf", {"general.name": "x"}), input="", check=False)
    assert r.returncode != 0 and "tokenizer.ggml.model" in r.stderr
    (tmp_path / "c.gguf").write_bytes((tmp_path / "a.gguf").read_bytes()[:30])
    r = snug("tokenize", "--tokenizer", tmp_path / "c.gguf", input="", check=False)
    assert r.returncode != 0
