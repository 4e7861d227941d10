"""The cache of states: reused, checked, repaired, shared between processes."""

import errno
import json
import logging
import os
import pathlib
import signal
import subprocess
import sys
import time

import filelock
import numpy as np
import pytest

from nwm_jax import folders
from nwm_jax.data import cache, growing, suite, trajectories
from nwm_jax.errors import UserError

SETTINGS = {"num_train": 20, "num_test": 5, "num_frames": 16, "dt": 0.05, "seed": 0}
SPRING = suite.get("mass_spring_colors")


class Counter:
    """A progress callable that remembers its calls."""

    def __init__(self):
        self.calls = []

    def __call__(self, done, total):
        self.calls.append((done, total))


def _open(folder, spec=SPRING, **changes):
    progress = Counter()
    arrays = cache.open_states(
        spec, cache_dir=folder, progress=progress, **{**SETTINGS, **changes}
    )
    return arrays, progress.calls


def _folder(root):
    (folder,) = (p for p in root.iterdir() if not p.name.startswith("."))
    return folder


def _same(first, second):
    for split in ("train", "test"):
        assert first[split].keys() == second[split].keys()
        for key in first[split]:
            np.testing.assert_array_equal(first[split][key], second[split][key])


def test_made_once_then_mapped(tmp_path):
    arrays, calls = _open(tmp_path)
    assert calls == [(20, 25), (25, 25)]
    states = arrays["train"]["states"]
    assert isinstance(states, np.memmap) and states.dtype == np.float32
    assert states.shape == (20, 16, 2)
    assert arrays["test"]["states"].shape == (5, 16, 2)
    assert arrays["train"]["offset"].shape == (20, 2)
    assert arrays["train"]["color_index"].dtype == np.int32
    again, calls = _open(tmp_path)
    assert calls == []
    _same(arrays, again)
    manifest = json.loads((_folder(tmp_path) / "manifest.json").read_text())
    assert manifest["settings"]["spec"]["name"] == "mass_spring_colors"


def test_holds_what_is_simulated(tmp_path):
    arrays, _ = _open(tmp_path)
    for split, size in (("train", 20), ("test", 5)):
        direct = trajectories.simulate_chunk(
            SPRING, split, 0, num_frames=16, dt=0.05, seed=0
        )
        for key, value in direct.items():
            stored = arrays[split][key]
            np.testing.assert_array_equal(stored, value[:size].astype(stored.dtype))


@pytest.mark.parametrize("name", ["mass_spring_colors", "pendulum_colors"])
def test_trajectories_do_not_depend_on_how_many_there_are(tmp_path, name):
    few, _ = _open(tmp_path, suite.get(name), num_train=10)
    many, _ = _open(tmp_path, suite.get(name), num_train=1024 + 20)
    for key in few["train"]:
        np.testing.assert_array_equal(few["train"][key], many["train"][key][:10])
        np.testing.assert_array_equal(few["test"][key], many["test"][key])
    assert len(np.unique(many["train"]["states"][:, 0], axis=0)) == 1024 + 20


@pytest.mark.parametrize(
    "change",
    [{"num_train": 21}, {"num_test": 6}, {"num_frames": 17}, {"dt": 0.1}, {"seed": 1}],
)
def test_other_settings_never_collide(tmp_path, change):
    first, _ = _open(tmp_path)
    _, calls = _open(tmp_path, **change)
    assert calls
    again, calls = _open(tmp_path)
    assert not calls
    _same(first, again)


def _truncate(folder):
    os.truncate(folder / "states-train.npy", 300)


def _flip(folder):
    with open(folder / "states-train.npy", "r+b") as file:
        file.seek(1000)
        byte = file.read(1)
        file.seek(1000)
        file.write(bytes([byte[0] ^ 1]))


def _remove_file(folder):
    (folder / "offset-test.npy").unlink()


def _empty_manifest(folder):
    (folder / "manifest.json").write_text("")


def _strange_manifest(folder):
    (folder / "manifest.json").write_text("[1, 2]")


def _no_manifest(folder):
    (folder / "manifest.json").unlink()


