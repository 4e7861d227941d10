"""The named datasets: their table, and the distributions that they draw from."""

import functools

import jax
import numpy as np
import pytest
from scipy import stats

from nwm_jax.data import suite, systems
from nwm_jax.data.host import float64_on_cpu
from nwm_jax.errors import UserError

# Inner and full half-width of the canvas, and largest shift, of the published sets.
WIDTHS = {
    "mass_spring": (1.398942, 1.398942, 0),
    "mass_spring_colors": (1.564190, 2.189865, 0.625676),
    "mass_spring_colors_friction": (1.564190, 2.189865, 0.625676),
    "pendulum": (1.398942, 1.398942, 0),
    "pendulum_colors": (1.690988, 2.367384, 0.676395),
    "pendulum_colors_friction": (1.690988, 2.367384, 0.676395),
}


@functools.cache
def _draws(name):
    spec = suite.get(name)
    with float64_on_cpu():
        keys = jax.random.split(jax.random.key(11), 4000)
        drawn = jax.jit(jax.vmap(spec.sample))(keys)
        return spec, jax.tree.map(np.asarray, drawn)


def _is_uniform(values, low, high):
    assert values.min() >= low and values.max() <= high
    return stats.kstest(values, "uniform", (low, high - low)).pvalue > 1e-3


@pytest.mark.parametrize("name", WIDTHS)
def test_canvas(name):
    spec = suite.DATASETS[name]
    low, high = spec.canvas
    assert low == -high
    got = (spec.inner_half_width, high, spec.max_shift)
    np.testing.assert_allclose(got, WIDTHS[name], atol=1e-6)
    assert spec.name == name
    assert spec.friction == (0.05 if name.endswith("friction") else 0.0)
    assert spec.num_colors == (6 if "colors" in name else 1)


@pytest.mark.parametrize("name", suite.DATASETS)
def test_initial_states_and_constants(name):
    spec, drawn = _draws(name)
    q, p = drawn["q0"][:, 0], drawn["p0"][:, 0]
    for constant, low, high in spec.params:
        values = drawn[f"param_{constant}"]
        assert (values == low).all() if low == high else _is_uniform(values, low, high)
    if spec.system == "mass_spring":
        p = p / np.sqrt(drawn["param_k"] * drawn["param_m"])
    else:
        np.testing.assert_array_equal(q, q.astype(np.float32))
        np.testing.assert_array_equal(p, p.astype(np.float32))
    radius, angle = np.hypot(q, p), np.arctan2(p, q)
    low, high = spec.radius_range
    radius = np.clip(radius, low, high)  # float32 may round across the edge
    if spec.uniform_area:
        assert _is_uniform(radius**2, low**2, high**2)
        assert not _is_uniform(radius, low, high)
    else:
        assert _is_uniform(radius, low, high)
        assert not _is_uniform(radius**2, low**2, high**2)
    assert _is_uniform(angle, -np.pi, np.pi)
    assert abs(np.corrcoef(radius, angle)[0, 1]) < 0.06


@pytest.mark.parametrize("name", suite.DATASETS)
def test_pictures_vary_as_published(name):
    spec, drawn = _draws(name)
    x, y = drawn["offset"].T
    e = spec.max_shift
    colors = np.bincount(drawn["color_index"][:, 0], minlength=spec.num_colors)
    assert colors.sum() == len(x) and len(colors) == spec.num_colors
    if "colors" not in name:
        assert e == 0 and (drawn["offset"] == 0).all()
        return
    assert stats.chisquare(colors).pvalue > 1e-3
    assert _is_uniform(y, -e, e)
    if spec.system == "mass_spring":  # one shift for both axes, and U[0, 1) along x
        assert _is_uniform(x - y, 0, 1)
        assert abs(np.corrcoef(x - y, y)[0, 1]) < 0.06
    else:
        assert _is_uniform(x, -e, e)
        assert abs(np.corrcoef(x, y)[0, 1]) < 0.06


@pytest.mark.parametrize("name", ["mass_spring_colors", "pendulum_colors"])
def test_particles_stay_on_the_canvas(name):
    spec = suite.get(name)
    drawn = suite.trajectories(spec, "test", 0, num_frames=8, dt=0.05, seed=5)
    q = drawn["states"][..., :1]
    params = suite.params_of(drawn)
    centres = systems.get(spec.system).positions(params, q)
    assert np.abs(centres).max() <= spec.inner_half_width
    assert drawn["radius"].shape == (suite.CHUNK, 1)
    np.testing.assert_allclose(np.pi * drawn["radius"][:, 0] ** 2, params["m"])


def test_splits_seeds_and_chunks_differ():
    spec = suite.get("spring")
    settings = {"num_frames": 2, "dt": 0.05}
    first = suite.trajectories(spec, "train", 0, seed=0, **settings)["states"]
    again = suite.trajectories(spec, "train", 0, seed=0, **settings)["states"]
    np.testing.assert_array_equal(first, again)
    everything = [first]
    for split, chunk, seed in (("test", 0, 0), ("train", 1, 0), ("train", 0, -1)):
        other = suite.trajectories(spec, split, chunk, seed=seed, **settings)
        everything.append(other["states"])
    starts = np.concatenate(everything)[:, 0]
    assert len(np.unique(starts, axis=0)) == len(starts)


def test_a_longer_sample_begins_with_a_shorter():
    system, spec = systems.get("pendulum"), suite.get("pendulum_colors")
    key = jax.random.key(2)
    short, long = system.sample(key, 10, spec), system.sample(key, 20, spec)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b[:10]), short, long)


def test_seeded_numbers_are_what_they_were():
    drawn = suite.trajectories(
        suite.get("pendulum_colors"), "train", 0, num_frames=8, dt=0.05, seed=0
    )
    expected = [[1.37224483, -1.49612379], [-0.35118708, -1.27965426]]
    np.testing.assert_allclose(drawn["states"][[0, 1000], 0], expected, atol=1e-8)
    np.testing.assert_array_equal(drawn["color_index"][:8, 0], [4, 0, 0, 2, 0, 3, 0, 4])


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("spring", "mass_spring"),
        ("spring_colors", "mass_spring_colors"),
        ("mass_spring", "mass_spring"),
        ("pendulum_colors_friction", "pendulum_colors_friction"),
    ],
)
def test_names(name, full):
    assert suite.get(name).name == full


def test_unknown_name():
    with pytest.raises(UserError, match="did you mean 'pendulum_colors'"):
        suite.get("pendulum_color")
