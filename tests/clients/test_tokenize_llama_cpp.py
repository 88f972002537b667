# SPDX-License-Identifier: Apache-2.0
"""The patterns that `tokenizer.ggml.pre` names, against llama.cpp itself, over a vocabulary that was trained without any pattern:
wherever the two would cut elsewhere, another token shows. llama-cpp-python is optional (tests/llama/requirements.txt)."""

import collections
import random

import pytest

from harness import snug
from test_tokenize_gguf import encode, write

llama_cpp = pytest.importorskip("llama_cpp")

PIECES = ["Hello", " world", "it's", " WE'LL", "don't", " I'M", "123", "1", "12345678", "1,234.56", " ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", " \n ", "!", "?!", "...",
          "--", "/*", "*/", "a+b=c", "<x>", "$5", "^", "~", "|", "`", "_", "中文字符", "漢字", "かな", "カタカナ", "한국어", "привет", "Ελλάδα", "été", "naïve", "ÀB", "ǅ", "ß",
          "e\u0301a", "हिन्दी", "ไทย", "👍🏽", "١٢٣", "Ⅷ", "²", "\u00a0", "\u3000", "。", "，", "！", "“q”", "HTTPServer", "camelCase", "snake_case", "x1y2", "'s", "'T", "/n\n"]


def byte_map():
    keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
    out, n = {b: chr(b) for b in keep}, 0
    for b in range(256):
        if b not in out:
            out[b] = chr(256 + n)
            n += 1
    return out


def a_text(r):
    return "".join(r.choice(PIECES) for _ in range(r.randint(1, 12)))


def train(count):
    """Plain byte pair encoding over whole texts."""
    r, names = random.Random(4), byte_map()
    rows = [[names[b] for b in a_text(r).encode()] for _ in range(250)]
    vocab, merges = sorted(names.values()), []
    while len(merges) < count:
        pairs = collections.Counter(p for row in rows for p in zip(row, row[1:]))
        (a, b), n = max(pairs.items(), key=lambda x: (x[1], x[0]))
        if n < 2:
            break
        merges.append((a, b))
        if a + b not in vocab:
            vocab.append(a + b)
        for k, row in enumerate(rows):
            out, i = [], 0
            while i < len(row):
                if i + 1 < len(row) and row[i] == a and row[i + 1] == b:
                    out.append(a + b)
                    i += 2
                else:
                    out.append(row[i])
                    i += 1
            rows[k] = out
    return vocab, merges


@pytest.fixture(scope="module")
def trained():
    return train(700)


NAMES = ["default", "llama-bpe", "deepseek-llm", "deepseek-coder", "deepseek-v3", "falcon", "starcoder", "gpt-2", "refact", "command-r", "qwen2", "stablelm2", "olmo", "dbrx",
         "smaug-bpe", "poro-chat", "chatglm-bpe", "viking", "jais", "tekken", "smollm", "codeshell", "bloom", "gpt3-finnish", "exaone", "minerva-7b", "gpt-4o", "superbpe",
         "trillion", "bailingmoe", "llama4", "pixtral", "seed-coder", "hunyuan", "kimi-k2", "qwen35"]
# Where llama.cpp is not the judge. Its forms of the patterns with upper and lower case know no \p{M} and no case outside ASCII (kimi-k2's
# has no case at all), those that the models were trained with do; its \d is ASCII, Oniguruma's is not; and it folds the characters of a class
# into one, so U+3000 is a space to it and no longer one of deepseek's signs or characters.
MARKS = ("e\u0301a", "हिन्दी", "ไทย")
CASED = MARKS + ("À", "ǅ", "привет", "Ελλάδα", "été", "naïve", "ß")
MIXED = CASED + ("camelCase", "HTTPServer", "WE", "I'M", "'T", "Hello", "x1y2", "/n", "snake", "world", "q")
EXCEPT = {"tekken": CASED, "gpt-4o": CASED, "llama4": CASED, "kimi-k2": MIXED, "deepseek-llm": ("\u3000",), "deepseek-coder": ("\u3000",), "superbpe": ("١٢٣",)}


@pytest.mark.parametrize("pre", NAMES)
def test_cuts_where_llama_cpp_cuts(pre, trained, tmp_path):
    vocab, merges = trained
    tokens = vocab + ["<s>", "</s>"]
    n = len(vocab)
    path = write(tmp_path / "m.gguf", {
        "general.architecture": "llama", "model": "gpt2", "pre": pre, "tokens": tokens, "token_type": [1] * n + [3, 3], "merges": [" ".join(m) for m in merges],
        "bos_token_id": n, "eos_token_id": n + 1, "add_bos_token": False})
    try:
        theirs = llama_cpp.Llama(model_path=str(path), vocab_only=True, verbose=False)
    except ValueError as problem:
        pytest.skip(f"not known to this llama.cpp: {problem}")
    r = random.Random(9)
    texts = [x for x in (a_text(r) for _ in range(600)) if not any(e in x for e in EXCEPT.get(pre, ()))]
    different = [(x, [tokens[i] for i in got["ids"]], [tokens[i] for i in want]) for x, got, want in
                 zip(texts, encode(path, texts), [theirs.tokenize(x.encode(), add_bos=False, special=False) for x in texts]) if got["ids"] != want]
    assert len(texts) > 100 and not different, (len(different), different[0])


def test_unknown_names_are_told(trained, tmp_path):
    vocab, merges = trained
    path = write(tmp_path / "m.gguf", {"model": "gpt2", "pre": "unheard-of", "tokens": vocab, "merges": [" ".join(m) for m in merges]})
    said = snug("tokenize", "--tokenizer", path, input='{"text": "a"}\n').stderr
    assert "unheard-of" in said and "default" in said
