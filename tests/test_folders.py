"""Locks, manifests that protect themselves, and folders that take their place at once."""

import errno
import json
import logging
import os
import signal
import subprocess
import sys
import time

import filelock
import numpy as np
import pytest

from nwm_jax import folders
from nwm_jax.training import manifests

FIELDS = {"extra": dict, "metrics": dict, "files": dict}
CONTENT = {
    "extra": {"seconds": 1e-05, "name": "é"},
    "metrics": {"mse": 0.25, "none": None},
    "files": {"model/d/0": [1234, 4023233417], "optimizer/d/0": [10, 0]},
}


def test_a_manifest_comes_back(tmp_path):
    folders.write_manifest(tmp_path, CONTENT)
    assert folders.read_manifest(tmp_path, FIELDS) == CONTENT
    assert json.loads((tmp_path / "manifest.json").read_text()).keys() > CONTENT.keys()


def test_a_manifest_of_an_older_version_is_read(tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps(CONTENT, indent=2) + "\n")
    assert folders.read_manifest(tmp_path, FIELDS) == CONTENT


def test_every_flip_of_a_single_bit_is_noticed(tmp_path):
    folders.write_manifest(tmp_path, CONTENT)
    path = tmp_path / "manifest.json"
    whole = path.read_bytes()
    assert 8 * len(whole) > 2_000
    for bit in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(folders.DamagedError):
            folders.read_manifest(tmp_path, FIELDS)
            raise AssertionError(f"bit {bit}: {bytes(damaged)}")


def test_a_flip_in_one_copy_leaves_the_other(tmp_path):
    folders.write_manifest(tmp_path, CONTENT, manifests.NAMES)
    path = tmp_path / manifests.NAMES[0]
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for bit in rng.choice(8 * len(whole), 200, replace=False):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        assert folders.read_manifest(tmp_path, FIELDS, manifests.NAMES) == CONTENT


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[1]",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"extra": ' * 5_000,
        b'{"extra": ' + b"9" * 5_000 + b"}",
        b'{"extra": {}, "metrics": {}}',
        b'{"extra": [], "metrics": {}, "files": {}}',
        b'{"extra": {}, "metrics": {}, "files": {}, "more": 1}',
    ],
)
def test_what_is_no_manifest_is_damage(content, tmp_path):
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(folders.DamagedError) as error:
        folders.read_manifest(tmp_path, FIELDS)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize("entry", [None, 3, [3], [3, "x"], {"a": 1}, [3, 0], [4, 0]])
def test_a_file_that_is_not_as_listed(entry, tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    listed = folders.survey(tmp_path)
    folders.check(tmp_path, listed)
    with pytest.raises(folders.DamagedError, match=r"^a "):
        folders.check(tmp_path, {"a": entry})
    with pytest.raises(folders.DamagedError, match=r"^b is missing"):
        folders.check(tmp_path, {"b": listed["a"]})


def test_a_lock_that_is_held_is_busy_until_it_ends(tmp_path):
    path = tmp_path / "lock"
    with folders.locked(path, wait=False) as held:
        assert held
        with pytest.raises(folders.BusyError), folders.locked(path, wait=False):
            pass
    with folders.locked(path, wait=False) as held:
        assert held


def test_a_lock_ends_with_a_killed_process(tmp_path):
    program = f"""
import pathlib, time
from nwm_jax import folders
with folders.locked({str(tmp_path / "lock")!r}, wait=False):
    pathlib.Path({str(tmp_path / "ready")!r}).touch()
    time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", program])
    while not (tmp_path / "ready").exists():
        assert process.poll() is None
        time.sleep(0.02)
    with (
        pytest.raises(folders.BusyError),
        folders.locked(tmp_path / "lock", wait=False),
    ):
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    with folders.locked(tmp_path / "lock", wait=True) as held:
        assert held


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
@pytest.mark.parametrize("wait", [True, False])
def test_without_locks_the_work_goes_on_with_a_line(
    code, wait, tmp_path, monkeypatch, caplog
):
    def refuse(lock):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    with (
        caplog.at_level(logging.WARNING),
        folders.locked(tmp_path / "lock", wait=wait) as held,
    ):
        assert not held
    (line,) = (record.getMessage() for record in caplog.records)
    assert "without locks" in line and str(tmp_path) in line


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_lock_that_is_a_link_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("text")
    (tmp_path / "lock").symlink_to("precious")
    with pytest.raises(OSError) as error, folders.locked(tmp_path / "lock", wait=False):
        pass
    assert error.value.errno == errno.ELOOP
    assert (tmp_path / "precious").read_text() == "text"


def test_a_folder_takes_the_place_of_another(tmp_path):
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    folders.put(tmp_path / "new", tmp_path / "old", tmp_path / "aside")
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert [path.name for path in (tmp_path / "old").iterdir()] == ["new"]
