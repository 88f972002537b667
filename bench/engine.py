# SPDX-License-Identifier: Apache-2.0
"""`make bench M=engine`: models of random weights through this build and its peers, in turn, on the same
weights and threads. Called by bench/run.py with the Python that has the peers; prints one JSON object.

    bench/engine.py BUILD [part...]     parts: encoders, decoders, translators

One thread is measured in CPU time, which other work on the machine cannot stretch; several in wall time."""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
import models  # noqa: E402

BUILD = Path(sys.argv[1] if len(sys.argv) > 1 else "build")
FOLDER = Path(os.environ.get("SNUG_BENCH_MODELS", tempfile.gettempdir())) / "snug-bench-models"
THREADS = [int(x) for x in os.environ.get("SNUG_BENCH_THREADS", f"1,{os.cpu_count()}").split(",")]
SECONDS = float(os.environ.get("SNUG_BENCH_SECONDS", "1.0"))  # per measurement, about
BATCHES = [(b, n) for n in (16, 128, 512) for b in (1, 64) if b * n <= 8192 or b == 1] + [(16, 512)]
PRESET = os.environ.get("SNUG_BENCH_PRESET", "qwen2-0.5b")  # of tools/randmodel.c
TYPES = ("Q4_K_M", "Q8_0", "BF16")
PROMPT, GENERATED = (int(x) for x in os.environ.get("SNUG_BENCH_TOKENS", "512,128").split(","))
ROUNDS = 2
BEAMS, WRITTEN, READ = 4, 64, ([32], [128], [32] * 8)  # translators: tokens written; lengths of the texts read
MIXED = [16 + (i * 37) % 240 for i in range(64)]  # mean 134, longest 255


class Ours:
    """bench_infer_step on one model."""

    def __init__(self, path, threads):
        self.clock = "cpu_min" if threads == 1 else "wall_min"
        self.p = subprocess.Popen([BUILD / "bench" / "bench_infer_step", path, str(threads)], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)

    def ask(self, line):
        self.p.stdin.write(line + "\n")
        self.p.stdin.flush()
        return json.loads(self.p.stdout.readline())

    def encode(self, lengths, rounds):
        return self.ask(f"encode {rounds} " + " ".join(map(str, lengths)))[self.clock]

    def beams(self, lengths, rounds):
        """Seconds, and the ids written."""
        got = self.ask(f"beams {rounds} {BEAMS} {WRITTEN} " + " ".join(map(str, lengths)))
        return got[self.clock], got["ids"]

    def dump(self, lengths, width):
        with tempfile.NamedTemporaryFile() as f:
            self.ask(f"dump {f.name} " + " ".join(map(str, lengths)))
            return np.fromfile(f.name, np.float32).reshape(len(lengths), max(lengths), width)

    def close(self):
        self.p.stdin.close()
        self.p.wait()


def timed(f, rounds, threads):
    clock = time.process_time if threads == 1 else time.perf_counter
    best = 1e9
    for _ in range(rounds):
        start = clock()
        f()
        best = min(best, clock() - start)
    return best


def ids_of(lengths):
    ids = np.zeros((len(lengths), max(lengths)), np.int32)
    for b, n in enumerate(lengths):
        ids[b, :n] = 1 + (b + np.arange(n) * 7) % (models.VOCAB - 1)
    return ids


def ort_session(path, threads):
    import onnxruntime as ort
    o = ort.SessionOptions()
    o.intra_op_num_threads = threads
    o.inter_op_num_threads = 1
    o.log_severity_level = 3
    return ort.InferenceSession(str(path), o, providers=["CPUExecutionProvider"])


def ct2_encoder(folder, shape, w, threads):
    """The same BERT as a CTranslate2 model, or None."""
    try:
        import ctranslate2
    except ImportError:
        return None
    out = Path(folder) / "ct2"
    if not out.exists():
        models.write_bert_ct2(out, shape, w)
    return ctranslate2.Encoder(str(out), device="cpu", inter_threads=1, intra_threads=threads, compute_type="float32")


