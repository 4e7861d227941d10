"""Files written whole or not at all, and archives that claim too much."""

import json
import os
import tracemalloc
import types

import numpy as np
import pytest

from nwm_jax import files
from nwm_jax.errors import UserError
from nwm_jax.interop import torch
from nwm_jax.runs import opened
from tests.helpers import malicious_files


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = files.write_json(tmp_path / "a" / "b.json", [1])
    with pytest.raises(TypeError):
        files.write_json(path, object())
    with pytest.raises(TypeError):
        files.write_atomic(path, 3)
    assert [p.name for p in path.parent.iterdir()] == ["b.json"]
    assert json.loads(path.read_text()) == [1]


def test_arrays_come_back(tmp_path):
    arrays = {
        "a": np.arange(6.0).reshape(2, 3).T,
        "b": np.float32(2),
        "none": np.zeros((0, 3), np.int8),
    }
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", **arrays)
        result = files.read_npz(tmp_path / "a.npz", most=1000)
        assert result.keys() == arrays.keys()
        for name, array in arrays.items():
            np.testing.assert_array_equal(result[name], array)
            assert result[name].dtype == array.dtype
    with pytest.raises(UserError, match=r"a.npz unpacks to .* at most 1e-08 GB"):
        files.read_npz(tmp_path / "a.npz", most=10)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (malicious_files.bomb, "unpacks to 8e.06 GB, and at most 2 GB are read"),
        (malicious_files.liar, "cannot be read as a .npz .*not as long as its shape"),
    ],
)
def test_an_archive_that_claims_too_much_is_not_unpacked(make, text, tmp_path):
    path = make(tmp_path / "weights.npz")
    assert path.stat().st_size < 10_000
    tracemalloc.start()
    with pytest.raises(UserError, match=text):
        torch.load_state_dict(path, "cornn", dt=0.1, gamma=1.0, epsilon=1.0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_names_that_climb_out_of_an_archive_are_names_only(tmp_path):
    np.savez(tmp_path / "a.npz", **{"../../climbed": np.ones(2)})
    before = sorted(tmp_path.parent.rglob("*"))
    assert files.read_npz(tmp_path / "a.npz", 1000).keys() == {"../../climbed"}
    assert sorted(tmp_path.parent.rglob("*")) == before


def test_lists_of_numbers_stand_in_one_line(tmp_path):
    value = {
        "a": [1, 2.5, None],
        "b": ["x, [\n1]", 2],
        "c": [[1, 2], []],
        "d": "[\n1\n]",
    }
    path = files.write_json(tmp_path / "x.json", value)
    assert files.read_json(path) == value
    assert '"a": [1, 2.5, null]' in path.read_text()


def test_what_a_killed_writer_left_goes_with_a_later_write(tmp_path):
    old, fresh, other = (
        tmp_path / name for name in (".eval.json.abcd1234", ".eval.json.efgh5678", ".x")
    )
    for path in (old, fresh, other):
        path.touch()
    os.utime(old, (0, 0))
    os.utime(other, (0, 0))
    files.write_json(tmp_path / "eval.json", {})
    assert not old.exists() and fresh.exists() and other.exists()


def test_what_the_memory_does_not_hold_is_refused_with_the_number(monkeypatch):
    monkeypatch.setattr(files, "machine_memory", lambda: 2e9)
    files.check_memory(10**9, "a")
    with pytest.raises(UserError, match=r"^a: this needs 3 GB .* has 2 GB; fewer$"):
        files.check_memory(3 * 10**9, "a", "fewer")
    with pytest.raises(UserError, match="GB of memory"):
        files.check_memory(10**400, "a")


def test_a_horizon_that_the_memory_does_not_hold_is_refused(tmp_path):
    np.save(tmp_path / "clips.npy", np.zeros((2, 4, 32, 32, 3), np.uint8))
    run = types.SimpleNamespace(
        model=types.SimpleNamespace(num_observed=2),
        task=types.SimpleNamespace(
            source=types.SimpleNamespace(image_shape=(32, 32, 3))
        ),
        config=types.SimpleNamespace(eval=types.SimpleNamespace(batch_size=8)),
    )
    target = tmp_path / "out.npy"
    with pytest.raises(UserError, match=r"--horizon=100000000 .* GB of memory"):
        opened.forecast(run, tmp_path / "clips.npy", target, 100_000_000)
    assert not target.exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_named_pipe_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="is a named pipe"):
        files.read_json(tmp_path / "pipe")


def test_messages_are_one_printable_line_of_limited_length():
    error = UserError("a" * 500 + "\n\x1b[31m" + "remedy")
    assert len(str(error)) == 300 and str(error).isprintable()
    assert str(error).endswith("remedy")
