# SPDX-License-Identifier: Apache-2.0
"""`snug tokenize train` against the trainers of the `tokenizers` library: the same text, the same vocabulary, and files that
library loads. Where the library numbers symbols by the order of a hash table, sets of tokens are compared."""

import json
import random

import pytest

from harness import ROOT, snug

tokenizers = pytest.importorskip("tokenizers")
from tokenizers import AddedToken, Regex, Tokenizer, decoders as D, models as M  # noqa: E402
from tokenizers import normalizers as N, pre_tokenizers as P, processors as PP, trainers as T  # noqa: E402

PLAYS = (ROOT / "samples/datasets/shakespeare/input.txt").read_text()[:200_000]
MIXED = ("日本語とEnglishの混在テキスト123。カタカナ、ひらがな、漢字。\nПривет, мир! Ελληνικά γράμματα. हिन्दी में ไทย\n"
         "ŒUVRE Straße ﬃ e\u0301\u0301 👍🏽 👨‍👩‍👧 x\u00a0y\u3000w\r\n") * 7
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")


def both(tmp_path, t, trainer, *flags, text=PLAYS + MIXED, name="like"):
    """The documents of the library and of this build, trained in the same way."""
    path, like = tmp_path / "text.txt", tmp_path / f"{name}.json"
    path.write_text(text, newline="")
    t.save(str(like))
    t.train([str(path)], trainer)
    out = tmp_path / "out.json"
    snug("tokenize", "train", "--like", like, "--out", out, *flags, path)
    ours = Tokenizer.from_file(str(out))  # it loads
    want, got = json.loads(t.to_str()), json.loads(out.read_text())
    if got["model"]["type"] != "Unigram":  # the library reads scores a bit off
        assert json.loads(ours.to_str())["model"] == got["model"]
    assert got["added_tokens"] == want["added_tokens"]
    return want, got, t, ours


def byte_level(regex=None):
    t = Tokenizer(M.BPE())
    split = [P.Split(Regex(regex), "isolated")] if regex else []
    t.pre_tokenizer = P.Sequence([*split, P.ByteLevel(add_prefix_space=False, use_regex=regex is None)])
    t.decoder = D.ByteLevel()
    return t


@pytest.mark.parametrize("regex", [None, LLAMA3])
@pytest.mark.parametrize("more", [{}, {"min_frequency": 20}, {"max_token_length": 5}, {"limit_alphabet": 1000}])
def test_byte_level_bpe_is_the_same(tmp_path, regex, more):
    specials = ["<|endoftext|>", "<|im_start|>"]
    trainer = T.BpeTrainer(vocab_size=1200, special_tokens=specials, initial_alphabet=P.ByteLevel.alphabet(),
                           show_progress=False, **more)
    flags = ["--vocab-size", 1200] + [x for s in specials for x in ("--special", s)]
    for k, v in more.items():
        flags += ["--" + k.replace("_", "-"), v]
    want, got, _, _ = both(tmp_path, byte_level(regex), trainer, *flags)
    assert got["model"] == want["model"]


@pytest.mark.parametrize("seed", range(6))
def test_bpe_of_random_words_with_many_ties(tmp_path, seed):
    r = random.Random(seed)
    text = "\n".join(" ".join("".join(r.choice("abcab") for _ in range(r.randint(1, 9))) for _ in range(8)) for _ in range(60))
    t = Tokenizer(M.BPE(unk_token="<unk>"))
    t.pre_tokenizer = P.WhitespaceSplit()
    trainer = T.BpeTrainer(vocab_size=150, special_tokens=["<unk>"], show_progress=False)
    want, got, _, _ = both(tmp_path, t, trainer, "--vocab-size", 150, "--special", "<unk>", text=text)
    assert got["model"] == want["model"]


@pytest.mark.parametrize("kind", ["wordpiece", "prefix", "suffix"])
def test_symbols_with_affixes_give_the_same_tokens(tmp_path, kind):
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    if kind == "wordpiece":
        t, trainer = Tokenizer(M.WordPiece(unk_token="[UNK]")), T.WordPieceTrainer
        affixes = {}
    else:
        affixes = {"continuing_subword_prefix": "##"} if kind == "prefix" else {"end_of_word_suffix": "</w>"}
        t, trainer = Tokenizer(M.BPE(unk_token="[UNK]", **affixes)), T.BpeTrainer
    t.normalizer, t.pre_tokenizer = N.BertNormalizer(), P.BertPreTokenizer()
    flags = ["--vocab-size", 900] + [x for s in specials for x in ("--special", s)]
    # The library takes one of equally frequent pairs by the order of a hash table: each training is another draw.
    for _ in range(12):
        want, got, theirs, ours = both(tmp_path, t, trainer(vocab_size=900, special_tokens=specials, show_progress=False, **affixes),
                                       *flags, text=PLAYS)
        if set(got["model"]["vocab"]) == set(want["model"]["vocab"]):
            break
    assert set(got["model"]["vocab"]) == set(want["model"]["vocab"])
    for line in PLAYS.split("\n")[:300]:
        assert ours.encode(line).tokens == theirs.encode(line).tokens


