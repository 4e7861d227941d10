"""The README's examples run as they are printed."""

import pathlib
import re
import runpy

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nwm_jax.training import checkpoint, mesh, state, workdir
from nwm_jax.training.registry import build
from tests.helpers import tiny_forecasting

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_layer_runs(tmp_path):
    (example,) = re.findall(r"```python\n(import jax\n.*?)```", README, re.DOTALL)
    assert len(example.splitlines()) <= 10
    # The same program on a smaller field.
    example = example.replace("23, 23", "5, 6").replace("8, 100", "2, 7")
    (tmp_path / "example.py").write_text(example)
    names = runpy.run_path(str(tmp_path / "example.py"))
    assert names["positions"].shape == (2, 7, 5, 6, 1)


@pytest.mark.slow
def test_a_trained_model_runs(tmp_path, monkeypatch):
    """With a model that has not been trained, on smaller images."""
    (example,) = re.findall(r"```python\n(import numpy.*?)```", README, re.DOTALL)
    clips = np.load(tiny_forecasting.write(tmp_path))
    np.save(tmp_path / "clips.npy", clips[:2])
    config = tiny_forecasting.config(tmp_path / "frames.npy")
    task, folder = build(config), tmp_path / "runs" / "pendulum"
    folder.mkdir(parents=True)
    workdir.claim(folder, config)
    shapes = state.abstract(task, optax.identity(), mesh.make_mesh(jax.devices()[:1]))
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    checkpoint.Checkpointer(folder / "checkpoints").save(zeros)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "example.py").write_text(example.replace("horizon=60", "horizon=5"))
    names = runpy.run_path("example.py")
    assert names["future"].shape == (2, 5, 8, 8, 3)
    assert names["angles"].shape == (tiny_forecasting.FRAMES - 1, 3, 4)
    with np.load("pendulum.npz") as weights:
        assert "cell/bias" in weights


def test_configs_that_it_names_exist():
    for path in re.findall(r"--config=(configs/\w+\.py)", README):
        assert (ROOT / path).exists(), path


def test_nothing_is_left_to_fill_in():
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        assert "@@" not in path.read_text(), path
