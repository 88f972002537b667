# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/infer/tasks/: tiny models with tokenizers, requests, and what the reference pipelines answer.

    python tests/golden/infer/make_tasks.py CORPUS       (transformers 4.57.3, sentence-transformers 5.1.2, torch)

CORPUS is any English text of a few hundred kB; tokenizers are trained on it. Weights are random, so answers mean nothing;
what is compared is everything around the model."""

import json
import shutil
import sys
from pathlib import Path

import torch
import transformers as T
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

OUT = Path(__file__).parent / "tasks"
LINES = [x for x in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines() if x.strip()][:3000]
SMALL = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48)


def wordpiece(lower):
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer(lowercase=lower)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    t.train_from_iterator(LINES, trainers.WordPieceTrainer(vocab_size=600, special_tokens=special, show_progress=False))
    t.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    t.decoder = decoders.WordPiece()
    return T.PreTrainedTokenizerFast(tokenizer_object=t, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]",
                                     mask_token="[MASK]", model_max_length=64)


def byte_level():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    t.train_from_iterator(LINES, trainers.BpeTrainer(vocab_size=700, special_tokens=special, show_progress=False,
                                                     initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    t.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    return T.PreTrainedTokenizerFast(tokenizer_object=t, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>",
                                     cls_token="<s>", sep_token="</s>", mask_token="<mask>", model_max_length=64)


def unigram():
    t = Tokenizer(models.Unigram())
    t.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("  ", " ")])
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    t.train_from_iterator(LINES, trainers.UnigramTrainer(vocab_size=500, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>",
                                                         show_progress=False))
    t.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)])
    t.decoder = decoders.Metaspace()
    return T.PreTrainedTokenizerFast(tokenizer_object=t, eos_token="</s>", unk_token="<unk>", pad_token="<pad>", model_max_length=64)


def plain(x):
    if isinstance(x, dict):
        return {k: plain(v) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return [plain(v) for v in x]
    if hasattr(x, "tolist"):
        return plain(x.tolist())
    return x


def save(name, model, tokenizer, cases, generation=None):
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if model is not None:
        for p in model.parameters():  # larger than trained ones: scores far apart, ties unlikely
            if p.dim() > 1:
                p.data.mul_(4)
        model.save_pretrained(folder)
        if generation:
            model.generation_config.update(**generation)
            model.generation_config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    made = cases(folder)
    (folder / "cases.json").write_text("[\n" + ",\n".join(json.dumps(plain(c), ensure_ascii=False) for c in made) + "\n]\n", encoding="utf-8")
    print(name, len(made), sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) // 1024, "kB")


TEXTS = ["My name is Wolfgang and I live in Berlin.", "Zürich's naïve café – 日本語 and  two spaces.", "A", "unbelievable!!! (really?)",
         "The quick brown fox jumps over the lazy dog while the United Nations meets in New York."]
LONG = " ".join(LINES[40:60])


def ner_cases(folder):
    pipe = T.pipeline("token-classification", model=str(folder))
    rows = []
    for strategy in ("none", "simple", "first", "average", "max"):
        for text in TEXTS:
            rows.append({"inputs": text, "parameters": {"aggregation_strategy": strategy}})
        rows.append({"inputs": TEXTS[4], "parameters": {"aggregation_strategy": strategy, "ignore_labels": []}})
        rows.append({"inputs": TEXTS[4], "parameters": {"aggregation_strategy": strategy, "ignore_labels": ["B-LOC", "LOC", "O"]}})
    for stride in (0, 7, 30):
        for strategy in ("simple", "first", "max"):
            rows.append({"inputs": LONG[:700], "parameters": {"aggregation_strategy": strategy, "stride": stride}})
    return [dict(r, task="token-classification", answer=pipe(r["inputs"], **r["parameters"])) for r in rows]


def qa_cases(folder):
    pipe = T.pipeline("question-answering", model=str(folder))
    rows = []
    for context in (TEXTS[0], TEXTS[1], TEXTS[4], LONG[:400], LONG[:1500]):
        for more in ({}, {"top_k": 3}, {"handle_impossible_answer": True}, {"align_to_words": False, "top_k": 4}, {"max_answer_len": 2},
                     {"max_seq_len": 40, "doc_stride": 10}, {"max_seq_len": 48, "doc_stride": 8, "top_k": 5, "handle_impossible_answer": True}):
            rows.append({"inputs": {"question": "Where do I live?", "context": context}, "parameters": more})
    return [dict(r, task="question-answering", answer=pipe(**r["inputs"], **r["parameters"])) for r in rows]


def zero_shot_cases(folder):
    pipe = T.pipeline("zero-shot-classification", model=str(folder))
    rows = []
    for text in TEXTS[:1] + TEXTS[3:] + [LONG[:600]]:
        rows.append({"inputs": text, "parameters": {"candidate_labels": ["politics", "public health", "cats"]}})
        rows.append({"inputs": text, "parameters": {"candidate_labels": "politics, cats", "multi_label": True}})
        rows.append({"inputs": text, "parameters": {"candidate_labels": ["travel"]}})
        rows.append({"inputs": text, "parameters": {"candidate_labels": ["a", "b"], "hypothesis_template": "It is about {}!"}})
    answers = [pipe(r["inputs"], **r["parameters"]) for r in rows]
    return [dict(r, task="zero-shot-classification", answer=[{"label": x, "score": s} for x, s in zip(a["labels"], a["scores"])])
            for r, a in zip(rows, answers)]


def class_cases(folder):
    pipe = T.pipeline("text-classification", model=str(folder))
    rows = [{"inputs": t, "parameters": p} for t in TEXTS
            for p in ({"top_k": None}, {"top_k": 2}, {"top_k": None, "function_to_apply": "sigmoid"}, {"top_k": None, "function_to_apply": "none"})]
    return [dict(r, task="text-classification", answer=[pipe(r["inputs"], **r["parameters"])]) for r in rows]


def feature_cases(folder):
    pipe = T.pipeline("feature-extraction", model=str(folder))
    return [{"inputs": t, "task": "feature-extraction", "answer": pipe(t)} for t in TEXTS[:1] + TEXTS[2:4]]


def sentence_cases(prompts=False):
    def make(folder):
        from sentence_transformers import SentenceTransformer
        model = SentenceTransformer(str(folder), device="cpu")
        rows = [{"task": "feature-extraction", "inputs": TEXTS[:4], "answer": model.encode(TEXTS[:4])},
                {"task": "feature-extraction", "inputs": LONG[:800], "truncate": True, "answer": model.encode([LONG[:800]])},
                {"task": "feature-extraction", "inputs": TEXTS[0], "dimensions": 8, "normalize": True,
                 "answer": model.encode([TEXTS[0]], truncate_dim=8, normalize_embeddings=True)}]
        if prompts:
            rows += [{"task": "feature-extraction", "inputs": TEXTS[0], "prompt_name": n, "answer": model.encode([TEXTS[0]], prompt_name=n)}
                     for n in ("query", "passage")]
        scores = torch.nn.functional.cosine_similarity(torch.tensor(model.encode([TEXTS[0]])), torch.tensor(model.encode(TEXTS[1:4])))
        rows.append({"task": "sentence-similarity", "inputs": {"source_sentence": TEXTS[0], "sentences": TEXTS[1:4]}, "answer": scores})
        return rows
    return make


def rank_cases(folder):
    from sentence_transformers import CrossEncoder
    model = CrossEncoder(str(folder), device="cpu")
    rows = []
    for more in ({}, {"top_k": 2}, {"return_documents": True}):
        got = model.rank(TEXTS[0], TEXTS[1:], **more)
        rows.append({"task": "text-ranking", "inputs": {"query": TEXTS[0], "texts": TEXTS[1:]},
                     "parameters": dict({k.replace("return_documents", "return_text"): v for k, v in more.items()}, truncate=True),
                     "answer": [{"index": g["corpus_id"], "score": g["score"], **({"text": g["text"]} if "text" in g else {})} for g in got]})
    return rows


def seq2seq_cases(task):
    def make(folder):
        pipe = T.pipeline(task, model=str(folder))
        key = {"summarization": "summary_text", "text2text-generation": "generated_text"}.get(task, "translation_text")
        name = "translation" if task.startswith("translation") else task
        rows = []
        for text in TEXTS[:2] + TEXTS[4:]:
            for more in ({"max_new_tokens": 12}, {"max_new_tokens": 12, "num_beams": 3}, {"max_new_tokens": 10, "min_new_tokens": 6},
                         {"max_new_tokens": 12, "num_beams": 2, "no_repeat_ngram_size": 2}):  # max_length: the pipelines let their own max_new_tokens win
                got = pipe(text, **more)
                rows.append({"task": name, "inputs": text, "parameters": {"generate_parameters": more}, "answer": [{key: got[0][key]}]})
        got = pipe(LONG[:900], max_new_tokens=8, truncation=True)
        rows.append({"task": name, "inputs": LONG[:900], "parameters": {"truncation": "longest_first", "generate_parameters": {"max_new_tokens": 8}},
                     "answer": [{key: got[0][key]}]})
        return rows
    return make


def language_cases(folder):
    pipe = T.pipeline("translation", model=str(folder), tokenizer=T.AutoTokenizer.from_pretrained(folder))
    rows = []
    for text in TEXTS[:1] + TEXTS[3:]:
        for src, tgt in (("en_XX", "de_DE"), ("de_DE", "en_XX"), ("fr_XX", "de_DE")):
            got = pipe(text, src_lang=src, tgt_lang=tgt, max_new_tokens=10)
            rows.append({"task": "translation", "inputs": text, "parameters": {"src_lang": src, "tgt_lang": tgt, "generate_parameters": {"max_new_tokens": 10}},
                         "answer": got})
    return rows


def sentence_folder(name, config, pooling, dense=False, normalize=True, prompts=None):
    from sentence_transformers import SentenceTransformer, models as M
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    inner = OUT / (name + ".inner")
    config.architectures = None
    body = T.BertModel(config)
    for p in body.parameters():
        if p.dim() > 1:
            p.data.mul_(3)
    body.save_pretrained(inner)
    wordpiece(True).save_pretrained(inner)
    word = M.Transformer(str(inner), max_seq_length=32)
    parts = [word, M.Pooling(32, pooling_mode=pooling)]
    if dense:
        parts.append(M.Dense(32, 24, activation_function=torch.nn.Tanh()))
    if normalize:
        parts.append(M.Normalize())
    SentenceTransformer(modules=parts, device="cpu", prompts=prompts, default_prompt_name="query" if prompts else None).save(str(folder), create_model_card=False)
    shutil.rmtree(inner)
    made = sentence_cases(bool(prompts))(folder)
    (folder / "cases.json").write_text("[\n" + ",\n".join(json.dumps(plain(c), ensure_ascii=False) for c in made) + "\n]\n", encoding="utf-8")
    print(name, len(made), sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) // 1024, "kB")


def mbart_tokenizer():
    base = unigram()
    core = Tokenizer.from_str(base.backend_tokenizer.to_str())
    pieces = json.loads(core.to_str())["model"]["vocab"]
    t = Tokenizer(models.Unigram([("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)] + [tuple(p) for p in pieces[3:]], unk_id=3))
    t.normalizer, t.pre_tokenizer, t.decoder = normalizers.NFKC(), pre_tokenizers.Metaspace(), decoders.Metaspace()
    folder = OUT / "mbart.inner"
    folder.mkdir(parents=True, exist_ok=True)
    t.save(str(folder / "tokenizer.json"))
    tok = T.MBartTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), src_lang="en_XX", tgt_lang="de_DE", model_max_length=64)
    shutil.rmtree(folder)
    return tok


def main():
    torch.manual_seed(1)
    labels = {i: x for i, x in enumerate(["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "MISC"])}
    common = dict(SMALL, id2label=labels, label2id={v: k for k, v in labels.items()})
    w, b = wordpiece(False), byte_level()
    bert = dict(vocab_size=len(w), max_position_embeddings=64)
    roberta = dict(vocab_size=len(b), max_position_embeddings=66, pad_token_id=1, bos_token_id=0, eos_token_id=2, type_vocab_size=1)
    save("ner-bert", T.BertForTokenClassification(T.BertConfig(**common, **bert)), w, ner_cases)
    save("ner-roberta", T.RobertaForTokenClassification(T.RobertaConfig(**common, **roberta)), b, ner_cases)
    save("qa-bert", T.BertForQuestionAnswering(T.BertConfig(**SMALL, **bert)), w, qa_cases)
    save("qa-roberta", T.RobertaForQuestionAnswering(T.RobertaConfig(**SMALL, **roberta)), b, qa_cases)
    nli = {0: "contradiction", 1: "neutral", 2: "entailment"}
    save("nli-bert", T.BertForSequenceClassification(T.BertConfig(**SMALL, **bert, id2label=nli, label2id={v: k for k, v in nli.items()})), w,
         lambda f: zero_shot_cases(f) + class_cases(f))
    save("nli-roberta", T.RobertaForSequenceClassification(T.RobertaConfig(**SMALL, **roberta, id2label={0: "ENTAILMENT", 1: "NEUTRAL", 2: "NOT"},
                                                                           label2id={"ENTAILMENT": 0, "NEUTRAL": 1, "NOT": 2})), b, zero_shot_cases)
    save("features-roberta", T.RobertaModel(T.RobertaConfig(**SMALL, **roberta)), b, feature_cases)
    save("rank-bert", T.BertForSequenceClassification(T.BertConfig(**SMALL, **bert, num_labels=1)), w, lambda f: rank_cases(f) + class_cases(f))
    lower = T.BertConfig(**SMALL, vocab_size=len(wordpiece(True)), max_position_embeddings=64)
    sentence_folder("sentence-mean", lower, "mean")
    sentence_folder("sentence-cls-dense", lower, "cls", dense=True, normalize=False)
    sentence_folder("sentence-prompts", lower, "weightedmean", prompts={"query": "query: ", "passage": "passage of text: "})
    sentence_folder("sentence-max", lower, "max", normalize=False)
    u = unigram()
    t5 = dict(vocab_size=len(u), d_model=32, d_kv=16, d_ff=48, num_layers=2, num_heads=2, decoder_start_token_id=0, eos_token_id=1, pad_token_id=0)
    prefixes = {"summarization": {"prefix": "summarize: ", "max_length": 20, "num_beams": 2, "length_penalty": 2.0, "early_stopping": True},
                "translation_en_to_de": {"prefix": "translate English to German: ", "num_beams": 3, "max_length": 15}}
    save("t5", T.T5ForConditionalGeneration(T.T5Config(**t5, task_specific_params=prefixes)), u,
         lambda f: seq2seq_cases("summarization")(f) + seq2seq_cases("text2text-generation")(f)
         + [dict(c, parameters=dict(c["parameters"], src_lang="en", tgt_lang="de")) for c in seq2seq_cases("translation_en_to_de")(f)])
    bart = dict(vocab_size=len(b), d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2, decoder_attention_heads=2,
                encoder_ffn_dim=48, decoder_ffn_dim=48, max_position_embeddings=64, pad_token_id=1, bos_token_id=0, eos_token_id=2,
                decoder_start_token_id=2, forced_eos_token_id=2)
    save("bart", T.BartForConditionalGeneration(T.BartConfig(**bart)), b, seq2seq_cases("summarization"))
    m = mbart_tokenizer()
    mbart = dict(bart, vocab_size=len(m), decoder_start_token_id=None, forced_eos_token_id=2, scale_embedding=True)
    mbart.pop("decoder_start_token_id")
    save("mbart", T.MBartForConditionalGeneration(T.MBartConfig(**mbart)), m, language_cases)


main()
