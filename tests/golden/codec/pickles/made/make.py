# SPDX-License-Identifier: Apache-2.0
"""Writes the crafted pickles beside it, opcode by opcode; nothing is pickled or unpickled here.

Names: <verdict>-<what>. Made with Python 3.11 (zipfile, gzip, tarfile for the wrappers)."""
import gzip, io, os, struct, tarfile, zipfile, zlib

here = os.path.dirname(os.path.abspath(__file__))
SYS = b"cposix\nsystem\n"
ARG = b"X\x04\0\0\0true"
EVIL = b"\x80\x02" + SYS + ARG + b"\x85R."


def s(t):
    return b"\x8c" + bytes([len(t)]) + t.encode()


def entry(name, data, method=0):
    return name, data, method


def zipped(entries):
    b = io.BytesIO()
    with zipfile.ZipFile(b, "w") as z:
        for name, data in entries:
            z.writestr(zipfile.ZipInfo(name), data)
    return b.getvalue()


def tarred(entries):
    b = io.BytesIO()
    with tarfile.open(fileobj=b, mode="w", format=tarfile.USTAR_FORMAT) as t:
        for name, data in entries:
            i = tarfile.TarInfo(name)
            i.size = len(data)
            t.addfile(i, io.BytesIO(data))
    return b.getvalue()


