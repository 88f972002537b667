#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tokenizers: this build beside PyPI's `tokenizers` and `tiktoken`, one thread, the same vocabularies and texts.

    bench/tok.py            prints JSON; makes its virtual environment in $BUILD/bench/venv

All vocabularies are trained here on the texts themselves, once: they wait in $BUILD/bench/tok for the next run, and a change
of this file makes them anew. Each figure is the median of several rounds in MB/s of processor time, ours and the peer's taken
right after each other."""

import hashlib
import json
import os
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / os.environ.get("BUILD", "build")
HOME = BUILD / "bench" / "tok"
PROGRAM = BUILD / "bench" / "bench_tok_encode"
PINS = ["tokenizers==0.23.2", "tiktoken==0.14.0", "regex", "requests"]
ROUNDS = 5


def venv():
    """Runs this file again inside an environment that has the peers."""
    folder = BUILD / "bench" / "venv"
    python = folder / "bin" / "python"
    try:
        if not (folder / "ready").exists():
            subprocess.run([sys.executable, "-m", "venv", folder], check=True, capture_output=True)
            subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "tokenizers==0.23.2"],
                           check=True, capture_output=True, timeout=300)
            subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *PINS[1:]],
                           check=True, capture_output=True, timeout=300)
            (folder / "ready").touch()
    except (subprocess.SubprocessError, OSError):
        print(json.dumps({"skipped": "the Python packages tokenizers and tiktoken could not be installed"}))
        return 0
    return subprocess.run([python, __file__, "inside"], env=dict(os.environ, TOKENIZERS_PARALLELISM="false")).returncode


# ---- texts ----

def chinese(size):
    """Words of one to three of 2,500 characters, as unevenly spread as in writing."""
    r = random.Random(7)
    chars = [chr(0x4e00 + i * 7 % 20000) for i in range(2500)]
    words = ["".join(r.choice(chars[: 50 + i // 4]) for _ in range(r.choice([1, 2, 2, 2, 3]))) for i in range(8000)]
    weights = [1 / (i + 3) for i in range(len(words))]
    out, n = [], 0
    while n < size:
        clause = "".join(r.choices(words, weights, k=r.randint(3, 9))) + r.choice("，，，。。！？；\n")
        out.append(clause)
        n += len(clause) * 3
    return "".join(out)


def make_texts():
    english = (ROOT / "samples/datasets/shakespeare/input.txt").read_text()[:600_000]
    code = "\n".join(p.read_text() for p in sorted((ROOT / "src").rglob("*.[ch]")))[:800_000]
    r = random.Random(5)
    lines = [x for x in english.split("\n") if len(x) > 20]
    texts = {"english": english, "code": code, "chinese": chinese(600_000),
             "short": "\n".join(r.choice(lines) for _ in range(3000)),
             "one_word": "".join(r.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(1_000_000)), "one_letter": "a" * 1_000_000}
    for name, text in texts.items():
        (HOME / f"{name}.txt").write_text(text)
    return texts


CHUNK = {"english": 10000, "code": 10000, "chinese": 10000, "short": 1, "one_word": 0, "one_letter": 0}


def chunks(text, size):
    """The same cuts as bench_tok_encode makes."""
    data = text.encode()
    out = []
    while data:
        n = len(data) if size == 0 else min(size, len(data))
        end = data.find(b"\n", n - 1)
        n = len(data) if end < 0 or size == 0 else end + 1
        out.append(data[:n].decode())
        data = data[n:]
    return out


# ---- vocabularies ----

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")


def make_tokenizers(texts):
    from tokenizers import Regex, Tokenizer, decoders as D, models as M, normalizers as N, pre_tokenizers as P, trainers as T

    corpus = [x for k in ("english", "code", "chinese") for x in chunks(texts[k], 10000)]
    alphabet = P.ByteLevel.alphabet()

    def bpe(pre):
        t = Tokenizer(M.BPE())
        t.pre_tokenizer, t.decoder = pre, D.ByteLevel()
        t.train_from_iterator(corpus, T.BpeTrainer(vocab_size=30000, initial_alphabet=alphabet, show_progress=False))
        return t

    out = {"bpe-gpt2": bpe(P.ByteLevel(add_prefix_space=False)),
           "bpe-llama3": bpe(P.Sequence([P.Split(Regex(LLAMA3), "isolated"), P.ByteLevel(add_prefix_space=False, use_regex=False)]))}
    t = Tokenizer(M.WordPiece(unk_token="[UNK]"))
    t.normalizer, t.pre_tokenizer, t.decoder = N.BertNormalizer(), P.BertPreTokenizer(), D.WordPiece()
    t.train_from_iterator(corpus, T.WordPieceTrainer(vocab_size=20000, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]"], show_progress=False))
    out["wordpiece"] = t
    t = Tokenizer(M.Unigram())
    t.normalizer = N.Sequence([N.Nmt(), N.NFKC(), N.Replace(Regex(" {2,}"), " ")])
    t.pre_tokenizer, t.decoder = P.Metaspace(), D.Metaspace()
    t.train_from_iterator(corpus, T.UnigramTrainer(vocab_size=8000, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False))
    out["unigram"] = t
    for name, t in out.items():
        t.save(str(HOME / f"{name}.json"))
    return out


def big_tokenizer():
    """150,000 entries in the form of today's large vocabularies: short tokens join again and again."""
    r = random.Random(3)
    from tokenizers import pre_tokenizers as P

    alphabet = sorted(P.ByteLevel.alphabet())
    vocab = {c: i for i, c in enumerate(alphabet)}
    merges, words = [], list(alphabet)
    while len(vocab) < 150_000:
        a, b = (words[int(len(words) * r.random() ** 4)] for _ in range(2))  # the early ones go on joining most
        if len(a + b) < 12 and a + b not in vocab:
            vocab[a + b] = len(vocab)
            words.append(a + b)
            merges.append([a, b])
    doc = {"version": "1.0", "added_tokens": [{"id": 150_000 + i, "content": f"<|special_{i}|>", "single_word": False, "lstrip": False,
                                               "rstrip": False, "normalized": False, "special": True} for i in range(256)],
           "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": True},
           "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": True},
           "model": {"type": "BPE", "vocab": vocab, "merges": merges}}
    path = HOME / "big.json"
    path.write_text(json.dumps(doc, ensure_ascii=False))
    return path


