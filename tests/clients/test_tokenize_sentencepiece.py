# SPDX-License-Identifier: Apache-2.0
"""`snug tokenize` on SentencePiece models against the library that made them: random training options, random runs of Unicode.

SNUG_FUZZ_SEED and SNUG_FUZZ_ROUNDS choose other ones."""

import io
import json
import os
import random

import pytest

from harness import snug
from test_tokenize import CORPUS, a_text

sentencepiece = pytest.importorskip("sentencepiece")

SEED = int(os.environ.get("SNUG_FUZZ_SEED", "40"))
ROUNDS = int(os.environ.get("SNUG_FUZZ_ROUNDS", "16"))


def a_model(r):
    kind = r.choice(["unigram", "bpe"])
    out = io.BytesIO()
    options = {
        "model_type": kind, "byte_fallback": r.random() < 0.5, "normalization_rule_name": r.choice(["nmt_nfkc", "nfkc", "nmt_nfkc_cf", "identity"]),
        "add_dummy_prefix": r.random() < 0.7, "remove_extra_whitespaces": r.random() < 0.6, "split_digits": r.random() < 0.3,
        "split_by_whitespace": r.random() < 0.8, "character_coverage": r.choice([1.0, 0.98]),
    }
    size = r.randint(200, 330) + (256 if options["byte_fallback"] else 0)
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(CORPUS * 3), model_writer=out, vocab_size=size, hard_vocab_limit=False,
                                             minloglevel=2, num_threads=1, **options)
    return out.getvalue(), options


@pytest.mark.parametrize("seed", range(SEED, SEED + ROUNDS))
def test_same_as_sentencepiece(seed, tmp_path):
    r = random.Random(seed)
    model, options = a_model(r)
    path = tmp_path / "tokenizer.model"
    path.write_bytes(model)
    s = sentencepiece.SentencePieceProcessor(model_proto=model)
    # A special token written in a text is text for that library and a token for those of the hub.
    texts = [t for t in (a_text(r) for _ in range(60)) if "<" not in t]
    lines = "".join(json.dumps({"text": t, "add_special": False}) + "\n" for t in texts)
    out = snug("tokenize", "--tokenizer", path, input=lines).stdout
    got = [json.loads(line) for line in out.split("\n") if line]
    for g, t in zip(got, texts):
        assert g["ids"] == s.encode(t), (t, options)
        assert g["decoded_keep_special"].replace("<unk>", " \u2047 ") == s.decode(g["ids"]) or 0 in g["ids"], (t, options)
