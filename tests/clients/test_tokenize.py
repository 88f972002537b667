# SPDX-License-Identifier: Apache-2.0
"""`snug tokenize` against the library most tokenizers are trained with: random configurations over
vocabularies trained here, random runs of Unicode, every key compared.

SNUG_FUZZ_SEED and SNUG_FUZZ_ROUNDS choose other ones. The library is optional: it wants an older
huggingface_hub than the one these tests drive, so it is installed without its dependencies."""

import json
import os
import random
import statistics

import pytest

from harness import snug

tokenizers = pytest.importorskip("tokenizers")
from tokenizers import AddedToken, Regex, Tokenizer, decoders as D, models as M  # noqa: E402
from tokenizers import normalizers as N, pre_tokenizers as P, processors as PP, trainers as T  # noqa: E402

SEED = int(os.environ.get("SNUG_FUZZ_SEED", "20"))
ROUNDS = int(os.environ.get("SNUG_FUZZ_ROUNDS", "40"))
CORPUS = [
    "The quick brown fox jumps over the lazy dog; it didn't stop, and we're glad it won't.",
    "for (int i = 0; i < 1024; i++) { sum += a[i] * 3.25e-1; } /* the sum */\n\treturn sum;\r\n",
    "日本語とEnglishの混在テキスト123。カタカナ、ひらがな、漢字。中文，标点。！？",
    "Привет, мир! Ελληνικά γράμματα. हिन्दी में ไทย ŒUVRE Straße ﬃ Ａ１ ¼ ² ⅷ e\u0301\u0301 İI\u0131",
    "👍🏽 👨‍👩‍👧 \u200bzero\u200dwidth\ufeff x\u00a0y\u2003z\u3000w 𝔘𝔫𝔦 𝟙𝟚𝟛 \ufffd 각 한",
] * 4
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace("{1,3}", "")
CL100K = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*"
          r"|\s*[\r\n]|\s+(?!\S)|\s+")
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
SHORT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
O200K = (rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{SHORT}|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{SHORT}"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK = [r"\p{N}{1,3}", r"[一-龥぀-ゟ゠-ヿ]+",
            r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
            r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"]


def a_normalizer(r):
    one = [
        lambda: N.NFC(), lambda: N.NFD(), lambda: N.NFKC(), lambda: N.NFKD(), lambda: N.Lowercase(),
        lambda: N.Strip(r.random() < 0.5, r.random() < 0.5), lambda: N.StripAccents(), lambda: N.Nmt(),
        lambda: N.Replace(Regex(r"\s+"), " "), lambda: N.Replace("o", "00"), lambda: N.Prepend("▁"),
        lambda: N.BertNormalizer(r.random() < 0.5, r.random() < 0.5, r.choice([None, True, False]), r.random() < 0.5),
    ]
    return N.Sequence([r.choice(one)() for _ in range(r.randint(1, 3))])


def a_pre_tokenizer(r):
    how = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]
    one = [
        lambda: P.Whitespace(), lambda: P.WhitespaceSplit(), lambda: P.BertPreTokenizer(),
        lambda: P.Punctuation(r.choice(how)), lambda: P.Digits(r.random() < 0.5), lambda: P.CharDelimiterSplit("e"),
        lambda: P.Split(Regex(r.choice([r"\s+", r"\p{L}+", r"[aeiou]", GPT2])), r.choice(how), r.random() < 0.3),
        lambda: P.Metaspace("▁", r.choice(["always", "never", "first"]), r.random() < 0.7),
        lambda: P.UnicodeScripts(), lambda: P.FixedLength(r.randint(1, 7)),
    ]
    return P.Sequence([r.choice(one)() for _ in range(r.randint(1, 3))])


def byte_level(r):
    name = r.choice(["gpt2", "gpt2-regex", "llama3", "qwen2", "cl100k", "o200k", "deepseek", "plain"])
    regex = {"gpt2-regex": [GPT2], "llama3": [LLAMA3], "qwen2": [QWEN2], "cl100k": [CL100K], "o200k": [O200K],
             "deepseek": DEEPSEEK, "plain": [], "gpt2": []}[name]
    parts = [P.Split(Regex(x), "isolated") for x in regex]
    return P.Sequence(parts + [P.ByteLevel(add_prefix_space=r.random() < 0.3, use_regex=name == "gpt2")])


