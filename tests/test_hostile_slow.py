"""Hostile input where programs are compiled: clips for a model, and damaged runs.

As in test_hostile.py each case runs in a forked child with limits; every one has a copy
of one tiny run of its own, which nothing may change but what the case names.
"""

import hashlib
import json
import os
import shutil

import jax
import numpy as np
import pytest

from nwm_jax.runs import opened as runs
from nwm_jax.training import loop, writers
from nwm_jax.training.registry import build
from tests.helpers import hostile, tiny_forecasting

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
]

SIDE = tiny_forecasting.SIDE
# Of a case; it takes a few, but other tests may run beside it.
SECONDS = 240.0


def clips(*shape, dtype=np.uint8, scale=1.0):
    drawn = np.random.default_rng(0).integers(0, 256, shape)
    return (drawn * scale).astype(dtype)


def inputs(folder):
    """Writes what `evaluate --input` may be; the path of each by name."""
    folder.mkdir()
    nan = clips(2, 5, SIDE, SIDE, 3, dtype=np.float32, scale=1 / 255)
    nan[0, 0, 0, 0, 0] = np.nan
    arrays = {
        "whole": clips(2, 5, SIDE, SIDE, 3),
        "one clip": clips(5, SIDE, SIDE, 3),
        "floats": clips(2, 5, SIDE, SIDE, 3, dtype=np.float32, scale=1 / 255),
        "floats to 255": clips(2, 5, SIDE, SIDE, 3, dtype=np.float32),
        "nan": nan,
        "grey": clips(2, 5, SIDE, SIDE, 1),
        "larger": clips(2, 5, 2 * SIDE, 2 * SIDE, 3),
        "channels first": clips(2, 5, 3, SIDE, SIDE),
        "empty": clips(0, 5, SIDE, SIDE, 3),
        "short": clips(2, 2, SIDE, SIDE, 3),
        "flat": clips(2, 5, SIDE),
    }
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    (folder / "text.npy").write_text("no array")
    os.mkfifo(folder / "pipe.npy")
    return folder


# Words of the line by which each is refused.
REFUSED = {
    "floats": ("uint8",),
    "floats to 255": ("uint8",),
    "nan": ("uint8",),
    "grey": ("1]", "3"),
    "larger": ("16",),
    "channels first": ("channels last",),
    "empty": ("none of them empty",),
    "short": ("2 frames", "3"),
    "flat": ("[2, 5, 8]",),
    "text": ("array",),
    "pipe": ("named pipe",),
    "missing": ("does not exist",),
}


def arrays_of(checkpoint):
    return [path for path in checkpoint.rglob("*") if path.parent.name == "d"]


def cut(checkpoint):
    for path in arrays_of(checkpoint):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(checkpoint):
    largest = max(arrays_of(checkpoint), key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)


def lose_manifest(checkpoint):
    for path in checkpoint.glob("manifest*"):
        path.unlink()


CHECKPOINTS = {"cut": cut, "flipped": flip, "no manifest": lose_manifest}


def damaged(whole, place, damage, *, newest):
    """A copy of a run with one or all of its checkpoints damaged."""
    shutil.copytree(whole, place)
    for step in ("4",) if newest else ("2", "4"):
        CHECKPOINTS[damage](place / "checkpoints" / step)
    return place


# Runs of one table.
TABLED = {
    "whole": lambda run: None,
    "emptied": lambda run: (run / "config.json").write_text('{"config": {}}'),
    "torn": lambda run: (run / "eval.json").write_text('{"mse": '),
    "other": lambda run: (run / "eval.json").write_bytes(bytes(range(256))),
    "listed": lambda run: (run / "config.json").write_text("[1, 2]"),
}


