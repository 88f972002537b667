# SPDX-License-Identifier: Apache-2.0
"""Long words in byte-level BPE are encoded from left to right (src/tok/back.c) once enough of them were seen: the tokens must be
those of merging by rank, for tidy vocabularies and for those that have to be refused.

SNUG_FUZZ_SEED and SNUG_FUZZ_ROUNDS choose other ones."""

import json
import os
import random

import pytest

from harness import snug

pytest.importorskip("tokenizers")
from tokenizers import Tokenizer, decoders as D, models as M, pre_tokenizers as P, trainers as T  # noqa: E402

SEED = int(os.environ.get("SNUG_FUZZ_SEED", "20"))
ROUNDS = int(os.environ.get("SNUG_FUZZ_ROUNDS", "6"))
ALPHABET = sorted(P.ByteLevel.alphabet())
WIDE = "的一是不了人我在有他这为之大来以个中上们"


def letters(r):
    """What the words of one tokenizer are made of: few letters, so that everything joins; or characters of two to four bytes."""
    return r.choice(["a", "ab", "abc", "abcdefgh", WIDE, WIDE[:4], "aé的😀", "éèàü的一", "的 一"])


def a_word(r, some, size):
    if r.random() < 0.3:
        part = "".join(r.choice(some) for _ in range(r.randint(1, 5)))
        return (part * (size // len(part) + 1))[:size]
    return "".join(r.choice(some) for _ in range(size))


def trained(r, some):
    t = Tokenizer(M.BPE())
    t.pre_tokenizer = P.ByteLevel(add_prefix_space=False, use_regex=False)
    corpus = [a_word(r, some, r.randint(1, 60)) for _ in range(300)]
    t.train_from_iterator(corpus, T.BpeTrainer(vocab_size=256 + r.randint(5, 600), initial_alphabet=ALPHABET, show_progress=False))
    model = json.loads(t.to_str())["model"]
    return model["vocab"], model["merges"]


def every_split(vocab, _):
    """As converters from tiktoken write it: all ways to make a token, by the token's rank."""
    merges = []
    for token in vocab:
        merges += [[token[:i], token[i:]] for i in range(1, len(token)) if token[:i] in vocab and token[i:] in vocab]
    return merges


def drawn(r, some):
    """Merges at random: tokens that merging never reaches, the same token made twice."""
    mapped = {c: i for i, c in enumerate(ALPHABET)}
    t = Tokenizer(M.BPE(mapped, []))
    t.pre_tokenizer = P.ByteLevel(add_prefix_space=False, use_regex=False)
    base = sorted({x for c in some for x in t.pre_tokenizer.pre_tokenize_str(c)[0][0]})
    words, merges = list(base), []
    for _ in range(r.randint(3, 200)):
        a, b = r.choice(words), r.choice(words[: r.randint(1, len(words))])
        if len(a + b) > 40 or [a, b] in merges:
            continue
        merges.append([a, b])
        if a + b not in mapped:
            mapped[a + b] = len(mapped)
            words.append(a + b)
    return mapped, merges


def a_tokenizer(r, some):
    vocab, merges = trained(r, some) if r.random() < 0.5 else drawn(r, some)
    how = r.random()
    if how < 0.3:
        merges = every_split(vocab, merges)
    elif how < 0.5:
        for _ in range(r.randint(1, 5)):  # out of order: parts come after what they make
            i, k = r.randrange(len(merges)), r.randrange(len(merges))
            merges[i], merges[k] = merges[k], merges[i]
    elif how < 0.6:
        r.shuffle(merges)
    t = Tokenizer(M.BPE(vocab, [tuple(m) for m in merges], ignore_merges=r.random() < 0.3))
    t.pre_tokenizer, t.decoder = P.ByteLevel(add_prefix_space=False, use_regex=False), D.ByteLevel()
    return t


@pytest.mark.parametrize("seed", range(SEED, SEED + ROUNDS))
def test_long_words(seed, tmp_path):
    r = random.Random(seed)
    for turn in range(4):
        some = letters(r)
        t = a_tokenizer(r, some)
        path = tmp_path / f"{turn}.json"
        t.save(str(path))
        texts = [a_word(r, some, 25000)] * 3  # more than what is seen before it is worth building
        texts += [a_word(r, some, r.randint(26, 700)) for _ in range(40)] + [a_word(r, some + "xyz,。", r.randint(26, 300)) for _ in range(40)]
        out = snug("tokenize", "--tokenizer", path, input="".join(json.dumps({"text": x}) + "\n" for x in texts)).stdout
        got = [json.loads(line) for line in out.split("\n") if line]
        assert len(got) == len(texts)
        for g, x in zip(got, texts):
            want = t.encode(x)
            assert g["ids"] == want.ids, (turn, some, x[:200])
            assert g["offsets"] == [list(o) for o in want.offsets], (turn, some, x[:200])
            assert g["decoded"] == x