def as_tiktoken(name, t, pattern):
    import tiktoken
    from tokenizers import pre_tokenizers as P

    byte_of = {c: b for b, c in zip(
        list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256)),
        [chr(x) for x in list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))])}
    rest = [b for b in range(256) if b not in byte_of.values()]
    byte_of.update({chr(256 + i): b for i, b in enumerate(rest)})
    assert set(byte_of) == set(P.ByteLevel.alphabet())
    ranks = {bytes(byte_of[c] for c in k): v for k, v in t.get_vocab().items()}
    return tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens={})


# ---- measuring ----

def median(f, size, rounds=ROUNDS, limit_s=2):
    """(MB/s of the middle round, of the first)"""
    rates, spent = [], 0
    while len(rates) < rounds and spent < limit_s:
        start = time.process_time()
        f()
        s = time.process_time() - start
        spent += s
        rates.append(size / 1e6 / s)
    return statistics.median(rates), rates[0]


def ours(tokenizer, text):
    out = subprocess.run([PROGRAM, HOME / f"{tokenizer}.json", HOME / f"{text}.txt", str(CHUNK[text]), str(ROUNDS)],
                         capture_output=True, text=True, check=True).stdout
    return json.loads(out)


def prepared():
    """Texts and vocabularies, from the run before if this file is the same; the names of the tokenizers."""
    HOME.mkdir(parents=True, exist_ok=True)
    version = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    stamp = HOME / "version"
    if not stamp.exists() or stamp.read_text() != version:
        make_tokenizers(make_texts())
        big_tokenizer()
        stamp.write_text(version)
    return {k: (HOME / f"{k}.txt").read_bytes().decode() for k in CHUNK}


