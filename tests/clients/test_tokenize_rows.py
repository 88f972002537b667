# SPDX-License-Identifier: Apache-2.0
"""Every part a tokenizer.json may name, with every setting it has, each alone against the library: docs/tokenizers.md names the rows.

Where the library refuses a document we may refuse it too or read it; where it reads one, so do we, and every key is the same."""

import base64
import itertools
import json
import random
import struct

import pytest

from harness import snug

pytest.importorskip("tokenizers")
from tokenizers import Tokenizer, pre_tokenizers as P  # noqa: E402

TEXTS = [
    "", " ", "a", "Hello, World!", "  two  spaces \t\n and\r\nlines  ", "it's don't WE'LL I'M 'S", "A<s>b </s> c<pad>d [MASK]e", "ÀÉÎõü ñ Çß ẞ İ ı Σσς",
    "e\u0301 o\u0308\u0323 \u1e9b\u0323 \u212b \ufb01 \u00bd \u2460 \uff21", "中文字，标点。ひらがなカタカナー한국어 각", "١٢٣ ४५ Ⅷ ² 12,345.67", "a\u00a0b\u2003c\u3000d\u0085e\u2028f",
    "\u0000\u0001\u0007\u000b\u001f\u007f\u008f\u009f\u00adx\ufeffy\u200bz\u200dw\ufffd", "👍🏽👨\u200d👩\u200d👧 𝔘𝟙 \U000e0001", "$+<=>^`|~ !\"#%&'()*,-./:;?@[\\]_{}",
    "▁a▁▁b _c_", "ffoo ooo o", "привет мир Ελλάδα", "a" * 130, "हिन्दी ไทย தமிழ்", "end ", "\n\n\n", "x\u0345\u0483y", "UPPER lower Title ǅ",
]
PAIRS = [("a b c", "d e"), ("", "x"), ("Hello there", ""), ("中文 text", "more <s> text of it")]
CHARS = sorted({c for t in TEXTS for c in t} | set("abcdefghijklmnopqrstuvwxyz▁Ġ"))
LEVEL = {"type": "WordLevel", "vocab": {"<unk>": 0}, "unk_token": "<unk>"}
SPECIALS = ["<unk>", "<s>", "</s>", "<pad>", "[MASK]"]


def document(**parts):
    d = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None, "pre_tokenizer": None,
         "post_processor": None, "decoder": None, "model": LEVEL}
    d.update(parts)
    return d