def content(folder):
    """Every file of a folder by its path, with a hash."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).digest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """All cases, run: name -> (result, copy of the run, its files before)."""
    folder = tmp_path_factory.mktemp("hostile_slow")
    movies = tiny_forecasting.write(folder)
    config = tiny_forecasting.config(movies, **{"eval.every": 2})
    whole = folder / "whole"
    loop.train(config, build(config), whole, devices=jax.devices()[:1])
    runs.evaluate(runs.open_run(whole))
    files, copies = inputs(folder / "inputs"), folder / "copies"
    again = (
        *("--workdir={run}", f"--config={tiny_forecasting.spec()},eval.every=2"),
        *(f"--config.data.path={movies}", "--config.num_steps=6"),
    )
    listed = {}

    def add(name, verb, *arguments, run=whole):
        before = content(run)
        texts = [part.replace("{run}", str(run)) for part in arguments]
        listed[name] = (verb, texts, run, before)

    def copy(name, change):
        place = copies / name
        shutil.copytree(whole, place)
        change(place)
        return place

    for name in ("whole", "one clip", *REFUSED):
        given = (f"--input={files / name}.npy", "--output=new.npy")
        add(f"input {name}", "evaluate", "--workdir={run}", *given)
    given = (f"--input={files / 'whole.npy'}", "--output=new.npy")
    far = "--horizon=100000000"
    add("horizon", "evaluate", "--workdir={run}", *given, far)
    for damage in CHECKPOINTS:
        run = damaged(whole, copies / f"all {damage}", damage, newest=False)
        add(f"evaluate {damage}", "evaluate", "--workdir={run}", run=run)
        add(f"export {damage}", "export", "{run}", run=run)
        add(f"plot {damage}", "plot", "--workdir={run}", run=run)
        run = damaged(whole, copies / f"train {damage}", damage, newest=False)
        add(f"train {damage}", "train", *again, run=run)
        run = damaged(whole, copies / f"newest {damage}", damage, newest=True)
        add(f"which {damage}", "evaluate", "--workdir={run}", "--which=4", run=run)
        add(f"export newest {damage}", "export", "{run}", run=run)
        run = damaged(whole, copies / f"resumed {damage}", damage, newest=True)
        add(f"resume {damage}", "train", *again, run=run)
    emptied = copy(
        "emptied", lambda run: (run / "config.json").write_text('{"config": {}}')
    )
    for verb in ("evaluate", "plot"):
        add(f"{verb} emptied", verb, "--workdir={run}", run=emptied)
    add("export emptied", "export", "{run}", run=emptied)
    latin = copy(
        "latin", lambda run: (run / "metrics.jsonl").write_bytes(b"\xff\xfe{}\n")
    )
    add("plot latin", "plot", "--workdir={run}", run=latin)
    add("train latin", "train", *again, run=latin)
    for name, change in TABLED.items():
        shutil.copytree(whole, folder / "tabled" / name)
        change(folder / "tabled" / name)
    add("table", "table", f"--runs={folder / 'tabled'}/*", run=folder / "tabled")
    texts = [(verb, arguments) for verb, arguments, *_ in listed.values()]
    results = hostile.answers(folder, texts, SECONDS, JAX_NUM_CPU_DEVICES="1")
    return {
        name: (result, run, before)
        for (name, (_, _, run, before)), result in zip(
            listed.items(), results, strict=True
        )
    }


def refused(case, *parts):
    """One line, and everything as it was."""
    result, run, before = case
    hostile.within_limits(result)
    hostile.one_line(result, *parts)
    assert content(run) == before
    assert not result["made"], result["made"]


def worked(case):
    result, _, _ = case
    hostile.within_limits(result)
    assert result["code"] == 0, result["err"]
    return result


@pytest.mark.parametrize("name", ["whole", "one clip"])
def test_clips_of_the_right_kind_are_forecast(name, cases):
    assert worked(cases[f"input {name}"])["made"] == ["new.npy"]


@pytest.mark.parametrize("name", REFUSED)
def test_other_clips_are_refused(name, cases):
    refused(cases[f"input {name}"], *REFUSED[name])


def test_a_horizon_that_no_machine_holds_is_refused(cases):
    refused(cases["horizon"], "--horizon=100000000", "GB")


@pytest.mark.parametrize("damage", CHECKPOINTS)
def test_runs_without_a_whole_checkpoint_are_refused(damage, cases):
    for verb in ("evaluate", "plot", "export", "train"):
        refused(cases[f"{verb} {damage}"], "checkpoints")
    refused(cases[f"which {damage}"], "step 4", "damaged")


@pytest.mark.parametrize("damage", CHECKPOINTS)
def test_the_newest_whole_checkpoint_is_taken(damage, cases):
    result = worked(cases[f"export newest {damage}"])
    assert result["made"] == ["new.npz"]
    _, run, before = cases[f"export newest {damage}"]
    assert content(run) == before
    worked(cases[f"resume {damage}"])
    _, run, before = cases[f"resume {damage}"]
    kept = {path.name for path in (run / "checkpoints").iterdir() if path.is_dir()}
    assert "4.damaged" in kept and "6" in kept
    # What was there is still there, under the name that says what it is.
    after = content(run)
    for path, digest in before.items():
        if path.startswith("checkpoints/4/"):
            moved = path.replace("checkpoints/4/", "checkpoints/4.damaged/")
            assert after[moved] == digest
    steps = [r["step"] for r in writers.read_metrics(run) if r["kind"] == "train"]
    assert steps == [2, 4, 6]
    assert json.loads((run / "eval.json").read_text())["step"] == 6


@pytest.mark.parametrize("verb", ["evaluate", "plot", "export"])
def test_an_emptied_config_is_refused(verb, cases):
    refused(cases[f"{verb} emptied"], "config.json")


def test_metrics_that_are_no_text_are_left_out(cases):
    """As lines are that a kill tore; the run goes on, and its next lines are whole."""
    worked(cases["plot latin"])
    result = worked(cases["train latin"])
    assert "resuming at step 4" in result["out"]
    rows = writers.read_metrics(cases["train latin"][1])
    assert [row["step"] for row in rows if row["kind"] == "train"] == [6]


def test_a_table_shows_the_whole_run_and_names_the_others(cases):
    result, folder, before = cases["table"]
    worked(cases["table"])
    assert content(folder) == before
    assert "3,881" in result["out"]  # its parameters
    said = result["out"] + result["err"]
    for name in TABLED.keys() - {"whole"}:
        assert f"tabled/{name}" in said, name
