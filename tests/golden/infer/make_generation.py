# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/infer/rules/ and tests/golden/infer/tasks/{llama-text,t5-rules}: what generation of the reference
does with each of its parameters.

    python tests/golden/infer/make_generation.py CORPUS       (transformers 5.17.0, torch)

rules/: logits and a context, and the logits after the processors that `generate` builds for a set of parameters.
tasks/: tiny random models; texts of `generate`, and log shares of the raw logits in the shape of TGI's details."""

import json
import shutil
import sys
from pathlib import Path

import torch
import transformers as T
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

HERE = Path(__file__).parent
LINES = [x for x in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines() if x.strip()][:3000]

# ---- rules ----

VOCAB, ROWS, PROMPT, LENGTH, LIMIT = 120, 3, 6, 14, 30
INF = float("inf")
RULES = {
    "sequence_bias": {"sequence_bias": [[[5], 3.5], [[7], -2.25], [[11, 12, 13], 6.0]]},
    "sequence_bias_met": {"sequence_bias": [["TAIL2", 4.5], [[9], -1.0]]},
    "bad_words": {"bad_words_ids": [[3], [44, 2], [101, 7, 8], [2], "TAIL1", "TAIL2"]},
    "encoder_repetition": {"encoder_repetition_penalty": 1.4},
    "encoder_ngrams": {"encoder_no_repeat_ngram_size": 2},
    "repetition": {"repetition_penalty": 1.2},
    "ngrams": {"no_repeat_ngram_size": 2},
    "min_length": {"min_length": 15},
    "min_length_met": {"min_length": 14},
    "min_new": {"min_new_tokens": 9},
    "min_new_met": {"min_new_tokens": 8, "min_length": 20},
    "forced_last": {"forced_eos_token_id": [2, 9], "max_length": LENGTH + 1},
    "forced_last_later": {"forced_eos_token_id": 2, "max_length": LENGTH + 2},
    "invalid": {"remove_invalid_values": True, "bad_words_ids": [[3]]},
    "decay": {"exponential_decay_length_penalty": [3, 1.15]},
    "decay_later": {"exponential_decay_length_penalty": [8, 1.15]},
    "suppress": {"suppress_tokens": [1, 2, 3, 50, 119]},
    "begin_suppress": {"begin_suppress_tokens": [4, 5, 6]},
    "renormalise": {"renormalize_logits": True},
    "renormalise_sampled": {"renormalize_logits": True, "do_sample": True, "top_k": 12, "temperature": 0.8},
    "top_h": {"do_sample": True, "top_h": 0.4, "top_k": 0},
    "top_h_most": {"do_sample": True, "top_h": 0.9, "top_k": 0},
    "beams_sampled": {"do_sample": True, "num_beams": 3, "top_k": 2, "top_p": 0.05},
    "beams_typical": {"do_sample": True, "num_beams": 2, "top_k": 0, "typical_p": 0.02},
    "beams_min_p": {"do_sample": True, "num_beams": 2, "top_k": 0, "min_p": 0.95},
    "beams_cut": {"do_sample": True, "num_beams": 2, "top_k": 0, "epsilon_cutoff": 0.5},
    "beams_eta": {"do_sample": True, "num_beams": 2, "top_k": 0, "eta_cutoff": 0.9},
    "all": {"do_sample": True, "sequence_bias": [[[5], 3.5], ["TAIL2", 2.0]], "encoder_repetition_penalty": 1.1, "repetition_penalty": 1.3,
            "no_repeat_ngram_size": 3, "encoder_no_repeat_ngram_size": 3, "bad_words_ids": [[3], "TAIL1"], "min_new_tokens": 9,
            "suppress_tokens": [1, 50], "temperature": 0.7, "top_k": 40, "top_p": 0.9, "min_p": 0.01, "typical_p": 0.95,
            "epsilon_cutoff": 0.001, "eta_cutoff": 0.001, "renormalize_logits": True},
    "all_greedy": {"sequence_bias": [[[5], 3.5]], "repetition_penalty": 1.3, "exponential_decay_length_penalty": [2, 1.05],
                   "suppress_tokens": [1, 50], "renormalize_logits": True},
}
FIRST = {
    "forced_first": {"forced_bos_token_id": 17},
    "forced_first_begin": {"forced_bos_token_id": 17, "begin_suppress_tokens": [17, 4]},
    "begin_suppress_first": {"begin_suppress_tokens": [4, 5, 6]},
    "encoder_ngrams_first": {"encoder_no_repeat_ngram_size": 3},
}


