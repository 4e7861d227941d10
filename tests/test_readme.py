"""The README's examples run as they are printed."""

import pathlib
import re
import runpy

import numpy as np
import pytest

from nwm_jax import generate
from tests.helpers import verbs

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
def test_a_trained_model_forecasts(tmp_path, monkeypatch):
    (example,) = re.findall(r"```python\n(import numpy.*?)```", README, re.DOTALL)
    (flags,) = re.findall(r"python -m nwm_jax.generate (.*--clips.*)", README)
    monkeypatch.chdir(tmp_path)
    verbs.run(generate, *flags.replace("--clips=16", "--clips=4").split())
    (tmp_path / "example.py").write_text(example)
    names = runpy.run_path("example.py")
    truth = names["images"][:, 31:91] / 255
    last = names["images"][:, 30:31] / 255  # a forecast without skill
    error = ((names["future"] - truth) ** 2).mean()
    assert error < 0.5 * ((last - truth) ** 2).mean()
    assert names["angles"].shape[1:] == (12, 12)
    with np.load("pendulum.npz") as weights:
        assert "cell/bias" in weights


def test_configs_that_it_names_exist():
    for path in re.findall(r"--config=(configs/\w+\.py)", README):
        assert (ROOT / path).exists(), path


def test_nothing_is_left_to_fill_in():
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        assert "@@" not in path.read_text(), path