def test_unigram_gives_the_same_pieces_and_scores(tmp_path):
    specials = ["<pad>", "</s>", "<unk>"]
    t = Tokenizer(M.Unigram())
    t.normalizer = N.Sequence([N.NFKC(), N.Replace(Regex(" {2,}"), " ")])
    t.pre_tokenizer, t.decoder = P.Metaspace(), D.Metaspace()
    flags = ["--vocab-size", 700, "--unk", "<unk>"] + [x for s in specials for x in ("--special", s)]
    want, got, theirs, ours = both(tmp_path, t, T.UnigramTrainer(vocab_size=700, special_tokens=specials, unk_token="<unk>",
                                                                 show_progress=False), *flags, text=PLAYS)
    a, b = dict(want["model"]["vocab"]), dict(got["model"]["vocab"])
    assert got["model"]["unk_id"] == want["model"]["unk_id"]
    assert set(a) == set(b)
    lowest = sorted(a.values())[3]  # characters that lost their score get one in the order of a hash table
    for piece in a:
        assert a[piece] <= lowest + 0.01 or b[piece] == pytest.approx(a[piece], rel=1e-6), piece
    for line in PLAYS.split("\n")[:300]:
        assert ours.encode(line).tokens == theirs.encode(line).tokens


@pytest.mark.parametrize("more", [{}, {"min_frequency": 3}])
def test_wordlevel_is_the_same(tmp_path, more):
    t = Tokenizer(M.WordLevel(unk_token="<unk>"))
    t.normalizer, t.pre_tokenizer = N.Sequence([N.NFD(), N.StripAccents(), N.Lowercase()]), P.Whitespace()
    trainer = T.WordLevelTrainer(vocab_size=600, special_tokens=["<unk>", "the"], show_progress=False, **more)
    flags = ["--vocab-size", 600, "--special", "<unk>", "--special", "the"]
    for k, v in more.items():
        flags += ["--" + k.replace("_", "-"), v]
    want, got, _, _ = both(tmp_path, t, trainer, *flags)
    assert got["model"] == want["model"]


def test_again_from_a_tokenizer_that_is_there(tmp_path):
    """Parts and special tokens stay; the ids in the post-processor are the new ones."""
    t = Tokenizer(M.BPE())
    t.pre_tokenizer, t.decoder = P.ByteLevel(add_prefix_space=False), D.ByteLevel()
    t.train_from_iterator(["some other text"], T.BpeTrainer(vocab_size=300, special_tokens=[], show_progress=False))
    t.add_special_tokens([AddedToken("<s>", lstrip=True, special=True), "</s>"])
    t.post_processor = PP.Sequence([PP.ByteLevel(trim_offsets=True), PP.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", t.token_to_id("<s>")), ("</s>", t.token_to_id("</s>"))])])
    like, text, out = tmp_path / "like.json", tmp_path / "text.txt", tmp_path / "out.json"
    t.save(str(like))
    text.write_text(PLAYS)
    snug("tokenize", "train", "--like", like, "--vocab-size", 600, "--out", out, text)
    new = Tokenizer.from_file(str(out))
    assert [new.id_to_token(0), new.id_to_token(1)] == ["<s>", "</s>"]
    assert new.encode("hello").ids[0] == 0 and new.encode("hello").ids[-1] == 1
    assert json.loads(out.read_text())["added_tokens"][0]["lstrip"] is True
    assert new.decode(new.encode("What light through yonder window").ids) == "What light through yonder window"


@pytest.mark.parametrize("model", ["bpe", "wordpiece", "unigram", "wordlevel"])
def test_the_usual_parts(tmp_path, model):
    out = tmp_path / "out.json"
    snug("tokenize", "train", "--model", model, "--vocab-size", 500, "--out", out, input=PLAYS)
    t = Tokenizer.from_file(str(out))
    assert t.get_vocab_size() == 500
    assert len(t.encode("To be, or not to be").ids) > 3