def rules():
    out = HERE / "rules"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    torch.manual_seed(3)
    model = T.GPT2LMHeadModel(T.GPT2Config(vocab_size=VOCAB, n_embd=8, n_layer=1, n_head=1, n_positions=64))
    tensors = {"logits": torch.randn(ROWS, VOCAB) * 3, "context": torch.randint(0, 30, (ROWS, LENGTH))}
    tensors["context"][1, -1] = tensors["context"][0, -1]
    tensors["context"][2, -3:] = tensors["context"][2, 2:5]
    cases = {}
    for name, raw in {**RULES, **FIRST}.items():
        length = 1 if name in FIRST else LENGTH
        prompt = 1 if name in FIRST else PROMPT
        context = tensors["context"][:, :length]
        tails = {"TAIL1": [int(context[0, -1]), 33], "TAIL2": [int(context[2, -2]) if length > 1 else 0, int(context[2, -1]), 21]}
        text = json.dumps(raw)
        for k, v in tails.items():
            text = text.replace(f'"{k}"', json.dumps(v))
        asked = json.loads(text)
        conf = T.GenerationConfig(**dict({"eos_token_id": [2, 60], "max_length": LIMIT, "top_k": 0}, **asked))
        if conf.min_new_tokens is not None:
            conf.min_length = conf.min_new_tokens + prompt
        conf._eos_token_tensor = torch.tensor([2, 60])
        made = model._get_logits_processor(conf, prompt, tensors["context"][:, :prompt], device="cpu")
        got = made(context, tensors["logits"].clone())
        tensors["out." + name] = torch.clamp(got, min=-1e30) if name != "invalid" else got
        cases[name] = {"length": length, "prompt": prompt, "limit": conf.max_length, "parameters": dict(asked, eos_token_id=[2, 60])}
    save_file({k: v.contiguous() for k, v in tensors.items()}, str(out / "golden.safetensors"))
    (out / "golden.json").write_text("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in cases.items()) + "\n}\n")
    print("rules", len(cases))


# ---- texts ----

