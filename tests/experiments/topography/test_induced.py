"""The score of induced waves, of a model whose rings are angles; orientation maps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nwm_jax.config.presets import load
from nwm_jax.data.topography import rotation
from nwm_jax.data.topography.periodic import Gratings, RotatingImages
from nwm_jax.experiments.topography.induced import InducedWave, induce
from nwm_jax.experiments.topography.orientation import (
    ORIENTATIONS,
    Orientation,
    read_map,
)


class Task:
    """The digits of scikit-learn, or gratings."""

    graphdef, num_eval, eval_batch_size = None, 6, 6

    def __init__(self, source):
        self.source = source
        self.config = load("sine_nwm2d:smoke")

    def eval_batch(self, indices):
        return self.source.test(indices) | {"index": np.asarray(indices)}


class Angles:
    """The state says where a digit is on a ring of 18 angles; rolling it turns it back."""

    def __init__(self, digits, cells=18):
        self.turned = rotation.rotate(digits, 360 / cells * np.arange(cells))
        self.cells = cells

    def states(self, images, key):
        # Cell i is high if the angle is -20 i degrees; at the end all are at 340.
        one = jnp.zeros((len(images), 1, 1, self.cells)).at[..., 1].set(1.0)
        return one[..., None]

    def decode(self, x):
        weights = x[..., 0, :, 0][..., ::-1]
        weights = jnp.roll(weights, 1, axis=-1)  # from -20 i to 20 i
        images = jnp.einsum("btr,brhw->bthw", weights, self.turned)
        return 20.0 * (images[..., None] - 0.5)


@pytest.fixture(scope="module")
def task():
    return Task(RotatingImages(load("rotating_mnist_nwm1d:smoke").data))


def scored(task, model, velocity=1.0):
    made = InducedWave(task, velocity)
    batch = {k: jnp.asarray(v) for k, v in made.eval_batch(np.arange(6)).items()}
    scores = {k: np.asarray(v) for k, v in made.score(model, batch).items()}
    return scores, made.summarise(scores)["induced"]


@pytest.mark.slow
def test_it_turns_back_a_step_a_step(task):
    model = Angles(jnp.asarray(task.eval_batch(np.arange(6))["pixels"] / 255.0))
    scores, result = scored(task, model)
    assert scores["angle"].shape == (6, 18)
    np.testing.assert_allclose(
        np.median(scores["angle"][:, :3], axis=0), [340, 320, 300]
    )
    assert result["slope"] == pytest.approx(-20, abs=1)
    # Twice as fast it skips every other angle; half as fast pictures are blends.
    assert result["slope_twice"] == pytest.approx(-40, abs=2)
    assert result["slope_half"] == pytest.approx(-10, abs=2)
    assert result["backward"] == 1.0 and result["monotonic"] > 0.8
    assert result["correlation"] > 0.9
    _, result = scored(task, model, velocity=-1.0)
    assert result["slope"] == pytest.approx(20, abs=1) and result["backward"] == 0.0


def test_pictures(task):
    model = Angles(jnp.asarray(task.eval_batch(np.arange(6))["pixels"] / 255.0))
    images = jnp.zeros((6, 18, 8, 8, 1))
    assert induce(model, images, jnp.arange(6), 0.5, 25).shape == (6, 25, 8, 8, 1)


class Detectors:
    """Cells in bands of orientations, with a little noise."""

    def __init__(self, grid=(16, 16)):
        rows = np.mgrid[: grid[0], : grid[1]][0]
        self.theta = jnp.asarray(rows // 2 * (np.pi / ORIENTATIONS))

    def states(self, images, key):
        # The orientation of a grating, from its first differences.
        frame = images[0, 0, ..., 0]
        down, right = (
            frame[2:, 1:-1] - frame[:-2, 1:-1],
            frame[1:-1, 2:] - frame[1:-1, :-2],
        )
        double = jnp.sum((right + 1j * down) ** 2)
        response = jnp.cos(2 * self.theta - jnp.angle(double))
        noise = 0.1 * jax.random.normal(key, response.shape)
        return jnp.broadcast_to(response + noise, (1, 36, *response.shape))[..., None]


def test_orientation_map():
    task = Task(Gratings(load("sine_nwm2d:data.size=28").data))
    made = Orientation(task)
    made.num_eval = 8 * 6
    batch = {k: jnp.asarray(v) for k, v in made.eval_batch(np.arange(48)).items()}
    scores = {k: np.asarray(v) for k, v in made.score(Detectors(), batch).items()}
    assert scores["responses"].shape == (48, 16, 16)
    result = read_map(scores)
    np.testing.assert_array_equal(result.labels[:, 3], np.arange(16) // 2)
    assert result.selective.all()
    numbers = made.summarise(scores)["orientation"]
    assert numbers["same_label"] == pytest.approx(0.75, abs=0.02)
    assert numbers["chance"] == pytest.approx(0.12, abs=0.01)
    assert (numbers["unselective"], numbers["cells"]) == (0, 256)
    assert numbers["labels"] == [32] * 8