def a_tokenizer(r):
    specials = ["<unk>", "<s>", "</s>", "[MASK]"]
    size = r.randint(500, 900)
    if r.random() < 0.3:
        specials += [f"<0x{i:02X}>" for i in range(256)]
    common = {"vocab_size": size, "special_tokens": specials, "show_progress": False}
    kind = r.choice(["bytes", "bytes", "bytes", "bpe", "wordpiece", "unigram", "wordlevel"])
    if kind == "bytes":
        t = Tokenizer(M.BPE(ignore_merges=r.random() < 0.5))
        t.pre_tokenizer, t.decoder = byte_level(r), D.ByteLevel()
        t.train_from_iterator(CORPUS, T.BpeTrainer(initial_alphabet=P.ByteLevel.alphabet(), **common))
        if r.random() < 0.3:
            t.normalizer = N.NFC()
    elif kind == "bpe":
        prefix, suffix = r.choice([(None, None), ("##", None), (None, "</w>")])
        affixes = {k: v for k, v in (("continuing_subword_prefix", prefix), ("end_of_word_suffix", suffix)) if v}
        t = Tokenizer(M.BPE(unk_token="<unk>", fuse_unk=r.random() < 0.5, byte_fallback=r.random() < 0.5, **affixes))
        t.pre_tokenizer = a_pre_tokenizer(r)
        t.train_from_iterator(CORPUS, T.BpeTrainer(limit_alphabet=r.choice([60, 150]), **common, **affixes))
        t.decoder = D.BPEDecoder(suffix or "</w>")
    elif kind == "wordpiece":
        t = Tokenizer(M.WordPiece(unk_token="<unk>", max_input_chars_per_word=r.choice([100, 5])))
        t.normalizer, t.pre_tokenizer, t.decoder = a_normalizer(r), a_pre_tokenizer(r), D.WordPiece(cleanup=r.random() < 0.5)
        t.train_from_iterator(CORPUS, T.WordPieceTrainer(**common))
    elif kind == "unigram":
        t = Tokenizer(M.Unigram())
        t.normalizer, t.pre_tokenizer, t.decoder = a_normalizer(r), P.Metaspace(), D.Metaspace()
        t.train_from_iterator(CORPUS, T.UnigramTrainer(unk_token="<unk>", **common))
    else:
        t = Tokenizer(M.WordLevel(unk_token="<unk>"))
        t.pre_tokenizer = a_pre_tokenizer(r)
        t.train_from_iterator(CORPUS, T.WordLevelTrainer(**common))
    if kind == "bpe" and r.random() < 0.5:
        t.normalizer = a_normalizer(r)
    if r.random() < 0.5:
        t.add_special_tokens([AddedToken("<mask>", lstrip=r.random() < 0.5, rstrip=r.random() < 0.5, special=True)])
    if r.random() < 0.5:
        t.add_tokens([AddedToken("quick", single_word=r.random() < 0.5, normalized=False)])
    s, e = t.token_to_id("<s>"), t.token_to_id("</s>")
    t.post_processor = r.choice([
        PP.ByteLevel(trim_offsets=r.random() < 0.5),
        PP.RobertaProcessing(("</s>", e), ("<s>", s), r.random() < 0.5, r.random() < 0.5),
        PP.BertProcessing(("</s>", e), ("<s>", s)),
        PP.TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> $B:1 </s>:1",
                              special_tokens=[("<s>", s), ("</s>", e)]),
    ])
    return t


