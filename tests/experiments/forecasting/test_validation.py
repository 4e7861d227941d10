"""The split "valid": its data, and that training data are what they always were."""

import hashlib

import numpy as np
import pytest

from nwm_jax import data
from nwm_jax.config import presets
from nwm_jax.experiments.forecasting.task import Forecasting

SIZES = {"num_train": 24, "num_test": 8, "num_frames": 16, "dt": 0.05, "seed": 0}

# Batches of the commit before there was a validation split (ed7c89d), rounded to 1e-4:
# training clips of steps 0, 1 and 7, and the first four test windows.
GOLDEN = {
    "spring_nwm1d": "49a78105b1089284 41005168424dc418 0bf4714cf326328f df3639fc389f7243",
    "pendulum_nwm2d": "39aedcdc12df9849 0cbb2033be9f2bab 58243bda32b4e13d d8b4e7c44bf6101e",
    "two_body_ar": "a3d431712923db4c b59546d389a369e2 7c141377373bf468 c89caa8859784d4d",
    "pennies_hgn": "dec973144d03b39a 5cc90f6ae1fa30ba 4fd4f17e86ccd572 1ab9073b8cd08c82",
    "double_pendulum_ode": "72f543844041e87a 26f0dac158b77a6c d024529917f04e59 50da3c0d94f4a312",
    "spring_colors_nwm1d": "c2b1b79762d3775d e7b667a8b63e14fb 003605a65f2cb982 cbbff4c8a6caaa73",
}


def digest(batch):
    """A hash that the last bit of another processor's arithmetic does not change."""
    total = hashlib.sha256()
    for key in sorted(batch):
        total.update(key.encode())
        rounded = np.round(np.asarray(batch[key], np.float64) * 1e4)
        total.update(rounded.astype(np.int64).tobytes())
    return total.hexdigest()[:16]


@pytest.mark.parametrize("name", GOLDEN)
def test_generated_batches_are_what_they_were(name, tmp_path):
    config = presets.load(
        f"{name}:smoke,seed=3,data.num_train=24,data.num_test=8,data.cache_dir={tmp_path}"
    )
    task = Forecasting(config)
    result = [digest(task.batch(step, slice(None))) for step in (0, 1, 7)]
    result.append(digest(task.eval_batch(np.arange(4))))
    assert result == GOLDEN[name].split()
    # And again once validation data are there.
    task.validation.eval_batch(np.arange(4))
    assert digest(task.batch(0, slice(None))) == result[0]


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
