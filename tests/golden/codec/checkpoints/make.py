# SPDX-License-Identifier: Apache-2.0
"""Checkpoints and, beside each, the tensors it holds as safetensors wants them. Made with torch 2.15.0,
numpy 2.4.6, safetensors 0.8.0: python make.py"""
import os, pickle
import numpy as np
import torch
from collections import OrderedDict
from safetensors.torch import save_file

here = os.path.dirname(os.path.abspath(__file__)) + "/"
torch.manual_seed(1)
base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
wide = OrderedDict(
    plain=base, transposed=base.t(), sliced=base[1:3, ::2], row=base[2], expanded=torch.ones(3, 1).expand(3, 4),
    scalar=torch.tensor(7, dtype=torch.int64), empty=torch.zeros(0, 3), half=torch.randn(5).half(), bf=torch.randn(2, 3).bfloat16(),
    double=torch.randn(3).double(), flags=torch.tensor([True, False, True]), bytes=torch.arange(5, dtype=torch.uint8),
    chars=torch.arange(-2, 3, dtype=torch.int8), shorts=torch.arange(3, dtype=torch.int16), ints=torch.arange(3, dtype=torch.int32),
    cplx=torch.tensor([1 + 2j, 3 - 4j]), param=torch.nn.Parameter(torch.randn(2, 2)))
newer = OrderedDict(f8=torch.randn(4).to(torch.float8_e4m3fn), f8b=torch.randn(4).to(torch.float8_e5m2),
                    u16=torch.arange(4).to(torch.uint16), u64=torch.arange(4).to(torch.uint64))


def flat(v, prefix=""):
    if isinstance(v, torch.Tensor):
        return {prefix or "tensor": v.detach().contiguous().clone()}
    if isinstance(v, np.ndarray):
        return {prefix: torch.from_numpy(np.ascontiguousarray(v.astype(v.dtype.newbyteorder("="))))}
    out = {}
    for k, x in (v.items() if isinstance(v, dict) else enumerate(v) if isinstance(v, (list, tuple)) else ()):
        out.update(flat(x, f"{prefix}.{k}" if prefix else str(k)))
    return out


def both(name, value, want=None, old=False):
    torch.save(value, here + name, _use_new_zipfile_serialization=not old)
    save_file(flat(value if want is None else want), here + name + ".safetensors")


both("new.pt", {**wide, **newer})
both("old.pt", wide, old=True)
both("nested.pt", {"a": {"b": [base, base[0]], 5: base[:1]}, "note": "text", "n": 3})
both("trained.pt", {"state_dict": {"w": base}, "epoch": 3, "optimizer": {"state": {0: {"step": base}}}}, {"w": base})
both("single.pt", base)
arrays = {"f": np.asfortranarray(np.arange(6, dtype="f4").reshape(2, 3)), "be": np.arange(4, dtype=">i4"), "b": np.array([True, False]),
          "u": np.arange(3, dtype="u2"), "deep": {"z": np.zeros((2, 0), "f8"), "h": np.arange(3, dtype="f2")}, "list": [1, 2]}
for protocol in range(6):
    with open(here + f"numpy-{protocol}.pkl", "wb") as f:
        pickle.dump(arrays, f, protocol=protocol)
save_file(flat(arrays), here + "numpy.safetensors")
np.savez_compressed(here + "arrays.npz", f=arrays["f"], be=arrays["be"])
save_file(flat({"f": arrays["f"], "be": arrays["be"]}), here + "arrays.npz.safetensors")
torch.save({"s": torch.eye(3).to_sparse()}, here + "sparse.pt")