def encoders():
    result = {}
    for name, shape in models.SHAPES.items():
        folder = FOLDER / name
        w = models.bert_weights(shape)
        models.write_bert(folder, shape, w)
        for op in ("Attention", "MultiHeadAttention"):
            models.write_bert_onnx(folder / f"{op}.onnx", shape, w, op)
        for threads in THREADS:
            ours = Ours(folder, threads)
            sessions = {op: ort_session(folder / f"{op}.onnx", threads) for op in ("Attention", "MultiHeadAttention")}
            ct2 = ct2_encoder(folder, shape, w, threads)
            rows = {}
            cases = [(f"{b}x{n}", [n] * b) for b, n in BATCHES] + [("64 mixed", MIXED)]
            for label, lengths in cases:
                ids = ids_of(lengths)
                feeds = {"Attention": {"ids": ids, "lengths": np.array(lengths, np.int32)}}
                if len(set(lengths)) == 1:
                    feeds["MultiHeadAttention"] = {"ids": ids}
                once = ours.encode(lengths, 1)
                rounds = max(2, min(200, int(SECONDS / once / 3)))
                got = ours.dump(lengths, shape["hidden_size"])
                worst, mine, theirs = 0.0, [], {op: [] for op in feeds}
                for op, feed in feeds.items():
                    want = sessions[op].run(None, feed)[0]
                    for b, n in enumerate(lengths):
                        worst = max(worst, float(np.abs(got[b, :n] - want[b, :n]).max() / np.abs(want).max()))
                if ct2:
                    theirs["ctranslate2"] = []
                    import ctranslate2
                    view = ctranslate2.StorageView.from_array(ids)
                    lens = ctranslate2.StorageView.from_array(np.array(lengths, np.int32))
                    want = np.array(ct2.forward_batch(view, lens).last_hidden_state)
                    for b, n in enumerate(lengths):
                        worst = max(worst, float(np.abs(got[b, :n] - want[b, :n]).max() / np.abs(want).max()))
                for _ in range(2):  # in turn, so that noise hits all
                    mine.append(ours.encode(lengths, rounds))
                    for op, feed in feeds.items():
                        theirs[op].append(timed(lambda s=sessions[op], f=feed: s.run(None, f), rounds, threads))
                    if ct2:
                        theirs["ctranslate2"].append(timed(lambda: ct2.forward_batch(view, lens), rounds, threads))
                best = {op: min(t) for op, t in theirs.items()}
                ort = min(v for k, v in best.items() if k != "ctranslate2")
                rows[label] = {"ms": round(min(mine) * 1e3, 3), "onnxruntime_ms": round(ort * 1e3, 3),
                               "ratio": round(ort / min(mine), 3), "worst_error": float(f"{worst:.2g}")}
                if ct2:
                    rows[label]["ctranslate2_ms"] = round(best["ctranslate2"] * 1e3, 3)
                    rows[label]["ratio_ctranslate2"] = round(best["ctranslate2"] / min(mine), 3)
                print(name, threads, label, rows[label], file=sys.stderr, flush=True)
            ours.close()
            result[f"{name}, {threads} thread{'s' * (threads > 1)}"] = rows
    return result


