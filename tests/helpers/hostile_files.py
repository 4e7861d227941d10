"""A folder of files that are damaged, foreign, enormous or made to do harm."""

import gzip
import io
import json
import os
import pathlib
import pickle
import socket
import struct
import tarfile
import zipfile
import zlib

import numpy as np

from tests.helpers import malicious_files

#: JSON that is none, or too much of it.
JSON = {
    "empty": b"",
    "torn": b'{"config": {"na',
    "deep": b"[" * 200_000,
    "deep_whole": b'{"a":' * 900 + b"1" + b"}" * 900,
    "digits": b'{"config": {"seed": ' + b"9" * 5_000 + b"}}",
    "number": b"9" * 400,
    "utf16": '{"config": {}}'.encode("utf-16"),
    "latin": b'{"config": "\xe9\xff"}',
    "null": b"null",
    "list": b"[1, 2]",
    "text": b'"config"',
    "emptied": b'{"config": {}}',
    "control": b'{"config": {"task": "\\u001b[31m\\n\\u0000\\ud800"}}',
    "nan": b'{"config": {"task": NaN, "seed": Infinity}}',
    "wrong": b'{"config": {"task": 5, "model": [], "data": 3}, "versions": 1}',
    "binary": bytes(range(256)) * 40,
}

#: Flag files.
FLAGS = {
    "digits": f"--seed={'9' * 5_000}\n",
    "arabic": "--num_train=٤\n",
    "inf": "# a remark\n\n--dt=inf\n",
    "apart": "--dt\nnan\n",
    "unknown": "--num_trian=4\n",
    "itself": "--flagfile={f}/itself.flags\n",
    "pipe": "--flagfile={f}/pipe.npy\n",
    "endless": "--flagfile={f}/device.npy\n",
    "ends": "--flagfile\n",
    "overrides": "--config=pendulum_nwm2d:smoke\n--config.seed=-1\n--workdir=new\n",
}

# The header of a .npy file, after which ten numbers follow.
_HEADER = "{{'descr': {}, 'fortran_order': False, 'shape': {}}}"
HEADERS = {
    "negative": "{'descr': '<f8', 'fortran_order': False, 'shape': (-10, -1)}",
    "boolean": "{'descr': '<f8', 'fortran_order': False, 'shape': (True, 10)}",
    "enormous": "{'descr': '<f8', 'fortran_order': False, 'shape': (10**15,)}",
    "written_out": _HEADER.format("'<f8'", (10**30,)),
    "zero_huge": _HEADER.format("'<f8'", (0, 10**30)),
    "no_size": "{'descr': 'V0', 'fortran_order': False, 'shape': (10, 10)}",
    "objects": "{'descr': '|O', 'fortran_order': False, 'shape': (10,)}",
    "many_axes": _HEADER.format("'<f8'", (1,) * 90),
    "strange": "{'descr': 5, 'fortran_order': False, 'shape': (10,)}",
    "no_shape": "{'descr': '<f8', 'fortran_order': False}",
    "call": "__import__('os').system('touch executed')",
    "nested": "(" * 5_000 + ")" * 5_000,
    "null": "{'descr': '<f8', \0 'fortran_order': False, 'shape': (10,)}",
    "float_axis": "{'descr': '<f8', 'fortran_order': False, 'shape': (10.0,)}",
    "record": "{'descr': [('a', '<f4'), ('b', '<f4')], 'fortran_order': False, "
    "'shape': (10,)}",
}


class _Executed:
    def __reduce__(self):
        return os.system, ("touch executed",)


