# SPDX-License-Identifier: Apache-2.0
"""`snug media` against Pillow and soundfile: the same pixels and samples for every form of file they write."""

import io
import json
import random
import subprocess
import zlib

import numpy as np
import pytest
import soundfile
from PIL import Image

from harness import SNUG, snug


def picture(seed, width, height, mode):
    r = np.random.default_rng(seed)
    base = np.add.outer(np.arange(height) * 3, np.arange(width) * 2)[..., None] + r.integers(0, 60, (height, width, 4))
    a = np.clip(base, 0, 255).astype(np.uint8)
    if mode == "L":
        return Image.fromarray(a[..., 0])
    if mode == "LA":
        return Image.fromarray(a[..., :2], "LA")
    if mode == "1":
        return Image.fromarray(a[..., 0]).convert("1")
    if mode in ("P", "P4"):
        return Image.fromarray(a[..., :3]).quantize(200 if mode == "P" else 9)
    if mode == "CMYK":
        return Image.fromarray(a, "CMYK")
    return Image.fromarray(a[..., : len(mode)], mode)


FORMS = [("png", m, o) for m in ("L", "LA", "1", "P", "P4", "RGB", "RGBA") for o in ({}, {"optimize": True})]
FORMS += [("jpeg", m, o) for m in ("L", "RGB", "CMYK")
          for o in ({"quality": 30}, {"quality": 95, "subsampling": 0}, {"progressive": True}, {"subsampling": 1, "optimize": True})]
FORMS += [("webp", m, o) for m in ("RGB", "RGBA") for o in ({"lossless": True}, {"quality": 40}, {"quality": 90, "method": 6})]


def decode(path, tmp_path, *more):
    snug("media", path, "--out", tmp_path / "out.npy", *more)
    return np.load(tmp_path / "out.npy")


def by_pillow(data):
    image = Image.open(io.BytesIO(data))
    if image.mode == "CMYK":
        return np.asarray(image.convert("RGB"))
    if image.mode == "P":
        return np.asarray(image.convert("RGBA" if "transparency" in image.info else "RGB"))
    a = np.asarray(image.convert("L") if image.mode == "1" else image)
    return a[..., None] if a.ndim == 2 else a


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_pictures_equal_pillow(kind, tmp_path):
    """JPEG may differ by rounding between releases of one library: never more than a step or two of 255."""
    for k, (_, mode, options) in enumerate(f for f in FORMS if f[0] == kind):
        for width, height in (((64, 48), (1, 3), (17, 33))[k % 3],):
            buffer = io.BytesIO()
            picture(k, width, height, mode).save(buffer, kind, **options)
            (tmp_path / "in").write_bytes(buffer.getvalue())
            got, want = decode(tmp_path / "in", tmp_path), by_pillow(buffer.getvalue())
            assert got.shape == want.shape, (kind, mode, options, got.shape, want.shape)
            off = np.abs(got.astype(int) - want.astype(int)).max()
            assert off <= (2 if kind == "jpeg" else 0), (kind, mode, options, width, height, off)


def test_sixteen_bits_lose_the_lower_eight(tmp_path):
    """Pillow cannot write RGB of 16 bits; the file is made by hand, interlaced too."""
    width, height = 5, 4
    values = np.random.default_rng(1).integers(0, 65536, (height, width, 3)).astype(">u2")
    rows = b"".join(b"\0" + values[y].tobytes() for y in range(height))

    def chunk(name, data):
        return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")

    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([16, 2, 0, 0, 0])
    (tmp_path / "in").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    assert (decode(tmp_path / "in", tmp_path) == values >> 8).all()


def test_transparent_colours_and_orientation(tmp_path):
    image = picture(3, 20, 10, "RGB")
    image.save(tmp_path / "in", "png", transparency=image.getpixel((2, 2)))
    got = decode(tmp_path / "in", tmp_path)
    assert got.shape == (10, 20, 4) and got[2, 2, 3] == 0 and got[0, 0, 3] == 255
    for orientation in (1, 3, 6, 8, 5):
        exif = Image.Exif()
        exif[0x0112] = orientation
        for kind in ("jpeg", "png", "webp"):
            image.save(tmp_path / "in", kind, exif=exif, **({} if kind == "png" else {"quality": 100}))
            assert json.loads(snug("media", tmp_path / "in", "--json").stdout)[0]["orientation"] == orientation
            from PIL import ImageOps
            want = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "in")))
            got = decode(tmp_path / "in", tmp_path, "--upright")
            assert got.shape == want.shape and np.abs(got.astype(int) - want.astype(int)).max() <= (2 if kind == "jpeg" else 0)


def test_animations_give_their_first_frame(tmp_path):
    frames = [picture(k, 40, 30, "RGBA") for k in range(3)]
    frames[0].save(tmp_path / "in", "webp", save_all=True, append_images=frames[1:], lossless=True, duration=50)
    want = np.asarray(Image.open(tmp_path / "in").convert("RGBA"))
    got = decode(tmp_path / "in", tmp_path)
    assert got.shape[:2] == (30, 40) and (got[..., :3][want[..., 3] > 0] == want[..., :3][want[..., 3] > 0]).all()