def gguf_models():
    """A decoder of random weights as GGUF files of several types, made once."""
    source = FOLDER / PRESET
    if not (source / "model.safetensors").exists():
        subprocess.run([BUILD / "tools" / "tool_randmodel", source, "--preset", PRESET], check=True, stdout=subprocess.DEVNULL)
    for kind in TYPES:
        path = FOLDER / f"{PRESET}-{kind}.gguf"
        if not path.exists():
            subprocess.run([BUILD / "snug", "quantize", source, "--type", kind, "-o", path], check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        yield kind, path


class Llama:
    """llama.cpp through llama-cpp-python."""

    def __init__(self, path, threads):
        import llama_cpp
        self.lib, self.clock = llama_cpp, time.process_time if threads == 1 else time.perf_counter
        self.m = llama_cpp.Llama(str(path), n_ctx=PROMPT + GENERATED + 64, n_batch=512, n_ubatch=512, n_threads=threads,
                                 n_threads_batch=threads, verbose=False)

    def run(self):
        """Seconds of a prompt, and of the tokens behind it one by one."""
        self.m.reset()
        start = self.clock()
        self.m.eval([1 + i * 7 % 1000 for i in range(PROMPT)])
        middle = self.clock()
        for i in range(GENERATED):
            self.m.eval([1 + i])
        return middle - start, self.clock() - middle


def read_bandwidth(threads):
    """GB/s of adding up a large buffer, measured by bench_tensor_matmul."""
    p = subprocess.run([BUILD / "bench" / "bench_tensor_matmul", "avx512", "none", str(threads)], capture_output=True, text=True)
    try:
        return json.loads(p.stdout)[f"threads_{threads}"]["read_gb_s"]
    except (ValueError, KeyError):
        return 0


def first_token(path):
    """CPU seconds of a process of one thread up to its first token, the file in the page cache."""
    def spent():
        r = resource.getrusage(resource.RUSAGE_CHILDREN)
        return r.ru_utime + r.ru_stime
    start = spent()
    p = subprocess.run([BUILD / "bench" / "bench_infer_step", path, "1"], input="generate 1 0 1\n", capture_output=True, text=True)
    assert p.returncode == 0, p.stderr
    return spent() - start


def decoders():
    result = {"model": PRESET, "prompt": PROMPT, "generated": GENERATED}
    for kind, path in gguf_models():
        size = path.stat().st_size
        row = {"gb": round(size / 1e9, 3)}
        row["load_to_first_token_ms_per_gb"] = round(min(first_token(path) for _ in range(3)) / size * 1e12)
        for threads in THREADS:
            ours = Ours(path, threads)
            mine = [(ours.ask(f"prompt 1 {PROMPT}")[ours.clock],
                     ours.ask(f"generate 1 {PROMPT} {GENERATED}")[ours.clock]) for _ in range(ROUNDS)]
            ours.close()
            prompt, generate = (min(t[i] for t in mine) for i in range(2))
            gb_s = size * GENERATED / generate / 1e9
            limit = max(read_bandwidth(threads) for _ in range(2))
            r = {"prompt_tokens_s": round(PROMPT / prompt, 1), "tokens_s": round(GENERATED / generate, 2),
                 "gb_s": round(gb_s, 1), "read_gb_s": round(limit, 1), "share_of_bandwidth": round(gb_s / limit, 3) if limit else None}
            try:
                peer = Llama(path, threads)
                theirs = [peer.run() for _ in range(ROUNDS)]
                r["llama_cpp_prompt_tokens_s"] = round(PROMPT / min(t[0] for t in theirs), 1)
                r["llama_cpp_tokens_s"] = round(GENERATED / min(t[1] for t in theirs), 2)
                r["prompt_ratio"] = round(min(t[0] for t in theirs) / prompt, 3)
                r["ratio"] = round(min(t[1] for t in theirs) / generate, 3)
                del peer
            except ImportError:
                r["skipped"] = "llama-cpp-python is not installed"
            row[f"{threads} thread{'s' * (threads > 1)}"] = r
            print(kind, threads, r, file=sys.stderr, flush=True)
        print(kind, row["load_to_first_token_ms_per_gb"], "ms per GB", file=sys.stderr, flush=True)
        result[kind] = row
    return result


def translators():
    """Beam search over an encoder-decoder of T5's shape, a fixed number of tokens."""
    import ctranslate2
    folder, result = FOLDER / "t5-small", {"beams": BEAMS, "tokens": WRITTEN}
    if not (folder / "ct2" / "model.bin").exists():
        w = models.t5_weights(models.T5)
        models.write_t5(folder, models.T5, w)
        models.write_t5_ct2(folder / "ct2", models.T5, w)
    for threads in THREADS:
        ours = Ours(folder, threads)
        peer = ctranslate2.Translator(str(folder / "ct2"), device="cpu", inter_threads=1, intra_threads=threads,
                                      compute_type="float32")
        for lengths in READ:
            tokens = [[f"t{1 + (b + i * 7) % (models.T5['vocab_size'] - 1)}" for i in range(n)] for b, n in enumerate(lengths)]
            want = []

            def translate():
                want[:] = peer.translate_batch(tokens, beam_size=BEAMS, min_decoding_length=WRITTEN, max_decoding_length=WRITTEN)
            mine, theirs = [], []
            for _ in range(ROUNDS):
                seconds, ids = ours.beams(lengths, 2)
                mine.append(seconds)
                theirs.append(timed(translate, 2, threads))
            same = [[int(x[1:]) for x in w.hypotheses[0]] == row for w, row in zip(want, ids)]
            row = {"ms": round(min(mine) * 1e3, 1), "ctranslate2_ms": round(min(theirs) * 1e3, 1),
                   "ratio": round(min(theirs) / min(mine), 3), "same_ids": sum(same) / len(same)}
            result[f"{len(lengths)}x{lengths[0]}, {threads} thread{'s' * (threads > 1)}"] = row
            print("t5-small", threads, len(lengths), lengths[0], row, file=sys.stderr, flush=True)
        ours.close()
    return result


PARTS = {"encoders": encoders, "decoders": decoders, "translators": translators}


def main():
    wanted = sys.argv[2:] or list(PARTS)
    json.dump({part: PARTS[part]() for part in wanted}, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