def npy(header: str, data: bytes = bytes(80)) -> bytes:
    text = header.encode("latin1") + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def make(folder: pathlib.Path) -> None:
    """Fills a folder; `Table` in test_hostile.py says what is done with it."""
    for name, content in JSON.items():
        (folder / f"{name}.json").write_bytes(content)
    for name, header in HEADERS.items():
        (folder / f"{name}.npy").write_bytes(npy(header))
        with zipfile.ZipFile(folder / f"{name}.npz", "w") as archive:
            archive.writestr("x.npy", npy(header))
    for name, text in FLAGS.items():
        (folder / f"{name}.flags").write_text(text.replace("{f}", str(folder)))
    np.save(folder / "movie.npy", np.random.default_rng(0).normal(size=(40, 4, 4)))
    whole = io.BytesIO()
    np.save(whole, np.zeros((4, 8, 16, 16, 3), np.uint8))
    (folder / "cut.npy").write_bytes(whole.getvalue()[:500])
    (folder / "long.npy").write_bytes(whole.getvalue() + b"more")
    (folder / "head.npy").write_bytes(b"\x93NUMPY\x01\x00\xff\xff{")
    (folder / "version.npy").write_bytes(b"\x93NUMPY\x09\x09" + bytes(200))
    for suffix in (
        "npy",
        "npz",
        "mat",
        "png",
        "pt",
        "safetensors",
        "gz",
        "pkl",
        "tar.gz",
    ):
        (folder / f"empty.{suffix}").write_bytes(b"")
        (folder / f"noise.{suffix}").write_bytes(np.random.default_rng(0).bytes(3_000))
        (folder / f"pickle.{suffix}").write_bytes(pickle.dumps(_Executed()))
        (folder / f"folder.{suffix}").mkdir()
        os.mkfifo(folder / f"pipe.{suffix}")
        (folder / f"device.{suffix}").symlink_to("/dev/zero")
        (folder / f"loop.{suffix}").symlink_to(f"loop.{suffix}")
    _archives(folder)
    _pictures(folder)
    _records(folder)
    _workdirs(folder)
    short = folder / "socket"
    with socket.socket(socket.AF_UNIX) as bound:
        here = pathlib.Path.cwd()
        os.chdir(folder)
        bound.bind(short.name)
        os.chdir(here)


def _archives(folder: pathlib.Path) -> None:
    malicious_files.bomb(folder / "bomb.npz")
    malicious_files.liar(folder / "liar.npz")
    whole = io.BytesIO()
    np.savez_compressed(whole, x=np.zeros((20, 3, 3)))
    content = bytearray(whole.getvalue())
    (folder / "cut.npz").write_bytes(content[:-40])
    flipped = content.copy()
    flipped[60] ^= 0xFF
    (folder / "flipped.npz").write_bytes(flipped)
    for at in (content.find(b"PK\x03\x04") + 6, content.find(b"PK\x01\x02") + 8):
        content[at] |= 1  # says that it is encrypted
    (folder / "encrypted.npz").write_bytes(content)
    (folder / "bomb.gz").write_bytes(gzip.compress(bytes(200_000_000), 1))
    idx = b"\0\0\x08\x03" + struct.pack(">III", 2**31, 2**31, 2**31)
    (folder / "enormous.gz").write_bytes(gzip.compress(idx + bytes(100)))
    (folder / "idx-cut").write_bytes(b"\0\0\x08\x03" + struct.pack(">III", 10, 8, 8))
    with tarfile.open(folder / "climbs.tar.gz", "w:gz") as archive:
        entry = tarfile.TarInfo("../../data_batch_1.bin")
        entry.size = 10
        archive.addfile(entry, io.BytesIO(bytes(10)))
    with tarfile.open(folder / "pickled.tar.gz", "w:gz") as archive:
        for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
            content = pickle.dumps(_Executed())
            entry = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


