"""The task of topographic maps: batches, scores, figures, training that goes on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from nwm_jax.config import presets
from nwm_jax.errors import UserError
from nwm_jax.experiments.topography import paper_figures
from nwm_jax.modules import functional
from nwm_jax.runs import opened
from nwm_jax.training import loop
from nwm_jax.training.registry import build


@pytest.fixture(scope="module")
def config():
    return presets.load(
        "rotating_mnist_nwm1d:smoke,num_steps=4,eval.every=2,checkpoint_every=2,"
        "model.encoder=(),model.decoder=(),eval.num_examples=4,eval.num_waves=1"
    )


@pytest.fixture(scope="module")
def task(config):
    return build(config)


@pytest.fixture(scope="module")
def run(config, task, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run")
    loop.train(config, task, workdir)
    return opened.open_run(workdir, task=task)


def test_scores_do_not_depend_on_the_batch(task):
    model = task.init(jax.random.key(0))
    score = jax.jit(task.score)
    all_of_them = score(model, task.eval_batch(np.arange(4)))
    two = score(model, task.eval_batch(np.array([1, 3, 1, 3])))
    for name, values in all_of_them.items():
        np.testing.assert_allclose(values[jnp.array([1, 3])], two[name][:2], rtol=1e-5)
    assert set(all_of_them) == {"nll", "kl", "loss", "last_nll"}


def test_training_goes_on_and_is_evaluated(config, task, run):
    assert run.step == 4
    again = loop.train(config, task, run.workdir)
    assert again.finished and int(again.state.step) == 4
    result = opened.evaluate(run)
    assert result["loss"] == pytest.approx(result["nll"] + result["kl"], rel=1e-5)
    assert result["waves"]["setting"] == "original" and result["waves"]["skip"] == 18
    assert result["induced"]["examples"] == 4
    assert "orientation" not in result
    with pytest.raises(UserError, match="unknown metric 'orientation'"):
        task.evaluations(["orientation"])


def test_the_weights_before_training(run, task):
    """`which=0` needs no checkpoint, and is where training started."""
    before = opened.open_run(run.workdir, 0, task=task)
    assert before.step == 0
    params = functional.split(before.model)[1]
    np.testing.assert_allclose(params["cell"]["dt"], -1.95)
    trained = functional.split(run.model)[1]
    kernels = [tree["encoder"][0]["kernel"] for tree in (params, trained)]
    off = np.abs(kernels[0] - kernels[1]).max()
    assert 0 < off < 0.02
    assert isinstance(before.model, nnx.Module)


def test_figures_of_other_runs_are_refused(run, tmp_path):
    path = tmp_path / "figure.png"
    for number, words in [
        (4, "figure 4 needs a run of 2D digits"),
        (12, "choose from"),
    ]:
        with pytest.raises(UserError, match=words):
            paper_figures.draw(number, [run], path)
    assert not path.exists()
    with pytest.raises(UserError, match=r"eval.num_examples=298 is more than the 297"):
        build(presets.load("rotating_mnist_nwm2d:smoke,eval.num_examples=298"))


@pytest.mark.slow
def test_figures(run, tmp_path):
    for number in (5, 9):
        (path,) = paper_figures.draw(number, [run], tmp_path / f"{number}.png")
        assert path.stat().st_size > 5_000
    paths = run.task.figures(run.model, tmp_path)
    assert {path.name for path in paths} >= {"forecast.webp", "filtered.webp"}


def test_a_sheet_s_figures(tmp_path):
    task = build(presets.load("rotating_mnist_nwm2d:smoke,model.grid=(5,6)"))
    run = opened.Run(tmp_path, task.config, task, task.init(jax.random.key(0)), 0)
    paths = paper_figures.draw(4, [run], tmp_path / "4.png")
    assert [path.name for path in paths] == ["4.png", "4_velocity.png"]