def a_text(r):
    """Words of the corpus, and runs of code points of one block, so that every class meets every other."""
    blocks = [(0x20, 0x7e), (0x09, 0x0d), (0xa0, 0x17f), (0x300, 0x36f), (0x370, 0x52f), (0x5d0, 0x6ff), (0x900, 0x97f),
              (0xe00, 0xe7f), (0x1100, 0x11ff), (0x1e00, 0x1fff), (0x2000, 0x206f), (0x2150, 0x2190), (0x2460, 0x24ff),
              (0x3000, 0x30ff), (0x4e00, 0x4eff), (0xac00, 0xacff), (0xfb00, 0xfb06), (0xff00, 0xff60),
              (0x1d400, 0x1d4ff), (0x1f600, 0x1f64f), (0x20000, 0x200ff)]
    out = []
    for _ in range(r.randint(1, 9)):
        what = r.random()
        if what < 0.4:
            out.append(r.choice(r.choice(CORPUS).split(" ")))
        elif what < 0.5:
            out.append(r.choice(["<mask>", " <mask> ", "quick", "<s>", "'S", "'ll", "'\u017f", "\r\n", "  ", "\n\n ", "1234567"]))
        else:
            low, high = r.choice(blocks)
            out.append("".join(chr(r.randint(low, high)) for _ in range(r.randint(1, 6))))
        if r.random() < 0.6:
            out.append(" ")
    return "".join(out)


def expected(t, case):
    e = t.encode(case["text"], case.get("pair"), add_special_tokens=case["add_special"])
    return {"ids": e.ids, "tokens": e.tokens, "offsets": [list(o) for o in e.offsets], "type_ids": e.type_ids,
            "attention_mask": e.attention_mask, "special_mask": e.special_tokens_mask, "decoded": t.decode(e.ids),
            "decoded_keep_special": t.decode(e.ids, skip_special_tokens=False)}


@pytest.mark.parametrize("seed", range(SEED, SEED + ROUNDS))
def test_same_as_the_library(seed, tmp_path):
    r = random.Random(seed)
    t = a_tokenizer(r)
    path = tmp_path / "tokenizer.json"
    t.save(str(path))
    t = Tokenizer.from_file(str(path))
    # The bytes of a prefix or suffix stand for nothing in the text; the library's offsets then run past the word.
    model = json.loads(t.to_str())["model"]
    nonsense = model.get("byte_fallback") and (model.get("continuing_subword_prefix") or model.get("end_of_word_suffix"))
    cases = []
    for _ in range(60):
        c = {"text": a_text(r), "add_special": r.random() < 0.5}
        if r.random() < 0.2:
            c["pair"] = a_text(r)
        cases.append(c)
    lines = "".join(json.dumps(c) + "\n" for c in cases)
    out = snug("tokenize", "--tokenizer", path, input=lines).stdout
    got = [json.loads(line) for line in out.split("\n") if line]
    assert len(got) == len(cases)
    for g, c in zip(got, cases):
        want = expected(t, c)
        if nonsense:
            del want["offsets"]
        for key in want:
            assert g[key] == want[key], (key, c, json.loads(t.to_str())["pre_tokenizer"], json.loads(t.to_str())["normalizer"])


@pytest.mark.parametrize("dropout", [0.1, 0.5, 0.9, 1.0])
def test_dropout_passes_over_as_many_merges(dropout, tmp_path):
    """Random by nature: each encoding is one the vocabulary allows, and there are as many tokens on average."""
    t = Tokenizer(M.BPE(dropout=dropout))
    t.pre_tokenizer, t.decoder = P.ByteLevel(add_prefix_space=False), D.ByteLevel()
    t.train_from_iterator(CORPUS, T.BpeTrainer(vocab_size=600, initial_alphabet=P.ByteLevel.alphabet(), show_progress=False))
    path = tmp_path / "tokenizer.json"
    t.save(str(path))
    texts = [CORPUS[0], CORPUS[1], "日本語の混在テキスト" * 5] * 200
    out = snug("tokenize", "--tokenizer", path, input="".join(json.dumps({"text": x}) + "\n" for x in texts)).stdout
    got = [json.loads(line) for line in out.split("\n") if line]
    assert all(t.decode(g["ids"]) == x == g["decoded"] for g, x in zip(got, texts))
    mine, theirs = [len(g["ids"]) for g in got], [len(t.encode(x).ids) for x in texts]
    # The same distribution: the two sums lie within five standard deviations of their difference.
    spread = sum(200 * statistics.variance(side[i::3]) for side in (mine, theirs) for i in range(3)) ** 0.5
    assert abs(sum(mine) - sum(theirs)) <= 5 * spread + 1e-9
    assert dropout == 1 or len({tuple(g["ids"]) for g in got[::3]}) > 50