def npy_objects(data):
    h = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    h += b" " * (-(len(h) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(h)) + h + data


swapped = bytearray(zipped([("a/data.pkl", EVIL), ("a/version", b"3\n")]))
swapped[swapped.index(b"PK\x01\x02") + 10] = 8  # central directory: deflated; local header: stored
crc = bytearray(zipped([("a/data.pkl", EVIL)]))
crc[14] ^= 1

# {"a": NumpyArrayWrapper with shape (32,) of u1}; the array's bytes come next, then s.
WRAPPED = (b"\x80\x04}" + s("a") + s("joblib.numpy_pickle") + s("NumpyArrayWrapper") + b"\x93)\x81}(" + s("shape") + b"K\x20\x85"
           + s("dtype") + s("numpy") + s("dtype") + b"\x93" + s("u1") + b"\x85Rub")
assert len(SYS + ARG + b"\x85R......]") == 32

files = {
    # imports
    "dangerous-memo": b"\x80\x04" + s("posix") + b"\x94" + b"0" + s("system") + b"\x94" + b"0" + b"h\x00h\x01\x93" + s("true") + b"\x85R.",
    "dangerous-put-get": b"\x80\x04" + s("posix") + b"p7777\n0" + s("system") + b"r\xff\xff\xff\xff0" + b"g7777\nj\xff\xff\xff\xff\x93" + s("x") + b"\x85R.",
    "dangerous-dup": b"\x80\x04" + s("os") + b"2\x93.",
    "dangerous-escaped-string": b"S'\\x70osix'\nV\\u0073ystem\n\x93(S'true'\ntR.",
    "dangerous-utf8-unicode": b"\x80\x04X\x02\0\0\0os\x8d\x06\0\0\0\0\0\0\0system\x93.",
    "dangerous-inst": b"(X\x04\0\0\0trueiposix\nsystem\n.",
    "dangerous-obj": b"(" + SYS + ARG + b"o.",
    "dangerous-newobj": b"\x80\x02" + SYS + ARG + b"\x85\x81.",
    "dangerous-newobj-ex": b"\x80\x04" + SYS + ARG + b"\x85}\x92.",
    "dangerous-import-only": b"\x80\x02" + SYS + b".",
    "dangerous-dropped": b"\x80\x02" + SYS + b"0N.",
    "dangerous-build": b"\x80\x02cbuiltins\ngetattr\n)R}b.",
    "dangerous-dotted-name": b"\x80\x04" + s("torch.serialization") + s("os.system") + b"\x93.",
    "dangerous-computed-name": b"\x80\x04c_codecs\nencode\n" + s("os") + s("latin1") + b"\x86R" + s("system") + b"\x93.",
    "dangerous-after-stop": b"\x80\x02N." + EVIL,
    "dangerous-cut": EVIL[:-2],
    "dangerous-before-garbage": b"\x80\x02" + SYS + ARG + b"\x85R\xff\xff\xff",
    "dangerous-in-bytes": b"\x80\x03C" + bytes([len(EVIL)]) + EVIL + b".",
    "dangerous-in-string": b"\x80\x04B" + struct.pack("<I", len(EVIL) + 2) + b"\x80\x04" + EVIL[2:] + b"..",
    "dangerous-python2": b"ccommands\ngetoutput\n(S'true'\ntR.",
    "dangerous-runpy": b"\x80\x02crunpy\n_run_code\n.",
    "dangerous-nested-mark": b"\x80\x02(((1(" + SYS + b"1.",
    # archives
    "dangerous-zip": zipped([("archive/data.pkl", EVIL), ("archive/version", b"3\n")]),
    "dangerous-zip-other-name": zipped([("archive/data.pkl", b"\x80\x02}."), ("archive/notes.txt", EVIL)]),
    "dangerous-zip-in-zip": zipped([("inner.zip", zipped([("x/data.pkl", EVIL)]))]),
    "dangerous-zip-method-lie": bytes(swapped),
    "dangerous-zip-crc": bytes(crc),
    "dangerous-zip-no-end": zipped([("a/data.pkl", EVIL)])[:-30],
    "dangerous-zip-behind-bytes": b"junk" * 4 + zipped([("a/data.pkl", EVIL)]),
    "dangerous-gzip": gzip.compress(EVIL, mtime=0),
    "dangerous-zlib": zlib.compress(EVIL + b" " * 600),
    "dangerous-tar": tarred([("readme", b"hello"), ("pickle", EVIL)]),
    "dangerous-npy": npy_objects(EVIL),
    "dangerous-npz": zipped([("a.npy", npy_objects(EVIL))]),
    # joblib skips the bytes of an array, pickle.load does not
    "dangerous-joblib-array": WRAPPED + SYS + ARG + b"\x85R......]" + b"s.",
    "dangerous-joblib-objects": WRAPPED.replace(b"u1", b"O8") + EVIL + b"s.",
    # neither
    "unknown-import": b"\x80\x02csklearn.svm\nSVC\n)\x81}b.",
    "unknown-ext": b"\x80\x02\x82\x01.",
    "unknown-indirect": b"\x80\x02ccollections\nOrderedDict\n)R)R.",
    "unknown-class-state": b"\x80\x02ccollections\nOrderedDict\n}b.",
    "unknown-persid": b"\x80\x02X\x01\0\0\0kQ.",
    "unknown-cut": b"\x80\x04\x95\x00\x01\0\0\0\0\0\0]\x94(K\x01K",
    "unknown-trailing": b"\x80\x02N.\x00\x01\x02\x03",
    "unknown-protocol": b"\x80\x06N.",
    "unknown-underflow": b"\x80\x02R.",
    "unknown-missing-memo": b"\x80\x02h\x05.",
    "unknown-7z": b"7z\xbc\xaf\x27\x1c\0\4" + bytes(24),
    # fine
    "safe-ordered-dict": b"\x80\x02ccollections\nOrderedDict\n)RX\x01\0\0\0aK\x01s.",
    "safe-protocol5": b"\x80\x05\x95\x12\0\0\0\0\0\0\0\x96\x03\0\0\0\0\0\0\0abc\x94\x8f(K\x01\x90\x86.",
    "safe-protocol0": b"(dp0\nS'a'\nI01\nsS'b'\n(lp1\nL12L\naF1.5\nas.",
    "safe-set-of-ints": b"\x80\x02c__builtin__\nset\n]K\x01a\x85R.",
}
for name, data in files.items():
    open(f"{here}/{name}", "wb").write(data)