def byte_level():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>"]  # only letters of ASCII: whatever is generated is whole
    t.train_from_iterator([x for x in LINES if x.isascii()], trainers.BpeTrainer(vocab_size=400, special_tokens=special, show_progress=False))
    t.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    t.decoder = decoders.ByteLevel()
    return T.PreTrainedTokenizerFast(tokenizer_object=t, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>", model_max_length=128)


def write(folder, cases):
    (folder / "cases.json").write_text("[\n" + ",\n".join(json.dumps(c, ensure_ascii=False) for c in cases) + "\n]\n", encoding="utf-8")
    print(folder.name, len(cases), sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) // 1024, "kB")


def save(name, model, tokenizer):
    folder = HERE / "tasks" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for p in model.parameters():
        if p.dim() > 1:
            p.data.mul_(8 if name == "llama-text" else 2)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


PROMPTS = ["My name is Wolfgang and I live in", "The quick brown fox jumps over", "A"]
CHAT = ("{% for m in messages %}{{ bos_token if loop.first }}[{{ m.role }}] {{ m.content }}\n{% endfor %}"
        "{% if add_generation_prompt %}[assistant] {% endif %}")


def shares(model, ids):
    with torch.no_grad():
        return torch.log_softmax(model(torch.tensor([ids])).logits[0].float(), -1)


def one_token(tok, i):
    return tok.decode([i], clean_up_tokenization_spaces=False)


def details(model, tok, prompt, ids, finish, seed, prefill=False, top=0):
    p = shares(model, prompt + ids)
    pieces, shown = [], ""
    for n in range(1, len(ids) + 1):  # what each id adds; a code point that is not whole shows later
        text = tok.decode(ids[:n], clean_up_tokenization_spaces=False)
        text = "" if text.endswith("\ufffd") and n < len(ids) else text[len(shown):]
        shown += text
        pieces.append(text)
    special = set(tok.all_special_ids)
    rows = [{"id": i, "text": s, "logprob": float(p[len(prompt) + k - 1, i]), "special": i in special} for k, (i, s) in enumerate(zip(ids, pieces))]
    d = {"finish_reason": finish, "generated_tokens": len(ids), "input_length": len(prompt), "seed": seed,
         "prefill": [{"id": i, "text": one_token(tok, i), "logprob": float(p[k - 1, i]) if k else None} for k, i in enumerate(prompt)] if prefill else [],
         "tokens": rows}
    if top:
        d["top_tokens"] = []
        for k in range(len(ids)):
            best = torch.topk(p[len(prompt) + k - 1], top)
            d["top_tokens"].append([{"id": int(i), "text": one_token(tok, int(i)), "logprob": float(v), "special": int(i) in special}
                                    for v, i in zip(best.values, best.indices)])
    return d


def llama():
    torch.manual_seed(5)
    tok = byte_level()
    tok.chat_template = CHAT
    config = T.LlamaConfig(vocab_size=len(tok), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
                           intermediate_size=48, max_position_embeddings=128, bos_token_id=0, eos_token_id=2, pad_token_id=1)
    model = T.LlamaForCausalLM(config).eval()
    folder = save("llama-text", model, tok)
    ids = {x: tok(x)["input_ids"] for x in PROMPTS}
    base = model.generate(torch.tensor([ids[PROMPTS[0]]]), max_new_tokens=12, do_sample=False)[0].tolist()[len(ids[PROMPTS[0]]):]
    cases = []

    def run(prompt, asked, more=None, ours=None):
        x = ids[prompt]
        got = model.generate(torch.tensor([x]), attention_mask=torch.ones(1, len(x), dtype=torch.long), do_sample=False, **asked, **(more or {}))
        new = [r[len(x):] for r in got.tolist()]
        answer = [{"generated_text": tok.decode(r, skip_special_tokens=True)} for r in new]
        cases.append({"task": "text-generation", "inputs": prompt, "parameters": dict(asked, **(ours or {})), "answer": answer})
        return new

    far = base[5]
    for prompt in PROMPTS:
        run(prompt, {"max_new_tokens": 12})
        run(prompt, {"max_length": len(ids[prompt]) + 7})
        for asked in ({"repetition_penalty": 1.5}, {"no_repeat_ngram_size": 2}, {"bad_words_ids": [[base[0]], base[3:5]]},
                      {"suppress_tokens": [base[1]]}, {"begin_suppress_tokens": [base[0], base[1]]}, {"sequence_bias": [[[far], 4.0], [base[:2], -40.0]]},
                      {"encoder_no_repeat_ngram_size": 1}, {"encoder_repetition_penalty": 1.8}, {"encoder_repetition_penalty": 0.5},
                      {"forced_eos_token_id": 2}, {"eos_token_id": [far, 2]}, {"eos_token_id": [far, 2], "min_new_tokens": 9},
                      {"eos_token_id": [far, 2], "min_length": len(ids[prompt]) + 8},
                      {"eos_token_id": [far, 2], "exponential_decay_length_penalty": [2, 1.6]}, {"renormalize_logits": True, "remove_invalid_values": True}):
            run(prompt, dict({"max_new_tokens": 12}, **asked))
        for asked in ({"num_beams": 3}, {"num_beams": 4, "num_return_sequences": 4}, {"num_beams": 4, "num_return_sequences": 2, "eos_token_id": [far, 2]},
                      {"num_beams": 4, "eos_token_id": [far, 2], "length_penalty": 2.0, "early_stopping": True, "num_return_sequences": 4},
                      {"num_beams": 3, "eos_token_id": [far, 2], "length_penalty": -1.0, "num_return_sequences": 3},
                      {"num_beams": 3, "eos_token_id": [far, 2], "early_stopping": "never", "num_return_sequences": 3},
                      {"num_beams": 4, "no_repeat_ngram_size": 2, "repetition_penalty": 1.2, "bad_words_ids": [[base[0]], base[3:5]]}):
            run(prompt, dict({"max_new_tokens": 12}, **asked))
    x = ids[PROMPTS[0]]
    text = tok.decode(base)
    stop = text[3:7]
    end = text.index(stop) + len(stop)
    cases.append({"task": "text-generation", "inputs": PROMPTS[0], "parameters": {"max_new_tokens": 12, "stop": [stop]},
                  "answer": [{"generated_text": text[:end]}]})
    for prompt in PROMPTS:
        x = ids[prompt]
        new = model.generate(torch.tensor([x]), max_new_tokens=10, do_sample=False)[0].tolist()[len(x):]
        for prefill, top in ((False, 0), (True, 0), (True, 3)):
            asked = {"max_new_tokens": 10, "details": True, "decoder_input_details": prefill, "top_n_tokens": top}
            cases.append({"task": "text-generation", "inputs": prompt, "parameters": asked,
                          "answer": [{"generated_text": tok.decode(new, skip_special_tokens=True),
                                      "details": details(model, tok, x, new, "length", None, prefill, top)}]})
        got = model.generate(torch.tensor([x]), max_new_tokens=10, do_sample=False, eos_token_id=[far], num_beams=3)[0].tolist()[len(x):]
        finish = "eos_token" if got[-1] == far else "length"
        shown = got[:-1] if finish == "eos_token" else got
        cases.append({"task": "text-generation", "inputs": prompt,
                      "parameters": {"max_new_tokens": 10, "details": True, "num_beams": 3, "eos_token_id": [far], "top_n_tokens": 2},
                      "answer": [{"generated_text": tok.decode(shown, skip_special_tokens=True),
                                  "details": details(model, tok, x, got, finish, None, False, 2)}]})
    cases = [c for c in cases if all("\ufffd" not in json.dumps(a, ensure_ascii=False) for a in c["answer"])]
    talks = [[{"role": "user", "content": "Hello there."}],
             [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Ada."}, {"role": "user", "content": "Why?"}]]
    for talk in talks:
        x = tok.apply_chat_template(talk, add_generation_prompt=True, return_dict=False)
        new = model.generate(torch.tensor([x]), max_new_tokens=9, do_sample=False)[0].tolist()[len(x):]
        said = tok.decode(new, skip_special_tokens=True)
        cases.append({"task": "text-generation", "inputs": talk, "parameters": {"max_new_tokens": 9},
                      "answer": [{"generated_text": talk + [{"role": "assistant", "content": said}]}]})
        cases.append({"task": "text-generation", "inputs": talk, "parameters": {"max_new_tokens": 9, "return_full_text": False},
                      "answer": [{"generated_text": said}]})
    write(folder, cases)


def t5():
    torch.manual_seed(6)
    tok = byte_level()
    config = T.T5Config(vocab_size=len(tok), d_model=32, d_kv=16, d_ff=48, num_layers=2, num_heads=2, decoder_start_token_id=1, eos_token_id=2,
                        pad_token_id=1, feed_forward_proj="gated-gelu", tie_word_embeddings=False)
    for seed in range(12):  # one that has something to say
        torch.manual_seed(seed)
        model = T.T5ForConditionalGeneration(config).eval()
        folder = save("t5-rules", model, tok)
        said = [model.generate(torch.tensor([tok(x)["input_ids"]]), max_new_tokens=10, do_sample=False)[0].tolist()[1:] for x in PROMPTS[:2]]
        if all(len(set(x)) > 5 and 2 not in x[:6] for x in said):
            break
    cases = []
    for prompt in PROMPTS[:2]:
        x = torch.tensor([tok(prompt)["input_ids"]])
        base = model.generate(x, max_new_tokens=10, min_new_tokens=10, do_sample=False, num_beams=1)[0].tolist()[1:]
        for asked in ({}, {"forced_bos_token_id": 30}, {"forced_bos_token_id": 30, "begin_suppress_tokens": [base[1]]}, {"forced_eos_token_id": 2},
                      {"begin_suppress_tokens": base[:1]}, {"encoder_no_repeat_ngram_size": 1}, {"encoder_repetition_penalty": 3.0},
                      {"bad_words_ids": [base[1:3]]}, {"min_length": 8}, {"max_length": 6}, {"num_beams": 3}, {"num_beams": 4, "num_return_sequences": 3},
                      {"num_beams": 4, "encoder_no_repeat_ngram_size": 2, "no_repeat_ngram_size": 2, "num_return_sequences": 4}):
            more = dict({"num_beams": 1}, **asked)
            if "max_length" not in more:
                more["max_new_tokens"] = 10
            got = model.generate(x, do_sample=False, **more)
            answer = [{"generated_text": tok.decode(r, skip_special_tokens=True)} for r in got.tolist()]
            cases.append({"task": "text2text-generation", "inputs": prompt, "parameters": more, "answer": answer})
    cases = [c for c in cases if "\ufffd" not in json.dumps(c, ensure_ascii=False)]
    write(folder, cases)


rules()
llama()
t5()
