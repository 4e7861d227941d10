"""The named datasets: their table, and the distributions that they draw from."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from scipy import stats

from nwm_jax.data import suite, systems, trajectories
from nwm_jax.data.host import float64_on_cpu
from nwm_jax.data.specs import params_of
from nwm_jax.errors import UserError

# Inner and full half-width of the canvas, and largest shift, of the published sets.
WIDTHS = {
    "mass_spring": (1.398942, 1.398942, 0),
    "mass_spring_colors": (1.564190, 2.189865, 0.625676),
    "mass_spring_colors_friction": (1.564190, 2.189865, 0.625676),
    "pendulum": (1.398942, 1.398942, 0),
    "pendulum_colors": (1.690988, 2.367384, 0.676395),
    "pendulum_colors_friction": (1.690988, 2.367384, 0.676395),
    "double_pendulum": (2.398942, 2.398942, 0),
    "double_pendulum_colors": (2.437019, 3.411827, 0.974808),
    "double_pendulum_colors_friction": (2.437019, 3.411827, 0.974808),
    "two_body": (2.75, 2.75, 0),
    "two_body_colors": (5.0, 5.0, 0),
}
LONG = [name for name in suite.DATASETS if name.endswith("_long_trajectory")]
PARTICLES = [
    spec.name
    for spec in suite.DATASETS.values()
    if isinstance(spec, suite.Particles) and spec.name not in LONG
]
# The last of 8 frames of trajectory 0.
LAST = {
    "mass_spring_friction": [0.03699204842515064, -0.6867922832970711],
    "pendulum_friction": [0.18900753870947348, -1.7476556750761094],
    "double_pendulum": [
        0.4899892557838652,
        2.758577816331786,
        -2.9123229088922242,
        1.0382052620920441,
    ],
}
ANNULAR = [name for name in PARTICLES if not name.startswith("two_body")]


@functools.cache
def _drawn(spec):
    with float64_on_cpu():
        keys = jax.random.split(jax.random.key(11), 4000)
        return jax.tree.map(np.asarray, jax.jit(jax.vmap(spec.sample))(keys))


def _draws(name):
    """The spec, and 4,000 draws; those with friction begin as those without."""
    spec = suite.get(name)
    return spec, _drawn(dataclasses.replace(spec, name="", friction=0.0))


@functools.cache
def _two_bodies():
    """The chunk 1 of the two bodies, of which some are drawn anew, and its settings."""
    settings = {"num_frames": 256, "dt": 0.05, "seed": 0}
    spec = suite.get("two_body_colors")
    return trajectories.simulate_chunk(spec, "test", 1, **settings), settings


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
    bodies = 2 if name.startswith(("double", "two")) else 1
    assert spec.num_colors == (6 if "colors" in name else bodies)


@pytest.mark.parametrize("name", ANNULAR)
def test_initial_states_and_constants(name):
    spec, drawn = _draws(name)
    q, p = drawn["q0"][:, -1], drawn["p0"][:, -1]  # the second of two pendulums
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


@pytest.mark.parametrize("name", PARTICLES)
def test_pictures_vary_as_published(name):
    spec, drawn = _draws(name)
    x, y = drawn["offset"].T
    e = spec.max_shift
    given = drawn["color_index"]
    for index in given.T:
        colors = np.bincount(index, minlength=spec.num_colors)
        assert colors.sum() == len(x) and len(colors) == spec.num_colors
        assert spec.num_colors == 1 or stats.chisquare(colors).pvalue > 1e-3
    assert given.shape == drawn["radius"].shape
    if given.shape[1] == 2:
        assert (given[:, 0] != given[:, 1]).all()
    if spec.shift == "none":
        assert e == 0 and (drawn["offset"] == 0).all()
        return
    assert _is_uniform(y, -e, e)
    if spec.system == "mass_spring":  # one shift for both axes, and U[0, 1) along x
        assert _is_uniform(x - y, 0, 1)
        assert abs(np.corrcoef(x - y, y)[0, 1]) < 0.06
    else:
        assert _is_uniform(x, -e, e)
        assert abs(np.corrcoef(x, y)[0, 1]) < 0.06


def test_every_published_dataset_is_there():
    games = {"matching_pennies", "rock_paper_scissors"}
    long = {f"{name}_long_trajectory" for name in games}
    long |= {f"mass_spring{end}_long_trajectory" for end in ("", "_colors")}
    long |= {f"pendulum{end}_long_trajectory" for end in ("", "_colors")}
    assert set(LONG) == long
    ours = {"mass_spring_friction", "pendulum_friction"}
    everything = {*WIDTHS, *games, *long, *ours, "lj_4", "lj_16"}
    assert set(suite.DATASETS) == everything
    for name, spec in suite.DATASETS.items():
        assert spec.name == name
        short = suite.DATASETS[name.removesuffix("_long_trajectory")]
        assert dataclasses.replace(short, name=name) == spec
        dt = 0.1 if spec.system in games else 0.05
        assert spec.dt == (0.004 if name.startswith("lj") else dt)


def test_two_bodies_fill_a_box():
    _, drawn = _draws("two_body_colors")
    q, p, m = drawn["q0"], drawn["p0"], drawn["param_m"]
    assert _is_uniform(q[:, 0], 0.5, 1.5) and _is_uniform(q[:, 1], 0.5, 1.5)
    assert _is_uniform(m[:, 0], 0.5, 1.5) and _is_uniform(m[:, 1], 0.5, 1.5)
    assert _is_uniform(drawn["param_g"], 0.5, 1.5)
    everything = np.column_stack([q[:, :2], m, drawn["param_g"]])
    correlation = np.corrcoef(everything.T) - np.eye(5)
    assert np.abs(correlation).max() < 0.06
    np.testing.assert_array_equal(q[:, :2], -q[:, 2:])
    np.testing.assert_array_equal(p[:, :2], -p[:, 2:])
    radius = np.hypot(q[:, 0], q[:, 1])
    np.testing.assert_allclose(np.hypot(p[:, 0], p[:, 1]), radius**-0.5 / 2)
    np.testing.assert_allclose((q[:, :2] * p[:, :2]).sum(1), 0, atol=1e-15)


@pytest.mark.slow
@pytest.mark.parametrize(("steps", "share"), [(100, 1.0), (255, 0.78), (511, 0.62)])
def test_share_of_bodies_that_stay_on_the_canvas(steps, share):
    # The published generator keeps these shares of 4,000 draws.
    once = dataclasses.replace(suite.get("two_body_colors"), redraw=False)
    settings = {"num_frames": steps + 1, "dt": 0.05, "seed": 0}
    kept = []
    for chunk in range(4):
        drawn = trajectories.simulate_chunk(once, "train", chunk, **settings)
        kept.append((np.abs(drawn["states"][..., :4]) <= 5.0).all(axis=(1, 2)))
    error = 3 * np.sqrt(2 * share * (1 - share) / 4096) + 0.005
    assert np.mean(kept) == pytest.approx(share, abs=error)


@pytest.mark.slow
def test_bodies_that_leave_the_canvas_are_drawn_anew():
    spec = suite.get("two_body_colors")
    final, settings = _two_bodies()
    once = dataclasses.replace(spec, redraw=False)
    first = trajectories.simulate_chunk(once, "test", 1, **settings)
    kept = (np.abs(first["states"][..., :4]) <= 5.0).all(axis=(1, 2))
    assert 0.72 < kept.mean() < 0.84  # the published generator keeps 78 %
    assert (np.abs(final["states"][..., :4]) <= 5.0).all()
    for key, value in final.items():
        np.testing.assert_array_equal(value[kept], first[key][kept])
    assert len(np.unique(final["param_g"])) == 1024
    np.testing.assert_allclose(np.pi * final["radius"] ** 2, final["param_m"])


@pytest.mark.parametrize("name", ["mass_spring_colors", "pendulum_colors"])
def test_particles_stay_on_the_canvas(name):
    spec = suite.get(name)
    drawn = trajectories.simulate_chunk(spec, "test", 0, num_frames=8, dt=0.05, seed=5)
    q = drawn["states"][..., :1]
    params = params_of(drawn)
    centres = systems.get(spec.system).positions(params, q)
    assert np.abs(centres).max() <= spec.inner_half_width
    assert drawn["radius"].shape == (1024, 1)
    np.testing.assert_allclose(np.pi * drawn["radius"][:, 0] ** 2, params["m"])


def test_splits_seeds_and_chunks_differ():
    spec = suite.get("spring")
    settings = {"num_frames": 2, "dt": 0.05}
    first = trajectories.simulate_chunk(spec, "train", 0, seed=0, **settings)["states"]
    again = trajectories.simulate_chunk(spec, "train", 0, seed=0, **settings)["states"]
    np.testing.assert_array_equal(first, again)
    everything = [first]
    for split, chunk, seed in (("test", 0, 0), ("train", 1, 0), ("train", 0, -1)):
        other = trajectories.simulate_chunk(spec, split, chunk, seed=seed, **settings)
        everything.append(other["states"])
    starts = np.concatenate(everything)[:, 0]
    assert len(np.unique(starts, axis=0)) == len(starts)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["mass_spring_friction", "two_body_colors", "pennies", "pendulum"]
)
def test_a_trajectory_does_not_depend_on_those_beside_it(name):
    if name == "two_body_colors":
        all_of_them, settings = _two_bodies()
    else:
        settings = {"num_frames": 128, "dt": 0.2, "seed": 0}
        all_of_them = trajectories.simulate_chunk(
            suite.get(name), "test", 1, **settings
        )
    some = trajectories.simulate_chunk(
        suite.get(name), "test", 1, count=200, **settings
    )
    assert some.keys() == all_of_them.keys()
    for key, value in some.items():
        np.testing.assert_array_equal(value, all_of_them[key][:200])


def test_chunks_of_long_trajectories_are_small(monkeypatch):
    frames = (2, 256, 512, 513, 1024, 20_001, 10**9)
    sizes = [trajectories.chunk_size(n) for n in frames]
    assert sizes == [1024, 1024, 1024, 512, 512, 16, 8]
    spec, settings = suite.get("mass_spring"), {"num_frames": 2, "dt": 0.05, "seed": 0}
    whole = trajectories.simulate_chunk(spec, "train", 0, **settings)["states"]
    monkeypatch.setattr(trajectories, "_FRAMES", 64 * 2)
    parts = [
        trajectories.simulate_chunk(spec, "train", chunk, **settings)["states"]
        for chunk in range(3)
    ]
    assert [len(part) for part in parts] == [64] * 3
    np.testing.assert_array_equal(np.concatenate(parts), whole[:192])


def test_a_longer_sample_begins_with_a_shorter():
    system, spec = systems.get("pendulum"), suite.get("pendulum_colors")
    key = jax.random.key(2)
    short, long = system.sample(key, 10, spec), system.sample(key, 20, spec)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b[:10]), short, long)


def test_seeded_numbers_are_what_they_were():
    settings = {"num_frames": 8, "dt": 0.05, "seed": 0}
    drawn = trajectories.simulate_chunk(
        suite.get("pendulum_colors"), "train", 0, **settings
    )
    expected = [[1.37224483, -1.49612379], [-0.35118708, -1.27965426]]
    np.testing.assert_allclose(drawn["states"][[0, 1000], 0], expected, atol=1e-8)
    np.testing.assert_array_equal(drawn["color_index"][:8, 0], [4, 0, 0, 2, 0, 3, 0, 4])


@pytest.mark.parametrize("name", LAST)
def test_last_digits_are_what_they_were(name):
    """Where they are not, raise `cache.FORMAT`: old caches hold the old numbers."""
    spec = suite.get(name)
    drawn = trajectories.simulate_chunk(
        spec, "train", 0, num_frames=8, dt=spec.dt, seed=0, count=1
    )
    got = drawn["states"][0, -1]
    np.testing.assert_allclose(got, LAST[name], rtol=0, atol=2e-14)


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("spring", "mass_spring"),
        ("spring_colors", "mass_spring_colors"),
        ("mass_spring", "mass_spring"),
        ("pennies", "matching_pennies"),
        ("pennies_long_trajectory", "matching_pennies_long_trajectory"),
        ("pendulum_colors_friction", "pendulum_colors_friction"),
    ],
)
def test_names(name, full):
    assert suite.get(name).name == full


def test_unknown_name():
    with pytest.raises(UserError, match="did you mean 'pendulum_colors'"):
        suite.get("pendulum_color")
