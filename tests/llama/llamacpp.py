# SPDX-License-Identifier: Apache-2.0
"""llama.cpp through its C interface: logits of ids, its tokenizer, its quantizer."""

import ctypes

import llama_cpp as L
import numpy as np

TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q5_0": 8, "Q5_1": 9, "Q2_K": 10, "Q3_K_S": 11, "Q3_K_M": 12,
         "Q3_K_L": 13, "Q4_K_S": 14, "Q4_K_M": 15, "Q5_K_S": 16, "Q5_K_M": 17, "Q6_K": 18, "BF16": 32, "MXFP4_MOE": 38}
said = []


@L.llama_log_callback
def hear(level, text, data):
    said.append(text.decode(errors="replace"))
    del said[:-40]


L.llama_backend_init()
L.llama_log_set(hear, ctypes.c_void_p(0))


class Model:
    def __init__(self, path, context=512):
        p = L.llama_model_default_params()
        p.n_gpu_layers = 0
        self.model = L.llama_model_load_from_file(str(path).encode(), p)
        assert self.model, "".join(said)
        c = L.llama_context_default_params()
        c.n_ctx = c.n_batch = c.n_ubatch = context
        c.n_threads = c.n_threads_batch = 2
        c.type_k = c.type_v = 0  # float32: ours is too
        c.flash_attn_type = 0
        c.embeddings = False
        self.context = L.llama_init_from_model(self.model, c)
        assert self.context, "".join(said)
        self.vocab = L.llama_model_get_vocab(self.model)
        self.size = L.llama_vocab_n_tokens(self.vocab)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        L.llama_free(self.context)
        L.llama_model_free(self.model)

    def logits(self, ids):
        L.llama_memory_clear(L.llama_get_memory(self.context), True)
        b = L.llama_batch_init(len(ids), 0, 1)
        b.n_tokens = len(ids)
        for i, t in enumerate(ids):
            b.token[i], b.pos[i], b.n_seq_id[i], b.logits[i] = int(t), i, 1, 1
            b.seq_id[i][0] = 0
        assert L.llama_decode(self.context, b) == 0, "".join(said)
        out = np.ctypeslib.as_array(L.llama_get_logits(self.context), (len(ids), self.size)).copy()
        L.llama_batch_free(b)
        return out

    def tokenize(self, text):
        raw = text.encode()
        out = (L.llama_token * (len(raw) + 16))()
        n = L.llama_tokenize(self.vocab, raw, len(raw), out, len(out), True, True)
        return list(out[:n])

    def greedy(self, ids, n):
        ids = list(ids)
        for _ in range(n):
            ids.append(int(self.logits(ids)[-1].argmax()))
        return ids


def quantize(source, target, kind):
    p = L.llama_model_quantize_default_params()
    p.ftype, p.nthread = TYPES[kind], 2
    assert L.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(p)) == 0, "".join(said)


def log_softmax(x):
    x = x.astype(np.float64)
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def perplexity(model, ids, window=512):
    """Over the second half of each window, as llama-perplexity counts."""
    miss, n = 0.0, 0
    for i in range(0, len(ids) - window + 1, window):
        part = ids[i:i + window]
        logs = log_softmax(model.logits(part))[window // 2 - 1:-1]
        want = np.array(part[window // 2:])
        miss -= logs[np.arange(len(want)), want].sum()
        n += len(want)
    return np.exp(miss / n)