def _no_entry(folder):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["files"]["states-test.npy"]
    path.write_text(json.dumps(manifest))


def _file_instead_of_folder(folder):
    folder.rename(folder.with_name(".elsewhere"))
    folder.write_text("not a folder")


@pytest.mark.parametrize(
    "damage",
    [
        _truncate,
        _flip,
        _remove_file,
        _empty_manifest,
        _strange_manifest,
        _no_manifest,
        _no_entry,
        _file_instead_of_folder,
    ],
)
def test_damage_is_found_and_mended(tmp_path, damage, caplog):
    first, _ = _open(tmp_path)
    first = {s: {k: np.array(v) for k, v in held.items()} for s, held in first.items()}
    damage(_folder(tmp_path))
    with caplog.at_level(logging.WARNING):
        mended, calls = _open(tmp_path)
    assert calls
    (line,) = (r.getMessage() for r in caplog.records)
    assert "is damaged" in line and "making it again" in line and "\n" not in line
    _same(first, mended)
    assert not _open(tmp_path)[1]
    assert not list(tmp_path.glob(".*tmp*"))


@pytest.fixture
def small_chunks(monkeypatch):
    """Lets 8 trajectories make a chunk: 3 of them for training, 1 for testing."""
    monkeypatch.setattr(trajectories, "chunk_size", lambda num_frames: 8)


def _interrupt(folder, after, error=KeyboardInterrupt):
    """Stops when so many trajectories are done; returns the unfinished folder."""

    def progress(done, total):
        if done >= after:
            raise error

    with pytest.raises(error):
        cache.open_states(SPRING, cache_dir=folder, progress=progress, **SETTINGS)
    (unfinished,) = folder.glob(".*.unfinished")
    return unfinished


def _bytes(folder):
    """All that a finished cache holds."""
    assert not list(folder.glob(".*.unfinished")) and not list(folder.glob(".*tmp*"))
    return {path.name: path.read_bytes() for path in _folder(folder).iterdir()}


@pytest.mark.parametrize("after", [8, 16, 20, 25])
def test_chunks_that_are_done_are_kept(tmp_path, small_chunks, after):
    whole, _ = _open(tmp_path / "whole")
    _interrupt(tmp_path / "again", after)
    # The next one is stopped too, after one more chunk.
    if after < 20:
        _interrupt(tmp_path / "again", after + 1)
    kept = {8: 16, 16: 20}.get(after, after)
    arrays, calls = _open(tmp_path / "again")
    every = [(8, 25), (16, 25), (20, 25), (25, 25)]
    assert calls == [call for call in every if call[0] >= kept]
    _same(whole, arrays)
    assert _bytes(tmp_path / "again") == _bytes(tmp_path / "whole")


KILLED = f"""
import os, sys
from nwm_jax.data import cache, growing, suite, trajectories
trajectories.chunk_size = lambda num_frames: 8
writes, write = [], growing._File.write
def torn(self, data):
    writes.append(0)
    if len(writes) == int(sys.argv[2]):
        self._file.write(memoryview(data)[: len(data) // 2])
        self._file.flush()
        os.kill(os.getpid(), 9)
    write(self, data)
growing._File.write = torn
cache.open_states(
    suite.get("mass_spring_colors"), cache_dir=sys.argv[1], **{SETTINGS!r})
"""


def test_a_killed_process_has_kept_its_chunks(tmp_path, small_chunks):
    whole, _ = _open(tmp_path / "whole")
    # A header and a value for each array of the first chunk, then the values alone.
    writes = 3 * len(whole["train"]) + 2
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "again"), str(writes)],
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    arrays, calls = _open(tmp_path / "again")
    assert calls == [(16, 25), (20, 25), (25, 25)]
    _same(whole, arrays)
    assert _bytes(tmp_path / "again") == _bytes(tmp_path / "whole")


def _garble_journal(folder):
    path = folder / "journal.json"
    path.write_bytes(path.read_bytes().replace(b'"chunks": 2', b'"chunks": 3'))


