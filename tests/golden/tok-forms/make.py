#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the folders beside it: tokenizers in their older forms and what the libraries they come from do.

    pip install sentencepiece==0.2.3 tiktoken==0.14.0 tokenizers==0.23.2 && ./make.py FILES...

FILES are texts to train on; the repository's own pages will do. cases.json: {"made_with", "cases": [{"text", "ids",
"tokens"?}]}; special tokens are not added."""

import base64
import json
import random
import sys
from pathlib import Path

import sentencepiece
import tiktoken
import tokenizers
from tokenizers import Tokenizer, decoders as D, models as M, pre_tokenizers as P, trainers as T
from tokenizers.implementations import BertWordPieceTokenizer, ByteLevelBPETokenizer

HERE = Path(__file__).resolve().parent
TEXTS = ["", " ", "Hello, world!", "  two  spaces  inside ", "don't DON'T", "1234567 12", "tabs\tand\nlines\r\n\r\nend", "ﬁne ½ Ａ１ ™ Å é e\u0301",
         "日本語とEnglishの混在。", "中文，标点。", "Привет, мир", "👍🏽 👨‍👩‍👧", "\u200bzero\u00a0space\u3000wide", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "▁already▁", "𝔘𝔫𝔦 \ufffd",
         "int main(void) { return !x && y->z[0] != 0x1F; }", "The quick brown fox jumps over the lazy dog.", "a" * 5 + " " * 9 + "b", "ŒUVRE Straße ﬃ", "หนึ่ง สอง", "हिन्दी"]
R = random.Random(9)
ALPHABET = list("abcdefghij ABC 019.,'\n\t-_é漢日ー가д😀ا\u0301ﬁ½")
TEXTS += ["".join(R.choice(ALPHABET) for _ in range(R.randint(1, 40))) for _ in range(60)]


def write(name, with_, cases):
    text = json.dumps({"made_with": with_, "cases": cases}, ensure_ascii=False)
    (HERE / name / "cases.json").write_text(text + "\n")


def spm(name, files, **options):
    (HERE / name).mkdir(exist_ok=True)
    path = HERE / name / "tokenizer"
    sentencepiece.SentencePieceTrainer.train(input=",".join(files), model_prefix=str(path), minloglevel=2, **options)
    (HERE / name / "tokenizer.vocab").unlink()
    s = sentencepiece.SentencePieceProcessor(model_file=f"{path}.model")
    write(name, f"sentencepiece {sentencepiece.__version__}",
          [{"text": t, "ids": s.encode(t), "tokens": s.encode(t, out_type=str)} for t in TEXTS])


GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
CL100K = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")


def ranks_of(files):
    t = Tokenizer(M.BPE())
    t.pre_tokenizer = P.ByteLevel(add_prefix_space=False)
    t.train(files, T.BpeTrainer(vocab_size=700, initial_alphabet=P.ByteLevel.alphabet(), show_progress=False))
    seen = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    byte_of = {chr(b): b for b in seen}
    byte_of.update({chr(256 + i): b for i, b in enumerate(b for b in range(256) if b not in seen)})
    return t, {bytes(byte_of[c] for c in k): v for k, v in t.get_vocab().items()}


def main(files):
    spm("spm-unigram", files, vocab_size=500, model_type="unigram", character_coverage=0.98)
    spm("spm-unigram-bytes", files, character_coverage=0.98, vocab_size=700, model_type="unigram", byte_fallback=True, normalization_rule_name="identity",
        remove_extra_whitespaces=False)
    spm("spm-bpe-bytes", files, character_coverage=0.98, vocab_size=700, model_type="bpe", byte_fallback=True, normalization_rule_name="identity",
        remove_extra_whitespaces=False, split_digits=True)
    spm("spm-bpe", files, character_coverage=0.98, vocab_size=500, model_type="bpe", normalization_rule_name="identity", add_dummy_prefix=False)

    t, ranks = ranks_of(files)
    e = tiktoken.Encoding("x", pat_str=CL100K, mergeable_ranks=ranks, special_tokens={})
    (HERE / "tiktoken").mkdir(exist_ok=True)
    (HERE / "tiktoken" / "cl100k_base.tiktoken").write_text("".join(f"{base64.b64encode(k).decode()} {v}\n" for k, v in sorted(ranks.items(), key=lambda x: x[1])))
    write("tiktoken", f"tiktoken {tiktoken.__version__}", [{"text": x, "ids": e.encode_ordinary(x)} for x in TEXTS])

    (HERE / "tekken").mkdir(exist_ok=True)
    e = tiktoken.Encoding("y", pat_str=GPT2, mergeable_ranks={k: v for k, v in ranks.items() if v < 600}, special_tokens={})
    special = ["<unk>", "<s>", "</s>", "[INST]"]
    doc = {"config": {"pattern": GPT2, "num_vocab_tokens": 700, "default_vocab_size": 610, "default_num_special_tokens": 10, "version": "v3"},
           "vocab": [{"rank": v, "token_bytes": base64.b64encode(k).decode(), "token_str": None} for k, v in sorted(ranks.items(), key=lambda x: x[1])],
           "special_tokens": [{"rank": i, "token_str": s, "is_control": True} for i, s in enumerate(special)]}
    (HERE / "tekken" / "tekken.json").write_text(json.dumps(doc))
    write("tekken", f"tiktoken {tiktoken.__version__}, ids moved by 10", [{"text": x, "ids": [i + 10 for i in e.encode_ordinary(x)]} for x in TEXTS])

    (HERE / "vocab-json").mkdir(exist_ok=True)
    t.model.save(str(HERE / "vocab-json"))
    b = ByteLevelBPETokenizer(str(HERE / "vocab-json" / "vocab.json"), str(HERE / "vocab-json" / "merges.txt"))
    write("vocab-json", f"tokenizers {tokenizers.__version__}", [{"text": x, "ids": b.encode(x).ids, "tokens": b.encode(x).tokens} for x in TEXTS])

    (HERE / "vocab-txt").mkdir(exist_ok=True)
    b = BertWordPieceTokenizer(lowercase=True)
    b.train(files, vocab_size=500, show_progress=False)
    b.save_model(str(HERE / "vocab-txt"))
    b = BertWordPieceTokenizer(str(HERE / "vocab-txt" / "vocab.txt"), lowercase=True)
    write("vocab-txt", f"tokenizers {tokenizers.__version__}",
          [{"text": x, "ids": b.encode(x, add_special_tokens=False).ids, "tokens": b.encode(x, add_special_tokens=False).tokens} for x in TEXTS])


main(sys.argv[1:])