def _pictures(folder: pathlib.Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    def png(width: int, height: int, data: bytes) -> bytes:
        header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
        return (
            b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", header)
            + chunk(b"IDAT", data)
            + chunk(b"IEND", b"")
        )

    (folder / "bomb.png").write_bytes(
        png(200_000, 200_000, zlib.compress(bytes(50_000_000), 1))
    )
    (folder / "warns.png").write_bytes(png(11_000, 11_000, zlib.compress(bytes(9))))
    (folder / "cut.png").write_bytes(png(64, 64, zlib.compress(bytes(30))))
    (folder / "torn.png").write_bytes(png(64, 64, b"")[:40])


def _records(folder: pathlib.Path) -> None:
    features = {
        "good": "image, (4, 8, 8, 3), uint8\n",
        "huge": "image, (9999999999, 9999999999, 9999, 3), uint8\n",
        "digits": f"image, ({'9' * 6_000}, 8, 8, 3), uint8\n",
        "arabic": "image, (٤, ٨, ٨, ٣), uint8\n",
        "negative": "image, (-4, 8, 8, 3), uint8\n",
        "binary": "\x00\x01\x02",
    }
    for name, text in features.items():
        place = folder / f"records_{name}"
        place.mkdir()
        (place / "features.txt").write_text(text)
        (place / "train.tfrecord").write_bytes(struct.pack("<Q", 2**62) + bytes(60))
    for name in ("pipe", "latin", "manifest", "records_pipe"):
        place = folder / f"records_{name}"
        place.mkdir()
        if name == "pipe":
            os.mkfifo(place / "features.txt")
        elif name == "latin":
            (place / "features.txt").write_bytes(b"image\xff, (4, 8, 8, 3), uint8")
        else:
            (place / "features.txt").write_text(features["good"])
    os.mkfifo(folder / "records_records_pipe" / "train.tfrecord")
    (folder / "records_manifest" / "train.tfrecord").write_bytes(b"")
    (folder / "records_manifest" / "generate.json").write_bytes(JSON["deep"])


def _workdirs(folder: pathlib.Path) -> None:
    """Workdirs with hostile files in them, and a sound one among them."""
    from nwm_jax.config import presets
    from tests.helpers import made_workdirs

    runs = folder / "runs"
    made_workdirs.run(runs, "spring_nwm2d", 8.0)
    config = {"config": presets.load("pendulum_nwm2d:smoke").to_dict()}
    good = json.dumps(config).encode()
    score = (runs / "spring_nwm2d_laptop_0" / "eval.json").read_bytes()
    for name, content in JSON.items():
        for file in ("config", "eval", "metrics"):
            place = runs / f"{file}_{name}"
            place.mkdir()
            parts = {"config.json": good, "eval.json": score}
            parts["metrics.jsonl"] = b'{"step": 1, "kind": "train", "loss": 1.0}\n'
            parts[f"{file}.json" + "l" * (file == "metrics")] = content
            for part, data in parts.items():
                (place / part).write_bytes(data)
    odd = {
        "step_text": b'{"step": "x", "kind": "train", "loss": 1}\n' * 2,
        "no_kind": b'{"step": 1, "loss": 1}\n{"step": 2, "loss": 2}\n',
        "no_step": b'{"kind": "train", "loss": 1}\n' * 2,
        "loss_text": b'{"step": 1, "kind": "train", "loss": "x"}\n' * 2,
        "loss_list": b'{"step": 1, "kind": "train", "loss": [1]}\n' * 2,
        "huge_step": b'{"step": 1e400, "kind": "train", "loss": 1}\n' * 2,
        "deep_line": b"[" * 50_000
        + b"\n"
        + b'{"step": 1, "kind": "train", "loss": 1}\n',
    }
    for name, content in odd.items():
        place = runs / f"metrics_{name}"
        place.mkdir()
        (place / "config.json").write_bytes(good)
        (place / "eval.json").write_bytes(score)
        (place / "metrics.jsonl").write_bytes(content)
    for kind in ("pipe", "device", "loop", "folder"):
        place = runs / f"config_{kind}"
        place.mkdir()
        path = place / "config.json"
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()
        else:
            path.symlink_to({"device": "/dev/zero", "loop": "config.json"}[kind])
    steps = runs / "steps"
    (steps / "checkpoints" / "٤٢").mkdir(parents=True)
    (steps / "checkpoints" / "²").mkdir()
    (steps / "checkpoints" / ("9" * 200)).mkdir()
    (steps / "config.json").write_bytes(good)
    link = folder / "linked"
    link.mkdir()
    (link / "precious").write_text("text")
    (link / ".lock").symlink_to("precious")
    pipe = folder / "locked_by_a_pipe"
    pipe.mkdir()
    os.mkfifo(pipe / ".lock")
