"""Trained weights that come with the package: cards, `load`, `evaluate`."""

import json
import re
import shutil

import numpy as np
import pytest

import nwm_jax
from nwm_jax import evaluate, files, plot
from nwm_jax.errors import UserError
from nwm_jax.models.forecaster import Forecaster
from nwm_jax.runs import opened, pretrained
from nwm_jax.training import loop
from nwm_jax.training.registry import build
from tests.helpers import tiny_forecasting, verbs
from tests.tools import write_weights

NAME = "pendulum_nwm2d:smoke"


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    config = tiny_forecasting.config(tiny_forecasting.write(folder))
    loop.train(config, build(config), folder / "w")
    return folder / "w"


@pytest.fixture(scope="module")
def written(workdir, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("weights")
        patch.setattr(pretrained, "FOLDER", folder)
        write_weights.write(workdir, "0123abc")
    return folder


@pytest.fixture
def folder(written, tmp_path, monkeypatch):
    """A package whose only weights are those of a tiny run."""
    folder = shutil.copytree(written, tmp_path / "weights")
    monkeypatch.setattr(pretrained, "FOLDER", folder)
    return folder


@pytest.mark.slow
def test_a_card_says_what_the_rounded_weights_score(folder, workdir):
    (card,) = nwm_jax.pretrained().values()
    assert (card.name, card.commit, card.licence) == (NAME, "0123abc", "Apache-2.0")
    assert card.protocol.startswith("smoke") and card.step == 4
    exact = opened.evaluate(opened.open_run(workdir))["relative_mse"]
    assert card.relative_mse == pytest.approx(exact, rel=0.1)
    assert card.relative_mse["forecast"] != exact["forecast"]
    assert "cpu_seconds" not in card.scores and "NWM" not in repr(card.config)


@pytest.mark.slow
def test_load_opens_them_and_an_existing_path_comes_first(folder, workdir, monkeypatch):
    images = np.zeros((1, 6, *nwm_jax.load(workdir).image_shape), np.float32)
    exact = nwm_jax.load(workdir).forecast(images[:, :3], 4)
    for name in (NAME, f"pretrained:{NAME}"):
        model = nwm_jax.load(name)
        assert isinstance(model, Forecaster)
        assert model.cell.bias[...].dtype == np.float32
        np.testing.assert_allclose(model.forecast(images[:, :3], 4), exact, atol=0.01)
    monkeypatch.chdir(folder)
    (folder / NAME).symlink_to(workdir)
    np.testing.assert_array_equal(nwm_jax.load(NAME).forecast(images[:, :3], 4), exact)
    assert opened.open_run(NAME).card is None
    assert opened.open_run(f"pretrained:{NAME}").card is not None


@pytest.mark.slow
def test_evaluate_repeats_the_scores(folder, tmp_path):
    out = tmp_path / "scores.json"
    verbs.run(evaluate, f"--workdir=pretrained:{NAME}", f"--out={out}")
    card = nwm_jax.pretrained()[NAME]
    assert json.loads(out.read_text())["relative_mse"] == pytest.approx(
        card.relative_mse, rel=1e-6
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda weights: weights.write_bytes(b"x"), "SHA-256.*install"),
        (lambda weights: weights.unlink(), "does not exist"),
        (lambda weights: _replace(weights, "config", {}), "config"),
        (lambda weights: _replace(weights, "scores", 3), "scores has a wrong type"),
        (lambda weights: _fit_another_model(weights), "does not fit.*install"),
    ],
    ids=["damaged", "missing", "no config", "no scores", "another model"],
)
def test_a_damaged_package_is_named(folder, change, words):
    change(next(folder.glob("*.safetensors")))
    with pytest.raises(UserError, match=words):
        nwm_jax.load(f"pretrained:{NAME}")


def _replace(weights, field, value):
    card = weights.with_suffix(".json")
    files.write_json(card, files.read_json(card) | {field: value})


def _fit_another_model(weights):
    config = files.read_json(weights.with_suffix(".json"))["config"]
    config["model"]["conv_channels"] *= 2
    _replace(weights, "config", config)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([f"--workdir=pretrained:{NAME}"], "--out"),
        ([f"--workdir=pretrained:{NAME}", "--out=scores.txt"], ".json"),
        ([f"--workdir=pretrained:{NAME}", "--which=3", "--out=s.json"], "step 4 only"),
        (["--workdir=pretrained:pendulum_nwm2d", "--out=s.json"], f"did you.*{NAME}"),
        (["--workdir=pendulum_nwm2d", "--out=s.json"], f"pretrained:{NAME}"),
    ],
)
def test_what_cannot_be_evaluated(folder, flags, words, capfd):
    assert verbs.run(evaluate, *flags) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert re.search(words, line)


@pytest.mark.slow
def test_nothing_is_drawn_into_the_package(folder, capfd):
    assert verbs.run(plot, f"--workdir=pretrained:{NAME}") == 2
    assert "no folder" in capfd.readouterr().err


def test_every_card_of_the_package_is_of_its_file():
    for name, card in nwm_jax.pretrained().items():
        config = pretrained.read_config(card)
        assert name == f"{config.name}:{config.preset}"
        assert not config.data.cache_dir and not config.data.path
        assert card.path.stat().st_size <= 3_000_000
        pretrained.read(card, build(config))


@pytest.mark.slow
@pytest.mark.parametrize("name", nwm_jax.pretrained())
def test_the_weights_score_what_their_cards_say(name, tmp_path):
    run = opened.open_run(f"pretrained:{name}")
    scores = opened.evaluate(run, ["mse"], out=tmp_path / "scores.json")
    for measure in ("mse", "relative_mse", "table_units"):
        assert scores[measure] == pytest.approx(run.card.scores[measure], rel=1e-3)