def _journal_of_others(folder):
    outside = folder.parent / ".outside"
    outside.write_bytes(bytes(9))
    path = folder / "journal.json"
    journal = json.loads(path.read_text())
    del journal["crc32"]
    journal["files"]["../.outside"] = [4, 0]
    path.write_text(json.dumps(journal))


def _no_journal(folder):
    (folder / "journal.json").unlink()


@pytest.mark.parametrize(
    "damage",
    [_truncate, _flip, _garble_journal, _journal_of_others, _no_journal],
)
def test_damaged_chunks_are_not_kept(tmp_path, small_chunks, damage, caplog):
    whole, _ = _open(tmp_path / "whole")
    damage(_interrupt(tmp_path / "again", 16))
    with caplog.at_level(logging.WARNING):
        arrays, calls = _open(tmp_path / "again")
    assert calls[0] == (8, 25)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == (damage is not _no_journal)
    assert all("starting anew" in line and "\n" not in line for line in lines)
    _same(whole, arrays)
    assert _bytes(tmp_path / "again") == _bytes(tmp_path / "whole")
    outside = tmp_path / "again" / ".outside"
    assert not outside.exists() or outside.read_bytes() == bytes(9)


def test_what_earlier_versions_left_is_swept(tmp_path):
    _open(tmp_path)
    finished = _folder(tmp_path)
    left_over = tmp_path / f".{finished.name}.tmp-abc"
    finished.rename(left_over)
    (left_over / "manifest.json").unlink()
    assert _open(tmp_path)[1]
    assert not left_over.exists()


def test_without_locks_the_first_rename_wins(tmp_path, monkeypatch):
    def refuse(lock):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    inner = []

    def another_process_is_faster(done, total):
        if done == total and not inner:
            inner.append(None)
            inner[0] = _open(tmp_path)[0]

    arrays = cache.open_states(
        SPRING, cache_dir=tmp_path, progress=another_process_is_faster, **SETTINGS
    )
    _same(arrays, inner[0])


def test_processes_that_start_together_make_it_once(tmp_path):
    program = f"""
import pathlib, time
from nwm_jax import folders
from nwm_jax.data import cache, suite
pathlib.Path({str(tmp_path)!r}, "ready").open("a").write("x")
while not pathlib.Path({str(tmp_path)!r}, "go").exists():
    time.sleep(0.01)
made = []
arrays = cache.open_states(
    suite.get("mass_spring_colors"), cache_dir={str(tmp_path / "cache")!r},
    progress=lambda done, total: made.append(done), **{SETTINGS!r})
print(bool(made), float(arrays["train"]["states"].sum()))
"""
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    ready = tmp_path / "ready"
    while not ready.exists() or ready.stat().st_size < 3:
        assert all(run.poll() is None for run in runs)
        time.sleep(0.02)
    (tmp_path / "go").touch()
    answers = [run.communicate()[0].split() for run in runs]
    assert sorted(made for made, _ in answers) == ["False", "False", "True"]
    assert len({total for _, total in answers}) == 1


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"--config.data.cache_dir") as caught:
        _open(tmp_path / "file" / "cache")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("what", ["Read-only file system", "No space left on device"])
def test_a_disk_that_cannot_be_written(tmp_path, monkeypatch, what):
    def fail(*args, **kwargs):
        raise OSError(30, what)

    monkeypatch.setattr(growing._File, "__init__", fail)
    with pytest.raises(UserError, match=what):
        _open(tmp_path)


def test_a_finished_cache_needs_no_writing(tmp_path, monkeypatch):
    first, _ = _open(tmp_path)

    def fail(*args, **kwargs):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(pathlib.Path, "mkdir", fail)
    monkeypatch.setattr(folders, "locked", fail)
    second, calls = _open(tmp_path)
    assert not calls
    _same(first, second)


def test_where_the_cache_is(monkeypatch):
    monkeypatch.delenv("NWM_JAX_CACHE", raising=False)
    assert cache.cache_root() == pathlib.Path.home() / ".cache" / "nwm_jax"
    monkeypatch.setenv("NWM_JAX_CACHE", "/somewhere")
    assert cache.cache_root() == pathlib.Path("/somewhere")
    assert cache.cache_root("~/here") == pathlib.Path.home() / "here"
