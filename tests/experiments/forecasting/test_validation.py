"""The split "valid": its data, and that training data are what they always were."""

import numpy as np
import pytest

from nwm_jax import data
from nwm_jax.config import presets
from nwm_jax.experiments.forecasting.task import Forecasting

SIZES = {"num_train": 24, "num_test": 8, "num_frames": 16, "dt": 0.05, "seed": 0}

# Batches of the commit before there was a validation split (ed7c89d), projected:
# training clips of steps 0, 1 and 7, and the first four test windows.
GOLDEN = {
    "spring_nwm1d": (-3.883704, -1.278771, 0.263101, 0.271933),
    "pendulum_nwm2d": (-3.284294, -3.404485, -3.102164, 0.717213),
    "two_body_ar": (2.126822, 0.748862, 1.261121, 0.717968),
    "pennies_hgn": (-0.243885, 0.392133, 0.198459, 0.017042),
    "double_pendulum_ode": (3.346446, 3.131532, 3.730566, 1.516029),
    "spring_colors_nwm1d": (-2.201041, -3.171921, 0.273979, 1.541894),
}


def projection(batch):
    """Arrays in the direction of noise: about normal, another for any other batch."""
    rng = np.random.default_rng(0)
    total = 0.0
    for key in sorted(batch):
        array = np.asarray(batch[key], np.float64)
        noise = rng.standard_normal(array.shape)
        total += np.vdot(noise, array) / max(np.linalg.norm(array), 1e-9)
    return total


@pytest.mark.parametrize("name", GOLDEN)
def test_generated_batches_are_what_they_were(name, tmp_path):
    config = presets.load(
        f"{name}:smoke,seed=3,data.num_train=24,data.num_test=8,data.cache_dir={tmp_path}"
    )
    task = Forecasting(config)
    clips = [task.batch(step, slice(None)) for step in (0, 1, 7)]
    batches = [*clips, task.eval_batch(np.arange(4))]
    # Another compiler's rounding changes the sixth decimal.
    np.testing.assert_allclose(
        [projection(batch) for batch in batches], GOLDEN[name], rtol=0, atol=1e-5
    )
    # And again once validation data are there.
    task.validation.eval_batch(np.arange(4))
    again = task.batch(0, slice(None))
    for key, array in clips[0].items():
        np.testing.assert_array_equal(again[key], array)


@pytest.mark.parametrize("name", ["spring", "pennies"])
def test_validation_trajectories_are_nobody_else_s(name, tmp_path):
    source = data.open_source(name=name, cache_dir=str(tmp_path), num_valid=9, **SIZES)
    starts = {
        split: source.read(
            split, np.arange(source.size(split)), np.zeros(source.size(split), int), 1
        )["states"].reshape(source.size(split), -1)
        for split in ("train", "valid", "test")
    }
    assert len(starts["valid"]) == 9
    everything = np.concatenate(list(starts.values()))
    assert len(np.unique(everything, axis=0)) == 24 + 9 + 8
    # They do not depend on the sizes of the others, nor does the training set on theirs.
    other = {"num_train": 30, "num_valid": 12}
    larger = data.open_source(name=name, cache_dir=str(tmp_path), **SIZES | other)
    again = larger.read("valid", np.arange(9), np.zeros(9, int), 1)["states"]
    np.testing.assert_array_equal(again.reshape(9, -1), starts["valid"])


def test_a_trained_model_needs_no_validation_data(tmp_path):
    source = data.open_source(name="spring", cache_dir=str(tmp_path), **SIZES)
    source.read("test", np.array([0]), np.array([0]), 4)
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 1
