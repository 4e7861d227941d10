"""What datasets put into records: names, shapes and types of the published files."""

import jax
import numpy as np
import pytest

from nwm_jax.data import suite
from nwm_jax.data.host import float64_on_cpu

_PENDULUM = {"color_index": (1, 1), "g": (1,), "l": (1,), "m": (1,), "offset": (1, 2)}
_DOUBLE = {
    "color_index": (1, 2),
    "g": (1,),
    "l_1": (1,),
    "l_2": (1,),
    "m_1": (1,),
    "m_2": (1,),
    "offset": (1, 2),
}
# dataset: length of x, and shapes of other/...
PUBLISHED = {
    "mass_spring": (
        2,
        {"color_index": (1, 1), "k": (1,), "m": (1,), "offset": (1, 1)},
    ),
    "mass_spring_colors_friction": (
        2,
        {"color_index": (1, 1), "k": (1,), "m": (1,), "offset": (1, 2)},
    ),
    "pendulum": (2, _PENDULUM),
    "pendulum_colors": (2, _PENDULUM),
    "double_pendulum_colors_friction": (4, _DOUBLE),
    "two_body_colors": (
        8,
        {"color_index": (1, 2), "g": (1,), "m": (1, 2), "offset": (1, 2)},
    ),
    "matching_pennies": (4, {}),
    "rock_paper_scissors": (6, {}),
    "lj_16": (64, {}),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_records(name):
    spec, rng = suite.get(name), np.random.default_rng(0)
    width, other = PUBLISHED[name]
    one = {"states": rng.uniform(0.2, 1.0, (3, width))}
    for key, (_, *shape) in other.items():
        if key == "color_index":
            one[key] = np.arange(*shape, dtype=np.int32)
        elif key == "offset":
            one[key] = rng.normal(size=2)
        else:
            one[f"param_{key}"] = rng.uniform(1, 2, shape)
    record = spec.records(one)
    shapes = {"x": (3, width), "dx_dt": (3, width)}
    shapes |= {f"other/{key}": shape for key, shape in other.items()}
    assert {key: value.shape for key, value in record.items()} == shapes
    for key, value in record.items():
        assert value.dtype == (np.int64 if key.endswith("index") else np.float64)
    np.testing.assert_array_equal(record["x"], one["states"])
    for key, shape in other.items():
        held = one[key if key in one else f"param_{key}"]
        np.testing.assert_array_equal(record[f"other/{key}"], np.resize(held, shape))


@pytest.mark.parametrize(
    "name", ["mass_spring", "mass_spring_friction", "pendulum_friction", "lj_16"]
)
def test_stored_derivatives_leave_out_the_friction(name):
    spec, dt = suite.get(name), 1e-3
    with float64_on_cpu():
        keys = jax.random.split(jax.random.key(4), 2)
        drawn = jax.tree.map(np.array, jax.jit(jax.vmap(spec.sample))(keys))
    arrays = spec.simulate(drawn, num_frames=3, dt=dt)
    record = spec.records({key: value[0] for key, value in arrays.items()})
    before, now, after = record["x"]
    assert not np.array_equal(before, now)
    expected = (after - before) / (2 * dt)
    velocity, _ = np.split(record["dx_dt"][1], 2)
    friction = 0.05 if name.endswith("friction") else 0.0
    expected[len(velocity) :] += friction * velocity
    scale = np.abs(expected).max()
    np.testing.assert_allclose(record["dx_dt"][1], expected, atol=1e-3 * scale)
