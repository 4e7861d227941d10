"""Energy read off images: the state of true images, and forecasts of known energy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nwm_jax.config import presets
from nwm_jax.data import open_source, systems
from nwm_jax.data.specs import params_of
from nwm_jax.errors import UserError
from nwm_jax.experiments.forecasting import energy
from nwm_jax.experiments.forecasting.task import Forecasting
from tests.helpers import known_models

COUNT, FRAMES, DT = 12, 40, 0.05


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return str(tmp_path_factory.mktemp("cache"))


@functools.cache
def read(name, cache):
    """True and read q, p and their energies, of a few trajectories."""
    source = open_source(
        name=name,
        cache_dir=cache,
        num_train=1,
        num_test=COUNT,
        num_frames=FRAMES,
        dt=DT,
        seed=0,
    )
    batch = source.read("test", np.arange(COUNT), np.zeros(COUNT, int), FRAMES)
    images = source.decode(batch)["images"]
    system, params = systems.get(source.spec.system), params_of(batch)
    true = np.split(batch["states"][:, 1:-1], 2, axis=-1)
    result = energy.read_states(images, batch, source.spec, DT)
    energies = [np.asarray(system.hamiltonian(params, *x)) for x in (true, result)]
    return source, batch, images, true, result, energies


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mass_spring", "pendulum_colors_friction"])
def test_states_of_true_images(name, cache):
    """To a fiftieth of a pixel in position, and 1 % of the largest momentum."""
    source, _, _, true, result, energies = read(name, cache)
    pixel = (source.spec.canvas[1] - source.spec.canvas[0]) / 31
    error = np.abs(np.asarray(result[0]) - true[0])
    assert np.sqrt(np.mean(error**2)) < 0.02 * pixel
    assert error.max() < 0.05 * pixel
    error = np.abs(np.asarray(result[1]) - true[1])
    assert np.sqrt(np.mean(error**2)) < 0.01 * np.abs(true[1]).max()
    drift = np.mean(np.abs(energies[1] / energies[0] - 1), axis=1)
    assert np.median(drift) < 0.01


def test_a_particle_that_is_not_there_is_not_read(cache):
    source, batch, images, true, _, _ = read("pendulum_colors_friction", cache)
    gone = np.array(images)
    gone[:, 10] = np.array([0.321, 0.349, 0.368])
    gone[:, 20] = np.nan
    q, p = energy.read_states(jnp.asarray(gone), batch, source.spec, DT)
    # Entry k is of frame k + 1; a velocity needs both neighbours.
    assert np.isnan(q[:, [9, 19]]).all()
    assert np.isnan(p[:, [8, 10, 18, 20]]).all()
    kept = np.setdiff1d(np.arange(FRAMES - 2), [8, 9, 10, 18, 19, 20])
    np.testing.assert_allclose(q[:, kept], true[0][:, kept], atol=0.01)
    assert np.isfinite(p[:, kept]).all()


def test_faint_noise_all_over_the_picture_does_not_move_the_particle(cache):
    source, batch, images, true, _, _ = read("mass_spring", cache)
    noise = 0.03 * np.random.default_rng(0).normal(size=images.shape)
    q, _ = energy.read_states(images + noise, batch, source.spec, DT)
    assert np.abs(np.asarray(q) - true[0]).max() < 0.03


class Stretched:
    """Forecasts a spring whose motion is larger by a known factor."""

    num_observed, train_length, reversible = 5, 12, False

    def __init__(self, task, factor):
        self.task, self.factor = task, factor

    def reconstruct(self, images):
        states = self.factor * self.batch["states"]
        return self.task.source.decode(self.batch | {"states": states})["images"]


def config(dataset, model="cornn", **fields):
    config = presets.load(
        f"{dataset}_{model}:smoke,data.num_test=12,data.num_frames=40,eval.num_windows=12"
    )
    config.update_from_flattened_dict(fields)
    return config


def test_a_forecast_that_gains_energy(cache):
    source = read("mass_spring", cache)[0]
    task = Forecasting(config("spring", **{"eval.num_mean_windows": 4}), source)
    evaluation = task.evaluations(["energy"])["energy"]
    assert evaluation.num_eval == 8  # eval.num_vpt
    model = Stretched(task, np.float32(0.9))
    model.batch = evaluation.eval_batch(np.arange(8))
    scores, summary = known_models.evaluate(evaluation, model)
    text = summary["energy"]
    assert scores["forecast"].shape == (8, 10)  # a horizon of 12
    assert text["num_windows"] == 8
    np.testing.assert_allclose(text["gain"]["forecast"], 0.9**2 - 1, atol=0.02)
    np.testing.assert_allclose(text["drift"]["forecast"], 1 - 0.9**2, atol=0.02)
    assert text["drift"]["true_images"] < 0.02
    assert text["readable"] == {"forecast": 1.0, "true_images": 1.0}
    assert "model_drift" not in text
    scores["forecast"] = scores["forecast"] * np.nan
    text = evaluation.summarise(scores)["energy"]
    assert np.isnan(text["drift"]["forecast"])
    assert text["readable"]["forecast"] == 0.0


def test_a_models_own_energy():
    """It is there for any data; its drift is told in units of its spread."""
    task = Forecasting(config("two_body", "hgn"))
    evaluation = task.evaluations(["energy"])["energy"]
    own = np.array([[1.0, 1.5, 0.5], [3.0, 3.0, 3.0]])
    text = evaluation.summarise({"model": own})["energy"]
    np.testing.assert_allclose(text["model_drift"], (1.0 / 6) / 1.0)
    images = jax.ShapeDtypeStruct((2, task.windows.window, 32, 32, 3), jnp.float32)

    def energies(images):
        model = task.init(jax.random.key(0))
        return model.energy(model.latents(images).z)

    assert jax.eval_shape(energies, images).shape == (2, task.windows.window)


def test_what_cannot_be_read_is_reported():
    for name in ("two_body_cornn", "double_pendulum_nwm1d"):
        task = Forecasting(presets.load(f"{name}:smoke"))
        with pytest.raises(UserError, match=r"and not [a-z_]+: leave it out of --met"):
            task.evaluations(["mse", "energy"])
    model = known_models.Counting(6, 0, False)
    with pytest.raises(UserError, match=r"not clips.npy: leave"):
        energy.EnergyDrift(
            known_models.task(model, np.ones((2, 12, 8, 8, 3)), horizon=4)
        )