def added(content, i, **flags):
    a = {"id": i, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    a.update(flags)
    return a


def grid(**axes):
    return [dict(zip(axes, x)) for x in itertools.product(*axes.values())]


def each(kind, **axes):
    return [{"type": kind, **g} for g in grid(**axes)]


def charsmap():
    """A small compiled table: a Darts double array that maps "A" to "b" and U+FF21 to "A"."""
    units = {0: 0}
    # Node i's child for byte c lies at base ^ c; a unit is label | has_leaf << 8 | offset << 10 (offset < 2^21).
    keys = {b"A": 0, "Ａ".encode(): 2}
    trie = {}
    for k, v in keys.items():
        node = trie
        for c in k:
            node = node.setdefault(c, {})
        node[-1] = v
    taken, out = {0}, {}

    def place(node, at, label):
        kids = [c for c in node if c >= 0]
        leaf = -1 in node
        base = next(b for b in range(1, 4096) if all((b ^ c) not in taken for c in kids + ([0] if leaf else [])))
        taken.update(b ^ 0 for b in [base] if leaf)
        taken.update(base ^ c for c in kids)
        out[at] = label | (1 << 8 if leaf else 0) | ((at ^ base) << 10)
        if leaf:
            out[base] = 1 << 31 | node[-1]
        for c in kids:
            place(node[c], base ^ c, c)

    place(trie, 0, 0)
    units = [out.get(i, 0) for i in range((max(out) | 255) + 1)]
    blob = struct.pack(f"<{len(units)}I", *units)
    return base64.b64encode(struct.pack("<I", len(blob)) + blob + b"b\0A\0").decode()


PATTERNS = [{"String": "o"}, {"String": "  "}, {"Regex": r"\s+"}, {"Regex": r"\p{L}+|\p{N}{1,3}"}, {"Regex": r"[^\s\p{L}]+"}, {"Regex": r"(?i:'s|'t|'ll)"},
            {"Regex": r"\s+(?!\S)|\s"}, {"Regex": r"[a-z&&[^aeiou]]++"}, {"Regex": r"\p{Lu}\p{Ll}?+|\p{Han}+"}, {"Regex": r"^\s|\s$"}]
NORMALIZERS = (
    [{"type": x} for x in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt", "ByteLevel")]
    + each("BertNormalizer", clean_text=[True, False], handle_chinese_chars=[True, False], strip_accents=[None, True, False], lowercase=[True, False])
    + each("Strip", strip_left=[True, False], strip_right=[True, False])
    + each("Replace", pattern=PATTERNS, content=["", "x", r"\1é"])
    + each("Prepend", prepend=["▁", "ab", ""])
    + [{"type": "Precompiled", "precompiled_charsmap": charsmap()}]
    + [{"type": "Sequence", "normalizers": x} for x in ([], [{"type": "NFD"}, {"type": "StripAccents"}, {"type": "Lowercase"}],
                                                        [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}])])
HOW = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]
PRE = (
    [{"type": x} for x in ("Whitespace", "WhitespaceSplit", "BertPreTokenizer", "UnicodeScripts")]
    + each("ByteLevel", add_prefix_space=[True, False], trim_offsets=[True, False], use_regex=[True, False])
    + each("Split", pattern=PATTERNS, behavior=HOW, invert=[True, False])
    + each("Metaspace", replacement=["▁", "_"], prepend_scheme=["always", "first", "never"], split=[True, False])
    + [{"type": "Metaspace", "replacement": "▁", "add_prefix_space": x} for x in (True, False)]
    + [{"type": "Metaspace", "str_rep": "▁", "replacement": "▁", "add_prefix_space": True, "prepend_scheme": "always"}]
    + each("Punctuation", behavior=HOW) + [{"type": "Punctuation"}]
    + each("Digits", individual_digits=[True, False])
    + each("CharDelimiterSplit", delimiter=["e", " ", "中"])
    + each("FixedLength", length=[1, 2, 5, 9])
    + [{"type": "Sequence", "pretokenizers": x} for x in ([], [{"type": "WhitespaceSplit"}, {"type": "Digits", "individual_digits": True}],
                                                          [{"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True}, {"type": "Punctuation"}])])
DECODERS = (
    [None] + [{"type": x} for x in ("ByteFallback", "Fuse")]
    + each("ByteLevel", add_prefix_space=[True], trim_offsets=[True], use_regex=[True])
    + each("Metaspace", replacement=["▁", "_"], prepend_scheme=["always", "first", "never"], split=[True])
    + each("WordPiece", prefix=["##", "@@"], cleanup=[True, False])
    + each("BPEDecoder", suffix=["</w>", "e"])
    + each("Strip", content=["▁", " "], start=[0, 1, 2], stop=[0, 1])
    + each("Replace", pattern=PATTERNS, content=["", "x"])
    + each("CTC", pad_token=["<pad>", "o"], word_delimiter_token=["|", "▁"], cleanup=[True, False])
    + [{"type": "Sequence", "decoders": x} for x in (
        [], [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
             {"type": "Strip", "content": " ", "start": 1, "stop": 0}])])


def run(tmp_path, doc, cases):
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(doc))
    r = snug("tokenize", "--tokenizer", path, input="".join(json.dumps(c) + "\n" for c in cases), check=False)
    return [json.loads(x) for x in r.stdout.split("\n") if x] if r.returncode == 0 else None, r.stderr


def compare(tmp_path, doc, cases=None):
    cases = cases or [{"text": t, "add_special": s} for t in TEXTS for s in (True, False)] + [{"text": a, "pair": b} for a, b in PAIRS]
    try:
        t = Tokenizer.from_str(json.dumps(doc))
    except Exception:  # what it does not read says nothing about us
        return
    got, problem = run(tmp_path, doc, cases)
    assert got is not None, (problem, doc)
    assert len(got) == len(cases)
    for c, g in zip(cases, got):
        try:
            e = t.encode(c["text"], c.get("pair"), add_special_tokens=c.get("add_special", True))
            t.decode(e.ids)
        except BaseException as theirs:
            assert type(theirs).__name__ == "PanicException", (theirs, c)
            continue
        want = {"ids": e.ids, "tokens": e.tokens, "offsets": [list(o) for o in e.offsets], "type_ids": e.type_ids, "attention_mask": e.attention_mask,
                "special_mask": e.special_tokens_mask, "decoded": t.decode(e.ids), "decoded_keep_special": t.decode(e.ids, skip_special_tokens=False)}
        if doc["normalizer"] is not None and any(a["normalized"] for a in doc["added_tokens"]):
            del want["decoded"], want["decoded_keep_special"]  # 0.23 gives the normalised content: src/tok/README.md
        for key, value in want.items():
            assert g[key] == value, (key, c, {k: v for k, v in doc.items() if k != "model"})


def name(part):
    return "none" if part is None else part["type"]


def by_type(parts):
    out = {}
    for p in parts:
        out.setdefault(name(p), []).append(p)
    return sorted(out.items())


@pytest.mark.parametrize("kind,rows", by_type(NORMALIZERS), ids=lambda x: x if isinstance(x, str) else "")
def test_normalizer(kind, rows, tmp_path):
    for row in rows:
        compare(tmp_path, document(normalizer=row))
        if row.get("content") == "":
            continue  # added tokens would become empty, and match everywhere in the library
        compare(tmp_path, document(normalizer=row, pre_tokenizer={"type": "WhitespaceSplit"},
                                   added_tokens=[added("<s>", 1), added("Hello", 2, normalized=True, special=False)]
                                   + ([added("É", 3, normalized=True)] if kind != "Replace" else [])))  # of two alike the library takes any


@pytest.mark.parametrize("kind,rows", by_type(PRE), ids=lambda x: x if isinstance(x, str) else "")
def test_pre_tokenizer(kind, rows, tmp_path):
    for row in rows:
        compare(tmp_path, document(pre_tokenizer=row, added_tokens=[added("<s>", 1)]))


def decoder_vocab():
    words = ["a", "##b", "b", "▁c", "▁", "c▁▁d", "_e_", "f</w>", "e", "ee", "o", "oo", "|", "<pad>", " ", "  ", ".", "?", "'", "n't", "'m", "do", "not", "'s", "'re",
             "'ve", "@@x", "Ġthe", "Ġ", "ä¸Ń", "ä", "¸", "中", "x y", "é", "<0x41>", "<0xE4>", "<0xB8>", "<0xAD>", "<0xFF>", "<0x0a>", "<s>", "</s>", "1", "12"]
    return {w: i for i, w in enumerate(words)}


@pytest.mark.parametrize("kind,rows", by_type(DECODERS), ids=lambda x: x if isinstance(x, str) else "")
def test_decoder(kind, rows, tmp_path):
    """Ids in any order are what a model makes: each id's token is an added one, so the text spells the ids."""
    vocab = decoder_vocab()
    r = random.Random(3)
    for row in rows:
        doc = document(decoder=row, model={"type": "WordLevel", "vocab": {"<unk>": 900, **vocab}, "unk_token": "<unk>"},
                       pre_tokenizer={"type": "CharDelimiterSplit", "delimiter": "\x01"}, added_tokens=[added("<s>", vocab["<s>"]), added("</s>", vocab["</s>"])])
        cases = [{"text": "\x01".join(r.choice(list(vocab)) for _ in range(r.randint(0, 12)))} for _ in range(150)]
        compare(tmp_path, doc, cases)


def test_bpe_flags(tmp_path):
    base = [c for c in CHARS if c.isprintable()][:120] + list("abcdefgho")
    for g in grid(unk_token=[None, "<unk>"], prefix=[None, "##"], suffix=[None, "</w>"], fuse_unk=[True, False], byte_fallback=[True, False], ignore_merges=[True, False]):
        before, after = g["prefix"] or "", g["suffix"] or ""
        vocab = {}
        for token in SPECIALS + [f"<0x{i:02X}>" for i in range(256)] + base + [before + c for c in base] + [c + after for c in base] + [before + c + after for c in base]:
            vocab.setdefault(token, len(vocab))
        merges = []
        for a, b in (("o", "o"), ("l", "l"), ("f", "f"), ("e", "l"), ("a", "a")):
            b = before + b
            made = a + b[len(before):]
            merges.append([a, b])
            vocab.setdefault(made, len(vocab))
        vocab.setdefault("Hello", len(vocab))
        for legacy in (True, False):
            model = {"type": "BPE", "dropout": None, "unk_token": g["unk_token"], "continuing_subword_prefix": g["prefix"], "end_of_word_suffix": g["suffix"],
                     "fuse_unk": g["fuse_unk"], "byte_fallback": g["byte_fallback"], "ignore_merges": g["ignore_merges"], "vocab": vocab,
                     "merges": [" ".join(m) for m in merges] if legacy else merges}
            if g["byte_fallback"] and (g["prefix"] or g["suffix"]):
                continue  # the library's offsets run past the word: test_tokenize.py
            compare(tmp_path, document(model=model, pre_tokenizer={"type": "WhitespaceSplit"}))


def test_wordpiece_flags(tmp_path):
    words = ["[UNK]", "hello", "he", "##llo", "##l", "##o", "a", "##a", "@@a", "@@llo", "it", "'", "s", "##s", "中", "##文", "!", ",", "world", "Wor", "##ld"]
    for g in grid(unk_token=["[UNK]"], continuing_subword_prefix=["##", "@@", ""], max_input_chars_per_word=[100, 5, 1, 200]):
        model = {"type": "WordPiece", **g, "vocab": {w: i for i, w in enumerate(words)}}
        compare(tmp_path, document(model=model, pre_tokenizer={"type": "BertPreTokenizer"}, normalizer={"type": "Lowercase"}))


def test_unigram_flags(tmp_path):
    pieces = [["<unk>", 0.0], ["a", -1.5], ["aa", -2.0], ["aaa", -3.5], ["▁", -2.0], ["▁a", -3.0], ["o", -1.0], ["oo", -2.0], ["l", -4.0], ["Hello", -9.0], ["中", -5.0]]
    octets = [[f"<0x{i:02X}>", -10.0] for i in range(256)]
    for unk, fall, full in itertools.product([0, None], [True, False], [True, False]):
        model = {"type": "Unigram", "unk_id": unk, "vocab": pieces + (octets if full else octets[:100]), "byte_fallback": fall}
        for pre in (None, {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}):
            if unk is None:  # an unknown character is an error, here and there
                pre = None
            compare(tmp_path, document(model=model, pre_tokenizer=pre), [{"text": x} for x in (["aaa", "oo", ""] if unk is None else TEXTS)])


def test_wordlevel_and_types_left_out(tmp_path):
    vocab = {"<unk>": 0, "Hello": 1, ",": 2, "a": 3, "b": 4, "ab": 5}
    for model in ({"type": "WordLevel", "vocab": vocab, "unk_token": "<unk>"}, {"vocab": vocab, "unk_token": "<unk>"},
                  {"vocab": {"[UNK]": 0, "a": 1, "##b": 2}, "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100},
                  {"vocab": [["<unk>", 0.0], ["a", -1.0], ["b", -2.0]], "unk_id": 0}, {"vocab": vocab, "merges": [["a", "b"]], "unk_token": "<unk>"}):
        compare(tmp_path, document(model=model, pre_tokenizer={"type": "Whitespace"}))


POST = (
    each("BertProcessing", sep=[["</s>", 2]], cls=[["<s>", 1]])
    + each("RobertaProcessing", sep=[["</s>", 2]], cls=[["<s>", 1]], trim_offsets=[True, False], add_prefix_space=[True, False])
    + each("ByteLevel", add_prefix_space=[True, False], trim_offsets=[True, False], use_regex=[True])
    + [{"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": {
        "<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}, "</s>": {"id": "</s>", "ids": [2], "tokens": ["</s>"]},
        "two": {"id": "two", "ids": [3, 4], "tokens": ["<pad>", "[MASK]"]}}}
       for single in ([{"Sequence": {"id": "A", "type_id": 0}}], [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 3}},
                                                                  {"SpecialToken": {"id": "two", "type_id": 1}}])
       for pair in ([{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                    [{"Sequence": {"id": "B", "type_id": 1}}, {"SpecialToken": {"id": "</s>", "type_id": 2}}, {"Sequence": {"id": "A", "type_id": 0}}])])
# Two that both add tokens are refused.
POST += [{"type": "Sequence", "processors": [a, b] if turn else [b, a]} for a in POST[5:9] for b in POST[:5] + POST[9:] for turn in (True, False)]


@pytest.mark.parametrize("kind,rows", by_type(POST), ids=lambda x: x if isinstance(x, str) else "")
def test_post_processor(kind, rows, tmp_path):
    vocab = {t: i for i, t in enumerate(SPECIALS)}
    for c in sorted(set(P.ByteLevel.alphabet())):
        vocab.setdefault(c, len(vocab))
    model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
             "ignore_merges": False, "vocab": vocab, "merges": []}
    for row in rows:
        for prefix in (True, False):
            compare(tmp_path, document(model=model, post_processor=row, added_tokens=[added(x, i) for i, x in enumerate(SPECIALS)],
                                       pre_tokenizer={"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": True}))


def test_added_token_rules(tmp_path):
    texts = TEXTS + ["<s><s>", " <s> ", "a<s>b", "xab ab abx ab", "ab\u0301", "AB aB Ab", "abc abcd", "ab  abc", "\u3000ab\u3000", "_ab_ -ab-", "中ab文", "1ab2", "ab", "  ab",
                     "ab  ", "ab ab", "abab", "<s>ab<s>", "a b", "  a  b  "]
    for g in grid(single_word=[True, False], lstrip=[True, False], rstrip=[True, False], normalized=[True, False], special=[True, False]):
        for normalizer in (None, {"type": "Lowercase"}, {"type": "Prepend", "prepend": "x"}):
            tokens = [added("<s>", 1), added("ab", 2, **g), added("abc", 3, **g), added("A B", 4, **g), added(" " if g["special"] else "b a", 5, **g)]
            compare(tmp_path, document(added_tokens=tokens, normalizer=normalizer, pre_tokenizer={"type": "WhitespaceSplit"}), [{"text": x} for x in texts])
