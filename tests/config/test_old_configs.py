"""Workdirs that commit ed7c89d began: its config.json files, as it wrote them."""

import json
import pathlib
import shutil

import pytest

from nwm_jax import evaluate, table
from nwm_jax.config import grammar, presets
from nwm_jax.runs import opened
from nwm_jax.training import registry, workdir
from tests.helpers import tiny_forecasting
from tests.helpers.verbs import run

OLD = pathlib.Path(__file__).parent / "ed7c89d"
NAMES = sorted(folder.name for folder in OLD.iterdir())
# Their data is made in a second; the weights before the first step are evaluated.
EVALUATED = ("pendulum_nwm2d", "smnist_uncoupled", "mnist_unet", "sine_nwm2d")


def stored(name):
    return json.loads((OLD / name / "config.json").read_text())["config"]


def test_every_experiment_has_one():
    names = {registry.find(stored(name)["task"]).name for name in NAMES}
    assert names == {experiment.name for experiment in registry.experiments()}


@pytest.mark.parametrize("name", NAMES)
def test_every_field_is_kept_and_new_ones_have_their_defaults(name):
    config = opened.read_config(OLD / name)
    now = grammar.flatten(workdir.to_dict(config))
    old = grammar.flatten(stored(name))
    assert {field: now[field] for field in old} == old
    plain = grammar.flatten(presets.load(name))
    added = now.keys() - old.keys()
    assert {field: now[field] for field in added} == {f: plain[f] for f in added}
    assert now.keys() == plain.keys()


@pytest.mark.parametrize("name", NAMES)
def test_a_run_goes_on(name, tmp_path):
    shutil.copytree(OLD / name, tmp_path, dirs_exist_ok=True)
    (tmp_path / "checkpoints" / "3").mkdir(parents=True)
    config = opened.read_config(tmp_path)
    workdir.claim(tmp_path, config)
    assert len(json.loads((tmp_path / "config.json").read_text())["resumed"]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", EVALUATED)
def test_it_is_evaluated_and_tabulated(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NWM_JAX_CACHE", str(tmp_path / "cache"))
    tiny_forecasting.write(tmp_path)  # data.path=frames.npy
    shutil.copytree(OLD / name, tmp_path / name)
    assert run(evaluate, f"--workdir={name}", "--which=0") == 0
    assert json.loads((tmp_path / name / "eval.json").read_text())["step"] == 0
    capsys.readouterr()
    assert run(table, f"--runs={name}") == 0
    out, err = capsys.readouterr()
    assert "smoke" in out, err