# Unigram in `tokenizers` takes minutes for one word of 1 MB.
TOO_SLOW = {("tokenizers", "unigram", "one_word"), ("tokenizers", "unigram", "one_letter")}


def row_of(name, text, whole):
    from tokenizers import Tokenizer

    parts, size = chunks(whole, CHUNK[text]), len(whole.encode())
    mine = ours(name, text)
    row = {"snug": mine["mb_s"], "snug_first": mine["first_mb_s"]}
    t = Tokenizer.from_file(str(HOME / f"{name}.json"))  # a fresh one: no cache is warm for the first round
    if ("tokenizers", name, text) not in TOO_SLOW:
        middle, first = median(lambda: [t.encode(p, add_special_tokens=False) for p in parts], size)
        row.update(tokenizers=round(middle, 2), tokenizers_first=round(first, 2), ratio=round(mine["mb_s"] / middle, 1),
                   ratio_first=round(mine["first_mb_s"] / first, 1))
    if name in PATTERNS and text not in ("one_word", "one_letter"):
        e = as_tiktoken(name, t, PATTERNS[name])
        middle, first = median(lambda: [e.encode_ordinary(p) for p in parts], size)
        row.update(tiktoken=round(middle, 2), tiktoken_ratio=round(mine["mb_s"] / middle, 1))
    return row


def cold(name, texts):
    """A fresh tokenizer and 200 short lines, none twice: nothing is remembered."""
    from tokenizers import Tokenizer

    lines = list(dict.fromkeys(x for x in texts["short"].split("\n") if x))[:200]
    (HOME / "cold.txt").write_text("\n".join(lines))
    size = sum(len(x.encode()) + 1 for x in lines)
    mine, theirs = [], []
    for _ in range(ROUNDS):
        out = subprocess.run([PROGRAM, HOME / f"{name}.json", HOME / "cold.txt", "1", "1"], capture_output=True, text=True, check=True).stdout
        mine.append(json.loads(out)["first_mb_s"])
        t = Tokenizer.from_file(str(HOME / f"{name}.json"))
        theirs.append(median(lambda: [t.encode(x, add_special_tokens=False) for x in lines], size, 1)[0])
    a, b = statistics.median(mine), statistics.median(theirs)
    return {"snug": round(a, 2), "tokenizers": round(b, 2), "ratio": round(a / b, 1)}


def loading():
    from tokenizers import Tokenizer

    path = HOME / "big.json"
    out = subprocess.run([PROGRAM, path, HOME / "cold.txt", "0", "1"], capture_output=True, text=True, check=True).stdout
    times = []
    for _ in range(3):
        start = time.perf_counter()
        Tokenizer.from_file(str(path))
        times.append((time.perf_counter() - start) * 1e3)
    mine = json.loads(out)
    return {"bytes": path.stat().st_size, "snug_ms": mine["load_ms"], "snug_median_ms": mine["load_median_ms"],
            "tokenizers_ms": round(min(times), 1), "ratio": round(min(times) / mine["load_ms"], 1)}


NAMES = ["bpe-gpt2", "bpe-llama3", "wordpiece", "unigram"]
PATTERNS = {"bpe-gpt2": GPT2, "bpe-llama3": LLAMA3}


def inside():
    texts = prepared()
    result = {"texts_bytes": {k: len(v.encode()) for k, v in texts.items()}}
    for name in NAMES:
        for text, whole in texts.items():
            result[f"{name} {text}"] = row_of(name, text, whole)
        result[f"{name} cold"] = cold(name, texts)
    result["load 150000"] = loading()
    print(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(inside() if sys.argv[1:] == ["inside"] else venv())
