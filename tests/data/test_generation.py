"""Datasets written to folders: what they hold, and going on after an interruption."""

import json
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time
import types

import numpy as np
import pytest

from nwm_jax import folders
from nwm_jax.data import generation, render, suite, tfrecord, trajectories
from nwm_jax.data.request import Request, records, simulator
from nwm_jax.errors import UserError

SMALL = Request("mass_spring_colors", 6, 3, num_steps=4, dt=0.05, seed=3)
# More than a chunk, and resumed in its middle.
LARGE = Request("mass_spring_colors", 1030, 0, num_steps=4, dt=0.05, seed=3)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Folders of finished datasets, by format; not to be changed."""
    root = tmp_path_factory.mktemp("finished")
    for format in generation.FORMATS:
        generation.generate(SMALL, root / format, format=format)
    generation.generate(LARGE, root / "large")
    return root


def interrupt(finished, folder, cuts):
    """Copies a finished dataset as it is in the middle: {file: bytes that are left}."""
    folder.mkdir()
    manifest = json.loads((finished / "generate.json").read_text())
    text = json.dumps(manifest | {"finished": False}, indent=2) + "\n"
    (folder / "generate.json").write_text(text)
    for name in manifest["files"]:
        data = (finished / name).read_bytes()
        if name not in cuts:
            shutil.copy(finished / name, folder)
        elif cuts[name] is not None:
            (folder / f"{name}.partial").write_bytes(data[: cuts[name]])
    return folder


def test_a_folder_holds_what_is_published(finished):
    folder = finished / "tfrecord"
    assert sorted(contents(folder)) == [
        "features.txt",
        "generate.json",
        "test.tfrecord",
        "train.tfrecord",
    ]
    assert (folder / "features.txt").read_text() == (
        "dx_dt, (5, 2), float64\n"
        "image, (5, 32, 32, 3), uint8\n"
        "other/color_index, (1, 1), int64\n"
        "other/k, (1,), float64\n"
        "other/m, (1,), float64\n"
        "other/offset, (1, 2), float64\n"
        "x, (5, 2), float64\n"
    )
    settings = {"num_frames": 5, "dt": 0.05, "seed": 3}
    spec = suite.get(SMALL.dataset)
    for split, size in SMALL.sizes.items():
        read = list(tfrecord.read(folder, split))
        assert len(read) == size
        arrays = trajectories.simulate_chunk(spec, split, 0, **settings)
        for i, record in enumerate(read):
            one = {key: value[i : i + 1] for key, value in arrays.items()}
            np.testing.assert_array_equal(record["x"], one["states"][0])
            np.testing.assert_array_equal(record["other/m"], one["param_m"])
            centres = np.zeros((1, 5, 1, 2))
            centres[..., 1] = one["states"][..., :1]
            centres += one["offset"][:, None, None]
            exact = render.render(
                centres,
                one["radius"][:, None],
                one["color_index"][:, None],
                canvas_min=spec.canvas[0],
                canvas_max=spec.canvas[1],
                num_colors=6,
                dtype=np.float64,
            )
            expected = render.to_uint8(np.asarray(exact))[0]
            np.testing.assert_array_equal(record["image"], expected)


def test_trajectories_do_not_depend_on_the_size_of_the_set(finished):
    small = list(tfrecord.read(finished / "tfrecord", "train"))
    large = tfrecord.read(finished / "large", "train")
    assert len(large) == 1030
    for key in small[0]:
        np.testing.assert_array_equal(large[5][key], small[5][key])
    assert not np.array_equal(large[1024]["x"], large[0]["x"])
    seeds = {large[i]["x"].tobytes() for i in range(len(large))}
    assert len(seeds) == 1030


@pytest.mark.parametrize("part", [0.0, 0.001, 0.3, 0.5, 0.999, 1.0])
@pytest.mark.parametrize("split", ["train", "test"])
def test_going_on_ends_with_the_same_bytes(finished, tmp_path, split, part):
    name = f"{split}.tfrecord"
    size = (finished / "tfrecord" / name).stat().st_size
    cuts = {name: int(part * size), "features.txt": None}
    if split == "train":
        cuts["test.tfrecord"] = None
    folder = interrupt(finished / "tfrecord", tmp_path / "set", cuts)
    message = []
    generation.generate(SMALL, folder, progress=lambda *now: message.append(now))
    assert contents(folder) == contents(finished / "tfrecord")
    there = int(part * 6) if split == "train" else 6 + int(part * 3)
    assert abs(message[0][0] - there) <= 1  # records are of different sizes
    assert message == [(done, 9) for done in range(message[0][0], 10)]


@pytest.mark.parametrize("part", [0.61, 0.997])
def test_going_on_in_another_block_or_chunk(finished, tmp_path, part):
    size = (finished / "large" / "train.tfrecord").stat().st_size
    cuts = {"train.tfrecord": int(part * size), "features.txt": None}
    folder = interrupt(finished / "large", tmp_path / "set", cuts)
    generation.generate(LARGE, folder)
    assert contents(folder) == contents(finished / "large")


def test_what_was_written_is_checked_before_going_on(finished, tmp_path):
    cuts = {"train.tfrecord": -1, "test.tfrecord": None, "features.txt": None}
    folder = interrupt(finished / "tfrecord", tmp_path / "set", cuts)
    partial = folder / "train.tfrecord.partial"
    data = bytearray(partial.read_bytes())
    data[len(data) // 2] ^= 4
    partial.write_bytes(data)
    generation.generate(SMALL, folder)
    assert contents(folder) == contents(finished / "tfrecord")


def test_states_are_the_records_without_images(finished):
    folder = finished / "states"
    names = ["color_index", "dx_dt", "k", "m", "offset", "x"]
    expected = [f"{n}-{s}.npy" for n in names for s in ("test", "train")]
    assert sorted(contents(folder)) == sorted([*expected, "generate.json"])
    for split, size in SMALL.sizes.items():
        written = list(tfrecord.read(finished / "tfrecord", split))
        for name in names:
            array = np.load(folder / f"{name}-{split}.npy", mmap_mode="r")
            assert len(array) == size
            key = name if name in ("x", "dx_dt") else f"other/{name}"
            np.testing.assert_array_equal(array, [r[key] for r in written])
            assert array.dtype == written[0][key].dtype


@pytest.mark.parametrize("seed", range(4))
def test_going_on_with_states(finished, tmp_path, seed):
    draw, cuts = random.Random(seed), {}
    for path in (finished / "states").glob("*-train.npy"):
        # Every array ends somewhere else, one of them in its header.
        cuts[path.name] = draw.randrange(path.stat().st_size)
        cuts[path.name.replace("train", "test")] = None
    folder = interrupt(finished / "states", tmp_path / "set", cuts)
    generation.generate(SMALL, folder, format="states")
    assert contents(folder) == contents(finished / "states")


def test_going_on_when_only_names_are_missing(finished, tmp_path):
    size = (finished / "states" / "x-train.npy").stat().st_size
    folder = interrupt(finished / "states", tmp_path / "set", {"x-train.npy": size})
    generation.generate(SMALL, folder, format="states")
    assert contents(folder) == contents(finished / "states")


@pytest.mark.parametrize("format", generation.FORMATS)
def test_files_that_have_vanished_are_made_again(finished, tmp_path, format):
    lost = {"tfrecord": "train.tfrecord", "states": "x-train.npy"}[format]
    folder = interrupt(finished / format, tmp_path / "set", {lost: None})
    message = []
    generation.generate(
        SMALL, folder, format=format, progress=lambda *now: message.append(now)
    )
    assert contents(folder) == contents(finished / format)
    assert message[0] == (3, 9)
    (folder / lost).unlink()
    with pytest.raises(UserError, match=f"finished, but {lost} is gone: .*--overwrite"):
        generation.generate(SMALL, folder, format=format)
    generation.generate(SMALL, folder, format=format, overwrite=True)
    assert contents(folder) == contents(finished / format)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, "is finished: --overwrite would generate it again"),
        ({"num_test": 4}, r"another dataset \(num_test is 3, not 4\)"),
        ({"seed": 1, "dt": 0.1}, r"\(dt is 0.05, not 0.1, seed is 3, not 1\)"),
        ({"dataset": "pendulum"}, "dataset is 'mass_spring_colors', not 'pendulum'"),
        ({"format": "states"}, r"\(format is 'tfrecord', not 'states'\)"),
    ],
)
def test_a_folder_that_is_taken_is_refused(finished, change, message):
    folder, change = finished / "tfrecord", dict(change)
    before = contents(folder)
    format = change.pop("format", "tfrecord")
    request = Request(**vars(SMALL) | change)
    with pytest.raises(UserError, match=message):
        generation.generate(request, folder, format=format)
    assert contents(folder) == before


@pytest.mark.parametrize("name", ["features.txt", "test.tfrecord", "x-train.npy"])
def test_files_of_others_are_refused_unless_told(tmp_path, name):
    (tmp_path / name).write_text("mine")
    (tmp_path / "notes.md").write_text("mine too")
    format = "states" if name.endswith(".npy") else "tfrecord"
    with pytest.raises(UserError, match=f"holds {name} without a generate.json"):
        generation.generate(SMALL, tmp_path, format=format)
    assert (tmp_path / name).read_text() == "mine"
    generation.generate(SMALL, tmp_path, format=format, overwrite=True)
    assert (tmp_path / name).read_bytes() != b"mine"
    assert (tmp_path / "notes.md").read_text() == "mine too"


def test_overwriting_leaves_nothing_of_the_old_set(finished, tmp_path):
    folder = tmp_path / "set"
    shutil.copytree(finished / "states", folder)
    generation.generate(SMALL, folder, overwrite=True)
    assert contents(folder) == contents(finished / "tfrecord")


def test_overwriting_goes_on_with_the_same_set(finished, tmp_path):
    """A job that is started again with the same flags does not start from zero."""
    cuts = {"test.tfrecord": -1, "features.txt": None}
    folder, message = interrupt(finished / "tfrecord", tmp_path / "set", cuts), []
    generation.generate(
        SMALL, folder, overwrite=True, progress=lambda *now: message.append(now)
    )
    assert contents(folder) == contents(finished / "tfrecord")
    assert message[0] == (8, 9)
    other = Request(**vars(SMALL) | {"seed": 4})
    generation.generate(other, folder, overwrite=True)
    assert contents(folder) != contents(finished / "tfrecord")


@pytest.mark.parametrize("old", generation.FORMATS)
@pytest.mark.parametrize("lost", [0, 1])
def test_killed_while_overwriting(finished, tmp_path, monkeypatch, old, lost):
    """Nothing of the old set is taken for the new one, which is not called finished."""
    folder, request = tmp_path / "set", Request(**vars(SMALL) | {"seed": 4})
    shutil.copytree(finished / old, folder)
    (folder / "m-train.npy.partial").write_text("left by the old one")
    unlink, done = pathlib.Path.unlink, []

    def killed(path):
        if len(done) == lost:
            raise InterruptedError
        done.append(unlink(path))

    monkeypatch.setattr(pathlib.Path, "unlink", killed)
    with pytest.raises(InterruptedError):
        generation.generate(request, folder, overwrite=True)
    monkeypatch.undo()
    assert not json.loads((folder / "generate.json").read_text())["finished"]
    generation.generate(request, folder)
    generation.generate(request, tmp_path / "straight")
    made = contents(folder)
    if old == "tfrecord":  # which did not know the other file
        assert made.pop("m-train.npy.partial")
    assert made == contents(tmp_path / "straight")


def test_two_processes_do_not_write_one_folder(tmp_path):
    with (
        folders.locked(tmp_path / ".lock", wait=False),
        pytest.raises(UserError, match="another process is generating"),
    ):
        generation.generate(SMALL, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_disk_that_is_too_small_is_refused_before_it_starts(tmp_path, monkeypatch):
    sizes = {"free": 0}

    def disk_usage(folder):
        return types.SimpleNamespace(**sizes)

    monkeypatch.setattr(generation.shutil, "disk_usage", disk_usage)
    with pytest.raises(UserError, match=r"needs about 0\.\d+ MB and the disk"):
        generation.generate(SMALL, tmp_path)
    assert not list(tmp_path.iterdir())
    sizes["free"] = 10**6
    generation.generate(SMALL, tmp_path)
    # What will be replaced makes room for what replaces it.
    sizes["free"] = 10**3
    generation.generate(SMALL, tmp_path, overwrite=True)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("num_train", -1, "num_train is -1"),
        ("num_steps", 0, "num_steps is 0"),
        ("dt", 0.0, "dt is 0.0"),
        ("dt", float("nan"), "dt is nan"),
        ("dataset", "pendulums", "pendulums"),
        ("num_steps", 200_000, "longer than a record may be .*--format=states"),
        ("num_steps", 10**9, "8 trajectories are simulated at a time"),
        ("num_train", 10**12, "needs about .* and the disk"),
    ],
)
def test_impossible_requests(tmp_path, monkeypatch, field, value, message):
    monkeypatch.setattr(generation, "simulator", None)  # nothing is simulated
    with pytest.raises(UserError, match=message):
        generation.generate(
            Request(**vars(SMALL) | {field: value}), tmp_path / "a" / "b"
        )
    assert not list(tmp_path.iterdir())
    nothing = Request(**vars(SMALL) | {"num_train": 0, "num_test": 0})
    with pytest.raises(UserError, match="nothing to generate"):
        generation.generate(nothing, tmp_path / "set")


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("x" * 300, "cannot be made .File name too long"),
        ("/proc/set", "cannot be made"),
        ("loop", "cannot be made"),
        ("~nobody-of-this-name/set", "no such home folder"),
    ],
)
def test_folders_that_cannot_be_made(tmp_path, monkeypatch, folder, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UserError, match=message):
        generation.generate(SMALL, folder)
    assert [path.name for path in tmp_path.iterdir()] == ["loop"]


@pytest.mark.parametrize(
    ("name", "width"),
    [
        ("pendulum_colors", 2),
        ("double_pendulum", 4),
        ("two_body", 8),
        ("matching_pennies", 4),
        ("rock_paper_scissors", 6),
        ("lj_4", 16),
        ("lj_16", 64),
    ],
)
def test_the_least_size_is_that_of_x_and_dx_dt(name, width):
    request = Request(name, 1, 0, num_steps=9, dt=0.05, seed=0)
    assert request.least_bytes == 2 * 10 * width * 8


def test_records_begin_anywhere():
    simulate = simulator(SMALL)
    whole = list(records(SMALL, simulate, "train", 0, 6))
    part = list(records(SMALL, simulate, "train", 4, 6, with_images=False))
    assert len(whole) == 6 and len(part) == 2
    np.testing.assert_array_equal(part[0]["x"], whole[4]["x"])
    assert "image" not in part[0]
    assert list(records(SMALL, simulate, "train", 6, 6)) == []


@pytest.mark.slow
def test_killed_at_random_it_ends_with_the_same_bytes(finished, tmp_path):
    folder, draw = tmp_path / "set", random.Random(0)
    command = (
        *(sys.executable, "-m", "nwm_jax.generate", "--dataset=mass_spring_colors"),
        *("--num_train=10000", "--num_test=10", "--num_steps=20", f"--out={folder}"),
    )
    killed = []
    for _ in range(3):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        partial = folder / "train.tfrecord.partial"
        while not partial.exists() and process.poll() is None:
            time.sleep(0.05)
        time.sleep(draw.uniform(0.5, 2.0))
        process.kill()
        killed.append(process.wait() == -signal.SIGKILL)
    assert any(killed)
    if not (folder / "features.txt").exists():
        subprocess.run(command, check=True)
    other = tmp_path / "other"
    request = Request("mass_spring_colors", 10_000, 10, num_steps=20, dt=0.05, seed=0)
    generation.generate(request, other)
    assert contents(folder) == contents(other)
