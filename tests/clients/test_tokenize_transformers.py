# SPDX-License-Identifier: Apache-2.0
"""Special tokens that are written in a text, as transformers treats them: found in the text, left out or kept when decoding, and never
added twice. Optional: transformers is not in the requirements of these tests."""

import json

import pytest

from harness import ROOT, snug

transformers = pytest.importorskip("transformers")

GOLDEN = ROOT / "tests/golden/tok"
FOLDERS = ["llama2-metaspace", "llama3", "gpt2", "bert-uncased", "xlmr-unigram", "added-tokens", "clip"]


def texts(specials):
    out = ["plain", "", " "]
    for s in specials:
        out += [s, f"a{s}b", f"a {s} b", f"{s}{s}", f" {s}", f"{s} ", s[:-1], s.upper(), f"<{s}>", f"x\n{s}\ny"]
    return out


@pytest.mark.parametrize("name", FOLDERS)
def test_special_tokens_in_text(name):
    path = GOLDEN / name / "tokenizer.json"
    t = transformers.PreTrainedTokenizerFast(tokenizer_file=str(path), clean_up_tokenization_spaces=False)
    specials = [a["content"] for a in json.loads(path.read_text())["added_tokens"]][:8] + ["<s>", "</s>", "<|endoftext|>"]
    cases = [{"text": x, "add_special": s} for x in texts(specials) for s in (True, False)]
    out = snug("tokenize", "--tokenizer", path, input="".join(json.dumps(c) + "\n" for c in cases)).stdout
    got = [json.loads(x) for x in out.split("\n") if x]
    assert len(got) == len(cases)
    for g, c in zip(got, cases):
        ids = t(c["text"], add_special_tokens=c["add_special"])["input_ids"]
        assert g["ids"] == ids, (name, c)
        assert g["decoded_keep_special"] == t.decode(ids, skip_special_tokens=False), (name, c)