@pytest.mark.parametrize("form,subtype", [("WAV", "PCM_16"), ("WAV", "PCM_U8"), ("WAV", "PCM_24"), ("WAV", "PCM_32"),
                                          ("WAV", "FLOAT"), ("WAV", "DOUBLE"), ("WAV", "ULAW"), ("WAV", "IMA_ADPCM"), ("FLAC", "PCM_16"),
                                          ("FLAC", "PCM_24"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("AIFF", "PCM_16"), ("MP3", "MPEG_LAYER_III")])
def test_sound_equals_soundfile(form, subtype, tmp_path):
    for channels, rate, frames in ((1, 16000, 5000), (2, 48000, 12345)):
        t = np.arange(frames)[:, None] / rate
        wave = np.sin(2 * np.pi * (200 + 300 * np.arange(1, channels + 1)) * t).astype(np.float32) * 0.8
        soundfile.write(tmp_path / "in", wave, rate, format=form, subtype=subtype)
        want, want_rate = soundfile.read(tmp_path / "in", dtype="float32", always_2d=True)
        about = json.loads(snug("media", tmp_path / "in", "--json").stdout)[0]
        assert (about["sample_rate"], about["channels"]) == (want_rate, channels)
        got = decode(tmp_path / "in", tmp_path)
        if subtype in ("VORBIS", "OPUS", "MPEG_LAYER_III"):  # another release of the codec: the same sound, not the same bits
            n = min(len(got), len(want))
            assert abs(len(got) - len(want)) <= 1200 and np.abs(got[:n] - want[:n]).max() < 0.02
        else:
            assert got.shape == want.shape and (got == want).all()


def hostile(name):
    """Files that ask for much with little."""
    if name == "png-bomb":
        def chunk(tag, data):
            return len(data).to_bytes(4, "big") + tag + data + zlib.crc32(tag + data).to_bytes(4, "big")
        head = (60000).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
        return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 10_000_000, 9)) + chunk(b"IEND", b"")
    if name == "jpeg-huge":
        buffer = io.BytesIO()
        picture(1, 16, 16, "RGB").save(buffer, "jpeg")
        data = bytearray(buffer.getvalue())
        at = data.index(b"\xff\xc0") + 5
        data[at:at + 4] = b"\xff\xff\xff\xff"
        return bytes(data)
    if name == "wav-huge":
        return b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\1\0\xff\xff\x80\xbb\0\0\0\0\0\0\2\0\x10\0data\xff\xff\xff\xff" + b"\0" * 100
    return {"png-head": b"\x89PNG\r\n\x1a\n", "jpeg-head": b"\xff\xd8\xff\xe0", "webp-head": b"RIFF\x10\0\0\0WEBPVP8 ",
            "ogg-head": b"OggS" + b"\0" * 60, "text": b"hello", "empty": b""}[name]


CORRUPT, LIMIT, UNSUPPORTED = 7, 6, 9  # exit codes, as docs/cli.md has them


@pytest.mark.parametrize("name,code,words", [
    ("png-bomb", LIMIT, "60000 x 60000 pixels are more than the limit"), ("jpeg-huge", CORRUPT, "65500"), ("wav-huge", CORRUPT, "channels"),
    ("png-head", CORRUPT, "ends too early"), ("jpeg-head", CORRUPT, "end of JPEG"), ("webp-head", CORRUPT, "ends too early"),
    ("ogg-head", CORRUPT, "sound:"), ("text", UNSUPPORTED, "no picture that is read"), ("empty", UNSUPPORTED, "no picture that is read")])
def test_hostile_files_are_refused(name, code, words, tmp_path):
    (tmp_path / "in").write_bytes(hostile(name))
    p = snug("media", tmp_path / "in", check=False)
    assert p.returncode == code and words in p.stderr, p
    assert p.stdout == "" and p.stderr.startswith("snug: ") and len(p.stderr.splitlines()) == 1, p


def test_random_damage_never_crashes(tmp_path):
    """Every damaged file ends with a sentence or a picture; the child's crash would be told as one."""
    r = random.Random(7)
    seeds = []
    for k, (kind, mode, options) in enumerate(FORMS[::3]):
        buffer = io.BytesIO()
        picture(k, 33, 21, mode).save(buffer, kind, **options)
        seeds.append(buffer.getvalue())
    for k in range(40):
        data = bytearray(r.choice(seeds))
        for _ in range(r.randrange(1, 8)):
            data[r.randrange(12, len(data))] = r.randrange(256)
        (tmp_path / "in").write_bytes(bytes(data))
        p = subprocess.run([SNUG, "media", str(tmp_path / "in")], capture_output=True, text=True)
        assert "crashed" not in p.stderr and p.returncode >= 0, (k, p)
